"""Runs jobs: a durable workflow of idempotent steps that goes on at the interrupted step after a crash.

Each step can be repeated, on another machine, too: what it needs `making` has made, or makes again. State changes and
their events are written together by the store, and only while the job is this engine's own.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from threading import Event, Lock
from typing import Any

from localaws.config import Config
from localaws.durable import EngineStopping
from localaws.media import addresses, transfer
from localaws.media.failures import DISK, JobCanceled, JobError
from localaws.mediaconvert import state_events
from localaws.mediaconvert.engines import ALONE, Engines, Superseded
from localaws.mediaconvert.making import Making, Run
from localaws.mediaconvert.progress import Progress
from localaws.mediaconvert.store import CANCELED, COMPLETE, ERROR, PROGRESSING, SUBMITTED, Job, Store

log = logging.getLogger(__name__)
Json = dict[str, Any]


class Engine:
    """Does the steps of jobs. One for each process; safe to call from several threads."""

    def __init__(
        self,
        config: Config,
        store: Store,
        engines: Engines,
        making: Making,
        objects: transfer.Store,
        *,
        engine_id: str = ALONE,
        announce: Callable[[], None] = lambda: None,
    ) -> None:
        """announce: called after events were written."""
        self.id = engine_id
        self._config = config
        self._store = store
        self._engines = engines
        self._making = making
        self._objects = objects
        self._announce = announce
        self._cancels: dict[str, Event] = {}
        self._progress: dict[str, Progress] = {}
        self._lock = Lock()
        self._stopping = Event()

    # Life

    def stop(self) -> None:
        """End what runs without ending the jobs: they go on at the next start, or elsewhere."""
        self._stopping.set()
        for job_id in self.running():
            self.interrupt(job_id)

    def running(self) -> list[str]:
        """Jobs that this process is at work on."""
        with self._lock:
            return list(self._cancels)

    def interrupt(self, job_id: str) -> None:
        """End the processes of a job within a second; what becomes of the job its state says."""
        with self._lock:
            running = self._cancels.get(job_id)
        if running is not None:
            running.set()

    # Steps

    def take(self, job_id: str) -> None:
        """Make the job this engine's own, each time that its workflow begins here. Raises EngineStopping."""
        self._stop_if_asked()
        self._engines.take(self.id, job_id)
        with self._lock:
            self._cancels.setdefault(job_id, Event())

    def begin(self, job_id: str) -> bool:
        """SUBMITTED -> PROGRESSING. False when there is nothing to do any more."""
        job = self._store.get(job_id)
        if job is None or job.status not in (SUBMITTED, PROGRESSING):
            return False
        if job.status == SUBMITTED:
            event = state_events.envelope(self._config, job, PROGRESSING, {})
            values = {"status": PROGRESSING, "phase": "PROBING", "started_at": time.time()}
            if not self._change(job_id, values, [event]):
                return False
        return True

    def fetch(self, job_id: str) -> None:
        """Bring every file of the inputs here, and see that there is somewhere to put the outputs."""
        with self._running(job_id) as run:
            for bucket in {addresses.object_address(group.destination)[0] for group in run.asked.groups}:
                self._objects.check_bucket(bucket, run.cancel)
            self._making.files(run)

    def look(self, job_id: str) -> None:
        """Probe the inputs, hold the job's settings against them, and tell what they are."""
        with self._running(job_id) as run, self._making.timed(job_id, "probing"):
            probed = self._making.probed(run)
            planned = self._making.plan(run)
            self._store.note(job_id, warnings=planned.warnings)
            self._making.heard(run, planned)
            uris = [given.uri for given in run.asked.inputs if given.uri is not None]
            extra = state_events.input_information([(uri, probed[uri]) for uri in uris])
            event = state_events.envelope(self._config, run.job, "INPUT_INFORMATION", extra)
            self._change(job_id, {"phase": "PROBING"}, [event])
            run.progress.tell("PROBING", 1.0)

    def encode(self, job_id: str) -> None:
        with self._running(job_id) as run:
            self._making.encoded(run, self._making.plan(run))

    def package(self, job_id: str) -> list[str]:
        """Package the groups, as many at a time as there are cores; returns the addresses of the objects to be made."""
        with self._running(job_id) as run, ThreadPoolExecutor(os.cpu_count(), "packaging") as pool:
            planned = self._making.plan(run)
            self._making.encoded(run, planned)
            made = pool.map(partial(self._making.packaged, run, planned), range(len(planned.groups)))
            return [one.uri for group in made for one in group]

    def upload(self, job_id: str) -> Json:
        """Put every output under its final key, together, after everything else has worked.

        Returns what a COMPLETE event says of the film and of the groups.
        """
        with self._running(job_id) as run:
            planned = self._making.plan(run)
            groups = range(len(planned.groups))
            made = [one for number in groups for one in self._making.packaged(run, planned, number)]
            run.progress.tell("UPLOADING", 0.0)
            with self._making.timed(job_id, "uploading"):
                self._objects.upload(
                    made, run.cancel, lambda done, size: run.progress.tell("UPLOADING", done / max(size, 1))
                )
            facts, object_keys = self._making.facts(run), [one.object_key for one in made]
            details = [state_events.group_details(group, facts, object_keys) for group in planned.groups]
            return state_events.film_details(planned, self._making.black(run)) | {"outputGroupDetails": details}

    def complete(self, job_id: str, told: Json) -> None:
        """PROGRESSING -> COMPLETE. Raises JobCanceled when it was canceled at the last moment."""
        with self._running(job_id) as run:
            warnings = [{"code": int(code), "count": n} for code, n in (run.job.warning_counts or {}).items()]
            event = state_events.envelope(self._config, run.job, COMPLETE, told | {"warnings": warnings})
            values = {
                "status": COMPLETE,
                "phase": None,
                "percent": 100,
                "finished_at": time.time(),
                "details": state_events.api_details(told["outputGroupDetails"]),
            }
            if not self._change(job_id, values, [event]):
                raise JobCanceled

    def withdraw(self, job_id: str, uris: list[str]) -> None:
        """Remove what was uploaded of a job that was canceled meanwhile: a canceled job leaves no outputs."""
        job = self._store.get(job_id)
        if job is not None and job.status == CANCELED and job.phase == "UPLOADING":
            self._objects.remove(uris)

    def fail(self, job_id: str, code: int, message: str) -> None:
        job = self._store.get(job_id)
        if job is None:
            return
        extra = {"errorCode": code, "errorMessage": message}
        event = state_events.envelope(self._config, job, ERROR, extra)
        values = {"status": ERROR, "error_code": code, "error_message": message, "finished_at": time.time()}
        if self._change(job_id, values, [event]):
            log.info("job %s ended with error %d: %s", job_id, code, message)

    def clean(self, job_id: str) -> None:
        self._making.remove(job_id)

    def leave(self, job_id: str) -> None:
        """Forget a job whose workflow leaves this process, however it does."""
        self._making.forget_keys(job_id)
        with self._lock:
            self._cancels.pop(job_id, None)
            self._progress.pop(job_id, None)

    # Inside

    def _change(self, job_id: str, values: Json, events: list[Json]) -> bool:
        changed = self._store.change(job_id, values, events=events, engine=self.id)
        self._announce()
        return changed

    @contextmanager
    def _running(self, job_id: str) -> Iterator[Run]:
        """The job of a step.

        Raises JobCanceled when the job has ended meanwhile, Superseded when it is another engine's by now.
        """
        self._stop_if_asked()
        job = self._own(job_id)
        with self._lock:
            cancel = self._cancels.setdefault(job_id, Event())
            progress = self._progress.setdefault(job_id, self._new_progress(job))
        try:
            yield Run(job, cancel, progress)
        except (JobCanceled, JobError) as exc:
            # A process that was ended because we are ending says nothing about the job.
            self._stop_if_asked()
            self._own(job_id)
            if isinstance(exc, JobError) and exc.code == DISK:
                # Without room the end of the job could not even be written down.
                self._making.remove(job_id)
            raise

    def _own(self, job_id: str) -> Job:
        job = self._store.get(job_id)
        if job is None or job.status != PROGRESSING:
            raise JobCanceled
        if job.engine != self.id:
            raise Superseded
        return job

    def _stop_if_asked(self) -> None:
        if self._stopping.is_set():
            raise EngineStopping

    def _new_progress(self, job: Job) -> Progress:
        def write(phase: str, percent: int) -> None:
            if not self._store.change(job.id, {"phase": phase, "percent": percent}, engine=self.id):
                raise JobCanceled

        def announce(phase: str, phase_percent: int, percent: int, frames: int) -> None:
            extra = state_events.progress(phase, phase_percent, percent, frames, retries=max(0, job.attempts - 1))
            event = state_events.envelope(self._config, job, "STATUS_UPDATE", extra, once=False)
            self._change(job.id, {"percent": percent}, [event])

        interval = (job.request.get("StatusUpdateInterval") or "SECONDS_60").removeprefix("SECONDS_")
        return Progress(write, announce, float(interval))
