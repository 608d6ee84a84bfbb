"""What MediaPackage made, in a real browser: the watch page, dash.js, Shaka Player on packages of a foreign SMIL."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.sync_api import Page, Route

import ladder_media
import mediaconvert_jobs as jobs
from browser.pages import Opener, new_session, play
from browser.test_watch import DASHJS, DASHJS_PAGE
from conftest import REPOSITORY
from mediaconvert_speke import CONTENT_KEYS, serve
from mediaconvert_stack import wait_for
from mediapackage_stack import ROLE, make_films
from penstock import smil
from penstock.formats import cpix
from running_stack import RunningStack

SHAKA = REPOSITORY / "web" / "node_modules" / "shaka-player" / "dist" / "shaka-player.compiled.js"
SHAKA_PAGE = """<!doctype html><title>Shaka Player</title><video muted></video><script src="/shaka.js"></script>
<script>
  window.start = async (url) => {
    shaka.polyfill.installAll();
    window.player = new shaka.Player();
    // As our own player: https://github.com/shaka-project/shaka-player/issues/10569
    player.configure("streaming.segmentPrefetchLimit", 0);
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


AES_128 = "3ea8778f-7742-4bf9-b18b-e834b2acbd47"
KEYS: dict[str, bytes] = {}
"""Content keys of the AES-128 package by the last part of their address, which pages answer for."""


@pytest.fixture(scope="module")
def key_provider() -> Iterator[str]:
    """A SPEKE endpoint that names where players get AES-128 keys, which ours does not do on purpose."""
    with serve() as provider:

        def answer(body: bytes) -> tuple[int, bytes]:
            asked = cpix.parse(body)
            contents = {key.kid: CONTENT_KEYS.content_key(asked.content_id, key.kid) for key in asked.keys}
            KEYS.update({f"{kid}.key": content.reveal() for kid, content in contents.items()})
            systems = [
                replace(
                    system,
                    pssh=None,
                    hls_media=f'#EXT-X-KEY:METHOD=AES-128,URI="/keys/{system.kid}.key"',
                    hls_master=None,
                )
                for system in asked.drm_systems
            ]
            keys = [replace(key, key=contents[key.kid]) for key in asked.keys]
            return 200, cpix.build(replace(asked, keys=tuple(keys), drm_systems=tuple(systems)))

        provider.answer = answer
        yield provider.url


@pytest.fixture(scope="module")
def packages(
    packaging_stack: RunningStack, key_provider: str, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    """Packages of a SMIL with two languages and captions: kind -> address at the egress. Clear but for `aes-128`."""
    folder = tmp_path_factory.mktemp("films")
    make_films(folder)
    s3, vod = packaging_stack.aws("s3"), packaging_stack.aws("mediapackage-vod")
    for path in folder.glob("film*"):
        s3.upload_file(str(path), "penstock-media", f"films/{path.name}")
    vod.create_packaging_group(Id="clear")
    grouped = {"HlsManifests": [{}], "UseAudioRenditionGroup": True}
    contract = {"PresetSpeke20Audio": "PRESET-AUDIO-1", "PresetSpeke20Video": "PRESET-VIDEO-1"}
    provider = {"EncryptionContractConfiguration": contract, "RoleArn": ROLE, "SystemIds": [AES_128]}
    encryption = {"EncryptionMethod": "AES_128", "SpekeKeyProvider": {**provider, "Url": key_provider}}
    for kind, package in {
        "dash": {"DashPackage": {"DashManifests": [{"ManifestLayout": "COMPACT"}], "SegmentDurationSeconds": 2}},
        "cmaf": {"CmafPackage": {"HlsManifests": [{}], "SegmentDurationSeconds": 2}},
        "ts": {"HlsPackage": {**grouped, "SegmentDurationSeconds": 2}},
        "aes-128": {"HlsPackage": {**grouped, "SegmentDurationSeconds": 2, "Encryption": encryption}},
        "smooth": {"MssPackage": {"MssManifests": [{}], "SegmentDurationSeconds": 2}},
    }.items():
        vod.create_packaging_configuration(Id=kind, PackagingGroupId="clear", **package)
    source = "arn:aws:s3:::penstock-media/films/film.smil"
    vod.create_asset(Id="film", PackagingGroupId="clear", SourceArn=source, SourceRoleArn=ROLE)

    def ended() -> bool:
        found = vod.describe_asset(Id="film")["EgressEndpoints"]
        return all(one["Status"] in ("PLAYABLE", "FAILED") for one in found)

    wait_for(ended, 60)
    found = vod.describe_asset(Id="film")["EgressEndpoints"]
    assert {one["Status"] for one in found} == {"PLAYABLE"}, found
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


SMOOTH_PAGE = """<!doctype html><title>dash.js, Smooth Streaming</title>
<div style="position: relative; width: 640px; height: 360px">
  <video muted style="width: 100%"></video><div id="captions" style="position: absolute; inset: 0"></div>
</div>
<script src="/dash.js"></script><script src="/mss.js"></script>
<script>
  const player = dashjs.MediaPlayer().create();
  player.updateSettings({debug: {logLevel: dashjs.Debug.LOG_LEVEL_NONE}, streaming: {text: {defaultEnabled: true}}});
  player.on(dashjs.MediaPlayer.events.ERROR, (event) => { window.failure = JSON.stringify(event.error); });
  window.start = (url) => {
    player.initialize();
    player.attachView(document.querySelector("video"));
    player.attachTTMLRenderingDiv(document.querySelector("#captions"));
    player.attachSource(url);
  };
  window.languages = (kind) => player.getTracksFor(kind).map((track) => track.lang);
  window.speak = (language) => player.setCurrentTrack(player.getTracksFor("audio").find((t) => t.lang === language));
</script>"""


def test_dashjs_plays_smooth_streaming_and_finds_languages_captions_and_qualities(
    packaging_stack: RunningStack, open_page: Opener, packages: dict[str, str]
) -> None:
    page, origin = open_page(), packaging_stack.env["AWS_ENDPOINT_URL"]
    page.route(f"{origin}/smooth.html", lambda route: route.fulfill(body=SMOOTH_PAGE, content_type="text/html"))
    for name, path in (("dash", DASHJS), ("mss", DASHJS.with_name("dash.mss.min.js"))):
        page.route(f"{origin}/{name}.js", partial(_script, path))
    page.goto(f"{origin}/smooth.html")
    page.evaluate("url => start(url)", packages["smooth"])
    page.wait_for_function("() => window.failure || document.querySelector('video').readyState >= 3")
    assert page.evaluate("window.failure") is None
    assert page.evaluate("languages('audio')") == ["en", "fr"]
    assert page.evaluate("languages('text')") == ["en"]
    assert page.evaluate("player.getRepresentationsByType('video').map((one) => one.height)") == [90, 180]
    page.evaluate("speak('fr')")
    page.evaluate("() => { document.querySelector('video').currentTime = 1.2; }")
    played = play(page)
    assert played["frames"] > 5
    assert page.evaluate("player.getCurrentTrackFor('audio').lang") == "fr"
    page.evaluate("() => { document.querySelector('video').currentTime = 1.2; }")
    page.locator("#captions").get_by_text("morning").wait_for()
    # Past the second border: what is said at 3 s lies in the second fragment, on a clock that begins at 2 s.
    page.evaluate("() => { document.querySelector('video').currentTime = 3.3; }")
    page.locator("#captions").get_by_text("Tom & Jerry").wait_for()


def _pause_at(page: Page, second: float) -> None:
    """A film that goes on would leave its captions behind on a busy machine."""
    page.locator("video").evaluate("(video, second) => { video.pause(); video.currentTime = second; }", second)


def test_smooth_streaming_plays_through_the_edge_with_the_cookies_of_a_session_and_not_without(
    packaging_stack: RunningStack, open_page: Opener, session: dict[str, Any]
) -> None:
    vod, edge = packaging_stack.aws("mediapackage-vod"), packaging_stack.env["PENSTOCK_URL"]
    [asset] = vod.list_assets(PackagingGroupId="penstock")["Assets"]
    package = {"MssManifests": [{}], "SegmentDurationSeconds": 2}
    vod.create_packaging_configuration(Id="smooth-too", PackagingGroupId="penstock", MssPackage=package)

    def made() -> dict[str, Any]:
        endpoints = vod.describe_asset(Id=asset["Id"])["EgressEndpoints"]
        return next(one for one in endpoints if one["PackagingConfigurationId"] == "smooth-too")

    wait_for(lambda: made()["Status"] == "PLAYABLE", 60)
    url = edge + urlsplit(made()["Url"]).path
    assert httpx.get(url).status_code == 403
    page = open_page()
    page.route(f"{edge}/smooth.html", lambda route: route.fulfill(body=SMOOTH_PAGE, content_type="text/html"))
    for name, path in (("dash", DASHJS), ("mss", DASHJS.with_name("dash.mss.min.js"))):
        page.route(f"{edge}/{name}.js", partial(_script, path))
    page.context.add_cookies(
        [{"name": name, "value": value, "url": edge, "httpOnly": True} for name, value in session["cookies"].items()]
    )
    page.goto(f"{edge}/smooth.html")
    page.evaluate("url => start(url)", url)
    page.wait_for_function("() => window.failure || document.querySelector('video').readyState >= 3")
    assert page.evaluate("window.failure") is None
    assert play(page)["frames"] > 5


def _answer_for_keys(page: Page, origin: str) -> None:
    page.route(f"{origin}/keys/*", lambda route: route.fulfill(body=KEYS[route.request.url.rpartition("/")[2]]))


HLS_JS = REPOSITORY / "web" / "node_modules" / "hls.js" / "dist" / "hls.min.js"
HLS_PAGE = """<!doctype html><title>hls.js</title><video muted></video><script src="/hls.js"></script>
<script>
  const hls = new Hls();
  window.start = (url) => {
    hls.on(Hls.Events.ERROR, (_, data) => { if (data.fatal) window.failure = data.details; });
    hls.loadSource(url);
    hls.attachMedia(document.querySelector("video"));
  };
</script>"""


@pytest.mark.parametrize("kind", ["cmaf", "ts", "aes-128"])
def test_hls_js_plays_each_hls_package_and_finds_languages_captions_and_qualities(
    packaging_stack: RunningStack, open_page: Opener, packages: dict[str, str], kind: str
) -> None:
    page, origin = open_page(), packaging_stack.env["AWS_ENDPOINT_URL"]
    page.route(f"{origin}/hls.html", lambda route: route.fulfill(body=HLS_PAGE, content_type="text/html"))
    page.route(f"{origin}/hls.js", partial(_script, HLS_JS))
    _answer_for_keys(page, origin)
    page.goto(f"{origin}/hls.html")
    page.evaluate("url => start(url)", packages[kind])
    page.wait_for_function("() => window.failure || document.querySelector('video').readyState >= 3")
    assert page.evaluate("window.failure") is None
    assert page.evaluate("hls.levels.map((level) => level.height).sort((a, b) => a - b)") == [90, 180]
    assert page.evaluate("hls.audioTracks.map((track) => [track.lang, track.name])") == [
        ["en", "English"],
        ["fr", "Français"],
    ]
    page.evaluate("() => { hls.audioTrack = 1; hls.subtitleTrack = 0; hls.subtitleDisplay = true; }")
    page.evaluate("() => { document.querySelector('video').currentTime = 1.2; }")
    assert play(page)["frames"] > 5
    assert page.evaluate("hls.audioTracks[hls.audioTrack].lang") == "fr"
    _pause_at(page, 1.2)
    page.wait_for_function("() => [...document.querySelector('video').textTracks].some((t) => t.activeCues?.length)")


def _script(path: Path, route: Route) -> None:
    route.fulfill(path=path, content_type="text/javascript")


def _shaka(page: Page, origin: str) -> Page:
    page.route(f"{origin}/shaka.html", lambda route: route.fulfill(body=SHAKA_PAGE, content_type="text/html"))
    page.route(f"{origin}/shaka.js", lambda route: route.fulfill(path=SHAKA, content_type="text/javascript"))
    _answer_for_keys(page, origin)
    page.goto(f"{origin}/shaka.html")
    return page


@pytest.mark.parametrize("kind", ["dash", "cmaf", "ts", "aes-128"])
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
    _pause_at(page, 1.2)
    page.wait_for_function("() => [...document.querySelector('video').textTracks].some((t) => t.activeCues?.length)")
    said = page.evaluate(
        "() => [...document.querySelector('video').textTracks].flatMap((t) => [...(t.activeCues ?? [])])"
        ".map((cue) => cue.text).join()"
    )
    assert "morning" in said


def by_mediaconvert(stack: RunningStack, source: Path) -> str:
    """A clear DASH_ISO group of the stack's own MediaConvert; returns the address of its MPD."""
    stack.aws("s3").upload_file(str(source), "penstock-source", "elsewhere/film.mp4")
    group = jobs.dash(
        jobs.video("_v", container="MPD", Height=90),
        jobs.audio("_a", container="MPD"),
        destination="s3://penstock-media/mpd/mediaconvert/main",
    )
    mediaconvert = stack.aws("mediaconvert")
    settings = jobs.settings(group, uri="s3://penstock-source/elsewhere/film.mp4")
    made = mediaconvert.create_job(Role=stack.env["PENSTOCK_MEDIACONVERT_ROLE"], Settings=settings)["Job"]
    wait_for(lambda: mediaconvert.get_job(Id=made["Id"])["Job"]["Status"] in ("COMPLETE", "ERROR"), 90)
    return "s3://penstock-media/mpd/mediaconvert/main.mpd"


@pytest.mark.parametrize(
    ("writer", "languages"), [("ffmpeg", ["en", "fr"]), ("packager", ["en", "fr"]), ("mediaconvert", ["en"])]
)
def test_an_mpd_becomes_a_smil_becomes_a_package_that_plays(
    packaging_stack: RunningStack, open_page: Opener, tmp_path: Path, writer: str, languages: list[str]
) -> None:
    s3, vod = packaging_stack.aws("s3"), packaging_stack.aws("mediapackage-vod")
    ladder_media.sources(tmp_path)
    if writer == "mediaconvert":
        manifest = by_mediaconvert(packaging_stack, tmp_path / "hi.mp4")
    else:
        write = {"ffmpeg": ladder_media.by_ffmpeg, "packager": ladder_media.by_packager}[writer]
        written = write(tmp_path, tmp_path / "out")
        for path in written.parent.iterdir():
            s3.upload_file(str(path), "penstock-media", f"mpd/{writer}/{path.name}")
        manifest = f"s3://penstock-media/mpd/{writer}/{written.name}"
    made = smil.make(manifest, f"s3://penstock-media/ready/{writer}/film.smil", s3=s3)
    assert smil.check(made.smil, s3=s3) == []
    vod.create_packaging_group(Id=writer)
    package = {"DashManifests": [{}], "SegmentDurationSeconds": 2}
    vod.create_packaging_configuration(Id=writer, PackagingGroupId=writer, DashPackage=package)
    source = f"arn:aws:s3:::penstock-media/ready/{writer}/film.smil"
    vod.create_asset(Id=writer, PackagingGroupId=writer, SourceArn=source, SourceRoleArn=ROLE)
    wait_for(lambda: vod.describe_asset(Id=writer)["EgressEndpoints"][0]["Status"] in ("PLAYABLE", "FAILED"), 60)
    [endpoint] = vod.describe_asset(Id=writer)["EgressEndpoints"]
    assert endpoint["Status"] == "PLAYABLE"
    page = _shaka(open_page(), packaging_stack.env["AWS_ENDPOINT_URL"])
    assert page.evaluate("url => start(url)", endpoint["Url"])["audio"] == languages
    assert play(page)["frames"] > 5
