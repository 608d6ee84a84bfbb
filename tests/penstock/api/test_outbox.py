"""What is owed to webhook endpoints, in either database: in order, at least once, no longer than a day."""

from __future__ import annotations

import threading
import uuid
from datetime import timedelta

import pytest
import sqlalchemy as sa

from api_parts import Clock
from penstock.catalogue import Catalogue
from penstock.database import Database
from penstock.entries import Upload
from penstock.errors import Conflict, NotFound
from penstock.formats.events import AssetEvent
from penstock.schema import webhook_deliveries
from penstock.sessions import Sessions
from penstock.webhooks.endpoints import MOST, Endpoint, Endpoints
from penstock.webhooks.events import EventType
from penstock.webhooks.outbox import LEASE, RETRY_AFTER_S, Delivery, DeliveryState, Outbox

URL = "https://example.com/hook"


@pytest.fixture
def endpoints(database: Database, clock: Clock) -> Endpoints:
    return Endpoints(database, b"m" * 32, clock=clock)


@pytest.fixture
def outbox(database: Database, clock: Clock) -> Outbox:
    clock.pass_s(1)  # deliveries are due by the machine's own clock
    return Outbox(database, clock=clock)


@pytest.fixture
def endpoint(endpoints: Endpoints) -> Endpoint:
    return endpoints.add(URL, (), "")


def new_asset(catalogue: Catalogue) -> str:
    asset_id = str(uuid.uuid4())
    catalogue.create(asset_id, "A", Upload(f"inputs/{asset_id}/a.mp4", 1, "video/mp4", "post"))
    return asset_id


def tell(catalogue: Catalogue, kind: str, asset_id: str, **detail: object) -> None:
    detail |= {"assetId": asset_id, "settings": "default", "jobId": "j"}
    catalogue.apply(AssetEvent(kind, detail, str(uuid.uuid4())))


def types(deliveries: list[Delivery]) -> list[str]:
    return [each.type for each in deliveries]


def drain(outbox: Outbox) -> list[Delivery]:
    found = []
    while taken := outbox.take(10):
        for each in taken:
            outbox.delivered(each, 204)
        found += taken
    return found


def test_life_of_an_asset_is_told_in_its_order(
    catalogue: Catalogue, sessions: Sessions, outbox: Outbox, endpoint: Endpoint
) -> None:
    asset_id = new_asset(catalogue)
    tell(catalogue, "Asset Converting", asset_id)
    tell(catalogue, "Asset Published", asset_id, dash="a.mpd")
    first, second = sessions.open(asset_id, "ada", 600), sessions.open(asset_id, "bob", 600)
    sessions.end(first.id)
    sessions.end(first.id)
    catalogue.delete(asset_id)
    assert types(drain(outbox)) == [
        "asset.created",
        "asset.converting",
        "asset.published",
        "session.opened",
        "session.opened",
        "session.revoked",
        "session.revoked",
        "asset.deleted",
    ]
    told = [outbox.log(endpoint.id, 10)[place].body for place in (1, 2)]
    assert '"reason":"deleted"' in told[0]
    assert second.id in told[0]
    assert '"reason":"ended"' in told[1]


def test_failure_is_told_with_its_reason(catalogue: Catalogue, outbox: Outbox, endpoint: Endpoint) -> None:
    asset_id = str(uuid.uuid4())  # dropped into the bucket: nobody announced it
    tell(catalogue, "Asset Failed", asset_id, code="1040", message="The file is broken.")
    found = drain(outbox)
    assert types(found) == ["asset.created", "asset.failed"]
    assert '"error":{"code":"1040","message":"The file is broken."}' in found[1].body


