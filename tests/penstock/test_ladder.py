import json
from fractions import Fraction

import botocore.session
import pytest
from botocore.validate import ParamValidator
from hypothesis import assume, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from localaws.mediaconvert.answers import table as settings_table
from localaws.mediaconvert.settings import request
from penstock import ladder
from penstock.errors import SourceRejected
from penstock.ladder import SourceProperties

ASSET = "0f8fad5b-d9cb-469f-a165-70867728950e"


def probe(width=1920, height=1080, rate=(30, 1), channels=2, **more):
    """A ProbeResult as boto3 gives it. `more`: members of VideoProperties; duration, coded_rate and codec apart."""
    duration, coded, codec = more.pop("duration", 30.0), more.pop("coded_rate", None), more.pop("codec", "AVC")
    properties = {
        "Width": width,
        "Height": height,
        "FrameRate": dict(zip(("Numerator", "Denominator"), rate, strict=True)),
    }
    if coded:
        properties["CodecMetadata"] = {"CodedFrameRate": dict(zip(("Numerator", "Denominator"), coded, strict=True))}
    tracks = [{"Index": 1, "TrackType": "video", "Codec": codec, "VideoProperties": properties | more}]
    if channels:
        audio = {"Channels": channels, "SampleRate": 48000}
        tracks.append({"Index": 2, "TrackType": "audio", "Codec": "AAC", "AudioProperties": audio})
    return {"Container": {"Format": "mp4", "Duration": duration, "Tracks": tracks}}


def settings(source: SourceProperties, poster=True):
    return ladder.job_settings(
        source,
        input_uri="s3://penstock-source/inputs/a b+%.mp4",
        destination_uri=f"s3://penstock-media/assets/{ASSET}/default",
        speke_url="https://video.example/speke/v2/copyProtection",
        asset_id=ASSET,
        poster=poster,
    )


def sizes(**source):
    return [(rung.width_px, rung.height_px) for rung in ladder.rungs(ladder.source_properties(probe(**source)))]


def h264(job):
    outputs = job["OutputGroups"][0]["Outputs"]
    return [o["VideoDescription"]["CodecSettings"]["H264Settings"] for o in outputs if "VideoDescription" in o]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ({}, [(1920, 1080), (1280, 720), (960, 540), (640, 360), (416, 234)]),
        ({"width": 1280, "height": 720}, [(1280, 720), (960, 540), (640, 360), (416, 234)]),
        ({"width": 1600, "height": 900}, [(1600, 900), (1280, 720), (960, 540), (640, 360), (416, 234)]),
        ({"width": 1920, "height": 804}, [(1920, 804), (1484, 622), (1112, 466), (742, 310), (482, 202)]),
        ({"width": 640, "height": 480}, [(640, 480), (554, 416), (360, 270)]),
        ({"width": 1000, "height": 562}, [(1000, 562), (640, 360), (416, 234)]),
        ({"width": 320, "height": 180}, [(320, 180)]),
        ({"width": 64, "height": 48}, [(64, 48)]),
        ({"width": 853, "height": 481}, [(852, 480), (640, 360), (416, 234)]),
        ({"width": 1080, "height": 1920}, [(1080, 1920), (720, 1280), (540, 960), (360, 640), (234, 416)]),
        ({"Rotation": 90}, [(1080, 1920), (720, 1280), (540, 960), (360, 640), (234, 416)]),
        ({"Rotation": -90, "width": 320, "height": 180}, [(180, 320)]),
        ({"Rotation": 180, "width": 320, "height": 180}, [(320, 180)]),
    ],
)
def test_renditions_follow_the_size_and_shape_of_the_source(source, expected):
    assert sizes(**source) == expected


def test_anamorphic_sources_get_square_pixels():
    pal = {"width": 720, "height": 576, "SampleAspectRatio": {"Numerator": 64, "Denominator": 45}}
    assert sizes(**pal)[0] == (1024, 576)
    assert sizes(**pal, Rotation=90)[0] == (576, 1024)


