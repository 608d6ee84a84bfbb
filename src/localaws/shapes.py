"""Values and their JSON form on the wire, by the shapes of botocore's service models.

Reading is strict: an unknown member, a wrong type, a value outside the model's enumeration, range, length or pattern is
refused with its path, spelled as on the wire (`settings.outputGroups[0].name`). Never fills in defaults: what was not
sent is not there.
"""

from __future__ import annotations

import base64
import binascii
import difflib
import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from botocore.model import ListShape, MapShape, Shape, StringShape, StructureShape

MAX_PROBLEMS = 10
MAX_PATTERN_CHARS = 4096
"""Longest text that a pattern is tried on; some patterns of the models take quadratic time."""
_NEVER_SHOWN = ("statickeyvalue",)
"""What no problem repeats: a text that does not match may be a key with a slip."""

# SPEKE addresses: AWS takes https alone, and the provider takes http to a loopback address too.
_LEFT_TO_THE_PROVIDER = {r"^https:\/\/[^:@\/]*(:\d*)?(\/.*)?$"}


class Misfit(Exception):
    """What is wrong with a request, one sentence for each problem, at most MAX_PROBLEMS of them."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems[:MAX_PROBLEMS]))
        self.problems = problems[:MAX_PROBLEMS]


def read(shape: StructureShape, document: Mapping[str, Any]) -> dict[str, Any]:
    """Turn a decoded JSON object into a dict by member names, checked in full. Raises Misfit.

    Members with `null` count as absent, as AWS has it. Timestamps become aware datetimes (UTC), blobs bytes.
    """
    problems: list[str] = []
    value = _structure(shape, document, "", problems)
    if problems:
        raise Misfit(problems)
    assert value is not None
    return value


def read_text(shape: Shape, text: str, where: str) -> Any:
    """Turn a text from a path, query or header into the value of `shape`. Raises Misfit naming `where`."""
    value: Any = text
    if shape.type_name in ("integer", "long"):
        value = int(text) if re.fullmatch(r"-?[0-9]{1,18}", text) else text
    elif shape.type_name in ("double", "float"):
        value = float(text) if re.fullmatch(r"-?[0-9]{1,18}(\.[0-9]{1,18})?", text) else text
    elif shape.type_name == "boolean":
        value = {"true": True, "false": False}.get(text, text)
    problems: list[str] = []
    value = _value(shape, value, where, problems)
    if problems:
        raise Misfit(problems)
    return value


def write(shape: Shape, value: Any, where: str = "") -> Any:
    """Turn a value into its JSON form; members that are None are left out.

    Raises ValueError for a member that the model does not have: a mistake of ours that no client should have to find.
    """
    if isinstance(shape, StructureShape):
        if unknown := sorted(value.keys() - shape.members.keys()):
            raise ValueError(f"{shape.name}{where} has no member {unknown[0]}")
        return {
            _spelled(shape.members[name], name): write(shape.members[name], item, f"{where}.{name}")
            for name, item in value.items()
            if item is not None
        }
    if isinstance(shape, ListShape):
        return [write(shape.member, item, f"{where}[{index}]") for index, item in enumerate(value)]
    if isinstance(shape, MapShape):
        return {key: write(shape.value, item, f"{where}.{key}") for key, item in value.items()}
    if shape.type_name == "timestamp":
        return _write_time(shape, value)
    if shape.type_name == "blob":
        return base64.b64encode(value).decode()
    return value


def members_at(shape: StructureShape, location: str | None) -> dict[str, tuple[str, Shape]]:
    """Wire name -> (member name, shape) of the members at `location`: uri, querystring or header; None is the body."""
    return {
        _spelled(member, name): (name, member)
        for name, member in shape.members.items()
        if member.serialization.get("location") == location
    }


def _spelled(member: Shape, name: str) -> str:
    spelled: str = member.serialization.get("name", name)
    return spelled


def _write_time(shape: Shape, value: datetime) -> float | int | str:
    if value.tzinfo is None:
        raise ValueError(f"{shape.name}: a time without time zone")
    if shape.serialization.get("timestampFormat") == "iso8601":
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    seconds = round(value.timestamp(), 3)
    return int(seconds) if seconds == int(seconds) else seconds


def _value(shape: Shape, value: Any, where: str, problems: list[str]) -> Any:
    return None if len(problems) >= MAX_PROBLEMS else _READERS[shape.type_name](shape, value, where, problems)


def _structure(shape: StructureShape, value: Any, where: str, problems: list[str]) -> dict[str, Any] | None:
    if not isinstance(value, dict):
        problems.append(f"{where or 'the body'} is to be an object, not {_kind(value)}")
        return None
    known = members_at(shape, None)
    result: dict[str, Any] = {}
    for spelled, item in value.items():
        inner = f"{where}.{spelled}" if where else spelled
        if spelled not in known:
            near = difflib.get_close_matches(spelled[:128], known, 1, 0.7)
            problems.append(f"{inner[:300]} is not known" + (f"; did you mean {near[0]}?" if near else ""))
        elif item is not None:
            name, member = known[spelled]
            result[name] = _value(member, item, inner, problems)
        if len(problems) >= MAX_PROBLEMS:
            return None
    missing = [spelled for spelled, (name, _) in known.items() if name in shape.required_members and name not in result]
    problems.extend(f"{where}.{spelled} is required".lstrip(".") for spelled in missing)
    if shape.is_tagged_union and len(result) != 1:
        problems.append(f"{where} is to have exactly one member, not {len(result)}")
    return result


def _list(shape: ListShape, value: Any, where: str, problems: list[str]) -> list[Any] | None:
    if not isinstance(value, list):
        problems.append(f"{where} is to be a list, not {_kind(value)}")
        return None
    _check_range(shape, len(value), where, "items", problems)
    return [_value(shape.member, item, f"{where}[{index}]", problems) for index, item in enumerate(value)]


def _map(shape: MapShape, value: Any, where: str, problems: list[str]) -> dict[str, Any] | None:
    if not isinstance(value, dict):
        problems.append(f"{where} is to be an object, not {_kind(value)}")
        return None
    _check_range(shape, len(value), where, "entries", problems)
    result = {}
    for key, item in value.items():
        _value(shape.key, key, f"{where}: the key {key[:64]!r}", problems)
        if item is not None:
            result[key] = _value(shape.value, item, f"{where}.{key[:64]}", problems)
    return result


def _string(shape: StringShape, value: Any, where: str, problems: list[str]) -> str | None:
    if not isinstance(value, str):
        problems.append(f"{where} is to be a text, not {_kind(value)}")
        return None
    if any("\ud800" <= character <= "\udfff" for character in value):
        problems.append(f"{where} has half of a surrogate pair, which is no character")
        return None
    _check_range(shape, len(value), where, "characters", problems)
    if shape.enum and value not in shape.enum:
        problems.append(f"{where} is {value[:64]!r}; it can be {_choices(shape.enum)}")
    elif (pattern := shape.metadata.get("pattern")) and not _matches(pattern, value):
        shown = "given" if where.lower().endswith(_NEVER_SHOWN) else repr(value[:64])
        problems.append(f"{where} is {shown}, which does not match {pattern}")
    return value


def _choices(names: list[str]) -> str:
    shown = ", ".join(names[:12])
    return f"{shown} and {len(names) - 12} more" if len(names) > 12 else shown


def _matches(pattern: str, text: str) -> bool:
    if pattern in _LEFT_TO_THE_PROVIDER or (compiled := _compiled(pattern)) is None:
        return True
    if len(text) > MAX_PATTERN_CHARS:
        return False
    # MediaConvert's patterns say where they begin and end (`^s3://`), EventBridge's mean the whole text.
    return (compiled.search(text) if pattern.startswith("^") else compiled.fullmatch(text)) is not None


@lru_cache(maxsize=512)
def _compiled(pattern: str) -> re.Pattern[str] | None:
    """The pattern, or None for the few that are not Python's (`\\p{L}`)."""
    try:
        return re.compile(re.sub(r"(?<!\\)\$$", r"\\Z", pattern))
    except re.error:
        return None


