"""A real S3 server, and an AWS endpoint whose MediaConvert takes jobs, remembers them and encodes nothing.

For tests of who starts how many jobs and when: each conversion would cost seconds of encoding. Every request is a real
one, signed, validated by botocore's model on both sides. Whole conversions are the flow tests' business.
"""

from __future__ import annotations

import contextlib
import copy
import itertools
import json
import socket
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import uvicorn

from localaws import objectstore
from localaws.config import Bucket, Config, Credentials
from localaws.wire import Service, ServiceError, application
from mediapackage_stand import RememberingMediaPackage
from penstock.settings import Clients, Settings, clients

CREDENTIALS = Credentials("AKIAOFTHESTAND", "secret-of-the-stand")
SOURCE, MEDIA = "penstock-source", "penstock-media"

PROBED = {
    "Container": {
        "Format": "mp4",
        "Duration": 5.0,
        "Tracks": [
            {
                "Index": 1,
                "TrackType": "video",
                "Codec": "AVC",
                "VideoProperties": {"Width": 320, "Height": 180, "FrameRate": {"Numerator": 25, "Denominator": 1}},
            },
            {"Index": 2, "TrackType": "audio", "Codec": "AAC", "AudioProperties": {"Channels": 2, "SampleRate": 48000}},
        ],
    }
}


class RememberingMediaConvert:
    """Jobs stay SUBMITTED until a test ends them. As on AWS, a token is remembered for a while only: never, here."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.forget()

    def forget(self) -> None:
        self.jobs: dict[str, dict[str, Any]] = {}
        self.probed: dict[str, Any] = copy.deepcopy(PROBED)
        self.refusal: ServiceError | None = None
        self.fails: dict[str, ServiceError] = {}
        """Operation -> what it answers instead."""
        self._numbers = itertools.count(1)

    def create_job(self, params: dict[str, Any]) -> dict[str, Any]:
        self._maybe_fail("create_job")
        with self._lock:
            number = next(self._numbers)
            kept = ("Role", "Settings", "UserMetadata", "ClientRequestToken", "Queue", "Priority")
            job = {name: params[name] for name in kept if name in params}
            job |= {"Id": f"{number:013d}-stand1", "Status": "SUBMITTED", "CreatedAt": datetime.now(UTC)}
            self.jobs[job["Id"]] = job
            return {"Job": job}

    def get_job(self, params: dict[str, Any]) -> dict[str, Any]:
        self._maybe_fail("get_job")
        if params["Id"] not in self.jobs:
            raise ServiceError("NotFoundException", "no such job")
        return {"Job": self.jobs[params["Id"]]}

    def list_jobs(self, params: dict[str, Any]) -> dict[str, Any]:
        found = sorted(self.jobs.values(), key=lambda job: job["Id"], reverse=params.get("Order") == "DESCENDING")
        start, size = int(params.get("NextToken") or 0), params.get("MaxResults") or 2
        page: dict[str, Any] = {"Jobs": found[start : start + size]}
        if start + size < len(found):
            page["NextToken"] = str(start + size)
        return page

    def cancel_job(self, params: dict[str, Any]) -> dict[str, Any]:
        self.jobs[params["Id"]]["Status"] = "CANCELED"
        return {}

    def probe(self, params: dict[str, Any]) -> dict[str, Any]:
        self._maybe_fail("probe")
        return {"ProbeResults": [self.probed]}

    def _maybe_fail(self, operation: str) -> None:
        if operation in self.fails:
            raise self.fails[operation]


class RememberingEvents:
    """Keeps what is put on the bus."""

    def __init__(self) -> None:
        self.put: list[tuple[str, dict[str, Any]]] = []

    def put_events(self, params: dict[str, Any]) -> dict[str, Any]:
        self.put += [(entry["DetailType"], json.loads(entry["Detail"])) for entry in params["Entries"]]
        return {"FailedEntryCount": 0, "Entries": [{"EventId": "e"} for _ in params["Entries"]]}


@dataclass
class Stand:
    """`clients` and `settings` as an arrow is handed them."""

    clients: Clients
    settings: Settings
    mediaconvert: RememberingMediaConvert
    events: RememberingEvents
    mediapackage: RememberingMediaPackage
    environment: dict[str, str] = field(default_factory=dict)

    def upload(self, object_key: str, body: bytes = b"film") -> str:
        """Put a source; returns its ETag without quotes."""
        return str(self.clients.s3.put_object(Bucket=SOURCE, Key=object_key, Body=body)["ETag"]).strip('"')

    def keys(self, bucket: str, prefix: str = "") -> list[str]:
        pages = self.clients.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        return [item["Key"] for page in pages for item in page.get("Contents", ())]

    def told(self, kind: str) -> list[dict[str, Any]]:
        return [detail for name, detail in self.events.put if name == kind]

    def live_jobs(self) -> list[dict[str, Any]]:
        return [job for job in self.mediaconvert.jobs.values() if job["Status"] != "CANCELED"]

    def empty(self) -> None:
        for bucket in (SOURCE, MEDIA):
            for key in self.keys(bucket):
                self.clients.s3.delete_object(Bucket=bucket, Key=key)
        self.mediaconvert.forget()
        self.mediapackage.forget()
        self.events.put.clear()


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Stand]:
    """Start both servers on free ports; they end with the context."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        [s3_port] = objectstore.free_ports(1)
        config = Config(folder, CREDENTIALS, buckets=(Bucket(SOURCE), Bucket(MEDIA)))
        config = config.with_ports(s3=s3_port, aws=listener.getsockname()[1])
        mediaconvert, events, mediapackage = RememberingMediaConvert(), RememberingEvents(), RememberingMediaPackage()
        mediapackage.base = config.aws_url
        with _object_store(config), _endpoint(config, listener, mediaconvert, mediapackage, events):
            objectstore.create_buckets(config)
            environment = {
                "AWS_ENDPOINT_URL": config.aws_url,
                "AWS_ENDPOINT_URL_S3": config.s3_url,
                "AWS_ACCESS_KEY_ID": CREDENTIALS.access_key_id,
                "AWS_SECRET_ACCESS_KEY": CREDENTIALS.secret_access_key,
                "AWS_DEFAULT_REGION": config.region,
                "AWS_REGION": config.region,
            }
            with _environment(environment):
                made = clients(boto3.Session())
            try:
                yield Stand(made, Settings(), mediaconvert, events, mediapackage, environment)
            finally:
                for client in vars(made).values():
                    client.close()


@contextlib.contextmanager
def _object_store(config: Config) -> Iterator[None]:
    server = objectstore.prepare(config)
    process = subprocess.Popen(server.argv, cwd=server.cwd, env=server.env, stderr=subprocess.DEVNULL)
    try:
        waiting = threading.Event()
        for _ in range(300):
            if objectstore.ready(server):
                break
            assert process.poll() is None, "the S3 server ended"
            waiting.wait(0.1)
        yield
    finally:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(5)
        objectstore.clean_up(server)


@contextlib.contextmanager
def _endpoint(
    config: Config,
    listener: socket.socket,
    mediaconvert: object,
    mediapackage: RememberingMediaPackage,
    events: object,
) -> Iterator[None]:
    services = [
        Service("mediaconvert", mediaconvert),
        Service("mediapackage-vod", mediapackage),
        Service("events", events),
    ]
    server = uvicorn.Server(
        uvicorn.Config(
            application(services, config.credentials, [mediapackage.route()]),
            log_level="warning",
            lifespan="off",
            ws="none",
        )
    )
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(10)


@contextlib.contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    import os

    before = dict(os.environ)
    os.environ.update(values)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
