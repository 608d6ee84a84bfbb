"""Every failure -> one JSON shape: {"error": {"code", "message", "request_id"}}. Never repeats what the caller sent."""

from __future__ import annotations

import http
import logging
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse

from penstock.errors import PenstockError

REQUEST_ID = "penstock.request_id"
"""Where the request id lies in the ASGI scope."""

log = logging.getLogger("penstock.api")

_CODES = {404: "not_found", 405: "method_not_allowed", 413: "too_large", 400: "invalid_request"}
_MESSAGES = {
    400: "the body cannot be read",
    404: "there is nothing at this address",
    405: "this address does not take that method",
    413: "a request body here has at most 1 MiB; media go to the address that an upload is answered with",
}
_SHOWN_PROBLEMS = 5


def response(
    request_id: str, status: int, code: str, message: str, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    body = {"error": {"code": code, "message": message, "request_id": request_id}}
    return JSONResponse(body, status, headers)


def install(app: FastAPI) -> None:
    app.add_exception_handler(PenstockError, _penstock_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _http_error)


async def _penstock_error(request: Request, exc: Exception) -> JSONResponse:
    assert isinstance(exc, PenstockError)
    headers = {"WWW-Authenticate": "Bearer"} if exc.http_status == 401 else {}
    if exc.retryable:
        headers["Retry-After"] = "1"
    if exc.http_status >= 500:
        cause = exc.__cause__ or exc.__context__
        log.warning("%s %s: %s (%r)", request.scope[REQUEST_ID], exc.code, exc.message, cause)
    return response(request.scope[REQUEST_ID], exc.http_status, exc.code, exc.message, headers)


async def _validation_error(request: Request, exc: Exception) -> JSONResponse:
    """Names each member that is wrong and why, but not its value: it could be a secret in the wrong place."""
    assert isinstance(exc, RequestValidationError)
    problems = [_problem(each) for each in exc.errors()]
    message = "; ".join(problems[:_SHOWN_PROBLEMS])
    if len(problems) > _SHOWN_PROBLEMS:
        message += f"; and {len(problems) - _SHOWN_PROBLEMS} more"
    return response(request.scope[REQUEST_ID], 422, "invalid_request", message)


async def _http_error(request: Request, exc: Exception) -> JSONResponse:
    assert isinstance(exc, HTTPException)
    status = exc.status_code
    message = _MESSAGES.get(status) or http.HTTPStatus(status).phrase
    return response(request.scope[REQUEST_ID], status, _CODES.get(status, "http_error"), message, exc.headers)


def _problem(told: Mapping[str, Any]) -> str:
    if told["type"] == "json_invalid":
        return f"the body is not JSON: {told['ctx']['error']} at character {told['loc'][-1]}"
    return f"{_place(told['loc'])}: {told['msg'].removeprefix('Value error, ')}"


def _place(location: tuple[int | str, ...]) -> str:
    # What has brackets is pydantic's own name for one of several types that a member may have.
    parts = [str(part)[:64] for part in location if part != "body" and "[" not in str(part)]
    return ".".join(parts) or "body"
