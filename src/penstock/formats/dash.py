"""MPEG-DASH manifests (MPD): which files they name, which keys they need, and the form that viewers get.

Reads static presentations only. Never fetches anything, never resolves an address outside the manifest's own folder.
Standards: ISO/IEC 23009-1 (MPD, SegmentTemplate, SegmentTimeline), ISO/IEC 23001-7 (default_KID), DASH-IF content
protection guidelines (Laurl, namespace https://dashif.org/CPS; https://dashif.org/Guidelines-Security/).
"""

from __future__ import annotations

import math
import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from urllib.parse import unquote, urlsplit

from lxml import etree

from penstock.errors import InvalidRequest, ManifestError
from penstock.formats import safexml
from penstock.model import KeyId

MAX_MPD_BYTES = 16 * 2**20
MAX_SEGMENTS = 200_000
"""Segments of all representations together: 24 hours of 2 s segments in four renditions."""

NAMESPACE = "urn:mpeg:dash:schema:mpd:2011"
CENC = "urn:mpeg:cenc:2013"
DASHIF = "https://dashif.org/CPS"
MP4_PROTECTION = "urn:mpeg:dash:mp4protection:2011"
CLEAR_KEY = "urn:uuid:e2719d58-a985-b3c9-781a-b030af78d30e"

