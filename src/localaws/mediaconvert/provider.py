"""MediaConvert as a whole: what answers which operation, and the life of it all.

Operations that make sense in an account alone (certificates, support shares) are nobody's here, so `wire` answers
NotImplementedException with their name.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from localaws import durable
from localaws.config import Config
from localaws.database import Claim, shared_or
from localaws.media import transfer
from localaws.media.addresses import AddressRefused, source_address
from localaws.media.failures import (
    ACCESS_DENIED,
    DISALLOWED,
    DISK,
    HTTP_CONNECT,
    HTTP_SERVER,
    NOT_FOUND,
    InputRejected,
    JobError,
)
from localaws.mediaconvert import workflow
from localaws.mediaconvert.account.policy import InputPolicy
from localaws.mediaconvert.account.queues import Queues
from localaws.mediaconvert.account.resources import Resources
from localaws.mediaconvert.account.tags import Tags
from localaws.mediaconvert.account.templates import Templates
from localaws.mediaconvert.announcing import Announcer
from localaws.mediaconvert.engine import Engine
from localaws.mediaconvert.engines import ALONE, Engines
from localaws.mediaconvert.handover import Handover
from localaws.mediaconvert.jobs import ENGINE_VERSION, Jobs
from localaws.mediaconvert.making import Making
from localaws.mediaconvert.scheduling import Scheduler
from localaws.mediaconvert.store import Store
from localaws.wire import ServiceError

Json = dict[str, Any]
TAKEN = "another stack hands out the jobs of this database; give each stack a database of its own"
_DISPATCH = 0x6A6F6273  # any constant: the right to hand out the jobs of a database
POLL_S = 0.25
"""How often the endpoint looks what engines in other processes have done."""


class MediaConvert:
    """Give its `providers` to `wire`. Call `start` once DBOS is launched, `stop` before it is destroyed.

    On its own it runs the jobs. With a database that it shares with engines it runs none, and hands them out.
    """

    def __init__(self, config: Config, publish_event: Callable[[Json], None], *, jobs_at_once: int = 1) -> None:
        self._jobs_at_once = jobs_at_once
        self._shared = config.database_url is not None
        self._store = Store(shared_or(config.state_dir / "localaws.db", config.database_url))
        self._claim = Claim(self._store.database, _DISPATCH, TAKEN) if self._shared else None
        resources = Resources(self._store.database)
        engines = Engines(self._store.database)
        policy = InputPolicy(resources)
        self._announcer = Announcer(self._store, publish_event)
        self._objects = transfer.Store(config)
        making = Making(config, self._store, self._objects, policy.refusal)
        self._engine = Engine(config, self._store, engines, making, self._objects, announce=self._announcer.announce)
        places = engines.living if self._shared else lambda: jobs_at_once
        queues = Queues(config, resources, self._store, places, lambda: self._scheduler.wake())
        self._scheduler = Scheduler(
            config, self._store, queues.room, self._announce, places, POLL_S if self._shared else None
        )
        templates = Templates(config, resources)
        jobs = Jobs(
            config,
            self._store,
            self._announcer.announce,
            self._engine.interrupt,
            resources,
            templates,
            queues,
            self._scheduler,
        )
        endpoint = _Endpoint(config, making.handover, policy)
        self.providers = (jobs, queues, templates, Tags(config, resources, self._store), policy, endpoint)
        if not self._shared:
            engines.join(ALONE, socket.gethostname(), lease_s=None)
            making.clean_leftovers()
            workflow.bound.bind(self._engine, self._scheduler.ended)

    def _announce(self) -> None:
        if self._claim is not None:
            self._claim.keep()
        self._announcer.announce()

    def start(self) -> None:
        """Go on with the jobs that a crash left, and publish the events that it left unpublished."""
        if not self._shared:
            durable.open_queue(workflow.QUEUE_NAME, self._jobs_at_once)
        self._scheduler.start()
        self._announcer.announce()

    def stop(self) -> None:
        """Interrupt what runs; it goes on at the next start."""
        self._scheduler.stop()
        self._engine.stop()

    def close(self) -> None:
        workflow.bound.release()
        self._objects.close()
        if self._claim is not None:
            self._claim.release()
        self._store.close()


class _Endpoint:
    """The operations that are about no resource."""

    def __init__(self, config: Config, handover: Handover, policy: InputPolicy) -> None:
        self._config = config
        self._handover = handover
        self._policy = policy

    def describe_endpoints(self, params: Json) -> Json:
        return {"Endpoints": [{"Url": self._config.aws_url}]}

    def list_versions(self, params: Json) -> Json:
        return {"Versions": [{"Version": ENGINE_VERSION}]}

    def probe(self, params: Json) -> Json:
        files = params.get("InputFiles") or []
        if len(files) != 1 or not files[0].get("FileUrl"):
            raise ServiceError("BadRequestException", "inputFiles: one file with a fileUrl is needed")
        if refusal := self._policy.refusal(files[0]["FileUrl"]):
            raise ServiceError("ForbiddenException", f"inputFiles[0].fileUrl: {refusal}")
        try:
            source_address(files[0]["FileUrl"])
            return {"ProbeResults": [self._handover.probe(files[0]["FileUrl"])]}
        except AddressRefused as exc:
            raise ServiceError("BadRequestException", f"inputFiles[0].fileUrl: {exc}") from exc
        except InputRejected as exc:
            raise ServiceError("BadRequestException", exc.message) from exc
        except JobError as exc:
            code, status = _PROBE_ERRORS.get(exc.code, ("InternalServerErrorException", 500))
            raise ServiceError(code, exc.message, status) from exc


OPERATIONS = (Jobs, Queues, Templates, Tags, InputPolicy, _Endpoint)
"""The classes whose methods are the operations that are served."""
_PROBE_ERRORS = {
    NOT_FOUND: ("NotFoundException", 404),
    ACCESS_DENIED: ("ForbiddenException", 403),
    HTTP_SERVER: ("BadRequestException", 400),
    HTTP_CONNECT: ("BadRequestException", 400),
    DISALLOWED: ("ForbiddenException", 403),
    DISK: ("ServiceQuotaExceededException", 402),
}
