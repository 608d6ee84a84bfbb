"""HLS groups: names, playlists and segments of real clips; ffprobe plays what came out."""

from __future__ import annotations

import itertools
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

import mediaconvert_jobs as jobs
from localaws.mediaconvert import argv, hls, jail, naming, request, settings_table, state_events
from localaws.mediaconvert.rules import SettingRefused
from sample_media import ffmpeg

PICTURE = ("-f", "lavfi", "-i")
ENCODE = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-ac", "2", "-c:a", "aac")
Convert = Callable[[Path, dict[str, Any]], Any]


@pytest.fixture
def film(tmp_path: Path) -> Path:
    picture, tone = "testsrc2=size=320x180:rate=25:duration=5", "sine=sample_rate=48000:duration=5"
    return ffmpeg(tmp_path / "film.mp4", *PICTURE, picture, *PICTURE, tone, *ENCODE)


def muxed(modifier: str, height: int = 90, **members: Any) -> dict[str, Any]:
    return jobs.hls_output({**jobs.video(modifier, Height=height), "AudioDescriptions": [jobs.aac()]}, **members)


def only_video(modifier: str, **members: Any) -> dict[str, Any]:
    return jobs.hls_output(jobs.video(modifier, Height=90), **members)


def only_audio(modifier: str, **members: Any) -> dict[str, Any]:
    return jobs.hls_output(jobs.audio(modifier), **members)


