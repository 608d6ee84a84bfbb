"""The frame around every request: an id, headers, a body cap, one log line, the last catch. Reads no body itself."""

from __future__ import annotations

import logging
import time
import uuid

from fastapi import HTTPException
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from penstock.api.errors import REQUEST_ID, response

MAX_BODY_BYTES = 2**20

log = logging.getLogger("penstock.api")
access = logging.getLogger("penstock.api.access")

# What a log would be full of, and nobody would look for.
_ASKED_EACH_SECOND = {"/healthz", "/internal/revocations", "/internal/signals"}
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",  # a watch address names a playback session
    "X-Frame-Options": "DENY",
}


class Frame:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = scope[REQUEST_ID] = uuid.uuid4().hex
        reply = _Reply(send, request_id)
        began = time.monotonic()
        try:
            await self._app(scope, _capped(scope, receive), reply)
        except Exception:
            log.exception("%s failed", request_id)
            if reply.status is None:
                last_word = response(request_id, 500, "internal_error", "something failed here; the log says what")
                await last_word(scope, receive, reply)
        took_ms = (time.monotonic() - began) * 1000
        level = logging.DEBUG if scope["path"] in _ASKED_EACH_SECOND and reply.status == 200 else logging.INFO
        access.log(
            level, "%s %s %s %s %.1f ms", request_id, scope["method"], _printable(scope["path"]), reply.status, took_ms
        )


class _Reply:
    """`send` that adds our headers and remembers the status."""

    def __init__(self, send: Send, request_id: str) -> None:
        self._send = send
        self.request_id = request_id
        self.status: int | None = None

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers["X-Request-Id"] = self.request_id
            headers.setdefault("Cache-Control", "no-store")
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
        await self._send(message)


def _capped(scope: Scope, receive: Receive) -> Receive:
    announced = dict(scope["headers"]).get(b"content-length", b"0")
    too_large = announced.isdigit() and int(announced[:20]) > MAX_BODY_BYTES
    received = 0

    async def capped() -> Message:
        nonlocal received
        if too_large:
            raise HTTPException(413)  # FastAPI's own: any other kind it would call a body that cannot be parsed
        message = await receive()
        received += len(message.get("body", b""))
        if received > MAX_BODY_BYTES:
            raise HTTPException(413)
        return message

    return capped


def _printable(path: str) -> str:
    return path[:200].encode("ascii", "backslashreplace").decode().replace("\n", "\\n").replace("\r", "\\r")
