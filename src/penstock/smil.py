"""A manifest -> what MediaPackage VOD takes: progressive MP4s, SRT files, and the SMIL that names them.

Nothing is encoded. Files that are already as MediaPackage wants them are only named. The same manifest and media give
the same bytes. Source: https://docs.aws.amazon.com/mediapackage/latest/ug/supported-inputs-vod-smil.html
"""

from __future__ import annotations

import os
import posixpath
import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

from penstock import captions, footage, remux
from penstock.errors import FormatError, InvalidRequest, ManifestError, NotFound, SourceRejected, Unavailable
from penstock.footage import Footage
from penstock.formats import ingest, languages, references, subtitles
from penstock.formats import smil as smil_format
from penstock.formats.ingest import VIDEO_CODECS
from penstock.formats.movie import Movie, Track
from penstock.formats.smil import Audio, Text, Video
from penstock.places import Places, location_of, opened
from penstock.remux import Files, Gathered
from penstock.upstream import translated

_CONTENT_TYPES = {".mp4": "video/mp4", ".srt": "application/x-subrip", ".smil": "application/smil+xml"}


@dataclass(frozen=True)
class Made:
    """What `make` left. `smil`: its path or s3:// address; `files`: as it names them.

    `written`: those of them that were made; `notes`: what was left out.
    """

    smil: str
    files: tuple[str, ...]
    written: tuple[str, ...]
    notes: tuple[str, ...]


def make(manifest: str, output: str, *, base: str | None = None, s3: Any = None) -> Made:
    """Make a SMIL manifest, and the files it needs, from an MPD or an HLS playlist.

    manifest: path, s3:// or web address. output: path or s3:// address ending in .smil; the files are put beside it.
    base: folder, of the same form as `manifest`, that everything the manifest names must lie in; its own without one.
    s3: a boto3 client, needed where an address is s3://.
    Raises ManifestError, BoxError, NotFound or UpstreamError for a manifest that cannot be used, SourceRejected for one
    that MediaPackage must not be given: encrypted, without video, with other codecs.
    """
    if not output.endswith(".smil"):
        raise InvalidRequest(f"{output[:80]!r}: MediaPackage wants a name that ends in .smil")
    location = location_of(manifest)
    within = references.folder_of(location if base is None else location_of(base.rstrip("/") + "/x"))
    if not output.startswith("s3://"):
        folder = Path(output).resolve().parent
        return _make(location, within, folder, posixpath.basename(output), s3)
    bucket, _, key = output[5:].partition("/")
    if not bucket or not key:
        raise InvalidRequest(f"{output[:80]!r} is no S3 address; expected s3://bucket/key.smil")
    with tempfile.TemporaryDirectory(prefix="penstock-smil-") as folder_name:
        made = _make(location, within, Path(folder_name), posixpath.basename(key), s3)
        for name in (*made.written, posixpath.basename(key)):  # the SMIL last: who sees it finds all of its files
            _upload(s3, Path(folder_name, name), bucket, posixpath.join(posixpath.dirname(key), name))
    return replace(made, smil=output)


def _upload(s3: Any, path: Path, bucket: str, object_key: str) -> None:
    kind = _CONTENT_TYPES[path.suffix]
    with translated(f"writing s3://{bucket}/{object_key}"), path.open("rb") as file:
        s3.upload_fileobj(file, bucket, object_key, ExtraArgs={"ContentType": kind})


def _make(location: str, within: str, folder: Path, name: str, s3: Any) -> Made:
    if not folder.is_dir():
        raise InvalidRequest(f"there is no folder {folder}")
    try:
        # Beside the output, where there is room for films; /tmp is often memory.
        with tempfile.TemporaryDirectory(prefix=".penstock-smil-", dir=folder) as spool:
            places = Places(Path(spool), within=within, s3=s3)
            try:
                return _Maker(footage.read(location, within, places), folder, name).make()
            finally:
                places.close()
    except OSError as exc:
        raise Unavailable(f"{folder}: {exc.strerror or exc}") from exc


