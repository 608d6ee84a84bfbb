"""What the edge itself says: errors in the one JSON shape, and the CORS headers of the media.

Never tells why a request was refused, or what an origin said.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterable
from typing import Any

Headers = list[tuple[str, str]]

SERVER = ("server", "localaws")
COMMON: Headers = [
    SERVER,
    ("x-content-type-options", "nosniff"),
    # The bucket shares its origin with the pages that hold API keys: whatever is in it must not run there.
    ("content-security-policy", "default-src 'none'; img-src 'self'; media-src 'self'; sandbox"),
    ("referrer-policy", "no-referrer"),
]

TOO_FAST = 429
_ERRORS = {
    400: ("invalid_request", "The request cannot be understood."),
    403: ("forbidden", "Nothing to see here without a valid playback session."),
    405: ("method_not_allowed", "This method is not allowed here."),
    408: ("request_timeout", "The request's body did not arrive in time."),
    413: ("request_too_large", "The request's body is larger than 10 MiB; files are uploaded straight to S3."),
    TOO_FAST: ("too_fast", "This film was fetched faster than anybody watches; go on after Retry-After seconds."),
    431: ("headers_too_large", "The request's headers are too large."),
    500: ("internal_error", "Something went wrong in the edge; its log knows more."),
    502: ("upstream_error", "The server behind the edge cannot be reached or broke off."),
    503: ("unavailable", "The edge has no room left on its disk; try again later."),
    504: ("upstream_timeout", "The server behind the edge did not answer in time."),
}
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_NOT_IN_HEADERS = re.compile(r"[^\t\x20-\x7e]")


def refuse(protocol: Any, status: int, method: str, extra: Iterable[tuple[str, str]] = ()) -> int:
    """Answer with an error and return its status. 403 is the same to the byte whatever the reason was."""
    code, message = _ERRORS[status]
    request_id = None if status == 403 else uuid.uuid4().hex
    body = json.dumps({"error": {"code": code, "message": message, "request_id": request_id}})
    headers = [
        *COMMON,
        ("content-type", "application/json"),
        ("content-length", str(len(body))),
        ("cache-control", "no-store"),
        *extra,
    ]
    if method == "HEAD":
        protocol.response_empty(status, headers)
    else:
        protocol.response_str(status, headers, body)
    return status


class CrossOrigin:
    """CORS with credentials, for the origins (scheme://host[:port]) in the configuration and no others."""

    def __init__(self, allowed_origins: Iterable[str]) -> None:
        self._none: Headers = [("vary", "origin")]
        self._allowed = {origin.rstrip("/").lower(): self._headers(origin.rstrip("/")) for origin in allowed_origins}

    def headers(self, origin: str | None) -> Headers:
        """The headers of any answer about media to a page of `origin` (None: no such header was sent)."""
        return self._none if origin is None else self._allowed.get(origin.lower(), self._none)

    def preflight(self, origin: str | None) -> Headers:
        """The headers that answer OPTIONS; a browser sends no cookies with it, so it tells nothing about paths."""
        headers = [*COMMON, ("allow", "GET, HEAD, OPTIONS"), ("cache-control", "no-store"), *self.headers(origin)]
        if len(self.headers(origin)) > 1:
            conditions = "if-match, if-modified-since, if-none-match, if-range, if-unmodified-since"
            cmcd = "cmcd-object, cmcd-request, cmcd-session, cmcd-status"
            headers += [
                ("access-control-allow-methods", "GET, HEAD, OPTIONS"),
                (
                    "access-control-allow-headers",
                    f"cache-control, {cmcd}, content-type, dpop, range, {conditions}",
                ),
                ("access-control-max-age", "3000"),
            ]
        return headers

    def _headers(self, origin: str) -> Headers:
        return [
            *self._none,
            ("access-control-allow-origin", origin),
            ("access-control-allow-credentials", "true"),
            ("access-control-expose-headers", "accept-ranges, content-length, content-range, date, etag, retry-after"),
        ]


def sendable(name: str, value: str) -> tuple[str, str] | None:
    """Make a header that the server takes: it gives up on a name or a value outside of ASCII. None drops it."""
    if not _HEADER_NAME.fullmatch(name):
        return None
    return name.lower(), _NOT_IN_HEADERS.sub("?", value)
