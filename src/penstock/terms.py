"""What a playback session was opened with beside its viewer and asset: how fast it may play, what it is bound to. Pure.

Never holds a user agent or a key: a hash of the one, and whether the other has to be proved.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from penstock.entries import Session
from penstock.errors import InvalidRequest
from penstock.formats import binding
from penstock.formats.binding import Binding


@dataclass(frozen=True)
class Terms:
    """playback_rate: the fastest that a player may offer. user_agent_sha256: in hex, of the header.

    proof: every request has to be signed by the key of the browser that claims the session first (`dpop`).
    Raises InvalidRequest naming the member that cannot be used.
    """

    playback_rate: float = 1.0
    network: str | None = None
    asn: int | None = None
    country: str | None = None
    user_agent_sha256: str | None = None
    proof: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.playback_rate <= 4:
            raise InvalidRequest("the playback rate of a session is between 1 and 4")
        self.binding(None)

    def binding(self, key_thumbprint: str | None) -> Binding:
        """What tokens say; key_thumbprint: of the key that the session was claimed with."""
        user_agent = bytes.fromhex(self.user_agent_sha256) if self.user_agent_sha256 else None
        return Binding(self.network, self.asn, self.country, user_agent, key_thumbprint)

    def stored(self) -> dict[str, Any]:
        """For the row of a session: only what is not usual."""
        return {name: value for name, value in asdict(self).items() if value != getattr(USUAL, name)}


USUAL = Terms()


def of(session: Session) -> Terms:
    return Terms(**(session.terms or {}))


def hash_of(user_agent: str | None) -> str | None:
    return None if user_agent is None else binding.hash_of(user_agent).hex()
