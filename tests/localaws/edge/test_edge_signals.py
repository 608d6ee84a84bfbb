"""What a running edge tells of the sessions it served: counts, networks, client data; and that nothing is lost."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from edge_parts import segment_template
from localaws.edge.pace import Wish
from localaws.edge.signals import Signals, network_of
from penstock.formats import tokens
from penstock.formats.timeline import Span
from penstock.formats.tokens import PathClaims

KEY, EDGE_TOKEN = b"s" * 43, "the-secret-of-the-edge"
FOLDER = "/assets/film/stream/"
CMCD = "?CMCD=bl%3D3000%2Cot%3Dv%2Csid%3D%22one%22"


class Teller:
    """A running edge, and who hears of its sessions."""

    def __init__(self, edge: Any, told: list[dict[str, Any]], answers: list[int]) -> None:
        self.edge, self._told, self.answers = edge, told, answers

    def get(self, session_id: str, name: str, query: str = "", **headers: str) -> int:
        now = int(time.time())
        key = session_id.encode().ljust(8)[:8]
        claims = PathClaims(session_id, FOLDER, now + 600, now, 4711, key, 1.0, ("main.mpd",))
        target = f"/t/{tokens.mint_path(claims, KEY, 'k')}{FOLDER}{name}{query}"
        return int(self.edge.request(target, headers=headers).status)

    def told(self, session_id: str, segments: int) -> dict[str, Any]:
        """The sum of what was told of a session, once so many segments are in it."""
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            found = [each for each in self._told if each["session_id"] == session_id]
            if sum(each["segments"] for each in found) >= segments:
                sums = {name: sum(each[name] for each in found) for name in ("segments", "beacons", "refused_pace")}
                return {**found[-1], **sums}
            time.sleep(0.05)
        raise AssertionError(f"not told: {session_id}")


@pytest.fixture(scope="module")
def teller(start_edge: Any, start_origin: Any, tmp_path_factory: pytest.TempPathFactory) -> Teller:
    told: list[dict[str, Any]] = []
    answers = [200]

    def answer(handler: Any, seen: Any) -> None:
        status, body = 200, b"segment"
        if seen.method == "POST":
            assert seen.headers["authorization"] == f"Bearer {EDGE_TOKEN}"
            status = answers[0]
            if status == 200:
                told.extend(json.loads(seen.body)["sessions"])
        elif seen.target.endswith(".mpd"):
            body = segment_template(video=("v0", "v1", "v2"), audio=("a",), segment_ms=4000, length_s=600)
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    folder: Path = tmp_path_factory.mktemp("signals")
    (folder / "key").write_bytes(KEY)
    (folder / "token").write_text(EDGE_TOKEN)
    origin = start_origin(answer)
    edge = start_edge(
        limits={"signals_every_s": 1.0, "pace_delay_s": 0.0},
        origins={"media": {"url": origin.url, "cached": True}},
        behaviors=[{"path": "/assets/*", "origin": "media", "trusted_key_group": "viewers"}],
        path_token_keys={"k": str(folder / "key")},
        pace={"rate": 1.25, "burst_s": 90},
        signals={"url": f"{origin.url}/internal/signals", "token_file": str(folder / "token")},
    )
    return Teller(edge, told, answers)


def test_session_is_told_with_what_it_fetched(teller: Teller) -> None:
    for number in range(5):
        assert teller.get("watches", f"v0-{number}.m4s", CMCD) == 200
        assert teller.get("watches", f"a-{number}.m4s") == 200
    assert teller.get("watches", "v0-init.m4s") == 200
    told = teller.told("watches", 10)
    assert told["addresses"] == ["127.0.0.0/24"]
    assert 0 <= told["window_s"] < 20
    assert (told["segments"], told["beacons"], told["refused_pace"]) == (10, 5, 0)


def test_ripper_shows_in_renditions_and_refusals(teller: Teller) -> None:
    statuses = [teller.get("rips", f"v{rendition}-{number}.m4s") for number in range(30) for rendition in range(3)]
    assert 429 in statuses
    told = teller.told("rips", statuses.count(200))
    assert told["refused_pace"] == statuses.count(429)
    assert told["beacons"] == 0
    assert told["renditions"] == 3


def test_what_cannot_be_told_is_told_later(teller: Teller) -> None:
    teller.answers[0] = 503
    assert teller.get("patient", "v0-0.m4s") == 200
    deadline = time.monotonic() + 20
    while "cannot be told" not in teller.edge.log and time.monotonic() < deadline:
        time.sleep(0.05)
    teller.answers[0] = 200
    assert teller.told("patient", 1)["segments"] == 1


def test_broken_client_data_is_no_beacon_and_no_error(teller: Teller) -> None:
    for query in ("?CMCD=%00", "?CMCD=" + "x" * 3000, "?CMCD=ot%3Dv&CMCD=ot%3Dv", "?CMCD=%ff"):
        assert teller.get("garbled", "v0-0.m4s", query) == 200
    assert teller.get("garbled", "v0-0.m4s", **{"CMCD-Object": "ot=v,,"}) == 200
    assert teller.told("garbled", 5)["beacons"] == 0


def test_counts_are_of_media_time_and_renditions() -> None:
    now = [100.0]
    signals = Signals(lambda: now[0])
    for rendition in ("v0", "v1"):
        for slot in range(3):
            span = Span(slot * 4.0, 4.0, main=True, rendition=rendition)
            signals.note("s", "203.0.113.7", span, Wish(slot, slot, 4.0, 4.0, main=True), beacon=False, refused=False)
    now[0] = 110.0
    assert signals.take() == [
        {
            "session_id": "s",
            "window_s": 10.0,
            "segments": 6,
            "unique_segments": 6,
            "renditions": 2,
            "media_s": 12.0,
            "beacons": 0,
            "addresses": ["203.0.113.0/24"],
            "refused_pace": 0,
        }
    ]
    assert signals.take() == []


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("203.0.113.7", "203.0.113.0/24"),
        ("::ffff:203.0.113.7", "203.0.113.0/24"),
        ("2001:db8:1:2::3", "2001:db8:1::/48"),
        ("", ""),
    ],
)
def test_networks_are_told_and_no_addresses(address: str, network: str) -> None:
    assert network_of(address) == network
