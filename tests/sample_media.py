"""Makes tiny media files, good and bad, with the ffmpeg that the engine uses. Trusted input only: no jail around it."""

from __future__ import annotations

import os
import struct
import subprocess
from pathlib import Path

from localaws.media import jail

VIDEO = ("-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25:duration=1")
AUDIO = ("-f", "lavfi", "-i", "sine=frequency=440:duration=1")
X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")


def ffmpeg(output: Path, *arguments: str) -> Path:
    """Run ffmpeg with `arguments` before `output`; inputs among them are host paths."""
    done = subprocess.run(
        [str(jail.binary("ffmpeg")), "-v", "error", "-nostdin", "-y", *arguments, str(output)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return output


def clip(folder: Path, name: str = "clip.mp4", *options: str) -> Path:
    """A second of moving picture and a tone."""
    return ffmpeg(folder / name, *VIDEO, *AUDIO, *X264, "-g", "25", "-c:a", "aac", *options)


def patched(source: Path, name: str, old: bytes, new: bytes) -> Path:
    """Copy `source` with the first `old` replaced; `new` is as long."""
    data = source.read_bytes()
    assert old in data and len(old) == len(new)
    target = source.with_name(name)
    target.write_bytes(data.replace(old, new, 1))
    return target


def with_duration(source: Path, name: str, value: float) -> Path:
    """Copy a Matroska file with another Duration element (0x4489, eight bytes)."""
    data = source.read_bytes()
    at = data.index(b"\x44\x89\x88") + 3
    target = source.with_name(name)
    target.write_bytes(data[:at] + struct.pack(">d", value) + data[at + 8 :])
    return target


def cut(source: Path, name: str, size_bytes: int) -> Path:
    """Copy the first `size_bytes`; a negative number leaves that many away."""
    target = source.with_name(name)
    target.write_bytes(source.read_bytes()[:size_bytes])
    return target


def noise(source: Path, name: str, box: bytes) -> Path:
    """Copy an MP4 with the payload of its first `box` replaced by random bytes."""
    data = bytearray(source.read_bytes())
    at = data.index(box)
    size = int.from_bytes(data[at - 4 : at], "big")
    data[at + 4 : at - 4 + size] = os.urandom(size - 8)
    target = source.with_name(name)
    target.write_bytes(data)
    return target
