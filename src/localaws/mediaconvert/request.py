"""Reads CreateJob's Settings into values, and refuses by path what contradicts itself. Pure; looks at no source.

Members that are not offered at all have been refused by `settings_table` before. Source: botocore's model and the
MediaConvert API reference for each member's default.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from localaws.mediaconvert import hls_settings, naming, packaging
from localaws.mediaconvert.packaging import CMAF, DASH, FILE, HLS, Packaging
from localaws.mediaconvert.rules import SettingRefused

Json = Mapping[str, Any]

_GROUPS = {
    "CMAF_GROUP_SETTINGS": (CMAF, "CmafGroupSettings", "CMFC"),
    "DASH_ISO_GROUP_SETTINGS": (DASH, "DashIsoGroupSettings", "MPD"),
    "FILE_GROUP_SETTINGS": (FILE, "FileGroupSettings", "MP4"),
    "HLS_GROUP_SETTINGS": (HLS, "HlsGroupSettings", "M3U8"),
}
_CHANNELS = {"CODING_MODE_1_0": 1, "CODING_MODE_2_0": 2, "CODING_MODE_5_1": 6, "CODING_MODE_AUTO": None}
_AAC_DEFAULT_BPS = {None: 128_000, 1: 64_000, 2: 128_000, 6: 384_000}


@dataclass(frozen=True)
class H264:
    """How a picture is coded. `quality` is QVBR's level, 1 to 10; `gop_size` counts `gop_units`."""

    rate_control: str
    bitrate_bps: int | None
    max_bitrate_bps: int | None
    buffer_bits: int | None
    buffer_fill_percent: int | None
    quality: float
    tuning: str
    profile: str
    level: str | None
    frame_rate: Fraction | None
    gop_size: Fraction | None
    gop_units: str
    b_frames: int | None
    b_reference: bool | None
    adaptive_b: bool
    references: int | None
    cabac: bool
    slices: int | None
    adaptive_quantization: bool
    weighted_prediction: bool | None


@dataclass(frozen=True)
class Capture:
    """One frame every 1/`rate` seconds, the first one first; `quality` 1 to 100."""

    rate: Fraction
    most: int | None
    quality: int


@dataclass(frozen=True)
class Video:
    path: str
    width: int | None
    height: int | None
    scaling: str
    codec: H264 | Capture


@dataclass(frozen=True)
class Audio:
    """`track` counts the source's audio tracks from 1, None takes its default; `channels` None follows the source."""

    path: str
    track: int | None
    channels: int | None
    sample_rate_hz: int
    bitrate_bps: int | None
    vbr_quality: str | None
    language: str | None
    language_of_source: bool
    label: str | None


@dataclass(frozen=True)
class Output:
    path: str
    modifier: str
    extension: str
    video: Video | None
    audio: Audio | None
    fast_start: bool = True
    brand: str | None = None
    audio_group: str | None = None
    audio_default: bool = True
    hls: hls_settings.HlsOutput | None = None


@dataclass(frozen=True)
class Group:
    path: str
    type: str
    destination: str
    outputs: tuple[Output, ...]
    packaging: Packaging | None


@dataclass(frozen=True)
class Job:
    """What a job asks for. `rotate` is a clockwise angle in degrees, None to follow the source's own rotation."""

    input_uri: str
    rotate: int | None
    groups: tuple[Group, ...]


def read(settings: Json) -> Job:
    """Turn Settings into values. Raises SettingRefused with the path of the setting that cannot be used."""
    inputs = settings.get("Inputs") or []
    if len(inputs) != 1:
        raise SettingRefused("inputs", f"one input is needed and more are not offered yet, got {len(inputs)}")
    uri = inputs[0].get("FileInput")
    if not uri:
        raise SettingRefused("inputs[0].fileInput", "an input is needed, for instance s3://bucket/film.mp4")
    _address("inputs[0].fileInput", uri)
    selectors = _selectors(inputs[0])
    groups = settings.get("OutputGroups") or []
    if not groups:
        raise SettingRefused("outputGroups", "at least one output group is needed")
    read_groups = tuple(_group(f"outputGroups[{index}]", group, selectors) for index, group in enumerate(groups))
    outputs = [output for group in read_groups for output in group.outputs]
    if all(isinstance(output.video.codec if output.video else None, Capture) for output in outputs):
        raise SettingRefused("outputGroups", "frame capture cannot be the only output of a job")
    angle = {None: 0, "DEGREE_0": 0, "DEGREES_90": 90, "DEGREES_180": 180, "DEGREES_270": 270, "AUTO": None}
    return Job(uri, angle[(inputs[0].get("VideoSelector") or {}).get("Rotate")], read_groups)


