"""Reads from encoded tracks what a job reports of its outputs: duration and size. Opens only files of the work folder.

Source: ISO/IEC 14496-12, 8.2.2 (mvhd).
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from localaws.mediaconvert.plan import Output
from localaws.mediaconvert.rejections import TRUNCATED, InputRejected

MOST_MOOV_BYTES = 256 << 20


def facts(outputs: Iterable[Output], encoded: Path) -> dict[str, list[int]]:
    """Duration in ms and size in bytes of each output's encoded file, by label; frame captures have no duration.

    Raises InputRejected 1076 for an output without a single frame: nothing of the source could be decoded.
    """
    found = {}
    for output in outputs:
        if output.captures:
            if not any(encoded.glob(f"{output.label}.*.jpg")):
                raise _nothing(output)
            found[output.label] = [0, 0]
            continue
        path = encoded / output.work_file
        duration_ms = _duration_ms(path) if path.is_file() else 0
        if not duration_ms:
            raise _nothing(output)
        found[output.label] = [duration_ms, path.stat().st_size]
    return found


def avc_codec(path: Path) -> str:
    """The RFC 6381 name of the H.264 track in an MP4 file, from its decoder configuration (ISO/IEC 14496-15, 5.3.3)."""
    moov = _moov(path)
    place = moov.find(b"avcC")
    return "avc1." + moov[place + 5 : place + 8].hex() if place >= 0 else "avc1"


def _nothing(output: Output) -> InputRejected:
    return InputRejected(TRUNCATED, f"Nothing of the source could be decoded for {output.path}; export the file again.")


def _duration_ms(path: Path) -> int:
    """The presentation's duration as the movie header says it; 0 where there is none."""
    return _mvhd_ms(_moov(path))


def _moov(path: Path) -> bytes:
    """The content of the movie box, empty where there is none."""
    with path.open("rb") as file:
        end = os.fstat(file.fileno()).st_size
        position = 0
        while position + 8 <= end:
            file.seek(position)
            header = file.read(16)
            size, header_bytes = int.from_bytes(header[:4], "big"), 8
            if size == 1:
                size, header_bytes = int.from_bytes(header[8:16], "big"), 16
            if size < header_bytes:
                break
            if header[4:8] == b"moov":
                file.seek(position + header_bytes)
                return file.read(min(size - header_bytes, MOST_MOOV_BYTES))
            position += size
    return b""


def _mvhd_ms(moov: bytes) -> int:
    # mvhd is the first box of a moov that ffmpeg writes.
    if moov[4:8] != b"mvhd":
        return 0
    wide = moov[8] == 1
    timescale_at = 28 if wide else 20
    timescale = int.from_bytes(moov[timescale_at : timescale_at + 4], "big")
    duration = int.from_bytes(moov[timescale_at + 4 : timescale_at + (12 if wide else 8)], "big")
    return round(duration * 1000 / timescale) if timescale else 0
