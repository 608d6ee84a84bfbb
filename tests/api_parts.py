"""Parts that the tests of the control plane share."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from localaws.config import Credentials
from penstock.api.context import Context
from penstock.client import Client

API_KEY = "pk_of-the-tests"
EVENT_TOKEN = "event-token-of-the-tests"
CREDENTIALS = Credentials("AKIAOFTHETESTS", "secret-of-the-tests")
CORS = {"AllowedOrigins": ["http://127.0.0.1:8080"], "AllowedMethods": ["PUT", "POST"], "AllowedHeaders": ["*"]}


class Clock:
    """A time that tests move."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.now

    def pass_s(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def until(happened: Callable[[], bool], within_s: float = 10) -> None:
    """Wait for something another process or thread does and no event tells of."""
    deadline = time.monotonic() + within_s
    while not happened():
        assert time.monotonic() < deadline, f"{happened} did not happen within {within_s} s"
        time.sleep(0.05)


@dataclass
class Api:
    """The API as a server on a socket. `http` sends the API key."""

    context: Context
    url: str
    http: httpx.Client
    client: Client

    def asset(self, file_name: str = "film.mp4", size_bytes: int = 10, **more: Any) -> dict[str, Any]:
        answer = self.http.post("/v1/assets", json={"file_name": file_name, "size_bytes": size_bytes, **more})
        assert answer.status_code == 201, answer.text
        return dict(answer.json())
