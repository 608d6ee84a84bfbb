"""Reads how an output's sound is chosen and coded, and refuses by path what contradicts itself. Pure.

Source: botocore's model and the MediaConvert API reference for each member's default.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from localaws.media.failures import SettingRefused
from localaws.mediaconvert.settings import audio_codecs, loudness
from localaws.mediaconvert.settings.audio_codecs import AudioCoding
from localaws.mediaconvert.settings.loudness import Normalization, Remix

Json = Mapping[str, Any]


@dataclass(frozen=True)
class Audio:
    """`source` names an audio selector or a group, empty for an input's default."""

    path: str
    source: str
    coding: AudioCoding
    language: str | None
    language_of_source: bool
    label: str | None
    remix: Remix | None = None
    normalization: Normalization | None = None


def read(path: str, audio: Json, selectors: Collection[str]) -> Audio:
    """Read an AudioDescription, found at `path`. Raises SettingRefused."""
    name = audio.get("AudioSourceName") or ""
    if name and name not in selectors:
        raise SettingRefused(f"{path}.audioSourceName", f"no input has an audio selector named {name[:64]!r}")
    coding = audio_codecs.read(f"{path}.codecSettings", audio.get("CodecSettings") or {})
    remix = loudness.remix(f"{path}.remixSettings", audio.get("RemixSettings") or {})
    if remix is not None and coding.width(len(remix.gains_db)) != len(remix.gains_db):
        told = f"must be {coding.width(len(remix.gains_db))}, as many channels as the codec is to have"
        raise SettingRefused(f"{path}.remixSettings.channelsOut", told)
    code = audio.get("CustomLanguageCode") or audio.get("LanguageCode")
    return Audio(
        path,
        name,
        coding,
        code.lower() if code else None,
        audio.get("LanguageCodeControl", "FOLLOW_INPUT") == "FOLLOW_INPUT",
        audio.get("StreamName"),
        remix,
        loudness.normalization(f"{path}.audioNormalizationSettings", audio.get("AudioNormalizationSettings") or {}),
    )
