"""Path tokens: `/t/<token>/<path>` opens what a signed cookie opens, for players that keep no cookies.

The token is a CWT of one playback session (penstock.formats.tokens); what follows it is judged, served and cached as if
it had come alone. CloudFront: the viewer-request function in penstock/deploy does the same.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from localaws.edge.authorize import REVOKED
from localaws.edge.revocations import Revocations
from penstock.errors import BadSignature, SessionExpired
from penstock.formats.tokens import PathClaims, verify_path

PREFIX = "/t/"


def split(path: str) -> tuple[str | None, str]:
    """Part a clean path into the token in it, None for a path without one, and the path that is asked for."""
    if not path.startswith(PREFIX):
        return None, path
    token, slash, rest = path[len(PREFIX) :].partition("/")
    return token, slash + rest


def without_token(path: str) -> str:
    """The path as a log may have it."""
    token, rest = split(path)
    return path if token is None else f"{PREFIX}...{rest}"


class PathTokens:
    """Judges path tokens, and remembers those whose MAC it has verified."""

    def __init__(
        self,
        keys: Mapping[str, bytes],
        revocations: Revocations,
        *,
        clock: Callable[[], float] = time.time,
        remembered: int = 2048,
    ) -> None:
        """keys: by key id. clock: seconds since the epoch. remembered: most tokens kept in memory."""
        self._keys = keys
        self._revocations = revocations
        self._clock = clock
        self._bound = remembered
        self._claims: dict[str, PathClaims] = {}

    def refusal(self, token: str, path: str) -> str | None:
        """Say why a token does not open `path`, for the log alone; None when it does."""
        if not self._revocations.known:
            return "it is not known yet who was revoked"
        claims = self._claims.get(token)
        if claims is None:
            try:
                claims = verify_path(token, self._keys, self._clock())
            except (BadSignature, SessionExpired) as exc:
                return exc.message
            self._remember(token, claims)
        if self._clock() >= claims.expires:
            return "the path token has expired"
        if claims.session_id in self._revocations.sessions:
            return REVOKED
        return (
            None if claims.path.endswith("/") and path.startswith(claims.path) else "the path token is for other paths"
        )

    def _remember(self, token: str, claims: PathClaims) -> None:
        if len(self._claims) >= self._bound:
            del self._claims[next(iter(self._claims))]
        self._claims[token] = claims
