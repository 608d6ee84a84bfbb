"""Why a job ends in ERROR: MediaConvert's numeric code and a sentence. Holds no secret and starts nothing.

Source: https://docs.aws.amazon.com/mediaconvert/latest/ug/mediaconvert_error_codes.html
"""

from __future__ import annotations

from typing import Final

NO_AUDIO: Final = 1021
SETTINGS: Final = 1040
DISK: Final = 1050
ENCRYPTION: Final = 1091
ACCESS_DENIED: Final = 1401
NOT_FOUND: Final = 1404
HTTP_SERVER: Final = 3450
HTTP_CONNECT: Final = 3451
INTERNAL: Final = 1999


class JobError(Exception):
    """The job ends in ERROR. `code` is MediaConvert's; `message` says what was found and what to do."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    def __reduce__(self) -> tuple[type[JobError], tuple[int, str]]:
        return JobError, (self.code, self.message)


class JobCanceled(Exception):
    """Somebody canceled the job; its work stops where it is."""
