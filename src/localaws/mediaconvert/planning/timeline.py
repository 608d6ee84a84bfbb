"""From inputs and their clips to openings of files and the scenes that the film is made of. Pure: no I/O.

Source: MediaConvert user guide, "How MediaConvert uses timelines to assemble jobs" and "Setting up timecodes": clips
name frames, the last one included; the end of an input with sound alone counts hundredths of a second.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from localaws.media.failures import NO_AUDIO, SETTINGS, TIMECODE, UNSUPPORTED, InputRejected, JobError
from localaws.mediaconvert.planning.film import Opening, Overlay, Scene, Sound, Source, SourceAudio, SourceVideo, Tap
from localaws.mediaconvert.planning.inserted import file_name, overlay
from localaws.mediaconvert.settings.colours import AS_IT_SAYS, space
from localaws.mediaconvert.settings.inputs import AudioSelector, Clip, Input
from localaws.mediaconvert.settings.processing import Rectangle
from localaws.mediaconvert.settings.request import Job
from penstock.errors import FormatError
from penstock.formats import timecode
from penstock.formats.languages import three_letters

_SOUND_ONLY_RATE = Fraction(100)


@dataclass(frozen=True)
class Timeline:
    """What is opened, in which stretches it follows one another, and the sounds that outputs can name.

    languages: of each sound, the language of its first track that says one. clock_s: the timecode of the first frame.
    position: where the inputs want the pictures of every output to lie.
    """

    openings: tuple[Opening, ...]
    scenes: tuple[Scene, ...]
    sounds: tuple[Sound, ...]
    languages: tuple[str | None, ...]
    source: Source
    turn: int | None
    warnings: tuple[str, ...]
    clock_s: Fraction = Fraction(0)
    position: Rectangle | None = None

    @property
    def pictures_s(self) -> Fraction | None:
        """The time at which the last picture ends; None where there are none, or their file does not say."""
        first, video = self.scenes[0], self.source.video
        whole_s = sum((scene.duration_s for scene in self.scenes), Fraction(0))
        if video is None or len(self.scenes) > 1 or first.opening is None or not first.plain:
            return whole_s if video is not None else None
        if video.duration_s is None:
            return None
        begins_s = Fraction(video.late_s) - (self.openings[first.opening].start_s or 0)
        return min(whole_s, begins_s + Fraction(video.duration_s))

    def sound(self, name: str) -> int | None:
        """Which of `sounds` a selector's name stands for, None where no input has such a track."""
        return next((number for number, sound in enumerate(self.sounds) if sound.name == name), None)


def file_names(uris: Iterable[str]) -> dict[str, str]:
    """Address -> name in the work folder and below /in, the first one `source`."""
    return {uri: f"source{number or ''}" for number, uri in enumerate(dict.fromkeys(uris))}


def timeline(inputs: Sequence[Input], sources: Mapping[str, Source], names: Iterable[str]) -> Timeline:
    """Lay out the film.

    sources: by address, of every file of the inputs. names: of the audio selectors that outputs use.
    Raises JobError 1060 for a clip that names no frame of its input, InputRejected 1030 for a track without decoder.
    """
    files = file_names(uri for given in inputs for uri in given.media())
    openings: list[Opening] = []
    scenes: list[Scene] = []
    warnings: list[str] = []
    tracks: dict[str, list[SourceAudio]] = {name: [] for name in names}
    for number, given in enumerate(inputs):
        for start_s, length_s, duration_s in _stretches(given, sources, warnings):
            scene = Scene(None, duration_s, start_s or Fraction(0), number, (), given.filters, given.crop)
            scene = replace(scene, overlays=_inserted(given, sources, scene), pad_black=given.pad_black)
            first = len(openings)
            if (black := given.generator) is not None:
                picture = None if black.image is None else file_name(black.image)
                scene = replace(scene, size=(black.width, black.height), picture=picture)
            if given.uri is not None:
                own = Opening(files[given.uri], _taken_for(sources[given.uri], given), given.rotate, start_s, length_s)
                if own.source.video is not None:
                    scene = replace(scene, opening=_open(openings, own, first))
            taps = []
            for name, found in tracks.items():
                chosen = [pair for selector in _selectors(given, name) for pair in _tracks(selector, given, sources)]
                found += [track for _, track, _ in chosen]
                opened = [
                    Opening(files[uri], _taken_for(sources[uri], given), given.rotate, start_s, length_s)
                    for uri, _, _ in chosen
                ]
                taps.append(_taps(openings, opened, chosen, first))
            scenes.append(replace(scene, sounds=tuple(taps)))
    warnings += _sound_alone(inputs, scenes)
    silence = max((given.generator.channels for given in inputs if given.generator is not None), default=0)
    there = [name for name in tracks if tracks[name] or silence]
    kept = [index for index, name in enumerate(tracks) if name in there]
    scenes = [replace(scene, sounds=tuple(scene.sounds[index] for index in kept)) for scene in scenes]
    return Timeline(
        tuple(openings),
        tuple(scenes),
        tuple(
            Sound(name, max(silence, _channels(scene.sounds[index] for scene in scenes)))
            for index, name in enumerate(there)
        ),
        tuple(next((track.language for track in tracks[name] if track.language), None) for name in there),
        *_film(inputs, openings, scenes),
        tuple(warnings),
    )


