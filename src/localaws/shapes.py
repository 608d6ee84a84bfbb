"""JSON of an AWS request or response, read and written by the shapes of botocore's service models.

Reads strictly: an unknown member, a wrong type, an unknown enum value, a missing member or a value out of bounds is
named with its path, as the caller spelled it. Never fills in defaults: what was not sent is not there.
"""

from __future__ import annotations

import base64
import binascii
import difflib
import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from botocore.model import ListShape, MapShape, Shape, StructureShape

MAX_PROBLEMS = 10
# SPEKE addresses: AWS takes https alone, and the provider takes http to a loopback address too.
_LEFT_TO_THE_PROVIDER = {r"^https:\/\/[^:@\/]*(:\d*)?(\/.*)?$"}
_PYTHON_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "long": (int,),
    "double": (int, float),
    "float": (int, float),
    "boolean": (bool,),
    "list": (list,),
    "map": (dict,),
    "structure": (dict,),
    "blob": (str,),
    "timestamp": (int, float, str),
}


class Misfit(Exception):
    """A document that does not fit its shape; the message names every problem with its path."""


def read(shape: StructureShape, document: Any) -> dict[str, Any]:
    """Members by their model names from a JSON document with wire names. Raises Misfit."""
    problems: list[str] = []
    value = _read(shape, document, "", problems)
    if problems:
        more = f" (and {len(problems) - MAX_PROBLEMS} more)" if len(problems) > MAX_PROBLEMS else ""
        raise Misfit("; ".join(problems[:MAX_PROBLEMS]) + more)
    members: dict[str, Any] = value
    return members


def read_text(shape: Shape, text: str, name: str) -> Any:
    """A member that travels in the path or the query, as text. Raises Misfit."""
    value: Any = text
    if shape.type_name in ("integer", "long"):
        if not re.fullmatch(r"-?[0-9]{1,18}", text):
            raise Misfit(f"{name}: {text[:64]!r} is not a whole number")
        value = int(text)
    problems: list[str] = []
    value = _read(shape, value, name, problems)
    if problems:
        raise Misfit("; ".join(problems))
    return value


def missing(shape: StructureShape, members: dict[str, Any]) -> list[str]:
    """Required members that are not there, by their wire names."""
    return [wire_name(shape, name) for name in shape.required_members if members.get(name) is None]


def wire_name(shape: StructureShape, member: str) -> str:
    return str(shape.members[member].serialization.get("name", member))


def write(shape: Shape, value: Any) -> Any:
    """JSON with wire names from members with model names; members that are None or not in the model are left out."""
    if isinstance(shape, StructureShape):
        return {
            wire_name(shape, name): write(member, value[name])
            for name, member in shape.members.items()
            if value.get(name) is not None
        }
    if isinstance(shape, ListShape):
        return [write(shape.member, item) for item in value]
    if isinstance(shape, MapShape):
        return {key: write(shape.value, item) for key, item in value.items()}
    if isinstance(value, datetime):
        return value.timestamp()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return value


def _read(shape: Shape, value: Any, path: str, problems: list[str]) -> Any:
    expected = _PYTHON_TYPES[shape.type_name]
    if not isinstance(value, expected) or (isinstance(value, bool) and bool not in expected):
        problems.append(f"{path or 'the request'}: a {shape.type_name} is needed, got {_shown(value)}")
        return None
    if isinstance(shape, StructureShape):
        return _read_structure(shape, value, path, problems)
    if isinstance(shape, ListShape):
        _check_bounds(shape, len(value), f"{path}: it has {len(value)} items", problems)
        return [_read(shape.member, item, f"{path}[{index}]", problems) for index, item in enumerate(value)]
    if isinstance(shape, MapShape):
        _check_bounds(shape, len(value), f"{path}: it has {len(value)} entries", problems)
        return {key: _read(shape.value, item, f"{path}.{key}", problems) for key, item in value.items()}
    if isinstance(value, str):
        return _read_string(shape, value, path, problems)
    if shape.type_name == "timestamp":
        return datetime.fromtimestamp(value, UTC)
    _check_bounds(shape, value, f"{path}: it is {_shown(value)}", problems)
    return value


def _read_structure(shape: StructureShape, value: dict[str, Any], path: str, problems: list[str]) -> dict[str, Any]:
    known = {wire_name(shape, name): name for name in shape.members}
    members: dict[str, Any] = {}
    for wire, item in value.items():
        here = f"{path}.{wire}" if path else wire
        if wire not in known:
            near = difflib.get_close_matches(wire, known, 1)
            problems.append(f"{here[:200]}: there is no such member" + (f"; did you mean {near[0]}?" if near else ""))
        elif item is not None:
            members[known[wire]] = _read(shape.members[known[wire]], item, here, problems)
    problems += [f"{path}.{name}".lstrip(".") + ": it is required" for name in missing(shape, members)]
    return members


def _read_string(shape: Shape, value: str, path: str, problems: list[str]) -> Any:
    if shape.type_name == "blob":
        try:
            return base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            problems.append(f"{path}: it is not base64")
            return None
    if shape.type_name == "timestamp":
        try:
            return datetime.fromisoformat(value)
        except ValueError:
            problems.append(f"{path}: it is not an ISO 8601 time")
            return None
    values = getattr(shape, "enum", None)
    if values and value not in values:
        shown = ", ".join(values[:12]) + (", ..." if len(values) > 12 else "")
        problems.append(f"{path}: {_shown(value)} is not one of {shown}")
    _check_bounds(shape, len(value), f"{path}: it has {len(value)} characters", problems)
    pattern = shape.metadata.get("pattern")
    if pattern and pattern not in _LEFT_TO_THE_PROVIDER and not _compiled(pattern).search(value[:4096]):
        problems.append(f"{path}: {_shown(value)} does not match {pattern}")
    return value


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


def _check_bounds(shape: Shape, size: float, found: str, problems: list[str]) -> None:
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    if (least is not None and size < least) or (most is not None and size > most):
        bounds = f"{least if least is not None else ''}..{most if most is not None else ''}"
        problems.append(f"{found}, allowed is {bounds}")


def _shown(value: Any) -> str:
    """A short form for messages; of containers only what they are, for they may hold what must not be shown."""
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    text = repr(value)
    return text if len(text) <= 64 else text[:61] + "..."
