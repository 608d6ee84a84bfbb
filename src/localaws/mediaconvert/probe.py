"""Finds out what a source is and whether it can be converted, without trusting a byte of it.

Our own code chooses the demuxer and checks the outer structure, then ffprobe looks inside, in the jail. Never opens
anything but the one file, never fetches. Source: `docs/protection.md`, untrusted media; ffprobe's JSON writer.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

from localaws.mediaconvert import jail, structure
from localaws.mediaconvert.cadence import cadence
from localaws.mediaconvert.probed import AudioStream, OtherStream, Probed, VideoStream, to_probe_result
from localaws.mediaconvert.rejections import (
    MALFORMED,
    NO_VIDEO,
    TRUNCATED,
    UNSUPPORTED,
    InputRejected,
)
from localaws.mediaconvert.sniff import HEAD_BYTES, demuxer

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

MAX_PIXELS: Final = 8192 * 4320
MAX_SIDE_PX: Final = 8192
MAX_STREAMS: Final = 64
MAX_DURATION_S: Final = 24 * 3600.0
MAX_FRAME_RATE: Final = 300
MAX_ASPECT: Final = 10  # of a pixel, either way
MAX_CHANNELS: Final = 64
SAMPLED_PACKETS: Final = 600

PROBE_LIMITS: Final = jail.Limits(address_space_bytes=2 << 30, cpu_s=60, file_size_bytes=1 << 20, wall_s=60.0)
OUTPUT_BYTES: Final = 4 << 20

VIDEO_DECODERS: Final = (
    "h264", "hevc", "vp8", "vp9", "mpeg2video", "mpeg1video", "mpeg4", "prores", "dnxhd", "mjpeg",
)  # fmt: skip
AUDIO_DECODERS: Final = (
    "aac", "mp3float", "mp3", "mp2float", "mp2", "ac3", "eac3", "opus", "libopus", "vorbis", "flac", "alac",
    "pcm_s16le", "pcm_s16be", "pcm_s24le", "pcm_s24be", "pcm_s32le", "pcm_s32be", "pcm_f32le", "pcm_f32be",
    "pcm_u8", "pcm_s8",
)  # fmt: skip
# ffprobe gives up on a whole file when it may not open one of its streams; these are only looked at, never converted.
_LOOKED_AT: Final = (
    "png", "gif", "bmp", "webp", "tiff", "dca", "truehd", "mov_text", "srt", "subrip", "ass", "ssa", "webvtt", "dvdsub",
    "pgssub", "dvbsub", "cc_dec", "text", "av1", "vc1", "theora", "msmpeg4", "msmpeg4v2", "ffv1",
    "jpeg2000", "rawvideo", "dvvideo",
)  # fmt: skip

_STREAM_FIELDS: Final = (
    "index,codec_name,profile,codec_type,codec_tag_string,level,width,height,sample_aspect_ratio,pix_fmt,bits_per_raw_sample,"
    "color_range,color_space,color_transfer,color_primaries,field_order,r_frame_rate,avg_frame_rate,time_base,start_time,"
    "duration,bit_rate,nb_frames,sample_rate,channels,channel_layout,bits_per_sample"
)
_ENTRIES: Final = (
    f"stream={_STREAM_FIELDS}:stream_tags=language,timecode:stream_disposition=default,attached_pic,timed_thumbnails,still_image"
    ":stream_side_data=side_data_type,rotation:format=duration,start_time,nb_streams:format_tags=timecode"
    ":packet=stream_index,pts"
)


def input_options(demuxer: str, *, decoders: tuple[str, ...] = VIDEO_DECODERS + AUDIO_DECODERS) -> list[str]:
    """Say the ffmpeg input options, to stand before `-i /in/<name>`, that hold for every untrusted source."""
    return [
        # The demuxer we chose, none that a file could ask for, and no protocol but plain files.
        "-f", demuxer, "-format_whitelist", demuxer, "-protocol_whitelist", "file",
        "-codec_whitelist", ",".join(decoders),
        # A picture of 16000 x 16000 costs 860 MB and 5 s before anybody has seen a frame.
        "-max_pixels", str(MAX_PIXELS), "-max_streams", str(MAX_STREAMS),
        "-probesize", "20M", "-analyzeduration", "20M",
    ]  # fmt: skip


def probe(path: Path, limits: jail.Limits = PROBE_LIMITS, *, require_video: bool = True) -> Probed:
    """Look into the media file at `path`.

    Raises InputRejected with AWS's code: 1010 no media file, 1020 no video, 1030 a format, codec or property that is
    not supported, 1075 contradicts itself, 1076 cut off. require_video=False lets audio alone pass.
    """
    size_bytes = structure.size_of(path)
    with path.open("rb") as file:
        chosen = demuxer(file.read(HEAD_BYTES))
    outer = structure.examine(path, chosen)
    document = _ffprobe(path, chosen, limits)
    streams = document.get("streams", [])
    if len(streams) > MAX_STREAMS or int(document.get("format", {}).get("nb_streams", 0)) > MAX_STREAMS:
        raise _too_many_streams()
    packets = _timestamps(document)
    sampled_all = sum(len(times) for times in packets.values()) < SAMPLED_PACKETS
    videos = tuple(
        _video(stream, packets.get(stream["index"], []), sampled_all) for stream in streams if _kind(stream) == "video"
    )
    audios = tuple(_audio(stream) for stream in streams if _kind(stream) == "audio")
    if require_video and not videos:
        held = "only audio" if audios else "neither video nor audio"
        raise InputRejected(NO_VIDEO, f"The file holds {held}. Upload a file with a video track.")
    container = document.get("format", {})
    return Probed(
        demuxer=chosen,
        container=_container(chosen, outer.doc_type),
        size_bytes=size_bytes,
        duration_s=_duration(path, chosen, container, limits),
        start_s=_number(container.get("start_time")) or 0.0,
        videos=videos,
        audios=audios,
        others=tuple(_other(stream) for stream in streams if _kind(stream) not in ("video", "audio")),
        timecode=_timecode(document),
    )


def _ffprobe(path: Path, chosen: str, limits: jail.Limits) -> dict[str, Any]:
    completed = jail.run(
        [
            str(jail.binary("ffprobe")), "-v", "error", "-hide_banner",
            *input_options(chosen, decoders=VIDEO_DECODERS + AUDIO_DECODERS + _LOOKED_AT),
            "-show_entries", _ENTRIES, "-read_intervals", f"%+#{SAMPLED_PACKETS}", "-of", "json=compact=1",
            "-i", "/in/source",
        ],
        inputs={path: "source"},
        limits=limits,
        capture_bytes=OUTPUT_BYTES,
    )  # fmt: skip
    if "max_streams" in completed.stderr_tail:
        raise _too_many_streams()
    if not completed.ok:
        raise _failure(completed)
    try:
        document = json.loads(completed.stdout)
    except ValueError as error:
        raise InputRejected(MALFORMED, "The file's description cannot be read. Export it again.") from error
    return document if isinstance(document, dict) else {}


def _too_many_streams() -> InputRejected:
    return InputRejected(UNSUPPORTED, f"The file holds more than {MAX_STREAMS} tracks. Export it with fewer.")


def _failure(completed: jail.Completed) -> InputRejected:
    """Read from ffprobe's last words what is wrong with the file."""
    said = completed.stderr_tail
    if found := re.search(r"Picture size (\d+)x(\d+) exceeds", said):
        return _too_large(int(found[1]), int(found[2]))
    if found := re.search(r"Codec \((\w+)\) not on whitelist", said):
        return InputRejected(UNSUPPORTED, f"The file holds a {found[1]} track, which cannot be decoded here.")
    if "moov atom not found" in said:
        return InputRejected(TRUNCATED, "The file has no moov box, so it cannot be read. Upload it again.")
    if completed.ending is not jail.Ending.EXITED or completed.signal_number is not None:
        return InputRejected(MALFORMED, f"The file cannot be analysed: ffprobe {completed.problem()}. Export it again.")
    lines = [re.sub(r"^\[[^\]]*\] *|/in/source: *", "", line) for line in said.splitlines() if line.strip()]
    detail = f": {lines[-1][:200]}" if lines else ""
    return InputRejected(MALFORMED, f"The file cannot be read{detail}. It may be damaged: export it again.")


