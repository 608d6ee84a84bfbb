"""Finds out what a source is and whether it can be converted, without trusting a byte of it.

Our own code chooses the demuxer and checks the outer structure, then ffprobe looks inside, in the jail. Never opens
anything but the one file, never fetches. Source: `docs/protection.md`, untrusted media; ffprobe's JSON writer.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from localaws.media import jail, mastering, structure
from localaws.media.decoders import (
    AUDIO_DECODERS,
    FULL_BUILD_CODECS,
    LOOKED_AT,
    MAX_PIXELS,
    MAX_SIDE_PX,
    MAX_STREAMS,
    VIDEO_DECODERS,
    input_options,
)
from localaws.media.failures import MALFORMED, NO_VIDEO, TRUNCATED, UNSUPPORTED, InputRejected
from localaws.media.probed import AudioStream, OtherStream, Probed, VideoStream, to_probe_result
from localaws.media.sniff import HEAD_BYTES, demuxer
from localaws.media.streams import ENTRIES, number, read_streams, timecode, too_large

__all__ = [
    "MAX_DURATION_S",
    "MAX_PIXELS",
    "MAX_SIDE_PX",
    "MAX_STREAMS",
    "PROBE_LIMITS",
    "AudioStream",
    "InputRejected",
    "OtherStream",
    "Probed",
    "VideoStream",
    "input_options",
    "probe",
    "to_probe_result",
]

MAX_DURATION_S: Final = 24 * 3600.0
_AS_THEY_ARE: Final = {"mpegts": "mpegts", "wav": "wave", "flac": "flac", "mp3": "mp3", "aac": "aac"}
"""Demuxer -> MediaConvert's Format, where one says the other."""
SAMPLE_PACKETS: Final = 600
OUTPUT_BYTES: Final = 4 << 20
SLOW_DISK_BYTES_PER_S: Final = 20_000_000

PROBE_LIMITS: Final = jail.Limits(
    address_space_bytes=2 * jail.GIB, cpu_s=60, file_size_bytes=1 << 20, open_files=32, wall_s=60.0
)


def probe(
    path: Path, limits: jail.Limits = PROBE_LIMITS, *, require_video: bool = True, first_frame: bool = False
) -> Probed:
    """Look into the media file at `path`.

    Raises InputRejected with AWS's code: 1010 no media file, 1020 no video, 1030 a format, codec or property that is
    not supported, 1075 contradicts itself, 1076 cut off. require_video=False lets audio alone pass. first_frame=True
    decodes the first frame, for what no header says: its active format and the order of its fields.
    """
    size_bytes = structure.size_of(path)
    with path.open("rb") as file:
        chosen = demuxer(file.read(HEAD_BYTES))
    outer = structure.examine(path, chosen)
    arguments = ["-show_entries", ENTRIES, "-read_intervals", f"%+#{SAMPLE_PACKETS}", "-of", "json=compact=1"]
    document = _parsed(_ffprobe(path, chosen, arguments, limits, capture_bytes=OUTPUT_BYTES))
    try:
        if int(document["format"]["nb_streams"]) > MAX_STREAMS:
            raise _too_many_streams()
        videos, audios, others = read_streams(document, sample_packets=SAMPLE_PACKETS)
        start_s = number(document["format"].get("start_time")) or 0.0
        duration_s = number(document["format"].get("duration"))
        if not document["streams"]:
            raise InputRejected(MALFORMED, "The file holds no readable track. It may be damaged; export it again.")
        start_timecode = timecode(document)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _unreadable() from error
    if require_video and not videos:
        held = "only audio" if audios else "neither video nor audio"
        raise InputRejected(NO_VIDEO, f"The file holds {held}. Upload a file with a video track.")
    if duration_s is None:  # a browser's recording, a fragmented file
        reading_s = size_bytes / SLOW_DISK_BYTES_PER_S
        duration_s = _span_of_packets_s(path, chosen, replace(limits, wall_s=limits.wall_s + reading_s))
    _check_duration(duration_s)
    return Probed(
        demuxer=chosen,
        container=_container(chosen, outer.doc_type),
        size_bytes=size_bytes,
        duration_s=duration_s,
        start_s=start_s,
        videos=videos,
        audios=audios,
        others=others,
        timecode=start_timecode,
        **(_first_frame(path, chosen, videos[0], limits) if videos and (first_frame or videos[0].hdr) else {}),
    )


