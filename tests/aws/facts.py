"""What this project believes of AWS and has not seen, each as a check that an account settles.

A check makes what it needs under names of its own, returns what AWS answered, and says whether the belief holds. What
it made goes when it ends. `record` runs them; nothing here runs with the other tests.
"""

from __future__ import annotations

import contextlib
import json
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import boto3
import httpx
from botocore.config import Config
from botocore.exceptions import ClientError

import films

PATIENCE_S = 120


@dataclass(frozen=True)
class Answer:
    holds: bool
    said: Any
    """What AWS answered, as JSON values, without account ids and signatures."""


@dataclass
class Room:
    """A place in an account for one check: clients, names, and what has to be removed afterwards."""

    session: boto3.Session
    role: str | None = None
    """Role that MediaConvert can take; checks that run a job need it."""
    undo: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    name: str = field(default_factory=lambda: f"penstock-record-{uuid.uuid4().hex[:12]}")

    def client(self, service: str) -> Any:
        config = Config(signature_version="s3v4" if service == "s3" else None, retries={"mode": "standard"})
        client = self.session.client(service, config=config)
        self.undo.callback(client.close)
        return client

    def bucket(self, s3: Any, **settings: Any) -> str:
        region = self.session.region_name
        place = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
        s3.create_bucket(Bucket=self.name, **place)
        self.undo.callback(_empty_and_delete, s3, self.name)
        return self.name

    def told(self, s3: Any) -> Callable[[int], list[dict[str, Any]]]:
        """Have the bucket tell EventBridge; returns what waits for so many events of it."""
        sqs, events, sts = self.client("sqs"), self.client("events"), self.client("sts")
        account = sts.get_caller_identity()["Account"]
        url = sqs.create_queue(QueueName=self.name)["QueueUrl"]
        self.undo.callback(sqs.delete_queue, QueueUrl=url)
        arn = f"arn:aws:sqs:{self.session.region_name}:{account}:{self.name}"
        allowed = {"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sqs:SendMessage"}
        policy = {"Version": "2012-10-17", "Statement": [allowed | {"Resource": arn}]}
        sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps(policy)})
        pattern = {"source": ["aws.s3"], "detail": {"bucket": {"name": [self.name]}}}
        events.put_rule(Name=self.name, EventPattern=json.dumps(pattern))
        self.undo.callback(events.delete_rule, Name=self.name)
        events.put_targets(Rule=self.name, Targets=[{"Id": "queue", "Arn": arn}])
        self.undo.callback(events.remove_targets, Rule=self.name, Ids=["queue"])
        s3.put_bucket_notification_configuration(
            Bucket=self.name, NotificationConfiguration={"EventBridgeConfiguration": {}}
        )
        return lambda count: list(_received(sqs, url, count))


Check = Callable[[Room], Answer]


@dataclass(frozen=True)
class Fact:
    name: str
    belief: str
    why: str
    """What of ours depends on it."""
    check: Check


FACTS: dict[str, Fact] = {}


def fact(belief: str, why: str) -> Callable[[Check], Check]:
    def keep(check: Check) -> Check:
        FACTS[check.__name__] = Fact(check.__name__, belief, why, check)
        return check

    return keep


@fact("EventBridge tells object keys as they are, not encoded", "the watchfolder does not decode them")
def s3_keys_in_events_are_not_encoded(room: Room) -> Answer:
    s3 = room.client("s3")
    bucket, key = room.bucket(s3), "inputs/a b+c %41.mp4"
    wait = room.told(s3)
    s3.put_object(Bucket=bucket, Key=key, Body=b"film")
    found = [event["detail"]["object"]["key"] for event in wait(1)]
    return Answer(found == [key], found)


@fact(
    "the reason of a POST is `POST Object`, of a copy `CopyObject`",
    "logs and tests name them; nothing is decided by it",
)
def s3_reasons_of_post_and_copy(room: Room) -> Answer:
    s3 = room.client("s3")
    bucket = room.bucket(s3)
    wait = room.told(s3)
    form = s3.generate_presigned_post(bucket, "inputs/posted.mp4")
    httpx.post(form["url"], data=form["fields"], files={"file": b"film"}, timeout=60).raise_for_status()
    s3.copy_object(Bucket=bucket, Key="inputs/copied.mp4", CopySource={"Bucket": bucket, "Key": "inputs/posted.mp4"})
    found = sorted((event["detail"]["object"]["key"], event["detail"]["reason"]) for event in wait(2))
    return Answer(found == [("inputs/copied.mp4", "CopyObject"), ("inputs/posted.mp4", "POST Object")], found)


