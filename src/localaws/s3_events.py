"""What the S3 server tells of its changes, as the "Object Created" events that Amazon S3 sends to EventBridge.

SeaweedFS posts each change of its folder tree. An object that appears or is replaced is an event; folders, parts of an
unfinished multipart upload, deletions, and changes of tags alone are none. The tree does not say by which request an
object came: `reason` tells multipart uploads apart and calls everything else PutObject.
"""

from __future__ import annotations

import base64
import binascii
import uuid
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from localaws.config import Config
from penstock.errors import InvalidRequest

SOURCE = "aws.s3"
_NAMESPACE = uuid.UUID("5f0c9f0e-6f5b-5d7e-9d0a-3c2b54c8a2d1")
_BUCKETS = "/buckets/"


def from_change(change: object, config: Config) -> dict[str, Any] | None:
    """The event that a posted change amounts to, or None. Raises InvalidRequest for what is no change at all."""
    try:
        assert isinstance(change, dict)
        message = change["message"]
        entry = message.get("new_entry")
        if change["event_type"] not in ("create", "update", "rename") or not entry or entry.get("is_directory"):
            return None
        path = f"{message['new_parent_path']}/{entry['name']}"
        bucket, _, object_key = path.removeprefix(_BUCKETS).partition("/")
        watched = any(known.events and known.name == bucket for known in config.buckets)
        if not path.startswith(_BUCKETS) or not watched or not object_key or object_key.startswith(".uploads/"):
            return None
        if change["event_type"] == "update" and _content(message["old_entry"]) == _content(entry):
            return None
        return _event(
            config,
            bucket,
            object_key,
            int(entry["attributes"].get("file_size", 0)),
            _etag(entry),
            int(entry["attributes"]["mtime"]),
            _written_ns(entry),
        )
    except (AssertionError, KeyError, TypeError, ValueError, AttributeError, binascii.Error) as exc:
        raise InvalidRequest("this is no change of the S3 server") from exc


def from_listing(page: Mapping[str, Any], config: Config, bucket: str, since: datetime) -> Iterator[dict[str, Any]]:
    """Events for the objects of one ListObjectsV2 page that were written at or after `since`.

    An object whose change was told gets the same event id here, so that the bus knows it.
    """
    for item in page.get("Contents", ()):
        written = item["LastModified"].astimezone(UTC)
        if written >= since and not item["Key"].endswith("/"):
            seconds = int(written.timestamp())
            yield _event(config, bucket, item["Key"], item["Size"], item["ETag"].strip('"'), seconds, seconds * 10**9)


def _event(
    config: Config, bucket: str, object_key: str, size_bytes: int, etag: str, written_s: int, written_ns: int
) -> dict[str, Any]:
    name = "\n".join([bucket, object_key, etag, str(written_s)])
    event_id = uuid.uuid5(_NAMESPACE, name)
    return {
        "version": "0",
        "id": str(event_id),
        "detail-type": "Object Created",
        "source": SOURCE,
        "account": config.account_id,
        "time": datetime.fromtimestamp(written_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": config.region,
        "resources": [f"arn:aws:s3:::{bucket}"],
        "detail": {
            "version": "0",
            "bucket": {"name": bucket},
            "object": {"key": object_key, "size": size_bytes, "etag": etag, "sequencer": f"{written_ns:016X}"},
            "request-id": event_id.hex[:16].upper(),
            "requester": config.account_id,
            "source-ip-address": "127.0.0.1",
            "reason": "CompleteMultipartUpload" if "-" in etag else "PutObject",
        },
    }


def _content(entry: Mapping[str, Any]) -> tuple[Any, ...]:
    """What changes with every write of an object, and with no change of its tags."""
    chunks = tuple(str(chunk.get("fid")) for chunk in entry.get("chunks", ()))
    return chunks, entry["attributes"]["mtime"], entry["attributes"].get("md5")


def _etag(entry: Mapping[str, Any]) -> str:
    extended = entry.get("extended", {})
    if "Seaweed-X-Amz-ETag" in extended:
        return base64.b64decode(extended["Seaweed-X-Amz-ETag"]).decode().strip('"')
    return base64.b64decode(entry["attributes"]["md5"]).hex()


def _written_ns(entry: Mapping[str, Any]) -> int:
    stamps = [int(chunk["modified_ts_ns"]) for chunk in entry.get("chunks", ())]
    return max([int(entry["attributes"]["mtime"]) * 10**9, *stamps])
