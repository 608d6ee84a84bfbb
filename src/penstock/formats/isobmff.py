"""Boxes of the ISO base media file format, and what DRM systems keep in their `pssh` boxes.

Never reads a file; whoever walks boxes hands in the bytes.
Source: ISO/IEC 14496-12 clause 4.2 (boxes), ISO/IEC 23001-7 clause 8.1 (pssh), W3C "cenc" Initialization Data Format.
"""

from __future__ import annotations

import struct
from base64 import b64encode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from uuid import UUID

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from penstock.errors import BoxError
from penstock.model import ContentKey, KeyId, Scheme

COMMON = UUID("1077efec-c0b2-4d02-ace3-3c1e52e2fb4b")
"""W3C common PSSH: key ids and nothing else, which is all that Clear Key wants."""

CLEARKEY = UUID("e2719d58-a985-b3c9-781a-b030af78d30e")
"""DASH-IF's name for Clear Key in manifests; it has no box of its own."""

WIDEVINE = UUID("edef8ba9-79d6-4ace-a3c8-27dcd51d21ed")
PLAYREADY = UUID("9a04f079-9840-4286-ab92-e65be0885f95")
FAIRPLAY = UUID("94ce86fb-07ff-4f43-adb8-93d2fa968ca2")

_KEY_ID_BYTES = 16


@dataclass(frozen=True)
class Box:
    """One box: four characters of type, the offset of its header in what was walked, and what the header encloses."""

    type: str
    offset: int
    payload: bytes


def boxes(data: bytes) -> Iterator[Box]:
    """Walk the boxes that lie side by side in `data`; walk a payload to go deeper.

    Raises BoxError with the byte offset of a box that does not fit into what encloses it.
    """
    offset = 0
    while offset < len(data):
        header_bytes, size = 8, int.from_bytes(data[offset : offset + 4])
        if size == 1:
            header_bytes, size = 16, int.from_bytes(data[offset + 8 : offset + 16])
        elif size == 0:
            size = len(data) - offset  # to the end of the file
        if size < header_bytes or offset + size > len(data):
            raise BoxError(f"at byte {offset}: a box of {size} bytes, where {len(data) - offset} are left")
        yield Box(data[offset + 4 : offset + 8].decode("latin-1"), offset, data[offset + header_bytes : offset + size])
        offset += size


@dataclass(frozen=True)
class Pssh:
    """ProtectionSystemSpecificHeaderBox. With key ids it has version 1, without them version 0."""

    system_id: UUID
    key_ids: tuple[KeyId, ...] = ()
    data: bytes = b""

    def build(self) -> bytes:
        """Write the whole box, header included."""
        body = bytes([1 if self.key_ids else 0, 0, 0, 0]) + self.system_id.bytes
        if self.key_ids:
            body += struct.pack(">I", len(self.key_ids)) + b"".join(kid.raw for kid in self.key_ids)
        body += struct.pack(">I", len(self.data)) + self.data
        return struct.pack(">I4s", 8 + len(body), b"pssh") + body


def parse_pssh(data: bytes) -> Pssh:
    """Read one whole pssh box; raises BoxError when it is something else or does not add up."""
    found = list(boxes(data))
    if len(found) != 1 or found[0].type != "pssh":
        raise BoxError(f"one pssh box expected, got {[box.type for box in found[:4]]}")
    body = found[0].payload
    version, rest = body[:1], body[20:]
    if len(body) < 24 or version not in (b"\0", b"\1"):
        raise BoxError(f"a pssh box of version 0 or 1 expected, got version {version.hex()} and {len(body)} bytes")
    key_ids: tuple[KeyId, ...] = ()
    if version == b"\1":
        count, rest = int.from_bytes(rest[:4]), rest[4:]
        if count * _KEY_ID_BYTES > len(rest):
            raise BoxError(f"the pssh box announces {count} key ids and has {len(rest)} bytes left")
        ids, rest = rest[: count * _KEY_ID_BYTES], rest[count * _KEY_ID_BYTES :]
        key_ids = tuple(KeyId(ids[start : start + _KEY_ID_BYTES]) for start in range(0, len(ids), _KEY_ID_BYTES))
    if len(rest) < 4 or int.from_bytes(rest[:4]) != len(rest) - 4:
        raise BoxError(f"the pssh box announces {int.from_bytes(rest[:4])} bytes of data and has {len(rest) - 4}")
    return Pssh(UUID(bytes=body[4:20]), key_ids, rest[4:])


def common_pssh(key_ids: Sequence[KeyId]) -> Pssh:
    return Pssh(COMMON, tuple(key_ids))


def widevine_pssh(key_ids: Sequence[KeyId], scheme: Scheme) -> Pssh:
    """Make the box that Widevine wants: a protocol buffer, WidevinePsshData, in a box of version 0."""
    fields = b"".join(b"\x12" + bytes([_KEY_ID_BYTES]) + kid.raw for kid in key_ids)  # 2: key_ids
    fields += b"\x48" + _varint(int.from_bytes(scheme.encode()))  # 9: protection_scheme, a four-character code
    return Pssh(WIDEVINE, (), fields)


def playready_pssh(kid: KeyId, scheme: Scheme, key: ContentKey) -> Pssh:
    return Pssh(PLAYREADY, (), playready_object(kid, scheme, key))


def playready_object(kid: KeyId, scheme: Scheme, key: ContentKey) -> bytes:
    """Write a PlayReady Object with one record, the PlayReady Header.

    Version 4.0.0.0 for cenc, which every client reads and which carries a checksum made with the key; 4.3.0.0 for cbcs,
    the first version that knows it. Source: Microsoft PlayReady Header Specification.
    """
    guid = UUID(bytes=kid.raw).bytes_le
    value = b64encode(guid).decode("ascii")
    if scheme is Scheme.CENC:
        version = "4.0.0.0"
        checksum = b64encode(_aes_block(key, guid)[:8]).decode("ascii")
        data = (
            "<PROTECTINFO><KEYLEN>16</KEYLEN><ALGID>AESCTR</ALGID></PROTECTINFO>"
            f"<KID>{value}</KID><CHECKSUM>{checksum}</CHECKSUM>"
        )
    else:
        version = "4.3.0.0"
        data = f'<PROTECTINFO><KIDS><KID ALGID="AESCBC" VALUE="{value}"></KID></KIDS></PROTECTINFO>'
    namespace = "http://schemas.microsoft.com/DRM/2007/03/PlayReadyHeader"
    header = f'<WRMHEADER xmlns="{namespace}" version="{version}"><DATA>{data}</DATA></WRMHEADER>'.encode("utf-16-le")
    record = struct.pack("<HH", 1, len(header)) + header  # type 1: PlayReady Header
    return struct.pack("<IH", 6 + len(record), 1) + record


def _aes_block(key: ContentKey, block: bytes) -> bytes:
    encryptor = Cipher(algorithms.AES(key.reveal()), modes.ECB()).encryptor()  # noqa: S305 (one block, as specified)
    return encryptor.update(block) + encryptor.finalize()


def _varint(number: int) -> bytes:
    """Write a protocol buffer's variable-length integer: seven bits a byte, lowest first."""
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes(encoded) + bytes([number])
