"""`python -m localaws`. Loads nothing before Ctrl-C can end it without a traceback; `composition` is what it runs."""

from __future__ import annotations

import signal
import sys


def main() -> int:
    interrupted = signal.getsignal(signal.SIGINT)
    if interrupted is signal.default_int_handler:  # nohup's SIG_IGN stays
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from localaws import composition

    signal.signal(signal.SIGINT, interrupted)
    return composition.main()


if __name__ == "__main__":
    sys.exit(main())
