"""CPIX 2.3 as SPEKE v2 uses it: what an encryptor asks of a key provider and is answered, read and written.

Never makes a key. Not offered, and refused by name: encrypted content keys, leaf keys, CPIX 2.4.
Source: DASH-IF CPIX 2.3; AWS, "SPEKE API v2", standard payload components and encryption contract. Messages that AWS's
verification suite and encryptors show are spelled as AWS spells them.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

from lxml import etree

from penstock.errors import CpixError, InvalidRequest
from penstock.formats import safexml
from penstock.model import ContentKey, KeyId, Scheme

MAX_BYTES = 256 * 2**10
VERSION = "2.3"

_CPIX = "urn:dashif:org:cpix"
_PSKC = "urn:ietf:params:xml:ns:keyprov:pskc"
_NAMESPACES = {"cpix": _CPIX, "pskc": _PSKC}
_FILTERS = {"VideoFilter", "AudioFilter", "KeyPeriodFilter"}


@dataclass(frozen=True)
class CpixKey:
    """ContentKey: in a request without `key`, in an answer with it. `explicit_iv` has 16 bytes."""

    kid: KeyId
    scheme: Scheme | None = None
    key: ContentKey | None = None
    explicit_iv: bytes | None = None


@dataclass(frozen=True)
class DrmSystem:
    """DRMSystem: what one system needs to signal one key.

    Each member is None where the element is absent, and empty where the encryptor asks for it to be filled.
    pssh: whole boxes. content_protection_data: XML for the MPD. hls_media, hls_master: lines for the playlists.
    smooth_header: base64 text of a PlayReady Object.
    """

    kid: KeyId
    system_id: UUID
    pssh: bytes | None = None
    content_protection_data: str | None = None
    hls_media: str | None = None
    hls_master: str | None = None
    smooth_header: str | None = None


@dataclass(frozen=True)
class Filter:
    """VideoFilter, AudioFilter or KeyPeriodFilter, with its attributes as they came."""

    name: str
    attributes: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class UsageRule:
    """ContentKeyUsageRule: which tracks a key is for. Without filters, `build` adds empty ones for the track type."""

    kid: KeyId
    track_type: str
    filters: tuple[Filter, ...] = ()


@dataclass(frozen=True)
class KeyPeriod:
    """ContentKeyPeriod, by its index; live encryptors name them, a request for video on demand has none."""

    id: str
    index: int


@dataclass(frozen=True)
class Cpix:
    """One document. `content_id` is SPEKE's resource id."""

    content_id: str
    keys: tuple[CpixKey, ...]
    drm_systems: tuple[DrmSystem, ...] = ()
    usage_rules: tuple[UsageRule, ...] = ()
    version: str = VERSION
    key_periods: tuple[KeyPeriod, ...] = ()


def parse(xml: bytes) -> Cpix:
    """Read a document; raises CpixError naming the element that is missing, unknown, doubled or unreadable."""
    root = safexml.parse(xml, max_bytes=MAX_BYTES, error=CpixError)
    if root.tag != _tag("CPIX"):
        raise CpixError(f"the root element is cpix:CPIX, got {_name(root)}")
    _check_version(_attribute(root, "version"))
    lists = _children(root, {"ContentKeyList", "DRMSystemList", "ContentKeyPeriodList", "ContentKeyUsageRuleList"})
    document = Cpix(
        content_id=_attribute(root, "contentId"),
        keys=tuple(_parse_key(e) for e in _items(lists, "ContentKeyList", "ContentKey")),
        drm_systems=tuple(_parse_system(e) for e in _items(lists, "DRMSystemList", "DRMSystem")),
        usage_rules=tuple(_parse_rule(e) for e in _items(lists, "ContentKeyUsageRuleList", "ContentKeyUsageRule")),
        key_periods=tuple(_parse_period(e) for e in _items(lists, "ContentKeyPeriodList", "ContentKeyPeriod")),
    )
    _check_references(document)
    return document


def build(document: Cpix) -> bytes:
    """Write a document, answers with their keys in clear: TLS or loopback has to carry it.

    Raises CpixError for text that XML cannot hold.
    """
    root = etree.Element(_tag("CPIX"), nsmap=_NAMESPACES)
    try:
        root.set("contentId", document.content_id)
        root.set("version", document.version)
        keys = etree.SubElement(root, _tag("ContentKeyList"))
        for key in document.keys:
            _build_key(keys, key)
        systems = etree.SubElement(root, _tag("DRMSystemList"))
        for system in document.drm_systems:
            _build_system(systems, system)
        if document.key_periods:
            periods = etree.SubElement(root, _tag("ContentKeyPeriodList"))
            for period in document.key_periods:
                etree.SubElement(periods, _tag("ContentKeyPeriod"), {"id": period.id, "index": str(period.index)})
        rules = etree.SubElement(root, _tag("ContentKeyUsageRuleList"))
        for rule in document.usage_rules:
            _build_rule(rules, rule)
    except ValueError as exc:
        raise CpixError("the document holds text that XML cannot hold, such as control characters") from exc
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8")


