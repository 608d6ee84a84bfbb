"""What the edge sees of each playback session, counted and told to the control plane every few seconds.

Judges nothing, refuses nobody, and keeps no address: networks only. What cannot be told now is told later, as far as
there is room for it.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from localaws.edge.origins import HttpClient, OriginFailed
from localaws.edge.pace import Wish
from penstock.formats.timeline import Span

EVERY_S = 10.0
SESSIONS = 100_000
"""Most sessions observed at a time; more of them go unobserved until the next window."""
MOST_ADDRESSES = 32
BATCH = 1000
UNSENT = 20 * BATCH
IPV4_PREFIX, IPV6_PREFIX = 24, 48

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Seen:
    """One session in one window."""

    began: float
    segments: int = 0
    beacons: int = 0
    refused_pace: int = 0
    slot_s: float = 0.0
    files: set[tuple[str, int]] = field(default_factory=set)
    slots: set[int] = field(default_factory=set)
    networks: set[str] = field(default_factory=set)

    def told(self, session_id: str, now: float) -> dict[str, Any]:
        """As the control plane takes it."""
        return {
            "session_id": session_id,
            "window_s": round(max(0.0, now - self.began), 3),
            "segments": self.segments,
            "unique_segments": len(self.files),
            "renditions": len({rendition for rendition, _ in self.files}),
            "media_s": round(len(self.slots) * self.slot_s, 3),
            "beacons": self.beacons,
            "addresses": sorted(self.networks),
            "refused_pace": self.refused_pace,
        }


class Signals:
    """Counts, by session id."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._seen: dict[str, Seen] = {}

    def note(self, session_id: str, address: str, span: Span, wish: Wish, *, beacon: bool, refused: bool) -> None:
        """A request for media time, met or refused. beacon: the player said something of itself with it."""
        seen = self._seen.get(session_id)
        if seen is None:
            if len(self._seen) >= SESSIONS:
                return
            seen = self._seen[session_id] = Seen(self._clock())
        seen.beacons += beacon
        if len(seen.networks) < MOST_ADDRESSES:
            seen.networks.add(network_of(address))
        if refused:
            seen.refused_pace += 1
            return
        seen.segments += 1
        seen.slot_s = wish.slot_s
        seen.files.add((span.rendition, wish.first))
        if span.main:
            seen.slots.update(range(wish.first, wish.last + 1))

    def take(self) -> list[dict[str, Any]]:
        """Everything since the last time."""
        seen, self._seen = self._seen, {}
        now = self._clock()
        return [each.told(session_id, now) for session_id, each in seen.items()]


class Sender:
    """Tells what was seen, in batches; one task of the edge."""

    def __init__(
        self, signals: Signals, client: HttpClient, target: str, token_file: Path | None, every_s: float = EVERY_S
    ) -> None:
        self._signals = signals
        self._client = client
        self._target = target
        self._token_file = token_file
        self._every_s = every_s
        self._unsent: list[dict[str, Any]] = []

    async def run(self) -> None:
        silent = False
        while True:
            await asyncio.sleep(self._every_s)
            self._unsent = (self._unsent + self._signals.take())[-UNSENT:]
            try:
                while self._unsent:
                    await self._tell(self._unsent[:BATCH])
                    del self._unsent[:BATCH]
                silent = False
            except (OriginFailed, OSError) as exc:
                if not silent:
                    log.warning("what sessions do cannot be told: %s", exc)
                silent = True

    async def _tell(self, sessions: list[dict[str, Any]]) -> None:
        headers = [("host", self._client.authority), ("content-type", "application/json")]
        if self._token_file:
            headers.append(("authorization", f"Bearer {self._token_file.read_text().strip()}"))
        body = json.dumps({"sessions": sessions}).encode()
        response = await self._client.send("POST", self._target, headers, body)
        await response.aclose()
        if not response.is_success:
            raise OriginFailed(502, f"the answer was {response.status_code}")


@lru_cache(maxsize=4096)
def network_of(address: str) -> str:
    """The network of an address, as large as one household or company; what is no address stays as it is."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    length = IPV4_PREFIX if (mapped or found).version == 4 else IPV6_PREFIX
    return str(ipaddress.ip_network(f"{mapped or found}/{length}", strict=False))
