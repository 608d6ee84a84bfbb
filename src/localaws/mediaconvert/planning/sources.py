"""What a plan needs to know of a source, from its probe, and written down so that a resumed job plans the same."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from typing import Any

from localaws.media.mastering import Hdr10
from localaws.media.probe import Probed
from localaws.mediaconvert.planning.film import Source, SourceAudio, SourceVideo

TEXT_CODECS = ("mov_text", "subrip", "srt", "webvtt", "text")
"""Captions that are text, by ffmpeg's names; others are pictures or need a renderer."""


def source_of(probed: Probed) -> Source:
    video = probed.video
    default = probed.audio
    return Source(
        demuxer=probed.demuxer,
        duration_s=probed.duration_s,
        video=None
        if video is None
        else SourceVideo(
            stream_index=video.index,
            width=video.width,
            height=video.height,
            rotation=video.rotation_deg,
            sar=video.sample_aspect_ratio,
            frame_rate=video.frame_rate,
            interlaced=video.interlaced,
            bottom_first=bool(probed.bottom_first),
            primaries=video.color_primaries,
            transfer=video.color_transfer,
            matrix=video.color_space,
            codec=video.codec,
            late_s=max(video.start_s - probed.start_s, 0.0),
            duration_s=video.duration_s,
            active_format=probed.active_format,
            hdr10=probed.mastering,
        ),
        audios=tuple(
            SourceAudio(audio.index, audio.channels, audio.language or None, audio.codec, audio.decodable, audio.pid)
            for audio in probed.audios
        ),
        default_audio=0 if default is None else probed.audios.index(default),
        timecode=probed.timecode,
        caption_tracks=tuple(other.index for other in probed.others if other.codec in TEXT_CODECS),
        start_s=probed.start_s,
    )


def write(sources: Mapping[str, Source], path: Path) -> None:
    """Write sources by their addresses, atomically: a file that is there is whole."""
    part = path.with_suffix(".part")
    part.write_text(json.dumps({uri: asdict(source) for uri, source in sources.items()}, default=str))
    part.rename(path)


def read(path: Path) -> dict[str, Source]:
    return {uri: _read(document) for uri, document in json.loads(path.read_text()).items()}


def _read(document: dict[str, Any]) -> Source:
    video = document["video"]
    if video is not None:
        hdr10 = None if video["hdr10"] is None else _display(video["hdr10"])
        video = SourceVideo(
            **video | {name: Fraction(video[name]) for name in ("sar", "frame_rate")} | {"hdr10": hdr10}
        )
    audios = tuple(SourceAudio(**audio) for audio in document["audios"])
    tracks = tuple(document["caption_tracks"])
    return Source(**document | {"video": video, "audios": audios, "caption_tracks": tracks})


def _display(document: dict[str, Any]) -> Hdr10:
    members: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in document.items()}
    return Hdr10(**members)
