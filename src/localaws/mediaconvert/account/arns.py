"""ARNs of what MediaConvert keeps: jobs, queues, job templates, presets. Pure.

Source: service authorization reference, "Actions, resources, and condition keys for AWS Elemental MediaConvert".
"""

from __future__ import annotations

from localaws.config import Config

JOBS, QUEUES, TEMPLATES, PRESETS = "jobs", "queues", "jobTemplates", "presets"
DEFAULT_QUEUE = "Default"


def arn(config: Config, kind: str, name: str) -> str:
    return f"arn:aws:mediaconvert:{config.region}:{config.account_id}:{kind}/{name}"


def name_in(kind: str, name_or_arn: str) -> str:
    """The name in an ARN of that kind, whatever account and region it names; any other text is a name already."""
    prefix, found, name = name_or_arn.partition(f":{kind}/")
    return name if found and prefix.startswith("arn:") else name_or_arn


def job(config: Config, job_id: str) -> str:
    return arn(config, JOBS, job_id)


def queue(config: Config, name_or_arn: str | None) -> str:
    """The ARN of a queue given by name, by ARN, or not at all.

    An ARN of another account or region means the queue of the same name here: job files carry their author's.
    """
    return arn(config, QUEUES, name_in(QUEUES, name_or_arn or DEFAULT_QUEUE))
