from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

import sample_media
from localaws.media import jail
from localaws.media.jail import Ending, Limits, run

FFMPEG = str(jail.binary("ffmpeg"))
PACKAGER = str(jail.binary("packager"))
QUIET = ("-v", "error", "-nostdin", "-y")
ENDLESS = ("-re", "-f", "lavfi", "-i", "testsrc2=size=64x64:rate=5", "-c:v", "libx264", "-preset", "ultrafast")
PROGRESS = ("-progress", "pipe:1", "-stats_period", "0.1")
KEY = "0f0e0d0c0b0a09080706050403020100"
KEY_ID = "00112233445566778899aabbccddeeff"
LIMITS = Limits(wall_s=60)

needs_jail = pytest.mark.skipif(
    not jail.available().jailed and not os.environ.get("CI"), reason=jail.available().reason
)
both_ways = pytest.mark.parametrize("jailed", [pytest.param(True, marks=needs_jail), False])


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sample_media.clip(tmp_path_factory.mktemp("media"))


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


class Listener:
    """A TCP server that counts who comes."""

    def __init__(self) -> None:
        self.visitors = 0
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.thread = threading.Thread(target=self.accept)
        self.thread.start()

    def accept(self) -> None:
        while True:
            with self.socket.accept()[0] as visitor:
                if visitor.recv(1000) == b"stop":
                    return
                self.visitors += 1

    def stop(self) -> None:
        with socket.create_connection(("127.0.0.1", self.port)) as last:
            last.sendall(b"stop")
        self.thread.join()
        self.socket.close()


@pytest.fixture
def listener() -> Iterator[Listener]:
    server = Listener()
    yield server
    server.stop()


# The command line


def test_command_line_of_the_jail() -> None:
    assert jail.command(
        ["/opt/ffmpeg-linux-x64", "-i", "/in/source", "/out/film.mp4"],
        inputs={Path("/data/-rf film\n.mov"): "source"},
        output_dir=Path("/data/work"),
        limits=Limits(address_space_bytes=1000, cpu_s=20, file_size_bytes=3000, open_files=40, wall_s=5),
        secrets={"keys": 7},
        seccomp_fd=8,
    ) == [
        "prlimit", "--as=1000", "--cpu=20", "--fsize=3000", "--nofile=40", "--core=0", "--",
        "bwrap", "--unshare-all", "--die-with-parent", "--new-session",
        "--clearenv", "--uid", "65534", "--gid", "65534", "--cap-drop", "ALL",
        "--ro-bind", "/opt/ffmpeg-linux-x64", "/bin/ffmpeg-linux-x64",
        "--dev", "/dev", "--size", "67108864", "--tmpfs", "/tmp",
        "--ro-bind", "/data/-rf film\n.mov", "/in/source",
        "--bind", "/data/work", "/out", "--chdir", "/out",
        "--perms", "0400", "--file", "7", "/secrets/keys",
        "--seccomp", "8",
        "--remount-ro", "/", "--",
        "/bin/ffmpeg-linux-x64", "-i", "/in/source", "/out/film.mp4",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/etc", "-i", "a b", "a\nb", "a,b"])
def test_name_inside_that_is_no_plain_part_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="plain name"):
        jail.command(["/ffmpeg"], inputs={Path("/x"): name}, limits=LIMITS)


@pytest.mark.parametrize(
    ("argument", "outside"),
    [
        ("/in/source", "/data/film.mov"),
        ("/in/source2", "/in/source2"),
        ("/out", "/data/work"),
        ("/out/a/b.mp4", "/data/work/a/b.mp4"),
        ("/output", "/output"),
        ("in=/in/enc/v.mp4,stream=video,output=/out/v.mp4", "in=/data/enc/v.mp4,stream=video,output=/data/work/v.mp4"),
        ("[f=mp4]/out/a.mp4|[f=null]/out/b", "[f=mp4]/data/work/a.mp4|[f=null]/data/work/b"),
        ("--flagfile=/secrets/keys", "--flagfile=/dev/fd/7"),
        ("scale=320:180", "scale=320:180"),
        ("/home/in/source", "/home/in/source"),
    ],
)
def test_without_a_jail_paths_are_translated(argument: str, outside: str) -> None:
    command = jail.command(
        ["/ffmpeg", argument],
        inputs={Path("/data/film.mov"): "source", Path("/data/enc"): "enc"},
        output_dir=Path("/data/work"),
        limits=LIMITS,
        secrets={"keys": 7},
        jailed=False,
    )
    assert command[-2:] == ["/ffmpeg", outside]


