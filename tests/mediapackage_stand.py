"""A MediaPackage VOD that takes assets, remembers them and packages nothing; its egress serves one manifest."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from localaws.wire import ServiceError

Json = dict[str, Any]


class RememberingMediaPackage:
    """Endpoints are in `status` until a test says otherwise. As on AWS, nothing can be made twice."""

    def __init__(self) -> None:
        self.base = ""
        self.forget()

    def forget(self) -> None:
        self.groups: dict[str, Json] = {}
        self.configurations: dict[str, Json] = {}
        self.assets: dict[str, Json] = {}
        self.status = "PLAYABLE"
        self.mpd = b""
        self.refusal: ServiceError | None = None

    def create_packaging_group(self, params: Json) -> Json:
        return _add(self.groups, params)

    def describe_packaging_group(self, params: Json) -> Json:
        return _found(self.groups, params)

    def create_packaging_configuration(self, params: Json) -> Json:
        return _add(self.configurations, params)

    def describe_packaging_configuration(self, params: Json) -> Json:
        return _found(self.configurations, params)

    def create_asset(self, params: Json) -> Json:
        if self.refusal:
            raise self.refusal
        return self._shown(_add(self.assets, params))

    def describe_asset(self, params: Json) -> Json:
        return self._shown(_found(self.assets, params))

    def delete_asset(self, params: Json) -> Json:
        _found(self.assets, params)
        del self.assets[params["Id"]]
        return {}

    def route(self) -> Route:
        async def answer(request: Request) -> Response:
            return Response(self.mpd, media_type="application/dash+xml")

        return Route("/out/v1/{path:path}", answer)

    def _shown(self, asset: Json) -> Json:
        ends = {"DashPackage": "mpd", "CmafPackage": "m3u8"}
        endpoints = []
        for number, (name, one) in enumerate(self.configurations.items()):
            end = next(ends[kind] for kind in ends if kind in one)
            url = f"{self.base}/out/v1/{'a' * 32}/{number}/c/index.{end}"
            endpoints.append({"PackagingConfigurationId": name, "Status": self.status, "Url": url})
        return {**asset, "EgressEndpoints": endpoints}


def _add(where: dict[str, Json], params: Json) -> Json:
    if params["Id"] in where:
        raise ServiceError("UnprocessableEntityException", "it exists already")
    where[params["Id"]] = params
    return params


def _found(where: dict[str, Json], params: Json) -> Json:
    if params["Id"] not in where:
        raise ServiceError("NotFoundException", "there is none")
    return where[params["Id"]]
