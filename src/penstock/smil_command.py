"""What `penstock smil` prints. Knows how to show, and nothing of manifests."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from penstock import settings, smil
from penstock.errors import InvalidRequest
from penstock.showing import printable


def make(manifest: str, output: str, base: str | None, as_json: bool) -> str:
    """Make a SMIL and say what was made; returns what failed, which is nothing here: problems are raised."""
    if not manifest or not output:
        raise InvalidRequest("say which manifest and which output: penstock smil MANIFEST -o OUT.smil")
    made = smil.make(manifest, output, base=base, s3=_client(manifest, output))
    if as_json:
        print(json.dumps(asdict(made)))  # noqa: T201
        return ""
    for name in made.files:
        print(f"{printable(name)}{'' if name in made.written else ' (was there)'}")  # noqa: T201
    for note in made.notes:
        print(printable(note))  # noqa: T201
    print(printable(made.smil))  # noqa: T201
    return ""


def check(address: str, as_json: bool) -> str:
    """List what MediaPackage would refuse; returns a sentence when there is anything."""
    findings = smil.check(address, s3=_client(address))
    if as_json:
        print(json.dumps({"smil": address, "findings": [asdict(finding) for finding in findings]}))  # noqa: T201
    else:
        for finding in findings:
            print(printable(str(finding)))  # noqa: T201
        if not findings:
            print(f"{printable(address)}: MediaPackage takes it")  # noqa: T201
    count = len(findings)
    return f"{count} reason{'s' if count > 1 else ''} to refuse {address}" if findings else ""


def _client(*addresses: str) -> Any:
    """An S3 client where one is needed, made as everywhere else."""
    if not any(address.startswith("s3://") for address in addresses):
        return None
    return settings.clients().s3
