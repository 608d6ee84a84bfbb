"""MediaPackage VOD as its clients see it: unmodified boto3, AWS CLI and JavaScript SDK."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from conftest import REPOSITORY
from mediaconvert_speke import ACCESS_KEY_ID, SECRET
from mediaconvert_stack import wait_for
from mediapackage_stack import IDENTIFIER, ROLE, SECRET_ARN, Films, PackagingStack

DASH = {"DashPackage": {"DashManifests": [{"ManifestName": "index"}], "SegmentDurationSeconds": 2}}
AUTHORIZATION = {"CdnIdentifierSecret": SECRET_ARN, "SecretsRoleArn": ROLE}


def refused(call: Any, **params: Any) -> tuple[str, int, str]:
    with pytest.raises(ClientError) as caught:
        call(**params)
    answer = caught.value.response
    return answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Message"]


def test_an_asset_goes_from_queued_to_playable_and_is_told_of(stack: PackagingStack, films: Films) -> None:
    stack.group("life", DASH)
    made = stack.asset("life-1", "life", films.smil, Tags={"a": "b"})
    [endpoint] = made["EgressEndpoints"]
    assert (endpoint["PackagingConfigurationId"], endpoint["Status"]) == ("life-0", "QUEUED")
    assert made["Arn"] == "arn:aws:mediapackage-vod:us-east-1:000000000000:assets/life-1"
    packaged = stack.packaged("life-1")["life-0"]
    assert (packaged["Status"], packaged["Url"]) == ("PLAYABLE", endpoint["Url"])
    assert stack.get(packaged["Url"]).status_code == 200
    wait_for(lambda: len(stack.notices("life-1")) == 3, 10)
    told = {notice["detail"]["event"]: notice for notice in stack.notices("life-1")}
    assert set(told) == {"IngestStart", "VodAssetPlayable", "IngestComplete"}
    playable = told["VodAssetPlayable"]
    assert playable["detail-type"] == "MediaPackage Input Notification"
    assert playable["detail"]["manifest_urls"] == [packaged["Url"]]
    assert playable["detail"]["packaging_configuration_id"] == "life-0"
    assert playable["resources"][1].endswith(":packaging_configuration/life-0")


def test_a_configuration_that_comes_later_packages_the_assets_that_are_there(
    stack: PackagingStack, films: Films
) -> None:
    stack.group("later")
    assert stack.asset("later-1", "later", films.smil)["EgressEndpoints"] == []
    stack.mediapackage.create_packaging_configuration(Id="later-0", PackagingGroupId="later", **DASH)
    assert stack.packaged("later-1")["later-0"]["Status"] == "PLAYABLE"
    stack.mediapackage.delete_packaging_configuration(Id="later-0")
    assert stack.packaged("later-1") == {}


def test_the_egress_wants_the_cdn_identifier_of_the_group(stack: PackagingStack, films: Films) -> None:
    stack.group("locked", DASH, Authorization=AUTHORIZATION)
    stack.asset("locked-1", "locked", films.smil)
    url = stack.packaged("locked-1")["locked-0"]["Url"]
    assert [stack.get(url, one).status_code for one in (None, "wrong", IDENTIFIER)] == [403, 403, 200]
    stack.mediapackage.update_packaging_group(Id="locked")
    assert stack.get(url).status_code == 200


def test_an_asset_made_again_has_other_addresses_and_the_old_ones_are_gone(stack: PackagingStack, films: Films) -> None:
    stack.group("again", DASH)
    stack.asset("again-1", "again", films.smil)
    old = stack.packaged("again-1")["again-0"]["Url"]
    code, status, message = refused(
        stack.mediapackage.create_asset,
        Id="again-1",
        PackagingGroupId="again",
        SourceArn="arn:aws:s3:::media/other.smil",
        SourceRoleArn=ROLE,
    )
    assert (code, status) == ("UnprocessableEntityException", 422)
    assert "exists already" in message
    assert stack.mediapackage.delete_asset(Id="again-1")["ResponseMetadata"]["HTTPStatusCode"] == 202
    assert stack.get(old).status_code == 404
    stack.asset("again-1", "again", films.smil)
    new = stack.packaged("again-1")["again-0"]["Url"]
    assert new != old
    assert stack.get(new).status_code == 200


def test_a_group_in_use_stays_and_what_is_unknown_is_not_found(stack: PackagingStack) -> None:
    stack.group("used", DASH)
    vod = stack.mediapackage
    assert refused(vod.delete_packaging_group, Id="used")[:2] == ("UnprocessableEntityException", 422)
    vod.delete_packaging_configuration(Id="used-0")
    vod.delete_packaging_group(Id="used")
    for call in (vod.describe_packaging_group, vod.delete_packaging_group, vod.describe_asset, vod.delete_asset):
        assert refused(call, Id="used")[:2] == ("NotFoundException", 404)
    assert refused(vod.describe_packaging_configuration, Id="used-0")[:2] == ("NotFoundException", 404)
    source = {"SourceArn": "arn:aws:s3:::b12/k.smil", "SourceRoleArn": ROLE}
    assert refused(vod.create_asset, Id="x", PackagingGroupId="used", **source)[:2] == ("NotFoundException", 404)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"Id": "a b"}, "id can have"),
        ({"Id": "x" * 257}, "id can have"),
        ({"SourceArn": "arn:aws:s3:::media/film.mpd"}, ".smil or a .m3u8"),
        ({"SourceArn": "s3://media/film.smil"}, "sourceArn"),
        ({"SourceRoleArn": "role"}, "sourceRoleArn"),
        ({"ResourceId": "a/b"}, "resourceId"),
        ({"Tags": {"aws:x": "y"}}, "aws:"),
        ({"Tags": {f"t{n}": "" for n in range(51)}}, "at most 50 tags"),
    ],
)
def test_assets_that_cannot_be_are_refused_by_name(stack: PackagingStack, change: dict[str, Any], named: str) -> None:
    vod = stack.mediapackage
    if not any(group["Id"] == "refusing" for group in vod.list_packaging_groups()["PackagingGroups"]):
        stack.group("refusing")
    params = {
        "Id": "r",
        "PackagingGroupId": "refusing",
        "SourceArn": "arn:aws:s3:::media/f.smil",
        "SourceRoleArn": ROLE,
    }
    code, status, message = refused(vod.create_asset, **{**params, **change})
    assert (code, status) == ("UnprocessableEntityException", 422)
    assert named in message


def test_a_secret_that_is_not_there_is_refused(stack: PackagingStack) -> None:
    authorization = {**AUTHORIZATION, "CdnIdentifierSecret": SECRET_ARN + "x"}
    answer = refused(stack.mediapackage.create_packaging_group, Id="nosecret", Authorization=authorization)
    assert answer[:2] == ("UnprocessableEntityException", 422)
    assert "cdnIdentifierSecret" in answer[2]


def test_lists_come_in_pages_and_by_group(stack: PackagingStack) -> None:
    stack.group("pages")
    for number in range(5):
        stack.asset(f"pages-{number}", "pages", f"nothing/{number}.smil")
    pages = stack.mediapackage.get_paginator("list_assets").paginate(
        PackagingGroupId="pages", PaginationConfig={"PageSize": 2}
    )
    found = [[asset["Id"] for asset in page["Assets"]] for page in pages]
    assert found == [["pages-0", "pages-1"], ["pages-2", "pages-3"], ["pages-4"]]
    assert stack.mediapackage.describe_packaging_group(Id="pages")["ApproximateAssetCount"] == 5
    answer = refused(stack.mediapackage.list_assets, NextToken="!")
    assert answer[:2] == ("UnprocessableEntityException", 422)


def test_tags_are_kept_changed_and_removed(stack: PackagingStack) -> None:
    made = stack.mediapackage.create_packaging_group(Id="tagged", Tags={"one": "1"})
    vod, arn = stack.mediapackage, made["Arn"]
    vod.tag_resource(ResourceArn=arn, Tags={"two": "2"})
    assert vod.list_tags_for_resource(ResourceArn=arn)["Tags"] == {"one": "1", "two": "2"}
    vod.untag_resource(ResourceArn=arn, TagKeys=["one"])
    assert vod.describe_packaging_group(Id="tagged")["Tags"] == {"two": "2"}
    assert refused(vod.list_tags_for_resource, ResourceArn=arn + "x")[:2] == ("NotFoundException", 404)
    vod.configure_logs(Id="tagged", EgressAccessLogs={"LogGroupName": "/aws/MediaPackage/x"})
    assert vod.describe_packaging_group(Id="tagged")["EgressAccessLogs"]["LogGroupName"] == "/aws/MediaPackage/x"


def test_the_aws_cli_makes_and_describes_an_asset(stack: PackagingStack, films: Films, tmp_path: Path) -> None:
    environ = {
        **{name: text for name, text in os.environ.items() if not name.startswith("AWS_")},
        "AWS_ACCESS_KEY_ID": ACCESS_KEY_ID,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": stack.config.aws_url,
        "AWS_CONFIG_FILE": str(tmp_path / "none"),
        "AWS_PAGER": "",
    }

    def aws(*arguments: str) -> Any:
        command = [str(Path(sys.executable).with_name("aws")), "mediapackage-vod", *arguments]
        done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if done.stdout.strip() else None

    aws("create-packaging-group", "--id", "cli")
    package = json.dumps({"DashManifests": [{"ManifestName": "film"}]})
    aws("create-packaging-configuration", "--id", "cli-0", "--packaging-group-id", "cli", "--dash-package", package)
    source = f"arn:aws:s3:::media/{films.smil}"
    aws("create-asset", "--id", "cli-1", "--packaging-group-id", "cli", "--source-arn", source,
        "--source-role-arn", ROLE)  # fmt: skip
    stack.packaged("cli-1")
    [endpoint] = aws("describe-asset", "--id", "cli-1")["EgressEndpoints"]
    assert endpoint["Status"] == "PLAYABLE"
    assert endpoint["Url"].endswith("/film.mpd")
    aws("delete-asset", "--id", "cli-1")
    assert aws("list-assets", "--packaging-group-id", "cli")["Assets"] == []


def test_the_javascript_sdk_calls_every_operation(stack: PackagingStack, films: Films, tmp_path: Path) -> None:
    script = tmp_path / "every_operation.mjs"
    shutil.copyfile(Path(__file__).with_name(script.name), script)
    (tmp_path / "node_modules").symlink_to(REPOSITORY / "web" / "node_modules")
    keys = {"AWS_ACCESS_KEY_ID": ACCESS_KEY_ID, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_REGION": "us-east-1"}
    environment = {**os.environ, **keys, "AWS_ENDPOINT_URL": stack.config.aws_url}
    command = ["node", str(script), f"arn:aws:s3:::media/{films.smil}", ROLE]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "created": ["QUEUED"],
        "packaged": ["PLAYABLE"],
        "manifest": True,
        "ListPackagingGroups": ["js"],
        "ListPackagingConfigurations": ["js-smooth"],
        "ListAssets": ["js"],
        "tags": {"a": "b"},
        "group": {"tags": {"made": "here"}, "assets": 1, "created": "20"},
        "configuration": {"MssManifests": [{"ManifestName": "film"}], "SegmentDurationSeconds": 2},
        "logs": {"LogGroupName": "/aws/MediaPackage/a"},
        "refused": [True, 404],
        "left": 0,
    }


def test_killed_while_packaging_it_goes_on_and_tells_once(stack: PackagingStack, films: Films) -> None:
    stack.group("killed", DASH, {**DASH, "DashPackage": {**DASH["DashPackage"], "SegmentDurationSeconds": 1}})
    stack.asset("killed-1", "killed", films.smil)
    wait_for(stack.encoders, 30)
    stack.kill_endpoint()
    stack.start_endpoint()
    packaged = stack.packaged("killed-1")
    assert [one["Status"] for one in packaged.values()] == ["PLAYABLE", "PLAYABLE"]
    assert all(stack.get(one["Url"]).status_code == 200 for one in packaged.values())
    wait_for(lambda: any(n["detail"]["event"] == "IngestComplete" for n in stack.notices("killed-1")), 10)
    told = [notice["detail"]["event"] for notice in stack.notices("killed-1")]
    assert sorted(told) == ["IngestComplete", "IngestStart", "VodAssetPlayable", "VodAssetPlayable"]


def test_what_is_removed_while_it_is_packaged_leaves_nothing(stack: PackagingStack, films: Films) -> None:
    stack.group("removed", DASH, DASH)
    stack.asset("removed-1", "removed", films.smil)
    wait_for(stack.encoders, 30)
    stack.mediapackage.delete_asset(Id="removed-1")
    stack.asset("removed-2", "removed", films.smil)
    assert [one["Status"] for one in stack.packaged("removed-2").values()] == ["PLAYABLE", "PLAYABLE"]
    folder = stack.config.state_dir / "mediapackage-vod"
    wait_for(lambda: not list((folder / "work").iterdir()), 10)
    assert len(list((folder / "packages").iterdir())) == 1
