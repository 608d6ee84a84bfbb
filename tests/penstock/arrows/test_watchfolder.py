"""From a storage event to jobs: exactly one for each conversion, whatever happens on the way."""

from __future__ import annotations

import itertools
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from arrows_that_die import Died, DyingClient, dying
from aws_stand import MEDIA, SOURCE, Stand
from localaws.wire import ServiceError
from penstock import ledger, watchfolder
from penstock.errors import InvalidRequest, Unavailable, UpstreamError
from penstock.formats import events
from penstock.formats.events import ObjectCreated
from penstock.settings import Clients

ASSET = "0f8fad5b-d9cb-469f-a165-70867728950e"
KEY = f"inputs/{ASSET}/film.mp4"


def job_settings(destination: str = "s3://elsewhere/dash/main") -> dict[str, Any]:
    group = {"Type": "DASH_ISO_GROUP_SETTINGS", "DashIsoGroupSettings": {"Destination": destination}}
    return {"Inputs": [{}], "OutputGroups": [{"OutputGroupSettings": group, "Outputs": []}]}


def put_settings(stand: Stand, name: str, document: object) -> None:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    stand.clients.s3.put_object(Bucket=SOURCE, Key=f"jobs/{name}.json", Body=body)


def arrived(stand: Stand, key: str = KEY, body: bytes = b"film", clients: Clients | None = None) -> list[str]:
    """Upload an object and handle the event of it."""
    event = ObjectCreated(SOURCE, key, len(body), stand.upload(key, body))
    return watchfolder.on_object_created(event, clients or stand.clients, stand.settings)


def test_an_upload_starts_one_job_with_the_ladder_and_names_its_asset(stand: Stand) -> None:
    [job_id] = arrived(stand)
    job = stand.mediaconvert.jobs[job_id]
    assert job["UserMetadata"] == {"assetId": ASSET, "settings": "default", "application": "penstock"}
    assert len(job["ClientRequestToken"]) == 64
    assert job["Settings"]["Inputs"][0]["FileInput"] == f"s3://{SOURCE}/{KEY}"
    group = job["Settings"]["OutputGroups"][0]["OutputGroupSettings"]["CmafGroupSettings"]
    assert group["Destination"] == f"s3://{MEDIA}/assets/{ASSET}/default/stream/main"
    [told] = stand.told("Asset Converting")
    assert told == {
        "assetId": ASSET,
        "settings": "default",
        "jobId": job_id,
        "objectKey": KEY,
        "title": "film.mp4",
    }


UGLY = [
    "inputs/My film + 100% ünïcode 影片 (final).mp4",
    "inputs/a%2Fb+c.mp4",
    "inputs/new\nline.mp4",
    "inputs/فيلم.mp4",
    "inputs/" + "ü" * 125 + "a.mp4",
    "inputs/.../x.mp4",
]


@pytest.mark.parametrize("key", UGLY)
def test_an_ugly_name_is_converted_under_the_key_it_has(stand: Stand, key: str) -> None:
    [job_id] = arrived(stand, key)
    assert stand.mediaconvert.jobs[job_id]["Settings"]["Inputs"][0]["FileInput"] == f"s3://{SOURCE}/{key}"
    assert stand.told("Asset Converting")[0]["title"] == key.rpartition("/")[2]
    assert arrived(stand, key) == [job_id]
    assert watchfolder.sweep(stand.clients, stand.settings) == []


def test_duplicates_replays_and_stale_events_start_nothing_more(stand: Stand) -> None:
    [job_id] = arrived(stand)
    stale = ObjectCreated(SOURCE, KEY, None, "0" * 32, None, "00")
    for _ in range(3):
        assert watchfolder.on_object_created(stale, stand.clients, stand.settings) == [job_id]
    assert len(stand.mediaconvert.jobs) == 1
    assert len(stand.told("Asset Converting")) == 1


