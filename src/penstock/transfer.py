"""A file on disk -> the presigned requests of its upload: streamed, in parallel parts, retried, resumed.

Never holds more than a few chunks in memory, and never sends the API key to the object store.
"""

from __future__ import annotations

import hashlib
import io
import json
import mimetypes
import random
import stat
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import httpx

from penstock.errors import Conflict, InvalidRequest, NotFound, Unavailable, UpstreamError
from penstock.model import JsonObject

CHUNK_BYTES = 256 * 1024
PARALLEL_PARTS = 4
SIGNED_AT_ONCE = 16
ATTEMPTS = 9
FIRST_DELAY_S, LONGEST_DELAY_S = 0.3, 15.0
_TIMEOUT = httpx.Timeout(60, connect=10)
_REQUEST_TIMEOUT, _TOO_MANY_REQUESTS, _FORBIDDEN = 408, 429, 403


class Server(Protocol):
    """What a transfer asks of the HTTP API; `penstock.client.Client` is one."""

    url: str
    cache_dir: Path

    def announce(self, file_name: str, size_bytes: int, title: str | None, content_type: str | None) -> JsonObject: ...
    def asset(self, asset_id: str) -> JsonObject: ...
    def get_upload(self, asset_id: str, *, patient: bool = False) -> JsonObject: ...
    def sign_parts(self, asset_id: str, numbers: list[int]) -> dict[int, str]: ...
    def parts_done(self, asset_id: str) -> dict[int, JsonObject]: ...
    def complete_upload(self, asset_id: str, etags: dict[int, str]) -> JsonObject: ...


@dataclass(frozen=True)
class Source:
    """A file as it was when the upload began. `mtime_ns` and size tell whether it is still the same."""

    path: Path
    size_bytes: int
    mtime_ns: int

    @classmethod
    def of(cls, path: Path) -> Source:
        try:
            found = path.stat()
            if stat.S_ISREG(found.st_mode):  # nobody may ever write to a pipe, which opening it would wait for
                path.open("rb").close()
        except FileNotFoundError as exc:
            raise InvalidRequest(f"there is no file {path}") from exc
        except OSError as exc:
            raise InvalidRequest(f"{path} cannot be read: {exc.strerror}") from exc
        if not stat.S_ISREG(found.st_mode):
            raise InvalidRequest(f"{path} is not a regular file")
        if not found.st_size:
            raise InvalidRequest(f"{path} is empty (0 bytes); choose a file that holds a film")
        return cls(path, found.st_size, found.st_mtime_ns)

    def check_unchanged(self) -> None:
        try:
            same = Source.of(self.path) == self
        except InvalidRequest:
            same = False
        if not same:
            raise Conflict(f"{self.path} changed while it was uploaded; upload it again when it is finished")

    @property
    def name(self) -> str:
        return self.path.name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


class Record:
    """Remembers below the cache folder which asset an unfinished upload of a file belongs to. Holds no secret."""

    def __init__(self, cache_dir: Path, url: str, source: Source) -> None:
        what = "\n".join((url, str(source.path.resolve()), str(source.size_bytes), str(source.mtime_ns)))
        name = hashlib.sha256(what.encode("utf-8", "surrogateescape")).hexdigest()[:32]
        self._file = cache_dir / "uploads" / f"{name}.json"

    def asset_id(self) -> str | None:
        try:
            found = json.loads(self._file.read_text())["asset_id"]
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return found if isinstance(found, str) else None

    def keep(self, asset_id: str) -> None:
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            self._file.write_text(json.dumps({"asset_id": asset_id}))
        except OSError:
            return  # without a record there is only no resuming

    def forget(self) -> None:
        self._file.unlink(missing_ok=True)


class Progress:
    """Adds up what the parts have sent; safe from several threads."""

    def __init__(self, total_bytes: int, tell: Callable[[int, int], None]) -> None:
        self._total = total_bytes
        self._tell = tell
        self._lock = threading.Lock()
        self._sent: dict[int, int] = {}

    def set(self, part: int, sent_bytes: int) -> None:
        with self._lock:
            self._sent[part] = sent_bytes
            self._tell(sum(self._sent.values()), self._total)


def upload(
    server: Server,
    path: Path,
    title: str | None,
    on_progress: Callable[[int, int], None],
    on_asset: Callable[[str], None],
) -> JsonObject:
    """See Client.upload."""
    source = Source.of(path)
    record = Record(server.cache_dir, server.url, source)
    progress = Progress(source.size_bytes, on_progress)
    asset_id, instructions = _resume(server, record) or _announce(server, source, title)
    record.keep(asset_id)
    on_asset(asset_id)
    with httpx.Client(timeout=_TIMEOUT) as store:
        if instructions is None:
            etags: dict[int, str] = {}  # every byte is there already
        elif instructions["method"] == "post":
            etags = _post(server, store, asset_id, instructions, source, progress)
        else:
            etags = _Parts(server, store, asset_id, instructions, source, progress).send()
    source.check_unchanged()
    asset = server.complete_upload(asset_id, etags)
    record.forget()
    return asset


def _resume(server: Server, record: Record) -> tuple[str, JsonObject | None] | None:
    """The unfinished upload of the same file, if the server still has it."""
    if (asset_id := record.asset_id()) is None:
        return None
    try:
        return asset_id, server.get_upload(asset_id)
    except Conflict:
        # The last run ended between the last byte and its own end, or somebody cancelled the upload.
        if _is_there(server, asset_id):
            return asset_id, None
    except (NotFound, InvalidRequest):
        pass
    record.forget()
    return None


