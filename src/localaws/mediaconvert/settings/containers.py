"""Reads what container an output gets, and refuses codecs that do not belong into it. Pure.

Source: MediaConvert user guide, "Supported output formats"
(https://docs.aws.amazon.com/mediaconvert/latest/ug/reference-codecs-containers.html), and the API reference of
Output.Extension. Unverified: which audio codecs beside AAC, AC-3 and E-AC-3 MP4, MOV and M2TS may hold, VP9 in
MP4, and extensions without a container, of which the reference names examples alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from localaws.media.failures import SettingRefused
from localaws.mediaconvert.settings.audio_codecs import AudioCoding
from localaws.mediaconvert.settings.codecs import H264, H265, Av1, Capture, Coded, Mpeg2, Vp8, Vp9
from localaws.mediaconvert.settings.hls import stream_number
from localaws.mediaconvert.settings.intra_codecs import Gif, Passthrough, Prores, Uncompressed, Vc3
from localaws.mediaconvert.settings.packaging import CMAF, DASH, HLS, SMOOTH

Json = Mapping[str, Any]

_DOLBY = frozenset({"AAC", "AC3", "EAC3"})


@dataclass(frozen=True)
class Kind:
    """A container of file groups: ffmpeg's muxer, the extension, and the codecs that it holds."""

    muxer: str
    extension: str
    videos: frozenset[type]
    audios: frozenset[str]


_FILES = {
    "GIF": Kind("gif", "gif", frozenset({Gif}), frozenset()),
    "M2TS": Kind("mpegts", "m2ts", frozenset({H264, H265, Mpeg2, Passthrough}), _DOLBY | {"MP2", "MP3"}),
    "MOV": Kind(
        "mov", "mov", frozenset({H264, H265, Mpeg2, Passthrough, Prores}), _DOLBY | {"AIFF", "MP2", "MP3", "WAV"}
    ),
    "MP4": Kind("mp4", "mp4", frozenset({H264, H265, Av1, Passthrough, Vp9}), _DOLBY | {"FLAC", "MP3", "OPUS"}),
    "MXF": Kind("mxf", "mxf", frozenset({H264, Mpeg2, Passthrough, Vc3}), frozenset({"WAV"})),
    "OGG": Kind("ogg", "ogg", frozenset(), frozenset({"FLAC", "OPUS", "VORBIS"})),
    "WEBM": Kind("webm", "webm", frozenset({Vp8, Vp9}), frozenset({"OPUS", "VORBIS"})),
    "Y4M": Kind("yuv4mpegpipe", "y4m", frozenset({Uncompressed}), frozenset()),
}
# Without a container: codec -> muxer, which is the extension, too.
_RAW_VIDEO: Mapping[type, tuple[str, str]] = {
    H264: ("h264", "h264"),
    H265: ("hevc", "h265"),
    Mpeg2: ("mpeg2video", "m2v"),
    Passthrough: ("h264", "h264"),
    Vc3: ("dnxhd", "dnxhd"),
}
_RAW_AUDIO = {
    "AAC": ("adts", "aac"),
    "AC3": ("ac3", "ac3"),
    "AIFF": ("aiff", "aiff"),
    "EAC3": ("eac3", "eac3"),
    "FLAC": ("flac", "flac"),
    "MP2": ("mp2", "mp2"),
    "MP3": ("mp3", "mp3"),
    "WAV": ("wav", "wav"),
}
_STREAMED: Mapping[str, tuple[frozenset[type], frozenset[str]]] = {
    CMAF: (frozenset({H264, H265, Av1, Vp9}), _DOLBY),
    DASH: (frozenset({H264, H265, Av1, Vp9}), _DOLBY),
    HLS: (frozenset({H264, H265}), _DOLBY),
    SMOOTH: (frozenset({H264, H265}), frozenset({"AAC"})),
}


@dataclass(frozen=True)
class TransportStream:
    """Identifiers and clocks of a transport stream. `mux_rate_bps` None lets it vary; periods None are the muxer's."""

    video_pid: int = 481
    audio_pids: tuple[int, ...] = (482,)
    pmt_pid: int = 480
    program: int = 1
    stream_id: int = 1
    start_s: Fraction = Fraction(2)
    mux_rate_bps: int | None = None
    table_period_ms: int | None = None
    clock_period_ms: int | None = None


@dataclass(frozen=True)
class Container:
    """What ffmpeg writes for an output. `brand` and `fast_start` are MP4's, `stream` a transport stream's.

    negative_offsets: composition offsets of MP4 are signed, so that pictures begin at zero without an edit list.
    """

    muxer: str
    extension: str
    fast_start: bool = False
    brand: str | None = None
    stream: TransportStream | None = None
    negative_offsets: bool = False


