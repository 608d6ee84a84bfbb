"""CMCD as players send it, and what is none although it looks like it."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import FormatError
from penstock.formats import cmcd
from penstock.formats.cmcd import ClientData

SENT = 'bl=21300,br=3200,bs,cid="faec5fc2",d=4004,mtp=25400,nor="..%2f300kbps%2f2.m4v",ot=v,sf=d,sid="6e2fb550",st=v,su'
READ = ClientData("6e2fb550", "faec5fc2", "v", 4004, 1.0, starved=True)


def test_argument_of_a_query_is_read() -> None:
    assert cmcd.of_request(f"a=1&CMCD={quote(SENT, safe='')}&b=2", {}) == READ
    assert cmcd.read("pr=1.5").playback_rate == 1.5
    assert cmcd.read('sid="a\\"b",com.example-own="x"').session_id == 'a"b'


def test_headers_are_read_together() -> None:
    headers = {
        "cmcd-object": "br=3200,d=4004,ot=v",
        "cmcd-request": "bl=21300,mtp=25400,su",
        "cmcd-session": 'cid="faec5fc2",sf=d,sid="6e2fb550",st=v',
        "cmcd-status": "bs",
    }
    assert cmcd.of_request("", headers) == READ


def test_request_without_client_data_has_none() -> None:
    assert cmcd.of_request("", {}) is None
    assert cmcd.of_request("XCMCD=1&cmcd=2", {"cmcd": "ot=v"}) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        ",",
        "ot=v,",
        "ot=v,,st=v",
        "ot=x",
        "ot",
        "ot=v,ot=a",
        "sid=bare",
        'sid="' + "x" * 65 + '"',
        'sid="open',
        "d=4.5",
        "d=" + "9" * 16,
        "bs=1",
        "pr=fast",
        "br=",
        "unknown=1",
        "br=1 ,ot=v",
        "x" * 3000,
        'sid="a"b',
        "ot=v\x00",
    ],
)
def test_what_is_no_client_data_is_refused(text: str) -> None:
    with pytest.raises(FormatError):
        cmcd.read(text)


def test_key_in_the_wrong_header_and_a_second_argument_are_refused() -> None:
    with pytest.raises(FormatError):
        cmcd.of_request("", {"cmcd-status": "ot=v"})
    with pytest.raises(FormatError):
        cmcd.of_request("CMCD=ot%3Dv&CMCD=ot%3Da", {})
    with pytest.raises(FormatError):
        cmcd.of_request("CMCD=%ff", {})


@given(st.text(max_size=200))
def test_anything_is_read_or_refused(text: str) -> None:
    for query in (f"CMCD={text}", f"CMCD={quote(text, safe='')}"):
        try:
            cmcd.of_request(query, {"cmcd-object": text})
        except FormatError:
            continue
