"""The segment index of fragmented MP4: round trips, and what is no index."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import BoxError
from penstock.formats import segment_index
from penstock.formats.segment_index import Reference, SegmentIndex

REFERENCES = st.builds(Reference, st.integers(0, 2**31 - 1), st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
INDEXES = st.builds(
    SegmentIndex,
    st.sampled_from([0, 1]),
    st.integers(0, 2**32 - 1),
    st.integers(1, 2**32 - 1),
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**32 - 1),
    st.lists(REFERENCES, max_size=5).map(tuple),
)


@given(INDEXES)
def test_an_index_is_read_as_it_was_built(index: SegmentIndex) -> None:
    built = index.build()
    assert built[4:8] == b"sidx" and int.from_bytes(built[:4]) == len(built)
    assert segment_index.parse(built[8:]) == index


@given(st.binary(max_size=60))
def test_any_bytes_are_an_index_or_an_error_of_boxes(payload: bytes) -> None:
    with contextlib.suppress(BoxError):
        segment_index.parse(payload)


def test_the_last_two_stretches_are_one_and_no_more() -> None:
    index = SegmentIndex(0, 1, 90_000, 0, 0, (Reference(5, 50, 9), Reference(7, 70, 8), Reference(1, 10, 7)))
    joined = index.joined()
    assert joined.references == (Reference(5, 50, 9), Reference(8, 80, 8))
    assert len(index.build()) - len(joined.build()) == segment_index.REFERENCE_BYTES
    with pytest.raises(BoxError, match="two stretches at least"):
        joined.joined().joined()
    with pytest.raises(BoxError, match="at most"):
        SegmentIndex(0, 1, 1, 0, 0, 2 * (Reference(2**31 - 1, 1, 0),)).joined()
