"""What the edge and players tell of sessions: scores, the webhook, revocation by threshold."""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import Any

import httpx
import pytest

from api_parts import API_KEY, EDGE_TOKEN, Api, Clock
from penstock.anomaly import Window
from penstock.catalogue import Catalogue
from penstock.database import Database
from penstock.entries import Upload
from penstock.errors import SessionExpired
from penstock.formats.events import AssetEvent
from penstock.sessions import Sessions
from penstock.settings import Settings
from penstock.webhooks.endpoints import Endpoints
from penstock.webhooks.outbox import Outbox

RIP = {"window_s": 60, "segments": 1800, "unique_segments": 1800, "renditions": 3, "media_s": 3600.0}
CALM = {"window_s": 60, "segments": 30, "unique_segments": 30, "renditions": 2, "media_s": 60.0, "beacons": 6}


def published(api: Api) -> str:
    asset_id = str(api.asset("film.mp4")["asset"]["id"])
    detail = {"assetId": asset_id, "settings": "default", "jobId": asset_id, "dash": f"assets/{asset_id}/a/main.mpd"}
    api.context.catalogue.apply(AssetEvent("Asset Published", detail, str(uuid.uuid4())))
    return asset_id


def opened(api: Api, asset_id: str, **body: Any) -> dict[str, Any]:
    answer = api.http.post(f"/v1/assets/{asset_id}/playback-sessions", json={"viewer": "ada", **body})
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def tell(api: Api, *sessions: Any, token: str = EDGE_TOKEN) -> httpx.Response:
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.post(f"{api.url}/internal/signals", json={"sessions": list(sessions)}, headers=headers)


def beat(api: Api, session: dict[str, Any], **body: Any) -> httpx.Response:
    headers = {"Authorization": f"Bearer {session['license_token']}"}
    return httpx.post(f"{api.url}/v1/playback-sessions/{session['id']}/heartbeat", headers=headers, json=body)


def test_scores_are_seen_and_suspicious_sessions_found(api: Api) -> None:
    asset_id = published(api)
    calm, ripped = opened(api, asset_id), opened(api, asset_id, viewer="bob")
    assert (calm["score"], calm["signals"]) == (0, [])
    serial = api.context.sessions.get(calm["id"]).serial
    told = tell(
        api,
        {"session_id": ripped["id"], **RIP, "addresses": ["192.0.2.0/24"], "what the edge adds later": 1},
        {"serial": serial, **CALM},
        {"session_id": str(uuid.uuid4()), **CALM},
        {"serial": 999_999_999, **CALM},
    )
    assert (told.status_code, told.json()) == (200, {"known": 2, "unknown": 2})
    found = api.http.get(f"/v1/playback-sessions/{ripped['id']}").json()
    assert (found["score"], found["state"]) == (65, "live")  # revoking is off unless a threshold is set
    assert {each["signal"]: each["points"] for each in found["signals"]} == {"pace": 40, "silent": 25}
    assert "3600 s of media in 60 s" in [each["sentence"] for each in found["signals"]]
    assert [each["id"] for each in api.client.suspicious_sessions()] == [ripped["id"]]
    assert api.http.get(f"/v1/playback-sessions/{calm['id']}").json()["score"] == 0
    for query in ("", "?min_score=60&viewer=ada", "?min_score=0", "?min_score=101"):
        assert api.http.get(f"/v1/playback-sessions{query}").status_code in (400, 422)


def test_overlay_and_reports_of_tampering(api: Api) -> None:
    asset_id = published(api)
    texts = {overlay: opened(api, asset_id, overlay=overlay)["overlay"] for overlay in (True, False, "Ada 4711")}
    assert texts == {True: "ada", False: None, "Ada 4711": "Ada 4711"}
    assert opened(api, asset_id)["overlay"] is None
    session = opened(api, asset_id, overlay=True)
    headers = {"Authorization": f"Bearer {session['license_token']}"}
    config = httpx.post(f"{api.url}/v1/playback-sessions/{session['id']}/claim", headers=headers).json()
    assert config["overlay"] == "ada"
    assert beat(api, session, tampered=1).status_code == 200
    assert beat(api, session, tampered=2, leaving=True).status_code == 200
    found = api.http.get(f"/v1/playback-sessions/{session['id']}").json()
    assert found["signals"] == [
        {"signal": "overlay", "points": 50, "sentence": "the overlay was tampered with 3 times"}
    ]
    for body in ({"tampered": -1}, {"tampered": "1"}, {"tampered": True}, {"tampered": 10**6}):
        assert beat(api, session, **body).status_code == 422
    for overlay in ("", "x" * 65, "a\0b", 1, []):
        answer = api.http.post(f"/v1/assets/{asset_id}/playback-sessions", json={"viewer": "a", "overlay": overlay})
        assert answer.status_code == 422, overlay


