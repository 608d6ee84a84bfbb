"""Path tokens: `/t/<token>/<path>` opens what a signed cookie opens, for players that keep no cookies.

The token is a CWT of one playback session (penstock.formats.tokens); what follows it is judged, served and cached as if
it had come alone. The same token goes beside a session's signed cookies, as the cookie Penstock-Session: a policy has
no room for what else the edge has to know of a session. CloudFront: the viewer-request function in penstock/deploy.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import lru_cache

from localaws.edge.authorize import REVOKED, cookies_of
from localaws.edge.revocations import Revocations
from penstock.errors import BadSignature, SessionExpired
from penstock.formats.cookies import SESSION_COOKIE
from penstock.formats.tokens import PathClaims, verify_path

PREFIX = "/t/"
REMEMBERED = 2048


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
        remembered: int = REMEMBERED,
    ) -> None:
        """keys: by key id. clock: seconds since the epoch. remembered: most tokens kept in memory."""
        self._keys = keys
        self._revocations = revocations
        self._clock = clock
        self._bound = remembered
        self._claims: dict[str, PathClaims] = {}

    def judge(self, token: str, path: str) -> PathClaims | str:
        """The claims of a token that opens `path`, else why it does not, for the log alone."""
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
        if not claims.path.endswith("/") or not path.startswith(claims.path):
            return "the path token is for other paths"
        return claims

    def beside(self, cookie_header: str, serial: int, path: str) -> PathClaims | str:
        """The claims of the token that came beside signed cookies whose policy has `serial`, else why it is none."""
        token = _token_beside(cookie_header)
        if token is None:
            return f"signed cookies of a session without one {SESSION_COOKIE}"
        claims = self.judge(token, path)
        if isinstance(claims, PathClaims) and claims.serial != serial:
            return f"the {SESSION_COOKIE} is of another session than the policy"
        return claims

    def _remember(self, token: str, claims: PathClaims) -> None:
        if len(self._claims) >= self._bound:
            del self._claims[next(iter(self._claims))]
        self._claims[token] = claims


@lru_cache(maxsize=REMEMBERED)
def _token_beside(cookie_header: str) -> str | None:
    """The one token in a Cookie header; None where there is none, or two that differ."""
    tokens = {value for name, value in cookies_of(cookie_header) if name == SESSION_COOKIE}
    return tokens.pop() if len(tokens) == 1 else None
