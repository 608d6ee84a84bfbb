"""Pace: who is held back, by how much, and that nobody who watches is. The rule alone, then over a running edge."""

from __future__ import annotations

import http.client
import itertools
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge_parts import segment_template
from localaws.edge.gate import wish
from localaws.edge.pace import IDLE_S, Paces, Rule, Wish, begun
from pace_viewers import COUNT, DELAY_S, FILM_S, SEGMENT_S, Ask, Habits, rip, watch
from penstock.formats import tokens
from penstock.formats.timeline import Span, Timeline
from penstock.formats.tokens import PathClaims

KEY = b"p" * 43
FOLDER = "/assets/film/stream/"
WHOLE_FILM = [("v0", index) for index in range(COUNT)]
ALL_RENDITIONS = [(f"v{rendition}", index) for index in range(COUNT) for rendition in range(5)]
HONEST = {
    "watches": Habits(),
    "watches with a long buffer": Habits(buffer_s=60),
    "seeks twice a minute": Habits(seeks=2),
    "scrubs": Habits(scrubs=tuple(20.0 + 2 * number for number in range(8))),
    "changes renditions": Habits(switches=2),
}


def rule_alone(speed: float = 1.0, rule: Rule = Rule()) -> Ask:
    paces = Paces(rule)

    def ask(now: float, track: str, index: int) -> float:
        one = Wish(index, index, SEGMENT_S, SEGMENT_S, main=track != "a")
        return paces.ask(b"viewer-1", one, 1_800_000_000 + now, speed)

    return ask


class TestRule:
    def test_ripper_needs_two_thirds_of_the_films_length(self) -> None:
        assert rip(rule_alone(), WHOLE_FILM) == pytest.approx(408, abs=1)

    def test_ten_sessions_of_a_viewer_are_no_faster_than_one(self) -> None:
        assert rip(rule_alone(), WHOLE_FILM, at_once=10) == pytest.approx(408, abs=1)

    def test_pretended_seeks_give_two_minutes_and_no_more(self) -> None:
        order = [("v0", index) for index in [*range(0, COUNT, 2), *range(1, COUNT, 2)]]
        assert rip(rule_alone(), order) == pytest.approx(312, abs=1)

    def test_all_renditions_cost_more_than_the_length(self) -> None:
        assert rip(rule_alone(), ALL_RENDITIONS) == pytest.approx(888, abs=1)

    def test_sound_first_does_not_make_pictures_free(self) -> None:
        order = [("a", index) for index in range(COUNT)] + WHOLE_FILM
        assert rip(rule_alone(), order) >= 408

    @pytest.mark.parametrize("habit", HONEST)
    def test_viewer_never_notices(self, habit: str) -> None:
        for seed in range(12):
            outcome = watch(rule_alone(), Habits(**{**_options(HONEST[habit]), "seed": seed, "watches_s": 540.0}))
            assert (outcome.refused, outcome.stalled_s) == (0, 0.0), seed

    def test_double_speed_needs_a_session_that_allows_it(self) -> None:
        assert watch(rule_alone(speed=2.0), Habits(speed=2.0, watches_s=560)).refused == 0
        assert watch(rule_alone(), Habits(speed=2.0, watches_s=560)).stalled_s > 60

    def test_rest_is_waited_for_shortly_and_refused_beyond_that(self) -> None:
        ask = rule_alone()
        waits = [ask(0.0, "v0", index) for index in range(24)]
        assert waits[:22] == [0.0] * 22
        assert 0 < waits[22] <= DELAY_S < waits[23]

    def test_idle_viewer_begins_anew_without_savings(self) -> None:
        paces = Paces(Rule())
        first = Wish(0, 0, 4, 4, main=True)
        assert paces.ask(b"viewer-1", first, 1000.0) == 0
        after = 1000.0 + IDLE_S + 1
        waits = [paces.ask(b"viewer-1", Wish(n, n, 4, 4, main=True), after) for n in range(24)]
        assert waits[21] == 0 < waits[22]

    def test_two_hours_take_less_than_300_bytes(self) -> None:
        paces = Paces(Rule())
        for index in range(1800):
            paces.ask(b"viewer-1", Wish(index, index, 4, 4, main=True), index * 4.0)
        (stored,) = paces.dump()
        assert len(stored) < 300

    def test_bounded_memory_forgets_who_was_idle_longest(self) -> None:
        paces = Paces(Rule(), most=2)
        one = Wish(0, 0, 4, 4, main=True)
        for key in (b"viewer-1", b"viewer-2", b"viewer-1", b"viewer-3"):
            paces.ask(key, one, 1000.0)
        assert [stored[:8] for stored in paces.dump()] == [b"viewer-1", b"viewer-3"]

    def test_states_are_read_back_and_anything_else_is_refused(self) -> None:
        paces, again = Paces(Rule()), Paces(Rule())
        for key in (b"viewer-1", b"viewer-2"):
            paces.ask(key, Wish(0, 9, 4, 40, main=True), 1000.0)
        again.load(b"".join(paces.dump()))
        assert list(again.dump()) == list(paces.dump())
        for broken in (b"x", b"".join(paces.dump())[:-1], bytes(40), b"\xff" * 64):
            with pytest.raises(ValueError, match="states"):
                again.load(broken)
        assert len(again) == 2

    def test_clock_that_is_set_back_refuses_no_more_than_the_burst(self) -> None:
        assert Paces(Rule()).ask(b"viewer-1", Wish(0, 0, 4, 4, main=True), 1000.0) == 0
        state = begun(1000.0)
        assert len(state) < 32


