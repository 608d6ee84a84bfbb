"""The recorder itself, with servers that speak AWS's protocols in place of an account: what it records is no truth."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

from conftest import REPOSITORY
from localaws import local

RECORD = REPOSITORY / "tests" / "aws" / "record.py"
ACCOUNT = "123456789012"


@pytest.fixture(scope="module")
def account() -> Iterator[dict[str, str]]:
    """The environment of somebody with credentials."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "eu-central-1",
    }
    server.stop()


def record(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return subprocess.run(
        [sys.executable, str(RECORD), *arguments],
        env=clean | {"PYTHONPATH": str(REPOSITORY / "tests")} | environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_without_an_account_it_says_so_and_what_it_would_ask() -> None:
    done = record()
    assert done.returncode == 0 and done.stdout.startswith("No account was named")
    assert "s3_keys_in_events_are_not_encoded" in done.stdout


def test_every_belief_is_listed_and_so_is_what_nothing_checks() -> None:
    done = record("--list")
    assert done.returncode == 0 and done.stdout.count("not checked: ") == 5
    assert done.stdout.count("\n") >= 14


def test_another_account_than_the_one_named_is_not_asked(account: dict[str, str], tmp_path: Path) -> None:
    done = record("--account", "999999999999", "--into", str(tmp_path / "recorded"), **account)
    assert done.returncode == 2 and ACCOUNT in done.stderr
    assert not (tmp_path / "recorded").exists()


def test_an_answer_is_kept_with_date_and_region_and_without_the_account(
    account: dict[str, str], tmp_path: Path
) -> None:
    done = record(
        "--account", ACCOUNT, "--into", str(tmp_path), "--only", "s3_keys_in_events_are_not_encoded", **account
    )
    kept = (tmp_path / "s3_keys_in_events_are_not_encoded.json").read_text()
    document = json.loads(kept)
    assert document["region"] == "eu-central-1" and len(document["date"]) == 10
    assert document["said"] and ACCOUNT not in kept
    assert done.returncode == (0 if document["holds"] else 1), done.stdout + done.stderr


def test_a_belief_that_does_not_hold_is_told_and_ends_with_1(account: dict[str, str], tmp_path: Path) -> None:
    done = record("--account", ACCOUNT, "--into", str(tmp_path), "--only", "s3_new_buckets_refuse_acls", **account)
    assert done.returncode == 1 and "DOES NOT HOLD" in done.stdout
    assert json.loads((tmp_path / "s3_new_buckets_refuse_acls.json").read_text())["holds"] is False


def test_checks_that_run_a_job_ask_for_a_role(account: dict[str, str], tmp_path: Path) -> None:
    done = record("--account", ACCOUNT, "--into", str(tmp_path), "--only", "mediaconvert_names_of_outputs", **account)
    assert done.returncode == 0 and "--role" in done.stdout


def test_the_check_that_runs_a_job_holds_here(account: dict[str, str], tmp_path: Path) -> None:
    arguments = ["--account", ACCOUNT, "--into", str(tmp_path), "--only", "mediaconvert_names_of_outputs"]
    with local.running(tmp_path / "localaws-data") as stack:
        here = stack.environment | {"AWS_ENDPOINT_URL_STS": account["AWS_ENDPOINT_URL"]}
        done = record(*arguments, "--role", f"arn:aws:iam::{ACCOUNT}:role/MediaConvertRole", **here)
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_was_made_is_gone(account: dict[str, str], tmp_path: Path) -> None:
    done = record("--account", ACCOUNT, "--into", str(tmp_path), "--only", "s3_limits_of_multipart_uploads", **account)
    assert done.stderr == ""
    s3 = boto3.client(
        "s3",
        endpoint_url=account["AWS_ENDPOINT_URL"],
        region_name="eu-central-1",
        aws_access_key_id="a",
        aws_secret_access_key="b",
    )
    assert s3.list_buckets()["Buckets"] == []
    s3.close()
