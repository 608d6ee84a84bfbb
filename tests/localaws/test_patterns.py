"""Event patterns: what they match, and what is no pattern."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from localaws import patterns
from penstock.errors import InvalidRequest

DETAIL = {"assetId": "a", "percent": 50, "names": ["x", "y"]}
EVENT = {"source": "penstock", "detail-type": "Asset Published", "detail": DETAIL}


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ({"source": ["penstock"]}, True),
        ({"source": ["other", "penstock"]}, True),
        ({"source": ["other"]}, False),
        ({"detail": {"assetId": [{"prefix": "a"}]}}, True),
        ({"detail": {"assetId": [{"suffix": "b"}]}}, False),
        ({"detail": {"assetId": [{"anything-but": "b"}]}}, True),
        ({"detail": {"assetId": [{"anything-but": ["a", "b"]}]}}, False),
        ({"detail": {"assetId": [{"anything-but": {"prefix": "a"}}]}}, False),
        ({"detail": {"missing": [{"anything-but": "b"}]}}, False),
        ({"detail": {"missing": [{"exists": False}]}}, True),
        ({"detail": {"assetId": [{"exists": True}]}}, True),
        ({"missing": {"deeper": [{"exists": False}]}}, True),
        ({"missing": {"deeper": ["x"]}}, False),
        ({"detail": {"percent": [{"numeric": [">", 0, "<=", 50]}]}}, True),
        ({"detail": {"percent": [{"numeric": ["<", 50]}]}}, False),
        ({"detail": {"percent": ["50"]}}, False),
        ({"detail": {"names": ["y"]}}, True),
        ({"detail": {"names": ["z"]}}, False),
        ({"detail-type": [{"wildcard": "Asset *ish*"}]}, True),
        ({"detail-type": [{"equals-ignore-case": "asset published"}]}, True),
        ({"source": ["penstock"], "detail": {"assetId": ["b"]}}, False),
    ],
)
def test_patterns_match_as_eventbridge_has_it(pattern: dict[str, Any], expected: bool) -> None:
    patterns.check(pattern)
    assert patterns.matches(pattern, EVENT) is expected


@pytest.mark.parametrize(
    "pattern",
    [
        {},
        [],
        {"source": "penstock"},
        {"source": []},
        {"source": [["a"]]},
        {"source": [{"like": "a"}]},
        {"source": [{"prefix": "a", "suffix": "b"}]},
        {"source": [{"prefix": 1}]},
        {"source": [{"exists": "yes"}]},
        {"source": [{"numeric": [">"]}]},
        {"source": [{"numeric": ["!", 1]}]},
        {"source": [{"numeric": [">", True]}]},
        {"source": [{"anything-but": {"numeric": [">", 1]}}]},
        {"$or": [{"source": ["a"]}]},
    ],
)
def test_what_is_no_pattern_is_refused(pattern: Any) -> None:
    with pytest.raises(InvalidRequest, match="pattern"):
        patterns.check(pattern)


@given(st.text("ab*", max_size=8), st.text("ab", max_size=10))
@settings(max_examples=300)
def test_wildcards_match_what_the_regular_expression_matches(wildcard: str, text: str) -> None:
    expected = re.fullmatch(".*".join(map(re.escape, wildcard.split("*"))), text) is not None
    assert patterns.matches({"a": [{"wildcard": wildcard}]}, {"a": text}) is expected


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=10,
)


@given(ANYTHING)
@settings(max_examples=200)
def test_no_event_upsets_a_pattern(event: Any) -> None:
    pattern = {"source": ["a", {"prefix": "b"}, {"numeric": [">", 1]}], "detail": {"x": [{"anything-but": "c"}]}}
    assert patterns.matches(pattern, event) in (True, False)
