"""Sessions that are bound to an address, a network, a country, a browser or its key, at a running edge."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from browser_key import BrowserKey
from localaws.edge.front import Front
from penstock.formats import binding, tokens
from penstock.formats.binding import Binding
from penstock.formats.tokens import PathClaims

KEY = b"b" * 43
FOLDER = "/assets/bound/stream/"
SEGMENT = f"{FOLDER}1.m4s"
SERIAL = 4711


class Bound:
    """An edge that believes whoever comes from this machine to be the server in front of it."""

    def __init__(self, start_edge: Any, start_origin: Any, folder: Path) -> None:
        def answer(handler: Any, seen: Any) -> None:
            handler.send_response(502 if "broken" in seen.target else 200)
            handler.send_header("Content-Length", "7")
            handler.end_headers()
            handler.wfile.write(b"segment")

        (folder / "key").write_bytes(KEY)
        self.edge = start_edge(
            origins={"media": {"url": start_origin(answer).url, "cached": True}},
            behaviors=[{"path": "/assets/*", "origin": "media", "trusted_key_group": "viewers"}],
            path_token_keys={"k": str(folder / "key")},
            front=["127.0.0.1/32"],
        )

    def token(self, bound: Binding) -> str:
        now = int(time.time())
        return tokens.mint_path(PathClaims("s", FOLDER, now + 600, now, SERIAL, binding=bound), KEY, "k")

    def by_token(self, bound: Binding, headers: Mapping[str, str] | None = None, path: str = SEGMENT) -> int:
        return int(self.edge.request(f"/t/{self.token(bound)}{path}", headers=headers or {}).status)

    def by_cookie(self, bound: Binding, headers: Mapping[str, str] | None = None, **policy: Any) -> int:
        signed = self.edge.cookie(f"{FOLDER}*", not_before=SERIAL, **policy)["Cookie"]
        cookie = f"{signed}; Penstock-Session={self.token(bound)}"
        return int(self.edge.request(SEGMENT, headers={"Cookie": cookie, **(headers or {})}).status)


@pytest.fixture(scope="module")
def bound(start_edge: Any, start_origin: Any, tmp_path_factory: pytest.TempPathFactory) -> Bound:
    return Bound(start_edge, start_origin, tmp_path_factory.mktemp("bound"))


def front(address: str = "203.0.113.7:4711", asn: str = "64500", country: str = "CH") -> dict[str, str]:
    """What CloudFront tells of a viewer."""
    return {
        "CloudFront-Viewer-Address": address,
        "CloudFront-Viewer-ASN": asn,
        "CloudFront-Viewer-Country": country,
        "User-Agent": "Firefox",
    }


MEANT = Binding("203.0.113.0/24", 64500, "CH", binding.hash_of("Firefox"))


@pytest.mark.parametrize("way", ["by_token", "by_cookie"])
def test_bound_session_works_for_who_is_meant_alone(bound: Bound, way: str) -> None:
    ask = getattr(bound, way)
    assert ask(MEANT, front()) == 200
    for other in (
        front(address="203.0.114.7:1"),
        front(address="2001:db8::1:1"),
        front(address="nowhere"),
        front(asn="64501"),
        front(asn=""),
        front(asn="64500, 64501"),
        front(country="DE"),
        {**front(), "User-Agent": "curl/8"},
        {},
    ):
        assert ask(MEANT, other) == 403, other


def test_signed_policy_with_an_address_is_held_against_the_viewer_behind_the_front(bound: Bound) -> None:
    unbound = Binding()
    assert bound.by_cookie(unbound, front(), source_ip="203.0.113.0/24") == 200
    assert bound.by_cookie(unbound, front("198.51.100.1:1"), source_ip="203.0.113.0/24") == 403
    assert bound.by_cookie(unbound, source_ip="203.0.113.0/24") == 403


def test_headers_of_who_is_not_in_front_are_not_believed() -> None:
    for networks in ((), ("127.0.0.2/32",)):
        viewer = Front(networks).viewer("127.0.0.1", {name.lower(): value for name, value in front().items()})
        assert (viewer.address, viewer.asn, viewer.country, viewer.user_agent) == ("127.0.0.1", None, None, "Firefox")


class TestKey:
    """Sessions that are bound to a browser's key."""

    def ask(self, bound: Bound, key: BrowserKey, path: str = SEGMENT, **proof: Any) -> int:
        token = bound.token(Binding(key_thumbprint=key.thumbprint))
        url = proof.pop("url", f"{bound.edge.url}/t/{token}{path}")
        made = key.proof("GET", url, **proof)
        return int(bound.edge.request(f"/t/{token}{path}?CMCD=ot%3Dv", headers={"DPoP": made}).status)

    def test_each_request_needs_a_proof_of_its_own(self, bound: Bound) -> None:
        key = BrowserKey()
        assert [self.ask(bound, key) for _ in range(3)] == [200] * 3
        assert bound.by_token(Binding(key_thumbprint=key.thumbprint)) == 403

    def test_cookies_need_one_too(self, bound: Bound) -> None:
        key = BrowserKey()
        keyed = Binding(key_thumbprint=key.thumbprint)
        assert bound.by_cookie(keyed) == 403
        assert bound.by_cookie(keyed, {"DPoP": key.proof("GET", f"{bound.edge.url}{SEGMENT}")}) == 200

    def test_copied_request_is_refused(self, bound: Bound) -> None:
        key = BrowserKey()
        assert self.ask(bound, key, jti="copied") == 200
        assert self.ask(bound, key, jti="copied") == 403

    @pytest.mark.parametrize(
        "wrong",
        [
            {"url": "http://elsewhere.test/assets/bound/stream/1.m4s"},
            {"htm": "POST"},
            {"iat": 1},
            {"iat": int(time.time()) + 3600},
            {"header": {"alg": "none"}},
            {"jti": ""},
        ],
    )
    def test_proof_of_something_else_is_refused(self, bound: Bound, wrong: dict[str, Any]) -> None:
        assert self.ask(bound, BrowserKey(), **wrong) == 403

    def test_proof_by_another_key_is_refused(self, bound: Bound) -> None:
        mine, other = BrowserKey(), BrowserKey()
        token = bound.token(Binding(key_thumbprint=mine.thumbprint))
        proof = other.proof("GET", f"{bound.edge.url}/t/{token}{SEGMENT}")
        assert bound.edge.request(f"/t/{token}{SEGMENT}", headers={"DPoP": proof}).status == 403

    def test_proof_of_a_request_that_got_nothing_is_good_again(self, bound: Bound) -> None:
        key = BrowserKey()
        assert [self.ask(bound, key, f"{FOLDER}broken.m4s", jti="again") for _ in range(2)] == [502, 502]

    def test_page_of_another_site_may_send_proofs(self, bound: Bound) -> None:
        headers = {"Origin": "http://app.test:3000", "Access-Control-Request-Headers": "dpop"}
        answer = bound.edge.request(SEGMENT, method="OPTIONS", headers=headers)
        assert answer.status == 204
        assert "dpop" in answer.headers["access-control-allow-headers"]

    def test_log_has_neither_token_nor_proof(self, bound: Bound) -> None:
        key = BrowserKey()
        assert self.ask(bound, key, jti="logged") == 200
        log = bound.edge.log
        assert "eyJ" not in log
        assert bound.token(Binding(key_thumbprint=key.thumbprint))[:60] not in log
