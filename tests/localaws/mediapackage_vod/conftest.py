"""One stack with MediaPackage VOD for all tests of the folder, and its films."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mediaconvert_speke import Speke, serve
from mediapackage_stack import Films, PackagingStack, make_films


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PackagingStack]:
    one = PackagingStack(tmp_path_factory.mktemp("mediapackage"))
    try:
        one.start()
        yield one
    finally:
        one.stop()


@pytest.fixture
def speke() -> Iterator[Speke]:
    with serve() as provider:
        yield provider


@pytest.fixture(scope="session")
def films(stack: PackagingStack, tmp_path_factory: pytest.TempPathFactory) -> Films:
    folder = tmp_path_factory.mktemp("films")
    make_films(folder)
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            stack.s3.upload_file(str(path), "media", f"films/{path.relative_to(folder)}")
    return Films("films/film.smil", "films/hls/main.m3u8", folder)


@pytest.fixture(autouse=True)
def few_groups(stack: PackagingStack) -> None:
    """An account has ten groups at most; those of earlier tests make room."""
    vod = stack.mediapackage
    for asset in vod.list_assets()["Assets"]:
        vod.delete_asset(Id=asset["Id"])
    for one in vod.list_packaging_configurations()["PackagingConfigurations"]:
        vod.delete_packaging_configuration(Id=one["Id"])
    for group in vod.list_packaging_groups()["PackagingGroups"]:
        vod.delete_packaging_group(Id=group["Id"])
