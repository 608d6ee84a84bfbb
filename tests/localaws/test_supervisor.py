"""The supervisor and `python -m localaws`: start, restart, end, kill -9, and what goes wrong at the start."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import psutil
import pytest

from localaws import objectstore, orphans
from localaws.config import Config, Credentials, Ports, ServiceProcess, dump, load
from localaws.private_files import write_private
from localaws.supervisor import LOG_BYTES, _rotate, tail

READY_WITHIN_S = 60

SERVICE = """
    # A service with a child of its own in another session, as ffmpeg would be.
    import http.server, subprocess, sys
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200); self.end_headers(); self.wfile.write(b"here")
        def log_message(self, *a): pass
    print("secret line for the log", flush=True)
    http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


class Stack:
    """One `python -m localaws`, its output in a file."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.file = config.data_dir / "described.json"
        self.output = config.data_dir.with_suffix(".out")
        write_private(self.file, json.dumps(dump(config)))
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *arguments: str) -> Stack:
        command = [sys.executable, "-m", "localaws", *(arguments or ("--config", str(self.file)))]
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, start_new_session=True)
        return self

    @property
    def printed(self) -> str:
        return self.output.read_text()

    def wait_for(self, text: str, count: int = 1) -> Stack:
        assert self.process
        pause = threading.Event()
        for _ in range(READY_WITHIN_S * 20):
            if self.printed.count(text) >= count:
                return self
            assert self.process.poll() is None or text == "Ended", (
                f"ended with {self.process.returncode}:\n{self.printed}"
            )
            pause.wait(0.05)
        raise AssertionError(f"{text!r} was not printed within {READY_WITHIN_S} s:\n{self.printed}")

    def end(self, number: int = signal.SIGINT, within_s: float = 10) -> int:
        assert self.process
        self.process.send_signal(number)
        return self.process.wait(within_s)

    def processes(self) -> list[int]:
        return orphans.find(self.config.data_dir)

    def pid_of(self, part: str) -> int:
        """The first process of a part: its leader."""
        return min(
            (psutil.Process(pid) for pid in orphans.find(self.config.data_dir, part)), key=lambda p: p.create_time()
        ).pid

    def kill(self) -> None:
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)
        orphans.kill(self.config.data_dir)


@pytest.fixture
def service_port(free_port: int) -> int:
    return free_port


@pytest.fixture
def stack_config(tmp_path: Path, service_port: int) -> Config:
    data_dir = tmp_path / "data"
    data_dir.mkdir()
    argv = (sys.executable, "-c", textwrap.dedent(SERVICE), str(service_port))
    service = ServiceProcess("api", argv, {"A_SETTING": "x"}, f"http://127.0.0.1:{service_port}/")
    return Config(data_dir, Credentials("AKIATEST", "a-secret-of-tests"), ports=Ports(0, 0, 0, 0), services=(service,))


@pytest.fixture
def stack_of() -> Iterator[Callable[[Config], Stack]]:
    made: list[Stack] = []

    def make(config: Config) -> Stack:
        made.append(Stack(config))
        return made[-1]

    yield make
    for stack in made:
        stack.kill()


def eventually(what: Callable[[], bool], within_s: float = 10) -> bool:
    """Look again and again: processes end without telling strangers."""
    pause = threading.Event()
    for _ in range(int(within_s * 50)):
        if what():
            return True
        pause.wait(0.02)
    return what()


def test_a_stack_starts_says_where_everything_is_and_ends_without_leaving_a_process(
    stack_of: Callable[[Config], Stack], stack_config: Config, service_port: int
) -> None:
    stack = stack_of(stack_config).start().wait_for("Ready in")
    settled = load(stack_config.data_dir / "stack.json")
    lines = stack.printed.splitlines()
    assert any(re.match(rf"\s+s3\s+{re.escape(settled.s3_url)}\s", line) for line in lines)
    assert any(re.match(rf"\s+aws\s+{re.escape(settled.aws_url)}\s", line) for line in lines)
    assert any(line.split()[:1] == ["api"] for line in lines)
    assert httpx.get(f"{settled.aws_url}/healthz").status_code == 200
    assert httpx.get(f"http://127.0.0.1:{service_port}").text == "here"
    assert (stack_config.logs_dir / "api.log").read_text() == "secret line for the log\n"
    assert len(stack.processes()) >= 4

    began = time.monotonic()
    assert stack.end() == 0
    assert time.monotonic() - began < 8
    assert stack.processes() == []
    assert "Traceback" not in stack.printed
    assert "Traceback" not in (stack_config.logs_dir / "aws.log").read_text()


def test_every_listener_is_on_loopback(stack_of: Callable[[Config], Stack], stack_config: Config) -> None:
    stack = stack_of(stack_config).start().wait_for("Ready in")
    addresses = [
        connection.laddr.ip
        for pid in stack.processes()
        for connection in psutil.Process(pid).net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert len(addresses) >= 10
    assert set(addresses) == {"127.0.0.1"}


def test_a_part_that_dies_is_started_again_without_its_orphans(
    stack_of: Callable[[Config], Stack], stack_config: Config, service_port: int
) -> None:
    stack = stack_of(stack_config).start().wait_for("Ready in")
    before = set(orphans.find(stack_config.data_dir, "api"))
    assert len(before) == 2
    os.kill(stack.pid_of("api"), signal.SIGKILL)
    assert eventually(lambda: objectstore.answers(f"http://127.0.0.1:{service_port}/"))
    assert eventually(lambda: len(orphans.find(stack_config.data_dir, "api")) == 2)
    assert not before & set(orphans.find(stack_config.data_dir, "api"))
    assert "api" in stack.wait_for("starting it again").printed


@pytest.mark.parametrize("part", ["s3", "aws"])
def test_each_part_of_ours_comes_back_after_kill_9(
    stack_of: Callable[[Config], Stack], stack_config: Config, part: str
) -> None:
    stack = stack_of(replace(stack_config, services=())).start().wait_for("Ready in")
    settled = load(stack_config.data_dir / "stack.json")
    os.kill(stack.pid_of(part), signal.SIGKILL)
    stack.wait_for("starting it again")
    assert eventually(lambda: objectstore.answers(f"{settled.aws_url}/healthz"), 30)
    assert eventually(lambda: objectstore.answers(f"{settled.s3_url}/healthz"), 30)
    objectstore.create_buckets(settled)
    assert stack.end() == 0


def test_nothing_outlives_a_killed_supervisor_and_a_new_one_starts_at_once(
    stack_of: Callable[[Config], Stack], stack_config: Config
) -> None:
    stack = stack_of(stack_config).start().wait_for("Ready in")
    assert stack.process
    stack.process.kill()
    stack.process.wait(10)
    assert eventually(lambda: stack.processes() == [], 5)
    again = stack_of(stack_config).start().wait_for("Ready in")
    assert again.end() == 0


def test_leftovers_without_a_guard_end_with_the_next_start(
    stack_of: Callable[[Config], Stack], stack_config: Config
) -> None:
    """Supervisor and guard killed in one blow: what hangs below the parts is left."""
    stack = stack_of(stack_config).start().wait_for("Ready in")
    assert stack.process
    guard = [child.pid for child in psutil.Process(stack.process.pid).children() if child.pid not in stack.processes()]
    for pid in [*guard, stack.process.pid]:
        os.kill(pid, signal.SIGKILL)
    stack.process.wait(10)
    left = set(stack.processes())
    again = stack_of(stack_config).start().wait_for("Ready in")
    assert not left & set(again.processes())
    assert again.end() == 0


def test_a_second_start_on_a_folder_is_one_line_and_status_2(
    stack_of: Callable[[Config], Stack], stack_config: Config
) -> None:
    first = stack_of(stack_config).start().wait_for("Ready in")
    assert first.process
    second = run("--config", str(first.file))
    assert second.returncode == 2
    assert str(first.process.pid) in second.stderr
    assert str(stack_config.data_dir) in second.stderr
    assert second.stderr.count("\n") == 1
    assert httpx.get(f"{load(stack_config.data_dir / 'stack.json').aws_url}/healthz").status_code == 200


@pytest.mark.parametrize(("option", "part"), [("--aws-port", "aws"), ("--s3-port", "s3")])
def test_a_taken_port_is_named_with_the_way_to_change_it(tmp_path: Path, option: str, part: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        other = "--s3-port" if option == "--aws-port" else "--aws-port"
        refused = run("--data-dir", str(tmp_path / "data"), option, port, other, "0")
    assert refused.returncode == 2
    assert refused.stderr.startswith("error: ")
    assert port in refused.stderr
    assert option in refused.stderr
    assert orphans.find(tmp_path / "data") == []


@pytest.mark.parametrize("ports", [("99999", "0"), ("-5", "0"), ("0", "x"), ("4566", "4566")])
def test_ports_that_cannot_be_are_refused_and_leave_nothing_behind(tmp_path: Path, ports: tuple[str, str]) -> None:
    aws, s3 = ports
    refused = run("--data-dir", str(tmp_path / "data"), f"--aws-port={aws}", f"--s3-port={s3}")
    assert refused.returncode == 2 and "Traceback" not in refused.stderr
    assert "port" in refused.stderr.splitlines()[-1]
    assert not (tmp_path / "data" / "stack.json").exists()


def test_what_cannot_be_the_data_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    refused = run("--data-dir", str(tmp_path / "file"), "--aws-port", "0", "--s3-port", "0")
    assert refused.returncode == 2
    assert "data folder" in refused.stderr and refused.stderr.count("\n") == 1


@pytest.mark.parametrize(("entry", "loaded"), [("penstock.__main__", "penstock.cli"), ("localaws.__main__", "boto3")])
def test_ctrl_c_while_modules_are_loaded_ends_without_a_traceback(entry: str, loaded: str) -> None:
    script = f"""
        import os, signal, sys
        class Interrupted:
            def find_spec(self, name, path=None, target=None):
                if name == {loaded!r}:
                    os.kill(os.getpid(), signal.SIGINT)
        sys.meta_path.insert(0, Interrupted())
        import {entry} as entry
        entry.main()
    """
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), "version"], capture_output=True, text=True, timeout=60
    )
    assert (ended.returncode, ended.stderr) == (-signal.SIGINT, "")


def test_a_part_that_does_not_start_shows_the_end_of_its_log(
    stack_of: Callable[[Config], Stack], stack_config: Config
) -> None:
    program = "import sys; print('the reason why'); sys.exit(3)"
    broken = ServiceProcess("broken", (sys.executable, "-c", program), {}, "http://127.0.0.1:1/")
    stack = stack_of(replace(stack_config, services=(broken,)))
    stack_config.logs_dir.mkdir(parents=True, exist_ok=True)
    (stack_config.logs_dir / "broken.log").write_text("said by an earlier start\n")
    stack.start()
    assert stack.process
    assert stack.process.wait(60) == 1
    assert "broken ended with 3" in stack.printed
    assert "earlier start" not in stack.printed
    assert "the reason why" in stack.printed
    assert "Traceback" not in stack.printed
    assert stack.processes() == []


def test_a_part_that_ignores_to_be_asked_is_killed(stack_of: Callable[[Config], Stack], stack_config: Config) -> None:
    program = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
    deaf = ServiceProcess("deaf", (sys.executable, "-c", program))
    stack = stack_of(replace(stack_config, services=(deaf,))).start().wait_for("Ready in")
    began = time.monotonic()
    assert stack.end(signal.SIGTERM) == 0
    assert time.monotonic() - began < 8
    assert stack.processes() == []


def test_ctrl_c_during_the_start_ends_everything(stack_of: Callable[[Config], Stack], stack_config: Config) -> None:
    never = ServiceProcess("never", (sys.executable, "-c", "import time; time.sleep(600)"), {}, "http://127.0.0.1:1/")
    stack = stack_of(replace(stack_config, services=(never,))).start()
    assert eventually(lambda: len(stack.processes()) >= 3, 30)
    assert stack.end() == 0
    assert stack.processes() == []


def test_secrets_are_in_no_argument_and_no_log(stack_of: Callable[[Config], Stack], stack_config: Config) -> None:
    stack = stack_of(stack_config).start().wait_for("Ready in")
    token = stack_config.webhook_token_file.read_text()
    shown = "".join(" ".join(psutil.Process(pid).cmdline()) for pid in stack.processes())
    assert stack.end() == 0
    shown += stack.printed + "".join(log.read_text(errors="replace") for log in stack_config.logs_dir.glob("*.log"))
    assert stack_config.credentials.secret_access_key not in shown
    assert token not in shown
    readable = [path for path in stack_config.data_dir.rglob("*") if path.is_file() and path.stat().st_mode & 0o077]
    assert readable == []


def test_alone_it_keeps_its_credentials(stack_of: Callable[[Config], Stack], stack_config: Config) -> None:
    arguments = ("--data-dir", str(stack_config.data_dir), "--aws-port", "0", "--s3-port", "0")
    stack = stack_of(stack_config).start(*arguments).wait_for("Ready in")
    first = load(stack_config.data_dir / "stack.json")
    stack.end()
    stack.start(*arguments).wait_for("Ready in")
    assert (
        load(stack_config.data_dir / "stack.json").credentials.secret_access_key == first.credentials.secret_access_key
    )
    assert stack.end() == 0


def test_a_log_that_grew_too_large_begins_anew(tmp_path: Path) -> None:
    log = tmp_path / "part.log"
    with log.open("ab") as writer:
        writer.write(b"x" * (LOG_BYTES + 1))
        writer.flush()
        _rotate(log)
        writer.write(b"afterwards\n")
    assert log.read_bytes() == b"afterwards\n"
    assert (tmp_path / "part.old.log").stat().st_size == LOG_BYTES + 1


def test_the_tail_of_a_log_is_its_last_lines(tmp_path: Path) -> None:
    log = tmp_path / "part.log"
    log.write_text("".join(f"line {number}\n" for number in range(5000)))
    assert tail(log).splitlines()[-1].strip() == "line 4999"
    assert len(tail(log).splitlines()) == 12
    assert "no log" in tail(tmp_path / "none.log")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "localaws", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
