"""docs/mediaconvert.md says what the table of settings and the operations say."""

from __future__ import annotations

import pytest
from botocore import xform_name
from botocore.model import StructureShape
from botocore.session import get_session

from conftest import REPOSITORY
from localaws.mediaconvert import provider
from localaws.mediaconvert.answers import table as settings_table
from localaws.mediaconvert.answers.rules import Honoured, NoEffect, Rule

DOCUMENT = REPOSITORY / "docs" / "mediaconvert.md"
HEAD = """# MediaConvert on one machine

What `localaws` makes of each operation and each setting of AWS Elemental MediaConvert (2017-08-29). Nothing is dropped
in silence: a setting does what AWS documents (yes), does it within the limits that are named (limits), is accepted and
changes nothing here, which the job then says in `messages.info` (no effect), or ends CreateJob with BadRequestException
and its path (refused; so is everything inside it).

Written from `localaws/mediaconvert/answers/` by `pytest --update-golden` on its `test_document.py`; a test
keeps it so, and another one holds the table against botocore's model.
"""


def operations() -> str:
    served, other = [], []
    for name in get_session().get_service_model("mediaconvert").operation_names:
        offered = any(hasattr(one, xform_name(name)) for one in provider.OPERATIONS)
        (served if offered else other).append(name)
    return f"""## Operations

Served: {", ".join(served)}.

NotImplementedException: {", ".join(other)}. They make sense in an account alone.
"""


def answer(rule: Rule) -> tuple[str, str]:
    if isinstance(rule, Honoured):
        told = [_values(rule.only), rule.limits]
        return ("limits" if any(told) else "yes"), "; ".join(part for part in told if part)
    if isinstance(rule, NoEffect):
        return "no effect", "; ".join(part for part in (_values(rule.only), rule.why) if part)
    return "refused", "" if rule.why.startswith("this setting") else rule.why


def _values(only: frozenset[object] | None) -> str:
    return "" if only is None else " ".join(sorted({f"`{value}`" for value in only if not isinstance(value, float)}))


def section(path: str, shape: StructureShape) -> str:
    rows = ["| setting | answer | |", "|---|---|---|"]
    for name, member in sorted(shape.members.items()):
        verdict, words = answer(settings_table.rule_of(shape.name, name))
        rows.append(f"| `{member.serialization.get('name', name)}` | {verdict} | {words} |")
    title = f"`{path}`" if path else "CreateJob" if shape.name == "CreateJobRequest" else "Settings"
    return f"### {title}\n\n" + "\n".join(rows) + "\n"


def document() -> str:
    sections = [section(path, shape) for path, shape in settings_table.shapes()]
    return "\n".join([HEAD, operations(), "## Settings\n", *sections])


def test_the_document_says_what_the_table_says(request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--update-golden"):
        DOCUMENT.write_text(document())
    assert DOCUMENT.read_text() == document(), "run pytest --update-golden tests/localaws/mediaconvert/test_document.py"
