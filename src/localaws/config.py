"""The configuration of localaws: one JSON document that every process of a stack reads.

It never takes a default for a secret and never shows one: credentials are silent in repr and in errors.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from localaws import checks
from penstock.errors import InvalidRequest

HOST = "127.0.0.1"
MOST_ENGINES = 64
DATABASE_URL = re.compile(r"postgresql(\+psycopg)?://")
BUCKET_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


@dataclass(frozen=True)
class Credentials:
    access_key_id: str
    secret_access_key: str = field(repr=False)


@dataclass(frozen=True)
class Ports:
    """TCP ports on 127.0.0.1; 0 takes a free one when the stack starts."""

    aws: int = 4566
    s3: int = 8333
    edge: int = 8080
    api: int = 0


@dataclass(frozen=True)
class Bucket:
    name: str
    cors: tuple[Mapping[str, Any], ...] = ()
    """CORSRules as PutBucketCors takes them."""
    events: bool = False
    """Tell the event bus of created objects."""


@dataclass(frozen=True)
class Target:
    url: str
    token_file: Path | None = None
    """File with the secret that each delivery carries as `Authorization: Bearer`."""


@dataclass(frozen=True)
class Rule:
    name: str
    pattern: Mapping[str, Any]
    """An EventBridge event pattern."""
    target: Target


@dataclass(frozen=True)
class Origin:
    """Where the edge gets a response: another server (`url`) or a bucket of the S3 server."""

    url: str | None = None
    bucket: str | None = None
    headers: Mapping[str, Path] = field(default_factory=dict)
    """Header that every request to the server carries -> file with its value, which may be a secret."""
    cached: bool = False
    """The server's answers to GET are files that the edge keeps and serves by itself."""


@dataclass(frozen=True)
class Behavior:
    path: str
    origin: str | None = None
    trusted_key_group: str | None = None
    deny: bool = False


@dataclass(frozen=True)
class Pace:
    """How fast media time is let out: `burst_s` to begin with, then `rate` times the clock."""

    rate: float
    burst_s: float


@dataclass(frozen=True)
class Edge:
    url: str
    origins: Mapping[str, Origin] = field(default_factory=dict)
    key_groups: Mapping[str, Mapping[str, Path]] = field(default_factory=dict)
    """Key group -> key pair id -> file with the public key (PEM)."""
    behaviors: tuple[Behavior, ...] = ()
    """First match wins."""
    allowed_origins: tuple[str, ...] = ()
    path_token_keys: Mapping[str, Path] = field(default_factory=dict)
    """Key id -> file with the key of path tokens, which open signed behaviors, too (CloudFront: a function does it)."""
    revocations: Target | None = None
    """Who tells which playback sessions were ended (CloudFront: a key value store); without it none ever is."""
    signals: Target | None = None
    """Who is told how sessions are used; without it nobody is."""
    pace: Pace | None = None
    """For sessions whose tokens name a viewer and an asset; without it nobody is paced."""
    front: tuple[str, ...] = ()
    """Networks of servers in front of the edge, whose CloudFront-Viewer-* headers are believed."""


@dataclass(frozen=True)
class ServiceProcess:
    """One more process that the supervisor keeps alive."""

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    ready: str | None = None
    """Address that answers 200 once the process can work; without one it counts as ready when it runs."""


