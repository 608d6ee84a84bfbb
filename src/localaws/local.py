"""A stack of localaws for programs: the variables that AWS clients read, and a stack that lasts as long as a test.

Starts nothing inside the calling process.
"""

from __future__ import annotations

import collections
import contextlib
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config as ClientConfig

from localaws import config as configuration
from localaws.config import Config
from penstock.errors import NotFound, Unavailable


@dataclass(frozen=True)
class Local:
    """A running stack."""

    config: Config

    @property
    def environment(self) -> dict[str, str]:
        """Variables that point every AWS SDK and the AWS CLI at this stack."""
        return environment(self.config)

    def client(self, service: str, **options: Any) -> Any:
        """A boto3 client of this stack, whatever the environment says."""
        return boto3.client(
            service,
            endpoint_url=self.config.s3_url if service == "s3" else self.config.aws_url,
            region_name=self.config.region,
            aws_access_key_id=self.config.credentials.access_key_id,
            aws_secret_access_key=self.config.credentials.secret_access_key,
            config=ClientConfig(s3={"addressing_style": "path"}),
            **options,
        )


def find(data_dir: Path) -> Config:
    """What the stack on a data folder was started with. Raises NotFound where none ever was."""
    file = data_dir.resolve() / "stack.json"
    if not file.exists():
        raise NotFound(f"no stack was started on {data_dir}; `python -m localaws --data-dir {data_dir}` starts one")
    return configuration.load(file)


def environment(config: Config) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL": config.aws_url,
        "AWS_ENDPOINT_URL_S3": config.s3_url,
        "AWS_ACCESS_KEY_ID": config.credentials.access_key_id,
        "AWS_SECRET_ACCESS_KEY": config.credentials.secret_access_key,
        "AWS_DEFAULT_REGION": config.region,
        "AWS_REGION": config.region,
    }


def exports(variables: Mapping[str, str]) -> str:
    """Shell lines that set `variables`, safe to `eval`."""
    return "\n".join(f"export {name}={shlex.quote(value)}" for name, value in variables.items())


@contextlib.contextmanager
def running(data_dir: Path) -> Iterator[Local]:
    """Run a stack on free ports for as long as the context lasts; give each test run a folder of its own.

    Raises Unavailable with what it printed when it does not become ready.
    """
    command = [sys.executable, "-m", "localaws", "--data-dir", str(data_dir), "--aws-port", "0", "--s3-port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    try:
        printed = []
        for line in process.stdout:
            printed.append(line)
            if line.startswith("Ready"):
                break
        else:
            raise Unavailable(f"localaws did not start: {''.join(printed)}")
        # Nobody may have to wait because a pipe is full.
        threading.Thread(target=collections.deque, args=(process.stdout, 0), daemon=True).start()
        yield Local(find(data_dir))
    finally:
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(15)
        if process.poll() is None:
            process.kill()
            process.wait()
        process.stdout.close()
