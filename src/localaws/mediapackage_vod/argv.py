"""Command lines of Shaka Packager for a package. Pure; every path is one of the jail's."""

from __future__ import annotations

from localaws.mediapackage_vod.configurations import Package
from localaws.mediapackage_vod.tracks import CAPTIONS, CAPTIONS_FOR_TTML, Source, Track

DASH_FILE, HLS_FILE = "manifest.mpd", "manifest.m3u8"


def packager(package: Package, source: Source, executable: str) -> list[str]:
    """Package `source`, which lies in /in/sources, into /out. Keys for samples come from the file /secrets/keys."""
    tracks = [track for track in source.tracks if package.kind != "mss" or track.kind != "text"]
    arguments = [executable, *(_stream(track, package) for track in tracks)]
    # A hundred thousandth of a second more, so that cutting to whole ticks never ends a segment one frame early.
    arguments += [
        f"--segment_duration={package.segment_s + 1e-5:.5f}",
        f"--fragment_duration={package.segment_s + 1e-5:.5f}",
        "--temp_dir=/tmp",
    ]
    if package.kind == "dash":
        # Segments in files of their own, yet a presentation that has ended.
        arguments += [f"--mpd_output={DASH_FILE}", "--generate_static_live_mpd"]
    elif package.kind != "mss":
        arguments.append(f"--hls_master_playlist_output={HLS_FILE}")
    audio = source.of("audio")
    arguments.append(f"--default_language={(audio[0].language if audio else '') or 'und'}")
    if samples_encrypted(package):
        assert package.encryption is not None
        arguments += [
            "--enable_raw_key_encryption",
            f"--protection_scheme={package.encryption.scheme}",
            # Nothing is left in the clear at the start.
            "--clear_lead=0",
            "--flagfile=/secrets/keys",
        ]
    return [*arguments, "--quiet"]


def muxer(package: Package, source: Source, executable: str) -> list[str]:
    """Put each video and the sound into one transport stream, for ffmpeg; files are named as the packager does it."""
    [sound] = source.of("audio")
    videos = source.of("video")
    files = list(dict.fromkeys(track.file for track in (*videos, sound)))
    arguments = [executable, "-hide_banner", "-nostdin", "-loglevel", "error", "-y"]
    for file in files:
        demuxer = "mpegts" if file.endswith(".ts") else "mov"
        arguments += ["-protocol_whitelist", "file", "-f", demuxer, "-i", f"/in/sources/{file}"]
    for video in videos:
        arguments += [
            "-map", f"{files.index(video.file)}:v:0", "-map", f"{files.index(sound.file)}:a:{sound.sound}",
            "-c", "copy", "-map_metadata", "-1",
            # The film begins where the packager's own transport streams and captions begin.
            "-muxdelay", "0", "-muxpreload", "0", "-output_ts_offset", "0.1",
            "-f", "hls", "-hls_time", str(package.segment_s), "-hls_list_size", "0", "-hls_playlist_type", "vod",
            "-hls_segment_filename", f"/out/{video.label}_%d.ts", f"/out/{video.label}.m3u8",
        ]  # fmt: skip
    return arguments


def samples_encrypted(package: Package) -> bool:
    return package.encryption is not None and not package.whole_segments


def _stream(track: Track, package: Package) -> str:
    file = track.file
    if track.kind == "text" and package.kind == "dash":
        file = file.removesuffix(CAPTIONS) + CAPTIONS_FOR_TTML
    fields = [f"in=/in/sources/{file}", f"stream={track.stream}", *_files(track, package)]
    if package.kind != "mss":
        fields += _signalled(track, package)
    if samples_encrypted(package):
        track_type = package.track_type(track)
        fields.append(f"drm_label={track_type}" if track_type else "skip_encryption=1")
    return ",".join(fields)


def _signalled(track: Track, package: Package) -> list[str]:
    """What the packager is to write of a track into its manifest."""
    fields = []
    if track.language and track.language != "und":
        fields.append(f"language={track.language}")
    if package.kind == "dash":
        if track.kind != "video":
            # Tracks of one language and different names are different choices for the viewer.
            fields.append(f"dash_label={track.label}")
    else:
        fields.append(f"playlist_name={track.label}.m3u8")
        if track.kind == "audio":
            fields += [f"hls_group_id=audio-{track.codec}", f"hls_name={track.label}"]
        elif track.kind == "text":
            fields += ["hls_group_id=subtitles", f"hls_name={track.label}"]
    return fields


def _files(track: Track, package: Package) -> list[str]:
    """DASH carries captions as TTML inside MP4, HLS as WebVTT. Source: AWS, "Captions reference"."""
    if package.kind == "mss":
        return [f"output={track.label}.mp4"]
    number = "$Time$" if package.by_time else "$Number$"
    if track.kind == "text" and package.kind != "dash":
        return [f"segment_template={track.label}_{number}.vtt"]
    if package.kind == "hls":
        return [f"segment_template={track.label}_{number}.ts"]
    kind = "ttml+mp4" if track.kind == "text" else "mp4"
    return [
        f"format={kind}",
        f"init_segment={track.label}_init.mp4",
        f"segment_template={track.label}_{number}.mp4",
    ]
