"""Reads which pictures are laid over an output, where and when. Pure.

Source: botocore's model and the MediaConvert API reference of InsertableImage.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from localaws.media.addresses import AddressRefused, source_address
from localaws.media.failures import SettingRefused

Json = Mapping[str, Any]

_TIMECODE = re.compile(r"\d\d:[0-5]\d:[0-5]\d[:;]\d\d")


@dataclass(frozen=True)
class Image:
    """`left` and `top` in px of the output; `start` is a timecode, None the first frame; `length_s` None to the end.

    The fade in is part of the length, the fade out follows it. `opacity` is 0 to 1.
    """

    path: str
    uri: str
    left: int
    top: int
    width: int | None
    height: int | None
    opacity: Fraction
    start: str | None
    length_s: Fraction | None
    fade_in_s: Fraction
    fade_out_s: Fraction


def read(path: str, own: Json) -> tuple[Image, ...]:
    """Read ImageInserter, found at `path`: the lowest layer first. Raises SettingRefused."""
    given = list(enumerate(own.get("InsertableImages") or []))
    given.sort(key=lambda one: one[1].get("Layer", 0))
    return tuple(_image(f"{path}.insertableImages[{number}]", image) for number, image in given)


def _image(path: str, own: Json) -> Image:
    uri = own.get("ImageInserterInput")
    if not uri:
        raise SettingRefused(f"{path}.imageInserterInput", "a picture is needed, for instance s3://bucket/logo.png")
    try:
        source_address(uri)
    except AddressRefused as exc:
        raise SettingRefused(f"{path}.imageInserterInput", f"{exc}, got {uri[:80]!r}") from exc
    start = own.get("StartTime")
    if start is not None and not _TIMECODE.fullmatch(start):
        raise SettingRefused(f"{path}.startTime", f"must be HH:MM:SS:FF, got {start[:40]!r}")
    length_ms = own.get("Duration")
    if own.get("FadeOut") and not length_ms:
        raise SettingRefused(f"{path}.fadeOut", "needs a duration after which it begins")
    return Image(
        path,
        uri,
        own.get("ImageX", 0),
        own.get("ImageY", 0),
        own.get("Width") or None,
        own.get("Height") or None,
        Fraction(own.get("Opacity", 50), 100),
        start,
        Fraction(length_ms, 1000) if length_ms else None,
        Fraction(own.get("FadeIn", 0), 1000),
        Fraction(own.get("FadeOut", 0), 1000),
    )
