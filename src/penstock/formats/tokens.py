"""Playback session tokens: CBOR Web Tokens in COSE_Mac0 with HS256. Never looks at a clock.

A token of ours has exactly one spelling, so verifying needs no parser: the frame is rebuilt and compared, and no CBOR
is decoded before its MAC has been verified.
Source: RFC 8392 (CWT), RFC 9052 sections 6.2 and 6.3 (COSE_Mac0), RFC 9053 section 3.1 (HS256).
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

import cbor2

from penstock.errors import BadSignature, InvalidRequest, SessionExpired
from penstock.formats import binding as bindings
from penstock.formats.binding import UNBOUND, Binding

MAX_TOKEN_CHARS = 1024
"""CloudFront Functions verify the same tokens, up to this size."""

MIN_KEY_BYTES = 32
AHEAD_S = 60
"""So much may the clock that a token was issued by be ahead of the one that it is judged by."""

_PROTECTED = cbor2.dumps({1: 5})  # alg: HMAC 256/256
_MAC_CONTEXT = b"\x84" + cbor2.dumps("MAC0") + cbor2.dumps(_PROTECTED) + cbor2.dumps(b"")
_TAG_HEAD = b"\x58\x20"  # a byte string of 32 bytes follows
_TAG_BYTES = 32
_Read = TypeVar("_Read", "Claims", "PathClaims")


class _Label:
    """Names of CWT claims on the wire (RFC 8392 section 4; CTA-5007 for the addresses a token opens)."""

    SUBJECT = 2
    EXPIRES = 4
    ISSUED = 6
    TOKEN_ID = 7
    ADDRESS = 312  # catu
    PATH = 3
    PREFIX = 1
    SESSION = -65537  # for private use, RFC 8392 section 9.1
    SERIAL = 1
    PACE_KEY = 2
    SPEED_PERCENT = 3
    MANIFESTS = 4


@dataclass(frozen=True)
class Claims:
    """What a token says: one playback session of one asset. Times in seconds since the epoch.

    On the wire: cti is the session id in UTF-8, sub the asset id, exp and iat the times.
    """

    session_id: str
    asset_id: str
    expires: int
    issued: int


@dataclass(frozen=True)
class PathClaims:
    """What a path token says: one playback session, and what its holder may fetch. Times in seconds since the epoch.

    On the wire: cti is the session id in UTF-8, catu the beginning of the paths, exp and iat the times; what the edge
    needs to know of the session is a private claim, what it is bound to another one (`binding`).
    path: percent-decoded, from its first slash to the last one of the folder.
    serial: of the session; its signed cookies begin at that moment. pace_key: the same for all sessions of this viewer
    and asset, None for who is not paced. speed: how much faster than normal media time may be fetched.
    manifests: their names in the folder, which tell the media time of every file.
    """

    session_id: str
    path: str
    expires: int
    issued: int
    serial: int | None = None
    pace_key: bytes | None = None
    speed: float = 1.0
    manifests: tuple[str, ...] = ()
    binding: Binding = UNBOUND


def mint(claims: Claims, key: bytes, key_id: str) -> str:
    """Write a token in base64url without padding; raises InvalidRequest when key is short or token long."""
    return _mint({_Label.SUBJECT: claims.asset_id}, claims, key, key_id)


def mint_path(claims: PathClaims, key: bytes, key_id: str) -> str:
    """Write a path token, as `mint` does."""
    told: dict[int, object] = {_Label.ADDRESS: {_Label.PATH: {_Label.PREFIX: claims.path}}}
    if session := _session_members(claims):
        told[_Label.SESSION] = session
    return _mint({**told, **bindings.claims(claims.binding)}, claims, key, key_id)


def _session_members(claims: PathClaims) -> dict[int, object]:
    members: dict[int, object] = {}
    if claims.serial is not None:
        members[_Label.SERIAL] = claims.serial
    if claims.pace_key is not None:
        members[_Label.PACE_KEY] = claims.pace_key
        members[_Label.SPEED_PERCENT] = round(claims.speed * 100)
        members[_Label.MANIFESTS] = list(claims.manifests)
    return members


def _mint(subject: Mapping[int, object], claims: Claims | PathClaims, key: bytes, key_id: str) -> str:
    _check_key(key)
    payload = cbor2.dumps(
        {
            **subject,
            _Label.EXPIRES: claims.expires,
            _Label.ISSUED: claims.issued,
            _Label.TOKEN_ID: claims.session_id.encode(),
        },
        canonical=True,
    )
    framed = cbor2.dumps(payload)
    token = _encode(_frame(key_id) + framed + _TAG_HEAD + _mac(key, framed))
    if len(token) > MAX_TOKEN_CHARS:
        raise InvalidRequest(f"the token has {len(token)} characters, at most {MAX_TOKEN_CHARS} are taken")
    return token


def verify(token: str, keys: Mapping[str, bytes], now: float) -> Claims:
    """Read a token made with one of `keys` (by key id) that is still good at `now` (seconds since the epoch).

    Raises BadSignature for anything that `mint` has not written, SessionExpired for what it wrote too long ago.
    """
    match _payload(token, keys):
        case {_Label.SUBJECT: str(asset_id), **common}:
            session_id, expires, issued = _common(common)
            return _current(Claims(session_id, asset_id, expires, issued), now)
    raise BadSignature("the token is not one of a playback session")


def verify_path(token: str, keys: Mapping[str, bytes], now: float) -> PathClaims:
    """Read a path token made with one of `keys`, as `verify` does."""
    match _payload(token, keys):
        case {_Label.ADDRESS: dict(address), **common}:
            match address:  # a restriction that is not understood would be one that is not held
                case {_Label.PATH: {_Label.PREFIX: str(path), **more}, **others} if not more and not others:
                    return _current(_path_claims(path, common), now)
    raise BadSignature("the token is not a path token")


def _path_claims(path: str, claims: Mapping[object, object]) -> PathClaims:
    bound = bindings.read(claims)
    told = claims.get(_Label.SESSION)
    ours = {_Label.SESSION, bindings.BINDING, bindings.CONFIRMATION}
    session_id, expires, issued = _common({label: value for label, value in claims.items() if label not in ours})
    plain = PathClaims(session_id, path, expires, issued, binding=bound)
    match told:
        case None:
            return plain
        case {_Label.SERIAL: int(serial), **more} if not more:
            return replace(plain, serial=serial)
        case {
            _Label.SERIAL: int(serial),
            _Label.PACE_KEY: bytes(pace_key),
            _Label.SPEED_PERCENT: int(percent),
            _Label.MANIFESTS: list(manifests),
            **more,
        } if not more and percent > 0 and all(isinstance(name, str) for name in manifests):
            return replace(
                plain, serial=serial, pace_key=pace_key, speed=percent / 100, manifests=tuple(map(str, manifests))
            )
    raise BadSignature("the token says something of its session that is not understood")


def _current(claims: _Read, now: float) -> _Read:
    if now >= claims.expires:
        raise SessionExpired("the playback session is over; ask for a new one")
    if claims.issued > now + AHEAD_S:
        raise BadSignature("the token is of the future; is the clock of this machine right?")
    return claims


def _verified_payload(raw: bytes, keys: Mapping[str, bytes]) -> bytes:
    content, tag_head, tag = raw[: -_TAG_BYTES - 2], raw[-_TAG_BYTES - 2 : -_TAG_BYTES], raw[-_TAG_BYTES:]
    for key_id, key in keys.items():
        _check_key(key)
        frame = _frame(key_id)
        framed = content[len(frame) :]
        if content.startswith(frame) and tag_head == _TAG_HEAD and hmac.compare_digest(_mac(key, framed), tag):
            return framed
    raise BadSignature("the token was not made with a key of ours, or was changed")


def _frame(key_id: str) -> bytes:
    """Everything before the payload: COSE_Mac0's tag, an array of four, the protected and the unprotected header."""
    return b"\xd1\x84" + cbor2.dumps(_PROTECTED) + cbor2.dumps({4: key_id.encode()})


