"""Opens what a manifest names: files, S3 objects and web addresses, as pieces of local files.

What is not local is fetched into a folder of the caller's, streamed. Never follows a redirect, a symbolic link out of
the folder that was asked for, or anything else that the caller did not name.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from penstock.errors import InvalidRequest, ManifestError, NotFound, UpstreamError
from penstock.formats import references
from penstock.formats.movie import Readable
from penstock.formats.presentation import Part
from penstock.upstream import translated

CHUNK_BYTES = 2**20
READ_AHEAD_BYTES = 2**16
MAX_PART_BYTES = 1 << 40
_TIMEOUT = httpx.Timeout(60, connect=10)
_MISSING = (404, 410)


@dataclass(frozen=True)
class Piece:
    """Bytes `start` to `end` (excluded) of a local file. `origin`: where byte 0 of the original would lie in it."""

    path: Path
    start: int
    end: int
    origin: int = 0


@dataclass(frozen=True)
class Window:
    """A piece as a Readable: offsets are those of the local file."""

    descriptor: int
    size_bytes: int

    def read(self, offset: int, length: int) -> bytes:
        return os.pread(self.descriptor, max(0, min(length, self.size_bytes - offset)), offset)


@contextmanager
def opened(path: Path) -> Iterator[Window]:
    """Open a local file to read at any place. Raises InvalidRequest when it cannot be opened, or is no regular file."""
    try:
        # O_NONBLOCK changes nothing about a file, and opening a pipe would wait for somebody who writes to it.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as exc:
        raise InvalidRequest(f"{path} cannot be read: {exc.strerror}") from exc
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise InvalidRequest(f"{path} is not a regular file")
        yield Window(descriptor, found.st_size)
    finally:
        os.close(descriptor)


def location_of(address: str) -> str:
    """A path, s3://bucket/key or web address as a location. Raises InvalidRequest for anything else."""
    scheme = address.partition("://")[0].lower() if "://" in address else ""
    if scheme == "":
        return references.location("file", "", os.path.abspath(address))  # noqa: PTH100 - resolve() would follow links
    if scheme == "s3":
        bucket, _, key = address[5:].partition("/")
        if not bucket or not key:
            raise InvalidRequest(f"{address[:80]!r} is no S3 address; expected s3://bucket/key")
        return references.location("s3", bucket, f"/{key}")
    if scheme in ("http", "https"):
        if not urlsplit(address).hostname or urlsplit(address).username is not None:
            raise InvalidRequest("a web address has a host name, and no user name or password in it")
        return address
    raise InvalidRequest(f"{address[:80]!r}: expected a path, an s3:// or an https address")


