"""Inputs by http: what may be read, from where, and what a server can do to us."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from localaws.media import web as web_module
from localaws.media.failures import JobCanceled, JobError
from localaws.media.web import Web

LOOPBACK = ("127.0.0.0/8",)
FILM = bytes(range(256)) * 5000


@dataclass
class Site:
    """A server on loopback. answers: path -> status and headers in place of the film."""

    url: str = ""
    answers: dict[str, tuple[int, dict[str, str]]] = field(default_factory=dict)
    asked: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    drops: list[int] = field(default_factory=list)
    """After how many bytes the next answers break off."""
    ranges: bool = True
    etag: str = '"v1"'


@pytest.fixture
def site() -> Iterator[Site]:
    found = Site()

    class Handler(BaseHTTPRequestHandler):
        def _answer(self, body: bool) -> None:
            found.asked.append((self.command, self.path, dict(self.headers)))
            if self.path in found.answers:
                status, headers = found.answers[self.path]
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                if body and status == 200:
                    self.wfile.write(FILM)
                return
            ranged = self.headers.get("Range") if found.ranges else None
            start = int(ranged.removeprefix("bytes=").rstrip("-")) if ranged else 0
            self.send_response(206 if ranged else 200)
            self.send_header("Content-Length", str(len(FILM) - start))
            if found.etag:
                self.send_header("ETag", found.etag)
            if ranged:
                self.send_header("Content-Range", f"bytes {start}-{len(FILM) - 1}/{len(FILM)}")
            self.end_headers()
            if body:
                self.wfile.write(FILM[start:][: found.drops.pop(0) if found.drops else None])

        def do_HEAD(self) -> None:
            self._answer(body=False)

        def do_GET(self) -> None:
            self._answer(body=True)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        found.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield found
        server.shutdown()
        thread.join()


def read(web: Web, uri: str, done: int = 0, cancel: threading.Event | None = None) -> bytes:
    cancel = cancel or threading.Event()
    return b"".join(web.read(uri, web.head(uri, cancel), done, cancel))


def test_a_file_is_read_whole_and_from_where_it_was_left(site: Site) -> None:
    web = Web(LOOPBACK)
    assert web.head(f"{site.url}/film.mp4", threading.Event()) == {"ContentLength": len(FILM), "ETag": '"v1"'}
    assert read(web, f"{site.url}/film.mp4") == FILM
    assert read(web, f"{site.url}/film.mp4", 1000) == FILM[1000:]
    headers = site.asked[-1][2]
    assert headers["Range"] == "bytes=1000-" and headers["If-Range"] == '"v1"'
    assert headers["Host"] == site.url.removeprefix("http://") and "Cookie" not in headers


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "localhost", "0.0.0.0", "10.0.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "[::1]",
        "[fe80::1]", "[fd00::1]", "[::ffff:127.0.0.1]", "[2002:7f00:1::]", "2130706433", "0x7f.1", "224.0.0.1",
    ],
)  # fmt: skip
def test_hosts_that_are_not_public_are_not_asked(host: str) -> None:
    with pytest.raises(JobError, match=r"not a public one|has no address") as raised:
        Web().head(f"http://{host}:9/film.mp4", threading.Event())
    assert raised.value.code in (3457, 3451)


def test_a_redirect_is_followed_once_and_looked_at_as_the_first_address(site: Site) -> None:
    web = Web(LOOPBACK)
    site.answers["/once"] = (302, {"Location": "/film.mp4"})
    site.answers["/twice"] = (301, {"Location": "/once"})
    site.answers["/inside"] = (302, {"Location": "http://192.168.0.1/film.mp4"})
    site.answers["/bucket"] = (302, {"Location": "s3://source/film.mp4"})
    site.answers["/file"] = (302, {"Location": "file:///etc/passwd"})
    site.answers["/other"] = (307, {"Location": "/film.mp4"})
    assert read(web, f"{site.url}/once") == FILM
    for path, code in (("/twice", 3450), ("/inside", 3457), ("/bucket", 3450), ("/file", 3450), ("/other", 3450)):
        with pytest.raises(JobError) as raised:
            web.head(site.url + path, threading.Event())
        assert raised.value.code == code, path


@pytest.mark.parametrize(("status", "code"), [(401, 3401), (403, 3403), (404, 3404), (500, 3450)])
def test_what_a_server_says_is_the_error_of_the_job(site: Site, status: int, code: int) -> None:
    site.answers["/film.mp4"] = (status, {"Content-Length": "0"})
    with pytest.raises(JobError, match=f"status {status}") as raised:
        Web(LOOPBACK).head(f"{site.url}/film.mp4", threading.Event())
    assert raised.value.code == code


def test_a_server_that_says_no_length_or_another_one_is_refused(site: Site) -> None:
    web, cancel = Web(LOOPBACK), threading.Event()
    site.answers["/film.mp4"] = (200, {})
    with pytest.raises(JobError, match="does not say how long it is"):
        web.head(f"{site.url}/film.mp4", cancel)
    with pytest.raises(JobError, match="is longer than its server said"):
        list(web.read(f"{site.url}/film.mp4", {"ContentLength": 10, "ETag": '"v1"'}, 0, cancel))
    with pytest.raises(JobError, match="changed while it was read"):
        list(web.read(f"{site.url}/film.mp4", {"ContentLength": 10, "ETag": '"v1"'}, 5, cancel))


def test_a_host_that_does_not_answer_and_a_canceled_job(site: Site) -> None:
    with pytest.raises(JobError) as raised:
        Web(LOOPBACK).head("http://127.0.0.1:1/film.mp4", threading.Event())
    assert raised.value.code == 3451
    canceled = threading.Event()
    canceled.set()
    with pytest.raises(JobCanceled):
        read(Web(LOOPBACK), f"{site.url}/film.mp4", cancel=canceled)


def test_a_connection_that_breaks_goes_on_where_it_was(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_module, "FIRST_PAUSE_S", 0.001)
    site.drops = [1000, 0, 500_000]
    assert read(Web(LOOPBACK), f"{site.url}/film.mp4") == FILM
    ranges = [headers.get("Range") for command, _, headers in site.asked if command == "GET"]
    assert ranges == [None, "bytes=1000-", "bytes=1000-", "bytes=501000-"]


@pytest.mark.parametrize("etag", ['"v1"', ""])
def test_a_server_without_ranges_is_read_from_the_start_again(
    site: Site, monkeypatch: pytest.MonkeyPatch, etag: str
) -> None:
    monkeypatch.setattr(web_module, "FIRST_PAUSE_S", 0.001)
    site.ranges, site.etag, site.drops = False, etag, [600_000, 1_000_000]
    assert read(Web(LOOPBACK), f"{site.url}/film.mp4") == FILM
    assert len([command for command, *_ in site.asked if command == "GET"]) == 3


def test_another_file_behind_a_broken_connection_is_told_from_the_first(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web_module, "FIRST_PAUSE_S", 0.001)
    site.ranges, site.drops = False, [600_000]
    web, cancel = Web(LOOPBACK), threading.Event()
    chunks = web.read(f"{site.url}/film.mp4", web.head(f"{site.url}/film.mp4", cancel), 0, cancel)
    next(chunks)
    site.etag = '"v2"'
    with pytest.raises(JobError, match="changed while it was read"):
        list(chunks)


def test_a_server_that_goes_on_dropping_is_given_up(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_module, "FIRST_PAUSE_S", 0.001)
    for drops, asked in (([0] * 30, 5), ([1] * 30, 21)):
        site.drops, site.asked = drops, []
        with pytest.raises(JobError, match="cannot be read to its end") as raised:
            read(Web(LOOPBACK), f"{site.url}/film.mp4")
        assert raised.value.code == 3451
        assert len([command for command, *_ in site.asked if command == "GET"]) == asked
