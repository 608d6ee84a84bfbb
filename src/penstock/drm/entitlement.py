"""What every DRM vendor is told, and what a player gets of it. Values alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import ClassVar, Protocol, runtime_checkable

from penstock.errors import InvalidRequest
from penstock.model import JsonObject, KeyId
from penstock.tiers import Robustness


class System(StrEnum):
    """DRM systems by the names that Encrypted Media Extensions have for them."""

    WIDEVINE = "com.widevine.alpha"
    PLAYREADY = "com.microsoft.playready"
    FAIRPLAY = "com.apple.fps"


SYSTEMS = {system.name.lower(): system for system in System}
"""By the names in configuration: widevine, playready, fairplay."""


@dataclass(frozen=True)
class Entitlement:
    """The right of one playback session to the keys of one asset."""

    session_id: str
    viewer: str
    content_id: str
    keys: Mapping[KeyId, Robustness]
    """What a device must be to get each key (see `tiers`); without those that no device gets."""
    issued_at: datetime
    expires_at: datetime
    """Of the session; no license outlives it."""
    token: str = field(repr=False)
    """The session's license token, for vendors that ask back."""

    @property
    def life_s(self) -> int:
        return max(1, int((self.expires_at - self.issued_at).total_seconds()))

    @property
    def strictest(self) -> Robustness:
        """For vendors that take one policy for all keys of a license."""
        return Robustness.HARDWARE if Robustness.HARDWARE in self.keys.values() else Robustness.SOFTWARE


@dataclass(frozen=True)
class LicenseAccess:
    """How a player gets licenses of one DRM system. Address and headers let somebody in, so they are secrets."""

    license_url: str = field(repr=False)
    headers: dict[str, str] = field(default_factory=dict, repr=False)
    certificate_url: str | None = None


@dataclass(frozen=True)
class Question:
    """A vendor asks whether a license may be given. `token` or `session_id` names the session."""

    content_id: str | None
    session_id: str | None = None
    token: str | None = field(default=None, repr=False)


class Adapter(Protocol):
    """One vendor with its configuration."""

    name: ClassVar[str]

    def entitle(self, entitlement: Entitlement) -> dict[System, LicenseAccess]:
        """License addresses, headers and certificates for every system that is configured."""
        ...

    def origins(self) -> set[str]:
        """Where a player has to be let connect to, as scheme://host[:port]."""
        ...


@runtime_checkable
class CallbackAdapter(Adapter, Protocol):
    """A vendor that asks back before it gives a license."""

    @property
    def callback_secret(self) -> str:
        """What the vendor's question has to bring; empty when it is not to ask."""
        ...

    def question(self, query: Mapping[str, str], body: bytes) -> Question:
        """Raises FormatError or InvalidRequest for what is no question of this vendor's."""
        ...

    def yes(self, question: Question, entitlement: Entitlement) -> tuple[str, bytes]:
        """Content type and body of the answer that lets a license be given."""
        ...


@dataclass(frozen=True)
class Doors:
    """Where licenses of each system are, and FairPlay's certificate."""

    licenses: Mapping[System, str]
    certificate: str | None = None

    def access(self, headers: Mapping[System, dict[str, str]]) -> dict[System, LicenseAccess]:
        return {
            system: LicenseAccess(url, headers[system], self.certificate if system is System.FAIRPLAY else None)
            for system, url in self.licenses.items()
        }

    def same_headers(self, headers: dict[str, str]) -> dict[System, LicenseAccess]:
        return self.access(dict.fromkeys(self.licenses, headers))

    def origins(self) -> set[str]:
        addresses = [*self.licenses.values(), *([self.certificate] if self.certificate else [])]
        return {"/".join(address.split("/")[:3]) for address in addresses}


def text(configured: JsonObject, name: str) -> str:
    """A member of a vendor's configuration. Raises InvalidRequest, which tells no value."""
    value = configured.get(name)
    if not isinstance(value, str) or not value:
        raise InvalidRequest(f"the DRM configuration needs {name}, a text")
    return value


def doors(configured: JsonObject, usual: Mapping[System, str], certificate: str | None = None) -> Doors:
    """Doors as configured in `license_urls` and `certificate_url`; what is usual for the vendor otherwise."""
    told = configured.get("license_urls", {})
    if not isinstance(told, dict) or not told.keys() <= SYSTEMS.keys():
        raise InvalidRequest(f"license_urls in the DRM configuration names {', '.join(SYSTEMS)}")
    licenses = {**usual, **{SYSTEMS[name]: text(told, name) for name in told}}
    certificate = text(configured, "certificate_url") if "certificate_url" in configured else certificate
    if not licenses:
        raise InvalidRequest("the DRM configuration needs license_urls; the vendor tells them")
    for address in (*licenses.values(), certificate or "https://"):
        if not address.startswith("https://"):
            raise InvalidRequest("license_urls and certificate_url in the DRM configuration are https addresses")
    return Doors(licenses, certificate)
