"""A server as a cached origin: custom headers that viewers never see, one fetch for many, files and ranges."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from localaws.config import parse
from localaws.edge.__main__ import Limits, _server
from penstock.errors import InvalidRequest

SECRET = "4f2b5a52-6c62-4a38-9a0e"


@dataclass
class Origin:
    """Serves one file to whoever knows the secret; remembers what it was asked."""

    url: str = ""
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)


@pytest.fixture(scope="module")
def origin() -> Iterator[Origin]:
    known = Origin()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            known.asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
            body = b"<MPD/>" if self.path == "/out/v1/a/b/c/index.mpd" else b""
            status = 403 if self.headers.get("X-MediaPackage-CDNIdentifier") != SECRET else 200 if body else 404
            self.send_response(status)
            self.send_header("ETag", '"one"')
            self.send_header("Set-Cookie", "origin=1")
            self.send_header("Content-Length", str(len(body) if status == 200 else 0))
            self.end_headers()
            if status == 200:
                self.wfile.write(body)

        def log_message(self, *_: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    known.url = f"http://127.0.0.1:{server.server_port}"
    yield known
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def edge(start_edge: Any, origin: Origin, tmp_path_factory: pytest.TempPathFactory) -> Any:
    secret = tmp_path_factory.mktemp("secret") / "identifier"
    secret.write_text(f"{SECRET}\n")
    headers = {"X-MediaPackage-CDNIdentifier": str(secret)}
    return start_edge(
        origins={"packages": {"url": origin.url, "headers": headers, "cached": True}},
        behaviors=[{"path": "/out/v1/*", "origin": "packages", "trusted_key_group": "viewers"}],
    )


def test_viewers_need_a_signature_and_the_origin_gets_the_header_alone(edge: Any, origin: Origin) -> None:
    target = "/out/v1/a/b/c/index.mpd"
    assert edge.request(target).status == 403
    assert edge.request(target, headers={"X-MediaPackage-CDNIdentifier": SECRET}).status == 403
    assert origin.asked == []
    cookie = edge.cookie("/out/v1/a/*")
    answers = [edge.request(target, headers=cookie) for _ in range(3)]
    assert [(answer.status, answer.body) for answer in answers] == [(200, b"<MPD/>")] * 3
    assert len(origin.asked) == 1
    path, sent = origin.asked[0]
    assert path == target
    assert sent["x-mediapackage-cdnidentifier"] == SECRET and "cookie" not in sent
    first = answers[0].headers
    assert first["content-type"] == "application/dash+xml" and "set-cookie" not in first
    assert SECRET not in str(first) and SECRET not in edge.log


def test_ranges_heads_and_conditions_are_the_edges_own(edge: Any) -> None:
    target, cookie = "/out/v1/a/b/c/index.mpd", edge.cookie("/out/v1/a/*")
    part = edge.request(target, headers={**cookie, "Range": "bytes=1-3"})
    assert (part.status, part.body) == (206, b"MPD")
    assert edge.request(target, headers={**cookie, "If-None-Match": '"one"'}).status == 304
    assert edge.request(target, "HEAD", headers=cookie).body == b""
    assert edge.request(target, "POST", headers=cookie).status == 403


def test_what_is_not_there_looks_like_what_may_not_be_seen(edge: Any) -> None:
    cookie = edge.cookie("/out/v1/a/*")
    missing = edge.request("/out/v1/a/b/c/other.mpd", headers=cookie)
    forbidden = edge.request("/out/v1/z/b/c/index.mpd", headers=cookie)
    assert missing.without_date() == forbidden.without_date() and missing.status == 403


@pytest.mark.parametrize(
    ("origin_", "told"),
    [
        ({"url": "http://127.0.0.1:1", "headers": {"X-A": "/x"}}, "headers are for a cached origin"),
        ({"bucket": "media", "cached": True}, "only a url can be one"),
        ({"url": "http://127.0.0.1:1", "cached": True, "headers": {"X-A": "relative"}}, "headers.X-A"),
    ],
)
def test_origins_that_cannot_be_are_refused(tmp_path: Path, origin_: dict[str, Any], told: str) -> None:
    document = {
        "data_dir": str(tmp_path),
        "credentials": {"access_key_id": "a", "secret_access_key": "b" * 20},
        "edge": {"url": "http://127.0.0.1:8080", "origins": {"one": origin_}},
    }
    with pytest.raises(InvalidRequest, match=r"edge\.origins\.one") as refused:
        parse(document)
    assert told in refused.value.message


def test_a_header_without_its_file_is_refused_at_start(tmp_path: Path) -> None:
    document = {
        "data_dir": str(tmp_path),
        "credentials": {"access_key_id": "a", "secret_access_key": "b" * 20},
        "edge": {
            "url": "http://127.0.0.1:8080",
            "origins": {"one": {"url": "http://127.0.0.1:1", "cached": True, "headers": {"X-A": str(tmp_path / "no")}}},
        },
    }
    made = parse(document).edge
    assert made is not None
    with pytest.raises(InvalidRequest, match="X-A cannot be read"):
        _server(made.origins["one"], Limits())
    (tmp_path / "no").write_text("\n")
    with pytest.raises(InvalidRequest, match="is empty"):
        _server(made.origins["one"], Limits())
