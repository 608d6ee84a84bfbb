"""Reads what the manifests of several kinds of groups share: additional ones, and the address before every file. Pure.

Source: botocore's model and the MediaConvert API reference for HlsAdditionalManifest, CmafAdditionalManifest,
DashAdditionalManifest and MsSmoothAdditionalManifest, and for BaseUrl.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from localaws.media.failures import SettingRefused
from localaws.mediaconvert import naming

Json = Mapping[str, Any]


@dataclass(frozen=True)
class AdditionalManifest:
    """A manifest beside the main one. `modifier` ends its name; `outputs` are the name modifiers that it references."""

    modifier: str
    outputs: tuple[str, ...]


def additional(path: str, own: Json) -> tuple[AdditionalManifest, ...]:
    """Read the additional manifests of a group, found at `path`. Raises SettingRefused."""
    given = own.get("AdditionalManifests") or []
    return tuple(_additional(f"{path}.additionalManifests[{index}]", one) for index, one in enumerate(given))


def _additional(path: str, own: Json) -> AdditionalManifest:
    modifier, outputs = own.get("ManifestNameModifier"), own.get("SelectedOutputs") or []
    if not modifier:
        raise SettingRefused(f"{path}.manifestNameModifier", "is needed, or the manifest would have the group's name")
    if unknown := sorted(naming.identifiers(modifier)):
        raise SettingRefused(f"{path}.manifestNameModifier", f"the identifier ${unknown[0]}$ is not offered here")
    if not outputs:
        raise SettingRefused(f"{path}.selectedOutputs", "at least one output's nameModifier is needed")
    return AdditionalManifest(modifier, tuple(outputs))


def check(path: str, given: Sequence[AdditionalManifest], modifiers: Collection[str]) -> None:
    """Hold additional manifests against the name modifiers of a group's outputs. Raises SettingRefused."""
    names = [one.modifier for one in given]
    for index, one in enumerate(given):
        inner = f"{path}.additionalManifests[{index}]"
        if names.index(one.modifier) != index or one.modifier in modifiers:
            raise SettingRefused(f"{inner}.manifestNameModifier", "is that of another manifest or output")
        for selected in one.outputs:
            if selected not in modifiers:
                raise SettingRefused(
                    f"{inner}.selectedOutputs", f"no output of the group has the nameModifier {selected[:64]!r}"
                )


def base_url(path: str, own: Json) -> str:
    """What stands before the name of every file in a manifest. Raises SettingRefused."""
    given: str = own.get("BaseUrl") or ""
    if not given.isprintable() or any(character in given for character in ' "<>'):
        raise SettingRefused(f"{path}.baseUrl", "must be the beginning of an address, percent-encoded")
    return given
