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
from localaws.media import addresses, id3, jail, transport_stream
from localaws.media.failures import JobError, SettingRefused
from localaws.mediaconvert import state_events
from localaws.mediaconvert.answers import table as settings_table
from localaws.mediaconvert.ffmpeg import argv
from localaws.mediaconvert.groups import hls
from localaws.mediaconvert.settings import request
from probed_media import bilingual
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


def test_outputs_whose_key_frames_do_not_meet_have_segments_of_their_own(film: Path, convert: Convert) -> None:
    whole, uneven = (jobs.h264(GopSize=seconds, SceneChangeDetect="DISABLED") for seconds in (1, 1.5))
    outputs = (
        jobs.hls_output(jobs.video(name, codec=codec, Height=90)) for name, codec in (("_a", whole), ("_b", uneven))
    )
    done = convert(film, jobs.settings(jobs.hls(*outputs, SegmentLengthControl="GOP_MULTIPLE")))
    assert "segments of their own lengths" in done.plan.warnings[0]
    lengths = {
        name: [float(found) for found in re.findall(r"#EXTINF:([0-9.]+)", done.text(f"h/hls{name}.m3u8"))]
        for name in ("_a", "_b")
    }
    assert lengths["_a"][:2] == [2.0, 2.0] and lengths["_b"][0] == pytest.approx(3.04)
    assert sum(lengths["_a"]) == pytest.approx(sum(lengths["_b"]), abs=0.05)


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


@pytest.mark.parametrize(
    ("container", "codec", "extension", "named"),
    [
        ("AUTOMATIC", "AAC", "aac", "mp4a.40.2"),
        ("M2TS", "AAC", "ts", "mp4a.40.2"),
        ("AUTOMATIC", "AC3", "ac3", "ac-3"),
        ("M2TS", "AC3", "ts", "ac-3"),
        ("AUTOMATIC", "EAC3", "ec3", "ec-3"),
        ("M2TS", "EAC3", "ts", "ec-3"),
    ],
)
def test_audio_groups_play_in_time_with_the_video(
    container: str, codec: str, extension: str, named: str, tmp_path: Path, film: Path, convert: Convert
) -> None:
    sound = only_audio("_a", AudioOnlyContainer=container, AudioGroupId="sound")
    if codec != "AAC":
        sound["AudioDescriptions"] = [
            {"CodecSettings": {"Codec": codec, f"{codec.capitalize()}Settings": {"CodingMode": "CODING_MODE_2_0"}}}
        ]
    done = convert(film, jobs.settings(jobs.hls(only_video("_v", AudioRenditionSets="sound"), sound)))
    assert {f"h/hls_a_0000{number}.{extension}" for number in (1, 2, 3)} < set(done.files)
    folder = unpack(done, tmp_path / "store")
    master = done.text("h/hls.m3u8")
    media = attributes(next(line for line in master.splitlines() if "EXT-X-MEDIA:" in line))
    assert media["GROUP-ID"] == "sound" and media["URI"] == "hls_a.m3u8"
    assert (media["DEFAULT"], media["AUTOSELECT"], media["CHANNELS"]) == ("YES", "YES", "2")
    (variant,) = [attributes(line) for line in master.splitlines() if "STREAM-INF" in line]
    assert variant["AUDIO"] == "sound" and named in variant["CODECS"]
    # One player, both playlists: the tracks must begin together.
    streams = {one["codec_type"]: one for one in probe(folder / "h/hls.m3u8", "-show_streams")["streams"]}
    assert int(streams["video"]["nb_read_packets"]) == 125
    begun = {kind: float(one["start_time"]) for kind, one in streams.items()}
    assert begun["audio"] == pytest.approx(begun["video"], abs=0.03)
    # And stay together: the times of the packets go on over the segments without a gap.
    packets = probe(folder / "h/hls_a.m3u8", "-show_packets")["packets"]
    times = [float(packet["pts_time"]) for packet in packets]
    gaps = [after - before for before, after in itertools.pairwise(times)]
    frame_s = (1024 if codec == "AAC" else 1536) / 48_000
    assert len(times) == pytest.approx(5 / frame_s, abs=3)
    # ffmpeg gives the last frame of packed AC-3 the time of the segment after it; the stamps below are exact.
    assert max(gaps) < (2 * frame_s if extension in ("ac3", "ec3") else frame_s) + 0.004
    if extension != "ts":
        durations = [float(one) for one in re.findall(r"#EXTINF:([0-9.]+)", done.text("h/hls_a.m3u8"))]
        stamps = [stamped_s(done.path(f"h/hls_a_0000{number}.{extension}")) for number in (1, 2, 3)]
        assert [after - before for before, after in itertools.pairwise(stamps)] == pytest.approx(
            durations[:2], abs=1e-4
        )


