"""Reads which colours a source is taken for, and the mastering display of HDR 10; names colours as ffmpeg does. Pure.

Source: botocore's model and the MediaConvert API reference of VideoSelector and ColorCorrector; SMPTE ST 2086 and
CTA-861.3 for the metadata; Rec. ITU-T H.273 for the names. Unverified: the luminance where a job gives none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from localaws.media.failures import SettingRefused
from localaws.media.mastering import Hdr10

Json = Mapping[str, Any]
Space = tuple[str, str, str]
"""Primaries, transfer, matrix."""

_SPACES: Mapping[str, Space] = {
    "709": ("bt709", "bt709", "bt709"),
    "HDR10": ("bt2020", "smpte2084", "bt2020nc"),
    "HLG_2020": ("bt2020", "arib-std-b67", "bt2020nc"),
    "P3D65_SDR": ("smpte432", "iec61966-2-1", "bt709"),
    "P3D65_HDR": ("smpte432", "smpte2084", "bt709"),
}
# P3 with the white of daylight, 1000 cd/m2 bright.
_P3D65 = {
    "GreenPrimaryX": 13250, "GreenPrimaryY": 34500, "BluePrimaryX": 7500, "BluePrimaryY": 3000, "RedPrimaryX": 34000,
    "RedPrimaryY": 16000, "WhitePointX": 15635, "WhitePointY": 16450, "MaxLuminance": 10_000_000, "MinLuminance": 1,
}  # fmt: skip


@dataclass(frozen=True)
class SourceColours:
    """What a source is taken for: `space` None for what it says; `forced` even where it says something else.

    `sample_range` is full, limited, or empty for what it says.
    """

    space: str | None = None
    forced: bool = True
    sample_range: str = ""
    hdr10: Hdr10 | None = None


AS_IT_SAYS = SourceColours()


def space(name: str, height: int) -> Space:
    """The colours that AWS calls by a name, without REC_ or FORCE_. BT.601 has primaries of 625 and of 525 lines."""
    if name == "601":
        lines = "bt470bg" if height == 576 else "smpte170m"
        return lines, "smpte170m", lines
    return _SPACES[name]


def of_source(path: str, selector: Json) -> SourceColours:
    """Read VideoSelector, found at `path`. Raises SettingRefused."""
    name = selector.get("ColorSpace") or "FOLLOW"
    if selector.get("Hdr10Metadata") and name != "HDR10":
        raise SettingRefused(f"{path}.hdr10Metadata", "goes together with colorSpace HDR10")
    return SourceColours(
        None if name == "FOLLOW" else name.removeprefix("REC_"),
        (selector.get("ColorSpaceUsage") or "FORCE") == "FORCE",
        {"FULL_RANGE": "full", "LIMITED_RANGE": "limited"}.get(selector.get("SampleRange") or "", ""),
        hdr10(selector.get("Hdr10Metadata")),
    )


def hdr10(own: Json | None) -> Hdr10 | None:
    """Read Hdr10Metadata; what it leaves out is a display of P3 with 1000 cd/m2."""
    if not own:
        return None
    value = {**_P3D65, **own}

    def point(name: str) -> tuple[int, int]:
        return value[f"{name}X"], value[f"{name}Y"]

    return Hdr10(
        point("GreenPrimary"),
        point("BluePrimary"),
        point("RedPrimary"),
        point("WhitePoint"),
        value["MaxLuminance"],
        value["MinLuminance"],
        value.get("MaxContentLightLevel", 0),
        value.get("MaxFrameAverageLightLevel", 0),
    )
