"""The policy documents that CloudFront signatures are made over: written, read, and matched against a request.

Knows nothing of keys and signatures, see cookies.py.
Source: Amazon CloudFront Developer Guide, "Use a custom policy" and "Use a canned policy".
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from penstock.errors import FormatError, InvalidRequest
from penstock.formats import strictjson

MAX_URL_CHARS = 8192
MAX_POLICY_BYTES = 4096

_MAX_EPOCH_S = 10**11 - 1
_EVERYWHERE = ipaddress.ip_network("0.0.0.0/0")


@dataclass(frozen=True)
class Policy:
    """What one signature allows.

    resource: URL in printable ASCII, at most MAX_URL_CHARS; `*` stands for any characters, `?` for exactly one.
    expires, not_before: seconds since the epoch; allowed while not_before < now < expires.
    source_ip: address or CIDR network of the viewer; None is anywhere.
    Raises InvalidRequest naming the member that cannot be used.
    """

    resource: str
    expires: int
    not_before: int | None = None
    source_ip: str | None = None

    def __post_init__(self) -> None:
        if not is_printable_url(self.resource):
            raise InvalidRequest(f"a policy's resource is printable ASCII of at most {MAX_URL_CHARS} characters")
        for name, moment in (("expires", self.expires), ("not_before", self.not_before)):
            if moment is not None and not 0 < moment <= _MAX_EPOCH_S:
                raise InvalidRequest(f"a policy's {name} is a whole number of seconds since the epoch")
        if self.source_ip is not None:
            _network(self.source_ip)

    def refusal(self, client_ip: str, now: float) -> str | None:
        """Say why a viewer at this address and moment (seconds since the epoch) is not let in; None when it is."""
        if now >= self.expires:
            return "the policy has expired"
        if self.not_before is not None and now <= self.not_before:
            return "the policy is not valid yet"
        if self.source_ip is not None and not _is_inside(client_ip, _network(self.source_ip)):
            return "the policy is for another address"
        return None


def canned(policy: Policy) -> bytes:
    """Write the policy that is never sent, only rebuilt: its order and lack of white space are part of the protocol."""
    return _document(policy.resource, {"DateLessThan": {"AWS:EpochTime": policy.expires}})


def custom(policy: Policy) -> bytes:
    """Write a policy with all its conditions; raises InvalidRequest when it has more than MAX_POLICY_BYTES."""
    condition: dict[str, dict[str, int | str]] = {"DateLessThan": {"AWS:EpochTime": policy.expires}}
    if policy.not_before is not None:
        condition["DateGreaterThan"] = {"AWS:EpochTime": policy.not_before}
    if policy.source_ip is not None:
        condition["IpAddress"] = {"AWS:SourceIp": str(_network(policy.source_ip))}
    document = _document(policy.resource, condition)
    if len(document) > MAX_POLICY_BYTES:
        raise InvalidRequest(f"the policy has {len(document)} bytes, at most {MAX_POLICY_BYTES} are taken")
    return document


def _document(resource: str, condition: Mapping[str, Mapping[str, int | str]]) -> bytes:
    statement = {"Resource": resource, "Condition": condition}
    return json.dumps({"Statement": [statement]}, separators=(",", ":")).encode("ascii")


def read(document: bytes) -> Policy:
    """Read a custom policy: one Statement, known members only, each once.

    Raises FormatError for what is not such a document, InvalidRequest for values that no policy can have.
    """
    root = _members(strictjson.loads(document, max_bytes=MAX_POLICY_BYTES), "the policy", {"Statement"})
    statements = root["Statement"]
    if not isinstance(statements, list) or len(statements) != 1:
        raise FormatError("a policy has exactly one Statement")
    # AWS: without a Resource the policy is for everything that its key guards.
    statement = _members(statements[0], "Statement", {"Condition"}, optional={"Resource"})
    condition = _members(
        statement["Condition"], "Condition", {"DateLessThan"}, optional={"DateGreaterThan", "IpAddress"}
    )
    return Policy(
        resource=_text(statement.get("Resource", "*")),
        expires=_epoch(condition["DateLessThan"]),
        not_before=_epoch(condition["DateGreaterThan"]) if "DateGreaterThan" in condition else None,
        source_ip=_source_ip(condition["IpAddress"]) if "IpAddress" in condition else None,
    )


def _members(value: Any, where: str, required: Collection[str], optional: Collection[str] = ()) -> dict[str, Any]:
    known = {*required, *optional}
    if not isinstance(value, dict) or not value.keys() >= set(required) or not value.keys() <= known:
        wanted = " ".join([*sorted(required), *(f"[{name}]" for name in sorted(optional))])
        raise FormatError(f"{where} is an object with the members {wanted} and no other")
    return value


def _epoch(operand: Any) -> int:
    moment = _members(operand, "a date", {"AWS:EpochTime"})["AWS:EpochTime"]
    if type(moment) is not int:  # True is an int, too
        raise FormatError("AWS:EpochTime is a whole number of seconds since the epoch")
    return moment


def _source_ip(operand: Any) -> str:
    return _text(_members(operand, "IpAddress", {"AWS:SourceIp"})["AWS:SourceIp"])


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise FormatError("Resource and AWS:SourceIp are text")
    return value


def covers(pattern: str, url: str) -> bool:
    """Tell whether a policy's resource stands for `url`, in at most the product of both lengths' time."""
    return _compiled(pattern).fullmatch(url) is not None


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> re.Pattern[str]:
    """Translate wildcards so that no match backtracks over more than one star.

    Between two stars the leftmost hit is as good as any other, so each stretch is found once, in an atomic group, and
    only the last star gives characters back.
    """
    head, *stretches = (re.escape(part).replace(r"\?", ".") for part in re.split(r"\*+", pattern))
    if not stretches:
        return re.compile(head, re.DOTALL)
    *middle, tail = stretches
    return re.compile(head + "".join(f"(?>.*?{stretch})" for stretch in middle) + ".*" + tail, re.DOTALL)


def is_printable_url(text: str) -> bool:
    """Tell whether this can be a URL on the wire: ASCII without control characters, not empty, not endless."""
    return 0 < len(text) <= MAX_URL_CHARS and text.isascii() and text.isprintable()


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError as exc:
        raise InvalidRequest("a policy's source_ip is an address or a network in CIDR form") from exc


def _is_inside(client_ip: str, network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> bool:
    try:
        address = ipaddress.ip_address(client_ip)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    # AWS: 0.0.0.0/0 is every address, whatever its family.
    return network == _EVERYWHERE or (mapped or address) in network
