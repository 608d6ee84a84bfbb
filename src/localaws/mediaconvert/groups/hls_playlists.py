"""Writes the playlists of an HLS group from its cut segments, with final names. Opens nothing.

Source: RFC 8216 and draft-pantos-hls-rfc8216bis; MediaConvert user guide, HLS output groups. AWS does not tell how it
names I-frame playlists and subdirectories: `_I-Frame` and five-digit folders are ours, unverified.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from localaws.media.transport_stream import KeyFrame
from localaws.mediaconvert import naming
from localaws.mediaconvert.groups.cmaf_playlists import target_duration
from localaws.mediaconvert.planning.planned import Group, Output, VideoTrack
from localaws.mediaconvert.settings import hls as hls_settings

FIRST_NUMBER = 1
"""Media sequence number of the first segment, which is also the IV of an encrypted one that has no other."""
_TICKS_PER_S = 90_000


@dataclass(frozen=True)
class Segment:
    path: Path
    duration_s: float
    size_bytes: int


def settings_of(group: Group) -> hls_settings.HlsGroup:
    assert group.packaging is not None and group.packaging.hls_group is not None
    return group.packaging.hls_group


def media_playlist(group: Group, output: Output, segments: Sequence[Segment], tags: Sequence[str]) -> str:
    hls = settings_of(group)
    longest = max((segment.duration_s for segment in segments), default=0.0)
    target = target_duration(longest, hls)
    version = 5 if _needs_5(tags) else 4 if hls.single_file else 3
    lines = ["#EXTM3U", f"#EXT-X-VERSION:{version}", f"#EXT-X-TARGETDURATION:{target}"]
    lines += [f"#EXT-X-MEDIA-SEQUENCE:{FIRST_NUMBER}", "#EXT-X-PLAYLIST-TYPE:VOD"]
    if not hls.may_cache:
        lines.append("#EXT-X-ALLOW-CACHE:NO")
    lines += tags
    position, since_s, told_s = 0, 0.0, -math.inf
    for number, segment in enumerate(segments, start=FIRST_NUMBER):
        if hls.date_every_s is not None and group.started is not None and since_s - told_s >= hls.date_every_s - 1e-3:
            shown_at = group.started + timedelta(seconds=since_s)
            lines.append(f"#EXT-X-PROGRAM-DATE-TIME:{shown_at.isoformat(timespec='milliseconds')}")
            told_s = since_s
        since_s += segment.duration_s
        shown = str(round(segment.duration_s)) if hls.whole_durations else f"{segment.duration_s:.6f}"
        lines.append(f"#EXTINF:{shown},")
        if hls.single_file:
            lines.append(f"#EXT-X-BYTERANGE:{segment.size_bytes}@{position}")
            position += segment.size_bytes
        lines.append(_address(group, media(group, output, number, segment.path), playlist(output)))
    return "\n".join([*lines, "#EXT-X-ENDLIST"]) + "\n"


def key_frame_playlist(
    group: Group,
    output: Output,
    segments: Sequence[Segment],
    found: Sequence[tuple[int, KeyFrame]],
    tags: Sequence[str],
) -> str:
    """A playlist of key frames alone: byte ranges of segments, each shown until the next.

    found: the number of the segment and the key frame, in order.
    """
    assert output.hls is not None and output.hls.stream is not None
    end_s = float(output.hls.stream.start_s) + sum(segment.duration_s for segment in segments)
    starts_s = [frame.time_ticks / _TICKS_PER_S for _, frame in found]
    lengths_s = [after - before for before, after in zip(starts_s, [*starts_s[1:], end_s], strict=True)]
    target = max(1, math.ceil(max(lengths_s, default=1) - 1e-3))
    version = 5 if _needs_5(tags) else 4
    lines = ["#EXTM3U", f"#EXT-X-VERSION:{version}", f"#EXT-X-TARGETDURATION:{target}", "#EXT-X-MEDIA-SEQUENCE:1"]
    lines += ["#EXT-X-PLAYLIST-TYPE:VOD", "#EXT-X-I-FRAMES-ONLY", *tags]
    for (number, frame), length_s in zip(found, lengths_s, strict=True):
        lines += [f"#EXTINF:{length_s:.6f},", f"#EXT-X-BYTERANGE:{frame.size_bytes}@{frame.offset}"]
        segment = segments[number - FIRST_NUMBER]
        suffix = media(group, output, number, segment.path)
        lines.append(_address(group, suffix, naming.key_frames(output.modifier)))
    return "\n".join([*lines, "#EXT-X-ENDLIST"]) + "\n"


def media(group: Group, output: Output, number: int, path: Path) -> str:
    """Suffix of a segment's object, or of the one file that holds all segments.

    path: the segment, whose last change is the time that its name may hold.
    """
    assert output.segment_modifier is not None
    hls = settings_of(group)
    if hls.single_file:
        return naming.media_file(output.modifier, output.extension)
    completed = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    own = output.segment_modifier.at(completed)
    suffix = naming.hls_segment(output.modifier, own, output.extension, number)
    if not hls.folders:
        return suffix
    place = 1 if hls.folder_segments is None else 1 + (number - FIRST_NUMBER) // hls.folder_segments
    return naming.folder(group.destination.base, output.modifier, place, suffix)


def _address(group: Group, suffix: str, media_playlist: str) -> str:
    """A media file as the media playlist with that suffix names it."""
    assert group.packaging is not None
    if base_url := group.packaging.base_url:
        return base_url + group.reference(suffix)
    return group.reference(suffix, media_playlist)


def playlist(output: Output) -> str:
    return naming.playlist(output.modifier)


def multivariant(
    group: Group, cut: dict[str, list[Segment]], codecs: dict[str, list[str]], session_tags: Sequence[str]
) -> str:
    alternatives = [output for output in group.outputs if _is_alternative(output)]
    version = 5 if _needs_5(session_tags) else 4
    lines = ["#EXTM3U", f"#EXT-X-VERSION:{version}", "#EXT-X-INDEPENDENT-SEGMENTS", *session_tags]
    taken: set[str] = set()
    for output in alternatives:
        assert output.hls is not None
        default = output.hls.track_type.endswith("_DEFAULT") and output.hls.audio_group not in taken
        if default:
            taken.add(output.hls.audio_group)
        lines.append(_alternative(group, output, default))
    # Of sound alone the first of each group is what a player begins with; without a variant it would find nothing.
    variants = [output for output in group.outputs if output not in alternatives]
    for output in variants or _first_of_groups(alternatives):
        for name in _groups_of(output, alternatives) or [None]:
            members = [other for other in alternatives if other.hls and other.hls.audio_group == name]
            lines += [_variant(group, output, members, name, cut, codecs), group.reference(playlist(output))]
    lines += [_key_frame_variant(group, output, cut, codecs) for output in group.outputs if has_key_frames(output)]
    return "\n".join(lines) + "\n"


def _needs_5(tags: Sequence[str]) -> bool:
    """RFC 8216, 7."""
    return any("KEYFORMAT" in tag or "METHOD=SAMPLE-AES" in tag for tag in tags)


def has_key_frames(output: Output) -> bool:
    return output.hls is not None and output.hls.key_frames


def _key_frame_variant(
    group: Group, output: Output, cut: Mapping[str, Sequence[Segment]], codecs: Mapping[str, Sequence[str]]
) -> str:
    """Its peak cannot be more than that of the segments which its frames are from."""
    assert output.video is not None
    fields = [f"BANDWIDTH={_rates(cut[output.label])[0]}", f'CODECS="{codecs[output.label][0]}"']
    if settings_of(group).resolution:
        fields.append(f"RESOLUTION={output.video.picture.width}x{output.video.picture.height}")
    fields.append(f'URI="{group.reference(naming.key_frames(output.modifier))}"')
    return f"#EXT-X-I-FRAME-STREAM-INF:{','.join(fields)}"


def _is_alternative(output: Output) -> bool:
    return output.video is None and output.hls is not None and output.hls.track_type != hls_settings.VARIANT


def _first_of_groups(alternatives: Sequence[Output]) -> list[Output]:
    first: dict[str, Output] = {}
    for output in alternatives:
        assert output.hls is not None
        first.setdefault(output.hls.audio_group, output)
    return list(first.values())


def _groups_of(output: Output, alternatives: Sequence[Output]) -> list[str | None]:
    """The audio groups that a variant plays with: those it names, or all of them when it has no sound of its own."""
    assert output.hls is not None
    there = dict.fromkeys(other.hls.audio_group for other in alternatives if other.hls is not None)
    if output in alternatives:
        return [output.hls.audio_group]
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
    if output.hls.describes_video:
        fields.append('CHARACTERISTICS="public.accessibility.describes-video"')
    fields += [f'CHANNELS="{output.audio.channels}"', f'URI="{group.reference(playlist(output))}"']
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
    peak, average = (0, 0) if output in members else _rates(cut[output.label])
    peak += max((rate[0] for rate in rates), default=0)
    average += max((rate[1] for rate in rates), default=0)
    named = dict.fromkeys(codec for one in (output, *members) for codec in codecs[one.label])
    fields = [f"BANDWIDTH={peak}", f"AVERAGE-BANDWIDTH={average}", f'CODECS="{",".join(named)}"']
    if isinstance(output.video, VideoTrack):
        picture = output.video.picture
        if settings_of(group).resolution:
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