def test_jail_holds_here_or_says_why_not() -> None:
    found = jail.available()
    assert found.reason
    if os.environ.get("CI"):
        assert found.jailed, found.reason


# What a run gives


@both_ways
def test_output_grows_while_lines_of_progress_come(clip: Path, out: Path, jailed: bool) -> None:
    lines: list[str] = []
    sizes: list[int] = []

    def note(line: str) -> None:
        lines.append(line)
        sizes.append(sum(path.stat().st_size for path in jail.outputs(out)))

    completed = run(
        [FFMPEG, *QUIET, "-re", "-i", "/in/source", *PROGRESS, "-c", "copy", "-flush_packets", "1", "/out/copy.ts"],
        inputs={clip: "source"},
        output_dir=out,
        limits=LIMITS,
        on_line=note,
        jailed=jailed,
    )
    assert completed.ok, completed
    assert completed.problem() == ""
    assert lines[-1] == "progress=end"
    assert any(line.startswith("out_time_us=") for line in lines)
    assert len(set(sizes)) > 2
    assert [path.name for path in jail.outputs(out)] == ["copy.ts"]


def test_standard_output_is_kept_up_to_a_bound(clip: Path) -> None:
    argv = [FFMPEG, *QUIET, "-i", "/in/source", "-f", "rawvideo", "-frames:v", "1", "pipe:1"]
    frame_bytes = 320 * 180 * 3 // 2
    whole = run(argv, inputs={clip: "source"}, limits=LIMITS, capture_bytes=frame_bytes)
    assert (len(whole.stdout), whole.stdout_complete) == (frame_bytes, True)
    part = run(argv, inputs={clip: "source"}, limits=LIMITS, capture_bytes=1000)
    assert (part.stdout, part.stdout_complete) == (whole.stdout[:1000], False)


def test_only_the_end_of_what_a_program_complains_is_kept(clip: Path) -> None:
    completed = run(
        [FFMPEG, "-v", "trace", "-nostdin", "-i", "/in/source", "-vf", "showinfo", "-f", "null", "-"],
        inputs={clip: "source"},
        limits=LIMITS,
    )
    assert completed.ok
    assert 8_000 < len(completed.stderr_tail) <= 16_384


def test_control_characters_of_a_file_do_not_reach_the_terminal(tmp_path: Path) -> None:
    named = sample_media.clip(tmp_path, "named.mp4", "-metadata", "title=\x1b]0;gone\x07")
    completed = run([FFMPEG, "-nostdin", "-i", "/in/source"], inputs={named: "source"}, limits=LIMITS)
    assert "]0;gone" in completed.stderr_tail
    assert "\x1b" not in completed.stderr_tail
    assert "\x07" not in completed.stderr_tail


