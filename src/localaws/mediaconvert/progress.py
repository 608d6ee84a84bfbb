"""How far a job is: phases, percent, and the status updates that go out at an interval.

Source: MediaConvert user guide, JobPercentComplete and STATUS_UPDATE events.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from fractions import Fraction

# Where each phase starts and ends in the percentage of the whole job.
SPANS = {"PROBING": (0, 5), "TRANSCODING": (5, 95), "UPLOADING": (95, 100)}
WRITE_EVERY_S = 0.5


class Progress:
    """Told often, tells seldom: `write` at most twice a second, `announce` once an interval."""

    def __init__(
        self,
        write: Callable[[str, int], None],
        announce: Callable[[str, int, int, int], None],
        interval_s: float,
    ) -> None:
        self._write = write
        self._announce = announce
        self._interval_s = interval_s
        self._announced = time.monotonic()
        self._written = 0.0
        self._last: tuple[str, int] | None = None
        self.frames = 0

    def tell(self, phase: str, fraction: float) -> None:
        """`fraction` of the phase is done, 0 to 1."""
        fraction = min(max(fraction, 0.0), 1.0)
        start, end = SPANS[phase]
        percent = min(int(start + (end - start) * fraction), 99)
        now = time.monotonic()
        if (phase, percent) != self._last and (self._new_phase(phase) or now - self._written >= WRITE_EVERY_S):
            self._last, self._written = (phase, percent), now
            self._write(phase, percent)
        if now - self._announced >= self._interval_s:
            self._announced = now
            self._announce(phase, int(100 * fraction), percent, self.frames)

    def _new_phase(self, phase: str) -> bool:
        return self._last is None or self._last[0] != phase


class EncodeProgress:
    """Reads ffmpeg's `-progress` lines.

    first_rate: pictures a second of the first output that ffmpeg counts as `frame`, None where it counts something
    else. Its `out_time` says nothing until every output has begun, which one that captures a picture now and then does
    late.
    """

    def __init__(self, progress: Progress, duration_s: float, share: float, first_rate: Fraction | None) -> None:
        self._progress = progress
        self._duration_s = max(duration_s, 0.001)
        self._share = share
        self._first_rate = first_rate
        self._counted: Fraction | None = first_rate
        self._start, self._end = 0.0, 1.0

    def begin(self, start: float, end: float) -> None:
        """What follows is told by a pass that is so much of the work, 0 to 1; only the last one counts frames."""
        self._start, self._end = start, end
        self._counted = self._first_rate if end >= 1 else None

    def line(self, line: str) -> None:
        key, _, value = line.partition("=")
        if not value.strip().isdigit():
            return
        if key == "frame":
            self._progress.frames = int(value)
            if self._counted:
                self._tell(int(value) / float(self._counted))
        elif key == "out_time_us" and not self._counted:
            self._tell(int(value) / 1e6)

    def _tell(self, encoded_s: float) -> None:
        done = min(encoded_s / self._duration_s, 1.0)
        self._progress.tell("TRANSCODING", self._share * (self._start + (self._end - self._start) * done))