class TestWish:
    TIMELINE = Timeline({}, 4.0)

    def test_segment_is_one_slot_and_sound_that_is_cut_elsewhere_too(self) -> None:
        assert [wish(self.TIMELINE, Span(4.0 * n, 4.0, main=True)).first for n in range(3)] == [0, 1, 2]
        for start_s in (3.99, 4.0, 4.04):
            one = wish(self.TIMELINE, Span(start_s, 4.01, main=False))
            assert (one.first, one.last) == (1, 1)

    def test_short_and_long_files_have_the_slots_they_touch(self) -> None:
        assert [wish(self.TIMELINE, Span(n, 1.0, main=True)).first for n in range(8)] == [0, 0, 0, 0, 1, 1, 1, 1]
        long = wish(self.TIMELINE, Span(8.0, 12.0, main=True))
        assert (long.first, long.last) == (2, 4)

    def test_what_lies_before_the_beginning_is_of_the_first_slot(self) -> None:
        for start_s in (-9.0, -8.0, -3.0, -0.02):
            early = wish(self.TIMELINE, Span(start_s, 4.0, main=True))
            assert (early.first, early.last, early.length_s) == (0, 0, 4.0)

    def test_part_of_a_file_is_part_of_its_time(self) -> None:
        part = wish(self.TIMELINE, Span(0.0, 600.0, main=True), (0.5, 0.52))
        assert (part.first, part.last, part.length_s) == (75, 77, pytest.approx(12))


def _options(habits: Habits) -> dict[str, Any]:
    return {name: value for name, value in vars(habits).items() if name != "ways"}


PLAYLISTS = {
    "main.m3u8": '#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="a",URI="a.m3u8"\n'
    '#EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO="a"\nv0.m3u8\n',
    **{
        f"{track}.m3u8": "#EXTM3U\n"
        + "".join(f"#EXTINF:4.0,\n{track}-{index}.m4s\n" for index in range(COUNT))
        + "#EXT-X-ENDLIST\n"
        for track in ("v0", "a")
    },
    "broken.m3u8": "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n../../elsewhere.m3u8\n",
}


