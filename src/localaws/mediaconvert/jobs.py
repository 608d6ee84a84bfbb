"""The operations on jobs: create, get, list, search, cancel, and queries by filter.

Takes and returns members as botocore's model names them; validation against the model is `wire`'s.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import string
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from localaws.config import Config
from localaws.media.failures import SettingRefused
from localaws.mediaconvert import job_queries, state_events
from localaws.mediaconvert.account import arns, tags
from localaws.mediaconvert.account.queues import Queues
from localaws.mediaconvert.account.resources import PAGE, Resources, bad_token, read_token, token_of
from localaws.mediaconvert.account.templates import Templates
from localaws.mediaconvert.answers import table as settings_table
from localaws.mediaconvert.scheduling import Scheduler
from localaws.mediaconvert.settings import request
from localaws.mediaconvert.store import CANCELED, PROGRESSING, Job, Store
from localaws.wire import ServiceError

Json = dict[str, Any]
ENGINE_VERSION = "2017-08-29"
"""The one version of the job engine there is here, named after the version of the API."""
_LETTERS = string.ascii_lowercase + string.digits
_CHUNK = 200


class Jobs:
    def __init__(
        self,
        config: Config,
        store: Store,
        announce: Callable[[], None],
        interrupt: Callable[[str], None],
        resources: Resources,
        templates: Templates,
        queues: Queues,
        scheduler: Scheduler,
    ) -> None:
        """announce: called after events were written. interrupt: ends what this process does for a job."""
        self._config = config
        self._store = store
        self._announce = announce
        self._interrupt = interrupt
        self._resources = resources
        self._templates = templates
        self._queues = queues
        self._scheduler = scheduler

    # Operations

    def create_job(self, params: Json) -> Json:
        try:
            asked, resolved = self._templates.resolved(params)
            infos = [*settings_table.check(resolved), *self._templates.notes(asked)]
            request.read(resolved["Settings"])
        except SettingRefused as exc:
            raise ServiceError("BadRequestException", str(exc)) from exc
        _check_metadata(params.get("UserMetadata") or {})
        tags.check(params.get("Tags") or {})
        queue = self._queues.existing(asked.get("Queue"))
        self._check_hops(asked.get("HopDestinations") or [], queue)
        token = params.get("ClientRequestToken")
        sent = {name: value for name, value in params.items() if name != "ClientRequestToken"}
        fingerprint = hashlib.sha256(json.dumps(sent, sort_keys=True, default=str).encode()).hexdigest()
        job_id = _job_id()
        same = asked["Settings"] == resolved["Settings"]
        job = self._store.add(
            job_id,
            resolved,
            token,
            fingerprint,
            queue,
            infos,
            priority=asked.get("Priority") or 0,
            shown_settings=None if same else asked["Settings"],
        )
        if job.id != job_id and job.fingerprint != fingerprint:
            raise ServiceError(
                "ConflictException", "the ClientRequestToken was used before, for a request that differs"
            )
        if job.id == job_id and (given := params.get("Tags")):
            self._resources.set_tags(arns.job(self._config, job_id), lambda _: dict(given))
        self._scheduler.wake()
        return {"Job": self._shown(job)}

    def get_job(self, params: Json) -> Json:
        return {"Job": self._shown(self._existing(params["Id"]))}

    def list_jobs(self, params: Json) -> Json:
        return self._page(params, lambda job: True)

    def search_jobs(self, params: Json) -> Json:
        part = params.get("InputFile")
        return self._page(params, lambda job: part is None or any(part in uri for uri in job_queries.input_files(job)))

    def cancel_job(self, params: Json) -> Json:
        job = self._existing(params["Id"])
        event = state_events.envelope(self._config, job, CANCELED, {})
        if not self._store.change(job.id, {"status": CANCELED, "finished_at": time.time()}, events=[event]):
            ended = self._existing(job.id)
            raise ServiceError("ConflictException", f"the job has ended already, its status is {ended.status}")
        self._interrupt(job.id)
        self._announce()
        self._scheduler.wake()
        return {}

    def start_jobs_query(self, params: Json) -> Json:
        return {"Id": job_queries.to_id(params)}

    def get_jobs_query_results(self, params: Json) -> Json:
        query = job_queries.from_id(params["Id"])
        fits = job_queries.fits(query.get("FilterList") or [], self._config, ENGINE_VERSION)
        return {**self._page(query, fits), "Status": "COMPLETE"}

    # Inside

    def _check_hops(self, hops: Sequence[Json], queue: str) -> None:
        for index, hop in enumerate(hops):
            path = f"hopDestinations[{index}]"
            if not 1 <= (hop.get("WaitMinutes") or 0) <= 4320:
                raise ServiceError("BadRequestException", f"{path}.waitMinutes: 1 to 4320 minutes are needed")
            if self._queues.existing(hop.get("Queue")) == queue:
                raise ServiceError("BadRequestException", f"{path}.queue: is the queue that the job is submitted to")

    def _page(self, params: Json, fits: Callable[[Job], bool]) -> Json:
        """Jobs that fit, in order of submission, at most MaxResults of them, and where the next ones begin."""
        most = params.get("MaxResults") or PAGE
        found: list[Job] = []
        for job in self._walk(params):
            if fits(job):
                found.append(job)
                if len(found) > most:
                    break
        answer: Json = {"Jobs": [self._shown(job) for job in found[:most]]}
        if len(found) > most:
            answer["NextToken"] = token_of(found[most - 1].sequence)
        return answer

    def _walk(self, params: Json) -> Iterator[Job]:
        after = _after(params.get("NextToken"))
        queue = params.get("Queue")
        while True:
            chunk = self._store.page(
                status=params.get("Status"),
                queue=None if queue is None else arns.queue(self._config, queue),
                ascending=params.get("Order") == "ASCENDING",
                after=after,
                most=_CHUNK,
            )
            yield from chunk
            if len(chunk) < _CHUNK:
                return
            after = chunk[-1].sequence

    def _existing(self, job_id: str) -> Job:
        job = self._store.get(job_id)
        if job is None:
            raise ServiceError("NotFoundException", f"there is no job {job_id[:64]!r}")
        return job

    def _shown(self, job: Job) -> Json:
        asked = job.request
        transitions = [{**one, "Timestamp": _time(one["Timestamp"])} for one in job.transitions or ()]
        shown: Json = {
            "AccelerationSettings": asked.get("AccelerationSettings") or {"Mode": "DISABLED"},
            "AccelerationStatus": "NOT_APPLICABLE",
            "Arn": arns.job(self._config, job.id),
            "BillingTagsSource": asked.get("BillingTagsSource"),
            "ClientRequestToken": job.token,
            "CreatedAt": _time(job.created_at),
            "CurrentPhase": job.phase if job.status == PROGRESSING else None,
            "ErrorCode": job.error_code,
            "ErrorMessage": job.error_message,
            "HopDestinations": asked.get("HopDestinations"),
            "Id": job.id,
            "JobEngineVersionRequested": asked.get("JobEngineVersion"),
            "JobEngineVersionUsed": ENGINE_VERSION,
            "JobPercentComplete": job.percent,
            "JobTemplate": asked.get("JobTemplate"),
            "Messages": {"Info": job.info, "Warning": job.warnings},
            "OutputGroupDetails": job.details or None,
            "Priority": job.priority,
            "Queue": job.queue,
            "QueueTransitions": transitions or None,
            "RetryCount": max(0, job.attempts - 1),
            "Role": asked["Role"],
            "Settings": job.shown_settings or asked["Settings"],
            "SimulateReservedQueue": "DISABLED",
            "Status": job.status,
            "StatusUpdateInterval": asked.get("StatusUpdateInterval") or "SECONDS_60",
            "Timing": _present(
                {
                    "SubmitTime": _time(job.created_at),
                    "StartTime": _time(job.started_at),
                    "FinishTime": _time(job.finished_at),
                }
            ),
            "UserMetadata": asked.get("UserMetadata") or {},
            "Warnings": [{"Code": int(code), "Count": n} for code, n in (job.warning_counts or {}).items()] or None,
        }
        return _present(shown)


def _present(members: Mapping[str, Any]) -> Json:
    return {name: value for name, value in members.items() if value is not None}


def _time(epoch_s: float | None) -> datetime | None:
    return None if epoch_s is None else datetime.fromtimestamp(epoch_s, UTC)


def _job_id() -> str:
    """As AWS writes them: 1671477617078-2886ye."""
    return f"{time.time_ns() // 1_000_000}-{''.join(secrets.choice(_LETTERS) for _ in range(6))}"


def _after(token: str | None) -> int | None:
    if token is None:
        return None
    sequence = read_token(token)
    if not isinstance(sequence, int) or isinstance(sequence, bool) or not 0 <= sequence < 2**63:
        raise bad_token()
    return sequence


def _check_metadata(metadata: Mapping[str, str]) -> None:
    """Source: MediaConvert user guide, job metadata: 10 entries, names of 128 characters, values of 256."""
    if len(metadata) > 10:
        raise ServiceError("BadRequestException", f"userMetadata: at most 10 entries, got {len(metadata)}")
    for name, value in metadata.items():
        if len(name) > 128 or len(value) > 256 or name.lower().startswith("aws:"):
            raise ServiceError(
                "BadRequestException",
                f"userMetadata.{name[:32]}: names have at most 128 characters and no aws: prefix, values at most 256",
            )
