"""AWS services on one HTTP endpoint, served from botocore's models at run time.

Knows the protocols (rest-json, JSON 1.1), the signatures and the errors; what an operation does is its provider's. An
operation that the provider has no method for answers 501 with its name. Never answers without a verified signature.
Source: https://smithy.io/2.0/aws/protocols/ (restJson1, awsJson1_1); AWS Signature Version 4.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from botocore import xform_name
from botocore.model import OperationModel, ServiceModel, StructureShape
from botocore.session import get_session
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from localaws import shapes
from penstock.errors import BadSignature
from penstock.formats import sigv4

MAX_BODY_BYTES = 2 * 2**20
log = logging.getLogger(__name__)


class ServiceError(Exception):
    """An answer of an AWS service that says no: error code of the model, sentence, HTTP status."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code, self.message, self.status = code, message, status


@dataclass(frozen=True)
class _Call:
    operation: OperationModel
    path_values: Mapping[str, str]


class Service:
    """One AWS service: its model, and the provider whose snake_case methods take and return members.

    A provider method gets a dict of members by their model names and returns one, or raises ServiceError.
    """

    def __init__(self, name: str, provider: object) -> None:
        self.model: ServiceModel = get_session().get_service_model(name)
        self.name = str(self.model.signing_name)
        self._provider = provider
        self._routes = [] if self.model.protocol == "json" else [_route(op) for op in self._operations()]

    def _operations(self) -> list[OperationModel]:
        return [self.model.operation_model(name) for name in self.model.operation_names]

    def find(self, method: str, path: str, target: str | None) -> _Call:
        """The operation a request means. Raises ServiceError when there is none."""
        if self.model.protocol == "json":
            prefix, _, name = (target or "").partition(".")
            if prefix != self.model.metadata["targetPrefix"] or name not in self.model.operation_names:
                raise ServiceError("UnknownOperationException", f"X-Amz-Target names no operation of {self.name}", 400)
            return _Call(self.model.operation_model(name), {})
        for verb, pattern, operation in self._routes:
            if verb == method and (match := pattern.fullmatch(path)):
                return _Call(operation, match.groupdict())
        raise ServiceError("NotFoundException", f"{self.name} has no operation {method} {path[:200]}", 404)

    def invoke(self, call: _Call, query: Mapping[str, str], body: bytes) -> tuple[int, dict[str, Any]]:
        """Validate, call the provider, serialise. Returns HTTP status and JSON document."""
        operation = call.operation
        method = getattr(self._provider, xform_name(operation.name), None)
        if method is None:
            raise ServiceError("NotImplementedException", f"{self.name} {operation.name} is not offered here", 501)
        answer = method(self._members(call, query, body)) or {}
        shape = operation.output_shape
        return int(operation.http.get("responseCode", 200)), shapes.write(shape, answer) if shape else {}

    def _members(self, call: _Call, query: Mapping[str, str], body: bytes) -> dict[str, Any]:
        shape = call.operation.input_shape
        if shape is None:
            return {}
        try:
            members = self._bound_members(shape, call, query)
            outside = set(members) | {name for name, member in shape.members.items() if _location(member)}
            document = _json(body)
            inner = _without(shape, outside)
            members |= shapes.read(inner, document)
            if lacking := shapes.missing(shape, members):
                raise shapes.Misfit("; ".join(f"{name}: it is required" for name in lacking))
        except shapes.Misfit as exc:
            raise ServiceError(self._bad_request, str(exc), 400) from exc
        return members

    @property
    def _bad_request(self) -> str:
        return "BadRequestException" if self.model.protocol == "rest-json" else "ValidationException"

    def _bound_members(self, shape: StructureShape, call: _Call, query: Mapping[str, str]) -> dict[str, Any]:
        """Members that travel in the path and in the query."""
        members: dict[str, Any] = {}
        expected = set()
        for name, member in shape.members.items():
            wire = shapes.wire_name(shape, name)
            source = {"uri": call.path_values, "querystring": query}.get(_location(member) or "", {})
            expected.add(wire)
            if wire not in source:
                continue
            if member.type_name == "list":
                members[name] = [shapes.read_text(member.member, text, wire) for text in source[wire].split("\n")]
            else:
                members[name] = shapes.read_text(member, source[wire], wire)
        if self.model.protocol == "rest-json" and (unknown := [n for n in query if n not in expected]):
            raise shapes.Misfit(f"{unknown[0][:64]}: the query has no such member")
        return members


