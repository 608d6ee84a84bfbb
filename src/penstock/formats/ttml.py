"""TTML (and with it IMSC text and SMPTE-TT) to cues: timing and text, and where it is asked for italics, bold and
underline, colours of paragraphs and their regions.

Never loads fonts or pictures. Source: W3C TTML2 (time expressions, nested timing).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from lxml import etree

from penstock.errors import ManifestError
from penstock.formats import safexml
from penstock.formats.subtitles import MAX_CUES, MAX_TEXT_BYTES, Cue
from penstock.formats.ttml_styles import Styles

_CLOCK = re.compile(r"(\d{2,}):([0-5]\d):([0-5]\d)(?:\.(\d{1,9})|:(\d{2,}))?")
_OFFSET = re.compile(r"(\d{1,12}(?:\.\d{1,9})?)(h|ms|m|s|f|t)")


def parse_ttml(content: bytes, *, styled: bool = False) -> list[Cue]:
    """Read the text of a TTML document: each `p` with the times it inherits; `styled` with what its styles say.

    Raises ManifestError where it is none.
    """
    root = safexml.parse(content, max_bytes=MAX_TEXT_BYTES, error=ManifestError)
    if etree.QName(root).localname != "tt":
        raise ManifestError(f"the root element is {etree.QName(root).localname[:40]!r}, expected tt")
    clock = _Clock.of(root)
    cues = list(_cues(root, Fraction(0), None, clock, Styles.of(root) if styled else None))
    if len(cues) > MAX_CUES:
        raise ManifestError(f"more than {MAX_CUES} subtitles")
    return cues


@dataclass(frozen=True)
class _Clock:
    """Frames and ticks in a second."""

    frames: Fraction
    ticks: Fraction

    @classmethod
    def of(cls, root: etree._Element) -> _Clock:
        values = {etree.QName(name).localname: str(value) for name, value in root.attrib.items()}
        try:
            top, bottom = values.get("frameRateMultiplier", "1 1").split()
            frames = Fraction(int(values.get("frameRate", "30"))) * Fraction(int(top), int(bottom))
            ticks = Fraction(int(values.get("tickRate", "0")) or frames)
        except (ValueError, ZeroDivisionError) as exc:
            raise ManifestError("tt: frameRate, frameRateMultiplier or tickRate cannot be read") from exc
        if frames <= 0 or ticks <= 0:
            raise ManifestError("tt: frameRate and tickRate are greater than 0")
        return cls(frames, ticks)

    def seconds(self, text: str) -> Fraction:
        if match := _CLOCK.fullmatch(text.strip()):
            whole = Fraction(int(match[1]) * 3600 + int(match[2]) * 60 + int(match[3]))
            return whole + Fraction(f"0.{match[4] or 0}") + (int(match[5]) / self.frames if match[5] else 0)
        if match := _OFFSET.fullmatch(text.strip()):
            factors = {"h": Fraction(3600), "m": Fraction(60), "s": Fraction(1), "ms": Fraction(1, 1000)}
            factors |= {"f": 1 / self.frames, "t": 1 / self.ticks}
            return Fraction(match[1]) * factors[match[2]]
        raise ManifestError(f"no TTML time: {text[:40]!r}")


def _cues(
    element: etree._Element, start: Fraction, end: Fraction | None, clock: _Clock, styles: Styles | None
) -> Iterator[Cue]:
    """Times of an element count from the start of the element around it (TTML2 12.4)."""
    begin, dur, stop = (element.get(name) for name in ("begin", "dur", "end"))
    inner_start = start + (clock.seconds(begin) if begin else 0)
    ends = [bound for bound in (end, start + clock.seconds(stop) if stop else None) if bound is not None]
    if dur:
        ends.append(inner_start + clock.seconds(dur))
    inner_end = min(ends) if ends else None
    name = etree.QName(element).localname
    if name == "p":
        timed = [child for child in element if etree.QName(child).localname == "span" and child.get("begin")]
        if timed:
            for child in timed:
                yield from _cues(child, inner_start, inner_end, clock, styles)
            return
    if name in ("p", "span"):
        if inner_end is not None:
            text = "".join(said for said, _ in _parts(element))
            if styles is None:
                yield Cue(inner_start, inner_end, text)
            else:
                text = "".join(_marked(said, styles.markup(holder)) for said, holder in _parts(element))
                yield Cue(inner_start, inner_end, text, styles.colour(element), styles.place(element))
        return
    for child in element:
        yield from _cues(child, inner_start, inner_end, clock, styles)


def _parts(element: etree._Element) -> Iterator[tuple[str, etree._Element]]:
    """The text of an element in pieces, each with the element that it stands in."""
    yield re.sub(r"\s+", " ", element.text or ""), element
    for child in element:
        name = etree.QName(child).localname
        if name == "br":
            yield "\n", element
        elif name == "span":
            yield from _parts(child)
        yield re.sub(r"\s+", " ", child.tail or ""), element


def _marked(text: str, markup: frozenset[str]) -> str:
    if not text.strip():
        return text
    names = sorted(markup)
    return "".join(f"<{name}>" for name in names) + text + "".join(f"</{name}>" for name in reversed(names))
