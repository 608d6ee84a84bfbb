"""What a job makes on this machine's disk, each product when it is missing: files of the inputs, what they are, encoded
outputs, packaged groups.

A file that is written last, by one rename, says that a product is whole; half of one is thrown away. On a machine where
there is nothing, everything is made again, so that all outputs of a job come from one machine. Knows nothing of states
and events. Never keeps a content key anywhere but in this process's memory.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Lock

from localaws.config import Config
from localaws.media import addresses, jail, transfer
from localaws.media.failures import DISALLOWED, JobError
from localaws.media.keys import KeyProvider, Keys
from localaws.media.probe import Probed, probe
from localaws.mediaconvert import naming
from localaws.mediaconvert.ffmpeg import encoding
from localaws.mediaconvert.groups import outputs, packager
from localaws.mediaconvert.handover import Handover
from localaws.mediaconvert.planning import inserted, sources, timeline
from localaws.mediaconvert.planning.plan import plan
from localaws.mediaconvert.planning.planned import Plan
from localaws.mediaconvert.progress import EncodeProgress, Progress
from localaws.mediaconvert.settings import request
from localaws.mediaconvert.store import Job, Store
from localaws.mediaconvert.text import captions
from localaws.mediaconvert.text import sources as caption_sources

# Of the transcoding phase, encoding is all but this; packaging costs about one percent.
ENCODE_SHARE = 0.98
# What no output is ended for: 100 Mbit/s.
_LEAST_BYTES_PER_S = 12_500_000
# What a job without a file is called, where outputs take the input's name.
GENERATED = "s3://-/generated"


@dataclass(frozen=True)
class Run:
    """A job while a step works on it."""

    job: Job
    cancel: Event
    progress: Progress

    @property
    def asked(self) -> request.Job:
        return request.read(self.job.request["Settings"])


class Making:
    """The work folders of one process."""

    def __init__(
        self, config: Config, store: Store, objects: transfer.Store, disallowed: Callable[[str], str | None]
    ) -> None:
        """disallowed: a sentence when a source must not be read from such an address, else None."""
        self._store = store
        self._objects = objects
        self._disallowed = disallowed
        self._key_provider = KeyProvider(config)
        self._root = config.state_dir / "work"
        self.handover = Handover(self._root / ".probed", objects)
        self._keys: dict[str, dict[int, Keys]] = {}
        self._lock = Lock()

    # Products

    def files(self, run: Run) -> dict[str, Path]:
        """Every file of the inputs, by its address, each fetched once."""
        asked = run.asked
        names = timeline.file_names(asked.media()) | caption_sources.file_names(asked.texts())
        names |= {uri: inserted.file_name(uri) for uri in asked.images()}
        for number, (uri, name) in enumerate(names.items()):
            self._fetch(run, uri, name, _share(run.progress, number, len(names)))
        return {uri: self.folder(run.job.id) / name for uri, name in names.items()}

    def probed(self, run: Run) -> dict[str, Probed]:
        """What the files of the inputs are; written down, so that a resumed job plans the same."""
        paths, media = self.files(run), run.asked.media()
        frame = run.asked.needs_first_frame
        probed = {uri: probe(paths[uri], require_video=False, first_frame=frame) for uri in media}
        with _disk():
            found = {uri: sources.source_of(one) for uri, one in probed.items()}
            sources.write(found, self._sources(run.job))
        return probed

    def plan(self, run: Run) -> Plan:
        """The plan of a job, the same each time."""
        if not self._sources(run.job).exists():
            self.probed(run)
        asked, found = run.asked, sources.read(self._sources(run.job))
        stem = naming.input_stem(addresses.file_name(asked.input_uri or GENERATED))
        started = datetime.fromtimestamp(run.job.started_at or run.job.created_at, UTC)
        return plan(asked, found, naming.Facts(started, stem))

    def heard(self, run: Run, planned: Plan) -> captions.Spoken:
        """The captions that outputs use, by selector, as `caption_sources` reads them."""
        shown, carried = planned.caption_selectors(), planned.embedded_selectors()
        if not shown | carried:
            return captions.Spoken({})
        written = self.folder(run.job.id) / "captions.json"
        if not written.exists():
            paths, found = self.files(run), sources.read(self._sources(run.job))
            with self.timed(run.job.id, "reading captions"):
                spoken = caption_sources.spoken(run.asked.inputs, shown, carried, found, paths, run.cancel)
            with _disk():
                caption_sources.write(spoken, written)
        return caption_sources.recall(written)

    def encoded(self, run: Run, planned: Plan) -> Path:
        """The folder with all outputs of all groups, encoded in one process."""
        folder = self.folder(run.job.id)
        encoded = folder / "encoded"
        if self._facts(run.job).exists():
            return encoded
        # Keys first: a key provider that says no is known before an hour of encoding, not after it.
        self._fetch_keys(run, planned)
        self.files(run)
        spoken = self.heard(run, planned)
        _empty(encoded)
        run.progress.tell("TRANSCODING", 0.0)
        inputs = {folder / name: name for name in planned.files()}
        with _disk():
            inputs |= encoding.prepared_captions(planned, spoken, folder)
        if warnings := captions.lacking(planned, spoken):
            self._store.note(run.job.id, warnings=warnings)
        told = EncodeProgress(run.progress, planned.source.duration_s, ENCODE_SHARE, planned.counted_rate)
        with self.timed(run.job.id, "encoding"):
            black = encoding.run(
                planned,
                inputs,
                encoded,
                _limits(planned),
                on_pass=told.begin,
                on_line=told.line,
                cancel=run.cancel,
            )
        with _disk():
            found = outputs.facts(planned.outputs(), encoded) | _caption(planned, spoken, encoded)
            self._black(run.job).write_text(json.dumps(black))
            outputs.remember(found, self._facts(run.job))
        return encoded

    def facts(self, run: Run) -> dict[str, list[int]]:
        """Duration in ms and size in bytes of each encoded output, by label."""
        return outputs.recall(self._facts(run.job))

    def black(self, run: Run) -> list[tuple[float, float]]:
        """Where the film is black, from and to in s."""
        return [(begin, end) for begin, end in json.loads(self._black(run.job).read_text())]

    def packaged(self, run: Run, planned: Plan, number: int) -> list[transfer.Upload]:
        """What is to be uploaded of one group."""
        folder = self.folder(run.job.id)
        ready = folder / f"group{number}.json"
        if ready.exists():
            return packager.recall(ready)
        encoded, packaged, group = self.encoded(run, planned), folder / f"group{number}", planned.groups[number]
        for file in planned.files():
            (folder / file).unlink(missing_ok=True)
        run.progress.tell("TRANSCODING", ENCODE_SHARE)
        if group.packaging is None:
            packager.remember(packager.file_uploads(group, encoded), ready)
            return packager.recall(ready)
        keys = None
        if group.packaging.encryption is not None:
            keys = self._fetch_keys(run, planned)[number] or None
        with self.timed(run.job.id, f"packaging group {number}"), _disk():
            packager.package(group, encoded, packaged, keys, _limits(planned), run.cancel)
            packager.remember(packager.uploads(group, packaged), ready)
            for output in group.ordered():
                (encoded / output.work_file).unlink(missing_ok=True)
        return packager.recall(ready)

    # Life

    def folder(self, job_id: str) -> Path:
        folder = self._root / job_id
        with _disk():
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return folder

    def remove(self, job_id: str) -> None:
        shutil.rmtree(self._root / job_id, ignore_errors=True)
        self.handover.prune()

    def clean_leftovers(self) -> None:
        """Remove the folders of jobs that are unknown or have ended."""
        folders = list(self._root.iterdir()) if self._root.is_dir() else []
        alive = self._store.alive_ids() if folders else set()
        for folder in folders:
            if folder.name not in alive and folder != self.handover.folder:
                shutil.rmtree(folder, ignore_errors=True)

    def forget_keys(self, job_id: str) -> None:
        with self._lock:
            self._keys.pop(job_id, None)

    @contextmanager
    def timed(self, job_id: str, what: str) -> Iterator[None]:
        """Note in the job's messages how long something took."""
        started = time.monotonic()
        yield
        self._store.note(job_id, info=[f"{what} took {time.monotonic() - started:.2f} s"])

    # Inside

    def _sources(self, job: Job) -> Path:
        return self.folder(job.id) / "sources.json"

    def _black(self, job: Job) -> Path:
        return self.folder(job.id) / "black.json"

    def _facts(self, job: Job) -> Path:
        return self.folder(job.id) / "encoded.json"

    def _fetch(self, run: Run, uri: str, name: str, on_bytes: Callable[[int, int], None]) -> None:
        """Bring one file into the work folder, unless an earlier attempt or a Probe has brought it."""
        path = self.folder(run.job.id) / name
        if path.exists():
            return
        if refusal := self._disallowed(uri):
            raise JobError(DISALLOWED, f"{refusal}: {uri}")
        if self.handover.take(uri, self._objects.head(uri, run.cancel)["ETag"], path):
            return
        with self.timed(run.job.id, f"fetching {addresses.file_name(uri)}"):
            self._objects.fetch(uri, path, run.cancel, on_bytes)

    def _fetch_keys(self, run: Run, planned: Plan) -> dict[int, Keys]:
        with self._lock:
            known = self._keys.get(run.job.id)
        if known is not None:
            return known
        found = {
            number: self._key_provider.keys(run.job.id, group.packaging.encryption, group.track_types(), run.cancel)
            for number, group in enumerate(planned.groups)
            if group.packaging is not None and group.packaging.encryption is not None
        }
        with self._lock:
            self._keys[run.job.id] = found
        return found


