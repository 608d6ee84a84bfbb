"""What a job says of its inputs, seen in its outputs: stitching, clips, selectors, offsets, generated pictures."""

from __future__ import annotations

import dataclasses
import json
import shutil
import statistics
import subprocess
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import mediaconvert_jobs as jobs
from localaws.media import jail
from localaws.media.failures import JobError, SettingRefused
from localaws.media.probe import probe
from localaws.mediaconvert.planning import timeline
from localaws.mediaconvert.settings import inputs
from mediaconvert_jobs import source
from probed_media import ffprobe, stream
from sample_media import ffmpeg

Json = dict[str, Any]
Convert = Callable[..., Any]
RED, GREEN, BLUE, BLACK = "red", "green", "blue", "black"
PLAYED = {**jobs.video("", container="MP4"), "AudioDescriptions": [jobs.aac()]}


def job(*given: Json, output: Json = PLAYED) -> Json:
    """A file from several inputs, which are named a, b, c."""
    named = [
        {**({} if "VideoGenerator" in one else {"FileInput": f"s3://source/{'abc'[number]}.mp4"}), **one}
        for number, one in enumerate(given)
    ]
    return {"Inputs": named, "OutputGroups": [jobs.file(output)]}


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A second of red with a low tone, a second of green in another shape, rate and without sound, one of blue."""
    folder = tmp_path_factory.mktemp("films")
    fast = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")

    def film(name: str, colour: str, size: str, rate: str, *sound: str) -> Path:
        picture = f"color={colour}:s={size}:r={rate}:d=1"
        return ffmpeg(folder / name, "-f", "lavfi", "-i", picture, *sound, *fast)

    def tone(hz: int, channels: int = 1) -> tuple[str, ...]:
        return ("-f", "lavfi", "-i", f"sine={hz}:r=48000:d=1", "-c:a", "aac", "-ac", str(channels))

    return {
        "red": film("red.mp4", "red", "160x90", "25", *tone(300)),
        "green": film("green.mp4", "0x00ff00", "90x90", "30"),
        "blue": film("blue.mp4", "blue", "160x90", "25", *tone(3000), "-timecode", "01:00:00:00"),
    }


def colours(path: Path, *, left: int = 70, width: int = 20) -> list[str]:
    """The colour of each frame in the middle, runs of one colour as `red 25`."""
    shown = subprocess.run(
        [str(jail.binary("ffmpeg")), "-v", "error", "-i", str(path), "-vf",
         f"crop={width}:20:{left}:35,scale=1:1,format=rgb24", "-f", "rawvideo", "-"],
        capture_output=True, check=True, timeout=60,
    ).stdout  # fmt: skip
    names = [_named(*shown[at : at + 3]) for at in range(0, len(shown), 3)]
    runs: list[list[Any]] = []
    for name in names:
        if runs and runs[-1][0] == name:
            runs[-1][1] += 1
        else:
            runs.append([name, 1])
    return [f"{name} {count}" for name, count in runs]


def _named(red: int, green: int, blue: int) -> str:
    bright = [name for name, value in ((RED, red), (GREEN, green), (BLUE, blue)) if value > 100]
    return bright[0] if len(bright) == 1 else BLACK if not bright else "mixed"


def loudness(path: Path, hz: int, start_s: float, length_s: float, channel: int = 0) -> float:
    """How loud a tone is in a stretch of a channel, in dB below full scale."""
    alone = f"bandpass=f={hz}:width_type=h:w=40"
    chain = f"pan=mono|c0=c{channel},{alone},{alone},atrim={start_s}:{start_s + length_s},volumedetect"
    said = subprocess.run(
        [str(jail.binary("ffmpeg")), "-i", str(path), "-vn", "-af", chain, "-f", "null", "-"],
        capture_output=True, text=True, check=True, timeout=60,
    ).stderr  # fmt: skip
    return float(said.split("max_volume: ")[1].split(" dB")[0])


def seconds(path: Path) -> float:
    said = subprocess.run(
        [str(jail.binary("ffprobe")), "-v", "error", "-show_entries", "format=duration", "-of", "json", str(path)],
        capture_output=True, check=True, timeout=60,
    ).stdout  # fmt: skip
    return float(json.loads(said)["format"]["duration"])


def test_inputs_follow_one_another_whatever_their_shape_rate_and_sound(
    films: dict[str, Path], convert: Convert
) -> None:
    done = convert(films["red"], job({}, {}, {}), films["green"], films["blue"])
    made = done.path("f/film.mp4")
    assert colours(made) == ["red 25", "green 25", "blue 25"]
    assert colours(made, left=2, width=10) == ["red 25", "black 25", "blue 25"]
    assert seconds(made) == pytest.approx(3.0, abs=0.06)
    assert loudness(made, 300, 0.2, 0.6) > -30 > -60 > loudness(made, 300, 2.2, 0.6)
    assert loudness(made, 3000, 2.2, 0.6) > -30 and loudness(made, 3000, 1.2, 0.6) < -60


def test_clips_take_their_frames_to_the_last_one(films: dict[str, Path], convert: Convert) -> None:
    zero = {"TimecodeSource": "ZEROBASED"}
    clips = [
        {"StartTimecode": "00:00:00:05", "EndTimecode": "00:00:00:09"},
        {"StartTimecode": "00:00:00:20"},
        {"EndTimecode": "00:00:00:00"},
    ]
    done = convert(films["red"], job({**zero, "InputClippings": clips}, {}), films["blue"])
    assert colours(done.path("f/film.mp4")) == ["red 11", "blue 25"]


@pytest.mark.parametrize(
    ("members", "start", "end"),
    [
        ({}, "01:00:00:10", "01:00:00:14"),
        ({"TimecodeSource": "SPECIFIEDSTART", "TimecodeStart": "10:00:00:00"}, "10:00:00:10", "10:00:00:14"),
        ({"TimecodeSource": "ZEROBASED"}, "00:00:00:10", "00:00:00:14"),
    ],
    ids=["embedded", "specified start", "from zero"],
)
def test_timecodes_count_from_where_the_input_says(
    films: dict[str, Path], convert: Convert, members: Json, start: str, end: str
) -> None:
    clip = {"StartTimecode": start, "EndTimecode": end}
    done = convert(films["blue"], job({**members, "InputClippings": [clip]}))
    assert colours(done.path("f/film.mp4")) == ["blue 5"]
    assert done.plan.scenes[0].start_s == Fraction(10, 25)


@pytest.mark.parametrize(
    ("clip", "told"),
    [
        ({"StartTimecode": "00:00:10:00"}, r"startTimecode: 00:00:10:00 is not within the input .which lasts 10.000 s"),
        (
            {"StartTimecode": "00:00:05:00", "EndTimecode": "00:00:04:24"},
            "endTimecode: 00:00:04:24 is before the start",
        ),
        ({"StartTimecode": "00:00:05:25"}, "00:00:05:25 does not exist at 25 frames"),
        ({"StartTimecode": "00:00:05;00"}, "counts drop-frame"),
    ],
)
def test_clips_that_name_no_frame_end_with_1060(clip: Json, told: str) -> None:
    with pytest.raises(JobError, match=told) as raised:
        jobs.planned(jobs.settings(jobs.cmaf(jobs.video("_v")), TimecodeSource="ZEROBASED", InputClippings=[clip]))
    assert raised.value.code == 1060


def test_a_clip_that_ends_after_its_input_ends_with_it_and_says_so() -> None:
    clip = {"StartTimecode": "00:00:09:00", "EndTimecode": "00:00:20:00"}
    plan = jobs.planned(jobs.settings(jobs.cmaf(jobs.video("_v")), InputClippings=[clip]))
    assert plan.scenes[0].duration_s == 1 and "is after the end of the input" in plan.warnings[0]


def test_clips_of_sound_alone_count_hundredths() -> None:
    of = {"s3://source/a": source(duration_s=10.0)}
    of["s3://source/a"] = timeline.replace(of["s3://source/a"], video=None)
    given = {"FileInput": "s3://source/a", "InputClippings": [{"StartTimecode": "00:00:03:75"}]}
    line = timeline.timeline(inputs.read({"Inputs": [given]}), of, [""])
    assert line.scenes[0].start_s == Fraction(375, 100)


def test_generated_black_comes_before_a_film(films: dict[str, Path], convert: Convert) -> None:
    black = {"VideoGenerator": {"Duration": 400, "Width": 160, "Height": 90, "FramerateNumerator": 25,
                                "FramerateDenominator": 1}}  # fmt: skip
    done = convert(films["red"], job(black, {}))
    assert colours(done.path("f/film.mp4")) == ["black 10", "red 25"]
    assert loudness(done.path("f/film.mp4"), 300, 0.6, 0.6) > -30


def test_a_film_of_generated_black_alone_has_silence(films: dict[str, Path], convert: Convert) -> None:
    settings = job({"VideoGenerator": {"Duration": 200, "Channels": 2}})
    asked = timeline.timeline(inputs.read(settings), {}, [""])
    assert asked.source.video is not None and (asked.source.video.width, asked.source.video.height) == (540, 360)
    assert asked.sounds[0].channels == 2 and asked.scenes[0].sounds == ((),)


def test_the_input_is_cropped_before_it_is_scaled(tmp_path: Path, films: dict[str, Path], convert: Convert) -> None:
    halves = "color=red:s=80x90:r=25:d=0.4[l];color=blue:s=80x90:r=25:d=0.4[r];[l][r]hstack"
    wide = ffmpeg(tmp_path / "halves.mp4", "-filter_complex", halves, "-c:v", "libx264", "-pix_fmt", "yuv420p")
    output = jobs.video("", container="MP4")
    done = convert(wide, job({"Crop": {"X": 80, "Y": 0, "Width": 80, "Height": 90}}, output=output))
    assert colours(done.path("f/film.mp4"), left=2, width=70) == ["blue 10"]
    assert next(done.plan.outputs()).video.picture.width == 80


def test_a_crop_lies_within_the_picture_as_it_is_seen() -> None:
    crop = {"Width": 1080, "Height": 1920}
    turned = jobs.settings(jobs.cmaf(jobs.video("_v")), Crop=crop, VideoSelector={"Rotate": "DEGREES_90"})
    video = jobs.planned(turned).source.video
    assert video is not None and (video.width, video.height) == (1080, 1920)
    with pytest.raises(JobError, match=r"inputs\[0\].crop: 1080 x 1920 at 0, 0 is not within the input's 1920 x 1080"):
        jobs.planned(jobs.settings(jobs.cmaf(jobs.video("_v")), Crop=crop))


@pytest.fixture(scope="module")
def tracks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Pictures and four mono tracks of a tone each; the third is German. As MP4 and as a transport stream."""
    folder = tmp_path_factory.mktemp("tracks")
    sounds = [part for hz in (300, 1000, 3000, 6000) for part in ("-f", "lavfi", "-i", f"sine={hz}:r=48000:d=1")]
    maps = [part for track in range(5) for part in ("-map", str(track))]
    common = ("-f", "lavfi", "-i", "color=red:s=160x90:r=25:d=1", *sounds, *maps, "-c:v", "libx264",
              "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac", "-ac", "1",
              "-metadata:s:a:0", "language=eng", "-metadata:s:a:2", "language=deu")  # fmt: skip
    return {kind: ffmpeg(folder / f"tracks.{kind}", *common) for kind in ("mp4", "ts")}


