"""Free ports, and waiting for what other processes do."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def until(happened: Callable[[], bool], within_s: float = 10) -> None:
    """Wait for something another process or thread does and no event tells of."""
    deadline = time.monotonic() + within_s
    while not happened():
        assert time.monotonic() < deadline, f"{happened} did not happen within {within_s} s"
        time.sleep(0.05)
