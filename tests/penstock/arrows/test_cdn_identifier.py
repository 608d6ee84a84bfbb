"""Where the CDN identifier comes from: a file here, Secrets Manager (moto's server) in an account."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest

import moto_stand
from penstock import cdn_identifier
from penstock.errors import NotFound, Unavailable
from penstock.settings import Settings


@pytest.fixture(scope="module")
def server() -> Iterator[Mapping[str, str]]:
    with moto_stand.running() as environment:
        yield environment


@pytest.fixture
def secrets(server: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> Any:
    for name, value in server.items():
        monkeypatch.setenv(name, value)
    return boto3.client("secretsmanager")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(secrets_dir=tmp_path, cdn_secret="cdn")


def test_file_comes_first(settings: Settings) -> None:
    (settings.secrets_dir / "cdn-identifier").write_text("of-the-file\n")
    assert cdn_identifier.read(settings) == "of-the-file"


def test_secret_is_read_where_there_is_no_file(settings: Settings, secrets: Any) -> None:
    value = json.dumps({"MediaPackageCDNIdentifier": "of-the-secret"})
    arn = secrets.create_secret(Name="cdn", SecretString=value)["ARN"]
    assert cdn_identifier.read(replace(settings, cdn_secret=arn)) == "of-the-secret"


@pytest.mark.parametrize("value", ["of-the-secret", "{}", "[]"])
def test_secret_of_another_shape_is_told_without_its_value(value: str, settings: Settings, secrets: Any) -> None:
    arn = secrets.create_secret(Name=f"odd-{len(value)}-{value[0]}", SecretString=value)["ARN"]
    with pytest.raises(Unavailable, match="MediaPackageCDNIdentifier") as caught:
        cdn_identifier.read(replace(settings, cdn_secret=arn))
    assert "of-the-secret" not in caught.value.message


def test_secret_that_is_not_there_is_told(settings: Settings, secrets: Any) -> None:
    with pytest.raises(NotFound, match="reading the CDN identifier"):
        cdn_identifier.read(replace(settings, cdn_secret="none"))