def _address(path: str, uri: str) -> None:
    try:
        naming.object_address(uri)
    except naming.NameRefused as exc:
        raise SettingRefused(path, f"{exc}, got {uri[:80]!r}") from exc


def _selectors(source: Json) -> dict[str, int | None]:
    """Name of each audio selector -> track, counted from 1; the empty name stands for no selector at all."""
    selectors: dict[str, int | None] = {}
    fallback: int | None = None
    for name, selector in (source.get("AudioSelectors") or {}).items():
        tracks = selector.get("Tracks") or [None]
        if len(tracks) != 1:
            raise SettingRefused(f"inputs[0].audioSelectors.{name}.tracks", "several tracks in one are not offered yet")
        selectors[name] = tracks[0]
        if selector.get("DefaultSelection") == "DEFAULT":
            fallback = tracks[0]
    return {**selectors, "": fallback}


def _group(path: str, group: Json, selectors: Mapping[str, int | None]) -> Group:
    outer = group.get("OutputGroupSettings") or {}
    if "Type" not in outer:
        raise SettingRefused(f"{path}.outputGroupSettings.type", "a type is needed")
    kind, member, container = _GROUPS[outer["Type"]]
    spelled = f"{path}.outputGroupSettings.{member[0].lower()}{member[1:]}"
    for other in outer:
        if other not in ("Type", member):
            raise SettingRefused(f"{path}.outputGroupSettings", f"{other} does not belong to {outer['Type']}")
    own = outer.get(member) or {}
    uri = own.get("Destination")
    if not uri:
        raise SettingRefused(f"{spelled}.destination", "a destination is needed, for instance s3://bucket/folder/name")
    _address(f"{spelled}.destination", uri)
    _identifiers(f"{spelled}.destination", uri, naming.DESTINATION_IDENTIFIERS)
    outputs = group.get("Outputs") or []
    if not outputs:
        raise SettingRefused(f"{path}.outputs", "at least one output is needed")
    read_outputs = tuple(
        _output(f"{path}.outputs[{index}]", kind, container, output, selectors, len(outputs) > 1)
        for index, output in enumerate(outputs)
    )
    _distinct(path, read_outputs)
    return Group(path, kind, uri, read_outputs, None if kind == FILE else packaging.read(spelled, kind, own))


def _identifiers(path: str, text: str, known: frozenset[str]) -> None:
    unknown = sorted(naming.identifiers(text) - known)
    if unknown:
        raise SettingRefused(path, f"the identifier ${unknown[0]}$ is not offered here")


def _distinct(path: str, outputs: Sequence[Output]) -> None:
    seen: dict[tuple[str, str], str] = {}
    for output in outputs:
        name = (output.modifier, output.extension)
        if name in seen:
            raise SettingRefused(f"{output.path}.nameModifier", f"is the same as {seen[name]} has")
        seen[name] = output.path


