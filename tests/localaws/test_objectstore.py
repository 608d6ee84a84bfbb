"""The S3 server: its doors, its buckets, what it tells of created objects, and what a kill -9 leaves."""

from __future__ import annotations

import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import httpx
import psutil
import pytest
from botocore.config import Config as ClientConfig
from botocore.exceptions import ClientError

from localaws import objectstore
from localaws.config import Bucket, Config, Ports, Rule, Target

MEBIBYTE = 2**20
SOURCE, MEDIA = "penstock-source", "penstock-media"


@pytest.fixture(scope="module")
def weed(s3_server: Config) -> psutil.Process:
    """The process that listens on the S3 port."""
    return next(
        psutil.Process(connection.pid)
        for connection in psutil.net_connections("tcp4")
        if connection.laddr.port == s3_server.ports.s3 and connection.status == psutil.CONN_LISTEN
    )


def inner_ports(config: Config) -> dict[str, int]:
    ports: dict[str, int] = json.loads((config.s3_dir / "ports.json").read_text())
    return ports


# Doors


def test_every_port_is_bound_to_loopback_alone(weed: psutil.Process) -> None:
    listening = [c.laddr for c in weed.net_connections("tcp") if c.status == psutil.CONN_LISTEN]
    assert len(listening) == 8
    assert {address.ip for address in listening} == {"127.0.0.1"}


@pytest.mark.parametrize(
    "path", ["/buckets/penstock-source/", "/buckets/penstock-source/inputs/door.mp4", "/", "/etc/"]
)
def test_the_filer_gives_nothing_to_who_has_no_key(s3_server: Config, s3: Any, path: str) -> None:
    s3.put_object(Bucket=SOURCE, Key="inputs/door.mp4", Body=b"secret")
    address = f"http://127.0.0.1:{inner_ports(s3_server)['filer.port']}{path}"
    assert httpx.get(address).status_code == 401
    assert httpx.put(address, content=b"x").status_code == 401
    assert httpx.delete(address + "?recursive=true").status_code == 401


@pytest.mark.parametrize("path", ["/1,01637037d6", "/ui/index.html", "/stats/disk"])
def test_the_volume_server_gives_nothing_to_who_has_no_key(s3_server: Config, path: str) -> None:
    assert httpx.get(f"http://127.0.0.1:{inner_ports(s3_server)['volume.port']}{path}").status_code == 401


MASTER_PATHS = ["/dir/assign", "/col/delete?collection=penstock-source", "/dir/status", "/vol/grow?count=1"]


@pytest.mark.parametrize("path", MASTER_PATHS)
def test_the_master_speaks_to_no_stranger(s3_server: Config, path: str) -> None:
    port = inner_ports(s3_server)["master.port"]
    assert httpx.get(f"http://127.0.0.1:{port}{path}").status_code == 400
    with pytest.raises(httpx.TransportError):
        httpx.get(f"https://127.0.0.1:{port}{path}", verify=False)  # without a certificate of its authority


@pytest.mark.parametrize("part", ["master.port.grpc", "volume.port.grpc", "filer.port.grpc", "s3.port.grpc"])
def test_grpc_ports_want_a_client_certificate(s3_server: Config, part: str) -> None:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    with (
        pytest.raises(OSError),
        socket.create_connection(("127.0.0.1", inner_ports(s3_server)[part]), 5) as plain,
        context.wrap_socket(plain) as secure,
    ):
        secure.settimeout(5)
        secure.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0]))
        while secure.recv(4096):
            pass
        raise OSError("closed without a word")


def test_wrong_credentials_are_refused(s3_server: Config) -> None:
    for key, secret in (("AKIAOTHER", "x" * 20), (s3_server.credentials.access_key_id, "another secret")):
        stranger = objectstore.client(replace(s3_server, credentials=type(s3_server.credentials)(key, secret)))
        with pytest.raises(ClientError, match=r"InvalidAccessKeyId|SignatureDoesNotMatch"):
            stranger.list_buckets()
    assert httpx.get(f"{s3_server.s3_url}/{SOURCE}").status_code == 403


def test_files_with_keys_are_readable_by_their_owner_alone(s3_server: Config) -> None:
    assert s3_server.s3_dir.stat().st_mode & 0o777 == 0o700
    for name in ("s3.json", "security.toml", "notification.toml", "weed.key"):
        assert (s3_server.s3_dir / name).stat().st_mode & 0o777 == 0o600, name
    assert s3_server.webhook_token_file.stat().st_mode & 0o777 == 0o600


