"""Studio, the pages that people look at: files that the web part was built into, served with a strict policy."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from fastapi import APIRouter, Response
from fastapi.responses import FileResponse
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from penstock.api.authorize import Ctx
from penstock.api.context import Context
from penstock.errors import Unavailable

STUDIO = Path(__file__).with_name("studio")

router = APIRouter(include_in_schema=False)


@router.get("/")
def index(context: Ctx) -> Response:
    return _page(context, "index.html")


@router.get("/watch/{session_id}")
def watch(context: Ctx, session_id: str) -> Response:
    """The same page for every session: which one, and its token, only the page itself looks at."""
    return _page(context, "watch.html")


def _page(context: Context, name: str) -> Response:
    if not (STUDIO / name).is_file():
        raise Unavailable("Studio has not been built; `make setup` builds it")
    headers = {"Content-Security-Policy": content_security_policy(context), "Cache-Control": "no-cache"}
    return FileResponse(STUDIO / name, headers=headers)


def content_security_policy(context: Context) -> str:
    """Scripts of our own only; connections to us, the store that takes uploads, and license servers; no framing."""
    licensors = sorted(context.vendor.origins()) if context.vendor else []
    store = urlsplit(context.clients.s3.meta.endpoint_url)
    rules = {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self' data: blob:",
        "media-src": "'self' blob: data:",  # the player gives the video captions as tracks of empty data: addresses
        "font-src": "'self'",
        "connect-src": " ".join(["'self'", f"{store.scheme}://{store.netloc}", *licensors]),
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    return "; ".join(f"{name} {value}" for name, value in rules.items())


class BuiltFiles(StaticFiles):
    """What the pages are made of, and below `embed/` the web components for pages of other applications."""

    def __init__(self) -> None:
        super().__init__(directory=STUDIO, check_dir=False)

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        # Names below static/ carry a hash of their content, so what they name never changes.
        hashed = path.startswith("static/") and response.status_code == 200
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable" if hashed else "no-cache"
        response.headers["Access-Control-Allow-Origin"] = "*"
        return response
