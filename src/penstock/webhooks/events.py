"""What webhooks tell: the kinds of events, and what each says. Pure; holds no address, cookie or token."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from penstock import anomaly
from penstock.entries import Ending, Session
from penstock.model import Asset, AssetState, JsonObject


class EventType(StrEnum):
    ASSET_CREATED = "asset.created"
    ASSET_CONVERTING = "asset.converting"
    ASSET_PUBLISHED = "asset.published"
    ASSET_FAILED = "asset.failed"
    ASSET_DELETED = "asset.deleted"
    SESSION_OPENED = "session.opened"
    SESSION_ENDED = "session.ended"
    """It came to its end by itself: it expired, or its viewer began another stream."""
    SESSION_REVOKED = "session.revoked"
    """Somebody ended it: the application, or the threshold for suspicious sessions."""
    SESSION_SUSPICIOUS = "session.suspicious"
    TEST = "webhook.test"


CHOSEN = tuple(each for each in EventType if each is not EventType.TEST)
"""The kinds that an endpoint chooses from; a test comes to whom it is sent."""

OF_STATE = {
    AssetState.CONVERTING: EventType.ASSET_CONVERTING,
    AssetState.PUBLISHED: EventType.ASSET_PUBLISHED,
    AssetState.FAILED: EventType.ASSET_FAILED,
}
"""What is told when an asset comes into a state."""

OF_ENDING = {
    Ending.ENDED: EventType.SESSION_REVOKED,
    Ending.SUSPICIOUS: EventType.SESSION_REVOKED,
    Ending.DELETED: EventType.SESSION_REVOKED,
    Ending.DISPLACED: EventType.SESSION_ENDED,
    Ending.EXPIRED: EventType.SESSION_ENDED,
}


@dataclass(frozen=True)
class Event:
    id: str
    """The webhook-id: the same for every endpoint and every try."""
    type: EventType
    asset_id: str
    """Events of one asset arrive in their order; empty for those of none."""
    body: str


def event(kind: EventType, asset_id: str, now: datetime, data: JsonObject) -> Event:
    """An event in the form that Standard Webhooks recommends: type, timestamp, data."""
    body = {"type": kind.value, "timestamp": now.isoformat(), "data": data}
    return Event(f"evt_{uuid.uuid4().hex}", kind, asset_id, json.dumps(body, separators=(",", ":")))


def about_asset(asset: Asset) -> JsonObject:
    error = {"code": asset.error.code, "message": asset.error.message} if asset.error else None
    told: JsonObject = {"id": asset.id, "title": asset.title, "state": asset.state.value, "error": error}
    told |= {"duration_s": asset.duration_s, "created_at": asset.created_at.isoformat()}
    return {"asset": told}


def about_session(session: Session) -> JsonObject:
    """What is told of a playback session; its serial, too, is nobody's business."""
    names = ("id", "asset_id", "viewer", "score")
    times = ("created_at", "expires_at", "ended_at", "seen_at")
    told: JsonObject = {name: getattr(session, name) for name in names}
    for name in times:
        moment: datetime | None = getattr(session, name)
        told[name] = moment.isoformat() if moment else None
    signals = [finding.signal for finding in anomaly.assess(anomaly.Observed.of_json(session.observed)).findings]
    return {"session": {**told, "reason": session.ending, "signals": signals}}
