"""The MediaConvert operations that are served: CreateJob, GetJob, ListJobs, CancelJob, DescribeEndpoints, Probe.

Takes and returns members as botocore's model names them; validation against the model is `wire`'s. Starts no process
of its own: the engine does, when the queue says so.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import secrets
import string
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from localaws.config import Config
from localaws.mediaconvert import naming, request, settings_table, state_events, workflow
from localaws.mediaconvert.engine import Engine
from localaws.mediaconvert.failures import ACCESS_DENIED, DISK, NOT_FOUND, JobError
from localaws.mediaconvert.rejections import InputRejected
from localaws.mediaconvert.settings_table import SettingRefused
from localaws.mediaconvert.store import ALIVE, PROGRESSING, Job, Store
from localaws.wire import ServiceError

Json = dict[str, Any]
_PAGE = 20
_LETTERS = string.ascii_lowercase + string.digits


class MediaConvert:
    """The provider behind `wire`. Call `start` once DBOS is launched, `stop` before it is destroyed."""

    def __init__(self, config: Config, publish_event: Callable[[Json], None], *, jobs_at_once: int = 1) -> None:
        self._config = config
        self._store = Store(config.state_dir / "localaws.db")
        self._engine = Engine(config, self._store, publish_event)
        self._engine.clean_leftovers()
        self._jobs_at_once = jobs_at_once
        workflow.bound.bind(self._engine)

    def start(self) -> None:
        """Queue the jobs that a crash left without a workflow, and publish the events that it left unpublished."""
        workflow.open_queue(self._jobs_at_once)
        for job in self._store.alive():
            workflow.enqueue(job.id)
        self._engine.announce()

    def stop(self) -> None:
        """Interrupt what runs; it goes on at the next start."""
        self._engine.stop()

    def close(self) -> None:
        workflow.bound.release()
        self._engine.close()
        self._store.close()

    # Operations

    def create_job(self, params: Json) -> Json:
        try:
            infos = settings_table.check(params)
            request.read(params["Settings"])
        except SettingRefused as exc:
            raise ServiceError("BadRequestException", str(exc), 400) from exc
        _check_metadata(params.get("UserMetadata") or {})
        token = params.get("ClientRequestToken")
        asked = {name: value for name, value in params.items() if name != "ClientRequestToken"}
        fingerprint = hashlib.sha256(json.dumps(asked, sort_keys=True, default=str).encode()).hexdigest()
        queue = state_events.queue_arn(self._config, params.get("Queue"))
        job_id = _job_id()
        job = self._store.add(job_id, params, token, fingerprint, queue, infos)
        if job.id != job_id and job.fingerprint != fingerprint:
            raise ServiceError(
                "ConflictException", "the ClientRequestToken was used before, for a request that differs", 409
            )
        if job.status in ALIVE:
            workflow.enqueue(job.id)
        return {"Job": self._job(job)}

    def get_job(self, params: Json) -> Json:
        return {"Job": self._job(self._existing(params["Id"]))}

    def list_jobs(self, params: Json) -> Json:
        ascending = params.get("Order") == "ASCENDING"
        most = params.get("MaxResults") or _PAGE
        queue = params.get("Queue")
        found = self._store.page(
            status=params.get("Status"),
            queue=None if queue is None else state_events.queue_arn(self._config, queue),
            ascending=ascending,
            after=_after(params.get("NextToken")),
            most=most + 1,
        )
        answer: Json = {"Jobs": [self._job(job) for job in found[:most]]}
        if len(found) > most:
            answer["NextToken"] = base64.urlsafe_b64encode(str(found[most - 1].sequence).encode()).decode()
        return answer

    def cancel_job(self, params: Json) -> Json:
        job = self._existing(params["Id"])
        if not self._engine.cancel(job.id):
            ended = self._existing(job.id)
            raise ServiceError("ConflictException", f"the job has ended already, its status is {ended.status}", 409)
        return {}

    def describe_endpoints(self, params: Json) -> Json:
        return {"Endpoints": [{"Url": self._config.aws_url}]}

    def probe(self, params: Json) -> Json:
        files = params.get("InputFiles") or []
        if len(files) != 1 or not files[0].get("FileUrl"):
            raise ServiceError("BadRequestException", "inputFiles: one file with a fileUrl is needed", 400)
        try:
            return {"ProbeResults": [self._engine.probe(files[0]["FileUrl"])]}
        except naming.NameRefused as exc:
            raise ServiceError("BadRequestException", f"inputFiles[0].fileUrl: {exc}", 400) from exc
        except InputRejected as exc:
            raise ServiceError("BadRequestException", exc.message, 400) from exc
        except JobError as exc:
            code, status = _PROBE_ERRORS.get(exc.code, ("InternalServerErrorException", 500))
            raise ServiceError(code, exc.message, status) from exc

    # Shapes

    def _existing(self, job_id: str) -> Job:
        job = self._store.get(job_id)
        if job is None:
            raise ServiceError("NotFoundException", f"there is no job {job_id[:64]!r}", 404)
        return job

    def _job(self, job: Job) -> Json:
        asked = job.request
        shown: Json = {
            "AccelerationSettings": asked.get("AccelerationSettings") or {"Mode": "DISABLED"},
            "AccelerationStatus": "NOT_APPLICABLE",
            "Arn": state_events.job_arn(self._config, job.id),
            "BillingTagsSource": asked.get("BillingTagsSource"),
            "ClientRequestToken": job.token,
            "CreatedAt": _time(job.created_at),
            "CurrentPhase": job.phase if job.status == PROGRESSING else None,
            "ErrorCode": job.error_code,
            "ErrorMessage": job.error_message,
            "Id": job.id,
            "JobPercentComplete": job.percent,
            "Messages": {"Info": job.info, "Warning": job.warnings},
            "OutputGroupDetails": job.details or None,
            "Priority": asked.get("Priority", 0),
            "Queue": job.queue,
            "RetryCount": 0,
            "Role": asked["Role"],
            "Settings": asked["Settings"],
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
        }
        return _present(shown)


_PROBE_ERRORS = {
    NOT_FOUND: ("NotFoundException", 404),
    ACCESS_DENIED: ("ForbiddenException", 403),
    DISK: ("ServiceQuotaExceededException", 402),
}


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
    try:
        return int(base64.b64decode(token, altchars=b"-_", validate=True))
    except (ValueError, binascii.Error) as exc:
        raise ServiceError("BadRequestException", "nextToken: not one that ListJobs gave", 400) from exc


def _check_metadata(metadata: Mapping[str, str]) -> None:
    """Source: MediaConvert user guide, job metadata: 10 entries, names of 128 characters, values of 256."""
    if len(metadata) > 10:
        raise ServiceError("BadRequestException", f"userMetadata: at most 10 entries, got {len(metadata)}", 400)
    for name, value in metadata.items():
        if len(name) > 128 or len(value) > 256 or name.lower().startswith("aws:"):
            raise ServiceError(
                "BadRequestException",
                f"userMetadata.{name[:32]}: names have at most 128 characters and no aws: prefix, values at most 256",
                400,
            )
