"""AWS services on the wire, judged by boto3 and the AWS command line as they are."""

from __future__ import annotations

import json
import os
import subprocess
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
from botocore.config import Config as ClientConfig
from botocore.credentials import Credentials as BotoCredentials
from botocore.exceptions import ClientError
from botocore.session import get_session
from hypothesis import given, settings
from hypothesis import strategies as st

from localaws import shapes, wire
from localaws.config import Credentials

CREDENTIALS = Credentials("AKIATEST", "a secret of the test")


class MediaConvert:
    """Remembers the parameters of each call and answers what a test puts into `answer`."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []

    def create_job(self, params: dict[str, Any]) -> dict[str, Any]:
        self.calls.append(("create_job", params))
        return {"Job": {"Id": "1-a", "Role": params["Role"], "Settings": params["Settings"], "CreatedAt": NOON}}

    def get_job(self, params: dict[str, Any]) -> dict[str, Any]:
        raise wire.ServiceError("NotFoundException", f"there is no job {params['Id']}")

    def list_jobs(self, params: dict[str, Any]) -> dict[str, Any]:
        self.calls.append(("list_jobs", params))
        return {"Jobs": []}

    def list_tags_for_resource(self, params: dict[str, Any]) -> dict[str, Any]:
        return {"ResourceTags": {"Arn": params["Arn"], "Tags": {"a": "b"}}}

    def cancel_job(self, params: dict[str, Any]) -> dict[str, Any]:
        raise RuntimeError("a detail nobody should see")

    def get_queue(self, params: dict[str, Any]) -> dict[str, Any]:
        raise OSError(28, "No space left on device")


class Events:
    def put_events(self, params: dict[str, Any]) -> dict[str, Any]:
        return {
            "FailedEntryCount": 0,
            "Entries": [{"EventId": str(index)} for index, _ in enumerate(params["Entries"])],
        }


NOON = datetime(2026, 1, 2, 12, 0, 0, 500000, tzinfo=UTC)


@pytest.fixture(scope="module")
def provider() -> MediaConvert:
    return MediaConvert()


@pytest.fixture(scope="module")
def address(provider: MediaConvert) -> Iterator[str]:
    services = [wire.Service("mediaconvert", provider), wire.Service("events", Events())]
    started = threading.Event()
    server = uvicorn.Server(
        uvicorn.Config(wire.application(services, CREDENTIALS), port=0, log_config=None, lifespan="off", ws="none")
    )
    tell = server.startup

    async def startup(sockets: Any = None) -> None:
        await tell(sockets)
        started.set()

    server.startup = startup  # type: ignore[method-assign]
    thread = threading.Thread(target=server.run)
    thread.start()
    assert started.wait(10)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join(10)


def client(address: str, service: str, secret: str = CREDENTIALS.secret_access_key, **options: Any) -> Any:
    return boto3.client(
        service,
        endpoint_url=address,
        region_name="us-east-1",
        aws_access_key_id=CREDENTIALS.access_key_id,
        aws_secret_access_key=secret,
        config=ClientConfig(retries={"max_attempts": 0}, **options),
    )


def signed(
    address: str, method: str, path: str, body: bytes = b"", service: str = "mediaconvert", **headers: str
) -> httpx.Response:
    request = AWSRequest(method, address + path, data=body, headers=headers)
    credentials = BotoCredentials(CREDENTIALS.access_key_id, CREDENTIALS.secret_access_key)
    SigV4Auth(credentials, service, "us-east-1").add_auth(request)
    return httpx.request(method, address + path, content=body, headers=dict(request.headers), timeout=10)


JOB = {"Role": "arn:aws:iam::000000000000:role/R", "Settings": {"Inputs": [{"FileInput": "s3://b/ä b+%20.mp4"}]}}


def test_boto3_makes_a_job_and_reads_it_back(address: str, provider: MediaConvert) -> None:
    job = client(address, "mediaconvert").create_job(**JOB, UserMetadata={"a": "b"})["Job"]
    assert job["Settings"] == JOB["Settings"]
    assert job["CreatedAt"] == NOON
    assert provider.calls[-1][1]["UserMetadata"] == {"a": "b"}


def test_answers_carry_the_status_of_the_model_and_a_request_id(address: str) -> None:
    answer = client(address, "mediaconvert").create_job(**JOB)["ResponseMetadata"]
    assert answer["HTTPStatusCode"] == 201
    assert len(answer["RequestId"]) == 36


def test_query_members_arrive_typed(address: str, provider: MediaConvert) -> None:
    client(address, "mediaconvert").list_jobs(MaxResults=7, Status="COMPLETE", Queue="a b&c/d")
    assert provider.calls[-1] == ("list_jobs", {"MaxResults": 7, "Status": "COMPLETE", "Queue": "a b&c/d"})


def test_a_path_member_may_hold_a_slash(address: str) -> None:
    arn = "arn:aws:mediaconvert:us-east-1:000000000000:queues/Default Q"
    assert client(address, "mediaconvert").list_tags_for_resource(Arn=arn)["ResourceTags"]["Arn"] == arn


def test_a_service_error_is_the_typed_exception_of_boto3(address: str) -> None:
    mediaconvert = client(address, "mediaconvert")
    with pytest.raises(mediaconvert.exceptions.NotFoundException, match="there is no job 7") as caught:
        mediaconvert.get_job(Id="7")
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 404


def test_events_speak_json_1_1(address: str) -> None:
    answer = client(address, "events").put_events(Entries=[{"Source": "a", "DetailType": "b", "Detail": "{}"}] * 2)
    assert [entry["EventId"] for entry in answer["Entries"]] == ["0", "1"]


def test_an_events_operation_that_is_not_offered_says_so(address: str) -> None:
    with pytest.raises(ClientError, match="ListRules of events is not offered here") as caught:
        client(address, "events").list_rules()
    assert caught.value.response["Error"]["Code"] == "NotImplementedException"
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 501


def _filler(shape: Any) -> Any:
    """The smallest value of a shape that botocore's own validator lets through."""
    if shape.type_name == "structure":
        return {name: _filler(shape.members[name]) for name in shape.required_members}
    return {"list": [], "map": {}, "integer": 1, "long": 1, "double": 1.0, "boolean": True}.get(shape.type_name, "x")


