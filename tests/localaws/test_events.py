"""The event bus: patterns, durability, retries, targets that do not hold each other up."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from localaws import s3_events
from localaws.config import Config, Rule, Target
from localaws.events import Bus, EventsProvider
from localaws.outbox import KEEP_S, Outbox
from localaws.wire import ServiceError, is_disk_full
from penstock.errors import InvalidRequest

EVENT = {
    "source": "penstock",
    "detail-type": "Asset Published",
    "detail": {"assetId": "a", "percent": 50, "names": ["x", "y"]},
}


@contextmanager
def running(config: Config, *rules: Rule) -> Iterator[Bus]:
    bus = Bus(replace(config, rules=rules))
    bus.start()
    try:
        yield bus
    finally:
        bus.stop()


def rule(listener: Any, name: str = "r", pattern: dict[str, Any] | None = None, **target: Any) -> Rule:
    return Rule(name, pattern or {"source": ["penstock"]}, Target(listener.url + "/" + name, **target))


def wait_for_state(bus: Bus, event_id: str, name: str, state: str) -> None:
    for _ in range(500):
        if bus.outbox.states(event_id).get(name) == state:
            return
        threading.Event().wait(0.01)
    raise AssertionError(f"{name} is {bus.outbox.states(event_id).get(name)}, not {state}")


# Delivery


def test_an_event_reaches_its_target_as_an_envelope_within_300_ms(config: Config, listener: Any) -> None:
    with running(config, rule(listener)) as bus:
        bus.put(EVENT)  # the first one opens the connection
        listener.wait_for(1)
        began = time.monotonic()
        event_id = bus.put(EVENT)
        path, headers, body = listener.wait_for(2)[1]
        assert time.monotonic() - began < 0.3
    envelope = json.loads(body)
    assert path == "/r"
    assert headers["Content-Type"] == "application/json"
    assert envelope["id"] == event_id
    assert envelope["detail"] == EVENT["detail"]
    assert envelope["version"] == "0"
    assert envelope["account"] == config.account_id
    assert envelope["region"] == "us-east-1"
    assert envelope["resources"] == []


def test_the_token_of_the_target_goes_with_each_delivery(config: Config, listener: Any, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("a-secret\n")
    with running(config, rule(listener, token_file=token)) as bus:
        bus.put(EVENT)
        assert listener.wait_for(1)[0][1]["Authorization"] == "Bearer a-secret"


def test_only_rules_that_want_an_event_get_it(config: Config, listener: Any) -> None:
    rules = [rule(listener, "mine"), rule(listener, "other", {"source": ["aws.s3"]})]
    with running(config, *rules) as bus:
        event_id = bus.put(EVENT)
        wait_for_state(bus, event_id, "mine", "delivered")
        assert bus.outbox.states(event_id) == {"mine": "delivered"}


def test_an_event_that_is_known_is_not_put_again(config: Config, listener: Any) -> None:
    with running(config, rule(listener)) as bus:
        bus.put({**EVENT, "id": "same"})
        bus.put({**EVENT, "id": "same"})
        bus.put({**EVENT, "id": "other"})
        ids = {json.loads(body)["id"] for _, _, body in listener.wait_for(2)}
        assert ids == {"same", "other"}


def test_a_target_that_fails_is_tried_again(config: Config, listener: Any) -> None:
    listener.answer = lambda count: 500 if count < 3 else 200
    with running(config, rule(listener)) as bus:
        event_id = bus.put(EVENT)
        wait_for_state(bus, event_id, "r", "delivered")
        assert len(listener.requests) == 3


@pytest.mark.parametrize("status", [408, 429, 503])
def test_a_busy_target_is_tried_again(config: Config, listener: Any, status: int) -> None:
    listener.answer = lambda count: status if count == 1 else 204
    with running(config, rule(listener)) as bus:
        wait_for_state(bus, bus.put(EVENT), "r", "delivered")


@pytest.mark.parametrize("status", [400, 401, 404, 422])
def test_a_target_that_refuses_ends_it(
    config: Config, listener: Any, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    listener.answer = lambda _count: status
    with running(config, rule(listener)) as bus:
        event_id = bus.put(EVENT)
        wait_for_state(bus, event_id, "r", "dead")
        assert len(listener.requests) == 1
    assert event_id in caplog.text


def test_delays_between_tries_double(config: Config, listener: Any) -> None:
    arrivals: list[float] = []

    def answer(count: int) -> int:
        arrivals.append(time.monotonic())
        return 500 if count < 4 else 200

    listener.answer = answer
    with running(config, rule(listener)) as bus:
        wait_for_state(bus, bus.put(EVENT), "r", "delivered")
    pauses = [later - earlier for earlier, later in pairwise(arrivals)]
    assert pauses[0] >= 0.2
    assert pauses[1] >= 0.4
    assert pauses[2] >= 0.8


def test_a_target_that_hangs_holds_up_nobody_else(
    config: Config, listener: Any, listener_of: Callable[[], Any]
) -> None:
    slow, go_on = listener_of(), threading.Event()

    def hang(_count: int) -> int:
        go_on.wait(10)
        return 200

    slow.answer = hang
    with running(config, rule(slow, "slow"), rule(listener, "quick")) as bus:
        for _ in range(20):
            bus.put(EVENT)
        assert len(listener.wait_for(20, within_s=5)) >= 20
        assert len(slow.requests) <= 4
        go_on.set()
        slow.wait_for(20)


def test_an_unreachable_target_gets_everything_soon_after_it_is_back(
    config: Config, listener_of: Callable[..., Any], free_port: int
) -> None:
    target = Rule("r", {"source": ["penstock"]}, Target(f"http://127.0.0.1:{free_port}"))
    with running(config, target) as bus:
        ids = [bus.put(EVENT) for _ in range(5)]
        threading.Event().wait(1)
        back = listener_of(free_port)
        back.wait_for(5, within_s=3)
        for event_id in ids:
            wait_for_state(bus, event_id, "r", "delivered")


def test_a_broken_rule_is_refused_at_the_start(config: Config, listener: Any) -> None:
    with pytest.raises(InvalidRequest, match="rule r: pattern"):
        Bus(replace(config, rules=(rule(listener, pattern={"source": "penstock"}),)))


# Durability


def test_what_was_owed_is_delivered_after_a_restart(config: Config, listener: Any) -> None:
    stopped = Bus(replace(config, rules=(rule(listener),)))
    event_id = stopped.put(EVENT)
    stopped.stop()
    with running(config, rule(listener)) as bus:
        wait_for_state(bus, event_id, "r", "delivered")


def test_an_event_that_was_answered_survives_kill_9(config: Config, listener: Any) -> None:
    """The child kills itself right after put has returned."""
    program = """
        import os, signal, sys
        from pathlib import Path
        from localaws.config import Config, Credentials, Rule, Target
        from localaws.events import Bus
        rule = Rule("r", {"source": ["penstock"]}, Target("http://127.0.0.1:9"))
        bus = Bus(Config(Path(sys.argv[1]), Credentials("a", "b"), rules=(rule,)))
        bus.start()
        print(bus.put({"source": "penstock", "detail-type": "x", "detail": {}}), flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    """
    command = [sys.executable, "-c", textwrap.dedent(program), str(config.data_dir)]
    event_id = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=30, check=False).stdout.strip()
    with running(config, rule(listener)) as bus:
        wait_for_state(bus, event_id, "r", "delivered")
    assert json.loads(listener.requests[0][2])["id"] == event_id


def test_old_events_are_forgotten(tmp_path: Path) -> None:
    now = [1000.0]
    outbox = Outbox(tmp_path / "events.db", lambda: now[0])
    envelope = {"id": "old", "source": "s", "time": "2026-01-01T00:00:00Z"}
    outbox.put([envelope], lambda _: ["r"])
    now[0] += KEEP_S + 1
    outbox.put([{**envelope, "id": "new"}], lambda _: ["r"])
    outbox.forget()
    assert outbox.states("old") == {}
    assert outbox.states("new") == {"r": "owed"}
    outbox.close()


def test_several_events_are_put_all_or_none(config: Config) -> None:
    bus = Bus(config)
    with pytest.raises(InvalidRequest, match="detail-type"):
        bus.put_all([{**EVENT, "id": "good"}, {"source": "bad", "detail": {}}])
    assert bus.put_all([{**EVENT, "id": "good"}]) == ["good"]
    bus.stop()


# PutEvents


def entry(**changes: Any) -> dict[str, Any]:
    good = {"Source": "penstock", "DetailType": "Asset Published", "Detail": '{"assetId": "a"}'}
    return {name: value for name, value in {**good, **changes}.items() if value is not None}


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"Source": None}, "InvalidArgument"),
        ({"DetailType": ""}, "InvalidArgument"),
        ({"Detail": None}, "InvalidArgument"),
        ({"Detail": "no json"}, "MalformedDetail"),
        ({"Detail": "[]"}, "MalformedDetail"),
        ({"Detail": '{"a": NaN}'}, "MalformedDetail"),
        ({"Detail": "[" * 50_000}, "MalformedDetail"),
        ({"Source": "aws.s3"}, "NotAuthorizedForSourceException"),
        ({"EventBusName": "another"}, "ResourceNotFoundException"),
    ],
)
def test_a_bad_entry_is_named_and_the_good_one_taken(config: Config, changes: dict[str, Any], code: str) -> None:
    bus = Bus(config)
    answer = EventsProvider(bus).put_events({"Entries": [entry(**changes), entry()]})
    bus.stop()
    assert answer["FailedEntryCount"] == 1
    assert answer["Entries"][0]["ErrorCode"] == code
    assert answer["Entries"][1]["EventId"]


def test_the_default_bus_may_be_named_by_arn(config: Config) -> None:
    bus = Bus(config)
    arn = "arn:aws:events:us-east-1:000000000000:event-bus/default"
    assert EventsProvider(bus).put_events({"Entries": [entry(EventBusName=arn)]})["FailedEntryCount"] == 0
    bus.stop()


def test_entries_over_256_kib_are_refused(config: Config) -> None:
    bus = Bus(config)
    with pytest.raises(ServiceError, match="262144 bytes"):
        EventsProvider(bus).put_events({"Entries": [entry(Detail='{"a": "' + "x" * 262_144 + '"}')]})
    bus.stop()


# Changes of the S3 server


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=10,
)


def change(config: Config, **entry_changes: Any) -> dict[str, Any]:
    new_entry = {
        "name": "film é +%20.mp4",
        "chunks": [{"fid": {"volume_id": 1, "file_key": 1}, "modified_ts_ns": 1795351400152729781}],
        "attributes": {"file_size": 5, "mtime": 1795351400, "md5": "XUFAKrxLKna5cZ2REBfFkg=="},
        "extended": {"Seaweed-X-Amz-ETag": "NWQ0MTQwMmFiYzRiMmE3NmI5NzE5ZDkxMTAxN2M1OTI="},
        **entry_changes,
    }
    folder = f"/buckets/{config.buckets[0].name}/inputs"
    message = {"new_entry": new_entry, "new_parent_path": folder}
    return {"event_type": "create", "key": f"{folder}/film é +%20.mp4", "message": message}


def test_a_change_becomes_the_event_that_s3_sends(config: Config) -> None:
    event = s3_events.from_change(change(config), config)
    assert event is not None
    assert event["detail-type"] == "Object Created"
    assert event["source"] == "aws.s3"
    assert event["time"] == "2026-11-22T12:43:20Z"
    assert event["resources"] == ["arn:aws:s3:::penstock-source"]
    assert event["detail"]["bucket"] == {"name": "penstock-source"}
    assert event["detail"]["object"] == {
        "key": "inputs/film é +%20.mp4",
        "size": 5,
        "etag": "5d41402abc4b2a76b9719d911017c592",
        "sequencer": f"{1795351400152729781:016X}",
    }


def test_folders_parts_tags_and_other_buckets_are_no_events(config: Config) -> None:
    folder = change(config, is_directory=True)
    part = change(config)
    part["message"]["new_parent_path"] = "/buckets/penstock-source/.uploads/abc"
    tags = change(config)
    tags |= {"event_type": "update"}
    tags["message"]["old_entry"] = tags["message"]["new_entry"]
    other = change(config)
    other["message"]["new_parent_path"] = "/buckets/another/inputs"
    outside = change(config)
    outside["message"]["new_parent_path"] = "/etc/iam"
    gone = {"event_type": "delete", "message": {"old_entry": {}}}
    for case in (folder, part, tags, other, outside, gone):
        assert s3_events.from_change(case, config) is None


@given(ANYTHING)
@settings(max_examples=100)
def test_a_strange_change_is_refused_or_left_out(document: Any) -> None:
    config = Config(Path("/x"), None)  # type: ignore[arg-type]
    for wrapped in (document, {"event_type": "create", "message": document}):
        with suppress(InvalidRequest):
            assert s3_events.from_change(wrapped, config) is None


def test_a_full_disk_is_an_error_that_loses_nothing(config: Config, listener: Any) -> None:
    with running(config, rule(listener)) as bus:
        first = bus.put(EVENT)
        database = bus.outbox._database
        pages = database.execute("PRAGMA page_count").fetchone()[0]
        database.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(sqlite3.OperationalError, match="full") as caught:
            bus.put({**EVENT, "detail": {"a": "x" * 100_000}})
        assert is_disk_full(caught.value)
        database.execute("PRAGMA max_page_count = 1000000")
        for event_id in (first, bus.put(EVENT)):
            wait_for_state(bus, event_id, "r", "delivered")
