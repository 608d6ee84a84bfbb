"""`make record`: asks a real account what this project believes of AWS, and keeps the answers under tests/recorded/.

    make record                                      says that there is no account, and what would be asked
    make record ARGS='--list'                        every belief, and those that nothing checks
    make record ARGS='--account 123456789012'        asks the account of your AWS credentials, if it is that one
    make record ARGS='--account 123456789012 --role arn:aws:iam::123456789012:role/MediaConvertRole'

It makes buckets, queues and rules named penstock-record-..., and removes them. Only with --role does it run a
MediaConvert job, of two seconds, which costs some cents. Ends with 1 when a belief does not hold.
"""

from __future__ import annotations

import argparse
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from facts import FACTS, NOT_CHECKED, Fact, NeedsRole, Room

RECORDED = Path(__file__).resolve().parents[1] / "recorded" / "aws"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--account", metavar="ID", help="the account that may be asked")
    parser.add_argument("--role", metavar="ARN", help="role that MediaConvert can take, for the checks that run a job")
    parser.add_argument("--only", action="append", choices=sorted(FACTS), help="ask this alone; can be repeated")
    parser.add_argument("--into", type=Path, default=RECORDED, metavar="FOLDER", help="default: tests/recorded/aws")
    parser.add_argument("--list", action="store_true", help="list what would be asked, and end")
    asked = parser.parse_args(arguments)
    facts = [FACTS[name] for name in asked.only or FACTS]
    if asked.list or not asked.account:
        if not asked.account and not asked.list:
            print("No account was named, so nothing is asked and nothing recorded. With --account ID these would be:")
        for each in facts:
            print(f"  {each.name}: {each.belief}; {each.why}")
        if asked.list:
            for belief, reason in NOT_CHECKED.items():
                print(f"  not checked: {belief}; {reason}")
        return 0
    return _record(boto3.Session(), asked.account, asked.role, facts, asked.into)


def _record(session: boto3.Session, account: str, role: str | None, facts: list[Fact], folder: Path) -> int:
    try:
        found = session.client("sts").get_caller_identity()["Account"]
    except (BotoCoreError, ClientError) as exc:
        print(f"The account cannot be asked ({type(exc).__name__}); check your AWS credentials.", file=sys.stderr)
        return 2
    if found != account:
        print(f"The credentials are those of account {found}, not of {account}; nothing was asked.", file=sys.stderr)
        return 2
    folder.mkdir(parents=True, exist_ok=True)
    return max([_ask(each, session, account, role, folder) for each in facts], default=0)


def _ask(asked: Fact, session: boto3.Session, account: str, role: str | None, folder: Path) -> int:
    room = Room(session, role)
    try:
        with room.undo:
            answer = asked.check(room)
    except NeedsRole:
        print(f"not asked  {asked.name}: runs a job; name a role with --role")
        return 0
    except ClientError as exc:
        print(f"not asked  {asked.name}: AWS refused ({exc.response['Error']['Code']})")
        return 1
    document: dict[str, Any] = {
        "belief": asked.belief,
        "holds": answer.holds,
        "said": answer.said,
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "region": session.region_name,
    }
    text = (
        json.dumps(document, indent=2, ensure_ascii=False).replace(account, "000000000000").replace(room.name, "NAME")
    )
    (folder / f"{asked.name}.json").write_text(text + "\n", encoding="utf-8")
    print(f"{'holds' if answer.holds else 'DOES NOT HOLD'}  {asked.name}: {json.dumps(answer.said)[:300]}")
    return 0 if answer.holds else 1


if __name__ == "__main__":
    sys.exit(main())
