"""Tags of jobs, queues, job templates and presets, by ARN.

Source: MediaConvert API reference, `tags`; user guide, "Tagging resources": 50 tags, names of 128 characters, values of
256, no name that begins with `aws:`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from localaws.config import Config
from localaws.mediaconvert.account import arns
from localaws.mediaconvert.account.resources import Resources
from localaws.mediaconvert.store import Store
from localaws.wire import ServiceError

Json = dict[str, Any]
MOST_TAGS = 50


def check(tags: Mapping[str, str]) -> None:
    """Raises BadRequestException for tags that AWS would not take."""
    if len(tags) > MOST_TAGS:
        raise ServiceError("BadRequestException", f"tags: at most {MOST_TAGS}, got {len(tags)}")
    for name, value in tags.items():
        if not 0 < len(name) <= 128 or len(value) > 256 or name.lower().startswith("aws:"):
            raise ServiceError(
                "BadRequestException",
                f"tags.{name[:32]}: names have 1 to 128 characters and no aws: prefix, values at most 256",
            )


class Tags:
    """The three operations on tags."""

    def __init__(self, config: Config, resources: Resources, store: Store) -> None:
        self._config = config
        self._resources = resources
        self._store = store

    def list_tags_for_resource(self, params: Json) -> Json:
        arn = self._existing(params["Arn"])
        return {"ResourceTags": {"Arn": arn, "Tags": self._resources.tags(arn)}}

    def tag_resource(self, params: Json) -> Json:
        arn = self._existing(params["Arn"])
        given: dict[str, str] = params["Tags"]
        check(given)

        def add(tags: dict[str, str]) -> dict[str, str]:
            check(tags | given)
            return tags | given

        self._resources.set_tags(arn, add)
        return {}

    def untag_resource(self, params: Json) -> Json:
        gone = set(params.get("TagKeys") or [])
        self._resources.set_tags(
            self._existing(params["Arn"]),
            lambda tags: {name: value for name, value in tags.items() if name not in gone},
        )
        return {}

    def _existing(self, arn: str) -> str:
        for kind in (arns.QUEUES, arns.TEMPLATES, arns.PRESETS, arns.JOBS):
            name = arns.name_in(kind, arn)
            if name != arn and arn == arns.arn(self._config, kind, name):
                found = self._store.get(name) if kind == arns.JOBS else self._resources.get(kind, name)
                if found is not None:
                    return arn
        raise ServiceError("NotFoundException", f"there is no resource {arn[:256]!r}")
