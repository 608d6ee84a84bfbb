"""The watch page in a real browser: what a viewer sees with a good link, and what with any other."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, Route, expect

from browser.pages import Opener, new_session, play
from conftest import REPOSITORY
from running_stack import RunningStack

DASHJS = REPOSITORY / "web" / "node_modules" / "dashjs" / "dist" / "modern" / "umd" / "dash.all.min.js"


def _assert_sentence_and_no_video(page: Page, *words: str) -> None:
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text(re.compile(".*".join(words), re.IGNORECASE))
    expect(page.locator("video")).to_be_hidden()
    assert page.locator("video").evaluate("video => video.getVideoPlaybackQuality().totalVideoFrames") == 0


def test_watch_link_plays_encrypted_film(open_page: Opener, session: dict[str, Any]) -> None:
    page = open_page()
    page.goto(session["watch_url"])
    expect(page.get_by_role("heading", name="Harbour at night")).to_be_visible()
    expect(page.get_by_text("You can watch until")).to_be_visible()
    played = play(page)
    assert played["seconds"] > 0.3
    assert played["frames"] > 5
    assert played["width"] > 0
    assert played["encrypted"]


def test_license_token_leaves_the_address_bar_and_a_reload_still_plays(
    open_page: Opener, session: dict[str, Any]
) -> None:
    page = open_page()
    page.goto(session["watch_url"])
    expect(page.get_by_role("heading", name="Harbour at night")).to_be_visible()
    assert session["license_token"] not in page.url
    assert session["license_token"] not in page.content()
    page.reload()
    assert play(page)["frames"] > 5


def test_cookies_are_out_of_reach_for_scripts(open_page: Opener, session: dict[str, Any]) -> None:
    page = open_page()
    page.goto(session["watch_url"])
    expect(page.get_by_role("heading", name="Harbour at night")).to_be_visible()
    cookies = {cookie["name"]: cookie for cookie in page.context.cookies(session["dash_url"])}
    assert {"CloudFront-Policy", "CloudFront-Signature", "CloudFront-Key-Pair-Id"} <= cookies.keys()
    assert all(cookie["httpOnly"] and cookie["sameSite"] == "Lax" for cookie in cookies.values())
    assert page.evaluate("document.cookie") == ""


def test_watch_link_without_its_cookies_shows_a_sentence_and_no_video(
    stack: RunningStack, open_page: Opener, session: dict[str, Any]
) -> None:
    def claim_without_cookies(route: Route) -> None:
        answer = httpx.post(route.request.url, headers={"Authorization": f"Bearer {session['license_token']}"})
        assert answer.status_code == 200
        assert "set-cookie" in answer.headers
        route.fulfill(status=200, content_type="application/json", body=answer.text)

    page = open_page()
    page.route("**/claim", claim_without_cookies)
    page.goto(session["watch_url"])
    _assert_sentence_and_no_video(page, "cookies", "new link")
    assert not page.context.cookies()


def test_watch_link_without_its_token_shows_a_sentence_and_no_video(open_page: Opener, session: dict[str, Any]) -> None:
    page = open_page()
    page.goto(session["watch_url"].partition("#")[0])
    _assert_sentence_and_no_video(page, "not complete", "new one")


@pytest.mark.parametrize("token", ["x", "%F0%9F%8E%9E", "a" * 5000, "<script>"])
def test_watch_link_with_a_broken_token_shows_a_sentence(
    open_page: Opener, session: dict[str, Any], token: str
) -> None:
    page = open_page()
    page.goto(f"{session['watch_url'].partition('#')[0]}#{token}")
    _assert_sentence_and_no_video(page, "new one")


def test_link_of_an_ended_session_shows_a_sentence_and_no_video(
    stack: RunningStack, open_page: Opener, asset: dict[str, Any]
) -> None:
    ended = new_session(stack, asset["id"])
    httpx.delete(f"{stack.env['PENSTOCK_URL']}/v1/playback-sessions/{ended['id']}", headers=stack.bearer)
    page = open_page()
    page.goto(ended["watch_url"])
    _assert_sentence_and_no_video(page, "over")


def test_session_ended_before_the_license_gives_no_picture(
    stack: RunningStack, open_page: Opener, asset: dict[str, Any]
) -> None:
    """Cookies alone let encrypted segments out; without a license nothing can be seen of them."""
    ending = new_session(stack, asset["id"])

    def end_first(route: Route) -> None:
        httpx.delete(f"{stack.env['PENSTOCK_URL']}/v1/playback-sessions/{ending['id']}", headers=stack.bearer)
        route.continue_()

    page = open_page()
    page.route("**/v1/licenses/clearkey*", end_first)
    page.goto(ending["watch_url"])
    _assert_sentence_and_no_video(page, "over")


def test_try_again_plays_after_the_connection_comes_back(open_page: Opener, session: dict[str, Any]) -> None:
    page = open_page()
    page.route("**/claim", lambda route: route.abort("connectionrefused"))
    page.goto(session["watch_url"])
    _assert_sentence_and_no_video(page, "cannot be reached")
    page.unroute("**/claim")
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("heading", name="Harbour at night")).to_be_visible()
    assert play(page)["frames"] > 5


def test_another_try_goes_on_where_the_film_stopped(open_page: Opener, session: dict[str, Any]) -> None:
    page = open_page()
    too_many = {"error": {"code": "too_many_streams", "message": "2 of this viewer run already", "request_id": "1"}}

    def beat_at_once(route: Route) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, json=answer.json() | {"heartbeat_s": 3})

    page.route("**/claim", beat_at_once)
    page.route("**/heartbeat", lambda route: route.fulfill(status=429, json=too_many))
    page.goto(session["watch_url"])
    expect(page.get_by_role("heading", name="Harbour at night")).to_be_visible()
    video = page.locator("video")
    video.evaluate("video => { video.pause(); video.currentTime = 2.5; }")
    expect(page.get_by_role("alert")).to_contain_text("too many places")
    page.unroute("**/heartbeat")
    page.get_by_role("button", name="Try again").click()
    page.wait_for_function("() => document.querySelector('penstock-player').dataset.state === 'ready'")
    page.wait_for_function("() => document.querySelector('penstock-player').video.currentTime >= 2.4")


def test_browser_without_media_source_is_told_so(open_page: Opener, session: dict[str, Any]) -> None:
    page = open_page()
    page.add_init_script("delete window.MediaSource; delete window.ManagedMediaSource;")
    page.goto(session["watch_url"])
    _assert_sentence_and_no_video(page, "This browser cannot play")
    expect(page.get_by_role("button", name="Try again")).to_have_count(0)


def test_keyboard_alone_plays_and_pauses(open_page: Opener, session: dict[str, Any]) -> None:
    page = open_page()
    page.goto(session["watch_url"])
    expect(page.get_by_role("heading", name="Harbour at night")).to_be_visible()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.localName") == "penstock-player"
    video = page.locator("video")
    video.evaluate("video => { video.loop = true; video.muted = true; }")
    if video.evaluate("video => video.paused"):
        page.keyboard.press("k")
    page.wait_for_function("() => !document.querySelector('penstock-player').video.paused")
    page.keyboard.press("k")
    page.wait_for_function("() => document.querySelector('penstock-player').video.paused")


DASHJS_PAGE = """<!doctype html><title>dash.js</title><video muted></video>
<script src="/dash.js"></script>
<script>
  const player = dashjs.MediaPlayer().create();
  player.updateSettings({debug: {logLevel: dashjs.Debug.LOG_LEVEL_NONE}});  // failures come by the event below
  player.on(dashjs.MediaPlayer.events.ERROR, (event) => { window.failure = JSON.stringify(event.error); });
  window.start = ({dash_url, license_url, license_token}) => {
    player.initialize();
    player.setProtectionData({"org.w3.clearkey": {
      serverURL: license_url, httpRequestHeaders: {Authorization: `Bearer ${license_token}`}}});
    player.setXHRWithCredentialsForType("", true);
    player.attachView(document.querySelector("video"));
    player.attachSource(dash_url);
  };
</script>"""


def test_dashjs_plays_the_same_manifest(stack: RunningStack, open_page: Opener, session: dict[str, Any]) -> None:
    if not DASHJS.exists():
        pytest.skip("dash.js is not installed (npm ci in web/)")
    page = open_page()
    url = stack.env["PENSTOCK_URL"]
    page.route(f"{url}/dashjs.html", lambda route: route.fulfill(body=DASHJS_PAGE, content_type="text/html"))
    page.route(f"{url}/dash.js", lambda route: route.fulfill(path=DASHJS, content_type="text/javascript"))
    page.context.add_cookies(
        [{"name": name, "value": value, "url": url, "httpOnly": True} for name, value in session["cookies"].items()]
    )
    page.goto(f"{url}/dashjs.html")
    page.evaluate("session => start(session)", session)
    page.wait_for_function("() => window.failure || document.querySelector('video').readyState >= 3")
    assert page.evaluate("window.failure") is None
    played = play(page)
    assert played["frames"] > 5
    assert played["encrypted"]