def _is_there(server: Server, asset_id: str) -> bool:
    return bool(server.asset(asset_id)["state"] != "failed")


def _announce(server: Server, source: Source, title: str | None) -> tuple[str, JsonObject]:
    content_type = mimetypes.guess_type(source.path.name)[0]
    answer = server.announce(source.name, source.size_bytes, title, content_type)
    return answer["asset"]["id"], answer["upload"]


def _post(
    server: Server, store: httpx.Client, asset_id: str, instructions: JsonObject, source: Source, progress: Progress
) -> dict[int, str]:
    def attempt(number: int) -> bool:
        try:
            form = server.get_upload(asset_id, patient=True) if number else instructions
        except Conflict:
            return _is_there(server, asset_id)  # only the answer was lost
        source.check_unchanged()
        with _Counted(source.path, lambda sent: progress.set(1, min(sent, source.size_bytes))) as content:
            response = store.post(form["url"], data=form["fields"], files={"file": ("source", content)})
        return _accepted(response)

    _retry(attempt, "the file")
    return {}


class _Counted(io.FileIO):
    """A file that tells how far it has been read."""

    def __init__(self, path: Path, tell: Callable[[int], None]) -> None:
        super().__init__(path)
        self._told = tell

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(-1 if size is None else size)
        self._told(self.tell())
        return data or b""


class _Parts:
    """The parts of one multipart upload, several at a time."""

    def __init__(
        self,
        server: Server,
        store: httpx.Client,
        asset_id: str,
        instructions: JsonObject,
        source: Source,
        progress: Progress,
    ) -> None:
        self._server, self._store, self._asset_id = server, store, asset_id
        self._source, self._progress = source, progress
        self._size, self._count = instructions["part_size_bytes"], instructions["part_count"]
        self._urls: dict[int, str] = {}
        self._signing = threading.Lock()
        self._stop = threading.Event()
        self._missing: list[int] = []

    def send(self) -> dict[int, str]:
        """Send what is not there yet; returns the ETags of all parts, by number."""
        etags = {}
        for number, part in self._server.parts_done(self._asset_id).items():
            if part["size_bytes"] == self._length(number):
                etags[number] = part["etag"]
                self._progress.set(number, part["size_bytes"])
        self._missing = [number for number in range(1, self._count + 1) if number not in etags]
        with ThreadPoolExecutor(PARALLEL_PARTS, thread_name_prefix="part") as pool:
            futures = {number: pool.submit(self._send, number) for number in self._missing}
            try:
                ended, _ = wait(futures.values(), return_when=FIRST_EXCEPTION)
            finally:
                self._stop.set()
                pool.shutdown(cancel_futures=True)
        for future in ended:
            future.result()  # raises what ended it, not what that did to the others
        return etags | {number: future.result() for number, future in futures.items()}

    def _length(self, number: int) -> int:
        return int(min(self._size, self._source.size_bytes - (number - 1) * self._size))

    def _send(self, number: int) -> str:
        etag = ""

        def attempt(count: int) -> bool:
            nonlocal etag
            headers = {"Content-Length": str(self._length(number))}
            url = self._url(number, fresh=count > 0)
            response = self._store.put(url, content=self._chunks(number), headers=headers)
            etag = response.headers.get("ETag", "")
            return _accepted(response)

        _retry(attempt, f"part {number} of {self._count}", self._stop)
        return etag

    def _chunks(self, number: int) -> Iterator[bytes]:
        left = self._length(number)
        with self._source.path.open("rb") as file:
            file.seek((number - 1) * self._size)
            while left and not self._stop.is_set():
                chunk = file.read(min(CHUNK_BYTES, left))
                if not chunk:
                    raise Conflict(f"{self._source.path} became shorter while it was uploaded; upload it again")
                yield chunk
                left -= len(chunk)
                self._progress.set(number, self._length(number) - left)

    def _url(self, number: int, *, fresh: bool) -> str:
        """The address of a part; signed together with those that come next."""
        with self._signing:
            if fresh or number not in self._urls:
                next_ones = [other for other in self._missing if other >= number][:SIGNED_AT_ONCE]
                self._urls.update(self._server.sign_parts(self._asset_id, next_ones))
            return self._urls.pop(number)


def _accepted(response: httpx.Response) -> bool:
    """True when the store took it, False when trying again may help. Raises UpstreamError when it will not.

    403 may be a signature that has expired on the way: it is signed anew for the next attempt.
    """
    status = response.status_code
    if response.is_success:
        return True
    if status in (_REQUEST_TIMEOUT, _TOO_MANY_REQUESTS, _FORBIDDEN) or status >= 500:
        return False
    raise UpstreamError(f"the object store refused it (HTTP {status}); upload the file again")


def _retry(attempt: Callable[[int], bool], what: str, stop: threading.Event | None = None) -> None:
    stop = stop or threading.Event()
    for count in range(ATTEMPTS):
        try:
            if attempt(count):
                return
            reason = "refused it"
        except httpx.TransportError as exc:
            reason = f"gave no answer ({type(exc).__name__})"
        except OSError as exc:
            raise InvalidRequest(f"the file cannot be read: {exc.strerror or exc}") from exc
        if stop.wait(min(FIRST_DELAY_S * 2**count, LONGEST_DELAY_S) * random.uniform(0.5, 1)):  # noqa: S311
            raise Unavailable("the upload was stopped")
    raise Unavailable(
        f"{what} could not be sent: the object store {reason}, {ATTEMPTS} times; "
        "is it running, and has it room? Run the same command to go on"
    )
