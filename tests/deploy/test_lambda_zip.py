"""The zip of the Lambda functions: what is in it, and that it runs as on Lambda, from upload to published asset."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import struct
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from moto.server import ThreadedMotoServer

import films
from lambda_account import Account, localaws_telling, this_machine, unpack
from localaws import objectstore
from penstock.deploy import bundle
from penstock.formats import dash

SOURCE, MEDIA, REGION = "account-source", "account-media", "eu-central-1"
MASTER = "0123456789abcdef0123456789abcdef-of-the-account"
AARCH64 = 183
"""e_machine of ELF for AArch64."""


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As it goes to AWS."""
    target = tmp_path_factory.mktemp("bundle") / "lambda.zip"
    bundle.build(target)
    return target


@pytest.fixture(scope="module")
def code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same for this machine, unpacked."""
    folder = tmp_path_factory.mktemp("code")
    bundle.build(folder / "lambda.zip", this_machine())
    return unpack(folder / "lambda.zip", folder / "task")


def test_the_same_versions_give_the_same_bytes(archive: Path, tmp_path: Path) -> None:
    digest = bundle.build(tmp_path / "again.zip")
    assert (tmp_path / "again.zip").read_bytes() == archive.read_bytes()
    assert digest == hashlib.sha256(archive.read_bytes()).hexdigest()


def test_it_is_small_and_for_arm(archive: Path) -> None:
    assert archive.stat().st_size < bundle.MAX_BYTES
    with zipfile.ZipFile(archive) as file:
        libraries = [name for name in file.namelist() if ".so" in name]
        machines = {struct.unpack_from("<H", file.read(name), 18)[0] for name in libraries}
    assert libraries and machines == {AARCH64}


def test_it_holds_our_modules_that_handlers_load_and_no_others(code: Path, tmp_path: Path) -> None:
    account = Account(code, tmp_path, {"access_key_id": "a", "secret_access_key": "b"})
    account.environment = {"AWS_DEFAULT_REGION": REGION}
    try:
        answer, loaded = account.invoke("penstock.handlers.speke", {})
    finally:
        account.close()
    assert answer["statusCode"] == 403
    assert {name for name in loaded if name.split(".")[0] == "penstock"} == bundle.modules()
    assert len(list((code / "penstock").rglob("*.py"))) == len(bundle.modules())


def test_nothing_of_this_machine_is_in_it(archive: Path) -> None:
    with zipfile.ZipFile(archive) as file:
        entries = file.infolist()
        held = b"".join(file.read(entry) for entry in entries if not entry.filename.endswith((".so", ".pem", ".gz")))
    assert {entry.date_time for entry in entries} == {bundle.EPOCH}
    assert {oct(entry.external_attr >> 16) for entry in entries} == {"0o100644"}
    assert os.fsencode(Path.home()) + b"/" not in held


def test_byte_code_is_there_and_belongs_to_the_sources(code: Path) -> None:
    sources = set(code.rglob("*.py"))
    compiled = {Path(importlib.util.source_from_cache(str(path))) for path in code.rglob("*.pyc")}
    assert compiled == sources
    first = next(code.rglob("__pycache__/handlers.*.pyc")).read_bytes()
    assert first[:4] == importlib.util.MAGIC_NUMBER and first[4] == 0b01, "byte code that is checked against its source"


@pytest.fixture
def secrets_manager() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def describe(folder: Path, account: Account, credentials: dict[str, str], ports: tuple[int, int]) -> Path:
    """An account's buckets and rules, as the template makes them."""
    uploads = {
        "source": ["aws.s3"],
        "detail-type": ["Object Created"],
        "detail": {"bucket": {"name": [SOURCE]}, "object": {"key": [{"prefix": "inputs/"}]}},
    }
    ended = {
        "source": ["aws.mediaconvert"],
        "detail-type": ["MediaConvert Job State Change"],
        "detail": {"status": ["COMPLETE", "ERROR", "CANCELED"]},
    }
    rules = {
        "functions/penstock.handlers.watchfolder": uploads,
        "functions/penstock.handlers.publish": ended,
        "told": {"source": ["penstock"]},
    }
    document = {
        "data_dir": str(folder / "data"),
        "region": REGION,
        "credentials": credentials,
        "ports": {"s3": ports[0], "aws": ports[1]},
        "buckets": [{"name": SOURCE, "events": True}, {"name": MEDIA}],
        "rules": [
            {"name": f"rule-{number}", "pattern": pattern, "target": {"url": f"{account.url}/{path}"}}
            for number, (path, pattern) in enumerate(rules.items())
        ],
    }
    file = folder / "account.json"
    file.write_text(json.dumps(document))
    return file


