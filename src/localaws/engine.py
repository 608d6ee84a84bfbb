"""An engine process: runs MediaConvert jobs of a queue that machines share through PostgreSQL.

`penstock engine` starts one, on as many machines as there are; a stack with `--database` hands the jobs out. It finds
the database in LOCALAWS_DATABASE_URL and the S3 server in the variables that AWS SDKs read, or both in a stack's
description (--config). Never shows a password, and never does what another engine has taken over.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import logging
import os
import secrets
import signal
import socket
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from dbos import DBOS
from sqlalchemy import URL

from localaws import durable
from localaws.config import Config, Credentials, load
from localaws.database import postgresql
from localaws.media import jail, transfer
from localaws.mediaconvert import workflow
from localaws.mediaconvert.account.policy import InputPolicy
from localaws.mediaconvert.account.resources import Resources
from localaws.mediaconvert.engine import Engine
from localaws.mediaconvert.engines import Engines
from localaws.mediaconvert.lease import LEASE_S, Lease
from localaws.mediaconvert.making import Making
from localaws.mediaconvert.store import Store
from localaws.private_files import write_private
from penstock.errors import Conflict, InvalidRequest, PenstockError

DATABASE = "LOCALAWS_DATABASE_URL"
POLLING_INTERVAL_S = 0.25
LEAST_LEASE_S = 2.0
_log = logging.getLogger("localaws.engine")


class EngineProcess:
    """Everything that runs in the process, from `start` to `stop`."""

    def __init__(self, config: Config, database: URL, lease_s: float) -> None:
        host = socket.gethostname()
        self._id = f"{host[:64]}-{secrets.token_hex(6)}"
        self._id_file = config.state_dir / "engine-id"
        durable.prepare(database, self._id)
        DBOS.listen_queues([workflow.QUEUE_NAME])
        self._store = Store(database)
        self._engines = Engines(self._store.database)
        self._lease = Lease(self._engines, self._id, host, lease_s)
        self._objects = transfer.Store(config, may_change=self._lease.holds)
        policy = InputPolicy(Resources(self._store.database))
        self._making = Making(config, self._store, self._objects, policy.refusal)
        self._engine = Engine(config, self._store, self._engines, self._making, self._objects, engine_id=self._id)

    def start(self, on_dead: threading.Event) -> None:
        self._making.clean_leftovers()
        if self._id_file.exists():
            # The lock on the folder says that it is gone; nobody has to wait for its lease to end.
            self._engines.leave(self._id_file.read_text())
        write_private(self._id_file, self._id)
        workflow.bound.bind(self._engine)
        self._lease.start(self._engine, on_dead.set)
        DBOS.launch()
        self._lease.launched()
        durable.open_queue(workflow.QUEUE_NAME, 1, POLLING_INTERVAL_S)

    def stop(self) -> None:
        """Interrupt what runs; it goes on elsewhere, or here after the next start."""
        self._engine.stop()
        DBOS.destroy(workflow_completion_timeout_sec=1)
        self._lease.stop()
        workflow.bound.release()
        self._objects.close()
        self._store.close()


def from_environment(data_dir: Path, environ: Mapping[str, str]) -> Config:
    """The configuration of an engine whose S3 server and credentials the environment names, as `penstock env` does."""
    needed = ("AWS_ENDPOINT_URL_S3", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    if missing := [name for name in needed if not environ.get(name)]:
        raise InvalidRequest(
            f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not set; `penstock env` on the stack's "
            "machine prints them"
        )
    defaults = Config(data_dir, Credentials("", ""))
    return replace(
        defaults,
        credentials=Credentials(environ["AWS_ACCESS_KEY_ID"], environ["AWS_SECRET_ACCESS_KEY"]),
        s3_endpoint=environ["AWS_ENDPOINT_URL_S3"].rstrip("/"),
        region=environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or defaults.region,
        account_id=environ.get("AWS_ACCOUNT_ID") or defaults.account_id,
    )


@contextlib.contextmanager
def _alone_on(folder: Path) -> Iterator[None]:
    """Hold the folder for this process. Raises Conflict when another engine has it."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (folder / "engine.lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Conflict(f"an engine already works in {folder}; give this one another --data-dir") from None
        yield


def main(arguments: list[str] | None = None) -> int:
    os.umask(0o077)
    parser = argparse.ArgumentParser(prog="python -m localaws.engine", description="Runs jobs of a shared queue")
    parser.add_argument("--data-dir", type=Path, default=Path("localaws-engine"), help="default: ./localaws-engine")
    parser.add_argument("--config", type=Path, metavar="FILE", help="a stack's stack.json, instead of the environment")
    parser.add_argument(
        "--lease-s",
        type=float,
        default=LEASE_S,
        help="silence in seconds after which others take this engine for dead (default: %(default)s)",
    )
    parsed = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    for name in ("httpx", "httpcore", "botocore", "boto3", "urllib3", "dbos"):
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        config = _config(parsed, os.environ)
        database = _database(config)
        with _alone_on(config.data_dir):
            again = _run(config, database, parsed.lease_s)
    except PenstockError as exc:
        print(f"error: {exc.message}", file=sys.stderr)  # noqa: T201 - the face of a command
        return 2 if isinstance(exc, InvalidRequest | Conflict) else 1
    if again:
        # Whoever was taken for dead comes back as somebody else, and with none of the threads of before.
        os.execv(sys.executable, [sys.executable, "-m", "localaws.engine", *(arguments or sys.argv[1:])])  # noqa: S606
    return 0


def _config(parsed: argparse.Namespace, environ: Mapping[str, str]) -> Config:
    if not parsed.lease_s >= LEAST_LEASE_S:
        raise InvalidRequest(f"--lease-s: at least {LEAST_LEASE_S:.0f} s are needed, got {parsed.lease_s}")
    data_dir = parsed.data_dir.resolve()
    config = load(parsed.config) if parsed.config else from_environment(data_dir, environ)
    return replace(config, data_dir=data_dir, database_url=environ.get(DATABASE) or config.database_url)


def _database(config: Config) -> URL:
    if not config.database_url:
        raise InvalidRequest(f"no database is named; {DATABASE}=postgresql://user@host:5432/name does it")
    return postgresql(config.database_url)


def _run(config: Config, database: URL, lease_s: float) -> bool:
    """Work until SIGINT or SIGTERM. True when others took the engine for dead."""
    ending, dead = threading.Event(), threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ending.set())
    process = EngineProcess(config, database, lease_s)
    process.start(dead)
    _log.info("waiting for jobs; %s", jail.available().reason or "media is opened in a jail")
    try:
        while not ending.wait(0.2):
            if dead.is_set():
                return True
        return False
    finally:
        process.stop()


if __name__ == "__main__":
    sys.exit(main())
