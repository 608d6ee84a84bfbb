"""castLabs DRMtoday: a customer rights token, sent upfront in a JWT, or given when DRMtoday asks back.

Source: castLabs' "License Delivery Authorization" (header x-dt-auth-token; claims jti, iat, exp, optData and crt, the
last two JSON inside of JSON; HS256 with a shared secret in hexadecimal and its kid; x-dt-custom-data; the callback's
members asset, user, session). Not tried against DRMtoday. From general knowledge and unverified: the usual license
addresses, and that a robustness is asked for by naming a template of the account in `ref`.
"""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from penstock.drm import jwt
from penstock.drm.entitlement import Doors, Entitlement, LicenseAccess, Question, System, doors, text
from penstock.errors import FormatError, InvalidRequest
from penstock.formats import strictjson
from penstock.model import JsonObject
from penstock.tiers import Robustness

_USUAL = {
    System.WIDEVINE: "https://lic.drmtoday.com/license-proxy-widevine/cenc/?specConform=true",
    System.PLAYREADY: "https://lic.drmtoday.com/license-proxy-headerauth/drmtoday/RightsManager.asmx",
    System.FAIRPLAY: "https://lic.drmtoday.com/license-server-fairplay/",
}
_CERTIFICATE = "https://lic.drmtoday.com/license-server-fairplay/cert/"
MAX_QUESTION_BYTES = 64 * 2**10


@dataclass(frozen=True)
class DrmToday:
    name: ClassVar[str] = "drmtoday"
    doors: Doors
    merchant: str
    secret_id: str
    secret: bytes = field(repr=False)
    templates: Mapping[Robustness, str] = field(default_factory=dict)
    callback_secret: str = field(default="", repr=False)

    @classmethod
    def configured(cls, configured: JsonObject) -> DrmToday:
        """Members: merchant, shared_secret (hex) with shared_secret_id; without a secret, DRMtoday has to ask back.

        Optional: templates (robustness -> name), callback_secret, license_urls, certificate_url.
        """
        try:
            secret = bytes.fromhex(configured.get("shared_secret", ""))
            templates = {Robustness(name): str(value) for name, value in configured.get("templates", {}).items()}
        except (ValueError, TypeError, AttributeError) as exc:
            raise InvalidRequest("shared_secret is hexadecimal; templates names software and hardware") from exc
        return cls(
            doors(configured, _USUAL, _CERTIFICATE),
            text(configured, "merchant"),
            text(configured, "shared_secret_id") if secret else "",
            secret,
            templates,
            text(configured, "callback_secret") if "callback_secret" in configured or not secret else "",
        )

    def entitle(self, entitlement: Entitlement) -> dict[System, LicenseAccess]:
        who = self._who(entitlement)
        headers = {"x-dt-custom-data": base64.b64encode(json.dumps(who).encode()).decode()}
        if self.secret:
            headers["x-dt-auth-token"] = jwt.sign(self.claims(entitlement), self.secret, {"kid": self.secret_id})
        return self.doors.same_headers(headers)

    def claims(self, entitlement: Entitlement) -> JsonObject:
        return {
            "jti": str(uuid.uuid4()),
            "iat": int(entitlement.issued_at.timestamp()),
            "exp": int(entitlement.expires_at.timestamp()),
            "optData": json.dumps(self._who(entitlement)),
            "crt": json.dumps(self.rights(entitlement)),
        }

    def rights(self, entitlement: Entitlement) -> JsonObject:
        """The customer rights token: a rental that ends with the session."""
        life = f"PT{entitlement.life_s}S"
        rights: JsonObject = {
            "assetId": entitlement.content_id,
            "profile": {"type": "rental", "relativeExpiration": life, "playDuration": life},
        }
        if template := self.templates.get(entitlement.strictest):
            rights["ref"] = [template]
        return rights

    def question(self, query: Mapping[str, str], body: bytes) -> Question:
        asked = strictjson.loads(body, max_bytes=MAX_QUESTION_BYTES)
        if not isinstance(asked, dict) or not all(isinstance(asked.get(name), str) for name in ("asset", "session")):
            raise FormatError("a question of DRMtoday is a JSON object with asset and session")
        return Question(content_id=asked["asset"], session_id=asked["session"])

    def yes(self, question: Question, entitlement: Entitlement) -> tuple[str, bytes]:
        return "application/json", json.dumps(self.rights(entitlement)).encode()

    def origins(self) -> set[str]:
        return self.doors.origins()

    def _who(self, entitlement: Entitlement) -> JsonObject:
        return {"merchant": self.merchant, "userId": entitlement.viewer, "sessionId": entitlement.session_id}
