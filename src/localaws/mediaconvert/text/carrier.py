"""A film of tiny grey pictures that carries captions into other pictures: ffmpeg reads them from it and hands them on.

Writes H.264 without an encoder, one key frame of a single macroblock after the other. Never holds what is to be seen.
Source: ITU-T H.264, 7.3 (syntax), D.1.6 (user data), 7.4.1 (emulation prevention).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import BinaryIO

from penstock.formats import cc_data
from penstock.formats.cc_data import Triplet

_START = b"\x00\x00\x00\x01"
_USER_DATA = 4


def write(target: BinaryIO, frames: Mapping[int, Sequence[Triplet]], frame_rate: Fraction) -> None:
    """Write the frames up to the last that has captions, and one more that has none, which can be repeated."""
    target.write(_START + _sequence() + _START + _pictures())
    for number in range(max(frames, default=-1) + 2):
        data = cc_data.user_data(number, frames.get(number, ()), frame_rate)
        target.write(_START + b"\x09\x10" + _START + _message(data) + _START + _picture(number))


class _Bits:
    """Fields of a NAL unit; `ue` is Exp-Golomb coded (9.1)."""

    def __init__(self) -> None:
        self._bits = ""

    def u(self, width: int, *values: int) -> _Bits:
        self._bits += "".join(f"{value:0{width}b}" for value in values)
        return self

    def ue(self, *values: int) -> _Bits:
        for value in values:
            code = f"{value + 1:b}"
            self._bits += "0" * (len(code) - 1) + code
        return self

    def payload(self) -> bytes:
        """The fields with their trailing bits."""
        bits = self._bits + "1"
        bits += "0" * (-len(bits) % 8)
        return int(bits, 2).to_bytes(len(bits) // 8, "big")


def _sequence() -> bytes:
    """Constrained baseline, order of output as of decoding, one reference frame, 1 by 1 macroblocks, no cropping."""
    fields = _Bits().ue(0, 0, 2, 1).u(1, 0).ue(0, 0).u(1, 1, 1, 0, 0)
    return b"\x67\x42\xc0\x0a" + fields.payload()


def _pictures() -> bytes:
    """CAVLC, one slice group, no weighting, QP as it is, no deblocking control."""
    fields = _Bits().ue(0, 0).u(1, 0, 0).ue(0, 0, 0).u(1, 0).u(2, 0).ue(0, 0, 0).u(1, 0, 0, 0)
    return b"\x68" + fields.payload()


def _picture(number: int) -> bytes:
    """An IDR slice with one macroblock: Intra 16x16, DC prediction, nothing coded. Neighbours have different ids."""
    fields = _Bits().ue(0, 7, 0).u(4, 0).ue(number % 2).u(1, 0, 0).ue(0, 3, 0, 0).u(1, 1)
    return b"\x65" + fields.payload()


def _message(data: bytes) -> bytes:
    """Supplemental enhancement information: registered user data."""
    length = b"\xff" * (len(data) // 255) + bytes((len(data) % 255,))
    return b"\x06" + _guarded(bytes((_USER_DATA,)) + length + data + b"\x80")


def _guarded(payload: bytes) -> bytes:
    """Two bytes of zero and one up to three would look like a start code."""
    return re.sub(rb"\x00\x00(?=[\x00-\x03])", b"\x00\x00\x03", payload)
