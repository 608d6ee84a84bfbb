from __future__ import annotations

import math
import struct
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from localaws.media.failures import CANNOT_OPEN, MALFORMED, TRUNCATED, UNSUPPORTED, InputRejected
from localaws.media.sniff import HEAD_BYTES, demuxer
from localaws.media.structure import examine

FTYP = struct.pack(">I4s4sI4s", 20, b"ftyp", b"isom", 512, b"isom")
MOOV = struct.pack(">I4s", 8, b"moov")
PACKET = b"\x47\x40\x00\x10" + bytes(184)


def element(identity: str, payload: bytes, size: int | None = None) -> bytes:
    """An EBML element with an eight-byte size."""
    length = len(payload) if size is None else size
    return bytes.fromhex(identity) + (1 << 56 | length).to_bytes(8, "big") + payload


def matroska(info: bytes = b"", *, segment_size: int | None = None, doc_type: bytes = b"webm") -> bytes:
    header = element("1A45DFA3", element("4282", doc_type))
    return header + element("18538067", element("1549A966", info), segment_size)


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (FTYP, "mov"),
        (b"\x00\x00\x00\x08wide" + b"\x00\x00\x00\x01mdat", "mov"),
        (b"\x00\x00\x00\x01mdat" + bytes(8), "mov"),
        (b"\x00\x00\x00\x00moov", "mov"),
        (matroska(), "matroska"),
        (PACKET * 2, "mpegts"),
        (PACKET * 20, "mpegts"),
        ((bytes(4) + PACKET) * 5, "mpegts"),
        ((PACKET + bytes(16)) * 5, "mpegts"),
    ],
)
def test_container_is_named_by_its_first_bytes(head: bytes, expected: str) -> None:
    assert demuxer(head[:HEAD_BYTES]) == expected


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/passwd\n", "HLS playlist"),
        (b"\xef\xbb\xbf\n#EXTM3U\nhttp://127.0.0.1/x\n", "HLS playlist"),
        (b'<?xml version="1.0"?><MPD><BaseURL>file:///etc/passwd</BaseURL></MPD>', "DASH manifest"),
        (b"<?xml version='1.0'?><!-- hello --><MPD></MPD>", "DASH manifest"),
        (b"  <MPD xmlns='urn:mpeg:dash:schema:mpd:2011'/>", "DASH manifest"),
        ('<?xml version="1.0" encoding="utf-16"?><MPD/>'.encode("utf-16"), "DASH manifest"),
        (b"ffconcat version 1.0\nfile /etc/passwd\n", "ffmpeg concat script"),
        (b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\n", "SDP"),
        (b"WEBVTT\n\n00:00.000 --> 00:01.000\nhi\n", "WebVTT"),
        (b"1\n00:00:00,000 --> 00:00:01,000\nhi\n", "SRT"),
        (b"<smil/>", "SMIL"),
        (b"<!DOCTYPE html><html></html>", "HTML page"),
        (b'<?xml version="1.0"?><plist/>', "XML document"),
        (b"This is my holiday film.\n", "text"),
        ("Täglich grüßt das Murmeltier".encode(), "text"),
        (b"G" * 2000, "text"),
        (b"ABCDmoov and so on", "text"),
    ],
)
def test_text_is_refused_by_name(head: bytes, name: str) -> None:
    with pytest.raises(InputRejected, match=name) as refused:
        demuxer(head)
    assert refused.value.code == CANNOT_OPEN


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"RIFF\x10\x00\x00\x00AVI LIST", "AVI"),
        (b"\x06\x0e\x2b\x34\x02\x05\x01\x01", "MXF"),
        (b"\x00\x00\x01\xba\x44\x00\x04", "MPEG program stream"),
        (b"OggS\x00\x02", "Ogg"),
        (b"FLV\x01\x05\x00\x00\x00\x09", "Flash"),
        (b"\x89PNG\r\n\x1a\n", "PNG"),
        (b"PK\x03\x04\x14\x00", "ZIP"),
        (b"\x7fELF\x02\x01\x01\x00", "program"),
    ],
)
def test_known_format_that_is_not_accepted_is_refused_by_name(head: bytes, name: str) -> None:
    with pytest.raises(InputRejected, match=name) as refused:
        demuxer(head)
    assert refused.value.code == UNSUPPORTED
    assert "MP4" in refused.value.message


def test_empty_file_is_refused() -> None:
    with pytest.raises(InputRejected, match="empty") as refused:
        demuxer(b"")
    assert refused.value.code == CANNOT_OPEN


@given(st.binary(max_size=HEAD_BYTES))
@example(b"\x00")
@example(b"\x47" * 400)
@example(b"\xff\xfe\x00")
def test_any_bytes_give_a_known_demuxer_or_a_sentence(head: bytes) -> None:
    try:
        assert demuxer(head) in ("mov", "matroska", "mpegts", "wav", "flac", "mp3", "aac")
    except InputRejected as refused:
        assert refused.code in (CANNOT_OPEN, UNSUPPORTED)
        assert refused.message.endswith(".")


