"""One complete stack, one browser, and pages that complain about everything a user would see go wrong."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

import films
from browser.pages import Opener, new_session, sign_in
from conftest import REPOSITORY
from running_stack import RunningStack

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
]
STUDIO = REPOSITORY / "src" / "penstock" / "api" / "studio"
EXPECTED_NOISE = "Failed to load resource"  # the browser's own words for a status that a test provoked


def _need(there: bool, reason: str) -> None:
    """What is missing skips on a desk and fails where everything is supposed to be."""
    if there:
        return
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """A running stack that takes files of 5 MiB and more in parts, so that a small one can show it."""
    _need((STUDIO / "index.html").is_file(), "Studio is not built; `make setup` builds it")
    data_dir = tmp_path_factory.mktemp("browser") / "data"
    running = RunningStack(data_dir, PENSTOCK_MULTIPART_THRESHOLD_BYTES=str(5 * 2**20)).start()
    yield running
    running.stop()


expect.set_options(timeout=20_000)  # a bound for a busy machine; nothing waits for it when all is well


# Not for the session: while it runs, Playwright keeps an event loop in this thread, and no other test may start one.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    _need(Path(CHROMIUM).exists(), "Chromium is not installed (apt-get install chromium)")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield running
        running.close()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Opener]:
    """Makes pages in contexts of their own; at the end none of them may have broken the policy or thrown an error."""
    contexts: list[BrowserContext] = []
    problems: list[str] = []

    def note(message: Any) -> None:
        if message.type == "error" and EXPECTED_NOISE not in message.text:
            problems.append(message.text)

    def make(**options: Any) -> Page:
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: problems.append(str(error)))
        context.on("console", note)
        page.set_default_timeout(20_000)
        return page

    yield make
    for context in contexts:
        context.close()
    assert not problems


@pytest.fixture
def studio(stack: RunningStack, open_page: Opener) -> Page:
    """Studio, signed in."""
    return sign_in(open_page(), stack)


@pytest.fixture(scope="session")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four seconds, so that there is time to see it play."""
    return films.film(tmp_path_factory.mktemp("films") / "harbour at night.mp4", duration_s=4)


@pytest.fixture(scope="session")
def large_film(film: Path) -> Path:
    """The same film with an unused box of 18 MB at its end: three parts of 8 MiB."""
    path = film.with_name("long take.mp4")
    shutil.copy(film, path)
    with path.open("ab") as file:
        size = 18_000_000
        file.write(size.to_bytes(4, "big") + b"free" + bytes(size - 8))
    return path


@pytest.fixture(scope="session")
def asset(stack: RunningStack, film: Path) -> dict[str, Any]:
    """A published asset that tests watch and none of them deletes."""
    with stack.client as client:
        uploaded = client.upload(film, title="Harbour at night")
    published = stack.wait_for(uploaded["id"])
    assert published["state"] == "published", published
    return published


@pytest.fixture
def session(stack: RunningStack, asset: dict[str, Any]) -> dict[str, Any]:
    """A playback session as an application gets it."""
    return new_session(stack, asset["id"])
