"""Reads ffprobe's JSON into streams, refusing what cannot be converted.

The JSON comes from a program that has parsed hostile bytes, so nothing in it is believed: numbers are bounded, words
are held to a harmless alphabet, and what is missing is missing. Never runs anything.
Source: ffprobe's JSON writer (doc/ffprobe.xsd of FFmpeg); names as in libavutil/pixdesc.c.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction
from typing import Any, Final

from localaws.media.cadence import Cadence, cadence
from localaws.media.decoders import AUDIO_DECODERS, FULL_BUILD_CODECS, MAX_PIXELS, MAX_SIDE_PX, VIDEO_DECODERS
from localaws.media.failures import MALFORMED, UNSUPPORTED, InputRejected
from localaws.media.probed import AudioStream, OtherStream, VideoStream

MAX_FRAME_RATE: Final = 300
MAX_PIXEL_ASPECT: Final = 10
MAX_CHANNELS: Final = 64
MAX_SAMPLE_RATE_HZ: Final = 768_000

_PROTECTED_TAGS: Final = ("encv", "enca", "drmi", "drms")

# What `-show_entries` is to give; all that this module reads.
ENTRIES: Final = ":".join(
    (
        "stream=index,id,codec_name,profile,codec_type,codec_tag_string,level,width,height,sample_aspect_ratio,pix_fmt,"
        "bits_per_raw_sample,color_range,color_space,color_transfer,color_primaries,field_order,r_frame_rate,"
        "avg_frame_rate,time_base,start_time,duration,bit_rate,sample_rate,channels,channel_layout,bits_per_sample",
        "stream_tags=language,timecode",
        "stream_disposition=default,attached_pic,timed_thumbnails,still_image",
        "stream_side_data=side_data_type,rotation",
        "format=duration,start_time,nb_streams",
        "format_tags=timecode",
        "packet=stream_index,pts",
        "packet_side_data=side_data_type",
    )
)

Streams = tuple[tuple[VideoStream, ...], tuple[AudioStream, ...], tuple[OtherStream, ...]]


def read_streams(document: Mapping[str, Any], *, sample_packets: int) -> Streams:
    """Sort the streams of ffprobe's `document` into videos, audios and others, each in stream order.

    sample_packets: how many packets were asked for; fewer in the document means that it holds all there are.
    Raises InputRejected 1030 for a video that is not supported, 1075 for one that contradicts itself.
    """
    streams: list[Mapping[str, Any]] = list(document.get("streams", []))
    packets: list[Mapping[str, Any]] = list(document.get("packets", []))
    videos, audios, others = [], [], []
    for stream in streams:
        kind = _kind(stream)
        if kind == "video":
            videos.append(_video(stream, packets, complete=len(packets) < sample_packets))
        elif kind == "audio":
            audios.append(_audio(stream, packets))
        else:
            others.append(OtherStream(_index(stream), kind, _codec(stream), _language(stream)))
    return tuple(videos), tuple(audios), tuple(others)


def timecode(document: Mapping[str, Any]) -> str | None:
    """Find the start timecode, HH:MM:SS:FF, with ';' before the frames for drop frame."""
    for holder in (document.get("format", {}), *document.get("streams", [])):
        found = str(holder.get("tags", {}).get("timecode", ""))
        if re.fullmatch(r"\d\d:\d\d:\d\d[:;.]\d\d", found, re.ASCII):
            return found.replace(".", ";")
    return None


def number(value: object) -> float | None:
    """Read a number; None for 'N/A', NaN and what is beyond any media file."""
    try:
        read = float(str(value))
    except ValueError:
        return None
    return read if abs(read) < 1e12 else None


def too_large(width: int, height: int) -> InputRejected:
    return InputRejected(
        UNSUPPORTED, f"The picture of {width} x {height} pixels is too large: at most 8192 x 4320. Scale it down first."
    )


def _kind(stream: Mapping[str, Any]) -> str:
    """Tell video, audio, subtitle, data, attachment, and cover: a picture that rides along, which is no video."""
    kind = str(stream.get("codec_type"))
    flags = stream.get("disposition", {})
    if kind == "video" and any(flags.get(name) for name in ("attached_pic", "timed_thumbnails", "still_image")):
        return "cover"
    return kind if kind in ("video", "audio", "subtitle", "attachment") else "data"


def _video(stream: Mapping[str, Any], packets: list[Mapping[str, Any]], *, complete: bool) -> VideoStream:
    index, codec = _index(stream), _codec(stream)
    width, height = _integer(stream.get("width")) or 0, _integer(stream.get("height")) or 0
    if _encrypted(stream, packets):
        raise InputRejected(UNSUPPORTED, "The video is encrypted. Upload the clear file.")
    _check_codec(codec)
    _check_picture(stream, width, height)
    found = _cadence(stream, [packet for packet in packets if packet.get("stream_index") == index], complete)
    return VideoStream(
        index=index,
        codec=codec,
        profile=_text(stream.get("profile")),
        level=_integer(stream.get("level")),
        width=width,
        height=height,
        rotation_deg=_rotation(stream),
        sample_aspect_ratio=_pixel_aspect(stream),
        frame_rate=found.rate,
        variable_frame_rate=found.variable,
        scan=_scan(_text(stream.get("field_order"))),
        pixel_format=_text(stream.get("pix_fmt")),
        bit_depth=_bit_depth(stream),
        color_range=_text(stream.get("color_range")),
        color_space=_text(stream.get("color_space")),
        color_transfer=_text(stream.get("color_transfer")),
        color_primaries=_text(stream.get("color_primaries")),
        start_s=number(stream.get("start_time")) or 0.0,
        duration_s=_length_s(stream),
        bit_rate_bps=_integer(stream.get("bit_rate")),
        language=_language(stream),
    )


def _encrypted(stream: Mapping[str, Any], packets: list[Mapping[str, Any]]) -> bool:
    """Tell whether ISO/IEC 23001-7 protects the stream; ffmpeg would decode it to noise without a word."""
    own = [packet for packet in packets if packet.get("stream_index") == stream.get("index")]
    marks = [side.get("side_data_type", "") for holder in (stream, *own) for side in holder.get("side_data_list", [])]
    return stream.get("codec_tag_string") in _PROTECTED_TAGS or any(mark.startswith("Encryption") for mark in marks)


def _check_codec(codec: str) -> None:
    if codec not in (*VIDEO_DECODERS, *FULL_BUILD_CODECS):
        raise InputRejected(
            UNSUPPORTED, f"The video codec {codec} is not supported. Convert it to H.264, HEVC or ProRes first."
        )


def _check_picture(stream: Mapping[str, Any], width: int, height: int) -> None:
    if width <= 0 or height <= 0 or not _text(stream.get("pix_fmt")):
        raise InputRejected(MALFORMED, "The video track does not say what its picture is. Export the file again.")
    if width * height > MAX_PIXELS or max(width, height) > MAX_SIDE_PX:
        raise too_large(width, height)


def _cadence(stream: Mapping[str, Any], packets: list[Mapping[str, Any]], complete: bool) -> Cadence:
    if not packets and complete:
        raise InputRejected(MALFORMED, "The video track holds no frames. Export the file again.")
    found = cadence(
        [packet["pts"] for packet in packets if isinstance(packet.get("pts"), int)],
        _fraction(stream.get("time_base")) or Fraction(1, 90_000),
        average=_fraction(stream.get("avg_frame_rate")),
        base=_fraction(stream.get("r_frame_rate")),
        complete=complete,
    )
    if found is None:
        raise InputRejected(MALFORMED, "The video track has no frame rate. Export the file again.")
    if found.rate > MAX_FRAME_RATE:
        raise InputRejected(
            UNSUPPORTED,
            f"The video has {float(found.rate):.0f} frames per second; at most {MAX_FRAME_RATE} are supported.",
        )
    return found


def _audio(stream: Mapping[str, Any], packets: list[Mapping[str, Any]]) -> AudioStream:
    codec = _codec(stream)
    channels, sample_rate_hz = _integer(stream.get("channels")) or 0, _integer(stream.get("sample_rate")) or 0
    sensible = 0 < channels <= MAX_CHANNELS and 0 < sample_rate_hz <= MAX_SAMPLE_RATE_HZ
    return AudioStream(
        index=_index(stream),
        codec=codec,
        profile=_text(stream.get("profile")),
        decodable=sensible and codec in AUDIO_DECODERS and not _encrypted(stream, packets),
        channels=channels,
        channel_layout=_text(stream.get("channel_layout")),
        sample_rate_hz=sample_rate_hz,
        bit_depth=_integer(stream.get("bits_per_raw_sample")) or _integer(stream.get("bits_per_sample")) or None,
        start_s=number(stream.get("start_time")) or 0.0,
        duration_s=_length_s(stream),
        bit_rate_bps=_integer(stream.get("bit_rate")),
        language=_language(stream),
        default=bool(stream.get("disposition", {}).get("default")),
        pid=_pid(stream),
    )


def _pid(stream: Mapping[str, Any]) -> int | None:
    """The stream's number in its container, which in a transport stream is the PID."""
    said = str(stream.get("id"))
    return int(said, 16) if re.fullmatch(r"0x[0-9a-f]{1,8}", said) else None


