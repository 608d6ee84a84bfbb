"""Segments from the edge, the signed cookies and the session's token of each request checked and its pace kept (with a
beginning that nobody exhausts), against nginx serving the same bytes as static files without any check. Either server
has one core to itself, wrk the other; 32 connections ask for many different segments in turn. The edge keeps small
segments in memory while they fit; the last row has more than fit.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from measuring import Row, alternate

from localaws import config as configuration
from localaws import objectstore
from penstock.formats import tokens
from penstock.formats.cookies import SESSION_COOKIE, Policy, Signer, generate_key_pair
from penstock.formats.tokens import PathClaims

SERVER_CORE, CLIENT_CORE = "0", "1"
CONNECTIONS, SECONDS, ROUNDS = 32, 3, 5
BUCKET = "media"
TOKEN_KEY, SERIAL = b"b" * 43, 4711

NGINX = """
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/nginx.log;
events {{ worker_connections 1024; }}
http {{
  access_log off; sendfile on; tcp_nopush on; open_file_cache max=4000; keepalive_requests 100000000;
  client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
  uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
  server {{ listen {host}:{port}; root {folder}/www; }}
}}
"""
# Requests are made before the clock runs: the client may not be what is measured.
WRK = """
local requests, next = {{}}, 0
init = function(args)
  for number = 0, {count} - 1 do
    requests[number] = wrk.format("GET", "/assets/a/{size}-" .. number .. ".m4s", {{ ["Cookie"] = "{cookie}" }})
  end
end
request = function()
  next = (next + 1) % {count}
  return requests[next]
end
"""


@dataclass(frozen=True)
class Load:
    what: str
    size_bytes: int
    count: int
    wanted: str


LOADS = (
    Load("2 MB segments per second", 2_000_000, 64, "at least 0.80"),
    Load("100 KB segments per second", 100_000, 64, "at least 0.30"),
    Load("100 KB segments per second, 80 MB of them", 100_000, 800, ""),
)


def measure() -> list[Row]:
    missing = [tool for tool in ("nginx", "wrk", "taskset") if shutil.which(tool) is None]
    if missing or (os.cpu_count() or 1) < 2:
        why = f"{', '.join(missing)} not installed (apt install nginx-light wrk)" if missing else "needs two cores"
        return [Row("segments per second", f"not measured: {why}", "", None, load.wanted) for load in LOADS[:1]]
    with TemporaryDirectory(prefix="penstock-bench-") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        os.chmod(folder, 0o755)  # nginx serves as another user
        config, cookie = _prepare(folder)
        stack.enter_context(_s3(config))
        edge, nginx = stack.enter_context(_edge(config, folder)), stack.enter_context(_nginx(folder))
        return [_row(load, config, folder, cookie, edge, nginx) for load in LOADS]


def _row(load: Load, config: configuration.Config, folder: Path, cookie: str, edge: str, nginx: str) -> Row:
    _make_segments(load, config, folder)
    script = folder / "segments.lua"
    script.write_text(WRK.format(count=load.count, size=load.size_bytes, cookie=cookie))
    path = f"/assets/a/{load.size_bytes}-0.m4s"
    if (_status(edge + path, cookie), _status(edge + path, ""), _status(nginx + path, "")) != (200, 403, 200):
        raise RuntimeError("the servers do not answer as they should: 200 with the cookie, 403 without, 200 from nginx")
    for number in range(load.count):  # the edge's cache is what is measured, not how it is filled
        _status(f"{edge}/assets/a/{load.size_bytes}-{number}.m4s", cookie)
    for server in (edge, nginx):
        _per_second(server, script, seconds=2)
    ours, other, ratio = alternate(lambda: _per_second(edge, script), lambda: _per_second(nginx, script), ROUNDS)
    return Row(load.what, f"{ours:.0f}/s", f"nginx {other:.0f}/s", ratio, load.wanted)


def _per_second(server: str, script: Path, seconds: int = SECONDS) -> float:
    command = [
        "taskset",
        "-c",
        CLIENT_CORE,
        "wrk",
        "-t1",
        f"-c{CONNECTIONS}",
        f"-d{seconds}s",
        "--timeout=20s",
        "-s",
        str(script),
        server,
    ]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    if "Non-2xx" in said or "Socket errors" in said:
        raise RuntimeError(f"wrk met errors:\n{said}")
    found = re.search(r"Requests/sec:\s+([0-9.]+)", said)
    if not found:
        raise RuntimeError(f"wrk said nothing of its rate:\n{said}")
    return float(found[1])


def _prepare(folder: Path) -> tuple[configuration.Config, str]:
    """Write keys and configuration; returns it with the cookie header of a viewer."""
    private, public = generate_key_pair()
    (folder / "key.pem").write_bytes(public)
    (folder / "token.key").write_bytes(TOKEN_KEY)
    edge, s3, aws = objectstore.free_ports(3)
    url = f"http://{configuration.HOST}:{edge}"
    document: dict[str, Any] = {
        "data_dir": str(folder / "data"),
        "credentials": {"access_key_id": "AKIABENCH", "secret_access_key": "nothing-to-hide"},
        "ports": {"edge": edge, "s3": s3, "aws": aws},
        "buckets": [{"name": BUCKET}],
        "edge": {
            "url": url,
            "origins": {"media": {"bucket": BUCKET}},
            "key_groups": {"viewers": {"bench": str(folder / "key.pem")}},
            "behaviors": [{"path": "/assets/*", "origin": "media", "trusted_key_group": "viewers"}],
            "path_token_keys": {"bench": str(folder / "token.key")},
            "pace": {"rate": 1.25, "burst_s": 1e12},
        },
    }
    (folder / "stack.json").write_text(json.dumps(document))
    now = int(time.time())
    policy = Policy(f"{url}/assets/a/*", now + 3600, not_before=SERIAL)
    claims = PathClaims("bench", "/assets/a/", now + 3600, now, SERIAL, b"a viewer", 1.0, ("main.mpd",))
    token = tokens.mint_path(claims, TOKEN_KEY, "bench")
    cookies = {**Signer(private, "bench").cookies(policy), SESSION_COOKIE: token}
    return configuration.parse(document), "; ".join(f"{name}={value}" for name, value in cookies.items())


def _manifest() -> bytes:
    """Says of every load's segments that they are four seconds each."""
    most = max(load.count for load in LOADS)
    sets = "".join(
        f'<AdaptationSet contentType="video"><Representation id="{size}" bandwidth="1"><SegmentTemplate duration="4" '
        f'media="{size}-$Number$.m4s" startNumber="0"/></Representation></AdaptationSet>'
        for size in {load.size_bytes for load in LOADS}
    )
    head = f'type="static" mediaPresentationDuration="PT{4 * most}S"'
    return f'<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" {head}><Period>{sets}</Period></MPD>'.encode()


