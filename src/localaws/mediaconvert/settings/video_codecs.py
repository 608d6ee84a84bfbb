"""Finds the reader of the codec that an output's pictures get. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from localaws.media.failures import SettingRefused
from localaws.mediaconvert.settings import codecs, intra_codecs
from localaws.mediaconvert.settings.codecs import Capture, Coded

_READERS = {**codecs.READERS, **intra_codecs.READERS}


def read(path: str, settings: Mapping[str, Any]) -> Coded | Capture:
    """Read VideoCodecSettings, found at `path`. Raises SettingRefused."""
    name = settings.get("Codec")
    if name is None:
        raise SettingRefused(f"{path}.codec", "a codec is needed")
    if name == "FRAME_CAPTURE":
        return codecs.capture(settings.get("FrameCaptureSettings") or {})
    member, reader = _READERS[name]
    return reader(f"{path}.{member[0].lower()}{member[1:]}", settings.get(member) or {})
