"""The edge as an RSGI application: which behavior a request belongs to, whether it may pass, who answers it.

Never lets a request of a signed behavior near an origin before its signature holds, and never logs a query string, a
cookie or a body. Source: RSGI specification 1.5 (Granian).
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote, urlsplit

from localaws.edge.admission import Admission, Admitted, Asked
from localaws.edge.answers import COMMON, TOO_FAST, CrossOrigin, Headers, refuse
from localaws.edge.authorize import Authorizer
from localaws.edge.front import Front
from localaws.edge.gate import Gate, Said
from localaws.edge.media import Media
from localaws.edge.origins import OriginFailed
from localaws.edge.path_tokens import PathTokens, split, without_token
from localaws.edge.proxy import BodyRefused, Forwarded, Proxy, ViewerGone
from localaws.edge.targets import is_clean, spellings
from penstock.formats.binding import Viewer
from penstock.formats.cookies import without_signing_parameters

log = logging.getLogger(__name__)
access_log = logging.getLogger(f"{__name__}.access")

_HOST = re.compile(r"[A-Za-z0-9._-]{1,253}(:[0-9]{1,5})?|\[[0-9a-fA-F:.]{2,45}\](:[0-9]{1,5})?")
_QUERY = "".join(map(chr, range(0x21, 0x7F)))
VIEWER_GONE = 499
"""nginx's status, in the log only, for a viewer who left before the answer."""


@dataclass(frozen=True)
class Route:
    """One behavior, ready to work. serves: None refuses. authorizer: None lets everybody in."""

    matches: Callable[[str], bool]
    serves: Media | Proxy | None
    authorizer: Authorizer | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """What is needed of an RSGI scope, read once: each look at its headers copies them all."""

    method: str
    path: str
    query: str
    viewer: Viewer
    headers: Any