def test_expired_and_displaced_sessions_have_ended(
    database: Database, catalogue: Catalogue, outbox: Outbox, endpoint: Endpoint, clock: Clock
) -> None:
    sessions = Sessions(database, clock=clock, streams=1)
    asset_id = new_asset(catalogue)
    first, second = sessions.open(asset_id, "ada", 600), sessions.open(asset_id, "ada", 60)
    sessions.watch(first)
    sessions.watch(second)
    clock.pass_s(61)
    sessions.note_expired()
    sessions.note_expired()
    assert sessions.get(second.id).ending == "expired"
    ended = [each for each in drain(outbox) if each.type == "session.ended"]
    assert ['"reason":"displaced"' in ended[0].body, '"reason":"expired"' in ended[1].body] == [True, True]
    assert len(ended) == 2


def test_endpoint_hears_only_what_it_chose(catalogue: Catalogue, endpoints: Endpoints, outbox: Outbox) -> None:
    endpoints.add(URL, [EventType.ASSET_DELETED], "")
    silent = endpoints.add(URL, (), "")
    endpoints.change(silent.id, enabled=False)
    catalogue.delete(new_asset(catalogue))
    assert types(drain(outbox)) == ["asset.deleted"]


def test_change_that_is_rolled_back_is_not_told(catalogue: Catalogue, outbox: Outbox, endpoint: Endpoint) -> None:
    asset_id = new_asset(catalogue)
    drain(outbox)
    with pytest.raises(Conflict):
        catalogue.create(asset_id, "A", Upload("inputs/a", 1, "video/mp4", "post"))
    assert drain(outbox) == []


def test_failed_delivery_holds_up_its_asset_and_no_other(
    catalogue: Catalogue, outbox: Outbox, endpoint: Endpoint, clock: Clock
) -> None:
    stuck, free = new_asset(catalogue), new_asset(catalogue)
    catalogue.delete(stuck)
    catalogue.delete(free)
    clock.pass_s(1)
    for each in outbox.take(10):
        if each.asset_id == stuck:
            outbox.failed(each, "the answer was 500", 500)
        else:
            outbox.delivered(each, 200)
    assert [(each.type, each.asset_id) for each in drain(outbox)] == [("asset.deleted", free)]
    clock.pass_s(RETRY_AFTER_S[0] * 1.3)
    assert [(each.type, each.asset_id) for each in drain(outbox)] == [
        ("asset.created", stuck),
        ("asset.deleted", stuck),
    ]


def test_what_a_dead_process_had_taken_is_taken_again(
    catalogue: Catalogue, outbox: Outbox, endpoint: Endpoint, clock: Clock
) -> None:
    new_asset(catalogue)
    clock.pass_s(1)
    taken = outbox.take(10)
    assert outbox.take(10) == []
    clock.pass_s(LEASE.total_seconds())
    again = outbox.take(10)
    assert [each.event_id for each in again] == [each.event_id for each in taken]
    assert again[0].attempts == 1


def test_tries_end_after_a_day_and_the_next_event_comes(
    catalogue: Catalogue, outbox: Outbox, endpoint: Endpoint, clock: Clock
) -> None:
    catalogue.delete(new_asset(catalogue))
    tries = 0
    while taken := outbox.take(1):
        if taken[0].type != "asset.created":
            break
        tries += 1
        outbox.failed(taken[0], "no connection (ConnectError)")
        clock.pass_s(RETRY_AFTER_S[min(tries, len(RETRY_AFTER_S)) - 1] * 1.3)
    assert tries == len(RETRY_AFTER_S) + 1
    assert timedelta(hours=20) < timedelta(seconds=sum(RETRY_AFTER_S)) < timedelta(hours=24)
    logged = outbox.log(endpoint.id, 10)[-1]
    assert (logged.state, logged.last_error) == (DeliveryState.FAILED, "no connection (ConnectError)")
    outbox.again(endpoint.id, logged.id)
    assert outbox.take(1)[0].id == logged.id
    with pytest.raises(Conflict):
        outbox.again(endpoint.id, logged.id)
    with pytest.raises(NotFound):
        outbox.again(endpoint.id, 10**9)


