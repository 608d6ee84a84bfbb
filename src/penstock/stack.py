"""The whole system on one machine: its data folder, its secrets, the description that localaws starts it from.

`penstock up` ends in an exec of `python -m localaws`, which plays AWS and runs the API beside it; penstock itself never
imports localaws. The description (`stack.json`) and every secret are readable by their owner only.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import secrets
import shlex
import socket
import sys
import uuid
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn

from penstock import keyring, master_key
from penstock import settings as settings_module
from penstock.errors import Conflict, InvalidRequest, NotFound, PenstockError, Unavailable
from penstock.formats import cookies
from penstock.model import JsonObject
from penstock.private_files import read_private_text, write_private
from penstock.settings import PREFIX, Settings

REGION = "us-east-1"
ACCOUNT_ID = "000000000000"
CDN_SECRET = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT_ID}:secret:penstock-cdn"
LOOPBACK = "127.0.0.1"
LAST_PORT = 65535
OF_THE_STACK = ("jobs_database_url", "engines", "input_networks")
"""Settings that are about the stack alone; its processes are not told, least of all a password."""


@dataclass(frozen=True)
class Ports:
    """Where the doors are; 0 takes a free port."""

    edge: int = 8080
    aws: int = 4566
    s3: int = 8333

    def settled(self, last: Mapping[str, int]) -> Ports:
        """The same ports with every 0 replaced: by the port of the `last` start where it is still free, else by any.

        Addresses stand in job settings and manifests, so a restart had better keep them.
        """
        for name, port in vars(self).items():
            if not 0 <= port <= LAST_PORT:
                raise InvalidRequest(f"the {name} port is {port}; a port is 0 to {LAST_PORT}, and 0 takes a free one")
        fixed = [port for port in vars(self).values() if port]
        if len(set(fixed)) < len(fixed):
            raise InvalidRequest(f"three different ports are needed, got {self.edge}, {self.aws} and {self.s3}")
        chosen: dict[str, int] = {}
        for name, port in vars(self).items():
            chosen[name] = port or _free_port(last.get(name, 0), {*fixed, *chosen.values()})
        return Ports(**chosen)


def _free_port(preferred: int, taken: Collection[int]) -> int:
    """A port of this machine that nobody listens on now and none of `taken`: `preferred` if it is one, else any.

    Below the range from which systems take the ports of outgoing connections, which could take it meanwhile.
    """
    candidates = [preferred] if preferred else []
    # Not the sequence that a program has seeded: another one may have seeded the same.
    candidates += secrets.SystemRandom().sample(range(15_000, 32_000), 100)
    for port in candidates:
        if port in taken:
            continue
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((LOOPBACK, port))
            return port
    raise Unavailable(f"no free port was found on {LOOPBACK}; name some with --port, --aws-port and --s3-port")


def up(data_dir: Path, ports: Ports, public_url: str | None, environ: Mapping[str, str] = os.environ) -> NoReturn:
    """Describe the stack in `data_dir` and become the process that runs it.

    Raises Conflict when a stack already runs on this folder, InvalidRequest for settings that cannot be used.
    """
    data_dir = data_dir.resolve()
    prepare(data_dir, ports, public_url, environ)
    # What the shell says of some other AWS account or stack must not leak into this one.
    clean = {name: value for name, value in environ.items() if not name.startswith(("AWS_", PREFIX))}
    arguments = [sys.executable, "-m", "localaws", "--config", str(data_dir / "stack.json")]
    sys.stdout.flush()
    os.execve(sys.executable, arguments, clean)  # noqa: S606 - our own interpreter, no shell


def prepare(data_dir: Path, ports: Ports, public_url: str | None, environ: Mapping[str, str]) -> JsonObject:
    """Make folder, secrets and description, or find them as they were; returns the description."""
    try:
        _refuse_second(data_dir)
        last = _last_ports(data_dir)
        settings = _settings(data_dir, ports := ports.settled(last), public_url, environ)
        data_dir.mkdir(parents=True, exist_ok=True)
        make_secrets(settings.secrets_dir)
        keyring.tidy(settings.secrets_dir)
        description = describe(settings, ports, api_port=_free_port(last.get("api", 0), vars(ports).values()))
        write_private(data_dir / "stack.json", json.dumps(description, indent=2).encode())
    except OSError as exc:
        kind = Unavailable if exc.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO) else InvalidRequest
        raise kind(f"{data_dir} cannot be used as the data folder: {exc.strerror or exc}") from exc
    return description


def _last_ports(data_dir: Path) -> Mapping[str, int]:
    try:
        ports = read_description(data_dir)["ports"].items()
    except (PenstockError, KeyError, TypeError, AttributeError):
        return {}
    return {name: port for name, port in ports if type(port) is int and 0 <= port <= LAST_PORT}


def _refuse_second(data_dir: Path) -> None:
    try:
        with (data_dir / "lock").open("r") as lock:
            holder = lock.read().strip()
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                by = f" (process {holder})" if holder else ""
                raise Conflict(
                    f"a stack already runs on {data_dir}{by}; stop it with Ctrl-C there, or give another --data-dir"
                ) from None
    except FileNotFoundError:
        return


def _settings(data_dir: Path, ports: Ports, public_url: str | None, environ: Mapping[str, str]) -> Settings:
    """The user's own PENSTOCK_ settings, with those that the stack itself decides put over them.

    A shell that has taken in `penstock env`, perhaps of another stack, must still be able to say `up`.
    """
    ours = ("URL", "API_KEY", "DATA_DIR", "SECRETS_DIR", "EVENT_TOKEN_FILE", "EDGE_TOKEN_FILE")
    decided = {PREFIX + name for name in ours}
    settings = settings_module.load({name: text for name, text in environ.items() if name not in decided})
    return replace(
        settings,
        url=(public_url or f"http://{LOOPBACK}:{ports.edge}").rstrip("/"),
        data_dir=data_dir,
        secrets_dir=data_dir / "secrets",
        event_token_file=data_dir / "secrets" / "event-token",
        edge_token_file=data_dir / "secrets" / "edge-token",
        key_pair_id=keyring.newest(data_dir / "secrets", settings.key_pair_id),
        speke_url=settings.speke_url or f"http://{LOOPBACK}:{ports.edge}/speke/v2/copyProtection",
        cdn_secret=CDN_SECRET,
    )


def make_secrets(folder: Path) -> None:
    """Make every secret that is not there yet, each in a file of mode 0600; none is ever replaced."""
    folder.mkdir(mode=0o700, exist_ok=True)
    folder.chmod(0o700)
    rotated = (folder / keyring.LIST).exists()  # then the first generation may be gone
    if not rotated and not (folder / "signing-key.pem").exists():
        private, public = cookies.generate_key_pair()
        write_private(folder / "signing-key.pub.pem", public)
        write_private(folder / "signing-key.pem", private)
    for name, content in {
        master_key.FILE: secrets.token_bytes(32),
        **({} if rotated else {"token.key": secrets.token_bytes(32), "path-token.key": keyring.new_path_token_key()}),
        "api-key": f"pk_{secrets.token_urlsafe(32)}".encode(),
        "event-token": secrets.token_urlsafe(32).encode(),
        "cdn-identifier": str(uuid.uuid4()).encode(),
        "edge-token": secrets.token_urlsafe(32).encode(),
        "aws-credentials": _aws_credentials(),
    }.items():
        if not (folder / name).exists():
            write_private(folder / name, content)


def _aws_credentials() -> bytes:
    """An access key of the local account, in the form of the AWS shared credentials file."""
    key_id = "AKIA" + "".join(secrets.choice("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") for _ in range(16))
    return f"[default]\naws_access_key_id = {key_id}\naws_secret_access_key = {secrets.token_urlsafe(30)}\n".encode()


def read_credentials(folder: Path) -> dict[str, str]:
    lines = read_private_text(folder / "aws-credentials").splitlines()
    pairs = dict(line.split(" = ", 1) for line in lines if " = " in line)
    return {name.removeprefix("aws_"): value for name, value in pairs.items()}


def describe(settings: Settings, ports: Ports, api_port: int) -> JsonObject:
    """What localaws is to start: the account, buckets, event rules, the edge's behaviors, the API process. Pure."""
    folder = settings.secrets_dir
    api = f"http://{LOOPBACK}:{api_port}"
    ring = keyring.read(folder, settings.key_pair_id)
    origins = list(dict.fromkeys([*own_origins(settings.url, ports.edge), *settings.allowed_origins]))
    return {
        "data_dir": str(settings.data_dir),
        "region": REGION,
        "account_id": ACCOUNT_ID,
        "credentials": read_credentials(folder),
        "ports": {**vars(ports), "api": api_port},
        "secrets": {CDN_SECRET: {"MediaPackageCDNIdentifier": str(folder / "cdn-identifier")}},
        "buckets": [
            {"name": settings.source_bucket, "events": True, "cors": [upload_cors(origins)]},
            {"name": settings.media_bucket},
        ],
        "rules": _rules(settings, api),
        "edge": {
            "url": settings.url,
            "origins": {
                "api": {"url": api},
                "media": {"bucket": settings.media_bucket},
                "mediapackage": {
                    "url": f"http://{LOOPBACK}:{ports.aws}",
                    "headers": {"X-MediaPackage-CDNIdentifier": str(folder / "cdn-identifier")},
                    "cached": True,
                },
            },
            "key_groups": {"viewers": {key_id: str(file) for key_id, file in ring.public_keys.items()}},
            "path_token_keys": {key_id: str(file) for key_id, file in ring.path_token_keys.items()},
            "behaviors": [
                {"path": "/assets/*", "origin": "media", "trusted_key_group": "viewers"},
                {"path": "/internal/*", "deny": True},
                {"path": "/out/v1/*", "origin": "mediapackage", "trusted_key_group": "viewers"},
                {"path": "*", "origin": "api"},
            ],
            "allowed_origins": origins,
            "revocations": {"url": f"{api}/internal/revocations", "token_file": str(settings.edge_token_file)},
            "front": list(settings.front_networks),
            "signals": {"url": f"{api}/internal/signals", "token_file": str(settings.edge_token_file)},
            **({"pace": {"rate": settings.pace_rate, "burst_s": settings.pace_burst_s}} if settings.pace else {}),
        },
        "services": [
            {
                "name": "api",
                "argv": [sys.executable, "-m", "penstock.api", "--port", str(api_port)],
                "env": {**_service_environment(settings), **_aws_environment(ports, folder)},
                "ready": f"{api}/healthz",
            }
        ],
        "input_networks": list(settings.input_networks),
        **_shared_jobs(settings),
        # The key is in the fragment, which browsers send to nobody.
        "welcome": [f"Studio: {settings.url}/#key={read_private_text(folder / 'api-key')}"],
    }