def test_4k_starts_at_2160p_and_an_8k_source_does_not_go_beyond_it():
    assert sizes(width=3840, height=2160)[:3] == [(3840, 2160), (2560, 1440), (1920, 1080)]
    assert sizes(width=7680, height=4320)[0] == (3840, 2160)
    assert max(sizes(width=8192, height=800)[0]) == 4096


@pytest.mark.parametrize(
    ("rate", "expected"),
    [
        ((24000, 1001), Fraction(24000, 1001)),
        ((24, 1), Fraction(24)),
        ((2997, 100), Fraction(30000, 1001)),
        ((25, 2), Fraction(25, 2)),
        ((18, 1), Fraction(18)),
        ((60, 1), Fraction(60)),
        ((60000, 1001), Fraction(60000, 1001)),
        ((120, 1), Fraction(60)),
        ((120000, 1001), Fraction(60000, 1001)),
        ((100, 1), Fraction(50)),
        ((144, 1), Fraction(48)),
        ((240, 1), Fraction(60)),
        ((10000000, 333333), Fraction(30)),
        ((356147, 15000), Fraction(24000, 1001)),
        ((1, 1), Fraction(1)),
        ((111, 127), Fraction(1)),
    ],
)
def test_the_rate_is_exact_common_and_at_most_60(rate, expected):
    assert ladder.source_properties(probe(rate=rate)).frame_rate == expected


@pytest.mark.parametrize(
    ("average", "coded", "expected"),
    [
        ((29, 1), (90000, 1), Fraction(30000, 1001)),
        ((37, 2), (30, 1), Fraction(20)),
        ((18, 1), (60, 1), Fraction(20)),
        ((25, 1), (50, 1), Fraction(25)),
        ((18, 1), (36, 1), Fraction(18)),
    ],
)
def test_a_variable_rate_becomes_a_constant_one_that_loses_no_frame(average, coded, expected):
    assert ladder.source_properties(probe(rate=average, coded_rate=coded)).frame_rate == expected


@pytest.mark.parametrize(
    ("channels", "mode", "bitrate_bps"),
    [(1, "CODING_MODE_1_0", 64000), (2, "CODING_MODE_2_0", 128000), (6, "CODING_MODE_2_0", 128000)],
)
def test_mono_stays_mono_and_more_than_two_channels_become_stereo(channels, mode, bitrate_bps):
    job = settings(ladder.source_properties(probe(channels=channels)))
    aac = job["OutputGroups"][0]["Outputs"][-1]["AudioDescriptions"][0]["CodecSettings"]["AacSettings"]
    assert (aac["CodingMode"], aac["Bitrate"]) == (mode, bitrate_bps)


def test_a_source_without_audio_gets_no_audio_output_and_no_selector():
    job = settings(ladder.source_properties(probe(channels=0)))
    assert "AudioSelectors" not in job["Inputs"][0]
    assert not any("AudioDescriptions" in output for output in job["OutputGroups"][0]["Outputs"])


def test_cover_art_is_not_the_picture():
    result = probe(width=600, height=600, codec="MJPEG", channels=0)
    result["Container"]["Tracks"] += probe(width=1280, height=720)["Container"]["Tracks"]
    assert ladder.source_properties(result).width_px == 1280


def test_the_poster_is_never_the_only_output_group():
    source = ladder.source_properties(probe(duration=1.0))
    assert [g["OutputGroupSettings"]["Type"] for g in settings(source)["OutputGroups"]] == [
        "CMAF_GROUP_SETTINGS",
        "FILE_GROUP_SETTINGS",
    ]
    assert len(settings(source, poster=False)["OutputGroups"]) == 1


def test_the_key_provider_is_asked_for_keys_of_this_asset_for_video_and_audio():
    encryption = settings(ladder.source_properties(probe()))["OutputGroups"][0]["OutputGroupSettings"][
        "CmafGroupSettings"
    ]["Encryption"]
    assert encryption["EncryptionMethod"] == "SAMPLE_AES" and "ClearLeadSegments" not in encryption
    assert encryption["SpekeKeyProvider"]["ResourceId"] == ASSET


