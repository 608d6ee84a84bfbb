"""An unmodified boto3 client, a real S3 server, real conversions."""

from __future__ import annotations

import functools
import io
import itertools
import threading
from collections.abc import Iterator
from datetime import timedelta
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from PIL import Image

import caption_media
import mediaconvert_jobs as jobs
from localaws.media import transfer
from localaws.media.failures import JobCanceled
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


def test_one_job_with_all_five_kinds_of_groups_names_files_that_are_there(stack: Stack) -> None:
    both = {**jobs.video("_v", container="ISMV", Height=90), "AudioDescriptions": [jobs.aac()]}
    groups = {
        "CMAF_GROUP": jobs.cmaf(jobs.video("_v", Height=90), jobs.audio("_a"), destination="s3://media/five/cmaf"),
        "DASH_ISO_GROUP": jobs.dash(jobs.video("_v", container="MPD", Height=90), destination="s3://media/five/dash"),
        "HLS_GROUP": jobs.hls(jobs.hls_output(jobs.video("_v", Height=90)), destination="s3://media/five/hls"),
        "FILE_GROUP": jobs.file(jobs.video("_v", container="MP4", Height=90), destination="s3://media/five/file"),
        "MS_SMOOTH_GROUP": jobs.smooth(both, destination="s3://media/five/smooth"),
    }
    created = stack.submit(jobs.settings(*groups.values(), uri=SOURCE))
    done = stack.finished(created["Id"])
    assert done["Status"] == "COMPLETE", done.get("ErrorMessage")
    wait_for(lambda: len(stack.events(created["Id"])) == 3, 5)
    told = stack.events(created["Id"])[2]["detail"]["outputGroupDetails"]
    assert [group["type"] for group in told] == list(groups)
    named = {path for group in told for path in group.get("playlistFilePaths", [])}
    named |= {path for group in told for output in group["outputDetails"] for path in output.get("outputFilePaths", [])}
    kinds = ("cmaf.mpd", "cmaf.m3u8", "dash.mpd", "hls.m3u8", "hls_v.m3u8", "file_v.mp4", "smooth.ism", "smooth_v.ismv")
    assert named == {f"s3://media/five/{name}" for name in kinds}
    sizes = stack.objects("five/")
    assert all(sizes[path.removeprefix("s3://media/")] for path in named)
    assert sizes["five/smooth.ismc"]
    assert "\n".join(done["Messages"]["Info"]).count("encoding took") == 1


def test_a_job_of_two_inputs_tells_of_both_and_fetches_a_file_once(stack: Stack) -> None:
    film = jobs.file(jobs.video("", container="MP4"), destination="s3://media/stitched/film")
    inputs = [{"FileInput": SOURCE}, {"VideoGenerator": {"Duration": 500}}, {"FileInput": SOURCE}]
    created = stack.submit({"Inputs": inputs, "OutputGroups": [film]})
    done = stack.finished(created["Id"])
    assert done["Status"] == "COMPLETE", done.get("ErrorMessage")
    assert done["OutputGroupDetails"][0]["OutputDetails"][0]["DurationInMs"] == pytest.approx(2500, abs=50)
    wait_for(lambda: len(stack.events(created["Id"])) == 3, 5)
    told = stack.events(created["Id"])[1]["detail"]["inputDetails"]
    assert [(one["id"], one["uri"]) for one in told] == [(1, SOURCE), (2, SOURCE)]
    assert len([line for line in done["Messages"]["Info"] if line.startswith("fetching")]) <= 1


