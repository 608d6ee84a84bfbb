from __future__ import annotations

import os
from dataclasses import fields

import pytest

from penstock import settings
from penstock.errors import InvalidRequest
from penstock.settings import Settings


def test_nothing_set_gives_the_defaults() -> None:
    assert settings.load({"PATH": "/bin"}) == Settings()


def test_values_are_parsed() -> None:
    loaded = settings.load(
        {
            "PENSTOCK_SESSION_TTL_S": "60",
            "PENSTOCK_URL": "https://v.example/",
            "PENSTOCK_ALLOWED_ORIGINS": "https://a, https://b/",
        }
    )
    assert (loaded.session_ttl_s, loaded.url) == (60, "https://v.example")
    assert loaded.allowed_origins == ("https://a", "https://b")
    assert loaded.speke_address == "https://v.example/speke/v2/copyProtection"


def test_empty_value_is_the_default() -> None:
    assert settings.load({"PENSTOCK_SESSION_TTL_S": ""}) == Settings()


def test_unknown_name_is_refused_with_the_nearest_known_one() -> None:
    with pytest.raises(InvalidRequest, match=r"PENSTOCK_SESION_TTL_S .* did you mean PENSTOCK_SESSION_TTL_S"):
        settings.load({"PENSTOCK_SESION_TTL_S": "60"})


@pytest.mark.parametrize(("name", "text"), [("SESSION_TTL_S", "soon"), ("SESSION_TTL_S", "0"), ("POSTER", "perhaps")])
def test_unusable_value_is_refused_by_name(name: str, text: str) -> None:
    with pytest.raises(InvalidRequest, match=f"PENSTOCK_{name}"):
        settings.load({f"PENSTOCK_{name}": text})


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ({}, "region"),
        ({"AWS_PROFILE": "nobody"}, "nobody"),
        ({"AWS_DEFAULT_REGION": "us-east-1", "AWS_ENDPOINT_URL": "nowhere"}, "nowhere"),
    ],
)
def test_aws_that_cannot_be_reached_as_the_environment_says_is_wrong_use(
    variables: dict[str, str], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for each in [each for each in os.environ if each.startswith("AWS_")]:
        monkeypatch.delenv(each)
    for name, value in {"AWS_CONFIG_FILE": os.devnull, **variables}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InvalidRequest, match=told):
        settings.clients()


def test_every_setting_has_a_sentence_and_time_and_size_have_units_in_their_names() -> None:
    for field in fields(Settings):
        assert field.metadata["help"]
        unit = {"s": "_s", "bytes": "_bytes", "USD": "_usd", "": ""}[field.metadata["unit"]]
        assert field.name.endswith(unit)
