"""What goes in and out over HTTP, with the descriptions and examples that openapi.json shows. No behaviour."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from penstock.entries import Ending, Entry, Session
from penstock.model import AssetState, PlaybackSession, Problem
from penstock.states import WHOLE_ASSET, Job, JobState

ASSET_ID = "0b9e6a3c-7d0f-4f0e-9c39-6f2f3d1b8a55"
MAX_NAME_BYTES = 1024


def _storable(text: str) -> str:
    if "\0" in text:
        raise ValueError("holds a NUL character, which no name has")
    if len(text.encode()) > MAX_NAME_BYTES:
        raise ValueError(f"has more than {MAX_NAME_BYTES} bytes in UTF-8")
    return text


Name = Annotated[str, Field(min_length=1), AfterValidator(_storable)]


class In(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Out(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class ErrorBody(Out):
    code: str = Field(description="Stable, for programs", examples=["not_found"])
    message: str = Field(description="A sentence for people")
    request_id: str = Field(description="The same as in the header X-Request-Id; the log has it too")


class Error(Out):
    error: ErrorBody


class AssetIn(In):
    title: Name | None = Field(
        None, description="What viewers see; without it the file name", examples=["Big Buck Bunny"]
    )
    file_name: Name = Field(description="As the user calls the file; any characters", examples=["big buck bunny.mov"])
    size_bytes: int = Field(
        strict=True, ge=0, le=2**63 - 1, description="Exact; no other size gets in", examples=[61_000_000]
    )
    content_type: str | None = Field(None, max_length=127, description="Media type", examples=["video/quicktime"])


class ProblemOut(Out):
    code: str = Field(examples=["source_rejected"])
    message: str = Field(description="What was wrong and what to do", examples=["The file has no video track."])


class JobOut(Out):
    settings: str = Field(
        description="Name of the job settings; `default` is the built-in ladder", examples=["default"]
    )
    job_id: str | None = Field(description="MediaConvert's job id", examples=["1763814000000-abc123"])
    state: JobState
    percent: int | None = Field(examples=[42])
    error: ProblemOut | None


class AssetOut(Out):
    id: str = Field(examples=[ASSET_ID])
    title: str = Field(examples=["Big Buck Bunny"])
    state: AssetState = Field(description="waiting (no source yet), converting, packaging, published, failed")
    error: ProblemOut | None = Field(description="Why it failed; null otherwise")
    duration_s: float | None = Field(description="Seconds; null until it is known", examples=[30.0])
    created_at: datetime
    percent: int | None = Field(description="Progress of the conversion, 0 to 100; null unless it runs", examples=[42])
    has_poster: bool = Field(description="Whether `/v1/assets/{id}/poster` has a picture")
    jobs: list[JobOut] = Field(description="One for each job settings file, or one for the built-in ladder")

    @classmethod
    def of(cls, entry: Entry) -> AssetOut:
        shown: list[Job] = [job for job in entry.jobs if job.settings != WHOLE_ASSET]
        poster = any(job.poster and job.state is JobState.PUBLISHED for job in entry.jobs)
        return cls.model_validate({**vars(entry.asset), "jobs": shown, "has_poster": poster})


class ObjectOut(Out):
    bucket: str = Field(examples=["penstock-media"])
    object_key: str = Field(examples=[f"assets/{ASSET_ID}/default/stream/main.viewer.mpd"])


class ObjectsOut(Out):
    s3_url: str = Field(description="Where the buckets are")
    objects: list[ObjectOut]
    key_ids: list[str] = Field(description="Of the content keys; the keys themselves are told by licenses alone")


class PostUpload(Out):
    method: Literal["post"] = "post"
    url: str = Field(description="POST a multipart form here: `fields`, then the file as the last field, named `file`")
    fields: dict[str, str]
    expires_at: datetime


class MultipartUpload(Out):
    method: Literal["multipart"] = "multipart"
    upload_id: str
    object_key: str = Field(examples=[f"inputs/{ASSET_ID}/big_buck_bunny.mov"])
    part_size_bytes: int = Field(description="Length of every part but the last", examples=[8_388_608])
    part_count: int = Field(examples=[8])


UploadOut = Annotated[PostUpload | MultipartUpload, Field(discriminator="method")]


class NewAsset(Out):
    asset: AssetOut
    upload: UploadOut


class AssetPage(Out):
    assets: list[AssetOut]
    next: str | None = Field(description="Give it as `cursor` for the next page; null on the last")


class PartNumbers(In):
    part_numbers: list[Annotated[int, Field(strict=True, ge=1, le=10_000)]] = Field(
        min_length=1, max_length=1000, description="Parts to sign, in one batch", examples=[[1, 2, 3, 4]]
    )


class SignedPart(Out):
    part_number: int
    url: str = Field(description="PUT the part here; keep the ETag of the answer")
    size_bytes: int = Field(description="The exact length that this address takes")


class SignedParts(Out):
    parts: list[SignedPart]
    expires_at: datetime


class PartDone(Out):
    part_number: int
    size_bytes: int
    etag: str


class PartsDone(Out):
    parts: list[PartDone]


class PartIn(In):
    part_number: int = Field(strict=True, ge=1, le=10_000)
    etag: str = Field(max_length=256)


class Completion(In):
    parts: list[PartIn] = Field(
        default_factory=list,
        max_length=10_000,
        description="As uploaded; without them the parts in the bucket are taken",
    )


class SessionIn(In):
    viewer: Annotated[str, Field(min_length=1, max_length=256), AfterValidator(_storable)] = Field(
        description="Who watches, as your application calls them", examples=["user-4711"]
    )
    ttl_s: int | None = Field(
        None,
        strict=True,
        ge=1,
        le=7 * 86400,
        description="Life of the session in seconds, begun anew by each heartbeat of a player",
        examples=[14400],
    )
    max_s: int | None = Field(
        None,
        strict=True,
        ge=1,
        le=30 * 86400,
        description="Life that no heartbeat exceeds, in seconds from now; the same as `ttl_s` renews nothing",
        examples=[86400],
    )


SessionState = Literal["live", "expired", "ended", "displaced"]


class SessionSummary(Out):
    id: str
    asset_id: str = Field(examples=[ASSET_ID])
    viewer: str = Field(examples=["user-4711"])
    state: SessionState = Field(description="displaced: the viewer began another stream, and may have no more of them")
    created_at: datetime
    expires_at: datetime
    seen_at: datetime | None = Field(description="Last license or heartbeat; null until the player has begun")

    @classmethod
    def of(cls, session: Session, now: datetime) -> SessionSummary:
        if session.ended_at is not None:
            state: SessionState = "displaced" if session.ending == Ending.DISPLACED else "ended"
        else:
            state = "live" if session.live(now) else "expired"
        return cls.model_validate({**vars(session), "state": state}, from_attributes=False)


class SessionPage(Out):
    playback_sessions: list[SessionSummary]
    next: str | None = Field(description="Give it as `cursor` for the next page; null on the last")


class SessionsEnded(Out):
    ended: int = Field(description="How many sessions were live until now", examples=[2])


class SessionOut(SessionSummary):
    dash_url: str | None = Field(description="MPEG-DASH manifest; needs the cookies")
    hls_url: str | None = Field(description="HLS playlist; needs the cookies")
    dash_token_url: str | None = Field(
        description="The same with a path token in place of cookies, for players and pages that cannot keep them"
    )
    hls_token_url: str | None = Field(description="Likewise; secrets of the viewer")
    license_url: str | None
    license_token: str | None = Field(description="Secret of the viewer: bearer token for `license_url` and `claim`")
    watch_url: str | None = Field(description="Opens the player; whoever has it can watch until `expires_at`")
    cookies: dict[str, str] = Field(description="CloudFront signed cookies, name to value; secrets of the viewer")


class HeartbeatIn(In):
    leaving: bool = Field(False, strict=True, description="The player stops; its stream is free for another one")


class HeartbeatOut(Out):
    expires_at: datetime
    dash_token_url: str | None = Field(description="With the next path token, which its segments need, too")
    hls_token_url: str | None
    license_token: str = Field(description="Takes the place of the one before, which expires earlier")
    heartbeat_s: int = Field(description="Seconds until the next heartbeat", examples=[30])


class PlayerConfig(Out):
    title: str
    dash_url: str | None
    hls_url: str | None
    dash_token_url: str | None = Field(description="With a path token in place of cookies")
    hls_token_url: str | None
    license_url: str
    expires_at: datetime
    heartbeat_s: int = Field(description="Seconds between two heartbeats", examples=[30])


def problem(found: Problem | None) -> dict[str, Any] | None:
    return None if found is None else {"code": found.code, "message": found.message}


def granted(session: PlaybackSession) -> SessionOut:
    return SessionOut.model_validate({**vars(session), "state": "live"})
