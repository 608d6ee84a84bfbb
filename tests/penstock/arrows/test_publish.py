"""From the end of a job to a published or a failed asset: outputs looked for, written once, told at least once."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest

import packaged_media
from arrows_that_die import Died, dying
from aws_stand import MEDIA, Stand
from localaws.wire import ServiceError
from penstock import ladder, ledger, publish
from penstock.errors import UpstreamError
from penstock.formats import dash, hls, smil
from penstock.formats.events import JobStateChange
from penstock.settings import Clients

ASSET = "0f8fad5b-d9cb-469f-a165-70867728950e"
FOLDER = f"assets/{ASSET}/default"
DETAIL: dict[str, Any] = {"errorCode": 1076, "errorMessage": "The file ends too early."}


@pytest.fixture(scope="session")
def stream(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the built-in ladder leaves: CMAF segments, an MPD and playlists, as Shaka Packager writes them."""
    folder = tmp_path_factory.mktemp("stream")
    packaged_media.by_packager(packaged_media.source(folder), folder / "stream", segments=True)
    return folder / "stream"


def ladder_job() -> dict[str, Any]:
    source = ladder.SourceProperties(320, 180, ladder.Fraction(25), 5.0, 2)
    return ladder.job_settings(
        source,
        input_uri=f"s3://penstock-source/inputs/{ASSET}/film.mp4",
        destination_uri=f"s3://{MEDIA}/{FOLDER}",
        speke_url="https://video.example/speke/v2/copyProtection",
        asset_id=ASSET,
        poster=True,
    )


def submitted(stand: Stand, settings: dict[str, Any], name: str = "default") -> str:
    """A job of ours that MediaConvert knows, with the marker that the watchfolder leaves."""
    metadata = {"assetId": ASSET, "settings": name, "application": "penstock"}
    job = stand.clients.mediaconvert.create_job(Role="r", Settings=settings, UserMetadata=metadata)["Job"]
    body = json.dumps({"assetId": ASSET, "settings": name, "jobId": job["Id"], "objectKey": "inputs/x/film.mp4"})
    stand.clients.s3.put_object(Bucket=MEDIA, Key=ledger.marker_key(ASSET, name), Body=body)
    return str(job["Id"])


def put(stand: Stand, key: str, body: bytes = b"media") -> None:
    stand.clients.s3.put_object(Bucket=MEDIA, Key=key, Body=body)


def put_stream(stand: Stand, stream: Path, folder: str = FOLDER) -> None:
    for path in stream.iterdir():
        put(stand, f"{folder}/stream/{path.name}", path.read_bytes())
    for number in (0, 1):
        put(stand, f"{folder}/poster/poster.000000{number}.jpg")


def end(
    stand: Stand, job_id: str, status: str = "COMPLETE", name: str = "default", clients: Clients | None = None
) -> None:
    """Let MediaConvert end the job and tell of it."""
    stand.mediaconvert.jobs[job_id]["Status"] = status
    metadata = {"assetId": ASSET, "settings": name, "application": "penstock"}
    event = JobStateChange(job_id, status, metadata, DETAIL if status == "ERROR" else {})
    publish.on_job_state_change(event, clients or stand.clients, stand.settings)


def pointer(stand: Stand, name: str = "default") -> dict[str, Any]:
    body = stand.clients.s3.get_object(Bucket=MEDIA, Key=ledger.pointer_key(ASSET, name))["Body"].read()
    return dict(json.loads(body))


def text_of(stand: Stand, key: str) -> bytes:
    return bytes(stand.clients.s3.get_object(Bucket=MEDIA, Key=key)["Body"].read())


