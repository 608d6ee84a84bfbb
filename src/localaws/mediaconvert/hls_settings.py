"""Reads the settings that only HLS groups and their outputs have. Pure.

Source: botocore's model and the MediaConvert API reference for HlsGroupSettings, HlsSettings and M3u8Settings.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from localaws.mediaconvert import naming
from localaws.mediaconvert.rules import SettingRefused

Json = Mapping[str, Any]
DEFAULT_GROUP = "program_audio"
VARIANT = "AUDIO_ONLY_VARIANT_STREAM"
_DEFAULT_TRACK = "ALTERNATE_AUDIO_AUTO_SELECT_DEFAULT"


@dataclass(frozen=True)
class HlsGroup:
    """What a group's playlists look like. `playlists` False leaves segments alone."""

    single_file: bool
    playlists: bool
    whole_durations: bool
    target_rounds_up: bool
    resolution: bool
    may_cache: bool


@dataclass(frozen=True)
class TransportStream:
    """Identifiers in a transport stream, and when its presentation begins in seconds."""

    video_pid: int
    audio_pid: int
    pmt_pid: int
    program: int
    stream_id: int
    start_s: Fraction


@dataclass(frozen=True)
class HlsOutput:
    """One output of an HLS group. `stream` None makes packed audio; `audio_groups` None uses all that there are."""

    segment_modifier: str
    stream: TransportStream | None
    track_type: str
    audio_group: str
    audio_groups: tuple[str, ...] | None


def group(own: Json) -> HlsGroup:
    return HlsGroup(
        single_file=own.get("SegmentControl") == "SINGLE_FILE",
        playlists=own.get("OutputSelection") != "SEGMENTS_ONLY",
        whole_durations=own.get("ManifestDurationFormat") == "INTEGER",
        target_rounds_up=own.get("TargetDurationCompatibilityMode") != "SPEC_COMPLIANT",
        resolution=own.get("StreamInfResolution") != "EXCLUDE",
        may_cache=own.get("ClientCache") != "DISABLED",
    )


def output(path: str, settings: Json, has_video: bool) -> HlsOutput:
    """Read what an output of an HLS group has beside pictures and sound. Raises SettingRefused."""
    inner = f"{path}.outputSettings.hlsSettings"
    hls = (settings.get("OutputSettings") or {}).get("HlsSettings") or {}
    modifier = hls.get("SegmentModifier") or ""
    if unknown := sorted(naming.identifiers(modifier) - naming.SEGMENT_IDENTIFIERS):
        raise SettingRefused(f"{inner}.segmentModifier", f"the identifier ${unknown[0]}$ is not offered here")
    groups = hls.get("AudioRenditionSets")
    named = tuple(part.strip() for part in groups.split(",")) if groups else None
    for member, names in (("audioRenditionSets", named or ()), ("audioGroupId", (hls.get("AudioGroupId") or "audio",))):
        if any(not re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", name) for name in names):
            raise SettingRefused(f"{inner}.{member}", "must be letters, digits and _ . -")
    packed = not has_video and hls.get("AudioOnlyContainer") != "M2TS"
    m3u8 = (settings.get("ContainerSettings") or {}).get("M3u8Settings") or {}
    return HlsOutput(
        modifier,
        None if packed else _stream(f"{path}.containerSettings.m3u8Settings", m3u8),
        hls.get("AudioTrackType") or _DEFAULT_TRACK,
        hls.get("AudioGroupId") or DEFAULT_GROUP,
        named,
    )


def _stream(path: str, m3u8: Json) -> TransportStream:
    pids = {
        "videoPid": m3u8.get("VideoPid") or 481,
        "audioPids": (m3u8.get("AudioPids") or [482])[0],
        "pmtPid": m3u8.get("PmtPid") or 480,
    }
    for name, pid in pids.items():
        if not 32 <= pid <= 8182:
            raise SettingRefused(f"{path}.{name}", f"a PID is 32 to 8182, got {pid}")
    if len(set(pids.values())) < len(pids):
        raise SettingRefused(f"{path}.videoPid", "video, audio and PMT need PIDs of their own")
    unit = {"SECONDS": 1, "MILLISECONDS": 1000}.get(m3u8.get("PtsOffsetMode") or "AUTO")
    start_s = Fraction(2) if unit is None else Fraction(m3u8.get("PtsOffset", 2 * unit), unit)
    return TransportStream(
        video_pid=pids["videoPid"],
        audio_pid=pids["audioPids"],
        pmt_pid=pids["pmtPid"],
        program=m3u8.get("ProgramNumber", 1),
        stream_id=m3u8.get("TransportStreamId", 1),
        start_s=start_s,
    )