def _shared_jobs(settings: Settings) -> JsonObject:
    """Where MediaConvert's jobs are shared with engines of other machines, if they are."""
    if settings.jobs_database_url:
        return {"database_url": settings.jobs_database_url, "engines": settings.engines}
    if settings.engines != 1:
        raise InvalidRequest(
            f"{settings.engines} engines need a database that they share; --database postgresql://... names one"
        )
    return {}


def own_origins(url: str, edge_port: int) -> list[str]:
    """The browser origins under which our own pages are seen: the public one and this machine's two names."""
    return [url, f"http://{LOOPBACK}:{edge_port}", f"http://localhost:{edge_port}"]


def upload_cors(origins: list[str]) -> JsonObject:
    """What a page needs to put parts into the source bucket: ETag is read back to complete a multipart upload."""
    return {
        "AllowedOrigins": origins,
        "AllowedMethods": ["GET", "PUT", "POST", "HEAD"],
        "AllowedHeaders": ["*"],
        "ExposeHeaders": ["ETag"],
        "MaxAgeSeconds": 3000,
    }


def _rules(settings: Settings, api: str) -> list[JsonObject]:
    """EventBridge rules, as the deployment has them: who hears of what."""
    uploads = {
        "source": ["aws.s3"],
        "detail-type": ["Object Created"],
        "detail": {"bucket": {"name": [settings.source_bucket]}, "object": {"key": [{"prefix": "inputs/"}]}},
    }
    jobs = {"source": ["aws.mediaconvert"], "detail-type": ["MediaConvert Job State Change"]}
    finished = {**jobs, "detail": {"status": ["COMPLETE", "ERROR", "CANCELED"]}}
    packages = {
        "source": ["aws.mediapackage"],
        "detail": {"event": ["VodAssetPlayable", "IngestComplete", "IngestError", "KeyProviderError"]},
    }
    patterns = {
        "watchfolder": ("watchfolder", uploads),
        "publish": ("publish", finished),
        "publish-packages": ("publish", packages),
        "catalogue-jobs": ("catalogue", jobs),
        "catalogue-assets": ("catalogue", {"source": ["penstock"]}),
    }
    return [
        {
            "name": name,
            "pattern": pattern,
            "target": {"url": f"{api}/internal/events/{handler}", "token_file": str(settings.event_token_file)},
        }
        for name, (handler, pattern) in patterns.items()
    ]


