"""Leaves no process behind: finds what came from a stack by a mark in its environment, even after its supervisor.

A child that dies with its supervisor is easy (PR_SET_PDEATHSIG); its own children are not told. Every process of a
stack inherits the mark. Without /proc (macOS) only the process groups that the guard was told of are ended.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

STACK, PART = "LOCALAWS_STACK", "LOCALAWS_PART"
_PROC = Path("/proc")
_GONE_WITHIN_S = 5.0


def mark(data_dir: Path, part: str) -> dict[str, str]:
    """Environment variables that mark a process of the stack on `data_dir`."""
    return {STACK: str(data_dir), PART: part}


def find(data_dir: Path, part: str | None = None) -> list[int]:
    """Process ids of the stack on `data_dir` (or of one part of it), other than our own."""
    wanted = {f"{STACK}={data_dir}".encode()} | ({f"{PART}={part}".encode()} if part else set())
    found = []
    for folder in _PROC.glob("[0-9]*"):
        # Gone meanwhile, or somebody else's.
        with contextlib.suppress(OSError):
            if wanted <= set((folder / "environ").read_bytes().split(b"\0")) and int(folder.name) != os.getpid():
                found.append(int(folder.name))
    return found


def kill(data_dir: Path, part: str | None = None) -> bool:
    """SIGKILL what `find` finds until it finds nothing. False when something is still there after a few seconds."""
    deadline = time.monotonic() + _GONE_WITHIN_S
    while left := find(data_dir, part):
        if time.monotonic() > deadline:
            return False
        for pid in left:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)  # the kernel needs a moment to end a process, and tells nobody but its parent
    return True


class Guard:
    """A second process that waits for this one to end, and then ends what is left of the stack."""

    def __init__(self, data_dir: Path, lock: int) -> None:
        """Fork it; call this before there are threads. lock: descriptor of the stack's lock, which it must not hold."""
        read, self._write = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self._write)
            os.close(lock)
            _watch(read, data_dir)
        os.close(read)

    def tell(self, group: int, *, alive: bool) -> None:
        """Let it know of a process group that began, or that is over."""
        with contextlib.suppress(BrokenPipeError):
            os.write(self._write, f"{group if alive else -group}\n".encode())

    def dismiss(self) -> None:
        """End it: nothing is left to guard."""
        with contextlib.suppress(BrokenPipeError):
            os.write(self._write, b"0\n")
        os.close(self._write)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, 0)


def _watch(read: int, data_dir: Path) -> None:
    """The guard's life. Never returns."""
    try:
        os.setsid()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        nothing = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(nothing, descriptor)
        groups: set[int] = set()
        for line in os.fdopen(read):
            group = int(line)
            if group == 0:
                os._exit(0)
            groups = groups | {group} if group > 0 else groups - {-group}
        for group in groups:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(group, signal.SIGKILL)
        kill(data_dir)
    finally:
        os._exit(0)
