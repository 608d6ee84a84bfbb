"""The MediaPackage VOD operations, all of them. Assets and configurations are made and removed, never changed.

Takes and returns members as botocore's model names them; validation against the model is `wire`'s.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Table

from localaws import durable
from localaws.config import Config
from localaws.media.failures import SettingRefused
from localaws.mediapackage_vod import configurations, notices, store, workflow
from localaws.mediapackage_vod.egress import CDN_MEMBER, Egress
from localaws.mediapackage_vod.engine import Engine
from localaws.mediapackage_vod.store import InUse, Record, Store, Taken
from localaws.wire import ServiceError

Json = dict[str, Any]
MAX_GROUPS = 10
MAX_CONFIGURATIONS = 10
"""Quotas of an account and of a group. Source: AWS, "MediaPackage quotas, VOD"."""
MAX_TAGS = 50

_PAGE = 50
_ID = re.compile(r"[A-Za-z0-9_-]{1,256}")
_SOURCE = re.compile(r"arn:aws:s3:::[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/.{1,1024}", re.DOTALL)
_ROLE = re.compile(r"arn:aws:iam::\d{12}:role/.{1,512}")
_RESOURCE_ID = re.compile(r"[\w-]{1,256}", re.ASCII)


class MediaPackageVod:
    """The provider behind `wire`. Call `start` once DBOS is launched, `stop` before it is destroyed."""

    def __init__(self, config: Config, publish_event: Callable[[Json], None], *, assets_at_once: int = 1) -> None:
        self._config = config
        self._store = Store(config.state_dir / "mediapackage-vod" / "mediapackage-vod.db")
        self._engine = Engine(config, self._store, publish_event)
        self._engine.clean_leftovers()
        self._assets_at_once = assets_at_once
        self.egress = Egress(config, self._store, self._engine.packages)
        workflow.bound.bind(self._engine)

    def start(self) -> None:
        """Go on with the assets that have endpoints left to package."""
        durable.open_queue(workflow.QUEUE_NAME, self._assets_at_once)
        for asset_uid in self._store.unfinished():
            workflow.enqueue(asset_uid)

    def stop(self) -> None:
        self._engine.stop()

    def close(self) -> None:
        workflow.bound.release()
        self._engine.close()
        self._store.close()

    # Packaging groups

    def create_packaging_group(self, params: Json) -> Json:
        self._check_authorization(params.get("Authorization"))
        if len(self._store.page(store.groups, None, 0, MAX_GROUPS)) >= MAX_GROUPS:
            raise _refused(f"an account has at most {MAX_GROUPS} packaging groups")
        values = {"authorization": params.get("Authorization"), "logs": params.get("EgressAccessLogs")}
        return self._group(self._add(store.groups, params, values))

    def describe_packaging_group(self, params: Json) -> Json:
        group = self._existing(store.groups, params["Id"])
        return self._group(group) | {"ApproximateAssetCount": self._store.count_assets(group.id)}

    def list_packaging_groups(self, params: Json) -> Json:
        def shown(group: Record) -> Json:
            return self._group(group) | {"ApproximateAssetCount": self._store.count_assets(group.id)}

        return self._page("PackagingGroups", store.groups, params, shown)

    def update_packaging_group(self, params: Json) -> Json:
        """Authorization is all that may change; without it, it goes."""
        self._check_authorization(params.get("Authorization"))
        changed = self._changed(params["Id"], {"authorization": params.get("Authorization")})
        return changed | {"ApproximateAssetCount": self._store.count_assets(params["Id"])}

    def configure_logs(self, params: Json) -> Json:
        return self._changed(params["Id"], {"logs": params.get("EgressAccessLogs")})

    def delete_packaging_group(self, params: Json) -> Json:
        try:
            if self._store.remove(store.groups, params["Id"]) is None:
                raise _unknown(store.groups, params["Id"])
        except InUse as exc:
            raise _refused("the packaging group has assets or packaging configurations; remove them first") from exc
        return {}

    # Packaging configurations

    def create_packaging_configuration(self, params: Json) -> Json:
        group = self._existing(store.groups, params["PackagingGroupId"])
        try:
            configurations.read(params)
        except SettingRefused as exc:
            raise _refused(str(exc)) from exc
        if len(self._store.page(store.configurations, group.id, 0, MAX_CONFIGURATIONS)) >= MAX_CONFIGURATIONS:
            raise _refused(f"a packaging group has at most {MAX_CONFIGURATIONS} packaging configurations")
        package = {name: params[name] for name in configurations.MEMBERS if params.get(name)}
        made = self._add(store.configurations, params, {"group_id": group.id, "package": package})
        for asset_uid in self._store.unfinished():
            workflow.enqueue(asset_uid)
        return self._configuration(made)

    def describe_packaging_configuration(self, params: Json) -> Json:
        return self._configuration(self._existing(store.configurations, params["Id"]))

    def list_packaging_configurations(self, params: Json) -> Json:
        return self._page("PackagingConfigurations", store.configurations, params, self._configuration)

    def delete_packaging_configuration(self, params: Json) -> Json:
        removed = self._store.remove(store.configurations, params["Id"])
        if removed is None:
            raise _unknown(store.configurations, params["Id"])
        self._engine.forget_configuration(removed.uid)
        return {}

    # Assets

    def create_asset(self, params: Json) -> Json:
        group = self._existing(store.groups, params["PackagingGroupId"])
        source = params["SourceArn"]
        if not _SOURCE.fullmatch(source):
            raise _refused("sourceArn is to be arn:aws:s3:::bucket/key")
        if not source.endswith((".smil", ".m3u8")):
            raise _refused("sourceArn is to name a .smil or a .m3u8 manifest; DASH and files alone are not ingested")
        if not _ROLE.fullmatch(params["SourceRoleArn"]):
            raise _refused("sourceRoleArn is not the ARN of an IAM role")
        resource_id = params.get("ResourceId")
        if resource_id is not None and not _RESOURCE_ID.fullmatch(resource_id):
            raise _refused("resourceId can have letters, digits, _ and -")
        values = {
            "group_id": group.id,
            "source_arn": source,
            "source_role_arn": params["SourceRoleArn"],
            "resource_id": resource_id,
        }
        made = self._add(store.assets, params, values)
        workflow.enqueue(made.uid)
        return self._asset(made)

    def describe_asset(self, params: Json) -> Json:
        return self._asset(self._existing(store.assets, params["Id"]))

    def list_assets(self, params: Json) -> Json:
        return self._page("Assets", store.assets, params, self._asset_alone)

    def delete_asset(self, params: Json) -> Json:
        removed = self._store.remove(store.assets, params["Id"])
        if removed is None:
            raise _unknown(store.assets, params["Id"])
        self._engine.forget(removed.uid)
        return {}

    # Tags

    def list_tags_for_resource(self, params: Json) -> Json:
        return {"Tags": self._tagged(params["ResourceArn"])[1].tags}

    def tag_resource(self, params: Json) -> Json:
        table, found = self._tagged(params["ResourceArn"])
        tags = _checked_tags({**found.tags, **params["Tags"]})
        self._store.change(table, found.id, {"tags": tags})
        return {}

    def untag_resource(self, params: Json) -> Json:
        table, found = self._tagged(params["ResourceArn"])
        kept = {name: value for name, value in found.tags.items() if name not in params["TagKeys"]}
        self._store.change(table, found.id, {"tags": kept})
        return {}

    # Inside

    def _add(self, table: Table, params: Json, values: Mapping[str, Any]) -> Record:
        if not _ID.fullmatch(params["Id"]):
            raise _refused("id can have 1 to 256 letters, digits, _ and -")
        tags = _checked_tags(params.get("Tags") or {})
        try:
            return self._store.add(table, {"id": params["Id"], "tags": tags, **values})
        except Taken as exc:
            raise _refused(f"{_KINDS[table.name]} {params['Id']!r} exists already; it cannot be changed") from exc

    def _existing(self, table: Table, name: str) -> Record:
        found = self._store.get(table, name)
        if found is None:
            raise _unknown(table, name)
        return found

    def _changed(self, name: str, values: Mapping[str, Any]) -> Json:
        changed = self._store.change(store.groups, name, values)
        if changed is None:
            raise _unknown(store.groups, name)
        return self._group(changed)

    def _check_authorization(self, authorization: Json | None) -> None:
        if authorization is None:
            return
        if not _ROLE.fullmatch(authorization["SecretsRoleArn"]):
            raise _refused("authorization.secretsRoleArn is not the ARN of an IAM role")
        if self.egress.secret(authorization) is None:
            raise _refused(
                "authorization.cdnIdentifierSecret names no secret of this stack whose "
                f"{CDN_MEMBER} has 8 to 128 characters"
            )

    def _tagged(self, arn: str) -> tuple[Table, Record]:
        prefix, _, rest = arn.rpartition(":")
        kind, _, name = rest.partition("/")
        table = store.TABLES.get(kind)
        if table is None or f"{prefix}:{rest}" != notices.arn(self._config, kind, name):
            raise ServiceError("NotFoundException", f"{arn[:200]!r} is no resource of this account")
        return table, self._existing(table, name)

    def _page(self, member: str, table: Table, params: Json, shown: Callable[[Record], Json]) -> Json:
        most = params.get("MaxResults") or _PAGE
        found = self._store.page(table, params.get("PackagingGroupId"), _after(params.get("NextToken")), most + 1)
        answer: Json = {member: [shown(row) for row in found[:most]]}
        if len(found) > most:
            answer["NextToken"] = base64.urlsafe_b64encode(str(found[most - 1].sequence).encode()).decode()
        return answer

    def _group(self, group: Record) -> Json:
        shown = {
            "DomainName": self._config.aws_url,
            "Authorization": group.authorization,
            "EgressAccessLogs": group.logs,
        }
        return self._common("packaging-groups", group) | _present(shown)

    def _configuration(self, configuration: Record) -> Json:
        shown = {"PackagingGroupId": configuration.group_id, **configuration.package}
        return self._common("packaging-configurations", configuration) | shown

    def _asset(self, asset: Record) -> Json:
        endpoints = [
            {"PackagingConfigurationId": row.id, "Status": row.status, "Url": self._engine.urls(asset, row)[0]}
            for row in self._store.endpoints(asset.uid)
        ]
        return self._asset_alone(asset) | {"EgressEndpoints": endpoints}

    def _asset_alone(self, asset: Record) -> Json:
        shown = {
            "PackagingGroupId": asset.group_id,
            "ResourceId": asset.resource_id,
            "SourceArn": asset.source_arn,
            "SourceRoleArn": asset.source_role_arn,
        }
        return self._common("assets", asset) | _present(shown)

    def _common(self, kind: str, row: Record) -> Json:
        created = datetime.fromtimestamp(row.created_at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return {"Arn": notices.arn(self._config, kind, row.id), "Id": row.id, "CreatedAt": created, "Tags": row.tags}


_KINDS = {"groups": "packaging group", "configurations": "packaging configuration", "assets": "asset"}


def _refused(message: str) -> ServiceError:
    return ServiceError("UnprocessableEntityException", message)


def _unknown(table: Table, name: str) -> ServiceError:
    return ServiceError("NotFoundException", f"there is no {_KINDS[table.name]} {name[:64]!r}")


def _present(members: Mapping[str, Any]) -> Json:
    return {name: value for name, value in members.items() if value is not None}


def _checked_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Source: AWS, "Tagging resources in MediaPackage": 50 tags, names of 128 characters, values of 256."""
    if len(tags) > MAX_TAGS:
        raise _refused(f"a resource has at most {MAX_TAGS} tags, got {len(tags)}")
    for name, value in tags.items():
        if not 1 <= len(name) <= 128 or len(value) > 256 or name.lower().startswith("aws:"):
            raise _refused(
                f"the tag {name[:32]!r}: names have 1 to 128 characters and no aws: prefix, values at most 256"
            )
    return dict(tags)


def _after(token: str | None) -> int:
    if token is None:
        return 0
    try:
        return int(base64.b64decode(token, altchars=b"-_", validate=True))
    except (ValueError, binascii.Error) as exc:
        raise _refused("nextToken is not one that a list operation gave") from exc
