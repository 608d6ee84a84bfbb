"""The commands as processes: what they print, where, and how they end."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from api_parts import API_KEY, Api, free_port, until
from penstock.cli import app
from penstock.formats.events import AssetEvent
from penstock.showing import printable, shortened

PENSTOCK = str(Path(sys.executable).with_name("penstock"))
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def environ(api: Api, tmp_path: Path) -> dict[str, str]:
    keep = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PENSTOCK_"))}
    return keep | {"PENSTOCK_URL": api.url, "PENSTOCK_API_KEY": API_KEY, "HOME": str(tmp_path)}


@pytest.fixture
def run(environ: dict[str, str], tmp_path: Path) -> Run:
    def call(*arguments: str, status: int = 0, **env: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [PENSTOCK, *arguments], env=environ | env, cwd=tmp_path, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == status, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done

    return call


@pytest.fixture
def film(tmp_path: Path) -> Path:
    path = tmp_path / "a film.mp4"
    path.write_bytes(b"x" * 10_000)
    return path


@pytest.fixture
def converter(api: Api) -> Iterator[dict[str, str]]:
    """Ends every conversion as `how` says, in the place of watchfolder and encoder."""
    how = {"end": "Published"}
    stop = threading.Event()

    def work() -> None:
        while not stop.wait(0.05):
            for entry in api.context.catalogue.page(10)[0]:
                if entry.asset.state.value == "converting" and not entry.jobs:
                    tell(api, "Converting", entry.asset.id)
                    api.context.catalogue.progress(entry.asset.id, "j", 55, packaging=False)
                    end = {"code": "source_rejected", "message": "The file has no video track."}
                    tell(api, how["end"], entry.asset.id, dash="assets/a/a.mpd", **end)

    thread = threading.Thread(target=work)
    thread.start()
    yield how
    stop.set()
    thread.join()


def tell(api: Api, kind: str, asset_id: str, **detail: str) -> None:
    detail = {"assetId": asset_id, "settings": "default", "jobId": "j", **detail}
    api.context.catalogue.apply(AssetEvent(f"Asset {kind}", detail, str(uuid.uuid4())))  # type: ignore[arg-type]


def test_upload_and_wait_prints_one_json_object_and_lines_of_progress(
    run: Run, film: Path, converter: dict[str, str]
) -> None:
    done = run("upload", str(film), "--title", "A film", "--wait", "--json")
    printed = json.loads(done.stdout)
    assert printed["asset_id"] == printed["id"]
    assert (printed["state"], printed["title"]) == ("published", "A film")
    assert "uploading a film.mp4: 100 %" in done.stderr
    assert "published" in done.stderr


def test_failed_conversion_ends_with_1_and_says_why(run: Run, film: Path, converter: dict[str, str]) -> None:
    converter["end"] = "Failed"
    done = run("upload", str(film), "--wait", "--json", status=1)
    assert json.loads(done.stdout)["state"] == "failed"
    assert json.loads(done.stdout)["error"]["code"] == "source_rejected"
    assert "source_rejected: The file has no video track." in done.stderr


def test_upload_without_wait_says_how_to_look(run: Run, film: Path) -> None:
    done = run("upload", str(film))
    asset_id = done.stdout.split()[0]
    assert f"penstock asset {asset_id}" in done.stdout
    assert "converting" in run("asset", asset_id).stdout


def _on_terminal(columns: int, environ: dict[str, str], *arguments: str) -> str:
    """What a command writes on a terminal of that width, standard output and error in one."""
    ours, theirs = pty.openpty()
    terminal = {"TERM": "xterm", "COLUMNS": str(columns)}
    with subprocess.Popen([PENSTOCK, *arguments], env=environ | terminal, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        shown = b""
        try:
            while piece := os.read(ours, 65536):
                shown += piece
        except OSError:
            pass  # the other end of a pseudo-terminal is closed like this
    os.close(ours)
    assert process.returncode == 0, shown
    return shown.decode()


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_terminal_gets_bars_that_have_room(
    columns: int, environ: dict[str, str], tmp_path: Path, converter: dict[str, str]
) -> None:
    film = tmp_path / "a film whose name is longer than a terminal is wide, and it still goes on.mp4"
    film.write_bytes(b"x" * 10_000)
    text = _on_terminal(columns, environ, "upload", str(film), "--wait")
    lines = [
        line for line in re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text).replace("\r", "\n").split("\n") if "━" in line
    ]
    assert {line.count("━") for line in lines} == {20}
    assert max(map(len, lines)) <= columns
    assert any("a film" in line and "100%" in line for line in lines)
    assert "is published" in text


def test_assets_fit_a_narrow_terminal_and_their_ids_are_whole(environ: dict[str, str], api: Api) -> None:
    asset_id = api.asset(title="a title that is longer than sixty columns have room for")["asset"]["id"]
    text = _on_terminal(60, environ, "assets")
    (line,) = [line for line in text.splitlines() if asset_id in line]
    assert "waiting" in line
    assert "a ti" in line
    assert "…" in line
    assert len(line.rstrip()) <= 60


def test_play_prints_a_watch_link_and_nothing_else(run: Run, api: Api) -> None:
    asset_id = api.asset()["asset"]["id"]
    assert "waiting" in run("play", asset_id, status=1).stderr
    tell(api, "Published", asset_id, dash="assets/a/a.mpd")
    link = run("play", asset_id).stdout.strip()
    assert link.startswith(f"{api.url}/watch/")
    session = json.loads(run("play", asset_id, "--viewer", "ada", "--ttl-s", "60", "--json").stdout)
    assert session["viewer"] == "ada"
    assert json.loads(run("session", "end", session["id"], "--json").stdout)["state"] == "ended"
    assert run("session", "end", session["id"]).stdout == f"{session['id']} is ended\n"


def test_assets_are_listed_one_a_line(run: Run, api: Api) -> None:
    assert "no assets yet" in run("assets").stdout
    for name in ("a.mp4", "[red]b[/red].mp4", "c\x1b[31m\n\u202ed.mp4"):
        api.asset(name)
    printed = run("assets").stdout
    assert len(printed.splitlines()) == 4
    assert "[red]b[/red].mp4" in printed
    assert "\x1b" not in printed
    assert "\u202e" not in printed
    assert len(json.loads(run("assets", "--json").stdout)) == 3


def test_asset_tells_why_it_failed(run: Run, api: Api) -> None:
    asset_id = api.asset()["asset"]["id"]
    tell(api, "Failed", asset_id, code="encode_failed", message="The encoder ended.")
    assert "encode_failed: The encoder ended." in run("asset", asset_id).stdout
    assert json.loads(run("asset", asset_id, "--json").stdout)["state"] == "failed"


def test_delete(run: Run, api: Api) -> None:
    asset_id = api.asset()["asset"]["id"]
    assert "is deleted" in run("delete", asset_id, "--yes").stdout
    assert "no asset" in run("delete", asset_id, "--yes", status=2).stderr


def test_errors_are_one_line_and_json_too(run: Run) -> None:
    for arguments in (["asset", str(uuid.uuid4())], ["asset", ".."], ["play", "x"]):
        done = run(*arguments, "--json", status=2)
        assert len(done.stderr.splitlines()) == 1
        assert set(json.loads(done.stdout)["error"]) == {"code", "message"}


@pytest.mark.parametrize(
    "arguments",
    [[], ["frobnicate"], ["upload", "/no/such/file"], ["upload", "/"], ["assets", "--nonsense"]],
)
def test_wrong_use_ends_with_2(run: Run, arguments: list[str]) -> None:
    done = run(*arguments, status=2)
    assert "Usage" in done.stderr or "Usage" in done.stdout


def test_empty_file_ends_with_2_and_a_sentence(run: Run, tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    assert "empty" in run("upload", str(tmp_path / "empty.mp4"), status=2).stderr


def test_no_server_ends_with_1_and_a_hint(run: Run) -> None:
    done = run("assets", status=1, PENSTOCK_URL=f"http://127.0.0.1:{free_port()}")
    assert "penstock up" in done.stderr


def test_no_stack_ends_with_2_and_a_hint(run: Run) -> None:
    assert "penstock up" in run("assets", status=2, PENSTOCK_API_KEY="").stderr


def test_wrong_key_ends_with_1_and_shows_no_key(run: Run) -> None:
    done = run("assets", status=1, PENSTOCK_API_KEY="pk_hunter2")
    assert "API key" in done.stderr
    assert "hunter2" not in done.stderr


def test_unknown_setting_ends_with_2(run: Run) -> None:
    assert "PENSTOCK_URL" in run("assets", status=2, PENSTOCK_URI="x").stderr


def test_version(run: Run) -> None:
    assert json.loads(run("version", "--json").stdout)["version"] == run("version").stdout.strip()


def test_every_command_has_help_that_teaches() -> None:
    """In this process: a help text needs no other."""

    def help_of(*command: str) -> str:
        return CliRunner().invoke(app, [*command, "--help"]).stdout

    commands = ["up", "local", "env", "upload", "assets", "asset", "play", "audit", "delete", "version", "session"]
    for command in commands:
        assert command in help_of()
        assert len(help_of(command).splitlines()) > 4
    for group in ([], ["webhooks"], ["session"]):
        assert "..." not in help_of(*group).partition("Commands:")[2], "say it in fewer words (short_help)"
    for command in ("up", "upload", "play"):
        assert f"    penstock {command}" in help_of(command)
    for command in ("env", "upload", "assets", "asset", "play", "delete", "version"):
        assert "--json" in help_of(command)


def test_upload_goes_on_after_the_process_was_killed(
    run: Run, api: Api, environ: dict[str, str], tmp_path: Path
) -> None:
    film = tmp_path / "large.mp4"
    film.write_bytes(os.urandom(2**20) * 60)
    with subprocess.Popen([PENSTOCK, "upload", str(film)], env=environ, stdout=-3, stderr=-3) as process:
        until(lambda: _parts(api) > 0, 30)
        process.kill()
    asset_id = api.context.catalogue.page(1)[0][0].asset.id
    printed = json.loads(run("upload", str(film), "--json").stdout)
    assert (printed["asset_id"], printed["state"]) == (asset_id, "converting")
    assert len(api.context.catalogue.page(10)[0]) == 1


def _parts(api: Api) -> int:
    found = api.context.catalogue.page(1)[0]
    if not found:
        return 0
    answer = api.http.get(f"/v1/assets/{found[0].asset.id}/upload/parts")
    return len(answer.json()["parts"]) if answer.is_success else 0


def test_shortened_counts_columns_of_the_terminal() -> None:
    assert shortened("film.mp4", 8) == "film.mp4"
    assert shortened("a long film.mp4", 8) == "a long …"
    assert shortened("東京物語.mp4", 8) == "東京物 …"  # each of these letters is two columns wide


def test_printable_keeps_text_and_drops_what_a_terminal_obeys() -> None:
    assert printable("فيلم 影片 é") == "فيلم 影片 é"
    assert printable("a\x1b[2J\n\u202eb\x07\x9b") == "a\ufffd[2J\ufffd\ufffdb\ufffd\ufffd"


@pytest.mark.skipif(sys.platform != "linux", reason="/dev/full is Linux's")
def test_output_that_cannot_be_written_is_told_in_one_line(environ: dict[str, str]) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [PENSTOCK, "assets"], env=environ, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60
        )
    assert done.returncode == 1
    assert done.stderr == "penstock: the output: No space left on device\n"
