"""Microsoft Smooth Streaming groups: names, manifests that name what is there, files that ffprobe and ffmpeg decode."""

from __future__ import annotations

import base64
import subprocess
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

import mediaconvert_jobs as jobs
from localaws.media import jail
from localaws.media.failures import JobError, SettingRefused
from localaws.mediaconvert import state_events
from mediaconvert_speke import CONTENT_KEYS, Speke
from penstock.formats import cpix, speke_v1, ttml
from penstock.formats.isobmff import PLAYREADY
from penstock.keys import answer_speke_v1
from probed_media import bilingual, ffprobe, film

Convert = Callable[..., Any]
SMIL = "{http://www.w3.org/2001/SMIL20/Language}"


def both(modifier: str, **description: Any) -> dict[str, Any]:
    """An output with picture and sound."""
    return {**jobs.video(modifier, container="ISMV", **description), "AudioDescriptions": [jobs.aac()]}


def alone(kind: Callable[..., dict[str, Any]], modifier: str, **members: Any) -> dict[str, Any]:
    return kind(modifier, container="ISMV", **members)


LADDER = (alone(jobs.video, "_180", Height=180), alone(jobs.video, "_90", Height=90), alone(jobs.audio, "_a"))


def hashes(path: Path, stream: str, key: bytes | None = None) -> list[str]:
    """A hash of every decoded frame, or run of samples, of one stream."""
    decryption = ["-decryption_key", key.hex()] if key else []
    command = [str(jail.binary("ffmpeg")), "-v", "fatal", *decryption, "-i", str(path), "-map", stream]
    command += ["-fps_mode", "passthrough", "-f", "framemd5", "-"]
    lines = subprocess.run(command, capture_output=True, text=True, timeout=60).stdout.splitlines()
    return [line.rpartition(",")[2].strip() for line in lines if not line.startswith("#")]


def same(found: list[str], wanted: list[str]) -> bool:
    """Whether all is there. Edit lists, which Smooth Streaming has not, cut sound at its ends in what was encoded."""
    return len(wanted) > 20 and (found == wanted or found[1 : len(wanted)] == wanted[:-1])


def test_names_manifests_and_files_of_a_ladder(tmp_path: Path, convert: Convert) -> None:
    done = convert(film(tmp_path, "-metadata:s:a:0", "language=eng"), jobs.settings(jobs.smooth(*LADDER)))
    files = ["s/smooth_180.ismv", "s/smooth_90.ismv", "s/smooth_a.ismv"]
    assert set(done.files) == {"s/smooth.ism", "s/smooth.ismc", *files}
    server = etree.fromstring(done.path("s/smooth.ism").read_bytes())
    assert server.find(f".//{SMIL}meta").get("content") == "smooth.ismc"
    named = [(one.get("src"), one.get("systemLanguage")) for one in server.find(f".//{SMIL}switch")]
    assert named == [("smooth_180.ismv", None), ("smooth_90.ismv", None), ("smooth_a.ismv", "eng")]
    client = etree.fromstring(done.path("s/smooth.ismc").read_bytes())
    pictures, sound = client.findall("StreamIndex")
    assert [level.get("MaxHeight") for level in pictures.findall("QualityLevel")] == ["180", "90"]
    rates = [level.get("Bitrate") for level in client.iter("QualityLevel")]
    assert rates == [one.get("systemBitrate") for one in server.find(f".//{SMIL}switch")]
    assert [int(c.get("d")) for c in pictures.findall("c")] == [10_000_000, 10_000_000, 2_000_000]
    assert sound.get("Language") == "eng"
    for number, name in enumerate(files):
        stream = "0:a:0" if name.endswith("_a.ismv") else "0:v:0"
        assert same(hashes(done.path(name), stream), hashes(done.encoded / f"g0o{number}.mp4", stream)), name


def test_pictures_and_sound_begin_together(tmp_path: Path, convert: Convert) -> None:
    """Without edit lists: pictures that wait for reordering make the sound wait as long."""
    codec = jobs.h264(NumberBFramesBetweenReferenceFrames=2, DynamicSubGop="STATIC")
    done = convert(film(tmp_path), jobs.settings(jobs.smooth(both("_v", Height=90, codec=codec))))
    packets = ffprobe(done.path("s/smooth_v.ismv"), "-show_entries", "packet=codec_type,pts_time,flags")["packets"]
    first = {kind: min(float(one["pts_time"]) for one in packets if one["codec_type"] == kind)
             for kind in ("video", "audio")}  # fmt: skip
    # The encoder's first frame of sound, which the encoded file's edit list skips, comes before the first picture.
    assert first["video"] == pytest.approx(first["audio"] + 1024 / 48000, abs=0.001)
    assert first["video"] == pytest.approx(2 / 25, abs=0.001)


