"""What MediaPackage VOD takes as a source of an asset: rules over a SMIL manifest and the heads of the files it names.

Never reads a file itself: whoever asks hands in a way to open one, so the same rules hold on a disk and in a bucket.
Source: https://docs.aws.amazon.com/mediapackage/latest/ug/supported-inputs-vod-smil.html, quotas-vod.html; that GOPs,
frame rates and audio layouts must agree over renditions is what its packagers need to switch between them.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from penstock.errors import FormatError
from penstock.formats import samples, smil, subtitles
from penstock.formats.movie import Entry, Movie, Readable, Track, outer_boxes, read_movie

MAX_TRACKS = 10
"""MediaPackage VOD quota: tracks in one stream (file)."""
MAX_SRT_BYTES = 16 * 2**20

VIDEO_CODECS = {"avc1": "H.264", "avc3": "H.264", "hvc1": "HEVC", "hev1": "HEVC"}
AUDIO_CODECS = {"mp4a": "AAC", "ac-3": "AC-3", "ec-3": "E-AC-3"}
_AAC = frozenset({0x40, 0x66, 0x67, 0x68, None})
"""objectTypeIndication of MPEG-4 and MPEG-2 AAC; mp4a also carries MP3 and others."""


@dataclass(frozen=True)
class Finding:
    """One reason to refuse. `file` as the SMIL names it, empty where it is the SMIL itself."""

    file: str
    found: str
    needed: str

    def __str__(self) -> str:
        return f"{self.file or 'the SMIL'}: {self.found}; needed: {self.needed}"


Opener = Callable[[str], Readable | None]
"""A file's name in the SMIL -> its bytes, None when there is no such file."""


def check(document: bytes, opener: Opener) -> list[Finding]:
    """List everything that MediaPackage would refuse about a SMIL manifest and its files, in a stable order."""
    try:
        read = smil.survey(document)
    except FormatError as exc:
        return [Finding("", exc.message, "a SMIL manifest as MediaPackage documents it")]
    findings = [Finding(p.name, p.message, "a video or textstream element that adds up") for p in read.problems]
    findings += _counts(read)
    movies: list[tuple[str, Movie]] = []
    for video in read.videos:
        opened = _opened(video.name, opener)
        if isinstance(opened, Finding):
            findings.append(opened)
            continue
        movie, problems = inspect(video.name, opened)
        findings += problems
        if movie is not None:
            findings += _languages(video, movie)
            if not problems:
                movies.append((video.name, _taken(video, movie)))
    findings += compare(movies)
    for text in read.texts:
        findings += _text(text, opener)
    return findings


def _counts(read: smil.Survey) -> Iterator[Finding]:
    names = [video.name for video in read.videos] + [text.name for text in read.texts]
    if len(names) > smil.MAX_STREAMS:
        yield Finding("", f"{len(names)} files", f"at most {smil.MAX_STREAMS} streams in one asset")
    for name, count in Counter(names).items():
        if count > 1:
            yield Finding(name, f"named {count} times", "each file once")


def _opened(name: str, opener: Opener) -> Readable | Finding:
    try:
        found = opener(name)
    except FormatError as exc:
        return Finding(name, exc.message, "a file beside the SMIL")
    return found if found is not None else Finding(name, "the file is missing", "every file that the SMIL names")


def inspect(name: str, source: Readable) -> tuple[Movie | None, list[Finding]]:
    """Look into one MP4 file; returns its movie, None where it has none, and what speaks against the file alone."""
    try:
        movie = read_movie(source)
        fragments = movie.fragmented or any(box.type == "moof" for box in outer_boxes(source))
    except FormatError as exc:
        return None, [Finding(name, exc.message, "a whole, readable MP4 file")]
    findings: list[Finding] = []
    if fragments:
        needed = "a progressive MP4; `penstock smil` makes one of a manifest"
        findings.append(Finding(name, "the MP4 is fragmented (moof boxes)", needed))
    if movie.of("vide", "soun", "text", "sbtl", "subt") and any(track.protected for track in movie.tracks):
        findings.append(Finding(name, "the MP4 is encrypted (encv, enca)", "a clear file; MediaPackage encrypts"))
    if len(movie.tracks) > MAX_TRACKS:
        findings.append(Finding(name, f"{len(movie.tracks)} tracks", f"at most {MAX_TRACKS} tracks in one file"))
    findings += _codecs(name, movie)
    if not findings:
        findings += _tables(name, movie, source)
    return movie, findings


def _codecs(name: str, movie: Movie) -> Iterator[Finding]:
    videos = movie.of("vide")
    if len(videos) != 1:
        yield Finding(name, f"{len(videos)} video tracks", "exactly one video track in each file")
    for track in videos:
        for entry in track.entries:
            if entry.codec not in VIDEO_CODECS:
                yield Finding(name, f"video codec {_shown(entry.codec)}", "H.264, or HEVC for CMAF packages")
    for track in movie.of("soun"):
        for entry in track.entries:
            if not takes_audio(entry):
                told = "" if entry.object_type is None else f" (object type 0x{entry.object_type:02x})"
                yield Finding(name, f"audio codec {_shown(entry.codec)}{told}", "AAC, AC-3 or E-AC-3")


