"""SPEKE version 1: CPIX 2.0 with AWS's own elements, one content key for everything that is encrypted.

Never makes a key. It says no encryption scheme and no usage rule; key periods of live encryptors are read over.
Source: AWS, "SPEKE API v1", standard payload components (base64 for everything but key ids, and the namespace
urn:aws:amazon:com:speke): https://docs.aws.amazon.com/speke/latest/documentation/the-speke-api.html
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from lxml import etree

from penstock.errors import CpixError
from penstock.formats import safexml
from penstock.formats.cpix import MAX_BYTES, CpixKey, decoded, encoded, kid_of
from penstock.model import ContentKey, KeyId

_CPIX = "urn:dashif:org:cpix"
_PSKC = "urn:ietf:params:xml:ns:keyprov:pskc"
_SPEKE = "urn:aws:amazon:com:speke"
_NAMESPACES = {"cpix": _CPIX, "pskc": _PSKC, "speke": _SPEKE}


@dataclass(frozen=True)
class DrmSystem:
    """What one DRM system needs; None where the element is absent, empty where it is asked for.

    pssh: whole boxes. content_protection_data: XML for the MPD. key_uri, key_format, key_format_versions: attributes of
    EXT-X-KEY. protection_header: a PlayReady Object, for Smooth Streaming.
    """

    kid: KeyId
    system_id: UUID
    pssh: bytes | None = None
    content_protection_data: str | None = None
    key_uri: str | None = None
    key_format: str | None = None
    key_format_versions: str | None = None
    protection_header: bytes | None = None


@dataclass(frozen=True)
class Document:
    """A request or its answer. `content_id` is SPEKE's resource id."""

    content_id: str
    keys: tuple[CpixKey, ...]
    drm_systems: tuple[DrmSystem, ...]


def parse(xml: bytes) -> Document:
    """Read a document; raises CpixError naming the element that is missing or cannot be read."""
    root = safexml.parse(xml, max_bytes=MAX_BYTES, error=CpixError)
    content_id = (root.get("id") or "").strip()
    if root.tag != f"{{{_CPIX}}}CPIX" or not content_id:
        raise CpixError("SPEKE v1 is a cpix:CPIX element with an id")
    keys = tuple(_parse_key(element) for element in root.iterfind(f"{{{_CPIX}}}ContentKeyList/{{{_CPIX}}}ContentKey"))
    kids = {key.kid for key in keys}
    if not keys or len(kids) != len(keys):
        raise CpixError("ContentKeyList holds at least one ContentKey, each kid once")
    path = f"{{{_CPIX}}}DRMSystemList/{{{_CPIX}}}DRMSystem"
    systems = tuple(_parse_system(element) for element in root.iterfind(path))
    for system in systems:
        if system.kid not in kids:
            raise CpixError(f"kid {system.kid} is not in ContentKeyList")
    return Document(content_id, keys, systems)


def build(document: Document) -> bytes:
    """Write a document, answers with their keys in clear. Raises CpixError for text that XML cannot hold."""
    try:
        root = etree.Element(f"{{{_CPIX}}}CPIX", {"id": document.content_id}, nsmap=_NAMESPACES)
        keys = etree.SubElement(root, f"{{{_CPIX}}}ContentKeyList")
        for key in document.keys:
            _build_key(keys, key)
        systems = etree.SubElement(root, f"{{{_CPIX}}}DRMSystemList")
        for system in document.drm_systems:
            _build_system(systems, system)
    except ValueError as exc:
        raise CpixError("the document holds text that XML cannot hold, such as control characters") from exc
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8")


def _parse_key(element: etree._Element) -> CpixKey:
    iv = element.get("explicitIV")
    value = element.findtext(f"{{{_CPIX}}}Data/{{{_PSKC}}}Secret/{{{_PSKC}}}PlainValue")
    if value is None and len(element):
        raise CpixError("ContentKey holds Data/Secret/PlainValue or nothing")
    return CpixKey(
        kid_of(element),
        key=None if value is None else ContentKey(decoded(value, "pskc:PlainValue", 16)),
        explicit_iv=None if iv is None else decoded(iv, "ContentKey@explicitIV", 16),
    )


def _parse_system(element: etree._Element) -> DrmSystem:
    try:
        system_id = UUID(element.get("systemId", ""))
    except ValueError as exc:
        raise CpixError("DRMSystem@systemId is a UUID") from exc
    return DrmSystem(
        kid_of(element),
        system_id,
        pssh=_bytes(element, _CPIX, "PSSH"),
        content_protection_data=_text(element, _CPIX, "ContentProtectionData"),
        key_uri=_text(element, _CPIX, "URIExtXKey"),
        key_format=_text(element, _SPEKE, "KeyFormat"),
        key_format_versions=_text(element, _SPEKE, "KeyFormatVersions"),
        protection_header=_bytes(element, _SPEKE, "ProtectionHeader"),
    )


def _build_key(parent: etree._Element, key: CpixKey) -> None:
    element = etree.SubElement(parent, f"{{{_CPIX}}}ContentKey", {"kid": str(key.kid)})
    if key.explicit_iv is not None:
        element.set("explicitIV", encoded(key.explicit_iv))
    if key.key is not None:
        data = etree.SubElement(element, f"{{{_CPIX}}}Data")
        secret = etree.SubElement(data, f"{{{_PSKC}}}Secret")
        etree.SubElement(secret, f"{{{_PSKC}}}PlainValue").text = encoded(key.key.reveal())


def _build_system(parent: etree._Element, system: DrmSystem) -> None:
    attributes = {"kid": str(system.kid), "systemId": str(system.system_id)}
    element = etree.SubElement(parent, f"{{{_CPIX}}}DRMSystem", attributes)
    for namespace, name, value in (
        (_CPIX, "ContentProtectionData", system.content_protection_data),
        (_SPEKE, "KeyFormat", system.key_format),
        (_SPEKE, "KeyFormatVersions", system.key_format_versions),
        (_SPEKE, "ProtectionHeader", system.protection_header),
        (_CPIX, "PSSH", system.pssh),
        (_CPIX, "URIExtXKey", system.key_uri),
    ):
        if value is not None:
            raw = value.encode() if isinstance(value, str) else value
            etree.SubElement(element, f"{{{namespace}}}{name}").text = encoded(raw)


def _bytes(element: etree._Element, namespace: str, name: str) -> bytes | None:
    found = element.find(f"{{{namespace}}}{name}")
    return None if found is None else decoded(found.text or "", name)


def _text(element: etree._Element, namespace: str, name: str) -> str | None:
    raw = _bytes(element, namespace, name)
    try:
        return None if raw is None else raw.decode()
    except UnicodeDecodeError as exc:
        raise CpixError(f"{name} is not UTF-8 in base64") from exc
