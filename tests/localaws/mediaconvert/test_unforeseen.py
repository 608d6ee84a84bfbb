"""Combinations of settings and sources that nobody had thought of; random jobs found each of them."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import any_sources
import mediaconvert_jobs as jobs
from localaws.media import jail
from localaws.media.failures import JobError, SettingRefused
from localaws.mediaconvert.ffmpeg import encoders
from localaws.mediaconvert.planning.film import Source
from localaws.mediaconvert.settings import request
from mediaconvert_jobs import planned, source
from probed_media import ffprobe, frame_hashes, stream

Convert = Callable[..., Any]
Json = dict[str, Any]


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("films")


def sound(codec: str, **own: Any) -> Json:
    return {"CodecSettings": {"Codec": codec, f"{codec.capitalize()}Settings": own}}


def refused(output: Json) -> str:
    with pytest.raises(SettingRefused) as caught:
        request.read(jobs.settings(jobs.file(output)))
    return str(caught.value)


def infeasible(codec: Json, of: Source, container: str = "MP4", **description: Any) -> str:
    with pytest.raises(JobError) as caught:
        planned(jobs.settings(jobs.file(jobs.video("_a", container=container, codec=codec, **description))), of)
    assert caught.value.code == 1040
    return caught.value.message


def alone(container: str, coded: Json) -> Json:
    return {"NameModifier": "_a", "ContainerSettings": {"Container": container}, "AudioDescriptions": [coded]}


def test_an_input_that_is_sound_alone_is_black_among_others_and_the_job_says_so(films: Path, convert: Convert) -> None:
    settings = jobs.settings(jobs.file({**jobs.video("_a", container="MP4"), "AudioDescriptions": [jobs.aac()]}))
    settings["Inputs"].append({"FileInput": "s3://source/inputs/song.mp3"})
    done = convert(any_sources.made("plain", films), settings, any_sources.made("song", films))
    found = ffprobe(done.path("f/film_a.mp4"), "-show_streams")["streams"]
    assert [one["codec_type"] for one in found] == ["video", "audio"]
    assert all(float(one["duration"]) == pytest.approx(2.5, abs=0.1) for one in found)
    assert done.plan.warnings == ("inputs[1] has no pictures; outputs show black for it",)
    assert float(done.plan.padding_s) == pytest.approx(1.3, abs=0.1)


def test_sound_is_taken_from_an_input_whose_pictures_are_cropped_for_nobody(films: Path, convert: Convert) -> None:
    crop = {"X": 0, "Y": 4, "Width": 96, "Height": 54}
    settings = jobs.settings(jobs.file(alone("WEBM", sound("OPUS"))), Crop=crop)
    done = convert(any_sources.made("plain", films), settings)
    assert stream(done.path("f/film_a.webm"))["codec_name"] == "opus"


def test_a_clip_after_the_end_of_the_sound_is_silent(films: Path, convert: Convert) -> None:
    selector = {"DefaultSelection": "DEFAULT", "Offset": -500}
    clips = [{"StartTimecode": "00:00:00:10", "EndTimecode": "00:00:00:15"}, {"EndTimecode": "00:00:00:15"}]
    members = {"InputClippings": clips, "TimecodeSource": "ZEROBASED", "AudioSelectors": {"Audio": selector}}
    output = {**jobs.video("_a", container="MP4"), "AudioDescriptions": [{**jobs.aac(), "AudioSourceName": "Audio"}]}
    done = convert(any_sources.made("plain", films), jobs.settings(jobs.file(output), **members))
    found = ffprobe(done.path("f/film_a.mp4"), "-show_streams")["streams"]
    assert all(float(one["duration"]) == pytest.approx(22 / 25, abs=0.06) for one in found)


def test_a_picture_fades_in_whose_start_is_before_the_first_frame(
    films: Path, tmp_path: Path, convert: Convert
) -> None:
    image = {"ImageInserterInput": "s3://source/logo.png", "Layer": 1, "ImageX": 0, "ImageY": 0}
    image |= {"StartTime": "00:00:00:05", "Duration": 400, "FadeIn": 100, "FadeOut": 100}
    output = jobs.video("_a", container="MP4", VideoPreprocessors={"ImageInserter": {"InsertableImages": [image]}})
    clips = [{"StartTimecode": "00:00:00:10", "EndTimecode": "00:00:00:24"}]
    members = {"InputClippings": clips, "TimecodeSource": "ZEROBASED"}
    done = convert(
        any_sources.made("plain", films), jobs.settings(jobs.file(output), **members), any_sources.image(tmp_path)
    )
    assert stream(done.path("f/film_a.mp4"))["nb_frames"] == "15"


def test_a_clip_of_a_transport_stream_begins_at_its_frame_whatever_lies_before(films: Path, convert: Convert) -> None:
    """Its one key frame is the first of all."""
    clips = [{"StartTimecode": "00:00:00:10", "EndTimecode": "00:00:00:19"}]
    output = {**jobs.video("_a", container="MP4"), "AudioDescriptions": [jobs.aac()]}
    settings = jobs.settings(jobs.file(output), InputClippings=clips, TimecodeSource="ZEROBASED")
    clip = any_sources.made("clocked", films)
    done = convert(clip, settings)
    assert int(stream(done.path("f/film_a.mp4"))["nb_frames"]) == pytest.approx(10, abs=1)
    found = luma(done.path("f/film_a.mp4"), 3)
    assert min(difference(luma(clip, number), found) for number in (12, 13)) < 4 < difference(luma(clip, 20), found)


def luma(path: Path, frame: int) -> bytes:
    command = [str(jail.binary("ffmpeg")), "-v", "error", "-i", str(path), "-vf", f"select=eq(n\\,{frame})"]
    command += ["-frames:v", "1", "-pix_fmt", "gray", "-f", "rawvideo", "-"]
    return subprocess.run(command, capture_output=True, timeout=60, check=True).stdout


def difference(one: bytes, other: bytes) -> float:
    return sum(abs(a - b) for a, b in zip(one, other, strict=True)) / len(one)


def test_hls_of_sound_alone_has_a_variant_for_each_group(films: Path, convert: Convert) -> None:
    one, two = (jobs.audio(f"_{name}", container="M3U8") for name in "ab")
    done = convert(any_sources.made("plain", films), jobs.settings(jobs.hls(one, two)))
    lines = done.text("h/hls.m3u8").splitlines()
    variants = [place for place, line in enumerate(lines) if line.startswith("#EXT-X-STREAM-INF")]
    assert [lines[place + 1] for place in variants] == ["hls_a.m3u8"]
    assert 'AUDIO="program_audio"' in lines[variants[0]] and 'CODECS="mp4a.40.2"' in lines[variants[0]]


def test_frames_with_what_moves_between_them_last_as_long_as_the_film(films: Path, convert: Convert) -> None:
    rate = {"FramerateControl": "SPECIFIED", "FramerateNumerator": 50, "FramerateDenominator": 1}
    codec = jobs.h264(**rate, FramerateConversionAlgorithm="FRAMEFORMER")
    done = convert(
        any_sources.made("plain", films), jobs.settings(jobs.file(jobs.video("_a", container="MP4", codec=codec)))
    )
    assert stream(done.path("f/film_a.mp4"))["nb_frames"] == "60"


def test_telecine_is_taken_back_from_a_film_of_two_inputs(films: Path, convert: Convert) -> None:
    processed = {"Deinterlacer": {"Mode": "INVERSE_TELECINE"}}
    settings = jobs.settings(jobs.file(jobs.video("_a", container="MP4", VideoPreprocessors=processed)))
    settings["Inputs"].append({"FileInput": "s3://source/inputs/other.mp4"})
    done = convert(any_sources.made("video", films), settings, any_sources.made("plain", films))
    assert float(stream(done.path("f/film_a.mp4"))["duration"]) == pytest.approx(2.4, abs=0.1)


def test_burnt_captions_at_places_far_outside_the_picture(films: Path, tmp_path: Path, convert: Convert) -> None:
    far = {"XPosition": 2**31 - 1, "YPosition": 2**31 - 1, "ShadowXOffset": -(2**31), "ShadowYOffset": 2**31 - 1}
    burnt = {"DestinationType": "BURN_IN", "BurninDestinationSettings": {**far, "ShadowOpacity": 255}}
    described = [{"CaptionSelectorName": "Captions", "DestinationSettings": burnt}]
    source = {"SourceType": "SRT", "FileSourceSettings": {"SourceFile": "s3://source/captions.srt"}}
    selectors = {"Captions": {"SourceSettings": source}}
    output = {**jobs.video("_a", container="MP4"), "CaptionDescriptions": described}
    settings = jobs.settings(jobs.file(output), CaptionSelectors=selectors)
    done = convert(any_sources.made("plain", films), settings, any_sources.captions(tmp_path))
    assert stream(done.path("f/film_a.mp4"))["nb_frames"] == "30"


def test_h265_without_deblocking_ends(films: Path, convert: Convert) -> None:
    own = {"RateControlMode": "QVBR", "MaxBitrate": 500_000, "Deblocking": "DISABLED"}
    output = jobs.video("_a", container="MP4", codec={"Codec": "H_265", "H265Settings": own}, Width=96, Height=54)
    done = convert(any_sources.made("plain", films), jobs.settings(jobs.file(output)))
    assert stream(done.path("f/film_a.mp4"))["width"] == 96


@pytest.mark.parametrize("fades", [{}, {"FadeIn": 100}, {"StartTime": "00:00:00:05", "Duration": 400, "FadeOut": 100}])
def test_a_film_of_one_picture_with_another_over_it(fades: Json, films: Path, tmp_path: Path, convert: Convert) -> None:
    logo = {"ImageInserterInput": "s3://source/logo.png", "Layer": 2, "ImageX": 4, "ImageY": 30}
    over = {"InsertableImages": [logo | fades]}
    outputs = (jobs.video(f"_{place}", container=kind) for place, kind in enumerate(("MP4", "MOV", "M2TS")))
    settings = jobs.settings(jobs.file(*outputs), ImageInserter=over)
    done = convert(any_sources.made("still", films), settings, any_sources.image(tmp_path))
    assert {length_ms for length_ms, _ in done.facts.values()} == {40}


def test_the_last_picture_stays_the_last_under_one_that_fades(films: Path, tmp_path: Path, convert: Convert) -> None:
    logo = {"ImageInserterInput": "s3://source/logo.png", "Layer": 2, "ImageX": 4, "ImageY": 30, "FadeIn": 100}
    exactly = jobs.video("_a", container="Y4M", codec={"Codec": "UNCOMPRESSED", "UncompressedSettings": {}})
    settings = jobs.settings(jobs.file(exactly), ImageInserter={"InsertableImages": [logo]})
    done = convert(any_sources.made("plain", films), settings, any_sources.image(tmp_path))
    assert len(set(frame_hashes(done.path("f/film_a.y4m")))) == 30


def test_a_film_that_is_shorter_than_a_picture_of_the_output_is_refused() -> None:
    def at(rate: int) -> Json:
        rated = {"FramerateControl": "SPECIFIED", "FramerateNumerator": rate, "FramerateDenominator": 1}
        return {"Codec": "H_264", "H264Settings": {"RateControlMode": "QVBR", "MaxBitrate": 500_000, **rated}}

    still = replace(source(160, 90), duration_s=0.04)
    assert "a film of 0.040 s has no picture at 12 frames per second; ask for a high" in infeasible(at(12), still)
    assert planned(jobs.settings(jobs.file(jobs.video("_a", container="MP4", codec=at(13)))), still)


@pytest.mark.parametrize("codec", ["H_264", "H_265", "MPEG2"])
def test_few_pictures_without_a_container_are_as_long_as_they_are_shown(
    codec: str, films: Path, convert: Convert
) -> None:
    own = {"RateControlMode": "VBR", "Bitrate": 50_000, "MaxBitrate": 100_000}
    output = jobs.video("_a", container="RAW", codec={"Codec": codec, f"{codec.replace('_', '').title()}Settings": own})
    output["VideoDescription"] |= {"Width": 160, "Height": 120}
    done = convert(any_sources.made("fast", films), jobs.settings(jobs.file(output)))
    assert done.facts["g0o0"][0] == pytest.approx(1200, abs=20)


@pytest.mark.parametrize("container", ["MP4", "M2TS", "RAW"])
def test_h265_as_mp4_packages_it_is_decoded_from_other_containers_too(
    container: str, films: Path, convert: Convert
) -> None:
    own = {"RateControlMode": "QVBR", "MaxBitrate": 500_000, "WriteMp4PackagingType": "HVC1"}
    output = jobs.video("_a", container=container, codec={"Codec": "H_265", "H265Settings": own})
    done = convert(any_sources.made("plain", films), jobs.settings(jobs.file(output)))
    [path] = done.files.values()
    assert len(frame_hashes(path)) == 30


def test_pictures_of_h264_in_mxf_are_shown_as_they_are_coded(films: Path, convert: Convert) -> None:
    own = {"RateControlMode": "QVBR", "MaxBitrate": 500_000}
    output = jobs.video("_a", container="MXF", codec={"Codec": "H_264", "H264Settings": own})
    done = convert(any_sources.made("plain", films), jobs.settings(jobs.file(output)))
    frames = ffprobe(done.path("f/film_a.mxf"), "-show_entries", "frame=pict_type,pts")["frames"]
    assert {frame["pict_type"] for frame in frames} == {"I", "P"}
    assert [frame["pts"] for frame in frames] == list(range(30))
    output["VideoDescription"]["CodecSettings"]["H264Settings"]["NumberBFramesBetweenReferenceFrames"] = 2
    assert "numberBFramesBetweenReferenceFrames: must be 0 in MXF here, got 2" in refused(output)


def test_no_picture_in_mxf_is_lost_where_the_sound_ends_before(films: Path, convert: Convert) -> None:
    own = {"RateControlMode": "VBR", "Bitrate": 5_000_000}
    output = jobs.video("_a", container="MXF", codec={"Codec": "MPEG2", "Mpeg2Settings": own})
    output["AudioDescriptions"] = [sound("WAV")]
    done = convert(any_sources.made("late", films), jobs.settings(jobs.file(output)))
    counted = ffprobe(done.path("f/film_a.mxf"), "-count_packets", "-show_streams")["streams"][0]
    assert counted["nb_read_packets"] == "30"


def test_bitrate_that_only_the_second_pass_finds_too_low_is_the_settings_fault(films: Path, convert: Convert) -> None:
    own = {"RateControlMode": "CBR", "Bitrate": 50_000, "QualityTuningLevel": "MULTI_PASS"}
    output = jobs.video("_a", container="MXF", codec={"Codec": "MPEG2", "Mpeg2Settings": own})
    with pytest.raises(JobError, match="refuses its Bitrate: bitrate too low") as caught:
        convert(any_sources.made("plain", films), jobs.settings(jobs.file(output)))
    assert caught.value.code == 1040


def test_pictures_that_an_encoder_does_not_take_are_refused_by_path() -> None:
    h265 = {"Codec": "H_265", "H265Settings": {"RateControlMode": "QVBR", "MaxBitrate": 500_000}}
    av1 = {"Codec": "AV1", "Av1Settings": {"RateControlMode": "CBR", "Bitrate": 500_000}}
    assert "at least 64x16 here, not 64x8" in infeasible(h265, source(64, 8))
    assert "at least 64x64 here, not 96x54" in infeasible(av1, source(96, 54))
    h265["H265Settings"] |= {"TreeBlockSize": "TREE_SIZE_32X32"}
    assert "at least 64x32 here, not 44x80" in infeasible(h265, source(44, 80))
    h265["H265Settings"] |= {"Slices": 2}
    assert "h265Settings.slices: pictures of 64 px" in infeasible(h265, source(64, 96))
    del h265["H265Settings"]["TreeBlockSize"]
    assert "h265Settings.slices: pictures of 128 px" in infeasible(h265, source(128, 128))
    h265["H265Settings"] |= {"Deblocking": "DISABLED"}
    assert "h265Settings.slices: need deb" in refused(jobs.video("_a", container="MP4", codec=h265))


@pytest.mark.parametrize(
    ("width", "columns"), [(160, 0), (256, 1), (384, 2), (640, 1), (704, 2), (1280, 2), (1344, 2), (4096, 2)]
)
def test_av1_of_a_constant_rate_has_no_tiles_of_one_superblock(width: int, columns: int) -> None:
    own = {"RateControlMode": "CBR", "Bitrate": 500_000, "Slices": 4}
    output = jobs.video("_a", container="MP4", codec={"Codec": "AV1", "Av1Settings": own})
    [track] = [one.video for one in planned(jobs.settings(jobs.file(output)), source(width, 360)).outputs()]
    assert track is not None
    options = next(one for one in encoders.video(track) if "rc=2" in one).split(":")
    assert [one for one in options if "tile" in one] == ([f"tile-columns={columns}"] if columns else [])


@pytest.mark.parametrize(("length", "levels"), [(1, []), (2, ["hierarchical-levels=2"])])
def test_av1_of_key_frames_alone_has_no_pyramid(length: int, levels: list[str]) -> None:
    own = {"RateControlMode": "QVBR", "MaxBitrate": 500_000, "GopSize": length}
    own["NumberBFramesBetweenReferenceFrames"] = 3
    output = jobs.video("_a", container="MP4", codec={"Codec": "AV1", "Av1Settings": own})
    [track] = [one.video for one in planned(jobs.settings(jobs.file(output)), source(160, 90)).outputs()]
    assert track is not None
    assert re.findall(r"hierarchical-levels=\d", " ".join(encoders.video(track))) == levels


def test_av1_of_a_constant_rate_ends_with_tiles(films: Path, convert: Convert) -> None:
    own = {"RateControlMode": "CBR", "Bitrate": 500_000, "Slices": 4}
    outputs = (
        jobs.video(f"_{width}", container="MP4", codec={"Codec": "AV1", "Av1Settings": own}, Width=width, Height=144)
        for width in (160, 384, 640)
    )
    done = convert(any_sources.made("plain", films), jobs.settings(jobs.file(*outputs)))
    assert all(stream(path)["nb_frames"] == "30" for path in done.files.values())


def test_mpeg2_is_not_filled_up_beyond_pictures_without_any_coding() -> None:
    mpeg2 = {"Codec": "MPEG2", "Mpeg2Settings": {"RateControlMode": "CBR", "Bitrate": 50_000_000}}
    told = infeasible(mpeg2, source(160, 90), container="M2TS")
    assert told.startswith("outputGroups[0].outputs[0].videoDescription.codecSettings.mpeg2Settings.bitrate: ")


@pytest.mark.parametrize(
    ("container", "coded", "told"),
    [
        ("RAW", sound("MP2", Bitrate=100_000), "mp2Settings.bitrate: must be one of 32000,"),
        ("RAW", sound("MP3", Bitrate=192_000, SampleRate=22_050), "160000 at 22050 Hz, got 192000"),
        ("MP4", sound("EAC3", LoRoCenterMixLevel=2.0), "eac3Settings.loRoCenterMixLevel: must be 3, 1.5, 0,"),
        ("MP4", sound("AAC", Bitrate=320_000, CodingMode="CODING_MODE_1_0"), "at most 288000 at 48000 Hz"),
        ("MXF", sound("WAV"), "MXF needs pictures here"),
    ],
)
def test_sound_that_no_encoder_makes_as_asked_is_refused(container: str, coded: Json, told: str) -> None:
    assert told in refused(alone(container, coded))


def test_mxf_holds_sound_of_48_khz_alone() -> None:
    output = {**jobs.video("_a", container="MXF"), "AudioDescriptions": [sound("WAV", SampleRate=96_000)]}
    assert "MXF holds sound of 48000 Hz here, got 96000" in refused(output)


@pytest.mark.parametrize("member", ["ProgramNumber", "TransportStreamId"])
def test_transport_streams_have_no_number_zero(member: str) -> None:
    output = jobs.video("_a", container="M2TS")
    output["ContainerSettings"]["M2tsSettings"] = {member: 0}
    assert f"m2tsSettings.{member[0].lower()}{member[1:]}: must be at least 1" in refused(output)
    group = jobs.hls(jobs.hls_output(jobs.video("_a"), m3u8={member: 0}))
    with pytest.raises(SettingRefused, match=f"m3u8Settings.{member[0].lower()}{member[1:]}: must be at least 1"):
        request.read(jobs.settings(group))
