"""Image-based trick play: tiles of thumbnails, told by MPD and playlist; Shaka Player finds them."""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lxml import etree
from playwright.sync_api import Route, sync_playwright

import mediaconvert_jobs as jobs
from conftest import REPOSITORY
from localaws.media import jail
from localaws.media.failures import SettingRefused
from localaws.mediaconvert.settings import request
from penstock.formats import dash, hls
from sample_media import ffmpeg

Convert = Callable[[Path, dict[str, Any]], Any]
MPD = "{urn:mpeg:dash:schema:mpd:2011}"
CHROMIUM = Path("/usr/bin/chromium")
SHAKA = REPOSITORY / "web" / "node_modules" / "shaka-player" / "dist" / "shaka-player.compiled.js"
OWN = "outputGroups[0].outputGroupSettings.cmafGroupSettings"


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """Five seconds, each of a brightness of its own."""
    shades = "geq=lum='16+40*floor(T)':cb=128:cr=128"
    picture = f"color=black:size=320x180:rate=25:duration=5,format=yuv420p,{shades}"
    return ffmpeg(tmp_path / "film.mp4", "-f", "lavfi", "-i", picture, "-c:v", "libx264", "-preset", "ultrafast")


def advanced(**members: Any) -> dict[str, Any]:
    own = {"ThumbnailWidth": 80, "TileWidth": 2, "TileHeight": 2, **members}
    return {"ImageBasedTrickPlay": "ADVANCED", "ImageBasedTrickPlaySettings": own}


def size(path: Path) -> tuple[int, int]:
    command = [str(jail.binary("ffprobe")), "-v", "error", "-show_entries", "stream=width,height", "-of", "json"]
    found = json.loads(subprocess.run([*command, str(path)], capture_output=True, check=True, timeout=30).stdout)
    return found["streams"][0]["width"], found["streams"][0]["height"]


def brightness(path: Path, columns: int, rows: int) -> list[int]:
    """The mean brightness of each thumbnail of a tile, row by row."""
    command = [str(jail.binary("ffmpeg")), "-v", "error", "-i", str(path)]
    command += ["-vf", f"scale={columns}:{rows}:flags=area,format=gray", "-f", "rawvideo", "-"]
    return list(subprocess.run(command, capture_output=True, check=True, timeout=30).stdout)


def tiles(done: Any, prefix: str) -> list[Path]:
    names = sorted(key for key in done.files if re.fullmatch(re.escape(prefix) + r"_\d{9}\.jpg", key))
    return [done.path(key) for key in names]


def test_each_key_frame_has_its_place_in_a_tile(film: Path, convert: Convert) -> None:
    done = convert(film, jobs.settings(jobs.cmaf(jobs.video("_v", Height=180), **advanced())))
    found = tiles(done, "a/main_thumbnail")
    assert len(found) == 2 and {size(path) for path in found} == {(160, 88)}
    shades = brightness(found[0], 2, 2)
    assert min(after - before for before, after in itertools.pairwise(shades)) > 20
    assert brightness(found[1], 2, 2)[0] > shades[-1]
    playlist = done.text("a/main_thumbnail.m3u8")
    assert "#EXT-X-IMAGES-ONLY\n" in playlist
    assert playlist.count("#EXT-X-TILES:RESOLUTION=80x44,LAYOUT=2x2,DURATION=1.000000\n") == 2
    assert [float(one) for one in re.findall(r"#EXTINF:([0-9.]+)", playlist)] == [4.0, 1.0]
    assert hls.segment_names(playlist) == ["main_thumbnail_000000001.jpg", "main_thumbnail_000000002.jpg"]
    (line,) = [line for line in done.text("a/main.m3u8").splitlines() if "IMAGE-STREAM-INF" in line]
    told = hls.attributes(line)
    assert (told["RESOLUTION"], told["URI"], told["CODECS"]) == ("80x44", "main_thumbnail.m3u8", "jpeg")
    mpd = done.path("a/main.mpd").read_bytes()
    (images,) = [one for one in etree.fromstring(mpd).iter(f"{MPD}AdaptationSet") if one.get("contentType") == "image"]
    assert images.find(f".//{MPD}EssentialProperty").get("value") == "2x2"
    assert {f"a/{name}" for name in dash.segment_names(mpd)} <= set(done.files)


@pytest.mark.parametrize(
    ("members", "count", "each"),
    [
        (
            {"IntervalCadence": "FOLLOW_CUSTOM", "ThumbnailInterval": 0.51, "TileWidth": 5, "TileHeight": 2},
            1,
            (400, 88),
        ),
        ({"IntervalCadence": "FOLLOW_SEGMENTATION", "TileWidth": 1, "TileHeight": 1}, 3, (80, 44)),
        ({"ThumbnailHeight": 20, "TileWidth": 1, "TileHeight": 1}, 5, (80, 20)),
    ],
)
def test_cadence_and_sizes(
    members: dict[str, Any], count: int, each: tuple[int, int], film: Path, convert: Convert
) -> None:
    done = convert(film, jobs.settings(jobs.cmaf(jobs.video("_v", Height=180), **advanced(**members))))
    found = tiles(done, "a/main_thumbnail")
    assert (len(found), {size(path) for path in found}) == (count, {each})