@pytest.mark.parametrize(("mode", "streams"), [("NONE", 2), ("COMBINE_DUPLICATE_STREAMS", 1)])
def test_sound_that_several_outputs_have_is_combined_when_asked(
    mode: str, streams: int, tmp_path: Path, convert: Convert
) -> None:
    additional = [{"ManifestNameModifier": "-small", "SelectedOutputs": ["_90"]}]
    ladder = (both("_180", Height=180), both("_90", Height=90))
    group = jobs.smooth(*ladder, AudioDeduplication=mode, AdditionalManifests=additional)
    done = convert(film(tmp_path, duration_s=1), jobs.settings(group))
    client = etree.fromstring(done.path("s/smooth.ismc").read_bytes())
    assert len(client.findall("StreamIndex[@Type='audio']")) == streams
    small = etree.fromstring(done.path("s/smooth-small.ism").read_bytes())
    sound = small.findall(f".//{SMIL}audio")
    assert [one.get("src") for one in sound] == ["smooth_180.ismv" if streams == 1 else "smooth_90.ismv"]
    kinds = [one["codec_type"] for one in ffprobe(done.path("s/smooth_90.ismv"), "-show_streams")["streams"]]
    assert kinds == ["video", "audio"][:streams]


def test_several_tracks_of_sound_are_streams_in_the_file_of_their_output(tmp_path: Path, convert: Convert) -> None:
    described, selectors = jobs.tracks(2)
    group = jobs.smooth({**both("_v", Height=90), "AudioDescriptions": described})
    done = convert(bilingual(tmp_path), jobs.settings(group, AudioSelectors=selectors))
    assert set(done.files) == {"s/smooth.ism", "s/smooth.ismc", "s/smooth_v.ismv"}
    client = etree.fromstring(done.path("s/smooth.ismc").read_bytes())
    told = [(one.get("Type"), one.get("Language")) for one in client.findall("StreamIndex")]
    assert told == [("video", None), ("audio", "eng"), ("audio", "deu")]
    server = etree.fromstring(done.path("s/smooth.ism").read_bytes())
    switch = server.find(f".//{SMIL}switch")
    ids = [one.find(f"{SMIL}param[@name='trackID']").get("value") for one in switch]
    assert ids == ["1", "2", "3"] and {one.get("src") for one in switch} == {"smooth_v.ismv"}
    heard = [hashes(done.path("s/smooth_v.ismv"), f"0:a:{number}") for number in range(2)]
    encoded = [hashes(done.encoded / "g0o0.mp4", f"0:a:{number}") for number in range(2)]
    assert all(same(*pair) for pair in zip(heard, encoded, strict=True)) and heard[0][:20] != heard[1][:20]


def test_manifests_in_utf_16_and_additional_ones(tmp_path: Path, convert: Convert) -> None:
    additional = [{"ManifestNameModifier": "-small", "SelectedOutputs": ["_90", "_a"]}]
    group = jobs.smooth(*LADDER, ManifestEncoding="UTF16", AdditionalManifests=additional)
    done = convert(film(tmp_path, duration_s=1), jobs.settings(group))
    assert {"s/smooth-small.ism", "s/smooth-small.ismc"} <= set(done.files)
    for name in ("s/smooth.ism", "s/smooth.ismc", "s/smooth-small.ismc"):
        assert done.path(name).read_bytes().startswith(b"\xff\xfe")
    small = etree.fromstring(done.path("s/smooth-small.ismc").read_bytes())
    assert [level.get("MaxHeight") for level in small.iter("QualityLevel")] == ["90", None]
    server = etree.fromstring(done.path("s/smooth-small.ism").read_bytes())
    assert server.find(f".//{SMIL}meta").get("content") == "smooth-small.ismc"


