"""An announced source -> presigned requests that bring it into the source bucket. No media byte passes through here.

Small sources come in by one presigned POST whose policy fixes the length, large ones in parts whose lengths are signed.
Source: Amazon S3 User Guide, "Uploading objects with presigned URLs", "Multipart upload limits".
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from penstock.entries import Upload
from penstock.errors import Conflict, InvalidRequest, NotFound
from penstock.model import JsonObject
from penstock.settings import Clients, Settings
from penstock.upstream import translated

MAX_PARTS = 10_000
MIN_PART_BYTES = 5 * 2**20
MAX_PART_BYTES = 5 * 2**30
USUAL_PART_BYTES = 8 * 2**20
MAX_SIGNED_AT_ONCE = 1000
DEFAULT_CONTENT_TYPE = "application/octet-stream"
MAX_KEY_BYTES = 1024

_CONTENT_TYPE = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+_-]{0,62}/[A-Za-z0-9][A-Za-z0-9.+_-]{0,62}")
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_STEM_CHARS = 120
_SUFFIX = re.compile(r"[A-Za-z0-9]{1,16}")


@dataclass(frozen=True)
class Part:
    """A part that is in the bucket. `etag` as S3 gave it, with its quotes."""

    number: int
    size_bytes: int
    etag: str


def object_key(asset_id: str, file_name: str) -> str:
    """Name the object of a source: `inputs/<asset id>/<safe name>`, at most 1024 bytes.

    The safe name keeps ASCII letters, digits, `.`, `_` and `-`, and the extension; the rest becomes `_`. It survives
    every event format, URL and file system; the name as it was is the asset's title.
    """
    stem, dot, suffix = file_name.rpartition(".")
    if not dot or not _SUFFIX.fullmatch(suffix):
        stem, dot, suffix = file_name, "", ""
    return f"inputs/{asset_id}/{_safe(stem) or 'source'}{dot}{suffix}"


def _safe(stem: str) -> str:
    plain = "".join(char for char in unicodedata.normalize("NFKD", stem) if not unicodedata.combining(char))
    return re.sub(r"\.{2,}", ".", _UNSAFE.sub("_", plain))[:_STEM_CHARS].strip("._-")


def announce(asset_id: str, file_name: str, size_bytes: int, content_type: str | None, settings: Settings) -> Upload:
    """Decide how a source of `size_bytes` comes in. Raises InvalidRequest for one that cannot be taken."""
    if size_bytes <= 0:
        raise InvalidRequest("the file is empty (0 bytes); choose one that holds a film")
    if size_bytes > settings.max_source_bytes:
        raise InvalidRequest(
            f"the file has {size_bytes} bytes, and at most {settings.max_source_bytes} are taken here; make it "
            "smaller, or ask whoever runs this system to allow more (PENSTOCK_MAX_SOURCE_BYTES)"
        )
    kind = content_type or DEFAULT_CONTENT_TYPE
    if not _CONTENT_TYPE.fullmatch(kind):
        raise InvalidRequest("content_type is a media type such as video/mp4, without parameters")
    upload = Upload(object_key(asset_id, file_name), size_bytes, kind, "post")
    if size_bytes < settings.multipart_threshold_bytes:
        return upload
    return replace(upload, method="multipart", part_size_bytes=part_size(size_bytes))


def part_size(size_bytes: int) -> int:
    """The part size for a source: whole MiB, so that there are at most 10 000 parts of at least 5 MiB."""
    needed = -(-size_bytes // MAX_PARTS)
    size = max(USUAL_PART_BYTES, -(-needed // 2**20) * 2**20)
    if size > MAX_PART_BYTES:
        raise InvalidRequest(f"S3 takes objects of up to {MAX_PARTS} parts of 5 GiB; {size_bytes} bytes are too many")
    return size


def part_count(upload: Upload) -> int:
    return -(-upload.size_bytes // upload.part_size_bytes) if upload.part_size_bytes else 1


def part_length(upload: Upload, number: int) -> int:
    """The exact length in bytes of a part; all are equal but the last."""
    size = upload.part_size_bytes or upload.size_bytes
    return min(size, upload.size_bytes - (number - 1) * size)


def begin(upload: Upload, clients: Clients, settings: Settings) -> Upload:
    """Open a multipart upload in the bucket, where one is needed."""
    if upload.method != "multipart":
        return upload
    with translated("opening the upload"):
        answer = clients.s3.create_multipart_upload(**_target(upload, settings), ContentType=upload.content_type)
    return replace(upload, upload_id=answer["UploadId"])


def instructions(upload: Upload, clients: Clients, settings: Settings, now: datetime) -> JsonObject:
    """What a client needs to send the source: a POST with its fields, or the measures of a multipart upload.

    The answer to a POST is a bearer token for this one object and length until it expires.
    """
    if upload.method == "multipart":
        return {
            "method": "multipart",
            "upload_id": upload.upload_id,
            "object_key": upload.object_key,
            "part_size_bytes": upload.part_size_bytes,
            "part_count": part_count(upload),
        }
    target = _target(upload, settings)
    with translated("signing the upload"):
        post = clients.s3.generate_presigned_post(
            **target,
            Fields={"Content-Type": upload.content_type},
            Conditions=[
                {"Content-Type": upload.content_type},
                ["content-length-range", upload.size_bytes, upload.size_bytes],
            ],
            ExpiresIn=settings.upload_ttl_s,
        )
    # Every S3 takes the slash, and SeaweedFS 4.48 breaks off the CORS preflight of a bucket's address without it.
    address = {"url": post["url"].rstrip("/") + "/", "fields": post["fields"]}
    return {"method": "post", **address, "expires_at": now + timedelta(seconds=settings.upload_ttl_s)}


def sign_parts(upload: Upload, numbers: Sequence[int], clients: Clients, settings: Settings) -> dict[int, str]:
    """Presign parts, by number. The length of each is signed, so no other fits. Raises InvalidRequest, Conflict."""
    target, count = {**_target(upload, settings), "UploadId": _multipart_id(upload)}, part_count(upload)
    if wrong := [number for number in numbers if not 1 <= number <= count]:
        raise InvalidRequest(f"this upload has parts 1 to {count}; there is no part {wrong[0]}")
    with translated("signing parts"):
        return {
            number: clients.s3.generate_presigned_url(
                "upload_part",
                Params={**target, "PartNumber": number, "ContentLength": part_length(upload, number)},
                ExpiresIn=settings.upload_ttl_s,
            )
            for number in numbers
        }


def parts_done(upload: Upload, clients: Clients, settings: Settings) -> list[Part]:
    """The parts that are in the bucket, in order. Raises NotFound when the multipart upload is over."""
    target = {**_target(upload, settings), "UploadId": _multipart_id(upload)}
    with translated("listing the parts of the upload"):
        pages = clients.s3.get_paginator("list_parts").paginate(**target)
        found = [part for page in pages for part in page.get("Parts", ())]
    return sorted((Part(p["PartNumber"], p["Size"], p["ETag"]) for p in found), key=lambda part: part.number)


def complete(upload: Upload, told: Iterable[tuple[int, str]], clients: Clients, settings: Settings) -> None:
    """Make the object of the parts, or find that it is made; a second call does no harm.

    told: number and ETag of each part as the client has them; none to take those in the bucket.
    Raises InvalidRequest when a part is missing, has another length or another ETag than said.
    """
    if upload.method == "multipart":
        try:
            done = parts_done(upload, clients, settings)
        except NotFound:
            done = []  # over: completed by an earlier call, or aborted; the object itself will tell
        if done:
            _check_parts(upload, done, dict(told))
            _finish(upload, done, clients, settings)
    check_arrived(upload, clients, settings)


def check_arrived(upload: Upload, clients: Clients, settings: Settings) -> None:
    """Raises Conflict when the source is not in the bucket, InvalidRequest when its size is not what was announced."""
    try:
        with translated("looking for the uploaded file"):
            size = clients.s3.head_object(**_target(upload, settings))["ContentLength"]
    except NotFound:
        raise Conflict("the file is not in the bucket; upload it before completing") from None
    if size != upload.size_bytes:
        raise InvalidRequest(f"{upload.size_bytes} bytes were announced and {size} arrived; start the upload again")


def abort(upload: Upload, clients: Clients, settings: Settings) -> None:
    """Drop the parts of an upload that will not be completed; no harm when there are none."""
    if upload.upload_id is None:
        return
    try:
        with translated("aborting the upload"):
            clients.s3.abort_multipart_upload(**_target(upload, settings), UploadId=upload.upload_id)
    except NotFound:
        return


def abort_orphans(known: set[str], before: datetime, clients: Clients, settings: Settings) -> int:
    """Abort multipart uploads older than `before` that no asset in `known` (upload ids) owns; returns how many."""
    count = 0
    with translated("listing unfinished uploads"):
        pages = clients.s3.get_paginator("list_multipart_uploads")
        for page in pages.paginate(Bucket=settings.source_bucket, Prefix="inputs/"):
            for found in page.get("Uploads", ()):
                if found["Initiated"] < before and found["UploadId"] not in known:
                    target = {"Bucket": settings.source_bucket, "Key": found["Key"], "UploadId": found["UploadId"]}
                    clients.s3.abort_multipart_upload(**target)
                    count += 1
    return count


def _check_parts(upload: Upload, done: list[Part], told: dict[int, str]) -> None:
    by_number = {part.number: part for part in done}
    for number in range(1, part_count(upload) + 1):
        part, wanted = by_number.get(number), part_length(upload, number)
        if part is None:
            raise InvalidRequest(f"part {number} of {part_count(upload)} has not been uploaded yet")
        if part.size_bytes != wanted:
            raise InvalidRequest(f"part {number} has {part.size_bytes} bytes, announced were {wanted}; upload it again")
        if told and told.get(number, "").strip('"') != part.etag.strip('"'):
            raise InvalidRequest(f"part {number} in the bucket has not the ETag you give; upload it again")


def _finish(upload: Upload, done: list[Part], clients: Clients, settings: Settings) -> None:
    parts = [{"PartNumber": part.number, "ETag": part.etag} for part in done[: part_count(upload)]]
    target = {**_target(upload, settings), "UploadId": _multipart_id(upload)}
    try:
        with translated("completing the upload"):
            clients.s3.complete_multipart_upload(**target, MultipartUpload={"Parts": parts})
    except NotFound:
        return  # another call was quicker


def _target(upload: Upload, settings: Settings) -> dict[str, Any]:
    return {"Bucket": settings.source_bucket, "Key": upload.object_key}


def _multipart_id(upload: Upload) -> str:
    if upload.upload_id is None:
        raise Conflict("this upload is a single POST; it has no parts")
    return upload.upload_id
