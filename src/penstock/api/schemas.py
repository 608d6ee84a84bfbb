"""What goes in and out over HTTP, with the descriptions and examples that openapi.json shows. No behaviour."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictBool, model_validator

from penstock import anomaly
from penstock.anomaly import Window
from penstock.entries import Ending, Entry, Session
from penstock.formats.binding import LAST_ASN
from penstock.model import AssetState, PlaybackSession, Problem
from penstock.states import WHOLE_ASSET, Job, JobState
from penstock.terms import Terms, hash_of

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


class BindingIn(In):
    address: str | None = Field(
        None, max_length=64, description="The viewer's address, or a network in CIDR form", examples=["203.0.113.0/24"]
    )
    asn: int | None = Field(None, strict=True, ge=1, le=LAST_ASN, description="The viewer's autonomous system")
    country: str | None = Field(None, pattern="^[A-Z]{2}$", description="ISO 3166-1 alpha-2", examples=["CH"])
    user_agent: str | None = Field(None, min_length=1, max_length=1024, description="The browser's User-Agent header")
    dpop: bool = Field(
        False,
        strict=True,
        description="To a key that never leaves the browser which opens `watch_url` first (RFC 9449); until then there "
        "are no cookies and no addresses with a token",
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
    playback_rate: float = Field(
        1.0, ge=1, le=4, description="The fastest that the player may play; pace is let out accordingly", examples=[2.0]
    )
    binding: BindingIn | None = Field(None, description="What the session works from alone; all else is refused")
    overlay: StrictBool | Annotated[str, Field(min_length=1, max_length=64), AfterValidator(_storable)] | None = Field(
        None,
        description="Text over the picture: true is the viewer's name, false none; without it the setting decides",
        examples=[True, "ada@example.com"],
    )

    def terms(self) -> Terms:
        """Raises InvalidRequest."""
        if (bound := self.binding) is None:
            return Terms(self.playback_rate)
        return Terms(self.playback_rate, bound.address, bound.asn, bound.country, hash_of(bound.user_agent), bound.dpop)

    def overlay_text(self, usual: bool) -> str | None:
        """What is to be shown; `usual` where the application does not say."""
        if isinstance(self.overlay, str):
            return self.overlay
        return self.viewer[:64] if (usual if self.overlay is None else self.overlay) else None


SessionState = Literal["live", "expired", "ended", "displaced", "revoked"]
_STATES: dict[str | None, SessionState] = {
    Ending.DISPLACED: "displaced",
    Ending.EXPIRED: "expired",
    Ending.SUSPICIOUS: "revoked",
}


class FindingOut(Out):
    signal: str = Field(examples=["pace"])
    points: int = Field(description="What it adds to the score", examples=[40])
    sentence: str = Field(examples=["5400 s of media in 60 s"])


class SessionSummary(Out):
    id: str
    asset_id: str = Field(examples=[ASSET_ID])
    viewer: str = Field(examples=["user-4711"])
    state: SessionState = Field(
        description="displaced: the viewer began another stream, and may have no more of them; revoked: for its score"
    )
    created_at: datetime
    expires_at: datetime
    seen_at: datetime | None = Field(description="Last license or heartbeat; null until the player has begun")
    overlay: str | None = Field(None, description="What the player shows over the picture")
    score: int = Field(0, description="How much it looks like a download, 0 to 100; a reason to look, no proof")
    signals: list[FindingOut] = Field(default_factory=list, description="What the score is made of")

    @classmethod
    def of(cls, session: Session, now: datetime) -> SessionSummary:
        if session.ended_at is not None:
            state = _STATES.get(session.ending, "ended")
        else:
            state = "live" if session.live(now) else "expired"
        return cls.model_validate({**vars(session), "state": state, "signals": findings(session)})


def findings(session: Session) -> list[FindingOut]:
    found = anomaly.assess(anomaly.Observed.of_json(session.observed)).findings
    return [FindingOut.model_validate(each) for each in found]


class SessionPage(Out):
    playback_sessions: list[SessionSummary]
    next: str | None = Field(description="Give it as `cursor` for the next page; null on the last")


class SessionsEnded(Out):
    ended: int = Field(description="How many sessions were live until now", examples=[2])


class DrmAccess(Out):
    license_url: str
    headers: dict[str, str] = Field(description="Go with every license request; secrets of the viewer")
    certificate_url: str | None = Field(description="FairPlay's server certificate")


Drm = Annotated[
    dict[str, DrmAccess],
    Field(
        description="Licenses of a DRM vendor, by EME's name of the system; empty where ClearKey is used",
        examples=[{"com.widevine.alpha": {"license_url": "https://...", "headers": {}, "certificate_url": None}}],
    ),
]


class SessionOut(SessionSummary):
    dash_url: str | None = Field(description="MPEG-DASH manifest; needs the cookies")
    hls_url: str | None = Field(description="HLS playlist; needs the cookies")
    dash_token_url: str | None = Field(
        description="The same with a path token in place of cookies, for players and pages that cannot keep them"
    )
    hls_token_url: str | None = Field(description="Likewise; secrets of the viewer")
    license_url: str | None = Field(description="Of ClearKey licenses; null where a DRM vendor gives them")
    drm: Drm
    license_token: str | None = Field(description="Secret of the viewer: bearer token for `license_url` and `claim`")
    watch_url: str | None = Field(description="Opens the player; whoever has it can watch until `expires_at`")
    cookies: dict[str, str] = Field(description="CloudFront signed cookies, name to value; secrets of the viewer")


class HeartbeatIn(In):
    leaving: bool = Field(False, strict=True, description="The player stops; its stream is free for another one")
    tampered: int = Field(
        0, strict=True, ge=0, le=1000, description="How often the overlay was removed or hidden since the last one"
    )


class HeartbeatOut(Out):
    expires_at: datetime
    dash_token_url: str | None = Field(description="With the next path token, which its segments need, too")
    hls_token_url: str | None
    drm: Drm
    license_token: str = Field(description="Takes the place of the one before, which expires earlier")
    heartbeat_s: int = Field(description="Seconds until the next heartbeat", examples=[30])


class PlayerConfig(Out):
    title: str
    dash_url: str | None
    hls_url: str | None
    dash_token_url: str | None = Field(description="With a path token in place of cookies")
    hls_token_url: str | None
    license_url: str | None = Field(description="Of ClearKey licenses; null where a DRM vendor gives them")
    drm: Drm
    expires_at: datetime
    heartbeat_s: int = Field(description="Seconds between two heartbeats", examples=[30])
    overlay: str | None = Field(None, description="Text to show over the picture, moving")
    playback_rate: float = Field(1.0, description="The fastest that the session may play")
    dpop: bool = Field(False, description="Every request for media and licenses needs a DPoP proof (RFC 9449)")


Count = Annotated[int, Field(ge=0, le=10**9)]
Seconds = Annotated[float, Field(ge=0, le=10**9, allow_inf_nan=False)]


class SignalsOfSession(BaseModel):
    """What the edge saw of one session in one window; members it adds later are let be."""

    session_id: str | None = Field(None, max_length=64)
    serial: int | None = Field(None, ge=1, lt=2**31)
    window_s: Seconds
    segments: Count = 0
    unique_segments: Count = 0
    renditions: Count = 0
    media_s: Seconds = 0
    beacons: Count = 0
    addresses: list[Annotated[str, Field(max_length=64)]] = Field(default_factory=list, max_length=1000)
    refused_pace: Count = 0

    @model_validator(mode="after")
    def _named(self) -> Self:
        if (self.session_id is None) == (self.serial is None):
            raise ValueError("a session is named by its id or its serial")
        return self

    def window(self) -> Window:
        told = self.model_dump(exclude={"session_id", "serial", "addresses"})
        return Window(**told, addresses=tuple(self.addresses))


class SignalsIn(BaseModel):
    sessions: list[SignalsOfSession] = Field(max_length=5000)


def drm(granted: PlaybackSession) -> dict[str, DrmAccess]:
    return {system: DrmAccess.model_validate(access) for system, access in granted.drm.items()}


def problem(found: Problem | None) -> dict[str, Any] | None:
    return None if found is None else {"code": found.code, "message": found.message}


def granted(session: Session, granted: PlaybackSession) -> SessionOut:
    told = {"state": "live", "overlay": session.overlay, "score": session.score, "signals": findings(session)}
    return SessionOut.model_validate({**vars(granted), **told})
