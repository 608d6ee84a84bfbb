"""200 jobs submitted at once and run one after the other, each a second of picture: how long CreateJob takes while they
queue up, what a job costs beside the bare ffmpeg command that it runs, and the endpoint's memory over the whole queue.
"""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from measuring import Row, bare_command, high_water_mib, run_bare, running_stack

import mediaconvert_jobs as jobs

JOBS = 200
SAMPLE = 20


def measure() -> list[Row]:
    import films

    with running_stack() as stack, TemporaryDirectory(prefix="penstock-bench-") as folder:
        film = films.film(Path(folder) / "film.mp4", duration_s=1)
        s3, mediaconvert = stack.aws("s3"), stack.aws("mediaconvert")
        bucket, media = stack.env["PENSTOCK_SOURCE_BUCKET"], stack.env["PENSTOCK_MEDIA_BUCKET"]
        s3.upload_file(str(film), bucket, "bench/film.mp4")
        role = stack.env["PENSTOCK_MEDIACONVERT_ROLE"]

        def settings(number: int) -> dict[str, Any]:
            group = jobs.file(
                jobs.video("_v", container="MP4", Height=90), destination=f"s3://{media}/queue/{number}/film"
            )
            return jobs.settings(group, uri=f"s3://{bucket}/bench/film.mp4")

        endpoint = next(one for one in stack.processes() if "localaws.endpoint" in " ".join(one.cmdline()))
        before_mib = high_water_mib(endpoint.pid)
        create_s = []
        began = time.monotonic()
        for number in range(JOBS):
            asked = time.monotonic()
            mediaconvert.create_job(Role=role, Settings=settings(number))
            create_s.append(time.monotonic() - asked)
        while _left(mediaconvert):
            time.sleep(0.2)
        each_s = (time.monotonic() - began) / JOBS
        if failed := mediaconvert.list_jobs(Status="ERROR")["Jobs"]:
            raise RuntimeError(f"a job ended with {failed[0]['ErrorMessage']}")
        bare_s = statistics.median(run_bare(bare_command(settings(0), film), film) for _ in range(SAMPLE))
        after_mib = high_water_mib(endpoint.pid)
    slow_s = statistics.quantiles(create_s, n=20)[-1]
    return [
        Row(f"CreateJob, {JOBS} queued, 95 %", f"{1000 * slow_s:.0f} ms", "", None, "under 200 ms"),
        Row(f"a job of {JOBS} queued", f"{each_s:.2f} s", f"bare ffmpeg {bare_s:.2f} s", None, ""),
        Row(
            f"peak memory of the endpoint, {JOBS} jobs",
            f"{after_mib:.0f} MiB",
            f"before: {before_mib:.0f} MiB",
            after_mib / before_mib,
            "at most 1.50",
        ),
    ]


def _left(mediaconvert: Any) -> bool:
    return any(mediaconvert.list_jobs(Status=status, MaxResults=1)["Jobs"] for status in ("SUBMITTED", "PROGRESSING"))
