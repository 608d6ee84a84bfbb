"""Reads a packaging configuration: what it asks for as values, and what is not offered here refused by name. Pure.

Source: botocore's model of mediapackage-vod; AWS, "MediaPackage VOD, packaging configurations" for defaults.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from localaws.mediaconvert.packaging import Encryption, key_provider_url
from localaws.mediaconvert.settings_table import SettingRefused

Json = Mapping[str, Any]
Kind = Literal["dash", "cmaf", "hls"]

MEMBERS: Mapping[str, Kind] = {"DashPackage": "dash", "CmafPackage": "cmaf", "HlsPackage": "hls"}
DEFAULT_SEGMENT_S = 6
MAX_SEGMENT_S = 60
_NAME = re.compile(r"[A-Za-z0-9_-]{1,256}")
_IV = re.compile(r"[0-9a-fA-F]{32}")

# What is not done here may stand in a configuration only with the value that asks for nothing.
_NOTHING: Mapping[str, tuple[object, ...]] = {
    "AdMarkers": ("NONE",),
    "IncludeDvbSubtitles": (False,),
    "IncludeEncoderConfigurationInSegments": (False,),
    "IncludeIframeOnlyStream": (False,),
    "PeriodTriggers": ([],),
    "Profile": ("NONE",),
    "ProgramDateTimeIntervalSeconds": (0,),
    "ScteMarkersSource": (),
}


@dataclass(frozen=True)
class Manifest:
    """One manifest of a package. Rates in bit/s bound which videos it names; order is the model's enumeration."""

    name: str
    min_bps: int = 0
    max_bps: int = 2**31 - 1
    order: str = "ORIGINAL"
    compact: bool = False
    min_buffer_s: int | None = None
    repeat_keys: bool = False


@dataclass(frozen=True)
class Package:
    """How a configuration packages an asset. by_time: segments are named by their start instead of a number.

    whole_segments: encrypt whole segments (AES-128) instead of samples. The encryption lacks its resource id, which is
    the asset's.
    """

    kind: Kind
    manifests: tuple[Manifest, ...]
    segment_s: int
    by_time: bool = False
    encryption: Encryption | None = None
    whole_segments: bool = False

    @property
    def extension(self) -> str:
        return "mpd" if self.kind == "dash" else "m3u8"


def read(params: Json) -> Package:
    """Read CreatePackagingConfiguration's members. Raises SettingRefused naming the member, as on the wire."""
    given = [name for name in (*MEMBERS, "MssPackage") if params.get(name)]
    if len(given) != 1:
        raise SettingRefused(
            "cmafPackage, dashPackage, hlsPackage, mssPackage", f"exactly one is needed, got {len(given)}"
        )
    member = given[0]
    path = _wire(member)
    if member == "MssPackage":
        raise SettingRefused(path, "Microsoft Smooth Streaming is not offered here")
    kind, own = MEMBERS[member], params[member]
    _refuse_unoffered(path, own)
    if kind == "hls" and own.get("UseAudioRenditionGroup") is not True:
        raise SettingRefused(
            f"{path}.useAudioRenditionGroup", "must be true: audio inside the video's segments is not offered here"
        )
    template = own.get("SegmentTemplateFormat", "NUMBER_WITH_TIMELINE")
    if template == "NUMBER_WITH_DURATION":
        raise SettingRefused(f"{path}.segmentTemplateFormat", "NUMBER_WITH_DURATION is not offered here")
    segment_s = own.get("SegmentDurationSeconds") or DEFAULT_SEGMENT_S
    if not 1 <= segment_s <= MAX_SEGMENT_S:
        raise SettingRefused(f"{path}.segmentDurationSeconds", f"is {segment_s}; it can be 1 to {MAX_SEGMENT_S}")
    encryption = own.get("Encryption")
    return Package(
        kind=kind,
        manifests=_manifests(path, own.get("DashManifests") or own.get("HlsManifests") or [], kind),
        segment_s=segment_s,
        by_time=template == "TIME_WITH_TIMELINE",
        encryption=None if encryption is None else _encryption(f"{path}.encryption", kind, encryption),
        whole_segments=kind == "hls" and encryption is not None,
    )


