"""Reads the settings that only HLS groups and their outputs have. Pure.

Source: botocore's model and the MediaConvert API reference for HlsGroupSettings, HlsSettings and M3u8Settings.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from localaws.media.failures import SettingRefused
from localaws.mediaconvert import naming
from penstock.formats.languages import shortest

Json = Mapping[str, Any]
DEFAULT_GROUP = "program_audio"
DEFAULT_AUDIO_PIDS = tuple(range(482, 493))
# Packed audio (RFC 8216, 3.4, and draft-pantos-hls-rfc8216bis, 3.1.3): ffmpeg's muxer and the extension of each codec.
PACKED: Mapping[str, tuple[str, str]] = {"AAC": ("adts", "aac"), "AC3": ("ac3", "ac3"), "EAC3": ("eac3", "ec3")}
VARIANT = "AUDIO_ONLY_VARIANT_STREAM"
_DEFAULT_TRACK = "ALTERNATE_AUDIO_AUTO_SELECT_DEFAULT"


@dataclass(frozen=True)
class ClosedCaptions:
    """A channel of captions within the pictures, `CC1` to `CC4`."""

    channel: str
    language: str | None
    label: str | None


@dataclass(frozen=True)
class HlsGroup:
    """What a group's playlists look like. `playlists` False leaves segments alone."""

    single_file: bool
    playlists: bool
    whole_durations: bool
    target_rounds_up: bool
    resolution: bool
    may_cache: bool
    date_every_s: int | None = None
    """How often segments are told the date and time; None never."""
    folders: bool = False
    folder_segments: int | None = None
    """How many segments a folder of a stream takes; None takes all."""
    closed_captions: tuple[ClosedCaptions, ...] | None = ()
    """What pictures are said to hold; None says that they hold nothing, and where it is empty nothing is said."""


@dataclass(frozen=True)
class TransportStream:
    """Identifiers in a transport stream, and when its presentation begins in seconds.

    audio_pids: one for each track of sound, in their order.
    """

    video_pid: int
    audio_pids: tuple[int, ...]
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
    key_frames: bool = False
    """Whether a playlist of key frames alone is written."""
    describes_video: bool = False


def group(path: str, own: Json) -> HlsGroup:
    """Read what the playlists of an HLS or CMAF group look like. Raises SettingRefused."""
    folders = own.get("DirectoryStructure") == "SUBDIRECTORY_PER_STREAM"
    if folders and own.get("SegmentControl") == "SINGLE_FILE":
        raise SettingRefused(f"{path}.directoryStructure", "SUBDIRECTORY_PER_STREAM needs SEGMENTED_FILES")
    return HlsGroup(
        date_every_s=(own.get("ProgramDateTimePeriod") or 600) if own.get("ProgramDateTime") == "INCLUDE" else None,
        folders=folders,
        folder_segments=own.get("SegmentsPerSubdirectory") if folders else None,
        closed_captions=_closed_captions(path, own),
        single_file=own.get("SegmentControl") == "SINGLE_FILE",
        playlists=own.get("OutputSelection") != "SEGMENTS_ONLY",
        whole_durations=own.get("ManifestDurationFormat") == "INTEGER",
        target_rounds_up=own.get("TargetDurationCompatibilityMode") != "SPEC_COMPLIANT",
        resolution=own.get("StreamInfResolution") != "EXCLUDE",
        may_cache=own.get("ClientCache") != "DISABLED",
    )


def _closed_captions(path: str, own: Json) -> tuple[ClosedCaptions, ...] | None:
    setting, given = own.get("CaptionLanguageSetting", "OMIT"), own.get("CaptionLanguageMappings") or []
    if setting != "INSERT":
        return None if setting == "NONE" else ()
    if not given:
        raise SettingRefused(f"{path}.captionLanguageMappings", "is needed where captionLanguageSetting is INSERT")
    found: list[ClosedCaptions] = []
    for number, one in enumerate(given):
        channel = one.get("CaptionChannel", number + 1)
        if not 1 <= channel <= 4 or f"CC{channel}" in [other.channel for other in found]:
            told = f"must be 1 to 4, and no other mapping's, got {channel}"
            raise SettingRefused(f"{path}.captionLanguageMappings[{number}].captionChannel", told)
        language = one.get("CustomLanguageCode") or one.get("LanguageCode")
        found.append(
            ClosedCaptions(f"CC{channel}", shortest(language) if language else None, one.get("LanguageDescription"))
        )
    return tuple(found)


