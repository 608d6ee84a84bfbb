"""Importing the handlers from the unpacked Lambda zip in a new interpreter that sees nothing else, as a cold start,
against importing boto3 from the same zip: what every function in Python that calls AWS pays.
"""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from measuring import Row, alternate

from lambda_account import PYTHON, this_machine, unpack
from penstock.deploy import bundle

ROUNDS = 11


def measure() -> list[Row]:
    with TemporaryDirectory(prefix="penstock-bench-") as folder:
        archive = Path(folder) / "lambda.zip"
        bundle.build(archive, this_machine())
        code = unpack(archive, Path(folder) / "task")
        ours_s, other_s, ratio = alternate(
            lambda: _import_s("penstock.handlers", code), lambda: _import_s("boto3", code), ROUNDS
        )
        size_mb = archive.stat().st_size / 1e6
    return [
        Row(
            "cold import of the handlers",
            f"{1000 * ours_s:.0f} ms",
            f"boto3 {1000 * other_s:.0f} ms",
            ratio,
            "< 400 ms",
        ),
        Row("size of the zip", f"{size_mb:.1f} MB", "", None, "under 15 MB"),
    ]


def _import_s(module: str, code: Path) -> float:
    """Seconds from starting the interpreter to its end."""
    program = f"import sys; sys.path.insert(0, {str(code)!r}); import {module}"
    began = time.monotonic()
    subprocess.run([str(PYTHON), "-I", "-S", "-B", "-c", program], check=True)
    return time.monotonic() - began
