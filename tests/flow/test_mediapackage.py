"""Delivery by MediaPackage: clear files in the private bucket, SMIL, asset, packages behind the edge, playback."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx
import pytest
from lxml import etree

from localaws.media import jail
from penstock.formats import dash, hls
from running_stack import RunningStack


@pytest.fixture(scope="module")
def packaging_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    folder = tmp_path_factory.mktemp("packaging") / "data"
    running = RunningStack(folder, PENSTOCK_DELIVERY="mediapackage").start()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def asset(packaging_stack: RunningStack, film: Path) -> dict[str, Any]:
    done = json.loads(packaging_stack.cli("upload", str(film), "--wait", "--json").stdout)
    assert done["state"] == "published", f"{done}\n{packaging_stack.logs()}"
    return packaging_stack.wait_for(done["asset_id"])


@pytest.fixture
def session(packaging_stack: RunningStack, asset: dict[str, Any]) -> dict[str, Any]:
    return packaging_stack.client.create_playback_session(asset["id"], viewer="ada")


def test_the_packages_play_by_the_edge_alone_and_by_the_sessions_cookies_alone(
    packaging_stack: RunningStack, session: dict[str, Any]
) -> None:
    for url in (session["dash_url"], session["hls_url"]):
        path = urlsplit(url).path
        assert path.startswith("/out/v1/")
        assert httpx.get(url).status_code == 403
        assert httpx.get(url, cookies=session["cookies"]).status_code == 200
        # The egress itself wants the CDN's identifier, which no viewer has.
        assert httpx.get(packaging_stack.env["AWS_ENDPOINT_URL"] + path, cookies=session["cookies"]).status_code == 403


def test_everything_that_the_manifests_name_is_there(session: dict[str, Any]) -> None:
    cookies = session["cookies"]
    mpd = httpx.get(session["dash_url"], cookies=cookies).content
    names = dash.segment_names(mpd)
    assert len(names) > 4
    for name in names:
        assert httpx.head(urljoin(session["dash_url"], name), cookies=cookies).status_code == 200, name
    multivariant = httpx.get(session["hls_url"], cookies=cookies).text
    for reference in hls.media_playlists(multivariant):
        playlist = httpx.get(urljoin(session["hls_url"], reference), cookies=cookies)
        assert hls.key_formats(playlist.text) == [hls.FAIRPLAY]
        for name in hls.segment_names(playlist.text):
            assert httpx.head(urljoin(session["hls_url"], name), cookies=cookies).status_code == 200, name


def test_no_clear_file_is_within_a_viewers_reach(packaging_stack: RunningStack, session: dict[str, Any]) -> None:
    s3 = packaging_stack.aws("s3")
    prefix = f"assets/{session['asset_id']}/"
    keys = [item["Key"] for item in s3.list_objects_v2(Bucket="penstock-media", Prefix=prefix)["Contents"]]
    clear = [key for key in keys if key.endswith((".mp4", ".smil"))]
    assert len(clear) > 1
    for key in clear:
        url = f"{packaging_stack.env['PENSTOCK_URL']}/{key}"
        assert httpx.get(url, cookies=session["cookies"]).status_code == 403


def test_licensed_keys_decrypt_every_frame(session: dict[str, Any], tmp_path: Path) -> None:
    """A foreign decoder (ffmpeg) with the licensed key counts the frames of the best video."""
    mpd = httpx.get(session["dash_url"], cookies=session["cookies"]).content
    kids = dash.key_ids(mpd)
    assert len(kids) == 2
    answer = licensed(session, kids)
    root = etree.fromstring(mpd)
    [video] = root.findall(".//{*}AdaptationSet[@contentType='video']")
    kid = video.find("{*}ContentProtection[@{urn:mpeg:cenc:2013}default_KID]")
    assert kid is not None
    key = answer[kid.get("{urn:mpeg:cenc:2013}default_KID", "").replace("-", "")]
    label = video.find("{*}Representation").get("id")
    names = [name for name in dash.segment_names(mpd) if name.startswith(f"{label}_")]
    film = tmp_path / "film.mp4"
    with film.open("wb") as out:
        for name in names:
            out.write(httpx.get(urljoin(session["dash_url"], name), cookies=session["cookies"]).content)
    command = [str(jail.binary("ffprobe")), "-v", "error", "-decryption_key", key, "-count_frames"]
    command += ["-show_entries", "stream=nb_read_frames", "-of", "csv=p=0", str(film)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.stdout.strip().strip(","), done.stderr) == ("125", "")


def licensed(session: dict[str, Any], kids: list[Any]) -> dict[str, str]:
    """Content keys by key id, both in hexadecimal."""
    raw = [bytes.fromhex(str(kid).replace("-", "")) for kid in kids]
    body = {"kids": [base64.urlsafe_b64encode(kid).rstrip(b"=").decode() for kid in raw], "type": "temporary"}
    bearer = {"Authorization": f"Bearer {session['license_token']}"}
    answer = httpx.post(session["license_url"], json=body, headers=bearer).json()
    return {decoded(key["kid"]): decoded(key["k"]) for key in answer["keys"]}


def decoded(text: str) -> str:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).hex()


def test_deleting_the_asset_removes_its_packages(packaging_stack: RunningStack, film: Path) -> None:
    done = json.loads(packaging_stack.cli("upload", str(film), "--wait", "--json").stdout)
    session = packaging_stack.client.create_playback_session(done["asset_id"], viewer="bob")
    vod = packaging_stack.aws("mediapackage-vod")
    ours = [one for one in vod.list_assets()["Assets"] if one["Tags"]["assetId"] == done["asset_id"]]
    assert len(ours) == 1
    packaging_stack.cli("delete", done["asset_id"])
    left = [one["Id"] for one in vod.list_assets()["Assets"]]
    assert ours[0]["Id"] not in left
    assert session["dash_url"]
