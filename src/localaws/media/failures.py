"""Why work on media is not begun or ends: MediaConvert's numeric code and a sentence. Starts nothing.

Never holds a path outside the job, or anything secret.
Source: https://docs.aws.amazon.com/mediaconvert/latest/ug/mediaconvert_error_codes.html
"""

from __future__ import annotations

from typing import Final

CANNOT_OPEN: Final = 1010
NO_VIDEO: Final = 1020
NO_AUDIO: Final = 1021
UNSUPPORTED: Final = 1030
SETTINGS: Final = 1040
DISK: Final = 1050
TIMECODE: Final = 1060
MALFORMED: Final = 1075
TRUNCATED: Final = 1076
ENCRYPTION: Final = 1091
ACCESS_DENIED: Final = 1401
NOT_FOUND: Final = 1404
INTERNAL: Final = 1999
HTTP_SERVER: Final = 3450
HTTP_CONNECT: Final = 3451
DISALLOWED: Final = 3457


class SettingRefused(Exception):
    """A setting that cannot be done here. `path` as the request spells it, `reason` a sentence without a full stop."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


class _Coded(Exception):
    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    def __reduce__(self) -> tuple[type[_Coded], tuple[int, str]]:
        # Durable workflows pickle what a step raises; the default would call us with the message alone.
        return type(self), (self.code, self.message)


class InputRejected(_Coded):
    """The source's fault. `code` is MediaConvert's numeric error code; `message` says what was found and what to do."""

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


class JobError(_Coded):
    """The job ends in ERROR. `code` is MediaConvert's; `message` says what was found and what to do."""


class JobCanceled(Exception):
    """Somebody canceled the job; its work stops where it is."""
