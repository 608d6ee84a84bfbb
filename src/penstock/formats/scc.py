"""Scenarist Closed Caption files: EIA-608 bytes with a timecode for each run of them. Read to cues and written.

Source: the SCC format as http://www.theneitherworld.com/mcpoodle/SCC_TOOLS/DOCS/SCC_FORMAT.HTML describes it; there is
no standard. Drop-frame counting: SMPTE ST 12-1.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from fractions import Fraction

from penstock.errors import FormatError, ManifestError
from penstock.formats import eia608, eia608_writer, timecode
from penstock.formats.subtitles import MAX_TEXT_BYTES, Cue

_CHANGES = ("942f", "942c")
"""End of caption and erase displayed memory, with their parity bits."""
NTSC = Fraction(30000, 1001)
_LINE = re.compile(r"([0-9:;.]{11})[ \t]+((?:[0-9A-Fa-f]{4}[ \t]*)+)")


def parse_scc(content: bytes, frame_rate: Fraction = NTSC) -> list[Cue]:
    """Read the captions of channel 1 of an SCC file; times count from timecode 00:00:00:00.

    frame_rate: of the timecodes, frames a second. Raises ManifestError naming the line that is none.
    """
    return eia608.decode(_pairs(content, frame_rate), channel=1)


def build_scc(cues: Iterable[Cue], frame_rate: Fraction = NTSC, *, drop: bool = False) -> bytes:
    """Write cues as pop-on captions of channel 1, one pair to a frame; timecodes count from 00:00:00:00.

    drop: count drop-frame, which is for 29.97 frames a second.
    """
    parts = ["Scenarist_SCC V1.0"]
    following, before = -1, ""
    for pair in eia608_writer.encode(cues, 1, frame_rate):
        frame, word = round(pair.time_s * frame_rate), f"{pair.first:02x}{pair.second:02x}"
        # What changes the screen has a line of its own: some readers take a line's timecode for that of its effect.
        begins = frame != following or (word in _CHANGES and word != before)
        parts.append(f"\n\n{timecode.text(frame, frame_rate, drop=drop)}\t{word}" if begins else f" {word}")
        following, before = frame + 1, word
    return "".join([*parts, "\n"]).encode("ascii")


def _pairs(content: bytes, frame_rate: Fraction) -> Iterator[eia608.Pair]:
    """A line's words come one to a frame, and none before the words of the line above it are out."""
    if len(content) > MAX_TEXT_BYTES:
        raise ManifestError(f"the SCC file has {len(content)} bytes, at most {MAX_TEXT_BYTES} are read")
    lines = content.decode("utf-8-sig", "replace").splitlines()
    if not lines or lines[0].strip() != "Scenarist_SCC V1.0":
        raise ManifestError(f"an SCC file starts with Scenarist_SCC V1.0, got {''.join(lines[:1])[:40]!r}")
    frame = 0
    for number, line in enumerate(lines[1:], start=2):
        if not line.strip():
            continue
        match = _LINE.fullmatch(line.strip())
        if match is None:
            raise ManifestError(f"line {number}: expected a timecode and four-digit words, got {line[:60]!r}")
        try:
            begins = timecode.frames(match[1].replace(".", ";"), frame_rate)
        except FormatError as exc:
            raise ManifestError(f"line {number}: {exc}") from exc
        frame = max(frame, begins)
        for word in match[2].split():
            yield eia608.Pair(frame / frame_rate, int(word[:2], 16), int(word[2:], 16))
            frame += 1
