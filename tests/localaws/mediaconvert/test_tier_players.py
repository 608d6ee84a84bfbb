"""Keys per tier in a browser: a license without the keys of HD leaves Shaka Player playing SD, with sound."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Route, sync_playwright

import mediaconvert_jobs as jobs
from conftest import REPOSITORY
from mediaconvert_speke import CONTENT_KEYS, Speke
from penstock import license as licenses
from penstock import tiers
from penstock.entries import Entry
from penstock.formats import dash
from penstock.model import Asset, AssetState
from penstock.states import Job, JobState
from penstock.tiers import Policy, Tier
from sample_media import ffmpeg

CHROMIUM = Path("/usr/bin/chromium")
SHAKA = REPOSITORY / "web" / "node_modules" / "shaka-player" / "dist" / "shaka-player.compiled.js"
ORIGIN = "https://tiers.test"
CONTRACT = {"SpekeVideoPreset": "PRESET_VIDEO_3", "SpekeAudioPreset": "PRESET_AUDIO_1"}
CLEARKEY = "e2719d58-a985-b3c9-781a-b030af78d30e"
PLAY = """async (url) => {
  const video = document.querySelector("video"), player = new shaka.Player();
  const ended = new Promise((done, failed) => {
    video.addEventListener("ended", done, { once: true });
    player.addEventListener("error", (event) => failed(new Error(JSON.stringify(event.detail))));
    setTimeout(() => failed(new Error("did not end")), 25000);
  });
  await player.attach(video);
  await player.load(url);
  await video.play();
  await ended;
  return {
    heights: [...new Set(player.getVariantTracks().map((one) => one.height))].sort((a, b) => a - b),
    shown: video.videoHeight,
    frames: video.getVideoPlaybackQuality().totalVideoFrames,
    sound: video.webkitAudioDecodedByteCount,
  };
}"""


@pytest.mark.parametrize(("highest", "heights"), [(Tier.UHD, [90, 720]), (Tier.SD, [90])])
def test_a_player_plays_the_tiers_that_its_license_has(
    highest: Tier,
    heights: list[int],
    tmp_path: Path,
    convert: Callable[[Path, dict[str, Any]], Any],
    speke: Speke,
) -> None:
    missing = [str(path) for path in (CHROMIUM, SHAKA) if not path.exists()]
    if missing and os.environ.get("CI"):
        pytest.fail(f"{missing} are not installed")
    if missing:
        pytest.skip(f"{missing} are not installed; `make setup` installs the player")
    picture, tone = "testsrc2=size=1280x720:rate=12:duration=2", "sine=sample_rate=48000:duration=2"
    film = ffmpeg(
        tmp_path / "film.mp4", "-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", tone,
        "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-ac", "2", "-c:a", "aac",
    )  # fmt: skip
    protection = jobs.encryption(speke.url, systems=(CLEARKEY,), EncryptionContractConfiguration=CONTRACT)
    ladder = (jobs.video("_hd", Height=720), jobs.video("_sd", Height=90), jobs.audio("_a"))
    done = convert(film, jobs.settings(jobs.cmaf(*ladder, Encryption=protection)))
    mpd = done.path("a/main.mpd").read_bytes()
    known = {kid: tiers.of_pixels(size) for kid, size in dash.key_pixels(mpd).items()}
    assert sorted(known.values()) == [Tier.AUDIO, Tier.SD, Tier.HD]
    names = {str(kid): tier.name for kid, tier in known.items()}
    job = Job("default", JobState.PUBLISHED, key_ids=tuple(names), key_tiers=names)
    asset = Asset("asset-1", "film", AssetState.PUBLISHED, datetime.now(UTC))
    entry, policy = Entry(asset, (job,), None, None, 1, arrived=True), Policy(software=highest)

    def answer(route: Route) -> None:
        name = route.request.url.removeprefix(f"{ORIGIN}/")
        if name == "page.html":
            route.fulfill(body="<video muted></video><script src='/shaka.js'></script>", content_type="text/html")
        elif name == "shaka.js":
            route.fulfill(path=SHAKA, content_type="text/javascript")
        elif name == "license":
            asked = route.request.post_data_buffer or b""
            route.fulfill(body=licenses.answer(asked, entry, CONTENT_KEYS, policy), content_type="application/json")
        elif name == "a/main.mpd":
            route.fulfill(body=dash.viewer_manifest(mpd, license_url=f"{ORIGIN}/license"))
        else:
            route.fulfill(path=done.files[name])

    arguments = ["--no-sandbox", "--disable-gpu", "--autoplay-policy=no-user-gesture-required"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=arguments)
        page = browser.new_page()
        page.route(f"{ORIGIN}/**", answer)
        page.goto(f"{ORIGIN}/page.html")
        seen = page.evaluate(PLAY, f"{ORIGIN}/a/main.mpd")
        browser.close()
    assert seen["heights"] == heights and seen["shown"] in heights
    assert seen["frames"] > 10 and seen["sound"] > 0
