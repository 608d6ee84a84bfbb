"""Packages an HLS group: MPEG-2 transport stream or packed audio segments by ffmpeg, playlists by ourselves.

Encodes nothing; names in the work folder are safe ones, final names are those that MediaConvert gives.
Source: RFC 8216 and draft-pantos-hls-rfc8216bis; MediaConvert user guide, HLS output groups.
"""

from __future__ import annotations

import csv
import math
import re
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from localaws.mediaconvert import hls_settings, naming, outputs
from localaws.mediaconvert.plan import Group, Output, VideoTrack
from localaws.mediaconvert.transfer import Upload

_TIMESTAMP_OWNER = b"com.apple.streaming.transportStreamTimestamp\x00"
# ffmpeg's AAC encoder puts one frame before the first sample of the source.
_PRIMING_SAMPLES = 1024


@dataclass(frozen=True)
class Segment:
    path: Path
    duration_s: float
    size_bytes: int


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
        return [
            "-f", "segment", "-segment_format", "adts", "-segment_time", length, "-segment_start_number", "1",
            "-segment_list", f"/out/{output.label}.csv", "-segment_list_type", "csv", f"/out/{output.label}_%05d.aac",
        ]  # fmt: skip
    pids = ([stream.video_pid] if output.video is not None else []) + ([stream.audio_pid] if output.audio else [])
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


def finish(group: Group, encoded: Path, segments: Path, final: Path) -> None:
    """Stamp packed audio, join what is to be one file, and write the playlists with final names into `final`."""
    hls = _hls(group)
    cut = {output.label: _cut(output, segments) for output in group.outputs}
    for output in group.outputs:
        if hls.single_file:
            _join(cut[output.label], segments / f"{output.label}.{output.extension}")
        playlist = _media_playlist(group, output, cut[output.label])
        (final / f"{output.label}.m3u8").write_text(playlist, encoding="utf-8")
    codecs = {output.label: _codecs(output, encoded) for output in group.outputs}
    (final / "manifest.m3u8").write_text(_multivariant(group, cut, codecs), encoding="utf-8")


def _hls(group: Group) -> hls_settings.HlsGroup:
    assert group.packaging is not None and group.packaging.hls_group is not None
    return group.packaging.hls_group


def _cut(output: Output, folder: Path) -> list[Segment]:
    assert output.hls is not None
    if output.hls.stream is None:
        return _packed(output, folder)
    listed = (folder / f"{output.label}.m3u8").read_text()
    found = re.findall(r"#EXTINF:([0-9.]+),[^\n]*\n([^#\n]+)", listed)
    paths = [(folder / Path(name).name, float(duration)) for duration, name in found]
    return [Segment(path, duration_s, path.stat().st_size) for path, duration_s in paths]


def _packed(output: Output, folder: Path) -> list[Segment]:
    """ADTS has no times of its own: each segment says its first one in an ID3 tag (RFC 8216, 3.4)."""
    assert output.audio is not None
    priming_s = Fraction(_PRIMING_SAMPLES, output.audio.sample_rate_hz)
    made = []
    with (folder / f"{output.label}.csv").open(newline="") as listed:
        for name, begin, end in csv.reader(listed):
            path = folder / Path(name).name
            stamped = path.with_suffix(".part")
            with path.open("rb") as plain, stamped.open("wb") as target:
                target.write(timestamp_tag(Fraction(2) + Fraction(begin) - priming_s))
                shutil.copyfileobj(plain, target)
            stamped.rename(path)
            made.append(Segment(path, float(end) - float(begin), path.stat().st_size))
    return made


def timestamp_tag(time_s: Fraction) -> bytes:
    """An ID3 tag with one PRIV frame: the 33-bit MPEG-2 time, in ticks of 90 kHz, of what follows."""
    ticks = round(time_s * 90_000) % 2**33
    content = _TIMESTAMP_OWNER + ticks.to_bytes(8, "big")
    frame = b"PRIV" + len(content).to_bytes(4, "big") + b"\x00\x00" + content
    return b"ID3\x04\x00\x00" + len(frame).to_bytes(4, "big") + frame


def _join(parts: Sequence[Segment], whole: Path) -> None:
    with whole.open("wb") as target:
        for part in parts:
            with part.path.open("rb") as source:
                shutil.copyfileobj(source, target)
            part.path.unlink()


def _media_playlist(group: Group, output: Output, segments: Sequence[Segment]) -> str:
    hls = _hls(group)
    longest = max((segment.duration_s for segment in segments), default=0.0)
    target = math.ceil(longest - 1e-3) if hls.target_rounds_up else math.floor(longest + 0.5)
    lines = ["#EXTM3U", f"#EXT-X-VERSION:{4 if hls.single_file else 3}", f"#EXT-X-TARGETDURATION:{max(1, target)}"]
    lines += ["#EXT-X-MEDIA-SEQUENCE:1", "#EXT-X-PLAYLIST-TYPE:VOD"]
    if not hls.may_cache:
        lines.append("#EXT-X-ALLOW-CACHE:NO")
    position = 0
    for number, segment in enumerate(segments, start=1):
        shown = str(round(segment.duration_s)) if hls.whole_durations else f"{segment.duration_s:.6f}"
        lines.append(f"#EXTINF:{shown},")
        if hls.single_file:
            lines.append(f"#EXT-X-BYTERANGE:{segment.size_bytes}@{position}")
            position += segment.size_bytes
        lines.append(_reference(group, _media(output, number, hls.single_file)))
    return "\n".join([*lines, "#EXT-X-ENDLIST"]) + "\n"


