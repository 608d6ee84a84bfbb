"""Brings an asset's source into a work folder and finds out what it holds: SMIL over MP4 files, or HLS over MPEG-TS.

What MediaPackage would not ingest is refused with the file and what was found in it. Never changes a source.
Source: AWS, "VOD supported codecs and input types", "Requirements for .smil manifests".
"""

from __future__ import annotations

import posixpath
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from localaws.media.failures import DISK, InputRejected, JobError
from localaws.media.files import OpenFile
from localaws.media.probe import probe
from localaws.media.probed import AudioStream, Probed
from localaws.media.transfer import Store as Objects
from localaws.mediapackage_vod import srt
from localaws.mediapackage_vod.tracks import CAPTIONS, CAPTIONS_FOR_TTML, Source, Track, numbered
from penstock.errors import FormatError
from penstock.formats import hls, smil
from penstock.formats import ingest as rules

MAX_VIDEO_FILES = 20
MAX_MANIFEST_BYTES = 2**20
VIDEO_CODECS = {"h264", "hevc"}
AUDIO_CODECS = {"aac", "ac3", "eac3"}


class Rejected(Exception):
    """The source cannot be ingested; the message says which file, what was found and what is needed."""


@dataclass
class _Folder:
    """The source's folder in the bucket, and where its files come to lie."""

    objects: Objects
    uri: str
    path: Path
    cancel: Event

    def fetch(self, reference: str, name: str) -> Path:
        """Bring a file of the source's folder here, once. Raises Rejected when it is not there."""
        path = self.path / name
        uri = f"{self.uri}/{posixpath.normpath(reference)}"
        if not path.exists():
            try:
                self.objects.fetch(uri, path, self.cancel, lambda _done, _size: None)
            except JobError as exc:
                if exc.code == DISK:
                    raise
                raise Rejected(f"{reference}: {exc.message}") from exc
        return path

    def read(self, reference: str, name: str, most: int = MAX_MANIFEST_BYTES) -> bytes:
        data = self.fetch(reference, name).read_bytes()
        if len(data) > most:
            raise Rejected(f"{reference} has {len(data)} bytes; at most {most} are read")
        return data


def ingest(source_uri: str, folder: Path, objects: Objects, cancel: Event) -> Source:
    """Fetch and examine a source (`s3://bucket/key`) into `folder`.

    Raises Rejected for what MediaPackage would not take; JobError 1050 when the disk is full; JobCanceled.
    """
    base, _, name = source_uri.rpartition("/")
    place = _Folder(objects, base, folder, cancel)
    try:
        if name.endswith(".smil"):
            tracks, durations = _smil(name, place)
        else:
            tracks, durations = _hls(name, place)
    except FormatError as exc:
        raise Rejected(f"{name}: {exc.message}") from exc
    return Source(numbered(list(_without_repeats(tracks))), max(durations))


def _smil(name: str, place: _Folder) -> tuple[list[Track], list[float]]:
    content = place.read(name, "source.smil")
    document = _checked(name, content, place)
    tracks: list[Track] = []
    durations = []
    for number, video in enumerate(document.videos):
        path = place.fetch(video.name, f"video{number}.mp4")
        probed = _probed(video.name, path)
        durations.append(probed.duration_s)
        tracks.append(_video(video.name, path.name, probed))
        for position, audio in enumerate(probed.audios):
            said = video.audio[position] if video.audio else smil.Audio(audio.language or "und")
            if said.included:
                tracks.append(_audio(video.name, path.name, probed, audio, said.language, said.name or ""))
    for number, text in enumerate(document.texts):
        captions = place.read(text.name, f"text{number}.srt", srt.MAX_BYTES)
        for ending, references in ((CAPTIONS, True), (CAPTIONS_FOR_TTML, False)):
            (place.path / f"text{number}{ending}").write_text(
                srt.to_webvtt(captions, references=references), encoding="utf-8"
            )
        tracks.append(Track("", "text", f"text{number}.vtt", "text", "srt", text.language, text.title or ""))
    return tracks, durations


def _checked(name: str, content: bytes, place: _Folder) -> smil.Smil:
    """Hold a SMIL and its files against the rules that `penstock smil --check` knows. Raises Rejected."""
    document = smil.parse(content)
    local = {video.name: f"video{number}.mp4" for number, video in enumerate(document.videos)}
    local |= {text.name: f"text{number}.srt" for number, text in enumerate(document.texts)}
    with ExitStack() as opened:
        findings = rules.check(content, lambda file: opened.enter_context(OpenFile(place.fetch(file, local[file]))))
    if len(findings) > 1:
        raise Rejected(f"{findings[0]}; `penstock smil --check` on {name} lists {len(findings) - 1} more")
    if findings:
        raise Rejected(str(findings[0]))
    return document


