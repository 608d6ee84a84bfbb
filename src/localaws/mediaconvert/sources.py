"""What a plan needs to know of a source, from its probe, and written down so that a resumed job plans the same."""

from __future__ import annotations

import json
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path

from localaws.mediaconvert.plan import Source, SourceAudio, SourceVideo
from localaws.mediaconvert.probe import Probed


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
        ),
        audios=tuple(
            SourceAudio(audio.index, audio.channels, audio.language or None, audio.codec, audio.decodable)
            for audio in probed.audios
        ),
        default_audio=0 if default is None else probed.audios.index(default),
    )


def write(source: Source, path: Path) -> None:
    """Write atomically: a file that is there is whole."""
    part = path.with_suffix(".part")
    part.write_text(json.dumps(asdict(source), default=str))
    part.rename(path)


def read(path: Path) -> Source:
    document = json.loads(path.read_text())
    video = document["video"]
    if video is not None:
        video = SourceVideo(**video | {name: Fraction(video[name]) for name in ("sar", "frame_rate")})
    audios = tuple(SourceAudio(**audio) for audio in document["audios"])
    return Source(**document | {"video": video, "audios": audios})
