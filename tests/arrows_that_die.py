"""Clients of a process that dies between two calls. Every call before it is a real one to a real server."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

from penstock.settings import Clients


class Died(BaseException):
    """The process is gone: nothing after it runs."""


class DyingClient:
    """Passes calls on to a real client until the process dies, just before or just after a call."""

    def __init__(self, client: Any, clock: itertools.count[int], dies_at: int) -> None:
        self._client, self._clock, self._dies_at = client, clock, dies_at

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)
        if name == "get_paginator":
            return method

        def call(*args: Any, **kwargs: Any) -> Any:
            self._tick()
            answer = method(*args, **kwargs)
            self._tick()
            return answer

        return call

    def _tick(self) -> None:
        if next(self._clock) == self._dies_at:
            raise Died


def dying(clients: Clients, at: int) -> Clients:
    clock = itertools.count()
    return replace(clients, **{name: DyingClient(client, clock, at) for name, client in vars(clients).items()})