def stamped_s(path: Path) -> float:
    """The time that the ID3 tag of packed audio says, in seconds."""
    ticks = path.read_bytes().partition(b"transportStreamTimestamp\x00")[2][:8]
    return int.from_bytes(ticks, "big") / 90_000


def test_sound_without_a_format_for_encrypted_samples_is_refused() -> None:
    sound = only_audio("_a")
    sound["AudioDescriptions"] = [{"CodecSettings": {"Codec": "AC3", "Ac3Settings": {}}}]
    key = jobs.static_key("https://keys.example.com/key", EncryptionMethod="SAMPLE_AES")
    with pytest.raises(SettingRefused, match=r"audioDescriptions\[0\].codecSettings.codec: SAMPLE_AES .* AAC"):
        request.read(jobs.settings(jobs.hls(only_video("_v"), sound, Encryption=key)))


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


def test_several_tracks_of_sound_go_into_one_transport_stream(tmp_path: Path, convert: Convert) -> None:
    described, selectors = jobs.tracks(2)
    output = {**jobs.video("_m", Height=90), "AudioDescriptions": described}
    group = jobs.hls(jobs.hls_output(output, m3u8={"AudioPids": [611, 610, 609]}))
    done = convert(bilingual(tmp_path), jobs.settings(group, AudioSelectors=selectors))
    segment = probe(done.path("h/hls_m_00001.ts"), "-show_streams")["streams"]
    told = [(one["codec_type"], int(one["id"], 16), one.get("tags", {}).get("language")) for one in segment]
    assert told == [("video", 481, None), ("audio", 611, "eng"), ("audio", 610, "deu")]
    found = probe(unpack(done, tmp_path / "store") / "h/hls_m.m3u8", "-show_streams")["streams"]
    assert [int(one["nb_read_packets"]) for one in found] == pytest.approx([37, 71, 71], abs=2)
    (variant,) = [attributes(line) for line in done.text("h/hls.m3u8").splitlines() if "STREAM-INF" in line]
    assert re.fullmatch(r"avc1\.[0-9a-f]{6},mp4a\.40\.2", variant["CODECS"])


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
    assert addresses.content_type("x.ts") == "video/mp2t"


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


def key_frames_alone(playlist: str, folder: Path, target: Path) -> list[Path]:
    """Each byte range of an I-frame playlist as a file of its own."""
    made = []
    for size, offset, name in re.findall(r"#EXT-X-BYTERANGE:(\d+)@(\d+)\n(\S+)", playlist):
        data = (folder / name).read_bytes()[int(offset) : int(offset) + int(size)]
        made.append(target / f"frame{len(made)}.ts")
        made[-1].write_bytes(data)
    return made


@pytest.mark.parametrize("control", ["SEGMENTED_FILES", "SINGLE_FILE"])
def test_every_range_of_an_i_frame_playlist_is_one_key_frame(
    control: str, tmp_path: Path, film: Path, convert: Convert
) -> None:
    group = jobs.hls(muxed("_m", IFrameOnlyManifest="INCLUDE"), SegmentControl=control)
    done = convert(film, jobs.settings(group))
    folder = unpack(done, tmp_path / "store")
    playlist = done.text("h/hls_m_I-Frame.m3u8")
    assert "#EXT-X-I-FRAMES-ONLY\n" in playlist and "#EXT-X-VERSION:4\n" in playlist
    lengths_s = [float(found) for found in re.findall(r"#EXTINF:([0-9.]+),", playlist)]
    assert lengths_s == pytest.approx([1.0] * 5, abs=0.05)
    frames = key_frames_alone(playlist, folder / "h", tmp_path)
    assert len(frames) == 5
    for frame in frames:
        found = probe(frame, "-select_streams", "v", "-show_frames", "-show_entries", "frame=pict_type")["frames"]
        assert [one["pict_type"] for one in found] == ["I"]
    lines = done.text("h/hls.m3u8").splitlines()
    (variant,) = [attributes(line) for line in lines if line.startswith("#EXT-X-I-FRAME-STREAM-INF:")]
    assert variant["URI"] == "hls_m_I-Frame.m3u8" and variant["RESOLUTION"] == "160x90"
    assert variant["CODECS"].startswith("avc1.") and "mp4a" not in variant["CODECS"]


