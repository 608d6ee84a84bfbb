"""Playback sessions over a running stack: ended means ended, whoever asks for them in whatever language."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import httpx
import pytest

from penstock.formats import dash
from running_stack import RunningStack

INTEGRATE = Path(__file__).parents[2] / "docs" / "integrate.md"
INTERPRETERS = {"php": ["php"], "js": ["node", "--input-type=module"], "python": [sys.executable]}
WITHIN_S = 5


@pytest.fixture(scope="module")
def asset_id(stack: RunningStack, film: Path) -> str:
    done = json.loads(stack.cli("upload", str(film), "--wait", "--json").stdout)
    assert done["state"] == "published", done
    return str(done["asset_id"])


def opened(stack: RunningStack, asset_id: str, viewer: str = "ada") -> dict[str, Any]:
    return stack.client.create_playback_session(asset_id, viewer=viewer)


def segment(session: dict[str, Any]) -> str:
    """Address of the video's initialization segment."""
    manifest = httpx.get(session["dash_url"], cookies=session["cookies"]).text
    name = re.search(r'initialization="([^"]+)"|<BaseURL>([^<]+)</BaseURL>', manifest)
    assert name, manifest
    template = (name[1] or name[2]).replace("$RepresentationID$", "")
    return str(httpx.URL(session["dash_url"]).join(template))


def license_status(session: dict[str, Any]) -> int:
    headers = {"Authorization": f"Bearer {session['license_token']}"}
    return httpx.post(session["license_url"], json={"kids": []}, headers=headers).status_code


def healthy(stack: RunningStack) -> bool:
    return httpx.get(f"{stack.env['PENSTOCK_URL']}/healthz").is_success


def closed_after_s(session: dict[str, Any], addresses: list[str]) -> float:
    began = time.monotonic()
    while any(httpx.get(url, cookies=session["cookies"]).status_code != 403 for url in addresses):
        assert time.monotonic() - began < WITHIN_S, "the edge still lets the session in"
        time.sleep(0.05)
    return time.monotonic() - began


@pytest.mark.parametrize("how", ["one", "all of the viewer", "command", "asset deleted"])
def test_ended_session_opens_nothing_within_five_seconds(
    stack: RunningStack, asset_id: str, film: Path, how: str
) -> None:
    if how == "asset deleted":
        asset_id = json.loads(stack.cli("upload", str(film), "--wait", "--json").stdout)["asset_id"]
    session, other = opened(stack, asset_id), opened(stack, asset_id, "bob")
    addresses = [session["dash_url"], session["hls_url"], segment(session)]
    by_token = [session["dash_token_url"], session["hls_token_url"]]
    assert [httpx.get(url).status_code for url in by_token] == [200] * 2
    assert [httpx.get(url, cookies=session["cookies"]).status_code for url in addresses] == [200] * 3
    match how:
        case "one":
            stack.client.end_playback_session(session["id"])
        case "all of the viewer":
            assert stack.client.end_playback_sessions("ada") >= 1
        case "command":
            stack.cli("session", "end", session["id"])
        case "asset deleted":
            stack.client.delete_asset(asset_id)
    assert license_status(session) == 403
    closed_after_s(session, addresses + by_token)
    if how != "asset deleted":
        assert [httpx.get(url, cookies=other["cookies"]).status_code for url in addresses] == [200] * 3


def test_ended_session_stays_ended_when_edge_or_api_start_again(stack: RunningStack, asset_id: str) -> None:
    session, other = opened(stack, asset_id), opened(stack, asset_id, "bob")
    stack.client.end_playback_session(session["id"])
    closed_after_s(session, [session["dash_url"]])
    for name in ("localaws.edge", "penstock.api"):
        died = [each for each in stack.processes() if name in " ".join(each.cmdline())]
        for process in died:
            process.kill()
        deadline = time.monotonic() + 20
        while True:
            answers = []
            for each in (session, other):
                try:
                    answers.append(httpx.get(each["dash_url"], cookies=each["cookies"]).status_code)
                except httpx.TransportError:
                    answers.append(0)
            assert answers[0] in (0, 403), "an ended session was let in"
            if answers[1] == 200 and healthy(stack):
                break
            assert time.monotonic() < deadline, f"{name} did not come back: {answers}"
            time.sleep(0.05)


