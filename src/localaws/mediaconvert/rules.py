"""What can become of a setting: honoured, honoured within limits, without effect here, or refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


class SettingRefused(Exception):
    """A setting that cannot be done here. `path` as the request spells it, `reason` a sentence without a full stop."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


@dataclass(frozen=True)
class Honoured:
    """Does what AWS documents. `only` bounds the values, `limits` says in words what differs."""

    only: frozenset[object] | None = None
    limits: str = ""


@dataclass(frozen=True)
class NoEffect:
    """Accepted because output on one machine is the same with and without it; the job's Messages.Info says so."""

    why: str
    only: frozenset[object] | None = None


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


def refused(*members: str, why: str = Refused.why) -> dict[str, Rule]:
    """Rows for several members of one shape."""
    return dict.fromkeys(members, Refused(why))
