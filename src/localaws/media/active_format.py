"""Active format description: which part of a frame holds the picture. Reads codes as areas, writes them into streams.

Never moves a byte of a file: a message is overwritten with one as long as itself.
Source: ETSI TS 101 154 Annex B (codes, DTG1 user data and where H.264 and H.265 carry it), SMPTE ST 2016-1 (codes);
Rec. ITU-T H.264 and H.265 Annex D (user data registered by T.35, filler payload, mastering display colour volume).
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO, Final

FULL_FRAME: Final = 8
UNKNOWN: Final = 0
_WIDER: Final = 4  # wider than 16:9, without saying how much

_4_3, _14_9, _16_9 = Fraction(4, 3), Fraction(14, 9), Fraction(16, 9)
_ACTIVE: Final = {2: _16_9, 3: _14_9, 9: _4_3, 10: _16_9, 11: _14_9, 13: _4_3, 14: _16_9, 15: _16_9}
_TOP: Final = (2, 3)
# Shot so that the sides, or top and bottom, may be lost down to this shape.
_PROTECTED: Final = {13: _14_9, 14: _14_9, 15: _4_3}

_CHUNK_BYTES: Final = 1 << 20
_PACKET_BYTES: Final = 188

Area = tuple[int, int, int, int]
"""Width, height, left and top in px."""


def active_area(code: int, width: int, height: int, sar: Fraction, shape: Fraction) -> Area:
    """The part of a frame that holds its picture, in even px.

    sar: shape of the frame's pixels. shape: display aspect ratio of what the picture is for, towards which a picture
    that was shot for two shapes is cut.
    """
    whole = (Fraction(width), Fraction(height), Fraction(0), Fraction(0))
    if code not in _ACTIVE:
        return width, height, 0, 0
    area = _cut(whole, _ACTIVE[code] / sar, top=code in _TOP)
    if code in _PROTECTED:
        least, most = sorted((_ACTIVE[code], _PROTECTED[code]))
        area = _cut(area, min(max(shape, least), most) / sar, top=False)
    wide, high, left, top = (2 * round(side / 2) for side in area)
    return wide, high, left, top


def _cut(
    area: tuple[Fraction, Fraction, Fraction, Fraction], shape: Fraction, *, top: bool
) -> tuple[Fraction, Fraction, Fraction, Fraction]:
    wide, high, left, upper = area
    if wide / high > shape:
        return high * shape, high, left + (wide - high * shape) / 2, upper
    return wide, wide / shape, left, upper if top else upper + (high - wide / shape) / 2


def code_of(content: Fraction, frame: Fraction) -> int:
    """The code of a picture of one display aspect ratio in the middle of a frame of another one."""
    if _alike(content, frame):
        return FULL_FRAME
    for code, shape in ((9, _4_3), (10, _16_9), (11, _14_9)):
        if _alike(content, shape):
            return code
    return _WIDER if content > _16_9 else UNKNOWN


def _alike(one: Fraction, other: Fraction) -> bool:
    # A pixel or two of rounding, not another shape.
    return abs(one / other - 1) < Fraction(1, 50)


def user_data(code: int) -> bytes:
    """A code as user data registered by Rec. ITU-T T.35: the United Kingdom's DTG1 below ATSC's provider code."""
    return b"\xb5\x00\x31DTG1\x41" + bytes([0xF0 | code])


def messages_of_x265(code: int, frames: int) -> Iterator[str]:
    """The lines of the file that x265 reads messages of its user from: one before each frame, in order of display."""
    payload = base64.b64encode(user_data(code)).decode()
    return (f"{number} PREFIX 39/4 {payload}\n" for number in range(frames))


# x264 writes no messages of its user, but a mastering display before each key frame. This one is no display.
X264_PLACEHOLDER: Final = (
    "mastering-display=G(44783,43690)B(52428,56797)R(61166,48059)WP(51966,47802)L(3405691582,3735928559)"
)
_PLACEHOLDER: Final = bytes.fromhex("8918aeefaaaaccccddddeeeebbbbcafebabacafebabedeadbeef")


def sign(path: Path, code: int, pid: int | None = None) -> int:
    """Overwrite x264's placeholders in a file with a code; returns how many there were.

    pid: of the pictures, where the file is a transport stream, whose packets cut through messages.
    """
    data = user_data(code)
    message = bytes([4, len(data)]) + data
    # What is left of the longer placeholder becomes filler.
    rest = len(_PLACEHOLDER) - len(message) - 2
    message += bytes([3, rest]) + b"\xff" * rest
    with path.open("r+b") as file:
        return _overwrite(file, _chunks(file) if pid is None else _payloads(file, pid), message)


def _overwrite(file: BinaryIO, pieces: Iterator[tuple[int, bytes]], message: bytes) -> int:
    """pieces: stretches of the file that follow one another in the stream, with their places in the file."""
    found = 0
    window, runs = b"", list[tuple[int, int]]()
    for place, data in pieces:
        runs.append((len(window), place))
        window += data
        at = window.find(_PLACEHOLDER)
        while at >= 0:
            _write(file, runs, at, message)
            found += 1
            at = window.find(_PLACEHOLDER, at + len(message))
        cut = max(0, len(window) - len(_PLACEHOLDER) + 1)
        window = window[cut:]
        runs = [(start - cut, place) for start, place in runs]
        # A run that ends before the window begins is done with; the one that reaches into it stays.
        runs = [run for number, run in enumerate(runs) if number + 1 == len(runs) or runs[number + 1][0] > 0]
    return found


def _write(file: BinaryIO, runs: list[tuple[int, int]], at: int, message: bytes) -> None:
    back = file.tell()
    ends = [start for start, _ in runs[1:]] + [at + len(message)]
    for (start, place), end in zip(runs, ends, strict=True):
        first, last = max(at, start), min(at + len(message), end)
        if first < last:
            file.seek(place + first - start)
            file.write(message[first - at : last - at])
    file.seek(back)


def _chunks(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    place = 0
    while data := file.read(_CHUNK_BYTES):
        yield place, data
        place += len(data)


def _payloads(file: BinaryIO, pid: int) -> Iterator[tuple[int, bytes]]:
    """The payloads of one PID. Source: ISO/IEC 13818-1, 2.4.3.2 and 2.4.3.4."""
    place = 0
    while packet := file.read(_PACKET_BYTES):
        own = (packet[1] & 0x1F) << 8 | packet[2] == pid
        start = 4 + (1 + packet[4] if packet[3] & 0x20 else 0)
        if own and packet[3] & 0x10 and start < _PACKET_BYTES:
            yield place + start, packet[start:]
        place += _PACKET_BYTES
