"""The terminal face. It works through `penstock.client`; `machine_commands` is what touches the machine, and
`deploy.commands` what touches an AWS account."""

from __future__ import annotations

import json
import sys
import webbrowser
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from penstock import audit as audits
from penstock import machine_commands as machine
from penstock import showing, webhook_commands
from penstock.client import Client
from penstock.deploy import commands as deployments
from penstock.errors import Conflict, FormatError, InvalidRequest, NotFound, PenstockError
from penstock.model import JsonObject
from penstock.showing import printable, shown
from penstock.terminal import DATA_DIR, AsJson, DataDir, client

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="""Protected video on demand: upload, conversion, encrypted playback.

\b
  penstock up                              start everything on this machine
  penstock upload film.mov --wait          upload a film and see it converted
  penstock play ASSET                      print a watch link
  penstock deploy --dry-run                what the same takes in an AWS account
  penstock COMMAND --help                  what a command does, with examples

Commands find the stack in --data-dir (default ./penstock-data), or at PENSTOCK_URL with PENSTOCK_API_KEY.
Exit status: 0 done, 1 the work failed, 2 wrong use.""",
)
sessions = typer.Typer(no_args_is_help=True, help="Playback sessions: who may watch now.")
app.add_typer(sessions, name="session")
app.add_typer(webhook_commands.app, name="webhooks")

AssetId = Annotated[str, typer.Argument(metavar="ASSET", help="An asset id; `penstock assets` lists them.")]
FAILED, WRONG_USE = 1, 2
ID_CHARS = 36
ROOM_FOR_TIMES = 100
"""Columns that a terminal has where there is room for times beside titles."""

app.command()(machine.up)
app.command(short_help="Start the AWS part alone, for programs of your own.")(machine.local)
app.command(short_help="Run a stack's MediaConvert jobs, here or elsewhere.")(machine.engine)
app.command(short_help="Print what points AWS clients at the stack.")(machine.env)
app.command("rotate-keys", short_help="Make new signing keys; open sessions go on.")(machine.rotate_keys)


@app.command()
def upload(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The film.", exists=True, dir_okay=False)],
    title: Annotated[str | None, typer.Option(help="What viewers see.", show_default="the file name")] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Stay until it is published, or has failed.")] = False,
    data_dir: DataDir = DATA_DIR,
    as_json: AsJson = False,
) -> None:
    """Upload a film; its conversion begins by itself.

    A large upload that was interrupted goes on where it stopped when the same command is run again.

    \b
      penstock upload film.mov
      penstock upload film.mov --title "A film" --wait
      penstock upload film.mov --wait --json | jq -r .asset_id
    """
    with client(data_dir) as server:
        asset = upload_with_progress(server, file, title=title, wait=wait)
        if as_json:
            print(json.dumps({"asset_id": asset["id"], **asset}))
        elif not wait:
            print(f"{asset['id']} is uploaded; `penstock asset {asset['id']}` tells how far it is")
        elif asset["state"] == "published":
            print(f"{asset['id']} is published; `penstock play {asset['id']}` prints a watch link")
    if wait and asset["state"] == "failed":
        raise _Failed(f"{asset['error']['code']}: {asset['error']['message']}")


def upload_with_progress(server: Client, path: Path, *, title: str | None = None, wait: bool = False) -> JsonObject:
    """Upload a file, and with `wait` see it converted, telling on standard error how far it is; returns the asset."""
    with shown(Console(stderr=True), printable(path.name)) as display:
        asset = server.upload(path, title=title, on_progress=display.sent, on_asset=display.asset)
        if wait:
            asset = server.wait(asset["id"], display.converted)
    return asset


@app.command()
def assets(data_dir: DataDir = DATA_DIR, as_json: AsJson = False) -> None:
    """List all assets, newest first."""
    with client(data_dir) as server:
        found = list(server.assets())
    if as_json:
        print(json.dumps(found))
        return
    if not found:
        print("There are no assets yet; `penstock upload FILE` makes one.")
        return
    console = _console()
    with_time = console.width >= ROOM_FOR_TIMES
    table = Table("asset", "state", "title", *(["created"] if with_time else []), box=None, pad_edge=False)
    states = [_state(asset) for asset in found]
    taken = ID_CHARS + max(map(len, states)) + (24 if with_time else 6)
    for asset, state in zip(found, states, strict=True):
        title = Text(printable(asset["title"]))
        title.truncate(max(4, console.width - taken), overflow="ellipsis")
        table.add_row(asset["id"], state, title, *([showing.local_time(asset["created_at"])] if with_time else []))
    console.print(table)


def _console() -> Console:
    console = Console()
    if not console.is_terminal:
        console.width = 400  # for other programs: one line per asset, nothing cut off
    return console


