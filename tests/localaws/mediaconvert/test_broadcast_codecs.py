"""Codecs for broadcast, editing, archives and the web's past: what comes out is what was asked for, ffprobe says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import mediaconvert_jobs as jobs
from localaws.media.failures import JobError, SettingRefused
from localaws.mediaconvert.answers import table as settings_table
from localaws.mediaconvert.ffmpeg import stitching
from localaws.mediaconvert.settings import request
from mediaconvert_jobs import planned, source
from probed_media import ffprobe, film, frame_hashes, key_frames_s, stream

Convert = Callable[[Path, dict[str, Any]], Any]
WAV = {"CodecSettings": {"Codec": "WAV", "WavSettings": {"BitDepth": 24, "SampleRate": 48_000}}}
SMALL = {"Height": 90}
OPUS = {"CodecSettings": {"Codec": "OPUS", "OpusSettings": {}}}


def coded(
    modifier: str, container: str, codec: str, member: str, *audios: Any, size: dict[str, int] = SMALL, **members: Any
) -> dict[str, Any]:
    output = jobs.video(modifier, container=container, codec={"Codec": codec, member: members}, **size)
    return {**output, **({"AudioDescriptions": list(audios)} if audios else {})}


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return film(tmp_path_factory.mktemp("clip"), duration_s=1.2)


@pytest.fixture
def made(convert: Convert, clip: Path) -> Callable[..., list[Path]]:
    def run(*outputs: dict[str, Any], of: Path = clip) -> list[Path]:
        settings = jobs.settings(jobs.file(*outputs))
        settings_table.check({"Role": "r", "Settings": settings})
        done = convert(of, settings)
        for output in done.plan.outputs():
            assert done.facts[output.label][0] == pytest.approx(1200, abs=80), output.extension
        return [done.encoded / output.work_file for output in done.plan.outputs()]

    return run


def test_mpeg2_in_each_of_its_containers(made: Callable[..., list[Path]]) -> None:
    xdcam = {
        "RateControlMode": "CBR", "Bitrate": 3_000_000, "CodecProfile": "PROFILE_422", "CodecLevel": "HIGH",
        "GopSize": 12, "GopSizeUnits": "FRAMES", "IntraDcPrecision": "INTRA_DC_PRECISION_10",
        "HrdBufferSize": 3_000_000,
    }  # fmt: skip
    mxf, ts, mov, raw = made(
        coded("_a", "MXF", "MPEG2", "Mpeg2Settings", WAV, WAV, **xdcam),
        coded("_b", "M2TS", "MPEG2", "Mpeg2Settings", jobs.aac(), Bitrate=1_000_000, MaxBitrate=2_000_000),
        coded("_c", "MOV", "MPEG2", "Mpeg2Settings", Bitrate=1_000_000, QualityTuningLevel="MULTI_PASS",
              NumberBFramesBetweenReferenceFrames=0),
        coded("_d", "RAW", "MPEG2", "Mpeg2Settings", Bitrate=1_000_000),
    )  # fmt: skip
    found = stream(mxf)
    assert (found["codec_name"], found["profile"], found["pix_fmt"]) == ("mpeg2video", "4:2:2", "yuv422p")
    assert found["level"] == 2 and (found["width"], found["height"]) == (160, 90)
    assert [one["codec_name"] for one in ffprobe(mxf, "-show_streams")["streams"]][1:] == ["pcm_s24le"] * 2
    assert len(key_frames_s(mov)) == 3 and mxf.suffix == ".mxf" and raw.suffix == ".m2v"
    for path in (ts, mov, raw):
        assert (stream(path)["codec_name"], stream(path)["profile"]) == ("mpeg2video", "Main")
    pictures = {frame["pict_type"] for frame in ffprobe(mov, "-show_entries", "frame=pict_type")["frames"]}
    assert pictures == {"I", "P"}


def test_profiles_of_prores(made: Callable[..., list[Path]]) -> None:
    names = {"422_PROXY": "apco", "422_LT": "apcs", "422": "apcn", "422_HQ": "apch", "4444": "ap4h", "4444_XQ": "ap4x"}
    files = made(*(
        coded(f"_{name}", "MOV", "PRORES", "ProresSettings", CodecProfile=f"APPLE_PRORES_{name}")
        for name in names
    ))  # fmt: skip
    found = [stream(path) for path in files]
    assert [one["codec_tag_string"] for one in found] == list(names.values())
    assert {one["pix_fmt"] for one in found[:4]} == {"yuv422p10le"}
    assert all(one["pix_fmt"].startswith("yuv444p1") for one in found[4:])


def test_vp8_with_opus_in_webm(made: Callable[..., list[Path]]) -> None:
    (path,) = made(coded("_a", "WEBM", "VP8", "Vp8Settings", OPUS, Bitrate=300_000, GopSize=15.0))
    streams = ffprobe(path, "-show_streams")["streams"]
    assert [one["codec_name"] for one in streams] == ["vp8", "opus"]
    assert [at for at in key_frames_s(path) if at in (0.0, 0.6)] == [0.0, 0.6]


def test_gif_and_uncompressed_pictures(made: Callable[..., list[Path]]) -> None:
    rate = {"FramerateControl": "SPECIFIED", "FramerateNumerator": 10, "FramerateDenominator": 1}
    gif, whole, thin = made(
        coded("_a", "GIF", "GIF", "GifSettings", **rate),
        coded("_b", "Y4M", "UNCOMPRESSED", "UncompressedSettings", Fourcc="I444"),
        coded("_c", "Y4M", "UNCOMPRESSED", "UncompressedSettings"),
    )
    assert gif.read_bytes()[:6] == b"GIF89a"
    assert (stream(gif)["codec_name"], stream(gif)["r_frame_rate"]) == ("gif", "10/1")
    assert (stream(whole)["pix_fmt"], stream(thin)["pix_fmt"]) == ("yuv444p", "yuv420p")
    assert whole.stat().st_size == pytest.approx(2 * thin.stat().st_size, rel=0.01)


def test_vc3_has_the_sizes_and_rates_of_its_classes(made: Callable[..., list[Path]], tmp_path: Path) -> None:
    size = {"Width": 1280, "Height": 720}
    files = made(*(
        coded(f"_{name}", "MXF", "VC3", "Vc3Settings", Vc3Class=name, size=size)
        for name in ("CLASS_145_8BIT", "CLASS_220_10BIT")
    ))  # fmt: skip
    assert [(stream(path)["codec_name"], stream(path)["pix_fmt"]) for path in files] == [
        ("dnxhd", "yuv422p"), ("dnxhd", "yuv422p10le"),
    ]  # fmt: skip
    with pytest.raises(JobError, match="VC3 has 1920x1080 and 1280x720, not 1920x800"):
        planned(jobs.settings(jobs.file(coded("_a", "MXF", "VC3", "Vc3Settings", size={}))), source(1920, 800))


def test_pictures_pass_through_beside_outputs_that_are_encoded(
    clip: Path, made: Callable[..., list[Path]], tmp_path: Path
) -> None:
    containers = ("MOV", "MP4", "M2TS")
    copies = [coded(f"_{name}", name, "PASSTHROUGH", "PassthroughSettings", jobs.aac(), size={}) for name in containers]
    *copied, encoded = made(*copies, jobs.video("_e", container="MP4", Height=90))
    for path in copied:
        streams = ffprobe(path, "-show_streams")["streams"]
        assert [one["codec_name"] for one in streams] == ["h264", "aac"] and streams[0]["width"] == 320
        assert frame_hashes(path) == frame_hashes(clip)
    assert stream(encoded)["width"] == 160


@pytest.mark.parametrize(
    ("output", "told"),
    [
        (coded("_a", "MP4", "PRORES", "ProresSettings"), "MP4 does not hold PRORES"),
        (coded("_a", "MP4", "VP8", "Vp8Settings", Bitrate=300_000), "MP4 does not hold VP8"),
        (coded("_a", "MP4", "MPEG2", "Mpeg2Settings", Bitrate=300_000), "MP4 does not hold MPEG2"),
        (coded("_a", "MOV", "MPEG2", "Mpeg2Settings"), "mpeg2Settings.bitrate: is needed"),
        (coded("_a", "GIF", "GIF", "GifSettings", jobs.aac()), "GIF does not hold AAC"),
        (coded("_a", "MOV", "PRORES", "ProresSettings", ChromaSampling="PRESERVE_444_SAMPLING"), "profile of 4444"),
        (coded("_a", "MP4", "PASSTHROUGH", "PassthroughSettings", size={"Width": 320}), "width: does not go"),
    ],
)  # fmt: skip
def test_what_does_not_go_together_is_refused(output: dict[str, Any], told: str) -> None:
    with pytest.raises(SettingRefused, match=told):
        request.read(jobs.settings(jobs.file(output)))


def test_what_the_source_does_not_allow_ends_the_job() -> None:
    copy = jobs.file(coded("_a", "MXF", "PASSTHROUGH", "PassthroughSettings", size={}))
    with pytest.raises(JobError, match="takes prores, dnxhd as they are"):
        planned(jobs.settings(copy))
    with pytest.raises(JobError, match="takes an input whole"):
        planned(jobs.settings(copy, InputClippings=[{"StartTimecode": "00:00:01:00"}]))
    slow = source(rate=jobs.Fraction(15))
    with pytest.raises(JobError, match="frames a second, not 15; set framerate"):
        planned(jobs.settings(jobs.file(coded("_a", "M2TS", "MPEG2", "Mpeg2Settings", Bitrate=300_000))), slow)


def test_files_may_grow_as_fast_as_their_codec_makes_them() -> None:
    whole = jobs.video("_a", container="Y4M", codec={"Codec": "UNCOMPRESSED", "UncompressedSettings": {}})
    coded_mp4 = jobs.video("_b", container="MP4", codec=jobs.h264(MaxBitrate=8_000_000))
    tracks = [output.video for output in planned(jobs.settings(jobs.file(whole, coded_mp4))).outputs()]
    rates = [track.most_bytes_per_s for track in tracks if track is not None]
    assert rates[0] > 1920 * 1080 * 1.5 * 25 and rates[1] == 2_000_000


def test_films_of_several_inputs_keep_the_most_of_what_outputs_take() -> None:
    deep = {"Codec": "H_265", "H265Settings": {"MaxBitrate": 400_000, "CodecProfile": "MAIN10_MAIN"}}
    thin = {"Codec": "MPEG2", "Mpeg2Settings": {"Bitrate": 300_000, "CodecProfile": "PROFILE_422"}}
    outputs = jobs.file(jobs.video("_a", container="MP4", codec=deep), jobs.video("_b", container="MOV", codec=thin))
    settings = jobs.settings(outputs)
    settings["Inputs"] *= 2
    chains, _ = stitching.pictures(planned(settings))
    assert all("format=yuv422p10le," in chain for chain in chains[:2])
