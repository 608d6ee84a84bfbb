"""Sessions that were ended: what the edge hears of them, and what it does until it hears."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from edge_parts import refusal
from localaws.edge.authorize import REVOKED, Authorizer
from localaws.edge.revocations import Revocations
from penstock.formats.cookies import Policy, Signer, load_public_key

SERIAL = 4711
OFTEN = {"revocations_every_s": 0.05}
NOW = 1_800_000_000
URL = "http://edge.test/assets/a/x.m4s"


class Teller:
    """An API that tells what a test sets."""

    def __init__(self) -> None:
        self.status = 200
        self.body: Any = {"serials": [], "sessions": []}
        self.tokens: list[str | None] = []

    def __call__(self, handler: Any, seen: Any) -> None:
        if seen.target == "/internal/revocations":
            self.tokens.append(seen.headers.get("authorization"))
            body = self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()
            answer(handler, self.status, body)
        else:
            answer(handler, 200, b"clear")


def answer(handler: Any, status: int, body: bytes) -> None:
    handler.send_response(status)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def wait_for(happened: Callable[[], Any], what: str, timeout_s: float = 15.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not happened():
        assert time.monotonic() < deadline, f"not within {timeout_s} s: {what}"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def edge_and_teller(start_edge: Any, start_origin: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    teller = Teller()
    origin = start_origin(teller)
    token_file = tmp_path_factory.mktemp("secrets") / "edge-token"
    token_file.write_text("secret-of-the-edge\n")
    told = {"url": f"{origin.url}/internal/revocations", "token_file": str(token_file)}
    return start_edge(api_url=origin.url, revocations=told, limits=OFTEN), teller, origin


@pytest.fixture
def edge(edge_and_teller: Any) -> Any:
    edge, teller, _ = edge_and_teller
    teller.status, teller.body = 200, {"serials": [], "sessions": []}
    rounds(teller, 2)
    return edge


@pytest.fixture
def teller(edge_and_teller: Any) -> Teller:
    return edge_and_teller[1]  # type: ignore[no-any-return]


def rounds(teller: Teller, number: int) -> None:
    """Wait until the edge has asked so many more times."""
    wanted = len(teller.tokens) + number
    wait_for(lambda: len(teller.tokens) >= wanted, "the edge asks")


def status(edge: Any, serial: int | None = SERIAL) -> int:
    return int(edge.request("/signed-api/x", headers=edge.cookie("/signed-api/*", not_before=serial)).status)


def test_cookie_of_an_ended_session_is_refused(edge: Any, teller: Teller) -> None:
    assert (status(edge), status(edge, 4712), status(edge, None)) == (200, 200, 200)
    teller.body = {"serials": [SERIAL], "sessions": ["s"]}
    wait_for(lambda: status(edge) == 403, "the edge hears")
    assert (status(edge, 4712), status(edge, None)) == (200, 200)


def test_signed_url_of_an_ended_session_is_refused(edge: Any, teller: Teller) -> None:
    policy = Policy(f"{edge.url}/signed-api/*", int(time.time()) + 60, not_before=SERIAL)
    target = edge.signer().url(f"{edge.url}/signed-api/x", policy).removeprefix(edge.url)
    assert edge.request(target).status == 200
    teller.body = {"serials": [SERIAL], "sessions": []}
    rounds(teller, 2)
    assert edge.request(target).status == 403


def test_refusal_looks_like_any_other(edge: Any, teller: Teller) -> None:
    teller.body = {"serials": [SERIAL], "sessions": []}
    rounds(teller, 2)
    cookies = edge.cookie("/signed-api/*", not_before=SERIAL)
    assert edge.request("/signed-api/x", headers=cookies).without_date() == edge.request("/signed-api/x").without_date()


def test_teller_is_asked_with_the_secret(edge: Any, teller: Teller) -> None:
    assert set(teller.tokens) == {"Bearer secret-of-the-edge"}
    assert "secret-of-the-edge" not in edge.log


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b"{}",
        b'{"serials": []}',
        b'{"serials": {}, "sessions": []}',
        b'{"serials": ["1"], "sessions": []}',
        b'{"serials": [true], "sessions": []}',
        b'{"serials": [1], "sessions": [1]}',
        b"\xff",
        b"[" * 100_000,
    ],
)
def test_answer_that_cannot_be_read_changes_nothing(edge: Any, teller: Teller, body: bytes) -> None:
    teller.body = {"serials": [SERIAL], "sessions": []}
    rounds(teller, 2)
    teller.body = body
    rounds(teller, 2)
    assert (status(edge), status(edge, 4712)) == (403, 200)


@pytest.mark.parametrize("failure", [401, 404, 500, 302])
def test_last_list_holds_while_the_teller_fails(edge: Any, teller: Teller, failure: int) -> None:
    teller.body = {"serials": [SERIAL], "sessions": []}
    rounds(teller, 2)
    teller.body, teller.status = {"serials": [], "sessions": []}, failure
    rounds(teller, 2)
    assert (status(edge), status(edge, 4712)) == (403, 200)


def test_until_the_first_list_nobody_is_let_in(start_edge: Any, start_origin: Any) -> None:
    teller = Teller()
    teller.status = 500
    origin = start_origin(teller)
    edge = start_edge(api_url=origin.url, revocations={"url": f"{origin.url}/internal/revocations"})
    rounds(teller, 1)
    assert status(edge) == 403
    assert edge.request("/x").status == 200  # what needs no signature is served
    teller.status = 200
    wait_for(lambda: status(edge) == 200, "the edge hears")


def test_remembered_cookie_is_refused_as_soon_as_it_is_revoked(keys: Any) -> None:
    revocations = Revocations()
    public = {name: load_public_key(pem) for name, pem in keys.public.items()}
    authorizer = Authorizer(public, revocations=revocations, clock=lambda: float(NOW))

    def judge(serial: int) -> str | None:
        policy = Policy("http://edge.test/assets/a/*", NOW + 60, not_before=serial)
        made = Signer(keys.private["rsa"], "rsa").cookies(policy)
        header = "; ".join(f"{name}={value}" for name, value in made.items())
        return refusal(authorizer, [URL], header, "10.0.0.1")

    def tell(serial: int) -> None:
        revocations.take({"serials": [serial], "sessions": []})

    assert judge(SERIAL) is None
    tell(SERIAL)
    assert judge(SERIAL) == REVOKED
    assert judge(4712) is None
    tell(4712)
    assert judge(SERIAL) is None
    assert judge(4712) == REVOKED


def test_edge_of_a_stack_hears_within_five_seconds(start_edge: Any, start_origin: Any) -> None:
    teller = Teller()
    origin = start_origin(teller)
    edge = start_edge(api_url=origin.url, revocations={"url": f"{origin.url}/internal/revocations"})
    wait_for(lambda: status(edge) == 200, "the edge hears for the first time")
    teller.body = {"serials": [SERIAL], "sessions": []}
    wait_for(lambda: status(edge) == 403, "the edge hears", timeout_s=5)
