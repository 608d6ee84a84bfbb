"""kill -9 at random moments of upload and conversion: after `penstock up` everything ends by itself, once."""

from __future__ import annotations

import contextlib
import os
import random
import time
from pathlib import Path

import httpx
import psutil
import pytest

import films
from localaws.media import jail
from running_stack import RunningStack

SEED = int(os.environ.get("CRASH_SEED", str(random.SystemRandom().randrange(10**6))))
"""Printed by a failing test; CRASH_SEED repeats its moments."""


@pytest.fixture(scope="module")
def long_film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return films.film(tmp_path_factory.mktemp("film") / "long.mp4", duration_s=12, size="640x360")


@pytest.mark.timeout(600)
def test_kill_of_all_processes_at_random_moments(tmp_path: Path, long_film: Path) -> None:
    chance = random.Random(SEED)
    stack = RunningStack(tmp_path / "data").start()
    assets = [submit(stack, long_film, f"film {n}") for n in range(3)]
    for _ in range(4):
        time.sleep(chance.uniform(0.1, 3))  # the moment is the subject of this test
        stack.kill_everything()
        stack.start()
    finish(stack, assets)


@pytest.mark.timeout(600)
def test_kill_of_any_one_process_while_the_rest_goes_on(tmp_path: Path, long_film: Path) -> None:
    chance = random.Random(SEED)
    stack = RunningStack(tmp_path / "data").start()
    assets = [submit(stack, long_film, f"film {n}") for n in range(2)]
    jailed = 0
    for _ in range(6):
        time.sleep(chance.uniform(0.1, 2))  # the moment is the subject of this test
        supervisor = stack.process
        victims = [p for p in stack.processes() if supervisor and p.pid != supervisor.pid]
        if jailed == jail.ATTEMPTS - 1:  # a program that is killed each time that it is started fails its job
            victims = [p for p in victims if not in_jail(p)]
        victim = chance.choice(victims)
        jailed += in_jail(victim)
        with contextlib.suppress(psutil.NoSuchProcess):
            victim.kill()
    finish(stack, assets)


def in_jail(process: psutil.Process) -> bool:
    """Whether it is a program that runs on media, or the jail around one."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.name().startswith(("bwrap", "prlimit", "ffmpeg", "ffprobe", "packager"))
    return False


def submit(stack: RunningStack, film: Path, title: str) -> str:
    """Put a film into the watchfolder through the API's upload, without waiting for it."""
    return str(stack.client.upload(film, title=title)["id"])


def finish(stack: RunningStack, assets: list[str]) -> None:
    """Every film is published, by one job, with nothing left behind."""
    try:
        for asset_id in assets:
            asset = stack.wait_for(asset_id, within_s=240)
            assert asset["state"] == "published", f"CRASH_SEED={SEED}: {asset}"
            session = stack.client.create_playback_session(asset_id, viewer="ada")
            assert httpx.get(session["dash_url"], cookies=session["cookies"]).status_code == 200
        jobs = stack.aws("mediaconvert").list_jobs(MaxResults=20)["Jobs"]
        of_assets = sorted(job["UserMetadata"]["assetId"] for job in jobs)
        assert of_assets == sorted(assets), f"CRASH_SEED={SEED}: jobs of {of_assets}"
        assert {job["Status"] for job in jobs} == {"COMPLETE"}
        left = [path for path in (stack.data_dir / "localaws" / "work").rglob("*") if path.is_file()]
        # A source that Probe fetched waits a quarter of an hour for its job.
        assert not [path for path in left if ".probed" not in path.parts], f"CRASH_SEED={SEED}: left behind {left}"
    finally:
        stack.stop()
