"""Packages an HLS group: MPEG-2 transport stream or packed audio segments by ffmpeg, all else by ourselves.

Encodes nothing; names in the work folder are safe ones, final names are those that MediaConvert gives.
Source: RFC 8216 and draft-pantos-hls-rfc8216bis; MediaConvert user guide, HLS output groups.
"""

from __future__ import annotations

import csv
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

from localaws.media import id3, transport_stream
from localaws.media.keys import Keys
from localaws.media.transfer import Upload
from localaws.media.transport_stream import KeyFrame
from localaws.mediaconvert import naming
from localaws.mediaconvert.groups import hls_encryption, outputs
from localaws.mediaconvert.groups.hls_encryption import Protection
from localaws.mediaconvert.groups.hls_playlists import (
    FIRST_NUMBER,
    Segment,
    has_key_frames,
    key_frame_playlist,
    media,
    media_playlist,
    multivariant,
    playlist,
    settings_of,
)
from localaws.mediaconvert.planning.planned import Group, Output
from localaws.mediaconvert.settings import hls as hls_settings
from localaws.mediaconvert.text import tracks as text_tracks

_TIMESTAMP_OWNER = "com.apple.streaming.transportStreamTimestamp"
# What ffmpeg's encoders put before the first sample of the source.
_PRIMING_SAMPLES = {"AAC": 1024, "AC3": 256, "EAC3": 256}
_CODECS = {"AAC": "mp4a.40.2", "AC3": "ac-3", "EAC3": "ec-3"}


def arguments(group: Group, executable: str) -> list[str]:
    """Cut every output's encoded file into segments, in one process and without encoding again."""
    command = [executable, "-hide_banner", "-nostdin", "-loglevel", "error", "-y"]
    for output in group.outputs:
        command += ["-i", f"/in/encoded/{output.work_file}"]
    for index, output in enumerate(group.outputs):
        command += ["-map", str(index), "-c", "copy", *_segmented(output, group)]
    return command


def _segmented(output: Output, group: Group) -> list[str]:
    assert output.hls is not None
    # Less by a hair: a key frame that lies exactly on the boundary begins the next segment.
    length = f"{float(group.segment_s) - 1e-5:.5f}"
    stream = output.hls.stream
    if stream is None:
        assert output.audio is not None
        muxer, extension = hls_settings.PACKED[output.audio.coding.codec]
        return [
            "-f", "segment", "-segment_format", muxer, "-segment_time", length, "-segment_start_number", "1",
            "-segment_list", f"/out/{output.label}.csv", "-segment_list_type", "csv",
            f"/out/{output.label}_%05d.{extension}",
        ]  # fmt: skip
    pids = [stream.video_pid] if output.video is not None else []
    pids += stream.audio_pids[: len(output.audios)]
    options = {
        "mpegts_pmt_start_pid": stream.pmt_pid,
        "mpegts_service_id": stream.program,
        "mpegts_transport_stream_id": stream.stream_id,
    }
    return [
        *(part for index, pid in enumerate(pids) for part in ("-streamid", f"{index}:{pid}")),
        # Presentation begins where it is to begin, not where the muxer's own delays would put it.
        "-muxdelay", "0", "-muxpreload", "0", "-output_ts_offset", f"{float(stream.start_s):.3f}",
        "-f", "hls", "-hls_time", length, "-hls_list_size", "0", "-start_number", "1",
        "-hls_segment_options", ":".join(f"{name}={value}" for name, value in options.items()),
        "-hls_segment_filename", f"/out/{output.label}_%05d.ts", f"/out/{output.label}.m3u8",
    ]  # fmt: skip


def finish(group: Group, encoded: Path, segments: Path, final: Path, keys: Keys | None) -> None:
    """Stamp packed audio, encrypt, join what is to be one file, and write the playlists with final names into `final`.

    Raises JobError 1091 for a key provider whose key tags are of another method than the job's.
    """
    hls = settings_of(group)
    protections = {output.label: hls_encryption.protection(group, output, keys) for output in group.outputs}
    tags = {label: list(found.tags) if found else [] for label, found in protections.items()}
    cut = {output.label: _cut(group, output, segments, protections[output.label]) for output in group.outputs}
    for output in group.outputs:
        if (protection := protections[output.label]) is not None:
            cut[output.label] = hls_encryption.encrypt(protection, output, cut[output.label])
    # Of whole segments that are encrypted nobody wants key frames; encrypted samples move them.
    key_frames = {output.label: _key_frames(output, cut[output.label], hls.single_file) for output in group.outputs}
    for output in group.outputs:
        if hls.single_file:
            _join(cut[output.label], segments / f"{output.label}.{output.extension}")
        text = media_playlist(group, output, cut[output.label], tags[output.label])
        (final / f"{output.label}.m3u8").write_text(text, encoding="utf-8")
    first = next((output for output in group.outputs if output.video is not None), group.outputs[0])
    text_tracks.write_segments(group, encoded, final, [segment.duration_s for segment in cut[first.label]])
    codecs = {output.label: _codecs(output, encoded) for output in group.outputs}
    for output in group.outputs:
        if has_key_frames(output):
            text = key_frame_playlist(group, output, cut[output.label], key_frames[output.label], tags[output.label])
            (final / f"{output.label}iframe.m3u8").write_text(text, encoding="utf-8")
    session_tags = _session_tags(group, tags)
    for name, shown in group.manifests().items():
        text = text_tracks.announce(multivariant(shown, cut, codecs, session_tags), shown)
        text = text_tracks.announce_embedded(text, hls)
        (final / f"{name}.m3u8").write_text(text, encoding="utf-8")


