"""Clear Key license requests and licenses; the examples are those of the W3C specification."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import FormatError, InvalidRequest
from penstock.formats import clearkey
from penstock.model import ContentKey, KeyId

ids = st.binary(min_size=16, max_size=16).map(KeyId)


def test_request_of_the_specification() -> None:
    body = b'{"kids":["LwVHf8JLtPrv2GUXFW2v_A"],"type":"temporary"}'
    assert clearkey.parse_request(body) == [KeyId.from_uuid("2f05477fc24bb4faefd86517156daffc")]


def test_license_of_the_specification() -> None:
    kid = KeyId.from_base64url("LwVHf8JLtPrv2GUXFW2v_A")
    key = ContentKey(KeyId.from_base64url("FmY0xnWCPCNaSpRG-tUuTQ").raw)
    assert json.loads(clearkey.build_response({kid: key})) == {
        "keys": [{"kty": "oct", "kid": "LwVHf8JLtPrv2GUXFW2v_A", "k": "FmY0xnWCPCNaSpRG-tUuTQ"}],
        "type": "temporary",
    }


def test_type_may_be_left_out_and_key_ids_count_once() -> None:
    body = b'{"kids":["LwVHf8JLtPrv2GUXFW2v_A","AAAAAAAAAAAAAAAAAAAAAA","LwVHf8JLtPrv2GUXFW2v_A"]}'
    assert [kid.base64url for kid in clearkey.parse_request(body)] == [
        "LwVHf8JLtPrv2GUXFW2v_A",
        "AAAAAAAAAAAAAAAAAAAAAA",
    ]


@given(st.lists(ids, min_size=1, max_size=clearkey.MAX_KEY_IDS, unique=True))
def test_every_list_of_key_ids_is_read(kids: list[KeyId]) -> None:
    assert clearkey.parse_request(json.dumps({"kids": [kid.base64url for kid in kids]}).encode()) == kids


@pytest.mark.parametrize(
    "request_",
    [
        None,
        [],
        "kids",
        {},
        {"kids": None},
        {"kids": []},
        {"kids": "LwVHf8JLtPrv2GUXFW2v_A"},
        {"kids": {"0": "LwVHf8JLtPrv2GUXFW2v_A"}},
        {"kids": [1]},
        {"kids": [None]},
        {"kids": [""]},
        {"kids": ["LwVHf8JLtPrv2GUXFW2v"]},
        {"kids": ["LwVHf8JLtPrv2GUXFW2v_AAA"]},
        {"kids": ["2f05477f-c24b-b4fa-efd8-6517156daffc"]},
        {"kids": ["LwVHf8JLtPrv2GUXFW2v\u00e4A"]},
        {"kids": ["\ud800"]},
        {"kids": ["LwVHf8JLtPrv2GUXFW2v_A"], "type": "persistent-license"},
        {"kids": ["LwVHf8JLtPrv2GUXFW2v_A"], "type": None},
        {"kids": ["LwVHf8JLtPrv2GUXFW2v_A"], "type": ["temporary"]},
        {"kids": ["LwVHf8JLtPrv2GUXFW2v_A"] * 65},
    ],
    ids=lambda request_: json.dumps(request_)[:60],
)
def test_other_requests_are_refused(request_: object) -> None:
    with pytest.raises(InvalidRequest):
        clearkey.parse_request(json.dumps(request_).encode())


def test_an_endless_request_is_refused_unread() -> None:
    with pytest.raises(FormatError, match="at most"):
        clearkey.parse_request(b" " * 20_000)


@given(st.binary() | st.text('{}[]":,kidstypemorarAA').map(str.encode))
def test_no_bytes_break_out(body: bytes) -> None:
    with pytest.raises((FormatError, InvalidRequest)):
        clearkey.parse_request(body)


@given(st.recursive(st.none() | st.text() | st.integers(), lambda inner: st.lists(inner, max_size=3), max_leaves=5))
def test_no_json_breaks_out(kids: object) -> None:
    with pytest.raises((FormatError, InvalidRequest)):
        clearkey.parse_request(json.dumps({"kids": kids}).encode())
