"""DASH_ISO manifest styles in a browser: Shaka Player and dash.js play them to the end, with sound."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Route, sync_playwright

import mediaconvert_jobs as jobs
from conftest import REPOSITORY
from sample_media import ffmpeg

CHROMIUM = Path("/usr/bin/chromium")
MODULES = REPOSITORY / "web" / "node_modules"
PLAYERS = {
    "shaka": MODULES / "shaka-player" / "dist" / "shaka-player.compiled.js",
    "dashjs": MODULES / "dashjs" / "dist" / "modern" / "umd" / "dash.all.min.js",
}
ORIGIN = "https://styles.test"
START = {
    "shaka": "const player = new shaka.Player(); await player.attach(video); await player.load(url); video.play();",
    # It may say that it has come to the end a moment before the element does, and stop there.
    "dashjs": "const player = dashjs.MediaPlayer().create(); player.initialize(video, url, true);"
    " player.on(dashjs.MediaPlayer.events.PLAYBACK_ENDED, () => video.dispatchEvent(new Event('ended')));",
}
PLAY = """async (url) => {
  const video = document.querySelector("video");
  const ended = new Promise((done, failed) => {
    video.addEventListener("ended", () => done(video.getVideoPlaybackQuality().totalVideoFrames), { once: true });
    const told = () => `did not end: at ${video.currentTime} of ${video.duration} s, ready state ${video.readyState}`;
    setTimeout(() => failed(new Error(told())), 25000);
  });
  START
  return [await ended, video.webkitAudioDecodedByteCount, video.duration];
}"""
KINDS: dict[str, dict[str, Any]] = {
    **{style.lower(): {"DashManifestStyle": style} for style in ("COMPACT", "DISTINCT", "FULL")},
    "approximate": {"WriteSegmentTimelineInRepresentation": "DISABLED"},
    "number": {},
    "time": {},
}
MODIFIERS = {"number": "_$h$_$Number$", "time": "_$h$-$Time$"}


# dash.js stays before the end of a presentation whose durations are approximate; Shaka Player plays it.
WANTED = {
    "shaka": ("compact", "distinct", "full", "approximate", "number", "time"),
    "dashjs": ("compact", "full", "number", "time"),
}


def outputs(kind: str) -> tuple[dict[str, Any], ...]:
    modifier = MODIFIERS.get(kind, "_$h$")
    return (
        jobs.video(modifier, container="MPD", Height=180),
        jobs.video(f"{modifier}p", container="MPD", Height=90),
        jobs.audio(modifier.replace("$h$", "a"), container="MPD"),
    )


@pytest.mark.parametrize("player", PLAYERS)
def test_every_style_plays_to_the_end(
    player: str, tmp_path: Path, convert: Callable[[Path, dict[str, Any]], Any]
) -> None:
    missing = [str(path) for path in (CHROMIUM, PLAYERS[player]) if not path.exists()]
    if missing and os.environ.get("CI"):
        pytest.fail(f"{missing} are not installed")
    if missing:
        pytest.skip(f"{missing} are not installed; `make setup` installs players")
    picture, tone = "testsrc2=size=320x180:rate=12:duration=2", "sine=sample_rate=48000:duration=2"
    film = ffmpeg(
        tmp_path / "film.mp4", "-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", tone,
        "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-ac", "2", "-c:a", "aac",
    )  # fmt: skip
    lengths = {"SegmentLength": 1, "FragmentLength": 1}
    groups = [
        jobs.dash(*outputs(kind), destination=f"s3://media/{kind}/x", **{**lengths, **KINDS[kind]})
        for kind in WANTED[player]
    ]
    done = convert(film, jobs.settings(*groups))

    def answer(route: Route) -> None:
        name = route.request.url.removeprefix(f"{ORIGIN}/")
        if name == "page.html":
            route.fulfill(body="<video muted></video><script src='/player.js'></script>", content_type="text/html")
        elif name == "player.js":
            route.fulfill(path=PLAYERS[player], content_type="text/javascript")
        elif name in done.files:
            route.fulfill(path=done.files[name])
        else:
            route.fulfill(status=404)

    arguments = ["--no-sandbox", "--disable-gpu", "--autoplay-policy=no-user-gesture-required"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=arguments)
        for kind in WANTED[player]:
            page = browser.new_page()
            page.route(f"{ORIGIN}/**", answer)
            page.goto(f"{ORIGIN}/page.html")
            frames, sound, duration_s = page.evaluate(PLAY.replace("START", START[player]), f"{ORIGIN}/{kind}/x.mpd")
            page.close()
            assert frames > 15 and sound > 0 and duration_s == pytest.approx(2.0, abs=0.1), kind
        browser.close()