def _too_large(width: int, height: int) -> InputRejected:
    return InputRejected(
        UNSUPPORTED, f"The picture of {width} x {height} pixels is too large: at most 8192 x 4320. Scale it down first."
    )


def _kind(stream: Mapping[str, Any]) -> str:
    """Tell video, audio, subtitle, data, attachment, and cover: a picture that rides along, which is no video."""
    kind = str(stream.get("codec_type", "data"))
    flags = stream.get("disposition", {})
    if kind == "video" and any(flags.get(name) for name in ("attached_pic", "timed_thumbnails", "still_image")):
        return "cover"
    return kind


def _timestamps(document: Mapping[str, Any]) -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for packet in document.get("packets", []):
        if isinstance(packet.get("pts"), int):
            found.setdefault(packet.get("stream_index", -1), []).append(packet["pts"])
    return found


def _video(stream: Mapping[str, Any], ticks: list[int], sampled_all: bool) -> VideoStream:
    codec = str(stream.get("codec_name", "unknown"))
    width, height = int(stream.get("width", 0)), int(stream.get("height", 0))
    _check_video(stream, codec, width, height)
    if not ticks and sampled_all:
        raise InputRejected(MALFORMED, "The video track holds no frames. Export the file again.")
    found = cadence(
        ticks,
        _fraction(stream.get("time_base")) or Fraction(1, 90_000),
        average=_fraction(stream.get("avg_frame_rate")),
        base=_fraction(stream.get("r_frame_rate")),
        complete=sampled_all,
    )
    if found is None or found.rate > MAX_FRAME_RATE:
        said = "no frame rate" if found is None else f"{float(found.rate):.0f} frames per second"
        raise InputRejected(UNSUPPORTED, f"The video track has {said}; at most {MAX_FRAME_RATE} are supported.")
    return VideoStream(
        index=int(stream["index"]),
        codec=codec,
        profile=_text(stream.get("profile")),
        level=_integer(stream.get("level")),
        width=width,
        height=height,
        rotation_deg=_rotation(stream),
        sample_aspect_ratio=_aspect(stream),
        frame_rate=found.rate,
        variable_frame_rate=found.variable,
        scan=_scan(_text(stream.get("field_order"))),
        pixel_format=_text(stream.get("pix_fmt")),
        bit_depth=_bit_depth(stream),
        color_range=_text(stream.get("color_range")),
        color_space=_text(stream.get("color_space")),
        color_transfer=_text(stream.get("color_transfer")),
        color_primaries=_text(stream.get("color_primaries")),
        start_s=_number(stream.get("start_time")) or 0.0,
        duration_s=_number(stream.get("duration")),
        bit_rate_bps=_integer(stream.get("bit_rate")),
        language=_language(stream),
    )


