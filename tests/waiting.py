"""Free ports, and waiting for what other processes do."""

from __future__ import annotations

import time
from collections.abc import Callable

from localaws import objectstore


def free_port() -> int:
    return objectstore.free_ports(1)[0]


def until(happened: Callable[[], bool], within_s: float = 10) -> None:
    """Wait for something another process or thread does and no event tells of."""
    deadline = time.monotonic() + within_s
    while not happened():
        assert time.monotonic() < deadline, f"{happened} did not happen within {within_s} s"
        time.sleep(0.05)