def _first_frame(path: Path, chosen: str, video: VideoStream, limits: jail.Limits) -> dict[str, Any]:
    """What a decoder finds in the first frame of a stream; nothing of AV1, which ffprobe does not decode."""
    if video.codec in FULL_BUILD_CODECS:
        return {}
    arguments = ["-select_streams", str(video.index), "-show_frames", "-read_intervals", "%+#1"]
    entries = f"frame=interlaced_frame,top_field_first:frame_side_data=active_format,{','.join(mastering.MEMBERS)}"
    arguments += ["-show_entries", entries, "-of", "json=compact=1"]
    document = _parsed(_ffprobe(path, chosen, arguments, limits, capture_bytes=OUTPUT_BYTES))
    try:
        # A stream that is cut into may begin with packets that make no frame.
        frame: dict[str, Any] = next(iter(document["frames"]), {})
        told = frame.get("side_data_list", [])
        codes = [data.get("active_format") for data in told]
        bottom_first = bool(frame.get("interlaced_frame")) and not frame.get("top_field_first")
    except (KeyError, TypeError, AttributeError) as error:
        raise _unreadable() from error
    code = next((code for code in codes if isinstance(code, int) and 0 <= code < 16), None)
    return {"active_format": code, "bottom_first": bottom_first, "mastering": mastering.read(told)}


def _ffprobe(path: Path, chosen: str, arguments: Sequence[str], limits: jail.Limits, **options: Any) -> jail.Completed:
    """Run ffprobe on the file in the jail. Raises InputRejected when it does not end well."""
    argv = [str(jail.binary("ffprobe")), "-v", "error", "-hide_banner"]
    argv += input_options(chosen, decoders=VIDEO_DECODERS + AUDIO_DECODERS + LOOKED_AT)
    argv += [*arguments, "-i", "/in/source"]
    completed = jail.run(argv, inputs={path: "source"}, limits=limits, **options)
    if "max_streams" in completed.stderr_tail:  # Matroska's reader goes on without the rest
        raise _too_many_streams()
    if not completed.ok:
        raise _failure(completed)
    return completed


def _parsed(completed: jail.Completed) -> dict[str, Any]:
    try:
        document = json.loads(completed.stdout)
    except (ValueError, RecursionError) as error:
        raise _unreadable() from error
    if not isinstance(document, dict):
        raise _unreadable()
    return document


def _unreadable() -> InputRejected:
    return InputRejected(MALFORMED, "The file's description cannot be read. Export it again.")


def _too_many_streams() -> InputRejected:
    return InputRejected(UNSUPPORTED, f"The file holds more than {MAX_STREAMS} tracks. Export it with fewer.")


def _failure(completed: jail.Completed) -> InputRejected:
    """Read from ffprobe's last words what is wrong with the file."""
    said = completed.stderr_tail
    if completed.ending is not jail.Ending.EXITED or completed.signal_number is not None:
        return InputRejected(MALFORMED, f"The file cannot be analysed: ffprobe {completed.problem()}. Export it again.")
    if found := re.search(r"Picture size (\d{1,6})x(\d{1,6}) exceeds", said):
        return too_large(int(found[1]), int(found[2]))
    if found := re.search(r"Codec \((\w{1,32})\) not on whitelist", said):
        return InputRejected(
            UNSUPPORTED,
            f"The file holds a {found[1]} track, which is not supported. Export it as H.264 and AAC, or without it.",
        )
    if "moov atom not found" in said:
        return InputRejected(TRUNCATED, "The file has no moov box, so it cannot be read. Upload it again.")
    lines = [re.sub(r"^\[[^\]]*\] *|/in/source: *", "", line) for line in said.splitlines() if line.strip()]
    detail = f": {lines[-1][:200]}" if lines else ""
    return InputRejected(MALFORMED, f"The file cannot be read{detail}. It may be damaged; export it again.")


def _check_duration(duration_s: float) -> None:
    if duration_s <= 0:
        raise InputRejected(MALFORMED, f"The file says that it lasts {duration_s:g} s. Export it again.")
    if duration_s > MAX_DURATION_S:
        raise InputRejected(
            UNSUPPORTED,
            f"The file says that it lasts {duration_s:.0f} s; at most {MAX_DURATION_S:.0f} s are supported.",
        )


def _span_of_packets_s(path: Path, chosen: str, limits: jail.Limits) -> float:
    """Read the time stamps of all packets and tell how far they reach, in seconds; 0 when there are none."""
    first_s, last_s = float("inf"), float("-inf")

    def note(line: str) -> None:
        nonlocal first_s, last_s
        start, _, length = line.partition(",")
        start_s = number(start)
        if start_s is not None:
            first_s = min(first_s, start_s)
            last_s = max(last_s, start_s + max(number(length.strip(",")) or 0.0, 0.0))

    _ffprobe(path, chosen, ["-show_entries", "packet=pts_time,duration_time", "-of", "csv=p=0"], limits, on_line=note)
    return max(last_s - first_s, 0.0)


def _container(chosen: str, doc_type: str) -> str:
    """Name the container as MediaConvert's Format does."""
    if chosen == "matroska":
        return "webm" if doc_type == "webm" else "matroska"
    if chosen in _AS_THEY_ARE:
        return _AS_THEY_ARE[chosen]
    if doc_type in ("qt  ", ""):  # QuickTime before 2001 has no brand
        return "quicktime"
    return {"3gp": "three_gp", "3g2": "three_g2"}.get(doc_type[:3], "mp4")
