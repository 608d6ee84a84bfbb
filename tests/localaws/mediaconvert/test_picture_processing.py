"""Pictures that are cut, placed, deinterlaced, cleaned and coloured; the pixels of the output are the judges."""

from __future__ import annotations

import functools
import itertools
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import mediaconvert_jobs as jobs
from localaws.media import jail
from localaws.media.failures import InputRejected, JobError, SettingRefused
from localaws.mediaconvert import fonts
from localaws.mediaconvert.answers import table as settings_table
from localaws.mediaconvert.settings import request
from mediaconvert_jobs import planned, source
from probed_media import ENCODE, PICTURE, stream
from sample_media import ffmpeg

Convert = Callable[[Path, dict[str, Any]], Any]
WIDTH, HEIGHT = 320, 180


def output(modifier: str, *, codec: dict[str, Any] | None = None, **description: Any) -> dict[str, Any]:
    sharp = codec or jobs.h264(QvbrSettings={"QvbrQualityLevel": 10}, MaxBitrate=4_000_000)
    return jobs.video(modifier, container="MP4", codec=sharp, **description)


def preprocessed(modifier: str, codec: dict[str, Any] | None = None, **members: Any) -> dict[str, Any]:
    return output(modifier, codec=codec, VideoPreprocessors=members)


def convert_all(convert: Convert, clip: Path, *outputs: dict[str, Any]) -> list[Path]:
    settings = jobs.settings(jobs.file(*outputs))
    settings_table.check({"Role": "r", "Settings": settings})
    done = convert(clip, settings)
    return [done.encoded / made.work_file for made in done.plan.outputs()]


