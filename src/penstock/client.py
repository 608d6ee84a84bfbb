"""The HTTP API in Python. Knows addresses and errors; every rule is the server's.

client = Client("http://127.0.0.1:8080", api_key)
asset = client.upload(Path("film.mov"))
asset = client.wait(asset["id"])
session = client.create_playback_session(asset["id"], viewer="user-4711")
"""

from __future__ import annotations

import json
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlencode, urlsplit

import httpx

from penstock import errors, transfer
from penstock.errors import InvalidRequest, PenstockError, Unavailable, UpstreamError
from penstock.formats import webhooks
from penstock.model import JsonObject

FINAL_STATES = ("published", "failed")
PATIENCE_S = 90.0
"""How long everything may be away while an upload or a wait goes on: enough to start the machine's stack again."""
RESTART_S = 10.0
"""How long the API may be away behind an edge that answers: enough for the supervisor to start it again."""
_TIMEOUT = httpx.Timeout(30, connect=5)
_STREAM_TIMEOUT = httpx.Timeout(45, connect=5)  # the server sends a heartbeat every 15 s
_AWAY = (502, 503, 504)


def _kinds(kind: type[PenstockError] = PenstockError) -> Iterator[tuple[str, type[PenstockError]]]:
    yield kind.code, kind
    for below in kind.__subclasses__():
        yield from _kinds(below)


_KIND_BY_CODE = dict(_kinds())
_KIND_BY_STATUS = {401: errors.Unauthorized, 403: errors.Forbidden, 404: errors.NotFound, 409: errors.Conflict}


