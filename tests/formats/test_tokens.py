"""Playback session tokens, with pycose and python-cwt as judges in both directions."""

from __future__ import annotations

import base64
import time

import cbor2
import cwt
import pytest
from cwt import COSEKey
from hypothesis import given
from hypothesis import strategies as st
from pycose.algorithms import HMAC256, HMAC25664
from pycose.headers import KID, Algorithm
from pycose.keys import SymmetricKey
from pycose.messages import CoseMessage, Mac0Message

from penstock.errors import BadSignature, InvalidRequest, SessionExpired
from penstock.formats import tokens
from penstock.formats.tokens import Claims, PathClaims

KEY = bytes(range(32))
KEYS = {"old": b"o" * 32, "now": KEY}
NOW = 1_800_000_000
CLAIMS = Claims("session-1", "b7a0a7b0-0000-4000-8000-000000000001", NOW + 60, NOW)
TOKEN = tokens.mint(CLAIMS, KEY, "now")


def raw(token: str) -> bytes:
    return base64.urlsafe_b64decode(token + "==")


def text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def foreign(payload: bytes, *, key: bytes = KEY, kid: bytes = b"now", protected: dict | None = None) -> str:
    """A token that pycose makes."""
    message = Mac0Message(protected or {Algorithm: HMAC256}, {KID: kid}, payload=payload)
    message.key = SymmetricKey(k=key)
    return text(message.encode())


def claims_of(**changes: object) -> bytes:
    claims = {2: CLAIMS.asset_id, 4: CLAIMS.expires, 6: CLAIMS.issued, 7: b"session-1"}
    labels = {"sub": 2, "exp": 4, "iat": 6, "cti": 7, "aud": 3}
    claims.update({labels[name]: value for name, value in changes.items()})
    return cbor2.dumps({label: value for label, value in claims.items() if value is not None})


class TestForeignJudges:
    def test_pycose_verifies_ours(self) -> None:
        message = CoseMessage.decode(raw(TOKEN))
        assert isinstance(message, Mac0Message)
        message.key = SymmetricKey(k=KEY)
        assert message.verify_tag()
        assert message.uhdr[KID] == b"now"

    def test_python_cwt_verifies_ours(self) -> None:
        now = int(time.time())
        token = tokens.mint(Claims("s", "a", now + 60, now), KEY, "now")
        decoded = cwt.decode(raw(token), keys=COSEKey.new({1: 4, 2: b"now", 3: 5, -1: KEY}))
        assert decoded == {2: "a", 4: now + 60, 6: now, 7: b"s"}

    def test_a_token_of_pycose_is_read(self) -> None:
        assert tokens.verify(foreign(claims_of()), KEYS, NOW) == CLAIMS