def _parse_key(element: etree._Element) -> CpixKey:
    kid = kid_of(element)
    scheme = element.get("commonEncryptionScheme")
    if scheme is not None and scheme not in set(Scheme):
        raise CpixError(f"Unsupported ContentKey@commonEncryptionScheme {scheme[:16]!r} for KID {kid}")
    iv = element.get("explicitIV")
    data = _children(element, {"Data"}).get("Data")
    return CpixKey(
        kid=kid,
        scheme=Scheme(scheme) if scheme else None,
        key=None if data is None else _parse_secret(data),
        explicit_iv=None if iv is None else decoded(iv, "ContentKey@explicitIV", size_bytes=16),
    )


def _parse_secret(data: etree._Element) -> ContentKey:
    """Read Data/Secret/PlainValue; a secret in any other form is refused by its name."""
    element = data
    for name in ("Secret", "PlainValue"):
        children = _children(element, {name}, namespace=_PSKC)
        if name not in children:
            raise CpixError(f"{_name(element)} has no pskc:{name}")
        element = children[name]
    return ContentKey(decoded(_text(element), "pskc:PlainValue", size_bytes=16))


def _parse_system(element: etree._Element) -> DrmSystem:
    hls: dict[str, str] = {}
    for signaling in element.findall(_tag("HLSSignalingData")):
        playlist = signaling.get("playlist", "media")
        if playlist not in ("media", "master") or playlist in hls:
            raise CpixError("HLSSignalingData@playlist is media or master, each once")
        hls[playlist] = _base64_text(signaling)
        element.remove(signaling)
    others = _children(element, {"PSSH", "ContentProtectionData", "SmoothStreamingProtectionHeaderData"})
    pssh = others.get("PSSH")
    data = others.get("ContentProtectionData")
    smooth = others.get("SmoothStreamingProtectionHeaderData")
    return DrmSystem(
        kid=kid_of(element),
        system_id=_uuid(_attribute(element, "systemId"), "DRMSystem@systemId"),
        pssh=None if pssh is None else decoded(_text(pssh), "PSSH"),
        content_protection_data=None if data is None else _base64_text(data),
        hls_media=hls.get("media"),
        hls_master=hls.get("master"),
        smooth_header=None if smooth is None else _text(smooth),
    )


def _parse_rule(element: etree._Element) -> UsageRule:
    filters = []
    for child in element:
        name = etree.QName(child)
        if name.namespace != _CPIX or name.localname not in _FILTERS:
            raise CpixError(f"ContentKeyUsageRule cannot hold {_name(child)} here")
        filters.append(Filter(name.localname, tuple((str(key), str(value)) for key, value in child.attrib.items())))
    return UsageRule(kid_of(element), _attribute(element, "intendedTrackType"), tuple(filters))


def _parse_period(element: etree._Element) -> KeyPeriod:
    index = _attribute(element, "index")
    if not index.isascii() or not index.isdigit() or len(index) > 9:
        raise CpixError("ContentKeyPeriod@index is a whole number")
    return KeyPeriod(_attribute(element, "id"), int(index))


def _check_version(version: str) -> None:
    if version != VERSION:
        raise CpixError(f"Unsupported CPIX@version {version[:16]!r}, {VERSION} is spoken")


def _check_references(document: Cpix) -> None:
    kids = [key.kid for key in document.keys]
    if not kids:
        raise CpixError("ContentKeyList holds no ContentKey")
    if len(set(kids)) != len(kids):
        raise CpixError("two ContentKey elements have the same kid")
    referred = [system.kid for system in document.drm_systems] + [rule.kid for rule in document.usage_rules]
    for kid in referred:
        if kid not in kids:
            raise CpixError(f"kid {kid} is not in ContentKeyList")


def _build_key(parent: etree._Element, key: CpixKey) -> None:
    element = etree.SubElement(parent, _tag("ContentKey"), {"kid": str(key.kid)})
    if key.explicit_iv is not None:
        element.set("explicitIV", encoded(key.explicit_iv))
    if key.scheme is not None:
        element.set("commonEncryptionScheme", key.scheme.value)
    if key.key is not None:
        secret = etree.SubElement(etree.SubElement(element, _tag("Data")), _tag("Secret", _PSKC))
        etree.SubElement(secret, _tag("PlainValue", _PSKC)).text = encoded(key.key.reveal())