@app.command()
def asset(asset_id: AssetId, data_dir: DataDir = DATA_DIR, as_json: AsJson = False) -> None:
    """Show one asset: its state, and why it failed if it did."""
    with client(data_dir) as server:
        found = server.asset(asset_id)
    if as_json:
        print(json.dumps(found))
        return
    print(f"{found['id']}  {printable(found['title'])}")
    print(f"state     {_state(found)}")
    if found["duration_s"] is not None:
        print(f"duration  {found['duration_s']:.1f} s")
    if found["error"]:
        print(f"error     {found['error']['code']}: {found['error']['message']}")
    for job in found["jobs"]:
        reason = f"  {job['error']['code']}: {job['error']['message']}" if job["error"] else ""
        print(f"job       {job['settings']}  {job['state']}  {job['job_id'] or ''}{reason}")


@app.command()
def play(
    asset_id: AssetId,
    viewer: Annotated[str, typer.Option(help="Who watches; your own name for them.")] = "cli",
    ttl_s: Annotated[
        int | None, typer.Option(help="Life of the link in seconds.", show_default="4 hours", min=1)
    ] = None,
    overlay: Annotated[
        bool | None,
        typer.Option("--overlay/--no-overlay", help="The viewer's name over the picture.", show_default="the setting"),
    ] = None,
    open_it: Annotated[bool, typer.Option("--open", help="Open the link in a browser.")] = False,
    data_dir: DataDir = DATA_DIR,
    as_json: AsJson = False,
) -> None:
    """Open a playback session and print its watch link.

    Whoever has the link can watch until it expires or the session is ended.

    \b
      penstock play ASSET
      penstock play ASSET --viewer user-4711 --overlay --open
      penstock play ASSET --json | jq -r .dash_url
    """
    with client(data_dir) as server:
        session = server.create_playback_session(asset_id, viewer, ttl_s, overlay=overlay)
    print(json.dumps(session) if as_json else session["watch_url"])
    if open_it:
        webbrowser.open(session["watch_url"])


@sessions.command("list")
def list_sessions(
    viewer: Annotated[str, typer.Option(help="Whose sessions; your own name for them.")],
    data_dir: DataDir = DATA_DIR,
    as_json: AsJson = False,
) -> None:
    """List the playback sessions of a viewer, newest first."""
    with client(data_dir) as server:
        found = list(server.playback_sessions(viewer))
    if as_json:
        print(json.dumps(found))
        return
    for each in found:
        until = showing.local_time(each["expires_at"])
        print(f"{each['id']}  {each['state']:<9}  asset {each['asset_id']}  until {until}")
    if not found:
        print(f"{printable(viewer)!r} has no playback sessions; `penstock play ASSET --viewer NAME` opens one.")


@sessions.command("end", short_help="End a session: no license, soon no segment.")
def end_session(
    session_id: Annotated[
        str | None, typer.Argument(metavar="SESSION", help="`id` of a playback session.", show_default=False)
    ] = None,
    viewer: Annotated[str | None, typer.Option(help="End all sessions of this viewer.", show_default=False)] = None,
    data_dir: DataDir = DATA_DIR,
    as_json: AsJson = False,
) -> None:
    """End a playback session: no license from now on, and within seconds no manifest and no segment.

    \b
      penstock session end 5f0c9a0e-8f4b-4f0e-8a55-0b9e6a3c7d0f
      penstock session end --viewer user-4711
    """
    if (session_id is None) == (viewer is None):
        raise InvalidRequest("name either a playback session or a viewer")
    with client(data_dir) as server:
        if session_id is not None:
            server.end_playback_session(session_id)
            print(json.dumps({"session_id": session_id, "state": "ended"}) if as_json else f"{session_id} is ended")
        else:
            ended = server.end_playback_sessions(str(viewer))
            print(json.dumps({"viewer": viewer, "ended": ended}) if as_json else f"{ended} ended")


@app.command(short_help="Try to get an asset's media without the right to it.")
def audit(asset_id: AssetId, data_dir: DataDir = DATA_DIR, as_json: AsJson = False) -> None:
    """Try to get everything an asset has, with no right, wrong rights and a viewer's right; exit 1 if a try succeeds.

    Every object (source, segments, manifests, pictures, captions, markers), folders, the buckets themselves, licenses
    and keys; without any right, with one that has expired, another asset's, an ended session's. Opens sessions of its
    own, of the viewer "penstock-audit", and ends them.

    \b
      penstock audit ASSET
      penstock audit ASSET --json | jq .leaks
    """
    with client(data_dir) as server:
        report = audits.audit(server, asset_id)
    if as_json:
        print(json.dumps(report.as_json()))
    else:
        _show_audit(report)
    if report.leaks:
        raise _Failed(f"{len(report.leaks)} tries got what they should not")


def _show_audit(report: audits.Report) -> None:
    table = Table("with", "tried", "times", "refused", "rightly given", "came out", box=None, pad_edge=False)
    for row in report.rows():
        counts = (row.tried, row.refused, row.rightful or "-", row.came_out or "-")
        table.add_row(row.right, row.kind, *map(str, counts))
    _console().print(table)
    for line in report.notes:
        print(f"note: {line}")
    for leak in report.leaks[:20]:
        print(f"CAME OUT: {printable(leak.address)} ({leak.right}, {leak.got})")
    if not report.leaks:
        print(f"{len(report.tries)} tries, nothing came out")


