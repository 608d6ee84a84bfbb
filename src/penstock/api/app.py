"""The HTTP application: routes, errors, frame. Starts nothing; `penstock.api.__main__` does."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from penstock.api import (
    errors,
    routes_assets,
    routes_drm,
    routes_internal,
    routes_live,
    routes_playback,
    routes_studio,
    routes_webhooks,
)
from penstock.api.context import Context
from penstock.api.frame import Frame
from penstock.api.query import KnownQuery
from penstock.api.schemas import Error

DESCRIPTION = """\
Protected video on demand: announce a source, upload it straight to the object store, follow its conversion, and open
playback sessions for viewers.

Applications send an API key (`Authorization: Bearer <key>`), viewers the license token of their playback session.
Every error has one shape: `{"error": {"code", "message", "request_id"}}`.
"""

_REFUSALS: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": Error, "description": "Refused; the message says what was found, what was needed, what to do"},
    "5XX": {"model": Error, "description": "Failed here or further on; the log has more under the request id"},
}


def create_app(context: Context) -> FastAPI:
    app = FastAPI(
        title="Penstock",
        version=version("penstock"),
        description=DESCRIPTION,
        responses=_REFUSALS,
        docs_url=None,  # its page loads scripts from elsewhere
        redoc_url=None,
    )
    app.state.context = context
    errors.install(app)
    for router in (
        routes_live.router,
        routes_assets.router,
        routes_assets.uploads,
        routes_playback.router,
        routes_webhooks.router,
    ):
        app.include_router(router, dependencies=[KnownQuery])
    # Players, encoders and DRM vendors add parameters of their own; pages are linked to with any.
    for others in (routes_drm, routes_internal, routes_studio):
        app.include_router(others.router)
    app.mount("/studio", routes_studio.BuiltFiles(), name="studio")
    if context.settings.allowed_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(context.settings.allowed_origins),
            allow_credentials=True,
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["Authorization", "Content-Type"],
            expose_headers=["X-Request-Id"],
        )
    app.add_middleware(Frame)
    return app
