"""What the first frame of HDR pictures says of the display they were made on, as ffprobe tells it. Touches no file.

Source: Rec. ITU-T H.265, D.3.28 (mastering display colour volume) and D.3.35 (content light level).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

_POINTS = ("green", "blue", "red", "white_point")
_COORDINATES = tuple(f"{point}_{axis}" for point in _POINTS for axis in "xy")
_LEVELS = ("max_content", "max_average")
MEMBERS = (*_COORDINATES, "max_luminance", "min_luminance", *_LEVELS)
"""Entries of side data to ask ffprobe for."""


@dataclass(frozen=True)
class Hdr10:
    """Primaries and white point (x, y) in 0.00002, luminances in 0.0001 cd/m2, light levels in cd/m2, 0 not known."""

    green: tuple[int, int]
    blue: tuple[int, int]
    red: tuple[int, int]
    white: tuple[int, int]
    max_luminance: int
    min_luminance: int
    max_content: int
    max_average: int


def read(told: Iterable[Mapping[str, Any]]) -> Hdr10 | None:
    """The display of a frame from its side data; None where none of it, or none that makes sense, is there."""
    said = {name: value for data in told for name, value in data.items()}
    try:
        places = [round(Fraction(said[name]) * 50_000) for name in _COORDINATES]
        lights = [round(Fraction(said[f"{bound}_luminance"]) * 10_000) for bound in ("max", "min")]
        levels = [int(said.get(name, 0)) for name in _LEVELS]
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    fits = all(0 <= place <= 50_000 for place in places) and 0 <= lights[1] < lights[0] < 1 << 32
    if not fits or not all(0 <= level < 1 << 16 for level in levels):
        return None
    green, blue, red, white = zip(places[::2], places[1::2], strict=True)
    return Hdr10(green, blue, red, white, *lights, *levels)
