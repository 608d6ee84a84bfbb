"""Reads what the MPD of a DASH_ISO or CMAF group looks like. Pure.

Source: botocore's model and the MediaConvert API reference for DashIsoGroupSettings and CmafGroupSettings.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from localaws.media.failures import SettingRefused
from localaws.mediaconvert import naming

Json = Mapping[str, Any]


@dataclass(frozen=True)
class DashGroup:
    """style: BASIC, COMPACT, DISTINCT or FULL. exact: SegmentTimelines instead of approximate durations.

    key_frames: name modifier of a rendition of key frames alone. channel_scheme: how channels are told; None leaves it.
    """

    style: str = "BASIC"
    exact: bool = True
    key_frames: str | None = None
    channel_scheme: str | None = None


def group(path: str, own: Json) -> DashGroup:
    """Read a group's own settings, found at `path`. Raises SettingRefused."""
    modifier = own.get("DashIFrameTrickPlayNameModifier") or None
    if modifier is not None and (unknown := sorted(naming.identifiers(modifier))):
        raise SettingRefused(
            f"{path}.dashIFrameTrickPlayNameModifier", f"the identifier ${unknown[0]}$ is not offered here"
        )
    return DashGroup(
        style=own.get("DashManifestStyle") or "BASIC",
        exact=own.get("WriteSegmentTimelineInRepresentation") != "DISABLED",
        key_frames=modifier,
        channel_scheme=own.get("AudioChannelConfigSchemeIdUri"),
    )
