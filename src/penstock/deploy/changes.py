"""A stack and its change sets in CloudFormation: what is there, what would change, how a change goes on and ends.

Knows nothing of what the stack is for. Nothing happens in the account before `Stack.execute` or `Stack.delete`.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from penstock.deploy.account import Account, asked, code_of
from penstock.errors import Conflict, DeployFailed, NotFound

POLL_S = 3.0
STACK = "AWS::CloudFormation::Stack"
NOTHING_CHANGED = ("didn't contain changes", "No updates are to be performed")
_ECHOES = ("cancelled", "The following resource(s) failed")
"""What CloudFormation says of resources that failed because another one had."""


@dataclass(frozen=True)
class Change:
    """What would happen to one resource. replacement: "True" when it is made anew, "Conditional" when it may be."""

    action: str
    resource: str
    kind: str
    replacement: str


@dataclass(frozen=True)
class Step:
    """An event of a stack: a resource (the stack itself has the stack's name) has come to a status."""

    id: str
    resource: str
    kind: str
    status: str
    reason: str

    @property
    def failed(self) -> bool:
        return self.status.endswith("_FAILED")


@dataclass(frozen=True)
class State:
    status: str
    reason: str
    outputs: Mapping[str, str]
    parameters: Mapping[str, str]


class Stack:
    def __init__(self, name: str, account: Account, *, poll_s: float = POLL_S) -> None:
        self.name = name
        self._cloudformation = account.cloudformation
        self._poll_s = poll_s
        self._id = name
        """Its ARN while it is deleted: afterwards nobody knows the name."""

    def state(self) -> State | None:
        """What the stack is now; None when there is none."""
        try:
            with asked("looking at the stack"):
                [found] = self._cloudformation.describe_stacks(StackName=self._id)["Stacks"]
        except NotFound:
            return None
        return State(
            status=found["StackStatus"],
            reason=found.get("StackStatusReason", ""),
            outputs={each["OutputKey"]: each["OutputValue"] for each in found.get("Outputs", ())},
            parameters={each["ParameterKey"]: each.get("ParameterValue", "") for each in found.get("Parameters", ())},
        )

    def ready(self, *, dry_run: bool = False) -> State | None:
        """The stack, when it can be changed; None when it has to be made.

        A stack whose making was rolled back holds nothing and is removed first, save in a dry run. Raises Conflict
        while it is changing, or when only deleting it can go on.
        """
        state = self.state()
        if state is None or state.status == "REVIEW_IN_PROGRESS":
            return None
        if state.status.endswith("_IN_PROGRESS"):
            raise Conflict(f"the stack {self.name} is {state.status}; wait until that has ended")
        if state.status in ("ROLLBACK_FAILED", "DELETE_FAILED"):
            raise Conflict(f"the stack {self.name} is {state.status}; end it with `penstock destroy`, then deploy anew")
        if state.status != "ROLLBACK_COMPLETE":
            return state
        if dry_run:
            raise Conflict(f"the stack {self.name} was rolled back; `penstock deploy` removes it and makes it anew")
        for _ in self.delete():
            pass
        return None

    def propose(self, template_url: str, parameters: Mapping[str, str], state: State | None) -> str | None:
        """Make a change set and return its name; None when nothing would change.

        Parameters that are not given keep their values. Raises InvalidRequest for what CloudFormation cannot take.
        """
        name = f"penstock-{secrets.token_hex(8)}"
        with asked("making the change set"):
            # An older stack may have parameters that the template has no more.
            summary = self._cloudformation.get_template_summary(TemplateURL=template_url)
            known = {each["ParameterKey"] for each in summary["Parameters"]}
            kept = {key: value for key, value in (state.parameters if state else {}).items() if key in known}
            self._cloudformation.create_change_set(
                StackName=self.name,
                ChangeSetName=name,
                ChangeSetType="UPDATE" if state else "CREATE",
                TemplateURL=template_url,
                Capabilities=["CAPABILITY_IAM"],
                Parameters=[
                    {"ParameterKey": key, "ParameterValue": value} for key, value in {**kept, **parameters}.items()
                ],
                # Resources inherit it. Not "application": by that publish knows a packaging group that it made itself.
                Tags=[{"Key": "penstock:stack", "Value": self.name}],
            )
            while (about := self._described(name))["Status"] in ("CREATE_PENDING", "CREATE_IN_PROGRESS"):
                time.sleep(self._poll_s)
        if about["Status"] != "FAILED":
            return name
        reason = about.get("StatusReason", "no reason given")
        self.discard(name, state)
        if any(sentence in reason for sentence in NOTHING_CHANGED):
            return None
        raise DeployFailed(f"CloudFormation made no change set: {reason}")

    def changes(self, change_set: str) -> list[Change]:
        found: list[Change] = []
        token: dict[str, str] = {}
        with asked("reading the change set"):
            while True:
                page = self._described(change_set, **token)
                for each in page.get("Changes", ()):
                    change = each["ResourceChange"]
                    anew = change.get("Replacement", "False")
                    found.append(Change(change["Action"], change["LogicalResourceId"], change["ResourceType"], anew))
                if not page.get("NextToken"):
                    return found
                token = {"NextToken": page["NextToken"]}

    def discard(self, change_set: str, state: State | None) -> None:
        """Remove a change set, and with it the empty stack that it was to make."""
        with asked("removing the change set"):
            self._cloudformation.delete_change_set(StackName=self.name, ChangeSetName=change_set)
            if state is None:
                self._cloudformation.delete_stack(StackName=self.name)

    def execute(self, change_set: str) -> Iterator[Step]:
        """Carry a change set out and tell each step. Raises DeployFailed naming the first resource that failed.

        What is to be kept when the stack is deleted is not kept when its making is rolled back: it is empty.
        """
        return self._followed(
            "carrying out the change set",
            lambda: self._cloudformation.execute_change_set(
                StackName=self.name, ChangeSetName=change_set, RetainExceptOnCreate=True
            ),
        )

    def delete(self) -> Iterator[Step]:
        """Delete the stack and tell each step. Raises DeployFailed naming the first resource that would not go."""
        with asked("looking at the stack"):
            [found] = self._cloudformation.describe_stacks(StackName=self.name)["Stacks"]
        self._id = found["StackId"]
        try:
            yield from self._followed(
                "deleting the stack", lambda: self._cloudformation.delete_stack(StackName=self._id)
            )
        finally:
            self._id = self.name

    def steps(self) -> Iterator[Step]:
        """The events of the stack, newest first."""
        with asked("reading the stack's events"):
            try:
                for page in self._cloudformation.get_paginator("describe_stack_events").paginate(StackName=self._id):
                    for each in page["StackEvents"]:
                        yield Step(
                            each["EventId"],
                            each["LogicalResourceId"],
                            each.get("ResourceType", ""),
                            each.get("ResourceStatus", ""),
                            each.get("ResourceStatusReason", ""),
                        )
            except ClientError as exc:
                if code_of(exc) != "ValidationError":  # a new stack has none yet, one that is gone none any more
                    raise

    def _followed(self, doing: str, begin: Callable[[], Any]) -> Iterator[Step]:
        seen = {step.id for step in self.steps()}
        told: list[Step] = []
        with asked(doing):
            begin()
        # The stack's own status can still be the one of before; that it has ended its event tells.
        while not (told and self._has_ended(told[-1])):
            gone = (state := self.state()) is None or state.status == "DELETE_COMPLETE"
            for step in reversed([step for step in self.steps() if step.id not in seen]):
                seen.add(step.id)
                told.append(step)
                yield step
            if gone:
                return
            if not (told and self._has_ended(told[-1])):
                time.sleep(self._poll_s)
        last = told[-1]  # the stack's own end
        if "ROLLBACK" in last.status or last.failed:
            raise DeployFailed(_told(last, told))

    def _has_ended(self, step: Step) -> bool:
        return step.kind == STACK and step.resource == self.name and not step.status.endswith("_IN_PROGRESS")

    def _described(self, change_set: str, **more: str) -> dict[str, Any]:
        return dict(self._cloudformation.describe_change_set(StackName=self.name, ChangeSetName=change_set, **more))


def first_failure(steps: Iterable[Step]) -> Step | None:
    """The first of `steps` (oldest first) that failed by itself, and not because another one had."""
    failed = [step for step in steps if step.failed]
    own = [step for step in failed if not any(echo in step.reason for echo in _ECHOES)]
    return next(iter(own or failed), None)


def _told(last: Step, steps: Iterable[Step]) -> str:
    failure = first_failure(steps) or last
    return (
        f"the stack {last.resource} ended as {last.status}, because {failure.resource} ({failure.kind}) failed: "
        f"{failure.reason or 'CloudFormation gives no reason'}"
    )