_DEFAULT_KID = f"{{{CENC}}}default_KID"
_DURATION = re.compile(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?")
_IDENTIFIER = re.compile(r"\$(?:(RepresentationID|Number|Time|Bandwidth|SubNumber)(?:%0(\d{1,2})d)?)?\$")


def viewer_manifest(mpd: bytes, *, license_url: str) -> bytes:
    """Rewrite an MPD for viewers of this installation.

    What is encrypted keeps its `mp4protection` element (scheme and default_KID), loses every other DRM system, which
    has no license server here, and gains ClearKey with `license_url`. All else stays as it is; comments go.
    Raises ManifestError when something is protected and no default_KID tells with which key.
    """
    root = _root(mpd)
    for parent in _protected(root):
        found = [child for child in parent if child.tag == _tag("ContentProtection")]
        common = [element for element in found if element.get("schemeIdUri", "").lower() == MP4_PROTECTION]
        if not any(element.get(_DEFAULT_KID) for element in common):
            raise ManifestError(f"{_path(parent)} is protected and has no {MP4_PROTECTION} with a default_KID")
        for element in found:
            if element not in common:
                _drop(element)
        common[-1].addnext(_clear_key(license_url, common[-1].tail))
    etree.cleanup_namespaces(root, keep_ns_prefixes=["cenc", "xsi"], top_nsmap={"dashif": DASHIF})
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8") + b"\n"


def segment_names(mpd: bytes) -> list[str]:
    """Every file the presentation needs: initialization and media segments, whole files.

    Returns paths relative to the MPD, percent-decoded, in order of appearance, each once.
    Raises ManifestError for a live presentation, an address outside the MPD's folder, or a count beyond MAX_SEGMENTS.
    """
    return list(dict.fromkeys(segment.name for segment in _segments(_root(mpd))))


def approximate_segments(mpd: bytes) -> set[str]:
    """The names of `segment_names` that may rightly be missing.

    Where SegmentTemplate has a duration and no SegmentTimeline the number of segments follows from the period's length,
    and a track that ends a little earlier than the period has no last segment.
    """
    segments = list(_segments(_root(mpd)))
    return {segment.name for segment in segments if not segment.certain} - {s.name for s in segments if s.certain}


def key_ids(mpd: bytes) -> list[KeyId]:
    """Every default_KID, in order of appearance, each once. Raises ManifestError for one that is not a UUID."""
    try:
        found = [KeyId.from_uuid(element.get(_DEFAULT_KID, "")) for element in _with_kid(_root(mpd))]
    except InvalidRequest as exc:
        raise ManifestError(f"default_KID: {exc.message}") from exc
    return list(dict.fromkeys(found))


def duration_s(mpd: bytes) -> float:
    """mediaPresentationDuration in seconds. Raises ManifestError where it is missing."""
    root = _root(mpd)
    duration = _seconds(root, "mediaPresentationDuration")
    if duration is None:
        raise ManifestError("MPD@mediaPresentationDuration is missing")
    return float(duration)


@dataclass(frozen=True)
class _Segment:
    name: str
    certain: bool = True


@dataclass(frozen=True)
class _Scope:
    """What a Representation inherits: elements of one name from the outermost to the innermost."""

    chain: tuple[etree._Element, ...]
    period_s: Fraction | None

    def elements(self, name: str) -> list[etree._Element]:
        return [child for element in self.chain for child in element if child.tag == _tag(name)]

    def attribute(self, name: str, attribute: str) -> str | None:
        """The innermost value: SegmentTemplate and its kin inherit attribute by attribute."""
        values = [element.get(attribute) for element in self.elements(name)]
        return next((value for value in reversed(values) if value is not None), None)

    def child(self, name: str, inner: str) -> etree._Element | None:
        found = [child for element in self.elements(name) for child in element if child.tag == _tag(inner)]
        return found[-1] if found else None

    def number(self, name: str, attribute: str, default: int) -> int:
        text = self.attribute(name, attribute)
        return default if text is None else _whole(text, f"{name}@{attribute}")

    def resolve(self, reference: str) -> str:
        """A reference after every BaseURL above it, as a path relative to the MPD."""
        base = ""
        for element in self.chain:
            first = next((child for child in element if child.tag == _tag("BaseURL")), None)
            if first is not None and first.text:
                base = _joined(base, first.text.strip())
        return _inside(_joined(base, reference))


def _segments(root: etree._Element) -> Iterator[_Segment]:
    if root.get("type", "static") != "static":
        raise ManifestError(f"MPD@type is {root.get('type', '')[:20]!r}; only static presentations are read")
    count = 0
    for scope in _representations(root):
        for segment in _of_representation(scope):
            count += 1
            if count > MAX_SEGMENTS:
                raise ManifestError(f"the MPD names more than {MAX_SEGMENTS} segments")
            yield segment


def _representations(root: etree._Element) -> Iterator[_Scope]:
    periods = root.findall(_tag("Period"))
    if not periods:
        raise ManifestError("the MPD has no Period")
    for period, length in zip(periods, _period_lengths(root, periods), strict=True):
        for adaptation_set in period.findall(_tag("AdaptationSet")):
            for representation in adaptation_set.findall(_tag("Representation")):
                yield _Scope((root, period, adaptation_set, representation), length)


def _period_lengths(root: etree._Element, periods: list[etree._Element]) -> list[Fraction | None]:
    """Seconds of each Period: its duration, else up to the next start, else up to the end of the presentation."""
    total = _seconds(root, "mediaPresentationDuration")
    lengths: list[Fraction | None] = []
    start = Fraction(0)
    for index, period in enumerate(periods):
        start = _seconds(period, "start") or start
        following = _seconds(periods[index + 1], "start") if index + 1 < len(periods) else total
        length = _seconds(period, "duration")
        if length is None and following is not None:
            length = following - start
        lengths.append(length)
        start += length or 0
    return lengths


def _of_representation(scope: _Scope) -> Iterator[_Segment]:
    if scope.elements("SegmentTemplate"):
        yield from _of_template(scope)
    elif scope.elements("SegmentList"):
        yield from _of_list(scope)
    else:
        yield from _initialization(scope, "SegmentBase")
        yield _Segment(scope.resolve(""))


def _of_template(scope: _Scope) -> Iterator[_Segment]:
    yield from _initialization(scope, "SegmentTemplate")
    template = scope.attribute("SegmentTemplate", "initialization")
    if template is not None:
        yield _Segment(scope.resolve(_expanded(template, scope, number=None, time=None)))
    media = scope.attribute("SegmentTemplate", "media")
    if media is None:
        raise ManifestError(f"{_path(scope.chain[-1])}: SegmentTemplate has no media")
    first = scope.number("SegmentTemplate", "startNumber", 1)
    for index, (time, certain) in enumerate(_times(scope)):
        yield _Segment(scope.resolve(_expanded(media, scope, number=first + index, time=time)), certain)


def _times(scope: _Scope) -> Iterator[tuple[int, bool]]:
    """Start of each segment in ticks of the template's timescale, and whether that segment surely exists."""
    timeline = scope.child("SegmentTemplate", "SegmentTimeline")
    timescale = scope.number("SegmentTemplate", "timescale", 1)
    if timescale == 0:
        raise ManifestError(f"{_path(scope.chain[-1])}: SegmentTemplate@timescale is 0")
    if timeline is not None:
        yield from ((time, True) for time in _timeline(timeline, scope, timescale))
        return
    duration = scope.number("SegmentTemplate", "duration", 0)
    if not duration:
        yield scope.number("SegmentTemplate", "presentationTimeOffset", 0), True
        return
    if scope.period_s is None:
        raise ManifestError(f"{_path(scope.chain[-1])}: neither a SegmentTimeline nor the period's length is told")
    count = max(1, math.ceil(scope.period_s * timescale / duration))
    yield from ((index * duration, index < count - 1 or count == 1) for index in range(min(count, MAX_SEGMENTS + 1)))


def _timeline(timeline: etree._Element, scope: _Scope, timescale: int) -> Iterator[int]:
    runs = timeline.findall(_tag("S"))
    time = 0
    for index, run in enumerate(runs):
        time = _whole(run.get("t", str(time)), "S@t")
        duration = _whole(run.get("d", ""), "S@d")
        if duration == 0:
            raise ManifestError("S@d is 0")
        repeat = run.get("r", "0")
        if repeat == "-1":
            following = runs[index + 1].get("t") if index + 1 < len(runs) else None
            end = _whole(following, "S@t") if following else _period_end(scope, timescale)
            count = max(0, -((time - end) // duration))
        else:
            count = _whole(repeat, "S@r") + 1
        yield from (time + number * duration for number in range(min(count, MAX_SEGMENTS + 1)))
        time += count * duration


def _period_end(scope: _Scope, timescale: int) -> int:
    if scope.period_s is None:
        raise ManifestError("S@r is -1 and the period's length is not told")
    return scope.number("SegmentTemplate", "presentationTimeOffset", 0) + math.ceil(scope.period_s * timescale)


def _of_list(scope: _Scope) -> Iterator[_Segment]:
    yield from _initialization(scope, "SegmentList")
    for element in scope.elements("SegmentList")[-1].findall(_tag("SegmentURL")):
        yield _Segment(scope.resolve(element.get("media", "")))


def _initialization(scope: _Scope, name: str) -> Iterator[_Segment]:
    element = scope.child(name, "Initialization")
    if element is not None:
        yield _Segment(scope.resolve(element.get("sourceURL", "")))


def _expanded(template: str, scope: _Scope, *, number: int | None, time: int | None) -> str:
    """Replace the template's identifiers; `$$` is a dollar sign."""
    representation = scope.chain[-1]
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
            raise ManifestError(f"{_path(representation)}: ${match[1]}$ has no value here")
        return found.zfill(int(match[2])) if match[2] else found

    expanded = _IDENTIFIER.sub(value, template)
    if len(expanded) > 4096:
        raise ManifestError(f"{_path(representation)}: a segment's name has {len(expanded)} characters")
    return expanded


def _joined(base: str, reference: str) -> str:
    """Resolve a relative reference against a relative base (RFC 3986, 5.2), without leaving what is relative."""
    try:
        parts = urlsplit(reference)
    except ValueError as exc:
        raise ManifestError(f"{reference[:80]!r} is not an address") from exc
    if parts.scheme or parts.netloc or parts.path.startswith("/"):
        raise ManifestError(f"{reference[:80]!r} leaves the manifest's folder")
    return posixpath.join(posixpath.dirname(base), parts.path) if parts.path else base


def _inside(path: str) -> str:
    decoded = posixpath.normpath(unquote(path)) if path else ""
    if decoded in ("", ".") or decoded == ".." or decoded.startswith(("../", "/")):
        raise ManifestError(f"{path[:80]!r} is not a file in the manifest's folder")
    return decoded


def _root(mpd: bytes) -> etree._Element:
    root = safexml.parse(mpd, max_bytes=MAX_MPD_BYTES, error=ManifestError)
    if root.tag != _tag("MPD"):
        raise ManifestError(f"the root element is {etree.QName(root).localname[:40]!r}, expected an MPD of {NAMESPACE}")
    return root


def _protected(root: etree._Element) -> list[etree._Element]:
    """Every element with a ContentProtection child."""
    parents = [element.getparent() for element in root.iter(_tag("ContentProtection"))]
    return list(dict.fromkeys(parent for parent in parents if parent is not None))


def _with_kid(root: etree._Element) -> Iterator[etree._Element]:
    return (element for element in root.iter(_tag("ContentProtection")) if element.get(_DEFAULT_KID))


def _clear_key(license_url: str, tail: str | None) -> etree._Element:
    element = etree.Element(_tag("ContentProtection"), schemeIdUri=CLEAR_KEY, value="ClearKey1.0")
    # Lic_type is what older players ask for before they take the address.
    laurl = etree.SubElement(element, f"{{{DASHIF}}}Laurl", nsmap={"dashif": DASHIF}, Lic_type="EME-1.0")
    laurl.text = license_url
    element.tail = tail
    return element


def _drop(element: etree._Element) -> None:
    parent = element.getparent()
    if parent is not None:
        parent.remove(element)


def _seconds(element: etree._Element, attribute: str) -> Fraction | None:
    text = element.get(attribute)
    if text is None:
        return None
    match = _DURATION.fullmatch(text.strip()) if len(text) < 64 else None
    if match is None or not any(match.groups()):
        raise ManifestError(f"{_path(element)}@{attribute}: expected a duration like PT1H2M3.5S, got {text[:40]!r}")
    days, hours, minutes, seconds = (Fraction(part or 0) for part in match.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds


def _whole(text: str, where: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 20:
        raise ManifestError(f"{where}: expected a whole number, got {text[:40]!r}")
    return int(text)


def _tag(name: str) -> str:
    return f"{{{NAMESPACE}}}{name}"


def _path(element: etree._Element) -> str:
    """Where an element is, for people: MPD/Period/AdaptationSet."""
    names = [etree.QName(element).localname, *(etree.QName(above).localname for above in element.iterancestors())]
    return "/".join(reversed(names))
