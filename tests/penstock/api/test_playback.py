"""Playback sessions, licenses and the key provider: who gets what, and who gets nothing."""

from __future__ import annotations

import base64
import json
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from api_parts import API_KEY, CREDENTIALS, EDGE_TOKEN, EVENT_TOKEN, Api, Clock
from penstock import license as licenses
from penstock.errors import BadSignature, Forbidden
from penstock.formats import cookies, cpix, speke_v1, tokens
from penstock.formats.events import AssetEvent
from penstock.model import ContentKey, KeyId, Scheme
from penstock.settings import Settings
from penstock.tiers import Policy, Tier

CLEARKEY = uuid.UUID("e2719d58-a985-b3c9-781a-b030af78d30e")


class Film:
    """A published asset with two keys."""

    def __init__(self, api: Api, **detail: Any) -> None:
        self.id = api.asset("film.mp4")["asset"]["id"]
        self.kids = [KeyId(uuid.uuid4().bytes), KeyId(uuid.uuid4().bytes)]
        prefix = f"assets/{self.id}/default/stream/main"
        published = {
            "assetId": self.id,
            "settings": "default",
            "jobId": f"job-of-{self.id}",
            "dash": f"{prefix}.viewer.mpd",
            "hls": f"{prefix}.viewer.m3u8",
            "keyIds": [str(kid) for kid in self.kids],
            **detail,
        }
        api.context.catalogue.apply(AssetEvent("Asset Published", published, str(uuid.uuid4())))


@pytest.fixture
def film(api: Api) -> Film:
    return Film(api)


@pytest.fixture
def opened(api: Api, film: Film) -> dict[str, Any]:
    answer = api.http.post(f"/v1/assets/{film.id}/playback-sessions", json={"viewer": "ada", "ttl_s": 600})
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def ask(api: Api, kids: list[KeyId], token: str | None) -> httpx.Response:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    body = {"kids": [kid.base64url for kid in kids], "type": "temporary"}
    return httpx.post(f"{api.url}/v1/licenses/clearkey", json=body, headers=headers)


def claim(api: Api, session_id: str, token: str) -> httpx.Response:
    return httpx.post(
        f"{api.url}/v1/playback-sessions/{session_id}/claim", headers={"Authorization": f"Bearer {token}"}
    )