def test_playready_is_signalled_and_decrypts_to_the_frames_that_were_encoded(
    tmp_path: Path, convert: Convert, speke: Speke
) -> None:
    provider = jobs.encryption(speke.url)["SpekeKeyProvider"] | {"SystemIds": [str(PLAYREADY)]}
    del provider["DashSignaledSystemIds"], provider["HlsSignaledSystemIds"]
    done = convert(film(tmp_path), jobs.settings(jobs.smooth(*LADDER, Encryption={"SpekeKeyProvider": provider})))
    [asked] = {one.smooth_header for one in cpix.parse(speke.requests[0][1]).drm_systems}
    assert asked == ""
    client = etree.fromstring(done.path("s/smooth.ismc").read_bytes())
    headers = [base64.b64decode(one.text) for one in client.iter("ProtectionHeader")]
    sent = {system.smooth_header for track in done.keys[0].tracks for system in track.systems}
    assert {base64.b64encode(header).decode() for header in headers} == sent
    for name, number, label in (("_180", 0, "VIDEO"), ("_a", 2, "AUDIO")):
        path = done.path(f"s/smooth{name}.ismv")
        content = path.read_bytes()
        assert b"piff" in content and all(header in content for header in headers)
        # ffmpeg decrypts by the name of common encryption alone; the bytes are the same.
        copy = tmp_path / "copy.mp4"
        copy.write_bytes(content.replace(b"schm\0\0\0\0piff", b"schm\0\0\0\0cenc"))
        stream = "0:v:0" if label == "VIDEO" else "0:a:0"
        wanted = hashes(done.encoded / f"g0o{number}.mp4", stream)
        keys = {track.label: track.key.key.reveal() for track in done.keys[0].tracks}
        assert same(hashes(copy, stream, keys[label]), wanted)
        assert not set(hashes(copy, stream, keys["AUDIO" if label == "VIDEO" else "VIDEO"])) & set(wanted)


def test_speke_v1_sends_one_key_and_one_protection_header(tmp_path: Path, convert: Convert, speke: Speke) -> None:
    speke.answer = lambda body: (200, answer_speke_v1(body, CONTENT_KEYS))
    provider = {"Url": speke.url, "ResourceId": "asset-1", "SystemIds": [str(PLAYREADY)]}
    group = jobs.smooth(both("_v", Height=90), Encryption={"SpekeKeyProvider": provider})
    done = convert(film(tmp_path, duration_s=1), jobs.settings(group))
    [asked] = speke_v1.parse(speke.requests[0][1]).drm_systems
    assert asked.protection_header == b"" and asked.content_protection_data is None
    [header] = etree.fromstring(done.path("s/smooth.ismc").read_bytes()).iter("ProtectionHeader")
    [track] = done.keys[0].tracks
    content = done.path("s/smooth_v.ismv").read_bytes()
    assert base64.b64decode(header.text) in content and track.kid.raw in content


def test_the_event_names_the_manifest_and_each_file() -> None:
    [group] = jobs.planned(jobs.settings(jobs.smooth(*LADDER))).groups
    details = state_events.group_details(group, {output.label: (1000, 5000) for output in group.outputs}, [])
    assert details["type"] == "MS_SMOOTH_GROUP"
    assert details["playlistFilePaths"] == ["s3://media/s/smooth.ism"]
    assert [one["outputFilePaths"] for one in details["outputDetails"]] == [
        ["s3://media/s/smooth_180.ismv"], ["s3://media/s/smooth_90.ismv"], ["s3://media/s/smooth_a.ismv"],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("control", "gop_s", "fragment_s"), [("EXACT", 2, 3), ("GOP_MULTIPLE", 2, 4), ("GOP_MULTIPLE", 3, 3)]
)
def test_fragments_are_as_long_as_asked_or_whole_gops(control: str, gop_s: int, fragment_s: int) -> None:
    output = alone(jobs.video, "_v", Height=90, codec=jobs.h264(GopSize=gop_s))
    group = jobs.smooth(output, FragmentLength=3, FragmentLengthControl=control)
    [planned] = jobs.planned(jobs.settings(group)).groups
    assert (planned.segment_s, planned.fragment_s) == (fragment_s, fragment_s)