def _check_video(stream: Mapping[str, Any], codec: str, width: int, height: int) -> None:
    if stream.get("codec_tag_string") in ("encv", "drmi"):
        raise InputRejected(UNSUPPORTED, "The video is encrypted. Upload the clear file.")
    if codec == "av1":
        raise InputRejected(
            UNSUPPORTED,
            "The video is AV1, for which this engine has no decoder. Convert it to H.264, HEVC or ProRes first.",
        )
    if codec not in VIDEO_DECODERS:
        raise InputRejected(
            UNSUPPORTED, f"The video codec {codec} is not supported. Convert it to H.264, HEVC or ProRes first."
        )
    if width <= 0 or height <= 0 or not stream.get("pix_fmt"):
        raise InputRejected(MALFORMED, "The video track does not say what its picture is. Export the file again.")
    if width * height > MAX_PIXELS or max(width, height) > MAX_SIDE_PX:
        raise _too_large(width, height)


def _audio(stream: Mapping[str, Any]) -> AudioStream:
    codec = str(stream.get("codec_name", "unknown"))
    channels, sample_rate_hz = int(stream.get("channels", 0)), int(stream.get("sample_rate", 0))
    clear = stream.get("codec_tag_string") not in ("enca", "drms")
    return AudioStream(
        index=int(stream["index"]),
        codec=codec,
        profile=_text(stream.get("profile")),
        decodable=clear and codec in AUDIO_DECODERS and 0 < channels <= MAX_CHANNELS and 0 < sample_rate_hz <= 768_000,
        channels=channels,
        channel_layout=_text(stream.get("channel_layout")),
        sample_rate_hz=sample_rate_hz,
        bit_depth=_integer(stream.get("bits_per_raw_sample")) or _integer(stream.get("bits_per_sample")) or None,
        start_s=_number(stream.get("start_time")) or 0.0,
        duration_s=_number(stream.get("duration")),
        bit_rate_bps=_integer(stream.get("bit_rate")),
        language=_language(stream),
        default=bool(stream.get("disposition", {}).get("default")),
    )


def _other(stream: Mapping[str, Any]) -> OtherStream:
    return OtherStream(int(stream["index"]), _kind(stream), str(stream.get("codec_name", "unknown")), _language(stream))


def _duration(path: Path, chosen: str, container: Mapping[str, Any], limits: jail.Limits) -> float:
    """Take the container's duration, or read all time stamps of a file that does not say (a browser's recording)."""
    duration_s = _number(container.get("duration"))
    if duration_s is None:
        duration_s = _last_timestamp_s(path, chosen, limits)
    if duration_s <= 0:
        raise InputRejected(MALFORMED, f"The file says that it lasts {duration_s:g} s. Export it again.")
    if duration_s > MAX_DURATION_S:
        raise InputRejected(
            UNSUPPORTED, f"The file says that it lasts {duration_s:g} s; at most {MAX_DURATION_S:.0f} s are supported."
        )
    return duration_s


