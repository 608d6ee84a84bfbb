"""The configuration file: what is read, what is refused by its path, and the private files beside it."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from localaws.config import dump, load, parse
from localaws.private_files import secret_file, write_private
from penstock.errors import InvalidRequest

GOOD: dict[str, Any] = {
    "data_dir": "/abs/data",
    "credentials": {"access_key_id": "AKIA", "secret_access_key": "very-secret-text"},
    "buckets": [{"name": "penstock-source", "events": True}],
    "rules": [
        {"name": "r", "pattern": {"source": ["a"]}, "target": {"url": "http://127.0.0.1:1/x", "token_file": "/t"}}
    ],
    "edge": {
        "url": "http://127.0.0.1:8080",
        "origins": {"api": {"url": "http://127.0.0.1:1"}, "media": {"bucket": "penstock-source"}},
        "key_groups": {"viewers": {"k1": "/abs/k1.pem"}},
        "path_token_keys": {"k1": "/abs/path-token.key"},
        "revocations": {"url": "http://127.0.0.1:1/internal/revocations", "token_file": "/abs/edge-token"},
        "behaviors": [
            {"path": "/assets/*", "origin": "media", "trusted_key_group": "viewers"},
            {"path": "/internal/*", "deny": True},
            {"path": "*", "origin": "api"},
        ],
        "allowed_origins": ["http://127.0.0.1:8080"],
    },
    "database_url": "postgresql://me:database-password@there:5432/jobs",
    "engines": 2,
    "services": [{"name": "api", "argv": ["/bin/true"], "env": {"A": "b"}, "ready": "http://127.0.0.1:1/healthz"}],
}


def changed(path: str, value: Any) -> dict[str, Any]:
    document = json.loads(json.dumps(GOOD))
    inner: Any = document
    *folders, last = path.split("/")
    for name in folders:
        inner = inner[int(name)] if isinstance(inner, list) else inner[name]
    inner[int(last) if isinstance(inner, list) else last] = value
    return document


def test_a_configuration_is_read_back_as_it_was_written() -> None:
    config = parse(GOOD)
    assert parse(json.loads(json.dumps(dump(config)))) == config
    assert "very-secret-text" not in repr(config) and "database-password" not in repr(config)


def test_engines_need_a_database_that_they_share() -> None:
    with pytest.raises(InvalidRequest, match="database_url"):
        parse({name: value for name, value in GOOD.items() if name != "database_url"})


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("colour", 1, "colour: not known"),
        ("data_dir", "relative", "data_dir is not an absolute path"),
        ("account_id", "12", "account_id"),
        ("database_url", "sqlite:///here.db", "database_url is not a PostgreSQL address"),
        ("database_url", "no address", "postgresql://"),
        ("engines", -1, "engines is to be a number"),
        ("ports", {"s3": 70000}, "ports.s3 is not a port number"),
        ("ports", {"s3": True}, "ports.s3 is not a port number"),
        ("ports", {"s3": 4000, "aws": 4000}, "ports names 4000 twice"),
        ("ports", {"smtp": 25}, "ports.smtp: not known"),
        ("credentials", {"access_key_id": "A"}, "credentials.secret_access_key is missing"),
        ("credentials", {"access_key_id": "A", "secret_access_key": "short"}, "fewer than 8 characters"),
        ("buckets/0/name", "Upper_Case", "buckets[0].name is not a bucket name"),
        ("buckets/0/events", "yes", "buckets[0].events is neither true nor false"),
        ("buckets/0/cors", {}, "buckets[0].cors is not a list"),
        ("rules/0/target/url", "ftp://x", "rules[0].target.url is not an http"),
        ("rules/0/target/token", "secret!", "rules[0].target.token: not known"),
        ("edge/revocations", {"url": "x"}, "edge.revocations.url is not an http or https address: x"),
        ("edge/origins/media", {}, "edge.origins.media needs either url or bucket"),
        ("edge/behaviors/0", {"path": "/x", "origin": "nowhere"}, "edge.behaviors[0].origin names no origin: nowhere"),
        ("edge/behaviors/1", {"path": "/x"}, "edge.behaviors[1] needs either origin or deny"),
        ("services/0/argv", [], "services[0].argv is empty"),
        ("services/0/name", "../x", "services[0].name"),
        ("services/0/env", {"A": 1}, "services[0].env.A is not a text"),
    ],
)
def test_a_bad_member_is_refused_by_its_path(path: str, value: Any, message: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse(changed(path, value))
    assert message in caught.value.message
    assert "very-secret-text" not in caught.value.message


@pytest.mark.parametrize("content", [None, b"", b"{", b"[]", b"\xff"])
def test_a_file_that_is_no_configuration_is_named(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "stack.json"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(InvalidRequest, match=re.escape(str(file))):
        load(file)
    command = [sys.executable, "-m", "localaws", "--config", str(file)]
    refused = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert refused.returncode == 2
    assert refused.stderr.count("\n") == 1


def test_a_secret_is_made_once_and_kept(tmp_path: Path) -> None:
    first = secret_file(tmp_path / "secret")
    assert secret_file(tmp_path / "secret") == first
    assert (tmp_path / "secret").stat().st_mode & 0o777 == 0o600
    (tmp_path / "secret").write_text("\n")
    with pytest.raises(InvalidRequest, match="is empty"):
        secret_file(tmp_path / "secret")


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    write_private(tmp_path / "file", "old")
    with contextlib.suppress(TypeError):
        write_private(tmp_path / "file", 7)  # type: ignore[arg-type]
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "old"
