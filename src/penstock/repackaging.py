"""A clear stream that a job wrote -> files and a SMIL for MediaPackage, which takes no DASH. Nothing is encoded.

Never touches the stream, nor one that is encrypted. For job settings of people's own; the built-in ladder writes files.
"""

from __future__ import annotations

import logging
import posixpath
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import replace

from penstock import smil
from penstock.errors import FormatError, JobFailed, SourceRejected
from penstock.outputs import Found
from penstock.settings import Clients, Settings

log = logging.getLogger(__name__)
FOLDER = "mediapackage"
_COPIES = 2
"""What has come from the bucket, and what goes back to it."""


def with_files(found: Found, prefix: str, sizes: Mapping[str, int], clients: Clients, settings: Settings) -> Found:
    """Make files of the stream that `found` has, unless there are files already; they take the stream's place.

    prefix: of the job's outputs. sizes: bytes of every object below it. Doing it again finds what is there. A stream
    that MediaPackage must not be given (encrypted, or in MPEG-TS) stays as it is, which the log tells.
    Raises JobFailed for one that cannot be read, or that there is no room for here.
    """
    manifest = found.dash or found.hls
    if found.smil is not None or found.key_ids or manifest is None:
        return found
    key = posixpath.join(prefix, FOLDER, "main.smil")
    if key not in sizes:
        folder = posixpath.dirname(manifest) + "/"
        _refuse_too_large(sum(size for name, size in sizes.items() if name.startswith(folder)))
        bucket = f"s3://{settings.media_bucket}"
        try:
            smil.make(f"{bucket}/{manifest}", f"{bucket}/{key}", s3=clients.s3)
        except SourceRejected as exc:
            log.info("%s is published as it is, MediaPackage cannot have it: %s", manifest, exc.message)
            return found
        except FormatError as exc:
            raise JobFailed(f"No files for MediaPackage can be made of the job's stream: {exc.message}.") from exc
    return replace(found, smil=key, dash=None, hls=None)


def _refuse_too_large(size_bytes: int) -> None:
    free_bytes = shutil.disk_usage(tempfile.gettempdir()).free
    if _COPIES * size_bytes > free_bytes:
        raise JobFailed(
            f"The job's stream has {size_bytes >> 20} MiB. Making files of it for MediaPackage takes twice that, "
            f"and {free_bytes >> 20} MiB are free here; have MediaConvert write MP4 files (a FILE_GROUP) instead."
        )
