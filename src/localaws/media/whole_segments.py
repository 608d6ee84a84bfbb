"""AES-128 of HLS: whole segments encrypted with AES-128 in CBC mode and PKCS7 padding. Source: RFC 8216, 4.3.2.4."""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7

from penstock.model import ContentKey

_CHUNK_BYTES = 2**20


def encrypt(path: Path, key: ContentKey, iv: bytes) -> None:
    """Encrypt a file in place, whole or not at all."""
    part = path.with_suffix(".encrypting")
    encryptor = Cipher(algorithms.AES128(key.reveal()), modes.CBC(iv)).encryptor()
    padder = PKCS7(128).padder()
    with path.open("rb") as clear, part.open("wb") as out:
        while chunk := clear.read(_CHUNK_BYTES):
            out.write(encryptor.update(padder.update(chunk)))
        out.write(encryptor.update(padder.finalize()) + encryptor.finalize())
    part.replace(path)


def sequence_iv(number: int) -> bytes:
    """The IV of a segment whose key tag names none: its media sequence number."""
    return number.to_bytes(16)