class TestSessions:
    def test_session_has_what_a_viewer_needs(self, api: Api, film: Film, opened: dict[str, Any]) -> None:
        assert opened["dash_url"] == f"{api.url}/assets/{film.id}/default/stream/main.viewer.mpd"
        assert opened["hls_url"] == f"{api.url}/assets/{film.id}/default/stream/main.viewer.m3u8"
        assert opened["license_url"] == f"{api.url}/v1/licenses/clearkey"
        assert opened["watch_url"] == f"{api.url}/watch/{opened['id']}#{opened['license_token']}"
        assert (opened["asset_id"], opened["viewer"], opened["state"]) == (film.id, "ada", "live")
        assert api.http.get(f"/v1/playback-sessions/{opened['id']}").json() == opened

    def test_cookies_let_in_to_this_asset_until_the_session_ends(
        self, api: Api, film: Film, opened: dict[str, Any], clock: Clock, signing_key: tuple[bytes, bytes]
    ) -> None:
        keys = {"penstock-1": cookies.load_public_key(signing_key[1])}

        def judge(url: str, after_s: float = 0) -> None:
            now = clock().timestamp() + after_s
            cookies.verify(url=url, cookies=opened["cookies"], public_keys=keys, client_ip="127.0.0.1", now=now)

        judge(opened["dash_url"])
        judge(f"{api.url}/assets/{film.id}/default/stream/seg-1.cmfv", after_s=590)
        elsewhere = opened["dash_url"].replace(film.id, str(uuid.uuid4()))
        clear_file = f"{api.url}/assets/{film.id}/small/mp4/film.mp4"
        for url, after_s in ((opened["dash_url"], 601), (elsewhere, 0), (clear_file, 0)):
            with pytest.raises(BadSignature):
                judge(url, after_s)

    def test_path_tokens_open_what_the_cookies_open(self, api: Api, film: Film, opened: dict[str, Any]) -> None:
        for name in ("dash", "hls"):
            parts = urlsplit(opened[f"{name}_token_url"]).path.split("/", 3)
            assert parts[1] == "t"
            assert f"{api.url}/{parts[3]}" == opened[f"{name}_url"]
            claims = tokens.verify_path(parts[2], {"penstock-1": b"p" * 43}, api.context.clock().timestamp())
            assert claims.session_id == opened["id"]
            assert claims.path == f"/assets/{film.id}/default/stream/"
            assert claims.expires == int(datetime.fromisoformat(opened["expires_at"]).timestamp())
            assert len(parts[2]) < 400
            assert ask(api, film.kids, parts[2]).status_code == 403  # it opens files and gets no keys

    def test_asset_that_is_not_published_cannot_be_played(self, api: Api) -> None:
        asset_id = api.asset()["asset"]["id"]
        answer = api.http.post(f"/v1/assets/{asset_id}/playback-sessions", json={"viewer": "ada"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "conflict")
        assert "waiting" in answer.json()["error"]["message"]

    def test_asset_without_a_manifest_says_so(self, api: Api) -> None:
        film = Film(api, dash=None, hls=None)
        answer = api.http.post(f"/v1/assets/{film.id}/playback-sessions", json={"viewer": "ada"})
        assert "without a DASH or HLS manifest" in answer.json()["error"]["message"]

    def test_session_lives_as_long_as_the_settings_say(self, api: Api, film: Film, clock: Clock) -> None:
        answer = api.http.post(f"/v1/assets/{film.id}/playback-sessions", json={"viewer": "ada"}).json()
        assert api.context.sessions.get(answer["id"]).live(clock())
        clock.pass_s(api.context.settings.session_ttl_s - 2)
        assert api.context.sessions.get(answer["id"]).live(clock())
        clock.pass_s(3)
        assert not api.context.sessions.get(answer["id"]).live(clock())

    @pytest.mark.parametrize("how", ["expired", "ended"])
    def test_session_that_is_over_keeps_no_secrets(
        self, api: Api, opened: dict[str, Any], clock: Clock, how: str
    ) -> None:
        if how == "ended":
            for _ in range(2):
                assert api.http.delete(f"/v1/playback-sessions/{opened['id']}").status_code == 204
        else:
            clock.pass_s(601)
        answer = api.http.get(f"/v1/playback-sessions/{opened['id']}").json()
        assert answer["state"] == how
        assert answer["cookies"] == {}
        assert [answer[name] for name in ("dash_token_url", "dash_url", "license_token", "watch_url")] == [None] * 4

    def test_unknown_session_is_404(self, api: Api) -> None:
        for method in ("GET", "DELETE"):
            assert api.http.request(method, f"/v1/playback-sessions/{uuid.uuid4()}").status_code == 404

    def test_ladder_output_is_preferred_to_other_job_settings(self, api: Api) -> None:
        film = Film(api)
        detail = {"assetId": film.id, "settings": "a", "jobId": "other", "dash": "assets/x/a.mpd"}
        api.context.catalogue.apply(AssetEvent("Asset Published", detail, str(uuid.uuid4())))
        answer = api.http.post(f"/v1/assets/{film.id}/playback-sessions", json={"viewer": "ada"}).json()
        assert "/default/" in answer["dash_url"]

    def test_secrets_of_a_session_are_silent_in_repr(self, api: Api, film: Film, opened: dict[str, Any]) -> None:
        entry, session = api.context.catalogue.entry(film.id), api.context.sessions.get(opened["id"])
        shown = repr(api.context.playback.grant(session, entry)) + repr(api.context) + repr(api.client)
        for secret in (
            opened["license_token"],
            opened["dash_token_url"],
            *opened["cookies"].values(),
            "pk_of",
            CREDENTIALS.secret_access_key,
        ):
            assert secret not in shown or secret == "penstock-1"


class TestClaim:
    def test_claim_sets_the_cookies_for_this_asset_only(self, api: Api, film: Film, opened: dict[str, Any]) -> None:
        answer = claim(api, opened["id"], opened["license_token"])
        assert answer.status_code == 200
        assert answer.json() == {
            "title": "film.mp4",
            "dash_url": opened["dash_url"],
            "hls_url": opened["hls_url"],
            "license_url": opened["license_url"],
            "expires_at": opened["expires_at"],
            "heartbeat_s": 30,
            "dash_token_url": opened["dash_token_url"],
            "hls_token_url": opened["hls_token_url"],
            "overlay": None,
            "drm": {},
            "playback_rate": 1.0,
            "dpop": False,
        }
        lines = answer.headers.get_list("set-cookie")
        assert {line.split("=")[0] for line in lines} == set(opened["cookies"])
        for line in lines:
            attributes = line.lower()
            assert f"path=/assets/{film.id}/" in attributes
            assert "httponly" in attributes
            assert "samesite=lax" in attributes
            assert "secure" not in attributes  # the address of the tests is http
        for name, value in opened["cookies"].items():
            assert any(line.startswith(f"{name}={value};") for line in lines)

    @pytest.mark.parametrize("token", ["", "x", "é", "a" * 5000, "eyJhbGciOiJub25lIn0.e30."])
    def test_without_a_token_that_holds_nothing_is_claimed(self, api: Api, opened: dict[str, Any], token: str) -> None:
        headers = {"Authorization": f"Bearer {token}".strip().encode()}
        answer = httpx.post(f"{api.url}/v1/playback-sessions/{opened['id']}/claim", headers=headers)
        assert answer.status_code in (401, 403)
        assert "set-cookie" not in answer.headers

    def test_token_of_another_session_claims_nothing(self, api: Api, film: Film, opened: dict[str, Any]) -> None:
        other = api.http.post(f"/v1/assets/{film.id}/playback-sessions", json={"viewer": "bob"}).json()
        assert claim(api, other["id"], opened["license_token"]).status_code == 403

    def test_session_that_is_over_cannot_be_claimed(self, api: Api, opened: dict[str, Any]) -> None:
        api.http.delete(f"/v1/playback-sessions/{opened['id']}")
        answer = claim(api, opened["id"], opened["license_token"])
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "session_expired")


