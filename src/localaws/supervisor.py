"""Keeps the processes of one stack alive, and ends all of them when it ends, however it ends.

Knows processes and readiness; what they are is the business of `composition`. A child that dies is started
again; a supervisor that is killed takes its children with it (Linux: PR_SET_PDEATHSIG, and `orphans`).
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import shutil
import signal
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from localaws.orphans import Guard
from penstock.errors import Unavailable

GRACE_S = 4.0
"""How long a part may take to end by itself before it is killed."""
START_S = 60.0
RESTART_FIRST_S, RESTART_MOST_S = 0.2, 5.0
POLL_S = 0.05
LOG_BYTES = 8 * 2**20
LOOK_AFTER_S = 30.0
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
    """Its whole environment."""
    cwd: Path | None = None
    ready: Callable[[], bool] = lambda: True
    """Asked in a thread until it says yes."""
    on_return: Callable[[], None] | None = None
    """Called in a thread when the part is ready again after it had died."""
    on_end: Callable[[], None] | None = None
    """Called in a thread when the part's process group has ended, each time."""
    grace_s: float = GRACE_S
    ends_last: bool = False
    """Others need it until they have ended themselves."""


class Supervisor:
    """Runs parts until it is told to stop."""

    def __init__(
        self,
        on_ready: Callable[[Part], None],
        on_restart: Callable[[Part, int], None],
        guard: Guard | None = None,
        chore: Callable[[], None] = lambda: None,
    ) -> None:
        """chore: called in a thread now and then, as long as the stack runs."""
        self._on_ready = on_ready
        self._on_restart = on_restart
        self._guard = guard
        self._chore = chore
        self._processes: dict[str, tuple[Part, Process]] = {}
        self._log_starts: dict[str, int] = {}
        self._keepers: list[asyncio.Task[None]] = []
        self._stopping = asyncio.Event()

    async def run(self, stages: Sequence[Sequence[Part]], on_all_ready: Callable[[], None]) -> None:
        """Start the stages in order, the parts of a stage side by side; return after `stop`.

        Raises Unavailable, with the end of its log, when a part ends or does not become ready during the start.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._stopping.set)
        stopped: asyncio.Future[Any] = asyncio.ensure_future(self._stopping.wait())
        self._keepers.append(asyncio.create_task(self._look_after()))
        try:
            for stage in stages:
                starting: asyncio.Future[Any] = asyncio.gather(*(self._start(part) for part in stage))
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
        with part.log.open("ab") as log:
            self._log_starts[part.name] = log.tell()
            process = await asyncio.create_subprocess_exec(
                *part.argv,
                env=part.env,
                cwd=part.cwd,
                stdin=DEVNULL,
                stdout=log,
                stderr=log,
                # A group of its own: Ctrl-C of the terminal reaches the supervisor alone, which then ends all in order.
                start_new_session=True,
                umask=0o077,
                preexec_fn=partial(_die_with_parent, os.getpid()) if _LIBC else None,
            )
        self._processes[part.name] = part, process
        if self._guard:
            self._guard.tell(process.pid, alive=True)
        return process

    async def _ended(self, part: Part, process: Process) -> None:
        """See to what a part that ended left behind."""
        _kill_group(process.pid)
        if self._guard:
            self._guard.tell(process.pid, alive=False)
        if part.on_end:
            await asyncio.to_thread(part.on_end)

    async def _until_ready(self, part: Part, process: Process) -> None:
        deadline = asyncio.get_running_loop().time() + START_S
        while not await asyncio.to_thread(part.ready):
            if process.returncode is not None:
                raise Unavailable(f"{part.name} ended with {process.returncode} while starting:\n{self._said(part)}")
            if asyncio.get_running_loop().time() > deadline:
                raise Unavailable(f"{part.name} was not ready within {START_S:.0f} s:\n{self._said(part)}")
            await asyncio.sleep(POLL_S)

    def _said(self, part: Part) -> str:
        return tail(part.log, self._log_starts[part.name])

    async def _keep(self, part: Part, process: Process) -> None:
        """Start the part again whenever it ends; sooner after a long life, later after short ones."""
        loop = asyncio.get_running_loop()
        pause_s = RESTART_FIRST_S
        while True:
            born = loop.time()
            status = await process.wait()
            self._on_restart(part, status)
            await self._ended(part, process)
            pause_s = RESTART_FIRST_S if loop.time() - born > 2 * RESTART_MOST_S else min(2 * pause_s, RESTART_MOST_S)
            await asyncio.sleep(pause_s)
            process = await self._spawn(part)
            if part.on_return:
                with contextlib.suppress(Unavailable):  # it died again, or hangs; the next round sees to it
                    await self._until_ready(part, process)
                    await asyncio.to_thread(part.on_return)

    async def _look_after(self) -> None:
        while True:
            await asyncio.to_thread(self._chore)
            for part, _ in self._processes.values():
                await asyncio.to_thread(_rotate, part.log)
            await asyncio.sleep(LOOK_AFTER_S)

    async def _end_all(self) -> None:
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        for last in (False, True):
            ending = [self._end(*pair) for pair in self._processes.values() if pair[0].ends_last is last]
            await asyncio.gather(*ending)

    async def _end(self, part: Part, process: Process) -> None:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            try:
                await asyncio.wait_for(process.wait(), part.grace_s)
            except TimeoutError:
                _kill_group(process.pid)
                await process.wait()
        await self._ended(part, process)


def _kill_group(pid: int) -> None:
    """SIGKILL to whatever is left in the group that a part led."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _die_with_parent(parent: int) -> None:
    """Runs in the child before exec."""
    assert _LIBC is not None
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before this was asked for
        os._exit(1)


def _rotate(log: Path) -> None:
    """Keep one older log and begin anew; the process goes on appending to the same file."""
    with contextlib.suppress(OSError):
        if log.stat().st_size > LOG_BYTES:
            shutil.copyfile(log, log.with_suffix(".old.log"))
            os.truncate(log, 0)


def tail(log: Path, since: int = 0) -> str:
    """The last lines of a log, for somebody who has to see why a part did not start.

    since: the byte at which the log of this start begins; it holds those of earlier ones, too.
    """
    try:
        with log.open("rb") as file:
            end = file.seek(0, os.SEEK_END)
            file.seek(max(since if since <= end else 0, end - 8192))
            lines = file.read().decode(errors="replace").splitlines()[-LOG_LINES_SHOWN:]
    except OSError:
        return f"  (no log at {log})"
    return "\n".join(f"  {line}" for line in lines) or f"  ({log} is empty)"