def heard(path: Path, channel: int = 0) -> list[int]:
    return [hz for hz in (300, 1000, 3000, 6000) if loudness(path, hz, 0.3, 0.5, channel) > -40]


@pytest.mark.parametrize(
    ("kind", "selector", "wanted"),
    [
        ("mp4", {"Tracks": [2]}, 1000),
        ("mp4", {"SelectorType": "STREAM", "Streams": [4]}, 3000),
        ("mp4", {"SelectorType": "LANGUAGE_CODE", "LanguageCode": "DEU"}, 3000),
        ("mp4", {"SelectorType": "LANGUAGE_CODE", "CustomLanguageCode": "ger"}, 3000),
        ("ts", {"SelectorType": "PID", "Pids": [260]}, 6000),
    ],
    ids=["track", "stream", "language", "its other code", "pid"],
)
def test_selectors_choose_tracks(
    tracks: dict[str, Path], convert: Convert, kind: str, selector: Json, wanted: int
) -> None:
    chosen = {"AudioSourceName": "one", **jobs.aac()}
    output = {"ContainerSettings": {"Container": "MP4"}, "AudioDescriptions": [chosen]}
    done = convert(tracks[kind], job({"AudioSelectors": {"one": selector}}, output=output))
    assert heard(done.path("f/film.mp4")) == [wanted]