@pytest.mark.parametrize("service", ["mediaconvert", "mediapackage-vod"])
def test_every_operation_is_found_by_what_boto3_sends(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each request that boto3 would send leads back to its own operation, whatever is offered."""
    served = wire.Service(service, object())
    boto = client("http://127.0.0.1:1", service)
    seen: list[tuple[str, str]] = []
    operation_name = ""

    def intercept(request: Any, **_: Any) -> None:
        url = httpx.URL(request.url)
        path, _, query = url.raw_path.decode().partition("?")
        call = wire.Call(request.method, path, query, {}, request.body or b"")
        seen.append((operation_name, served.find(call)[0].name))
        raise StopIteration

    boto.meta.events.register("before-send.*", intercept)
    for operation_name in served.model.operation_names:
        shape = served.model.operation_model(operation_name).input_shape
        params = _filler(shape) if shape else {}
        method = next(python for python, name in boto.meta.method_to_api_mapping.items() if name == operation_name)
        with pytest.raises(StopIteration):
            getattr(boto, method)(**params)
    assert len(seen) == len(served.model.operation_names)
    assert all(asked == found for asked, found in seen)


def test_operations_without_a_method_answer_501_by_name(address: str) -> None:
    for operation in ("list_queues", "list_presets", "get_policy", "list_versions"):
        with pytest.raises(ClientError) as caught:
            getattr(client(address, "mediaconvert"), operation)()
        name = operation.title().replace("_", "")
        assert f"{name} of mediaconvert is not offered here" in str(caught.value)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"role": "r"}, "settings is required"),
        ({"role": "r", "settings": {}, "colour": 1}, "colour is not known"),
        ({"Role": "r", "settings": {}}, "Role is not known; did you mean role?"),
        (
            {"role": "r", "settings": {"inputs": [{}, {"fileImput": "x"}]}},
            "settings.inputs[1].fileImput is not known; did you mean fileInput?",
        ),
        ({"role": 3, "settings": {}}, "role is to be a text, not a number"),
        ({"role": "r", "settings": []}, "settings is to be an object, not a list"),
        ({"role": "r", "settings": {"inputs": {}}}, "settings.inputs is to be a list, not an object"),
        ({"role": "r", "settings": {}, "priority": 51}, "priority is 51; it can be -50 to 50"),
        ({"role": "r", "settings": {}, "priority": True}, "priority is to be a whole number, not true or false"),
        ({"role": "r", "settings": {}, "priority": 1.5}, "priority is to be a whole number, not a number"),
        ({"role": "r", "settings": {}, "priority": 1e300}, "priority is to be a whole number"),
        (
            {"role": "r", "settings": {}, "statusUpdateInterval": "HOURLY"},
            "statusUpdateInterval is 'HOURLY'; it can be SECONDS_10",
        ),
        ({"role": "r", "settings": {}, "userMetadata": {"a": 1}}, "userMetadata.a is to be a text, not a number"),
        ({"role": "r", "settings": {"inputs": [{"timecodeStart": "noon"}]}}, "settings.inputs[0].timecodeStart"),
    ],
)
def test_a_request_against_the_model_is_refused_by_path(address: str, body: dict[str, Any], message: str) -> None:
    answer = signed(address, "POST", "/2017-08-29/jobs", json.dumps(body).encode())
    assert answer.status_code == 400
    assert answer.headers["x-amzn-errortype"] == "BadRequestException"
    assert message in answer.json()["message"]


@pytest.mark.parametrize("body", [b"{", b"nonsense", b"\xff\xfe", b'"text"', b"[]", b'{"a": NaN}', b"[" * 100_000])
def test_a_body_that_is_no_json_object_is_refused(address: str, body: bytes) -> None:
    answer = signed(address, "POST", "/2017-08-29/jobs", body)
    assert answer.status_code == 400
    assert answer.json()["message"].startswith("the body is")


def test_null_members_count_as_absent(address: str, provider: MediaConvert) -> None:
    body = {"role": "r", "settings": {"inputs": None}, "userMetadata": None}
    assert signed(address, "POST", "/2017-08-29/jobs", json.dumps(body).encode()).status_code == 201
    assert provider.calls[-1][1] == {"Role": "r", "Settings": {}}


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/2017-08-29/jobs?maxResults=ten", "maxResults is to be a whole number"),
        ("/2017-08-29/jobs?maxResults=21", "maxResults is 21; it can be 1 to 20"),
        ("/2017-08-29/jobs?status=DONE", "status is 'DONE'"),
        ("/2017-08-29/jobs?sort=up", "sort is not known in the query"),
        ("/2017-08-29/jobs?status=ERROR&status=COMPLETE", "status is given twice"),
    ],
)
def test_a_bad_query_is_refused_by_name(address: str, path: str, message: str) -> None:
    answer = signed(address, "GET", path)
    assert answer.status_code == 400
    assert message in answer.json()["message"]


def test_an_unknown_path_is_404(address: str) -> None:
    assert signed(address, "GET", "/2017-08-29/films").status_code == 404
    assert signed(address, "PATCH", "/2017-08-29/jobs").status_code == 404


def test_a_body_over_the_cap_is_refused_unread(address: str) -> None:
    answer = signed(address, "POST", "/2017-08-29/jobs", b" " * (wire.MAX_BODY_BYTES + 1))
    assert answer.status_code == 413


def test_a_body_that_hides_its_length_is_cut_off(address: str) -> None:
    parts = (b" " * 65536 for _ in range(wire.MAX_BODY_BYTES // 65536 + 2))
    assert httpx.post(address + "/2017-08-29/jobs", content=parts, timeout=10).status_code == 413


def test_an_unsigned_request_is_refused(address: str) -> None:
    answer = httpx.get(address + "/2017-08-29/jobs")
    assert answer.status_code == 403
    assert answer.headers["x-amzn-errortype"] == "MissingAuthenticationTokenException"


def test_a_wrong_secret_is_refused(address: str) -> None:
    for service, operation in (("mediaconvert", "list_jobs"), ("events", "list_rules")):
        with pytest.raises(ClientError) as caught:
            getattr(client(address, service, secret="another secret"), operation)()
        assert caught.value.response["Error"]["Code"] == "InvalidSignatureException"


def test_a_body_changed_on_the_way_is_refused(address: str) -> None:
    request = AWSRequest("POST", address + "/2017-08-29/jobs", data=b"{}")
    SigV4Auth(
        BotoCredentials(CREDENTIALS.access_key_id, CREDENTIALS.secret_access_key), "mediaconvert", "us-east-1"
    ).add_auth(request)
    answer = httpx.post(address + "/2017-08-29/jobs", content=b"{ }", headers=dict(request.headers))
    assert answer.status_code == 403


def test_another_service_is_not_offered(address: str) -> None:
    answer = signed(address, "POST", "/", service="sqs")
    assert answer.status_code == 501
    assert "sqs is not offered here; offered: events, mediaconvert" in answer.json()["message"]


def test_a_mistake_of_ours_shows_a_request_id_and_nothing_else(address: str) -> None:
    with pytest.raises(ClientError) as caught:
        client(address, "mediaconvert").cancel_job(Id="1")
    response = caught.value.response
    assert response["Error"]["Code"] == "InternalServerErrorException"
    assert response["ResponseMetadata"]["RequestId"] in response["Error"]["Message"]
    assert "detail" not in response["Error"]["Message"]


def test_a_full_disk_is_said_to_be_one(address: str) -> None:
    with pytest.raises(ClientError, match="the disk that holds the data folder is full") as caught:
        client(address, "mediaconvert").get_queue(Name="x")
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 503


def test_the_aws_command_line_is_answered(address: str, tmp_path: Path) -> None:
    job = tmp_path / "job.json"
    job.write_text(json.dumps(JOB))
    answer = aws(address, "mediaconvert", "create-job", "--cli-input-json", f"file://{job}")
    assert json.loads(answer.stdout)["Job"]["Id"] == "1-a"
    refused = aws(address, "mediaconvert", "get-job", "--id", "9", check=False)
    assert "NotFoundException" in refused.stderr
    assert "there is no job 9" in refused.stderr


def aws(address: str, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    environ = os.environ | {
        "AWS_ENDPOINT_URL": address,
        "AWS_ACCESS_KEY_ID": CREDENTIALS.access_key_id,
        "AWS_SECRET_ACCESS_KEY": CREDENTIALS.secret_access_key,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_MAX_ATTEMPTS": "1",
    }
    command = [str(Path(sys.executable).with_name("aws")), *arguments]
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=check)


def test_what_the_model_does_not_have_is_never_answered() -> None:
    shape = get_session().get_service_model("mediaconvert").operation_model("GetJob").output_shape
    with pytest.raises(ValueError, match="has no member Colour"):
        shapes.write(shape, {"Job": {"Role": "r", "Settings": {}, "Colour": "red"}})


def patterns(service: str) -> set[str]:
    found: set[str] = set()
    seen: set[str] = set()

    def walk(shape: Any) -> None:
        if shape.name in seen:
            return
        seen.add(shape.name)
        found.update(filter(None, [shape.metadata.get("pattern")]))
        inner = [*getattr(shape, "members", {}).values()]
        inner += [getattr(shape, name) for name in ("member", "key", "value") if hasattr(shape, name)]
        for member in inner:
            walk(member)

    model = get_session().get_service_model(service)
    for operation in model.operation_names:
        if shape := model.operation_model(operation).input_shape:
            walk(shape)
    return found


def test_every_pattern_of_mediaconvert_is_held() -> None:
    assert len(patterns("mediaconvert")) > 30
    assert all(shapes._compiled(pattern) for pattern in patterns("mediaconvert"))


def test_patterns_bind_where_they_say_they_do() -> None:
    assert shapes._matches(r"^s3:\/\/", "s3://bucket/key")
    assert not shapes._matches(r"^s3:\/\/", "https://bucket")
    assert not shapes._matches(r"^[a-z]+$", "abc\n")
    assert not shapes._matches("[a-z]+", "abc def")
    assert shapes._matches(r"\p{L}+", "not Python's")


def test_a_key_with_a_slip_is_refused_and_not_repeated() -> None:
    shape = get_session().get_service_model("mediaconvert").shape_for("StaticKeyProvider")
    slip = "00112233-4455-6677-8899-aabbccdd"
    with pytest.raises(shapes.Misfit) as refused:
        shapes.read(shape, {"staticKeyValue": slip})
    assert "staticKeyValue" in str(refused.value) and slip[:8] not in str(refused.value)


MEMBERS = ["settings", "inputs", "outputGroups", "role", "fileInput", "userMetadata", "x"]
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(MEMBERS), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(["role", "settings", "userMetadata", "priority", "x"]), ANYTHING, max_size=4))
@settings(max_examples=200, deadline=None)
def test_any_json_object_is_read_or_refused(document: dict[str, Any]) -> None:
    shape = get_session().get_service_model("mediaconvert").operation_model("CreateJob").input_shape
    try:
        params = shapes.read(shape, document)
    except shapes.Misfit as exc:
        assert exc.problems
        return
    again = shapes.read(shape, json.loads(json.dumps(shapes.write(shape, params))))
    assert again == params