def _media(output: Output, number: int, single_file: bool) -> str:
    assert output.hls is not None
    if single_file:
        return naming.media_file(output.modifier, output.extension)
    return naming.hls_segment(output.modifier, output.hls.segment_modifier, output.extension, number)


def _reference(group: Group, suffix: str) -> str:
    return naming.relative_reference(group.destination.base, suffix)


def _playlist(output: Output) -> str:
    return naming.media_file(output.modifier, "m3u8")


def _multivariant(group: Group, cut: dict[str, list[Segment]], codecs: dict[str, list[str]]) -> str:
    alternatives = [output for output in group.outputs if _is_alternative(output)]
    lines = ["#EXTM3U", "#EXT-X-VERSION:4", "#EXT-X-INDEPENDENT-SEGMENTS"]
    taken: set[str] = set()
    for output in alternatives:
        assert output.hls is not None
        default = output.hls.track_type.endswith("_DEFAULT") and output.hls.audio_group not in taken
        if default:
            taken.add(output.hls.audio_group)
        lines.append(_alternative(group, output, default))
    for output in group.outputs:
        if output in alternatives:
            continue
        for name in _groups_of(output, alternatives) or [None]:
            members = [other for other in alternatives if other.hls and other.hls.audio_group == name]
            lines += [_variant(group, output, members, name, cut, codecs), _reference(group, _playlist(output))]
    return "\n".join(lines) + "\n"


def _is_alternative(output: Output) -> bool:
    return output.video is None and output.hls is not None and output.hls.track_type != hls_settings.VARIANT


def _groups_of(output: Output, alternatives: Iterable[Output]) -> list[str | None]:
    """The audio groups that a variant plays with: those it names, or all of them when it has no sound of its own."""
    assert output.hls is not None
    there = dict.fromkeys(other.hls.audio_group for other in alternatives if other.hls is not None)
    if output.video is None or (output.hls.audio_groups is None and output.audio is not None):
        return []
    return [name for name in there if output.hls.audio_groups is None or name in output.hls.audio_groups]


def _alternative(group: Group, output: Output, default: bool) -> str:
    assert output.hls is not None and output.audio is not None
    name = re.sub(r'["\r\n]', "'", output.audio.label or output.audio.language or "Audio")
    automatic = "_NOT_AUTO_" not in output.hls.track_type
    fields = ["TYPE=AUDIO", f'GROUP-ID="{output.hls.audio_group}"', f'NAME="{name}"']
    if output.audio.language:
        fields.append(f'LANGUAGE="{output.audio.language}"')
    fields += [f"DEFAULT={'YES' if default else 'NO'}", f"AUTOSELECT={'YES' if automatic else 'NO'}"]
    fields += [f'CHANNELS="{output.audio.channels}"', f'URI="{_reference(group, _playlist(output))}"']
    return f"#EXT-X-MEDIA:{','.join(fields)}"


def _variant(
    group: Group,
    output: Output,
    members: Sequence[Output],
    audio_group: str | None,
    cut: dict[str, list[Segment]],
    codecs: dict[str, list[str]],
) -> str:
    rates = [_rates(cut[one.label]) for one in members]
    peak, average = _rates(cut[output.label])
    peak += max((rate[0] for rate in rates), default=0)
    average += max((rate[1] for rate in rates), default=0)
    named = dict.fromkeys(codec for one in (output, *members) for codec in codecs[one.label])
    fields = [f"BANDWIDTH={peak}", f"AVERAGE-BANDWIDTH={average}", f'CODECS="{",".join(named)}"']
    if isinstance(output.video, VideoTrack):
        picture = output.video.picture
        if _hls(group).resolution:
            fields.append(f"RESOLUTION={picture.width}x{picture.height}")
        fields.append(f"FRAME-RATE={float(picture.frame_rate):.3f}")
    if audio_group is not None:
        fields.append(f'AUDIO="{audio_group}"')
    return f"#EXT-X-STREAM-INF:{','.join(fields)}"


def _rates(segments: Sequence[Segment]) -> tuple[int, int]:
    """Peak and average in bit/s. A last short segment says little of the rate, and is left out where there are more."""
    whole = segments[:-1] or segments
    peak = max((round(8 * one.size_bytes / one.duration_s) for one in whole if one.duration_s > 0), default=0)
    total_s = sum(one.duration_s for one in segments)
    average = round(8 * sum(one.size_bytes for one in segments) / total_s) if total_s else 0
    return max(peak, average), average


def _codecs(output: Output, encoded: Path) -> list[str]:
    found = []
    if output.video is not None:
        found.append(outputs.avc_codec(encoded / output.work_file))
    return found + (["mp4a.40.2"] if output.audio is not None else [])


def uploads(group: Group, segments: Iterable[Path], final: Iterable[Path]) -> list[Upload]:
    """The files of an HLS group and the objects they become."""
    hls = _hls(group)
    base, bucket = group.destination.base, group.destination.bucket
    by_label = {output.label: output for output in group.outputs}
    made = []
    for path in segments:
        label, separator, number = path.stem.rpartition("_")
        output = by_label.get(label if separator else path.stem)
        if output is not None and path.suffix == f".{output.extension}":
            suffix = _media(output, int(number) if separator else 0, hls.single_file)
            made.append(Upload(path, bucket, base + suffix))
    for path in final if hls.playlists else ():
        suffix = ".m3u8" if path.name == "manifest.m3u8" else _playlist(by_label[path.stem])
        made.append(Upload(path, bucket, base + suffix))
    return made
