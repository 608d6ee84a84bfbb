"""What a packaging configuration may ask for, and what is refused by its name on the wire."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.model import ListShape, Shape, StructureShape
from botocore.session import get_session

from localaws.media.failures import SettingRefused
from localaws.mediapackage_vod import configurations
from penstock.formats import contracts

Json = dict[str, Any]
PLAYREADY = "9a04f079-9840-4286-ab92-e65be0885f95"


def speke(**members: Any) -> Json:
    contract = {"PresetSpeke20Audio": "PRESET-AUDIO-1", "PresetSpeke20Video": "PRESET-VIDEO-1"}
    provider = {
        "EncryptionContractConfiguration": contract,
        "RoleArn": "arn:aws:iam::000000000000:role/r",
        "SystemIds": [PLAYREADY],
        "Url": "https://keys.example.com/speke",
    }
    return {"SpekeKeyProvider": {**provider, **members}}


def dash(**members: Any) -> Json:
    return {"DashPackage": {"DashManifests": [{}], **members}}


def hls(**members: Any) -> Json:
    return {"HlsPackage": {"HlsManifests": [{}], "UseAudioRenditionGroup": True, **members}}


def members(shape: Shape) -> Iterator[str]:
    """Every member that a package can have, at every depth."""
    if isinstance(shape, ListShape):
        yield from members(shape.member)
    elif isinstance(shape, StructureShape):
        for name, member in shape.members.items():
            yield name
            yield from members(member)


def test_every_member_of_every_package_is_honoured_kept_or_refused_by_name() -> None:
    request = get_session().get_service_model("mediapackage-vod").shape_for("CreatePackagingConfigurationRequest")
    assert isinstance(request, StructureShape)
    packages = {name for name in request.members if name.endswith("Package")}
    assert packages == set(configurations.MEMBERS)
    known = {name for package in packages for name in members(request.members[package])}
    answered = (configurations.HONOURED, configurations.KEPT, frozenset(configurations.REFUSED))
    assert frozenset().union(*answered) == known
    assert sum(map(len, answered)) == len(known)


def test_a_member_that_nobody_knows_is_refused() -> None:
    with pytest.raises(SettingRefused, match=r"dashPackage\.dashManifests\[0\]\.someday"):
        configurations.read(dash(DashManifests=[{"Someday": 1}]))


def test_defaults_are_those_of_aws() -> None:
    read = configurations.read(dash())
    assert (read.kind, read.segment_s, read.by_time, read.encryption) == ("dash", 6, False, None)
    assert read.manifests == (configurations.Manifest("index"),)
    assert configurations.read(hls(Encryption=speke())).whole_segments
    assert configurations.read({"HlsPackage": {"HlsManifests": [{}]}}).muxed and not configurations.read(hls()).muxed


def test_dash_is_encrypted_with_cenc_and_cmaf_with_cbcs() -> None:
    cmaf = {"CmafPackage": {"HlsManifests": [{}], "Encryption": speke()}}
    schemes = [configurations.read(one).encryption for one in (dash(Encryption=speke()), cmaf)]
    assert [encryption.scheme for encryption in schemes if encryption] == ["cenc", "cbcs"]


@pytest.mark.parametrize(("video", "audio"), [("PRESET-VIDEO-6", "PRESET-AUDIO-3"), ("UNENCRYPTED", "PRESET-AUDIO-1")])
def test_every_preset_is_taken_with_hyphens(video: str, audio: str) -> None:
    contract = {"PresetSpeke20Video": video, "PresetSpeke20Audio": audio}
    asked = configurations.read(dash(Encryption=speke(EncryptionContractConfiguration=contract))).encryption
    assert asked is not None and asked.speke_version == 2
    assert asked.contract == contracts.contract(video.replace("-", "_"), audio.replace("-", "_"))


def test_without_presets_speke_v1_is_spoken() -> None:
    without = speke()
    del without["SpekeKeyProvider"]["EncryptionContractConfiguration"]
    asked = configurations.read(dash(Encryption=without)).encryption
    assert asked is not None and asked.speke_version == 1 and asked.contract == contracts.ONE_KEY


HALF_SHARED = {"PresetSpeke20Audio": "SHARED", "PresetSpeke20Video": "PRESET-VIDEO-1"}


@pytest.mark.parametrize(
    ("params", "named"),
    [
        ({}, "exactly one is needed, got 0"),
        ({**dash(), **hls()}, "exactly one is needed, got 2"),
        ({"MssPackage": {"MssManifests": []}}, "mssPackage.mssManifests"),
        ({"DashPackage": {"DashManifests": []}}, "dashPackage.dashManifests"),
        (dash(IncludeIframeOnlyStream=True), "dashPackage.includeIframeOnlyStream"),
        (dash(IncludeEncoderConfigurationInSegments=True), "dashPackage.includeEncoderConfigurationInSegments"),
        (dash(PeriodTriggers=["ADS"]), "dashPackage.periodTriggers"),
        (dash(SegmentTemplateFormat="NUMBER_WITH_DURATION"), "dashPackage.segmentTemplateFormat"),
        (dash(SegmentDurationSeconds=-1), "dashPackage.segmentDurationSeconds"),
        (dash(DashManifests=[{}, {}]), "a name of its own"),
        (dash(DashManifests=[{"Profile": "HBBTV_1_5"}]), "dashPackage.dashManifests[0].profile"),
        (dash(DashManifests=[{"ScteMarkersSource": "SEGMENTS"}]), "dashManifests[0].scteMarkersSource"),
        (dash(DashManifests=[{"ManifestName": "../x"}]), "dashManifests[0].manifestName"),
        (dash(DashManifests=[{"StreamSelection": {"MinVideoBitsPerSecond": 2, "MaxVideoBitsPerSecond": 1}}]), "stream"),
        (hls(IncludeDvbSubtitles=True), "hlsPackage.includeDvbSubtitles"),
        (hls(HlsManifests=[{"AdMarkers": "PASSTHROUGH"}]), "hlsPackage.hlsManifests[0].adMarkers"),
        (hls(HlsManifests=[{"ProgramDateTimeIntervalSeconds": 5}]), "programDateTimeIntervalSeconds"),
        (hls(Encryption={**speke(), "EncryptionMethod": "SAMPLE_AES"}), "hlsPackage.encryption.encryptionMethod"),
        (hls(Encryption={**speke(), "ConstantInitializationVector": "12"}), "constantInitializationVector"),
        (dash(Encryption=speke(Url="http://keys.example.com")), "dashPackage.encryption.spekeKeyProvider.url"),
        (dash(Encryption=speke(SystemIds=[])), "spekeKeyProvider.systemIds"),
        (dash(Encryption=speke(SystemIds=["1", "2", "3"])), "spekeKeyProvider.systemIds"),
        (dash(Encryption=speke(EncryptionContractConfiguration=HALF_SHARED)), "SHARED must be set for both"),
    ],
)
def test_what_is_not_done_is_refused_by_name(params: Json, named: str) -> None:
    with pytest.raises(SettingRefused, match=r".+") as refused:
        configurations.read(params)
    assert named in str(refused.value)