@fact("the empty object that a console makes for a folder tells of itself, too", "the watchfolder passes over them")
def s3_folder_markers_tell(room: Room) -> Answer:
    s3 = room.client("s3")
    bucket = room.bucket(s3)
    wait = room.told(s3)
    s3.put_object(Bucket=bucket, Key="inputs/")
    found = [(event["detail"]["object"]["key"], event["detail"]["object"].get("size")) for event in wait(1)]
    return Answer(found == [("inputs/", 0)], found)


@fact("a new bucket refuses ACLs", "outputs are written without; job settings with PUBLIC_READ fail")
def s3_new_buckets_refuse_acls(room: Room) -> Answer:
    s3 = room.client("s3")
    bucket = room.bucket(s3)
    code = _code(lambda: s3.put_object(Bucket=bucket, Key="film.mp4", Body=b"film", ACL="public-read"))
    return Answer(code in ("AccessControlListNotSupported", "AccessDenied"), code)


@fact("at most 10 000 parts, and 5 MiB at least for all but the last", "uploads are cut accordingly")
def s3_limits_of_multipart_uploads(room: Room) -> Answer:
    s3 = room.client("s3")
    bucket = room.bucket(s3)
    upload = s3.create_multipart_upload(Bucket=bucket, Key="film.mp4")["UploadId"]
    where = {"Bucket": bucket, "Key": "film.mp4", "UploadId": upload}
    room.undo.callback(s3.abort_multipart_upload, **where)
    too_many = _code(lambda: s3.upload_part(**where, PartNumber=10_001, Body=b"x"))
    parts = [
        {"PartNumber": number, "ETag": s3.upload_part(**where, PartNumber=number, Body=b"small")["ETag"]}
        for number in (1, 2)
    ]
    too_small = _code(lambda: s3.complete_multipart_upload(**where, MultipartUpload={"Parts": parts}))
    return Answer((too_many, too_small) == ("InvalidArgument", "EntityTooSmall"), [too_many, too_small])


@fact("a preflight for a presigned part is answered for our origin, and ETag can be read", "browsers upload in parts")
def s3_preflight_exposes_etag(room: Room) -> Answer:
    s3 = room.client("s3")
    bucket, origin = room.bucket(s3), "https://app.example.com"
    rule = {"AllowedOrigins": [origin], "AllowedMethods": ["PUT"], "AllowedHeaders": ["*"], "ExposeHeaders": ["ETag"]}
    s3.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": [rule]})
    url = s3.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "part"})
    asked = {"Origin": origin, "Access-Control-Request-Method": "PUT"}
    preflight = httpx.options(url, headers=asked, timeout=60)
    stranger = httpx.options(url, headers=asked | {"Origin": "https://other.example"}, timeout=60)
    put = httpx.put(url, headers={"Origin": origin}, content=b"part", timeout=60)
    said = {
        "preflight": preflight.status_code,
        "origin": preflight.headers.get("access-control-allow-origin"),
        "stranger": stranger.status_code,
        "exposed": put.headers.get("access-control-expose-headers"),
    }
    return Answer(said == {"preflight": 200, "origin": origin, "stranger": 403, "exposed": "ETag"}, said)


@fact("an error has its name in the header x-amzn-ErrorType and a body with `message`", "localaws answers so")
def mediaconvert_shape_of_errors(room: Room) -> Answer:
    try:
        room.client("mediaconvert").get_job(Id="1700000000000-absent")
    except ClientError as exc:
        told = exc.response["ResponseMetadata"]
        said = {
            "status": told["HTTPStatusCode"],
            "name": told["HTTPHeaders"].get("x-amzn-errortype"),
            "code": exc.response["Error"]["Code"],
        }
        return Answer(said["status"] == 404 and said["name"] == said["code"] == "NotFoundException", said)
    return Answer(False, "no error")


@fact("a packaging group's DomainName begins with https://", "the template takes it off where it is there")
def mediapackage_domain_name_of_a_group(room: Room) -> Answer:
    client = room.client("mediapackage-vod")
    group = client.create_packaging_group(Id=room.name)
    room.undo.callback(client.delete_packaging_group, Id=room.name)
    scheme = group["DomainName"].partition("://")[0]
    return Answer(scheme == "https", scheme)


@fact("CreateJob can be allowed on one queue alone", "the watchfolder's role names its queue")
def iam_rights_of_one_queue(room: Room) -> Answer:
    iam = room.client("iam")
    queues = [
        f"arn:aws:mediaconvert:{room.session.region_name}:000000000000:queues/{name}" for name in ("ours", "other")
    ]
    statement = {"Effect": "Allow", "Action": "mediaconvert:CreateJob", "Resource": queues[0]}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    found = [
        iam.simulate_custom_policy(
            PolicyInputList=[policy], ActionNames=["mediaconvert:CreateJob"], ResourceArns=[queue]
        )["EvaluationResults"][0]["EvalDecision"]
        for queue in queues
    ]
    return Answer(found == ["allowed", "implicitDeny"], found)