@dataclass(frozen=True)
class _Sound:
    """An audio track to put into every video."""

    footage: Footage
    index: int
    """Among the audio tracks of its file."""
    language: str
    name: str | None


class _Maker:
    """One SMIL and its files."""

    def __init__(self, found: list[Footage], folder: Path, name: str) -> None:
        self._folder, self._name = folder, name
        self._stem = name.removesuffix(".smil")
        self._notes: list[str] = []
        self._written: list[str] = []
        self._videos = self._usable_videos(found)
        self._sounds = _named(self._usable_sounds([f for f in found if f.has_audio and not f.has_video]))
        self._texts = [f for f in found if f.is_text]
        others = [f for f in found if not (f.has_video or f.has_audio or f.is_text)]
        self._notes += [f"left out, neither video, audio nor text that can be read: {f.rendition.name}" for f in others]
        self._taken: set[str] = set()
        self._bases = self._stretch_bases()

    def make(self) -> Made:
        try:
            texts = [text for text in map(self._text, self._texts) if text is not None]
            videos: list[Video] = []
            gathered: dict[int, list[Gathered]] = {}
            for number, video in enumerate(self._videos):
                videos.append(self._video(video, first=number == 0, shared=gathered))
            _write(self._folder / self._name, smil_format.build(videos, texts))
        except BaseException:
            for name in self._written:
                (self._folder / name).unlink(missing_ok=True)
            raise
        files = (*(video.name for video in videos), *(text.name for text in texts))
        return Made(str(self._folder / self._name), files, tuple(self._written), tuple(self._notes))

    def _usable_videos(self, found: list[Footage]) -> list[Footage]:
        usable: list[tuple[str, Footage]] = []
        refused: list[tuple[str, Footage]] = []
        for video in (f for f in found if f.has_video):
            assert video.movie is not None
            codec = video.movie.of("vide")[0].codec
            (usable if codec in VIDEO_CODECS else refused).append((VIDEO_CODECS.get(codec, codec), video))
        if not usable:
            told = ", ".join(sorted({codec for codec, _ in refused})) or "no video"
            raise SourceRejected(f"the source has {told}; MediaPackage takes H.264, and HEVC for CMAF packages")
        families = {family for family, _ in usable}
        # One codec in an asset; the one that every kind of package takes.
        wanted = "H.264" if "H.264" in families else "HEVC"
        refused += [(family, video) for family, video in usable if family != wanted]
        self._notes += [f"left out, video in {codec}: {video.rendition.name}" for codec, video in refused]
        return [video for family, video in usable if family == wanted]

    def _usable_sounds(self, found: list[Footage]) -> list[_Sound]:
        """The best rendition of each language, label, role and codec; then what only the videos themselves carry."""
        groups: dict[tuple[object, ...], list[Footage]] = {}
        for sound in found:
            assert sound.movie is not None
            track = sound.movie.of("soun")[0]
            if not ingest.takes_audio(track.entries[0]):
                self._notes.append(f"left out, audio in {track.codec}: {sound.rendition.name}")
                continue
            about = (_language(sound, track), sound.rendition.label, sound.rendition.roles, track.codec)
            groups.setdefault((*about, track.entries[0].channels), []).append(sound)
        best = [max(group, key=lambda sound: sound.rendition.bandwidth_bps) for group in groups.values()]
        sounds = [_sound(sound, 0) for sound in best]
        if found and not sounds and not self._videos[0].has_audio:
            raise SourceRejected("the source has no audio that MediaPackage takes: AAC, AC-3 or E-AC-3")
        return sounds

    def _stretch_bases(self) -> list[Fraction] | None:
        """For playlists, which do not tell it: the media time at which each stretch begins, over all tracks."""
        first = self._videos[0]
        if first.rendition.stretches[0].offset_s is not None:
            return None
        bases: list[Fraction] = []
        for index in range(len(first.rendition.stretches)):
            times = [_first_shown(first, index, _video_track)]
            for sound in self._sounds:
                if index < len(sound.footage.rendition.stretches):
                    times.append(_first_shown(sound.footage, index, partial(_audio_track, 0)))
            bases.append(min(times))
        return bases

    def _video(self, video: Footage, *, first: bool, shared: dict[int, list[Gathered]]) -> Video:
        assert video.movie is not None
        own = [
            _sound(video, index)
            for index, track in enumerate(video.movie.of("soun"))
            if ingest.takes_audio(track.entries[0])
        ]
        others = [sound for sound in self._sounds if sound.language not in {mine.language for mine in own}]
        sounds = _named([*own, *others])
        audio = tuple(Audio(sound.language, sound.name, included=first) for sound in sounds)
        named = self._already_there(video) if not others else None
        if named is not None:
            return Video(named, audio)
        name = self._free_name(_video_name(self._stem, video), ".mp4")
        tracks = [self._gathered(video, _video_track, video.rendition.language or "und", None)]
        for sound in own:
            tracks.append(self._gathered(video, partial(_audio_track, sound.index), sound.language, sound.name))
        for sound in others:
            key = id(sound.footage)
            if key not in shared:
                choose = partial(_audio_track, sound.index)
                shared[key] = [self._gathered(sound.footage, choose, sound.language, sound.name)]
            tracks += shared[key]
        self._write_mp4(video, tracks, name)
        video.release()
        return Video(name, audio)

    def _gathered(self, source: Footage, choose: Callable[[Movie], Track], language: str, name: str | None) -> Gathered:
        try:
            return remux.gather(source.reels(self._bases), choose, Files(), language=language, name=name or "")
        except FormatError as exc:
            raise ManifestError(f"{source.rendition.name}: {exc.message}") from exc
        except NotFound as exc:
            raise NotFound(f"{source.rendition.name}: {exc.message}") from exc

    def _write_mp4(self, video: Footage, tracks: list[Gathered], name: str) -> None:
        target = self._folder / name
        if any(target in gathered.files.paths for gathered in tracks):
            raise InvalidRequest(f"{target} is a source file; choose another name for the SMIL")
        try:
            remux.write(tracks, target)
        except FormatError as exc:
            raise ManifestError(f"{video.rendition.name}: {exc.message}") from exc
        self._written.append(name)

    def _already_there(self, video: Footage) -> str | None:
        """The name of a file that can be given to MediaPackage as it is: progressive, and below the SMIL's folder."""
        assert video.movie is not None
        path = video.whole_file()
        if path is None or video.movie.fragmented or not path.is_relative_to(self._folder):
            return None
        with opened(path) as window:
            if ingest.inspect(path.name, window)[1]:
                return None
        name = path.relative_to(self._folder).as_posix()
        self._taken.add(name)
        return name

    def _text(self, text: Footage) -> Text | None:
        zero = self._bases[0] if self._bases else Fraction(0)
        # Playlists give text the clock of the whole film, in segments or not.
        reels = text.reels([Fraction(0)])
        if self._bases:
            reels = [remux.Reel(reel.head, reel.pieces, Fraction(0), None, Fraction(0)) for reel in reels]
        try:
            cues = captions.cues(reels, clock_zero_s=zero)
        except FormatError as exc:
            raise ManifestError(f"{text.rendition.name}: {exc.message}") from exc
        text.release()
        if not cues:
            self._notes.append(f"left out, a text track without subtitles: {text.rendition.name}")
            return None
        track = text.movie.of(*captions.HANDLERS)[0] if text.movie is not None else None
        language = _language(text, track)
        name = self._free_name(f"{self._stem}_{language}", ".srt")
        _write(self._folder / name, subtitles.build_srt(cues))
        self._written.append(name)
        return Text(name, language, _title(text.rendition.label))

    def _free_name(self, stem: str, extension: str) -> str:
        """A name that this SMIL has not given away and that is no source file."""
        number = 1
        name = stem + extension
        while name in self._taken or self._is_source(self._folder / name):
            number += 1
            name = f"{stem}_{number}{extension}"
        self._taken.add(name)
        return name

    def _is_source(self, path: Path) -> bool:
        sources = [*self._videos, *self._texts, *(sound.footage for sound in self._sounds)]
        return any(path == source.whole_file() for source in sources)