def test_a_job_carries_the_captions_of_its_source_into_its_pictures(stack: Stack, tmp_path: Path) -> None:
    hello = [*caption_media.POP_ON, *caption_media.words("HELLO"), caption_media.SHOW]
    path = caption_media.with_captions(tmp_path, {0: hello, 25: [caption_media.ERASE]})
    stack.s3.upload_file(str(path), "source", "inputs/captioned.mp4")
    said = {"SourceSettings": {"SourceType": "EMBEDDED", "EmbeddedSourceSettings": {}}}
    kinds = ({"DestinationType": "EMBEDDED"}, {"DestinationType": "BURN_IN"})
    described = [{"CaptionSelectorName": "said", "DestinationSettings": kind} for kind in kinds]
    output = {**jobs.video("_v", container="MP4"), "CaptionDescriptions": described}
    group = jobs.file(output, destination="s3://media/carried/film")
    created = stack.submit(
        jobs.settings(group, uri="s3://source/inputs/captioned.mp4", CaptionSelectors={"said": said})
    )
    done = stack.finished(created["Id"])
    assert done["Status"] == "COMPLETE", done.get("ErrorMessage")
    stack.s3.download_file("media", "carried/film_v.mp4", str(tmp_path / "made.mp4"))
    assert [words for words, *_ in caption_media.said(tmp_path / "made.mp4")] == ["HELLO"]


def test_a_job_with_captions_from_the_bucket(stack: Stack) -> None:
    stack.s3.put_object(Bucket="source", Key="captions.srt", Body=caption_media.SRT.encode())
    said = {
        "SourceSettings": {"SourceType": "SRT", "FileSourceSettings": {"SourceFile": "s3://source/captions.srt"}},
    }
    captions = {
        "NameModifier": "_en",
        "CaptionDescriptions": [{"CaptionSelectorName": "said", "DestinationSettings": {"DestinationType": "WEBVTT"}}],
    }
    film = jobs.file(jobs.video("_v", container="MP4"), captions, destination="s3://media/captioned/film")
    created = stack.submit(jobs.settings(film, uri=SOURCE, CaptionSelectors={"said": said}))
    done = stack.finished(created["Id"])
    assert done["Status"] == "COMPLETE", done.get("ErrorMessage")
    assert set(stack.objects("captioned/")) == {"captioned/film_v.mp4", "captioned/film_en.vtt"}
    stored = stack.s3.get_object(Bucket="media", Key="captioned/film_en.vtt")
    assert stored["ContentType"] == "text/vtt" and b"One &amp; only" in stored["Body"].read()
    wait_for(lambda: len(stack.events(created["Id"])) == 3, 5)
    details = stack.events(created["Id"])[2]["detail"]["outputGroupDetails"][0]["outputDetails"]
    assert details[1] == {
        "durationInMs": pytest.approx(1000, abs=50),
        "outputFilePaths": ["s3://media/captioned/film_en.vtt"],
    }


def test_a_job_reads_its_input_by_http_where_the_policy_lets_it(stack: Stack, tmp_path: Path) -> None:
    clip(tmp_path)
    handler = functools.partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    film = jobs.file(jobs.video("", container="MP4"), destination="s3://media/http/")
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        uri = f"http://127.0.0.1:{server.server_address[1]}/clip.mp4"
        try:
            done = stack.finished(stack.submit(jobs.settings(film, uri=uri))["Id"])
            stack.mediaconvert.put_policy(Policy={"HttpInputs": "DISALLOWED"})
            refused = stack.finished(stack.submit(jobs.settings(film, uri=uri))["Id"])
        finally:
            stack.mediaconvert.delete_policy()
            server.shutdown()
            thread.join()
    assert done["Status"] == "COMPLETE", done.get("ErrorMessage")
    assert set(stack.objects("http/")) == {"http/clip.mp4"}
    assert (refused["Status"], refused["ErrorCode"]) == ("ERROR", 3457)


