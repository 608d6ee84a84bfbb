"""Judges a playback session with a real browser, and with a client that has no right to it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from playwright.sync_api import Page, sync_playwright
from playwright.sync_api import TimeoutError as NeverHappened

CHROMIUM = "/usr/bin/chromium"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
]
PLAYS_WITHIN_MS = 30_000
FRAMES_ADVANCE = """video => {
    const frames = video.getVideoPlaybackQuality().totalVideoFrames;
    return video.currentTime > 2 && frames > 24 && {
        frames, time_s: video.currentTime,
        encrypted: video.mediaKeys !== null, size: `${video.videoWidth}x${video.videoHeight}`
    };
}"""


@dataclass(frozen=True)
class Row:
    what: str
    holds: bool
    seen: str


@dataclass(frozen=True)
class Judgement:
    rows: tuple[Row, ...]

    @property
    def holds(self) -> bool:
        return all(row.holds for row in self.rows)


def judge(session: dict[str, Any]) -> Judgement:
    """Play the session's watch link in Chromium, then ask for its manifest with and without the cookies."""
    return Judgement((_plays(session["watch_url"]), *_refuses(session)))


@contextmanager
def opened(width: int = 1280, height: int = 720) -> Iterator[Page]:
    """A page of a headless Chromium, of so many px."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        try:
            page = browser.new_page(viewport={"width": width, "height": height})
            page.set_default_timeout(PLAYS_WITHIN_MS)
            yield page
        finally:
            browser.close()


def watch(page: Page, watch_url: str) -> dict[str, Any]:
    """Play a watch link until frames move; what the video element says then. Raises NeverHappened."""
    page.goto(watch_url)
    page.wait_for_selector("video")  # through shadow roots too
    video = page.locator("video")
    video.evaluate("video => { video.muted = true; video.play().catch(() => {}); }")
    seen: dict[str, Any] = page.wait_for_function(FRAMES_ADVANCE, arg=video.element_handle()).json_value()
    return seen


def _plays(watch_url: str) -> Row:
    what = "plays encrypted in Chromium"
    try:
        with opened() as page:
            played = watch(page, watch_url)
    except NeverHappened:
        return Row(what, False, f"no moving picture within {PLAYS_WITHIN_MS / 1000:.0f} s")
    text = f"{played['frames']} frames decoded at {played['time_s']:.1f} s, {played['size']}"
    return Row(what, played["encrypted"], text if played["encrypted"] else text + ", NOT encrypted")


def _refuses(session: dict[str, Any]) -> list[Row]:
    manifest = session["dash_url"]
    with_cookies = httpx.get(manifest, cookies=session["cookies"]).status_code
    without = httpx.get(manifest).status_code
    license_status = httpx.post(session["license_url"], json={"kids": [], "type": "temporary"}).status_code
    return [
        Row("manifest with the viewer's cookies", with_cookies == 200, f"HTTP {with_cookies}"),
        Row("manifest without them", without == 403, f"HTTP {without}"),
        Row("license without a playback session", license_status in (401, 403), f"HTTP {license_status}"),
    ]
