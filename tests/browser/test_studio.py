"""Studio in a real browser: upload, follow, watch, delete; by mouse, by drag and drop, and by keyboard."""

from __future__ import annotations

import base64
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, Request, Route, expect

from browser.pages import CONVERSION_MS, Opener, play, sign_in
from running_stack import RunningStack

DROP = """([name, content]) => {
  const bytes = Uint8Array.from(atob(content), (character) => character.charCodeAt(0));
  const files = new DataTransfer();
  files.items.add(new File([bytes], name, {type: "video/mp4"}));
  for (const type of ["dragover", "drop"]) {
    document.body.dispatchEvent(new DragEvent(type, {dataTransfer: files, bubbles: true, cancelable: true}));
  }
}"""


def _named(film: Path, folder: Path, name: str) -> Path:
    return Path(shutil.copy(film, folder / name))


def _row(page: Page, title: str) -> Any:
    return page.get_by_role("listitem").filter(has=page.get_by_role("heading", name=title, exact=True))


def _choose(page: Page, *files: Path) -> None:
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Choose files").click()
    chooser.value.set_files(files)


def _asset_ids(stack: RunningStack, title: str) -> list[str]:
    assets = httpx.get(f"{stack.env['PENSTOCK_URL']}/v1/assets", headers=stack.bearer).json()["assets"]
    return [asset["id"] for asset in assets if asset["title"] == title]


CAME_IN = re.compile("Converting|Packaging|Ready")
BUCKET = re.compile("/penstock-source")
ALLOWED = {"Access-Control-Allow-Origin": "*"}
LAST_PART = re.compile("partNumber=3")


def _hold(route: Route) -> None:
    """Leave a request without an answer, as a line that has gone dead does."""


def _is_part(request: Request) -> bool:
    return request.method == "PUT" and "partNumber=" in request.url


def test_chosen_film_is_uploaded_converted_and_watched(studio: Page, film: Path, tmp_path: Path) -> None:
    _choose(studio, _named(film, tmp_path, "chosen film.mp4"))
    row = _row(studio, "chosen film.mp4")
    expect(row).to_contain_text("Ready to watch", timeout=CONVERSION_MS)
    expect(row).to_contain_text("0:04")
    expect(row.locator("img")).to_be_visible()
    with studio.context.expect_page() as opened:
        studio.get_by_role("button", name="Watch chosen film.mp4").click()
    expect(opened.value.get_by_role("heading", name="chosen film.mp4")).to_be_visible()
    assert play(opened.value)["frames"] > 5


def test_progress_is_seen_while_a_film_converts(studio: Page, film: Path, tmp_path: Path) -> None:
    studio.evaluate(
        """() => {
          window.seen = new Set();
          const look = () => document.querySelectorAll(".state").forEach((state) => seen.add(state.textContent));
          new MutationObserver(look).observe(document, {subtree: true, childList: true, characterData: true});
        }"""
    )
    _choose(studio, _named(film, tmp_path, "followed.mp4"))
    expect(_row(studio, "followed.mp4")).to_contain_text("Ready to watch", timeout=CONVERSION_MS)
    seen = studio.evaluate("[...window.seen]")
    assert any(re.fullmatch(r"Converting( \d+ %)?", text) for text in seen), seen
    assert "followed.mp4 is ready to watch." in studio.locator("[aria-live]").all_text_contents()


DRAG = """([kind, to]) => {
  const files = new DataTransfer();
  files.items.add(new File(["x"], "a.mp4", {type: "video/mp4"}));
  const next = to === null ? null : document.querySelector(to);
  const options = {dataTransfer: files, relatedTarget: next, bubbles: true, cancelable: true};
  document.body.dispatchEvent(new DragEvent(kind, options));
}"""


def test_page_shows_that_a_film_over_it_may_be_dropped(studio: Page) -> None:
    invitation, frame = studio.get_by_text("Drop to add films"), studio.locator("penstock-uploader .frame")
    studio.evaluate(DRAG, ["dragover", None])
    expect(invitation).to_be_visible()
    studio.evaluate(DRAG, ["dragleave", "main"])  # into an element of the page
    expect(invitation).to_be_visible()
    expect(frame).to_be_visible()
    studio.evaluate(DRAG, ["dragleave", None])
    expect(invitation).to_have_count(0)
    expect(frame).to_be_hidden()


def test_dropped_film_is_uploaded(stack: RunningStack, studio: Page, film: Path) -> None:
    studio.evaluate(DROP, ["dropped film.mp4", base64.b64encode(film.read_bytes()).decode()])
    expect(studio.get_by_text(re.compile("bytes|kB")).first).to_be_visible()
    expect(_row(studio, "dropped film.mp4")).to_be_visible(timeout=30_000)
    (asset_id,) = _asset_ids(stack, "dropped film.mp4")
    assert stack.wait_for(asset_id)["state"] == "published"


