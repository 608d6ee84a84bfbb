"""SAMPLE-AES: what stays in the clear, what is escaped, streams that grow by it, and back again."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given
from hypothesis import strategies as st

from localaws.media import id3, program_map, sample_aes, transport_stream
from localaws.media.failures import JobError
from localaws.media.remultiplexing import Remultiplexer
from penstock.model import ContentKey
from probed_media import ENCODE, PICTURE, ffprobe
from sample_media import ffmpeg

KEY, IV = bytes(range(16)), bytes(range(16, 32))
CBC = sample_aes.Cbc(ContentKey(KEY), IV)


def decrypted(blocks: bytes) -> bytes:
    return Cipher(algorithms.AES128(KEY), modes.CBC(IV)).decryptor().update(blocks)


def decrypted_slice(escaped: bytes) -> bytes:
    """As Apple tells players: take the escapes away, then decrypt one block of ten behind 32 bytes."""
    unit = bytearray(escaped.replace(b"\x00\x00\x03", b"\x00\x00"))
    places = [place for place in range(32, len(unit), 160) if len(unit) - place > 16]
    clear = decrypted(b"".join(unit[place : place + 16] for place in places))
    for number, place in enumerate(places):
        unit[place : place + 16] = clear[16 * number : 16 * number + 16]
    return bytes(unit)


def nal_units() -> st.SearchStrategy[bytes]:
    """Slices as an encoder writes them: nothing that looks like a start code, no zero at the end."""
    content = st.binary(max_size=700).map(lambda data: data.replace(b"\x00\x00", b"\x00\x05"))
    return st.builds(lambda kind, data: bytes([0x60 | kind]) + data + b"\x80", st.sampled_from([1, 5]), content)


@given(units=st.lists(nal_units(), min_size=1, max_size=4), long=st.booleans())
def test_slices_come_back_and_nothing_in_them_looks_like_a_start_code(units: list[bytes], long: bool) -> None:
    start = b"\x00\x00\x00\x01" if long else b"\x00\x00\x01"
    found = sample_aes.slices(b"".join(start + unit for unit in units), CBC).split(start)
    assert found[0] == b"" and len(found) == len(units) + 1
    for unit, secret in zip(units, found[1:], strict=True):
        assert not any(bytes([0, 0, number]) in secret for number in range(3))
        if len(unit) < 49:
            assert secret == unit
        else:
            assert secret != unit and decrypted_slice(secret) == unit


def test_what_looks_like_a_start_code_after_encryption_is_escaped() -> None:
    wanted = b"\x11" * 5 + b"\x00\x00\x01\x00\x00\x00\x00\x02" + b"\x22" * 3
    unit = b"\x65" + b"\x80" * 31 + decrypted(wanted) + b"\x80" * 20
    secret = sample_aes.slices(b"\x00\x00\x01" + unit, CBC)[3:]
    assert b"\x11\x00\x00\x03\x01\x00\x00\x03\x00\x00\x03\x02\x22" in secret and len(secret) == len(unit) + 3


def test_parameter_sets_and_delimiters_stay_in_the_clear() -> None:
    stream = b"".join(b"\x00\x00\x00\x01" + bytes([kind]) + b"\x55" * 90 for kind in (0x09, 0x67, 0x68, 0x06))
    assert sample_aes.slices(stream, CBC) == stream


def test_frames_of_aac_keep_header_leader_and_what_is_left_over() -> None:
    def frame(content: bytes) -> bytes:
        length = 7 + len(content)
        sizes = bytes([0x80 | length >> 11, length >> 3 & 0xFF, (length & 7) << 5 | 0x1F])
        return b"\xff\xf1\x4c" + sizes + b"\xfc" + content

    tag = id3.tag(sample_aes.AacSetup(48_000, 2).id3_frame())
    small, large = frame(b"\x01" * 20), frame(bytes(range(60)))
    secret = sample_aes.frames(tag + small + large + tag + small, CBC)
    assert secret[: len(tag + small)] == tag + small
    found = secret[len(tag + small) : len(tag + small + large)]
    assert found[:23] == large[:23] and found[55:] == large[55:] and decrypted(found[23:55]) == large[23:55]
    with pytest.raises(JobError, match="no frame of ADTS at byte 0"):
        sample_aes.frames(b"ID4" + large, CBC)


def test_audio_setup_is_what_decoders_ask_for() -> None:
    # 1.6.2: object type 2, rate 3 of the table, two channels.
    assert sample_aes.AacSetup(48_000, 2).information() == b"zaac\x00\x00\x01\x02\x11\x90"
    assert sample_aes.AacSetup(44_100, 6).information().endswith(b"\x02\x12\x30")


def clocks(path: Path) -> list[bytes]:
    """The program clock references of a stream."""
    found = (packet for _, packet in transport_stream.packets(path) if packet[3] & 0x20 and packet[4])
    return [packet[6:12] for packet in found if packet[5] & 0x10]


def test_streams_grow_and_stay_streams(tmp_path: Path) -> None:
    source = ffmpeg(
        tmp_path / "film.ts", *PICTURE, "testsrc2=size=160x90:rate=25:duration=1", *PICTURE,
        "sine=sample_rate=48000:duration=1", *ENCODE, "-c:a", "aac", "-mpegts_pmt_start_pid", "500",
    )  # fmt: skip
    filler = b"\x00\x00\x01\x0c" + b"\xff" * 150 + b"\x80"
    rewriting = Remultiplexer(500, {0x1B}, lambda stream: stream, lambda _, samples: samples + filler)
    grown = tmp_path / "grown.ts"
    grown.write_bytes(b"".join(rewriting.rewrite(source)))
    before, after = (
        ffprobe(path, "-show_entries", "packet=codec_type,pts,dts,flags")["packets"] for path in (source, grown)
    )
    assert after == before
    assert grown.stat().st_size > source.stat().st_size + 15 * 188
    counters: dict[int, int] = {}
    for _, packet in transport_stream.packets(grown):
        pid, number = transport_stream.pid(packet), packet[3] & 0x0F
        assert number == (counters.get(pid, number - 1) + 1) % 16, "packets are counted without a gap"
        counters[pid] = number
    assert clocks(grown) == clocks(source) != []


def test_what_is_no_program_map_is_refused() -> None:
    with pytest.raises(JobError, match="no program map section"):
        program_map.streams(bytes.fromhex("02b0120001c10000e100f0001be100f000deadbeef"))