def _sound_alone(inputs: Sequence[Input], scenes: Sequence[Scene]) -> list[str]:
    """Say of which inputs nothing is seen beside others of which there is."""
    dark = {scene.input for scene in scenes if scene.opening is None and inputs[scene.input].generator is None}
    if len(dark) == len({scene.input for scene in scenes}):
        return []
    return [f"{inputs[number].path} has no pictures; outputs show black for it" for number in sorted(dark)]


def _taken_for(source: Source, given: Input) -> Source:
    """A source with the colours and the kind of frames that its input says it has."""
    video, said = source.video, given.colours
    if video is None or (said == AS_IT_SAYS and not given.segmented):
        return source
    found = (video.primaries, video.transfer, video.matrix)
    wanted = found if said.space is None else space(said.space, video.height)
    names = wanted if said.forced else [own or other for own, other in zip(found, wanted, strict=True)]
    primaries, transfer, matrix = names
    return replace(
        source,
        video=replace(
            video,
            primaries=primaries,
            transfer=transfer,
            matrix=matrix,
            restated=tuple(names) != found,
            sample_range=said.sample_range,
            hdr10=said.hdr10 or (video.hdr10 if tuple(names) == found else None),
            segmented=given.segmented,
            interlaced=video.interlaced and not given.segmented,
        ),
    )


def _inserted(given: Input, sources: Mapping[str, Source], scene: Scene) -> tuple[Overlay, ...]:
    """The pictures that an input lays over its frames, on the clock of one of its scenes."""
    if not given.images:
        return ()
    source = None if given.uri is None else sources[given.uri]
    if source is None or source.video is None:
        rate = given.generator.frame_rate if given.generator is not None else _SOUND_ONLY_RATE
        clock_s = scene.start_s
    else:
        rate, clock_s = source.video.frame_rate, first_frame_s(given, source) + scene.start_s
    # A picture without a start of its own is there from the input's first frame on.
    placed = [overlay(image, rate, clock_s if image.start else Fraction(0)) for image in given.images]
    return tuple(
        one if image.start else _later(one, -scene.start_s) for image, one in zip(given.images, placed, strict=True)
    )


def _later(placed: Overlay, by_s: Fraction) -> Overlay:
    end_s = None if placed.end_s is None else placed.end_s + by_s
    return replace(placed, start_s=placed.start_s + by_s, end_s=end_s)


def _open(openings: list[Opening], opening: Opening, first: int) -> int:
    """The number of an opening, which sound and pictures of one scene share.

    first: of the scene's openings. Scenes share none: frames for a later scene would wait in memory for the film to
    come to it.
    """
    if opening not in openings[first:]:
        openings.append(opening)
    return openings.index(opening, first)


