"""Captions of HLS, CMAF and DASH groups in a browser: hls.js and Shaka Player offer, choose and show them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route, sync_playwright

import caption_media
import mediaconvert_jobs as jobs
from conftest import REPOSITORY
from sample_media import ffmpeg

CHROMIUM = "/usr/bin/chromium"
MODULES = REPOSITORY / "web" / "node_modules"
PLAYERS = {
    "hls.js": MODULES / "hls.js" / "dist" / "hls.min.js",
    "shaka": MODULES / "shaka-player" / "dist" / "shaka-player.compiled.js",
}
ORIGIN = "http://captions.test"
HLS_JS = """<!doctype html><video muted></video><script src="/player.js"></script><script>
const video = document.querySelector("video"), hls = new Hls();
async function start(url) {
  hls.loadSource(url); hls.attachMedia(video);
  await new Promise((done) => hls.once(Hls.Events.SUBTITLE_TRACKS_UPDATED, done));
  return hls.subtitleTracks.map((one) => [one.lang, one.name, one.default]);
}
function choose(language) {
  hls.subtitleTrack = hls.subtitleTracks.findIndex((one) => one.lang === language);
}
</script>"""
SHAKA = """<!doctype html><video muted></video><script src="/player.js"></script><script>
const video = document.querySelector("video"), player = new shaka.Player();
async function start(url) {
  await player.attach(video);
  await player.load(url);
  return player.getTextTracks().map((one) => [one.language, one.label ?? "", one.primary]);
}
function choose(language) {
  player.selectTextTrack(player.getTextTracks().find((one) => one.language === language));
}
</script>"""
TEXT = """(list) => [...document.querySelector("video").textTracks].filter((one) => one.mode !== "disabled")
  .flatMap((one) => [...(one[list] ?? [])]).map((one) => one.text).join("|")"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    missing = [str(path) for path in (Path(CHROMIUM), *PLAYERS.values()) if not path.exists()]
    if missing and os.environ.get("CI"):
        pytest.fail(f"{missing} are not installed")
    if missing:
        pytest.skip(f"{missing} are not installed; `make setup` installs players")
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu", "--autoplay-policy=no-user-gesture-required"]
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield running
        running.close()


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Long enough not to end while a busy machine fetches captions: a player asks for none after the end."""
    return ffmpeg(
        tmp_path_factory.mktemp("film") / "film.mp4", "-f", "lavfi", "-i", "testsrc2=s=160x90:r=25:d=12", "-c:v",
        "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p",
    )  # fmt: skip


def served(page: Page, player: str, files: dict[str, Path]) -> None:
    """Answer for a site that holds the job's objects by their keys, and a page with a player."""

    def answer(route: Route) -> None:
        name = route.request.url.removeprefix(f"{ORIGIN}/")
        if name == "page.html":
            route.fulfill(body=HLS_JS if player == "hls.js" else SHAKA, content_type="text/html")
        elif name == "player.js":
            route.fulfill(path=PLAYERS[player], content_type="text/javascript")
        elif name in files:
            route.fulfill(path=files[name])
        else:
            route.fulfill(status=404)

    page.route(f"{ORIGIN}/**", answer)


def captions(modifier: str, kind: str, name: str, language: str, label: str) -> dict[str, Any]:
    described = {
        "CaptionSelectorName": name,
        "LanguageCode": language,
        "LanguageDescription": label,
        "DestinationSettings": {"DestinationType": kind},
    }
    packed = {"Container": "MPD", "MpdSettings": {"CaptionContainerType": "FRAGMENTED_MP4"}}
    return {
        "NameModifier": modifier,
        "CaptionDescriptions": [described],
        **({"ContainerSettings": packed} if kind == "TTML" else {}),
    }


