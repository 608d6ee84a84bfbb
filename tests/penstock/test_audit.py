"""The audit against servers that give everything away: every kind of leak is seen and told."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from penstock import audit as audits
from penstock.audit import _is_clear, _kind
from penstock.client import Client

ASSET, OTHER = str(uuid.uuid4()), str(uuid.uuid4())
OBJECTS = [
    ("source", f"inputs/{ASSET}/film.mp4"),
    ("media", f"assets/{ASSET}/default/stream/main.viewer.mpd"),
    ("media", f"assets/{ASSET}/default/stream/1.cmfv"),
    ("media", f"assets/{ASSET}/default/stream/en.vtt"),
    ("media", f"assets/{ASSET}/default/poster/p.jpg"),
    ("media", f"published/{ASSET}/default.json"),
]


class Leaky(BaseHTTPRequestHandler):
    """An API that works and an edge that lets everybody in; `closed` paths answer 403."""

    protocol_version = "HTTP/1.1"
    closed: tuple[str, ...] = ()

    def do_GET(self) -> None:
        url = f"http://127.0.0.1:{self.server.server_address[1]}"
        if self.path == f"/v1/assets/{ASSET}/objects" and "Authorization" in self.headers:
            objects = [{"bucket": bucket, "object_key": key} for bucket, key in OBJECTS]
            self.answer({"s3_url": url, "objects": objects, "key_ids": [str(uuid.uuid4())]})
        elif self.path.startswith("/v1/assets?") and "Authorization" in self.headers:
            self.answer({"assets": [{"id": each, "state": "published"} for each in (ASSET, OTHER)], "next": None})
        elif self.path.startswith(self.closed) if self.closed else False:
            self.answer({}, 403)
        else:
            self.answer({"open": True})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        url = f"http://127.0.0.1:{self.server.server_address[1]}"
        if self.path.endswith("/playback-sessions") and "Authorization" in self.headers:
            asset_id = self.path.split("/")[3]
            path = f"/assets/{asset_id}/default/stream/main.viewer.mpd"
            names = {"hls_url": None, "hls_token_url": None, "license_token": "secret", "cookies": {"C": "secret"}}
            plain, with_token = url + path, f"{url}/t/secret{path}"
            self.answer({"id": str(uuid.uuid4()), "dash_url": plain, "dash_token_url": with_token, **names}, 201)
        else:
            self.answer({"open": True})

    def do_DELETE(self) -> None:
        self.answer(None, 204)

    def answer(self, document: Any, status: int = 200) -> None:
        body = b"" if document is None else json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def url(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(audits, "REVOKED_WITHIN_S", 0.2)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Leaky)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_everything_that_comes_out_is_told(url: str) -> None:
    with Client(url, "key") as client:
        report = audits.audit(client, ASSET)
    leaked = {(leak.right, leak.kind) for leak in report.leaks}
    for right in ("no right", "an expired right", "another asset's right", "an ended session"):
        for kind in ("source", "manifests", "segments", "captions", "pictures", "markers", "folders", "licenses"):
            assert (right, kind) in leaked
    for kind in ("S3 objects", "S3 listings", "API"):
        assert ("no right", kind) in leaked
    for right in ("an expired right", "another asset's right", "an ended session"):
        assert (right, "renewals") in leaked
    # A viewer may have what is in the folder of the manifests, and nothing else.
    own = {leak.kind for leak in report.leaks if leak.right == "a viewer's right"}
    assert own == {"source", "pictures", "markers", "folders"}
    assert "secret" not in json.dumps(report.as_json())


def test_one_open_object_is_enough(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Leaky, "closed", ("/inputs", "/published", "/t/", "/media", "/source", "/assets/", "/v1", "/i"))
    with Client(url, "key") as client:
        report = audits.audit(client, ASSET)
    assert not [leak for leak in report.leaks if leak.kind in ("segments", "manifests", "source", "folders")]
    assert [leak.kind for leak in report.leaks if leak.address == f"{url}/"] == ["S3 listings"]


@pytest.mark.parametrize(
    ("object_key", "kind"),
    [
        ("inputs/a/film.mp4", "source"),
        ("published/a/default.json", "markers"),
        ("assets/a/default/x.MP4", "MP4 files"),
        ("assets/a/default/x", "other files"),
    ],
)
def test_things_have_kinds(object_key: str, kind: str) -> None:
    assert _kind(object_key) == kind


def test_clear_video_is_told_from_encrypted() -> None:
    handler = b"\0\0\0\x20hdlr" + bytes(8) + b"vide"
    assert _is_clear(b"ftyp moov" + handler)
    assert not _is_clear(b"ftyp moov" + handler + b"encv sinf tenc")
    assert not _is_clear(b"ftyp moov" + handler.replace(b"vide", b"text"))
    assert not _is_clear(b"moof mdat")
