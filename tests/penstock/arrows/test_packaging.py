"""Delivery by MediaPackage: from clear files to published packages, whatever is delivered twice or dies in between."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import packaged_media
from arrows_that_die import Died, dying
from aws_stand import MEDIA, Stand
from localaws.wire import ServiceError
from penstock import handlers, ladder, ledger, mediapackage, publish, repackaging, smil
from penstock.errors import InvalidRequest, UpstreamError
from penstock.formats.events import JobStateChange
from penstock.settings import Clients, Settings, load

ASSET = "0f8fad5b-d9cb-469f-a165-70867728950e"
FOLDER = f"assets/{ASSET}/default"
NAME = mediapackage.asset_name(ASSET, "default")


@pytest.fixture(scope="session")
def mpd(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("mpd")
    packaged_media.by_packager(packaged_media.source(folder), folder / "stream", segments=True)
    return (folder / "stream" / "main.mpd").read_bytes()


@pytest.fixture
def settings(stand: Stand, mpd: bytes) -> Settings:
    stand.mediapackage.mpd = mpd
    return replace(stand.settings, delivery="mediapackage")


def ladder_job() -> dict[str, Any]:
    return ladder.job_settings(
        ladder.SourceProperties(640, 360, ladder.Fraction(25), 5.0, 2, "fra"),
        input_uri=f"s3://penstock-source/inputs/{ASSET}/film.mp4",
        destination_uri=f"s3://{MEDIA}/{FOLDER}",
        speke_url="https://video.example/speke/v2/copyProtection",
        asset_id=ASSET,
        poster=False,
        clear_files=True,
    )


def complete(stand: Stand, settings: Settings) -> JobStateChange:
    """A job that has made its files; returns the event that says so."""
    metadata = {"assetId": ASSET, "settings": "default", "application": "penstock"}
    asked = {"Role": "r", "Settings": ladder_job(), "UserMetadata": metadata}
    job_id = str(stand.clients.mediaconvert.create_job(**asked)["Job"]["Id"])
    stand.mediaconvert.jobs[job_id]["Status"] = "COMPLETE"
    marker = json.dumps({"assetId": ASSET, "settings": "default", "jobId": job_id, "objectKey": "inputs/x/film.mp4"})
    stand.clients.s3.put_object(Bucket=MEDIA, Key=ledger.marker_key(ASSET, "default"), Body=marker.encode())
    for modifier in ("_640x360", "_416x234"):
        stand.clients.s3.put_object(Bucket=MEDIA, Key=f"{FOLDER}/mp4/main{modifier}.mp4", Body=b"film")
    return JobStateChange(job_id, "COMPLETE", metadata, {})


def notice(event: str, message: str = "") -> dict[str, Any]:
    return {
        "detail-type": "MediaPackage Input Notification",
        "source": "aws.mediapackage",
        "id": "1",
        "resources": [f"arn:aws:mediapackage-vod:us-east-1:000000000000:assets/{NAME}"],
        "detail": {"event": event, "message": message},
    }


def run(event: JobStateChange, settings: Settings, clients: Clients) -> None:
    publish.on_job_state_change(event, clients, settings)


def pointers(stand: Stand) -> list[str]:
    return stand.keys(MEDIA, ledger.PUBLISHED)


def test_what_mediapackage_is_asked_for(stand: Stand, settings: Settings) -> None:
    run(complete(stand, settings), settings, stand.clients)
    asset = stand.mediapackage.assets[NAME]
    assert asset["SourceArn"] == f"arn:aws:s3:::{MEDIA}/{FOLDER}/mp4/main.smil"
    assert asset["ResourceId"] == ASSET
    smil = stand.clients.s3.get_object(Bucket=MEDIA, Key=f"{FOLDER}/mp4/main.smil")["Body"].read().decode()
    assert smil.count('systemLanguage="fra"') == 2 and smil.count('includeAudio="false"') == 1
    assert set(stand.mediapackage.configurations) == {"penstock-dash", "penstock-cmaf"}
    assert "Authorization" not in stand.mediapackage.groups["penstock"]


def test_packages_are_published_when_they_are_all_made(stand: Stand, settings: Settings) -> None:
    stand.mediapackage.status = "PROCESSING"
    run(complete(stand, settings), settings, stand.clients)
    handlers.HANDLERS["publish"](notice("VodAssetPlayable"), stand.clients, settings)
    assert pointers(stand) == [] and stand.told("Asset Published") == []
    stand.mediapackage.status = "PLAYABLE"
    handlers.HANDLERS["publish"](notice("VodAssetPlayable"), stand.clients, settings)
    [told] = stand.told("Asset Published")
    assert told["dash"] == f"out/v1/{'a' * 32}/0/c/index.mpd"
    assert told["hls"] == f"out/v1/{'a' * 32}/1/c/index.m3u8"
    assert told["keyIds"] == [packaged_media.VIDEO_KID, packaged_media.AUDIO_KID]
    assert told["smil"] == f"{FOLDER}/mp4/main.smil"
    assert told["durationMs"] == pytest.approx(5005, abs=50)


def test_a_lost_event_is_found_by_the_sweep(stand: Stand, settings: Settings) -> None:
    stand.mediapackage.status = "QUEUED"
    run(complete(stand, settings), settings, stand.clients)
    assert publish.sweep(stand.clients, settings) and pointers(stand) == []
    stand.mediapackage.status = "PLAYABLE"
    publish.sweep(stand.clients, settings)
    assert len(pointers(stand)) == 1


def test_a_film_that_cannot_be_packaged_fails_with_the_reason(stand: Stand, settings: Settings) -> None:
    stand.mediapackage.status = "FAILED"
    stand.mediapackage.configurations.clear()
    event = complete(stand, settings)
    stand.mediapackage.status = "PROCESSING"
    run(event, settings, stand.clients)
    stand.mediapackage.status = "FAILED"
    handlers.HANDLERS["publish"](notice("IngestError", "main.mp4 is fragmented MP4"), stand.clients, settings)
    [told] = stand.told("Asset Failed")
    assert told["code"] == "packaging_failed"
    assert told["message"] == "MediaPackage could not package the film. It says: main.mp4 is fragmented MP4."


def test_a_crash_between_any_two_calls_makes_one_asset_and_publishes_once(stand: Stand, mpd: bytes) -> None:
    for at in itertools.count():
        stand.empty()
        stand.mediapackage.mpd = mpd
        settings = replace(stand.settings, delivery="mediapackage")
        event = complete(stand, settings)
        try:
            run(event, settings, dying(stand.clients, at))
            completed = True
        except Died:
            completed = False
        run(event, settings, stand.clients)
        assert stand.told("Asset Failed") == []
        assert list(stand.mediapackage.assets) == [NAME]
        assert set(stand.mediapackage.configurations) == {"penstock-dash", "penstock-cmaf"}
        assert len(pointers(stand)) == 1
        assert len({json.dumps(told, sort_keys=True) for told in stand.told("Asset Published")}) == 1
        if completed:
            assert at > 20, "the client that dies was not used"
            return


def test_a_group_of_somebody_elses_is_used_as_it_is(stand: Stand, settings: Settings) -> None:
    vod = stand.clients.mediapackage
    vod.create_packaging_group(Id="penstock")
    vod.create_packaging_configuration(
        Id="mine", PackagingGroupId="penstock", DashPackage={"DashManifests": [{"ManifestName": "index"}]}
    )
    run(complete(stand, settings), settings, stand.clients)
    assert set(stand.mediapackage.configurations) == {"mine"}
    [told] = stand.told("Asset Published")
    assert told["hls"] is None


def test_what_mediapackage_refuses_is_tried_again(stand: Stand, settings: Settings) -> None:
    event = complete(stand, settings)
    stand.mediapackage.refusal = ServiceError("UnprocessableEntityException", "too many assets")
    with pytest.raises(UpstreamError, match="too many assets"):
        run(event, settings, stand.clients)
    assert stand.told("Asset Failed") == []


def test_assets_and_channels_of_others_are_left_alone(stand: Stand, settings: Settings) -> None:
    others = notice("IngestComplete") | {"resources": ["arn:aws:mediapackage-vod:us-east-1:000000000000:assets/x"]}
    channel = notice("MaxIngestStreamsError") | {"resources": ["arn:aws:mediapackage:us-east-1:1:channels/y"]}
    for envelope in (others, channel):
        handlers.HANDLERS["publish"](envelope, stand.clients, settings)
    assert stand.events.put == []


def streaming(stand: Stand, settings: Settings, folder: Path, *, protect: bool) -> JobStateChange:
    """A job of somebody's own settings that has made DASH and nothing else; returns the event that says so."""
    mpd = packaged_media.by_packager(packaged_media.source(folder), folder / "stream", segments=True, protect=protect)
    for path in mpd.parent.iterdir():
        stand.clients.s3.upload_file(str(path), MEDIA, f"{FOLDER}/stream/{path.name}")
    event = complete(stand, settings)
    own = {"Destination": f"s3://{MEDIA}/{FOLDER}/stream/main"}
    group = {"Type": "DASH_ISO_GROUP_SETTINGS", "DashIsoGroupSettings": own}
    asked = stand.mediaconvert.jobs[event.job_id]["Settings"]
    asked["OutputGroups"] = [{"OutputGroupSettings": group, "Outputs": asked["OutputGroups"][0]["Outputs"]}]
    return event