VIDEO = jobs.video("_v", Height=90)
ENGLISH = captions("_en", "WEBVTT", "english", "ENG", "English")
GERMAN = captions("_de", "WEBVTT", "german", "DEU", "Deutsch")
GROUPS = {
    "hls": (jobs.hls(jobs.hls_output(VIDEO), ENGLISH, GERMAN), "h/hls.m3u8"),
    "cmaf as hls": (jobs.cmaf(VIDEO, ENGLISH, GERMAN), "a/main.m3u8"),
    "cmaf as dash": (jobs.cmaf(VIDEO, ENGLISH, captions("_de", "IMSC", "german", "DEU", "Deutsch")), "a/main.mpd"),
    "dash": (
        jobs.dash(
            jobs.video("_v", container="MPD", Height=90), ENGLISH, captions("_de", "TTML", "german", "DEU", "Deutsch")
        ),
        "d/dash.mpd",
    ),
}


@pytest.mark.parametrize(
    ("kind", "player"),
    [("hls", "hls.js"), ("cmaf as hls", "hls.js"), ("hls", "shaka"), ("cmaf as dash", "shaka"), ("dash", "shaka")],
)
def test_a_player_offers_both_languages_and_shows_the_one_that_is_chosen(
    kind: str, player: str, film: Path, tmp_path: Path, convert: Callable[..., Any], browser: Browser
) -> None:
    for name, text in (("english", caption_media.WEBVTT), ("german", caption_media.WEBVTT.replace("One", "Eins"))):
        (tmp_path / name).write_text(text)
    selectors = {
        name: {
            "SourceSettings": {
                "SourceType": "WEBVTT",
                "FileSourceSettings": {"SourceFile": f"s3://source/{name}.vtt"},
            }
        }
        for name in ("english", "german")
    }
    group, manifest = GROUPS[kind]
    done = convert(film, jobs.settings(group, CaptionSelectors=selectors), tmp_path / "english", tmp_path / "german")
    page = browser.new_page()
    served(page, player, done.files)
    page.goto(f"{ORIGIN}/page.html")
    offered = page.evaluate("url => start(url)", f"{ORIGIN}/{manifest}")
    assert sorted(one[0] for one in offered) == ["de", "en"]
    assert sorted(one[1] for one in offered) == ["Deutsch", "English"]
    for language, word in (("de", "Eins"), ("en", "One")):
        page.evaluate("() => { video.currentTime = 0; }")
        page.wait_for_function("() => !video.seeking && video.readyState >= 3", timeout=30_000)
        page.evaluate("language => { choose(language); video.play(); }", language)
        page.wait_for_function(f"() => ({TEXT})('cues').includes('{word}')", timeout=30_000)
        # A film that goes on would leave its captions behind on a busy machine.
        page.evaluate("() => { video.pause(); video.currentTime = 0.5; }")
        page.wait_for_function(f"() => ({TEXT})('activeCues').includes('{word}')", timeout=30_000)
    page.evaluate("() => video.play()")
    page.wait_for_function("() => video.currentTime > 1", timeout=30_000)
    page.close()


def test_hls_js_shows_the_captions_within_the_pictures(
    film: Path, tmp_path: Path, convert: Callable[..., Any], browser: Browser
) -> None:
    (tmp_path / "said").write_text("WEBVTT\n\n00:02.000 --> 00:10.000\nOne & only\n")
    source = {"SourceType": "WEBVTT", "FileSourceSettings": {"SourceFile": "s3://source/said.vtt"}}
    described = [{"CaptionSelectorName": "said", "DestinationSettings": {"DestinationType": "EMBEDDED"}}]
    mappings = [{"CaptionChannel": 1, "LanguageCode": "ENG", "LanguageDescription": "English"}]
    group = jobs.hls(
        jobs.hls_output({**VIDEO, "CaptionDescriptions": described}),
        CaptionLanguageSetting="INSERT",
        CaptionLanguageMappings=mappings,
    )
    done = convert(film, jobs.settings(group, CaptionSelectors={"said": {"SourceSettings": source}}), tmp_path / "said")
    page = browser.new_page()
    served(page, "hls.js", done.files)
    page.goto(f"{ORIGIN}/page.html")
    page.evaluate("url => { hls.loadSource(url); hls.attachMedia(video); }", f"{ORIGIN}/h/hls.m3u8")
    page.wait_for_function("() => video.readyState >= 3", timeout=30_000)
    page.evaluate("() => { for (const one of video.textTracks) one.mode = 'showing'; video.play(); }")
    page.wait_for_function(f"() => ({TEXT})('activeCues').includes('One & only')", timeout=30_000)
    page.close()
