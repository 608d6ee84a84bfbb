"""Real parts for the control plane: an S3 server, databases, the API behind a real socket."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import boto3
import httpx
import pytest
import sqlalchemy as sa

from api_parts import API_KEY, CORS, CREDENTIALS, EDGE_TOKEN, EVENT_TOKEN, Api, Clock, free_port, until
from localaws import objectstore
from localaws.config import Bucket, Config, Ports
from penstock.api import __main__ as process
from penstock.api import context as contexts
from penstock.catalogue import Catalogue
from penstock.client import Client
from penstock.database import Database
from penstock.formats import cookies
from penstock.sessions import Sessions
from penstock.settings import Settings
from postgresql_server import ending_with_us


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Config]:
    """A running S3 server with both buckets."""
    config = Config(
        data_dir=tmp_path_factory.mktemp("store"),
        credentials=CREDENTIALS,
        ports=Ports(aws=free_port(), s3=free_port()),
        buckets=(Bucket("penstock-source", cors=(CORS,)), Bucket("penstock-media")),
    )
    config.state_dir.mkdir(parents=True)
    config.webhook_token_file.write_text("unused")
    prepared = objectstore.prepare(config)
    with subprocess.Popen(
        ending_with_us(*prepared.argv),
        cwd=prepared.cwd,
        env=prepared.env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as server:
        try:
            until(lambda: objectstore.ready(prepared), 30)
            until(lambda: _made(config), 30)
            yield config
        finally:
            server.send_signal(signal.SIGKILL)
    objectstore.clean_up(prepared)


def _made(config: Config) -> bool:
    with contextlib.suppress(Exception):
        objectstore.create_buckets(config)
        return True
    return False


@pytest.fixture(scope="session")
def signing_key() -> tuple[bytes, bytes]:
    return cookies.generate_key_pair()


@pytest.fixture
def settings(tmp_path: Path, store: Config, signing_key: tuple[bytes, bytes]) -> Settings:
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "master.key").write_bytes(b"m" * 32)
    (secrets / "token.key").write_bytes(b"t" * 32)
    (secrets / "path-token.key").write_bytes(b"p" * 43)
    (secrets / "signing-key.pem").write_bytes(signing_key[0])
    (secrets / "api-key").write_text(API_KEY)
    (secrets / "event-token").write_text(EVENT_TOKEN)
    (secrets / "edge-token").write_text(EDGE_TOKEN)
    return Settings(
        data_dir=tmp_path,
        secrets_dir=secrets,
        event_token_file=secrets / "event-token",
        edge_token_file=secrets / "edge-token",
        multipart_threshold_bytes=6 * 2**20,
    )


@pytest.fixture(scope="session")
def account() -> boto3.Session:
    """One for all tests: reading botocore's service models takes half a second."""
    return boto3.Session(CREDENTIALS.access_key_id, CREDENTIALS.secret_access_key, region_name="us-east-1")


@pytest.fixture
def session(account: boto3.Session, store: Config, monkeypatch: pytest.MonkeyPatch) -> boto3.Session:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", store.s3_url)
    monkeypatch.setenv("AWS_ENDPOINT_URL", store.aws_url)  # nobody listens there
    return account


@pytest.fixture
def api(settings: Settings, session: boto3.Session, clock: Clock, tmp_path: Path) -> Iterator[Api]:
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    context = contexts.build(replace(settings, url=url), session, clock=clock)
    server = process.server(context)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    until(lambda: server.started)
    headers = {"Authorization": f"Bearer {API_KEY}"}
    with (
        httpx.Client(base_url=url, headers=headers) as http,
        Client(url, API_KEY, cache_dir=tmp_path / "cache", patience_s=5) as client,
    ):
        yield Api(server.config.app, context, url, http, client)
    server.should_exit = True
    thread.join()
    listener.close()
    context.database.close()
    for made in vars(context.clients).values():
        made.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """An empty catalogue database of either kind, migrated."""
    if request.param == "sqlite":
        address = f"sqlite:///{tmp_path / 'catalogue.db'}"
    else:
        address = request.getfixturevalue("postgresql")
    found = Database(address)
    if request.param == "postgresql":
        with found.begin() as connection:
            connection.execute(sa.text("DROP SCHEMA public CASCADE"))
            connection.execute(sa.text("CREATE SCHEMA public"))
    found.migrate()
    yield found
    found.close()


@pytest.fixture
def catalogue(database: Database, clock: Clock) -> Catalogue:
    return Catalogue(database, clock=clock)


@pytest.fixture
def sessions(database: Database, clock: Clock) -> Sessions:
    return Sessions(database, clock=clock)
