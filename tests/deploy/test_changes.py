"""What CloudFormation tells of a change, as it tells it: steps, rollbacks and their first cause, nothing to change.

The server here speaks CloudFormation's query protocol and answers from a script; boto3 asks it over HTTP.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

import boto3
import pytest

from penstock.deploy.account import Account, connect
from penstock.deploy.changes import Stack, Step, first_failure
from penstock.errors import Conflict, DeployFailed, Forbidden, InvalidRequest

NAMESPACE = "http://cloudformation.amazonaws.com/doc/2010-05-15/"
STACK = "AWS::CloudFormation::Stack"


class Script:
    """Action -> what is answered, one after the other; the last one stays."""

    def __init__(self) -> None:
        self.answers: dict[str, list[str]] = {}
        self.asked: list[str] = []

    def answer(self, action: str) -> str:
        self.asked.append(action)
        waiting = self.answers[action]
        return waiting.pop(0) if len(waiting) > 1 else waiting[0]


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Iterator[Script]:
    script = Script()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            action = parse_qs(body)["Action"][0]
            content = script.answer(action)
            status = 400 if content.startswith("<Error>") else 200
            name = "ErrorResponse" if status == 400 else f"{action}Response"
            inner = content if status == 400 else f"<{action}Result>{content}</{action}Result>"
            raw = f'<{name} xmlns="{NAMESPACE}">{inner}</{name}>'.encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}",
        "AWS_ACCESS_KEY_ID": "AKIAOFTHESTAND",
        "AWS_SECRET_ACCESS_KEY": "secret-of-the-stand",
        "AWS_DEFAULT_REGION": "eu-west-1",
    }.items():
        monkeypatch.setenv(name, value)
    yield script
    server.shutdown()
    server.server_close()
    thread.join(5)


@pytest.fixture
def stack(script: Script) -> Stack:
    session = boto3.Session()
    clients = {name: session.client(name) for name in ("cloudformation", "s3", "secretsmanager", "sqs")}
    account = Account(
        "123456789012", "eu-west-1", clients["cloudformation"], clients["s3"], clients["secretsmanager"], clients["sqs"]
    )
    return Stack("penstock", account, poll_s=0.01)


def described(status: str) -> str:
    return (
        f"<Stacks><member><StackName>penstock</StackName><StackId>arn:aws:cloudformation:stack</StackId>"
        f"<StackStatus>{status}</StackStatus><CreationTime>2026-01-01T00:00:00Z</CreationTime></member></Stacks>"
    )


def events(*steps: tuple[str, str, str, str]) -> str:
    """Newest first, as CloudFormation lists them; steps are given oldest first."""
    members = [
        f"<member><StackId>s</StackId><StackName>penstock</StackName><EventId>{number}</EventId>"
        f"<Timestamp>2026-01-01T00:00:00Z</Timestamp><LogicalResourceId>{resource}</LogicalResourceId>"
        f"<ResourceType>{kind}</ResourceType><ResourceStatus>{status}</ResourceStatus>"
        f"<ResourceStatusReason>{escape(reason)}</ResourceStatusReason></member>"
        for number, (resource, kind, status, reason) in enumerate(steps)
    ]
    return f"<StackEvents>{''.join(reversed(members))}</StackEvents>"


def error(code: str, message: str) -> str:
    return f"<Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>"


ROLLED_BACK = [
    ("penstock", STACK, "REVIEW_IN_PROGRESS", "User Initiated"),
    ("penstock", STACK, "CREATE_IN_PROGRESS", "User Initiated"),
    ("MediaBucket", "AWS::S3::Bucket", "CREATE_IN_PROGRESS", ""),
    ("SpekeApi", "AWS::ApiGateway::RestApi", "CREATE_FAILED", "Resource creation cancelled"),
    ("MediaBucket", "AWS::S3::Bucket", "CREATE_FAILED", "penstock-media already exists"),
    ("penstock", STACK, "ROLLBACK_IN_PROGRESS", "The following resource(s) failed to create: [MediaBucket]."),
    ("penstock", STACK, "ROLLBACK_COMPLETE", ""),
]


def test_rollback_names_the_first_resource_that_failed_by_itself(script: Script, stack: Stack) -> None:
    script.answers = {
        "ExecuteChangeSet": [""],
        "DescribeStacks": [described("CREATE_IN_PROGRESS"), described("ROLLBACK_COMPLETE")],
        "DescribeStackEvents": [events(*ROLLED_BACK[:1]), events(*ROLLED_BACK[:4]), events(*ROLLED_BACK)],
    }
    with pytest.raises(DeployFailed) as caught:
        list(stack.execute("c"))
    assert caught.value.message == (
        "the stack penstock ended as ROLLBACK_COMPLETE, because MediaBucket (AWS::S3::Bucket) failed: "
        "penstock-media already exists"
    )


def test_each_step_is_told_once_and_in_order(script: Script, stack: Stack) -> None:
    steps = [ROLLED_BACK[0], ROLLED_BACK[1], ROLLED_BACK[2], ("MediaBucket", "AWS::S3::Bucket", "CREATE_COMPLETE", "")]
    done = [*steps, ("penstock", STACK, "CREATE_COMPLETE", "")]
    script.answers = {
        "ExecuteChangeSet": [""],
        # The status of before is told once more: that the stack has ended its event says.
        "DescribeStacks": [described("REVIEW_IN_PROGRESS"), described("CREATE_COMPLETE")],
        "DescribeStackEvents": [events(*steps[:1]), events(*steps[:1]), events(*steps[:3]), events(*done)],
    }
    told = [(step.resource, step.status) for step in stack.execute("c")]
    assert told == [
        ("penstock", "CREATE_IN_PROGRESS"),
        ("MediaBucket", "CREATE_IN_PROGRESS"),
        ("MediaBucket", "CREATE_COMPLETE"),
        ("penstock", "CREATE_COMPLETE"),
    ]


def test_deletion_that_fails_names_what_would_not_go(script: Script, stack: Stack) -> None:
    bucket = ("MediaBucket", "AWS::S3::Bucket", "DELETE_FAILED", "The bucket you tried to delete is not empty")
    failed = ("penstock", STACK, "DELETE_FAILED", "The following resource(s) failed to delete: [MediaBucket].")
    script.answers = {
        "DeleteStack": [""],
        "DescribeStacks": [described("CREATE_COMPLETE"), described("DELETE_IN_PROGRESS"), described("DELETE_FAILED")],
        "DescribeStackEvents": [events(*ROLLED_BACK[:1]), events(*ROLLED_BACK[:1], bucket, failed)],
    }
    with pytest.raises(DeployFailed, match=r"MediaBucket.*not empty"):
        list(stack.delete())


@pytest.mark.parametrize(
    "reason",
    [
        "The submitted information didn't contain changes. Submit different information to create a change set.",
        "No updates are to be performed.",
    ],
)
def test_nothing_to_change_is_no_error(reason: str, script: Script, stack: Stack) -> None:
    script.answers = {
        "DescribeStacks": [described("CREATE_COMPLETE")],
        "GetTemplateSummary": ["<Parameters></Parameters>"],
        "CreateChangeSet": ["<Id>arn</Id>"],
        "DescribeChangeSet": [
            "<Status>CREATE_IN_PROGRESS</Status>",
            f"<Status>FAILED</Status><StatusReason>{escape(reason)}</StatusReason>",
        ],
        "DeleteChangeSet": [""],
    }
    assert stack.propose("https://b.s3.eu-west-1.amazonaws.com/t", {}, stack.ready()) is None
    assert script.asked[-1] == "DeleteChangeSet"


def test_change_set_that_cannot_be_made_says_why_and_is_removed(script: Script, stack: Stack) -> None:
    missing = error("ValidationError", "Stack with id penstock does not exist")
    script.answers = {
        "DescribeStacks": [missing],
        "GetTemplateSummary": ["<Parameters></Parameters>"],
        "CreateChangeSet": ["<Id>arn</Id>"],
        "DescribeChangeSet": ["<Status>FAILED</Status><StatusReason>Rule Keys failed</StatusReason>"],
        "DeleteChangeSet": [""],
        "DeleteStack": [""],
    }
    with pytest.raises(DeployFailed, match="Rule Keys failed"):
        stack.propose("https://b.s3.eu-west-1.amazonaws.com/t", {}, stack.ready())
    assert script.asked[-2:] == ["DeleteChangeSet", "DeleteStack"]


def test_stack_that_was_rolled_back_is_removed_before_it_is_made_again(script: Script, stack: Stack) -> None:
    gone = ("penstock", STACK, "DELETE_COMPLETE", "")
    script.answers = {
        "DescribeStacks": [described("ROLLBACK_COMPLETE")] * 2 + [described("DELETE_COMPLETE")],
        "DescribeStackEvents": [events(*ROLLED_BACK), events(*ROLLED_BACK, gone)],
        "DeleteStack": [""],
    }
    assert stack.ready() is None
    assert "DeleteStack" in script.asked
    script.answers["DescribeStacks"] = [described("ROLLBACK_COMPLETE")]
    with pytest.raises(Conflict, match="was rolled back"):
        stack.ready(dry_run=True)


@pytest.mark.parametrize(
    ("status", "advice"), [("UPDATE_IN_PROGRESS", "wait"), ("DELETE_FAILED", "end it with `penstock destroy`")]
)
def test_stack_that_cannot_be_changed_is_left_alone(status: str, advice: str, script: Script, stack: Stack) -> None:
    script.answers = {"DescribeStacks": [described(status)]}
    with pytest.raises(Conflict, match=f"{status}; {advice}"):
        stack.ready()
    assert script.asked == ["DescribeStacks"]


@pytest.mark.parametrize(
    ("code", "kind", "said"),
    [
        ("InvalidClientTokenId", InvalidRequest, "does not accept the credentials"),
        ("ExpiredToken", InvalidRequest, "sign in again"),
        ("AccessDenied", Forbidden, "asking AWS who you are is not allowed to these credentials: no sts for you"),
    ],
)
def test_credentials_that_do_not_do_are_told(code: str, kind: type[Exception], said: str, script: Script) -> None:
    script.answers = {"GetCallerIdentity": [error(code, "no sts for you")]}
    with pytest.raises(kind, match=said):
        connect()


def test_first_failure_without_a_cause_of_its_own_is_the_first() -> None:
    def step(resource: str, status: str, reason: str) -> Step:
        return Step(resource, resource, "AWS::X::Y", status, reason)

    cancelled = step("a", "CREATE_FAILED", "Resource creation cancelled")
    own = step("b", "CREATE_FAILED", "no")
    find: Callable[[list[Step]], Step | None] = first_failure
    assert find([cancelled, own]) is own
    assert find([cancelled]) is cancelled
    assert find([step("c", "CREATE_COMPLETE", "")]) is None
