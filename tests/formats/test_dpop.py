"""DPoP proofs: what is proved, and everything that is no proof."""

from __future__ import annotations

import json
from typing import Any

import pytest

from browser_key import BrowserKey, b64
from penstock.errors import BadSignature
from penstock.formats import dpop
from penstock.formats.dpop import Proofs

URL = "https://v.example/assets/a/1.m4s"
NOW = 1_800_000_000.0


@pytest.fixture(scope="module")
def key() -> BrowserKey:
    return BrowserKey()


def take(proofs: Proofs, proof: str | None, key: BrowserKey, **asked: Any) -> dpop.Proof:
    usual: dict[str, Any] = {"method": "GET", "urls": (URL,), "thumbprint": key.thumbprint, "now": NOW}
    return proofs.take(proof, **{**usual, **asked})


def test_proof_of_rfc_9449_is_read() -> None:
    """The example of section 4.1, with the thumbprint that section 6.1 gives for its key."""
    proof = (
        "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCR"
        "nMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIj"
        "oiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2VuIiwiaWF0IjoxNTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg"
        "4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg"
    )
    found = dpop.read(proof)
    assert (found.method, found.url, found.issued) == ("POST", "https://server.example.com/token", 1562262616)
    assert found.thumbprint == "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"


def test_proof_is_good_once(key: BrowserKey) -> None:
    proofs, proof = Proofs(), key.proof("GET", URL, iat=NOW)
    found = take(proofs, proof, key)
    with pytest.raises(BadSignature, match="used before"):
        take(proofs, proof, key)
    proofs.give_back(found)
    take(proofs, proof, key)


def test_used_proofs_are_remembered_for_as_long_as_they_are_good(key: BrowserKey) -> None:
    proofs, proof = Proofs(), key.proof("GET", URL, iat=NOW)
    take(proofs, proof, key)
    for later in (10, 30, 59):
        take(proofs, key.proof("GET", URL, iat=NOW + later), key, now=NOW + later)
        with pytest.raises(BadSignature):
            take(proofs, proof, key, now=NOW + later)


@pytest.mark.parametrize(
    "asked",
    [
        {"method": "POST"},
        {"urls": ("https://v.example/assets/a/2.m4s",)},
        {"thumbprint": "x" * 43},
        {"now": NOW + dpop.MAX_AGE_S},
        {"now": NOW - dpop.AHEAD_S},
        {"token": "a-license-token"},
    ],
)
def test_proof_of_something_else_is_refused(key: BrowserKey, asked: dict[str, Any]) -> None:
    with pytest.raises(BadSignature):
        take(Proofs(), key.proof("GET", URL, iat=NOW), key, **asked)


def test_token_is_proved_with_its_hash(key: BrowserKey) -> None:
    assert take(Proofs(), key.proof("GET", URL, iat=NOW, token="t"), key, token="t").token_sha256
    with pytest.raises(BadSignature):
        take(Proofs(), key.proof("GET", URL, iat=NOW, token="other"), key, token="t")


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "none"},
        {"alg": "HS256"},
        {"alg": "RS256"},
        {"typ": "JWT"},
        {"crit": ["x"]},
        {"jwk": None},
        {"jwk": {"kty": "oct", "k": "AAAA"}},
        {"jwk": {"kty": "EC", "crv": "P-256", "x": "AAAA", "y": "AAAA"}},
        {"jwk": {"kty": "EC", "crv": "P-256", "x": b64(bytes(32)), "y": b64(bytes(32))}},
    ],
)
def test_header_that_is_not_of_a_proof_is_refused(key: BrowserKey, header: dict[str, Any]) -> None:
    with pytest.raises(BadSignature):
        dpop.read(key.proof("GET", URL, header=header))


def test_private_key_in_a_proof_is_refused(key: BrowserKey) -> None:
    with pytest.raises(BadSignature):
        dpop.read(key.proof("GET", URL, header={"jwk": {**key.jwk, "d": "AAAA"}}))


@pytest.mark.parametrize(
    "claims", [{"jti": ""}, {"jti": "x" * 200}, {"jti": 1}, {"iat": True}, {"iat": "now"}, {"htu": None}, {"ath": 1}]
)
def test_claims_that_are_not_of_a_proof_are_refused(key: BrowserKey, claims: dict[str, Any]) -> None:
    with pytest.raises(BadSignature):
        dpop.read(key.proof("GET", URL, **claims))


def test_altered_proof_is_refused(key: BrowserKey) -> None:
    good = key.proof("GET", URL)
    first, claims, signature = good.split(".")
    other = b64(json.dumps({"jti": "x", "htm": "GET", "htu": "https://v.example/", "iat": 1}).encode())
    deep = b64(b"[" * 4000)
    for bad in (
        "",
        "a.b.c",
        f"{first}.{other}.{signature}",
        f"{first}.{claims}.{signature[:-4]}",
        f"{first}.{claims}.{b64(bytes(64))}",
        f"{first}.{claims}",
        f"{good}=",
        f"{good}.{signature}",
        f"{deep}.{deep}.{signature}",
        "x" * 70_000,
        "\u0661.\u0661.\u0661",
    ):
        with pytest.raises(BadSignature):
            dpop.read(bad)


def test_nothing_is_no_proof(key: BrowserKey) -> None:
    for nothing in (None, ""):
        with pytest.raises(BadSignature, match="no DPoP proof"):
            take(Proofs(), nothing, key)