def test_several_tracks_and_groups_of_selectors_become_channels(tracks: dict[str, Path], convert: Convert) -> None:
    selectors = {"pair": {"Tracks": [1, 2]}, "left": {"Tracks": [3]}, "right": {"Tracks": [4]}}
    given = {"AudioSelectors": selectors, "AudioSelectorGroups": {"both": {"AudioSelectorNames": ["left", "right"]}}}
    outputs = [
        {"NameModifier": f"_{name}", "AudioDescriptions": [{"AudioSourceName": name, **jobs.aac()}]}
        for name in ("pair", "both")
    ]
    settings = {"Inputs": [{"FileInput": "s3://source/a.mp4", **given}], "OutputGroups": [jobs.file(*outputs)]}
    done = convert(tracks["mp4"], settings)
    assert [heard(done.path("f/film_pair.mp4"), channel) for channel in (0, 1)] == [[300], [1000]]
    assert [heard(done.path("f/film_both.mp4"), channel) for channel in (0, 1)] == [[3000], [6000]]


def test_sound_comes_from_a_file_of_its_own_and_is_moved(films: dict[str, Path], convert: Convert) -> None:
    selector = {"ExternalAudioFileInput": "s3://source/b.mp4", "Offset": 400}
    output = {**PLAYED, "AudioDescriptions": [{"AudioSourceName": "other", **jobs.aac()}]}
    done = convert(films["green"], job({"AudioSelectors": {"other": selector}}, output=output), films["blue"])
    made = done.path("f/film.mp4")
    assert loudness(made, 3000, 0.5, 0.3) > -30 and loudness(made, 3000, 0.05, 0.25) < -60
    assert {name.partition(" ")[0] for name in colours(made, left=20)} == {"green"}


