"""The Python client against the real API and a real S3 server: resume, retries, bad files, a server that is away."""

from __future__ import annotations

import json
import os
import socket
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from api_parts import API_KEY, Api, free_port
from penstock import errors
from penstock.client import Client, error_of
from penstock.errors import Conflict, InvalidRequest, NotFound, Unauthorized, Unavailable, UpstreamError
from penstock.formats.events import AssetEvent

MIB = 2**20


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "small film.mp4"
    path.write_bytes(os.urandom(10_000))
    return path


@pytest.fixture
def large(tmp_path: Path) -> Path:
    path = tmp_path / "large film.mp4"
    path.write_bytes(os.urandom(25 * MIB + 7))
    return path


def stored(api: Api, asset_id: str) -> bytes:
    entry = api.context.catalogue.entry(asset_id)
    found = api.context.clients.s3.get_object(Bucket=api.context.settings.source_bucket, Key=entry.object_key)
    return bytes(found["Body"].read())


def publish(api: Api, asset_id: str) -> None:
    detail = {"assetId": asset_id, "settings": "default", "jobId": "j", "dash": f"assets/{asset_id}/a.mpd"}
    api.context.catalogue.apply(AssetEvent("Asset Published", detail, str(uuid.uuid4())))


class Gate:
    """A proxy before the S3 server that passes `budget` bytes on, then breaks connections, `patience` of them."""

    def __init__(self, target: str, budget: int) -> None:
        host, _, port = target.partition(":")
        self._target = (host, int(port))
        self.budget = budget
        self.broken = 0
        self.patience = 10**6
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._accept)
        self._thread.start()

    def _accept(self) -> None:
        workers = []
        while True:
            try:
                inside, _ = self._listener.accept()
            except OSError:
                break
            workers.append(threading.Thread(target=self._pass, args=(inside,)))
            workers[-1].start()
        for worker in workers:
            worker.join()

    def _pass(self, inside: socket.socket) -> None:
        with inside, socket.create_connection(self._target) as outside:
            back = threading.Thread(target=self._copy, args=(outside, inside, None))
            back.start()
            self._copy(inside, outside, self)
            back.join()

    @staticmethod
    def _copy(source: socket.socket, sink: socket.socket, gate: Gate | None) -> None:
        try:
            while data := source.recv(65536):
                if gate is not None:
                    gate.budget -= len(data)
                    if gate.budget < 0 and gate.broken < gate.patience:
                        gate.broken += 1
                        break
                sink.sendall(data)
        except OSError:
            pass
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()


@pytest.fixture
def gate(api: Api) -> Iterator[Gate]:
    made = Gate(urlsplit(api.context.clients.s3.meta.endpoint_url).netloc, 10**12)
    yield made
    made.close()


