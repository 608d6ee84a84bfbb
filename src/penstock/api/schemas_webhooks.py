"""Webhooks over HTTP, with the descriptions and examples that openapi.json shows. No behaviour."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from penstock.api.schemas import ASSET_ID, In, Out
from penstock.webhooks.endpoints import Endpoint
from penstock.webhooks.events import CHOSEN, EventType
from penstock.webhooks.outbox import Delivery, DeliveryState
from penstock.webhooks.targets import MAX_URL_CHARS


def _chosen(kinds: list[EventType]) -> list[EventType]:
    if EventType.TEST in kinds:
        raise ValueError("webhook.test is sent by asking for it")
    return list(dict.fromkeys(kinds))


def _printable(text: str) -> str:
    if "\0" in text:
        raise ValueError("holds a NUL character")
    return text


Kinds = Annotated[list[EventType], Field(max_length=2 * len(CHOSEN)), AfterValidator(_chosen)]
Url = Annotated[str, Field(min_length=1, max_length=MAX_URL_CHARS)]
Description = Annotated[str, Field(max_length=256), AfterValidator(_printable)]


class WebhookIn(In):
    url: Url = Field(description="https address that is told", examples=["https://example.com/penstock"])
    events: Kinds = Field(default_factory=list, description="Kinds of events; an empty list is all of them")
    description: Description = Field("", description="For people")


class WebhookChange(In):
    url: Url | None = None
    events: Kinds | None = None
    description: Description | None = None
    enabled: bool | None = Field(None, strict=True, description="What is owed to a disabled one waits")


class WebhookOut(Out):
    id: str
    url: str
    events: list[EventType] = Field(description="Empty is all of them")
    description: str
    enabled: bool = Field(description="False also after the receiver has answered 410 Gone")
    created_at: datetime

    @classmethod
    def of(cls, endpoint: Endpoint) -> WebhookOut:
        return cls.model_validate(vars(endpoint), from_attributes=False)


class WebhookSecret(Out):
    secret: str = Field(description="What the receiver verifies signatures with", examples=["whsec_..."])


class NewWebhook(WebhookOut, WebhookSecret):
    pass


class WebhookList(Out):
    webhooks: list[WebhookOut]


class EventSent(Out):
    event_id: str = Field(description="The `webhook-id` that it comes with")


class DeliveryOut(Out):
    id: int
    event_id: str = Field(description="`webhook-id`: the same for every endpoint and every try")
    type: EventType
    asset_id: str | None = Field(examples=[ASSET_ID])
    state: DeliveryState
    attempts: int
    created_at: datetime
    due_at: datetime | None = Field(description="Next try; null once it has ended")
    ended_at: datetime | None
    last_status: int | None = Field(description="What the receiver answered last", examples=[200])
    last_error: str | None
    body: dict[str, Any] = Field(description="What is sent")

    @classmethod
    def of(cls, delivery: Delivery) -> DeliveryOut:
        told = {**vars(delivery), "asset_id": delivery.asset_id or None, "body": json.loads(delivery.body)}
        told["due_at"] = None if delivery.ended_at else delivery.due_at
        return cls.model_validate(told, from_attributes=False)


class DeliveryPage(Out):
    deliveries: list[DeliveryOut]
    next: int | None = Field(description="Give it as `before` for the next page; null on the last")
