"""Subtitles as cues: WebVTT, TTML (IMSC text) and SRT read, SRT written. Timing and plain text, no styles or positions.

Never renders, never loads fonts or pictures. Source: W3C WebVTT 4 (file structure), W3C TTML2 (time expressions, nested
timing), ISO/IEC 14496-30 (wvtt and stpp samples), RFC 8216 3.5 (X-TIMESTAMP-MAP); SRT as MediaPackage ingests it.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction

from lxml import etree

from penstock.errors import FormatError, ManifestError
from penstock.formats import safexml
from penstock.formats.isobmff import boxes

MAX_CUES = 100_000
MAX_TEXT_BYTES = 16 * 2**20
TICKS_PER_S = 90_000
"""MPEG-TS clock of X-TIMESTAMP-MAP."""

_SRT_TIME = r"(\d{1,4}):([0-5]\d):([0-5]\d)[,.](\d{1,3})"
_SRT = re.compile(rf"{_SRT_TIME}[ \t]+-->[ \t]+{_SRT_TIME}(?:[ \t].*)?")
_VTT_TIME = r"(?:(\d{2,4}):)?([0-5]\d):([0-5]\d)\.(\d{3})"
_VTT = re.compile(rf"{_VTT_TIME}[ \t]+-->[ \t]+{_VTT_TIME}(?:[ \t].*)?")
_MAP = re.compile(r"X-TIMESTAMP-MAP=(.*)")
_TAGS = re.compile(r"<[^>\n]{0,200}>")
_CLOCK = re.compile(r"(\d{2,}):([0-5]\d):([0-5]\d)(?:\.(\d{1,9})|:(\d{2,}))?")
_OFFSET = re.compile(r"(\d{1,12}(?:\.\d{1,9})?)(h|ms|m|s|f|t)")


@dataclass(frozen=True)
class Cue:
    """Text on screen from `start_s` to `end_s`; lines parted by newlines."""

    start_s: Fraction
    end_s: Fraction
    text: str


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
    return found


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


def parse_webvtt(content: bytes, *, clock_zero_s: Fraction = Fraction(0)) -> list[Cue]:
    """Read a WebVTT file or segment.

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
        start, end = _time(match.groups()[:4]), _time(match.groups()[4:])
        cues.append(Cue(start + shift, end + shift, webvtt_text("\n".join(block[at + 1 :]))))
    return cues


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


def parse_ttml(content: bytes) -> list[Cue]:
    """Read the text of a TTML document: each `p` with the times it inherits. Raises ManifestError where it is none."""
    root = safexml.parse(content, max_bytes=MAX_TEXT_BYTES, error=ManifestError)
    if etree.QName(root).localname != "tt":
        raise ManifestError(f"the root element is {etree.QName(root).localname[:40]!r}, expected tt")
    clock = _Clock.of(root)
    cues = list(_ttml_cues(root, Fraction(0), None, clock))
    if len(cues) > MAX_CUES:
        raise ManifestError(f"more than {MAX_CUES} subtitles")
    return cues


@dataclass(frozen=True)
class _Clock:
    """Frames and ticks in a second."""

    frames: Fraction
    ticks: Fraction

    @classmethod
    def of(cls, root: etree._Element) -> _Clock:
        values = {etree.QName(name).localname: str(value) for name, value in root.attrib.items()}
        try:
            top, bottom = values.get("frameRateMultiplier", "1 1").split()
            frames = Fraction(int(values.get("frameRate", "30"))) * Fraction(int(top), int(bottom))
            ticks = Fraction(int(values.get("tickRate", "0")) or frames)
        except (ValueError, ZeroDivisionError) as exc:
            raise ManifestError("tt: frameRate, frameRateMultiplier or tickRate cannot be read") from exc
        if frames <= 0 or ticks <= 0:
            raise ManifestError("tt: frameRate and tickRate are greater than 0")
        return cls(frames, ticks)

    def seconds(self, text: str) -> Fraction:
        if match := _CLOCK.fullmatch(text.strip()):
            whole = Fraction(int(match[1]) * 3600 + int(match[2]) * 60 + int(match[3]))
            return whole + Fraction(f"0.{match[4] or 0}") + (int(match[5]) / self.frames if match[5] else 0)
        if match := _OFFSET.fullmatch(text.strip()):
            factors = {"h": Fraction(3600), "m": Fraction(60), "s": Fraction(1), "ms": Fraction(1, 1000)}
            factors |= {"f": 1 / self.frames, "t": 1 / self.ticks}
            return Fraction(match[1]) * factors[match[2]]
        raise ManifestError(f"no TTML time: {text[:40]!r}")


def _ttml_cues(element: etree._Element, start: Fraction, end: Fraction | None, clock: _Clock) -> Iterator[Cue]:
    """Times of an element count from the start of the element around it (TTML2 12.4)."""
    begin, dur, stop = (element.get(name) for name in ("begin", "dur", "end"))
    inner_start = start + (clock.seconds(begin) if begin else 0)
    ends = [bound for bound in (end, start + clock.seconds(stop) if stop else None) if bound is not None]
    if dur:
        ends.append(inner_start + clock.seconds(dur))
    inner_end = min(ends) if ends else None
    name = etree.QName(element).localname
    if name == "p":
        timed = [child for child in element if etree.QName(child).localname == "span" and child.get("begin")]
        if timed:
            for child in timed:
                yield from _ttml_cues(child, inner_start, inner_end, clock)
            return
    if name in ("p", "span"):
        if inner_end is not None:
            yield Cue(inner_start, inner_end, _ttml_text(element))
        return
    for child in element:
        yield from _ttml_cues(child, inner_start, inner_end, clock)


def _ttml_text(element: etree._Element) -> str:
    parts = [re.sub(r"\s+", " ", element.text or "")]
    for child in element:
        name = etree.QName(child).localname
        parts.append("\n" if name == "br" else _ttml_text(child) if name == "span" else "")
        parts.append(re.sub(r"\s+", " ", child.tail or ""))
    return "".join(parts)


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