def _taps(
    openings: list[Opening],
    opened: Iterable[Opening],
    chosen: Iterable[tuple[str, SourceAudio, AudioSelector]],
    first: int,
) -> tuple[Tap, ...]:
    return tuple(
        Tap(_open(openings, opening, first), track.stream_index, track.channels, selector.offset_s)
        for opening, (_, track, selector) in zip(opened, chosen, strict=True)
    )


def _selectors(given: Input, name: str) -> tuple[AudioSelector, ...]:
    found = given.sound(name)
    if not found and not name:
        return (AudioSelector(given.path, "TRACK"),)
    return found


def _tracks(
    selector: AudioSelector, given: Input, sources: Mapping[str, Source]
) -> list[tuple[str, SourceAudio, AudioSelector]]:
    uri = selector.uri or given.uri
    if uri is None:
        return []
    source = sources[uri]
    found = _selected(selector, source)
    for track in found:
        if not track.decodable:
            told = f"Audio track {source.audios.index(track) + 1} is {track.codec}, which cannot be decoded here."
            raise InputRejected(UNSUPPORTED, told)
    return [(uri, track, selector) for track in found]


def _selected(selector: AudioSelector, source: Source) -> list[SourceAudio]:
    if selector.kind == "LANGUAGE_CODE":
        wanted = three_letters(selector.language or "")
        return [track for track in source.audios if three_letters(track.language or "und") == wanted][:1]
    if not selector.numbers:
        return [source.audios[source.default_audio]] if source.audios else []
    return [track for number in selector.numbers if (track := _numbered(selector.kind, number, source)) is not None]


def _numbered(kind: str, number: int, source: Source) -> SourceAudio | None:
    if kind == "TRACK":
        return source.audios[number - 1] if number <= len(source.audios) else None
    if kind == "STREAM":
        return next((track for track in source.audios if track.stream_index + 1 == number), None)
    return next((track for track in source.audios if track.pid == number and source.demuxer == "mpegts"), None)


def _channels(scenes: Iterable[tuple[Tap, ...]]) -> int:
    return max((sum(tap.channels for tap in taps) for taps in scenes), default=1)


def missing(name: str, path: str, needed: bool) -> str:
    """Say that a track is not there; raise it as 1021 where an output has nothing else."""
    told = f"no input has the audio that {path} asks for" + (f", {name!r}" if name else "")
    if needed:
        raise JobError(NO_AUDIO, told)
    return f"{told}; the output has no sound"


def _stretches(
    given: Input, sources: Mapping[str, Source], warnings: list[str]
) -> list[tuple[Fraction | None, Fraction | None, Fraction]]:
    """(start, length, duration) of each clip in seconds; start and length are None for the whole file."""
    if given.generator is not None:
        return [(None, None, given.generator.duration_s)]
    assert given.uri is not None
    source = sources[given.uri]
    whole_s = Fraction(source.duration_s).limit_denominator(90_000)
    if not given.clips:
        return [(None, None, whole_s)]
    rate = source.video.frame_rate if source.video is not None else _SOUND_ONLY_RATE
    base = _base(given, source, rate)
    return [_stretch(clip, base, rate, whole_s, warnings) for clip in given.clips]


def clock_s(job: Job, line: Timeline, sources: Mapping[str, Source]) -> Fraction:
    """The timecode of the film's first frame in seconds, as TimecodeConfig has it; a file without one has zero."""
    given = job.inputs[0]
    source = None if given.uri is None else sources[given.uri]
    if job.timecode_source == "SPECIFIEDSTART" and job.timecode_start is not None:
        video = line.source.video
        rate = video.frame_rate if video is not None else _SOUND_ONLY_RATE
        return _frame("timecodeConfig.start", job.timecode_start, rate) / rate
    if job.timecode_source == "ZEROBASED" or source is None:
        return Fraction(0)
    return first_frame_s(given, source) + line.scenes[0].start_s


def first_frame_s(given: Input, source: Source) -> Fraction:
    """The timecode of an input's first frame, in seconds."""
    rate = source.video.frame_rate if source.video is not None else _SOUND_ONLY_RATE
    return _base(given, source, rate) / rate