def _key_frames(output: Output, segments: Sequence[Segment], single_file: bool) -> list[tuple[int, KeyFrame]]:
    """Key frames with the numbers of their segments; in one file they count from its beginning."""
    if not has_key_frames(output):
        return []
    assert output.hls is not None and output.hls.stream is not None
    stream, before, found = output.hls.stream, 0, []
    for number, segment in enumerate(segments, start=FIRST_NUMBER):
        for frame in transport_stream.key_frames(segment.path, stream.video_pid, stream.pmt_pid):
            found.append((number, replace(frame, offset=before + frame.offset)))
        before += segment.size_bytes if single_file else 0
    return found


def _session_tags(group: Group, tags: Mapping[str, Sequence[str]]) -> list[str]:
    encryption = group.packaging.encryption if group.packaging else None
    if encryption is None or not encryption.session_keys:
        return []
    named = dict.fromkeys(tag for each in tags.values() for tag in each)
    return [tag.replace("#EXT-X-KEY:", "#EXT-X-SESSION-KEY:") for tag in named]


def _cut(group: Group, output: Output, folder: Path, protection: Protection | None) -> list[Segment]:
    assert output.hls is not None and group.packaging is not None
    found = _packed(output, folder, protection) if output.hls.stream is None else _streamed(output, folder)
    if len(found) > 1 and found[-1].duration_s < group.packaging.least_final_s:
        *before, one, last = found
        with one.path.open("ab") as target, last.path.open("rb") as source:
            shutil.copyfileobj(source, target)
        last.path.unlink()
        joined = Segment(one.path, one.duration_s + last.duration_s, one.size_bytes + last.size_bytes)
        return [*before, joined]
    return found


def _streamed(output: Output, folder: Path) -> list[Segment]:
    listed = (folder / f"{output.label}.m3u8").read_text()
    found = re.findall(r"#EXTINF:([0-9.]+),[^\n]*\n([^#\n]+)", listed)
    paths = [(folder / Path(name).name, float(duration)) for duration, name in found]
    return [Segment(path, duration_s, path.stat().st_size) for path, duration_s in paths]


def _packed(output: Output, folder: Path, protection: Protection | None) -> list[Segment]:
    """Packed audio has no times of its own: each segment says its first one in an ID3 tag (RFC 8216, 3.4)."""
    assert output.audio is not None
    described = hls_encryption.described(output.audio, protection)
    priming_s = Fraction(_PRIMING_SAMPLES[output.audio.coding.codec], output.audio.sample_rate_hz)
    made = []
    with (folder / f"{output.label}.csv").open(newline="") as listed:
        for name, begin, end in csv.reader(listed):
            path = folder / Path(name).name
            stamped = path.with_suffix(".part")
            with path.open("rb") as plain, stamped.open("wb") as target:
                target.write(id3.tag(timestamp(Fraction(2) + Fraction(begin) - priming_s), *described))
                shutil.copyfileobj(plain, target)
            stamped.rename(path)
            made.append(Segment(path, float(end) - float(begin), path.stat().st_size))
    return made


def timestamp(time_s: Fraction) -> bytes:
    """An ID3 frame with the 33-bit MPEG-2 time, in ticks of 90 kHz, of what follows."""
    ticks = round(time_s * 90_000) % 2**33
    return id3.private_frame(_TIMESTAMP_OWNER, ticks.to_bytes(8, "big"))


def _join(parts: Sequence[Segment], whole: Path) -> None:
    with whole.open("wb") as target:
        for part in parts:
            with part.path.open("rb") as source:
                shutil.copyfileobj(source, target)
            part.path.unlink()


def _codecs(output: Output, encoded: Path) -> list[str]:
    found = []
    if output.video is not None:
        found.append(outputs.video_codec(encoded / output.work_file))
    return [*found, *dict.fromkeys(_CODECS[track.coding.codec] for track in output.audios)]


def uploads(group: Group, segments: Iterable[Path], final: Iterable[Path]) -> list[Upload]:
    """The files of an HLS group and the objects they become."""
    hls = settings_of(group)
    base, bucket = group.destination.base, group.destination.bucket
    by_label = {output.label: output for output in group.outputs}
    made = []
    for path in segments:
        label, separator, number = path.stem.rpartition("_")
        output = by_label.get(label if separator else path.stem)
        if output is not None and path.suffix == f".{output.extension}":
            suffix = media(group, output, int(number) if separator else 0, path)
            made.append(Upload(path, bucket, base + suffix))
    texts, shown = text_tracks.names(group), group.manifests()
    for path in final:
        if path.suffix == ".m3u8" and not hls.playlists:
            continue
        if path.stem in shown:
            suffix = f"{group.manifest_modifier(path.stem)}.m3u8"
        elif path.stem.removesuffix("iframe") in by_label and path.stem not in by_label:
            suffix = naming.key_frames(by_label[path.stem.removesuffix("iframe")].modifier)
        elif path.stem in by_label:
            suffix = playlist(by_label[path.stem])
        else:
            suffix = texts.get(path.name) or _text_segment(group, path)
        made.append(Upload(path, bucket, base + suffix))
    return made


def _text_segment(group: Group, path: Path) -> str:
    label, _, number = path.stem.rpartition("_")
    output = next(output for output in group.captions if output.label == label)
    return text_tracks.segment_suffix(output, group, path.suffix[1:], int(number))
