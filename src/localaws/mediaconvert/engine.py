"""Runs jobs: a durable workflow of idempotent steps that goes on at the interrupted step after a crash.

Each step can be repeated: it throws away what an earlier attempt left half done. State changes and their events are
written together by the store. Never keeps a content key anywhere but in this process's memory.
"""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Lock
from typing import Any

from localaws.config import Config
from localaws.mediaconvert import argv, jail, naming, outputs, packager, request, sources, state_events, transfer
from localaws.mediaconvert.failures import DISK, JobCanceled, JobError
from localaws.mediaconvert.handover import Handover
from localaws.mediaconvert.keys import KeyProvider, Keys
from localaws.mediaconvert.plan import Plan, plan
from localaws.mediaconvert.policy import DISALLOWED
from localaws.mediaconvert.probe import probe
from localaws.mediaconvert.progress import EncodeProgress, Progress
from localaws.mediaconvert.store import CANCELED, COMPLETE, ERROR, PROGRESSING, SUBMITTED, Job, Store

log = logging.getLogger(__name__)

# Of the transcoding phase, encoding is all but this; packaging costs about one percent.
ENCODE_SHARE = 0.98
Json = dict[str, Any]


class EngineStopping(BaseException):
    """The process ends while a job runs. No Exception, so that the workflow keeps its place for the next start."""


