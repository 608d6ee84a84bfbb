"""Fetches inputs by http and https: streamed, bounded, from addresses that anybody may reach. Never follows two hops.

A job names the address, so this machine could be made to ask its own services or its network for it: every name is
resolved here, every address that it has must be public, and the connection goes to that address and no other. Networks
of one's own are let in by name (`input_networks`). No cookies, no credentials, no proxy of the environment.
Source: MediaConvert user guide, "HTTP input requirements" (HEAD and ranges, one redirect by 301 or 302, public);
"Error codes", 3400 and following.
"""

from __future__ import annotations

import ipaddress
import logging
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Event
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx

from localaws.media import addresses
from localaws.media.addresses import AddressRefused
from localaws.media.failures import DISALLOWED, HTTP_CONNECT, HTTP_SERVER, JobCanceled, JobError

log = logging.getLogger(__name__)

MOST_BYTES = 1 << 40
SLOWEST_BYTES_PER_S = 1 << 14
MOST_DROPS, MOST_IN_VAIN = 20, 4
"""How often a file is asked for again in all, and one time after the other without a byte of it."""
FIRST_PAUSE_S = 0.2
_TIMEOUT = httpx.Timeout(30.0, connect=10.0)
_STATUSES = {400: 3400, 401: 3401, 403: 3403, 404: 3404, 408: 3408}
_REDIRECTS = (301, 302)


class _Dropped(JobError):
    """A connection that was not made or that broke; another may hold."""


