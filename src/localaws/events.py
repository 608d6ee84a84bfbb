"""The event bus: PutEvents in, deliveries to the targets of rules out; durable, at least once, in no promised order.

An event is stored before its put returns. Each rule has a few threads of its own, so that a slow or dead target holds
up nobody else. A target is an HTTP address: 2xx has taken the event, another 4xx than 408 and 429 refuses it for good
(it is kept and logged), anything else is tried again.
"""

from __future__ import annotations

import json
import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import httpx

from localaws import patterns
from localaws.config import Config, Rule
from localaws.outbox import Delivery, Outbox
from localaws.wire import ServiceError
from penstock.errors import InvalidRequest

THREADS_PER_RULE = 4
FIRST_DELAY_S, LONGEST_DELAY_S = 0.2, 30.0
GIVE_UP_S = 24 * 3600
MAX_PUT_BYTES = 256 * 1024
_TIMEOUT = httpx.Timeout(60, connect=2)
_log = logging.getLogger(__name__)


class Bus:
    """Takes events (EventBridge envelopes) and owes each to every rule whose pattern it matches."""

    def __init__(self, config: Config, clock: Callable[[], float] = time.time) -> None:
        for rule in config.rules:
            patterns.check(rule.pattern, f"rule {rule.name}: pattern")
        self._config = config
        self._clock = clock
        self.outbox = Outbox(config.state_dir / "events.db", clock)
        self._changed = threading.Condition()
        self._stopping = False
        self._busy: dict[str, set[str]] = {rule.name: set() for rule in config.rules}
        self._threads: list[threading.Thread] = []

    def put(self, event: Mapping[str, Any]) -> str:
        """Store one event and return its id. What it lacks is filled in; an id that is known is not put again."""
        return self.put_all([event])[0]

    def put_all(self, events: Iterable[Mapping[str, Any]]) -> list[str]:
        """Store events, all or none of them, and return their ids."""
        envelopes = [self._complete(event) for event in events]
        if self.outbox.put(envelopes, self._rules_of):
            with self._changed:
                self._changed.notify_all()
        return [envelope["id"] for envelope in envelopes]

    def start(self) -> None:
        """Begin to deliver, first of all what a former run still owed."""
        self.outbox.forget()
        self.outbox.owe_now()
        for rule in self._config.rules:
            for number in range(THREADS_PER_RULE):
                thread = threading.Thread(
                    target=self._deliver, args=(rule,), name=f"events {rule.name} {number}", daemon=True
                )
                thread.start()
                self._threads.append(thread)

    def stop(self, timeout_s: float = 2) -> None:
        """Stop delivering; a delivery that does not end in time is done again by the next start."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        deadline = time.monotonic() + timeout_s
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        self.outbox.close()

    def _complete(self, event: Mapping[str, Any]) -> dict[str, Any]:
        now = datetime.fromtimestamp(self._clock(), UTC)
        envelope = {
            "version": "0",
            "id": str(uuid.uuid4()),
            "account": self._config.account_id,
            "time": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "region": self._config.region,
            "resources": [],
            **event,
        }
        if missing := {"detail-type", "source", "detail"} - envelope.keys():
            raise InvalidRequest(f"an event lacks {', '.join(sorted(missing))}")
        return envelope

    def _rules_of(self, envelope: Mapping[str, Any]) -> list[str]:
        return [rule.name for rule in self._config.rules if patterns.matches(rule.pattern, envelope)]

    def _deliver(self, rule: Rule) -> None:
        # No proxy of the environment: targets are on this machine.
        with httpx.Client(trust_env=False, timeout=_TIMEOUT, follow_redirects=False) as client:
            while not self._stopping:
                try:
                    self._deliver_next(client, rule)
                except Exception:  # noqa: BLE001 - the top of a worker's loop; what is owed stays owed
                    _log.error("deliveries for %s are held up", rule.name, exc_info=True)
                    with self._changed:
                        self._changed.wait(1)

    def _deliver_next(self, client: httpx.Client, rule: Rule) -> None:
        if (delivery := self._next(rule.name)) is None:
            return
        try:
            self._attempt(client, rule, delivery)
        finally:
            with self._changed:
                self._busy[rule.name].discard(delivery.event_id)
                self._changed.notify_all()

    def _next(self, rule: str) -> Delivery | None:
        """Wait for a delivery that is due; None when the bus stops."""
        with self._changed:
            while not self._stopping:
                found = self.outbox.due(rule, self._busy[rule])
                if isinstance(found, Delivery):
                    self._busy[rule].add(found.event_id)
                    return found
                self._changed.wait(found)
        return None

    def _attempt(self, client: httpx.Client, rule: Rule, delivery: Delivery) -> None:
        problem, final, unreachable = _post(client, rule, delivery.envelope)
        if self._stopping and problem:
            return
        if problem is None:
            self.outbox.delivered(delivery)
        elif final or self._clock() - delivery.put_at > GIVE_UP_S:
            _log.error("event %s is given up for %s: %s", delivery.event_id, rule.name, problem)
            self.outbox.dead(delivery, problem)
        else:
            delay_s = min(LONGEST_DELAY_S, FIRST_DELAY_S * 2 ** min(delivery.attempts, 16))
            level = logging.WARNING if delivery.attempts in (3, 10, 100) else logging.INFO
            _log.log(level, "event %s for %s: %s; next try in %.1f s", delivery.event_id, rule.name, problem, delay_s)
            self.outbox.retry(delivery, delay_s, problem, unreachable=unreachable)


def _post(client: httpx.Client, rule: Rule, envelope: Mapping[str, Any]) -> tuple[str | None, bool, bool]:
    """Try once: what went wrong (None: nothing), whether for good, whether because nobody was there."""
    headers = {"Content-Type": "application/json"}
    try:
        if rule.target.token_file:
            headers["Authorization"] = f"Bearer {rule.target.token_file.read_text().strip()}"
        response = client.post(rule.target.url, content=json.dumps(envelope).encode(), headers=headers)
    except OSError as exc:
        return f"the token file cannot be read: {exc.strerror}", False, False
    except httpx.HTTPError as exc:
        return (
            f"{rule.target.url} cannot be reached ({type(exc).__name__})",
            False,
            isinstance(exc, httpx.TransportError),
        )
    status = response.status_code
    if response.is_success:
        return None, False, False
    final = 400 <= status < 500 and status not in (408, 429)
    # What a target says while it starts is no verdict on the event.
    return f"{rule.target.url} answered {status}", final, status in (502, 503, 504)


class EventsProvider:
    """The operations of EventBridge that are offered."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    def put_events(self, params: dict[str, Any]) -> dict[str, Any]:
        """Take what is right and name what is not, entry by entry, as AWS does."""
        entries = params["Entries"]
        if sum(_size(entry) for entry in entries) > MAX_PUT_BYTES:
            raise ServiceError(
                "ValidationException", f"Total size of the entries in the request is over {MAX_PUT_BYTES} bytes"
            )
        answers = [_refuse_entry(entry) for entry in entries]
        good = [index for index, answer in enumerate(answers) if not answer]
        ids = self._bus.put_all(_envelope(entries[index]) for index in good)
        for index, event_id in zip(good, ids, strict=True):
            answers[index] = {"EventId": event_id}
        return {"FailedEntryCount": len(entries) - len(good), "Entries": answers}


