"""BuyDRM KeyOS: an authentication XML, signed with RSA and sent as custom data.

Sources: https://go.buydrm.com/thedrmblog/advanced-techniques-for-deploying-keyos-authentication-xml (the security token
and its way through the player) and authentication XMLs of public services (element names; GenerationTime,
ExpirationTime, UniqueId, RSAPubKeyId; the header customdata in base64; https://widevine.keyos.com/api/v4/getLicense).
Not tried against KeyOS. From general knowledge and unverified: that the signature is RSA with SHA-1 (PKCS#1 v1.5) over
the Data element as it is written here, and the addresses of PlayReady and FairPlay.
"""

from __future__ import annotations

import base64
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from lxml import etree

from penstock.drm.entitlement import Doors, Entitlement, LicenseAccess, System, doors, text
from penstock.errors import InvalidRequest
from penstock.model import JsonObject
from penstock.private_files import read_private
from penstock.tiers import Robustness

HEADER = "customdata"
_USUAL = {
    System.WIDEVINE: "https://widevine.keyos.com/api/v4/getLicense",
    System.PLAYREADY: "https://playready.keyos.com/api/v4/getLicense",
    System.FAIRPLAY: "https://fairplay.keyos.com/api/v4/getLicense",
}
_TIME = "%Y-%m-%d %H:%M:%S"
_WIDEVINE_LEVEL = {Robustness.SOFTWARE: "1", Robustness.HARDWARE: "5"}
_PLAYREADY_LEVEL = {Robustness.SOFTWARE: "2000", Robustness.HARDWARE: "3000"}


@dataclass(frozen=True)
class KeyOs:
    name: ClassVar[str] = "keyos"
    doors: Doors
    public_key_id: str
    signing_key: RSAPrivateKey = field(repr=False)

    @classmethod
    def configured(cls, configured: JsonObject) -> KeyOs:
        """Members: public_key_id, signing_key_file (PEM). Optional: license_urls, certificate_url."""
        pem = read_private(Path(text(configured, "signing_key_file")))
        try:
            key = load_pem_private_key(pem, None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as exc:
            raise InvalidRequest("signing_key_file in the DRM configuration holds no PEM private key") from exc
        if not isinstance(key, RSAPrivateKey):
            raise InvalidRequest("signing_key_file in the DRM configuration holds no RSA key")
        return cls(doors(configured, _USUAL), text(configured, "public_key_id"), key)

    def entitle(self, entitlement: Entitlement) -> dict[System, LicenseAccess]:
        return self.doors.same_headers({HEADER: base64.b64encode(self.authentication(entitlement)).decode()})

    def authentication(self, entitlement: Entitlement) -> bytes:
        """The authentication XML."""
        data = etree.tostring(self._data(entitlement))
        # KeyOS demands SHA-1; what a forger would need is a second preimage, not a collision.
        signature = self.signing_key.sign(data, padding.PKCS1v15(), hashes.SHA1())  # noqa: S303
        return b"".join(
            (
                b'<?xml version="1.0" encoding="UTF-8"?><KeyOSAuthenticationXML>',
                data,
                b"<Signature>" + base64.b64encode(signature) + b"</Signature></KeyOSAuthenticationXML>",
            )
        )

    def _data(self, entitlement: Entitlement) -> etree._Element:
        data, level = etree.Element("Data"), entitlement.strictest
        for name, value in (
            ("GenerationTime", entitlement.issued_at.strftime(_TIME)),
            ("ExpirationTime", entitlement.expires_at.strftime(_TIME)),
            ("UniqueId", str(uuid.uuid4())),
            ("RSAPubKeyId", self.public_key_id),
        ):
            etree.SubElement(data, name).text = value
        widevine = etree.SubElement(data, "WidevinePolicy", fl_CanPlay="true", fl_CanPersist="false")
        etree.SubElement(widevine, "LicenseDuration").text = str(entitlement.life_s)
        for track_type in ("SD", "HD"):
            spec = etree.SubElement(data, "WidevineContentKeySpec", TrackType=track_type)
            etree.SubElement(spec, "SecurityLevel").text = _WIDEVINE_LEVEL[level]
        etree.SubElement(data, "FairPlayPolicy", persistent="false")
        policy_id = str(uuid.uuid4())
        for kid in sorted(entitlement.keys):
            license_ = etree.SubElement(data, "License", type="simple")
            etree.SubElement(license_, "KeyId").text = str(kid)
            etree.SubElement(etree.SubElement(license_, "Policy"), "Id").text = policy_id
        policy = etree.SubElement(data, "Policy", id=policy_id)
        etree.SubElement(policy, "MinimumSecurityLevel").text = _PLAYREADY_LEVEL[level]
        return data

    def origins(self) -> set[str]:
        return self.doors.origins()
