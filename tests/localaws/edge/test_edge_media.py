"""The media bucket through a running edge, in front of a real S3 server; botocore's signer is the judge."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
from botocore.signers import CloudFrontSigner
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding

from penstock.formats.cookies import Policy, Signer

SMALL, LARGE = os.urandom(1000), os.urandom(700_000)
ODD_NAME = "assets/a/f+(1) é%20&=@.mp4"


@pytest.fixture(scope="module")
def bucket(s3: Any) -> Any:
    _, client = s3
    for key, body in {
        "assets/a/small.cmfv": SMALL,
        "assets/a/large.mp4": LARGE,
        "assets/a/main.mpd": b"<MPD/>",
        "assets/a/evil.html": b"<script>alert(1)</script>",
        "assets/a/empty.mp4": b"",
        ODD_NAME: SMALL,
        "assets/b/small.cmfv": b"of b",
        "secret/x": b"outside of assets/",
    }.items():
        client.put_object(Bucket="media", Key=key, Body=body, ContentType="text/html")
    return client


@pytest.fixture(scope="module")
def edge(start_edge: Any, s3: Any, bucket: Any) -> Any:
    return start_edge(s3_port=s3[0], limits={"fresh_s": 0.2})


def foreign_signer(keys: Any, key_id: str, algorithm: hashes.HashAlgorithm) -> CloudFrontSigner:
    key = serialization.load_pem_private_key(keys.private[key_id], password=None)

    def sign(message: bytes) -> bytes:
        if isinstance(key, ec.EllipticCurvePrivateKey):
            return key.sign(message, ec.ECDSA(algorithm))
        return key.sign(message, padding.PKCS1v15(), algorithm)  # type: ignore[union-attr, call-arg]

    return CloudFrontSigner(key_id, sign)


def in_a_minute() -> Any:
    from datetime import UTC, datetime, timedelta

    return datetime.now(UTC) + timedelta(minutes=1)


@pytest.mark.parametrize("key_id", ["rsa", "ec"])
@pytest.mark.parametrize("algorithm", [hashes.SHA1(), hashes.SHA256()], ids=["sha1", "sha256"])
@pytest.mark.parametrize("kind", ["canned", "custom"])
@pytest.mark.parametrize("carrier", ["url", "cookies"])
def test_what_botocore_signs_is_let_in(edge: Any, key_id: str, algorithm: Any, kind: str, carrier: str) -> None:
    signer = foreign_signer(edge.keys, key_id, algorithm)
    url = f"{edge.url}/assets/a/small.cmfv"
    policy = signer.build_policy(f"{edge.url}/assets/a/*" if kind == "custom" else url, in_a_minute())
    if carrier == "url":
        arguments = {"policy": policy} if kind == "custom" else {"date_less_than": in_a_minute()}
        target = signer.generate_presigned_url(url, **arguments)[len(edge.url) :]
        target += "" if algorithm.name == "sha1" else "&Hash-Algorithm=SHA256"
        answer = edge.request(target)
    else:
        document = json.loads(policy)
        encode = signer._url_b64encode
        cookies = {
            "CloudFront-Signature": encode(signer.rsa_signer(policy.encode())).decode(),
            "CloudFront-Key-Pair-Id": key_id,
        }
        if kind == "custom":
            cookies["CloudFront-Policy"] = encode(policy.encode()).decode()
        else:
            expires = document["Statement"][0]["Condition"]["DateLessThan"]["AWS:EpochTime"]
            cookies["CloudFront-Expires"] = str(expires)
        if algorithm.name != "sha1":
            cookies["CloudFront-Hash-Algorithm"] = "SHA256"
        answer = edge.request(
            "/assets/a/small.cmfv", headers={"Cookie": "; ".join(f"{k}={v}" for k, v in cookies.items())}
        )
    assert (answer.status, answer.body) == (200, SMALL)


def test_an_object_comes_whole_and_labelled(edge: Any) -> None:
    answer = edge.request("/assets/a/small.cmfv", headers=edge.cookie())
    assert (answer.status, answer.body) == (200, SMALL)
    assert answer.headers["content-type"] == "video/mp4", "ours, not what the object claims to be"
    assert answer.headers["content-length"] == str(len(SMALL))
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"].startswith("private")
    manifest = edge.request("/assets/a/main.mpd", headers=edge.cookie())
    assert manifest.headers["content-type"] == "application/dash+xml"
    assert manifest.headers["cache-control"] == "private, no-cache"


def test_a_page_in_the_bucket_cannot_run_beside_studio(edge: Any) -> None:
    answer = edge.request("/assets/a/evil.html", headers=edge.cookie())
    assert answer.headers["content-type"] == "application/octet-stream"
    assert "sandbox" in answer.headers["content-security-policy"]


@pytest.mark.parametrize("name", ["small.cmfv", "large.mp4"])
def test_ranges_are_exact(edge: Any, name: str) -> None:
    whole = SMALL if name.startswith("small") else LARGE
    for header, start, end in [
        ("bytes=0-0", 0, 1),
        ("bytes=10-19", 10, 20),
        ("bytes=900-", 900, len(whole)),
        ("bytes=-7", len(whole) - 7, len(whole)),
        ("bytes=5-99999999999999999999999", 5, len(whole)),
        ("bytes=-99999999999999999999999", 0, len(whole)),
    ]:
        answer = edge.request(f"/assets/a/{name}", headers={**edge.cookie(), "Range": header})
        assert (answer.status, answer.body) == (206, whole[start:end]), header
        assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/{len(whole)}"
        assert answer.headers["content-length"] == str(end - start)
    for header in ["bytes=9-5", "bytes=0-1,5-6", "bytes=x", "bytes=" + ",".join(["0-"] * 500)]:
        answer = edge.request(f"/assets/a/{name}", headers={**edge.cookie(), "Range": header})
        assert (answer.status, answer.body) == (200, whole), header
    answer = edge.request(f"/assets/a/{name}", headers={**edge.cookie(), "Range": f"bytes={len(whole)}-"})
    assert (answer.status, answer.body) == (416, b"")
    assert answer.headers["content-range"] == f"bytes */{len(whole)}"


def test_conditions_save_the_body(edge: Any) -> None:
    first = edge.request("/assets/a/large.mp4", headers=edge.cookie())
    etag, modified = first.headers["etag"], first.headers["last-modified"]

    def ask(**headers: str) -> int:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        answer = edge.request("/assets/a/large.mp4", headers={**edge.cookie(), **named})
        assert (answer.body == b"") == (answer.status in {304, 412})
        return int(answer.status)

    assert ask(If_None_Match=etag) == 304
    assert ask(If_None_Match='"other"') == 200
    assert ask(If_Modified_Since=modified) == 304
    assert ask(If_Match='"other"') == 412
    assert ask(Range="bytes=0-0", If_Range=etag) == 206
    assert ask(Range="bytes=0-0", If_Range='"other"') == 200
    assert ask(Range="bytes=0-0", If_None_Match=etag) == 304


def test_head_is_get_without_the_body(edge: Any) -> None:
    get = edge.request("/assets/a/large.mp4", headers=edge.cookie())
    head = edge.request("/assets/a/large.mp4", "HEAD", headers=edge.cookie())
    assert head.body == b""
    assert head.without_date()[:2] == get.without_date()[:2]
    refused = edge.request("/assets/a/large.mp4", "HEAD")
    assert (refused.status, refused.body) == (403, b"")


def test_an_empty_object_is_empty(edge: Any) -> None:
    answer = edge.request("/assets/a/empty.mp4", headers=edge.cookie())
    assert (answer.status, answer.body, answer.headers["content-length"]) == (200, b"", "0")


def test_an_odd_name_is_reached_however_it_is_spelled(edge: Any) -> None:
    for safe in ["/", "/!$&'()*+,;=:@~"]:
        target = "/" + quote(ODD_NAME, safe=safe)
        assert edge.request(target, headers=edge.cookie()).body == SMALL
        signed = edge.signer().url(edge.url + target, int(time.time()) + 60)
        assert edge.request(signed[len(edge.url) :]).body == SMALL


def test_a_query_reaches_neither_s3_nor_the_cache(edge: Any) -> None:
    for query in ["?acl", "?versionId=null", "?response-content-type=text/html", "?x=1&y=%00", "?"]:
        answer = edge.request(f"/assets/a/small.cmfv{query}", headers=edge.cookie())
        assert (answer.status, answer.body, answer.headers["content-type"]) == (200, SMALL, "video/mp4"), query


def forged(edge: Any) -> dict[str, str]:
    stranger = Signer(edge.keys.stranger, "rsa")
    made = stranger.cookies(Policy(f"{edge.url}/assets/a/*", int(time.time()) + 60))
    return {"Cookie": "; ".join(f"{name}={value}" for name, value in made.items())}


REFUSED: dict[str, Callable[[Any], tuple[str, str, dict[str, str]]]] = {
    "no cookie": lambda e: ("GET", "/assets/a/small.cmfv", {}),
    "no such object": lambda e: ("GET", "/assets/a/none.mp4", e.cookie()),
    "a folder": lambda e: ("GET", "/assets/a", e.cookie("/assets/a")),
    "a folder with a slash": lambda e: ("GET", "/assets/a/", e.cookie()),
    "a name no object can have": lambda e: ("GET", "/assets/a/" + "x" * 1500, e.cookie()),
    "another asset": lambda e: ("GET", "/assets/b/small.cmfv", e.cookie()),
    "another asset that is not": lambda e: ("GET", "/assets/c/small.cmfv", e.cookie()),
    "outside of every behavior's reach": lambda e: ("GET", "/internal/events", {}),
    "expired": lambda e: ("GET", "/assets/a/small.cmfv", e.cookie(ttl_s=-1)),
    "not yet": lambda e: ("GET", "/assets/a/small.cmfv", e.cookie(not_before=int(time.time()) + 60)),
    "another address": lambda e: ("GET", "/assets/a/small.cmfv", e.cookie(source_ip="10.0.0.0/8")),
    "forged": lambda e: ("GET", "/assets/a/small.cmfv", forged(e)),
    "an unknown key": lambda e: (
        "GET",
        "/assets/a/small.cmfv",
        {"Cookie": e.cookie()["Cookie"].replace("Key-Pair-Id=rsa", "Key-Pair-Id=nobody")},
    ),
    "twice": lambda e: (
        "GET",
        "/assets/a/small.cmfv",
        {"Cookie": e.cookie()["Cookie"] + "; " + e.cookie("/assets/*")["Cookie"]},
    ),
    "64 KB of cookies": lambda e: (
        "GET",
        "/assets/a/small.cmfv",
        {"Cookie": e.cookie()["Cookie"] + "; filler=" + "x" * 65536},
    ),
    "POST": lambda e: ("POST", "/assets/a/small.cmfv", e.cookie()),
    "PUT": lambda e: ("PUT", "/assets/a/small.cmfv", e.cookie()),
    "DELETE": lambda e: ("DELETE", "/assets/a/none.mp4", {}),
    "a made-up method": lambda e: ("BREW", "/assets/a/small.cmfv", e.cookie()),
    "dots": lambda e: ("GET", "/assets/a/../b/small.cmfv", e.cookie()),
    "encoded dots": lambda e: ("GET", "/assets/a/%2e%2e/b/small.cmfv", e.cookie()),
    "half encoded dots": lambda e: ("GET", "/assets/a/.%2E/b/small.cmfv", e.cookie()),
    "encoded slashes and dots": lambda e: ("GET", "/assets/a%2f..%2fb%2fsmall.cmfv", e.cookie()),
    "doubly encoded dots": lambda e: ("GET", "/assets/a/%252e%252e/b/small.cmfv", e.cookie()),
    "doubly encoded slash": lambda e: ("GET", "/assets/a%252fsmall.cmfv", e.cookie()),
    "a backslash": lambda e: ("GET", "/assets/a\\small.cmfv", e.cookie()),
    "an encoded backslash": lambda e: ("GET", "/assets/a/..%5cb%5csmall.cmfv", e.cookie()),
    "NUL": lambda e: ("GET", "/assets/a/small.cmfv%00.mp4", e.cookie()),
    "broken UTF-8": lambda e: ("GET", "/assets/a/%ff.mp4", e.cookie()),
    "two slashes": lambda e: ("GET", "/assets//a/small.cmfv", e.cookie("/assets/*")),
    "out of assets": lambda e: ("GET", "/assets/../secret/x", e.cookie("/*")),
    "another host": lambda e: ("GET", "/assets/a/small.cmfv", {**e.cookie(), "Host": "evil.test"}),
    "a host that is none": lambda e: ("GET", "/assets/a/small.cmfv", {**e.cookie(), "Host": "a b/c?"}),
    "an unsigned expiry that wins over good cookies": lambda e: (
        "GET",
        "/assets/a/small.cmfv?Expires=9999999999",
        e.cookie(),
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_every_refusal_is_the_same_to_the_byte(edge: Any, case: str) -> None:
    method, target, headers = REFUSED[case](edge)
    answer = edge.request(target, method, headers=headers)
    assert answer.without_date() == edge.request("/assets/nothing").without_date()
    assert answer.status == 403
    assert json.loads(answer.body)["error"]["code"] == "forbidden"


def signed_target(edge: Any, **changes: str) -> str:
    """A good canned URL, with some of its parameters replaced, or dropped when the value is empty."""
    base, _, query = edge.signer().url(f"{edge.url}/assets/a/small.cmfv", int(time.time()) + 60).partition("?")
    parameters = dict(pair.split("=") for pair in query.split("&"))
    parameters.update({name.replace("_", "-"): value for name, value in changes.items()})
    return base[len(edge.url) :] + "?" + "&".join(f"{name}={value}" for name, value in parameters.items() if value)


@pytest.mark.parametrize(
    "changes",
    [
        {"Expires": "9999999999"},
        {"Expires": "-1"},
        {"Expires": "9" * 400},
        {"Expires": ""},
        {"Signature": ""},
        {"Signature": "AAAA"},
        {"Signature": "%00"},
        {"Key_Pair_Id": "ec"},
        {"Key_Pair_Id": ""},
        {"Hash_Algorithm": "SHA256"},
        {"Hash_Algorithm": "MD5"},
        {"Policy": "eyJTdGF0ZW1lbnQiOltdfQ__"},
        {"extra": "1"},
    ],
    ids=str,
)
def test_a_signed_url_that_was_changed_is_refused(edge: Any, changes: dict[str, str]) -> None:
    assert edge.request(signed_target(edge)).status == 200
    answer = edge.request(signed_target(edge, **changes), headers=edge.cookie())
    assert answer.without_date() == edge.request("/assets/nothing").without_date()


def test_the_host_counts_without_its_case(edge: Any) -> None:
    made = edge.signer().cookies(Policy("http://media.test/assets/a/*", int(time.time()) + 60))
    cookie = "; ".join(f"{name}={value}" for name, value in made.items())
    for host in ["media.test", "MeDia.TEST"]:
        assert edge.request("/assets/a/small.cmfv", headers={"Cookie": cookie, "Host": host}).status == 200


def test_a_target_in_absolute_form_is_judged_by_its_host(edge: Any) -> None:
    cookie = edge.cookie()["Cookie"]

    def ask(target: str, host: str) -> int:
        request = f"GET {target} HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}\r\nConnection: close\r\n\r\n"
        return int(edge.raw(request.encode())[0])

    own = edge.url.removeprefix("http://")
    assert ask(f"{edge.url}/assets/a/small.cmfv", own) == 200
    assert ask("http://evil.test/assets/a/small.cmfv", "evil.test") == 403
    assert ask("http://evil.test/assets/a/small.cmfv", own) == 403
    assert ask(f"{edge.url}/assets/a/small.cmfv", "evil.test") == 403
    assert ask(f"http://user@{own}/assets/a/small.cmfv", own) == 403


def test_two_hosts_or_none_are_refused(edge: Any) -> None:
    own, cookie = edge.url.removeprefix("http://"), edge.cookie()["Cookie"]
    for hosts in ["", f"Host: {own}\r\nHost: evil.test\r\n", f"Host: {own}\r\nHost: {own}\r\n"]:
        request = f"GET /assets/a/small.cmfv HTTP/1.1\r\n{hosts}Cookie: {cookie}\r\nConnection: close\r\n\r\n"
        assert edge.raw(request.encode())[0] in {400, 403}


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET /assets/a/\x00 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET http:// HTTP/1.1\r\nHost: a\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        b"CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\nConnection: close\r\n\r\n",
        b"GET /assets/a HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX: " + b"x" * 500_000 + b"\r\n\r\n",
        b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
    ids=range(8),
)
def test_what_is_hardly_http_is_a_client_error(edge: Any, request_bytes: bytes) -> None:
    status, _ = edge.raw(request_bytes)
    assert status == 0 or 400 <= status < 500
    assert edge.request("/assets/a/small.cmfv", headers=edge.cookie()).status == 200


def test_cookies_spread_over_two_headers_are_one(edge: Any) -> None:
    first, second, third = edge.cookie()["Cookie"].split("; ")
    host = edge.url.removeprefix("http://")
    lines = f"Cookie: {first}\r\nCookie: {second}; {third}\r\n"
    request = f"GET /assets/a/small.cmfv HTTP/1.1\r\nHost: {host}\r\n{lines}Connection: close\r\n\r\n"
    assert edge.raw(request.encode())[0] == 200


def test_cors_is_for_the_configured_origin_alone(edge: Any) -> None:
    ours = {"Origin": "http://app.test:3000"}
    for answer in (
        edge.request("/assets/a/small.cmfv", headers={**edge.cookie(), **ours}),
        edge.request("/assets/a/small.cmfv", headers=ours),
        edge.request("/assets/a/small.cmfv", "OPTIONS", headers={**ours, "Access-Control-Request-Method": "GET"}),
    ):
        assert answer.headers["access-control-allow-origin"] == "http://app.test:3000"
        assert answer.headers["access-control-allow-credentials"] == "true"
        assert answer.headers["vary"] == "origin"
    for stranger in ["http://evil.test", "null", "http://app.test:3000.evil.test", "*"]:
        for method in ("GET", "OPTIONS"):
            answer = edge.request("/assets/a/small.cmfv", method, headers={**edge.cookie(), "Origin": stranger})
            assert not any(name.startswith("access-control") for name in answer.headers)
            assert answer.headers["vary"] == "origin"


def test_a_preflight_tells_nothing_about_what_exists(edge: Any) -> None:
    headers = {"Origin": "http://app.test:3000", "Access-Control-Request-Method": "GET"}
    there, gone = (edge.request(f"/assets/a/{name}", "OPTIONS", headers=headers) for name in ("small.cmfv", "none.mp4"))
    assert there.status == 204
    assert there.without_date() == gone.without_date()
    assert "range" in there.headers["access-control-allow-headers"]


def test_a_replaced_and_a_deleted_object(edge: Any, bucket: Any) -> None:
    bucket.put_object(Bucket="media", Key="assets/a/changing.mp4", Body=LARGE)
    assert edge.request("/assets/a/changing.mp4", headers=edge.cookie()).body == LARGE
    bucket.put_object(Bucket="media", Key="assets/a/changing.mp4", Body=SMALL)
    time.sleep(0.25)  # the 0.2 s for which the edge was told to take objects as fresh
    assert edge.request("/assets/a/changing.mp4", headers=edge.cookie()).body == SMALL
    bucket.delete_object(Bucket="media", Key="assets/a/changing.mp4")
    time.sleep(0.25)
    assert edge.request("/assets/a/changing.mp4", headers=edge.cookie()).status == 403


def test_a_cache_too_small_for_anything_still_serves(start_edge: Any, s3: Any, bucket: Any) -> None:
    edge = start_edge(s3_port=s3[0], limits={"cache_bytes": 1, "grace_s": 0.3, "fresh_s": 60})
    for _ in range(3):
        assert edge.request("/assets/a/large.mp4", headers=edge.cookie()).body == LARGE
        assert edge.request("/assets/a/large.mp4", headers={**edge.cookie(), "Range": "bytes=-5"}).body == LARGE[-5:]
    deadline = time.monotonic() + 10
    while any(path.is_file() for path in (edge.data_dir / "localaws" / "edge-cache" / "media").iterdir()):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_wrong_credentials_of_the_edge_open_nothing_and_are_logged(start_origin: Any, start_edge: Any) -> None:
    def refuse(handler: Any, seen: Any) -> None:
        handler.send_error(403)

    edge = start_edge(s3_port=start_origin(refuse).port)
    answer = edge.request("/assets/a/small.cmfv", headers=edge.cookie())
    assert answer.without_date() == edge.request("/assets/nothing").without_date()
    assert "are its credentials and headers right?" in edge.log


def test_whoever_may_not_see_a_thing_causes_no_look_at_the_origin(start_origin: Any, start_edge: Any) -> None:
    origin = start_origin(lambda handler, seen: handler.send_error(404))
    edge = start_edge(s3_port=origin.port)
    for case in ("no cookie", "another asset", "expired", "forged", "POST", "dots", "twice", "another host"):
        method, target, headers = REFUSED[case](edge)
        assert edge.request(target, method, headers=headers).status == 403
    edge.request("/assets/a/small.cmfv", "OPTIONS")
    assert origin.seen == []
    edge.request("/assets/a/small.cmfv", headers=edge.cookie())
    assert [seen.target for seen in origin.seen] == ["/media/assets/a/small.cmfv"]


def test_two_hundred_viewers_of_a_cold_segment_cost_one_fetch(start_origin: Any, start_edge: Any) -> None:
    everybody_asked = threading.Event()

    def answer(handler: Any, seen: Any) -> None:
        assert everybody_asked.wait(20)
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(LARGE)))
        handler.send_header("ETag", '"x"')
        handler.end_headers()
        handler.wfile.write(LARGE)

    origin = start_origin(answer)
    edge = start_edge(s3_port=origin.port)
    bodies = ask_at_once(edge, 200, everybody_asked)
    assert bodies == [LARGE] * 200
    assert len(origin.seen) == 1


def ask_at_once(edge: Any, viewers: int, all_sent: threading.Event) -> list[bytes]:
    import socket

    host = edge.url.removeprefix("http://")
    request = (
        f"GET /assets/a/cold.m4s HTTP/1.1\r\nHost: {host}\r\nCookie: {edge.cookie()['Cookie']}\r\n"
        "Connection: close\r\n\r\n"
    ).encode()
    connections = [socket.create_connection(("127.0.0.1", edge.port), timeout=30) for _ in range(viewers)]
    try:
        for connection in connections:
            connection.sendall(request)
        all_sent.set()
        bodies = []
        for connection in connections:
            with connection.makefile("rb") as answer:
                bodies.append(answer.read().partition(b"\r\n\r\n")[2])
        return bodies
    finally:
        for connection in connections:
            connection.close()


@pytest.mark.parametrize(("fault", "status"), [("down", 502), ("error", 502), ("half", 502), ("silent", 504)])
def test_a_broken_origin_is_an_error_that_says_nothing_of_it(
    start_origin: Any, start_edge: Any, fault: str, status: int
) -> None:
    released = threading.Event()

    def answer(handler: Any, seen: Any) -> None:
        if fault == "error":
            handler.send_error(500, explain="the disk of node-7 is on fire")
        elif fault == "half":
            handler.send_response(200)
            handler.send_header("Content-Length", "1000")
            handler.end_headers()
            handler.wfile.write(b"x")
            handler.close_connection = True
        else:
            released.wait(20)
            handler.close_connection = True

    port = 1 if fault == "down" else start_origin(answer).port
    edge = start_edge(s3_port=port, limits={"s3_timeouts": [0.3, 0.3]})
    response = edge.request("/assets/a/small.cmfv", headers=edge.cookie())
    released.set()
    assert response.status == status
    error = json.loads(response.body)["error"]
    assert set(error) == {"code", "message", "request_id"}
    assert "node-7" not in response.body.decode()
    assert f":{port}" not in response.body.decode()
