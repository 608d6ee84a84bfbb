"""The one font that captions and timecodes are drawn in: DejaVu Sans, whose licence lies beside it."""

from __future__ import annotations

from pathlib import Path

FILE = Path(__file__).with_name("DejaVuSans.ttf")
