"""The encryption contracts of SPEKE v2: which presets there are, which keys they want, and which tracks a key is for.

Knows no key and asks for none. Video tiers are told by pixels of a picture, audio tiers by channels.
Source: AWS, "SPEKE v2.0 presets" (https://docs.aws.amazon.com/mediaconvert/latest/ug/drm-content-speke-v2-presets.html)
and "SPEKE API v2 - Encryption contract"; the filters are those of AWS's verification suite for key providers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from penstock.errors import InvalidRequest
from penstock.formats.cpix import Filter, UsageRule
from penstock.model import KeyId

TrackKind = Literal["video", "audio"]

SD_PX, HD1_PX, HD_PX, UHD1_PX = 1024 * 576, 1280 * 720, 1920 * 1080, 4096 * 2160
"""The largest picture of each tier, in pixels."""

SHARED, UNENCRYPTED = "SHARED", "UNENCRYPTED"


@dataclass(frozen=True)
class Tier:
    """Tracks that share a key. track_type: CPIX intendedTrackType. low, high: pixels or channels, both included."""

    track_type: str
    low: int | None = None
    high: int | None = None

    def holds(self, size: int) -> bool:
        return (self.low is None or size >= self.low) and (self.high is None or size <= self.high)


def _video(track_type: str, above_px: int | None = None, to_px: int | None = None) -> Tier:
    return Tier(track_type, None if above_px is None else above_px + 1, to_px)


_SD, _HD = _video("SD", None, SD_PX), _video("HD", SD_PX, HD_PX)
_HD1, _HD2 = _video("HD1", SD_PX, HD1_PX), _video("HD2", HD1_PX, HD_PX)
_UHD, _UHD1, _UHD2 = _video("UHD", HD_PX), _video("UHD1", HD_PX, UHD1_PX), _video("UHD2", UHD1_PX)
_SD_HD1 = _video("SD+HD1", None, HD1_PX)
_STEREO = Tier("STEREO_AUDIO", None, 2)
_ALL = Tier("ALL")

VIDEO_PRESETS: dict[str, tuple[Tier, ...]] = {
    "PRESET_VIDEO_1": (Tier("VIDEO"),),
    "PRESET_VIDEO_2": (_SD, _video("HD", SD_PX)),
    "PRESET_VIDEO_3": (_SD, _HD, _UHD),
    "PRESET_VIDEO_4": (_SD, _HD, _UHD1, _UHD2),
    "PRESET_VIDEO_5": (_SD, _HD1, _HD2, _UHD1, _UHD2),
    "PRESET_VIDEO_6": (_SD, _HD1, _HD2, _UHD),
    "PRESET_VIDEO_7": (_SD_HD1, _HD2, _UHD),
    "PRESET_VIDEO_8": (_SD_HD1, _HD2, _UHD1, _UHD2),
    SHARED: (_ALL,),
    UNENCRYPTED: (),
}
AUDIO_PRESETS: dict[str, tuple[Tier, ...]] = {
    "PRESET_AUDIO_1": (Tier("AUDIO"),),
    "PRESET_AUDIO_2": (_STEREO, Tier("MULTICHANNEL_AUDIO", 3)),
    "PRESET_AUDIO_3": (_STEREO, Tier("MULTICHANNEL_AUDIO_3_6", 3, 6), Tier("MULTICHANNEL_AUDIO_7", 7)),
    SHARED: (_ALL,),
    UNENCRYPTED: (),
}


@dataclass(frozen=True)
class Contract:
    """What is encrypted with which keys."""

    video: tuple[Tier, ...]
    audio: tuple[Tier, ...]

    def track_types(self) -> list[str]:
        """Every key of the contract by its track type, each once; all of them are asked for, used or not."""
        return list(dict.fromkeys(tier.track_type for tier in (*self.video, *self.audio)))

    def track_type(self, kind: TrackKind, size: int) -> str | None:
        """Which key a track gets; None where it stays in the clear. size: pixels of a picture, or channels."""
        tiers = self.video if kind == "video" else self.audio
        return next((tier.track_type for tier in tiers if tier.holds(size)), None)

    def rule(self, track_type: str, kid: KeyId) -> UsageRule:
        """The ContentKeyUsageRule of one key, with filters where its tier has bounds."""
        filters = [_filter("VideoFilter", "Pixels", tier) for tier in self.video if tier.track_type == track_type]
        filters += [_filter("AudioFilter", "Channels", tier) for tier in self.audio if tier.track_type == track_type]
        return UsageRule(kid, track_type, tuple(filters))


ONE_KEY = Contract((_ALL,), (_ALL,))
"""All tracks share a key: the preset SHARED, and what SPEKE v1 always means."""


def contract(video_preset: str, audio_preset: str) -> Contract:
    """The contract of two presets, spelled with underscores or, as MediaPackage does, with hyphens.

    Raises InvalidRequest for presets that there are not or that do not go together.
    """
    video, audio = (preset.replace("-", "_") for preset in (video_preset, audio_preset))
    for preset, known in ((video, VIDEO_PRESETS), (audio, AUDIO_PRESETS)):
        if preset not in known:
            raise InvalidRequest(f"{preset[:32]!r} is not one of {', '.join(known)}")
    if (video == SHARED) != (audio == SHARED):
        raise InvalidRequest("SHARED must be set for both video and audio, or for none of them")
    if video == audio == UNENCRYPTED:
        raise InvalidRequest("UNENCRYPTED cannot be set for both video and audio")
    return Contract(VIDEO_PRESETS[video], AUDIO_PRESETS[audio])


def _filter(name: str, unit: str, tier: Tier) -> Filter:
    bounds = ((f"min{unit}", tier.low), (f"max{unit}", tier.high))
    return Filter(name, tuple((attribute, str(bound)) for attribute, bound in bounds if bound is not None))
