"""Reads how pictures are coded by codecs in which every frame stands alone: for editing, archives and GIF. Pure.

Source: botocore's model and the MediaConvert API reference for each member's default.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from localaws.media.failures import SettingRefused
from localaws.mediaconvert.settings.codecs import Coded, frame_rate, pixel_shape, scan

Json = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Prores(Coded):
    """`profile` is AWS's name after APPLE_PRORES_; `chroma` 422 or 444."""

    profile: str
    chroma: str


@dataclass(frozen=True, kw_only=True)
class Vc3(Coded):
    """`rate_class` is 145 or 220: Mb/s at 1920 x 1080 and 30 frames a second."""

    rate_class: int


@dataclass(frozen=True, kw_only=True)
class Uncompressed(Coded):
    """`chroma` is 420, 422 or 444."""

    chroma: str


@dataclass(frozen=True, kw_only=True)
class Gif(Coded):
    pass


@dataclass(frozen=True, kw_only=True)
class Passthrough(Coded):
    """The source's own packets, which nothing decodes."""


def _alone(path: str, own: Json) -> dict[str, Any]:
    """What is the same in all of them: the rate of frames, and no rates of bits or groups of pictures."""
    return {
        "rate_control": "NONE",
        "bitrate_bps": None,
        "max_bitrate_bps": None,
        "buffer_bits": None,
        "frame_rate": frame_rate(path, own),
        "conversion": own.get("FramerateConversionAlgorithm") or "DUPLICATE_DROP",
        "par": pixel_shape(path, own),
        "gop_size": Fraction(1),
        "gop_units": "FRAMES",
        **scan(path, own),
    }


def _prores(path: str, own: Json) -> Prores:
    profile = (own.get("CodecProfile") or "APPLE_PRORES_422").removeprefix("APPLE_PRORES_")
    full = profile.startswith("4444")
    if own.get("ChromaSampling") == "PRESERVE_444_SAMPLING" and not full:
        raise SettingRefused(f"{path}.chromaSampling", f"PRESERVE_444_SAMPLING needs a profile of 4444, got {profile}")
    chroma = "444" if full and own.get("ChromaSampling") == "PRESERVE_444_SAMPLING" else "422"
    return Prores(**_alone(path, own), profile=profile, chroma=chroma, bit_depth=10)


def _vc3(path: str, own: Json) -> Vc3:
    _, rate_class, depth = (own.get("Vc3Class") or "CLASS_145_8BIT").split("_")
    return Vc3(**_alone(path, own), rate_class=int(rate_class), bit_depth=10 if depth == "10BIT" else 8)


def _uncompressed(path: str, own: Json) -> Uncompressed:
    return Uncompressed(**_alone(path, own), chroma=(own.get("Fourcc") or "I420").removeprefix("I"))


def _gif(path: str, own: Json) -> Gif:
    return Gif(**_alone(path, own))


def _passthrough(path: str, own: Json) -> Passthrough:
    return Passthrough(**_alone(path, {}))


READERS: Mapping[str, tuple[str, Callable[[str, Json], Coded]]] = {
    "GIF": ("GifSettings", _gif),
    "PASSTHROUGH": ("PassthroughSettings", _passthrough),
    "PRORES": ("ProresSettings", _prores),
    "UNCOMPRESSED": ("UncompressedSettings", _uncompressed),
    "VC3": ("Vc3Settings", _vc3),
}
