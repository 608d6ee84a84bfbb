"""Reads what is done to pictures between decoder and encoder: cut, placed, deinterlaced, cleaned, coloured. Pure.

Source: botocore's model and the MediaConvert API reference of VideoDescription and VideoPreprocessor.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from localaws.media.failures import SettingRefused
from localaws.media.mastering import Hdr10
from localaws.mediaconvert.settings import active_format, colours, images
from localaws.mediaconvert.settings.active_format import IGNORED, ActiveFormat
from localaws.mediaconvert.settings.codecs import Capture, Coded
from localaws.mediaconvert.settings.images import Image

Json = Mapping[str, Any]

MIDDLE = 50
HDR_SPACES = frozenset({"HDR10", "HLG_2020", "P3D65_HDR"})


@dataclass(frozen=True)
class Rectangle:
    """In px from the upper left corner."""

    left: int
    top: int
    width: int
    height: int


@dataclass(frozen=True)
class Deinterlacer:
    mode: str
    algorithm: str
    all_frames: bool


@dataclass(frozen=True)
class NoiseReducer:
    """`strength` is 0 to 3, of SPATIAL and TEMPORAL 0 to 16; `sharpen` 0 to 3 comes after."""

    filter: str
    strength: int
    sharpen: int = 0


@dataclass(frozen=True)
class Colour:
    """Brightness, contrast and saturation are 1 to 100, 50 leaves them; `hue` turns by degrees.

    `space` is what colours are converted to, by AWS's name without FORCE_; `clip` the least and the most of luma and
    chroma that stay as they are, on the scale of 10 bits.
    """

    brightness: int = MIDDLE
    contrast: int = MIDDLE
    saturation: int = MIDDLE
    hue: int = 0
    space: str = "NONE"
    tone_mapper: str = "PRESERVE_DETAILS"
    white_nits: int = 100
    squeeze: bool = False
    clip: tuple[int, int] | None = None
    hdr10: Hdr10 | None = None


@dataclass(frozen=True)
class TimecodeBurnin:
    """`position` is AWS's, such as TOP_LEFT; `prefix` printable ASCII; `size` in px."""

    position: str
    prefix: str
    size: int


@dataclass(frozen=True)
class Processing:
    """What is an output's own; None everywhere leaves pictures as they are.

    drop_frame: how timecodes count, where their rate allows it. timecode_track, timecode_insertion: where they are
    written. chroma_position: AWS's word for where samples of chroma lie.
    """

    crop: Rectangle | None = None
    position: Rectangle | None = None
    sharpness: int = MIDDLE
    colour_metadata: bool = True
    deinterlacer: Deinterlacer | None = None
    noise: NoiseReducer | None = None
    colour: Colour | None = None
    images: tuple[Image, ...] = ()
    timecode: TimecodeBurnin | None = None
    active_format: ActiveFormat = IGNORED
    drop_frame: bool = True
    timecode_track: bool = False
    timecode_insertion: bool = False
    chroma_position: str = "AUTO"

    @property
    def before_scaling(self) -> bool:
        """Whether frames of the source's size are needed, so that no smaller picture of another output will do."""
        return self.crop is not None or self.noise is not None or self.sharpness != MIDDLE


PLAIN = Processing()


def read(path: str, video: Json, codec: Coded | Capture) -> Processing:
    """Read a VideoDescription, found at `path`. Raises SettingRefused."""
    own = video.get("VideoPreprocessors") or {}
    inner = f"{path}.videoPreprocessors"
    colour = _colour(f"{inner}.colorCorrector", own["ColorCorrector"]) if own.get("ColorCorrector") else None
    if colour and colour.space in HDR_SPACES and not (isinstance(codec, Coded) and codec.bit_depth >= 10):
        raise SettingRefused(
            f"{inner}.colorCorrector.colorSpaceConversion", f"FORCE_{colour.space} needs a codec of 10 bits"
        )
    return Processing(
        rectangle(f"{path}.crop", video.get("Crop")),
        rectangle(f"{path}.position", video.get("Position")),
        video.get("Sharpness", MIDDLE),
        video.get("ColorMetadata", "INSERT") == "INSERT",
        _deinterlacer(f"{inner}.deinterlacer", own.get("Deinterlacer")),
        _noise(f"{inner}.noiseReducer", own.get("NoiseReducer")),
        colour,
        images.read(f"{inner}.imageInserter", own.get("ImageInserter") or {}),
        _timecode(f"{inner}.timecodeBurnin", own.get("TimecodeBurnin"), codec),
        active_format.read(path, video, codec),
        video.get("DropFrameTimecode", "ENABLED") == "ENABLED",
        video.get("TimecodeTrack") == "ENABLED",
        video.get("TimecodeInsertion") == "PIC_TIMING_SEI",
        video.get("ChromaPositionMode") or "AUTO",
    )


