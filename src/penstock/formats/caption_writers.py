"""Cues to WebVTT, TTML and IMSC text documents. Italics, bold and underline are written; nothing else of a style is.

Never renders, and never lets a cue's text become markup. Source: W3C WebVTT 4; W3C TTML2; W3C IMSC 1.1 text profile;
RFC 8216 3.5 (X-TIMESTAMP-MAP).
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise

from lxml import etree

from penstock.formats.subtitles import TICKS_PER_S, Cue

_MARKUP = re.compile(r"<(/?)([biu])>")
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_XML_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_TT = "http://www.w3.org/ns/ttml"
_TTP, _TTS = f"{_TT}#parameter", f"{_TT}#styling"
_XML = "http://www.w3.org/XML/1998/namespace"
IMSC_TEXT = "http://www.w3.org/ns/ttml/profile/imsc1.1/text"


@dataclass(frozen=True)
class Run:
    """Part of a line in one style; `style` holds b, i and u."""

    text: str
    style: frozenset[str]


def runs(text: str) -> Iterator[Run]:
    """Part a cue's text where its style changes; a tag that closes nothing, or that is none of b, i and u, is text."""
    style: tuple[str, ...] = ()
    position = 0
    for match in _MARKUP.finditer(text):
        closes, name = bool(match[1]), match[2]
        if closes and name not in style:
            continue
        if match.start() > position:
            yield Run(text[position : match.start()], frozenset(style))
        position = match.end()
        style = tuple(other for other in style if other != name) if closes else (*style, name)
    if position < len(text):
        yield Run(text[position:], frozenset(style))


def plain(cue: Cue) -> Cue:
    """The cue without b, i and u."""
    return replace(cue, text="".join(run.text for run in runs(cue.text)))


def on_screen(cues: Iterable[Cue]) -> Iterator[Cue]:
    """Stretches in which the same text is on screen, in order; cues that overlap stand below one another."""
    for start_s, end_s, active in stretches(cues):
        yield Cue(start_s, end_s, "\n".join(cue.text for cue in active))


def stretches(cues: Iterable[Cue]) -> Iterator[tuple[Fraction, Fraction, list[Cue]]]:
    """Stretches, start and end, in which the same cues are on screen, in order."""
    told = sorted(cues, key=lambda cue: (cue.start_s, cue.end_s))
    times = sorted({time for cue in told for time in (cue.start_s, cue.end_s)})
    active: list[Cue] = []
    place = 0
    for start_s, end_s in pairwise(times):
        while place < len(told) and told[place].start_s <= start_s:
            active.append(told[place])
            place += 1
        active = [cue for cue in active if cue.end_s > start_s]
        if active:
            yield start_s, end_s, active


def build_webvtt(cues: Iterable[Cue], *, clock_zero_s: Fraction | None = None, references: bool = True) -> str:
    """Write a WebVTT file or segment, cues in order of time.

    clock_zero_s: where the film begins on the clock of the transport stream, told by X-TIMESTAMP-MAP.
    references=False writes & as it is and other brackets for < and >: Shaka Packager's TTML shows character references
    of its input as they are written.
    """
    head = "WEBVTT\n"
    if clock_zero_s is not None:
        head += f"X-TIMESTAMP-MAP=LOCAL:00:00:00.000,MPEGTS:{round(clock_zero_s * TICKS_PER_S) % 2**33}\n"
    blocks = [
        f"{clock_time(cue.start_s)} --> {clock_time(cue.end_s)}\n{payload}\n"
        for cue in _in_order(cues)
        if (payload := _payload(cue.text, references))
    ]
    return "\n".join([head, *blocks])


def _in_order(cues: Iterable[Cue]) -> list[Cue]:
    visible = [
        replace(cue, start_s=max(cue.start_s, Fraction(0))) for cue in cues if cue.end_s > max(cue.start_s, Fraction(0))
    ]
    return sorted(visible, key=lambda cue: (cue.start_s, cue.end_s))


def without_controls(text: str) -> str:
    """A cue's lines without control characters and without empty ones."""
    lines = [_CONTROLS.sub("", line).strip() for line in re.split(r"\r\n|\r|\n", text)]
    return "\n".join(line for line in lines if line)


