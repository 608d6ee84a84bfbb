"""The one way in which a source is refused: AWS's error code and a sentence a person can act on.

Never holds a path outside the job, or anything secret.
Source: https://docs.aws.amazon.com/mediaconvert/latest/ug/mediaconvert_error_codes.html
"""

from __future__ import annotations

from typing import Final

CANNOT_OPEN: Final = 1010
NO_VIDEO: Final = 1020
UNSUPPORTED: Final = 1030
MALFORMED: Final = 1075
TRUNCATED: Final = 1076


class InputRejected(Exception):
    """The source's fault. `code` is MediaConvert's numeric error code; `message` says what was found and what to do."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"

    def __reduce__(self) -> tuple[type[InputRejected], tuple[int, str]]:
        # Durable workflows pickle what a step raises; the default would call us with the message alone.
        return InputRejected, (self.code, self.message)
