"""EventBridge event patterns: which events a rule wants. Pure.

Offered: exact values, prefix, suffix, equals-ignore-case, anything-but (values, prefix, suffix), numeric, exists,
wildcard. Source: EventBridge user guide, "Amazon EventBridge event patterns" and "Comparison operators".
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

from penstock.errors import InvalidRequest

_ABSENT = object()
_NUMERIC: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def check(pattern: object, where: str = "pattern") -> None:
    """Raises InvalidRequest naming what in `pattern` is not an event pattern, or is one that is not offered."""
    if not isinstance(pattern, dict) or not pattern:
        raise InvalidRequest(f"{where} is to be an object with at least one member")
    for name, wanted in pattern.items():
        inner = f"{where}.{name}"
        if name == "$or":
            raise InvalidRequest(f"{inner} is not offered")
        if isinstance(wanted, dict):
            check(wanted, inner)
        elif not isinstance(wanted, list) or not wanted:
            raise InvalidRequest(f"{inner} is to be a list of values, or an object")
        else:
            for index, test in enumerate(wanted):
                _check_test(test, f"{inner}[{index}]")


def matches(pattern: Mapping[str, Any], event: object) -> bool:
    """Whether `event` has what every member of `pattern` asks for; `check` has passed the pattern."""
    if not isinstance(event, Mapping):
        event = {}
    return all(
        matches(wanted, event.get(name)) if isinstance(wanted, Mapping) else _any(wanted, event.get(name, _ABSENT))
        for name, wanted in pattern.items()
    )


def _any(tests: list[Any], value: object) -> bool:
    # Of a list in the event, any element may fit.
    values = value if isinstance(value, list) else [value]
    return any(_fits(test, each) for test in tests for each in (values or [_ABSENT]))


def _fits(test: object, value: object) -> bool:
    if isinstance(test, dict):
        name, argument = next(iter(test.items()))
        return _OPERATORS[name](argument, value)
    return _same(test, value)


def _same(wanted: object, value: object) -> bool:
    # True is not 1 in JSON.
    return isinstance(wanted, bool) == isinstance(value, bool) and wanted == value


def _anything_but(argument: Any, value: object) -> bool:
    if value is _ABSENT:
        return False
    if isinstance(argument, dict):
        return not _fits(argument, value)
    return not any(_same(each, value) for each in (argument if isinstance(argument, list) else [argument]))


def _numeric(argument: list[Any], value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return all(_NUMERIC[sign](value, bound) for sign, bound in zip(argument[::2], argument[1::2], strict=True))


def _wildcard(argument: str, value: object) -> bool:
    # Two-pointer matching: linear in practice, with no backtracking to be made slow.
    if not isinstance(value, str):
        return False
    first, *middle = argument.split("*")
    if not middle:
        return value == first
    last = middle.pop()
    if not value.startswith(first) or not value.endswith(last) or len(value) < len(first) + len(last):
        return False
    position, end = len(first), len(value) - len(last)
    for part in middle:
        found = value.find(part, position, end)
        if found < 0:
            return False
        position = found + len(part)
    return True


_OPERATORS: dict[str, Callable[[Any, object], bool]] = {
    "prefix": lambda argument, value: isinstance(value, str) and value.startswith(argument),
    "suffix": lambda argument, value: isinstance(value, str) and value.endswith(argument),
    "equals-ignore-case": lambda argument, value: isinstance(value, str) and value.casefold() == argument.casefold(),
    "anything-but": _anything_but,
    "numeric": _numeric,
    "exists": lambda argument, value: (value is not _ABSENT) == argument,
    "wildcard": _wildcard,
}
_TEXT_OPERATORS = ("prefix", "suffix", "equals-ignore-case", "wildcard")


def _check_test(test: object, where: str) -> None:
    if not isinstance(test, dict):
        if isinstance(test, list):
            raise InvalidRequest(f"{where} is to be a value or a comparison, not a list")
        return
    if len(test) != 1 or (name := next(iter(test))) not in _OPERATORS:
        raise InvalidRequest(
            f"{where} is to be one comparison of {', '.join(_OPERATORS)}; got {', '.join(test)[:64]!r}"
        )
    argument = test[name]
    if name in _TEXT_OPERATORS and not isinstance(argument, str):
        raise InvalidRequest(f"{where}.{name} is to be a text")
    if name == "exists" and not isinstance(argument, bool):
        raise InvalidRequest(f"{where}.exists is to be true or false")
    if name == "numeric" and not _is_numeric(argument):
        raise InvalidRequest(f'{where}.numeric is to be a list like [">", 0, "<=", 5]')
    if name == "anything-but" and isinstance(argument, dict) and not (argument.keys() <= set(_TEXT_OPERATORS)):
        raise InvalidRequest(f"{where}.anything-but takes values or one of {', '.join(_TEXT_OPERATORS)}")
    if name == "anything-but" and isinstance(argument, dict):
        _check_test(argument, f"{where}.anything-but")


def _is_numeric(argument: object) -> bool:
    if not isinstance(argument, list) or not argument or len(argument) % 2:
        return False
    bounds = (isinstance(bound, int | float) and not isinstance(bound, bool) for bound in argument[1::2])
    return all(isinstance(sign, str) and re.fullmatch("=|[<>]=?", sign) for sign in argument[::2]) and all(bounds)
