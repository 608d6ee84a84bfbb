"""Which content keys a DRM of which robustness is given: a table and a rule over it. Pure; knows no key and no viewer.

| robustness | Widevine | PlayReady | others | what it is |
|---|---|---|---|---|
| software | L3 (SW_SECURE_*), L2 (HW_SECURE_CRYPTO) | SL150, SL2000 | ClearKey | who owns the machine can read it |
| hardware | L1 (HW_SECURE_DECODE, HW_SECURE_ALL) | SL3000 | FairPlay | decoded where no program can look |

Each level has a highest tier; it gets the keys of that tier and of all below it. ClearKey is software: its keys pass
through the page. Source: Widevine and PlayReady robustness levels as W3C EME's key systems name them; that FairPlay is
counted as hardware, and Widevine L2 as software, is our choice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum

from penstock.formats.contracts import HD_PX, SD_PX
from penstock.model import KeyId


class Tier(IntEnum):
    """What a key opens at most, in the order of what it is worth."""

    AUDIO = 0
    SD = 1
    HD = 2
    UHD = 3


class Robustness(StrEnum):
    SOFTWARE = "software"
    HARDWARE = "hardware"


LEVELS: Mapping[str, Robustness] = {
    "org.w3.clearkey": Robustness.SOFTWARE,
    "SW_SECURE_CRYPTO": Robustness.SOFTWARE,
    "SW_SECURE_DECODE": Robustness.SOFTWARE,
    "HW_SECURE_CRYPTO": Robustness.SOFTWARE,
    "HW_SECURE_DECODE": Robustness.HARDWARE,
    "HW_SECURE_ALL": Robustness.HARDWARE,
    "150": Robustness.SOFTWARE,
    "2000": Robustness.SOFTWARE,
    "3000": Robustness.HARDWARE,
    "com.apple.fps": Robustness.HARDWARE,
}
"""Robustness by the name that a key system or a DRM vendor gives it."""


@dataclass(frozen=True)
class Policy:
    """The highest tier of each level."""

    software: Tier = Tier.UHD
    hardware: Tier = Tier.UHD

    def highest(self, level: Robustness) -> Tier:
        # What software may have hardware may have, too.
        return max(self.software, self.hardware) if level is Robustness.HARDWARE else self.software

    def needed(self, tier: Tier) -> Robustness | None:
        """The least level that gets keys of a tier; None where no level does. DRM vendors are told this."""
        return next((level for level in Robustness if tier <= self.highest(level)), None)

    def granted(self, kids: Iterable[KeyId], tiers: Mapping[KeyId, Tier], level: Robustness) -> list[KeyId]:
        """Those of `kids` that a level gets, in their order. A key whose tier is not known counts as the highest."""
        highest = self.highest(level)
        return [kid for kid in kids if tiers.get(kid, Tier.UHD) <= highest]


def of_pixels(most_px: int) -> Tier:
    """The tier of a key by the largest picture that it opens; 0 for sound alone."""
    if most_px == 0:
        return Tier.AUDIO
    return Tier.SD if most_px <= SD_PX else Tier.HD if most_px <= HD_PX else Tier.UHD
