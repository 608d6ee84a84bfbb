"""Webhook endpoints, and what was delivered to them."""

from __future__ import annotations

import uuid
from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from penstock.api.authorize import ApplicationOnly, Ctx
from penstock.api.context import Context
from penstock.api.schemas_webhooks import (
    DeliveryOut,
    DeliveryPage,
    EventSent,
    NewWebhook,
    WebhookChange,
    WebhookIn,
    WebhookList,
    WebhookOut,
    WebhookSecret,
)
from penstock.errors import NotFound
from penstock.webhooks import targets
from penstock.webhooks.endpoints import Endpoint

router = APIRouter(prefix="/v1/webhooks", tags=["Webhooks"], dependencies=[ApplicationOnly])

EndpointId = Annotated[str, Path(description="The webhook endpoint's `id`")]
LARGEST_ID = 2**53


@router.post("", status_code=201, summary="Register an address that is told what happens")
def add_webhook(context: Ctx, body: WebhookIn) -> NewWebhook:
    """Events come as POST, signed as Standard Webhooks has it; answer 2xx within 15 seconds. Keep the secret."""
    targets.admit(body.url, private=context.settings.webhook_private_targets)
    endpoint = context.endpoints.add(body.url, body.events, body.description)
    secret = context.endpoints.secret(endpoint)
    return NewWebhook(**WebhookOut.of(endpoint).model_dump(), secret=secret)


@router.get("", summary="List webhook endpoints")
def list_webhooks(context: Ctx) -> WebhookList:
    return WebhookList(webhooks=[WebhookOut.of(endpoint) for endpoint in context.endpoints.all()])


@router.get("/{endpoint_id}", summary="Look at a webhook endpoint")
def get_webhook(context: Ctx, endpoint_id: EndpointId) -> WebhookOut:
    return WebhookOut.of(_endpoint(context, endpoint_id))


@router.patch("/{endpoint_id}", summary="Change a webhook endpoint")
def change_webhook(context: Ctx, endpoint_id: EndpointId, body: WebhookChange) -> WebhookOut:
    endpoint = _endpoint(context, endpoint_id)
    if body.url is not None:
        targets.admit(body.url, private=context.settings.webhook_private_targets)
    changes = {name: value for name, value in body.model_dump(mode="json").items() if value is not None}
    return WebhookOut.of(context.endpoints.change(endpoint.id, **changes))


@router.delete("/{endpoint_id}", status_code=204, summary="Remove a webhook endpoint with everything owed to it")
def remove_webhook(context: Ctx, endpoint_id: EndpointId) -> Response:
    context.endpoints.remove(_endpoint(context, endpoint_id).id)
    return Response(status_code=204)


@router.get("/{endpoint_id}/secret", summary="Get the secret of a webhook endpoint")
def get_secret(context: Ctx, endpoint_id: EndpointId) -> WebhookSecret:
    return WebhookSecret(secret=context.endpoints.secret(_endpoint(context, endpoint_id)))


@router.post("/{endpoint_id}/rotate-secret", summary="Make a new secret for a webhook endpoint")
def rotate_secret(context: Ctx, endpoint_id: EndpointId) -> WebhookSecret:
    """For 24 hours webhooks carry the signatures of both."""
    endpoint = context.endpoints.rotate(_endpoint(context, endpoint_id).id)
    return WebhookSecret(secret=context.endpoints.secret(endpoint))


@router.post("/{endpoint_id}/test", status_code=202, summary="Send a test event")
def send_test(context: Ctx, endpoint_id: EndpointId) -> EventSent:
    return EventSent(event_id=context.endpoints.test(_endpoint(context, endpoint_id).id))


@router.get("/{endpoint_id}/deliveries", summary="List what was sent to a webhook endpoint, newest first")
def list_deliveries(
    context: Ctx,
    endpoint_id: EndpointId,
    limit: Annotated[int, Query(ge=1, le=200, description="Most deliveries in one page")] = 50,
    before: Annotated[int | None, Query(ge=1, le=LARGEST_ID, description="`next` of the page before")] = None,
) -> DeliveryPage:
    """What has ended is forgotten after 30 days."""
    found = context.outbox.log(_endpoint(context, endpoint_id).id, limit + 1, before)
    following = found[limit - 1].id if len(found) > limit else None
    return DeliveryPage(deliveries=[DeliveryOut.of(each) for each in found[:limit]], next=following)


@router.post("/{endpoint_id}/deliveries/{delivery_id}/retry", status_code=202, summary="Send a delivery again")
def retry_delivery(
    context: Ctx,
    endpoint_id: EndpointId,
    delivery_id: Annotated[int, Path(ge=1, le=LARGEST_ID, description="The delivery's `id`")],
) -> Response:
    """With the same `webhook-id`; the order among other events of the asset is not kept for it."""
    context.outbox.again(_endpoint(context, endpoint_id).id, delivery_id)
    return Response(status_code=202)


def _endpoint(context: Context, endpoint_id: str) -> Endpoint:
    try:
        known = str(uuid.UUID(endpoint_id)) == endpoint_id
    except ValueError:
        known = False
    if not known:
        raise NotFound("there is no such webhook endpoint")
    return context.endpoints.get(endpoint_id)