def _timecode(path: str, own: Json | None, codec: Coded | Capture) -> TimecodeBurnin | None:
    if own is None:
        return None
    if isinstance(codec, Capture):
        raise SettingRefused(path, "frame capture does not count frames; it shows none")
    size, prefix = own.get("FontSize", 10), own.get("Prefix", "")
    if size not in (10, 16, 32, 48):
        raise SettingRefused(f"{path}.fontSize", f"must be 10, 16, 32 or 48, got {size}")
    if not re.fullmatch(r"[ -~]{0,64}", prefix):
        raise SettingRefused(f"{path}.prefix", "must be at most 64 printable ASCII characters")
    return TimecodeBurnin(own.get("Position", "TOP_CENTER"), prefix, size)


def rectangle(path: str, own: Json | None) -> Rectangle | None:
    """Read an area of even numbers, found at `path`. Raises SettingRefused."""
    if not own:
        return None
    for member in ("Width", "Height"):
        if not own.get(member):
            raise SettingRefused(f"{path}.{member.lower()}", "is needed")
    for member in ("Width", "Height", "X", "Y"):
        if own.get(member, 0) % 2:
            raise SettingRefused(f"{path}.{member.lower()}", f"4:2:0 video needs an even number, got {own[member]}")
    return Rectangle(own.get("X", 0), own.get("Y", 0), own["Width"], own["Height"])


def _deinterlacer(path: str, own: Json | None) -> Deinterlacer | None:
    if own is None:
        return None
    mode, algorithm = own.get("Mode", "DEINTERLACE"), own.get("Algorithm", "INTERPOLATE")
    if mode == "INVERSE_TELECINE" and own.get("Control") == "FORCE_ALL_FRAMES":
        raise SettingRefused(f"{path}.control", "FORCE_ALL_FRAMES does not go with INVERSE_TELECINE")
    return Deinterlacer(mode, algorithm, own.get("Control") == "FORCE_ALL_FRAMES")


def _noise(path: str, own: Json | None) -> NoiseReducer | None:
    if not own or own.get("Filter", "NONE") == "NONE":
        return None
    name = own["Filter"]
    if name == "SPATIAL":
        spatial = own.get("SpatialFilterSettings") or {}
        return NoiseReducer(name, spatial.get("Strength", 8), spatial.get("PostFilterSharpenStrength", 0))
    if name == "TEMPORAL":
        temporal = own.get("TemporalFilterSettings") or {}
        sharpened = temporal.get("PostTemporalSharpening") == "ENABLED"
        steps = {"LOW": 1, "MEDIUM": 2, "HIGH": 3}
        sharpen = steps[temporal.get("PostTemporalSharpeningStrength", "MEDIUM")] if sharpened else 0
        return NoiseReducer(name, temporal.get("Strength", 8), sharpen)
    return NoiseReducer(name, (own.get("FilterSettings") or {}).get("Strength", 1))


def _colour(path: str, own: Json) -> Colour:
    space = own.get("ColorSpaceConversion", "NONE").removeprefix("FORCE_")
    limits = own.get("ClipLimits") or {}
    clipped = own.get("SampleRangeConversion") == "LIMITED_RANGE_CLIP"
    if limits and not clipped:
        raise SettingRefused(f"{path}.clipLimits", "goes together with sampleRangeConversion LIMITED_RANGE_CLIP")
    if own.get("Hdr10Metadata") and space != "HDR10":
        raise SettingRefused(f"{path}.hdr10Metadata", "goes together with colorSpaceConversion FORCE_HDR10")
    if space == "NONE" and own.get("HdrToSdrToneMapper"):
        raise SettingRefused(f"{path}.hdrToSdrToneMapper", "needs a colorSpaceConversion")
    return Colour(
        own.get("Brightness", MIDDLE),
        own.get("Contrast", MIDDLE),
        own.get("Saturation", MIDDLE),
        own.get("Hue", 0),
        space,
        own.get("HdrToSdrToneMapper", "PRESERVE_DETAILS"),
        own.get("SdrReferenceWhiteLevel", 100),
        own.get("SampleRangeConversion") == "LIMITED_RANGE_SQUEEZE",
        (limits.get("MinimumYUV", 64), limits.get("MaximumYUV", 940)) if clipped else None,
        colours.hdr10(own.get("Hdr10Metadata")),
    )
