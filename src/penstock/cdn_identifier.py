"""What the edge shows to MediaPackage: a file on one machine, a secret of Secrets Manager in an account.

Never logged, never part of an error.
Source: https://docs.aws.amazon.com/mediapackage/latest/ug/cdn-auth-setup.html
"""

from __future__ import annotations

import contextlib
import json

import boto3
from botocore.config import Config

from penstock.errors import Unavailable
from penstock.settings import Settings
from penstock.upstream import translated

FILE = "cdn-identifier"
MEMBER = "MediaPackageCDNIdentifier"


def read(settings: Settings, session: boto3.Session | None = None) -> str:
    """The file in the folder of secrets, else the secret that the settings name.

    Raises Unavailable for a file or a secret that cannot be used, NotFound or UpstreamError when there is no secret.
    """
    try:
        return (settings.secrets_dir / FILE).read_text().strip()
    except FileNotFoundError:
        pass
    except OSError as exc:
        raise Unavailable(f"the CDN identifier {settings.secrets_dir / FILE} cannot be read ({exc.strerror})") from exc
    config = Config(connect_timeout=5, read_timeout=20, retries={"mode": "standard"})
    with (
        contextlib.closing((session or boto3.Session()).client("secretsmanager", config=config)) as client,
        translated("reading the CDN identifier"),
    ):
        text = client.get_secret_value(SecretId=settings.cdn_secret).get("SecretString", "")
    try:
        return str(json.loads(text)[MEMBER])
    except (ValueError, KeyError, TypeError):
        raise Unavailable(f"the secret of the CDN identifier is not a JSON object with {MEMBER}") from None
