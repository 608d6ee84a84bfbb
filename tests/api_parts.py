"""Parts that the tests of the control plane share."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from fastapi import FastAPI

from localaws.config import Credentials
from penstock.api.context import Context
from penstock.client import Client
from waiting import free_port as free_port
from waiting import until as until

API_KEY = "pk_of-the-tests"
EVENT_TOKEN = "event-token-of-the-tests"
EDGE_TOKEN = "edge-token-of-the-tests"
CREDENTIALS = Credentials("AKIAOFTHETESTS", "secret-of-the-tests")
CORS = {"AllowedOrigins": ["http://127.0.0.1:8080"], "AllowedMethods": ["PUT", "POST"], "AllowedHeaders": ["*"]}

UGLY_NAMES = {
    "spaces": "my holiday film.mp4",
    "plus": "a+b+c.mp4",
    "percent": "100%25 %2e%2e%2f.mp4",
    "dots": "../../etc/passwd",
    "only dots": "..",
    "slash": "folder/film.mp4",
    "backslash": "folder\\film.mp4",
    "newline": "film\nX-Evil: 1.mp4",
    "255 bytes of UTF-8": "影" * 83 + "ab.mp4",
    "right to left": "فيلم العائلة.mp4",
    "direction override": "film\u202e4pm.exe",
    "emoji": "🎬🎬.mov",
    "quotes": "a\"b'c`d.mp4",
    "markup": "<script>alert(1)</script>.mp4",
    "no extension": "film",
    "hidden": ".mp4",
    "long extension": "film." + "x" * 200,
    "accents": "crème brûlée.mp4",
}


class Clock:
    """A time that tests move."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.now

    def pass_s(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@dataclass
class Api:
    """The API as a server on a socket. `http` sends the API key."""

    app: FastAPI
    context: Context
    url: str
    http: httpx.Client
    client: Client

    def asset(self, file_name: str = "film.mp4", size_bytes: int = 10, **more: Any) -> dict[str, Any]:
        answer = self.http.post("/v1/assets", json={"file_name": file_name, "size_bytes": size_bytes, **more})
        assert answer.status_code == 201, answer.text
        return dict(answer.json())
