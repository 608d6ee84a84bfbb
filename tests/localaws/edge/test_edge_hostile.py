"""What is tried with tokens, policies and paths at a running edge: 403 each time, and nothing of it in the log.

The edge closes the door by one answer that is the same to the byte; the server below it refuses what is no HTTP.
"""

from __future__ import annotations

import base64
import hmac
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cbor2
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding

from browser_key import BrowserKey
from penstock.formats import tokens
from penstock.formats.binding import Binding
from penstock.formats.cookies import Policy, Signer
from penstock.formats.tokens import Claims, PathClaims

KEY, OTHER_KEY = b"h" * 43, b"x" * 43
FOLDER = "/assets/mine/stream/"
SEGMENT = f"{FOLDER}1.m4s"
THEIRS = "/assets/theirs/stream/1.m4s"
SERIAL = 4711
NOW = int(time.time())
DAY_S = 86_400  # longer than any run of all tests: what is made when they are collected must hold to their end
HS256 = cbor2.dumps({1: 5})


@pytest.fixture(scope="module")
def edge(start_edge: Any, start_origin: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    def answer(handler: Any, seen: Any) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "7")
        handler.end_headers()
        handler.wfile.write(b"segment")

    folder: Path = tmp_path_factory.mktemp("hostile")
    (folder / "key").write_bytes(KEY)
    return start_edge(
        origins={"media": {"url": start_origin(answer).url, "cached": True}},
        behaviors=[{"path": "/assets/*", "origin": "media", "trusted_key_group": "viewers"}],
        path_token_keys={"k": str(folder / "key")},
        pace={"rate": 1.25, "burst_s": 90},
    )


def claims(**changed: Any) -> PathClaims:
    usual = {"session_id": "s", "path": FOLDER, "expires": NOW + DAY_S, "issued": NOW, "serial": SERIAL}
    return PathClaims(**{**usual, **changed})


def minted(key: bytes = KEY, key_id: str = "k", **changed: Any) -> str:
    return tokens.mint_path(claims(**changed), key, key_id)


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def cose(payload: bytes, *, protected: bytes = HS256, tag: int = 17, key: bytes = KEY, kid: bytes = b"k") -> str:
    """A COSE_Mac0 with a good MAC over whatever is given."""
    mac = hmac.digest(key, cbor2.dumps(["MAC0", protected, b"", payload]), "sha256")
    return b64(cbor2.dumps(cbor2.CBORTag(tag, [protected, {4: kid}, payload, mac])))


def payload() -> bytes:
    return cbor2.dumps({312: {3: {1: FOLDER}}, 4: NOW + DAY_S, 6: NOW, 7: b"s"}, canonical=True)