def output(path: str, settings: Json, has_video: bool, sounds: int) -> HlsOutput:
    """Read what an output of an HLS group has beside pictures and sound. sounds: how many tracks of it there are.

    Raises SettingRefused.
    """
    inner = f"{path}.outputSettings.hlsSettings"
    hls = (settings.get("OutputSettings") or {}).get("HlsSettings") or {}
    modifier = hls.get("SegmentModifier") or ""
    if unknown := sorted(naming.identifiers(modifier) - naming.OUTPUT_IDENTIFIERS):
        raise SettingRefused(f"{inner}.segmentModifier", f"the identifier ${unknown[0]}$ is not offered here")
    groups = hls.get("AudioRenditionSets")
    named = tuple(part.strip() for part in groups.split(",")) if groups else None
    for member, names in (("audioRenditionSets", named or ()), ("audioGroupId", (hls.get("AudioGroupId") or "audio",))):
        if any(not re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", name) for name in names):
            raise SettingRefused(f"{inner}.{member}", "must be letters, digits and _ . -")
    packed = not has_video and hls.get("AudioOnlyContainer") != "M2TS"
    if packed and sounds > 1:
        raise SettingRefused(f"{path}.audioDescriptions", "packed audio is one track; several go with pictures")
    m3u8 = (settings.get("ContainerSettings") or {}).get("M3u8Settings") or {}
    return HlsOutput(
        modifier,
        None if packed else _stream(f"{path}.containerSettings.m3u8Settings", m3u8, sounds),
        hls.get("AudioTrackType") or _DEFAULT_TRACK,
        hls.get("AudioGroupId") or DEFAULT_GROUP,
        named,
        key_frames=hls.get("IFrameOnlyManifest") == "INCLUDE" and has_video,
        describes_video=hls.get("DescriptiveVideoServiceFlag") == "FLAG",
    )


def _stream(path: str, m3u8: Json, sounds: int) -> TransportStream:
    audio_pids = tuple(m3u8.get("AudioPids") or DEFAULT_AUDIO_PIDS)
    if len(audio_pids) < sounds:
        raise SettingRefused(f"{path}.audioPids", f"{sounds} tracks of sound need as many PIDs, got {len(audio_pids)}")
    # What is left over names no track; it is not looked at.
    used = audio_pids[:sounds]
    video_pid, pmt_pid = m3u8.get("VideoPid") or 481, m3u8.get("PmtPid") or 480
    for name, pid in (("videoPid", video_pid), *(("audioPids", pid) for pid in used), ("pmtPid", pmt_pid)):
        if not 32 <= pid <= 8182:
            raise SettingRefused(f"{path}.{name}", f"a PID is 32 to 8182, got {pid}")
    if len({video_pid, pmt_pid, *used}) < 2 + len(used):
        raise SettingRefused(f"{path}.videoPid", "video, audio and PMT need PIDs of their own")
    unit = {"SECONDS": 1, "MILLISECONDS": 1000}.get(m3u8.get("PtsOffsetMode") or "AUTO")
    start_s = Fraction(2) if unit is None else Fraction(m3u8.get("PtsOffset", 2 * unit), unit)
    return TransportStream(
        video_pid=video_pid,
        audio_pids=used,
        pmt_pid=pmt_pid,
        program=stream_number(path, m3u8, "ProgramNumber"),
        stream_id=stream_number(path, m3u8, "TransportStreamId"),
        start_s=start_s,
    )


def stream_number(path: str, own: Json, member: str) -> int:
    """The number of a program or a transport stream, 1 where it is not set. Raises SettingRefused."""
    found: int = own.get(member, 1)
    if not found:
        raise SettingRefused(f"{path}.{member[0].lower()}{member[1:]}", "must be at least 1 here; ffmpeg writes no 0")
    return found
