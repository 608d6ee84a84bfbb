"""Signed cookies and URLs, with botocore's CloudFrontSigner and openssl as judges."""

from __future__ import annotations

import base64
import json
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from botocore.signers import CloudFrontSigner
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import BadSignature, InvalidRequest
from penstock.formats import cookies, policies
from penstock.formats.cookies import Policy, Signer

URL = "http://127.0.0.1:8080/assets/one/default/stream/main.mpd"
STAR = "http://127.0.0.1:8080/assets/one/*"
NOW = 1_800_000_000
LATER = NOW + 60
KEY_ID = "K2JCJMDEHXQW5F"

RSA_PRIVATE, RSA_PUBLIC = cookies.generate_key_pair()
_RSA_KEY = serialization.load_pem_private_key(RSA_PRIVATE, None)
_EC_KEY = ec.generate_private_key(ec.SECP256R1())
EC_PRIVATE = _EC_KEY.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
)
EC_PUBLIC = _EC_KEY.public_key().public_bytes(
    serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
)
GROUP = {KEY_ID: cookies.load_public_key(RSA_PUBLIC), "EC": cookies.load_public_key(EC_PUBLIC)}
SIGNERS = [
    pytest.param(Signer(private, key_id, algorithm), id=f"{name}-{algorithm}")
    for name, private, key_id in (("rsa", RSA_PRIVATE, KEY_ID), ("ec", EC_PRIVATE, "EC"))
    for algorithm in ("SHA1", "SHA256")
]


def verify(url: str = URL, cookie: dict[str, str] | None = None, *, ip: str = "192.0.2.7", now: float = NOW) -> Policy:
    return cookies.verify(url=url, cookies=cookie or {}, public_keys=GROUP, client_ip=ip, now=now)


def encode(raw: bytes) -> str:
    return base64.b64encode(raw).decode().replace("+", "-").replace("=", "_").replace("/", "~")


def signed(document: bytes | str | dict) -> dict[str, str]:
    """Cookies for any document at all, signed with a trusted key: what a careless issuer could send."""
    raw = json.dumps(document).encode() if isinstance(document, dict) else document
    raw = raw.encode() if isinstance(raw, str) else raw
    signature = _RSA_KEY.sign(raw, padding.PKCS1v15(), hashes.SHA1())
    return {
        "CloudFront-Policy": encode(raw),
        "CloudFront-Signature": encode(signature),
        "CloudFront-Key-Pair-Id": KEY_ID,
    }


def statement(resource: object = STAR, **condition: object) -> dict:
    condition = {"DateLessThan": {"AWS:EpochTime": LATER}, **condition}
    return {"Resource": resource, "Condition": condition}


@pytest.fixture(scope="module")
def botocore_signer() -> CloudFrontSigner:
    return CloudFrontSigner(KEY_ID, lambda message: _RSA_KEY.sign(message, padding.PKCS1v15(), hashes.SHA1()))


@pytest.mark.parametrize("signer", SIGNERS)
class TestEveryKeyAndHash:
    def test_custom_cookies_let_in_to_what_they_cover(self, signer: Signer) -> None:
        policy = Policy(STAR, LATER, not_before=NOW - 1, source_ip="192.0.2.0/24")
        assert verify(cookie=signer.cookies(policy)) == policy

    def test_canned_cookies_let_in_to_one_url(self, signer: Signer) -> None:
        cookie = signer.canned_cookies(URL, LATER)
        assert verify(cookie=cookie) == Policy(URL, LATER)
        with pytest.raises(BadSignature):
            verify(URL + "x", cookie)

    @pytest.mark.parametrize("grant", [LATER, Policy(STAR, LATER)], ids=["canned", "custom"])
    @pytest.mark.parametrize("url", [URL, URL + "?a=1&b=%2F", URL + "?"], ids=["plain", "query", "empty-query"])
    def test_signed_urls_let_in(self, signer: Signer, url: str, grant: Policy | int) -> None:
        assert verify(signer.url(url, grant)).expires == LATER
        assert cookies.without_signing_parameters(signer.url(url, grant)) == url

    def test_one_changed_character_is_noticed(self, signer: Signer) -> None:
        cookie = signer.cookies(Policy(STAR, LATER))
        for name in ("CloudFront-Policy", "CloudFront-Signature"):
            value = cookie[name]
            changed = value[:20] + ("A" if value[20] != "A" else "B") + value[21:]
            with pytest.raises(BadSignature):
                verify(cookie={**cookie, name: changed})


