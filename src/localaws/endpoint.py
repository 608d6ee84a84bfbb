"""The AWS endpoint process: MediaConvert, MediaPackage VOD, EventBridge on one port; event delivery, both engines.

Composes the parts and knows nothing of their inside. Started by the supervisor, or by hand:
`python -m localaws.endpoint --config FILE`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hmac
import json
import logging
import signal
import sys
import threading
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import uvicorn
from dbos import DBOS
from dbos import error as dbos_error
from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from localaws import durable, objectstore, s3_events
from localaws.config import HOST, Config, load
from localaws.database import shared_or
from localaws.events import Bus, EventsProvider
from localaws.mediaconvert.provider import MediaConvert
from localaws.mediapackage_vod import egress
from localaws.mediapackage_vod.provider import MediaPackageVod
from localaws.mediapackage_vod.workflow import QUEUE_NAME as PACKAGING_QUEUE
from localaws.private_files import secret_file
from localaws.wire import DISK_FULL, Service, ServiceError, application, is_disk_full, receive, refusal
from penstock.errors import InvalidRequest, PenstockError, Unavailable

LOOK_BACK = timedelta(hours=1)
"""How far before the last known event a look into the buckets begins."""
_log = logging.getLogger("localaws.endpoint")


class Endpoint:
    """Everything that runs in the process, from `start` to `stop`."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self._webhook_token = secret_file(config.webhook_token_file)
        self._stopping = threading.Event()
        self.storage_ready = threading.Event()
        self.bus = Bus(config)
        config.state_dir.mkdir(parents=True, exist_ok=True)
        workflows = shared_or(config.state_dir / "dbos.db", config.database_url)
        durable.prepare(workflows, "endpoint" if config.database_url else "local")
        if config.database_url:
            DBOS.listen_queues([PACKAGING_QUEUE])  # jobs are run by engines
        self.mediaconvert = MediaConvert(config, self._publish)
        self.mediapackage = MediaPackageVod(config, self._publish)
        services = [
            Service("mediaconvert", *self.mediaconvert.providers),
            Service("mediapackage-vod", self.mediapackage),
            Service("events", EventsProvider(self.bus)),
        ]
        routes = [
            Route(egress.PATH, self.mediapackage.egress.answer),
            Route("/healthz", self._health),
            Route(objectstore.WEBHOOK_PATH, self._s3_change, methods=["POST"]),
            Route(objectstore.STARTED_PATH, self._s3_started, methods=["POST"]),
        ]
        self.application = application(services, config.credentials, routes)

    def start(self) -> None:
        DBOS.launch()
        self.bus.start()
        self.mediaconvert.start()
        self.mediapackage.start()
        threading.Thread(target=self._prepare_storage, name="buckets", daemon=True).start()
        threading.Thread(target=self._forget_ended, name="records", daemon=True).start()

    def stop(self) -> None:
        """Stop all work so that the next start goes on with it."""
        self._stopping.set()
        self.mediaconvert.stop()
        self.mediapackage.stop()
        DBOS.destroy(workflow_completion_timeout_sec=1)
        self.mediaconvert.close()
        self.mediapackage.close()
        self.bus.stop()

    def _forget_ended(self) -> None:
        """Once a day: of work that has ended jobs and assets say what is to be known."""
        while True:
            try:
                if forgotten := durable.forget(datetime.now(UTC) - durable.KEPT):
                    _log.info("%d records of ended work were removed", forgotten)
            except (dbos_error.DBOSException, SQLAlchemyError):
                if self._stopping.is_set():
                    return
                _log.exception("records of ended work could not be removed; tried again tomorrow")
            if self._stopping.wait(durable.KEPT.total_seconds()):
                return

    def _publish(self, event: dict[str, Any]) -> None:
        self.bus.put(event)

    def _prepare_storage(self) -> None:
        """Make the buckets as soon as the S3 server lets us, then find what it wrote while nobody listened."""
        while not self._stopping.is_set():
            try:
                objectstore.create_buckets(self.config)
                self.catch_up()
                self.storage_ready.set()
                return
            except Unavailable as exc:
                _log.info("%s", exc.message)
            except Exception:  # noqa: BLE001 - the top of a thread; it tries again
                _log.error("the buckets could not be prepared", exc_info=True)
            self._stopping.wait(0.1)

    def catch_up(self) -> None:
        """Put the events of objects whose change was never told: a killed S3 server forgets what it had to tell."""
        watched = [bucket.name for bucket in self.config.buckets if bucket.events]
        latest = self.bus.outbox.latest(s3_events.SOURCE)
        since = datetime.fromisoformat(latest) - LOOK_BACK if latest else datetime.fromtimestamp(0, UTC)
        s3 = objectstore.client(self.config)
        with contextlib.closing(s3):
            for bucket in watched:
                for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
                    self.bus.put_all(s3_events.from_listing(page, self.config, bucket, since))

    async def _health(self, _request: Request) -> Response:
        if not self.storage_ready.is_set():
            return JSONResponse({"status": "waiting for the S3 server"}, 503)
        return JSONResponse({"status": "ok"})

    async def _s3_change(self, request: Request) -> Response:
        def take(body: bytes) -> None:
            try:
                event = s3_events.from_change(json.loads(body), self.config)
            except (ValueError, RecursionError) as exc:
                raise InvalidRequest("the body is not JSON") from exc
            if event is not None:
                self.bus.put(event)

        return await self._guarded(request, take)

    async def _s3_started(self, request: Request) -> Response:
        return await self._guarded(request, lambda _body: self.catch_up())

    async def _guarded(self, request: Request, work: Any) -> Response:
        """Do `work` with the body of a request that carries the S3 server's token."""
        request_id = str(uuid.uuid4())
        given = request.headers.get("authorization", "").encode("latin-1")
        if not hmac.compare_digest(given, f"Bearer {self._webhook_token}".encode()):
            return refusal(ServiceError("ForbiddenException", "the token is missing or wrong"), request_id)
        try:
            await run_in_threadpool(work, (await receive(request)).body)
        except ServiceError as exc:
            return refusal(exc, request_id)
        except InvalidRequest as exc:
            _log.warning("a change of the S3 server is left out: %s", exc.message)
            return refusal(ServiceError("BadRequestException", exc.message), request_id)
        except Exception as exc:  # noqa: BLE001 - the top of a face; the S3 server tries again
            _log.error("request %s failed", request_id, exc_info=exc)
            message = DISK_FULL if is_disk_full(exc) else "try again"
            return refusal(ServiceError("ServiceUnavailableException", message), request_id)
        return JSONResponse({})


class _Server(uvicorn.Server):
    """Leaves signals to `serve`, which ends the work before the process."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(endpoint: Endpoint) -> None:
    """Answer requests until SIGINT or SIGTERM."""
    server = _Server(
        uvicorn.Config(
            endpoint.application,
            host=HOST,
            port=endpoint.config.ports.aws,
            log_config=None,
            access_log=False,
            lifespan="off",
            ws="none",
            server_header=False,
            timeout_graceful_shutdown=1,
        )
    )

    def leave() -> None:
        server.should_exit = True

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, leave)
    await server.serve()


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m localaws.endpoint", description="MediaConvert, MediaPackage VOD and EventBridge here"
    )
    parser.add_argument("--config", type=Path, required=True)
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    # Their INFO lines would name every request.
    for name in ("httpx", "httpcore", "botocore", "boto3", "urllib3", "dbos"):
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        endpoint = Endpoint(load(options.config))
    except PenstockError as exc:
        print(f"localaws: {exc.message}", file=sys.stderr)  # noqa: T201
        return 2
    endpoint.start()
    try:
        asyncio.run(serve(endpoint))
    finally:
        endpoint.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
