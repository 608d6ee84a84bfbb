"""`penstock deploy`, `status` and `destroy` in an account played by moto's server; the AWS CLI looks at the result."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest

import moto_stand
from cloudformation import read
from penstock.deploy import account as accounts
from penstock.deploy import bundle, signing
from penstock.deploy.account import Account
from penstock.deploy.deployment import Code, Deployment
from penstock.deploy.template import compose
from penstock.errors import Conflict, InvalidRequest, NotFound

SOURCE = f"penstock-source-{moto_stand.ACCOUNT}-{moto_stand.REGION}"
MEDIA = f"penstock-media-{moto_stand.ACCOUNT}-{moto_stand.REGION}"
ARTIFACTS = f"penstock-artifacts-{moto_stand.ACCOUNT}-{moto_stand.REGION}"
BIN = Path(sys.executable).parent


@pytest.fixture(scope="module")
def server() -> Iterator[Mapping[str, str]]:
    with moto_stand.running() as environment:
        yield environment


@pytest.fixture
def environment(server: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> Mapping[str, str]:
    """An empty account, and the variables that lead there."""
    httpx.post(f"{server['AWS_ENDPOINT_URL']}/moto-api/reset").raise_for_status()
    for name, value in server.items():
        monkeypatch.setenv(name, value)
    return server


@pytest.fixture(scope="module")
def clients(server: Mapping[str, str]) -> Iterator[Account]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in server.items():
            patch.setenv(name, value)
        yield accounts.connect()


@pytest.fixture
def account(environment: Mapping[str, str], clients: Account) -> Account:
    return clients


@pytest.fixture
def deployment(account: Account) -> Deployment:
    return Deployment("penstock", account, poll_s=0.02)


@pytest.fixture
def code(tmp_path: Path) -> Code:
    path = tmp_path / "penstock.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("penstock/handlers.py", "")
    return Code(path, "0123abcd", "python3.13")


def deployed(deployment: Deployment, code: Code, **wanted: str) -> dict[str, Any]:
    proposal = deployment.propose(wanted, code)
    list(deployment.carry_out(proposal))
    state = deployment.stack.state()
    assert state is not None
    return {"proposal": proposal, "outputs": state.outputs, "parameters": state.parameters, "status": state.status}


def buckets(account: Account) -> set[str]:
    return {each["Name"] for each in account.s3.list_buckets()["Buckets"]}


def objects(account: Account, bucket: str) -> list[str]:
    return [each["Key"] for each in account.s3.list_objects_v2(Bucket=bucket).get("Contents", ())]


def run(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([BIN / program, *arguments], capture_output=True, text=True, timeout=280)


def said(done: subprocess.CompletedProcess[str]) -> Any:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_what_moto_does_not_do_is_known(capsys: pytest.CaptureFixture[str]) -> None:
    """When this fails moto has learned something: take it off the list, and the stand-in goes."""
    kinds = {resource["Type"] for resource in read(compose())["Resources"].values()}
    unsupported = kinds - moto_stand.SUPPORTED
    assert unsupported == set(moto_stand.UNSUPPORTED)
    assert {kind for kind in kinds & moto_stand.SUPPORTED if not moto_stand.can_be_changed(kind)} == set(
        moto_stand.FIXED
    )
    assert not moto_stand.DELETES_POLICIES
    with capsys.disabled():
        print(f"\nmoto makes {len(kinds) - len(unsupported)} of {len(kinds)} types of resources.")
        print("Not made:", *moto_stand.UNSUPPORTED, sep="\n  ")
        print("Made and not changed:", *moto_stand.FIXED, sep="\n  ")
        print("Not played:", *moto_stand.NOT_PLAYED, sep="\n  ")


def test_a_whole_life_from_the_command_line(environment: Mapping[str, str], tmp_path: Path) -> None:
    done = run("penstock", "deploy", "--stack", "penstock", "--alarm-email", "a@example.com", "--yes")
    assert done.returncode == 0, done.stderr
    assert re.search(r"Add +WatchfolderFunction +AWS::Lambda::Function", done.stdout)
    assert "penstock  CREATE_COMPLETE" in done.stdout
    assert f"aws s3 cp film.mov s3://{SOURCE}/inputs/" in done.stdout
    assert "confirm the subscription that AWS has sent to a@example.com" in done.stdout
    made = said(run("penstock", "status", "--json"))
    assert (made["status"], made["dead_letters"]) == ("CREATE_COMPLETE", 0)

    # The AWS CLI, which knows nothing of penstock, looks at what is there.
    [stack] = said(run("aws", "cloudformation", "describe-stacks", "--stack-name", "penstock"))["Stacks"]
    assert {each["OutputKey"]: each["OutputValue"] for each in stack["Outputs"]} == made["outputs"]
    functions = said(run("aws", "lambda", "list-functions"))["Functions"]
    handlers = {each["Handler"].removeprefix("penstock.handlers.") for each in functions}
    assert handlers == {"watchfolder", "publish", "speke", "sweep"}
    assert {each["Runtime"] for each in functions} == {bundle.lambda_runtime().name}
    assert "AES256" in json.dumps(said(run("aws", "s3api", "get-bucket-encryption", "--bucket", MEDIA)))
    rules = said(run("aws", "events", "list-rules"))["Rules"]
    assert len(rules) == 3
    secrets = said(run("aws", "secretsmanager", "list-secrets"))["SecretList"]
    assert [each["Name"] for each in secrets] == ["penstock/signing-keys"]

    (tmp_path / "film.mov").write_bytes(b"film")
    assert run("aws", "s3", "cp", str(tmp_path / "film.mov"), f"s3://{SOURCE}/inputs/").returncode == 0
    unasked = run("penstock", "destroy")
    assert unasked.returncode == 2 and "--yes" in unasked.stderr
    gone = run("penstock", "destroy", "--yes")
    assert gone.returncode == 0, gone.stderr
    assert f"{SOURCE}: stays" in gone.stdout
    assert run("aws", "cloudformation", "describe-stacks", "--stack-name", "penstock").returncode != 0
    assert "film.mov" in run("aws", "s3", "ls", f"s3://{SOURCE}/inputs/").stdout
    assert run("penstock", "status").returncode == 2


def test_who_says_no_at_the_terminal_keeps_the_stack(deployment: Deployment, account: Account, code: Code) -> None:
    deployed(deployment, code, Mode="watchfolder")
    ours, theirs = pty.openpty()
    try:
        os.write(ours, b"n\n")
        command = [BIN / "penstock", "destroy", "--delete-media"]
        done = subprocess.run(command, stdin=theirs, capture_output=True, text=True, timeout=120)
    finally:
        os.close(ours)
        os.close(theirs)
    assert done.returncode == 0, done.stderr
    assert "Delete it so?" in done.stderr
    assert f"{MEDIA}: goes" in done.stdout and done.stdout.rstrip().endswith("nothing was deleted")
    assert deployment.status().state.status == "CREATE_COMPLETE"


def test_nothing_secret_is_a_parameter_an_output_or_left_in_a_bucket(
    deployment: Deployment, account: Account, code: Code
) -> None:
    proposal = deployment.propose({}, code)
    [filled] = [key for key in objects(account, ARTIFACTS) if key.startswith("key-values/")]
    body = json.loads(account.s3.get_object(Bucket=ARTIFACTS, Key=filled)["Body"].read())
    list(deployment.carry_out(proposal))
    assert objects(account, ARTIFACTS) == [f"code/{code.digest}.zip", "template.yaml"]
    stored = json.loads(account.secrets.get_secret_value(SecretId="penstock/signing-keys")["SecretString"])
    assert body == {"data": [{"key": "path-token-keys", "value": json.dumps([stored["path-token.key"]])}]}
    [stack] = account.cloudformation.describe_stacks()["Stacks"]
    shown = json.dumps(stack, default=str) + repr(proposal) + repr(signing.ensure("penstock", account))
    for name, value in stored.items():
        assert (value.strip() in shown.replace("\\n", "\n")) == (name == "signing-key.pub.pem"), name


def test_deploying_again_keeps_keys_and_what_is_not_said(deployment: Deployment, code: Code) -> None:
    first = deployed(deployment, code, LogRetentionDays="7", SourceBucketName="uploads")
    second = deployed(deployment, code, AlarmEmail="a@example.com")
    kept = first["parameters"].keys() - {"AlarmEmail", "AllowedOrigins"}  # moto tells lists in words of its own
    assert first["parameters"]["SourceBucketName"] == "uploads"
    assert {key: second["parameters"][key] for key in kept} == {key: first["parameters"][key] for key in kept}
    assert second["status"] == "UPDATE_COMPLETE"
    assert second["outputs"] == first["outputs"]


def test_dry_run_leaves_nothing_behind(deployment: Deployment, account: Account, code: Code) -> None:
    proposal = deployment.propose({}, code, dry_run=True)
    assert {"SourceBucket", "Distribution"} <= {change.resource for change in proposal.changes}
    deployment.discard(proposal, dry_run=True)
    assert not buckets(account)
    assert deployment.stack.state() is None
    assert not account.secrets.list_secrets()["SecretList"]


def test_who_says_no_finds_everything_as_it_was(deployment: Deployment, account: Account, code: Code) -> None:
    deployment.discard(deployment.propose({}, code))
    assert deployment.stack.state() is None
    assert objects(account, ARTIFACTS) == [f"code/{code.digest}.zip", "template.yaml"]
    assert deployed(deployment, code)["status"] == "CREATE_COMPLETE"


def test_key_values_that_a_cut_deployment_left_go_with_the_next(
    deployment: Deployment, account: Account, code: Code
) -> None:
    proposal = deployment.propose({}, code)
    following = deployment.carry_out(proposal)
    next(following)
    following.close()  # Ctrl-C
    assert [key for key in objects(account, ARTIFACTS) if key.startswith("key-values/")]
    deployed(deployment, code)
    assert objects(account, ARTIFACTS) == [f"code/{code.digest}.zip", "template.yaml"]


def test_dry_run_of_a_stack_that_is_there_changes_nothing(deployment: Deployment, account: Account, code: Code) -> None:
    before = deployed(deployment, code)
    deployment.discard(deployment.propose({"LogRetentionDays": "7"}, code, dry_run=True), dry_run=True)
    state = deployment.stack.state()
    assert state is not None and state.parameters == before["parameters"]
    assert ARTIFACTS in buckets(account)


def test_watchfolder_alone_makes_no_keys_and_can_grow(deployment: Deployment, account: Account, code: Code) -> None:
    small = deployed(deployment, code, Mode="watchfolder")
    assert "Url" not in small["outputs"] and not account.secrets.list_secrets()["SecretList"]
    whole = deployed(deployment, code, Mode="full")
    assert "Url" in whole["outputs"]
    assert whole["parameters"]["KeyValueSource"].startswith(f"arn:aws:s3:::{ARTIFACTS}/key-values/")


def test_destroy_with_media_leaves_nothing(deployment: Deployment, account: Account, code: Code) -> None:
    deployed(deployment, code)
    account.s3.put_object(Bucket=MEDIA, Key="assets/a", Body=b"a")
    upload = account.s3.create_multipart_upload(Bucket=SOURCE, Key="inputs/b")
    assert upload["UploadId"]
    list(deployment.remove(delete_media=True))
    assert not buckets(account)
    with pytest.raises(NotFound):
        list(deployment.remove())


def test_master_key_of_another_stack_is_not_ours_to_delete(
    deployment: Deployment, account: Account, code: Code
) -> None:
    key = account.secrets.create_secret(Name="earlier", SecretString="k" * 64)["ARN"]
    assert deployed(deployment, code, MasterKeyArn=key)["outputs"]["MasterKey"] == key
    assert deployment.media().keys() == {"SourceBucket", "MediaBucket"}
    list(deployment.remove(delete_media=True))
    assert "DeletedDate" not in account.secrets.describe_secret(SecretId=key)


def test_keys_that_were_to_be_deleted_are_taken_back(deployment: Deployment, account: Account, code: Code) -> None:
    before = signing.ensure("penstock", account)
    signing.remove("penstock", account)
    assert not signing.exist("penstock", account)
    assert signing.ensure("penstock", account) == before


def test_keys_that_are_gone_are_told(deployment: Deployment, account: Account, code: Code) -> None:
    deployed(deployment, code)
    account.secrets.delete_secret(SecretId="penstock/signing-keys", ForceDeleteWithoutRecovery=True)
    with pytest.raises(Conflict, match="penstock/signing-keys is gone"):
        deployment.propose({}, code)


def test_what_the_stack_makes_is_not_taken_for_what_publish_makes(deployment: Deployment, code: Code) -> None:
    deployed(deployment, code)
    [stack] = deployment.account.cloudformation.describe_stacks()["Stacks"]
    assert {tag["Key"] for tag in stack["Tags"]} == {"penstock:stack"}


def test_bucket_that_is_there_already_is_told_before_anything_is_made(
    deployment: Deployment, account: Account, code: Code
) -> None:
    deployed(deployment, code)
    list(deployment.remove())
    with pytest.raises(Conflict, match=rf"{SOURCE} is in this account already.*--source-bucket"):
        deployment.propose({}, code)
    assert ARTIFACTS not in buckets(account)
    named = {"SourceBucketName": "other-source", "MediaBucketName": "other-media"}
    assert deployed(deployment, code, **named)["outputs"]["SourceBucket"] == "other-source"


def test_bucket_of_another_account_is_told(deployment: Deployment, account: Account, code: Code) -> None:
    sts = boto3.client("sts")
    theirs = sts.assume_role(RoleArn="arn:aws:iam::111111111111:role/other", RoleSessionName="other")["Credentials"]
    other = boto3.client(
        "s3",
        aws_access_key_id=theirs["AccessKeyId"],
        aws_secret_access_key=theirs["SecretAccessKey"],
        aws_session_token=theirs["SessionToken"],
    )
    other.create_bucket(Bucket="taken", CreateBucketConfiguration={"LocationConstraint": moto_stand.REGION})
    with pytest.raises(Conflict, match=r"taken.*choose another name"):
        deployment.propose({"MediaBucketName": "taken"}, code)


@pytest.mark.parametrize("name", ["Penstock", "x", "1st", "a" * 26, "a_b", "a-", ""])
def test_names_that_buckets_cannot_have_are_refused(name: str, account: Account) -> None:
    with pytest.raises(InvalidRequest, match="cannot name a stack"):
        Deployment(name, account)


def test_longest_name_still_fits_into_a_bucket_name() -> None:
    regions = boto3.Session().get_available_regions("mediaconvert")
    assert max(len(f"{'a' * 25}-artifacts-{moto_stand.ACCOUNT}-{region}") for region in regions) <= 63


def test_status_of_what_is_not_there_says_how_to_make_it(deployment: Deployment) -> None:
    with pytest.raises(NotFound, match="`penstock deploy` makes one"):
        deployment.status()


def test_without_credentials_region_or_mediaconvert_it_says_what_to_do(
    environment: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InvalidRequest, match=r"not offered in the region 'mars-1'; it is in .*eu-west-1"):
        accounts.connect("mars-1")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(InvalidRequest, match=r"no AWS credentials.*aws configure"):
        accounts.connect()
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    with pytest.raises(InvalidRequest, match=r"no region.*--region"):
        accounts.connect()


def test_an_account_that_does_not_answer_is_told(
    environment: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    done = run("penstock", "status")
    assert done.returncode == 1
    assert "got no answer" in done.stderr and "Traceback" not in done.stderr
