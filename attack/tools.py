"""What people download video with, each turned on one playback session. Only addresses of this machine are asked.

Every attacker writes files into a folder; whether they are worth anything is for the judge to say. All are bounded in
time, and end themselves.
"""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import httpx
import imageio_ffmpeg

from penstock.formats import dash

INSTALLED = Path(sys.executable).parent
FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()
"""A build that reads DASH, which the one that encodes here does not."""
TOOL_S = 100
SITE_TOOL_S = 150
PARALLEL = 8
_VIDEO = re.compile(r"(?P<rendition>.*?)(?:init|_?(?P<number>\d{9}))\.(?:cmfv|mp4)")


@dataclass(frozen=True)
class Loot:
    """Files that may be watchable, in the order in which they show the film."""

    files: tuple[Path, ...]
    remark: str = ""


def cookie_header(session: dict[str, Any]) -> str:
    return "; ".join(f"{name}={value}" for name, value in session["cookies"].items())


def ffmpeg(url: str, cookie: str, folder: Path) -> Loot:
    headers = ["-headers", f"Cookie: {cookie}\r\n"] if cookie else []
    target = folder / "ffmpeg.mp4"
    _run([FFMPEG, "-y", "-v", "error", *headers, "-i", url, "-c", "copy", str(target)])
    return _loot(target)


def yt_dlp(url: str, cookie: str, folder: Path) -> Loot:
    command = [str(INSTALLED / "yt-dlp"), "--no-config", "--allow-unplayable-formats", "--retries", "3", "-q"]
    headers = ["--add-headers", f"Cookie:{cookie}"] if cookie else []
    _run([*command, *headers, "--ffmpeg-location", FFMPEG, "-o", str(folder / "yt-dlp.%(ext)s"), url])
    return _loot(*folder.glob("yt-dlp*"))


def streamlink(url: str, cookie: str, folder: Path) -> Loot:
    target = folder / "streamlink.mp4"
    command = [str(INSTALLED / "streamlink"), "--no-config", "--ffmpeg-ffmpeg", FFMPEG, "-Q"]
    headers = ["--http-header", f"Cookie={cookie}"] if cookie else []
    # Streamlink takes its address for a page; these say which of its plugins to use.
    kind = "dash" if url.partition("?")[0].endswith(".mpd") else "httpstream"
    _run([*command, *headers, "-o", str(target), f"{kind}://{url}", "best"])
    return _loot(target)


def curl(url: str, cookie: str, folder: Path, address: str | None = None) -> Loot:
    """The manifest, then every segment of its best rendition, put together. address: local address to come from."""
    from_there = ["--interface", address] if address else []
    headers = ["-H", f"Cookie: {cookie}"] if cookie else []
    common = ["curl", "-sS", "-f", "--max-time", str(TOOL_S), *from_there, *headers]
    if not url.partition("?")[0].endswith(".mpd"):
        _run([*common, "-o", str(folder / "curl.mp4"), url])
        return _loot(folder / "curl.mp4")
    _run([*common, "-o", str(folder / "manifest.mpd"), url])
    if not (folder / "manifest.mpd").exists():
        return Loot(())
    names = best_rendition((folder / "manifest.mpd").read_bytes())
    # All addresses in one call: one connection, as fast as it goes.
    targets = [part for name in names for part in ("-o", str(folder / Path(name).name), urljoin(url, name))]
    _run([*common, *targets])
    return _loot(_joined([folder / Path(name).name for name in names], folder / "curl.mp4"))


def site_tool(sessions: list[dict[str, Any]], folder: Path, address: str | None = None) -> Loot:
    """A program written for this site: it has cookies and license tokens, waits when told to, and decrypts.

    With several sessions of one account each fetches a part of the film at the same time.
    """
    deadline = time.monotonic() + SITE_TOOL_S
    transport = httpx.HTTPTransport(local_address=address or "127.0.0.1")
    with httpx.Client(transport=transport, timeout=30) as http:
        first = sessions[0]
        found = http.get(first["dash_url"], headers={"Cookie": cookie_header(first)})
        if found.status_code != 200:
            return Loot((), f"manifest: HTTP {found.status_code}")
        names = best_rendition(found.content)
        kids = dash.key_ids(found.content)
        keys, said = _license(http, first, kids) if kids else ({}, "")
        parts = [names[index :: len(sessions)] for index in range(len(sessions))]

        def fetch(session: dict[str, Any], own: list[str]) -> None:
            for name in own:
                content = _patient_get(http, urljoin(session["dash_url"], name), session, deadline)
                if content is None:
                    return
                (folder / Path(name).name).write_bytes(content)

        with ThreadPoolExecutor(PARALLEL) as pool:
            list(pool.map(fetch, sessions, parts))
    joined = _joined([folder / Path(name).name for name in names], folder / "joined.mp4")
    return Loot(tuple(clear(joined, keys, folder)), said)