def _write(path: Path, content: bytes) -> None:
    partial_path = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        partial_path.write_bytes(content)
        partial_path.replace(path)
    finally:
        partial_path.unlink(missing_ok=True)


def _video_track(movie: Movie) -> Track:
    return _nth(movie.of("vide"), 0, "video")


def _audio_track(index: int, movie: Movie) -> Track:
    return _nth(movie.of("soun"), index, "audio")


def _nth(tracks: tuple[Track, ...], index: int, kind: str) -> Track:
    if index >= len(tracks):
        raise FormatError(f"a segment has {len(tracks)} {kind} tracks, the first had {index + 1} or more")
    return tracks[index]


def _first_shown(source: Footage, index: int, choose: Callable[[Movie], Track]) -> Fraction:
    try:
        # Before 0 lie only samples that prepare the decoder; the edit list skips them.
        return max(Fraction(0), remux.first_shown_s(source.reels([Fraction(0)])[index], choose))
    except FormatError as exc:
        raise ManifestError(f"{source.rendition.name}: {exc.message}") from exc


def _sound(source: Footage, index: int) -> _Sound:
    assert source.movie is not None
    tracks = source.movie.of("soun")
    # Of a file with pictures the label names these, and one language cannot be that of several tracks.
    language = _own_language(tracks[index]) if len(tracks) > 1 else _language(source, tracks[index])
    return _Sound(source, index, language, None if source.has_video else _title(source.rendition.label))