class TestHeartbeat:
    def beat(self, api: Api, session_id: str, token: str, **body: Any) -> httpx.Response:
        address = f"{api.url}/v1/playback-sessions/{session_id}/heartbeat"
        return httpx.post(address, headers={"Authorization": f"Bearer {token}"}, json=body or None)

    def test_heartbeat_renews_session_token_and_cookies(self, api: Api, opened: dict[str, Any], clock: Clock) -> None:
        token = opened["license_token"]
        for _ in range(3):
            clock.pass_s(400)
            answer = self.beat(api, opened["id"], token)
            assert answer.status_code == 200, answer.text
            token = answer.json()["license_token"]
        assert datetime.fromisoformat(answer.json()["expires_at"]) > clock() + timedelta(seconds=590)
        now = api.http.get(f"/v1/playback-sessions/{opened['id']}").json()
        assert (now["state"], now["license_token"]) == ("live", token)
        lines = answer.headers.get_list("set-cookie")
        assert any(line.startswith(f"CloudFront-Policy={now['cookies']['CloudFront-Policy']};") for line in lines)
        assert all("httponly" in line.lower() for line in lines)

    def test_session_is_not_renewed_beyond_its_end(self, api: Api, film: Film, clock: Clock) -> None:
        body = {"viewer": "ada", "ttl_s": 60, "max_s": 60}
        opened = api.http.post(f"/v1/assets/{film.id}/playback-sessions", json=body).json()
        clock.pass_s(50)
        assert self.beat(api, opened["id"], opened["license_token"]).json()["expires_at"] == opened["expires_at"]
        clock.pass_s(10)
        answer = self.beat(api, opened["id"], opened["license_token"])
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "session_expired")

    def test_players_of_short_sessions_beat_oftener(self, api: Api, film: Film) -> None:
        opened = api.http.post(f"/v1/assets/{film.id}/playback-sessions", json={"viewer": "ada", "ttl_s": 12}).json()
        assert claim(api, opened["id"], opened["license_token"]).json()["heartbeat_s"] == 4

    def test_only_the_sessions_own_token_beats(self, api: Api, film: Film, opened: dict[str, Any]) -> None:
        other = api.http.post(f"/v1/assets/{film.id}/playback-sessions", json={"viewer": "bob"}).json()
        assert self.beat(api, opened["id"], other["license_token"]).status_code == 403
        assert self.beat(api, opened["id"], API_KEY).status_code == 403
        assert httpx.post(f"{api.url}/v1/playback-sessions/{opened['id']}/heartbeat").status_code == 401

    @pytest.mark.parametrize("body", [{"leaving": "yes"}, {"x": 1}, [], "x"])
    def test_body_that_cannot_be_read_is_4xx(self, api: Api, opened: dict[str, Any], body: Any) -> None:
        headers = {"Authorization": f"Bearer {opened['license_token']}"}
        address = f"{api.url}/v1/playback-sessions/{opened['id']}/heartbeat"
        assert httpx.post(address, headers=headers, json=body).status_code == 422


