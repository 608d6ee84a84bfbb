"""Makes a Smooth Streaming package: a folder of fragments, and a client manifest for each one that is asked for.

What the packager wrote, one file a track, is taken apart and goes. Source: [MS-SSTR]; AWS, "Captions reference": MSS
carries captions as DFXP, which is TTML.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from localaws.media import smooth as media
from localaws.media.keys import Keys
from localaws.media.smooth import Recording
from localaws.mediapackage_vod.configurations import Manifest, Package
from localaws.mediapackage_vod.manifests import NothingSelected, ordered
from localaws.mediapackage_vod.tracks import Source, Track
from penstock.errors import FormatError
from penstock.formats import smooth, subtitles
from penstock.formats.smooth import Chunk, Level, Stream

FRAGMENTS, MANIFEST = "fragments", "Manifest"
VIDEO = "video"


class NoSmooth(Exception):
    """The source cannot be a Smooth Streaming presentation; the message says why."""


@dataclass(frozen=True)
class _Track:
    source: Track
    recording: Recording


def make(asked: Package, source: Source, sources: Path, folder: Path, keys: Keys | None) -> None:
    """Turn the packager's files in `folder` into the package. Raises NoSmooth, NothingSelected."""
    if not source.of("video"):
        raise NoSmooth("no Smooth Streaming can be made of it: the source has no video")
    files = {track.label: folder / f"{track.label}.mp4" for track in source.tracks if track.kind != "text"}
    try:
        found = [_Track(track, media.survey(files[track.label])) for track in source.tracks if track.label in files]
        lead = media.lead_s([track.recording for track in found])
        streams = [_video([one for one in found if one.source.kind == "video"], lead, folder)]
        streams += [_audio(one, lead, folder) for one in found if one.source.kind == "audio"]
        streams += [_captions(one, sources, lead, streams[0].chunks, folder) for one in source.of("text")]
    except FormatError as exc:
        raise NoSmooth(f"no Smooth Streaming can be made of it: {exc.message}") from exc
    for path in files.values():
        path.unlink()
    protection = media.protection([system for track in keys.tracks for system in track.systems] if keys else ())
    for manifest in asked.manifests:
        (folder / f"{manifest.name}.ism").mkdir()
        text = smooth.client_manifest([_selected(streams[0], manifest), *streams[1:]], protection)
        (folder / f"{manifest.name}.ism" / MANIFEST).write_bytes(text)


def _video(tracks: Sequence[_Track], lead: Fraction, folder: Path) -> Stream:
    chunks = tracks[0].recording.chunks(lead)
    rates = smooth.distinct_rates([track.recording.bitrate_bps for track in tracks])
    levels = []
    for track, rate in zip(tracks, rates, strict=True):
        if not media.same_chunks(chunks, track.recording.chunks(lead)):
            raise NoSmooth(
                f"the key frames of {track.source.label} are not where those of {tracks[0].source.label} are; "
                "Smooth Streaming needs GOPs that begin at the same times in every file"
            )
        levels.append(_written(VIDEO, track.recording, rate, lead, chunks, folder))
    return Stream("video", VIDEO, tuple(levels), chunks)


def _audio(track: _Track, lead: Fraction, folder: Path) -> Stream:
    name, chunks = track.source.label, track.recording.chunks(lead)
    level = _written(name, track.recording, max(1, track.recording.bitrate_bps), lead, chunks, folder)
    return Stream("audio", name, (level,), chunks, track.source.language)


def _written(
    name: str, recording: Recording, rate: int, lead: Fraction, chunks: Sequence[Chunk], folder: Path
) -> Level:
    media.write_fragments(recording, lead, chunks, fragments(folder, name, rate))
    return Level(rate, smooth.codec(recording.track))


def _captions(track: Track, sources: Path, lead: Fraction, chunks: tuple[Chunk, ...], folder: Path) -> Stream:
    cues = subtitles.parse_webvtt((sources / track.file).read_bytes())
    part = folder / f"{track.label}.part"
    rate = media.write_captions(cues, track.language, lead, chunks, part)
    final = fragments(folder, track.label, rate)
    final.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(part, final)
    return Stream("text", track.label, (Level(rate, smooth.CAPTIONS),), chunks, track.language)


def fragments(folder: Path, stream: str, bitrate_bps: int) -> Path:
    """Where the fragments of one quality lie, each named by its time."""
    return folder / FRAGMENTS / stream / str(bitrate_bps)


def _selected(video: Stream, manifest: Manifest) -> Stream:
    levels = [level for level in video.levels if manifest.min_bps <= level.bitrate_bps <= manifest.max_bps]
    if not levels:
        raise NothingSelected(manifest)
    rates = [level.bitrate_bps for level in levels]
    return replace(video, levels=tuple(ordered(levels, rates, manifest, range(len(levels)))))
