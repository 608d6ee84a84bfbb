"""The HTTP face on a real socket: one error shape, who may call, bad input, uploads, live events."""

from __future__ import annotations

import json
import logging
import re
import threading
import uuid
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import boto3
import httpx
import pytest
from fastapi.routing import APIRoute

from api_parts import API_KEY, EVENT_TOKEN, UGLY_NAMES, Api, free_port
from penstock.formats.events import AssetEvent

NO_ASSET = "0b9e6a3c-7d0f-4f0e-9c39-6f2f3d1b8a55"
MIB = 2**20
HOSTILE_BODIES = [
    b"",
    b"{",
    b"null",
    b"[]",
    b'"text"',
    b"\xff\xfe",
    b"[" * 100_000,
    b'{"file_name": "\\ud800", "size_bytes": 1, "viewer": "\\ud800"}',
    b'{"file_name": "a\\u0000b", "size_bytes": 1, "viewer": "\\u0000"}',
    b'{"file_name": "a", "size_bytes": NaN, "viewer": "a", "ttl_s": NaN}',
    b'{"file_name": "a", "size_bytes": 1e400}',
    b'{"file_name": "a", "size_bytes": 99999999999999999999999999}',
    b'{"file_name": "a", "size_bytes": true}',
    b'{"file_name": "a", "size_bytes": "1"}',
    b'{"file_name": "a", "size_bytes": -1}',
    b'{"file_name": "", "size_bytes": 1}',
    b'{"file_name": "a", "size_bytes": 1, "surprise": 1}',
    b'{"file_name": ["a"], "size_bytes": 1}',
    b'{"part_numbers": []}',
    b'{"part_numbers": [0]}',
    b'{"part_numbers": [10001]}',
    b'{"viewer": "a", "ttl_s": 0}',
    b'{"viewer": "a", "ttl_s": 99999999}',
    b'{"viewer": ""}',
    b'{"viewer": "' + b"a" * 300 + b'"}',
]


def routes(api: Api) -> Iterator[tuple[str, str]]:
    """Every method and path there is; FastAPI keeps the routes of an included router inside it."""
    routers = [api.app.router]
    while routers:
        for route in routers.pop().routes:
            if isinstance(route, APIRoute):
                yield from ((method, route.path) for method in sorted(route.methods))
            elif hasattr(route, "original_router"):
                routers.append(route.original_router)


def fill(path: str, value: str = NO_ASSET) -> str:
    return re.sub(r"\{[^}]+\}", value, path)


def assert_error(answer: httpx.Response, status: int | None = None) -> dict[str, Any]:
    """The one shape, with the request id of the header."""
    assert 400 <= answer.status_code < 600, answer
    assert status is None or answer.status_code == status, answer.text
    body = answer.json()
    assert set(body) == {"error"}
    assert set(body["error"]) == {"code", "message", "request_id"}
    assert all(isinstance(value, str) and value for value in body["error"].values())
    assert body["error"]["request_id"] == answer.headers["X-Request-Id"]
    assert "Traceback" not in answer.text
    return dict(body["error"])


