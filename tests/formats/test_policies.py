"""Policies: wildcards against a slow but obvious matcher, round trips, values that no policy can have."""

from __future__ import annotations

import time
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import FormatError, InvalidRequest
from penstock.formats import policies
from penstock.formats.policies import Policy, covers


def obviously_covers(pattern: str, text: str) -> bool:
    @cache
    def rest(p: int, t: int) -> bool:
        if p == len(pattern):
            return t == len(text)
        if pattern[p] == "*":
            return rest(p + 1, t) or (t < len(text) and rest(p, t + 1))
        return t < len(text) and pattern[p] in ("?", text[t]) and rest(p + 1, t + 1)

    return rest(0, 0)


@given(st.text("ab*?", max_size=12), st.text("ab?*", max_size=12))
def test_wildcards_match_what_an_obvious_matcher_matches(pattern: str, text: str) -> None:
    assert covers(pattern, text) is obviously_covers(pattern, text)


@pytest.mark.parametrize(
    ("pattern", "url", "expected"),
    [
        ("http*://h/a/*", "https://h/a/b/c?d=e", True),
        ("http://h/a.b", "http://h/axb", False),
        ("http://h/a?b", "http://h/a?b", True),
        ("http://h/(a)[b]{1}+$^|\\", "http://h/(a)[b]{1}+$^|\\", True),
        ("*", "", True),
        ("?", "", False),
        ("", "", True),
        ("a*", "ba", False),
        ("*a", "ab", False),
        ("http://h/a", "http://h/a\n", False),
    ],
)
def test_patterns(pattern: str, url: str, expected: bool) -> None:
    assert covers(pattern, url) is expected


@pytest.mark.parametrize(
    "pattern", ["*a" * 2000 + "b", "a*" * 2000 + "b", "*" * 4000 + "b", "*?" * 2000 + "b", "?" * 4000 + "*b"]
)
def test_no_pattern_makes_the_matcher_crawl(pattern: str) -> None:
    """An exponential or cubic matcher would need hours; the bound is loose so that no busy machine trips over it."""
    started = time.process_time()
    assert covers(pattern, "a" * policies.MAX_URL_CHARS) is False
    assert time.process_time() - started < 5


@given(
    resource=st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=200),
    expires=st.integers(1, 10**11 - 1),
    not_before=st.none() | st.integers(1, 10**11 - 1),
    source_ip=st.none() | st.ip_addresses().map(str),
)
def test_what_is_written_is_read(resource: str, expires: int, not_before: int | None, source_ip: str | None) -> None:
    policy = Policy(resource, expires, not_before, source_ip)
    read = policies.read(policies.custom(policy))
    assert (read.resource, read.expires, read.not_before) == (resource, expires, not_before)
    assert (read.source_ip is None) is (source_ip is None)
    assert read.source_ip is None or read.source_ip.split("/")[0] == source_ip


@given(st.binary() | st.text('{}[]":,0123Statement').map(str.encode))
def test_reading_bytes_raises_nothing_else(document: bytes) -> None:
    with pytest.raises((FormatError, InvalidRequest)):
        policies.read(document)


def test_true_is_no_moment() -> None:
    document = b'{"Statement":[{"Condition":{"DateLessThan":{"AWS:EpochTime":true}}}]}'
    with pytest.raises(FormatError, match="whole number"):
        policies.read(document)


@pytest.mark.parametrize(
    "arguments",
    [
        {"resource": "", "expires": 1},
        {"resource": "a\tb", "expires": 1},
        {"resource": "ä", "expires": 1},
        {"resource": "a" * 9000, "expires": 1},
        {"resource": "a", "expires": 0},
        {"resource": "a", "expires": 10**11},
        {"resource": "a", "expires": 1, "not_before": -1},
        {"resource": "a", "expires": 1, "source_ip": "everywhere"},
        {"resource": "a", "expires": 1, "source_ip": ""},
    ],
)
def test_values_that_no_policy_can_have(arguments: dict) -> None:
    with pytest.raises(InvalidRequest):
        Policy(**arguments)
