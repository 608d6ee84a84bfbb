"""Tiny films of every odd kind that people hand in, made once for each folder: what random jobs are run on."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from localaws.media import jail
from sample_media import X264, ffmpeg

_LAVFI = ("-f", "lavfi", "-i")
CAPTIONS = "1\n00:00:00,100 --> 00:00:00,500\nHello\n\n2\n00:00:00,600 --> 00:00:00,900\n<i>there</i> ä\n"


def _picture(size: str = "160x90", rate: str = "25", duration_s: float = 1.2) -> tuple[str, ...]:
    return (*_LAVFI, f"testsrc2=size={size}:rate={rate}:duration={duration_s}")


def _tone(duration_s: float = 1.2, rate_hz: int = 48_000) -> tuple[str, ...]:
    return (*_LAVFI, f"sine=frequency=440:sample_rate={rate_hz}:duration={duration_s}")


def _encoded(name: str, *options: str) -> Callable[[Path], Path]:
    return lambda folder: ffmpeg(folder / name, *options)


def _by_full_build(name: str, *options: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        path = folder / name
        command = [str(jail.full_ffmpeg()), "-v", "error", "-nostdin", "-y", *options, str(path)]
        subprocess.run(command, check=True, timeout=120)
        return path

    return make


def _turned(folder: Path) -> Path:
    """As phones write: a picture on its side, at a rate that varies."""
    upright = ffmpeg(
        folder / "upright.mp4", *_picture("160x90", "30"), *_tone(), "-vf", "select=not(eq(mod(n\\,5)\\,2))",
        "-fps_mode", "vfr", *X264, "-c:a", "aac",
    )  # fmt: skip
    return ffmpeg(folder / "turned.mov", "-display_rotation", "90", "-i", str(upright), "-c", "copy")


def _late(folder: Path) -> Path:
    """Sound that begins 0.4 s after the pictures."""
    sound = (*_tone(0.7), "-map", "0", "-map", "1")
    return ffmpeg(folder / "late.mp4", *_picture(), "-itsoffset", "0.4", *sound, *X264, "-c:a", "aac")


_SURROUND = (
    "-filter_complex",
    "[1]pan=7.1|" + "|".join(f"c{n}=c0" for n in range(8)) + "[a]",
    "-map",
    "0",
    "-map",
    "[a]",
)
_FIELDS = ("-vf", "interlace,setfield=tff", "-flags", "+ildct+ilme")
SOURCES: dict[str, Callable[[Path], Path]] = {
    "plain": _encoded("plain.mp4", *_picture(), *_tone(), *X264, "-ac", "2", "-c:a", "aac"),
    "film": _encoded("film.mov", *_picture("96x72", "24000/1001"), *_tone(), *X264, "-ac", "2", "-c:a", "pcm_s16le"),
    "video": _encoded("video.mp4", *_picture("128x72", "30000/1001"), *_tone(), *X264, "-c:a", "aac"),
    "fast": _encoded("fast.mkv", *_picture("64x36", "60"), *_tone(rate_hz=44_100), *X264, "-c:a", "aac"),
    "slow": _encoded("slow.mp4", *_picture("160x90", "5"), *_tone(), *X264, "-c:a", "aac"),
    "turned": _turned,
    "odd": _encoded("odd.mkv", *_picture("85x47"), *_tone(), *X264, "-pix_fmt", "yuv444p", "-c:a", "flac"),
    "silent": _encoded("silent.mp4", *_picture(), *X264),
    "surround": _encoded("surround.mov", *_picture(), *_tone(), *_SURROUND, *X264, "-c:a", "pcm_s24le"),
    "late": _late,
    "fields": _encoded("fields.ts", *_picture("96x64", "50"), *_tone(), *_FIELDS, "-c:v", "mpeg2video", "-c:a", "mp2"),
    "deep": _by_full_build(
        "deep.mp4", *_picture(), *_tone(), "-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=error",
        "-pix_fmt", "yuv420p10le", "-c:a", "aac",
    ),
    "prores": _encoded("prores.mov", *_picture("80x48"), *_tone(), "-c:v", "prores_ks", "-c:a", "pcm_s16le"),
    "vp9": _encoded(
        "vp9.webm", *_picture("160x90", "30"), *_tone(),
        "-c:v", "libvpx-vp9", "-deadline", "realtime", "-c:a", "libopus",
    ),
    "av1": _encoded("av1.mp4", *_picture(), *_tone(), "-c:v", "libsvtav1", "-preset", "12", "-c:a", "aac"),
    "clocked": _encoded(
        "clocked.ts", *_picture("160x90", "30000/1001"), *_tone(), *X264, "-c:a", "aac", "-output_ts_offset", "95443.7"
    ),
    "sound": _encoded("sound.wav", *_tone(1.3, 44_100), "-ac", "2"),
    "song": _encoded("song.mp3", *_tone(1.3, 44_100), "-ac", "1"),
    "still": _encoded("still.mp4", *_picture(duration_s=0.04), *X264),
    "wide": _encoded("wide.mp4", *_picture("120x96"), *_tone(), "-vf", "setsar=16/11", *X264, "-c:a", "aac"),
}  # fmt: skip
SOUND_ALONE = frozenset({"sound", "song"})
SILENT = frozenset({"silent", "still"})


def made(name: str, folder: Path) -> Path:
    """The source `name`, made unless an earlier job has made it."""
    own = folder / name
    found = next(iter(own.glob(f"{name}.*")), None)
    if found is None:
        own.mkdir(exist_ok=True)
        found = SOURCES[name](own)
    return found


def captions(folder: Path) -> Path:
    path = folder / "captions.srt"
    path.write_text(CAPTIONS, encoding="utf-8")
    return path


def image(folder: Path) -> Path:
    """A small picture, partly transparent."""
    path = folder / "logo.png"
    Image.new("RGBA", (20, 12), (255, 0, 0, 128)).save(path)
    return path