def _manifests(path: str, given: Sequence[Json], kind: Kind) -> tuple[Manifest, ...]:
    path = f"{path}.{'dash' if kind == 'dash' else 'hls'}Manifests"
    if not given:
        raise SettingRefused(path, "at least one manifest is needed")
    found = tuple(_manifest(f"{path}[{index}]", own) for index, own in enumerate(given))
    names = [manifest.name for manifest in found]
    if len(set(names)) < len(names):
        raise SettingRefused(path, "each manifest needs a name of its own")
    return found


def _manifest(path: str, own: Json) -> Manifest:
    _refuse_unoffered(path, own)
    name = own.get("ManifestName") or "index"
    if not _NAME.fullmatch(name):
        raise SettingRefused(f"{path}.manifestName", "can have letters, digits, _ and -")
    selection = own.get("StreamSelection") or {}
    low, high = selection.get("MinVideoBitsPerSecond") or 0, selection.get("MaxVideoBitsPerSecond") or 2**31 - 1
    if not 0 <= low <= high:
        raise SettingRefused(f"{path}.streamSelection", f"no video has {low} to {high} bit/s")
    return Manifest(
        name,
        low,
        high,
        selection.get("StreamOrder", "ORIGINAL"),
        own.get("ManifestLayout") == "COMPACT",
        own.get("MinBufferTimeSeconds"),
        bool(own.get("RepeatExtXKey")),
    )


def _refuse_unoffered(path: str, own: Json) -> None:
    for name, harmless in _NOTHING.items():
        value = own.get(name)
        if value is not None and value not in harmless:
            raise SettingRefused(f"{path}.{_wire(name)}", f"{value} is not offered here")


def _encryption(path: str, kind: Kind, own: Json) -> Encryption:
    """DASH is encrypted with cenc, everything else with cbcs. Source: AWS, "Choosing the right SPEKE version"."""
    speke, inner = own["SpekeKeyProvider"], f"{path}.spekeKeyProvider"
    key_provider_url(f"{inner}.url", speke["Url"])
    systems = tuple(dict.fromkeys(system.lower() for system in speke["SystemIds"]))
    most = 2 if kind == "dash" else 1
    if not 1 <= len(systems) <= most:
        raise SettingRefused(f"{inner}.systemIds", f"1 to {most} DRM system ids are needed here, got {len(systems)}")
    contract = speke.get("EncryptionContractConfiguration")
    if not contract:
        raise SettingRefused(
            f"{inner}.encryptionContractConfiguration",
            "SPEKE v1, which its absence means, is not offered; name presets",
        )
    video, audio = contract["PresetSpeke20Video"], contract["PresetSpeke20Audio"]
    if (video == "SHARED") != (audio == "SHARED") or video == audio == "UNENCRYPTED":
        raise SettingRefused(
            f"{inner}.encryptionContractConfiguration",
            "SHARED must be set for both or none, UNENCRYPTED not for both",
        )
    if video not in ("PRESET-VIDEO-1", "SHARED", "UNENCRYPTED"):
        raise SettingRefused(f"{inner}.encryptionContractConfiguration.presetSpeke20Video", f"{video} is not offered")
    if audio not in ("PRESET-AUDIO-1", "SHARED", "UNENCRYPTED"):
        raise SettingRefused(f"{inner}.encryptionContractConfiguration.presetSpeke20Audio", f"{audio} is not offered")
    if own.get("EncryptionMethod") == "SAMPLE_AES":
        raise SettingRefused(f"{path}.encryptionMethod", "SAMPLE_AES in MPEG-TS is not offered; CMAF packages carry it")
    constant_iv = own.get("ConstantInitializationVector")
    if constant_iv is not None and not _IV.fullmatch(constant_iv):
        raise SettingRefused(f"{path}.constantInitializationVector", "is to be 32 hexadecimal digits")
    return Encryption(
        path=path,
        scheme="cenc" if kind == "dash" else "cbcs",
        url=speke["Url"],
        resource_id="",
        dash_systems=systems if kind == "dash" else (),
        hls_systems=() if kind == "dash" else systems,
        video=video != "UNENCRYPTED",
        audio=audio != "UNENCRYPTED",
        shared=video == "SHARED",
        constant_iv=constant_iv,
    )


def _wire(name: str) -> str:
    return name[0].lower() + name[1:]
