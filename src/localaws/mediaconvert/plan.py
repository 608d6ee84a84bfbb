"""From what a job asks for and what its source is, to exactly what will be made. Pure: no I/O, no clock.

Every size, rate, GOP, segment length and file name of the job is decided here, so a plan can be read, tested and
executed again after a crash with the same result.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction

from localaws.mediaconvert import hls_settings, naming, request
from localaws.mediaconvert.failures import NO_AUDIO, SETTINGS, JobError
from localaws.mediaconvert.packaging import Packaging
from localaws.mediaconvert.rejections import NO_VIDEO, UNSUPPORTED, InputRejected

MOST_FRAMES_PER_S = 120


@dataclass(frozen=True)
class SourceVideo:
    """The video track as it is coded. `rotation`: clockwise angle a player turns it by; `sar`: shape of its pixels."""

    stream_index: int
    width: int
    height: int
    rotation: int
    sar: Fraction
    frame_rate: Fraction
    interlaced: bool = False


@dataclass(frozen=True)
class SourceAudio:
    """An audio track; `stream_index` counts all streams of the file."""

    stream_index: int
    channels: int
    language: str | None = None
    codec: str = "aac"
    decodable: bool = True


@dataclass(frozen=True)
class Source:
    """What a plan needs to know of a source. `demuxer` is ffmpeg's name; `default_audio` counts `audios` from 0."""

    demuxer: str
    duration_s: float
    video: SourceVideo | None
    audios: tuple[SourceAudio, ...]
    default_audio: int = 0


@dataclass(frozen=True)
class Picture:
    """An output's frames: the scaled content, padded or cropped to the frame. Sizes in px, `sar` of the output."""

    width: int
    height: int
    content_width: int
    content_height: int
    frame_rate: Fraction
    sar: Fraction = Fraction(1)


@dataclass(frozen=True)
class Gop:
    """Distance of key frames in frames; `boundary_s` adds one at every multiple of so many seconds."""

    frames: int
    boundary_s: int | None = None


@dataclass(frozen=True)
class VideoTrack:
    picture: Picture
    codec: request.H264 | request.Capture
    gop: Gop | None


@dataclass(frozen=True)
class AudioTrack:
    """`stream_index` counts all streams of the source."""

    stream_index: int
    channels: int
    sample_rate_hz: int
    bitrate_bps: int | None
    vbr_quality: str | None
    language: str | None
    label: str | None


@dataclass(frozen=True)
class Output:
    """One output. `label` names its files in the work folder; `modifier` and `extension` its final keys."""

    path: str
    label: str
    modifier: str
    extension: str
    video: VideoTrack | None
    audio: AudioTrack | None
    fast_start: bool
    brand: str | None
    audio_group: str | None = None
    audio_default: bool = True
    hls: hls_settings.HlsOutput | None = None

    @property
    def captures(self) -> bool:
        return self.video is not None and isinstance(self.video.codec, request.Capture)

    @property
    def work_file(self) -> str:
        """What ffmpeg writes below the encode folder; a pattern for frame capture."""
        return f"{self.label}.%07d.jpg" if self.captures else f"{self.label}.mp4"


@dataclass(frozen=True)
class Group:
    type: str
    destination: naming.Destination
    outputs: tuple[Output, ...]
    packaging: Packaging | None
    segment_s: Fraction = Fraction(0)
    fragment_s: Fraction = Fraction(0)

    def track_labels(self) -> list[str]:
        """VIDEO, AUDIO or both: the kinds of tracks that the group has, and that keys are made for."""
        kinds = {"VIDEO" if output.video is not None else "AUDIO" for output in self.outputs}
        return sorted(kinds, reverse=True)


@dataclass(frozen=True)
class Plan:
    """`turn` is the clockwise angle to turn frames by; None leaves it to the source's own rotation."""

    source: Source
    turn: int | None
    groups: tuple[Group, ...]
    warnings: tuple[str, ...] = field(default=())

    def outputs(self) -> Iterator[Output]:
        for group in self.groups:
            yield from group.outputs

    @property
    def counted_rate(self) -> Fraction | None:
        """The frame rate of what ffmpeg counts in its reports, the first video output; None where that captures."""
        first = next((output for output in self.outputs() if output.video is not None), None)
        return first.video.picture.frame_rate if first is not None and first.video and not first.captures else None


