"""Every error Penstock raises on purpose.

    PenstockError                 code, http_status, retryable
    +- InvalidRequest        400  what the caller sent cannot be used
    +- Unauthorized          401  no or unknown credentials
    +- Forbidden             403
    |  +- BadSignature            a signature, token or policy that does not hold
    |  +- SessionExpired          a playback session that is over or was revoked
    +- TooManyStreams        429  the viewer watches in as many places as they may
    +- NotFound              404
    +- Conflict              409  the asset or session is not in a state that allows this
    +- SourceRejected        422  the upload's fault; says which property
    +- OverBudget            422  a job that would cost more than is allowed; says how much
    +- FormatError           400  a document that cannot be read; path or offset, expected, got
    |  +- BoxError                ISO BMFF
    |  +- CpixError
    |  +- ManifestError           MPD, playlist, SMIL
    +- JobFailed             500  a conversion that ended without outputs; code and sentence of the encoder
    +- DeployFailed          500  a stack that CloudFormation rolled back; the first resource that failed, and why
    +- UpstreamError         502  AWS or a key provider did not do its part
    +- Unavailable           503  a full disk, a part that is still starting; try again later

A face turns an error into `{"error": {"code", "message", "request_id"}}` (HTTP) or one line on stderr (CLI). Messages
say what was found, what was needed and what to do. No message ever holds a secret.
"""

from __future__ import annotations

from typing import ClassVar


class PenstockError(Exception):
    code: ClassVar[str] = "internal_error"
    http_status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class InvalidRequest(PenstockError):
    code = "invalid_request"
    http_status = 400


class Unauthorized(PenstockError):
    code = "unauthorized"
    http_status = 401


class Forbidden(PenstockError):
    code = "forbidden"
    http_status = 403


class BadSignature(Forbidden):
    code = "bad_signature"


class SessionExpired(Forbidden):
    code = "session_expired"


class TooManyStreams(PenstockError):
    code = "too_many_streams"
    http_status = 429


class NotFound(PenstockError):
    code = "not_found"
    http_status = 404


class Conflict(PenstockError):
    code = "conflict"
    http_status = 409


class SourceRejected(PenstockError):
    code = "source_rejected"
    http_status = 422


class OverBudget(PenstockError):
    code = "over_budget"
    http_status = 422


class FormatError(PenstockError):
    code = "format_error"
    http_status = 400


class BoxError(FormatError):
    code = "box_error"


class CpixError(FormatError):
    code = "cpix_error"


class ManifestError(FormatError):
    code = "manifest_error"


class JobFailed(PenstockError):
    code = "job_failed"
    http_status = 500


class DeployFailed(PenstockError):
    code = "deploy_failed"
    http_status = 500


class UpstreamError(PenstockError):
    code = "upstream_error"
    http_status = 502
    retryable = True


class Unavailable(PenstockError):
    code = "unavailable"
    http_status = 503
    retryable = True
