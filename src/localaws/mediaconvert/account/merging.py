"""How job templates and presets become part of a job: the job's own settings lie over theirs, member by member. Pure.

Source: MediaConvert API reference, CreateJob `jobTemplate` and Output `preset`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Json = dict[str, Any]
_FROM_TEMPLATE = ("AccelerationSettings", "HopDestinations", "Priority", "Queue", "StatusUpdateInterval")


def overlay(under: Any, over: Any) -> Any:
    """Lay one value over another: objects by member, lists of objects by position, everything else as a whole.

    An empty list leaves what lies under it: a job that says `"Outputs": []` has those of its template.
    """
    if isinstance(under, Mapping) and isinstance(over, Mapping):
        merged = dict(under)
        for name, value in over.items():
            merged[name] = overlay(under[name], value) if name in under else value
        return merged
    if isinstance(under, list) and isinstance(over, list) and (not over or _objects(under, over)):
        pairs = [overlay(one, other) for one, other in zip(under, over, strict=False)]
        return [*pairs, *under[len(pairs) :], *over[len(pairs) :]]
    return over


def _objects(*lists: list[Any]) -> bool:
    return all(isinstance(item, Mapping) for items in lists for item in items)


def with_template(job: Json, template: Mapping[str, Any]) -> Json:
    """A CreateJob request with what its job template says under it."""
    merged = {name: template[name] for name in _FROM_TEMPLATE if name in template} | job
    merged["Settings"] = overlay(template["Settings"], job["Settings"])
    return merged


def with_presets(settings: Json, find: Callable[[str], Mapping[str, Any]]) -> Json:
    """Settings whose outputs have what their presets say under them, and name none any more.

    find: the settings of a preset by name or ARN.
    """
    groups = [
        {**group, "Outputs": [_output(output, find) for output in outputs]}
        if (outputs := group.get("Outputs") or [])
        else group
        for group in settings.get("OutputGroups") or []
    ]
    return {**settings, "OutputGroups": groups} if groups else settings


def _output(output: Json, find: Callable[[str], Mapping[str, Any]]) -> Json:
    if output.get("Preset") is None:
        return output
    own = {name: value for name, value in output.items() if name != "Preset"}
    merged: Json = overlay(find(output["Preset"]), own)
    return merged
