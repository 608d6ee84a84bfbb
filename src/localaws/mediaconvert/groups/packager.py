"""Packages one output group: runs Shaka Packager, or ffmpeg for HLS groups, over encoded tracks; then final names.

Keys reach the packager through a descriptor of its jail and nothing else. Never encodes and never uploads.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from threading import Event

from localaws.media import jail, signalling
from localaws.media.keys import Keys
from localaws.media.signalling import AlternativeAudio
from localaws.media.transfer import Upload
from localaws.mediaconvert import naming
from localaws.mediaconvert.ffmpeg import argv
from localaws.mediaconvert.groups import cmaf_playlists, final_segments, hls, mpd_layout, selections, smooth, thumbnails
from localaws.mediaconvert.planning.planned import Group, Output
from localaws.mediaconvert.settings.packaging import HLS, SMOOTH
from localaws.mediaconvert.text import tracks as text_tracks

_FINAL = "final"
_SEGMENTS = "segments"
_IMAGES = "images"


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
    secret = None
    # Segments of HLS groups are encrypted when they are cut.
    if keys and encryption is not None and group.type != HLS:
        secret = {"keys": keys.flags(encryption.constant_iv)}
    if group.type == HLS:
        command = hls.arguments(group, str(jail.binary("ffmpeg")))
    else:
        command = argv.packager(group, str(jail.binary("packager")), encrypted=keys is not None)
    completed = jail.run(
        command,
        inputs={encoded: "encoded"},
        output_dir=segments,
        limits=limits,
        secrets=secret,
        cancel=cancel,
    )
    completed.check("packaging")
    (folder / _FINAL).mkdir()
    if group.type == SMOOTH:
        smooth.finish(group, encoded, segments, folder / _FINAL, keys)
    elif group.type == HLS:
        hls.finish(group, encoded, segments, folder / _FINAL, keys)
    else:
        final_segments.join(group, segments, jail.outputs(segments))
        _finish_manifests(group, segments, folder / _FINAL, keys)
        _finish_captions(group, encoded, segments, folder / _FINAL)
    if thumbnails.source(group) is not None:
        _make_thumbnails(group, encoded, folder, limits, cancel)


def _make_thumbnails(group: Group, encoded: Path, folder: Path, limits: jail.Limits, cancel: Event) -> None:
    (folder / _IMAGES).mkdir()
    executable = jail.full_ffmpeg() if thumbnails.needs_full_ffmpeg(group) else jail.binary("ffmpeg")
    completed = jail.run(
        thumbnails.arguments(group, str(executable)),
        inputs={encoded: "encoded"},
        output_dir=folder / _IMAGES,
        limits=limits,
        cancel=cancel,
    )
    completed.check("making thumbnails")
    thumbnails.finish(group, encoded, folder / _IMAGES, folder / _FINAL)


def _finish_manifests(group: Group, segments: Path, final: Path, keys: Keys | None) -> None:
    packaging = group.packaging
    assert packaging is not None
    encryption = packaging.encryption
    if packaging.dash:
        written = (segments / "manifest.mpd").read_bytes()
        for name, shown in group.manifests().items():
            labels = {output.label for output in shown.ordered()}
            mpd = written if shown is group else selections.of_mpd(written, labels)
            seen_from = "" if packaging.base_url else shown.manifest
            templates = {
                label: named.template(group.destination.base, seen_from) for label, named in _segments(group).items()
            }
            mpd = signalling.rename_in_mpd(mpd, _references(group, seen_from), templates)
            if keys is not None and encryption is not None:
                mpd = signalling.signal_in_mpd(mpd, keys, encryption.dash_systems)
            mpd = mpd_layout.apply(text_tracks.describe(mpd, shown), packaging.mpd, group.segment_s)
            if packaging.base_url:
                mpd = signalling.base_url_in_mpd(mpd, packaging.base_url)
            (final / f"{name}.mpd").write_bytes(mpd)
    if packaging.hls:
        multivariant = cmaf_playlists.with_sound(
            (segments / "manifest.m3u8").read_text(encoding="utf-8"),
            {f"{output.label}.m3u8": output.audio_groups for output in group.outputs if output.audio_groups},
        )
        for name, shown in group.manifests().items():
            labels = {output.label for output in shown.ordered()}
            text = multivariant if shown is group else selections.of_playlist(multivariant, labels)
            text = signalling.rename_in_playlist(text, _references(group, shown.manifest), {})
            text = _multivariant(text, shown, keys)
            (final / f"{name}.m3u8").write_text(text, encoding="utf-8")
        playlists = [f"{output.label}.m3u8" for output in group.outputs]
        playlists += [f"{output.label}iframe.m3u8" for output in group.outputs if output.key_frames]
        names = dict(_names(group))
        for name in [*playlists, *text_tracks.packed_playlists(group)]:
            text = (segments / name).read_text(encoding="utf-8")
            seen_from = "" if packaging.base_url else names[name]
            prefixes = {output.label: group.reference(output.modifier, seen_from) for output in group.ordered()}
            text = signalling.rename_in_playlist(text, _references(group, seen_from), prefixes)
            text = _media_playlist(name, text, group, keys)
            (final / name).write_text(text, encoding="utf-8")


def _references(group: Group, manifest: str) -> dict[str, str]:
    """The packager's name of each file -> how the manifest with that suffix refers to it."""
    return {local: group.reference(suffix, manifest) for local, suffix in _names(group)}


