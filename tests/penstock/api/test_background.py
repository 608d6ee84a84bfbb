"""What goes on between requests: adoption, abandoned uploads, purging, progress."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import boto3
import httpx
import pytest

from api_parts import Api, Clock, until
from penstock.api import background
from penstock.api.background import Background
from penstock.formats.events import AssetEvent

MIB = 2**20


class Jobs(ThreadingHTTPServer):
    """Answers GetJob and CancelJob as MediaConvert does, from `jobs`."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _JobsHandler)
        self.jobs: dict[str, dict[str, Any]] = {}
        self.cancelled: list[str] = []
        self.asked = 0


class _JobsHandler(BaseHTTPRequestHandler):
    server: Jobs

    def answer(self, status: int, body: Any) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_GET(self) -> None:
        self.server.asked += 1
        job_id = self.path.rsplit("/", 1)[1]
        found = self.server.jobs.get(job_id)
        if found is None:
            self.answer(404, {"message": "no such job"})
        else:
            self.answer(200, {"job": {"id": job_id, "role": "r", "settings": {}, **found}})

    def do_DELETE(self) -> None:
        self.server.cancelled.append(self.path.rsplit("/", 1)[1])
        self.answer(202, {})

    def log_message(self, *_args: Any) -> None:
        return


@pytest.fixture
def jobs() -> Iterator[Jobs]:
    server = Jobs()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def api_with_jobs(api: Api, jobs: Jobs, session: boto3.Session) -> Iterator[Api]:
    client = session.client("mediaconvert", endpoint_url=f"http://127.0.0.1:{jobs.server_port}")
    context = replace(api.context, clients=replace(api.context.clients, mediaconvert=client))
    api.app.state.context = context
    yield replace(api, context=context)
    client.close()


def state(api: Api, asset_id: str) -> dict[str, Any]:
    return dict(api.http.get(f"/v1/assets/{asset_id}").json())


def tell(api: Api, kind: Any, asset_id: str, **detail: Any) -> None:
    detail = {"assetId": asset_id, "settings": "default", "jobId": "job-1", **detail}
    api.context.catalogue.apply(AssetEvent(f"Asset {kind}", detail, str(uuid.uuid4())))  # type: ignore[arg-type]


class TestAdoption:
    def point(self, api: Api, asset_id: str, content: bytes | None = None) -> None:
        pointer = {"assetId": asset_id, "settings": "default", "jobId": "j", "dash": f"assets/{asset_id}/a.mpd"}
        key, bucket = f"published/{asset_id}/default.json", api.context.settings.media_bucket
        api.context.clients.s3.put_object(Bucket=bucket, Key=key, Body=content or json.dumps(pointer).encode())

    def test_published_asset_that_was_missed_is_taken_in(self, api: Api) -> None:
        asset_id, dropped = api.asset()["asset"]["id"], str(uuid.uuid4())
        self.point(api, asset_id)
        self.point(api, dropped)
        background.adopt_published(api.context)
        assert state(api, asset_id)["state"] == state(api, dropped)["state"] == "published"
        version = api.context.catalogue.versions([asset_id])
        background.adopt_published(api.context)
        assert api.context.catalogue.versions([asset_id]) == version

    def test_unreadable_pointer_does_not_stop_the_others(self, api: Api) -> None:
        asset_id = str(uuid.uuid4())
        for bad in (b"{", b"[]", b'{"assetId": 7}', b"\xff"):
            self.point(api, "0" + str(uuid.uuid4())[1:], bad)
        self.point(api, asset_id)
        background.adopt_published(api.context)
        assert state(api, asset_id)["state"] == "published"

    def test_deleted_asset_is_not_brought_back(self, api: Api) -> None:
        asset_id = api.asset()["asset"]["id"]
        api.http.delete(f"/v1/assets/{asset_id}")
        self.point(api, asset_id)
        background.adopt_published(api.context)
        assert api.http.get(f"/v1/assets/{asset_id}").status_code == 404
        assert [entry.asset.id for entry in api.context.catalogue.unpurged()] == [asset_id]