def file(path: str, settings: Json, video: Coded | Capture | None, audios: list[AudioCoding]) -> Container:
    """Read ContainerSettings of an output of a file group, found at `path`. Raises SettingRefused."""
    name = settings.get("Container") or ("RAW" if isinstance(video, Capture) else "MP4")
    if isinstance(video, Capture):
        if name != "RAW":
            raise SettingRefused(f"{path}.container", f"frame capture needs RAW, got {name}")
        return Container("image2", "jpg")
    if name == "RAW":
        return _raw(path, video, audios)
    kind = _FILES.get(name)
    if kind is None:
        raise SettingRefused(f"{path}.container", f"{name} does not belong to a file group")
    _belong(f"{path}.container", name, kind.videos, kind.audios, video, audios)
    if name == "MXF":
        _essence(f"{path}.container", video, audios)
    mp4 = settings.get("Mp4Settings") or {}
    if mp4.get("CttsVersion") == 1 and mp4.get("CslgAtom") != "INCLUDE":
        raise SettingRefused(f"{path}.mp4Settings.cttsVersion", "1 needs cslgAtom INCLUDE")
    return Container(
        kind.muxer,
        kind.extension,
        # QuickTime files are read over HTTP as well.
        name == "MOV" or (name == "MP4" and mp4.get("MoovPlacement", _PROGRESSIVE) == _PROGRESSIVE),
        mp4.get("Mp4MajorBrand") if name == "MP4" else None,
        _transport_stream(f"{path}.m2tsSettings", settings.get("M2tsSettings") or {}) if name == "M2TS" else None,
        negative_offsets=name == "MP4" and mp4.get("CttsVersion") == 1,
    )


_PROGRESSIVE = "PROGRESSIVE_DOWNLOAD"


def streamed(path: str, group: str, container: str, video: Coded | Capture | None, audios: list[AudioCoding]) -> None:
    """Refuse what a segmented group cannot hold."""
    videos, sounds = _STREAMED[group]
    _belong(f"{path}.container", container, videos, sounds, video, audios)


def _raw(path: str, video: Coded | None, audios: list[AudioCoding]) -> Container:
    if (video is None) != (len(audios) == 1):
        raise SettingRefused(f"{path}.container", "RAW holds one track: a picture or a sound")
    found = _RAW_VIDEO.get(type(video)) if video is not None else _RAW_AUDIO.get(audios[0].codec)
    if found is None:
        name = type(video).__name__ if video is not None else audios[0].codec
        raise SettingRefused(f"{path}.container", f"{name} needs a container, RAW has none")
    return Container(*found)


def _belong(
    path: str,
    name: str,
    videos: frozenset[type],
    sounds: frozenset[str],
    video: Coded | Capture | None,
    audios: list[AudioCoding],
) -> None:
    if video is not None and type(video) not in videos:
        raise SettingRefused(path, f"{name} does not hold {type(video).__name__.upper()}")
    for audio in audios:
        if audio.codec not in sounds:
            raise SettingRefused(path, f"{name} does not hold {audio.codec}")


def _essence(path: str, video: Coded | Capture | None, audios: list[AudioCoding]) -> None:
    """SMPTE ST 382 has more than this; ffmpeg's muxer writes no other sound, and no file without pictures."""
    if video is None:
        raise SettingRefused(path, "MXF needs pictures here; sound alone goes into RAW, MOV or MP4")
    for audio in audios:
        if audio.sample_rate_hz != 48_000:
            raise SettingRefused(path, f"MXF holds sound of 48000 Hz here, got {audio.sample_rate_hz}")


def _transport_stream(path: str, own: Json) -> TransportStream:
    unit = {"SECONDS": 1, "MILLISECONDS": 1000}.get(own.get("PtsOffsetMode") or "AUTO")
    constant = own.get("RateMode") == "CBR"
    if constant and not own.get("Bitrate"):
        raise SettingRefused(f"{path}.bitrate", "is needed where rateMode is CBR")
    found = TransportStream(
        own.get("VideoPid") or 481,
        tuple(own.get("AudioPids") or range(482, 493)),
        own.get("PmtPid") or 480,
        stream_number(path, own, "ProgramNumber"),
        stream_number(path, own, "TransportStreamId"),
        Fraction(2) if unit is None else Fraction(own.get("PtsOffset", 2 * unit), unit),
        own["Bitrate"] if constant else None,
        own.get("PatInterval") or None,
        own.get("MaxPcrInterval") or None,
    )
    if {found.video_pid, found.pmt_pid} & set(found.audio_pids) or found.video_pid == found.pmt_pid:
        raise SettingRefused(f"{path}.videoPid", "video, audio and PMT need PIDs of their own")
    return found
