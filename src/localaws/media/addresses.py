"""Addresses of objects, and the media types of what lies there. Pure."""

from __future__ import annotations

import re
from urllib.parse import unquote, urlsplit

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
    "ac3": "audio/ac3",
    "ec3": "audio/eac3",
    "vtt": "text/vtt",
    "srt": "application/x-subrip",
    "ttml": "application/ttml+xml",
    "xml": "application/xml",
    "cmft": "application/mp4",
    "ism": "application/vnd.ms-sstr+xml",
    "ismc": "application/vnd.ms-sstr+xml",
    "ismv": "video/mp4",
}


class AddressRefused(ValueError):
    """What names no object; the message is a sentence part that follows the setting's path."""


def object_address(uri: str) -> tuple[str, str]:
    """Bucket and object key of an s3:// address. The key is taken as it stands, without percent-decoding.

    Raises AddressRefused when it is not an address of an object or a prefix.
    """
    scheme, separator, rest = uri.partition("://")
    bucket, slash, object_key = rest.partition("/")
    if scheme != "s3" or not separator or not bucket or not slash:
        raise AddressRefused("must be s3://bucket/path")
    if len(object_key.encode()) > 1024:
        raise AddressRefused("an object key has at most 1024 bytes")
    if any(part in ("..", ".") for part in object_key.split("/")) or any(ord(c) < 32 for c in object_key):
        raise AddressRefused("the path must not have '.', '..' or control characters")
    return bucket, object_key


def source_address(uri: str) -> str:
    """The scheme of an address that media may be read from: s3, or http and https without a query.

    Raises AddressRefused for any other. Source:
    https://docs.aws.amazon.com/mediaconvert/latest/ug/http-input-requirements.html.
    """
    scheme = uri.partition("://")[0]
    if scheme not in ("http", "https"):
        object_address(uri)
        return "s3"
    parts = urlsplit(uri)
    if not parts.hostname or "@" in parts.netloc or not re.fullmatch(r"[!-~]{1,2048}", uri):
        raise AddressRefused("must be https://host/path without a user or spaces")
    if parts.query or parts.fragment:
        raise AddressRefused("must not have parameters after a ? or #")
    return scheme


def file_name(uri: str) -> str:
    """The last part of an address's path."""
    path = object_address(uri)[1] if uri.startswith("s3://") else unquote(urlsplit(uri).path)
    return path.rpartition("/")[2]


def content_type(name: str) -> str:
    return CONTENT_TYPES.get(name.rpartition(".")[2].lower(), "application/octet-stream")
