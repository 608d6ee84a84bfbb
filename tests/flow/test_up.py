"""`penstock up` as a command: start, second start, Ctrl-C, what listens where."""

from __future__ import annotations

import json
import os
from pathlib import Path

import httpx
import psutil
import pytest

from running_stack import PENSTOCK, RunningStack, run


@pytest.fixture
def own_stack(tmp_path: Path) -> RunningStack:
    return RunningStack(tmp_path / "data")


def test_ctrl_c_ends_everything_and_a_second_start_finds_everything_as_it_was(
    own_stack: RunningStack, film: Path
) -> None:
    own_stack.start()
    asset = json.loads(own_stack.cli("upload", str(film), "--wait", "--json").stdout)
    secrets = {file.name: file.read_bytes() for file in (own_stack.data_dir / "secrets").iterdir()}
    running = own_stack.processes()
    assert len(running) >= 5
    own_stack.stop()
    assert not [process for process in running if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]

    own_stack.start()
    try:
        assert {file.name: file.read_bytes() for file in (own_stack.data_dir / "secrets").iterdir()} == secrets
        assert own_stack.wait_for(asset["asset_id"])["state"] == "published"
        session = own_stack.client.create_playback_session(asset["asset_id"], viewer="ada")
        assert httpx.get(session["dash_url"], cookies=session["cookies"]).status_code == 200
    finally:
        own_stack.stop()


def test_second_stack_on_one_folder_is_a_clear_error(stack: RunningStack) -> None:
    command = [PENSTOCK, "up", "--data-dir", str(stack.data_dir), "--port", "0", "--aws-port", "0", "--s3-port", "0"]
    second = run(command, check=False)
    assert second.returncode == 2
    assert "already runs" in second.stderr and "Traceback" not in second.stderr
    assert httpx.get(f"{stack.env['PENSTOCK_URL']}/healthz").is_success


def test_taken_port_is_a_clear_error(stack: RunningStack, tmp_path: Path) -> None:
    taken = stack.env["PENSTOCK_URL"].rsplit(":", 1)[1]
    command = [PENSTOCK, "up", "--data-dir", str(tmp_path / "d"), "--port", taken, "--aws-port", "0", "--s3-port", "0"]
    result = run(command, check=False)
    assert result.returncode == 2
    assert taken in result.stderr and "Traceback" not in result.stderr


def test_everything_listens_on_loopback_only(stack: RunningStack) -> None:
    listening = [c for p in stack.processes() for c in p.net_connections("inet") if c.status == psutil.CONN_LISTEN]
    assert len(listening) >= 4
    assert {connection.laddr.ip for connection in listening} == {"127.0.0.1"}


def test_secrets_are_readable_by_their_owner_only(stack: RunningStack) -> None:
    files = [*(stack.data_dir / "secrets").iterdir(), stack.data_dir / "stack.json"]
    assert {oct(file.stat().st_mode & 0o777) for file in files} == {"0o600"}
    assert oct((stack.data_dir / "secrets").stat().st_mode & 0o777) == "0o700"


def test_no_secret_is_on_a_command_line(stack: RunningStack) -> None:
    secrets = [stack.env["AWS_SECRET_ACCESS_KEY"], stack.env["PENSTOCK_API_KEY"]]
    lines = [" ".join(process.cmdline()) for process in stack.processes()]
    assert not [line for line in lines if any(secret in line for secret in secrets)]


def test_env_prints_shell_exports(stack: RunningStack) -> None:
    printed = run([PENSTOCK, "env", "--data-dir", str(stack.data_dir)]).stdout
    shell = f"eval '{printed}'\nprintf %s \"$PENSTOCK_URL\"" if "'" not in printed else None
    assert shell is not None
    assert run(["sh", "-c", shell], env=dict(os.environ)).stdout == stack.env["PENSTOCK_URL"]


def test_unknown_setting_is_refused_by_name(tmp_path: Path) -> None:
    environ = os.environ | {"PENSTOCK_SESION_TTL_S": "60"}
    result = run([PENSTOCK, "up", "--data-dir", str(tmp_path / "d"), "--port", "0"], env=environ, check=False)
    assert result.returncode == 2
    assert "PENSTOCK_SESION_TTL_S" in result.stderr and "PENSTOCK_SESSION_TTL_S" in result.stderr


def test_env_without_a_stack_says_how_to_start_one(tmp_path: Path) -> None:
    result = run([PENSTOCK, "env", "--data-dir", str(tmp_path)], check=False)
    assert result.returncode != 0
    assert "penstock up" in result.stderr