def test_an_upload_is_published_by_the_functions_alone(code: Path, tmp_path: Path, secrets_manager: str) -> None:
    credentials = {"access_key_id": "AKIAACCOUNT", "secret_access_key": "secret-of-the-account"}
    account = Account(code, tmp_path, credentials)
    s3_port, aws_port = objectstore.free_ports(2)
    account.environment = {
        "AWS_ACCESS_KEY_ID": credentials["access_key_id"],
        "AWS_SECRET_ACCESS_KEY": credentials["secret_access_key"],
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{aws_port}",
        "AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{s3_port}",
        "AWS_ENDPOINT_URL_SECRETS_MANAGER": secrets_manager,
        "PENSTOCK_SOURCE_BUCKET": SOURCE,
        "PENSTOCK_MEDIA_BUCKET": MEDIA,
        "PENSTOCK_URL": "https://video.example.com",
        "PENSTOCK_SPEKE_URL": f"{account.url}/speke/v2/copyProtection",
        "PENSTOCK_MASTER_SECRET": "master-key",
    }
    options: dict[str, Any] = {
        "region_name": REGION,
        "aws_access_key_id": credentials["access_key_id"],
        "aws_secret_access_key": credentials["secret_access_key"],
    }
    secrets = boto3.client("secretsmanager", endpoint_url=secrets_manager, **options)
    secrets.create_secret(Name="master-key", SecretString=MASTER)
    secrets.close()
    film = films.film(tmp_path / "film.mp4", duration_s=2)
    config = describe(tmp_path, account, credentials, (s3_port, aws_port))
    s3 = boto3.client(
        "s3", endpoint_url=account.environment["AWS_ENDPOINT_URL_S3"],
        config=Config(s3={"addressing_style": "path"}), **options,
    )  # fmt: skip
    try:
        with localaws_telling(config, tmp_path / "localaws.log"):
            s3.upload_file(str(film), SOURCE, "inputs/My film + more.mp4")
            [published] = wait_for(account, "Asset Published")
            detail = published["detail"]
            mpd = s3.get_object(Bucket=MEDIA, Key=pointer(s3, detail["assetId"])["dash"])["Body"].read()
    finally:
        s3.close()
        account.close()
    assert dash.key_ids(mpd), "what was published is not encrypted"
    assert b"https://video.example.com/v1/licenses/clearkey" in mpd
    assert MASTER not in account.printed


def wait_for(account: Account, kind: str) -> list[dict[str, Any]]:
    deadline = time.monotonic() + 150
    while time.monotonic() < deadline:
        if found := [event for event in account.told if event["detail-type"] == kind]:
            return found
        failed = [event for event in account.told if event["detail-type"] == "Asset Failed"]
        assert not failed, failed
        time.sleep(0.1)  # the functions run in other processes; the deadline bounds it
    raise AssertionError(f"nobody told of {kind}: {account.told}\n{account.printed[-3000:]}")


def pointer(s3: Any, asset_id: str) -> dict[str, Any]:
    listed = s3.list_objects_v2(Bucket=MEDIA, Prefix=f"published/{asset_id}/")["Contents"]
    content: dict[str, Any] = json.loads(s3.get_object(Bucket=MEDIA, Key=listed[0]["Key"])["Body"].read())
    return content