class Places:
    """Reads locations. `spool` is a folder for what is fetched; whoever makes it removes it."""

    def __init__(self, spool: Path, *, within: str, s3: Any = None) -> None:
        """within: folder, a location with a slash at its end, that local files must really lie in. s3: a client."""
        self._spool = spool
        self._root = Path(references.path_of(within)).resolve() if within.startswith("file:") else None
        self._s3 = s3
        self._http: httpx.Client | None = None
        self._count = 0
        self._kept: dict[Part, Piece] = {}

        self._stack = ExitStack()

    def close(self) -> None:
        self._stack.close()
        if self._http is not None:
            self._http.close()

    @property
    def local(self) -> bool:
        """Whether everything lies on this machine."""
        return self._root is not None

    def readable(self, url: str) -> Readable:
        """Open a file to read at any place, until `close`. Raises NotFound when it is missing."""
        if self.local:
            return self._stack.enter_context(opened(self._local(Part(url)).path))
        return _Ranged(self, url, self._size_bytes(url))

    def range(self, url: str, first_byte: int, last_byte: int) -> bytes:
        return b"".join(self._stream(Part(url, first_byte, last_byte)))

    def _size_bytes(self, url: str) -> int:
        if url.startswith("s3:"):
            with translated(f"looking at {shown(url)}"):
                found = self._s3.head_object(Bucket=urlsplit(url).netloc, Key=references.path_of(url)[1:])
                return int(found["ContentLength"])
        try:
            response = self._client().head(url, headers={"Accept-Encoding": "identity"})
        except httpx.HTTPError as exc:
            raise UpstreamError(f"{shown(url)} cannot be fetched: {type(exc).__name__}") from exc
        _check(response, Part(url))
        length = response.headers.get("Content-Length", "")
        if not length.isdigit():
            raise UpstreamError(f"{shown(url)}: the server does not tell its length")
        return int(length)

    def document(self, url: str, limit_bytes: int) -> bytes:
        """Read what the caller named, which may lie anywhere and be a link. Raises as `text` does."""
        if not url.startswith("file:"):
            return self.text(url, limit_bytes)
        path = Path(references.path_of(url))
        if not path.exists():
            raise NotFound(f"{path} is missing")
        with opened(path) as window:
            if window.size_bytes > limit_bytes:
                raise ManifestError(f"{path} has more than {limit_bytes} bytes")
            return window.read(0, limit_bytes)

    def text(self, url: str, limit_bytes: int) -> bytes:
        """Read a small file whole. Raises NotFound, UpstreamError, ManifestError when it has more than the limit."""
        collected = bytearray()
        for chunk in self._stream(Part(url)):
            collected += chunk
            if len(collected) > limit_bytes:
                raise ManifestError(f"{shown(url)} has more than {limit_bytes} bytes")
        return bytes(collected)

    def keep(self, part: Part) -> Piece:
        """Make one part local and remember it: `pieces` will not fetch it again. Raises NotFound."""
        if part not in self._kept:
            local = part.url.startswith("file:")
            self._kept[part] = self._local(part) if local else self._fetched(part, self.new_file())
        return self._kept[part]

    def pieces(self, parts: Iterator[Part]) -> Iterator[Piece]:
        """Make parts local, in order; parts that are fetched go one behind the other into one file.

        A part that is missing ends the pieces when it may be missing, and raises NotFound when not.
        """
        spooled: Path | None = None
        for part in parts:
            try:
                if part.url.startswith("file:") or part in self._kept:
                    yield self._kept.get(part) or self._local(part)
                    continue
                if spooled is None:
                    spooled = self.new_file()
                yield self._fetched(part, spooled)
            except NotFound:
                if not part.certain:
                    return
                raise

    def new_file(self) -> Path:
        """A name in the spool folder that nobody has."""
        self._count += 1
        return self._spool / f"{self._count:06}"

    def _local(self, part: Part) -> Piece:
        path = self._inside(part.url)
        try:
            found = path.stat()
        except FileNotFoundError:
            raise NotFound(f"{shown(part.url)} is missing") from None
        except OSError as exc:
            raise InvalidRequest(f"{path} cannot be read: {exc.strerror}") from exc
        if not stat.S_ISREG(found.st_mode):
            raise InvalidRequest(f"{path} is not a regular file")
        if not found.st_size:
            raise ManifestError(f"{shown(part.url)} is empty (0 bytes)")
        end = found.st_size if part.last_byte is None else part.last_byte + 1
        if not part.first_byte < end <= found.st_size:
            size = found.st_size
            raise ManifestError(f"{shown(part.url)} has {size} bytes; the manifest names {part.first_byte} to {end}")
        return Piece(path, part.first_byte, end)

    def _inside(self, url: str) -> Path:
        path = Path(references.path_of(url))
        with suppress(OSError, RuntimeError):
            path = path.resolve()
        if self._root is None or not path.is_relative_to(self._root):
            raise ManifestError(f"{shown(url)} is a link that leads out of {self._root}")
        return path

    def _fetched(self, part: Part, spooled: Path) -> Piece:
        with spooled.open("ab") as file:
            start = file.tell()
            size = 0
            for chunk in self._stream(part):
                size += len(chunk)
                if size > MAX_PART_BYTES:
                    raise ManifestError(f"{shown(part.url)} does not end")
                file.write(chunk)
        if part.last_byte is not None and size != part.last_byte - part.first_byte + 1:
            raise ManifestError(f"{shown(part.url)}: {size} bytes came, where the manifest names a range of others")
        return Piece(spooled, start, start + size, start - part.first_byte)

    def _stream(self, part: Part) -> Iterator[bytes]:
        scheme = urlsplit(part.url).scheme
        if scheme == "file":
            piece = self._local(part)
            with opened(piece.path) as window:
                for offset in range(piece.start, piece.end, CHUNK_BYTES):
                    yield window.read(offset, min(CHUNK_BYTES, piece.end - offset))
        elif scheme == "s3":
            yield from self._object(part)
        else:
            yield from self._web(part)

    def _object(self, part: Part) -> Iterator[bytes]:
        bucket, key = urlsplit(part.url).netloc, references.path_of(part.url)[1:]
        try:
            with translated(f"reading {shown(part.url)}"):
                answer = self._s3.get_object(Bucket=bucket, Key=key, **_range(part))
                with closing(answer["Body"]) as body:
                    yield from body.iter_chunks(CHUNK_BYTES)
        except NotFound:
            raise NotFound(f"{shown(part.url)} is missing") from None

    def _client(self) -> httpx.Client:
        if self._http is None:
            self._http = httpx.Client(timeout=_TIMEOUT, follow_redirects=False, trust_env=False)
        return self._http

    def _web(self, part: Part) -> Iterator[bytes]:
        headers = _range(part) | {"Accept-Encoding": "identity"}
        try:
            with self._client().stream("GET", part.url, headers=headers) as response:
                _check(response, part)
                yield from response.iter_raw(CHUNK_BYTES)
        except httpx.HTTPError as exc:
            raise UpstreamError(f"{shown(part.url)} cannot be fetched: {type(exc).__name__}") from exc