class Film:
    """A running edge whose viewers' clock is a file, and a film behind it."""

    def __init__(self, edge: Any, clock_file: Path, description: dict[str, Any]) -> None:
        self.edge, self._clock_file, self.description = edge, clock_file, description
        self._connection = http.client.HTTPConnection("127.0.0.1", edge.port, timeout=20)
        self._keys = itertools.count()

    def viewer(self, *, speed: float = 1.0, key: bytes | None = None) -> Ask:
        """Somebody who was never here, or with `key` one more session of who was."""
        token = self.token(key or b"v%07d" % next(self._keys), speed)

        def ask(now: float, track: str, index: int) -> float:
            wait_s = self.wait_s(token, now, track, index)
            if 0 < wait_s <= DELAY_S:  # what an edge with a delay would have waited, instead of refusing
                assert self.wait_s(token, now + wait_s, track, index) == 0
            return wait_s

        return ask

    def wait_s(self, token: str, now: float, track: str, index: int) -> float:
        status, retry_after = self.get(f"/t/{token}{FOLDER}{track}-{index}.m4s", now)
        assert status in (200, 429)
        return 0.0 if status == 200 else float(retry_after)

    def let_through(self, start: str, count: int = 40, **headers: str) -> int:
        """How many segments from the first on come at once."""
        for number in range(count):
            if self.get(f"{start}{FOLDER}v0-{number}.m4s", 0.0, **headers)[0] == 429:
                return number
        return count

    def close(self) -> None:
        self._connection.close()

    def restart(self) -> None:
        self.close()
        self.edge.restart()

    def get(self, target: str, now: float, method: str = "GET", **headers: str) -> tuple[int, str]:
        self._clock_file.write_text(str(1_800_000_000 + now))
        self._connection.request(method, target, headers=headers)
        answer = self._connection.getresponse()
        answer.read()
        return answer.status, answer.getheader("retry-after", "")

    def token(self, pace_key: bytes, speed: float = 1.0, manifests: tuple[str, ...] = ("main.mpd",)) -> str:
        now = int(time.time())
        return tokens.mint_path(PathClaims("s", FOLDER, now + 600, now, 4711, pace_key, speed, manifests), KEY, "k")


@pytest.fixture(scope="module")
def film(start_edge: Any, start_origin: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Film]:
    def answer(handler: Any, seen: Any) -> None:
        found = seen.target.startswith(FOLDER) and not seen.target.endswith("missing.m4s")
        names = [f"v{number}" for number in range(5)]
        mpd = segment_template(video=names, audio=["a"], segment_ms=4000, length_s=FILM_S)
        if seen.target.endswith(".m3u8"):
            mpd = PLAYLISTS[seen.target.rpartition("/")[2]].encode()
        is_manifest = seen.target.endswith((".mpd", ".m3u8"))
        body = mpd if is_manifest else b"segment" * 10
        handler.send_response(200 if found else 404)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    folder = tmp_path_factory.mktemp("pace")
    (folder / "key").write_bytes(KEY)
    clock_file = folder / "clock"
    clock_file.write_text("1800000000")
    description = {
        "origins": {"media": {"url": start_origin(answer).url, "cached": True}},
        "behaviors": [{"path": "/assets/*", "origin": "media", "trusted_key_group": "viewers"}],
        "path_token_keys": {"k": str(folder / "key")},
        "pace": {"rate": 1.25, "burst_s": 90},
    }
    edge = start_edge(limits={"pace_delay_s": 0.0, "clock_file": str(clock_file)}, **description)
    found = Film(edge, clock_file, description)
    yield found
    found.close()