def _integer(shape: Shape, value: Any, where: str, problems: list[str]) -> int | None:
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        problems.append(f"{where} is to be a whole number, not {_kind(value)}")
        return None
    bits = 31 if shape.type_name == "integer" else 63
    if not -(2**bits) <= value < 2**bits:
        problems.append(f"{where} is outside the range of {bits + 1} bits")
        return None
    _check_range(shape, value, where, "", problems)
    return value


def _double(shape: Shape, value: Any, where: str, problems: list[str]) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not -1e308 <= value <= 1e308:
        problems.append(f"{where} is to be a number, not {_kind(value)}")
        return None
    _check_range(shape, value, where, "", problems)
    return value


def _boolean(_shape: Shape, value: Any, where: str, problems: list[str]) -> bool | None:
    if not isinstance(value, bool):
        problems.append(f"{where} is to be true or false, not {_kind(value)}")
        return None
    return value


def _timestamp(_shape: Shape, value: Any, where: str, problems: list[str]) -> datetime | None:
    try:
        if isinstance(value, str):
            moment = datetime.fromisoformat(value)
            return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            return datetime.fromtimestamp(value, UTC)
    except (ValueError, OverflowError, OSError):
        pass
    problems.append(f"{where} is to be a time, in seconds since 1970 or ISO 8601")
    return None


def _blob(_shape: Shape, value: Any, where: str, problems: list[str]) -> bytes | None:
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError, TypeError):
        problems.append(f"{where} is to be base64")
        return None


def _check_range(shape: Shape, size: float, where: str, unit: str, problems: list[str]) -> None:
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if (low is None or size >= low) and (high is None or size <= high):
        return
    bounds = f"at least {low}" if high is None else f"at most {high}" if low is None else f"{low} to {high}"
    found, allowed = (f"has {size} {unit}", "have") if unit else (f"is {size}", "be")
    problems.append(f"{where} {found}; it can {allowed} {bounds}")


_KINDS: list[tuple[type, str]] = [
    (bool, "true or false"),
    (int, "a number"),
    (float, "a number"),
    (str, "a text"),
    (list, "a list"),
    (dict, "an object"),
]


def _kind(value: Any) -> str:
    return next((name for kind, name in _KINDS if isinstance(value, kind)), "null")


_READERS: dict[str, Callable[[Any, Any, str, list[str]], Any]] = {
    "structure": _structure,
    "list": _list,
    "map": _map,
    "string": _string,
    "character": _string,
    "integer": _integer,
    "long": _integer,
    "double": _double,
    "float": _double,
    "boolean": _boolean,
    "timestamp": _timestamp,
    "blob": _blob,
}