@pytest.mark.parametrize("kind", ["wav", "flac", "mp3", "aac"])
def test_sound_alone_is_an_input_and_goes_with_pictures(
    films: dict[str, Path], convert: Convert, tmp_path: Path, kind: str
) -> None:
    tone = ffmpeg(tmp_path / f"tone.{kind}", "-f", "lavfi", "-i", "sine=3000:r=48000:d=1")
    selector = {"ExternalAudioFileInput": "s3://source/tone"}
    described = {"AudioSourceName": "other", **jobs.aac()}
    done = convert(
        films["green"],
        job({"AudioSelectors": {"other": selector}}, output={**PLAYED, "AudioDescriptions": [described]}),
        tone,
    )
    assert loudness(done.path("f/film.mp4"), 3000, 0.3, 0.5) > -30
    assert probe(tone, require_video=False).container == {"wav": "wave"}.get(kind, kind)


def test_sound_may_come_earlier_than_its_pictures(films: dict[str, Path], convert: Convert) -> None:
    output = {**PLAYED, "AudioDescriptions": [{"AudioSourceName": "own", **jobs.aac()}]}
    done = convert(films["red"], job({"AudioSelectors": {"own": {"Offset": -500}}}, output=output))
    made = done.path("f/film.mp4")
    assert loudness(made, 300, 0.1, 0.3) > -30 and loudness(made, 300, 0.6, 0.3) < -60


def test_input_filters_take_noise_out(convert: Convert, tmp_path: Path) -> None:
    noisy = ffmpeg(
        tmp_path / "noisy.mp4", "-f", "lavfi", "-i", "color=gray:s=160x90:r=25:d=0.4,noise=alls=10:allf=t",
        "-c:v", "libx264", "-preset", "ultrafast", "-qp", "4", "-pix_fmt", "yuv420p",
    )  # fmt: skip
    codec = jobs.h264(RateControlMode="CBR", Bitrate=8_000_000)
    outputs = [jobs.file(jobs.video("", container="MP4", codec=codec), destination="s3://media/f/film")]
    filters = {"DenoiseFilter": "ENABLED", "DeblockFilter": "ENABLED", "FilterEnable": "FORCE", "FilterStrength": 5}
    given = {"FileInput": "s3://source/a.mp4"}
    plain = spread(convert(noisy, {"Inputs": [given], "OutputGroups": outputs}).path("f/film.mp4"))
    shutil.rmtree(tmp_path / "work")
    filtered = spread(convert(noisy, {"Inputs": [{**given, **filters}], "OutputGroups": outputs}).path("f/film.mp4"))
    assert filtered < 0.7 * plain


