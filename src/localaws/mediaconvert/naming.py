"""File names as MediaConvert gives them: destination, name modifier, format identifiers, segment numbers. Pure.

Source: MediaConvert user guide, "List of settings variables with examples" and "Using settings variables with streaming
outputs"; names of real outputs (`film-videoinit.cmfv`, `film-video_000000001.cmfv`). What the guide leaves open is said
where it is decided.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import datetime
from fractions import Fraction
from pathlib import PurePosixPath
from urllib.parse import quote

from localaws.media.addresses import AddressRefused, object_address

DESTINATION_IDENTIFIERS = frozenset({"dt", "d", "t", "fn"})
OUTPUT_IDENTIFIERS = DESTINATION_IDENTIFIERS | {"rv", "ra", "rc", "w", "h", "f", "ex"}
NUMBERED = ("Number", "Time")
"""Identifiers of a DASH ISO output that stand where its segments have their number, or their time."""
DASH_IDENTIFIERS = OUTPUT_IDENTIFIERS | {"Bandwidth", *NUMBERED}
_SAFE = "!$&'()*+,;=@~-._/"
_IDENTIFIER = re.compile(r"\$(?:\$|([A-Za-z]+)(?:%0(\d{1,2}))?\$)")


class NameRefused(AddressRefused):
    """A destination or modifier that names no file; the message is a sentence part that follows the setting's path."""


@dataclass(frozen=True)
class Facts:
    """What format identifiers stand for. Rates in b/s, of all sound together; `frame_rate` in frames per second."""

    started: datetime
    input_stem: str
    extension: str = ""
    width: int | None = None
    height: int | None = None
    frame_rate: Fraction | None = None
    video_bps: int | None = None
    audio_bps: int | None = None

    def value(self, identifier: str) -> str | None:
        bps = [rate for rate in (self.video_bps, self.audio_bps) if rate is not None]
        values: dict[str, object] = {
            "dt": f"{self.started:%Y%m%dT%H%M%S}",
            "d": f"{self.started:%Y%m%d}",
            "t": f"{self.started:%H%M%S}",
            "fn": self.input_stem,
            "ex": self.extension or None,
            "w": self.width,
            "h": self.height,
            "f": None if self.frame_rate is None else int(self.frame_rate),
            # The guide's example of $ra$ shows b/s; its text says kilobits, as for the other two.
            "rv": None if self.video_bps is None else self.video_bps // 1000,
            "ra": None if self.audio_bps is None else self.audio_bps // 1000,
            "rc": sum(bps) // 1000 if bps else None,
            "Bandwidth": sum(bps) if bps else None,
        }
        found = values.get(identifier)
        return None if found is None else str(found)


def identifiers(text: str) -> set[str]:
    """The format identifiers used in `text`, without the dollar signs."""
    return {match[1] for match in _IDENTIFIER.finditer(text) if match[1]}


def expand(text: str, facts: Facts) -> str:
    """Replace format identifiers, `$$` by a dollar sign; `$h%04$` pads with zeros to four digits.

    Raises NameRefused for an identifier that has no value for this output.
    """

    def replace(match: re.Match[str]) -> str:
        if match[1] is None:
            return "$"
        value = facts.value(match[1])
        if value is None:
            raise NameRefused(f"${match[1]}$ has no value for this output")
        return value.zfill(int(match[2])) if match[2] else value

    return _IDENTIFIER.sub(replace, text)


@dataclass(frozen=True)
class Destination:
    """Where a group writes: `base` is the object key that every file name of the group begins with."""

    bucket: str
    base: str

    def uri(self, suffix: str) -> str:
        return f"s3://{self.bucket}/{self.base}{suffix}"


def destination(uri: str, facts: Facts) -> Destination:
    """A group's Destination, expanded. One that ends in a slash goes on with the input's name without extension."""
    bucket, base = object_address(uri)
    base = expand(base, facts)
    if base == "" or base.endswith("/"):
        base += facts.input_stem
    return Destination(bucket, base)


def input_stem(object_key: str) -> str:
    """The file name of the input without its extension."""
    return PurePosixPath(object_key).stem


def initialization(modifier: str, extension: str) -> str:
    """Suffix of an initialization segment after the destination's base."""
    return f"{modifier}init.{extension}"