def _hls(name: str, place: _Folder) -> tuple[list[Track], list[float]]:
    multivariant = place.read(name, "source.m3u8").decode("utf-8", errors="replace")
    renditions = {}
    for line in multivariant.splitlines():
        if line.startswith("#EXT-X-MEDIA:") and "URI=" in line:
            found = hls.attributes(line)
            renditions[posixpath.normpath(found["URI"])] = found
    iframes = {hls.attributes(line).get("URI") for line in multivariant.splitlines() if "I-FRAME-STREAM" in line}
    tracks: list[Track] = []
    durations = []
    references = [reference for reference in hls.media_playlists(multivariant) if reference not in iframes]
    if len(references) > MAX_VIDEO_FILES:
        raise Rejected(f"{name} names more than {MAX_VIDEO_FILES} media playlists")
    for number, reference in enumerate(references):
        rendition = renditions.get(reference, {})
        if rendition.get("TYPE") == "SUBTITLES":
            raise Rejected(f"{reference}: captions of HLS sources are not ingested here")
        path = _joined(reference, f"stream{number}.ts", place)
        probed = _probed(reference, path, require_video=not rendition)
        durations.append(probed.duration_s)
        if not rendition:
            tracks.append(_video(reference, path.name, probed))
        for audio in probed.audios[: 1 if rendition else None]:
            language = rendition.get("LANGUAGE") or audio.language or "und"
            tracks.append(_audio(reference, path.name, probed, audio, language, rendition.get("NAME", "")))
    return tracks, durations


def _joined(reference: str, name: str, place: _Folder) -> Path:
    """The segments of a media playlist as one transport stream."""
    playlist = place.read(reference, f"{name}.m3u8").decode("utf-8", errors="replace")
    for tag, what in (
        ("#EXT-X-MAP:", "is fragmented MP4; MPEG-TS segments are ingested"),
        ("#EXT-X-DISCONTINUITY\n", "has discontinuities, which are not ingested here"),
    ):
        if tag in playlist:
            raise Rejected(f"{reference} {what}")
    if hls.key_formats(playlist):
        raise Rejected(f"{reference} is encrypted; MediaPackage ingests clear sources alone")
    path = place.path / name
    if path.exists():
        return path
    part = path.with_suffix(".joining")
    with part.open("wb") as out:
        for segment in hls.segment_names(playlist):
            piece = place.fetch(posixpath.join(posixpath.dirname(reference), segment), f"{name}.segment")
            with piece.open("rb") as file:
                shutil.copyfileobj(file, out, 2**20)
            piece.unlink()
    part.rename(path)
    return path


def _probed(name: str, path: Path, *, require_video: bool = True) -> Probed:
    try:
        return probe(path, require_video=require_video)
    except InputRejected as exc:
        raise Rejected(f"{name}: {exc.message}") from exc


def _video(name: str, file: str, probed: Probed) -> Track:
    video = probed.videos[0]
    if video.codec not in VIDEO_CODECS:
        raise Rejected(f"{name} has {video.codec} video; H.264 and HEVC are ingested")
    return Track("", "video", file, "video", video.codec, size=video.width * video.height)


def _audio(name: str, file: str, probed: Probed, audio: AudioStream, language: str, title: str) -> Track:
    if audio.codec not in AUDIO_CODECS:
        raise Rejected(f"{name} has {audio.codec} audio; AAC, AC-3 and E-AC-3 are ingested")
    indexes = [video.index for video in probed.videos] + [other.index for other in probed.audios]
    position = sorted(indexes).index(audio.index)
    stream = "audio" if len(probed.audios) == 1 else str(position)
    sound = sorted(other.index for other in probed.audios).index(audio.index)
    return Track("", "audio", file, stream, audio.codec, language, title, audio.channels, sound)


def _without_repeats(tracks: list[Track]) -> Iterator[Track]:
    """Audio that several files carry, told by language and name, is packaged once, from the first of them."""
    seen = set()
    for track in tracks:
        told = (track.language, track.name, track.codec)
        if track.kind == "audio" and told in seen:
            continue
        if track.kind == "audio":
            seen.add(told)
        yield track
