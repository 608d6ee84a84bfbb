"""Sessions that are bound: what the API hands out for them, and who gets licenses."""

from __future__ import annotations

import uuid
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from api_parts import API_KEY, Api
from browser_key import BrowserKey
from penstock.formats import binding, policies, tokens
from penstock.formats.cookies import SESSION_COOKIE, _decode
from penstock.formats.events import AssetEvent
from penstock.model import KeyId


@pytest.fixture
def film(api: Api) -> tuple[str, KeyId]:
    asset_id, kid = api.asset("film.mp4")["asset"]["id"], KeyId(uuid.uuid4().bytes)
    prefix = f"assets/{asset_id}/default/stream/main"
    published = {
        "assetId": asset_id,
        "settings": "default",
        "jobId": "job",
        "dash": f"{prefix}.viewer.mpd",
        "hls": f"{prefix}.viewer.m3u8",
        "keyIds": [str(kid)],
    }
    api.context.catalogue.apply(AssetEvent("Asset Published", published, str(uuid.uuid4())))
    return asset_id, kid


def opened(api: Api, film: tuple[str, KeyId], **terms: Any) -> dict[str, Any]:
    answer = api.http.post(f"/v1/assets/{film[0]}/playback-sessions", json={"viewer": "ada", **terms})
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def claims_of(api: Api, session: dict[str, Any]) -> tokens.PathClaims:
    now = api.context.clock().timestamp()
    return tokens.verify_path(session["cookies"][SESSION_COOKIE], api.context.playback._path_token_keys, now)


def post(api: Api, path: str, token: str, key: BrowserKey | None = None, body: Any = None, **proof: Any) -> Any:
    url = f"{api.context.settings.url}{path}"
    headers = {"Authorization": f"Bearer {token}"}
    if key is not None:
        now = int(api.context.clock().timestamp())
        headers["DPoP"] = key.proof("POST", url, **{"token": token, "iat": now, **proof})
    return httpx.post(str(api.http.base_url) + path, headers=headers, json=body)


def test_token_and_policy_carry_what_the_session_is_bound_to(api: Api, film: tuple[str, KeyId]) -> None:
    bound = {"address": "203.0.113.7/24", "asn": 64500, "country": "CH", "user_agent": "Firefox"}
    session = opened(api, film, binding=bound, playback_rate=2)
    claims = claims_of(api, session)
    assert claims.binding == binding.Binding("203.0.113.0/24", 64500, "CH", binding.hash_of("Firefox"))
    assert (claims.speed, claims.manifests) == (2.0, ("main.viewer.mpd", "main.viewer.m3u8"))
    policy = policies.read(_decode(session["cookies"]["CloudFront-Policy"], 4096))
    assert (policy.source_ip, policy.not_before) == ("203.0.113.0/24", claims.serial)
    assert f"/t/{session['cookies'][SESSION_COOKIE]}/" in session["dash_token_url"]


def test_pace_key_is_of_viewer_and_asset_and_not_of_the_session(api: Api, film: tuple[str, KeyId]) -> None:
    one, two = claims_of(api, opened(api, film)), claims_of(api, opened(api, film))
    other = claims_of(api, opened(api, film, viewer="bob"))
    assert one.session_id != two.session_id
    assert one.pace_key == two.pace_key != other.pace_key


def test_ipv6_is_left_to_the_token(api: Api, film: tuple[str, KeyId]) -> None:
    session = opened(api, film, binding={"address": "2001:db8::/32"})
    assert policies.read(_decode(session["cookies"]["CloudFront-Policy"], 4096)).source_ip is None
    assert claims_of(api, session).binding.network == "2001:db8::/32"


@pytest.mark.parametrize(
    "terms",
    [
        {"binding": {"address": "everywhere"}},
        {"binding": {"asn": 0}},
        {"binding": {"asn": "64500"}},
        {"binding": {"country": "ch"}},
        {"binding": {"user_agent": ""}},
        {"binding": {"dpop": "yes"}},
        {"binding": {"color": "red"}},
        {"binding": []},
        {"playback_rate": 0.5},
        {"playback_rate": 5},
        {"playback_rate": "fast"},
    ],
)
def test_what_nothing_can_be_bound_to_is_a_bad_request(
    api: Api, film: tuple[str, KeyId], terms: dict[str, Any]
) -> None:
    answer = api.http.post(f"/v1/assets/{film[0]}/playback-sessions", json={"viewer": "ada", **terms})
    assert answer.status_code in (400, 422)
    assert answer.json()["error"]["code"] == "invalid_request"


