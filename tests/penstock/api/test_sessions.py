"""Playback sessions in either database: how long they live, how many of a viewer stream at a time."""

from __future__ import annotations

import threading
import uuid
from datetime import timedelta

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from api_parts import Clock
from penstock.catalogue import Catalogue
from penstock.database import Database
from penstock.entries import Session, Upload
from penstock.errors import InvalidRequest, NotFound, SessionExpired, TooManyStreams
from penstock.sessions import Sessions, Wins

SILENCE_S = 90


@pytest.fixture
def asset(catalogue: Catalogue) -> str:
    asset_id = str(uuid.uuid4())
    catalogue.create(asset_id, "A", Upload(f"inputs/{asset_id}/a.mp4", 1, "video/mp4", "post"))
    return asset_id


def limited(database: Database, clock: Clock, streams: int, wins: Wins = Wins.NEWEST) -> Sessions:
    return Sessions(database, clock=clock, streams=streams, wins=wins, silence_s=SILENCE_S)


def states(sessions: Sessions, *asked: Session) -> list[str | None]:
    return [sessions.get(each.id).ending for each in asked]


def test_session_lives_until_it_expires_or_is_ended(sessions: Sessions, asset: str, clock: Clock) -> None:
    first, second = sessions.open(asset, "ada", 60), sessions.open(asset, "ada", 60)
    assert sessions.get(first.id) == first
    assert first.live(clock())
    sessions.end(first.id)
    ended_at = sessions.get(first.id).ended_at
    clock.pass_s(30)
    sessions.end(first.id)
    assert sessions.get(first.id).ended_at == ended_at
    assert not sessions.get(first.id).live(clock())
    assert sessions.get(second.id).live(clock())
    clock.pass_s(31)
    assert not sessions.get(second.id).live(clock())
    with pytest.raises(NotFound):
        sessions.end(str(uuid.uuid4()))


def test_heartbeats_renew_up_to_the_end_that_was_set(sessions: Sessions, asset: str, clock: Clock) -> None:
    session = sessions.open(asset, "ada", 60, 150)
    for _ in range(5):
        clock.pass_s(29)
        expires_at = sessions.renew(session.id).expires_at
        assert sessions.get(session.id).expires_at == expires_at
    assert expires_at == session.created_at + timedelta(seconds=150)
    clock.pass_s(10)
    with pytest.raises(SessionExpired):
        sessions.renew(session.id)


def test_heartbeat_never_shortens_a_session(sessions: Sessions, asset: str) -> None:
    session = sessions.open(asset, "ada", 60, 10)
    assert sessions.renew(session.id).expires_at == session.expires_at


def test_ended_session_is_not_renewed(sessions: Sessions, asset: str) -> None:
    session = sessions.open(asset, "ada", 60)
    sessions.end(session.id)
    with pytest.raises(SessionExpired):
        sessions.renew(session.id)
    with pytest.raises(NotFound):
        sessions.renew(str(uuid.uuid4()))


def test_revoked_are_those_ended_before_they_expire(sessions: Sessions, asset: str, clock: Clock) -> None:
    ended, live, old = sessions.open(asset, "ada", 60), sessions.open(asset, "ada", 60), sessions.open(asset, "a", 5)
    sessions.end(ended.id)
    sessions.end(old.id)
    clock.pass_s(6)
    assert [each.serial for each in sessions.revoked()] == [ended.serial]
    assert len({ended.serial, live.serial, old.serial}) == 3


def test_all_sessions_of_a_viewer_are_listed_in_pages_and_ended_together(
    sessions: Sessions, asset: str, clock: Clock
) -> None:
    mine = []
    for number in range(5):
        clock.pass_s(number % 2)
        mine.append(sessions.open(asset, "ada", 60))
    bobs = sessions.open(asset, "bob", 60)
    seen, cursor = [], None
    while True:
        page, cursor = sessions.of("ada", 2, cursor)
        seen += [each.id for each in page]
        if cursor is None:
            break
    assert sorted(seen) == sorted(each.id for each in mine)
    sessions.end(mine[0].id)
    assert sessions.end_all("ada") == 4
    assert sessions.end_all("ada") == 0
    assert sessions.get(bobs.id).live(clock())
    with pytest.raises(InvalidRequest):
        sessions.of("ada", 2, "x")


def test_sessions_long_over_are_forgotten(sessions: Sessions, asset: str, clock: Clock) -> None:
    session = sessions.open(asset, "ada", 60)
    sessions.forget()
    assert sessions.get(session.id)
    clock.pass_s(40 * 86400)
    sessions.forget()
    with pytest.raises(NotFound):
        sessions.get(session.id)


