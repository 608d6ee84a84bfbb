"""What a request for a segment costs the edge before its bytes: signed cookies and path tokens that are seen for the
first time and those that are remembered, a DPoP proof, the pace rule; and 100 000 viewers of films of two hours, each
of whom fetches a segment in turn. In one process, microseconds of one core; nothing is sent.
"""

from __future__ import annotations

import sys
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

from measuring import Row

import browser_key
from localaws.edge.admission import Admission, Asked
from localaws.edge.authorize import Authorizer
from localaws.edge.pace import Paces, Rule, Wish
from localaws.edge.path_tokens import PathTokens
from localaws.edge.revocations import Revocations
from penstock.formats import tokens
from penstock.formats.binding import Viewer
from penstock.formats.cookies import SESSION_COOKIE, Policy, Signer, generate_key_pair, load_public_key
from penstock.formats.dpop import Proofs
from penstock.formats.tokens import PathClaims

URL, FOLDER, SERIAL = "http://edge.bench", "/assets/film/stream/", 4711
KEY = b"k" * 43
FEW, MANY = 300, 20_000
VIEWERS, SEGMENTS, SEGMENT_S, FILM_SEGMENTS = 100_000, 10, 4, 1800


class Headers(dict[str, str]):
    """As much of the server's headers as is looked at."""

    def get_all(self, name: str) -> list[str]:
        return [self[name]] if name in self else []


def measure() -> list[Row]:
    return [*_checks(), *_viewers()]


def _checks() -> list[Row]:
    private, public = generate_key_pair()
    made = Signer(private, "k").cookies(Policy(f"{URL}{FOLDER}*", int(time.time()) + 3600, not_before=SERIAL))
    token = _token()
    cookie = "; ".join(f"{name}={value}" for name, value in {**made, SESSION_COOKIE: token}.items())
    keys = {"k": load_public_key(public)}
    authorizer, admission = Authorizer(keys), _admission()
    by_cookie = _asked(None, {"cookie": cookie})
    by_token = _asked(token, {})
    fresh = [_token() for _ in range(FEW)]
    return [
        _row("cookies of a session, first seen", lambda _: _admission().judge(Authorizer(keys), by_cookie), FEW),
        _row("the same, remembered", lambda _: admission.judge(authorizer, by_cookie), MANY),
        _row("path token, first seen", lambda number: admission.judge(authorizer, _asked(fresh[number], {})), FEW),
        _row("the same, remembered", lambda _: admission.judge(authorizer, by_token), MANY),
        _proofs(),
        _pace(),
    ]


def _proofs() -> Row:
    key, proofs, now = browser_key.BrowserKey(), Proofs(), time.time()
    made = [key.proof("GET", URL) for _ in range(FEW)]
    asked: dict[str, Any] = {"method": "GET", "urls": (URL,), "thumbprint": key.thumbprint, "now": now}
    return _row("DPoP proof", lambda number: proofs.take(made[number], **asked), FEW)


def _pace() -> Row:
    paces = Paces(Rule())
    wishes = [Wish(number, number, SEGMENT_S, SEGMENT_S, main=True) for number in range(FILM_SEGMENTS)]

    def ask(number: int) -> None:
        paces.ask(b"%08d" % (number % 1000), wishes[number // 1000], 1e9 + number)

    return _row("pace", ask, MANY)


def _viewers() -> list[Row]:
    """Everybody is somewhere in the film, so that every state has its full length."""
    paces = Paces(Rule())

    def all_fetch(segment: int) -> int:
        """How many of them were refused or delayed."""
        place = FILM_SEGMENTS - SEGMENTS + segment
        wish, now = Wish(place, place, SEGMENT_S, SEGMENT_S, main=True), 1e9 + segment * SEGMENT_S
        return sum(paces.ask(b"%08d" % viewer, wish, now) > 0 for viewer in range(VIEWERS))

    tracemalloc.start()
    refused = all_fetch(0)
    memory_bytes, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    began = time.perf_counter()
    refused += sum(all_fetch(segment) for segment in range(1, SEGMENTS))
    per_second = VIEWERS * (SEGMENTS - 1) / (time.perf_counter() - began)
    stored_bytes = sum(map(len, paces.dump())) / VIEWERS
    needed = VIEWERS / SEGMENT_S
    return [
        Row("state of one viewer of one film, stored", f"{stored_bytes:.0f} bytes", "", None, "less than 300"),
        Row(f"memory of {VIEWERS:,} viewers", f"{memory_bytes / 2**20:.0f} MiB", "", None, ""),
        Row(
            f"segments of {VIEWERS:,} viewers, the rule alone",
            f"{per_second:,.0f}/s",
            f"{needed:,.0f}/s are watched",
            per_second / needed,
            "",
        ),
        Row("of them refused or delayed", str(refused), "", None, "0"),
    ]


def _admission() -> Admission:
    return Admission(PathTokens({"k": KEY}, Revocations()))


def _token() -> str:
    now = int(time.time())
    session_id = f"session-{time.perf_counter_ns()}"
    claims = PathClaims(session_id, FOLDER, now + 3600, now, SERIAL, b"a viewer", 1.0, ("main.mpd", "main.m3u8"))
    return tokens.mint_path(claims, KEY, "k")


def _asked(token: str | None, headers: dict[str, str]) -> Asked:
    path = f"{FOLDER}main_video_000000001.cmfv"
    return Asked("GET", token, path, (f"{URL}{path}",), Headers(headers), Viewer("203.0.113.7"))


def _row(what: str, one: Callable[[int], object], count: int) -> Row:
    began = time.perf_counter()
    for number in range(count):
        if isinstance(one(number), str):
            raise RuntimeError(f"{what}: refused")
    spent_us = (time.perf_counter() - began) / count * 1e6
    return Row(what, f"{spent_us:.1f} µs", "", None, "")


if __name__ == "__main__":
    for row in measure():
        print(*vars(row).values(), sep=" | ", file=sys.stdout)
