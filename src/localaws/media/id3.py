"""ID3 tags as HLS carries them: private frames for players, and where a tag ends.

Pure. Source: ID3 tag version 2.4.0, main structure, 3.1 (header), 4 (frames), 6.2 (synchsafe integers), and native
frames, 4.27 (PRIV).
"""

from __future__ import annotations

_HEADER_BYTES = 10


def private_frame(owner: str, content: bytes) -> bytes:
    """A PRIV frame."""
    body = owner.encode("latin-1") + b"\x00" + content
    return b"PRIV" + _synchsafe(len(body)) + b"\x00\x00" + body


def tag(*frames: bytes) -> bytes:
    body = b"".join(frames)
    return b"ID3\x04\x00\x00" + _synchsafe(len(body)) + body


def size_bytes(data: bytes, offset: int) -> int:
    """Bytes of the tag that begins at `offset`; 0 where none does."""
    if data[offset : offset + 3] != b"ID3":
        return 0
    size = data[offset + 6 : offset + _HEADER_BYTES]
    return _HEADER_BYTES + sum(byte << 7 * place for place, byte in enumerate(reversed(size)))


def _synchsafe(number: int) -> bytes:
    return bytes(number >> shift & 0x7F for shift in (21, 14, 7, 0))
