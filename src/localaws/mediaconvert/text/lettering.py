"""Sets the text of one caption in lines and draws its letters and their outlines, in one font of our own.

Never opens a font that a job brings, and knows no colours: masks say how much of each pixel is covered. Bold and italic
letters are the plain ones, thickened and slanted. Where AWS chooses by itself (size, place) the choice here is ours.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby

from PIL import Image, ImageChops, ImageDraw, ImageFont

from localaws.mediaconvert import fonts
from penstock.formats.caption_writers import runs
from penstock.formats.subtitles import Cue, Place

_HEIGHT_OF_TEXT = 0.055
_MARGIN = 0.06
_LINE = 1.25
_SLANT = 0.2
_MOST_PX = 16_383
_NO_CHARACTER = "\uffff"

Styles = frozenset[str]
_Letter = tuple[str, Styles]


@dataclass(frozen=True)
class Setting:
    """How text is set. Sizes in px; `size`, `left` and `top` None leave the choice to the frame.

    pad: part of the size that is left free around the text, for a background.
    """

    outline_px: int
    size: int | None
    centred: bool
    left: int | None
    top: int | None
    pad: float = 0.0


@dataclass(frozen=True)
class Block:
    """One caption in the frame: where its box lies in px, and masks of the box's size, 0 to 255."""

    left: int
    top: int
    fill: Image.Image
    outline: Image.Image

    @property
    def size(self) -> tuple[int, int]:
        return self.fill.size

    @property
    def box(self) -> tuple[int, int, int, int]:
        return self.left, self.top, self.left + self.size[0], self.top + self.size[1]


def block(cue: Cue, setting: Setting, frame: tuple[int, int]) -> Block | None:
    """Set and draw a caption for a frame of so many px; None where it has nothing to show."""
    size = setting.size or max(10, round(frame[1] * _HEIGHT_OF_TEXT))
    room_px = float(cue.place.width) * frame[0] if cue.place else frame[0] * (1 - 2 * _MARGIN)
    lines = [line for line in _lines(cue.text, size, room_px) if line]
    if not lines:
        return None
    edge = setting.outline_px + round(size * setting.pad)
    widths = [_width(line, size) for line in lines]
    height = round(size * _LINE)
    box = (
        min(round(max(widths)) + 2 * edge, frame[0], _MOST_PX),
        min(len(lines) * height + 2 * edge, frame[1], _MOST_PX),
    )
    align = cue.place.align if cue.place else "center" if setting.centred else "left"
    share = {"left": 0.0, "center": 0.5, "right": 1.0}[align]
    fill, outline = Image.new("L", box), Image.new("L", box)
    for number, (line, width) in enumerate(zip(lines, widths, strict=True)):
        at = (edge + share * (box[0] - 2 * edge - width), edge + number * height)
        _draw(line, at, size, 0, fill)
        _draw(line, at, size, setting.outline_px, outline)
    return Block(*_place(setting, cue.place, box, frame), fill, outline)


def lacking(text: str) -> str:
    """The characters of a text that the font draws as boxes, each once and in order."""
    font = _font(32)
    box = bytes(font.getmask(_NO_CHARACTER))
    shown = sorted(letter for letter in set(text) if letter.isprintable() and not letter.isspace())
    return "".join(letter for letter in shown if bytes(font.getmask(letter)) == box)


def _place(setting: Setting, place: Place | None, box: tuple[int, int], frame: tuple[int, int]) -> tuple[int, int]:
    """Where the box lies: where the job says, else where the caption does, else at the bottom; never outside."""
    if place is not None:
        free = (float(place.width) * frame[0] - box[0], float(place.height) * frame[1] - box[1])
        across = {"left": 0.0, "center": 0.5, "right": 1.0}[place.align]
        down = {"before": 0.0, "center": 0.5}.get(place.display, 1.0)
        left = float(place.left) * frame[0] + across * free[0]
        top = float(place.top) * frame[1] + down * free[1]
    else:
        left = (frame[0] - box[0]) / 2 if setting.centred else frame[0] * _MARGIN
        top = frame[1] * (1 - _MARGIN) - box[1]
    left = left if setting.left is None else setting.left
    top = top if setting.top is None else setting.top
    return max(0, min(round(left), frame[0] - box[0])), max(0, min(round(top), frame[1] - box[1]))


def _lines(text: str, size: int, room_px: float) -> Iterator[list[_Letter]]:
    """Lines as letters with their styles, broken between words where they are too long."""
    letters = [(letter, run.style) for run in runs(text) for letter in run.text]
    for ended, line in groupby(letters, key=lambda letter: letter[0] == "\n"):
        if not ended:
            yield from _broken(list(line), size, room_px)


def _broken(line: Sequence[_Letter], size: int, room_px: float) -> Iterator[list[_Letter]]:
    taken: list[_Letter] = []
    for word in _words(line):
        space = [(" ", taken[-1][1] & word[0][1])] if taken else []
        if taken and _width([*taken, *space, *word], size) > room_px:
            yield taken
            taken, space = [], []
        taken = [*taken, *space, *word]
    yield taken


def _words(line: Iterable[_Letter]) -> Iterator[list[_Letter]]:
    for blank, letters in groupby(line, key=lambda letter: letter[0].isspace()):
        if not blank:
            yield list(letters)


def _pieces(line: Iterable[_Letter]) -> Iterator[tuple[str, Styles]]:
    for style, letters in groupby(line, key=lambda letter: letter[1]):
        yield "".join(letter for letter, _ in letters), style


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(fonts.FILE, size)


def _bold_px(size: int, style: Styles) -> int:
    return max(1, size // 24) if "b" in style else 0


def _width(line: Iterable[_Letter], size: int) -> float:
    return sum(_font(size).getlength(text) + 2 * _bold_px(size, style) for text, style in _pieces(line))


def _draw(line: Iterable[_Letter], at: tuple[float, float], size: int, stroke_px: int, mask: Image.Image) -> None:
    """Draw a line from `at`, its left upper corner."""
    left, top = at
    font = _font(size)
    baseline = top + size
    for text, style in _pieces(line):
        bold = _bold_px(size, style)
        own = Image.new("L", mask.size)
        pen = ImageDraw.Draw(own)
        pen.text((left + bold, baseline), text, 255, font, anchor="ls", stroke_width=stroke_px + bold)
        width = font.getlength(text) + 2 * bold
        if "i" in style:
            shear = (1, _SLANT, -_SLANT * (baseline - size / 3), 0, 1, 0)
            own = own.transform(own.size, Image.Transform.AFFINE, shear, Image.Resampling.BILINEAR)
        if "u" in style:
            under, thick = baseline + max(2, size // 10), max(1, size // 16)
            box = (left - stroke_px, under - stroke_px, left + width + stroke_px, under + thick + stroke_px)
            ImageDraw.Draw(own).rectangle(box, 255)
        mask.paste(ImageChops.lighter(mask, own))
        left += width
