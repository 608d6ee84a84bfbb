"""Keys by tier: what a manifest says of them, and which of them each robustness gets."""

from __future__ import annotations

import pytest

from penstock import settings, tiers
from penstock.errors import InvalidRequest, ManifestError
from penstock.formats import dash
from penstock.model import KeyId
from penstock.tiers import LEVELS, Policy, Robustness, Tier

KIDS = [KeyId(bytes([number]) * 16) for number in range(5)]
TIERS = dict(zip(KIDS, Tier, strict=False))


def mpd(*representations: tuple[KeyId, str]) -> bytes:
    sets = "".join(
        f'<AdaptationSet {size}><ContentProtection schemeIdUri="urn:mpeg:dash:mp4protection:2011" '
        f'cenc:default_KID="{kid}"/><Representation id="{number}"/></AdaptationSet>'
        for number, (kid, size) in enumerate(representations)
    )
    namespaces = 'xmlns="urn:mpeg:dash:schema:mpd:2011" xmlns:cenc="urn:mpeg:cenc:2013"'
    return f'<MPD {namespaces} mediaPresentationDuration="PT1S"><Period>{sets}</Period></MPD>'.encode()


def test_a_key_is_worth_the_largest_picture_that_it_opens() -> None:
    found = dash.key_pixels(
        mpd(
            (KIDS[0], 'contentType="audio"'),
            (KIDS[1], 'width="1024" height="576"'),
            (KIDS[2], 'width="1280" height="720"'),
            (KIDS[1], 'width="640" height="360"'),
            (KIDS[3], 'width="3840" height="2160"'),
            (KIDS[4], 'width="1920" height="1080"'),
            (KIDS[4], 'contentType="audio"'),
        )
    )
    assert {kid: tiers.of_pixels(size).name for kid, size in found.items()} == {
        KIDS[0]: "AUDIO",
        KIDS[1]: "SD",
        KIDS[2]: "HD",
        KIDS[3]: "UHD",
        KIDS[4]: "HD",
    }


@pytest.mark.parametrize("size", ['width="x" height="2"', 'width="-1" height="2"'])
def test_a_size_that_is_no_number_is_named(size: str) -> None:
    with pytest.raises(ManifestError, match="Representation@width"):
        dash.key_pixels(mpd((KIDS[0], size)))


@pytest.mark.parametrize(
    ("policy", "software", "hardware"),
    [
        (Policy(), 4, 4),
        (Policy(software=Tier.SD), 2, 4),
        (Policy(software=Tier.AUDIO, hardware=Tier.HD), 1, 3),
        (Policy(software=Tier.HD, hardware=Tier.SD), 3, 3),
    ],
)
def test_each_level_gets_its_tiers_and_those_below(policy: Policy, software: int, hardware: int) -> None:
    assert policy.granted(KIDS[:4], TIERS, Robustness.SOFTWARE) == KIDS[:software]
    assert policy.granted(KIDS[:4], TIERS, Robustness.HARDWARE) == KIDS[:hardware]


def test_a_key_without_a_tier_counts_as_the_best() -> None:
    assert Policy(software=Tier.HD).granted(KIDS, TIERS, Robustness.SOFTWARE) == KIDS[:3]
    assert Policy().granted(KIDS, TIERS, Robustness.SOFTWARE) == KIDS


def test_vendors_are_told_the_least_level_of_a_tier() -> None:
    policy = Policy(software=Tier.SD, hardware=Tier.HD)
    assert [policy.needed(tier) for tier in Tier] == ["software", "software", "hardware", None]


def test_what_gives_its_keys_to_programs_is_software() -> None:
    assert {LEVELS[name] for name in ("org.w3.clearkey", "SW_SECURE_DECODE", "2000")} == {Robustness.SOFTWARE}
    assert {LEVELS[name] for name in ("HW_SECURE_ALL", "3000", "com.apple.fps")} == {Robustness.HARDWARE}


def test_contract_and_tiers_are_settings() -> None:
    read = settings.load(
        {"PENSTOCK_ENCRYPTION_CONTRACT": "preset_video_8+PRESET_AUDIO_2", "PENSTOCK_SOFTWARE_TIER": "SD"}
    )
    assert read.presets == ("PRESET_VIDEO_8", "PRESET_AUDIO_2")
    assert read.key_policy == Policy(software=Tier.SD, hardware=Tier.UHD)


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("ENCRYPTION_CONTRACT", "SHARED+PRESET_AUDIO_1", "for both"),
        ("ENCRYPTION_CONTRACT", "PRESET_VIDEO_1", "is not one of"),
        ("SOFTWARE_TIER", "4k", "audio, sd, hd, uhd"),
    ],
)
def test_a_setting_that_is_none_is_refused_by_name(name: str, value: str, told: str) -> None:
    with pytest.raises(InvalidRequest, match=told) as refused:
        settings.load({f"PENSTOCK_{name}": value})
    assert f"PENSTOCK_{name}" in str(refused.value)
