"""What every route is handed: settings, AWS clients, the catalogue, keys. Made once, at start."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import boto3

from penstock import keyring, master_key
from penstock import settings as settings_module
from penstock.api.changes import Changes
from penstock.api.readiness import Readiness
from penstock.catalogue import Catalogue, utc_now
from penstock.database import Database
from penstock.drm import vendors
from penstock.drm.entitlement import Adapter
from penstock.errors import Unavailable
from penstock.formats import tokens
from penstock.formats.cookies import Signer
from penstock.formats.dpop import Proofs
from penstock.keys import KeyProvider
from penstock.playback import Playback
from penstock.private_files import read_private, read_private_text
from penstock.sessions import Sessions, Wins
from penstock.settings import Clients, Settings
from penstock.webhooks.delivery import Deliverer
from penstock.webhooks.endpoints import Endpoints
from penstock.webhooks.outbox import Outbox

MISSED_HEARTBEATS = 3
"""After so many a stream counts as given up; browsers let pages in the background wake once a minute at worst."""


@dataclass(frozen=True)
class Context:
    settings: Settings
    clients: Clients
    database: Database
    catalogue: Catalogue
    sessions: Sessions
    playback: Playback
    keys: KeyProvider
    vendor: Adapter | None
    endpoints: Endpoints
    outbox: Outbox
    deliverer: Deliverer
    changes: Changes
    readiness: Readiness
    event_token: str = field(repr=False)
    edge_token: str = field(repr=False)
    aws_secrets: Mapping[str, str] = field(repr=False)
    """Secret access keys by access key id: whose signatures the key provider accepts."""
    clock: Callable[[], datetime] = utc_now
    proofs: Proofs = field(default_factory=Proofs)


def build(
    settings: Settings, session: boto3.Session | None = None, *, clock: Callable[[], datetime] = utc_now
) -> Context:
    """Read the secrets, open and migrate the catalogue, let the first API key in.

    Raises Unavailable naming a secret file that cannot be read, or when the database does not answer.
    """
    session = session or boto3.Session()
    clients = settings_module.clients(session)
    changes = Changes()
    database = Database(settings.database_address)
    database.migrate()
    catalogue = Catalogue(database, clock=clock, changed=changes.notify)
    catalogue.register_key(read_private_text(settings.secrets_dir / "api-key"), "first")
    ring = keyring.read(settings.secrets_dir, settings.key_pair_id)
    signer = Signer(read_private(ring.signing_key), ring.signing)
    token_keys = {key_id: _token_key(file) for key_id, file in ring.token_keys.items()}
    path_token_keys = {key_id: _token_key(file).strip() for key_id, file in ring.path_token_keys.items()}
    master = master_key.read(settings, session)
    vendor = vendors.load(settings.drm_file)
    endpoints, outbox = Endpoints(database, master, clock=clock), Outbox(database)
    return Context(
        settings=settings,
        clients=clients,
        database=database,
        catalogue=catalogue,
        sessions=Sessions(
            database,
            clock=clock,
            streams=settings.streams_per_viewer,
            wins=Wins(settings.stream_wins),
            silence_s=MISSED_HEARTBEATS * settings.heartbeat_s,
            suspicious_score=settings.suspicious_score,
            revoke_score=settings.revoke_score,
        ),
        playback=Playback(
            settings, signer, token_keys, path_token_keys, vendor=vendor, now=lambda: clock().timestamp()
        ),
        vendor=vendor,
        keys=KeyProvider(master),
        endpoints=endpoints,
        outbox=outbox,
        deliverer=Deliverer(endpoints, outbox, private=settings.webhook_private_targets, now=time.time),
        changes=changes,
        readiness=Readiness(clients.s3, (settings.source_bucket, settings.media_bucket)),
        event_token=_secret(settings.event_token_file),
        edge_token=_secret(settings.edge_token_file),
        aws_secrets=_aws_secrets(session),
        clock=clock,
    )


def _token_key(file: Path) -> bytes:
    """A shorter key would still read tokens, also those that somebody made who guessed it."""
    key = read_private(file)
    if len(key) < tokens.MIN_KEY_BYTES:
        raise Unavailable(
            f"the secret {file} is damaged: it has {len(key)} bytes, and {tokens.MIN_KEY_BYTES} are needed"
        )
    return key


def _secret(path: Path | None) -> str:
    return read_private_text(path) if path else ""


def _aws_secrets(session: boto3.Session) -> dict[str, str]:
    found = session.get_credentials()
    if found is None:
        return {}
    frozen = found.get_frozen_credentials()
    return {frozen.access_key: frozen.secret_key}
