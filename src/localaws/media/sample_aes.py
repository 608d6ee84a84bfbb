"""SAMPLE-AES of HLS: slices of H.264 and frames of AAC encrypted inside transport streams and packed audio.

Times, headers and tables stay in the clear, so a stream can be cut and sought without its key. Decodes nothing and
knows no playlists. Source: Apple, "MPEG-2 Stream Encryption Format for HTTP Live Streaming", 2.2 (H.264), 2.3 (AAC and
audio setup information), 3.0 (signalling); ISO/IEC 14496-10, 7.4.1 and annex B (NAL units); ISO/IEC 14496-3, 1.6.2
(AudioSpecificConfig) and 1.A.2 (ADTS). Unverified: priming is told as none, as other packagers do.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from localaws.media import id3
from localaws.media.failures import INTERNAL, JobError
from localaws.media.program_map import Stream, descriptor, signalled
from localaws.media.remultiplexing import Remultiplexer
from penstock.model import ContentKey

_H264, _AAC = 0x1B, 0x0F
_ENCRYPTED = {_H264: 0xDB, _AAC: 0xCF}
_REGISTRATION, _PRIVATE_DATA_INDICATOR = 0x05, 0x0F
_BLOCK = 16
_SLICES = (1, 5)
_SHORTEST_SLICE = 49
_SLICE_LEADER, _SLICE_PATTERN = 32, 10 * _BLOCK
_FRAME_LEADER = 16
_ADTS_RATES_HZ = (96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350)
_AUDIO_OWNER = "com.apple.streaming.audioDescription"
_START_CODE = b"\x00\x00\x01"
_EMULATION = re.compile(rb"\x00\x00(?=[\x00-\x03])")


@dataclass(frozen=True)
class Cbc:
    """AES-128 in CBC mode that begins anew with the same IV for every slice and frame. Silent about the key in repr."""

    key: ContentKey
    iv: bytes

    def encrypt(self, blocks: bytes) -> bytes:
        encryptor = Cipher(algorithms.AES128(self.key.reveal()), modes.CBC(self.iv)).encryptor()
        return encryptor.update(blocks) + encryptor.finalize()


@dataclass(frozen=True)
class AacSetup:
    """What a decoder must know of AAC-LC before it can decrypt a frame. Eight channels are 7.1."""

    sample_rate_hz: int
    channels: int

    def information(self) -> bytes:
        """audio_setup_information: type, priming, version, and AudioSpecificConfig with its length."""
        rate, channels = _ADTS_RATES_HZ.index(self.sample_rate_hz), 7 if self.channels == 8 else self.channels
        config = (2 << 11 | rate << 7 | channels << 3).to_bytes(2, "big")
        return b"zaac" + b"\x00\x00" + b"\x01" + bytes([len(config)]) + config

    def id3_frame(self) -> bytes:
        """The same as a PRIV frame of the ID3 tag that packed audio begins with."""
        return id3.private_frame(_AUDIO_OWNER, self.information())


class StreamEncryptor:
    """Encrypts the transport stream segments of one output, in their order. sounds: of each PID that carries AAC."""

    def __init__(self, pmt_pid: int, sounds: Mapping[int, AacSetup]) -> None:
        self._sounds = sounds
        self._cbc: Cbc | None = None
        self._remultiplexer = Remultiplexer(pmt_pid, _ENCRYPTED, self._describe, self._samples)

    def encrypt(self, path: Path, cbc: Cbc) -> None:
        """Encrypt a segment in place, whole or not at all."""
        self._cbc = cbc
        part = path.with_suffix(".encrypting")
        with part.open("wb") as out:
            out.writelines(self._remultiplexer.rewrite(path))
        part.replace(path)

    def _describe(self, stream: Stream) -> Stream:
        if stream.stream_type == _H264:
            return signalled(stream, _ENCRYPTED[_H264], descriptor(_PRIVATE_DATA_INDICATOR, b"zavc"))
        if stream.stream_type == _AAC:
            setup = descriptor(_REGISTRATION, b"apad" + self._sounds[stream.pid].information())
            return signalled(stream, _ENCRYPTED[_AAC], descriptor(_PRIVATE_DATA_INDICATOR, b"aacd"), setup)
        raise JobError(INTERNAL, f"a stream of type {stream.stream_type:#x} cannot be encrypted")

    def _samples(self, stream_type: int, samples: bytes) -> bytes:
        assert self._cbc is not None
        return slices(samples, self._cbc) if stream_type == _H264 else frames(samples, self._cbc)


def encrypt_packed(path: Path, cbc: Cbc) -> None:
    """Encrypt a segment of packed AAC in place, whole or not at all."""
    part = path.with_suffix(".encrypting")
    part.write_bytes(frames(path.read_bytes(), cbc))
    part.replace(path)


def slices(stream: bytes, cbc: Cbc) -> bytes:
    """A byte stream of NAL units (annex B) with its slices encrypted."""
    found, position = bytearray(), 0
    while (start := stream.find(_START_CODE, position)) >= 0:
        begins = start + len(_START_CODE)
        following = stream.find(_START_CODE, begins)
        ends = len(stream) if following < 0 else following
        # The zero before a start code of four bytes is not of the NAL unit, which never ends with one.
        unit = stream[begins:ends].rstrip(b"\x00")
        found += stream[position:begins] + _nal_unit(unit, cbc)
        position = begins + len(unit)
    return bytes(found + stream[position:])


def _nal_unit(unit: bytes, cbc: Cbc) -> bytes:
    """One block of ten is encrypted after the leader; what then looks like a start code is escaped once more."""
    if len(unit) < _SHORTEST_SLICE or unit[0] & 0x1F not in _SLICES:
        return unit
    places = range(_SLICE_LEADER, len(unit) - _BLOCK, _SLICE_PATTERN)
    secret = cbc.encrypt(b"".join(unit[place : place + _BLOCK] for place in places))
    made = bytearray(unit)
    for number, place in enumerate(places):
        made[place : place + _BLOCK] = secret[number * _BLOCK : (number + 1) * _BLOCK]
    return _EMULATION.sub(b"\x00\x00\x03", bytes(made))


def frames(stream: bytes, cbc: Cbc) -> bytes:
    """Frames of ADTS with all whole blocks after their leaders encrypted; ID3 tags between them stay.

    Raises JobError 1999 for anything else.
    """
    made, position = bytearray(stream), 0
    while position < len(stream):
        if tag_bytes := id3.size_bytes(stream, position):
            position += tag_bytes
            continue
        header = stream[position : position + 7]
        if len(header) < 7 or header[0] != 0xFF or header[1] & 0xF6 != 0xF0:
            raise JobError(INTERNAL, f"no frame of ADTS at byte {position}: {header.hex()}")
        length = (header[3] & 3) << 11 | header[4] << 3 | header[5] >> 5
        begins = position + (7 if header[1] & 1 else 9) + _FRAME_LEADER
        ends = position + length
        blocks = max(0, ends - begins) // _BLOCK
        made[begins : begins + blocks * _BLOCK] = cbc.encrypt(stream[begins : begins + blocks * _BLOCK])
        position = ends
    return bytes(made)
