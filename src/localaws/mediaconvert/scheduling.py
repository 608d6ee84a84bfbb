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
from localaws.mediaconvert import state_events, workflow
from localaws.mediaconvert.account import arns
from localaws.mediaconvert.store import Job, Store

log = logging.getLogger(__name__)
CANNOT_HOP = 100_000
"""The warning of a job that was to change its queue, and the other one is gone.

Source: https://docs.aws.amazon.com/mediaconvert/latest/ug/warning_codes.html
"""
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
    done = len(job.transitions or ()) + (job.warning_counts or {}).get(str(CANNOT_HOP), 0)
    hops = sorted(job.hops or (), key=lambda hop: int(hop.get("WaitMinutes") or 0))
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
        places: Callable[[], int],
        poll_s: float | None = None,
    ) -> None:
        """places: how many jobs can run at once now. poll_s: how often to look what engines elsewhere have done."""
        self._config = config
        self._store = store
        self._room = room
        self._announce = announce
        self._places = places
        self._poll_s = poll_s
        self._running: dict[str, str] = {}
        self._abandoned: set[str] = set()
        self._lock = Lock()
        self._wake = Event()
        self._stopping = Event()
        self._thread = Thread(target=self._work, name="scheduler", daemon=True)

    def start(self) -> None:
        """Go on with the jobs that were under way, then with those that wait."""
        for job_id, queue in self._store.progressing():
            self._begin(job_id, queue)
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
        """Hop, then start what has room. Returns the seconds until the next turn, None when somebody has to wake us."""
        if self._poll_s is not None:
            self._hear_from_elsewhere()
        due = min((self._hop(job) for job in self._store.waiting()), default=float("inf"))
        while not self._stopping.is_set() and self._start_one():
            pass
        pause_s = max(0.05, due - time.time())
        if self._poll_s is not None:
            return min(self._poll_s, pause_s)
        return None if due == float("inf") else pause_s

    def _hear_from_elsewhere(self) -> None:
        """Publish what engines in other processes have written, and free the places of jobs that ended there."""
        self._announce()
        alive = self._store.alive_ids()
        with self._lock:
            self._running = {job_id: queue for job_id, queue in self._running.items() if job_id in alive}

    def _start_one(self) -> bool:
        with self._lock:
            if len(self._running) >= self._places():
                return False
            waiting = [
                job for job in self._store.waiting() if job.id not in self._running and job.id not in self._abandoned
            ]
            job = next_job(waiting, self._room(), self._running)
            if job is None:
                return False
        self._begin(job.id, job.queue)
        return True

    def _begin(self, job_id: str, queue: str) -> None:
        # Known as running first: its workflow may end before the next line does.
        with self._lock:
            self._running[job_id] = queue
        try:
            started = workflow.enqueue(job_id)
        except BaseException:
            self.ended(job_id)
            raise
        if not started:
            log.error("job %s has not ended, and yet its workflow has", job_id)
            self._abandoned.add(job_id)
            self.ended(job_id)

    def _hop(self, waiting: Job) -> float:
        now = time.time()
        due, destination = next_hop(waiting, now)
        if destination is None:
            return due
        job = self._store.get(waiting.id)
        if job is None:
            return now
        queue = arns.queue(self._config, destination.get("Queue"))
        if queue not in self._room():
            message = f"the job was to hop to {queue}, which does not exist any more; it waits where it is"
            if self._store.warn(job.id, CANNOT_HOP, message, self._warning(job, CANNOT_HOP, message)):
                self._announce()
            return now
        priority = job.priority if destination.get("Priority") is None else destination["Priority"]
        transition = {"SourceQueue": job.queue, "DestinationQueue": queue, "Timestamp": int(now)}
        told = {"previousQueue": job.queue, "priority": priority, "previousPriority": job.priority, "queue": queue}
        event = state_events.envelope(self._config, job, "QUEUE_HOP", told, once=False)
        if self._store.hop(job.id, queue, priority, transition, event):
            self._announce()
        return now

    def _warning(self, job: Job, code: int, message: str) -> Mapping[str, Any]:
        told = {"warningCode": str(code), "warningMessage": message}
        return state_events.envelope(self._config, job, "NEW_WARNING", told, once=False)
