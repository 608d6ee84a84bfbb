from __future__ import annotations

from typing import Any

import pytest

from edge_parts import refusal
from localaws.edge import authorize
from localaws.edge.authorize import Authorizer, signing_cookies, without_signing_cookies
from penstock.errors import BadSignature
from penstock.formats.cookies import Policy, Signer, load_public_key

URL = "http://edge.test/assets/a/x.mp4"
NOW = 1_800_000_000


class Clock:
    now = float(NOW)

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def judge(keys: Any, clock: Clock) -> Authorizer:
    public = {name: load_public_key(pem) for name, pem in keys.public.items()}
    return Authorizer(public, clock=clock, remembered=3)


def header(cookies: dict[str, str]) -> str:
    return "; ".join(f"{name}={value}" for name, value in cookies.items())


def custom(keys: Any, resource: str = "http://edge.test/assets/a/*", expires: int = NOW + 60, **policy: Any) -> str:
    return header(Signer(keys.private["rsa"], "rsa").cookies(Policy(resource, expires, **policy)))


@pytest.fixture
def verified(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The URLs whose signature was really verified."""
    calls: list[str] = []
    verify = authorize.verify

    def counting(**request: Any) -> Policy:
        calls.append(request["url"])
        return verify(**request)

    monkeypatch.setattr(authorize, "verify", counting)
    return calls


def test_a_cookie_is_verified_once_for_all_its_segments(judge: Authorizer, keys: Any, verified: list[str]) -> None:
    cookies = custom(keys)
    for number in range(5):
        assert refusal(judge, [f"http://edge.test/assets/a/{number}.m4s"], cookies, "10.0.0.1") is None
    assert len(verified) == 1


def test_a_remembered_cookie_is_no_good_elsewhere_or_later(judge: Authorizer, keys: Any, clock: Clock) -> None:
    cookies = custom(keys)
    assert refusal(judge, [URL], cookies, "10.0.0.1") is None
    assert refusal(judge, ["http://edge.test/assets/b/x.mp4"], cookies, "10.0.0.1")
    assert refusal(judge, ["http://other.test/assets/a/x.mp4"], cookies, "10.0.0.1")
    clock.now = NOW + 60
    assert refusal(judge, [URL], cookies, "10.0.0.1") == "the policy has expired"


def test_a_remembered_cookie_is_bound_to_its_address(judge: Authorizer, keys: Any) -> None:
    cookies = custom(keys, source_ip="10.0.0.1")
    assert refusal(judge, [URL], cookies, "10.0.0.1") is None
    assert refusal(judge, [URL], cookies, "10.0.0.2") == "the policy is for another address"


def test_a_clock_set_back_does_not_open_a_policy_early(judge: Authorizer, keys: Any, clock: Clock) -> None:
    cookies = custom(keys, not_before=NOW - 10)
    assert refusal(judge, [URL], cookies, "10.0.0.1") is None
    clock.now = NOW - 20
    assert refusal(judge, [URL], cookies, "10.0.0.1") == "the policy is not valid yet"


def test_a_canned_cookie_is_never_taken_for_a_pattern(judge: Authorizer, keys: Any, verified: list[str]) -> None:
    resource = f"{URL}?part=1"
    cookies = header(Signer(keys.private["rsa"], "rsa").canned_cookies(resource, NOW + 60))
    assert refusal(judge, [resource], cookies, "10.0.0.1") is None
    assert refusal(judge, [f"{URL}_part=1"], cookies, "10.0.0.1")
    assert len(verified) == 2


def test_a_signed_url_wins_over_a_remembered_cookie(judge: Authorizer, keys: Any) -> None:
    cookies = custom(keys)
    assert refusal(judge, [URL], cookies, "10.0.0.1") is None
    assert refusal(judge, [f"{URL}?Expires={NOW + 60}"], cookies, "10.0.0.1")
    assert refusal(judge, [f"{URL}?Expires={NOW + 60}&Signature=AAAA&Key-Pair-Id=rsa"], cookies, "10.0.0.1")


def test_a_signed_url_lets_no_cookie_in(judge: Authorizer, keys: Any) -> None:
    signed = Signer(keys.private["rsa"], "rsa").url(URL, NOW + 60)
    assert refusal(judge, [signed], "CloudFront-Policy=x", "10.0.0.1") is None
    assert refusal(judge, [URL], "CloudFront-Policy=x", "10.0.0.1")


def test_either_spelling_of_a_url_may_have_been_signed(judge: Authorizer, keys: Any) -> None:
    spelled = ["http://edge.test/assets/a/f+(1).mp4", "http://edge.test/assets/a/f%2B%281%29.mp4"]
    for signed in spelled:
        cookies = header(Signer(keys.private["ec"], "ec", "SHA256").canned_cookies(signed, NOW + 60))
        assert refusal(judge, spelled, cookies, "10.0.0.1") is None


def test_what_is_remembered_is_bounded(judge: Authorizer, keys: Any, verified: list[str]) -> None:
    cookies = custom(keys)
    for number in range(10):
        assert refusal(judge, [URL], f"{cookies}; other={number}", "10.0.0.1") is None
    assert refusal(judge, [URL], f"{cookies}; other=9", "10.0.0.1") is None
    assert refusal(judge, [URL], f"{cookies}; other=0", "10.0.0.1") is None
    assert len(verified) == 11, "the newest is remembered, the oldest is not"


@pytest.mark.parametrize(
    "text", ["", ";;;", "=", "CloudFront-Policy", "a=b; CloudFront-Signature=", "CloudFront-policy=x", "\t; \x7f=é"]
)
def test_odd_cookies_are_no_cookies(judge: Authorizer, text: str) -> None:
    assert refusal(judge, [URL], text, "10.0.0.1")


def test_cookies_sent_twice_with_two_values_are_refused() -> None:
    assert signing_cookies("CloudFront-Policy=a; x=1; CloudFront-Policy=a") == {"CloudFront-Policy": "a"}
    with pytest.raises(BadSignature, match="twice"):
        signing_cookies("CloudFront-Policy=a; CloudFront-Policy=b")


def test_a_heap_of_cookies_is_refused() -> None:
    with pytest.raises(BadSignature, match="characters of cookies"):
        signing_cookies("a=" + "b" * 65536)


def test_an_origin_sees_the_other_cookies_only() -> None:
    assert without_signing_cookies("a=1; CloudFront-Policy=x;CloudFront-Expires=2; b=2") == "a=1; b=2"
    assert without_signing_cookies("CloudFront-Signature=x") == ""
