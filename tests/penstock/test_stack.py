from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import pytest

from penstock import stack
from penstock.errors import InvalidRequest, NotFound, Unavailable
from penstock.stack import Ports
from waiting import free_port


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


def test_no_free_port_is_taken_twice() -> None:
    port = free_port()
    remembered = {"edge": port, "aws": port, "s3": port}
    for asked in (Ports(0, 0, 0), Ports(0, port, 0), Ports(0, 0, port)):
        assert len(set(vars(asked.settled(remembered)).values())) == 3
    with pytest.raises(InvalidRequest, match="three different ports"):
        Ports(port, port, 0).settled({})


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


@pytest.mark.parametrize(
    "description", ["[]", "{}", '{"edge": {"url": "http://127.0.0.1:1"}}', '{"ports": {"api": "x"}}']
)
def test_description_that_lacks_members_is_a_clear_error_and_written_anew(data_dir: Path, description: str) -> None:
    stack.prepare(data_dir, Ports(0, 0, 0), None, {})
    (data_dir / "stack.json").write_text(description)
    with pytest.raises(InvalidRequest, match="penstock up"):
        stack.environment(data_dir)
    stack.prepare(data_dir, Ports(0, 0, 0), None, {})
    assert stack.environment(data_dir)["PENSTOCK_URL"].startswith("http://")


@pytest.mark.parametrize("content", [None, b"", b"pk_\xff\xfe"])
def test_api_key_that_cannot_be_read_is_a_clear_error_that_does_not_repeat_it(
    data_dir: Path, content: bytes | None
) -> None:
    stack.prepare(data_dir, Ports(0, 0, 0), None, {})
    file = data_dir / "secrets" / "api-key"
    file.unlink() if content is None else file.write_bytes(content)
    with pytest.raises(Unavailable, match="api-key") as refused:
        stack.connection(data_dir)
    assert "pk_" not in str(refused.value)


def test_what_cannot_be_the_data_folder_is_wrong_use_and_nothing_is_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InvalidRequest, match="data folder"):
        stack.prepare(tmp_path / "file", Ports(0, 0, 0), None, {})
    with pytest.raises(InvalidRequest):
        stack.prepare(tmp_path / "new", Ports(70000, 1, 2), None, {})
    assert not (tmp_path / "new").exists()


def test_a_database_for_jobs_is_told_to_the_stack_and_not_to_the_api(data_dir: Path) -> None:
    address = "postgresql://me:database-password@there/jobs"
    environ = {"PENSTOCK_JOBS_DATABASE_URL": address, "PENSTOCK_ENGINES": "0"}
    description = stack.prepare(data_dir, Ports(0, 0, 0), None, environ)
    assert (description["database_url"], description["engines"]) == (address, 0)
    assert "database-password" not in json.dumps(description["services"])
    assert "database_url" not in stack.prepare(data_dir, Ports(0, 0, 0), None, {})
    with pytest.raises(InvalidRequest, match="--database"):
        stack.prepare(data_dir, Ports(0, 0, 0), None, {"PENSTOCK_ENGINES": "2"})


def test_pace_is_kept_unless_it_is_switched_off(tmp_path: Path) -> None:
    edge = stack.prepare(tmp_path / "on", Ports(0, 0, 0), None, {"PENSTOCK_FRONT_NETWORKS": "10.0.0.0/8"})["edge"]
    assert (edge["pace"], edge["front"]) == ({"rate": 1.25, "burst_s": 90}, ["10.0.0.0/8"])
    faster = {"PENSTOCK_PACE_RATE": "2", "PENSTOCK_PACE_BURST_S": "30"}
    edge = stack.prepare(tmp_path / "faster", Ports(0, 0, 0), None, faster)["edge"]
    assert edge["pace"] == {"rate": 2.0, "burst_s": 30}
    assert "pace" not in stack.prepare(tmp_path / "off", Ports(0, 0, 0), None, {"PENSTOCK_PACE": "false"})["edge"]
