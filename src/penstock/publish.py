"""A job that has ended -> its asset published or failed, and everybody told.

Publishing is one write: the pointer, after every output was seen to be there. Whatever is delivered twice, or dies in
the middle, comes to the same end: the pointer is written once, and the event is put again. Holds no state of its own.
"""

from __future__ import annotations

import logging
import uuid
from dataclasses import dataclass, replace
from typing import Any

from penstock import ledger, mediapackage, repackaging
from penstock.errors import JobFailed, NotFound, PenstockError, UpstreamError
from penstock.formats import events
from penstock.formats.events import JobStateChange, PackagingChange
from penstock.ledger import Ledger
from penstock.model import JsonObject, Problem
from penstock.outputs import Outputs, listing
from penstock.settings import Clients, Settings
from penstock.upstream import translated

log = logging.getLogger(__name__)

APPLICATION = "penstock"
ENDED = frozenset({"COMPLETE", "ERROR", "CANCELED"})

# https://docs.aws.amazon.com/mediaconvert/latest/ug/mediaconvert_error_codes.html
_AGAIN = "Export it again, for example as an MP4 file, and upload it anew."
_BROKEN = ("source_rejected", f"The source is damaged or incomplete. {_AGAIN}")
_SETTINGS = ("job_settings_refused", "The job settings do not go together. Correct them and upload the source again.")
_ROLE = ("access_denied", "MediaConvert may not read the source or write the outputs. Check its role and the buckets.")
_FULL = ("encoder_disk_full", "The encoder has no room left on its disk. Make room and upload the source again.")
_FETCH = (
    "address_unreachable",
    "An address that the job needs, an input or the key provider, does not answer. Check it in the job settings.",
)
PROBLEMS: dict[int, tuple[str, str]] = {
    1010: ("source_rejected", f"The source cannot be opened; it may not be a video file. {_AGAIN}"),
    1020: ("source_rejected", f"The source has no video. {_AGAIN}"),
    1021: ("source_rejected", "The source has no audio, which the job settings ask for."),
    1030: ("source_rejected", f"The source has a format or codec that cannot be converted. {_AGAIN}"),
    **dict.fromkeys((1075, 1076, 1080, 1092), _BROKEN),
    **dict.fromkeys((1040, 1041, 1042, 1060), _SETTINGS),
    **dict.fromkeys((1050, 1507), _FULL),
    1091: ("key_provider_failed", "There are no content keys. Check that the key provider runs and may be asked."),
    **dict.fromkeys((1401, 1432, 1433, 1434, 1515), _ROLE),
    1404: ("source_missing", "The source was gone before it was converted. Upload it again."),
    **dict.fromkeys((3400, 3401, 3403, 3404, 3408, 3450, 3451, 3457), _FETCH),
}
_UNKNOWN = ("job_failed", "The conversion failed. Upload the source again; if it fails again, look at the job.")


@dataclass(frozen=True)
class Conversion:
    """Which conversion a job is, by the metadata that the watchfolder gave it."""

    asset_id: str
    settings_name: str
    job_id: str


def on_job_state_change(event: JobStateChange, clients: Clients, settings: Settings) -> None:
    """Publish a completed job's outputs, or tell why there are none.

    Jobs of others, states that are not the end, and jobs whose asset was deleted give nothing.
    Raises UpstreamError or Unavailable when a part fails: deliver the event again.
    """
    conversion = _conversion(event.user_metadata, event.job_id)
    if conversion is None or event.status not in ENDED:
        return
    _End(conversion, clients, settings).run(event.status, event.detail)


def on_packaging_change(event: PackagingChange, clients: Clients, settings: Settings) -> None:
    """Publish the packages of a conversion once they are all made, or tell why there are none.

    Raises UpstreamError or Unavailable when a part fails: deliver the event again.
    """
    tags = mediapackage.conversion(event.asset, clients)
    if tags is None:
        return
    found = _conversion(tags, tags["jobId"])
    if found is not None:
        said = event.message if event.event.endswith("Error") else ""
        _End(found, clients, settings, said=said).look()


def sweep(clients: Clients, settings: Settings) -> list[str]:
    """End the jobs whose last event was lost; returns their ids.

    One job that cannot be looked at now does not keep the others waiting: the first such error is raised at the end.
    """
    book = Ledger(clients, settings)
    ended = {key.removeprefix(ledger.PUBLISHED).removesuffix(".json") for key in book.keys(ledger.PUBLISHED)}
    begun: list[tuple[str, str]] = []
    for key in book.keys(ledger.INGEST):
        asset_id, _, name = key.removeprefix(ledger.INGEST).partition("/")
        if name.endswith("~failed"):
            ended.add(f"{asset_id}/{name.removesuffix('~failed')}")
        elif name.endswith(".json"):
            begun.append((asset_id, name.removesuffix(".json")))
    job_ids: list[str] = []
    problems: list[PenstockError] = []
    for asset_id, name in begun:
        # A failure without a settings name is that of the whole asset.
        if not ended.isdisjoint((f"{asset_id}/{name}", f"{asset_id}/")):
            continue
        try:
            marker = book.read(ledger.marker_key(asset_id, name))
            job_id = marker.value.get("jobId") if marker is not None else None
            if job_id and _End(Conversion(asset_id, name, str(job_id)), clients, settings).look():
                job_ids.append(str(job_id))
        except PenstockError as exc:
            problems.append(exc)
    if problems:
        raise problems[0]
    return job_ids


