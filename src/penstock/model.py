"""The values every part speaks of: assets, renditions, keys, playback sessions. Frozen, without I/O."""

from __future__ import annotations

import base64
import binascii
import secrets
import uuid
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, NoReturn

from penstock.errors import InvalidRequest


class AssetState(StrEnum):
    WAITING = "waiting"
    """No source has arrived yet."""
    CONVERTING = "converting"
    PACKAGING = "packaging"
    PUBLISHED = "published"
    FAILED = "failed"


class Scheme(StrEnum):
    """Common encryption schemes of ISO/IEC 23001-7."""

    CENC = "cenc"
    CBCS = "cbcs"


@dataclass(frozen=True, order=True)
class KeyId:
    """The public 16 bytes that name a content key. The only place that converts between its spellings."""

    raw: bytes

    def __post_init__(self) -> None:
        if len(self.raw) != 16:
            raise InvalidRequest(f"a key id has 16 bytes, got {len(self.raw)}")

    @classmethod
    def from_uuid(cls, text: str) -> KeyId:
        """Read hyphenated or plain hexadecimal, in any case."""
        try:
            return cls(uuid.UUID(text).bytes)
        except (ValueError, AttributeError) as exc:
            raise InvalidRequest(f"a key id is a UUID, got {text[:64]!r}") from exc

    @classmethod
    def from_base64url(cls, text: str) -> KeyId:
        """Read base64url without padding, as EME's ClearKey license requests have it."""
        try:
            raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError) as exc:
            raise InvalidRequest(f"a key id is base64url, got {text[:64]!r}") from exc
        return cls(raw)

    @property
    def hex(self) -> str:
        return self.raw.hex()

    @property
    def base64url(self) -> str:
        return base64.urlsafe_b64encode(self.raw).rstrip(b"=").decode()

    def __str__(self) -> str:
        return str(uuid.UUID(bytes=self.raw))


class ContentKey:
    """16 secret bytes. Silent in repr and str, refused by json and pickle; `reveal` is the one way out."""

    __slots__ = ("_raw",)

    def __init__(self, raw: bytes) -> None:
        if len(raw) != 16:
            raise InvalidRequest(f"a content key has 16 bytes, got {len(raw)}")
        self._raw = bytes(raw)

    def reveal(self) -> bytes:
        return self._raw

    def __repr__(self) -> str:
        return "ContentKey(<hidden>)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ContentKey) and secrets.compare_digest(self._raw, other._raw)

    def __hash__(self) -> int:
        return hash(self._raw)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a ContentKey is not to be pickled or copied out of the process")


@dataclass(frozen=True)
class Problem:
    """Why an asset failed: a stable code and a sentence a person can act on."""

    code: str
    message: str


@dataclass(frozen=True)
class Asset:
    """The title a viewer may watch."""

    id: str
    title: str
    state: AssetState
    created_at: datetime
    error: Problem | None = None
    duration_s: float | None = None
    percent: int | None = None
    """Progress of the conversion, 0 to 100, while converting."""


JsonObject = dict[str, Any]
"""A decoded JSON object whose members are checked by whoever reads them."""


@dataclass(frozen=True)
class PlaybackSession:
    """One granted playback. `cookies`, tokens and addresses with them are secrets of the viewer."""

    id: str
    asset_id: str
    viewer: str
    created_at: datetime
    expires_at: datetime
    seen_at: datetime | None = None
    dash_url: str | None = None
    hls_url: str | None = None
    dash_token_url: str | None = field(default=None, repr=False)
    hls_token_url: str | None = field(default=None, repr=False)
    license_url: str | None = None
    """Of ClearKey licenses; None where a DRM vendor gives them."""
    drm: dict[str, JsonObject] = field(default_factory=dict, repr=False)
    """How a player gets licenses of a vendor, by EME's name of the DRM system."""
    watch_url: str = field(default="", repr=False)
    license_token: str = field(default="", repr=False)
    cookies: dict[str, str] = field(default_factory=dict, repr=False)