@pytest.mark.parametrize(
    "name",
    ["-rf.mp4", "-i", "a\nb.mp4", "spaces + % & ; $(x).mp4", "é" * 125 + ".mp4", "\u202egnp.4pm", "..mp4", "'\".mp4"],
)
def test_any_file_name_can_be_read(clip: Path, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(clip.read_bytes())
    completed = run([FFMPEG, *QUIET, "-i", "/in/source", "-f", "null", "-"], inputs={path: "source"}, limits=LIMITS)
    assert completed.ok, completed


def test_symbolic_link_among_outputs_is_left_out(out: Path) -> None:
    (out / "deep").mkdir()
    (out / "deep" / "film.mp4").write_bytes(b"x")
    (out / "passwd.mp4").symlink_to("/etc/passwd")
    (out / "etc").symlink_to("/etc")
    os.mkfifo(out / "pipe.mp4")
    assert list(jail.outputs(out)) == [out / "deep" / "film.mp4"]


# What is out of reach


@needs_jail
@pytest.mark.parametrize("script", ["concat", "hls"])
def test_file_outside_is_not_read(clip: Path, out: Path, tmp_path: Path, script: str) -> None:
    """Even an ffmpeg told to trust the file: the control run without the jail does read the canary."""
    canary = sample_media.ffmpeg(tmp_path / "canary.ts", "-i", str(clip), "-c", "copy")
    bait = tmp_path / "bait.mp4"
    bait.write_text(
        {
            "concat": f"ffconcat version 1.0\nfile '{canary}'\n",
            "hls": f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile://{canary}\n#EXT-X-ENDLIST\n",
        }[script]
    )
    trusting = {"concat": ("-f", "concat", "-safe", "0"), "hls": ("-f", "hls", "-extension_picky", "0")}[script]
    argv = [FFMPEG, *QUIET, *trusting, "-i", "/in/source", "-c", "copy", "/out/stolen.ts"]
    control = run(argv, inputs={bait: "source"}, output_dir=out, limits=LIMITS, jailed=False)
    assert control.ok, control
    (out / "stolen.ts").unlink()
    jailed = run(argv, inputs={bait: "source"}, output_dir=out, limits=LIMITS, jailed=True)
    assert not jailed.ok
    assert jailed.signal_number is None
    assert list(jail.outputs(out)) == []


def test_the_full_ffmpeg_sees_its_own_libraries_and_no_others() -> None:
    """The static build needs none."""
    loaded = jail.libraries(jail.full_ffmpeg())
    assert loaded and all(path.is_file() for path in loaded)
    assert {path.name.split(".")[0].split("-")[0] for path in loaded} <= {
        "ld", "libc", "libm", "libdl", "librt", "libpthread", "libmvec", "libgcc_s",
    }  # fmt: skip
    assert jail.libraries(Path(FFMPEG)) == ()


@needs_jail
@pytest.mark.parametrize("program", [FFMPEG, str(jail.full_ffmpeg())], ids=["static", "full"])
@pytest.mark.parametrize("path", ["/etc/passwd", "/proc/self/environ", "/proc/1/cmdline", "/sys/kernel/version"])
def test_nothing_of_the_host_is_there(out: Path, path: str, program: str) -> None:
    argv = [program, *QUIET, "-f", "data", "-i", path, "-map", "0", "-c", "copy", "-f", "data", "/out/copy"]
    completed = run(argv, inputs={}, output_dir=out, limits=LIMITS, jailed=True)
    assert "No such file" in completed.stderr_tail


@needs_jail
def test_no_request_goes_out(listener: Listener) -> None:
    argv = [FFMPEG, *QUIET, "-i", f"http://127.0.0.1:{listener.port}/film.mp4", "-f", "null", "-"]
    control = run(argv, inputs={}, limits=LIMITS, jailed=False)
    assert not control.ok
    assert listener.visitors == 1
    jailed = run(argv, inputs={}, limits=LIMITS, jailed=True)
    assert not jailed.ok
    assert "Operation not permitted" in jailed.stderr_tail, "the filter refuses even to make a socket"
    assert listener.visitors == 1


@needs_jail
@pytest.mark.parametrize("target", ["/in/source", "/film.mp4", "/bin/film.mp4", "/in/film.mp4", "/secrets/film.mp4"])
def test_nothing_but_the_output_folder_is_written(clip: Path, out: Path, target: str) -> None:
    before = clip.read_bytes()
    argv = [FFMPEG, *QUIET, "-i", "/in/source", "-c", "copy", "-f", "mp4", target]
    completed = run(argv, inputs={clip: "source"}, output_dir=out, limits=LIMITS, secrets={"k": b"x"}, jailed=True)
    assert not completed.ok
    assert clip.read_bytes() == before


# How a run ends


def children_named(marker: str) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if any(marker in argument for argument in process.cmdline()):
                found.append(process)
    return found


@both_ways
def test_cancel_ends_everything_within_a_second(out: Path, jailed: bool) -> None:
    marker, cancel, canceled_at = uuid.uuid4().hex, threading.Event(), [0.0]

    def note(line: str) -> None:
        if not cancel.is_set():
            assert children_named(marker)
            canceled_at[0] = time.monotonic()
            cancel.set()

    argv = [FFMPEG, *QUIET, *ENDLESS, *PROGRESS, "-metadata", f"title={marker}", "/out/endless.ts"]
    completed = run(argv, inputs={}, output_dir=out, limits=LIMITS, on_line=note, cancel=cancel, jailed=jailed)
    assert time.monotonic() - canceled_at[0] < 1
    assert completed.ending is Ending.CANCELED
    assert completed.problem() == "canceled"
    psutil.wait_procs(children_named(marker), timeout=1)
    assert children_named(marker) == []


@both_ways
def test_run_that_takes_too_long_is_ended(jailed: bool) -> None:
    argv = [FFMPEG, *QUIET, *ENDLESS, "-f", "null", "-"]
    completed = run(argv, inputs={}, limits=replace(LIMITS, wall_s=0.5, idle_s=0.2), jailed=jailed)
    assert completed.ending is Ending.TIMED_OUT
    assert completed.wall_s < 2
    assert "did not finish" in completed.problem()


@both_ways
def test_program_that_is_stuck_is_started_again_and_given_up(jailed: bool, caplog: pytest.LogCaptureFixture) -> None:
    waits = ["-re", "-f", "lavfi", "-i", "testsrc2=rate=1/1000:size=16x16", "-f", "null", "-"]
    completed = run([FFMPEG, *QUIET, *waits], inputs={}, limits=replace(LIMITS, idle_s=1.0), jailed=jailed)
    assert completed.ending is Ending.STUCK
    assert completed.wall_s < LIMITS.wall_s / 2
    assert "got stuck" in completed.problem()
    assert len([record for record in caplog.records if "got stuck" in record.message]) == jail.ATTEMPTS


def test_error_of_the_listener_ends_the_run(out: Path) -> None:
    marker = uuid.uuid4().hex

    def fail(line: str) -> None:
        raise RuntimeError("the store is gone")

    argv = [FFMPEG, *QUIET, *ENDLESS, *PROGRESS, "-metadata", f"title={marker}", "/out/endless.ts"]
    with pytest.raises(RuntimeError, match="the store is gone"):
        run(argv, inputs={}, output_dir=out, limits=LIMITS, on_line=fail)
    psutil.wait_procs(children_named(marker), timeout=1)
    assert children_named(marker) == []


@both_ways
def test_killed_engine_leaves_no_program_behind(out: Path, jailed: bool) -> None:
    marker = uuid.uuid4().hex
    argv = [FFMPEG, *QUIET, *ENDLESS, *PROGRESS, "-metadata", f"title={marker}", "/out/endless.ts"]
    code = (
        "from pathlib import Path; from localaws.media import jail\n"
        f"jail.run({argv!r}, inputs={{}}, output_dir=Path({str(out)!r}), limits=jail.Limits(),"
        f" on_line=lambda line: print(line, flush=True), jailed={jailed})"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=environment) as engine:
        assert engine.stdout is not None
        assert engine.stdout.readline()
        running = [process for process in children_named(marker) if process.pid != engine.pid]
        assert running
        engine.send_signal(signal.SIGKILL)
        engine.wait()
        _, alive = psutil.wait_procs(running, timeout=5)
    assert alive == []


@both_ways
def test_memory_is_bounded(jailed: bool) -> None:
    argv = [FFMPEG, *QUIET, "-f", "lavfi", "-i", "testsrc2=size=8192x4320", "-frames:v", "20", "-c:v", "libx264"]
    limits = replace(LIMITS, address_space_bytes=300 << 20)
    completed = run([*argv, "-f", "null", "-"], inputs={}, limits=limits, jailed=jailed)
    assert not completed.ok
    assert "memory" in completed.problem()


PLAYED = ("-re", "-f", "lavfi", "-i", "testsrc2=duration=2:rate=25", "-progress", "pipe:1", "-f", "null", "-")


def kill_program(times: int) -> tuple[list[str], Callable[[str], None]]:
    """What the jailed program said, and a listener that kills it at its first words, so often."""
    said: list[str] = []
    left = [times]
    others = psutil.Process().children(recursive=True)

    def hear(line: str) -> None:
        said.append(line)
        if left[0] and line.startswith("frame="):
            left[0] -= 1
            for process in set(psutil.Process().children(recursive=True)).difference(others):
                with contextlib.suppress(psutil.NoSuchProcess):  # the jail ends with the program in it
                    process.kill()

    return said, hear


@both_ways
def test_program_that_somebody_killed_is_started_again(jailed: bool) -> None:
    said, hear = kill_program(1)
    completed = run([FFMPEG, *QUIET, *PLAYED], inputs={}, limits=LIMITS, on_line=hear, jailed=jailed)
    assert completed.ok, completed.stderr_tail
    assert said[-1] == "progress=end"


def test_program_that_is_killed_each_time_is_given_up() -> None:
    _, hear = kill_program(99)
    completed = run([FFMPEG, *QUIET, *PLAYED], inputs={}, limits=LIMITS, on_line=hear)
    assert completed.killed


def test_processor_time_is_bounded() -> None:
    argv = [FFMPEG, *QUIET, "-f", "lavfi", "-i", "testsrc2=size=640x360", "-c:v", "libx264", "-f", "null", "-"]
    completed = run(argv, inputs={}, limits=replace(LIMITS, cpu_s=1, wall_s=30))
    assert completed.ending is Ending.EXITED
    assert "processor time" in completed.problem()


def test_size_of_a_file_is_bounded(out: Path) -> None:
    argv = [FFMPEG, *QUIET, "-f", "lavfi", "-i", "testsrc2=duration=2", "-c:v", "rawvideo", "/out/large.nut"]
    completed = run(argv, inputs={}, output_dir=out, limits=replace(LIMITS, file_size_bytes=100_000))
    assert not completed.ok
    assert "larger file" in completed.problem()
    assert (out / "large.nut").stat().st_size <= 100_000


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_full_disk_is_told_apart() -> None:
    argv = [FFMPEG, *QUIET, "-f", "lavfi", "-i", "testsrc2=duration=2", "-c:v", "rawvideo", "-f", "nut", "/dev/full"]
    completed = run(argv, inputs={}, limits=LIMITS)
    assert completed.disk_full
    assert completed.problem() == "the disk is full"


def test_encode_may_take_longer_the_longer_the_film() -> None:
    short, long = Limits.for_encode(10), Limits.for_encode(7200, renditions=6)
    assert 900 < short.wall_s < long.wall_s
    assert long.cpu_s >= long.wall_s
    assert long.file_size_bytes > 7200 * 12_000_000
    assert Limits.for_encode(None).wall_s > Limits.for_encode(3600).wall_s


# The packager and its keys


def flags(key: str) -> bytes:
    return (
        f"--enable_raw_key_encryption\n--protection_scheme=cbcs\n--clear_lead=0\n--keys=label=:key_id={KEY_ID}:key={key}\n"
    ).encode()


def package(folder: Path, out: Path, key: str, jailed: bool | None = None) -> jail.Completed:
    argv = [PACKAGER, "in=/in/encoded/clip.mp4,stream=video,output=/out/video.mp4", "--flagfile=/secrets/keys"]
    return run(
        [*argv, "--mpd_output", "/out/film.mpd"],
        inputs={folder: "encoded"},
        output_dir=out,
        limits=LIMITS,
        secrets={"keys": flags(key)},
        jailed=jailed,
    )


@both_ways
def test_packager_gets_its_keys_by_a_descriptor(clip: Path, out: Path, tmp_path: Path, jailed: bool) -> None:
    completed = package(clip.parent, out, KEY, jailed)
    assert completed.ok, completed
    decrypted = sample_media.ffmpeg(
        tmp_path / "clear.mp4", "-decryption_key", KEY, "-i", str(out / "video.mp4"), "-c", "copy"
    )
    assert decrypted.stat().st_size > 10_000
    assert sorted(path.name for path in jail.outputs(out)) == ["film.mpd", "video.mp4"]
    for path in jail.outputs(out):
        content = path.read_bytes()
        assert bytes.fromhex(KEY) not in content
        assert KEY.encode() not in content


@both_ways
def test_key_that_the_packager_complains_about_is_not_repeated(clip: Path, out: Path, jailed: bool) -> None:
    bad = KEY + "zz"
    completed = package(clip.parent, out, bad, jailed)
    assert not completed.ok
    assert KEY not in repr(completed)
    assert "invalid hex string for key: (redacted)" in completed.stderr_tail


def test_key_is_not_in_any_command_line_or_environment(out: Path) -> None:
    """The secret lies open to the program while every process of the run is looked at from outside."""
    marker, seen, cancel = uuid.uuid4().hex, [], threading.Event()

    def look(line: str) -> None:
        for process in children_named(marker):
            with contextlib.suppress(psutil.Error):
                seen.append(" ".join([*process.cmdline(), *process.environ(), *process.environ().values()]))
        cancel.set()

    argv = [FFMPEG, *QUIET, *ENDLESS, *PROGRESS, "-metadata", f"title={marker}", "/out/endless.ts"]
    run(argv, inputs={}, output_dir=out, limits=LIMITS, secrets={"keys": KEY.encode()}, on_line=look, cancel=cancel)
    assert seen
    assert not any(KEY in text for text in seen)
