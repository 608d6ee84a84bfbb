"""CloudFront signed cookies and signed URLs: made with a private key, verified with a group of public ones.

Never looks at a clock, a file or a network, and never decodes or normalises a URL: the caller has.
Source: Amazon CloudFront Developer Guide, "Serve private content with signed URLs and signed cookies".
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Literal

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from penstock.errors import BadSignature, FormatError, InvalidRequest
from penstock.formats import policies
from penstock.formats.policies import MAX_POLICY_BYTES, MAX_URL_CHARS, Policy, covers

__all__ = [
    "COOKIE_PREFIX",
    "SERIALS",
    "SESSION_COOKIE",
    "SIGNING_PARAMETERS",
    "Policy",
    "PublicKey",
    "Signer",
    "covers",
    "generate_key_pair",
    "load_public_key",
    "verify",
    "without_signing_parameters",
]

PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey
PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
HashAlgorithm = Literal["SHA1", "SHA256"]

SIGNING_PARAMETERS = frozenset({"Expires", "Signature", "Key-Pair-Id", "Policy", "Hash-Algorithm"})
"""Query parameters that belong to CloudFront: never sent to an origin, never part of a cache key."""

COOKIE_PREFIX = "CloudFront-"
"""Cookies carry the same fields as the query string, each name behind this prefix."""

SESSION_COOKIE = "Penstock-Session"
"""Goes with the signed cookies of a playback session: its path token, for what a policy has no room to say."""

SERIALS = range(1, 1_000_000_000)
"""A policy whose time begins at one of these, a moment long before there were any, belongs to that session."""

MAX_SIGNATURE_BYTES = 512

# SHA-1 is CloudFront's default and the only hash that older signers know; it is offered because the wire demands it.
_HASHES: Mapping[str, hashes.HashAlgorithm] = {"SHA1": hashes.SHA1(), "SHA256": hashes.SHA256()}  # noqa: S303
_TO_CLOUDFRONT = str.maketrans("+=/", "-_~")
_FROM_CLOUDFRONT = str.maketrans("-_~", "+=/")
_BASE64 = re.compile(r"[A-Za-z0-9\-~]*_{0,2}", re.ASCII)
_KEY_PAIR_ID = re.compile(r"[A-Za-z0-9_\-]{1,64}")
_EPOCH = re.compile(r"[1-9][0-9]{0,10}", re.ASCII)


class Signer:
    """Signs policies with one private key of a CloudFront key group. Its repr never shows the key."""

    def __init__(self, private_key_pem: bytes, key_pair_id: str, hash_algorithm: HashAlgorithm = "SHA1") -> None:
        """Take an unencrypted RSA-2048 or EC P-256 key in PEM; raises InvalidRequest for anything else."""
        if hash_algorithm not in _HASHES:
            raise InvalidRequest(f"CloudFront knows the hashes {', '.join(_HASHES)}, not {hash_algorithm!r}")
        if not _KEY_PAIR_ID.fullmatch(key_pair_id):
            raise InvalidRequest("a key pair id is made of ASCII letters, digits, hyphens and underscores")
        self._key = _load_private_key(private_key_pem)
        self.key_pair_id = key_pair_id
        self.hash_algorithm = hash_algorithm

    def __repr__(self) -> str:
        return f"Signer(key_pair_id={self.key_pair_id!r}, hash_algorithm={self.hash_algorithm!r})"

    def cookies(self, policy: Policy) -> dict[str, str]:
        """Make the cookies of a custom policy, name to value."""
        return _as_cookies(self._custom_fields(policy))

    def canned_cookies(self, resource: str, expires: int) -> dict[str, str]:
        """Make the shorter cookies that let in to one URL until `expires` (seconds since the epoch)."""
        return _as_cookies(self._canned_fields(resource, expires))

    def url(self, url: str, policy_or_expires: Policy | int) -> str:
        """Append the signing parameters to `url`: a canned policy for a moment, else the custom policy given.

        Raises InvalidRequest when the URL already has signing parameters or the policy does not cover it.
        """
        if without_signing_parameters(url) != url:
            raise InvalidRequest("the URL already carries signing parameters")
        if isinstance(policy_or_expires, Policy):
            if not covers(policy_or_expires.resource, url):
                raise InvalidRequest("the policy's resource does not cover the URL it is to sign")
            fields = self._custom_fields(policy_or_expires)
        else:
            fields = self._canned_fields(url, policy_or_expires)
        return url + ("&" if "?" in url else "?") + "&".join(f"{name}={value}" for name, value in fields.items())

    def _custom_fields(self, policy: Policy) -> dict[str, str]:
        document = policies.custom(policy)
        return {"Policy": _encode(document), **self._proof(document)}

    def _canned_fields(self, resource: str, expires: int) -> dict[str, str]:
        # The same signature also holds for the same text sent as a custom policy, where a star would be a wildcard.
        if "*" in resource:
            raise InvalidRequest("a canned policy is for one URL; write a star in it as %2A, or use a custom policy")
        return {"Expires": str(expires), **self._proof(policies.canned(Policy(resource, expires)))}

    def _proof(self, document: bytes) -> dict[str, str]:
        digest = _HASHES[self.hash_algorithm]
        if isinstance(self._key, rsa.RSAPrivateKey):
            signature = self._key.sign(document, padding.PKCS1v15(), digest)
        else:
            signature = self._key.sign(document, ec.ECDSA(digest))
        fields = {"Signature": _encode(signature), "Key-Pair-Id": self.key_pair_id}
        return fields if self.hash_algorithm == "SHA1" else {**fields, "Hash-Algorithm": self.hash_algorithm}


def verify(
    *, url: str, cookies: Mapping[str, str], public_keys: Mapping[str, PublicKey], client_ip: str, now: float
) -> Policy:
    """Find out what lets this request in, and return it.

    url: scheme, host, path and query as the viewer sent them. Its signing parameters win over `cookies`; the two are
    never mixed. public_keys: by key id, the trusted key group. client_ip: the viewer's address. now: seconds since the
    epoch. Raises BadSignature with the reason; nothing of the policy is read before its signature has been verified.
    """
    if not policies.is_printable_url(url):
        raise BadSignature(f"the URL is not printable ASCII of at most {MAX_URL_CHARS} characters")
    resource, signing = _split(url)
    fields = _unique(signing) if signing else _cookie_fields(cookies)
    if not fields:
        raise BadSignature("neither a signed cookie nor a signed URL was sent")
    if "Policy" in fields and "Expires" in fields:
        raise BadSignature("both a custom policy and an expiry were sent; one of them has to go")
    try:
        policy = _verified_policy(resource, fields, public_keys)
    except (FormatError, InvalidRequest) as exc:
        raise BadSignature(exc.message) from exc
    if refusal := policy.refusal(client_ip, now):
        raise BadSignature(refusal)
    return policy


def without_signing_parameters(url: str) -> str:
    """Drop CloudFront's own parameters from a URL; everything else stays as it is, in its order."""
    return _split(url)[0]


