"""The gate between a viewer who may see an asset and its bytes: lets media time out at the viewer's pace, and counts.

What it remembers survives a restart of the edge: it is written every minute and at the end. After a crash viewers have
what the last minute took from them once more; where the file is lost, they begin anew.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from localaws.edge.cache import Cache
from localaws.edge.pace import Paces, Rule, Wish
from localaws.edge.signals import Signals
from localaws.edge.timelines import Timelines
from penstock.errors import FormatError
from penstock.formats import cmcd
from penstock.formats.timeline import Span, Timeline
from penstock.formats.tokens import PathClaims

SAVE_S = 60.0
_MISALIGNED = 0.25
"""Sound is cut at other moments than pictures: of so much of a slot a file may reach into its neighbours for free."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Said:
    """What a request says beside what it asks for. query: percent-encoded; header: reads one by its name."""

    address: str
    query: str
    header: Callable[[str], str | None]


class Gate:
    """Asks the rule for each request of media time, and waits as long as it says."""

    def __init__(
        self, rule: Rule | None, file: Path, signals: Signals, *, clock: Callable[[], float] = time.time
    ) -> None:
        """rule: None lets everything through. file: where the states are kept. clock: seconds since the epoch."""
        self._paces = Paces(rule) if rule else None
        self._timelines = Timelines()
        self._signals = signals
        self._file = file
        self._clock = clock
        self._delay_s = rule.delay_s if rule else 0.0

    async def admit(
        self, claims: PathClaims, cache: Cache, path: str, share: tuple[float, float], said: Said
    ) -> int | None:
        """None when the viewer may have a file, after a delay maybe; else the seconds after which to ask again.

        share: the part of the file's bytes that is asked for, 0 to 1 both. said: by whom, and with which client data.
        """
        if claims.pace_key is None:
            return None
        timeline = await self._timelines.of(cache, claims.path, claims.manifests)
        span = timeline.spans.get(path) if timeline else None
        if timeline is None or span is None:
            return None
        wanted = wish(timeline, span, share)
        wait_s = (
            self._paces.ask(claims.pace_key, wanted, self._clock(), claims.speed) if self._paces is not None else 0.0
        )
        refused, beacon = wait_s > self._delay_s, _is_beacon(said)
        self._signals.note(claims.session_id, said.address, span, wanted, beacon=beacon, refused=refused)
        if refused:
            return math.ceil(wait_s)
        if wait_s:
            await asyncio.sleep(wait_s)
        return None

    def load(self) -> None:
        """Take up what was remembered before a restart."""
        if self._paces is None:
            return
        try:
            self._paces.load(self._file.read_bytes())
        except FileNotFoundError:
            return
        except (OSError, ValueError) as exc:
            log.warning("viewers begin anew, their pace is not known any more: %s", exc)

    def save(self) -> None:
        """Write what is remembered, whole or not at all."""
        if self._paces is not None:
            self._write(b"".join(self._paces.dump()))

    async def keep_saving(self) -> None:
        """Save every minute, for as long as the edge runs."""
        while self._paces is not None:
            await asyncio.sleep(SAVE_S)
            await asyncio.to_thread(self._write, b"".join(self._paces.dump()))

    def _write(self, content: bytes) -> None:
        draft = self._file.with_suffix(".new")
        try:
            draft.write_bytes(content)
            draft.replace(self._file)
        except OSError as exc:
            log.warning("viewers' pace cannot be kept: %s", exc.strerror)


def _is_beacon(said: Said) -> bool:
    """Whether client data came with a request; most requests have none, which has to be found out quickly."""
    headers = {name: text for name in cmcd.HEADERS if (text := said.header(name)) is not None}
    if not headers and cmcd.PARAMETER not in said.query:
        return False
    try:
        return cmcd.of_request(said.query, headers) is not None
    except FormatError:
        return False


def wish(timeline: Timeline, span: Span, share: tuple[float, float] = (0.0, 1.0)) -> Wish:
    """The slots that a part of a file holds media time of: at least one; before the beginning it is the first."""
    slot_s = timeline.slot_s
    length_s = (share[1] - share[0]) * span.length_s
    start_s = max(0.0, span.start_s + share[0] * span.length_s)
    end_s = max(start_s, span.start_s + share[1] * span.length_s)
    first, last = start_s / slot_s + _MISALIGNED, end_s / slot_s - _MISALIGNED
    if last <= first:
        first = last = (start_s + end_s) / 2 / slot_s
    return Wish(int(first), max(int(first), math.ceil(last) - 1), slot_s, length_s, span.main)
