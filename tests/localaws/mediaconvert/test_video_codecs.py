"""Each setting of pictures that is honoured shows in the output; ffprobe and the bytes are the judges."""

from __future__ import annotations

import itertools
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import mediaconvert_jobs as jobs
from localaws.media import jail
from localaws.media.failures import SettingRefused
from localaws.mediaconvert.groups import outputs
from localaws.mediaconvert.settings import request
from probed_media import ENCODE, PICTURE, ffprobe, film, frame_hashes, key_frames_s, stream
from sample_media import ffmpeg

Convert = Callable[[Path, dict[str, Any]], Any]
QVBR = {"RateControlMode": "QVBR", "MaxBitrate": 600_000}
GOP = {"GopSize": 1, "GopSizeUnits": "SECONDS"}


def codec(name: str, member: str, **members: Any) -> dict[str, Any]:
    return {"Codec": name, member: members}


def h265(**members: Any) -> dict[str, Any]:
    return codec("H_265", "H265Settings", **{**QVBR, **GOP, "QualityTuningLevel": "SINGLE_PASS", **members})


def av1(**members: Any) -> dict[str, Any]:
    return codec("AV1", "Av1Settings", **{**QVBR, "GopSize": 25, **members})


def vp9(**members: Any) -> dict[str, Any]:
    return codec("VP9", "Vp9Settings", **{"RateControlMode": "VBR", "Bitrate": 300_000, "GopSize": 25, **members})


def mp4(modifier: str, of: dict[str, Any], **description: Any) -> dict[str, Any]:
    return jobs.video(modifier, container="MP4", codec=of, **{"Height": 90, **description})


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return film(tmp_path_factory.mktemp("clip"), sound=None, duration_s=2.0)


@pytest.fixture
def probes(convert: Convert, clip: Path) -> Callable[..., list[dict[str, Any]]]:
    """Encode outputs of one file group together; the first stream of each, as ffprobe has it."""

    def run(*asked: dict[str, Any], of: Path = clip) -> list[dict[str, Any]]:
        done = convert(of, jobs.settings(jobs.file(*asked)))
        files = [done.encoded / output.work_file for output in done.plan.outputs()]
        return [{**stream(path), "path": path} for path in files]

    return run


def test_every_codec_codes_the_gop_that_was_asked_for(probes: Callable[..., list[dict[str, Any]]]) -> None:
    found = probes(mp4("_a", jobs.h264()), mp4("_b", h265()), mp4("_c", av1()), mp4("_d", vp9()))
    assert [one["codec_name"] for one in found] == ["h264", "hevc", "av1", "vp9"]
    for one in found:
        assert (one["width"], one["height"], int(one["nb_frames"])) == (160, 90, 50)
        assert key_frames_s(one["path"]) == pytest.approx([0, 1]), one["codec_name"]


def test_profile_tier_level_and_sample_entry_of_h265(probes: Callable[..., list[dict[str, Any]]]) -> None:
    high = h265(CodecProfile="MAIN_HIGH", CodecLevel="LEVEL_4", MaxBitrate=25_000_000, WriteMp4PackagingType="HVC1")
    entry, plain = probes(mp4("_a", high), mp4("_b", h265()))
    assert (entry["codec_tag_string"], plain["codec_tag_string"]) == ("hvc1", "hev1")
    assert entry["profile"] == "Main" and entry["level"] == 120
    assert outputs.video_codec(entry["path"]).startswith("hvc1.1.6.H120")


def test_profiles_of_more_colour_and_more_bits(probes: Callable[..., list[dict[str, Any]]]) -> None:
    found = probes(
        *(mp4(f"_{name}", jobs.h264(CodecProfile=name)) for name in ("HIGH_10BIT", "HIGH_422", "HIGH_422_10BIT")),
        *(mp4(f"_{name}", h265(CodecProfile=name)) for name in ("MAIN_422_8BIT_MAIN", "MAIN_422_10BIT_HIGH")),
    )
    assert [(one["profile"], one["pix_fmt"]) for one in found] == [
        ("High 10", "yuv420p10le"), ("High 4:2:2", "yuv422p"), ("High 4:2:2", "yuv422p10le"),
        ("Rext", "yuv422p"), ("Rext", "yuv422p10le"),
    ]  # fmt: skip


