"""What the commands of the terminal share: which stack they speak to, and the options they all have."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from penstock import settings as settings_module
from penstock.client import Client

DataDir = Annotated[
    Path, typer.Option("--data-dir", help="Folder of the stack.", show_default="./penstock-data", metavar="FOLDER")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON value, for programs.")]
DATA_DIR = Path("penstock-data")


@contextmanager
def client(data_dir: Path) -> Iterator[Client]:
    """The stack that the environment names, else the one in `data_dir`."""
    settings = settings_module.load()
    url, api_key = settings.url, settings.api_key
    if not api_key:
        from penstock import stack

        url, api_key = stack.connection(data_dir)
    with Client(url, api_key) as found:
        yield found
