"""Reads what an output does about the active format description (AFD) of its source, and which one it tells. Pure.

Source: botocore's model and the MediaConvert API reference of VideoDescription.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from localaws.media.failures import SettingRefused
from localaws.mediaconvert.settings.codecs import H264, H265, Capture, Coded


@dataclass(frozen=True)
class ActiveFormat:
    """respond: cut the picture to what the source's code says; signaling: NONE, AUTO, or FIXED to the code `fixed`."""

    respond: str = "NONE"
    signaling: str = "NONE"
    fixed: int | None = None

    @property
    def of_source(self) -> bool:
        """Whether the code of the source has to be known."""
        return self.respond != "NONE"


IGNORED = ActiveFormat()


def read(path: str, video: Mapping[str, Any], codec: Coded | Capture) -> ActiveFormat:
    """Read a VideoDescription, found at `path`. Raises SettingRefused."""
    respond, signaling = video.get("RespondToAfd") or "NONE", video.get("AfdSignaling") or "NONE"
    if respond == "PASSTHROUGH" and signaling == "NONE":
        raise SettingRefused(f"{path}.respondToAfd", "PASSTHROUGH needs an afdSignaling other than NONE")
    if signaling != "NONE" and not isinstance(codec, H264 | H265):
        raise SettingRefused(f"{path}.afdSignaling", f"{signaling} is written into H_264 and H_265 alone")
    if signaling == "FIXED" and video.get("FixedAfd") is None:
        raise SettingRefused(f"{path}.fixedAfd", "is needed where afdSignaling is FIXED")
    return ActiveFormat(respond, signaling, video.get("FixedAfd") if signaling == "FIXED" else None)