@pytest.mark.parametrize(("cadence", "closed"), [(1, [0, 10, 20, 30, 40]), (2, [0, 20, 40]), (0, [0])])
def test_open_and_closed_gops_come_as_often_as_asked(
    cadence: int, closed: list[int], probes: Callable[..., list[dict[str, Any]]]
) -> None:
    own = {"GopSize": 10, "GopSizeUnits": "FRAMES", "GopClosedCadence": cadence, "SceneChangeDetect": "DISABLED"}
    h264, hevc = probes(mp4("_a", jobs.h264(**own)), mp4("_b", h265(**own)))
    assert idr_frames(h264["path"], {5}, lambda byte: byte & 31) == closed
    # H.265 calls pictures that open a GOP CRA, 21; IDR are 19 and 20.
    hevc_closed = closed if cadence == 1 else [0]
    assert idr_frames(hevc["path"], {19, 20}, lambda byte: byte >> 1 & 63) == hevc_closed
    for one in (h264, hevc):
        kinds = picture_types(one["path"])
        assert [place for place, kind in enumerate(kinds) if kind == "I"] == [0, 10, 20, 30, 40]


def idr_frames(path: Path, types: set[int], kind: Callable[[int], int]) -> list[int]:
    """The numbers, in presentation order, of pictures that begin with NAL units of `types`; ISO/IEC 14496-15."""
    packets = ffprobe(path, "-show_packets", "-select_streams", "v")["packets"]
    data = path.read_bytes()
    found = []
    for packet in packets:
        place, end = int(packet["pos"]), int(packet["pos"]) + int(packet["size"])
        while place < end:
            if kind(data[place + 4]) in types:
                found.append(round(float(packet["pts_time"]) * 25))
            place += 4 + int.from_bytes(data[place : place + 4], "big")
    return sorted(set(found))


def test_bit_depth_of_av1(probes: Callable[..., list[dict[str, Any]]]) -> None:
    deep, grain = probes(mp4("_a", av1(BitDepth="BIT_10")), mp4("_b", av1(FilmGrainSynthesis="ENABLED")))
    assert (deep["pix_fmt"], grain["pix_fmt"]) == ("yuv420p10le", "yuv420p")
    assert sequence_header(deep["path"])["film_grain_params_present"] == "0"
    assert sequence_header(grain["path"])["film_grain_params_present"] == "1"


def sequence_header(path: Path) -> dict[str, str]:
    """Name and value of the fields that begin a stream, as ffmpeg's own parser reads them."""
    command = [str(jail.binary("ffmpeg")), "-v", "verbose", "-i", str(path), "-c", "copy", "-bsf:v", "trace_headers"]
    told = subprocess.run([*command, "-frames:v", "1", "-f", "null", "-"], capture_output=True, text=True, timeout=60)
    rows = (line.split("] ", 1)[1].split() for line in told.stderr.splitlines() if " = " in line and "] " in line)
    return {row[1]: row[-1] for row in rows if len(row) > 2}


