"""A real edge process, a real S3 server, and origins that can be told to misbehave."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from localaws import config as configuration
from localaws import objectstore
from penstock.formats.cookies import Policy, Signer, generate_key_pair

ACCESS_KEY, SECRET_KEY = "AKIAEDGETEST", "the-secret-of-the-edge"
MEDIA_BUCKET = "media"
RUN_WITH_LIMITS = """
import json, os, sys
from localaws.edge.__main__ import Limits, main
from localaws.edge.origins import Timeouts
limits = json.loads(sys.argv[2])
for name in ("s3_timeouts", "server_timeouts"):
    if name in limits:
        limits[name] = Timeouts(*limits[name])
if "clock_file" in limits:
    clock_file = limits.pop("clock_file")
    limits["pace_clock"] = lambda: float(open(clock_file).read())
os._exit(main(["--config", sys.argv[1], "--verbose"], Limits(**limits)))
"""


@dataclass(frozen=True)
class Keys:
    """Key pairs by key pair id, all in the edge's key group, and one pair that is not."""

    private: Mapping[str, bytes] = field(repr=False)
    public: Mapping[str, bytes] = field(repr=False)
    stranger: bytes = field(repr=False)


@pytest.fixture(scope="session")
def keys() -> Keys:
    rsa_private, rsa_public = generate_key_pair()
    key = ec.generate_private_key(ec.SECP256R1())
    ec_private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    ec_public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return Keys({"rsa": rsa_private, "ec": ec_private}, {"rsa": rsa_public, "ec": ec_public}, generate_key_pair()[0])


@dataclass
class Response:
    status: int
    headers: dict[str, str]
    body: bytes

    def without_date(self) -> tuple[int, dict[str, str], bytes]:
        return self.status, {name: value for name, value in self.headers.items() if name != "date"}, self.body