class Edge:
    """The RSGI application."""

    def __init__(
        self,
        routes: Sequence[Route],
        *,
        public_url: str,
        allowed_origins: Sequence[str] = (),
        path_tokens: PathTokens | None = None,
        gate: Gate | None = None,
        front: Front | None = None,
    ) -> None:
        """routes: first match wins, none refuses. public_url: where viewers reach the edge, maybe behind TLS."""
        self._routes = routes
        self._takes_tokens = path_tokens is not None
        self._admission = Admission(path_tokens)
        self._gate = gate
        self._front = front or Front()
        self._cross_origin = CrossOrigin(allowed_origins)
        public = urlsplit(public_url)
        self._public_host, self._public_scheme = public.netloc.lower(), public.scheme

    async def __rsgi__(self, scope: Any, protocol: Any) -> None:
        started = time.perf_counter()
        headers = scope.headers
        viewer = self._front.viewer(scope.client.rpartition(":")[0].strip("[]"), headers)
        request = Request(scope.method, scope.path, scope.query_string, viewer, headers)
        status, reason = await self._answer(scope, protocol, request)
        if access_log.isEnabledFor(logging.INFO):
            spent_ms = (time.perf_counter() - started) * 1000
            path = quote(without_token(request.path), safe="/-._~:,=+@")[:512]
            access_log.info("%s %s %s %d %.1f ms %s", viewer.address, request.method, path, status, spent_ms, reason)

    async def _answer(self, scope: Any, protocol: Any, request: Request) -> tuple[int, str]:
        try:
            return await self._route(scope, protocol, request)
        except OriginFailed as exc:
            log.warning("%s: %s", exc.status, exc)
            cors = self._cross_origin.headers(request.headers.get("origin"))
            return refuse(protocol, exc.status, request.method, cors), str(exc)
        except BodyRefused as exc:
            return refuse(protocol, exc.status, request.method, [("connection", "close")]), ""
        except ViewerGone:
            return VIEWER_GONE, "the viewer left"
        except Exception as exc:  # noqa: BLE001 - the top of this face
            where = exc.__traceback__
            while where and where.tb_next:
                where = where.tb_next
            place = f"{where.tb_frame.f_code.co_filename}:{where.tb_lineno}" if where else "?"
            log.error("%s at %s", type(exc).__name__, place)
            return refuse(protocol, 500, request.method), type(exc).__name__

    async def _route(self, scope: Any, protocol: Any, request: Request) -> tuple[int, str]:
        cors = self._cross_origin.headers(request.headers.get("origin"))
        host = self._host(scope, request.headers)
        if host is None or not is_clean(request.path):
            return refuse(protocol, 403, request.method, cors), "a host or path that is not taken"
        token, path = split(request.path) if self._takes_tokens else (None, request.path)
        route = next((route for route in self._routes if route.matches(path)), None)
        if route is None and request.path == "/healthz":
            protocol.response_str(200, [*COMMON, ("cache-control", "no-store")], "")
            return 200, ""
        if route is None or route.serves is None:
            return refuse(protocol, 403, request.method, cors), "no behavior lets this in"
        if isinstance(route.serves, Media) and request.method == "OPTIONS":
            protocol.response_empty(204, self._cross_origin.preflight(request.headers.get("origin")))
            return 204, ""
        if isinstance(route.serves, Media) and request.method not in {"GET", "HEAD"}:
            return refuse(protocol, 403, request.method, cors), "not a method for media"
        admitted = self._admitted(route, host, request, token, path)
        if isinstance(admitted, str):
            return refuse(protocol, 403, request.method, cors), admitted
        if isinstance(route.serves, Media):
            return await self._serve(route.serves, protocol, request, path, admitted, cors)
        request = request if token is None else replace(request, path=path)
        forwarded = self._forwarded(host, request, signed=route.authorizer is not None)
        return await route.serves.forward(protocol, forwarded), ""

    def _admitted(self, route: Route, host: str, request: Request, token: str | None, path: str) -> Admitted | str:
        if route.authorizer is None:
            return Admitted() if token is None else "no path for tokens"
        base = f"{self._scheme(host)}://{host}"
        query = f"?{request.query}" if request.query else ""
        urls = [f"{base}{spelled}{query}" for spelled in spellings(request.path)]
        asked = Asked(request.method, token, path, urls, request.headers, request.viewer)
        return self._admission.judge(route.authorizer, asked)

    async def _serve(
        self, media: Media, protocol: Any, request: Request, path: str, admitted: Admitted, cors: Headers
    ) -> tuple[int, str]:
        claims, gate = admitted.claims, self._gate
        said = Said(request.viewer.address, request.query, request.headers.get)

        async def admit(share: tuple[float, float]) -> int | None:
            return await gate.admit(claims, media.cache, path, share, said) if gate and claims else None

        try:
            status = await media.serve(protocol, request.method, path[1:], request.headers.get, cors, admit)
        except OriginFailed:
            self._admission.unmet(admitted)
            raise
        if status == TOO_FAST:
            self._admission.unmet(admitted)
            return status, "too fast"
        return status, ""

    def _forwarded(self, host: str, request: Request, *, signed: bool) -> Forwarded:
        query = f"?{quote(request.query, safe=_QUERY)}" if request.query else ""
        target = spellings(request.path)[0] + query
        return Forwarded(
            method=request.method,
            target=without_signing_parameters(target) if signed else target,
            headers=request.headers.items(),
            host=host,
            scheme=self._scheme(host),
            client_ip=request.viewer.address,
        )

    def _scheme(self, host: str) -> str:
        # TLS ends in front of the edge: only the public address knows of it.
        return self._public_scheme if host == self._public_host else "http"

    def _host(self, scope: Any, headers: Any) -> str | None:
        """The host that the viewer asked for, in lower case; None when it is missing, ambiguous or malformed."""
        hosts = headers.get_all("host")
        if len(hosts) != 1 or not _HOST.fullmatch(hosts[0]):
            return None
        host: str = hosts[0].lower()
        # An absolute-form target names the host, too; two answers to one question are none.
        return host if scope.authority is None or scope.authority.lower() == host else None
