"""Moves a job's bytes between the object store and its work folder, streaming, whatever the size of the film.

Never keeps more than a few megabytes in memory. A store that is restarting is waited for; one that says no is believed.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

import boto3
from boto3.s3.transfer import TransferConfig, create_transfer_manager
from botocore.config import Config as ClientConfig
from botocore.exceptions import ClientError, HTTPClientError, IncompleteReadError, ResponseStreamingError
from botocore.exceptions import ConnectionError as NoConnection

from localaws.config import Config
from localaws.media import addresses
from localaws.media.failures import ACCESS_DENIED, DISK, HTTP_SERVER, NOT_FOUND, JobCanceled, JobError
from localaws.media.web import Web

log = logging.getLogger(__name__)

CHUNK_BYTES = 1 << 20
UPLOADS_AT_ONCE = 8
PATIENCE_S = 120.0
_UNREACHABLE = (NoConnection, HTTPClientError, IncompleteReadError, ResponseStreamingError)


@dataclass(frozen=True)
class Upload:
    """One file of the work folder and the object it becomes."""

    path: Path
    bucket: str
    object_key: str

    @property
    def uri(self) -> str:
        return f"s3://{self.bucket}/{self.object_key}"

    @property
    def is_manifest(self) -> bool:
        return self.object_key.endswith((".mpd", ".m3u8"))


class Store:
    """The S3 server as a job sees it."""

    def __init__(
        self, config: Config, patience_s: float = PATIENCE_S, may_change: Callable[[], bool] | None = None
    ) -> None:
        """may_change: asked before every request that changes an object; a no is waited for like a store that is away.

        A process that others may have taken for dead must not touch what they write now.
        """
        self._patience_s = patience_s
        self._web = Web(config.input_networks)
        self._s3 = boto3.client(
            "s3",
            endpoint_url=config.s3_url,
            region_name=config.region,
            aws_access_key_id=config.credentials.access_key_id,
            aws_secret_access_key=config.credentials.secret_access_key,
            config=ClientConfig(
                signature_version="s3v4",
                s3={"addressing_style": "path"},
                max_pool_connections=UPLOADS_AT_ONCE + 4,
                retries={"mode": "standard", "total_max_attempts": 3},
                connect_timeout=5,
                read_timeout=60,
                # Checksums of the whole body cost a pass over it and the store verifies the signature's own.
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )

        if may_change is not None:
            self._s3.meta.events.register("before-send.s3", partial(_refuse_change, may_change))

    def close(self) -> None:
        self._s3.close()

    def fetch(self, uri: str, path: Path, cancel: Event, on_bytes: Callable[[int, int], None]) -> int:
        """Download what lies at `uri` to `path`, going on where an earlier attempt stopped; returns its size in bytes.

        on_bytes: called with bytes done and bytes in all. Raises JobError 1404, 1401, 34xx or 1050; JobCanceled.
        """
        head = self.head(uri, cancel)
        size = int(head["ContentLength"])
        _need_room(path.parent, size)
        version = re.sub(r"[^A-Za-z0-9-]", "_", head["ETag"].strip('"'))[:64]
        part = path.with_name(f"{path.name}.{version}.part")

        def attempt() -> None:
            done = part.stat().st_size if part.exists() else 0
            with part.open("ab") as file:
                for chunk in self._chunks(uri, head, done, cancel) if done < size else ():
                    if cancel.is_set():
                        raise JobCanceled
                    try:
                        file.write(chunk)
                    except OSError as exc:
                        raise disk_error(exc) from exc
                    done += len(chunk)
                    on_bytes(done, size)

        self._patiently(attempt, uri, cancel)
        if part.stat().st_size != size:
            part.unlink()
            raise JobError(HTTP_SERVER, f"{uri} changed while it was read; submit the job again")
        part.rename(path)
        return size

    def _chunks(self, uri: str, head: dict[str, Any], done: int, cancel: Event) -> Iterator[bytes]:
        if not uri.startswith("s3://"):
            yield from self._web.read(uri, head, done, cancel)
            return
        bucket, object_key = addresses.object_address(uri)
        rest = {"Range": f"bytes={done}-"} if done else {}
        answer = self._s3.get_object(Bucket=bucket, Key=object_key, IfMatch=head["ETag"], **rest)
        with contextlib.closing(answer["Body"]) as body:
            yield from body.iter_chunks(CHUNK_BYTES)

    def head(self, uri: str, cancel: Event) -> dict[str, Any]:
        """What is known of a file before it is read: ContentLength and ETag at least."""
        if not uri.startswith("s3://"):
            return self._web.head(uri, cancel)
        bucket, object_key = addresses.object_address(uri)
        found: dict[str, Any] = self._patiently(
            lambda: self._s3.head_object(Bucket=bucket, Key=object_key), uri, cancel
        )
        return found

    def check_bucket(self, bucket: str, cancel: Event) -> None:
        """Raise JobError 1404 for a destination bucket that does not exist, 1401 for one that is not ours."""
        self._patiently(lambda: self._s3.head_bucket(Bucket=bucket), f"s3://{bucket}", cancel)

    def upload(self, uploads: Sequence[Upload], cancel: Event, on_bytes: Callable[[int, int], None]) -> None:
        """Upload all files at once, manifests after everything they name. Canceled or failed, it leaves none behind.

        Raises JobError 1404, 1401 or 3450; JobCanceled.
        """
        total = sum(upload.path.stat().st_size for upload in uploads)
        tally = _Tally(total, on_bytes)
        begun: list[Upload] = []
        try:
            for manifests in (False, True):
                batch = [upload for upload in uploads if upload.is_manifest == manifests]
                begun += batch
                self._patiently(partial(self._send, batch, cancel, tally), "the destination", cancel)
        except BaseException:
            self.remove(upload.uri for upload in begun)
            raise

    def _send(self, batch: list[Upload], cancel: Event, tally: _Tally) -> None:
        if not batch:
            return
        manager = create_transfer_manager(
            self._s3,
            TransferConfig(max_concurrency=UPLOADS_AT_ONCE, multipart_threshold=32 << 20, multipart_chunksize=16 << 20),
        )
        with manager:
            futures = {
                upload: manager.upload(
                    str(upload.path),
                    upload.bucket,
                    upload.object_key,
                    extra_args={"ContentType": addresses.content_type(upload.object_key)},
                )
                for upload in batch
            }
            for upload, future in futures.items():
                while not future.done():
                    if cancel.wait(0.01):
                        # Leaving the manager by an exception cancels what is on its way.
                        raise JobCanceled
                future.result()
                tally.add(upload.path.stat().st_size)
                batch.remove(upload)

    def remove(self, uris: Iterable[str]) -> None:
        for uri in uris:
            bucket, object_key = addresses.object_address(uri)
            try:
                self._s3.delete_object(Bucket=bucket, Key=object_key)
            except (ClientError, *_UNREACHABLE) as exc:
                log.warning("an output of an ended job could not be removed: %s (%s)", uri, exc)
                return

    def _patiently(self, action: Callable[[], Any], what: str, cancel: Event) -> Any:
        """Do `action`; while the store cannot be reached or is failing, do it again, until patience ends."""
        deadline = time.monotonic() + self._patience_s
        pause_s = 0.1
        while True:
            try:
                return action()
            except ClientError as exc:
                status = exc.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
                if status < 500 and status != 429:
                    raise _translated(exc, status, what) from exc
                reason: Exception = exc
            except OSError as exc:
                if isinstance(exc, _UNREACHABLE):
                    reason = exc
                else:
                    raise disk_error(exc) from exc
            except _UNREACHABLE as exc:
                reason = exc
            if time.monotonic() > deadline:
                raise JobError(HTTP_SERVER, f"the object store did not answer for {what}; is it running?") from reason
            log.info("the object store does not answer (%s), trying again", type(reason).__name__)
            if cancel.wait(pause_s):
                raise JobCanceled
            pause_s = min(pause_s * 2, 5.0)


class _NotNow(HTTPClientError):  # type: ignore[misc]  # botocore has no types
    fmt = "nothing is changed in the object store: others may have taken this process for dead"


def _refuse_change(may_change: Callable[[], bool], request: Any, **_: Any) -> None:
    if request.method not in ("GET", "HEAD") and not may_change():
        raise _NotNow()


class _Tally:
    def __init__(self, total: int, on_bytes: Callable[[int, int], None]) -> None:
        self.done = 0
        self.total = total
        self.on_bytes = on_bytes

    def add(self, size: int) -> None:
        self.done += size
        self.on_bytes(self.done, self.total)


def _translated(exc: ClientError, status: int, what: str) -> JobError:
    if status == 404:
        return JobError(NOT_FOUND, f"{what} does not exist; check bucket and key")
    if status == 403:
        return JobError(ACCESS_DENIED, f"access to {what} is denied; check that the bucket is this stack's own")
    if status == 412:
        return JobError(HTTP_SERVER, f"{what} changed while it was read; submit the job again")
    code = exc.response.get("Error", {}).get("Code", status)
    return JobError(HTTP_SERVER, f"the object store refused {what}: {code}")


def disk_error(exc: OSError) -> JobError:
    """Say what a failed write to the work folder means; a full disk first of all."""
    if exc.errno in (errno.ENOSPC, errno.EDQUOT):
        return JobError(DISK, "the disk is full; make room below the data folder and submit the job again")
    return JobError(DISK, f"the work folder cannot be used: {exc.strerror or type(exc).__name__}")


def _need_room(folder: Path, size: int) -> None:
    status = os.statvfs(folder)
    free = status.f_bavail * status.f_frsize
    if free < size + (64 << 20):
        raise JobError(
            DISK,
            f"the source has {size >> 20} MiB and the disk {free >> 20} MiB left; make room below the data folder "
            "and submit the job again",
        )
