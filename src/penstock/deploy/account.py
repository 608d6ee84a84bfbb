"""The AWS account that is deployed to: who asks, in which region, and the clients; AWS's refusals in plain words.

Never changes anything in the account. What AWS says is passed on: it is told to the account's own people.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, NoRegionError, ProfileNotFound

from penstock.errors import Forbidden, InvalidRequest, NotFound, PenstockError, Unavailable, UpstreamError

_NOT_BELIEVED = {
    "AuthFailure",
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
}
_FORBIDDEN = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"}


@dataclass(frozen=True)
class Account:
    """`id` and `region`, and a client for each service that a deployment asks."""

    id: str
    region: str
    cloudformation: Any
    s3: Any
    secrets: Any
    sqs: Any


def connect(region: str | None = None) -> Account:
    """Find credentials and region the way every AWS client does, and ask whose they are.

    Raises InvalidRequest without credentials or region, for credentials that AWS does not know, and for a region that
    has no MediaConvert.
    """
    with asked("asking AWS who you are"):
        session = boto3.Session(region_name=region)
        if session.region_name is None:
            raise NoRegionError
        offered = session.get_available_regions("mediaconvert")
        if session.region_name not in offered:
            raise InvalidRequest(
                f"MediaConvert is not offered in the region {session.region_name!r}; it is in {', '.join(offered)}"
            )
        config = Config(connect_timeout=5, read_timeout=60, retries={"mode": "standard", "max_attempts": 5})
        account_id = session.client("sts", config=config).get_caller_identity()["Account"]
        return Account(
            id=account_id,
            region=session.region_name,
            cloudformation=session.client("cloudformation", config=config),
            s3=session.client("s3", config=config),
            secrets=session.client("secretsmanager", config=config),
            sqs=session.client("sqs", config=config),
        )


@contextmanager
def asked(doing: str) -> Iterator[None]:
    """Turn what boto3 raises inside into our errors, with what AWS said. `doing` begins the sentence."""
    try:
        yield
    except ClientError as exc:
        raise _said(doing, exc) from exc
    except NoRegionError as exc:
        raise InvalidRequest("no region was found; say one with --region or AWS_DEFAULT_REGION") from exc
    except (NoCredentialsError, ProfileNotFound) as exc:
        raise InvalidRequest(
            "no AWS credentials were found; sign in with `aws configure` or `aws sso login`, or set AWS_PROFILE"
        ) from exc
    except BotoCoreError as exc:
        raise Unavailable(f"{doing} got no answer ({type(exc).__name__}); is the region right?") from exc


def code_of(exc: ClientError) -> str:
    return str(exc.response.get("Error", {}).get("Code", ""))


def _said(doing: str, exc: ClientError) -> PenstockError:
    code = code_of(exc)
    message = str(exc.response.get("Error", {}).get("Message") or code).rstrip(".")
    if code in _NOT_BELIEVED:
        return InvalidRequest(f"AWS does not accept the credentials ({code}); sign in again, or choose another profile")
    if code in _FORBIDDEN or code == "403":
        return Forbidden(f"{doing} is not allowed to these credentials: {message}")
    if code == "ValidationError":
        return NotFound(message) if "does not exist" in message else InvalidRequest(f"{doing} was refused: {message}")
    return UpstreamError(f"{doing} was refused: {message} ({code})")
