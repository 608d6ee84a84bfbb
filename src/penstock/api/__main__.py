"""`python -m penstock.api --port N`: the API as a process. Settings come from PENSTOCK_*, AWS clients from AWS_*."""

from __future__ import annotations

import argparse
import logging
import socket
import sys

import uvicorn

from penstock import logs
from penstock import settings as settings_module
from penstock.api import context as contexts
from penstock.api.app import create_app
from penstock.api.background import Background
from penstock.api.context import Context
from penstock.errors import PenstockError

HOST = "127.0.0.1"
GRACE_S = 3

log = logging.getLogger("penstock.api")


class Server(uvicorn.Server):
    """Ends event streams as soon as it is told to stop, so that stopping does not wait for their readers."""

    def __init__(self, config: uvicorn.Config, context: Context) -> None:
        super().__init__(config)
        self._context = context

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._context.changes.close()
        await super().shutdown(sockets)


def server(context: Context) -> Server:
    """One process and one event loop; routes that wait for the database or AWS run in its threads."""
    config = uvicorn.Config(
        create_app(context),
        log_config=None,  # ours redacts
        access_log=False,  # the frame writes its own, with the request id
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=GRACE_S,
        lifespan="off",
    )
    return Server(config, context)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m penstock.api", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1; 0 takes a free one (default)")
    port = parser.parse_args(arguments).port
    logs.configure()
    try:
        listener = socket.create_server((HOST, port))
        context = contexts.build(settings_module.load())
    except (PenstockError, OSError) as exc:
        log.error("the API cannot start: %s", exc)
        return 1
    background = Background(context)
    background.start()
    log.info("listening on http://%s:%s", HOST, listener.getsockname()[1])
    try:
        server(context).run(sockets=[listener])
    except KeyboardInterrupt:
        pass
    finally:
        background.stop()
        context.database.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
