"""The catalogue: states, idempotence, order of events, on SQLite and on PostgreSQL."""

from __future__ import annotations

import threading
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from hypothesis import given
from hypothesis import strategies as st

from api_parts import Clock
from penstock import states
from penstock.catalogue import Catalogue, asset_id_of
from penstock.database import Database
from penstock.entries import Upload
from penstock.errors import Conflict, InvalidRequest, NotFound, Unavailable
from penstock.formats.events import AssetEvent
from penstock.model import AssetState, Problem
from penstock.schema import metadata
from penstock.sessions import Sessions

UPLOAD = Upload("inputs/x/film.mp4", 10, "video/mp4", "multipart", "upload-1", 5 * 2**20)
PROBLEM = Problem("upload_cancelled", "The upload was cancelled.")


def asset_id() -> str:
    return str(uuid.uuid4())


def event(
    kind: Any, asset: str, job: str | None = "job-1", *, settings: str | None = "default", **more: Any
) -> AssetEvent:
    detail = {"assetId": asset, "settings": settings, "jobId": job, **more}
    return AssetEvent(f"Asset {kind}", detail, str(uuid.uuid4()))  # type: ignore[arg-type]


@pytest.fixture
def asset(catalogue: Catalogue) -> str:
    made = asset_id()
    catalogue.create(made, "A film", UPLOAD)
    return made


def state(catalogue: Catalogue, asset: str) -> str:
    return catalogue.entry(asset).asset.state.value


def test_asset_goes_from_waiting_to_published(catalogue: Catalogue, asset: str) -> None:
    seen = [state(catalogue, asset)]
    catalogue.source_arrived(asset)
    seen.append(state(catalogue, asset))
    catalogue.apply(event("Converting", asset))
    catalogue.progress(asset, "job-1", 40, packaging=False)
    assert catalogue.entry(asset).asset.percent == 40
    catalogue.progress(asset, "job-1", 100, packaging=True)
    seen.append(state(catalogue, asset))
    kid = str(uuid.uuid4())
    published = {"dash": "assets/a/main.mpd", "hls": None, "keyIds": [kid], "durationMs": 30_040}
    catalogue.apply(event("Published", asset, **published))
    seen.append(state(catalogue, asset))
    assert seen == ["waiting", "converting", "packaging", "published"]
    entry = catalogue.entry(asset)
    assert entry.asset.duration_s == 30.04
    assert entry.asset.percent is None
    assert (entry.jobs[0].dash, entry.jobs[0].key_ids) == ("assets/a/main.mpd", (kid,))


def test_failed_job_fails_the_asset_with_its_reason(catalogue: Catalogue, asset: str) -> None:
    catalogue.apply(event("Converting", asset))
    catalogue.apply(event("Failed", asset, code="encode_failed", message="The encoder ended."))
    assert catalogue.entry(asset).asset.error == Problem("encode_failed", "The encoder ended.")
    assert state(catalogue, asset) == "failed"


def test_one_published_job_publishes_although_another_fails(catalogue: Catalogue, asset: str) -> None:
    catalogue.apply(event("Converting", asset, "job-1", settings="a"))
    catalogue.apply(event("Converting", asset, "job-2", settings="b"))
    catalogue.apply(event("Failed", asset, "job-1", settings="a", code="c", message="m"))
    assert state(catalogue, asset) == "converting"
    catalogue.apply(event("Published", asset, "job-2", settings="b"))
    assert state(catalogue, asset) == "published"
    assert [job.state.value for job in catalogue.entry(asset).jobs] == ["failed", "published"]


def test_failure_heard_before_the_other_conversions_does_not_fail_the_asset(catalogue: Catalogue, asset: str) -> None:
    planned = {"planned": ["bad", "good"]}
    catalogue.apply(event("Failed", asset, None, settings="bad", code="c", message="m", **planned))
    assert state(catalogue, asset) == "converting"
    catalogue.apply(event("Converting", asset, "job-1", settings="good"))
    assert state(catalogue, asset) == "converting"
    catalogue.apply(event("Failed", asset, "job-1", settings="good", code="d", message="n", **planned))
    assert state(catalogue, asset) == "failed"
    assert [(job.settings, job.state.value) for job in catalogue.entry(asset).jobs] == [
        ("bad", "failed"),
        ("good", "failed"),
    ]