class TestStreams:
    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return replace(settings, streams_per_viewer=1)

    def test_second_stream_ends_the_first(self, api: Api, film: Film, opened: dict[str, Any]) -> None:
        assert ask(api, film.kids, opened["license_token"]).status_code == 200
        second = api.http.post(f"/v1/assets/{film.id}/playback-sessions", json={"viewer": "ada"}).json()
        assert ask(api, film.kids, second["license_token"]).status_code == 200
        answer = ask(api, film.kids, opened["license_token"])
        assert (answer.status_code, answer.json()["error"]["code"]) == (429, "too_many_streams")
        assert api.http.get(f"/v1/playback-sessions/{opened['id']}").json()["state"] == "displaced"

    def test_player_that_leaves_makes_room(self, api: Api, film: Film, opened: dict[str, Any]) -> None:
        ask(api, film.kids, opened["license_token"])
        assert TestHeartbeat().beat(api, opened["id"], opened["license_token"], leaving=True).status_code == 200
        assert api.http.get(f"/v1/playback-sessions/{opened['id']}").json()["state"] == "live"


class TestSessionsOfAViewer:
    def test_they_are_listed_without_their_secrets_and_ended_together(
        self, api: Api, film: Film, opened: dict[str, Any]
    ) -> None:
        path = f"/v1/assets/{film.id}/playback-sessions"
        others = [api.http.post(path, json={"viewer": viewer}).json() for viewer in ("ada", "bob")]
        api.http.delete(f"/v1/playback-sessions/{opened['id']}")
        listed = api.http.get("/v1/playback-sessions", params={"viewer": "ada"})
        found = {each["id"]: each["state"] for each in listed.json()["playback_sessions"]}
        assert found == {opened["id"]: "ended", others[0]["id"]: "live"}
        assert others[0]["license_token"] not in listed.text
        assert [each["id"] for each in api.client.playback_sessions("ada")] == list(found)
        assert api.client.end_playback_sessions("ada") == 1
        assert ask(api, film.kids, others[0]["license_token"]).status_code == 403
        assert ask(api, film.kids, others[1]["license_token"]).status_code == 200

    def test_a_viewer_has_to_be_named(self, api: Api) -> None:
        for method in ("GET", "DELETE"):
            for query in ("", "?viewer="):
                answer = api.http.request(method, f"/v1/playback-sessions{query}")
                assert answer.status_code in (400, 422)
                assert answer.json()["error"]["code"] == "invalid_request"


class TestRevocations:
    def test_edge_is_told_who_was_ended(self, api: Api, opened: dict[str, Any], clock: Clock) -> None:
        headers = {"Authorization": f"Bearer {EDGE_TOKEN}"}

        def told() -> dict[str, Any]:
            return dict(httpx.get(f"{api.url}/internal/revocations", headers=headers).json())

        assert told() == {"serials": [], "sessions": []}
        api.http.delete(f"/v1/playback-sessions/{opened['id']}")
        serial = api.context.sessions.get(opened["id"]).serial
        assert told() == {"serials": [serial], "sessions": [opened["id"]]}
        clock.pass_s(601)
        assert told() == {"serials": [], "sessions": []}

    @pytest.mark.parametrize("token", ["", EVENT_TOKEN, API_KEY, EDGE_TOKEN + "x"])
    def test_nobody_else_is(self, api: Api, token: str) -> None:
        headers = {"Authorization": f"Bearer {token}".strip()}
        assert httpx.get(f"{api.url}/internal/revocations", headers=headers).status_code == 401


