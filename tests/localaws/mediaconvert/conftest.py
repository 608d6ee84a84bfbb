"""A real SPEKE endpoint on loopback, and a converter that runs plans on real clips without a server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import mediaconvert_conversion
from localaws.config import Config, Credentials
from mediaconvert_conversion import Converted
from mediaconvert_speke import ACCESS_KEY_ID, SECRET, Speke, serve


@pytest.fixture
def speke() -> Iterator[Speke]:
    with serve() as provider:
        yield provider


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(tmp_path / "data", Credentials(ACCESS_KEY_ID, SECRET))


@pytest.fixture
def convert(tmp_path: Path, config: Config) -> Callable[..., Converted]:
    """Run a job: its first clip, its settings, and the files that it names beside that one."""

    def run(clip: Path, settings: dict[str, Any], *others: Path) -> Converted:
        return mediaconvert_conversion.convert(config, tmp_path / "work", settings, [clip, *others])

    return run