@pytest.mark.parametrize("name", ["50 % + ünïcode & 'quotes'.mp4", "فيلم.mp4", "<img src=x onerror=alert(1)>.mp4"])
def test_ugly_file_names_are_shown_as_they_are(studio: Page, film: Path, tmp_path: Path, name: str) -> None:
    _choose(studio, _named(film, tmp_path, name))
    expect(_row(studio, name)).to_be_visible(timeout=30_000)


def test_file_that_is_no_film_fails_with_a_sentence(studio: Page, tmp_path: Path) -> None:
    path = tmp_path / "shopping list.mp4"
    path.write_text("milk, eggs, a film\n" * 100)
    _choose(studio, path)
    row = _row(studio, "shopping list.mp4")
    expect(row).to_contain_text("Failed", timeout=CONVERSION_MS)
    expect(row.locator(".problem")).to_have_text(re.compile(r"^\S.{15,}\.$"))
    expect(studio.get_by_role("button", name="Watch shopping list.mp4")).to_be_hidden()


def test_empty_file_is_refused_at_once(studio: Page, tmp_path: Path) -> None:
    path = tmp_path / "nothing.mp4"
    path.touch()
    _choose(studio, path)
    expect(studio.get_by_text("This file is empty.", exact=True)).to_be_visible()
    studio.get_by_role("button", name="Dismiss nothing.mp4").click()
    expect(studio.get_by_text("This file is empty.", exact=True)).to_be_hidden()


def test_several_files_go_up_together(studio: Page, film: Path, tmp_path: Path) -> None:
    names = [f"one of many {number}.mp4" for number in range(5)]
    _choose(studio, *(_named(film, tmp_path, name) for name in names))
    for name in names:
        expect(_row(studio, name)).to_be_visible(timeout=60_000)


def test_large_film_goes_up_in_parts_and_an_interrupted_part_is_sent_again(
    stack: RunningStack, studio: Page, large_film: Path, tmp_path: Path
) -> None:
    sent: list[str] = []

    def fail_once(route: Route) -> None:
        sent.append(re.findall(r"partNumber=(\d+)", route.request.url)[0])
        if sent.count("2") == 1 and sent[-1] == "2":
            route.abort("connectionreset")
        else:
            route.continue_()

    studio.route(lambda url: "partNumber=" in url, fail_once)
    _choose(studio, _named(large_film, tmp_path, "in parts.mp4"))
    expect(_row(studio, "in parts.mp4")).to_be_visible(timeout=60_000)
    assert sorted(sent) == ["1", "2", "2", "3"]
    (asset_id,) = _asset_ids(stack, "in parts.mp4")
    assert stack.wait_for(asset_id)["state"] == "published"


def test_upload_is_paused_and_resumed(stack: RunningStack, studio: Page, large_film: Path, tmp_path: Path) -> None:
    studio.route(LAST_PART, _hold)
    _choose(studio, _named(large_film, tmp_path, "paused.mp4"))
    expect(studio.get_by_text(re.compile("of 18 MB"))).to_be_visible()
    studio.get_by_role("button", name="Pause paused.mp4").click()
    expect(studio.get_by_text(re.compile("^Paused at"))).to_be_visible()
    studio.unroute(LAST_PART)
    studio.get_by_role("button", name="Resume paused.mp4").click()
    expect(_row(studio, "paused.mp4")).to_be_visible(timeout=60_000)
    (asset_id,) = _asset_ids(stack, "paused.mp4")
    assert stack.wait_for(asset_id)["state"] == "published"


def test_upload_goes_on_after_a_reload_with_the_same_file(
    stack: RunningStack, studio: Page, large_film: Path, tmp_path: Path
) -> None:
    path = _named(large_film, tmp_path, "interrupted.mp4")
    studio.route(LAST_PART, _hold)
    with studio.expect_event("requestfinished", _is_part), studio.expect_event("requestfinished", _is_part):
        _choose(studio, path)
    studio.on("dialog", lambda dialog: dialog.accept())
    studio.reload()
    expect(studio.get_by_text(re.compile("Stopped at .* % of 18 MB"))).to_be_visible()

    studio.unroute(LAST_PART)
    sent: list[Request] = []
    studio.on("request", lambda request: sent.append(request) if _is_part(request) else None)
    with studio.expect_file_chooser() as chooser:
        studio.get_by_role("button", name="Choose interrupted.mp4 again").click()
    chooser.value.set_files(path)
    expect(_row(studio, "interrupted.mp4")).to_contain_text(CAME_IN, timeout=60_000)
    assert [re.findall(r"partNumber=(\d+)", request.url)[0] for request in sent] == ["3"]
    (asset_id,) = _asset_ids(stack, "interrupted.mp4")
    assert stack.wait_for(asset_id)["state"] == "published"


