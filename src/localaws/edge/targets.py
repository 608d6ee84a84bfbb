"""Request targets: which paths the edge takes, which pattern they match, how they are spelled in a URL.

Never decodes a path that something else reads encoded. Granian hands over the path percent-decoded once, so an encoded
slash is a slash here: pattern, policy and object key are all judged by that one decoded text and cannot disagree.
Source: Amazon CloudFront Developer Guide, "Cache behavior settings" (path pattern).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import quote, unquote

MAX_PATH_CHARS = 2048

_UNSAFE = re.compile(r"[\x00-\x1f\x7f\\\ufffd]")
"""Control characters, backslashes, and the sign that Granian puts for bytes that are not UTF-8."""

# RFC 3986: what a path may hold as it is. Signers disagree on the second half, see `spellings`.
_UNRESERVED = "/-._~"
_PCHAR = _UNRESERVED + "!$&'()*+,;=:@"
_NOTHING_TO_ENCODE = re.compile(r"[A-Za-z0-9/._~-]*", re.ASCII)


def is_clean(path: str) -> bool:
    """Tell whether a decoded path means the same to everybody who may read it after us.

    Refused: anything but an absolute path, `.` and `..` and empty segments, backslashes, control characters, broken
    UTF-8, and double encoding that would turn into one of these if somebody decoded once more.
    """
    if not _is_plain(path):
        return False
    if "%" not in path:
        return True
    again = unquote(path, errors="replace")
    return again.count("/") == path.count("/") and _is_plain(again)


def spellings(path: str) -> tuple[str, ...]:
    """Percent-encode a decoded path in the ways a signer may have written it, the browser's way first.

    URL libraries either leave RFC 3986's sub-delimiters alone or encode them; both name the same object.
    """
    if _NOTHING_TO_ENCODE.fullmatch(path):
        return (path,)
    browser, strict = quote(path, safe=_PCHAR), quote(path, safe=_UNRESERVED)
    return (browser,) if browser == strict else (browser, strict)


def matcher(pattern: str) -> Callable[[str], bool]:
    """Make a test for a behavior's path pattern, where `*` is any characters and `?` one; case counts.

    The test takes a decoded, clean path.
    """
    prefix = pattern.rstrip("*")
    if prefix != pattern and not set(prefix) & {"*", "?"}:
        return lambda path: path.startswith(prefix)
    parts = (".*" if sign == "*" else "." if sign == "?" else re.escape(sign) for sign in pattern)
    compiled = re.compile("".join(parts), re.DOTALL)
    return lambda path: compiled.fullmatch(path) is not None


def _is_plain(path: str) -> bool:
    if not path.startswith("/") or len(path) > MAX_PATH_CHARS or _UNSAFE.search(path):
        return False
    *folders, name = path[1:].split("/")
    return name not in {".", ".."} and not any(folder in {"", ".", ".."} for folder in folders)
