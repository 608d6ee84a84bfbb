"""The tree of an MPD: its representations, what they inherit, and the references of their segments.

Knows how segments are named (SegmentTemplate, SegmentTimeline, SegmentList, SegmentBase), not where they are.
Reads static presentations only. Standard: ISO/IEC 23009-1.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from lxml import etree

from penstock.errors import ManifestError
from penstock.formats import safexml

MAX_MPD_BYTES = 16 * 2**20
MAX_SEGMENTS = 200_000
"""Segments of all representations together: 24 hours of 2 s segments in four renditions."""
MAX_REPRESENTATIONS = 500

NAMESPACE = "urn:mpeg:dash:schema:mpd:2011"
XLINK = "http://www.w3.org/1999/xlink"

_NUMBER = r"\d*(?:[.,]\d+)?"
_DURATION = re.compile(
    rf"(-)?P(?:({_NUMBER})Y)?(?:({_NUMBER})M)?(?:({_NUMBER})W)?(?:({_NUMBER})D)?"
    rf"(?:T(?:({_NUMBER})H)?(?:({_NUMBER})M)?(?:({_NUMBER})S)?)?"
)
_SECONDS = (604_800, 86_400, 3600, 60, 1)
_IDENTIFIER = re.compile(r"\$(?:(RepresentationID|Number|Time|Bandwidth|SubNumber)(?:%0(\d{1,2})[diu])?)?\$")
_RANGE = re.compile(r"(\d{1,18})-(\d{1,18})?")


def read(mpd: bytes) -> etree._Element:
    """Parse an MPD in DASH's namespace. Raises ManifestError for anything else."""
    root = safexml.parse(mpd, max_bytes=MAX_MPD_BYTES, error=ManifestError)
    if root.tag != tag("MPD"):
        raise ManifestError(f"the root element is {etree.QName(root).localname[:40]!r}, expected an MPD of {NAMESPACE}")
    return root


def read_leniently(mpd: bytes) -> etree._Element:
    """Parse an MPD in any namespace or none; elements of that namespace are given DASH's.

    Raises ManifestError for what is no MPD, and for references to elements that live elsewhere (xlink).
    """
    root = safexml.parse(mpd, max_bytes=MAX_MPD_BYTES, error=ManifestError)
    name = etree.QName(root)
    if name.localname != "MPD":
        raise ManifestError(f"the root element is {name.localname[:40]!r}, expected MPD")
    for element in root.iter():
        if not isinstance(element.tag, str):
            continue
        if element.get(f"{{{XLINK}}}href") is not None:
            raise ManifestError(f"{path(element)} is kept elsewhere (xlink:href); put it into the manifest")
        own = etree.QName(element)
        if own.namespace in (None, name.namespace):
            element.tag = tag(own.localname)
    return root


@dataclass(frozen=True)
class Segment:
    """A reference as it is written, empty for the BaseURL itself; `last_byte` is included, None is the end.

    time: its beginning in ticks of the template's timescale; None where no template names it.
    """

    reference: str
    first_byte: int = 0
    last_byte: int | None = None
    certain: bool = True
    initialization: bool = False
    time: int | None = None


@dataclass(frozen=True)
class Scope:
    """A Representation with what it inherits: elements from the outermost, the MPD, to the innermost."""

    chain: tuple[etree._Element, ...]
    period_start_s: Fraction
    period_s: Fraction | None

    @property
    def representation(self) -> etree._Element:
        return self.chain[-1]

    def elements(self, name: str) -> list[etree._Element]:
        return [child for element in self.chain for child in element if child.tag == tag(name)]

    def attribute(self, name: str, attribute: str) -> str | None:
        """The innermost value: SegmentTemplate and its kin inherit attribute by attribute."""
        values = [element.get(attribute) for element in self.elements(name)]
        return next((value for value in reversed(values) if value is not None), None)

    def child(self, name: str, inner: str) -> etree._Element | None:
        found = [child for element in self.elements(name) for child in element if child.tag == tag(inner)]
        return found[-1] if found else None

    def number(self, name: str, attribute: str, default: int) -> int:
        text = self.attribute(name, attribute)
        return default if text is None else whole(text, f"{name}@{attribute}")

    def timescale(self, name: str) -> int:
        found = self.number(name, "timescale", 1)
        if found == 0:
            raise ManifestError(f"{path(self.representation)}: {name}@timescale is 0")
        return found

    def base_urls(self) -> list[str]:
        """The first BaseURL of each level, outermost first; others are alternatives."""
        firsts = (next((child for child in element if child.tag == tag("BaseURL")), None) for element in self.chain)
        return [first.text.strip() for first in firsts if first is not None and first.text and first.text.strip()]

    @property
    def addressing(self) -> str:
        """Which of the three ways names this representation's segments."""
        return next((name for name in ("SegmentTemplate", "SegmentList") if self.elements(name)), "SegmentBase")

    def offset_s(self) -> Fraction:
        """presentationTimeOffset: media time at the period's start."""
        name = self.addressing
        return Fraction(self.number(name, "presentationTimeOffset", 0), self.timescale(name))


