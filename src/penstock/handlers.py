"""The Lambda face of the arrows: decode the envelope, call the arrow. On one machine the API calls the same functions.

`watchfolder`, `publish`, `sweep` and `speke` are the entry points that a deployment names.

Holds no state and decides nothing: what to retry is told by the error that an arrow raises.
"""

from __future__ import annotations

import base64
import logging
from collections.abc import Callable, Iterable
from functools import cache
from typing import TypeVar

from penstock import master_key
from penstock import publish as publishing
from penstock import settings as configuration
from penstock import watchfolder as watching
from penstock.errors import Forbidden, InvalidRequest, PenstockError
from penstock.formats import events
from penstock.formats.events import JobStateChange, ObjectCreated, PackagingChange
from penstock.keys import KeyProvider, answer_encryptor
from penstock.model import JsonObject
from penstock.outputs import LICENSE_PATH
from penstock.settings import Clients, Settings

log = logging.getLogger(__name__)

T = TypeVar("T")


def on_upload(envelope: JsonObject, clients: Clients, settings: Settings) -> None:
    """Start the jobs of every object that an envelope tells of; one that fails does not keep the others waiting."""
    created = [event for event in events.decode(envelope) if isinstance(event, ObjectCreated)]
    _each(created, lambda event: watching.on_object_created(event, clients, settings))


def on_job_state_change(envelope: JsonObject, clients: Clients, settings: Settings) -> None:
    """Publish, or fail, the conversions whose jobs or packages an envelope tells of."""

    def end(event: JobStateChange | PackagingChange) -> None:
        if isinstance(event, JobStateChange):
            publishing.on_job_state_change(event, clients, settings)
        else:
            publishing.on_packaging_change(event, clients, settings)

    _each((event for event in events.decode(envelope) if isinstance(event, JobStateChange | PackagingChange)), end)


def on_schedule(envelope: JsonObject, clients: Clients, settings: Settings) -> None:
    """Repair what lost events left behind: uploads without a job, then jobs that ended unnoticed."""
    del envelope  # a schedule says nothing
    _each((watching.sweep, publishing.sweep), lambda repair: repair(clients, settings))


HANDLERS: dict[str, Callable[[JsonObject, Clients, Settings], None]] = {
    "watchfolder": on_upload,
    "publish": on_job_state_change,
    "sweep": on_schedule,
}
"""Name of a rule's target -> what it does with the event."""


def watchfolder(event: JsonObject, context: object) -> JsonObject:
    """AWS Lambda entry point for S3 notifications, directly, by EventBridge or by SQS."""
    return _lambda("watchfolder", event)


def publish(event: JsonObject, context: object) -> JsonObject:
    """AWS Lambda entry point for MediaConvert job state changes, by EventBridge or by SQS."""
    return _lambda("publish", event)


def sweep(event: JsonObject, context: object) -> JsonObject:
    """AWS Lambda entry point for a schedule."""
    return _lambda("sweep", event)


def speke(event: JsonObject, context: object) -> JsonObject:
    """AWS Lambda entry point for encryptors that ask for content keys, by API Gateway (proxy event) with IAM.

    A request that API Gateway did not authorize is refused: a stage without IAM must not hand out keys.
    Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html
    """
    try:
        document, headers = _speke(event)
        answer, status = document.decode(), 200
    except PenstockError as exc:
        log.error("keys were refused: %s", exc)
        headers, answer, status = {"Content-Type": "text/plain; charset=utf-8"}, exc.message, exc.http_status
    return {"statusCode": status, "headers": headers, "body": answer, "isBase64Encoded": False}


def _speke(event: JsonObject) -> tuple[bytes, dict[str, str]]:
    context = event.get("requestContext") or {}
    # A REST API tells it in `identity`, an HTTP API in `authorizer`.
    identity = (context.get("authorizer") or {}).get("iam") or context.get("identity") or {}
    if not identity.get("userArn"):
        raise Forbidden("the request has no IAM identity; turn on IAM authorization for this method")
    body = event.get("body") or ""
    try:
        document = base64.b64decode(body, validate=True) if event.get("isBase64Encoded") else body.encode()
    except ValueError as exc:
        raise InvalidRequest("the body is not base64, which the event says it is") from exc
    settings, _ = _composed()
    headers = {str(name).lower(): str(value) for name, value in (event.get("headers") or {}).items()}
    license_url = settings.url + LICENSE_PATH
    return answer_encryptor(document, headers.get("x-speke-version"), _key_provider(), license_url=license_url)


def _each(items: Iterable[T], act: Callable[[T], object]) -> None:
    """Act on every item; then raise the first error, one worth a retry before one that is not."""
    problems: list[PenstockError] = []
    for item in items:
        try:
            act(item)
        except PenstockError as exc:
            problems.append(exc)
    if problems:
        raise min(problems, key=lambda problem: not problem.retryable)


def _lambda(name: str, event: JsonObject) -> JsonObject:
    """Run a handler for each message of a batch; a message that fails is named, so that SQS delivers it again alone.

    Without a batch an error is raised: then Lambda itself retries and keeps the event for the dead-letter queue.
    """
    settings, clients = _composed()
    messages = events.messages(event)
    if all(message_id is None for message_id, _ in messages):
        HANDLERS[name](event, clients, settings)
        return {}
    failed = []
    for message_id, envelope in messages:
        try:
            if not isinstance(envelope, dict):
                raise InvalidRequest("the message's body is not a JSON object")
            HANDLERS[name](envelope, clients, settings)
        except PenstockError as exc:
            log.error("message %s: %s", message_id, exc)
            failed.append({"itemIdentifier": message_id})
    return {"batchItemFailures": failed}


@cache
def _key_provider() -> KeyProvider:
    """Asks Secrets Manager once for the life of the process."""
    return KeyProvider(master_key.read(_composed()[0]))


@cache
def _composed() -> tuple[Settings, Clients]:
    """Settings and clients, once for the life of the process."""
    return configuration.load(), configuration.clients()