def spread(path: Path) -> float:
    """How far the grey values of a frame lie from their mean."""
    shown = subprocess.run(
        [str(jail.binary("ffmpeg")), "-v", "error", "-i", str(path), "-pix_fmt", "gray", "-f", "rawvideo", "-"],
        capture_output=True, check=True, timeout=60,
    ).stdout  # fmt: skip
    return statistics.pstdev(shown[5 * 160 * 90 : 6 * 160 * 90])


def test_an_input_without_the_selector_uses_its_fallback_or_is_silent(films: dict[str, Path], convert: Convert) -> None:
    output = {**PLAYED, "AudioDescriptions": [{"AudioSourceName": "own", **jobs.aac()}]}
    named = {"AudioSelectors": {"own": {}}}
    fallback = {"AudioSelectors": {"main": {"DefaultSelection": "DEFAULT"}}}
    done = convert(films["red"], job(named, fallback, {}, output=output), films["blue"], films["green"])
    made = done.path("f/film.mp4")
    assert loudness(made, 3000, 1.2, 0.6) > -30 and loudness(made, 300, 2.2, 0.6) < -60
    assert loudness(made, 300, 0.2, 0.6) > -30


@pytest.fixture(scope="module")
def card(tmp_path_factory: pytest.TempPathFactory) -> Path:
    picture = tmp_path_factory.mktemp("card") / "card.png"
    Image.new("RGBA", (40, 40), (0, 255, 0, 255)).save(picture)
    return picture


def test_a_picture_is_an_input(films: dict[str, Path], card: Path, convert: Convert) -> None:
    size = {"Width": 160, "Height": 90, "FramerateNumerator": 25, "FramerateDenominator": 1}
    still = {"VideoGenerator": {"Duration": 400, "ImageInput": "s3://source/card.png", **size}}
    done = convert(films["red"], job({}, still), card)
    made = done.path("f/film.mp4")
    assert colours(made) == ["red 25", "green 10"]
    assert colours(made, left=2, width=10) == ["red 25", "black 10"]


def test_a_picture_alone_is_a_film(card: Path, convert: Convert) -> None:
    still = {"VideoGenerator": {"Duration": 1000, "ImageInput": "s3://source/card.png"}}
    settings = {**job(still, output=jobs.video("", container="MP4"))}
    done = convert(card, settings)
    made = next(iter(done.files.values()))
    assert seconds(made) == pytest.approx(1.0, abs=0.05) and colours(made, left=260)[0].startswith("green")


def test_pictures_are_laid_over_one_input_where_and_when_its_own_clock_says(
    films: dict[str, Path], card: Path, convert: Convert
) -> None:
    placed = {"ImageInserterInput": "s3://source/card.png", "ImageX": 60, "ImageY": 25, "Layer": 0, "Opacity": 100}
    given = {
        "TimecodeSource": "ZEROBASED",
        "InputClippings": [{"StartTimecode": "00:00:00:05"}],
        "ImageInserter": {"InsertableImages": [{**placed, "StartTime": "00:00:00:10", "Duration": 400}]},
    }
    always = {"ImageInserter": {"InsertableImages": [placed]}}
    done = convert(films["blue"], job(given, always), films["red"], card)
    assert colours(done.path("f/film.mp4")) == ["blue 5", "green 10", "blue 5", "green 25"]


def test_an_input_says_where_the_picture_of_every_output_lies(films: dict[str, Path], convert: Convert) -> None:
    place = {"X": 80, "Y": 0, "Width": 80, "Height": 90}
    sized = jobs.video("", container="MP4", Width=160, Height=90, Position={**place, "X": 0})
    done = convert(films["red"], job({"Position": place}, output=sized))
    made = done.path("f/film.mp4")
    assert colours(made, left=20) == ["black 25"] and colours(made, left=120) == ["red 25"]
    with pytest.raises(SettingRefused, match=r"inputs\[1\].position: must be the same"):
        inputs.read(job({"Position": place}, {}))


