"""Reads the captions that a job's inputs bring: caption files, tracks of the source, EIA-608 in its pictures.

Caption files are read by our own parsers; what is inside media is taken out by ffmpeg in the jail. Never renders, never
fetches. Source: ffmpeg's movie source (the `subcc` output), ATSC A/53 part 4 (cc_data).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from threading import Event
from typing import Any

from localaws.media import jail
from localaws.media.decoders import FULL_BUILD_CODECS, VIDEO_DECODERS, input_options
from localaws.media.failures import CANNOT_OPEN, UNSUPPORTED, InputRejected
from localaws.mediaconvert.planning import timeline
from localaws.mediaconvert.planning.film import Source
from localaws.mediaconvert.settings.inputs import CaptionSelector, Input
from localaws.mediaconvert.text import captions
from localaws.mediaconvert.text.captions import Spoken
from penstock.errors import FormatError
from penstock.formats import cc_data, eia608, subtitles
from penstock.formats.cc_data import Triplet
from penstock.formats.subtitles import Cue, Place

MOST_TEXT_BYTES = 64 << 20
_TEXT_DECODERS = ("mov_text", "srt", "subrip", "webvtt", "text")


def file_names(uris: Iterable[str]) -> dict[str, str]:
    """Address -> name in the work folder."""
    return {uri: f"captions{number}" for number, uri in enumerate(dict.fromkeys(uris))}


def spoken(
    inputs: Iterable[Input],
    shown: frozenset[str],
    carried: frozenset[str],
    sources: Mapping[str, Source],
    files: Mapping[str, Path],
    cancel: Event | None = None,
) -> Spoken:
    """What selectors of every input say, on the input's clock.

    shown: names of those whose text is needed; carried: of those that go into pictures, where captions that are in the
    source's pictures stay what they are. files: address -> file, of media and captions alike. Raises InputRejected
    1010 for captions that cannot be read.
    """
    cues: dict[tuple[int, str], list[Cue]] = {}
    triplets: dict[tuple[int, str], list[Triplet]] = {}
    held: dict[str, list[Triplet]] = {}
    for number, given in enumerate(inputs):
        for name, selector in given.captions.items():
            source = sources.get(given.uri or "")
            if selector.format == "embedded" and source is not None and given.uri is not None:
                if name not in shown | carried:
                    continue
                if given.uri not in held:
                    held[given.uri] = _embedded(source, files[given.uri], cancel)
                if name in carried:
                    triplets[number, name] = held[given.uri]
                if name in shown:
                    cues[number, name] = _decoded(held[given.uri], selector.number, source)
            elif name in shown | carried:
                cues[number, name] = _said(given, selector, sources, files, cancel)
    return Spoken(cues, triplets)


def _said(
    given: Input,
    selector: CaptionSelector,
    sources: Mapping[str, Source],
    files: Mapping[str, Path],
    cancel: Event | None,
) -> list[Cue]:
    source = sources.get(given.uri or "")
    if selector.uri is not None:
        content = files[selector.uri]
        if content.stat().st_size > subtitles.MAX_TEXT_BYTES:
            raise InputRejected(CANNOT_OPEN, f"{selector.path}: at most {subtitles.MAX_TEXT_BYTES} bytes are read")
        first_frame_s = Fraction(0) if source is None else timeline.first_frame_s(given, source)
        return captions.read(selector, content.read_bytes(), first_frame_s)
    if source is None or given.uri is None or selector.format != "track":
        return []
    return _track(selector, source, files[given.uri], cancel)


def _limits(source: Source) -> jail.Limits:
    return jail.Limits.for_encode(source.duration_s)


def _track(selector: CaptionSelector, source: Source, path: Path, cancel: Event | None) -> list[Cue]:
    """A text track of the source, which ffmpeg turns into SubRip."""
    if selector.number > len(source.caption_tracks):
        told = f"the source has {len(source.caption_tracks)} caption tracks, number {selector.number} is asked for"
        raise InputRejected(CANNOT_OPEN, f"{selector.path}: {told}")
    index = source.caption_tracks[selector.number - 1]
    argv = [str(jail.binary("ffmpeg")), "-hide_banner", "-nostdin", "-loglevel", "error"]
    argv += [*input_options(source.demuxer, decoders=_TEXT_DECODERS), "-i", "/in/source"]
    argv += ["-map", f"0:{index}", "-c:s", "srt", "-f", "srt", "pipe:1"]
    completed = jail.run(
        argv, inputs={path: "source"}, limits=_limits(source), capture_bytes=MOST_TEXT_BYTES, cancel=cancel
    )
    completed.check("reading captions")
    try:
        return subtitles.parse_srt(completed.stdout) if completed.stdout.strip() else []
    except FormatError as exc:
        raise InputRejected(CANNOT_OPEN, f"{selector.path}: {exc.message}") from exc


def _embedded(source: Source, path: Path, cancel: Event | None) -> list[Triplet]:
    """All captions in the pictures. ffprobe decodes these and prints the caption bytes of each with its time."""
    if source.video is None:
        return []
    if source.video.codec in FULL_BUILD_CODECS:
        raise InputRejected(UNSUPPORTED, f"Captions in the pictures of {source.video.codec} cannot be read here.")
    reader = _CaptionBytes()
    options = f"codec_whitelist={','.join(VIDEO_DECODERS)}"
    movie = f"movie=filename=/in/source:f={source.demuxer}:format_opts={_quoted(options)}[out0+subcc]"
    argv = [str(jail.binary("ffprobe")), "-v", "error", "-hide_banner", "-f", "lavfi", "-i", movie]
    argv += ["-select_streams", "s", "-show_entries", "packet=pts_time,data", "-show_data", "-of", "default=nk=0:nw=1"]
    completed = jail.run(argv, inputs={path: "source"}, limits=_limits(source), on_line=reader.line, cancel=cancel)
    completed.check("reading captions")
    begins_s = Fraction(source.start_s).limit_denominator(90_000)
    return sorted(reader.triplets(begins_s), key=lambda one: one.time_s)


def _decoded(triplets: Iterable[Triplet], channel: int, source: Source) -> list[Cue]:
    """One EIA-608 channel."""
    field = cc_data.FIELD_1 if channel in (1, 2) else cc_data.FIELD_2
    pairs = (eia608.Pair(one.time_s, one.first, one.second) for one in triplets if one.kind == field)
    return eia608.decode(pairs, channel, Fraction(source.duration_s).limit_denominator(1000))


def _quoted(options: str) -> str:
    return options.replace("\\", "\\\\").replace(":", "\\:").replace(",", "\\,")


class _CaptionBytes:
    """Collects the triplets of cc_data from ffprobe's packets."""

    def __init__(self) -> None:
        self._time_s: Fraction | None = None
        self._data = bytearray()
        self._triplets: list[Triplet] = []

    def line(self, line: str) -> None:
        """Take in one line: a packet's time, or sixteen bytes of what it holds."""
        key, _, value = line.partition("=")
        if key == "pts_time":
            self._end_packet()
            self._time_s = Fraction(value) if re.fullmatch(r"-?\d{1,9}(\.\d{1,9})?", value) else None
        elif match := re.match(r"[0-9a-f]{8}: ((?:[0-9a-f]{2,4} )+) ", line):
            self._data += bytes.fromhex(match[1].replace(" ", ""))

    def _end_packet(self) -> None:
        data, self._data = bytes(self._data), bytearray()
        if self._time_s is not None:
            self._triplets += cc_data.read(data, self._time_s)

    def triplets(self, begins_s: Fraction) -> list[Triplet]:
        """All of them, with times that count from `begins_s`."""
        self._end_packet()
        return [replace(one, time_s=one.time_s - begins_s) for one in self._triplets]


