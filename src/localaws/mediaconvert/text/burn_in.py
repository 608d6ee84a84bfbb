"""Draws captions for a video output, to be laid over its frames: blocks of letters in colours, as pictures with times.

Never opens a picture that a job brings. Source: botocore's BurninDestinationSettings; MediaConvert user guide, "Burn-in
output captions".
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import BinaryIO

from PIL import Image, ImageChops

from localaws.mediaconvert.text import lettering, pgs
from localaws.mediaconvert.text.lettering import Block, Setting
from localaws.mediaconvert.text.pgs import Bitmap, Colour
from penstock.formats import caption_writers
from penstock.formats.subtitles import Cue

_PAD = 0.25
_MOST_COLOURS = 8
_ENTRIES = 256
_WHITE = "ffffff"


@dataclass(frozen=True)
class Style:
    """How captions look. Sizes and `shadow_offset`, right and down, in px.

    passes: captions' own italics, colours and places are followed. recolours: `fill` is for all of them, else for those
    that are white. `fill` None leaves colours alone.
    """

    fill: Colour | None
    opacity: int
    outline: Colour
    background: Colour
    shadow: Colour
    shadow_offset: tuple[int, int]
    setting: Setting
    passes: bool = False
    recolours: bool = False


def write(target: BinaryIO, cues: Iterable[Cue], style: Style, frame: tuple[int, int]) -> None:
    """Write the pictures of all cues for a frame of so many px, as they follow one another."""
    style = replace(style, setting=replace(style.setting, pad=_PAD if style.background.opacity else 0.0))
    number, last = 1, None
    ended_s = Fraction(0)
    # ffmpeg takes the first time of a file for its zero, so something is said at zero.
    target.write(pgs.clear(Fraction(0), 0, frame, Bitmap(0, 0, 1, b"\x00")))
    for start_s, end_s, shown in _screens(cues, style):
        if last is not None and start_s > ended_s:
            target.write(pgs.clear(_before(ended_s), number, frame, last))
            number, last = number + 1, None
        drawn = _drawn(shown, style, frame)
        if drawn is not None:
            palette, bitmap = drawn
            target.write(pgs.show(_before(start_s), number, frame, palette, bitmap))
            number, last, ended_s = number + 1, bitmap, end_s
    if last is not None:
        target.write(pgs.clear(_before(ended_s), number, frame, last))


def _before(time_s: Fraction) -> Fraction:
    """A hair earlier: ffmpeg lays a picture over the frames after its time, and not over the one at it."""
    return max(Fraction(0), time_s - Fraction(1, 1000))


def _screens(cues: Iterable[Cue], style: Style) -> Iterator[tuple[Fraction, Fraction, list[Cue]]]:
    """What is on screen from when to when; captions without a place of their own stand below one another."""
    told = cues if style.passes else (Cue(cue.start_s, cue.end_s, caption_writers.plain(cue).text) for cue in cues)
    for start_s, end_s, active in caption_writers.stretches(told):
        placed = [cue for cue in active if cue.place is not None]
        others = [cue for cue in active if cue.place is None]
        for colour in dict.fromkeys(cue.colour for cue in others):
            alike = [cue for cue in others if cue.colour == colour]
            placed.append(replace(alike[0], text="\n".join(cue.text for cue in alike)))
        yield start_s, end_s, placed


def _drawn(cues: Sequence[Cue], style: Style, frame: tuple[int, int]) -> tuple[Sequence[Colour], Bitmap] | None:
    """One picture with all captions, and its palette."""
    found = [(lettering.block(cue, style.setting, frame), _fill(cue, style)) for cue in cues]
    blocks = _apart([(block, colour) for block, colour in found if block is not None], frame)
    if not blocks:
        return None
    colours = list(dict.fromkeys(colour for _, colour in blocks))[:_MOST_COLOURS]
    levels = _Levels.of(len(colours), bool(style.shadow.opacity), bool(style.background.opacity))
    left, top, right, bottom = _around([block for block, _ in blocks], style, frame)
    layers = [Image.new("L", (right - left, bottom - top)) for _ in range(5)]
    colour_of, fill, outline, shadow, background = layers
    for block, colour in blocks:
        at = (block.left - left, block.top - top)
        number = colours.index(colour) if colour in colours else 0
        colour_of.paste(number, (*at, at[0] + block.size[0], at[1] + block.size[1]))
        background.paste(1, (*at, at[0] + block.size[0], at[1] + block.size[1]))
        _lay(fill, block.fill, at)
        _lay(outline, block.outline, at)
        if style.shadow.opacity:
            _lay(shadow, block.outline, (at[0] + style.shadow_offset[0], at[1] + style.shadow_offset[1]))
    return levels.palette(colours, style), Bitmap(left, top, right - left, levels.indexes(layers))


def _lay(layer: Image.Image, mask: Image.Image, at: tuple[int, int]) -> None:
    whole = Image.new("L", layer.size)
    whole.paste(mask, at)
    layer.paste(ImageChops.lighter(layer, whole))


def _apart(blocks: Sequence[tuple[Block, Colour]], frame: tuple[int, int]) -> list[tuple[Block, Colour]]:
    """Blocks that would cover an earlier one stand above it, as far as there is room."""
    made: list[tuple[Block, Colour]] = []
    for block, colour in blocks:
        for other, _ in made:
            if _overlap(block, other):
                block = replace(block, top=max(0, other.top - block.size[1]))
        made.append((block, colour))
    return made


def _overlap(one: Block, other: Block) -> bool:
    return (
        one.box[0] < other.box[2]
        and other.box[0] < one.box[2]
        and one.box[1] < other.box[3]
        and other.box[1] < one.box[3]
    )


def _around(blocks: Sequence[Block], style: Style, frame: tuple[int, int]) -> tuple[int, int, int, int]:
    """The rectangle that holds all blocks and their shadows, within the frame."""
    across, down = style.shadow_offset if style.shadow.opacity else (0, 0)
    return (
        max(0, min(block.box[0] for block in blocks) + min(0, across)),
        max(0, min(block.box[1] for block in blocks) + min(0, down)),
        min(frame[0], max(block.box[2] for block in blocks) + max(0, across)),
        min(frame[1], max(block.box[3] for block in blocks) + max(0, down)),
    )


def _fill(cue: Cue, style: Style) -> Colour:
    own = cue.colour if style.passes and cue.colour else _WHITE
    if style.fill is not None and (style.recolours or own == _WHITE):
        return style.fill
    red, green, blue = bytes.fromhex(own)
    return Colour(red, green, blue, style.opacity)


@dataclass(frozen=True)
class _Levels:
    """What the index of a palette's entry says: its colour, and how much letters, outline, shadow and ground cover."""

    colours: int
    fill: int
    outline: int
    shadow: int
    background: int

    @classmethod
    def of(cls, colours: int, shadow: bool, background: bool) -> _Levels:
        """As many levels as 256 entries leave, the same of letters, outline and shadow."""
        room = _ENTRIES // (colours * (2 if background else 1))
        each = math.floor(room ** (1 / 3) + 1e-9) if shadow else math.isqrt(room)
        return cls(colours, each, each, each if shadow else 1, 2 if background else 1)

    def indexes(self, layers: Sequence[Image.Image]) -> bytes:
        colour, fill, outline, shadow, background = layers
        whole = Image.new("L", colour.size)
        weight = 1
        for layer, count, direct in (
            (background, self.background, True),
            (shadow, self.shadow, False),
            (outline, self.outline, False),
            (fill, self.fill, False),
            (colour, self.colours, True),
        ):
            table = [(min(value, count - 1) if direct else value * count >> 8) * weight for value in range(256)]
            whole = ImageChops.add(whole, layer.point([min(entry, 255) for entry in table]))
            weight *= count
        return whole.tobytes()

    def palette(self, colours: Sequence[Colour], style: Style) -> list[Colour]:
        return [
            self._mixed(colours[number], style, fill, outline, shadow, background)
            for number in range(self.colours)
            for fill in range(self.fill)
            for outline in range(self.outline)
            for shadow in range(self.shadow)
            for background in range(self.background)
        ]

    def _mixed(self, colour: Colour, style: Style, fill: int, outline: int, shadow: int, background: int) -> Colour:
        ground = style.background if background else Colour(0, 0, 0, 0)
        below = _over(_faded(style.shadow, shadow, self.shadow), ground)
        return _over(_faded(colour, fill, self.fill), _over(_faded(style.outline, outline, self.outline), below))


def _faded(colour: Colour, level: int, levels: int) -> Colour:
    return replace(colour, opacity=round(colour.opacity * level / max(1, levels - 1)))


def _over(upper: Colour, lower: Colour) -> Colour:
    """One colour laid over another (Porter and Duff)."""
    above = upper.opacity / 255
    below = lower.opacity / 255 * (1 - above)
    total = above + below
    if not total:
        return Colour(0, 0, 0, 0)

    def mixed(one: int, other: int) -> int:
        return round((one * above + other * below) / total)

    return Colour(
        mixed(upper.red, lower.red),
        mixed(upper.green, lower.green),
        mixed(upper.blue, lower.blue),
        round(255 * total),
    )