def load_public_key(pem: bytes) -> PublicKey:
    """Read an RSA-2048 or EC P-256 public key; raises InvalidRequest for anything else."""
    try:
        key = serialization.load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm) as exc:
        raise InvalidRequest("the public key is not readable PEM") from exc
    if isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey) and _is_taken(key):
        return key
    raise InvalidRequest("CloudFront takes RSA keys of 2048 bits and EC keys on P-256")


def generate_key_pair() -> tuple[bytes, bytes]:
    """Make an RSA-2048 key; returns the private and the public half in PEM."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return private, public


def _verified_policy(resource: str, fields: Mapping[str, str], public_keys: Mapping[str, PublicKey]) -> Policy:
    if "Policy" in fields:
        document = _decode(fields["Policy"], MAX_POLICY_BYTES)
        _verify_signature(document, fields, public_keys)
        policy = policies.read(document)
        if not covers(policy.resource, resource):
            raise BadSignature("the policy is for another resource")
        return policy
    expires = _field(fields, "Expires")
    if not _EPOCH.fullmatch(expires):
        raise BadSignature("Expires is not a whole number of seconds since the epoch")
    policy = Policy(resource, int(expires))
    _verify_signature(policies.canned(policy), fields, public_keys)
    return policy


def _verify_signature(document: bytes, fields: Mapping[str, str], public_keys: Mapping[str, PublicKey]) -> None:
    signature = _decode(_field(fields, "Signature"), MAX_SIGNATURE_BYTES)
    key = public_keys.get(_field(fields, "Key-Pair-Id"))
    if key is None:
        raise BadSignature("Key-Pair-Id is not in the trusted key group")
    digest = _HASHES.get(fields.get("Hash-Algorithm", "SHA1"))
    if digest is None:
        raise BadSignature(f"Hash-Algorithm is one of {', '.join(_HASHES)}")
    try:
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(signature, document, padding.PKCS1v15(), digest)
        else:
            key.verify(signature, document, ec.ECDSA(digest))
    except InvalidSignature as exc:
        raise BadSignature("the signature does not belong to this policy and key") from exc


def _split(url: str) -> tuple[str, list[tuple[str, str]]]:
    """Part a URL into what was asked for and the signing parameters."""
    base, mark, query = url.partition("?")
    kept: list[str] = []
    signing: list[tuple[str, str]] = []
    for part in query.split("&") if mark else ():
        name, _, value = part.partition("=")
        if name in SIGNING_PARAMETERS:
            signing.append((name, value))
        else:
            kept.append(part)
    return (f"{base}?{'&'.join(kept)}" if kept else base), signing


def _unique(signing: list[tuple[str, str]]) -> dict[str, str]:
    fields = dict(signing)
    if len(fields) != len(signing):
        raise BadSignature("a signing parameter was sent twice")
    return fields


def _cookie_fields(cookies: Mapping[str, str]) -> dict[str, str]:
    names = ((COOKIE_PREFIX + name, name) for name in SIGNING_PARAMETERS)
    return {name: cookies[cookie] for cookie, name in names if cookie in cookies}


def _as_cookies(fields: Mapping[str, str]) -> dict[str, str]:
    return {COOKIE_PREFIX + name: value for name, value in fields.items()}


def _field(fields: Mapping[str, str], name: str) -> str:
    if name not in fields:
        raise BadSignature(f"{name} is missing")
    return fields[name]


def _encode(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii").translate(_TO_CLOUDFRONT)


def _decode(text: str, max_bytes: int) -> bytes:
    if len(text) > (max_bytes + 2) // 3 * 4 or not _BASE64.fullmatch(text):
        raise BadSignature(f"not CloudFront's base64 of at most {max_bytes} bytes")
    try:
        return base64.b64decode(text.translate(_FROM_CLOUDFRONT), validate=True)
    except binascii.Error as exc:
        raise BadSignature("not CloudFront's base64") from exc


def _load_private_key(pem: bytes) -> PrivateKey:
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as exc:
        raise InvalidRequest("the signing key is not readable, unencrypted PEM") from exc
    if isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) and _is_taken(key.public_key()):
        return key
    raise InvalidRequest("CloudFront takes RSA keys of 2048 bits and EC keys on P-256")


def _is_taken(key: PublicKey) -> bool:
    return key.key_size == 2048 if isinstance(key, rsa.RSAPublicKey) else isinstance(key.curve, ec.SECP256R1)
