"""JSON Web Tokens signed with HMAC-SHA256. Only writes them; nothing here reads a token of others.

Source: RFC 7519; RFC 7515 (compact serialization); RFC 7518 section 3.2 (HS256).
"""

from __future__ import annotations

import base64
import hmac
import json

from penstock.model import JsonObject


def sign(claims: JsonObject, key: bytes, header: JsonObject | None = None) -> str:
    parts = ({"alg": "HS256", "typ": "JWT", **(header or {})}, claims)
    signed = ".".join(_base64url(json.dumps(part, separators=(",", ":")).encode()) for part in parts)
    return f"{signed}.{_base64url(hmac.digest(key, signed.encode(), 'sha256'))}"


def _base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
