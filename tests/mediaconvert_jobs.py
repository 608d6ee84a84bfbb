"""Builds CreateJob settings for tests, small and complete."""

from __future__ import annotations

from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

from localaws.media import addresses
from localaws.mediaconvert import naming
from localaws.mediaconvert.planning.film import Source, SourceAudio, SourceVideo
from localaws.mediaconvert.planning.plan import plan
from localaws.mediaconvert.planning.planned import Plan
from localaws.mediaconvert.settings import request

Json = dict[str, Any]
STARTED = datetime(2026, 11, 22, 12, 30, 5, tzinfo=UTC)


def h264(**members: Any) -> Json:
    defaults = {
        "RateControlMode": "QVBR",
        "MaxBitrate": 600_000,
        "GopSize": 1,
        "GopSizeUnits": "SECONDS",
        "QualityTuningLevel": "SINGLE_PASS",
    }
    return {"Codec": "H_264", "H264Settings": {**defaults, **members}}


def video(modifier: str, *, container: str = "CMFC", codec: Json | None = None, **description: Any) -> Json:
    return {
        **({"NameModifier": modifier} if modifier else {}),
        "ContainerSettings": {"Container": container},
        "VideoDescription": {**description, "CodecSettings": codec or h264()},
    }


def aac(**members: Any) -> Json:
    settings = {"Bitrate": 64_000, "CodingMode": "CODING_MODE_2_0", "SampleRate": 48_000, **members}
    return {"CodecSettings": {"Codec": "AAC", "AacSettings": settings}}


def audio(modifier: str, *, container: str = "CMFC", **members: Any) -> Json:
    return {
        "NameModifier": modifier,
        "ContainerSettings": {"Container": container},
        "AudioDescriptions": [aac(**members)],
    }


def tracks(count: int) -> tuple[list[Json], Json]:
    """AudioDescriptions of the first tracks of a source, with its languages, and the AudioSelectors they name."""
    numbers = range(1, count + 1)
    described = [
        {"AudioSourceName": f"Audio {number}", "LanguageCodeControl": "FOLLOW_INPUT", **aac()} for number in numbers
    ]
    return described, {f"Audio {number}": {"SelectorType": "TRACK", "Tracks": [number]} for number in numbers}


def frames(modifier: str = "", *, height: int = 90, rate: tuple[int, int] = (1, 1), most: int = 2) -> Json:
    codec = {
        "Codec": "FRAME_CAPTURE",
        "FrameCaptureSettings": {
            "FramerateNumerator": rate[0],
            "FramerateDenominator": rate[1],
            "MaxCaptures": most,
            "Quality": 80,
        },
    }
    return video(modifier, container="RAW", codec=codec, Height=height)


def cmaf(*outputs: Json, destination: str = "s3://media/a/main", **members: Any) -> Json:
    own = {
        "Destination": destination,
        "SegmentLength": 2,
        "FragmentLength": 2,
        "SegmentControl": "SEGMENTED_FILES",
        **members,
    }
    return _group("CMAF", "CmafGroupSettings", own, outputs)


def dash(*outputs: Json, destination: str = "s3://media/d/dash", **members: Any) -> Json:
    own = {
        "Destination": destination,
        "SegmentLength": 2,
        "FragmentLength": 2,
        "SegmentControl": "SEGMENTED_FILES",
        **members,
    }
    return _group("DASH_ISO", "DashIsoGroupSettings", own, outputs)


def file(*outputs: Json, destination: str = "s3://media/f/film") -> Json:
    return _group("FILE", "FileGroupSettings", {"Destination": destination}, outputs)


def _group(kind: str, member: str, own: Json, outputs: tuple[Json, ...]) -> Json:
    return {"OutputGroupSettings": {"Type": f"{kind}_GROUP_SETTINGS", member: own}, "Outputs": list(outputs)}


def settings(*groups: Json, uri: str = "s3://source/inputs/film.mp4", **members: Any) -> Json:
    return {"Inputs": [{"FileInput": uri, **members}], "OutputGroups": list(groups)}


def encryption(url: str, *, method: str = "SAMPLE_AES", systems: tuple[str, ...] = (), **speke: Any) -> Json:
    """Of a CMAF group."""
    return {
        "Type": "SPEKE",
        "EncryptionMethod": method,
        "SpekeKeyProvider": {
            "Url": url,
            "ResourceId": "asset-1",
            "DashSignaledSystemIds": list(systems),
            "HlsSignaledSystemIds": list(systems),
            "EncryptionContractConfiguration": {
                "SpekeVideoPreset": "PRESET_VIDEO_1",
                "SpekeAudioPreset": "PRESET_AUDIO_1",
            },
            **speke,
        },
    }


def source(
    width: int = 1920,
    height: int = 1080,
    *,
    rate: Fraction = Fraction(25),
    rotation: int = 0,
    sar: Fraction = Fraction(1),
    audio_channels: int = 2,
    interlaced: bool = False,
    duration_s: float = 10.0,
) -> Source:
    audios = (SourceAudio(1, audio_channels, "eng"),) if audio_channels else ()
    return Source("mov", duration_s, SourceVideo(0, width, height, rotation, sar, rate, interlaced), audios)


def planned(job_settings: Json, of: Source | None = None) -> Plan:
    asked = request.read(job_settings)
    stem = naming.input_stem(addresses.file_name(asked.input_uri or ""))
    return plan(asked, {uri: of or source() for uri in asked.media()}, naming.Facts(STARTED, stem))


def hls(*outputs: Json, destination: str = "s3://media/h/hls", **members: Any) -> Json:
    own = {"Destination": destination, "SegmentLength": 2, "SegmentControl": "SEGMENTED_FILES", **members}
    return _group("HLS", "HlsGroupSettings", own, outputs)


def hls_output(output: Json, *, m3u8: Json | None = None, **members: Any) -> Json:
    """An output in M3U8 with HlsSettings of its own."""
    container: Json = {"Container": "M3U8", **({"M3u8Settings": m3u8} if m3u8 else {})}
    return {**output, "ContainerSettings": container, "OutputSettings": {"HlsSettings": members}}


def static_key(url: str, key: str = "00112233445566778899aabbccddeeff", **members: Any) -> Json:
    """Encryption with a key that the job itself holds, of an HLS group unless `members` say another method."""
    provider = {"StaticKeyValue": key, "Url": url, **members.pop("StaticKeyProvider", {})}
    return {"Type": "STATIC_KEY", "EncryptionMethod": "AES128", "StaticKeyProvider": provider, **members}


def smooth(*outputs: Json, destination: str = "s3://media/s/smooth", **members: Any) -> Json:
    own = {"Destination": destination, "FragmentLength": 1, **members}
    return _group("MS_SMOOTH", "MsSmoothGroupSettings", own, outputs)
