"""The durable workflow of an asset and its queue (DBOS). What its steps do is `engine`'s."""

from __future__ import annotations

import logging
import uuid
from threading import Event

from dbos import DBOS, SetWorkflowID

from localaws.mediaconvert.failures import JobCanceled, JobError
from localaws.mediapackage_vod.engine import Engine, sentence
from localaws.mediapackage_vod.ingest import Rejected

log = logging.getLogger(__name__)

QUEUE_NAME = "mediapackage-vod"


class _Bound:
    """The engine that this process's workflows use; recovery may start them before it is there."""

    def __init__(self) -> None:
        self._engine: Engine | None = None
        self._ready = Event()

    def bind(self, engine: Engine) -> None:
        self._engine = engine
        self._ready.set()

    def release(self) -> None:
        self._engine = None
        self._ready.clear()

    def get(self) -> Engine:
        self._ready.wait()
        assert self._engine is not None
        return self._engine


bound = _Bound()


def open_queue(assets_at_once: int) -> None:
    """To be called once DBOS is launched."""
    DBOS.register_queue(
        QUEUE_NAME, worker_concurrency=assets_at_once, polling_interval_sec=0.1, on_conflict="always_update"
    )


def enqueue(asset_uid: str) -> None:
    """Have an asset's open endpoints packaged. Doing it again finds nothing left to do."""
    with SetWorkflowID(f"mediapackage-vod-{asset_uid}-{uuid.uuid4().hex[:8]}"):
        DBOS.enqueue_workflow(QUEUE_NAME, package_asset, asset_uid)


@DBOS.workflow(name="mediapackage_vod.package_asset", max_recovery_attempts=1000)
def package_asset(asset_uid: str) -> None:
    try:
        if not _fetch(asset_uid):
            return
        for configuration_uid in _waiting(asset_uid):
            _package(asset_uid, configuration_uid)
    except JobCanceled:
        log.info("an asset was removed while it was packaged")
    except (Rejected, JobError) as exc:
        _reject(asset_uid, sentence(exc))
    except Exception as exc:  # the top of the worker loop
        log.exception("an asset failed for a reason nobody thought of")
        _reject(asset_uid, sentence(exc))
    _finish(asset_uid)


@DBOS.step(name="mediapackage_vod.fetch")
def _fetch(asset_uid: str) -> bool:
    return bound.get().fetch(asset_uid)


@DBOS.step(name="mediapackage_vod.waiting")
def _waiting(asset_uid: str) -> list[str]:
    return bound.get().waiting(asset_uid)


@DBOS.step(name="mediapackage_vod.package")
def _package(asset_uid: str, configuration_uid: str) -> None:
    bound.get().package(asset_uid, configuration_uid)


@DBOS.step(name="mediapackage_vod.reject")
def _reject(asset_uid: str, message: str) -> None:
    bound.get().reject(asset_uid, message)


@DBOS.step(name="mediapackage_vod.finish")
def _finish(asset_uid: str) -> None:
    bound.get().finish(asset_uid)
