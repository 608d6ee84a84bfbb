"""A job outlives the death of the process that runs it, and a store that is away for a while."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import mediaconvert_jobs as jobs
from mediaconvert_speke import Speke
from mediaconvert_stack import Stack, outlived, running, wait_for
from sample_media import ffmpeg

CLEARKEY = "e2719d58-a985-b3c9-781a-b030af78d30e"


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    with running(tmp_path / "data") as one:
        picture = "testsrc2=size=480x270:rate=25:duration=10,noise=alls=30:allf=t"
        film = ffmpeg(tmp_path / "f.mp4", "-f", "lavfi", "-i", picture, "-c:v", "libx264", "-preset", "ultrafast")
        one.s3.upload_file(str(film), "source", "f.mp4")
        yield one


def settings(speke: Speke) -> dict[str, Any]:
    protection = jobs.encryption(speke.url, systems=(CLEARKEY,))
    outputs = [jobs.video(f"_{height}", Height=height) for height in (270, 180)]
    group = jobs.cmaf(*outputs, destination="s3://media/crash/main", Encryption=protection)
    return jobs.settings(group, uri="s3://source/f.mp4")


def steps(stack: Stack) -> list[str]:
    """Names of the steps that were recorded as done."""
    database = sqlite3.connect(f"file:{stack.config.state_dir / 'dbos.db'}?mode=ro", uri=True)
    try:
        return [row[0] for row in database.execute("SELECT function_name FROM operation_outputs ORDER BY function_id")]
    finally:
        database.close()


def check_complete(stack: Stack, job_id: str) -> None:
    done = stack.finished(job_id, 120)
    assert done["Status"] == "COMPLETE", done.get("ErrorMessage")
    wait_for(lambda: stack.events(job_id)[-1]["detail"]["status"] == "COMPLETE", 10)
    told = [event["detail"]["status"] for event in stack.events(job_id)]
    assert told.count("COMPLETE") == 1 and "ERROR" not in told
    names = stack.objects("crash/")
    assert {f"crash/main_{height}_{number:09d}.cmfv" for height in (270, 180) for number in range(1, 6)} <= set(names)
    assert {"crash/main.mpd", "crash/main.m3u8"} <= set(names) and min(names.values()) > 0
    wait_for(lambda: not stack.work(), 5)


def test_kill_while_encoding_goes_on_at_that_step(stack: Stack, speke: Speke) -> None:
    job = stack.submit(settings(speke))
    queued = stack.submit(settings(speke) | {"Inputs": [{"FileInput": "s3://source/none"}]})
    wait_for(stack.encoders, 30)
    encoders = stack.encoders()
    assert not stack.objects("crash/"), "outputs appear only when the job is complete"
    stack.kill_endpoint()
    assert not outlived(encoders, 2), "an encoder outlived its engine"
    before = steps(stack)
    assert "mediaconvert.look" in before and "mediaconvert.encode" not in before
    stack.start_endpoint()
    check_complete(stack, job["Id"])
    assert stack.finished(queued["Id"])["ErrorCode"] == 1404
    # One fetch for each of the two jobs: what was done before the crash was not done again.
    assert steps(stack).count("mediaconvert.fetch") == 2


@pytest.mark.parametrize("done", ["mediaconvert.begin", "mediaconvert.encode", "mediaconvert.package"])
def test_kill_after_a_step(stack: Stack, speke: Speke, done: str) -> None:
    job = stack.submit(settings(speke))
    wait_for(lambda: done in steps(stack), 60)
    stack.kill_endpoint()
    stack.start_endpoint()
    check_complete(stack, job["Id"])
    assert steps(stack).count("mediaconvert.encode") == 1


def test_an_orderly_end_does_not_fail_the_job(stack: Stack, speke: Speke) -> None:
    job = stack.submit(settings(speke))
    wait_for(stack.encoders, 30)
    assert stack.end_endpoint() == 0
    stack.start_endpoint()
    assert stack.job(job["Id"])["Status"] == "PROGRESSING"
    check_complete(stack, job["Id"])


def test_a_job_whose_workflow_was_never_queued_is_queued_at_the_next_start(stack: Stack, speke: Speke) -> None:
    stack.kill_endpoint()
    # As if the process had died between writing the job down and queueing it.
    from localaws.mediaconvert.account import arns
    from localaws.mediaconvert.store import Store

    store = Store(stack.config.state_dir / "localaws.db")
    request = {"Role": "r", "Settings": settings(speke)}
    store.add("1671477617078-2886ye", request, None, "f", arns.queue(stack.config, None), [])
    store.close()
    stray = stack.config.state_dir / "work" / "1671477617078-gone00"
    stray.mkdir(parents=True)
    stack.start_endpoint()
    check_complete(stack, "1671477617078-2886ye")
    assert not stray.exists()


def test_the_object_store_may_restart(stack: Stack, speke: Speke) -> None:
    job = stack.submit(settings(speke))
    wait_for(stack.encoders, 30)
    stack.kill_store()
    wait_for(lambda: "mediaconvert.package" in steps(stack), 60)
    stack.start_store()
    check_complete(stack, job["Id"])
