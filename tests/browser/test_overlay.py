"""The viewer's name over the picture: it is there, moves, comes back, and tells when somebody took it away."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, expect

from api_parts import until
from browser.pages import Opener, play
from running_stack import RunningStack

STAGE = "document.querySelector('penstock-player').shadowRoot.querySelector('.stage')"
OVERLAY = f"[...{STAGE}.children].find(each => each.localName === 'div' && each.ariaHidden === 'true')"


@pytest.fixture
def named(stack: RunningStack, asset: dict[str, Any]) -> dict[str, Any]:
    """A session whose viewer is shown."""
    address = f"{stack.env['PENSTOCK_URL']}/v1/assets/{asset['id']}/playback-sessions"
    answer = httpx.post(address, json={"viewer": "Ada 4711", "overlay": True}, headers=stack.bearer)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def opened(open_page: Opener, session: dict[str, Any]) -> Page:
    page = open_page()
    page.goto(session["watch_url"])
    expect(page.get_by_role("heading", name="Harbour at night")).to_be_visible()
    page.locator("video").evaluate("video => { video.loop = true; video.muted = true; }")
    return page


def place(page: Page) -> list[float]:
    """Where the name stands; it is in a closed shadow tree, which only the browser's own tools look into."""
    tools = page.context.new_cdp_session(page)

    def find(node: dict[str, Any]) -> int | None:
        below = [*node.get("children", []), *node.get("shadowRoots", [])]
        if any(each.get("nodeValue") == "Ada 4711" for each in below):
            return int(node["nodeId"])
        return next((found for each in below if (found := find(each)) is not None), None)

    root = tools.send("DOM.getDocument", {"depth": -1, "pierce": True})["root"]
    box: list[float] = tools.send("DOM.getBoxModel", {"nodeId": find(root)})["model"]["content"]
    tools.detach()
    return box


def signals(stack: RunningStack, session: dict[str, Any]) -> list[str]:
    with stack.client as client:
        return [each["sentence"] for each in client.playback_session(session["id"])["signals"]]


def test_overlay_is_over_the_picture_and_moves(open_page: Opener, named: dict[str, Any]) -> None:
    page = opened(open_page, named)
    assert play(page)["frames"] > 5
    first, video = place(page), page.locator("video")
    frame = video.bounding_box()
    assert frame is not None
    assert frame["x"] < first[0] < first[2] < frame["x"] + frame["width"]
    assert frame["y"] < first[1] < first[5] < frame["y"] + frame["height"]
    until(lambda: place(page) != first, 20)
    assert "nofullscreen" in str(video.get_attribute("controlslist"))
    page.get_by_role("button", name="Full screen").click()
    page.wait_for_function(f"() => ({STAGE}).matches(':fullscreen')")


def test_without_overlay_there_is_none(open_page: Opener, session: dict[str, Any]) -> None:
    page = opened(open_page, session)
    assert page.evaluate(f"() => ({OVERLAY}) === undefined")
    assert page.locator("video").get_attribute("controlslist") is None


STYLES = [["display", "none"], ["opacity", "0"], ["left", "-9999px"], ["clip-path", "inset(50%)"]]


def test_overlay_comes_back_and_the_api_hears_of_it(
    stack: RunningStack, open_page: Opener, named: dict[str, Any]
) -> None:
    page = opened(open_page, named)
    # Styles of the page do not reach it at all.
    page.evaluate(
        f"styles => {{ for (const [name, value] of styles) ({OVERLAY}).style.setProperty(name, value, 'important'); }}",
        STYLES,
    )
    page.evaluate(f"() => {{ ({OVERLAY}).hidden = true; }}")
    look = f"() => {{ const s = getComputedStyle({OVERLAY}); return [s.display, s.opacity, s.left, s.clipPath]; }}"
    assert page.evaluate(look) == ["block", "1", "0px", "none"]
    for harm in ("remove()", "replaceWith(document.createElement('i'))"):
        page.evaluate(f"() => {{ window.old = {OVERLAY}; window.old.{harm}; }}")
        page.wait_for_function(f"() => {{ const now = {OVERLAY}; return now !== undefined && now !== window.old; }}")
    until(lambda: any("tampered" in sentence for sentence in signals(stack, named)), 20)
    assert play(page)["frames"] > 5


def test_film_stops_for_a_script_that_does_not_give_up(open_page: Opener, named: dict[str, Any]) -> None:
    page = opened(open_page, named)
    page.evaluate(
        f"""() => {{
          const away = () => ({OVERLAY})?.remove();
          new MutationObserver(away).observe({STAGE}, {{childList: true}});
          away();
        }}"""
    )
    expect(page.get_by_role("alert")).to_contain_text("name was taken from it")
    expect(page.locator("video")).to_be_hidden()
