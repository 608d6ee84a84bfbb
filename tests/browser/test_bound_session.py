"""A session that is bound to a browser's key: its browser plays, and nothing that is copied out of it does."""

from __future__ import annotations

import subprocess
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, expect

from browser.pages import Opener, play
from running_stack import RunningStack

USED = {"CloudFront-Policy", "CloudFront-Signature", "CloudFront-Key-Pair-Id", "Penstock-Session"}


@pytest.fixture
def keyed(stack: RunningStack, asset: dict[str, Any]) -> dict[str, Any]:
    address = f"{stack.env['PENSTOCK_URL']}/v1/assets/{asset['id']}/playback-sessions"
    terms = {"viewer": "bound", "binding": {"dpop": True}}
    answer = httpx.post(address, json=terms, headers=stack.bearer)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def curl(request: Any, headers: dict[str, str]) -> int:
    """What the browser's own "copy as cURL" makes of a request."""
    command = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-X", request.method, "--max-time", "20"]
    for name, value in headers.items():
        command += ["-H", f"{name}: {value}"]
    if body := request.post_data:
        command += ["--data-raw", body]
    done = subprocess.run([*command, request.url], capture_output=True, text=True, check=True)
    return int(done.stdout)


def watched(page: Page, address: str) -> list[Any]:
    """Requests for media and licenses that the page made while it began to play."""
    requests: list[Any] = []
    page.on("request", lambda request: requests.append(request))
    page.goto(address)
    expect(page.get_by_role("heading", name="Harbour at night")).to_be_visible()
    assert play(page)["frames"] > 5
    return [each for each in requests if "/default/stream/" in each.url or "/licenses/" in each.url]


def test_browser_that_claims_it_plays_and_a_copied_request_does_not(open_page: Opener, keyed: dict[str, Any]) -> None:
    page = open_page()
    requests = watched(page, keyed["watch_url"])
    kinds = {kind: [each for each in requests if kind in each.url] for kind in (".mpd", ".cmfv", "/licenses/")}
    assert all(kinds.values())
    assert {cookie["name"] for cookie in page.context.cookies(keyed["dash_url"])} == USED
    for found in kinds.values():
        headers = found[0].all_headers()
        assert headers["dpop"].count(".") == 2
        copied = {name: value for name, value in headers.items() if not name.startswith(":")}
        assert curl(found[0], copied) == 403
        assert curl(found[0], {name: value for name, value in copied.items() if name != "dpop"}) == 403


def test_reload_plays_on_with_the_same_key(open_page: Opener, keyed: dict[str, Any]) -> None:
    page = open_page()
    watched(page, keyed["watch_url"])
    page.reload()
    assert play(page)["frames"] > 5


def test_link_that_was_shared_does_not_play_in_another_browser(open_page: Opener, keyed: dict[str, Any]) -> None:
    watched(open_page(), keyed["watch_url"])
    other = open_page()
    other.goto(keyed["watch_url"])
    expect(other.get_by_role("alert")).to_be_visible()
    expect(other.locator("video")).to_be_hidden()


def test_private_key_cannot_be_taken_out_by_the_page(open_page: Opener, keyed: dict[str, Any]) -> None:
    page = open_page()
    watched(page, keyed["watch_url"])
    taken = """(id) => new Promise((resolve) => {
      indexedDB.open("penstock").onsuccess = ({ target }) => {
        const asked = target.result.transaction("keys").objectStore("keys").get(id);
        asked.onsuccess = () => crypto.subtle.exportKey("jwk", asked.result.privateKey)
          .then(() => resolve("exported"), (error) => resolve(error.name));
      };
    })"""
    assert page.evaluate(taken, keyed["id"]) == "InvalidAccessError"


def test_wrong_clock_of_the_browser_is_corrected(open_page: Opener, keyed: dict[str, Any]) -> None:
    page = open_page()
    page.add_init_script("const now = Date.now.bind(Date); Date.now = () => now() - 3 * 3600 * 1000;")
    watched(page, keyed["watch_url"])
