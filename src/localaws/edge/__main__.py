"""`python -m localaws.edge --config F [--verbose]`: the edge as one process on 127.0.0.1.

Ends within 2 s of SIGTERM or SIGINT, whatever viewers are doing.
"""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import logging
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO
from urllib.parse import urlsplit

from botocore.credentials import Credentials
from granian.constants import HTTPModes, Interfaces
from granian.errors import FatalError
from granian.http import HTTP1Settings
from granian.server.embed import Server

from localaws import config as configuration
from localaws.edge.answers import sendable
from localaws.edge.app import Edge, Route
from localaws.edge.authorize import Authorizer
from localaws.edge.cache import FRESH_S, GRACE_S, Cache
from localaws.edge.front import Front
from localaws.edge.gate import Gate
from localaws.edge.media import Media
from localaws.edge.origins import BucketOrigin, HttpClient, Origin, ServerOrigin, Timeouts
from localaws.edge.pace import Rule
from localaws.edge.path_tokens import PathTokens
from localaws.edge.proxy import Proxy
from localaws.edge.revocations import INTERVAL_S, Follower, Revocations
from localaws.edge.signals import EVERY_S, Sender, Signals
from localaws.edge.targets import matcher
from penstock.errors import Conflict, InvalidRequest, PenstockError
from penstock.formats.cookies import PublicKey, load_public_key
from penstock.formats.tokens import MIN_KEY_BYTES

log = logging.getLogger("localaws.edge")

STOP_S = 1.2
"""How long answers under way may go on after the signal to end."""
MAX_S3_CONNECTIONS = 16
MAX_PROXIED_CONNECTIONS = 512


@dataclass(frozen=True)
class Limits:
    """What nobody has had to configure yet; bytes and seconds of the cache are those of Cache, for each bucket."""

    cache_bytes: int | None = None
    fresh_s: float = FRESH_S
    grace_s: float = GRACE_S
    s3_timeouts: Timeouts = field(default_factory=lambda: Timeouts(silence_s=15.0))
    server_timeouts: Timeouts = field(default_factory=Timeouts)
    revocations_every_s: float = INTERVAL_S
    signals_every_s: float = EVERY_S
    pace_delay_s: float = Rule.delay_s
    pace_clock: Callable[[], float] = time.time

    def pace(self, pace: configuration.Pace) -> Rule:
        return Rule(rate=pace.rate, burst_s=pace.burst_s, delay_s=self.pace_delay_s)


@dataclass(frozen=True)
class Parts:
    """The application of a configuration; its proxies, for they have streams to end; its gate, which remembers."""

    app: Edge
    proxies: list[Proxy]
    gate: Gate
    signals: Signals


def build(config: configuration.Config, limits: Limits, revocations: Revocations) -> Parts:
    """Make the parts of a configuration.

    Raises InvalidRequest.
    """
    edge = config.edge
    if edge is None:
        raise InvalidRequest("the configuration has no edge")
    folder = config.state_dir / "edge-cache"
    groups = {name: Authorizer(_public_keys(files), revocations=revocations) for name, files in edge.key_groups.items()}
    origins: dict[str, Media | Proxy] = {}
    for name, origin in edge.origins.items():
        if origin.bucket:
            files = _bucket(config, origin.bucket, limits.s3_timeouts)
            origins[name] = Media(_cache(files, folder / origin.bucket, limits))
        elif origin.url and origin.cached:
            origins[name] = Media(_cache(_server(origin, limits), folder / f"_{len(origins)}", limits))
        elif origin.url:
            client = HttpClient(origin.url, timeouts=limits.server_timeouts, max_connections=MAX_PROXIED_CONNECTIONS)
            origins[name] = Proxy(client, folder / f"_{len(origins)}")
    routes = [
        Route(
            matches=matcher(behavior.path),
            serves=origins[behavior.origin] if behavior.origin else None,
            authorizer=groups[behavior.trusted_key_group] if behavior.trusted_key_group else None,
        )
        for behavior in edge.behaviors
    ]
    tokens = PathTokens(_token_keys(edge.path_token_keys), revocations) if edge.path_token_keys else None
    signals = Signals()
    rule = limits.pace(edge.pace) if edge.pace else None
    gate = Gate(rule, config.state_dir / "edge-pace", signals, clock=limits.pace_clock)
    app = Edge(
        routes,
        public_url=edge.url,
        allowed_origins=edge.allowed_origins,
        path_tokens=tokens,
        gate=gate,
        front=Front(edge.front),
    )
    return Parts(app, [origin for origin in origins.values() if isinstance(origin, Proxy)], gate, signals)


async def serve(config: configuration.Config, limits: Limits) -> None:
    """Serve until SIGTERM or SIGINT. Raises InvalidRequest, and Conflict when the port is taken."""
    told = config.edge.revocations if config.edge else None
    revocations = Revocations(known=told is None)
    parts = build(config, limits, revocations)
    _refuse_taken(config.ports.edge)
    server = Server(
        parts.app,
        address=configuration.HOST,
        port=config.ports.edge,
        interface=Interfaces.RSGI,
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(header_read_timeout=30_000),
        websockets=False,
        backlog=1024,
        log_enabled=False,
    )
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()

    def stop() -> None:
        stopped.set()
        for proxy in parts.proxies:
            proxy.stop()
        server.stop()  # type: ignore[no-untyped-call]

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    serving = asyncio.create_task(server.serve())
    errands = []
    if told:
        errands.append(asyncio.create_task(_follower(told, revocations, limits.revocations_every_s).run()))
    parts.gate.load()
    errands.append(asyncio.create_task(parts.gate.keep_saving()))
    if config.edge and config.edge.signals:
        sender = _sender(config.edge.signals, parts.signals, limits.signals_every_s)
        errands.append(asyncio.create_task(sender.run()))
    waiting = asyncio.create_task(stopped.wait())
    await asyncio.wait({serving, waiting}, return_when=asyncio.FIRST_COMPLETED)
    for errand in errands:
        errand.cancel()
    await asyncio.wait({serving}, timeout=STOP_S)
    parts.gate.save()
    if serving.done():
        serving.result()