class TestErrors:
    def test_there_are_routes_to_walk(self, api: Api) -> None:
        assert ("POST", "/v1/assets") in set(routes(api))
        assert len(set(routes(api))) >= 20

    def test_every_route_refuses_strangers_in_the_one_shape(self, api: Api) -> None:
        open_routes = {"/healthz", "/", "/watch/{session_id}"}
        # Without a DRM vendor there is nobody who could know a secret.
        absent = {"/v1/drm/{vendor}/authorize"}
        for method, path in routes(api):
            if path in open_routes:
                continue
            for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic eDp5"}):
                answer = httpx.request(method, api.url + fill(path), headers=headers)
                if path in absent:
                    assert_error(answer, 404)
                    continue
                assert assert_error(answer)["code"] in ("unauthorized", "bad_signature", "invalid_request"), path
                assert answer.status_code in (401, 403, 422), (method, path, answer.text)

    def test_every_route_answers_hostile_bodies_with_4xx(self, api: Api) -> None:
        for method, path in routes(api):
            if method != "POST":
                continue
            for body in HOSTILE_BODIES:
                headers = {"Content-Type": "application/json"}
                if path.startswith("/internal/"):
                    headers["Authorization"] = f"Bearer {EVENT_TOKEN}"
                answer = api.http.post(fill(path), content=body, headers=headers)
                assert 400 <= answer.status_code < 500, (path, body[:60], answer.status_code, answer.text)
                assert_error(answer)

    @pytest.mark.parametrize("name", ["x", "..%2f..%2fetc", "%00", "%ff", "a" * 5000, "%F0%9F%8E%AC", "null"])
    def test_every_route_answers_hostile_ids_with_4xx(self, api: Api, name: str) -> None:
        for method, path in routes(api):
            if "{" in path and not path.startswith("/watch"):
                bodies = {"/v1/assets/{asset_id}/playback-sessions": {"viewer": "a"}}
                answer = api.http.request(method, fill(path, name), json=bodies.get(path, {"part_numbers": [1]}))
                assert 400 <= answer.status_code < 500, (method, path, answer.text)
                assert_error(answer)

    def test_unknown_address_and_method_have_the_shape_too(self, api: Api) -> None:
        assert assert_error(api.http.get("/nowhere"), 404)["code"] == "not_found"
        answer = api.http.put("/v1/assets")
        assert assert_error(answer, 405)["code"] == "method_not_allowed"
        assert answer.headers["Allow"]
        assert_error(api.http.get("/studio/nothing.js"), 404)
        assert_error(api.http.get("/studio/../../settings.py"), 404)

    def test_message_names_the_member_but_never_repeats_its_value(self, api: Api) -> None:
        answer = api.http.post("/v1/assets", json={"file_name": "a", "size_bytes": "hunter2", "pasword": "hunter3"})
        message = assert_error(answer, 422)["message"]
        assert "size_bytes" in message
        assert "pasword" in message
        assert "hunter" not in answer.text

    def test_message_is_a_sentence_without_names_of_our_own_code(self, api: Api) -> None:
        address = f"/v1/assets/{NO_ASSET}/playback-sessions"
        for body, told in (
            (b"{", "the body is not JSON: "),
            (b'{"viewer": "' + b"a" * 300 + b'"}', "viewer: "),
            (b'{"viewer": "\\u0000"}', "viewer: holds a NUL"),
            (b'{"viewer": "a", "overlay": "\\ud83d"}', "overlay"),
        ):
            answer = api.http.post(address, content=body, headers={"Content-Type": "application/json"})
            message = assert_error(answer, 422)["message"]
            assert message.startswith(told)
            assert "[" not in message and "Value error" not in message

    @pytest.mark.parametrize("chunked", [False, True])
    def test_body_of_more_than_a_mebibyte_is_refused(self, api: Api, chunked: bool) -> None:
        content: Any = b" " * (MIB + 1)
        for path in ("/v1/assets", "/v1/licenses/clearkey", "/speke/v2/copyProtection"):
            sent = iter([content]) if chunked else content
            answer = api.http.post(path, content=sent, headers={"Content-Type": "application/json"})
            assert answer.status_code in (401, 403, 413)
            assert_error(answer)
        answer = api.http.post("/v1/assets", content=content, headers={"Content-Type": "application/json"})
        assert assert_error(answer, 413)["code"] == "too_large"

    def test_unforeseen_failure_tells_the_request_id_and_nothing_else(
        self, api: Api, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        def fail(*_args: Any) -> None:
            raise RuntimeError("the inside of the house")

        monkeypatch.setattr(api.context.catalogue, "page", fail)
        with caplog.at_level(logging.ERROR):
            error = assert_error(api.http.get("/v1/assets"), 500)
        assert "inside" not in json.dumps(error)
        assert error["request_id"] in caplog.text
        assert "inside of the house" in caplog.text

    def test_part_that_is_away_is_a_503_that_says_try_again(self, api: Api, session: boto3.Session) -> None:
        asset_id = api.asset()["asset"]["id"]
        nobody = session.client("s3", endpoint_url=f"http://127.0.0.1:{free_port()}")
        api.app.state.context = replace(api.context, clients=replace(api.context.clients, s3=nobody))
        answer = api.http.post(f"/v1/assets/{asset_id}/upload/complete")
        assert assert_error(answer, 503)["code"] == "unavailable"
        assert answer.headers["Retry-After"]
        assert "127.0.0.1" not in answer.text
        nobody.close()

    def test_security_headers_are_on_every_answer(self, api: Api) -> None:
        for path in ("/healthz", "/nowhere", "/", "/v1/assets"):
            headers = api.http.get(path).headers
            assert headers["X-Content-Type-Options"] == "nosniff"
            assert headers["Referrer-Policy"] == "no-referrer"
            assert "server" not in headers
        assert api.http.get("/v1/assets").headers["Cache-Control"] == "no-store"


class TestAssets:
    @pytest.mark.parametrize("name", UGLY_NAMES.values(), ids=UGLY_NAMES.keys())
    def test_file_name_is_kept_faithfully_as_the_title(self, api: Api, name: str) -> None:
        asset = api.asset(name)["asset"]
        assert asset["title"] == name
        assert api.http.get(f"/v1/assets/{asset['id']}").json()["title"] == name

    def test_new_asset_waits_and_says_so(self, api: Api) -> None:
        answer = api.asset(title="A film", content_type="video/mp4")
        asset = answer["asset"]
        assert (asset["title"], asset["state"], asset["error"], asset["jobs"]) == ("A film", "waiting", None, [])
        assert answer["upload"]["method"] == "post"
        assert set(asset) >= {"id", "title", "state", "error", "duration_s", "created_at", "percent"}

    @pytest.mark.parametrize("size", [0, 501 * 2**30])
    def test_size_that_cannot_be_taken_is_refused_with_a_sentence(self, api: Api, size: int) -> None:
        answer = api.http.post("/v1/assets", json={"file_name": "a.mp4", "size_bytes": size})
        assert re.search(r"empty|at most", assert_error(answer, 400)["message"])

    def test_name_of_more_than_1024_bytes_is_refused(self, api: Api) -> None:
        answer = api.http.post("/v1/assets", json={"file_name": "ü" * 600, "size_bytes": 1})
        assert "1024" in assert_error(answer, 422)["message"]

    def test_list_is_paged(self, api: Api) -> None:
        made = [api.asset(f"{number}")["asset"]["id"] for number in range(5)]
        seen, cursor = [], None
        for _ in range(3):
            page = api.http.get("/v1/assets", params={"limit": 2} | ({"cursor": cursor} if cursor else {})).json()
            seen += [asset["id"] for asset in page["assets"]]
            cursor = page["next"]
        assert cursor is None
        assert sorted(seen) == sorted(made)
        for bad in ({"limit": 0}, {"limit": 201}, {"limit": "x"}, {"cursor": "x"}, {"cursor": "x" * 300}):
            assert_error(api.http.get("/v1/assets", params=bad))

    def test_deleted_asset_is_gone_with_its_objects(self, api: Api) -> None:
        made = api.asset()
        asset_id, upload = made["asset"]["id"], made["upload"]
        httpx.post(upload["url"], data=upload["fields"], files={"file": b"x" * 10})
        s3, media = api.context.clients.s3, api.context.settings.media_bucket
        for key in (f"assets/{asset_id}/default/a.mpd", f"published/{asset_id}/default.json", f"ingest/{asset_id}/x"):
            s3.put_object(Bucket=media, Key=key, Body=b"x")
        assert api.http.delete(f"/v1/assets/{asset_id}").status_code == 204
        assert_error(api.http.get(f"/v1/assets/{asset_id}"), 404)
        assert_error(api.http.delete(f"/v1/assets/{asset_id}"), 404)
        left = [*_keys(s3, media, asset_id), *_keys(s3, api.context.settings.source_bucket, asset_id)]
        assert left == []
        assert api.context.catalogue.unpurged() == []

    def test_poster_leads_to_a_signed_address(self, api: Api) -> None:
        asset_id = api.asset()["asset"]["id"]
        assert_error(api.http.get(f"/v1/assets/{asset_id}/poster"), 404)
        poster = f"assets/{asset_id}/default/poster/poster.0000000.jpg"
        tell(api, "Published", asset_id, poster=poster)
        assert api.http.get(f"/v1/assets/{asset_id}").json()["has_poster"]
        answer = api.http.get(f"/v1/assets/{asset_id}/poster")
        assert answer.status_code == 302
        assert answer.headers["Location"].startswith(f"{api.url}/{poster}?Expires=")


def _keys(s3: Any, bucket: str, asset_id: str) -> list[str]:
    found = s3.list_objects_v2(Bucket=bucket).get("Contents", [])
    return [item["Key"] for item in found if asset_id in item["Key"]]


def tell(api: Api, kind: Any, asset_id: str, **detail: Any) -> None:
    detail = {"assetId": asset_id, "settings": "default", "jobId": "job-1", **detail}
    api.context.catalogue.apply(AssetEvent(f"Asset {kind}", detail, str(uuid.uuid4())))  # type: ignore[arg-type]


class TestUploads:
    def test_small_file_goes_up_by_the_post_it_was_given(self, api: Api) -> None:
        made = api.asset()
        path, upload = f"/v1/assets/{made['asset']['id']}", made["upload"]
        assert_error(api.http.post(f"{path}/upload/complete"), 409)
        assert httpx.post(upload["url"], data=upload["fields"], files={"file": b"x" * 10}).is_success
        for _ in range(2):
            answer = api.http.post(f"{path}/upload/complete", json={})
            assert (answer.status_code, answer.json()["state"]) == (200, "converting")
        assert_error(api.http.get(f"{path}/upload"), 409)
        assert_error(api.http.delete(f"{path}/upload"), 409)

    def test_large_file_goes_up_in_parts_and_can_be_resumed(self, api: Api) -> None:
        made = api.asset(size_bytes=9 * MIB)
        path, upload = f"/v1/assets/{made['asset']['id']}", made["upload"]
        assert (upload["method"], upload["part_size_bytes"], upload["part_count"]) == ("multipart", 8 * MIB, 2)
        assert set(upload) == {"method", "upload_id", "object_key", "part_size_bytes", "part_count"}
        signed = api.http.post(f"{path}/upload/parts", json={"part_numbers": [1, 2]}).json()["parts"]
        assert [part["size_bytes"] for part in signed] == [8 * MIB, MIB]
        first = httpx.put(signed[0]["url"], content=b"1" * 8 * MIB)
        assert api.http.get(f"{path}/upload").json() == upload
        done = api.http.get(f"{path}/upload/parts").json()["parts"]
        assert done == [{"part_number": 1, "size_bytes": 8 * MIB, "etag": first.headers["ETag"]}]
        assert_error(api.http.post(f"{path}/upload/complete"), 400)
        second = httpx.put(signed[1]["url"], content=b"2" * MIB)
        parts = [{"part_number": n, "etag": part.headers["ETag"]} for n, part in ((1, first), (2, second))]
        answer = api.http.post(f"{path}/upload/complete", json={"parts": parts})
        assert (answer.status_code, answer.json()["state"]) == (200, "converting")

    def test_cancelled_upload_ends_as_failed_with_a_sentence(self, api: Api) -> None:
        made = api.asset(size_bytes=9 * MIB)
        path = f"/v1/assets/{made['asset']['id']}"
        assert api.http.delete(f"{path}/upload").status_code == 204
        assert api.http.get(path).json()["error"]["code"] == "upload_cancelled"
        assert_error(api.http.post(f"{path}/upload/parts", json={"part_numbers": [1]}), 409)

    def test_part_beyond_the_last_is_refused(self, api: Api) -> None:
        path = f"/v1/assets/{api.asset(size_bytes=9 * MIB)['asset']['id']}/upload/parts"
        assert "parts 1 to 2" in assert_error(api.http.post(path, json={"part_numbers": [3]}), 400)["message"]

    def test_post_has_no_parts(self, api: Api) -> None:
        path = f"/v1/assets/{api.asset()['asset']['id']}/upload/parts"
        assert_error(api.http.post(path, json={"part_numbers": [1]}), 409)
        assert_error(api.http.get(path), 409)


class TestLive:
    def follow(self, api: Api, path: str, until: str) -> tuple[threading.Thread, list[dict[str, Any]], threading.Event]:
        seen: list[dict[str, Any]] = []
        begun = threading.Event()

        def read() -> None:
            with api.http.stream("GET", path, timeout=20) as answer:
                name = ""
                for line in answer.iter_lines():
                    begun.set()
                    field, _, value = line.partition(": ")
                    name = value if field == "event" else name
                    if field == "data":
                        seen.append({"event": name, **json.loads(value)})
                        if until in (seen[-1].get("state"), name):
                            return

        thread = threading.Thread(target=read)
        thread.start()
        assert begun.wait(10)
        return thread, seen, begun

    def test_followers_see_every_state_at_once(self, api: Api) -> None:
        asset_id = api.asset()["asset"]["id"]
        thread, seen, _ = self.follow(api, f"/v1/assets/{asset_id}/events", "published")
        tell(api, "Converting", asset_id)
        api.context.catalogue.progress(asset_id, "job-1", 40, packaging=False)
        tell(api, "Published", asset_id)
        thread.join(10)
        assert not thread.is_alive()
        assert seen[0]["id"] == asset_id
        assert seen[-1]["state"] == "published"
        order = ["waiting", "converting", "published"]
        assert [asset["state"] for asset in seen] == sorted((asset["state"] for asset in seen), key=order.index)

    def test_one_connection_follows_all_assets(self, api: Api) -> None:
        api.asset("old.mp4")
        thread, seen, _ = self.follow(api, "/v1/events", "published")
        new = api.asset("new.mp4")["asset"]["id"]
        tell(api, "Published", new)
        thread.join(10)
        assert {event["id"] for event in seen} == {new}

    def test_followers_hear_of_the_deletion(self, api: Api) -> None:
        asset_id = api.asset()["asset"]["id"]
        thread, seen, _ = self.follow(api, f"/v1/assets/{asset_id}/events", "deleted")
        api.http.delete(f"/v1/assets/{asset_id}")
        thread.join(10)
        assert seen[-1] == {"event": "deleted", "id": asset_id}

    def test_unknown_asset_is_404_before_the_stream_begins(self, api: Api) -> None:
        assert_error(api.http.get(f"/v1/assets/{NO_ASSET}/events"), 404)

    def test_open_streams_do_not_keep_the_server_from_stopping(self, api: Api) -> None:
        asset_id = api.asset()["asset"]["id"]
        thread, _, _ = self.follow(api, f"/v1/assets/{asset_id}/events", "never")
        api.context.changes.close()
        thread.join(5)
        assert not thread.is_alive()


class TestInternal:
    def send(self, api: Api, name: str, envelope: Any, token: str = EVENT_TOKEN) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}"}
        return httpx.post(f"{api.url}/internal/events/{name}", json=envelope, headers=headers)

    def envelope(self, detail: dict[str, Any], kind: str = "Asset Converting", source: str = "penstock") -> Any:
        return {"version": "0", "id": str(uuid.uuid4()), "source": source, "detail-type": kind, "detail": detail}

    def test_event_reaches_the_catalogue(self, api: Api) -> None:
        asset_id = str(uuid.uuid4())
        detail = {
            "assetId": asset_id,
            "settings": "default",
            "jobId": "j",
            "objectKey": "inputs/f.mp4",
            "title": "f.mp4",
        }
        assert self.send(api, "catalogue", self.envelope(detail)).status_code == 204
        assert api.http.get(f"/v1/assets/{asset_id}").json()["state"] == "converting"

    def test_job_progress_reaches_the_catalogue(self, api: Api) -> None:
        asset_id = api.asset()["asset"]["id"]
        tell(api, "Converting", asset_id)
        detail = {
            "jobId": "job-1",
            "status": "STATUS_UPDATE",
            "userMetadata": {"assetId": asset_id},
            "jobProgress": {"jobPercentComplete": 37},
        }
        envelope = self.envelope(detail, "MediaConvert Job State Change", "aws.mediaconvert")
        assert self.send(api, "catalogue", envelope).status_code == 204
        assert api.http.get(f"/v1/assets/{asset_id}").json()["percent"] == 37

    @pytest.mark.parametrize("value", ["", "Bearer", "Bearer wrong", f"Bearer {API_KEY}", "Bearer é", EVENT_TOKEN])
    def test_only_the_bus_may_call(self, api: Api, value: str) -> None:
        headers = {"Authorization": value.encode()}
        answer = httpx.post(f"{api.url}/internal/events/catalogue", json={}, headers=headers)
        assert_error(answer, 401)

    def test_unknown_handler_and_unreadable_event_are_4xx_so_that_they_are_not_sent_again(self, api: Api) -> None:
        assert_error(self.send(api, "nobody", {}), 404)
        for envelope in ({}, [], None, 7, {"Records": 1}, self.envelope({"assetId": "x"})):
            assert 400 <= self.send(api, "catalogue", envelope).status_code < 500


