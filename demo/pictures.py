"""Takes the pictures of README in a headless Chromium: Studio at work, and the watch page with a name over the film."""

from __future__ import annotations

import re
from pathlib import Path

from playback import opened, watch
from playwright.sync_api import Page

# Past the titles of the sample film, where there is something to see.
_AT_S = 15.0
_WELL_UNDER_WAY = re.compile(r"^Converting [2-9]\d %$")
_CONVERTING_WITHIN_MS = 180_000


def take(studio: str, watch_url: str, folder: Path) -> list[Path]:
    """Write studio.jpg and watch.jpg into a folder; returns their paths.

    studio: the link that signs in, to a stack that has a published film and converts another.
    Raises playwright's TimeoutError where a page does not come to be what it should.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with opened() as page:
        page.goto(studio)
        page.get_by_text(_WELL_UNDER_WAY).wait_for(timeout=_CONVERTING_WITHIN_MS)
        page.locator(".poster img").first.wait_for()
        made = [_shot(page, folder / "studio.jpg")]
        watch(page, watch_url)
        video = page.locator("video")
        video.evaluate("(video, at_s) => { video.currentTime = at_s; }", _AT_S)
        page.wait_for_function(f"video => video.currentTime > {_AT_S + 1}", arg=video.element_handle())
        return [*made, _shot(page, folder / "watch.jpg")]


def _shot(page: Page, path: Path) -> Path:
    page.screenshot(path=path, type="jpeg", quality=85)
    return path