class TestForeignJudges:
    @pytest.mark.parametrize("url", [URL, URL + "?size=large&color=red"])
    def test_botocore_makes_the_same_canned_url(self, botocore_signer: CloudFrontSigner, url: str) -> None:
        theirs = botocore_signer.generate_presigned_url(url, date_less_than=datetime.fromtimestamp(LATER, UTC))
        assert Signer(RSA_PRIVATE, KEY_ID).url(url, LATER) == theirs
        assert verify(theirs) == Policy(url, LATER)

    def test_botocore_s_custom_policy_is_read(self, botocore_signer: CloudFrontSigner) -> None:
        document = botocore_signer.build_policy(
            STAR, datetime.fromtimestamp(LATER, UTC), datetime.fromtimestamp(NOW - 9, UTC), "192.0.2.7"
        )
        theirs = botocore_signer.generate_presigned_url(URL, policy=document)
        assert verify(theirs) == Policy(STAR, LATER, NOW - 9, "192.0.2.7/32")

    @pytest.mark.parametrize(("private", "public"), [(RSA_PRIVATE, RSA_PUBLIC), (EC_PRIVATE, EC_PUBLIC)])
    @pytest.mark.parametrize("algorithm", ["SHA1", "SHA256"])
    def test_openssl_verifies_our_signature(
        self, tmp_path: Path, private: bytes, public: bytes, algorithm: str
    ) -> None:
        cookie = Signer(private, "any", algorithm).cookies(Policy(STAR, LATER))
        for name, content in {
            "public.pem": public,
            "document": _decode(cookie["CloudFront-Policy"]),
            "signature": _decode(cookie["CloudFront-Signature"]),
        }.items():
            (tmp_path / name).write_bytes(content)
        command = ["openssl", "dgst", f"-{algorithm.lower()}", "-verify", "public.pem", "-signature", "signature"]
        subprocess.run([*command, "document"], cwd=tmp_path, check=True, capture_output=True, timeout=30)

    def test_a_key_and_signature_of_openssl_are_taken(self, tmp_path: Path) -> None:
        document = json.dumps({"Statement": [statement()]}).encode()
        (tmp_path / "document").write_bytes(document)
        for command in (
            "openssl ecparam -name prime256v1 -genkey -noout -out key.pem",
            "openssl ec -in key.pem -pubout -out public.pem",
            "openssl dgst -sha256 -sign key.pem -out signature document",
        ):
            subprocess.run(command.split(), cwd=tmp_path, check=True, capture_output=True, timeout=30)
        cookie = {
            "CloudFront-Policy": encode(document),
            "CloudFront-Signature": encode((tmp_path / "signature").read_bytes()),
            "CloudFront-Key-Pair-Id": "openssl",
            "CloudFront-Hash-Algorithm": "SHA256",
        }
        group = {"openssl": cookies.load_public_key((tmp_path / "public.pem").read_bytes())}
        policy = cookies.verify(url=URL, cookies=cookie, public_keys=group, client_ip="::1", now=NOW)
        assert policy.resource == STAR


class TestConditions:
    def test_expired_policy_is_refused_from_its_second_on(self) -> None:
        cookie = Signer(RSA_PRIVATE, KEY_ID).cookies(Policy(STAR, LATER))
        assert verify(cookie=cookie, now=LATER - 0.001)
        with pytest.raises(BadSignature, match="expired"):
            verify(cookie=cookie, now=LATER)

    def test_expired_canned_url_is_refused(self) -> None:
        with pytest.raises(BadSignature, match="expired"):
            verify(Signer(RSA_PRIVATE, KEY_ID).url(URL, NOW))

    def test_policy_is_refused_before_its_time(self) -> None:
        cookie = Signer(RSA_PRIVATE, KEY_ID).cookies(Policy(STAR, LATER, not_before=NOW + 10))
        with pytest.raises(BadSignature, match="not valid yet"):
            verify(cookie=cookie)
        assert verify(cookie=cookie, now=NOW + 11)

    @pytest.mark.parametrize(
        ("network", "viewer", "inside"),
        [
            ("192.0.2.7", "192.0.2.7", True),
            ("192.0.2.7", "192.0.2.8", False),
            ("192.0.2.9/24", "192.0.2.200", True),
            ("192.0.2.0/24", "::ffff:192.0.2.1", True),
            ("192.0.2.0/24", "2001:db8::1", False),
            ("0.0.0.0/0", "2001:db8::1", True),
            ("2001:db8::/32", "2001:db8::1", True),
            ("2001:db8::/32", "192.0.2.1", False),
            ("192.0.2.0/24", "unknown", False),
            ("192.0.2.0/24", "", False),
        ],
    )
    def test_address_of_the_viewer(self, network: str, viewer: str, inside: bool) -> None:
        cookie = Signer(RSA_PRIVATE, KEY_ID).cookies(Policy(STAR, LATER, source_ip=network))
        if inside:
            assert verify(cookie=cookie, ip=viewer).source_ip
        else:
            with pytest.raises(BadSignature, match="another address"):
                verify(cookie=cookie, ip=viewer)

    @pytest.mark.parametrize(
        "url",
        [
            "http://127.0.0.1:8080/assets/two/main.mpd",
            "http://127.0.0.1:8080/assets/one",
            "https://127.0.0.1:8080/assets/one/main.mpd",
            "http://127.0.0.1:8080/assets%2Fone/main.mpd",
            "http://127.0.0.1:8080/Assets/one/main.mpd",
            "http://127.0.0.1:8080//assets/one/main.mpd",
            "http://evil.example/http://127.0.0.1:8080/assets/one/main.mpd",
        ],
    )
    def test_cookie_of_an_asset_is_for_that_asset(self, url: str) -> None:
        cookie = Signer(RSA_PRIVATE, KEY_ID).cookies(Policy(STAR, LATER))
        with pytest.raises(BadSignature, match="another resource"):
            verify(url, cookie)


