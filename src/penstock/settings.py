"""One table of settings, read once from the environment; and the AWS clients made from it.

Nothing else in penstock reads the environment. Where the AWS clients go is boto3's own business (AWS_ENDPOINT_URL and
its service-specific forms), so the same settings hold on one machine and in an AWS account.
"""

from __future__ import annotations

import difflib
import ipaddress
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError

from penstock.errors import InvalidRequest
from penstock.formats import contracts
from penstock.tiers import Policy, Tier

PREFIX = "PENSTOCK_"


def _setting(parse: Callable[[str], Any], default: Any, help_text: str, unit: str = "") -> Any:
    return field(default=default, metadata={"parse": parse, "help": help_text, "unit": unit})


def _origins(text: str) -> tuple[str, ...]:
    return tuple(part.strip().rstrip("/") for part in text.split(",") if part.strip())


def _flag(text: str) -> bool:
    if text.lower() in ("1", "true", "yes", "on"):
        return True
    if text.lower() in ("0", "false", "no", "off"):
        return False
    raise ValueError("is neither true nor false")


def _positive(text: str) -> int:
    if (number := int(text)) <= 0:
        raise ValueError("is not greater than 0")
    return number


def _number(text: str) -> int:
    if (number := int(text)) < 0:
        raise ValueError("is less than 0")
    return number


def _amount(text: str) -> float:
    if not math.isfinite(number := float(text)) or number < 0:
        raise ValueError("is less than 0")
    return number


def _networks(text: str) -> tuple[str, ...]:
    return tuple(str(ipaddress.ip_network(part.strip())) for part in text.split(",") if part.strip())


def _rate(text: str) -> float:
    if not 1 <= (number := float(text)) <= 100:
        raise ValueError("is not between 1 and 100")
    return number


def _score(text: str) -> int:
    if not 0 <= (number := int(text)) <= 100:
        raise ValueError("is not between 0 and 100")
    return number


def _wins(text: str) -> str:
    if text not in ("newest", "oldest"):
        raise ValueError("is neither newest nor oldest")
    return text


def _contract(text: str) -> str:
    video, _, audio = text.upper().partition("+")
    try:
        contracts.contract(video, audio)
    except InvalidRequest as exc:
        raise ValueError(exc.message) from exc
    return f"{video}+{audio}"


def _tier(text: str) -> str:
    if text.upper() not in Tier.__members__:
        raise ValueError(f"is none of {', '.join(Tier.__members__).lower()}")
    return text.lower()


def _delivery(text: str) -> str:
    if text not in ("direct", "mediapackage"):
        raise ValueError("is neither direct nor mediapackage")
    return text


