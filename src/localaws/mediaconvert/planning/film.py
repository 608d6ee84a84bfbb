"""The film that a job's outputs show, as values: its sources, how they are opened, its scenes and their sounds."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from localaws.media.mastering import Hdr10


@dataclass(frozen=True)
class SourceVideo:
    """The video track as it is coded. `rotation`: clockwise angle a player turns it by; `sar`: shape of its pixels.

    primaries, transfer, matrix: of its colours, as ffmpeg calls them; empty where the source does not say.
    active_format, bottom_first: of its first frame, where an output needs them. late_s: its first frame after
    the beginning of the file. duration_s: from its first frame on, None where the file does not say.
    restated, sample_range, hdr10: what the job says of its colours, as `settings.colours`; hdr10 else the file's.
    segmented: both fields are of one moment, whatever the frames say.
    """

    stream_index: int
    width: int
    height: int
    rotation: int
    sar: Fraction
    frame_rate: Fraction
    interlaced: bool = False
    bottom_first: bool = False
    primaries: str = ""
    transfer: str = ""
    matrix: str = ""
    codec: str = ""
    late_s: float = 0.0
    duration_s: float | None = None
    restated: bool = False
    sample_range: str = ""
    segmented: bool = False
    hdr10: Hdr10 | None = None
    active_format: int | None = None


@dataclass(frozen=True)
class SourceAudio:
    """An audio track; `stream_index` counts all streams of the file."""

    stream_index: int
    channels: int
    language: str | None = None
    codec: str = "aac"
    decodable: bool = True
    pid: int | None = None


@dataclass(frozen=True)
class Source:
    """What a plan needs to know of a source. `demuxer` is ffmpeg's name; `default_audio` counts `audios` from 0.

    timecode: of the first frame, as the file says it. caption_tracks: stream indexes of timed text. start_s: the time
    that the file's clock shows where it begins.
    """

    demuxer: str
    duration_s: float
    video: SourceVideo | None
    audios: tuple[SourceAudio, ...]
    default_audio: int = 0
    timecode: str | None = None
    caption_tracks: tuple[int, ...] = ()
    start_s: float = 0.0


@dataclass(frozen=True)
class Opening:
    """A file as ffmpeg opens it: the name below /in, the turn of its frames, the stretch that is read, in seconds."""

    file: str
    source: Source
    turn: int | None = None
    start_s: Fraction | None = None
    length_s: Fraction | None = None


@dataclass(frozen=True)
class Tap:
    """A track of an opening; `offset_s` later than the pictures, earlier where it is less than 0."""

    opening: int
    stream_index: int
    channels: int
    offset_s: Fraction = Fraction(0)


@dataclass(frozen=True)
class Overlay:
    """A picture over an output's frames, from `start_s` on; `end_s` is where its fade out begins, None for never.

    file: its name below /in. left, top, width, height in px; `opacity` 0 to 1.
    """

    file: str
    left: int
    top: int
    width: int | None
    height: int | None
    opacity: Fraction
    start_s: Fraction
    end_s: Fraction | None
    fade_in_s: Fraction
    fade_out_s: Fraction


@dataclass(frozen=True)
class Scene:
    """A stretch of the film: the opening with its pictures (None is black), and for each sound its tracks.

    crop: width, height, left and top in px. `start_s` is where it begins in its input. overlays: of its own frames,
    whose times count from the scene's beginning. picture: below /in, what is shown on black. `size`
    is that of generated frames, in px; None for the black that is shown beside an input that is sound alone.
    """

    opening: int | None
    duration_s: Fraction
    start_s: Fraction
    input: int
    sounds: tuple[tuple[Tap, ...], ...] = ()
    filters: tuple[str, ...] = ()
    crop: tuple[int, int, int, int] | None = None
    overlays: tuple[Overlay, ...] = ()
    picture: str | None = None
    size: tuple[int, int] | None = None
    pad_black: bool = False

    @property
    def plain(self) -> bool:
        """Whether the pictures of its opening are taken as they are."""
        return not self.filters and self.crop is None and not self.overlays and not self.pad_black


@dataclass(frozen=True)
class Sound:
    """What the outputs that name one audio selector get, with the channels of its widest scene."""

    name: str
    channels: int