def write(found: Spoken, path: Path) -> None:
    """Write atomically: a file that is there is whole."""
    cues = [[number, name, [_row(cue) for cue in told]] for (number, name), told in found.cues.items()]
    triplets = [
        [number, name, [[str(one.time_s), one.kind, one.first, one.second] for one in told]]
        for (number, name), told in found.triplets.items()
    ]
    part = path.with_suffix(".part")
    part.write_text(json.dumps({"cues": cues, "triplets": triplets}))
    part.rename(path)


def _row(cue: Cue) -> list[Any]:
    place = cue.place
    where = None if place is None else [str(place.left), str(place.top), str(place.width), str(place.height),
                                        place.align, place.display]  # fmt: skip
    return [str(cue.start_s), str(cue.end_s), cue.text, cue.colour, where]


def _cue(row: list[Any]) -> Cue:
    start, end, text, colour, where = row
    place = None
    if where is not None:
        left, top, width, height = (Fraction(part) for part in where[:4])
        place = Place(left, top, width, height, *where[4:])
    return Cue(Fraction(start), Fraction(end), text, colour, place)


def recall(path: Path) -> Spoken:
    written = json.loads(path.read_text())
    return Spoken(
        {(number, name): [_cue(row) for row in told] for number, name, told in written["cues"]},
        {
            (number, name): [Triplet(Fraction(time), *rest) for time, *rest in told]
            for number, name, told in written["triplets"]
        },
    )