def test_a_complete_ladder_is_published_with_manifests_for_viewers(stand: Stand, stream: Path) -> None:
    put_stream(stand, stream)
    job_id = submitted(stand, ladder_job())
    end(stand, job_id)
    [told] = stand.told("Asset Published")
    assert (
        told
        == pointer(stand)
        == {
            "assetId": ASSET,
            "settings": "default",
            "jobId": job_id,
            "dash": f"{FOLDER}/stream/main.viewer.mpd",
            "hls": f"{FOLDER}/stream/main.viewer.m3u8",
            "smil": None,
            "poster": f"{FOLDER}/poster/poster.0000001.jpg",
            "keyIds": [packaged_media.VIDEO_KID, packaged_media.AUDIO_KID],
            "keyTiers": {packaged_media.VIDEO_KID: "SD", packaged_media.AUDIO_KID: "AUDIO"},
            "durationMs": told["durationMs"],
            "objectKey": "inputs/x/film.mp4",
            "title": "film.mp4",
        }
    )
    assert told["durationMs"] == pytest.approx(5005, abs=50)
    viewers = text_of(stand, told["dash"])
    assert b"http://127.0.0.1:8080/v1/licenses/clearkey" in viewers and dash.CLEAR_KEY.encode() in viewers
    assert text_of(stand, f"{FOLDER}/stream/main.mpd") == (stream / "main.mpd").read_bytes()
    [video] = [n for n in hls.media_playlists(text_of(stand, told["hls"]).decode()) if "video" in n]
    assert hls.key_formats(text_of(stand, f"{FOLDER}/stream/{video}").decode()) == [hls.FAIRPLAY]


def test_the_same_end_told_again_publishes_nothing_anew(stand: Stand, stream: Path) -> None:
    put_stream(stand, stream)
    job_id = submitted(stand, ladder_job())
    end(stand, job_id)
    first = stand.clients.s3.head_object(Bucket=MEDIA, Key=ledger.pointer_key(ASSET, "default"))
    end(stand, job_id)
    again = stand.clients.s3.head_object(Bucket=MEDIA, Key=ledger.pointer_key(ASSET, "default"))
    assert (first["ETag"], first["LastModified"]) == (again["ETag"], again["LastModified"])
    assert stand.told("Asset Published") == [pointer(stand)] * 2


def test_a_crash_between_any_two_calls_publishes_once_and_loses_no_event(stand: Stand, stream: Path) -> None:
    for at in itertools.count():
        stand.empty()
        put_stream(stand, stream)
        job_id = submitted(stand, ladder_job())
        try:
            end(stand, job_id, clients=dying(stand.clients, at))
            completed = True
        except Died:
            completed = False
        end(stand, job_id)
        assert stand.told("Asset Failed") == []
        assert {json.dumps(told, sort_keys=True) for told in stand.told("Asset Published")} == {
            json.dumps(pointer(stand), sort_keys=True)
        }
        if completed:
            assert at > 20, "the client that dies was not used"
            return


@pytest.mark.parametrize(
    ("key", "body"),
    [
        ("stream/main.mpd", None),
        ("stream/main.m3u8", None),
        ("stream/video.m3u8", None),
        ("stream/main_video_000000002.cmfv", None),
        ("stream/main_videoinit.cmfv", None),
        ("stream/main_audio_000000003.cmfa", b""),
        ("stream/main.mpd", b""),
        ("stream/main.mpd", b"<html/>"),
        ("stream/main.m3u8", b"no playlist"),
        ("stream/audio.m3u8", b"#EXTM3U\n#EXTINF:4,\nhttps://elsewhere.example/a\n#EXT-X-ENDLIST\n"),
        ("poster/poster.0000001.jpg", b""),
    ],
)
def test_an_output_that_is_missing_empty_or_broken_is_never_published(
    stand: Stand, stream: Path, key: str, body: bytes | None
) -> None:
    put_stream(stand, stream)
    if body is None:
        stand.clients.s3.delete_object(Bucket=MEDIA, Key=f"{FOLDER}/{key}")
    else:
        put(stand, f"{FOLDER}/{key}", body)
    job_id = submitted(stand, ladder_job())
    end(stand, job_id)
    assert stand.keys(MEDIA, "published/") == [] and stand.told("Asset Published") == []
    [told] = stand.told("Asset Failed")
    assert told["code"] == "outputs_unusable" and told["jobId"] == job_id and len(told["message"]) > 20
    end(stand, job_id)
    assert len(stand.told("Asset Failed")) == 1


