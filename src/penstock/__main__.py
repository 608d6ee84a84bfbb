"""The `penstock` command, also as `python -m penstock`. Loads nothing before Ctrl-C can end it without a traceback."""

from __future__ import annotations

import signal
from typing import NoReturn


def main() -> NoReturn:
    interrupted = signal.getsignal(signal.SIGINT)
    if interrupted is signal.default_int_handler:  # nohup's SIG_IGN stays
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from penstock import cli

    signal.signal(signal.SIGINT, interrupted)
    cli.main()


if __name__ == "__main__":
    main()