class Client:
    def __init__(
        self, url: str, api_key: str, *, cache_dir: Path | None = None, patience_s: float = PATIENCE_S
    ) -> None:
        """`url` is the address of the edge. `cache_dir` remembers unfinished uploads; default ~/.cache/penstock."""
        if not _is_address(url):
            raise InvalidRequest(f"the address of penstock is like http://host:8080 or https://host, got {url[:64]!r}")
        self.url = url.rstrip("/")
        self.cache_dir = cache_dir or Path.home() / ".cache" / "penstock"
        self._patience_s = patience_s
        try:
            headers = {"Authorization": f"Bearer {api_key}"}
            self._http = httpx.Client(base_url=self.url, headers=headers, timeout=_TIMEOUT)
        except (httpx.InvalidURL, UnicodeEncodeError) as exc:
            raise InvalidRequest("the address or the API key of penstock holds characters that none has") from exc
        self._finalizer = weakref.finalize(self, self._http.close)

    def __repr__(self) -> str:
        return f"Client({self.url!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        self._finalizer()

    # Assets

    def assets(self) -> Iterator[JsonObject]:
        """Every asset, newest first."""
        cursor: str | None = None
        while True:
            page = self._json("GET", "/v1/assets", params={"limit": 200} | ({"cursor": cursor} if cursor else {}))
            yield from page["assets"]
            if not (cursor := page["next"]):
                return

    def asset(self, asset_id: str) -> JsonObject:
        return self._json("GET", _asset(asset_id))

    def objects(self, asset_id: str) -> JsonObject:
        """Everything that is stored of an asset, by name."""
        return self._json("GET", f"{_asset(asset_id)}/objects")

    def delete_asset(self, asset_id: str) -> None:
        self.request("DELETE", _asset(asset_id))

    def upload(
        self,
        path: Path,
        *,
        title: str | None = None,
        on_progress: Callable[[int, int], None] | None = None,
        on_asset: Callable[[str], None] | None = None,
    ) -> JsonObject:
        """Bring a file into penstock; returns the asset, whose conversion begins by itself.

        Run again with the same unchanged file, it goes on where it was interrupted. `on_progress` is told bytes sent
        and bytes in all, from several threads; `on_asset` the asset id, as soon as it is known.
        Raises InvalidRequest for a file that cannot be taken, Unavailable or UpstreamError when the servers fail.
        """
        return transfer.upload(self, path, title, on_progress or _ignore, on_asset or _ignore)

    def follow(self, asset_id: str) -> Iterator[JsonObject]:
        """The asset now and after each change, until its state is final; outlives a restart of the server."""
        away_since: float | None = None
        while True:
            try:
                for asset in self._stream(f"{_asset(asset_id)}/events"):
                    away_since = None
                    yield asset
                    if asset["state"] in FINAL_STATES:
                        return
            except (Unavailable, UpstreamError):
                away_since = away_since or time.monotonic()
                if time.monotonic() - away_since > self._patience_s:
                    raise
            time.sleep(0.3)

    def wait(self, asset_id: str, on_change: Callable[[JsonObject], None] | None = None) -> JsonObject:
        """The asset once it is published or failed."""
        asset: JsonObject = {}
        for asset in self.follow(asset_id):
            if on_change is not None:
                on_change(asset)
        return asset

    # Playback sessions

    def create_playback_session(
        self,
        asset_id: str,
        viewer: str,
        ttl_s: int | None = None,
        max_s: int | None = None,
        overlay: bool | str | None = None,
    ) -> JsonObject:
        body = {"viewer": viewer, "ttl_s": ttl_s, "max_s": max_s, "overlay": overlay}
        body = {name: value for name, value in body.items() if value is not None}
        return self._json("POST", f"{_asset(asset_id)}/playback-sessions", body=body)

    def playback_session(self, session_id: str) -> JsonObject:
        return self._json("GET", _session(session_id))

    def playback_sessions(self, viewer: str) -> Iterator[JsonObject]:
        """All sessions of a viewer, newest first."""
        return self._sessions({"viewer": viewer})

    def suspicious_sessions(self, min_score: int = 60) -> Iterator[JsonObject]:
        """Sessions of anybody with this score or more, newest first."""
        return self._sessions({"min_score": str(min_score)})

    def _sessions(self, query: dict[str, str]) -> Iterator[JsonObject]:
        while True:
            page = self._json("GET", f"/v1/playback-sessions?{urlencode(query)}")
            yield from page["playback_sessions"]
            if page["next"] is None:
                return
            query["cursor"] = page["next"]

    def end_playback_sessions(self, viewer: str) -> int:
        """End all live sessions of a viewer; returns how many there were."""
        return int(self._json("DELETE", f"/v1/playback-sessions?{urlencode({'viewer': viewer})}")["ended"])

    def end_playback_session(self, session_id: str) -> None:
        self.request("DELETE", _session(session_id))

    # Webhooks

    def webhooks(self) -> list[JsonObject]:
        return list(self._json("GET", "/v1/webhooks")["webhooks"])

    def add_webhook(self, url: str, events: Sequence[str] = (), description: str = "") -> JsonObject:
        """Register an address; the answer has its `secret`, for `verify_webhook`. No events are all of them."""
        body = {"url": url, "events": list(events), "description": description}
        return self._json("POST", "/v1/webhooks", body=body)

    def change_webhook(self, endpoint_id: str, **changes: Any) -> JsonObject:
        """Change url, events, description or enabled."""
        return self._json("PATCH", _webhook(endpoint_id), body=changes)

    def remove_webhook(self, endpoint_id: str) -> None:
        self.request("DELETE", _webhook(endpoint_id))

    def test_webhook(self, endpoint_id: str) -> str:
        """Have a test event sent; returns its id."""
        return str(self._json("POST", f"{_webhook(endpoint_id)}/test")["event_id"])

    def rotate_webhook_secret(self, endpoint_id: str) -> str:
        return str(self._json("POST", f"{_webhook(endpoint_id)}/rotate-secret")["secret"])

    def webhook_deliveries(self, endpoint_id: str) -> Iterator[JsonObject]:
        """What was sent to an endpoint, newest first."""
        query = ""
        while True:
            page = self._json("GET", f"{_webhook(endpoint_id)}/deliveries{query}")
            yield from page["deliveries"]
            if page["next"] is None:
                return
            query = f"?before={page['next']}"

    def retry_delivery(self, endpoint_id: str, delivery_id: int) -> None:
        self.request("POST", f"{_webhook(endpoint_id)}/deliveries/{delivery_id}/retry")

    # Uploads, for `transfer`

    def announce(self, file_name: str, size_bytes: int, title: str | None, content_type: str | None) -> JsonObject:
        body = {"file_name": file_name, "size_bytes": size_bytes, "title": title, "content_type": content_type}
        return self._json("POST", "/v1/assets", body={name: value for name, value in body.items() if value is not None})

    def get_upload(self, asset_id: str, *, patient: bool = False) -> JsonObject:
        return self._json("GET", f"{_asset(asset_id)}/upload", patient=patient)

    def sign_parts(self, asset_id: str, numbers: list[int]) -> dict[int, str]:
        answer = self._json("POST", f"{_asset(asset_id)}/upload/parts", body={"part_numbers": numbers}, patient=True)
        return {part["part_number"]: part["url"] for part in answer["parts"]}

    def parts_done(self, asset_id: str) -> dict[int, JsonObject]:
        answer = self._json("GET", f"{_asset(asset_id)}/upload/parts", patient=True)
        return {part["part_number"]: part for part in answer["parts"]}

    def complete_upload(self, asset_id: str, etags: dict[int, str]) -> JsonObject:
        parts = [{"part_number": number, "etag": etag} for number, etag in sorted(etags.items())]
        return self._json("POST", f"{_asset(asset_id)}/upload/complete", body={"parts": parts}, patient=True)

    # The wire

    def _json(self, method: str, path: str, **options: Any) -> JsonObject:
        response = self.request(method, path, **options)
        try:
            answer = response.json()
        except ValueError as exc:
            raise UpstreamError(f"{self.url} did not answer as penstock does; is it the right address?") from exc
        if not isinstance(answer, dict):
            raise UpstreamError(f"{self.url} did not answer as penstock does; is it the right address?")
        return answer

    def request(
        self, method: str, path: str, *, body: object = None, params: Any = None, patient: bool = False
    ) -> httpx.Response:
        """Call the API. A server that starts again behind its edge is waited for; with `patient` also a lost edge.

        Raises the error that the server named; Unavailable when there is no server.
        """
        began, delay_s = time.monotonic(), 0.2
        no_edge_s = self._patience_s if patient else 0
        no_server_s = self._patience_s if patient else min(RESTART_S, self._patience_s)
        while True:
            waited_s = time.monotonic() - began
            try:
                response = self._http.request(method, path, json=body, params=params)
                if response.status_code not in _AWAY or waited_s >= no_server_s:
                    break
            except httpx.TransportError as exc:
                if waited_s >= no_edge_s:
                    raise self._no_answer(exc) from exc
            time.sleep(delay_s)
            delay_s = min(delay_s * 2, 5)
        if not response.is_success:
            raise error_of(response)
        return response

    def _stream(self, path: str) -> Iterator[JsonObject]:
        try:
            with self._http.stream("GET", path, timeout=_STREAM_TIMEOUT) as response:
                if not response.is_success:
                    response.read()
                    raise error_of(response)
                name = ""
                for line in response.iter_lines():
                    field, _, value = line.partition(": ")
                    if field == "event":
                        name = value
                    elif field == "data" and name == "asset":
                        yield json.loads(value)
                    elif field == "data" and name == "deleted":
                        raise errors.NotFound("the asset has been deleted")
        except httpx.TransportError as exc:
            raise self._no_answer(exc) from exc

    def _no_answer(self, exc: httpx.TransportError) -> Unavailable:
        return Unavailable(f"no answer from {self.url} ({type(exc).__name__}); is `penstock up` running?")