def _rotation(stream: Mapping[str, Any]) -> int:
    """Turn ffmpeg's counter-clockwise angle into the clockwise quarter turns to apply."""
    for side in stream.get("side_data_list", []):
        angle = number(side.get("rotation"))
        if angle is not None:
            return round(-angle / 90) * 90 % 360
    return 0


def _pixel_aspect(stream: Mapping[str, Any]) -> Fraction:
    ratio = _fraction(str(stream.get("sample_aspect_ratio")).replace(":", "/")) or Fraction(1)
    if not Fraction(1, MAX_PIXEL_ASPECT) <= ratio <= MAX_PIXEL_ASPECT:
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


def _index(stream: Mapping[str, Any]) -> int:
    return int(stream["index"])


def _codec(stream: Mapping[str, Any]) -> str:
    name = str(stream.get("codec_name"))
    return name if re.fullmatch(r"[a-z0-9_]{2,32}", name) else "unknown"


def _language(stream: Mapping[str, Any]) -> str:
    """Keep an ISO 639 code, lower-case; 'und' and anything else count as not said."""
    language = str(stream.get("tags", {}).get("language")).lower()
    return language if re.fullmatch(r"[a-z]{2,3}", language) and language != "und" else ""


def _text(value: object) -> str:
    text = str(value)
    if text in ("None", "unknown", "N/A") or not re.fullmatch(r"[A-Za-z0-9 _.:()+@/,-]{1,80}", text):
        return ""
    return text


def _length_s(stream: Mapping[str, Any]) -> float | None:
    """The stream's duration in seconds, None when it says none that makes sense."""
    said = number(stream.get("duration"))
    return said if said is not None and said > 0 else None


def _integer(value: object) -> int | None:
    """Read a whole number; None for a negative one, which is ffmpeg's way to say that it does not know."""
    read = number(value)
    return int(read) if read is not None and read >= 0 else None


def _fraction(value: object) -> Fraction | None:
    """Read 'n/d'; None unless both are positive."""
    found = re.fullmatch(r"(\d{1,10})/(\d{1,10})", str(value), re.ASCII)
    if not found or not int(found[1]) or not int(found[2]):
        return None
    return Fraction(int(found[1]), int(found[2]))
