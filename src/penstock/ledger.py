"""What was begun and what has ended, as small objects in the media bucket; and the events that tell of it.

    ingest/<asset id>/~plan                  which job settings this source is converted with; written once
    ingest/<asset id>/<settings name>.json   marker: this conversion was begun; later it names the job
    ingest/<asset id>/~submitted             every conversion of the plan has its job or its failure
    ingest/<asset id>/<settings name>~failed this conversion will never be published, and why
    ingest/<asset id>/~failed                no conversion of this asset will ever begin, and why
    published/<asset id>/<settings name>.json  pointer: this conversion may be watched

A conditional write decides who was first; no table does. `~` is no character of settings names, so nothing collides.
Never holds job settings, keys or anything else that is secret.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from penstock.errors import Conflict, FormatError, NotFound, UpstreamError
from penstock.formats import events, strictjson
from penstock.model import JsonObject, Problem
from penstock.settings import Clients, Settings
from penstock.upstream import translated

INGEST = "ingest/"
PUBLISHED = "published/"
MAX_RECORD_BYTES = 1024 * 1024

# What MediaConvert's UserMetadata takes, less what would leave the output folder.
_SETTINGS_NAME = re.compile(r"\w[\w .:=+@-]*(/\w[\w .:=+@-]*)*")


@dataclass(frozen=True)
class Record:
    """An object of the ledger as it was read; `etag` and `written_at` (UTC) are S3's."""

    value: JsonObject
    etag: str
    written_at: datetime


def plan_key(asset_id: str) -> str:
    return f"{INGEST}{asset_id}/~plan"


def submitted_key(asset_id: str) -> str:
    return f"{INGEST}{asset_id}/~submitted"


def marker_key(asset_id: str, settings_name: str) -> str:
    return f"{INGEST}{asset_id}/{settings_name}.json"


def failure_key(asset_id: str, settings_name: str | None) -> str:
    name = settings_name or ""
    if name and not is_settings_name(name):
        # A name that cannot be used can still fail, once, under a key that S3 takes.
        name = f"~{hashlib.sha256(name.encode()).hexdigest()[:32]}"
    return f"{INGEST}{asset_id}/{name}~failed"


def pointer_key(asset_id: str, settings_name: str) -> str:
    return f"{PUBLISHED}{asset_id}/{settings_name}.json"


def output_prefix(asset_id: str, settings_name: str) -> str:
    """Folder of all outputs of one conversion in the media bucket, without a slash at its end."""
    return f"assets/{asset_id}/{settings_name}"


def is_settings_name(text: str) -> bool:
    """Whether a settings name can be job metadata, part of an object key and part of an address.

    MediaConvert takes 256 characters; S3 servers that keep files take 255 bytes for each part of a key.
    """
    parts = text.split("/")
    short = len(text) <= 256 and all(len(part.encode(errors="replace")) <= 240 for part in parts)
    return short and _SETTINGS_NAME.fullmatch(text) is not None


class Ledger:
    """Reads and writes the records. Every method raises UpstreamError or Unavailable when S3 or the bus fails."""

    def __init__(self, clients: Clients, settings: Settings) -> None:
        self._s3 = clients.s3
        self._events = clients.events
        self._bucket = settings.media_bucket
        self._bus = settings.event_bus

    def read(self, object_key: str) -> Record | None:
        """The record under that key, or None. Raises FormatError when it is not a JSON object of ours."""
        try:
            with translated(f"reading {object_key}"):
                answer = self._s3.get_object(Bucket=self._bucket, Key=object_key)
                with answer["Body"] as body:
                    text = body.read(MAX_RECORD_BYTES + 1)
        except NotFound:
            return None
        value = strictjson.loads(text, max_bytes=MAX_RECORD_BYTES)
        if not isinstance(value, dict):
            raise FormatError(f"{object_key} in the media bucket is not a JSON object; it was not written by penstock")
        return Record(value, answer["ETag"], answer["LastModified"])

    def create(self, object_key: str, value: JsonObject) -> bool:
        """Write a record that is not there yet. False: somebody was first, and nothing was written."""
        return self._put(object_key, value, IfNoneMatch="*")

    def replace(self, object_key: str, value: JsonObject, etag: str) -> bool:
        """Write a record over the one that was read as `etag`. False: it has changed, and nothing was written."""
        return self._put(object_key, value, IfMatch=etag)

    def fail(
        self, asset_id: str, settings_name: str | None, problem: Problem, *, job_id: str | None = None, **more: str
    ) -> None:
        """Put "Asset Failed", then record it: a crash between the two tells it once more, never not at all.

        settings_name: None when no conversion could begin. more: further members of the event.
        The event names every conversion of the plan: events come in any order, and to whom only a failure is known,
        the asset would have failed while others are under way.
        """
        failure = {"assetId": asset_id, "settings": settings_name, "jobId": job_id, **asdict(problem)}
        plan = self.read(plan_key(asset_id)) if settings_name is not None else None
        planned = {"planned": plan.value.get("settings")} if plan is not None else {}
        self.announce(events.FAILED, failure | planned | more)
        self.create(failure_key(asset_id, settings_name), failure)

    def announce(self, kind: events.AssetEventKind, detail: JsonObject) -> None:
        """Put an event of ours on the bus. Raises UpstreamError when the bus does not take it."""
        entry = {"Source": events.OUR_SOURCE, "DetailType": kind, "Detail": json.dumps(detail)}
        with translated("putting an event"):
            answer = self._events.put_events(Entries=[entry | {"EventBusName": self._bus}])
        if answer.get("FailedEntryCount"):
            code = answer["Entries"][0].get("ErrorCode", "no reason given")
            raise UpstreamError(f"the event bus did not take {kind!r}: {code}")

    def keys(self, prefix: str) -> Iterator[str]:
        """Every object key below a prefix of the media bucket, in S3's order."""
        for item in self.objects(prefix):
            yield item["Key"]

    def objects(self, prefix: str) -> Iterator[dict[str, Any]]:
        """Every object below a prefix of the media bucket, as ListObjectsV2 tells it (Key, Size, ETag ...)."""
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix)
        with translated(f"listing {prefix}"):
            for page in pages:
                yield from page.get("Contents", ())

    def _put(self, object_key: str, value: JsonObject, **condition: str) -> bool:
        body = json.dumps(value, sort_keys=True).encode()
        try:
            with translated(f"writing {object_key}"):
                self._s3.put_object(
                    Bucket=self._bucket, Key=object_key, Body=body, ContentType="application/json", **condition
                )
        except (Conflict, NotFound):
            # 404 answers If-Match where there is no such object any more.
            return False
        return True
