"""The CloudFront Function against tokens and cookies that penstock makes: what it lets through, what it refuses."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from penstock.formats import binding, tokens
from penstock.formats.binding import Binding
from penstock.formats.cookies import Policy, Signer, generate_key_pair
from penstock.formats.tokens import Claims, PathClaims

FUNCTION = Path(__file__).parents[2] / "src" / "penstock" / "deploy" / "viewer-request.js"
RUNNER = Path(__file__).with_name("run_function.mjs")
NOW = int(time.time())
DAY_S = 86_400  # longer than any run of all tests: what is made when they are collected must hold to their end
OLD, NEW = "o" * 43, "n" * 43
FOLDER = "/assets/a/default/stream/"
KEYS = {"path-token-keys": json.dumps([NEW, OLD])}

pytestmark = pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")


def token(key: str = NEW, path: str = FOLDER, expires: int = NOW + DAY_S, **claims: Any) -> str:
    return tokens.mint_path(PathClaims("session-1", path, expires, NOW, **claims), key.encode(), "k")


def run(uris: list[str], store: Mapping[str, str] = KEYS, **request: Any) -> list[str | int]:
    """What comes of each request: the path at the origin, or the status of the refusal."""
    viewer = {"ip": request.pop("ip", "203.0.113.7")}
    usual = {"cookies": {}, "querystring": {}, "headers": {}}
    events = [{"viewer": viewer, "request": {"uri": uri, **usual, **request}} for uri in uris]
    told = json.dumps({"source": FUNCTION.read_text(), "store": dict(store), "events": events})
    done = subprocess.run(["node", RUNNER], input=told, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 0, done.stderr
    return [answer.get("uri") or answer["statusCode"] for answer in json.loads(done.stdout)]


def test_token_opens_its_folder_and_the_origin_sees_no_token() -> None:
    for key in (NEW, OLD):
        assert run([f"/t/{token(key)}{FOLDER}main.mpd"]) == [f"{FOLDER}main.mpd"]


def test_token_opens_nothing_else() -> None:
    good = token()
    elsewhere = ["/assets/b/default/stream/x", "/assets/a/default/streams/x", "/assets/a/x", "/", "//x", "/v1/assets"]
    tricks = [f"{FOLDER}../../../b/x", f"{FOLDER}%2e%2e/x", f"{FOLDER}..%2fx", f"{FOLDER}%252e%252e/x", f"{FOLDER}\\x"]
    broken = [f"{FOLDER}%zz", f"{FOLDER}%00", f"{FOLDER}.", f"{FOLDER}/x"]
    paths = [f"/t/{good}{path}" for path in elsewhere + tricks + broken]
    assert run(paths) == [403] * len(paths)


def test_what_is_no_token_of_ours_opens_nothing() -> None:
    good = token()
    license_token = tokens.mint(Claims("session-1", "a", NOW + DAY_S, NOW), NEW.encode(), "k")
    flipped = good[:40] + ("A" if good[40] != "A" else "B") + good[41:]
    bad = [flipped, good[:-4], good[4:], "x", "", "A" * 1025, token("x" * 43), license_token, "9" + "f" * 200]
    expired = token(expires=NOW - 1)
    no_folder = token(path="/assets/a")
    future = tokens.mint_path(PathClaims("session-1", FOLDER, NOW + 2 * DAY_S, NOW + DAY_S), NEW.encode(), "k")
    every = [f"/t/{each}{FOLDER}x" for each in [*bad, expired, no_folder, future]]
    assert run([*every, "/t/", "/t", f"/t/{good}"])[: len(every) + 1] == [403] * (len(every) + 1)
    assert run([f"/t/{good}"]) == [403]


def test_without_keys_no_token_opens_anything() -> None:
    for store in ({}, {"path-token-keys": "[]"}, {"path-token-keys": "{"}):
        assert run([f"/t/{token()}{FOLDER}x"], store) == [403]


def test_ended_session_opens_nothing() -> None:
    assert run([f"/t/{token()}{FOLDER}x"], {**KEYS, "revoked/session-1": ""}) == [403]
    assert run([f"/t/{token()}{FOLDER}x"], {**KEYS, "revoked/session-2": ""}) == [f"{FOLDER}x"]


@pytest.mark.parametrize("way", ["cookies", "querystring"])
def test_cookie_and_address_of_an_ended_session_are_refused(way: str) -> None:
    signer = Signer(generate_key_pair()[0], "k")

    def request(serial: int | None) -> dict[str, Any]:
        made = signer.cookies(Policy("https://v.example/assets/a/*", NOW + DAY_S, not_before=serial))
        beside = {"Penstock-Session": {"value": token(serial=serial)}}
        if way == "cookies":
            return {"cookies": {"CloudFront-Policy": {"value": made["CloudFront-Policy"]}, **beside}}
        return {"querystring": {"Policy": {"value": made["CloudFront-Policy"]}}, "cookies": beside}

    store = {**KEYS, "revoked/4711": "", f"revoked/{NOW - 5}": ""}
    assert run([f"{FOLDER}x"], store, **request(4711)) == [403]
    for other in (4712, NOW - 5, None):
        assert run([f"{FOLDER}x"], store, **request(other)) == [f"{FOLDER}x"]
    assert run([f"{FOLDER}x"], store) == [f"{FOLDER}x"]  # CloudFront itself has refused it before


def test_cookies_of_a_session_open_nothing_without_the_token_of_the_same_session() -> None:
    signer = Signer(generate_key_pair()[0], "k")
    made = signer.cookies(Policy("https://v.example/assets/a/*", NOW + DAY_S, not_before=4711))
    policy = {"CloudFront-Policy": {"value": made["CloudFront-Policy"]}}

    def status(**beside: Any) -> str | int:
        return run([f"{FOLDER}x"], cookies={**policy, **beside})[0]

    good = {"value": token(serial=4711)}
    assert status(**{"Penstock-Session": good}) == f"{FOLDER}x"
    assert status() == 403
    for bad in (token(serial=4712), token(), token(serial=4711, path="/assets/b/"), token(key="x" * 43, serial=4711)):
        assert status(**{"Penstock-Session": {"value": bad}}) == 403
    assert status(**{"Penstock-Session": {**good, "multiValue": [good, good]}}) == 403


def test_bound_token_opens_for_the_viewer_that_is_meant() -> None:
    user_agent = "Mozilla/5.0 \u00e9"
    bound = Binding("203.0.113.0/24", 64500, "CH", binding.hash_of(user_agent))
    told = {
        "cloudfront-viewer-asn": {"value": "64500"},
        "cloudfront-viewer-country": {"value": "CH"},
        "user-agent": {"value": user_agent},
    }
    path = f"/t/{token(binding=bound)}{FOLDER}x"
    assert run([path], headers=told) == [f"{FOLDER}x"]
    assert run([path], headers=told, ip="203.0.114.7") == [403]
    assert run([path], headers=told, ip="2001:db8::1") == [403]
    for name in told:
        assert run([path], headers={**told, name: {"value": "other"}}) == [403]
        assert run([path], headers={each: value for each, value in told.items() if each != name}) == [403]


def test_what_a_function_cannot_check_is_refused() -> None:
    for bound in (Binding("2001:db8::/32"), Binding(key_thumbprint="0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I")):
        assert run([f"/t/{token(binding=bound)}{FOLDER}x"], ip="2001:db8::1") == [403]
    assert run([f"/t/{token(binding=Binding('0.0.0.0/0'))}{FOLDER}x"]) == [f"{FOLDER}x"]


def test_function_is_small_enough() -> None:
    assert len(FUNCTION.read_bytes()) <= 10 * 1024