def test_conversion_that_was_planned_never_comes_once_the_source_is_rejected(catalogue: Catalogue, asset: str) -> None:
    catalogue.apply(event("Converting", asset, "job-1", settings="a"))
    catalogue.apply(event("Failed", asset, "job-1", settings="a", code="c", message="m", planned=["a", "b"]))
    assert state(catalogue, asset) == "converting"
    catalogue.apply(event("Failed", asset, None, settings=None, code="source_rejected", message="No length."))
    assert state(catalogue, asset) == "failed"
    assert catalogue.entry(asset).asset.error == Problem("c", "m")


def test_rejected_source_fails_the_asset_before_any_job(catalogue: Catalogue, asset: str) -> None:
    catalogue.apply(event("Failed", asset, None, settings=None, code="source_rejected", message="No video track."))
    assert catalogue.entry(asset).asset.error == Problem("source_rejected", "No video track.")


def test_same_event_twice_changes_nothing(catalogue: Catalogue, asset: str) -> None:
    told = event("Converting", asset)
    assert catalogue.apply(told)
    before = catalogue.entry(asset)
    assert not catalogue.apply(told)
    assert catalogue.entry(asset) == before


def test_version_grows_only_with_a_visible_change(catalogue: Catalogue, asset: str) -> None:
    catalogue.apply(event("Published", asset))
    version = catalogue.versions([asset])[asset]
    catalogue.apply(event("Converting", asset))
    catalogue.source_arrived(asset)
    catalogue.progress(asset, "job-1", 50, packaging=False)
    assert catalogue.versions()[asset] == version


def test_event_about_an_unknown_asset_enters_it(catalogue: Catalogue) -> None:
    dropped = asset_id()
    catalogue.apply(event("Converting", dropped, objectKey="inputs/dropped film.mp4", title="dropped film.mp4"))
    entry = catalogue.entry(dropped)
    assert (entry.asset.title, entry.object_key, entry.upload) == ("dropped film.mp4", "inputs/dropped film.mp4", None)


def test_title_comes_late_when_events_are_out_of_order(catalogue: Catalogue) -> None:
    dropped = asset_id()
    catalogue.apply(event("Published", dropped))
    assert catalogue.entry(dropped).asset.title == dropped
    catalogue.apply(event("Converting", dropped, objectKey="inputs/a.mp4", title="a.mp4"))
    assert catalogue.entry(dropped).asset.title == "a.mp4"
    assert state(catalogue, dropped) == "published"


def test_title_of_the_user_is_not_overwritten_by_an_event(catalogue: Catalogue, asset: str) -> None:
    catalogue.apply(event("Converting", asset, title="x.mp4", objectKey="elsewhere"))
    entry = catalogue.entry(asset)
    assert (entry.asset.title, entry.object_key) == ("A film", UPLOAD.object_key)


@pytest.mark.parametrize(
    "detail",
    [
        {},
        {"assetId": "nonsense"},
        {"assetId": str(uuid.uuid4()).upper()},
        {"assetId": 7},
        {"assetId": str(uuid.uuid4()), "settings": 7},
        {"assetId": str(uuid.uuid4()), "keyIds": "x"},
        {"assetId": str(uuid.uuid4()), "keyIds": ["not a uuid"]},
        {"assetId": str(uuid.uuid4()), "dash": ["x"]},
        {"assetId": str(uuid.uuid4()), "planned": "x"},
        {"assetId": str(uuid.uuid4()), "planned": ["x", 7]},
        {"assetId": str(uuid.uuid4()), "planned": [""]},
    ],
)
def test_event_that_does_not_say_what_it_must_is_refused_and_leaves_nothing(catalogue: Catalogue, detail: Any) -> None:
    with pytest.raises(InvalidRequest):
        catalogue.apply(AssetEvent("Asset Published", detail, "e"))
    assert catalogue.versions() == {}


