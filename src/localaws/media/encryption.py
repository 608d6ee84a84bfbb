"""How tracks are to be encrypted and where their keys come from, whichever service asks. Pure."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from localaws.media.failures import SettingRefused
from penstock.errors import InvalidRequest
from penstock.formats import contracts
from penstock.formats.contracts import Contract
from penstock.model import ContentKey


@dataclass(frozen=True)
class StaticKey:
    """A key that the settings themselves hold, and what playlists say of it. Silent about key and address in repr."""

    key: ContentKey
    url: str = field(repr=False)
    key_format: str | None = None
    key_format_versions: str | None = None


@dataclass(frozen=True)
class Encryption:
    """Encryption of samples, or of whole segments (AES-128 of HLS), with keys by SPEKE or one that is `static`.

    contract says which track gets which key; speke_version is 1 where the settings name no presets.
    iv_in_manifest: whether playlists say the IV. session_keys: whether the multivariant playlist names the keys, too.
    clear_segments: how many at the start stay in the clear.
    smooth: a Smooth Streaming manifest holds the signalling instead of an MPD.
    """

    path: str
    scheme: str
    url: str
    resource_id: str
    dash_systems: tuple[str, ...]
    hls_systems: tuple[str, ...]
    contract: Contract
    speke_version: int = 2
    constant_iv: str | None = None
    static: StaticKey | None = None
    whole_segments: bool = False
    iv_in_manifest: bool = True
    session_keys: bool = True
    clear_segments: int = 0
    smooth: bool = False


def presets(path: str, video: str | None, audio: str | None) -> Contract:
    """The contract of two presets. Raises SettingRefused at `path` for what does not go together."""
    if video is None or audio is None:
        raise SettingRefused(path, "needs a preset for video and one for audio")
    try:
        return contracts.contract(video, audio)
    except InvalidRequest as exc:
        raise SettingRefused(path, exc.message) from exc


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