def _caption(planned: Plan, spoken: captions.Spoken, encoded: Path) -> dict[str, list[int]]:
    """Write the work files of caption outputs. Returns duration in ms and bytes of each, by label."""
    written: dict[str, list[int]] = {}
    for output in planned.captions():
        cues = captions.film_cues(planned, spoken, output.caption.selector)
        content = captions.document(output, cues, planned.source.duration_s)
        (encoded / output.work_file).write_bytes(content)
        written[output.label] = [round(planned.source.duration_s * 1000), len(content)]
    return written


def _limits(planned: Plan) -> jail.Limits:
    outputs = list(planned.outputs())
    largest = max((output.video.most_bytes_per_s for output in outputs if output.video is not None), default=0)
    return jail.Limits.for_encode(
        planned.source.duration_s, renditions=len(outputs), largest_bytes_per_s=max(largest, _LEAST_BYTES_PER_S)
    )


def _share(progress: Progress, number: int, files: int) -> Callable[[int, int], None]:
    """Tell of the bytes of one of several files as a part of the whole phase."""
    return lambda done, size: progress.tell("PROBING", 0.9 * (number + done / max(size, 1)) / files)


@contextmanager
def _disk() -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        raise transfer.disk_error(exc) from exc


def _empty(folder: Path) -> None:
    with _disk():
        if folder.exists():
            shutil.rmtree(folder)
        folder.mkdir(parents=True)
