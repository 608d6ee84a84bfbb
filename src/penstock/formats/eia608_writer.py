"""Cues to EIA-608 line 21 captions: pop-on, in white, centred at the bottom; text, italics and underline.

Knows no frames: pairs have times. What EIA-608 has no character for is written without its accents, or as a question
mark. Source: CTA-608-E and 47 CFR 15.119 (preamble, mid-row and control codes; control codes are sent twice).
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from penstock.formats import caption_writers, eia608
from penstock.formats.eia608 import COLUMNS, ROWS, Pair
from penstock.formats.subtitles import Cue

MOST_ROWS = 4
"""What a decoder has to be able to show at once (47 CFR 15.119 (d))."""

_RESUME, _ERASE_HIDDEN, _END_OF_CAPTION, _ERASE_DISPLAYED = 0x20, 0x2E, 0x2F, 0x2C
_PREAMBLES = {
    row: (first, 0x60 if high else 0x40)
    for first, rows in eia608.PREAMBLE_ROWS.items()
    for high, row in reversed(list(enumerate(rows)))
}
_BASIC = {character: code for code, character in eia608.BASIC.items()}
_SPECIAL = {character: 0x30 + place for place, character in enumerate(eia608.SPECIAL) if character != " "}
_EXTENDED = {
    character: (first, 0x20 + place)
    for first, characters in eia608.EXTENDED.items()
    for place, character in enumerate(characters)
}
_NOT_ASCII = frozenset(eia608.BASIC)
_SAME = {"’": "'", "´": "'", "`": "'", "‘": "'", "–": "-", "\u00a0": " ", "…": "...", "‹": "<", "›": ">"}

# Words that belong together: one of text, or a control code and its repetition.
_Atom = tuple[int, ...]


@dataclass(frozen=True)
class _Cell:
    character: str
    italic: bool = False
    underline: bool = False

    @property
    def style(self) -> tuple[bool, bool]:
        return self.italic, self.underline


def encode(cues: Iterable[Cue], channel: int, pairs_per_s: Fraction) -> list[Pair]:
    """Write pop-on captions as byte pairs of the field that `channel`, 1 to 4, belongs to.

    Each caption is sent before it is due, so that it appears in time; where captions come faster than bytes do, late.
    pairs_per_s: how many pairs the field carries; times are whole numbers of pairs. Returns pairs in order of time.
    """
    words: list[tuple[int, int]] = []
    free = 0
    ends: int | None = None
    for start_s, end_s, rows in _pages(cues):
        atoms = list(_loaded(rows))
        due = math.ceil(start_s * pairs_per_s)
        erased = ends if ends is not None and ends < due else None
        length = sum(map(len, atoms))
        if erased is not None and max(free, erased) + 2 <= due - length:
            free = _send(words, max(free, erased), [_control(_ERASE_DISPLAYED)])
            erased = None
        begins = max(free, due - length - (0 if erased is None else 2))
        free = _send(words, begins, atoms if erased is None else _with_erasure(atoms, erased - begins))
        free = _send(words, max(free, due), [_control(_END_OF_CAPTION)])
        ends = math.ceil(end_s * pairs_per_s)
    if ends is not None:
        _send(words, max(free, ends), [_control(_ERASE_DISPLAYED)])
    return [_pair(slot / pairs_per_s, _addressed(word, channel)) for slot, word in words]


def lacking(text: str) -> str:
    """The characters of a text that become question marks, each once and in order."""
    return "".join(sorted({letter for letter in text if letter not in "?\n\r" and _written(letter) == "?"}))


def erase(channel: int, time_s: Fraction) -> list[Pair]:
    """What clears the screen and the hidden memory of a channel; all pairs have the one time."""
    words = (*_control(_ERASE_DISPLAYED), *_control(_ERASE_HIDDEN))
    return [_pair(time_s, _addressed(word, channel)) for word in words]


def _send(words: list[tuple[int, int]], slot: int, atoms: Iterable[_Atom]) -> int:
    """Put words into slots one behind the other; returns the next free slot."""
    for atom in atoms:
        for word in atom:
            words.append((slot, word))
            slot += 1
    return slot


def _with_erasure(atoms: Sequence[_Atom], after: int) -> list[_Atom]:
    """The screen is cleared while the next caption is on its way, `after` so many words."""
    made: list[_Atom] = []
    sent = 0
    for place, atom in enumerate(atoms):
        if sent >= after:
            return [*made, _control(_ERASE_DISPLAYED), *atoms[place:]]
        made.append(atom)
        sent += len(atom)
    return [*made, _control(_ERASE_DISPLAYED)]


def _pages(cues: Iterable[Cue]) -> Iterator[tuple[Fraction, Fraction, list[list[_Cell]]]]:
    """From when to when which rows are shown; text with too many rows is shown in parts of equal length."""
    for cue in caption_writers.on_screen(cues):
        rows = list(_rows(cue.text))
        parts = [rows[at : at + MOST_ROWS] for at in range(0, len(rows), MOST_ROWS)]
        for number, part in enumerate(parts):
            length_s = (cue.end_s - cue.start_s) / len(parts)
            yield cue.start_s + number * length_s, cue.start_s + (number + 1) * length_s, part


def _loaded(rows: Sequence[list[_Cell]]) -> Iterator[_Atom]:
    """What fills the hidden memory with rows of text."""
    yield _control(_RESUME)
    yield _control(_ERASE_HIDDEN)
    for number, row in enumerate(rows, start=ROWS - len(rows) + 1):
        yield from _row(number, row)


def _rows(text: str) -> Iterator[list[_Cell]]:
    """Lines as cells, broken between words where they are too long."""
    line: list[_Cell] = []
    for run in caption_writers.runs(text):
        italic, underline = "i" in run.style, "u" in run.style
        for character in run.text.replace("\r", ""):
            if character == "\n":
                yield from _broken(line)
                line = []
            else:
                line += [_Cell(one, italic, underline) for one in _written(character)]
    yield from _broken(line)


def _written(character: str) -> str:
    """The character where EIA-608 has it, else what comes nearest."""
    if _known(character):
        return character
    if character in _SAME:
        return _SAME[character]
    if unicodedata.category(character).startswith("C"):
        return ""
    base = unicodedata.normalize("NFKD", character)[0]
    return base if _known(base) else "?"


def _known(character: str) -> bool:
    ascii_alike = " " <= character <= "~" and ord(character) not in _NOT_ASCII
    return ascii_alike or character in _BASIC or character in _SPECIAL or character in _EXTENDED


def _broken(line: list[_Cell]) -> Iterator[list[_Cell]]:
    """Rows that fit, with room for the cells that changes of style take."""
    rest = _stripped(line)
    while rest:
        most = min(len(rest), COLUMNS)
        while most > 1 and _width(rest[:most]) > COLUMNS:
            most -= 1
        if most < len(rest):
            spaces = [place for place in range(1, most + 1) if rest[place].character == " "]
            most = spaces[-1] if spaces else most
        yield _stripped(rest[:most])
        rest = _stripped(rest[most:])


def _width(cells: Sequence[_Cell]) -> int:
    """Columns that a row takes; an extended character needs one behind it, or it would replace the one before."""
    return len(list(_spelled(cells))) + (cells[-1].character in _EXTENDED)


def _stripped(cells: list[_Cell]) -> list[_Cell]:
    visible = [place for place, cell in enumerate(cells) if cell.character != " "]
    return cells[visible[0] : visible[-1] + 1] if visible else []


def _row(number: int, cells: Sequence[_Cell]) -> Iterator[_Atom]:
    """One row: where it begins, its characters two by two, and codes where the style changes."""
    spelled = list(_spelled(cells))
    column = (COLUMNS - len(spelled)) // 2
    first, base = _PREAMBLES[number]
    yield _twice(first << 8 | base | 0x10 | column // 4 << 1)
    if column % 4:
        yield _twice(0x1720 | column % 4)
    pending = ""
    for part in spelled:
        if isinstance(part, str) and part not in _EXTENDED and part not in _SPECIAL:
            pending += part
            if len(pending) == 2:
                yield _text(pending)
                pending = ""
            continue
        if isinstance(part, str) and part in _EXTENDED:
            # A decoder that does not know it shows the character before it, which it replaces in others.
            pending += _fallback(part)
        if pending:
            yield _text(pending)
            pending = ""
        yield _twice(_code(part))
    if pending:
        yield _text(pending)


def _spelled(cells: Sequence[_Cell]) -> Iterator[str | tuple[bool, bool]]:
    """Characters, and styles where they change; the code of a change is shown as a space, so it replaces one."""
    style = (False, False)
    for place, cell in enumerate(cells):
        following = cells[place + 1] if place + 1 < len(cells) else None
        if cell.character == " " and following is not None and following.style != style:
            style = following.style
            yield style
            continue
        if cell.style != style:
            style = cell.style
            yield style
        yield cell.character


def _code(part: str | tuple[bool, bool]) -> int:
    if isinstance(part, tuple):
        italic, underline = part
        return 0x1120 | (0x0E if italic else 0) | int(underline)
    if part in _SPECIAL:
        return 0x1100 | _SPECIAL[part]
    first, second = _EXTENDED[part]
    return first << 8 | second


def _fallback(character: str) -> str:
    base = unicodedata.normalize("NFKD", character)[0]
    return base if " " <= base <= "~" and ord(base) not in _NOT_ASCII else "?"


def _text(characters: str) -> _Atom:
    first, second = (_BASIC.get(one, ord(one)) for one in characters.ljust(2, "\0"))
    return (first << 8 | second,)


def _control(code: int) -> _Atom:
    return _twice(0x1400 | code)


def _twice(word: int) -> _Atom:
    return word, word


def _addressed(word: int, channel: int) -> int:
    """The word for a channel: of the second of a field by a bit, of field 2 by another group of control codes."""
    if not 0x1000 <= word < 0x2000:
        return word
    if channel > 2 and word & 0xFF60 == 0x1420:
        word |= 0x0100
    return word | (0x0800 if channel in (2, 4) else 0)


def _pair(time_s: Fraction, word: int) -> Pair:
    return Pair(time_s, _odd(word >> 8), _odd(word & 0xFF))


def _odd(byte: int) -> int:
    return byte | (0x80 if byte.bit_count() % 2 == 0 else 0)
