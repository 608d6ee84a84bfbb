"""How things look on a terminal: texts, times, and how far an upload and a conversion are. Decides nothing.

Progress is bars on a terminal and plain lines elsewhere.
"""

from __future__ import annotations

import threading
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Protocol

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.text import Text

from penstock.model import JsonObject

PLAIN_STEP_PERCENT = 10
_NAME_CHARS = 40
_BAR_CHARS = 20
# Columns of the terminal that a line of progress takes beside the file's name: spinner, words, bar, percent, time left;
# the same with the speed; and with the bytes, too.
_NARROW, _USUAL, _WIDE = 48, 60, 78
_NAME_AT_LEAST = 12


class Shown(Protocol):
    def asset(self, asset_id: str) -> None: ...
    def sent(self, sent_bytes: int, total_bytes: int) -> None: ...
    def converted(self, asset: JsonObject) -> None: ...


def printable(text: str) -> str:
    """`text` without what a terminal would obey: control characters, escapes, direction overrides."""
    return "".join(char if unicodedata.category(char)[0] != "C" else "\N{REPLACEMENT CHARACTER}" for char in text)


def local_time(iso: str) -> str:
    """ "2026-11-24 18:45" in this machine's time zone, of a time as the API gives it."""
    return datetime.fromisoformat(iso).astimezone().strftime("%Y-%m-%d %H:%M")


def shortened(text: str, columns: int) -> str:
    """`text`, cut with an ellipsis where it takes more columns of a terminal."""
    return text if cell_len(text) <= columns else set_cell_size(text, columns - 1) + "…"


@contextmanager
def shown(console: Console, name: str) -> Iterator[Shown]:
    if not console.is_terminal:
        yield _Lines(console, name)
        return
    upload = Progress(*_columns(), *_figures(console.width), TimeRemainingColumn(), console=console)
    conversion = Progress(*_columns(), TimeRemainingColumn(), console=console)
    bars = _Bars(upload, conversion, shortened(name, _name_chars(console.width)))
    try:
        yield bars
    finally:
        upload.stop()
        conversion.stop()


def _columns() -> tuple[SpinnerColumn, TextColumn, BarColumn, TaskProgressColumn]:
    # markup=False: a file may be called [red]
    words = TextColumn("{task.description}", markup=False)
    return SpinnerColumn(), words, BarColumn(bar_width=_BAR_CHARS), TaskProgressColumn()


def _figures(width: int) -> list[ProgressColumn]:
    """What a terminal of that width has room for beside the bar, which must not be squeezed."""
    figures: list[ProgressColumn] = []
    if width >= _WIDE + _NAME_AT_LEAST:
        figures.append(DownloadColumn())
    if width >= _USUAL + _NAME_AT_LEAST:
        figures.append(TransferSpeedColumn())
    return figures


def _name_chars(width: int) -> int:
    taken = max(part for part in (_NARROW, _USUAL, _WIDE) if part == _NARROW or width >= part + _NAME_AT_LEAST)
    return min(_NAME_CHARS, max(4, width - taken))


class _Bars:
    def __init__(self, upload: Progress, conversion: Progress, name: str) -> None:
        self._upload, self._conversion = upload, conversion
        self._sending = upload.add_task(f"uploading  {name}", total=None)
        self._converting = conversion.add_task("converting", total=100)
        upload.start()

    def asset(self, asset_id: str) -> None:
        self._upload.console.print(Text(f"asset {asset_id}", style="dim"))

    def sent(self, sent_bytes: int, total_bytes: int) -> None:
        self._upload.update(self._sending, completed=sent_bytes, total=total_bytes)

    def converted(self, asset: JsonObject) -> None:
        self._upload.stop()
        self._conversion.start()
        state = asset["state"]
        done = 100 if state == "published" else asset["percent"] or 0
        # What failed has no progress; why it did is said below.
        self._conversion.update(self._converting, description=f"{state:<10}", completed=done, visible=state != "failed")


class _Lines:
    """One line at each change of state and every ten percent."""

    def __init__(self, console: Console, name: str) -> None:
        self._console = console
        self._name = name
        self._lock = threading.Lock()
        self._last = ""
        self._step = -1

    def asset(self, asset_id: str) -> None:
        self._line(f"asset {asset_id}")

    def sent(self, sent_bytes: int, total_bytes: int) -> None:
        self._tell(f"uploading {self._name}", 100 * sent_bytes // total_bytes)

    def converted(self, asset: JsonObject) -> None:
        percent = asset["percent"]
        if percent is None:
            self._line(asset["state"])
        else:
            self._tell(asset["state"], percent)

    def _tell(self, what: str, percent: int) -> None:
        with self._lock:
            step = percent // PLAIN_STEP_PERCENT
            if (what, step) == (self._last, self._step):
                return
            self._last, self._step = what, step
        self._line(f"{what}: {percent} %")

    def _line(self, text: str) -> None:
        self._console.print(Text(text), soft_wrap=True)