def representations(root: etree._Element) -> Iterator[tuple[int, Scope]]:
    """Every Representation with the number of its Period. Raises ManifestError for a live presentation."""
    if root.get("type", "static") != "static":
        raise ManifestError(f"MPD@type is {root.get('type', '')[:20]!r}; only static presentations are read")
    periods = root.findall(tag("Period"))
    if not periods:
        raise ManifestError("the MPD has no Period")
    count = 0
    for number, (period, (start, length)) in enumerate(zip(periods, _period_times(root, periods), strict=True)):
        for adaptation_set in period.findall(tag("AdaptationSet")):
            for representation in adaptation_set.findall(tag("Representation")):
                count += 1
                if count > MAX_REPRESENTATIONS:
                    raise ManifestError(f"the MPD has more than {MAX_REPRESENTATIONS} representations")
                yield number, Scope((root, period, adaptation_set, representation), start, length)


def _period_times(root: etree._Element, periods: list[etree._Element]) -> Iterator[tuple[Fraction, Fraction | None]]:
    """Start and length of each Period: its duration, else up to the next start, else up to the end."""
    total = seconds(root, "mediaPresentationDuration")
    start = Fraction(0)
    for index, period in enumerate(periods):
        told = seconds(period, "start")
        start = start if told is None else told
        following = seconds(periods[index + 1], "start") if index + 1 < len(periods) else total
        length = seconds(period, "duration")
        if length is None and following is not None:
            length = following - start
        yield start, length
        start += length or 0


def segments(scope: Scope) -> Iterator[Segment]:
    """Initialization and media segments of a representation, in order."""
    name = scope.addressing
    yield from _initialization(scope, name)
    if name == "SegmentTemplate":
        yield from _of_template(scope)
    elif name == "SegmentList":
        yield from _of_list(scope)
    else:
        yield Segment("")


def _of_template(scope: Scope) -> Iterator[Segment]:
    template = scope.attribute("SegmentTemplate", "initialization")
    if template is not None:
        yield Segment(_expanded(template, scope, number=None, time=None), initialization=True)
    media = scope.attribute("SegmentTemplate", "media")
    if media is None:
        raise ManifestError(f"{path(scope.representation)}: SegmentTemplate has no media")
    first = scope.number("SegmentTemplate", "startNumber", 1)
    last = scope.number("SegmentTemplate", "endNumber", first + MAX_SEGMENTS)
    for index, (time, certain) in enumerate(_times(scope)):
        if first + index > last:
            return
        yield Segment(_expanded(media, scope, number=first + index, time=time), certain=certain, time=time)


def _times(scope: Scope) -> Iterator[tuple[int, bool]]:
    """Start of each segment in ticks of the template's timescale, and whether that segment surely exists."""
    timeline = scope.child("SegmentTemplate", "SegmentTimeline")
    timescale = scope.timescale("SegmentTemplate")
    offset = scope.number("SegmentTemplate", "presentationTimeOffset", 0)
    if timeline is not None:
        yield from ((time, True) for time in _timeline(timeline, scope, timescale))
        return
    duration = scope.number("SegmentTemplate", "duration", 0)
    if not duration:
        yield offset, True
        return
    if scope.period_s is None:
        raise ManifestError(f"{path(scope.representation)}: neither a SegmentTimeline nor the period's length is told")
    count = max(1, math.ceil(scope.period_s * timescale / duration))
    yield from ((index * duration, index < count - 1 or count == 1) for index in range(min(count, MAX_SEGMENTS + 1)))


