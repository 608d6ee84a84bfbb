"""Subtitles as cues: WebVTT and SRT read, SRT written. Timing and text; places of WebVTT where they are asked for.

Never renders, never loads fonts or pictures. Source: W3C WebVTT 4 (file structure), 6.1 (cue settings); ISO/IEC
14496-30 (wvtt samples); RFC 8216 3.5 (X-TIMESTAMP-MAP); SRT as MediaPackage ingests it.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction

from penstock.errors import FormatError, ManifestError
from penstock.formats.isobmff import boxes

MAX_CUES = 100_000
MAX_TEXT_BYTES = 16 * 2**20
TICKS_PER_S = 90_000
"""MPEG-TS clock of X-TIMESTAMP-MAP."""

_SRT_TIME = r"(\d{1,4}):([0-5]\d):([0-5]\d)[,.](\d{1,3})"
_SRT = re.compile(rf"{_SRT_TIME}[ \t]+-->[ \t]+{_SRT_TIME}(?:[ \t].*)?")
_VTT_TIME = r"(?:(\d{2,4}):)?([0-5]\d):([0-5]\d)\.(\d{3})"
_VTT = re.compile(rf"{_VTT_TIME}[ \t]+-->[ \t]+{_VTT_TIME}([ \t].*)?")
_MAP = re.compile(r"X-TIMESTAMP-MAP=(.*)")
_TAGS = re.compile(r"<[^>\n]{0,200}>")


@dataclass(frozen=True)
class Place:
    """A rectangle in parts of the picture, and where text stands in it: `align` left, center or right.

    `display` says where its lines begin: before (at the top), center or after (they end at the bottom).
    """

    left: Fraction
    top: Fraction
    width: Fraction
    height: Fraction
    align: str = "center"
    display: str = "after"


@dataclass(frozen=True)
class Cue:
    """Text on screen from `start_s` to `end_s`; lines parted by newlines.

    colour: six hexadecimal digits. Colour and place are None where nothing is said, or nobody has asked.
    """

    start_s: Fraction
    end_s: Fraction
    text: str
    colour: str | None = None
    place: Place | None = None


def build_srt(cues: Iterable[Cue]) -> bytes:
    """Write SRT: cues in order of time, each once; pieces of one cue that segments have cut apart are joined."""
    blocks = []
    for number, cue in enumerate(_joined(cues), start=1):
        blocks.append(f"{number}\n{_srt_time(cue.start_s)} --> {_srt_time(cue.end_s)}\n{cue.text}\n")
    return "\n".join(blocks).encode()


def _joined(cues: Iterable[Cue]) -> list[Cue]:
    """Segments repeat a cue that crosses their border, whole (WebVTT) or cut (wvtt, TTML)."""
    found: list[Cue] = []
    latest: dict[str, int] = {}
    for cue in sorted(set(cues), key=lambda cue: (cue.start_s, cue.end_s, cue.text)):
        text = _clean(cue.text)
        start = max(cue.start_s, Fraction(0))
        if not text or cue.end_s <= start:
            continue
        before = latest.get(text)
        if before is not None and found[before].end_s >= start:
            found[before] = replace(found[before], end_s=max(found[before].end_s, cue.end_s))
            continue
        latest[text] = len(found)
        found.append(Cue(start, cue.end_s, text))
    return sorted(found, key=lambda cue: (cue.start_s, cue.end_s, cue.text))


def _clean(text: str) -> str:
    """An empty line would end the cue, and an arrow would look like times."""
    lines = [re.sub(r"[\x00-\x08\x0b-\x1f\x7f]", "", line).strip() for line in text.replace("\r", "\n").split("\n")]
    return "\n".join(line.replace("-->", "->") for line in lines if line)


def _srt_time(time_s: Fraction) -> str:
    ms = round(time_s * 1000)
    return f"{ms // 3_600_000:02}:{ms // 60_000 % 60:02}:{ms // 1000 % 60:02},{ms % 1000:03}"


def parse_srt(content: bytes) -> list[Cue]:
    """Read SRT. Raises ManifestError naming the line that is none."""
    lines = _lines(content, "SRT")
    if lines[0].startswith("WEBVTT"):
        raise ManifestError("the file is WebVTT, not SRT")
    cues: list[Cue] = []
    for number, block in _blocks(lines):
        if block[0].strip().isdigit() and len(block) > 1:
            block, number = block[1:], number + 1
        match = _SRT.fullmatch(block[0].strip())
        if match is None:
            raise ManifestError(f"line {number}: expected 00:00:00,000 --> 00:00:00,000, got {block[0][:60]!r}")
        start, end = _time(match.groups()[:4]), _time(match.groups()[4:])
        if end < start:
            raise ManifestError(f"line {number}: the subtitle ends before it begins")
        cues.append(Cue(start, end, "\n".join(block[1:])))
    return cues


def parse_webvtt(content: bytes, *, clock_zero_s: Fraction = Fraction(0), styled: bool = False) -> list[Cue]:
    """Read a WebVTT file or segment; `styled` with the places of cues.

    clock_zero_s: where the film begins on the media's clock, on which times are where X-TIMESTAMP-MAP is given.
    Raises ManifestError where it is none. Notes, styles and regions go; so does markup within cues.
    """
    lines = _lines(content, "WebVTT")
    if not re.match(r"WEBVTT(?:[ \t]|$)", lines[0]):
        raise ManifestError(f"a WebVTT file starts with WEBVTT, got {lines[0][:40]!r}")
    told = _timestamp_map(lines)
    shift = Fraction(0) if told is None else told - clock_zero_s
    cues: list[Cue] = []
    for _, block in _blocks(lines[1:]):
        at = next((index for index, line in enumerate(block[:2]) if "-->" in line), None)
        if at is None:
            continue
        match = _VTT.fullmatch(block[at].strip())
        if match is None:
            raise ManifestError(f"no WebVTT times: {block[at][:60]!r}")
        start, end = _time(match.groups()[:4]), _time(match.groups()[4:8])
        text = webvtt_text("\n".join(block[at + 1 :]))
        cues.append(Cue(start + shift, end + shift, text, place=_vtt_place(match[9] or "") if styled else None))
    return cues


_VTT_SETTING = re.compile(r"(line|position|size|align):(\S{1,40})")
_VTT_ALIGNED = {"start": "left", "left": "left", "end": "right", "right": "right"}
_VTT_LINES = 18
"""How many lines of 5.33 % a picture has, where a cue counts them (WebVTT 7.2)."""


def _vtt_place(settings: str) -> Place | None:
    """A cue's box (WebVTT 6.1): a line from the top or, below zero, the bottom; position and size in percent."""
    said = dict(_VTT_SETTING.findall(settings))
    if not said:
        return None
    align = _VTT_ALIGNED.get(said.get("align", ""), "center")
    size = _percent(said.get("size")) or Fraction(1)
    at = _percent(said.get("position"))
    if at is None:
        at = {"left": Fraction(0), "right": Fraction(1)}.get(align, Fraction(1, 2))
    room = {"left": 1 - at, "right": at}.get(align, 2 * min(at, 1 - at))
    width = min(size, room)
    left = {"left": at, "right": at - width}.get(align, at - width / 2)
    line = said.get("line", "-1").partition(",")[0]
    if (top := _percent(line)) is not None:
        return Place(left, top, width, 1 - top, align, "before")
    number = int(line) if re.fullmatch(r"-?\d{1,3}", line) else -1
    if number < 0:
        return Place(left, Fraction(0), width, 1 - Fraction(-number - 1, _VTT_LINES), align, "after")
    top = min(Fraction(number, _VTT_LINES), Fraction(1))
    return Place(left, top, width, 1 - top, align, "before")