def test_cancelled_upload_fails_the_asset_unless_the_source_has_come(catalogue: Catalogue, asset: str) -> None:
    other = asset_id()
    catalogue.create(other, "B", replace(UPLOAD, upload_id="upload-2"))
    catalogue.source_arrived(other)
    for each in (asset, other):
        catalogue.upload_ended(each, PROBLEM)
    assert catalogue.entry(asset).asset.error == PROBLEM
    assert state(catalogue, other) == "converting"


def test_deleted_asset_is_gone_and_no_late_event_brings_it_back(
    catalogue: Catalogue, sessions: Sessions, asset: str
) -> None:
    session = sessions.open(asset, "ada", 60)
    catalogue.delete(asset)
    catalogue.purged(asset)
    assert sessions.get(session.id).ended_at is not None
    assert [each.id for each in sessions.revoked()] == [session.id]
    assert catalogue.apply(event("Published", asset))
    with pytest.raises(NotFound):
        catalogue.entry(asset)
    assert [entry.asset.id for entry in catalogue.unpurged()] == [asset]  # what came late must be removed too
    assert catalogue.page(10)[0] == []
    for again in (catalogue.delete, catalogue.source_arrived):
        with pytest.raises(NotFound):
            again(asset)
    catalogue.progress(asset, "job-1", 5, packaging=False)
    with pytest.raises(NotFound):
        sessions.open(asset, "ada", 60)


def test_asset_id_is_taken_once(catalogue: Catalogue, asset: str) -> None:
    with pytest.raises(Conflict):
        catalogue.create(asset, "again", UPLOAD)


def test_pages_hold_every_asset_once_newest_first(catalogue: Catalogue, clock: Clock) -> None:
    made = []
    for number in range(7):
        clock.pass_s(number % 2)  # some are of the same moment
        made.append(asset_id())
        catalogue.create(made[-1], str(number), UPLOAD)
    seen, cursor = [], None
    while True:
        page, cursor = catalogue.page(3, cursor)
        seen += [entry.asset for entry in page]
        if cursor is None:
            break
    assert sorted(asset.id for asset in seen) == sorted(made)
    assert [asset.created_at for asset in seen] == sorted((asset.created_at for asset in seen), reverse=True)


@pytest.mark.parametrize("cursor", ["", "x", "!!", "AAAA", "2026-01-01 x", "\ud800", "MjAyNi0wMS0wMSBmb28="])
def test_bad_cursor_is_refused(catalogue: Catalogue, cursor: str) -> None:
    with pytest.raises(InvalidRequest):
        catalogue.page(3, cursor)


def test_api_key_is_known_by_its_hash_only(catalogue: Catalogue, database: Database) -> None:
    catalogue.register_key("pk_secret", "first")
    catalogue.register_key("pk_secret", "again")
    assert catalogue.knows_key("pk_secret")
    assert not catalogue.knows_key("pk_secrets")
    assert not catalogue.knows_key("\ud800")
    with database.begin() as connection:
        rows = connection.execute(sa.text("SELECT * FROM api_keys")).all()
    assert len(rows) == 1
    assert "pk_secret" not in repr(rows)


def test_old_events_are_forgotten(catalogue: Catalogue, asset: str, clock: Clock) -> None:
    told = event("Converting", asset)
    catalogue.apply(told)
    catalogue.forget()
    assert not catalogue.apply(told)
    clock.pass_s(40 * 86400)
    catalogue.forget()
    assert catalogue.apply(told)


def test_many_writers_at_once_lose_nothing(catalogue: Catalogue, asset: str) -> None:
    """Each thread reports on its own job; a lost update would lose a job or a version."""
    start = threading.Barrier(8)
    problems: list[BaseException] = []

    def work(number: int) -> None:
        try:
            start.wait()
            for kind in ("Converting", "Published"):
                catalogue.apply(event(kind, asset, f"job-{number}", settings=f"s{number}"))
        except BaseException as exc:
            problems.append(exc)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert {job.state.value for job in catalogue.entry(asset).jobs} == {"published"}
    assert catalogue.versions()[asset] == 1 + 16


