"""The CloudFormation template, whole: template.yaml with the CloudFront Function's source put in. Never asks AWS.

template.yaml is a template by itself, to be read and linted; only the function's source is kept once, in the file that
its tests run.
"""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parent
TEMPLATE = FOLDER / "template.yaml"
_INCLUDED = "viewer-request.js"


def compose() -> str:
    """The template's text as CloudFormation gets it."""
    text = TEMPLATE.read_text()
    mark = "{{" + _INCLUDED + "}}"
    before = text[: text.index(mark)]
    indent = " " * (len(before) - before.rindex("\n") - 1)
    source = (FOLDER / _INCLUDED).read_text().rstrip("\n")
    # A block scalar keeps its lines as they are, once each has the indent of the first.
    lines = [indent + line if line else "" for line in source.split("\n")]
    return text.replace(indent + mark, "\n".join(lines))
