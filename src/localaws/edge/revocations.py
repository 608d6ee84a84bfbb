"""Which playback sessions were ended before what was signed for them expires; asked for once a second.

The list is whole each time, so that nothing missed is missed for good. While it has not come even once, nobody is let
in; once it has, the last one holds for as long as its teller is away, for only the teller can end a session.
CloudFront: a key value store that the control plane writes to, read by a function. See docs/decisions/0008.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from localaws.edge.origins import HttpClient, OriginFailed, translated

INTERVAL_S = 1.0
MAX_BYTES = 64 * 2**20
SILENT_AFTER_S = 5.0
"""Ended sessions are promised to be refused within this; a teller that is away for longer is worth a warning."""

log = logging.getLogger(__name__)


class Revocations:
    """`known` until the first list has come is False; `serials` and `sessions` are those to refuse."""

    def __init__(self, *, known: bool = True) -> None:
        self.known = known
        self.serials: frozenset[int] = frozenset()
        self.sessions: frozenset[str] = frozenset()

    def take(self, document: object) -> None:
        """Replace the list by a decoded one; ValueError for anything else, which changes nothing."""
        match document:
            case {"serials": list(serials), "sessions": list(sessions)}:
                if all(type(one) is int for one in serials) and all(isinstance(one, str) for one in sessions):
                    self.serials, self.sessions, self.known = frozenset(serials), frozenset(sessions), True
                    return
        raise ValueError("not a list of revocations")


class Follower:
    """Asks the teller again and again; one task of the edge."""

    def __init__(
        self,
        revocations: Revocations,
        client: HttpClient,
        target: str,
        token_file: Path | None,
        every_s: float = INTERVAL_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._revocations = revocations
        self._client = client
        self._target = target
        self._token_file = token_file
        self._every_s = every_s
        self._clock = clock
        self._last = b""

    async def run(self) -> None:
        heard, silent = self._clock(), False
        while True:
            try:
                self._take(await self._ask())
                if silent:
                    log.warning("revocations are told again")
                heard, silent = self._clock(), False
            except (OriginFailed, ValueError, OSError) as exc:
                if not silent and self._clock() - heard > SILENT_AFTER_S:
                    silent = True
                    log.warning("revocations are not told: %s", exc)
            await asyncio.sleep(self._every_s)

    async def _ask(self) -> bytes:
        headers = [("host", self._client.authority), ("accept", "application/json")]
        if self._token_file:
            headers.append(("authorization", f"Bearer {self._token_file.read_text().strip()}"))
        response = await self._client.send("GET", self._target, headers)
        try:
            if response.status_code != 200:
                raise OriginFailed(502, f"the answer was {response.status_code}")
            body = bytearray()
            with translated():
                async for chunk in response.aiter_raw():
                    body += chunk
                    if len(body) > MAX_BYTES:
                        raise OriginFailed(502, f"the list has more than {MAX_BYTES} bytes")
            return bytes(body)
        finally:
            await response.aclose()

    def _take(self, body: bytes) -> None:
        if body != self._last:
            try:
                document: Any = json.loads(body)
            except RecursionError as exc:
                raise ValueError("nested too deeply") from exc
            self._revocations.take(document)
            self._last = body
