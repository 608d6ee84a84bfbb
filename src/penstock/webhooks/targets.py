"""Which addresses a webhook may go to: none of our own machine or network, unless a setting allows it. Opens none.

The name is resolved here and the connection goes to the address that was checked, so that a name cannot lead elsewhere
between the two (DNS rebinding). Registered ranges: RFC 6890 and the IANA special-purpose address registries.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from penstock.errors import InvalidRequest

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
MAX_URL_CHARS = 2048


@dataclass(frozen=True)
class Target:
    """A webhook's URL, taken apart."""

    scheme: str
    host: str
    port: int
    path: str
    """With the query, as it goes into the request line."""

    @property
    def authority(self) -> str:
        """The Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        usual = {"http": 80, "https": 443}[self.scheme]
        return host if self.port == usual else f"{host}:{self.port}"

    def at(self, address: IpAddress) -> str:
        """The URL of the same thing at one address of its host."""
        host = f"[{address}]" if address.version == 6 else str(address)
        return f"{self.scheme}://{host}:{self.port}{self.path}"


def read(url: str, *, private: bool) -> Target:
    """Take a URL apart; raises InvalidRequest for one that no webhook may go to.

    private: also plain http, and addresses that only this network knows.
    """
    if len(url) > MAX_URL_CHARS or not url.isascii() or not url.isprintable() or " " in url:
        raise InvalidRequest(f"the address of a webhook has at most {MAX_URL_CHARS} ASCII characters and no spaces")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as exc:
        raise InvalidRequest("the address of a webhook is an https URL; this one cannot be read") from exc
    if parts.scheme != "https" and not (private and parts.scheme == "http"):
        raise InvalidRequest("the address of a webhook begins with https:// (http:// only between private addresses)")
    if not host or parts.username is not None or parts.password is not None or parts.fragment:
        raise InvalidRequest("the address of a webhook has a host, and neither user, password nor fragment")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    target = Target(parts.scheme, host, port or (443 if parts.scheme == "https" else 80), path)
    if (literal := _literal(target.host)) is not None:
        check(literal, private=private)
    return target


def check(address: IpAddress, *, private: bool) -> None:
    """Raises InvalidRequest for an address that no webhook may go to."""
    inner = _inner(address)
    local = not inner.is_global or (inner.version == 6 and inner.is_site_local)
    if inner.is_multicast or inner.is_unspecified or (local and not private):
        raise InvalidRequest(
            f"{address} is not a public address; PENSTOCK_WEBHOOK_PRIVATE_TARGETS lets webhooks go to private ones"
        )


def admit(url: str, *, private: bool) -> None:
    """Refuse a URL as early as can be: raises InvalidRequest. A name that nobody knows yet may become known."""
    target = read(url, private=private)
    try:
        answers = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return
    _checked(answers, private=private)


async def resolve(target: Target, *, private: bool) -> IpAddress:
    """The address to connect to. Raises InvalidRequest when any of the name's is refused, OSError when it has none."""
    loop = asyncio.get_running_loop()
    try:
        answers = await loop.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    except UnicodeError as exc:
        raise OSError("no name of a host") from exc
    return _checked(answers, private=private)


def _checked(answers: Sequence[tuple[Any, ...]], *, private: bool) -> IpAddress:
    found = [ipaddress.ip_address(str(answer[4][0]).partition("%")[0]) for answer in answers]
    for address in found:
        check(address, private=private)
    return found[0]


def _literal(host: str) -> IpAddress | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _inner(address: IpAddress) -> IpAddress:
    """The IPv4 address inside of an IPv6 address that only wraps one, else itself."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(address.packed[12:])
    return address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None) or address