@dataclass(frozen=True)
class Config:
    data_dir: Path
    credentials: Credentials
    region: str = "us-east-1"
    account_id: str = "000000000000"
    ports: Ports = Ports()
    buckets: tuple[Bucket, ...] = ()
    rules: tuple[Rule, ...] = ()
    edge: Edge | None = None
    secrets: Mapping[str, Mapping[str, Path]] = field(default_factory=dict)
    """ARN of a secret, as Secrets Manager has it -> its members, each in a file."""
    services: tuple[ServiceProcess, ...] = ()
    database_url: str | None = field(default=None, repr=False)
    """PostgreSQL database in which MediaConvert's jobs are shared with engines; without one the endpoint runs them."""
    engines: int = 0
    """Engines of the shared database that this stack itself runs."""
    input_networks: tuple[str, ...] = ()
    """Networks that are not public and jobs may read inputs from by http and https."""
    s3_endpoint: str | None = None
    """The S3 server of another machine's stack. Only an engine has one, from its environment."""
    welcome: tuple[str, ...] = ()
    """Lines for whoever started the stack, shown on the terminal alone once everything is ready."""

    @property
    def s3_url(self) -> str:
        return self.s3_endpoint or f"http://{HOST}:{self.ports.s3}"

    @property
    def aws_url(self) -> str:
        return f"http://{HOST}:{self.ports.aws}"

    @property
    def state_dir(self) -> Path:
        """Folder for what localaws itself remembers: databases, work folders of jobs."""
        return self.data_dir / "localaws"

    @property
    def s3_dir(self) -> Path:
        return self.data_dir / "s3"

    @property
    def logs_dir(self) -> Path:
        return self.data_dir / "logs"

    @property
    def webhook_token_file(self) -> Path:
        return self.state_dir / "s3-webhook-token"

    def with_ports(self, **ports: int) -> Config:
        return replace(self, ports=replace(self.ports, **ports))


def load(path: Path) -> Config:
    """Read a configuration file.

    Raises InvalidRequest with one sentence that names the file and the member at fault; a secret is never part of it.
    """
    try:
        document = json.loads(path.read_bytes())
    except OSError as exc:
        raise InvalidRequest(f"{path} cannot be read: {exc.strerror}") from exc
    except ValueError as exc:
        raise InvalidRequest(f"{path} is not JSON: {exc}") from exc
    try:
        return parse(document)
    except InvalidRequest as exc:
        raise InvalidRequest(f"{path}: {exc}") from exc


def parse(document: object) -> Config:
    """Check a decoded configuration and make a Config of it. Raises InvalidRequest naming the member at fault."""
    top = checks.Members(document, "")
    config = Config(
        data_dir=top.take("data_dir", checks.absolute_path),
        credentials=top.take("credentials", _credentials),
        region=top.take("region", checks.text, "us-east-1"),
        account_id=top.take("account_id", _account_id, "000000000000"),
        ports=top.take("ports", _ports, Ports()),
        buckets=top.take("buckets", checks.list_of(_bucket), ()),
        rules=top.take("rules", checks.list_of(_rule), ()),
        edge=top.take("edge", _edge, None),
        secrets=top.take("secrets", checks.map_of(checks.map_of(checks.absolute_path)), {}),
        services=top.take("services", checks.list_of(_service), ()),
        database_url=top.take("database_url", _database_url, None),
        engines=top.take("engines", _engines, 0),
        input_networks=top.take("input_networks", checks.list_of(_network), ()),
        welcome=top.take("welcome", checks.list_of(checks.any_text), ()),
    )
    top.end()
    if config.engines and config.database_url is None:
        raise InvalidRequest("engines are processes of their own only where there is a database_url")
    for kind, names in (
        ("buckets", [bucket.name for bucket in config.buckets]),
        ("rules", [rule.name for rule in config.rules]),
        ("services", [service.name for service in config.services]),
    ):
        checks.refuse_repeated(kind, names)
    return config


