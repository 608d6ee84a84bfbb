"""One table that answers for the members of CreateJob: honoured, within limits, without effect here, or refused.

A member that the table does not name is refused by its path; nothing is dropped in silence. The table knows no values
of a running job and starts nothing. Shapes and members are those of botocore's model of MediaConvert (2017-08-29).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from botocore.model import ListShape, MapShape, Shape, StructureShape
from botocore.session import get_session

from localaws.media.failures import SettingRefused
from localaws.mediaconvert.answers.audio import AUDIO
from localaws.mediaconvert.answers.captions import CAPTIONS
from localaws.mediaconvert.answers.groups import GROUPS
from localaws.mediaconvert.answers.job import JOB
from localaws.mediaconvert.answers.outputs import OUTPUTS
from localaws.mediaconvert.answers.rules import Honoured, NoEffect, Refused, Rule, Table
from localaws.mediaconvert.answers.video import VIDEO

__all__ = ["TABLE", "check", "create_job", "rule_of", "shapes"]

TABLE: Table = {**CAPTIONS, **JOB, **GROUPS, **OUTPUTS, **VIDEO, **AUDIO}


def rule_of(shape: str, member: str) -> Rule:
    """What becomes of a member of a shape; one that the table does not know is refused."""
    return TABLE.get(shape, {}).get(member, Refused())


def check(request: Mapping[str, Any]) -> list[str]:
    """Hold every member of a CreateJob request against the table.

    Returns one sentence for each setting that is accepted and has no effect.
    Raises SettingRefused with the path of the first setting that is not offered.
    """
    return [f"{path} has no effect: {why}" for path, why in _walk(create_job(), request, "")]


@cache
def create_job() -> StructureShape:
    shape = get_session().get_service_model("mediaconvert").shape_for("CreateJobRequest")
    assert isinstance(shape, StructureShape)
    return shape


def shapes() -> list[tuple[str, StructureShape]]:
    """Every structure that a request can reach through settings that are not refused, with the path of one place."""
    found: dict[str, tuple[str, StructureShape]] = {}

    def visit(shape: Shape, path: str) -> None:
        if isinstance(shape, ListShape):
            visit(shape.member, f"{path}[]")
        elif isinstance(shape, MapShape):
            visit(shape.value, f"{path}.*")
        elif isinstance(shape, StructureShape) and shape.name not in found:
            found[shape.name] = (path, shape)
            for name, member in shape.members.items():
                if isinstance(rule_of(shape.name, name), Honoured):
                    visit(member, _path(shape, name, path))

    visit(create_job(), "")
    return list(found.values())


def _path(shape: StructureShape, name: str, path: str) -> str:
    # The documents people write start inside Settings, so paths do as well.
    if (shape.name, name) == ("CreateJobRequest", "Settings"):
        return ""
    return f"{path}.{shape.members[name].serialization.get('name', name)}".lstrip(".")


def _walk(shape: Shape, value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(shape, StructureShape):
        for name, member_value in value.items():
            if member_value is not None:
                yield from _member(shape, name, member_value, path)
    elif isinstance(shape, ListShape):
        for index, item in enumerate(value):
            yield from _walk(shape.member, item, f"{path}[{index}]")
    elif isinstance(shape, MapShape):
        for key, item in value.items():
            yield from _walk(shape.value, item, f"{path}.{key}")


def _member(shape: StructureShape, name: str, value: Any, path: str) -> Iterator[tuple[str, str]]:
    member = shape.members[name]
    inner = _path(shape, name, path)
    rule = rule_of(shape.name, name)
    if value == []:  # as consoles export what nobody has set
        return
    if isinstance(rule, Refused):
        raise SettingRefused(inner, rule.why)
    if rule.only is not None and value not in rule.only:
        raise SettingRefused(inner, f"{value} is not offered yet")
    if isinstance(rule, NoEffect):
        if not any(value == idle for idle in rule.idle):
            yield inner, rule.why
    else:
        yield from _walk(member, value, inner)
