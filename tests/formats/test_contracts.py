"""Presets of SPEKE v2: each track has exactly one key, and every key says which tracks it is for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import InvalidRequest
from penstock.formats import contracts, cpix
from penstock.formats.contracts import AUDIO_PRESETS, VIDEO_PRESETS
from penstock.formats.cpix import Cpix, CpixKey
from penstock.model import KeyId, Scheme

KID = KeyId(b"k" * 16)
ENCRYPTED_VIDEO = [name for name in VIDEO_PRESETS if name.startswith("PRESET")]
ENCRYPTED_AUDIO = [name for name in AUDIO_PRESETS if name.startswith("PRESET")]


@pytest.mark.parametrize(
    ("video", "audio", "types"),
    [
        ("PRESET_VIDEO_1", "PRESET_AUDIO_1", ["VIDEO", "AUDIO"]),
        ("PRESET_VIDEO_3", "PRESET_AUDIO_2", ["SD", "HD", "UHD", "STEREO_AUDIO", "MULTICHANNEL_AUDIO"]),
        (
            "PRESET_VIDEO_5",
            "PRESET_AUDIO_3",
            ["SD", "HD1", "HD2", "UHD1", "UHD2", "STEREO_AUDIO", "MULTICHANNEL_AUDIO_3_6", "MULTICHANNEL_AUDIO_7"],
        ),
        (
            "PRESET-VIDEO-8",
            "PRESET-AUDIO-2",
            ["SD+HD1", "HD2", "UHD1", "UHD2", "STEREO_AUDIO", "MULTICHANNEL_AUDIO"],
        ),
        ("PRESET_VIDEO_2", "UNENCRYPTED", ["SD", "HD"]),
        ("UNENCRYPTED", "PRESET_AUDIO_2", ["STEREO_AUDIO", "MULTICHANNEL_AUDIO"]),
        ("SHARED", "SHARED", ["ALL"]),
    ],
)
def test_presets_want_the_keys_of_aws_verification_suite(video: str, audio: str, types: list[str]) -> None:
    assert contracts.contract(video, audio).track_types() == types


@pytest.mark.parametrize(("preset", "many"), list(zip(ENCRYPTED_VIDEO, (1, 2, 3, 4, 5, 4, 3, 4), strict=True)))
def test_video_presets_have_as_many_keys_as_documented(preset: str, many: int) -> None:
    assert len(contracts.contract(preset, "UNENCRYPTED").track_types()) == many


@pytest.mark.parametrize(
    ("size", "found"),
    [((1024, 576), "SD"), ((1026, 576), "HD1"), ((1280, 720), "HD1"), ((1920, 1080), "HD2"), ((3840, 2160), "UHD1"),
     ((4096, 2160), "UHD1"), ((7680, 4320), "UHD2")],
)  # fmt: skip
def test_tiers_end_where_aws_says(size: tuple[int, int], found: str) -> None:
    asked = contracts.contract("PRESET_VIDEO_5", "UNENCRYPTED")
    assert asked.track_type("video", size[0] * size[1]) == found
    assert asked.track_type("audio", 2) is None


@given(st.sampled_from(ENCRYPTED_VIDEO), st.sampled_from(ENCRYPTED_AUDIO), st.integers(1, 8192 * 4320))
def test_every_track_falls_into_one_tier(video: str, audio: str, size: int) -> None:
    asked = contracts.contract(video, audio)
    for tiers in (asked.video, asked.audio):
        assert sum(tier.holds(size) for tier in tiers) == 1


def test_rules_carry_the_bounds_of_their_tier() -> None:
    asked = contracts.contract("PRESET_VIDEO_5", "PRESET_AUDIO_3")
    (pixels,) = asked.rule("HD1", KID).filters
    assert (pixels.name, dict(pixels.attributes)) == ("VideoFilter", {"minPixels": "589825", "maxPixels": "921600"})
    (channels,) = asked.rule("MULTICHANNEL_AUDIO_3_6", KID).filters
    assert (channels.name, dict(channels.attributes)) == ("AudioFilter", {"minChannels": "3", "maxChannels": "6"})


def test_a_shared_key_has_both_filters_without_bounds() -> None:
    rule = contracts.ONE_KEY.rule("ALL", KID)
    assert [(one.name, one.attributes) for one in rule.filters] == [("VideoFilter", ()), ("AudioFilter", ())]
    document = Cpix("a", (CpixKey(KID, Scheme.CBCS),), usage_rules=(rule,))
    assert cpix.parse(cpix.build(document)).usage_rules == (rule,)


@pytest.mark.parametrize(
    ("video", "audio", "told"),
    [
        ("SHARED", "PRESET_AUDIO_1", "for both"),
        ("PRESET_VIDEO_1", "SHARED", "for both"),
        ("UNENCRYPTED", "SHARED", "for both"),
        ("UNENCRYPTED", "UNENCRYPTED", "cannot be set for both"),
        ("PRESET_VIDEO_9", "PRESET_AUDIO_1", "is not one of"),
        ("PRESET_VIDEO_1", "PRESET_VIDEO_1", "is not one of"),
    ],
)
def test_presets_that_do_not_go_together_are_refused(video: str, audio: str, told: str) -> None:
    with pytest.raises(InvalidRequest, match=told):
        contracts.contract(video, audio)
