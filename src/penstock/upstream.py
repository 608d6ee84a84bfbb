"""AWS's errors -> ours, in one place. Knows no operation; callers say what they were doing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import BotoCoreError, ClientError

from penstock.errors import Conflict, InvalidRequest, NotFound, PenstockError, Unavailable, UpstreamError

_NAMES: dict[type[PenstockError], tuple[str, ...]] = {
    NotFound: (
        "NoSuchKey",
        "NoSuchUpload",
        "NoSuchBucket",
        "NotFound",
        "NotFoundException",
        "ResourceNotFoundException",
        "404",
    ),
    Conflict: ("PreconditionFailed", "412", "ConflictException"),
    InvalidRequest: (
        "BadRequestException",
        "UnprocessableEntityException",
        "EntityTooSmall",
        "EntityTooLarge",
        "InvalidPart",
        "InvalidPartOrder",
    ),
    Unavailable: ("SlowDown", "ServiceUnavailable", "503", "TooManyRequestsException", "ThrottlingException"),
}
_KINDS = {code: kind for kind, codes in _NAMES.items() for code in codes}


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """Turn what boto3 raises inside into our errors. `doing` completes the sentence "the ... was refused".

    The text AWS sends along stays in the cause, for the log: it may name hosts and buckets that are nobody's business.
    """
    try:
        yield
    except ClientError as exc:
        code = exc.response.get("Error", {}).get("Code", "")
        status = exc.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        kind = _KINDS.get(code, Unavailable if status in (503, 507) else UpstreamError)
        raise kind(f"{doing} was refused: {code or status}") from exc
    except BotoCoreError as exc:
        raise Unavailable(f"{doing} got no answer ({type(exc).__name__}); is every part running?") from exc


def code_of(exc: BaseException) -> str:
    """The AWS error code behind one of our errors, or an empty text."""
    cause = exc if isinstance(exc, ClientError) else exc.__cause__
    return str(cause.response.get("Error", {}).get("Code", "")) if isinstance(cause, ClientError) else ""
