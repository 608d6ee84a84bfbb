"""Reads how pictures are coded, one value type for each codec, and refuses by path what contradicts itself. Pure.

Source: botocore's model and the MediaConvert API reference for each member's default.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from localaws.media.failures import SettingRefused

Json = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Coded:
    """What all codecs have. `quality` is QVBR's level, 1 to 10; `gop_size` counts `gop_units`; `par` None follows.

    `conversion` is AWS's way to another frame rate; `aq` the strength of adaptive quantization, None where the encoder
    decides; `tuning` AWS's level of quality; `bitrate_bps`, where QVBR has one, the most of an average. `fields` is
    AWS's interlace mode; fields_of_frames: of twice as many frames, one field each; telecine: of the frames of film, in
    its pattern of two and three. closed_every: from one closed GOP to the next, 0 where all but the first are open.
    """

    rate_control: str
    bitrate_bps: int | None
    max_bitrate_bps: int | None
    buffer_bits: int | None
    buffer_fill_percent: int | None = None
    quality: float = 7.0
    tuning: str = "SINGLE_PASS_HQ"
    frame_rate: Fraction | None
    conversion: str = "DUPLICATE_DROP"
    par: Fraction | None = None
    gop_size: Fraction | None
    gop_units: str
    b_frames: int | None = None
    references: int | None = None
    slices: int | None = None
    aq: str | None = None
    scene_cuts: bool = False
    bit_depth: int = 8
    fields: str = "PROGRESSIVE"
    fields_of_frames: bool = False
    telecine: bool = False
    closed_every: int = 1

    @property
    def two_passes(self) -> bool:
        """Whether a first pass learns where bits are needed; quality without an average learns nothing from one."""
        return self.tuning.startswith("MULTI_PASS") and self.bitrate_bps is not None

    @property
    def rate_bps(self) -> int | None:
        """The rate that names are made of: the average where there is one, else the peak."""
        return self.bitrate_bps or self.max_bitrate_bps

    @property
    def peak_bps(self) -> int | None:
        return self.max_bitrate_bps or self.bitrate_bps


@dataclass(frozen=True, kw_only=True)
class H264(Coded):
    profile: str
    level: str | None
    b_reference: bool | None
    adaptive_b: bool
    cabac: bool
    temporal_aq: bool
    weighted_prediction: bool | None


@dataclass(frozen=True, kw_only=True)
class H265(Coded):
    """`sample_entry` is hev1, with parameter sets in the samples, or hvc1, without (ISO/IEC 14496-15, 8.4.1)."""

    profile: str
    high_tier: bool
    level: str | None
    b_reference: bool | None
    adaptive_b: bool
    temporal_aq: bool
    sao: bool
    deblocking: bool
    temporal_prediction: bool
    small_trees: bool
    alternative_transfer: bool
    sample_entry: str


@dataclass(frozen=True, kw_only=True)
class Av1(Coded):
    film_grain: bool


@dataclass(frozen=True, kw_only=True)
class Vp9(Coded):
    pass


@dataclass(frozen=True, kw_only=True)
class Vp8(Coded):
    pass


@dataclass(frozen=True, kw_only=True)
class Mpeg2(Coded):
    """`profile` is main or 422; `level` None and `dc_bits` (precision of intra DC) None leave it to the encoder."""

    profile: str
    level: str | None
    dc_bits: int | None


@dataclass(frozen=True)
class Capture:
    """One frame every 1/`rate` seconds, the first one first; `quality` 1 to 100."""

    rate: Fraction
    most: int | None
    quality: int


def capture(settings: Json) -> Capture:
    """Read FrameCaptureSettings."""
    rate = Fraction(settings.get("FramerateNumerator", 30), settings.get("FramerateDenominator", 1))
    return Capture(rate, settings.get("MaxCaptures"), settings.get("Quality", 80))


# The encoders' names of profiles. x265 has 4:2:2 with 8 bits as a use of the profile of 10.
_X264_PROFILES = {"HIGH_10BIT": "high10", "HIGH_422": "high422", "HIGH_422_10BIT": "high422"}
_X265_PROFILES = {"MAIN_422_8BIT": "main422-10", "MAIN_422_10BIT": "main422-10"}


def _h264(path: str, own: Json) -> H264:
    profile = own.get("CodecProfile", "MAIN")
    if own.get("CodecProfile") == "BASELINE" and own.get("InterlaceMode", "PROGRESSIVE") != "PROGRESSIVE":
        raise SettingRefused(f"{path}.interlaceMode", "the baseline profile has no interlaced pictures")
    return H264(
        **_rates(path, own),
        **_common(path, own),
        bit_depth=10 if "10BIT" in profile else 8,
        profile=_X264_PROFILES.get(profile, profile.lower()),
        level=_level(own),
        b_reference=_switch(own, "GopBReference"),
        adaptive_b=own.get("DynamicSubGop", "ADAPTIVE") == "ADAPTIVE",
        cabac=own.get("EntropyEncoding", "CABAC") == "CABAC",
        temporal_aq=own.get("TemporalAdaptiveQuantization") != "DISABLED",
        weighted_prediction=_switch(own, "ExplicitWeightedPrediction"),
    )


def _h265(path: str, own: Json) -> H265:
    profile, _, tier = own.get("CodecProfile", "MAIN_MAIN").rpartition("_")
    sao, deblocking = own.get("SampleAdaptiveOffsetFilterMode") != "OFF", own.get("Deblocking") != "DISABLED"
    if own.get("Slices", 1) > 1 and sao and not deblocking:
        raise SettingRefused(f"{path}.slices", "need deblocking here, or sampleAdaptiveOffsetFilterMode OFF")
    return H265(
        **_rates(path, own),
        **_common(path, own) | {"closed_every": int(own.get("GopClosedCadence", 1) == 1)},
        bit_depth=10 if profile in ("MAIN10", "MAIN_422_10BIT") else 8,
        profile=_X265_PROFILES.get(profile, profile.lower()),
        high_tier=tier == "HIGH",
        level=_level(own),
        b_reference=_switch(own, "GopBReference"),
        adaptive_b=own.get("DynamicSubGop", "ADAPTIVE") == "ADAPTIVE",
        temporal_aq=own.get("TemporalAdaptiveQuantization") != "DISABLED",
        sao=sao,
        deblocking=deblocking,
        temporal_prediction=own.get("MvTemporalPredictor") != "DISABLED",
        small_trees=own.get("TreeBlockSize") == "TREE_SIZE_32X32",
        alternative_transfer=own.get("AlternateTransferFunctionSei") == "ENABLED",
        sample_entry=own.get("WriteMp4PackagingType", "HEV1").lower(),
    )


def _av1(path: str, own: Json) -> Av1:
    if own.get("Slices", 1) not in (1, 2, 4, 8, 16, 32):
        raise SettingRefused(f"{path}.slices", f"must be 1, 2, 4, 8, 16 or 32, got {own['Slices']}")
    return Av1(
        **_rates(path, own, default="QVBR"),
        **_common(path, own),
        bit_depth=10 if own.get("BitDepth") == "BIT_10" else 8,
        film_grain=own.get("FilmGrainSynthesis") == "ENABLED",
    )


def _vp9(path: str, own: Json) -> Vp9:
    return Vp9(
        **_rates(path, own, default="VBR"), **_common(path, own, tuning=own.get("QualityTuningLevel", "MULTI_PASS"))
    )


def _vp8(path: str, own: Json) -> Vp8:
    return Vp8(
        **_rates(path, own, default="VBR"), **_common(path, own, tuning=own.get("QualityTuningLevel", "MULTI_PASS"))
    )


def _mpeg2(path: str, own: Json) -> Mpeg2:
    settings = _common(path, {"GopSize": 12, **own}, tuning=own.get("QualityTuningLevel", "SINGLE_PASS"))
    precision = own.get("IntraDcPrecision", "AUTO")
    level = own.get("CodecLevel", "AUTO")
    return Mpeg2(
        **_rates(path, own, default="VBR"),
        **settings | {"b_frames": own.get("NumberBFramesBetweenReferenceFrames", 2), "closed_every": 1},
        profile="422" if own.get("CodecProfile") == "PROFILE_422" else "main",
        level=None if level == "AUTO" else level.lower(),
        dc_bits=None if precision == "AUTO" else int(precision.rpartition("_")[2]),
    )


READERS: Mapping[str, tuple[str, Callable[[str, Json], Coded]]] = {
    "AV1": ("Av1Settings", _av1),
    "H_264": ("H264Settings", _h264),
    "H_265": ("H265Settings", _h265),
    "MPEG2": ("Mpeg2Settings", _mpeg2),
    "VP8": ("Vp8Settings", _vp8),
    "VP9": ("Vp9Settings", _vp9),
}


def _rates(path: str, own: Json, default: str | None = None) -> dict[str, Any]:
    """Rate control of any codec: which rates there are, and how good QVBR is to be."""
    control = own.get("RateControlMode") or default or ("QVBR" if "MaxBitrate" in own else "VBR")
    needed = "MaxBitrate" if control == "QVBR" else "Bitrate"
    if own.get(needed) is None:
        raise SettingRefused(f"{path}.{needed[0].lower()}{needed[1:]}", f"is needed where rateControlMode is {control}")
    qvbr = own.get("QvbrSettings") or {}
    fine_tune = qvbr.get("QvbrQualityLevelFineTune", 0.0)
    if not 0 <= fine_tune < 1:
        raise SettingRefused(f"{path}.qvbrSettings.qvbrQualityLevelFineTune", f"must be from 0 to 1, got {fine_tune}")
    maximum = own["Bitrate"] if control == "CBR" else own.get("MaxBitrate")
    if control == "VBR" and maximum is not None and maximum < own["Bitrate"]:
        raise SettingRefused(f"{path}.maxBitrate", "must not be less than bitrate")
    average = qvbr.get("MaxAverageBitrate") if control == "QVBR" else own["Bitrate"]
    if control == "QVBR" and average is not None:
        _average_of_quality(f"{path}.qvbrSettings.maxAverageBitrate", own, average)
    return {
        "rate_control": control,
        "bitrate_bps": average,
        "max_bitrate_bps": maximum,
        "buffer_bits": own.get("HrdBufferSize") or None,
        "buffer_fill_percent": own.get("HrdBufferInitialFillPercentage"),
        "quality": float(qvbr.get("QvbrQualityLevel", 7) + fine_tune),
    }


def _average_of_quality(path: str, own: Json, average_bps: int) -> None:
    """AWS: only together with multi-pass HQ; an average over the peak would be none."""
    if own.get("QualityTuningLevel") != "MULTI_PASS_HQ":
        raise SettingRefused(path, "needs qualityTuningLevel MULTI_PASS_HQ")
    if average_bps > own["MaxBitrate"]:
        raise SettingRefused(path, f"must not be more than maxBitrate, {own['MaxBitrate']}")


def _common(path: str, own: Json, tuning: str | None = None) -> dict[str, Any]:
    """Frame rate, GOP and quantization, whose members are the same in every codec that has them."""
    return {
        "tuning": tuning or own.get("QualityTuningLevel", "SINGLE_PASS_HQ"),
        "frame_rate": frame_rate(path, own),
        "conversion": own.get("FramerateConversionAlgorithm") or "DUPLICATE_DROP",
        "par": pixel_shape(path, own),
        "gop_size": _gop_size(path, own),
        "gop_units": own.get("GopSizeUnits") or ("FRAMES" if own.get("GopSize") else "AUTO"),
        "b_frames": own.get("NumberBFramesBetweenReferenceFrames"),
        "references": own.get("NumberReferenceFrames"),
        "slices": own.get("Slices"),
        "aq": _adaptive_quantization(own),
        "scene_cuts": own.get("SceneChangeDetect", "ENABLED") != "DISABLED",
        "closed_every": own.get("GopClosedCadence", 1),
        **scan(path, own),
    }


def scan(path: str, own: Json) -> dict[str, Any]:
    """Whether frames are coded as fields, and of what. Raises SettingRefused."""
    fields = own.get("InterlaceMode") or "PROGRESSIVE"
    telecine = own.get("Telecine") == "HARD"
    if telecine and fields == "PROGRESSIVE":
        raise SettingRefused(f"{path}.telecine", "HARD needs an interlaced interlaceMode")
    return {
        # VC-3 has one order of fields.
        "fields": "TOP_FIELD" if fields == "INTERLACED" else fields,
        "fields_of_frames": own.get("ScanTypeConversionMode") == "INTERLACED_OPTIMIZE",
        "telecine": telecine,
    }


def _adaptive_quantization(own: Json) -> str | None:
    given = own.get("AdaptiveQuantization", "AUTO")
    # AUTO chooses the kinds of quantization by itself; the switches of the kinds count beside a strength alone.
    if given == "OFF" or (given != "AUTO" and own.get("SpatialAdaptiveQuantization") == "DISABLED"):
        return "OFF"
    return None if given == "AUTO" else str(given)


def pixel_shape(path: str, own: Json) -> Fraction | None:
    """The pixels' shape that is asked for, None for the source's. Raises SettingRefused."""
    if own.get("ParControl", "INITIALIZE_FROM_SOURCE") != "SPECIFIED":
        return None
    if not own.get("ParNumerator") or not own.get("ParDenominator"):
        told = "numerator and denominator are needed where parControl is SPECIFIED"
        raise SettingRefused(f"{path}.parNumerator", told)
    return Fraction(own["ParNumerator"], own["ParDenominator"])


def _gop_size(path: str, own: Json) -> Fraction | None:
    size = own.get("GopSize")
    if own.get("GopSizeUnits") in ("FRAMES", "SECONDS") and not size:
        raise SettingRefused(f"{path}.gopSize", "is needed where gopSizeUnits is FRAMES or SECONDS")
    if not size or own.get("GopSizeUnits") == "AUTO":
        return None
    if not 0 < size <= 10_000:
        raise SettingRefused(f"{path}.gopSize", f"must be more than 0 and at most 10000, got {size}")
    return Fraction(size).limit_denominator(10_000)


def frame_rate(path: str, own: Json) -> Fraction | None:
    """The frame rate that is asked for, None for the source's. Raises SettingRefused."""
    if own.get("FramerateControl", "INITIALIZE_FROM_SOURCE") != "SPECIFIED":
        return None
    if not own.get("FramerateNumerator") or not own.get("FramerateDenominator"):
        raise SettingRefused(
            f"{path}.framerateNumerator", "numerator and denominator are needed where framerateControl is SPECIFIED"
        )
    rate = Fraction(own["FramerateNumerator"], own["FramerateDenominator"])
    if not 1 <= rate <= 120:
        raise SettingRefused(f"{path}.framerateNumerator", f"must make 1 to 120 frames a second, got {float(rate):.3f}")
    return rate


def _level(own: Json) -> str | None:
    level = own.get("CodecLevel", "AUTO")
    return None if level == "AUTO" else str(level.removeprefix("LEVEL_").replace("_", "."))


def _switch(own: Json, member: str) -> bool | None:
    return None if own.get(member) is None else own[member] == "ENABLED"
