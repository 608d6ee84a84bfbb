"""Packages an ingested asset as one configuration says: segments by Shaka Packager in the jail, manifests by us.

Keys reach the packager through a descriptor of its jail and nothing else; no step leaves a half-made package in place.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path
from threading import Event

from localaws.media import jail, whole_segments
from localaws.media.failures import ENCRYPTION, JobError
from localaws.media.keys import KeyProvider, Keys
from localaws.mediapackage_vod import argv, manifests, smooth_package
from localaws.mediapackage_vod.configurations import Package
from localaws.mediapackage_vod.ingest import Rejected
from localaws.mediapackage_vod.manifests import NothingSelected
from localaws.mediapackage_vod.smooth_package import NoSmooth
from localaws.mediapackage_vod.tracks import Source, Track

_EXTINF = re.compile(r"#EXTINF:([0-9.]+)")


def package(asked: Package, source: Source, sources: Path, folder: Path, keys: Keys | None, cancel: Event) -> None:
    """Make the package in `folder`; what an earlier attempt left there is thrown away.

    Raises Rejected for a source that this configuration cannot package; JobError 1050, 1091, 1999; JobCanceled.
    """
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True, mode=0o700)
    hevc = [track for track in source.of("video") if track.codec == "hevc"]
    if hevc and asked.kind != "cmaf":
        raise Rejected("the source has HEVC video, which CMAF packages alone can carry")
    if asked.muxed and len(source.of("audio")) > 1:
        raise Rejected(
            f"the source has {len(source.of('audio'))} audio tracks; without useAudioRenditionGroup the one that there "
            "is goes into the video's segments"
        )
    iv = asked.encryption.constant_iv if asked.encryption else None
    secret = keys.flags(iv) if keys is not None and argv.samples_encrypted(asked) else None
    completed = jail.run(
        argv.packager(asked, source, str(jail.binary("packager"))),
        inputs={sources: "sources"},
        output_dir=folder,
        limits=jail.Limits.for_encode(source.duration_s, renditions=len(source.tracks)),
        secrets=None if secret is None else {"keys": secret},
        cancel=cancel,
    )
    completed.check("packaging")
    if asked.muxed and source.of("audio"):
        _mux(asked, source, sources, folder, cancel)
        source = replace(source, tracks=tuple(track for track in source.tracks if track.kind != "audio"))
    try:
        if asked.kind == "dash":
            _dash(asked, source, folder, keys)
        elif asked.kind == "mss":
            smooth_package.make(asked, source, sources, folder, keys)
        else:
            _hls(asked, source, folder, keys)
    except (NothingSelected, NoSmooth) as exc:
        raise Rejected(str(exc)) from exc


def _mux(asked: Package, source: Source, sources: Path, folder: Path, cancel: Event) -> None:
    """Replace the packager's segments of video and audio by such that have both."""
    for track in (*source.of("video"), *source.of("audio")):
        for path in (folder / f"{track.label}.m3u8", *folder.glob(f"{track.label}_*.ts")):
            path.unlink()
    completed = jail.run(
        argv.muxer(asked, source, str(jail.binary("ffmpeg"))),
        inputs={sources: "sources"},
        output_dir=folder,
        limits=jail.Limits.for_encode(source.duration_s, renditions=len(source.tracks)),
        cancel=cancel,
    )
    completed.check("muxing")


def get_keys(
    provider: KeyProvider, asked: Package, source: Source, asset_uid: str, resource_id: str, cancel: Event
) -> Keys | None:
    """The keys of a package, the same each time; None for a clear one. Raises JobError 1091, 3450, 3451."""
    if asked.encryption is None:
        return None
    labels = {label for track in source.tracks if (label := asked.track_type(track)) is not None}
    keys = provider.keys(asset_uid, replace(asked.encryption, resource_id=resource_id), labels, cancel)
    if asked.whole_segments:
        for track in keys.tracks:
            _check_whole_segment_tags(track.label, [system.hls_media or "" for system in track.systems])
    return keys or None


def _check_whole_segment_tags(label: str, tags: list[str]) -> None:
    lines = [line.strip() for text in tags for line in text.splitlines() if line.strip()]
    if not lines or not all(line.startswith("#EXT-X-KEY:") and "METHOD=AES-128" in line for line in lines):
        raise JobError(
            ENCRYPTION,
            f"the key provider sent no EXT-X-KEY with METHOD=AES-128 for {label}; its HLSSignalingData is to hold one",
        )


def _dash(asked: Package, source: Source, folder: Path, keys: Keys | None) -> None:
    written = (folder / argv.DASH_FILE).read_bytes()
    (folder / argv.DASH_FILE).unlink()
    for manifest in asked.manifests:
        (folder / f"{manifest.name}.mpd").write_bytes(manifests.mpd(written, asked, manifest, source, keys))


def _hls(asked: Package, source: Source, folder: Path, keys: Keys | None) -> None:
    written = _taken(folder / argv.HLS_FILE)
    playlists = {track.label: _taken(folder / f"{track.label}.m3u8") for track in source.tracks}
    rates = {label: _rate(playlists[label], folder) for label in (track.label for track in source.of("video"))}
    if asked.whole_segments and keys is not None:
        for track in source.tracks:
            _encrypt_segments(asked, track, playlists[track.label], folder, keys)
    for manifest in asked.manifests:
        for track in source.tracks:
            text = manifests.media_playlist(playlists[track.label], asked, manifest, track, keys)
            (folder / manifests.media_name(manifest, track.label)).write_text(text, encoding="utf-8")
        text = manifests.multivariant(written, asked, manifest, source, rates, keys)
        (folder / f"{manifest.name}.m3u8").write_text(text, encoding="utf-8")


def _taken(path: Path) -> str:
    text = path.read_text(encoding="utf-8")
    path.unlink()
    return text


def _segments(playlist: str) -> list[str]:
    return [line for line in playlist.splitlines() if line and not line.startswith("#")]


def _rate(playlist: str, folder: Path) -> int:
    """Average bit/s of a rendition, from what was written."""
    seconds = sum(float(found) for found in _EXTINF.findall(playlist))
    size = sum((folder / name).stat().st_size for name in _segments(playlist))
    return round(8 * size / seconds) if seconds else 0


def _encrypt_segments(asked: Package, track: Track, playlist: str, folder: Path, keys: Keys) -> None:
    chosen = keys.labelled(asked.track_type(track))
    if chosen is None:
        return
    assert asked.encryption is not None
    assert chosen.key.key is not None
    constant = asked.encryption.constant_iv
    named = re.search(r"IV=0[xX]([0-9a-fA-F]{32})", "".join(system.hls_media or "" for system in chosen.systems))
    if named is None and constant is not None:
        raise JobError(ENCRYPTION, "constantInitializationVector is set and the key provider's EXT-X-KEY names no IV")
    for number, name in enumerate(_segments(playlist)):
        iv = bytes.fromhex(named[1]) if named else whole_segments.sequence_iv(number)
        whole_segments.encrypt(folder / name, chosen.key.key, iv)
