"""The durable workflow of a job (DBOS), one at a time unless set otherwise; which one is next is `scheduling`'s.

Steps are recorded when they end, so after kill -9 a job goes on with the step it was in. What steps do is `engine`'s.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from threading import Event

from dbos import DBOS, SetWorkflowID

from localaws.mediaconvert.engine import Engine
from localaws.mediaconvert.failures import INTERNAL, JobCanceled, JobError
from localaws.mediaconvert.rejections import InputRejected

log = logging.getLogger(__name__)

QUEUE_NAME = "mediaconvert"


class _Bound:
    """The engine that this process's workflows use; recovery may start them before it is there."""

    def __init__(self) -> None:
        self._engine: Engine | None = None
        self._on_end: Callable[[str], None] | None = None
        self._ready = Event()

    def bind(self, engine: Engine, on_end: Callable[[str], None]) -> None:
        """on_end: called with a job's id when its workflow leaves this process, however it does."""
        self._engine = engine
        self._on_end = on_end
        self._ready.set()

    def ended(self, job_id: str) -> None:
        if (tell := self._on_end) is not None:
            tell(job_id)

    def release(self) -> None:
        self._engine = None
        self._on_end = None
        self._ready.clear()

    def get(self) -> Engine:
        self._ready.wait()
        assert self._engine is not None
        return self._engine


bound = _Bound()


def open_queue(jobs_at_once: int) -> None:
    """To be called once DBOS is launched."""
    DBOS.register_queue(
        QUEUE_NAME, worker_concurrency=jobs_at_once, polling_interval_sec=0.1, on_conflict="always_update"
    )


def enqueue(job_id: str) -> bool:
    """Put a job into the queue. Doing it again for the same job changes nothing. False when its workflow has ended."""
    with SetWorkflowID(f"mediaconvert-{job_id}"):
        handle = DBOS.enqueue_workflow(QUEUE_NAME, run_job, job_id)
    return handle.get_status().status in ("PENDING", "ENQUEUED")


@DBOS.workflow(name="mediaconvert.run_job", max_recovery_attempts=1000)
def run_job(job_id: str) -> None:
    try:
        _run(job_id)
    finally:
        bound.ended(job_id)


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
    facts = _encode(job_id)
    for number in range(_group_count(job_id)):
        _package(job_id, number)
    _upload(job_id)
    _complete(job_id, facts)


@DBOS.step(name="mediaconvert.begin")
def _begin(job_id: str) -> bool:
    return bound.get().begin(job_id)


@DBOS.step(name="mediaconvert.fetch")
def _fetch(job_id: str) -> None:
    bound.get().fetch(job_id)


@DBOS.step(name="mediaconvert.look")
def _look(job_id: str) -> None:
    bound.get().look(job_id)


@DBOS.step(name="mediaconvert.encode")
def _encode(job_id: str) -> dict[str, list[int]]:
    return bound.get().encode(job_id)


@DBOS.step(name="mediaconvert.group_count")
def _group_count(job_id: str) -> int:
    return bound.get().group_count(job_id)


@DBOS.step(name="mediaconvert.package")
def _package(job_id: str, number: int) -> None:
    bound.get().package(job_id, number)


@DBOS.step(name="mediaconvert.upload")
def _upload(job_id: str) -> None:
    bound.get().upload(job_id)


@DBOS.step(name="mediaconvert.complete")
def _complete(job_id: str, facts: dict[str, list[int]]) -> None:
    bound.get().complete(job_id, facts)


@DBOS.step(name="mediaconvert.fail")
def _fail(job_id: str, code: int, message: str) -> None:
    bound.get().fail(job_id, code, message)


@DBOS.step(name="mediaconvert.clean")
def _clean(job_id: str) -> None:
    bound.get().clean(job_id)
