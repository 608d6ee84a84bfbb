"""Where webhooks may go: nowhere into our own network, however the address is spelled."""

from __future__ import annotations

import asyncio
import ipaddress

import pytest

from penstock.errors import InvalidRequest
from penstock.webhooks import targets

PRIVATE = [
    "https://127.0.0.1/",
    "https://127.1/",
    "https://2130706433/",
    "https://0x7f000001/",
    "https://0/",
    "https://0.0.0.0/",
    "https://localhost/",
    "https://10.1.2.3:8443/hook",
    "https://172.16.0.1/",
    "https://192.168.1.1/",
    "https://169.254.169.254/latest/meta-data/",
    "https://100.64.0.1/",
    "https://[::1]/",
    "https://[::]/",
    "https://[::ffff:127.0.0.1]/",
    "https://[::ffff:7f00:1]/",
    "https://[64:ff9b::7f00:1]/",
    "https://[2002:7f00:1::]/",
    "https://[fe80::1]/",
    "https://[fc00::1]/",
    "https://[fec0::1]/",
]
NEVER = [
    "",
    "x",
    "example.com/hook",
    "ftp://example.com/",
    "file:///etc/passwd",
    "https://",
    "https://user:word@example.com/",
    "https://@127.0.0.1/",
    "https://example.com/#part",
    "https://example.com:0x50/",
    "https://example.com:99999/",
    "https://[::1/",
    "https://exa mple.com/",
    "https://example.com/\r\nX-Evil: 1",
    "https://exämple.com/",
    "https://224.0.0.1/",
    "https://[ff02::1]/",
    "https://example.com/" + "a" * 2048,
]


@pytest.mark.parametrize("url", PRIVATE)
def test_private_addresses_are_refused(url: str) -> None:
    with pytest.raises(InvalidRequest, match="public"):
        targets.admit(url, private=False)


@pytest.mark.parametrize("url", [*NEVER, "http://8.8.8.8/"])
def test_what_is_no_address_of_a_webhook_is_refused(url: str) -> None:
    with pytest.raises(InvalidRequest):
        targets.admit(url, private=False)


@pytest.mark.parametrize("url", NEVER)
def test_no_setting_allows_those(url: str) -> None:
    with pytest.raises(InvalidRequest):
        targets.admit(url, private=True)


def test_a_setting_allows_private_addresses_and_plain_http() -> None:
    for url in ("http://127.0.0.1:3000/hook?a=b", "https://192.168.1.1/", "http://[::1]:80/"):
        targets.admit(url, private=True)


def test_connection_goes_to_the_address_that_was_checked() -> None:
    target = targets.read("https://localhost:8443/hook?a=b", private=True)
    address = asyncio.run(targets.resolve(target, private=True))
    assert address.is_loopback
    assert target.at(ipaddress.ip_address("203.0.113.5")) == "https://203.0.113.5:8443/hook?a=b"
    assert target.at(ipaddress.ip_address("2001:db8::1")) == "https://[2001:db8::1]:8443/hook?a=b"
    assert target.authority == "localhost:8443"
    assert targets.read("https://[2a00::1]/", private=False).authority == "[2a00::1]"
    with pytest.raises(InvalidRequest):
        asyncio.run(targets.resolve(target, private=False))


def test_public_addresses_are_admitted() -> None:
    for url in ("https://8.8.8.8/", "https://[2606:4700::1111]/hook"):
        targets.admit(url, private=False)
