"""Chooses the renditions of an automated stack for a source: sizes, rates and quality. Pure, and never upscales.

AWS analyses each job and does not say how; this ladder is the same for all sources of one size. Rates lie between the
bounds that the job gives, in proportion to the logarithm of the number of pixels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from localaws.mediaconvert.settings.abr import Abr, Size
from localaws.mediaconvert.settings.codecs import H264, Coded

# Short sides in px: between any two the number of pixels about doubles.
_SHORT_SIDES = (2160, 1440, 1080, 720, 540, 360, 270, 180)
# A full HD picture of H.264 needs no more than this, and others in proportion to the power of their pixels.
_FULL_HD, _FULL_HD_BPS, _POWER = 1920 * 1080, 8_000_000, 0.75
_NEWER_CODECS = 0.6


@dataclass(frozen=True)
class Rendition:
    width: int
    height: int
    bitrate_bps: int
    quality: float


def renditions(abr: Abr, source: Size, codec: Coded, warnings: list[str]) -> list[Rendition]:
    """The stack, largest first, for a source of this size on a screen with square pixels; at least one.

    A size that a rule asks for and that is larger than the source is left out, which `warnings` then says.
    """
    sizes = _sizes(abr, source, warnings)
    pixels = [width * height for width, height in sizes]
    efficiency = 1.0 if isinstance(codec, H264) else _NEWER_CODECS
    top = _FULL_HD_BPS * efficiency * (pixels[0] / _FULL_HD) ** _POWER
    top_bps = min(abr.most_bps, max(abr.least_bps, round(top)))
    made = []
    for (width, height), count in zip(sizes, pixels, strict=True):
        share = 1.0 if pixels[0] == pixels[-1] else math.log(count / pixels[-1]) / math.log(pixels[0] / pixels[-1])
        bitrate_bps = round(abr.least_bps * (top_bps / abr.least_bps) ** share / 1000) * 1000
        made.append(Rendition(width, height, bitrate_bps, abr.quality or (8.0 if min(width, height) >= 1080 else 7.0)))
    return made


def _sizes(abr: Abr, source: Size, warnings: list[str]) -> list[Size]:
    def fits(size: Size) -> bool:
        return size[0] <= source[0] and size[1] <= source[1]

    for size in abr.required:
        if not fits(size):
            warnings.append(f"a rendition of {_told(size)} is left out: the source is {_told(source)}")
    if abr.least_top is not None and not _reaches(source, abr.least_top):
        warnings.append(f"no rendition reaches {_told(abr.least_top)}: the source is {_told(source)}")
    required = [size for size in abr.required if fits(size)]
    if abr.allowed:
        candidates = [size for size in abr.allowed if fits(size)] or [source]
    else:
        candidates = [source, *_scaled(source)]
    if abr.least_bottom is not None:
        bottom = abr.least_bottom
        candidates = [size for size in candidates if _reaches(size, bottom)] or [source]
    ordered = sorted({*candidates, *required}, key=lambda size: (-size[0] * size[1], size))
    return _thinned(ordered, required, abr.most_renditions)


def _reaches(size: Size, least: Size) -> bool:
    return size[0] >= least[0] and size[1] >= least[1]


def _scaled(source: Size) -> list[Size]:
    """The source's shape with shorter short sides, each clearly smaller than the source."""
    short = min(source)
    sides = [side for side in _SHORT_SIDES if side <= 0.9 * short]
    return [(_even(source[0] * side / short), _even(source[1] * side / short)) for side in sides]


def _even(length: float) -> int:
    return max(2, 2 * round(length / 2))


def _thinned(sizes: Sequence[Size], required: Sequence[Size], most: int) -> list[Size]:
    """At most so many: the required ones, the ends, and of the others those that lie farthest from their neighbours."""
    kept = list(sizes)
    while len(kept) > most:
        inner = [place for place in range(1, len(kept) - 1) if kept[place] not in required]
        if not inner:
            inner = [place for place in (len(kept) - 1, 0) if kept[place] not in required]
        kept.pop(min(inner, key=lambda place: _gap(kept, place)))
    return kept


def _gap(sizes: Sequence[Size], place: int) -> float:
    if place in (0, len(sizes) - 1):
        return 0.0
    before, after = sizes[place - 1], sizes[place + 1]
    return (before[0] * before[1]) / (after[0] * after[1])


def _told(size: Size) -> str:
    return f"{size[0]}x{size[1]}"
