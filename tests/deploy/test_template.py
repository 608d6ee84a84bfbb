"""The CloudFormation template: who may do what in it, what nobody may, and that it is what runs on one machine."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cloudformation import listed, read, settled, statements, written
from localaws.edge import answers
from penstock import handlers, mediapackage, stack
from penstock import settings as configuration
from penstock.deploy.template import FOLDER, TEMPLATE, compose

MADE = {
    "CodeBucket": "code",
    "CodeKey": "code.zip",
    "ViewerPublicKey": "PEM",
    "SigningKeys": "arn:aws:secretsmanager:eu-west-1:111122223333:secret:signing",
    "KeyValueSource": "arn:aws:s3:::code/kvs.json",
}
MODES = {
    "watchfolder": {"Mode": "watchfolder"},
    "direct": {},
    "mediapackage": {
        "Delivery": "mediapackage",
        "ApiOrigin": "api.example.com",
        "AllowedOrigins": ["https://app.example.com"],
        "DomainName": "video.example.com",
        "CertificateArn": "arn:aws:acm:us-east-1:111122223333:certificate/c",
        "AlarmEmail": "on-call@example.com",
        "MonthlyBudgetUsd": 100,
    },
}
WITHOUT_A_RESOURCE = {"mediaconvert:Probe", "mediaconvert:ListJobs"}
"""The only actions that are allowed on every resource."""


@pytest.fixture(scope="module")
def template() -> dict[str, Any]:
    return read(compose())


@pytest.fixture(params=MODES)
def resources(request: pytest.FixtureRequest, template: dict[str, Any]) -> dict[str, Any]:
    return settled(template, MADE | MODES[request.param])


@pytest.fixture(scope="module")
def everything(template: dict[str, Any]) -> dict[str, Any]:
    return settled(template, MADE | MODES["mediapackage"])


def of_type(resources: dict[str, Any], name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    return ((key, each["Properties"]) for key, each in resources.items() if each["Type"] == name)


def allowed(resources: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    return (pair for pair in statements(resources) if pair[1]["Effect"] == "Allow")


# ---- Least privilege


def test_no_action_is_a_wildcard(resources: dict[str, Any]) -> None:
    for name, statement in allowed(resources):
        assert "NotAction" not in statement
        assert not [action for action in listed(statement["Action"]) if "*" in action], name


def test_only_actions_without_a_resource_are_allowed_on_all_of_them(resources: dict[str, Any]) -> None:
    for name, statement in allowed(resources):
        if "*" in [each for each in listed(statement.get("Resource", "-")) if isinstance(each, str)]:
            assert set(listed(statement["Action"])) <= WITHOUT_A_RESOURCE, name


def test_every_resource_that_is_a_wildcard_says_why() -> None:
    found = re.findall(r"^.*Resource: *[\[\"']+\*.*$", TEMPLATE.read_text(), re.MULTILINE)
    assert found
    for line in found:
        assert re.search(r"# \w+ \w+ \w+", line), line


def test_resources_end_in_a_wildcard_only_below_a_named_part(resources: dict[str, Any]) -> None:
    for name, statement in allowed(resources):
        for resource in listed(statement.get("Resource", [])):
            text = written(resource)
            if text != "*":
                assert re.search(r"(/|:)(\*|\$\{\w+\}/\*/POST/[\w/]+)$", text) or "*" not in text, f"{name}: {text}"
                assert "*" not in text.split("/")[0], f"{name}: {text}"


def test_a_role_is_passed_to_one_service_only(everything: dict[str, Any]) -> None:
    passing = [each for _, each in allowed(everything) if "iam:PassRole" in listed(each["Action"])]
    assert len(passing) == 2
    for statement in passing:
        assert statement["Resource"].keys() == {"Fn::GetAtt"}
        services = listed(statement["Condition"]["StringEquals"]["iam:PassedToService"])
        assert {service.split(".")[0].removesuffix("-vod") for service in services} <= {"mediaconvert", "mediapackage"}


def test_services_take_roles_for_this_account_only(resources: dict[str, Any]) -> None:
    for name, role in of_type(resources, "AWS::IAM::Role"):
        [trust] = role["AssumeRolePolicyDocument"]["Statement"]
        assert trust["Principal"].keys() == {"Service"}
        if trust["Principal"]["Service"] != "lambda.amazonaws.com":  # which names no source when it takes a role
            assert trust["Condition"]["StringEquals"]["aws:SourceAccount"] == {"Ref": "AWS::AccountId"}, name


def test_mediaconvert_takes_its_role_for_our_queue_only(everything: dict[str, Any]) -> None:
    [trust] = everything["MediaConvertRole"]["Properties"]["AssumeRolePolicyDocument"]["Statement"]
    assert written(trust["Condition"]["ArnLike"]["aws:SourceArn"]).endswith(":queues/${AWS::StackName}")
    assert everything["MediaConvertQueue"]["Properties"]["Name"] == {"Ref": "AWS::StackName"}


def test_whoever_calls_a_function_or_sends_to_a_queue_is_named(resources: dict[str, Any]) -> None:
    for _, permission in of_type(resources, "AWS::Lambda::Permission"):
        assert {"SourceAccount", "SourceArn"} <= permission.keys()
    for _, policy in of_type(resources, "AWS::SQS::QueuePolicy"):
        for statement in policy["PolicyDocument"]["Statement"]:
            conditions = {key for condition in statement["Condition"].values() for key in condition}
            assert {"aws:SourceArn", "aws:SourceAccount"} <= conditions


def test_functions_of_one_purpose_have_no_role_in_common(resources: dict[str, Any]) -> None:
    roles = [written(function["Role"]) for _, function in of_type(resources, "AWS::Lambda::Function")]
    assert len(roles) == len(set(roles))


# ---- Nothing is public, everything is encrypted, logs end


def test_buckets_are_private_encrypted_and_reached_by_tls_only(resources: dict[str, Any]) -> None:
    buckets = dict(of_type(resources, "AWS::S3::Bucket"))
    assert buckets.keys() == {"SourceBucket", "MediaBucket"}
    policies = {written(policy["Bucket"]): policy for _, policy in of_type(resources, "AWS::S3::BucketPolicy")}
    for name, bucket in buckets.items():
        assert all(bucket["PublicAccessBlockConfiguration"].values())
        assert len(bucket["PublicAccessBlockConfiguration"]) == 4
        assert bucket["OwnershipControls"]["Rules"] == [{"ObjectOwnership": "BucketOwnerEnforced"}]
        assert bucket["BucketEncryption"]
        assert not {"AccessControl", "WebsiteConfiguration"} & bucket.keys()
        denied = policies[f"${{{name}}}"]["PolicyDocument"]["Statement"][0]
        assert (denied["Effect"], denied["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": False}})


def test_nobody_unnamed_is_allowed_anything(resources: dict[str, Any]) -> None:
    for name, statement in allowed(resources):
        assert "*" not in json.dumps(statement.get("Principal", "")), name
        assert "NotPrincipal" not in statement


def test_keys_are_given_out_to_iam_identities_only(everything: dict[str, Any]) -> None:
    methods = dict(of_type(everything, "AWS::ApiGateway::Method"))
    assert {method["AuthorizationType"] for method in methods.values()} == {"AWS_IAM"}


def test_queues_are_encrypted_and_give_up_into_one_queue_with_an_alarm(resources: dict[str, Any]) -> None:
    for name, queue in of_type(resources, "AWS::SQS::Queue"):
        assert queue["SqsManagedSseEnabled"]
        assert ("RedrivePolicy" in queue) == (name != "DeadLetterQueue")
    [dimension] = resources["DeadLetterAlarm"]["Properties"]["Dimensions"]
    assert written(dimension["Value"]) == "${DeadLetterQueue.QueueName}"


def test_every_function_has_a_log_that_ends(resources: dict[str, Any]) -> None:
    for name, function in of_type(resources, "AWS::Lambda::Function"):
        log = resources[function["LoggingConfig"]["LogGroup"]["Ref"]]
        assert log["Properties"]["RetentionInDays"] == {"Ref": "LogRetentionDays"}, name


def test_media_and_master_key_outlive_the_stack(everything: dict[str, Any]) -> None:
    for name in ("SourceBucket", "MediaBucket", "MasterKey"):
        assert everything[name]["DeletionPolicy"] == "Retain"
        assert everything[name]["UpdateReplacePolicy"] == "Retain"


def test_no_parameter_and_no_environment_holds_a_secret(template: dict[str, Any], everything: dict[str, Any]) -> None:
    assert "MASTER" not in {name.upper() for name in template["Parameters"]}
    for _, secret in of_type(everything, "AWS::SecretsManager::Secret"):
        assert "SecretString" not in secret and secret["GenerateSecretString"]["PasswordLength"] >= 64
    for _, function in of_type(everything, "AWS::Lambda::Function"):
        assert "resolve:secretsmanager" not in json.dumps(function)


# ---- The same as on one machine


def test_functions_are_handlers_and_their_environment_is_settings(resources: dict[str, Any]) -> None:
    for name, function in of_type(resources, "AWS::Lambda::Function"):
        module, _, entry = function["Handler"].rpartition(".")
        assert module == handlers.__name__ and callable(getattr(handlers, entry))
        assert function["Architectures"] == ["arm64"], name
        environment = {key: written(value) for key, value in function["Environment"]["Variables"].items()}
        # Parameters, of which `load` knows the values only.
        environment |= {"PENSTOCK_DELIVERY": "direct", "PENSTOCK_MAX_JOB_COST_USD": "0"}
        configuration.load(environment)


@pytest.fixture(scope="module")
def description(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return stack.prepare(tmp_path_factory.mktemp("stack"), stack.Ports(0, 0, 0), None, {})


def test_behaviors_are_those_of_the_edge(everything: dict[str, Any], description: dict[str, Any]) -> None:
    config = everything["Distribution"]["Properties"]["DistributionConfig"]
    here = {each["path"]: each for each in description["edge"]["behaviors"]}
    there = {each["PathPattern"]: each for each in config["CacheBehaviors"]} | {"*": config["DefaultCacheBehavior"]}
    assert there.keys() == here.keys() | {"/t/*/assets/*", "/t/*/out/v1/*"}
    for path, behavior in here.items():
        if behavior.get("deny"):  # at CloudFront: signed, and nobody signs it
            assert there[path]["TrustedKeyGroups"] and there[path]["TargetOriginId"] != "api"
        else:
            assert there[path]["TargetOriginId"] == behavior["origin"]
            assert ("TrustedKeyGroups" in there[path]) == ("trusted_key_group" in behavior)
    for path, behavior in there.items():
        assert ("FunctionAssociations" in behavior) == (path != "*")


def test_without_an_api_everything_takes_a_signature_or_a_token(template: dict[str, Any]) -> None:
    found = settled(template, MADE)["Distribution"]["Properties"]["DistributionConfig"]
    unsigned = [each["PathPattern"] for each in found["CacheBehaviors"] if "TrustedKeyGroups" not in each]
    assert unsigned == ["/t/*/assets/*"]
    assert found["DefaultCacheBehavior"]["TrustedKeyGroups"]


def test_media_have_the_headers_of_the_edge(everything: dict[str, Any]) -> None:
    config = everything["MediaHeaders"]["Properties"]["ResponseHeadersPolicyConfig"]
    security, here = config["SecurityHeadersConfig"], dict(answers.COMMON)
    assert security["ContentSecurityPolicy"]["ContentSecurityPolicy"] == here["content-security-policy"]
    assert security["ReferrerPolicy"]["ReferrerPolicy"] == here["referrer-policy"]
    assert "x-content-type-options" in here and "ContentTypeOptions" in security
    origin = "https://app.example.com"
    cors = dict(answers.CrossOrigin([origin]).preflight(origin))
    there = config["CorsConfig"]
    assert sorted(there["AccessControlAllowHeaders"]["Items"]) == sorted(
        cors["access-control-allow-headers"].split(", ")
    )
    assert there["AccessControlExposeHeaders"]["Items"] == cors["access-control-expose-headers"].split(", ")
    assert there["AccessControlAllowCredentials"] and "*" not in there["AccessControlAllowOrigins"]["Items"]


def test_uploads_have_the_cors_of_one_machine(everything: dict[str, Any]) -> None:
    [rule, _] = everything["SourceBucket"]["Properties"]["CorsConfiguration"]["CorsRules"]
    here = stack.upload_cors([])
    there = {"ExposeHeaders": rule["ExposedHeaders"], "MaxAgeSeconds": rule["MaxAge"]}
    assert here == {"AllowedOrigins": [], **{key: rule[key] for key in ("AllowedMethods", "AllowedHeaders")}, **there}


def test_rules_are_those_of_one_machine(everything: dict[str, Any], description: dict[str, Any]) -> None:
    here = {rule["name"]: rule["pattern"] for rule in description["rules"]}
    uploads = everything["UploadRule"]["Properties"]["EventPattern"]
    here["watchfolder"]["detail"]["bucket"]["name"] = [{"Ref": "SourceBucket"}]
    assert uploads == here["watchfolder"]
    jobs = everything["JobRule"]["Properties"]["EventPattern"]
    assert jobs["detail"].pop("queue") == [{"Fn::GetAtt": ["MediaConvertQueue", "Arn"]}]
    assert jobs == here["publish"]
    assert everything["PackageRule"]["Properties"]["EventPattern"] == here["publish-packages"]
    told = everything["CatalogueRule"]["Properties"]["EventPattern"]["$or"]
    assert told == [here["catalogue-assets"], here["catalogue-jobs"]]


def test_packaging_configurations_are_those_that_publish_makes(everything: dict[str, Any]) -> None:
    here = mediapackage._configurations(configuration.Settings())
    for kind, name in (("dash", "DashConfiguration"), ("cmaf", "CmafConfiguration")):
        [(member, package)] = here[kind].items()
        there = everything[name]["Properties"][member]
        for provider in (each["Encryption"]["SpekeKeyProvider"] for each in (package, there)):
            provider.pop("RoleArn")
            provider.pop("Url")
        assert there == package


def test_the_function_is_the_one_that_is_tested(everything: dict[str, Any]) -> None:
    properties = everything["ViewerRequest"]["Properties"]
    assert properties["FunctionCode"].rstrip() == (FOLDER / "viewer-request.js").read_text().rstrip()
    assert properties["FunctionConfig"]["Runtime"] == "cloudfront-js-2.0"


# ---- The whole


def summary(resources: dict[str, Any]) -> str:
    """Resources and who may do what, for people to read."""
    lines = [f"{name}  {resource['Type']}" for name, resource in sorted(resources.items())]
    for name, role in of_type(resources, "AWS::IAM::Role"):
        lines += [f"{name}  has {written(policy)}" for policy in role.get("ManagedPolicyArns", ())]
    rights = set()
    for name, statement in statements(resources):
        who = written(statement["Principal"].get("Service") if isinstance(statement.get("Principal"), dict) else "")
        for action in listed(statement["Action"]):
            for resource in listed(statement.get("Resource", "(itself)")):
                on = "" if statement["Effect"] == "Allow" else "NOT "
                limited = (
                    " if " + ", ".join(sorted({key for each in statement["Condition"].values() for key in each}))
                    if ("Condition" in statement)
                    else ""
                )
                rights.add(f"{name}: {who + ' ' if who else ''}{on}{action} {written(resource)}{limited}")
    return "\n".join([*lines, "", *sorted(rights)]) + "\n"


@pytest.mark.parametrize("mode", MODES)
def test_each_mode_has_these_parts_and_rights(
    mode: str, template: dict[str, Any], golden: Callable[[str, str], None]
) -> None:
    golden(f"deploy/{mode}.txt", summary(settled(template, MADE | MODES[mode])))


def test_watchfolder_alone_is_two_buckets_one_function_and_one_event(template: dict[str, Any]) -> None:
    found = settled(template, {"CodeBucket": "b", "CodeKey": "k", "Mode": "watchfolder"})
    for kind, count in {
        "S3::Bucket": 2,
        "Lambda::Function": 1,
        "Events::Rule": 1,
        "CloudFront::Distribution": 0,
    }.items():
        assert len(list(of_type(found, f"AWS::{kind}"))) == count, kind


@pytest.mark.parametrize("mode", MODES)
def test_whatever_is_referred_to_is_there(mode: str, template: dict[str, Any]) -> None:
    found = settled(template, MADE | MODES[mode])
    known = found.keys() | template["Parameters"].keys()
    text = json.dumps({name: {**each, "Condition": None} for name, each in found.items()}, default=str)
    named = set(re.findall(r'"Ref": "(\w+)"', text)) | set(re.findall(r'"Fn::GetAtt": \["(\w+)"', text))
    named |= set(re.findall(r"\$\{(\w+)[.}]", re.sub(r'"FunctionCode": "(\\.|[^"\\])*"', "", text)))
    assert named <= known


def test_cfn_lint_has_nothing_to_say(tmp_path: Path) -> None:
    (tmp_path / "template.yaml").write_text(compose())
    program = Path(sys.executable).with_name("cfn-lint")
    done = subprocess.run([program, tmp_path / "template.yaml"], capture_output=True, text=True, timeout=200)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr
