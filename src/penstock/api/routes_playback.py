"""Playback sessions and licenses."""

from __future__ import annotations

import uuid
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request, Response

from penstock import license as licenses
from penstock import playback
from penstock.api import schemas
from penstock.api.authorize import ApplicationOnly, Ctx, Viewer
from penstock.catalogue import asset_id_of
from penstock.errors import Forbidden, NotFound

router = APIRouter(tags=["Playback"])

SessionId = Annotated[str, Path(description="The playback session's `id`")]
_OVER = {"dash_url", "hls_url", "license_url", "license_token", "watch_url"}


def _session_id(session_id: SessionId) -> str:
    try:
        if str(uuid.UUID(session_id)) == session_id:
            return session_id
    except ValueError:
        pass
    raise NotFound("there is no such playback session")


CheckedSessionId = Annotated[str, Depends(_session_id)]


@router.post(
    "/v1/assets/{asset_id}/playback-sessions",
    status_code=201,
    dependencies=[ApplicationOnly],
    summary="Let a viewer watch an asset",
)
def open_session(
    context: Ctx,
    asset_id: Annotated[str, Path(description="The asset's `id`", examples=[schemas.ASSET_ID])],
    body: schemas.SessionIn,
) -> schemas.SessionOut:
    """Give the viewer `watch_url`, or the cookies, manifest addresses and `license_token` for a player of yours."""
    entry = context.catalogue.entry(asset_id_of(asset_id))
    playback.playable(entry)
    session = context.catalogue.open_session(asset_id, body.viewer, body.ttl_s or context.settings.session_ttl_s)
    return schemas.granted(context.playback.grant(session, entry))


@router.get("/v1/playback-sessions/{session_id}", dependencies=[ApplicationOnly], summary="Look at a playback session")
def get_session(context: Ctx, session_id: CheckedSessionId) -> schemas.SessionOut:
    """A session that is over has no cookies, addresses and token any more."""
    session = context.catalogue.session(session_id)
    if session.live(context.clock()):
        return schemas.granted(context.playback.grant(session, context.catalogue.entry(session.asset_id)))
    state = "expired" if session.ended_at is None else "ended"
    return schemas.SessionOut.model_validate(
        {**vars(session), **dict.fromkeys(_OVER), "state": state, "cookies": {}}, from_attributes=False
    )


@router.delete(
    "/v1/playback-sessions/{session_id}",
    status_code=204,
    dependencies=[ApplicationOnly],
    summary="End a playback session",
)
def end_session(context: Ctx, session_id: CheckedSessionId) -> Response:
    """No license is given from now on. Cookies already given keep letting encrypted segments out until they expire."""
    context.catalogue.end_session(session_id)
    return Response(status_code=204)


@router.post("/v1/playback-sessions/{session_id}/claim", summary="Set a viewer's cookies (the watch page)")
def claim_session(
    context: Ctx, session: Viewer, session_id: CheckedSessionId, response: Response
) -> schemas.PlayerConfig:
    """Called by the page that `watch_url` opens, with the token that the address carries behind `#`."""
    if session.id != session_id:
        raise Forbidden("the token is not of this playback session")
    entry = context.catalogue.entry(session.asset_id)
    granted = context.playback.grant(session, entry)
    for name, value in granted.cookies.items():
        response.set_cookie(
            name,
            value,
            max_age=max(0, int((session.expires_at - context.clock()).total_seconds())),
            path=playback.cookie_path(granted),
            secure=context.settings.url.startswith("https://"),
            httponly=True,
            samesite="lax",
        )
    return schemas.PlayerConfig.model_validate({**vars(granted), "title": entry.asset.title}, from_attributes=False)


async def _body(request: Request) -> bytes:
    return await request.body()


@router.post(
    "/v1/licenses/clearkey",
    summary="Get the content keys of a session's asset",
    response_class=Response,
    responses={200: {"content": {"application/json": {"example": {"keys": [], "type": "temporary"}}}}},
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/json": {"example": {"kids": ["LwVHf8JLtPrv2GUXFW2v_A"], "type": "temporary"}}},
        }
    },
)
def clearkey_license(context: Ctx, session: Viewer, body: Annotated[bytes, Depends(_body)]) -> Response:
    """Takes a W3C ClearKey license request; every key asked for must be one of the session's asset."""
    entry = context.catalogue.entry(session.asset_id)
    return Response(licenses.answer(body, entry, context.keys), media_type="application/json")
