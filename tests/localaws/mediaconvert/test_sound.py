"""Sound that is mixed, made as loud as it is to be, and several tracks of it in one file; ffmpeg measures."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import mediaconvert_jobs as jobs
from localaws.media import jail
from localaws.media.failures import SettingRefused
from localaws.mediaconvert.ffmpeg import soundtrack
from localaws.mediaconvert.settings import loudness, request
from probed_media import PICTURE, ffprobe
from sample_media import ffmpeg

Convert = Callable[[Path, dict[str, Any]], Any]


@pytest.fixture(scope="module")
def tones(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four seconds of 440 Hz at the left and nothing at the right, at full scale less 26 dB or so."""
    left = "aevalsrc=0.05*sin(2*PI*440*t)|0:channel_layout=stereo:sample_rate=48000:duration=4"
    return ffmpeg(tmp_path_factory.mktemp("tones") / "tones.mp4", *PICTURE, left, "-c:a", "aac", "-b:a", "192k")


def wav(modifier: str, **members: Any) -> dict[str, Any]:
    """An output of one track without loss."""
    channels = members.pop("channels", 2)
    coding = {"CodecSettings": {"Codec": "WAV", "WavSettings": {"Channels": channels}}}
    return {
        "NameModifier": modifier,
        "ContainerSettings": {"Container": "RAW"},
        "AudioDescriptions": [coding | members],
    }


def measured(path: Path, *filters: str) -> str:
    graph = ",".join(filters)
    command = [str(jail.binary("ffmpeg")), "-hide_banner", "-nostats", "-i", str(path), "-af", graph, "-f", "null", "-"]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stderr


def loudness_lkfs(path: Path) -> float:
    """Integrated loudness, as ffmpeg's meter sums it up."""
    return float(re.findall(r"I:\s+(-?[\d.]+) LUFS", measured(path, "ebur128=framelog=quiet"))[-1])


def true_peak_dbfs(path: Path) -> float:
    told = measured(path, "ebur128=framelog=quiet:peak=true")
    return float(re.findall(r"Peak:\s+(-?[\d.]+) dBFS", told)[-1])


def levels_db(path: Path) -> list[float]:
    """The level of each channel; -inf for silence."""
    told = measured(path, "astats=measure_perchannel=RMS_level:measure_overall=none")
    return [float(level) for level in re.findall(r"RMS level dB: (-?[\d.]+|-inf)", told)]


def test_output_is_as_loud_as_it_is_to_be(tones: Path, convert: Convert) -> None:
    def to(**members: Any) -> dict[str, Any]:
        return {"AudioNormalizationSettings": {"Algorithm": "ITU_BS_1770_4", **members}}

    done = convert(tones, jobs.settings(jobs.file(
        wav("_a", **to()), wav("_b", **to(TargetLkfs=-16.5)), wav("_c"),
        wav("_d", **to(Algorithm="ITU_BS_1770_1")), wav("_e", **to(AlgorithmControl="MEASURE_ONLY")),
        wav("_f", **to(CorrectionGateLevel=-10)),
    )))  # fmt: skip
    found = {key.removeprefix("f/film_")[0]: loudness_lkfs(path) for key, path in done.files.items()}
    assert found["a"] == pytest.approx(-23, abs=0.2) and found["b"] == pytest.approx(-16.5, abs=0.2)
    assert found["d"] == pytest.approx(-24, abs=0.2)
    assert found["e"] == found["f"] == found["c"] and abs(found["c"] + 23) > 3
    assert not list(done.encoded.glob("*.loudness"))


def test_true_peaks_are_limited(tones: Path, convert: Convert) -> None:
    loud = {"AudioNormalizationSettings": {"TargetLkfs": -9, "TruePeakLimiterThreshold": -4}}
    done = convert(tones, jobs.settings(jobs.file(wav("_a", **loud))))
    assert -5 < true_peak_dbfs(done.path("f/film_a.wav")) <= -4


def mapping(*columns: list[float], **members: Any) -> dict[str, Any]:
    kind = (
        "InputChannelsFineTune"
        if any(isinstance(gain, float) for column in columns for gain in column)
        else "InputChannels"
    )
    return {"RemixSettings": {"ChannelMapping": {"OutputChannels": [{kind: column} for column in columns]}, **members}}


def test_channels_are_mixed_as_they_are_mapped(tones: Path, convert: Convert) -> None:
    done = convert(tones, jobs.settings(jobs.file(
        wav("_a"), wav("_b", **mapping([-60, 0], [0, -60], ChannelsIn=2, ChannelsOut=2)),
        wav("_c", channels=1, **mapping([-6.0, -60.0])),
        wav("_d", channels=6, **mapping([0, -60], [-60, 0], [-3, -60], [-60, -60], [-60, -60], [-9, -60])),
        wav("_e", **mapping([-60, -60, 0], [0, -60, -60])),
    )))  # fmt: skip
    plain, swapped, mono, wide, beyond = (levels_db(path) for _, path in sorted(done.files.items()))
    assert swapped == pytest.approx(plain[::-1], abs=0.1)
    assert mono == pytest.approx([plain[0] - 6], abs=0.1)
    assert [wide[place] - plain[0] for place in (0, 2, 5)] == pytest.approx([0, -3, -9], abs=0.1)
    assert max(wide[1], wide[3], wide[4], beyond[0]) < -80 and beyond[1] == pytest.approx(plain[0], abs=0.1)


