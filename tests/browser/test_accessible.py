"""Everybody can use it: axe finds nothing, the keyboard is enough, a phone shows it without sideways scrolling."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from browser.pages import Opener, sign_in
from conftest import REPOSITORY
from running_stack import RunningStack

AXE = REPOSITORY / "web" / "node_modules" / "axe-core" / "axe.min.js"
PHONE: dict[str, Any] = {"viewport": {"width": 360, "height": 740}, "is_mobile": True, "has_touch": True}
SMALLEST: dict[str, Any] = {"viewport": {"width": 320, "height": 568}, "is_mobile": True, "has_touch": True}
DESKTOP: dict[str, Any] = {"viewport": {"width": 1280, "height": 800}}
LONG_TITLE = "A_title_without_any_spaces_that_goes_on_for_longer_than_any_telephone_is_wide_and_then_some_more.mp4"

look = pytest.mark.parametrize(
    "options",
    [DESKTOP | {"color_scheme": "light"}, DESKTOP | {"color_scheme": "dark"}, PHONE | {"color_scheme": "dark"}],
    ids=["light", "dark", "phone"],
)


def _violations(page: Page) -> list[str]:
    if not AXE.exists():
        pytest.skip("axe-core is not installed (npm ci in web/)")
    page.evaluate(AXE.read_text())
    result = page.evaluate("axe.run({resultTypes: ['violations']})")
    return [
        f"{v['id']}: {node['target']} {node['failureSummary']}" for v in result["violations"] for node in v["nodes"]
    ]


@look
def test_sign_in_is_accessible(stack: RunningStack, open_page: Opener, options: dict[str, Any]) -> None:
    page = open_page(**options)
    page.goto(stack.env["PENSTOCK_URL"])
    page.get_by_label("API key").wait_for()
    assert _violations(page) == []


@look
def test_studio_is_accessible(
    stack: RunningStack, open_page: Opener, options: dict[str, Any], asset: dict[str, Any], tmp_path: Path
) -> None:
    page = sign_in(open_page(**options), stack)
    (tmp_path / "empty.mp4").touch()
    page.locator("penstock-uploader input").set_input_files(tmp_path / "empty.mp4")
    expect(page.get_by_text("This file is empty.", exact=True)).to_be_visible()
    page.get_by_role("button", name=f"Watch {asset['title']}").first.wait_for()
    for part in ("Suspicious sessions", "Webhooks"):
        page.get_by_text(part, exact=True).click()
        expect(page.locator("details", has_text=part).locator(".empty, ul")).not_to_have_count(0)
    assert _violations(page) == []


@look
def test_question_before_deleting_is_accessible(
    stack: RunningStack, open_page: Opener, options: dict[str, Any], asset: dict[str, Any]
) -> None:
    page = sign_in(open_page(**options), stack)
    page.get_by_role("button", name=f"Delete {asset['title']}").first.click()
    expect(page.get_by_role("button", name="Keep")).to_be_focused()
    assert _violations(page) == []


@look
def test_watch_page_is_accessible(open_page: Opener, options: dict[str, Any], session: dict[str, Any]) -> None:
    page = open_page(**options)
    page.goto(session["watch_url"])
    expect(page.get_by_role("heading", name="Harbour at night")).to_be_visible()
    assert _violations(page) == []


def test_sentence_of_a_broken_link_is_accessible(open_page: Opener, session: dict[str, Any]) -> None:
    page = open_page()
    page.goto(session["watch_url"].partition("#")[0])
    expect(page.get_by_role("alert")).to_contain_text("new one")
    assert _violations(page) == []


@pytest.mark.parametrize("options", [PHONE, SMALLEST], ids=["360", "320"])
def test_nothing_is_wider_than_a_phone(
    stack: RunningStack, open_page: Opener, options: dict[str, Any], session: dict[str, Any], tmp_path: Path
) -> None:
    page = sign_in(open_page(**options), stack)
    (tmp_path / LONG_TITLE).touch()
    page.locator("penstock-uploader input").set_input_files(tmp_path / LONG_TITLE)
    expect(page.get_by_text("This file is empty.", exact=True)).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    page.goto(session["watch_url"])
    expect(page.get_by_role("heading", name="Harbour at night")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0


def test_buttons_are_large_enough_for_a_finger(stack: RunningStack, open_page: Opener, asset: dict[str, Any]) -> None:
    page = sign_in(open_page(**PHONE), stack)
    page.get_by_role("button", name=f"Watch {asset['title']}").first.wait_for()
    for button in page.get_by_role("button").all():
        box = button.bounding_box()
        assert box is not None
        assert box["height"] >= 44, button
        assert box["width"] >= 40, button


def test_keyboard_reaches_everything_and_shows_where_it_is(
    stack: RunningStack, open_page: Opener, asset: dict[str, Any]
) -> None:
    page = sign_in(open_page(), stack)
    page.get_by_role("button", name=f"Watch {asset['title']}").first.wait_for()
    reached = []
    for _ in range(6):
        page.keyboard.press("Tab")
        reached.append(page.evaluate(FOCUSED))
    names = [name for name, _ in reached]
    assert names[:3] == ["Skip to the films", "Sign out", "Choose files"]
    assert any(name.startswith(("Watch ", "Delete ")) for name in names[3:])
    assert all(is_outlined for _, is_outlined in reached), reached


FOCUSED = """() => {
  let element = document.activeElement;
  while (element.shadowRoot?.activeElement) element = element.shadowRoot.activeElement;
  const { outlineStyle, outlineWidth } = getComputedStyle(element);
  return [element.ariaLabel ?? element.textContent, outlineStyle !== "none" && parseFloat(outlineWidth) >= 2];
}"""


def test_delete_by_keyboard_can_be_taken_back(stack: RunningStack, open_page: Opener, asset: dict[str, Any]) -> None:
    page = sign_in(open_page(), stack)
    delete = page.get_by_role("button", name=f"Delete {asset['title']}").first
    delete.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Enter")  # the focus is on Keep
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(delete).to_be_focused()


def test_motion_stops_for_those_who_ask(stack: RunningStack, open_page: Opener) -> None:
    page = sign_in(open_page(reduced_motion="reduce"), stack)
    page.evaluate(
        "document.querySelector('.shelf').innerHTML = '<li class=\"asset converting\"><span class=state>x</span></li>'"
    )
    assert page.evaluate("getComputedStyle(document.querySelector('.state'), '::before').animationName") == "none"