def test_a_job_with_a_picture_from_the_bucket_in_an_output_of_two_sounds(stack: Stack) -> None:
    picture = io.BytesIO()
    Image.new("RGBA", (40, 20), "white").save(picture, "PNG")
    stack.s3.put_object(Bucket="source", Key="logo.png", Body=picture.getvalue())
    logo = {"ImageInserterInput": "s3://source/logo.png", "ImageX": 0, "ImageY": 0, "Layer": 1}
    video = jobs.video("", container="MOV", VideoPreprocessors={"ImageInserter": {"InsertableImages": [logo]}})
    louder = {**jobs.aac(), "AudioNormalizationSettings": {"TargetLkfs": -20.0}}
    film = jobs.file({**video, "AudioDescriptions": [jobs.aac(), louder]}, destination="s3://media/marked/film")
    done = stack.finished(stack.submit(jobs.settings(film, uri=SOURCE))["Id"])
    assert done["Status"] == "COMPLETE", done.get("ErrorMessage")
    assert set(stack.objects("marked/")) == {"marked/film.mov"}
    missing = {**logo, "ImageInserterInput": "s3://source/none.png"}
    video["VideoDescription"]["VideoPreprocessors"]["ImageInserter"]["InsertableImages"] = [missing]
    done = stack.finished(stack.submit(jobs.settings(jobs.file(video), uri=SOURCE))["Id"])
    assert (done["Status"], done["ErrorCode"]) == ("ERROR", 1404)


def test_whole_jobs_of_pictures_alone_of_broadcast_codecs_and_of_copies(stack: Stack) -> None:
    picture = io.BytesIO()
    Image.new("RGB", (64, 36), "white").save(picture, "PNG")
    stack.s3.put_object(Bucket="source", Key="card.png", Body=picture.getvalue())
    still = {"VideoGenerator": {"Duration": 400, "ImageInput": "s3://source/card.png"}}
    mpeg2 = {"Codec": "MPEG2", "Mpeg2Settings": {"Bitrate": 1_000_000, "InterlaceMode": "TOP_FIELD"}}
    gif = jobs.video("_g", container="GIF", codec={"Codec": "GIF"}, Height=36)
    mxf = jobs.video("_m", container="MXF", codec=mpeg2, TimecodeInsertion="PIC_TIMING_SEI")
    told = jobs.video("_a", container="MP4", AfdSignaling="FIXED", FixedAfd=10)
    card = {"Inputs": [still], "OutputGroups": [jobs.file(gif, mxf, told, destination="s3://media/card/card")]}
    copied = jobs.video("", container="MOV", codec={"Codec": "PASSTHROUGH"})
    copy = jobs.settings(jobs.file(copied, destination="s3://media/copied/film"), uri=SOURCE)
    ids = [stack.submit(settings)["Id"] for settings in (card, copy)]
    for done in (stack.finished(one) for one in ids):
        assert done["Status"] == "COMPLETE", done.get("ErrorMessage")
    assert set(stack.objects("card/")) == {"card/card_g.gif", "card/card_m.mxf", "card/card_a.mp4"}
    assert set(stack.objects("copied/")) == {"copied/film.mov"}


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
    told = events[2]["detail"]
    assert (told["blackVideoDetected"], told["blackSegments"], told["paddingInserted"]) == (0, [], 0)
    cmaf, file = told["outputGroupDetails"]
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
    xavc = jobs.settings(jobs.cmaf(jobs.video("_v", codec={"Codec": "XAVC"})))
    path = "outputGroups[0].outputs[0].videoDescription.codecSettings.codec"
    assert error_of(stack, xavc) == ("BadRequestException", f"{path}: XAVC is not offered yet")
    told = error_of(stack, small("x"), ElementalInferenceSettings={})[1]
    assert told.startswith("elementalInferenceSettings: ")
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


def test_an_upload_that_is_canceled_leaves_no_outputs(stack: Stack, tmp_path: Path) -> None:
    names = [f"{number}.mp4" for number in range(4)] + ["main.mpd"]
    uploads = [transfer.Upload(tmp_path / name, "media", f"half/{name}") for name in names]
    for upload in uploads:
        # The manifest is large, so that it is still on its way when the job is canceled.
        upload.path.write_bytes(bytes(8 << 20 if upload.is_manifest else 1000))
    store, cancel = transfer.Store(stack.config), threading.Event()
    there: list[dict[str, int]] = []

    def canceled_after_the_media(done: int, total: int) -> None:
        if done == 4000:
            there.append(stack.objects("half/"))
            cancel.set()

    with pytest.raises(JobCanceled):
        store.upload(uploads, cancel, canceled_after_the_media)
    store.close()
    assert len(there[0]) == 4 and not stack.objects("half/")


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
