"""File groups: each container, each codec of sound in it, and what does not belong together."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import mediaconvert_jobs as jobs
from localaws.media.failures import SettingRefused
from localaws.mediaconvert.answers import table as settings_table
from localaws.mediaconvert.settings import request
from mediaconvert_jobs import planned
from probed_media import ffprobe, film

Convert = Callable[[Path, dict[str, Any]], Any]


def sound(codec: str, **members: Any) -> dict[str, Any]:
    member = codec.title() + "Settings"
    return {"CodecSettings": {"Codec": codec, member: members}}


def alone(modifier: str, container: str, *audios: dict[str, Any], **settings: Any) -> dict[str, Any]:
    """An output with sound and no pictures."""
    return {
        "NameModifier": modifier,
        "ContainerSettings": {"Container": container, **settings},
        "AudioDescriptions": list(audios),
    }


def muxed(modifier: str, container: str, codec: dict[str, Any], audio: dict[str, Any], **settings: Any) -> Any:
    output = jobs.video(modifier, codec=codec, Height=90)
    return {**output, **alone(modifier, container, audio, **settings)}


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return film(tmp_path_factory.mktemp("clip"), duration_s=1.2)


def probed(done: Any) -> dict[str, tuple[str, list[str], float]]:
    """Object key -> format, codecs and duration in seconds."""
    found = {}
    for key, path in done.files.items():
        told = ffprobe(path, "-show_entries", "format=format_name,duration:stream=codec_name")
        codecs = [one["codec_name"] for one in told["streams"]]
        found[key.removeprefix("f/film_")] = (told["format"]["format_name"], codecs, float(told["format"]["duration"]))
    return found


H265 = {"Codec": "H_265", "H265Settings": {"RateControlMode": "QVBR", "MaxBitrate": 400_000}}
VP9 = {"Codec": "VP9", "Vp9Settings": {"Bitrate": 300_000}}


def test_containers_with_their_default_extensions(clip: Path, convert: Convert) -> None:
    done = convert(clip, jobs.settings(jobs.file(
        muxed("_a", "MOV", H265, sound("WAV", BitDepth=24)),
        muxed("_b", "M2TS", jobs.h264(), sound("AC3")),
        muxed("_c", "WEBM", VP9, sound("OPUS")),
        muxed("_d", "MP4", jobs.h264(), sound("EAC3")),
        muxed("_e", "MXF", jobs.h264(), sound("WAV")),
    )))  # fmt: skip
    found = probed(done)
    assert {name: value[:2] for name, value in found.items()} == {
        "a.mov": ("mov,mp4,m4a,3gp,3g2,mj2", ["hevc", "pcm_s24le"]),
        "b.m2ts": ("mpegts", ["h264", "ac3"]),
        "c.webm": ("matroska,webm", ["vp9", "opus"]),
        "d.mp4": ("mov,mp4,m4a,3gp,3g2,mj2", ["h264", "eac3"]),
        "e.mxf": ("mxf", ["h264", "pcm_s16le"]),
    }
    for name, (_, _, duration_s) in found.items():
        assert duration_s == pytest.approx(1.2, abs=0.1), name
    for output in done.plan.outputs():
        assert done.facts[output.label][0] == pytest.approx(1200, abs=60), output.extension


def test_sound_alone_in_its_own_format(clip: Path, convert: Convert) -> None:
    done = convert(clip, jobs.settings(jobs.file(
        alone("_a", "RAW", sound("WAV")), alone("_b", "RAW", sound("AIFF", BitDepth=24)),
        alone("_c", "RAW", sound("FLAC", BitDepth=24)),
        alone("_d", "RAW", sound("MP3", RateControlMode="VBR", VbrQuality=4)),
        alone("_e", "RAW", sound("AC3")), alone("_f", "RAW", sound("EAC3")), alone("_g", "RAW", jobs.aac()),
        alone("_h", "RAW", sound("MP2")), alone("_i", "OGG", sound("OPUS")), alone("_j", "OGG", sound("FLAC")),
        alone("_n", "OGG", sound("VORBIS", VbrQuality=2)),
        jobs.video("_k", container="RAW", Height=90), jobs.video("_l", container="RAW", codec=H265, Height=90),
        alone("_m", "RAW", sound("WAV", Format="RF64", SampleRate=44_100, Channels=1)),
    )))  # fmt: skip
    codecs = {
        key.removeprefix("f/film_"): ffprobe(path, "-show_streams")["streams"] for key, path in done.files.items()
    }
    assert {name: [one["codec_name"] for one in found] for name, found in codecs.items()} == {
        "a.wav": ["pcm_s16le"], "b.aiff": ["pcm_s24be"], "c.flac": ["flac"], "d.mp3": ["mp3"], "e.ac3": ["ac3"],
        "f.eac3": ["eac3"], "g.aac": ["aac"], "h.mp2": ["mp2"], "i.ogg": ["opus"], "j.ogg": ["flac"],
        "k.h264": ["h264"], "l.h265": ["hevc"], "m.wav": ["pcm_s16le"], "n.ogg": ["vorbis"],
    }  # fmt: skip
    assert codecs["c.flac"][0]["bits_per_raw_sample"] == "24"
    assert (codecs["m.wav"][0]["sample_rate"], codecs["m.wav"][0]["channels"]) == ("44100", 1)
    assert (
        done.path("f/film_m.wav").read_bytes()[:4] == b"RF64" and done.path("f/film_a.wav").read_bytes()[:4] == b"RIFF"
    )
    for output in done.plan.outputs():
        assert done.facts[output.label][0] == pytest.approx(1200, abs=60), output.extension


def test_identifiers_and_clock_of_a_transport_stream(clip: Path, convert: Convert) -> None:
    m2ts = {
        "VideoPid": 100, "AudioPids": [101], "PmtPid": 99, "ProgramNumber": 7, "TransportStreamId": 9,
        "PtsOffsetMode": "SECONDS", "PtsOffset": 10, "RateMode": "CBR", "Bitrate": 2_000_000,
    }  # fmt: skip
    done = convert(clip, jobs.settings(jobs.file(
        muxed("_a", "M2TS", jobs.h264(), sound("AAC"), M2tsSettings=m2ts)
    )))  # fmt: skip
    path = done.path("f/film_a.m2ts")
    told = ffprobe(path, "-show_programs", "-show_streams")
    assert [int(one["id"], 16) for one in told["streams"]] == [100, 101]
    assert (told["programs"][0]["program_id"], told["programs"][0]["pmt_pid"]) == (7, 99)
    assert float(told["streams"][0]["start_time"]) == pytest.approx(10, abs=0.1)
    assert path.stat().st_size * 8 / 1.2 == pytest.approx(2_000_000, rel=0.1)
    first = path.read_bytes()[: 188 * 40]
    table = next(
        first[at + 5 :] for at in range(0, len(first), 188) if first[at + 1] & 0x1F == 0 and first[at + 2] == 0
    )
    assert int.from_bytes(table[3:5], "big") == 9


def test_what_dolby_streams_say_of_themselves(clip: Path, convert: Convert) -> None:
    done = convert(clip, jobs.settings(jobs.file(
        alone("_a", "RAW", sound("AC3", Dialnorm=20, CodingMode="CODING_MODE_3_2_LFE", Bitrate=448_000)),
        alone("_b", "RAW", sound("EAC3", CodingMode="CODING_MODE_3_2", LfeControl="NO_LFE", StereoDownmix="LO_RO")),
    )))  # fmt: skip
    ac3 = done.path("f/film_a.ac3").read_bytes()
    # A/52, 5.4.2: after the sync information come bsid, bsmod, acmod, two mix levels, lfeon, dialnorm.
    bits = f"{int.from_bytes(ac3[5:10], 'big'):040b}"
    acmod = int(bits[8:11], 2)
    assert acmod == 7 and bits[15] == "1" and int(bits[16:21], 2) == 20
    told = ffprobe(done.path("f/film_a.ac3"), "-show_streams")["streams"][0]
    assert (told["channel_layout"], told["bit_rate"]) == ("5.1(side)", "448000")
    assert ffprobe(done.path("f/film_b.eac3"), "-show_streams")["streams"][0]["channel_layout"].startswith("5.0")


def test_the_width_of_sound_follows_the_source_where_nothing_is_said() -> None:
    cases = (
        ("MOV", sound("WAV", Channels=0), 4), ("OGG", sound("OPUS", Channels=0), 2), ("RAW", sound("AC3"), 2),
    )  # fmt: skip
    for container, coding, wanted in cases:
        settings = jobs.settings(jobs.file(alone("_a", container, coding)))
        track = next(planned(settings, jobs.source(audio_channels=4)).outputs()).audio
        assert track is not None and track.channels == wanted


@pytest.mark.parametrize(
    ("output", "told"),
    [
        (muxed("_a", "WEBM", jobs.h264(), sound("OPUS")), "container: WEBM does not hold H264"),
        (muxed("_a", "WEBM", VP9, sound("AAC")), "container: WEBM does not hold AAC"),
        (muxed("_a", "RAW", jobs.h264(), sound("AAC")), "container: RAW holds one track"),
        (alone("_a", "RAW", sound("OPUS")), "container: OPUS needs a container"),
        (alone("_a", "CMFC", sound("AAC")), "container: CMFC does not belong to a file group"),
        (jobs.frames("_f") | {"ContainerSettings": {"Container": "MP4"}}, "container: frame capture needs RAW"),
        (alone("_a", "OGG", sound("OPUS", SampleRate=44_100)), "opusSettings.sampleRate: must be one of"),
        (alone("_a", "RAW", sound("AC3", CodingMode="CODING_MODE_1_0", Bitrate=640_000)), "must be a multiple"),
        (alone("_a", "RAW", sound("MP3", RateControlMode="VBR")), "mp3Settings.vbrQuality: is needed"),
        (alone("_a", "RAW", sound("WAV", Channels=3)), "wavSettings.channels: must be 0, 1 or an even number"),
        (alone("_a", "MP4", sound("AAC", CodecProfile="XHE")), "aacSettings.codecProfile: XHE is not offered"),
        (muxed("_a", "M2TS", jobs.h264(), sound("AAC"), M2tsSettings={"RateMode": "CBR"}), "m2tsSettings.bitrate: is"),
        (muxed("_a", "M2TS", jobs.h264(), sound("AAC"), M2tsSettings={"VideoPid": 482}), "m2tsSettings.videoPid: "),
    ],
)  # fmt: skip
def test_what_does_not_belong_together_is_refused(output: dict[str, Any], told: str) -> None:
    settings = jobs.settings(jobs.file(jobs.video("_v", container="MP4"), output))
    with pytest.raises(SettingRefused) as refused:
        settings_table.check({"Role": "r", "Settings": settings})
        request.read(settings)
    assert told in str(refused.value)


def test_composition_offsets_are_signed_where_the_box_is_of_version_1(tmp_path: Path, convert: Convert) -> None:
    def output(modifier: str, **mp4: Any) -> dict[str, Any]:
        made = jobs.video(modifier, container="MP4", Height=90, codec=jobs.h264(NumberBFramesBetweenReferenceFrames=2))
        return {**made, "ContainerSettings": {"Container": "MP4", "Mp4Settings": mp4}}

    signed = output("_1", CttsVersion=1, CslgAtom="INCLUDE")
    done = convert(film(tmp_path, duration_s=1), jobs.settings(jobs.file(signed, output("_0"))))
    for name, version in (("_1", 1), ("_0", 0)):
        data = done.path(f"f/film{name}.mp4").read_bytes()
        assert data[data.index(b"ctts") + 4] == version and data.index(b"moov") < data.index(b"mdat")
        first = ffprobe(done.path(f"f/film{name}.mp4"), "-select_streams", "v", "-show_entries", "packet=pts_time")
        assert float(first["packets"][0]["pts_time"]) == 0
    with pytest.raises(SettingRefused, match="cttsVersion: 1 needs cslgAtom INCLUDE"):
        request.read(jobs.settings(jobs.file(output("", CttsVersion=1))))
