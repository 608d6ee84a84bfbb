"""Queues: the Default one and those that people add, pause and fill.

Which job of which queue comes next is `scheduling`'s.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from localaws.config import Config
from localaws.mediaconvert.account import arns
from localaws.mediaconvert.account.resources import Collection, Resources
from localaws.mediaconvert.store import PROGRESSING, SUBMITTED, Store
from localaws.wire import ServiceError

Json = dict[str, Any]
_RESERVED = "reserved queues are bought in an AWS account and not offered here; ON_DEMAND is"


class Queues:
    """The operations on queues. `changed` is called when a queue may have become ready for work."""

    def __init__(
        self,
        config: Config,
        resources: Resources,
        store: Store,
        places: Callable[[], int],
        changed: Callable[[], None],
    ) -> None:
        """places: how many jobs can run at once now, in all queues together."""
        resources.add(
            arns.QUEUES,
            arns.DEFAULT_QUEUE,
            {"Type": "SYSTEM", "Description": "", "Status": "ACTIVE", "PricingPlan": "ON_DEMAND"},
        )
        self._queues = Collection(config, resources, arns.QUEUES, "queue")
        self._store = store
        self._places = places
        self._changed = changed

    def existing(self, name_or_arn: str | None) -> str:
        """The ARN of a queue that is there; none at all means the default queue. Raises NotFoundException."""
        found: str = self._queues.get(name_or_arn or arns.DEFAULT_QUEUE)["Arn"]
        return found

    def room(self) -> dict[str, int]:
        """How many jobs each queue may run at once, by its ARN; 0 for one that is paused."""
        queues, places = self._queues.all(), self._places()
        return {one["Arn"]: 0 if one["Status"] == "PAUSED" else _concurrent(one, places) for one in queues}

    # Operations

    def create_queue(self, params: Json) -> Json:
        self._check(params)
        return {"Queue": self._shown(self._queues.create({"Status": "ACTIVE", "PricingPlan": "ON_DEMAND", **params}))}

    def get_queue(self, params: Json) -> Json:
        return {"Queue": self._shown(self._queues.get(params["Name"]))}

    def update_queue(self, params: Json) -> Json:
        self._check(params)
        updated = self._queues.update(params)
        self._changed()
        return {"Queue": self._shown(updated)}

    def delete_queue(self, params: Json) -> Json:
        queue = self._queues.get(params["Name"])
        if queue["Type"] == "SYSTEM":
            raise ServiceError("BadRequestException", "the default queue cannot be deleted")
        if any(self._store.count(queue["Arn"], status) for status in (SUBMITTED, PROGRESSING)):
            raise ServiceError("ConflictException", f"the queue {queue['Name']!r} has jobs that have not ended")
        self._queues.delete(queue["Name"])
        return {}

    def list_queues(self, params: Json) -> Json:
        found, token = self._queues.page(params, list_by="CREATION_DATE")
        places = self._places()
        claimed = sum(one.get("ConcurrentJobs") or 0 for one in self._queues.all())
        return {
            "Queues": [self._shown(one) for one in found],
            "NextToken": token,
            "TotalConcurrentJobs": places,
            "UnallocatedConcurrentJobs": max(0, places - claimed),
        }

    def _check(self, params: Json) -> None:
        if params.get("PricingPlan") == "RESERVED" or params.get("ReservationPlanSettings"):
            raise ServiceError("BadRequestException", f"reservationPlanSettings: {_RESERVED}")
        if params.get("ConcurrentJobs") is not None and params["ConcurrentJobs"] < 1:
            raise ServiceError("BadRequestException", "concurrentJobs: at least 1")

    def _shown(self, queue: Json) -> Json:
        return {
            **queue,
            "ConcurrentJobs": _concurrent(queue, self._places()),
            "SubmittedJobsCount": self._store.count(queue["Arn"], SUBMITTED),
            "ProgressingJobsCount": self._store.count(queue["Arn"], PROGRESSING),
        }


def _concurrent(queue: Json, places: int) -> int:
    return int(queue.get("ConcurrentJobs") or places)
