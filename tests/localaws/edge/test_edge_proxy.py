"""A server behind a running edge: what it gets to see, what comes back of it, and what happens when it breaks."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import queue
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

BIG = os.urandom(5_000_000)


class Api:
    """The server behind the edge."""

    def __init__(self) -> None:
        self.events: queue.Queue[bytes | None] = queue.Queue()
        self.left = threading.Event()

    def __call__(self, handler: BaseHTTPRequestHandler, seen: Any) -> None:
        path = seen.target.partition("?")[0].strip("/").replace("/", "_")
        getattr(self, path, self.echo)(handler, seen)

    def echo(self, handler: Any, seen: Any) -> None:
        body = json.dumps(
            {"method": seen.method, "target": seen.target, "headers": seen.headers, "size": len(seen.body)}
        )
        send_all(handler, 200, body.encode(), [("Content-Type", "application/json"), ("Set-Cookie", "jar=full")])

    def odd(self, handler: Any, seen: Any) -> None:
        headers = [
            ("X-Name", "caf\xe9\x01"),
            ("Connection", "X-Hop"),
            ("X-Hop", "1"),
            ("Keep-Alive", "timeout=9"),
            ("Set-Cookie", "a=1"),
            ("Set-Cookie", "b=2"),
            ("Location", "/elsewhere"),
            ("Content-Encoding", "gzip"),
        ]
        send_all(handler, 302, b"not really gzip", headers)

    def big(self, handler: Any, seen: Any) -> None:
        send_all(handler, 200, BIG, [])

    def missing(self, handler: Any, seen: Any) -> None:
        send_all(handler, 404, b'{"error": {"code": "not_found"}}', [])

    def nothing(self, handler: Any, seen: Any) -> None:
        handler.send_response(204)
        handler.end_headers()

    def half(self, handler: Any, seen: Any) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        handler.wfile.write(b"half of a secret")
        handler.close_connection = True

    def half_big(self, handler: Any, seen: Any) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "5000000")
        handler.end_headers()
        handler.wfile.write(BIG[:3_000_000])
        handler.close_connection = True

    def garbage(self, handler: Any, seen: Any) -> None:
        handler.wfile.write(b"traceback: password=hunter2\r\n\r\n")
        handler.close_connection = True

    def hangs(self, handler: Any, seen: Any) -> None:
        left = self.left
        if handler.connection.recv(1) == b"":
            left.set()
        handler.close_connection = True

    def sse(self, handler: Any, seen: Any) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "text/event-stream")
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        threading.Thread(target=self._watch, args=(handler.connection, self.left), daemon=True).start()
        while (event := self.events.get()) is not None:
            handler.wfile.write(b"%x\r\n%s\r\n" % (len(event), event))
        with contextlib.suppress(ConnectionError):
            handler.wfile.write(b"0\r\n\r\n")

    def _watch(self, connection: socket.socket, left: threading.Event) -> None:
        with contextlib.suppress(OSError):
            if connection.recv(1, socket.MSG_PEEK) == b"":
                left.set()
                self.events.put(None)


def send_all(handler: Any, status: int, body: bytes, headers: list[tuple[str, str]]) -> None:
    handler.send_response(status)
    for name, value in headers:
        handler.send_header(name, value)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    if handler.command != "HEAD":
        handler.wfile.write(body)


@pytest.fixture(scope="module")
def api() -> Api:
    return Api()


@pytest.fixture(scope="module")
def origin(start_origin: Any, api: Api) -> Any:
    return start_origin(api)


@pytest.fixture(scope="module")
def edge(start_edge: Any, origin: Any) -> Any:
    return start_edge(api_url=origin.url, limits={"server_timeouts": [0.5, 1.5]})


def echoed(answer: Any) -> Any:
    assert answer.status == 200, answer
    return json.loads(answer.body)


def test_the_origin_sees_the_request_and_where_it_came_from(edge: Any) -> None:
    seen = echoed(
        edge.request(
            "/v1/assets?x=1&Expires=2&q=%2F+'",
            "PUT",
            headers={
                "X-Forwarded-For": "6.6.6.6",
                "X-Forwarded-Proto": "https",
                "X-Forwarded-Host": "evil.test",
                "Forwarded": "for=6.6.6.6",
                "X-Real-IP": "6.6.6.6",
                "Connection": "keep-alive, X-Private",
                "X-Private": "1",
                "TE": "trailers",
                "Upgrade": "websocket",
                "Proxy-Authorization": "x",
                "Authorization": "Bearer y",
                "Cookie": "a=1; CloudFront-Policy=secret; b=2",
                "Origin": "http://app.test:3000",
            },
            body=b"12345",
        )
    )
    assert (seen["method"], seen["size"]) == ("PUT", 5)
    assert seen["target"] == "/v1/assets?x=1&Expires=2&q=%2F+'"
    headers = seen["headers"]
    assert headers["host"] == edge.url.removeprefix("http://"), "signatures cover the host the viewer asked for"
    assert headers["x-forwarded-for"] == "127.0.0.1"
    assert headers["x-forwarded-proto"] == "http"
    assert headers["authorization"] == "Bearer y"
    assert headers["cookie"] == "a=1; b=2"
    assert headers["origin"] == "http://app.test:3000"
    gone = {
        "forwarded",
        "x-real-ip",
        "x-forwarded-host",
        "x-private",
        "te",
        "upgrade",
        "proxy-authorization",
        "connection",
    }
    assert not gone & headers.keys()


def test_no_cookie_of_one_viewer_reaches_another(edge: Any) -> None:
    assert edge.request("/first").headers["set-cookie"] == "jar=full"
    assert "cookie" not in echoed(edge.request("/second"))["headers"]


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_every_method_of_the_api_passes(edge: Any, method: str) -> None:
    answer = edge.request("/v1/x", method)
    assert answer.status == 200
    assert (answer.body == b"") == (method == "HEAD")


def test_other_methods_do_not(edge: Any) -> None:
    for method in ("TRACE", "BREW", "PROPFIND"):
        answer = edge.request("/v1/x", method)
        assert (answer.status, json.loads(answer.body)["error"]["code"]) == (405, "method_not_allowed")


def test_answers_come_back_as_they_are_but_for_the_connections_own_headers(edge: Any) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", edge.port, timeout=10)
    connection.request("GET", "/odd")
    answer = connection.getresponse()
    assert (answer.status, answer.read()) == (302, b"not really gzip")
    assert answer.headers.get_all("set-cookie") == ["a=1", "b=2"]
    assert answer.headers["location"] == "/elsewhere"
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.headers["x-name"] == "caf??"
    assert answer.headers["x-hop"] is None
    assert answer.headers["keep-alive"] is None
    connection.close()
    assert edge.request("/missing").body == b'{"error": {"code": "not_found"}}'
    assert edge.request("/nothing").status == 204


def test_a_large_answer_is_whole_and_leaves_nothing_behind(edge: Any) -> None:
    assert edge.request("/big").body == BIG
    spool = [path for path in (edge.data_dir / "localaws" / "edge-cache").iterdir() if path.name.startswith("_")]
    assert len(spool) == 1
    deadline = time.monotonic() + 10
    while any(spool[0].iterdir()):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_bodies_are_capped_with_and_without_a_length(edge: Any, origin: Any) -> None:
    assert echoed(edge.request("/v1/x", "POST", body=b"x" * 10 * 2**20))["size"] == 10 * 2**20
    head = "POST /v1/capped HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
    status, answer = edge.raw(f"{head}Content-Length: {10 * 2**20 + 1}\r\n\r\n".encode())
    assert status == 413
    assert b"request_too_large" in answer
    assert "/v1/capped" not in [seen.target for seen in origin.seen]
    chunks = b"".join(b"100000\r\n" + b"x" * 2**20 + b"\r\n" for _ in range(11)) + b"0\r\n\r\n"
    assert edge.raw(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode() + chunks)[0] in {413, 0}


def test_a_chunked_body_arrives(edge: Any) -> None:
    seen = echoed(edge.request("/v1/x", "POST", body=iter([b"abc", b"", b"defg"])))
    assert seen["size"] == 7


@pytest.mark.parametrize(
    "framing", ["Content-Length: 100\r\n\r\nabcde", "Transfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n"]
)
def test_a_body_that_breaks_off_never_looks_complete(edge: Any, origin: Any, framing: str) -> None:
    for number in range(20):
        with socket.create_connection(("127.0.0.1", edge.port)) as connection:
            connection.sendall(f"POST /v1/cut HTTP/1.1\r\nHost: a\r\n{framing}".encode())
            if number % 2:
                time.sleep(0.01)  # so that the origin has seen its beginning
    assert edge.request("/v1/after").status == 200
    assert "/v1/cut" not in [seen.target for seen in origin.seen]


def test_a_request_cannot_be_smuggled(edge: Any, origin: Any) -> None:
    for smuggling in (
        b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /stolen HTTP/1.1\r\nHost: a\r\n\r\n",
        b"Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcdGET /stolen HTTP/1.1\r\nHost: a\r\n\r\n",
        b"Transfer-Encoding: xchunked\r\nContent-Length: 0\r\n\r\n0\r\n\r\nGET /stolen HTTP/1.1\r\nHost: a\r\n\r\n",
        b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\nGET /stolen HTTP/1.1\r\nHost: a\r\n\r\n",
        b"X: a\nGET /stolen HTTP/1.1\r\n\r\n",
    ):
        edge.raw(b"POST /v1/x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n" + smuggling)
    assert "/stolen" not in [seen.target for seen in origin.seen]


def test_too_many_headers_are_refused(edge: Any, origin: Any) -> None:
    answer = edge.request("/v1/heavy", headers={"Cookie": "a=" + "x" * 65536})
    assert (answer.status, json.loads(answer.body)["error"]["code"]) == (431, "headers_too_large")
    assert "/v1/heavy" not in [seen.target for seen in origin.seen]


@pytest.mark.parametrize(
    "target",
    [
        "/internal/",
        "/internal/x",
        "/%69nternal/x",
        "/internal%2Fx",
        "//internal/x",
        "/v1/../internal/x",
        "/v1/%2e%2e/internal/x",
        "/./internal/x",
    ],
)
def test_what_is_denied_stays_denied_however_it_is_spelled(edge: Any, origin: Any, target: str) -> None:
    assert edge.request(target, "POST").status == 403
    assert not [seen.target for seen in origin.seen if "internal" in seen.target]


def test_bytes_that_are_not_ascii_reach_the_origin_encoded(edge: Any, origin: Any) -> None:
    edge.raw("GET /v1/é?q=ü HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
    assert origin.seen[-1].target == "/v1/%C3%A9?q=%C3%BC"


def test_an_odd_path_reaches_the_origin_encoded(edge: Any) -> None:
    assert echoed(edge.request("/v1/a%20b%3Fc%23%25/%C3%BC;x=1"))["target"] == "/v1/a%20b%3Fc%23%25/%C3%BC;x=1"


def test_a_signed_behavior_of_a_server_strips_the_signature(edge: Any, origin: Any) -> None:
    assert edge.request("/signed-api/x").status == 403
    assert "/signed-api/x" not in [seen.target for seen in origin.seen]
    signed = edge.signer().url(f"{edge.url}/signed-api/x?a=1", int(time.time()) + 60)
    assert echoed(edge.request(signed.removeprefix(edge.url)))["target"] == "/signed-api/x?a=1"
    seen = echoed(edge.request("/signed-api/x?b=2", headers=edge.cookie("/signed-api/*")))
    assert seen["target"] == "/signed-api/x?b=2"
    assert "cookie" not in seen["headers"]


def open_stream(edge: Any, path: str = "/sse") -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
    connection = http.client.HTTPConnection("127.0.0.1", edge.port, timeout=10)
    connection.request("GET", path)
    return connection, connection.getresponse()


def test_events_come_one_by_one_at_once(edge: Any, api: Api) -> None:
    connection, answer = open_stream(edge)
    assert answer.headers["content-type"] == "text/event-stream"
    for number in range(3):
        api.events.put(b"data: %d\n\n" % number)
        assert answer.readline() + answer.readline() == b"data: %d\n\n" % number
    api.events.put(None)
    assert answer.read() == b""
    connection.close()


def test_a_viewer_who_leaves_a_stream_ends_it_at_the_origin(edge: Any, api: Api) -> None:
    api.left = threading.Event()
    connection, answer = open_stream(edge)
    api.events.put(b"data: 0\n\n")
    assert answer.readline() == b"data: 0\n"
    answer.close()
    connection.close()
    assert api.left.wait(5)


def test_a_viewer_who_leaves_before_the_answer_ends_the_request(edge: Any, api: Api) -> None:
    api.left = threading.Event()
    with socket.create_connection(("127.0.0.1", edge.port)) as connection:
        connection.sendall(b"GET /hangs HTTP/1.1\r\nHost: a\r\n\r\n")
        assert not api.left.wait(0.2)
    assert api.left.wait(1), "well before the 1.5 s after which the edge gives up by itself"


@pytest.mark.parametrize(
    ("target", "status"), [("/hangs", 504), ("/half", 502), ("/half/big", 502), ("/garbage", 502)]
)  # fmt: skip
def test_a_break_in_the_origin_is_an_error_that_says_nothing_of_it(edge: Any, target: str, status: int) -> None:
    answer = edge.request(target)
    assert answer.status == status
    error = json.loads(answer.body)["error"]
    assert error["code"] in {"upstream_error", "upstream_timeout"}
    assert error["request_id"]
    for leak in ("hunter2", "secret", "httpx", "Error(", "127.0.0.1"):
        assert leak not in answer.body.decode()


def test_an_origin_that_is_not_there(start_edge: Any) -> None:
    answer = start_edge().request("/v1/assets")
    assert (answer.status, json.loads(answer.body)["error"]["code"]) == (502, "upstream_error")


def test_requests_leave_neither_tasks_nor_connections_behind(edge: Any) -> None:
    import psutil

    process = psutil.Process(edge.process.pid)

    def ask(times: int) -> tuple[int, int]:
        for _ in range(times):
            assert edge.request("/v1/x").status == 200
        return process.num_fds(), process.memory_info().rss

    ask(100)
    files, memory = ask(100)
    files_later, memory_later = ask(600)
    assert files_later <= files + 3
    assert memory_later - memory < 6_000_000, "600 requests may not cost 10 KB each for good"
