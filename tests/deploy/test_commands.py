"""What `penstock deploy` and `destroy` show: a change as it goes, changes in a table, what to do next."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from penstock.deploy import commands
from penstock.deploy.changes import STACK, Change, Step

STEPS = [
    Step("1", "MediaBucket", "AWS::S3::Bucket", "CREATE_IN_PROGRESS", ""),
    Step("2", "MediaBucket", "AWS::S3::Bucket", "CREATE_COMPLETE", ""),
    Step("3", "Distribution", "AWS::CloudFront::Distribution", "CREATE_FAILED", "no \x1b[31m way"),
    Step("4", "penstock", STACK, "ROLLBACK_COMPLETE", ""),
]


def test_elsewhere_than_on_a_terminal_each_end_has_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    commands._follow(STEPS, 3)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split()[:2] for line in lines] == [
        ["CREATE_COMPLETE", "MediaBucket"],
        ["CREATE_FAILED", "Distribution"],
        ["ROLLBACK_COMPLETE", "penstock"],
    ]
    assert "no" in lines[1] and "\x1b" not in lines[1], "what AWS says must not steer the terminal"


def test_on_a_terminal_a_bar_counts_resources_and_failures_stay_to_be_read() -> None:
    shown = io.StringIO()
    commands._draw(STEPS, 3, Console(file=shown, force_terminal=True, color_system=None, width=100))
    assert "1/3" in shown.getvalue() and "2/3" not in shown.getvalue()
    assert "CREATE_FAILED          Distribution  AWS::CloudFront::Distribution" in shown.getvalue()


def test_the_table_says_what_is_made_anew(capsys: pytest.CaptureFixture[str]) -> None:
    commands._show_changes(
        [Change("Modify", "A", "AWS::X::Y", "True"), Change("Modify", "B", "AWS::X::Y", "Conditional")]
    )
    table = capsys.readouterr().out
    assert "Modify (made anew)" in table and "Modify (perhaps made anew)" in table


def test_next_steps_are_of_this_deployment() -> None:
    outputs = {"SourceBucket": "uploads", "WatchfolderLogs": "log", "DistributionDomain": "d.cloudfront.net"}
    steps = "\n".join(commands.next_steps("film", outputs, {"Mode": "full", "DomainName": "video.example.com"}))
    assert "s3://uploads/inputs/" in steps and "aws logs tail log" in steps and "--stack film" in steps
    assert "point video.example.com at d.cloudfront.net" in steps and "--api-origin" in steps
    small = commands.next_steps("film", outputs, {"Mode": "watchfolder"})
    assert "--api-origin" not in "\n".join(small)