def replay(requests: list[tuple[str, dict[str, str]]], folder: Path) -> Loot:
    """The requests of a browser once more, with every header they had."""
    names, said = [], []
    with httpx.Client(timeout=30) as http:
        for url, headers in requests:
            sent = {name: value for name, value in headers.items() if not name.startswith(":") and name != "host"}
            answer = http.get(url, headers=sent)
            said.append(answer.status_code)
            if answer.is_success and "video" in url:
                names.append(folder / Path(url.partition("?")[0]).name)
                names[-1].write_bytes(answer.content)
    told = ", ".join(f"{said.count(status)} of {len(said)} answered {status}" for status in sorted(set(said)))
    return Loot(tuple(path for path in [_joined(names, folder / "replayed.mp4")] if path.exists()), told)


def clear(encrypted: Path, keys: dict[str, str], folder: Path) -> list[Path]:
    """Decrypt with each key that there is; the file itself where there is none."""
    if not encrypted.exists():
        return []
    if not keys:
        return [encrypted]
    made = []
    for kid, key in keys.items():
        target = folder / f"{encrypted.stem}-{kid[:8]}.mp4"
        _run(
            [
                FFMPEG,
                "-y",
                "-v",
                "error",
                "-decryption_key",
                key,
                "-i",
                str(encrypted),
                "-c",
                "copy",
                str(target),
            ]
        )
        made.append(target)
    return [path for path in made if path.exists()]


def best_rendition(mpd: bytes) -> list[str]:
    """Initialization and media segments of the first video rendition that the manifest names."""
    found: dict[str, list[str]] = {}
    for name in dash.segment_names(mpd):
        if match := _VIDEO.fullmatch(name):
            found.setdefault(match["rendition"], []).append(name)
    return next(iter(found.values()), [])


def _license(http: httpx.Client, session: dict[str, Any], kids: list[Any]) -> tuple[dict[str, str], str]:
    """Content keys in hexadecimal by key id, as anybody with the session's token gets them."""
    asked = {"kids": [_base64url(kid.raw) for kid in kids], "type": "temporary"}
    bearer = {"Authorization": f"Bearer {session['license_token']}"}
    answer = http.post(session["license_url"], json=asked, headers=bearer)
    if answer.status_code != 200:
        return {}, f"license: HTTP {answer.status_code}"
    return {_hex(key["kid"]): _hex(key["k"]) for key in answer.json()["keys"]}, ""


def _patient_get(http: httpx.Client, url: str, session: dict[str, Any], deadline: float) -> bytes | None:
    while time.monotonic() < deadline:
        answer = http.get(url, headers={"Cookie": cookie_header(session)})
        if answer.status_code == 200:
            return answer.content
        if answer.status_code != 429:
            return None
        time.sleep(float(answer.headers.get("retry-after", 1)))
    return None


def _joined(parts: list[Path], target: Path) -> Path:
    """The segments that are there, up to the first gap: what follows a gap shows another moment of the film."""
    with target.open("wb") as file:
        for part in parts:
            if not part.exists():
                break
            file.write(part.read_bytes())
    if not target.stat().st_size:
        target.unlink()
    return target


def _loot(*paths: Path) -> Loot:
    return Loot(tuple(path for path in sorted(paths) if path.exists() and path.stat().st_size))


def _run(command: list[str]) -> None:
    try:
        subprocess.run(command, capture_output=True, timeout=TOOL_S)
    except subprocess.TimeoutExpired:
        return


def _base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _hex(text: str) -> str:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).hex()


def versions() -> str:
    """The tools and their versions, as they tell them."""

    def said(command: list[str]) -> str:
        first = subprocess.run(command, capture_output=True, text=True, timeout=30).stdout.splitlines()
        return first[0].strip() if first else "?"

    told = {
        "yt-dlp": said([str(INSTALLED / "yt-dlp"), "--version"]),
        "streamlink": said([str(INSTALLED / "streamlink"), "--version"]).removeprefix("streamlink "),
        "ffmpeg": said([FFMPEG, "-version"]).split(" ")[2],
        "curl": said(["curl", "--version"]).split(" ")[1],
        "Chromium": said(["/usr/bin/chromium", "--version"]).split(" ")[1],
    }
    return ", ".join(f"{name} {version}" for name, version in told.items())


def keys_of(updates: list[str]) -> dict[str, str]:
    """Content keys in the license messages that a page gave to its CDM."""
    found = {}
    for text in updates:
        for key in json.loads(text).get("keys", ()):
            found[_hex(key["kid"])] = _hex(key["k"])
    return found
