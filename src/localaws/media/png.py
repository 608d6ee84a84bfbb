"""Looks at the head of a PNG picture, so that nothing else and nothing huge is handed to a decoder.

Source: PNG (third edition), 5.2 and 11.2.1.
"""

from __future__ import annotations

from pathlib import Path

from localaws.media.decoders import MAX_SIDE_PX
from localaws.media.failures import CANNOT_OPEN, UNSUPPORTED, InputRejected

_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def size(path: Path) -> tuple[int, int]:
    """Width and height in px. Raises InputRejected 1010 for another kind of file, 1030 for too large a picture."""
    with path.open("rb") as file:
        head = file.read(24)
    if not head.startswith(_SIGNATURE) or head[12:16] != b"IHDR" or len(head) < 24:
        raise InputRejected(CANNOT_OPEN, "An image to insert is no PNG picture; PNG is what is accepted here.")
    width, height = int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")
    if not (1 <= width <= MAX_SIDE_PX and 1 <= height <= MAX_SIDE_PX):
        raise InputRejected(UNSUPPORTED, f"An image to insert is {width}x{height} px; at most {MAX_SIDE_PX} a side.")
    return width, height
