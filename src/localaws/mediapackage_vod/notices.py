"""Events about assets in the shape that MediaPackage gives them.

Source: https://docs.aws.amazon.com/mediapackage/latest/ug/cloudwatch-events-example.html
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

from localaws.config import Config

_IDS = uuid.UUID("0a5c2d0e-5d3f-5c0b-9a0c-6c1e6b1f2f44")
INPUT, KEY_PROVIDER = "MediaPackage Input Notification", "MediaPackage Key Provider Notification"


def arn(config: Config, kind: str, name: str) -> str:
    return f"arn:aws:mediapackage-vod:{config.region}:{config.account_id}:{kind}/{name}"


def asset_event(config: Config, asset: Any, event: str, message: str) -> dict[str, Any]:
    """IngestStart, IngestComplete or IngestError of an asset; the same event each time it is made."""
    return _envelope(config, INPUT, f"{asset.uid}/{event}", [arn(config, "assets", asset.id)], event, message)


def playable(config: Config, asset: Any, configuration: Any, urls: list[str]) -> dict[str, Any]:
    message = f"Asset '{asset.id}' is now playable for PackagingConfiguration '{configuration.id}'"
    envelope = _endpoint_event(config, INPUT, asset, configuration, "VodAssetPlayable", message)
    envelope["detail"]["manifest_urls"] = urls
    return envelope


def endpoint_error(config: Config, asset: Any, configuration: Any, message: str, *, keys: bool) -> dict[str, Any]:
    """One configuration cannot package the asset: for want of keys, or for what is in it."""
    kind, event = (KEY_PROVIDER, "KeyProviderError") if keys else (INPUT, "IngestError")
    return _endpoint_event(config, kind, asset, configuration, event, message)


def _endpoint_event(
    config: Config, kind: str, asset: Any, configuration: Any, event: str, message: str
) -> dict[str, Any]:
    resources = [
        arn(config, "assets", asset.id),
        arn(config, "packaging_configuration", configuration.id),
    ]
    envelope = _envelope(config, kind, f"{asset.uid}/{configuration.uid}/{event}", resources, event, message)
    envelope["detail"]["packaging_configuration_id"] = configuration.id
    return envelope


def _envelope(
    config: Config, kind: str, identity: str, resources: list[str], event: str, message: str
) -> dict[str, Any]:
    return {
        "version": "0",
        # Fixed by what it tells: a step that is done again after a crash does not tell it twice.
        "id": str(uuid.uuid5(_IDS, identity)),
        "detail-type": kind,
        "source": "aws.mediapackage",
        "account": config.account_id,
        "time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": config.region,
        "resources": resources,
        "detail": {"event": event, "message": message},
    }
