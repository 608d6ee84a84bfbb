"""The keys that sign for viewers, as one secret in Secrets Manager; made here, for CloudFormation makes no RSA keys.

The secret's members are named as the files of the API's secrets folder. Nothing of it but the public half and the
secret's name ever leaves this module, save what the key value store is filled from.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

from penstock.deploy.account import Account, asked, code_of
from penstock.errors import Conflict
from penstock.formats import cookies
from penstock.keyring import new_path_token_key

RECOVERY_DAYS = 30


@dataclass(frozen=True)
class SigningKeys:
    """arn: of the secret; public_key: PEM, what CloudFront verifies with."""

    arn: str
    public_key: str
    path_token_key: str = field(repr=False)

    @property
    def key_values(self) -> dict[str, str]:
        """What viewer-request.js finds in its key value store."""
        return {"path-token-keys": json.dumps([self.path_token_key])}


def name_of(stack: str) -> str:
    return f"{stack}/signing-keys"


def ensure(stack: str, account: Account, *, make: bool = True) -> SigningKeys:
    """Find the stack's signing keys, or `make` them; keys that were to be deleted are taken back.

    Raises Conflict for a secret of that name which is not of this kind, and for keys that are gone and not to be made:
    CloudFront never changes a public key, so a stack that has one cannot get another in its place.
    """
    with asked("looking for the signing keys"):
        about = _described(stack, account)
        if about is None and not make:
            raise Conflict(f"the secret {name_of(stack)} is gone, and with it what the stack {stack} signs with")
        if about is None:
            return _made(stack, account)
        if about.get("DeletedDate"):
            account.secrets.restore_secret(SecretId=about["ARN"])
        text = account.secrets.get_secret_value(SecretId=about["ARN"])["SecretString"]
    return _read(about["ARN"], text)


def exist(stack: str, account: Account) -> bool:
    """Whether the stack has signing keys that are not about to be deleted."""
    with asked("looking for the signing keys"):
        about = _described(stack, account)
    return about is not None and not about.get("DeletedDate")


def remove(stack: str, account: Account) -> None:
    """Have the keys deleted once the recovery time is over; keys that are not there are fine."""
    delete(name_of(stack), account)


def delete(secret: str, account: Account) -> None:
    """Have a secret deleted once the recovery time is over; one that is gone, or going already, is fine."""
    with asked(f"deleting the secret {secret}"):
        try:
            account.secrets.delete_secret(SecretId=secret, RecoveryWindowInDays=RECOVERY_DAYS)
        except ClientError as exc:
            if code_of(exc) not in ("ResourceNotFoundException", "InvalidRequestException"):
                raise


def _described(stack: str, account: Account) -> dict[str, Any] | None:
    try:
        return dict(account.secrets.describe_secret(SecretId=name_of(stack)))
    except ClientError as exc:
        if code_of(exc) != "ResourceNotFoundException":
            raise
        return None


def _made(stack: str, account: Account) -> SigningKeys:
    text = json.dumps(new_keys())
    about = account.secrets.create_secret(
        Name=name_of(stack), Description=f"What {stack} signs for viewers with", SecretString=text
    )
    return _read(about["ARN"], text)


def new_keys() -> dict[str, str]:
    private, public = cookies.generate_key_pair()
    return {
        "signing-key.pem": private.decode(),
        "signing-key.pub.pem": public.decode(),
        "token.key": secrets.token_urlsafe(32),
        "path-token.key": new_path_token_key().decode(),
        "event-token": secrets.token_urlsafe(32),
        "edge-token": secrets.token_urlsafe(32),
        "api-key": f"pk_{secrets.token_urlsafe(32)}",
    }


def _read(arn: str, text: str) -> SigningKeys:
    try:
        values: dict[str, Any] = json.loads(text)
        return SigningKeys(arn, str(values["signing-key.pub.pem"]), str(values["path-token.key"]))
    except (ValueError, KeyError, TypeError):
        raise Conflict(f"the secret {arn} does not hold signing keys; remove or rename it") from None
