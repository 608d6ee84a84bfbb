"""`penstock up` on a new and on a used data folder: seconds until every part is ready."""

from __future__ import annotations

import time
from pathlib import Path
from tempfile import TemporaryDirectory

from measuring import Row, RunningStack


def measure() -> list[Row]:
    with TemporaryDirectory(prefix="penstock-bench-") as folder:
        stack = RunningStack(Path(folder) / "data")
        first, again = (_start_and_stop(stack) for _ in range(2))
    return [
        Row("`penstock up` to ready, new folder", f"{first:.1f} s", "", None, "under 10 s"),
        Row("`penstock up` to ready, again", f"{again:.1f} s", "", None, "under 10 s"),
    ]


def _start_and_stop(stack: RunningStack) -> float:
    began = time.monotonic()
    stack.start()
    took_s = time.monotonic() - began
    stack.stop()
    return took_s
