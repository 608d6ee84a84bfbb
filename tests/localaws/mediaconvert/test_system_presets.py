"""Presets and job templates that AWS brings along, as job files of others name them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

import mediaconvert_jobs as jobs
from localaws.mediaconvert.account import arns, system
from localaws.mediaconvert.answers import table as settings_table
from localaws.mediaconvert.settings import request
from mediaconvert_stack import Stack, running
from sample_media import clip

SOURCE = "s3://source/inputs/clip.mp4"


def preset(name: str) -> dict[str, Any]:
    found = system.resource(arns.PRESETS, name)
    assert found is not None, name
    return dict(found["Settings"])


@pytest.mark.parametrize("name", system.names(arns.PRESETS))
def test_every_known_preset_is_an_output_that_can_be_made(name: str) -> None:
    output = preset(name)
    group = {"MP4": jobs.file, "M3U8": jobs.hls, "MPD": jobs.dash, "CMFC": jobs.cmaf}
    made = group[output["ContainerSettings"]["Container"]]({**output, "NameModifier": "_a"})
    settings_table.check({"Role": "r", "Settings": jobs.settings(made)})
    request.read(jobs.settings(made))


@pytest.mark.parametrize(
    ("name", "size", "rate", "members"),
    [
        ("System-Ott_Hls_Ts_Avc_Aac_16x9_480x270p_15Hz_0.4Mbps", (480, 270), (15_000, 1001), {"Bitrate": 400_000}),
        ("System-Ott_Hls_Ts_Avc_Aac_16x9_1280x720p_30Hz_1500Kbps", (1280, 720), (30_000, 1001), {"Bitrate": 1_500_000}),
        (
            *("System-Ott_Cmaf_Cmfc_Avc_16x9_Sdr_416x234p_30Hz_0.36Mbps_Qvbr_Vq7", (416, 234), (30_000, 1001)),
            {"RateControlMode": "QVBR", "MaxBitrate": 360_000, "QvbrSettings": {"QvbrQualityLevel": 7}},
        ),
        (
            *("System-Ott_Cmaf_Cmfc_Avc_16x9_Sdr_960x540p_30Hz_2.5Mbps_Cbr", (960, 540), (30_000, 1001)),
            {"RateControlMode": "CBR", "Bitrate": 2_500_000},
        ),
        (
            *("System-Avc_16x9_1080p_29_97fps_8500kbps", (1920, 1080), (30_000, 1001)),
            {"RateControlMode": "CBR", "Bitrate": 8_500_000},
        ),
        ("System-Avc_4x3_480p_29_97fps_600kbps", (640, 480), (30_000, 1001), {"Bitrate": 600_000}),
    ],
)
def test_a_preset_sets_what_its_name_says(
    name: str, size: tuple[int, int], rate: tuple[int, int], members: dict[str, Any]
) -> None:
    video = preset(name)["VideoDescription"]
    coded = video["CodecSettings"]["H264Settings"]
    assert (video["Width"], video["Height"]) == size
    assert (coded["FramerateNumerator"], coded["FramerateDenominator"]) == rate
    assert coded.items() >= members.items()


@pytest.mark.parametrize(
    ("name", "bitrate", "profile"),
    [
        ("System-Avc_4x3_480p_29_97fps_600kbps", 64_000, "HEV1"),
        ("System-Ott_Hls_Ts_Avc_Aac_16x9_1280x720p_30Hz_3.5Mbps", 96_000, "HEV1"),
        ("System-Ott_Dash_Mp4_Aac_He_96Kbps", 96_000, "HEV1"),
        ("System-Generic_Hd_Mp4_Avc_Aac_16x9_1280x720p_24Hz_4.5Mbps", 160_000, "LC"),
    ],
)
def test_sound_of_a_preset(name: str, bitrate: int, profile: str) -> None:
    (sound,) = preset(name)["AudioDescriptions"]
    aac = sound["CodecSettings"]["AacSettings"]
    assert (aac["Bitrate"], aac["CodecProfile"]) == (bitrate, profile)


@pytest.mark.parametrize("name", ["System-Xdcam_HD_1080i_29_97fps_35mpbs", "System-", "System-Avc_16x9_1080p", "films"])
def test_a_name_that_tells_nothing_is_no_preset(name: str) -> None:
    assert system.resource(arns.PRESETS, name) is None


def test_outputs_of_a_template_are_called_as_aws_calls_them() -> None:
    found = system.resource(arns.TEMPLATES, "System-Ott_Cmaf_Cmfc_Avc_Aac_Sdr_Qvbr")
    assert found is not None
    outputs = found["Settings"]["OutputGroups"][0]["Outputs"]
    assert outputs[0] == {
        "Preset": "System-Ott_Cmaf_Cmfc_Avc_16x9_Sdr_1920x1080p_30Hz_10Mbps_Qvbr_Vq9",
        "NameModifier": "_Ott_Cmaf_Cmfc_Avc_16x9_Sdr_1920x1080p_30Hz_10000Kbps_Qvbr_Vq9",
    }
    assert outputs[-1]["NameModifier"] == "_Ott_Cmaf_Cmfc_Aac_He_64Kbps"
    hevc = system.resource(arns.TEMPLATES, "System-Ott_Hls_Ts_Hevc_Aac")
    assert hevc is not None
    named = [output["NameModifier"] for output in hevc["Settings"]["OutputGroups"][0]["Outputs"]]
    assert named[0] == "_Ott_Hls_Ts_Hevc_16x9_640x360p_24Hz_800Kbps"
    assert named[-1] == "_Ott_Hls_Ts_Hevc_16x9_1600x1200p_24Hz_6000Kbps"


# By an unmodified client


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("stack")
    with running(folder / "data") as one:
        one.s3.upload_file(str(clip(folder)), "source", "inputs/clip.mp4")
        yield one


def test_they_are_listed_apart_and_cannot_be_changed(stack: Stack) -> None:
    client = stack.mediaconvert
    pages = client.get_paginator("list_presets").paginate(ListBy="SYSTEM")
    listed = [one["Name"] for page in pages for one in page["Presets"]]
    assert listed == system.names(arns.PRESETS) and client.list_presets()["Presets"] == []
    templates = client.list_job_templates(ListBy="SYSTEM")["JobTemplates"]
    assert {one["Type"] for one in templates} == {"SYSTEM"} and client.list_job_templates()["JobTemplates"] == []
    shown = client.get_preset(Name=listed[0])["Preset"]
    assert shown["Arn"] == f"arn:aws:mediaconvert:us-east-1:000000000000:presets/{listed[0]}"
    for refused in (
        lambda: client.delete_preset(Name=listed[0]),
        lambda: client.update_preset(Name=listed[0], Description="mine"),
        lambda: client.create_preset(Name=listed[0], Settings={}),
    ):
        with pytest.raises(ClientError):
            refused()
    assert client.get_preset(Name=listed[0])["Preset"] == shown


def test_a_job_of_a_system_template_makes_its_outputs(stack: Stack) -> None:
    group = {"Type": "CMAF_GROUP_SETTINGS", "CmafGroupSettings": {"Destination": "s3://media/system/"}}
    job = stack.submit(
        {"Inputs": [{"FileInput": SOURCE}], "OutputGroups": [{"OutputGroupSettings": group}]},
        JobTemplate="arn:aws:mediaconvert:us-east-2:111122223333:jobTemplates/System-Ott_Cmaf_Cmfc_Avc_Aac_Sdr_Qvbr",
    )
    job = stack.finished(job["Id"], 240)
    assert job["Status"] == "COMPLETE", job
    told = json.dumps(job["Messages"])
    assert "AWS does not publish the rest" in told and "no encoder here makes HE-AAC" in told
    made = job["OutputGroupDetails"][0]["OutputDetails"]
    assert {one["VideoDetails"]["HeightInPx"] for one in made if "VideoDetails" in one} >= {1080, 810, 720, 540, 234}
    names = stack.objects("system/clip_Ott_Cmaf_Cmfc_")
    assert any("1920x1080p_30Hz_10000Kbps_Qvbr_Vq9" in name for name in names)
    assert "system/clip_Ott_Cmaf_Cmfc_Aac_He_64Kbps.m3u8" in names
