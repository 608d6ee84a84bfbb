"""Signature Version 4, with botocore's signers and AWS's published examples as judges."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

import pytest
from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth, SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import BadSignature
from penstock.formats import sigv4

SECRETS = {"AKIDEXAMPLE": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "OTHER": "secret"}
URL = "http://127.0.0.1:4566/2017-08-29/jobs"
BODY = b'{"Settings": {}}'
SHA256 = hashlib.sha256(BODY).hexdigest()
EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()
ZEROS = "0" * 64

Headers = dict[str, str]


def signed(
    url: str = URL, service: str = "mediaconvert", *, signer: type[SigV4Auth] = SigV4Auth, **headers: str
) -> tuple[str, Headers]:
    """Sign with botocore; returns the URL and the headers that a client would send."""
    body = b"" if issubclass(signer, SigV4QueryAuth) else BODY
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    request = AWSRequest("POST", url, data=body, headers={"Host": "127.0.0.1:4566", **names})
    signer(Credentials("AKIDEXAMPLE", SECRETS["AKIDEXAMPLE"]), service, "us-east-1").add_auth(request)
    return request.url, dict(request.headers.items())


def verify(url: str, headers: Headers, **changes: object) -> str:
    arguments = {
        "method": "POST",
        "url": url,
        "headers": headers,
        "body_sha256": SHA256,
        "secrets": SECRETS,
        "now": datetime.now(UTC),
    }
    return sigv4.verify(**{**arguments, **changes})


def refused(url: str, headers: Headers, match: str | None = None, **changes: object) -> None:
    with pytest.raises(BadSignature, match=match):
        verify(url, headers, **changes)


class TestBotocore:
    @pytest.mark.parametrize(
        "path",
        [
            "",
            "/",
            "/2017-08-29/jobs/1234567890123-abcdef",
            "/a%20b/%C3%A9/%2F",
            "/a//b/./c/../d/",
            "/../..",
            "/a~b*c'd(e)",
            "?maxResults=20&order=DESCENDING&nextToken=a%2Bb%3D%3D",
            "?b=2&a=2&a=1&empty&nothing=",
        ],
    )
    @pytest.mark.parametrize("signer", [SigV4Auth, SigV4QueryAuth])
    def test_what_botocore_signs_is_verified(self, path: str, signer: type[SigV4Auth]) -> None:
        url, headers = signed(URL + path, signer=signer)
        sha256 = EMPTY_SHA256 if signer is SigV4QueryAuth else SHA256
        assert verify(url, headers, body_sha256=sha256) == "AKIDEXAMPLE"

    @pytest.mark.parametrize(("signer", "sha256"), [(S3SigV4Auth, SHA256), (S3SigV4QueryAuth, "any body")])
    def test_the_rules_of_s3(self, signer: type[SigV4Auth], sha256: str) -> None:
        url, headers = signed("http://127.0.0.1:8333/bucket/a%20b//c?partNumber=1", "s3", signer=signer)
        assert verify(url, headers, body_sha256=sha256) == "AKIDEXAMPLE"

    def test_headers_are_folded_as_sent(self) -> None:
        url, headers = signed(X_Amz_Target="AWSEvents.PutEvents", X_Long="  many   blanks ")
        headers["x-amz-target"] = headers.pop("X-Amz-Target")
        assert verify(url, headers) == "AKIDEXAMPLE"

    def test_queries_are_bytes(self) -> None:
        url, headers = signed(URL + "?x=%FF%FE&y=%ff")
        refused(url, headers, "does not match")  # botocore signs %ff as it is, AWS signs %FF
        url, headers = signed(URL + "?x=%FF%FE")
        assert verify(url, headers) == "AKIDEXAMPLE"

    def test_url_may_come_without_scheme_and_host(self) -> None:
        _, headers = signed(URL + "?a=b")
        assert verify("/2017-08-29/jobs?a=b", headers) == "AKIDEXAMPLE"

    def test_credential_tells_who_claims_to_have_signed(self) -> None:
        url, headers = signed()
        day = datetime.now(UTC).strftime("%Y%m%d")
        expected = sigv4.Credential("AKIDEXAMPLE", day, "us-east-1", "mediaconvert")
        assert sigv4.credential(url=url, headers=headers) == expected
        with pytest.raises(BadSignature, match="no Authorization header"):
            sigv4.credential(url=URL, headers={})


@pytest.mark.parametrize(
    ("url", "signature"),
    [
        ("/", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        ("/?Param2=value2&Param1=value1", "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"),
    ],
    ids=["get-vanilla", "get-vanilla-query-order-key-case"],
)
def test_examples_of_aws_s_own_test_suite(url: str, signature: str) -> None:
    headers = {
        "Host": "example.amazonaws.com",
        "X-Amz-Date": "20150830T123600Z",
        "Authorization": "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
        f"SignedHeaders=host;x-amz-date, Signature={signature}",
    }
    now = datetime(2015, 8, 30, 12, 36, tzinfo=UTC)
    assert verify(url, headers, method="GET", body_sha256=EMPTY_SHA256, now=now) == "AKIDEXAMPLE"


class TestTampering:
    @pytest.mark.parametrize(
        "changes",
        [
            {"method": "DELETE"},
            {"url": URL + "/1"},
            {"url": URL + "?a=b"},
            {"body_sha256": EMPTY_SHA256},
            {"secrets": {"AKIDEXAMPLE": "guess"}},
            {"secrets": {}},
            {"service": "events"},
        ],
        ids=lambda changes: next(iter(changes)),
    )
    def test_of_the_request_is_noticed(self, changes: dict) -> None:
        url, headers = signed()
        refused(**{"url": url, "headers": headers, **changes})

    @pytest.mark.parametrize("minutes", [6, -6])
    def test_of_the_clock_is_noticed(self, minutes: int) -> None:
        url, headers = signed()
        refused(url, headers, now=datetime.now(UTC) + timedelta(minutes=minutes))

    def test_of_a_signed_header_is_noticed(self) -> None:
        url, headers = signed(X_Amz_Target="AWSEvents.PutEvents")
        refused(url, {**headers, "X-Amz-Target": "AWSEvents.DeleteRule"}, "does not match")
        refused(url, {name: value for name, value in headers.items() if name != "X-Amz-Target"}, "was not sent")

    def test_by_an_added_amz_header_is_noticed(self) -> None:
        url, headers = signed()
        refused(url, {**headers, "X-Amz-Security-Token": "x"}, "not signed")

    def test_by_a_second_header_of_the_same_name_is_noticed(self) -> None:
        url, headers = signed(X_Amz_Target="AWSEvents.PutEvents")
        refused(url, {"x-amz-target": "AWSEvents.DeleteRule", **headers}, "does not match")

    def test_of_the_scope_is_noticed(self) -> None:
        url, headers = signed()
        for old, new in (("mediaconvert", "events"), ("us-east-1", "eu-west-1"), ("AKIDEXAMPLE", "OTHER")):
            refused(url, {**headers, "Authorization": headers["Authorization"].replace(old, new)}, "does not match")

    def test_of_a_presigned_lifetime_is_noticed(self) -> None:
        url, headers = signed(signer=SigV4QueryAuth)
        assert "X-Amz-Expires=3600" in url
        refused(url.replace("=3600", "=7200"), headers, "does not match", body_sha256=EMPTY_SHA256)

    def test_presigned_requests_expire(self) -> None:
        url, headers = signed(signer=SigV4QueryAuth)
        near, past = (datetime.now(UTC) + timedelta(seconds=seconds) for seconds in (3590, 3601))
        assert verify(url, headers, body_sha256=EMPTY_SHA256, now=near)
        refused(url, headers, "expired", body_sha256=EMPTY_SHA256, now=past)

    @pytest.mark.parametrize("expires", ["0", "-1", "604801", "1e3", "", "99999999999999999999"])
    def test_presigned_lifetimes_are_bounded(self, expires: str) -> None:
        url, headers = signed(signer=SigV4QueryAuth)
        refused(url.replace("X-Amz-Expires=3600", f"X-Amz-Expires={expires}"), headers, "X-Amz-Expires")

    def test_announced_body_hash_must_be_that_of_the_body(self) -> None:
        url, headers = signed(X_Amz_Content_SHA256=SHA256)
        assert verify(url, headers)
        refused(url, headers, "body", body_sha256=EMPTY_SHA256)
        url, headers = signed(X_Amz_Content_SHA256="UNSIGNED-PAYLOAD")
        refused(url, headers, "body")


class TestMalformed:
    @pytest.mark.parametrize("authorization", ["", "Bearer token", "AWS4-HMAC-SHA256", "AWS4-HMAC-SHA256 a=b, c"])
    def test_other_authorization_is_refused(self, authorization: str) -> None:
        url, headers = signed()
        refused(url, {**headers, "Authorization": authorization})

    @pytest.mark.parametrize(
        ("old", "new", "complaint"),
        [
            ("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256", "no Authorization header of the form"),
            ("Credential=", "Credential=more/", "the credential is of the form"),
            ("Credential=AKIDEXAMPLE", "Credential=", "the credential is of the form"),
            ("aws4_request", "aws5_request", "the credential is of the form"),
            ("/us-east-1/", "/\ud800/", "the credential is of the form"),
            ("/20", "/19", "another day"),
            ("SignedHeaders=host;", "SignedHeaders=", "Host header is not signed"),
            ("SignedHeaders=", "Headers=", "SignedHeaders is missing"),
            ("Signature=", "Signature=0", "hexadecimal"),
            ("Signature=", "Signature=é", "hexadecimal"),
            (", Signature=", ", Signature=0, Signature=", "twice"),
        ],
    )
    def test_damaged_authorization_is_refused(self, old: str, new: str, complaint: str) -> None:
        url, headers = signed()
        assert old in headers["Authorization"]
        refused(url, {**headers, "Authorization": headers["Authorization"].replace(old, new, 1)}, complaint)

    @pytest.mark.parametrize("date", ["", "yesterday", "2025-01-01", "99991231T235959Z", "00010101T000000Z"])
    def test_date_is_refused(self, date: str) -> None:
        url, headers = signed()
        refused(url, {**headers, "X-Amz-Date": date})

    def test_two_signatures_are_refused(self) -> None:
        url, headers = signed(signer=SigV4QueryAuth)
        refused(url, {**headers, **signed()[1]}, "twice")
        refused(url + "&X-Amz-Signature=" + ZEROS, headers, "twice")

    def test_headers_beyond_latin_1_are_refused(self) -> None:
        url, headers = signed(X_Title="plain")
        refused(url, {**headers, "X-Title": "\u0142"})

    @pytest.mark.parametrize("url", ["http://127.0.0.1/é", "http://127.0.0.1/" + "a" * 40_000])
    def test_url_is_refused(self, url: str) -> None:
        refused(url, signed()[1], "ASCII")


parts = st.sampled_from(
    ["Credential=", "SignedHeaders=", "Signature=", ", ", "host;x-amz-date", "A/20250101/r/s/aws4_request"]
)


@given(
    method=st.text(max_size=5),
    url=st.text("/.?&=%aX-Amz-Signature0") | st.text(),
    authorization=st.lists(parts | st.text(), max_size=9).map("".join),
    date=st.dates().map(lambda day: day.strftime("%Y%m%dT000000Z")) | st.text(),
    others=st.dictionaries(st.text(), st.text(), max_size=3),
)
def test_no_request_breaks_out(method: str, url: str, authorization: str, date: str, others: dict[str, str]) -> None:
    headers = {**others, "authorization": f"AWS4-HMAC-SHA256 {authorization}", "x-amz-date": date, "host": "a"}
    refused(url, headers, method=method)
    refused(url, others, method=method)


@given(title=st.text(), path=st.text("/.%~aé *", max_size=20))
def test_a_good_scope_does_not_help_to_break_out(title: str, path: str) -> None:
    _, headers = signed()
    authorization = headers["Authorization"].replace("host;", "host;x-title;")
    refused(f"http://h/{path}", {**headers, "Authorization": authorization, "x-title": title})
