"""Tries to get everything an asset has, as somebody would who should not: what comes out is a leak.

It speaks HTTP alone: the API with a key to learn what there is and to open sessions, then the edge, the API and S3 like
any stranger. It ends the sessions that it opened, and keeps nothing of what it got.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote, urlsplit

import httpx

from penstock.client import Client
from penstock.errors import Conflict, NotFound, PenstockError
from penstock.model import JsonObject, KeyId

VIEWER = "penstock-audit"
REVOKED_WITHIN_S = 5.0
EXPIRING_TTL_S = 1
AT_ONCE = 8
HEAD_BYTES = 65536
"""Of each object so much is asked for: enough for any initialization segment."""

_KINDS = {
    ".mpd": "manifests",
    ".m3u8": "manifests",
    ".smil": "manifests",
    ".mp4": "MP4 files",
    ".mov": "MP4 files",
    ".m4s": "segments",
    ".cmfv": "segments",
    ".cmfa": "segments",
    ".cmft": "captions",
    ".vtt": "captions",
    ".srt": "captions",
    ".ttml": "captions",
    ".jpg": "pictures",
    ".png": "pictures",
}
_HANDLER = re.compile(rb"hdlr.{8}(vide|soun)", re.DOTALL)
_KEY_URI = re.compile(r'#EXT-X-(?:SESSION-)?KEY:[^\n]*URI="(https?://[^"]+)"')


@dataclass(frozen=True)
class Try:
    """One request and what came of it. `leak`: it got what it should not; `rightful`: it got what its right is for."""

    right: str
    kind: str
    address: str
    got: str
    leak: bool
    rightful: bool = False


@dataclass(frozen=True)
class Row:
    right: str
    kind: str
    tried: int
    refused: int
    rightful: int
    came_out: int


@dataclass
class Report:
    asset_id: str
    tries: list[Try] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What could not be tried, or is known and not counted."""

    @property
    def leaks(self) -> list[Try]:
        return [each for each in self.tries if each.leak]

    def rows(self) -> list[Row]:
        """One row for each right and kind of thing, in the order in which they were tried."""
        tried = Counter((each.right, each.kind) for each in self.tries)
        rightful = Counter((each.right, each.kind) for each in self.tries if each.rightful)
        leaked = Counter((each.right, each.kind) for each in self.leaks)
        return [
            Row(*key, count, count - rightful[key] - leaked[key], rightful[key], leaked[key])
            for key, count in tried.items()
        ]

    def as_json(self) -> JsonObject:
        return {
            "asset_id": self.asset_id,
            "rows": [asdict(row) for row in self.rows()],
            "leaks": [asdict(leak) for leak in self.leaks],
            "notes": self.notes,
        }


@dataclass(frozen=True)
class Right:
    """What a stranger has: cookies, a prefix with a path token, a license token."""

    name: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """The Cookie header of a browser that has this right."""
    prefix: str = field(default="", repr=False)
    license_token: str = field(default="", repr=False)
    session_id: str = ""

    @classmethod
    def of(cls, name: str, session: JsonObject) -> Right:
        plain, with_token = session["dash_url"], session["dash_token_url"]
        if plain is None:
            plain, with_token = session["hls_url"], session["hls_token_url"]
        prefix = with_token.removesuffix(urlsplit(plain).path)
        return cls(name, _cookies(session), prefix, session["license_token"], session["id"])


NOTHING = Right("no right")
OTHER = "another asset's right"


def audit(client: Client, asset_id: str) -> Report:
    """Try everything. Raises NotFound or Conflict for an asset that is not there or cannot be played."""
    with httpx.Client(timeout=20, limits=httpx.Limits(max_connections=AT_ONCE)) as http:
        return _Audit(client, http, asset_id).run()