def test_a_whole_group_that_is_missing_is_named(stand: Stand) -> None:
    end(stand, submitted(stand, ladder_job()))
    assert "main.mpd" in stand.told("Asset Failed")[0]["message"]


def mp4_output(modifier: str, **audio: Any) -> dict[str, Any]:
    video = {"CodecSettings": {"Codec": "H_264", "H264Settings": {}}}
    description = {"CodecSettings": {"Codec": "AAC", "AacSettings": {}}} | audio
    return {
        "ContainerSettings": {"Container": "MP4"},
        "VideoDescription": video,
        "AudioDescriptions": [description],
        "NameModifier": modifier,
    }


def mp4_job(destination: str, *outputs: dict[str, Any]) -> dict[str, Any]:
    group = {"Type": "FILE_GROUP_SETTINGS", "FileGroupSettings": {"Destination": destination}}
    return {
        "Inputs": [{"FileInput": "s3://penstock-source/inputs/My film + 100% (final).x.mp4"}],
        "OutputGroups": [{"OutputGroupSettings": group, "Outputs": list(outputs)}],
    }


def test_an_mp4_group_gets_a_smil_that_mediapackage_takes(stand: Stand) -> None:
    folder = f"assets/{ASSET}/mp4"
    english = {"LanguageCode": "ENG", "LanguageCodeControl": "USE_CONFIGURED"}
    job = mp4_job(f"s3://{MEDIA}/{folder}/vod/", mp4_output("_1080", **english), mp4_output("_720", **english))
    job["OutputGroups"][0]["Outputs"].append(
        {
            "ContainerSettings": {"Container": "MP4"},
            "AudioDescriptions": [{"CodecSettings": {"Codec": "AAC", "AacSettings": {}}}],
            "NameModifier": "_audio",
        }
    )
    for modifier in ("_1080", "_720", "_audio"):
        put(stand, f"{folder}/vod/My film + 100% (final).x{modifier}.mp4")
    end(stand, submitted(stand, job, "mp4"), name="mp4")
    [told] = stand.told("Asset Published")
    assert (told["dash"], told["hls"]) == (None, None)
    assert told["smil"] == f"{folder}/vod/My film + 100% (final).x.smil"
    assert smil.parse(text_of(stand, told["smil"])).videos == (
        smil.Video("My film + 100% (final).x_1080.mp4", (smil.Audio("eng"),)),
        smil.Video("My film + 100% (final).x_720.mp4", (smil.Audio("eng", included=False),)),
    )


def test_identifiers_in_names_are_matched_by_what_mediaconvert_made_of_them(stand: Stand) -> None:
    folder = f"assets/{ASSET}/mp4"
    job = mp4_job(f"s3://{MEDIA}/{folder}/$fn$-$dt$", mp4_output("_$w$x$h%04$"))
    put(stand, f"{folder}/film-20260101T101010_320x0180.mp4")
    end(stand, submitted(stand, job, "mp4"), name="mp4")
    [told] = stand.told("Asset Published")
    [video] = smil.parse(text_of(stand, told["smil"])).videos
    assert video.name == "film-20260101T101010_320x0180.mp4"


def test_outputs_outside_the_folder_of_the_asset_are_not_published(stand: Stand) -> None:
    put(stand, "assets/another/mp4/film_x.mp4")
    end(stand, submitted(stand, mp4_job(f"s3://{MEDIA}/assets/another/mp4/film", mp4_output("_x")), "mp4"), name="mp4")
    assert "outside" in stand.told("Asset Failed")[0]["message"]


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (1010, "source_rejected"),
        (1040, "job_settings_refused"),
        (1091, "key_provider_failed"),
        (1404, "source_missing"),
    ],
)
def test_a_failed_job_is_told_as_a_sentence_with_what_mediaconvert_said(number: int, code: str) -> None:
    problem = publish.problem_of("ERROR", {"errorCode": number, "errorMessage": "Unable to do it."})
    assert problem.code == code
    assert problem.message.endswith(f"MediaConvert says: Unable to do it (error {number}).")


