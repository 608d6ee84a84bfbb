"""Keys for encryptors in an account: the proxy event of API Gateway, and the master secret in Secrets Manager."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import boto3
import pytest
from moto.server import ThreadedMotoServer

from penstock import handlers, master_key
from penstock.errors import NotFound, Unavailable
from penstock.formats import cpix, isobmff, speke_v1
from penstock.keys import KeyProvider
from penstock.model import KeyId, Scheme
from penstock.settings import Settings

MASTER = b"0123456789abcdef0123456789abcdef-master"
KID = KeyId(bytes(range(16)))
IDENTITY = {"requestContext": {"identity": {"userArn": "arn:aws:sts::000000000000:assumed-role/MediaConvert/x"}}}


@pytest.fixture(scope="module")
def secrets_manager() -> Iterator[str]:
    """The address of a server that speaks Secrets Manager's API."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def function(secrets_manager: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The environment of the deployed function; its Secrets Manager client."""
    for name, value in {
        "AWS_ENDPOINT_URL": secrets_manager,
        "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "eu-central-1",
        "PENSTOCK_MASTER_SECRET": "penstock/master-key",
        "PENSTOCK_URL": "https://video.example.com",
    }.items():
        monkeypatch.setenv(name, value)
    client = boto3.client("secretsmanager")
    client.create_secret(Name="penstock/master-key", SecretBinary=MASTER)
    handlers._composed.cache_clear()
    handlers._key_provider.cache_clear()
    yield client
    client.delete_secret(SecretId="penstock/master-key", ForceDeleteWithoutRecovery=True)
    client.close()
    if handlers._composed.cache_info().currsize:
        for each in vars(handlers._composed()[1]).values():
            each.close()
    handlers._composed.cache_clear()
    handlers._key_provider.cache_clear()


def question() -> bytes:
    return cpix.build(
        cpix.Cpix(
            content_id="film",
            keys=(cpix.CpixKey(KID, Scheme("cbcs")),),
            drm_systems=(
                cpix.DrmSystem(KID, UUID("e2719d58-a985-b3c9-781a-b030af78d30e"), content_protection_data=""),
            ),
            usage_rules=(cpix.UsageRule(KID, "ALL"),),
        )
    )


def request(body: str, **members: Any) -> dict[str, Any]:
    headers = {"X-Speke-Version": "2.0"}
    document = {"httpMethod": "POST", "path": "/speke/v2/copyProtection", "headers": headers, "body": body}
    return {**document, **IDENTITY, **members}


def test_an_encryptor_gets_the_keys_that_the_master_secret_gives(function: Any) -> None:
    answer = handlers.speke(request(question().decode()), None)
    assert answer["statusCode"] == 200, answer["body"]
    assert answer["headers"]["X-Speke-Version"] == "2.0" and answer["isBase64Encoded"] is False
    document = cpix.parse(answer["body"].encode())
    assert [key.key for key in document.keys] == [KeyProvider(MASTER).content_key("film", KID)]
    signaled = document.drm_systems[0].content_protection_data
    assert signaled is not None and "https://video.example.com/v1/licenses/clearkey" in signaled


def test_a_body_in_base64_is_the_same_request(function: Any) -> None:
    encoded = base64.b64encode(question()).decode()
    plain = handlers.speke(request(question().decode()), None)
    assert handlers.speke(request(encoded, isBase64Encoded=True), None) == plain


def test_an_http_api_with_iam_is_let_in_as_well(function: Any) -> None:
    context = {"authorizer": {"iam": {"userArn": "arn:aws:sts::000000000000:assumed-role/MediaConvert/x"}}}
    assert handlers.speke(request(question().decode(), requestContext=context), None)["statusCode"] == 200


@pytest.mark.parametrize("context", [None, {}, {"identity": None}, {"identity": {"userArn": None}}])
def test_a_request_without_iam_identity_gets_no_keys(function: Any, context: Any) -> None:
    answer = handlers.speke(request(question().decode(), requestContext=context), None)
    assert answer["statusCode"] == 403 and "IAM" in answer["body"]


@pytest.mark.parametrize(
    "event",
    [request("<html/>"), request(""), {**IDENTITY}, request("not base64!", isBase64Encoded=True), request("\x00")],
)
def test_a_request_that_cannot_be_read_is_400(function: Any, event: dict[str, Any]) -> None:
    answer = handlers.speke(event, None)
    assert answer["statusCode"] == 400 and answer["body"]


def test_the_secret_is_in_no_answer_and_no_repr(function: Any) -> None:
    answer = json.dumps(handlers.speke(request(question().decode()), None))
    assert MASTER.decode() not in answer + repr(handlers._key_provider())


def test_a_secret_that_is_not_there_is_named(function: Any) -> None:
    with pytest.raises(NotFound, match="master secret"):
        master_key.read(Settings(master_secret="penstock/none"))


def test_without_a_secret_in_the_account_the_file_is_read(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"master\.key"):
        master_key.read(Settings(secrets_dir=tmp_path))
    (tmp_path / master_key.FILE).write_bytes(MASTER)
    assert master_key.read(Settings(secrets_dir=tmp_path)) == MASTER


def test_without_a_version_the_request_is_of_version_1(function: Any) -> None:
    kid = KeyId(b"k" * 16)
    asked = speke_v1.Document("asset-1", (cpix.CpixKey(kid),), (speke_v1.DrmSystem(kid, isobmff.WIDEVINE),))
    answer = handlers.speke(request(speke_v1.build(asked).decode(), headers=None), None)
    assert answer["statusCode"] == 200 and "X-Speke-Version" not in answer["headers"]
    assert speke_v1.parse(answer["body"].encode()).keys[0].key
    assert handlers.speke(request("<a/>", headers={"x-speke-version": "3"}), None)["statusCode"] == 400
