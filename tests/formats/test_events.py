import contextlib
import json
import uuid
from urllib.parse import quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import InvalidRequest
from penstock.formats import events
from penstock.formats.events import AssetEvent, JobStateChange, ObjectCreated

ASSET = "0f8fad5b-d9cb-469f-a165-70867728950e"


def classic(key="inputs/a.mp4", name="ObjectCreated:Put", **item):
    """A record as in the S3 user guide, "Event message structure"."""
    return {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": "us-west-2",
        "eventTime": "1970-01-01T00:00:00.000Z",
        "eventName": name,
        "userIdentity": {"principalId": "AIDAJDPLRKLG7UEXAMPLE"},
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": "testConfigRule",
            "bucket": {"name": "amzn-s3-demo-bucket", "arn": "arn:aws:s3:::amzn-s3-demo-bucket"},
            "object": {
                "key": key,
                "size": 1024,
                "eTag": "d41d8cd98f00b204e9800998ecf8427e",
                "sequencer": "0055AED6DCD90281E5",
                **item,
            },
        },
    }


def eventbridge(key="inputs/a.mp4", **item):
    """As in the S3 user guide, "Amazon S3 event notification: Object Created"."""
    return {
        "version": "0",
        "id": "17793124-05d4-b198-2fde-7ededc63b103",
        "detail-type": "Object Created",
        "source": "aws.s3",
        "account": "111122223333",
        "time": "2021-11-12T00:00:00Z",
        "region": "ca-central-1",
        "resources": ["arn:aws:s3:::amzn-s3-demo-bucket1"],
        "detail": {
            "version": "0",
            "bucket": {"name": "amzn-s3-demo-bucket1"},
            "object": {
                "key": key,
                "size": 5,
                "etag": "b1946ac92492d2347c6235b4d2611184",
                "sequencer": "617f08",
                **item,
            },
            "request-id": "N4N7GDK58NMKJ12R",
            "requester": "123456789012",
            "source-ip-address": "1.2.3.4",
            "reason": "PutObject",
        },
    }


def sqs(*bodies):
    return {
        "Records": [
            {
                "messageId": f"m{n}",
                "eventSource": "aws:sqs",
                "body": body if isinstance(body, str) else json.dumps(body),
            }
            for n, body in enumerate(bodies)
        ]
    }


@pytest.mark.parametrize("name", ["Put", "Post", "Copy", "CompleteMultipartUpload"])
def test_each_way_an_object_can_arrive_is_an_object_created(name):
    [event] = events.decode({"Records": [classic(name=f"ObjectCreated:{name}")]})
    assert event == ObjectCreated(
        "amzn-s3-demo-bucket",
        "inputs/a.mp4",
        1024,
        "d41d8cd98f00b204e9800998ecf8427e",
        None,
        "0055AED6DCD90281E5",
    )


def test_the_classic_key_is_form_decoded_and_the_eventbridge_key_is_not():
    [old] = events.decode({"Records": [classic("inputs/my+film%2B1+%25.mp4")]})
    [new] = events.decode(eventbridge("inputs/my film+1 %25.mp4"))
    assert old.object_key == "inputs/my film+1 %.mp4"
    assert new.object_key == "inputs/my film+1 %25.mp4"


def test_every_record_is_read_and_deletions_are_passed_over():
    records = [classic("inputs/1"), classic("inputs/2", name="ObjectRemoved:Delete"), classic("inputs/3")]
    assert [event.object_key for event in events.decode({"Records": records})] == ["inputs/1", "inputs/3"]
    assert events.decode(eventbridge() | {"detail-type": "Object Deleted"}) == []


def test_a_batch_carries_both_forms_in_order():
    batch = sqs({"Records": [classic("inputs/1"), classic("inputs/2")]}, eventbridge("inputs/3"))
    assert [event.object_key for event in events.decode(batch)] == ["inputs/1", "inputs/2", "inputs/3"]


def test_a_test_event_gives_nothing_alone_and_in_a_batch():
    test_event = {"Service": "Amazon S3", "Event": "s3:TestEvent", "Time": "2014-10-13T15:57:02.089Z", "Bucket": "b"}
    assert events.decode(test_event) == []
    assert events.decode(sqs(test_event)) == []


def test_one_bad_message_is_refused_alone():
    good, bad = events.messages(sqs(eventbridge(), "{not json"))
    assert good[0] == "m0" and bad[0] == "m1"
    assert len(events.decode(good[1])) == 1
    with pytest.raises(InvalidRequest):
        events.decode(bad[1])


