"""What CreateJob carries is honoured or refused by its path."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.model import StructureShape
from botocore.session import get_session

import mediaconvert_jobs as jobs
from localaws.media.failures import SettingRefused
from localaws.mediaconvert.answers import table as settings_table
from localaws.mediaconvert.answers.rules import Refused
from localaws.mediaconvert.settings import request

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
    xavc = jobs.video("_v", codec={"Codec": "XAVC", "XavcSettings": {}})
    told = refusal(jobs.settings(jobs.cmaf(jobs.video("_1"), xavc)))
    assert told == "outputGroups[0].outputs[1].videoDescription.codecSettings.codec: XAVC is not offered yet"


CODEC = "outputGroups[0].outputs[0].videoDescription.codecSettings"
GROUP = "outputGroups[0].outputGroupSettings"


@pytest.mark.parametrize(
    ("settings", "path"),
    [
        (jobs.settings(jobs.cmaf(jobs.video("_v")), CaptionSelectors={"c": {"SourceSettings": {"SourceType": "STL"}}}),
         "inputs[0].captionSelectors.c.sourceSettings.sourceType"),
        (jobs.settings(jobs.cmaf(jobs.video("_v")), Crop={"X": 2}), "inputs[0].crop"),
        (jobs.settings(jobs.cmaf(jobs.video("_v", VideoPreprocessors={"DolbyVision": {}}))),
         "outputGroups[0].outputs[0].videoDescription.videoPreprocessors.dolbyVision"),
        (jobs.settings(jobs.cmaf(jobs.video("_v", codec=jobs.h264(Telecine="SOFT")))),
         f"{CODEC}.h264Settings.telecine"),
        (jobs.settings(jobs.cmaf(jobs.video("_v"), SegmentLengthControl="MATCH")),
         f"{GROUP}.cmafGroupSettings.segmentLengthControl"),
        (jobs.settings({"OutputGroupSettings": {"Type": "FILE_GROUP_SETTINGS", "PerFrameMetrics": ["PSNR"]}}),
         f"{GROUP}.perFrameMetrics"),
        ({**jobs.settings(jobs.cmaf(jobs.video("_v"))), "MotionImageInserter": {}}, "motionImageInserter"),
    ],
)  # fmt: skip
def test_what_is_not_offered_is_refused(settings: dict[str, Any], path: str) -> None:
    assert refusal(settings).startswith(f"{path}: ")


def test_a_job_outside_settings_is_refused_by_its_own_name() -> None:
    told = refusal(jobs.settings(jobs.cmaf(jobs.video("_v"))), ElementalInferenceSettings={})
    assert told.startswith("elementalInferenceSettings: ")


def encrypted(**speke: Any) -> dict[str, Any]:
    given = {"systems": ("e2719d58-a985-b3c9-781a-b030af78d30e",), **speke}
    url = given.pop("url", SPEKE)
    return jobs.settings(jobs.cmaf(jobs.video("_v"), Encryption=jobs.encryption(url, **given)))


PROVIDER = f"{GROUP}.cmafGroupSettings.encryption.spekeKeyProvider"


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"Inputs": [], "OutputGroups": []}, "inputs: 1 to 150 inputs"),
        ({"Inputs": [{}], "OutputGroups": []}, "inputs[0].fileInput: an input is needed"),
        (jobs.settings(jobs.cmaf(jobs.video("_v")), uri="ftp://host/film.mp4"), "inputs[0].fileInput: must be s3://"),
        (jobs.settings(jobs.cmaf(jobs.video("_v")), uri="https://host/film.mp4?a=b"),
         "inputs[0].fileInput: must not have parameters"),
        (jobs.settings(jobs.cmaf(jobs.video("_v")), uri="https://user@host/film.mp4"), "fileInput: must be https://host"),
        (jobs.settings(jobs.cmaf(jobs.video("_v")), uri="s3://b/../film.mp4"), "inputs[0].fileInput: the path"),
        ({"Inputs": [{"FileInput": "s3://a/b"}]}, "outputGroups: at least one"),
        (jobs.settings(jobs.cmaf()), "outputGroups[0].outputs: at least one"),
        (jobs.settings(jobs.file(jobs.frames())), "outputGroups: frame capture cannot be the only"),
        (jobs.settings(jobs.cmaf(jobs.video("_v"), destination="")), f"{GROUP}.cmafGroupSettings.destination: "),
        (jobs.settings(jobs.cmaf(jobs.video("_v"), destination="s3://b/$w$")), "the identifier $w$"),
        (jobs.settings(jobs.cmaf(jobs.video(""), jobs.video(""))), "outputs[1].nameModifier: is needed"),
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
        (jobs.settings(jobs.cmaf(jobs.audio("_a")), AudioSelectors={"x": {"SelectorType": "PID"}}),
         "audioSelectors.x.pids: is needed"),
        (jobs.settings(jobs.cmaf(jobs.audio("_a")), AudioSelectors={"x": {"SelectorType": "LANGUAGE_CODE"}}),
         "x.languageCode: is needed"),
        (jobs.settings(jobs.cmaf(jobs.audio("_a")), AudioSelectorGroups={"g": {"AudioSelectorNames": ["x"]}}),
         "audioSelectorGroups.g.audioSelectorNames: the input has no audio selector named 'x'"),
        (jobs.settings(jobs.cmaf(jobs.video("_v")), InputClippings=[{}]), "inputClippings[0]: a startTimecode or"),
        (jobs.settings(jobs.cmaf(jobs.video("_v")), TimecodeStart="00:00:00:00"), "inputs[0].timecodeStart: goes"),
        (jobs.settings(jobs.cmaf(jobs.video("_v")), FilterEnable="FORCE"), "inputs[0].filterStrength: is needed"),
        (jobs.settings(jobs.cmaf(jobs.video("_v")), VideoGenerator={"Duration": 1}), "fileInput: an input is needed"),
        (jobs.settings(jobs.cmaf({"NameModifier": "_a", "AudioDescriptions": [
            {"AudioSourceName": "none", **jobs.aac()}]})), "audioSourceName: no input has an audio selector"),
        (jobs.settings(jobs.cmaf(jobs.video("_v"), SegmentLength=2, FragmentLength=4)), "fragmentLength: must not"),
        (jobs.settings(jobs.cmaf(jobs.video("_v"), MpdProfile="ON_DEMAND_PROFILE")), "mpdProfile: ON_DEMAND"),
        (jobs.settings(jobs.cmaf(jobs.video("_v"), WriteDashManifest="DISABLED", WriteHlsManifest="DISABLED")),
         "writeDashManifest: a DASH or an HLS"),
        (encrypted(url="http://keys.example.com/speke"), f"{PROVIDER}.url: must be https"),
        (encrypted(url="http://user:pw@127.0.0.1/speke"), f"{PROVIDER}.url: must name a host and no user"),
        (encrypted(url="https://h:port/"), f"{PROVIDER}.url: is not a URL"),
        (encrypted(ResourceId=None), f"{PROVIDER}.resourceId: is needed"),
        (encrypted(systems=()), f"{PROVIDER}.dashSignaledSystemIds: at least one"),
        (encrypted(EncryptionContractConfiguration={"SpekeVideoPreset": "PRESET_VIDEO_3"}),
         f"{PROVIDER}.encryptionContractConfiguration: needs a preset for video and one for audio"),
        (encrypted(EncryptionContractConfiguration={"SpekeVideoPreset": "SHARED", "SpekeAudioPreset": "UNENCRYPTED"}),
         f"{PROVIDER}.encryptionContractConfiguration: SHARED must be set for both"),
    ],
)  # fmt: skip
def test_what_contradicts_itself_is_refused(settings: dict[str, Any], told: str) -> None:
    assert told in refusal(settings)


@pytest.mark.parametrize("url", ["https://keys.example.com/speke", "http://localhost:8080/s", "http://[::1]:8080/s"])
def test_keys_travel_over_tls_or_loopback(url: str) -> None:
    assert request.read(encrypted(url=url)).groups[0].packaging.encryption.url == url  # type: ignore[union-attr]


def test_what_cannot_be_carried_over_is_told_where_it_is_asked_for() -> None:
    stream = {"Scte35Source": "PASSTHROUGH", "TimedMetadata": "PASSTHROUGH", "NielsenId3": "INSERT"}
    fragments = {"KlvMetadata": "PASSTHROUGH", "ManifestMetadataSignaling": "ENABLED", "TimedMetadataValue": "1"}
    picture = jobs.video("_c")
    picture["ContainerSettings"]["CmfcSettings"] = fragments
    group = jobs.hls(jobs.hls_output(jobs.video("_h"), m3u8=stream), AdMarkers=["ELEMENTAL"])
    told = settings_table.check(create(jobs.settings(group, jobs.cmaf(picture))))
    named = {one.partition(" has no effect: ")[0].rpartition(".")[2] for one in told}
    assert named == {
        "role",
        "adMarkers", "scte35Source", "timedMetadata", "nielsenId3", "klvMetadata", "manifestMetadataSignaling",
        "timedMetadataValue",
    }  # fmt: skip
    assert any(one.endswith("SCTE-35 messages and cues of the source are not carried over") for one in told)
    nothing = dict.fromkeys(stream, "NONE")
    quiet = settings_table.check(create(jobs.settings(jobs.hls(jobs.hls_output(jobs.video("_h"), m3u8=nothing)))))
    assert [one.partition(" ")[0] for one in quiet] == ["role"]


def test_objects_are_not_encrypted_by_the_store_which_is_told() -> None:
    def destination(**encryption: str) -> dict[str, Any]:
        stored = {"DestinationSettings": {"S3Settings": {"Encryption": encryption}}}
        return jobs.settings(jobs.cmaf(jobs.video("_v"), **stored))

    _, told = settings_table.check(create(destination(EncryptionType="SERVER_SIDE_ENCRYPTION_S3")))
    assert told.endswith("encryption.encryptionType has no effect: the store does not encrypt objects")
    by_kms = refusal(destination(EncryptionType="SERVER_SIDE_ENCRYPTION_KMS"))
    assert by_kms.endswith("s3Settings.encryption.encryptionType: SERVER_SIDE_ENCRYPTION_KMS is not offered yet")
