"""How an asset and its jobs move from state to state. Pure: no database, no clock.

Events come late, twice and in any order, so a job only ever moves up a fixed order, and an asset's state is computed
from its jobs: the same events give the same state in whichever order they arrive.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from penstock.errors import InvalidRequest
from penstock.formats.events import AssetEvent
from penstock.model import AssetState, JsonObject, KeyId, Problem
from penstock.tiers import Tier

WHOLE_ASSET = ""
"""Stands for the job settings of a failure that came before any job, such as a source that cannot be read."""


class JobState(StrEnum):
    CONVERTING = "converting"
    PACKAGING = "packaging"
    FAILED = "failed"
    PUBLISHED = "published"


_ORDER = tuple(JobState)


@dataclass(frozen=True)
class Job:
    """One conversion of an asset: where it is, and what viewers get from it once it is published."""

    settings: str
    state: JobState
    job_id: str | None = None
    percent: int | None = None
    error: Problem | None = None
    dash: str | None = None
    hls: str | None = None
    smil: str | None = None
    poster: str | None = None
    key_ids: tuple[str, ...] = ()
    key_tiers: Mapping[str, str] = field(default_factory=dict)
    """What each key opens at most, by key id; keys of assets published before tiers were told are not in it."""

    @property
    def ended(self) -> bool:
        return self.state in (JobState.PUBLISHED, JobState.FAILED)


def job_of(event: AssetEvent) -> Job:
    """Read what an event says about a job. Raises InvalidRequest naming a member that is missing or of a wrong type."""
    detail = event.detail
    settings = _text(detail, "settings") or WHOLE_ASSET
    job_id = _text(detail, "jobId")
    if event.kind == "Asset Converting":
        return Job(settings, JobState.CONVERTING, job_id, percent=0)
    if event.kind == "Asset Failed":
        problem = Problem(_text(detail, "code") or "job_failed", _text(detail, "message") or "The conversion failed.")
        return Job(settings, JobState.FAILED, job_id, error=problem)
    return Job(
        settings,
        JobState.PUBLISHED,
        job_id,
        percent=100,
        dash=_text(detail, "dash"),
        hls=_text(detail, "hls"),
        smil=_text(detail, "smil"),
        poster=_text(detail, "poster"),
        key_ids=_key_ids(detail),
        key_tiers=_key_tiers(detail),
    )


def planned(event: AssetEvent) -> tuple[Job, ...]:
    """The conversions that an event of a failure names beside its own, each as it is before its job is known.

    Raises InvalidRequest when they are not a list of names.
    """
    names = event.detail.get("planned") or []
    if not isinstance(names, list) or not all(isinstance(name, str) and name for name in names):
        raise InvalidRequest("the event's planned is a list of the names of job settings")
    return tuple(Job(name, JobState.CONVERTING, percent=0) for name in names)


def merge(known: Job | None, told: Job) -> Job:
    """The job after an event: whichever of both is further on. Returns `known` itself when nothing changes."""
    if known is None or known == told:
        return told if known is None else known
    if known.state is JobState.PUBLISHED or told.state is JobState.PUBLISHED:
        return known if known.state is JobState.PUBLISHED else told
    if known.job_id == told.job_id:
        return told if _ORDER.index(told.state) > _ORDER.index(known.state) else known
    # Another attempt, or none at all. Nothing said before there was a job touches one; otherwise the later word counts,
    # and the end of an attempt more than its beginning.
    stale = told.job_id is None or (told.state is JobState.CONVERTING and not known.ended and known.job_id is not None)
    return known if stale else told


def advance(known: Job, percent: int | None, packaging: bool) -> Job:
    """The job after a progress report; progress never goes back and never touches a job that has ended."""
    if known.ended:
        return known
    state = JobState.PACKAGING if packaging else known.state
    reported = min(max(percent or 0, 0), 100)
    return replace(known, state=state, percent=max(known.percent or 0, reported))


def derive(jobs: Iterable[Job], *, arrived: bool) -> tuple[AssetState, Problem | None]:
    """The state of an asset: published once a job is, failed once all have ended and none is."""
    jobs = list(jobs)
    rejected = [job for job in jobs if job.settings == WHOLE_ASSET]
    own = [job for job in jobs if job.settings != WHOLE_ASSET]
    if rejected:
        # What was planned and has no job yet will never have one once the source itself is rejected.
        own = [job for job in own if job.ended or job.job_id is not None]
    real = own or rejected
    if any(job.state is JobState.PUBLISHED for job in real):
        return AssetState.PUBLISHED, None
    if not real:
        return (AssetState.CONVERTING if arrived else AssetState.WAITING), None
    running = [job for job in real if not job.ended]
    if not running:
        return AssetState.FAILED, min(real, key=lambda job: job.settings).error
    packaging = all(job.state is JobState.PACKAGING for job in running)
    return (AssetState.PACKAGING if packaging else AssetState.CONVERTING), None


def percent(jobs: Iterable[Job]) -> int:
    """Progress over all conversions of an asset, 0 to 100; one that failed counts as done."""
    parts = [100 if job.ended else job.percent or 0 for job in jobs if job.settings != WHOLE_ASSET]
    return sum(parts) // len(parts) if parts else 0


def _text(detail: JsonObject, name: str) -> str | None:
    value = detail.get(name)
    if value is not None and not isinstance(value, str):
        raise InvalidRequest(f"the event's {name} is a text or null, got {type(value).__name__}")
    return value


def _key_ids(detail: JsonObject) -> tuple[str, ...]:
    value = detail.get("keyIds") or []
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise InvalidRequest("the event's keyIds is a list of UUIDs")
    return tuple(str(KeyId.from_uuid(item)) for item in value)


def _key_tiers(detail: JsonObject) -> dict[str, str]:
    value = detail.get("keyTiers") or {}
    if not isinstance(value, dict) or not all(name in Tier.__members__ for name in value.values()):
        raise InvalidRequest(f"the event's keyTiers maps UUIDs to {', '.join(Tier.__members__)}")
    return {str(KeyId.from_uuid(kid)): name for kid, name in value.items()}