def _payload(text: str, references: bool) -> str:
    """A cue's lines; an empty one would end the cue, and an arrow would look like times."""
    parts: list[str] = []
    for run in runs(without_controls(text)):
        shown = html.escape(run.text, quote=False) if references else run.text.replace("<", "‹").replace(">", "›")
        order = sorted(run.style)
        parts += ["".join(f"<{name}>" for name in order), shown, "".join(f"</{name}>" for name in reversed(order))]
    return "".join(parts)


def clock_time(time_s: Fraction) -> str:
    """HH:MM:SS.mmm, as WebVTT and TTML have it."""
    ms = round(time_s * 1000)
    return f"{ms // 3_600_000:02}:{ms // 60_000 % 60:02}:{ms // 1000 % 60:02}.{ms % 1000:03}"


def build_ttml(
    cues: Iterable[Cue], language: str = "", *, imsc: bool = False, style: Mapping[str, str] | None = None
) -> bytes:
    """Write a TTML2 document with one region at the bottom; `imsc` keeps to the IMSC 1.1 text profile and says so.

    style: attributes of the TT Style namespace for all text, without their prefix.
    """
    root = etree.fromstring(f'<tt xmlns="{_TT}" xmlns:ttp="{_TTP}" xmlns:tts="{_TTS}"/>')
    root.set(f"{{{_XML}}}lang", language)
    root.set(f"{{{_XML}}}space", "preserve")
    root.set(f"{{{_TTP}}}timeBase", "media")
    if imsc:
        root.set(f"{{{_TTP}}}contentProfiles", IMSC_TEXT)
    _head(etree.SubElement(root, f"{{{_TT}}}head"), dict(style or {}))
    division = etree.SubElement(etree.SubElement(root, f"{{{_TT}}}body"), f"{{{_TT}}}div")
    for cue in _in_order(cues):
        text = _XML_FORBIDDEN.sub("", re.sub(r"\r\n|\r", "\n", cue.text)).strip()
        if text:
            times = {"begin": clock_time(cue.start_s), "end": clock_time(cue.end_s)}
            paragraph = etree.SubElement(division, f"{{{_TT}}}p", times, region="bottom", style="text")
            _fill(paragraph, text)
    # Not indented: with xml:space="preserve" white space around a paragraph's parts would be shown.
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8")


def _head(head: etree._Element, style: Mapping[str, str]) -> None:
    defaults = {"color": "white", "fontFamily": "proportionalSansSerif", "fontSize": "100%", "textAlign": "center"}
    styling = etree.SubElement(etree.SubElement(head, f"{{{_TT}}}styling"), f"{{{_TT}}}style")
    styling.set(f"{{{_XML}}}id", "text")
    for name, value in {**defaults, **style}.items():
        styling.set(f"{{{_TTS}}}{name}", value)
    region = etree.SubElement(etree.SubElement(head, f"{{{_TT}}}layout"), f"{{{_TT}}}region")
    region.set(f"{{{_XML}}}id", "bottom")
    for name, value in {"origin": "10% 80%", "extent": "80% 15%", "displayAlign": "after"}.items():
        region.set(f"{{{_TTS}}}{name}", value)


_ATTRIBUTES = {"b": ("fontWeight", "bold"), "i": ("fontStyle", "italic"), "u": ("textDecoration", "underline")}


def _fill(paragraph: etree._Element, text: str) -> None:
    for run in runs(text):
        holder = paragraph
        if run.style:
            holder = etree.SubElement(paragraph, f"{{{_TT}}}span")
            for name in sorted(run.style):
                attribute, value = _ATTRIBUTES[name]
                holder.set(f"{{{_TTS}}}{attribute}", value)
        first, *rest = run.text.split("\n")
        _append(holder, first)
        for line in rest:
            etree.SubElement(holder, f"{{{_TT}}}br").tail = line


def _append(holder: etree._Element, text: str) -> None:
    if len(holder):
        holder[-1].tail = (holder[-1].tail or "") + text
    else:
        holder.text = (holder.text or "") + text