@app.command(short_help="Delete an asset and everything made of it.")
def delete(
    asset_id: AssetId,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    data_dir: DataDir = DATA_DIR,
    as_json: AsJson = False,
) -> None:
    """Delete an asset with its source and everything that was made of it."""
    with client(data_dir) as server:
        found = server.asset(asset_id)
        if not yes and not as_json and sys.stdin.isatty():
            typer.confirm(f"Delete {printable(found['title'])!r} for good?", abort=True, err=True)
        server.delete_asset(asset_id)
    print(json.dumps({"asset_id": asset_id, "state": "deleted"}) if as_json else f"{asset_id} is deleted")


@app.command(short_help="Make what MediaPackage takes of an MPD or playlist.")
def smil(
    manifest: Annotated[
        str, typer.Argument(metavar="MANIFEST", help="MPD or HLS playlist: a path, s3:// or https address.")
    ] = "",
    output: Annotated[
        str, typer.Option("-o", "--output", metavar="OUT.smil", help="Path or s3:// address.", show_default=False)
    ] = "",
    check: Annotated[
        str, typer.Option("--check", metavar="FILE.smil", help="Only look at a SMIL and its files.", show_default=False)
    ] = "",
    base: Annotated[
        str | None,
        typer.Option(help="Folder that the manifest may name files of.", show_default="the folder it lies in"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make what MediaPackage VOD takes: a SMIL manifest over progressive MP4s, from any MPD or HLS playlist.

    Files that are as MediaPackage wants them are only named; of all others the samples are copied, never encoded, into
    files beside the SMIL. Encrypted sources are refused. With --check, every reason to refuse a SMIL is listed.

    \b
      penstock smil stream/main.mpd -o film.smil
      penstock smil s3://bucket/film/main.m3u8 -o s3://bucket/ready/film.smil
      penstock smil --check film.smil
    """
    from penstock import smil_command

    failed = smil_command.check(check, as_json) if check else smil_command.make(manifest, output, base, as_json)
    if failed:
        raise _Failed(failed)


@app.command(short_help="Estimate what AWS charges for a MediaConvert job.")
def cost(
    job: Annotated[Path, typer.Argument(metavar="JOB.json", help="Job settings, as in jobs/ or exported by AWS.")],
    minutes: Annotated[float, typer.Option(help="Length of the source.", show_default=False)],
    height: Annotated[int, typer.Option(help="Height of the source in pixels, for outputs that follow it.")] = 1080,
    frame_rate: Annotated[float, typer.Option(help="Frames per second of the source, likewise.")] = 30,
    prices: Annotated[
        Path | None, typer.Option(help="Your own price list; see prices.json in the package.", show_default=False)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Estimate what AWS will charge for one MediaConvert job, output by output.

    \b
      penstock cost jobs/hd.json --minutes 60
      penstock cost jobs/uhd.json --minutes 95 --height 2160 --frame-rate 50
    """
    from penstock import cost_command

    print(cost_command.run(job, minutes, height, frame_rate, prices, as_json))


@app.command()
def version(as_json: AsJson = False) -> None:
    """Print the version of penstock."""
    number = installed_version("penstock")
    print(json.dumps({"version": number}) if as_json else number)


app.command(short_help="Bring the system into an AWS account, or up to date.")(deployments.deploy)
app.command(short_help="Show how a deployed stack is.")(deployments.status)
app.command(short_help="Take the system out of an AWS account again.")(deployments.destroy)


class _Failed(Exception):
    """The work was done as asked and did not succeed."""


def _state(asset: JsonObject) -> str:
    return f"{asset['state']} {asset['percent']} %" if asset["percent"] is not None else str(asset["state"])


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line; ends the process with 0, 1 or 2."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        app(arguments, prog_name="penstock")
        sys.exit(0)
    except _Failed as exc:
        _complain(str(exc))
        sys.exit(FAILED)
    except PenstockError as exc:
        if "--json" in arguments:
            print(json.dumps({"error": {"code": exc.code, "message": exc.message}}))
        _complain(exc.message)
        sys.exit(_status(exc, arguments))
    except OSError as exc:  # what is printed may go to a disk that is full
        _complain(f"{exc.filename or 'the output'}: {exc.strerror or exc}")
        sys.exit(FAILED)


def _status(exc: PenstockError, arguments: list[str]) -> int:
    starting = next((argument for argument in arguments if not argument.startswith("-")), "") == "up"
    wrong_use = isinstance(exc, InvalidRequest | FormatError | NotFound) or (starting and isinstance(exc, Conflict))
    return WRONG_USE if wrong_use else FAILED


def _complain(message: str) -> None:
    print(f"penstock: {printable(' '.join(message.split()))}", file=sys.stderr)
