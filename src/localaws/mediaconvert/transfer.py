"""Moves a job's bytes between the object store and its work folder, streaming, whatever the size of the film.

Never keeps more than a few megabytes in memory. A store that is restarting is waited for; one that says no is believed.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import time
from collections.abc import Callable, Iterable, Sequence
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
from localaws.mediaconvert import naming
from localaws.mediaconvert.failures import ACCESS_DENIED, DISK, HTTP_SERVER, NOT_FOUND, JobCanceled, JobError

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
    def is_manifest(self) -> bool:
        return self.object_key.endswith((".mpd", ".m3u8"))


class Store:
    """The S3 server as a job sees it."""

    def __init__(self, config: Config, patience_s: float = PATIENCE_S) -> None:
        self._patience_s = patience_s
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

    def close(self) -> None:
        self._s3.close()

    def fetch(self, uri: str, path: Path, cancel: Event, on_bytes: Callable[[int, int], None]) -> int:
        """Download the object at `uri` to `path`, going on where an earlier attempt stopped; returns its size in bytes.

        on_bytes: called with bytes done and bytes in all. Raises JobError 1404, 1401, 3450 or 1050; JobCanceled.
        """
        bucket, object_key = naming.object_address(uri)
        head = self._patiently(lambda: self._s3.head_object(Bucket=bucket, Key=object_key), uri, cancel)
        size, etag = head["ContentLength"], head["ETag"]
        _need_room(path.parent, size)
        part = path.with_name(f"{path.name}.{etag.strip(chr(34))[:64]}.part")

        def attempt() -> None:
            done = part.stat().st_size if part.exists() else 0
            with part.open("ab") as file:
                if done < size:
                    self._stream(bucket, object_key, etag, file, done, size, cancel, on_bytes)

        self._patiently(attempt, uri, cancel)
        if part.stat().st_size != size:
            part.unlink()
            raise JobError(HTTP_SERVER, f"{uri} changed while it was read; submit the job again")
        part.rename(path)
        return int(size)

    def _stream(
        self,
        bucket: str,
        object_key: str,
        etag: str,
        file: Any,
        done: int,
        size: int,
        cancel: Event,
        on_bytes: Callable[[int, int], None],
    ) -> None:
        rest = {"Range": f"bytes={done}-"} if done else {}
        answer = self._s3.get_object(Bucket=bucket, Key=object_key, IfMatch=etag, **rest)
        with contextlib.closing(answer["Body"]) as body:
            for chunk in body.iter_chunks(CHUNK_BYTES):
                if cancel.is_set():
                    raise JobCanceled
                try:
                    file.write(chunk)
                except OSError as exc:
                    raise disk_error(exc) from exc
                done += len(chunk)
                on_bytes(done, size)

    def head(self, uri: str, cancel: Event) -> dict[str, Any]:
        bucket, object_key = naming.object_address(uri)
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
            self.remove(begun)
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
                    extra_args={"ContentType": naming.content_type(upload.object_key)},
                )
                for upload in batch
            }
            for upload, future in futures.items():
                while not future.done():
                    if cancel.wait(0.01):
                        manager.shutdown(cancel=True, cancel_msg="canceled")
                        raise JobCanceled
                future.result()
                tally.add(upload.path.stat().st_size)
                batch.remove(upload)

    def remove(self, uploads: Iterable[Upload]) -> None:
        for upload in uploads:
            try:
                self._s3.delete_object(Bucket=upload.bucket, Key=upload.object_key)
            except (ClientError, *_UNREACHABLE) as exc:
                log.warning("an output of an ended job could not be removed: %s (%s)", upload.object_key, exc)
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
