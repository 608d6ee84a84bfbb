"""Axinom DRM: an entitlement message inside of a license service message, signed as a JWT.

Sources: https://docs.axinom.com/services/drm/license-service/license-service-message (envelope, HS256 with the
communication key, header X-AxDRM-Message) and .../entitlement-message (version 2) with .../content-key-usage-policies.
Not tried against Axinom's service; "HW_SECURE_ALL" is Widevine's own name for L1, taken from Widevine's levels.
"""

from __future__ import annotations

import base64
import binascii
import uuid
from dataclasses import dataclass, field
from typing import ClassVar

from penstock.drm import jwt
from penstock.drm.entitlement import Doors, Entitlement, LicenseAccess, System, doors, text
from penstock.errors import InvalidRequest
from penstock.model import JsonObject
from penstock.tiers import Robustness

HEADER = "X-AxDRM-Message"
MIN_KEY_BYTES = 32
_POLICIES = {
    Robustness.SOFTWARE: {
        "widevine": {"device_security_level": "SW_SECURE_CRYPTO"},
        "playready": {"min_device_security_level": 2000},
    },
    Robustness.HARDWARE: {
        "widevine": {"device_security_level": "HW_SECURE_ALL"},
        "playready": {"min_device_security_level": 3000},
    },
}


@dataclass(frozen=True)
class Axinom:
    name: ClassVar[str] = "axinom"
    doors: Doors
    communication_key_id: str
    communication_key: bytes = field(repr=False)

    @classmethod
    def configured(cls, configured: JsonObject) -> Axinom:
        """Members: communication_key_id, communication_key (base64, as Axinom shows it), license_urls."""
        try:
            key = base64.b64decode(text(configured, "communication_key"), validate=True)
            key_id = str(uuid.UUID(text(configured, "communication_key_id")))
        except (binascii.Error, ValueError) as exc:
            raise InvalidRequest(
                "communication_key is base64 and communication_key_id a UUID, as Axinom tells"
            ) from exc
        if len(key) < MIN_KEY_BYTES:
            raise InvalidRequest(f"communication_key has {MIN_KEY_BYTES} bytes, got {len(key)}")
        return cls(doors(configured, {}), key_id, key)

    def entitle(self, entitlement: Entitlement) -> dict[System, LicenseAccess]:
        message = jwt.sign(self.message(entitlement), self.communication_key)
        return self.doors.same_headers({HEADER: message})

    def message(self, entitlement: Entitlement) -> JsonObject:
        """The license service message. Pure."""
        used = sorted(set(entitlement.keys.values()))
        return {
            "version": 1,
            "com_key_id": self.communication_key_id,
            "begin_date": entitlement.issued_at.isoformat(),
            "expiration_date": entitlement.expires_at.isoformat(),
            "message": {
                "type": "entitlement_message",
                "version": 2,
                "license": {
                    "expiration_datetime": entitlement.expires_at.isoformat(),
                    "allow_persistence": False,
                },
                "content_keys_source": {
                    "inline": [
                        {"id": str(kid), "usage_policy": robustness.value}
                        for kid, robustness in sorted(entitlement.keys.items())
                    ]
                },
                "content_key_usage_policies": [{"name": each.value, **_POLICIES[each]} for each in used],
            },
        }

    def origins(self) -> set[str]:
        return self.doors.origins()
