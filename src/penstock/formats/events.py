"""Storage, conversion and our own events as they arrive -> values. Never calls AWS, never trusts a field unread.

Standards: the S3 notification content structure (version 2.x), the EventBridge envelope (version 0) with the details of
`aws.s3`, `aws.mediaconvert` and `penstock`, and SQS batches that carry either.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import unquote_plus

from penstock.errors import InvalidRequest
from penstock.model import JsonObject

ASSET_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://penstock.dev/asset")
INPUTS = "inputs/"
OUR_SOURCE = "penstock"

AssetEventKind = Literal["Asset Published", "Asset Failed", "Asset Converting"]
PUBLISHED: AssetEventKind = "Asset Published"
FAILED: AssetEventKind = "Asset Failed"
CONVERTING: AssetEventKind = "Asset Converting"
_KINDS: tuple[AssetEventKind, ...] = (PUBLISHED, FAILED, CONVERTING)

MAX_RECORDS = 1000
MAX_BODY_CHARS = 1024 * 1024
_UUID4 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


@dataclass(frozen=True)
class ObjectCreated:
    """A finished upload. `object_key` is the key as S3 stores it, decoded; `etag` is without quotes."""

    bucket: str
    object_key: str
    size_bytes: int | None
    etag: str
    version_id: str | None = None
    sequencer: str | None = None
    """Hexadecimal; orders events of the same key only. Kept for logs: decisions are made by what S3 says is there."""


@dataclass(frozen=True)
class JobStateChange:
    job_id: str
    status: str
    user_metadata: dict[str, str]
    detail: JsonObject


@dataclass(frozen=True)
class AssetEvent:
    kind: AssetEventKind
    detail: JsonObject
    event_id: str


@dataclass(frozen=True)
class PackagingChange:
    """MediaPackage tells of an asset of its own. `asset` is its id there; `event` such as VodAssetPlayable."""

    asset: str
    event: str
    message: str


Event = ObjectCreated | JobStateChange | PackagingChange | AssetEvent


def decode(envelope: object) -> list[Event]:
    """Read every event inside an envelope, in the order given.

    Takes the classic S3 event, the EventBridge envelope, and either inside an SQS batch. A well-formed event that is
    not ours to act on (`s3:TestEvent`, a deletion) gives nothing.
    Raises InvalidRequest naming the member that is missing or wrong.
    """
    return [event for _, inner in messages(envelope) for event in _decode_one(inner)]


def messages(envelope: object) -> list[tuple[str | None, object]]:
    """Split an SQS batch into (message id, envelope inside); anything else is one message without an id.

    A body that is not JSON comes back as the text it is, so that `decode` refuses that message alone.
    """
    records = envelope.get("Records") if isinstance(envelope, dict) else None
    if not isinstance(records, list) or not any(_is_sqs(record) for record in records):
        return [(None, envelope)]
    return [(_text(record, "messageId"), _sqs_body(record)) for record in _bounded(records) if _is_sqs(record)]


def asset_id(event: ObjectCreated) -> str:
    """Name the asset that an uploaded object belongs to.

    `inputs/<asset id>/...` carries the id the API chose (UUID, version 4, lower case). Anything else that is dropped
    into the bucket gets a UUID, version 5, of bucket, key and version (the ETag where there are no versions), so that
    every delivery of the same upload names the same asset and a replaced object names a new one.
    """
    parts = event.object_key.split("/", 2)
    if len(parts) == 3 and parts[0] + "/" == INPUTS and parts[2] and _UUID4.fullmatch(parts[1]):
        return parts[1]
    version = event.version_id or event.etag.strip('"')
    return str(uuid.uuid5(ASSET_NAMESPACE, f"{event.bucket}/{event.object_key}/{version}"))


def _decode_one(envelope: object) -> list[Event]:
    if not isinstance(envelope, dict):
        raise InvalidRequest(f"an event is a JSON object, got {_name(envelope)}")
    if envelope.get("Event") == "s3:TestEvent":
        return []
    if "Records" in envelope:
        return [event for record in _bounded(envelope["Records"]) for event in _s3_record(record)]
    if "detail-type" in envelope:
        return _eventbridge(envelope)
    raise InvalidRequest("this is neither an S3 event, an EventBridge event nor an SQS batch of them")


def _s3_record(record: object) -> Iterable[Event]:
    """The classic form. Its key is form-urlencoded: a space is `+` (S3 user guide, notification content structure)."""
    if not isinstance(record, dict) or record.get("eventSource") != "aws:s3":
        raise InvalidRequest("Records holds something that is neither from aws:s3 nor from aws:sqs")
    if not _text(record, "eventName").removeprefix("s3:").startswith("ObjectCreated:"):
        return
    s3 = _object(record, "s3")
    item = _object(s3, "object")
    yield _object_created(
        bucket=_text(_object(s3, "bucket"), "name"),
        object_key=_form_decoded(_text(item, "key")),
        size=item.get("size"),
        etag=_text(item, "eTag"),
        version_id=item.get("versionId"),
        sequencer=item.get("sequencer"),
    )


def _eventbridge(envelope: JsonObject) -> list[Event]:
    source, kind, detail = _text(envelope, "source"), _text(envelope, "detail-type"), _object(envelope, "detail")
    if source == "aws.s3":
        return [_eventbridge_object(detail)] if kind == "Object Created" else []
    if source == "aws.mediaconvert":
        return [_job_state_change(detail)] if kind == "MediaConvert Job State Change" else []
    if source == "aws.mediapackage":
        return _packaging_changes(envelope, detail)
    if source == OUR_SOURCE:
        return [_asset_event(kind, detail, _text(envelope, "id"))]
    raise InvalidRequest(f"events of source {source[:64]!r} are not known here")


def _eventbridge_object(detail: JsonObject) -> ObjectCreated:
    """EventBridge carries the key as it is: decoding it would turn a real `+` into a space."""
    item = _object(detail, "object")
    return _object_created(
        bucket=_text(_object(detail, "bucket"), "name"),
        object_key=_text(item, "key"),
        size=item.get("size"),
        etag=_text(item, "etag"),
        version_id=item.get("version-id"),
        sequencer=item.get("sequencer"),
    )


def _object_created(
    *, bucket: str, object_key: str, size: object, etag: str, version_id: object, sequencer: object
) -> ObjectCreated:
    if size is not None and (isinstance(size, bool) or not isinstance(size, int) or size < 0):
        raise InvalidRequest(f"the object's size is a number of bytes, got {_name(size)}")
    try:
        length = len(object_key.encode())
    except UnicodeEncodeError as exc:
        raise InvalidRequest("the object key is not valid Unicode") from exc
    if length > 1024:
        raise InvalidRequest(f"an object key has at most 1024 bytes, got {length}")
    version = _optional_text("version id", version_id)
    # S3 writes the version id "null" for objects of a bucket without versioning.
    version = None if version == "null" else version
    return ObjectCreated(bucket, object_key, size, etag.strip('"'), version, _optional_text("sequencer", sequencer))


def _job_state_change(detail: JsonObject) -> JobStateChange:
    metadata = detail.get("userMetadata") or {}
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise InvalidRequest("userMetadata is an object of texts")
    return JobStateChange(_text(detail, "jobId"), _text(detail, "status"), metadata, detail)


def _packaging_changes(envelope: JsonObject, detail: JsonObject) -> list[Event]:
    """The asset stands in the resources alone. Live channels send events of the same source, which have none."""
    resources = envelope.get("resources")
    if not isinstance(resources, list) or not all(isinstance(arn, str) for arn in resources):
        raise InvalidRequest("resources is a list of ARNs")
    assets = [arn.partition(":assets/")[2] for arn in resources if arn.startswith("arn:") and ":assets/" in arn]
    message = detail.get("message")
    told = message if isinstance(message, str) else ""
    return [PackagingChange(asset, _text(detail, "event"), told) for asset in assets[:1] if asset]


def _asset_event(kind: str, detail: JsonObject, event_id: str) -> AssetEvent:
    for known in _KINDS:
        if kind == known:
            _text(detail, "assetId")
            return AssetEvent(known, detail, event_id)
    raise InvalidRequest(f"penstock sends no event {kind[:64]!r}")


def _is_sqs(record: object) -> bool:
    return isinstance(record, dict) and record.get("eventSource") == "aws:sqs"


def _sqs_body(record: JsonObject) -> object:
    body = _text(record, "body")
    if len(body) > MAX_BODY_CHARS:
        return body
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return body


def _form_decoded(text: str) -> str:
    try:
        return unquote_plus(text, errors="strict")
    except UnicodeDecodeError as exc:
        raise InvalidRequest("the object key is not form-urlencoded UTF-8") from exc


def _bounded(records: object) -> list[Any]:
    if not isinstance(records, list):
        raise InvalidRequest(f"Records is a list, got {_name(records)}")
    if len(records) > MAX_RECORDS:
        raise InvalidRequest(f"at most {MAX_RECORDS} records in one event, got {len(records)}")
    return records


def _object(parent: JsonObject, member: str) -> JsonObject:
    value = parent.get(member)
    if not isinstance(value, dict):
        raise InvalidRequest(f"member {member!r} is an object, got {_name(value)}")
    return value


def _text(parent: JsonObject, member: str) -> str:
    value = parent.get(member)
    if not isinstance(value, str) or not value:
        raise InvalidRequest(f"member {member!r} is a text that is not empty, got {_name(value)}")
    return value


def _optional_text(name: str, value: object) -> str | None:
    if value is not None and not isinstance(value, str):
        raise InvalidRequest(f"the object's {name} is text, got {_name(value)}")
    return value or None


def _name(value: object) -> str:
    return "nothing" if value is None else type(value).__name__
