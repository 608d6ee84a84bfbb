"""The two web components in the page of another application, as web/README.md shows them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import httpx
from playwright.sync_api import Page, expect

from browser.pages import Opener, play
from running_stack import RunningStack

PLAYER_PAGE = """<!doctype html><html lang="en"><title>My cinema</title>
<script type="module" src="/studio/embed/penstock-player.js"></script>
<penstock-player session="{id}"></penstock-player>
<script type="module">
  const player = document.querySelector("penstock-player");
  player.addEventListener("penstock-error", (event) => {{ window.failure = event.detail.message; }});
  player.token = "{license_token}";
  player.load();
</script>"""

# The key stays with the application's own server: here the test, which answers below /my-server/.
UPLOADER = """async () => {
  window.told = [];
  for (const type of ["start", "end", "error"]) {
    addEventListener(`penstock-upload-${type}`, ({detail}) => told.push([type, detail.fileName, detail.assetId]));
  }
  await import("/studio/embed/penstock-uploader.js");
  const uploader = document.createElement("penstock-uploader");
  uploader.setAttribute("endpoint", "/my-server");
  document.body.replaceChildren(uploader);
}"""


def _serve(page: Page, url: str, html: str) -> None:
    page.route(f"{url}/own.html", lambda route: route.fulfill(body=html, content_type="text/html"))
    page.goto(f"{url}/own.html")


def test_player_plays_in_a_page_of_another_application(
    stack: RunningStack, open_page: Opener, session: dict[str, Any]
) -> None:
    page = open_page()
    _serve(page, stack.env["PENSTOCK_URL"], PLAYER_PAGE.format(**session))
    expect(page.locator("penstock-player")).to_have_attribute("data-state", "ready")
    assert play(page)["frames"] > 5
    assert session["license_token"] not in page.locator("penstock-player").evaluate("player => player.outerHTML")


def test_player_tells_the_application_of_an_error(
    stack: RunningStack, open_page: Opener, session: dict[str, Any]
) -> None:
    page = open_page()
    _serve(page, stack.env["PENSTOCK_URL"], PLAYER_PAGE.format(id=session["id"], license_token="x"))
    expect(page.locator("penstock-player")).to_have_attribute("data-state", "error")
    assert re.match(r"[A-Z].*\.$", page.evaluate("window.failure"))


def test_uploader_goes_through_the_server_of_another_application(
    stack: RunningStack, open_page: Opener, film: Path
) -> None:
    url = stack.env["PENSTOCK_URL"]
    page = open_page()

    def forward(route: Any) -> None:
        answer = httpx.request(
            route.request.method,
            route.request.url.replace("/my-server/", "/v1/"),
            content=route.request.post_data_buffer,
            headers=stack.bearer | {"Content-Type": "application/json"},
        )
        route.fulfill(status=answer.status_code, body=answer.content, content_type="application/json")

    page.route(f"{url}/my-server/**", forward)
    # A page that really comes from this machine: Chromium lets no other reach storage on it.
    page.goto(f"{url}/healthz")
    page.evaluate(UPLOADER)
    page.locator("penstock-uploader input").set_input_files(film)
    page.wait_for_function("() => told.some(([type]) => type !== 'start')")
    told = page.evaluate("told")
    assert [(type_, name) for type_, name, _ in told] == [("start", film.name), ("end", film.name)]
    assert stack.wait_for(told[-1][2])["state"] == "published"


def test_their_addresses_stay_and_what_they_lead_to_may_be_kept(stack: RunningStack) -> None:
    url = stack.env["PENSTOCK_URL"]
    for name in ("penstock-player", "penstock-uploader"):
        answer = httpx.get(f"{url}/studio/embed/{name}.js")
        assert answer.status_code == 200
        (first, *_) = re.findall(r'from"\.\./(static/[\w-]+\.js)"', answer.text)
        kept = httpx.get(f"{url}/studio/{first}")
        assert "immutable" in kept.headers["cache-control"]
