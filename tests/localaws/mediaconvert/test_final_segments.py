"""Last segments that are too short: joined in files, MPD and playlists of CMAF and DASH groups, encrypted ones too."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

import mediaconvert_jobs as jobs
from localaws.media.failures import SettingRefused
from localaws.mediaconvert.groups import final_segments
from localaws.mediaconvert.settings import request
from penstock.formats import dash, segment_index
from penstock.formats.isobmff import boxes
from probed_media import ffprobe, film

Convert = Callable[..., Any]
KEY = "00112233445566778899aabbccddeeff"


def ladder(container: str = "CMFC") -> tuple[dict[str, Any], ...]:
    video = jobs.video("_v", container=container, Height=90)
    if container == "CMFC":
        video["ContainerSettings"]["CmfcSettings"] = {"IFrameOnlyManifest": "INCLUDE"}
    return video, jobs.audio("_a", container=container)


def timelines(mpd: bytes) -> list[list[int]]:
    """Durations of segments of each representation, in ms."""
    found = []
    for template in etree.fromstring(mpd).iter("{*}SegmentTemplate"):
        scale = int(template.get("timescale"))
        runs = [(int(run.get("d")), int(run.get("r", "0"))) for run in template.iter("{*}S")]
        found.append([round(1000 * length / scale) for length, more in runs for _ in range(more + 1)])
    return found


def lengths(playlist: str) -> list[float]:
    return [float(one) for one in re.findall(r"#EXTINF:([0-9.]+)", playlist)]


def packets(path: Path) -> list[str]:
    return [one["pts_time"] for one in ffprobe(path, "-show_entries", "packet=pts_time")["packets"]]


def test_segments_of_a_cmaf_group_are_joined_alike(tmp_path: Path, convert: Convert) -> None:
    protection = jobs.static_key("https://k/", KEY, EncryptionMethod="SAMPLE_AES", ClearLeadSegments=2)
    groups = (
        jobs.cmaf(*ladder(), destination="s3://media/a/whole"),
        jobs.cmaf(*ladder(), MinFinalSegmentLength=1.5, Encryption=protection, DashIFrameTrickPlayNameModifier="_t"),
    )
    done = convert(film(tmp_path, duration_s=5), jobs.settings(*groups))
    assert timelines(done.path("a/whole.mpd").read_bytes())[0] == [2000, 2000, 1000]
    mpd = done.path("a/main.mpd").read_bytes()
    pictures, *others = timelines(mpd)
    assert pictures == [2000, 3000] and len(others) == 2 and all(len(one) == 2 for one in others)
    assert set(dash.segment_names(mpd)) <= {key.removeprefix("a/") for key in done.files}
    assert not [key for key in done.files if key.startswith("a/main") and "_000000003" in key]
    for label in ("v", "a"):
        playlist = done.text(f"a/main_{label}.m3u8")
        assert lengths(playlist) == pytest.approx([2, 3], abs=0.05)
        assert f"#EXT-X-TARGETDURATION:{3 if label == 'v' else 4}\n" in playlist
        assert playlist.index("#EXT-X-KEY:") < playlist.index("_000000002.")
        extension = {"v": "cmfv", "a": "cmfa"}[label]
        segment = done.path(f"a/main_{label}_000000002.{extension}").read_bytes()
        assert [box.type for box in boxes(segment)] == ["styp", "sidx", *(2 * ["moof", "mdat"])]
        (index,) = [segment_index.parse(box.payload) for box in boxes(segment) if box.type == "sidx"]
        assert index.count == 2 and sum(one.size_bytes for one in index.references) == len(segment) - len(
            index.build()
        ) - int.from_bytes(segment[:4])
        both = tmp_path / f"{label}.mp4"
        wanted = tmp_path / f"{label}-whole.mp4"
        for target, name, count in ((both, "main", 2), (wanted, "whole", 3)):
            parts = [f"a/{name}_{label}_{number:09d}.{extension}" for number in range(1, count + 1)]
            target.write_bytes(
                b"".join(done.path(one).read_bytes() for one in (f"a/{name}_{label}init.{extension}", *parts))
            )
        assert packets(both) == packets(wanted)
    key_frames = done.text("a/main_v_I-Frame.m3u8")
    ranges = re.findall(r"#EXT-X-BYTERANGE:(\d+)@(\d+)\n(\S+)", key_frames)
    assert sum(lengths(key_frames)) == pytest.approx(5, abs=0.05)
    assert [name for _, _, name in ranges] == [f"main_v_00000000{number}.cmfv" for number in (1, 2, 2)]
    for size, offset, name in ranges:
        begun = done.path(f"a/{name}").read_bytes()[int(offset) :]
        assert begun[4:8] == b"moof" and 500 < int(size) <= len(begun)


@pytest.mark.parametrize("profile", ["MAIN_PROFILE", "ON_DEMAND_PROFILE"])
def test_segments_in_one_file_are_joined_in_its_index(profile: str, tmp_path: Path, convert: Convert) -> None:
    single = {"SegmentControl": "SINGLE_FILE", "MpdProfile": profile}
    groups = (
        jobs.cmaf(*ladder(), destination="s3://media/a/whole", **single),
        jobs.cmaf(*ladder(), MinFinalSegmentLength=1.5, **single),
    )
    done = convert(film(tmp_path, duration_s=5), jobs.settings(*groups))
    for label, extension in (("v", "cmfv"), ("a", "cmfa")):
        data = done.path(f"a/main_{label}.{extension}").read_bytes()
        found = [box for box in boxes(data) if box.type == "sidx"]
        index = segment_index.parse(found[0].payload)
        assert index.count == 2
        begins = found[0].offset + len(index.build()) + index.first_offset
        for reference in index.references:
            assert data[begins + 4 : begins + 8] == b"moof"
            begins += reference.size_bytes
        assert begins == len(data) == done.path(f"a/whole_{label}.{extension}").stat().st_size
        listed = [
            one.get("indexRange")
            for one in etree.fromstring(done.path("a/main.mpd").read_bytes()).iter("{*}SegmentBase")
        ]
        assert f"{found[0].offset}-{found[0].offset + len(index.build()) - 1}" in listed
        playlist = done.text(f"a/main_{label}.m3u8")
        assert lengths(playlist) == pytest.approx([2, 3], abs=0.05)
        ranges = re.findall(r"^#EXT-X-BYTERANGE:(\d+)", playlist, re.MULTILINE)
        assert [int(one) for one in ranges] == [one.size_bytes for one in index.references]
        assert packets(done.path(f"a/main_{label}.{extension}")) == packets(done.path(f"a/whole_{label}.{extension}"))


def test_long_enough_segments_stay(tmp_path: Path, convert: Convert) -> None:
    group = jobs.dash(*ladder("MPD"), MinFinalSegmentLength=1.0)
    done = convert(film(tmp_path, duration_s=3), jobs.settings(group))
    assert timelines(done.path("d/dash.mpd").read_bytes())[0] == [2000, 1000]


def test_what_stands_between_two_segments_comes_before_both() -> None:
    playlist = (
        "#EXTM3U\n#EXTINF:2.000,\na_1\n#EXTINF:2.000,\na_2\n#EXT-X-KEY:METHOD=X\n#EXTINF:0.500,\na_3\n#EXT-X-ENDLIST\n"
    )
    assert final_segments.in_playlist(playlist) == (
        "#EXTM3U\n#EXTINF:2.000,\na_1\n#EXT-X-KEY:METHOD=X\n#EXTINF:2.500,\na_2\n#EXT-X-ENDLIST\n"
    )


@pytest.mark.parametrize("members", [{"MinFinalSegmentLength": 0.5}, {"MinFinalSegmentLength": 2.0}])
def test_the_least_length_is_less_than_a_segment(members: dict[str, Any]) -> None:
    with pytest.raises(SettingRefused, match="minFinalSegmentLength: must be at least 1 and less than"):
        request.read(jobs.settings(jobs.cmaf(*ladder(), **members)))


def test_players_that_count_segments_would_look_for_one_that_is_not_there() -> None:
    members = {"MinFinalSegmentLength": 1.5, "WriteSegmentTimelineInRepresentation": "DISABLED"}
    with pytest.raises(SettingRefused, match="minFinalSegmentLength: needs writeSegmentTimelineInRepresentation"):
        request.read(jobs.settings(jobs.cmaf(*ladder(), **members)))
    request.read(jobs.settings(jobs.cmaf(*ladder(), **members, WriteDashManifest="DISABLED")))
