"""Which DRM vendor is used: read once, from a private file, at start."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from penstock.drm.axinom import Axinom
from penstock.drm.doverunner import DoveRunner
from penstock.drm.drmtoday import DrmToday
from penstock.drm.entitlement import Adapter
from penstock.drm.ezdrm import Ezdrm
from penstock.drm.keyos import KeyOs
from penstock.errors import FormatError, InvalidRequest
from penstock.formats import strictjson
from penstock.model import JsonObject
from penstock.private_files import read_private

VENDORS: dict[str, Callable[[JsonObject], Adapter]] = {
    Axinom.name: Axinom.configured,
    DoveRunner.name: DoveRunner.configured,
    DrmToday.name: DrmToday.configured,
    Ezdrm.name: Ezdrm.configured,
    KeyOs.name: KeyOs.configured,
}
MAX_BYTES = 64 * 2**10


def load(path: Path | None) -> Adapter | None:
    """The vendor of a configuration file, `{"vendor": "axinom", ...}`; None without one: ClearKey alone.

    Raises InvalidRequest or Unavailable, which tell no value of the file.
    """
    if path is None:
        return None
    try:
        configured = strictjson.loads(read_private(path), max_bytes=MAX_BYTES)
    except FormatError as exc:
        raise InvalidRequest(f"the DRM configuration {path} is not readable JSON") from exc
    vendor = configured.get("vendor") if isinstance(configured, dict) else None
    if not isinstance(vendor, str) or vendor not in VENDORS:
        raise InvalidRequest(f"the DRM configuration {path} names its vendor: {', '.join(VENDORS)}")
    return VENDORS[vendor](configured)
