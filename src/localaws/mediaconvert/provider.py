"""MediaConvert as a whole: what answers which operation, and the life of it all.

Operations that make sense in an account alone (certificates, support shares) are nobody's here, so `wire` answers
NotImplementedException with their name.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from localaws.config import Config
from localaws.mediaconvert import naming, workflow
from localaws.mediaconvert.engine import Engine
from localaws.mediaconvert.failures import ACCESS_DENIED, DISK, NOT_FOUND, JobError
from localaws.mediaconvert.jobs import ENGINE_VERSION, Jobs
from localaws.mediaconvert.policy import InputPolicy
from localaws.mediaconvert.queues import Queues
from localaws.mediaconvert.rejections import InputRejected
from localaws.mediaconvert.resources import Resources
from localaws.mediaconvert.scheduling import Scheduler
from localaws.mediaconvert.store import Store
from localaws.mediaconvert.tags import Tags
from localaws.mediaconvert.templates import Templates
from localaws.wire import ServiceError

Json = dict[str, Any]


class MediaConvert:
    """Give its `providers` to `wire`. Call `start` once DBOS is launched, `stop` before it is destroyed."""

    def __init__(self, config: Config, publish_event: Callable[[Json], None], *, jobs_at_once: int = 1) -> None:
        self._store = Store(config.state_dir / "localaws.db")
        resources = Resources(self._store.database)
        policy = InputPolicy(resources)
        self._engine = Engine(config, self._store, publish_event, policy.refusal)
        self._engine.clean_leftovers()
        self._jobs_at_once = jobs_at_once
        queues = Queues(config, resources, self._store, jobs_at_once, lambda: self._scheduler.wake())
        self._scheduler = Scheduler(config, self._store, queues.room, self._engine.announce, jobs_at_once)
        templates = Templates(config, resources)
        jobs = Jobs(config, self._store, self._engine, resources, templates, queues, self._scheduler)
        endpoint = _Endpoint(config, self._engine, policy)
        self.providers = (jobs, queues, templates, Tags(config, resources, self._store), policy, endpoint)
        workflow.bound.bind(self._engine, self._scheduler.ended)

    def start(self) -> None:
        """Go on with the jobs that a crash left, and publish the events that it left unpublished."""
        workflow.open_queue(self._jobs_at_once)
        self._scheduler.start()
        self._engine.announce()

    def stop(self) -> None:
        """Interrupt what runs; it goes on at the next start."""
        self._scheduler.stop()
        self._engine.stop()

    def close(self) -> None:
        workflow.bound.release()
        self._engine.close()
        self._store.close()


class _Endpoint:
    """The operations that are about no resource."""

    def __init__(self, config: Config, engine: Engine, policy: InputPolicy) -> None:
        self._config = config
        self._engine = engine
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
            return {"ProbeResults": [self._engine.probe(files[0]["FileUrl"])]}
        except naming.NameRefused as exc:
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
    DISK: ("ServiceQuotaExceededException", 402),
}
