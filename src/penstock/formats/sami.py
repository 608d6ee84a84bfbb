"""SAMI captions (.smi): HTML-like text with a time for each change of the screen. Read to cues and written.

Reads the text of one language, knows no styles but italics, bold and underline, and never becomes markup. Source:
Microsoft, "Understanding SAMI 1.0" (SYNC, P, Class; times in milliseconds; a blank paragraph clears the screen).
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator
from fractions import Fraction

from penstock.errors import ManifestError
from penstock.formats import caption_writers
from penstock.formats.subtitles import MAX_CUES, MAX_TEXT_BYTES, Cue, webvtt_text

_SYNC = re.compile(r"<sync\b[^>]{0,200}?start\s*=\s*[\"']?(-?\d{1,12})[^>]{0,200}>", re.IGNORECASE)
_PARAGRAPH = re.compile(r"<p\b([^>]{0,200})>", re.IGNORECASE)
_CLASS = re.compile(r"class\s*=\s*[\"']?([\w-]{1,64})", re.IGNORECASE)
_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)
_STYLE = re.compile(r"<(/?)([BIU])>")
_LAST_S = 5
"""How long the last text is shown, which no time ends."""


def parse_sami(content: bytes) -> list[Cue]:
    """Read the captions of the first class in a SAMI document. Raises ManifestError where it is none."""
    if len(content) > MAX_TEXT_BYTES:
        raise ManifestError(f"the SAMI file has {len(content)} bytes, at most {MAX_TEXT_BYTES} are read")
    try:
        text = content.decode("utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError as exc:
        raise ManifestError(f"the SAMI file is neither UTF-8 nor UTF-16 at byte {exc.start}") from exc
    if not text.lstrip()[:6].upper().startswith("<SAMI>"):
        raise ManifestError(f"a SAMI file starts with <SAMI>, got {text.lstrip()[:40]!r}")
    changes = list(_changes(text))
    if len(changes) > MAX_CUES:
        raise ManifestError(f"more than {MAX_CUES} subtitles")
    ends = [start_s for start_s, _ in changes[1:]]
    ends += [start_s + _LAST_S for start_s, _ in changes[-1:]]
    return [Cue(start_s, end_s, said) for (start_s, said), end_s in zip(changes, ends, strict=True) if said]


def _changes(text: str) -> Iterator[tuple[Fraction, str]]:
    """When the screen changes, in order, and what it shows from then on."""
    wanted: str | None = None
    found = []
    for time, body in _parted(_SYNC, text):
        for attributes, said in _parted(_PARAGRAPH, body):
            name = _class(attributes)
            wanted = name if wanted is None else wanted
            if name == wanted:
                found.append((Fraction(int(time), 1000), _text(said)))
    return iter(sorted(found, key=lambda change: change[0]))


def _parted(tag: re.Pattern[str], text: str) -> Iterator[tuple[str, str]]:
    """What each tag says, and the text up to the next."""
    marks = list(tag.finditer(text))
    ends = [mark.start() for mark in marks[1:]] + [len(text)]
    for mark, end in zip(marks, ends, strict=False):
        yield mark[1], text[mark.end() : end]


def _class(attributes: str) -> str:
    found = _CLASS.search(attributes)
    return found[1].upper() if found else ""


def _text(body: str) -> str:
    lines = _BREAK.split(re.sub(r"\s+", " ", body))
    plain = "\n".join(webvtt_text(_STYLE.sub(lambda tag: tag[0].lower(), line)).strip() for line in lines)
    return plain.replace("\u00a0", " ").strip()


def build_sami(cues: Iterable[Cue], language: str = "", label: str = "") -> bytes:
    """Write a SAMI document with the captions of one language.

    language: an RFC 5646 tag. label: what people call the language.
    """
    name = re.sub(r"[^A-Za-z0-9 ]", "", label) or "Captions"
    head = (
        f"<SAMI>\n<HEAD>\n<TITLE>{html.escape(label or 'Captions')}</TITLE>\n"
        '<STYLE TYPE="text/css">\n<!--\nP { font-family: sans-serif; text-align: center; color: white; }\n'
        f".CC {{ Name: {name}; lang: {language or 'und'}; SAMIType: CC; }}\n-->\n</STYLE>\n</HEAD>\n<BODY>\n"
    )
    parts = [head]
    ends: Fraction | None = None
    for cue in caption_writers.on_screen(cues):
        said = _payload(cue)
        if not said:
            continue
        if ends is not None and ends < cue.start_s:
            parts.append(_sync(ends, "&nbsp;"))
        parts.append(_sync(cue.start_s, said))
        ends = cue.end_s
    if ends is not None:
        parts.append(_sync(ends, "&nbsp;"))
    return "".join([*parts, "</BODY>\n</SAMI>\n"]).encode()


def _sync(time_s: Fraction, body: str) -> str:
    return f"<SYNC Start={round(time_s * 1000)}><P Class=CC>{body}</P></SYNC>\n"


def _payload(cue: Cue) -> str:
    """The text with its b, i and u; lines become breaks."""
    parts = []
    for run in caption_writers.runs(caption_writers.without_controls(cue.text)):
        order = sorted(run.style)
        said = "<br>".join(html.escape(line, quote=False) for line in run.text.split("\n"))
        parts += ["".join(f"<{one}>" for one in order), said, "".join(f"</{one}>" for one in reversed(order))]
    return "".join(parts)
