"""XML from strangers: bombs, document types, encodings."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import FormatError, ManifestError
from penstock.formats import safexml


def parse(document: bytes) -> str:
    return safexml.parse(document, max_bytes=10**6, error=ManifestError).text or ""


def refused(document: bytes, match: str | None = None) -> None:
    with pytest.raises(ManifestError, match=match):
        parse(document)


def test_text_is_read_without_comments_and_instructions() -> None:
    assert parse('<?xml version="1.0"?><?a b?><a>\u00e4<!-- c -->&lt;<?d?>&#x41;</a>'.encode()) == "\u00e4<A"


def test_byte_order_mark_is_no_harm() -> None:
    assert parse(b"\xef\xbb\xbf<a>b</a>") == "b"


def test_bytes_mean_utf_8_whatever_the_declaration_says() -> None:
    assert parse("<?xml version='1.0' encoding='latin-1'?><a>\u00e4</a>".encode()) == "\u00e4"
    refused("<a>\u00e4</a>".encode("latin-1"), "not UTF-8 at byte 3")


@pytest.mark.parametrize(
    "document",
    [
        b"<!DOCTYPE a><a/>",
        b"<!DOCTYPE a SYSTEM 'http://127.0.0.1:1/a.dtd'><a/>",
        b"<!DOCTYPE a [<!ENTITY e 'x'>]><a/>",
        b"<!DOCTYPE a [<!ENTITY % p SYSTEM 'file:///etc/passwd'>]><a/>",
    ],
)
def test_document_types_are_refused(document: bytes) -> None:
    refused(document, "DOCTYPE")


def test_no_file_of_ours_is_read(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    entity = f"<!DOCTYPE a [<!ENTITY e SYSTEM '{(tmp_path / 'secret').as_uri()}'>]><a>&e;</a>"
    with pytest.raises(ManifestError) as caught:
        parse(entity.encode())
    assert "secret" not in str(caught.value)
    include = '<a xmlns:x="http://www.w3.org/2001/XInclude"><x:include href="secret" parse="text"/></a>'
    assert parse(include.encode()) == ""


def test_bombs_do_not_go_off() -> None:
    entities = "".join(f'<!ENTITY e{i + 1} "{f"&e{i};" * 10}">' for i in range(20))
    refused(f'<!DOCTYPE a [<!ENTITY e0 "ha">{entities}]><a>&e20;</a>'.encode())
    refused(b"<a>" * 100_000)


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"<a>",
        b"a",
        b"<a/><b/>",
        b"<a>&undefined;</a>",
        b"<a b='1' b='2'/>",
        b"<a>\0</a>",
        b"<a>&#0;</a>",
        "<a>\u00e4</a>".encode("latin-1"),
        "<a/>".encode("utf-16"),
        b"<?xml version='1.0' encoding='latin-1'?><a>\xe4</a>",
    ],
)
def test_what_is_not_xml_in_utf_8_is_refused(document: bytes) -> None:
    refused(document)


def test_a_hidden_document_type_is_only_text() -> None:
    """UTF-7 could hide a DOCTYPE from a reader that trusts the declaration; here the bytes mean what they mean."""
    refused(b"<?xml version='1.0' encoding='utf-7'?>+ADwAIQ-DOCTYPE a+AD4-<a/>")


def test_size_is_looked_at_first() -> None:
    assert safexml.parse(b"<a/>", max_bytes=4).tag == "a"
    with pytest.raises(FormatError, match="5 bytes, at most 4"):
        safexml.parse(b"<a />", max_bytes=4)


@given(st.binary() | st.text("<>!?&;#x0'\"/a= []DOCTYPEN").map(str.encode))
def test_no_bytes_break_out(document: bytes) -> None:
    try:
        parse(document)
    except ManifestError as exc:
        assert exc.message