def test_signals_that_cannot_be_read_are_4xx(api: Api) -> None:
    good = {"session_id": str(uuid.uuid4()), **CALM}
    for wrong in (
        {**good, "serial": 1},
        CALM,
        {"session_id": good["session_id"]},
        {**good, "segments": -1},
        {**good, "segments": 10**40},
        {**good, "media_s": "much"},
        {**good, "addresses": "192.0.2.0/24"},
        {**good, "addresses": ["x" * 65]},
        {**good, "serial": 2**31, "session_id": None},
        [],
        None,
    ):
        assert tell(api, wrong).status_code == 422, wrong
    headers = {"Authorization": f"Bearer {EDGE_TOKEN}", "Content-Type": "application/json"}
    for body in (b"", b"{", b"[]", b'{"sessions": [{"serial": 1, "window_s": NaN}]}', b"[" * 10**5):
        answer = httpx.post(f"{api.url}/internal/signals", content=body, headers=headers)
        assert answer.status_code in (400, 422), body[:40]
    for token in (API_KEY, "", "x"):
        assert tell(api, good, token=token or "-").status_code == 401


class TestRevocation:
    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return replace(settings, revoke_score=60, overlay=True)

    def test_session_at_the_threshold_is_over(self, api: Api) -> None:
        session = opened(api, published(api))
        assert session["overlay"] == "ada"
        tell(api, {"session_id": session["id"], **RIP})
        assert api.http.get(f"/v1/playback-sessions/{session['id']}").json()["state"] == "revoked"
        answer = beat(api, session)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "session_expired")
        assert api.context.sessions.revoked()[0].id == session["id"]


class TestEitherDatabase:
    def test_suspicion_is_told_once_and_revocation_after_it(
        self, database: Database, catalogue: Catalogue, clock: Clock
    ) -> None:
        Endpoints(database, b"m" * 32, clock=clock).add("https://example.com/", (), "")
        asset_id = str(uuid.uuid4())
        catalogue.create(asset_id, "A", Upload("inputs/a", 1, "video/mp4", "post"))
        sessions = Sessions(database, clock=clock, revoke_score=90)
        session = sessions.open(asset_id, "ada", 600)
        for _ in range(2):
            assert sessions.observe([(session.id, Window(**RIP))]) == 1
        assert sessions.get(session.id).suspicious_at is not None
        sessions.tampered(session.id, 2)
        assert sessions.observe([(session.serial, Window(**RIP))]) == 0
        with pytest.raises(SessionExpired, match="not used as a player"):
            sessions.renew(session.id)
        clock.pass_s(1)
        outbox, told = Outbox(database, clock=clock), []
        while taken := outbox.take(10):
            told += taken
            for each in taken:
                outbox.delivered(each, 204)
        assert [each.type for each in told[1:]] == ["session.opened", "session.suspicious", "session.revoked"]
        assert '"signals":["pace","silent"]' in told[2].body
        assert '"reason":"suspicious"' in told[3].body

    def test_more_windows_than_one_transaction_takes_are_all_taken(
        self, database: Database, catalogue: Catalogue, clock: Clock
    ) -> None:
        asset_id = str(uuid.uuid4())
        catalogue.create(asset_id, "A", Upload("inputs/a", 1, "video/mp4", "post"))
        sessions = Sessions(database, clock=clock)
        session = sessions.open(asset_id, "ada", 600)
        assert sessions.observe([(session.id, Window(1, 1)), ("nobody", Window(1, 1))] * 125) == 125
        assert (sessions.get(session.id).observed or {})["segments"] == 125

    def test_one_heartbeat_tells_that_there_is_a_player(
        self, database: Database, catalogue: Catalogue, clock: Clock
    ) -> None:
        asset_id = str(uuid.uuid4())
        catalogue.create(asset_id, "A", Upload("inputs/a", 1, "video/mp4", "post"))
        sessions = Sessions(database, clock=clock)
        session = sessions.open(asset_id, "ada", 600)
        sessions.watch(session)  # a license is none
        sessions.observe([(session.id, Window(60, 40, 40, 2, 60))])
        assert sessions.get(session.id).score == 25
        sessions.renew(session.id)
        assert sessions.get(session.id).score == 0
