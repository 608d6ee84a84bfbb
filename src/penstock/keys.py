"""Content keys of every asset, and the answers to encryptors that ask for them by SPEKE, version 1 or 2.

Keys are derived from one master secret, so there is no table of keys to be stolen, lost or out of date. Never decides
who may ask, never logs.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import dataclass, replace
from html import escape
from typing import Any
from uuid import UUID

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from penstock.errors import CpixError, InvalidRequest
from penstock.formats import cpix, hls, isobmff, speke_v1
from penstock.formats.cpix import Cpix, CpixKey, DrmSystem
from penstock.model import ContentKey, KeyId, Scheme

MIN_MASTER_BYTES = 32
SPEKE_VERSION = "2.0"
"""What an encryptor says in X-Speke-Version; without that header it speaks version 1."""
_HEADERS = {"Content-Type": "application/xml", "X-Speke-Version": SPEKE_VERSION, "X-Speke-User-Agent": "penstock"}
_HEADERS_V1 = {"Content-Type": "application/xml", "Speke-User-Agent": "penstock"}


class KeyProvider:
    """Derives content keys from the master secret, which its repr never shows."""

    def __init__(self, master: bytes) -> None:
        """Take the master secret; raises InvalidRequest when it is shorter than MIN_MASTER_BYTES."""
        if len(master) < MIN_MASTER_BYTES:
            raise InvalidRequest(f"the master secret has at least {MIN_MASTER_BYTES} bytes, got {len(master)}")
        self._master = master

    def __repr__(self) -> str:
        return "KeyProvider(<hidden>)"

    def content_key(self, content_id: str, kid: KeyId) -> ContentKey:
        """Derive the key that `kid` names in this content; another content gets another key for the same id."""
        return ContentKey(self._derive("content key", content_id, kid))

    def initialization_vector(self, content_id: str, kid: KeyId) -> bytes:
        """Derive the constant IV (16 bytes) that goes with a content key; it is public."""
        return self._derive("initialization vector", content_id, kid)

    def _derive(self, purpose: str, content_id: str, kid: KeyId) -> bytes:
        # The fixed sizes of purpose (up to its zero byte) and key id leave one reading of each info.
        info = b"penstock " + purpose.encode() + b"\0" + kid.raw + content_id.encode()
        return HKDF(SHA256(), length=16, salt=None, info=info).derive(self._master)


def answer_encryptor(
    request_xml: bytes, version: str | None, provider: KeyProvider, *, license_url: str | None = None
) -> tuple[bytes, dict[str, str]]:
    """Answer a request of the SPEKE version that its header names: the document, and the headers of the answer.

    Raises CpixError for a version that is not spoken, and as the functions for each version do.
    Source: https://docs.aws.amazon.com/speke/latest/documentation/the-speke-api-v2.html
    """
    if version is None:
        return answer_speke_v1(request_xml, provider, license_url=license_url), _HEADERS_V1
    if version != SPEKE_VERSION:
        raise CpixError(f"Unsupported SPEKE version {version[:16]!r}; {SPEKE_VERSION} and version 1 are spoken here")
    return answer_speke(request_xml, provider, license_url=license_url), _HEADERS


def answer_speke(request_xml: bytes, provider: KeyProvider, *, license_url: str | None = None) -> bytes:
    """Answer a SPEKE v2 request for keys: the same document, with keys and with the signaling it asks for.

    license_url: where Clear Key players get licenses; a manifest then says so, which whoever writes it need not know.
    A DRMSystem without children asks for everything its system has. Raises CpixError for a request that is not one,
    names a system that is not offered, or mixes schemes.
    """
    request = cpix.parse(request_xml)
    scheme = _agreed_scheme(request)
    granted = {
        key.kid: _Granted(key.kid, scheme, provider.content_key(request.content_id, key.kid)) for key in request.keys
    }
    return cpix.build(
        replace(
            request,
            keys=tuple(_filled(request, key, granted[key.kid], provider) for key in request.keys),
            drm_systems=tuple(
                _with_license(_signal(system, granted[system.kid]), license_url) for system in request.drm_systems
            ),
        )
    )


def answer_speke_v1(request_xml: bytes, provider: KeyProvider, *, license_url: str | None = None) -> bytes:
    """Answer a SPEKE v1 request. As `answer_speke`, with what version 1 has words for.

    Version 1 does not say the scheme: FairPlay means cbcs, which is all that it decrypts, and anything else cenc.
    Raises CpixError for a request that is not one, or names a system that is not offered.
    """
    request = speke_v1.parse(request_xml)
    if not request.drm_systems:
        raise CpixError("Missing DRMSystem")
    fairplay = {system.kid for system in request.drm_systems if system.system_id == isobmff.FAIRPLAY}
    keys, systems = [], []
    for asked in request.keys:
        scheme = Scheme.CBCS if fairplay else Scheme.CENC
        granted = _Granted(asked.kid, scheme, provider.content_key(request.content_id, asked.kid))
        iv = asked.explicit_iv
        if iv is None and asked.kid in fairplay:
            iv = provider.initialization_vector(request.content_id, asked.kid)
        keys.append(replace(asked, key=granted.key, explicit_iv=iv))
        systems += [_signal_v1(one, granted, license_url) for one in request.drm_systems if one.kid == asked.kid]
    return speke_v1.build(speke_v1.Document(request.content_id, tuple(keys), tuple(systems)))


def _signal_v1(asked: speke_v1.DrmSystem, key: _Granted, license_url: str | None) -> speke_v1.DrmSystem:
    whole = _with_license(_signal(DrmSystem(key.kid, asked.system_id), key), license_url)
    tag = hls.attributes(whole.hls_media) if whole.hls_media else {}
    offered = speke_v1.DrmSystem(
        key.kid,
        asked.system_id,
        pssh=whole.pssh,
        content_protection_data=whole.content_protection_data,
        key_uri=tag.get("URI"),
        key_format=tag.get("KEYFORMAT"),
        key_format_versions=tag.get("KEYFORMATVERSIONS"),
        protection_header=None if whole.smooth_header is None else b64decode(whole.smooth_header),
    )
    wanted = _there(asked).keys() or _there(offered).keys()
    return replace(asked, **{name: value for name, value in _there(offered).items() if name in wanted})


def _there(system: speke_v1.DrmSystem) -> dict[str, Any]:
    """The signaling that is there, be it only as an empty element."""
    names = vars(system).keys() - {"kid", "system_id"}
    return {name: value for name in names if (value := getattr(system, name)) is not None}


@dataclass(frozen=True)
class _Granted:
    """A content key that will be given out, with what signaling needs to know of it."""

    kid: KeyId
    scheme: Scheme
    key: ContentKey


def _agreed_scheme(request: Cpix) -> Scheme:
    """Refuse what SPEKE's encryption contract rules out, in the words that AWS's encryptors show."""
    for name, items in (("DRMSystem", request.drm_systems), ("ContentKeyUsageRule", request.usage_rules)):
        if not items:
            raise CpixError(f"Missing {name}")
    track_types = [rule.track_type for rule in request.usage_rules]
    if len(set(track_types)) != len(track_types):
        raise CpixError("two ContentKeyUsageRule elements have the same intendedTrackType")
    schemes = set()
    for key in request.keys:
        if key.scheme is None:
            raise CpixError(f"Missing ContentKey@commonEncryptionScheme for KID {key.kid}")
        schemes.add(key.scheme)
    scheme = schemes.pop()
    # Apple: FairPlay decrypts cbcs only.
    if schemes or (scheme is not Scheme.CBCS and _names_fairplay(request)):
        raise CpixError("Non compliant ContentKey@commonEncryptionScheme combination")
    return scheme


def _names_fairplay(request: Cpix, kid: KeyId | None = None) -> bool:
    return any(
        system.system_id == isobmff.FAIRPLAY and (kid is None or system.kid == kid) for system in request.drm_systems
    )


def _filled(request: Cpix, asked: CpixKey, granted: _Granted, provider: KeyProvider) -> CpixKey:
    iv = asked.explicit_iv
    # AWS: the key provider chooses the IV for FairPlay, whose license carries it to the player.
    if iv is None and _names_fairplay(request, asked.kid):
        iv = provider.initialization_vector(request.content_id, asked.kid)
    return replace(asked, key=granted.key, explicit_iv=iv)


def _signal(asked: DrmSystem, key: _Granted) -> DrmSystem:
    """Fill the members that were asked for; one that the system does not have stays as it came."""
    if asked.system_id not in _SYSTEMS:
        raise CpixError(f"the DRM system {asked.system_id} is not offered")
    offered = _members(_SYSTEMS[asked.system_id](key))
    wanted = _members(asked).keys() or offered.keys()
    return replace(asked, **{name: value for name, value in offered.items() if name in wanted})


def _with_license(system: DrmSystem, license_url: str | None) -> DrmSystem:
    """DASH-IF: Clear Key's ContentProtection holds the license address; players choke on a pssh beside it."""
    if license_url is None or system.system_id != isobmff.CLEARKEY or system.content_protection_data is None:
        return system
    start = '<dashif:Laurl xmlns:dashif="https://dashif.org/CPS" Lic_type="EME-1.0">'
    return replace(system, content_protection_data=f"{start}{escape(license_url)}</dashif:Laurl>")


