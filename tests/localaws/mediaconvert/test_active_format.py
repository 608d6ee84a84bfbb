"""Active format description: pictures are cut by their source's code, and outputs tell theirs; ffprobe is the judge."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

import mediaconvert_jobs as jobs
from localaws.media import active_format
from localaws.media.failures import SettingRefused
from localaws.media.probe import probe
from localaws.mediaconvert.settings import request
from probed_media import PICTURE, ffprobe, film, stream
from sample_media import ffmpeg

Convert = Callable[[Path, dict[str, Any]], Any]
H265 = {
    "Codec": "H_265",
    "H265Settings": {"RateControlMode": "QVBR", "MaxBitrate": 400_000, "QualityTuningLevel": "SINGLE_PASS"},
}


@pytest.mark.parametrize(
    ("code", "size", "shape", "area"),
    [
        (10, (720, 540), "16/9", (720, 404, 0, 68)),
        (2, (720, 540), "16/9", (720, 404, 0, 0)),
        (9, (1920, 1080), "16/9", (1440, 1080, 240, 0)),
        (11, (1920, 1080), "16/9", (1680, 1080, 120, 0)),
        (15, (1920, 1080), "16/9", (1920, 1080, 0, 0)),
        (15, (1920, 1080), "4/3", (1440, 1080, 240, 0)),
        (14, (1920, 1080), "4/3", (1680, 1080, 120, 0)),
        (13, (720, 540), "16/9", (720, 462, 0, 38)),
        (8, (720, 540), "16/9", (720, 540, 0, 0)),
        (4, (720, 540), "16/9", (720, 540, 0, 0)),
    ],
)
def test_codes_are_areas(code: int, size: tuple[int, int], shape: str, area: tuple[int, ...]) -> None:
    assert active_format.active_area(code, *size, Fraction(1), Fraction(shape)) == area


def codes(path: Path) -> list[int]:
    """The code of each frame that has one."""
    told = ffprobe(path, "-show_frames", "-select_streams", "v", "-show_entries", "frame_side_data=active_format")
    sides = [data for frame in told["frames"] for data in frame.get("side_data_list", [])]
    return [data["active_format"] for data in sides if "active_format" in data]


def output(modifier: str, container: str = "MP4", codec: dict[str, Any] | None = None, **description: Any) -> Any:
    return jobs.video(modifier, container=container, codec=codec, **{"Height": 90, **description})


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return film(tmp_path_factory.mktemp("clip"), sound=None, duration_s=2.0)


def test_every_container_of_h264_and_every_frame_of_h265_tells_the_code(clip: Path, convert: Convert) -> None:
    fixed = {"AfdSignaling": "FIXED", "FixedAfd": 10}
    done = convert(clip, jobs.settings(jobs.file(
        output("_a", **fixed), output("_b", "M2TS", **fixed), output("_c", "MOV", **fixed),
        output("_d", codec=H265, **fixed), output("_e"),
        output("_f", Width=120, AfdSignaling="AUTO"), output("_g", AfdSignaling="AUTO"),
    )))  # fmt: skip
    found = [codes(done.encoded / made.work_file) for made in done.plan.outputs()]
    # Two GOPs of a second, and fifty frames.
    assert found[:4] == [[10, 10], [10, 10], [10, 10], [10] * 50]
    assert found[4] == [] and found[5] == [10, 10] and found[6] == [8, 8]
    assert not list(done.encoded.glob("afd-*"))


def letterboxed(folder: Path) -> Path:
    """A picture of 16:9 in a frame of 4:3, which says so."""
    messages = folder / "messages"
    messages.write_text("".join(active_format.messages_of_x265(10, 10)))
    picture = "testsrc2=size=120x68:rate=25:duration=0.4,pad=120:90:-1:-1"
    coding = ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", f"log-level=none:nalu-file={messages}")
    return ffmpeg(folder / "boxed.mp4", *PICTURE, picture, "-pix_fmt", "yuv420p", *coding)


def test_pictures_are_cut_by_the_code_of_their_source(convert: Convert, tmp_path: Path) -> None:
    boxed = letterboxed(tmp_path)
    assert probe(boxed, first_frame=True).active_format == 10
    responding = {"RespondToAfd": "RESPOND", "AfdSignaling": "AUTO"}
    done = convert(boxed, jobs.settings(jobs.file(
        output("_a", **responding, Height=None), output("_b", RespondToAfd="PASSTHROUGH", AfdSignaling="AUTO"),
        output("_c", RespondToAfd="RESPOND", Height=None, Crop={"Width": 60, "Height": 60}),
    )))  # fmt: skip
    cut, whole, own = (done.encoded / made.work_file for made in done.plan.outputs())
    assert (stream(cut)["width"], stream(cut)["height"]) == (120, 68) and set(codes(cut)) == {8}
    assert (stream(whole)["width"], stream(whole)["height"]) == (120, 90) and set(codes(whole)) == {10}
    assert (stream(own)["width"], stream(own)["height"]) == (60, 60)


@pytest.mark.parametrize(
    ("members", "told"),
    [
        ({"RespondToAfd": "PASSTHROUGH"}, "respondToAfd: PASSTHROUGH needs an afdSignaling"),
        ({"AfdSignaling": "FIXED"}, "fixedAfd: is needed"),
        (
            {"AfdSignaling": "AUTO", "codec": {"Codec": "VP9", "Vp9Settings": {"Bitrate": 300_000}}},
            "afdSignaling: AUTO",
        ),
    ],
)
def test_what_does_not_go_together_is_refused(members: dict[str, Any], told: str) -> None:
    with pytest.raises(SettingRefused, match=told):
        request.read(jobs.settings(jobs.file(output("_a", **members))))


def test_films_of_several_inputs_say_that_no_active_format_is_followed() -> None:
    settings = jobs.settings(jobs.file(output("_a", RespondToAfd="RESPOND")))
    settings["Inputs"] *= 2
    (told,) = jobs.planned(settings).warnings
    assert told.endswith("respondToAfd: a film of several inputs or clips has no active format to follow")