@pytest.mark.parametrize(
    "detail", [{}, {"errorCode": "x"}, {"errorCode": 9}, {"errorMessage": None}, {"errorCode": None}]
)
def test_an_unknown_error_still_gives_a_sentence(detail: dict[str, Any]) -> None:
    problem = publish.problem_of("ERROR", detail)
    assert problem.code == "job_failed" and len(problem.message) > 20


def test_every_problem_is_a_sentence_for_people() -> None:
    for code, sentence in publish.PROBLEMS.values():
        assert code.replace("_", "").islower() and sentence.endswith(".") and sentence[0].isupper()


@pytest.mark.parametrize(("status", "code"), [("ERROR", "source_rejected"), ("CANCELED", "canceled")])
def test_a_job_without_outputs_fails_its_asset_once(stand: Stand, status: str, code: str) -> None:
    job_id = submitted(stand, ladder_job())
    end(stand, job_id, status)
    end(stand, job_id, status)
    [told] = stand.told("Asset Failed")
    assert (told["code"], told["jobId"], told["settings"]) == (code, job_id, "default")
    assert publish.sweep(stand.clients, stand.settings) == []


@pytest.mark.parametrize("status", ["SUBMITTED", "PROGRESSING", "STATUS_UPDATE", "INPUT_INFORMATION", "NEW_WARNING"])
def test_states_that_are_not_the_end_do_nothing(stand: Stand, status: str) -> None:
    end(stand, submitted(stand, ladder_job()), status)
    assert stand.events.put == []


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"assetId": ASSET, "settings": "default"},
        {"assetId": ASSET, "settings": "../x", "application": "penstock"},
        {"assetId": "../x", "settings": "default", "application": "penstock"},
        {"assetId": ASSET.upper(), "settings": "default", "application": "penstock"},
    ],
)
def test_jobs_of_others_are_none_of_our_business(stand: Stand, metadata: dict[str, str]) -> None:
    publish.on_job_state_change(JobStateChange("j", "ERROR", metadata, {}), stand.clients, stand.settings)
    assert stand.events.put == [] and stand.keys(MEDIA) == []


def test_the_job_of_a_deleted_asset_and_a_second_job_are_passed_over(stand: Stand, stream: Path) -> None:
    put_stream(stand, stream)
    job_id = submitted(stand, ladder_job())
    second = stand.clients.mediaconvert.create_job(Role="r", Settings=ladder_job())["Job"]["Id"]
    end(stand, second)
    stand.clients.s3.delete_object(Bucket=MEDIA, Key=ledger.marker_key(ASSET, "default"))
    end(stand, job_id)
    assert stand.events.put == []


def test_a_part_that_does_not_answer_leaves_everything_to_the_next_delivery(stand: Stand, stream: Path) -> None:
    put_stream(stand, stream)
    job_id = submitted(stand, ladder_job())
    stand.mediaconvert.fails["get_job"] = ServiceError("InternalServerErrorException", "no")
    with pytest.raises(UpstreamError):
        end(stand, job_id)
    stand.mediaconvert.fails.clear()
    end(stand, job_id)
    assert len(stand.told("Asset Published")) == 1


def test_a_sweep_ends_what_no_event_told_of(stand: Stand, stream: Path) -> None:
    put_stream(stand, stream)
    put_stream(stand, stream, f"assets/{ASSET}/running")
    done = submitted(stand, ladder_job())
    submitted(stand, ladder_job(), "running")
    failed = submitted(stand, ladder_job(), "failed")
    lost = submitted(stand, ladder_job(), "lost")
    stand.mediaconvert.jobs[done]["Status"] = "COMPLETE"
    stand.mediaconvert.jobs[failed] |= {"Status": "ERROR", "ErrorCode": 1030, "ErrorMessage": "No such codec."}
    del stand.mediaconvert.jobs[lost]
    assert sorted(publish.sweep(stand.clients, stand.settings)) == sorted([done, failed, lost])
    assert [told["settings"] for told in stand.told("Asset Published")] == ["default"]
    problems = {told["settings"]: told for told in stand.told("Asset Failed")}
    assert problems["lost"]["code"] == "job_lost"
    assert "No such codec" in problems["failed"]["message"]
    assert publish.sweep(stand.clients, stand.settings) == []
