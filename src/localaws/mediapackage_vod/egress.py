"""The egress: packages of playable endpoints as files, for the CDN that a packaging group's authorization names.

Never serves an asset or an endpoint that was removed, and never tells why it refuses. Source: AWS, "CDN authorization".
"""

from __future__ import annotations

import hmac
import re
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from localaws.config import Config
from localaws.edge.media import CONTENT_TYPES
from localaws.mediapackage_vod import smooth_package, store
from localaws.mediapackage_vod.engine import endpoint_part
from localaws.mediapackage_vod.store import Store

PATH = "/out/v1/{asset}/{configuration}/{endpoint}/{name:path}"
CDN_HEADER = "x-mediapackage-cdnidentifier"
CDN_MEMBER = "MediaPackageCDNIdentifier"
_UID = re.compile(r"[0-9a-f]{32}")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,300}\.(mpd|m3u8|mp4|ts|vtt)")
_SMOOTH_MANIFEST = re.compile(r"([A-Za-z0-9_-]{1,256}\.ism)/[Mm]anifest")
_SMOOTH_FRAGMENT = re.compile(
    r"[A-Za-z0-9_-]{1,256}\.ism/QualityLevels\((\d{1,12})\)/Fragments\(([a-z0-9_]{1,64})=(\d{1,20})\)", re.ASCII
)


class Egress:
    def __init__(self, config: Config, remembered: Store, packages: Path) -> None:
        self._config = config
        self._store = remembered
        self._packages = packages

    async def answer(self, request: Request) -> Response:
        """GET and HEAD of one file of a package; 403 without the group's CDN identifier, 404 for what is not there."""
        given = request.headers.get(CDN_HEADER)
        path = await run_in_threadpool(self._file, request.path_params, given)
        if isinstance(path, int):
            return Response(status_code=path)
        return FileResponse(path, media_type=_content_type(path))

    def secret(self, authorization: dict[str, Any]) -> str | None:
        """The identifier that a CDN is to send, read each time so that it can be rotated; None where there is none."""
        file = self._config.secrets.get(authorization["CdnIdentifierSecret"], {}).get(CDN_MEMBER)
        try:
            value = file.read_text().strip() if file else ""
        except (OSError, UnicodeDecodeError):
            return None
        return value if 8 <= len(value) <= 128 else None

    def _file(self, parts: dict[str, str], given: str | None) -> Path | int:
        if not (_UID.fullmatch(parts["asset"]) and _UID.fullmatch(parts["configuration"])):
            return 404
        asset = self._store.by_uid(store.assets, parts["asset"])
        group = self._store.get(store.groups, asset.group_id) if asset is not None else None
        if asset is None or group is None:
            return 404
        if group.authorization is not None:
            expected = self.secret(group.authorization)
            if expected is None or given is None or not hmac.compare_digest(expected.encode(), given.encode()):
                return 403
        endpoints = {row.uid: row for row in self._store.endpoints(asset.uid)}
        endpoint = endpoints.get(parts["configuration"])
        if endpoint is None or endpoint.status != store.PLAYABLE:
            return 404
        if parts["endpoint"] != endpoint_part(asset, endpoint):
            return 404
        path = _within(self._packages / asset.uid / endpoint.uid, parts["name"])
        return path if path is not None and path.is_file() else 404


def _within(package: Path, name: str) -> Path | None:
    """The file of a package that a request names; None for what no package has."""
    if _NAME.fullmatch(name):
        return package / name
    if manifest := _SMOOTH_MANIFEST.fullmatch(name):
        return package / manifest[1] / smooth_package.MANIFEST
    # Source: [MS-SSTR] 2.2.3.
    if fragment := _SMOOTH_FRAGMENT.fullmatch(name):
        bitrate, stream, time = fragment.groups()
        return smooth_package.fragments(package, stream, int(bitrate)) / time
    return None


def _content_type(path: Path) -> str:
    if path.name == smooth_package.MANIFEST:
        return "text/xml"
    if path.parts[-4] == smooth_package.FRAGMENTS:
        return "video/mp4"
    return CONTENT_TYPES.get(path.suffix, "application/octet-stream")