def test_dynamic_selectors_give_a_track_for_each_track_of_the_source(tracks: dict[str, Path], convert: Convert) -> None:
    given = {
        "DynamicAudioSelectors": {"all": {}, "german": {"SelectorType": "LANGUAGE_CODE", "LanguageCode": "DEU"}},
        "AudioSelectors": {"one": {"Tracks": [2], "AudioDurationCorrection": "AUTO"}},
    }
    described = [{"AudioSourceName": name, **jobs.aac()} for name in ("all", "german", "one")]
    done = convert(tracks["mp4"], job(given, output={**PLAYED, "AudioDescriptions": described}))
    made = done.path("f/film.mp4")
    found = ffprobe(made, "-show_entries", "stream=codec_type:stream_tags=language")["streams"]
    assert [one["codec_type"] for one in found] == ["video", *["audio"] * 6]
    assert [one["tags"]["language"] for one in found[1:]] == ["eng", "und", "deu", "und", "deu", "und"]
    assert [heard_of(made, track) for track in range(6)] == [[300], [1000], [3000], [6000], [3000], [1000]]


def heard_of(path: Path, track: int) -> list[int]:
    alone = path.with_name(f"track{track}.mp4")
    return heard(ffmpeg(alone, "-i", str(path), "-map", f"0:a:{track}", "-c", "copy", "-y"))


def test_dynamic_selectors_that_find_nothing_or_too_much_are_told() -> None:
    found = {"d": {"SelectorType": "LANGUAGE_CODE", "LanguageCode": "JPN"}}
    sound = {"AudioDescriptions": [{"AudioSourceName": "d", **jobs.aac()}]}
    settings = jobs.settings(jobs.file({**jobs.video("", container="MP4"), **sound}), DynamicAudioSelectors=found)
    assert "the output has no sound" in jobs.planned(settings).warnings[0]
    alone = jobs.settings(jobs.file({"NameModifier": "_a", **sound}), DynamicAudioSelectors=found)
    with pytest.raises(JobError, match="no input has a track"):
        jobs.planned(alone)
    several = jobs.source()
    several = dataclasses.replace(several, audios=several.audios * 2)
    streamed = jobs.settings(jobs.cmaf({**jobs.audio("_a"), **sound}), DynamicAudioSelectors={"d": {}})
    with pytest.raises(JobError, match="found 2 tracks"):
        jobs.planned(streamed, several)


def test_clips_may_count_at_another_rate_than_their_input(films: dict[str, Path], convert: Convert) -> None:
    clip = {"StartTimecode": "00:00:00:12@30", "EndTimecode": "00:00:00:12@24"}
    done = convert(films["red"], job({"TimecodeSource": "ZEROBASED", "InputClippings": [clip]}))
    # From 0.4 s, which is frame 10 of 25 a second, to 0.5 s, which lies between two frames.
    assert colours(done.path("f/film.mp4")) == ["red 3"]


def test_as_many_inputs_as_there_may_be_are_stitched(convert: Convert, tmp_path: Path) -> None:
    tone = ("-f", "lavfi", "-i", "sine=440:r=48000:d=0.08", "-c:a", "aac")
    coding = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")
    clip = ffmpeg(tmp_path / "clip.mp4", "-f", "lavfi", "-i", "color=red:s=64x64:r=25:d=0.08", *tone, *coding)
    given = [{"FileInput": "s3://source/a.mp4"}] * inputs.MOST_INPUTS
    done = convert(clip, {"Inputs": given, "OutputGroups": [jobs.file({**PLAYED, "NameModifier": "_x"})]})
    made = next(iter(done.files.values()))
    assert int(stream(made)["nb_frames"]) == 2 * inputs.MOST_INPUTS
    assert len(done.plan.openings) == inputs.MOST_INPUTS and seconds(made) == pytest.approx(12, abs=0.1)


def test_turned_inputs_are_stitched_as_they_are_seen(films: dict[str, Path], convert: Convert, tmp_path: Path) -> None:
    flat = ffmpeg(tmp_path / "flat.mp4", "-f", "lavfi", "-i", "color=0x00ff00:s=90x160:r=25:d=0.4", "-c:v", "libx264",
                  "-preset", "ultrafast", "-pix_fmt", "yuv420p")  # fmt: skip
    turned = ffmpeg(tmp_path / "turned.mp4", "-display_rotation", "-90", "-i", str(flat), "-c", "copy")
    auto, never = {"VideoSelector": {"Rotate": "AUTO"}}, {"VideoSelector": {"Rotate": "DEGREE_0"}}
    done = convert(films["red"], job({}, auto, never), turned, flat)
    assert colours(done.path("f/film.mp4"), left=2, width=10) == ["red 25", "green 10", "black 10"]
