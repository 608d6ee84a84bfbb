"""HLS groups in a browser: hls.js plays what was made, to the end and with sound."""

from __future__ import annotations

import functools
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, sync_playwright

import mediaconvert_jobs as jobs
from conftest import REPOSITORY
from sample_media import ffmpeg

CHROMIUM = "/usr/bin/chromium"
HLS_JS = REPOSITORY / "web" / "node_modules" / "hls.js" / "dist" / "hls.min.js"
PAGE = """<!doctype html><video muted></video><script src="hls.min.js"></script><script>
const seen = { problems: [], levels: 0, ended: false, audio: 0, video: 0 };
const video = document.querySelector("video");
const hls = new Hls();
hls.on(Hls.Events.ERROR, (_, data) => seen.problems.push(`${data.fatal ? "fatal " : ""}${data.details}`));
hls.on(Hls.Events.MANIFEST_PARSED, (_, data) => { seen.levels = data.levels.length; video.play(); });
hls.on(Hls.Events.BUFFER_APPENDED, (_, data) => {
  if (data.type === "audiovideo") { seen.audio += 1; seen.video += 1; } else { seen[data.type] += 1; }
});
video.addEventListener("ended", () => {
  seen.ended = true;
  seen.frames = video.getVideoPlaybackQuality().totalVideoFrames;
  seen.duration = video.duration;
});
hls.loadSource("h/hls.m3u8");
hls.attachMedia(video);
</script>"""


def _need(there: bool, reason: str) -> None:
    if not there and os.environ.get("CI"):
        pytest.fail(reason)
    if not there:
        pytest.skip(reason)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    _need(Path(CHROMIUM).exists(), "Chromium is not installed")
    _need(HLS_JS.exists(), "hls.js is not installed; `make setup` installs it")
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu", "--autoplay-policy=no-user-gesture-required"]
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield running
        running.close()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def site(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder and the address at which it is served."""
    folder = tmp_path / "site"
    folder.mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield folder, f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


LARGE, SMALL = ({**jobs.video(f"_{height}", Height=height), "AudioDescriptions": [jobs.aac()]} for height in (180, 90))
KEY = "00112233445566778899aabbccddeeff"
GROUPS = {
    "muxed": jobs.hls(jobs.hls_output(LARGE), jobs.hls_output(SMALL)),
    "packed audio": jobs.hls(jobs.hls_output(jobs.video("_v", Height=90)), jobs.hls_output(jobs.audio("_a"))),
    "encrypted": jobs.hls(
        jobs.hls_output(jobs.video("_v", Height=90)),
        jobs.hls_output(jobs.audio("_a")),
        Encryption=jobs.static_key("key", KEY),
    ),
    # hls.js wants the IV of samples in the playlist.
    "encrypted samples": jobs.hls(
        jobs.hls_output(LARGE),
        Encryption=jobs.static_key("key", KEY, EncryptionMethod="SAMPLE_AES", ConstantInitializationVector=KEY[::-1]),
    ),
    "audio in transport streams": jobs.hls(
        jobs.hls_output(jobs.video("_v", Height=90)), jobs.hls_output(jobs.audio("_a"), AudioOnlyContainer="M2TS")
    ),
}


@pytest.mark.parametrize("kind", GROUPS)
def test_hls_js_plays_to_the_end(
    kind: str,
    site: tuple[Path, str],
    tmp_path: Path,
    convert: Callable[[Path, dict[str, Any]], Any],
    browser: Browser,
) -> None:
    picture, tone = "testsrc2=size=320x180:rate=25:duration=3", "sine=sample_rate=48000:duration=3"
    source = ffmpeg(
        tmp_path / "film.mp4", "-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", tone,
        "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-ac", "2", "-c:a", "aac",
    )  # fmt: skip
    done = convert(source, jobs.settings(GROUPS[kind]))
    folder, address = site
    for key, path in done.files.items():
        (folder / key).parent.mkdir(exist_ok=True)
        shutil.copyfile(path, folder / key)
    shutil.copyfile(HLS_JS, folder / "hls.min.js")
    (folder / "index.html").write_text(PAGE)
    (folder / "h" / "key").write_bytes(bytes.fromhex(KEY))
    page = browser.new_page()
    page.goto(f"{address}/index.html")
    page.wait_for_function("seen.ended || seen.problems.some((one) => one.startsWith('fatal'))", timeout=30_000)
    seen = page.evaluate("seen")
    page.close()
    # hls.js counts from the first decoding time, which B-frames put two frames before the first picture: it steps over
    # that gap, and appends the first audio segment once more. It says so of any such stream.
    assert seen["ended"] and set(seen["problems"]) <= {"bufferAppendNoProgress", "bufferSeekOverHole"}
    assert seen["levels"] == (2 if kind == "muxed" else 1)
    assert seen["audio"] and seen["video"]
    assert seen["duration"] == pytest.approx(3.0, abs=0.1)
    assert seen["frames"] > 50
