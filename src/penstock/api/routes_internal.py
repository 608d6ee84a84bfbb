"""What other machines call: the event bus delivers here, the edge asks who was revoked, encoders fetch content keys."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Body, Header, Path, Response

from penstock.api import schemas
from penstock.api.authorize import Ctx, EdgeOnly, EncoderBody, EventBusOnly
from penstock.api.context import Context
from penstock.catalogue import Catalogue
from penstock.errors import NotFound
from penstock.formats import events
from penstock.formats.events import AssetEvent, JobStateChange
from penstock.handlers import HANDLERS
from penstock.keys import SPEKE_VERSION, answer_encryptor
from penstock.outputs import LICENSE_PATH

router = APIRouter()

XML = {"application/xml": {"schema": {"type": "string"}}}


@router.get("/healthz", tags=["Service"], summary="Whether the API, its database and the buckets answer")
def healthz(context: Ctx) -> dict[str, str]:
    context.catalogue.versions([])
    context.readiness.check()
    return {"status": "ok"}


@router.post(
    "/internal/events/{name}",
    status_code=204,
    dependencies=[EventBusOnly],
    include_in_schema=False,
)
def take_event(context: Ctx, name: Annotated[str, Path()], envelope: Annotated[Any, Body()]) -> Response:
    """2xx says that it is done, 4xx that it never will be, 5xx that it may be tried again."""
    _handler(context, name)(envelope)
    return Response(status_code=204)


@router.get("/internal/revocations", dependencies=[EdgeOnly], include_in_schema=False)
def revocations(context: Ctx) -> dict[str, list[Any]]:
    """What the edge is to refuse: sessions that were ended before what was signed for them expires."""
    ended = context.sessions.revoked()
    return {"serials": [session.serial for session in ended], "sessions": [session.id for session in ended]}


@router.post("/internal/signals", dependencies=[EdgeOnly], include_in_schema=False)
def take_signals(context: Ctx, body: schemas.SignalsIn) -> dict[str, int]:
    """What the edge saw of sessions since it told last. Those that are over or unknown are let be."""
    windows = [(each.serial or str(each.session_id), each.window()) for each in body.sessions]
    known = context.sessions.observe(windows)
    return {"known": known, "unknown": len(windows) - known}


def _speke_request(description: str) -> dict[str, Any]:
    return {
        "requestBody": {"required": True, "description": description, "content": XML},
        "security": [{"API key": []}],
    }


@router.post(
    "/speke/v2/copyProtection",
    tags=["Keys"],
    summary="Key provider for encoders: SPEKE version 2",
    response_class=Response,
    responses={200: {"content": XML}},
    openapi_extra=_speke_request("A CPIX 2.3 document that names keys and DRM systems; both are filled in"),
)
def copy_protection(
    context: Ctx, body: EncoderBody, x_speke_version: Annotated[str, Header(include_in_schema=False)] = SPEKE_VERSION
) -> Response:
    """Takes an API key, or an AWS signature for the service execute-api."""
    return _answered(context, body, x_speke_version)


@router.post(
    "/speke/v1/copyProtection",
    tags=["Keys"],
    summary="Key provider for encoders: SPEKE version 1",
    response_class=Response,
    responses={200: {"content": XML}},
    openapi_extra=_speke_request("A CPIX 2.0 document with AWS's elements: one key for everything that is encrypted"),
)
def copy_protection_v1(context: Ctx, body: EncoderBody) -> Response:
    """For jobs that name no encryption contract. FairPlay means the scheme cbcs, anything else cenc."""
    return _answered(context, body, None)


def _answered(context: Context, body: bytes, version: str | None) -> Response:
    license_url = context.settings.url + LICENSE_PATH
    answer, headers = answer_encryptor(body, version, context.keys, license_url=license_url)
    return Response(answer, headers=headers)


def _handler(context: Context, name: str) -> Callable[[Any], object]:
    if name == "catalogue":
        return lambda envelope: note(context.catalogue, envelope)
    if name not in HANDLERS:
        raise NotFound(f"there is no handler {name[:64]!r}; there are catalogue, {', '.join(sorted(HANDLERS))}")
    return lambda envelope: HANDLERS[name](envelope, context.clients, context.settings)


def note(catalogue: Catalogue, envelope: object) -> None:
    """Let the catalogue take in every event of an envelope that is about assets or their jobs."""
    for event in events.decode(envelope):
        if isinstance(event, AssetEvent):
            catalogue.apply(event)
        elif isinstance(event, JobStateChange) and "assetId" in event.user_metadata:
            done = event.status == "COMPLETE"
            progress = event.detail.get("jobProgress")
            percent = progress.get("jobPercentComplete") if isinstance(progress, dict) else None
            asset_id = event.user_metadata["assetId"]
            percent = 100 if done else percent if isinstance(percent, int) else None
            catalogue.progress(asset_id, event.job_id, percent, packaging=done)