class TestLicense:
    def test_live_session_gets_the_keys_of_its_asset(self, api: Api, film: Film, opened: dict[str, Any]) -> None:
        answer = ask(api, film.kids, opened["license_token"])
        assert answer.status_code == 200, answer.text
        got = {key["kid"]: base64.urlsafe_b64decode(key["k"] + "==") for key in answer.json()["keys"]}
        wanted = {kid.base64url: api.context.keys.content_key(film.id, kid).reveal() for kid in film.kids}
        assert got == wanted
        assert answer.headers["Cache-Control"] == "no-store"

    def test_clear_key_gets_the_tiers_that_software_may_have(self, api: Api) -> None:
        sound, small, large = (KeyId(uuid.uuid4().bytes) for _ in range(3))
        names = {str(sound): "AUDIO", str(small): "SD", str(large): "HD"}
        film = Film(api, keyIds=list(names), keyTiers=names)
        entry = api.context.catalogue.entry(film.id)
        policy = Policy(software=Tier.SD)

        def asked(*kids: KeyId) -> list[str]:
            body = json.dumps({"kids": [kid.base64url for kid in kids]}).encode()
            license_ = json.loads(licenses.answer(body, entry, api.context.keys, policy))
            return [key["kid"] for key in license_["keys"]]

        assert asked(large, small, sound) == [small.base64url, sound.base64url]
        # For what it may not have, a player is told what it may: it goes on with that.
        assert set(asked(large)) == {small.base64url, sound.base64url}
        with pytest.raises(Forbidden, match="not one of this asset"):
            asked(small, KeyId(uuid.uuid4().bytes))
        entry = api.context.catalogue.entry(Film(api, keyIds=[str(large)], keyTiers={str(large): "UHD"}).id)
        with pytest.raises(Forbidden, match="hardware"):
            asked(large)

    def test_without_a_token_no_license(self, api: Api, film: Film) -> None:
        assert ask(api, film.kids, None).status_code == 401
        assert httpx.post(f"{api.url}/v1/licenses/clearkey", content=b"{").status_code == 401

    def test_api_key_is_no_license_token(self, api: Api, film: Film) -> None:
        assert ask(api, film.kids, "pk_of-the-tests").status_code == 403

    def test_expired_session_gets_no_license(self, api: Api, film: Film, opened: dict[str, Any], clock: Clock) -> None:
        clock.pass_s(601)
        answer = ask(api, film.kids, opened["license_token"])
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "session_expired")

    def test_revoked_session_gets_no_license(self, api: Api, film: Film, opened: dict[str, Any]) -> None:
        api.http.delete(f"/v1/playback-sessions/{opened['id']}")
        assert ask(api, film.kids, opened["license_token"]).status_code == 403

    def test_session_of_a_deleted_asset_gets_no_license(self, api: Api, film: Film, opened: dict[str, Any]) -> None:
        api.http.delete(f"/v1/assets/{film.id}")
        assert ask(api, film.kids, opened["license_token"]).status_code == 403

    def test_keys_of_another_asset_are_refused_and_none_is_given(
        self, api: Api, film: Film, opened: dict[str, Any]
    ) -> None:
        other = Film(api)
        for kids in (other.kids, [film.kids[0], other.kids[0]]):
            answer = ask(api, kids, opened["license_token"])
            assert answer.status_code == 403
            assert "keys" not in answer.json()

    def test_token_with_a_changed_byte_is_refused(self, api: Api, film: Film, opened: dict[str, Any]) -> None:
        token = opened["license_token"]
        for place in (0, len(token) // 2, len(token) - 2):
            changed = token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :]
            assert ask(api, film.kids, changed).status_code == 403, place

    @pytest.mark.parametrize(
        "body", [b"", b"{", b"[]", b'{"kids": []}', b'{"kids": ["x"]}', b'{"kids": "x"}', b'{"kids": [1]}', b"\xff"]
    )
    def test_request_that_cannot_be_read_is_4xx(self, api: Api, opened: dict[str, Any], body: bytes) -> None:
        headers = {"Authorization": f"Bearer {opened['license_token']}"}
        answer = httpx.post(f"{api.url}/v1/licenses/clearkey", content=body, headers=headers)
        assert answer.status_code == 400
        assert answer.json()["error"]["message"]

    def test_what_a_player_says_of_itself_is_no_unknown_parameter(
        self, api: Api, film: Film, opened: dict[str, Any]
    ) -> None:
        headers = {"Authorization": f"Bearer {opened['license_token']}"}
        address, body = f"{api.url}/v1/licenses/clearkey", {"kids": [film.kids[0].base64url], "type": "temporary"}
        said = {"CMCD": 'br=374,ot=k,sf=d,sid="4c1d",st=v'}
        assert httpx.post(address, json=body, headers=headers, params=said).status_code == 200
        assert httpx.post(address, json=body, headers=headers, params={"cmcd": "x"}).status_code == 400


