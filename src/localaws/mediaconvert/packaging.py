"""Reads how a DASH, CMAF or HLS group is to be segmented, described and encrypted. Pure.

Source: botocore's model and the MediaConvert API reference for each member's default; AWS, "Encryption contract".
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any
from urllib.parse import urlsplit

from localaws.mediaconvert import hls_settings
from localaws.mediaconvert.rules import SettingRefused

Json = Mapping[str, Any]

CMAF = "CMAF_GROUP"
DASH = "DASH_ISO_GROUP"
FILE = "FILE_GROUP"
HLS = "HLS_GROUP"


@dataclass(frozen=True)
class Encryption:
    """Common encryption with keys by SPEKE v2. `video` and `audio` say which tracks; `shared` one key for both."""

    path: str
    scheme: str
    url: str
    resource_id: str
    dash_systems: tuple[str, ...]
    hls_systems: tuple[str, ...]
    video: bool
    audio: bool
    shared: bool
    constant_iv: str | None


@dataclass(frozen=True)
class Packaging:
    """How encoded tracks become segments and manifests; lengths in seconds, 0 for an HLS group's fragments."""

    segment_s: int
    fragment_s: int
    exact: bool
    single_file: bool
    on_demand: bool
    dash: bool
    hls: bool
    min_buffer_s: Fraction | None
    peak_bandwidth: bool
    encryption: Encryption | None
    hls_group: hls_settings.HlsGroup | None = None


def read(path: str, kind: str, own: Json) -> Packaging:
    """Read a segmented group's own settings, found at `path`. Raises SettingRefused."""
    if kind == HLS:
        return _hls(own)
    segment_s = own.get("SegmentLength") or (30 if kind == DASH else 10)
    fragment_s = own.get("FragmentLength") or min(2, segment_s)
    if fragment_s > segment_s:
        raise SettingRefused(f"{path}.fragmentLength", "must not be more than segmentLength")
    single_file = own.get("SegmentControl", "SINGLE_FILE") == "SINGLE_FILE"
    on_demand = own.get("MpdProfile") == "ON_DEMAND_PROFILE"
    if on_demand and not single_file:
        raise SettingRefused(f"{path}.mpdProfile", "ON_DEMAND_PROFILE needs segmentControl SINGLE_FILE")
    dash = kind == DASH or own.get("WriteDashManifest", "ENABLED") == "ENABLED"
    hls = kind == CMAF and own.get("WriteHlsManifest", "ENABLED") == "ENABLED"
    if not dash and not hls:
        raise SettingRefused(f"{path}.writeDashManifest", "a DASH or an HLS manifest is needed")
    encryption = own.get("Encryption")
    buffer_ms = own.get("MinBufferTime")
    return Packaging(
        segment_s,
        fragment_s,
        own.get("SegmentLengthControl", "EXACT") == "EXACT",
        single_file,
        on_demand,
        dash,
        hls,
        Fraction(buffer_ms, 1000) if buffer_ms else None,
        own.get("MpdManifestBandwidthType") == "MAX",
        None if encryption is None else _encryption(f"{path}.encryption", kind, encryption, dash, hls),
    )


def _hls(own: Json) -> Packaging:
    return Packaging(
        own.get("SegmentLength") or 10,
        0,
        own.get("SegmentLengthControl", "EXACT") == "EXACT",
        own.get("SegmentControl") == "SINGLE_FILE",
        on_demand=False,
        dash=False,
        hls=own.get("OutputSelection") != "SEGMENTS_ONLY",
        min_buffer_s=None,
        peak_bandwidth=False,
        encryption=None,
        hls_group=hls_settings.group(own),
    )


def _encryption(path: str, kind: str, encryption: Json, dash: bool, hls: bool) -> Encryption:
    speke = encryption.get("SpekeKeyProvider") or {}
    inner = f"{path}.spekeKeyProvider"
    for member in ("Url", "ResourceId"):
        if not speke.get(member):
            raise SettingRefused(f"{inner}.{member[0].lower()}{member[1:]}", "is needed")
    key_provider_url(f"{inner}.url", speke["Url"])
    hls_systems: tuple[str, ...]
    if kind == DASH:
        dash_systems, hls_systems = _systems(f"{inner}.systemIds", speke.get("SystemIds"), 2), ()
    else:
        dash_systems = _systems(f"{inner}.dashSignaledSystemIds", speke.get("DashSignaledSystemIds"), 3, dash)
        hls_systems = _systems(f"{inner}.hlsSignaledSystemIds", speke.get("HlsSignaledSystemIds"), 3, hls)
    contract = speke.get("EncryptionContractConfiguration")
    if not contract:
        raise SettingRefused(
            f"{inner}.encryptionContractConfiguration",
            "SPEKE v1, which its absence means, is not offered; name presets",
        )
    video, audio = contract.get("SpekeVideoPreset"), contract.get("SpekeAudioPreset")
    if None in (video, audio) or (video == "SHARED") != (audio == "SHARED") or video == audio == "UNENCRYPTED":
        raise SettingRefused(
            f"{inner}.encryptionContractConfiguration",
            "needs both presets; SHARED must be set for both or none, UNENCRYPTED not for both",
        )
    method = encryption.get("EncryptionMethod", "SAMPLE_AES")
    return Encryption(
        path,
        "cenc" if kind == DASH or method == "AES_CTR" else "cbcs",
        speke["Url"],
        speke["ResourceId"],
        dash_systems,
        hls_systems,
        video != "UNENCRYPTED",
        audio != "UNENCRYPTED",
        video == "SHARED",
        encryption.get("ConstantInitializationVector"),
    )


def _systems(path: str, given: Sequence[str] | None, most: int, needed: bool = True) -> tuple[str, ...]:
    systems = tuple(dict.fromkeys(system.lower() for system in given or ()))
    if needed and not systems:
        raise SettingRefused(path, "at least one DRM system id is needed")
    if len(systems) > most:
        raise SettingRefused(path, f"at most {most} DRM system ids, got {len(systems)}")
    return systems


def key_provider_url(path: str, url: str) -> None:
    """Refuse an address that keys must not travel to: https, or http on this machine's own loopback."""
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - raises for a port that is no number
    except ValueError as exc:
        raise SettingRefused(path, "is not a URL") from exc
    if parts.username or parts.password or not parts.hostname:
        raise SettingRefused(path, "must name a host and no user")
    if parts.scheme != "https" and not (parts.scheme == "http" and _loopback(parts.hostname)):
        raise SettingRefused(path, "must be https; http is for a loopback address alone")


def _loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
