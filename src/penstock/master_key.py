"""The master secret, from which every content key is derived: a file on one machine, Secrets Manager in an account.

Never logged, never part of an error.
"""

from __future__ import annotations

import contextlib
from typing import Any

import boto3
from botocore.config import Config

from penstock.errors import Unavailable
from penstock.private_files import read_private
from penstock.settings import Settings
from penstock.upstream import translated

FILE = "master.key"


def read(settings: Settings, session: boto3.Session | None = None) -> bytes:
    """The bytes of the secret that the settings name, else of the file in the folder of secrets.

    Raises Unavailable for a file that cannot be read or a secret without a value, NotFound or UpstreamError when
    Secrets Manager has none.
    """
    if not settings.master_secret:
        return read_private(settings.secrets_dir / FILE)
    config = Config(connect_timeout=5, read_timeout=20, retries={"mode": "standard"})
    with (
        contextlib.closing((session or boto3.Session()).client("secretsmanager", config=config)) as client,
        translated("reading the master secret"),
    ):
        found: dict[str, Any] = client.get_secret_value(SecretId=settings.master_secret)
    value: bytes = found.get("SecretBinary") or found.get("SecretString", "").encode()
    if not value:
        raise Unavailable("the master secret in Secrets Manager has no value; put at least 32 random bytes there")
    return value
