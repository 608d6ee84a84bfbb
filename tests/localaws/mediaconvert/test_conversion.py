"""Real clips through plan, ffmpeg and the packager; ffprobe and ffmpeg's own decryption judge what came out."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

import mediaconvert_jobs as jobs
from localaws.media import jail
from localaws.media.failures import JobError
from mediaconvert_speke import Speke
from probed_media import ENCODE, PICTURE, ffprobe, film, key_frames_s, stream
from sample_media import ffmpeg

CLEARKEY = "e2719d58-a985-b3c9-781a-b030af78d30e"
Convert = Callable[[Path, dict[str, Any]], Any]


def frame_hashes(path: Path, key: bytes | None = None) -> list[str]:
    """A hash of every decoded frame or run of samples."""
    decryption = ["-decryption_key", key.hex()] if key else []
    command = [str(jail.binary("ffmpeg")), "-v", "fatal", *decryption, "-i", str(path), "-f", "framemd5", "-"]
    lines = subprocess.run(command, capture_output=True, text=True, timeout=60).stdout.splitlines()
    return [line.rpartition(",")[2].strip() for line in lines if not line.startswith("#")]


def joined(files: dict[str, Path], prefix: str, target: Path) -> Path:
    """Initialization and media segments in one file, as a player appends them."""
    names = [name for name in files if name == f"{prefix}init.{name.rpartition('.')[2]}"]
    names += sorted(name for name in files if re.fullmatch(re.escape(prefix) + r"_\d{9}\.\w+", name))
    target.write_bytes(b"".join(files[name].read_bytes() for name in names))
    return target


def secret(converted: Any, label: str) -> bytes:
    track = next(track for track in converted.keys[0].tracks if track.label == label)
    revealed: bytes = track.key.key.reveal()
    return revealed


LADDER = (jobs.video("_180", Height=180), jobs.video("_90", Height=90), jobs.audio("_a"))


@pytest.mark.parametrize("method", ["SAMPLE_AES", "AES_CTR"])
def test_encrypted_cmaf_decrypts_to_the_frames_that_were_encoded(
    method: str, tmp_path: Path, convert: Convert, speke: Speke
) -> None:
    protection = jobs.encryption(speke.url, method=method, systems=(CLEARKEY,))
    done = convert(film(tmp_path), jobs.settings(jobs.cmaf(*LADDER, Encryption=protection)))
    for label, prefix, number in (("VIDEO", "a/main_180", 0), ("VIDEO", "a/main_90", 1), ("AUDIO", "a/main_a", 2)):
        whole = joined(done.files, prefix, tmp_path / "joined.mp4")
        wanted = frame_hashes(done.encoded / f"g0o{number}.mp4")
        assert len(wanted) >= 50
        assert frame_hashes(whole, secret(done, label)) == wanted
        other = "AUDIO" if label == "VIDEO" else "VIDEO"
        assert frame_hashes(whole, secret(done, other)) != wanted
        # Nothing in the clear at the start: not one frame can be had without the key.
        assert not set(frame_hashes(whole)) & set(wanted)


def test_each_tier_has_a_key_that_opens_nothing_of_another(tmp_path: Path, convert: Convert, speke: Speke) -> None:
    """Each tier's tracks, and the manifests' signalling of each; the key of one tier does not decrypt the next."""
    contract = {"SpekeVideoPreset": "PRESET_VIDEO_2", "SpekeAudioPreset": "PRESET_AUDIO_2"}
    protection = jobs.encryption(speke.url, systems=(CLEARKEY,), EncryptionContractConfiguration=contract)
    ladder = (jobs.video("_hd", Width=1280, Height=720), jobs.video("_sd", Height=90), jobs.audio("_a"))
    done = convert(film(tmp_path, duration_s=1), jobs.settings(jobs.cmaf(*ladder, Encryption=protection)))
    tiers = {"a/main_hd": ("HD", 0), "a/main_sd": ("SD", 1), "a/main_a": ("STEREO_AUDIO", 2)}
    for prefix, (label, number) in tiers.items():
        whole = joined(done.files, prefix, tmp_path / "joined.mp4")
        wanted = frame_hashes(done.encoded / f"g0o{number}.mp4")
        assert frame_hashes(whole, secret(done, label)) == wanted
        for other in {tier for tier, _ in tiers.values()} - {label}:
            assert not set(frame_hashes(whole, secret(done, other))) & set(wanted)
    kids = {track.label: str(track.kid) for track in done.keys[0].tracks}
    signalled = {}
    for element in etree.fromstring(done.path("a/main.mpd").read_bytes()).iter("{*}AdaptationSet"):
        (kid,) = {one.get("{urn:mpeg:cenc:2013}default_KID") for one in element.iter("{*}ContentProtection")} - {None}
        for template in element.iter("{*}SegmentTemplate"):
            signalled[f"a/{template.get('initialization')}".removesuffix("init.cmfv").removesuffix("init.cmfa")] = kid
    assert signalled == {prefix: kids[label] for prefix, (label, _) in tiers.items()}


@pytest.mark.parametrize("method", ["SAMPLE_AES", "AES_CTR"])
def test_a_static_key_opens_everything_of_a_cmaf_group(method: str, tmp_path: Path, convert: Convert) -> None:
    key, iv = "00112233445566778899aabbccddeeff", "0f" * 16
    told = {"EncryptionMethod": method, "ConstantInitializationVector": iv, "StaticKeyProvider": {"KeyFormat": "a.b"}}
    protection = jobs.static_key("https://keys.example.com/1", key, **told)
    done = convert(film(tmp_path, duration_s=1), jobs.settings(jobs.cmaf(*LADDER, Encryption=protection)))
    for prefix, number in (("a/main_180", 0), ("a/main_a", 2)):
        whole = joined(done.files, prefix, tmp_path / "joined.mp4")
        wanted = frame_hashes(done.encoded / f"g0o{number}.mp4")
        assert frame_hashes(whole, bytes.fromhex(key)) == wanted
        assert not set(frame_hashes(whole, bytes.fromhex(key)[::-1])) & set(wanted)
    line = f'METHOD={method.replace("_", "-").replace("AES-CTR", "SAMPLE-AES-CTR")},URI="https://keys.example.com/1"'
    assert f'#EXT-X-KEY:{line},KEYFORMAT="a.b",IV=0x{iv}\n' in done.text("a/main_180.m3u8")
    protections = etree.fromstring(done.path("a/main.mpd").read_bytes()).findall(".//{*}ContentProtection")
    assert {one.get("schemeIdUri") for one in protections} == {"urn:mpeg:dash:mp4protection:2011"}


def test_a_clear_lead_is_as_long_as_the_job_says(tmp_path: Path, convert: Convert, speke: Speke) -> None:
    protection = jobs.encryption(speke.url, systems=(CLEARKEY,)) | {"ClearLeadSegments": 1}
    done = convert(film(tmp_path), jobs.settings(jobs.cmaf(*LADDER[:1], Encryption=protection)))
    whole = joined(done.files, "a/main_180", tmp_path / "joined.mp4")
    wanted = frame_hashes(done.encoded / "g0o0.mp4")
    clear = [one for one, other in zip(frame_hashes(whole), wanted, strict=False) if one == other]
    assert len(clear) == 50 and len(wanted) == 55
    assert frame_hashes(whole, secret(done, "VIDEO")) == wanted
    lines = done.text("a/main_180.m3u8").splitlines()
    (at,) = [number for number, line in enumerate(lines) if line.startswith("#EXT-X-KEY")]
    assert at > next(number for number, line in enumerate(lines) if line.startswith("#EXTINF"))


def test_no_key_is_left_on_disk(tmp_path: Path, convert: Convert, speke: Speke) -> None:
    protection = jobs.encryption(speke.url, systems=(CLEARKEY,))
    done = convert(film(tmp_path), jobs.settings(jobs.cmaf(*LADDER, Encryption=protection)))
    secrets = {secret(done, label) for label in ("VIDEO", "AUDIO")}
    for path in (path for path in tmp_path.rglob("*") if path.is_file()):
        content = path.read_bytes()
        for key in secrets:
            assert key not in content and key.hex().encode() not in content.lower(), path


def test_cmaf_names_and_manifests(tmp_path: Path, convert: Convert) -> None:
    done = convert(film(tmp_path), jobs.settings(jobs.cmaf(*LADDER)))
    assert set(done.files) == {
        "a/main.mpd", "a/main.m3u8", "a/main_180.m3u8", "a/main_90.m3u8", "a/main_a.m3u8",
        "a/main_180init.cmfv", "a/main_180_000000001.cmfv", "a/main_180_000000002.cmfv",
        "a/main_90init.cmfv", "a/main_90_000000001.cmfv", "a/main_90_000000002.cmfv",
        "a/main_ainit.cmfa", "a/main_a_000000001.cmfa", "a/main_a_000000002.cmfa",
    }  # fmt: skip
    mpd = etree.fromstring(done.path("a/main.mpd").read_bytes())
    templates = mpd.findall(".//{*}SegmentTemplate")
    assert {template.get("media") for template in templates} == {
        "main_180_$Number%09d$.cmfv", "main_90_$Number%09d$.cmfv", "main_a_$Number%09d$.cmfa",
    }  # fmt: skip
    assert mpd.get("type") == "static" and mpd.find(".//{*}SegmentTimeline") is not None
    multivariant = done.text("a/main.m3u8")
    assert "RESOLUTION=320x180" in multivariant and "main_180.m3u8" in multivariant and "DEFAULT=YES" in multivariant
    for playlist in ("a/main_180.m3u8", "a/main_a.m3u8"):
        for line in done.text(playlist).splitlines():
            if line and not line.startswith("#"):
                assert f"a/{line}" in done.files


def test_ugly_names_survive_in_manifests(tmp_path: Path, convert: Convert) -> None:
    settings = jobs.settings(
        jobs.cmaf(jobs.video("_1#,=$$", Height=90), destination="s3://media/o/"),
        uri="s3://source/inputs/ a+b % ü|'\".mov",
    )
    done = convert(film(tmp_path), settings)
    assert "o/ a+b % ü|'\"_1#,=$_000000001.cmfv" in done.files
    template = etree.fromstring(done.path("o/ a+b % ü|'\".mpd").read_bytes()).find(".//{*}SegmentTemplate")
    assert template.get("media") == "%20a+b%20%25%20%C3%BC%7C'%22_1%23,=$$_$Number%09d$.cmfv"


def test_key_frames_meet_in_all_renditions(tmp_path: Path, convert: Convert) -> None:
    done = convert(film(tmp_path, rate="30000/1001"), jobs.settings(jobs.cmaf(*LADDER)))
    first, second = (key_frames_s(done.encoded / f"g0o{number}.mp4") for number in (0, 1))
    assert first == second == pytest.approx([0, 1.001, 2.002])
    assert done.plan.groups[0].segment_s == Fraction(2002, 1000)
    whole = joined({name: path for name, path in done.files.items() if "000002" not in name}, "a/main_180",
                   tmp_path / "one.mp4")  # fmt: skip
    assert len(ffprobe(whole, "-show_entries", "packet=pts_time")["packets"]) == 60


def test_exact_segments_start_with_a_key_frame(tmp_path: Path, convert: Convert) -> None:
    video = jobs.video("_v", codec=jobs.h264(GopSize=2))
    done = convert(film(tmp_path, duration_s=5.5), jobs.settings(jobs.cmaf(video, SegmentLength=3)))
    assert key_frames_s(done.encoded / "g0o0.mp4") == pytest.approx([0, 2, 3, 5])
    assert [name for name in done.files if name.endswith(".cmfv")] == [
        "a/main_v_000000001.cmfv", "a/main_v_000000002.cmfv", "a/main_vinit.cmfv",
    ]  # fmt: skip


def test_dash_iso_segmented_and_encrypted(tmp_path: Path, convert: Convert, speke: Speke) -> None:
    provider = jobs.encryption(speke.url, systems=(CLEARKEY,))["SpekeKeyProvider"]
    provider["SystemIds"] = provider.pop("DashSignaledSystemIds")
    del provider["HlsSignaledSystemIds"]
    outputs = (jobs.video("_v", container="MPD", Height=90), jobs.audio("_a", container="MPD"))
    protection = {"SpekeKeyProvider": provider, "PlaybackDeviceCompatibility": "UNENCRYPTED_SEI"}
    done = convert(film(tmp_path), jobs.settings(jobs.dash(*outputs, Encryption=protection)))
    assert {"d/dash.mpd", "d/dash_vinit.mp4", "d/dash_v_000000001.mp4", "d/dash_a_000000002.mp4"} <= set(done.files)
    assert not [name for name in done.files if name.endswith(".m3u8")]
    whole = joined(done.files, "d/dash_v", tmp_path / "joined.mp4")
    assert frame_hashes(whole, secret(done, "VIDEO")) == frame_hashes(done.encoded / "g0o0.mp4")
    # What the encoder says of itself is SEI.
    assert b"x264 - core" in (done.encoded / "g0o0.mp4").read_bytes() and b"x264 - core" in whole.read_bytes()
    protections = etree.fromstring(done.path("d/dash.mpd").read_bytes()).findall(".//{*}ContentProtection")
    assert [one.get("value") for one in protections if "mp4protection" in one.get("schemeIdUri")] == ["cenc", "cenc"]


def test_dash_iso_single_file(tmp_path: Path, convert: Convert) -> None:
    outputs = (jobs.video("_v", container="MPD", Height=90), jobs.audio("_a", container="MPD"))
    group = jobs.dash(*outputs, SegmentControl="SINGLE_FILE", MpdProfile="ON_DEMAND_PROFILE")
    done = convert(film(tmp_path), jobs.settings(group))
    assert set(done.files) == {"d/dash.mpd", "d/dash_v.mp4", "d/dash_a.mp4"}
    mpd = etree.fromstring(done.path("d/dash.mpd").read_bytes())
    assert {base.text for base in mpd.findall(".//{*}BaseURL")} == {"dash_v.mp4", "dash_a.mp4"}
    assert "isoff-on-demand" in mpd.get("profiles")
    assert frame_hashes(done.path("d/dash_v.mp4")) == frame_hashes(done.encoded / "g0o0.mp4")


def test_file_group_with_sound_and_captured_frames(tmp_path: Path, convert: Convert) -> None:
    muxed = {**jobs.video("_$h$p", container="MP4", Height=90), "AudioDescriptions": [jobs.aac()]}
    settings = jobs.settings(
        jobs.file(muxed, jobs.audio("_sound", container="MP4")),
        jobs.file(jobs.frames(height=60, rate=(2, 1), most=3), destination="s3://media/p/poster"),
    )
    done = convert(film(tmp_path), settings)
    pictures = [f"p/poster.000000{number}.jpg" for number in range(3)]
    assert set(done.files) == {"f/film_90p.mp4", "f/film_sound.mp4", *pictures}
    streams = ffprobe(done.path("f/film_90p.mp4"), "-show_streams")["streams"]
    assert [one["codec_name"] for one in streams] == ["h264", "aac"]
    head = done.path("f/film_90p.mp4").read_bytes()
    assert head.index(b"moov") < head.index(b"mdat")
    assert [one["codec_name"] for one in ffprobe(done.path("f/film_sound.mp4"), "-show_streams")["streams"]] == ["aac"]
    for picture in pictures:
        found = stream(done.path(picture))
        assert (found["codec_name"], found["height"]) == ("mjpeg", 60)
    assert len({done.path(picture).read_bytes() for picture in pictures}) == 3
    assert done.facts["g0o0"][0] == pytest.approx(2200, abs=60)


@pytest.mark.parametrize(
    ("size", "asked", "wanted"),
    [
        ("321x181", {}, (320, 180)),
        ("320x180", {"Width": 160, "Height": 160}, (160, 160)),
        ("180x320", {"Height": 160}, (90, 160)),
    ],
)
def test_odd_and_portrait_sizes(
    size: str, asked: dict[str, int], wanted: tuple[int, int], tmp_path: Path, convert: Convert
) -> None:
    clip = film(tmp_path, "-pix_fmt", "yuv444p", size=size, sound=None)
    done = convert(clip, jobs.settings(jobs.cmaf(jobs.video("_v", **asked))))
    found = stream(done.encoded / "g0o0.mp4")
    assert (found["width"], found["height"], found["pix_fmt"]) == (*wanted, "yuv420p")


def corner_is_white(path: Path, right: bool, bottom: bool) -> bool:
    crop = f"crop=8:8:{'in_w-8' if right else 0}:{'in_h-8' if bottom else 0},scale=1:1,format=gray"
    command = [str(jail.binary("ffmpeg")), "-v", "error", "-i", str(path), "-frames:v", "1", "-vf", crop]
    pixel = subprocess.run([*command, "-f", "rawvideo", "-"], capture_output=True, check=True, timeout=60).stdout
    return pixel[0] > 128


@pytest.mark.parametrize(
    ("rotate", "size", "right", "bottom"),
    [
        ("AUTO", (90, 160), True, False),
        ("DEGREE_0", (160, 90), False, False),
        ("DEGREES_90", (90, 160), True, False),
        ("DEGREES_180", (160, 90), True, True),
        ("DEGREES_270", (90, 160), False, True),
    ],
)
def test_rotation(
    rotate: str, size: tuple[int, int], right: bool, bottom: bool, tmp_path: Path, convert: Convert
) -> None:
    """The coded picture has a white upper left corner and metadata that turns it by 90 degrees clockwise."""
    box = "color=black:size=160x90:rate=25:duration=1,drawbox=0:0:16:16:white:fill"
    flat = ffmpeg(tmp_path / "flat.mp4", *PICTURE, box, *ENCODE)
    turned = ffmpeg(tmp_path / "turned.mp4", "-display_rotation", "-90", "-i", str(flat), "-c", "copy")
    done = convert(turned, jobs.settings(jobs.cmaf(jobs.video("_v")), VideoSelector={"Rotate": rotate}))
    path = done.encoded / "g0o0.mp4"
    found = stream(path)
    assert (found["width"], found["height"]) == size
    assert not found.get("side_data_list"), "rotation metadata must not pass through"
    corners = {(r, b) for r in (False, True) for b in (False, True) if corner_is_white(path, r, b)}
    assert corners == {(right, bottom)}


@pytest.mark.parametrize(("sound", "mode", "channels"), [
    (1, "CODING_MODE_2_0", 2), (6, "CODING_MODE_5_1", 6), (6, "CODING_MODE_2_0", 2), (1, "CODING_MODE_AUTO", 1),
    (2, "CODING_MODE_1_0", 1),
])  # fmt: skip
def test_channels(sound: int, mode: str, channels: int, tmp_path: Path, convert: Convert) -> None:
    audio = jobs.audio("_a", CodingMode=mode, SampleRate=44_100)
    done = convert(film(tmp_path, sound=sound), jobs.settings(jobs.cmaf(audio)))
    found = stream(done.encoded / "g0o0.mp4")
    assert (found["channels"], found["sample_rate"], found["profile"]) == (channels, "44100", "LC")


def test_no_audio(tmp_path: Path, convert: Convert) -> None:
    done = convert(film(tmp_path, sound=None), jobs.settings(jobs.cmaf(jobs.video("_v"))))
    assert "a/main_v_000000001.cmfv" in done.files
    assert "EXT-X-MEDIA:" not in done.text("a/main.m3u8")


def test_variable_frame_rate_becomes_constant(tmp_path: Path, convert: Convert) -> None:
    dropping = ("-vf", "select=not(between(mod(n\\,10)\\,3\\,6))", "-fps_mode", "vfr")
    done = convert(film(tmp_path, *dropping), jobs.settings(jobs.cmaf(*LADDER)))
    packets = ffprobe(done.encoded / "g0o0.mp4", "-show_entries", "packet=duration_time")["packets"]
    assert len({packet["duration_time"] for packet in packets}) == 1
    assert key_frames_s(done.encoded / "g0o0.mp4") == key_frames_s(done.encoded / "g0o1.mp4")
    assert done.facts["g0o0"][0] == pytest.approx(2200, abs=150)


def test_sound_that_begins_late_stays_in_time(tmp_path: Path, convert: Convert) -> None:
    clip = film(tmp_path)
    late = ffmpeg(tmp_path / "late.mkv", "-i", str(clip), "-itsoffset", "0.5", "-i", str(clip),
                  "-map", "0:v", "-map", "1:a", "-c", "copy")  # fmt: skip
    done = convert(late, jobs.settings(jobs.cmaf(*LADDER)))
    command = [str(jail.binary("ffmpeg")), "-v", "info", "-i", str(done.encoded / "g0o2.mp4"), "-af"]
    told = subprocess.run([*command, "silencedetect=n=-40dB:d=0.2", "-f", "null", "-"], capture_output=True, text=True,
                          timeout=60, check=True).stderr  # fmt: skip
    ends = re.findall(r"silence_end: ([\d.]+)", told)
    assert float(ends[0]) == pytest.approx(0.5, abs=0.06)


def test_sound_that_begins_late_in_several_outputs_of_the_larger_ffmpeg(tmp_path: Path, convert: Convert) -> None:
    late = ffmpeg(tmp_path / "late.mp4", *PICTURE, "testsrc2=size=160x90:rate=25:duration=1.2", "-itsoffset", "0.378",
                  *PICTURE, "sine=frequency=440:duration=0.7", *ENCODE)  # fmt: skip
    vorbis = {"CodecSettings": {"Codec": "VORBIS", "VorbisSettings": {}}}
    sounds = [jobs.audio(f"_{number}", container="MP4") for number in range(3)]
    webm = {"NameModifier": "_w", "ContainerSettings": {"Container": "WEBM"}, "AudioDescriptions": [vorbis]}
    done = convert(late, jobs.settings(jobs.file(jobs.video("_v", container="MP4"), *sounds, webm)))
    lengths = [float(ffprobe(path, "-show_format")["format"]["duration"]) for path in done.files.values()]
    assert lengths == pytest.approx([1.2, 1.1, 1.1, 1.1, 1.1], abs=0.06)


def test_bitrates_are_kept(tmp_path: Path, convert: Convert) -> None:
    noise = ("-vf", "noise=alls=60:allf=t")
    codec = jobs.h264(RateControlMode="CBR", Bitrate=400_000, MaxBitrate=None, CodecProfile="BASELINE")
    done = convert(film(tmp_path, *noise, duration_s=8), jobs.settings(jobs.cmaf(jobs.video("_v", codec=codec))))
    duration_ms, size = done.facts["g0o0"]
    assert size * 8000 / duration_ms == pytest.approx(400_000, rel=0.1)
    found = stream(done.encoded / "g0o0.mp4")
    assert found["profile"] in ("Constrained Baseline", "Baseline") and found["has_b_frames"] == 0


def test_a_packager_that_fails_ends_with_a_sentence(tmp_path: Path, convert: Convert, speke: Speke) -> None:
    protection = jobs.encryption(speke.url, systems=(CLEARKEY,)) | {"ConstantInitializationVector": "zz" * 16}
    with pytest.raises(JobError, match="packaging failed") as raised:
        convert(film(tmp_path), jobs.settings(jobs.cmaf(*LADDER, Encryption=protection)))
    assert raised.value.code == 1999
