"""Manifests of CMAF and DASH_ISO groups as their settings ask; ffprobe and our own readers judge what came out."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

import mediaconvert_jobs as jobs
from localaws.media import jail
from localaws.media.failures import SettingRefused
from localaws.mediaconvert.settings import request
from penstock.formats import dash, hls
from sample_media import ffmpeg

Convert = Callable[[Path, dict[str, Any]], Any]
MPD = "{urn:mpeg:dash:schema:mpd:2011}"


@pytest.fixture
def film(tmp_path: Path) -> Path:
    source = ("-f", "lavfi", "-i")
    picture, tone = "testsrc2=size=320x180:rate=25:duration=4", "sine=sample_rate=48000:duration=4"
    encode = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-ac", "2", "-c:a", "aac")
    return ffmpeg(tmp_path / "film.mp4", *source, picture, *source, tone, *encode)


def ladder(container: str = "CMFC", **cmfc: Any) -> tuple[dict[str, Any], ...]:
    videos = [jobs.video(f"_{height}", container=container, Height=height) for height in (180, 90)]
    for video in videos:
        video["ContainerSettings"]["CmfcSettings"] = cmfc
    return (*videos, jobs.audio("_a", container=container))


def attributes(line: str) -> dict[str, str]:
    return hls.attributes(line)


def test_playlists_are_as_the_settings_ask(film: Path, convert: Convert) -> None:
    asked = {
        "ManifestDurationFormat": "INTEGER",
        "StreamInfResolution": "EXCLUDE",
        "ClientCache": "DISABLED",
        "TargetDurationCompatibilityMode": "SPEC_COMPLIANT",
        "BaseUrl": "https://cdn.example.com/x/",
    }
    done = convert(film, jobs.settings(jobs.cmaf(*ladder(), **asked)))
    assert "RESOLUTION" not in done.text("a/main.m3u8")
    playlist = done.text("a/main_180.m3u8")
    assert "#EXTINF:2,\n" in playlist and "#EXT-X-ALLOW-CACHE:NO\n" in playlist
    assert 'URI="https://cdn.example.com/x/main_180init.cmfv"' in playlist
    assert "\nhttps://cdn.example.com/x/main_180_000000001.cmfv\n" in playlist
    mpd = etree.fromstring(done.path("a/main.mpd").read_bytes())
    assert mpd.findtext(f"{MPD}BaseURL") == "https://cdn.example.com/x/"


def test_additional_manifests_name_the_chosen_outputs_alone(film: Path, convert: Convert) -> None:
    wanted = [
        {"ManifestNameModifier": "-small", "SelectedOutputs": ["_90", "_a"]},
        {"ManifestNameModifier": "-mute", "SelectedOutputs": ["_180"]},
    ]
    done = convert(film, jobs.settings(jobs.cmaf(*ladder(), AdditionalManifests=wanted)))
    shown = {"": {"180", "90", "a"}, "-small": {"90", "a"}, "-mute": {"180"}}
    for modifier, outputs in shown.items():
        names = dash.segment_names(done.path(f"a/main{modifier}.mpd").read_bytes())
        assert {re.sub(r"(init|_0+\d+)\..*", "", name).removeprefix("main_") for name in names} == outputs
        playlists = hls.media_playlists(done.text(f"a/main{modifier}.m3u8"))
        assert set(playlists) == {f"main_{output}.m3u8" for output in outputs}
    assert "AUDIO=" not in done.text("a/main-mute.m3u8")


@pytest.mark.parametrize("control", ["SEGMENTED_FILES", "SINGLE_FILE"])
def test_every_range_of_an_i_frame_playlist_is_one_key_frame(
    control: str, tmp_path: Path, film: Path, convert: Convert
) -> None:
    group = jobs.cmaf(*ladder(IFrameOnlyManifest="INCLUDE"), SegmentControl=control, FragmentLength=1)
    done = convert(film, jobs.settings(group))
    playlist = done.text("a/main_180_I-Frame.m3u8")
    assert "#EXT-X-I-FRAMES-ONLY\n" in playlist
    (mapped,) = [attributes(line) for line in playlist.splitlines() if line.startswith("#EXT-X-MAP:")]
    initialization = ranged(done.path(f"a/{mapped['URI']}").read_bytes(), mapped.get("BYTERANGE"))
    ranges = re.findall(r"#EXT-X-BYTERANGE:(\S+)\n(\S+)", playlist)
    assert len(ranges) == 4
    for text, name in ranges:
        frame = tmp_path / "frame.mp4"
        frame.write_bytes(initialization + ranged(done.path(f"a/{name}").read_bytes(), text))
        command = [str(jail.binary("ffmpeg")), "-v", "error", "-i", str(frame), "-frames:v", "1", "-f", "framemd5", "-"]
        told = subprocess.run(command, capture_output=True, text=True, timeout=60).stdout
        assert len([line for line in told.splitlines() if not line.startswith("#")]) == 1
    variants = [line for line in done.text("a/main.m3u8").splitlines() if "I-FRAME-STREAM-INF" in line]
    assert {attributes(line)["URI"] for line in variants} == {"main_180_I-Frame.m3u8", "main_90_I-Frame.m3u8"}


def ranged(data: bytes, text: str | None) -> bytes:
    if text is None:
        return data
    size, _, offset = text.partition("@")
    return data[int(offset) : int(offset) + int(size)]


def test_sound_that_describes_the_picture_says_so(film: Path, convert: Convert) -> None:
    sound = jobs.audio("_a")
    sound["ContainerSettings"]["CmfcSettings"] = {"DescriptiveVideoServiceFlag": "FLAG"}
    done = convert(film, jobs.settings(jobs.cmaf(jobs.video("_v", Height=90), sound)))
    assert 'CHARACTERISTICS="public.accessibility.describes-video"' in done.text("a/main.m3u8")


def unpack(done: Any, folder: Path) -> Path:
    for key, path in done.files.items():
        (folder / key).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, folder / key)
    return folder


def two_rates() -> tuple[dict[str, Any], ...]:
    """Three pictures and sound: two frame rates, the same segment boundaries."""
    slow = jobs.h264(FramerateControl="SPECIFIED", FramerateNumerator=5, FramerateDenominator=1)
    videos = [jobs.video("_slow", container="MPD", Height=90, codec=slow)]
    videos += [jobs.video(f"_{height}", container="MPD", Height=height) for height in (180, 90)]
    return (*videos, jobs.audio("_a", container="MPD"))


STYLES = {
    # Style -> timelines in the video's AdaptationSets, in its Representations, in the audio's AdaptationSet.
    "BASIC": (0, 3, 0),
    "COMPACT": (1, 1, 0),
    "DISTINCT": (2, 0, 0),
    "FULL": (1, 1, 1),
}


@pytest.mark.parametrize("style", STYLES)
def test_manifest_styles_say_where_times_stand_and_name_the_same_segments(
    style: str, film: Path, convert: Convert
) -> None:
    done = convert(film, jobs.settings(jobs.dash(*two_rates(), DashManifestStyle=style)))
    mpd = done.path("d/dash.mpd").read_bytes()
    root = etree.fromstring(mpd)
    sets = root.findall(f".//{MPD}AdaptationSet")
    videos = [one for one in sets if one.get("contentType") == "video"]
    (sound,) = [one for one in sets if one.get("contentType") == "audio"]
    timeline = f"{MPD}SegmentTemplate/{MPD}SegmentTimeline"
    found = (
        sum(len(one.findall(timeline)) for one in videos),
        sum(len(one.findall(f"{MPD}Representation/{timeline}")) for one in videos),
        len(sound.findall(timeline)),
    )
    assert found == STYLES[style]
    assert len(videos) == (2 if style == "DISTINCT" else 1)
    assert len({one.get("id") for one in sets}) == len(sets)
    if style == "DISTINCT":
        assert [one.get("frameRate") for one in videos] == ["5", "25"]
    names = dash.segment_names(mpd)
    assert len(names) == 12 and all(f"d/{name}" in done.files for name in names)


@pytest.mark.parametrize(
    ("modifier", "names"),
    [
        ("_v_$Number$", ["dash_v_1.mp4", "dash_v_2.mp4"]),
        ("_v$Number%03$-$h$", ["dash_v001-90.mp4", "dash_v002-90.mp4"]),
        ("_v_$Time$", ["dash_v_0.mp4", "dash_v_25600.mp4"]),
    ],
)
def test_segments_have_their_number_or_time_where_the_modifier_says(
    modifier: str, names: list[str], film: Path, convert: Convert
) -> None:
    done = convert(film, jobs.settings(jobs.dash(jobs.video(modifier, container="MPD", Height=90))))
    mpd = done.path("d/dash.mpd").read_bytes()
    assert [name for name in dash.segment_names(mpd) if "init" not in name] == names
    assert all(f"d/{name}" in done.files for name in dash.segment_names(mpd))


@pytest.mark.parametrize(
    ("group", "told"),
    [
        (
            jobs.dash(jobs.video("_$Number$", container="MPD"), jobs.audio("_a", container="MPD")),
            "outputs[1].nameModifier: $Number$ or $Time$ must be in all outputs",
        ),
        (jobs.dash(jobs.video("_$Time$", container="MPD"), SegmentControl="SINGLE_FILE"), "segmentControl: $Time$"),
        (
            jobs.dash(jobs.video("_$Time$", container="MPD"), WriteSegmentTimelineInRepresentation="DISABLED"),
            "writeSegmentTimelineInRepresentation: $Time$ needs ENABLED",
        ),
    ],
)
def test_numbers_that_outputs_cannot_have_are_refused(group: dict[str, Any], told: str) -> None:
    with pytest.raises(SettingRefused) as refused:
        request.read(jobs.settings(group))
    assert told in str(refused.value)


def test_approximate_durations_where_exact_times_are_not_wanted(film: Path, convert: Convert) -> None:
    outputs = (jobs.video("_v", container="MPD", Height=90), jobs.audio("_a", container="MPD"))
    group = jobs.dash(*outputs, WriteSegmentTimelineInRepresentation="DISABLED")
    done = convert(film, jobs.settings(group))
    mpd = done.path("d/dash.mpd").read_bytes()
    root = etree.fromstring(mpd)
    assert root.find(f".//{MPD}SegmentTimeline") is None
    for template in root.iter(f"{MPD}SegmentTemplate"):
        assert int(template.get("duration")) == 2 * int(template.get("timescale"))
    assert set(dash.segment_names(mpd)) - dash.approximate_segments(mpd) <= {key[2:] for key in done.files}


@pytest.mark.parametrize(
    ("scheme", "told"),
    [
        ("MPEG_CHANNEL_CONFIGURATION", ("urn:mpeg:mpegB:cicp:ChannelConfiguration", "2")),
        ("DOLBY_CHANNEL_CONFIGURATION", ("tag:dolby.com,2014:dash:audio_channel_configuration:2011", "A000")),
    ],
)
def test_channels_are_told_in_the_scheme_that_is_asked_for(
    scheme: str, told: tuple[str, str], film: Path, convert: Convert
) -> None:
    group = jobs.dash(jobs.audio("_a", container="MPD"), AudioChannelConfigSchemeIdUri=scheme)
    done = convert(film, jobs.settings(group))
    element = etree.fromstring(done.path("d/dash.mpd").read_bytes()).find(f".//{MPD}AudioChannelConfiguration")
    assert (element.get("schemeIdUri"), element.get("value")) == told


@pytest.mark.parametrize("control", ["SEGMENTED_FILES", "SINGLE_FILE"])
def test_trick_play_in_dash_is_a_rendition_of_key_frames(
    control: str, tmp_path: Path, film: Path, convert: Convert
) -> None:
    group = jobs.cmaf(*ladder(), DashIFrameTrickPlayNameModifier="_trick", SegmentControl=control)
    done = convert(film, jobs.settings(group))
    mpd = done.path("a/main.mpd").read_bytes()
    root = etree.fromstring(mpd)
    sets = {one.get("id"): one for one in root.iter(f"{MPD}AdaptationSet")}
    (trick,) = [one for one in sets.values() if one.find(f"{MPD}EssentialProperty") is not None]
    told = trick.find(f"{MPD}EssentialProperty")
    assert told.get("schemeIdUri") == "http://dashif.org/guidelines/trickmode"
    assert sets[told.get("value")].get("contentType") == "video"
    names = [key for key in sorted(done.files) if key.startswith("a/main_trick")]
    names = [key for key in names if "init" in key] + [key for key in names if "init" not in key]
    whole = tmp_path / "trick.mp4"
    whole.write_bytes(b"".join(done.path(key).read_bytes() for key in names))
    command = [str(jail.binary("ffprobe")), "-v", "error", "-show_entries", "frame=pict_type", "-of", "csv=p=0"]
    frames = subprocess.run([*command, str(whole)], capture_output=True, text=True, timeout=60).stdout.split()
    assert [frame.strip(",") for frame in frames] == ["I"] * 4
    assert "trick" not in done.text("a/main.m3u8")
    if control == "SEGMENTED_FILES":
        assert all(f"a/{name}" in done.files for name in dash.segment_names(mpd))


def sound(modifier: str, group: str | None = None, kind: str | None = None) -> dict[str, Any]:
    cmfc = {"AudioGroupId": group, "AudioTrackType": kind}
    settings = {name: value for name, value in cmfc.items() if value}
    return {**jobs.audio(modifier), "ContainerSettings": {"Container": "CMFC", "CmfcSettings": settings}}


def picture(modifier: str, sets: str) -> dict[str, Any]:
    settings = {"Container": "CMFC", "CmfcSettings": {"AudioRenditionSets": sets}}
    return {**jobs.video(modifier, Height=90), "ContainerSettings": settings}


def test_pictures_play_with_the_groups_of_sound_that_they_name(film: Path, convert: Convert) -> None:
    sounds = (sound("_a", "low"), sound("_b", "high", "ALTERNATE_AUDIO_NOT_AUTO_SELECT"), sound("_c", "high"))
    pictures = (picture("_1", "low"), picture("_2", "low, high"), jobs.video("_3", Height=90))
    done = convert(film, jobs.settings(jobs.cmaf(*pictures, *sounds)))
    lines = done.text("a/main.m3u8").splitlines()
    variants = [(lines[at + 1], attributes(line)["AUDIO"]) for at, line in enumerate(lines) if ":BANDWIDTH=" in line]
    assert sorted(variants) == [
        ("main_1.m3u8", "low"), ("main_2.m3u8", "high"), ("main_2.m3u8", "low"), ("main_3.m3u8", "high"),
        ("main_3.m3u8", "low"),
    ]  # fmt: skip
    media = [attributes(line) for line in lines if line.startswith("#EXT-X-MEDIA:")]
    assert {one["URI"]: (one["GROUP-ID"], one["DEFAULT"], one["AUTOSELECT"]) for one in media} == {
        "main_a.m3u8": ("low", "YES", "YES"),
        "main_b.m3u8": ("high", "NO", "NO"),
        "main_c.m3u8": ("high", "YES", "YES"),
    }


def test_groups_of_sound_that_are_not_there_are_refused_by_path() -> None:
    with pytest.raises(SettingRefused, match="no output of the group has the audioGroupId 'high'") as refused:
        request.read(jobs.settings(jobs.cmaf(picture("_1", "audio,high"), sound("_a"))))
    assert str(refused.value).startswith("outputGroups[0].outputs[0].containerSettings.cmfcSettings.audioRenditionSets")


def test_codecs_of_pictures_never_share_an_adaptation_set(film: Path, convert: Convert) -> None:
    h265 = {"Codec": "H_265", "H265Settings": {**jobs.h264()["H264Settings"]}}
    videos = (jobs.video("_1", container="MPD", Height=90), jobs.video("_2", container="MPD", Height=90, codec=h265))
    done = convert(film, jobs.settings(jobs.dash(*videos, DashAdaptationSetGrouping=["CODEC"])))
    sets = etree.fromstring(done.path("d/dash.mpd").read_bytes()).findall(f".//{MPD}AdaptationSet")
    assert [len(one.findall(f"{MPD}Representation")) for one in sets] == [1, 1]
