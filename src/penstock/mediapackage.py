"""An asset's way through MediaPackage VOD: the packaging group (DASH, CMAF), the asset of a SMIL, its addresses.

Everything here may be done again: names are fixed by the asset, what is there is found. Never changes a packaging group
or configuration that it did not make, and never shows the CDN identifier.
Source: https://docs.aws.amazon.com/mediapackage/latest/ug/vod-content.html
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx

from penstock import cdn_identifier
from penstock.errors import InvalidRequest, JobFailed, NotFound, Unavailable, UpstreamError
from penstock.formats import dash
from penstock.ladder import FAIRPLAY, SEGMENT_S
from penstock.model import JsonObject
from penstock.outputs import key_tiers
from penstock.settings import Clients, Settings
from penstock.upstream import translated

log = logging.getLogger(__name__)

APPLICATION = "penstock"
CLEAR_KEY = "e2719d58-a985-b3c9-781a-b030af78d30e"
CDN_HEADER = "X-MediaPackage-CDNIdentifier"
PREFIX = "out/v1/"
WORKING = ("QUEUED", "PROCESSING")


@dataclass(frozen=True)
class Packaged:
    """What viewers are given: paths at the edge without the first slash, and what the DASH manifest says."""

    dash: str | None
    hls: str | None
    key_ids: tuple[str, ...]
    key_tiers: Mapping[str, str]
    duration_ms: int | None


def asset_name(asset_id: str, settings_name: str) -> str:
    """What MediaPackage calls this conversion; settings names have characters that its ids cannot."""
    return f"{asset_id}-{hashlib.sha256(settings_name.encode()).hexdigest()[:16]}"


def package(
    asset_id: str, settings_name: str, job_id: str, smil_key: str, clients: Clients, settings: Settings
) -> Packaged | None:
    """See that the SMIL is an asset, and return what viewers get; None while MediaPackage is still at it.

    Raises JobFailed when it cannot be packaged; UpstreamError or Unavailable when a part does not answer.
    """
    name = asset_name(asset_id, settings_name)
    client = clients.mediapackage
    try:
        asset = _described(client.describe_asset, name)
    except NotFound:
        _ensure_group(client, settings)
        asset = _made(
            "asset",
            client.describe_asset,
            client.create_asset,
            Id=name,
            PackagingGroupId=settings.mediapackage_group,
            SourceArn=f"arn:aws:s3:::{settings.media_bucket}/{smil_key}",
            SourceRoleArn=settings.mediapackage_role,
            ResourceId=asset_id,
            Tags={"application": APPLICATION, "assetId": asset_id, "settings": settings_name, "jobId": job_id},
        )
    endpoints = asset.get("EgressEndpoints") or []
    if any(endpoint["Status"] in WORKING for endpoint in endpoints):
        return None
    urls = [endpoint["Url"] for endpoint in endpoints if endpoint["Status"] == "PLAYABLE"]
    if not urls:
        raise JobFailed("MediaPackage could not package the film.")
    return _packaged(urls, settings)


def conversion(asset: str, clients: Clients) -> dict[str, str] | None:
    """What an asset of MediaPackage is of, by its tags: assetId, settings, jobId; None for one that is not ours."""
    try:
        tags: dict[str, str] = _described(clients.mediapackage.describe_asset, asset).get("Tags") or {}
    except NotFound:
        return None
    return tags if tags.get("application") == APPLICATION and {"assetId", "settings", "jobId"} <= tags.keys() else None


def remove(asset_id: str, settings_name: str, clients: Clients) -> None:
    """Remove the asset of a conversion, if there is one."""
    with contextlib.suppress(NotFound), translated("removing the packages"):
        clients.mediapackage.delete_asset(Id=asset_name(asset_id, settings_name))


def _ensure_group(client: Any, settings: Settings) -> None:
    """Find the packaging group, or make it; fill up one of our own that a crash left half made."""
    name = settings.mediapackage_group
    authorization: JsonObject = {}
    if settings.cdn_secret:
        secret = {"CdnIdentifierSecret": settings.cdn_secret, "SecretsRoleArn": settings.mediapackage_role}
        authorization = {"Authorization": secret}
    group = _made(
        "packaging group",
        client.describe_packaging_group,
        client.create_packaging_group,
        Id=name,
        Tags={"application": APPLICATION},
        **authorization,
    )
    if (group.get("Tags") or {}).get("application") != APPLICATION:
        return
    for kind, definition in _configurations(settings).items():
        _made(
            "packaging configuration",
            client.describe_packaging_configuration,
            client.create_packaging_configuration,
            Id=f"{name}-{kind}",
            PackagingGroupId=name,
            **definition,
        )


def _configurations(settings: Settings) -> dict[str, JsonObject]:
    """DASH for our licenses, CMAF for FairPlay: keys by the encryption contract in each, no clear lead."""

    def encryption(system: str) -> JsonObject:
        video, audio = (preset.replace("_", "-") for preset in settings.presets)
        contract = {"PresetSpeke20Audio": audio, "PresetSpeke20Video": video}
        return {
            "SpekeKeyProvider": {
                "EncryptionContractConfiguration": contract,
                "RoleArn": settings.mediapackage_role,
                "SystemIds": [system],
                "Url": settings.speke_address,
            }
        }

    dash_package = {
        "DashManifests": [{"ManifestName": "index"}],
        "Encryption": encryption(CLEAR_KEY),
        "SegmentDurationSeconds": SEGMENT_S,
        "SegmentTemplateFormat": "NUMBER_WITH_TIMELINE",
    }
    cmaf_package = {
        "HlsManifests": [{"ManifestName": "index"}],
        "Encryption": encryption(FAIRPLAY),
        "SegmentDurationSeconds": SEGMENT_S,
    }
    return {"dash": {"DashPackage": dash_package}, "cmaf": {"CmafPackage": cmaf_package}}


def _described(describe: Callable[..., JsonObject], name: str) -> JsonObject:
    with translated("looking at the packaging"):
        return dict(describe(Id=name))


def _made(
    kind: str, describe: Callable[..., JsonObject], create: Callable[..., JsonObject], **members: Any
) -> JsonObject:
    """Find a resource or make it; whoever makes it at the same moment has made ours."""
    try:
        return _described(describe, members["Id"])
    except NotFound:
        pass
    try:
        with translated(f"making the {kind}"):
            return dict(create(**members))
    except InvalidRequest as exc:
        try:
            return _described(describe, members["Id"])
        except NotFound:
            said = getattr(exc.__cause__, "response", {}).get("Error", {}).get("Message", "")
            raise UpstreamError(f"MediaPackage refused the {kind} {members['Id']!r}: {said[:300]}") from exc


def _packaged(urls: list[str], settings: Settings) -> Packaged:
    found: dict[str, str] = {}
    for url in urls:
        found.setdefault(urlsplit(url).path.rpartition(".")[2], url)
    mpd = _fetched(found["mpd"], settings) if "mpd" in found else None
    return Packaged(
        dash=_path(found.get("mpd")),
        hls=_path(found.get("m3u8")),
        key_ids=() if mpd is None else tuple(str(key_id) for key_id in dash.key_ids(mpd)),
        key_tiers={} if mpd is None else key_tiers(mpd),
        duration_ms=None if mpd is None else round(dash.duration_s(mpd) * 1000),
    )


def _path(url: str | None) -> str | None:
    """Where viewers find it: the same path at the edge, whose origin the egress is."""
    path = urlsplit(url or "").path.lstrip("/")
    if path and not path.startswith(PREFIX):
        raise UpstreamError(f"MediaPackage gave an address that is not below /{PREFIX}")
    return path or None


def _fetched(url: str, settings: Settings) -> bytes:
    """A manifest straight from the egress, as the edge gets it."""
    headers = {CDN_HEADER: cdn_identifier.read(settings)} if settings.cdn_secret else {}
    try:
        response = httpx.get(url, headers=headers, timeout=30, trust_env=False)
    except httpx.HTTPError as exc:
        raise Unavailable(f"the packaged manifest got no answer ({type(exc).__name__})") from exc
    if response.status_code != 200:
        raise UpstreamError(f"the packaged manifest was refused: {response.status_code}")
    return response.content
