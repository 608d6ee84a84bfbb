"""Reads how a DASH, CMAF, HLS or Smooth Streaming group is to be segmented, described and encrypted. Pure.

Source: botocore's model and the MediaConvert API reference for each member's default.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from localaws.media.encryption import Encryption
from localaws.media.failures import SettingRefused
from localaws.mediaconvert.settings import dash as dash_settings
from localaws.mediaconvert.settings import encryption as encryptions
from localaws.mediaconvert.settings import hls as hls_settings
from localaws.mediaconvert.settings import manifests, thumbnails
from localaws.mediaconvert.settings import smooth as smooth_settings
from localaws.mediaconvert.settings.manifests import AdditionalManifest
from localaws.mediaconvert.settings.thumbnails import ImageSet

Json = Mapping[str, Any]

CMAF = "CMAF_GROUP"
DASH = "DASH_ISO_GROUP"
FILE = "FILE_GROUP"
HLS = "HLS_GROUP"
SMOOTH = "MS_SMOOTH_GROUP"
DEFAULT_SOUND_GROUP = "audio"
"""The rendition group of a CMAF group's sound that names none."""


@dataclass(frozen=True)
class Packaging:
    """How encoded tracks become segments and manifests; lengths in seconds, 0 for an HLS group's fragments."""

    segment_s: int
    fragment_s: int
    exact: bool
    single_file: bool
    on_demand: bool
    dash: bool
    hls: bool
    min_buffer_s: Fraction | None
    peak_bandwidth: bool
    encryption: Encryption | None
    hls_group: hls_settings.HlsGroup | None = None
    smooth: smooth_settings.SmoothGroup | None = None
    additional: tuple[AdditionalManifest, ...] = ()
    base_url: str = ""
    images: tuple[ImageSet, ...] = ()
    mpd: dash_settings.DashGroup = field(default_factory=dash_settings.DashGroup)
    playlists: hls_settings.HlsGroup | None = None
    """What the playlists of a CMAF group look like."""
    least_final_s: Fraction = Fraction(0)
    """A last segment that is shorter joins the one before it."""


def read(path: str, kind: str, own: Json) -> Packaging:
    """Read a segmented group's own settings, found at `path`. Raises SettingRefused."""
    if kind == HLS:
        return _hls(path, own)
    if kind == SMOOTH:
        return _smooth(path, own)
    segment_s = own.get("SegmentLength") or (30 if kind == DASH else 10)
    fragment_s = own.get("FragmentLength") or min(2, segment_s)
    if fragment_s > segment_s:
        raise SettingRefused(f"{path}.fragmentLength", "must not be more than segmentLength")
    single_file = own.get("SegmentControl", "SINGLE_FILE") == "SINGLE_FILE"
    on_demand = own.get("MpdProfile") == "ON_DEMAND_PROFILE"
    if on_demand and not single_file:
        raise SettingRefused(f"{path}.mpdProfile", "ON_DEMAND_PROFILE needs segmentControl SINGLE_FILE")
    dash = kind == DASH or own.get("WriteDashManifest", "ENABLED") == "ENABLED"
    hls = kind == CMAF and own.get("WriteHlsManifest", "ENABLED") == "ENABLED"
    if not dash and not hls:
        raise SettingRefused(f"{path}.writeDashManifest", "a DASH or an HLS manifest is needed")
    encryption = own.get("Encryption")
    buffer_ms = own.get("MinBufferTime")
    mpd = dash_settings.group(path, own)
    return Packaging(
        segment_s,
        fragment_s,
        own.get("SegmentLengthControl", "EXACT") == "EXACT",
        single_file,
        on_demand,
        dash,
        hls,
        Fraction(buffer_ms, 1000) if buffer_ms else None,
        own.get("MpdManifestBandwidthType") == "MAX",
        None if encryption is None else _encryption(f"{path}.encryption", kind, encryption, dash, hls),
        additional=manifests.additional(path, own),
        base_url=manifests.base_url(path, own),
        images=thumbnails.read(path, own),
        mpd=mpd,
        playlists=hls_settings.group(path, own) if kind == CMAF else None,
        least_final_s=_least_final(path, own, segment_s, timed=not dash or mpd.exact),
    )


def _least_final(path: str, own: Json, segment_s: int, *, timed: bool) -> Fraction:
    """timed: whether manifests tell the length of each segment."""
    least_s = Fraction(own.get("MinFinalSegmentLength") or 0).limit_denominator(1000)
    if least_s and not 1 <= least_s < segment_s:
        raise SettingRefused(f"{path}.minFinalSegmentLength", "must be at least 1 and less than segmentLength, or 0")
    if least_s and not timed:
        # Players would count a segment that is not there.
        raise SettingRefused(f"{path}.minFinalSegmentLength", "needs writeSegmentTimelineInRepresentation ENABLED")
    return least_s


def _encryption(path: str, kind: str, own: Json, dash: bool, hls: bool) -> Encryption:
    if kind == DASH:
        return encryptions.dash(path, own)
    return encryptions.cmaf(path, own, in_mpd=dash, in_playlists=hls)


def _hls(path: str, own: Json) -> Packaging:
    encryption = own.get("Encryption")
    return Packaging(
        own.get("SegmentLength") or 10,
        0,
        own.get("SegmentLengthControl", "EXACT") == "EXACT",
        own.get("SegmentControl") == "SINGLE_FILE",
        on_demand=False,
        dash=False,
        hls=own.get("OutputSelection") != "SEGMENTS_ONLY",
        min_buffer_s=None,
        peak_bandwidth=False,
        encryption=None if encryption is None else encryptions.hls(f"{path}.encryption", encryption),
        hls_group=hls_settings.group(path, own),
        least_final_s=_least_final(path, own, own.get("SegmentLength") or 10, timed=True),
        images=thumbnails.read(path, own),
        additional=manifests.additional(path, own),
        base_url=manifests.base_url(path, own),
    )


def _smooth(path: str, own: Json) -> Packaging:
    """A fragment is what is asked for and switched at, so it is a segment as well."""
    encryption = own.get("Encryption")
    fragment_s = own.get("FragmentLength") or 2
    return Packaging(
        fragment_s,
        fragment_s,
        own.get("FragmentLengthControl", "EXACT") == "EXACT",
        single_file=True,
        on_demand=False,
        dash=False,
        hls=False,
        min_buffer_s=None,
        peak_bandwidth=False,
        encryption=None if encryption is None else encryptions.smooth(f"{path}.encryption", encryption),
        smooth=smooth_settings.group(own),
        additional=manifests.additional(path, own),
    )
