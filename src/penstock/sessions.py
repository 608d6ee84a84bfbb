"""Playback sessions: opened, kept alive, counted per viewer, ended. The only owner of their state.

It signs nothing and never speaks to the edge: what a session yields is made in `playback`, and whoever keeps cookies
from working asks `revoked`. Every change is one transaction.
"""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import partial
from typing import Any

import sqlalchemy as sa

from penstock import anomaly, entries
from penstock.anomaly import Observed, Window
from penstock.database import Database
from penstock.entries import Ending, Session
from penstock.errors import NotFound, SessionExpired, TooManyStreams
from penstock.formats.cookies import SERIALS
from penstock.schema import assets, playback_sessions
from penstock.terms import USUAL, Terms
from penstock.webhooks import events, outbox
from penstock.webhooks.events import EventType

JUST_HEARD = timedelta(seconds=5)
"""Players ask for several licenses at once; one of them is news."""
REMEMBERED = timedelta(days=30)
BATCH = 1000
WINDOWS_AT_ONCE = 100

_table = playback_sessions.c


class Wins(StrEnum):
    """Who keeps a stream when a viewer has too many."""

    NEWEST = "newest"
    OLDEST = "oldest"


class Sessions:
    def __init__(
        self,
        database: Database,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        streams: int = 0,
        wins: Wins = Wins.NEWEST,
        silence_s: int = 90,
        suspicious_score: int = 60,
        revoke_score: int = 0,
    ) -> None:
        """streams: per viewer, 0 is any number. silence_s: a stream unheard of for so long may lose its place.

        suspicious_score: told once a session reaches it. revoke_score: ends the session; 0 never does.
        """
        self._begin = database.begin
        self._clock = clock
        self._streams = streams
        self._wins = wins
        self._silence = timedelta(seconds=silence_s)
        self._suspicious_score = suspicious_score
        self._revoke_score = revoke_score

    def open(
        self,
        asset_id: str,
        viewer: str,
        ttl_s: int,
        max_s: int | None = None,
        *,
        overlay: str | None = None,
        terms: Terms = USUAL,
    ) -> Session:
        """Let a viewer watch an asset for `ttl_s`, which heartbeats renew up to `max_s` from now. Raises NotFound."""
        now = self._clock().replace(microsecond=0)
        session = Session(
            id=str(uuid.uuid4()),
            asset_id=asset_id,
            viewer=viewer,
            created_at=now,
            expires_at=now + timedelta(seconds=ttl_s),
            ended_at=None,
            ttl_s=ttl_s,
            renewable_until=now + timedelta(seconds=max(max_s or ttl_s, ttl_s)),
            overlay=overlay,
            terms=terms.stored() or None,
        )
        with self._begin(writes=True) as connection:
            alive = (assets.c.id == asset_id) & assets.c.deleted_at.is_(None)
            if connection.scalar(sa.select(assets.c.id).where(alive).with_for_update()) is None:
                raise NotFound(f"there is no asset {asset_id!r}")
            session = replace(session, serial=_free_serial(connection))
            connection.execute(sa.insert(playback_sessions).values(vars(session)))
            _tell(connection, EventType.SESSION_OPENED, session, now)
        return session

    def get(self, session_id: str) -> Session:
        """Raises NotFound."""
        with self._begin() as connection:
            return _get(connection, session_id)

    def bind(self, session_id: str, key_thumbprint: str) -> Session:
        """Bind a session to the key of the browser that claims it first; later ones find it bound. Raises NotFound."""
        free = (_table.id == session_id) & _table.key_thumbprint.is_(None)
        with self._begin(writes=True) as connection:
            connection.execute(sa.update(playback_sessions).where(free).values(key_thumbprint=key_thumbprint))
            return _get(connection, session_id)

    def of(self, viewer: str, limit: int, cursor: str | None = None) -> tuple[list[Session], str | None]:
        """Up to `limit` sessions of a viewer, newest first, and the cursor of the next page if there is one."""
        return self._page(_table.viewer == viewer, limit, cursor)

    def suspicious(self, score: int, limit: int, cursor: str | None = None) -> tuple[list[Session], str | None]:
        """The same for sessions of anybody whose score is `score` or more."""
        return self._page(_table.score >= score, limit, cursor)

    def _page(self, which: sa.ColumnElement[bool], limit: int, cursor: str | None) -> tuple[list[Session], str | None]:
        query = sa.select(playback_sessions).where(which)
        query = query.order_by(_table.created_at.desc(), _table.id.desc()).limit(limit + 1)
        if cursor is not None:
            created_at, session_id = entries.read_cursor(cursor)
            query = query.where(
                (_table.created_at < created_at) | ((_table.created_at == created_at) & (_table.id < session_id))
            )
        with self._begin() as connection:
            rows = connection.execute(query).mappings().all()
        found = [Session(**row) for row in rows[:limit]]
        return found, entries.cursor(rows[limit - 1]) if len(rows) > limit else None

    def end(self, session_id: str) -> None:
        """End a session; again is no change. Raises NotFound."""
        self.get(session_id)
        with self._begin(writes=True) as connection:
            end(connection, _table.id == session_id, self._clock(), Ending.ENDED)

    def end_all(self, viewer: str) -> int:
        """End every live session of a viewer; returns how many there were."""
        now = self._clock()
        with self._begin(writes=True) as connection:
            live = (_table.viewer == viewer) & (_table.expires_at > now)
            return end(connection, live, now, Ending.ENDED)

    def watch(self, session: Session) -> None:
        """A license is asked for: `take_stream`, unless the session has been heard of a moment ago."""
        heard = session.seen_at is not None and self._clock() - session.seen_at < JUST_HEARD
        if session.streaming_since is None or not heard:
            self.take_stream(session.id)

    def take_stream(self, session_id: str, *, beat: bool = False) -> Session:
        """Note that this session is being watched now: it takes one of its viewer's streams, or keeps its own.

        Raises SessionExpired when it is over, TooManyStreams when the viewer's other streams keep their places. Where
        the newest wins, a stream that was heard of longest ago makes room: first one that fell silent, else the oldest.
        beat: it is a heartbeat that tells.
        """
        now = self._clock()
        with self._begin(writes=True) as connection:
            # The viewer's sessions are locked in one order, so that two of them cannot take one place.
            viewers = (_table.viewer == _viewer_of(session_id)) & _table.ended_at.is_(None)
            query = sa.select(playback_sessions).where(viewers).order_by(_table.id).with_for_update()
            rows = connection.execute(query).mappings()
            live = {row["id"]: Session(**row) for row in rows if row["expires_at"] > now}
            if session_id not in live:
                raise over(_get(connection, session_id))
            own = live.pop(session_id)
            if own.streaming_since is None:
                self._make_room(connection, list(live.values()), now)
            changes: dict[str, Any] = {"seen_at": now, "streaming_since": own.streaming_since or now}
            observed = Observed.of_json(own.observed)
            if beat and not observed.beacons:
                changes |= _judged(observed.heard_of())
            connection.execute(sa.update(playback_sessions).where(_table.id == session_id).values(changes))
        return replace(own, **changes)

    def renew(self, session_id: str) -> Session:
        """A heartbeat: `take_stream`, and the session's life begins anew, though never beyond `renewable_until`."""
        session = self.take_stream(session_id, beat=True)
        until = self._clock().replace(microsecond=0) + timedelta(seconds=session.ttl_s)
        expires_at = max(session.expires_at, min(until, session.renewable_until))
        with self._begin(writes=True) as connection:
            mine = (_table.id == session_id) & _table.ended_at.is_(None)
            connection.execute(sa.update(playback_sessions).where(mine).values(expires_at=expires_at))
        return replace(session, expires_at=expires_at)

    def leave(self, session_id: str) -> None:
        """A heartbeat that is the last for now: the stream's place is free for whoever wants it."""
        silent = self._clock() - self._silence
        streaming = (_table.id == session_id) & _table.seen_at.is_not(None)
        with self._begin(writes=True) as connection:
            connection.execute(sa.update(playback_sessions).where(streaming).values(seen_at=silent))

    def observe(self, windows: Sequence[tuple[str | int, Window]]) -> int:
        """Take in what the edge saw of sessions, named by id or serial; returns how many of them are live here."""
        known = 0
        for start in range(0, len(windows), WINDOWS_AT_ONCE):  # so that heartbeats and licenses get their turn between
            with self._begin(writes=True) as connection:
                for name, window in windows[start : start + WINDOWS_AT_ONCE]:
                    which = _table.serial == name if isinstance(name, int) else _table.id == name
                    seen = partial(Observed.plus, window=window, now_s=self._clock().timestamp())
                    known += self._observe(connection, which, seen)
        return known

    def tampered(self, session_id: str, times: int) -> None:
        """Take in that a player found its overlay removed or hidden."""
        with self._begin(writes=True) as connection:
            self._observe(connection, _table.id == session_id, lambda observed: observed.tampered_with(times))

    def _observe(
        self, connection: sa.Connection, which: sa.ColumnElement[bool], add: Callable[[Observed], Observed]
    ) -> bool:
        """Judge a live session anew; tells once when it becomes suspicious, and ends it at the threshold for that."""
        now = self._clock()
        live = which & _table.ended_at.is_(None) & (_table.expires_at > now)
        row = connection.execute(sa.select(playback_sessions).where(live).with_for_update()).mappings().first()
        if row is None:
            return False
        session = Session(**row)
        changes = _judged(add(Observed.of_json(session.observed)))
        fresh = session.suspicious_at is None and changes["score"] >= self._suspicious_score
        if fresh:
            changes["suspicious_at"] = now
        mine = _table.id == session.id
        connection.execute(sa.update(playback_sessions).where(mine).values(changes))
        if fresh:
            _tell(connection, EventType.SESSION_SUSPICIOUS, replace(session, **changes), now)
        if 0 < self._revoke_score <= changes["score"]:
            end(connection, mine, now, Ending.SUSPICIOUS)
        return True

    def revoked(self) -> list[Session]:
        """Sessions that were ended although cookies or tokens of theirs may not have expired yet."""
        query = sa.select(playback_sessions).where(_table.ended_at.is_not(None), _table.expires_at > self._clock())
        with self._begin() as connection:
            return [Session(**row) for row in connection.execute(query.order_by(_table.id)).mappings()]

    def note_expired(self) -> None:
        """Note the end of sessions that have expired, so that whoever listens hears of it; a thousand at a time."""
        while True:
            now = self._clock()
            expired = sa.select(_table.id).where(_table.ended_at.is_(None), _table.expires_at <= now).limit(BATCH)
            with self._begin(writes=True) as connection:
                if end(connection, _table.id.in_(expired.scalar_subquery()), now, Ending.EXPIRED) < BATCH:
                    return

    def forget(self) -> None:
        """Drop sessions that are long over."""
        with self._begin(writes=True) as connection:
            connection.execute(sa.delete(playback_sessions).where(_table.expires_at < self._clock() - REMEMBERED))

    def _make_room(self, connection: sa.Connection, others: list[Session], now: datetime) -> None:
        streams = [session for session in others if session.streaming_since is not None]
        surplus = len(streams) - self._streams + 1
        if not self._streams or surplus <= 0:
            return
        silent = [session for session in streams if session.seen_at and session.seen_at <= now - self._silence]
        if self._wins is Wins.OLDEST and len(silent) < surplus:
            raise TooManyStreams(f"{_streams(self._streams)} of this viewer run already; stop one of them first")
        streams.sort(key=lambda session: (session not in silent, session.streaming_since, session.id))
        leaving = [session.id for session in streams[:surplus]]
        end(connection, _table.id.in_(leaving), now, Ending.DISPLACED)


