"""Watches one child process: lines out, a bounded tail of its errors, its end by itself, by cancel or by the clock.

A program that waits for itself for ever is ended too: known by the processor time that it no longer takes.

Never keeps more than a fixed number of bytes of what the child prints, and never returns a secret that it printed.
"""

from __future__ import annotations

import contextlib
import enum
import math
import os
import re
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from threading import Event

import psutil

from localaws.media.failures import DISK, INTERNAL, JobCanceled, JobError

STDERR_TAIL_BYTES = 16_384
LINE_BYTES = 65_536
POLL_S = 0.1
# Of one processor: a program that is stuck still tells twice a second how far it is.
IDLE_SHARE = 0.01
REDACTED = "(redacted)"
OUT_OF_MEMORY = ("Cannot allocate memory", "Out of memory", "[error]: malloc of size")  # libc, ffmpeg, x264
# What parts of ffmpeg say when they end because another did, which has told the reason before them.
CONSEQUENCES = (
    "Conversion failed!",
    "Could not open encoder before EOF",
    "Error sending frames to consumers",
    "Error while opening encoder",
    "Nothing was written into output file",
    "Task finished with error code",
    "Terminating thread with return code",
)
FATAL_SIGNALS = frozenset(
    {
        signal.SIGILL,
        signal.SIGABRT,
        signal.SIGBUS,
        signal.SIGFPE,
        signal.SIGKILL,
        signal.SIGSEGV,
        signal.SIGTERM,
        signal.SIGXCPU,
        signal.SIGXFSZ,
        signal.SIGSYS,
    }
)


class Ending(enum.Enum):
    EXITED = "exited"
    CANCELED = "canceled"
    TIMED_OUT = "timed_out"
    STUCK = "stuck"


@dataclass(frozen=True)
class Completed:
    """How a run ended. exit_status: 0 to 255, negative for a signal; stdout: what was asked to be kept, else empty."""

    exit_status: int
    ending: Ending
    stdout: bytes = field(repr=False)
    stdout_complete: bool
    stderr_tail: str
    wall_s: float

    @property
    def ok(self) -> bool:
        return self.ending is Ending.EXITED and self.exit_status == 0

    @property
    def disk_full(self) -> bool:
        return not self.ok and "No space left on device" in self.stderr_tail

    @property
    def signal_number(self) -> int | None:
        """The signal that ended the program; bwrap hands it on as 128 + n, where ffmpeg's own statuses lie as well."""
        if self.exit_status < 0:
            return -self.exit_status
        return self.exit_status - 128 if self.exit_status - 128 in FATAL_SIGNALS else None

    @property
    def killed(self) -> bool:
        """Whether SIGKILL ended it: by its limit of processor time or by somebody else, but not by us on a cancel."""
        return self.ending is Ending.EXITED and self.signal_number == signal.SIGKILL

    def check(self, work: str) -> None:
        """Raise what a job ends with when the run failed: JobError 1050 or 1999, JobCanceled. work: what it was for."""
        if self.ok:
            return
        if self.ending is Ending.CANCELED:
            raise JobCanceled
        if self.disk_full:
            raise JobError(DISK, "the disk is full; make room below the data folder and submit the job again")
        raise JobError(INTERNAL, f"{work} failed: it {self.problem()}")

    def problem(self) -> str:
        """Say in one sentence why the run did not succeed; empty when it did."""
        if self.ok:
            return ""
        if self.ending is Ending.CANCELED:
            return "canceled"
        if self.ending is Ending.TIMED_OUT:
            return f"did not finish within {self.wall_s:.0f} s"
        if self.ending is Ending.STUCK:
            return f"got stuck: after {self.wall_s:.0f} s it had done nothing for a long time"
        if self.disk_full:
            return "the disk is full"
        if self.killed:
            return "was killed: it used more processor time than it may, or the system ran out of memory"
        if self.signal_number == signal.SIGXCPU:
            return "was ended for using more processor time than it may"
        if self.signal_number == signal.SIGXFSZ or "File too large" in self.stderr_tail:
            return "wrote a larger file than it may"
        if any(sign in self.stderr_tail for sign in OUT_OF_MEMORY):
            return "needed more memory than it may use"
        if self.signal_number is not None:
            return f"crashed with {_signal_name(self.signal_number)}"
        return f"ended with status {self.exit_status}" + (f": {reason}" if (reason := self._reason()) else "")

    def _reason(self) -> str:
        """The last line of its errors that tells more than that others came before; empty when it said nothing."""
        lines = [line.strip() for line in self.stderr_tail.splitlines() if line.strip()]
        telling = [line for line in lines if not any(sign in line for sign in CONSEQUENCES)]
        return re.sub(r" @ 0x[0-9a-f]+", "", (telling or lines or [""])[-1])[:300]


def _signal_name(number: int) -> str:
    with contextlib.suppress(ValueError):
        return signal.Signals(number).name
    return f"signal {number}"


def supervise(
    process: subprocess.Popen[bytes],
    *,
    wall_s: float,
    idle_s: float,
    on_line: Callable[[str], None] | None = None,
    cancel: Event | None = None,
    capture_bytes: int = 0,
    secrets: Iterable[bytes] = (),
) -> Completed:
    """Read both pipes of `process`, a session leader, until it ended.

    Kills its group on cancel, after wall_s, and when nothing in it has worked for idle_s.
    """
    watch = _Watch(process, wall_s, idle_s, cancel)
    redact = _redactor(secrets)
    lines = _Lines(on_line, capture_bytes, redact)
    tail = bytearray()
    cut = False
    try:
        for stream, data in watch.chunks():
            if stream is process.stdout:
                lines.feed(data)
            else:
                tail += data
                if len(tail) > 2 * STDERR_TAIL_BYTES:
                    del tail[:-STDERR_TAIL_BYTES]
                    cut = True
        lines.end()
        watch.wait()
    finally:
        watch.kill()
    if len(tail) > STDERR_TAIL_BYTES:
        del tail[:-STDERR_TAIL_BYTES]
        cut = True
    if cut:  # the first line may have lost its start, and with it what marks a secret
        del tail[: tail.find(b"\n") + 1]
    return Completed(
        exit_status=process.returncode,
        ending=watch.ending,
        stdout=redact(bytes(lines.kept)),
        stdout_complete=lines.complete,
        stderr_tail=_printable(redact(bytes(tail))),
        wall_s=time.monotonic() - watch.started,
    )