@dataclass(frozen=True)
class Settings:
    """Every setting; the environment variable is PENSTOCK_ and the name in capitals."""

    url: str = _setting(str, "http://127.0.0.1:8080", "public address of the edge, as viewers see it")
    api_key: str = _setting(str, "", "API key that `penstock` commands and other clients send")
    data_dir: Path = _setting(Path, Path("penstock-data"), "folder that holds everything on one machine")
    source_bucket: str = _setting(str, "penstock-source", "bucket for uploads (inputs/) and job settings (jobs/)")
    media_bucket: str = _setting(str, "penstock-media", "bucket for the outputs; private, read only by the edge")
    mediaconvert_role: str = _setting(
        str,
        "arn:aws:iam::000000000000:role/MediaConvertRole",
        "IAM role that MediaConvert takes",
    )
    mediaconvert_queue: str = _setting(str, "", "MediaConvert queue (name or ARN); empty takes the default queue")
    max_job_cost_usd: float = _setting(
        _amount, 0.0, "most that one conversion may cost by estimate; a dearer one is refused; 0 is any", "USD"
    )
    database_url: str = _setting(str, "", "SQLAlchemy address of the catalogue; empty is SQLite in the data folder")
    jobs_database_url: str = _setting(
        str, "", "PostgreSQL address of the jobs that a stack shares with engines; empty is SQLite in the data folder"
    )
    engines: int = _setting(_number, 1, "engines that a stack with a shared database runs itself")
    speke_url: str = _setting(str, "", "key provider address in job settings; empty is <url>/speke/v2/copyProtection")
    encryption_contract: str = _setting(
        _contract,
        "PRESET_VIDEO_3+PRESET_AUDIO_1",
        "SPEKE presets of the built-in ladder, video+audio; the default has keys for SD, HD, UHD and audio",
    )
    software_tier: str = _setting(_tier, "uhd", "best keys that ClearKey and software DRM get: audio, sd, hd or uhd")
    hardware_tier: str = _setting(_tier, "uhd", "best keys that DRM in hardware gets: audio, sd, hd or uhd")
    secrets_dir: Path = _setting(Path, Path("penstock-data/secrets"), "folder with the keys, each a file of mode 0600")
    master_secret: str = _setting(
        str,
        "",
        "ARN of the secret in Secrets Manager with the master key; empty reads master.key in the secrets folder",
    )
    key_pair_id: str = _setting(str, "penstock-1", "CloudFront public key id that signed cookies name")
    allowed_origins: tuple[str, ...] = _setting(_origins, (), "more origins whose pages may upload and play (a,b)")
    event_bus: str = _setting(str, "default", "EventBridge bus for our own events")
    event_token_file: Path | None = _setting(Path, None, "file with the secret of the event bus")
    session_ttl_s: int = _setting(_positive, 14400, "life of a playback session", "s")
    session_max_s: int = _setting(_positive, 86400, "longest life of a playback session that heartbeats renew", "s")
    heartbeat_s: int = _setting(_positive, 30, "time between two heartbeats of a player", "s")
    streams_per_viewer: int = _setting(_number, 0, "streams that a viewer may watch at a time; 0 is any number")
    stream_wins: str = _setting(_wins, "newest", "who keeps a stream when there are too many: newest or oldest")
    front_networks: tuple[str, ...] = _setting(
        _networks, (), "networks of servers in front of the edge, whose CloudFront-Viewer-* headers are believed (a,b)"
    )
    input_networks: tuple[str, ...] = _setting(
        _networks, (), "networks that are not public and MediaConvert on this machine may read http inputs from (a,b)"
    )
    pace: bool = _setting(_flag, True, "let each viewer fetch a film no faster than it can be watched")
    pace_rate: float = _setting(_rate, 1.25, "media time per time on the clock, at normal speed, for each stream")
    pace_burst_s: int = _setting(_positive, 90, "media time that is let out to begin with", "s")
    drm_file: Path | None = _setting(Path, None, "private file that names a DRM vendor; without it ClearKey alone")
    edge_token_file: Path | None = _setting(Path, None, "file with the secret of the edge, which asks who was revoked")
    suspicious_score: int = _setting(_score, 60, "score from which a session is told to be suspicious, 0 to 100")
    revoke_score: int = _setting(_score, 0, "score from which a session is ended by itself, 1 to 100; 0 ends none")
    overlay: bool = _setting(_flag, False, "show the viewer's name over the picture, unless a session says otherwise")
    webhook_private_targets: bool = _setting(
        _flag, False, "let webhooks go to this machine and private networks, also by plain http"
    )
    upload_ttl_s: int = _setting(_positive, 3600, "life of one presigned upload request", "s")
    upload_abandoned_s: int = _setting(_positive, 7 * 86400, "age at which an unfinished upload is removed", "s")
    multipart_threshold_bytes: int = _setting(
        _positive, 32 * 2**20, "sources from this size on go up in parts", "bytes"
    )
    max_source_bytes: int = _setting(_positive, 500 * 2**30, "largest source that is accepted", "bytes")
    sweep_interval_s: int = _setting(_positive, 60, "time between two sweeps for objects without a job", "s")
    poster: bool = _setting(_flag, True, "make a poster picture for each asset in the built-in ladder")
    delivery: str = _setting(
        _delivery, "direct", "who packages the built-in ladder: direct is MediaConvert, or mediapackage"
    )
    mediapackage_group: str = _setting(str, "penstock", "MediaPackage packaging group; made when it is missing")
    mediapackage_role: str = _setting(
        str,
        "arn:aws:iam::000000000000:role/MediaPackageRole",
        "IAM role that MediaPackage takes",
    )
    cdn_secret: str = _setting(
        str, "", "ARN of the secret with the edge's CDN identifier; empty lets anybody fetch from MediaPackage"
    )

    @cached_property
    def key_policy(self) -> Policy:
        return Policy(Tier[self.software_tier.upper()], Tier[self.hardware_tier.upper()])

    @cached_property
    def presets(self) -> tuple[str, str]:
        """The encryption contract's presets for video and for audio."""
        video, _, audio = self.encryption_contract.partition("+")
        return video, audio

    @cached_property
    def speke_address(self) -> str:
        return self.speke_url or f"{self.url}/speke/v2/copyProtection"

    @cached_property
    def database_address(self) -> str:
        return self.database_url or f"sqlite:///{(self.data_dir / 'penstock.db').resolve()}"


def load(environ: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings.

    Raises InvalidRequest naming an unknown PENSTOCK_ variable (with the nearest known name) or an unusable value.
    """
    known = {PREFIX + f.name.upper(): f for f in fields(Settings)}
    values: dict[str, Any] = {}
    for name, text in environ.items():
        if not name.startswith(PREFIX):
            continue
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise InvalidRequest(f"{name} is not a setting of penstock{hint}")
        if not text:
            continue
        try:
            values[known[name].name] = known[name].metadata["parse"](text)
        except ValueError as exc:
            raise InvalidRequest(f"{name} cannot be read: {exc}") from exc
    if "url" in values:
        values["url"] = values["url"].rstrip("/")
    return Settings(**values)


@dataclass(frozen=True)
class Clients:
    """The AWS clients an arrow is handed. Made in one place, so that timeouts and signing are the same everywhere."""

    s3: Any
    mediaconvert: Any
    mediapackage: Any
    events: Any


def clients(session: boto3.Session | None = None) -> Clients:
    """Build the clients; region, credentials and endpoints are boto3's own settings (AWS_*).

    Raises InvalidRequest where these name no region, an unknown profile or an address that is none.
    """
    try:
        return _clients(session or boto3.Session())
    except (BotoCoreError, ValueError) as exc:
        raise InvalidRequest(f"AWS cannot be reached with the AWS_ variables and files there are: {exc}") from exc


def _clients(session: boto3.Session) -> Clients:
    config = Config(
        connect_timeout=5, read_timeout=60, retries={"mode": "standard", "max_attempts": 4}, signature_version="v4"
    )
    # Path style works for S3 and for every server that speaks its protocol; s3v4 so that presigned requests
    # carry an expiry that is verified. Checksums only where the API demands them: presigned parts come from browsers.
    s3 = Config(
        signature_version="s3v4",
        s3={"addressing_style": "path"},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    return Clients(
        s3=session.client("s3", config=config.merge(s3)),
        mediaconvert=session.client("mediaconvert", config=config),
        mediapackage=session.client("mediapackage-vod", config=config),
        events=session.client("events", config=config),
    )