def _judged(observed: Observed) -> dict[str, Any]:
    return {"observed": observed.as_json(), "score": anomaly.assess(observed).score}


def end(connection: sa.Connection, which: sa.ColumnElement[bool], now: datetime, ending: Ending) -> int:
    """End the sessions among `which` that have not ended, in a transaction of the caller's; returns how many."""
    open_ones = which & _table.ended_at.is_(None)
    statement = sa.update(playback_sessions).where(open_ones).values(ended_at=now, ending=ending.value)
    ended = connection.execute(statement.returning(*playback_sessions.c)).mappings().all()
    for row in ended:
        _tell(connection, events.OF_ENDING[ending], Session(**row), now)
    return len(ended)


def over(session: Session) -> SessionExpired | TooManyStreams:
    """Why a session that is not live any more is not."""
    if session.ending == Ending.DISPLACED:
        return TooManyStreams("this stream has ended because the viewer began another one")
    if session.ending == Ending.SUSPICIOUS:
        return SessionExpired("the playback session was ended, because it was not used as a player uses it")
    return SessionExpired("the playback session is over; ask for a new one")


def _viewer_of(session_id: str) -> sa.ScalarSelect[Any]:
    return sa.select(_table.viewer).where(_table.id == session_id).scalar_subquery()


def _get(connection: sa.Connection, session_id: str) -> Session:
    query = sa.select(playback_sessions).where(_table.id == session_id)
    row = connection.execute(query).mappings().one_or_none()
    if row is None:
        raise NotFound(f"there is no playback session {session_id[:64]!r}")
    return Session(**row)


def _tell(connection: sa.Connection, kind: EventType, session: Session, now: datetime) -> None:
    about = events.about_session(session)
    outbox.tell(connection, kind, lambda: events.event(kind, session.asset_id, now, about))


def _free_serial(connection: sa.Connection) -> int:
    while True:
        serial = SERIALS.start + secrets.randbelow(len(SERIALS))
        if connection.scalar(sa.select(_table.id).where(_table.serial == serial)) is None:
            return serial


def _streams(number: int) -> str:
    return "one stream" if number == 1 else f"{number} streams"
