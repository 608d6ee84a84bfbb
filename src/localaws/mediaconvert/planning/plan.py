"""From what a job asks for and what its source is, to exactly what will be made. Pure: no I/O, no clock.

Every size, rate, GOP, segment length and file name of the job is decided here, so a plan can be read, tested and
executed again after a crash with the same result.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction

from localaws.media.addresses import AddressRefused, object_address
from localaws.media.failures import NO_VIDEO, SETTINGS, InputRejected, JobError
from localaws.mediaconvert import naming
from localaws.mediaconvert.planning import dynamic_audio, feasible, ladder, told
from localaws.mediaconvert.planning import timeline as timelines
from localaws.mediaconvert.planning.film import Source
from localaws.mediaconvert.planning.inserted import overlay
from localaws.mediaconvert.planning.pictures import active, even, frame
from localaws.mediaconvert.planning.planned import (
    AudioTrack,
    CaptionOutput,
    Gop,
    Group,
    Output,
    Picture,
    Plan,
    VideoTrack,
)
from localaws.mediaconvert.planning.timeline import Timeline
from localaws.mediaconvert.settings import request
from localaws.mediaconvert.settings.audio import Audio
from localaws.mediaconvert.settings.codecs import Coded
from localaws.mediaconvert.settings.packaging import CMAF, DASH, HLS, SMOOTH, Packaging
from localaws.mediaconvert.settings.video import Video

MOST_FRAMES_PER_S = 120
_MANIFESTS = {HLS: "m3u8", DASH: "mpd", CMAF: "mpd", SMOOTH: "ism"}
"""What $ex$ stands for outside file groups: the manifest's extension. AWS does not tell which of a CMAF group's two."""


def plan(job: request.Job, sources: Mapping[str, Source], facts: naming.Facts) -> Plan:
    """Decide everything about a job.

    sources: what is known of each file, by its address. facts: when the job started and what its input is called;
    sizes and rates are added for each output.
    Raises JobError (1040 for settings that do not fit together or the source, 1021 for audio that is not there, 1060
    for clips that are not there), InputRejected 1020 for a source without the video that an output needs.
    """
    warnings: list[str] = []
    job = dynamic_audio.named(job, sources, warnings)
    asked = [output for group in job.groups for output in group.outputs if isinstance(output, request.Output)]
    names = [audio.source for output in asked for audio in output.audios]
    line = timelines.timeline(job.inputs, sources, names)
    line = replace(line, clock_s=timelines.clock_s(job, line, sources), position=job.inputs[0].position)
    warnings += line.warnings
    groups = tuple(_group(number, group, line, facts, warnings) for number, group in enumerate(job.groups))
    _no_two_files_alike(groups)
    return Plan(line.source, line.turn, groups, line.openings, line.scenes, line.sounds, tuple(dict.fromkeys(warnings)))


def _group(
    number: int,
    asked: request.Group,
    line: Timeline,
    facts: naming.Facts,
    warnings: list[str],
) -> Group:
    try:
        destination = naming.destination(asked.destination, facts)
    except AddressRefused as exc:
        raise JobError(SETTINGS, f"{asked.path}: the destination {exc}") from exc
    lengths: dict[str, tuple[Fraction, Fraction]] = {}
    outputs = []
    captions = []
    for index, output in enumerate(_stacked(asked, line, warnings)):
        if isinstance(output, request.CaptionOutput):
            captions.append(_caption(f"g{number}o{index}", output, facts))
            continue
        made = _output(f"g{number}o{index}", output, asked, line, facts, warnings)
        outputs.append(made)
        if asked.packaging and made.video and made.video.gop:
            lengths[output.path] = _lengths(output.path, asked.packaging, made.video.picture, made.video.gop)
    segment_s, fragment_s = _common_lengths(asked, lengths, warnings)
    return Group(
        asked.type, destination, tuple(outputs), asked.packaging, segment_s, fragment_s, tuple(captions), facts.started
    )


def _stacked(
    asked: request.Group, line: Timeline, warnings: list[str]
) -> Iterator[request.Output | request.CaptionOutput]:
    """The outputs of a group; of the video output of an automated stack as many as it has renditions."""
    for output in asked.outputs:
        if asked.abr is None or isinstance(output, request.CaptionOutput) or output.video is None:
            yield output
            continue
        codec = output.video.codec
        assert isinstance(codec, Coded)
        largest = _largest(output.video, line)
        for number, rendition in enumerate(ladder.renditions(asked.abr, largest, codec, warnings), start=1):
            coded = replace(codec, max_bitrate_bps=rendition.bitrate_bps, quality=rendition.quality)
            video = replace(output.video, width=rendition.width, height=rendition.height, codec=coded)
            yield replace(output, modifier=f"{output.modifier}_{number}", video=video)


def _largest(asked: Video, line: Timeline) -> tuple[int, int]:
    """The source in square pixels, no larger than what the output may be."""
    whole = _video(replace(asked, width=None, height=None), None, line).picture
    width, height = whole.width * whole.sar, Fraction(whole.height)
    bounds = ((asked.width, width), (asked.height, height))
    scale = min([Fraction(1), *(Fraction(most) / side for most, side in bounds if most is not None)])
    return even(width * scale), even(height * scale)


def _caption(label: str, asked: request.CaptionOutput, facts: naming.Facts) -> CaptionOutput:
    modifier, segments = _modifier(asked, _facts(facts, asked.extension, None, ()))
    return CaptionOutput(asked.path, label, modifier, asked.extension, asked.caption, asked.modifier, segments)


def _common_lengths(
    asked: request.Group, lengths: dict[str, tuple[Fraction, Fraction]], warnings: list[str]
) -> tuple[Fraction, Fraction]:
    """Lengths of segments and fragments: HLS cuts each output at its own key frames, DASH and CMAF at common ones."""
    if asked.packaging is None:
        return Fraction(0), Fraction(0)
    if not lengths:
        return Fraction(asked.packaging.segment_s), Fraction(asked.packaging.fragment_s)
    if len({segment_s for segment_s, _ in lengths.values()}) > 1:
        told = ", ".join(f"{path} {float(segment_s):.3f} s" for path, (segment_s, _) in lengths.items())
        if asked.type == HLS:
            warnings.append(f"the video outputs of {asked.path} have segments of their own lengths ({told})")
            return min(lengths.values())
        raise JobError(
            SETTINGS,
            f"the video outputs of {asked.path} cannot share segment boundaries ({told}); "
            "give them frame rates and GOP sizes whose multiples meet at the segment length",
        )
    return next(iter(lengths.values()))


def _output(
    label: str,
    asked: request.Output,
    group: request.Group,
    line: Timeline,
    facts: naming.Facts,
    warnings: list[str],
) -> Output:
    video = None if asked.video is None else _video(asked.video, group.packaging, line)
    warnings += [] if asked.video is None else told.unheeded(asked.video, len(line.scenes))
    found = [_audio(audio, line, needed=video is None, warnings=warnings) for audio in asked.audios]
    audios = tuple(track for track in found if track is not None)
    if asked.sound_ends_with_pictures and audios:
        audios = _as_long_as_pictures(asked.path, audios, line, warnings)
    known = _facts(facts, _MANIFESTS.get(group.type, asked.extension), video, audios)
    modifier, segments = _modifier(asked, known)
    if asked.hls is not None:
        place = f"{asked.path}.outputSettings.hlsSettings.segmentModifier"
        _expanded(place, asked.hls.segment_modifier, known)
    made = Output(
        asked.path,
        label,
        modifier,
        asked.extension,
        video,
        audios,
        asked.container,
        asked.audio_group,
        asked.audio_default,
        asked.audio_automatic,
        asked.audio_groups,
        asked.hls,
        asked.modifier,
        asked.key_frames,
        asked.describes_video,
        burn_in=asked.burn_in,
        segments=segments,
        segment_modifier=None if asked.hls is None else naming.SegmentModifier(asked.hls.segment_modifier, known),
        embedded=asked.embedded,
        caption_hints=asked.caption_hints,
    )
    feasible.check(made, line.scenes, line.openings)
    return made


def _modifier(asked: request.Output | request.CaptionOutput, facts: naming.Facts) -> tuple[str, naming.Segments]:
    """An output's name modifier without a segment's number or time, and the names of its segments."""
    place = f"{asked.path}.nameModifier"
    try:
        segments = naming.numbered(asked.modifier, facts)
    except naming.NameRefused as exc:
        raise JobError(SETTINGS, f"{place}: {exc}") from exc
    if segments is not None:
        return segments.before + segments.after, segments
    modifier = _expanded(place, asked.modifier, facts)
    return modifier, naming.segments(modifier)


def _facts(facts: naming.Facts, extension: str, video: VideoTrack | None, audios: Sequence[AudioTrack]) -> naming.Facts:
    rate_bps = None
    if video is not None and isinstance(video.codec, Coded):
        rate_bps = video.codec.rate_bps
    sounds_bps = [audio.coding.bitrate_bps for audio in audios if audio.coding.bitrate_bps is not None]
    return naming.Facts(
        facts.started,
        facts.input_stem,
        extension,
        video.picture.width if video else None,
        video.picture.height if video else None,
        video.picture.frame_rate if video else None,
        rate_bps,
        sum(sounds_bps) if sounds_bps else None,
    )


def _expanded(path: str, modifier: str, facts: naming.Facts) -> str:
    try:
        return naming.expand(modifier, facts)
    except naming.NameRefused as exc:
        raise JobError(SETTINGS, f"{path}: {exc}") from exc


def _video(asked: Video, packaging: Packaging | None, line: Timeline) -> VideoTrack:
    source, turn = line.source, line.turn
    if source.video is None:
        raise InputRejected(NO_VIDEO, f"the source has no video, which {asked.path} needs")
    codec = asked.codec
    rate = codec.frame_rate if isinstance(codec, Coded) else None
    rate = rate or min(source.video.frame_rate, Fraction(MOST_FRAMES_PER_S))
    if line.position is not None:
        asked = replace(asked, processing=replace(asked.processing, position=line.position))
    asked = active(asked, source.video, turn)
    picture = frame(asked, source.video, turn, rate)
    gop = _gop(codec, packaging, rate) if isinstance(codec, Coded) else None
    images = tuple(overlay(image, rate, line.clock_s) for image in asked.processing.images)
    return VideoTrack(
        picture,
        codec,
        gop,
        asked.processing,
        images,
        told.burnt_timecode(asked.processing, rate, line.clock_s),
        told.format_code(asked.processing.active_format, picture, source.video),
        told.hdr10(asked, source.video),
        told.scan(codec, source.video),
        told.first_timecode(asked.processing, codec, rate, line.clock_s),
    )


def _gop(codec: Coded, packaging: Packaging | None, rate: Fraction) -> Gop:
    """Key frame distance, and where needed key frames at segment boundaries."""
    # Segments begin with closed GOPs, whatever the cadence.
    closed_every = codec.closed_every if packaging is None else 1
    if codec.gop_size is None:
        # AUTO: two seconds, or one where fragments of an odd number of seconds must be whole GOPs.
        length_s = Fraction(1 if packaging is not None and packaging.fragment_s % 2 else 2)
    elif codec.gop_units == "SECONDS":
        length_s = codec.gop_size
    else:
        frames = max(1, round(codec.gop_size))
        return Gop(frames, _boundary(packaging, Fraction(frames, _nominal(rate))), closed_every)
    return Gop(max(1, round(length_s * rate)), _boundary(packaging, length_s), closed_every)


def _boundary(packaging: Packaging | None, gop_s: Fraction) -> int | None:
    """EXACT segment lengths that are no multiple of the GOP get additional key frames, as AWS documents."""
    if packaging is None or not packaging.exact or (packaging.segment_s / gop_s).denominator == 1:
        return None
    return packaging.segment_s


def _nominal(rate: Fraction) -> int:
    """30 for 29.97: AWS judges GOP and fragment lengths by the nominal rate."""
    return max(1, round(rate))


def _lengths(path: str, packaging: Packaging, picture: Picture, gop: Gop) -> tuple[Fraction, Fraction]:
    """Real segment and fragment length in seconds: whole GOPs of this output's exact frame rate.

    Raises JobError 1040 when the fragment length is no whole multiple of the GOP.
    """
    rate = picture.frame_rate
    nominal_gop_s = Fraction(gop.frames, _nominal(rate))
    if packaging.hls_group is not None and gop.boundary_s is None:
        return gop.frames / rate * math.ceil(packaging.segment_s / nominal_gop_s), Fraction(0)
    if packaging.smooth is not None:
        whole_s = gop.frames / rate * math.ceil(packaging.fragment_s / nominal_gop_s)
        length_s = Fraction(packaging.fragment_s) if gop.boundary_s is not None else whole_s
        return length_s, length_s
    fragments = packaging.fragment_s / nominal_gop_s
    if fragments.denominator != 1:
        raise JobError(
            SETTINGS,
            f"{path}: fragmentLength must be a whole multiple of the GOP; it is {packaging.fragment_s} s and the GOP "
            f"{gop.frames} frames at {float(rate):.3f} frames per second",
        )
    gop_s = gop.frames / rate
    if gop.boundary_s is not None:
        return Fraction(packaging.segment_s), Fraction(min(packaging.fragment_s, packaging.segment_s))
    return gop_s * math.ceil(packaging.segment_s / nominal_gop_s), gop_s * int(fragments)


def _audio(asked: Audio, line: Timeline, needed: bool, warnings: list[str]) -> AudioTrack | None:
    number = line.sound(asked.source)
    if number is None:
        warnings.append(timelines.missing(asked.source, asked.path, needed))
        return None
    if asked.coding.in_place_of is not None:
        warnings.append(f"{asked.path}: no encoder here makes {asked.coding.in_place_of}, so the track is AAC-LC")
    found = line.sounds[number].channels
    language = line.languages[number]
    return AudioTrack(
        number,
        asked.coding.width(found if asked.remix is None else len(asked.remix.gains_db)),
        asked.coding,
        (language if asked.language_of_source else None) or asked.language,
        asked.label,
        # Channels that the source does not have are silent.
        None if asked.remix is None else tuple(row[:found] for row in asked.remix.gains_db),
        asked.normalization,
    )


def _as_long_as_pictures(
    path: str, tracks: tuple[AudioTrack, ...], line: Timeline, warnings: list[str]
) -> tuple[AudioTrack, ...]:
    if line.source.video is not None and line.pictures_s is None:
        warnings.append(f"{path}: the source does not say how long its pictures are, so sound keeps its own length")
    return tuple(replace(track, length_s=line.pictures_s) for track in tracks)


def _no_two_files_alike(groups: Sequence[Group]) -> None:
    seen: dict[str, str] = {}
    for number, group in enumerate(groups):
        for path, suffix in _files(number, group):
            uri = group.destination.uri(suffix)
            if uri in seen:
                raise JobError(SETTINGS, f"{path} and {seen[uri]} would both write {uri}")
            try:
                object_address(uri)
            except AddressRefused as exc:
                raise JobError(SETTINGS, f"{path}: {exc}, got {uri[:200]!r}") from exc
            seen[uri] = path


def _files(number: int, group: Group) -> Iterator[tuple[str, str]]:
    """Which output, or manifest of a group, writes a file with that suffix. What is numbered is told apart by these."""
    for output in group.ordered():
        yield output.path, naming.media_file(output.modifier, output.extension)
        if group.packaging is not None and group.packaging.hls:
            yield output.path, naming.playlist(output.modifier)
    for suffix in group.manifest_suffixes():
        yield f"a manifest of outputGroups[{number}]", suffix