class Web:
    """The web as a job may read it."""

    def __init__(self, networks: Sequence[str] = ()) -> None:
        """networks: addresses that are not public, and may be read from nevertheless."""
        self._networks = [ipaddress.ip_network(network) for network in networks]

    def head(self, uri: str, cancel: Event) -> dict[str, Any]:
        """ContentLength in bytes and ETag of a file; without an ETag its date and size stand for it.

        Raises JobError 3457 for an address that is not public, 3451 for one that does not answer, 3400 and following
        for what the server answers; JobCanceled.
        """
        with self._asked("HEAD", uri, {}, cancel) as answer:
            size = answer.headers.get("content-length", "")
            if not size.isdigit() or not 0 < int(size) <= MOST_BYTES:
                raise JobError(HTTP_SERVER, f"{uri} does not say how long it is, which a Content-Length header does")
            return {"ContentLength": int(size), "ETag": _version(answer)}

    def read(self, uri: str, head: dict[str, Any], done: int, cancel: Event) -> Iterator[bytes]:
        """The bytes of a file from `done` on, asked for again where a connection ends before they do.

        Raises what `head` raises, and JobError 3450 for another file, 3451 for a server that goes on dropping.
        """
        position, drops, in_vain = done, 0, 0
        while True:
            before, reason = position, "the connection ended before the file did"
            try:
                for chunk in self._read_on(uri, head, position, cancel):
                    position += len(chunk)
                    yield chunk
            except _Dropped as exc:
                reason = exc.message
            if position >= head["ContentLength"]:
                return
            drops, in_vain = drops + 1, in_vain + 1 if position == before else 0
            if drops > MOST_DROPS or in_vain > MOST_IN_VAIN:
                raise JobError(HTTP_CONNECT, f"{uri} cannot be read to its end: {reason}; asked {drops} times")
            log.info("an input comes to byte %d and no further (%s), asking again", position, reason)
            if cancel.wait(min(FIRST_PAUSE_S * 2**in_vain, 5.0)):
                raise JobCanceled

    def _read_on(self, uri: str, head: dict[str, Any], position: int, cancel: Event) -> Iterator[bytes]:
        """The bytes from `position` on, by one request. Raises _Dropped for a connection that breaks."""
        etag = str(head["ETag"])
        rest = {"Range": f"bytes={position}-", **({"If-Range": etag} if etag.startswith('"') else {})}
        with self._asked("GET", uri, rest if position else {}, cancel) as answer:
            skipped = _skipped(uri, head, position, answer)
            started, got = time.monotonic(), 0
            # As it comes: bytes that wait for a chunk to be full are lost when the connection breaks.
            for chunk in answer.iter_raw():
                got += len(chunk)
                if cancel.is_set():
                    raise JobCanceled
                if position - skipped + got > head["ContentLength"]:
                    raise JobError(HTTP_SERVER, f"{uri} is longer than its server said")
                waited_s = time.monotonic() - started
                if waited_s > 60 and got < waited_s * SLOWEST_BYTES_PER_S:
                    raise JobError(HTTP_CONNECT, f"{uri} comes too slowly: {got} bytes in {waited_s:.0f} s")
                if got > skipped:
                    yield chunk[-(got - skipped) :]

    @contextmanager
    def _asked(self, method: str, uri: str, headers: dict[str, str], cancel: Event) -> Iterator[httpx.Response]:
        """Ask, and ask where the answer points to, once."""
        if cancel.is_set():
            raise JobCanceled
        with httpx.Client(timeout=_TIMEOUT, trust_env=False, follow_redirects=False) as client:
            try:
                answer = self._send(client, method, uri, headers)
                if answer.status_code in _REDIRECTS:
                    answer.close()
                    answer = self._send(client, method, _pointed(uri, answer), headers)
                with _closing(answer):
                    if answer.status_code >= 300:
                        code = _STATUSES.get(answer.status_code, HTTP_SERVER)
                        raise JobError(code, f"{uri} was answered with status {answer.status_code}")
                    yield answer
            except httpx.HTTPError as exc:
                raise _Dropped(HTTP_CONNECT, f"{uri} cannot be read: {type(exc).__name__}") from exc

    def _send(self, client: httpx.Client, method: str, uri: str, headers: dict[str, str]) -> httpx.Response:
        parts = urlsplit(uri)
        host = parts.hostname or ""
        pinned = self._address(uri, host, parts.port or (443 if parts.scheme == "https" else 80))
        shown = f"[{pinned}]" if ":" in pinned else pinned
        port = f":{parts.port}" if parts.port else ""
        request = client.build_request(
            method,
            f"{parts.scheme}://{shown}{port}{parts.path or '/'}",
            headers={"Host": parts.netloc, "Accept-Encoding": "identity", **headers},
            # The certificate must be the name's, though the connection goes to an address.
            extensions={"sni_hostname": host},
        )
        return client.send(request, stream=True)

    def _address(self, uri: str, host: str, port: int) -> str:
        """The address to connect to. All that the name has must be allowed: which one answers is not ours to choose."""
        try:
            found = [str(one[4][0]) for one in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
        except OSError as exc:
            raise JobError(HTTP_CONNECT, f"{uri}: the host has no address") from exc
        for address in found:
            if not self._allowed(address):
                raise JobError(DISALLOWED, f"{uri}: the host is not a public one; input_networks can let it in")
        return found[0]

    def _allowed(self, address: str) -> bool:
        parsed = ipaddress.ip_address(address.partition("%")[0])
        mapped = getattr(parsed, "ipv4_mapped", None) or getattr(parsed, "sixtofour", None)
        parsed = mapped or parsed
        if any(parsed.version == network.version and parsed in network for network in self._networks):
            return True
        return parsed.is_global and not parsed.is_multicast


def _version(answer: httpx.Response) -> str:
    """What tells one version of a file from another: its ETag, else its date and size."""
    fallback = f"{answer.headers.get('last-modified', '')}/{answer.headers.get('content-length', '')}"
    return str(answer.headers.get("etag", fallback))


def _skipped(uri: str, head: dict[str, Any], position: int, answer: httpx.Response) -> int:
    """How many bytes of an answer are known already: all up to `position` where a server does not know ranges."""
    if answer.status_code == 206 and position:
        if not answer.headers.get("content-range", "").startswith(f"bytes {position}-"):
            raise JobError(HTTP_SERVER, f"{uri} was answered with another range than the one that was asked for")
        return 0
    if answer.status_code == 200 and (not position or _version(answer) == head["ETag"]):
        return position
    raise JobError(HTTP_SERVER, f"{uri} changed while it was read; submit the job again")


def _pointed(uri: str, answer: httpx.Response) -> str:
    """Where a redirect leads: an address as an input may be, and never from https to http."""
    target = str(urljoin(uri, answer.headers.get("location", "")))
    try:
        scheme = addresses.source_address(target)
    except AddressRefused as exc:
        raise JobError(HTTP_SERVER, f"{uri} points to an address that cannot be read: {exc}") from exc
    if scheme == "s3" or (uri.startswith("https:") and scheme != "https"):
        raise JobError(HTTP_SERVER, f"{uri} points away from https")
    return target


@contextmanager
def _closing(answer: httpx.Response) -> Iterator[None]:
    try:
        yield
    finally:
        answer.close()
