"""Packages one output group: runs Shaka Packager, or ffmpeg for HLS groups, over encoded tracks; then final names.

Keys reach the packager through a descriptor of its jail and nothing else. Never encodes and never uploads.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from threading import Event

from localaws.mediaconvert import argv, hls, jail, naming, signalling
from localaws.mediaconvert.failures import DISK, INTERNAL, JobCanceled, JobError
from localaws.mediaconvert.jail import Completed, Ending
from localaws.mediaconvert.keys import Keys
from localaws.mediaconvert.packaging import HLS
from localaws.mediaconvert.plan import Group, Output
from localaws.mediaconvert.signalling import AlternativeAudio
from localaws.mediaconvert.transfer import Upload

_MANIFESTS = {"manifest.mpd": "mpd", "manifest.m3u8": "m3u8"}
_FINAL = "final"
_SEGMENTS = "segments"


def package(group: Group, encoded: Path, folder: Path, keys: Keys | None, limits: jail.Limits, cancel: Event) -> None:
    """Make segments and manifests of a group in `folder`; what an earlier attempt left there is thrown away.

    Raises JobError 1050 for a full disk, 1999 for a packager that fails, 1091 for signalling that cannot be used.
    """
    if folder.exists():
        shutil.rmtree(folder)
    segments = folder / _SEGMENTS
    segments.mkdir(parents=True)
    assert group.packaging is not None
    encryption = group.packaging.encryption
    iv = encryption.constant_iv if encryption else None
    if group.type == HLS:
        command = hls.arguments(group, str(jail.binary("ffmpeg")))
    else:
        command = argv.packager(group, str(jail.binary("packager")), encrypted=keys is not None)
    completed = jail.run(
        command,
        inputs={encoded: "encoded"},
        output_dir=segments,
        limits=limits,
        secrets={"keys": keys.flags(iv)} if keys else None,
        cancel=cancel,
    )
    check(completed, "packaging")
    (folder / _FINAL).mkdir()
    if group.type == HLS:
        hls.finish(group, encoded, segments, folder / _FINAL)
    else:
        _finish_manifests(group, segments, folder / _FINAL, keys)


def check(completed: Completed, work: str) -> None:
    """Turn a run that failed into the error that the job ends with."""
    if completed.ok:
        return
    if completed.ending is Ending.CANCELED:
        raise JobCanceled
    if completed.disk_full:
        raise JobError(DISK, "the disk is full; make room below the data folder and submit the job again")
    raise JobError(INTERNAL, f"{work} failed: it {completed.problem()}")


def _finish_manifests(group: Group, segments: Path, final: Path, keys: Keys | None) -> None:
    references = {local: naming.relative_reference(group.destination.base, suffix) for local, suffix in _names(group)}
    prefixes = {
        output.label: naming.relative_reference(group.destination.base, output.modifier) for output in group.outputs
    }
    packaging = group.packaging
    assert packaging is not None
    encryption = packaging.encryption
    if packaging.dash:
        mpd = signalling.rename_in_mpd((segments / "manifest.mpd").read_bytes(), references, prefixes)
        if keys is not None and encryption is not None:
            mpd = signalling.signal_in_mpd(mpd, keys, encryption.dash_systems)
        (final / "manifest.mpd").write_bytes(mpd)
    if packaging.hls:
        for name in ["manifest.m3u8", *(f"{output.label}.m3u8" for output in group.outputs)]:
            text = (segments / name).read_text(encoding="utf-8")
            (final / name).write_text(_playlist(name, text, group, keys, references, prefixes), encoding="utf-8")


def _playlist(
    name: str, text: str, group: Group, keys: Keys | None, references: dict[str, str], prefixes: dict[str, str]
) -> str:
    packaging = group.packaging
    assert packaging is not None
    systems = packaging.encryption.hls_systems if packaging.encryption else ()
    text = signalling.rename_in_playlist(text, references, prefixes)
    if name == "manifest.m3u8":
        text = signalling.announce_audio(text, _audios(group.outputs))
        return text if keys is None else signalling.signal_in_multivariant(text, keys, systems)
    if keys is None:
        return text
    output = next(output for output in group.outputs if f"{output.label}.m3u8" == name)
    kind = "VIDEO" if output.video is not None else "AUDIO"
    track = next((track for track in keys.tracks if track.label == kind), None)
    return signalling.signal_in_media_playlist(text, track, systems)


def _audios(outputs: Iterable[Output]) -> list[AlternativeAudio]:
    return [
        AlternativeAudio(output.label, output.audio.label or output.audio.language or "Audio", output.audio_default)
        for output in outputs
        if output.audio is not None
    ]


def _names(group: Group) -> Iterable[tuple[str, str]]:
    """The packager's name of each file that a manifest may name -> its final suffix."""
    for output in group.outputs:
        whole = naming.media_file(output.modifier, output.extension)
        yield f"{output.label}.{output.extension}", whole
        yield f"{output.label}init.{output.extension}", naming.initialization(output.modifier, output.extension)
        yield f"{output.label}.m3u8", naming.media_file(output.modifier, "m3u8")


def uploads(group: Group, folder: Path) -> list[Upload]:
    """The files that `package` made, and the objects that they become. Nothing but regular files is followed."""
    if group.type == HLS:
        return hls.uploads(group, jail.outputs(folder / _SEGMENTS), jail.outputs(folder / _FINAL))
    made: list[Upload] = []
    finals = dict(_names(group))
    packaged = [path for path in jail.outputs(folder / _SEGMENTS) if path.suffix not in (".mpd", ".m3u8")]
    for path in [*packaged, *jail.outputs(folder / _FINAL)]:
        if path.name in _MANIFESTS:
            suffix = f".{_MANIFESTS[path.name]}"
        elif path.name in finals:
            suffix = finals[path.name]
        else:
            label, _, number = path.stem.rpartition("_")
            output = next(output for output in group.outputs if output.label == label)
            suffix = naming.segment(output.modifier, output.extension, int(number))
        made.append(Upload(path, group.destination.bucket, group.destination.base + suffix))
    return made


def file_uploads(group: Group, encoded: Path) -> list[Upload]:
    """The objects of a file group: each output's file, or each captured frame."""
    made = []
    for output in group.outputs:
        found = sorted(encoded.glob(f"{output.label}.*"))
        for path in found:
            suffix = naming.media_file(output.modifier, output.extension)
            if output.captures:
                suffix = naming.capture(output.modifier, output.extension, int(path.stem.rpartition(".")[2]))
            made.append(Upload(path, group.destination.bucket, group.destination.base + suffix))
    return made


def remember(uploads_made: Iterable[Upload], path: Path) -> None:
    """Write down what is to be uploaded, last of all: where this file exists the packaging is whole."""
    rows = [[str(upload.path), upload.bucket, upload.object_key] for upload in uploads_made]
    part = path.with_suffix(".part")
    part.write_text(json.dumps(rows))
    part.rename(path)


def recall(path: Path) -> list[Upload]:
    return [Upload(Path(file), bucket, object_key) for file, bucket, object_key in json.loads(path.read_text())]