def _size(entry: Mapping[str, Any]) -> int:
    # The rule of the EventBridge user guide, "Calculating Amazon EventBridge event entry size".
    texts = [entry.get(name) or "" for name in ("Source", "DetailType", "Detail")] + (entry.get("Resources") or [])
    return sum(len(text.encode("utf-8", "surrogatepass")) for text in texts) + (14 if entry.get("Time") else 0)


def _refuse_entry(entry: Mapping[str, Any]) -> dict[str, str]:
    """The error that an entry gets, or nothing."""
    for name in ("Source", "DetailType", "Detail"):
        if not entry.get(name):
            return {
                "ErrorCode": "InvalidArgument",
                "ErrorMessage": f"Parameter {name} is not valid. Reason: it is required.",
            }
    if entry["Source"].startswith("aws."):
        return {"ErrorCode": "NotAuthorizedForSourceException", "ErrorMessage": "Not authorized for the source."}
    bus = entry.get("EventBusName", "default").rpartition("/")[2]
    if bus != "default":
        return {"ErrorCode": "ResourceNotFoundException", "ErrorMessage": f"Event bus {bus} does not exist."}
    try:
        detail = json.loads(entry["Detail"], parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        detail = None
    if not isinstance(detail, dict):
        return {"ErrorCode": "MalformedDetail", "ErrorMessage": "Detail is malformed."}
    return {}


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number")


def _envelope(entry: Mapping[str, Any]) -> dict[str, Any]:
    moment: datetime = entry.get("Time") or datetime.now(UTC)
    return {
        "detail-type": entry["DetailType"],
        "source": entry["Source"],
        "time": moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "resources": entry.get("Resources") or [],
        "detail": json.loads(entry["Detail"]),
    }
