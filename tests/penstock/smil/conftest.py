from collections.abc import Iterator
from pathlib import Path

import pytest

import aws_stand
import ladder_media
from aws_stand import Stand


@pytest.fixture(scope="session")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("films")
    ladder_media.sources(folder)
    return folder


@pytest.fixture(scope="session")
def segmented(films: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A presentation by Shaka Packager, clear; not to be changed."""
    return ladder_media.by_packager(films, tmp_path_factory.mktemp("segmented") / "out")


@pytest.fixture(scope="session")
def stand_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    with aws_stand.running(tmp_path_factory.mktemp("stand")) as stand:
        yield stand


@pytest.fixture
def stand(stand_servers: Stand) -> Stand:
    stand_servers.empty()
    return stand_servers