def _make_segments(load: Load, config: configuration.Config, folder: Path) -> None:
    s3 = objectstore.client(config)
    s3.put_object(Bucket=BUCKET, Key="assets/a/main.mpd", Body=_manifest())
    target = folder / "www" / "assets" / "a"
    target.mkdir(parents=True, exist_ok=True)
    for number in range(load.count):
        name, body = f"{load.size_bytes}-{number}.m4s", os.urandom(load.size_bytes)
        (target / name).write_bytes(body)
        s3.put_object(Bucket=BUCKET, Key=f"assets/a/{name}", Body=body)
    s3.close()


@contextlib.contextmanager
def _s3(config: configuration.Config) -> Iterator[None]:
    server = objectstore.prepare(config)
    with _running(server.argv, cwd=server.cwd, env=server.env):
        _wait(lambda: objectstore.ready(server))
        _wait(lambda: _has_buckets(config))
        yield
    objectstore.clean_up(server)


def _has_buckets(config: configuration.Config) -> bool:
    try:
        objectstore.create_buckets(config)
    except objectstore.Unavailable:
        return False
    return True


@contextlib.contextmanager
def _edge(config: configuration.Config, folder: Path) -> Iterator[str]:
    command = [sys.executable, "-m", "localaws.edge", "--config", str(folder / "stack.json")]
    with _running(["taskset", "-c", SERVER_CORE, *command]):
        url = f"http://{configuration.HOST}:{config.ports.edge}"
        _wait(lambda: _status(url + "/", "") == 403)
        yield url


@contextlib.contextmanager
def _nginx(folder: Path) -> Iterator[str]:
    (port,) = objectstore.free_ports(1)
    file = folder / "nginx.conf"
    file.write_text(NGINX.format(folder=folder, host=configuration.HOST, port=port))
    with _running(["taskset", "-c", SERVER_CORE, "nginx", "-c", str(file), "-e", f"{folder}/nginx.log"]):
        url = f"http://{configuration.HOST}:{port}"
        _wait(lambda: _status(url + "/", "") in {403, 404})
        yield url


@contextlib.contextmanager
def _running(argv: Any, **options: Any) -> Iterator[None]:
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options)
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(ready: Any, timeout_s: float = 30) -> None:
    deadline = time.monotonic() + timeout_s
    while not ready():
        if time.monotonic() > deadline:
            raise RuntimeError("a server did not get ready in time")
        time.sleep(0.1)


def _status(url: str, cookie: str) -> int:
    request = urllib.request.Request(url, headers={"Cookie": cookie} if cookie else {})
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as exc:
        return exc.code
    except OSError:
        return 0
