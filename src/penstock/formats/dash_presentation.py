"""An MPD as a presentation: which renditions it has over all its periods, and where their files are.

Takes what stray packagers write (no namespace, unknown elements, wrong mime types); refuses what is encrypted, live,
kept elsewhere or out of reach. Never opens a file. Standard: ISO/IEC 23009-1.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from functools import partial

from lxml import etree

from penstock.errors import ManifestError, SourceRejected
from penstock.formats import mpd as tree
from penstock.formats import references
from penstock.formats.mpd import Scope
from penstock.formats.presentation import Part, Presentation, Rendition, Stretch

_TRICK_PLAY = ("http://dashif.org/guidelines/trickmode", "urn:mpeg:dash:trickmode")


def presentation(mpd: bytes, *, location: str, within: str) -> Presentation:
    """Read an MPD.

    location: where the MPD is. within: the folder that its files must lie in (`references.resolve`).
    Raises ManifestError for what cannot be read, SourceRejected when it says that it is encrypted.
    """
    root = tree.read_leniently(mpd)
    _refuse_protected(root)
    periods: dict[int, list[Scope]] = defaultdict(list)
    count = 0
    for number, scope in tree.representations(root):
        count = number + 1
        if _is_media(scope):
            periods[number].append(scope)
    found = [_named(periods[number]) for number in sorted(periods)]
    if not found:
        raise ManifestError("the MPD has no Representation of video, audio or text")
    names = dict.fromkeys(name for period in found for name in period)
    renditions = [_rendition(name, found, location, within) for name in names]
    if count > 1 and len(found) < count:
        raise ManifestError("a Period has no Representation; every Period needs the same renditions")
    return Presentation(tuple(renditions), tree.seconds(root, "mediaPresentationDuration"))


def _refuse_protected(root: etree._Element) -> None:
    element = next(root.iter(tree.tag("ContentProtection")), None)
    if element is not None:
        scheme = element.get("schemeIdUri", "")[:80]
        where = tree.path(element)
        reason = f"the source is encrypted: {where} names {scheme or 'no scheme'}"
        raise SourceRejected(f"{reason}. MediaPackage VOD takes clear sources only, and encrypts them itself")


def _is_media(scope: Scope) -> bool:
    """Leave out pictures for a seek bar, and tracks that exist only to be played fast."""
    if _inherited(scope, "mimeType").startswith("image/") or _inherited(scope, "contentType") == "image":
        return False
    essential = scope.elements("EssentialProperty")
    return not any(element.get("schemeIdUri", "").startswith(_TRICK_PLAY) for element in essential)


def _named(scopes: list[Scope]) -> dict[tuple[str, ...], Scope]:
    """Representations of one Period by a name that holds over periods: kind, language, label, roles, codec, rank.

    Not by their ids: ISO/IEC 23009-1 makes them unique within a Period only, and packagers count on.
    """
    groups: dict[tuple[str, ...], list[Scope]] = defaultdict(list)
    for scope in scopes:
        groups[(_kind(scope), _language(scope), _label(scope), ",".join(_roles(scope)), _codec_family(scope))].append(
            scope
        )
    named: dict[tuple[str, ...], Scope] = {}
    for group, members in groups.items():
        for rank, scope in enumerate(sorted(members, key=_bandwidth)):
            named[(*group, str(rank))] = scope
    order = {id(scope): index for index, scope in enumerate(scopes)}
    return dict(sorted(named.items(), key=lambda item: order[id(item[1])]))


def _rendition(
    name: tuple[str, ...], periods: list[dict[tuple[str, ...], Scope]], location: str, within: str
) -> Rendition:
    first = periods[0][name]
    stretches = []
    for number, period in enumerate(periods):
        if name in period:
            stretches.append(_stretch(period[name], location, within))
        elif _kind(first) != "text":
            raise ManifestError(
                f"{_title(first)} is missing in Period {number + 1}; every Period needs the same renditions"
            )
    return Rendition(
        name=_title(first),
        kind=_kind(first),
        mime_type=_inherited(first, "mimeType"),
        codecs=_inherited(first, "codecs"),
        language=_language(first),
        label=_label(first),
        roles=_roles(first),
        bandwidth_bps=_bandwidth(first),
        stretches=tuple(stretches),
    )


def _stretch(scope: Scope, location: str, within: str) -> Stretch:
    base = location
    for url in scope.base_urls():
        base = references.resolve(base, url, within=within)
    own = partial(_parts, scope, base, location, within)
    first = next(own(initialization=True), None)
    return Stretch(
        initialization=first,
        parts=partial(own, initialization=False),
        start_s=scope.period_start_s,
        length_s=scope.period_s,
        offset_s=scope.offset_s(),
    )


def _parts(scope: Scope, base: str, location: str, within: str, *, initialization: bool) -> Iterator[Part]:
    for count, segment in enumerate(tree.segments(scope)):
        if count >= tree.MAX_SEGMENTS:
            raise ManifestError(f"{_title(scope)} names more than {tree.MAX_SEGMENTS} segments")
        if initialization and not segment.initialization:
            return  # it comes first or not at all
        if segment.initialization == initialization:
            url = references.resolve(base, segment.reference, within=within)
            if url == location:
                raise ManifestError(f"{_title(scope)} names no file: neither BaseURL nor segments")
            yield Part(url, segment.first_byte, segment.last_byte, segment.certain)


def _inherited(scope: Scope, attribute: str) -> str:
    """An attribute that Representation and AdaptationSet share."""
    return next((e.get(attribute, "") for e in reversed(scope.chain[2:]) if e.get(attribute)), "").strip()


def _kind(scope: Scope) -> str:
    """What the manifest calls it; empty where it says nothing that helps."""
    mime, content = _inherited(scope, "mimeType").lower(), _inherited(scope, "contentType").lower()
    codecs = _inherited(scope, "codecs").lower()
    if content == "text" or mime.startswith(("text/", "application/ttml")) or codecs.startswith(("stpp", "wvtt")):
        return "text"
    if content in ("video", "audio"):
        return content
    return mime.partition("/")[0] if mime.startswith(("video/", "audio/")) else ""


def _codec_family(scope: Scope) -> str:
    return _inherited(scope, "codecs").partition(".")[0]


def _language(scope: Scope) -> str:
    return _inherited(scope, "lang")


def _label(scope: Scope) -> str:
    found = [e for element in scope.chain[:1:-1] for e in element if e.tag == tree.tag("Label") and e.text]
    return " ".join((found[0].text or "").split()) if found else " ".join(_inherited(scope, "label").split())


def _roles(scope: Scope) -> tuple[str, ...]:
    """Roles and accessibility in one: `main`, `commentary`, `description`, `caption`."""
    elements = [*scope.elements("Role"), *scope.elements("Accessibility")]
    return tuple(sorted({element.get("value", "").strip() for element in elements} - {""}))


def _bandwidth(scope: Scope) -> int:
    text = scope.representation.get("bandwidth", "0").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else 0


def _title(scope: Scope) -> str:
    name = scope.representation.get("id")
    return f"Representation {name[:60]!r}" if name else tree.path(scope.representation)
