"""What the catalogue answers with, and how it lies in a row of a table. Pure."""

from __future__ import annotations

import base64
import binascii
import uuid
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from penstock import states
from penstock.errors import InvalidRequest
from penstock.model import Asset, AssetState, Problem
from penstock.states import Job, JobState


@dataclass(frozen=True)
class Upload:
    """How the source of an asset comes in. `upload_id` is S3's, None for a presigned POST."""

    object_key: str
    size_bytes: int
    content_type: str
    method: str
    upload_id: str | None = None
    part_size_bytes: int | None = None


@dataclass(frozen=True)
class Entry:
    """An asset with what belongs to it. `version` grows with every change that a reader could see."""

    asset: Asset
    jobs: tuple[Job, ...]
    object_key: str | None
    upload: Upload | None
    version: int
    arrived: bool


class Ending(StrEnum):
    """Why a playback session was ended before it expired."""

    ENDED = "ended"
    DISPLACED = "displaced"
    """The viewer began another stream, and may have no more of them at a time."""
    EXPIRED = "expired"
    """Noted by the sweep, some time after it did."""
    DELETED = "deleted"
    """With its asset."""
    SUSPICIOUS = "suspicious"
    """Its score reached the threshold for revocation."""


@dataclass(frozen=True)
class Session:
    """What is stored of a playback session: no cookie and no token, they are made anew from it."""

    id: str
    asset_id: str
    viewer: str
    created_at: datetime
    expires_at: datetime
    ended_at: datetime | None
    ttl_s: int
    """Life from the last heartbeat on, in seconds."""
    renewable_until: datetime
    """No heartbeat moves `expires_at` beyond this."""
    serial: int = 0
    """A number that no other session has."""
    seen_at: datetime | None = None
    """Last license or heartbeat."""
    streaming_since: datetime | None = None
    """When it took one of its viewer's streams; None before its first license or heartbeat."""
    ending: str | None = None
    overlay: str | None = None
    """Text that the player shows over the picture."""
    score: int = 0
    """How much it looks like a download, 0 to 100 (see `anomaly`)."""
    observed: dict[str, Any] | None = None
    """What the score was computed from."""
    suspicious_at: datetime | None = None
    """When the score first reached the threshold."""
    terms: dict[str, Any] | None = None
    """What it was opened with beside viewer and asset (see `terms`)."""
    key_thumbprint: str | None = None
    """Of the browser's key that the session was claimed with."""

    def live(self, now: datetime) -> bool:
        return self.ended_at is None and now < self.expires_at


def to_entry(row: sa.RowMapping, found: tuple[Job, ...]) -> Entry:
    state = AssetState(row["state"])
    running = state in (AssetState.CONVERTING, AssetState.PACKAGING)
    asset = Asset(
        id=row["id"],
        title=row["title"] or row["id"],
        state=state,
        created_at=row["created_at"],
        error=Problem(row["error_code"], row["error_message"]) if row["error_code"] else None,
        duration_s=None if row["duration_ms"] is None else row["duration_ms"] / 1000,
        percent=states.percent(found) if running else None,
    )
    upload = None
    if row["upload_method"] is not None:
        names = ("object_key", "size_bytes", "content_type", "upload_id", "part_size_bytes")
        upload = Upload(method=row["upload_method"], **{name: row[name] for name in names})
    arrived = row["source_arrived_at"] is not None
    return Entry(asset, found, row["object_key"], upload, row["version"], arrived)


def upload_columns(upload: Upload) -> dict[str, Any]:
    columns = dict(vars(upload))
    return {"upload_method": columns.pop("method"), **columns}


def to_job(row: sa.RowMapping) -> Job:
    error = Problem(row["error_code"], row["error_message"]) if row["error_code"] else None
    names = ("settings", "job_id", "percent", "dash", "hls", "smil", "poster")
    plain = {name: row[name] for name in names}
    return Job(
        **plain,
        state=JobState(row["state"]),
        error=error,
        key_ids=tuple(row["key_ids"]),
        key_tiers=row["key_tiers"] or {},
    )


def job_columns(job: Job) -> dict[str, Any]:
    columns = {**vars(job), "state": job.state.value, "key_ids": list(job.key_ids), "key_tiers": dict(job.key_tiers)}
    error = columns.pop("error")
    return {**columns, "error_code": error.code if error else None, "error_message": error.message if error else None}


def cursor(row: sa.RowMapping) -> str:
    return base64.urlsafe_b64encode(f"{row['created_at'].isoformat()} {row['id']}".encode()).decode()


def read_cursor(text: str) -> tuple[datetime, str]:
    try:
        created_at, asset_id = base64.b64decode(text, altchars=b"-_", validate=True).decode().split(" ")
        when = datetime.fromisoformat(created_at)
        if when.tzinfo is None:
            raise ValueError("no time zone")
        return when, str(uuid.UUID(asset_id))
    except (binascii.Error, ValueError, OverflowError) as exc:
        raise InvalidRequest("the cursor is not one that a page of assets ended with") from exc
