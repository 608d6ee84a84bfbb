"""What CreateJob carries is honoured or refused by its path."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.model import StructureShape
from botocore.session import get_session

import mediaconvert_jobs as jobs
from localaws.mediaconvert import request, settings_table
from localaws.mediaconvert.rules import Refused
from localaws.mediaconvert.settings_table import SettingRefused

MODEL = get_session().get_service_model("mediaconvert")
SPEKE = "http://127.0.0.1:1/speke"


def create(settings: dict[str, Any], **members: Any) -> dict[str, Any]:
    return {"Role": "arn:aws:iam::000000000000:role/r", "Settings": settings, **members}


def refusal(settings: dict[str, Any], **members: Any) -> str:
    with pytest.raises(SettingRefused) as refused:
        settings_table.check(create(settings, **members))
        request.read(settings)
    return str(refused.value)


@pytest.mark.parametrize("name", sorted(settings_table.TABLE))
def test_every_row_of_the_table_is_a_member_of_the_model(name: str) -> None:
    shape = MODEL.shape_for(name)
    assert isinstance(shape, StructureShape)
    for member, rule in settings_table.TABLE[name].items():
        assert member in shape.members
        enum = getattr(shape.members[member], "enum", None)
        if not isinstance(rule, Refused) and rule.only is not None and enum:
            assert rule.only <= set(enum), f"{name}.{member} allows what the model does not have"


def test_the_table_answers_for_every_member_that_create_job_has() -> None:
    missed = [
        f"{shape.name}.{member}"
        for _, shape in settings_table.shapes()
        for member in shape.members
        if member not in settings_table.TABLE.get(shape.name, {})
    ]
    assert not missed, "say what becomes of these"
    answered = {shape.name for _, shape in settings_table.shapes()}
    assert answered >= settings_table.TABLE.keys(), "rows of shapes that no request can reach"


def test_settings_without_effect_are_told() -> None:
    settings = jobs.settings(jobs.cmaf(jobs.video("_v")))
    told = settings_table.check(create(settings, JobEngineVersion="v", BillingTagsSource="QUEUE"))
    assert [line.split()[0] for line in told] == ["role", "jobEngineVersion", "billingTagsSource"]


def test_a_setting_that_is_not_offered_is_named_by_its_path() -> None:
    av1 = jobs.video("_v", codec={"Codec": "AV1", "Av1Settings": {}})
    told = refusal(jobs.settings(jobs.cmaf(jobs.video("_1"), av1)))
    assert told == "outputGroups[0].outputs[1].videoDescription.codecSettings.codec: AV1 is not offered yet"


CODEC = "outputGroups[0].outputs[0].videoDescription.codecSettings"
GROUP = "outputGroups[0].outputGroupSettings"


@pytest.mark.parametrize(
    ("settings", "path"),
    [
        (jobs.settings(jobs.cmaf(jobs.video("_v")), CaptionSelectors={"c": {}}), "inputs[0].captionSelectors"),
        (jobs.settings(jobs.cmaf(jobs.video("_v")), Crop={"X": 2}), "inputs[0].crop"),
        (jobs.settings(jobs.cmaf(jobs.video("_v", VideoPreprocessors={"Deinterlacer": {}}))),
         "outputGroups[0].outputs[0].videoDescription.videoPreprocessors"),
        (jobs.settings(jobs.cmaf(jobs.video("_v", codec=jobs.h264(InterlaceMode="TOP_FIELD")))),
         f"{CODEC}.h264Settings.interlaceMode"),
        (jobs.settings(jobs.cmaf(jobs.video("_v", codec=jobs.h264(GopClosedCadence=0)))),
         f"{CODEC}.h264Settings.gopClosedCadence"),
        (jobs.settings(jobs.cmaf(jobs.video("_v"), SegmentLengthControl="MATCH")),
         f"{GROUP}.cmafGroupSettings.segmentLengthControl"),
        (jobs.settings({"OutputGroupSettings": {"Type": "MS_SMOOTH_GROUP_SETTINGS"}, "Outputs": []}), f"{GROUP}.type"),
        ({**jobs.settings(jobs.cmaf(jobs.video("_v"))), "MotionImageInserter": {}}, "motionImageInserter"),
    ],
)  # fmt: skip
def test_what_is_not_offered_is_refused(settings: dict[str, Any], path: str) -> None:
    assert refusal(settings).startswith(f"{path}: ")


def test_a_job_outside_settings_is_refused_by_its_own_name() -> None:
    told = refusal(jobs.settings(jobs.cmaf(jobs.video("_v"))), ElementalInferenceSettings={})
    assert told.startswith("elementalInferenceSettings: ")
    told = refusal(jobs.settings(jobs.cmaf(jobs.video("_v"))), AccelerationSettings={"Mode": "ENABLED"})
    assert told.startswith("accelerationSettings.mode: ENABLED")


def encrypted(**speke: Any) -> dict[str, Any]:
    given = {"systems": ("e2719d58-a985-b3c9-781a-b030af78d30e",), **speke}
    url = given.pop("url", SPEKE)
    return jobs.settings(jobs.cmaf(jobs.video("_v"), Encryption=jobs.encryption(url, **given)))


PROVIDER = f"{GROUP}.cmafGroupSettings.encryption.spekeKeyProvider"


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"Inputs": [], "OutputGroups": []}, "inputs: one input"),
        ({"Inputs": [{"FileInput": "s3://a/b"}] * 2, "OutputGroups": []}, "inputs: one input"),
        ({"Inputs": [{}], "OutputGroups": []}, "inputs[0].fileInput: an input is needed"),
        (jobs.settings(jobs.cmaf(jobs.video("_v")), uri="https://host/film.mp4"), "inputs[0].fileInput: must be s3://"),
        (jobs.settings(jobs.cmaf(jobs.video("_v")), uri="s3://b/../film.mp4"), "inputs[0].fileInput: the path"),
        ({"Inputs": [{"FileInput": "s3://a/b"}]}, "outputGroups: at least one"),
        (jobs.settings(jobs.cmaf()), "outputGroups[0].outputs: at least one"),
        (jobs.settings(jobs.file(jobs.frames())), "outputGroups: frame capture cannot be the only"),
        (jobs.settings(jobs.cmaf(jobs.video("_v"), destination="")), f"{GROUP}.cmafGroupSettings.destination: "),
        (jobs.settings(jobs.cmaf(jobs.video("_v"), destination="s3://b/$w$")), "the identifier $w$"),
        (jobs.settings(jobs.cmaf(jobs.video(""), jobs.video("_b"))), "outputs[0].nameModifier: is needed"),
        (jobs.settings(jobs.cmaf(jobs.video("_b"), jobs.video("_b"))), "outputs[1].nameModifier: is the same"),
        (jobs.settings(jobs.cmaf(jobs.video("$Number$"))), "the identifier $Number$ is not offered"),
        (jobs.settings(jobs.cmaf({"NameModifier": "_x"})), "outputs[0]: an output needs"),
        (jobs.settings(jobs.cmaf({**jobs.video("_x"), **jobs.audio("_x")})), "video and audio need outputs"),
        (jobs.settings(jobs.cmaf(jobs.video("_x", container="MP4"))), "MP4 does not belong"),
        (jobs.settings(jobs.cmaf(jobs.frames("_x")), jobs.cmaf(jobs.video("_v"))), "frame capture needs"),
        (jobs.settings(jobs.cmaf(jobs.video("_v", Width=321))), "videoDescription.width: 4:2:0 video"),
        (jobs.settings(jobs.cmaf(jobs.video("_v", codec={"Codec": "H_264"}))), "h264Settings.bitrate: is needed"),
        (jobs.settings(jobs.cmaf(jobs.video("_v", codec=jobs.h264(MaxBitrate=None)))), "h264Settings.maxBitrate"),
        (jobs.settings(jobs.cmaf(jobs.video("_v", codec=jobs.h264(GopSize=None)))), "h264Settings.gopSize: is needed"),
        (jobs.settings(jobs.cmaf(jobs.video("_v", codec=jobs.h264(GopSize=float("nan"))))), "gopSize: must be"),
        (jobs.settings(jobs.cmaf(jobs.video("_v", codec=jobs.h264(FramerateControl="SPECIFIED")))), "framerateNum"),
        (jobs.settings(jobs.cmaf(jobs.video("_v", codec=jobs.h264(QvbrSettings={"QvbrQualityLevelFineTune": 9.0})))),
         "qvbrQualityLevelFineTune: must be"),
        (jobs.settings(jobs.cmaf(jobs.audio("_a")), AudioSelectors={"x": {"Tracks": [1, 2]}}), "several tracks"),
        (jobs.settings(jobs.cmaf({"NameModifier": "_a", "AudioDescriptions": [
            {"AudioSourceName": "none", **jobs.aac()}]})), "audioSourceName: the input has no audio selector"),
        (jobs.settings(jobs.cmaf(jobs.video("_v"), SegmentLength=2, FragmentLength=4)), "fragmentLength: must not"),
        (jobs.settings(jobs.cmaf(jobs.video("_v"), MpdProfile="ON_DEMAND_PROFILE")), "mpdProfile: ON_DEMAND"),
        (jobs.settings(jobs.cmaf(jobs.video("_v"), WriteDashManifest="DISABLED", WriteHlsManifest="DISABLED")),
         "writeDashManifest: a DASH or an HLS"),
        (encrypted(url="http://keys.example.com/speke"), f"{PROVIDER}.url: must be https"),
        (encrypted(url="http://user:pw@127.0.0.1/speke"), f"{PROVIDER}.url: must name a host and no user"),
        (encrypted(url="https://h:port/"), f"{PROVIDER}.url: is not a URL"),
        (encrypted(ResourceId=None), f"{PROVIDER}.resourceId: is needed"),
        (encrypted(systems=()), f"{PROVIDER}.dashSignaledSystemIds: at least one"),
        (encrypted(EncryptionContractConfiguration=None), f"{PROVIDER}.encryptionContractConfiguration: SPEKE v1"),
        (encrypted(EncryptionContractConfiguration={"SpekeVideoPreset": "SHARED", "SpekeAudioPreset": "UNENCRYPTED"}),
         f"{PROVIDER}.encryptionContractConfiguration: needs both"),
    ],
)  # fmt: skip
def test_what_contradicts_itself_is_refused(settings: dict[str, Any], told: str) -> None:
    assert told in refusal(settings)


@pytest.mark.parametrize("url", ["https://keys.example.com/speke", "http://localhost:8080/s", "http://[::1]:8080/s"])
def test_keys_travel_over_tls_or_loopback(url: str) -> None:
    assert request.read(encrypted(url=url)).groups[0].packaging.encryption.url == url  # type: ignore[union-attr]
