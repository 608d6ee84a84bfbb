"""A finished upload -> its MediaConvert jobs: one for each job settings file, or one with the built-in ladder.

Exactly one job for each asset and job settings, whatever is delivered twice, late or in another order, and wherever the
process dies. What the source is converted with is written down once (plan); each conversion is begun by a marker that
only one writer can create, then CreateJob with a token made of the same two names, then the marker names the job. A
marker without a job is a crash between the two: the job is looked for first. Keeps no state, logs no settings.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import re
from collections.abc import Iterator
from datetime import datetime, timedelta

from botocore.exceptions import ParamValidationError

from penstock import cost, ladder, ledger, templates
from penstock.errors import Conflict, InvalidRequest, NotFound, OverBudget, PenstockError, SourceRejected, UpstreamError
from penstock.formats import events
from penstock.formats.events import INPUTS, ObjectCreated
from penstock.ledger import Ledger, Record
from penstock.model import JsonObject, Problem
from penstock.settings import Clients, Settings
from penstock.upstream import translated

log = logging.getLogger(__name__)

JOBS = "jobs/"
BUILT_IN = "default"
APPLICATION = "penstock"
CLOCK_DIFFERENCE = timedelta(minutes=10)
"""How far the clocks of S3 and MediaConvert may be apart when a lost job is looked for."""


def on_object_created(event: ObjectCreated, clients: Clients, settings: Settings) -> list[str]:
    """Start the jobs of an uploaded object; returns the ids of all jobs it has, old and new.

    What S3 holds under the key now is converted, so that a late event of an object that was replaced starts nothing of
    its own. Folder markers, other prefixes and objects that are gone give nothing.
    Raises InvalidRequest for an object of another bucket; UpstreamError or Unavailable when a part fails, after every
    other conversion was begun: deliver the event again.
    """
    if event.bucket != settings.source_bucket:
        raise InvalidRequest(f"the watchfolder is bucket {settings.source_bucket!r}, not {event.bucket!r}")
    if not _is_upload(event.object_key):
        return []
    there = _as_it_is(event.bucket, event.object_key, clients)
    return [] if there is None else _Ingest(there, clients, settings).run()


def sweep(clients: Clients, settings: Settings) -> list[str]:
    """Start the jobs of every object below inputs/ whose events were lost; returns the ids of the jobs it has then.

    One object that cannot be handled now does not keep the others waiting: the first such error is raised at the end.
    """
    book = Ledger(clients, settings)
    settled = {key.split("/")[1] for key in book.keys(ledger.INGEST) if key.endswith(("/~submitted", "/~failed"))}
    job_ids: list[str] = []
    problems: list[PenstockError] = []
    for listed in _listed(clients, settings):
        if events.asset_id(listed) in settled:
            continue
        try:
            # A listing knows no versions, and the ETag of a multipart upload is not the object's with every S3 server.
            source = _as_it_is(listed.bucket, listed.object_key, clients)
            if source is not None and events.asset_id(source) not in settled:
                job_ids += _Ingest(source, clients, settings).run()
        except PenstockError as exc:
            problems.append(exc)
    if problems:
        raise problems[0]
    return job_ids


def client_request_token(asset_id: str, settings_name: str) -> str:
    """The same for every attempt at one conversion; MediaConvert takes at most 64 ASCII characters."""
    return hashlib.sha256(f"{asset_id}/{settings_name}".encode()).hexdigest()[:64]


class _Ingest:
    """One source on its way to its jobs."""

    def __init__(self, source: ObjectCreated, clients: Clients, settings: Settings) -> None:
        self.source = source
        self.asset_id = events.asset_id(source)
        self.title = source.object_key.rpartition("/")[2]
        self.clients = clients
        self.settings = settings
        self.ledger = Ledger(clients, settings)
        self.built_in = False

    def run(self) -> list[str]:
        if (done := self.ledger.read(ledger.submitted_key(self.asset_id))) is not None:
            return [job_id for job_id in done.value.get("jobs", {}).values() if job_id]
        if self.ledger.read(ledger.failure_key(self.asset_id, None)) is not None:
            return []
        try:
            if not self.source.size_bytes:
                raise SourceRejected("The file is empty: it has 0 bytes.")
            return self._submit_all(self._plan())
        except SourceRejected as exc:
            self._fail(None, Problem(exc.code, exc.message))
            return []

    def _plan(self) -> list[str]:
        """The names of the job settings this source is converted with, decided once.

        Without this memory a settings file that is added later would convert every old source at the next sweep.
        """
        key = ledger.plan_key(self.asset_id)
        if (record := self.ledger.read(key)) is None:
            names = sorted(_settings_names(self.clients, self.settings))
            plan = {"assetId": self.asset_id, "objectKey": self.source.object_key, "etag": self.source.etag}
            self.ledger.create(key, plan | {"settings": names or [BUILT_IN], "builtIn": not names})
            record = self.ledger.read(key)
        if record is None or not isinstance(record.value.get("settings"), list):
            raise UpstreamError(f"the plan of asset {self.asset_id} was written and cannot be read")
        self.built_in = bool(record.value.get("builtIn"))
        return [str(name) for name in record.value["settings"]]

    def _submit_all(self, names: list[str]) -> list[str]:
        jobs: dict[str, str | None] = {}
        refused: dict[str, Problem] = {}
        problems: list[PenstockError] = []
        for name in names:
            try:
                jobs[name] = self._submit(name)
            except SourceRejected:
                raise
            except (InvalidRequest, OverBudget) as exc:
                code = exc.code if isinstance(exc, OverBudget) else "job_settings_refused"
                refused[name] = Problem(code, exc.message)
                jobs[name] = None
            except PenstockError as exc:
                problems.append(exc)
        # Told after the jobs that did start: an asset of which only a refusal is known would count as failed.
        for name, problem in refused.items():
            self._fail(name, problem)
        if problems:
            raise problems[0]
        self.ledger.create(ledger.submitted_key(self.asset_id), {"assetId": self.asset_id, "jobs": jobs})
        return [job_id for job_id in jobs.values() if job_id]

    def _submit(self, name: str) -> str | None:
        """Start one conversion, or find the job it has; None when it was refused before."""
        if not ledger.is_settings_name(name):
            raise InvalidRequest(
                f"The settings file jobs/{name[:100]}.json cannot be used under this name; rename it with letters, "
                "digits, space and _ . : = + - @ only."
            )
        key = ledger.marker_key(self.asset_id, name)
        begun = {"assetId": self.asset_id, "settings": name, "objectKey": self.source.object_key, "jobId": None}
        fresh = self.ledger.create(key, begun)
        marker = self.ledger.read(key)
        if marker is None:
            raise UpstreamError(f"the marker {key} was written and is not there")
        job_id = str(marker.value.get("jobId") or "")
        if not job_id:
            if not fresh and self.ledger.read(ledger.failure_key(self.asset_id, name)) is not None:
                return None
            found = None if fresh else self._lost_job(name, marker.written_at)
            job_id = self._sign(key, marker, begun | {"jobId": found or self._create_job(name)})
        # Told again when this was the last thing a crash left undone: what is signed is not yet told.
        detail = {"assetId": self.asset_id, "settings": name, "jobId": job_id}
        self.ledger.announce(events.CONVERTING, detail | {"objectKey": self.source.object_key, "title": self.title})
        return job_id

    def _sign(self, key: str, marker: Record, signed: JsonObject) -> str:
        """Let the marker name the job. Where another process was first with another job, ours is cancelled."""
        ours = str(signed["jobId"])
        if self.ledger.replace(key, signed, marker.etag):
            return ours
        found = self.ledger.read(key)
        theirs = str(found.value.get("jobId") or "") if found is not None else ""
        if not theirs:
            raise UpstreamError(f"the marker {key} changed and names no job")
        if theirs != ours:
            with contextlib.suppress(NotFound, Conflict, InvalidRequest), translated("cancelling a second job"):
                self.clients.mediaconvert.cancel_job(Id=ours)
        return theirs

    def _lost_job(self, name: str, begun_at: datetime) -> str | None:
        """The job that was created before the marker could name it.

        MediaConvert remembers a ClientRequestToken for one minute only, so after a crash its list of jobs is asked.
        """
        token = client_request_token(self.asset_id, name)
        pages = self.clients.mediaconvert.get_paginator("list_jobs").paginate(Order="DESCENDING")
        with translated("listing jobs"):
            for page in pages:
                for job in page.get("Jobs", ()):
                    metadata = job.get("UserMetadata") or {}
                    named = (metadata.get("assetId"), metadata.get("settings")) == (self.asset_id, name)
                    if named or job.get("ClientRequestToken") == token:
                        return str(job["Id"])
                    if job.get("CreatedAt", begun_at) < begun_at - CLOCK_DIFFERENCE:
                        return None
        return None

    def _create_job(self, name: str) -> str:
        request = self._request(name)
        self._hold_to_budget(request)
        try:
            with translated("creating the job"), _checked_here():
                answer = self.clients.mediaconvert.create_job(
                    Role=self.settings.mediaconvert_role,
                    ClientRequestToken=client_request_token(self.asset_id, name),
                    UserMetadata={"assetId": self.asset_id, "settings": name, "application": APPLICATION},
                    **({"Queue": self.settings.mediaconvert_queue} if self.settings.mediaconvert_queue else {}),
                    **request,
                )
        except InvalidRequest as exc:
            raise InvalidRequest(f"MediaConvert refused the settings: {_said(exc, request)}") from None
        except NotFound as exc:
            raise UpstreamError(f"{exc.message}; is the queue {self.settings.mediaconvert_queue!r} there?") from exc
        return str(answer["Job"]["Id"])

    def _request(self, name: str) -> JsonObject:
        """What CreateJob is asked for besides role, queue and names."""
        source_uri = f"s3://{self.source.bucket}/{self.source.object_key}"
        destination_uri = f"s3://{self.settings.media_bucket}/{ledger.output_prefix(self.asset_id, name)}"
        if not self.built_in:
            document = templates.read(self._settings_file(name))
            templates.settle(
                document["Settings"],
                source_uri=source_uri,
                destination_uri=destination_uri,
                asset_id=self.asset_id,
                speke_url=self.settings.speke_address,
            )
            return document
        job = ladder.job_settings(
            ladder.source_properties(self._probe(source_uri)),
            input_uri=source_uri,
            destination_uri=destination_uri,
            speke_url=self.settings.speke_address,
            asset_id=self.asset_id,
            poster=self.settings.poster,
            clear_files=self.settings.delivery == "mediapackage",
            contract=self.settings.presets,
        )
        return {"Settings": job}

    def _hold_to_budget(self, request: JsonObject) -> None:
        """Raise OverBudget with the figure when a limit is set and the job would cost more."""
        limit = self.settings.max_job_cost_usd
        if not limit:
            return
        found = ladder.source_properties(self._probe(f"s3://{self.source.bucket}/{self.source.object_key}"))
        if found.duration_s is None:
            raise SourceRejected("The source does not say how long it is, and a limit for the cost of jobs is set.")
        source = cost.Source(found.duration_s, found.height_px, found.frame_rate)
        estimate = cost.estimate(request, source, cost.prices())
        if estimate.amount > limit:
            raise OverBudget(
                f"The conversion would cost about {estimate} ({found.duration_s / 60:.0f} minutes in "
                f"{len(estimate.lines)} outputs); PENSTOCK_MAX_JOB_COST_USD allows {limit:.2f} {estimate.currency}."
            )

    def _settings_file(self, name: str) -> bytes:
        key = f"{JOBS}{name}.json"
        try:
            with translated(f"reading {key}"):
                answer = self.clients.s3.get_object(Bucket=self.source.bucket, Key=key)
                with answer["Body"] as body:
                    return bytes(body.read(templates.MAX_FILE_BYTES + 1))
        except NotFound:
            raise InvalidRequest(f"The settings file {key} was removed before the job was created.") from None

    def _probe(self, source_uri: str) -> JsonObject:
        try:
            with translated("reading the source"):
                answer = self.clients.mediaconvert.probe(InputFiles=[{"FileUrl": source_uri}])
        except (InvalidRequest, NotFound) as exc:
            raise SourceRejected(f"The source cannot be read: {_said(exc)}") from exc
        results = answer.get("ProbeResults") or []
        if not results:
            raise SourceRejected("The source cannot be read: nothing is known of its container.")
        return dict(results[0])

    def _fail(self, name: str | None, problem: Problem) -> None:
        self.ledger.fail(self.asset_id, name, problem, objectKey=self.source.object_key, title=self.title)
        log.warning("asset %s, settings %r failed: %s: %s", self.asset_id, name, problem.code, problem.message)


def _is_upload(object_key: str) -> bool:
    """Below inputs/, and not a folder marker: consoles make an empty object whose key ends in a slash."""
    return object_key.startswith(INPUTS) and not object_key.endswith("/")


def _settings_names(clients: Clients, settings: Settings) -> Iterator[str]:
    pages = clients.s3.get_paginator("list_objects_v2").paginate(Bucket=settings.source_bucket, Prefix=JOBS)
    with translated("listing job settings"):
        for page in pages:
            for item in page.get("Contents", ()):
                name = item["Key"].removeprefix(JOBS)
                if name.endswith(".json"):
                    yield name.removesuffix(".json")


def _listed(clients: Clients, settings: Settings) -> Iterator[ObjectCreated]:
    """Every object below inputs/, as the listing tells it."""
    pages = clients.s3.get_paginator("list_objects_v2").paginate(Bucket=settings.source_bucket, Prefix=INPUTS)
    with translated("listing uploads"):
        for page in pages:
            for item in page.get("Contents", ()):
                if _is_upload(item["Key"]):
                    etag = item["ETag"].strip('"')
                    yield ObjectCreated(settings.source_bucket, item["Key"], item["Size"], etag)


def _as_it_is(bucket: str, object_key: str, clients: Clients) -> ObjectCreated | None:
    """The object under that key now, or None."""
    try:
        with translated("looking at the uploaded object"):
            head = clients.s3.head_object(Bucket=bucket, Key=object_key)
    except NotFound:
        log.info("an uploaded object is gone before it was converted")
        return None
    version = head.get("VersionId")
    return ObjectCreated(
        bucket, object_key, head["ContentLength"], head["ETag"].strip('"'), None if version == "null" else version
    )


@contextlib.contextmanager
def _checked_here() -> Iterator[None]:
    """Turn botocore's own refusal of a request into ours; what it says is cut before it quotes a value."""
    try:
        yield
    except ParamValidationError as exc:
        first = str(exc.kwargs.get("report", "")).partition("\n")[0]
        sentence = re.split(r", (?:value|must be one of|valid [a-z ]+): ", first)[0]
        raise InvalidRequest(sentence.replace("in input", "in the settings")) from None


def _said(exc: PenstockError, request: JsonObject | None = None) -> str:
    """What AWS answered, as the end of a sentence, without values of the settings that must stay secret."""
    response = getattr(exc.__cause__, "response", None) or {}
    text = str(response.get("Error", {}).get("Message") or exc.message)
    for secret in templates.secrets(request):
        text = text.replace(secret, "...")
    return text[:500].rstrip(".") + "."
