"""Dynamic audio selectors: once the tracks of the sources are known, a job that names each of them. Pure.

Source: MediaConvert API reference, Input.dynamicAudioSelectors: one output track for each selected track, as many of
them in every input that has the selector.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from localaws.media.failures import NO_AUDIO, SETTINGS, JobError
from localaws.mediaconvert.planning.film import Source
from localaws.mediaconvert.settings import request
from localaws.mediaconvert.settings.audio import Audio
from localaws.mediaconvert.settings.inputs import AudioSelector, Input
from localaws.mediaconvert.settings.packaging import FILE
from penstock.formats.languages import three_letters


def named(job: request.Job, sources: Mapping[str, Source], warnings: list[str]) -> request.Job:
    """Put a selector for each track in the place of dynamic ones, and a description for each in that of theirs.

    sources: by address, of every file of the inputs. Raises JobError 1040 where inputs differ or a group cannot hold
    several tracks in an output, 1021 where an output has nothing but tracks that are not there.
    """
    counts = _counts(job.inputs, sources)
    if not counts:
        return job
    inputs = tuple(_selecting(given, sources) for given in job.inputs)
    groups = tuple(
        replace(group, outputs=tuple(_describing(one, group, counts, warnings) for one in group.outputs))
        for group in job.groups
    )
    return replace(job, inputs=inputs, groups=groups)


def _counts(inputs: tuple[Input, ...], sources: Mapping[str, Source]) -> dict[str, int]:
    """How many tracks each dynamic selector stands for."""
    counts: dict[str, int] = {}
    for given in inputs:
        for name, selector in given.dynamic.items():
            found = len(_tracks(given, selector, sources))
            if counts.setdefault(name, found) != found:
                told = f"selects {found} tracks here and {counts[name]} in another input; they must be as many"
                raise JobError(SETTINGS, f"{selector.path}: {told}")
    return counts


def _tracks(given: Input, selector: AudioSelector, sources: Mapping[str, Source]) -> list[int]:
    """The numbers of the selected tracks, from 1."""
    uri = selector.uri or given.uri
    audios = () if uri is None else sources[uri].audios
    if selector.language is None:
        return list(range(1, len(audios) + 1))
    wanted = three_letters(selector.language)
    return [n for n, audio in enumerate(audios, start=1) if three_letters(audio.language or "und") == wanted]


def _selecting(given: Input, sources: Mapping[str, Source]) -> Input:
    found = dict(given.audio)
    for name, selector in given.dynamic.items():
        for place, number in enumerate(_tracks(given, selector, sources), start=1):
            found[_name(name, place)] = (replace(selector, kind="TRACK", numbers=(number,), language=None),)
    return replace(given, audio=found)


def _describing(
    output: request.Output | request.CaptionOutput, group: request.Group, counts: Mapping[str, int], warnings: list[str]
) -> request.Output | request.CaptionOutput:
    if isinstance(output, request.CaptionOutput) or not any(audio.source in counts for audio in output.audios):
        return output
    audios = [one for audio in output.audios for one in _each(audio, counts.get(audio.source))]
    if not audios and output.video is None:
        raise JobError(NO_AUDIO, f"no input has a track that {output.path} asks for")
    if not audios:
        warnings.append(f"no input has a track that {output.path} asks for; the output has no sound")
    if len(audios) > 1 and group.type != FILE:
        told = f"a dynamic audio selector found {len(audios)} tracks, and an output of a {group.type} holds one"
        raise JobError(SETTINGS, f"{output.path}: {told}")
    return replace(output, audios=tuple(audios))


def _each(audio: Audio, count: int | None) -> list[Audio]:
    if count is None:
        return [audio]
    return [replace(audio, source=_name(audio.source, place)) for place in range(1, count + 1)]


def _name(selector: str, place: int) -> str:
    return f"{selector}/{place}"
