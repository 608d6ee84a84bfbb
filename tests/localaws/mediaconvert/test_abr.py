"""Automated ABR: the stack is chosen for the source, kept within bounds and rules, and never larger than the source."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import mediaconvert_jobs as jobs
from localaws.media.failures import SettingRefused
from localaws.mediaconvert.answers import table as settings_table
from localaws.mediaconvert.planning import ladder
from localaws.mediaconvert.planning.planned import Plan
from localaws.mediaconvert.settings import request
from localaws.mediaconvert.settings.abr import Abr
from localaws.mediaconvert.settings.codecs import Coded
from mediaconvert_jobs import planned, source
from probed_media import film, stream


def automated(*rules: dict[str, Any], group: Callable[..., dict[str, Any]] = jobs.cmaf, **abr: Any) -> dict[str, Any]:
    codec = {"Codec": "H_264", "H264Settings": {"RateControlMode": "QVBR", "QualityTuningLevel": "SINGLE_PASS"}}
    video = jobs.video("_v", codec=codec)
    made = group(video, jobs.audio("_a"))
    made["AutomatedEncodingSettings"] = {"AbrSettings": {**abr, **({"Rules": list(rules)} if rules else {})}}
    settings = jobs.settings(made)
    settings_table.check({"Role": "r", "Settings": settings})
    return settings


def stack(plan: Plan) -> list[tuple[int, int, int]]:
    """Width, height and rate in bit/s of each rendition."""
    found = []
    for output in plan.outputs():
        if output.video is not None and isinstance(output.video.codec, Coded):
            picture = output.video.picture
            found.append((picture.width, picture.height, output.video.codec.max_bitrate_bps or 0))
    return found


def sizes(plan: Plan) -> list[str]:
    return [f"{width}x{height}" for width, height, _ in stack(plan)]


def test_the_stack_goes_from_the_source_down_and_from_bound_to_bound() -> None:
    plan = planned(automated(), source(1920, 1080))
    assert sizes(plan) == ["1920x1080", "1280x720", "960x540", "640x360", "480x270", "320x180"]
    rates = [rate for _, _, rate in stack(plan)]
    assert rates[0] == 8_000_000 and rates[-1] == 600_000 and rates == sorted(rates, reverse=True)
    assert [output.modifier for output in plan.outputs()] == ["_v_1", "_v_2", "_v_3", "_v_4", "_v_5", "_v_6", "_a"]


@pytest.mark.parametrize(
    ("of", "wanted"),
    [
        (source(1080, 1920), ["1080x1920", "720x1280", "540x960", "360x640", "270x480", "180x320"]),
        (source(640, 360), ["640x360", "480x270", "320x180"]),
        (source(720, 576, sar=jobs.Fraction(64, 45)), ["1024x576", "640x360", "480x270", "320x180"]),
        (source(160, 90), ["160x90"]),
    ],
)
def test_the_stack_has_the_shape_of_the_source_and_no_rendition_is_larger(of: Any, wanted: list[str]) -> None:
    assert sizes(planned(automated(), of)) == wanted


def test_the_number_of_renditions_is_bounded_and_the_ends_stay() -> None:
    assert sizes(planned(automated(MaxRenditions=3))) == ["1920x1080", "960x540", "320x180"]


def test_a_stack_of_an_hls_group_needs_no_name_modifier() -> None:
    output = jobs.hls_output(jobs.video("", codec=jobs.h264()))
    group = {**jobs.hls(output), "AutomatedEncodingSettings": {"AbrSettings": {"MaxRenditions": 2}}}
    assert [output.modifier for output in planned(jobs.settings(group)).outputs()] == ["_1", "_2"]


def test_a_stack_takes_no_average_of_one_output() -> None:
    settings = automated()
    video = settings["OutputGroups"][0]["Outputs"][0]["VideoDescription"]
    video["CodecSettings"]["H264Settings"]["QvbrSettings"] = {"MaxAverageBitrate": 500_000}
    with pytest.raises(SettingRefused, match=r"h264Settings\.qvbrSettings\.maxAverageBitrate: is for an output"):
        request.read(settings)


def size(width: int, height: int, **members: Any) -> dict[str, Any]:
    return {"Width": width, "Height": height, **members}


@pytest.mark.parametrize(
    ("rule", "wanted"),
    [
        ({"Type": "MIN_BOTTOM_RENDITION_SIZE", "MinBottomRenditionSize": size(640, 360)},
         ["1920x1080", "1280x720", "960x540", "640x360"]),
        ({"Type": "FORCE_INCLUDE_RENDITIONS", "ForceIncludeRenditions": [size(852, 480)]},
         ["1920x1080", "1280x720", "960x540", "852x480", "640x360", "480x270", "320x180"]),
        ({"Type": "ALLOWED_RENDITIONS",
          "AllowedRenditions": [size(1280, 720, Required="ENABLED"), size(640, 360)]}, ["1280x720", "640x360"]),
        ({"Type": "MIN_TOP_RENDITION_SIZE", "MinTopRenditionSize": size(1280, 720)},
         ["1920x1080", "1280x720", "960x540", "640x360", "480x270", "320x180"]),
    ],
)  # fmt: skip
def test_rules_bound_the_sizes(rule: dict[str, Any], wanted: list[str]) -> None:
    assert sizes(planned(automated(rule))) == wanted


def test_what_would_have_to_be_upscaled_is_left_out_and_told() -> None:
    large = {"Type": "FORCE_INCLUDE_RENDITIONS", "ForceIncludeRenditions": [size(1920, 1080)]}
    top = {"Type": "MIN_TOP_RENDITION_SIZE", "MinTopRenditionSize": size(1280, 720)}
    plan = planned(automated(large, top), source(640, 360))
    assert sizes(plan)[0] == "640x360"
    assert plan.warnings == (
        "a rendition of 1920x1080 is left out: the source is 640x360",
        "no rendition reaches 1280x720: the source is 640x360",
    )


@given(
    st.integers(32, 8192), st.integers(32, 8192), st.integers(3, 15),
    st.integers(100_000, 100_000_000), st.integers(100_000, 100_000_000),
)  # fmt: skip
def test_every_stack_keeps_its_bounds(width: int, height: int, most: int, one: int, other: int) -> None:
    codec = planned(automated()).groups[0].outputs[0].video.codec  # type: ignore[union-attr]
    assert isinstance(codec, Coded)
    abr = Abr(min(one, other), max(one, other), most, None)
    made = ladder.renditions(abr, (width, height), codec, [])
    assert 1 <= len(made) <= most and (made[0].width, made[0].height) == (width, height)
    assert all(abr.least_bps - 500 <= each.bitrate_bps <= abr.most_bps + 500 for each in made)
    assert all(each.width <= width + 1 and each.height <= height + 1 for each in made)


def test_a_stack_is_encoded_and_listed_in_manifests(tmp_path: Path, convert: Callable[..., Any]) -> None:
    done = convert(film(tmp_path, duration_s=1.2), automated(MinAbrBitrate=100_000, MaxQualityLevel=6.0))
    found = [stream(done.encoded / f"g0o{number}.mp4") for number in (0, 1)]
    assert [(one["width"], one["height"]) for one in found[:1]] == [(320, 180)]
    assert done.text("a/main.m3u8").count("#EXT-X-STREAM-INF") == len(done.plan.groups[0].outputs) - 1


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"group": jobs.file}, "abrSettings: belongs to groups that are streamed"),
        ({"MinAbrBitrate": 900_000, "MaxAbrBitrate": 800_000}, "minAbrBitrate: must not be more than"),
        ({"MaxQualityLevel": 11.0}, "maxQualityLevel: must be from 1 to 10"),
    ],
)
def test_stacks_that_cannot_be_are_refused(change: dict[str, Any], told: str) -> None:
    with pytest.raises(SettingRefused) as refused:
        request.read(automated(**change))
    assert told in str(refused.value)


def test_rules_that_contradict_each_other_are_refused() -> None:
    force = {"Type": "FORCE_INCLUDE_RENDITIONS", "ForceIncludeRenditions": [size(640, 360)]}
    allow = {"Type": "ALLOWED_RENDITIONS", "AllowedRenditions": [size(640, 360)]}
    empty = {"Type": "ALLOWED_RENDITIONS"}
    for rules, told in (
        ((force, allow), "exclude each other"),
        ((force, force), "each type once"),
        ((empty,), "at least one"),
    ):
        with pytest.raises(SettingRefused, match=told):
            request.read(automated(*rules))