def test_upload_says_that_it_waits_for_the_connection_and_goes_on_with_it(
    stack: RunningStack, studio: Page, large_film: Path, tmp_path: Path
) -> None:
    held: list[Route] = []
    studio.route(LAST_PART, lambda route: held.append(route))
    with studio.expect_request(LAST_PART):
        _choose(studio, _named(large_film, tmp_path, "offline.mp4"))
    studio.context.set_offline(True)
    expect(studio.get_by_text("waiting for the connection")).to_be_visible()
    held.pop(0).abort("internetdisconnected")
    studio.unroute(LAST_PART)
    studio.context.set_offline(False)
    expect(studio.get_by_text("waiting for the connection")).to_have_count(0)
    expect(_row(studio, "offline.mp4")).to_contain_text(CAME_IN, timeout=60_000)
    (asset_id,) = _asset_ids(stack, "offline.mp4")
    assert stack.wait_for(asset_id)["state"] == "published"


def test_small_upload_waits_as_long_as_the_browser_is_offline(studio: Page, film: Path, tmp_path: Path) -> None:
    held: list[Route] = []
    studio.clock.install()
    studio.route(BUCKET, lambda route: held.append(route))
    with studio.expect_request(BUCKET):
        _choose(studio, _named(film, tmp_path, "small and offline.mp4"))
    studio.context.set_offline(True)
    held.pop(0).abort("internetdisconnected")
    studio.clock.run_for(60_000)  # longer than all tries together
    expect(studio.get_by_text("waiting for the connection")).to_be_visible()
    studio.unroute(BUCKET)
    studio.context.set_offline(False)
    expect(_row(studio, "small and offline.mp4")).to_contain_text(CAME_IN, timeout=60_000)


def test_upload_that_failed_is_left_alone_when_another_begins(studio: Page, film: Path, tmp_path: Path) -> None:
    refusal = {"status": 403, "body": "<Error><Code>AccessDenied</Code></Error>", "headers": ALLOWED}
    studio.route(BUCKET, lambda route: route.fulfill(**refusal))
    _choose(studio, _named(film, tmp_path, "refused.mp4"))
    expect(studio.get_by_role("button", name="Try refused.mp4 again")).to_be_visible()
    studio.unroute(BUCKET)
    sent: list[Request] = []
    studio.on("request", lambda request: sent.append(request) if BUCKET.search(request.url) else None)
    _choose(studio, _named(film, tmp_path, "after it.mp4"))
    expect(_row(studio, "after it.mp4")).to_contain_text(CAME_IN, timeout=60_000)
    assert [request.method for request in sent if request.method != "OPTIONS"] == ["POST"]
    expect(studio.get_by_role("button", name="Try refused.mp4 again")).to_be_visible()
    studio.get_by_role("button", name="Cancel refused.mp4").click()


def test_signing_out_asks_first_while_a_film_goes_up_and_stops_it(
    studio: Page, large_film: Path, tmp_path: Path
) -> None:
    studio.route(LAST_PART, _hold)
    with studio.expect_request(LAST_PART):
        _choose(studio, _named(large_film, tmp_path, "left behind.mp4"))
    studio.get_by_role("button", name="Sign out").click()
    studio.get_by_role("button", name="Stay").click()
    expect(studio.get_by_role("button", name="Pause left behind.mp4")).to_be_visible()
    studio.get_by_role("button", name="Sign out").click()
    with studio.expect_event("requestfailed", _is_part):
        studio.get_by_role("dialog").get_by_role("button", name="Sign out").click()
    expect(studio.get_by_label("API key")).to_be_visible()


def test_cancelled_upload_leaves_nothing(stack: RunningStack, studio: Page, large_film: Path, tmp_path: Path) -> None:
    studio.route(LAST_PART, _hold)
    _choose(studio, _named(large_film, tmp_path, "cancelled.mp4"))
    expect(studio.get_by_text(re.compile("of 18 MB"))).to_be_visible()
    with studio.expect_response(lambda response: response.request.method == "DELETE"):
        studio.get_by_role("button", name="Cancel cancelled.mp4").click()
    expect(studio.get_by_text("cancelled.mp4", exact=True)).to_have_count(0)
    assert _asset_ids(stack, "cancelled.mp4") == []
    uploads = stack.aws("s3").list_multipart_uploads(Bucket=stack.env["PENSTOCK_SOURCE_BUCKET"])
    assert not [u for u in uploads.get("Uploads", ()) if "cancelled" in u["Key"]]
    assert studio.evaluate("Object.keys(localStorage).length") == 0


def test_film_is_deleted_only_after_a_yes(stack: RunningStack, studio: Page, film: Path, tmp_path: Path) -> None:
    name = "to be deleted.mp4"
    _choose(studio, _named(film, tmp_path, name))
    delete = studio.get_by_role("button", name=f"Delete {name}")
    delete.click(timeout=30_000)
    studio.keyboard.press("Escape")
    assert len(_asset_ids(stack, name)) == 1
    delete.click()
    studio.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(_row(studio, name)).to_have_count(0)
    assert _asset_ids(stack, name) == []


