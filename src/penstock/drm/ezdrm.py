"""EZDRM: license addresses with a profile, and our token as custom data that EZDRM asks us about.

Sources: public players for https://widevine-dash.ezdrm.com/proxy?pX=..&CustomData=.. and
https://playready.ezdrm.com/cency/preauth.aspx?pX=.. Not tried against EZDRM. Unverified: that PlayReady's address takes
CustomData, the names in the question that EZDRM asks (taken to be those of the license address), and its reading of our
answer (200 is yes, anything else is no). FairPlay's address comes from the configuration.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar
from urllib.parse import quote

from penstock.drm.entitlement import Doors, Entitlement, LicenseAccess, Question, System, doors, text
from penstock.errors import InvalidRequest
from penstock.model import JsonObject

_SERVERS = {
    System.WIDEVINE: "https://widevine-dash.ezdrm.com/proxy",
    System.PLAYREADY: "https://playready.ezdrm.com/cency/preauth.aspx",
}
CUSTOM_DATA = "CustomData"


@dataclass(frozen=True)
class Ezdrm:
    name: ClassVar[str] = "ezdrm"
    doors: Doors
    profiles: Mapping[System, str]
    callback_secret: str = field(repr=False)

    @classmethod
    def configured(cls, configured: JsonObject) -> Ezdrm:
        """Members: widevine_profile, playready_profile (pX, one or both), callback_secret.

        Optional: license_urls.fairplay with certificate_url.
        """
        profiles = {
            system: text(configured, f"{system.name.lower()}_profile")
            for system in _SERVERS
            if f"{system.name.lower()}_profile" in configured
        }
        found = doors(configured, {system: _SERVERS[system] for system in profiles})
        return cls(found, profiles, text(configured, "callback_secret"))

    def entitle(self, entitlement: Entitlement) -> dict[System, LicenseAccess]:
        plain = self.doors.same_headers({})
        return {
            system: LicenseAccess(self._address(system, access.license_url, entitlement), {}, access.certificate_url)
            for system, access in plain.items()
        }

    def _address(self, system: System, address: str, entitlement: Entitlement) -> str:
        profile = f"pX={quote(self.profiles[system], safe='')}&" if system in self.profiles else ""
        joint = "&" if "?" in address else "?"
        return f"{address}{joint}{profile}{CUSTOM_DATA}={quote(entitlement.token, safe='')}"

    def question(self, query: Mapping[str, str], body: bytes) -> Question:
        if not (token := query.get(CUSTOM_DATA)):
            raise InvalidRequest(f"a question of EZDRM has {CUSTOM_DATA} in its query")
        return Question(content_id=None, token=token)

    def yes(self, question: Question, entitlement: Entitlement) -> tuple[str, bytes]:
        return "text/plain", b"ok"

    def origins(self) -> set[str]:
        return self.doors.origins()
