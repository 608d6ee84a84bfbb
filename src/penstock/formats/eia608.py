"""EIA-608 line 21 captions: pairs of bytes to cues. Pop-on, roll-up and paint-on; text, italics and underline.

Never keeps colours or columns, and never reads 708 services: what television calls 708 carries the same text as 608 in
its compatibility bytes. Source: CTA-608-E, 47 CFR 15.119 (characters, preamble and control codes).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

from penstock.formats.subtitles import Cue

ROWS = 15
COLUMNS = 32

BASIC = {0x2A: "á", 0x5C: "é", 0x5E: "í", 0x5F: "ó", 0x60: "ú", 0x7B: "ç", 0x7C: "÷", 0x7D: "Ñ", 0x7E: "ñ", 0x7F: "█"}
SPECIAL = "®°½¿™¢£♪à èâêîôû"
EXTENDED = {0x12: "ÁÉÓÚÜü‘¡*'—©℠•“”ÀÂÇÈÊËëÎÏïÔÙùÛ«»", 0x13: "ÃãÍÌìÒòÕõ{}\\^_|~ÄäÖöß¥¤│ÅåØø┌┐└┘"}
# First byte of a preamble address code -> the row for a second byte below 0x60, and for one from there on.
PREAMBLE_ROWS = {
    0x10: (11, 11), 0x11: (1, 2), 0x12: (3, 4), 0x13: (12, 13),
    0x14: (14, 15), 0x15: (5, 6), 0x16: (7, 8), 0x17: (9, 10),
}  # fmt: skip
_POP_ON, _BACKSPACE, _DELETE_TO_END = 0x20, 0x21, 0x24
_ROLL_UP = {0x25: 2, 0x26: 3, 0x27: 4}
_PAINT_ON, _TEXT, _TEXT_ON = 0x29, 0x2A, 0x2B
_ERASE_DISPLAYED, _CARRIAGE_RETURN, _ERASE_HIDDEN, _END_OF_CAPTION = 0x2C, 0x2D, 0x2E, 0x2F


@dataclass(frozen=True)
class Pair:
    """Two bytes of one field of one frame, with or without their parity bits."""

    time_s: Fraction
    first: int
    second: int


@dataclass(frozen=True)
class _Cell:
    character: str
    italic: bool
    underline: bool


class _Memory:
    """One of the two caption memories: rows 1 to 15 of cells."""

    def __init__(self) -> None:
        self.rows: dict[int, dict[int, _Cell]] = {}

    def put(self, row: int, column: int, cell: _Cell) -> None:
        self.rows.setdefault(row, {})[column] = cell

    def text(self) -> str:
        """Rows from the top, parted by newlines, with <i> and <u> around what is so."""
        lines = (_line(cells) for _, cells in sorted(self.rows.items()))
        return "\n".join(line for line in lines if line)

    def roll(self, base: int, depth: int) -> None:
        """Move every row up by one and let go of what has no place among `depth` rows that end at `base`."""
        kept = {row - 1: cells for row, cells in self.rows.items() if base - depth + 1 < row <= base}
        self.rows = kept

    def move(self, old_base: int, base: int, depth: int) -> None:
        """Set the rolling rows down where the base row is now."""
        kept = {row + base - old_base: cells for row, cells in self.rows.items() if old_base - depth < row <= old_base}
        self.rows = {row: cells for row, cells in kept.items() if 1 <= row <= ROWS}


def _line(cells: dict[int, _Cell]) -> str:
    plain = "".join(cells[column].character if column in cells else " " for column in range(max(cells, default=-1) + 1))
    first, last = len(plain) - len(plain.lstrip()), len(plain.rstrip())
    parts: list[str] = []
    italic = underline = False
    for column in range(first, last):
        cell = cells.get(column, _Cell(" ", italic, underline))
        if (cell.italic, cell.underline) != (italic, underline):
            parts.append("</u>" * underline + "</i>" * italic + "<i>" * cell.italic + "<u>" * cell.underline)
            italic, underline = cell.italic, cell.underline
        parts.append(cell.character)
    return "".join(parts) + "</u>" * underline + "</i>" * italic


def decode(pairs: Iterable[Pair], channel: int, end_s: Fraction | None = None) -> list[Cue]:
    """Read one caption channel out of the bytes of its field.

    pairs: in order of time, all of one field: field 1 for channels 1 and 2, field 2 for 3 and 4.
    channel: 1 to 4. end_s: when what is still on screen goes; None shows it until the last pair.
    """
    reader = _Reader(second=channel in (2, 4))
    last = Fraction(0)
    for pair in pairs:
        reader.feed(pair.time_s, pair.first & 0x7F, pair.second & 0x7F)
        last = pair.time_s
    reader.show(last if end_s is None else max(end_s, last), "")
    return reader.cues


class _Reader:
    def __init__(self, second: bool) -> None:
        self.cues: list[Cue] = []
        self._second = second
        self._mine = not second
        self._shown, self._hidden = _Memory(), _Memory()
        self._mode: str | None = None
        self._depth, self._base = 2, ROWS
        self._row, self._column = ROWS, 0
        self._italic = self._underline = False
        self._before: tuple[int, int] | None = None
        self._since: Fraction | None = None
        self._text = ""

    def feed(self, time_s: Fraction, first: int, second: int) -> None:
        if not first and not second:
            return
        if 0x10 <= first <= 0x1F:
            repeated = self._before == (first, second)
            # Control codes are sent twice for safety: the second one says nothing new.
            self._before = None if repeated else (first, second)
            if not repeated:
                self._mine = bool(first & 0x08) == self._second
                if self._mine:
                    self._control(first & 0xF7, second)
        elif first < 0x10 and first:
            # Extended data services share field 2; what follows up to the next control code is theirs.
            self._mine, self._before = False, None
        else:
            self._before = None
            if self._mine:
                for byte in (first, second):
                    if byte >= 0x20:
                        self._write(BASIC.get(byte, chr(byte)))
        self.show(time_s, self._shown.text())

    def show(self, time_s: Fraction, text: str) -> None:
        """End the cue that is on screen where another text, or none, takes its place."""
        if text == self._text:
            return
        if self._text and self._since is not None and time_s > self._since:
            self.cues.append(Cue(self._since, time_s, self._text))
        self._since, self._text = time_s, text

    def _control(self, first: int, second: int) -> None:
        if second >= 0x40:
            self._preamble(first, second)
        elif first == 0x11 and 0x20 <= second <= 0x2F:
            self._italic, self._underline = second & 0x0E == 0x0E, bool(second & 1)
            self._write(" ")
        elif first == 0x11 and 0x30 <= second <= 0x3F:
            self._write(SPECIAL[second - 0x30])
        elif first in EXTENDED and 0x20 <= second <= 0x3F:
            # It stands for the character before it, which is for decoders that do not know it.
            self._column = max(0, self._column - 1)
            self._write(EXTENDED[first][second - 0x20])
        elif first == 0x17 and 0x21 <= second <= 0x23:
            self._column = min(self._column + second - 0x20, COLUMNS - 1)
        elif first in (0x14, 0x15):
            self._command(second)

    def _preamble(self, first: int, second: int) -> None:
        row = PREAMBLE_ROWS[first][second >= 0x60]
        style = second & 0x1E
        self._italic, self._underline = style == 0x0E, bool(second & 1)
        self._column = (style - 0x10) * 2 if style >= 0x10 else 0
        if self._mode == "roll-up" and row != self._base:
            row = max(row, self._depth)
            self._shown.move(self._base, row, self._depth)
            self._base = row
        self._row = row

    def _command(self, code: int) -> None:
        if code == _POP_ON:
            self._mode = "pop-on"
        elif code == _PAINT_ON:
            self._mode = "paint-on"
        elif code in _ROLL_UP:
            self._roll_up(_ROLL_UP[code])
        elif code in (_TEXT, _TEXT_ON):
            self._mode = None
        elif code == _ERASE_DISPLAYED:
            self._shown = _Memory()
        elif code == _ERASE_HIDDEN:
            self._hidden = _Memory()
        elif code == _END_OF_CAPTION:
            self._shown, self._hidden = self._hidden, self._shown
            self._mode = "pop-on"
        elif code == _CARRIAGE_RETURN and self._mode == "roll-up":
            self._shown.roll(self._base, self._depth)
            self._row, self._column = self._base, 0
            self._italic = self._underline = False
        elif code == _BACKSPACE and self._column:
            self._column -= 1
            self._erase(self._column)
        elif code == _DELETE_TO_END:
            self._erase(*range(self._column, COLUMNS))

    def _roll_up(self, depth: int) -> None:
        if self._mode != "roll-up":
            self._shown, self._hidden = _Memory(), _Memory()
            self._base, self._row, self._column = ROWS, ROWS, 0
        self._mode, self._depth = "roll-up", depth

    def _memory(self) -> _Memory | None:
        if self._mode is None:
            return None
        return self._hidden if self._mode == "pop-on" else self._shown

    def _write(self, character: str) -> None:
        memory = self._memory()
        if memory is not None:
            memory.put(self._row, self._column, _Cell(character, self._italic, self._underline))
            self._column = min(self._column + 1, COLUMNS - 1)

    def _erase(self, *columns: int) -> None:
        memory = self._memory()
        for column in columns if memory is not None else ():
            assert memory is not None
            memory.rows.get(self._row, {}).pop(column, None)