def planes(path: Path, frame: int = 0) -> tuple[bytes, bytes, bytes]:
    """Luma and chroma of one frame, 8 bits."""
    command = [str(jail.binary("ffmpeg")), "-v", "error", "-i", str(path), "-vf", f"select=eq(n\\,{frame})"]
    command += ["-frames:v", "1", "-pix_fmt", "yuv420p", "-f", "rawvideo", "-"]
    raw = subprocess.run(command, capture_output=True, timeout=60, check=True).stdout
    luma = len(raw) * 2 // 3
    return raw[:luma], raw[luma : luma + luma // 4], raw[luma + luma // 4 :]


def mean(values: bytes) -> float:
    return sum(values) / len(values)


def roughness(luma: bytes) -> float:
    """Mean difference of neighbours in a row."""
    return sum(abs(one - other) for one, other in itertools.pairwise(luma)) / len(luma)


def unrest(path: Path) -> float:
    """Mean difference of two frames that follow each other."""
    one, other = planes(path, 10)[0], planes(path, 11)[0]
    return sum(abs(a - b) for a, b in zip(one, other, strict=True)) / len(one)


@pytest.fixture(scope="module")
def quarters(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """White upper left, grey lower right, black elsewhere."""
    boxes = "drawbox=0:0:160:90:white:fill,drawbox=160:90:160:90:gray:fill"
    graph = f"color=black:size={WIDTH}x{HEIGHT}:rate=25:duration=0.4,{boxes}"
    return ffmpeg(tmp_path_factory.mktemp("quarters") / "quarters.mp4", *PICTURE, graph, *ENCODE)


def test_only_the_crop_is_shown_and_only_where_it_is_placed(quarters: Path, convert: Convert) -> None:
    upper_left = {"X": 0, "Y": 0, "Width": 160, "Height": 90}
    whole, cut, placed, both = convert_all(
        convert, quarters, output("_a"), output("_b", Crop=upper_left),
        output("_c", Width=320, Height=180, Position={"X": 160, "Y": 0, "Width": 160, "Height": 90}),
        output("_d", Width=80, Height=80, Crop=upper_left, Position={"X": 20, "Y": 40, "Width": 40, "Height": 20}),
    )  # fmt: skip
    assert (stream(cut)["width"], stream(cut)["height"]) == (160, 90)
    assert mean(planes(cut)[0]) == pytest.approx(235, abs=2)
    assert mean(planes(whole)[0]) < 120
    luma = planes(placed)[0]
    rows = [luma[row * 320 : (row + 1) * 320] for row in range(180)]
    assert mean(rows[20][170:230]) == pytest.approx(235, abs=4) and mean(rows[20][:150]) == pytest.approx(16, abs=2)
    assert mean(b"".join(rows[100:])) == pytest.approx(16, abs=2)
    small = planes(both)[0]
    assert mean(small[50 * 80 + 24 : 50 * 80 + 56]) == pytest.approx(235, abs=4) and mean(small[: 30 * 80]) < 18


@pytest.fixture(scope="module")
def combed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fast picture in fields that nothing calls interlaced."""
    graph = f"testsrc2=size={WIDTH}x{HEIGHT}:rate=50:duration=1,interlace=lowpass=off,setfield=prog"
    return ffmpeg(tmp_path_factory.mktemp("combed") / "combed.mp4", *PICTURE, graph, *ENCODE, "-crf", "5")


def combing(path: Path) -> float:
    """How much lines differ from their neighbours and not from the lines after those."""
    luma = planes(path, 12)[0]
    rows = [luma[start : start + WIDTH] for start in range(0, len(luma), WIDTH)]
    total = 0
    for above, row, below in zip(rows, rows[1:], rows[2:], strict=False):
        total += sum(abs(2 * b - a - c) for a, b, c in zip(above, row, below, strict=True) if abs(a - c) < 12)
    return total / len(luma)


def test_frames_tagged_progressive_are_deinterlaced_where_that_is_forced_or_seen(
    combed: Path, convert: Convert
) -> None:
    forced = {"Control": "FORCE_ALL_FRAMES"}
    plain, tagged, *done = convert_all(
        convert, combed, output("_a"), preprocessed("_b", Deinterlacer={}),
        *(preprocessed(f"_{name}", Deinterlacer={**forced, "Algorithm": name})
          for name in ("INTERPOLATE", "BLEND", "LINEAR_INTERPOLATION")),
        preprocessed("_adaptive", Deinterlacer={"Mode": "ADAPTIVE"}),
    )  # fmt: skip
    assert combing(tagged) == pytest.approx(combing(plain), rel=0.05)
    for path in done:
        assert combing(path) < 0.7 * combing(plain)


def test_progressive_pictures_are_left_as_they_are(tmp_path: Path, convert: Convert) -> None:
    film = ffmpeg(tmp_path / "film.mp4", *PICTURE, "testsrc=size=320x180:rate=25:duration=1", *ENCODE, "-crf", "5")
    plain, adaptive = convert_all(convert, film, output("_a"), preprocessed("_b", Deinterlacer={"Mode": "ADAPTIVE"}))
    assert planes(adaptive, 12) == planes(plain, 12)


def test_hard_telecine_is_taken_back(tmp_path: Path, convert: Convert) -> None:
    graph = "testsrc2=size=320x180:rate=24000/1001:duration=1,telecine=pattern=23,setfield=prog"
    film = ffmpeg(tmp_path / "telecined.mp4", *PICTURE, graph, *ENCODE, "-crf", "5")
    rate = jobs.h264(FramerateControl="SPECIFIED", FramerateNumerator=24000, FramerateDenominator=1001)
    (path,) = convert_all(convert, film, preprocessed("_a", rate, Deinterlacer={"Mode": "INVERSE_TELECINE"}))
    assert stream(path)["r_frame_rate"] == "24000/1001" and abs(int(stream(path)["nb_frames"]) - 24) <= 1
    hashes = [planes(path, frame)[0] for frame in range(4, 10)]
    assert all(one != other for one, other in itertools.pairwise(hashes))


@pytest.fixture(scope="module")
def noisy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    graph = (
        f"color=gray:size={WIDTH}x{HEIGHT}:rate=25:duration=0.8,drawbox=80:40:120:80:white:fill,noise=alls=30:allf=t"
    )
    return ffmpeg(tmp_path_factory.mktemp("noisy") / "noisy.mp4", *PICTURE, graph, *ENCODE, "-crf", "5")


def test_every_noise_reducer_reduces_noise_and_sharpening_does_not(noisy: Path, convert: Convert) -> None:
    names = ("BILATERAL", "MEAN", "GAUSSIAN", "SHARPEN", "CONSERVE")
    asked = [{"Filter": name, "FilterSettings": {"Strength": 3}} for name in names]
    asked.append({"Filter": "SPATIAL", "SpatialFilterSettings": {"Strength": 16}})
    asked.append({"Filter": "TEMPORAL", "TemporalFilterSettings": {"Strength": 16}})
    asked.append({"Filter": "NONE"})
    made = convert_all(
        convert, noisy, *(preprocessed(f"_{number}", NoiseReducer=one) for number, one in enumerate(asked))
    )
    *spatial, temporal, plain = made
    rough = roughness(planes(plain, 10)[0])
    measured = dict(zip([*names, "SPATIAL"], (roughness(planes(path, 10)[0]) for path in spatial), strict=True))
    for name, found in measured.items():
        assert found > 1.1 * rough if name == "SHARPEN" else found < 0.75 * rough, (name, found, rough)
    assert unrest(temporal) < 0.75 * unrest(plain)


@pytest.fixture(scope="module")
def orange(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tags = "setparams=color_primaries=bt709:color_trc=bt709:colorspace=bt709:range=limited"
    graph = f"color=0xC08040:size=160x90:rate=25:duration=0.4,scale=out_color_matrix=bt709,{tags},format=yuv420p"
    return ffmpeg(tmp_path_factory.mktemp("orange") / "orange.mp4", *PICTURE, graph, *ENCODE)


def test_brightness_contrast_saturation_and_hue(orange: Path, convert: Convert) -> None:
    def corrected(modifier: str, **members: Any) -> dict[str, Any]:
        return preprocessed(modifier, ColorCorrector=members)

    plain, bright, flat, grey, turned = (
        [mean(plane) for plane in planes(path)]
        for path in convert_all(
            convert, orange, output("_a"), corrected("_b", Brightness=60), corrected("_c", Contrast=10),
            corrected("_d", Saturation=1), corrected("_e", Hue=180),
        )
    )  # fmt: skip
    assert bright[0] == pytest.approx(plain[0] + 0.2 * 219, abs=3) and bright[1:] == pytest.approx(plain[1:], abs=2)
    assert abs(flat[0] - 125.5) == pytest.approx(0.2 * abs(plain[0] - 125.5), abs=2)
    assert grey[1:] == pytest.approx([128, 128], abs=2)
    assert [value - 128 for value in turned[1:]] == pytest.approx([128 - value for value in plain[1:]], abs=3)


DEEP = {"Codec": "H_265", "H265Settings": {"RateControlMode": "QVBR", "MaxBitrate": 2_000_000,
                                           "CodecProfile": "MAIN10_MAIN"}}  # fmt: skip


def test_colours_are_converted_and_tagged(orange: Path, convert: Convert, tmp_path: Path) -> None:
    def to(space: str) -> dict[str, Any]:
        return {"ColorCorrector": {"ColorSpaceConversion": space}}

    made = convert_all(
        convert, orange, preprocessed("_a", **to("FORCE_601")), preprocessed("_b", DEEP, **to("FORCE_HDR10")),
        preprocessed("_c", DEEP, **to("FORCE_HLG_2020")),
    )  # fmt: skip
    tags = [[stream(path).get(f"color_{name}") for name in ("primaries", "transfer", "space")] for path in made]
    assert tags == [
        ["smpte170m", "smpte170m", "smpte170m"], ["bt2020", "smpte2084", "bt2020nc"],
        ["bt2020", "arib-std-b67", "bt2020nc"],
    ]  # fmt: skip
    before, converted = planes(orange), planes(made[0])
    assert abs(mean(before[2]) - mean(converted[2])) > 1, "another matrix has other numbers"
    again = functools.partial(convert_again, convert, tmp_path)
    (back,) = convert_all(again, made[1], preprocessed("_d", **to("FORCE_709")))
    assert stream(back)["color_transfer"] == "bt709"
    red, green, blue = pixel(back)
    assert red > green > blue


def convert_again(convert: Convert, folder: Path, clip: Path, settings: dict[str, Any]) -> Any:
    """The fixture works in one folder, which what it has made makes room in."""
    moved = clip.rename(folder / "again.mp4")
    (folder / "work").rename(folder / "work-before")
    return convert(moved, settings)


def pixel(path: Path) -> tuple[int, ...]:
    command = [str(jail.binary("ffmpeg")), "-v", "error", "-i", str(path), "-frames:v", "1", "-pix_fmt", "rgb24"]
    raw = subprocess.run([*command, "-f", "rawvideo", "-"], capture_output=True, timeout=60, check=True).stdout
    return tuple(raw[:3])


@pytest.fixture(scope="module")
def black(tmp_path_factory: pytest.TempPathFactory) -> Path:
    graph = f"color=black:size={WIDTH}x{HEIGHT}:rate=25:duration=1.2"
    return ffmpeg(tmp_path_factory.mktemp("black") / "black.mp4", *PICTURE, graph, *ENCODE)


@pytest.fixture(scope="module")
def logo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    picture = tmp_path_factory.mktemp("logo") / "logo.png"
    Image.new("RGBA", (40, 20), "white").save(picture)
    return picture


def image(**members: Any) -> dict[str, Any]:
    placed = {"ImageInserterInput": "s3://source/logo.png", "ImageX": 100, "ImageY": 60, "Layer": 1, "Opacity": 100}
    return {"InsertableImages": [{**placed, **members}]}


def test_pictures_are_inserted_where_and_when_they_are_to_be(black: Path, logo: Path, convert: Convert) -> None:
    def with_logo(modifier: str, codec: dict[str, Any] | None = None, **members: Any) -> dict[str, Any]:
        return preprocessed(modifier, codec, ImageInserter=image(**members))

    def insert(clip: Path, settings: dict[str, Any]) -> Any:
        return convert(clip, settings, logo)

    timed = {"StartTime": "00:00:00:10", "Duration": 400}
    whole, half, wide, late, fading, deep = convert_all(
        insert, black, with_logo("_a"), with_logo("_b", Opacity=50), with_logo("_c", Width=80),
        with_logo("_d", **timed), with_logo("_e", **timed, FadeIn=200, FadeOut=200), with_logo("_f", DEEP),
    )  # fmt: skip

    def inside(path: Path, frame: int = 5, left: int = 104, right: int = 136) -> float:
        row = planes(path, frame)[0][70 * WIDTH :]
        return mean(row[left:right])

    assert inside(whole) == inside(whole, 25) == pytest.approx(235, abs=3) == pytest.approx(inside(deep), abs=4)
    assert mean(planes(whole)[0][: 55 * WIDTH]) < 17
    assert inside(half) == pytest.approx(16 + 219 / 2, abs=4)
    assert inside(whole, left=144, right=176) < 18 and inside(wide, left=144, right=176) > 230
    assert [inside(late, frame) > 200 for frame in (8, 11, 19, 21)] == [False, True, True, False]
    faded = [inside(fading, frame) for frame in (8, 12, 18, 22, 27)]
    assert faded[0] < 18 and 60 < faded[1] < 180 and faded[2] > 230 and 60 < faded[3] < 200 and faded[4] < 18
    for path in (whole, fading):
        assert int(stream(path)["nb_frames"]) == 30


def test_what_is_no_png_is_not_inserted(black: Path, convert: Convert) -> None:
    bait = black.with_name("bait.png")
    bait.write_bytes(b"ffconcat version 1.0\nfile /etc/passwd\n")
    asked = jobs.settings(jobs.file(preprocessed("_a", ImageInserter=image())))
    with pytest.raises(InputRejected, match="is no PNG picture"):
        convert(black, asked, bait)


def drawn(folder: Path, text: str, place: str) -> bytes:
    """A black frame with a text that ffmpeg draws from a file, to hold a burnt-in timecode against."""
    written, font = folder / "written.txt", fonts.FILE
    written.write_text(text)
    look = f"drawtext=fontfile={font}:fontsize=16:fontcolor=white:box=1:boxcolor=black:boxborderw=2:expansion=none"
    command = [str(jail.full_ffmpeg()), "-v", "error", "-f", "lavfi", "-i", f"color=black:size={WIDTH}x{HEIGHT}"]
    command += [
        "-vf",
        f"{look}:textfile={written}:{place}",
        "-frames:v",
        "1",
        "-pix_fmt",
        "gray",
        "-f",
        "rawvideo",
        "-",
    ]
    return subprocess.run(command, capture_output=True, timeout=60, check=True).stdout


def alike(luma: bytes, wanted: bytes) -> bool:
    """Whether the same pixels are bright, but for what coding changed at the edges."""
    differing = sum((one > 128) != (other > 128) for one, other in zip(luma, wanted, strict=True))
    return differing < 0.12 * sum(one > 128 for one in wanted)


PREFIX = "EZ'-%{n}:[,;]\\"


def test_every_frame_shows_its_timecode(black: Path, tmp_path: Path, convert: Convert) -> None:
    burnin = {"FontSize": 16, "Position": "BOTTOM_RIGHT", "Prefix": PREFIX}
    settings = jobs.settings(jobs.file(
        preprocessed("_a", TimecodeBurnin=burnin),
        preprocessed("_b", TimecodeBurnin={"FontSize": 16, "Position": "TOP_LEFT"}),
    ))  # fmt: skip
    settings["TimecodeConfig"] = {"Source": "SPECIFIEDSTART", "Start": "10:59:59:20"}
    settings_table.check({"Role": "r", "Settings": settings})
    done = convert(black, settings)
    corner, top = "x=w-tw-w*0.05:y=h-th-h*0.05", "x=w*0.05:y=h*0.05"
    for frame, time in ((0, "10:59:59:20"), (5, "11:00:00:00"), (11, "11:00:00:06")):
        shown = planes(done.encoded / "g0o0.mp4", frame)[0]
        assert alike(shown, drawn(tmp_path, PREFIX + time, corner)), time
        assert not alike(shown, drawn(tmp_path, PREFIX + "10:59:58:11", corner))
        assert alike(planes(done.encoded / "g0o1.mp4", frame)[0], drawn(tmp_path, time, top)), time
    assert not list(done.encoded.glob("text-*"))


def test_timecodes_begin_where_the_job_says() -> None:
    look = {"TimecodeBurnin": {}}

    def first(of: Any = None, config: dict[str, Any] | None = None, **members: Any) -> str:
        settings = jobs.settings(jobs.file(preprocessed("_a", **look)), **members)
        track = next(planned(settings | ({"TimecodeConfig": config} if config else {}), of).outputs()).video
        assert track is not None and track.timecode is not None
        return track.timecode.start

    ntsc = source(rate=jobs.Fraction(30000, 1001))
    assert first() == "00:00:00:00" and first(ntsc) == "00:00:00;00"
    own = {"TimecodeSource": "SPECIFIEDSTART", "TimecodeStart": "01:00:00:00"}
    assert first(**own) == "01:00:00:00" and first(config={"Source": "ZEROBASED"}, **own) == "00:00:00:00"
    assert first(config={"Source": "SPECIFIEDSTART", "Start": "02:00:00:05"}, **own) == "02:00:00:05"
    with pytest.raises(SettingRefused, match=r"timecodeConfig\.start"):
        first(config={"Source": "SPECIFIEDSTART"})


@pytest.mark.parametrize("member", ["Crop", "Position"])
def test_an_area_outside_of_the_picture_ends_with_1040(member: str) -> None:
    area = {"X": 1800, "Y": 0, "Width": 200, "Height": 200}
    with pytest.raises(JobError, match="200x200 at 1800,0 does not lie inside a picture of 1920x1080") as raised:
        planned(jobs.settings(jobs.file(output("_a", **{member: area}))), source(1920, 1080))
    assert raised.value.code == 1040


@pytest.mark.parametrize(
    ("description", "told"),
    [
        ({"Crop": {"X": 1, "Width": 20, "Height": 20}}, "crop.x: 4:2:0 video needs an even number"),
        ({"Position": {"Width": 20}}, "position.height: is needed"),
        (
            {"VideoPreprocessors": {"ColorCorrector": {"ColorSpaceConversion": "FORCE_HDR10"}}},
            "needs a codec of 10 bits",
        ),
        ({"VideoPreprocessors": {"DolbyVision": {}}}, "dolbyVision: dynamic metadata needs a licence"),
        ({"VideoPreprocessors": {"NoiseReducer": {"Filter": "LANCZOS"}}}, "noiseReducer.filter: LANCZOS is not"),
        (
            {"VideoPreprocessors": {"ImageInserter": {"InsertableImages": [{}]}}},
            "imageInserterInput: a picture is",
        ),
        ({"VideoPreprocessors": {"ImageInserter": image(StartTime="1 s")}}, "startTime: must be HH:MM:SS:FF"),
        ({"VideoPreprocessors": {"ImageInserter": image(FadeOut=10)}}, "fadeOut: needs a duration"),
        ({"VideoPreprocessors": {"ImageInserter": image(ImageInserterInput="file:///etc/passwd")}}, "must be s3://"),
    ],
)
def test_processing_that_cannot_be_is_refused(description: dict[str, Any], told: str) -> None:
    settings = jobs.settings(jobs.file(output("_a", **description)))
    with pytest.raises(SettingRefused) as refused:
        settings_table.check({"Role": "r", "Settings": settings})
        request.read(settings)
    assert told in str(refused.value)