def test_endpoint_that_comes_back_gets_at_once_what_waited(
    catalogue: Catalogue, outbox: Outbox, endpoint: Endpoint, clock: Clock
) -> None:
    for _ in range(3):
        new_asset(catalogue)
    clock.pass_s(1)
    for wait_s in (10, 50, 0):  # after the third failure the next try is two minutes away
        for each in outbox.take(10):
            outbox.failed(each, "the answer was 503", 503)
        clock.pass_s(wait_s)
    assert outbox.take(10) == []
    new_asset(catalogue)
    clock.pass_s(1)
    outbox.delivered(outbox.take(10)[0], 200)
    assert len(outbox.take(10)) == 3


def test_no_endpoint_takes_all_the_room(catalogue: Catalogue, endpoints: Endpoints, outbox: Outbox) -> None:
    slow, quick = endpoints.add(URL, (), ""), endpoints.add(URL, [EventType.ASSET_CREATED], "")
    for _ in range(8):
        new_asset(catalogue)
    first = outbox.take(10, per_endpoint=4)
    assert sorted(each.endpoint_id for each in first) == sorted([slow.id] * 4 + [quick.id] * 4)
    assert outbox.take(10, [each.endpoint_id for each in first], per_endpoint=4) == []
    assert len(outbox.take(10, [slow.id] * 4, per_endpoint=4)) == 4


def test_several_processes_never_take_the_same(
    database: Database, catalogue: Catalogue, outbox: Outbox, endpoint: Endpoint, clock: Clock
) -> None:
    for _ in range(20):
        new_asset(catalogue)
    clock.pass_s(1)
    start, taken = threading.Barrier(4), []

    def take() -> None:
        start.wait()
        taken.extend(outbox.take(20, per_endpoint=20))

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == 20
    assert len({each.id for each in taken}) == 20


def test_no_secret_lies_in_the_database(endpoints: Endpoints, endpoint: Endpoint, database: Database) -> None:
    secret = endpoints.secret(endpoint)
    assert secret == endpoints.secret(endpoints.get(endpoint.id))
    with database.begin() as connection:
        rows = connection.execute(sa.text("SELECT * FROM webhook_endpoints")).all()
    assert secret.removeprefix("whsec_") not in str(rows)
    assert secret != endpoints.secret(endpoints.add(URL, (), ""))


def test_both_secrets_sign_for_a_day_after_a_rotation(endpoints: Endpoints, endpoint: Endpoint, clock: Clock) -> None:
    before = endpoints.secret(endpoint)
    rotated = endpoints.rotate(endpoint.id)
    assert endpoints.signing_secrets(rotated) == [endpoints.secret(rotated), before]
    clock.pass_s(86400)
    assert endpoints.signing_secrets(rotated) == [endpoints.secret(rotated)]


def test_endpoints_are_not_without_end(endpoints: Endpoints) -> None:
    for _ in range(MOST):
        endpoints.add(URL, (), "")
    with pytest.raises(Conflict):
        endpoints.add(URL, (), "")


def test_removed_endpoint_is_owed_nothing(
    catalogue: Catalogue, endpoints: Endpoints, outbox: Outbox, endpoint: Endpoint
) -> None:
    new_asset(catalogue)
    endpoints.remove(endpoint.id)
    assert outbox.take(10) == []
    with pytest.raises(NotFound):
        endpoints.remove(endpoint.id)


def test_deliveries_that_ended_long_ago_are_forgotten(
    catalogue: Catalogue, outbox: Outbox, endpoint: Endpoint, clock: Clock, database: Database
) -> None:
    new_asset(catalogue)
    drain(outbox)
    new_asset(catalogue)
    clock.pass_s(31 * 86400)
    outbox.forget()
    with database.begin() as connection:
        states = connection.scalars(sa.select(webhook_deliveries.c.state)).all()
    assert states == [DeliveryState.PENDING]