def _timeline(timeline: etree._Element, scope: Scope, timescale: int) -> Iterator[int]:
    runs = timeline.findall(tag("S"))
    time = 0
    for index, run in enumerate(runs):
        time = whole(run.get("t", str(time)), "S@t")
        duration = whole(run.get("d", ""), "S@d")
        if duration == 0:
            raise ManifestError("S@d is 0")
        repeat = run.get("r", "0")
        if repeat == "-1":
            following = runs[index + 1].get("t") if index + 1 < len(runs) else None
            end = whole(following, "S@t") if following else _period_end(scope, timescale)
            count = max(0, -((time - end) // duration))
        else:
            count = whole(repeat, "S@r") + 1
        yield from (time + number * duration for number in range(min(count, MAX_SEGMENTS + 1)))
        time += count * duration


def _period_end(scope: Scope, timescale: int) -> int:
    if scope.period_s is None:
        raise ManifestError("S@r is -1 and the period's length is not told")
    return scope.number("SegmentTemplate", "presentationTimeOffset", 0) + math.ceil(scope.period_s * timescale)


def _of_list(scope: Scope) -> Iterator[Segment]:
    lists = [element.findall(tag("SegmentURL")) for element in scope.elements("SegmentList")]
    for element in next((urls for urls in reversed(lists) if urls), []):
        first, last = _range(element, "mediaRange")
        yield Segment(element.get("media", ""), first, last)


def _initialization(scope: Scope, name: str) -> Iterator[Segment]:
    element = scope.child(name, "Initialization")
    if element is not None:
        first, last = _range(element, "range")
        yield Segment(element.get("sourceURL", ""), first, last, initialization=True)


def _range(element: etree._Element, attribute: str) -> tuple[int, int | None]:
    text = element.get(attribute)
    if text is None:
        return 0, None
    match = _RANGE.fullmatch(text.strip())
    if match is None or (match[2] and int(match[2]) < int(match[1])):
        raise ManifestError(f"{path(element)}@{attribute}: expected bytes like 0-999, got {text[:40]!r}")
    return int(match[1]), int(match[2]) if match[2] else None


def _expanded(template: str, scope: Scope, *, number: int | None, time: int | None) -> str:
    """Replace the template's identifiers; `$$` is a dollar sign."""
    representation = scope.representation
    values = {
        "RepresentationID": representation.get("id"),
        "Bandwidth": representation.get("bandwidth"),
        "Number": None if number is None else str(number),
        "Time": None if time is None else str(time),
    }

    def value(match: re.Match[str]) -> str:
        if match[1] is None:
            return "$"
        found = values.get(match[1])
        if found is None:
            raise ManifestError(f"{path(representation)}: ${match[1]}$ has no value here")
        return found.zfill(int(match[2])) if match[2] else found

    expanded = _IDENTIFIER.sub(value, template)
    if len(expanded) > 4096:
        raise ManifestError(f"{path(representation)}: a segment's name has {len(expanded)} characters")
    return expanded


def seconds(element: etree._Element, attribute: str) -> Fraction | None:
    """Read an xs:duration in seconds, None where there is none.

    Raises ManifestError for what is no duration, is negative, or counts years or months, which have no fixed length.
    """
    text = element.get(attribute)
    if text is None:
        return None
    match = _DURATION.fullmatch(text.strip()) if len(text) < 64 else None
    values = match.groups()[1:] if match else ()
    given = [value for value in values if value is not None]
    if match is None or not given or not all(given):
        raise ManifestError(f"{path(element)}@{attribute}: expected a duration like PT1H2M3.5S, got {text[:40]!r}")
    years, months, *rest = (_fraction(value) for value in values)
    if years or months:
        raise ManifestError(
            f"{path(element)}@{attribute}: {text[:40]!r} counts years or months, expected PT...H...M...S"
        )
    found = sum((value * factor for value, factor in zip(rest, _SECONDS, strict=True)), Fraction(0))
    if match[1] and found:
        raise ManifestError(f"{path(element)}@{attribute}: {text[:40]!r} is negative")
    return found


def _fraction(text: str | None) -> Fraction:
    return Fraction((text or "0").replace(",", "."))


def whole(text: str, where: str) -> int:
    """Read an unsigned number. Raises ManifestError naming `where` it stands."""
    text = text.strip()
    if not text.isascii() or not text.isdigit() or len(text) > 20:
        raise ManifestError(f"{where}: expected a whole number, got {text[:40]!r}")
    return int(text)


def tag(name: str) -> str:
    return f"{{{NAMESPACE}}}{name}"


def path(element: etree._Element) -> str:
    """Where an element is, for people: MPD/Period/AdaptationSet."""
    names = [etree.QName(element).localname, *(etree.QName(above).localname for above in element.iterancestors())]
    return "/".join(reversed(names))
