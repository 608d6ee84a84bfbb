"""What probing found in a source, as values with units in their names, and the same as MediaConvert's ProbeResult.

Never touches a file. Source: botocore's mediaconvert model, ProbeResult; codec names as ffmpeg spells them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from typing import Any, Final

from localaws.media.mastering import Hdr10


@dataclass(frozen=True)
class VideoStream:
    """One moving picture. width, height: as coded, before rotation_deg (clockwise turn to show it: 0 90 180 270).

    frame_rate: frames/s, a standard rate where it is within 0.2 % of one; the usual one when variable.
    scan: 'progressive', 'top_field_first', 'bottom_field_first' or 'unknown'. color_*: ffmpeg's names, '' if not said.
    """

    index: int
    codec: str
    profile: str
    level: int | None
    width: int
    height: int
    rotation_deg: int
    sample_aspect_ratio: Fraction
    frame_rate: Fraction
    variable_frame_rate: bool
    scan: str
    pixel_format: str
    bit_depth: int
    color_range: str
    color_space: str
    color_transfer: str
    color_primaries: str
    start_s: float
    duration_s: float | None
    bit_rate_bps: int | None
    language: str

    @property
    def display_size(self) -> tuple[int, int]:
        """Width and height in square pixels as shown: sample aspect ratio, then rotation, applied. Never 0."""
        width = max(1, round(self.width * self.sample_aspect_ratio))
        return (self.height, width) if self.rotation_deg in (90, 270) else (width, self.height)

    @property
    def interlaced(self) -> bool:
        return self.scan in ("top_field_first", "bottom_field_first")

    @property
    def hdr(self) -> bool:
        return self.color_transfer in ("smpte2084", "arib-std-b67")


@dataclass(frozen=True)
class AudioStream:
    """decodable: whether this engine has the decoder; the plan leaves others out or says so. pid: of MPEG-TS."""

    index: int
    codec: str
    profile: str
    decodable: bool
    channels: int
    channel_layout: str
    sample_rate_hz: int
    bit_depth: int | None
    start_s: float
    duration_s: float | None
    bit_rate_bps: int | None
    language: str
    default: bool
    pid: int | None = None


@dataclass(frozen=True)
class OtherStream:
    """Neither picture nor sound: kind 'subtitle', 'data', 'attachment' or 'cover' (an attached picture)."""

    index: int
    kind: str
    codec: str
    language: str


@dataclass(frozen=True)
class Probed:
    """A source that can be converted. demuxer: for ffmpeg's -f; container: as AWS names it; lists in stream order.

    active_format: code of the first frame, where it was asked for and there is one. bottom_first: whether its bottom
    field is the first, which of H.264 the stream does not say; None where nobody asked. mastering: of HDR pictures.
    """

    demuxer: str
    container: str
    size_bytes: int
    duration_s: float
    start_s: float
    videos: tuple[VideoStream, ...]
    audios: tuple[AudioStream, ...]
    others: tuple[OtherStream, ...]
    timecode: str | None
    active_format: int | None = None
    bottom_first: bool | None = None
    mastering: Hdr10 | None = None

    @property
    def video(self) -> VideoStream | None:
        """The picture that a job converts: the first."""
        return self.videos[0] if self.videos else None

    @property
    def audio(self) -> AudioStream | None:
        """The sound that a job converts unless told otherwise: of the decodable the first default, else the first."""
        usable = [audio for audio in self.audios if audio.decodable]
        return next((audio for audio in usable if audio.default), usable[0] if usable else None)

    @property
    def bit_rate_bps(self) -> int:
        return int(self.size_bytes * 8 / self.duration_s) if self.duration_s else 0

    @property
    def streams(self) -> tuple[VideoStream | AudioStream | OtherStream, ...]:
        return tuple(sorted((*self.videos, *self.audios, *self.others), key=lambda stream: stream.index))


# ffmpeg's name -> botocore's enum.
_CODECS: Final = {
    "h264": "AVC", "hevc": "HEVC", "av1": "AV1", "vp8": "VP8", "vp9": "VP9", "mpeg1video": "MPEG1",
    "mpeg2video": "MPEG2", "mpeg4": "MP4V", "prores": "PRORES", "dnxhd": "VC3", "mjpeg": "MJPEG", "vc1": "VC1",
    "qtrle": "QTRLE", "dvvideo": "DV", "jpeg2000": "JPEG2000", "theora": "THEORA", "rawvideo": "UNCOMPRESSED",
    "v210": "UNCOMPRESSED", "aac": "AAC", "ac3": "AC3", "eac3": "EAC3", "mp2": "MP2", "mp3": "MP3", "opus": "OPUS",
    "vorbis": "VORBIS", "flac": "FLAC", "wmav2": "WMA2", "wmapro": "WMAPRO", "amr_nb": "AMR", "amr_wb": "AMR",
    "eia_608": "C608", "webvtt": "WEBVTT",
}  # fmt: skip
_PRIMARIES: Final = {
    "bt709": "ITU_709", "bt470m": "ITU_470M", "bt470bg": "ITU_470BG", "smpte170m": "SMPTE_170M",
    "smpte240m": "SMPTE_240M", "film": "GENERIC_FILM", "bt2020": "ITU_2020", "smpte428": "SMPTE_428_1",
    "smpte431": "SMPTE_431_2", "smpte432": "SMPTE_EG_432_1", "ebu3213": "EBU_3213_E",
}  # fmt: skip
_TRANSFER: Final = {
    "bt709": "ITU_709", "bt470m": "ITU_470M", "bt470bg": "ITU_470BG", "smpte170m": "SMPTE_170M",
    "smpte240m": "SMPTE_240M", "linear": "LINEAR", "log100": "LOG10_2", "log316": "LOC10_2_5",
    "iec61966-2-4": "IEC_61966_2_4", "bt1361e": "ITU_1361", "iec61966-2-1": "IEC_61966_2_1",
    "bt2020-10": "ITU_2020_10bit", "bt2020-12": "ITU_2020_12bit", "smpte2084": "SMPTE_2084",
    "smpte428": "SMPTE_428_1", "arib-std-b67": "ARIB_B67",
}  # fmt: skip
_MATRIX: Final = {
    "gbr": "RGB", "bt709": "ITU_709", "fcc": "FCC", "bt470bg": "ITU_470BG", "smpte170m": "SMPTE_170M",
    "smpte240m": "SMPTE_240M", "ycgco": "YCgCo", "bt2020nc": "ITU_2020_NCL", "bt2020c": "ITU_2020_CL",
    "smpte2085": "SMPTE_2085", "ictcp": "ITU_2100ICtCp",
}  # fmt: skip


def to_probe_result(probed: Probed, *, etag: str = "", last_modified: datetime | None = None) -> dict[str, Any]:
    """Build botocore's ProbeResult. etag as S3 gives it, last_modified with time zone; tracks count from 1."""
    tracks = [_track(stream, probed) for stream in probed.streams if not _is_cover(stream)]
    for number, track in enumerate(tracks, start=1):
        track["Index"] = number
    metadata: dict[str, Any] = {"FileSize": probed.size_bytes, "MimeType": _mime_type(probed)}
    if etag:
        metadata["ETag"] = etag
    if last_modified is not None:
        metadata["LastModified"] = last_modified
    container = {
        "BitRate": probed.bit_rate_bps,
        "Duration": probed.duration_s,
        "Format": probed.container,
        "Tracks": tracks,
    }
    if probed.timecode:
        container["StartTimecode"] = probed.timecode
    return {
        "Container": container,
        "Metadata": metadata,
        "TrackMappings": [
            {
                f"{kind.capitalize()}TrackIndexes": [track["Index"] for track in tracks if track["TrackType"] == kind]
                for kind in ("audio", "data", "video")
            }
        ],
    }


