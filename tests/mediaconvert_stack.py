"""An S3 server and the AWS endpoint as processes of their own, to be killed at will."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import psutil
from botocore.config import Config as ClientConfig

from localaws import config as configuration
from localaws import objectstore
from localaws.config import Bucket, Config, Credentials, Ports
from mediaconvert_speke import ACCESS_KEY_ID, SECRET

Json = dict[str, Any]
ENDED = ("COMPLETE", "ERROR", "CANCELED")


class Stack:
    def __init__(self, folder: Path, database_url: str | None = None) -> None:
        """database_url: hands the jobs to engines that share it, and runs none."""
        aws, s3, spare, other = objectstore.free_ports(4)
        self.config = Config(
            folder,
            Credentials(ACCESS_KEY_ID, SECRET),
            ports=Ports(aws=aws, s3=s3, edge=spare, api=other),
            buckets=(Bucket("source"), Bucket("media")),
            input_networks=("127.0.0.0/8",),
            database_url=database_url,
        )
        folder.mkdir(parents=True, exist_ok=True)
        self._file = folder / "stack.json"
        self._file.write_text(json.dumps(configuration.dump(self.config)))
        self._log = (folder / "endpoint.log").open("ab")
        self._server: subprocess.Popen[bytes] | None = None
        self.endpoint: subprocess.Popen[bytes] | None = None
        self.engines: list[subprocess.Popen[bytes]] = []
        keys = {"aws_access_key_id": ACCESS_KEY_ID, "aws_secret_access_key": SECRET, "region_name": "us-east-1"}
        no_retries = ClientConfig(retries={"total_max_attempts": 1})
        self.mediaconvert: Any = boto3.client(
            "mediaconvert", endpoint_url=self.config.aws_url, config=no_retries, **keys
        )
        self.s3: Any = objectstore.client(self.config)

    def start(self) -> None:
        self.start_store()
        self.start_endpoint()

    def start_store(self) -> None:
        server = objectstore.prepare(self.config)
        objectstore.clean_up(server)
        with (self.config.data_dir / "store.log").open("ab") as log:
            self._server = subprocess.Popen(server.argv, cwd=server.cwd, env=server.env, stdout=log, stderr=log)
        wait_for(lambda: objectstore.ready(server), 30)

    def kill_store(self) -> None:
        assert self._server is not None
        self._server.kill()
        self._server.wait()

    def start_endpoint(self) -> None:
        command = [sys.executable, "-m", "localaws.endpoint", "--config", str(self._file)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        self.endpoint = subprocess.Popen(command, stdout=self._log, stderr=self._log, env=environment)
        wait_for(lambda: objectstore.answers(f"{self.config.aws_url}/healthz"), 30)

    def kill_endpoint(self) -> None:
        assert self.endpoint is not None
        self.endpoint.send_signal(signal.SIGKILL)
        self.endpoint.wait()

    def end_endpoint(self) -> int:
        assert self.endpoint is not None
        self.endpoint.send_signal(signal.SIGTERM)
        return self.endpoint.wait(15)

    def start_engine(self, name: str, *command: str, **variables: str) -> subprocess.Popen[bytes]:
        """An engine of the shared database, with a folder of its own; `command` starts it."""
        folder = self.config.data_dir / name
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **variables}
        process = subprocess.Popen(
            [*command, "--data-dir", str(folder)], stdout=self._log, stderr=self._log, env=environment
        )
        self.engines.append(process)
        return process

    def stop(self) -> None:
        for process in (*self.engines, self.endpoint, self._server):
            if process is not None and process.poll() is None:
                process.kill()
                process.wait()
        self._log.close()
        self.mediaconvert.close()
        self.s3.close()

    def submit(self, settings: Json, **members: Any) -> Json:
        request = {"Role": "arn:aws:iam::000000000000:role/MediaConvert", "Settings": settings, **members}
        job: Json = self.mediaconvert.create_job(**request)["Job"]
        return job

    def job(self, job_id: str) -> Json:
        job: Json = self.mediaconvert.get_job(Id=job_id)["Job"]
        return job

    def finished(self, job_id: str, timeout_s: float = 60) -> Json:
        wait_for(lambda: self.job(job_id)["Status"] in ENDED, timeout_s)
        return self.job(job_id)

    def objects(self, prefix: str) -> dict[str, int]:
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket="media", Prefix=prefix)
        return {item["Key"]: item["Size"] for page in pages for item in page.get("Contents", ())}

    def events(self, job_id: str) -> list[Json]:
        """What was put on the bus about a job, in the order of its state changes."""
        path = self.config.state_dir / "events.db"
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
            rows = database.execute("SELECT envelope FROM events ORDER BY put_at").fetchall()
        found = [json.loads(row[0]) for row in rows]
        return [event for event in found if event["detail"].get("jobId") == job_id]

    def work(self) -> list[Path]:
        folder = self.config.state_dir / "work"
        return [path for path in folder.iterdir() if not path.name.startswith(".")] if folder.is_dir() else []

    def log(self) -> str:
        return (self.config.data_dir / "endpoint.log").read_text(errors="replace")

    def encoders(self, of: subprocess.Popen[bytes] | None = None) -> list[psutil.Process]:
        """ffmpeg and packager processes below the endpoint, or below an engine."""
        parent = of or self.endpoint
        assert parent is not None
        try:
            children = psutil.Process(parent.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []
        return [child for child in children if _runs_media(child)]


def _runs_media(process: psutil.Process) -> bool:
    try:
        return any("/ffmpeg" in part or "/packager" in part for part in process.cmdline())
    except psutil.Error:
        return False


def outlived(processes: list[psutil.Process], timeout_s: float) -> list[psutil.Process]:
    """Those that still run after `timeout_s`; one that has ended and waits to be reaped by a slow init does not."""
    left = psutil.wait_procs(processes, timeout=timeout_s)[1]
    return [process for process in left if _runs_media(process)]


def wait_for(condition: Callable[[], Any], timeout_s: float) -> None:
    """Return when `condition` holds; fail when it does not in time."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"did not happen within {timeout_s} s"
        time.sleep(0.02)


@contextlib.contextmanager
def running(folder: Path, database_url: str | None = None) -> Iterator[Stack]:
    stack = Stack(folder, database_url)
    try:
        stack.start()
        yield stack
    finally:
        stack.stop()
