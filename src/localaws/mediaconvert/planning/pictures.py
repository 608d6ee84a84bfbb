"""How a source's picture fits into the frame that an output asks for. Pure arithmetic of sizes and shapes."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction

from localaws.media import active_format
from localaws.media.failures import SETTINGS, JobError
from localaws.mediaconvert.planning.film import SourceVideo
from localaws.mediaconvert.planning.planned import Picture
from localaws.mediaconvert.settings.codecs import Coded
from localaws.mediaconvert.settings.processing import Rectangle
from localaws.mediaconvert.settings.video import Video


def frame(asked: Video, video: SourceVideo, turn: int | None, rate: Fraction) -> Picture:
    """Fit the turned source into the frame that was asked for; missing sides follow the source's display aspect."""
    width, height, sar = video.width, video.height, video.sar
    if (video.rotation if turn is None else turn) in (90, 270):
        width, height, sar = height, width, 1 / sar
    crop, position = asked.processing.crop, asked.processing.position
    if crop is not None:
        _inside(f"{asked.path}.crop", crop, width, height)
        width, height = crop.width, crop.height
    shape = asked.codec.par if isinstance(asked.codec, Coded) else None
    if position is not None:
        wide, high = asked.width or even(width), asked.height or even(height)
        _inside(f"{asked.path}.position", position, wide, high)
        placed = Picture(wide, high, position.width, position.height, rate, shape or Fraction(1))
        return replace(placed, left=position.left, top=position.top)
    if asked.width is None and asked.height is None:
        return Picture(even(width), even(height), even(width), even(height), rate, shape or sar)
    # From here on the source is measured in pixels of the output's shape.
    shape = shape or Fraction(1)
    sar /= shape
    aspect = Fraction(width, height) * sar
    wide = asked.width if asked.width is not None else even(asked.height * aspect) if asked.height else 0
    high = asked.height if asked.height is not None else even(wide / aspect)
    if asked.width is None or asked.height is None or asked.scaling == "STRETCH_TO_OUTPUT":
        return Picture(wide, high, wide, high, rate, shape)
    fitted = _fitted(asked.scaling, wide, high, (width * sar, Fraction(height)), rate)
    return replace(fitted, sar=shape)


def active(asked: Video, video: SourceVideo, turn: int | None) -> Video:
    """Cut what an output asks for to the part of the source's frames that holds their picture, if it responds to that.

    A crop or a position of the output's own is followed instead, and a turned frame has no such part.
    """
    processing = asked.processing
    code = video.active_format if processing.active_format.respond == "RESPOND" else None
    turned = video.rotation if turn is None else turn
    if code is None or turned or processing.crop is not None or processing.position is not None:
        return asked
    shape = Fraction(video.width, video.height) * video.sar
    if asked.width is not None and asked.height is not None:
        shape = Fraction(asked.width, asked.height)
    width, height, left, top = active_format.active_area(code, video.width, video.height, video.sar, shape)
    if (width, height) == (video.width, video.height):
        return asked
    return replace(asked, processing=replace(processing, crop=Rectangle(left, top, width, height)))


def _fitted(scaling: str, wide: int, high: int, display: tuple[Fraction, Fraction], rate: Fraction) -> Picture:
    scale = min(wide / display[0], high / display[1])
    if scaling == "FILL":
        scale = max(wide / display[0], high / display[1])
    elif scaling == "FIT_NO_UPSCALE":
        scale = min(scale, Fraction(1))
    content = (even(display[0] * scale), even(display[1] * scale))
    # A pixel or two of difference is the rounding to even numbers, not another aspect: no bars for that.
    if abs(content[0] - wide) <= 2 and abs(content[1] - high) <= 2:
        content = (wide, high)
    if scaling in ("FIT", "FIT_NO_UPSCALE"):
        wide, high = content
    return Picture(wide, high, *content, rate)


def _inside(path: str, area: Rectangle, width: int, height: int) -> None:
    if area.left + area.width > width or area.top + area.height > height:
        told = f"{area.width}x{area.height} at {area.left},{area.top}"
        raise JobError(SETTINGS, f"{path}: {told} does not lie inside a picture of {width}x{height}")


def even(length: Fraction | int) -> int:
    """The nearest even number of pixels, the smaller one where two are as near, at least 2."""
    return max(2, 2 * math.ceil(Fraction(length) / 2 - Fraction(1, 2)))
