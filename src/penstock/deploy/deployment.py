"""Bringing the system into an AWS account, looking after it there, and taking it away again.

Puts together what the other modules of this folder can do. Never prints and never asks: whoever calls does that between
`propose` and `carry_out`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from penstock.deploy import artifacts, signing
from penstock.deploy.account import Account, asked
from penstock.deploy.artifacts import Artifacts
from penstock.deploy.changes import POLL_S, Change, Stack, State, Step
from penstock.deploy.template import compose
from penstock.errors import Conflict, DeployFailed, InvalidRequest, NotFound, PenstockError

NAME = re.compile(r"[a-z][a-z0-9-]{0,23}[a-z0-9]")
"""Buckets are named after the stack, the account and the region, in 63 characters altogether."""
BUCKETS = {"SourceBucketName": "source", "MediaBucketName": "media"}


@dataclass(frozen=True)
class Code:
    """The functions' zip. runtime: the Python it was built for, as Lambda names it."""

    path: Path
    digest: str
    runtime: str


@dataclass(frozen=True)
class Proposal:
    """What would change. change_set is None when nothing would; state is None for a stack that is to be made."""

    change_set: str | None
    changes: list[Change]
    state: State | None


@dataclass(frozen=True)
class Status:
    state: State
    dead_letters: int
    """Events that could not be handled."""