def _members(system: DrmSystem) -> dict[str, Any]:
    """The signaling of a system that is there, be it only as an empty element."""
    names = ("pssh", "content_protection_data", "hls_media", "hls_master", "smooth_header")
    return {name: value for name in names if (value := getattr(system, name)) is not None}


def _key_ids_only(system_id: UUID) -> Callable[[_Granted], DrmSystem]:
    """Signal a system that needs no more than key ids: Clear Key, under either name, with the W3C common box."""

    def signal(key: _Granted) -> DrmSystem:
        pssh = isobmff.common_pssh([key.kid]).build()
        uri = _data_uri("text/plain", pssh)
        return _signaling(key, system_id, pssh, f'URI="{uri}",KEYFORMAT="urn:uuid:{system_id}"')

    return signal


def _widevine(key: _Granted) -> DrmSystem:
    pssh = isobmff.widevine_pssh([key.kid], key.scheme).build()
    uri = _data_uri("text/plain", pssh)
    attributes = f'URI="{uri}",KEYID=0x{key.kid.hex},KEYFORMAT="urn:uuid:{isobmff.WIDEVINE}"'
    return _signaling(key, isobmff.WIDEVINE, pssh, attributes)


def _playready(key: _Granted) -> DrmSystem:
    pssh = isobmff.playready_pssh(key.kid, key.scheme, key.key)
    uri = _data_uri("text/plain;charset=UTF-16", pssh.data)
    system = _signaling(key, isobmff.PLAYREADY, pssh.build(), f'URI="{uri}",KEYFORMAT="com.microsoft.playready"')
    header = b64encode(pssh.data).decode("ascii")
    pro = f'<mspr:pro xmlns:mspr="urn:microsoft:playready">{header}</mspr:pro>'
    return replace(system, content_protection_data=f"{system.content_protection_data}{pro}", smooth_header=header)


