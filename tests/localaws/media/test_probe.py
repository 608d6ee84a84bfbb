from __future__ import annotations

import copy
import pickle
import socket
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.validate import ParamValidator
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from localaws.media import jail
from localaws.media.failures import (
    CANNOT_OPEN,
    MALFORMED,
    NO_VIDEO,
    TRUNCATED,
    UNSUPPORTED,
    InputRejected,
)
from localaws.media.probe import PROBE_LIMITS, Probed, VideoStream, input_options, probe, to_probe_result
from localaws.media.streams import read_streams
from sample_media import AUDIO, VIDEO, X264, clip, cut, ffmpeg, noise, patched, with_duration


@pytest.fixture(scope="session")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("media")


@pytest.fixture(scope="session")
def good(media: Path) -> Path:
    return clip(media, "good.mp4")


def picture(path: Path) -> VideoStream:
    found = probe(path).video
    assert found is not None
    return found


# What is found in good files


def test_ordinary_film(good: Path) -> None:
    found = probe(good)
    assert (found.demuxer, found.container, found.duration_s) == ("mov", "mp4", 1.0)
    assert found.size_bytes == good.stat().st_size
    assert len(found.videos) == len(found.audios) == 1
    video, audio = found.videos[0], found.audios[0]
    assert (video.codec, video.width, video.height, video.display_size) == ("h264", 320, 180, (320, 180))
    assert (video.frame_rate, video.variable_frame_rate, video.scan) == (Fraction(25), False, "progressive")
    assert (video.rotation_deg, video.sample_aspect_ratio, video.bit_depth) == (0, Fraction(1), 8)
    assert (audio.codec, audio.channels, audio.channel_layout, audio.sample_rate_hz) == ("aac", 1, "mono", 44100)
    assert audio.decodable
    assert found.audio == audio