GOOD = minted()
TOKENS: dict[str, str] = {
    "altered": GOOD[:60] + ("A" if GOOD[60] != "A" else "B") + GOOD[61:],
    "altered at its end": GOOD[:-1] + ("A" if GOOD[-1] != "A" else "B"),
    "cut off": GOOD[:-5],
    "cut off at the beginning": GOOD[5:],
    "one character": "A",
    "twice": GOOD + GOOD,
    "padded": f"{GOOD}=",
    "of another key": minted(OTHER_KEY),
    "of another key id": minted(key_id="other"),
    "expired": minted(expires=NOW - 1),
    "of the future": minted(issued=NOW + DAY_S, expires=NOW + 2 * DAY_S),
    "for another asset": minted(path="/assets/theirs/stream/"),
    "for everything": minted(path="*"),
    "for a folder by half": minted(path="/assets/mine/str"),
    "for no folder": minted(path=""),
    "a license token": tokens.mint(Claims("s", "mine", NOW + DAY_S, NOW), KEY, "k"),
    "algorithm none": cose(payload(), protected=cbor2.dumps({})),
    "algorithm ES256": cose(payload(), protected=cbor2.dumps({1: -7})),
    "algorithm HS256/64": cose(payload(), protected=cbor2.dumps({1: 4})),
    "a COSE_Sign1": cose(payload(), tag=18),
    "of a strange key id": cose(payload(), kid=b"\xff\x00"),
    "an expiry in text": cose(cbor2.dumps({312: {3: {1: FOLDER}}, 4: "9999999999", 6: NOW, 7: b"s"})),
    "an endless expiry": cose(cbor2.dumps({312: {3: {1: FOLDER}}, 4: float("inf"), 6: NOW, 7: b"s"})),
    "no expiry": cose(cbor2.dumps({312: {3: {1: FOLDER}}, 6: NOW, 7: b"s"})),
    "more than is understood": cose(cbor2.dumps({312: {3: {1: FOLDER}}, 4: NOW + DAY_S, 6: NOW, 7: b"s", 999: 1})),
    "not a map": cose(cbor2.dumps([1, 2, 3])),
    "no CBOR": cose(b"\xff\xff\xff"),
    "deeply nested": cose(b"\x81" * 600),
    "a huge array announced": cose(b"\x9b\x7f\xff\xff\xff\xff\xff\xff\xff"),
    "a huge text announced": cose(b"\x7b\x7f\xff\xff\xff\xff\xff\xff\xff"),
    "an endless map": cose(b"\xbf" * 300),
    "a shared reference to itself": cose(b"\xd8\x1c\x81\xd8\x1d\x00"),
    "a big number": cose(b"\xc2\x59\x02\x00" + b"\xff" * 512),
    "a date": cose(b"\xc0\x74" + b"9999-99-99T99:99:99Z"),
    "a regular expression": cose(b"\xd8\x23\x68" + b"(a+)+b$("),
    "a bomb without a MAC": b64(b"\xd1\x84" + b"\x9b\x7f\xff\xff\xff\xff\xff\xff\xff" * 20),
    "a bomb of tags": b64(b"\xd1" * 700),
    "zeros": b64(bytes(700)),
    "longer than CloudFront takes": "A" * 1025,
    "a JWT with none": "eyJhbGciOiJub25lIn0.eyJzdWIiOiJzIn0.",
    "a star": "*",
    "a dot": ".",
    "percent": "%25",
    "empty": "",
}


@pytest.mark.parametrize("what", TOKENS)
def test_token_opens_nothing(edge: Any, what: str) -> None:
    refused = edge.request("/assets/nothing").without_date()
    answer = edge.request(f"/t/{TOKENS[what]}{SEGMENT}")
    assert (answer.status, answer.without_date()) == (403, refused)


@pytest.mark.parametrize("what", [what for what in TOKENS if not set(TOKENS[what]) & set("*.%=")])
def test_token_beside_good_cookies_opens_nothing(edge: Any, what: str) -> None:
    signed = edge.cookie(f"{FOLDER}*", not_before=SERIAL)["Cookie"]
    assert edge.request(SEGMENT, headers={"Cookie": f"{signed}; Penstock-Session={TOKENS[what]}"}).status == 403
    assert edge.request(SEGMENT, headers={"Cookie": f"{signed}; Penstock-Session={GOOD}"}).status == 200


@pytest.mark.parametrize("size", [1100, 65_536])
def test_endless_token_is_refused(edge: Any, size: int) -> None:
    status, _ = edge.raw(
        f"GET /t/{'A' * size}{SEGMENT} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode()
    )
    assert status in (403, 414, 431)
    cookie = f"Penstock-Session={'A' * size}"
    request = f"GET {SEGMENT} HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: {cookie}\r\nConnection: close\r\n\r\n"
    assert edge.raw(request.encode())[0] in (403, 431)