def test_segments_are_told_the_date_and_time(film: Path, convert: Convert) -> None:
    group = jobs.hls(muxed("_m"), ProgramDateTime="INCLUDE", ProgramDateTimePeriod=4)
    lines = convert(film, jobs.settings(group)).text("h/hls_m.m3u8").splitlines()
    told = [(at, line.partition(":")[2]) for at, line in enumerate(lines) if "PROGRAM-DATE-TIME" in line]
    assert [when for _, when in told] == ["2026-11-22T12:30:05.000+00:00", "2026-11-22T12:30:09.000+00:00"]
    assert all(lines[at + 1].startswith("#EXTINF") for at, _ in told)


def test_segments_lie_in_folders_of_their_stream(tmp_path: Path, film: Path, convert: Convert) -> None:
    group = jobs.hls(muxed("_m"), DirectoryStructure="SUBDIRECTORY_PER_STREAM", SegmentsPerSubdirectory=2)
    done = convert(film, jobs.settings(group))
    assert sorted(done.files) == [
        "h/hls.m3u8",
        "h/hls_m.m3u8",
        "h/hls_m/00001/hls_m_00001.ts",
        "h/hls_m/00001/hls_m_00002.ts",
        "h/hls_m/00002/hls_m_00003.ts",
    ]
    folder = unpack(done, tmp_path / "store")
    streams = {one["codec_type"]: one for one in probe(folder / "h/hls.m3u8", "-show_streams")["streams"]}
    assert int(streams["video"]["nb_read_packets"]) == 125


@pytest.mark.parametrize("least_s", [0, 1.5])
def test_a_short_last_segment_joins_the_one_before(
    least_s: float, tmp_path: Path, film: Path, convert: Convert
) -> None:
    outputs = (only_video("_v"), only_audio("_a"))
    done = convert(film, jobs.settings(jobs.hls(*outputs, MinFinalSegmentLength=least_s)))
    folder = unpack(done, tmp_path / "store")
    for name in ("v", "a"):
        lengths_s = re.findall(r"#EXTINF:([0-9.]+),", done.text(f"h/hls_{name}.m3u8"))
        assert [round(float(length)) for length in lengths_s] == ([2, 3] if least_s else [2, 2, 1])
        assert len([key for key in done.files if key.startswith(f"h/hls_{name}_0")]) == len(lengths_s)
    streams = {one["codec_type"]: one for one in probe(folder / "h/hls.m3u8", "-show_streams")["streams"]}
    assert int(streams["video"]["nb_read_packets"]) == 125
    assert int(streams["audio"]["nb_read_packets"]) == pytest.approx(235, abs=3)


def test_additional_manifests_show_some_outputs_at_an_address_of_their_own(film: Path, convert: Convert) -> None:
    wanted = [{"ManifestNameModifier": "-small", "SelectedOutputs": ["_v", "_a"]}]
    outputs = (only_video("_large"), only_video("_v"), only_audio("_a", DescriptiveVideoServiceFlag="FLAG"))
    group = jobs.hls(*outputs, AdditionalManifests=wanted, BaseUrl="https://cdn.example.com/x/")
    done = convert(film, jobs.settings(group))
    for name, variants in (("hls", ["hls_large.m3u8", "hls_v.m3u8"]), ("hls-small", ["hls_v.m3u8"])):
        lines = done.text(f"h/{name}.m3u8").splitlines()
        assert [line for line in lines if not line.startswith("#")] == variants
        (sound,) = [attributes(line) for line in lines if line.startswith("#EXT-X-MEDIA:")]
        assert sound["CHARACTERISTICS"] == "public.accessibility.describes-video"
    assert "\nhttps://cdn.example.com/x/hls_v_00001.ts\n" in done.text("h/hls_v.m3u8")
    details = state_events.group_details(done.plan.groups[0], {}, list(done.files))
    assert details["playlistFilePaths"] == ["s3://media/h/hls.m3u8", "s3://media/h/hls-small.m3u8"]


