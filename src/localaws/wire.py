"""AWS services on the wire, straight from botocore's models: routing, validation, errors, signatures.

A provider is an object with one method per offered operation, named as boto3 names it, from parameters (a dict by
member names) to a response (the same). What it has no method for answers 501 with the operation's name. Every request
is signed or refused; the response to a mistake of ours carries a request id and nothing else.
Source: https://smithy.io/2.0/aws/protocols/ (restJson1, awsJson1_1).
"""

from __future__ import annotations

import errno
import json
import logging
import re
import sqlite3
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qsl, unquote

from botocore import xform_name
from botocore.model import OperationModel, StructureShape
from botocore.session import get_session
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from localaws.config import Credentials
from localaws.shapes import Misfit, members_at, read, read_text, write
from penstock.errors import BadSignature, PenstockError
from penstock.formats import sigv4

MAX_BODY_BYTES = 2 * 2**20
DISK_FULL = "the disk that holds the data folder is full; free some space and try again"
_log = logging.getLogger(__name__)

_STATUS = {
    "ForbiddenException": 403,
    "NotFoundException": 404,
    "ConflictException": 409,
    "RequestEntityTooLargeException": 413,
    "UnprocessableEntityException": 422,
    "TooManyRequestsException": 429,
    "InternalServerErrorException": 500,
    "NotImplementedException": 501,
    "ServiceUnavailableException": 503,
}


