"""Reads the settings that only Microsoft Smooth Streaming groups have. Pure.

Source: botocore's model and the MediaConvert API reference for MsSmoothGroupSettings.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Json = Mapping[str, Any]


@dataclass(frozen=True)
class SmoothGroup:
    """What a group's manifests look like. combine_audio: the same sound in several outputs is kept once."""

    utf16: bool
    combine_audio: bool


def group(own: Json) -> SmoothGroup:
    return SmoothGroup(
        utf16=own.get("ManifestEncoding") == "UTF16",
        combine_audio=own.get("AudioDeduplication") == "COMBINE_DUPLICATE_STREAMS",
    )