def _follower(told: configuration.Target, revocations: Revocations, every_s: float) -> Follower:
    client, path = _control_plane(told)
    return Follower(revocations, client, path, told.token_file, every_s)


def _sender(told: configuration.Target, signals: Signals, every_s: float) -> Sender:
    client, path = _control_plane(told)
    return Sender(signals, client, path, told.token_file, every_s)


def _control_plane(target: configuration.Target) -> tuple[HttpClient, str]:
    parts = urlsplit(target.url)
    client = HttpClient(f"{parts.scheme}://{parts.netloc}", timeouts=Timeouts(silence_s=2.0), max_connections=1)
    return client, parts.path or "/"


def main(argv: Sequence[str] | None = None, limits: Limits | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m localaws.edge", description=__doc__.splitlines()[0])
    parser.add_argument("--config", required=True, type=Path, help="stack.json")
    parser.add_argument("--verbose", action="store_true", help="one line per request on standard error")
    options = parser.parse_args(argv)
    log_level = logging.INFO if options.verbose else logging.WARNING
    logging.basicConfig(level=log_level, stream=sys.stderr, format="%(asctime)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    _allow_many_connections()
    try:
        config = configuration.load(options.config)
        with _lock(config.state_dir / "edge.lock"):
            # Not asyncio.run: it cancels, and Granian's own tasks take that for an error. The process ends anyway.
            loop = asyncio.new_event_loop()
            asyncio.set_event_loop(loop)
            loop.run_until_complete(serve(config, limits or Limits()))
    except (PenstockError, FatalError, OSError) as exc:
        print(f"edge: {exc}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


def _allow_many_connections() -> None:
    """Each viewer takes a file descriptor, each of their requests two more; shells give 1024 unless asked."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 65536 if most == resource.RLIM_INFINITY else min(65536, most)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


def _refuse_taken(port: int) -> None:
    """Raise Conflict when the port has a listener: Granian would share it, and each get some of the requests."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((configuration.HOST, port))
        except OSError as exc:
            raise Conflict(f"port {port} of {configuration.HOST} cannot be had: {exc.strerror}") from exc


def _lock(path: Path) -> TextIO:
    """Keep a second edge from emptying the cache of the first; raises Conflict."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    file = path.open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as exc:
        file.close()
        raise Conflict(f"another edge is running on {path.parent}") from exc
    return file


def _token_keys(files: Mapping[str, Path]) -> dict[str, bytes]:
    keys = {}
    for key_id, file in files.items():
        try:
            keys[key_id] = file.read_bytes().strip()
        except OSError as exc:
            raise InvalidRequest(f"the key {file} cannot be read: {exc.strerror}") from exc
        if len(keys[key_id]) < MIN_KEY_BYTES:
            raise InvalidRequest(f"{file}: a key of path tokens has at least {MIN_KEY_BYTES} bytes")
    return keys


def _public_keys(files: Mapping[str, Path]) -> dict[str, PublicKey]:
    keys = {}
    for key_id, file in files.items():
        try:
            keys[key_id] = load_public_key(file.read_bytes())
        except OSError as exc:
            raise InvalidRequest(f"the public key {file} cannot be read: {exc.strerror}") from exc
        except InvalidRequest as exc:
            raise InvalidRequest(f"{file}: {exc.message}") from exc
    return keys


def _cache(origin: Origin, folder: Path, limits: Limits) -> Cache:
    return Cache(origin, folder, max_bytes=limits.cache_bytes, fresh_s=limits.fresh_s, grace_s=limits.grace_s)


def _server(origin: configuration.Origin, limits: Limits) -> ServerOrigin:
    assert origin.url is not None
    headers = []
    for name, file in origin.headers.items():
        try:
            value = file.read_text().strip()
        except (OSError, UnicodeDecodeError) as exc:
            raise InvalidRequest(f"the value of the header {name} cannot be read from {file}") from exc
        if not value:
            raise InvalidRequest(f"{file} is empty, and should hold the value of the header {name}")
        header = sendable(name, value)
        if header is None:
            raise InvalidRequest(f"{name!r} is not the name of a header")
        headers.append(header)
    client = HttpClient(origin.url, timeouts=limits.s3_timeouts, max_connections=MAX_S3_CONNECTIONS)
    return ServerOrigin(client, headers)


def _bucket(config: configuration.Config, bucket: str, timeouts: Timeouts) -> BucketOrigin:
    client = HttpClient(config.s3_url, timeouts=timeouts, max_connections=MAX_S3_CONNECTIONS)
    credentials = Credentials(config.credentials.access_key_id, config.credentials.secret_access_key)
    return BucketOrigin(client, bucket, region=config.region, credentials=credentials)


if __name__ == "__main__":
    status = main()
    logging.shutdown()
    sys.stderr.flush()
    # A server thread that still waits for a slow viewer would hold up the interpreter's own way out.
    os._exit(status)
