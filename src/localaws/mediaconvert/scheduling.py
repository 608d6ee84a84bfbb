"""Decides which waiting job starts next, and moves jobs that waited too long to another queue.

In each queue the job of the highest priority comes first, of equals the one submitted first; of several queues that
have room, the one whose next job waits longest. Paused queues start nothing. Runs nothing itself: `workflow` does.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from threading import Event, Lock, Thread
from typing import Any

from localaws.config import Config
from localaws.mediaconvert import arns, state_events, workflow
from localaws.mediaconvert.store import PROGRESSING, Job, Store

log = logging.getLogger(__name__)
HOPPED = 100_000
"""MediaConvert's warning code for a job that changed its queue."""
_RETRY_S = 1.0


def next_job(waiting: Sequence[Job], room: Mapping[str, int], running: Mapping[str, str]) -> Job | None:
    """The job that starts next, or None when no queue that has a waiting job has room.

    waiting: by priority, then order of submission. room: jobs at once by queue; a queue that is not in it has no limit.
    running: the queue of each running job, by its id.
    """
    busy = list(running.values())
    first: dict[str, Job] = {}
    for job in waiting:
        if job.queue not in first and (job.queue not in room or busy.count(job.queue) < room[job.queue]):
            first[job.queue] = job
    return min(first.values(), key=lambda job: int(job.sequence), default=None)


def next_hop(job: Job, now: float) -> tuple[float, Mapping[str, Any] | None]:
    """When a waiting job's next hop is due (epoch s, infinity for none), and the destination once it is."""
    done = len(job.transitions or ())
    hops = sorted(job.request.get("HopDestinations") or (), key=lambda hop: int(hop.get("WaitMinutes") or 0))
    if done >= len(hops):
        return float("inf"), None
    due = float(job.created_at) + 60 * (hops[done].get("WaitMinutes") or 0)
    return due, hops[done] if due <= now else None


class Scheduler:
    """Starts jobs as they find room. `wake` it when a job was added or a queue changed; `ended` frees a place."""

    def __init__(
        self,
        config: Config,
        store: Store,
        room: Callable[[], Mapping[str, int]],
        announce: Callable[[], None],
        jobs_at_once: int,
    ) -> None:
        self._config = config
        self._store = store
        self._room = room
        self._announce = announce
        self._jobs_at_once = jobs_at_once
        self._running: dict[str, str] = {}
        self._abandoned: set[str] = set()
        self._lock = Lock()
        self._wake = Event()
        self._stopping = Event()
        self._thread = Thread(target=self._work, name="scheduler", daemon=True)

    def start(self) -> None:
        """Go on with the jobs that were under way, then with those that wait."""
        for job in self._store.alive():
            if job.status == PROGRESSING:
                self._begin(job)
        self._thread.start()
        self.wake()

    def stop(self) -> None:
        self._stopping.set()
        self.wake()
        if self._thread.is_alive():
            self._thread.join(5)

    def wake(self) -> None:
        self._wake.set()

    def ended(self, job_id: str) -> None:
        with self._lock:
            self._running.pop(job_id, None)
        self.wake()

    def _work(self) -> None:
        while not self._stopping.is_set():
            self._wake.clear()
            try:
                pause_s = self._turn()
            except Exception:  # the top of a thread; the next turn tries again
                log.exception("the next job could not be chosen")
                pause_s = _RETRY_S
            self._wake.wait(pause_s)

    def _turn(self) -> float | None:
        """Hop, then start what has room. Returns the seconds until the next hop is due, None when there is none."""
        due = min((self._hop(job) for job in self._store.waiting()), default=float("inf"))
        while not self._stopping.is_set() and self._start_one():
            pass
        return None if due == float("inf") else max(0.05, due - time.time())

    def _start_one(self) -> bool:
        with self._lock:
            if len(self._running) >= self._jobs_at_once:
                return False
            waiting = [
                job for job in self._store.waiting() if job.id not in self._running and job.id not in self._abandoned
            ]
            job = next_job(waiting, self._room(), self._running)
            if job is None:
                return False
        self._begin(job)
        return True

    def _begin(self, job: Job) -> None:
        # Known as running first: its workflow may end before the next line does.
        with self._lock:
            self._running[job.id] = job.queue
        try:
            started = workflow.enqueue(job.id)
        except BaseException:
            self.ended(job.id)
            raise
        if not started:
            log.error("job %s is %s, and yet its workflow has ended", job.id, job.status)
            self._abandoned.add(job.id)
            self.ended(job.id)

    def _hop(self, job: Job) -> float:
        now = time.time()
        due, destination = next_hop(job, now)
        if destination is None:
            return due
        queue = arns.queue(self._config, destination.get("Queue"))
        priority = job.priority if destination.get("Priority") is None else destination["Priority"]
        transition = {"SourceQueue": job.queue, "DestinationQueue": queue, "Timestamp": int(now)}
        told = {"previousQueue": job.queue, "priority": priority, "previousPriority": job.priority, "queue": queue}
        event = state_events.envelope(self._config, job, "QUEUE_HOP", told, once=False)
        if self._store.hop(job.id, queue, priority, transition, event):
            self._announce()
        return now