@fact(
    "HLS segments are numbered with five digits, captures with seven; COMPLETE names no files of DASH and CMAF groups",
    "publishing computes these names; localaws gives them",
)
def mediaconvert_names_of_outputs(room: Room) -> Answer:
    if room.role is None:
        raise NeedsRole
    s3, client = room.client("s3"), room.client("mediaconvert")
    bucket = room.bucket(s3)
    s3.put_object(Bucket=bucket, Key="inputs/film.mp4", Body=_film())
    job = client.create_job(Role=room.role, Settings=_four_groups(bucket))["Job"]
    deadline = time.monotonic() + 15 * 60
    while job["Status"] not in ("COMPLETE", "ERROR", "CANCELED") and time.monotonic() < deadline:
        time.sleep(5)  # MediaConvert has no waiter
        job = client.get_job(Id=job["Id"])["Job"]
    names = sorted(item["Key"] for item in s3.list_objects_v2(Bucket=bucket, Prefix="out/").get("Contents", ()))
    wanted = {"out/hls/film_v_00001.ts", "out/file/film_c.0000000.jpg", "out/dash/filmv_000000001.mp4"}
    return Answer(job["Status"] == "COMPLETE" and wanted <= set(names), {"status": job["Status"], "names": names})


class NeedsRole(Exception):
    """The check runs a job and was given no role for it."""


NOT_CHECKED = {
    "objects over 5 GB by one PUT or POST": "costs 5 GB of upload to be refused; uploads above 32 MiB go in parts",
    "signed URL parameters win over cookies": "needs a distribution, and ours never sends both",
    "what CloudFront serves after an expiry that passes during a download": "needs a distribution and a slow download",
    "MediaPackage's reasons to refuse a source whose GOPs are not aligned": "needs sources that cost minutes to make",
    "which principal iam:PassedToService names for MediaPackage VOD": "the template allows both; CloudTrail tells",
}
"""Beliefs without a check, and why."""


def _code(call: Callable[[], Any]) -> str:
    try:
        call()
    except ClientError as exc:
        return str(exc.response["Error"]["Code"])
    return "no error"


def _received(sqs: Any, url: str, count: int) -> Iterator[dict[str, Any]]:
    deadline = time.monotonic() + PATIENCE_S
    while count and time.monotonic() < deadline:
        for message in sqs.receive_message(QueueUrl=url, WaitTimeSeconds=10).get("Messages", ()):
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            yield json.loads(message["Body"])
            count -= 1


def _empty_and_delete(s3: Any, bucket: str) -> None:
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        for item in page.get("Contents", ()):
            s3.delete_object(Bucket=bucket, Key=item["Key"])
    s3.delete_bucket(Bucket=bucket)


def _film() -> bytes:
    """Two seconds of test picture and tone."""
    with tempfile.TemporaryDirectory() as folder:
        return films.film(Path(folder) / "film.mp4", duration_s=2).read_bytes()


def _four_groups(bucket: str) -> dict[str, Any]:
    h264 = {"RateControlMode": "QVBR", "MaxBitrate": 500_000, "GopSize": 1, "GopSizeUnits": "SECONDS"}
    video = {"Height": 180, "CodecSettings": {"Codec": "H_264", "H264Settings": h264}}
    capture = {"CodecSettings": {"Codec": "FRAME_CAPTURE", "FrameCaptureSettings": {"FramerateNumerator": 1}}}

    def group(kind: str, member: str, own: dict[str, Any], *outputs: dict[str, Any]) -> dict[str, Any]:
        destination = f"s3://{bucket}/out/{kind.partition('_')[0].lower()}/film"
        settings = {"Type": f"{kind}_SETTINGS", member: {"Destination": destination} | own}
        return {"OutputGroupSettings": settings, "Outputs": list(outputs)}

    def output(modifier: str, container: str, description: dict[str, Any]) -> dict[str, Any]:
        return {
            "NameModifier": modifier,
            "ContainerSettings": {"Container": container},
            "VideoDescription": description,
        }

    segments = {"SegmentLength": 1, "FragmentLength": 1, "SegmentControl": "SEGMENTED_FILES"}
    return {
        "Inputs": [{"FileInput": f"s3://{quote(bucket)}/inputs/film.mp4"}],
        "OutputGroups": [
            group("FILE_GROUP", "FileGroupSettings", {}, output("_v", "MP4", video), output("_c", "RAW", capture)),
            group(
                "HLS_GROUP",
                "HlsGroupSettings",
                {"SegmentLength": 1, "MinSegmentLength": 0},
                output("_v", "M3U8", video),
            ),
            group("DASH_ISO_GROUP", "DashIsoGroupSettings", segments, output("v", "MPD", video)),
            group("CMAF_GROUP", "CmafGroupSettings", segments, output("v", "CMFC", video)),
        ],
    }