def _output(
    path: str, kind: str, container: str, output: Json, selectors: Mapping[str, int | None], several: bool
) -> Output:
    modifier = output.get("NameModifier") or ""
    if several and not modifier:
        raise SettingRefused(f"{path}.nameModifier", "is needed where a group has more than one output")
    if kind == HLS and not modifier:
        raise SettingRefused(f"{path}.nameModifier", "is needed, or the output's playlist would have the group's name")
    _identifiers(f"{path}.nameModifier", modifier, naming.OUTPUT_IDENTIFIERS)
    video = _video(f"{path}.videoDescription", output["VideoDescription"]) if output.get("VideoDescription") else None
    audios = output.get("AudioDescriptions") or []
    if len(audios) > 1:
        raise SettingRefused(f"{path}.audioDescriptions", "several audio tracks in one output are not offered yet")
    audio = _audio(f"{path}.audioDescriptions[0]", audios[0], selectors) if audios else None
    if video is None and audio is None:
        raise SettingRefused(path, "an output needs a videoDescription or an audioDescription")
    if kind in (DASH, CMAF) and video is not None and audio is not None:
        raise SettingRefused(path, "video and audio need outputs of their own in DASH and CMAF groups")
    captures = video is not None and isinstance(video.codec, Capture)
    settings = output.get("ContainerSettings") or {}
    _container(f"{path}.containerSettings.container", settings.get("Container"), kind, container, captures)
    if captures and (kind != FILE or audio is not None):
        raise SettingRefused(path, "frame capture needs an output of its own in a file group")
    extension = _extension(f"{path}.extension", output.get("Extension"), kind, captures, video is not None)
    hls = None
    if kind == HLS:
        hls = hls_settings.output(path, output, video is not None)
        extension = extension if hls.stream else "aac"
    elif output.get("OutputSettings"):
        raise SettingRefused(f"{path}.outputSettings", "belongs to HLS groups")
    mp4 = settings.get("Mp4Settings") or {}
    cmfc = settings.get("CmfcSettings") or {}
    if not re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", cmfc.get("AudioGroupId") or "audio"):
        raise SettingRefused(f"{path}.containerSettings.cmfcSettings.audioGroupId", "must be letters, digits and _ . -")
    return Output(
        path,
        modifier,
        extension,
        video,
        audio,
        fast_start=mp4.get("MoovPlacement", "PROGRESSIVE_DOWNLOAD") == "PROGRESSIVE_DOWNLOAD",
        brand=mp4.get("Mp4MajorBrand"),
        audio_group=cmfc.get("AudioGroupId"),
        audio_default=cmfc.get("AudioTrackType", _DEFAULT_TRACK) == _DEFAULT_TRACK,
        hls=hls,
    )


_DEFAULT_TRACK = "ALTERNATE_AUDIO_AUTO_SELECT_DEFAULT"


def _container(path: str, given: str | None, kind: str, container: str, captures: bool) -> None:
    needed = "RAW" if captures else container
    if given is not None and given != needed:
        raise SettingRefused(path, f"{given} does not belong to this output of a {kind}, {needed} does")


def _extension(path: str, given: str | None, kind: str, captures: bool, has_video: bool) -> str:
    if given is None:
        return {CMAF: "cmfv" if has_video else "cmfa", DASH: "mp4", HLS: "ts", FILE: "jpg" if captures else "mp4"}[kind]
    if kind != FILE:
        raise SettingRefused(path, "belongs to file groups")
    if not re.fullmatch(r"[A-Za-z0-9]{1,16}", given):
        raise SettingRefused(path, f"must be 1 to 16 letters and digits, got {given[:32]!r}")
    return given


def _video(path: str, video: Json) -> Video:
    for side in ("Width", "Height"):
        if (video.get(side) or 0) % 2:
            raise SettingRefused(f"{path}.{side.lower()}", f"4:2:0 video needs an even number, got {video[side]}")
    codec = video.get("CodecSettings") or {}
    inner = f"{path}.codecSettings"
    if codec.get("Codec") is None:
        raise SettingRefused(f"{inner}.codec", "a codec is needed")
    if codec["Codec"] == "FRAME_CAPTURE":
        coded: H264 | Capture = _capture(codec.get("FrameCaptureSettings") or {})
    else:
        coded = _h264(f"{inner}.h264Settings", codec.get("H264Settings") or {})
    return Video(path, video.get("Width"), video.get("Height"), video.get("ScalingBehavior") or "DEFAULT", coded)


def _capture(settings: Json) -> Capture:
    rate = Fraction(settings.get("FramerateNumerator", 30), settings.get("FramerateDenominator", 1))
    return Capture(rate, settings.get("MaxCaptures"), settings.get("Quality", 80))


