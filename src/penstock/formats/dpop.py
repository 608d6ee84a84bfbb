"""DPoP proofs: whoever sends a request has the private key that a playback session is bound to. Looks at no clock.

Standard: RFC 9449, with ES256 alone (RFC 7518 section 3.4), thumbprints by RFC 7638. Adapted where there is no OAuth:
at the edge the session's token is in the address or in a cookie that scripts cannot read, so a proof needs no `ath`
there; there is no nonce, a proof is good for a minute and once.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
import threading
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from penstock.errors import BadSignature, FormatError
from penstock.formats import strictjson

MAX_PROOF_CHARS = 6144
MAX_AGE_S = 60
AHEAD_S = 30
"""A browser's clock that goes ahead of ours by more than this has to be corrected by the player."""
MAX_ID_CHARS = 128

_REMEMBERED_S = MAX_AGE_S + AHEAD_S
_COORDINATE_BYTES = 32
_BASE64URL = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)


@dataclass(frozen=True)
class Proof:
    """What a proof says, its signature verified.

    thumbprint: of the key that made it. token_sha256: `ath`, in base64url; None where it has none.
    """

    thumbprint: str
    id: str
    method: str
    url: str
    issued: float
    token_sha256: str | None


def read(proof: str) -> Proof:
    """Read a proof and verify its signature by the key in it. Raises BadSignature."""
    if len(proof) > MAX_PROOF_CHARS:
        raise BadSignature(f"a DPoP proof has at most {MAX_PROOF_CHARS} characters")
    parts = proof.split(".")
    if len(parts) != 3:
        raise BadSignature("a DPoP proof has three parts")
    header, claims = (_members(part) for part in parts[:2])
    if header.get("typ") != "dpop+jwt" or header.get("alg") != "ES256" or "crit" in header:
        raise BadSignature("a DPoP proof has the type dpop+jwt and the algorithm ES256")
    key, thumbprint = _key(header.get("jwk"))
    _verify(key, f"{parts[0]}.{parts[1]}".encode(), _decode(parts[2]))
    match claims:
        case {"jti": str(identifier), "htm": str(method), "htu": str(url), "iat": int() | float() as issued}:
            token_sha256 = claims.get("ath")
            right = 0 < len(identifier) <= MAX_ID_CHARS and not isinstance(issued, bool)
            if right and (token_sha256 is None or isinstance(token_sha256, str)):
                return Proof(thumbprint, identifier, method, url, issued, token_sha256)
    raise BadSignature("a DPoP proof has jti, htm, htu and iat")


def thumbprint_of(jwk: object) -> str:
    """The thumbprint of a public key on P-256. Raises BadSignature."""
    return _key(jwk)[1]


def hash_of(token: str) -> str:
    """What `ath` is for a token."""
    return _encode(hashlib.sha256(token.encode()).digest())


class Proofs:
    """Judges proofs and remembers which were used: each is good once. Threads may share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._used: set[tuple[str, str]] = set()
        self._used_before: set[tuple[str, str]] = set()
        self._turned_at = 0.0

    def take(
        self, proof: str | None, *, method: str, urls: Collection[str], thumbprint: str, now: float, token: str = ""
    ) -> Proof:
        """The proof of a request, which is used up by it.

        urls: spellings of the request's address, without query. thumbprint: of the key that has to have made it.
        token: the one that came in the Authorization header, if any. now: seconds since the epoch.
        Raises BadSignature with the reason.
        """
        if not proof:
            raise BadSignature("the session is bound to a key, and the request has no DPoP proof")
        found = read(proof)
        if found.thumbprint != thumbprint:
            raise BadSignature("the DPoP proof was made with another key than the session's")
        if found.method != method or found.url not in urls:
            raise BadSignature("the DPoP proof is for another request")
        if token and found.token_sha256 != hash_of(token):
            raise BadSignature("the DPoP proof is for another token")
        if not now - MAX_AGE_S < found.issued < now + AHEAD_S:
            raise BadSignature("the DPoP proof is too old, or of the future")
        with self._lock:
            self._turn(now)
            used = (found.thumbprint, found.id)
            if used in self._used or used in self._used_before:
                raise BadSignature("the DPoP proof was used before")
            self._used.add(used)
        return found

    def give_back(self, proof: Proof) -> None:
        """Make a proof good once more, for a request that got nothing."""
        with self._lock:
            for used in (self._used, self._used_before):
                used.discard((proof.thumbprint, proof.id))

    def _turn(self, now: float) -> None:
        """Forget proofs that are too old by now; two sets take turns at being the older one."""
        if now - self._turned_at >= _REMEMBERED_S:
            recent = now - self._turned_at < 2 * _REMEMBERED_S
            self._used_before, self._used = (self._used if recent else set()), set()
            self._turned_at = now


def _key(jwk: object) -> tuple[ec.EllipticCurvePublicKey, str]:
    match jwk:
        case {"kty": "EC", "crv": "P-256", "x": str(x), "y": str(y), **more} if "d" not in more:
            coordinates = [_decode(x), _decode(y)]
            if all(len(each) == _COORDINATE_BYTES for each in coordinates):
                numbers = [int.from_bytes(each, "big") for each in coordinates]
                try:
                    key = ec.EllipticCurvePublicNumbers(numbers[0], numbers[1], ec.SECP256R1()).public_key()
                except ValueError as exc:
                    raise BadSignature("the key of the DPoP proof is not on its curve") from exc
                required = {"crv": "P-256", "kty": "EC", "x": x, "y": y}
                return key, _encode(hashlib.sha256(json.dumps(required, separators=(",", ":")).encode()).digest())
    raise BadSignature("the key of a DPoP proof is the public half of one on P-256")


def _verify(key: ec.EllipticCurvePublicKey, signed: bytes, signature: bytes) -> None:
    if len(signature) != 2 * _COORDINATE_BYTES:
        raise BadSignature("the signature of a DPoP proof has 64 bytes")
    r, s = (int.from_bytes(half, "big") for half in (signature[:_COORDINATE_BYTES], signature[_COORDINATE_BYTES:]))
    try:
        key.verify(encode_dss_signature(r, s), signed, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature as exc:
        raise BadSignature("the signature of the DPoP proof does not hold") from exc


def _members(part: str) -> dict[str, Any]:
    try:
        found = strictjson.loads(_decode(part), max_bytes=MAX_PROOF_CHARS)
    except FormatError as exc:
        raise BadSignature("a DPoP proof is made of JSON objects") from exc
    if not isinstance(found, dict):
        raise BadSignature("a DPoP proof is made of JSON objects")
    return found


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")


def _decode(text: str) -> bytes:
    if not _BASE64URL.fullmatch(text):
        raise BadSignature("a DPoP proof is written in base64url")
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error as exc:
        raise BadSignature("a DPoP proof is written in base64url") from exc
    if _encode(raw) != text:  # spare bits would make two spellings of one key, and of its thumbprint
        raise BadSignature("a DPoP proof is written in base64url")
    return raw