@pytest.mark.parametrize(
    ("name", "options", "container", "codec"),
    [
        ("a.mov", ("-c:v", "libx265", "-x265-params", "log-level=none", "-tag:v", "hvc1"), "quicktime", "hevc"),
        ("a.mkv", X264, "matroska", "h264"),
        ("a.webm", ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-c:a", "libopus"), "webm", "vp9"),
        ("b.webm", ("-c:v", "libvpx", "-deadline", "realtime", "-c:a", "libopus"), "webm", "vp8"),
        ("a.ts", ("-c:v", "mpeg2video", "-c:a", "mp2"), "mpegts", "mpeg2video"),
        ("a.m2ts", (*X264, "-c:a", "ac3"), "mpegts", "h264"),
        ("p.mov", ("-c:v", "prores_ks", "-pix_fmt", "yuv422p10le", "-c:a", "pcm_s24le"), "quicktime", "prores"),
        ("a.3gp", ("-c:v", "mpeg4", "-c:a", "aac"), "three_gp", "mpeg4"),
    ],
)
def test_accepted_containers_and_codecs(
    media: Path, name: str, options: tuple[str, ...], container: str, codec: str
) -> None:
    found = probe(ffmpeg(media / name, *VIDEO, *AUDIO, *options))
    assert (found.container, found.videos[0].codec) == (container, codec)
    assert found.videos[0].frame_rate == 25
    assert found.duration_s == pytest.approx(1, abs=0.1)
    assert all(audio.decodable for audio in found.audios)


def test_rotation_is_clockwise_and_turns_the_shown_size(media: Path, good: Path) -> None:
    turned = picture(ffmpeg(media / "turned.mp4", "-display_rotation", "90", "-i", str(good), "-c", "copy"))
    assert (turned.rotation_deg, turned.width, turned.display_size) == (270, 320, (180, 320))


def test_interlaced_film_with_wide_pixels(media: Path) -> None:
    source = ("-f", "lavfi", "-i", "testsrc2=size=720x576:rate=50:duration=1")
    shape = ("-vf", "interlace=scan=tff,setsar=64/45", "-flags", "+ildct+ilme", "-x264opts", "tff=1")
    found = picture(ffmpeg(media / "interlaced.mp4", *source, *shape, *X264))
    assert (found.scan, found.interlaced, found.frame_rate) == ("top_field_first", True, 25)
    assert (found.sample_aspect_ratio, found.display_size) == (Fraction(64, 45), (1024, 576))


def test_high_dynamic_range_is_told(media: Path) -> None:
    color = "setparams=color_primaries=bt2020:color_trc=smpte2084:colorspace=bt2020nc:range=tv"
    found = picture(ffmpeg(media / "hdr.mp4", *VIDEO, "-vf", color, *X264, "-pix_fmt", "yuv420p10le"))
    assert (found.hdr, found.bit_depth, found.color_primaries) == (True, 10, "bt2020")


def test_variable_rate_is_told(media: Path) -> None:
    gaps = ("-vf", "select='not(mod(n,7)-3)+not(mod(n,5)-2)+not(mod(n,2))'", "-fps_mode", "passthrough")
    found = picture(ffmpeg(media / "variable.mkv", *VIDEO, *gaps, *X264))
    assert found.variable_frame_rate


def test_languages_layouts_and_the_default_sound(media: Path) -> None:
    sound = ("-f", "lavfi", "-i", "aevalsrc=0|0|0|0|0|0:d=1")
    tags = ("-metadata:s:a:0", "language=deu", "-metadata:s:a:1", "language=und")
    maps = ("-map", "0", "-map", "1", "-map", "2", "-disposition:a:0", "0", "-disposition:a:1", "default")
    found = probe(ffmpeg(media / "sounds.mkv", *VIDEO, *AUDIO, *sound, *maps, *tags, *X264, "-c:a", "aac"))
    assert [(audio.channels, audio.channel_layout, audio.language) for audio in found.audios] == [
        (1, "mono", "deu"),
        (6, "5.1", ""),
    ]
    assert found.audio == found.audios[1]


def test_attached_picture_is_no_video(media: Path, good: Path) -> None:
    cover = ffmpeg(media / "cover.jpg", *VIDEO, "-frames:v", "1")
    attach = ("-map", "0", "-map", "1", "-c", "copy", "-disposition:v:1", "attached_pic")
    found = probe(ffmpeg(media / "cover.mp4", "-i", str(good), "-i", str(cover), *attach))
    assert len(found.videos) == 1
    assert [(other.kind, other.codec) for other in found.others] == [("cover", "mjpeg")]
    only = ffmpeg(
        media / "song.mp4",
        *AUDIO,
        "-i",
        str(cover),
        "-map",
        "0",
        "-map",
        "1",
        "-c:v",
        "copy",
        "-disposition:v",
        "attached_pic",
    )
    with pytest.raises(InputRejected, match="only audio"):
        probe(only)


def test_subtitles_attachments_and_data_are_listed(media: Path, good: Path) -> None:
    subtitles = media / "s.srt"
    subtitles.write_text("1\n00:00:00,000 --> 00:00:01,000\nhi\n")
    both = ("-i", str(good), "-i", str(subtitles), "-map", "0", "-map", "1", "-c", "copy")
    attachment = ("-attach", str(subtitles), "-metadata:s:t", "mimetype=application/x-truetype-font")
    found = probe(ffmpeg(media / "subtitles.mkv", *both, *attachment, "-c:s", "srt"))
    assert [other.kind for other in found.others] == ["subtitle", "attachment"]
    assert [other.kind for other in probe(ffmpeg(media / "subtitles.mp4", *both, "-c:s", "mov_text")).others] == [
        "subtitle"
    ]
    timed = probe(ffmpeg(media / "timed.mov", *VIDEO, *X264, "-timecode", "01:02:03:04"))
    assert (timed.timecode, [other.kind for other in timed.others]) == ("01:02:03:04", ["data"])


def test_undecodable_sound_does_not_spoil_the_film(media: Path) -> None:
    found = probe(ffmpeg(media / "dts.mkv", *VIDEO, *AUDIO, *X264, "-c:a", "dca", "-strict", "-2"))
    assert [audio.decodable for audio in found.audios] == [False]
    assert found.audio is None
    picture_only = ("-map", "0:v:0", "-c", "copy")
    ffmpeg(media / "silent.mp4", *input_options("matroska"), "-i", str(media / "dts.mkv"), *picture_only)


def test_recording_that_does_not_say_its_duration_is_measured(media: Path, good: Path) -> None:
    live = ffmpeg(media / "live.webm", *VIDEO, "-c:v", "libvpx", "-live", "1", "-f", "webm")
    assert probe(live).duration_s == pytest.approx(1, abs=0.05)
    fragmented = ffmpeg(media / "f.mp4", "-i", str(good), "-c", "copy", "-movflags", "frag_keyframe+empty_moov")
    assert probe(fragmented).duration_s == pytest.approx(1, abs=0.1)


def test_edit_list_shortens_the_film(media: Path, good: Path) -> None:
    edited = ffmpeg(media / "edited.mp4", "-ss", "0.3", "-i", str(good), "-c", "copy")
    assert b"elst" in edited.read_bytes()
    assert probe(edited).duration_s == pytest.approx(0.7, abs=0.05)


def test_single_frame_has_the_rate_it_claims(media: Path) -> None:
    assert picture(ffmpeg(media / "one.mp4", *VIDEO, "-frames:v", "1", *X264)).frame_rate == 25


def test_sound_alone_passes_when_asked_for(media: Path) -> None:
    found = probe(ffmpeg(media / "tone.mp4", *AUDIO, "-c:a", "aac"), require_video=False)
    assert (found.video, found.audios[0].codec) == (None, "aac")


# What is refused


def written(folder: Path, name: str, content: str) -> Path:
    path = folder / name
    path.write_text(content)
    return path


def test_file_that_is_not_there_or_empty_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputRejected, match="cannot be opened") as missing:
        probe(tmp_path / "missing.mp4")
    with pytest.raises(InputRejected, match="empty") as empty:
        probe(written(tmp_path, "empty.mp4", ""))
    assert missing.value.code == empty.value.code == CANNOT_OPEN


