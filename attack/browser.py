"""A headless Chromium that keeps what page script can reach: segments on their way to the decoder, keys on theirs to
the content decryption module, and what a blob address gives. Its hooks are what an extension would put into the page.
"""

from __future__ import annotations

import base64
import contextlib
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.sync_api import Error, sync_playwright

CHROMIUM = "/usr/bin/chromium"
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--autoplay-policy=no-user-gesture-required",
]  # fmt: skip
HOOKS = """
const spoken = (bytes) => { let text = ""; for (let at = 0; at < bytes.length; at += 32768)
  text += String.fromCharCode(...bytes.subarray(at, at + 32768)); return btoa(text); };
const view = (data) => data instanceof ArrayBuffer ? new Uint8Array(data)
  : new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
const kinds = new WeakMap();
const add = MediaSource.prototype.addSourceBuffer;
MediaSource.prototype.addSourceBuffer = function (type) {
  const buffer = add.call(this, type); kinds.set(buffer, type); return buffer; };
const append = SourceBuffer.prototype.appendBuffer;
SourceBuffer.prototype.appendBuffer = function (data) {
  if ((kinds.get(this) || "").startsWith("video")) window.appended(spoken(view(data)));
  return append.call(this, data); };
const update = MediaKeySession.prototype.update;
MediaKeySession.prototype.update = function (message) {
  window.licensed(new TextDecoder().decode(view(message))); return update.call(this, message); };
"""


@dataclass
class Taken:
    """What the hooks saw. appended: files of an initialization segment and what followed it."""

    appended: list[Path] = field(default_factory=list)
    licenses: list[str] = field(default_factory=list)
    blob: str = ""


def play_and_keep(watch_url: str, folder: Path, seconds: float, rate: float) -> Taken:
    """Play a watch link for some seconds on the clock at `rate`, keeping what can be kept."""
    taken, current = Taken(), []

    def licensed(text: str) -> None:
        taken.licenses.append(text)

    def appended(text: str) -> None:
        content = base64.b64decode(text)
        if b"moov" in content[:4096] or not current:
            taken.appended.append(folder / f"appended-{len(taken.appended)}.mp4")
            current[:] = [taken.appended[-1]]
        with current[0].open("ab") as file:
            file.write(content)

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page()
        page.set_default_timeout(20_000)
        page.expose_function("appended", appended)
        page.expose_function("licensed", licensed)
        page.add_init_script(HOOKS)
        with contextlib.suppress(Error):
            page.goto(watch_url)
            video = page.wait_for_selector("video")
            _play(video, rate)
            taken.blob = _blob(video)
            ends = time.monotonic() + seconds
            while time.monotonic() < ends:
                page.wait_for_timeout(250)
                video.evaluate("(video, rate) => { video.playbackRate = rate; }", rate)
        browser.close()
    return taken


def _play(video: Any, rate: float) -> None:
    start = "(video, rate) => { video.muted = true; video.playbackRate = rate; video.play().catch(() => {}); }"
    video.evaluate(start, rate)


def _blob(video: Any) -> str:
    """What `save as` by way of the element's own address gives."""
    return str(
        video.evaluate(
            "async (video) => { try { return `${(await (await fetch(video.src)).blob()).size} bytes`; }"
            " catch (error) { return error.name; } }"
        )
    )


@dataclass
class Copied:
    """What somebody copies out of a browser's network panel while a film plays."""

    session: dict[str, Any]
    """As the API gives one: cookies, dash_url, license_url, license_token."""
    requests: list[tuple[str, dict[str, str]]]
    """Addresses and headers of manifest and segments, as `copy as cURL` gives them."""


def copy_from(watch_url: str, seconds: float = 5) -> Copied:
    """Play a watch link for some seconds and copy its requests, cookies and tokens."""
    session: dict[str, Any] = {"cookies": {}, "dash_url": "", "license_url": "", "license_token": ""}
    requests: list[tuple[str, dict[str, str]]] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page()
        page.set_default_timeout(20_000)
        seen: list[Any] = []
        page.on("request", lambda request: seen.append(request))
        page.goto(watch_url)
        _play(page.wait_for_selector("video"), 1)
        page.wait_for_timeout(1000 * seconds)
        for request in seen:
            headers, address = request.all_headers(), request.url.partition("?")[0]
            if "/licenses/" in address and "authorization" in headers:
                session["license_url"] = address
                session["license_token"] = headers["authorization"].removeprefix("DPoP ").removeprefix("Bearer ")
            if "/assets/" in address:
                requests.append((request.url, headers))
                if address.endswith(".mpd"):
                    session["dash_url"] = address
        session["cookies"] = {cookie["name"]: cookie["value"] for cookie in page.context.cookies(session["dash_url"])}
        browser.close()
    return Copied(session, requests)
