"""Requests that no client should send: each is answered soon, with 4xx and an error of AWS's shape, never with 500."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

import mediaconvert_jobs as jobs
from localaws import shapes
from localaws.mediaconvert.answers import table
from mediaconvert_speke import ACCESS_KEY_ID, SECRET
from mediaconvert_stack import Stack, running

Json = Any
ROLE = "arn:aws:iam::111122223333:role/MediaConvertRole"
HOSTILE: tuple[Json, ...] = (
    *(
        0,
        -1,
        2**31,
        2**63,
        -(2**63),
        10**400,
        1e308,
        0.5,
        True,
        "",
        " ",
        "\x00",
        "é" * 300,
        "\ud800",
        "$",
        "$$$",
        "$w",
        "%s",
    ),
    *("../" * 9, "s3://", "s3:///", "s3://b/../../etc/passwd", "s3://media/a\nb", "file:///etc/passwd", "a" * 70_000),
    *([], {}, [[]], [None], {"a": None}, [{}] * 300, "99:99:99:99", "00:00:00:00@0", "00:00:00:00@1:0", "1e999"),
)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Its queue is paused: what is accepted is not run."""
    with running(tmp_path_factory.mktemp("hostile")) as found:
        found.mediaconvert.update_queue(Name="Default", Status="PAUSED")
        yield found


def whole() -> Json:
    """One request with something of everything, as on the wire."""
    output = {**jobs.video("_a$w$", container="M2TS", Width=320, Height=180), "AudioDescriptions": [jobs.aac()]}
    output["VideoDescription"] |= {"Crop": {"X": 0, "Y": 0, "Width": 64, "Height": 64}, "Sharpness": 50}
    output |= {"Extension": "ts"}
    output["ContainerSettings"]["M2tsSettings"] = {"Bitrate": 1_000_000, "RateMode": "CBR", "AudioPids": [500]}
    clips = [{"StartTimecode": "00:00:00:00", "EndTimecode": "00:00:00:10"}]
    settings = jobs.settings(
        jobs.file(output), jobs.cmaf(jobs.video("_v"), jobs.audio("_s")), InputClippings=clips,
        AudioSelectors={"Audio": {"DefaultSelection": "DEFAULT", "Tracks": [1], "Offset": 0}},
    )  # fmt: skip
    settings["TimecodeConfig"] = {"Source": "SPECIFIEDSTART", "Start": "01:00:00:00"}
    request = {"Role": ROLE, "Settings": settings, "UserMetadata": {"a": "b"}, "Tags": {"a": "b"}, "Priority": 1}
    return shapes.write(table.create_job(), request)


def places(value: Json, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from places(inner, (*path, key))


def with_value(document: Json, path: tuple[Any, ...], value: Json) -> Json:
    found = inner = copy.deepcopy(document)
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return found


def post(client: httpx.Client, stack: Stack, path: str, body: bytes) -> httpx.Response:
    url = f"{stack.config.aws_url}/2017-08-29/{path}"
    request = AWSRequest("POST", url, data=body, headers={"Content-Type": "application/json"})
    SigV4Auth(Credentials(ACCESS_KEY_ID, SECRET), "mediaconvert", "us-east-1").add_auth(request)
    return client.post(url, content=body, headers=dict(request.headers))


def judge(answer: httpx.Response, what: object) -> None:
    assert answer.status_code == 201 or 400 <= answer.status_code < 500, (
        f"{what}: {answer.status_code} {answer.text[:300]}"
    )
    if answer.status_code >= 400:
        assert answer.json()["message"] and answer.headers["x-amzn-errortype"], f"{what}: {answer.text[:300]}"
        assert len(answer.text) < 10_000, f"{what}: {len(answer.text)} bytes"


def test_every_member_with_every_hostile_value_is_refused_or_accepted(stack: Stack) -> None:
    document = whole()
    found = list(places(document))
    with httpx.Client(timeout=20) as client:
        judge(post(client, stack, "jobs", json.dumps(document).encode()), "as it is")
        for number, path in enumerate(found):
            for value in HOSTILE[number % 4 :: 4]:
                judge(
                    post(client, stack, "jobs", json.dumps(with_value(document, path, value)).encode()),
                    (path, str(value)[:40]),
                )


@pytest.mark.parametrize("path", ["jobs", "jobTemplates", "presets", "queues", "probe", "searches", "tags"])
def test_bodies_that_are_no_requests_are_refused(stack: Stack, path: str) -> None:
    deep, wide = b'{"settings":' + b'{"a":' * 5000, b'{"name":"' + b"a" * 10_000_000 + b'"}'
    nested = b"[" * 100_000 + b"]" * 100_000
    bodies = (
        b"",
        b"{",
        b"null",
        b"[]",
        b"NaN",
        b'{"priority":NaN}',
        b'{"settings":Infinity}',
        deep,
        nested,
        wide,
        b"\xff\xfe",
        b'{"a":1,"a":2}',
    )
    with httpx.Client(timeout=20) as client:
        for body in bodies:
            answer = post(client, stack, path, body)
            assert 400 <= answer.status_code < 500, f"{body[:40]!r}: {answer.status_code} {answer.text[:200]}"


def test_names_and_sources_of_strangers(stack: Stack) -> None:
    settings = whole()["settings"]
    output = {key: value for key, value in settings["outputGroups"][0]["outputs"][0].items() if key != "nameModifier"}
    with httpx.Client(timeout=20) as client:
        for name in (value for value in HOSTILE if isinstance(value, str)):
            for path, body in (
                ("jobTemplates", {"name": name, "settings": {"outputGroups": settings["outputGroups"]}}),
                ("presets", {"name": name, "settings": output}), ("queues", {"name": name}),
                ("probe", {"inputFiles": [{"fileUrl": name}]}),
                ("jobs", {"role": ROLE, "settings": settings, "queue": name}),
                ("jobs", {"role": ROLE, "settings": settings, "jobTemplate": name}),
            ):  # fmt: skip
                judge(post(client, stack, path, json.dumps(body).encode()), (path, name[:40]))
