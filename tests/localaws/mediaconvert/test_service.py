"""An unmodified boto3 client, a real S3 server, real conversions."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

import mediaconvert_jobs as jobs
from mediaconvert_speke import Speke
from mediaconvert_stack import Stack, outlived, running, wait_for
from sample_media import clip, ffmpeg

CLEARKEY = "e2719d58-a985-b3c9-781a-b030af78d30e"
SOURCE = "s3://source/inputs/clip.mp4"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("stack")
    with running(folder / "data") as one:
        one.s3.upload_file(str(clip(folder)), "source", "inputs/clip.mp4")
        yield one


def small(destination: str, *, encryption: dict[str, Any] | None = None) -> dict[str, Any]:
    members = {"Encryption": encryption} if encryption else {}
    group = jobs.cmaf(
        jobs.video("_v", Height=90), jobs.audio("_a"), destination=f"s3://media/{destination}/main", **members
    )
    poster = jobs.file(jobs.frames(most=1), destination=f"s3://media/{destination}/poster")
    return jobs.settings(group, poster, uri=SOURCE)


def refused(stack: Stack, code: str) -> Any:
    return pytest.raises(stack.mediaconvert.exceptions.from_code(code))


def test_a_job_from_create_to_complete(stack: Stack, speke: Speke) -> None:
    protection = jobs.encryption(speke.url, systems=(CLEARKEY,))
    created = stack.submit(
        small("one", encryption=protection), UserMetadata={"assetId": "a1"}, Queue="Default", Tags={"a": "b"}
    )
    assert created["Status"] == "SUBMITTED"
    assert created["Arn"].endswith(f":jobs/{created['Id']}") and created["Queue"].endswith(":queues/Default")
    done = stack.finished(created["Id"])
    assert done["Status"] == "COMPLETE", done.get("ErrorMessage")
    assert done["JobPercentComplete"] == 100 and done["UserMetadata"] == {"assetId": "a1"}
    timing = done["Timing"]
    assert timedelta() <= timing["StartTime"] - timing["SubmitTime"] and timing["FinishTime"] > timing["StartTime"]
    details = done["OutputGroupDetails"]
    assert details[0]["OutputDetails"][0]["VideoDetails"] == {"WidthInPx": 160, "HeightInPx": 90}
    assert details[0]["OutputDetails"][0]["DurationInMs"] == pytest.approx(1000, abs=50)
    assert "VideoDetails" not in details[0]["OutputDetails"][1]
    info = "\n".join(done["Messages"]["Info"])
    assert "role has no effect" in info and "encoding took" in info
    assert set(stack.objects("one/")) == {
        "one/main.mpd", "one/main.m3u8", "one/main_v.m3u8", "one/main_a.m3u8", "one/poster.0000000.jpg",
        "one/main_vinit.cmfv", "one/main_v_000000001.cmfv", "one/main_ainit.cmfa", "one/main_a_000000001.cmfa",
    }  # fmt: skip
    assert min(stack.objects("one/").values()) > 0
    head = stack.s3.head_object(Bucket="media", Key="one/main.mpd")
    assert head["ContentType"] == "application/dash+xml"
    wait_for(lambda: not stack.work(), 5)


def test_events_have_the_shape_of_aws(stack: Stack) -> None:
    created = stack.submit(small("events"), UserMetadata={"assetId": "a2"})
    stack.finished(created["Id"])
    wait_for(lambda: len(stack.events(created["Id"])) == 3, 5)
    events = stack.events(created["Id"])
    assert [event["detail"]["status"] for event in events] == ["PROGRESSING", "INPUT_INFORMATION", "COMPLETE"]
    for event in events:
        assert event["source"] == "aws.mediaconvert" and event["detail-type"] == "MediaConvert Job State Change"
        assert event["resources"] == [created["Arn"]] and event["detail"]["queue"] == created["Queue"]
        assert event["detail"]["userMetadata"] == {"assetId": "a2"}
    video = events[1]["detail"]["inputDetails"][0]["video"][0]
    assert (video["width"], video["height"], video["frameRate"]) == (320, 180, 25)
    cmaf, file = events[2]["detail"]["outputGroupDetails"]
    assert cmaf["type"] == "CMAF_GROUP"
    assert cmaf["playlistFilePaths"] == ["s3://media/events/main.mpd", "s3://media/events/main.m3u8"]
    assert "outputFilePaths" not in cmaf["outputDetails"][0]
    assert file["outputDetails"][0]["outputFilePaths"] == ["s3://media/events/poster.0000000.jpg"]


def test_one_token_is_one_job(stack: Stack) -> None:
    first = stack.submit(small("token"), ClientRequestToken="token-1")
    again = stack.submit(small("token"), ClientRequestToken="token-1")
    assert again["Id"] == first["Id"]
    with pytest.raises(ClientError) as refusal:
        stack.submit(small("other"), ClientRequestToken="token-1")
    assert refusal.value.response["Error"]["Code"] == "ConflictException"
    assert stack.finished(first["Id"])["Status"] == "COMPLETE"


def error_of(stack: Stack, settings: dict[str, Any], **members: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as refusal:
        stack.submit(settings, **members)
    error = refusal.value.response["Error"]
    return error["Code"], error["Message"]


def test_settings_that_are_not_offered_are_refused_by_path(stack: Stack) -> None:
    av1 = jobs.settings(jobs.cmaf(jobs.video("_v", codec={"Codec": "AV1"})))
    path = "outputGroups[0].outputs[0].videoDescription.codecSettings.codec"
    assert error_of(stack, av1) == ("BadRequestException", f"{path}: AV1 is not offered yet")
    assert error_of(stack, small("x"), SimulateReservedQueue="ENABLED")[1].startswith("simulateReservedQueue: ")
    assert "userMetadata" in error_of(stack, small("x"), UserMetadata={"k": "v" * 257})[1]


def test_jobs_are_listed_in_pages(stack: Stack) -> None:
    stack.mediaconvert.create_queue(Name="listed")
    made = [stack.submit(small(f"list{number}"), Queue="listed")["Id"] for number in range(3)]
    newest = stack.mediaconvert.list_jobs(Queue="listed", MaxResults=2)
    rest = stack.mediaconvert.list_jobs(Queue="listed", MaxResults=2, NextToken=newest["NextToken"])
    assert [job["Id"] for job in newest["Jobs"] + rest["Jobs"]] == made[::-1] and "NextToken" not in rest
    oldest = stack.mediaconvert.list_jobs(Queue=newest["Jobs"][0]["Queue"], Order="ASCENDING")
    assert [job["Id"] for job in oldest["Jobs"]] == made
    for job_id in made:
        stack.finished(job_id)
    complete = stack.mediaconvert.list_jobs(Queue="listed", Status="COMPLETE")
    assert len(complete["Jobs"]) == 3
    # First come, first served, one at a time.
    ended = [job["Timing"] for job in complete["Jobs"]][::-1]
    assert all(before["FinishTime"] <= after["StartTime"] for before, after in itertools.pairwise(ended))
    with pytest.raises(ClientError, match="nextToken"):
        stack.mediaconvert.list_jobs(NextToken="bm9uZQ==")


def test_unknown_jobs_are_not_found(stack: Stack) -> None:
    for call in (stack.mediaconvert.get_job, stack.mediaconvert.cancel_job):
        with pytest.raises(stack.mediaconvert.exceptions.NotFoundException):
            call(Id="1671477617078-2886ye")


def test_endpoints_lead_here(stack: Stack) -> None:
    assert stack.mediaconvert.describe_endpoints()["Endpoints"] == [{"Url": stack.config.aws_url}]


def failing(stack: Stack, settings: dict[str, Any]) -> tuple[int, str]:
    job = stack.submit(settings)
    done = stack.finished(job["Id"])
    assert done["Status"] == "ERROR"
    wait_for(lambda: stack.events(job["Id"])[-1]["detail"]["status"] == "ERROR", 5)
    detail = stack.events(job["Id"])[-1]["detail"]
    assert (detail["errorCode"], detail["errorMessage"]) == (done["ErrorCode"], done["ErrorMessage"])
    wait_for(lambda: not stack.work(), 5)
    return done["ErrorCode"], done["ErrorMessage"]


def test_a_source_that_is_not_there(stack: Stack) -> None:
    code, told = failing(stack, jobs.settings(jobs.cmaf(jobs.video("_v")), uri="s3://source/none.mp4"))
    assert code == 1404 and "s3://source/none.mp4 does not exist" in told


def test_a_destination_that_is_not_there(stack: Stack) -> None:
    group = jobs.cmaf(jobs.video("_v"), destination="s3://nobodys-bucket/x/")
    code, told = failing(stack, jobs.settings(group, uri=SOURCE))
    assert code in (1401, 1404) and "nobodys-bucket" in told


@pytest.mark.parametrize(("content", "code"), [(b"", 1010), (b"only text", 1010), (b"#EXTM3U\n/etc/passwd\n", 1010)])
def test_a_source_that_is_no_film(stack: Stack, content: bytes, code: int) -> None:
    stack.s3.put_object(Bucket="source", Key="inputs/bad.mp4", Body=content)
    assert failing(stack, jobs.settings(jobs.cmaf(jobs.video("_v")), uri="s3://source/inputs/bad.mp4"))[0] == code


def test_audio_only_has_no_video_to_convert(stack: Stack, tmp_path: Path) -> None:
    sound = ffmpeg(tmp_path / "a.mp4", "-f", "lavfi", "-i", "sine=duration=1", "-c:a", "aac")
    stack.s3.upload_file(str(sound), "source", "inputs/sound.mp4")
    assert failing(stack, jobs.settings(jobs.cmaf(jobs.video("_v")), uri="s3://source/inputs/sound.mp4"))[0] == 1020


def test_settings_that_do_not_fit_the_source(stack: Stack) -> None:
    video = jobs.video("_v", codec=jobs.h264(GopSize=40, GopSizeUnits="FRAMES"))
    code, told = failing(stack, jobs.settings(jobs.cmaf(video), uri=SOURCE))
    assert code == 1040 and "fragmentLength" in told


def test_a_key_provider_that_says_no(stack: Stack, speke: Speke) -> None:
    speke.answer = lambda body: (403, b"")
    code, told = failing(stack, small("keys", encryption=jobs.encryption(speke.url, systems=(CLEARKEY,))))
    assert code == 1091 and "403" in told
    assert not stack.objects("keys/")


def test_probe(stack: Stack) -> None:
    found = stack.mediaconvert.probe(InputFiles=[{"FileUrl": SOURCE}])["ProbeResults"][0]
    assert [track["TrackType"] for track in found["Container"]["Tracks"]] == ["video", "audio"]
    with pytest.raises(stack.mediaconvert.exceptions.NotFoundException):
        stack.mediaconvert.probe(InputFiles=[{"FileUrl": "s3://source/none"}])
    stack.s3.put_object(Bucket="source", Key="empty.mp4", Body=b"")
    with pytest.raises(stack.mediaconvert.exceptions.BadRequestException, match="empty"):
        stack.mediaconvert.probe(InputFiles=[{"FileUrl": "s3://source/empty.mp4"}])


def test_a_job_after_a_probe_fetches_nothing_again(stack: Stack) -> None:
    stack.mediaconvert.probe(InputFiles=[{"FileUrl": SOURCE}])
    done = stack.finished(stack.submit(small("handed"))["Id"])
    assert not [line for line in done["Messages"]["Info"] if line.startswith("fetching")]


def long_job(stack: Stack, tmp_path: Path) -> dict[str, Any]:
    """Settings of a job that takes about ten seconds of one core."""
    picture = "testsrc2=size=640x360:rate=25:duration=40,noise=alls=40:allf=t"
    film = ffmpeg(tmp_path / "long.mp4", "-f", "lavfi", "-i", picture, "-c:v", "libx264", "-preset", "ultrafast")
    stack.s3.upload_file(str(film), "source", "inputs/long.mp4")
    outputs = [jobs.video(f"_{n}", codec=jobs.h264(QualityTuningLevel="MULTI_PASS_HQ")) for n in range(2)]
    group = jobs.cmaf(*outputs, destination=f"s3://media/{tmp_path.name}/main")
    return jobs.settings(group, uri="s3://source/inputs/long.mp4")


def test_cancel_ends_the_work_within_two_seconds(stack: Stack, tmp_path: Path) -> None:
    job = stack.submit(long_job(stack, tmp_path), StatusUpdateInterval="SECONDS_10")
    waiting = stack.submit(small("waits"))
    wait_for(lambda: stack.job(job["Id"]).get("CurrentPhase") == "TRANSCODING" and stack.encoders(), 30)
    encoders = stack.encoders()
    assert stack.job(waiting["Id"])["Status"] == "SUBMITTED"
    stack.mediaconvert.cancel_job(Id=waiting["Id"])
    stack.mediaconvert.cancel_job(Id=job["Id"])
    assert stack.job(job["Id"])["Status"] == "CANCELED"
    assert not outlived(encoders, 2), "an encoder outlived the cancel"
    wait_for(lambda: not stack.work(), 3)
    assert not stack.objects(f"{tmp_path.name}/") and not stack.objects("waits/")
    for job_id in (job["Id"], waiting["Id"]):
        assert stack.job(job_id)["Status"] == "CANCELED"
        assert stack.events(job_id)[-1]["detail"]["status"] == "CANCELED"
        with pytest.raises(stack.mediaconvert.exceptions.ConflictException):
            stack.mediaconvert.cancel_job(Id=job_id)


def test_no_content_key_is_left_anywhere(stack: Stack, speke: Speke) -> None:
    from mediaconvert_speke import CONTENT_KEYS
    from penstock.formats import cpix

    job = stack.submit(small("secret", encryption=jobs.encryption(speke.url, systems=(CLEARKEY,))))
    assert stack.finished(job["Id"])["Status"] == "COMPLETE"
    kids = [key.kid for key in cpix.parse(speke.requests[0][1]).keys]
    secrets = [CONTENT_KEYS.content_key("asset-1", kid).reveal() for kid in kids]
    folders = [stack.config.state_dir, stack.config.data_dir / "endpoint.log"]
    files = [path for folder in folders for path in ([folder] if folder.is_file() else folder.rglob("*"))]
    for path in (path for path in files if path.is_file()):
        content = path.read_bytes()
        for secret in secrets:
            assert secret not in content and secret.hex().encode() not in content.lower(), path


def test_the_settings_come_back_as_they_were_sent(stack: Stack) -> None:
    settings = small("same")
    job = stack.submit(settings, StatusUpdateInterval="SECONDS_30")
    found = stack.finished(job["Id"])
    assert found["Settings"] == settings
    assert found["StatusUpdateInterval"] == "SECONDS_30"
