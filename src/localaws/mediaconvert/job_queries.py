"""Queries for jobs: filters over what a job is, and the id that stands for a query. Pure.

An id carries its query, so nothing has to be remembered between StartJobsQuery and GetJobsQueryResults.
Source: botocore's model, JobsQueryFilter; the filters must all hold, of the values of one filter any.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from localaws.config import Config
from localaws.mediaconvert.account import arns
from localaws.mediaconvert.account.resources import read_token, token_of
from localaws.mediaconvert.store import Job
from localaws.wire import ServiceError

Json = dict[str, Any]
_MEMBERS = ("FilterList", "MaxResults", "NextToken", "Order")


def to_id(query: Json) -> str:
    return token_of({name: query[name] for name in _MEMBERS if name in query})


def from_id(query_id: str) -> Json:
    """The query that an id stands for. Raises NotFoundException for a text that stands for none."""
    try:
        query = read_token(query_id)
    except ServiceError:
        query = None
    if not isinstance(query, dict) or not _is_query(query):
        raise ServiceError("NotFoundException", f"there is no jobs query {query_id[:64]!r}")
    return query


def _is_query(query: Mapping[str, Any]) -> bool:
    filters = query.get("FilterList") or []
    most = query.get("MaxResults")
    return (
        set(query) <= set(_MEMBERS)
        and isinstance(filters, list)
        and all(isinstance(one, dict) and isinstance(one.get("Values") or [], list) for one in filters)
        and (most is None or (isinstance(most, int) and 1 <= most <= 20))
        and isinstance(query.get("NextToken") or "", str)
    )


def fits(filters: Sequence[Mapping[str, Any]], config: Config, engine_version: str) -> Callable[[Job], bool]:
    """A test of one job against all filters."""

    def test(job: Job) -> bool:
        return all(_holds(one.get("Key"), one.get("Values") or [], job) for one in filters)

    def _holds(key: object, values: Sequence[str], job: Job) -> bool:
        if key == "fileInput":
            return any(value in uri for value in values for uri in input_files(job))
        facts: dict[object, Iterable[Any]] = {
            "queue": [job.queue],
            "status": [job.status],
            "jobEngineVersionRequested": [job.request.get("JobEngineVersion")],
            "jobEngineVersionUsed": [engine_version],
            "audioCodec": _codecs(job, "audio"),
            "videoCodec": _codecs(job, "video"),
            "errorCode": [str(job.error_code)],
        }
        wanted = [arns.queue(config, value) for value in values] if key == "queue" else values
        return any(fact in wanted for fact in facts.get(key, ()))

    return test


def input_files(job: Job) -> list[str]:
    return [one.get("FileInput") or "" for one in job.request["Settings"].get("Inputs") or []]


def _codecs(job: Job, kind: str) -> set[str]:
    outputs = [
        output for group in job.request["Settings"].get("OutputGroups") or [] for output in group.get("Outputs") or []
    ]
    if kind == "video":
        described = [output.get("VideoDescription") or {} for output in outputs]
    else:
        described = [audio for output in outputs for audio in output.get("AudioDescriptions") or []]
    return {codec for one in described if (codec := (one.get("CodecSettings") or {}).get("Codec"))}