def dump(config: Config) -> dict[str, Any]:
    """The JSON object that `parse` reads back. It holds the credentials: write it with mode 0600 only."""
    return {
        "data_dir": str(config.data_dir),
        "region": config.region,
        "account_id": config.account_id,
        "credentials": dict(vars(config.credentials)),
        "ports": dict(vars(config.ports)),
        "buckets": [
            {"name": b.name, "cors": [dict(rule) for rule in b.cors], "events": b.events} for b in config.buckets
        ],
        "rules": [{"name": r.name, "pattern": dict(r.pattern), "target": _dump_target(r.target)} for r in config.rules],
        **({"edge": _dump_edge(config.edge)} if config.edge else {}),
        "secrets": {arn: {name: str(file) for name, file in files.items()} for arn, files in config.secrets.items()},
        "services": [
            {"name": s.name, "argv": list(s.argv), "env": dict(s.env), **({"ready": s.ready} if s.ready else {})}
            for s in config.services
        ],
        **({"database_url": config.database_url, "engines": config.engines} if config.database_url else {}),
        "input_networks": list(config.input_networks),
        "welcome": list(config.welcome),
    }


def _dump_target(target: Target) -> dict[str, Any]:
    return {"url": target.url, **({"token_file": str(target.token_file)} if target.token_file else {})}


def _dump_edge(edge: Edge) -> dict[str, Any]:
    return {
        "url": edge.url,
        "origins": {name: _dump_origin(origin) for name, origin in edge.origins.items()},
        "key_groups": {name: {k: str(v) for k, v in keys.items()} for name, keys in edge.key_groups.items()},
        "behaviors": [{k: v for k, v in vars(behavior).items() if v} for behavior in edge.behaviors],
        "allowed_origins": list(edge.allowed_origins),
        "path_token_keys": {key_id: str(file) for key_id, file in edge.path_token_keys.items()},
        **({"revocations": _dump_target(edge.revocations)} if edge.revocations else {}),
        **({"signals": _dump_target(edge.signals)} if edge.signals else {}),
        **({"pace": dict(vars(edge.pace))} if edge.pace else {}),
        "front": list(edge.front),
    }


def _dump_origin(origin: Origin) -> dict[str, Any]:
    members = {name: value for name, value in vars(origin).items() if value}
    if origin.headers:
        members["headers"] = {name: str(file) for name, file in origin.headers.items()}
    return members


def _account_id(value: Any, where: str) -> str:
    if not re.fullmatch(r"[0-9]{12}", checks.text(value, where)):
        raise InvalidRequest(f"{where} is not an account id of 12 digits: {value}")
    return str(value)


def _database_url(value: Any, where: str) -> str:
    """Not repeated in the message: it may hold a password."""
    if not DATABASE_URL.match(checks.text(value, where)):
        raise InvalidRequest(f"{where} is not a PostgreSQL address, postgresql://user@host:5432/name is one")
    return str(value)


