"""Peak memory of every Python process while a film of 2 GB is uploaded and converted, against one of 20 MB, and while a
film of twenty minutes is, against one of ten seconds.

The large and the small one are the same two seconds of picture; an ISO BMFF `free` box makes up the size, so that bytes
are moved and encoding does not take the day.
"""

from __future__ import annotations

import json
import struct
import subprocess
import sys
import threading
from pathlib import Path

import psutil
from measuring import Row, RunningStack, high_water_mib, running_stack

SMALL_BYTES = 20 * 2**20
LARGE_BYTES = 2 * 2**30
SHORT_S = 10
LONG_S = 1200


def measure() -> list[Row]:
    import films

    with running_stack() as stack:
        film = films.film(stack.data_dir.parent / "film.mp4", duration_s=2).read_bytes()
        small = _peaks(stack, _padded(stack.data_dir.parent / "small.mp4", film, SMALL_BYTES))
    with running_stack() as stack:
        large = _peaks(stack, _padded(stack.data_dir.parent / "large.mp4", film, LARGE_BYTES))
    with running_stack() as stack:
        short = _peaks(stack, films.film(stack.data_dir.parent / "short.mp4", duration_s=SHORT_S))
    with running_stack() as stack:
        long = _peaks(stack, films.film(stack.data_dir.parent / "long.mp4", duration_s=LONG_S))
    return [
        *_rows("2 GB", large, "20 MB", small),
        *_rows(f"{LONG_S // 60} minutes", long, f"{SHORT_S} s", short),
    ]


def _rows(what: str, ours: dict[str, float], other: str, theirs: dict[str, float]) -> list[Row]:
    return [
        Row(
            f"peak memory, {name}, {what}",
            f"{ours[name]:.0f} MiB",
            f"{other}: {theirs[name]:.0f} MiB",
            ours[name] / theirs[name],
            "at most 1.20",
        )
        for name in theirs
        if name in ours
    ]


def _padded(path: Path, film: bytes, size_bytes: int) -> Path:
    """The film with a 64-bit `free` box behind it (ISO/IEC 14496-12, 8.1.2), not sparse on the way."""
    padding = size_bytes - len(film)
    with path.open("wb") as file:
        file.write(film + struct.pack(">I4sQ", 1, b"free", padding))
        file.truncate(size_bytes)
    return path


def _peaks(stack: RunningStack, film: Path) -> dict[str, float]:
    """Peak resident memory in MiB by process name while the film goes up and is converted."""
    peaks: dict[str, float] = {}
    done = threading.Event()
    watcher = threading.Thread(target=_watch, args=(stack, peaks, done))
    watcher.start()
    try:
        command = [str(Path(sys.executable).with_name("penstock")), "upload", str(film), "--wait", "--json"]
        import os

        result = subprocess.run(command, capture_output=True, text=True, env=os.environ | stack.env, timeout=900)
    finally:
        done.set()
        watcher.join()
    if result.returncode or json.loads(result.stdout)["state"] != "published":
        raise RuntimeError(result.stdout + result.stderr)
    return peaks


def _watch(stack: RunningStack, peaks: dict[str, float], done: threading.Event) -> None:
    """Linux keeps each process's own peak (VmHWM); reading it now and then misses nothing but the last moments."""
    while not done.wait(0.2):
        for process in [*stack.processes(), *psutil.Process().children(recursive=True)]:
            name = _name(process)
            if name:
                peaks[name] = max(peaks.get(name, 0), high_water_mib(process.pid))


def _name(process: psutil.Process) -> str | None:
    try:
        line = " ".join(process.cmdline())
    except psutil.Error:
        return None
    for part in ("localaws.endpoint", "localaws.edge", "penstock.api", "penstock upload", "localaws --config"):
        if part in line and "python" in line:
            return {"localaws --config": "supervisor"}.get(part, part)
    return None