def _last_timestamp_s(path: Path, chosen: str, limits: jail.Limits) -> float:
    first_s, last_s = float("inf"), float("-inf")

    def note(line: str) -> None:
        nonlocal first_s, last_s
        start, _, length = line.partition(",")
        start_s = _number(start)
        if start_s is not None:
            first_s = min(first_s, start_s)
            last_s = max(last_s, start_s + max(_number(length.strip(",")) or 0.0, 0.0))

    completed = jail.run(
        [
            str(jail.binary("ffprobe")), "-v", "error", "-hide_banner",
            *input_options(chosen, decoders=VIDEO_DECODERS + AUDIO_DECODERS + _LOOKED_AT),
            "-show_entries", "packet=pts_time,duration_time", "-of", "csv=p=0", "-i", "/in/source",
        ],
        inputs={path: "source"},
        limits=limits,
        on_line=note,
    )  # fmt: skip
    if not completed.ok:
        raise _failure(completed)
    return last_s - first_s if last_s > first_s else 0.0


def _container(chosen: str, doc_type: str) -> str:
    if chosen == "matroska":
        return "webm" if doc_type == "webm" else "matroska"
    if chosen == "mpegts":
        return "mpegts"
    brands = {"qt  ": "quicktime", "": "quicktime"}
    if doc_type.startswith(("3gp", "3g2")):
        return "three_gp" if doc_type.startswith("3gp") else "three_g2"
    return brands.get(doc_type, "mp4")


def _timecode(document: Mapping[str, Any]) -> str | None:
    tagged = [document.get("format", {}), *document.get("streams", [])]
    for holder in tagged:
        timecode = str(holder.get("tags", {}).get("timecode", ""))
        if re.fullmatch(r"\d\d:\d\d:\d\d[:;.]\d\d", timecode):
            return timecode
    return None


def _rotation(stream: Mapping[str, Any]) -> int:
    """Turn ffmpeg's counter-clockwise angle into the clockwise quarter turns to apply."""
    for side in stream.get("side_data_list", []):
        angle = _number(side.get("rotation"))
        if angle is not None:
            return round(-angle / 90) * 90 % 360
    return 0


def _aspect(stream: Mapping[str, Any]) -> Fraction:
    ratio = _fraction(str(stream.get("sample_aspect_ratio", "")).replace(":", "/")) or Fraction(1)
    if not Fraction(1, MAX_ASPECT) <= ratio <= MAX_ASPECT:
        raise InputRejected(
            UNSUPPORTED,
            f"The pixels' aspect ratio of {ratio.numerator}:{ratio.denominator} is out of range. Export it again.",
        )
    return ratio


def _scan(field_order: str) -> str:
    orders = {"progressive": "progressive", "tt": "top_field_first", "tb": "top_field_first"}
    orders |= {"bb": "bottom_field_first", "bt": "bottom_field_first"}
    return orders.get(field_order, "unknown")


def _bit_depth(stream: Mapping[str, Any]) -> int:
    said = _integer(stream.get("bits_per_raw_sample"))
    if said:
        return said
    found = re.search(r"p(9|10|12|14|16)(?:le|be)?$|p0(10|12|16)", _text(stream.get("pix_fmt")))
    return int(found[1] or found[2]) if found else 8


def _language(stream: Mapping[str, Any]) -> str:
    """Keep an ISO 639 code, lower-case; 'und' and anything else count as not said."""
    language = str(stream.get("tags", {}).get("language", "")).lower()
    return language if re.fullmatch(r"[a-z]{2,3}", language) and language != "und" else ""


def _text(value: object) -> str:
    text = str(value) if value is not None else ""
    return "" if text in ("unknown", "N/A") else text


def _number(value: object) -> float | None:
    try:
        number = float(str(value))
    except ValueError:
        return None
    return number if abs(number) < 1e12 else None


def _integer(value: object) -> int | None:
    number = _number(value)
    return int(number) if number is not None else None


def _fraction(value: object) -> Fraction | None:
    """Read 'n/d'; None unless both are positive."""
    found = re.fullmatch(r"(\d{1,10})/(\d{1,10})", str(value))
    if not found or not int(found[1]) or not int(found[2]):
        return None
    return Fraction(int(found[1]), int(found[2]))