@pytest.fixture
def visitors() -> Iterator[tuple[int, Callable[[], bool]]]:
    """A port, and whether anybody came to it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)

        def came() -> bool:
            try:
                server.accept()[0].close()
            except BlockingIOError:
                return False
            return True

        yield server.getsockname()[1], came


@pytest.mark.parametrize(
    ("content", "name"),
    [
        ("Dear diary, today I made a film.\n", "text"),
        ("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{url}\n#EXT-X-ENDLIST\n", "HLS playlist"),
        ("<?xml version='1.0'?><MPD type='static'><BaseURL>{url}</BaseURL></MPD>", "DASH manifest"),
        ("ffconcat version 1.0\nfile '{url}'\n", "concat script"),
    ],
)
@pytest.mark.parametrize("target", ["file", "http"])
def test_text_named_mp4_is_refused_and_nothing_it_names_is_touched(
    tmp_path: Path, good: Path, visitors: tuple[int, Callable[[], bool]], content: str, name: str, target: str
) -> None:
    port, came = visitors
    url = good.as_uri() if target == "file" else f"http://127.0.0.1:{port}/film.mp4"
    with pytest.raises(InputRejected, match=name) as refused:
        probe(written(tmp_path, "film.mp4", content.format(url=url)))
    assert refused.value.code == CANNOT_OPEN
    assert not came()


def test_manifest_that_got_past_the_sniffer_would_still_open_nothing(
    tmp_path: Path, good: Path, visitors: tuple[int, Callable[[], bool]]
) -> None:
    """The second wall alone: ffmpeg without the jail, with the options that every source gets."""
    port, came = visitors
    for number, url in enumerate((str(good), f"http://127.0.0.1:{port}/film.mp4")):
        bait = written(tmp_path, f"{number}.mp4", f"ffconcat version 1.0\nfile '{url}'\n")
        for chosen in ("mov", "matroska", "mpegts"):
            tried = subprocess.run(
                [str(jail.binary("ffmpeg")), "-v", "error", *input_options(chosen), "-i", str(bait), "-f", "null", "-"],
                capture_output=True,
            )
            assert tried.returncode != 0
    assert not came()


def test_sound_alone_is_refused(media: Path) -> None:
    with pytest.raises(InputRejected, match="only audio") as refused:
        probe(ffmpeg(media / "sound.mp4", *AUDIO, "-c:a", "aac"))
    assert refused.value.code == NO_VIDEO


@pytest.mark.parametrize("name", ["many.mp4", "many.mkv"])
def test_two_hundred_streams_are_refused(media: Path, name: str) -> None:
    tone = (
        "-f",
        "lavfi",
        "-i",
        "sine=frequency=440:duration=0.1",
        *("-map", "0:a") * 200,
        "-c:a",
        "aac",
        "-b:a",
        "16k",
    )
    with pytest.raises(InputRejected, match="more than 64 tracks") as refused:
        probe(ffmpeg(media / name, *tone))
    assert refused.value.code == UNSUPPORTED


def test_picture_of_16000_by_16000_is_refused_in_time_and_memory(media: Path) -> None:
    huge = ffmpeg(media / "huge.mp4", "-f", "lavfi", "-i", "color=size=16000x16000:rate=1:duration=1", *X264)
    with pytest.raises(InputRejected, match="16000 x 16000") as refused:
        probe(huge, replace(PROBE_LIMITS, address_space_bytes=600 << 20, wall_s=10))
    assert refused.value.code == UNSUPPORTED


def test_picture_whose_container_lies_about_its_size_is_not_decoded(media: Path) -> None:
    huge = ffmpeg(media / "huge2.mp4", "-f", "lavfi", "-i", "color=size=16000x16000:rate=1:duration=1", *X264)
    size = (16000).to_bytes(2, "big") * 2
    lying = patched(huge, "lying.mp4", size, (320).to_bytes(2, "big") + (180).to_bytes(2, "big"))
    with pytest.raises(InputRejected) as refused:
        probe(lying, replace(PROBE_LIMITS, address_space_bytes=600 << 20, wall_s=10))
    assert refused.value.code in (UNSUPPORTED, MALFORMED)


def test_duration_that_is_no_number_is_refused(media: Path, good: Path) -> None:
    film = ffmpeg(media / "film.mkv", "-i", str(good), "-c", "copy")
    assert probe(film).duration_s == pytest.approx(1, abs=0.1)
    for name, value in (("nan.mkv", float("nan")), ("negative.mkv", -1000.0), ("endless.mkv", float("inf"))):
        with pytest.raises(InputRejected, match="no duration") as refused:
            probe(with_duration(film, name, value))
        assert refused.value.code == MALFORMED
    with pytest.raises(InputRejected, match="at most 86400 s") as long:
        probe(with_duration(film, "year.mkv", 365 * 86_400_000.0))
    assert long.value.code == UNSUPPORTED


def test_cut_off_file_is_refused(media: Path, good: Path) -> None:
    front = ffmpeg(media / "front.mp4", "-i", str(good), "-c", "copy", "-movflags", "faststart")
    back = ffmpeg(media / "back.mp4", "-i", str(good), "-c", "copy")
    matroska = ffmpeg(media / "back.mkv", "-i", str(good), "-c", "copy")
    for number, (source, size_bytes) in enumerate(
        [
            (front, -10_000),
            (back, -10_000),
            (back, -100),
            (back, 40),
            (back, 30_000),
            (matroska, -10_000),
            (matroska, 30),
        ]
    ):
        with pytest.raises(InputRejected) as refused:
            probe(cut(source, f"cut{number}", size_bytes))
        assert refused.value.code == TRUNCATED, (number, refused.value)


def test_damaged_file_is_refused(media: Path, good: Path) -> None:
    for box in (b"moov", b"stsd", b"avcC", b"mdat"):
        with pytest.raises(InputRejected) as refused:
            probe(noise(good, f"damaged-{box.decode()}.mp4", box))
        assert refused.value.code in (MALFORMED, UNSUPPORTED, NO_VIDEO, TRUNCATED), box


def test_missing_decoder_is_named(media: Path) -> None:
    with pytest.raises(InputRejected, match="codec ffv1 is not supported") as ffv1:
        probe(ffmpeg(media / "ffv1.mkv", *VIDEO, "-c:v", "ffv1"))
    with pytest.raises(InputRejected, match="cinepak track") as strange:
        probe(ffmpeg(media / "cinepak.mov", *VIDEO, "-c:v", "cinepak"))
    assert ffv1.value.code == strange.value.code == UNSUPPORTED


def test_encrypted_film_is_refused(media: Path, good: Path, tmp_path: Path) -> None:
    key = (
        b"--enable_raw_key_encryption\n--keys=label=:key_id="
        + b"01" * 16
        + b":key="
        + b"23" * 16
        + b"\n--clear_lead=0\n"
    )
    packaged = jail.run(
        [str(jail.binary("packager")), "in=/in/good.mp4,stream=video,output=/out/e.mp4", "--flagfile=/secrets/keys"],
        inputs={good: "good.mp4"},
        output_dir=tmp_path,
        limits=jail.Limits(),
        secrets={"keys": key},
    )
    assert packaged.ok, packaged
    with pytest.raises(InputRejected, match="encrypted") as refused:
        probe(tmp_path / "e.mp4")
    assert refused.value.code == UNSUPPORTED


def test_absurd_pixel_shape_and_frame_rate_are_refused(media: Path) -> None:
    wide = ffmpeg(media / "wide.mp4", *VIDEO, "-vf", "setsar=100/1", *X264)
    with pytest.raises(InputRejected, match="aspect ratio"):
        probe(wide)
    fast = ffmpeg(media / "fast.mkv", "-f", "lavfi", "-i", "testsrc2=size=64x64:rate=1000:duration=0.2", *X264)
    with pytest.raises(InputRejected, match="1000 frames per second"):
        probe(fast)


def test_probe_that_takes_too_long_is_the_files_fault(good: Path) -> None:
    with pytest.raises(InputRejected, match="did not finish within") as refused:
        probe(good, replace(PROBE_LIMITS, wall_s=0.0))
    assert refused.value.code == MALFORMED


def test_rejection_survives_a_durable_store() -> None:
    original = InputRejected(TRUNCATED, "cut off")
    again = pickle.loads(pickle.dumps(original))
    assert (again.code, again.message, str(again)) == (TRUNCATED, "cut off", "1076: cut off")


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=40), st.booleans()
)
def test_file_with_any_bytes_changed_is_read_or_refused(
    good: Path, tmp_path: Path, changes: list[tuple[float, int]], index_only: bool
) -> None:
    data = bytearray(good.read_bytes())
    start = data.index(b"moov") if index_only else 0
    for where, value in changes:
        data[start + int(where * (len(data) - start))] = value
    path = tmp_path / "changed.mp4"
    path.write_bytes(data)
    try:
        assert isinstance(probe(path), Probed)
    except InputRejected as refused:
        assert refused.message.endswith((".", "?"))


# What ffprobe says is not believed

HONEST: dict[str, Any] = {
    "streams": [
        {
            "index": 0, "codec_type": "video", "codec_name": "h264", "width": 320, "height": 180, "pix_fmt": "yuv420p",
            "sample_aspect_ratio": "1:1", "r_frame_rate": "25/1", "avg_frame_rate": "25/1", "time_base": "1/12800",
            "profile": "High", "level": 12, "field_order": "progressive", "color_range": "tv", "duration": "1.0",
            "disposition": {"default": 1}, "tags": {"language": "eng"}, "side_data_list": [{"rotation": -90}],
        },
        {"index": 1, "codec_type": "audio", "codec_name": "aac", "channels": 2, "sample_rate": "48000"},
    ],
    "packets": [{"stream_index": 0, "pts": 512 * number} for number in range(10)],
}  # fmt: skip
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3),
)


def test_words_with_a_meaning_to_a_command_line_are_dropped() -> None:
    document = copy.deepcopy(HONEST)
    document["streams"][0] |= {"pix_fmt": "yuv420p", "color_range": "tv;movie=/etc/passwd", "profile": "a'b"}
    document["streams"][0]["tags"]["language"] = "e\ng"
    document["streams"][1] |= {"channel_layout": "stereo[out];", "codec_name": "../aac"}
    (video,), (audio,), _ = read_streams(document, sample_packets=600)
    assert (video.color_range, video.profile, video.language) == ("", "", "")
    assert (audio.channel_layout, audio.codec, audio.decodable) == ("", "unknown", False)


@given(st.sampled_from(sorted(HONEST["streams"][0])), ANYTHING)
def test_any_value_of_any_field_is_read_or_refused(field: str, value: object) -> None:
    document = copy.deepcopy(HONEST)
    document["streams"][0][field] = value
    try:
        read_streams(document, sample_packets=600)
    except InputRejected as refused:
        assert refused.message.endswith(".")
    except (KeyError, TypeError, ValueError, AttributeError):
        pass  # probe() turns these into a refusal


# MediaConvert's shape


def check_shape(value: object, shape: Any) -> None:
    """Fail for a member, a type or an enum value that botocore's model does not know."""
    if shape.type_name == "structure":
        assert isinstance(value, dict)
        assert set(value) <= set(shape.members), set(value) - set(shape.members)
        for name, member in value.items():
            check_shape(member, shape.members[name])
    elif shape.type_name == "list":
        assert isinstance(value, list)
        for item in value:
            check_shape(item, shape.member)
    elif shape.type_name == "string" and shape.enum:
        assert value in shape.enum
    else:
        report = ParamValidator().validate(value, shape)
        assert not report.has_errors(), report.generate_report()