class Deployment:
    def __init__(self, name: str, account: Account, *, poll_s: float = POLL_S) -> None:
        """Raises InvalidRequest for a name that buckets cannot be named after."""
        if not NAME.fullmatch(name):
            raise InvalidRequest(
                f"{name!r} cannot name a stack here, because buckets are named after it: 2 to 25 lower-case letters, "
                "digits and hyphens are needed, the first a letter"
            )
        self.name = name
        self.account = account
        self.stack = Stack(name, account, poll_s=poll_s)
        self.artifacts = Artifacts(account, name)

    def propose(self, wanted: Mapping[str, str], code: Code, *, dry_run: bool = False) -> Proposal:
        """Make a change set. wanted: parameters of the template; what is not named keeps its value.

        Nothing of the stack changes yet. A dry run makes no keys and uploads the template alone. Raises Conflict when a
        bucket's name is taken or the stack is changing.
        """
        state = self.stack.ready(dry_run=dry_run)
        parameters = dict(wanted) | {"CodeBucket": self.artifacts.bucket, "Runtime": code.runtime}
        parameters["CodeKey"] = artifacts.code_key(code.digest)
        if state is None:
            self._refuse_taken(parameters)
        made = self.artifacts.ensure()
        try:
            self.artifacts.remove_key_values()
            if not dry_run:
                self.artifacts.put_code(code.path, code.digest)
            before = state.parameters if state else {}
            if {**before, **parameters}.get("Mode", "full") == "full":
                parameters |= self._keys(before, dry_run=dry_run)
            change_set = self.stack.propose(self.artifacts.put_template(compose()), parameters, state)
            changes = self.stack.changes(change_set) if change_set else []
        except PenstockError:
            self._tidy(bucket=made)
            raise
        if not change_set:
            self._tidy()
        return Proposal(change_set, changes, state)

    def carry_out(self, proposal: Proposal) -> Iterator[Step]:
        """Change the stack, and tell each step. Raises DeployFailed naming the first resource that failed.

        Whoever stops listening stops nothing: CloudFormation goes on, and still needs the first key values.
        """
        if proposal.change_set is None:
            return
        try:
            yield from self.stack.execute(proposal.change_set)
        except DeployFailed:
            self._tidy()
            raise
        self._tidy()

    def discard(self, proposal: Proposal, *, dry_run: bool = False) -> None:
        """Leave everything as it was before the proposal; keys and code that were made stay for the next one."""
        if proposal.change_set:
            self.stack.discard(proposal.change_set, proposal.state)
        self._tidy(bucket=dry_run and proposal.state is None)

    def status(self) -> Status:
        """Raises NotFound when there is no such stack."""
        state = self.stack.state()
        if state is None:
            raise NotFound(f"there is no stack {self.name} in {self.account.region}; `penstock deploy` makes one")
        queue = state.outputs.get("DeadLetterQueue")
        if not queue:
            return Status(state, 0)
        with asked("counting what could not be handled"):
            wanted = ["ApproximateNumberOfMessages"]
            found = self.account.sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=wanted)
        return Status(state, int(found["Attributes"][wanted[0]]))

    def media(self) -> dict[str, str]:
        """What outlives the stack unless told otherwise: buckets, and the master key unless it is another stack's.

        Where only keys or code are left of a stack, nothing is known of its media. Raises NotFound without any.
        """
        state = self.stack.state()
        if state is None and not self._has_leftovers():
            raise NotFound(f"there is no stack {self.name} in {self.account.region}")
        if state is None:
            return {}
        names = ["SourceBucket", "MediaBucket", *([] if state.parameters.get("MasterKeyArn") else ["MasterKey"])]
        return {name: state.outputs[name] for name in names if name in state.outputs}

    def remove(self, *, delete_media: bool = False) -> Iterator[Step]:
        """Delete the stack and what was made for it, and tell each step.

        Buckets and master key stay, unless `delete_media`: then the buckets go with all that is in them, and the master
        key after the days in which it can be called back. Raises NotFound when there is nothing of that name.
        """
        media = self.media()
        if self.stack.state() is not None:
            yield from self.stack.delete()
            if delete_media:
                self._delete_media(media)
        signing.remove(self.name, self.account)
        self.artifacts.remove_all()

    def _refuse_taken(self, parameters: Mapping[str, str]) -> None:
        """CloudFormation would find out as well, minutes later."""
        for parameter, purpose in BUCKETS.items():
            bucket = parameters.get(parameter) or f"{self.name}-{purpose}-{self.account.id}-{self.account.region}"
            with asked(f"looking for the bucket {bucket}"):
                if artifacts.there(bucket, self.account):
                    raise Conflict(
                        f"the bucket {bucket} is in this account already, perhaps kept from a stack that was "
                        f"destroyed; a new stack cannot take it over: choose another name with --{purpose}-bucket"
                    )

    def _keys(self, before: Mapping[str, str], *, dry_run: bool) -> dict[str, str]:
        """The parameters that name the signing keys, and where the key value store gets its first content.

        before: the parameters of the stack as it is. CloudFront reads that content once, when the store is made.
        """
        if dry_run and not before.get("SigningKeys") and not signing.exist(self.name, self.account):
            return dict.fromkeys(("ViewerPublicKey", "SigningKeys", "KeyValueSource"), "made by penstock deploy")
        keys = signing.ensure(self.name, self.account, make=not before.get("SigningKeys"))
        named = {"ViewerPublicKey": keys.public_key, "SigningKeys": keys.arn}
        if before.get("KeyValueSource"):
            return named
        key = "made by penstock deploy" if dry_run else self.artifacts.put_key_values(keys.key_values)
        return named | {"KeyValueSource": f"arn:aws:s3:::{self.artifacts.bucket}/{key}"}

    def _tidy(self, *, bucket: bool = False) -> None:
        """Remove what nothing needs any more and holds a key; with `bucket` the code and the template as well."""
        if bucket:
            self.artifacts.remove_all()
        else:
            self.artifacts.remove_key_values()

    def _has_leftovers(self) -> bool:
        with asked(f"looking for the bucket {self.artifacts.bucket}"):
            if artifacts.there(self.artifacts.bucket, self.account):
                return True
        return signing.exist(self.name, self.account)

    def _delete_media(self, media: Mapping[str, str]) -> None:
        for name in ("SourceBucket", "MediaBucket"):
            if bucket := media.get(name):
                with asked(f"removing the bucket {bucket}"):
                    artifacts.empty_and_remove(bucket, self.account)
        if master := media.get("MasterKey"):
            signing.delete(master, self.account)
