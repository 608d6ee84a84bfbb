"""How far an upload and a conversion are, on a terminal as bars, elsewhere as plain lines. Decides nothing."""

from __future__ import annotations

import threading
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
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


class Shown(Protocol):
    def asset(self, asset_id: str) -> None: ...
    def sent(self, sent_bytes: int, total_bytes: int) -> None: ...
    def converted(self, asset: JsonObject) -> None: ...


def printable(text: str) -> str:
    """`text` without what a terminal would obey: control characters, escapes, direction overrides."""
    return "".join(char if unicodedata.category(char)[0] != "C" else "\N{REPLACEMENT CHARACTER}" for char in text)


@contextmanager
def shown(console: Console, name: str) -> Iterator[Shown]:
    if not console.is_terminal:
        yield _Lines(console, name)
        return
    upload = Progress(*_columns(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn(), console=console)
    conversion = Progress(*_columns(), TimeRemainingColumn(), console=console)
    bars = _Bars(upload, conversion, name)
    try:
        yield bars
    finally:
        upload.stop()
        conversion.stop()


def _columns() -> tuple[SpinnerColumn, TextColumn, BarColumn, TaskProgressColumn]:
    # markup=False: a file may be called [red]
    return SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn()


class _Bars:
    def __init__(self, upload: Progress, conversion: Progress, name: str) -> None:
        self._upload, self._conversion = upload, conversion
        short = name if len(name) <= _NAME_CHARS else name[: _NAME_CHARS - 1] + "…"
        self._sending = upload.add_task(f"uploading  {short}", total=None)
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
        self._conversion.update(self._converting, description=f"{state:<10}", completed=done)


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
