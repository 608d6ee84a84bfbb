"""The edge as a process: how it starts, refuses to start, logs and ends."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest


def run_edge(config: Path | str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "localaws.edge", "--config", str(config), *arguments]
    environment = {**os.environ, "PYTHONPATH": "src"}
    return subprocess.run(command, capture_output=True, text=True, timeout=20, env=environment, check=False)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_time_whatever_viewers_do(
    start_edge: Any, start_origin: Any, number: signal.Signals
) -> None:
    def stream(handler: Any, seen: Any) -> None:
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(b"data: x\n\n")
        handler.connection.recv(1)

    edge = start_edge(api_url=start_origin(stream).url)
    with (
        socket.create_connection(("127.0.0.1", edge.port)) as streaming,
        socket.create_connection(("127.0.0.1", edge.port)) as slow,
        socket.create_connection(("127.0.0.1", edge.port)),
    ):
        streaming.sendall(b"GET /v1/events HTTP/1.1\r\nHost: a\r\n\r\n")
        assert streaming.recv(1)
        slow.sendall(b"POST /v1/x HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nx")
        started = time.monotonic()
        edge.process.send_signal(number)
        assert edge.process.wait(timeout=10) == 0
        assert time.monotonic() - started < 2
    assert "Traceback" not in edge.log
    assert "panic" not in edge.log


def test_it_is_one_process(start_edge: Any) -> None:
    import psutil

    assert psutil.Process(start_edge().process.pid).children(recursive=True) == []


def test_it_tells_of_itself_where_no_behavior_does(start_edge: Any) -> None:
    assert start_edge(behaviors=[{"path": "/x/*", "deny": True}]).request("/healthz").status == 200
    assert start_edge(behaviors=[{"path": "*", "deny": True}]).request("/healthz").status == 403


def test_it_listens_on_the_loopback_alone(start_edge: Any) -> None:
    import psutil

    edge = start_edge()
    listening = [
        c.laddr.ip for c in psutil.Process(edge.process.pid).net_connections() if c.status == psutil.CONN_LISTEN
    ]
    assert listening == ["127.0.0.1"]


def test_a_second_edge_on_one_folder_is_a_clear_error(start_edge: Any) -> None:
    edge = start_edge()
    second = run_edge(edge.config_file)
    assert second.returncode == 1
    assert second.stderr.strip().endswith("another edge is running on " + str(edge.data_dir / "localaws"))
    assert edge.process.poll() is None


def test_a_taken_port_is_a_clear_error(start_edge: Any, tmp_path: Path) -> None:
    edge = start_edge()
    document = json.loads(edge.config_file.read_text())
    document["data_dir"] = str(tmp_path)
    other = tmp_path / "stack.json"
    other.write_text(json.dumps(document))
    second = run_edge(other)
    assert second.returncode == 1
    assert second.stderr.strip() == f"edge: port {edge.port} of 127.0.0.1 cannot be had: Address already in use"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"edge": None}, "edge is not a JSON object"),
        ({"nonsense": 1}, "nonsense: not known here"),
        ({"credentials": {"access_key_id": "a"}}, "credentials.secret_access_key is missing"),
    ],
)
def test_a_bad_configuration_is_one_sentence(start_edge: Any, tmp_path: Path, change: Any, sentence: str) -> None:
    document = json.loads(start_edge().config_file.read_text()) | {"data_dir": str(tmp_path)} | change
    file = tmp_path / "stack.json"
    file.write_text(json.dumps(document))
    refused = run_edge(file)
    assert refused.returncode == 1
    assert sentence in refused.stderr
    assert len(refused.stderr.splitlines()) == 1


def test_a_configuration_without_an_edge_or_with_a_bad_key_is_one_sentence(start_edge: Any, tmp_path: Path) -> None:
    document = json.loads(start_edge().config_file.read_text()) | {"data_dir": str(tmp_path)}
    file = tmp_path / "stack.json"
    file.write_text(json.dumps({name: value for name, value in document.items() if name != "edge"}))
    assert "the configuration has no edge" in run_edge(file).stderr
    pem = tmp_path / "key.pem"
    document["edge"]["key_groups"]["viewers"]["rsa"] = str(pem)
    file.write_text(json.dumps(document))
    assert "key.pem cannot be read" in run_edge(file).stderr
    pem.write_text("no key")
    assert "is not readable PEM" in run_edge(file).stderr
    assert "missing.json cannot be read" in run_edge(tmp_path / "missing.json").stderr


def test_the_log_has_a_line_per_request_and_no_secret(start_edge: Any, start_origin: Any) -> None:
    origin = start_origin(lambda handler, seen: handler.send_error(404))
    edge = start_edge(s3_port=origin.port, api_url=origin.url)
    cookie = edge.cookie()
    signed = edge.signer().url(f"{edge.url}/assets/a/x.mp4", int(time.time()) + 60).removeprefix(edge.url)
    edge.request("/assets/a/x.mp4", headers=cookie)
    edge.request(signed)
    edge.request("/assets/b/%0aforged%20line%1b[31m", headers=cookie)
    edge.request("/v1/x?token=hunter2", "POST", headers={"Authorization": "Bearer hunter3"}, body=b"hunter4")
    edge.request("/assets/a/x.mp4?Policy=hunter5", headers=cookie)
    edge.process.send_signal(signal.SIGTERM)
    edge.process.wait(timeout=5)
    lines = [line for line in edge.log.splitlines() if " GET " in line or " POST " in line]
    assert len(lines) == 5, edge.log
    assert "127.0.0.1 GET /assets/a/x.mp4 403" in lines[0]
    assert "\x1b" not in edge.log
    secrets = [part.partition("=")[2] for part in (cookie["Cookie"] + "; " + signed.replace("&", "; ")).split("; ")]
    for secret in ["hunter", "the-secret-of-the-edge", *(value for value in secrets if len(value) > 20)]:
        assert secret not in edge.log


def test_without_verbose_it_is_quiet(start_edge: Any, tmp_path: Path) -> None:
    edge = start_edge()
    document = json.loads(edge.config_file.read_text()) | {"data_dir": str(tmp_path)}
    edge.process.terminate()
    edge.process.wait(timeout=5)
    file = tmp_path / "stack.json"
    file.write_text(json.dumps(document))
    command = [sys.executable, "-m", "localaws.edge", "--config", str(file)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, env={**os.environ, "PYTHONPATH": "src"}) as process:
        deadline = time.monotonic() + 10
        while True:
            try:
                edge.request("/assets/a/x.mp4")
                break
            except ConnectionError:
                assert time.monotonic() < deadline
                time.sleep(0.02)
        process.terminate()
        _, said = process.communicate(timeout=5)
    assert said == b""
