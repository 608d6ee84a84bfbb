"""Runs a job on real clips without a server: what the engine does, without store, queue and event bus."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mediaconvert_jobs as jobs
from localaws.config import Config
from localaws.media import addresses, jail
from localaws.media.keys import KeyProvider, Keys
from localaws.media.probe import probe
from localaws.mediaconvert import naming
from localaws.mediaconvert.ffmpeg import encoding
from localaws.mediaconvert.groups import outputs, packager
from localaws.mediaconvert.making import GENERATED
from localaws.mediaconvert.planning import inserted, sources, timeline
from localaws.mediaconvert.planning.plan import plan
from localaws.mediaconvert.planning.planned import Plan
from localaws.mediaconvert.settings import request
from localaws.mediaconvert.text import captions
from localaws.mediaconvert.text import sources as caption_sources


@dataclass
class Converted:
    """A job's plan and what came out: final object key -> file. black: from and to of stretches without light, in s."""

    plan: Plan
    files: dict[str, Path]
    encoded: Path
    facts: dict[str, list[int]]
    keys: dict[int, Keys]
    black: list[tuple[float, float]]

    def path(self, object_key: str) -> Path:
        return self.files[object_key]

    def text(self, object_key: str) -> str:
        return self.files[object_key].read_text()


def convert(config: Config, work: Path, settings: dict[str, Any], clips: list[Path]) -> Converted:
    """Probe, plan, encode, package. clips: the files of the inputs, captions and pictures, in the job's order."""
    asked = request.read(settings)
    files = timeline.file_names(asked.media())
    paths = dict(zip((*files, *asked.texts(), *asked.images()), clips, strict=True))
    frame = asked.needs_first_frame
    found = {uri: sources.source_of(probe(paths[uri], require_video=False, first_frame=frame)) for uri in files}
    stem = naming.input_stem(addresses.file_name(asked.input_uri or GENERATED))
    planned = plan(asked, found, naming.Facts(jobs.STARTED, stem))
    spoken = caption_sources.spoken(
        asked.inputs, planned.caption_selectors(), planned.embedded_selectors(), found, paths
    )
    encoded = work / "encoded"
    encoded.mkdir(parents=True)
    limits = jail.Limits.for_encode(planned.source.duration_s)
    inputs = {paths[uri]: name for uri, name in files.items()}
    inputs |= {paths[uri]: inserted.file_name(uri) for uri in asked.images()}
    inputs |= encoding.prepared_captions(planned, spoken, work)
    black = encoding.run(planned, inputs, encoded, limits)
    facts = outputs.facts(planned.outputs(), encoded)
    for output in planned.captions():
        said = captions.film_cues(planned, spoken, output.caption.selector)
        (encoded / output.work_file).write_bytes(captions.document(output, said, planned.source.duration_s))
    uploads, keys = {}, {}
    for number, group in enumerate(planned.groups):
        if group.packaging is None:
            made = packager.file_uploads(group, encoded)
        else:
            encryption = group.packaging.encryption
            if encryption is not None:
                provider = KeyProvider(config)
                keys[number] = provider.keys("job-1", encryption, group.track_types(), threading.Event())
            folder = work / f"group{number}"
            packager.package(group, encoded, folder, keys.get(number), limits, threading.Event())
            made = packager.uploads(group, folder)
        uploads |= {upload.object_key: upload.path for upload in made}
    return Converted(planned, uploads, encoded, facts, keys, black)