def _base(given: Input, source: Source, rate: Fraction) -> int:
    """The number of the input's first frame. A file without a timecode counts from zero."""
    first = given.timecode_start if given.timecode_source == "SPECIFIEDSTART" else None
    if given.timecode_source == "EMBEDDED":
        first = source.timecode
    return 0 if first is None else _frame(f"{given.path}.timecodeStart", first, rate)


def _stretch(
    clip: Clip, base: int, rate: Fraction, whole_s: Fraction, warnings: list[str]
) -> tuple[Fraction | None, Fraction | None, Fraction]:
    start = 0 if clip.start is None else _frame(f"{clip.path}.startTimecode", clip.start, rate) - base
    start_s = start / rate
    if start < 0 or start_s >= whole_s:
        raise JobError(TIMECODE, f"{clip.path}.startTimecode: {clip.start} is not within the input ({_long(whole_s)})")
    if clip.end is None:
        return start_s, None, whole_s - start_s
    end = _frame(f"{clip.path}.endTimecode", clip.end, rate) - base
    if end < start:
        raise JobError(TIMECODE, f"{clip.path}.endTimecode: {clip.end} is before the start of the clip")
    length_s = (end + 1 - start) / rate
    if start_s + length_s > whole_s + 1 / rate:
        warnings.append(f"{clip.path}.endTimecode: {clip.end} is after the end of the input, which ends the clip")
        return start_s, None, whole_s - start_s
    return start_s, length_s, length_s


def _long(whole_s: Fraction) -> str:
    return f"which lasts {float(whole_s):.3f} s"


def _frame(path: str, written: str, rate: Fraction) -> int:
    try:
        return timecode.frames_shown(written, rate)
    except FormatError as exc:
        raise JobError(TIMECODE, f"{path}: {exc}") from exc


def _film(inputs: Sequence[Input], openings: Sequence[Opening], scenes: Sequence[Scene]) -> tuple[Source, int | None]:
    """The film as one source, and the turn of its frames: the only file as it is, or all scenes on one canvas."""
    duration_s = float(sum(scene.duration_s for scene in scenes))
    first = scenes[0]
    if len(scenes) == 1 and first.opening is not None and first.plain:
        opening = openings[first.opening]
        return replace(opening.source, duration_s=duration_s), opening.turn
    if len(scenes) == 1 and openings and openings[0].source.video is None:
        return replace(openings[0].source, duration_s=duration_s), openings[0].turn
    pictures = [picture for scene in scenes if (picture := shown(scene, inputs, openings)) is not None]
    return Source("mov", duration_s, pictures[0] if pictures else None, ()), 0


def shown(scene: Scene, inputs: Sequence[Input], openings: Sequence[Opening]) -> SourceVideo | None:
    """The pictures of a scene as they are seen: turned, cropped, in square pixels."""
    if scene.opening is None:
        black = inputs[scene.input].generator
        return None if black is None else SourceVideo(0, black.width, black.height, 0, Fraction(1), black.frame_rate)
    opening = openings[scene.opening]
    video = opening.source.video
    assert video is not None
    width, height, sar = video.width, video.height, video.sar
    if (video.rotation if opening.turn is None else opening.turn) in (90, 270):
        width, height, sar = height, width, 1 / sar
    if scene.crop is not None:
        width, height = _cropped(inputs[scene.input].path, scene.crop, width, height)
    return replace(
        video,
        stream_index=0,
        width=_even(width * sar),
        height=_even(Fraction(height)),
        rotation=0,
        sar=Fraction(1),
        interlaced=False,
        active_format=None,
        restated=False,
        sample_range="",
        segmented=False,
    )


def _cropped(path: str, crop: tuple[int, int, int, int], width: int, height: int) -> tuple[int, int]:
    """The size of the area that is taken of a picture, as it is seen. Raises JobError 1040 where it is none of it."""
    wide, high, left, top = crop
    if left + wide > width or top + high > height:
        told = f"{wide} x {high} at {left}, {top} is not within the input's {width} x {height}"
        raise JobError(SETTINGS, f"{path}.crop: {told}")
    return wide, high


def _even(length: Fraction) -> int:
    return max(2, 2 * round(length / 2))
