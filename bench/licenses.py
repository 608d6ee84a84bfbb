"""ClearKey licenses, and playback sessions opened, per second through the edge, against a route of the same API that
does nothing.
"""

from __future__ import annotations

import base64
import json
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
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
        address = f"{stack.env['PENSTOCK_URL']}/v1/assets/{done['asset_id']}/playback-sessions"
        opening = httpx.Request("POST", address, json={"viewer": "bench"}, headers=stack.bearer)
        rows = []
        for what, asked, status in (("licenses", request, 200), ("sessions opened", opening, 201)):
            ours, health, ratio = alternate(partial(_per_second, asked, status), partial(_per_second, nothing), 3)
            rows.append(Row(f"{what} per second", f"{ours:.0f}/s", f"`/healthz` {health:.0f}/s", ratio, ""))
    return rows


def _license_request(session: dict[str, Any]) -> httpx.Request:
    from lxml import etree

    mpd = httpx.get(session["dash_url"], cookies=session["cookies"]).content
    name = "{urn:mpeg:cenc:2013}default_KID"
    texts = {e.get(name) for e in etree.fromstring(mpd).iter("{*}ContentProtection") if e.get(name)}
    kids = [base64.urlsafe_b64encode(bytes.fromhex(t.replace("-", ""))).rstrip(b"=").decode() for t in texts]
    headers = {"Authorization": f"Bearer {session['license_token']}"}
    return httpx.Request("POST", session["license_url"], json={"kids": kids, "type": "temporary"}, headers=headers)


def _per_second(request: httpx.Request, status: int = 200) -> float:
    with (
        httpx.Client(limits=httpx.Limits(max_connections=CONNECTIONS)) as client,
        ThreadPoolExecutor(CONNECTIONS) as pool,
    ):
        began = time.monotonic()
        statuses = list(pool.map(lambda _: client.send(request).status_code, range(REQUESTS)))
        took_s = time.monotonic() - began
    if set(statuses) != {status}:
        raise RuntimeError(f"{request.url.path} answered {set(statuses)}")
    return REQUESTS / took_s
