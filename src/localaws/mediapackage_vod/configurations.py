"""Reads a packaging configuration: what it asks for as values, and what is not offered here refused by name. Pure.

Source: botocore's model of mediapackage-vod; AWS, "MediaPackage VOD, packaging configurations" for defaults.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from localaws.media.encryption import Encryption, key_provider_url, presets
from localaws.media.failures import SettingRefused
from localaws.mediapackage_vod.tracks import Track
from penstock.formats import contracts
from penstock.formats.isobmff import PLAYREADY

Json = Mapping[str, Any]
Kind = Literal["dash", "cmaf", "hls", "mss"]

MEMBERS: Mapping[str, Kind] = {"DashPackage": "dash", "CmafPackage": "cmaf", "HlsPackage": "hls", "MssPackage": "mss"}
DEFAULT_SEGMENT_S = 6
MAX_SEGMENT_S = 60
_NAME = re.compile(r"[A-Za-z0-9_-]{1,256}")
_IV = re.compile(r"[0-9a-fA-F]{32}")

HONOURED = frozenset({
    "ConstantInitializationVector", "DashManifests", "Encryption", "EncryptionContractConfiguration",
    "EncryptionMethod", "HlsManifests", "ManifestLayout", "ManifestName", "MaxVideoBitsPerSecond",
    "MinBufferTimeSeconds", "MinVideoBitsPerSecond", "MssManifests", "PresetSpeke20Audio", "PresetSpeke20Video",
    "RepeatExtXKey", "SegmentDurationSeconds", "SegmentTemplateFormat", "SpekeKeyProvider", "StreamOrder",
    "StreamSelection", "SystemIds", "Url", "UseAudioRenditionGroup",
})  # fmt: skip
KEPT = frozenset({"RoleArn"})
"""Told back, without effect: the key provider is asked with the stack's own credentials."""
REFUSED: Mapping[str, tuple[object, ...]] = {
    "AdMarkers": ("NONE",),
    "IncludeDvbSubtitles": (False,),
    "IncludeEncoderConfigurationInSegments": (False,),
    "IncludeIframeOnlyStream": (False,),
    "PeriodTriggers": ([],),
    "Profile": ("NONE",),
    "ProgramDateTimeIntervalSeconds": (0,),
    "ScteMarkersSource": (),
}
"""What is not done here may stand in a configuration only with the value that asks for nothing."""


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

    muxed: sound is in the segments of the pictures, as AWS has it in HLS unless rendition groups are asked for.
    The encryption lacks its resource id, which is the asset's.
    """

    kind: Kind
    manifests: tuple[Manifest, ...]
    segment_s: int
    by_time: bool = False
    muxed: bool = False
    encryption: Encryption | None = None

    @property
    def whole_segments(self) -> bool:
        """Whether whole segments are encrypted (AES-128) instead of samples."""
        return self.encryption is not None and self.encryption.whole_segments

    def track_type(self, track: Track) -> str | None:
        """Which key a track gets; None where it stays in the clear."""
        if self.encryption is None or track.kind == "text":
            return None
        return self.encryption.contract.track_type(track.kind, track.size)

    @property
    def extension(self) -> str:
        return {"dash": "mpd", "mss": "ism/Manifest"}.get(self.kind, "m3u8")


def read(params: Json) -> Package:
    """Read CreatePackagingConfiguration's members. Raises SettingRefused naming the member, as on the wire."""
    given = [name for name in MEMBERS if params.get(name)]
    if len(given) != 1:
        raise SettingRefused(
            "cmafPackage, dashPackage, hlsPackage, mssPackage", f"exactly one is needed, got {len(given)}"
        )
    member = given[0]
    path = _wire(member)
    kind, own = MEMBERS[member], params[member]
    _refuse_unoffered(path, own)
    template = own.get("SegmentTemplateFormat", "NUMBER_WITH_TIMELINE")
    if template == "NUMBER_WITH_DURATION":
        raise SettingRefused(f"{path}.segmentTemplateFormat", "NUMBER_WITH_DURATION is not offered here")
    segment_s = own.get("SegmentDurationSeconds") or DEFAULT_SEGMENT_S
    if not 1 <= segment_s <= MAX_SEGMENT_S:
        raise SettingRefused(f"{path}.segmentDurationSeconds", f"is {segment_s}; it can be 1 to {MAX_SEGMENT_S}")
    encryption = own.get("Encryption")
    return Package(
        kind=kind,
        manifests=_manifests(path, own, kind),
        segment_s=segment_s,
        by_time=template == "TIME_WITH_TIMELINE",
        muxed=kind == "hls" and own.get("UseAudioRenditionGroup") is not True,
        encryption=None if encryption is None else _encryption(f"{path}.encryption", kind, encryption),
    )


