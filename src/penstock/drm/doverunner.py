"""DoveRunner, once PallyCon: a license token for each DRM system, its policy encrypted with the site key.

Sources: https://pallycon.com/docs/en/multidrm/license/license-token (policy version 2, pallycon-customdata-v2) and
DoveRunner's own sample https://github.com/doverunner/drm-license-token-sample-python (AES-256-CBC with a fixed IV,
PKCS#7; hash = base64 of SHA-256 over access key, DRM type, site id, user id, content id, policy and timestamp). The
usual addresses are those of public pages. Not tried against DoveRunner.
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass, field
from typing import ClassVar

from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from penstock.drm.entitlement import Doors, Entitlement, LicenseAccess, System, doors, text
from penstock.errors import InvalidRequest
from penstock.model import JsonObject
from penstock.tiers import Robustness

HEADER = "pallycon-customdata-v2"
_SERVER = "https://drm-license.doverunner.com/ri"
_IV = b"0123456789abcdef"  # the service's own; the policy is hidden by it, not protected: the hash does that
_TYPES = {System.WIDEVINE: "Widevine", System.PLAYREADY: "PlayReady", System.FAIRPLAY: "FairPlay"}
_LEVELS = {
    Robustness.SOFTWARE: {"widevine": {"security_level": 1}, "playready": {"security_level": 2000}},
    Robustness.HARDWARE: {"widevine": {"security_level": 5}, "playready": {"security_level": 3000}},
}


@dataclass(frozen=True)
class DoveRunner:
    name: ClassVar[str] = "doverunner"
    doors: Doors
    site_id: str
    site_key: bytes = field(repr=False)
    access_key: str = field(repr=False)

    @classmethod
    def configured(cls, configured: JsonObject) -> DoveRunner:
        """Members: site_id, site_key (32 characters), access_key. Optional: license_urls, certificate_url."""
        site_id, site_key = text(configured, "site_id"), text(configured, "site_key").encode()
        if len(site_key) != 32:
            raise InvalidRequest("site_key in the DRM configuration has 32 characters, as DoveRunner shows it")
        usual = dict.fromkeys(System, f"{_SERVER}/licenseManager.do")
        found = doors(configured, usual, f"{_SERVER}/fpsKeyManager.do?siteId={site_id}")
        return cls(found, site_id, site_key, text(configured, "access_key"))

    def entitle(self, entitlement: Entitlement) -> dict[System, LicenseAccess]:
        return self.doors.access({system: {HEADER: self.token(entitlement, system)} for system in self.doors.licenses})

    def token(self, entitlement: Entitlement, system: System) -> str:
        policy = self._hidden(self.policy(entitlement))
        moment = entitlement.issued_at.strftime("%Y-%m-%dT%H:%M:%SZ")
        named = [_TYPES[system], self.site_id, entitlement.viewer, entitlement.content_id, policy, moment]
        digest = hashlib.sha256("".join([self.access_key, *named]).encode()).digest()
        names = ("drm_type", "site_id", "user_id", "cid", "policy", "timestamp")
        told = {**dict(zip(names, named, strict=True)), "response_format": "original", "key_rotation": False}
        told["hash"] = base64.b64encode(digest).decode()
        return base64.b64encode(json.dumps(told).encode()).decode()

    def policy(self, entitlement: Entitlement) -> JsonObject:
        return {
            "policy_version": 2,
            "playback_policy": {"persistent": False, "license_duration": entitlement.life_s},
            "security_policy": [{"track_type": "ALL", **_LEVELS[entitlement.strictest]}],
        }

    def origins(self) -> set[str]:
        return self.doors.origins()

    def _hidden(self, policy: JsonObject) -> str:
        padder = padding.PKCS7(128).padder()
        padded = padder.update(json.dumps(policy).encode()) + padder.finalize()
        encryptor = Cipher(algorithms.AES(self.site_key), modes.CBC(_IV)).encryptor()
        return base64.b64encode(encryptor.update(padded) + encryptor.finalize()).decode()