def probe(path: Path, *arguments: str) -> dict[str, Any]:
    command = [str(jail.binary("ffprobe")), "-v", "error", "-of", "json", "-count_packets", *arguments, str(path)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert result.returncode == 0 and not result.stderr, result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def unpack(done: Any, folder: Path) -> Path:
    """The objects as files, under the names that they have in the store."""
    for key, path in done.files.items():
        target = folder / key
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    return folder


def attributes(line: str) -> dict[str, str]:
    return {name: value.strip('"') for name, value in re.findall(r'([A-Z-]+)=("[^"]*"|[^,]*)', line.partition(":")[2])}


def test_muxed_outputs_are_variants_with_the_names_of_aws(tmp_path: Path, film: Path, convert: Convert) -> None:
    done = convert(film, jobs.settings(jobs.hls(muxed("_180", 180), muxed("_90", 90, SegmentModifier="-$h$"))))
    assert sorted(done.files) == [
        "h/hls.m3u8",
        "h/hls_180.m3u8",
        *(f"h/hls_180_0000{number}.ts" for number in (1, 2, 3)),
        "h/hls_90-90_00001.ts",
        "h/hls_90-90_00002.ts",
        "h/hls_90-90_00003.ts",
        "h/hls_90.m3u8",
    ]
    folder = unpack(done, tmp_path / "store")
    lines = done.text("h/hls.m3u8").splitlines()
    variants = {lines[index + 1]: attributes(line) for index, line in enumerate(lines) if "STREAM-INF" in line}
    assert list(variants) == ["hls_180.m3u8", "hls_90.m3u8"]
    found = variants["hls_180.m3u8"]
    assert (found["RESOLUTION"], found["FRAME-RATE"]) == ("320x180", "25.000")
    assert re.fullmatch(r"avc1\.4d[0-9a-f]{4},mp4a\.40\.2", found["CODECS"])
    assert int(found["BANDWIDTH"]) >= int(found["AVERAGE-BANDWIDTH"]) > 50_000
    for name in variants:
        streams = {one["codec_type"]: one for one in probe(folder / "h" / name, "-show_streams")["streams"]}
        assert int(streams["video"]["nb_read_packets"]) == 125
        assert float(streams["video"]["start_time"]) == pytest.approx(2.0, abs=0.001)
        assert float(streams["audio"]["start_time"]) == pytest.approx(2.0, abs=0.03)
        playlist = done.text(f"h/{name}")
        assert playlist.count("#EXTINF:2.000000,") == 2 and "#EXT-X-TARGETDURATION:2\n" in playlist
        assert playlist.endswith("#EXT-X-ENDLIST\n")
    for number in (1, 2, 3):
        first = probe(folder / f"h/hls_180_0000{number}.ts", "-select_streams", "v", "-show_packets")["packets"][0]
        assert first["flags"].startswith("K"), "a segment begins with a key frame"


@pytest.mark.parametrize(("container", "extension"), [("AUTOMATIC", "aac"), ("M2TS", "ts")])
def test_audio_groups_play_in_time_with_the_video(
    container: str, extension: str, tmp_path: Path, film: Path, convert: Convert
) -> None:
    sound = only_audio("_a", AudioOnlyContainer=container, AudioGroupId="sound")
    done = convert(film, jobs.settings(jobs.hls(only_video("_v", AudioRenditionSets="sound"), sound)))
    assert {f"h/hls_a_0000{number}.{extension}" for number in (1, 2, 3)} < set(done.files)
    folder = unpack(done, tmp_path / "store")
    master = done.text("h/hls.m3u8")
    media = attributes(next(line for line in master.splitlines() if "EXT-X-MEDIA:" in line))
    assert media["GROUP-ID"] == "sound" and media["URI"] == "hls_a.m3u8"
    assert (media["DEFAULT"], media["AUTOSELECT"], media["CHANNELS"]) == ("YES", "YES", "2")
    (variant,) = [attributes(line) for line in master.splitlines() if "STREAM-INF" in line]
    assert variant["AUDIO"] == "sound" and "mp4a.40.2" in variant["CODECS"]
    # One player, both playlists: the tracks must begin together.
    streams = {one["codec_type"]: one for one in probe(folder / "h/hls.m3u8", "-show_streams")["streams"]}
    assert int(streams["video"]["nb_read_packets"]) == 125
    begun = {kind: float(one["start_time"]) for kind, one in streams.items()}
    assert begun["audio"] == pytest.approx(begun["video"], abs=0.03)
    # And stay together: the times of the packets go on over the segments without a gap.
    packets = probe(folder / "h/hls_a.m3u8", "-show_packets")["packets"]
    times = [float(packet["pts_time"]) for packet in packets]
    gaps = [after - before for before, after in itertools.pairwise(times)]
    assert len(times) == pytest.approx(235, abs=3) and max(gaps) < 0.025


def test_one_file_for_each_output_is_cut_by_byte_ranges(tmp_path: Path, film: Path, convert: Convert) -> None:
    group = jobs.hls(only_video("_v"), only_audio("_a"), SegmentControl="SINGLE_FILE")
    done = convert(film, jobs.settings(group))
    assert sorted(done.files) == ["h/hls.m3u8", "h/hls_a.aac", "h/hls_a.m3u8", "h/hls_v.m3u8", "h/hls_v.ts"]
    for name, media in (("v", "ts"), ("a", "aac")):
        ranges = re.findall(r"#EXT-X-BYTERANGE:(\d+)@(\d+)\n(\S+)", done.text(f"h/hls_{name}.m3u8"))
        assert len(ranges) == 3 and {one[2] for one in ranges} == {f"hls_{name}.{media}"}
        assert sum(int(one[0]) for one in ranges) == done.path(f"h/hls_{name}.{media}").stat().st_size
    folder = unpack(done, tmp_path / "store")
    streams = {one["codec_type"]: one for one in probe(folder / "h/hls.m3u8", "-show_streams")["streams"]}
    assert int(streams["video"]["nb_read_packets"]) == 125 and "audio" in streams


def test_settings_of_the_transport_stream_are_in_it(tmp_path: Path, film: Path, convert: Convert) -> None:
    stream = {
        "VideoPid": 600,
        "AudioPids": [601, 602],
        "PmtPid": 599,
        "ProgramNumber": 7,
        "TransportStreamId": 9,
        "PtsOffsetMode": "MILLISECONDS",
        "PtsOffset": 10_500,
    }
    done = convert(film, jobs.settings(jobs.hls(muxed("_m", m3u8=stream))))
    found = probe(done.path("h/hls_m_00001.ts"), "-show_streams", "-show_programs")
    assert {one["codec_type"]: one["id"] for one in found["streams"]} == {"video": "0x258", "audio": "0x259"}
    (program,) = found["programs"]
    assert (program["program_num"], program["pmt_pid"]) == (7, 599)
    video = next(one for one in found["streams"] if one["codec_type"] == "video")
    assert float(video["start_time"]) == pytest.approx(10.5, abs=0.001)


def test_settings_of_the_playlists_are_in_them(film: Path, convert: Convert) -> None:
    group = jobs.hls(
        muxed("_m", SegmentModifier=""),
        ManifestDurationFormat="INTEGER",
        StreamInfResolution="EXCLUDE",
        ClientCache="DISABLED",
        SegmentLength=3,
    )
    done = convert(film, jobs.settings(group))
    playlist = done.text("h/hls_m.m3u8")
    assert "#EXTINF:3,\n" in playlist and "#EXTINF:2,\n" in playlist and "#EXT-X-ALLOW-CACHE:NO\n" in playlist
    assert "RESOLUTION" not in done.text("h/hls.m3u8")


@pytest.mark.parametrize(("mode", "seconds"), [("LEGACY", 3), ("SPEC_COMPLIANT", 2)])
def test_target_duration_as_the_setting_rounds_it(mode: str, seconds: int, film: Path, convert: Convert) -> None:
    codec = jobs.h264(GopSize=55, GopSizeUnits="FRAMES")
    video = jobs.hls_output(jobs.video("_v", Height=90, codec=codec))
    group = jobs.hls(video, SegmentLengthControl="GOP_MULTIPLE", TargetDurationCompatibilityMode=mode)
    done = convert(film, jobs.settings(group))
    assert f"#EXT-X-TARGETDURATION:{seconds}\n" in done.text("h/hls_v.m3u8")
    assert "#EXTINF:2.200000," in done.text("h/hls_v.m3u8")


def test_segments_alone(film: Path, convert: Convert) -> None:
    done = convert(film, jobs.settings(jobs.hls(muxed("_m"), OutputSelection="SEGMENTS_ONLY")))
    assert sorted(done.files) == [f"h/hls_m_0000{number}.ts" for number in (1, 2, 3)]
    assert "playlistFilePaths" not in state_events.group_details(done.plan.groups[0], {}, [])


def test_kinds_of_audio_tracks_in_the_multivariant_playlist(film: Path, convert: Convert) -> None:
    done = convert(
        film,
        jobs.settings(
            jobs.hls(
                only_video("_v"),
                only_audio("_1"),
                only_audio("_2", AudioTrackType="ALTERNATE_AUDIO_AUTO_SELECT_DEFAULT"),
                only_audio("_3", AudioTrackType="ALTERNATE_AUDIO_AUTO_SELECT"),
                only_audio("_4", AudioTrackType="ALTERNATE_AUDIO_NOT_AUTO_SELECT", AudioGroupId="other"),
                only_audio("_5", AudioTrackType="AUDIO_ONLY_VARIANT_STREAM"),
            )
        ),
    )
    lines = done.text("h/hls.m3u8").splitlines()
    media = [attributes(line) for line in lines if line.startswith("#EXT-X-MEDIA:")]
    assert [(one["URI"][4:5], one["GROUP-ID"], one["DEFAULT"], one["AUTOSELECT"]) for one in media] == [
        ("1", "program_audio", "YES", "YES"),
        ("2", "program_audio", "NO", "YES"),
        ("3", "program_audio", "NO", "YES"),
        ("4", "other", "NO", "NO"),
    ]
    variants = [(attributes(line).get("AUDIO"), lines[at + 1]) for at, line in enumerate(lines) if "STREAM-INF" in line]
    assert variants == [("program_audio", "hls_v.m3u8"), ("other", "hls_v.m3u8"), (None, "hls_5.m3u8")]


def test_details_name_the_playlists(film: Path, convert: Convert) -> None:
    done = convert(film, jobs.settings(jobs.hls(muxed("_m"))))
    facts = {label: (duration_ms, size) for label, (duration_ms, size) in done.facts.items()}
    details = state_events.group_details(done.plan.groups[0], facts, list(done.files))
    assert details["type"] == "HLS_GROUP" and details["playlistFilePaths"] == ["s3://media/h/hls.m3u8"]
    assert details["outputDetails"][0]["outputFilePaths"] == ["s3://media/h/hls_m.m3u8"]
    assert naming.content_type("x.ts") == "video/mp2t"


def test_one_job_with_four_kinds_of_groups_decodes_once(film: Path, convert: Convert) -> None:
    settings = jobs.settings(
        jobs.hls(muxed("_h")),
        jobs.cmaf(jobs.video("_c", Height=90)),
        jobs.dash(jobs.video("_d", container="MPD", Height=90)),
        jobs.file(jobs.video("_f", container="MP4", Height=90)),
    )
    done = convert(film, settings)
    assert argv.ffmpeg(done.plan, "ffmpeg").count("-i") == 1
    for name in ("h/hls_h_00001.ts", "a/main_c_000000001.cmfv", "d/dash_d_000000001.mp4", "f/film_f.mp4"):
        assert name in done.files


def test_timestamp_tag_wraps_at_33_bits() -> None:
    tag = hls.timestamp_tag(Fraction(2**33, 90_000) + 1)
    assert len(tag) == 73 and tag[:10] == b"ID3\x04\x00\x00\x00\x00\x00\x3f" and tag[-8:] == (90_000).to_bytes(8, "big")


OUT = "outputGroups[0].outputs[0]"
OWN = "outputGroups[0].outputGroupSettings.hlsGroupSettings"


@pytest.mark.parametrize(
    ("group", "told"),
    [
        (jobs.hls(muxed("")), f"{OUT}.nameModifier: is needed"),
        (jobs.hls(muxed("_m", SegmentModifier="$dt$")), f"{OUT}.outputSettings.hlsSettings.segmentModifier: "),
        (jobs.hls(muxed("_m", IFrameOnlyManifest="INCLUDE")), f"{OUT}.outputSettings.hlsSettings.iFrameOnlyManifest"),
        (jobs.hls(muxed("_m", AudioRenditionSets='a,b"')), f"{OUT}.outputSettings.hlsSettings.audioRenditionSets"),
        (jobs.hls(only_audio("_m", AudioGroupId="a b")), f"{OUT}.outputSettings.hlsSettings.audioGroupId"),
        (jobs.hls(muxed("_m", m3u8={"AudioPids": [9000]})), f"{OUT}.containerSettings.m3u8Settings.audioPids"),
        (jobs.hls(muxed("_m", m3u8={"PmtPid": 481})), f"{OUT}.containerSettings.m3u8Settings.videoPid"),
        (jobs.hls(muxed("_m"), Encryption={"Type": "SPEKE"}), f"{OWN}.encryption: "),
        (jobs.hls(muxed("_m"), DirectoryStructure="SUBDIRECTORY_PER_STREAM"), f"{OWN}.directoryStructure: "),
        (jobs.hls(muxed("_m"), ManifestCompression="GZIP"), f"{OWN}.manifestCompression: "),
        (jobs.hls(jobs.video("_v")), f"{OUT}.containerSettings.container: CMFC does not belong"),
        (jobs.hls(muxed("_m") | {"Extension": "ts"}), f"{OUT}.extension: "),
        (jobs.cmaf(jobs.video("_v") | {"OutputSettings": {"HlsSettings": {}}}), f"{OUT}.outputSettings: belongs"),
    ],
)
def test_what_is_not_offered_is_refused_by_path(group: dict[str, Any], told: str) -> None:
    settings = jobs.settings(group)
    with pytest.raises(SettingRefused) as refused:
        settings_table.check({"Role": "r", "Settings": settings})
        request.read(settings)
    assert str(refused.value).startswith(told)
