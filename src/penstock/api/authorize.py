"""Who may call: applications by API key, viewers by license token, the event bus and the encoder by theirs."""

from __future__ import annotations

import hashlib
import hmac
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from penstock import playback, terms
from penstock.api.context import Context
from penstock.entries import Session
from penstock.errors import BadSignature, NotFound, SessionExpired, Unauthorized
from penstock.formats import dpop, sigv4

API_KEY = HTTPBearer(scheme_name="API key", description="The key of an application: `penstock env`", auto_error=False)
LICENSE_TOKEN = HTTPBearer(
    scheme_name="License token", description="`license_token` of a playback session", auto_error=False
)
SPEKE_SERVICE = "execute-api"


def context_of(request: Request) -> Context:
    context: Context = request.app.state.context
    return context


Ctx = Annotated[Context, Depends(context_of)]


def application(context: Ctx, given: Annotated[HTTPAuthorizationCredentials | None, Depends(API_KEY)]) -> None:
    """Let in who has an API key."""
    if given is None or not context.catalogue.knows_key(given.credentials):
        raise Unauthorized("an API key is needed: send it as `Authorization: Bearer <key>`")


def viewer(
    request: Request,
    context: Ctx,
    given: Annotated[HTTPAuthorizationCredentials | None, Depends(LICENSE_TOKEN)],
) -> Session:
    """The live playback session that a license token stands for, its browser's key proved where it is bound to one."""
    if given is None:
        raise Unauthorized("a license token is needed: send it as `Authorization: Bearer <token>`")
    claims = context.playback.read_token(given.credentials)
    try:
        session = context.sessions.get(claims.session_id)
    except NotFound:
        raise SessionExpired("the playback session is over; ask for a new one") from None
    playback.check(claims, session, context.clock())
    return _proved(request, context, session, given.credentials) if terms.of(session).proof else session


def _proved(request: Request, context: Context, session: Session, token: str) -> Session:
    """The session of a request that is signed by its key; the first key that signs one becomes the session's."""
    sent = request.headers.getlist("dpop")
    if len(sent) != 1:
        raise BadSignature("this session is bound to its browser's key: send one DPoP proof with each request")
    path = request.scope["raw_path"].decode("latin-1")
    context.proofs.take(
        sent[0],
        method=request.method,
        # A page may know us by another of our names; the proof is for what it asked in any case.
        urls=(f"{context.settings.url}{path}", f"{request.url.scheme}://{request.headers.get('host', '')}{path}"),
        thumbprint=session.key_thumbprint or dpop.read(sent[0]).thumbprint,
        now=context.clock().timestamp(),
        token=token,
    )
    if session.key_thumbprint is None:
        proved = dpop.read(sent[0]).thumbprint
        session = context.sessions.bind(session.id, proved)
        if session.key_thumbprint != proved:
            raise BadSignature("the DPoP proof was made with another key than the session's")
    return session


def event_bus(request: Request, context: Ctx) -> None:
    if not _bears(request, context.event_token):
        raise Unauthorized("only the event bus may call this")


def edge(request: Request, context: Ctx) -> None:
    if not _bears(request, context.edge_token):
        raise Unauthorized("only the edge may call this")


def _bears(request: Request, secret: str) -> bool:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    same = hmac.compare_digest(token.encode("utf-8", "replace"), secret.encode())
    return scheme.lower() == "bearer" and bool(secret) and same


async def encoder(request: Request, context: Ctx) -> bytes:
    """The body of a request by an encoder that has an API key, or that signs as AWS does. Raises Unauthorized."""
    authorization = request.headers.get("authorization", "")
    body = await request.body()
    if authorization.startswith("AWS4-HMAC-SHA256 "):
        _verify_signature(request, body, context)
    else:
        scheme, _, key = authorization.partition(" ")
        if scheme.lower() != "bearer" or not context.catalogue.knows_key(key.strip()):
            raise Unauthorized("an API key or an AWS signature (execute-api) is needed")
    return body


def _verify_signature(request: Request, body: bytes, context: Context) -> None:
    path = request.scope["raw_path"].decode("latin-1")
    query = request.scope["query_string"].decode("latin-1")
    try:
        sigv4.verify(
            method=request.method,
            url=f"{context.settings.url}{path}" + (f"?{query}" if query else ""),
            headers=request.headers,
            body_sha256=hashlib.sha256(body).hexdigest(),
            secrets=context.aws_secrets,
            now=context.clock(),
            service=SPEKE_SERVICE,
        )
    except BadSignature as exc:
        raise Unauthorized(f"the AWS signature does not hold: {exc.message}") from exc


ApplicationOnly = Depends(application)
EventBusOnly = Depends(event_bus)
EdgeOnly = Depends(edge)
Viewer = Annotated[Session, Depends(viewer)]
EncoderBody = Annotated[bytes, Depends(encoder)]
