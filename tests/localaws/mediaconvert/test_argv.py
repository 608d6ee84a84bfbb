"""The command lines of ffmpeg and the packager, whole, against golden files."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import pytest

import mediaconvert_jobs as jobs
from localaws.mediaconvert.ffmpeg import argv
from localaws.mediaconvert.planning.planned import Plan
from mediaconvert_jobs import planned, source

CLEARKEY = "e2719d58-a985-b3c9-781a-b030af78d30e"
SPEKE = "http://127.0.0.1:1/speke"

LADDER = jobs.cmaf(
    jobs.video("_1080", Height=1080),
    jobs.video("_540", Height=540),
    jobs.video("_270", Height=270),
    jobs.audio("_audio"),
    Encryption=jobs.encryption(SPEKE, systems=(CLEARKEY,)),
)
POSTER = jobs.file(jobs.frames(), destination="s3://media/poster/poster")


def job(name: str) -> Plan:
    if name == "ladder":
        return planned(jobs.settings(LADDER, POSTER, VideoSelector={"Rotate": "AUTO"}))
    if name == "portrait_vfr_interlaced":
        of = source(1080, 1920, rate=Fraction(30000, 1001), rotation=90, interlaced=True)
        return planned(jobs.settings(jobs.cmaf(jobs.video("_v", Height=720)), VideoSelector={"Rotate": "AUTO"}), of)
    if name == "turned_by_the_job":
        return planned(jobs.settings(jobs.cmaf(jobs.video("_v", Height=640)), VideoSelector={"Rotate": "DEGREES_270"}))
    if name == "file_group":
        muxed = {**jobs.video("_mp4", container="MP4", Width=640, Height=480), "AudioDescriptions": [jobs.aac()]}
        return planned(
            jobs.settings(jobs.file(muxed, jobs.audio("_sound", container="MP4", CodingMode="CODING_MODE_5_1")))
        )
    if name == "rate_controls":
        cbr = jobs.h264(
            RateControlMode="CBR", Bitrate=1_000_000, CodecProfile="BASELINE", EntropyEncoding="CAVLC",
            SceneChangeDetect="DISABLED", NumberReferenceFrames=2, HrdBufferInitialFillPercentage=90,
            AdaptiveQuantization="OFF", Slices=4,
        )  # fmt: skip
        vbr = jobs.h264(
            RateControlMode="VBR", Bitrate=1_000_000, MaxBitrate=1_500_000, HrdBufferSize=2_000_000,
            CodecProfile="HIGH", CodecLevel="LEVEL_4_1", QualityTuningLevel="MULTI_PASS_HQ", GopBReference="ENABLED",
            NumberBFramesBetweenReferenceFrames=3, DynamicSubGop="STATIC", ExplicitWeightedPrediction="DISABLED",
            FramerateControl="SPECIFIED", FramerateNumerator=50, FramerateDenominator=1,
        )  # fmt: skip
        return planned(jobs.settings(jobs.dash(jobs.video("_c", container="MPD", codec=cbr),
                                               jobs.video("_v", container="MPD", codec=vbr))))  # fmt: skip
    video = jobs.video("_v", container="MPD", codec=jobs.h264(GopSize=2))
    return planned(jobs.settings(jobs.dash(video, SegmentControl="SINGLE_FILE", SegmentLength=5)))


JOBS = ["ladder", "portrait_vfr_interlaced", "turned_by_the_job", "file_group", "rate_controls", "single_file"]


@pytest.mark.parametrize("name", JOBS)
def test_ffmpeg_command_line(name: str, golden: Callable[[str, str], None]) -> None:
    golden(f"mediaconvert/{name}.ffmpeg.txt", "\n".join(argv.ffmpeg(job(name), "ffmpeg")) + "\n")


@pytest.mark.parametrize("name", ["ladder", "rate_controls", "single_file"])
def test_packager_command_line(name: str, golden: Callable[[str, str], None]) -> None:
    group = job(name).groups[0]
    encrypted = group.packaging is not None and group.packaging.encryption is not None
    arguments = argv.packager(group, "packager", encrypted=encrypted)
    golden(f"mediaconvert/{name}.packager.txt", "\n".join(arguments) + "\n")


def test_the_source_is_decoded_once() -> None:
    arguments = argv.ffmpeg(job("ladder"), "ffmpeg")
    assert arguments.count("-i") == 1


def test_smaller_pictures_are_scaled_from_larger_ones() -> None:
    graph = argv.ffmpeg(job("ladder"), "ffmpeg")[argv.ffmpeg(job("ladder"), "ffmpeg").index("-filter_complex") + 1]
    scaled = [chain for chain in graph.split(";") if "scale=480:270" in chain]
    assert len(scaled) == 1 and scaled[0].startswith("[r0x1_")


def test_names_of_users_never_reach_a_command_line() -> None:
    ugly = jobs.settings(
        jobs.cmaf(jobs.video("_;x", Height=720), destination="s3://media/-y|$fn$, 'x'/"), uri="s3://source/-i x;|,.mp4"
    )
    plan = planned(ugly)
    for arguments in (argv.ffmpeg(plan, "ffmpeg"), argv.packager(plan.groups[0], "packager", encrypted=False)):
        assert not [argument for argument in arguments if ";x" in argument or "-i x" in argument or "-y|" in argument]
