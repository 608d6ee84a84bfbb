"""Job settings files as people write them and as the console exports them."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock import ledger, templates
from penstock.errors import InvalidRequest

ASSET = "0f8fad5b-d9cb-469f-a165-70867728950e"
OURS = "https://video.example/speke/v2/copyProtection"


def settle(settings: dict[str, Any]) -> dict[str, Any]:
    return templates.settle(
        settings,
        source_uri="s3://penstock-source/inputs/film.mp4",
        destination_uri=f"s3://penstock-media/assets/{ASSET}/hd",
        asset_id=ASSET,
        speke_url=OURS,
    )


def settings(kind: str, destination: str = "s3://theirs/path/main", **more: Any) -> dict[str, Any]:
    member = templates.GROUP_MEMBERS[kind]
    group = {"OutputGroupSettings": {"Type": kind, member: {"Destination": destination, **more}}, "Outputs": []}
    return {
        "Inputs": [{"FileInput": "s3://theirs/x.mp4"}, {"FileInput": "s3://theirs/credits.mp4"}],
        "OutputGroups": [group],
    }


def inner(document: dict[str, Any]) -> dict[str, Any]:
    return templates.group_settings(document["OutputGroups"][0], "OutputGroups[0]")[1]


@pytest.mark.parametrize("kind", sorted(templates.GROUP_MEMBERS))
def test_every_group_keeps_only_the_path_of_its_destination(kind: str) -> None:
    assert inner(settle(settings(kind)))["Destination"] == f"s3://penstock-media/assets/{ASSET}/hd/path/main"


@pytest.mark.parametrize(
    ("destination", "path"),
    [
        ("s3://b/", ""),
        ("s3://b", ""),
        ("s3://b/a/", "a/"),
        ("s3://b//a///b", "a/b"),
        ("s3://b/a b+c%#?.x", "a b+c%#?.x"),
        ("s3://b/$fn$-$dt$", "$fn$-$dt$"),
    ],
)
def test_paths_are_taken_as_they_are_but_for_empty_parts(destination: str, path: str) -> None:
    document = settle(settings("CMAF_GROUP_SETTINGS", destination))
    assert inner(document)["Destination"] == f"s3://penstock-media/assets/{ASSET}/hd/{path}"


def test_the_first_input_becomes_the_source_and_others_stay() -> None:
    inputs = settle(settings("FILE_GROUP_SETTINGS"))["Inputs"]
    assert [i["FileInput"] for i in inputs] == ["s3://penstock-source/inputs/film.mp4", "s3://theirs/credits.mp4"]


@pytest.mark.parametrize(("acl", "kept"), [("PUBLIC_READ", False), ("BUCKET_OWNER_FULL_CONTROL", True)])
def test_no_output_is_made_public(acl: str, kept: bool) -> None:
    destination = {"S3Settings": {"AccessControl": {"CannedAcl": acl}, "StorageClass": "STANDARD"}}
    s3 = inner(settle(settings("HLS_GROUP_SETTINGS", DestinationSettings=destination)))["DestinationSettings"][
        "S3Settings"
    ]
    assert ("CannedAcl" in s3["AccessControl"]) == kept and s3["StorageClass"] == "STANDARD"


@pytest.mark.parametrize(("url", "resource"), [(OURS, ASSET), ("https://theirs.example/keys", "theirs")])
def test_our_key_provider_is_asked_for_keys_of_this_asset(url: str, resource: str) -> None:
    encryption = {"SpekeKeyProvider": {"Url": url, "ResourceId": "theirs"}}
    document = settle(settings("CMAF_GROUP_SETTINGS", Encryption=encryption))
    assert inner(document)["Encryption"]["SpekeKeyProvider"]["ResourceId"] == resource


def test_an_export_of_the_console_is_its_settings_and_what_holds_in_every_account() -> None:
    exported = {
        "Queue": "arn:aws:mediaconvert:us-east-1:1:queues/Default",
        "Role": "arn:aws:iam::1:role/x",
        "UserMetadata": {"a": "b"},
        "BillingTagsSource": "JOB",
        "Settings": {"Inputs": []},
        "StatusUpdateInterval": "SECONDS_60",
        "Priority": 0,
    }
    assert templates.read(json.dumps(exported).encode()) == {
        "Settings": {"Inputs": []},
        "StatusUpdateInterval": "SECONDS_60",
        "Priority": 0,
    }


def test_a_byte_order_mark_is_no_fault() -> None:
    assert templates.read(b'\xef\xbb\xbf{"Inputs": []}') == {"Settings": {"Inputs": []}}


def test_the_nearest_group_type_is_named() -> None:
    document = settings("CMAF_GROUP_SETTINGS")
    document["OutputGroups"][0]["OutputGroupSettings"]["Type"] = "CMAF_GROUP_SETTING"
    with pytest.raises(InvalidRequest, match="Is CMAF_GROUP_SETTINGS meant"):
        settle(document)


def test_static_keys_are_found_wherever_they_are() -> None:
    document = {
        "a": [{"StaticKeyProvider": {"StaticKeyValue": "k" * 32, "Url": "https://x.example", "KeyFormat": "x"}}]
    }
    assert templates.secrets(document) == {"k" * 32, "https://x.example"}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.text(max_size=5), inside, max_size=3),
    max_leaves=8,
)
members = st.sampled_from(["Inputs", "OutputGroups", "Settings"])


@given(st.dictionaries(members, json_values))
def test_any_document_is_settled_or_refused(document: dict[str, Any]) -> None:
    with contextlib.suppress(InvalidRequest):
        settle(templates.read(json.dumps(document).encode())["Settings"])


@given(st.sampled_from(sorted(templates.GROUP_MEMBERS)), json_values)
def test_any_value_inside_a_group_is_settled_or_refused(kind: str, value: object) -> None:
    for name in ("Destination", "DestinationSettings", "Encryption"):
        with contextlib.suppress(InvalidRequest):
            settle(settings(kind, **({} if name == "Destination" else {name: value})))
    document = settings(kind)
    document["OutputGroups"][0]["OutputGroupSettings"] = value
    with contextlib.suppress(InvalidRequest):
        settle(document)


@given(st.text(max_size=40))
def test_every_destination_stays_below_the_folder_of_the_asset(path: str) -> None:
    with contextlib.suppress(InvalidRequest):
        destination = inner(settle(settings("CMAF_GROUP_SETTINGS", f"s3://b/{path}")))["Destination"]
        assert destination.startswith(f"s3://penstock-media/assets/{ASSET}/hd/")
        assert not {"..", "."} & set(destination.split("/"))


@given(st.binary(max_size=100))
def test_any_bytes_are_settings_or_refused(body: bytes) -> None:
    with contextlib.suppress(InvalidRequest):
        assert isinstance(templates.read(body)["Settings"], dict)


@pytest.mark.parametrize("name", ["hd", "more/hd", "größe 2.0", "a_b:c=d+e@f", "default"])
def test_settings_names_that_can_be_used(name: str) -> None:
    assert ledger.is_settings_name(name)


@pytest.mark.parametrize(
    "name", ["", "/hd", "hd/", "a//b", "..", "../hd", ".hidden", "a\nb", "(x)", "a~b", "x" * 257, "影" * 81]
)
def test_settings_names_that_cannot_be_used(name: str) -> None:
    assert not ledger.is_settings_name(name)
