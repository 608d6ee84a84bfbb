"""Where the edge gets bytes: the S3 API for a private bucket, and plain HTTP for a server behind it.

Never follows a redirect, keeps a cookie, decodes a body or repeats what an origin said in an error. No query string of
a viewer reaches S3: `?versionId=` or `?response-content-type=` would speak with the edge's own rights.
"""

from __future__ import annotations

import errno
import logging
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from urllib.parse import quote, urlsplit

import httpx
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from localaws.edge.ranges import http_date

log = logging.getLogger(__name__)

KEEP_ALIVE_S = 3.0
"""Idle connections are given up before any usual server does (uvicorn: 5 s), so that no request meets a closing one."""


class OriginFailed(Exception):
    """The origin did not do its part. status: 502 bad answer, 503 no room at the edge, 504 no answer in time."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


@dataclass(frozen=True)
class Timeouts:
    """Seconds to wait for an origin."""

    connect_s: float = 2.0
    silence_s: float = 60.0
    """Between two pieces of an answer, or before the first."""

    def as_extension(self) -> dict[str, float]:
        return {"connect": self.connect_s, "read": self.silence_s, "write": self.silence_s, "pool": self.silence_s}


class HttpClient:
    """One pool of HTTP/1.1 connections to one origin, without a jar, redirects or the environment's proxies."""

    def __init__(self, base_url: str, *, timeouts: Timeouts, max_connections: int) -> None:
        parts = urlsplit(base_url)
        self._base = httpx.URL(f"{parts.scheme}://{parts.netloc}")
        self._prefix = parts.path.rstrip("/")
        self._timeouts = {"timeout": timeouts.as_extension()}
        limits = httpx.Limits(
            max_connections=max_connections, max_keepalive_connections=32, keepalive_expiry=KEEP_ALIVE_S
        )
        self._transport = httpx.AsyncHTTPTransport(limits=limits, trust_env=False)

    @property
    def authority(self) -> str:
        return self._base.netloc.decode("ascii")

    async def send(
        self,
        method: str,
        target: str,
        headers: Iterable[tuple[str, str]],
        content: AsyncIterator[bytes] | bytes | None = None,
    ) -> httpx.Response:
        """Send a request and return once the headers of the answer are here; the caller closes it.

        target: path and query in ASCII, percent-encoded, sent as it is. Raises OriginFailed.
        """
        url = self._base.copy_with(raw_path=(self._prefix + target).encode("ascii"))
        request = httpx.Request(method, url, headers=list(headers), content=content, extensions=self._timeouts)
        with translated():
            response = await self._transport.handle_async_request(request)
        response.request = request
        return response

    async def close(self) -> None:
        await self._transport.aclose()


@contextmanager
def translated() -> Iterator[None]:
    """Turn the HTTP client's errors and a full disk into OriginFailed; the one place where they are."""
    try:
        yield
    except httpx.TimeoutException as exc:
        raise OriginFailed(504, f"the origin did not answer in time ({type(exc).__name__})") from exc
    except httpx.HTTPError as exc:
        raise OriginFailed(502, f"the origin cannot be reached or broke off ({type(exc).__name__})") from exc
    except OSError as exc:
        if exc.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise
        raise OriginFailed(503, "no space left on the edge's disk") from exc


class NoObject(Enum):
    MISSING = "there is no such object, or the edge may not read it"
    UNCHANGED = "the object still has the ETag that was sent"


@dataclass(frozen=True)
class ObjectStream:
    """One object of the bucket on its way here. etag: quoted, as S3 sends it."""

    etag: str
    modified: datetime | None
    chunks: AsyncIterator[bytes]


class BucketOrigin:
    """Reads objects of one private bucket, signing with the edge's credentials (CloudFront: origin access control)."""

    def __init__(self, client: HttpClient, bucket: str, *, region: str, credentials: Credentials) -> None:
        self._client = client
        self._bucket = bucket
        self._signer = S3SigV4Auth(credentials, "s3", region)

    @asynccontextmanager
    async def open(self, object_key: str, known_etag: str | None = None) -> AsyncIterator[ObjectStream | NoObject]:
        """Ask for an object, unless it still has `known_etag`. Raises OriginFailed, also while its chunks are read."""
        response = await self._get(object_key, known_etag)
        who = f"S3, asked for the bucket {self._bucket},"
        async with _answer(response, known_etag, who) as answer:
            yield answer

    async def _get(self, object_key: str, known_etag: str | None) -> httpx.Response:
        target = quote(f"/{self._bucket}/{object_key}", safe="/-._~")
        request = AWSRequest("GET", f"http://{self._client.authority}{target}")
        if known_etag:
            request.headers["If-None-Match"] = known_etag
        self._signer.add_auth(request)
        headers = [("host", self._client.authority), *request.headers.items()]
        try:
            return await self._client.send("GET", target, headers)
        except OriginFailed as exc:
            if exc.status != 502:
                raise
            return await self._client.send("GET", target, headers)


class ServerOrigin:
    """Reads files of another server, with headers that only the edge knows (CloudFront: custom origin headers)."""

    def __init__(self, client: HttpClient, headers: Iterable[tuple[str, str]]) -> None:
        self._client = client
        self._headers = list(headers)

    @asynccontextmanager
    async def open(self, object_key: str, known_etag: str | None = None) -> AsyncIterator[ObjectStream | NoObject]:
        """As BucketOrigin does it; `object_key` is the path without its first slash."""
        headers = [("host", self._client.authority), *self._headers]
        if known_etag:
            headers.append(("if-none-match", known_etag))
        response = await self._client.send("GET", quote(f"/{object_key}", safe="/-._~"), headers)
        async with _answer(response, known_etag, self._client.authority) as answer:
            yield answer


Origin = BucketOrigin | ServerOrigin


@asynccontextmanager
async def _answer(response: httpx.Response, known_etag: str | None, who: str) -> AsyncIterator[ObjectStream | NoObject]:
    """What an origin's answer means; the response is closed at the end. who: for the log."""
    try:
        if response.status_code == 200:
            yield ObjectStream(
                etag=_ascii(response.headers.get("etag", "")),
                modified=http_date(response.headers.get("last-modified")),
                chunks=response.aiter_raw(),
            )
        elif response.status_code == 304 and known_etag:
            yield NoObject.UNCHANGED
        elif response.status_code in {400, 403, 404}:  # 400: a name that no object can have
            if response.status_code == 403:
                log.warning("%s refuses the edge; are its credentials and headers right?", who)
            yield NoObject.MISSING
        else:
            raise OriginFailed(502, f"the origin answered {response.status_code}")
    finally:
        await response.aclose()


def _ascii(text: str) -> str:
    return text if text.isascii() and text.isprintable() else ""
