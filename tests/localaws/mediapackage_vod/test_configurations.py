"""What a packaging configuration may ask for, and what is refused by its name on the wire."""

from __future__ import annotations

from typing import Any

import pytest

from localaws.mediaconvert.settings_table import SettingRefused
from localaws.mediapackage_vod import configurations

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


def test_defaults_are_those_of_aws() -> None:
    read = configurations.read(dash())
    assert (read.kind, read.segment_s, read.by_time, read.encryption) == ("dash", 6, False, None)
    assert read.manifests == (configurations.Manifest("index"),)
    assert configurations.read(hls(Encryption=speke())).whole_segments


def test_dash_is_encrypted_with_cenc_and_cmaf_with_cbcs() -> None:
    cmaf = {"CmafPackage": {"HlsManifests": [{}], "Encryption": speke()}}
    schemes = [configurations.read(one).encryption for one in (dash(Encryption=speke()), cmaf)]
    assert [encryption.scheme for encryption in schemes if encryption] == ["cenc", "cbcs"]


WITHOUT_CONTRACT = speke()
del WITHOUT_CONTRACT["SpekeKeyProvider"]["EncryptionContractConfiguration"]


@pytest.mark.parametrize(
    ("params", "named"),
    [
        ({}, "exactly one is needed, got 0"),
        ({**dash(), **hls()}, "exactly one is needed, got 2"),
        ({"MssPackage": {"MssManifests": [{}]}}, "mssPackage"),
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
        ({"HlsPackage": {"HlsManifests": [{}]}}, "hlsPackage.useAudioRenditionGroup"),
        (hls(IncludeDvbSubtitles=True), "hlsPackage.includeDvbSubtitles"),
        (hls(HlsManifests=[{"AdMarkers": "PASSTHROUGH"}]), "hlsPackage.hlsManifests[0].adMarkers"),
        (hls(HlsManifests=[{"ProgramDateTimeIntervalSeconds": 5}]), "programDateTimeIntervalSeconds"),
        (hls(Encryption={**speke(), "EncryptionMethod": "SAMPLE_AES"}), "hlsPackage.encryption.encryptionMethod"),
        (hls(Encryption={**speke(), "ConstantInitializationVector": "12"}), "constantInitializationVector"),
        (dash(Encryption=WITHOUT_CONTRACT), "encryptionContractConfiguration"),
        (dash(Encryption=speke(Url="http://keys.example.com")), "dashPackage.encryption.spekeKeyProvider.url"),
        (dash(Encryption=speke(SystemIds=[])), "spekeKeyProvider.systemIds"),
        (dash(Encryption=speke(SystemIds=["1", "2", "3"])), "spekeKeyProvider.systemIds"),
        (
            dash(
                Encryption=speke(
                    EncryptionContractConfiguration={"PresetSpeke20Audio": "SHARED", "PresetSpeke20Video": "SHARED-NOT"}
                )
            ),
            "SHARED must be set for both",
        ),
    ],
)
def test_what_is_not_done_is_refused_by_name(params: Json, named: str) -> None:
    with pytest.raises(SettingRefused, match=r".+") as refused:
        configurations.read(params)
    assert named in str(refused.value)
