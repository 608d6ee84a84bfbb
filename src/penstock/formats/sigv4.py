"""AWS Signature Version 4, verifying side: the Authorization header, and the query form of presigned requests.

Signs the request again with the secret that belongs to the access key id, and compares. Never looks at a clock, and of
the body sees only the SHA-256.
Source: AWS General Reference, "AWS Signature Version 4 for API requests".
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from urllib.parse import quote, unquote_to_bytes

from penstock.errors import BadSignature

ALGORITHM = "AWS4-HMAC-SHA256"
MAX_SKEW = timedelta(minutes=5)
MAX_PRESIGNED_S = 7 * 86400
MAX_URL_CHARS = 32768
UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"

_TIMESTAMP = "%Y%m%dT%H%M%SZ"
_WORD = r"[!-.0-~]{1,128}"  # visible ASCII but the slash
_SCOPE = re.compile(rf"(?P<id>{_WORD})/(?P<day>[0-9]{{8}})/(?P<region>{_WORD})/(?P<service>{_WORD})/aws4_request")
_SIGNATURE = re.compile(r"[0-9a-f]{64}")
_EXPIRES = re.compile(r"[0-9]{1,6}")
_UNRESERVED = "-_.~"


@dataclass(frozen=True)
class Credential:
    """Who signed, and for which day, region and service: the credential scope of a request."""

    access_key_id: str
    day: str
    region: str
    service: str


@dataclass(frozen=True)
class _Claim:
    """What a request says of its own signature."""

    credential: Credential
    signed_at: datetime
    signed_headers: tuple[str, ...]
    signature: str
    lifetime: timedelta | None
    """How long a presigned request is good; None for the Authorization header."""


def credential(*, url: str, headers: Mapping[str, str]) -> Credential:
    """Read who claims to have signed a request, without verifying it; raises BadSignature when nobody does."""
    return _claim(_query(url), _lower(headers)).credential


def verify(
    *,
    method: str,
    url: str,
    headers: Mapping[str, str],
    body_sha256: str,
    secrets: Mapping[str, str],
    now: datetime,
    service: str | None = None,
) -> str:
    """Verify a request and return the access key id that signed it.

    url: as sent, percent-encoded, with or without scheme and host. headers: as sent, their bytes read as Latin-1; a
    multi-mapping may name one twice. body_sha256: hexadecimal, of the body received.
    secrets: secret access key by access key id. service: refuse credentials scoped to another one.
    Raises BadSignature with the reason; the clock of the sender may be MAX_SKEW off.
    """
    query, fields = _query(url), _lower(headers)
    claim = _claim(query, fields)
    if service is not None and claim.credential.service != service:
        raise BadSignature(f"signed for the service {claim.credential.service!r}, not for {service!r}")
    _check_time(claim, now)
    _check_signed_headers(claim, fields)
    secret = secrets.get(claim.credential.access_key_id)
    if secret is None:
        raise BadSignature("the access key id is not known")
    request = "\n".join(
        [
            method.upper(),
            _canonical_path(url, claim.credential.service),
            _canonical_query(query),
            *(f"{name}:{' '.join(fields[name].split())}" for name in claim.signed_headers),
            "",
            ";".join(claim.signed_headers),
            _payload_hash(claim, fields, body_sha256),
        ]
    )
    if not hmac.compare_digest(_signature(claim, secret, request), claim.signature):
        raise BadSignature("the signature does not match the request")
    return claim.credential.access_key_id


def _claim(query: list[tuple[str, str]], headers: Mapping[str, str]) -> _Claim:
    presigned = any(name == "X-Amz-Signature" for name, _ in query)
    if presigned and "authorization" in headers:
        raise BadSignature("signed twice, in the query and in the Authorization header")
    return _query_claim(query) if presigned else _header_claim(headers)


def _header_claim(headers: Mapping[str, str]) -> _Claim:
    scheme, _, rest = headers.get("authorization", "").partition(" ")
    if scheme != ALGORITHM:
        raise BadSignature(f"no Authorization header of the form {ALGORITHM} Credential=, SignedHeaders=, Signature=")
    members = (part.strip().partition("=") for part in rest.split(","))
    parts = _unique([(name, value) for name, _, value in members])
    return _build_claim(
        scope=_required(parts, "Credential"),
        signed_at=_timestamp(_required(headers, "x-amz-date")),
        signed_headers=_required(parts, "SignedHeaders"),
        signature=_required(parts, "Signature"),
    )


def _query_claim(query: list[tuple[str, str]]) -> _Claim:
    parts = _unique([(name, value) for name, value in query if name.startswith("X-Amz-")])
    if _required(parts, "X-Amz-Algorithm") != ALGORITHM:
        raise BadSignature(f"X-Amz-Algorithm is {ALGORITHM}")
    expires = _required(parts, "X-Amz-Expires")
    if not _EXPIRES.fullmatch(expires) or not 0 < int(expires) <= MAX_PRESIGNED_S:
        raise BadSignature(f"X-Amz-Expires is a whole number of seconds from 1 to {MAX_PRESIGNED_S}")
    return _build_claim(
        scope=_required(parts, "X-Amz-Credential"),
        signed_at=_timestamp(_required(parts, "X-Amz-Date")),
        signed_headers=_required(parts, "X-Amz-SignedHeaders"),
        signature=_required(parts, "X-Amz-Signature"),
        lifetime=timedelta(seconds=int(expires)),
    )


def _build_claim(
    *, scope: str, signed_at: datetime, signed_headers: str, signature: str, lifetime: timedelta | None = None
) -> _Claim:
    match = _SCOPE.fullmatch(scope)
    if match is None:
        raise BadSignature("the credential is of the form access-key-id/yyyymmdd/region/service/aws4_request")
    if match["day"] != signed_at.strftime("%Y%m%d"):
        raise BadSignature("the credential is scoped to another day than the request's date")
    if not _SIGNATURE.fullmatch(signature):
        raise BadSignature("the signature is not 64 digits of lower-case hexadecimal")
    return _Claim(
        Credential(match["id"], match["day"], match["region"], match["service"]),
        signed_at,
        tuple(signed_headers.split(";")),
        signature,
        lifetime,
    )


def _check_time(claim: _Claim, now: datetime) -> None:
    if claim.signed_at > now + MAX_SKEW:
        raise BadSignature("the request was signed in the future; compare the clocks")
    if now >= claim.signed_at + (claim.lifetime or MAX_SKEW):
        raise BadSignature("the request has expired, or the clocks differ")


def _check_signed_headers(claim: _Claim, headers: Mapping[str, str]) -> None:
    """Refuse headers that steer the request but that somebody on the way could have written."""
    signed = set(claim.signed_headers)
    if "host" not in signed:
        raise BadSignature("the Host header is not signed")
    for name in sorted(signed - headers.keys()):
        raise BadSignature(f"the signed header {name[:64]!r} was not sent")
    for name in sorted(headers.keys() - signed):
        if name.startswith("x-amz-"):
            raise BadSignature(f"the header {name[:64]!r} was sent but not signed")


def _payload_hash(claim: _Claim, headers: Mapping[str, str], body_sha256: str) -> str:
    # S3 alone leaves the body of a presigned request unsigned: whoever presigns does not know it yet.
    if claim.lifetime is not None and claim.credential.service == "s3":
        return UNSIGNED_PAYLOAD
    if headers.get("x-amz-content-sha256", body_sha256) != body_sha256:
        raise BadSignature("the body is not the one that was signed")
    return body_sha256


def _signature(claim: _Claim, secret: str, canonical_request: str) -> str:
    signer = claim.credential
    key = f"AWS4{secret}".encode()
    for part in (signer.day, signer.region, signer.service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    to_sign = "\n".join(
        [
            ALGORITHM,
            claim.signed_at.strftime(_TIMESTAMP),
            f"{signer.day}/{signer.region}/{signer.service}/aws4_request",
            sha256(_wire_bytes(canonical_request)).hexdigest(),
        ]
    )
    return hmac.digest(key, to_sign.encode(), "sha256").hex()


def _wire_bytes(text: str) -> bytes:
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError as exc:
        raise BadSignature("a header holds characters that no header can hold") from exc


def _canonical_path(url: str, service: str) -> str:
    """Every service but S3 encodes the path of the wire a second time, after dot segments and empty ones are gone."""
    path = _path_and_query(url)[0]
    if service == "s3":
        return path
    segments: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            del segments[-1:]
        elif segment not in ("", "."):
            segments.append(segment)
    slash = "/" if segments and path.endswith("/") else ""
    return quote("/" + "/".join(segments) + slash, safe="/" + _UNRESERVED)


def _canonical_query(query: list[tuple[str, str]]) -> str:
    encoded = ((_quote(name), _quote(value)) for name, value in query if name != "X-Amz-Signature")
    return "&".join(f"{name}={value}" for name, value in sorted(encoded))


def _query(url: str) -> list[tuple[str, str]]:
    if len(url) > MAX_URL_CHARS or not url.isascii():
        raise BadSignature(f"the URL is not percent-encoded ASCII of at most {MAX_URL_CHARS} characters")
    pairs = (part.partition("=") for part in _path_and_query(url)[1].split("&") if part)
    return [(_unquote(name), _unquote(value)) for name, _, value in pairs]


# Latin-1 is a name for "these very bytes": whatever a client has percent-encoded encodes back to the same.
def _unquote(text: str) -> str:
    return unquote_to_bytes(text).decode("latin-1")


def _quote(text: str) -> str:
    return quote(text, safe=_UNRESERVED, encoding="latin-1")


def _path_and_query(url: str) -> tuple[str, str]:
    resource, _, query = url.partition("?")
    _, scheme, rest = resource.partition("://")
    path = "/" + rest.partition("/")[2] if scheme else resource
    return path or "/", query


def _timestamp(text: str) -> datetime:
    try:
        return datetime.strptime(text, _TIMESTAMP).replace(tzinfo=UTC)
    except ValueError as exc:
        raise BadSignature("the date of a request is of the form yyyymmddThhmmssZ") from exc


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    """Lower the names. A name sent twice has both values, so that nobody can add one beside the signed one."""
    lowered: dict[str, str] = {}
    for name, value in headers.items():
        key = name.lower()
        lowered[key] = f"{lowered[key]},{value}" if key in lowered else value
    return lowered


def _unique(pairs: list[tuple[str, str]]) -> dict[str, str]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise BadSignature("a part of the signature was sent twice")
    return members


def _required(parts: Mapping[str, str], name: str) -> str:
    if name not in parts:
        raise BadSignature(f"{name} is missing")
    return parts[name]