@pytest.mark.parametrize(
    ("members", "told"),
    [
        ({"AdditionalManifests": [{"SelectedOutputs": ["_90"]}]}, "additionalManifests[0].manifestNameModifier"),
        ({"AdditionalManifests": [{"ManifestNameModifier": "x"}]}, "additionalManifests[0].selectedOutputs"),
        (
            {"AdditionalManifests": [{"ManifestNameModifier": "x", "SelectedOutputs": ["_nix"]}]},
            "no output of the group has the nameModifier '_nix'",
        ),
        (
            {
                "Encryption": {
                    "SpekeKeyProvider": {
                        "Url": "https://keys.example/",
                        "ResourceId": "a",
                        "SystemIds": ["edef8ba9-79d6-4ace-a3c8-27dcd51d21ed"],
                    }
                }
            },
            "PlayReady alone",
        ),
    ],
)
def test_what_contradicts_itself_is_refused_by_path(members: dict[str, Any], told: str) -> None:
    with pytest.raises((SettingRefused, JobError)) as refused:
        jobs.planned(jobs.settings(jobs.smooth(*LADDER, **members)))
    assert told in str(refused.value)


def test_codecs_that_smooth_streaming_does_not_know_are_refused() -> None:
    av1 = {"Codec": "AV1", "Av1Settings": {"RateControlMode": "QVBR", "MaxBitrate": 500_000}}
    with pytest.raises(SettingRefused, match="ISMV does not hold AV1"):
        jobs.planned(jobs.settings(jobs.smooth(alone(jobs.video, "_v", codec=av1))))


def test_captions_are_a_text_stream_with_a_file_of_its_own(tmp_path: Path, convert: Convert) -> None:
    (tmp_path / "said").write_text("1\n00:00:00,500 --> 00:00:01,500\n<i>One</i> & only\n")
    source = {"SourceType": "SRT", "FileSourceSettings": {"SourceFile": "s3://source/said.srt"}}
    destination = {"DestinationType": "TTML", "TtmlDestinationSettings": {"StylePassthrough": "ENABLED"}}
    described = {"CaptionSelectorName": "said", "LanguageCode": "DEU", "DestinationSettings": destination}
    captions = {"NameModifier": "_de", "CaptionDescriptions": [described]}
    settings = jobs.settings(
        jobs.smooth(both("_v"), captions, FragmentLength=1), CaptionSelectors={"said": {"SourceSettings": source}}
    )
    done = convert(film(tmp_path), settings, tmp_path / "said")
    assert {"s/smooth_v.ismv", "s/smooth_de.ismt", "s/smooth.ism", "s/smooth.ismc"} == set(done.files)
    client = etree.parse(done.path("s/smooth.ismc"))
    (stream,) = [one for one in client.iter("StreamIndex") if one.get("Type") == "text"]
    (pictures,) = [one for one in client.iter("StreamIndex") if one.get("Type") == "video"]
    assert (stream.get("Subtype"), stream.get("Language")) == ("SUBT", "deu")
    assert [dict(c.attrib) for c in stream.iter("c")] == [dict(c.attrib) for c in pictures.iter("c")]
    (text,) = etree.parse(done.path("s/smooth.ism")).iter("{*}textstream")
    assert (text.get("src"), text.get("systemLanguage")) == ("smooth_de.ismt", "deu")
    told = ffprobe(done.path("s/smooth_de.ismt"), "-show_streams", "-show_packets")
    assert told["streams"][0]["codec_tag_string"] == "stpp" and told["streams"][0]["tags"]["language"] == "deu"
    assert len(told["packets"]) == len(list(stream.iter("c")))
    content = done.path("s/smooth_de.ismt").read_bytes()
    documents = [content[at:].partition(b"</tt>")[0] + b"</tt>" for at in _places(content, b"<?xml")]
    cues = [[(cue.start_s, cue.end_s, cue.text) for cue in ttml.parse_ttml(one, styled=True)] for one in documents]
    # Each document counts from the beginning of its fragment.
    lead_s = Fraction(int(next(pictures.iter("c")).get("t", "0")), 10_000_000)
    assert lead_s < 0.2 and [len(told) for told in cues[:2]] == [1, 1]
    assert cues[0][0][2] == cues[1][0][2] == "<i>One</i> & only" and cues[1][0][0] == 0


def _places(content: bytes, wanted: bytes) -> list[int]:
    found, at = [], content.find(wanted)
    while at >= 0:
        found.append(at)
        at = content.find(wanted, at + 1)
    return found
