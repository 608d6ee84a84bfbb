"""Requests passed on to a server behind the edge, and its answers passed back as they come.

Never passes on what concerns one connection alone, CloudFront's own cookies and parameters, or addresses that a viewer
claims for itself. A viewer who leaves ends the request at the origin, too.
Source: RFC 9110, section 7.6; Amazon CloudFront Developer Guide, "Request and response behavior for custom origins".
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from localaws.edge.answers import SERVER, Headers, refuse, sendable
from localaws.edge.authorize import without_signing_cookies
from localaws.edge.cache import GRACE_S, WRITE_BYTES
from localaws.edge.origins import HttpClient, OriginFailed, translated

MAX_BODY_BYTES = 10 * 2**20
MAX_HEADER_CHARS = 32 * 1024
BODY_SILENCE_S = 30.0
WHOLE_BYTES = 2**20
"""Answers up to this size are read before the first byte goes out, so that a break in them is an error one can see."""

_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})
_HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
_NOT_TO_ORIGIN = _HOP_BY_HOP | {"expect", "forwarded", "host", "x-real-ip"}
_NOT_TO_VIEWER = _HOP_BY_HOP | {"server"}


class BodyRefused(Exception):
    """The request's body is too large (413) or comes too slowly (408)."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class ViewerGone(Exception):
    """Nobody is there any more to take the answer."""


@dataclass(frozen=True)
class Forwarded:
    """A request as the origin is to see it. target: path and query in ASCII; headers: all that the viewer sent."""

    method: str
    target: str
    headers: Headers
    host: str
    scheme: str
    client_ip: str


class Proxy:
    """Passes requests on to one origin."""

    def __init__(self, client: HttpClient, spool: Path) -> None:
        """spool: folder for answers too large to be kept in memory; emptied by whoever owns it."""
        self._client = client
        self._spool = spool
        self._running: set[asyncio.Task[int]] = set()
        spool.mkdir(parents=True, exist_ok=True, mode=0o700)

    def stop(self) -> None:
        """End every request that is under way; streams would otherwise go on for as long as both sides like."""
        for task in self._running:
            task.cancel()

    async def forward(self, protocol: Any, request: Forwarded) -> int:
        """Pass a request on and its answer back; returns the status. Raises OriginFailed, ViewerGone, BodyRefused."""
        if request.method not in _METHODS:
            return refuse(protocol, 405, request.method)
        if sum(len(name) + len(value) for name, value in request.headers) > MAX_HEADER_CHARS:
            return refuse(protocol, 431, request.method)
        return await self._while_listening(protocol, self._forward(protocol, request))

    async def _forward(self, protocol: Any, request: Forwarded) -> int:
        body = _body(protocol, request.headers)
        response = await self._client.send(request.method, request.target, _to_origin(request), body)
        try:
            return await self._answer(protocol, request.method, response)
        finally:
            await response.aclose()

    async def _answer(self, protocol: Any, method: str, response: httpx.Response) -> int:
        status, headers = response.status_code, _to_viewer(response)
        length = response.headers.get("content-length", "")
        if method == "HEAD" or status in {204, 304} or length == "0":
            protocol.response_empty(status, headers)
        elif not length.isdecimal():
            await self._stream(protocol, status, headers, response)
        elif int(length) <= WHOLE_BYTES:
            with translated():
                protocol.response_bytes(status, headers, b"".join([chunk async for chunk in response.aiter_raw()]))
        else:
            protocol.response_file(status, headers, str(await self._spooled(response)))
        return status

    async def _stream(self, protocol: Any, status: int, headers: Headers, response: httpx.Response) -> None:
        transport = protocol.response_stream(status, headers)
        with translated():
            async for chunk in response.aiter_raw():
                try:
                    await transport.send_bytes(chunk)
                except RuntimeError as exc:  # the server's way to say that the connection is closed
                    raise ViewerGone from exc

    async def _spooled(self, response: httpx.Response) -> Path:
        """Save a large answer. The server takes whole streams into memory when a viewer reads slowly, but not files."""
        with translated(), tempfile.NamedTemporaryFile(dir=self._spool, delete=False) as file:
            path = Path(file.name)
            try:
                async for chunk in response.aiter_raw(WRITE_BYTES):
                    await asyncio.to_thread(file.write, chunk)
            except BaseException:
                path.unlink(missing_ok=True)
                raise
        asyncio.get_running_loop().call_later(GRACE_S, path.unlink, True)
        return path

    async def _while_listening(self, protocol: Any, work: Coroutine[Any, Any, int]) -> int:
        """Do the work, but no longer than the viewer's connection lasts."""
        task = asyncio.create_task(work)
        self._running.add(task)
        gone = asyncio.ensure_future(protocol.client_disconnect())
        try:
            await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not task.done() or task.cancelled():
                raise ViewerGone
            return task.result()
        finally:
            self._running.discard(task)
            gone.cancel()
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, OriginFailed, BodyRefused, ViewerGone):
                await task


def _body(protocol: Any, headers: Headers) -> AsyncIterator[bytes] | None:
    lengths = [value for name, value in headers if name == "content-length"]
    if lengths and int(lengths[0]) > MAX_BODY_BYTES:
        raise BodyRefused(413)
    if lengths == ["0"] or not (lengths or any(name == "transfer-encoding" for name, _ in headers)):
        return None
    return _chunks(protocol)


async def _chunks(protocol: Any) -> AsyncIterator[bytes]:
    """The request's body. Granian ends it with one empty piece, and puts another before that when it broke off."""
    total_bytes = empty_pieces = 0
    pieces = aiter(protocol)
    while True:
        try:
            async with asyncio.timeout(BODY_SILENCE_S):
                piece = await anext(pieces)
        except StopAsyncIteration:
            if empty_pieces > 1:
                raise ViewerGone from None
            return
        except TimeoutError as exc:
            raise BodyRefused(408) from exc
        total_bytes += len(piece)
        if total_bytes > MAX_BODY_BYTES:
            raise BodyRefused(413)
        empty_pieces += not piece
        if piece:
            yield piece


def _to_origin(request: Forwarded) -> Headers:
    dropped = _NOT_TO_ORIGIN | _named_by_connection(request.headers)
    headers = [("host", request.host)]
    for name, value in request.headers:
        if name in dropped or name.startswith("x-forwarded-"):
            continue
        if name == "cookie" and not (value := without_signing_cookies(value)):
            continue
        headers.append((name, value))
    return [*headers, ("x-forwarded-for", request.client_ip), ("x-forwarded-proto", request.scheme)]


def _to_viewer(response: httpx.Response) -> Headers:
    received = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in response.headers.raw]
    dropped = _NOT_TO_VIEWER | _named_by_connection(received)
    headers = (sendable(name, value) for name, value in received if name not in dropped)
    return [SERVER, *(header for header in headers if header)]


def _named_by_connection(headers: Headers) -> set[str]:
    return {part.strip().lower() for name, value in headers if name == "connection" for part in value.split(",")}
