"""What an account keeps beside its jobs: queues, job templates, presets, tags, the policy. In the jobs' database.

Knows names, times and documents; what a document means is its owner's business.
"""

from __future__ import annotations

import base64
import binascii
import json
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, Column, Engine, Float, MetaData, Row, String, Table, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from localaws.config import Config
from localaws.database import create_tables
from localaws.mediaconvert.account import arns, system
from localaws.wire import ServiceError

Json = dict[str, Any]
Resource = Row[Any]
PAGE = 20
MOST_NAME_CHARACTERS = 256

_metadata = MetaData()
_resources = Table(
    "resources",
    _metadata,
    Column("kind", String(32), primary_key=True),
    Column("name", String(MOST_NAME_CHARACTERS), primary_key=True),
    Column("document", JSON, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
)
_tags = Table("tags", _metadata, Column("arn", String(512), primary_key=True), Column("tags", JSON, nullable=False))


class Resources:
    """Documents by kind and name, tags by ARN. Times are epoch seconds."""

    def __init__(self, database: Engine) -> None:
        self._database = database
        create_tables(database, _metadata)

    def add(self, kind: str, name: str, document: Mapping[str, Any]) -> bool:
        """False when the name is taken."""
        now = time.time()
        row = {"kind": kind, "name": name, "document": dict(document), "created_at": now, "updated_at": now}
        try:
            with self._database.begin() as connection:
                connection.execute(insert(_resources).values(row))
        except IntegrityError:
            return False
        return True

    def get(self, kind: str, name: str) -> Resource | None:
        with self._database.begin() as connection:
            return connection.execute(select(_resources).where(*_is(kind, name))).one_or_none()

    def change(self, kind: str, name: str, members: Mapping[str, Any]) -> bool:
        """Replace members of a document. False when there is none of that name."""
        with self._database.begin() as connection:
            found = connection.execute(select(_resources).where(*_is(kind, name)).with_for_update()).one_or_none()
            if found is None:
                return False
            values = {"document": {**found.document, **members}, "updated_at": time.time()}
            connection.execute(update(_resources).where(*_is(kind, name)).values(values))
            return True

    def remove(self, kind: str, name: str) -> bool:
        with self._database.begin() as connection:
            return bool(connection.execute(delete(_resources).where(*_is(kind, name))).rowcount)

    def all(self, kind: str) -> list[Resource]:
        with self._database.begin() as connection:
            return list(connection.execute(select(_resources).where(_resources.c.kind == kind)).all())

    def tags(self, arn: str) -> dict[str, str]:
        with self._database.begin() as connection:
            found = connection.execute(select(_tags.c.tags).where(_tags.c.arn == arn)).scalar_one_or_none()
        return dict(found or {})

    def set_tags(self, arn: str, change: Callable[[dict[str, str]], dict[str, str]]) -> None:
        """Put what `change` makes of the tags in their place, at once."""
        with self._database.begin() as connection:
            query = select(_tags.c.tags).where(_tags.c.arn == arn).with_for_update()
            found = connection.execute(query).scalar_one_or_none()
            connection.execute(delete(_tags).where(_tags.c.arn == arn))
            if wanted := change(dict(found or {})):
                connection.execute(insert(_tags).values(arn=arn, tags=wanted))


def _is(kind: str, name: str) -> tuple[Any, Any]:
    return _resources.c.kind == kind, _resources.c.name == name


class Collection:
    """Resources of one kind as operations see them: by name or ARN, in pages, refused the way AWS refuses."""

    def __init__(self, config: Config, resources: Resources, kind: str, noun: str) -> None:
        self._config = config
        self._resources = resources
        self._kind = kind
        self._noun = noun

    def create(self, params: Json) -> Json:
        """Keep `params` without Name and Tags. Raises ConflictException for a name that is taken."""
        name = params["Name"]
        if not 0 < len(name) <= MOST_NAME_CHARACTERS or name.startswith("arn:"):
            raise ServiceError("BadRequestException", f"name: 1 to {MOST_NAME_CHARACTERS} characters, and no ARN")
        document = {key: value for key, value in params.items() if key not in ("Name", "Tags")}
        if system.resource(self._kind, name) or not self._resources.add(self._kind, name, document):
            raise ServiceError("ConflictException", f"a {self._noun} named {name!r} exists already")
        if tags := params.get("Tags"):
            self._resources.set_tags(self.arn(name), lambda _: dict(tags))
        return self.get(name)

    def get(self, name_or_arn: str) -> Json:
        return self._system(name_or_arn) or self._shown(self._existing(name_or_arn))

    def update(self, params: Json) -> Json:
        """Replace the members that are given, as a whole each; the others stay as they are."""
        existing = self._existing(params["Name"])
        members = {key: value for key, value in params.items() if key != "Name"}
        self._resources.change(self._kind, existing.name, members)
        return self.get(existing.name)

    def delete(self, name_or_arn: str) -> None:
        name = self._existing(name_or_arn).name
        self._resources.remove(self._kind, name)
        self._resources.set_tags(self.arn(name), lambda _: {})

    def all(self) -> list[Json]:
        return [self._shown(resource) for resource in self._resources.all(self._kind)]

    def page(self, params: Json, *, list_by: str = "NAME") -> tuple[list[Json], str | None]:
        """One page and the token of the next: by NAME or CREATION_DATE, or those of the SYSTEM alone by name."""
        wanted = params.get("ListBy") or list_by
        shown = self.all()
        if wanted == "SYSTEM":
            shown = [one for one in shown if one["Type"] == "SYSTEM"]
            shown += [self.get(name) for name in system.names(self._kind)]
        if category := params.get("Category"):
            shown = [one for one in shown if one.get("Category") == category]

        def place(one: Json) -> list[Any]:
            return [one["CreatedAt"].timestamp() if wanted == "CREATION_DATE" else "", one["Name"]]

        shown.sort(key=place, reverse=params.get("Order") == "DESCENDING")
        if token := params.get("NextToken"):
            last = read_token(token)
            if not isinstance(last, list) or len(last) != 2 or [type(part) for part in last] != _kinds(shown, place):
                raise bad_token()
            descending = params.get("Order") == "DESCENDING"
            shown = [one for one in shown if (place(one) < last if descending else place(one) > last)]
        most = params.get("MaxResults") or PAGE
        token = token_of(place(shown[most - 1])) if len(shown) > most else None
        return shown[:most], token

    def arn(self, name: str) -> str:
        return arns.arn(self._config, self._kind, name)

    def _system(self, name_or_arn: str) -> Json | None:
        found = system.resource(self._kind, arns.name_in(self._kind, name_or_arn))
        if found is None:
            return None
        return {**found, "Arn": self.arn(found["Name"]), "CreatedAt": system.MADE_AT, "LastUpdated": system.MADE_AT}

    def _existing(self, name_or_arn: str) -> Resource:
        """A resource that can be changed. Raises NotFoundException, BadRequestException for one of the system's."""
        if self._system(name_or_arn) is not None:
            raise ServiceError("BadRequestException", f"a system {self._noun} cannot be changed: {name_or_arn[:256]!r}")
        found = self._resources.get(self._kind, arns.name_in(self._kind, name_or_arn))
        if found is None:
            raise ServiceError("NotFoundException", f"there is no {self._noun} {name_or_arn[:256]!r}")
        return found

    def _shown(self, resource: Resource) -> Json:
        return {
            "Type": "CUSTOM",
            **resource.document,
            "Name": resource.name,
            "Arn": self.arn(resource.name),
            "CreatedAt": datetime.fromtimestamp(resource.created_at, UTC),
            "LastUpdated": datetime.fromtimestamp(resource.updated_at, UTC),
        }


def _kinds(shown: Iterable[Json], place: Callable[[Json], list[Any]]) -> list[type]:
    first = next(iter(shown), None)
    return [str, str] if first is None else [type(part) for part in place(first)]


def token_of(value: Any) -> str:
    """A NextToken that says where the next page begins."""
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode()


def read_token(token: str) -> Any:
    """What `token_of` was given. Raises BadRequestException for a text that it never made."""
    try:
        return json.loads(base64.b64decode(token, altchars=b"-_", validate=True))
    except (ValueError, binascii.Error, RecursionError) as exc:
        raise bad_token() from exc


def bad_token() -> ServiceError:
    return ServiceError("BadRequestException", "nextToken: not one that this operation gave")
