"""Reads what an automated stack of renditions may be: its rates, how many there are, the rules of their sizes. Pure.

Source: botocore's model and https://docs.aws.amazon.com/mediaconvert/latest/ug/automated-abr-rules.html.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from localaws.media.failures import SettingRefused
from localaws.mediaconvert.settings.packaging import FILE

Json = Mapping[str, Any]
Size = tuple[int, int]

_CODECS = {"H_264": "H264Settings", "H_265": "H265Settings", "AV1": "Av1Settings"}


@dataclass(frozen=True)
class Abr:
    """Sizes are width and height in px. `allowed` empty allows all; `required` are there whatever else is.

    `quality` is the QVBR level of all renditions, None where each size has its own.
    """

    least_bps: int
    most_bps: int
    most_renditions: int
    quality: float | None
    least_top: Size | None = None
    least_bottom: Size | None = None
    required: tuple[Size, ...] = ()
    allowed: tuple[Size, ...] = ()


def read(path: str, group: Json, kind: str) -> Abr | None:
    """Read AutomatedEncodingSettings of a group, found at `path`; None where there are none. Raises SettingRefused."""
    own = (group.get("AutomatedEncodingSettings") or {}).get("AbrSettings")
    if own is None:
        return None
    inner = f"{path}.automatedEncodingSettings.abrSettings"
    if kind == FILE:
        raise SettingRefused(inner, "belongs to groups that are streamed")
    videos = [output for output in group.get("Outputs") or [] if output.get("VideoDescription")]
    if len(videos) != 1:
        raise SettingRefused(f"{path}.outputs", f"automated ABR makes its stack of one video output, got {len(videos)}")
    codec = (videos[0]["VideoDescription"].get("CodecSettings") or {}).get("Codec")
    if codec not in _CODECS:
        raise SettingRefused(f"{path}.outputs", f"automated ABR needs H_264, H_265 or AV1, got {codec}")
    qvbr = (videos[0]["VideoDescription"]["CodecSettings"].get(_CODECS[codec]) or {}).get("QvbrSettings") or {}
    if "MaxAverageBitrate" in qvbr:
        place = f"{path}.outputs[{group['Outputs'].index(videos[0])}].videoDescription.codecSettings"
        told = "is for an output of its own; renditions of an automated stack have maxAbrBitrate"
        raise SettingRefused(f"{place}.{_member(codec)}.qvbrSettings.maxAverageBitrate", told)
    least, most = own.get("MinAbrBitrate", 600_000), own.get("MaxAbrBitrate", 8_000_000)
    if least > most:
        raise SettingRefused(f"{inner}.minAbrBitrate", f"must not be more than maxAbrBitrate, {most}, got {least}")
    found = Abr(least, most, own.get("MaxRenditions", 15), own.get("MaxQualityLevel"))
    if found.quality is not None and not 1 <= found.quality <= 10:
        raise SettingRefused(f"{inner}.maxQualityLevel", f"must be from 1 to 10, got {found.quality}")
    return _ruled(inner, own, found)


def _member(codec: str) -> str:
    """As paths spell it."""
    return _CODECS[codec][0].lower() + _CODECS[codec][1:]


def _ruled(path: str, own: Json, found: Abr) -> Abr:
    rules: dict[str, Json] = {}
    for number, rule in enumerate(own.get("Rules") or []):
        name = rule.get("Type")
        if name is None or name in rules:
            raise SettingRefused(f"{path}.rules[{number}].type", "is needed, and each type once")
        rules[name] = rule
    if {"FORCE_INCLUDE_RENDITIONS", "ALLOWED_RENDITIONS"} <= rules.keys():
        raise SettingRefused(f"{path}.rules", "FORCE_INCLUDE_RENDITIONS and ALLOWED_RENDITIONS exclude each other")
    forced = rules.get("FORCE_INCLUDE_RENDITIONS", {}).get("ForceIncludeRenditions") or []
    allowed = rules.get("ALLOWED_RENDITIONS", {}).get("AllowedRenditions") or []
    required = [*forced, *(one for one in allowed if one.get("Required") == "ENABLED")]
    ruled = Abr(
        found.least_bps,
        found.most_bps,
        found.most_renditions,
        found.quality,
        _size(path, rules.get("MIN_TOP_RENDITION_SIZE", {}).get("MinTopRenditionSize")),
        _size(path, rules.get("MIN_BOTTOM_RENDITION_SIZE", {}).get("MinBottomRenditionSize")),
        tuple(size for one in required if (size := _size(path, one))),
        tuple(size for one in allowed if (size := _size(path, one))),
    )
    if len(ruled.required) > ruled.most_renditions:
        raise SettingRefused(
            f"{path}.maxRenditions", f"must be {len(ruled.required)} at least, as many as are required"
        )
    for name, needed, given in (
        ("FORCE_INCLUDE_RENDITIONS", rules.keys() & {"FORCE_INCLUDE_RENDITIONS"}, ruled.required),
        ("ALLOWED_RENDITIONS", rules.keys() & {"ALLOWED_RENDITIONS"}, ruled.allowed),
    ):
        if needed and not given:
            raise SettingRefused(f"{path}.rules", f"{name} needs at least one rendition")
    return ruled


def _size(path: str, given: Json | None) -> Size | None:
    if not given:
        return None
    if not given.get("Width") or not given.get("Height") or given["Width"] % 2 or given["Height"] % 2:
        raise SettingRefused(f"{path}.rules", "a rendition size needs an even width and height")
    return int(given["Width"]), int(given["Height"])


def template(output: Json, abr: Abr) -> Json:
    """The video output that the stack is made of, with the rate control that AWS gives every rendition."""
    video = output.get("VideoDescription")
    if not video:
        return output
    codec = video["CodecSettings"]
    member = _CODECS[codec["Codec"]]
    own = {name: value for name, value in (codec.get(member) or {}).items() if name != "Bitrate"}
    own |= {"RateControlMode": "QVBR", "MaxBitrate": abr.most_bps}
    return {**output, "VideoDescription": {**video, "CodecSettings": {**codec, member: own}}}