def test_two_processes_at_once_start_one_job(stand: Stand) -> None:
    event = ObjectCreated(SOURCE, KEY, 4, stand.upload(KEY))
    barrier = threading.Barrier(4)

    def handle(_: int) -> list[str]:
        barrier.wait()
        return watchfolder.on_object_created(event, stand.clients, stand.settings)

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(handle, range(4)))
    # A token that AWS has forgotten lets several jobs be made; all but the one in the marker are cancelled.
    [job] = stand.live_jobs()
    assert {tuple(result) for result in results} == {(job["Id"],)}
    assert {told["jobId"] for told in stand.told("Asset Converting")} == {job["Id"]}


def test_a_replaced_dropped_file_is_a_new_asset_and_a_late_event_of_the_old_one_is_not(stand: Stand) -> None:
    old = stand.upload("inputs/film.mp4", b"one")
    arrived(stand, "inputs/film.mp4", b"two")
    late = ObjectCreated(SOURCE, "inputs/film.mp4", 3, old)
    watchfolder.on_object_created(late, stand.clients, stand.settings)
    assert len(stand.mediaconvert.jobs) == 1


@pytest.mark.parametrize("key", ["inputs/", "inputs/folder/", "jobs/x.json", "elsewhere/film.mp4", "inputs"])
def test_folder_markers_and_other_prefixes_start_nothing(stand: Stand, key: str) -> None:
    assert arrived(stand, key, b"") == []
    assert stand.mediaconvert.jobs == {} and stand.keys(MEDIA) == [] and stand.events.put == []


def test_an_object_that_is_gone_starts_nothing(stand: Stand) -> None:
    gone = ObjectCreated(SOURCE, KEY, 4, "e")
    assert watchfolder.on_object_created(gone, stand.clients, stand.settings) == []
    assert stand.events.put == []


def test_an_object_of_another_bucket_is_refused(stand: Stand) -> None:
    with pytest.raises(InvalidRequest, match="somewhere"):
        watchfolder.on_object_created(ObjectCreated("somewhere", KEY, 4, "e"), stand.clients, stand.settings)


def test_an_empty_file_fails_with_a_sentence_once(stand: Stand) -> None:
    assert arrived(stand, body=b"") == [] == arrived(stand, body=b"")
    [told] = stand.told("Asset Failed")
    assert told["code"] == "source_rejected" and "empty" in told["message"] and told["settings"] is None
    assert stand.mediaconvert.jobs == {}
    assert watchfolder.sweep(stand.clients, stand.settings) == []


def test_a_source_that_cannot_be_read_fails_with_what_mediaconvert_said(stand: Stand) -> None:
    stand.mediaconvert.fails["probe"] = ServiceError("BadRequestException", "1030: text is not a video")
    assert arrived(stand) == []
    [told] = stand.told("Asset Failed")
    assert told["code"] == "source_rejected" and "text is not a video" in told["message"]
    assert told["title"] == "film.mp4"


def test_a_source_without_video_fails_by_property(stand: Stand) -> None:
    stand.mediaconvert.probed["Container"]["Tracks"].pop(0)
    assert arrived(stand) == []
    assert "no video" in stand.told("Asset Failed")[0]["message"]


def test_each_settings_file_gives_a_job_with_its_own_folder(stand: Stand) -> None:
    put_settings(stand, "hd", job_settings())
    put_settings(stand, "more/mobile", {"Settings": job_settings("s3://x//a//b/"), "Queue": "not ours", "Priority": 3})
    stand.clients.s3.put_object(Bucket=SOURCE, Key="jobs/", Body=b"")
    stand.clients.s3.put_object(Bucket=SOURCE, Key="jobs/read me.txt", Body=b"not a settings file")
    arrived(stand)
    jobs = {job["UserMetadata"]["settings"]: job for job in stand.mediaconvert.jobs.values()}
    assert jobs.keys() == {"hd", "more/mobile"}
    destinations = {name: _destination(job) for name, job in jobs.items()}
    assert destinations == {
        "hd": f"s3://{MEDIA}/assets/{ASSET}/hd/dash/main",
        "more/mobile": f"s3://{MEDIA}/assets/{ASSET}/more/mobile/a/b/",
    }
    assert jobs["more/mobile"]["Priority"] == 3 and "Queue" not in jobs["more/mobile"]


