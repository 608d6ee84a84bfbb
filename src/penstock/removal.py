"""A deleted asset -> nothing left of it in the buckets. Can be run again at any point; the markers go last."""

from __future__ import annotations

from collections.abc import Iterator

from penstock import mediapackage, upload
from penstock.entries import Entry
from penstock.errors import Conflict, InvalidRequest, NotFound
from penstock.settings import Clients, Settings
from penstock.upstream import translated

BATCH = 1000
FOLDERS = ("published", "assets", "ingest")


def purge(entry: Entry, clients: Clients, settings: Settings) -> None:
    """Cancel the asset's jobs and remove its source, pointers, outputs and markers.

    Raises UpstreamError or Unavailable when a part does not answer; what was removed stays removed.
    """
    for job in entry.jobs:
        if job.job_id and not job.ended:
            _cancel(job.job_id, clients)
    if entry.upload is not None and not entry.arrived:
        upload.abort(entry.upload, clients, settings)
    for job in entry.jobs:
        if settings.delivery == "mediapackage" or (job.dash or "").startswith(mediapackage.PREFIX):
            mediapackage.remove(entry.asset.id, job.settings, clients)
    # Without a source no sweep starts it again; without a pointer nobody takes the outputs for published; and only
    # when those are gone may the marker that says "this was begun" go too.
    sources = [entry.object_key] if entry.object_key else []
    _remove(clients, settings.source_bucket, [*sources, *_below(clients, settings.source_bucket, "inputs", entry)])
    for folder in FOLDERS:
        _remove(clients, settings.media_bucket, _below(clients, settings.media_bucket, folder, entry))


def objects(entry: Entry, clients: Clients, settings: Settings) -> list[tuple[str, str]]:
    """Bucket and key of everything stored of an asset: what `purge` removes."""
    sources = dict.fromkeys([entry.object_key] if entry.object_key else [])
    sources |= dict.fromkeys(_below(clients, settings.source_bucket, "inputs", entry))
    media = [key for folder in FOLDERS for key in _below(clients, settings.media_bucket, folder, entry)]
    return [(settings.source_bucket, key) for key in sources] + [(settings.media_bucket, key) for key in media]


def _cancel(job_id: str, clients: Clients) -> None:
    try:
        with translated("cancelling the job"):
            clients.mediaconvert.cancel_job(Id=job_id)
    except (NotFound, Conflict, InvalidRequest):
        return  # it has ended, or is long forgotten


def _below(clients: Clients, bucket: str, folder: str, entry: Entry) -> Iterator[str]:
    with translated("listing the asset's objects"):
        pages = clients.s3.get_paginator("list_objects_v2")
        for page in pages.paginate(Bucket=bucket, Prefix=f"{folder}/{entry.asset.id}/"):
            yield from (item["Key"] for item in page.get("Contents", ()))


def _remove(clients: Clients, bucket: str, object_keys: Iterator[str] | list[str]) -> None:
    keys = list(object_keys)
    for start in range(0, len(keys), BATCH):
        batch = [{"Key": key} for key in keys[start : start + BATCH]]
        with translated("removing the asset's objects"):
            clients.s3.delete_objects(Bucket=bucket, Delete={"Objects": batch, "Quiet": True})
