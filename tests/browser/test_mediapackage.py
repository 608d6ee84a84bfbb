"""What MediaPackage made, in a real browser: the watch page, dash.js, Shaka Player on packages of a foreign SMIL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from browser.pages import Opener, new_session, play
from browser.test_watch import DASHJS, DASHJS_PAGE
from conftest import REPOSITORY
from mediaconvert_stack import wait_for
from mediapackage_stack import ROLE, make_films
from running_stack import RunningStack

SHAKA = REPOSITORY / "web" / "node_modules" / "shaka-player" / "dist" / "shaka-player.compiled.js"
SHAKA_PAGE = """<!doctype html><title>Shaka Player</title><video muted></video><script src="/shaka.js"></script>
<script>
  window.start = async (url) => {
    shaka.polyfill.installAll();
    window.player = new shaka.Player();
    await player.attach(document.querySelector("video"));
    await player.load(url);
    return {
      audio: [...new Set(player.getVariantTracks().map((one) => one.language))].sort(),
      texts: player.getTextTracks().map((one) => one.language),
      heights: [...new Set(player.getVariantTracks().map((one) => one.height))].sort((a, b) => a - b),
    };
  };
</script>"""


@pytest.fixture(scope="module")
def packaging_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    folder = tmp_path_factory.mktemp("packaging") / "data"
    running = RunningStack(folder, PENSTOCK_DELIVERY="mediapackage").start()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def session(packaging_stack: RunningStack, film: Path) -> dict[str, Any]:
    with packaging_stack.client as client:
        uploaded = client.upload(film, title="Harbour at night")
    published = packaging_stack.wait_for(uploaded["id"])
    assert published["state"] == "published", published
    return new_session(packaging_stack, published["id"])


@pytest.fixture(scope="module")
def packages(packaging_stack: RunningStack, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Clear packages of a SMIL with two languages and captions: kind -> address at the egress."""
    folder = tmp_path_factory.mktemp("films")
    make_films(folder)
    s3, vod = packaging_stack.aws("s3"), packaging_stack.aws("mediapackage-vod")
    for path in folder.glob("film*"):
        s3.upload_file(str(path), "penstock-media", f"films/{path.name}")
    vod.create_packaging_group(Id="clear")
    grouped = {"HlsManifests": [{}], "UseAudioRenditionGroup": True}
    for kind, package in {
        "dash": {"DashPackage": {"DashManifests": [{"ManifestLayout": "COMPACT"}], "SegmentDurationSeconds": 2}},
        "cmaf": {"CmafPackage": {"HlsManifests": [{}], "SegmentDurationSeconds": 2}},
        "ts": {"HlsPackage": {**grouped, "SegmentDurationSeconds": 2}},
    }.items():
        vod.create_packaging_configuration(Id=kind, PackagingGroupId="clear", **package)
    source = "arn:aws:s3:::penstock-media/films/film.smil"
    vod.create_asset(Id="film", PackagingGroupId="clear", SourceArn=source, SourceRoleArn=ROLE)

    def playable() -> bool:
        found = vod.describe_asset(Id="film")["EgressEndpoints"]
        return all(one["Status"] == "PLAYABLE" for one in found)

    wait_for(playable, 60)
    found = vod.describe_asset(Id="film")["EgressEndpoints"]
    return {one["PackagingConfigurationId"]: one["Url"] for one in found}


def test_the_watch_link_plays_what_mediapackage_encrypted(open_page: Opener, session: dict[str, Any]) -> None:
    assert "/out/v1/" in session["dash_url"]
    page = open_page()
    page.goto(session["watch_url"])
    played = play(page)
    assert played["frames"] > 5
    assert played["encrypted"]
    cookies = {cookie["path"] for cookie in page.context.cookies(session["dash_url"])}
    assert all(path.startswith("/out/v1/") for path in cookies) and cookies


def test_dashjs_plays_it_too(packaging_stack: RunningStack, open_page: Opener, session: dict[str, Any]) -> None:
    if not DASHJS.exists():
        pytest.skip("dash.js is not installed (npm ci in web/)")
    page, url = open_page(), packaging_stack.env["PENSTOCK_URL"]
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


def _shaka(page: Page, origin: str) -> Page:
    page.route(f"{origin}/shaka.html", lambda route: route.fulfill(body=SHAKA_PAGE, content_type="text/html"))
    page.route(f"{origin}/shaka.js", lambda route: route.fulfill(path=SHAKA, content_type="text/javascript"))
    page.goto(f"{origin}/shaka.html")
    return page


@pytest.mark.parametrize("kind", ["dash", "cmaf", "ts"])
def test_shaka_plays_each_package_and_finds_languages_captions_and_qualities(
    packaging_stack: RunningStack, open_page: Opener, packages: dict[str, str], kind: str
) -> None:
    if not SHAKA.exists():
        pytest.skip("Shaka Player is not installed (npm ci in web/)")
    page = _shaka(open_page(), packaging_stack.env["AWS_ENDPOINT_URL"])
    assert page.evaluate("url => start(url)", packages[kind]) == {
        "audio": ["en", "fr"],
        "texts": ["en"],
        "heights": [90, 180],
    }
    page.evaluate(
        "() => { player.selectAudioTrack(player.getAudioTracks().find((one) => one.language === 'fr'));"
        " player.selectTextTrack(player.getTextTracks()[0]); }"
    )
    page.evaluate("() => { document.querySelector('video').currentTime = 1.2; }")
    assert play(page)["frames"] > 5
    active = page.evaluate("() => player.getVariantTracks().find((one) => one.active).language")
    assert active == "fr"
    page.wait_for_function("() => [...document.querySelector('video').textTracks].some((t) => t.activeCues?.length)")
    said = page.evaluate(
        "() => [...document.querySelector('video').textTracks].flatMap((t) => [...(t.activeCues ?? [])])"
        ".map((cue) => cue.text).join()"
    )
    assert "morning" in said
