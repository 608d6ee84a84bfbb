"""What goes on between requests: the sweep that repairs what events missed, the progress of conversions, webhooks."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable
from datetime import timedelta

from penstock import removal, upload
from penstock.api.context import Context
from penstock.entries import Entry
from penstock.errors import Conflict, InvalidRequest, PenstockError
from penstock.formats.events import PUBLISHED, AssetEvent
from penstock.handlers import HANDLERS
from penstock.model import AssetState, JsonObject, Problem
from penstock.states import JobState
from penstock.upstream import translated

FOLLOW_EVERY_S = 1.0
ABANDONED = Problem("upload_abandoned", "The upload was never finished and has been removed. Upload the file again.")

log = logging.getLogger("penstock.api")


class Background:
    """Three threads; `stop` ends all."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._repeat, args=(sweep, context.settings.sweep_interval_s), name="sweep"),
            threading.Thread(target=self._repeat, args=(follow, FOLLOW_EVERY_S), name="progress"),
            threading.Thread(target=context.deliverer.run, args=(self._stop,), name="webhooks"),
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _repeat(self, work: Callable[[Context], None], interval_s: float) -> None:
        while not self._stop.is_set():
            attempt(work, self._context)
            self._stop.wait(interval_s)


def attempt(work: Callable[[Context], None], context: Context) -> None:
    """Run a piece of work whose failure must not stop the others; it comes again."""
    try:
        work(context)
    except PenstockError as exc:
        log.warning("%s: %s", work.__name__, exc.message)
    except Exception:
        log.exception("%s failed", work.__name__)


def sweep(context: Context) -> None:
    for work in (start_missed_jobs, adopt_published, end_abandoned_uploads, purge_deleted, note_expired, forget_old):
        attempt(work, context)


def start_missed_jobs(context: Context) -> None:
    """Objects whose event was lost, jobs whose end was not heard."""
    HANDLERS["sweep"]({}, context.clients, context.settings)


def adopt_published(context: Context) -> None:
    """Take in published assets that the catalogue has not heard of. The pointer in the bucket decides."""
    s3, bucket = context.clients.s3, context.settings.media_bucket
    with translated("listing what is published"):
        pages = list(s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix="published/"))
    known = {
        f"published/{entry.asset.id}/{job.settings}.json"
        for entry in context.catalogue.in_state(AssetState.PUBLISHED)
        for job in entry.jobs
        if job.state is JobState.PUBLISHED
    }
    for item in (item for page in pages for item in page.get("Contents", ()) if item["Key"] not in known):
        with translated("reading a pointer"):
            content = s3.get_object(Bucket=bucket, Key=item["Key"])["Body"].read()
        _adopt(context, item["Key"], item["ETag"], content)


def _adopt(context: Context, object_key: str, etag: str, content: bytes) -> None:
    try:
        pointer = json.loads(content)
        if not isinstance(pointer, dict):
            raise InvalidRequest("it is not a JSON object")
        context.catalogue.apply(AssetEvent(PUBLISHED, pointer, f"{object_key} {etag}"))
    except (ValueError, InvalidRequest) as exc:
        log.warning("the pointer %s cannot be read: %s", object_key, exc)


def end_abandoned_uploads(context: Context) -> None:
    """Uploads that nobody finished; their parts cost room."""
    before = context.clock() - timedelta(seconds=context.settings.upload_abandoned_s)
    waiting = context.catalogue.in_state(AssetState.WAITING)
    for entry in waiting:
        if entry.upload is not None and entry.asset.created_at < before:
            _end_abandoned(context, entry)
    known = {entry.upload.upload_id for entry in waiting if entry.upload and entry.upload.upload_id}
    upload.abort_orphans(known, before, context.clients, context.settings)


def _end_abandoned(context: Context, entry: Entry) -> None:
    assert entry.upload is not None
    try:
        upload.check_arrived(entry.upload, context.clients, context.settings)
    except Conflict:
        upload.abort(entry.upload, context.clients, context.settings)
        context.catalogue.upload_ended(entry.asset.id, ABANDONED)
    else:
        context.catalogue.source_arrived(entry.asset.id)


def purge_deleted(context: Context) -> None:
    for entry in context.catalogue.unpurged():
        removal.purge(entry, context.clients, context.settings)
        context.catalogue.purged(entry.asset.id)


def note_expired(context: Context) -> None:
    context.sessions.note_expired()


def forget_old(context: Context) -> None:
    context.catalogue.forget()
    context.sessions.forget()
    context.outbox.forget()


def follow(context: Context) -> None:
    """Ask how far the conversions are that somebody looks at."""
    looked_at = context.changes.looked_at()
    if not looked_at:
        return
    for entry in context.catalogue.in_state(AssetState.CONVERTING, AssetState.PACKAGING):
        if entry.asset.id in looked_at:
            for job in entry.jobs:
                if job.job_id and not job.ended:
                    _follow_job(context, entry.asset.id, job.job_id)


def _follow_job(context: Context, asset_id: str, job_id: str) -> None:
    with translated("asking for the job's progress"):
        job: JsonObject = context.clients.mediaconvert.get_job(Id=job_id)["Job"]
    complete = job.get("Status") == "COMPLETE"
    percent = 100 if complete else job.get("JobPercentComplete")
    # Outputs are packaged and sent in the last phase; once all is COMPLETE, publishing is what is left.
    packaging = complete or job.get("CurrentPhase") == "UPLOADING"
    context.catalogue.progress(asset_id, job_id, percent, packaging=packaging)
