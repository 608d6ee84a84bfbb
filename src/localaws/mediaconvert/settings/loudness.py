"""Reads how loud sound is to be, and how its channels are mixed. Pure.

Source: botocore's model and the MediaConvert API reference of AudioNormalizationSettings and RemixSettings.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from localaws.media.failures import SettingRefused

Json = Mapping[str, Any]


@dataclass(frozen=True)
class Normalization:
    """A loudness to be had in LKFS, no peak above `peak_dbfs`; `ungated` measures as BS.1770-1 did.

    Content that measures below `gate_lkfs` stays as it is.
    """

    target_lkfs: float
    peak_dbfs: float
    ungated: bool
    gate_lkfs: float | None


@dataclass(frozen=True)
class Remix:
    """`gains_db[out][in]`: how much of each channel goes into each channel that comes out; -60 is nothing."""

    channels_in: int
    gains_db: tuple[tuple[float, ...], ...]


def normalization(path: str, own: Json) -> Normalization | None:
    """Read AudioNormalizationSettings, found at `path`; None where nothing is corrected. Raises SettingRefused."""
    if not own or own.get("AlgorithmControl", "CORRECT_AUDIO") == "MEASURE_ONLY":
        return None
    ungated = own.get("Algorithm") == "ITU_BS_1770_1"
    target, peak = own.get("TargetLkfs", -24.0 if ungated else -23.0), own.get("TruePeakLimiterThreshold", 0.0)
    if not -59 <= target <= 0:
        raise SettingRefused(f"{path}.targetLkfs", f"must be from -59 to 0, got {target}")
    if not -8 <= peak <= 0:
        raise SettingRefused(f"{path}.truePeakLimiterThreshold", f"must be from -8 to 0, got {peak}")
    return Normalization(float(target), float(peak), ungated, own.get("CorrectionGateLevel"))


def remix(path: str, own: Json) -> Remix | None:
    """Read RemixSettings, found at `path`. Raises SettingRefused where numbers of channels contradict each other."""
    if not own:
        return None
    columns = (own.get("ChannelMapping") or {}).get("OutputChannels") or []
    gains = []
    for number, column in enumerate(columns):
        place = f"{path}.channelMapping.outputChannels[{number}]"
        coarse, fine = column.get("InputChannels"), column.get("InputChannelsFineTune")
        if bool(coarse) == bool(fine):
            raise SettingRefused(place, "needs one of inputChannels and inputChannelsFineTune")
        gains.append(tuple(round(float(gain), 3) for gain in coarse or fine))
        if any(not -60 <= gain <= 6 for gain in gains[-1]):
            raise SettingRefused(place, "a gain is from -60 to 6 dB")
    channels_in = own.get("ChannelsIn") or max((len(row) for row in gains), default=0)
    if not gains or any(len(row) != channels_in for row in gains):
        raise SettingRefused(f"{path}.channelMapping", f"every output channel needs {channels_in or 'its'} gains")
    if own.get("ChannelsOut", len(gains)) != len(gains):
        raise SettingRefused(f"{path}.channelsOut", f"must be {len(gains)}, as many as there are mappings")
    return Remix(channels_in, tuple(gains))