class TestStreams:
    def test_opened_sessions_are_no_streams_yet(self, database: Database, asset: str, clock: Clock) -> None:
        sessions = limited(database, clock, 1, Wins.OLDEST)
        for _ in range(3):
            last = sessions.open(asset, "ada", 600)
        sessions.watch(last)

    def test_newest_wins_and_the_oldest_stream_ends(self, database: Database, asset: str, clock: Clock) -> None:
        sessions = limited(database, clock, 2)
        streams = []
        for _ in range(3):
            clock.pass_s(1)
            streams.append(sessions.open(asset, "ada", 600))
            sessions.watch(streams[-1])
        assert states(sessions, *streams) == ["displaced", None, None]
        assert [each.id for each in sessions.revoked()] == [streams[0].id]
        with pytest.raises(TooManyStreams):
            sessions.renew(streams[0].id)

    def test_oldest_wins_and_the_newest_gets_nothing(self, database: Database, asset: str, clock: Clock) -> None:
        sessions = limited(database, clock, 2, Wins.OLDEST)
        first, second, third = (sessions.open(asset, "ada", 600) for _ in range(3))
        sessions.watch(first)
        sessions.watch(second)
        for _ in range(2):
            with pytest.raises(TooManyStreams):
                sessions.watch(third)
            with pytest.raises(TooManyStreams):
                sessions.renew(third.id)
        sessions.renew(first.id)
        assert states(sessions, first, second, third) == [None, None, None]

    def test_other_viewers_do_not_count(self, database: Database, asset: str, clock: Clock) -> None:
        sessions = limited(database, clock, 1, Wins.OLDEST)
        for viewer in ("ada", "bob"):
            sessions.watch(sessions.open(asset, viewer, 600))

    @pytest.mark.parametrize("how", ["silent", "left", "ended", "expired"])
    def test_place_of_a_stream_that_is_over_is_free(
        self, database: Database, asset: str, clock: Clock, how: str
    ) -> None:
        sessions = limited(database, clock, 1, Wins.OLDEST)
        first = sessions.open(asset, "ada", 60 if how == "expired" else 600)
        second = sessions.open(asset, "ada", 600)
        sessions.watch(first)
        match how:
            case "silent":
                clock.pass_s(SILENCE_S)
            case "expired":
                clock.pass_s(60)
            case "left":
                sessions.leave(first.id)
            case "ended":
                sessions.end(first.id)
        sessions.watch(second)
        # Whoever fell silent may have keys and cookies: never more than one of them works.
        assert not sessions.get(first.id).live(clock())

    def test_silent_stream_goes_on_while_nobody_wants_its_place(
        self, database: Database, asset: str, clock: Clock
    ) -> None:
        sessions = limited(database, clock, 1, Wins.OLDEST)
        first = sessions.open(asset, "ada", 600)
        sessions.watch(first)
        sessions.leave(first.id)
        clock.pass_s(SILENCE_S)
        sessions.renew(first.id)
        with pytest.raises(TooManyStreams):
            sessions.watch(sessions.open(asset, "ada", 600))

    def test_silent_stream_makes_room_before_the_oldest(self, database: Database, asset: str, clock: Clock) -> None:
        sessions = limited(database, clock, 2)
        first, second, third = (sessions.open(asset, "ada", 600) for _ in range(3))
        sessions.watch(first)
        clock.pass_s(1)
        sessions.watch(second)
        clock.pass_s(SILENCE_S)
        sessions.renew(first.id)
        sessions.watch(third)
        assert states(sessions, first, second, third) == [None, "displaced", None]

    def test_lower_limit_holds_from_the_next_stream_on(self, database: Database, asset: str, clock: Clock) -> None:
        many = limited(database, clock, 0)
        old = [many.open(asset, "ada", 600) for _ in range(4)]
        for each in old:
            many.watch(each)
        sessions = limited(database, clock, 2)
        sessions.watch(sessions.open(asset, "ada", 600))
        assert sorted(map(str, states(sessions, *old))) == ["None", "displaced", "displaced", "displaced"]

    @pytest.mark.parametrize("wins", Wins)
    def test_many_at_once_get_no_more_places_than_there_are(
        self, database: Database, asset: str, clock: Clock, wins: Wins
    ) -> None:
        sessions = limited(database, clock, 2, wins)
        opened = [sessions.open(asset, "ada", 600) for _ in range(8)]
        start = threading.Barrier(len(opened))

        def watch(session: Session) -> None:
            start.wait()
            try:
                sessions.watch(session)
            except TooManyStreams:
                return

        threads = [threading.Thread(target=watch, args=(each,)) for each in opened]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        now = [sessions.get(each.id) for each in opened]
        assert sum(each.streaming_since is not None and each.live(clock()) for each in now) == 2


def test_sessions_of_the_version_before_keep_their_life(database: Database, clock: Clock) -> None:
    config = Config()
    config.set_main_option("script_location", "src/penstock/migrations")
    config.set_main_option("path_separator", "os")
    session_id, asset_id, now = str(uuid.uuid4()), str(uuid.uuid4()), clock().replace(microsecond=0)
    with database.begin(writes=True) as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "0001")
        values = {"id": asset_id, "now": now.replace(tzinfo=None), "later": now.replace(tzinfo=None)}
        values["later"] += timedelta(seconds=600)
        connection.execute(
            sa.text("INSERT INTO assets (id, title, state, created_at, version) VALUES (:id, 'A', 'waiting', :now, 1)"),
            values,
        )
        connection.execute(
            sa.text(
                "INSERT INTO playback_sessions (id, asset_id, viewer, created_at, expires_at)"
                " VALUES (:session, :id, 'ada', :now, :later)"
            ),
            {**values, "session": session_id},
        )
    database.migrate()
    sessions = Sessions(database, clock=clock)
    assert sessions.get(session_id).live(clock())
    assert sessions.renew(session_id).expires_at == sessions.get(session_id).expires_at
    assert sessions.get(session_id).ttl_s == 600