def _manifests(path: str, own: Json, kind: Kind) -> tuple[Manifest, ...]:
    member = {"dash": "DashManifests", "mss": "MssManifests"}.get(kind, "HlsManifests")
    given: Sequence[Json] = own.get(member) or []
    path = f"{path}.{_wire(member)}"
    if not given:
        raise SettingRefused(path, "at least one manifest is needed")
    found = tuple(_manifest(f"{path}[{index}]", one) for index, one in enumerate(given))
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
    _refuse_unoffered(f"{path}.streamSelection", selection)
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
    """A member that no list above knows is refused as well: nothing is dropped in silence."""
    for name, value in own.items():
        if value is not None and name not in HONOURED | KEPT and value not in REFUSED.get(name, ()):
            raise SettingRefused(f"{path}.{_wire(name)}", f"{value} is not offered here")


def _encryption(path: str, kind: Kind, own: Json) -> Encryption:
    """DASH and Smooth Streaming are encrypted with cenc, everything else with cbcs.

    Source: AWS, "Choosing the right SPEKE version".
    """
    speke, inner = own["SpekeKeyProvider"], f"{path}.spekeKeyProvider"
    _refuse_unoffered(path, own)
    _refuse_unoffered(inner, speke)
    key_provider_url(f"{inner}.url", speke["Url"])
    systems = tuple(dict.fromkeys(system.lower() for system in speke["SystemIds"]))
    most = 2 if kind == "dash" else 1
    if not 1 <= len(systems) <= most:
        raise SettingRefused(f"{inner}.systemIds", f"1 to {most} DRM system ids are needed here, got {len(systems)}")
    if kind == "mss" and systems != (str(PLAYREADY),):
        raise SettingRefused(f"{inner}.systemIds", f"Smooth Streaming is protected with PlayReady alone, {PLAYREADY}")
    named = speke.get("EncryptionContractConfiguration") or {}
    place = f"{inner}.encryptionContractConfiguration"
    if own.get("EncryptionMethod") == "SAMPLE_AES":
        raise SettingRefused(f"{path}.encryptionMethod", "SAMPLE_AES in MPEG-TS is not offered; CMAF packages carry it")
    constant_iv = own.get("ConstantInitializationVector")
    if constant_iv is not None and not _IV.fullmatch(constant_iv):
        raise SettingRefused(f"{path}.constantInitializationVector", "is to be 32 hexadecimal digits")
    return Encryption(
        path=path,
        scheme="cenc" if kind in ("dash", "mss") else "cbcs",
        url=speke["Url"],
        resource_id="",
        dash_systems=systems if kind in ("dash", "mss") else (),
        hls_systems=() if kind in ("dash", "mss") else systems,
        contract=presets(place, named.get("PresetSpeke20Video"), named.get("PresetSpeke20Audio"))
        if named
        else contracts.ONE_KEY,
        # AWS: without presets SPEKE v1 is spoken.
        speke_version=2 if named else 1,
        constant_iv=constant_iv,
        whole_segments=kind == "hls",
        smooth=kind == "mss",
    )


def _wire(name: str) -> str:
    return name[0].lower() + name[1:]
