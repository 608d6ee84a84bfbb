"""Uploads against a real S3 server: what gets in, what does not, names, sizes, parts."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api_parts import UGLY_NAMES
from penstock import settings as settings_module
from penstock import upload
from penstock.entries import Upload
from penstock.errors import Conflict, InvalidRequest, NotFound
from penstock.settings import Clients, Settings

MIB = 2**20
SETTINGS = Settings()


@pytest.fixture
def clients(session: Any) -> Any:
    made = settings_module.clients(session)
    yield made
    for client in vars(made).values():
        client.close()


def announced(size: int, settings: Settings, name: str = "film.mp4", content_type: str | None = "video/mp4") -> Upload:
    return upload.announce(str(uuid.uuid4()), name, size, content_type, settings)


def post(told: dict[str, Any], content: bytes, **changed: str) -> httpx.Response:
    return httpx.post(told["url"], data={**told["fields"], **changed}, files={"file": ("source", content)})


def stored(clients: Clients, settings: Settings, key: str) -> bytes | None:
    try:
        return bytes(clients.s3.get_object(Bucket=settings.source_bucket, Key=key)["Body"].read())
    except clients.s3.exceptions.NoSuchKey:
        return None


@pytest.mark.parametrize("name", UGLY_NAMES.values(), ids=UGLY_NAMES.keys())
def test_any_file_name_gives_a_safe_key_that_takes_the_upload(clients: Clients, settings: Settings, name: str) -> None:
    asked = announced(4, settings, name)
    assert post(upload.instructions(asked, clients, settings, datetime.now(UTC)), b"film").is_success
    upload.check_arrived(asked, clients, settings)
    assert stored(clients, settings, asked.object_key) == b"film"


@hypothesis.settings(deadline=None)
@given(st.text(min_size=1, max_size=300))
def test_object_key_is_short_plain_and_below_its_asset(name: str) -> None:
    asset_id = str(uuid.uuid4())
    key = upload.object_key(asset_id, name)
    head, found_id, last = key.split("/")
    assert (head, found_id) == ("inputs", asset_id)
    assert len(key) <= 200
    assert last.isascii()
    assert last
    assert all(char.isalnum() or char in "._-" for char in last)
    assert ".." not in last
    assert not last.startswith(".")


def test_extension_survives() -> None:
    assert upload.object_key("a", "crème brûlée (final).MP4") == "inputs/a/creme_brulee_final.MP4"
    assert upload.object_key("a", "فيلم.mp4") == "inputs/a/source.mp4"


def test_empty_file_is_refused_with_a_sentence() -> None:
    with pytest.raises(InvalidRequest, match="empty"):
        announced(0, SETTINGS)


def test_file_over_the_limit_is_refused_with_both_sizes() -> None:
    with pytest.raises(InvalidRequest, match=r"1001 bytes.*at most 1000"):
        announced(1001, replace(SETTINGS, max_source_bytes=1000))


@pytest.mark.parametrize("kind", ["video", "video/", "video/mp4; x=y", "video/mp4\r\nX: y", "ü/ü", "a/" + "b" * 200])
def test_content_type_that_is_none_is_refused(kind: str) -> None:
    with pytest.raises(InvalidRequest, match="media type"):
        announced(1, SETTINGS, content_type=kind)


@hypothesis.settings(deadline=None)
@given(st.integers(1, 500 * 2**30))
def test_parts_keep_within_the_limits_of_s3_and_add_up(size: int) -> None:
    asked = replace(announced(size, SETTINGS), part_size_bytes=upload.part_size(size))
    count = upload.part_count(asked)
    assert 1 <= count <= 10_000
    assert asked.part_size_bytes is not None
    assert 5 * MIB <= asked.part_size_bytes <= 5 * 2**30
    assert upload.part_length(asked, 1) + (count - 1) * asked.part_size_bytes >= size
    assert (count - 1) * asked.part_size_bytes + upload.part_length(asked, count) == size
    assert upload.part_length(asked, count) > 0


def test_more_than_s3_can_hold_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="5 GiB"):
        upload.part_size(10_000 * 5 * 2**30 + 1)


def test_large_sources_come_in_parts_and_small_ones_in_one_post() -> None:
    small, large = announced(SETTINGS.multipart_threshold_bytes - 1, SETTINGS), announced(40 * MIB, SETTINGS)
    assert (small.method, large.method) == ("post", "multipart")


class TestPost:
    @pytest.fixture
    def asked(self, settings: Settings) -> Upload:
        return announced(10, settings)

    @pytest.fixture
    def told(self, asked: Upload, clients: Clients, settings: Settings) -> dict[str, Any]:
        return upload.instructions(asked, clients, settings, datetime.now(UTC))

    @pytest.mark.parametrize("size", [0, 9, 11])
    def test_other_size_than_announced_does_not_get_in(
        self, told: dict[str, Any], asked: Upload, clients: Clients, settings: Settings, size: int
    ) -> None:
        assert post(told, b"x" * size).status_code == 400
        with pytest.raises(Conflict, match="not in the bucket"):
            upload.complete(asked, [], clients, settings)

    def test_moved_to_another_key_is_refused(self, told: dict[str, Any]) -> None:
        assert post(told, b"x" * 10, key="inputs/other").status_code == 403

    def test_other_content_type_is_refused(self, told: dict[str, Any]) -> None:
        assert post(told, b"x" * 10, **{"Content-Type": "text/html"}).status_code == 403

    def test_forged_signature_is_refused(self, told: dict[str, Any]) -> None:
        name = next(name for name in told["fields"] if name.lower() == "x-amz-signature")
        assert post(told, b"x" * 10, **{name: "0" * 64}).status_code == 403

    def test_expired_is_refused(self, asked: Upload, clients: Clients, settings: Settings) -> None:
        told = upload.instructions(asked, clients, replace(settings, upload_ttl_s=-1), datetime.now(UTC))
        assert post(told, b"x" * 10).status_code == 403

    def test_has_no_parts(self, asked: Upload, clients: Clients, settings: Settings) -> None:
        with pytest.raises(Conflict, match="no parts"):
            upload.sign_parts(asked, [1], clients, settings)


class TestMultipart:
    @pytest.fixture
    def asked(self, clients: Clients, settings: Settings) -> Upload:
        return upload.begin(announced(9 * MIB, settings), clients, settings)

    def put(self, asked: Upload, number: int, content: bytes, clients: Clients, settings: Settings) -> httpx.Response:
        return httpx.put(upload.sign_parts(asked, [number], clients, settings)[number], content=content)

    def test_parts_make_the_object(self, asked: Upload, clients: Clients, settings: Settings) -> None:
        etags = []
        for number, size in ((2, MIB), (1, 8 * MIB)):
            answer = self.put(asked, number, bytes([number]) * size, clients, settings)
            etags.append((number, answer.headers["ETag"]))
        assert [part.number for part in upload.parts_done(asked, clients, settings)] == [1, 2]
        upload.complete(asked, etags, clients, settings)
        upload.complete(asked, etags, clients, settings)
        assert stored(clients, settings, asked.object_key) == b"\1" * 8 * MIB + b"\2" * MIB
        with pytest.raises(NotFound):
            upload.parts_done(asked, clients, settings)

    @pytest.mark.parametrize("size", [0, 8 * MIB - 1, 8 * MIB + 1])
    def test_part_of_another_length_does_not_get_in(
        self, asked: Upload, clients: Clients, settings: Settings, size: int
    ) -> None:
        assert self.put(asked, 1, b"x" * size, clients, settings).status_code == 403
        assert upload.parts_done(asked, clients, settings) == []

    def test_signature_of_one_part_is_not_good_for_another(
        self, asked: Upload, clients: Clients, settings: Settings
    ) -> None:
        url = upload.sign_parts(asked, [1], clients, settings)[1]
        assert "partNumber=1" in url
        assert httpx.put(url.replace("partNumber=1", "partNumber=2"), content=b"x" * 8 * MIB).status_code == 403

    def test_missing_part_is_named(self, asked: Upload, clients: Clients, settings: Settings) -> None:
        self.put(asked, 1, b"x" * 8 * MIB, clients, settings)
        with pytest.raises(InvalidRequest, match="part 2 of 2"):
            upload.complete(asked, [], clients, settings)

    def test_wrong_etag_is_refused(self, asked: Upload, clients: Clients, settings: Settings) -> None:
        self.put(asked, 1, b"x" * 8 * MIB, clients, settings)
        self.put(asked, 2, b"x" * MIB, clients, settings)
        with pytest.raises(InvalidRequest, match=r"part 1 .* ETag"):
            upload.complete(asked, [(1, '"0"'), (2, '"0"')], clients, settings)

    def test_nothing_uploaded_cannot_be_completed(self, asked: Upload, clients: Clients, settings: Settings) -> None:
        with pytest.raises(Conflict, match="not in the bucket"):
            upload.complete(asked, [], clients, settings)

    @pytest.mark.parametrize("number", [0, 3, -1])
    def test_part_that_does_not_exist_is_not_signed(
        self, asked: Upload, clients: Clients, settings: Settings, number: int
    ) -> None:
        with pytest.raises(InvalidRequest, match="parts 1 to 2"):
            upload.sign_parts(asked, [1, number], clients, settings)

    def test_abort_drops_the_parts_and_can_be_repeated(
        self, asked: Upload, clients: Clients, settings: Settings
    ) -> None:
        self.put(asked, 1, b"x" * 8 * MIB, clients, settings)
        upload.abort(asked, clients, settings)
        upload.abort(asked, clients, settings)
        assert self.put(asked, 2, b"x" * MIB, clients, settings).status_code == 404

    def test_orphans_are_aborted_but_neither_new_nor_owned_ones(
        self, asked: Upload, clients: Clients, settings: Settings
    ) -> None:
        owned = upload.begin(announced(9 * MIB, settings), clients, settings)
        assert owned.upload_id is not None
        now = datetime.now(UTC)
        assert upload.abort_orphans(set(), now - timedelta(hours=1), clients, settings) == 0
        assert upload.abort_orphans({owned.upload_id}, now + timedelta(hours=1), clients, settings) >= 1
        assert upload.parts_done(owned, clients, settings) == []
        with pytest.raises(NotFound):
            upload.parts_done(asked, clients, settings)
