"""Whether a request of a signed behavior may pass: signature, session, what the session is bound to, proof of its key.

Never asks an origin and never says why to anybody but the log.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from localaws.edge.authorize import Authorizer
from localaws.edge.path_tokens import PathTokens
from penstock.errors import BadSignature
from penstock.formats.binding import Viewer
from penstock.formats.cookies import SERIALS
from penstock.formats.dpop import Proof, Proofs
from penstock.formats.tokens import PathClaims


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request says of itself. token, path: parted from each other; urls: spellings of its whole address."""

    method: str
    token: str | None
    path: str
    urls: Sequence[str]
    headers: Any
    viewer: Viewer


@dataclass(frozen=True, slots=True)
class Admitted:
    """claims: of the playback session, None for what was signed outside of one. proof: the one that is used up."""

    claims: PathClaims | None = None
    proof: Proof | None = None


class Admission:
    """Judges requests, whichever way they are signed."""

    def __init__(self, path_tokens: PathTokens | None, *, clock: Callable[[], float] = time.time) -> None:
        """path_tokens: None takes no tokens, and cookies without one beside them."""
        self._path_tokens = path_tokens
        self._proofs = Proofs()
        self._clock = clock

    def judge(self, authorizer: Authorizer, asked: Asked) -> Admitted | str:
        """What a request was admitted by, else why it is not, for the log alone."""
        claims = self._claims(authorizer, asked)
        if not isinstance(claims, PathClaims):
            return claims if isinstance(claims, str) else Admitted()
        if reason := claims.binding.refusal(asked.viewer):
            return reason
        if claims.binding.key_thumbprint is None:
            return Admitted(claims)
        try:
            return Admitted(claims, self._proof(claims.binding.key_thumbprint, asked))
        except BadSignature as exc:
            return exc.message

    def unmet(self, admitted: Admitted) -> None:
        """An admitted request got nothing: the viewer may send its proof again."""
        if admitted.proof is not None:
            self._proofs.give_back(admitted.proof)

    def _claims(self, authorizer: Authorizer, asked: Asked) -> PathClaims | str | None:
        if asked.token is not None and self._path_tokens:
            return self._path_tokens.judge(asked.token, asked.path)
        cookies = asked.headers.get_all("cookie")
        header = cookies[0] if len(cookies) == 1 else "; ".join(cookies)
        policy = authorizer.judge(asked.urls, header, asked.viewer.address)
        if isinstance(policy, str):
            return policy
        if self._path_tokens is None or policy.not_before is None or policy.not_before not in SERIALS:
            return None
        return self._path_tokens.beside(header, policy.not_before, asked.path)

    def _proof(self, thumbprint: str, asked: Asked) -> Proof:
        sent = asked.headers.get_all("dpop")
        if len(sent) > 1:
            raise BadSignature("more than one DPoP proof was sent")
        return self._proofs.take(
            sent[0] if sent else None,
            method=asked.method,
            urls=[url.partition("?")[0] for url in asked.urls],
            thumbprint=thumbprint,
            now=self._clock(),
        )
