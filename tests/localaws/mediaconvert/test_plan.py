"""Sizes, rates, GOPs, segments and names of a job are decided before anything runs."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import mediaconvert_jobs as jobs
from localaws.media.failures import InputRejected, JobError
from localaws.mediaconvert.planning.film import Source, SourceVideo
from localaws.mediaconvert.planning.pictures import frame
from localaws.mediaconvert.planning.planned import Plan, VideoTrack
from localaws.mediaconvert.settings.codecs import Capture
from localaws.mediaconvert.settings.video import Video
from mediaconvert_jobs import planned, source

NTSC = Fraction(30000, 1001)


def first_video(plan: Plan) -> VideoTrack:
    track = next(plan.outputs()).video
    assert track is not None
    return track


def size(plan: Plan) -> tuple[int, int]:
    picture = first_video(plan).picture
    return picture.width, picture.height


@pytest.mark.parametrize(
    ("of", "asked", "wanted"),
    [
        (source(), {}, (1920, 1080)),
        (source(), {"Height": 720}, (1280, 720)),
        (source(), {"Width": 640}, (640, 360)),
        (source(), {"Width": 640, "Height": 480}, (640, 480)),
        (source(321, 181), {}, (320, 180)),
        (source(853, 480), {"Height": 240}, (426, 240)),
        (source(720, 576, sar=Fraction(64, 45)), {"Height": 576}, (1024, 576)),
        (source(720, 576, sar=Fraction(64, 45)), {}, (720, 576)),
    ],
)
def test_missing_sides_follow_the_source(of: Any, asked: dict[str, int], wanted: tuple[int, int]) -> None:
    assert size(planned(jobs.settings(jobs.cmaf(jobs.video("_v", **asked))), of)) == wanted


@pytest.mark.parametrize(
    ("rotate", "wanted"), [("AUTO", (608, 1080)), (None, (1920, 1080)), ("DEGREES_90", (608, 1080))]
)
def test_rotation_is_the_jobs_decision(rotate: str | None, wanted: tuple[int, int]) -> None:
    selector = {"VideoSelector": {"Rotate": rotate}} if rotate else {}
    settings = jobs.settings(jobs.cmaf(jobs.video("_v", Height=1080)), **selector)
    assert size(planned(settings, source(1920, 1080, rotation=90))) == wanted


@pytest.mark.parametrize(
    ("scaling", "wanted", "content"),
    [
        ("DEFAULT", (640, 480), (640, 360)),
        ("STRETCH_TO_OUTPUT", (640, 480), (640, 480)),
        ("FIT", (640, 360), (640, 360)),
        ("FILL", (640, 480), (854, 480)),
    ],
)
def test_scaling_behaviour(scaling: str, wanted: tuple[int, int], content: tuple[int, int]) -> None:
    video = jobs.video("_v", Width=640, Height=480, ScalingBehavior=scaling)
    picture = first_video(planned(jobs.settings(jobs.cmaf(video)))).picture
    assert ((picture.width, picture.height), (picture.content_width, picture.content_height)) == (wanted, content)


def test_fit_no_upscale_leaves_a_small_source_small() -> None:
    video = jobs.video("_v", Width=1920, Height=1080, ScalingBehavior="FIT_NO_UPSCALE")
    assert size(planned(jobs.settings(jobs.cmaf(video)), source(640, 360))) == (640, 360)


sizes = st.integers(2, 8192)


@given(
    sizes,
    sizes,
    st.none() | st.integers(16, 4096).map(lambda n: 2 * n),
    st.none() | st.integers(16, 4096).map(lambda n: 2 * n),
    st.sampled_from(["DEFAULT", "STRETCH_TO_OUTPUT", "FIT", "FIT_NO_UPSCALE", "FILL"]),
    st.sampled_from([0, 90, 180, 270]),
    st.fractions(Fraction(1, 10), 10, max_denominator=100),
)
def test_every_picture_can_be_encoded(
    width: int, height: int, wide: int | None, high: int | None, scaling: str, turn: int, sar: Fraction
) -> None:
    asked = Video("v", wide, high, scaling, Capture(Fraction(1), None, 80))
    picture = frame(asked, SourceVideo(0, width, height, 0, sar, Fraction(25)), turn, Fraction(25))
    for length in (picture.width, picture.height, picture.content_width, picture.content_height):
        assert length >= 2 and length % 2 == 0
    if scaling in ("DEFAULT", "STRETCH_TO_OUTPUT", "FILL"):
        assert (wide is None or picture.width == wide) and (high is None or picture.height == high)
    covers = picture.content_width >= picture.width and picture.content_height >= picture.height
    inside = picture.content_width <= picture.width and picture.content_height <= picture.height
    assert covers or inside


@pytest.mark.parametrize(
    ("h264", "rate", "frames"),
    [
        ({"GopSize": 48, "GopSizeUnits": "FRAMES"}, Fraction(24), 48),
        ({"GopSize": 2, "GopSizeUnits": "SECONDS"}, Fraction(25), 50),
        ({"GopSize": 2, "GopSizeUnits": "SECONDS"}, NTSC, 60),
        ({"GopSize": None, "GopSizeUnits": "AUTO"}, Fraction(25), 50),
        ({"GopSize": None, "GopSizeUnits": None}, NTSC, 60),
    ],
)
def test_gop_size(h264: dict[str, Any], rate: Fraction, frames: int) -> None:
    video = jobs.video("_v", codec=jobs.h264(**h264))
    gop = first_video(planned(jobs.settings(jobs.cmaf(video)), source(rate=rate))).gop
    assert gop is not None and gop.frames == frames and gop.boundary_s is None


def test_segments_are_whole_gops_of_the_exact_rate() -> None:
    video = jobs.video("_v", codec=jobs.h264(GopSize=60, GopSizeUnits="FRAMES"))
    group = planned(jobs.settings(jobs.cmaf(video, SegmentLength=4)), source(rate=NTSC)).groups[0]
    assert (group.segment_s, group.fragment_s) == (Fraction(4004, 1000), Fraction(2002, 1000))


def test_fragment_length_that_is_no_multiple_of_the_gop_ends_with_1040() -> None:
    video = jobs.video("_v", codec=jobs.h264(GopSize=90, GopSizeUnits="FRAMES"))
    with pytest.raises(JobError, match=r"fragmentLength must be a whole multiple of the GOP") as raised:
        planned(jobs.settings(jobs.cmaf(video, SegmentLength=9)), source(rate=Fraction(50)))
    assert raised.value.code == 1040


def test_exact_segments_that_are_no_multiple_get_key_frames_of_their_own() -> None:
    video = jobs.video("_v", codec=jobs.h264(GopSize=2, GopSizeUnits="SECONDS"))
    plan = planned(jobs.settings(jobs.cmaf(video, SegmentLength=5)))
    gop = first_video(plan).gop
    assert gop is not None and gop.boundary_s == 5 and plan.groups[0].segment_s == 5


def test_gop_multiple_rounds_segments_up() -> None:
    video = jobs.video("_v", codec=jobs.h264(GopSize=2, GopSizeUnits="SECONDS"))
    plan = planned(jobs.settings(jobs.cmaf(video, SegmentLength=5, SegmentLengthControl="GOP_MULTIPLE")))
    assert plan.groups[0].segment_s == 6


def test_outputs_whose_segments_cannot_meet_end_with_1040() -> None:
    fast = jobs.h264(FramerateControl="SPECIFIED", FramerateNumerator=30000, FramerateDenominator=1001)
    with pytest.raises(JobError, match="cannot share segment boundaries"):
        planned(jobs.settings(jobs.cmaf(jobs.video("_1"), jobs.video("_2", codec=fast))))


def test_frame_rate_follows_the_source_or_the_settings() -> None:
    slow = jobs.h264(FramerateControl="SPECIFIED", FramerateNumerator=25, FramerateDenominator=2)
    outputs = (jobs.video("_1", container="MP4"), jobs.video("_2", container="MP4", codec=slow))
    plan = planned(jobs.settings(jobs.file(*outputs)))
    assert [track.video.picture.frame_rate for track in plan.outputs() if track.video] == [25, Fraction(25, 2)]


def test_audio_follows_the_source_where_the_mode_is_auto() -> None:
    for channels, wanted in ((1, 1), (2, 2), (3, 2), (6, 6), (8, 6)):
        plan = planned(
            jobs.settings(jobs.cmaf(jobs.audio("_a", CodingMode="CODING_MODE_AUTO"))), source(audio_channels=channels)
        )
        track = next(plan.outputs()).audio
        assert track is not None and track.channels == wanted and track.language == "eng"


def test_a_source_without_audio() -> None:
    silent = source(audio_channels=0)
    with pytest.raises(JobError, match=r"no input has the audio that .* asks for") as raised:
        planned(jobs.settings(jobs.cmaf(jobs.video("_v"), jobs.audio("_a"))), silent)
    assert raised.value.code == 1021
    muxed = {**jobs.video("", container="MP4"), "AudioDescriptions": [jobs.aac()]}
    plan = planned(jobs.settings(jobs.file(muxed)), silent)
    assert next(plan.outputs()).audio is None and "no sound" in plan.warnings[0]


def test_a_source_without_video() -> None:
    with pytest.raises(InputRejected) as raised:
        planned(jobs.settings(jobs.cmaf(jobs.video("_v"))), Source("mov", 1.0, None, ()))
    assert raised.value.code == 1020


def test_two_groups_that_would_write_one_file_end_with_1040() -> None:
    one = jobs.file(jobs.video("", container="MP4"))
    with pytest.raises(JobError, match=r"would both write s3://media/f/film\.mp4") as raised:
        planned(jobs.settings(one, one))
    assert raised.value.code == 1040


def test_modifiers_know_the_output() -> None:
    plan = planned(jobs.settings(jobs.cmaf(jobs.video("_$w$x$h$_$rv$", Height=720), destination="s3://media/$dt$/")))
    output = next(plan.outputs())
    assert (plan.groups[0].destination.base, output.modifier) == ("20261122T123005/film", "_1280x720_600")
