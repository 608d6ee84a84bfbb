"""Whether the API can do its work: asked of the buckets until they answer, then remembered."""

from __future__ import annotations

from typing import Any

from penstock.errors import PenstockError, Unavailable
from penstock.upstream import translated


class Readiness:
    """A health check is not a load: once both buckets have answered, it costs nothing."""

    def __init__(self, s3: Any, buckets: tuple[str, ...]) -> None:
        self._s3 = s3
        self._waiting_for = dict.fromkeys(buckets)

    def check(self) -> None:
        """Raises Unavailable naming the bucket that is not there yet."""
        for bucket in list(self._waiting_for):
            try:
                with translated(f"a look at the bucket {bucket}"):
                    self._s3.head_bucket(Bucket=bucket)
            except PenstockError as exc:
                raise Unavailable(f"waiting for the bucket {bucket}: {exc.message}") from exc
            self._waiting_for.pop(bucket, None)  # another request may have been quicker