def test_what_is_no_transport_stream_has_no_key_frames(tmp_path: Path) -> None:
    path = tmp_path / "x.ts"
    path.write_bytes(b"\x47" + bytes(187) + b"\x46" + bytes(187))
    with pytest.raises(JobError, match="no transport stream at byte 188"):
        transport_stream.key_frames(path, 481, 480)


def test_timestamp_tag_wraps_at_33_bits() -> None:
    tag = id3.tag(hls.timestamp(Fraction(2**33, 90_000) + 1))
    assert len(tag) == 73 and tag[:10] == b"ID3\x04\x00\x00\x00\x00\x00\x3f" and tag[-8:] == (90_000).to_bytes(8, "big")


OUT = "outputGroups[0].outputs[0]"
OWN = "outputGroups[0].outputGroupSettings.hlsGroupSettings"


@pytest.mark.parametrize(
    ("group", "told"),
    [
        (jobs.hls(muxed("")), f"{OUT}.nameModifier: is needed"),
        (jobs.hls(muxed("_m", SegmentModifier="$Number$")), f"{OUT}.outputSettings.hlsSettings.segmentModifier: "),
        (
            jobs.hls(muxed("_m", IFrameOnlyManifest="INCLUDE_AS_TS")),
            f"{OUT}.outputSettings.hlsSettings.iFrameOnlyManifest",
        ),
        (
            jobs.hls(muxed("_m", IFrameOnlyManifest="INCLUDE"), Encryption=jobs.static_key("https://k/")),
            f"{OUT}.outputSettings.hlsSettings.iFrameOnlyManifest: INCLUDE does not go with AES128",
        ),
        (jobs.hls(muxed("_m", AudioRenditionSets='a,b"')), f"{OUT}.outputSettings.hlsSettings.audioRenditionSets"),
        (jobs.hls(only_audio("_m", AudioGroupId="a b")), f"{OUT}.outputSettings.hlsSettings.audioGroupId"),
        (jobs.hls(muxed("_m", m3u8={"AudioPids": [9000]})), f"{OUT}.containerSettings.m3u8Settings.audioPids"),
        (
            jobs.hls(muxed("_m", m3u8={"AudioPids": [500]}) | {"AudioDescriptions": 2 * [jobs.aac()]}),
            f"{OUT}.containerSettings.m3u8Settings.audioPids: 2 tracks of sound need as many PIDs, got 1",
        ),
        (
            jobs.hls(muxed("_m", m3u8={"AudioPids": [500, 500]}) | {"AudioDescriptions": 2 * [jobs.aac()]}),
            f"{OUT}.containerSettings.m3u8Settings.videoPid",
        ),
        (jobs.hls(only_audio("_a") | {"AudioDescriptions": 2 * [jobs.aac()]}), f"{OUT}.audioDescriptions: packed"),
        (jobs.hls(muxed("_m", m3u8={"PmtPid": 481})), f"{OUT}.containerSettings.m3u8Settings.videoPid"),
        (
            jobs.hls(muxed("_m"), DirectoryStructure="SUBDIRECTORY_PER_STREAM", SegmentControl="SINGLE_FILE"),
            f"{OWN}.directoryStructure: ",
        ),
        (jobs.hls(muxed("_m"), MinFinalSegmentLength=2.5), f"{OWN}.minFinalSegmentLength: must be at least 1"),
        (jobs.hls(muxed("_m"), BaseUrl="https://a/ b"), f"{OWN}.baseUrl: "),
        (
            jobs.hls(muxed("_m"), AdditionalManifests=[{"ManifestNameModifier": "-x", "SelectedOutputs": ["_n"]}]),
            f"{OWN}.additionalManifests[0].selectedOutputs: no output of the group",
        ),
        (
            jobs.hls(muxed("_m"), AdditionalManifests=[{"ManifestNameModifier": "_m", "SelectedOutputs": ["_m"]}]),
            f"{OWN}.additionalManifests[0].manifestNameModifier: is that of another",
        ),
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
