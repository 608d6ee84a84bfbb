"""What a playback session is bound to beside its viewer: an address, a network, a country, a browser, a browser's key.

Says whether a viewer is the one it was made for; never finds out itself who asks. On the wire it is one claim of a CBOR
Web Token, a map of small numbers to plain values, and `cnf` (RFC 8747) with the JWK thumbprint of RFC 9449, `jkt`.
The claims of CTA-5007 for the same (catnip, catgeoiso3166, cath) hold CBOR tags and match rules of which it is not
documented how CloudFront Functions hand them on; a claim that cannot be read is one that is not held.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass

from penstock.errors import BadSignature, InvalidRequest

CONFIRMATION = 8
BINDING = -65538  # for private use, RFC 8392 section 9.1
THUMBPRINT = "jkt"
LAST_ASN = 2**32 - 1

_NETWORK, _ASN, _COUNTRY, _USER_AGENT = 1, 2, 3, 4
_COUNTRY_CODE = re.compile(r"[A-Z]{2}", re.ASCII)
_SHA256_BASE64URL = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who asks. asn and country as a trusted front tells them, None where none does."""

    address: str
    asn: int | None = None
    country: str | None = None
    user_agent: str = ""


@dataclass(frozen=True)
class Binding:
    """network: address or CIDR network. asn: autonomous system number. country: ISO 3166-1 alpha-2, in capitals.

    user_agent_sha256: of the header's value. key_thumbprint: RFC 7638, SHA-256 in base64url, of a key that only the
    viewer's browser has; who asks has to prove it (`dpop`). None binds to nothing.
    Raises InvalidRequest naming the member that cannot be used.
    """

    network: str | None = None
    asn: int | None = None
    country: str | None = None
    user_agent_sha256: bytes | None = None
    key_thumbprint: str | None = None

    def __post_init__(self) -> None:
        if self.network is not None:
            object.__setattr__(self, "network", str(_network(self.network)))
        if self.asn is not None and not 0 < self.asn <= LAST_ASN:
            raise InvalidRequest(f"an autonomous system has a number from 1 to {LAST_ASN}")
        if self.country is not None and not _COUNTRY_CODE.fullmatch(self.country):
            raise InvalidRequest("a country is two capital letters (ISO 3166-1)")
        if self.user_agent_sha256 is not None and len(self.user_agent_sha256) != 32:
            raise InvalidRequest("the hash of a user agent has 32 bytes")
        if self.key_thumbprint is not None and not _SHA256_BASE64URL.fullmatch(self.key_thumbprint):
            raise InvalidRequest("a key's thumbprint is a SHA-256 in base64url")

    def refusal(self, viewer: Viewer) -> str | None:
        """Say why a viewer is not the one that is meant, for the log alone; None when it is. Looks at no proof."""
        if self.network is not None and not is_inside(viewer.address, self.network):
            return "bound to another address"
        if self.asn is not None and viewer.asn != self.asn:
            return "bound to another network"
        if self.country is not None and viewer.country != self.country:
            return "bound to another country"
        if self.user_agent_sha256 is not None and hash_of(viewer.user_agent) != self.user_agent_sha256:
            return "bound to another browser"
        return None


UNBOUND = Binding()


def hash_of(user_agent: str) -> bytes:
    """What a session is bound to in place of a User-Agent header."""
    return hashlib.sha256(user_agent.encode("utf-8", "surrogateescape")).digest()


def claims(binding: Binding) -> dict[int, object]:
    """The claims of a binding; none where it binds to nothing."""
    members = {
        _NETWORK: binding.network,
        _ASN: binding.asn,
        _COUNTRY: binding.country,
        _USER_AGENT: binding.user_agent_sha256,
    }
    told = {label: value for label, value in members.items() if value is not None}
    found: dict[int, object] = {BINDING: told} if told else {}
    if binding.key_thumbprint is not None:
        found[CONFIRMATION] = {THUMBPRINT: binding.key_thumbprint}
    return found


def read(found: Mapping[object, object]) -> Binding:
    """The binding in the claims of a token. Raises BadSignature for one that holds more than is understood."""
    told, confirmation = found.get(BINDING, {}), found.get(CONFIRMATION)
    match told, confirmation:
        case (dict(), None) | (dict(), {"jkt": str()}):
            pass
        case _:
            raise BadSignature("the token is bound in a way that is not understood")
    assert isinstance(told, dict)
    thumbprint = confirmation["jkt"] if isinstance(confirmation, dict) else None
    more = confirmation if isinstance(confirmation, dict) else {}
    network, asn, country, user_agent = (told.get(label) for label in (_NETWORK, _ASN, _COUNTRY, _USER_AGENT))
    known = told.keys() <= {_NETWORK, _ASN, _COUNTRY, _USER_AGENT} and more.keys() <= {THUMBPRINT}
    kinds = ((network, str), (asn, int), (country, str), (user_agent, bytes))
    if not known or any(value is not None and type(value) is not kind for value, kind in kinds):
        raise BadSignature("the token is bound in a way that is not understood")
    try:
        return Binding(network, asn, country, user_agent, thumbprint)
    except InvalidRequest as exc:
        raise BadSignature(exc.message) from exc


def is_inside(address: str, network: str) -> bool:
    """Whether an address lies in a network in CIDR form; what is no address lies nowhere."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return (mapped or found) in _network(network)


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError as exc:
        raise InvalidRequest(f"{text[:64]!r} is not an address or a network in CIDR form") from exc
