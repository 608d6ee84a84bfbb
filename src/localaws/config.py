"""The configuration of localaws: one JSON document that every process of a stack reads.

It never takes a default for a secret and never shows one: credentials are silent in repr and in errors.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from penstock.errors import InvalidRequest

HOST = "127.0.0.1"
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


@dataclass(frozen=True)
class Behavior:
    path: str
    origin: str | None = None
    trusted_key_group: str | None = None
    deny: bool = False


@dataclass(frozen=True)
class Edge:
    url: str
    origins: Mapping[str, Origin] = field(default_factory=dict)
    key_groups: Mapping[str, Mapping[str, Path]] = field(default_factory=dict)
    """Key group -> key pair id -> file with the public key (PEM)."""
    behaviors: tuple[Behavior, ...] = ()
    """First match wins."""
    allowed_origins: tuple[str, ...] = ()


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
    services: tuple[ServiceProcess, ...] = ()
    welcome: tuple[str, ...] = ()
    """Lines for whoever started the stack, shown on the terminal alone once everything is ready."""

    @property
    def s3_url(self) -> str:
        return f"http://{HOST}:{self.ports.s3}"

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
    top = _Members(document, "")
    config = Config(
        data_dir=top.take("data_dir", _path),
        credentials=top.take("credentials", _credentials),
        region=top.take("region", _text, "us-east-1"),
        account_id=top.take("account_id", _account_id, "000000000000"),
        ports=top.take("ports", _ports, Ports()),
        buckets=top.take("buckets", _list_of(_bucket), ()),
        rules=top.take("rules", _list_of(_rule), ()),
        edge=top.take("edge", _edge, None),
        services=top.take("services", _list_of(_service), ()),
        welcome=top.take("welcome", _list_of(_any_text), ()),
    )
    top.end()
    for kind, names in (
        ("buckets", [bucket.name for bucket in config.buckets]),
        ("rules", [rule.name for rule in config.rules]),
        ("services", [service.name for service in config.services]),
    ):
        _refuse_repeated(kind, names)
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
        "services": [
            {"name": s.name, "argv": list(s.argv), "env": dict(s.env), **({"ready": s.ready} if s.ready else {})}
            for s in config.services
        ],
        "welcome": list(config.welcome),
    }


def _dump_target(target: Target) -> dict[str, Any]:
    return {"url": target.url, **({"token_file": str(target.token_file)} if target.token_file else {})}


def _dump_edge(edge: Edge) -> dict[str, Any]:
    return {
        "url": edge.url,
        "origins": {name: {k: v for k, v in vars(origin).items() if v} for name, origin in edge.origins.items()},
        "key_groups": {name: {k: str(v) for k, v in keys.items()} for name, keys in edge.key_groups.items()},
        "behaviors": [{k: v for k, v in vars(behavior).items() if v} for behavior in edge.behaviors],
        "allowed_origins": list(edge.allowed_origins),
    }


class _Members:
    """The members of one JSON object, taken one by one; what is left over at the end is unknown."""

    def __init__(self, value: object, where: str) -> None:
        if not isinstance(value, dict):
            raise InvalidRequest(f"{where or 'the document'} is not a JSON object")
        self._left = dict(value)
        self._where = where

    def take(self, name: str, read: Callable[[Any, str], Any], *default: Any) -> Any:
        where = f"{self._where}.{name}" if self._where else name
        if name not in self._left:
            if default:
                return default[0]
            raise InvalidRequest(f"{where} is missing")
        return read(self._left.pop(name), where)

    def end(self) -> None:
        if self._left:
            names = ", ".join(f"{self._where}.{name}" if self._where else str(name) for name in sorted(self._left))
            raise InvalidRequest(f"{names}: not known here")


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str) or not value:
        raise InvalidRequest(f"{where} is not a text, or is empty")
    return value


def _flag(value: Any, where: str) -> bool:
    if not isinstance(value, bool):
        raise InvalidRequest(f"{where} is neither true nor false")
    return value


def _object(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InvalidRequest(f"{where} is not a JSON object")
    return value


def _path(value: Any, where: str) -> Path:
    path = Path(_text(value, where))
    if not path.is_absolute():
        raise InvalidRequest(f"{where} is not an absolute path: {value}")
    return path


def _url(value: Any, where: str) -> str:
    text = _text(value, where)
    if not re.fullmatch(r"https?://[^/\s]+(/\S*)?", text):
        raise InvalidRequest(f"{where} is not an http or https address: {text}")
    return text


def _account_id(value: Any, where: str) -> str:
    if not re.fullmatch(r"[0-9]{12}", _text(value, where)):
        raise InvalidRequest(f"{where} is not an account id of 12 digits: {value}")
    return str(value)


def _port(value: Any, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 65535:
        raise InvalidRequest(f"{where} is not a port number (0 to 65535): {value!r}")
    return value


def _list_of(read: Callable[[Any, str], Any]) -> Callable[[Any, str], tuple[Any, ...]]:
    def read_list(value: Any, where: str) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise InvalidRequest(f"{where} is not a list")
        return tuple(read(item, f"{where}[{index}]") for index, item in enumerate(value))

    return read_list


def _map_of(read: Callable[[Any, str], Any]) -> Callable[[Any, str], dict[str, Any]]:
    def read_map(value: Any, where: str) -> dict[str, Any]:
        return {name: read(item, f"{where}.{name}") for name, item in _object(value, where).items()}

    return read_map


def _credentials(value: Any, where: str) -> Credentials:
    members = _Members(value, where)
    credentials = Credentials(members.take("access_key_id", _text), members.take("secret_access_key", _text))
    members.end()
    if len(credentials.secret_access_key) < 8:
        raise InvalidRequest(f"{where}.secret_access_key has fewer than 8 characters")
    return credentials


def _ports(value: Any, where: str) -> Ports:
    members = _Members(value, where)
    ports = Ports(**{name: members.take(name, _port, default) for name, default in vars(Ports()).items()})
    members.end()
    _refuse_repeated(where, [str(port) for port in vars(ports).values() if port])
    return ports


def _bucket(value: Any, where: str) -> Bucket:
    members = _Members(value, where)
    bucket = Bucket(
        members.take("name", _text), members.take("cors", _list_of(_object), ()), members.take("events", _flag, False)
    )
    members.end()
    if not BUCKET_NAME.fullmatch(bucket.name):
        raise InvalidRequest(f"{where}.name is not a bucket name (3 to 63 of a-z 0-9 . -): {bucket.name!r}")
    return bucket


def _target(value: Any, where: str) -> Target:
    members = _Members(value, where)
    target = Target(members.take("url", _url), members.take("token_file", _path, None))
    members.end()
    return target


def _rule(value: Any, where: str) -> Rule:
    members = _Members(value, where)
    rule = Rule(members.take("name", _text), members.take("pattern", _object), members.take("target", _target))
    members.end()
    return rule


def _origin(value: Any, where: str) -> Origin:
    members = _Members(value, where)
    origin = Origin(members.take("url", _url, None), members.take("bucket", _text, None))
    members.end()
    if (origin.url is None) == (origin.bucket is None):
        raise InvalidRequest(f"{where} needs either url or bucket")
    return origin


def _behavior(value: Any, where: str) -> Behavior:
    members = _Members(value, where)
    behavior = Behavior(
        path=members.take("path", _text),
        origin=members.take("origin", _text, None),
        trusted_key_group=members.take("trusted_key_group", _text, None),
        deny=members.take("deny", _flag, False),
    )
    members.end()
    if behavior.deny == (behavior.origin is not None):
        raise InvalidRequest(f"{where} needs either origin or deny")
    return behavior


def _edge(value: Any, where: str) -> Edge:
    members = _Members(value, where)
    edge = Edge(
        url=members.take("url", _url),
        origins=members.take("origins", _map_of(_origin), {}),
        key_groups=members.take("key_groups", _map_of(_map_of(_path)), {}),
        behaviors=members.take("behaviors", _list_of(_behavior), ()),
        allowed_origins=members.take("allowed_origins", _list_of(_url), ()),
    )
    members.end()
    for index, behavior in enumerate(edge.behaviors):
        if behavior.origin is not None and behavior.origin not in edge.origins:
            raise InvalidRequest(f"{where}.behaviors[{index}].origin names no origin: {behavior.origin}")
        if behavior.trusted_key_group is not None and behavior.trusted_key_group not in edge.key_groups:
            group = behavior.trusted_key_group
            raise InvalidRequest(f"{where}.behaviors[{index}].trusted_key_group names no group: {group}")
    return edge


def _service(value: Any, where: str) -> ServiceProcess:
    members = _Members(value, where)
    service = ServiceProcess(
        name=members.take("name", _text),
        argv=members.take("argv", _list_of(_text)),
        env=members.take("env", _map_of(_any_text), {}),
        ready=members.take("ready", _url, None),
    )
    members.end()
    if not service.argv:
        raise InvalidRequest(f"{where}.argv is empty")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9 _-]{0,31}", service.name):
        raise InvalidRequest(f"{where}.name is to be 1 to 32 letters, digits, spaces, _ or -: {service.name!r}")
    return service


def _any_text(value: Any, where: str) -> str:
    if not isinstance(value, str) or "\0" in value:
        raise InvalidRequest(f"{where} is not a text")
    return value


def _refuse_repeated(where: str, names: Iterable[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise InvalidRequest(f"{where} names {name} twice")
        seen.add(name)
