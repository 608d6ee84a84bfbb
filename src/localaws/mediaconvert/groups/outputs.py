"""Reads from encoded files what a job reports of its outputs: duration and size. Opens only files of the work folder.

Source: ISO/IEC 14496-12, 8.2.2 (mvhd).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from localaws.media import jail
from localaws.media.failures import TRUNCATED, InputRejected
from localaws.media.streams import number
from localaws.mediaconvert.planning.planned import Output

MOST_MOOV_BYTES = 256 << 20
# ffmpeg reads these under another name than it writes them.
_DEMUXERS = {"adts": "aac", "mp2": "mp3", "mpeg2video": "mpegvideo"}
# Pictures one after the other: how long each is shown is nowhere in them, or not where ffprobe looks.
_WITHOUT_CLOCK = frozenset({"dnxhd", "h264", "hevc", "mpeg2video"})
_MEASURING = jail.Limits(wall_s=600.0, cpu_s=600)


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
        length_ms = _length_ms(path, output) if path.is_file() else 0
        if not length_ms:
            raise _nothing(output)
        found[output.label] = [length_ms, path.stat().st_size]
    return found


def remember(found: Mapping[str, Sequence[int]], path: Path) -> None:
    """Write facts down, last of all: where this file exists all outputs are encoded."""
    part = path.with_suffix(".part")
    part.write_text(json.dumps(found))
    part.rename(path)


def recall(path: Path) -> dict[str, list[int]]:
    found: dict[str, list[int]] = json.loads(path.read_text())
    return found


def video_codec(path: Path) -> str:
    """The RFC 6381 name of the H.264 or H.265 track in an MP4 file, from its decoder configuration.

    Source: ISO/IEC 14496-15, 5.3.3 and 8.3.3, and its annex E for the names.
    """
    moov = _moov(path)
    if (place := moov.find(b"avcC")) >= 0:
        return "avc1." + moov[place + 5 : place + 8].hex()
    if (place := moov.find(b"hvcC")) >= 0:
        return _hevc_name(moov[place + 5 : place + 17])
    return "avc1"


def _hevc_name(record: bytes) -> str:
    """From HEVCDecoderConfigurationRecord after its version: profile, compatibility, constraints, level."""
    space, tier, profile = record[0] >> 6, record[0] >> 5 & 1, record[0] & 31
    compatibility = int(f"{int.from_bytes(record[1:5], 'big'):032b}"[::-1], 2)
    constraints = record[5:11].rstrip(b"\x00") or b""
    parts = [f"hvc1.{['', 'A', 'B', 'C'][space]}{profile}", f"{compatibility:X}", f"{'LH'[tier]}{record[11]}"]
    return ".".join([*parts, *(f"{byte:X}" for byte in constraints)])


def _nothing(output: Output) -> InputRejected:
    return InputRejected(TRUNCATED, f"Nothing of the source could be decoded for {output.path}; export the file again.")


def duration_ms(path: Path) -> int:
    """The presentation's duration as the movie header says it; 0 where there is none."""
    return _mvhd_ms(_moov(path))


def _length_ms(path: Path, output: Output) -> int:
    muxer = output.container.muxer
    if muxer in ("mp4", "mov"):
        return duration_ms(path)
    packets, length_s = _packets(path, _DEMUXERS.get(muxer, muxer))
    if muxer in _WITHOUT_CLOCK and output.video is not None:
        return round(1000 * packets / output.video.picture.frame_rate)
    return round(1000 * length_s)


def _packets(path: Path, demuxer: str) -> tuple[int, float]:
    """How many packets the first track of a file has, and their length in s as ffprobe reads it."""
    count, length_s = 0, 0.0

    def add(line: str) -> None:
        nonlocal count, length_s
        count, length_s = count + 1, length_s + (number(line.strip(",")) or 0.0)

    # Without its name a format is guessed, which fails for a file of a few pictures.
    argv = [str(jail.binary("ffprobe")), "-v", "error", "-f", demuxer, "-select_streams", "0"]
    argv += ["-show_entries", "packet=duration_time", "-of", "csv=p=0", f"/in/{path.name}"]
    completed = jail.run(argv, inputs={path: path.name}, limits=_MEASURING, on_line=add)
    completed.check("measuring an output")
    return count, length_s


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