def picture_types(path: Path) -> str:
    """I, P or B of each frame in the order of presentation."""
    return "".join(frame["pict_type"] for frame in ffprobe(path, "-show_entries", "frame=pict_type")["frames"])


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds, of which the one and a half last are another picture."""
    other = "mandelbrot=size=320x180:rate=25,trim=duration=1.5,setsar=1"
    joined = f"testsrc2=size=320x180:rate=25:duration=0.52,setsar=1[a];{other}[b];[a][b]concat=n=2"
    clip = tmp_path_factory.mktemp("scenes") / "scenes.mp4"
    return ffmpeg(clip, *PICTURE, joined, *ENCODE, "-t", "2")


def test_scene_cuts_get_pictures_but_no_key_frames_of_their_own(
    scenes: Path, probes: Callable[..., list[dict[str, Any]]]
) -> None:
    found = probes(
        *(mp4(f"_{number}", of) for number, of in enumerate([
            jobs.h264(), h265(), jobs.h264(SceneChangeDetect="DISABLED"), h265(SceneChangeDetect="DISABLED"),
        ])),
        of=scenes,
    )  # fmt: skip
    for one in found:
        assert key_frames_s(one["path"]) == pytest.approx([0, 1])
    cut = [picture_types(one["path"])[13] for one in found]
    assert cut[:2] == ["I", "I"] and "I" not in cut[2:]


def test_b_frames_references_and_entropy_coding(probes: Callable[..., list[dict[str, Any]]]) -> None:
    few = {"NumberBFramesBetweenReferenceFrames": 0, "NumberReferenceFrames": 2}
    one, other, static = probes(
        mp4("_a", jobs.h264(**few)), mp4("_b", h265(**few)),
        mp4("_c", jobs.h264(NumberBFramesBetweenReferenceFrames=2, DynamicSubGop="STATIC", GopBReference="DISABLED")),
    )  # fmt: skip
    assert one["has_b_frames"] == 0 and "ref=2" in x26x_options(one["path"])
    assert "B" not in picture_types(one["path"]) + picture_types(other["path"])
    assert picture_types(static["path"])[:8] == "IBBPBBPB" and static["has_b_frames"] == 1


def x26x_options(path: Path) -> list[str]:
    """x264 and x265 write their options into a message of their own in the stream."""
    head = path.read_bytes()
    place = head.index(b"options: ")
    text = head[place + 9 : place + 4096].split(b"\x80")[0].split(b"\0")[0]
    return text.decode("ascii", "ignore").split()
    return (
        head[place : place + 4096]
        .split(b"\x00")[0]
        .split(b"options: ")[1]
        .split(b"\x80")[0]
        .decode("ascii", "ignore")
        .split()
    )


def test_members_of_h265_reach_the_encoder(probes: Callable[..., list[dict[str, Any]]]) -> None:
    (found,) = probes(mp4("_a", h265(
        AdaptiveQuantization="HIGH", TemporalAdaptiveQuantization="DISABLED", SampleAdaptiveOffsetFilterMode="OFF",
        Deblocking="DISABLED", MvTemporalPredictor="DISABLED", TreeBlockSize="TREE_SIZE_32X32", Slices=2,
        GopBReference="DISABLED", HrdBufferSize=900_000, HrdBufferInitialFillPercentage=80,
        QvbrSettings={"QvbrQualityLevel": 9, "QvbrQualityLevelFineTune": 0.5},
    )))  # fmt: skip
    written = set(x26x_options(found["path"]))
    assert written >= {
        "aq-strength=1.20", "no-cutree", "no-sao", "no-deblock", "no-temporal-mvp", "ctu=32", "slices=2",
        "no-b-pyramid", "vbv-bufsize=900", "vbv-maxrate=600", "vbv-init=0.8", "crf=23.0", "no-open-gop",
    }, written  # fmt: skip


def test_frames_are_repeated_blended_or_moved_to_another_rate(probes: Callable[..., list[dict[str, Any]]]) -> None:
    double = {"FramerateControl": "SPECIFIED", "FramerateNumerator": 50, "FramerateDenominator": 1}
    repeated, blended, moved = probes(
        mp4("_a", jobs.h264(**double)), mp4("_b", jobs.h264(**double, FramerateConversionAlgorithm="INTERPOLATE")),
        mp4("_c", jobs.h264(**double, FramerateConversionAlgorithm="FRAMEFORMER")),
    )  # fmt: skip
    assert {one["r_frame_rate"] for one in (repeated, blended, moved)} == {"50/1"}
    assert abs(int(moved["nb_frames"]) - 100) <= 4 and still_frames(moved["path"]) < 8
    assert int(repeated["nb_frames"]) == 100 and abs(int(blended["nb_frames"]) - 100) <= 2
    # A repeated frame costs next to nothing to code; one between two others differs from both.
    assert still_frames(repeated["path"]) > 40 and still_frames(blended["path"]) < 5


def still_frames(path: Path) -> int:
    """How many frames are the same as the one before them."""
    command = [str(jail.binary("ffmpeg")), "-v", "info", "-i", str(path), "-vf", "mpdecimate=hi=400:lo=200:frac=1"]
    done = subprocess.run([*command, "-f", "framemd5", "-"], capture_output=True, text=True, timeout=60)
    return int(stream(path)["nb_frames"]) - sum(not line.startswith("#") for line in done.stdout.splitlines())


def test_pixels_have_the_shape_that_was_asked_for(probes: Callable[..., list[dict[str, Any]]]) -> None:
    par = {"ParControl": "SPECIFIED", "ParNumerator": 4, "ParDenominator": 3}
    sized, free = probes(mp4("_a", jobs.h264(**par)), mp4("_b", h265(**par), Height=None))
    assert (sized["width"], sized["height"], sized["sample_aspect_ratio"]) == (120, 90, "4:3")
    assert (free["width"], free["height"], free["sample_aspect_ratio"]) == (320, 180, "4:3")


def test_sharpness_changes_the_scaling_kernel(tmp_path: Path, probes: Callable[..., list[dict[str, Any]]]) -> None:
    soft, middle, sharp = probes(*(mp4(f"_{value}", jobs.h264(), Sharpness=value) for value in (0, 50, 100)))
    blurs = [detail(one["path"]) for one in (soft, middle, sharp)]
    assert blurs[0] < blurs[1] < blurs[2], blurs


def detail(path: Path) -> float:
    """Mean difference of neighbouring pixels of the first frame: what a wide kernel takes away."""
    command = [str(jail.binary("ffmpeg")), "-v", "error", "-i", str(path), "-frames:v", "1", "-pix_fmt", "gray"]
    raw = subprocess.run([*command, "-f", "rawvideo", "-"], capture_output=True, timeout=60, check=True).stdout
    return sum(abs(one - other) for one, other in itertools.pairwise(raw)) / len(raw)


@pytest.mark.parametrize(("asked", "primaries"), [("INSERT", "bt709"), ("IGNORE", None)])
def test_colour_is_signalled_unless_it_is_to_be_ignored(
    asked: str, primaries: str | None, tmp_path: Path, probes: Callable[..., list[dict[str, Any]]]
) -> None:
    tags = ("-vf", "setparams=color_primaries=bt709:color_trc=bt709:colorspace=bt709")
    coloured = film(tmp_path, *tags, sound=None, duration_s=0.4)
    for one in probes(mp4("_a", jobs.h264(), ColorMetadata=asked), mp4("_b", h265(), ColorMetadata=asked), of=coloured):
        assert one.get("color_primaries") == one.get("color_transfer") == one.get("color_space") == primaries


HDR10 = "master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1):max-cll=1000,400"


@pytest.fixture(scope="module")
def hdr(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Half a second of HDR10, made by the full ffmpeg."""
    clip = tmp_path_factory.mktemp("hdr") / "hdr.mp4"
    tags = "setparams=color_primaries=bt2020:color_trc=smpte2084:colorspace=bt2020nc"
    picture = ("-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25:duration=0.5", "-vf", f"{tags},format=yuv420p10le")
    coding = ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", f"log-level=error:{HDR10}")
    subprocess.run([str(jail.full_ffmpeg()), "-v", "error", *picture, *coding, str(clip)], check=True, timeout=60)
    return clip


