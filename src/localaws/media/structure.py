"""Checks a source's outermost structure before foreign code sees it: all there, an index, a duration that is a number.

Reads headers only, by seeking; never the media, never more than a bounded number of them.
Source: ISO/IEC 14496-12 4.2 (boxes), RFC 8794 (EBML elements), RFC 9559 5.1 (Matroska Segment and Info).
"""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from localaws.media.failures import CANNOT_OPEN, MALFORMED, TRUNCATED, InputRejected

MAX_HEADERS: Final = 200_000

_EBML, _DOC_TYPE = 0x1A45DFA3, 0x4282
_SEGMENT, _INFO, _CLUSTER = 0x18538067, 0x1549A966, 0x1F43B675
_DURATION, _TIMESTAMP_SCALE = 0x4489, 0x2AD7B1
DEFAULT_TIMESTAMP_SCALE_NS: Final = 1_000_000
ABSURD_S: Final = 1e9  # thirty years
_DOC_TYPE_BYTES: Final = 64


@dataclass(frozen=True)
class Structure:
    """doc_type: Matroska's 'matroska' or 'webm', ISO files' major brand ('isom', 'qt  '), empty where there is none."""

    doc_type: str = ""


def examine(path: Path, demuxer: str) -> Structure:
    """Read the outermost headers of `path`, which is what `demuxer` (of sniff) reads.

    Raises InputRejected: 1076 when the file ends before its last part does or holds no index, 1075 when it
    contradicts itself.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        if demuxer == "mov":
            return _examine_boxes(file, size)
        if demuxer == "matroska":
            return _examine_elements(file, size)
    return Structure()


def _examine_boxes(file: BinaryIO, size: int) -> Structure:
    brand, has_moov = "", False
    for kind, start, end in _boxes(file, size):
        if kind == b"ftyp":
            brand = file.read(4).decode("ascii", "replace")
        has_moov = has_moov or kind == b"moov"
        if end > size and kind in (b"moov", b"mdat", b"moof"):
            raise InputRejected(
                TRUNCATED,
                f"The file is cut off: its {kind.decode()} box says {end - start} bytes, {size - start} are there. "
                "Upload it again.",
            )
    if not has_moov:
        raise InputRejected(
            TRUNCATED,
            "The file has no moov box, so it cannot be read: the upload is not complete, or the recording was never "
            "finished.",
        )
    return Structure(brand)


def _boxes(file: BinaryIO, size: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield (type, start, end) of each outermost box, the file at its payload; bytes that are no box end it."""
    start = 0
    for _ in range(MAX_HEADERS):
        file.seek(start)
        header = file.read(8)
        if len(header) < 8:
            return
        length, kind = struct.unpack(">I4s", header)
        if length == 1:
            long_length = file.read(8)
            if len(long_length) < 8:
                return
            length = int.from_bytes(long_length, "big")
            if length < 16:
                return
        elif length == 0:
            length = size - start
        elif length < 8:
            return
        yield kind, start, start + length
        start += length
        if start >= size:
            return


def _examine_elements(file: BinaryIO, size: int) -> Structure:
    doc_type, segment_found = "", False
    for identity, start, end in _elements(file, 0, size):
        if identity == _EBML:
            doc_type = _doc_type(file, start, min(end or size, size))
        elif identity == _SEGMENT:
            segment_found = True
            if end is not None and end > size:
                raise InputRejected(
                    TRUNCATED,
                    f"The file is cut off: its Segment needs {end - start} bytes, {size - start} are there. "
                    "Upload it again.",
                )
            _check_duration(file, start, size if end is None else end)
            break
    if not segment_found:
        raise InputRejected(TRUNCATED, "The file is cut off: it ends before its Segment. Upload it again.")
    return Structure(doc_type)


def _doc_type(file: BinaryIO, start: int, end: int) -> str:
    for identity, payload, payload_end in _elements(file, start, end):
        if identity == _DOC_TYPE and payload_end is not None:
            file.seek(payload)
            return file.read(min(payload_end - payload, _DOC_TYPE_BYTES)).decode("ascii", "replace").rstrip("\0")
    return ""


def _check_duration(file: BinaryIO, start: int, end: int) -> None:
    """Refuse a Duration that is no number of seconds; ffmpeg takes NaN for "not known". A live recording has none."""
    for identity, payload, payload_end in _elements(file, start, end):
        if identity == _CLUSTER:
            return
        if identity != _INFO or payload_end is None:
            continue
        scale_ns, duration = DEFAULT_TIMESTAMP_SCALE_NS, 0.0
        for inner, value_start, value_end in _elements(file, payload, min(payload_end, end)):
            if value_end is None or inner not in (_DURATION, _TIMESTAMP_SCALE):
                continue
            file.seek(value_start)
            value = file.read(min(value_end - value_start, 8))
            if inner == _DURATION:
                duration = _float(value)
            else:
                scale_ns = int.from_bytes(value, "big")
        duration_s = duration * scale_ns / 1e9
        if not 0 <= duration_s < ABSURD_S:
            raise InputRejected(
                MALFORMED, f"The file says that it lasts {duration_s:g} s, which is no duration. Export it again."
            )
        return


def _elements(file: BinaryIO, start: int, end: int) -> Iterator[tuple[int, int, int | None]]:
    """Yield (id, payload start, payload end or None when not known) of each element; bytes that are none end it."""
    for _ in range(MAX_HEADERS):
        if start >= end:
            return
        file.seek(start)
        header = file.read(12)
        identity, used = _variable(header, keep_marker=True, longest=4)
        length, more = _variable(header[used:], keep_marker=False, longest=8)
        if identity is None or more == 0:
            return
        payload = start + used + more
        if length is None:
            yield identity, payload, None
            return
        yield identity, payload, payload + length
        start = payload + length


def _variable(data: bytes, *, keep_marker: bool, longest: int) -> tuple[int | None, int]:
    """Read an EBML variable-size integer: (value or None, bytes used, 0 when malformed). All ones: size not known."""
    if not data or data[0] == 0:
        return None, 0
    length = 9 - data[0].bit_length()
    if length > longest or len(data) < length:
        return None, 0
    value = int.from_bytes(data[:length], "big")
    if keep_marker:
        return value, length
    value &= (1 << 7 * length) - 1
    return (None if value == (1 << 7 * length) - 1 else value), length


def _float(data: bytes) -> float:
    if len(data) == 4:
        return float(struct.unpack(">f", data)[0])
    if len(data) == 8:
        return float(struct.unpack(">d", data)[0])
    return 0.0 if not data else math.nan


def size_of(path: Path) -> int:
    """Tell the size of a regular file in bytes. Raises InputRejected 1010 when there is none."""
    try:
        found = path.stat()
    except OSError as error:
        raise InputRejected(CANNOT_OPEN, f"The file cannot be opened ({os.strerror(error.errno or 0)}).") from error
    return found.st_size