def _percent(said: str | None) -> Fraction | None:
    match = re.match(r"(\d{1,3}(?:\.\d{1,6})?)%", said or "")
    return min(Fraction(match[1]) / 100, Fraction(1)) if match else None


def webvtt_text(payload: str) -> str:
    """Take the markup out of a cue's payload; italics, bold and underline stay, which SRT knows as well."""
    kept = re.sub(r"<(/?)([biu])(?:\.[^>\n]{0,100})?>", "\x01\\1\\2\x02", payload)
    return html.unescape(_TAGS.sub("", kept)).replace("\x01", "<").replace("\x02", ">")


def _timestamp_map(lines: list[str]) -> Fraction | None:
    for line in lines[:20]:
        if match := _MAP.match(line):
            local = re.search(rf"LOCAL:{_VTT_TIME}", match[1])
            ticks = re.search(r"MPEGTS:(\d{1,12})", match[1])
            if local is None or ticks is None:
                raise ManifestError(f"X-TIMESTAMP-MAP cannot be read: {match[1][:60]!r}")
            return Fraction(int(ticks[1]), TICKS_PER_S) - _time(local.groups())
    return None


def wvtt_cues(sample: bytes, start_s: Fraction, end_s: Fraction) -> Iterator[Cue]:
    """Read one `wvtt` sample; several cues may be on screen together, and none leaves a pause."""
    for box in boxes(sample):
        if box.type == "vttc":
            payload = next((inner.payload for inner in boxes(box.payload) if inner.type == "payl"), b"")
            yield Cue(start_s, end_s, webvtt_text(payload.decode("utf-8", "replace")))


def _lines(content: bytes, kind: str) -> list[str]:
    if len(content) > MAX_TEXT_BYTES:
        raise ManifestError(f"the {kind} file has {len(content)} bytes, at most {MAX_TEXT_BYTES} are read")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise ManifestError(f"the {kind} file is not UTF-8 at byte {exc.start}") from exc
    return re.split(r"\r\n|\r|\n", text)


def _blocks(lines: list[str]) -> Iterator[tuple[int, list[str]]]:
    """Groups of lines between empty ones, each with the number of its first line."""
    block: list[str] = []
    count = 0
    for number, line in enumerate([*lines, ""], start=1):
        if line.strip():
            block.append(line)
        elif block:
            count += 1
            if count > MAX_CUES:
                raise ManifestError(f"more than {MAX_CUES} subtitles")
            yield number - len(block), block
            block = []


def _time(parts: tuple[str | None, ...]) -> Fraction:
    hours, minutes, seconds, fraction = parts
    whole = int(hours or 0) * 3600 + int(minutes or 0) * 60 + int(seconds or 0)
    return whole + Fraction(int((fraction or "0").ljust(3, "0")), 1000)


def sniffed(content: bytes) -> str:
    """Tell `webvtt`, `ttml` or `srt` by the first bytes, whatever a manifest says. Raises FormatError for others."""
    head = content[:4096].removeprefix(b"\xef\xbb\xbf").lstrip()
    if head.startswith(b"WEBVTT"):
        return "webvtt"
    if head.startswith(b"<"):
        return "ttml"
    if re.match(rb"(?:\d+\s*\r?\n\s*)?\d+:\d\d:\d\d[,.]\d+\s+-->", head):
        return "srt"
    raise FormatError("the text track is neither WebVTT, TTML nor SRT")