def takes_audio(entry: Entry) -> bool:
    """Whether MediaPackage ingests that sound."""
    return entry.codec in AUDIO_CODECS and (entry.codec != "mp4a" or entry.object_type in _AAC)


def _tables(name: str, movie: Movie, source: Readable) -> Iterator[Finding]:
    """Whether the sample tables add up and every chunk lies in the file."""
    for track in movie.of("vide", "soun"):
        try:
            end = max((run.offset + run.size_bytes for run in samples.table_runs(track)), default=0)
        except FormatError as exc:
            yield Finding(name, f"track {track.track_id}: {exc.message}", "sample tables that add up")
            continue
        if not end:
            yield Finding(name, f"track {track.track_id} has no samples", "a track with samples")
        elif end > source.size_bytes:
            found = f"track {track.track_id} reaches to byte {end}, the file ends at {source.size_bytes}"
            yield Finding(name, found, "a whole file")


def _languages(video: smil.Video, movie: Movie) -> Iterator[Finding]:
    tracks = len(movie.of("soun"))
    if video.audio and len(video.audio) != tracks:
        found = f"{len(video.audio)} languages for {tracks} audio tracks"
        yield Finding(video.name, found, "one language for each audio track, in the order of the tracks")


def _taken(video: smil.Video, movie: Movie) -> Movie:
    """The movie without the sound that the SMIL says to leave out; other files may have that in another layout."""
    told = zip(movie.of("soun"), video.audio, strict=False)
    left_out = {track.track_id for track, audio in told if not audio.included}
    return replace(movie, tracks=tuple(track for track in movie.tracks if track.track_id not in left_out))


def compare(movies: Sequence[tuple[str, Movie]]) -> list[Finding]:
    """What keeps renditions from being switched between: (name, movie) each against the first."""
    findings: list[Finding] = []
    if not movies:
        return findings
    first_name, first = movies[0]
    for name, movie in movies[1:]:
        findings += _compared(name, _video(movie), first_name, _video(first))
        mine, theirs = _layout(movie), _layout(first)
        if mine and theirs and mine != theirs:
            found = f"audio {', '.join(mine)}, where {first_name} has {', '.join(theirs)}"
            findings.append(Finding(name, found, "the same audio layout in every file"))
    return findings


def _compared(name: str, track: Track, first_name: str, first: Track) -> Iterator[Finding]:
    rate, wanted = frame_rate(track), frame_rate(first)
    if abs(rate - wanted) > wanted / 500:
        found = f"{float(rate):.3f} frames/s, where {first_name} has {float(wanted):.3f}"
        yield Finding(name, found, "the same frame rate in every file")
    elif (at := _first_difference_s(track, first)) is not None:
        found = f"key frames differ from those of {first_name}, first at {at:.3f} s"
        yield Finding(name, found, "GOPs that begin at the same times in every file")
    if sorted({VIDEO_CODECS[track.codec], VIDEO_CODECS[first.codec]}) == ["H.264", "HEVC"]:
        found = f"{VIDEO_CODECS[track.codec]}, where {first_name} has {VIDEO_CODECS[first.codec]}"
        yield Finding(name, found, "one video codec in an asset")


def frame_rate(track: Track) -> Fraction:
    """Frames/s by the most frequent duration of a frame; 0 without frames."""
    counted = Counter(samples.durations_of(track)).most_common(1)
    return Fraction(track.timescale, counted[0][0]) if counted and counted[0][0] else Fraction(0)


def _first_difference_s(track: Track, other: Track) -> float | None:
    """When the key frames of two tracks part, in seconds; None when they never do as far as both reach."""
    mine, theirs = _shown_times(track), _shown_times(other)
    tolerance = 1 / (2 * float(frame_rate(track) or 25))
    for left, right in zip(mine, theirs, strict=False):
        if abs(left - right) > tolerance:
            return min(left, right)
    end = min(_end_s(track), _end_s(other)) - 2 * tolerance
    more = mine[len(theirs) :] or theirs[len(mine) :]
    return more[0] if len(more) and more[0] < end else None


def _shown_times(track: Track) -> array[float]:
    ticks, scale = track.delay_s
    shift = ticks / scale - track.media_start_ticks / track.timescale
    return array("d", (time / track.timescale + shift for time in samples.sync_times(track)))


def _end_s(track: Track) -> float:
    return sum(samples.durations_of(track)) / track.timescale


def _layout(movie: Movie) -> list[str]:
    """Codec, channels and sampling rate of each audio track."""
    entries = [track.entries[0] for track in movie.of("soun")]
    return [f"{AUDIO_CODECS[e.codec]} {e.channels} ch {e.sample_rate_hz} Hz" for e in entries]


def _video(movie: Movie) -> Track:
    return movie.of("vide")[0]


def _text(text: smil.Text, opener: Opener) -> Iterator[Finding]:
    opened = _opened(text.name, opener)
    if isinstance(opened, Finding):
        yield opened
        return
    content = opened.read(0, MAX_SRT_BYTES)
    try:
        if not subtitles.parse_srt(content):
            yield Finding(text.name, "no subtitle in it", "SRT subtitles")
    except FormatError as exc:
        yield Finding(text.name, exc.message, "SRT subtitles in UTF-8")


def _shown(codec: str) -> str:
    return codec if codec.isprintable() else codec.encode("latin-1").hex()
