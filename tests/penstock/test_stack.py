from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import pytest

from penstock import stack
from penstock.errors import InvalidRequest, NotFound
from penstock.stack import Ports


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


def test_prepare_twice_keeps_secrets_and_settles_ports(data_dir: Path) -> None:
    first = stack.prepare(data_dir, Ports(0, 0, 0), None, {})
    secrets = {file.name: file.read_bytes() for file in (data_dir / "secrets").iterdir()}
    second = stack.prepare(data_dir, Ports(0, 0, 0), None, {})
    assert {file.name: file.read_bytes() for file in (data_dir / "secrets").iterdir()} == secrets
    assert first["credentials"] == second["credentials"]
    assert all(second["ports"].values())


def test_ports_of_the_last_start_are_taken_again_unless_somebody_has_them(data_dir: Path) -> None:
    first = stack.prepare(data_dir, Ports(0, 0, 0), None, {})["ports"]
    with socket.create_server(("127.0.0.1", first["s3"])):
        second = stack.prepare(data_dir, Ports(0, 0, 0), None, {})["ports"]
    assert {**second, "s3": 0} == {**first, "s3": 0}
    assert second["s3"] != first["s3"]


def test_everything_secret_is_private(data_dir: Path) -> None:
    stack.prepare(data_dir, Ports(0, 0, 0), None, {})
    private = [data_dir / "stack.json", *(data_dir / "secrets").iterdir()]
    assert {oct(path.stat().st_mode & 0o777) for path in private} == {"0o600"}


def test_half_written_secret_of_a_killed_start_is_made_anew(data_dir: Path) -> None:
    (data_dir / "secrets").mkdir(parents=True)
    (data_dir / "secrets" / f".master.key.{os.getpid()}").write_bytes(b"half")
    stack.prepare(data_dir, Ports(0, 0, 0), None, {})
    assert len((data_dir / "secrets" / "master.key").read_bytes()) == 32


def test_environment_points_at_the_stack_and_survives_the_shell(data_dir: Path) -> None:
    stack.prepare(data_dir, Ports(1111, 2222, 3333), None, {})
    variables = stack.environment(data_dir)
    assert variables["AWS_ENDPOINT_URL"] == "http://127.0.0.1:2222"
    assert variables["AWS_ENDPOINT_URL_S3"] == "http://127.0.0.1:3333"
    assert stack.connection(data_dir) == (variables["PENSTOCK_URL"], variables["PENSTOCK_API_KEY"])
    assert stack.exports({"A": "it's $HOME"}) == "export A='it'\"'\"'s $HOME'"


def test_settings_of_the_user_reach_the_api_and_those_of_another_stack_do_not(data_dir: Path) -> None:
    environ = {"PENSTOCK_SESSION_TTL_S": "77", "PENSTOCK_URL": "http://other:1", "PENSTOCK_API_KEY": "theirs"}
    description = stack.prepare(data_dir, Ports(1111, 2222, 3333), None, environ)
    passed = description["services"][0]["env"]
    assert passed["PENSTOCK_SESSION_TTL_S"] == "77"
    assert passed["PENSTOCK_URL"] == "http://127.0.0.1:1111"
    assert "theirs" not in json.dumps(description)


def test_public_address_is_what_viewers_get_while_the_engine_stays_on_loopback(data_dir: Path) -> None:
    description = stack.prepare(data_dir, Ports(1111, 2222, 3333), "https://video.example/", {})
    passed = description["services"][0]["env"]
    assert passed["PENSTOCK_URL"] == "https://video.example"
    assert passed["PENSTOCK_SPEKE_URL"].startswith("http://127.0.0.1:1111/")
    assert "https://video.example" in description["edge"]["allowed_origins"]


def test_internal_routes_are_not_offered_by_the_edge(data_dir: Path) -> None:
    behaviors = stack.prepare(data_dir, Ports(0, 0, 0), None, {})["edge"]["behaviors"]
    assert behaviors[1] == {"path": "/internal/*", "deny": True}


@pytest.mark.parametrize("ports", [Ports(80, 80, 90), Ports(70000, 1, 2), Ports(-1, 1, 2)])
def test_unusable_ports_are_refused(data_dir: Path, ports: Ports) -> None:
    with pytest.raises(InvalidRequest):
        stack.prepare(data_dir, ports, None, {})


def test_folder_without_a_stack_says_how_to_start_one(data_dir: Path) -> None:
    with pytest.raises(NotFound, match="penstock up"):
        stack.environment(data_dir)


def test_broken_description_is_a_clear_error(data_dir: Path) -> None:
    data_dir.mkdir()
    (data_dir / "stack.json").write_text("{")
    with pytest.raises(InvalidRequest, match="penstock up"):
        stack.connection(data_dir)
