"""A real SPEKE endpoint on loopback, and a converter that runs plans on real clips without a server."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import mediaconvert_jobs as jobs
from localaws.config import Config, Credentials
from localaws.mediaconvert import argv, jail, naming, outputs, packager, request, sources
from localaws.mediaconvert.keys import KeyProvider, Keys
from localaws.mediaconvert.plan import Plan, plan
from localaws.mediaconvert.probe import probe
from mediaconvert_speke import ACCESS_KEY_ID, SECRET, Speke, serve


@pytest.fixture
def speke() -> Iterator[Speke]:
    with serve() as provider:
        yield provider


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(tmp_path / "data", Credentials(ACCESS_KEY_ID, SECRET))


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
