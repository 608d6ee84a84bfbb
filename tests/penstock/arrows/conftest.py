"""One pair of servers for all tests of the arrows; each test finds them empty."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import aws_stand
from aws_stand import Stand


@pytest.fixture(scope="session")
def stand_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    with aws_stand.running(tmp_path_factory.mktemp("stand")) as stand:
        yield stand


@pytest.fixture
def stand(stand_servers: Stand) -> Stand:
    stand_servers.empty()
    return stand_servers