def _destination(job: dict[str, Any]) -> str:
    group = job["Settings"]["OutputGroups"][0]["OutputGroupSettings"]
    return str(group["DashIsoGroupSettings"]["Destination"])


def test_more_settings_files_than_one_page_are_all_run(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        put_settings(stand, f"{number}", job_settings())
    original = stand.clients.s3.list_objects_v2
    paged = stand.clients.s3.get_paginator("list_objects_v2")
    assert len(list(paged.paginate(Bucket=SOURCE, Prefix="jobs/", PaginationConfig={"PageSize": 2}))) == 3
    monkeypatch.setattr(stand.clients.s3, "list_objects_v2", lambda **kw: original(**{"MaxKeys": 2} | kw))
    assert len(arrived(stand)) == 5


TAPE = {"OutputGroupSettings": {"Type": "TAPE_GROUP_SETTINGS"}, "Outputs": []}
BAD_FILES: dict[str, tuple[object, str]] = {
    "not json": (b"{ this is not JSON", "not JSON"),
    "empty": (b"", "not JSON"),
    "a list": ([], "not a JSON object"),
    "nan": (b'{"Inputs": [{}], "x": NaN}', "NaN"),
    "deep": (b"[" * 100_000, "not JSON"),
    "big": (b" " * (1024 * 1024 + 1), "1048577 bytes"),
    "latin-1": ('{"a": "ü"}'.encode("latin-1"), "UTF-8"),
    "no inputs": ({k: v for k, v in job_settings().items() if k != "Inputs"}, "no Inputs"),
    "inputs of text": (job_settings() | {"Inputs": ["x"]}, "Inputs"),
    "no groups": ({"Inputs": [{}]}, "OutputGroups"),
    "unknown group": (job_settings() | {"OutputGroups": [TAPE]}, "TAPE_GROUP_SETTINGS"),
    "no type": (job_settings() | {"OutputGroups": [{}]}, "OutputGroupSettings.Type"),
    "type without settings": (
        job_settings() | {"OutputGroups": [{"OutputGroupSettings": {"Type": "CMAF_GROUP_SETTINGS"}}]},
        "CmafGroupSettings",
    ),
    "unknown field": (job_settings() | {"Sharpness": "very"}, "Sharpness"),
    "wrong type": (job_settings() | {"AdAvailOffset": "secret value"}, "AdAvailOffset"),
    "out of the folder": (job_settings("s3://x/../../other/main"), "'..'"),
    "no destination": (job_settings(""), "s3://bucket/path"),
    "a local file": (job_settings("file:///etc/passwd"), "s3://bucket/path"),
    "control character": (job_settings("s3://x/a\nb"), "control character"),
    "(parentheses)": (job_settings(), "rename it"),
    "x" * 248: (job_settings(), "rename it"),
}


def test_a_bad_settings_file_fails_alone_and_says_what_is_wrong(stand: Stand) -> None:
    put_settings(stand, "good", job_settings())
    for name, (document, _) in BAD_FILES.items():
        put_settings(stand, name, document)
    [job_id] = arrived(stand)
    assert stand.mediaconvert.jobs[job_id]["UserMetadata"]["settings"] == "good"
    told = {detail["settings"]: detail for detail in stand.told("Asset Failed")}
    assert told.keys() == BAD_FILES.keys()
    assert all(set(detail["planned"]) == {"good", *BAD_FILES} for detail in told.values())
    for name, (_, words) in BAD_FILES.items():
        assert words in told[name]["message"], told[name]["message"]
        assert told[name]["code"] == "job_settings_refused"
        assert "secret value" not in told[name]["message"]
    assert arrived(stand) == [job_id]
    assert len(stand.told("Asset Failed")) == len(BAD_FILES)


def test_what_mediaconvert_refuses_is_told_without_static_keys(stand: Stand) -> None:
    secret = "0123456789abcdef0123456789abcdef"
    document = job_settings()
    hls = {
        "Destination": "s3://x/hls/main",
        "Encryption": {
            "Type": "STATIC_KEY",
            "StaticKeyProvider": {"StaticKeyValue": secret, "Url": "https://x.example"},
        },
    }
    document["OutputGroups"] = [{"OutputGroupSettings": {"Type": "HLS_GROUP_SETTINGS", "HlsGroupSettings": hls}}]
    put_settings(stand, "keys", document)
    stand.mediaconvert.fails["create_job"] = ServiceError("BadRequestException", f"{secret} is not a key")
    arrived(stand)
    [told] = stand.told("Asset Failed")
    assert "is not a key" in told["message"] and secret not in told["message"]


def test_settings_added_later_convert_nothing_again(stand: Stand) -> None:
    arrived(stand)
    put_settings(stand, "hd", job_settings())
    arrived(stand)
    watchfolder.sweep(stand.clients, stand.settings)
    assert len(stand.mediaconvert.jobs) == 1


def test_a_settings_file_removed_before_its_job_fails_alone(stand: Stand) -> None:
    put_settings(stand, "gone", job_settings())
    put_settings(stand, "there", job_settings())
    stand.mediaconvert.fails["create_job"] = ServiceError("ServiceUnavailableException", "not now")
    with pytest.raises(Unavailable):
        arrived(stand)
    stand.mediaconvert.fails.clear()
    stand.clients.s3.delete_object(Bucket=SOURCE, Key="jobs/gone.json")
    assert len(arrived(stand)) == 1
    assert "removed" in stand.told("Asset Failed")[0]["message"]


def test_a_sweep_starts_what_no_event_told_of(stand: Stand) -> None:
    for key in (KEY, "inputs/dropped.mp4", *UGLY, "inputs/folder/", "inputs/"):
        stand.upload(key, b"" if key.endswith("/") else b"film")
    assert len(watchfolder.sweep(stand.clients, stand.settings)) == 2 + len(UGLY)
    assert watchfolder.sweep(stand.clients, stand.settings) == []
    assert len(stand.mediaconvert.jobs) == 2 + len(UGLY)


def test_a_sweep_knows_a_dropped_multipart_upload_again(stand: Stand) -> None:
    """Its ETag is not an MD5, and some servers list another one than they answer with."""
    upload = stand.clients.s3.create_multipart_upload(Bucket=SOURCE, Key="inputs/large.mp4")["UploadId"]
    where = {"Bucket": SOURCE, "Key": "inputs/large.mp4", "UploadId": upload}
    parts = [
        {"PartNumber": n, "ETag": stand.clients.s3.upload_part(**where, PartNumber=n, Body=bytes(5 * 2**20))["ETag"]}
        for n in (1, 2)
    ]
    etag = stand.clients.s3.complete_multipart_upload(**where, MultipartUpload={"Parts": parts})["ETag"]
    event = ObjectCreated(SOURCE, "inputs/large.mp4", 10 * 2**20, etag)
    watchfolder.on_object_created(event, stand.clients, stand.settings)
    assert stand.told("Asset Converting")[0]["assetId"] == events.asset_id(event)
    assert watchfolder.sweep(stand.clients, stand.settings) == []


def test_one_object_that_cannot_be_handled_does_not_stop_a_sweep(stand: Stand) -> None:
    stand.upload("inputs/a.mp4", b"a")
    stand.upload("inputs/b.mp4", b"b")
    stand.clients.s3.put_object(
        Bucket=MEDIA, Key=ledger.plan_key(_asset_of(stand, "inputs/a.mp4")), Body=b"somebody else wrote this"
    )
    with pytest.raises(Exception, match="not"):
        watchfolder.sweep(stand.clients, stand.settings)
    [job] = stand.live_jobs()
    assert job["Settings"]["Inputs"][0]["FileInput"].endswith("b.mp4")


def _asset_of(stand: Stand, key: str) -> str:
    head = stand.clients.s3.head_object(Bucket=SOURCE, Key=key)
    return events.asset_id(ObjectCreated(SOURCE, key, 1, head["ETag"]))


def test_an_upstream_failure_is_raised_after_the_others_were_begun(stand: Stand) -> None:
    put_settings(stand, "a", job_settings())
    put_settings(stand, "b", job_settings())
    stand.mediaconvert.fails["create_job"] = ServiceError("InternalServerErrorException", "no")
    with pytest.raises(UpstreamError):
        arrived(stand)
    stand.mediaconvert.fails.clear()
    assert len(arrived(stand)) == 2
    assert stand.told("Asset Failed") == []


@pytest.mark.parametrize("with_files", [False, True])
def test_a_crash_between_any_two_calls_gives_one_job_and_no_event_is_lost(stand: Stand, with_files: bool) -> None:
    """Every prefix of the calls is run and then forgotten; an event delivered again finishes the work."""
    for at in itertools.count():
        stand.empty()
        if with_files:
            put_settings(stand, "a", job_settings())
            put_settings(stand, "bad", b"not JSON")
        try:
            arrived(stand, clients=dying(stand.clients, at))
            completed = True
        except Died:
            completed = False
        again = arrived(stand)
        [job] = stand.mediaconvert.jobs.values()
        assert again == [job["Id"]], f"died at {at}"
        name = "a" if with_files else "default"
        assert {told["jobId"] for told in stand.told("Asset Converting")} == {job["Id"]}
        assert {told["settings"] for told in stand.told("Asset Failed")} == ({"bad"} if with_files else set())
        marker = stand.clients.s3.get_object(Bucket=MEDIA, Key=ledger.marker_key(ASSET, name))["Body"].read()
        assert json.loads(marker)["jobId"] == job["Id"]
        if completed:
            assert at > 20, "the client that dies was not used"
            return


def test_a_lost_job_is_not_looked_for_beyond_the_marker(stand: Stand) -> None:
    """Old jobs of an account are many: the search ends where it can no longer be found."""
    for number in range(5):
        arrived(stand, f"inputs/{number}.mp4", str(number).encode())
    for job in stand.mediaconvert.jobs.values():
        job["CreatedAt"] = job["CreatedAt"].replace(year=2020)
    with pytest.raises(Died):
        arrived(stand, clients=_dying_in_create_job(stand.clients))
    assert len(arrived(stand)) == 1
    assert len(stand.mediaconvert.jobs) == 6


def _dying_in_create_job(clients: Clients) -> Clients:
    class Client(DyingClient):
        def __getattr__(self, name: str) -> Any:
            if name == "create_job":
                raise Died
            return getattr(self._client, name)

    return replace(clients, mediaconvert=Client(clients.mediaconvert, itertools.count(), -1))


def test_a_job_over_the_limit_fails_with_its_figure_and_starts_nothing(stand: Stand) -> None:
    limited = replace(stand.settings, max_job_cost_usd=0.0001)
    event = ObjectCreated(SOURCE, KEY, 4, stand.upload(KEY))
    assert watchfolder.on_object_created(event, stand.clients, limited) == []
    assert stand.mediaconvert.jobs == {}
    [told] = stand.told("Asset Failed")
    assert told["code"] == "over_budget" and "PENSTOCK_MAX_JOB_COST_USD allows 0.00 USD" in told["message"]


def test_a_job_below_the_limit_is_started(stand: Stand) -> None:
    limited = replace(stand.settings, max_job_cost_usd=5.0)
    event = ObjectCreated(SOURCE, KEY, 4, stand.upload(KEY))
    assert len(watchfolder.on_object_created(event, stand.clients, limited)) == 1


def test_with_a_limit_a_source_of_unknown_length_is_refused(stand: Stand) -> None:
    del stand.mediaconvert.probed["Container"]["Duration"]
    limited = replace(stand.settings, max_job_cost_usd=5.0)
    event = ObjectCreated(SOURCE, KEY, 4, stand.upload(KEY))
    assert watchfolder.on_object_created(event, stand.clients, limited) == []
    assert "how long" in stand.told("Asset Failed")[0]["message"]
