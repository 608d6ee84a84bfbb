"""`penstock deploy`, `status` and `destroy`: what they print and ask. What they do is in `deployment`."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from penstock.deploy import account, bundle
from penstock.deploy.changes import STACK, Change, Step
from penstock.deploy.deployment import Code, Deployment, Proposal
from penstock.deploy.template import compose
from penstock.errors import InvalidRequest
from penstock.showing import printable

Name = Annotated[str, typer.Option("--stack", help="Name of the stack; buckets are named after it.", metavar="NAME")]
Region = Annotated[str | None, typer.Option(help="AWS region.", show_default="as AWS clients find it")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON value, for programs.")]
NAME = "penstock"
_ANEW = {"True": " (made anew)", "Conditional": " (perhaps made anew)"}


def deploy(
    name: Name = NAME,
    region: Region = None,
    watchfolder_only: Annotated[
        bool | None,
        typer.Option(
            "--watchfolder-only/--full", help="Two buckets, one Lambda, one event; or all.", show_default="all"
        ),
    ] = None,
    delivery: Annotated[
        str | None, typer.Option(help="Who packages: direct or mediapackage.", show_default="direct")
    ] = None,
    source_bucket: Annotated[
        str | None, typer.Option(help="Name of the bucket for uploads.", show_default="STACK-source-ACCOUNT-REGION")
    ] = None,
    media_bucket: Annotated[
        str | None, typer.Option(help="Name of the bucket for outputs.", show_default="STACK-media-ACCOUNT-REGION")
    ] = None,
    allowed_origins: Annotated[
        str | None, typer.Option(help="Origins of your pages that upload and play (a,b).", show_default=False)
    ] = None,
    api_origin: Annotated[
        str | None, typer.Option(help="Host name that your Penstock API answers under.", show_default=False)
    ] = None,
    domain: Annotated[
        str | None, typer.Option(help="Host name of your own that viewers use.", show_default=False)
    ] = None,
    certificate: Annotated[
        str | None, typer.Option(help="ARN of its certificate, in us-east-1.", show_default=False)
    ] = None,
    log_retention_days: Annotated[int | None, typer.Option(help="How long logs are kept.", show_default="30")] = None,
    alarm_email: Annotated[str | None, typer.Option(help="Where alarms go.", show_default=False)] = None,
    monthly_budget_usd: Annotated[
        int | None, typer.Option(help="Alarm when the account costs more in a month.", show_default=False)
    ] = None,
    max_job_cost_usd: Annotated[
        float | None, typer.Option(help="Refuse a conversion that would cost more.", show_default=False)
    ] = None,
    master_key: Annotated[
        str | None, typer.Option(help="ARN of the secret with an earlier stack's master key.", show_default=False)
    ] = None,
    yes: Yes = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print the template and what would change.")] = False,
    as_json: AsJson = False,
) -> None:
    """Bring the system into an AWS account, or bring what is there up to date.

    Says what will change, asks, and shows how it goes. What is not said again stays as it was.

    \b
      penstock deploy --dry-run
      penstock deploy --stack penstock
      penstock deploy --watchfolder-only --yes
      penstock deploy --delivery mediapackage --api-origin api.example.com
    """
    said = {
        "Mode": None if watchfolder_only is None else "watchfolder" if watchfolder_only else "full",
        "Delivery": delivery,
        "SourceBucketName": source_bucket,
        "MediaBucketName": media_bucket,
        "AllowedOrigins": allowed_origins,
        "ApiOrigin": api_origin,
        "DomainName": domain,
        "CertificateArn": certificate,
        "LogRetentionDays": log_retention_days,
        "AlarmEmail": alarm_email,
        "MonthlyBudgetUsd": monthly_budget_usd,
        "MaxJobCostUsd": max_job_cost_usd,
        "MasterKeyArn": master_key,
    }
    wanted = {parameter: str(value) for parameter, value in said.items() if value is not None}
    asking = not (yes or dry_run)
    if asking and (as_json or not sys.stdin.isatty()):
        raise InvalidRequest("there is nobody to ask here; say --yes, or --dry-run to see what would change")
    deployment = Deployment(name, account.connect(region))
    _note(f"{name} in account {deployment.account.id}, {deployment.account.region}")
    with tempfile.TemporaryDirectory(prefix="penstock-deploy-") as folder:
        _note("putting the functions' code together")
        proposal = deployment.propose(wanted, _code(Path(folder)), dry_run=dry_run)
    if dry_run:
        deployment.discard(proposal, dry_run=True)
        _show_dry_run(proposal, as_json)
        return
    if proposal.change_set and not as_json:
        _show_changes(proposal.changes)
    if proposal.change_set and asking and not _confirmed("Change it so?"):
        deployment.discard(proposal)
        print("nothing was changed")
        return
    _follow(deployment.carry_out(proposal), len(proposal.changes))
    _show_deployed(deployment, proposal, as_json)


def status(name: Name = NAME, region: Region = None, as_json: AsJson = False) -> None:
    """Show a deployed stack: its state, its addresses, and how much could not be handled.

    \b
      penstock status --stack penstock
      penstock status --json | jq -r .outputs.SourceBucket
    """
    found = Deployment(name, account.connect(region)).status()
    if as_json:
        state = {"stack": name, "status": found.state.status, "reason": found.state.reason}
        print(json.dumps({**state, "outputs": dict(found.state.outputs), "dead_letters": found.dead_letters}))
        return
    print(f"{name}  {found.state.status}{': ' + printable(found.state.reason) if found.state.reason else ''}")
    _show_outputs(found.state.outputs)
    if found.dead_letters:
        print(
            f"{found.dead_letters} events could not be handled; they are in the dead-letter queue, and the logs say why"
        )


def destroy(
    name: Name = NAME,
    region: Region = None,
    delete_media: Annotated[
        bool,
        typer.Option("--delete-media", help="Also delete both buckets with all films, and the master key."),
    ] = False,
    yes: Yes = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go and what would stay.")] = False,
    as_json: AsJson = False,
) -> None:
    """Take the system out of an AWS account again. Films and their master key stay, unless --delete-media is said.

    \b
      penstock destroy --stack penstock --dry-run
      penstock destroy --stack penstock
      penstock destroy --stack penstock --delete-media
    """
    asking = not (yes or dry_run)
    if asking and (as_json or not sys.stdin.isatty()):
        raise InvalidRequest("there is nobody to ask here; say --yes, or --dry-run to see what would go")
    deployment = Deployment(name, account.connect(region))
    media = deployment.media()
    if not as_json:
        print(f"{name} in {deployment.account.region}: the stack goes, with its signing keys and its code")
        for purpose, resource in media.items():
            print(f"{purpose}  {resource}: {'goes' if delete_media else 'stays'}")
    if asking and not _confirmed("Delete it so?"):
        print("nothing was deleted")
        return
    if not dry_run:
        _follow(deployment.remove(delete_media=delete_media), 0)
    if as_json:
        fate = {"deleted" if delete_media else "kept": media}
        print(json.dumps({"stack": name, "status": "would be deleted" if dry_run else "deleted", **fate}))
    elif not dry_run:
        print(f"{name} is gone")


def _confirmed(question: str) -> bool:
    """Ctrl-C is a no: what was made to be shown is then removed as well."""
    try:
        return typer.confirm(question, err=True)
    except typer.Abort:
        return False


def _code(folder: Path) -> Code:
    runtime = bundle.lambda_runtime()
    path = folder / "penstock.zip"
    return Code(path, bundle.build(path, runtime), runtime.name)


def _show_dry_run(proposal: Proposal, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"template": compose(), "changes": [asdict(change) for change in proposal.changes]}))
        return
    print(compose())
    _show_changes(proposal.changes)


def _show_changes(changes: list[Change]) -> None:
    if not changes:
        print("nothing would change")
        return
    table = Table("change", "resource", "type", box=None, pad_edge=False)
    for change in changes:
        table.add_row(change.action + _ANEW.get(change.replacement, ""), change.resource, change.kind)
    console = Console()
    if not console.is_terminal:
        console.width = 200
    console.print(table)


def _show_deployed(deployment: Deployment, proposal: Proposal, as_json: bool) -> None:
    state = deployment.status().state
    if as_json:
        changes = [asdict(change) for change in proposal.changes]
        told = {"stack": deployment.name, "status": state.status, "changes": changes, "outputs": dict(state.outputs)}
        print(json.dumps(told))
        return
    print(f"{deployment.name}  {state.status}" + ("" if proposal.change_set else ", nothing had to change"))
    _show_outputs(state.outputs)
    print("\nnext:")
    for line in next_steps(deployment.name, state.outputs, state.parameters):
        print(f"  {line}")


def next_steps(name: str, outputs: Mapping[str, str], parameters: Mapping[str, str]) -> list[str]:
    """What to do after a deployment, as commands where there are any."""
    steps = [
        f"aws s3 cp film.mov s3://{outputs.get('SourceBucket', '')}/inputs/    starts a conversion",
        f"aws logs tail {outputs.get('WatchfolderLogs', '')} --follow    shows what the watchfolder does",
        f"penstock status --stack {name}    counts what could not be handled",
    ]
    if parameters.get("AlarmEmail"):
        steps.append(f"confirm the subscription that AWS has sent to {printable(parameters['AlarmEmail'])}")
    if parameters.get("DomainName"):
        steps.append(f"point {parameters['DomainName']} at {outputs.get('DistributionDomain', '')}")
    if parameters.get("Mode") == "full" and not parameters.get("ApiOrigin"):
        steps.append("run the API and name it with --api-origin; until then nobody is let in")
    return steps


def _show_outputs(outputs: Mapping[str, str]) -> None:
    width = max(map(len, outputs), default=0)
    for key, value in sorted(outputs.items()):
        print(f"  {key:<{width}}  {printable(value)}")


def _follow(steps: Iterable[Step], total: int) -> None:
    """Show a change as it goes: a bar on a terminal, elsewhere a line for everything that has ended."""
    console = Console(stderr=True)
    try:
        if console.is_terminal:
            _draw(steps, total, console)
        else:
            for step in steps:
                if not step.status.endswith("_IN_PROGRESS"):
                    console.print(Text(_line(step)), soft_wrap=True)
    except KeyboardInterrupt:
        _note("CloudFormation goes on by itself; `penstock status` tells how it ends")
        raise


def _draw(steps: Iterable[Step], total: int, console: Console) -> None:
    columns = TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("", total=total or None)
        for step in steps:
            progress.update(task, description=f"{step.status:<20} {step.resource}"[:70])
            if step.failed:
                progress.console.print(Text(_line(step)), soft_wrap=True)
            elif step.status.endswith("_COMPLETE") and step.kind != STACK:
                progress.advance(task)


def _line(step: Step) -> str:
    return printable(f"{step.status:<22} {step.resource}  {step.kind}{'  ' + step.reason if step.reason else ''}")


def _note(text: str) -> None:
    print(text, file=sys.stderr)
