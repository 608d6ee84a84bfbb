"""Keeps the processes of one stack alive, and ends all of them when it ends, however it ends.

Knows processes and readiness; what they are is the composition's business (`__main__`). A child that dies is started
again; a supervisor that is killed takes its children with it (Linux: PR_SET_PDEATHSIG).
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from penstock.errors import Unavailable

GRACE_S = 5.0
"""How long a part may take to end by itself before it is killed."""
START_S = 60.0
RESTART_FIRST_S, RESTART_MOST_S = 0.2, 5.0
POLL_S = 0.05
LOG_BYTES = 8 * 2**20
LOG_LINES_SHOWN = 12

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


@dataclass(frozen=True)
class Part:
    """One process of the stack."""

    name: str
    argv: Sequence[str]
    log: Path
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Put over the supervisor's own environment."""
    cwd: Path | None = None
    ready: Callable[[], bool] = lambda: True
    """Asked in a thread until it says yes."""
    on_return: Callable[[], None] | None = None
    """Called in a thread when the part is ready again after it had died."""


class Supervisor:
    """Runs parts until it is told to stop."""

    def __init__(self, on_ready: Callable[[Part], None], on_restart: Callable[[Part, int], None]) -> None:
        self._on_ready = on_ready
        self._on_restart = on_restart
        self._processes: dict[str, Process] = {}
        self._keepers: list[asyncio.Task[None]] = []
        self._stopping = asyncio.Event()

    async def run(self, stages: Sequence[Sequence[Part]], on_all_ready: Callable[[], None]) -> None:
        """Start the stages in order, the parts of a stage side by side; return after `stop`.

        Raises Unavailable, with the end of its log, when a part ends or does not become ready during the start.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stopping.set)
        stopped = asyncio.ensure_future(self._stopping.wait())
        try:
            for stage in stages:
                starting = asyncio.gather(*(self._start(part) for part in stage))
                await asyncio.wait({starting, stopped}, return_when=asyncio.FIRST_COMPLETED)
                if not starting.done():
                    starting.cancel()
                    with contextlib.suppress(asyncio.CancelledError):
                        await starting
                    return
                starting.result()
            on_all_ready()
            await stopped
        finally:
            stopped.cancel()
            await self._end_all()

    async def _start(self, part: Part) -> None:
        process = await self._spawn(part)
        await self._until_ready(part, process)
        self._on_ready(part)
        self._keepers.append(asyncio.create_task(self._keep(part, process)))

    async def _spawn(self, part: Part) -> Process:
        part.log.parent.mkdir(parents=True, exist_ok=True)
        _rotate(part.log)
        with part.log.open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *part.argv,
                env={**os.environ, **part.env},
                cwd=part.cwd,
                stdin=DEVNULL,
                stdout=log,
                stderr=log,
                # A group of its own: Ctrl-C of the terminal reaches the supervisor alone, which then ends all in order.
                start_new_session=True,
                preexec_fn=_die_with_parent if _LIBC else None,
            )
        self._processes[part.name] = process
        return process

    async def _until_ready(self, part: Part, process: Process) -> None:
        deadline = asyncio.get_running_loop().time() + START_S
        while not await asyncio.to_thread(part.ready):
            if process.returncode is not None:
                raise Unavailable(f"{part.name} ended with {process.returncode} while starting:\n{tail(part.log)}")
            if asyncio.get_running_loop().time() > deadline:
                raise Unavailable(f"{part.name} was not ready within {START_S:.0f} s:\n{tail(part.log)}")
            await asyncio.sleep(POLL_S)

    async def _keep(self, part: Part, process: Process) -> None:
        """Start the part again whenever it ends; sooner after a long life, later after short ones."""
        loop = asyncio.get_running_loop()
        pause_s = RESTART_FIRST_S
        while True:
            born = loop.time()
            status = await process.wait()
            self._on_restart(part, status)
            _kill_group(process.pid)  # what it left behind
            pause_s = RESTART_FIRST_S if loop.time() - born > 2 * RESTART_MOST_S else min(2 * pause_s, RESTART_MOST_S)
            await asyncio.sleep(pause_s)
            process = await self._spawn(part)
            if part.on_return:
                with contextlib.suppress(Unavailable):  # it died again, or hangs; the next round sees to it
                    await self._until_ready(part, process)
                    await asyncio.to_thread(part.on_return)

    async def _end_all(self) -> None:
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        # The last started first: nobody loses the part it depends on while it still works.
        for process in reversed(self._processes.values()):
            await _end(process)


async def _end(process: Process) -> None:
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), GRACE_S)
        except TimeoutError:
            _kill_group(process.pid)
            await process.wait()
    _kill_group(process.pid)


def _kill_group(pid: int) -> None:
    """SIGKILL to whatever is left in the group that a part led."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _die_with_parent() -> None:
    """Runs in the child before exec."""
    assert _LIBC is not None
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _rotate(log: Path) -> None:
    """Keep one older log, so that a part that restarts for ever does not fill the disk."""
    with contextlib.suppress(FileNotFoundError):
        if log.stat().st_size > LOG_BYTES:
            log.replace(log.with_suffix(".old.log"))


def tail(log: Path) -> str:
    """The last lines of a log, for somebody who has to see why a part did not start."""
    try:
        with log.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - 8192))
            lines = file.read().decode(errors="replace").splitlines()[-LOG_LINES_SHOWN:]
    except OSError:
        return f"  (no log at {log})"
    return "\n".join(f"  {line}" for line in lines) or f"  ({log} is empty)"
