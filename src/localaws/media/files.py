"""A local file as readers of boxes want it: bytes with random access, nothing kept in memory."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType


class OpenFile:
    """An open file; closes at the end of a `with`. Satisfies `penstock.formats.movie.Readable`."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        self._descriptor = self._file.fileno()
        self.size_bytes = os.fstat(self._descriptor).st_size

    def read(self, offset: int, length: int) -> bytes:
        return os.pread(self._descriptor, length, offset)

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> OpenFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
