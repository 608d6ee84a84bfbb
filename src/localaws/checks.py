"""Reads the members of decoded JSON one by one, each with a check; every refusal names the path of what is wrong."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from penstock.errors import InvalidRequest


class Members:
    """The members of one JSON object, taken one by one; what is left over at the end is unknown."""

    def __init__(self, value: object, where: str) -> None:
        if not isinstance(value, dict):
            raise InvalidRequest(f"{where or 'the document'} is not a JSON object")
        self._left = dict(value)
        self._where = where

    def take(self, name: str, read: Callable[[Any, str], Any], *default: Any) -> Any:
        where = f"{self._where}.{name}" if self._where else name
        if name not in self._left:
            if default:
                return default[0]
            raise InvalidRequest(f"{where} is missing")
        return read(self._left.pop(name), where)

    def end(self) -> None:
        if self._left:
            names = ", ".join(f"{self._where}.{name}" if self._where else str(name) for name in sorted(self._left))
            raise InvalidRequest(f"{names}: not known here")


def text(value: Any, where: str) -> str:
    if not isinstance(value, str) or not value:
        raise InvalidRequest(f"{where} is not a text, or is empty")
    return value


def flag(value: Any, where: str) -> bool:
    if not isinstance(value, bool):
        raise InvalidRequest(f"{where} is neither true nor false")
    return value


def json_object(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InvalidRequest(f"{where} is not a JSON object")
    return value


def absolute_path(value: Any, where: str) -> Path:
    path = Path(text(value, where))
    if not path.is_absolute():
        raise InvalidRequest(f"{where} is not an absolute path: {value}")
    return path


def url(value: Any, where: str) -> str:
    address = text(value, where)
    if not re.fullmatch(r"https?://[^/\s]+(/\S*)?", address):
        raise InvalidRequest(f"{where} is not an http or https address: {address}")
    return address


def port(value: Any, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 65535:
        raise InvalidRequest(f"{where} is not a port number (0 to 65535): {value!r}")
    return value


def positive(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < float("inf"):
        raise InvalidRequest(f"{where} is not a number greater than 0: {value!r}")
    return float(value)


def list_of(read: Callable[[Any, str], Any]) -> Callable[[Any, str], tuple[Any, ...]]:
    def read_list(value: Any, where: str) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise InvalidRequest(f"{where} is not a list")
        return tuple(read(item, f"{where}[{index}]") for index, item in enumerate(value))

    return read_list


def map_of(read: Callable[[Any, str], Any]) -> Callable[[Any, str], dict[str, Any]]:
    def read_map(value: Any, where: str) -> dict[str, Any]:
        return {name: read(item, f"{where}.{name}") for name, item in json_object(value, where).items()}

    return read_map


def any_text(value: Any, where: str) -> str:
    if not isinstance(value, str) or "\0" in value:
        raise InvalidRequest(f"{where} is not a text")
    return value


def refuse_repeated(where: str, names: Iterable[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise InvalidRequest(f"{where} names {name} twice")
        seen.add(name)