def test_no_secret_is_on_the_command_line_or_in_the_log(s3_server: Config, weed: psutil.Process) -> None:
    token = s3_server.webhook_token_file.read_text()
    shown = " ".join(weed.cmdline()) + " ".join(weed.environ().values())
    logs = [s3_server.logs_dir / "s3.log", *(s3_server.s3_dir / "log").iterdir()]
    shown += "".join(log.read_text(errors="replace") for log in logs)
    assert s3_server.credentials.secret_access_key not in shown
    assert token not in shown


def test_the_environment_does_not_reach_the_server(s3_server: Config, weed: psutil.Process) -> None:
    assert set(weed.environ()) == {"PATH", "HOME", "GOMEMLIMIT"}


# Buckets


def preflight(config: Config, bucket: str, origin: str) -> httpx.Response:
    headers = {"Origin": origin, "Access-Control-Request-Method": "PUT"}
    return httpx.options(f"{config.s3_url}/{bucket}/inputs/x", headers=headers)


def test_cors_lets_our_own_origin_in_and_no_other(s3_server: Config) -> None:
    own = preflight(s3_server, SOURCE, "http://127.0.0.1:8080")
    assert own.status_code == 200
    assert own.headers["Access-Control-Allow-Origin"] == "http://127.0.0.1:8080"
    for bucket, origin in ((SOURCE, "http://evil.example"), (MEDIA, "http://127.0.0.1:8080")):
        assert "Access-Control-Allow-Origin" not in preflight(s3_server, bucket, origin).headers


def test_making_the_buckets_again_keeps_what_is_in_them(s3_server: Config, s3: Any) -> None:
    s3.put_object(Bucket=MEDIA, Key="kept", Body=b"1")
    objectstore.create_buckets(s3_server)
    assert s3.get_object(Bucket=MEDIA, Key="kept")["Body"].read() == b"1"


def test_a_bucket_that_nobody_made_is_not_there(s3: Any) -> None:
    with pytest.raises(ClientError, match="NoSuchBucket"):
        s3.put_object(Bucket="never-made", Key="x", Body=b"1")


def test_only_the_first_if_none_match_wins(s3: Any) -> None:
    s3.put_object(Bucket=MEDIA, Key="marker", Body=b"1", IfNoneMatch="*")
    with pytest.raises(ClientError, match="PreconditionFailed"):
        s3.put_object(Bucket=MEDIA, Key="marker", Body=b"2", IfNoneMatch="*")


# Events of created objects, through the real endpoint


@pytest.fixture
def created(endpoint: Config, event_listener: Any) -> Iterator[Callable[[str], dict[str, Any]]]:
    """Waits for the "Object Created" event of an object key and returns its detail."""

    def wait(object_key: str, count: int = 1) -> dict[str, Any]:
        with event_listener.arrived:
            assert event_listener.arrived.wait_for(lambda: len(found(object_key)) >= count, 10), object_key
            return found(object_key)[-1]

    def found(object_key: str) -> list[dict[str, Any]]:
        details = (json.loads(body).get("detail", {}) for _, _, body in event_listener.requests)
        return [detail for detail in details if detail.get("object", {}).get("key") == object_key]

    yield wait


UGLY = [
    "inputs/film.mp4",
    "inputs/a b+c%20%2B&=?#.mp4",
    "inputs/été 日本語 فيلم.mp4",
    'inputs/line\nbreak"quote.mp4',
    "inputs/" + "ü" * 120 + ".mp4",
    "inputs/a/b/c/film.mp4",
    "inputs/trailing dots...",
]


@pytest.mark.parametrize("object_key", UGLY)
def test_a_put_is_told_under_the_very_key_and_is_readable(created: Any, s3: Any, object_key: str) -> None:
    etag = s3.put_object(Bucket=SOURCE, Key=object_key, Body=b"bytes")["ETag"]
    detail = created(object_key)
    assert detail["bucket"]["name"] == SOURCE
    assert detail["object"]["size"] == 5
    assert detail["object"]["etag"] == etag.strip('"')
    assert s3.get_object(Bucket=SOURCE, Key=detail["object"]["key"])["Body"].read() == b"bytes"


