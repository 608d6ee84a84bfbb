"""Generations of signing keys: one signs, older ones still read what they signed. Knows files, no sessions.

A generation has a key pair for cookies, a key for license tokens and one for path tokens. `key-ring.json` lists the
generations, oldest first; without it there is one, in files without its id in their names. Rotating writes the new
files first and the list last. A running stack keeps signing with its own generation; the next start takes the newest.
CloudFront: the same is a key group of two public keys, and two keys in the key value store of the function.
"""

from __future__ import annotations

import json
import secrets
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from penstock.errors import InvalidRequest, Unavailable
from penstock.formats import cookies
from penstock.private_files import write_private

LIST = "key-ring.json"
KEEP_S = 8 * 86400
"""Longer than anything signed is good for: a session lives a week at most from its last heartbeat."""
_SECRET, _SHARED = ("signing-key.pem",), ("signing-key.pub.pem", "token.key", "path-token.key")


@dataclass(frozen=True)
class Generation:
    id: str
    """CloudFront's key pair id, and the key id in tokens."""
    retired_at: int | None = None
    """Seconds since the epoch; None for the newest."""


@dataclass(frozen=True)
class KeyRing:
    folder: Path
    generations: tuple[Generation, ...]
    signing: str
    """Id of the generation that signs."""

    @property
    def signing_key(self) -> Path:
        return self._file(self.signing, "signing-key.pem")

    @property
    def public_keys(self) -> dict[str, Path]:
        return self._files("signing-key.pub.pem")

    @property
    def token_keys(self) -> dict[str, Path]:
        return self._files("token.key")

    @property
    def path_token_keys(self) -> dict[str, Path]:
        return self._files("path-token.key")

    def _files(self, name: str) -> dict[str, Path]:
        return {each.id: self._file(each.id, name) for each in self.generations}

    def _file(self, generation: str, name: str) -> Path:
        stem, _, suffix = name.partition(".")
        named = self.folder / f"{stem}.{generation}.{suffix}"
        return named if named.exists() else self.folder / name


def read(folder: Path, key_pair_id: str) -> KeyRing:
    """The key ring of a folder of secrets. `key_pair_id` is the generation that signs, if it is there, else the newest.

    Raises Unavailable for a list that cannot be read.
    """
    try:
        generations = tuple(Generation(**each) for each in json.loads((folder / LIST).read_text()))
        if not generations:
            raise ValueError("an empty list")
    except FileNotFoundError:
        return KeyRing(folder, (Generation(key_pair_id),), key_pair_id)
    except (OSError, ValueError, TypeError) as exc:
        raise Unavailable(f"{folder / LIST} cannot be read ({type(exc).__name__})") from exc
    known = {each.id for each in generations}
    return KeyRing(folder, generations, key_pair_id if key_pair_id in known else generations[-1].id)


def newest(folder: Path, key_pair_id: str) -> str:
    """The id of the generation that is to sign from the next start on; `key_pair_id` where none was ever rotated."""
    return read(folder, key_pair_id).generations[-1].id


def rotate(folder: Path, key_pair_id: str, now: float | None = None) -> str:
    """Make a new generation, which signs from the next start on; returns its id.

    Raises InvalidRequest for a folder without keys.
    """
    moment = int(time.time() if now is None else now)
    ring = read(folder, key_pair_id)
    if not all(file.exists() for file in ring.public_keys.values()):
        raise InvalidRequest(f"{folder} holds no signing key; `penstock up` makes the first one")
    made = f"penstock-{moment}-{secrets.token_hex(2)}"
    private, public = cookies.generate_key_pair()
    contents = {"pem": private, "pub.pem": public}
    for suffix, content in contents.items():
        write_private(folder / f"signing-key.{made}.{suffix}", content)
    write_private(folder / f"token.{made}.key", secrets.token_bytes(32))
    write_private(folder / f"path-token.{made}.key", new_path_token_key())
    retired = [Generation(each.id, each.retired_at or moment) for each in ring.generations]
    _write(folder, [*retired, Generation(made)])
    return made


def tidy(folder: Path, now: float | None = None) -> None:
    """Remove what nothing needs any more: private keys that sign no more, and generations retired long ago.

    Only for a folder that no stack runs on.
    """
    if not (folder / LIST).exists():
        return
    moment = time.time() if now is None else now
    ring = read(folder, "")
    for each in ring.generations[:-1]:
        over = each.retired_at is not None and each.retired_at < moment - KEEP_S
        for name in (*_SECRET, *(_SHARED if over else ())):
            ring._file(each.id, name).unlink(missing_ok=True)
    kept = [each for each in ring.generations if each.retired_at is None or each.retired_at >= moment - KEEP_S]
    _write(folder, kept)


def new_path_token_key() -> bytes:
    """43 ASCII characters: key value stores of CloudFront hold text."""
    return secrets.token_urlsafe(32).encode()


def _write(folder: Path, generations: list[Generation]) -> None:
    write_private(folder / LIST, json.dumps([asdict(each) for each in generations], indent=2).encode())