def _is_cover(stream: VideoStream | AudioStream | OtherStream) -> bool:
    return isinstance(stream, OtherStream) and stream.kind in ("cover", "attachment")


def _track(stream: VideoStream | AudioStream | OtherStream, probed: Probed) -> dict[str, Any]:
    track: dict[str, Any] = {"Index": 0, "Codec": _codec(stream.codec)}
    if isinstance(stream, VideoStream):
        duration_s = stream.duration_s or probed.duration_s
        return track | {"TrackType": "video", "Duration": duration_s, "VideoProperties": _video_properties(stream)}
    if isinstance(stream, AudioStream):
        duration_s = stream.duration_s or probed.duration_s
        return track | {"TrackType": "audio", "Duration": duration_s, "AudioProperties": _audio_properties(stream)}
    properties = {"LanguageCode": stream.language} if stream.language else {}
    return track | {"TrackType": "data", "DataProperties": properties}


def _codec(name: str) -> str:
    return "PCM" if name.startswith("pcm_") else _CODECS.get(name, "UNKNOWN")


def _video_properties(stream: VideoStream) -> dict[str, Any]:
    width, height = stream.width * stream.sample_aspect_ratio, stream.height
    metadata: dict[str, Any] = {
        "BitDepth": stream.bit_depth,
        "ChromaSubsampling": _chroma(stream.pixel_format),
        "CodedFrameRate": _ratio(stream.frame_rate),
        "Height": stream.height,
        "Profile": stream.profile,
        "ScanType": "interlaced" if stream.interlaced else "progressive",
        "Width": stream.width,
    }
    if stream.level is not None:
        metadata["Level"] = str(stream.level)
    if stream.interlaced:
        metadata["FieldOrder"] = "TFF" if stream.scan == "top_field_first" else "BFF"
    properties: dict[str, Any] = {
        "BitDepth": stream.bit_depth,
        "CodecMetadata": metadata,
        "ColorPrimaries": _PRIMARIES.get(stream.color_primaries, "UNSPECIFIED"),
        "DisplayAspectRatio": _ratio(Fraction(width) / height),
        "FrameRate": _ratio(stream.frame_rate),
        "Height": stream.height,
        "MatrixCoefficients": _MATRIX.get(stream.color_space, "UNSPECIFIED"),
        "Rotation": stream.rotation_deg,
        "SampleAspectRatio": _ratio(stream.sample_aspect_ratio),
        "TransferCharacteristics": _TRANSFER.get(stream.color_transfer, "UNSPECIFIED"),
        "Width": stream.width,
    }
    if stream.bit_rate_bps is not None:
        properties["BitRate"] = stream.bit_rate_bps
    return properties