def _h264(path: str, h264: Json) -> H264:
    control = h264.get("RateControlMode") or ("QVBR" if "MaxBitrate" in h264 else "VBR")
    needed = "MaxBitrate" if control == "QVBR" else "Bitrate"
    if h264.get(needed) is None:
        raise SettingRefused(f"{path}.{needed[0].lower()}{needed[1:]}", f"is needed where rateControlMode is {control}")
    qvbr = h264.get("QvbrSettings") or {}
    fine_tune = qvbr.get("QvbrQualityLevelFineTune", 0.0)
    if not 0 <= fine_tune < 1:
        raise SettingRefused(f"{path}.qvbrSettings.qvbrQualityLevelFineTune", f"must be from 0 to 1, got {fine_tune}")
    quality = qvbr.get("QvbrQualityLevel", 7) + fine_tune
    maximum = h264["Bitrate"] if control == "CBR" else h264.get("MaxBitrate")
    if control == "VBR" and maximum is not None and maximum < h264["Bitrate"]:
        raise SettingRefused(f"{path}.maxBitrate", "must not be less than bitrate")
    level = h264.get("CodecLevel", "AUTO")
    b_reference = h264.get("GopBReference")
    return H264(
        rate_control=control,
        bitrate_bps=None if control == "QVBR" else h264["Bitrate"],
        max_bitrate_bps=maximum,
        buffer_bits=h264.get("HrdBufferSize") or None,
        buffer_fill_percent=h264.get("HrdBufferInitialFillPercentage"),
        quality=float(quality),
        tuning=h264.get("QualityTuningLevel", "SINGLE_PASS_HQ"),
        profile=h264.get("CodecProfile", "MAIN").lower(),
        level=None if level == "AUTO" else level.removeprefix("LEVEL_").replace("_", "."),
        frame_rate=_frame_rate(path, h264),
        gop_size=_gop_size(path, h264),
        gop_units=h264.get("GopSizeUnits") or ("FRAMES" if h264.get("GopSize") else "AUTO"),
        b_frames=h264.get("NumberBFramesBetweenReferenceFrames"),
        b_reference=None if b_reference is None else b_reference == "ENABLED",
        adaptive_b=h264.get("DynamicSubGop", "ADAPTIVE") == "ADAPTIVE",
        references=h264.get("NumberReferenceFrames"),
        cabac=h264.get("EntropyEncoding", "CABAC") == "CABAC",
        slices=h264.get("Slices"),
        adaptive_quantization=_adaptive_quantization(h264),
        weighted_prediction=None
        if h264.get("ExplicitWeightedPrediction") is None
        else h264["ExplicitWeightedPrediction"] == "ENABLED",
    )


def _adaptive_quantization(h264: Json) -> bool:
    return h264.get("AdaptiveQuantization") != "OFF" and h264.get("SpatialAdaptiveQuantization") != "DISABLED"


def _gop_size(path: str, h264: Json) -> Fraction | None:
    size = h264.get("GopSize")
    if h264.get("GopSizeUnits") in ("FRAMES", "SECONDS") and not size:
        raise SettingRefused(f"{path}.gopSize", "is needed where gopSizeUnits is FRAMES or SECONDS")
    if not size or h264.get("GopSizeUnits") == "AUTO":
        return None
    if not 0 < size <= 10_000:
        raise SettingRefused(f"{path}.gopSize", f"must be more than 0 and at most 10000, got {size}")
    return Fraction(size).limit_denominator(10_000)


def _frame_rate(path: str, h264: Json) -> Fraction | None:
    if h264.get("FramerateControl", "INITIALIZE_FROM_SOURCE") != "SPECIFIED":
        return None
    if not h264.get("FramerateNumerator") or not h264.get("FramerateDenominator"):
        raise SettingRefused(
            f"{path}.framerateNumerator", "numerator and denominator are needed where framerateControl is SPECIFIED"
        )
    rate = Fraction(h264["FramerateNumerator"], h264["FramerateDenominator"])
    if not 1 <= rate <= 120:
        raise SettingRefused(f"{path}.framerateNumerator", f"must make 1 to 120 frames a second, got {float(rate):.3f}")
    return rate


def _audio(path: str, audio: Json, selectors: Mapping[str, int | None]) -> Audio:
    codec = audio.get("CodecSettings") or {}
    if codec.get("Codec") is None:
        raise SettingRefused(f"{path}.codecSettings.codec", "a codec is needed")
    name = audio.get("AudioSourceName") or ""
    if name not in selectors:
        raise SettingRefused(f"{path}.audioSourceName", f"the input has no audio selector named {name[:64]!r}")
    aac = codec.get("AacSettings") or {}
    channels = _CHANNELS[aac.get("CodingMode") or "CODING_MODE_AUTO"]
    variable = aac.get("RateControlMode") == "VBR"
    code = audio.get("CustomLanguageCode") or audio.get("LanguageCode")
    return Audio(
        path,
        selectors[name],
        channels,
        aac.get("SampleRate", 48_000),
        None if variable else aac.get("Bitrate", _AAC_DEFAULT_BPS[channels]),
        aac.get("VbrQuality", "MEDIUM_HIGH") if variable else None,
        code.lower() if code else None,
        audio.get("LanguageCodeControl", "FOLLOW_INPUT") == "FOLLOW_INPUT",
        audio.get("StreamName"),
    )