def test_dash_of_somebodys_own_settings_is_made_into_files_once_and_packaged(
    stand: Stand, settings: Settings, tmp_path: Path
) -> None:
    event = streaming(stand, settings, tmp_path, protect=False)
    stand.mediapackage.status = "PROCESSING"
    run(event, settings, stand.clients)
    assert stand.mediapackage.assets[NAME]["SourceArn"] == f"arn:aws:s3:::{MEDIA}/{FOLDER}/mediapackage/main.smil"
    assert smil.check(f"s3://{MEDIA}/{FOLDER}/mediapackage/main.smil", s3=stand.clients.s3) == []
    made = {key: stand.clients.s3.head_object(Bucket=MEDIA, Key=key)["LastModified"]
            for key in stand.keys(MEDIA, f"{FOLDER}/mediapackage/")}  # fmt: skip
    stand.mediapackage.status = "PLAYABLE"
    run(event, settings, stand.clients)
    [told] = stand.told("Asset Published")
    assert told["dash"] == f"out/v1/{'a' * 32}/0/c/index.mpd"
    again = {key: stand.clients.s3.head_object(Bucket=MEDIA, Key=key)["LastModified"] for key in made}
    assert len(made) == 2 and again == made


def test_a_stream_that_is_encrypted_already_is_published_as_it_is(
    stand: Stand, settings: Settings, tmp_path: Path
) -> None:
    run(streaming(stand, settings, tmp_path, protect=True), settings, stand.clients)
    [told] = stand.told("Asset Published")
    assert told["dash"].startswith(f"{FOLDER}/stream/main") and NAME not in stand.mediapackage.assets


def test_a_stream_that_there_is_no_room_for_fails_with_what_to_do(
    stand: Stand, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = streaming(stand, settings, tmp_path, protect=False)
    monkeypatch.setattr(repackaging.shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    run(event, settings, stand.clients)
    [told] = stand.told("Asset Failed")
    assert told["code"] == "outputs_unusable" and "FILE_GROUP" in told["message"]


def test_delivery_is_one_of_two() -> None:
    assert load({"PENSTOCK_DELIVERY": "mediapackage"}).delivery == "mediapackage"
    with pytest.raises(InvalidRequest, match="PENSTOCK_DELIVERY"):
        load({"PENSTOCK_DELIVERY": "pigeon"})
