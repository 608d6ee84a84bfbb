"""What the functions ask of AWS, call by call, against what their roles in the template allow."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any

import boto3
import pytest

import aws_stand
import packaged_media
from aws_stand import MEDIA, SOURCE, Stand
from cloudformation import listed, read, settled, written
from penstock import handlers, ledger
from penstock.deploy.template import compose
from penstock.settings import Clients, Settings, clients

ACCOUNT = "arn:aws:{service}:us-east-1:000000000000"
QUEUE = f"{ACCOUNT.format(service='mediaconvert')}:queues/penstock"
GROUP = f"{ACCOUNT.format(service='mediapackage-vod')}:packaging-groups/penstock"
VALUES = {
    "AWS::Partition": "aws",
    "AWS::Region": "us-east-1",
    "AWS::AccountId": "000000000000",
    "SourceBucket.Arn": f"arn:aws:s3:::{SOURCE}",
    "MediaBucket.Arn": f"arn:aws:s3:::{MEDIA}",
    "MediaConvertQueue.Arn": QUEUE,
    "PackagingGroup.Arn": GROUP,
}
S3_ACTIONS = {"HeadObject": "GetObject", "ListObjectsV2": "ListBucket"}
"""Operations whose right has another name. Source: Service Authorization Reference, Amazon S3."""


@dataclass(frozen=True)
class Asked:
    action: str
    resource: str


def asked(service: str, operation: str, params: Mapping[str, Any]) -> Asked:
    """The right that a call takes."""
    if service == "s3":
        resource = f"arn:aws:s3:::{params['Bucket']}" + (f"/{params['Key']}" if "Key" in params else "")
        return Asked(f"s3:{S3_ACTIONS.get(operation, operation)}", resource)
    here = ACCOUNT.format(service=service)
    resources = {
        "CreateJob": QUEUE,
        "GetJob": f"{here}:jobs/{params.get('Id')}",
        "CancelJob": f"{here}:jobs/{params.get('Id')}",
        "CreateAsset": f"{here}:assets/{params.get('Id')}",
        "DescribeAsset": f"{here}:assets/{params.get('Id')}",
        "DescribePackagingGroup": GROUP,
        "PutEvents": f"{here}:event-bus/default",
    }
    return Asked(f"{service}:{operation}", resources.get(operation, "*"))


def rights(role: str) -> list[tuple[str, str]]:
    """Actions and resources that a role of the whole system has, with its managed policies."""
    given = {"SigningKeys": "s", "ViewerPublicKey": "p", "KeyValueSource": "k", "Delivery": "mediapackage"}
    resources = settled(read(compose()), given)
    properties = resources[role]["Properties"]
    documents = [each["PolicyDocument"] for each in properties["Policies"]]
    documents += [resources[each["Ref"]]["Properties"]["PolicyDocument"] for each in properties["ManagedPolicyArns"]]
    return [
        (action, re.sub(r"\$\{([\w:.]+)\}", lambda found: VALUES.get(found[1], found[0]), written(resource)))
        for document in documents
        for statement in document["Statement"]
        for action in listed(statement["Action"])
        for resource in listed(statement["Resource"])
    ]


@pytest.fixture(scope="module")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    with aws_stand.running(tmp_path_factory.mktemp("stand")) as stand:
        yield stand


@pytest.fixture
def watched(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> tuple[Clients, set[Asked]]:
    """Clients of a function, and what was asked through them."""
    stand.empty()
    for name, value in stand.environment.items():
        monkeypatch.setenv(name, value)
    made, seen = clients(boto3.Session()), set[Asked]()

    def see(params: Mapping[str, Any], model: Any, **_: Any) -> None:
        seen.add(asked(model.service_model.endpoint_prefix, model.name, params))

    for client in vars(made).values():
        client.meta.events.register("provide-client-params", see)
    return made, seen


@pytest.fixture
def settings(stand: Stand, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    folder = tmp_path_factory.mktemp("mpd")
    packaged_media.by_packager(packaged_media.source(folder), folder / "stream", segments=True)
    stand.mediapackage.mpd = (folder / "stream" / "main.mpd").read_bytes()
    return replace(stand.settings, delivery="mediapackage", mediaconvert_queue=QUEUE, poster=False)


def refused(role: str, seen: set[Asked]) -> list[Asked]:
    allowed = rights(role)
    return [
        each
        for each in sorted(seen, key=str)
        if not any(each.action == action and fnmatchcase(each.resource, pattern) for action, pattern in allowed)
    ]


def uploaded(object_key: str) -> dict[str, Any]:
    detail = {"version": "0", "bucket": {"name": SOURCE}, "object": {"key": object_key, "size": 4, "etag": "e"}}
    return {"version": "0", "id": "1", "source": "aws.s3", "detail-type": "Object Created", "detail": detail}


def ended(stand: Stand) -> list[dict[str, Any]]:
    """Let every job end with its files made; the events that say so."""
    found = []
    for job in stand.live_jobs():
        job["Status"] = "COMPLETE"
        folder = ledger.output_prefix(job["UserMetadata"]["assetId"], job["UserMetadata"]["settings"])
        group = job["Settings"]["OutputGroups"][0]
        for output in group["Outputs"]:
            key = f"{folder}/mp4/main{output['NameModifier']}.mp4"
            stand.clients.s3.put_object(Bucket=MEDIA, Key=key, Body=b"film")
        detail = {"jobId": job["Id"], "status": "COMPLETE", "userMetadata": job["UserMetadata"], "timestamp": 1}
        kind = "MediaConvert Job State Change"
        found.append({"version": "0", "id": "2", "source": "aws.mediaconvert", "detail-type": kind, "detail": detail})
    return found


def test_watchfolder_asks_for_nothing_that_its_role_does_not_allow(
    stand: Stand, watched: tuple[Clients, set[Asked]], settings: Settings
) -> None:
    made, seen = watched
    stand.upload("inputs/film.mp4")
    for _ in range(2):
        handlers.on_upload(uploaded("inputs/film.mp4"), made, settings)
    handlers.on_upload(uploaded("inputs/gone.mp4"), made, settings)
    assert {"s3:PutObject", "mediaconvert:CreateJob", "mediaconvert:Probe", "events:PutEvents"} <= {
        each.action for each in seen
    }
    assert not refused("WatchfolderRole", seen)


def test_publish_asks_for_nothing_that_its_role_does_not_allow(
    stand: Stand, watched: tuple[Clients, set[Asked]], settings: Settings
) -> None:
    stand.upload("inputs/film.mp4")
    handlers.on_upload(uploaded("inputs/film.mp4"), stand.clients, settings)
    # The group of the template is there before any film, and is not ours by its tags.
    stand.clients.mediapackage.create_packaging_group(Id=settings.mediapackage_group)
    made, seen = watched
    seen.clear()
    for event in ended(stand):
        handlers.on_job_state_change(event, made, settings)
    assert {"mediaconvert:GetJob", "mediapackage-vod:CreateAsset", "s3:PutObject"} <= {each.action for each in seen}
    assert not refused("PublishRole", seen)


def test_sweep_asks_for_nothing_that_its_role_does_not_allow(
    stand: Stand, watched: tuple[Clients, set[Asked]], settings: Settings
) -> None:
    made, seen = watched
    stand.clients.mediapackage.create_packaging_group(Id=settings.mediapackage_group)
    stand.upload("inputs/film.mp4")
    handlers.on_schedule({}, made, settings)
    ended(stand)
    handlers.on_schedule({}, made, settings)
    assert {"mediaconvert:CreateJob", "mediaconvert:GetJob", "s3:ListBucket"} <= {each.action for each in seen}
    assert not refused("SweepRole", seen)


def test_a_right_less_is_noticed() -> None:
    assert refused("PublishRole", {Asked("mediaconvert:CreateJob", QUEUE)})
    assert refused("WatchfolderRole", {Asked("s3:PutObject", f"arn:aws:s3:::{MEDIA}/published/x")})
    assert not refused("WatchfolderRole", {Asked("s3:PutObject", f"arn:aws:s3:::{MEDIA}/ingest/x")})
