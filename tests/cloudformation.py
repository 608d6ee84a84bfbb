"""CloudFormation templates as values: YAML with its short tags, and what is left of one for given parameters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import yaml

NO_VALUE = object()


class _Loader(yaml.SafeLoader):
    """Refuses aliases, as CloudFormation does."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        assert not self.check_event(yaml.events.AliasEvent), "CloudFormation takes no YAML aliases"
        return super().compose_node(parent, index)


def _tagged(loader: _Loader, suffix: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
        if suffix == "GetAtt":
            value = value.split(".", 1)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _tagged)
# A version is a text here, not a date.
_Loader.yaml_implicit_resolvers = {
    first: [pair for pair in pairs if pair[0] != "tag:yaml.org,2002:timestamp"]
    for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def read(text: str) -> dict[str, Any]:
    template: dict[str, Any] = yaml.load(text, _Loader)
    return template


def settled(template: Mapping[str, Any], parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The resources that exist for these parameters, every Fn::If decided; other functions stay as they are."""
    values = {name: about.get("Default", f"<{name}>") for name, about in template["Parameters"].items()}
    values |= parameters

    def holds(condition: Any) -> bool:
        [(name, argument)] = condition.items()
        if name == "Condition":
            return holds(template["Conditions"][argument])
        if name == "Fn::Not":
            return not holds(argument[0])
        if name in ("Fn::And", "Fn::Or"):
            return (all if name == "Fn::And" else any)(map(holds, argument))
        assert name == "Fn::Equals"
        return str(value(argument[0])) == str(value(argument[1]))

    def value(term: Any) -> Any:
        if isinstance(term, dict) and "Ref" in term:
            return values[term["Ref"]]
        if isinstance(term, dict) and "Fn::Join" in term:
            glue, parts = term["Fn::Join"]
            joined = value(parts)
            return joined if isinstance(joined, str) else glue.join(joined)
        return term

    def decided(part: Any) -> Any:
        if part == {"Ref": "AWS::NoValue"}:
            return NO_VALUE
        if isinstance(part, dict) and "Fn::If" in part:
            name, yes, no = part["Fn::If"]
            return decided(yes if holds({"Condition": name}) else no)
        if isinstance(part, dict):
            return {key: kept for key, inner in part.items() if (kept := decided(inner)) is not NO_VALUE}
        if isinstance(part, list):
            return [kept for inner in part if (kept := decided(inner)) is not NO_VALUE]
        return part

    return {
        name: decided(resource)
        for name, resource in template["Resources"].items()
        if "Condition" not in resource or holds({"Condition": resource["Condition"]})
    }


def statements(resources: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every statement of every policy document, with the name of the resource that has it."""

    def below(part: Any) -> Iterator[dict[str, Any]]:
        if isinstance(part, dict):
            if "Statement" in part:
                yield from part["Statement"]
            else:
                for inner in part.values():
                    yield from below(inner)
        elif isinstance(part, list):
            for inner in part:
                yield from below(inner)

    for name, resource in resources.items():
        for statement in below(resource.get("Properties", {})):
            yield name, statement


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def written(value: Any) -> str:
    """A value in one line as a template would have it."""
    if isinstance(value, dict) and len(value) == 1:
        [(name, argument)] = value.items()
        if name == "Ref":
            return f"${{{argument}}}"
        if name == "Fn::GetAtt":
            return "${" + ".".join(argument) + "}"
        if name == "Fn::Sub":
            return str(argument)
    return str(value)
