"""What a job says of colours: of its sources, of a mastering display, and of what is to become of them."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import mediaconvert_jobs as jobs
from localaws.media import jail
from localaws.media.failures import SettingRefused
from localaws.mediaconvert.answers import table as settings_table
from localaws.mediaconvert.settings import request
from probed_media import ENCODE, PICTURE, ffprobe, film, stream
from sample_media import ffmpeg

Convert = Callable[[Path, dict[str, Any]], Any]
DEEP = {
    "Codec": "H_265",
    "H265Settings": {"MaxBitrate": 400_000, "QualityTuningLevel": "SINGLE_PASS", "CodecProfile": "MAIN10_MAIN"},
}
AV1 = {"Codec": "AV1", "Av1Settings": {"MaxBitrate": 400_000, "BitDepth": "BIT_10"}}


def output(modifier: str, codec: dict[str, Any] | None = None, **description: Any) -> dict[str, Any]:
    return jobs.video(modifier, container="MP4", codec=codec, **{"Height": 90, **description})


def corrected(modifier: str, codec: dict[str, Any] | None = None, **members: Any) -> dict[str, Any]:
    return output(modifier, codec, VideoPreprocessors={"ColorCorrector": members})


@pytest.fixture
def made(convert: Convert) -> Callable[..., list[Path]]:
    def run(clip: Path, *outputs: dict[str, Any], **given: Any) -> list[Path]:
        settings = jobs.settings(jobs.file(*outputs), **given)
        settings_table.check({"Role": "r", "Settings": settings})
        done = convert(clip, settings)
        return [done.encoded / one.work_file for one in done.plan.outputs()]

    return run


def told(path: Path) -> tuple[str | None, ...]:
    found = stream(path)
    return tuple(found.get(f"color_{name}") for name in ("primaries", "transfer", "space"))


@pytest.mark.parametrize(
    ("usage", "space", "wanted"),
    [
        ("FORCE", "REC_601", ("smpte170m", "smpte170m", "smpte170m")),
        ("FORCE", "P3D65_SDR", ("smpte432", "iec61966-2-1", "bt709")),
        ("FALLBACK", "REC_601", ("bt709", "bt709", "bt709")),
    ],
)
def test_a_source_is_taken_for_what_the_job_says(
    tmp_path: Path, made: Callable[..., list[Path]], usage: str, space: str, wanted: tuple[str, ...]
) -> None:
    tags = ("-vf", "setparams=color_primaries=bt709:color_trc=bt709:colorspace=bt709")
    clip = film(tmp_path, *tags, sound=None, duration_s=0.2)
    (path,) = made(clip, output("_a"), VideoSelector={"ColorSpace": space, "ColorSpaceUsage": usage})
    assert told(path) == wanted


def test_what_a_source_does_not_say_is_filled_in(tmp_path: Path, made: Callable[..., list[Path]]) -> None:
    selector = {"ColorSpace": "REC_709", "ColorSpaceUsage": "FALLBACK", "SampleRange": "FULL_RANGE"}
    clip = film(tmp_path, sound=None, duration_s=0.2)
    one, converted = made(clip, output("_a"), corrected("_b", ColorSpaceConversion="FORCE_P3D65_SDR"),
                          VideoSelector=selector)  # fmt: skip
    assert told(one) == ("bt709", "bt709", "bt709") and stream(one)["color_range"] == "pc"
    assert told(converted) == ("smpte432", "iec61966-2-1", "bt709")


def mastering(path: Path) -> dict[str, Any]:
    (frame,) = ffprobe(path, "-show_frames", "-read_intervals", "%+#1")["frames"]
    sides = {data["side_data_type"]: data for data in frame["side_data_list"]}
    return {**sides["Mastering display metadata"], **sides["Content light level metadata"]}


def number(fraction: str) -> float:
    top, _, bottom = fraction.partition("/")
    return int(top) / int(bottom)


@pytest.fixture(scope="module")
def hdr(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """HDR 10 with a mastering display of 2000 cd/m2."""
    clip = tmp_path_factory.mktemp("hdr") / "hdr.mp4"
    tags = "setparams=color_primaries=bt2020:color_trc=smpte2084:colorspace=bt2020nc,format=yuv420p10le"
    display = "master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(20000000,1):max-cll=900,300"
    command = [str(jail.full_ffmpeg()), "-v", "error", *PICTURE, "testsrc2=size=320x180:rate=25:duration=0.2"]
    command += ["-vf", tags, "-c:v", "libx265", "-preset", "ultrafast", "-x265-params", f"log-level=error:{display}"]
    subprocess.run([*command, str(clip)], check=True, timeout=60)
    return clip


def test_the_job_knows_the_mastering_display_better_than_the_source(hdr: Path, made: Callable[..., list[Path]]) -> None:
    light = {"MaxContentLightLevel": 1200, "MaxFrameAverageLightLevel": 200, "MaxLuminance": 40_000_000}
    own = {"MaxContentLightLevel": 600, "MaxFrameAverageLightLevel": 100, "RedPrimaryX": 35_400, "RedPrimaryY": 14_600}
    deep, av1, converted, ten, prores = made(
        hdr, output("_a", DEEP), output("_b", AV1),
        corrected("_c", DEEP, ColorSpaceConversion="FORCE_HDR10", Hdr10Metadata=own),
        output("_d", jobs.h264(CodecProfile="HIGH_10BIT")),
        jobs.video("_e", container="MOV", codec={"Codec": "PRORES", "ProresSettings": {}}),
        VideoSelector={"ColorSpace": "HDR10", "Hdr10Metadata": light},
    )  # fmt: skip
    for path in (deep, ten):
        found = mastering(path)
        assert (found["max_content"], found["max_average"]) == (1200, 200)
        assert number(found["max_luminance"]) == pytest.approx(4000) and number(found["red_x"]) == pytest.approx(0.68)
    assert told(prores) == ("bt2020", "smpte2084", "bt2020nc")
    shown = subprocess.run(
        [str(jail.full_ffmpeg()), "-i", str(av1), "-frames:v", "1", "-vf", "showinfo", "-f", "null", "-"],
        capture_output=True, text=True, check=True, timeout=60,
    ).stderr  # fmt: skip
    assert "MaxCLL=1200, MaxFALL=200" in shown and re.search(r"max_luminance=4000\.0", shown)
    found = mastering(converted)
    assert (found["max_content"], found["max_average"]) == (600, 100)
    assert number(found["max_luminance"]) == pytest.approx(1000) and number(found["red_x"]) == pytest.approx(0.708)


def luma(path: Path) -> bytes:
    command = [str(jail.binary("ffmpeg")), "-v", "error", "-i", str(path), "-frames:v", "1", "-pix_fmt", "yuv420p"]
    raw = subprocess.run([*command, "-f", "rawvideo", "-"], capture_output=True, timeout=60, check=True).stdout
    return raw[: len(raw) * 2 // 3]


def test_what_is_out_of_range_is_clipped(tmp_path: Path, made: Callable[..., list[Path]]) -> None:
    steps = "color=black:size=160x90:rate=25:duration=0.2,geq=lum=X*255/159:cb=128:cr=128"
    clip = ffmpeg(tmp_path / "steps.mp4", *PICTURE, steps, *ENCODE, "-qp", "1")
    best = jobs.h264(MaxBitrate=8_000_000, QvbrSettings={"QvbrQualityLevel": 10})
    clip_to = {"MinimumYUV": 128, "MaximumYUV": 920}
    plain, clipped, hard = made(
        clip, output("_a", best), corrected("_b", best, SampleRangeConversion="LIMITED_RANGE_CLIP"),
        corrected("_c", best, SampleRangeConversion="LIMITED_RANGE_CLIP", ClipLimits=clip_to),
    )  # fmt: skip
    ends = [(min(luma(path)), max(luma(path))) for path in (plain, clipped, hard)]
    assert ends[0][0] < 6 and ends[0][1] > 249
    for low, high in ends[1:]:
        assert low >= 14 and high <= 237
    # What is darker than 128 of 1023, 32 of 255, is black.
    assert sum(value < 18 for value in luma(hard)) > 1.5 * sum(value < 18 for value in luma(clipped))


def test_sound_without_pictures_is_black_where_that_is_asked_for(
    tmp_path: Path, made: Callable[..., list[Path]]
) -> None:
    white = "color=white:size=160x90:rate=25:duration=0.4"
    clip = ffmpeg(
        tmp_path / "late.mkv", "-itsoffset", "0.2", *PICTURE, white, *PICTURE, "sine=440:r=48000:duration=1", *ENCODE
    )
    sound = {"AudioDescriptions": [jobs.aac()]}
    shown = []
    for asked in ({"PadVideo": "BLACK"}, {}):
        (path,) = made(clip, {**output("_a"), **sound}, VideoSelector=asked)
        shown.append("".join(_named(frame) for frame in frames(path)))
        shutil.rmtree(tmp_path / "work")
    padded, plain = shown
    assert padded == "b" * 5 + "w" * 10 + "b" * 10
    assert set(plain) == {"w"}


def frames(path: Path) -> list[bytes]:
    command = [str(jail.binary("ffmpeg")), "-v", "error", "-i", str(path), "-vf", "scale=1:1,format=gray"]
    raw = subprocess.run([*command, "-f", "rawvideo", "-"], capture_output=True, timeout=60, check=True).stdout
    return [raw[at : at + 1] for at in range(len(raw))]


def _named(frame: bytes) -> str:
    return "w" if frame[0] > 128 else "b"


@pytest.mark.parametrize(
    ("members", "told"),
    [
        ({"VideoSelector": {"Hdr10Metadata": {"MaxContentLightLevel": 1}}}, "hdr10Metadata: goes together"),
        ({"corrector": {"Hdr10Metadata": {"MaxContentLightLevel": 1}}}, "hdr10Metadata: goes together"),
        ({"corrector": {"ClipLimits": {"MinimumYUV": 60}}}, "clipLimits: goes together"),
        ({"corrector": {"ColorSpaceConversion": "FORCE_P3D65_HDR"}}, "FORCE_P3D65_HDR needs a codec of 10 bits"),
    ],
)
def test_what_does_not_go_together_is_refused(members: dict[str, Any], told: str) -> None:
    own = corrected("_a", **members.pop("corrector", {}))
    with pytest.raises(SettingRefused, match=told):
        request.read(jobs.settings(jobs.file(own), **members))