def _mac(key: bytes, framed_payload: bytes) -> bytes:
    return hmac.digest(key, _MAC_CONTEXT + framed_payload, "sha256")


def _payload(token: str, keys: Mapping[str, bytes]) -> object:
    """Decode what has a good MAC; another kind of content under the same key is none of ours."""
    framed = _verified_payload(_decode(token), keys)
    try:
        return cbor2.loads(cbor2.loads(framed))
    except (cbor2.CBORDecodeError, TypeError, ValueError, ArithmeticError, RecursionError) as exc:
        # Tags of dates, fractions and the like make values that no token of ours has, or fail to.
        raise BadSignature("the token is not one of a playback session") from exc


def _common(claims: Mapping[object, object]) -> tuple[str, int, int]:
    match claims:
        case {_Label.EXPIRES: int(expires), _Label.ISSUED: int(issued), _Label.TOKEN_ID: bytes(session_id), **others}:
            if not others:
                return _text(session_id), expires, issued
    raise BadSignature("the token is not one of a playback session")


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as exc:
        raise BadSignature("the token is not one of a playback session") from exc


def _check_key(key: bytes) -> None:
    if len(key) < MIN_KEY_BYTES:
        raise InvalidRequest(f"a token key has at least {MIN_KEY_BYTES} bytes, got {len(key)}")


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")


def _decode(token: str) -> bytes:
    if len(token) > MAX_TOKEN_CHARS:
        raise BadSignature(f"a token has at most {MAX_TOKEN_CHARS} characters")
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as exc:
        raise BadSignature("the token is not base64url") from exc
    if _encode(raw) != token:  # spare bits in the last character would make two spellings of one token
        raise BadSignature("the token is not base64url")
    return raw