def plan(job: request.Job, source: Source, facts: naming.Facts) -> Plan:
    """Decide everything about a job.

    facts: when the job started and what its input is called; sizes and rates are added for each output.
    Raises JobError (1040 for settings that do not fit together or the source, 1021 for audio that is not there),
    InputRejected 1020 for a source without the video that an output needs.
    """
    warnings: list[str] = []
    groups = tuple(
        _group(number, group, source, job.rotate, facts, warnings) for number, group in enumerate(job.groups)
    )
    _no_two_files_alike(groups)
    return Plan(source, job.rotate, groups, tuple(dict.fromkeys(warnings)))


def _group(
    number: int,
    asked: request.Group,
    source: Source,
    turn: int | None,
    facts: naming.Facts,
    warnings: list[str],
) -> Group:
    try:
        destination = naming.destination(asked.destination, facts)
    except naming.NameRefused as exc:
        raise JobError(SETTINGS, f"{asked.path}: the destination {exc}") from exc
    lengths: dict[str, tuple[Fraction, Fraction]] = {}
    outputs = []
    for index, output in enumerate(asked.outputs):
        made = _output(f"g{number}o{index}", output, asked, source, turn, facts, warnings)
        outputs.append(made)
        if asked.packaging and made.video and made.video.gop:
            lengths[output.path] = _lengths(output.path, asked.packaging, made.video.picture, made.video.gop)
    segment_s, fragment_s = _common_lengths(asked, lengths)
    return Group(asked.type, destination, tuple(outputs), asked.packaging, segment_s, fragment_s)


def _common_lengths(asked: request.Group, lengths: dict[str, tuple[Fraction, Fraction]]) -> tuple[Fraction, Fraction]:
    if asked.packaging is None:
        return Fraction(0), Fraction(0)
    if not lengths:
        return Fraction(asked.packaging.segment_s), Fraction(asked.packaging.fragment_s)
    if len({segment_s for segment_s, _ in lengths.values()}) > 1:
        told = ", ".join(f"{path} {float(segment_s):.3f} s" for path, (segment_s, _) in lengths.items())
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
    source: Source,
    turn: int | None,
    facts: naming.Facts,
    warnings: list[str],
) -> Output:
    video = None if asked.video is None else _video(asked.video, group.packaging, source, turn)
    audio = None
    if asked.audio is not None:
        audio = _audio(asked.audio, source, needed=video is None, warnings=warnings)
    known = _facts(facts, asked.extension, video, audio)
    modifier = _expanded(f"{asked.path}.nameModifier", asked.modifier, known)
    hls = asked.hls
    if hls is not None:
        place = f"{asked.path}.outputSettings.hlsSettings.segmentModifier"
        hls = replace(hls, segment_modifier=_expanded(place, hls.segment_modifier, known))
    return Output(
        asked.path,
        label,
        modifier,
        asked.extension,
        video,
        audio,
        asked.fast_start and group.packaging is None,
        asked.brand,
        asked.audio_group,
        asked.audio_default,
        hls,
    )


def _facts(facts: naming.Facts, extension: str, video: VideoTrack | None, audio: AudioTrack | None) -> naming.Facts:
    rate_bps = None
    if video is not None and isinstance(video.codec, request.H264):
        rate_bps = video.codec.bitrate_bps or video.codec.max_bitrate_bps
    return naming.Facts(
        facts.started,
        facts.input_stem,
        extension,
        video.picture.width if video else None,
        video.picture.height if video else None,
        video.picture.frame_rate if video else None,
        None if rate_bps is None else rate_bps // 1000,
        None if audio is None or audio.bitrate_bps is None else audio.bitrate_bps // 1000,
    )


def _expanded(path: str, modifier: str, facts: naming.Facts) -> str:
    try:
        return naming.expand(modifier, facts)
    except naming.NameRefused as exc:
        raise JobError(SETTINGS, f"{path}: {exc}") from exc


def _video(asked: request.Video, packaging: Packaging | None, source: Source, turn: int | None) -> VideoTrack:
    if source.video is None:
        raise InputRejected(NO_VIDEO, f"the source has no video, which {asked.path} needs")
    codec = asked.codec
    rate = codec.frame_rate if isinstance(codec, request.H264) else None
    rate = rate or min(source.video.frame_rate, Fraction(MOST_FRAMES_PER_S))
    picture = frame(asked, source.video, turn, rate)
    return VideoTrack(picture, codec, _gop(codec, packaging, rate) if isinstance(codec, request.H264) else None)


