"""What sessions are bound to: who is the one that is meant, and how it is written into a token."""

from __future__ import annotations

from typing import Any

import cbor2
import pytest

from penstock.errors import BadSignature, InvalidRequest
from penstock.formats import binding, tokens
from penstock.formats.binding import UNBOUND, Binding, Viewer
from penstock.formats.tokens import PathClaims

KEY = b"b" * 43
THUMBPRINT = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"
EVERYTHING = Binding("203.0.113.7/24", 64500, "CH", binding.hash_of("Firefox"), THUMBPRINT)
MEANT = Viewer("203.0.113.99", 64500, "CH", "Firefox")


def claims(bound: Binding = UNBOUND, **more: Any) -> PathClaims:
    return PathClaims("s", "/a/", 2_000_000_000, 1_800_000_000, binding=bound, **more)


def test_who_is_meant_is_let_in_and_nobody_else() -> None:
    assert EVERYTHING.refusal(MEANT) is None
    assert UNBOUND.refusal(Viewer("")) is None
    for other in (
        Viewer("203.0.114.99", 64500, "CH", "Firefox"),
        Viewer("203.0.113.99", 64501, "CH", "Firefox"),
        Viewer("203.0.113.99", None, "CH", "Firefox"),
        Viewer("203.0.113.99", 64500, "ch", "Firefox"),
        Viewer("203.0.113.99", 64500, None, "Firefox"),
        Viewer("203.0.113.99", 64500, "CH", "curl/8"),
        Viewer("nowhere", 64500, "CH", "Firefox"),
    ):
        assert EVERYTHING.refusal(other)


def test_ipv4_in_ipv6_is_the_same_address_and_families_do_not_mix() -> None:
    assert Binding("203.0.113.0/24").refusal(Viewer("::ffff:203.0.113.1")) is None
    assert Binding("2001:db8::/32").refusal(Viewer("2001:db8::1")) is None
    assert Binding("2001:db8::/32").refusal(Viewer("203.0.113.1"))


@pytest.mark.parametrize(
    "members",
    [
        {"network": "everywhere"},
        {"network": "203.0.113.0/33"},
        {"asn": 0},
        {"asn": 2**32},
        {"country": "ch"},
        {"country": "CHE"},
        {"country": "CH\n"},
        {"user_agent_sha256": b"short"},
        {"key_thumbprint": "short"},
    ],
)
def test_what_nothing_can_be_bound_to_is_refused(members: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest):
        Binding(**members)


@pytest.mark.parametrize("bound", [UNBOUND, EVERYTHING, Binding(country="CH"), Binding(key_thumbprint=THUMBPRINT)])
def test_token_says_what_it_is_bound_to(bound: Binding) -> None:
    made = claims(bound, serial=4711, pace_key=b"12345678", speed=2.5, manifests=("main.mpd", "main.m3u8"))
    token = tokens.mint_path(made, KEY, "k")
    assert tokens.verify_path(token, {"k": KEY}, 1_900_000_000) == made
    assert len(token) < tokens.MAX_TOKEN_CHARS // 2


@pytest.mark.parametrize(
    "told",
    [
        {binding.BINDING: {9: 1}},
        {binding.BINDING: {1: 5}},
        {binding.BINDING: {1: "everywhere"}},
        {binding.BINDING: {2: True}},
        {binding.BINDING: []},
        {binding.CONFIRMATION: {}},
        {binding.CONFIRMATION: {"jkt": THUMBPRINT, "more": 1}},
        {binding.CONFIRMATION: {1: {}}},
        {binding.CONFIRMATION: {"jkt": "short"}},
        {-65537: {}},
        {-65537: {1: 1, 9: 1}},
        {-65537: {1: 1, 2: b"12345678", 3: 0, 4: []}},
        {-65537: {1: 1, 2: b"12345678", 3: 100, 4: [1]}},
        {-70000: 1},
    ],
)
def test_token_that_says_more_than_is_understood_is_refused(told: dict[int, Any]) -> None:
    payload = {312: {3: {1: "/a/"}}, 4: 2_000_000_000, 6: 1_800_000_000, 7: b"s", **told}
    framed = cbor2.dumps(cbor2.dumps(payload, canonical=True))
    raw = tokens._frame("k") + framed + tokens._TAG_HEAD + tokens._mac(KEY, framed)
    with pytest.raises(BadSignature):
        tokens.verify_path(tokens._encode(raw), {"k": KEY}, 1_900_000_000)