class TestHostileRequests:
    GOOD = Signer(RSA_PRIVATE, KEY_ID).cookies(Policy(STAR, LATER))

    def test_nothing_sent(self) -> None:
        with pytest.raises(BadSignature, match="neither"):
            verify()

    @pytest.mark.parametrize("missing", ["CloudFront-Policy", "CloudFront-Signature", "CloudFront-Key-Pair-Id"])
    def test_each_cookie_is_needed(self, missing: str) -> None:
        with pytest.raises(BadSignature, match="missing"):
            verify(cookie={name: value for name, value in self.GOOD.items() if name != missing})

    @pytest.mark.parametrize(
        "change",
        [
            {"CloudFront-Key-Pair-Id": "EC"},
            {"CloudFront-Key-Pair-Id": "unknown"},
            {"CloudFront-Key-Pair-Id": ""},
            {"CloudFront-Hash-Algorithm": "SHA256"},
            {"CloudFront-Hash-Algorithm": "MD5"},
            {"CloudFront-Expires": str(LATER)},
            {"CloudFront-Signature": ""},
            {"CloudFront-Signature": "____"},
            {"CloudFront-Signature": "A" * 100_000},
            {"CloudFront-Policy": "A" * 100_000},
            {"CloudFront-Policy": ""},
            {"CloudFront-Policy": "é"},
        ],
    )
    def test_one_strange_cookie_spoils_the_rest(self, change: dict[str, str]) -> None:
        with pytest.raises(BadSignature):
            verify(cookie={**self.GOOD, **change})

    @pytest.mark.parametrize("character", ["+", "/", "=", "\n", " "])
    def test_base64_has_one_spelling(self, character: str) -> None:
        with pytest.raises(BadSignature):
            verify(cookie={**self.GOOD, "CloudFront-Policy": self.GOOD["CloudFront-Policy"] + character})

    def test_url_parameters_win_over_cookies_and_are_never_completed_by_them(self) -> None:
        with pytest.raises(BadSignature, match="missing"):
            verify(URL + "?Key-Pair-Id=" + KEY_ID, self.GOOD)
        with pytest.raises(BadSignature, match="expired"):
            verify(Signer(RSA_PRIVATE, KEY_ID).url(URL, NOW - 1), self.GOOD)

    def test_a_parameter_sent_twice_is_refused(self) -> None:
        url = Signer(RSA_PRIVATE, KEY_ID).url(URL, LATER)
        with pytest.raises(BadSignature, match="twice"):
            verify(f"{url}&Expires={LATER + 999}")

    @pytest.mark.parametrize("expires", ["", "0", "-1", "+1800000060", "1800000060.0", " 1800000060", "9" * 5000, "١"])
    def test_expiry_of_a_canned_policy_is_plain_digits(self, expires: str) -> None:
        cookie = Signer(RSA_PRIVATE, KEY_ID).canned_cookies(URL, LATER)
        with pytest.raises(BadSignature):
            verify(cookie={**cookie, "CloudFront-Expires": expires})

    def test_a_moved_expiry_breaks_the_signature(self) -> None:
        cookie = Signer(RSA_PRIVATE, KEY_ID).canned_cookies(URL, LATER)
        with pytest.raises(BadSignature, match="signature"):
            verify(cookie={**cookie, "CloudFront-Expires": str(LATER + 1)})

    @pytest.mark.parametrize("url", ["", "?Expires=1", "http://a/\n", "http://a/é", "http://a/" + "x" * 10_000])
    def test_urls_that_no_server_passes_on(self, url: str) -> None:
        with pytest.raises(BadSignature):
            verify(url, self.GOOD)
        with pytest.raises(BadSignature):
            verify(url, Signer(RSA_PRIVATE, KEY_ID).canned_cookies(URL, LATER))

    def test_secrets_stay_out_of_the_message(self) -> None:
        with pytest.raises(BadSignature) as caught:
            verify(cookie={**self.GOOD, "CloudFront-Key-Pair-Id": "EC"})
        assert self.GOOD["CloudFront-Signature"] not in str(caught.value)
        assert self.GOOD["CloudFront-Policy"] not in str(caught.value)


