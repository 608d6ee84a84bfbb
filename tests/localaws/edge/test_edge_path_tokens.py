"""Path tokens at a running edge: what they open, what they do not, and what of them is ever written down."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from edge_parts import refusal
from localaws.edge.path_tokens import PathTokens, split, without_token
from localaws.edge.revocations import Revocations
from penstock.formats import tokens
from penstock.formats.tokens import Claims, PathClaims

OLD, NEW = b"o" * 43, b"n" * 43
FOLDER = "/assets/tokens/stream/"
BODY = b"segment" * 100
NOW = 1_800_000_000


@pytest.fixture(scope="module")
def edge(start_edge: Any, start_origin: Any, s3: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    def clear(handler: Any, seen: Any) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    port, client = s3
    for key in ("tokens/stream/1.m4s", "tokens/streams/1.m4s", "other/stream/1.m4s", "tokens/stream/main.mpd"):
        client.put_object(Bucket="media", Key=f"assets/{key}", Body=BODY)
    folder: Path = tmp_path_factory.mktemp("keys")
    files = {"old": folder / "old", "new": folder / "new"}
    files["old"].write_bytes(OLD)
    files["new"].write_bytes(NEW + b"\n")
    keys = {key_id: str(file) for key_id, file in files.items()}
    return start_edge(s3_port=port, api_url=start_origin(clear).url, path_token_keys=keys)


def token(key: bytes = NEW, key_id: str = "new", path: str = FOLDER, ttl_s: int = 600) -> str:
    now = int(time.time())
    return tokens.mint_path(PathClaims("session-1", path, now + ttl_s, now), key, key_id)


def status(edge: Any, target: str, **request: Any) -> int:
    return int(edge.request(target, **request).status)


def test_token_opens_its_folder_as_a_cookie_does(edge: Any) -> None:
    by_token = edge.request(f"/t/{token()}{FOLDER}1.m4s")
    by_cookie = edge.request(f"{FOLDER}1.m4s", headers=edge.cookie(f"{FOLDER}*"))
    assert (by_token.status, by_token.body) == (200, BODY)
    assert by_token.without_date() == by_cookie.without_date()
    part = edge.request(f"/t/{token()}{FOLDER}1.m4s", headers={"Range": "bytes=0-6"})
    assert (part.status, part.body) == (206, b"segment")
    assert (
        edge.request(f"/t/{token()}{FOLDER}main.mpd", method="HEAD").headers["content-type"] == "application/dash+xml"
    )


def test_keys_that_were_rotated_still_open(edge: Any) -> None:
    assert status(edge, f"/t/{token(OLD, 'old')}{FOLDER}1.m4s") == 200
    assert status(edge, f"/t/{token(OLD, 'new')}{FOLDER}1.m4s") == 403


@pytest.mark.parametrize(
    "path",
    [
        "/assets/other/stream/1.m4s",
        "/assets/tokens/streams/1.m4s",
        "/assets/tokens/stream",
        "/assets/Tokens/stream/1.m4s",
        "/ASSETS/tokens/stream/1.m4s",
        f"{FOLDER}../../other/stream/1.m4s",
        f"{FOLDER}%2e%2e/%2e%2e/other/stream/1.m4s",
        f"{FOLDER}..%2f..%2fother/stream/1.m4s",
        f"{FOLDER}%252e%252e/x",
        f"{FOLDER}1.m4s%00",
        f"/{FOLDER}1.m4s",
        f"{FOLDER}missing.m4s",
        f"{FOLDER}",
        "/v1/assets",
        "/internal/revocations",
        "/",
        "",
        "/t/x",
    ],
)
def test_token_opens_nothing_else(edge: Any, path: str) -> None:
    assert status(edge, f"/t/{token()}{path}") == 403


def test_what_is_no_path_token_opens_nothing(edge: Any) -> None:
    good, now = token(), int(time.time())
    flipped = good[:40] + ("A" if good[40] != "A" else "B") + good[41:]
    license_token = tokens.mint(Claims("session-1", "tokens", now + 600, now), NEW, "new")
    bad = [
        "",
        "x",
        flipped,
        good[:-1],
        good + "A",
        good + "=",
        "A" * 1025,
        "A" * 1900,
        token(b"x" * 43),
        token(ttl_s=-1),
        license_token,
        token(path="/assets/tokens"),
        token(path=""),
    ]
    assert [each for each in bad if status(edge, f"/t/{each}{FOLDER}1.m4s") != 403] == []
    assert status(edge, "/t/" + "A" * 65_000 + f"{FOLDER}1.m4s") in {400, 403, 414, 431}


def test_refusal_looks_like_any_other(edge: Any) -> None:
    refused = edge.request(f"/t/{token(b'x' * 43)}{FOLDER}1.m4s").without_date()
    assert refused == edge.request(f"{FOLDER}1.m4s").without_date()
    assert refused == edge.request(f"/t/{token()}{FOLDER}missing").without_date()


def test_cookie_is_no_help_for_a_bad_token(edge: Any) -> None:
    assert status(edge, f"/t/x{FOLDER}1.m4s", headers=edge.cookie("*")) == 403


def test_preflight_needs_no_token(edge: Any) -> None:
    headers = {"Origin": "http://app.test:3000"}
    answer = edge.request(f"/t/{token()}{FOLDER}1.m4s", method="OPTIONS", headers=headers)
    assert answer.headers["access-control-allow-origin"] == "http://app.test:3000"


def test_log_holds_no_token(edge: Any) -> None:
    good = token()
    edge.request(f"/t/{good}{FOLDER}logged.m4s")
    edge.request(f"/t/{good}")
    assert good not in edge.log
    assert f"/t/...{FOLDER}logged.m4s" in edge.log


def test_without_keys_paths_are_as_they_are(start_edge: Any, start_origin: Any) -> None:
    seen: list[str] = []

    def note(handler: Any, request: Any) -> None:
        seen.append(request.target)
        handler.send_response(204)
        handler.end_headers()

    edge = start_edge(api_url=start_origin(note).url)
    assert status(edge, "/t/x/y") == 204
    assert seen == ["/t/x/y"]


@pytest.mark.parametrize(("key", "said"), [(b"", "at least 32 bytes"), (b"short", "at least 32 bytes")])
def test_short_key_is_a_clear_error(key: bytes, said: str, tmp_path: Path) -> None:
    from localaws.edge.__main__ import _token_keys
    from penstock.errors import InvalidRequest

    (tmp_path / "key").write_bytes(key)
    with pytest.raises(InvalidRequest, match=said):
        _token_keys({"k": tmp_path / "key"})
    with pytest.raises(InvalidRequest, match="cannot be read"):
        _token_keys({"k": tmp_path / "none"})


class TestRemembering:
    now = float(NOW)

    @pytest.fixture
    def revocations(self) -> Revocations:
        return Revocations()

    @pytest.fixture
    def judge(self, revocations: Revocations) -> PathTokens:
        return PathTokens({"new": NEW}, revocations, clock=lambda: self.now, remembered=2)

    def minted(self, session: str = "s", ttl_s: int = 60) -> str:
        return tokens.mint_path(PathClaims(session, FOLDER, NOW + ttl_s, NOW), NEW, "new")

    def test_remembered_token_ends_in_its_second(self, judge: PathTokens) -> None:
        good = self.minted()
        assert refusal(judge, good, f"{FOLDER}x") is None
        self.now = NOW + 59.9
        assert refusal(judge, good, f"{FOLDER}x") is None
        self.now = NOW + 60.0
        assert refusal(judge, good, f"{FOLDER}x") == "the path token has expired"

    def test_remembered_token_of_an_ended_session_is_refused(self, judge: PathTokens, revocations: Revocations) -> None:
        good, other = self.minted("s"), self.minted("other")
        assert (refusal(judge, good, f"{FOLDER}x"), refusal(judge, other, f"{FOLDER}x")) == (None, None)
        revocations.take({"serials": [], "sessions": ["s"]})
        assert refusal(judge, good, f"{FOLDER}x") is not None
        assert refusal(judge, other, f"{FOLDER}x") is None

    def test_memory_is_bounded(self, judge: PathTokens) -> None:
        for number in range(10):
            assert refusal(judge, self.minted(str(number)), f"{FOLDER}x") is None
        assert len(judge._claims) == 2

    def test_until_the_first_list_nothing_is_opened(self) -> None:
        judge = PathTokens({"new": NEW}, Revocations(known=False), clock=lambda: self.now)
        assert refusal(judge, self.minted(), f"{FOLDER}x")


@pytest.mark.parametrize(
    ("path", "token_", "rest"),
    [("/a/b", None, "/a/b"), ("/t/x/a", "x", "/a"), ("/t/x", "x", ""), ("/t/", "", ""), ("/tea/x", None, "/tea/x")],
)
def test_path_is_parted(path: str, token_: str | None, rest: str) -> None:
    assert split(path) == (token_, rest)
    assert without_token(path) == (path if token_ is None else f"/t/...{rest}")