def application(
    services: Sequence[Service],
    credentials: Mapping[str, str],
    *,
    routes: Sequence[BaseRoute] = (),
) -> Starlette:
    """An ASGI application that serves `services`, told apart by the credential scope of the signature.

    credentials: secret access key by access key id. routes: further routes, each guarding itself.
    """
    by_name = {service.name: service for service in services}

    async def serve(request: Request) -> Response:
        request_id = str(uuid.uuid4())
        try:
            body = await _body(request)
            service = by_name.get(_authenticated(request, body, credentials))
            if service is None:
                offered = ", ".join(sorted(by_name))
                raise ServiceError("UnknownServiceException", f"this endpoint offers {offered}, not that service", 501)
            call = service.find(request.method, request.url.path, request.headers.get("x-amz-target"))
            query = {name: "\n".join(request.query_params.getlist(name)) for name in request.query_params}
            status, document = await run_in_threadpool(service.invoke, call, query, body)
            response = JSONResponse(document, status)
        except ServiceError as error:
            response = _refusal(error)
        except Exception:
            log.exception("request %s failed", request_id)
            response = _refusal(ServiceError("InternalServerErrorException", f"internal error {request_id}", 500))
        response.headers["x-amzn-requestid"] = request_id
        return response

    async def health(_request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    methods = ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD"]
    every = [Route("/healthz", health), *routes, Route("/{path:path}", serve, methods=methods)]
    return Starlette(routes=every)


async def _body(request: Request) -> bytes:
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > MAX_BODY_BYTES:
            raise ServiceError("RequestEntityTooLargeException", f"a request has at most {MAX_BODY_BYTES} bytes", 413)
    return bytes(content)


def _authenticated(request: Request, body: bytes, credentials: Mapping[str, str]) -> str:
    """Verify the signature and return the service it was made for."""
    raw_path = request.scope.get("raw_path") or request.url.path.encode()
    query = request.scope["query_string"]
    url = raw_path.decode("latin-1") + (f"?{query.decode('latin-1')}" if query else "")
    headers = request.headers
    try:
        sigv4.verify(
            method=request.method,
            url=url,
            headers=headers,
            body_sha256=hashlib.sha256(body).hexdigest(),
            secrets=credentials,
            now=datetime.now(UTC),
        )
        return sigv4.credential(url=url, headers=headers).service
    except BadSignature as exc:
        raise ServiceError("ForbiddenException", f"The request's signature was refused: {exc.message}.", 403) from exc


def _refusal(error: ServiceError) -> JSONResponse:
    return JSONResponse(
        {"message": error.message, "__type": error.code}, error.status, {"x-amzn-errortype": error.code}
    )


def _route(operation: OperationModel) -> tuple[str, re.Pattern[str], OperationModel]:
    path = operation.http["requestUri"].split("?")[0]
    pattern = re.sub(r"\\\{(\w+)\\?\+?\\\}", r"(?P<\1>[^/]+)", re.escape(path))
    return operation.http["method"], re.compile(pattern + "/?"), operation


def _location(shape: Any) -> str | None:
    location = shape.serialization.get("location")
    return None if location is None else str(location)


def _without(shape: StructureShape, names: set[str]) -> StructureShape:
    """The same structure without members that travel outside the body."""
    model = dict(shape._shape_model)
    model["members"] = {name: member for name, member in model["members"].items() if name not in names}
    model["required"] = [name for name in model.get("required", []) if name not in names]
    return StructureShape(shape.name, model, shape._shape_resolver)


def _json(body: bytes) -> Any:
    if not body.strip():
        return {}
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as exc:
        raise shapes.Misfit(f"the body is not JSON: {exc}") from exc
