"""Reads how an output's pictures are sized, and which codec they get. Pure.

Source: botocore's model and the MediaConvert API reference for each member's default.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from localaws.media.failures import SettingRefused
from localaws.mediaconvert.settings import processing, video_codecs
from localaws.mediaconvert.settings.codecs import Capture, Coded
from localaws.mediaconvert.settings.intra_codecs import Passthrough
from localaws.mediaconvert.settings.processing import PLAIN, Processing

Json = Mapping[str, Any]


@dataclass(frozen=True)
class Video:
    path: str
    width: int | None
    height: int | None
    scaling: str
    codec: Coded | Capture
    processing: Processing = PLAIN

    @property
    def follows_fields(self) -> bool:
        return isinstance(self.codec, Coded) and self.codec.fields.startswith("FOLLOW")


def read(path: str, video: Json) -> Video:
    """Read a VideoDescription, found at `path`. Raises SettingRefused."""
    for side in ("Width", "Height"):
        if (video.get(side) or 0) % 2:
            raise SettingRefused(f"{path}.{side.lower()}", f"4:2:0 video needs an even number, got {video[side]}")
    codec = video_codecs.read(f"{path}.codecSettings", video.get("CodecSettings") or {})
    if isinstance(codec, Passthrough):
        _as_it_is(path, video)
    return Video(
        path,
        video.get("Width"),
        video.get("Height"),
        video.get("ScalingBehavior") or "DEFAULT",
        codec,
        processing.read(path, video, codec),
    )


def _as_it_is(path: str, video: Json) -> None:
    """Refuse what would need pictures instead of packets."""
    for member in ("Width", "Height", "Crop", "Position", "VideoPreprocessors"):
        if video.get(member):
            raise SettingRefused(f"{path}.{member[0].lower()}{member[1:]}", "does not go with PASSTHROUGH")
    for member, plain in (("ColorMetadata", "INSERT"), ("ChromaPositionMode", "AUTO")):
        if (video.get(member) or plain) != plain:
            raise SettingRefused(f"{path}.{member[0].lower()}{member[1:]}", f"PASSTHROUGH needs {plain}")
