"""Licenses of the Clear Key system: the request that a browser's CDM writes, and the answer with content keys.

Never decides who may have a key. Source: W3C Encrypted Media Extensions, section "Clear Key".
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping

from penstock.errors import InvalidRequest
from penstock.formats import strictjson
from penstock.model import ContentKey, KeyId

MAX_REQUEST_BYTES = 16 * 2**10
MAX_KEY_IDS = 64


def parse_request(body: bytes) -> list[KeyId]:
    """Read the key ids that a license is asked for, in their order, each once.

    Raises FormatError for what is not strict JSON, InvalidRequest for what is not a license request, asks for more
    than MAX_KEY_IDS keys, or wants a license to keep.
    """
    request = strictjson.loads(body, max_bytes=MAX_REQUEST_BYTES)
    if not isinstance(request, dict):
        raise InvalidRequest("a license request is a JSON object")
    if request.get("type", "temporary") != "temporary":
        raise InvalidRequest("only temporary licenses are given")
    kids = request.get("kids")
    if not isinstance(kids, list) or not 0 < len(kids) <= MAX_KEY_IDS:
        raise InvalidRequest(f"a license request has a list `kids` of 1 to {MAX_KEY_IDS} key ids")
    if not all(isinstance(kid, str) for kid in kids):
        raise InvalidRequest("a key id in `kids` is base64url text")
    return list(dict.fromkeys(KeyId.from_base64url(kid) for kid in kids))


def build_response(keys: Mapping[KeyId, ContentKey]) -> bytes:
    """Write the license, a JSON Web Key set. It holds the keys in clear: this is the one place they leave by."""
    license_ = {
        "keys": [{"kty": "oct", "kid": kid.base64url, "k": _base64url(key.reveal())} for kid, key in keys.items()],
        "type": "temporary",
    }
    return json.dumps(license_, separators=(",", ":")).encode("ascii")


def _base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")