class Engine:
    """Does the steps of jobs. One for each process; safe to call from several threads."""

    def __init__(
        self,
        config: Config,
        store: Store,
        publish_event: Callable[[Json], None],
        disallowed: Callable[[str], str | None],
    ) -> None:
        """disallowed: a sentence when a source must not be read from such an address, else None."""
        self._config = config
        self._disallowed = disallowed
        self._store = store
        self._publish = publish_event
        self._objects = transfer.Store(config)
        self._key_provider = KeyProvider(config)
        self._work = config.state_dir / "work"
        self._handover = Handover(self._work / ".probed", self._objects)
        self._cancels: dict[str, Event] = {}
        self._keys: dict[str, dict[int, Keys]] = {}
        self._lock = Lock()
        self._announcing = Lock()
        self._stopping = Event()

    # Life

    def clean_leftovers(self) -> None:
        """Remove work folders of jobs that are unknown or have ended."""
        alive = {job.id for job in self._store.alive()}
        for folder in self._work.iterdir() if self._work.is_dir() else ():
            if folder.name not in alive:
                shutil.rmtree(folder, ignore_errors=True)

    def stop(self) -> None:
        """End what runs without ending the jobs: they go on at the next start."""
        self._stopping.set()
        with self._lock:
            for cancel in self._cancels.values():
                cancel.set()

    def close(self) -> None:
        self._objects.close()

    def announce(self) -> None:
        """Publish the events that wait in the outbox, in order; what fails now is tried again next time."""
        with self._announcing:
            for sequence, event in self._store.undelivered():
                try:
                    self._publish(event)
                except Exception:
                    log.exception("an event could not be published and will be tried again")
                    return
                self._store.delivered(sequence)

    def cancel(self, job_id: str) -> bool:
        """End a job at once; its processes are gone within a second. False when it has ended already."""
        job = self._store.get(job_id)
        if job is None:
            return False
        event = state_events.envelope(self._config, job, CANCELED, {})
        done = self._store.change(job_id, {"status": CANCELED, "finished_at": time.time()}, events=[event])
        with self._lock:
            running = self._cancels.get(job_id)
        if done and running is not None:
            running.set()
        self.announce()
        return done

    def probe(self, uri: str) -> Json:
        """botocore's ProbeResult of a source. Raises InputRejected, JobError, NameRefused."""
        return self._handover.probe(uri)

    # Steps

    def begin(self, job_id: str) -> bool:
        """SUBMITTED -> PROGRESSING. False when there is nothing to do any more."""
        job = self._store.get(job_id)
        if job is None or job.status not in (SUBMITTED, PROGRESSING):
            return False
        if job.status == SUBMITTED:
            event = state_events.envelope(self._config, job, PROGRESSING, {})
            values = {"status": PROGRESSING, "phase": "PROBING", "started_at": time.time()}
            if not self._store.change(job_id, values, events=[event]):
                return False
            self.announce()
        return True

    def fetch(self, job_id: str) -> None:
        """Bring the source into the work folder, once."""
        with self._running(job_id) as (job, cancel, progress):
            folder = self._folder(job_id)
            if (folder / "source").exists():
                return
            asked = request.read(job.request["Settings"])
            if refusal := self._disallowed(asked.input_uri):
                raise JobError(DISALLOWED, f"{refusal}: {asked.input_uri}")
            for bucket in {naming.object_address(group.destination)[0] for group in asked.groups}:
                self._objects.check_bucket(bucket, cancel)
            etag = self._objects.head(asked.input_uri, cancel)["ETag"]
            if self._handover.take(asked.input_uri, etag, folder / "source"):
                return
            with self._timed(job_id, "fetching the source"):
                self._objects.fetch(
                    asked.input_uri,
                    folder / "source",
                    cancel,
                    lambda done, size: progress.tell("PROBING", 0.9 * done / max(size, 1)),
                )

    def look(self, job_id: str) -> None:
        """Probe the source, hold the job's settings against it, and tell what it is."""
        with self._running(job_id) as (job, _, progress), self._timed(job_id, "probing"):
            probed = probe(self._folder(job_id) / "source", require_video=False)
            with _disk():
                sources.write(sources.source_of(probed), self._folder(job_id) / "source.json")
            planned = self._plan(job)
            self._store.note(job_id, warnings=planned.warnings)
            extra = state_events.input_information(job.request["Settings"]["Inputs"][0]["FileInput"], probed)
            event = state_events.envelope(self._config, job, "INPUT_INFORMATION", extra)
            self._store.change(job_id, {"phase": "PROBING"}, events=[event])
            progress.tell("PROBING", 1.0)
        self.announce()

    def encode(self, job_id: str) -> dict[str, list[int]]:
        """Encode all outputs of all groups in one process. Returns duration in ms and bytes of each, by label."""
        with self._running(job_id) as (job, cancel, progress):
            planned = self._plan(job)
            # Keys first: a key provider that says no is known before an hour of encoding, not after it.
            self._fetch_keys(job_id, planned, cancel)
            encoded = _empty(self._folder(job_id) / "encoded")
            progress.tell("TRANSCODING", 0.0)
            duration_s = planned.source.duration_s
            with self._timed(job_id, "encoding"):
                completed = jail.run(
                    argv.ffmpeg(planned, str(jail.binary("ffmpeg"))),
                    inputs={self._folder(job_id) / "source": "source"},
                    output_dir=encoded,
                    limits=self._limits(planned),
                    on_line=EncodeProgress(progress, duration_s, ENCODE_SHARE, planned.counted_rate).line,
                    cancel=cancel,
                )
                packager.check(completed, "encoding")
            return outputs.facts(planned.outputs(), encoded)

    def group_count(self, job_id: str) -> int:
        job = self._store.get(job_id)
        return 0 if job is None else len(job.request["Settings"]["OutputGroups"])

    def package(self, job_id: str, number: int) -> None:
        """Package one group; a list of what to upload, written last, says that it is done."""
        with self._running(job_id) as (job, cancel, progress):
            folder = self._folder(job_id)
            (folder / "source").unlink(missing_ok=True)
            ready = folder / f"group{number}.json"
            if ready.exists():
                return
            planned = self._plan(job)
            group, encoded, packaged = planned.groups[number], folder / "encoded", folder / f"group{number}"
            progress.tell("TRANSCODING", ENCODE_SHARE)
            if group.packaging is None:
                packager.remember(packager.file_uploads(group, encoded), ready)
                return
            keys = None
            if group.packaging.encryption is not None:
                keys = self._fetch_keys(job_id, planned, cancel)[number] or None
            with self._timed(job_id, f"packaging group {number}"), _disk():
                packager.package(group, encoded, packaged, keys, self._limits(planned), cancel)
                packager.remember(packager.uploads(group, packaged), ready)
                for output in group.outputs:
                    (encoded / output.work_file).unlink(missing_ok=True)

    def upload(self, job_id: str) -> None:
        """Put every output under its final key; they appear together, after everything else has worked."""
        with self._running(job_id) as (_, cancel, progress):
            with self._lock:
                self._keys.pop(job_id, None)
            made = self._uploads(job_id)
            progress.tell("UPLOADING", 0.0)
            with self._timed(job_id, "uploading"):
                self._objects.upload(made, cancel, lambda done, size: progress.tell("UPLOADING", done / max(size, 1)))

    def complete(self, job_id: str, facts: dict[str, list[int]]) -> None:
        job = self._store.get(job_id)
        if job is None:
            return
        planned = self._plan(job)
        uploaded = self._uploads(job_id)
        keys = [one.object_key for one in uploaded]
        found = {label: (duration_ms, size) for label, (duration_ms, size) in facts.items()}
        details = [state_events.group_details(group, found, keys) for group in planned.groups]
        extra = {"outputGroupDetails": details, "warnings": [], "paddingInserted": 0, "blackVideoDetected": 0}
        event = state_events.envelope(self._config, job, COMPLETE, extra)
        values = {
            "status": COMPLETE,
            "phase": None,
            "percent": 100,
            "finished_at": time.time(),
            "details": state_events.api_details(details),
        }
        if not self._store.change(job_id, values, events=[event]):
            # Canceled at the last moment: a canceled job leaves no outputs.
            self._objects.remove(uploaded)
        self.announce()

    def fail(self, job_id: str, code: int, message: str) -> None:
        job = self._store.get(job_id)
        if job is None:
            return
        extra = {"errorCode": code, "errorMessage": message}
        event = state_events.envelope(self._config, job, ERROR, extra)
        values = {"status": ERROR, "error_code": code, "error_message": message, "finished_at": time.time()}
        self._store.change(job_id, values, events=[event])
        log.info("job %s ended with error %d: %s", job_id, code, message)
        self.announce()

    def clean(self, job_id: str) -> None:
        with self._lock:
            self._keys.pop(job_id, None)
            self._cancels.pop(job_id, None)
        shutil.rmtree(self._work / job_id, ignore_errors=True)
        self._handover.prune()

    # Inside

    @contextmanager
    def _running(self, job_id: str) -> Iterator[tuple[Job, Event, Progress]]:
        """The job of a step, its cancel event, its progress. Raises JobCanceled when the job has ended meanwhile."""
        with self._lock:
            cancel = self._cancels.setdefault(job_id, Event())
        job = self._store.get(job_id)
        if job is None or job.status != PROGRESSING:
            raise JobCanceled
        try:
            self._stop_if_asked()
            yield job, cancel, self._progress(job)
        except (JobCanceled, JobError) as exc:
            # A process that was ended because we are ending says nothing about the job.
            self._stop_if_asked()
            if isinstance(exc, JobError) and exc.code == DISK:
                # Without room the end of the job could not even be written down.
                shutil.rmtree(self._work / job_id, ignore_errors=True)
            raise

    def _stop_if_asked(self) -> None:
        if self._stopping.is_set():
            raise EngineStopping

    def _progress(self, job: Job) -> Progress:
        def write(phase: str, percent: int) -> None:
            self._store.change(job.id, {"phase": phase, "percent": percent})

        def announce(phase: str, phase_percent: int, percent: int, frames: int) -> None:
            extra = state_events.progress(phase, phase_percent, percent, frames)
            event = state_events.envelope(self._config, job, "STATUS_UPDATE", extra, once=False)
            self._store.change(job.id, {"percent": percent}, events=[event])
            self.announce()

        interval = (job.request.get("StatusUpdateInterval") or "SECONDS_60").removeprefix("SECONDS_")
        return Progress(write, announce, float(interval))

    @contextmanager
    def _timed(self, job_id: str, what: str) -> Iterator[None]:
        started = time.monotonic()
        yield
        self._store.note(job_id, info=[f"{what} took {time.monotonic() - started:.2f} s"])

    def _folder(self, job_id: str) -> Path:
        folder = self._work / job_id
        with _disk():
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return folder

    def _plan(self, job: Job) -> Plan:
        """The plan of a job, the same each time: what it depends on is written down beside the source."""
        asked = request.read(job.request["Settings"])
        source = sources.read(self._folder(job.id) / "source.json")
        stem = naming.input_stem(naming.object_address(asked.input_uri)[1])
        started = datetime.fromtimestamp(job.started_at or job.created_at, UTC)
        return plan(asked, source, naming.Facts(started, stem))

    def _limits(self, planned: Plan) -> jail.Limits:
        return jail.Limits.for_encode(planned.source.duration_s, renditions=len(list(planned.outputs())))

    def _fetch_keys(self, job_id: str, planned: Plan, cancel: Event) -> dict[int, Keys]:
        with self._lock:
            known = self._keys.get(job_id)
        if known is not None:
            return known
        found = {
            number: self._key_provider.keys(job_id, group.packaging.encryption, group.track_labels(), cancel)
            for number, group in enumerate(planned.groups)
            if group.packaging is not None and group.packaging.encryption is not None
        }
        with self._lock:
            self._keys[job_id] = found
        return found

    def _uploads(self, job_id: str) -> list[transfer.Upload]:
        folder = self._folder(job_id)
        return [one for path in sorted(folder.glob("group*.json")) for one in packager.recall(path)]


@contextmanager
def _disk() -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        raise transfer.disk_error(exc) from exc


def _empty(folder: Path) -> Path:
    with _disk():
        if folder.exists():
            shutil.rmtree(folder)
        folder.mkdir(parents=True)
    return folder
