"""Encoder options of codecs in which every frame stands alone. Pure functions that return lists.

Source: SMPTE ST 2019-1 (VC-3), whose rates belong to frame sizes; the encoder knows them by their Mb/s.
"""

from __future__ import annotations

from collections.abc import Callable

from localaws.mediaconvert.planning.planned import Gop
from localaws.mediaconvert.settings.codecs import Coded
from localaws.mediaconvert.settings.intra_codecs import Gif, Prores, Uncompressed, Vc3

_PRORES_PROFILES = {"422_PROXY": "proxy", "422_LT": "lt", "422": "standard", "422_HQ": "hq", "4444": "4444",
                    "4444_XQ": "4444xq"}  # fmt: skip
PALETTE = "split[{0}p][{0}q];[{0}p]palettegen=stats_mode=single[{0}c];[{0}q][{0}c]paletteuse=new=1"
"""256 colours of each frame's own: those of a whole film would need all of it in memory. Takes a label for its pads."""


def pixel_format(codec: Coded) -> str | None:
    """How the filter graph hands pictures to an encoder; None for codecs of another kind."""
    deep = "10le" if codec.bit_depth == 10 else ""
    if isinstance(codec, Prores):
        # 4444 is 4:4:4 by its very name; what was thinned out to 4:2:2 before stays thin.
        return f"yuv{codec.chroma}p10le"
    if isinstance(codec, Vc3):
        return f"yuv422p{deep}"
    return f"yuv{codec.chroma}p" if isinstance(codec, Uncompressed) else None


def _prores(codec: Prores, gop: Gop) -> list[str]:
    # Named, because outputs of one graph would otherwise agree on one format.
    form = "yuv444p10le" if codec.profile.startswith("4444") else "yuv422p10le"
    return ["-c:v", "prores_ks", "-profile:v", _PRORES_PROFILES[codec.profile], "-pix_fmt", form]


def _vc3(codec: Vc3, gop: Gop) -> list[str]:
    return ["-c:v", "dnxhd", "-pix_fmt", f"yuv422p{'10le' if codec.bit_depth == 10 else ''}"]


def vc3_rate(codec: Vc3, width: int) -> list[str]:
    """The rate by which the encoder knows the class for a frame size; 10 bits at 1080 lines have names of their own."""
    mbps = 185 if codec.bit_depth == 10 and width == 1920 else codec.rate_class
    return ["-b:v", f"{mbps}M"]


def _uncompressed(codec: Uncompressed, gop: Gop) -> list[str]:
    return ["-c:v", "rawvideo", "-pix_fmt", f"yuv{codec.chroma}p"]


def _gif(codec: Gif, gop: Gop) -> list[str]:
    return ["-c:v", "gif"]


OPTIONS: dict[type[Coded], Callable[..., list[str]]] = {
    Gif: _gif,
    Prores: _prores,
    Uncompressed: _uncompressed,
    Vc3: _vc3,
}
