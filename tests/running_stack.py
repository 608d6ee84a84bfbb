"""A complete stack as a user starts it: `penstock up` on a folder of its own and free ports."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import boto3
import httpx
import psutil
from botocore.config import Config

from penstock.client import Client

PENSTOCK = str(Path(sys.executable).with_name("penstock"))
READY_WITHIN_S = 60


class RunningStack:
    """Starts, stops and kills one stack; `env` is what `penstock env` prints."""

    def __init__(self, data_dir: Path, **settings: str) -> None:
        self.data_dir = data_dir
        self.settings = settings
        self.process: subprocess.Popen[str] | None = None
        self.printed: list[str] = []
        self.env: dict[str, str] = {}

    def start(self) -> RunningStack:
        command = [PENSTOCK, "up", "--data-dir", str(self.data_dir), "--port", "0", "--aws-port", "0", "--s3-port", "0"]
        environ = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "PENSTOCK_"))} | self.settings
        self.output = self.data_dir.with_suffix(".out")
        with self.output.open("w") as output:
            self.process = subprocess.Popen(
                command, env=environ, stdout=output, stderr=subprocess.STDOUT, text=True, start_new_session=True
            )
        self._wait_until_ready()
        return self

    def _wait_until_ready(self) -> None:
        """The edge forwards a health check to the API only when all parts are up."""
        assert self.process
        deadline = time.monotonic() + READY_WITHIN_S
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise AssertionError(f"penstock up ended with {self.process.returncode}:\n{self.output.read_text()}")
            if "Ready" in self.output.read_text():
                self.env = json.loads(run([PENSTOCK, "env", "--json", "--data-dir", str(self.data_dir)]).stdout)
                return
            time.sleep(0.05)  # no event tells across processes; the deadline bounds it
        raise AssertionError(f"not ready within {READY_WITHIN_S} s:\n{self.output.read_text()}")

    def stop(self) -> int:
        """Ctrl-C, as a terminal sends it; returns the exit status."""
        assert self.process
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(20)

    def kill_everything(self) -> None:
        """kill -9 of every process of the stack, the supervisor first."""
        for process in self.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        assert self.process
        self.process.wait(10)

    def processes(self) -> list[psutil.Process]:
        """The supervisor and all that came from it, found by the data folder in their environment or command line."""
        assert self.process
        if self.process.poll() is not None:
            return []
        supervisor = psutil.Process(self.process.pid)
        return [supervisor, *supervisor.children(recursive=True)]

    @property
    def client(self) -> Client:
        return Client(self.env["PENSTOCK_URL"], self.env["PENSTOCK_API_KEY"])

    def aws(self, service: str) -> Any:
        endpoint = self.env["AWS_ENDPOINT_URL_S3" if service == "s3" else "AWS_ENDPOINT_URL"]
        return boto3.client(
            service,
            endpoint_url=endpoint,
            region_name=self.env["AWS_DEFAULT_REGION"],
            aws_access_key_id=self.env["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.env["AWS_SECRET_ACCESS_KEY"],
            config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 2}),
        )

    def cli(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return run([PENSTOCK, *arguments], env=os.environ | self.env, check=check)

    def wait_for(self, asset_id: str, *states: str, within_s: float = 120) -> dict[str, Any]:
        """The asset once it is in one of `states` (default: ended either way)."""
        states = states or ("published", "failed")
        deadline = time.monotonic() + within_s
        asset: dict[str, Any] = {}
        url = f"{self.env['PENSTOCK_URL']}/v1/assets/{asset_id}"
        while time.monotonic() < deadline:
            with contextlib.suppress(httpx.TransportError):  # a part that was killed is on its way back
                response = httpx.get(url, headers=self.bearer, timeout=10)
                if response.is_success and (asset := response.json())["state"] in states:
                    return asset
            time.sleep(0.1)
        raise AssertionError(f"asset {asset_id} did not reach {states} within {within_s} s: {asset}\n{self.logs()}")

    @property
    def bearer(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.env['PENSTOCK_API_KEY']}"}

    def logs(self, lines: int = 15) -> str:
        """The ends of all logs, for the message of a failed test."""
        files = sorted((self.data_dir / "logs").glob("*.log"))
        return "\n".join(
            f"--- {f.name}\n" + "\n".join(f.read_text(errors="replace").splitlines()[-lines:]) for f in files
        )


def run(command: list[str], check: bool = True, **options: Any) -> subprocess.CompletedProcess[str]:
    result = subprocess.run(command, capture_output=True, text=True, timeout=options.pop("timeout", 120), **options)
    if check and result.returncode:
        raise AssertionError(f"{command[:3]} ended with {result.returncode}:\n{result.stdout}\n{result.stderr}")
    return result


def strip_ansi(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text)
