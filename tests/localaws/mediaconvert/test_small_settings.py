"""Settings that a few bits of an output show, each read by the letter of the standard that has them."""

from __future__ import annotations

import itertools
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import mean
from typing import Any

import pytest
from lxml import etree

import mediaconvert_jobs as jobs
from localaws.media import jail
from probed_media import PICTURE, ffprobe
from sample_media import ffmpeg

Convert = Callable[..., Any]
TONES = "sine=frequency=440:sample_rate=48000:duration=1"
ENCODE = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")


@pytest.fixture(scope="module")
def surround(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second of film with six channels."""
    graph = f"{TONES},aformat=channel_layouts=5.1"
    picture = "testsrc2=size=160x90:rate=25:duration=1"
    return ffmpeg(
        tmp_path_factory.mktemp("surround") / "film.mp4", *PICTURE, picture, *PICTURE, graph, *ENCODE, "-c:a", "aac"
    )


def single(convert: Convert, clip: Path, *outputs: dict[str, Any]) -> list[Path]:
    done = convert(clip, jobs.settings(jobs.file(*outputs)))
    return [done.encoded / output.work_file for output in done.plan.outputs()]


def dolby(modifier: str, **members: Any) -> dict[str, Any]:
    codec = {"Codec": "EAC3", "Eac3Settings": members}
    return {
        "NameModifier": modifier,
        "ContainerSettings": {"Container": "RAW"},
        "AudioDescriptions": [{"CodecSettings": codec}],
    }


def bits(data: bytes) -> Callable[[int], int]:
    whole = iter(f"{int.from_bytes(data, 'big'):0{8 * len(data)}b}")
    return lambda count: int("".join(next(whole) for _ in range(count)), 2)


def eac3_header(path: Path) -> dict[str, int]:
    """The beginning of bsi() of an independent stream, ETSI TS 102 366, E.1.2.2."""
    take, found = bits(path.read_bytes()[:64]), {}
    assert take(16) == 0x0B77
    stream_type, _, _, rate = take(2), take(3), take(11), take(2)
    take(2)  # blocks, or the half rate
    found["acmod"], lfe, _, _ = take(3), take(1), take(5), take(5)
    assert stream_type == 0 and rate != 3
    if take(1):
        take(8)
    if take(1):  # mixmdate
        if found["acmod"] > 2:
            found["dmixmod"] = take(2)
            found["ltrtcmixlev"], found["lorocmixlev"] = take(3), take(3)
        if found["acmod"] & 4:
            found["ltrtsurmixlev"], found["lorosurmixlev"] = take(3), take(3)
        if lfe and take(1):
            take(5)
        for size in (6, 6):
            if take(1):
                take(size)
        assert take(2) == 0 and take(1) == 0, "no mixing data and no configuration of frames"
    if take(1):  # infomdate
        take(3 + 1 + 1)
        if found["acmod"] == 2:
            found["dsurmod"], _ = take(2), take(2)
        if found["acmod"] >= 6:
            found["dsurexmod"] = take(2)
    return found


def test_levels_of_mixes_are_written_as_their_codes(surround: Path, convert: Convert) -> None:
    levels = {"LoRoCenterMixLevel": -3.0, "LoRoSurroundMixLevel": -6.0, "LtRtCenterMixLevel": 0.0,
              "LtRtSurroundMixLevel": -60.0}  # fmt: skip
    six, two = single(
        convert, surround,
        dolby("_a", CodingMode="CODING_MODE_3_2", StereoDownmix="LO_RO", SurroundExMode="ENABLED", **levels),
        dolby("_b", CodingMode="CODING_MODE_2_0", SurroundMode="ENABLED"),
    )  # fmt: skip
    found = eac3_header(six)
    # Tables E.1.13 to E.1.16: 2 is 0 dB, 4 is -3 dB, 6 is -6 dB, 7 is minus infinity. Annex D: 2 is a Lo/Ro downmix.
    assert found == {"acmod": 7, "dmixmod": 2, "ltrtcmixlev": 2, "lorocmixlev": 4, "ltrtsurmixlev": 7,
                     "lorosurmixlev": 6, "dsurexmod": 2}  # fmt: skip
    assert eac3_header(two)["dsurmod"] == 2, "Dolby Surround encoded"


def test_the_clock_of_a_transport_stream_comes_as_often_as_asked(surround: Path, convert: Convert) -> None:
    def stream(modifier: str, interval_ms: int) -> dict[str, Any]:
        output = {**jobs.video(modifier, Height=90), "AudioDescriptions": [jobs.aac()]}
        return {**output, "ContainerSettings": {"Container": "M2TS", "M2tsSettings": {"MaxPcrInterval": interval_ms}}}

    for path, most_ms in zip(single(convert, surround, stream("_a", 40), stream("_b", 200)), (40, 200), strict=True):
        clocks = list(pcr_ms(path.read_bytes()))
        gaps = [after - before for before, after in itertools.pairwise(clocks)]
        # The muxer stamps packets of pictures, which here come every 40 ms.
        assert max(gaps) <= most_ms + 1 and max(gaps) > most_ms - 41, (path, gaps)


def pcr_ms(data: bytes) -> Iterator[float]:
    """Program clock references of a transport stream; ISO/IEC 13818-1, 2.4.3.5."""
    for start in range(0, len(data), 188):
        packet = data[start : start + 188]
        if packet[3] & 0x20 and packet[4] >= 7 and packet[5] & 0x10:
            base = int.from_bytes(packet[6:11], "big") >> 7
            yield base / 90


def test_brand_of_a_file(surround: Path, convert: Convert) -> None:
    brand = {"Container": "MP4", "Mp4Settings": {"Mp4MajorBrand": "isom"}}
    (path,) = single(convert, surround, {**jobs.video("_a", Height=90), "ContainerSettings": brand})
    assert path.read_bytes()[4:12] == b"ftypisom"


def test_hlg_says_what_older_players_take_it_for(surround: Path, convert: Convert) -> None:
    def hlg(modifier: str, sei: str) -> dict[str, Any]:
        h265 = {"RateControlMode": "QVBR", "MaxBitrate": 800_000, "CodecProfile": "MAIN10_MAIN",
                "AlternateTransferFunctionSei": sei}  # fmt: skip
        codec = {"Codec": "H_265", "H265Settings": h265}
        corrected = {"ColorCorrector": {"ColorSpaceConversion": "FORCE_HLG_2020"}}
        return jobs.video(modifier, container="MP4", codec=codec, Height=90, VideoPreprocessors=corrected)

    said, silent = single(convert, surround, hlg("_a", "ENABLED"), hlg("_b", "DISABLED"))
    # H.265, D.3.38: payload type 147, one byte, 18 is ARIB STD-B67.
    assert bytes([147, 1, 18]) in said.read_bytes() and bytes([147, 1, 18]) not in silent.read_bytes()


def test_hdr_becomes_sdr_by_the_curve_and_the_white_that_are_asked_for(convert: Convert, tmp_path: Path) -> None:
    tagged = "setparams=color_primaries=bt2020:color_trc=smpte2084:colorspace=bt2020nc"
    bright = ffmpeg(
        tmp_path / "bright.mp4", *PICTURE, f"color=0xb0b0b0:size=160x90:rate=25:duration=0.4,{tagged}", *ENCODE,
        "-color_primaries", "bt2020", "-color_trc", "smpte2084", "-colorspace", "bt2020nc",
    )  # fmt: skip

    def sdr(modifier: str, **members: Any) -> dict[str, Any]:
        corrected = {"ColorCorrector": {"ColorSpaceConversion": "FORCE_709", **members}}
        return jobs.video(modifier, container="MP4", Height=90, VideoPreprocessors=corrected)

    gentle, vibrant, white = (
        luma(path)
        for path in single(
            convert, bright, sdr("_a", HdrToSdrToneMapper="PRESERVE_DETAILS"),
            sdr("_b", HdrToSdrToneMapper="VIBRANT"), sdr("_c", SdrReferenceWhiteLevel=400),
        )
    )  # fmt: skip
    assert abs(gentle - vibrant) > 3, "another curve"
    assert white < gentle - 3, "the brighter the reference, the darker what is shown of the same light"


def luma(path: Path) -> float:
    command = [str(jail.binary("ffmpeg")), "-v", "error", "-i", str(path), "-frames:v", "1", "-pix_fmt", "gray"]
    raw = subprocess.run([*command, "-f", "rawvideo", "-"], capture_output=True, timeout=60, check=True).stdout
    return mean(raw)


def sharpness(path: Path) -> float:
    """How much the third frame's lines differ from pixel to pixel."""
    command = [str(jail.binary("ffmpeg")), "-v", "error", "-i", str(path), "-vf", "select=eq(n\\,2)", "-frames:v", "1"]
    raw = subprocess.run(
        [*command, "-pix_fmt", "gray", "-f", "rawvideo", "-"], capture_output=True, timeout=60, check=True
    ).stdout
    return mean(abs(a - b) for a, b in itertools.pairwise(raw))


def test_what_noise_reduction_blurs_is_sharpened_again(surround: Path, convert: Convert) -> None:
    def cleaned(modifier: str, **members: Any) -> dict[str, Any]:
        return jobs.video(modifier, container="MP4", Height=90, VideoPreprocessors={"NoiseReducer": members})

    def temporal(**members: Any) -> dict[str, Any]:
        return {"Filter": "TEMPORAL", "TemporalFilterSettings": {"Strength": 4, **members}}

    spatial = [{"Strength": 8, "PostFilterSharpenStrength": strength} for strength in (0, 3)]
    sharper = {"PostTemporalSharpening": "ENABLED", "PostTemporalSharpeningStrength": "HIGH"}
    low = {"PostTemporalSharpening": "ENABLED", "PostTemporalSharpeningStrength": "LOW"}
    plain, sharp, still, some, much = (
        sharpness(path)
        for path in single(
            convert, surround,
            *(cleaned(f"_s{n}", Filter="SPATIAL", SpatialFilterSettings=one) for n, one in enumerate(spatial)),
            cleaned("_t0", **temporal(PostTemporalSharpening="DISABLED")), cleaned("_t1", **temporal(**low)),
            cleaned("_t2", **temporal(**sharper)),
        )
    )  # fmt: skip
    assert sharp > 1.05 * plain and still < some < much


def test_buffer_times_and_names_of_tracks_reach_the_manifests(surround: Path, convert: Convert) -> None:
    sound = jobs.audio("_a")
    sound["AudioDescriptions"][0]["StreamName"] = "Director's cut"
    done = convert(surround, jobs.settings(jobs.cmaf(jobs.video("_v", Height=90), sound, MinBufferTime=7000)))
    assert etree.fromstring(done.path("a/main.mpd").read_bytes()).get("minBufferTime") == "PT7S"
    assert 'NAME="Director\'s cut"' in done.text("a/main.m3u8")


def test_versions_of_a_key_format_stand_in_the_playlist(surround: Path, convert: Convert) -> None:
    told = {"KeyFormat": "identity", "KeyFormatVersions": "1/2"}
    encryption = jobs.static_key("https://keys.example/key", StaticKeyProvider=told)
    output = jobs.hls_output({**jobs.video("_v", Height=90), "AudioDescriptions": [jobs.aac()]})
    done = convert(surround, jobs.settings(jobs.hls(output, Encryption=encryption)))
    (tag,) = set(re.findall(r"^#EXT-X-KEY:.*$", done.text("h/hls_v.m3u8"), re.MULTILINE))
    assert 'KEYFORMAT="identity"' in tag and 'KEYFORMATVERSIONS="1/2"' in tag


def test_ffprobe_counts_the_same_channels(surround: Path, convert: Convert) -> None:
    (path,) = single(convert, surround, dolby("_a", CodingMode="CODING_MODE_3_2", LfeControl="NO_LFE"))
    assert ffprobe(path, "-show_streams")["streams"][0]["channels"] == 5 and eac3_header(path)["acmod"] == 7
