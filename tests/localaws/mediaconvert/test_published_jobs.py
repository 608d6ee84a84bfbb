"""Job settings in the shape in which consoles export them and AWS's samples publish them: everything spelled out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import mediaconvert_jobs as jobs
from localaws.mediaconvert.answers import table as settings_table
from localaws.mediaconvert.settings import request
from sample_media import clip

M3U8 = {
    "AudioFramesPerPes": 4,
    "AudioPids": list(range(482, 499)),
    "PatInterval": 0,
    "PcrControl": "PCR_EVERY_PES_PACKET",
    "PmtInterval": 0,
    "PmtPid": 480,
    "PrivateMetadataPid": 503,
    "ProgramNumber": 1,
    "Scte35Pid": 500,
    "Scte35Source": "NONE",
    "TimedMetadata": "NONE",
    "TimedMetadataPid": 502,
    "VideoPid": 481,
}
H264 = {
    "AdaptiveQuantization": "HIGH",
    "CodecLevel": "AUTO",
    "CodecProfile": "HIGH",
    "DynamicSubGop": "ADAPTIVE",
    "EntropyEncoding": "CABAC",
    "FieldEncoding": "PAFF",
    "FlickerAdaptiveQuantization": "ENABLED",
    "FramerateControl": "INITIALIZE_FROM_SOURCE",
    "FramerateConversionAlgorithm": "DUPLICATE_DROP",
    "GopBReference": "ENABLED",
    "GopClosedCadence": 1,
    "GopSize": 3,
    "GopSizeUnits": "SECONDS",
    "HrdBufferInitialFillPercentage": 90,
    "HrdBufferSize": 3_750_000,
    "InterlaceMode": "PROGRESSIVE",
    "MaxBitrate": 1_500_000,
    "MinIInterval": 0,
    "NumberBFramesBetweenReferenceFrames": 5,
    "NumberReferenceFrames": 3,
    "ParControl": "SPECIFIED",
    "ParDenominator": 1,
    "ParNumerator": 1,
    "QualityTuningLevel": "SINGLE_PASS_HQ",
    "QvbrSettings": {"QvbrQualityLevel": 7},
    "RateControlMode": "QVBR",
    "RepeatPps": "DISABLED",
    "SceneChangeDetect": "ENABLED",
    "Slices": 1,
    "SlowPal": "DISABLED",
    "Softness": 0,
    "SpatialAdaptiveQuantization": "ENABLED",
    "Syntax": "DEFAULT",
    "Telecine": "NONE",
    "TemporalAdaptiveQuantization": "ENABLED",
    "UnregisteredSeiTimecode": "DISABLED",
}
ACL = {"S3Settings": {"AccessControl": {"CannedAcl": "PUBLIC_READ"}, "StorageClass": "STANDARD"}}


def pictures(codec: dict[str, Any], height: int) -> dict[str, Any]:
    return {
        "AfdSignaling": "NONE",
        "AntiAlias": "ENABLED",
        "CodecSettings": codec,
        "ColorMetadata": "INSERT",
        "DropFrameTimecode": "ENABLED",
        "Height": height,
        "RespondToAfd": "NONE",
        "ScalingBehavior": "DEFAULT",
        "Sharpness": 50,
        "TimecodeInsertion": "DISABLED",
        "Width": height * 16 // 9,
    }


def sound(profile: str, **members: Any) -> dict[str, Any]:
    aac = {
        "AudioDescriptionBroadcasterMix": "NORMAL",
        "Bitrate": 96_000,
        "CodecProfile": profile,
        "CodingMode": "CODING_MODE_2_0",
        "RateControlMode": "CBR",
        "RawFormat": "NONE",
        "SampleRate": 48_000,
        "Specification": "MPEG4",
    }
    codec = {"Codec": "AAC", "AacSettings": aac}
    return {
        "AudioTypeControl": "FOLLOW_INPUT",
        "CodecSettings": codec,
        "LanguageCodeControl": "FOLLOW_INPUT",
        **members,
    }


def hls_group(*heights: int) -> dict[str, Any]:
    outputs = [
        {
            "AudioDescriptions": [sound("HEV1", AudioSourceName="Audio Selector 1", AudioType=0)],
            "ContainerSettings": {"Container": "M3U8", "M3u8Settings": M3U8},
            "NameModifier": f"_{height}",
            "OutputSettings": {
                "HlsSettings": {
                    "AudioGroupId": "program_audio",
                    "AudioRenditionSets": "program_audio",
                    "IFrameOnlyManifest": "EXCLUDE",
                    "SegmentModifier": "$dt$",
                }
            },
            "VideoDescription": pictures({"Codec": "H_264", "H264Settings": H264}, height),
        }
        for height in heights
    ]
    own = {
        "AdMarkers": [],
        "CaptionLanguageMappings": [],
        "CaptionLanguageSetting": "OMIT",
        "ClientCache": "ENABLED",
        "CodecSpecification": "RFC_4281",
        "Destination": "s3://media/HLS/",
        "DestinationSettings": ACL,
        "DirectoryStructure": "SINGLE_DIRECTORY",
        "ManifestCompression": "NONE",
        "ManifestDurationFormat": "INTEGER",
        "MinFinalSegmentLength": 0,
        "MinSegmentLength": 0,
        "OutputSelection": "MANIFESTS_AND_SEGMENTS",
        "ProgramDateTime": "EXCLUDE",
        "ProgramDateTimePeriod": 600,
        "SegmentControl": "SEGMENTED_FILES",
        "SegmentLength": 6,
        "StreamInfResolution": "INCLUDE",
        "TimedMetadataId3Frame": "PRIV",
        "TimedMetadataId3Period": 10,
    }
    settings = {"Type": "HLS_GROUP_SETTINGS", "HlsGroupSettings": own}
    return {"CustomName": "HLS", "Name": "Apple HLS", "OutputGroupSettings": settings, "Outputs": outputs}


def file_group(name: str, output: dict[str, Any]) -> dict[str, Any]:
    own = {"Destination": f"s3://media/{name}/", "DestinationSettings": ACL}
    settings = {"Type": "FILE_GROUP_SETTINGS", "FileGroupSettings": own}
    return {"CustomName": name, "Name": "File Group", "OutputGroupSettings": settings, "Outputs": [output]}


def exported() -> dict[str, Any]:
    mp4 = {
        # No audio source name: the input's default.
        "AudioDescriptions": [sound("LC")],
        "ContainerSettings": {
            "Container": "MP4",
            "Mp4Settings": {
                "CslgAtom": "INCLUDE",
                "FreeSpaceBox": "EXCLUDE",
                "MoovPlacement": "PROGRESSIVE_DOWNLOAD",
            },
        },
        "VideoDescription": pictures({"Codec": "H_264", "H264Settings": H264}, 180),
    }
    capture = {"FramerateDenominator": 1, "FramerateNumerator": 1, "MaxCaptures": 500, "Quality": 80}
    thumbnails = {
        "ContainerSettings": {"Container": "RAW"},
        "VideoDescription": pictures({"Codec": "FRAME_CAPTURE", "FrameCaptureSettings": capture}, 180),
    }
    source = {
        "AudioSelectors": {"Audio Selector 1": {"DefaultSelection": "DEFAULT", "Offset": 0, "ProgramSelection": 1}},
        "DeblockFilter": "DISABLED",
        "DenoiseFilter": "DISABLED",
        "FileInput": "s3://source/inputs/film.mp4",
        "FilterEnable": "AUTO",
        "FilterStrength": 0,
        "InputScanType": "AUTO",
        "PsiControl": "USE_PSI",
        "TimecodeSource": "ZEROBASED",
        "VideoSelector": {"AlphaBehavior": "DISCARD", "ColorSpace": "FOLLOW", "Rotate": "DEGREE_0"},
    }
    return {
        "AdAvailOffset": 0,
        "FollowSource": 1,
        "Inputs": [source],
        "OutputGroups": [hls_group(180, 90), file_group("MP4", mp4), file_group("Thumbnails", thumbnails)],
        "TimecodeConfig": {"Source": "ZEROBASED"},
    }


def test_a_job_with_every_setting_spelled_out_is_taken() -> None:
    told = settings_table.check({"Role": "r", "Settings": exported()})
    request.read(exported())
    assert any("cannedAcl has no effect: the store keeps no ACLs" in line for line in told)
    assert "HE-AAC" in json.dumps(jobs.planned(exported()).warnings)


def test_it_makes_what_it_says(tmp_path: Path, convert: Any) -> None:
    done = convert(clip(tmp_path), exported())
    names = sorted(done.files)
    assert "HLS/film.m3u8" in names and "HLS/film_180.m3u8" in names and "MP4/film.mp4" in names
    assert "Thumbnails/film.0000000.jpg" in names
    segments = [name for name in names if name.startswith("HLS/film_90") and name.endswith(".ts")]
    assert segments and all("20" in name for name in segments)
    assert "mp4a.40.2" in done.text("HLS/film.m3u8")
