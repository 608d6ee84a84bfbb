"""File names as MediaConvert gives them: destination, name modifier, format identifiers, segment numbers. Pure.

Source: MediaConvert user guide, "Settings variables" and "Using settings variables with streaming outputs"; names of
real outputs (`film-videoinit.cmfv`, `film-video_000000001.cmfv`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from pathlib import PurePosixPath
from urllib.parse import quote

CONTENT_TYPES = {
    "mpd": "application/dash+xml",
    "m3u8": "application/vnd.apple.mpegurl",
    "cmfv": "video/mp4",
    "cmfa": "audio/mp4",
    "mp4": "video/mp4",
    "m4a": "audio/mp4",
    "jpg": "image/jpeg",
    "ts": "video/mp2t",
    "aac": "audio/aac",
}

DESTINATION_IDENTIFIERS = frozenset({"dt", "d", "t", "fn"})
OUTPUT_IDENTIFIERS = DESTINATION_IDENTIFIERS | {"rv", "ra", "rc", "w", "h", "f", "ex"}
# Times stand for the end of the segment there, which nobody knows beforehand.
SEGMENT_IDENTIFIERS = OUTPUT_IDENTIFIERS - {"dt", "d", "t"}
_IDENTIFIER = re.compile(r"\$(?:\$|([A-Za-z]+)(?:%0(\d{1,2}))?\$)")


class NameRefused(ValueError):
    """A destination or modifier that names no file; the message is a sentence part that follows the setting's path."""


@dataclass(frozen=True)
class Facts:
    """What format identifiers stand for. Rates in kb/s; `frame_rate` in frames per second."""

    started: datetime
    input_stem: str
    extension: str = ""
    width: int | None = None
    height: int | None = None
    frame_rate: Fraction | None = None
    video_kbps: int | None = None
    audio_kbps: int | None = None

    def value(self, identifier: str) -> str | None:
        kbps = [rate for rate in (self.video_kbps, self.audio_kbps) if rate is not None]
        values: dict[str, object] = {
            "dt": f"{self.started:%Y%m%dT%H%M%S}",
            "d": f"{self.started:%Y%m%d}",
            "t": f"{self.started:%H%M%S}",
            "fn": self.input_stem,
            "ex": self.extension or None,
            "w": self.width,
            "h": self.height,
            "f": None if self.frame_rate is None else int(self.frame_rate),
            "rv": self.video_kbps,
            "ra": self.audio_kbps,
            "rc": sum(kbps) if kbps else None,
        }
        found = values.get(identifier)
        return None if found is None else str(found)


def identifiers(text: str) -> set[str]:
    """The format identifiers used in `text`, without the dollar signs."""
    return {match[1] for match in _IDENTIFIER.finditer(text) if match[1]}


def expand(text: str, facts: Facts) -> str:
    """Replace format identifiers, `$$` by a dollar sign; `$h%04$` pads with zeros to four digits.

    Raises NameRefused for an identifier that has no value for this output.
    """

    def replace(match: re.Match[str]) -> str:
        if match[1] is None:
            return "$"
        value = facts.value(match[1])
        if value is None:
            raise NameRefused(f"${match[1]}$ has no value for this output")
        return value.zfill(int(match[2])) if match[2] else value

    return _IDENTIFIER.sub(replace, text)


@dataclass(frozen=True)
class Destination:
    """Where a group writes: `base` is the object key that every file name of the group begins with."""

    bucket: str
    base: str

    def uri(self, suffix: str) -> str:
        return f"s3://{self.bucket}/{self.base}{suffix}"


def object_address(uri: str) -> tuple[str, str]:
    """Bucket and object key of an s3:// address. The key is taken as it stands, without percent-decoding.

    Raises NameRefused when it is not an address of an object or a prefix.
    """
    scheme, separator, rest = uri.partition("://")
    bucket, slash, object_key = rest.partition("/")
    if scheme != "s3" or not separator or not bucket or not slash:
        raise NameRefused("must be s3://bucket/path")
    if len(object_key.encode()) > 1024:
        raise NameRefused("an object key has at most 1024 bytes")
    if any(part in ("..", ".") for part in object_key.split("/")) or any(ord(c) < 32 for c in object_key):
        raise NameRefused("the path must not have '.', '..' or control characters")
    return bucket, object_key


def destination(uri: str, facts: Facts) -> Destination:
    """A group's Destination, expanded. One that ends in a slash goes on with the input's name without extension."""
    bucket, base = object_address(uri)
    base = expand(base, facts)
    if base == "" or base.endswith("/"):
        base += facts.input_stem
    return Destination(bucket, base)


def input_stem(object_key: str) -> str:
    """The file name of the input without its extension."""
    return PurePosixPath(object_key).stem


def initialization(modifier: str, extension: str) -> str:
    """Suffix of an initialization segment after the destination's base."""
    return f"{modifier}init.{extension}"


def segment(modifier: str, extension: str, number: int) -> str:
    """Suffix of a media segment; numbers start at 1 and have nine digits."""
    return f"{modifier}_{number:09d}.{extension}"


def hls_segment(modifier: str, segment_modifier: str, extension: str, number: int) -> str:
    """Suffix of a segment of an HLS group; numbers start at 1 and have five digits."""
    return f"{modifier}{segment_modifier}_{number:05d}.{extension}"


def capture(modifier: str, extension: str, number: int) -> str:
    """Suffix of a captured frame; numbers start at 0 and have seven digits."""
    return f"{modifier}.{number:07d}.{extension}"


def media_file(modifier: str, extension: str) -> str:
    """Suffix of a whole media file or of an output's own playlist."""
    return f"{modifier}.{extension}"


def relative_reference(base: str, suffix: str) -> str:
    """A file of the group as a manifest of the same group refers to it: percent-encoded, relative to the manifest."""
    return quote(PurePosixPath(base).name + suffix, safe="!$&'()*+,;=@~-._")


def content_type(name: str) -> str:
    return CONTENT_TYPES.get(name.rpartition(".")[2].lower(), "application/octet-stream")