def _build_system(parent: etree._Element, system: DrmSystem) -> None:
    attributes = {"kid": str(system.kid), "systemId": str(system.system_id)}
    element = etree.SubElement(parent, _tag("DRMSystem"), attributes)
    if system.pssh is not None:
        etree.SubElement(element, _tag("PSSH")).text = encoded(system.pssh)
    if system.content_protection_data is not None:
        data = etree.SubElement(element, _tag("ContentProtectionData"))
        data.text = encoded(system.content_protection_data.encode())
    for playlist, lines in (("media", system.hls_media), ("master", system.hls_master)):
        if lines is not None:
            signaling = etree.SubElement(element, _tag("HLSSignalingData"), {"playlist": playlist})
            signaling.text = encoded(lines.encode())
    if system.smooth_header is not None:
        etree.SubElement(element, _tag("SmoothStreamingProtectionHeaderData")).text = system.smooth_header


def _build_rule(parent: etree._Element, rule: UsageRule) -> None:
    attributes = {"kid": str(rule.kid), "intendedTrackType": rule.track_type}
    element = etree.SubElement(parent, _tag("ContentKeyUsageRule"), attributes)
    for filter_ in rule.filters or _plain_filters(rule.track_type):
        etree.SubElement(element, _tag(filter_.name), dict(filter_.attributes))


def _plain_filters(track_type: str) -> Iterator[Filter]:
    """SPEKE: ALL takes both filters without attributes, any other name is for video or for audio."""
    if "AUDIO" not in track_type:
        yield Filter("VideoFilter")
    if track_type == "ALL" or "AUDIO" in track_type:
        yield Filter("AudioFilter")


def _children(element: etree._Element, known: set[str], namespace: str = _CPIX) -> dict[str, etree._Element]:
    """Take the children by name; one that is unknown or there twice is refused."""
    children: dict[str, etree._Element] = {}
    for child in element:
        name = etree.QName(child)
        if name.namespace != namespace or name.localname not in known:
            raise CpixError(f"{_name(element)} cannot hold {_name(child)} here")
        if name.localname in children:
            raise CpixError(f"{_name(element)} holds {_name(child)} twice")
        children[name.localname] = child
    return children


def _items(lists: dict[str, etree._Element], list_name: str, item_name: str) -> Iterator[etree._Element]:
    for item in lists.get(list_name, ()):
        if item.tag != _tag(item_name):
            raise CpixError(f"{list_name} cannot hold {_name(item)}")
        yield item


def _attribute(element: etree._Element, name: str) -> str:
    value = (element.get(name) or "").strip()
    if not value:
        raise CpixError(f"Missing {_name(element)}@{name}")
    return value


def _text(element: etree._Element) -> str:
    _children(element, set())
    return (element.text or "").strip()


def kid_of(element: etree._Element) -> KeyId:
    """The kid attribute of an element; raises CpixError naming it."""
    try:
        return KeyId.from_uuid(_attribute(element, "kid"))
    except InvalidRequest as exc:
        raise CpixError(f"{_name(element)}@kid: {exc.message}") from exc


def _uuid(text: str, where: str) -> UUID:
    try:
        return UUID(text)
    except ValueError as exc:
        raise CpixError(f"{where} is a UUID, got {text[:64]!r}") from exc


def encoded(raw: bytes) -> str:
    """Bytes as CPIX writes them."""
    return base64.b64encode(raw).decode("ascii")


def decoded(text: str, where: str, size_bytes: int | None = None) -> bytes:
    """Base64 with white space in it; raises CpixError saying `where` it is, and for another size than asked for."""
    try:
        raw = base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as exc:
        raise CpixError(f"{where} is not base64") from exc
    if size_bytes is not None and len(raw) != size_bytes:
        raise CpixError(f"{where} has {size_bytes} bytes, got {len(raw)}")
    return raw


def _base64_text(element: etree._Element) -> str:
    try:
        return decoded(_text(element), _name(element)).decode("utf-8")
    except UnicodeDecodeError as exc:
        raise CpixError(f"{_name(element)} is not UTF-8 in base64") from exc


def _tag(name: str, namespace: str = _CPIX) -> str:
    return f"{{{namespace}}}{name}"


def _name(element: etree._Element) -> str:
    """Name an element for an error message, without the namespace URI."""
    return etree.QName(element).localname[:64]