class _Audit:
    def __init__(self, client: Client, http: httpx.Client, asset_id: str) -> None:
        self._client, self._http, self._asset_id = client, http, asset_id
        self._report = Report(asset_id)
        self._opened: list[str] = []

    def run(self) -> Report:
        found = self._client.objects(asset_id=self._asset_id)
        own, kids = self._open(self._asset_id), found["key_ids"]
        addresses = self._addresses(found, own)
        try:
            for right in [NOTHING, *self._wrong_rights()]:
                self._all(right, addresses)
                self._licenses(right, kids)
            self._all(Right.of("a viewer's right", own), addresses, allowed=_folder(own))
            self._s3(found)
            self._api(kids)
            self._copied(own)
        finally:
            for session_id in self._opened:
                with suppress(PenstockError):
                    self._client.end_playback_session(session_id)
        return self._report

    def _open(self, asset_id: str, ttl_s: int | None = None, max_s: int | None = None) -> JsonObject:
        session = self._client.create_playback_session(asset_id, VIEWER, ttl_s, max_s)
        self._opened.append(session["id"])
        return session

    def _wrong_rights(self) -> Iterator[Right]:
        expiring = self._open(self._asset_id, ttl_s=EXPIRING_TTL_S, max_s=EXPIRING_TTL_S)
        ended = self._open(self._asset_id)
        self._client.end_playback_session(ended["id"])
        time.sleep(EXPIRING_TTL_S + 0.5)  # until the session expires, which nobody tells
        yield Right.of("an expired right", expiring)
        other = self._another_asset()
        if other is None:
            self._report.notes.append("another asset's right was not tried: no other asset can be played")
        else:
            yield Right.of(OTHER, other)
        self._wait_until_closed(ended)
        yield Right.of("an ended session", ended)

    def _another_asset(self) -> JsonObject | None:
        for asset in self._client.assets():
            if asset["id"] != self._asset_id and asset["state"] == "published":
                with suppress(Conflict, NotFound):
                    return self._open(asset["id"])
        return None

    def _wait_until_closed(self, session: JsonObject) -> None:
        """The edge may take its five seconds; whatever is open after them counts."""
        deadline = time.monotonic() + REVOKED_WITHIN_S
        address = session["dash_url"] or session["hls_url"]
        while time.monotonic() < deadline:
            if self._http.get(address, headers=_cookies(session)).status_code == 403:
                return
            time.sleep(0.1)

    def _addresses(self, found: JsonObject, own: JsonObject) -> list[tuple[str, str]]:
        """Kind and edge path of everything: objects, what the manifests are called, folders."""
        paths = {f"/{quote(each['object_key'])}": _kind(each["object_key"]) for each in found["objects"]}
        for name in ("dash_url", "hls_url"):
            if own[name]:
                paths[urlsplit(own[name]).path] = "manifests"
        folders = {str(parent) for path in paths for parent in PurePosixPath(path).parents if len(parent.parts) > 2}
        paths |= {f"{folder}/": "folders" for folder in folders}
        return [(kind, path) for path, kind in sorted(paths.items(), key=lambda item: (item[1], item[0]))]

    def _all(self, right: Right, addresses: Iterable[tuple[str, str]], allowed: str | None = None) -> None:
        """Ask the edge for everything, by cookie and by path token. allowed: the folder that this right opens."""

        def attempt(one: tuple[str, str]) -> list[Try]:
            kind, path = one
            ways = [self._client.url] + ([right.prefix] if right.prefix else [])
            return [self._attempt(right, kind, start, path, allowed) for start in ways]

        with ThreadPoolExecutor(AT_ONCE) as pool:
            for tries in pool.map(attempt, addresses):
                self._report.tries += tries

    def _attempt(self, right: Right, kind: str, start: str, path: str, allowed: str | None) -> Try:
        cookies = right.headers if start == self._client.url else {}
        answer = self._http.get(start + path, headers={"Range": f"bytes=0-{HEAD_BYTES - 1}", **cookies})
        got, success = _judge(answer)
        rightful = success and allowed is not None and path.startswith(allowed) and kind != "folders"
        if rightful and kind in ("segments", "MP4 files") and _is_clear(answer.content):
            got, rightful = f"{got}, video or audio that is not encrypted", False
        if rightful and kind == "manifests":
            self._key_uris(answer.text)
        return Try(right.name, kind, path, got, success and not rightful, rightful)

    def _key_uris(self, playlist: str) -> None:
        """Keys that a playlist names are for license tokens alone."""
        for address in set(_KEY_URI.findall(playlist)):
            self._note(NOTHING, "keys of playlists", address, self._http.get(address))

    def _licenses(self, right: Right, kids: list[str]) -> None:
        headers = {"Authorization": f"Bearer {right.license_token}"} if right.license_token else {}
        body = {"kids": [KeyId.from_uuid(kid).base64url for kid in kids], "type": "temporary"}
        if kids:
            address = f"{self._client.url}/v1/licenses/clearkey"
            self._note(right, "licenses", address, self._http.post(address, json=body, headers=headers))
        if right.session_id:
            # Another asset's right is good for its own session, so it is tried on this asset's.
            session_id = self._opened[0] if right.name == OTHER else right.session_id
            for what in ("claim", "heartbeat"):
                address = f"{self._client.url}/v1/playback-sessions/{session_id}/{what}"
                self._note(right, "renewals", address, self._http.post(address, headers=headers))

    def _s3(self, found: JsonObject) -> None:
        """The store itself, unsigned."""
        base = found["s3_url"].rstrip("/")
        buckets = sorted({each["bucket"] for each in found["objects"]})
        tries = [("S3 objects", f"{base}/{each['bucket']}/{quote(each['object_key'])}") for each in found["objects"]]
        for bucket in buckets:
            tries += [("S3 listings", f"{base}/{bucket}{query}") for query in ("", "?list-type=2", "?acl", "?policy")]
        for kind, address in [*tries, ("S3 listings", f"{base}/")]:
            try:
                answer = self._http.get(address, headers={"Range": f"bytes=0-{HEAD_BYTES - 1}"})
            except httpx.TransportError:
                self._report.tries.append(Try(NOTHING.name, kind, address, "no answer", False))
            else:
                self._note(NOTHING, kind, address, answer)

    def _api(self, kids: list[str]) -> None:
        """What the API tells without a key."""
        url, asset = self._client.url, f"/v1/assets/{self._asset_id}"
        paths = ["/v1/assets", asset, f"{asset}/objects", f"{asset}/poster", f"/v1/playback-sessions?viewer={VIEWER}"]
        for path in [*paths, "/internal/revocations", "/internal/events/publish"]:
            self._note(NOTHING, "API", url + path, self._http.get(url + path))
        for path in (
            f"{asset}/playback-sessions",
            "/speke/v2/copyProtection",
            "/speke/v1/copyProtection",
            "/internal/events/publish",
        ):
            self._note(NOTHING, "API", url + path, self._http.post(url + path, json={"viewer": VIEWER, "kids": kids}))

    def _copied(self, own: JsonObject) -> None:
        """A viewer's cookies sent from another address of this machine; they are bound to none, which is known."""
        address = own["dash_url"] or own["hls_url"]
        transport = httpx.HTTPTransport(local_address="127.0.0.2")
        try:
            with httpx.Client(transport=transport, timeout=5) as elsewhere:
                status = elsewhere.get(address, headers=_cookies(own)).status_code
        except httpx.TransportError:
            self._report.notes.append("a copied cookie was not tried: the edge is not on this machine")
            return
        let_in = "lets in" if status == 200 else f"is refused ({status})"
        self._report.notes.append(f"a live cookie that was copied to another address {let_in}; cookies are not bound")

    def _note(self, right: Right, kind: str, address: str, answer: httpx.Response) -> None:
        got, leak = _judge(answer)
        self._report.tries.append(Try(right.name, kind, address, got, leak))


def _cookies(session: JsonObject) -> dict[str, str]:
    return {"Cookie": "; ".join(f"{name}={value}" for name, value in session["cookies"].items())}


def _judge(answer: httpx.Response) -> tuple[str, bool]:
    """What an answer was, and whether it gave anything away: success or a way to it."""
    size = len(answer.content)
    return f"{answer.status_code}, {size} bytes", answer.is_success or answer.is_redirect


def _kind(object_key: str) -> str:
    if not object_key.startswith("assets/"):
        return "source" if object_key.startswith("inputs/") else "markers"
    return _KINDS.get(PurePosixPath(object_key).suffix.lower(), "other files")


def _folder(session: Mapping[str, Any]) -> str:
    """The folder that a viewer of this session may read: the one that both manifests are in."""
    paths = [urlsplit(session[name]).path for name in ("dash_url", "hls_url") if session[name]]
    parents = [PurePosixPath(path).parents for path in paths]
    shared = next(parent for parent in parents[0] if all(parent in others for others in parents))
    return f"{shared}/"


def _is_clear(content: bytes) -> bool:
    """Whether this is the beginning of a video or audio file whose samples are not encrypted."""
    return b"moov" in content and _HANDLER.search(content) is not None and b"sinf" not in content
