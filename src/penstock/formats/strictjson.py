"""JSON from strangers: bounded, without duplicate members, NaN or anything else that two readers read differently.

Never raises anything but FormatError. Source: RFC 8259, with the interoperability rules of RFC 7493 (I-JSON).
"""

from __future__ import annotations

import json
from typing import Any, NoReturn

from penstock.errors import FormatError


def loads(document: bytes, *, max_bytes: int) -> Any:
    """Read one JSON text in UTF-8.

    Raises FormatError when it is longer than `max_bytes`, is not JSON, nests too deep, names a member twice, or holds
    a number that is not a plain one (NaN, Infinity, thousands of digits).
    """
    if len(document) > max_bytes:
        raise FormatError(f"the JSON has {len(document)} bytes, at most {max_bytes} are read")
    try:
        return json.loads(document.decode("utf-8"), object_pairs_hook=_unique_members, parse_constant=_refuse_constant)
    except UnicodeDecodeError as exc:
        raise FormatError(f"the JSON is not UTF-8 at byte {exc.start}") from exc
    except (ValueError, RecursionError) as exc:
        raise FormatError(f"not readable as JSON: {exc}") from exc


def _unique_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise FormatError("a JSON object names a member twice")
    return members


def _refuse_constant(name: str) -> NoReturn:
    raise FormatError(f"{name} is not a JSON number")
