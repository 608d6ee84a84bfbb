"""What a job will cost: the price list's own arithmetic, and figures that a person can check."""

from __future__ import annotations

import contextlib
import json
import os
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock import cost, cost_command, ladder
from penstock.errors import InvalidRequest
from running_stack import PENSTOCK, run

HOUR = cost.Source(3600)
LISTED = cost.prices()


def video(codec: str = "H_264", height: int | None = 1080, **settings: Any) -> dict[str, Any]:
    member = {"H_264": "H264Settings", "H_265": "H265Settings", "FRAME_CAPTURE": "FrameCaptureSettings"}.get(codec, "X")
    description: dict[str, Any] = {"CodecSettings": {"Codec": codec, member: settings}}
    return {"VideoDescription": description | ({"Height": height} if height else {})}


def job(*outputs: dict[str, Any], **members: Any) -> dict[str, Any]:
    return {"Settings": {"OutputGroups": [{"Outputs": list(outputs)}]}, **members}


def amount(*outputs: dict[str, Any], source: cost.Source = HOUR, **members: Any) -> float:
    return cost.estimate(job(*outputs, **members), source, LISTED).amount


@pytest.mark.parametrize(
    ("height", "rate", "dollars"),
    [
        (480, 30, 0.45),
        (719, 30, 0.45),
        (720, 30, 0.90),
        (1080, 25, 0.90),
        (1080, 60, 1.125),
        (1080, 120, 1.35),
        (2160, 30, 1.80),
        (4320, 30, 3.60),
    ],
)
def test_an_hour_of_the_basic_tier(height: int, rate: int, dollars: float) -> None:
    specified = {"FramerateControl": "SPECIFIED", "FramerateNumerator": rate, "FramerateDenominator": 1}
    assert amount(video(height=height, **specified)) == dollars


def test_what_an_output_does_not_say_is_that_of_the_source() -> None:
    assert amount(video(height=None), source=cost.Source(3600, 2160, Fraction(50))) == 0.45 * 4 * 1.25


def test_a_line_for_each_output_and_their_sum() -> None:
    estimate = cost.estimate(job(video(height=480), video(height=1080)), HOUR, LISTED)
    assert [line.path for line in estimate.lines] == ["outputGroups[0].outputs[0]", "outputGroups[0].outputs[1]"]
    assert estimate.amount == 1.35 and str(estimate) == "1.35 USD"


@pytest.mark.parametrize(
    "professional",
    [
        job(video("H_265")),
        job(video("AV1")),
        job(video(QualityTuningLevel="MULTI_PASS_HQ")),
        job(video(), AccelerationSettings={"Mode": "ENABLED"}),
    ],
)
def test_the_professional_tier_is_told_and_doubted(professional: dict[str, Any]) -> None:
    estimate = cost.estimate(professional, HOUR, LISTED)
    assert estimate.lines[0].tier == cost.PROFESSIONAL and estimate.amount > 0.9
    assert estimate.doubts == (LISTED.unproven["professional"],)


def test_a_few_seconds_count_as_ten() -> None:
    assert amount(video(height=480), source=cost.Source(1)) == round(10 / 60 * 0.0075, 4)


def test_automated_ladders_count_as_many_renditions_as_they_may_have() -> None:
    request = job(video())
    request["Settings"]["OutputGroups"][0]["AutomatedEncodingSettings"] = {"AbrSettings": {"MaxRenditions": 5}}
    assert cost.estimate(request, HOUR, LISTED).amount == 5 * 0.9


def test_add_ons_are_lines_of_their_own() -> None:
    sound = {"CodecSettings": {"Codec": "EAC3"}, "AudioNormalizationSettings": {"Algorithm": "ITU_BS_1770_3"}}
    estimate = cost.estimate(job(video() | {"AudioDescriptions": [sound]}), HOUR, LISTED)
    assert [line.what for line in estimate.lines[1:]] == ["dolby audio", "audio normalization"]


def test_the_built_in_ladder_has_a_price() -> None:
    settings = ladder.job_settings(
        ladder.SourceProperties(1920, 1080, Fraction(24), 3600.0, 2),
        input_uri="s3://a/b.mp4",
        destination_uri="s3://c/d",
        speke_url="https://keys.example.com/",
        asset_id="0f8fad5b-d9cb-469f-a165-70867728950e",
        poster=True,
    )
    assert 1 < cost.estimate({"Settings": settings}, HOUR, LISTED).amount < 10


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (job(), "no outputs"),
        (job({"Preset": "System-Generic"}), "preset"),
        (job(video(), JobTemplate="t"), "job template"),
        ({"Settings": {"OutputGroups": "x"}}, "shape"),
        (job(video(height="tall")), "shape"),  # type: ignore[arg-type]
        (job(video(FramerateControl="SPECIFIED", FramerateNumerator=1, FramerateDenominator="0")), "shape"),
    ],
)
def test_what_cannot_be_estimated_is_refused(request_: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidRequest, match=said):
        cost.estimate(request_, HOUR, LISTED)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["OutputGroups", "Outputs", "VideoDescription", "CodecSettings", "Height", "Codec"]), inner
        )
    ),
)


@given(json_values)
def test_settings_of_any_shape_give_an_estimate_or_a_sentence(settings: Any) -> None:
    with contextlib.suppress(InvalidRequest):
        assert cost.estimate({"Settings": settings}, HOUR, LISTED).amount >= 0


def test_a_price_list_of_ones_own(tmp_path: Path) -> None:
    document = json.loads((Path(cost.__file__).parent / "prices.json").read_text())
    document["rates_per_minute"]["basic"] = 1
    (tmp_path / "mine.json").write_text(json.dumps(document))
    assert cost.estimate(job(video(height=480)), HOUR, cost.prices(tmp_path / "mine.json")).amount == 60
    for broken in ("{", "[]", '{"date": "2026"}'):
        (tmp_path / "mine.json").write_text(broken)
        with pytest.raises(InvalidRequest, match="price list"):
            cost.prices(tmp_path / "mine.json")


def test_the_command_tells_each_output_the_sum_and_the_doubts(tmp_path: Path) -> None:
    (tmp_path / "job.json").write_text(json.dumps(job(video(), video("H_265"))))
    told = run([PENSTOCK, "cost", str(tmp_path / "job.json"), "--minutes", "60"]).stdout
    assert "outputGroups[0].outputs[1]" in told and "USD" in told and "Unproven: " in told
    as_json = json.loads(run([PENSTOCK, "cost", str(tmp_path / "job.json"), "--minutes", "60", "--json"]).stdout)
    assert as_json["amount"] > 0.9 and len(as_json["lines"]) == 2


@pytest.mark.parametrize("options", [["--minutes", "nan"], ["--minutes", "0"], ["--minutes", "5", "--height", "0"]])
def test_figures_that_make_no_sense_are_wrong_use(tmp_path: Path, options: list[str]) -> None:
    (tmp_path / "job.json").write_text(json.dumps(job(video())))
    done = run([PENSTOCK, "cost", str(tmp_path / "job.json"), *options], check=False)
    assert done.returncode == 2 and "Traceback" not in done.stderr


def test_what_is_no_file_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "job.json").write_text(json.dumps(job(video())))
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InvalidRequest, match="not a regular file"):
        cost_command.run(tmp_path / "pipe", 1, 1080, 30, None, as_json=False)
    with pytest.raises(InvalidRequest, match="not a regular file"):
        cost_command.run(tmp_path / "job.json", 1, 1080, 30, tmp_path / "pipe", as_json=False)