@pytest.mark.parametrize(
    ("broken", "word"),
    [
        ({"Container": {"Tracks": probe()["Container"]["Tracks"][1:]}}, "video track"),
        ({}, "video track"),
        (probe(width=16000, height=16000), "16000x16000"),
        (probe(width=0), "0x1080"),
        (probe(width=None), "picture"),
        (probe(width=4096, height=20), "4096x20"),
        (probe(duration=float("nan")), "duration is nan"),
        (probe(duration=float("inf")), "duration"),
        (probe(duration=-1.0), "duration"),
        (probe(duration=0), "duration"),
        (probe(duration="x"), "duration"),
        (probe(rate=(0, 0)), "frame rate is unknown"),
        (probe(rate=(90000, 1)), "frame rate is 90000"),
        (probe(SampleAspectRatio={"Numerator": 100, "Denominator": 1}), "aspect ratio is 100:1"),
        ({"Container": {"Tracks": probe()["Container"]["Tracks"] * 100}}, "200 tracks"),
    ],
)
def test_a_source_nothing_can_be_made_of_is_refused_by_property(broken, word):
    with pytest.raises(SourceRejected, match=word):
        ladder.rungs(ladder.source_properties(broken))


probes = st.builds(
    probe,
    width=st.integers(1, 8192),
    height=st.integers(1, 8192),
    rate=st.tuples(st.integers(1, 240_000), st.integers(1, 2002)),
    channels=st.integers(0, 8),
    Rotation=st.sampled_from([0, 90, 180, 270, -90]),
    SampleAspectRatio=st.fixed_dictionaries({"Numerator": st.integers(1, 99), "Denominator": st.integers(10, 99)}),
)


@given(probes)
def test_no_ladder_upscales_distorts_or_leaves_what_mediaconvert_takes(result):
    try:
        source = ladder.source_properties(result)
        rungs = ladder.rungs(source)
    except SourceRejected:
        assume(False)
    areas = [rung.width_px * rung.height_px for rung in rungs]
    assert areas == sorted(areas, reverse=True) and len(set(areas)) == len(areas)
    for rung in rungs:
        assert rung.width_px <= source.width_px and rung.height_px <= source.height_px
        assert rung.width_px % 2 == 0 and rung.height_px % 2 == 0
        assert min(rung.width_px, rung.height_px) >= 32 and max(rung.width_px, rung.height_px) <= 4096
        # Even sides are at most one pixel off the true shape.
        assert abs(rung.width_px * source.height_px - rung.height_px * source.width_px) <= 2 * (
            source.height_px + source.width_px
        )
    assert 0 < source.frame_rate <= 60 * Fraction(2001, 2000)
    assert [rung.max_bitrate_bps for rung in rungs] == sorted((r.max_bitrate_bps for r in rungs), reverse=True)


@hypothesis_settings(max_examples=30)
@given(probes)
def test_every_ladder_is_a_create_job_that_botocore_and_localaws_accept(result):
    try:
        job = settings(ladder.source_properties(result))
    except SourceRejected:
        assume(False)
    shape = botocore.session.get_session().get_service_model("mediaconvert").operation_model("CreateJob").input_shape
    report = ParamValidator().validate({"Role": "arn:aws:iam::1:role/r", "Settings": job}, shape)
    assert not report.has_errors(), report.generate_report()
    settings_table.check({"Settings": job})
    request.read(job)
    modifiers = [output["NameModifier"] for output in job["OutputGroups"][0]["Outputs"]]
    assert len(set(modifiers)) == len(modifiers)
    group = job["OutputGroups"][0]["OutputGroupSettings"]["CmafGroupSettings"]
    gops = {
        (x["GopSize"], x["GopClosedCadence"], x["FramerateNumerator"], x["FramerateDenominator"]) for x in h264(job)
    }
    assert len(gops) == 1, "renditions with different GOPs cannot be switched between"
    assert group["FragmentLength"] % h264(job)[0]["GopSize"] == 0
    assert group["SegmentLength"] % group["FragmentLength"] == 0


def test_the_job_of_a_1080p_film(golden):
    """The whole document for a film in 1080p with 5.1, which is what people compare with their own job.json."""
    job = settings(ladder.source_properties(probe(rate=(24000, 1001), channels=6)))
    golden("ladder/film-1080p.json", json.dumps(job, indent=2) + "\n")