class TestEdge:
    """The delays of this edge are told, not slept, so that the film goes by as quickly as it can be asked for."""

    @pytest.mark.parametrize("habit", HONEST)
    def test_viewer_is_never_refused(self, film: Film, habit: str) -> None:
        outcome = watch(film.viewer(), HONEST[habit])
        assert outcome.refused == 0
        assert outcome.stalled_s < 2.0  # after a seek, a delay may be seen
        assert outcome.asked > 100

    def test_second_device_that_goes_on_elsewhere_is_never_refused(self, film: Film) -> None:
        first, second = film.viewer(key=b"two-devs"), film.viewer(key=b"two-devs")
        assert watch(first, Habits(watches_s=120)).refused == 0
        assert watch(second, Habits(begins_s=100, watches_s=200), starts=140.0).refused == 0

    def test_two_devices_at_two_places_are_never_refused_where_two_streams_are_allowed(self, film: Film) -> None:
        asks = [film.viewer(key=b"two-more", speed=2.0), film.viewer(key=b"two-more", speed=2.0)]
        for now in range(0, 240, SEGMENT_S):  # both have their buffers full
            for ask, begins in zip(asks, (8, 80), strict=True):
                assert ask(float(now), "v0", begins + now // SEGMENT_S) == 0.0

    def test_double_speed_is_never_refused_where_it_is_allowed(self, film: Film) -> None:
        assert watch(film.viewer(speed=2.0), Habits(speed=2.0, watches_s=400)).refused == 0

    def test_rippers_need_the_time_that_the_rule_says(self, film: Film) -> None:
        assert rip(film.viewer(), WHOLE_FILM) == pytest.approx(408, abs=3)
        sessions = [film.viewer(key=b"ten-at-a") for _ in range(10)]
        turns = itertools.cycle(sessions)
        assert rip(lambda *wish: next(turns)(*wish), WHOLE_FILM, at_once=10) == pytest.approx(408, abs=3)
        assert rip(film.viewer(), ALL_RENDITIONS) == pytest.approx(888, abs=3)

    def test_refusal_says_when_to_come_back_and_that_is_true(self, film: Film) -> None:
        token = film.token(b"comeback")
        waits = [film.wait_s(token, 0.0, "v0", index) for index in range(23)]
        assert waits[:22] == [0.0] * 22 < waits[22:]
        assert film.wait_s(token, waits[22] - 1.0, "v0", 22) > 0
        assert film.wait_s(token, waits[22], "v0", 22) == 0

    def test_what_holds_no_media_time_is_free_and_looking_is_too(self, film: Film) -> None:
        token = film.token(b"looks-on")
        for index in range(40):
            assert film.get(f"/t/{token}{FOLDER}v0-{index}.m4s", 0.0, method="HEAD")[0] == 200
            assert film.get(f"/t/{token}{FOLDER}v0-init.m4s", 0.0)[0] == 200
            assert film.get(f"/t/{token}{FOLDER}main.mpd", 0.0)[0] == 200

    def test_ranges_of_a_segment_do_not_get_around_it(self, film: Film) -> None:
        token = film.token(b"in-parts")
        assert film.let_through(f"/t/{token}", Range="bytes=0-9") == 22

    def test_signed_cookies_are_paced_by_the_token_beside_them_and_refused_without(self, film: Film) -> None:
        signed = film.edge.cookie(f"{FOLDER}*", not_before=4711)["Cookie"]
        token = film.token(b"cookies-")
        with_token = f"{signed}; Penstock-Session={token}"
        assert film.let_through("", Cookie=with_token) == 22
        other = film.edge.cookie(f"{FOLDER}*", not_before=4712)["Cookie"]
        for cookie in (signed, f"{other}; Penstock-Session={token}", f"{with_token}; Penstock-Session=x"):
            assert film.get(f"{FOLDER}v0-0.m4s", 0.0, Cookie=cookie)[0] == 403

    def test_playlists_tell_media_time_as_manifests_do(self, film: Film) -> None:
        for manifests in (("main.m3u8",), ("main.mpd", "main.m3u8")):
            token = film.token(b"by-%05d" % len(manifests), manifests=manifests)
            assert film.let_through(f"/t/{token}") == 22

    def test_film_whose_manifests_cannot_be_read_is_not_paced_and_the_log_says_so(self, film: Film) -> None:
        token = film.token(b"no-clock", manifests=("broken.m3u8",))
        assert film.let_through(f"/t/{token}") == 40
        assert f"viewers of {FOLDER} are not paced" in film.edge.log

    def test_restart_forgets_nothing(self, film: Film) -> None:
        token = film.token(b"restarts")
        assert film.let_through(f"/t/{token}") == 22
        film.restart()
        assert film.wait_s(token, 0.0, "v0", 22) > 0

    def test_short_wait_is_a_delay_of_the_answer(self, film: Film, start_edge: Any) -> None:
        edge = start_edge(**{**film.description, "pace": {"rate": 1.25, "burst_s": 6}})
        token, began = film.token(b"delayed-"), time.monotonic()
        assert [edge.request(f"/t/{token}{FOLDER}v0-{n}.m4s").status for n in (0, 1, 1)] == [200, 200, 200]
        assert 1.0 < time.monotonic() - began < 10

    def test_edge_without_pace_refuses_nobody(self, film: Film, start_edge: Any) -> None:
        edge = start_edge(**{name: value for name, value in film.description.items() if name != "pace"})
        token = film.token(b"unpaced-")
        assert {edge.request(f"/t/{token}{FOLDER}v0-{n}.m4s").status for n in range(40)} == {200}
