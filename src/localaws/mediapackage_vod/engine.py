"""Packages assets: idempotent steps of a durable workflow that goes on at the interrupted one after a crash.

A package appears whole, by one rename, before its endpoint is PLAYABLE. Never keeps a content key anywhere but in this
process's memory.
"""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Lock
from typing import Any

from localaws.config import Config
from localaws.durable import EngineStopping
from localaws.media.failures import ENCRYPTION, HTTP_CONNECT, HTTP_SERVER, INTERNAL, JobCanceled, JobError
from localaws.media.keys import KeyProvider
from localaws.media.transfer import Store as Objects
from localaws.media.transfer import disk_error
from localaws.mediapackage_vod import configurations, ingest, notices, packaging, store, tracks
from localaws.mediapackage_vod.ingest import Rejected
from localaws.mediapackage_vod.store import Record, Store

log = logging.getLogger(__name__)
Json = dict[str, Any]


class Engine:
    """Does the steps of assets. One for each process; safe to call from several threads."""

    def __init__(self, config: Config, remembered: Store, publish_event: Callable[[Json], None]) -> None:
        self._config = config
        self._store = remembered
        self._publish = publish_event
        self._objects = Objects(config)
        self._key_provider = KeyProvider(config)
        self._work = config.state_dir / "mediapackage-vod" / "work"
        self.packages = config.state_dir / "mediapackage-vod" / "packages"
        self._cancels: dict[str, Event] = {}
        self._lock = Lock()
        self._stopping = Event()

    # Life

    def clean_leftovers(self) -> None:
        """Remove folders of assets that are gone, and sources of assets that have no work left."""
        for folder in self.packages.iterdir() if self.packages.is_dir() else ():
            if self._store.by_uid(store.assets, folder.name) is None:
                shutil.rmtree(folder, ignore_errors=True)
        unfinished = set(self._store.unfinished())
        for folder in self._work.iterdir() if self._work.is_dir() else ():
            if folder.name not in unfinished:
                shutil.rmtree(folder, ignore_errors=True)

    def stop(self) -> None:
        """End what runs without ending the work: it goes on at the next start."""
        self._stopping.set()
        with self._lock:
            for cancel in self._cancels.values():
                cancel.set()

    def close(self) -> None:
        self._objects.close()

    def forget(self, asset_uid: str) -> None:
        """End the work on a removed asset and remove its packages."""
        with self._lock:
            cancel = self._cancels.get(asset_uid)
        if cancel is not None:
            cancel.set()
        shutil.rmtree(self.packages / asset_uid, ignore_errors=True)

    def forget_configuration(self, configuration_uid: str) -> None:
        for folder in self.packages.glob(f"*/{configuration_uid}"):
            shutil.rmtree(folder, ignore_errors=True)

    # Steps

    def fetch(self, asset_uid: str) -> bool:
        """Bring the source here and look into it, once. False when there is nothing to do any more."""
        asset = self._store.by_uid(store.assets, asset_uid)
        if asset is None or not self.waiting(asset_uid):
            return False
        self._publish(notices.asset_event(self._config, asset, "IngestStart", f"Ingest of '{asset.id}' has started"))
        with self._running(asset_uid) as cancel:
            folder = self._folder(asset_uid)
            if (folder / "source.json").exists():
                return True
            (folder / "sources").mkdir(exist_ok=True)
            source = ingest.ingest(source_uri(asset.source_arn), folder / "sources", self._objects, cancel)
            tracks.write(source, folder / "source.json")
        return True

    def waiting(self, asset_uid: str) -> list[str]:
        """Configurations (uid) that have not packaged the asset yet."""
        return [row.uid for row in self._store.endpoints(asset_uid) if row.status in store.UNFINISHED]

    def package(self, asset_uid: str, configuration_uid: str) -> None:
        """Package the asset as one configuration says; failing is part of it."""
        asset = self._store.by_uid(store.assets, asset_uid)
        configuration = self._store.by_uid(store.configurations, configuration_uid)
        if asset is None or configuration is None:
            return
        if not self._store.move(asset_uid, configuration_uid, store.PROCESSING):
            return
        try:
            with self._running(asset_uid) as cancel:
                started = time.monotonic()
                self._package(asset, configuration, cancel)
                log.info("asset %s, %s: packaged in %.2f s", asset.id, configuration.id, time.monotonic() - started)
        except (Rejected, JobError) as exc:
            code = exc.code if isinstance(exc, JobError) else 0
            self._fail(asset, configuration, str(exc), keys=code in (ENCRYPTION, HTTP_CONNECT, HTTP_SERVER))
            return
        if not self._store.move(asset_uid, configuration_uid, store.PLAYABLE):
            # Removed while it was made: nobody will ask for it.
            shutil.rmtree(self.packages / asset_uid / configuration_uid, ignore_errors=True)
        else:
            self._publish(notices.playable(self._config, asset, configuration, self.urls(asset, configuration)))

    def finish(self, asset_uid: str) -> None:
        asset = self._store.by_uid(store.assets, asset_uid)
        if asset is not None and any(row.status == store.PLAYABLE for row in self._store.endpoints(asset_uid)):
            message = f"Ingest of '{asset.id}' is complete"
            self._publish(notices.asset_event(self._config, asset, "IngestComplete", message))
        with self._lock:
            self._cancels.pop(asset_uid, None)
        if not self.waiting(asset_uid):
            shutil.rmtree(self._work / asset_uid, ignore_errors=True)

    def reject(self, asset_uid: str, message: str) -> None:
        """The source cannot be ingested: no configuration will ever package it."""
        asset = self._store.by_uid(store.assets, asset_uid)
        if asset is None:
            return
        log.info("asset %s cannot be ingested: %s", asset.id, message)
        # The event first: a crash between both tells it again, and its id keeps it one.
        self._publish(notices.asset_event(self._config, asset, "IngestError", message))
        for configuration_uid in self.waiting(asset_uid):
            self._store.move(asset_uid, configuration_uid, store.FAILED)

    # Inside

    def urls(self, asset: Record, configuration: Record) -> list[str]:
        """The addresses of an endpoint's manifests, at the egress; the first is the one that DescribeAsset tells."""
        package = configurations.read(configuration.package)
        base = f"{self._config.aws_url}/out/v1/{asset.uid}/{configuration.uid}/{endpoint_part(asset, configuration)}"
        return [f"{base}/{manifest.name}.{package.extension}" for manifest in package.manifests]

    def _package(self, asset: Record, configuration: Record, cancel: Event) -> None:
        final = self.packages / asset.uid / configuration.uid
        if final.exists():
            return
        folder = self._folder(asset.uid)
        asked = configurations.read(configuration.package)
        source = tracks.read(folder / "source.json")
        resource_id = asset.resource_id or asset.id
        # The configuration is part of what a key id is made of: two that share a scheme do not share keys.
        keys = packaging.get_keys(
            self._key_provider, asked, source, f"{asset.uid}/{configuration.uid}", resource_id, cancel
        )
        made = folder / configuration.uid
        packaging.package(asked, source, folder / "sources", made, keys, cancel)
        final.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        made.rename(final)

    def _fail(self, asset: Record, configuration: Record, message: str, *, keys: bool) -> None:
        log.info("asset %s cannot be packaged by %s: %s", asset.id, configuration.id, message)
        self._publish(notices.endpoint_error(self._config, asset, configuration, message, keys=keys))
        self._store.move(asset.uid, configuration.uid, store.FAILED)

    @contextmanager
    def _running(self, asset_uid: str) -> Iterator[Event]:
        with self._lock:
            cancel = self._cancels.setdefault(asset_uid, Event())
        if self._store.by_uid(store.assets, asset_uid) is None:
            raise JobCanceled
        try:
            self._stop_if_asked()
            yield cancel
        except (JobCanceled, JobError, Rejected):
            # A process that was ended because we are ending says nothing about the asset.
            self._stop_if_asked()
            raise
        except OSError as exc:
            raise disk_error(exc) from exc

    def _stop_if_asked(self) -> None:
        if self._stopping.is_set():
            raise EngineStopping

    def _folder(self, asset_uid: str) -> Path:
        folder = self._work / asset_uid
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return folder


def endpoint_part(asset: Record, configuration: Record) -> str:
    """The last folder of an endpoint's address; as on AWS it says nothing."""
    return "".join(a if index % 2 else b for index, (a, b) in enumerate(zip(asset.uid, configuration.uid, strict=True)))


def source_uri(source_arn: str) -> str:
    return f"s3://{source_arn.removeprefix('arn:aws:s3:::')}"


def sentence(exc: Exception) -> str:
    """What an asset's failure is told as."""
    if isinstance(exc, Rejected | JobError):
        return str(exc)
    return f"the engine failed (error {INTERNAL}); its log below the data folder tells more"
