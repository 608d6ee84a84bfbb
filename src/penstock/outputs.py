"""A finished job -> the files it must have left in the media bucket, each looked for; and the forms for viewers.

MediaConvert tells the paths of outputs only in its COMPLETE event, and not for DASH and CMAF. So they are computed
again from the job's own settings by its naming rules, and manifests are read for everything they name.
Source: MediaConvert user guide, "Settings variables" and "Using settings variables with streaming outputs".
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from penstock import templates, tiers
from penstock.errors import FormatError, InvalidRequest, JobFailed, NotFound
from penstock.formats import dash, hls, smil
from penstock.model import JsonObject
from penstock.settings import Clients, Settings
from penstock.upstream import translated

MAX_MANIFEST_BYTES = dash.MAX_MPD_BYTES
LICENSE_PATH = "/v1/licenses/clearkey"
CONTENT_TYPES = {
    ".mpd": "application/dash+xml",
    ".m3u8": "application/vnd.apple.mpegurl",
    ".smil": "application/smil+xml",
}

_IDENTIFIER = re.compile(r"\$(?:\$|[A-Za-z]+(?:%0\d{1,2})?\$)")
_MANIFESTS = {
    "CmafGroupSettings": (".mpd", ".m3u8"),
    "DashIsoGroupSettings": (".mpd",),
    "HlsGroupSettings": (".m3u8",),
    "MsSmoothGroupSettings": (".ism",),
}
_SWITCHES = {".mpd": "WriteDashManifest", ".m3u8": "WriteHlsManifest"}
_EXTENSIONS = {"MP4": "mp4", "MOV": "mov", "M2TS": "m2ts", "MXF": "mxf", "WEBM": "webm"}


@dataclass(frozen=True)
class Found:
    """What viewers and MediaPackage can be given; object keys of the media bucket."""

    dash: str | None = None
    hls: str | None = None
    smil: str | None = None
    poster: str | None = None
    key_ids: tuple[str, ...] = ()
    key_tiers: Mapping[str, str] = field(default_factory=dict)
    duration_ms: int | None = None


class Outputs:
    """The outputs of one job below one prefix of the media bucket."""

    def __init__(self, prefix: str, sizes: Mapping[str, int], clients: Clients, settings: Settings) -> None:
        """prefix: without a slash at its end. sizes: bytes of every object below it, by object key."""
        self._prefix = prefix
        self._sizes = sizes
        self._s3 = clients.s3
        self._bucket = settings.media_bucket
        self._license_url = None if settings.drm_file else settings.url + LICENSE_PATH

    def publishable(self, job_settings: JsonObject) -> Found:
        """Check every output and write viewer manifests and SMIL beside them.

        Writing again what is there changes nothing. Raises JobFailed naming what is missing or cannot be read.
        """
        stem = _input_stem(job_settings)
        found = Found()
        for index, group in enumerate(job_settings.get("OutputGroups") or []):
            try:
                member, settings = templates.group_settings(group, f"OutputGroups[{index}]")
                base = self._base(settings.get("Destination"), stem)
                if member == "FileGroupSettings":
                    more = self._files(base, group.get("Outputs") or [])
                else:
                    more = self._streams(base, member, settings)
            except (FormatError, InvalidRequest) as exc:
                raise JobFailed(f"An output of the conversion cannot be used: {exc.message}.") from exc
            found = _merged(found, more)
        return found

    def _base(self, destination: object, stem: str) -> str:
        """What every file name of a group begins with, as a pattern: identifiers such as $dt$ match anything."""
        bucket, _, key = str(destination or "").removeprefix("s3://").partition("/")
        if bucket != self._bucket or not key.startswith(self._prefix + "/"):
            raise JobFailed("The job wrote its outputs outside the folder of its asset; nothing of it is published.")
        return _pattern(key + stem if key.endswith("/") else key)

    def _files(self, base: str, outputs: list[JsonObject]) -> Found:
        """The files of a FILE_GROUP: captured frames make the poster, MP4 videos a SMIL."""
        poster = None
        videos: list[tuple[str, JsonObject]] = []
        for output in outputs:
            codec = ((output.get("VideoDescription") or {}).get("CodecSettings") or {}).get("Codec")
            container = (output.get("ContainerSettings") or {}).get("Container", "")
            extension = re.escape(output.get("Extension") or "") or _EXTENSIONS.get(container) or r"[^./]+"
            name = base + _pattern(output.get("NameModifier") or "")
            if codec == "FRAME_CAPTURE":
                # The first frame of a film is mostly black, so the last capture is the poster.
                poster = self._matching(rf"{name}\.\d{{7}}\.(?:jpe?g|{extension})")[-1]
                continue
            keys = self._matching(rf"{name}\.{extension}")
            if container == "MP4" and codec is not None:
                videos += [(key, output) for key in keys[-1:]]
        return Found(smil=self._write_smil(videos), poster=poster)

    def _write_smil(self, videos: list[tuple[str, JsonObject]]) -> str | None:
        if not videos:
            return None
        modifier = videos[0][1].get("NameModifier") or ""
        stem = posixpath.splitext(videos[0][0])[0]
        key = (stem.removesuffix(modifier) or stem) + ".smil"
        folder = posixpath.dirname(key)
        offered: set[tuple[str, ...]] = set()
        entries = []
        for video_key, output in videos:
            languages = _languages(output)
            tracks = tuple(smil.Audio(language, included=languages not in offered) for language in languages)
            offered.add(languages)
            entries.append(smil.Video(posixpath.relpath(video_key, folder), tracks))
        self._write(key, smil.build(entries))
        return key

    def _streams(self, base: str, member: str, settings: JsonObject) -> Found:
        found = Found()
        for extension in _MANIFESTS[member]:
            if settings.get(_SWITCHES.get(extension, ""), "ENABLED") == "DISABLED":
                continue
            more = [manifest.get("ManifestNameModifier", "") for manifest in settings.get("AdditionalManifests") or []]
            for modifier in reversed(["", *more]):
                key = self._matching(base + _pattern(modifier) + re.escape(extension))[-1]
                if extension == ".mpd":
                    found = _merged(self._dash(key), found)
                elif extension == ".m3u8":
                    found = _merged(self._hls(key), found)
        return found

    def _dash(self, key: str) -> Found:
        mpd = self._read(key)
        self._need(key, dash.segment_names(mpd), spare=dash.approximate_segments(mpd))
        self._write(hls.viewer_name(key), dash.viewer_manifest(mpd, license_url=self._license_url))
        ids = tuple(str(key_id) for key_id in dash.key_ids(mpd))
        duration_ms = round(dash.duration_s(mpd) * 1000)
        return Found(dash=hls.viewer_name(key), key_ids=ids, key_tiers=key_tiers(mpd), duration_ms=duration_ms)

    def _hls(self, key: str) -> Found:
        text = self._read_text(key)
        names = hls.media_playlists(text)
        self._need(key, names)
        changed = []
        for name in names:
            child = posixpath.join(posixpath.dirname(key), name)
            playlist = self._read_text(child)
            self._need(child, hls.segment_names(playlist))
            viewers = hls.viewer_playlist(playlist)
            if hls.key_formats(viewers) != hls.key_formats(playlist):
                self._write(hls.viewer_name(child), viewers.encode())
                changed.append(name)
        self._write(hls.viewer_name(key), hls.viewer_playlist(text, renamed=changed).encode())
        return Found(hls=hls.viewer_name(key))

    def _matching(self, pattern: str) -> list[str]:
        """The objects whose key is of that form, in order; at least one, none empty."""
        compiled = re.compile(pattern)
        keys = sorted(key for key in self._sizes if compiled.fullmatch(key))
        if not keys:
            raise JobFailed(f"The conversion left no output {_readable(pattern)}; upload the source again.")
        self._refuse_missing([key for key in keys if not self._sizes[key]])
        return keys

    def _need(self, manifest_key: str, names: list[str], spare: Collection[str] = ()) -> None:
        folder = posixpath.dirname(manifest_key)
        keys = {posixpath.normpath(posixpath.join(folder, name)): name for name in names}
        self._refuse_missing([key for key, name in keys.items() if not self._sizes.get(key) and name not in spare])

    def _refuse_missing(self, keys: list[str]) -> None:
        if keys:
            shown = keys[0].removeprefix(self._prefix + "/")
            more = f" and {len(keys) - 1} more" if len(keys) > 1 else ""
            raise JobFailed(f"Outputs are missing or empty: {shown}{more}; upload the source again.")

    def _read(self, key: str) -> bytes:
        try:
            with translated("reading a manifest"):
                answer = self._s3.get_object(Bucket=self._bucket, Key=key)
                with answer["Body"] as body:
                    return bytes(body.read(MAX_MANIFEST_BYTES + 1))
        except NotFound:
            raise JobFailed(f"The manifest {posixpath.basename(key)} is gone; upload the source again.") from None

    def _read_text(self, key: str) -> str:
        return self._read(key).decode("utf-8", errors="replace")

    def _write(self, key: str, body: bytes) -> None:
        kind = CONTENT_TYPES[posixpath.splitext(key)[1]]
        with translated("writing a manifest for viewers"):
            self._s3.put_object(Bucket=self._bucket, Key=key, Body=body, ContentType=kind)


def key_tiers(mpd: bytes) -> dict[str, str]:
    """What each key of a manifest opens at most: AUDIO, SD, HD or UHD."""
    return {str(kid): tiers.of_pixels(pixels).name for kid, pixels in dash.key_pixels(mpd).items()}


def _merged(first: Found, second: Found) -> Found:
    """What the first has, else what the second has: the first group of a kind is the one that viewers get."""
    return Found(*(mine or theirs for mine, theirs in zip(_values(first), _values(second), strict=True)))


def _values(found: Found) -> tuple[Any, ...]:
    return (found.dash, found.hls, found.smil, found.poster, found.key_ids, found.key_tiers, found.duration_ms)


def _pattern(name: str) -> str:
    """A name as a regular expression: what MediaConvert fills in at an identifier is anything without a slash."""
    parts = _IDENTIFIER.split(name)
    marks = [r"\$" if mark == "$$" else "[^/]+" for mark in _IDENTIFIER.findall(name)]
    return "".join(re.escape(part) + mark for part, mark in zip(parts, [*marks, ""], strict=True))


def _readable(pattern: str) -> str:
    return posixpath.basename(re.sub(r"\\(.)", r"\1", pattern.replace("[^/]+", "*").replace(r"\.\d{7}", ".*")))


def _input_stem(job_settings: JsonObject) -> str:
    """File name of the first input without its extension: what names outputs whose Destination ends in a slash."""
    inputs = job_settings.get("Inputs") or [{}]
    return posixpath.splitext(posixpath.basename(str(inputs[0].get("FileInput") or "")))[0].replace("$", "$$")


def _languages(output: JsonObject) -> tuple[str, ...]:
    """Languages of an output's audio tracks as they were set; nothing unless all are known."""
    codes = []
    for description in output.get("AudioDescriptions") or []:
        code = description.get("CustomLanguageCode") or description.get("LanguageCode")
        if not code or description.get("LanguageCodeControl") == "FOLLOW_INPUT":
            return ()
        codes.append(str(code).lower() if description.get("CustomLanguageCode") is None else str(code))
    return tuple(codes)


def listing(objects: Iterator[dict[str, Any]]) -> dict[str, int]:
    """Object key -> size in bytes, without the manifests for viewers that an earlier attempt wrote."""
    ours = (".viewer.mpd", ".viewer.m3u8")
    return {item["Key"]: item["Size"] for item in objects if not item["Key"].endswith(ours)}
