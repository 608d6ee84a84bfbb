"""An AWS account played by moto's server, on a free port: CloudFormation, S3, SQS, Lambda, IAM, Secrets Manager ...

moto knows not every type of resource that the template has. Those get a stand-in that has a name and attributes and
does nothing, so that the rest of the template is carried out; UNSUPPORTED names them. What else is missing for a
deployment is put in here as well, see `_complete`. boto3 stays as it is.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator, Mapping
from typing import Any

from moto.cloudformation import parsing
from moto.cloudformation.models import CloudFormationBackend
from moto.cloudformation.parsing import get_model_map
from moto.core.common_models import CloudFormationModel
from moto.iam.models import ManagedPolicy, iam_backends
from moto.server import ThreadedMotoServer

REGION, ACCOUNT = "eu-west-1", "123456789012"
UNSUPPORTED = (
    "AWS::ApiGateway::Stage",
    "AWS::Budgets::Budget",
    "AWS::CloudFront::Distribution",
    "AWS::CloudFront::Function",
    "AWS::CloudFront::KeyGroup",
    "AWS::CloudFront::KeyValueStore",
    "AWS::CloudFront::OriginAccessControl",
    "AWS::CloudFront::OriginRequestPolicy",
    "AWS::CloudFront::PublicKey",
    "AWS::CloudFront::ResponseHeadersPolicy",
    "AWS::CloudWatch::Alarm",
    "AWS::Events::ApiDestination",
    "AWS::Events::Connection",
    "AWS::MediaConvert::Queue",
    "AWS::MediaPackage::PackagingConfiguration",
    "AWS::MediaPackage::PackagingGroup",
    "AWS::S3::BucketPolicy",
    "AWS::SQS::QueuePolicy",
    "AWS::SecretsManager::Secret",
)

FIXED = (
    "AWS::ApiGateway::Deployment",
    "AWS::ApiGateway::Method",
    "AWS::ApiGateway::Resource",
    "AWS::ApiGateway::RestApi",
    "AWS::IAM::ManagedPolicy",
    "AWS::Lambda::Permission",
    "AWS::Logs::LogGroup",
)
"""Types that moto can make and not change."""

NOT_PLAYED = (
    "rollback, and events of resources",
    "conditions in change sets, and change sets that are refused because nothing changes",
    "lists among a stack's parameters",
    "public access blocks of buckets, the architecture of functions",
)

SUPPORTED = frozenset(get_model_map())
"""What moto knows, before the stand-ins join it."""


def _stand_in(kind: str) -> type[CloudFormationModel]:
    class StandIn(CloudFormationModel):
        __module__ = "moto_stand.resources"  # moto files its models by the second part of their module

        def __init__(self, name: str) -> None:
            self.name = name

        @property
        def physical_resource_id(self) -> str:
            return self.arn if kind.startswith("AWS::SecretsManager") else f"stand-in-{self.name}"

        @property
        def arn(self) -> str:
            return f"arn:aws:stand-in:{REGION}:{ACCOUNT}:{self.name}"

        @staticmethod
        def cloudformation_name_type() -> str:
            return ""

        @staticmethod
        def cloudformation_type() -> str:
            return kind

        @classmethod
        def has_cfn_attr(cls, attr: str) -> bool:
            return True

        def get_cfn_attribute(self, attribute: str) -> str:
            return self.arn if attribute.lower().endswith("arn") else f"{self.name}.{attribute}".lower()

        @classmethod
        def create_from_cloudformation_json(cls, resource_name: str, *_: Any, **__: Any) -> StandIn:
            return cls(resource_name)

        @classmethod
        def update_from_cloudformation_json(cls, original_resource: StandIn, *_: Any, **__: Any) -> StandIn:
            return original_resource

        @classmethod
        def delete_from_cloudformation_json(cls, *_: Any, **__: Any) -> None:
            return None

        def is_created(self) -> bool:
            return True

    return StandIn


def can_be_changed(kind: str) -> bool:
    return not hasattr(get_model_map()[kind].update_from_cloudformation_json, "__isabstractmethod__")


def _complete() -> None:
    """Give moto what it lacks; doing it twice does no harm."""
    get_model_map().update({kind: _stand_in(kind) for kind in UNSUPPORTED if kind not in SUPPORTED})
    CloudFormationBackend.execute_change_set = _execute_change_set  # type: ignore[method-assign]
    parsing.clean_json = _clean_json
    parsing.parse_and_update_resource = _parse_and_update_resource  # type: ignore[assignment]
    if not DELETES_POLICIES:
        ManagedPolicy.delete = _delete_policy


DELETES_POLICIES = hasattr(ManagedPolicy, "delete")
_executed, _changed = CloudFormationBackend.execute_change_set, parsing.parse_and_update_resource
_cleaned = parsing.clean_json


def _execute_change_set(self: CloudFormationBackend, change_set_name: str, stack_name: str | None = None) -> None:
    """moto forgets the outputs of a template that came by a change set."""
    _executed(self, change_set_name, stack_name)
    change_set = next(each for each in self.change_sets.values() if each.change_set_name == change_set_name)
    stack = self.stacks[change_set.stack_id]
    stack.template_dict = change_set.template_dict
    stack.output_map = stack._create_output_map()


def _clean_json(part: Any, resources: Any) -> Any:
    """moto leaves a hole in a list where AWS::NoValue was."""
    cleaned = _cleaned(part, resources)
    return [each for each in cleaned if each is not None] if isinstance(cleaned, list) else cleaned


def _parse_and_update_resource(logical_id: str, resource_json: dict[str, Any], resources: Any, **where: str) -> Any:
    """moto fails at types that it cannot change; here they stay as they were."""
    kind, before = resource_json["Type"], resources[logical_id]
    if before is None or kind in FIXED:
        return before
    return _changed(logical_id, resource_json, resources, **where)


def _delete_policy(self: ManagedPolicy, account_id: str, region: str) -> None:
    """moto leaves managed policies where they are when their stack goes, and then cannot delete the roles."""
    backend = iam_backends[account_id]["aws"]
    for role in backend.roles.values():
        if self.arn in role.managed_policies:
            backend.detach_role_policy(self.arn, role.name)
    backend.delete_policy(self.arn)


@contextlib.contextmanager
def running() -> Iterator[Mapping[str, str]]:
    """Start the server; gives the environment that points AWS clients at it."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    _complete()
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield {
            "AWS_ENDPOINT_URL": f"http://{host}:{port}",
            "AWS_ACCESS_KEY_ID": "AKIAOFTHESTAND",
            "AWS_SECRET_ACCESS_KEY": "secret-of-the-stand",
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }
    finally:
        server.stop()