def test_hls_groups_have_them_and_several_sets_too(film: Path, convert: Convert) -> None:
    sets = [{"ThumbnailWidth": 80, "TileWidth": 5}, {"ThumbnailWidth": 160}]
    video = jobs.hls_output(jobs.video("_v", Height=180))
    done = convert(
        film, jobs.settings(jobs.hls(video, ImageBasedTrickPlay="VARIANTS", ImageBasedTrickPlayVariants=sets))
    )
    assert (len(tiles(done, "h/hls_thumbnail")), len(tiles(done, "h/hls_thumbnail2"))) == (1, 5)
    named = re.findall(r'IMAGE-STREAM-INF:.*URI="([^"]*)"', done.text("h/hls.m3u8"))
    assert named == ["hls_thumbnail.m3u8", "hls_thumbnail2.m3u8"]
    assert hls.media_playlists(done.text("h/hls.m3u8")) == ["hls_v.m3u8"]


def test_full_frames_come_beside_thumbnails(film: Path, convert: Convert) -> None:
    group = jobs.cmaf(jobs.video("_v", Height=180), ImageBasedTrickPlay="THUMBNAIL_AND_FULLFRAME")
    done = convert(film, jobs.settings(group))
    assert [size(path) for path in tiles(done, "a/main_thumbnail")] == [(5 * 312, 5 * 176)]
    assert {size(path) for path in tiles(done, "a/main_thumbnail2")} == {(320, 180)}


@pytest.mark.parametrize("manifest", ["a/main.mpd", "a/main.m3u8"])
def test_shaka_player_finds_the_thumbnail_of_a_moment(manifest: str, film: Path, convert: Convert) -> None:
    missing = [str(path) for path in (CHROMIUM, SHAKA) if not path.exists()]
    if missing and os.environ.get("CI"):
        pytest.fail(f"{missing} are not installed")
    if missing:
        pytest.skip(f"{missing} are not installed; `make setup` installs the player")
    done = convert(film, jobs.settings(jobs.cmaf(jobs.video("_v", Height=180), **advanced())))

    def answer(route: Route) -> None:
        name = route.request.url.partition("//images.test/")[2]
        if name == "page.html":
            route.fulfill(body="<video muted></video><script src='/shaka.js'></script>", content_type="text/html")
        elif name == "shaka.js":
            route.fulfill(path=SHAKA, content_type="text/javascript")
        elif name in done.files:
            route.fulfill(path=done.files[name])
        else:
            route.fulfill(status=404)

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page()
        page.route("http://images.test/**", answer)
        page.goto("http://images.test/page.html")
        found = page.evaluate(
            """async (url) => {
              const player = new shaka.Player();
              await player.attach(document.querySelector("video"));
              await player.load(url);
              const track = player.getImageTracks()[0];
              const one = await player.getThumbnails(track.id, 2.5);
              return [one.uris[0], one.positionX, one.positionY, one.width, one.height, one.startTime, one.duration];
            }""",
            f"http://images.test/{manifest}",
        )
        browser.close()
    assert found[0] == "http://images.test/a/main_thumbnail_000000001.jpg"
    assert found[1:5] == [0, 44, 80, 44]
    assert found[5:] == pytest.approx([2.0, 1.0])


@pytest.mark.parametrize(
    ("members", "told"),
    [
        (advanced(ThumbnailWidth=81), "imageBasedTrickPlaySettings.thumbnailWidth: must be divisible by 8"),
        (advanced(ThumbnailHeight=21), "imageBasedTrickPlaySettings.thumbnailHeight: must be divisible by 2"),
        (advanced(IntervalCadence="FOLLOW_CUSTOM"), "imageBasedTrickPlaySettings.thumbnailInterval: is needed"),
        (advanced(IntervalCadence="FOLLOW_SEGMENTATION"), "imageBasedTrickPlaySettings.tileWidth: FOLLOW_SEGMENT"),
        (advanced() | {"ImageBasedTrickPlay": "THUMBNAIL"}, "imageBasedTrickPlaySettings: belongs to"),
        ({"ImageBasedTrickPlay": "VARIANTS"}, "imageBasedTrickPlayVariants: belongs to VARIANTS"),
    ],
)
def test_what_makes_no_images_is_refused_by_path(members: dict[str, Any], told: str) -> None:
    with pytest.raises(SettingRefused) as refused:
        request.read(jobs.settings(jobs.cmaf(jobs.video("_v"), **members)))
    assert str(refused.value).startswith(f"{OWN}.{told}")
