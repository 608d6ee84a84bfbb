"""SMIL manifests as MediaPackage VOD ingests them: the MP4 files of one asset, their audio languages, their captions.

Never lists fragmented or encrypted files: MediaPackage takes neither.
Source: https://docs.aws.amazon.com/mediapackage/latest/ug/supported-inputs-vod-smil.html
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from lxml import etree

from penstock.errors import ManifestError
from penstock.formats import safexml

MAX_SMIL_BYTES = 2**20
MAX_STREAMS = 20
"""MediaPackage VOD quota: streams in one asset."""

_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8})*")


@dataclass(frozen=True)
class Audio:
    """One audio track inside a video file, in the order of the file's tracks."""

    language: str
    """ISO 639 or RFC 5646, such as eng or en-US."""
    name: str | None = None
    included: bool = True
    """Whether MediaPackage takes this track from this file; one file of several with the same track is enough."""


@dataclass(frozen=True)
class Video:
    """One MP4 file. `name` is its path relative to the SMIL."""

    name: str
    audio: tuple[Audio, ...] = ()


@dataclass(frozen=True)
class Text:
    """One SRT file."""

    name: str
    language: str
    title: str | None = None


@dataclass(frozen=True)
class Smil:
    videos: tuple[Video, ...]
    texts: tuple[Text, ...] = ()


def build(videos: Sequence[Video], texts: Sequence[Text] = ()) -> bytes:
    """Write a SMIL manifest.

    Raises ManifestError when there is no video, more than MAX_STREAMS files, or a name, language or title that the
    comma-separated attributes cannot carry.
    """
    if not videos:
        raise ManifestError("a SMIL manifest needs at least one video")
    if len(videos) + len(texts) > MAX_STREAMS:
        raise ManifestError(f"{len(videos) + len(texts)} files; MediaPackage takes at most {MAX_STREAMS}")
    root = etree.Element("smil")
    switch = etree.SubElement(etree.SubElement(root, "body"), "switch")
    for video in videos:
        etree.SubElement(switch, "video", _video_attributes(video))
    for text in texts:
        attributes = {"src": _file_name(text.name), "systemLanguage": _language(text.language)}
        if text.title is not None:
            attributes["subtitleName"] = _title(text.title)
        etree.SubElement(switch, "textstream", attributes)
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8", pretty_print=True)


def parse(smil: bytes) -> Smil:
    """Read a SMIL manifest, either spelling of the file (`name`, `src`) and language attributes.

    Raises ManifestError saying what is missing or does not match.
    """
    read = survey(smil)
    if read.problems:
        raise ManifestError(read.problems[0].message)
    return Smil(read.videos, read.texts)


@dataclass(frozen=True)
class Problem:
    """An element that MediaPackage could not use. `name` is its file as written, which may be no usable name."""

    name: str
    message: str


@dataclass(frozen=True)
class Survey:
    """What a SMIL manifest says, with everything in it that cannot be used."""

    videos: tuple[Video, ...]
    texts: tuple[Text, ...]
    problems: tuple[Problem, ...]


def survey(smil: bytes) -> Survey:
    """Read a SMIL manifest to the end, whatever is wrong with single elements.

    Raises ManifestError for what is no SMIL at all.
    """
    root = safexml.parse(smil, max_bytes=MAX_SMIL_BYTES, error=ManifestError)
    if _local(root) != "smil":
        raise ManifestError(f"the root element is {_local(root)[:40]!r}, expected smil")
    videos: list[Video] = []
    texts: list[Text] = []
    problems: list[Problem] = []
    for element in root.iter():
        kind = _local(element) if isinstance(element.tag, str) else ""
        try:
            if kind == "video":
                videos.append(_video(element))
            elif kind == "textstream":
                texts.append(_text(element))
        except ManifestError as exc:
            problems.append(Problem(_written_name(element), exc.message))
    if not videos and not problems:
        problems.append(Problem("", "the SMIL names no video"))
    return Survey(tuple(videos), tuple(texts), tuple(problems))


def _video_attributes(video: Video) -> dict[str, str]:
    attributes = {"name": _file_name(video.name)}
    if video.audio:
        attributes["systemLanguage"] = ",".join(_language(track.language) for track in video.audio)
        if any(track.name is not None for track in video.audio):
            attributes["audioName"] = ",".join(_title(track.name or track.language) for track in video.audio)
        if not all(track.included for track in video.audio):
            # As many values as languages, or MediaPackage refuses the asset.
            attributes["includeAudio"] = ",".join(str(track.included).lower() for track in video.audio)
    return attributes


def _video(element: etree._Element) -> Video:
    languages = _list(element, "systemLanguage") or _list(element, "language")
    names: list[str | None] = [*_list(element, "audioName")] or [None] * len(languages)
    included = [flag.lower() for flag in _list(element, "includeAudio")] or ["true"] * len(languages)
    if not len(languages) == len(names) == len(included):
        counts = f"{len(languages)} languages, {len(names)} audioName, {len(included)} includeAudio"
        raise ManifestError(f"video {_name(element)!r} has {counts}; they belong together one by one")
    if not set(included) <= {"true", "false"}:
        raise ManifestError(f"video {_name(element)!r}: includeAudio is a list of true and false")
    tracks = zip(languages, names, included, strict=True)
    return Video(_name(element), tuple(Audio(_language(tag), name, flag == "true") for tag, name, flag in tracks))


def _text(element: etree._Element) -> Text:
    language = element.get("systemLanguage") or element.get("language") or ""
    return Text(_name(element), _language(language), element.get("subtitleName"))


def _name(element: etree._Element) -> str:
    return _file_name(_written_name(element))


def _written_name(element: etree._Element) -> str:
    return element.get("name") or element.get("src") or ""


def _list(element: etree._Element, attribute: str) -> list[str]:
    return [part.strip() for part in element.get(attribute, "").split(",")] if element.get(attribute) else []


def _file_name(name: str) -> str:
    if not name or name.startswith("/") or ".." in name.split("/") or not name.isprintable():
        raise ManifestError(f"{name[:80]!r} is not the path of a file beside the SMIL")
    return name


def _language(language: str) -> str:
    if not _LANGUAGE.fullmatch(language):
        raise ManifestError(f"{language[:40]!r} is not a language code")
    return language


def _title(title: str) -> str:
    if not title or "," in title or not title.isprintable() or title != title.strip():
        raise ManifestError(f"{title[:40]!r} cannot be a track's name: no commas, no control characters")
    return title


def _local(element: etree._Element) -> str:
    return etree.QName(element).localname
