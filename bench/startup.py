"""`penstock up` and `penstock local` on a new and on a used data folder: seconds until every part is ready."""

from __future__ import annotations

import time
from pathlib import Path
from tempfile import TemporaryDirectory

from measuring import Row, RunningStack

from localaws import local


def measure() -> list[Row]:
    with TemporaryDirectory(prefix="penstock-bench-") as folder:
        stack = RunningStack(Path(folder) / "data")
        first, again = (_start_and_stop(stack) for _ in range(2))
        alone, alone_again = (_local(Path(folder) / "alone") for _ in range(2))
    return [
        Row("`penstock up` to ready, new folder", f"{first:.1f} s", "", None, "under 10 s"),
        Row("`penstock up` to ready, again", f"{again:.1f} s", "", None, "under 10 s"),
        Row("`penstock local` to ready, new folder", f"{alone:.1f} s", "", None, "under 5 s"),
        Row("`penstock local` to ready, again", f"{alone_again:.1f} s", "", None, "under 5 s"),
    ]


def _start_and_stop(stack: RunningStack) -> float:
    began = time.monotonic()
    stack.start()
    took_s = time.monotonic() - began
    stack.stop()
    return took_s


def _local(folder: Path) -> float:
    began = time.monotonic()
    with local.running(folder):
        return time.monotonic() - began