@pytest.fixture
def a_page_full(stack: RunningStack) -> Iterator[None]:
    """As many assets as one page of the list has, none of which is ever uploaded."""
    with httpx.Client(base_url=stack.env["PENSTOCK_URL"], headers=stack.bearer, timeout=30) as client:
        made = []
        for number in range(50):
            answer = client.post("/v1/assets", json={"file_name": f"reel {number}.mp4", "size_bytes": 1000})
            made.append(answer.json()["asset"]["id"])
        yield
        for asset_id in made:
            assert client.delete(f"/v1/assets/{asset_id}").is_success


@pytest.mark.usefixtures("a_page_full")
def test_more_films_are_shown_by_keyboard_and_it_keeps_its_place(
    stack: RunningStack, open_page: Opener, asset: dict[str, Any]
) -> None:
    page = sign_in(open_page(), stack)
    expect(_row(page, "reel 49.mp4")).to_be_visible()
    expect(_row(page, asset["title"])).to_have_count(0)
    page.get_by_role("button", name="Show more").focus()
    page.keyboard.press("Enter")
    expect(_row(page, asset["title"])).to_be_visible()
    expect(page.get_by_role("button", name="Show more")).to_be_hidden()
    expect(page.locator(".asset").nth(50).get_by_role("button").first).to_be_focused()


def test_film_deleted_elsewhere_disappears(stack: RunningStack, studio: Page, film: Path, tmp_path: Path) -> None:
    with stack.client as client:
        uploaded = client.upload(_named(film, tmp_path, "elsewhere.mp4"))
        expect(_row(studio, "elsewhere.mp4")).to_be_visible(timeout=30_000)
        client.delete_asset(uploaded["id"])
    expect(_row(studio, "elsewhere.mp4")).to_have_count(0)


def test_watch_link_is_copied(stack: RunningStack, open_page: Opener, asset: dict[str, Any]) -> None:
    page = sign_in(open_page(permissions=["clipboard-read", "clipboard-write"]), stack)
    page.get_by_role("button", name=f"Copy link of {asset['title']}").first.click()
    expect(page.get_by_text("Copied")).to_be_visible()
    link = page.evaluate("navigator.clipboard.readText()")
    assert re.match(rf"{re.escape(stack.env['PENSTOCK_URL'])}/watch/[0-9a-f-]+#.+", link)


def test_watch_link_is_shown_where_the_clipboard_is_out_of_reach(
    stack: RunningStack, open_page: Opener, asset: dict[str, Any]
) -> None:
    page = sign_in(open_page(), stack)
    page.evaluate("() => { navigator.clipboard.writeText = () => Promise.reject(new Error('denied')); }")
    page.get_by_role("button", name=f"Copy link of {asset['title']}").first.click()
    assert "/watch/" in page.get_by_role("textbox", name="Watch link").input_value()


def test_key_leaves_the_address_bar_and_outlives_a_reload(stack: RunningStack, studio: Page) -> None:
    assert stack.env["PENSTOCK_API_KEY"] not in studio.url
    studio.reload()
    expect(studio.get_by_role("heading", name="Films")).to_be_visible()


def test_sign_in_refuses_wrong_keys_and_takes_the_right_one(stack: RunningStack, open_page: Opener) -> None:
    page = open_page()
    page.goto(stack.env["PENSTOCK_URL"])
    for wrong in ("pk_wrong", "schlüssel 🗝"):
        page.get_by_label("API key").fill(wrong)
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).not_to_be_empty()
    page.get_by_label("API key").fill(stack.env["PENSTOCK_API_KEY"])
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Films")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("API key")).to_be_focused()
    page.reload()
    expect(page.get_by_label("API key")).to_be_visible()


def test_wrong_key_in_the_address_leads_to_the_sign_in(stack: RunningStack, open_page: Opener) -> None:
    page = open_page()
    page.goto(f"{stack.env['PENSTOCK_URL']}/#key=pk_wrong")
    expect(page.get_by_role("alert")).to_contain_text("not known")


def test_lost_server_is_said_and_comes_back_by_itself(studio: Page) -> None:
    studio.context.set_offline(True)
    studio.route("**/v1/**", lambda route: route.abort("connectionrefused"))
    studio.evaluate("document.querySelector('penstock-uploader').dispatchEvent(new Event('penstock-upload-change'))")
    expect(studio.locator(".notice")).to_contain_text("cannot be reached")
    studio.unroute("**/v1/**")
    studio.context.set_offline(False)
    expect(studio.locator(".notice")).to_be_empty(timeout=20_000)
