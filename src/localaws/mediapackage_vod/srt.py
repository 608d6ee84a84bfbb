"""SubRip captions -> WebVTT. Pure. Never passes on anything that is no cue, nor markup but i, b and u.

Source: SubRip as Matroska describes it (S_TEXT/UTF8); W3C WebVTT.
"""

from __future__ import annotations

import re
from html import escape, unescape

from penstock.errors import FormatError

MAX_BYTES = 8 * 2**20
_TIME = r"(\d{1,3}):(\d{2}):(\d{2})[,.](\d{1,3})"
_TIMING = re.compile(rf"\s*{_TIME}\s*-->\s*{_TIME}(?:\s.*)?")
_MARKUP = re.compile(r"&lt;(/?[ibu])&gt;", re.IGNORECASE)
_OTHER_MARKUP = re.compile(r"&lt;/?(font|span)\b[^;]*?&gt;|\{\\an?\d\}", re.IGNORECASE)


def to_webvtt(data: bytes, *, references: bool = True) -> str:
    """Convert captions in UTF-8, with or without a byte order mark. Raises FormatError when there is no cue.

    references=False writes & as it is and other brackets for < and >: the packager's TTML shows character references
    of its input as they are written.
    """
    if len(data) > MAX_BYTES:
        raise FormatError(f"the captions have {len(data)} bytes; at most {MAX_BYTES} are read")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise FormatError(f"the captions are not UTF-8: byte {exc.start}") from exc
    cues = []
    for block in re.split(r"\n[ \t]*\n", text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "")):
        lines = block.strip("\n").split("\n")
        timing = next((index for index, line in enumerate(lines[:2]) if "-->" in line), None)
        if timing is None or not (match := _TIMING.fullmatch(lines[timing])):
            continue
        start, end = _milliseconds(match.groups()[:4]), _milliseconds(match.groups()[4:])
        said = [_line(line, references) for line in lines[timing + 1 :] if line.strip()]
        if said and end > start:
            cues.append(f"{_clock(start)} --> {_clock(end)}\n" + "\n".join(said) + "\n")
    if not cues:
        raise FormatError("the captions hold no cue; SubRip is expected")
    return "WEBVTT\n\n" + "\n".join(cues)


def _line(line: str, references: bool) -> str:
    shown = escape(unescape(line.strip()), quote=False)
    shown = _MARKUP.sub(lambda found: f"<{found[1].lower()}>", _OTHER_MARKUP.sub("", shown)).replace("-->", "--&gt;")
    return shown if references else shown.replace("&lt;", "‹").replace("&gt;", "›").replace("&amp;", "&")


def _milliseconds(parts: tuple[str, ...]) -> int:
    hours, minutes, seconds, rest = parts
    return ((int(hours) * 60 + int(minutes)) * 60 + int(seconds)) * 1000 + int(rest.ljust(3, "0"))


def _clock(milliseconds: int) -> str:
    seconds, rest = divmod(milliseconds, 1000)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{rest:03}"
