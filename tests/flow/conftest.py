"""One running stack for all tests of a module; films of two seconds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import films
from running_stack import RunningStack


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    running = RunningStack(tmp_path_factory.mktemp("stack") / "data").start()
    yield running
    running.stop()


@pytest.fixture(scope="session")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return films.film(tmp_path_factory.mktemp("film") / "film.mp4", duration_s=5)