class TestKey:
    """Sessions that are bound to a browser's key."""

    @pytest.fixture
    def keyed(self, api: Api, film: tuple[str, KeyId]) -> dict[str, Any]:
        return opened(api, film, binding={"dpop": True})

    def claim(self, api: Api, keyed: dict[str, Any], key: BrowserKey | None, **proof: Any) -> Any:
        path = f"/v1/playback-sessions/{keyed['id']}/claim"
        return post(api, path, keyed["license_token"], key, **proof)

    def test_nothing_opens_media_before_a_browser_has_claimed_it(self, api: Api, keyed: dict[str, Any]) -> None:
        assert (keyed["cookies"], keyed["dash_token_url"], keyed["hls_token_url"]) == ({}, None, None)
        assert self.claim(api, keyed, None).status_code == 403

    def test_first_browser_gets_it_and_keeps_it(self, api: Api, keyed: dict[str, Any]) -> None:
        mine, other = BrowserKey(), BrowserKey()
        claimed = self.claim(api, keyed, mine)
        assert claimed.status_code == 200, claimed.text
        assert claimed.json()["dpop"] is True
        token = urlsplit(claimed.json()["dash_token_url"]).path.split("/")[2]
        keys, now = api.context.playback._path_token_keys, api.context.clock().timestamp()
        assert tokens.verify_path(token, keys, now).binding.key_thumbprint == mine.thumbprint
        assert claimed.cookies[SESSION_COOKIE] == token
        assert self.claim(api, keyed, mine).status_code == 200
        assert self.claim(api, keyed, other).status_code == 403
        assert self.claim(api, keyed, None).status_code == 403

    def test_license_and_heartbeat_need_a_proof_each(
        self, api: Api, film: tuple[str, KeyId], keyed: dict[str, Any]
    ) -> None:
        mine, other = BrowserKey(), BrowserKey()
        assert self.claim(api, keyed, mine).status_code == 200
        token, kids = keyed["license_token"], {"kids": [film[1].base64url], "type": "temporary"}
        for path, body in (
            ("/v1/licenses/clearkey", kids),
            (f"/v1/playback-sessions/{keyed['id']}/heartbeat", {}),
        ):
            assert post(api, path, token, mine, body).status_code == 200
            for key in (None, other):
                assert post(api, path, token, key, body).status_code == 403

    def test_copied_request_is_refused(self, api: Api, film: tuple[str, KeyId], keyed: dict[str, Any]) -> None:
        mine, kids = BrowserKey(), {"kids": [film[1].base64url], "type": "temporary"}
        assert self.claim(api, keyed, mine).status_code == 200
        copied = {"token": keyed["license_token"], "key": mine, "body": kids, "jti": "the-same"}
        assert post(api, "/v1/licenses/clearkey", **copied).status_code == 200
        assert post(api, "/v1/licenses/clearkey", **copied).status_code == 403

    @pytest.mark.parametrize(
        "wrong", [{"ath": "x"}, {"htm": "GET"}, {"htu": "https://evil.example/"}, {"iat": 1}, {"jti": ""}]
    )
    def test_proof_of_something_else_binds_nothing(
        self, api: Api, keyed: dict[str, Any], wrong: dict[str, Any]
    ) -> None:
        assert self.claim(api, keyed, BrowserKey(), **wrong).status_code == 403
        assert self.claim(api, keyed, BrowserKey()).status_code == 200

    def test_api_tells_the_application_no_unbound_cookies(self, api: Api, keyed: dict[str, Any]) -> None:
        def seen() -> dict[str, Any]:
            headers = {"Authorization": f"Bearer {API_KEY}"}
            answer = httpx.get(f"{api.http.base_url}/v1/playback-sessions/{keyed['id']}", headers=headers)
            return dict(answer.json())

        assert seen()["cookies"] == {}
        mine = BrowserKey()
        assert self.claim(api, keyed, mine).status_code == 200
        assert claims_of(api, seen()).binding.key_thumbprint == mine.thumbprint
