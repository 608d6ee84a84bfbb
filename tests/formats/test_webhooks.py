"""Signatures of webhooks: what others sign is ours, and nothing else is."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import BadSignature, InvalidRequest
from penstock.formats import webhooks

# Of Svix, whose signatures became Standard Webhooks (docs.svix.com, "Verifying webhooks manually").
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
MESSAGE, NOW, BODY = "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
OTHER = webhooks.write_secret(b"o" * 32)


def test_published_example_is_signed_as_published() -> None:
    headers = webhooks.sign([SECRET], MESSAGE, NOW, BODY)
    assert headers == {"webhook-id": MESSAGE, "webhook-timestamp": str(NOW), "webhook-signature": SIGNATURE}
    assert webhooks.verify(SECRET, headers, BODY, NOW) == MESSAGE


def test_either_secret_verifies_while_one_takes_the_place_of_the_other() -> None:
    headers = webhooks.sign([OTHER, SECRET], MESSAGE, NOW, BODY)
    for secret in (OTHER, SECRET):
        assert webhooks.verify(secret, {name.title(): value for name, value in headers.items()}, BODY, NOW) == MESSAGE


@pytest.mark.parametrize(
    "changed",
    [
        {"webhook-id": "msg_other"},
        {"webhook-id": ""},
        {"webhook-timestamp": str(NOW + 1)},
        {"webhook-timestamp": "soon"},
        {"webhook-timestamp": "９"},
        {"webhook-signature": SIGNATURE.removeprefix("v1,")},
        {"webhook-signature": "v1a,x " + SIGNATURE.replace("g0", "g1")},
        {"webhook-signature": "v1,é\udcff"},
        {"webhook-signature": ""},
    ],
)
def test_what_was_changed_is_refused(changed: dict[str, str]) -> None:
    headers = {**webhooks.sign([SECRET], MESSAGE, NOW, BODY), **changed}
    with pytest.raises(BadSignature):
        webhooks.verify(SECRET, headers, BODY, NOW)


@pytest.mark.parametrize("late_s", [301, -301])
def test_old_and_early_webhooks_are_refused(late_s: int) -> None:
    headers = webhooks.sign([SECRET], MESSAGE, NOW, BODY)
    webhooks.verify(SECRET, headers, BODY, NOW + late_s * 0.9)
    with pytest.raises(BadSignature, match="clocks"):
        webhooks.verify(SECRET, headers, BODY, NOW + late_s)


@given(st.binary(max_size=200), st.integers(0, 2**40), st.text(st.characters(codec="ascii", exclude_characters="\n")))
def test_any_body_is_verified_and_no_other(body: bytes, moment: int, message: str) -> None:
    headers = webhooks.sign([SECRET], f"m{message}", moment, body)
    assert webhooks.verify(SECRET, headers, body, moment) == f"m{message}"
    with pytest.raises(BadSignature):
        webhooks.verify(SECRET, headers, body + b" ", moment)
    with pytest.raises(BadSignature):
        webhooks.verify(OTHER, headers, body, moment)


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_!", webhooks.PREFIX + base64.b64encode(b"short").decode()])
def test_bad_secret_is_named_without_being_told(secret: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        webhooks.sign([secret], MESSAGE, NOW, BODY)
    assert not secret.removeprefix(webhooks.PREFIX) or secret not in raised.value.message
