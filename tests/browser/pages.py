"""What several browser tests do: sign in, get a playback session, see a film play."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
from playwright.sync_api import Page

from running_stack import RunningStack

CONVERSION_MS = 180_000
Opener = Callable[..., Page]
"""Makes a page in a context of its own; takes the options of a browser context."""


def sign_in(page: Page, stack: RunningStack) -> Page:
    page.goto(f"{stack.env['PENSTOCK_URL']}/#key={stack.env['PENSTOCK_API_KEY']}")
    page.get_by_role("heading", name="Films").wait_for()
    return page


def new_session(stack: RunningStack, asset_id: str) -> dict[str, Any]:
    address = f"{stack.env['PENSTOCK_URL']}/v1/assets/{asset_id}/playback-sessions"
    response = httpx.post(address, json={"viewer": "browser test"}, headers=stack.bearer)
    assert response.status_code == 201, response.text
    answer: dict[str, Any] = response.json()
    return answer


PLAYED = """async (video) => {
  video.muted = true;
  const late = new Promise((_, reject) => setTimeout(() => reject(new Error("did not begin to play")), 45000));
  const begin = async () => {
    try {
      await video.play();
    } catch (error) {
      // A player that still attaches its source interrupts play().
      if (error.name !== "AbortError") throw error;
      await new Promise((resolve) => setTimeout(resolve, 200));
      await begin();
    }
  };
  await Promise.race([begin(), late]);
  const from = video.currentTime;
  await new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`stuck at ${video.currentTime} s`)), 30000);
    const look = () => {
      if (video.currentTime < from + 0.5 && !video.ended) return;
      clearTimeout(timer);
      resolve();
    };
    video.addEventListener("timeupdate", look);
    video.addEventListener("ended", look);
  });
  return {
    seconds: video.currentTime - from,
    frames: video.getVideoPlaybackQuality().totalVideoFrames,
    width: video.videoWidth,
    encrypted: video.mediaKeys !== null,
  };
}"""
"""Plays half a second of a video element; tells what was really shown."""


def play(page: Page, selector: str = "video") -> dict[str, Any]:
    """What half a second of playback showed: seconds, decoded frames, picture width, whether through EME."""
    played: dict[str, Any] = page.locator(selector).evaluate(PLAYED)
    return played