def _service_environment(settings: Settings) -> dict[str, str]:
    """The settings that differ from their defaults, as environment variables: names of secret files, no secrets."""
    texts: dict[str, str] = {}
    for name, value in vars(settings).items():
        if name in OF_THE_STACK:
            continue
        if name in Settings.__dataclass_fields__ and value != Settings.__dataclass_fields__[name].default:
            texts[PREFIX + name.upper()] = ",".join(value) if isinstance(value, tuple) else str(value)
    return texts


def _aws_environment(ports: Ports, folder: Path) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL": f"http://{LOOPBACK}:{ports.aws}",
        "AWS_ENDPOINT_URL_S3": f"http://{LOOPBACK}:{ports.s3}",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_SHARED_CREDENTIALS_FILE": str(folder / "aws-credentials"),
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def read_description(data_dir: Path) -> JsonObject:
    """The description of the stack in `data_dir`; NotFound when none was ever started there."""
    try:
        description: JsonObject = json.loads((data_dir / "stack.json").read_text())
    except FileNotFoundError:
        raise NotFound(
            f"no stack was started in {data_dir}; start one with `penstock up --data-dir {data_dir}`"
        ) from None
    except (OSError, ValueError) as exc:
        raise InvalidRequest(f"{data_dir / 'stack.json'} cannot be read ({exc}); `penstock up` writes it anew") from exc
    return description