def _fairplay(key: _Granted) -> DrmSystem:
    """Signal FairPlay, which lives in playlists only; its player turns the skd address into a license request."""
    attributes = f'URI="skd://{key.kid}",KEYFORMAT="com.apple.streamingkeydelivery"'
    return _signaling(key, isobmff.FAIRPLAY, None, attributes)


def _signaling(key: _Granted, system_id: UUID, pssh: bytes | None, attributes: str) -> DrmSystem:
    method = "SAMPLE-AES" if key.scheme is Scheme.CBCS else "SAMPLE-AES-CTR"
    line = f'METHOD={method},{attributes},KEYFORMATVERSIONS="1"'
    return DrmSystem(
        kid=key.kid,
        system_id=system_id,
        pssh=pssh,
        content_protection_data=None if pssh is None else _cenc_pssh(pssh),
        hls_media=f"#EXT-X-KEY:{line}",
        hls_master=f"#EXT-X-SESSION-KEY:{line}",
    )


def _cenc_pssh(pssh: bytes) -> str:
    return f'<cenc:pssh xmlns:cenc="urn:mpeg:cenc:2013">{b64encode(pssh).decode("ascii")}</cenc:pssh>'


def _data_uri(media_type: str, raw: bytes) -> str:
    return f"data:{media_type};base64,{b64encode(raw).decode('ascii')}"


_SYSTEMS: dict[UUID, Callable[[_Granted], DrmSystem]] = {
    isobmff.COMMON: _key_ids_only(isobmff.COMMON),
    isobmff.CLEARKEY: _key_ids_only(isobmff.CLEARKEY),
    isobmff.WIDEVINE: _widevine,
    isobmff.PLAYREADY: _playready,
    isobmff.FAIRPLAY: _fairplay,
}
