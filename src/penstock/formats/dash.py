"""MPEG-DASH manifests (MPD): which files they name, which keys they need, and the form that viewers get.

Reads static presentations only. Never fetches anything, never resolves an address outside the manifest's own folder.
Standards: ISO/IEC 23009-1 (MPD, SegmentTemplate, SegmentTimeline), ISO/IEC 23001-7 (default_KID), DASH-IF content
protection guidelines (Laurl, namespace https://dashif.org/CPS; https://dashif.org/Guidelines-Security/).
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from urllib.parse import unquote, urlsplit

from lxml import etree

from penstock.errors import InvalidRequest, ManifestError
from penstock.formats import mpd as tree
from penstock.formats.mpd import MAX_MPD_BYTES, MAX_SEGMENTS, NAMESPACE, Scope
from penstock.model import KeyId

__all__ = [
    "MAX_MPD_BYTES",
    "MAX_SEGMENTS",
    "NAMESPACE",
    "approximate_segments",
    "duration_s",
    "key_ids",
    "key_pixels",
    "segment_names",
    "viewer_manifest",
]

CENC = "urn:mpeg:cenc:2013"
DASHIF = "https://dashif.org/CPS"
MP4_PROTECTION = "urn:mpeg:dash:mp4protection:2011"
CLEAR_KEY = "urn:uuid:e2719d58-a985-b3c9-781a-b030af78d30e"

_DEFAULT_KID = f"{{{CENC}}}default_KID"


def viewer_manifest(mpd: bytes, *, license_url: str | None) -> bytes:
    """Rewrite an MPD for viewers of this installation.

    What is encrypted keeps its `mp4protection` element (scheme and default_KID), loses every other DRM system, which
    has no license server here, and gains ClearKey with `license_url`. Without one, a DRM vendor gives the licenses, and
    its systems stay. All else stays as it is; comments go.
    Raises ManifestError when something is protected and no default_KID tells with which key.
    """
    root = tree.read(mpd)
    for parent in _protected(root):
        found = [child for child in parent if child.tag == tree.tag("ContentProtection")]
        common = [element for element in found if element.get("schemeIdUri", "").lower() == MP4_PROTECTION]
        if not any(element.get(_DEFAULT_KID) for element in common):
            raise ManifestError(f"{tree.path(parent)} is protected and has no {MP4_PROTECTION} with a default_KID")
        if license_url is None:
            continue
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
    return list(dict.fromkeys(name for name, _ in _names(tree.read(mpd))))


def approximate_segments(mpd: bytes) -> set[str]:
    """The names of `segment_names` that may rightly be missing.

    Where SegmentTemplate has a duration and no SegmentTimeline the number of segments follows from the period's length,
    and a track that ends a little earlier than the period has no last segment.
    """
    names = list(_names(tree.read(mpd)))
    return {name for name, certain in names if not certain} - {name for name, certain in names if certain}


def key_ids(mpd: bytes) -> list[KeyId]:
    """Every default_KID, in order of appearance, each once. Raises ManifestError for one that is not a UUID."""
    try:
        found = [KeyId.from_uuid(element.get(_DEFAULT_KID, "")) for element in _with_kid(tree.read(mpd))]
    except InvalidRequest as exc:
        raise ManifestError(f"default_KID: {exc.message}") from exc
    return list(dict.fromkeys(found))


def key_pixels(mpd: bytes) -> dict[KeyId, int]:
    """For each default_KID the pixels of the largest picture that it encrypts; 0 for a key of sound or text alone.

    Raises ManifestError for a default_KID that is not a UUID, or a picture size that is no number.
    """
    found: dict[KeyId, int] = {}
    for _, scope in tree.representations(tree.read(mpd)):
        size_px = _attribute(scope, "width") * _attribute(scope, "height")
        for element in scope.elements("ContentProtection"):
            if text := element.get(_DEFAULT_KID):
                try:
                    kid = KeyId.from_uuid(text)
                except InvalidRequest as exc:
                    raise ManifestError(f"default_KID: {exc.message}") from exc
                found[kid] = max(found.get(kid, 0), size_px)
    return found


def _attribute(scope: Scope, name: str) -> int:
    """An attribute of a Representation that it may have from its AdaptationSet; 0 where there is none."""
    text = next((value for element in scope.chain[:1:-1] if (value := element.get(name)) is not None), "0")
    return tree.whole(text, f"Representation@{name}")


def duration_s(mpd: bytes) -> float:
    """mediaPresentationDuration in seconds. Raises ManifestError where it is missing."""
    root = tree.read(mpd)
    duration = tree.seconds(root, "mediaPresentationDuration")
    if duration is None:
        raise ManifestError("MPD@mediaPresentationDuration is missing")
    return float(duration)


def _names(root: etree._Element) -> Iterator[tuple[str, bool]]:
    """Path and certainty of every segment."""
    count = 0
    for _, scope in tree.representations(root):
        for segment in tree.segments(scope):
            count += 1
            if count > MAX_SEGMENTS:
                raise ManifestError(f"the MPD names more than {MAX_SEGMENTS} segments")
            yield _resolved(scope, segment.reference), segment.certain


def _resolved(scope: Scope, reference: str) -> str:
    """A reference after every BaseURL above it, as a path relative to the MPD."""
    base = ""
    for url in scope.base_urls():
        base = _joined(base, url)
    return _inside(_joined(base, reference))


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


def _protected(root: etree._Element) -> list[etree._Element]:
    """Every element with a ContentProtection child."""
    parents = [element.getparent() for element in root.iter(tree.tag("ContentProtection"))]
    return list(dict.fromkeys(parent for parent in parents if parent is not None))


def _with_kid(root: etree._Element) -> Iterator[etree._Element]:
    return (element for element in root.iter(tree.tag("ContentProtection")) if element.get(_DEFAULT_KID))


def _clear_key(license_url: str, tail: str | None) -> etree._Element:
    element = etree.Element(tree.tag("ContentProtection"), schemeIdUri=CLEAR_KEY, value="ClearKey1.0")
    # Lic_type is what older players ask for before they take the address.
    laurl = etree.SubElement(element, f"{{{DASHIF}}}Laurl", nsmap={"dashif": DASHIF}, Lic_type="EME-1.0")
    laurl.text = license_url
    element.tail = tail
    return element


def _drop(element: etree._Element) -> None:
    parent = element.getparent()
    if parent is not None:
        parent.remove(element)