def test_path_token_opens_the_film_without_cookies_and_nothing_else(stack: RunningStack, asset_id: str) -> None:
    session = opened(stack, asset_id)
    prefix = session["dash_token_url"].removesuffix(httpx.URL(session["dash_url"]).path)
    init = httpx.URL(segment(session)).path
    assert httpx.get(prefix + init).content == httpx.get(segment(session), cookies=session["cookies"]).content
    assert httpx.get(f"{prefix}/assets/{asset_id}/default/poster/poster.0000000.jpg").status_code == 403
    assert httpx.get(f"{prefix}/v1/assets").status_code == 403
    assert httpx.get(f"{prefix}{init}".replace(asset_id, "0" * 36)).status_code == 403
    token = prefix.rsplit("/", 1)[1]
    logs = list((stack.data_dir / "logs").iterdir())
    assert logs
    assert not [log.name for log in logs if token in log.read_text(errors="replace")]


@pytest.mark.parametrize("language", INTERPRETERS)
def test_ten_lines_of_any_language_get_a_watch_link(stack: RunningStack, asset_id: str, language: str) -> None:
    program = re.search(rf"```{language}\n(.*?)```", INTEGRATE.read_text(), re.DOTALL)
    assert program
    lines = [line for line in program[1].splitlines() if line.strip()]
    assert len(lines) <= 10
    command = INTERPRETERS[language]
    environment = {**os.environ, **stack.env, "ASSET": asset_id, "VIEWER": f"viewer-{language}"}
    done = subprocess.run(command, input=program[1], capture_output=True, text=True, env=environment, timeout=30)
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(rf"{stack.env['PENSTOCK_URL']}/watch/[0-9a-f-]+#\S+\n", done.stdout)
    assert len(list(stack.client.playback_sessions(f"viewer-{language}"))) == 1


def test_command_lists_and_ends_the_sessions_of_a_viewer(stack: RunningStack, asset_id: str) -> None:
    session = opened(stack, asset_id, "eve")
    assert session["id"] in stack.cli("session", "list", "--viewer", "eve").stdout
    assert stack.cli("session", "end", "--viewer", "eve").stdout == "1 ended\n"
    listed = json.loads(stack.cli("session", "list", "--viewer", "eve", "--json").stdout)
    assert [each["state"] for each in listed] == ["ended"]
    assert stack.cli("session", "end", check=False).returncode == 2


def test_keys_are_rotated_and_open_sessions_go_on(stack: RunningStack, asset_id: str) -> None:
    before = opened(stack, asset_id)
    assert stack.stop() == 0
    key_pair_id = json.loads(stack.cli("rotate-keys", "--data-dir", str(stack.data_dir), "--json").stdout)[
        "key_pair_id"
    ]
    stack.start()
    after = opened(stack, asset_id)
    assert after["cookies"]["CloudFront-Key-Pair-Id"] == key_pair_id != before["cookies"]["CloudFront-Key-Pair-Id"]
    for session in (before, after):
        assert httpx.get(session["dash_url"], cookies=session["cookies"]).status_code == 200
        assert httpx.get(session["dash_token_url"]).status_code == 200
        heartbeat = f"{stack.env['PENSTOCK_URL']}/v1/playback-sessions/{session['id']}/heartbeat"
        renewed = httpx.post(heartbeat, headers={"Authorization": f"Bearer {session['license_token']}"})
        assert renewed.status_code == 200, renewed.text
        assert renewed.cookies["CloudFront-Key-Pair-Id"] == key_pair_id


def test_a_tool_that_fetches_without_a_player_is_seen_in_the_sessions_score(stack: RunningStack, asset_id: str) -> None:
    session = opened(stack, asset_id, "mallory")
    cookie = "; ".join(f"{name}={value}" for name, value in session["cookies"].items())
    with httpx.Client(headers={"Cookie": cookie}, timeout=30) as http:
        names = dash.segment_names(http.get(session["dash_url"]).content)
        for _ in range(8):
            for name in names:
                http.get(urljoin(session["dash_url"], name))
    address = f"{stack.env['PENSTOCK_URL']}/v1/playback-sessions/{session['id']}"
    deadline = time.monotonic() + 60
    while not (found := httpx.get(address, headers=stack.bearer, timeout=30).json())["score"]:
        assert time.monotonic() < deadline, "the edge told nothing"
        time.sleep(0.2)  # the edge tells every ten seconds; the deadline bounds it
    assert {signal["signal"] for signal in found["signals"]} >= {"silent"}
    assert found["score"] < 60, "one film fetched once by a tool is a reason to look, not to act"
