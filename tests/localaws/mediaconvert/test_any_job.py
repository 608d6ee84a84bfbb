"""Random jobs: each is refused by a setting's path, or becomes what its settings say. `make fuzz-jobs` runs more."""

from __future__ import annotations

from pathlib import Path

import pytest

import any_jobs
import job_judge

JOBS = 30


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("any")


@pytest.mark.parametrize("number", range(1000, 1000 + JOBS))
def test_a_job_is_refused_or_becomes_what_it_asks_for(number: int, sources: Path, tmp_path: Path) -> None:
    assert job_judge.faults(any_jobs.job(number), sources, tmp_path) == []
