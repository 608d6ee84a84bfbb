"""Server-sent events: what happens to assets, as it happens."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from typing import Annotated

from fastapi import APIRouter, Path
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse

from penstock.api import schemas
from penstock.api.authorize import ApplicationOnly, Ctx
from penstock.api.context import Context
from penstock.catalogue import asset_id_of
from penstock.errors import NotFound

HEARTBEAT_S = 15.0
LOOK_AGAIN_S = 2.0
"""How long a change made by another process may go unseen; one made here is told at once."""

router = APIRouter(tags=["Assets"], dependencies=[ApplicationOnly])
_DESCRIPTION = {
    200: {
        "description": "Events `asset` with the asset as JSON, `deleted` with its id; comments as heartbeats",
        "content": {"text/event-stream": {"example": 'event: asset\ndata: {"id": "...", "state": "converting"}\n\n'}},
    }
}


@router.get(
    "/v1/assets/{asset_id}/events",
    summary="Follow an asset",
    response_class=StreamingResponse,
    responses=_DESCRIPTION,  # type: ignore[arg-type]
)
async def follow_asset(
    context: Ctx, asset_id: Annotated[str, Path(description="The asset's `id`", examples=[schemas.ASSET_ID])]
) -> StreamingResponse:
    """Tells the asset as it is, then again after each change."""
    await run_in_threadpool(context.catalogue.entry, asset_id_of(asset_id))  # 404 before the stream begins
    return _stream(_follow(context, [asset_id], {}))


@router.get(
    "/v1/events",
    summary="Follow all assets over one connection",
    response_class=StreamingResponse,
    responses=_DESCRIPTION,  # type: ignore[arg-type]
)
async def follow_all(context: Ctx) -> StreamingResponse:
    """Tells each asset that is new or changes from now on."""
    known = await run_in_threadpool(context.catalogue.versions)
    return _stream(_follow(context, None, known))


def _stream(events: AsyncIterator[str]) -> StreamingResponse:
    return StreamingResponse(events, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})


async def _follow(context: Context, asset_ids: Sequence[str] | None, known: dict[str, int]) -> AsyncIterator[str]:
    quiet_since = time.monotonic()
    yield ": following\n\n"
    with context.changes.subscribe() as changed:
        while not context.changes.closed:
            changed.clear()
            now_there = await run_in_threadpool(context.catalogue.versions, asset_ids)
            context.changes.look(now_there)
            for asset_id in known.keys() - now_there.keys():
                yield f'event: deleted\ndata: {{"id": "{asset_id}"}}\n\n'
            if asset_ids is not None and not now_there:
                return
            for asset_id in (key for key, version in now_there.items() if known.get(key) != version):
                if event := await run_in_threadpool(_told, context, asset_id):
                    quiet_since = time.monotonic()
                    yield event
            known = now_there
            if time.monotonic() - quiet_since >= HEARTBEAT_S:
                quiet_since = time.monotonic()
                yield ": heartbeat\n\n"
            await _wait(changed, LOOK_AGAIN_S)


async def _wait(changed: asyncio.Event, timeout_s: float) -> None:
    try:
        await asyncio.wait_for(changed.wait(), timeout_s)
    except TimeoutError:
        return


def _told(context: Context, asset_id: str) -> str | None:
    try:
        asset = schemas.AssetOut.of(context.catalogue.entry(asset_id))
    except NotFound:
        return None  # deleted meanwhile; the next round tells
    return f"event: asset\ndata: {asset.model_dump_json()}\n\n"