def test_ten_bits_and_hdr10_come_out_as_they_went_in(hdr: Path, probes: Callable[..., list[dict[str, Any]]]) -> None:
    """In every rendition: ffmpeg hands what frames say of their display to one of the branches of a filter graph."""
    deep, small, av1_deep, plain = probes(
        mp4("_a", h265(CodecProfile="MAIN10_HIGH")), mp4("_d", h265(CodecProfile="MAIN10_HIGH"), Height=64),
        mp4("_b", av1(BitDepth="BIT_10")), mp4("_c", jobs.h264()), of=hdr,
    )  # fmt: skip
    assert (deep["profile"], deep["pix_fmt"], plain["pix_fmt"]) == ("Main 10", "yuv420p10le", "yuv420p")
    for one in (deep, av1_deep):
        assert (one["color_primaries"], one["color_transfer"], one["color_space"]) == (
            "bt2020",
            "smpte2084",
            "bt2020nc",
        )
    for one in (deep, small):
        (frame,) = ffprobe(one["path"], "-show_frames", "-read_intervals", "%+#1")["frames"]
        told = {data["side_data_type"]: data for data in frame["side_data_list"]}
        assert told["Mastering display metadata"]["max_luminance"] == "10000000/10000"
        assert told["Content light level metadata"]["max_content"] == 1000