@pytest.mark.parametrize("name", ["good.mp4", "interlaced.ts", "full.mkv"])
def test_result_is_of_mediaconverts_shape(media: Path, good: Path, name: str) -> None:
    if name == "interlaced.ts":
        flags = ("-flags", "+ildct+ilme", "-vf", "interlace")
        ffmpeg(media / name, *VIDEO, *AUDIO, *flags, "-c:v", "mpeg2video", "-c:a", "ac3")
    elif name == "full.mkv":
        written(media, "full.srt", "1\n00:00:00,000 --> 00:00:01,000\nhi\n")
        streams = ("-i", str(good), "-i", str(media / "full.srt"), "-map", "0", "-map", "1", "-c:v", "copy")
        ffmpeg(media / name, *streams, "-c:a", "pcm_s16le", "-c:s", "srt", "-metadata:s:a", "language=fra")
    result = to_probe_result(probe(media / name), etag='"abc"', last_modified=datetime(2023, 11, 14, tzinfo=UTC))
    model = botocore.session.get_session().get_service_model("mediaconvert")
    check_shape(result, model.operation_model("Probe").output_shape.members["ProbeResults"].member)
    mapping = result["TrackMappings"][0]
    assert mapping["VideoTrackIndexes"] == [1]
    assert mapping["AudioTrackIndexes"] == [2]
    assert mapping["DataTrackIndexes"] == ([3] if name == "full.mkv" else [])


def test_result_tells_what_the_ladder_needs(good: Path) -> None:
    result = to_probe_result(probe(good), etag='"abc"')
    video, audio = result["Container"]["Tracks"]
    assert result["Container"]["Format"] == "mp4"
    assert (video["Codec"], audio["Codec"]) == ("AVC", "AAC")
    properties = video["VideoProperties"]
    assert (properties["Width"], properties["Height"], properties["Rotation"]) == (320, 180, 0)
    assert properties["FrameRate"] == {"Numerator": 25, "Denominator": 1}
    assert properties["DisplayAspectRatio"] == {"Numerator": 16, "Denominator": 9}
    assert audio["AudioProperties"]["Channels"] == 1
    assert result["Metadata"] == {"FileSize": good.stat().st_size, "MimeType": "video/mp4", "ETag": '"abc"'}
