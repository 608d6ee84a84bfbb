"""A PostgreSQL server on loopback that lives as long as a test run, and databases in it."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from waiting import free_port, until

# Debian keeps the server's programs off the PATH.
_PATH = os.pathsep.join([os.environ.get("PATH", ""), *map(str, Path("/usr/lib/postgresql").glob("*/bin"))])
PROGRAMS = {name: shutil.which(name, path=_PATH) or "" for name in ("initdb", "postgres", "pg_isready")}


def ending_with_us(*command: str) -> list[str]:
    """`command`, options of setpriv before it, so that it dies with a test run that is killed."""
    return ["setpriv", "--pdeathsig=KILL", *command] if shutil.which("setpriv") else list(command)


@contextlib.contextmanager
def running() -> Iterator[str]:
    """Address of a server's first database."""
    if not (PROGRAMS.get("initdb") and shutil.which("setpriv")):
        missing = "PostgreSQL is not installed (apt-get install postgresql)"
        pytest.fail(missing) if os.environ.get("CI") else pytest.skip(missing)
    # PostgreSQL refuses to run as root.
    user = ["--reuid=nobody", "--regid=nogroup", "--clear-groups"] if os.geteuid() == 0 else []
    folder = Path(tempfile.mkdtemp(prefix="penstock-postgresql-"))
    if user:
        shutil.chown(folder, "nobody", "nogroup")
    try:
        yield from _serve(folder / "data", user)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _serve(data: Path, user: list[str]) -> Iterator[str]:
    make = ending_with_us(*user, PROGRAMS["initdb"], "-D", str(data), "-U", "penstock", "-A", "trust", "-N")
    subprocess.run(make, check=True, capture_output=True)
    port = free_port()
    options = ["-F", "-p", str(port), "-k", "", "-h", "127.0.0.1", "-c", "max_connections=100"]
    command = ending_with_us(*user, PROGRAMS["postgres"], "-D", str(data), *options)
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            ready = [PROGRAMS["pg_isready"], "-q", "-h", "127.0.0.1", "-p", str(port)]
            until(lambda: subprocess.run(ready, check=False).returncode == 0, 60)
            yield f"postgresql+psycopg://penstock@127.0.0.1:{port}/postgres"
        finally:
            server.send_signal(signal.SIGINT)


def new_database(server: str, name: str, password: str = "") -> str:
    """Make an empty database; returns its address, as people write it."""
    engine = sa.create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sa.text(f'CREATE DATABASE "{name}"'))
    engine.dispose()
    address = sa.make_url(server).set(drivername="postgresql", database=name, password=password or None)
    return address.render_as_string(hide_password=False)