class _Idleness:
    """How long a process and all below it have taken next to no processor time."""

    def __init__(self, pid: int, limit_s: float) -> None:
        self.pid = pid
        self.limit_s = limit_s
        self.looked = time.monotonic()
        self.idle_s = 0.0
        self.used_s = 0.0

    def over(self) -> bool:
        """Whether it has lasted too long."""
        passed, interval_s = time.monotonic() - self.looked, self.limit_s / 20
        if passed < interval_s:
            return False
        # We may have been stopped ourselves, and with us what we watch.
        self.idle_s += min(passed, 2 * interval_s)
        self.looked += passed
        used_s = _processor_s(self.pid)
        if not self.used_s <= used_s <= self.used_s + IDLE_SHARE * self.limit_s:
            self.used_s, self.idle_s = used_s, 0.0
        return self.idle_s >= self.limit_s


def _processor_s(pid: int) -> float:
    """What all of them have used; not a number where the system does not tell, as then nothing is known of idleness."""
    total = 0.0
    with contextlib.suppress(psutil.NoSuchProcess):
        top = psutil.Process(pid)
        for process in (top, *top.children(recursive=True)):
            try:
                times = process.cpu_times()
            except psutil.NoSuchProcess:
                continue
            except psutil.AccessDenied:
                return math.nan
            total += times.user + times.system + times.children_user + times.children_system
    return total


class _Watch:
    """The process, its deadline and its cancel event."""

    def __init__(self, process: subprocess.Popen[bytes], wall_s: float, idle_s: float, cancel: Event | None) -> None:
        self.process = process
        self.cancel = cancel
        self.started = time.monotonic()
        self.deadline = self.started + wall_s
        self.idleness = _Idleness(process.pid, idle_s)
        self.ending = Ending.EXITED

    def chunks(self) -> Iterable[tuple[object, bytes]]:
        """Yield (stream, bytes) until both pipes are closed."""
        with selectors.DefaultSelector() as selector:
            for stream in (self.process.stdout, self.process.stderr):
                assert stream is not None
                os.set_blocking(stream.fileno(), False)
                selector.register(stream, selectors.EVENT_READ)
            while selector.get_map():
                for key, _ in selector.select(POLL_S):
                    data = os.read(key.fd, 65_536)
                    if data:
                        yield key.fileobj, data
                    else:
                        selector.unregister(key.fileobj)
                if not self.may_go_on():
                    return

    def may_go_on(self) -> bool:
        """Kill the process when it was canceled, is out of time or is stuck."""
        if self.cancel is not None and self.cancel.is_set():
            self.ending = Ending.CANCELED
        elif time.monotonic() > self.deadline:
            self.ending = Ending.TIMED_OUT
        elif self.idleness.over():
            self.ending = Ending.STUCK
        else:
            return True
        self.kill()
        return False

    def wait(self) -> None:
        """Wait for the exit of a process that has closed its pipes, which a hostile one does early."""
        while self.process.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(POLL_S)
                return
            if not self.may_go_on():
                return

    def kill(self) -> None:
        """End the whole group and reap it. In the jail the end of its first process ends all that runs there."""
        if self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()


class _Lines:
    """Splits standard output into lines for a callback, and keeps the first bytes of it."""

    def __init__(
        self, on_line: Callable[[str], None] | None, capture_bytes: int, redact: Callable[[bytes], bytes]
    ) -> None:
        self.on_line = on_line
        self.capture_bytes = capture_bytes
        self.redact = redact
        self.kept = bytearray()
        self.complete = True
        self.rest = b""

    def feed(self, data: bytes) -> None:
        room = self.capture_bytes - len(self.kept)
        self.kept += data[:room]
        self.complete = self.complete and len(data) <= room
        if self.on_line is None:
            return
        *whole, rest = (self.rest + data).split(b"\n")
        for line in whole:
            self.tell(line)
        self.rest = rest[-LINE_BYTES:]

    def end(self) -> None:
        if self.rest and self.on_line is not None:
            self.tell(self.rest)

    def tell(self, line: bytes) -> None:
        assert self.on_line is not None
        self.on_line(_printable(self.redact(line.rstrip(b"\r"))))


def _redactor(secrets: Iterable[bytes]) -> Callable[[bytes], bytes]:
    """Make a function that blots out every long word of `secrets`, whole or with something grown onto it."""
    found = {word for secret in secrets for word in re.findall(rb"[A-Za-z0-9+/_-]{16,}", secret)}
    words = {word for word in found if not re.fullmatch(rb"[a-z_-]+", word)}  # those are names of options
    if not words:
        return lambda text: text
    longest_first = sorted(words, key=len, reverse=True)
    pattern = re.compile(b"|".join(re.escape(word) for word in longest_first), re.IGNORECASE)
    return lambda text: pattern.sub(REDACTED.encode(), text)


def _printable(text: bytes) -> str:
    """Decode, without the control characters that a file's metadata could play on a terminal."""
    return re.sub(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", "", text.decode("utf-8", "replace"))