def verify_webhook(secret: str, headers: Mapping[str, str], body: bytes) -> JsonObject:
    """The event of a webhook that Penstock sent just now; `body` as it came, before anything decoded it.

    Raises BadSignature for anything else. The header `webhook-id` is the same when an event comes again.
    """
    webhooks.verify(secret, headers, body, time.time())
    event = json.loads(body)
    if not isinstance(event, dict):
        raise errors.BadSignature("a webhook's body is a JSON object")
    return event


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def error_of(response: httpx.Response) -> PenstockError:
    """The error that the server named, as ours."""
    try:
        told = response.json()["error"]
        code, message = str(told["code"]), str(told["message"])
    except (ValueError, KeyError, TypeError):
        code, message = "", f"the server answered {response.status_code} without a reason"
    status = response.status_code
    usual = InvalidRequest if 400 <= status < 500 else UpstreamError
    return _KIND_BY_CODE.get(code, _KIND_BY_STATUS.get(status, usual))(message)


def _asset(asset_id: str) -> str:
    return f"/v1/assets/{_segment(asset_id)}"


def _session(session_id: str) -> str:
    return f"/v1/playback-sessions/{_segment(session_id)}"


def _webhook(endpoint_id: str) -> str:
    return f"/v1/webhooks/{_segment(endpoint_id)}"


def _segment(text: str) -> str:
    # An id never holds anything else; a path made of user input must not lead elsewhere.
    if not text or not all(char.isascii() and (char.isalnum() or char == "-") for char in text):
        raise InvalidRequest(f"{text[:64]!r} is not an id; `penstock assets` lists those there are")
    return text


def _ignore(*_args: object) -> None:
    return
