"""AWS for a video application, on this machine: `python -m localaws`.

With --config it runs what the file describes (`penstock up` writes one); without, an S3 server and the AWS endpoint on
a data folder of its own, and `--env` prints what points AWS clients at it. Ctrl-C ends everything.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import fcntl
import json
import os
import secrets
import shlex
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import httpx

from localaws import config as configuration
from localaws import local, objectstore, orphans
from localaws.config import HOST, Config, Credentials, Ports
from localaws.media import jail
from localaws.private_files import secret_file, write_private
from localaws.supervisor import Part, Supervisor
from penstock.errors import Conflict, InvalidRequest, NotFound, PenstockError

LAST_PORT = 65535
PORT_OPTIONS = {"edge": "--port", "aws": "--aws-port", "s3": "--s3-port"}


def main(arguments: list[str] | None = None) -> int:
    os.umask(0o077)  # what a stack writes is its owner's business
    try:
        parsed = _read_arguments(arguments)
        if parsed.env:
            variables = local.environment(local.find(parsed.data_dir))
            _print(json.dumps(variables, indent=2) if parsed.json else local.exports(variables))
            return 0
        config = _config(parsed)
        with _lock(config.data_dir) as lock:
            # A supervisor that was killed may have left some of its stack, and that its ports.
            if not orphans.kill(config.data_dir):
                raise Conflict(f"processes of an earlier stack on {config.data_dir} do not end")
            guard = orphans.Guard(config.data_dir, lock)
            try:
                return asyncio.run(_run(_settle(config), guard))
            finally:
                guard.dismiss()
    except KeyboardInterrupt:
        return 130
    except (InvalidRequest, Conflict, NotFound) as exc:
        return _say_no(exc, 2)
    except PenstockError as exc:
        return _say_no(exc, 1)
    except OSError as exc:
        return _say_no(f"{exc.filename}: {exc.strerror}" if exc.filename else exc, 1)


def _say_no(reason: object, status: int) -> int:
    print(f"error: {reason}", file=sys.stderr)  # noqa: T201 - the face of a command
    return status


def _read_arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m localaws", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="run what this file describes")
    parser.add_argument("--data-dir", type=Path, default=Path("localaws-data"), help="default: ./localaws-data")
    parser.add_argument("--aws-port", type=_port, default=Ports.aws, help="AWS endpoint (default: %(default)s; 0: any)")
    parser.add_argument("--s3-port", type=_port, default=Ports.s3, help="S3 server (default: %(default)s; 0: any)")
    parser.add_argument("--env", action="store_true", help="print shell exports for AWS clients of the stack, and end")
    parser.add_argument("--json", action="store_true", help="with --env: print one JSON object instead")
    return parser.parse_args(arguments)


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > LAST_PORT:
        raise argparse.ArgumentTypeError(f"a port is 0 to {LAST_PORT}, and 0 takes a free one; got {text[:16]!r}")
    return int(text)


def _config(parsed: argparse.Namespace) -> Config:
    if parsed.config:
        return configuration.load(parsed.config)
    return _alone(parsed.data_dir.resolve(), Ports(aws=parsed.aws_port, s3=parsed.s3_port, edge=0))


def _alone(data_dir: Path, ports: Ports) -> Config:
    """A stack of S3 server and AWS endpoint; its credentials are those of the last start on the same folder."""
    file = data_dir / "stack.json"
    if file.exists():
        return replace(configuration.load(file), ports=ports)
    fresh = Credentials("AKIA" + secrets.token_hex(8).upper(), secrets.token_urlsafe(30))
    how = f'eval "$(python -m localaws --env --data-dir {shlex.quote(str(data_dir))})"'
    return Config(data_dir=data_dir, credentials=fresh, ports=ports, welcome=(f"AWS clients: {how}",))


@contextlib.contextmanager
def _lock(data_dir: Path) -> Iterator[int]:
    """Hold the data folder for this process; yields the descriptor. Raises Conflict naming the process that has it."""
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(data_dir / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as exc:
        raise InvalidRequest(f"{data_dir} cannot be used as the data folder: {exc.strerror}") from exc
    with os.fdopen(descriptor, "r+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Conflict(f"a stack already runs on {data_dir} (process {file.read().strip() or 'unknown'})") from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield descriptor


def _settle(config: Config) -> Config:
    """Replace ports of 0 by free ones, refuse taken ones, and write down what was chosen."""
    wanted = {"aws": config.ports.aws, "s3": config.ports.s3} | ({"edge": config.ports.edge} if config.edge else {})
    named = [port for port in wanted.values() if port]
    if len(set(named)) < len(named):
        options = ", ".join(PORT_OPTIONS[name] for name in wanted)
        raise InvalidRequest(f"each part needs a port of its own; {options} are {', '.join(map(str, named))}")
    for name, port in wanted.items():
        if port and not objectstore.is_free(port):
            raise InvalidRequest(
                f"port {port} on {HOST} is taken; {PORT_OPTIONS[name]} takes another one, 0 any free one"
            )
    free = objectstore.free_ports(len(wanted), besides=[*named, config.ports.api])
    settled = config.with_ports(**{n: port or free.pop() for n, port in wanted.items()})
    write_private(config.data_dir / "stack.json", json.dumps(configuration.dump(settled), indent=2))
    return settled


async def _run(config: Config, guard: orphans.Guard) -> int:
    began = time.monotonic()
    stages = _stages(config)
    told = [part for stage in stages for part in stage]
    width = max(len(part.name) for part in told)
    addresses = _addresses(config)

    def ready(part: Part) -> None:
        _print(f"  {part.name:<{width}}  {addresses.get(part.name, '')}")

    def restarted(part: Part, status: int) -> None:
        _print(f"  {part.name:<{width}}  ended ({status}), starting it again; its log is {part.log}")

    def all_ready() -> None:
        _print(f"Ready in {time.monotonic() - began:.1f} s. Ctrl-C ends everything.")
        for line in config.welcome:
            _print(line)

    _print(f"Starting on {config.data_dir}")
    if not (walls := jail.available()).jailed:
        _print(f"  No jail around ffmpeg: {walls.reason}")
    await Supervisor(ready, restarted, guard, _disk_watch(config.data_dir)).run(stages, all_ready)
    _print("Ended.")
    return 0


def _disk_watch(folder: Path) -> Callable[[], None]:
    """Says so when the disk becomes full, and when it no longer is: the S3 server's own error does not."""
    was_full = False

    def look() -> None:
        nonlocal was_full
        disk = shutil.disk_usage(folder)
        # The S3 server stops writing at 1 %.
        full = disk.free < max(disk.total // 100, 32 * 2**20)
        if full != was_full:
            left = f"{disk.free // 2**20} MiB are left on the disk that holds {folder}"
            _print(f"{left}: uploads and conversions fail until there is more" if full else f"{left}, which is enough")
        was_full = full

    return look


def _print(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - the face of a command


def _stages(config: Config) -> list[list[Part]]:
    server = objectstore.prepare(config)
    s3 = Part(
        "s3",
        server.argv,
        config.logs_dir / "s3.log",
        env={**server.env, **orphans.mark(config.data_dir, "s3")},
        cwd=server.cwd,
        ready=lambda: objectstore.ready(server),
        on_return=lambda: _tell_of_return(config),
        on_end=lambda: objectstore.clean_up(server),
        # It hangs when it is asked to end, and is made to be killed.
        grace_s=1,
        ends_last=True,
    )
    parts = [s3, _own_part(config, "aws", "localaws.endpoint", config.aws_url)]
    if config.edge:
        parts.append(_own_part(config, "edge", "localaws.edge", f"http://{HOST}:{config.ports.edge}"))
    parts += [_engine_part(config, number) for number in range(1, config.engines + 1)]
    parts += [_part(config, s.name, s.argv, s.env, s.ready) for s in config.services]
    return [parts]


def _own_part(config: Config, name: str, module: str, url: str) -> Part:
    argv = [sys.executable, "-m", module, "--config", str(config.data_dir / "stack.json")]
    return _part(config, name, argv, {}, f"{url}/healthz")


def _engine_part(config: Config, number: int) -> Part:
    argv = [sys.executable, "-m", "localaws.engine", "--config", str(config.data_dir / "stack.json")]
    return _part(config, f"engine{number}", [*argv, "--data-dir", str(config.state_dir / f"engine{number}")], {}, None)


def _part(config: Config, name: str, argv: Sequence[str], env: Mapping[str, str], ready: str | None) -> Part:
    return Part(
        name,
        argv,
        config.logs_dir / f"{name}.log",
        env={**os.environ, **env, **orphans.mark(config.data_dir, name)},
        ready=_answers(ready),
        on_end=lambda: _end_orphans(config, name),
    )


def _end_orphans(config: Config, name: str) -> None:
    """What a part started outside its process group ends with it: ffmpeg, workers."""
    orphans.kill(config.data_dir, name)


def _tell_of_return(config: Config) -> None:
    """Let the endpoint look for what the S3 server wrote and, being killed, never told."""
    token = secret_file(config.webhook_token_file)
    with contextlib.suppress(httpx.HTTPError):  # an endpoint that is down looks by itself when it starts
        httpx.post(
            f"{config.aws_url}{objectstore.STARTED_PATH}",
            headers={"Authorization": f"Bearer {token}"},
            timeout=30,
            trust_env=False,
        )


def _answers(url: str | None) -> Callable[[], bool]:
    return (lambda: objectstore.answers(url)) if url else (lambda: True)


def _addresses(config: Config) -> dict[str, str]:
    """What each part is and where, for the one who started it."""
    told = {
        "s3": f"{config.s3_url}  S3 (SeaweedFS)",
        "aws": f"{config.aws_url}  MediaConvert, MediaPackage VOD, EventBridge",
    }
    if config.edge:
        told["edge"] = f"{config.edge.url}  the one public door: Studio, API, protected media"
    told |= {f"engine{number}": "runs jobs of the shared queue" for number in range(1, config.engines + 1)}
    return told | {service.name: "behind the edge" for service in config.services}
