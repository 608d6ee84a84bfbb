"""The log: one line per event on standard error, secrets blacked out whoever wrote them. Never writes a file."""

from __future__ import annotations

import logging
import re
import sys

# Presigned and signed addresses, authorization headers, cookies, watch links: what lets somebody in.
_SECRETS = re.compile(
    r"((?:X-Amz-Signature|X-Amz-Credential|X-Amz-Security-Token|Signature|Policy|Key-Pair-Id)=)[^&\s'\"]+"
    r"|((?:Bearer|AWS4-HMAC-SHA256)\s+)[^\s'\"][^'\"\n]*"
    r"|((?:CloudFront-(?:Policy|Signature)|Penstock-Session)['\"]?\s*[=:]\s*['\"]?)[^;\s'\"]+"
    r"|(/t/)[\w-]{40,}"
    r"|(/watch/[0-9a-f-]{36}#)\S+",
    re.IGNORECASE,
)


class Formatter(logging.Formatter):
    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        return redacted(super().format(record))


def redacted(text: str) -> str:
    return _SECRETS.sub(lambda found: next(group for group in found.groups() if group is not None) + "<hidden>", text)


def configure(level: int = logging.INFO) -> None:
    """Send everything that is logged through the redacting formatter."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Formatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for noisy in ("botocore", "urllib3", "httpx", "alembic"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