def _finish_captions(group: Group, encoded: Path, segments: Path, final: Path) -> None:
    for output in group.captions:
        if not output.caption.fragmented:
            shutil.copyfile(encoded / output.work_file, final / output.work_file)
    if group.packaging is not None and group.packaging.hls and group.outputs:
        first = next((output for output in group.outputs if output.video is not None), group.outputs[0])
        lengths_s = text_tracks.durations((segments / f"{first.label}.m3u8").read_text(encoding="utf-8"))
        text_tracks.write_segments(group, encoded, final, lengths_s)


def _multivariant(text: str, group: Group, keys: Keys | None) -> str:
    packaging = group.packaging
    assert packaging is not None and packaging.playlists is not None
    text = text_tracks.announce(signalling.announce_audio(text, _audios(group.outputs)), group)
    text = cmaf_playlists.multivariant(text, packaging.playlists)
    if keys is None or packaging.encryption is None:
        return text
    return signalling.signal_in_multivariant(text, keys, packaging.encryption.hls_systems)


def _media_playlist(name: str, text: str, group: Group, keys: Keys | None) -> str:
    packaging = group.packaging
    assert packaging is not None and packaging.playlists is not None
    label = name.removesuffix(".m3u8").removesuffix("iframe")
    output = next((output for output in group.outputs if output.label == label), None)
    if keys is not None and packaging.encryption is not None and output is not None:
        track = keys.labelled(group.track_type(output))
        text = signalling.signal_in_media_playlist(text, packaging.encryption, track)
    return cmaf_playlists.media(text, packaging.playlists, packaging.base_url)


def _audios(outputs: Iterable[Output]) -> list[AlternativeAudio]:
    return [
        AlternativeAudio(
            output.label,
            output.audio.label or output.audio.language or "Audio",
            output.audio_default,
            output.audio_automatic,
        )
        for output in outputs
        if output.audio is not None
    ]


def _segments(group: Group) -> dict[str, naming.Segments]:
    """The packager's label of each rendition -> the names of its segments."""
    found = {output.label: output.segments for output in group.ordered()}
    if group.trick_play is not None and group.packaging is not None:
        found[f"{group.trick_play.label}{naming.TRICK_PLAY}"] = naming.segments(group.packaging.mpd.key_frames or "")
    return found


def _names(group: Group) -> Iterable[tuple[str, str]]:
    """The packager's name of each file that a manifest may name -> its final suffix."""
    if group.trick_play is not None and group.packaging is not None:
        modifier, extension = group.packaging.mpd.key_frames or "", group.trick_play.extension
        label = f"{group.trick_play.label}{naming.TRICK_PLAY}"
        yield f"{label}.{extension}", naming.media_file(modifier, extension)
        yield f"{label}init.{extension}", naming.initialization(modifier, extension)
    for output in group.outputs:
        whole = naming.media_file(output.modifier, output.extension)
        yield f"{output.label}.{output.extension}", whole
        yield f"{output.label}init.{output.extension}", naming.initialization(output.modifier, output.extension)
        yield f"{output.label}.m3u8", naming.playlist(output.modifier)
        yield f"{output.label}iframe.m3u8", naming.key_frames(output.modifier)
    yield from text_tracks.names(group).items()


def uploads(group: Group, folder: Path) -> list[Upload]:
    """The files that `package` made, and the objects that they become. Nothing but regular files is followed."""
    made = thumbnails.uploads(group, list(jail.outputs(folder / _IMAGES)))
    if group.type == SMOOTH:
        return smooth.uploads(group, jail.outputs(folder / _FINAL))
    if group.type == HLS:
        return [*made, *hls.uploads(group, jail.outputs(folder / _SEGMENTS), jail.outputs(folder / _FINAL))]
    finals, shown, named = dict(_names(group)), group.manifests(), _segments(group)
    packaged = [path for path in jail.outputs(folder / _SEGMENTS) if path.suffix not in (".mpd", ".m3u8")]
    for path in [*packaged, *jail.outputs(folder / _FINAL)]:
        if path.stem in shown:
            suffix = f"{group.manifest_modifier(path.stem)}{path.suffix}"
        elif path.name in finals:
            suffix = finals[path.name]
        else:
            label, _, number = path.stem.rpartition("_")
            suffix = named[label].name(path.suffix[1:], int(number))
        made.append(Upload(path, group.destination.bucket, group.destination.base + suffix))
    return made


def file_uploads(group: Group, encoded: Path) -> list[Upload]:
    """The objects of a file group: each output's file, or each captured frame."""
    made = []
    for output in group.ordered():
        found = sorted(encoded.glob(f"{output.label}.*"))
        for path in found:
            suffix = naming.media_file(output.modifier, output.extension)
            if isinstance(output, Output) and output.captures:
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
