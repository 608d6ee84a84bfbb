"""A whole job (CreateJob to COMPLETE: source fetched, encoded, encrypted, packaged, uploaded) of the built-in ladder on
30 s of 1080p film, against the one bare ffmpeg command with the same arguments, which stops at encoded files.
"""

from __future__ import annotations

import subprocess
import time
import uuid
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from measuring import FILM, Row, RunningStack, alternate, running_stack

from localaws.mediaconvert import argv, jail, naming, request, sources
from localaws.mediaconvert.plan import plan
from localaws.mediaconvert.probe import probe
from penstock import ladder

ROUNDS = 3


def measure() -> list[Row]:
    with running_stack() as stack:
        s3, mediaconvert = stack.aws("s3"), stack.aws("mediaconvert")
        bucket = stack.env["PENSTOCK_SOURCE_BUCKET"]
        s3.upload_file(str(FILM), bucket, "bench/film.mp4")  # outside inputs/, so that the watchfolder leaves it alone
        settings = _settings(stack, mediaconvert, f"s3://{bucket}/bench/film.mp4")
        command = _bare_command(settings)
        role = stack.env["PENSTOCK_MEDIACONVERT_ROLE"]
        job_s, bare_s, ratio = alternate(lambda: _job(mediaconvert, role, settings), lambda: _bare(command), ROUNDS)
    return [Row("whole job", f"{job_s:.1f} s", f"bare ffmpeg {bare_s:.1f} s", ratio, "at most 1.05")]


def _settings(stack: RunningStack, mediaconvert: Any, source: str) -> dict[str, Any]:
    probed = mediaconvert.probe(InputFiles=[{"FileUrl": source}])["ProbeResults"][0]
    return ladder.job_settings(
        ladder.source_properties(probed),
        input_uri=source,
        destination_uri=f"s3://{stack.env['PENSTOCK_MEDIA_BUCKET']}/bench",
        speke_url=f"{stack.env['PENSTOCK_URL']}/speke/v2/copyProtection",
        asset_id=str(uuid.uuid4()),
        poster=True,
    )


def _job(mediaconvert: Any, role: str, settings: dict[str, Any]) -> float:
    """Seconds from CreateJob to COMPLETE, asked every 50 ms."""
    began = time.monotonic()
    job = mediaconvert.create_job(Role=role, Settings=settings)["Job"]
    while job["Status"] not in ("COMPLETE", "ERROR", "CANCELED"):
        time.sleep(0.05)
        job = mediaconvert.get_job(Id=job["Id"])["Job"]
    took_s = time.monotonic() - began
    if job["Status"] != "COMPLETE":
        raise RuntimeError(f"the job ended {job['Status']}: {job.get('ErrorMessage')}")
    return took_s


def _bare_command(settings: dict[str, Any]) -> list[str]:
    """The command that the engine makes of these settings, with paths of this machine."""
    asked = request.read(settings)
    source = sources.source_of(probe(FILM))
    facts = naming.Facts(datetime.now(UTC), naming.input_stem(naming.object_address(asked.input_uri)[1]))
    return argv.ffmpeg(plan(asked, source, facts), str(jail.binary("ffmpeg")))


def _bare(command: list[str]) -> float:
    with TemporaryDirectory(prefix="penstock-bench-") as folder:
        out = Path(folder)
        here = [a.replace("/in/source", str(FILM)).replace("/out/", f"{out}/") for a in command]
        began = time.monotonic()
        subprocess.run(here, check=True, stdout=subprocess.DEVNULL, cwd=out)
        return time.monotonic() - began