class TestVerify:
    def test_says_what_was_minted(self) -> None:
        assert tokens.verify(TOKEN, KEYS, NOW) == CLAIMS

    def test_ends_in_its_second(self) -> None:
        assert tokens.verify(TOKEN, KEYS, NOW + 59.999)
        with pytest.raises(SessionExpired):
            tokens.verify(TOKEN, KEYS, NOW + 60)

    def test_an_older_key_still_counts_and_a_withdrawn_one_does_not(self) -> None:
        token = tokens.mint(CLAIMS, KEYS["old"], "old")
        assert tokens.verify(token, KEYS, NOW) == CLAIMS
        with pytest.raises(BadSignature):
            tokens.verify(token, {"now": KEY}, NOW)

    @pytest.mark.parametrize("keys", [{}, {"now": b"x" * 32}, {"other": KEY}])
    def test_another_key_or_key_id_is_refused(self, keys: dict[str, bytes]) -> None:
        with pytest.raises(BadSignature):
            tokens.verify(TOKEN, keys, NOW)

    @given(st.integers(0, len(raw(TOKEN)) - 1), st.integers(1, 255))
    def test_no_byte_can_be_changed(self, position: int, difference: int) -> None:
        changed = bytearray(raw(TOKEN))
        changed[position] ^= difference
        with pytest.raises(BadSignature):
            tokens.verify(text(bytes(changed)), KEYS, NOW)

    @pytest.mark.parametrize(
        "token",
        [
            "",
            "=",
            TOKEN + "=",
            TOKEN + "\n",
            " " + TOKEN,
            TOKEN[:-1],
            TOKEN[: len(TOKEN) // 2],
            TOKEN + "A",
            TOKEN.replace("-", "+").replace("_", "/") + "+",
            "é" * 10,
            text(raw(TOKEN) + b"\0"),
            text(b"\xd8\x3d" + raw(TOKEN)),
            text(raw(TOKEN)[1:]),
            text(raw(TOKEN)[:-32] + b"\0" * 32),
        ],
    )
    def test_another_spelling_is_refused(self, token: str) -> None:
        with pytest.raises(BadSignature):
            tokens.verify(token, KEYS, NOW)

    def test_an_endless_token_is_refused_undecoded(self) -> None:
        with pytest.raises(BadSignature, match="at most 1024 characters"):
            tokens.verify("A" * 1028, KEYS, NOW)

    def test_spare_bits_of_base64_are_no_second_spelling(self) -> None:
        token = next(
            token
            for name in ("a", "ab", "abc")
            if len(token := tokens.mint(Claims(name, "a", NOW + 60, NOW), KEY, "now")) % 4
        )
        alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
        twin = token[:-1] + alphabet[alphabet.index(token[-1]) + 1]
        assert raw(twin) == raw(token)
        with pytest.raises(BadSignature):
            tokens.verify(twin, KEYS, NOW)

    @pytest.mark.parametrize(
        "payload",
        [
            claims_of(sub=None),
            claims_of(sub=5),
            claims_of(exp=None),
            claims_of(exp="never"),
            claims_of(exp=1.8e9),
            claims_of(cti=None),
            claims_of(cti="text"),
            claims_of(cti=b"\xff"),
            claims_of(iat=None),
            claims_of(aud="somebody else"),
            cbor2.dumps([]),
            cbor2.dumps("text"),
            b"",
            b"\xff",
            b"\x5f",
        ],
    )
    def test_another_kind_of_token_under_our_key_is_refused(self, payload: bytes) -> None:
        with pytest.raises(BadSignature):
            tokens.verify(foreign(payload), KEYS, NOW)

    def test_another_algorithm_is_refused(self) -> None:
        with pytest.raises(BadSignature):
            tokens.verify(foreign(claims_of(), protected={Algorithm: HMAC25664}), KEYS, NOW)

    @given(st.text())
    def test_no_text_breaks_out(self, token: str) -> None:
        with pytest.raises(BadSignature):
            tokens.verify(token, KEYS, NOW)

    @given(st.binary(max_size=700))
    def test_no_bytes_break_out(self, content: bytes) -> None:
        with pytest.raises(BadSignature):
            tokens.verify(text(content), KEYS, NOW)


class TestMint:
    @given(
        session_id=st.text(st.characters(exclude_categories=["Cs"]), max_size=40),
        asset_id=st.text(st.characters(exclude_categories=["Cs"]), max_size=40),
        expires=st.integers(NOW + 1, 2**63),
        key_id=st.text("abc-1", max_size=10),
    )
    def test_what_is_written_is_read(self, session_id: str, asset_id: str, expires: int, key_id: str) -> None:
        claims = Claims(session_id, asset_id, expires, NOW)
        assert tokens.verify(tokens.mint(claims, KEY, key_id), {key_id: KEY}, NOW) == claims

    def test_a_short_key_is_refused(self) -> None:
        with pytest.raises(InvalidRequest, match="32 bytes"):
            tokens.mint(CLAIMS, b"short", "now")

    def test_a_long_token_is_refused(self) -> None:
        with pytest.raises(InvalidRequest, match="1024"):
            tokens.mint(Claims("s" * 1000, "a", NOW, NOW), KEY, "now")


class TestPathTokens:
    CLAIMS = PathClaims("session-1", "/assets/b7a0/default/stream/", NOW + 60, NOW)

    @given(path=st.text(st.characters(exclude_categories=["Cs"]), max_size=100), expires=st.integers(NOW + 1, 2**63))
    def test_what_is_written_is_read(self, path: str, expires: int) -> None:
        claims = PathClaims("s", path, expires, NOW)
        assert tokens.verify_path(tokens.mint_path(claims, KEY, "now"), KEYS, NOW) == claims

    def test_python_cwt_verifies_ours(self) -> None:
        now = int(time.time())
        token = tokens.mint_path(PathClaims("s", "/a/", now + 60, now), KEY, "now")
        decoded = cwt.decode(raw(token), keys=COSEKey.new({1: 4, 2: b"now", 3: 5, -1: KEY}))
        assert decoded == {4: now + 60, 6: now, 7: b"s", 312: {3: {1: "/a/"}}}

    def test_neither_kind_is_taken_for_the_other(self) -> None:
        path_token = tokens.mint_path(self.CLAIMS, KEY, "now")
        with pytest.raises(BadSignature):
            tokens.verify(path_token, KEYS, NOW)
        with pytest.raises(BadSignature):
            tokens.verify_path(TOKEN, KEYS, NOW)

    def test_ends_in_its_second(self) -> None:
        token = tokens.mint_path(self.CLAIMS, KEY, "now")
        with pytest.raises(SessionExpired):
            tokens.verify_path(token, KEYS, NOW + 60)

    @pytest.mark.parametrize("address", [None, 1, {}, {3: {}}, {3: {1: 5}}, {3: {1: "/", 2: "x"}}, {3: {1: "/"}, 1: 2}])
    def test_another_kind_of_address_is_refused(self, address: object) -> None:
        payload = cbor2.dumps({4: NOW + 60, 6: NOW, 7: b"s", 312: address})
        assert not self.reads(payload)

    def reads(self, payload: bytes) -> bool:
        try:
            tokens.verify_path(foreign(payload), KEYS, NOW)
        except BadSignature:
            return False
        return True

    @given(st.text())
    def test_no_text_breaks_out(self, token: str) -> None:
        with pytest.raises(BadSignature):
            tokens.verify_path(token, KEYS, NOW)
