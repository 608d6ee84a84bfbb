"""Engines of several machines share the jobs of one stack through a real PostgreSQL; here the machines are folders."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import sqlalchemy as sa

import films
import mediaconvert_jobs as jobs
import postgresql_server
from localaws import local
from localaws.database import postgresql
from mediaconvert_speke import Speke, serve
from mediaconvert_stack import Stack, outlived, running, wait_for
from running_stack import RunningStack
from sample_media import ffmpeg

CLEARKEY = "e2719d58-a985-b3c9-781a-b030af78d30e"
PASSWORD = "the-databases-password"
LEASE_S = "5"


@pytest.fixture(scope="module")
def address(postgresql: str) -> str:
    return postgresql_server.new_database(postgresql, f"engines-{uuid.uuid4().hex[:8]}", PASSWORD)


@pytest.fixture(scope="module")
def stack(address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack that runs no job itself."""
    folder = tmp_path_factory.mktemp("engines")
    with running(folder / "data", address) as one:
        picture = "testsrc2=size=480x270:rate=25:duration=10,noise=alls=30:allf=t"
        film = ffmpeg(folder / "f.mp4", "-f", "lavfi", "-i", picture, "-c:v", "libx264", "-preset", "ultrafast")
        one.s3.upload_file(str(film), "source", "f.mp4")
        yield one


@pytest.fixture(scope="module")
def speke() -> Iterator[Speke]:
    with serve() as provider:
        yield provider


def settings(speke: Speke, folder: str) -> dict[str, Any]:
    protection = jobs.encryption(speke.url, systems=(CLEARKEY,))
    outputs = [jobs.video(f"_{height}", Height=height) for height in (270, 180)]
    group = jobs.cmaf(*outputs, destination=f"s3://media/{folder}/main", Encryption=protection)
    return jobs.settings(group, uri="s3://source/f.mp4")


def start_engine(stack: Stack, address: str, name: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "localaws.engine", "--lease-s", LEASE_S]
    return stack.start_engine(name, *command, LOCALAWS_DATABASE_URL=address, **local.environment(stack.config))


def living(address: str) -> int:
    engine = sa.create_engine(postgresql(address))
    with engine.connect() as connection:
        found = connection.execute(sa.text("SELECT count(*) FROM localaws.engines WHERE dead_at IS NULL")).scalar_one()
    engine.dispose()
    return int(found)


