"""Range and conditional requests on one complete representation, decided from headers alone.

Never reads a file. Source: RFC 9110, sections 8.8, 13 and 14.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

Header = Callable[[str], str | None]
"""Looks up a request header by its lower-case name."""

_ONE_RANGE = re.compile(r"bytes=[ \t]*(\d*)-(\d*)[ \t]*", re.IGNORECASE | re.ASCII)
_MAX_DIGITS = 19
"""More digits than any file has bytes; Python refuses to read thousands of them."""


class Unsatisfiable(Exception):
    """The one range asked for lies outside the representation: 416."""


def byte_range(header: str | None, size_bytes: int) -> tuple[int, int] | None:
    """Read a Range header as start and end (exclusive) in bytes, within 0 and `size_bytes`.

    None stands for the whole representation: no header, another unit, a malformed or reversed range, several ranges (a
    server may ignore those). Raises Unsatisfiable.
    """
    found = _ONE_RANGE.fullmatch(header) if header else None
    if found is None or found[1] == found[2] == "":
        return None
    if found[1] == "":
        wanted = _number(found[2])
        if wanted == 0 or size_bytes == 0:
            raise Unsatisfiable
        return max(0, size_bytes - wanted), size_bytes
    start = _number(found[1])
    last = _number(found[2]) if found[2] else size_bytes - 1
    if found[2] and last < start:
        return None
    if start >= size_bytes:
        raise Unsatisfiable
    return start, min(last, size_bytes - 1) + 1


def precondition(header: Header, *, etag: str, modified: datetime | None) -> int | None:
    """Evaluate a GET's or HEAD's conditions; returns 304, 412, or None to go on. Source: RFC 9110, 13.2.2."""
    if (if_match := header("if-match")) is not None:
        if not _lists(if_match, etag, weak=False):
            return 412
    elif (since := _date(header("if-unmodified-since"))) and modified and modified > since:
        return 412
    if (if_none_match := header("if-none-match")) is not None:
        return 304 if _lists(if_none_match, etag, weak=True) else None
    if (since := _date(header("if-modified-since"))) and modified and modified <= since:
        return 304
    return None


def range_applies(if_range: str | None, *, etag: str, modified: datetime | None) -> bool:
    """Tell whether a Range is to be honoured: there is no If-Range, or it names exactly this representation."""
    if if_range is None:
        return True
    if if_range.startswith('"'):
        return if_range == etag
    return modified is not None and _date(if_range) == modified


def http_date(text: str | None) -> datetime | None:
    """Read an HTTP date, aware, in UTC; None when there is none or it is not a date."""
    return _date(text)


def _date(text: str | None) -> datetime | None:
    if not text or len(text) > 64:
        return None
    try:
        moment = parsedate_to_datetime(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def _number(digits: str) -> int:
    digits = digits.lstrip("0")
    return int(digits or "0") if len(digits) <= _MAX_DIGITS else 10**_MAX_DIGITS


def _lists(header: str, etag: str, *, weak: bool) -> bool:
    """Tell whether an entity tag is in a list of them, by weak or strong comparison."""
    if header.strip() == "*":
        return True
    tags = [tag.strip() for tag in header.split(",")]
    if weak:
        return etag.removeprefix("W/") in (tag.removeprefix("W/") for tag in tags)
    return not etag.startswith("W/") and etag in tags