@dataclass(frozen=True)
class Segments:
    """What the media segments of a CMAF or DASH output are called: a text, their number or time, a text.

    `identifier` is that of a SegmentTemplate (ISO/IEC 23009-1, 5.3.9.4.4), without its dollar signs.
    """

    before: str
    identifier: str = "Number%09d"
    after: str = ""

    def name(self, extension: str, value: int) -> str:
        """Suffix of the segment with that number, or that time in the output's time scale."""
        _, _, digits = self.identifier.rstrip("d").partition("%0")
        return f"{self.before}{str(value).zfill(int(digits or 1))}{self.after}.{extension}"

    def template(self, base: str, manifest: str = "") -> str:
        """The media attribute of a SegmentTemplate, as `relative_reference` has it and without extension."""
        before = relative_reference(base, self.before, manifest).replace("$", "$$")
        return f"{before}${self.identifier}${quote(self.after, safe=_SAFE).replace('$', '$$')}"


def segments(modifier: str) -> Segments:
    """Numbers of nine digits from 1 on, behind the modifier."""
    return Segments(f"{modifier}_")


def numbered(modifier: str, facts: Facts) -> Segments | None:
    """The names of segments where the modifier says itself where their number or time stands; None where it does not.

    Raises NameRefused for a modifier with more than one of them.
    """
    found = [match for match in _IDENTIFIER.finditer(modifier) if match[1] in NUMBERED]
    if not found:
        return None
    if len(found) > 1:
        raise NameRefused("holds more than one of $Number$ and $Time$")
    before, after = modifier[: found[0].start()], modifier[found[0].end() :]
    digits = f"%0{found[0][2]}d" if found[0][2] else ""
    return Segments(expand(before, facts), found[0][1] + digits, expand(after, facts))


TRICK_PLAY = "trick"
"""Ends the label of a rendition of key frames in the work folder."""


def key_frames(modifier: str) -> str:
    """Suffix of a playlist of key frames alone. AWS does not document it; this is ours."""
    return f"{modifier}_I-Frame.m3u8"


def folder(base: str, modifier: str, number: int, suffix: str) -> str:
    """Suffix of a file in a numbered folder of its stream. AWS does not document these folders; this is ours."""
    return f"{modifier}/{number:05d}/{PurePosixPath(base).name}{suffix}"


@dataclass(frozen=True)
class SegmentModifier:
    """What an HLS output adds to the names of its segments. Its times are those at which each segment was complete."""

    text: str
    facts: Facts

    def at(self, completed: datetime) -> str:
        return expand(self.text, replace(self.facts, started=completed))


def hls_segment(modifier: str, segment_modifier: str, extension: str, number: int) -> str:
    """Suffix of a segment of an HLS group; numbers start at 1 and have five digits."""
    return f"{modifier}{segment_modifier}_{number:05d}.{extension}"


def capture(modifier: str, extension: str, number: int) -> str:
    """Suffix of a captured frame; numbers start at 0 and have seven digits."""
    return f"{modifier}.{number:07d}.{extension}"


def media_file(modifier: str, extension: str) -> str:
    """Suffix of a whole media file."""
    return f"{modifier}.{extension}"


def playlist(modifier: str) -> str:
    """Suffix of an output's own playlist. Without a modifier it would have the name of the multivariant playlist.

    AWS asks for a modifier wherever there are several outputs; `_media` is ours.
    """
    return f"{modifier or '_media'}.m3u8"


def relative_reference(base: str, suffix: str, manifest: str = "") -> str:
    """A file of the group as a manifest of the same group refers to it: percent-encoded, relative to the manifest.

    manifest: the manifest's own suffix, which may lead into a folder, as that of the file may.
    """
    target, folders = (base + suffix).split("/"), (base + manifest).split("/")[:-1]
    shared = 0
    while shared < min(len(folders), len(target) - 1) and folders[shared] == target[shared]:
        shared += 1
    reference = "/".join([".."] * (len(folders) - shared) + target[shared:])
    # Object keys may hold empty parts; what begins with one would be read as an absolute path.
    return quote(f"./{reference}" if reference.startswith("/") else reference, safe=_SAFE)