class TestAbandonedUploads:
    def test_upload_never_finished_ends_with_a_sentence_and_its_parts_go(self, api: Api, clock: Clock) -> None:
        multipart, post, fresh = api.asset(size_bytes=9 * MIB), api.asset(), None
        signed = api.http.post(
            f"/v1/assets/{multipart['asset']['id']}/upload/parts", json={"part_numbers": [1, 2]}
        ).json()["parts"]
        assert httpx.put(signed[0]["url"], content=b"x" * 8 * MIB).is_success
        clock.pass_s(api.context.settings.upload_abandoned_s + 1)
        fresh = api.asset()
        background.end_abandoned_uploads(api.context)
        for made in (multipart, post):
            found = state(api, made["asset"]["id"])
            assert (found["state"], found["error"]["code"]) == ("failed", "upload_abandoned")
            assert "never finished" in found["error"]["message"]
        assert state(api, fresh["asset"]["id"])["state"] == "waiting"
        assert httpx.put(signed[1]["url"], content=b"x" * MIB).status_code == 404

    def test_upload_whose_end_was_missed_is_not_abandoned(self, api: Api, clock: Clock) -> None:
        made = api.asset()
        httpx.post(made["upload"]["url"], data=made["upload"]["fields"], files={"file": b"x" * 10})
        clock.pass_s(api.context.settings.upload_abandoned_s + 1)
        background.end_abandoned_uploads(api.context)
        assert state(api, made["asset"]["id"])["state"] == "converting"


class TestDeletion:
    def test_running_job_is_cancelled(self, api_with_jobs: Api, jobs: Jobs) -> None:
        asset_id = api_with_jobs.asset()["asset"]["id"]
        tell(api_with_jobs, "Converting", asset_id)
        assert api_with_jobs.http.delete(f"/v1/assets/{asset_id}").status_code == 204
        assert jobs.cancelled == ["job-1"]
        assert api_with_jobs.context.catalogue.unpurged() == []

    def test_what_could_not_be_removed_is_removed_later(self, api: Api, api_with_jobs: Api, jobs: Jobs) -> None:
        asset_id = api.asset()["asset"]["id"]
        tell(api, "Converting", asset_id)
        api.app.state.context = api.context  # nobody answers for MediaConvert
        assert api.http.delete(f"/v1/assets/{asset_id}").status_code == 204
        assert api.http.get(f"/v1/assets/{asset_id}").status_code == 404
        assert [entry.asset.id for entry in api.context.catalogue.unpurged()] == [asset_id]
        background.purge_deleted(api_with_jobs.context)
        assert api.context.catalogue.unpurged() == []
        assert jobs.cancelled == ["job-1"]


class TestProgress:
    def test_watched_conversion_is_followed_and_others_are_left_alone(self, api_with_jobs: Api, jobs: Jobs) -> None:
        api = api_with_jobs
        watched = api.asset()["asset"]["id"]
        tell(api, "Converting", watched)
        jobs.jobs["job-1"] = {"status": "PROGRESSING", "jobPercentComplete": 42, "currentPhase": "TRANSCODING"}
        background.follow(api.context)
        assert jobs.asked == 0
        assert state(api, watched)["percent"] == 0
        background.follow(api.context)
        assert (state(api, watched)["percent"], state(api, watched)["state"]) == (42, "converting")
        jobs.jobs["job-1"] = {"status": "PROGRESSING", "jobPercentComplete": 90, "currentPhase": "UPLOADING"}
        background.follow(api.context)
        assert (state(api, watched)["percent"], state(api, watched)["state"]) == (90, "packaging")
        jobs.jobs["job-1"] = {"status": "COMPLETE"}
        background.follow(api.context)
        assert (state(api, watched)["percent"], state(api, watched)["state"]) == (100, "packaging")

    def test_threads_do_the_work_and_end(self, api_with_jobs: Api, jobs: Jobs) -> None:
        api = api_with_jobs
        asset_id = api.asset()["asset"]["id"]
        tell(api, "Converting", asset_id)
        jobs.jobs["job-1"] = {"status": "PROGRESSING", "jobPercentComplete": 10}
        both = Background(api.context)
        both.start()
        try:
            until(lambda: state(api, asset_id)["percent"] == 10, 15)
        finally:
            both.stop()

    def test_failure_of_one_piece_of_work_does_not_stop_the_next(self, api: Api, caplog: Any) -> None:
        def broken(_context: Any) -> None:
            raise RuntimeError("broken piece")

        background.attempt(broken, api.context)
        assert "broken piece" in caplog.text