def test_schema_is_what_the_migrations_make(database: Database) -> None:
    with database.begin() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_database_without_its_file_is_unavailable_and_names_no_path(tmp_path: Path) -> None:
    broken = Database(f"sqlite:///{tmp_path / 'missing' / 'x.db'}")
    with pytest.raises(Unavailable) as caught:
        broken.migrate()
    assert "missing" not in caught.value.message
    assert "cannot be opened" in caught.value.message
    broken.close()


@pytest.mark.parametrize(
    "text", ["", "x", "3AC92C8D-F3F3-4355-9EC7-1862180F77EB", "06671740331b4a40865a5068c8d4c5b8", "\0", "../x"]
)
def test_what_is_not_a_uuid_names_no_asset(text: str) -> None:
    with pytest.raises(NotFound):
        asset_id_of(text)


JOBS = st.sampled_from(["a", "b"])
KINDS = st.sampled_from(["Converting", "Failed", "Published"])


@hypothesis.settings(deadline=None)
@given(st.lists(st.tuples(KINDS, JOBS), max_size=8), st.randoms(use_true_random=False))
def test_order_and_repetition_of_events_do_not_matter(told: list[tuple[str, str]], chance: Any) -> None:
    def end(sequence: list[tuple[str, str]]) -> tuple[Any, ...]:
        jobs: dict[str, states.Job] = {}
        for kind, settings in sequence:
            planned = {"planned": ["a", "b"]} if kind == "Failed" else {}
            heard = event(kind, "x", f"job-of-{settings}", settings=settings, **planned)
            for job in (*states.planned(heard), states.job_of(heard)):
                jobs[job.settings] = states.merge(jobs.get(job.settings), job)
        return jobs, states.derive(jobs.values(), arrived=True)

    mixed = [*told, *told]
    chance.shuffle(mixed)
    assert end(mixed) == end(told)


def test_progress_never_goes_back_and_never_touches_an_ended_job() -> None:
    running = states.Job("a", states.JobState.CONVERTING, "j", percent=50)
    assert states.advance(running, 30, packaging=False).percent == 50
    assert states.advance(running, 1000, packaging=False).percent == 100
    assert states.advance(running, -5, packaging=False).percent == 50
    ended = replace(running, state=states.JobState.FAILED)
    assert states.advance(ended, 70, packaging=True) == ended


def test_next_attempt_replaces_a_failed_one_and_its_end_counts() -> None:
    failed = states.job_of(event("Failed", "x", "job-1"))
    second = states.job_of(event("Converting", "x", "job-2"))
    assert states.merge(failed, second) == second
    assert states.merge(second, states.job_of(event("Failed", "x", None))) == second
    done = states.job_of(event("Published", "x", "job-2"))
    assert states.merge(second, done) == done
    assert states.merge(done, failed) == done


def test_asset_without_jobs_waits_until_its_source_arrives() -> None:
    assert states.derive([], arrived=False) == (AssetState.WAITING, None)
    assert states.derive([], arrived=True) == (AssetState.CONVERTING, None)


def test_full_disk_is_unavailable_and_loses_nothing(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'full.db'}")
    database.migrate()
    catalogue = Catalogue(database)
    kept = asset_id()
    catalogue.create(kept, "A film", UPLOAD)
    database.close()
    # SQLite answers a full disk and a full page count alike.
    sa.event.listen(database.engine, "connect", lambda connection, _: connection.execute("PRAGMA max_page_count=1"))
    with pytest.raises(Unavailable, match="disk is full"):
        for _ in range(100):
            catalogue.create(asset_id(), "x" * 1000, UPLOAD)
    assert catalogue.entry(kept).asset.title == "A film"
    database.close()
