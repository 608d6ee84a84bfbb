"""Signatures of webhooks: an HMAC over an id, a time and the body. Never looks at a clock, never logs a secret.

Source: Standard Webhooks 1.0.0, symmetric signatures
(https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md).
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Iterable, Mapping

from penstock.errors import BadSignature, InvalidRequest

ID, TIMESTAMP, SIGNATURE = "webhook-id", "webhook-timestamp", "webhook-signature"
PREFIX = "whsec_"
SECRET_BYTES = range(24, 65)
TOLERANCE_S = 300
"""How far the clocks of sender and receiver may be apart; what is older may be a replay."""
_VERSION = "v1,"


def write_secret(raw: bytes) -> str:
    """The spelling of a secret: `whsec_` and base64."""
    return PREFIX + base64.b64encode(raw).decode()


def read_secret(secret: str) -> bytes:
    """Raises InvalidRequest, which does not repeat the secret."""
    try:
        raw = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError) as exc:
        raise InvalidRequest("a webhook's secret is whsec_ and base64") from exc
    if len(raw) not in SECRET_BYTES:
        raise InvalidRequest(f"a webhook's secret has 24 to 64 bytes, got {len(raw)}")
    return raw


def sign(secrets: Iterable[str], message_id: str, timestamp_s: int, body: bytes) -> dict[str, str]:
    """The three headers of a webhook. Several secrets, newest first, while one takes the place of another."""
    signatures = [_VERSION + _mac(read_secret(secret), message_id, str(timestamp_s), body) for secret in secrets]
    return {ID: message_id, TIMESTAMP: str(timestamp_s), SIGNATURE: " ".join(signatures)}


def verify(secret: str, headers: Mapping[str, str], body: bytes, now_s: float, tolerance_s: int = TOLERANCE_S) -> str:
    """The id of a webhook that is ours and fresh; the same id again is the same webhook again.

    headers: names in any case. Raises BadSignature, InvalidRequest for a secret that is none.
    """
    given = {name.lower(): value for name, value in headers.items()}
    message_id, timestamp, signatures = (given.get(name, "") for name in (ID, TIMESTAMP, SIGNATURE))
    if not (message_id and timestamp and signatures):
        raise BadSignature(f"a webhook has the headers {ID}, {TIMESTAMP} and {SIGNATURE}")
    wanted = _mac(read_secret(secret), message_id, timestamp, body).encode()
    offered = [text.removeprefix(_VERSION) for text in signatures.split(" ") if text.startswith(_VERSION)]
    if not any([hmac.compare_digest(wanted, text.encode("utf-8", "surrogatepass")) for text in offered]):  # noqa: C419
        raise BadSignature("the webhook's signature does not hold")
    if not (timestamp.isascii() and timestamp.isdigit() and abs(now_s - int(timestamp[:15])) <= tolerance_s):
        raise BadSignature(f"the webhook is not of the last {tolerance_s} seconds; are both clocks right?")
    return message_id


def _mac(secret: bytes, message_id: str, timestamp: str, body: bytes) -> str:
    signed = f"{message_id}.{timestamp}.".encode("utf-8", "surrogatepass") + body
    return base64.b64encode(hmac.digest(secret, signed, "sha256")).decode()
