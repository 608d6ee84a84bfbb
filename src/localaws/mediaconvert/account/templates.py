"""Job templates and presets: kept, listed, and laid under the jobs that name them."""

from __future__ import annotations

from typing import Any

from localaws.config import Config
from localaws.mediaconvert.account import arns, merging, system
from localaws.mediaconvert.account.resources import Collection, Resources

Json = dict[str, Any]


class Templates:
    """The operations on job templates and presets. What their settings say is judged when a job uses them."""

    def __init__(self, config: Config, resources: Resources) -> None:
        self._templates = Collection(config, resources, arns.TEMPLATES, "job template")
        self._presets = Collection(config, resources, arns.PRESETS, "preset")

    def resolved(self, job: Json) -> tuple[Json, Json]:
        """A CreateJob request with its template, and that with its presets too; names of both are checked.

        Raises NotFoundException for a name that is not there.
        """
        if (name := job.get("JobTemplate")) is not None:
            template = self._templates.get(name)
            job = {**merging.with_template(job, template), "JobTemplate": template["Arn"]}
        settings = merging.with_presets(job["Settings"], lambda preset: self._presets.get(preset)["Settings"])
        return job, {**job, "Settings": settings}

    def notes(self, job: Json) -> list[str]:
        """What a job is to be told of the presets that its outputs name."""
        told = []
        for g, group in enumerate(job["Settings"].get("OutputGroups") or []):
            for o, output in enumerate(group.get("Outputs") or []):
                name = arns.name_in(arns.PRESETS, output.get("Preset") or "")
                if name and output.get("ContainerSettings"):
                    path = f"outputGroups[{g}].outputs[{o}].containerSettings"
                    told.append(f"{path} lies over that of the preset; AWS documents either of them, not both")
                if system.resource(arns.PRESETS, name):
                    told.append(f"{name}: what the preset's name says is set; AWS does not publish the rest")
        return list(dict.fromkeys(told))

    # Operations

    def create_job_template(self, params: Json) -> Json:
        return {"JobTemplate": self._templates.create({"Priority": 0, "StatusUpdateInterval": "SECONDS_60", **params})}

    def get_job_template(self, params: Json) -> Json:
        return {"JobTemplate": self._templates.get(params["Name"])}

    def update_job_template(self, params: Json) -> Json:
        return {"JobTemplate": self._templates.update(params)}

    def delete_job_template(self, params: Json) -> Json:
        self._templates.delete(params["Name"])
        return {}

    def list_job_templates(self, params: Json) -> Json:
        found, token = self._templates.page(params)
        return {"JobTemplates": found, "NextToken": token}

    def create_preset(self, params: Json) -> Json:
        return {"Preset": self._presets.create(params)}

    def get_preset(self, params: Json) -> Json:
        return {"Preset": self._presets.get(params["Name"])}

    def update_preset(self, params: Json) -> Json:
        return {"Preset": self._presets.update(params)}

    def delete_preset(self, params: Json) -> Json:
        self._presets.delete(params["Name"])
        return {}

    def list_presets(self, params: Json) -> Json:
        found, token = self._presets.page(params)
        return {"Presets": found, "NextToken": token}