def _engines(value: Any, where: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MOST_ENGINES:
        raise InvalidRequest(f"{where} is to be a number from 0 to {MOST_ENGINES}, got {value!r}")
    return value


def _credentials(value: Any, where: str) -> Credentials:
    members = checks.Members(value, where)
    credentials = Credentials(
        members.take("access_key_id", checks.text), members.take("secret_access_key", checks.text)
    )
    members.end()
    if len(credentials.secret_access_key) < 8:
        raise InvalidRequest(f"{where}.secret_access_key has fewer than 8 characters")
    return credentials


def _ports(value: Any, where: str) -> Ports:
    members = checks.Members(value, where)
    ports = Ports(**{name: members.take(name, checks.port, default) for name, default in vars(Ports()).items()})
    members.end()
    checks.refuse_repeated(where, [str(port) for port in vars(ports).values() if port])
    return ports


def _bucket(value: Any, where: str) -> Bucket:
    members = checks.Members(value, where)
    bucket = Bucket(
        members.take("name", checks.text),
        members.take("cors", checks.list_of(checks.json_object), ()),
        members.take("events", checks.flag, False),
    )
    members.end()
    if not BUCKET_NAME.fullmatch(bucket.name):
        raise InvalidRequest(f"{where}.name is not a bucket name (3 to 63 of a-z 0-9 . -): {bucket.name!r}")
    return bucket


def _target(value: Any, where: str) -> Target:
    members = checks.Members(value, where)
    target = Target(members.take("url", checks.url), members.take("token_file", checks.absolute_path, None))
    members.end()
    return target


def _rule(value: Any, where: str) -> Rule:
    members = checks.Members(value, where)
    rule = Rule(
        members.take("name", checks.text), members.take("pattern", checks.json_object), members.take("target", _target)
    )
    members.end()
    return rule


def _origin(value: Any, where: str) -> Origin:
    members = checks.Members(value, where)
    origin = Origin(
        url=members.take("url", checks.url, None),
        bucket=members.take("bucket", checks.text, None),
        headers=members.take("headers", checks.map_of(checks.absolute_path), {}),
        cached=members.take("cached", checks.flag, False),
    )
    members.end()
    if (origin.url is None) == (origin.bucket is None):
        raise InvalidRequest(f"{where} needs either url or bucket")
    if (origin.headers and not origin.cached) or (origin.cached and origin.url is None):
        raise InvalidRequest(f"{where}: headers are for a cached origin, and only a url can be one")
    return origin


def _behavior(value: Any, where: str) -> Behavior:
    members = checks.Members(value, where)
    behavior = Behavior(
        path=members.take("path", checks.text),
        origin=members.take("origin", checks.text, None),
        trusted_key_group=members.take("trusted_key_group", checks.text, None),
        deny=members.take("deny", checks.flag, False),
    )
    members.end()
    if behavior.deny == (behavior.origin is not None):
        raise InvalidRequest(f"{where} needs either origin or deny")
    return behavior


def _edge(value: Any, where: str) -> Edge:
    members = checks.Members(value, where)
    edge = Edge(
        url=members.take("url", checks.url),
        origins=members.take("origins", checks.map_of(_origin), {}),
        key_groups=members.take("key_groups", checks.map_of(checks.map_of(checks.absolute_path)), {}),
        behaviors=members.take("behaviors", checks.list_of(_behavior), ()),
        allowed_origins=members.take("allowed_origins", checks.list_of(checks.url), ()),
        path_token_keys=members.take("path_token_keys", checks.map_of(checks.absolute_path), {}),
        revocations=members.take("revocations", _target, None),
        signals=members.take("signals", _target, None),
        pace=members.take("pace", _pace, None),
        front=members.take("front", checks.list_of(_network), ()),
    )
    members.end()
    for index, behavior in enumerate(edge.behaviors):
        if behavior.origin is not None and behavior.origin not in edge.origins:
            raise InvalidRequest(f"{where}.behaviors[{index}].origin names no origin: {behavior.origin}")
        if behavior.trusted_key_group is not None and behavior.trusted_key_group not in edge.key_groups:
            group = behavior.trusted_key_group
            raise InvalidRequest(f"{where}.behaviors[{index}].trusted_key_group names no group: {group}")
    return edge


def _pace(value: Any, where: str) -> Pace:
    members = checks.Members(value, where)
    pace = Pace(members.take("rate", checks.positive), members.take("burst_s", checks.positive))
    members.end()
    return pace


def _network(value: Any, where: str) -> str:
    try:
        return str(ipaddress.ip_network(checks.text(value, where)))
    except ValueError as exc:
        raise InvalidRequest(f"{where} is not a network in CIDR form: {value}") from exc


def _service(value: Any, where: str) -> ServiceProcess:
    members = checks.Members(value, where)
    service = ServiceProcess(
        name=members.take("name", checks.text),
        argv=members.take("argv", checks.list_of(checks.text)),
        env=members.take("env", checks.map_of(checks.any_text), {}),
        ready=members.take("ready", checks.url, None),
    )
    members.end()
    if not service.argv:
        raise InvalidRequest(f"{where}.argv is empty")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9 _-]{0,31}", service.name):
        raise InvalidRequest(f"{where}.name is to be 1 to 32 letters, digits, spaces, _ or -: {service.name!r}")
    return service
