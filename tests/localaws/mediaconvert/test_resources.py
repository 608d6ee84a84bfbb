"""Templates, presets, queues, tags, policy and queries, by an unmodified boto3 client and the AWS CLI."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

import mediaconvert_jobs as jobs
from mediaconvert_stack import Stack, running, wait_for
from sample_media import clip

SOURCE = "s3://source/inputs/clip.mp4"
AWS = str(Path(sys.executable).with_name("aws"))
ROLE = "arn:aws:iam::000000000000:role/MediaConvert"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("stack")
    with running(folder / "data") as one:
        one.s3.upload_file(str(clip(folder)), "source", "inputs/clip.mp4")
        yield one


@pytest.fixture
def paused(stack: Stack) -> Iterator[str]:
    """A queue in which jobs wait; emptied and removed afterwards."""
    name = "waiting room"
    stack.mediaconvert.create_queue(Name=name, Status="PAUSED")
    yield name
    for status in ("SUBMITTED", "PROGRESSING"):
        for job in stack.mediaconvert.list_jobs(Queue=name, Status=status)["Jobs"]:
            stack.mediaconvert.cancel_job(Id=job["Id"])
    stack.mediaconvert.delete_queue(Name=name)


def error(call: Any, **params: Any) -> tuple[str, int, str]:
    with pytest.raises(ClientError) as refused:
        call(**params)
    answer = refused.value.response
    return answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Message"]


def film(destination: str, **members: Any) -> dict[str, Any]:
    muxed = {**jobs.video("", container="MP4", Height=90), "AudioDescriptions": [jobs.aac()]}
    return jobs.settings(jobs.file(muxed, destination=f"s3://media/{destination}"), uri=SOURCE, **members)


def template_settings(destination: str) -> dict[str, Any]:
    settings = film(destination)
    del settings["Inputs"][0]["FileInput"]
    return settings


# Templates and presets


def test_a_job_from_a_template_has_the_settings_of_both(stack: Stack) -> None:
    client = stack.mediaconvert
    made = client.create_job_template(
        Name="small film",
        Category="films",
        Settings=template_settings("from-template/film"),
        StatusUpdateInterval="SECONDS_30",
        Priority=7,
        Tags={"team": "a"},
    )["JobTemplate"]
    assert made["Arn"] == "arn:aws:mediaconvert:us-east-1:000000000000:jobTemplates/small film"
    assert made["Type"] == "CUSTOM" and made["Category"] == "films"
    job = stack.submit({"Inputs": [{"FileInput": SOURCE}]}, JobTemplate="small film")
    assert job["JobTemplate"] == made["Arn"]
    assert job["StatusUpdateInterval"] == "SECONDS_30" and job["Priority"] == 7
    assert job["Settings"] == film("from-template/film")
    done = stack.finished(job["Id"])
    assert done["Status"] == "COMPLETE", done
    assert list(stack.objects("from-template/")) == ["from-template/film.mp4"]


def test_what_a_job_says_itself_wins_over_its_template(stack: Stack) -> None:
    stack.mediaconvert.create_job_template(Name="to be changed", Settings=template_settings("unused/film"), Priority=3)
    own = {
        "Inputs": [{"FileInput": SOURCE}],
        "OutputGroups": [
            {
                "OutputGroupSettings": {
                    "Type": "FILE_GROUP_SETTINGS",
                    "FileGroupSettings": {"Destination": "s3://media/changed/film"},
                },
                "Outputs": [],
            }
        ],
    }
    job = stack.submit(own, JobTemplate="to be changed", Priority=-1, Queue="Default")
    assert job["Settings"] == film("changed/film") and job["Priority"] == -1
    assert stack.finished(job["Id"])["Status"] == "COMPLETE"
    assert list(stack.objects("changed/")) == ["changed/film.mp4"]


def test_a_preset_describes_an_output(stack: Stack) -> None:
    settings = film("from-preset/film")
    (output,) = settings["OutputGroups"][0]["Outputs"]
    preset = stack.mediaconvert.create_preset(Name="90p", Settings=output)["Preset"]
    settings["OutputGroups"][0]["Outputs"] = [{"Preset": "90p", "NameModifier": "_small"}]
    job = stack.submit(settings)
    assert job["Settings"] == settings
    assert stack.finished(job["Id"])["Status"] == "COMPLETE"
    assert list(stack.objects("from-preset/")) == ["from-preset/film_small.mp4"]
    # As consoles have exported them: the whole output beside the preset that it began with.
    both = [{"Preset": preset["Arn"], "NameModifier": "_mov", "ContainerSettings": {"Container": "MOV"}}]
    settings["OutputGroups"][0]["Outputs"] = both
    job = stack.finished(stack.submit(settings)["Id"])
    assert job["Status"] == "COMPLETE" and "from-preset/film_mov.mov" in stack.objects("from-preset/")
    assert any("either of them, not both" in told for told in job["Messages"]["Info"])


def test_a_setting_of_a_preset_that_is_not_offered_is_refused_with_the_job(stack: Stack) -> None:
    codec = {"CodecSettings": {"Codec": "XAVC", "XavcSettings": {}}}
    stack.mediaconvert.create_preset(Name="mezzanine", Settings={"VideoDescription": codec})
    settings = film("never")
    settings["OutputGroups"][0]["Outputs"] = [{"Preset": "mezzanine"}]
    _, status, message = error(stack.mediaconvert.create_job, Role=ROLE, Settings=settings)
    assert status == 400 and "outputs[0].videoDescription.codecSettings.codec: XAVC" in message


def test_names_that_are_taken_or_unknown(stack: Stack) -> None:
    client = stack.mediaconvert
    client.create_preset(Name="once", Settings={})
    assert error(client.create_preset, Name="once", Settings={})[:2] == ("ConflictException", 409)
    for call, params in (
        (client.get_preset, {"Name": "none"}),
        (client.get_job_template, {"Name": "none"}),
        (client.get_queue, {"Name": "none"}),
        (client.update_preset, {"Name": "none"}),
        (client.delete_queue, {"Name": "none"}),
        (client.delete_job_template, {"Name": "none"}),
        (client.create_job, {"Role": ROLE, "Settings": film("x"), "JobTemplate": "none"}),
        (client.create_job, {"Role": ROLE, "Settings": film("x"), "Queue": "none"}),
        (client.list_tags_for_resource, {"Arn": "arn:aws:mediaconvert:us-east-1:000000000000:presets/none"}),
        (client.list_tags_for_resource, {"Arn": "none"}),
        (client.get_jobs_query_results, {"Id": "none"}),
    ):
        assert error(call, **params)[:2] == ("NotFoundException", 404), call
    assert error(client.create_preset, Name="", Settings={})[:2] == ("BadRequestException", 400)


def test_updates_replace_what_they_name_and_deletes_forget(stack: Stack) -> None:
    client = stack.mediaconvert
    before = client.create_preset(Name="changing / name", Description="one", Category="c", Settings={})["Preset"]
    after = client.update_preset(Name="changing / name", Description="two")["Preset"]
    assert (after["Description"], after["Category"]) == ("two", "c")
    assert after["CreatedAt"] == before["CreatedAt"] and after["LastUpdated"] >= before["LastUpdated"]
    client.tag_resource(Arn=after["Arn"], Tags={"a": "1"})
    client.delete_preset(Name="changing / name")
    client.create_preset(Name="changing / name", Settings={})
    assert client.list_tags_for_resource(Arn=after["Arn"])["ResourceTags"]["Tags"] == {}


def test_lists_come_in_pages_in_the_order_that_was_asked_for(stack: Stack) -> None:
    client = stack.mediaconvert
    names = [f"page {letter}" for letter in "caebd"]
    for name in names:
        client.create_job_template(Name=name, Category="pages", Settings=template_settings("x"))

    def listed(**params: Any) -> list[str]:
        pages = client.get_paginator("list_job_templates").paginate(
            Category="pages", PaginationConfig={"PageSize": 2}, **params
        )
        return [one["Name"] for page in pages for one in page["JobTemplates"]]

    assert listed() == sorted(names)
    assert listed(Order="DESCENDING") == sorted(names, reverse=True)
    assert listed(ListBy="CREATION_DATE") == names
    assert listed(ListBy="CREATION_DATE", Order="DESCENDING") == names[::-1]
    assert listed(ListBy="SYSTEM") == []  # of this category
    for token in ("nonsense", "WzEsMl0=", "MQ=="):
        assert error(client.list_job_templates, NextToken=token)[:2] == ("BadRequestException", 400)
    assert error(client.list_jobs, NextToken="WzEsMl0=")[:2] == ("BadRequestException", 400)


# Queues


def test_the_default_queue_is_there_and_stays(stack: Stack) -> None:
    client = stack.mediaconvert
    queue = client.get_queue(Name="Default")["Queue"]
    assert queue["Type"] == "SYSTEM" and queue["Status"] == "ACTIVE" and queue["PricingPlan"] == "ON_DEMAND"
    assert queue["Arn"] == "arn:aws:mediaconvert:us-east-1:000000000000:queues/Default"
    assert [one["Name"] for one in client.list_queues()["Queues"]] == ["Default"]
    assert error(client.delete_queue, Name="Default")[:2] == ("BadRequestException", 400)
    reserved = {"Commitment": "ONE_YEAR", "RenewalType": "EXPIRE", "ReservedSlots": 1}
    refused = error(client.create_queue, Name="r", PricingPlan="RESERVED", ReservationPlanSettings=reserved)
    assert refused[:2] == ("BadRequestException", 400) and "reserved queues" in refused[2]


def test_a_paused_queue_starts_nothing_and_then_the_highest_priority_first(stack: Stack, paused: str) -> None:
    client = stack.mediaconvert
    ids = {
        priority: stack.submit(film(f"priority/{priority}"), Queue=paused, Priority=priority)["Id"]
        for priority in (-5, 20, 3)
    }
    # A job of another queue overtakes them all.
    other = stack.submit(film("priority/other"))
    assert stack.finished(other["Id"])["Status"] == "COMPLETE"
    assert {stack.job(job_id)["Status"] for job_id in ids.values()} == {"SUBMITTED"}
    assert client.get_queue(Name=paused)["Queue"]["SubmittedJobsCount"] == 3
    assert error(client.delete_queue, Name=paused)[:2] == ("ConflictException", 409)
    assert [job["Id"] for job in client.list_jobs(Queue=paused)["Jobs"]] == [ids[3], ids[20], ids[-5]]
    client.update_queue(Name=paused, Status="ACTIVE")
    done = {priority: stack.finished(job_id)["Timing"] for priority, job_id in ids.items()}
    assert done[20]["StartTime"] <= done[3]["StartTime"] <= done[-5]["StartTime"]
    order = [stack.events(ids[priority])[0]["detail"]["timestamp"] for priority in (20, 3, -5)]
    assert order == sorted(order) and len(set(order)) == 3


def test_a_paused_queue_survives_a_restart(stack: Stack, paused: str) -> None:
    job_id = stack.submit(film("restart/film"), Queue=paused)["Id"]
    stack.kill_endpoint()
    stack.start_endpoint()
    other = stack.submit(film("restart/other"))
    assert stack.finished(other["Id"])["Status"] == "COMPLETE"
    assert stack.job(job_id)["Status"] == "SUBMITTED"
    stack.mediaconvert.update_queue(Name=paused, Status="ACTIVE")
    assert stack.finished(job_id)["Status"] == "COMPLETE"


def test_hops_are_checked(stack: Stack, paused: str) -> None:
    client = stack.mediaconvert
    for hop, told in (
        ({"WaitMinutes": 0}, "hopDestinations[0].waitMinutes"),
        ({"WaitMinutes": 1, "Queue": paused}, "hopDestinations[0].queue"),
    ):
        code, _, message = error(client.create_job, Role=ROLE, Settings=film("x"), Queue=paused, HopDestinations=[hop])
        assert code == "BadRequestException" and message.startswith(told)
    job = stack.submit(film("x"), Queue=paused, HopDestinations=[{"WaitMinutes": 5, "Priority": 2}])
    assert job["HopDestinations"] == [{"WaitMinutes": 5, "Priority": 2}]


# Tags, policy, versions


def test_tags_are_kept_for_jobs_and_for_resources(stack: Stack) -> None:
    client = stack.mediaconvert
    job = stack.submit(film("tags/film"), Tags={"project": "x"})
    arn = client.get_queue(Name="Default")["Queue"]["Arn"]
    assert client.list_tags_for_resource(Arn=job["Arn"])["ResourceTags"] == {
        "Arn": job["Arn"],
        "Tags": {"project": "x"},
    }
    client.tag_resource(Arn=arn, Tags={"a": "1", "b": "2"})
    client.tag_resource(Arn=arn, Tags={"b": "3"})
    client.untag_resource(Arn=arn, TagKeys=["a", "none"])
    assert client.list_tags_for_resource(Arn=arn)["ResourceTags"]["Tags"] == {"b": "3"}
    for tags in ({"aws:x": "1"}, {"x": "y" * 257}, {str(number): "" for number in range(51)}):
        assert error(client.tag_resource, Arn=arn, Tags=tags)[0] == "BadRequestException"
    stack.finished(job["Id"])


def test_what_the_policy_disallows_is_not_read(stack: Stack) -> None:
    client = stack.mediaconvert
    allowed = {"HttpInputs": "ALLOWED", "HttpsInputs": "ALLOWED", "S3Inputs": "ALLOWED"}
    assert client.get_policy()["Policy"] == allowed
    try:
        answer = client.put_policy(Policy={"S3Inputs": "DISALLOWED"})
        assert answer["Policy"] == client.get_policy()["Policy"] == {**allowed, "S3Inputs": "DISALLOWED"}
        done = stack.finished(stack.submit(film("policy/film"))["Id"])
        assert (done["Status"], done["ErrorCode"]) == ("ERROR", 3457)
        assert "policy" in done["ErrorMessage"] and stack.objects("policy/") == {}
        assert error(client.probe, InputFiles=[{"FileUrl": SOURCE}])[0] == "ForbiddenException"
        client.put_policy(Policy={"HttpInputs": "DISALLOWED"})
        assert client.get_policy()["Policy"] == {**allowed, "HttpInputs": "DISALLOWED"}
    finally:
        client.delete_policy()
    assert client.get_policy()["Policy"] == allowed


def test_versions_and_what_needs_an_account(stack: Stack) -> None:
    client = stack.mediaconvert
    (version,) = client.list_versions()["Versions"]
    assert stack.submit(film("version/film"))["JobEngineVersionUsed"] == version["Version"]
    for call, params in (
        (client.associate_certificate, {"Arn": "arn:aws:acm:us-east-1:000000000000:certificate/x"}),
        (client.disassociate_certificate, {"Arn": "arn:aws:acm:us-east-1:000000000000:certificate/x"}),
        (client.create_resource_share, {"JobId": "x", "SupportCaseId": "y"}),
    ):
        code, status, message = error(call, **params)
        assert (code, status) == ("NotImplementedException", 501)
        assert client.meta.method_to_api_mapping[call.__name__] in message


# Finding jobs


def test_jobs_are_found_by_input_status_and_query(stack: Stack, paused: str) -> None:
    client = stack.mediaconvert
    stack.s3.copy_object(Bucket="source", Key="inputs/other.mp4", CopySource="source/inputs/clip.mp4")
    settings = film("search/film")
    settings["Inputs"][0]["FileInput"] = "s3://source/inputs/other.mp4"
    ids = [stack.submit(settings, Queue=paused)["Id"] for _ in range(3)]
    client.cancel_job(Id=ids[0])

    def found(**params: Any) -> list[str]:
        pages: list[str] = []
        for _ in itertools.count():
            answer = client.search_jobs(MaxResults=1, **params)
            pages += [job["Id"] for job in answer["Jobs"]]
            if "NextToken" not in answer:
                return pages
            params["NextToken"] = answer["NextToken"]
        raise AssertionError

    assert found(InputFile="other.mp4") == ids[::-1]
    assert found(InputFile="other.mp4", Order="ASCENDING") == ids
    assert found(InputFile="other.mp4", Status="CANCELED") == ids[:1]
    assert found(InputFile="inputs/other", Queue=paused, Status="SUBMITTED") == ids[:0:-1]
    assert found(InputFile="nothing") == []
    filters = [
        {"Key": "fileInput", "Values": ["other.mp4"]},
        {"Key": "status", "Values": ["SUBMITTED", "PROGRESSING"]},
        {"Key": "queue", "Values": [paused]},
        {"Key": "videoCodec", "Values": ["H_264"]},
        {"Key": "audioCodec", "Values": ["AAC"]},
    ]
    query = client.start_jobs_query(FilterList=filters, Order="ASCENDING", MaxResults=1)["Id"]
    answer = client.get_jobs_query_results(Id=query)
    assert answer["Status"] == "COMPLETE" and [job["Id"] for job in answer["Jobs"]] == ids[1:2]
    rest = client.start_jobs_query(FilterList=filters, Order="ASCENDING", NextToken=answer["NextToken"])["Id"]
    assert [job["Id"] for job in client.get_jobs_query_results(Id=rest)["Jobs"]] == ids[2:]
    none = client.start_jobs_query(FilterList=[{"Key": "errorCode", "Values": ["1"]}])["Id"]
    assert client.get_jobs_query_results(Id=none)["Jobs"] == []


# The AWS CLI


def test_the_aws_cli_does_the_same(stack: Stack, tmp_path: Path) -> None:
    environment = os.environ | {
        "AWS_ENDPOINT_URL": stack.config.aws_url,
        "AWS_ACCESS_KEY_ID": stack.config.credentials.access_key_id,
        "AWS_SECRET_ACCESS_KEY": stack.config.credentials.secret_access_key,
        "AWS_DEFAULT_REGION": "us-east-1",
    }

    def aws(*arguments: str) -> dict[str, Any]:
        command = [AWS, "mediaconvert", *arguments, "--output", "json"]
        result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
        assert result.returncode == 0, result.stderr
        answer: dict[str, Any] = json.loads(result.stdout or "{}")
        return answer

    file = tmp_path / "template.json"
    file.write_text(json.dumps({"Name": "by cli", "Settings": template_settings("cli/film")}))
    assert aws("create-job-template", "--cli-input-json", f"file://{file}")["JobTemplate"]["Name"] == "by cli"
    assert "by cli" in [one["Name"] for one in aws("list-job-templates")["JobTemplates"]]
    settings = json.dumps({"Inputs": [{"FileInput": SOURCE}]})
    job = aws("create-job", "--role", ROLE, "--job-template", "by cli", "--settings", settings)["Job"]
    wait_for(lambda: aws("get-job", "--id", job["Id"])["Job"]["Status"] == "COMPLETE", 60)
    assert list(stack.objects("cli/")) == ["cli/film.mp4"]
    assert aws("put-policy", "--policy", '{"HttpInputs":"DISALLOWED"}')["Policy"]["HttpInputs"] == "DISALLOWED"
    aws("delete-policy")
    aws("delete-job-template", "--name", "by cli")