class TestHostilePolicies:
    """Documents with a good signature that are not the policy they seem to be."""

    @pytest.mark.parametrize(
        "document",
        [
            {"Statement": []},
            {"Statement": [statement(), statement()]},
            {"Statement": statement()},
            {"Statement": [statement()], "Version": "2012-10-17"},
            {"Statement": [{**statement(), "Effect": "Allow"}]},
            {"Statement": [{"Resource": STAR}]},
            {"Statement": [{"Resource": STAR, "Condition": {}}]},
            {"Statement": [statement(DateLessThan={"AWS:EpochTime": str(LATER)})]},
            {"Statement": [statement(DateLessThan={"AWS:EpochTime": LATER + 0.5})]},
            {"Statement": [statement(DateLessThan={"AWS:EpochTime": True})]},
            {"Statement": [statement(DateLessThan={"AWS:EpochTime": None})]},
            {"Statement": [statement(DateLessThan={"AWS:EpochTime": 10**30})]},
            {"Statement": [statement(DateLessThan={"AWS:EpochTime": -LATER})]},
            {"Statement": [statement(DateLessThan={"AWS:EpochTime": LATER, "x": 1})]},
            {"Statement": [statement(DateLessThan=LATER)]},
            {"Statement": [statement(DateGreaterThan={"AWS:EpochTime": None})]},
            {"Statement": [statement(IpAddress={"AWS:SourceIp": None})]},
            {"Statement": [statement(IpAddress={"AWS:SourceIp": 3221225991})]},
            {"Statement": [statement(IpAddress={"AWS:SourceIp": "192.0.2.0/33"})]},
            {"Statement": [statement(IpAddress={"AWS:SourceIp": ["192.0.2.7"]})]},
            {"Statement": [statement(IpAddress={})]},
            {"Statement": [statement(StringEquals={"a": "b"})]},
            {"Statement": [statement(resource=None)]},
            {"Statement": [statement(resource=[STAR])]},
            {"Statement": [statement(resource="")]},
            {"Statement": [statement(resource="http://*\u0000")]},
            {"Statement": [statement(resource="\ud800*")]},
        ],
        ids=lambda document: json.dumps(document)[:70],
    )
    def test_refused(self, document: dict) -> None:
        with pytest.raises(BadSignature):
            verify(cookie=signed(document))

    @pytest.mark.parametrize(
        "document",
        [
            '{"Statement":[{"Resource":"http://a/*","Resource":"*","Condition":{"DateLessThan":{"AWS:EpochTime":1800000060}}}]}',
            '{"Statement":[{"Resource":"*","Condition":{"DateLessThan":{"AWS:EpochTime":1},"DateLessThan":{"AWS:EpochTime":1800000060}}}]}',
            '{"Statement":[{"Resource":"*","Condition":{"DateLessThan":{"AWS:EpochTime":NaN}}}]}',
            '{"Statement":[{"Resource":"*","Condition":{"DateLessThan":{"AWS:EpochTime":1e10}}}]}',
            '{"Statement":[{"Resource":"*","Condition":{"DateLessThan":{"AWS:EpochTime":1800000060}}}]} trailing',
            "[" * 3000,
            "",
            "null",
            "\ufeff{}",
            b"\xff\xfe{\x00}\x00",
        ],
        ids=lambda document: repr(document[:60]),
    )
    def test_json_that_two_readers_could_read_differently_is_refused(self, document: str | bytes) -> None:
        with pytest.raises(BadSignature):
            verify(cookie=signed(document))

    def test_a_policy_without_resource_is_for_everything(self) -> None:
        document = statement()
        del document["Resource"]
        assert verify(cookie=signed({"Statement": [document]})).resource == "*"

    def test_a_policy_longer_than_a_cookie_is_refused(self) -> None:
        document = json.dumps({"Statement": [statement(resource="*" * policies.MAX_POLICY_BYTES)]})
        with pytest.raises(BadSignature, match="at most"):
            verify(cookie=signed(document))

    @given(st.binary(max_size=300))
    def test_no_signed_bytes_break_out(self, document: bytes) -> None:
        with pytest.raises(BadSignature):
            verify(cookie=signed(document))


