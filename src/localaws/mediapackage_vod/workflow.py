"""The durable workflow of an asset and its queue (DBOS). What its steps do is `engine`'s."""

from __future__ import annotations

import logging
import uuid

from dbos import DBOS, SetWorkflowID

from localaws.durable import Bound
from localaws.media.failures import JobCanceled, JobError
from localaws.mediapackage_vod.engine import Engine, sentence
from localaws.mediapackage_vod.ingest import Rejected

log = logging.getLogger(__name__)

QUEUE_NAME = "mediapackage-vod"


bound: Bound[Engine] = Bound()


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
