"""The durable workflow of a job (DBOS), one at a time unless set otherwise; which one is next is `scheduling`'s.

Steps are recorded when they end, so after kill -9 a job goes on with the step it was in. What steps do is `engine`'s.
"""

from __future__ import annotations

import logging
import time
from typing import Any

from dbos import DBOS, SetWorkflowID
from sqlalchemy.exc import OperationalError

from localaws import durable
from localaws.durable import Bound
from localaws.media.failures import INTERNAL, InputRejected, JobCanceled, JobError
from localaws.mediaconvert.engine import Engine

log = logging.getLogger(__name__)

QUEUE_NAME = "mediaconvert"
Json = dict[str, Any]

bound: Bound[Engine] = Bound()


def enqueue(job_id: str) -> bool:
    """Put a job into the queue. Doing it again for the same job changes nothing. False when its workflow has ended."""
    with SetWorkflowID(f"mediaconvert-{job_id}"):
        handle = DBOS.enqueue_workflow(QUEUE_NAME, run_job, job_id)
    return handle.get_status().status in ("PENDING", "ENQUEUED")


@DBOS.workflow(name="mediaconvert.run_job", max_recovery_attempts=1000)
def run_job(job_id: str) -> None:
    engine = bound.get()
    try:
        # No step: whoever goes on with the job makes it its own, each time.
        while not _take(engine, job_id):
            time.sleep(durable.AWAY_FIRST_S)
        _run(job_id)
    finally:
        engine.leave(job_id)
        bound.ended(job_id)


def _take(engine: Engine, job_id: str) -> bool:
    """False while the database is away: a workflow that failed for that would leave a job that nobody runs."""
    try:
        engine.take(job_id)
    except OperationalError as exc:
        if not durable.database_is_away(exc):
            raise
        return False
    return True


def _run(job_id: str) -> None:
    try:
        if _begin(job_id):
            _convert(job_id)
    except JobCanceled:
        log.info("job %s was canceled", job_id)
    except (JobError, InputRejected) as exc:
        _fail(job_id, exc.code, exc.message)
    except Exception:  # the top of the worker loop
        log.exception("job %s failed for a reason nobody thought of", job_id)
        _fail(job_id, INTERNAL, "the engine failed; its log below the data folder tells more")
    _clean(job_id)


def _convert(job_id: str) -> None:
    _fetch(job_id)
    _look(job_id)
    _encode(job_id)
    made = _package(job_id)
    try:
        _complete(job_id, _upload(job_id))
    except JobCanceled:
        _withdraw(job_id, made)
        raise


@durable.step("mediaconvert.begin")
def _begin(job_id: str) -> bool:
    return bound.get().begin(job_id)


@durable.step("mediaconvert.fetch")
def _fetch(job_id: str) -> None:
    bound.get().fetch(job_id)


@durable.step("mediaconvert.look")
def _look(job_id: str) -> None:
    bound.get().look(job_id)


@durable.step("mediaconvert.encode")
def _encode(job_id: str) -> None:
    bound.get().encode(job_id)


@durable.step("mediaconvert.package")
def _package(job_id: str) -> list[str]:
    return bound.get().package(job_id)


@durable.step("mediaconvert.upload")
def _upload(job_id: str) -> Json:
    return bound.get().upload(job_id)


@durable.step("mediaconvert.complete")
def _complete(job_id: str, told: Json) -> None:
    bound.get().complete(job_id, told)


@durable.step("mediaconvert.withdraw")
def _withdraw(job_id: str, uris: list[str]) -> None:
    bound.get().withdraw(job_id, uris)


@durable.step("mediaconvert.fail")
def _fail(job_id: str, code: int, message: str) -> None:
    bound.get().fail(job_id, code, message)


@durable.step("mediaconvert.clean")
def _clean(job_id: str) -> None:
    bound.get().clean(job_id)
