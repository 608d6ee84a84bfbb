"""Sources that Probe has fetched, kept for a while so that the job which usually follows need not fetch them again."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import time
from pathlib import Path
from threading import Event, Lock
from typing import Any

from localaws.media.probe import probe, to_probe_result
from localaws.media.transfer import Store

KEPT_S = 900.0
Json = dict[str, Any]


class Handover:
    """A folder of fetched sources, named by address and ETag: what is found there is that version of the object."""

    def __init__(self, folder: Path, objects: Store) -> None:
        self.folder = folder
        self._objects = objects
        self._fetching = Lock()
        self._changing = Lock()

    def probe(self, uri: str) -> Json:
        """Fetch and probe a source; returns botocore's ProbeResult. Raises InputRejected, JobError, AddressRefused."""
        head = self._objects.head(uri, Event())
        path = self._path(uri, head["ETag"])
        self.prune()
        # One download at a time: two probes of one source would write the same file.
        with self._fetching:
            with self._changing:
                self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
                there = path.exists()
                if there:
                    os.utime(path)  # not to be pruned while it is looked at
            if not there:
                self._objects.fetch(uri, path, Event(), lambda done, size: None)
        probed = probe(path, require_video=False)
        return to_probe_result(probed, etag=head["ETag"].strip('"'), last_modified=head.get("LastModified"))

    def take(self, uri: str, etag: str, path: Path) -> bool:
        """Give a source that was probed to a job, as a link at `path`. False when it is not here."""
        kept = self._path(uri, etag)
        with self._changing, contextlib.suppress(OSError):
            os.link(kept, path)
            os.utime(kept, (0, 0))  # the next pruning takes it: one job usually follows one probe
            return True
        return False

    def prune(self) -> None:
        """Remove what was given to a job, and what nobody came for."""
        with self._changing, contextlib.suppress(OSError):
            for path in self.folder.iterdir():
                if path.stat().st_mtime < time.time() - KEPT_S:
                    path.unlink()

    def clear(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def _path(self, uri: str, etag: str) -> Path:
        return self.folder / hashlib.sha256(f"{uri}\n{etag}".encode()).hexdigest()[:32]
