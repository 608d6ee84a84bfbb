"""A real SPEKE endpoint on loopback, and a converter that runs plans on real clips without a server."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import mediaconvert_jobs as jobs
import pytest

from localaws.config import Config, Credentials
from localaws.mediaconvert import argv, jail, naming, outputs, packager, request, sources
from localaws.mediaconvert.keys import KeyProvider, Keys
from localaws.mediaconvert.plan import Plan, plan
from localaws.mediaconvert.probe import probe
from penstock.formats import sigv4
from penstock.keys import KeyProvider as ContentKeys
from penstock.keys import answer_speke

SECRET = "a-secret-of-the-tests"


@dataclass
class Speke:
    """A SPEKE v2 key provider; `answer` may be replaced to misbehave. Requests are kept."""

    url: str = ""
    requests: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    answer: Callable[[bytes], tuple[int, bytes]] = lambda body: (200, answer_speke(body, CONTENT_KEYS))

    def verified_by(self, number: int) -> str:
        """The access key id that signed a request. Raises BadSignature."""
        import hashlib
        from datetime import UTC, datetime

        headers, body = self.requests[number]
        return sigv4.verify(
            method="POST",
            url=self.url,
            headers=headers,
            body_sha256=hashlib.sha256(body).hexdigest(),
            secrets={"AKIDTEST": SECRET},
            now=datetime.now(UTC),
            service="execute-api",
        )


CONTENT_KEYS = ContentKeys(b"m" * 32)


@pytest.fixture
def speke() -> Iterator[Speke]:
    provider = Speke()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            provider.requests.append((dict(self.headers.items()), body))
            status, answer = provider.answer(body)
            self.send_response(status)
            self.send_header("X-Speke-Version", "2.0")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    provider.url = f"http://127.0.0.1:{server.server_port}/speke/v2/copyProtection"
    yield provider
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(tmp_path / "data", Credentials("AKIDTEST", SECRET))


@dataclass
class Converted:
    """A job's plan and what came out: final object key -> file."""

    plan: Plan
    files: dict[str, Path]
    encoded: Path
    facts: dict[str, list[int]]
    keys: dict[int, Keys]

    def path(self, object_key: str) -> Path:
        return self.files[object_key]

    def text(self, object_key: str) -> str:
        return self.files[object_key].read_text()


@pytest.fixture
def convert(tmp_path: Path, config: Config) -> Callable[[Path, dict[str, Any]], Converted]:
    """Probe, plan, encode, package: what the engine does, without store, queue and servers."""

    def run(clip: Path, settings: dict[str, Any]) -> Converted:
        asked = request.read(settings)
        source = sources.source_of(probe(clip, require_video=False))
        stem = naming.input_stem(naming.object_address(asked.input_uri)[1])
        planned = plan(asked, source, naming.Facts(jobs.STARTED, stem))
        work = tmp_path / "work"
        encoded = work / "encoded"
        encoded.mkdir(parents=True)
        limits = jail.Limits.for_encode(source.duration_s)
        arguments = argv.ffmpeg(planned, str(jail.binary("ffmpeg")))
        completed = jail.run(arguments, inputs={clip: "source"}, output_dir=encoded, limits=limits)
        assert completed.ok, completed.stderr_tail
        facts = outputs.facts(planned.outputs(), encoded)
        files, keys = {}, {}
        for number, group in enumerate(planned.groups):
            if group.packaging is None:
                made = packager.file_uploads(group, encoded)
            else:
                encryption = group.packaging.encryption
                if encryption is not None:
                    provider = KeyProvider(config)
                    keys[number] = provider.keys("job-1", encryption, group.track_labels(), threading.Event())
                folder = work / f"group{number}"
                packager.package(group, encoded, folder, keys.get(number), limits, threading.Event())
                made = packager.uploads(group, folder)
            files |= {upload.object_key: upload.path for upload in made}
        return Converted(planned, files, encoded, facts, keys)

    return run
