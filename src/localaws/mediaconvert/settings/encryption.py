"""Reads the Encryption of an output group: SPEKE with its contract, or a static key. Pure.

Source: botocore's model; AWS, "Encrypting content by using SPEKE", "SPEKE v2.0 presets"; DASH_ISO has SPEKE alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from localaws.media.encryption import Encryption, StaticKey, key_provider_url, presets
from localaws.media.failures import SettingRefused
from penstock.formats import contracts
from penstock.formats.isobmff import PLAYREADY
from penstock.model import ContentKey

Json = Mapping[str, Any]


def dash(path: str, own: Json) -> Encryption:
    """Read a DASH_ISO group's encryption, always cenc, found at `path`. Raises SettingRefused."""
    speke, inner = _provider(path, own)
    systems = _systems(f"{inner}.systemIds", speke.get("SystemIds"), 2)
    return _speke(path, "cenc", speke, systems, (), own)


def cmaf(path: str, own: Json, *, in_mpd: bool, in_playlists: bool) -> Encryption:
    """Read a CMAF group's encryption. in_mpd, in_playlists: which manifests the group has. Raises SettingRefused."""
    scheme = "cenc" if own.get("EncryptionMethod") == "AES_CTR" else "cbcs"
    if _is_static(path, own):
        return _static(path, scheme, own, whole_segments=False)
    speke, inner = _provider(path, own)
    dash_systems = _systems(f"{inner}.dashSignaledSystemIds", speke.get("DashSignaledSystemIds"), 3, in_mpd)
    hls_systems = _systems(f"{inner}.hlsSignaledSystemIds", speke.get("HlsSignaledSystemIds"), 3, in_playlists)
    return _speke(path, scheme, speke, dash_systems, hls_systems, own)


def hls(path: str, own: Json) -> Encryption | None:
    """Read an HLS group's encryption; None where its method was left out, which means none. Raises SettingRefused."""
    method = own.get("EncryptionMethod")
    if method is None:
        return None
    whole = method == "AES128"
    if _is_static(path, own):
        return _static(path, "cbcs", own, whole_segments=whole)
    speke, inner = _provider(path, own)
    systems = _systems(f"{inner}.systemIds", speke.get("SystemIds"), 3)
    found = _speke(path, "cbcs", speke, (), systems, own, whole_segments=whole)
    return replace(found, session_keys=own.get("OfflineEncrypted") == "ENABLED")


def smooth(path: str, own: Json) -> Encryption:
    """Read a Smooth Streaming group's encryption, cenc for PlayReady alone. Raises SettingRefused."""
    speke, inner = _provider(path, own)
    systems = _systems(f"{inner}.systemIds", speke.get("SystemIds"), 1)
    if systems != (str(PLAYREADY),):
        raise SettingRefused(f"{inner}.systemIds", f"Smooth Streaming is protected with PlayReady alone, {PLAYREADY}")
    return replace(_speke(path, "cenc", speke, systems, (), own), smooth=True)


def _is_static(path: str, own: Json) -> bool:
    kind, other = own.get("Type"), {"SPEKE": "StaticKeyProvider", "STATIC_KEY": "SpekeKeyProvider"}
    if kind is None:
        kind = "STATIC_KEY" if own.get("StaticKeyProvider") else "SPEKE"
    if own.get(other[kind]) is not None:
        raise SettingRefused(f"{path}.{_wire(other[kind])}", f"does not belong to type {kind}")
    return kind == "STATIC_KEY"


def _static(path: str, scheme: str, own: Json, *, whole_segments: bool) -> Encryption:
    provider, inner = own.get("StaticKeyProvider") or {}, f"{path}.staticKeyProvider"
    for member in ("StaticKeyValue", "Url"):
        if not provider.get(member):
            raise SettingRefused(f"{inner}.{_wire(member)}", "is needed")
    try:
        key = ContentKey(bytes.fromhex(provider["StaticKeyValue"]))
    except ValueError:
        # What was given is not repeated: it may be a key with a slip.
        raise SettingRefused(f"{inner}.staticKeyValue", "must be 32 hexadecimal digits") from None
    for member in ("Url", "KeyFormat", "KeyFormatVersions"):
        if any(character in (provider.get(member) or "") for character in '"\r\n'):
            raise SettingRefused(f"{inner}.{_wire(member)}", "must have no quotes and no line ends")
    if not urlsplit(provider["Url"]).path and not urlsplit(provider["Url"]).netloc:
        raise SettingRefused(f"{inner}.url", "is no address")
    static = StaticKey(key, provider["Url"], provider.get("KeyFormat"), provider.get("KeyFormatVersions"))
    return Encryption(
        path=path,
        scheme=scheme,
        url="",
        resource_id="static",
        dash_systems=(),
        hls_systems=(),
        contract=contracts.ONE_KEY,
        constant_iv=own.get("ConstantInitializationVector"),
        static=static,
        whole_segments=whole_segments,
        iv_in_manifest=own.get("InitializationVectorInManifest") != "EXCLUDE",
        session_keys=own.get("OfflineEncrypted") == "ENABLED",
        clear_segments=own.get("ClearLeadSegments") or 0,
    )


def _provider(path: str, own: Json) -> tuple[Json, str]:
    speke, inner = own.get("SpekeKeyProvider") or {}, f"{path}.spekeKeyProvider"
    for member in ("Url", "ResourceId"):
        if not speke.get(member):
            raise SettingRefused(f"{inner}.{_wire(member)}", "is needed")
    key_provider_url(f"{inner}.url", speke["Url"])
    return speke, inner


def _speke(
    path: str,
    scheme: str,
    speke: Json,
    dash_systems: tuple[str, ...],
    hls_systems: tuple[str, ...],
    own: Json,
    *,
    whole_segments: bool = False,
) -> Encryption:
    named = speke.get("EncryptionContractConfiguration") or {}
    place = f"{path}.spekeKeyProvider.encryptionContractConfiguration"
    return Encryption(
        path=path,
        scheme=scheme,
        url=speke["Url"],
        resource_id=speke["ResourceId"],
        dash_systems=dash_systems,
        hls_systems=hls_systems,
        contract=presets(place, named.get("SpekeVideoPreset"), named.get("SpekeAudioPreset"))
        if named
        else contracts.ONE_KEY,
        # AWS: without presets SPEKE v1 is spoken.
        speke_version=2 if named else 1,
        constant_iv=own.get("ConstantInitializationVector"),
        whole_segments=whole_segments,
        iv_in_manifest=own.get("InitializationVectorInManifest") != "EXCLUDE",
        clear_segments=own.get("ClearLeadSegments") or 0,
    )


def _systems(path: str, given: Sequence[str] | None, most: int, needed: bool = True) -> tuple[str, ...]:
    systems = tuple(dict.fromkeys(system.lower() for system in given or ()))
    if needed and not systems:
        raise SettingRefused(path, "at least one DRM system id is needed")
    if len(systems) > most:
        raise SettingRefused(path, f"at most {most} DRM system ids, got {len(systems)}")
    return systems


def _wire(member: str) -> str:
    return member[0].lower() + member[1:]
