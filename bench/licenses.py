"""ClearKey license requests per second through the edge, against a route of the same API that does nothing."""

from __future__ import annotations

import base64
import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
from measuring import Row, alternate, running_stack

REQUESTS = 1000
CONNECTIONS = 8


def measure() -> list[Row]:
    import films

    with running_stack() as stack:
        film = films.film(stack.data_dir.parent / "film.mp4", duration_s=2)
        done = json.loads(stack.cli("upload", str(film), "--wait", "--json").stdout)
        session = stack.client.create_playback_session(done["asset_id"], viewer="bench")
        request = _license_request(session)
        nothing = httpx.Request("GET", f"{stack.env['PENSTOCK_URL']}/healthz")
        licenses, health, ratio = alternate(lambda: _per_second(request), lambda: _per_second(nothing), 3)
    return [Row("licenses per second", f"{licenses:.0f}/s", f"`/healthz` {health:.0f}/s", ratio, "")]


def _license_request(session: dict[str, Any]) -> httpx.Request:
    from lxml import etree

    mpd = httpx.get(session["dash_url"], cookies=session["cookies"]).content
    name = "{urn:mpeg:cenc:2013}default_KID"
    texts = {e.get(name) for e in etree.fromstring(mpd).iter("{*}ContentProtection") if e.get(name)}
    kids = [base64.urlsafe_b64encode(bytes.fromhex(t.replace("-", ""))).rstrip(b"=").decode() for t in texts]
    headers = {"Authorization": f"Bearer {session['license_token']}"}
    return httpx.Request("POST", session["license_url"], json={"kids": kids, "type": "temporary"}, headers=headers)


def _per_second(request: httpx.Request) -> float:
    with (
        httpx.Client(limits=httpx.Limits(max_connections=CONNECTIONS)) as client,
        ThreadPoolExecutor(CONNECTIONS) as pool,
    ):
        began = time.monotonic()
        statuses = list(pool.map(lambda _: client.send(request).status_code, range(REQUESTS)))
        took_s = time.monotonic() - began
    if set(statuses) != {200}:
        raise RuntimeError(f"{request.url.path} answered {set(statuses)}")
    return REQUESTS / took_s
