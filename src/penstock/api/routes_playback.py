"""Playback sessions and licenses."""

from __future__ import annotations

import uuid
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from penstock import license as licenses
from penstock import playback, terms
from penstock.api import schemas
from penstock.api.authorize import ApplicationOnly, Ctx, Viewer
from penstock.catalogue import asset_id_of
from penstock.entries import Entry, Session
from penstock.errors import Forbidden, InvalidRequest, NotFound
from penstock.model import PlaybackSession

router = APIRouter(tags=["Playback"])

SessionId = Annotated[str, Path(description="The playback session's `id`")]
_OVER = {"dash_url", "hls_url", "dash_token_url", "hls_token_url", "license_url", "license_token", "watch_url"}


def _session_id(session_id: SessionId) -> str:
    try:
        if str(uuid.UUID(session_id)) == session_id:
            return session_id
    except ValueError:
        pass
    raise NotFound("there is no such playback session")


CheckedSessionId = Annotated[str, Depends(_session_id)]
MediaClientData = Annotated[
    str | None,
    Query(alias="CMCD", description="What players append to every request (CTA-5004); only the edge reads it"),
]
ViewerName = Annotated[str, Query(min_length=1, max_length=256, description="As given when the session was opened")]


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
    settings = context.settings
    session = context.sessions.open(
        asset_id,
        body.viewer,
        body.ttl_s or settings.session_ttl_s,
        body.max_s or settings.session_max_s,
        overlay=body.overlay_text(settings.overlay),
        terms=body.terms(),
    )
    return schemas.granted(session, context.playback.grant(session, entry))


@router.get("/v1/playback-sessions", dependencies=[ApplicationOnly], summary="List playback sessions")
def list_sessions(
    context: Ctx,
    viewer: Annotated[
        str | None, Query(min_length=1, max_length=256, description="As given when the session was opened")
    ] = None,
    min_score: Annotated[
        int | None, Query(ge=1, le=100, description="Of anybody, with this score or more; in place of `viewer`")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=1000, description="Most sessions in one page")] = 100,
    cursor: Annotated[str | None, Query(max_length=256, description="`next` of the page before")] = None,
) -> schemas.SessionPage:
    """Newest first, those that are over too; sessions are forgotten 30 days after their end."""
    if viewer is not None and min_score is None:
        found, following = context.sessions.of(viewer, limit, cursor)
    elif viewer is None and min_score is not None:
        found, following = context.sessions.suspicious(min_score, limit, cursor)
    else:
        raise InvalidRequest("name either a viewer or a min_score")
    now = context.clock()
    return schemas.SessionPage(
        playback_sessions=[schemas.SessionSummary.of(session, now) for session in found], next=following
    )


@router.delete("/v1/playback-sessions", dependencies=[ApplicationOnly], summary="End all playback sessions of a viewer")
def end_sessions(context: Ctx, viewer: ViewerName) -> schemas.SessionsEnded:
    """As for one of them: no license from now on, and within seconds no manifest and no segment."""
    return schemas.SessionsEnded(ended=context.sessions.end_all(viewer))


@router.get("/v1/playback-sessions/{session_id}", dependencies=[ApplicationOnly], summary="Look at a playback session")
def get_session(context: Ctx, session_id: CheckedSessionId) -> schemas.SessionOut:
    """A session that is over has no cookies, addresses and token any more."""
    session = context.sessions.get(session_id)
    if session.live(context.clock()):
        return schemas.granted(session, context.playback.grant(session, context.catalogue.entry(session.asset_id)))
    summary = schemas.SessionSummary.of(session, context.clock())
    return schemas.SessionOut.model_validate(
        {**summary.model_dump(), **dict.fromkeys(_OVER), "cookies": {}, "drm": {}}, from_attributes=False
    )


@router.delete(
    "/v1/playback-sessions/{session_id}",
    status_code=204,
    dependencies=[ApplicationOnly],
    summary="End a playback session",
)
def end_session(context: Ctx, session_id: CheckedSessionId) -> Response:
    """No license is given from now on, and within seconds the edge lets out no manifest and no segment any more."""
    context.sessions.end(session_id)
    return Response(status_code=204)


@router.post("/v1/playback-sessions/{session_id}/claim", summary="Set a viewer's cookies (the watch page)")
def claim_session(
    context: Ctx, session: Viewer, session_id: CheckedSessionId, response: Response
) -> schemas.PlayerConfig:
    """Called by the page that `watch_url` opens, with the token that the address carries behind `#`."""
    entry, granted = _granted(context, session, session_id)
    _set_cookies(response, context, session, granted)
    held = terms.of(session)
    told = {
        "title": entry.asset.title,
        "heartbeat_s": playback.heartbeat_s(session, context.settings),
        "overlay": session.overlay,
        "playback_rate": held.playback_rate,
        "dpop": held.proof,
    }
    return schemas.PlayerConfig.model_validate({**vars(granted), **told}, from_attributes=False)


@router.post("/v1/playback-sessions/{session_id}/heartbeat", summary="Tell that a viewer is still watching (players)")
def heartbeat(
    context: Ctx,
    session: Viewer,
    session_id: CheckedSessionId,
    response: Response,
    body: schemas.HeartbeatIn | None = None,
) -> schemas.HeartbeatOut:
    """Renew the session, its cookies and its token, and keep its stream. A player calls this every `heartbeat_s`.

    429 `too_many_streams` and 403 `session_expired` are the end of the playback.
    """
    if session.id != session_id:
        raise Forbidden("the token is not of this playback session")
    if body is not None and body.tampered:
        context.sessions.tampered(session_id, body.tampered)
    if body is not None and body.leaving:
        context.sessions.leave(session_id)
        renewed = session
    else:
        renewed = context.sessions.renew(session_id)
    _, granted = _granted(context, renewed, session_id)
    if renewed is not session:
        _set_cookies(response, context, renewed, granted)
    return schemas.HeartbeatOut(
        expires_at=renewed.expires_at,
        dash_token_url=granted.dash_token_url,
        hls_token_url=granted.hls_token_url,
        drm=schemas.drm(granted),
        license_token=granted.license_token,
        heartbeat_s=playback.heartbeat_s(renewed, context.settings),
    )


def _granted(context: Ctx, session: Session, session_id: str) -> tuple[Entry, PlaybackSession]:
    if session.id != session_id:
        raise Forbidden("the token is not of this playback session")
    entry = context.catalogue.entry(session.asset_id)
    return entry, context.playback.grant(session, entry)


def _set_cookies(response: Response, context: Ctx, session: Session, granted: PlaybackSession) -> None:
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
def clearkey_license(
    context: Ctx, session: Viewer, body: Annotated[bytes, Depends(_body)], _: MediaClientData = None
) -> Response:
    """Takes a W3C ClearKey license request; every key asked for must be one of the session's asset.

    Keys of tiers above `PENSTOCK_SOFTWARE_TIER` are left out; 403 where the asset has no others.
    """
    if context.vendor is not None:
        raise Forbidden("licenses are given by the DRM vendor here; `drm` of the playback session says where")
    entry = context.catalogue.entry(session.asset_id)
    license_ = licenses.answer(body, entry, context.keys, context.settings.key_policy)
    context.sessions.watch(session)
    return Response(license_, media_type="application/json")
