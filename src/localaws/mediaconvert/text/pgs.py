"""Pictures with times as a Presentation Graphic Stream, which ffmpeg lays over a film. Writes bytes, draws nothing.

There is no open standard; the segments are those that ffmpeg's decoder (libavcodec/pgssubdec.c) reads: composition,
window, palette, object and end, each with a time on a clock of 90 kHz.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

_TICKS_PER_S = 90_000
_PALETTE, _OBJECT, _COMPOSITION, _WINDOW, _END = 0x14, 0x15, 0x16, 0x17, 0x80
_FIRST, _LAST = 0x80, 0x40
_EPOCH_START, _NORMAL = 0x80, 0x00
_MOST_BYTES = 65_000
_RUN = re.compile(rb"(.)\1*", re.DOTALL)


@dataclass(frozen=True)
class Colour:
    """Red, green, blue and opacity, 0 to 255."""

    red: int
    green: int
    blue: int
    opacity: int


@dataclass(frozen=True)
class Bitmap:
    """A rectangle of palette indexes, row by row, and where its left upper corner lies in the frame."""

    left: int
    top: int
    width: int
    pixels: bytes

    @property
    def height(self) -> int:
        return len(self.pixels) // self.width


def show(time_s: Fraction, number: int, frame: tuple[int, int], palette: Sequence[Colour], bitmap: Bitmap) -> bytes:
    """The segments that put a picture on screen, in the place of any other.

    number: counts what is shown, for the decoder. frame: width and height in px. palette: up to 256 colours.
    """
    placed = struct.pack(">HBBHH", 0, 0, 0, bitmap.left, bitmap.top)
    ticks = round(time_s * _TICKS_PER_S)
    return b"".join(
        (
            _segment(ticks, _COMPOSITION, _composition(frame, number, _EPOCH_START, 1) + placed),
            _segment(ticks, _WINDOW, _window(bitmap)),
            _segment(ticks, _PALETTE, b"\x00\x00" + _entries(palette, tall=frame[1] > 576)),
            *(_segment(ticks, _OBJECT, part) for part in _object(bitmap)),
            _segment(ticks, _END, b""),
        )
    )


def clear(time_s: Fraction, number: int, frame: tuple[int, int], bitmap: Bitmap) -> bytes:
    """The segments that take the last picture, `bitmap`, off the screen."""
    ticks = round(time_s * _TICKS_PER_S)
    return (
        _segment(ticks, _COMPOSITION, _composition(frame, number, _NORMAL, 0))
        + _segment(ticks, _WINDOW, _window(bitmap))
        + _segment(ticks, _END, b"")
    )


def _segment(ticks: int, kind: int, payload: bytes) -> bytes:
    return b"PG" + struct.pack(">IIBH", ticks % 2**32, 0, kind, len(payload)) + payload


def _composition(frame: tuple[int, int], number: int, state: int, objects: int) -> bytes:
    return struct.pack(">HHBHBBBB", *frame, 0x10, number % 2**16, state, 0, 0, objects)


def _window(bitmap: Bitmap) -> bytes:
    return struct.pack(">BBHHHH", 1, 0, bitmap.left, bitmap.top, bitmap.width, bitmap.height)


def _entries(palette: Sequence[Colour], tall: bool) -> bytes:
    return b"".join(bytes((index, *_luma_chroma(colour, tall), colour.opacity)) for index, colour in enumerate(palette))


def _luma_chroma(colour: Colour, tall: bool) -> tuple[int, int, int]:
    """Y, Cr and Cb in video range; decoders take BT.709 above 576 lines, BT.601 below."""
    red, green, blue = colour.red / 255, colour.green / 255, colour.blue / 255
    weight_red, weight_blue = (0.2126, 0.0722) if tall else (0.299, 0.114)
    luma = weight_red * red + (1 - weight_red - weight_blue) * green + weight_blue * blue
    chroma_red, chroma_blue = (red - luma) / (1 - weight_red) / 2, (blue - luma) / (1 - weight_blue) / 2
    return round(16 + 219 * luma), round(128 + 224 * chroma_red), round(128 + 224 * chroma_blue)


def _object(bitmap: Bitmap) -> list[bytes]:
    """The coded bitmap, in as many parts as a segment's length of two bytes makes of it."""
    rows = (bitmap.pixels[at : at + bitmap.width] for at in range(0, len(bitmap.pixels), bitmap.width))
    coded = b"".join(_coded(row) for row in rows)
    parts = [coded[at : at + _MOST_BYTES] for at in range(0, len(coded), _MOST_BYTES)]
    made = []
    for place, part in enumerate(parts):
        flags = (_FIRST if place == 0 else 0) | (_LAST if place == len(parts) - 1 else 0)
        head = struct.pack(">HBB", 0, 0, flags)
        if place == 0:
            head += (len(coded) + 4).to_bytes(3, "big") + struct.pack(">HH", bitmap.width, bitmap.height)
        made.append(head + part)
    return made


def _coded(row: bytes) -> bytes:
    """Run lengths of one row, with the mark of its end."""
    return b"".join(_run(match[0][0], len(match[0])) for match in _RUN.finditer(row)) + b"\x00\x00"


def _run(index: int, length: int) -> bytes:
    if index and length < 3:
        return bytes([index]) * length
    flag = 0x80 if index else 0
    head = bytes([flag | length]) if length < 64 else bytes([flag | 0x40 | length >> 8, length & 0xFF])
    return b"\x00" + head + (bytes([index]) if index else b"")
