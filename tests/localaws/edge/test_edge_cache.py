from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from botocore.credentials import Credentials

from localaws.edge import cache as cache_module
from localaws.edge.cache import Cache
from localaws.edge.origins import BucketOrigin, HttpClient, OriginFailed, Timeouts

SMALL, LARGE = b"s" * 1000, b"L" * 400_000


class Bucket:
    """What the origin answers: bytes by path, or a status; and how often it was asked."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.status = 200
        self.cut_after: int | None = None

    def __call__(self, handler: BaseHTTPRequestHandler, seen: Any) -> None:
        body = self.objects.get(seen.target)
        status = self.status if self.status != 200 else 200 if body is not None else 404
        etag = f'"{hash(body) & 0xFFFF:x}"'
        if status == 200 and seen.headers.get("if-none-match") == etag:
            status = 304
        handler.send_response(status)
        body = body if status == 200 and body is not None else b""
        handler.send_header("ETag", etag)
        if status != 304:
            handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body[: self.cut_after])
        if self.cut_after is not None:
            handler.close_connection = True


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def bucket() -> Bucket:
    return Bucket()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def run(start_origin: Any, bucket: Bucket, clock: Clock, tmp_path: Path) -> Callable[..., list[Any]]:
    """Run a story with a new cache in front of the bucket; returns the requests the origin got."""

    def run_story(story: Callable[[Cache], Awaitable[None]], **bounds: Any) -> list[Any]:
        origin = start_origin(bucket)

        async def with_cache() -> None:
            client = HttpClient(origin.url, timeouts=Timeouts(1, 1), max_connections=8)
            source = BucketOrigin(client, "b", region="us-east-1", credentials=Credentials("id", "secret"))
            try:
                await story(Cache(source, tmp_path / "cache", clock=clock, **bounds))
            finally:
                await client.close()

        asyncio.run(with_cache())
        return list(origin.seen)

    return run_story


def test_many_askers_cost_one_fetch(run: Any, bucket: Bucket) -> None:
    bucket.objects["/b/k"] = LARGE

    async def story(cache: Cache) -> None:
        stored = await asyncio.gather(*(cache.get("k") for _ in range(200)))
        assert len({id(one) for one in stored}) == 1
        assert stored[0] is not None
        assert stored[0].file.read_bytes() == LARGE

    assert len(run(story)) == 1


def test_the_origin_gets_a_signature_and_no_query(run: Any, bucket: Bucket) -> None:
    bucket.objects["/b/a%20%2B%3Facl%23.mp4"] = SMALL

    async def story(cache: Cache) -> None:
        assert await cache.get("a +?acl#.mp4")

    (seen,) = run(story)
    assert seen.headers["authorization"].startswith("AWS4-HMAC-SHA256 Credential=id/")
    assert "secret" not in str(seen.headers)


def test_an_asker_who_leaves_does_not_end_the_fetch(run: Any, bucket: Bucket) -> None:
    bucket.objects["/b/k"] = LARGE

    async def story(cache: Cache) -> None:
        leaving = asyncio.create_task(cache.get("k"))
        staying = asyncio.create_task(cache.get("k"))
        await asyncio.sleep(0)
        leaving.cancel()
        assert await staying

    assert len(run(story)) == 1


def test_a_replaced_object_is_seen_once_the_old_one_is_not_fresh(run: Any, bucket: Bucket, clock: Clock) -> None:
    bucket.objects["/b/k"] = SMALL

    async def story(cache: Cache) -> None:
        first = await cache.get("k")
        bucket.objects["/b/k"] = LARGE
        assert await cache.get("k") is first
        clock.now += 2
        second = await cache.get("k")
        assert first and second
        assert (first.size_bytes, second.size_bytes) == (len(SMALL), len(LARGE))
        assert first.file.read_bytes() == SMALL, "who was told of the old file can still open it"
        clock.now += 2
        assert await cache.get("k") is second

    requests = run(story, fresh_s=2, grace_s=5)
    assert [request.headers.get("if-none-match") is not None for request in requests] == [False, True, True]


def test_a_deleted_object_is_gone_once_it_is_not_fresh(run: Any, bucket: Bucket, clock: Clock) -> None:
    bucket.objects["/b/k"] = SMALL

    async def story(cache: Cache) -> None:
        assert await cache.get("k")
        del bucket.objects["/b/k"]
        clock.now += 10
        assert await cache.get("k") is None

    run(story, fresh_s=10)


def test_what_was_there_is_served_while_the_origin_is_down(run: Any, bucket: Bucket, clock: Clock) -> None:
    bucket.objects["/b/k"] = SMALL

    async def story(cache: Cache) -> None:
        stored = await cache.get("k")
        bucket.status = 500
        clock.now += 10
        assert await cache.get("k") is stored
        with pytest.raises(OriginFailed):
            await cache.get("other")

    run(story, fresh_s=10)


def test_half_an_object_is_none(run: Any, bucket: Bucket, tmp_path: Path) -> None:
    bucket.objects["/b/k"] = LARGE
    bucket.cut_after = 1000

    async def story(cache: Cache) -> None:
        with pytest.raises(OriginFailed) as failed:
            await cache.get("k")
        assert failed.value.status == 502
        assert list((tmp_path / "cache").iterdir()) == []
        bucket.cut_after = None
        assert await cache.get("k"), "a failure is not remembered"

    run(story)


def test_the_least_recently_used_makes_room_after_the_grace(run: Any, bucket: Bucket, clock: Clock) -> None:
    for number in range(4):
        bucket.objects[f"/b/{number}"] = LARGE

    async def story(cache: Cache) -> None:
        first = await cache.get("0")
        second = await cache.get("1")
        third = await cache.get("2")
        assert first and second and third
        assert first.file.exists(), "above the bound, but a viewer may be about to open it"
        clock.now += 5
        assert cache.fresh("0") is first
        await cache.get("3")
        assert cache.fresh("0") is first
        assert cache.fresh("1") is None
        assert cache.fresh("2") is None
        await asyncio.sleep(0.05)
        assert not second.file.exists()

    run(story, max_bytes=2 * len(LARGE), grace_s=5, fresh_s=60)


def test_an_object_larger_than_the_cache_is_served_all_the_same(run: Any, bucket: Bucket, tmp_path: Path) -> None:
    bucket.objects["/b/k"] = LARGE

    async def story(cache: Cache) -> None:
        stored = await cache.get("k")
        assert stored
        assert stored.file.read_bytes() == LARGE

    run(story, max_bytes=1000, grace_s=0.01)


def test_a_full_disk_is_said_and_costs_nothing_already_there(
    run: Any, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """/dev/full stands for the disk: every write to it fails with ENOSPC."""
    bucket.objects |= {"/b/small": SMALL, "/b/k": LARGE * 4}

    async def story(cache: Cache) -> None:
        small = await cache.get("small")
        real_open = Path.open
        monkeypatch.setattr(Path, "open", lambda self, mode="r": real_open(Path("/dev/full"), "wb"))
        with pytest.raises(OriginFailed) as failed:
            await cache.get("k")
        monkeypatch.undo()
        assert failed.value.status == 503
        assert cache.fresh("small") is small
        assert await cache.get("k")

    run(story)


def test_a_cache_folder_that_somebody_emptied_is_filled_again(run: Any, bucket: Bucket) -> None:
    bucket.objects["/b/k"] = LARGE

    async def story(cache: Cache) -> None:
        stored = await cache.get("k")
        assert stored
        stored.file.unlink()
        again = await cache.get("k")
        assert again
        assert again.file.read_bytes() == LARGE

    run(story)


def test_memory_for_small_objects_is_bounded(run: Any, bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_module, "MAX_SMALL_BYTES", 2500)
    for number in range(4):
        bucket.objects[f"/b/{number}"] = SMALL

    async def story(cache: Cache) -> None:
        stored = [await cache.get(str(number)) for number in range(4)]
        assert [one.content is not None for one in stored if one] == [False, False, True, True]
        assert all(one and one.file.read_bytes() == SMALL for one in stored)

    run(story)


def test_a_new_cache_starts_empty(run: Any, bucket: Bucket, tmp_path: Path) -> None:
    left_over = tmp_path / "cache" / "0"
    left_over.parent.mkdir()
    left_over.write_bytes(os.urandom(10))

    async def story(cache: Cache) -> None:
        assert not left_over.exists()

    run(story)


def test_silence_and_refusal_are_told_apart(start_origin: Any, tmp_path: Path) -> None:
    async def fails_with(url: str) -> int:
        client = HttpClient(url, timeouts=Timeouts(0.2, 0.2), max_connections=1)
        source = BucketOrigin(client, "b", region="us-east-1", credentials=Credentials("id", "secret"))
        with pytest.raises(OriginFailed) as failed:
            await Cache(source, tmp_path / "cache").get("k")
        await client.close()
        return failed.value.status

    silent = start_origin(lambda handler, seen: handler.rfile.read(1))
    assert asyncio.run(fails_with(silent.url)) == 504
    assert asyncio.run(fails_with("http://127.0.0.1:1")) == 502
