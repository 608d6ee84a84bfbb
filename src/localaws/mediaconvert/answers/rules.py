"""What can become of a setting: honoured, honoured within limits, without effect here, or refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Honoured:
    """Does what AWS documents. `only` bounds the values, `limits` says in words what differs."""

    only: frozenset[object] | None = None
    limits: str = ""


@dataclass(frozen=True)
class NoEffect:
    """Accepted because output on one machine is the same with and without it; the job's Messages.Info says so.

    idle: values that ask for nothing, of which nothing is said.
    """

    why: str
    only: frozenset[object] | None = None
    idle: frozenset[object] = frozenset()


@dataclass(frozen=True)
class Refused:
    """Ends CreateJob with the path of the setting; so does everything inside it."""

    why: str = "this setting is not offered yet"


Rule = Honoured | NoEffect | Refused
Table = Mapping[str, Mapping[str, Rule]]
"""Shape of botocore's model -> member -> what becomes of it."""
YES = Honoured()


def only(*values: object, limits: str = "") -> Honoured:
    return Honoured(frozenset(values), limits)


def within(limits: str) -> Honoured:
    return Honoured(None, limits)


def ignored(why: str, *values: object) -> NoEffect:
    return NoEffect(why, frozenset(values) if values else None)


def ignored_unless(idle: object, why: str) -> NoEffect:
    """Without effect, which is told where the value is another than `idle`."""
    return NoEffect(why, idle=frozenset([idle]))


def refused(*members: str, why: str = Refused.why) -> dict[str, Rule]:
    """Rows for several members of one shape."""
    return dict.fromkeys(members, Refused(why))
