"""A real S3 server and a real AWS endpoint on free ports, shared by the tests of localaws."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config as ClientConfig

from localaws import objectstore
from localaws.config import Bucket, Config, Credentials, Ports, Rule, Target, dump
from localaws.private_files import write_private

CREDENTIALS = Credentials("AKIAOFTHETESTS", "secret-of-the-tests")
CORS = {
    "AllowedOrigins": ["http://127.0.0.1:8080"],
    "AllowedMethods": ["GET", "PUT", "POST", "HEAD"],
    "AllowedHeaders": ["*"],
    "ExposeHeaders": ["ETag"],
    "MaxAgeSeconds": 3000,
}
SOURCE, MEDIA = "penstock-source", "penstock-media"
READY_WITHIN_S = 30


@dataclass
class Listener:
    """A target of events: remembers what it got; `answer` decides the status of each request."""

    server: ThreadingHTTPServer
    requests: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    answer: Callable[[int], int] = lambda _count: 204
    arrived: threading.Condition = field(default_factory=threading.Condition)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def wait_for(self, count: int, within_s: float = 10) -> list[tuple[str, dict[str, str], bytes]]:
        """The requests once there are `count`; fails when there are fewer in time."""
        with self.arrived:
            assert self.arrived.wait_for(lambda: len(self.requests) >= count, within_s), (
                f"{len(self.requests)} of {count} requests came"
            )
            return list(self.requests)


@contextlib.contextmanager
def listening(port: int = 0) -> Iterator[Listener]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            with listener.arrived:
                listener.requests.append((self.path, dict(self.headers), body))
                count = len(listener.requests)
            status = listener.answer(count)
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()
            with listener.arrived:
                listener.arrived.notify_all()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    listener = Listener(server)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield listener
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def listener() -> Iterator[Listener]:
    with listening() as running:
        yield running


@pytest.fixture(scope="session")
def event_listener() -> Iterator[Listener]:
    """Gets every event of the session's stack."""
    with listening() as running:
        yield running


@pytest.fixture(scope="session")
def aws_config(tmp_path_factory: pytest.TempPathFactory, event_listener: Listener) -> Config:
    """A stack's configuration on free ports: two buckets, every event to `event_listener`."""
    aws, s3, edge = objectstore.free_ports(3)
    return Config(
        data_dir=tmp_path_factory.mktemp("localaws"),
        credentials=CREDENTIALS,
        ports=Ports(aws=aws, s3=s3, edge=edge),
        buckets=(Bucket(SOURCE, (CORS,), events=True), Bucket(MEDIA)),
        rules=(Rule("everything", {"source": [{"exists": True}]}, Target(event_listener.url)),),
    )


def start_s3(config: Config) -> tuple[subprocess.Popen[bytes], objectstore.Server]:
    """A SeaweedFS for `config`, ready; the caller kills it."""
    server = objectstore.prepare(config)
    config.logs_dir.mkdir(parents=True, exist_ok=True)
    with (config.logs_dir / "s3.log").open("ab") as log:
        process = subprocess.Popen(server.argv, cwd=server.cwd, env=server.env, stdout=log, stderr=log, umask=0o077)
    wait_until(lambda: objectstore.ready(server), process, config.logs_dir / "s3.log")
    return process, server


def wait_until(ready: Callable[[], bool], process: subprocess.Popen[Any], log: Path) -> None:
    """Ask again and again: no event tells across processes that a server listens."""
    pause = threading.Event()
    for _ in range(READY_WITHIN_S * 50):
        if ready():
            return
        assert process.poll() is None, f"ended with {process.returncode}:\n{log.read_text(errors='replace')[-2000:]}"
        pause.wait(0.02)
    raise AssertionError(f"not ready within {READY_WITHIN_S} s:\n{log.read_text(errors='replace')[-2000:]}")


@pytest.fixture(scope="session")
def s3_server(aws_config: Config) -> Iterator[Config]:
    """A real SeaweedFS with the buckets of `aws_config`."""
    process, server = start_s3(aws_config)
    try:
        objectstore.create_buckets(aws_config)
        yield aws_config
    finally:
        process.kill()
        process.wait(10)
        objectstore.clean_up(server)


@contextlib.contextmanager
def endpoint_process(config: Config) -> Iterator[subprocess.Popen[bytes]]:
    """The AWS endpoint of `config` as a process, ready."""
    path = config.state_dir / "config.json"
    write_private(path, json_of(config))
    config.logs_dir.mkdir(parents=True, exist_ok=True)
    log = config.logs_dir / "aws.log"
    environ = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    with log.open("ab") as out:
        command = [sys.executable, "-m", "localaws.endpoint", "--config", str(path)]
        process = subprocess.Popen(command, env=environ, stdout=out, stderr=out, start_new_session=True)
    try:
        wait_until(lambda: objectstore.answers(f"{config.aws_url}/healthz"), process, log)
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)


def json_of(config: Config) -> str:
    return json.dumps(dump(config))


@pytest.fixture(scope="session")
def endpoint(s3_server: Config) -> Iterator[Config]:
    """The real AWS endpoint process beside the real S3 server; its address is `endpoint.aws_url`."""
    with endpoint_process(s3_server):
        yield s3_server


@pytest.fixture(scope="session")
def s3(s3_server: Config) -> Any:
    return objectstore.client(s3_server)


def aws_client(config: Config, service: str) -> Any:
    """An unmodified boto3 client for the AWS endpoint of `config`."""
    return boto3.client(
        service,
        endpoint_url=config.aws_url,
        region_name=config.region,
        aws_access_key_id=config.credentials.access_key_id,
        aws_secret_access_key=config.credentials.secret_access_key,
        config=ClientConfig(retries={"max_attempts": 0}),
    )


@pytest.fixture(scope="session")
def client(endpoint: Config) -> Callable[[str], Any]:
    return lambda service: aws_client(endpoint, service)


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """A configuration of the test's own, without servers."""
    buckets = (Bucket(SOURCE, events=True),)
    return Config(data_dir=tmp_path, credentials=CREDENTIALS, ports=Ports(aws=1, s3=2), buckets=buckets)


def with_rule(config: Config, url: str, **pattern: Any) -> Config:
    """`config` with one more rule, named by its number, that sends what fits `pattern` to `url`."""
    rule = Rule(f"rule {len(config.rules)}", pattern or {"source": [{"exists": True}]}, Target(url))
    return replace(config, rules=(*config.rules, rule))


@pytest.fixture
def listener_of() -> Iterator[Callable[..., Listener]]:
    """Starts one more listener, on a port of choice."""
    with contextlib.ExitStack() as stack:
        yield lambda port=0: stack.enter_context(listening(port))


@pytest.fixture
def free_port() -> int:
    return objectstore.free_ports(1)[0]


@pytest.fixture
def started_s3() -> Iterator[Callable[[Config], tuple[subprocess.Popen[bytes], objectstore.Server]]]:
    """Starts S3 servers that end with the test."""
    running: list[tuple[subprocess.Popen[bytes], objectstore.Server]] = []

    def start(config: Config) -> tuple[subprocess.Popen[bytes], objectstore.Server]:
        running.append(start_s3(config))
        return running[-1]

    yield start
    for process, server in running:
        process.kill()
        process.wait(10)
        objectstore.clean_up(server)


@pytest.fixture
def started_endpoint() -> Callable[[Config], contextlib.AbstractContextManager[subprocess.Popen[bytes]]]:
    return endpoint_process