def test_a_presigned_post_is_told(created: Any, s3: Any) -> None:
    post = s3.generate_presigned_post(SOURCE, "inputs/posted.mp4", Conditions=[["content-length-range", 4, 4]])
    refused = httpx.post(post["url"], data=post["fields"], files={"file": b"12345"})
    assert refused.status_code in (400, 403)
    assert httpx.post(post["url"], data=post["fields"], files={"file": b"1234"}).status_code == 204
    assert created("inputs/posted.mp4")["object"]["size"] == 4


def test_a_copy_is_told(created: Any, s3: Any) -> None:
    s3.put_object(Bucket=MEDIA, Key="original", Body=b"copied")
    s3.copy_object(Bucket=SOURCE, Key="inputs/copy.mp4", CopySource={"Bucket": MEDIA, "Key": "original"})
    assert created("inputs/copy.mp4")["object"]["size"] == 6


def test_a_multipart_upload_is_told_once_when_it_is_complete(created: Any, s3: Any, event_listener: Any) -> None:
    key = "inputs/parts.mp4"
    upload = s3.create_multipart_upload(Bucket=SOURCE, Key=key)["UploadId"]
    parts = []
    for number in (1, 2):
        body = bytes([number]) * 5 * MEBIBYTE
        etag = s3.upload_part(Bucket=SOURCE, Key=key, UploadId=upload, PartNumber=number, Body=body)["ETag"]
        parts.append({"PartNumber": number, "ETag": etag})
    done = s3.complete_multipart_upload(Bucket=SOURCE, Key=key, UploadId=upload, MultipartUpload={"Parts": parts})
    detail = created(key)
    assert detail["reason"] == "CompleteMultipartUpload"
    assert detail["object"]["size"] == 10 * MEBIBYTE
    assert detail["object"]["etag"] == done["ETag"].strip('"')
    assert not [body for _, _, body in event_listener.requests if b".uploads" in body]


def test_an_overwrite_is_told_again_and_its_sequencer_is_later(created: Any, s3: Any) -> None:
    s3.put_object(Bucket=SOURCE, Key="inputs/again.mp4", Body=b"1")
    first = created("inputs/again.mp4")
    s3.put_object(Bucket=SOURCE, Key="inputs/again.mp4", Body=b"22")
    second = created("inputs/again.mp4", 2)
    assert second["object"]["size"] == 2
    assert second["object"]["sequencer"] > first["object"]["sequencer"]


def test_folders_tags_deletions_and_the_other_bucket_are_not_told(created: Any, s3: Any, event_listener: Any) -> None:
    s3.put_object(Bucket=SOURCE, Key="inputs/folder/", Body=b"")
    s3.put_object(Bucket=SOURCE, Key="inputs/tagged.mp4", Body=b"1")
    s3.put_object_tagging(Bucket=SOURCE, Key="inputs/tagged.mp4", Tagging={"TagSet": [{"Key": "a", "Value": "b"}]})
    s3.delete_object(Bucket=SOURCE, Key="inputs/tagged.mp4")
    s3.put_object(Bucket=MEDIA, Key="inputs/media.mp4", Body=b"1")
    s3.put_object(Bucket=SOURCE, Key="inputs/last.mp4", Body=b"1")
    created("inputs/tagged.mp4")
    created("inputs/last.mp4")
    keys = [json.loads(body)["detail"]["object"]["key"] for _, _, body in event_listener.requests]
    assert keys.count("inputs/tagged.mp4") == 1
    assert "inputs/folder/" not in keys
    assert "inputs/media.mp4" not in keys


def test_the_webhook_is_closed_to_who_has_no_token(endpoint: Config) -> None:
    for headers in ({}, {"Authorization": "Bearer wrong"}):
        for path in (objectstore.WEBHOOK_PATH, objectstore.STARTED_PATH):
            assert httpx.post(endpoint.aws_url + path, content=b"{}", headers=headers).status_code == 403


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"event_type": "create"}', b"[" * 100_000])
def test_a_webhook_body_that_is_no_change_is_400(endpoint: Config, body: bytes) -> None:
    token = endpoint.webhook_token_file.read_text()
    answer = httpx.post(
        endpoint.aws_url + objectstore.WEBHOOK_PATH, content=body, headers={"Authorization": f"Bearer {token}"}
    )
    assert answer.status_code == 400


# kill -9