class TestPages:
    def test_studio_is_served_with_a_strict_policy(self, api: Api) -> None:
        for path in ("/", f"/watch/{NO_ASSET}"):
            answer = api.http.get(path)
            if answer.status_code == 503:
                pytest.skip("Studio has not been built")
            policy = answer.headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
            assert api.context.clients.s3.meta.endpoint_url in policy

    def test_health(self, api: Api) -> None:
        assert httpx.get(f"{api.url}/healthz").json() == {"status": "ok"}


def test_openapi_describes_every_operation_and_member(api: Api) -> None:
    document = api.http.get("/openapi.json").json()
    for path, operations in document["paths"].items():
        assert not path.startswith("/internal")
        for operation in operations.values():
            assert operation["summary"], path
            assert {"4XX", "5XX"} <= set(operation["responses"])
            assert operation["responses"]["4XX"]["content"]["application/json"]["schema"]["$ref"].endswith("/Error")
            for parameter in operation.get("parameters", ()):
                assert parameter["description"], (path, parameter["name"])
    asset_in = document["components"]["schemas"]["AssetIn"]["properties"]
    assert all(member["description"] and member["examples"] for member in asset_in.values())


def test_log_holds_no_secret(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, logger="penstock"):
        made = api.asset(size_bytes=9 * MIB)
        path = f"/v1/assets/{made['asset']['id']}"
        signed = api.http.post(f"{path}/upload/parts", json={"part_numbers": [1]}).json()["parts"][0]["url"]
        tell(api, "Published", made["asset"]["id"], dash="assets/x/a.mpd")
        session = api.http.post(f"{path}/playback-sessions", json={"viewer": "ada"}).json()
        token = {"Authorization": f"Bearer {session['license_token']}"}
        httpx.post(f"{api.url}/v1/playback-sessions/{session['id']}/claim", headers=token)
        httpx.post(f"{api.url}/v1/licenses/clearkey", headers=token, json={"kids": ["x"]})
    assert path in caplog.text
    secrets = [API_KEY, EVENT_TOKEN, signed, session["license_token"], *session["cookies"].values()]
    assert not [secret for secret in secrets if secret in caplog.text]


@pytest.mark.parametrize(
    ("method", "address", "told"),
    [
        ("DELETE", "/v1/playback-sessions?viewer=ada&min_score=1", "parameter min_score; it takes viewer"),
        ("GET", "/v1/assets?limit=1&page=2", "parameter page; it takes cursor, limit"),
        ("GET", f"/v1/assets/{NO_ASSET}?Zm9vYmFy.c2VjcmV0", "a query parameter; it takes none"),
        ("POST", f"/v1/assets/{NO_ASSET}/upload/complete?force=1", "parameter force; it takes none"),
    ],
)
def test_query_parameters_that_nobody_reads_are_refused(api: Api, method: str, address: str, told: str) -> None:
    message = assert_error(api.http.request(method, address), 400)["message"]
    assert message.endswith(told) and "Zm9v" not in message