def test_two_passes_are_two_passes(convert: Convert, clip: Path) -> None:
    vbr = {"RateControlMode": "VBR", "Bitrate": 200_000, "MaxBitrate": 300_000, "QualityTuningLevel": "MULTI_PASS_HQ"}
    done = convert(clip, jobs.settings(jobs.file(
        mp4("_q", jobs.h264(QualityTuningLevel="MULTI_PASS_HQ")), mp4("_v", vp9()), mp4("_a", jobs.h264(**vbr)),
        mp4("_b", codec("H_265", "H265Settings", **vbr, **GOP)),
    )))  # fmt: skip
    assert "rc=crf" in x26x_options(done.encoded / "g0o0.mp4")
    assert "rc=2pass" in x26x_options(done.encoded / "g0o2.mp4")
    assert {"stats-read=2", "bitrate=200"} <= set(x26x_options(done.encoded / "g0o3.mp4"))
    for output in done.plan.outputs():
        path = done.encoded / output.work_file
        assert key_frames_s(path) == pytest.approx([0, 1])
        if output.two_passes:
            assert path.stat().st_size * 8 / 2 == pytest.approx(output.video.codec.bitrate_bps, rel=0.35)
    assert not list(done.encoded.glob("pass-*"))


@pytest.mark.parametrize(
    ("pattern", "free_bps", "held_bps"),
    [
        ("nullsrc=size=160x90:rate=25:duration=4,geq=random(1)*255:128:128", 900_000, range(450_000, 750_000)),
        ("color=gray:size=160x90:rate=25:duration=4", 0, range(1, 60_000)),
    ],
    ids=["noise takes any number of bits", "what is still takes next to none"],
)
def test_quality_with_an_average_spends_the_average_at_most(
    tmp_path: Path, probes: Callable[..., list[dict[str, Any]]], pattern: str, free_bps: int, held_bps: range
) -> None:
    most = {"QvbrSettings": {"QvbrQualityLevel": 7, "MaxAverageBitrate": 600_000}}
    asked = {**GOP, "RateControlMode": "QVBR", "MaxBitrate": 4_000_000, "QualityTuningLevel": "MULTI_PASS_HQ"}
    codecs = [codec(*of, **asked, **more) for of in (("H_264", "H264Settings"), ("H_265", "H265Settings"))
              for more in ({}, most)]  # fmt: skip
    source = ffmpeg(tmp_path / "film.mp4", *PICTURE, pattern, *ENCODE)
    outputs = probes(*(mp4(f"_{number}", of) for number, of in enumerate(codecs)), of=source)
    rates = [output["path"].stat().st_size * 2 for output in outputs]
    assert min(rates[0], rates[2]) > free_bps
    assert rates[1] in held_bps and rates[3] in held_bps, rates


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"QualityTuningLevel": "SINGLE_PASS_HQ"}, "maxAverageBitrate: needs qualityTuningLevel MULTI_PASS_HQ"),
        ({"MaxBitrate": 400_000}, "maxAverageBitrate: must not be more than maxBitrate, 400000"),
    ],
)
def test_an_average_of_quality_that_cannot_be_is_refused_by_path(more: dict[str, Any], said: str) -> None:
    asked = {"QualityTuningLevel": "MULTI_PASS_HQ", "MaxBitrate": 900_000, **more}
    of = jobs.h264(RateControlMode="QVBR", QvbrSettings={"MaxAverageBitrate": 500_000}, **asked)
    with pytest.raises(SettingRefused, match=said):
        request.read(jobs.settings(jobs.file(mp4("_a", of))))


