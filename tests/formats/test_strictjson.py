"""Strict JSON: everything that the standard library would let through or fall over."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import FormatError
from penstock.formats import strictjson

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


@given(values)
def test_json_is_read(value: object) -> None:
    assert strictjson.loads(json.dumps(value).encode(), max_bytes=10**6) == value


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"{",
        b"{} {}",
        b"NaN",
        b"[Infinity]",
        b"[-Infinity]",
        b'{"a": 1, "a": 1}',
        b'{"a": {"b": 1, "b": 2}}',
        b'{"a": 1, "\\u0061": 2}',
        b"[" * 900_000,
        b'{"a":' * 100_000,
        b"9" * 5000,
        b"\xef\xbb\xbf{}",
        b"\xff\xfe{\0}\0",
        b'"\xc3"',
        b"'a'",
        b'"\n"',
        b"{a: 1}",
    ],
    ids=lambda document: repr(document[:24]),
)
def test_anything_else_is_refused(document: bytes) -> None:
    with pytest.raises(FormatError):
        strictjson.loads(document, max_bytes=10**6)


def test_size_is_looked_at_first() -> None:
    assert strictjson.loads(b"[]", max_bytes=2) == []
    with pytest.raises(FormatError, match="3 bytes, at most 2"):
        strictjson.loads(b"[1]", max_bytes=2)


@given(st.binary() | st.text('{}[]":,\\u0123eE+-.ntfaI').map(str.encode))
def test_no_bytes_break_out(document: bytes) -> None:
    try:
        strictjson.loads(document, max_bytes=10**6)
    except FormatError as exc:
        assert exc.message
