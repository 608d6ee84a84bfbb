"""Files that only their owner can read."""

from __future__ import annotations

import os
from pathlib import Path

from penstock.errors import Unavailable


def write_private(path: Path, content: bytes) -> None:
    """Write a file only its owner can read, whole or not at all, even when the machine stops half way."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def read_private(path: Path) -> bytes:
    """What a secret file holds. Raises Unavailable naming a file that is empty or cannot be read."""
    try:
        content = path.read_bytes()
    except OSError as exc:
        raise Unavailable(f"the secret {path} cannot be read ({exc.strerror}); `penstock up` makes it") from exc
    if not content.strip():
        raise Unavailable(f"the secret {path} is empty")
    return content


def read_private_text(path: Path) -> str:
    """Likewise for a secret that is ASCII text, which is never repeated."""
    try:
        return read_private(path).decode("ascii").strip()
    except UnicodeDecodeError:
        raise Unavailable(f"the secret {path} is damaged: it holds bytes that are no text") from None