class _Ranged:
    """A distant file as a Readable. Reads ahead, since boxes lie side by side."""

    def __init__(self, places: Places, url: str, size_bytes: int) -> None:
        self._places, self._url, self._size = places, url, size_bytes
        self._start, self._held = 0, b""

    @property
    def size_bytes(self) -> int:
        return self._size

    def read(self, offset: int, length: int) -> bytes:
        end = min(offset + length, self._size)
        if end <= offset:
            return b""
        if not self._start <= offset <= end <= self._start + len(self._held):
            last = min(max(end, offset + READ_AHEAD_BYTES), self._size) - 1
            self._start, self._held = offset, self._places.range(self._url, offset, last)
        return self._held[offset - self._start : end - self._start]


def _range(part: Part) -> dict[str, str]:
    if part.first_byte == 0 and part.last_byte is None:
        return {}
    last = "" if part.last_byte is None else part.last_byte
    return {"Range": f"bytes={part.first_byte}-{last}"}


def _check(response: httpx.Response, part: Part) -> None:
    """Raise unless the answer is the bytes that were asked for."""
    name = shown(part.url)
    if response.status_code in _MISSING:
        raise NotFound(f"{name} is missing (HTTP {response.status_code})")
    if response.is_redirect:
        raise UpstreamError(f"{name} is a redirect, which is not followed; name the address it leads to")
    if not response.is_success:
        raise UpstreamError(f"{name} was refused (HTTP {response.status_code})")
    if _range(part) and response.status_code != 206:
        raise UpstreamError(f"{name}: the server gave the whole file where a range was asked for")


def shown(url: str) -> str:
    """A location for people, without its query, which may be a signature."""
    parts = urlsplit(url)
    return references.path_of(url) if parts.scheme == "file" else f"{parts.scheme}://{parts.netloc}{parts.path}"