@pytest.fixture
def own_config(tmp_path: Path, aws_config: Config) -> Config:
    aws, s3 = objectstore.free_ports(2)
    return replace(aws_config, data_dir=tmp_path, ports=Ports(aws=aws, s3=s3), rules=())


def test_objects_survive_kill_9_and_the_server_is_back_at_once(own_config: Config, started_s3: Any) -> None:
    process, _ = started_s3(own_config)
    objectstore.create_buckets(own_config)
    s3 = objectstore.client(own_config)
    for number in range(20):
        s3.put_object(Bucket=SOURCE, Key=f"inputs/{number}", Body=str(number).encode())
    process.kill()
    process.wait(10)
    began = time.monotonic()
    started_s3(own_config)
    assert time.monotonic() - began < 10
    for number in range(20):
        assert s3.get_object(Bucket=SOURCE, Key=f"inputs/{number}")["Body"].read() == str(number).encode()


def test_what_was_never_told_is_found_when_the_endpoint_starts(
    own_config: Config, started_s3: Any, started_endpoint: Any, listener: Any
) -> None:
    """The server is killed before anybody listened, so its webhook is lost."""
    process, _ = started_s3(own_config)
    objectstore.create_buckets(own_config)
    objectstore.client(own_config).put_object(Bucket=SOURCE, Key="inputs/untold é.mp4", Body=b"1")
    process.kill()
    process.wait(10)
    started_s3(own_config)
    with_target = replace(own_config, rules=(rule_to(listener.url),))
    with started_endpoint(with_target):
        detail = json.loads(listener.wait_for(1)[0][2])["detail"]
        assert detail["object"]["key"] == "inputs/untold é.mp4"
    with started_endpoint(with_target):
        threading.Event().wait(0.5)  # nothing is to come; a moment is given to what should not
        assert len(listener.requests) == 1


def test_a_told_object_is_not_found_a_second_time(endpoint: Config, s3: Any, created: Any, event_listener: Any) -> None:
    s3.put_object(Bucket=SOURCE, Key="inputs/told once.mp4", Body=b"1")
    created("inputs/told once.mp4")
    token = endpoint.webhook_token_file.read_text()
    headers = {"Authorization": f"Bearer {token}"}
    assert httpx.post(endpoint.aws_url + objectstore.STARTED_PATH, headers=headers, timeout=30).status_code == 200
    s3.put_object(Bucket=SOURCE, Key="inputs/afterwards.mp4", Body=b"1")
    created("inputs/afterwards.mp4")
    bodies = [body for _, _, body in event_listener.requests if b"told once" in body]
    assert len(bodies) == 1


def test_other_inner_ports_are_taken_when_the_last_ones_are_in_use(own_config: Config) -> None:
    before = dict(zip(objectstore._INNER_PORTS, objectstore.free_ports(7), strict=True))
    memory = own_config.s3_dir / "ports.json"
    memory.parent.mkdir(parents=True)
    memory.write_text(json.dumps(before))
    assert objectstore._inner_ports(memory, []) == before
    with socket.create_server(("127.0.0.1", before["filer.port"])):
        assert objectstore._inner_ports(memory, [])["filer.port"] != before["filer.port"]
    memory.write_text(json.dumps(before))
    assert before["filer.port"] not in objectstore._inner_ports(memory, [before["filer.port"]]).values()
    memory.write_text("{]")
    assert len(objectstore._inner_ports(memory, [])) == 7


def test_without_events_the_webhook_is_off(own_config: Config) -> None:
    quiet = replace(own_config, buckets=(Bucket("quiet"),))
    assert "enabled = false" in objectstore._notification(quiet)


def rule_to(url: str) -> Rule:
    return Rule("r", {"source": ["aws.s3"]}, Target(url))


def test_virtual_hosts_are_not_needed_by_an_unmodified_client(s3_server: Config) -> None:
    """What `penstock env` sets is enough: path style against an IP address is botocore's own choice."""
    plain = boto3.client(
        "s3",
        endpoint_url=s3_server.s3_url,
        region_name="us-east-1",
        aws_access_key_id=s3_server.credentials.access_key_id,
        aws_secret_access_key=s3_server.credentials.secret_access_key,
        config=ClientConfig(retries={"max_attempts": 0}),
    )
    plain.put_object(Bucket=MEDIA, Key="default checksums", Body=b"1" * 100)
    assert plain.get_object(Bucket=MEDIA, Key="default checksums")["Body"].read() == b"1" * 100
