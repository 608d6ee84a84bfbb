"""`make fuzz-jobs`: random jobs on tiny films, from settings to packaged outputs, each held against what it asks for.

A job is refused by the path of a setting, or it becomes what its settings say. Prints each job that does neither, with
its number; ends with status 1 when there was one. ARGS: `--first 0 --seconds 60`, or `--first 162 --jobs 1` for one.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import traceback
from pathlib import Path
from tempfile import TemporaryDirectory

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(REPOSITORY / "src"), str(REPOSITORY / "tests")]

import any_jobs
import job_judge


def faults(number: int, sources: Path) -> list[str]:
    with TemporaryDirectory(prefix="penstock-job-") as work:
        try:
            return job_judge.faults(any_jobs.job(number), sources, Path(work))
        except Exception:  # noqa: BLE001  # whatever a job raises beside a refusal is what is looked for
            return [traceback.format_exc()]


def main() -> None:
    parser = argparse.ArgumentParser(description="Random MediaConvert jobs.")
    parser.add_argument("--first", type=int, default=int(time.time()), help="number of the first job")
    parser.add_argument("--jobs", type=int, default=sys.maxsize, help="how many at most")
    parser.add_argument("--seconds", type=float, default=60.0, help="when to stop")
    given = parser.parse_args()
    ends, bad, number = time.monotonic() + given.seconds, 0, given.first
    with TemporaryDirectory(prefix="penstock-films-") as sources:
        while number < given.first + given.jobs and time.monotonic() < ends:
            if found := faults(number, Path(sources)):
                bad += 1
                print(f"job {number}:", *found, json.dumps(any_jobs.job(number).settings), sep="\n  ", flush=True)
            number += 1
    print(f"{number - given.first} jobs from {given.first} on, {bad} of them with faults")
    sys.exit(bool(bad))


if __name__ == "__main__":
    main()
