"""A whole job (CreateJob to COMPLETE: source fetched, encoded, packaged, uploaded) on 30 s of 1080p film, against the
one bare ffmpeg command with the same arguments, which stops at encoded files. The built-in ladder, encrypted, is one
group of streams; three and five groups have three video outputs each.
"""

from __future__ import annotations

import time
import uuid
from functools import partial
from typing import Any

from measuring import FILM, Row, RunningStack, alternate, bare_command, run_bare, running_stack

import mediaconvert_jobs as jobs
from penstock import ladder

ROUNDS = 5
AT_MOST = {"the ladder, one group": "at most 1.05", "three groups": "at most 1.10", "five groups": "at most 1.10"}


def measure() -> list[Row]:
    rows = []
    with running_stack() as stack:
        s3, mediaconvert = stack.aws("s3"), stack.aws("mediaconvert")
        bucket = stack.env["PENSTOCK_SOURCE_BUCKET"]
        s3.upload_file(str(FILM), bucket, "bench/film.mp4")  # outside inputs/, so that the watchfolder leaves it alone
        source, role = f"s3://{bucket}/bench/film.mp4", stack.env["PENSTOCK_MEDIACONVERT_ROLE"]
        media = f"s3://{stack.env['PENSTOCK_MEDIA_BUCKET']}/bench"
        measured = {
            "the ladder, one group": _settings(stack, mediaconvert, source),
            "three groups": jobs.settings(*_groups(media)[:3], uri=source),
            "five groups": jobs.settings(*_groups(media), uri=source),
        }
        for name, settings in measured.items():
            command = bare_command(settings, FILM)
            job_s, bare_s, ratio = alternate(
                partial(_job, mediaconvert, role, settings), partial(run_bare, command, FILM), ROUNDS
            )
            rows.append(
                Row(f"whole job, {name}", f"{job_s:.1f} s", f"bare ffmpeg {bare_s:.1f} s", ratio, AT_MOST[name])
            )
    return rows


def _groups(media: str) -> list[dict[str, Any]]:
    """CMAF, DASH and HLS groups, a file group, and a second CMAF group with a segment length of its own."""
    heights = (360, 270, 180)
    streams = [jobs.video(f"_{height}", Height=height) for height in heights]
    segments = [jobs.hls_output(output) for output in streams]
    files = [jobs.video(f"_{height}", container="MP4", Height=height) for height in heights]
    return [
        jobs.cmaf(*streams, destination=f"{media}/cmaf/main"),
        jobs.dash(*_in_mpd(streams), destination=f"{media}/dash/main"),
        jobs.hls(*segments, destination=f"{media}/hls/main"),
        jobs.file(*files, destination=f"{media}/file/main"),
        jobs.cmaf(*streams, destination=f"{media}/long/main", SegmentLength=6),
    ]


def _in_mpd(outputs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**output, "ContainerSettings": {"Container": "MPD"}} for output in outputs]


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
    """Seconds from submission to completion by the job's own clock. Who asks often takes time from the encoder."""
    job = mediaconvert.create_job(Role=role, Settings=settings)["Job"]
    while job["Status"] not in ("COMPLETE", "ERROR", "CANCELED"):
        time.sleep(1)
        job = mediaconvert.get_job(Id=job["Id"])["Job"]
    if job["Status"] != "COMPLETE":
        raise RuntimeError(f"the job ended {job['Status']}: {job.get('ErrorMessage')}")
    took_s: float = (job["Timing"]["FinishTime"] - job["Timing"]["SubmitTime"]).total_seconds()
    return took_s
