"""What the API needs before it can work: secrets that are whole, buckets that are there."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import boto3
import pytest

from penstock import settings as settings_module
from penstock.api import context
from penstock.api.readiness import Readiness
from penstock.errors import Unavailable
from penstock.settings import Settings


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("token.key", b""),
        ("token.key", b"cut off"),
        ("path-token.key", b"cut off"),
        ("api-key", b"pk_\xff\xfe"),
        ("event-token", b"\xff\xfe"),
    ],
)
def test_damaged_secret_is_named_and_not_repeated(
    name: str, content: bytes, settings: Settings, session: boto3.Session
) -> None:
    (settings.secrets_dir / name).write_bytes(content)
    with pytest.raises(Unavailable, match=name) as refused:
        context.build(settings, session)
    assert "pk_" not in refused.value.message and "cut off" not in refused.value.message


def test_several_health_checks_at_once_all_find_the_buckets(settings: Settings, session: boto3.Session) -> None:
    s3 = settings_module.clients(session).s3
    together = threading.Barrier(2)

    def meet(**_: object) -> None:
        together.wait(30)

    s3.meta.events.register("before-call.s3.HeadBucket", meet)
    readiness = Readiness(s3, (settings.source_bucket, settings.media_bucket))
    with ThreadPoolExecutor(2) as pool:
        for check in [pool.submit(readiness.check) for _ in range(2)]:
            check.result(60)
