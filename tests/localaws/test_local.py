"""localaws alone, as docs/localaws.md shows it: each example is run as it stands there."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import hcl2
import pytest

import films
from conftest import REPOSITORY
from localaws import local
from localaws.config import HOST, Ports
from localaws.local import Local

DOCUMENT = (REPOSITORY / "docs" / "localaws.md").read_text()
CI = bool(os.environ.get("CI"))
NODE_MODULES = REPOSITORY / "web" / "node_modules"


def examples(heading: str) -> list[tuple[str, str]]:
    """(language, text) of the examples under a heading."""
    section = DOCUMENT.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    return re.findall(r"^```(\w+)\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)


def example(heading: str, language: str) -> str:
    (text,) = [text for spoken, text in examples(heading) if spoken == language]
    return text


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Local]:
    with local.running(tmp_path_factory.mktemp("localaws") / "localaws-data") as one:
        yield one


@pytest.fixture
def here(tmp_path: Path, stack: Local) -> Path:
    """A folder with a film and, as the examples expect it, the stack's own folder."""
    films.film(tmp_path / "film.mp4", duration_s=1)
    (tmp_path / "localaws-data").symlink_to(stack.config.data_dir)
    return tmp_path


def run(command: list[str], folder: Path, **variables: str) -> str:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    result = subprocess.run(
        command, cwd=folder, env=os.environ | {"PATH": path} | variables, capture_output=True, text=True, timeout=120
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def test_the_shell_and_the_aws_cli(here: Path) -> None:
    script = "set -eu\n" + example("Start", "sh") + example("AWS CLI", "sh")
    assert "film_90p.mp4" in run(["bash", "-c", script], here)


def test_boto3(here: Path, stack: Local) -> None:
    (here / "example.py").write_text(example("Python", "python"))
    printed = run([sys.executable, "example.py"], here, **stack.environment)
    assert printed.startswith("COMPLETE")
    assert {"out/film.m3u8", "out/film_180p.m3u8", "out/film_audio_00001.aac"} < set(printed.split())


@pytest.mark.skipif(
    not (CI or (shutil.which("node") and (NODE_MODULES / "@aws-sdk" / "client-mediaconvert").is_dir())),
    reason="make setup installs it",
)
def test_the_javascript_sdk(here: Path, stack: Local) -> None:
    (here / "node_modules").symlink_to(NODE_MODULES)
    (here / "example.mjs").write_text(example("JavaScript", "js"))
    assert run(["node", "example.mjs"], here, **stack.environment).startswith("COMPLETE")


def test_terraform_is_pointed_at_the_same_addresses() -> None:
    read = hcl2.loads(example("Terraform", "hcl"))
    provider = read["provider"][0]['"aws"']
    addresses = {name: url.strip('"') for name, url in provider["endpoints"][0].items() if not name.startswith("__")}
    ports = Ports()
    aws, s3 = f"http://{HOST}:{ports.aws}", f"http://{HOST}:{ports.s3}"
    assert addresses == {"eventbridge": aws, "mediaconvert": aws, "s3": s3} and provider["s3_use_path_style"] is True
    assert list(read["resource"][0]) == ['"aws_media_convert_queue"']


def test_pytest_with_a_stack_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "test_example.py").write_text(example("pytest", "python"))
    assert "1 passed" in run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "."], tmp_path)


def test_the_document_shows_nothing_that_is_not_run() -> None:
    languages = re.findall(r"^```(\w+)$", DOCUMENT, re.MULTILINE)
    assert sorted(languages) == ["console", "hcl", "js", "python", "python", "sh", "sh"]


def test_the_environment_as_json_and_where_there_is_none(stack: Local, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "localaws", "--env", "--data-dir"]
    printed = run([*command, str(stack.config.data_dir), "--json"], tmp_path)
    assert json.loads(printed) == stack.environment
    result = subprocess.run([*command, str(tmp_path)], capture_output=True, text=True, timeout=60)
    assert result.returncode == 2 and result.stdout == ""
    assert result.stderr.startswith("error: no stack was started on") and result.stderr.count("\n") == 1


def test_penstock_local_is_the_same(stack: Local, tmp_path: Path) -> None:
    penstock = str(Path(sys.executable).with_name("penstock"))
    printed = run([penstock, "local", "--env", "--data-dir", str(stack.config.data_dir)], tmp_path)
    assert printed.strip() == local.exports(stack.environment)


def test_a_stack_that_cannot_start_says_why(tmp_path: Path) -> None:
    (tmp_path / "stack.json").write_text("{")
    with pytest.raises(local.Unavailable, match="is not JSON"), local.running(tmp_path):
        pass
