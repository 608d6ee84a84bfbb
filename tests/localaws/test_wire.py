"""AWS services over HTTP, judged by unmodified boto3 and the AWS CLI."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
import uvicorn
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from localaws.wire import Service, ServiceError, application
from running_stack import run

SECRETS = {"AKIATEST": "a-secret"}
SETTINGS = {"Inputs": [{"FileInput": "s3://b/k.mp4"}], "OutputGroups": []}


class Jobs:
    """Two operations of MediaConvert, enough to see what arrives and what goes out."""

    def __init__(self) -> None:
        self.seen: list[dict[str, Any]] = []

    def create_job(self, members: dict[str, Any]) -> dict[str, Any]:
        self.seen.append(members)
        return {
            "Job": {
                "Id": "1",
                "Role": members["Role"],
                "Settings": members["Settings"],
                "CreatedAt": datetime(2026, 1, 2, tzinfo=UTC),
            }
        }

    def get_job(self, members: dict[str, Any]) -> dict[str, Any]:
        if members["Id"] == "broken":
            raise ZeroDivisionError("an inner secret")
        raise ServiceError("NotFoundException", f"there is no job {members['Id']}", 404)

    def list_jobs(self, members: dict[str, Any]) -> dict[str, Any]:
        self.seen.append(members)
        return {"Jobs": []}


class Events:
    def put_events(self, members: dict[str, Any]) -> dict[str, Any]:
        return {"FailedEntryCount": 0, "Entries": [{"EventId": entry["Source"]} for entry in members["Entries"]]}


@pytest.fixture(scope="module")
def jobs() -> Jobs:
    return Jobs()


@pytest.fixture(scope="module")
def endpoint(jobs: Jobs) -> Iterator[str]:
    app = application([Service("mediaconvert", jobs), Service("events", Events())], SECRETS)
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error"))
    started = threading.Event()
    startup = server.startup

    async def tell(*arguments: Any, **options: Any) -> None:
        await startup(*arguments, **options)
        started.set()

    server.startup = tell  # type: ignore[method-assign]
    thread = threading.Thread(target=server.run)
    thread.start()
    assert started.wait(10)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join(10)


def client(endpoint: str, service: str = "mediaconvert", secret: str = "a-secret") -> Any:
    return boto3.client(
        service,
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="AKIATEST",
        aws_secret_access_key=secret,
        config=Config(parameter_validation=False, retries={"max_attempts": 0}),
    )


def refusal(call: Any, **members: Any) -> tuple[str, str, int]:
    with pytest.raises(ClientError) as caught:
        call(**members)
    answer = caught.value.response
    return answer["Error"]["Code"], answer["Error"]["Message"], answer["ResponseMetadata"]["HTTPStatusCode"]


def test_members_arrive_by_their_model_names_and_times_come_back(endpoint: str, jobs: Jobs) -> None:
    answer = client(endpoint).create_job(Role="r", Settings=SETTINGS, UserMetadata={"assetId": "é"})
    assert jobs.seen[-1]["UserMetadata"] == {"assetId": "é"}
    assert jobs.seen[-1]["Settings"] == SETTINGS
    assert answer["Job"]["CreatedAt"] == datetime(2026, 1, 2, tzinfo=UTC)
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 201


def test_query_members_arrive_with_their_types(endpoint: str, jobs: Jobs) -> None:
    client(endpoint).list_jobs(MaxResults=5, Order="ASCENDING", Status="COMPLETE")
    assert jobs.seen[-1] == {"MaxResults": 5, "Order": "ASCENDING", "Status": "COMPLETE"}


def test_json_protocol_serves_put_events(endpoint: str) -> None:
    answer = client(endpoint, "events").put_events(Entries=[{"Source": "me", "DetailType": "t", "Detail": "{}"}])
    assert answer["Entries"] == [{"EventId": "me"}]


def test_error_of_the_provider_keeps_code_sentence_and_status(endpoint: str) -> None:
    assert refusal(client(endpoint).get_job, Id="7") == ("NotFoundException", "there is no job 7", 404)


def test_operation_without_a_provider_is_refused_by_name(endpoint: str) -> None:
    code, message, status = refusal(client(endpoint).list_presets)
    assert (code, status) == ("NotImplementedException", 501)
    assert "ListPresets" in message


@pytest.mark.parametrize(
    ("members", "named"),
    [
        ({"Settings": SETTINGS}, "role: it is required"),
        ({"Role": "r", "Settings": SETTINGS, "Priority": 51}, "priority: it is 51, allowed is -50..50"),
        (
            {"Role": "r", "Settings": SETTINGS, "StatusUpdateInterval": "SECONDS_9"},
            "statusUpdateInterval: 'SECONDS_9' is not one of",
        ),
        (
            {"Role": "r", "Settings": {"Inputs": [{"FileInput": "ftp://x"}]}},
            "settings.inputs[0].fileInput: 'ftp://x' does not match",
        ),
    ],
)
def test_what_does_not_fit_the_model_is_named_with_its_path(endpoint: str, members: dict[str, Any], named: str) -> None:
    code, message, status = refusal(client(endpoint).create_job, **members)
    assert (code, status) == ("BadRequestException", 400)
    assert named in message


def signed(endpoint: str, body: bytes, path: str = "/2017-08-29/jobs", method: str = "POST") -> httpx.Response:
    request = AWSRequest(method, endpoint + path, data=body, headers={"Content-Type": "application/json"})
    SigV4Auth(Credentials("AKIATEST", "a-secret"), "mediaconvert", "us-east-1").add_auth(request)
    return httpx.request(method, endpoint + path, content=body, headers=dict(request.headers))


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (b"{", "the body is not JSON"),
        (b"[]", "a structure is needed"),
        (b'{"role": "r", "settings": {"outputGroups": "many"}}', "settings.outputGroups: a list is needed"),
        (
            b'{"role": "r", "settings": {"outputGroup": []}}',
            "settings.outputGroup: there is no such member; did you mean outputGroups?",
        ),
        (b"[" * 100_000, "the body is not JSON"),
        (b"\xff\xfe", "the body is not JSON"),
    ],
)
def test_bodies_that_no_client_would_send_are_400(endpoint: str, body: bytes, named: str) -> None:
    response = signed(endpoint, body)
    assert response.status_code == 400
    assert named in response.json()["message"]
    assert response.headers["x-amzn-errortype"] == "BadRequestException"


def test_body_over_the_cap_is_refused(endpoint: str) -> None:
    assert signed(endpoint, b" " * (2 * 2**20 + 1)).status_code == 413


def test_wrong_secret_and_no_signature_are_403(endpoint: str) -> None:
    assert refusal(client(endpoint, secret="another").list_jobs)[2] == 403
    assert httpx.get(f"{endpoint}/2017-08-29/jobs").status_code == 403


def test_service_that_is_not_here_is_named(endpoint: str) -> None:
    _, message, status = refusal(client(endpoint, "sqs").list_queues)
    assert status == 501
    assert "mediaconvert" in message


def test_unexpected_failure_says_nothing_of_itself(endpoint: str) -> None:
    code, message, status = refusal(client(endpoint).get_job, Id="broken")
    assert (code, status) == ("InternalServerErrorException", 500)
    assert "secret" not in message


def test_aws_command_line_speaks_to_it(endpoint: str) -> None:
    environ = os.environ | {
        "AWS_ACCESS_KEY_ID": "AKIATEST",
        "AWS_SECRET_ACCESS_KEY": "a-secret",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    command = [str(Path(sys.executable).with_name("aws")), "--endpoint-url", endpoint, "mediaconvert", "list-jobs"]
    assert json.loads(run(command, env=environ).stdout) == {"Jobs": []}