class TestAbuse:
    def test_ten_thousand_kids_get_nothing(self, api: Api, film: Film, opened: dict[str, Any]) -> None:
        for kids in (
            [*film.kids, *(KeyId(uuid.uuid4().bytes) for _ in range(62))],
            film.kids * 5_000,
            [KeyId(uuid.uuid4().bytes) for _ in range(10_000)],
        ):
            answer = ask(api, kids, opened["license_token"])
            assert answer.status_code in (400, 403), len(kids)
            assert "keys" not in answer.json()

    @pytest.mark.parametrize(
        "body", [b"[" * 100_000, b'{"kids":' * 10_000, b'"' * 10**6, b"\0" * 2000, b"{}" * 600_000]
    )
    def test_bodies_made_to_break_a_reader_are_4xx(self, api: Api, opened: dict[str, Any], body: bytes) -> None:
        headers = {"Authorization": f"Bearer {opened['license_token']}"}
        for path in ("/v1/licenses/clearkey", f"/v1/playback-sessions/{opened['id']}/heartbeat"):
            answer = httpx.post(f"{api.url}{path}", content=body, headers=headers)
            assert 400 <= answer.status_code < 500, path
            assert answer.json()["error"]["code"]

    @pytest.mark.parametrize("skew_s", [-tokens.AHEAD_S, 120])
    def test_clocks_that_differ_a_little_break_no_session(
        self, api: Api, film: Film, opened: dict[str, Any], clock: Clock, skew_s: int
    ) -> None:
        """Several machines serve one API: one signs, another one verifies, and one of them is early."""
        clock.pass_s(skew_s)
        assert ask(api, film.kids, opened["license_token"]).status_code == 200
        beat = TestHeartbeat().beat(api, opened["id"], opened["license_token"])
        assert beat.status_code == 200
        assert beat.json()["expires_at"] >= opened["expires_at"]
        clock.pass_s(-skew_s)
        assert ask(api, film.kids, beat.json()["license_token"]).status_code == 200

    def test_token_of_a_day_to_come_is_refused(
        self, api: Api, film: Film, opened: dict[str, Any], clock: Clock
    ) -> None:
        clock.pass_s(-86400)
        assert ask(api, film.kids, opened["license_token"]).status_code == 403

    def test_flood_of_sessions_is_answered_listed_and_ended(self, api: Api, film: Film) -> None:
        path, body = f"/v1/assets/{film.id}/playback-sessions", {"viewer": "flood"}
        with ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(lambda _: api.http.post(path, json=body, timeout=60), range(200)))
        assert {answer.status_code for answer in answers} == {201}
        sessions = [answer.json() for answer in answers]
        assert len({session["id"] for session in sessions}) == 200
        assert len(list(api.client.playback_sessions("flood"))) == 200
        assert api.client.end_playback_sessions("flood") == 200
        told = httpx.get(f"{api.url}/internal/revocations", headers={"Authorization": f"Bearer {EDGE_TOKEN}"}).json()
        assert set(told["sessions"]) == {session["id"] for session in sessions}
        with ThreadPoolExecutor(16) as pool:
            refused = list(pool.map(lambda each: ask(api, film.kids, each["license_token"]), sessions[:50]))
        assert {answer.status_code for answer in refused} == {403}