def _audio_properties(stream: AudioStream) -> dict[str, Any]:
    properties: dict[str, Any] = {
        "ChannelLayout": stream.channel_layout,
        "Channels": stream.channels,
        "SampleRate": stream.sample_rate_hz,
    }
    if stream.bit_depth:
        properties["BitDepth"] = stream.bit_depth
    if stream.bit_rate_bps is not None:
        properties["BitRate"] = stream.bit_rate_bps
    if stream.language:
        properties["LanguageCode"] = stream.language
    return properties


def _ratio(value: Fraction) -> dict[str, int]:
    return {"Numerator": value.numerator, "Denominator": value.denominator}


def _chroma(pixel_format: str) -> str:
    for digits in ("420", "422", "444", "440", "411", "410"):
        if digits in pixel_format:
            return ":".join(digits)
    return "4:2:0" if pixel_format.startswith(("nv12", "p010")) else "4:4:4"


def _mime_type(probed: Probed) -> str:
    kind = "video" if probed.videos else "audio"
    names = {"quicktime": "quicktime", "matroska": "x-matroska", "webm": "webm", "mpegts": "mp2t"}
    names |= {"wave": "wav", "flac": "flac", "mp3": "mpeg", "aac": "aac"}
    return f"{kind}/{names.get(probed.container, 'mp4')}"
