"""What an asset's source holds, track by track, in values that packaging works from. Never opens a media file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

CAPTIONS, CAPTIONS_FOR_TTML = ".vtt", ".ttml.vtt"
"""Endings of a captions track's two files: as WebVTT is written, and as the packager wants it to make TTML."""

TrackKind = Literal["video", "audio", "text"]


@dataclass(frozen=True)
class Track:
    """One track. label: its name in packages. file: in the folder of sources. stream: how the packager picks it there.

    language: RFC 5646 or ISO 639, empty when unknown. name: what a viewer is shown. size: pixels of a picture, or
    channels. sound: which of its file's audio tracks it is, from 0.
    """

    label: str
    kind: TrackKind
    file: str
    stream: str
    codec: str
    language: str = ""
    name: str = ""
    size: int = 0
    sound: int = 0


@dataclass(frozen=True)
class Source:
    """An ingested asset. duration_s: seconds of the longest file."""

    tracks: tuple[Track, ...]
    duration_s: float

    def of(self, kind: TrackKind) -> list[Track]:
        return [track for track in self.tracks if track.kind == kind]


def write(source: Source, path: Path) -> None:
    """Write down a source, whole or not at all: where the file exists the source has been ingested."""
    part = path.with_suffix(".part")
    part.write_text(json.dumps(asdict(source)))
    part.rename(path)


def read(path: Path) -> Source:
    document = json.loads(path.read_text())
    return Source(tuple(Track(**track) for track in document["tracks"]), document["duration_s"])


def numbered(tracks: Sequence[Track]) -> tuple[Track, ...]:
    """Give tracks their labels: video_1, video_2, audio_1 ..., in order."""
    counts: dict[str, int] = {}
    found = []
    for track in tracks:
        counts[track.kind] = counts.get(track.kind, 0) + 1
        found.append(Track(**{**asdict(track), "label": f"{track.kind}_{counts[track.kind]}"}))
    return tuple(found)