def cut_connections(address: str) -> None:
    engine = sa.create_engine(postgresql(address), isolation_level="AUTOCOMMIT")
    others = "datname = current_database() AND pid <> pg_backend_pid()"
    with engine.connect() as connection:
        connection.execute(sa.text(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}"))
    engine.dispose()


def recorded(address: str, job_id: str) -> list[str]:
    """Names of the steps of a job that were recorded as done."""
    engine = sa.create_engine(postgresql(address))
    query = sa.text("SELECT function_name FROM dbos.operation_outputs WHERE workflow_uuid = :id ORDER BY function_id")
    with engine.connect() as connection:
        found = [str(row[0]) for row in connection.execute(query, {"id": f"mediaconvert-{job_id}"})]
    engine.dispose()
    return found


def fetched(engine: subprocess.Popen[bytes], job_id: str) -> list[int]:
    """Sizes of a job's sources on an engine's own disk."""
    arguments = list(engine.args)  # type: ignore[arg-type]  # we started it with a list
    work = Path(str(arguments[-1])) / "localaws" / "work" / job_id
    found = [path for path in work.rglob("*") if path.is_file() and path.suffix != ".json"]
    return sorted(path.stat().st_size for path in found if "encoded" not in path.parts)


def at_work(stack: Stack, *engines: subprocess.Popen[bytes]) -> list[subprocess.Popen[bytes]]:
    """The engines, that which encodes first."""
    wait_for(lambda: any(stack.encoders(engine) for engine in engines), 60)
    return sorted(engines, key=lambda engine: not stack.encoders(engine))


def check_complete(stack: Stack, job_id: str, folder: str) -> None:
    done = stack.finished(job_id, 180)
    assert done["Status"] == "COMPLETE", done.get("ErrorMessage")
    wait_for(lambda: stack.events(job_id)[-1]["detail"]["status"] == "COMPLETE", 10)
    told = [event["detail"]["status"] for event in stack.events(job_id)]
    assert told.count("COMPLETE") == 1 and "ERROR" not in told
    names = stack.objects(f"{folder}/")
    segments = {f"{folder}/main_{height}_{number:09d}.cmfv" for height in (270, 180) for number in range(1, 6)}
    assert segments | {f"{folder}/main.mpd", f"{folder}/main.m3u8"} <= set(names) and min(names.values()) > 0


@pytest.mark.timeout(600)
def test_jobs_of_an_engine_that_dies_or_sleeps_go_on_at_another(stack: Stack, address: str, speke: Speke) -> None:
    first, second = (start_engine(stack, address, name) for name in ("first", "second"))
    wait_for(lambda: living(address) == 2, 60)
    job = stack.submit(settings(speke, "killed"))
    busy, idle = at_work(stack, first, second)
    encoders = stack.encoders(busy)
    assert not stack.objects("killed/"), "outputs appear only when the job is complete"
    busy.send_signal(signal.SIGKILL)
    busy.wait()
    assert not outlived(encoders, 5), "an encoder outlived its engine"
    assert "mediaconvert.look" in recorded(address, job["Id"])
    # The source was on the dead engine's disk: the other has fetched it again to its own when it encodes, within the
    # step that was interrupted.
    wait_for(lambda: stack.encoders(idle), 120)
    assert fetched(busy, job["Id"]) and fetched(idle, job["Id"]) == fetched(busy, job["Id"])
    check_complete(stack, job["Id"], "killed")
    assert recorded(address, job["Id"]).count("mediaconvert.fetch") == 1
    info = [line.split(" took ")[0] for line in stack.job(job["Id"])["Messages"]["Info"] if " took " in line]
    assert "fetching f.mp4" in info and info.count("encoding") == 1
    assert stack.job(job["Id"])["RetryCount"] == 1

    # Now the one that is left falls asleep over a job, and wakes when another has completed it.
    job = stack.submit(settings(speke, "slept"))
    wait_for(lambda: stack.encoders(idle), 60)
    asleep = [psutil.Process(idle.pid), *psutil.Process(idle.pid).children(recursive=True)]
    for process in asleep:
        process.suspend()
    third = start_engine(stack, address, "third")
    check_complete(stack, job["Id"], "slept")
    made = {item["Key"]: item["ETag"] for item in stack.s3.list_objects_v2(Bucket="media", Prefix="slept/")["Contents"]}
    for process in asleep:
        process.resume()
    # It sees that it was taken for dead, and begins anew.
    wait_for(lambda: living(address) == 2, 60)
    told = [event["detail"]["status"] for event in stack.events(job["Id"])]
    assert told.count("COMPLETE") == 1 and "ERROR" not in told and stack.job(job["Id"])["Status"] == "COMPLETE"
    now = {item["Key"]: item["ETag"] for item in stack.s3.list_objects_v2(Bucket="media", Prefix="slept/")["Contents"]}
    assert now == made and idle.poll() is None

    # A canceled job ends wherever it runs.
    job = stack.submit(settings(speke, "canceled"))
    encoders = stack.encoders(at_work(stack, idle, third)[0])
    stack.mediaconvert.cancel_job(Id=job["Id"])
    assert not outlived(encoders, 2), "an encoder outlived the cancel"
    assert not stack.objects("canceled/") and stack.job(job["Id"])["Status"] == "CANCELED"

    # The database may drop every connection that there is.
    job = stack.submit(settings(speke, "cut"))
    at_work(stack, idle, third)
    for _ in range(3):
        cut_connections(address)
    check_complete(stack, job["Id"], "cut")

    # An engine that is stopped gives its job up at once.
    job = stack.submit(settings(speke, "stopped"))
    leaving, _ = at_work(stack, idle, third)
    leaving.send_signal(signal.SIGTERM)
    assert leaving.wait(30) == 0
    check_complete(stack, job["Id"], "stopped")

    assert PASSWORD not in stack.log()


def test_a_second_stack_does_not_hand_out_the_same_jobs(stack: Stack, tmp_path: Path) -> None:
    other = Stack(tmp_path / "data", stack.config.database_url)
    command = [sys.executable, "-m", "localaws.endpoint", "--config", str(tmp_path / "data" / "stack.json")]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    other.stop()
    assert result.returncode == 2 and "another stack" in result.stderr and PASSWORD not in result.stderr


def test_up_with_a_database_converts_by_an_engine_of_its_own(postgresql: str, tmp_path: Path) -> None:
    address = postgresql_server.new_database(postgresql, f"up-{uuid.uuid4().hex[:8]}", PASSWORD)
    film = films.film(tmp_path / "film.mp4", duration_s=1)
    running_stack = RunningStack(tmp_path / "data", PENSTOCK_JOBS_DATABASE_URL=address).start()
    try:
        uploaded = running_stack.cli("upload", str(film), "--wait", "--json")
        assert '"published"' in uploaded.stdout
        lines = [" ".join(process.cmdline()) for process in running_stack.processes()]
        assert any("localaws.engine" in line for line in lines) and not any(PASSWORD in line for line in lines)
        assert PASSWORD not in running_stack.logs(1000) + running_stack.output.read_text()
        service_environments = (
            (tmp_path / "data" / "stack.json").read_text().split('"services"')[1].split("database_url")[0]
        )
        assert PASSWORD not in service_environments, "the API has no use for it"
    finally:
        running_stack.stop()


def test_an_engine_without_what_it_needs_says_what(tmp_path: Path) -> None:
    def refused(**variables: str) -> str:
        result = subprocess.run(
            [str(Path(sys.executable).with_name("penstock")), "engine", "--data-dir", str(tmp_path)],
            env=os.environ | variables,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert result.returncode == 2 and result.stdout == "" and result.stderr.count("\n") == 1
        return result.stderr

    s3 = {"AWS_ENDPOINT_URL_S3": "http://127.0.0.1:1", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b" * 8}
    assert "AWS_SECRET_ACCESS_KEY" in refused()
    assert "LOCALAWS_DATABASE_URL" in refused(**s3)
    told = refused(**s3, PENSTOCK_JOBS_DATABASE_URL=f"mysql://me:{PASSWORD}@there/jobs")
    assert "postgresql://" in told and PASSWORD not in told