PATHS = [
    THEIRS,
    f"{FOLDER}../../theirs/stream/1.m4s",
    f"{FOLDER}%2e%2e/%2e%2e/theirs/stream/1.m4s",
    f"{FOLDER}..%2f..%2ftheirs%2fstream%2f1.m4s",
    f"{FOLDER}..%5c..%5ctheirs%5cstream%5c1.m4s",
    f"{FOLDER}%252e%252e%252f%252e%252e%252ftheirs/stream/1.m4s",
    f"{FOLDER}./../../theirs/stream/1.m4s",
    f"{FOLDER}%c0%ae%c0%ae/x",
    f"{FOLDER}1.m4s%00",
    f"{FOLDER}%00/1.m4s",
    f"{FOLDER}1.m4s%0d%0aX-Injected:%201",
    "/ASSETS/mine/stream/1.m4s",
    "/assets/Mine/stream/1.m4s",
    "/assets/mine/Stream/1.m4s",
    "//assets/mine/stream/1.m4s",
    "/assets//mine/stream/1.m4s",
    "/assets%2fmine/../theirs/stream/1.m4s",
    "/assets/mine/stream",
    "/assets/mine/streams/1.m4s",
    "/assets/mine/stream%2f..%2f..%2ftheirs/stream/1.m4s",
    f"{FOLDER}{'a' * 4000}",
]


@pytest.mark.parametrize("path", PATHS)
def test_path_leads_to_nothing_else(edge: Any, path: str) -> None:
    signed = edge.cookie(f"{FOLDER}*", not_before=SERIAL)["Cookie"]
    cookie = {"Cookie": f"{signed}; Penstock-Session={GOOD}"}
    assert edge.request(f"/t/{GOOD}{path}").status == 403
    assert edge.request(path, headers=cookie).status == 403


def document(statements: Any) -> bytes:
    return json.dumps({"Statement": statements}, separators=(",", ":")).encode()


def statement(resource: str, **condition: Any) -> dict[str, Any]:
    usual = {"DateLessThan": {"AWS:EpochTime": NOW + DAY_S}}
    return {"Resource": resource, "Condition": {**usual, **condition}}


POLICIES: dict[str, Callable[[str], bytes]] = {
    "two statements": lambda url: document([statement(f"{url}{FOLDER}*"), statement(f"{url}/assets/theirs/*")]),
    "no statement": lambda url: document([]),
    "a statement twice": lambda url: document([statement(f"{url}{FOLDER}*")])[:-1] + b',"Statement":[]}',
    "another asset": lambda url: document([statement(f"{url}/assets/theirs/*")]),
    "a wildcard that ends before": lambda url: document([statement(f"{url}/assets/m*/x")]),
    "another host": lambda url: document([statement(f"http://elsewhere.test{FOLDER}*")]),
    "another scheme": lambda url: document([statement(f"https://{url.partition('//')[2]}{FOLDER}*")]),
    "an encoded slash": lambda url: document([statement(f"{url}/assets%2Fmine/stream/*")]),
    "mixed case": lambda url: document([statement(f"{url}/Assets/mine/stream/*")]),
    "dots": lambda url: document([statement(f"{url}/assets/theirs/../mine/stream/*")]),
    "a null byte": lambda url: document([statement(f"{url}{FOLDER}\0*")]),
    "expired": lambda url: document([statement(f"{url}{FOLDER}*", DateLessThan={"AWS:EpochTime": NOW - 1})]),
    "not yet": lambda url: document([statement(f"{url}{FOLDER}*", DateGreaterThan={"AWS:EpochTime": NOW + DAY_S})]),
    "no expiry": lambda url: document([{"Resource": f"{url}{FOLDER}*", "Condition": {}}]),
    "an unknown condition": lambda url: document([statement(f"{url}{FOLDER}*", StringEquals={"a": "b"})]),
    "an expiry in text": lambda url: document([statement(f"{url}*", DateLessThan={"AWS:EpochTime": "9999999999"})]),
    "an endless expiry": lambda url: document([statement(f"{url}*", DateLessThan={"AWS:EpochTime": 10**400})]),
    "another address": lambda url: document([statement(f"{url}*", IpAddress={"AWS:SourceIp": "203.0.113.1"})]),
    "no address": lambda url: document([statement(f"{url}*", IpAddress={"AWS:SourceIp": "nowhere"})]),
    "not JSON": lambda url: b"{",
    "deep JSON": lambda url: b"[" * 4000,
    "too long": lambda url: document([statement(f"{url}{FOLDER}*" + "*" * 5000)]),
    "stars that backtrack": lambda url: document([statement(f"{url}/" + "*a" * 900 + "b")]),
}


