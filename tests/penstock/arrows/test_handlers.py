"""The envelopes in which events arrive, through the entry points that Lambda and the API call."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote_plus

import pytest

from aws_stand import MEDIA, SOURCE, Stand
from localaws.wire import ServiceError
from penstock import handlers
from penstock.errors import InvalidRequest, Unavailable

ASSET = "0f8fad5b-d9cb-469f-a165-70867728950e"


@pytest.fixture
def environment(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What the deployment sets for a function."""
    for name, value in stand.environment.items():
        monkeypatch.setenv(name, value)
    handlers._composed.cache_clear()
    yield
    if handlers._composed.cache_info().currsize:
        for client in vars(handlers._composed()[1]).values():
            client.close()
    handlers._composed.cache_clear()


def classic(*keys: str) -> dict[str, Any]:
    return {
        "Records": [
            {
                "eventSource": "aws:s3",
                "eventName": "ObjectCreated:CompleteMultipartUpload",
                "s3": {"bucket": {"name": SOURCE}, "object": {"key": quote_plus(key), "size": 4, "eTag": "e"}},
            }
            for key in keys
        ]
    }


def eventbridge(key: str) -> dict[str, Any]:
    detail = {"bucket": {"name": SOURCE}, "object": {"key": key, "size": 4, "etag": "e"}}
    return {"id": "i", "source": "aws.s3", "detail-type": "Object Created", "detail": detail}


def batch(*bodies: object) -> dict[str, Any]:
    texts = [body if isinstance(body, str) else json.dumps(body) for body in bodies]
    return {"Records": [{"eventSource": "aws:sqs", "messageId": f"m{n}", "body": text} for n, text in enumerate(texts)]}


def sources(stand: Stand) -> list[str]:
    return [job["Settings"]["Inputs"][0]["FileInput"] for job in stand.mediaconvert.jobs.values()]


@pytest.mark.parametrize("name", ["a b+c%.mp4", "film.mp4", "影片.mp4"])
@pytest.mark.parametrize(
    "wrap", [classic, eventbridge, lambda key: batch(classic(key)), lambda key: batch(eventbridge(key))]
)
def test_every_envelope_finds_the_object(stand: Stand, environment: None, name: str, wrap: Any) -> None:
    key = f"inputs/{name}"
    stand.upload(key)
    assert handlers.watchfolder(wrap(key), None) in ({}, {"batchItemFailures": []})
    assert sources(stand) == [f"s3://{SOURCE}/{key}"]


def test_all_records_are_handled_and_a_test_event_is_nothing(stand: Stand, environment: None) -> None:
    keys = [f"inputs/{number}.mp4" for number in range(3)]
    for key in keys:
        stand.upload(key, key.encode())
    handlers.watchfolder({"Event": "s3:TestEvent", "Bucket": SOURCE}, None)
    handlers.watchfolder(classic(*keys, *reversed(keys)), None)
    assert len(sources(stand)) == 3


def test_of_a_batch_only_the_messages_that_failed_come_again(stand: Stand, environment: None) -> None:
    stand.upload("inputs/a.mp4", b"a")
    stand.upload("inputs/b.mp4", b"b")
    result = handlers.watchfolder(
        batch(eventbridge("inputs/a.mp4"), "{not json", {"Event": "s3:TestEvent"}, eventbridge("inputs/b.mp4")), None
    )
    assert result == {"batchItemFailures": [{"itemIdentifier": "m1"}]}
    assert len(sources(stand)) == 2


def test_without_a_batch_an_error_is_raised_so_that_lambda_tries_again(stand: Stand, environment: None) -> None:
    stand.upload("inputs/a.mp4")
    stand.mediaconvert.fails["create_job"] = ServiceError("ServiceUnavailableException", "not now")
    with pytest.raises(Unavailable):
        handlers.watchfolder(eventbridge("inputs/a.mp4"), None)
    with pytest.raises(InvalidRequest):
        handlers.watchfolder({"Records": [{"eventSource": "aws:kinesis"}]}, None)


def test_the_error_worth_a_retry_is_the_one_raised(stand: Stand) -> None:
    stand.upload("inputs/a.mp4")
    stand.mediaconvert.fails["create_job"] = ServiceError("ServiceUnavailableException", "not now")
    envelope = classic("inputs/a.mp4")
    envelope["Records"].insert(0, json.loads(json.dumps(envelope["Records"][0]).replace(SOURCE, "another-bucket")))
    with pytest.raises(Unavailable):
        handlers.HANDLERS["watchfolder"](envelope, stand.clients, stand.settings)


def test_job_events_fail_and_sweeps_repair(stand: Stand, environment: None) -> None:
    stand.upload(f"inputs/{ASSET}/film.mp4")
    assert handlers.sweep({}, None) == {}
    [job] = stand.mediaconvert.jobs.values()
    job |= {"Status": "ERROR", "ErrorCode": 1030, "ErrorMessage": "No such codec."}
    detail = {"jobId": job["Id"], "status": "ERROR", "userMetadata": job["UserMetadata"], "errorCode": 1030}
    event = {"source": "aws.mediaconvert", "detail-type": "MediaConvert Job State Change", "detail": detail}
    assert handlers.publish(batch(event), None) == {"batchItemFailures": []}
    assert handlers.publish(event, None) == {}
    [told] = stand.told("Asset Failed")
    assert told["code"] == "source_rejected"
    assert any(key.endswith("default~failed") for key in stand.keys(MEDIA))


def test_a_handler_passes_over_events_of_other_kinds(stand: Stand) -> None:
    stand.upload("inputs/a.mp4")
    handlers.HANDLERS["publish"](eventbridge("inputs/a.mp4"), stand.clients, stand.settings)
    ours = {"id": "i", "source": "penstock", "detail-type": "Asset Published", "detail": {"assetId": ASSET}}
    handlers.HANDLERS["watchfolder"](ours, stand.clients, stand.settings)
    assert stand.mediaconvert.jobs == {} and stand.events.put == []
