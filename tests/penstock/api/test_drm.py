"""Playback sessions of an installation with a DRM vendor, and the questions that vendors ask."""

from __future__ import annotations

import base64
import json
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest

from api_parts import Api, Clock
from penstock.formats.events import AssetEvent
from penstock.settings import Settings, load

AXINOM = {
    "vendor": "axinom",
    "communication_key_id": str(uuid.uuid4()),
    "communication_key": base64.b64encode(b"k" * 32).decode(),
    "license_urls": {"widevine": "https://w.example/acquire", "fairplay": "https://f.example/acquire"},
    "certificate_url": "https://certificates.example/fairplay.cer",
}
DRMTODAY = {"vendor": "drmtoday", "merchant": "mine", "callback_secret": "asked-back"}
EZDRM = {"vendor": "ezdrm", "widevine_profile": "AB12", "callback_secret": "asked-back"}
KIDS = [str(uuid.uuid4()), str(uuid.uuid4())]


@pytest.fixture
def settings(settings: Settings, tmp_path: Path, request: pytest.FixtureRequest) -> Settings:
    path = tmp_path / "drm.json"
    path.write_text(json.dumps(request.param))
    return replace(settings, drm_file=path, streams_per_viewer=1, software_tier="sd")


def opened(api: Api, viewer: str = "ada") -> dict[str, Any]:
    asset_id = api.asset("film.mp4")["asset"]["id"]
    detail = {"assetId": asset_id, "settings": "default", "dash": f"assets/{asset_id}/a/main.mpd", "keyIds": KIDS}
    detail["keyTiers"] = {KIDS[0]: "SD", KIDS[1]: "HD"}
    api.context.catalogue.apply(AssetEvent("Asset Published", detail, str(uuid.uuid4())))
    answer = api.http.post(f"/v1/assets/{asset_id}/playback-sessions", json={"viewer": viewer, "ttl_s": 600})
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def post(api: Api, session: dict[str, Any], what: str) -> httpx.Response:
    headers = {"Authorization": f"Bearer {session['license_token']}"}
    return httpx.post(f"{api.url}/v1/playback-sessions/{session['id']}/{what}", headers=headers)


@pytest.mark.parametrize("settings", [AXINOM], indirect=True)
def test_session_carries_what_a_player_needs_and_heartbeats_renew_it(api: Api, clock: Clock) -> None:
    session = opened(api)
    assert session["license_url"] is None
    assert set(session["drm"]) == {"com.widevine.alpha", "com.apple.fps"}
    widevine, fairplay = session["drm"]["com.widevine.alpha"], session["drm"]["com.apple.fps"]
    assert (widevine["license_url"], widevine["certificate_url"]) == ("https://w.example/acquire", None)
    assert fairplay["certificate_url"] == "https://certificates.example/fairplay.cer"

    def read(access: dict[str, Any]) -> dict[str, Any]:
        options = {"verify_signature": True}
        return dict(jwt.decode(access["headers"]["X-AxDRM-Message"], b"k" * 32, ["HS256"], options))

    told = read(widevine)
    inline = told["message"]["content_keys_source"]["inline"]
    assert {each["id"]: each["usage_policy"] for each in inline} == {KIDS[0]: "software", KIDS[1]: "hardware"}
    assert told["expiration_date"].startswith(session["expires_at"][:19])
    assert post(api, session, "claim").json()["drm"] == session["drm"]
    clock.pass_s(300)
    renewed = read(post(api, session, "heartbeat").json()["drm"]["com.widevine.alpha"])
    assert renewed["expiration_date"] > told["expiration_date"]
    api.http.delete(f"/v1/playback-sessions/{session['id']}")
    assert api.http.get(f"/v1/playback-sessions/{session['id']}").json()["drm"] == {}


@pytest.mark.parametrize("settings", [AXINOM], indirect=True)
def test_pages_may_reach_the_license_servers_and_clearkey_gives_nothing(api: Api) -> None:
    page = api.http.get("/")
    if page.status_code != 503:
        policy = page.headers["Content-Security-Policy"]
        assert "https://w.example https://f.example" in policy or "https://certificates.example" in policy
    session = opened(api)
    headers = {"Authorization": f"Bearer {session['license_token']}"}
    answer = httpx.post(f"{api.url}/v1/licenses/clearkey", headers=headers, json={"kids": [], "type": "temporary"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "forbidden")
    assert httpx.post(f"{api.url}/v1/drm/axinom/authorize").status_code == 404  # it asks nothing


@pytest.mark.parametrize("settings", [DRMTODAY], indirect=True)
def test_vendor_that_asks_back_hears_yes_for_live_sessions_alone(api: Api, clock: Clock) -> None:
    session, other = opened(api), opened(api, "bob")

    def ask(secret: str = "asked-back", **different: Any) -> httpx.Response:
        body = {"asset": session["asset_id"], "session": session["id"], "user": "ada", **different}
        return httpx.post(f"{api.url}/v1/drm/drmtoday/authorize", params={"secret": secret}, json=body)

    answer = ask()
    assert answer.status_code == 200, answer.text
    assert answer.json()["assetId"] == session["asset_id"]
    assert api.context.sessions.get(session["id"]).streaming_since is not None  # it takes one of the viewer's streams
    assert [ask(secret).status_code for secret in ("", "x", "é", "asked-backx")] == [401] * 4
    assert ask(asset=other["asset_id"]).status_code == 403
    for wrong in (str(uuid.uuid4()), "", "x\0"):
        assert ask(session=wrong).status_code == 403
    assert httpx.post(f"{api.url}/v1/drm/drmtoday/authorize?secret=asked-back", content=b"{").status_code == 400
    assert httpx.post(f"{api.url}/v1/drm/ezdrm/authorize?secret=asked-back").status_code == 404
    assert httpx.post(f"{api.url}/v1/drm/%00/authorize?secret=asked-back").status_code == 404
    api.http.delete(f"/v1/playback-sessions/{session['id']}")
    assert ask().status_code == 403
    clock.pass_s(601)
    assert ask(session=other["id"], asset=other["asset_id"]).status_code == 403


@pytest.mark.parametrize("settings", [EZDRM], indirect=True)
def test_question_may_bring_our_own_token(api: Api) -> None:
    session = opened(api)
    address = httpx.URL(session["drm"]["com.widevine.alpha"]["license_url"])
    assert address.params["CustomData"] == session["license_token"]

    def ask(token: str) -> int:
        query = {"secret": "asked-back", "CustomData": token, "pX": "AB12"}
        return httpx.get(f"{api.url}/v1/drm/ezdrm/authorize", params=query).status_code

    assert ask(session["license_token"]) == 200
    # A session for the key of one browser is nobody's before that browser claims it.
    path = f"/v1/assets/{session['asset_id']}/playback-sessions"
    unclaimed = api.http.post(path, json={"viewer": "bob", "binding": {"dpop": True}}).json()
    assert unclaimed["drm"] == {}
    assert ask(unclaimed["license_token"]) == 403
    assert [ask(token) for token in ("x", session["license_token"][:-2] + "AA")] == [403, 403]
    assert ask("") == 400


def test_settings_of_drm() -> None:
    assert load({}).drm_file is None
    assert load({"PENSTOCK_DRM_FILE": "drm.json"}).drm_file == Path("drm.json")
