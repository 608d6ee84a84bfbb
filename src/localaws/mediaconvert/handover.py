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

from localaws.mediaconvert.probe import probe, to_probe_result
from localaws.mediaconvert.transfer import Store

KEPT_S = 900.0
Json = dict[str, Any]


class Handover:
    """A folder of fetched sources, named by address and ETag: what is found there is that version of the object."""

    def __init__(self, folder: Path, objects: Store) -> None:
        self._folder = folder
        self._objects = objects
        self._fetching = Lock()

    def probe(self, uri: str) -> Json:
        """Fetch and probe a source; returns botocore's ProbeResult. Raises InputRejected, JobError, NameRefused."""
        head = self._objects.head(uri, Event())
        path = self._path(uri, head["ETag"])
        self.prune()
        # One download at a time: two probes of one source would write the same file.
        with self._fetching:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            if not path.exists():
                self._objects.fetch(uri, path, Event(), lambda done, size: None)
        try:
            probed = probe(path, require_video=False)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return to_probe_result(probed, etag=head["ETag"].strip('"'), last_modified=head.get("LastModified"))

    def take(self, uri: str, etag: str, path: Path) -> bool:
        """Link a source that was probed to `path`. False when it is not here."""
        with contextlib.suppress(OSError):
            os.link(self._path(uri, etag), path)
            return True
        return False

    def prune(self) -> None:
        """Remove what nobody came for."""
        with contextlib.suppress(OSError):
            for path in self._folder.iterdir():
                if path.stat().st_mtime < time.time() - KEPT_S:
                    path.unlink()

    def clear(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)

    def _path(self, uri: str, etag: str) -> Path:
        return self._folder / hashlib.sha256(f"{uri}\n{etag}".encode()).hexdigest()[:32]