class ServiceError(Exception):
    """What a service answers instead of a result. `code` names an AWS error shape; the status follows from it."""

    def __init__(self, code: str, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status or _STATUS.get(code, 400)


@dataclass(frozen=True)
class Call:
    """One request, received whole: method, path and query as sent (percent-encoded), headers in lower case, body."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class _RestRoute:
    method: str
    path: re.Pattern[str]
    operation: OperationModel


class Service:
    """One AWS service: `providers` behind botocore's model of `name`; an operation is the first one's that has it."""

    def __init__(self, name: str, *providers: object) -> None:
        self.name = name
        self.model = get_session().get_service_model(name)
        self.signing_name: str = self.model.signing_name
        self._providers = providers
        self._rest = self.model.protocol == "rest-json"
        if self.model.protocol not in ("rest-json", "json"):
            raise ValueError(f"{name} speaks {self.model.protocol}, which is not spoken here")
        operations = [self.model.operation_model(operation) for operation in self.model.operation_names]
        self._by_name = {operation.name: operation for operation in operations}
        self._routes = [_rest_route(operation) for operation in operations] if self._rest else []

    @property
    def content_type(self) -> str:
        return "application/json" if self._rest else "application/x-amz-json-1.1"

    def invoke(self, call: Call) -> tuple[int, dict[str, Any]]:
        """Answer one request with a status and a JSON object. Raises ServiceError; blocks while the provider works."""
        operation, labels = self.find(call)
        name = xform_name(operation.name)
        method = next((getattr(one, name) for one in self._providers if hasattr(one, name)), None)
        if method is None:
            raise ServiceError("NotImplementedException", f"{operation.name} of {self.name} is not offered here")
        try:
            params = self._params(operation, labels, call)
        except Misfit as exc:
            raise ServiceError("BadRequestException" if self._rest else "ValidationException", str(exc)) from exc
        result = method(params) or {}
        shape = operation.output_shape
        return int(operation.http.get("responseCode", 200)), write(shape, result) if shape else {}

    def find(self, call: Call) -> tuple[OperationModel, dict[str, str]]:
        """The operation that a request means, and the parameters in its path. Raises ServiceError for none."""
        if not self._rest:
            prefix, _, name = call.headers.get("x-amz-target", "").rpartition(".")
            if prefix != self.model.metadata["targetPrefix"] or name not in self._by_name:
                raise ServiceError("UnknownOperationException", f"X-Amz-Target names no operation of {self.name}")
            return self._by_name[name], {}
        for route in self._routes:
            # The path as sent: an ARN in it has its slashes percent-encoded.
            if route.method == call.method and (match := route.path.fullmatch(call.path)):
                return route.operation, {name: unquote(text) for name, text in match.groupdict().items()}
        raise ServiceError("NotFoundException", f"{self.name} has no operation at {call.method} {call.path[:200]}")

    def _params(self, operation: OperationModel, labels: Mapping[str, str], call: Call) -> dict[str, Any]:
        shape = operation.input_shape
        if shape is None:
            return {}
        assert isinstance(shape, StructureShape)
        if not self._rest:
            return read(shape, _json_object(call.body))
        params = _query_params(shape, call.query)
        for key, (name, member) in members_at(shape, "uri").items():
            params[name] = read_text(member, labels[_label(key)], key)
        for key, (name, member) in members_at(shape, "header").items():
            if (text := call.headers.get(key.lower())) is not None:
                params[name] = read_text(member, text, key)
        params |= read(shape, _json_object(call.body))
        if missing := [name for name in shape.required_members if name not in params]:
            raise Misfit([f"{name} is required" for name in missing])
        return params


def application(services: Iterable[Service], credentials: Credentials, routes: Iterable[BaseRoute] = ()) -> Starlette:
    """The ASGI application that answers for `services`, told apart by the service that a request is signed for.

    routes: further paths, which need no signature; they guard themselves.
    """
    front = _Front(services, credentials)
    methods = ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD"]
    return Starlette(routes=[*routes, Route("/{path:path}", front.answer, methods=methods)])


class _Front:
    """Receives a request, verifies who sent it, hands it to its service, and puts what comes of it into a response."""

    def __init__(self, services: Iterable[Service], credentials: Credentials) -> None:
        self._services = {service.signing_name: service for service in services}
        self._secrets = {credentials.access_key_id: credentials.secret_access_key}

    async def answer(self, request: Request) -> Response:
        request_id = str(uuid.uuid4())
        service: Service | None = None
        try:
            call = await receive(request)
            service = self._authenticate(call)
            status, document = await run_in_threadpool(service.invoke, call)
            headers = {"x-amzn-requestid": request_id}
            if status == 204:
                return Response(status_code=status, headers=headers)
            return Response(json.dumps(document, allow_nan=False), status, headers, service.content_type)
        except ServiceError as exc:
            return refusal(exc, request_id, service)
        except ClientDisconnect:
            return Response(status_code=400)
        except Exception as exc:  # noqa: BLE001 - the top of a face: whatever it was, the client learns an id only
            return refusal(_translate(exc, request_id), request_id, service)

    def _authenticate(self, call: Call) -> Service:
        url = call.path + (f"?{call.query}" if call.query else "")
        try:
            claimed = sigv4.credential(url=url, headers=call.headers)
        except BadSignature as exc:
            code = "IncompleteSignature" if "authorization" in call.headers else "MissingAuthenticationToken"
            raise ServiceError(f"{code}Exception", f"the request is not signed: {exc.message}", 403) from exc
        if claimed.access_key_id not in self._secrets:
            raise ServiceError("UnrecognizedClientException", "the access key id is not known here", 403)
        try:
            sigv4.verify(
                method=call.method,
                url=url,
                headers=call.headers,
                body_sha256=sha256(call.body).hexdigest(),
                secrets=self._secrets,
                now=datetime.now(UTC),
            )
        except BadSignature as exc:
            raise ServiceError("InvalidSignatureException", exc.message, 403) from exc
        if (service := self._services.get(claimed.service)) is None:
            name, offered = claimed.service[:64], ", ".join(sorted(self._services))
            raise ServiceError("NotImplementedException", f"{name} is not offered here; offered: {offered}")
        return service


async def receive(request: Request) -> Call:
    """Read a request whole. Raises ServiceError when it has more than MAX_BODY_BYTES."""
    announced = request.headers.get("content-length", "0")
    too_large = ServiceError("RequestEntityTooLargeException", f"a request has at most {MAX_BODY_BYTES} bytes")
    if not announced.isdecimal() or int(announced) > MAX_BODY_BYTES:
        raise too_large
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MAX_BODY_BYTES:
            raise too_large
    raw_path: bytes = request.scope.get("raw_path") or request.scope["path"].encode()
    return Call(
        method=request.method,
        path=raw_path.partition(b"?")[0].decode("latin-1"),
        query=request.scope["query_string"].decode("latin-1"),
        headers={name: ",".join(request.headers.getlist(name)) for name in request.headers},
        body=bytes(body),
    )


def refusal(error: ServiceError, request_id: str, service: Service | None = None) -> Response:
    """An error as AWS writes it: its name in a header and, for the JSON 1.1 protocol, in the body."""
    document = {"__type": error.code, "message": error.message}
    headers = {"x-amzn-requestid": request_id, "x-amzn-errortype": error.code}
    content_type = service.content_type if service else "application/json"
    return Response(json.dumps(document), error.status, headers, content_type)


def _translate(exc: Exception, request_id: str) -> ServiceError:
    if isinstance(exc, PenstockError) and exc.http_status < 500:
        return ServiceError("BadRequestException", exc.message)
    if isinstance(exc, PenstockError) and exc.retryable:
        _log.warning("request %s: %s", request_id, exc.message)
        return ServiceError("ServiceUnavailableException", exc.message)
    if is_disk_full(exc):
        _log.error("request %s: the disk is full", request_id)
        return ServiceError("ServiceUnavailableException", DISK_FULL)
    _log.error("request %s failed", request_id, exc_info=exc)
    return ServiceError("InternalServerErrorException", f"internal error; the log knows more of request {request_id}")


def is_disk_full(exc: BaseException | None) -> bool:
    """Whether a full disk or quota is behind an error, perhaps as its cause."""
    while exc is not None:
        if isinstance(exc, OSError) and exc.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        if isinstance(exc, sqlite3.Error) and getattr(exc, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
            return True
        exc = exc.__cause__ or exc.__context__
    return False


def _rest_route(operation: OperationModel) -> _RestRoute:
    path, _, query = operation.http["requestUri"].partition("?")
    shape = operation.input_shape
    if query or (shape is not None and "payload" in shape.serialization):
        raise ValueError(f"{operation.name} has a fixed query or a payload member, which are not spoken here")
    pattern = "".join(_path_part(part) for part in re.split(r"(\{[^}]+\})", path))
    return _RestRoute(operation.http["method"], re.compile(pattern.rstrip("/") + "/?"), operation)


def _path_part(part: str) -> str:
    if not part.startswith("{"):
        return re.escape(part)
    greedy = part.endswith("+}")
    return f"(?P<{_label(part.strip('{}+'))}>{'.+' if greedy else '[^/]+'})"


def _label(name: str) -> str:
    return re.sub(r"\W", "_", name)


def _query_params(shape: StructureShape, query: str) -> dict[str, Any]:
    known = members_at(shape, "querystring")
    params: dict[str, Any] = {}
    for key, text in parse_qsl(query, keep_blank_values=True):
        if key.startswith("X-Amz-"):
            continue
        if key not in known:
            raise Misfit([f"{key[:64]} is not known in the query"])
        name, member = known[key]
        if member.type_name == "list":
            params.setdefault(name, []).append(read_text(member.member, text, key))
        elif name in params:
            raise Misfit([f"{key} is given twice"])
        else:
            params[name] = read_text(member, text, key)
    return params


def _json_object(body: bytes) -> dict[str, Any]:
    if not body.strip():
        return {}
    try:
        document = json.loads(body, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as exc:
        raise Misfit([f"the body is not JSON: {str(exc)[:100]}"]) from exc
    if not isinstance(document, dict):
        raise Misfit(["the body is to be a JSON object"])
    return document


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number")
