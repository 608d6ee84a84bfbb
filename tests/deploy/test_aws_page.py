"""docs/aws.md, line by line, in an account played by moto's server; jobs are asked of localaws.

What is taken from the page is run as it stands there, but for three things: nobody can be asked here, so `--yes` is
added; the dots of the API's variables become what `penstock status` prints; and the master key is made by the test, for
moto's CloudFormation makes no secrets.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

import films
import moto_stand
from conftest import REPOSITORY
from localaws import local, objectstore

PAGE = (REPOSITORY / "docs" / "aws.md").read_text()
BLOCKS = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
MASTER_KEY = "reader/master-key"
JOB = {"OutputGroups": [{"Outputs": [{"VideoDescription": {"Height": 720, "CodecSettings": {"Codec": "H_264"}}}]}]}


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, dict[str, str]]]:
    """Somebody with credentials, a film, a folder: the folder and the environment."""
    folder = tmp_path_factory.mktemp("reader")
    films.film(folder / "film.mov", duration_s=1)
    (folder / "jobs").mkdir()
    (folder / "jobs" / "hd.json").write_text(json.dumps(JOB))
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PENSTOCK_"))}
    path = f"{Path(sys.executable).parent}{os.pathsep}{clean['PATH']}"
    with moto_stand.running() as account, local.running(folder / "localaws-data") as stack:
        # The API must not find a catalogue of another folder.
        own = {"PATH": path, "HOME": str(folder), "AWS_ENDPOINT_URL_MEDIACONVERT": stack.config.aws_url}
        credentials = {name: value for name, value in stack.environment.items() if "KEY" in name}
        yield folder, clean | dict(account) | own | credentials


def follow(reader: tuple[Path, dict[str, str]], script: str, **variables: str) -> str:
    folder, environment = reader
    done = subprocess.run(
        ["bash", "-eu", "-o", "pipefail", "-c", script],
        cwd=folder,
        env=environment | variables,
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, f"{script}\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}"
    return done.stdout


def outputs(reader: tuple[Path, dict[str, str]]) -> dict[str, str]:
    found: dict[str, str] = json.loads(follow(reader, "penstock status --stack penstock --json"))["outputs"]
    return found


@pytest.mark.timeout(600)
def test_a_reader_who_follows_the_page_gets_what_it_says(reader: tuple[Path, dict[str, str]]) -> None:
    deploy, try_it, keys, api, watch, remove = BLOCKS
    told = follow(reader, deploy.replace("deploy --stack penstock\n", "deploy --stack penstock --yes\n"))
    assert "USD" in told and "AWSTemplateFormatVersion" in told and "aws s3 cp" in told

    told = follow(reader, try_it)
    assert "upload: ./film.mov" in told and '"Jobs"' in told

    follow(reader, keys)
    folder = reader[0]
    assert {path.stat().st_mode & 0o777 for path in (folder / "secrets").iterdir()} == {0o600}

    with running_api(reader, api) as url:
        told = follow(reader, watch.replace("penstock play ASSET\n", ""), PENSTOCK_URL=url)
    assert "Traceback" not in told

    told = follow(reader, remove.replace("destroy --stack penstock\n", "destroy --stack penstock --yes\n"))
    assert "MasterKey" in told and ": stays" in told and "penstock is gone" in told


class running_api:
    """The API as the page starts it, on a free port and with a catalogue in the reader's folder."""

    def __init__(self, reader: tuple[Path, dict[str, str]], block: str) -> None:
        self.reader = reader
        (self.port,) = objectstore.free_ports(1)
        found = outputs(reader)
        assert found["MasterKey"]
        secret = f"--name {MASTER_KEY} --secret-string {'k' * 64}"
        follow(reader, f"aws secretsmanager create-secret {secret}")
        values = {
            "PENSTOCK_URL": found["Url"],
            "PENSTOCK_KEY_PAIR_ID": found["KeyPairId"],
            "PENSTOCK_MASTER_SECRET": MASTER_KEY,
            "PENSTOCK_SOURCE_BUCKET": found["SourceBucket"],
            "PENSTOCK_MEDIA_BUCKET": found["MediaBucket"],
            "PENSTOCK_MEDIACONVERT_ROLE": found["MediaConvertRole"],
            "PENSTOCK_SPEKE_URL": found["SpekeUrl"],
        }
        for name, value in values.items():
            block, count = re.subn(rf"\b{name}=\.\.\.", f"{name}='{value}'", block)
            assert count == 1, f"the page does not set {name}"
        block = re.sub(r"PENSTOCK_DATABASE_URL=\S+", "PENSTOCK_DATABASE_URL=sqlite:///catalogue.db", block)
        here = f"exec python -m penstock.api --port {self.port}"
        self.script = block.replace("python -m penstock.api --port 8000", here)

    def __enter__(self) -> str:
        folder, environment = self.reader
        self.log = (folder / "api.log").open("w")
        self.process = subprocess.Popen(
            ["bash", "-eu", "-c", self.script], cwd=folder, env=environment, stdout=self.log, stderr=self.log
        )
        url = f"http://127.0.0.1:{self.port}"
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                if httpx.get(f"{url}/healthz", timeout=5).status_code == 200:
                    return url
            except httpx.TransportError:
                assert self.process.poll() is None, (folder / "api.log").read_text()
            time.sleep(0.1)  # nothing tells when another process listens; the deadline bounds it
        raise AssertionError((folder / "api.log").read_text())

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait(20)
        self.log.close()
