"""The account's input policy: which kinds of addresses jobs may read from. What it disallows ends a job with 3457.

What a policy does not name is allowed.
Source: MediaConvert user guide, "How to allow or disallow input location types".
"""

from __future__ import annotations

from typing import Any

from localaws.mediaconvert.account.resources import Resources

Json = dict[str, Any]
_KIND, _NAME = "policy", "policy"
_MEMBERS = {"s3": "S3Inputs", "http": "HttpInputs", "https": "HttpsInputs"}


class InputPolicy:
    """The operations on the policy, and its answer for one address."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources

    def refusal(self, uri: str) -> str | None:
        """A sentence when the policy disallows inputs from such an address, None when it does not."""
        scheme = uri.partition("://")[0].lower()
        member = _MEMBERS.get(scheme)
        if member is None or self._current().get(member) != "DISALLOWED":
            return None
        return f"the account's input policy disallows {scheme} inputs"

    def _current(self) -> Json:
        found = self._resources.get(_KIND, _NAME)
        return dict(found.document) if found is not None else {}

    # Operations

    def get_policy(self, params: Json) -> Json:
        return {"Policy": dict.fromkeys(_MEMBERS.values(), "ALLOWED") | self._current()}

    def put_policy(self, params: Json) -> Json:
        self._resources.remove(_KIND, _NAME)
        self._resources.add(_KIND, _NAME, params["Policy"])
        return self.get_policy({})

    def delete_policy(self, params: Json) -> Json:
        self._resources.remove(_KIND, _NAME)
        return {}