def frame(asked: request.Video, video: SourceVideo, turn: int | None, rate: Fraction) -> Picture:
    """Fit the turned source into the frame that was asked for; missing sides follow the source's display aspect."""
    width, height, sar = video.width, video.height, video.sar
    if (video.rotation if turn is None else turn) in (90, 270):
        width, height, sar = height, width, 1 / sar
    if asked.width is None and asked.height is None:
        return Picture(_even(width), _even(height), _even(width), _even(height), rate, sar)
    aspect = Fraction(width, height) * sar
    wide = asked.width if asked.width is not None else _even(asked.height * aspect) if asked.height else 0
    high = asked.height if asked.height is not None else _even(wide / aspect)
    if asked.width is None or asked.height is None or asked.scaling == "STRETCH_TO_OUTPUT":
        return Picture(wide, high, wide, high, rate)
    return _fitted(asked.scaling, wide, high, aspect, (width * sar, Fraction(height)), rate)


def _fitted(
    scaling: str, wide: int, high: int, aspect: Fraction, display: tuple[Fraction, Fraction], rate: Fraction
) -> Picture:
    scale = min(wide / display[0], high / display[1])
    if scaling == "FILL":
        scale = max(wide / display[0], high / display[1])
    elif scaling == "FIT_NO_UPSCALE":
        scale = min(scale, Fraction(1))
    content = (_even(display[0] * scale), _even(display[1] * scale))
    # A pixel or two of difference is the rounding to even numbers, not another aspect: no bars for that.
    if abs(content[0] - wide) <= 2 and abs(content[1] - high) <= 2:
        content = (wide, high)
    if scaling in ("FIT", "FIT_NO_UPSCALE"):
        wide, high = content
    return Picture(wide, high, *content, rate)


def _even(length: Fraction | int) -> int:
    """The nearest even number of pixels, the smaller one where two are as near, at least 2."""
    return max(2, 2 * math.ceil(Fraction(length) / 2 - Fraction(1, 2)))


def _gop(codec: request.H264, packaging: Packaging | None, rate: Fraction) -> Gop:
    """Key frame distance, and where needed key frames at segment boundaries."""
    if codec.gop_size is None:
        # AUTO: two seconds, or one where fragments of an odd number of seconds must be whole GOPs.
        length_s = 1 if packaging is not None and packaging.fragment_s % 2 else 2
        return Gop(max(1, round(length_s * rate)), _boundary(packaging, Fraction(length_s)))
    if codec.gop_units == "SECONDS":
        return Gop(max(1, round(codec.gop_size * rate)), _boundary(packaging, codec.gop_size))
    frames = max(1, round(codec.gop_size))
    return Gop(frames, _boundary(packaging, Fraction(frames, _nominal(rate))))


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


def _audio(asked: request.Audio, source: Source, needed: bool, warnings: list[str]) -> AudioTrack | None:
    position = source.default_audio if asked.track is None else asked.track - 1
    if position >= len(source.audios):
        told = f"the source has {len(source.audios)} audio tracks, {asked.path} asks for number {position + 1}"
        if needed:
            raise JobError(NO_AUDIO, told)
        warnings.append(f"{told}; the output has no sound")
        return None
    found = source.audios[position]
    if not found.decodable:
        raise InputRejected(UNSUPPORTED, f"Audio track {position + 1} is {found.codec}, which cannot be decoded here.")
    channels = asked.channels or (6 if found.channels >= 6 else 2 if found.channels >= 2 else 1)
    return AudioTrack(
        found.stream_index,
        channels,
        asked.sample_rate_hz,
        asked.bitrate_bps,
        asked.vbr_quality,
        (found.language if asked.language_of_source else None) or asked.language,
        asked.label,
    )


def _no_two_files_alike(groups: Sequence[Group]) -> None:
    seen: dict[str, str] = {}
    for group in groups:
        for output in group.outputs:
            uri = group.destination.uri(naming.media_file(output.modifier, output.extension))
            if uri in seen:
                raise JobError(SETTINGS, f"{output.path} and {seen[uri]} would both write {uri}")
            try:
                naming.object_address(uri)
            except naming.NameRefused as exc:
                raise JobError(SETTINGS, f"{output.path}: {exc}, got {uri[:200]!r}") from exc
            seen[uri] = output.path