def test_segmented_groups_hold_every_codec_and_say_its_name(tmp_path: Path, convert: Convert) -> None:
    deep = h265(CodecProfile="MAIN10_MAIN", WriteMp4PackagingType="HVC1")
    dolby = {"CodecSettings": {"Codec": "EAC3", "Eac3Settings": {}}}
    sound = {"NameModifier": "_s", "ContainerSettings": {"Container": "CMFC"}, "AudioDescriptions": [dolby]}
    pictures = [jobs.video(f"_{name}", codec=of, Height=90) for name, of in
                (("a", deep), ("b", h265()), ("c", av1()), ("d", vp9()))]  # fmt: skip
    done = convert(film(tmp_path, duration_s=2.0), jobs.settings(jobs.cmaf(*pictures, sound)))
    mpd, playlist = done.text("a/main.mpd"), done.text("a/main.m3u8")
    for name in ("hvc1.2.4.", "hev1.1.6.", "av01.0.", "vp09.00.", "ec-3"):
        assert f'codecs="{name}' in mpd, name
        # HLS names the sample entry without in-band parameter sets, whatever the file has.
        assert name.replace("hev1", "hvc1") in playlist, name


def test_h265_in_a_transport_stream_of_hls(tmp_path: Path, convert: Convert) -> None:
    output = jobs.hls_output(jobs.video("_a", codec=h265(), Height=90))
    done = convert(film(tmp_path, duration_s=2.0), jobs.settings(jobs.hls(output)))
    assert 'CODECS="hvc1.1.6.L' in done.text("h/hls.m3u8")
    assert stream(next(path for key, path in done.files.items() if key.endswith(".ts")))["codec_name"] == "hevc"


@pytest.mark.parametrize("of", [av1(), vp9()], ids=["av1", "vp9"])
def test_codecs_without_common_encryption_are_not_encrypted(of: dict[str, Any]) -> None:
    protected = jobs.encryption("http://127.0.0.1:1/speke", systems=("e2719d58-a985-b3c9-781a-b030af78d30e",))
    with pytest.raises(SettingRefused, match=r"outputs\[0\].*: (AV1|VP9) cannot be encrypted"):
        request.read(jobs.settings(jobs.cmaf(jobs.video("_v", codec=of), Encryption=protected)))


@pytest.mark.parametrize("container", ["mp4", "webm"])
def test_av1_is_decoded(tmp_path: Path, convert: Convert, container: str) -> None:
    coding = ("-c:v", "libsvtav1", "-preset", "12", "-c:a", "libopus")
    arguments = (*PICTURE, "testsrc2=size=160x90:rate=25:duration=0.4", *PICTURE, "sine=440:r=48000:duration=0.4")
    clip = ffmpeg(tmp_path / f"film.{container}", *arguments, *coding)
    done = convert(clip, jobs.settings(jobs.file(
        {**mp4("_a", jobs.h264()), "AudioDescriptions": [jobs.aac()]}, jobs.audio("_b", container="MP4"),
    )))  # fmt: skip
    seen, heard = (ffprobe(done.encoded / one.work_file, "-show_streams")["streams"] for one in done.plan.outputs())
    assert [one["codec_name"] for one in (*seen, *heard)] == ["h264", "aac", "aac"]
    assert int(seen[0]["nb_frames"]) == 10 and len(set(frame_hashes(done.encoded / "g0o0.mp4"))) > 5