class _End:
    """The end of one conversion."""

    def __init__(self, conversion: Conversion, clients: Clients, settings: Settings, *, said: str = "") -> None:
        """said: what MediaPackage gives as the reason if it turns out that it failed."""
        self.said = said
        self.conversion = conversion
        self.clients = clients
        self.settings = settings
        self.ledger = Ledger(clients, settings)
        self.names = (conversion.asset_id, conversion.settings_name)

    def look(self) -> bool:
        """Ask MediaConvert for the job and end the conversion if it has ended."""
        try:
            job = self._job()
        except NotFound:
            self._fail(Problem("job_lost", "MediaConvert does not know the job any more. Upload the source again."))
            return True
        if job["Status"] in ENDED:
            self.run(job["Status"], {"errorCode": job.get("ErrorCode"), "errorMessage": job.get("ErrorMessage")})
        return job["Status"] in ENDED

    def run(self, status: str, detail: JsonObject) -> None:
        marker = self.ledger.read(ledger.marker_key(*self.names))
        if marker is None or marker.value.get("jobId") not in (None, self.conversion.job_id):
            log.info("job %s is not the one of its asset (deleted, or begun twice)", self.conversion.job_id)
            return
        pointer = self.ledger.read(ledger.pointer_key(*self.names))
        if pointer is not None:
            self.ledger.announce(events.PUBLISHED, pointer.value)
        elif self.ledger.read(ledger.failure_key(*self.names)) is not None:
            return
        elif status == "COMPLETE":
            self._publish(str(marker.value.get("objectKey") or ""))
        else:
            self._fail(problem_of(status, detail))

    def _publish(self, object_key: str) -> None:
        try:
            job = self._job()
        except NotFound as exc:
            raise UpstreamError(f"job {self.conversion.job_id} ended and is not known") from exc
        prefix = ledger.output_prefix(*self.names)
        sizes = listing(self.ledger.objects(prefix + "/"))
        try:
            found = Outputs(prefix, sizes, self.clients, self.settings).publishable(job["Settings"])
            if self.settings.delivery == "mediapackage":
                found = repackaging.with_files(found, prefix, sizes, self.clients, self.settings)
            if self.settings.delivery == "mediapackage" and found.smil and not (found.dash or found.hls):
                packaged = mediapackage.package(
                    *self.names, self.conversion.job_id, found.smil, self.clients, self.settings
                )
                if packaged is None:
                    log.info("asset %s, settings %r is being packaged", *self.names)
                    return
                found = replace(found, **vars(packaged))
        except JobFailed as exc:
            if self.said:
                self._fail(Problem("packaging_failed", f"{exc.message} It says: {self.said.rstrip('.')[:300]}."))
                return
            self._fail(Problem("outputs_unusable", exc.message))
            return
        pointer = {
            "assetId": self.conversion.asset_id,
            "settings": self.conversion.settings_name,
            "jobId": self.conversion.job_id,
            "dash": found.dash,
            "hls": found.hls,
            "smil": found.smil,
            "poster": found.poster,
            "keyIds": list(found.key_ids),
            "keyTiers": dict(found.key_tiers),
            "durationMs": found.duration_ms or _duration_ms(job),
            "objectKey": object_key,
            "title": object_key.rpartition("/")[2],
        }
        if not self.ledger.create(ledger.pointer_key(*self.names), pointer):
            log.info("asset %s, settings %r were published at the same time", *self.names)
        self.ledger.announce(events.PUBLISHED, pointer)

    def _fail(self, problem: Problem) -> None:
        self.ledger.fail(*self.names, problem, job_id=self.conversion.job_id)
        log.warning("asset %s, settings %r failed: %s: %s", *self.names, problem.code, problem.message)

    def _job(self) -> dict[str, Any]:
        with translated("looking at the job"):
            return dict(self.clients.mediaconvert.get_job(Id=self.conversion.job_id)["Job"])


def problem_of(status: str, detail: JsonObject) -> Problem:
    """Turn the end of a job without outputs into a code and a sentence a person can act on."""
    if status == "CANCELED":
        return Problem("canceled", "The conversion was canceled.")
    number = detail.get("errorCode")
    code, sentence = PROBLEMS.get(number, _UNKNOWN) if isinstance(number, int) else _UNKNOWN
    said = str(detail.get("errorMessage") or "").strip()[:300]
    reason = f" MediaConvert says: {said.rstrip('.')} (error {number})." if said else f" MediaConvert error {number}."
    return Problem(code, sentence + reason)


def _conversion(metadata: dict[str, str], job_id: str) -> Conversion | None:
    """Read a job's metadata; None for a job that is not ours."""
    asset_id, name = metadata.get("assetId", ""), metadata.get("settings", "")
    if metadata.get("application") != APPLICATION or not ledger.is_settings_name(name):
        return None
    try:
        known = str(uuid.UUID(asset_id)) == asset_id
    except ValueError:
        known = False
    return Conversion(asset_id, name, job_id) if known else None


def _duration_ms(job: dict[str, Any]) -> int | None:
    """The longest output of a job, which is what is left to go by where there is no MPD."""
    groups = job.get("OutputGroupDetails") or []
    details = [detail for group in groups for detail in group.get("OutputDetails") or []]
    return max((detail["DurationInMs"] for detail in details if detail.get("DurationInMs")), default=None)
