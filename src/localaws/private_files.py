"""Files that only their owner can read: configuration with credentials, and secrets made here."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from penstock.errors import InvalidRequest


def write_private(path: Path, content: str | bytes) -> None:
    """Write a file that only its owner can read, in one step: a reader sees the old content or the new."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = content.encode() if isinstance(content, str) else content
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def secret_file(path: Path) -> str:
    """Read the secret text in `path`, making a random one when there is none."""
    if not path.exists():
        write_private(path, secrets.token_urlsafe(32))
    if not (text := path.read_text().strip()):
        raise InvalidRequest(f"{path} is empty, it should hold a secret; delete it to get a new one")
    return text