def test_several_tracks_of_sound_in_one_file(tones: Path, convert: Convert) -> None:
    def track(code: str, **coding: Any) -> dict[str, Any]:
        control = {"LanguageCode": code, "LanguageCodeControl": "USE_CONFIGURED"}
        return {**control, **(coding or jobs.aac())}

    louder = {**track("DEU"), "AudioNormalizationSettings": {"TargetLkfs": -20}}
    ac3 = track("FRA", CodecSettings={"Codec": "AC3", "Ac3Settings": {"Dialnorm": 25}})
    output = {"ContainerSettings": {"Container": "MP4"}, "AudioDescriptions": [track("ENG"), louder, ac3]}
    done = convert(tones, jobs.settings(jobs.file(output)))
    told = ffprobe(done.path("f/film.mp4"), "-show_streams")["streams"]
    assert [one["codec_name"] for one in told] == ["aac", "aac", "ac3"]
    assert [one["tags"]["language"] for one in told] == ["eng", "deu", "fra"]


def test_silence_and_quiet_content_are_left_alone() -> None:
    asked = loudness.normalization("p", {"CorrectionGateLevel": -40})
    assert asked is not None

    def correction(*told: float) -> float | None:
        return soundtrack.gain_db(asked, [line for value in told for line in ("frame:0", f"lavfi.r128.I={value}")])

    assert correction(-70.0, -33.0) == pytest.approx(10)
    assert correction(-70.0, -45.0) is None and correction(-70.0) is None and correction() is None
    assert correction(-70.0, float("nan")) is None


@pytest.mark.parametrize(
    ("members", "told"),
    [
        (mapping([0, -60], [0]), "remixSettings.channelMapping: every output channel needs 2 gains"),
        (mapping([0, -60]), "remixSettings.channelsOut: must be 2"),
        (mapping([0, -60], [7, 0]), "outputChannels[1]: a gain is from -60 to 6 dB"),
        (mapping([0], [0], ChannelsOut=4), "remixSettings.channelsOut: must be 2"),
        ({"RemixSettings": {"ChannelMapping": {"OutputChannels": [{}]}}}, "needs one of inputChannels"),
        ({"AudioNormalizationSettings": {"TargetLkfs": 3}}, "targetLkfs: must be from -59 to 0"),
        ({"AudioNormalizationSettings": {"TruePeakLimiterThreshold": -9}}, "truePeakLimiterThreshold: must be"),
    ],
)
def test_mixes_and_loudness_that_cannot_be_are_refused(members: dict[str, Any], told: str) -> None:
    with pytest.raises(SettingRefused) as refused:
        request.read(jobs.settings(jobs.file(wav("_a", **members))))
    assert told in str(refused.value)


@pytest.mark.parametrize("sound_s", [2.5, 1.2], ids=["too long", "too short"])
def test_sound_ends_with_the_pictures_where_it_is_asked_to(sound_s: float, tmp_path: Path, convert: Convert) -> None:
    source = ffmpeg(
        tmp_path / "film.mp4", *PICTURE, "testsrc2=size=160x90:rate=25:duration=2", *PICTURE,
        f"sine=sample_rate=48000:duration={sound_s}", "-c:v", "libx264", "-preset", "ultrafast", "-c:a", "aac",
    )  # fmt: skip
    matching = {"AudioDuration": "MATCH_VIDEO_DURATION"}

    def sound(modifier: str, **cmfc: Any) -> dict[str, Any]:
        output = jobs.audio(modifier)
        return {**output, "ContainerSettings": {"Container": "CMFC", "CmfcSettings": cmfc}}

    muxed = {**jobs.video("_m", Height=90), "AudioDescriptions": [jobs.aac()]}
    group = jobs.cmaf(jobs.video("_v", Height=90), sound("_a", **matching), sound("_b"))
    hls = jobs.hls(jobs.hls_output(muxed, m3u8=matching))
    done = convert(source, jobs.settings(group, hls))
    frame_s = 1024 / 48_000
    for file, length_s in (("g0o1", 2.0), ("g0o2", sound_s), ("g1o0", 2.0)):
        found = ffprobe(done.encoded / f"{file}.mp4", "-select_streams", "a", "-show_streams")["streams"][0]
        assert length_s - 0.001 <= float(found["duration"]) <= length_s + frame_s + 0.001


def test_sound_keeps_its_length_where_nobody_knows_that_of_the_pictures() -> None:
    output = {**jobs.video("_v", container="MP4"), "AudioDescriptions": [jobs.aac()]}
    output["ContainerSettings"] |= {"Mp4Settings": {"AudioDuration": "MATCH_VIDEO_DURATION"}}
    planned = jobs.planned(jobs.settings(jobs.file(output)))
    assert planned.groups[0].outputs[0].audio.length_s is None
    assert any("does not say how long its pictures are" in warning for warning in planned.warnings)