@contextlib.contextmanager
def _described(data_dir: Path) -> Iterator[JsonObject]:
    """The description, for a reader who takes its members to be there. Raises InvalidRequest where one is not."""
    try:
        yield read_description(data_dir)
    except (KeyError, TypeError, ValueError) as exc:
        raise InvalidRequest(
            f"{data_dir / 'stack.json'} does not describe a whole stack ({type(exc).__name__}: {exc}); `penstock up` "
            "writes it anew, and `penstock local --env` is for what `penstock local` has started"
        ) from exc


def connection(data_dir: Path) -> tuple[str, str]:
    """Address and API key of the stack in `data_dir`.

    Raises NotFound when none was started there, InvalidRequest or Unavailable for a folder that was damaged.
    """
    with _described(data_dir) as description:
        return description["edge"]["url"], read_private_text(data_dir / "secrets" / "api-key")


def environment(data_dir: Path) -> dict[str, str]:
    """The variables that point any AWS client, and `penstock` itself, at the stack in `data_dir`. Raises as above."""
    url, api_key = connection(data_dir)
    with _described(data_dir) as description:
        ports, credentials = description["ports"], description["credentials"]
        source, media = (bucket["name"] for bucket in description["buckets"])
        return {
            "AWS_ENDPOINT_URL": f"http://{LOOPBACK}:{ports['aws']}",
            "AWS_ENDPOINT_URL_S3": f"http://{LOOPBACK}:{ports['s3']}",
            "AWS_ACCESS_KEY_ID": credentials["access_key_id"],
            "AWS_SECRET_ACCESS_KEY": credentials["secret_access_key"],
            "AWS_DEFAULT_REGION": description["region"],
            "PENSTOCK_SOURCE_BUCKET": source,
            "PENSTOCK_MEDIA_BUCKET": media,
            "PENSTOCK_MEDIACONVERT_ROLE": f"arn:aws:iam::{description['account_id']}:role/MediaConvertRole",
            "PENSTOCK_URL": url,
            "PENSTOCK_API_KEY": api_key,
        }


def exports(variables: Mapping[str, str]) -> str:
    """Shell lines that set `variables`, safe to `eval`."""
    return "\n".join(f"export {name}={shlex.quote(value)}" for name, value in variables.items())
