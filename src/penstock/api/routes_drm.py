"""DRM vendors ask here whether a license may be given: to a live playback session, for its own asset, and no other."""

from __future__ import annotations

import hmac
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from penstock import playback
from penstock.api.authorize import Ctx
from penstock.api.context import Context
from penstock.drm.entitlement import CallbackAdapter, Question
from penstock.entries import Session
from penstock.errors import Forbidden, InvalidRequest, NotFound, SessionExpired, Unauthorized
from penstock.sessions import over

router = APIRouter(tags=["Playback"])


async def _body(request: Request) -> bytes:
    return await request.body()


@router.post("/v1/drm/{vendor}/authorize", summary="Say whether a license may be given (DRM vendors)")
@router.get("/v1/drm/{vendor}/authorize", include_in_schema=False)
def authorize(
    context: Ctx,
    request: Request,
    vendor: Annotated[str, Path(description="Name of the DRM vendor", examples=["drmtoday"])],
    body: Annotated[bytes, Depends(_body)],
    secret: Annotated[str, Query(max_length=256, description="`callback_secret` of the DRM configuration")] = "",
) -> Response:
    """The vendor's own form of yes; 4xx is no. A license takes one of the viewer's streams, as ClearKey's does."""
    adapter = _adapter(context, vendor)
    if not hmac.compare_digest(secret.encode(), adapter.callback_secret.encode()):
        raise Unauthorized("the secret of the callback does not hold")
    question = adapter.question(request.query_params, body)
    session = _session(context, question)
    if not session.live(context.clock()):
        raise over(session)
    if playback.is_unclaimed(session):
        raise Forbidden("the playback session waits for the browser that claims it")
    if question.content_id not in (None, session.asset_id):
        raise Forbidden("the playback session is one of another asset")
    job = playback.playable(context.catalogue.entry(session.asset_id))
    content_type, answer = adapter.yes(question, context.playback.entitlement(session, job))
    context.sessions.watch(session)
    return Response(answer, media_type=content_type)


def _adapter(context: Context, vendor: str) -> CallbackAdapter:
    """The configured vendor, if it is this one and asks back."""
    configured = context.vendor
    if not isinstance(configured, CallbackAdapter) or configured.name != vendor or not configured.callback_secret:
        raise NotFound("this installation is not asked by that DRM vendor")
    return configured


def _session(context: Context, question: Question) -> Session:
    session_id = question.session_id
    if question.token is not None:
        session_id = context.playback.read_token(question.token).session_id
    if session_id is None:
        raise InvalidRequest("the question names no playback session")
    try:
        return context.sessions.get(session_id)
    except NotFound:
        raise SessionExpired("the playback session is over; ask for a new one") from None
