"""What TTML says of how a paragraph looks: italics, bold, underline, its colour, and the region it stands in.

Looks styles up and draws nothing; fonts, sizes, and colours of parts of a paragraph are left out. Source: W3C TTML2 8
(styling, 8.4.4 referential, 8.4.2 inherited), 10.2.2 (color), 10.2.15 (extent), 10.2.29 (origin), 9.1.2 (regions).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction

from lxml import etree

from penstock.formats.subtitles import Place

_TTS = "{http://www.w3.org/ns/ttml#styling}"
_ID = "{http://www.w3.org/XML/1998/namespace}id"
_LENGTHS = re.compile(r"(-?\d{1,6}(?:\.\d{1,6})?)(px|%)\s+(-?\d{1,6}(?:\.\d{1,6})?)(px|%)")
_HEX = re.compile(r"#([0-9a-fA-F]{6})([0-9a-fA-F]{2})?")
_RGB = re.compile(r"rgba?\(\s*(\d{1,3})\s*,\s*(\d{1,3})\s*,\s*(\d{1,3})\s*(?:,\s*\d{1,3}\s*)?\)")
_COLOURS = {
    "black": "000000", "silver": "c0c0c0", "gray": "808080", "white": "ffffff", "maroon": "800000", "red": "ff0000",
    "purple": "800080", "fuchsia": "ff00ff", "magenta": "ff00ff", "green": "008000", "lime": "00ff00",
    "olive": "808000", "yellow": "ffff00", "navy": "000080", "blue": "0000ff", "teal": "008080", "aqua": "00ffff",
    "cyan": "00ffff",
}  # fmt: skip
_MARKUP = (("fontStyle", ("italic", "oblique"), "i"), ("fontWeight", ("bold",), "b"))
_ALIGNED = {"left": "left", "start": "left", "right": "right", "end": "right"}
_MOST_DEEP = 20


@dataclass(frozen=True)
class Styles:
    """The styles and regions of a document by their ids; size_px of the root container, where it is told."""

    styles: dict[str, etree._Element] = field(default_factory=dict)
    regions: dict[str, etree._Element] = field(default_factory=dict)
    size_px: tuple[Fraction, Fraction] | None = None

    @classmethod
    def of(cls, root: etree._Element) -> Styles:
        found: dict[str, dict[str, etree._Element]] = {"style": {}, "region": {}}
        for element in root.iter(etree.Element):
            name = etree.QName(element).localname
            if name in found and element.get(_ID):
                found[name][element.get(_ID, "")] = element
        size = _LENGTHS.fullmatch(root.get(f"{_TTS}extent", "").strip())
        px = (Fraction(size[1]), Fraction(size[3])) if size and size[2] == size[4] == "px" else None
        return cls(found["style"], found["region"], px if px and min(px) > 0 else None)

    def markup(self, element: etree._Element) -> frozenset[str]:
        """Which of b, i and u an element is in."""
        names = {name for attribute, values, name in _MARKUP if self._inherited(element, attribute) in values}
        if "underline" in (self._inherited(element, "textDecoration") or "").split():
            names.add("u")
        return frozenset(names)

    def colour(self, paragraph: etree._Element) -> str | None:
        """Six hexadecimal digits; of a paragraph that is one span, that span's."""
        spans = [child for child in paragraph if etree.QName(child).localname == "span"]
        alone = len(spans) == 1 and not (paragraph.text or "").strip() and not (spans[0].tail or "").strip()
        return _colour(self._inherited(spans[0] if alone else paragraph, "color"))

    def place(self, paragraph: etree._Element) -> Place | None:
        """Where a paragraph stands; None where no region with an origin says so."""
        region = self._region(paragraph)
        origin = self._both(self._inherited(paragraph, "origin", own=True) or self._said(region, "origin"))
        if origin is None:
            return None
        extent = self._both(self._inherited(paragraph, "extent", own=True) or self._said(region, "extent"))
        width, height = extent or (1 - origin[0], 1 - origin[1])
        aligned = self._inherited(paragraph, "textAlign") or self._said(region, "textAlign") or "start"
        return Place(
            *origin, width, height, _ALIGNED.get(aligned, "center"), self._said(region, "displayAlign") or "before"
        )

    def _both(self, said: str | None) -> tuple[Fraction, Fraction] | None:
        """Two lengths as parts of the root container."""
        match = _LENGTHS.fullmatch((said or "").strip())
        if match is None:
            return None
        parts = []
        for number, unit, whole in ((match[1], match[2], 0), (match[3], match[4], 1)):
            if unit == "px" and self.size_px is None:
                return None
            parts.append(Fraction(number) / (self.size_px[whole] if unit == "px" and self.size_px else 100))
        return parts[0], parts[1]

    def _region(self, element: etree._Element) -> etree._Element | None:
        for one in _upwards(element):
            if one.get("region"):
                return self.regions.get(one.get("region", ""))
        return None

    def _inherited(self, element: etree._Element, attribute: str, *, own: bool = False) -> str | None:
        """What an element, or one around it, says; at last its region."""
        for one in _upwards(element):
            if said := self._said(one, attribute):
                return said
            if own:
                return None
        return self._said(self._region(element), attribute)

    def _said(self, element: etree._Element | None, attribute: str, depth: int = 0) -> str | None:
        """What an element says itself, in styles inside it, or in those it refers to."""
        if element is None or depth > _MOST_DEEP:
            return None
        if said := element.get(f"{_TTS}{attribute}"):
            return said
        for child in element:
            inside = isinstance(child.tag, str) and etree.QName(child).localname == "style"
            if inside and (said := child.get(f"{_TTS}{attribute}")):
                return said
        for name in reversed((element.get("style") or "").split()):
            if said := self._said(self.styles.get(name), attribute, depth + 1):
                return said
        return None


def _upwards(element: etree._Element | None) -> Iterator[etree._Element]:
    while element is not None:
        yield element
        element = element.getparent()


def _colour(said: str | None) -> str | None:
    text = (said or "").strip()
    if match := _HEX.fullmatch(text):
        return match[1].lower()
    if match := _RGB.fullmatch(text):
        return "".join(f"{min(int(part), 255):02x}" for part in match.groups())
    return _COLOURS.get(text.lower())