def test_a_conversion_event_keeps_its_metadata():
    envelope = {
        "id": "e",
        "source": "aws.mediaconvert",
        "detail-type": "MediaConvert Job State Change",
        "detail": {"jobId": "1671477617078-2886ye", "status": "COMPLETE", "userMetadata": {"assetId": ASSET}},
    }
    [event] = events.decode(envelope)
    assert event == JobStateChange("1671477617078-2886ye", "COMPLETE", {"assetId": ASSET}, envelope["detail"])
    envelope["detail"]["userMetadata"] = {"assetId": 5}
    with pytest.raises(InvalidRequest, match="userMetadata"):
        events.decode(envelope)


def test_our_own_events_come_back_as_they_were_put():
    envelope = {
        "id": "e1",
        "source": "penstock",
        "detail-type": "Asset Failed",
        "detail": {"assetId": ASSET, "code": "x"},
    }
    assert events.decode(envelope) == [AssetEvent("Asset Failed", envelope["detail"], "e1")]
    with pytest.raises(InvalidRequest, match="Asset Eaten"):
        events.decode(envelope | {"detail-type": "Asset Eaten"})


def test_the_id_the_api_chose_is_the_asset_id():
    assert events.asset_id(ObjectCreated("b", f"inputs/{ASSET}/film.mp4", 1, "e")) == ASSET


@pytest.mark.parametrize(
    "key",
    [
        f"inputs/{ASSET}",
        f"inputs/{ASSET}/",
        f"inputs/{ASSET.upper()}/film.mp4",
        f"inputs/{ASSET.replace('-', '')}/film.mp4",
        f"inputs/x/{ASSET}/film.mp4",
        f"inputs/{uuid.uuid5(uuid.NAMESPACE_URL, 'x')}/film.mp4",
        "inputs/film.mp4",
    ],
)
def test_anything_else_gets_a_name_of_bucket_key_and_content(key):
    one = ObjectCreated("b", key, 1, "e1")
    name = events.asset_id(one)
    assert uuid.UUID(name).version == 5
    assert name == events.asset_id(ObjectCreated("b", key, None, '"e1"', None, "ff"))
    assert name != events.asset_id(ObjectCreated("b", key, 1, "e2"))
    assert name != events.asset_id(ObjectCreated("c", key, 1, "e1"))
    assert name != events.asset_id(ObjectCreated("b", key, 1, "e1", "v1"))


def test_the_asset_id_of_a_dropped_file_never_changes():
    """Ids are in links and in object keys: a change of the rule would orphan every asset."""
    assert events.asset_id(ObjectCreated("b", "inputs/film.mp4", 1, "e")) == "fb177c39-a348-58fc-9578-5adb12b319f2"


@pytest.mark.parametrize("version", ["null", "", None])
def test_a_bucket_without_versions_names_assets_by_content(version):
    [event] = events.decode(eventbridge(**({} if version is None else {"version-id": version})))
    assert event.version_id is None


@pytest.mark.parametrize(
    "envelope",
    [
        None,
        [],
        "text",
        {},
        {"Records": {}},
        {"Records": [{}]},
        {"Records": [{"eventSource": "aws:dynamodb"}]},
        {"Records": [classic()] * 1001},
        {"Records": [classic("inputs/%ff")]},
        {"Records": [classic(key="")]},
        {"Records": [classic(size=-1)]},
        {"Records": [classic(size="5")]},
        {"Records": [classic(eTag=None)]},
        {"Records": [classic(versionId=3)]},
        eventbridge("inputs/" + "x" * 1024),
        eventbridge("inputs/\ud800"),
        eventbridge() | {"source": "aws.ec2"},
        eventbridge() | {"detail": "text"},
        sqs("[" * 100_000),
        sqs(" " * (1024 * 1024 + 1)),
        sqs(sqs(eventbridge())),
    ],
)
def test_what_is_not_an_event_is_refused_with_a_sentence(envelope):
    with pytest.raises(InvalidRequest) as caught:
        events.decode(envelope)
    assert 10 < len(caught.value.message) < 200


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text() | st.sampled_from(sorted(classic())), inner),
    max_leaves=10,
)


@given(json_values)
def test_any_json_gives_events_or_a_refusal(value):
    with contextlib.suppress(InvalidRequest):
        assert isinstance(events.decode(value), list)


@given(st.sampled_from(["key", "size", "eTag", "versionId", "sequencer"]), json_values)
def test_any_value_in_any_member_gives_an_object_or_a_refusal(member, value):
    record = classic()
    record["s3"]["object"][member] = value
    try:
        [event] = events.decode({"Records": [record]})
    except InvalidRequest:
        return
    assert uuid.UUID(events.asset_id(event))


@given(st.text(min_size=1, max_size=200).filter(lambda text: text.isprintable()))
def test_the_two_forms_of_one_event_name_the_same_asset(name):
    key = f"inputs/{name}"
    [old] = events.decode({"Records": [classic(quote_plus(key), eTag="e")]})
    new = eventbridge(key, etag="e")
    new["detail"]["bucket"]["name"] = "amzn-s3-demo-bucket"
    assert events.asset_id(old) == events.asset_id(events.decode(new)[0])