@dataclass
class RunningEdge:
    port: int
    process: subprocess.Popen[bytes]
    data_dir: Path
    config_file: Path
    log_file: Path
    keys: Keys

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        return self.log_file.read_text()

    def request(
        self, target: str, method: str = "GET", headers: Mapping[str, str] | None = None, body: Any = None
    ) -> Response:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, target, body=body, headers=dict(headers or {}))
            answer = connection.getresponse()
            return Response(answer.status, {n.lower(): v for n, v in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def raw(self, request: bytes) -> tuple[int, bytes]:
        """Send bytes as they are, with an end after them; returns status and all that came."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as connection:
            connection.sendall(request)
            received = b""
            with contextlib.suppress(ConnectionError):
                while chunk := connection.recv(65536):
                    received += chunk
        return int(received.split(b" ", 2)[1]) if received else 0, received

    def restart(self) -> None:
        """End the process in good order and start it again."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=10)
        self.process = _started(self.process.args, self.log_file)
        wait_for(lambda: can_connect(self.port) or self.process.poll() is not None, "the edge listens again")

    def signer(self, key_id: str = "rsa", hash_algorithm: Any = "SHA1") -> Signer:
        return Signer(self.keys.private[key_id], key_id, hash_algorithm)

    def cookie(self, resource: str = "/assets/a/*", ttl_s: int = 600, **policy: Any) -> dict[str, str]:
        """The Cookie header for a custom policy."""
        made = self.signer().cookies(Policy(f"{self.url}{resource}", int(time.time()) + ttl_s, **policy))
        return cookie_header(made)


def cookie_header(cookies: Mapping[str, str]) -> dict[str, str]:
    return {"Cookie": "; ".join(f"{name}={value}" for name, value in cookies.items())}


StartEdge = Callable[..., RunningEdge]


@pytest.fixture(scope="module")
def start_edge(tmp_path_factory: pytest.TempPathFactory, keys: Keys) -> Iterator[StartEdge]:
    """Start edges; all of them are ended with the module."""
    started: list[RunningEdge] = []

    def start(
        *, s3_port: int = 1, api_url: str = "http://127.0.0.1:1", limits: dict[str, Any] | None = None, **edge: Any
    ) -> RunningEdge:
        data_dir = tmp_path_factory.mktemp("edge")
        (port,) = objectstore.free_ports(1)
        document = describe(data_dir, keys, port, s3_port, api_url, edge)
        config_file = data_dir / "stack.json"
        config_file.write_text(json.dumps(document))
        command = [sys.executable, "-m", "localaws.edge", "--config", str(config_file), "--verbose"]
        if limits:
            command = [sys.executable, "-c", RUN_WITH_LIMITS, str(config_file), json.dumps(limits)]
        log_file = data_dir / "edge.log"
        process = _started(command, log_file)
        running = RunningEdge(port, process, data_dir, config_file, log_file, keys)
        started.append(running)
        wait_for(lambda: can_connect(port) or process.poll() is not None, "the edge listens")
        assert process.poll() is None, running.log
        return running

    yield start
    for running in started:
        running.process.send_signal(signal.SIGTERM)
    for running in started:
        try:
            running.process.wait(timeout=5)
        finally:
            running.process.kill()


def _started(command: Any, log_file: Path) -> subprocess.Popen[bytes]:
    with log_file.open("ab") as log:
        return subprocess.Popen(command, stderr=log, stdout=log, env={**os.environ, "PYTHONPATH": "src"})


def describe(
    data_dir: Path, keys: Keys, port: int, s3_port: int, api_url: str, edge: Mapping[str, Any]
) -> dict[str, Any]:
    files = {}
    for key_id, pem in keys.public.items():
        files[key_id] = str(data_dir / f"{key_id}.pem")
        Path(files[key_id]).write_bytes(pem)
    return {
        "data_dir": str(data_dir),
        "credentials": {"access_key_id": ACCESS_KEY, "secret_access_key": SECRET_KEY},
        "ports": {"edge": port, "s3": s3_port},
        "edge": {
            "url": f"http://127.0.0.1:{port}",
            "origins": {"media": {"bucket": MEDIA_BUCKET}, "api": {"url": api_url}},
            "key_groups": {"viewers": files},
            "behaviors": [
                {"path": "/assets/*", "origin": "media", "trusted_key_group": "viewers"},
                {"path": "/signed-api/*", "origin": "api", "trusted_key_group": "viewers"},
                {"path": "/internal/*", "deny": True},
                {"path": "*", "origin": "api"},
            ],
            "allowed_origins": ["http://app.test:3000"],
            **edge,
        },
    }


def can_connect(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def wait_for(happened: Callable[[], Any], what: str, timeout_s: float = 15.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not happened():
        assert time.monotonic() < deadline, f"not within {timeout_s} s: {what}"
        time.sleep(0.02)


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, Any]]:
    """SeaweedFS with an empty media bucket; yields its port and a boto3 client."""
    data_dir = tmp_path_factory.mktemp("s3")
    port, aws_port = objectstore.free_ports(2)
    config = configuration.parse(
        {
            "data_dir": str(data_dir),
            "credentials": {"access_key_id": ACCESS_KEY, "secret_access_key": SECRET_KEY},
            "ports": {"s3": port, "aws": aws_port},
            "buckets": [{"name": MEDIA_BUCKET}],
        }
    )
    server = objectstore.prepare(config)
    process = subprocess.Popen(server.argv, cwd=server.cwd, env=server.env, stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: objectstore.ready(server), "S3 is ready", 60)
        wait_for(lambda: _has_buckets(config), "S3 takes buckets", 60)
        client = objectstore.client(config)
        yield port, client
        client.close()
    finally:
        process.terminate()
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        objectstore.clean_up(server)


def _has_buckets(config: configuration.Config) -> bool:
    try:
        objectstore.create_buckets(config)
    except objectstore.Unavailable:
        return False
    return True


@dataclass
class Seen:
    """One request that an origin got."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes = b""


@dataclass
class Origin:
    """A real HTTP server on a free port whose answers a test decides."""

    server: ThreadingHTTPServer
    answer: Callable[[BaseHTTPRequestHandler, Seen], None]
    seen: list[Seen] = field(default_factory=list)

    @property
    def port(self) -> int:
        return int(self.server.server_address[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


StartOrigin = Callable[[Callable[[BaseHTTPRequestHandler, Seen], None]], Origin]


@pytest.fixture(scope="module")
def start_origin() -> Iterator[StartOrigin]:
    started: list[Origin] = []

    def start(answer: Callable[[BaseHTTPRequestHandler, Seen], None]) -> Origin:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def _handle(self) -> None:
                try:
                    body = self._body()
                    seen = Seen(self.command, self.path, {n.lower(): v for n, v in self.headers.items()}, body)
                    origin.seen.append(seen)
                    origin.answer(self, seen)
                except ConnectionError:
                    self.close_connection = True

            def _body(self) -> bytes:
                if self.headers.get("transfer-encoding") != "chunked":
                    return self._read(int(self.headers.get("content-length", 0)))
                body = b""
                while size := int(self._line(), 16):
                    body += self._read(size)
                    self._line()
                self._line()
                return body

            def _line(self) -> bytes:
                if not (line := self.rfile.readline()):
                    raise ConnectionError("cut off")
                return line

            def _read(self, length: int) -> bytes:
                if len(body := self.rfile.read(length)) < length:
                    raise ConnectionError("cut off")
                return body

            do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _handle

            def log_message(self, *_: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 256

            def handle_error(self, *_: Any) -> None:
                pass  # the edge hangs up on broken answers, as it should

        server = Server(("127.0.0.1", 0), Handler)
        origin = Origin(server, answer)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        started.append(origin)
        return origin

    yield start
    for origin in started:
        origin.server.shutdown()
        origin.server.server_close()


def send(handler: BaseHTTPRequestHandler, status: int, body: bytes = b"", **headers: str) -> None:
    """Answer with a whole body; header names are written with underscores."""
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    if handler.command != "HEAD":
        handler.wfile.write(body)