@pytest.mark.parametrize("what", POLICIES)
def test_policy_with_a_good_signature_opens_nothing(edge: Any, what: str) -> None:
    text = POLICIES[what](edge.url)
    key = serialization.load_pem_private_key(edge.keys.private["rsa"], None)
    signature = key.sign(text, padding.PKCS1v15(), hashes.SHA1())
    policy, signed = (
        base64.b64encode(raw).decode().translate(str.maketrans("+=/", "-_~")) for raw in (text, signature)
    )
    cookies = {"CloudFront-Policy": policy, "CloudFront-Signature": signed, "CloudFront-Key-Pair-Id": "rsa"}
    began = time.monotonic()
    answer = edge.request(SEGMENT, headers={"Cookie": "; ".join(f"{n}={v}" for n, v in cookies.items())})
    assert answer.status == 403
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("change", ["signature", "policy", "key pair id", "missing", "doubled"])
def test_cookies_that_were_changed_open_nothing(edge: Any, change: str) -> None:
    made = edge.signer().cookies(Policy(f"{edge.url}{FOLDER}*", NOW + DAY_S))
    other = edge.signer().cookies(Policy(f"{edge.url}/assets/*", NOW + DAY_S))
    stranger = Signer(edge.keys.stranger, "rsa").cookies(Policy(f"{edge.url}{FOLDER}*", NOW + DAY_S))
    header = "; ".join(f"{name}={value}" for name, value in made.items())
    changed = {
        "signature": header.replace(made["CloudFront-Signature"], stranger["CloudFront-Signature"]),
        "policy": header.replace(made["CloudFront-Policy"], other["CloudFront-Policy"]),
        "key pair id": header.replace("Key-Pair-Id=rsa", "Key-Pair-Id=ec"),
        "missing": header.replace("CloudFront-Signature", "CloudFront-Signatur"),
        "doubled": f"{header}; CloudFront-Policy={other['CloudFront-Policy']}",
    }
    assert edge.request(SEGMENT, headers={"Cookie": header}).status == 200
    assert edge.request(SEGMENT, headers={"Cookie": changed[change]}).status == 403


@pytest.mark.parametrize("proof", ["", ".", "..", "a.b.c", "e30.e30.e30", "%00", "[" * 3000, "A" * 7000, "\u00e9"])
def test_what_is_no_proof_opens_nothing(edge: Any, proof: str) -> None:
    token = minted(binding=Binding(key_thumbprint=BrowserKey().thumbprint))
    request = f"GET /t/{token}{SEGMENT} HTTP/1.1\r\nHost: 127.0.0.1\r\nDPoP: {proof}\r\nConnection: close\r\n\r\n"
    assert edge.raw(request.encode("latin-1"))[0] in (400, 403)


def test_clock_that_is_a_little_off_locks_nobody_out(edge: Any) -> None:
    assert edge.request(f"/t/{minted(issued=int(time.time()) + tokens.AHEAD_S - 20)}{SEGMENT}").status == 200


def test_good_token_still_opens_and_the_log_tells_nothing(edge: Any) -> None:
    assert edge.request(f"/t/{GOOD}{SEGMENT}").status == 200
    log = edge.log
    assert " 500 " not in log
    assert "Traceback" not in log
    assert GOOD[:40] not in log
    for what, token in TOKENS.items():
        assert len(token) < 40 or token[20:60] not in log, what
    assert "CloudFront-Policy=" not in log
    assert "\nX-Injected" not in log
