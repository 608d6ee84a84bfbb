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

from penstock.formats import tokens
from penstock.formats.cookies import Policy, Signer, generate_key_pair
from penstock.formats.tokens import Claims, PathClaims

FUNCTION = Path(__file__).parents[2] / "src" / "penstock" / "deploy" / "viewer-request.js"
RUNNER = Path(__file__).with_name("run_function.mjs")
NOW = int(time.time())
OLD, NEW = "o" * 43, "n" * 43
FOLDER = "/assets/a/default/stream/"
KEYS = {"path-token-keys": json.dumps([NEW, OLD])}

pytestmark = pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")


def token(key: str = NEW, path: str = FOLDER, expires: int = NOW + 600) -> str:
    return tokens.mint_path(PathClaims("session-1", path, expires, NOW), key.encode(), "k")


def run(uris: list[str], store: Mapping[str, str] = KEYS, **request: Any) -> list[str | int]:
    """What comes of each request: the path at the origin, or the status of the refusal."""
    events = [{"request": {"uri": uri, "cookies": {}, "querystring": {}, **request}} for uri in uris]
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
    license_token = tokens.mint(Claims("session-1", "a", NOW + 600, NOW), NEW.encode(), "k")
    flipped = good[:40] + ("A" if good[40] != "A" else "B") + good[41:]
    bad = [flipped, good[:-4], good[4:], "x", "", "A" * 1025, token("x" * 43), license_token, "9" + "f" * 200]
    expired = token(expires=NOW - 1)
    no_folder = token(path="/assets/a")
    every = [f"/t/{each}{FOLDER}x" for each in [*bad, expired, no_folder]]
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
        made = signer.cookies(Policy("https://v.example/assets/a/*", NOW + 60, not_before=serial))
        name = "CloudFront-Policy" if way == "cookies" else "Policy"
        return {way: {name: {"value": made["CloudFront-Policy"]}}}

    store = {**KEYS, "revoked/4711": "", f"revoked/{NOW - 5}": ""}
    assert run([f"{FOLDER}x"], store, **request(4711)) == [403]
    for other in (4712, NOW - 5, None):
        assert run([f"{FOLDER}x"], store, **request(other)) == [f"{FOLDER}x"]
    assert run([f"{FOLDER}x"], store) == [f"{FOLDER}x"]  # CloudFront itself has refused it before


def test_function_is_small_enough() -> None:
    assert len(FUNCTION.read_bytes()) <= 10 * 1024
