"""Reads which pictures for trick play a group makes beside its segments. Pure.

Source: botocore's model and the MediaConvert API reference for ImageBasedTrickPlay and its settings. AWS documents no
tile of THUMBNAIL; 5 by 5 is ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from localaws.media.failures import SettingRefused

Json = Mapping[str, Any]
DEFAULT_WIDTH_PX = 312
DEFAULT_TILE = 5
MAX_TILE_PX = 4096


@dataclass(frozen=True)
class ImageSet:
    """Tiles of thumbnails. width None is that of the picture, height None keeps its shape; sizes of one thumbnail.

    columns, rows: thumbnails in a tile. cadence: FOLLOW_IFRAME, FOLLOW_SEGMENTATION or FOLLOW_CUSTOM, every interval_s.
    """

    width: int | None
    height: int | None
    columns: int
    rows: int
    cadence: str
    interval_s: Fraction | None = None


_THUMBNAILS = ImageSet(DEFAULT_WIDTH_PX, None, DEFAULT_TILE, DEFAULT_TILE, "FOLLOW_IFRAME")
_FULL_FRAMES = ImageSet(None, None, 1, 1, "FOLLOW_IFRAME")


def read(path: str, own: Json) -> tuple[ImageSet, ...]:
    """Read a group's image sets, found at `path`. Raises SettingRefused."""
    kind, settings = own.get("ImageBasedTrickPlay") or "NONE", own.get("ImageBasedTrickPlaySettings")
    variants = own.get("ImageBasedTrickPlayVariants") or []
    if settings and kind != "ADVANCED":
        raise SettingRefused(f"{path}.imageBasedTrickPlaySettings", "belongs to imageBasedTrickPlay ADVANCED")
    if bool(variants) != (kind == "VARIANTS"):
        raise SettingRefused(f"{path}.imageBasedTrickPlayVariants", "belongs to VARIANTS, which needs it")
    if kind == "ADVANCED":
        return (_set(f"{path}.imageBasedTrickPlaySettings", settings or {}),)
    if kind == "VARIANTS":
        return tuple(_set(f"{path}.imageBasedTrickPlayVariants[{at}]", one) for at, one in enumerate(variants))
    return {"NONE": (), "THUMBNAIL": (_THUMBNAILS,), "THUMBNAIL_AND_FULLFRAME": (_THUMBNAILS, _FULL_FRAMES)}[kind]


def _set(path: str, own: Json) -> ImageSet:
    width, height = own.get("ThumbnailWidth") or DEFAULT_WIDTH_PX, own.get("ThumbnailHeight")
    if width % 8:
        raise SettingRefused(f"{path}.thumbnailWidth", f"must be divisible by 8, got {width}")
    if height is not None and height % 2:
        raise SettingRefused(f"{path}.thumbnailHeight", f"must be divisible by 2, got {height}")
    cadence, interval = own.get("IntervalCadence") or "FOLLOW_IFRAME", own.get("ThumbnailInterval")
    if cadence == "FOLLOW_CUSTOM" and not (interval and interval > 0):
        raise SettingRefused(f"{path}.thumbnailInterval", "is needed where intervalCadence is FOLLOW_CUSTOM")
    columns, rows = own.get("TileWidth") or 1, own.get("TileHeight") or 1
    if cadence == "FOLLOW_SEGMENTATION" and (columns, rows) != (1, 1):
        raise SettingRefused(f"{path}.tileWidth", "FOLLOW_SEGMENTATION needs tiles of 1 by 1")
    if columns * width > 8 * MAX_TILE_PX or (height or 0) * rows > MAX_TILE_PX:
        raise SettingRefused(f"{path}.tileHeight", f"makes tiles of more than {MAX_TILE_PX} pixels")
    every_s = Fraction(interval or 0).limit_denominator(10_000) if cadence == "FOLLOW_CUSTOM" else None
    return ImageSet(width, height, columns, rows, cadence, every_s)