class TestSigner:
    def test_repr_hides_the_key(self) -> None:
        assert repr(Signer(RSA_PRIVATE, KEY_ID)) == f"Signer(key_pair_id='{KEY_ID}', hash_algorithm='SHA1')"

    def test_hash_algorithm_is_named_only_when_it_is_not_the_default(self) -> None:
        assert "Hash-Algorithm" not in Signer(RSA_PRIVATE, KEY_ID).url(URL, LATER)
        fields = parse_qs(urlsplit(Signer(RSA_PRIVATE, KEY_ID, "SHA256").url(URL, LATER)).query)
        assert fields["Hash-Algorithm"] == ["SHA256"]
        assert fields.keys() <= cookies.SIGNING_PARAMETERS

    @pytest.mark.parametrize(
        ("url", "grant", "complaint"),
        [
            (URL + "?Expires=1", LATER, "already"),
            ("http://a/*", LATER, "star"),
            ("http://a/b", Policy(STAR, LATER), "cover"),
            (URL, 0, "expires"),
            ("http://a/\n", LATER, "ASCII"),
        ],
    )
    def test_refuses_to_sign_what_would_not_hold(self, url: str, grant: Policy | int, complaint: str) -> None:
        with pytest.raises(InvalidRequest, match=complaint):
            Signer(RSA_PRIVATE, KEY_ID).url(url, grant)

    def test_refuses_a_policy_that_no_verifier_takes(self) -> None:
        with pytest.raises(InvalidRequest, match="at most"):
            Signer(RSA_PRIVATE, KEY_ID).cookies(Policy("*" * 5000, LATER))

    @pytest.mark.parametrize(
        "pem",
        [
            b"",
            b"no pem",
            RSA_PUBLIC,
            *(
                key.private_bytes(
                    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
                )
                for key in (ec.generate_private_key(ec.SECP384R1()), rsa.generate_private_key(65537, 1024))
            ),
            _EC_KEY.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.BestAvailableEncryption(b"password"),
            ),
        ],
        ids=["empty", "text", "public", "P-384", "RSA-1024", "encrypted"],
    )
    def test_refuses_keys_that_cloudfront_does_not_take(self, pem: bytes) -> None:
        with pytest.raises(InvalidRequest):
            Signer(pem, KEY_ID)

    def test_refuses_unknown_hashes(self) -> None:
        with pytest.raises(InvalidRequest, match="MD5"):
            Signer(RSA_PRIVATE, KEY_ID, "MD5")  # type: ignore[arg-type]

    @pytest.mark.parametrize("key_pair_id", ["", "a b", "a;b", "a&b", "ä", "a" * 65, "a\n"])
    def test_refuses_key_pair_ids_that_no_cookie_holds(self, key_pair_id: str) -> None:
        with pytest.raises(InvalidRequest, match="key pair id"):
            Signer(RSA_PRIVATE, key_pair_id)

    @pytest.mark.parametrize("pem", [b"", b"no pem", RSA_PRIVATE])
    def test_refuses_public_keys_that_are_none(self, pem: bytes) -> None:
        with pytest.raises(InvalidRequest):
            cookies.load_public_key(pem)


cookie_names = st.sampled_from(["CloudFront-" + name for name in sorted(cookies.SIGNING_PARAMETERS)])


@given(url=st.text(), cookie=st.dictionaries(cookie_names, st.text()), ip=st.text(), now=st.floats(allow_nan=False))
def test_no_request_breaks_out(url: str, cookie: dict[str, str], ip: str, now: float) -> None:
    with pytest.raises(BadSignature):
        verify(url, cookie, ip=ip, now=now)


@given(query=st.text("ExpiresPolicySignatureKey-Pair-Id=&?%0123"))
def test_no_query_breaks_out(query: str) -> None:
    with pytest.raises(BadSignature):
        verify(f"{URL}?{query}")


@given(query=st.text("aE=&?%", max_size=30))
def test_other_parameters_stay_as_they_were(query: str) -> None:
    url = f"{URL}?{query}"
    assert cookies.without_signing_parameters(url) == url
    assert cookies.without_signing_parameters(f"{url}&Expires=1&Signature=x") == url


def _decode(text: str) -> bytes:
    return base64.b64decode(text.replace("-", "+").replace("_", "=").replace("~", "/"))