class TestKeyProvider:
    @pytest.fixture
    def kid(self) -> KeyId:
        return KeyId(uuid.uuid4().bytes)

    @pytest.fixture
    def request_xml(self, kid: KeyId) -> bytes:
        return cpix.build(
            cpix.Cpix(
                content_id="asset-1",
                keys=(cpix.CpixKey(kid, Scheme.CBCS, None, None),),
                drm_systems=(cpix.DrmSystem(kid, CLEARKEY, None, None, None, None, None),),
                usage_rules=(cpix.UsageRule(kid, "ALL"),),
            )
        )

    def test_api_key_gets_the_keys(self, api: Api, request_xml: bytes, kid: KeyId) -> None:
        answer = api.http.post("/speke/v2/copyProtection", content=request_xml)
        assert answer.status_code == 200, answer.text
        assert answer.headers["X-Speke-Version"] == "2.0"
        assert answer.headers["Content-Type"].startswith("application/xml")
        key = cpix.parse(answer.content).keys[0]
        assert key.key == api.context.keys.content_key("asset-1", kid)
        assert isinstance(key.key, ContentKey)

    def test_version_1_has_an_address_of_its_own(self, api: Api, kid: KeyId) -> None:
        asked = speke_v1.Document("asset-1", (cpix.CpixKey(kid),), (speke_v1.DrmSystem(kid, CLEARKEY),))
        answer = api.http.post("/speke/v1/copyProtection", content=speke_v1.build(asked))
        assert answer.status_code == 200, answer.text
        assert answer.headers["Speke-User-Agent"] and "X-Speke-Version" not in answer.headers
        (key,) = speke_v1.parse(answer.content).keys
        assert key.key == api.context.keys.content_key("asset-1", kid)

    def test_a_version_that_is_not_spoken_is_refused_by_name(self, api: Api, request_xml: bytes) -> None:
        headers = {"X-Speke-Version": "2.1"}
        answer = api.http.post("/speke/v2/copyProtection", content=request_xml, headers=headers)
        assert answer.status_code == 400 and "Unsupported SPEKE version '2.1'" in answer.json()["error"]["message"]

    def sign(self, api: Api, body: bytes, service: str, secret: str, query: str = "") -> dict[str, str]:
        """By botocore, as MediaConvert signs what it sends to API Gateway."""
        request = AWSRequest("POST", f"{api.url}/speke/v2/copyProtection{query}", data=body)
        request.headers["Host"] = urlsplit(api.url).netloc
        SigV4Auth(Credentials(CREDENTIALS.access_key_id, secret), service, "us-east-1").add_auth(request)
        return dict(request.headers)

    def test_aws_signature_gets_the_keys(self, api: Api, request_xml: bytes) -> None:
        for query in ("", "?stage=live&a=%20b"):
            headers = self.sign(api, request_xml, "execute-api", CREDENTIALS.secret_access_key, query)
            address = f"{api.url}/speke/v2/copyProtection{query}"
            answer = httpx.post(address, content=request_xml, headers=headers)
            assert answer.status_code == 200, answer.text

    @pytest.mark.parametrize("wrong", ["secret", "service", "body"])
    def test_signature_that_does_not_hold_is_refused(self, api: Api, request_xml: bytes, wrong: str) -> None:
        secret = "other-secret" if wrong == "secret" else CREDENTIALS.secret_access_key
        headers = self.sign(api, request_xml, "s3" if wrong == "service" else "execute-api", secret)
        body = request_xml.replace(b"asset-1", b"asset-2") if wrong == "body" else request_xml
        answer = httpx.post(f"{api.url}/speke/v2/copyProtection", content=body, headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "unauthorized")

    @pytest.mark.parametrize("value", ["", "Bearer x", "Bearer", "AWS4-HMAC-SHA256 x", "Basic eDp5"])
    def test_strangers_get_nothing(self, api: Api, request_xml: bytes, value: str) -> None:
        headers = {"Authorization": value} if value else {}
        answer = httpx.post(f"{api.url}/speke/v2/copyProtection", content=request_xml, headers=headers)
        assert answer.status_code == 401

    def test_license_token_is_no_key_to_the_key_provider(
        self, api: Api, request_xml: bytes, opened: dict[str, Any]
    ) -> None:
        headers = {"Authorization": f"Bearer {opened['license_token']}"}
        assert httpx.post(f"{api.url}/speke/v2/copyProtection", content=request_xml, headers=headers).status_code == 401

    @pytest.mark.parametrize("body", [b"", b"x", b"<a/>", b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', b"\xff\xfe"])
    def test_what_is_no_cpix_is_4xx(self, api: Api, body: bytes) -> None:
        answer = api.http.post("/speke/v2/copyProtection", content=body)
        assert 400 <= answer.status_code < 500
        assert answer.json()["error"]["code"]
