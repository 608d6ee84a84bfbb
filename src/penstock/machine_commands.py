"""The commands that touch this machine: start a stack or an engine, say where it is, make new keys for it.

Each that starts something becomes that process.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from penstock import settings as settings_module
from penstock.terminal import DATA_DIR, AsJson, DataDir

Database = Annotated[
    str | None,
    typer.Option(
        help="PostgreSQL database of the jobs that engines share.",
        metavar="postgresql://USER@HOST/NAME",
        show_default="PENSTOCK_JOBS_DATABASE_URL",
    ),
]


def up(
    data_dir: DataDir = DATA_DIR,
    port: Annotated[int, typer.Option(help="Port of the edge, the one public door; 0 takes a free one.")] = 8080,
    aws_port: Annotated[int, typer.Option(help="Port of the AWS endpoint; 0 takes a free one.")] = 4566,
    s3_port: Annotated[int, typer.Option(help="Port of the S3 server; 0 takes a free one.")] = 8333,
    url: Annotated[
        str | None, typer.Option(help="Public address, when a proxy stands before the edge.", show_default=False)
    ] = None,
    database: Database = None,
    engines: Annotated[
        int | None, typer.Option(help="With --database: engines to run here.", show_default="1", min=0)
    ] = None,
) -> None:
    """Start everything on this machine and run until Ctrl-C.

    S3, MediaConvert, events, the edge, the API and Studio, all on 127.0.0.1. Everything is kept in the data folder:
    a second start finds it as it was, and deleting the folder removes it.

    \b
      penstock up
      penstock up --data-dir /srv/penstock --port 9000
      penstock up --port 0 --aws-port 0 --s3-port 0     beside another stack
      penstock up --database postgresql://penstock@db/jobs --engines 0     `penstock engine` runs the jobs
    """
    from penstock import stack

    given = {"PENSTOCK_JOBS_DATABASE_URL": database, "PENSTOCK_ENGINES": None if engines is None else str(engines)}
    environ = {**os.environ, **{name: text for name, text in given.items() if text is not None}}
    stack.up(data_dir, stack.Ports(edge=port, aws=aws_port, s3=s3_port), url, environ)


def engine(
    database: Database = None,
    config: Annotated[
        Path | None,
        typer.Option(help="A stack's stack.json, instead of the AWS_ variables.", metavar="FILE", show_default=False),
    ] = None,
    data_dir: Annotated[
        Path, typer.Option("--data-dir", help="Folder for the engine's work.", metavar="FOLDER")
    ] = Path("penstock-engine"),
) -> None:
    """Run MediaConvert jobs of a stack that was started with --database, on this machine or another, until Ctrl-C.

    Any number of engines share one queue. The jobs of one that dies go on at another. An address without a password
    takes it from PGPASSWORD or ~/.pgpass.

    \b
      eval "$(ssh stack penstock env)"
      penstock engine --database postgresql://penstock@db/jobs
      penstock engine --config stack.json
    """
    address = database or settings_module.load().jobs_database_url
    arguments = [sys.executable, "-m", "localaws.engine", "--data-dir", str(data_dir)]
    arguments += ["--config", str(config)] if config else []
    # In the environment, which other users of the machine do not see.
    variables = {name: value for name, value in os.environ.items() if not name.startswith("PENSTOCK_")}
    variables |= {"LOCALAWS_DATABASE_URL": address} if address else {}
    sys.stdout.flush()
    os.execve(sys.executable, arguments, variables)  # noqa: S606 - our own interpreter, no shell


def local(
    data_dir: Annotated[
        Path, typer.Option("--data-dir", help="Folder of the stack.", show_default="./localaws-data", metavar="FOLDER")
    ] = Path("localaws-data"),
    aws_port: Annotated[int, typer.Option(help="Port of the AWS endpoint; 0 takes a free one.")] = 4566,
    s3_port: Annotated[int, typer.Option(help="Port of the S3 server; 0 takes a free one.")] = 8333,
    env: Annotated[bool, typer.Option("--env", help="Print shell exports for AWS clients of it, and end.")] = False,
) -> None:
    """Start the AWS part alone: S3, MediaConvert, MediaPackage VOD and events, for programs of your own.

    \b
      penstock local
      eval "$(penstock local --env)"
      aws mediaconvert list-jobs
    """
    arguments = [sys.executable, "-m", "localaws", "--data-dir", str(data_dir)]
    arguments += ["--env"] if env else ["--aws-port", str(aws_port), "--s3-port", str(s3_port)]
    # What the shell says of some AWS account must not leak into this one.
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PENSTOCK_"))}
    sys.stdout.flush()
    os.execve(sys.executable, arguments, clean)  # noqa: S606 - our own interpreter, no shell


def env(data_dir: DataDir = DATA_DIR, as_json: AsJson = False) -> None:
    """Print the shell exports that point AWS clients, and penstock itself, at the running stack.

    \b
      eval "$(penstock env)"
      aws s3 cp film.mov "s3://$PENSTOCK_SOURCE_BUCKET/inputs/"
      aws mediaconvert list-jobs
    """
    from penstock import stack

    variables = stack.environment(data_dir)
    typer.echo(json.dumps(variables, indent=2) if as_json else stack.exports(variables))


def rotate_keys(data_dir: DataDir = DATA_DIR, as_json: AsJson = False) -> None:
    """Make new signing keys, for cookies, path tokens and licenses; they sign from the next `penstock up` on.

    Sessions that are open go on: the old keys are read until all they have signed has expired.
    """
    from penstock import keyring, stack

    stack.read_description(data_dir)
    made = keyring.rotate(data_dir / "secrets", settings_module.load().key_pair_id)
    typer.echo(json.dumps({"key_pair_id": made}) if as_json else f"{made} signs once the stack is started again")
