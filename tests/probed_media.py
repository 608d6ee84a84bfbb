"""Tiny films, and what ffprobe finds in what was made of them."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from localaws.media import jail
from sample_media import ffmpeg

PICTURE = ("-f", "lavfi", "-i")
ENCODE = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")


def film(
    folder: Path,
    *options: str,
    size: str = "320x180",
    rate: str = "25",
    sound: int | None = 2,
    duration_s: float = 2.2,
) -> Path:
    arguments = [*PICTURE, f"testsrc2=size={size}:rate={rate}:duration={duration_s}"]
    if sound:
        tone = f"sine=frequency=440:sample_rate=48000:duration={duration_s}"
        arguments += [*PICTURE, tone, "-ac", str(sound), "-c:a", "aac"]
    return ffmpeg(folder / "film.mp4", *arguments, *ENCODE, *options)


def bilingual(folder: Path, languages: tuple[str, ...] = ("eng", "deu"), duration_s: float = 1.5) -> Path:
    """A film with a tone of its own for each language."""
    arguments = [*PICTURE, f"testsrc2=size=160x90:rate=25:duration={duration_s}"]
    for number in range(len(languages)):
        arguments += [*PICTURE, f"sine=frequency={440 * (number + 1)}:sample_rate=48000:duration={duration_s}"]
    arguments += [part for number in range(len(languages) + 1) for part in ("-map", str(number))]
    for number, language in enumerate(languages):
        arguments += [f"-metadata:s:a:{number}", f"language={language}"]
    return ffmpeg(folder / "film.mp4", *arguments, *ENCODE, "-ac", "2", "-c:a", "aac")


def ffprobe(path: Path, *arguments: str) -> dict[str, Any]:
    command = [str(jail.binary("ffprobe")), "-v", "error", "-of", "json", *arguments, str(path)]
    found: dict[str, Any] = json.loads(subprocess.run(command, capture_output=True, check=True, timeout=60).stdout)
    return found


def stream(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = ffprobe(path, "-show_streams")["streams"][0]
    return found


def frame_hashes(path: Path) -> list[str]:
    """Of each decoded picture."""
    command = [str(jail.binary("ffmpeg")), "-v", "error", "-i", str(path), "-map", "0:v", "-f", "framemd5", "-"]
    told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    return [line.rpartition(",")[2] for line in told.splitlines() if not line.startswith("#")]


def key_frames_s(path: Path) -> list[float]:
    packets = ffprobe(path, "-show_entries", "packet=pts_time,flags")["packets"]
    return [float(packet["pts_time"]) for packet in packets if packet["flags"].startswith("K")]
