from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localaws.edge.ranges import Unsatisfiable, byte_range, http_date, precondition, range_applies

MODIFIED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
ETAG = '"abc"'


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, None),
        ("bytes=0-0", (0, 1)),
        ("bytes=0-", (0, 1000)),
        ("bytes=10-19", (10, 20)),
        ("Bytes=10-19", (10, 20)),
        ("bytes= 10-19 ", (10, 20)),
        ("bytes=990-5000", (990, 1000)),
        ("bytes=-10", (990, 1000)),
        ("bytes=-5000", (0, 1000)),
        ("bytes=0-" + "9" * 5000, (0, 1000)),
        ("bytes=-" + "9" * 5000, (0, 1000)),
        ("bytes=" + "0" * 5000 + "5-9", (5, 10)),
        # A server may ignore what it does not like; the whole representation is always a right answer.
        ("bytes=20-10", None),
        ("bytes=0-1,3-4", None),
        ("bytes=-", None),
        ("bytes=a-b", None),
        ("bytes=1-2-3", None),
        ("bytes=--5", None),
        ("bytes=+1-2", None),
        ("bytes=٣-٤", None),
        ("items=0-1", None),
        ("", None),
    ],
)
def test_a_range_is_read(header: str | None, expected: tuple[int, int] | None) -> None:
    assert byte_range(header, 1000) == expected


@pytest.mark.parametrize("header", ["bytes=1000-", "bytes=1000-1001", "bytes=-0", "bytes=" + "9" * 5000 + "-"])
def test_a_range_outside_is_not_satisfiable(header: str) -> None:
    with pytest.raises(Unsatisfiable):
        byte_range(header, 1000)


@pytest.mark.parametrize("header", ["bytes=0-", "bytes=0-0", "bytes=-1"])
def test_nothing_of_an_empty_object_can_be_ranged(header: str) -> None:
    with pytest.raises(Unsatisfiable):
        byte_range(header, 0)


@given(
    st.one_of(st.text(max_size=40), st.from_regex(r"bytes=\d{0,25}-\d{0,25}", fullmatch=True)), st.integers(0, 10**6)
)
def test_a_range_is_always_inside(header: str, size_bytes: int) -> None:
    try:
        part = byte_range(header, size_bytes)
    except Unsatisfiable:
        return
    assert part is None or 0 <= part[0] < part[1] <= size_bytes


def conditions(**headers: str) -> int | None:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return precondition(names.get, etag=ETAG, modified=MODIFIED)


def date(**shift: int) -> str:
    return format_datetime(MODIFIED + timedelta(**shift), usegmt=True)


def test_preconditions_follow_the_standard() -> None:
    assert conditions() is None
    assert conditions(if_none_match='"abc"') == 304
    assert conditions(if_none_match='W/"abc"') == 304
    assert conditions(if_none_match='"x", "abc"') == 304
    assert conditions(if_none_match="*") == 304
    assert conditions(if_none_match='"x"') is None
    assert conditions(if_none_match='"x"', if_modified_since=date()) is None, "If-None-Match rules the date out"
    assert conditions(if_modified_since=date()) == 304
    assert conditions(if_modified_since=date(seconds=-1)) is None
    assert conditions(if_modified_since="yesterday") is None
    assert conditions(if_match='"abc"') is None
    assert conditions(if_match="*") is None
    assert conditions(if_match='W/"abc"') == 412
    assert conditions(if_match='"x"') == 412
    assert conditions(if_match='"abc"', if_unmodified_since=date(days=-1)) is None, "If-Match rules the date out"
    assert conditions(if_unmodified_since=date(seconds=-1)) == 412
    assert conditions(if_unmodified_since=date()) is None


def test_if_range_wants_exactly_this_representation() -> None:
    assert range_applies(None, etag=ETAG, modified=MODIFIED)
    assert range_applies('"abc"', etag=ETAG, modified=MODIFIED)
    assert range_applies(date(), etag=ETAG, modified=MODIFIED)
    assert not range_applies('W/"abc"', etag=ETAG, modified=MODIFIED)
    assert not range_applies('"old"', etag=ETAG, modified=MODIFIED)
    assert not range_applies(date(seconds=1), etag=ETAG, modified=MODIFIED)
    assert not range_applies(date(), etag=ETAG, modified=None)


@given(st.text(max_size=70))
def test_any_text_is_a_date_or_none(text: str) -> None:
    moment = http_date(text)
    assert moment is None or moment.tzinfo is UTC
