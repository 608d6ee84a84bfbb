"""SMPTE timecodes to frame numbers and seconds. Never rounds: a timecode names a frame.

Source: SMPTE ST 12-1 (counting, drop frame); MediaConvert API reference, InputClipping (the form, and a rate after @).
Unverified: which rate AWS takes a rounded one such as @29.97 for; here it is the one of broadcast.
"""

from __future__ import annotations

import re
from fractions import Fraction

from penstock.errors import FormatError

_RATED = re.compile(r"([^@]*)@(\d{1,5}(?:\.\d{1,6})?)(?::(\d{1,5}))?")
_TIMECODE = re.compile(r"(\d\d):([0-5]\d):([0-5]\d)([:;])(\d{2})")


def frames(timecode: str, frame_rate: Fraction) -> int:
    """Count the frames from 00:00:00:00 to `timecode`; a semicolon before the frames counts drop-frame.

    frame_rate: frames a second, as they are shown; counting is by the nearest whole number.
    Raises FormatError for what is no timecode or names a frame that does not exist.
    """
    match = _TIMECODE.fullmatch(timecode)
    if match is None:
        raise FormatError(f"expected HH:MM:SS:FF, got {timecode[:40]!r}")
    hours, minutes, seconds, frame = (int(match[group]) for group in (1, 2, 3, 5))
    counted = nominal(frame_rate)
    if hours > 24 or frame >= counted:
        raise FormatError(f"{timecode} does not exist at {counted} frames a second")
    total = ((hours * 60 + minutes) * 60 + seconds) * counted + frame
    if match[4] == ":":
        return total
    if not drops(frame_rate):
        raise FormatError(f"{timecode} counts drop-frame, which is for 29.97 and 59.94 frames a second")
    dropped = counted // 15
    if frame < dropped and seconds == 0 and minutes % 10:
        raise FormatError(f"{timecode} does not exist: drop-frame counting leaves it out")
    whole_minutes = hours * 60 + minutes
    return total - dropped * (whole_minutes - whole_minutes // 10)


def frames_shown(written: str, frame_rate: Fraction) -> int:
    """Count the frames of a film of `frame_rate` to a timecode that may have a rate of its own, HH:MM:SS:FF@25.

    The rate after @ is a number, or two with a colon between for a fraction. Where it is another one than the film's,
    the frame is the nearest at that time. Raises FormatError.
    """
    match = _RATED.fullmatch(written)
    if match is None:
        return frames(written, frame_rate)
    numerator, denominator = Fraction(match[2]), int(match[3] or 1)
    if not numerator or not denominator:
        raise FormatError(f"a rate of frames is needed after @, got {written[:40]!r}")
    own = _broadcast(numerator / denominator)
    return frames(match[1], own) if own == frame_rate else round(frames(match[1], own) / own * frame_rate)


def _broadcast(rate: Fraction) -> Fraction:
    """29.97 is 30000/1001."""
    exact = Fraction(nominal(rate) * 1000, 1001)
    return exact if abs(rate - exact) < Fraction(1, 100) else rate


def nominal(frame_rate: Fraction) -> int:
    """What frames of a timecode count to: 30 for 29.97."""
    return max(1, round(frame_rate))


def drops(frame_rate: Fraction) -> bool:
    """Whether drop-frame counting is defined for a rate."""
    return frame_rate in (Fraction(30000, 1001), Fraction(60000, 1001))


def text(count: int, frame_rate: Fraction, *, drop: bool = False) -> str:
    """The timecode of the frame with this number, from 0; after 24 hours it begins again.

    drop: count drop-frame where that is defined for the rate.
    """
    counted = nominal(frame_rate)
    drop = drop and drops(frame_rate)
    if drop:
        dropped, minute = counted // 15, counted * 60 - counted // 15
        tens, rest = divmod(count, 10 * minute + dropped)
        count += dropped * 9 * tens + (dropped * ((rest - dropped) // minute) if rest >= dropped else 0)
    seconds, frame = divmod(count, counted)
    minutes, second = divmod(seconds, 60)
    hours, minute_of_hour = divmod(minutes, 60)
    return f"{hours % 24:02d}:{minute_of_hour:02d}:{second:02d}{';' if drop else ':'}{frame:02d}"