@given(st.text(min_size=1).filter(str.isprintable), st.sampled_from(["utf-8", "utf-16"]))
@example("GGGG" * 300, "utf-8")
@example("....ftypisom", "utf-8")
def test_no_text_reaches_a_demuxer(text: str, encoding: str) -> None:
    with pytest.raises(InputRejected):
        demuxer(text.encode(encoding)[:HEAD_BYTES])


# The outer structure


def written(folder: Path, data: bytes) -> Path:
    path = folder / "source"
    path.write_bytes(data)
    return path


def test_brand_and_doc_type_are_read(tmp_path: Path) -> None:
    assert examine(written(tmp_path, FTYP + MOOV), "mov").doc_type == "isom"
    assert examine(written(tmp_path, matroska()), "matroska").doc_type == "webm"
    assert examine(written(tmp_path, PACKET * 5), "mpegts").doc_type == ""


def test_trailing_bytes_that_are_no_box_are_forgiven(tmp_path: Path) -> None:
    examine(written(tmp_path, FTYP + MOOV + b"\x00\x00\x00\x03junk"), "mov")


def test_box_with_a_long_size_is_measured(tmp_path: Path) -> None:
    mdat = struct.pack(">I4sQ", 1, b"mdat", 24) + bytes(8)
    examine(written(tmp_path, FTYP + mdat + MOOV), "mov")
    with pytest.raises(InputRejected) as refused:
        examine(written(tmp_path, FTYP + MOOV + mdat[:-1]), "mov")
    assert refused.value.code == TRUNCATED
    assert "24 bytes, 23 are there" in refused.value.message


def test_file_without_index_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputRejected, match="no moov") as refused:
        examine(written(tmp_path, FTYP + struct.pack(">I4s", 0, b"mdat") + bytes(100)), "mov")
    assert refused.value.code == TRUNCATED


def test_boxes_that_go_on_for_ever_end(tmp_path: Path) -> None:
    """A billion empty boxes cost as much as the bound allows, and a size that turns in a circle nothing."""
    with pytest.raises(InputRejected, match="no moov"):
        examine(written(tmp_path, FTYP + struct.pack(">I4sQ", 1, b"free", 8) * 3), "mov")
    with pytest.raises(InputRejected, match="no moov"):
        examine(written(tmp_path, FTYP + struct.pack(">I4s", 8, b"free") * 300_000), "mov")


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -1.0, 1e300])
def test_duration_that_is_no_number_of_seconds_is_refused(tmp_path: Path, value: float) -> None:
    with pytest.raises(InputRejected, match="no duration") as refused:
        examine(written(tmp_path, matroska(element("4489", struct.pack(">d", value)))), "matroska")
    assert refused.value.code == MALFORMED


def test_duration_counts_in_its_own_scale(tmp_path: Path) -> None:
    duration = element("4489", struct.pack(">f", 1e12))
    examine(written(tmp_path, matroska(duration + element("2AD7B1", b"\x01"))), "matroska")
    with pytest.raises(InputRejected):
        examine(written(tmp_path, matroska(duration + element("2AD7B1", b"\xff\xff\xff\xff"))), "matroska")


def test_cut_off_segment_is_refused_and_a_live_one_is_not(tmp_path: Path) -> None:
    with pytest.raises(InputRejected, match="cut off") as refused:
        examine(written(tmp_path, matroska(segment_size=1000)), "matroska")
    assert refused.value.code == TRUNCATED
    examine(written(tmp_path, matroska(segment_size=(1 << 56) - 1)), "matroska")
    with pytest.raises(InputRejected, match="before its Segment"):
        examine(written(tmp_path, matroska()[:20]), "matroska")


@given(data=st.binary(max_size=400), chosen=st.sampled_from(["mov", "matroska"]), whole=st.booleans())
def test_any_bytes_have_a_structure_or_a_sentence(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, chosen: str, whole: bool
) -> None:
    start = {"mov": FTYP, "matroska": matroska()[:-9]}[chosen] if whole else b""
    path = tmp_path_factory.getbasetemp() / "structure"
    path.write_bytes(start + data)
    try:
        examine(path, chosen)
    except InputRejected as refused:
        assert refused.code in (MALFORMED, TRUNCATED)


@given(st.lists(st.tuples(st.sampled_from([b"free", b"mdat", b"moof"]), st.integers(0, 40)), max_size=6), st.data())
def test_cut_inside_a_needed_box_is_noticed(
    tmp_path_factory: pytest.TempPathFactory, boxes: list[tuple[bytes, int]], data: st.DataObject
) -> None:
    whole = FTYP + MOOV + b"".join(struct.pack(">I4s", 8 + size, kind) + bytes(size) for kind, size in boxes)
    path = tmp_path_factory.getbasetemp() / "cut"
    path.write_bytes(whole)
    examine(path, "mov")
    if not boxes or boxes[-1][0] == b"free" or not boxes[-1][1]:
        return
    path.write_bytes(whole[: -data.draw(st.integers(1, boxes[-1][1]))])
    with pytest.raises(InputRejected) as refused:
        examine(path, "mov")
    assert refused.value.code == TRUNCATED