@pytest.fixture
def through_gate(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> Gate:
    """Let presigned requests go to the gate; the signature is of the real address, which the Host header keeps."""
    real = httpx.Client.send

    def send(self: httpx.Client, request: httpx.Request, **options: Any) -> httpx.Response:
        if "X-Amz-Signature" in str(request.url):
            host, _, port = gate.address.partition(":")
            request.url = request.url.copy_with(host=host, port=int(port))
        return real(self, request, **options)

    monkeypatch.setattr(httpx.Client, "send", send)
    return gate


def test_small_file_arrives_whole(api: Api, small: Path) -> None:
    told: list[tuple[int, int]] = []
    asset = api.client.upload(small, on_progress=lambda sent, total: told.append((sent, total)))
    assert (asset["title"], asset["state"]) == ("small film.mp4", "converting")
    assert stored(api, asset["id"]) == small.read_bytes()
    assert told[-1] == (10_000, 10_000)


def test_large_file_arrives_whole_in_parts(api: Api, large: Path) -> None:
    told: list[int] = []
    asset = api.client.upload(large, title="A film", on_progress=lambda sent, total: told.append(sent))
    assert asset["title"] == "A film"
    assert stored(api, asset["id"]) == large.read_bytes()
    assert max(told) == large.stat().st_size
    assert not list((api.client.cache_dir / "uploads").iterdir())


def test_interrupted_upload_goes_on_where_it_stopped(
    api: Api, large: Path, through_gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("penstock.transfer.ATTEMPTS", 1)
    monkeypatch.setattr("penstock.transfer.PARALLEL_PARTS", 1)
    through_gate.budget = 18 * MIB
    ids: list[str] = []
    with pytest.raises(Unavailable, match="Run the same command"):
        api.client.upload(large, on_asset=ids.append)
    arrived = api.http.get(f"/v1/assets/{ids[0]}/upload/parts").json()["parts"]
    assert [part["part_number"] for part in arrived] == [1, 2]
    before = through_gate.budget = 10**12
    asset = api.client.upload(large, on_asset=ids.append)
    assert ids[1] == ids[0] == asset["id"]
    assert stored(api, asset["id"]) == large.read_bytes()
    assert before - through_gate.budget < 10 * MIB


def test_broken_connections_are_tried_again(
    api: Api, large: Path, through_gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("penstock.transfer.FIRST_DELAY_S", 0.01)
    through_gate.budget, through_gate.patience = 12 * MIB, 5
    asset = api.client.upload(large)
    assert through_gate.broken >= 5
    assert stored(api, asset["id"]) == large.read_bytes()


def test_changed_file_is_a_new_upload(api: Api, large: Path, through_gate: Gate, monkeypatch: Any) -> None:
    monkeypatch.setattr("penstock.transfer.ATTEMPTS", 1)
    through_gate.budget = 12 * MIB
    ids: list[str] = []
    with pytest.raises(Unavailable):
        api.client.upload(large, on_asset=ids.append)
    through_gate.budget = 10**12
    with large.open("ab") as file:
        file.write(b"more")
    assert api.client.upload(large)["id"] != ids[0]


def test_upload_that_was_cancelled_meanwhile_starts_anew(
    api: Api, large: Path, through_gate: Gate, monkeypatch: Any
) -> None:
    monkeypatch.setattr("penstock.transfer.ATTEMPTS", 1)
    through_gate.budget = 0
    ids: list[str] = []
    with pytest.raises(Unavailable):
        api.client.upload(large, on_asset=ids.append)
    api.http.delete(f"/v1/assets/{ids[0]}/upload")
    through_gate.budget = 10**12
    assert api.client.upload(large)["id"] != ids[0]


def test_upload_interrupted_after_its_last_byte_is_completed_without_sending_again(
    api: Api, small: Path, monkeypatch: Any
) -> None:
    ids: list[str] = []
    complete = Client.complete_upload
    monkeypatch.setattr(Client, "complete_upload", lambda *_: (_ for _ in ()).throw(Unavailable("killed here")))
    with pytest.raises(Unavailable):
        api.client.upload(small, on_asset=ids.append)
    api.context.catalogue.source_arrived(ids[0])
    monkeypatch.setattr(Client, "complete_upload", complete)
    told: list[int] = []
    assert api.client.upload(small, on_progress=lambda sent, total: told.append(sent))["id"] == ids[0]
    assert told == []


def test_file_that_changes_while_it_is_sent_is_refused(api: Api, large: Path) -> None:
    def change(_sent: int, _total: int) -> None:
        os.utime(large, ns=(1, 1))

    with pytest.raises(Conflict, match="changed while"):
        api.client.upload(large, on_progress=change)


def test_file_that_becomes_shorter_is_refused(api: Api, large: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("penstock.transfer.FIRST_DELAY_S", 0.01)

    def cut(_asset_id: str) -> None:
        os.truncate(large, 5 * MIB)

    with pytest.raises(Conflict, match="shorter"):
        api.client.upload(large, on_asset=cut)


def test_files_that_cannot_be_uploaded_are_named(api: Api, tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    os.mkfifo(tmp_path / "pipe.mp4")
    for path, reason in (
        (tmp_path / "none.mp4", "there is no file"),
        (tmp_path / "empty.mp4", "empty"),
        (tmp_path, "cannot be read|not a regular file"),
        (Path("/dev/null"), "not a regular file"),
        (tmp_path / "pipe.mp4", "not a regular file"),
    ):
        with pytest.raises(InvalidRequest, match=reason):
            api.client.upload(path)
    assert list(api.client.assets()) == []


def test_file_name_that_is_not_utf8_is_kept_as_far_as_it_is_text(api: Api, tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9 \xff.mp4")
    path.write_bytes(b"film")
    assert api.client.upload(path)["title"] == "caf\ufffd \ufffd.mp4"


def test_api_key_is_never_sent_to_the_object_store(api: Api, small: Path, large: Path, monkeypatch: Any) -> None:
    sent: list[httpx.Request] = []
    real = httpx.Client.send

    def send(self: httpx.Client, request: httpx.Request, **options: Any) -> httpx.Response:
        sent.append(request)
        return real(self, request, **options)

    monkeypatch.setattr(httpx.Client, "send", send)
    api.client.upload(small)
    api.client.upload(large)
    store = [request for request in sent if not str(request.url).startswith(api.url)]
    assert len(store) == 5
    assert not [request for request in store if "authorization" in request.headers]


def test_record_of_an_upload_holds_no_secret(api: Api, large: Path, through_gate: Gate, monkeypatch: Any) -> None:
    monkeypatch.setattr("penstock.transfer.ATTEMPTS", 1)
    through_gate.budget = 0
    with pytest.raises(Unavailable) as caught:
        api.client.upload(large)
    (record,) = (api.client.cache_dir / "uploads").iterdir()
    assert set(json.loads(record.read_text())) == {"asset_id"}
    assert "Signature" not in caught.value.message


def test_wait_returns_once_the_asset_has_ended(api: Api, small: Path) -> None:
    asset_id = api.client.upload(small)["id"]
    seen: list[str] = []

    def on_change(asset: dict[str, Any]) -> None:
        seen.append(asset["state"])
        if asset["state"] == "converting":
            publish(api, asset_id)

    assert api.client.wait(asset_id, on_change)["state"] == "published"
    assert seen == ["converting", "published"]


def test_wait_for_an_asset_that_is_deleted_ends(api: Api, small: Path) -> None:
    asset_id = api.client.upload(small)["id"]
    with pytest.raises(NotFound):
        api.client.wait(asset_id, lambda _asset: api.client.delete_asset(asset_id))


def test_sessions_and_assets(api: Api) -> None:
    asset_id = api.asset()["asset"]["id"]
    publish(api, asset_id)
    assert [asset["id"] for asset in api.client.assets()] == [asset_id]
    session = api.client.create_playback_session(asset_id, viewer="ada", ttl_s=60)
    assert api.client.playback_session(session["id"]) == session
    api.client.end_playback_session(session["id"])
    assert api.client.playback_session(session["id"])["state"] == "ended"
    api.client.delete_asset(asset_id)
    with pytest.raises(NotFound):
        api.client.asset(asset_id)


def test_every_page_is_listed(api: Api) -> None:
    made = {api.asset(str(number))["asset"]["id"] for number in range(3)}
    real = api.client.request
    api.client.request = lambda *a, params=None, **k: real(  # type: ignore[method-assign]
        *a, params=params and {**params, "limit": 1}, **k
    )
    assert {asset["id"] for asset in api.client.assets()} == made


def test_wrong_key_is_refused_by_name(api: Api) -> None:
    with Client(api.url, "pk_wrong") as client, pytest.raises(Unauthorized, match="API key"):
        list(client.assets())


def test_nobody_at_the_address_is_said_at_once() -> None:
    with Client(f"http://127.0.0.1:{free_port()}", API_KEY) as client, pytest.raises(Unavailable, match="penstock up"):
        list(client.assets())


@pytest.mark.parametrize("url", ["", "localhost:8080", "ftp://x", "file:///etc/passwd", "http://[x"])
def test_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(InvalidRequest, match="address"):
        Client(url, API_KEY)


@pytest.mark.parametrize("asset_id", ["", "..", "a/b", "a?b", "a b", "é", "%2e"])
def test_id_that_is_none_leads_nowhere(api: Api, asset_id: str) -> None:
    with pytest.raises(InvalidRequest, match="not an id"):
        api.client.asset(asset_id)


def test_server_that_is_not_penstock_is_named(small: Path, tmp_path: Path) -> None:
    listener = socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\n<html>")

    thread = threading.Thread(target=answer)
    thread.start()
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with Client(url, API_KEY) as client, pytest.raises(UpstreamError, match="right address"):
        list(client.assets())
    thread.join()
    listener.close()


def test_every_error_of_the_api_comes_back_as_itself() -> None:
    def kinds(kind: type[errors.PenstockError]) -> Iterator[type[errors.PenstockError]]:
        for below in kind.__subclasses__():
            yield below
            yield from kinds(below)

    for kind in kinds(errors.PenstockError):
        body = {"error": {"code": kind.code, "message": "m", "request_id": "r"}}
        assert type(error_of(httpx.Response(kind.http_status, json=body))) is kind
    assert type(error_of(httpx.Response(502, text="<html>"))) is UpstreamError
    assert type(error_of(httpx.Response(400, json={"error": []}))) is InvalidRequest
