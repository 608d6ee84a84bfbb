"""Assets and their uploads."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Path, Query, Response
from fastapi.responses import RedirectResponse

from penstock import removal, upload
from penstock.api import schemas
from penstock.api.authorize import ApplicationOnly, Ctx
from penstock.api.context import Context
from penstock.api.schemas import AssetOut
from penstock.catalogue import asset_id_of
from penstock.entries import Entry, Upload
from penstock.errors import Conflict, NotFound, PenstockError
from penstock.model import AssetState, Problem

router = APIRouter(prefix="/v1/assets", tags=["Assets"], dependencies=[ApplicationOnly])
uploads = APIRouter(prefix="/v1/assets/{asset_id}/upload", tags=["Uploads"], dependencies=[ApplicationOnly])

AssetId = Annotated[str, Path(description="The asset's `id`", examples=[schemas.ASSET_ID])]
CANCELLED = Problem("upload_cancelled", "The upload was cancelled. Upload the file again.")


@router.post("", status_code=201, summary="Announce a source and get an upload for it")
def create_asset(context: Ctx, body: schemas.AssetIn) -> schemas.NewAsset:
    """The media bytes never come here: send them to the addresses of `upload`, which take exactly `size_bytes`."""
    asset_id = str(uuid.uuid4())
    announced = upload.announce(asset_id, body.file_name, body.size_bytes, body.content_type, context.settings)
    # A crash after this leaves an upload without an asset, which the sweep aborts; the other way round would leave an
    # asset that nobody can upload to.
    begun = upload.begin(announced, context.clients, context.settings)
    entry = context.catalogue.create(asset_id, body.title or body.file_name, begun)
    return schemas.NewAsset.model_validate({"asset": AssetOut.of(entry), "upload": _instructions(context, begun)})


@router.get("", summary="List assets, newest first")
def list_assets(
    context: Ctx,
    limit: Annotated[int, Query(ge=1, le=200, description="Assets on a page")] = 50,
    cursor: Annotated[str | None, Query(max_length=256, description="`next` of the page before")] = None,
) -> schemas.AssetPage:
    entries, next_cursor = context.catalogue.page(limit, cursor)
    context.changes.look(entry.asset.id for entry in entries if entry.asset.percent is not None)
    return schemas.AssetPage(assets=[AssetOut.of(entry) for entry in entries], next=next_cursor)


@router.get("/{asset_id}", summary="Look at an asset")
def get_asset(context: Ctx, asset_id: AssetId) -> AssetOut:
    context.changes.look([asset_id])
    return AssetOut.of(_entry(context, asset_id))


@router.delete("/{asset_id}", status_code=204, summary="Delete an asset with its source and everything made of it")
def delete_asset(context: Ctx, asset_id: AssetId) -> Response:
    """Ends its playback sessions and cancels its jobs at once."""
    entry = context.catalogue.delete(asset_id_of(asset_id))
    try:
        removal.purge(entry, context.clients, context.settings)
    except PenstockError:
        return Response(status_code=204)  # it is deleted; the sweep removes what is left of it
    context.catalogue.purged(asset_id)
    return Response(status_code=204)


@router.get("/{asset_id}/objects", summary="List everything that is stored of an asset")
def list_objects(context: Ctx, asset_id: AssetId) -> schemas.ObjectsOut:
    """Names alone, for audits: which of them anybody can get is what `penstock audit` tries."""
    entry = _entry(context, asset_id)
    found = removal.objects(entry, context.clients, context.settings)
    return schemas.ObjectsOut(
        s3_url=context.clients.s3.meta.endpoint_url,
        objects=[schemas.ObjectOut(bucket=bucket, object_key=key) for bucket, key in found],
        key_ids=sorted({key_id for job in entry.jobs for key_id in job.key_ids}),
    )


@router.get("/{asset_id}/poster", status_code=302, response_class=RedirectResponse, summary="A picture of the asset")
def get_poster(context: Ctx, asset_id: AssetId) -> RedirectResponse:
    """Leads to a signed address at the edge, good for five minutes."""
    address = context.playback.poster_url(_entry(context, asset_id))
    if address is None:
        raise NotFound("the asset has no poster")
    return RedirectResponse(address, 302)


@uploads.get("", summary="Get the upload of a waiting asset again, freshly signed")
def get_upload(context: Ctx, asset_id: AssetId) -> schemas.UploadOut:
    """For an upload that is resumed, or whose POST has expired."""
    return _instructions(context, _waiting(context, asset_id))


@uploads.post("/parts", summary="Sign parts of a multipart upload, in batches")
def sign_parts(context: Ctx, asset_id: AssetId, body: schemas.PartNumbers) -> schemas.SignedParts:
    waiting = _waiting(context, asset_id)
    urls = upload.sign_parts(waiting, body.part_numbers, context.clients, context.settings)
    parts = [
        schemas.SignedPart(part_number=number, url=url, size_bytes=upload.part_length(waiting, number))
        for number, url in urls.items()
    ]
    expires_at = context.clock() + timedelta(seconds=context.settings.upload_ttl_s)
    return schemas.SignedParts(parts=parts, expires_at=expires_at)


@uploads.get("/parts", summary="List the parts that have arrived, to resume an upload")
def list_parts(context: Ctx, asset_id: AssetId) -> schemas.PartsDone:
    done = upload.parts_done(_waiting(context, asset_id), context.clients, context.settings)
    parts = [schemas.PartDone(part_number=p.number, size_bytes=p.size_bytes, etag=p.etag) for p in done]
    return schemas.PartsDone(parts=parts)


@uploads.post("/complete", summary="Say that every byte has been sent")
def complete_upload(context: Ctx, asset_id: AssetId, body: schemas.Completion | None = None) -> AssetOut:
    """Checks that what arrived is what was announced. Calling it again is harmless; after a POST it is optional."""
    entry = _entry(context, asset_id)
    if not entry.arrived:
        told = [(part.part_number, part.etag) for part in body.parts] if body else []
        upload.complete(_waiting(context, asset_id), told, context.clients, context.settings)
        entry = context.catalogue.source_arrived(asset_id)
    return AssetOut.of(entry)


@uploads.delete("", status_code=204, summary="Cancel an upload")
def cancel_upload(context: Ctx, asset_id: AssetId) -> Response:
    """Drops the parts that have arrived; the asset ends as failed, with the code `upload_cancelled`."""
    upload.abort(_waiting(context, asset_id), context.clients, context.settings)
    context.catalogue.upload_ended(asset_id, CANCELLED)
    return Response(status_code=204)


def _entry(context: Context, asset_id: str) -> Entry:
    return context.catalogue.entry(asset_id_of(asset_id))


def _waiting(context: Context, asset_id: str) -> Upload:
    """The upload of an asset that still waits for its source. Raises Conflict otherwise."""
    entry = _entry(context, asset_id)
    if entry.upload is None or entry.arrived or entry.asset.state is not AssetState.WAITING:
        raise Conflict(f"the asset is {entry.asset.state}; it takes no upload (announce a new asset for another file)")
    return entry.upload


def _instructions(context: Context, waiting: Upload) -> schemas.UploadOut:
    found = upload.instructions(waiting, context.clients, context.settings, context.clock())
    kind = schemas.PostUpload if found["method"] == "post" else schemas.MultipartUpload
    return kind.model_validate(found)