def _named(sounds: list[_Sound]) -> list[_Sound]:
    """Give tracks of one language that a viewer could not tell apart different names."""
    found: list[_Sound] = []
    taken: set[tuple[str, str | None]] = set()
    for sound in sounds:
        name, number = sound.name, 1
        if (sound.language, name) in taken:
            roles = [role for role in sound.footage.rendition.roles if role != "main"]
            name = _title(" ".join([sound.name or sound.language, *roles]))
        while (sound.language, name) in taken:
            number += 1
            name = f"{sound.name or sound.language} {number}"
        taken.add((sound.language, name))
        found.append(_Sound(sound.footage, sound.index, sound.language, name))
    return found


def _language(source: Footage, track: Track | None) -> str:
    told = source.rendition.language
    return told if languages.is_tag(told) else _own_language(track)


def _own_language(track: Track | None) -> str:
    return track.language if track is not None and languages.is_tag(track.language) else languages.UNDETERMINED


def _title(label: str) -> str | None:
    """A label as the comma-separated attributes can carry it."""
    text = " ".join("".join(c if c.isprintable() else " " for c in label.replace(",", " ")).split())
    return text[:100].strip() or None


def _video_name(stem: str, video: Footage) -> str:
    assert video.movie is not None
    entry = video.movie.of("vide")[0].entries[0]
    rate = f"_{video.rendition.bandwidth_bps // 1000}k" if video.rendition.bandwidth_bps else ""
    return f"{stem}_{entry.height_px}p{rate}"


def check(address: str, *, s3: Any = None) -> list[ingest.Finding]:
    """List what MediaPackage would refuse about a SMIL and the files it names. address: path, s3:// or web address.

    Raises NotFound where the SMIL itself is missing.
    """
    location = location_of(address)
    within = references.folder_of(location)
    with tempfile.TemporaryDirectory(prefix="penstock-smil-") as spool:
        places = Places(Path(spool), within=within, s3=s3)
        try:
            try:
                document = places.document(location, smil_format.MAX_SMIL_BYTES)
            except ManifestError as exc:
                return [ingest.Finding("", exc.message, "a SMIL manifest as MediaPackage documents it")]
            return ingest.check(document, partial(_open, places, location, within))
        finally:
            places.close()


def _open(places: Places, location: str, within: str, name: str) -> Any:
    url = references.resolve(location, _quoted(name), within=within)
    try:
        return places.readable(url)
    except NotFound:
        return None


def _quoted(name: str) -> str:
    """A file name, which no percent sign escapes, as a reference."""
    return re.sub(r"[%?#:]", lambda match: f"%{ord(match[0]):02X}", name)
