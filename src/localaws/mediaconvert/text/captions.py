"""Captions of a job: from what the selectors of its inputs hold to the documents of its outputs. Pure.

Never opens a file of a job: texts are handed in, documents handed out. Source: MediaConvert user guide, "Setting up
captions in MediaConvert jobs" (which times count from where).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import partial
from typing import BinaryIO

from localaws.media.failures import CANNOT_OPEN, InputRejected
from localaws.mediaconvert.planning.planned import CaptionOutput, Output, Plan
from localaws.mediaconvert.settings.inputs import CaptionSelector
from localaws.mediaconvert.text import burn_in, lettering
from localaws.mediaconvert.text.lettering import Setting
from localaws.mediaconvert.text.pgs import Colour
from penstock.errors import FormatError
from penstock.formats import caption_writers, cc_data, eia608_writer, sami, scc, subtitles, ttml
from penstock.formats.cc_data import Triplet
from penstock.formats.subtitles import Cue

_MOST_TOLD = 40


@dataclass(frozen=True)
class Spoken:
    """What selectors hold, by the number of their input and their name, on the clock of that input.

    triplets: of captions within the source's pictures that go into an output's as they are.
    """

    cues: Mapping[tuple[int, str], list[Cue]]
    triplets: Mapping[tuple[int, str], list[Triplet]] = field(default_factory=dict)

    def text_alone(self) -> Spoken:
        """Without the text of captions that are there as they are."""
        return Spoken({place: cues for place, cues in self.cues.items() if place not in self.triplets})


def read(selector: CaptionSelector, content: bytes, first_frame_s: Fraction) -> list[Cue]:
    """Read a caption file; times count from the first frame of the input.

    first_frame_s: the timecode of that frame, which the timecodes of SCC count up to; other formats start at zero.
    Raises InputRejected 1010 for a file that is not what its selector says.
    """
    try:
        cues = _parsed(selector, content)
    except FormatError as exc:
        raise InputRejected(CANNOT_OPEN, f"{selector.path}: {exc.message}") from exc
    shift = selector.delta_s - (first_frame_s if selector.format == "scc" else 0)
    return [replace(cue, start_s=cue.start_s + shift, end_s=cue.end_s + shift) for cue in cues]


def _parsed(selector: CaptionSelector, content: bytes) -> list[Cue]:
    if selector.format == "scc":
        return scc.parse_scc(content, selector.frame_rate or scc.NTSC)
    readers: dict[str, Callable[[bytes], list[Cue]]] = {
        "srt": subtitles.parse_srt,
        "webvtt": partial(subtitles.parse_webvtt, styled=True),
        "ttml": partial(ttml.parse_ttml, styled=True),
        "smi": sami.parse_sami,
    }
    return readers[selector.format](content)


def film_cues(plan: Plan, spoken: Spoken, name: str) -> list[Cue]:
    """The cues of one selector on the clock of the film: each scene shows the part that lies within it."""
    made: list[Cue] = []
    begins_s = Fraction(0)
    for scene in plan.scenes:
        ends_s = scene.start_s + scene.duration_s
        for cue in spoken.cues.get((scene.input, name), []):
            start_s, end_s = max(cue.start_s, scene.start_s), min(cue.end_s, ends_s)
            if start_s < end_s:
                shift = begins_s - scene.start_s
                made.append(replace(cue, start_s=start_s + shift, end_s=end_s + shift))
        begins_s += scene.duration_s
    return sorted(made, key=lambda cue: (cue.start_s, cue.end_s))


def film_triplets(plan: Plan, spoken: Spoken, names: Sequence[str]) -> list[Triplet]:
    """The captions in the pictures of inputs on the clock of the film; what a scene leaves open is erased.

    names: of selectors. All captions of an input's pictures pass together, so the first that an input has will do.
    """
    made: list[Triplet] = []
    begins_s = Fraction(0)
    for number, scene in enumerate(plan.scenes, start=1):
        ends_s = scene.start_s + scene.duration_s
        shift = begins_s - scene.start_s
        held = next(
            (spoken.triplets[scene.input, name] for name in names if (scene.input, name) in spoken.triplets), ()
        )
        found = [replace(one, time_s=one.time_s + shift) for one in held if scene.start_s <= one.time_s < ends_s]
        begins_s += scene.duration_s
        made += found
        if number < len(plan.scenes):
            made += [one for kind in sorted({one.kind for one in found}) for one in _erased(begins_s, kind)]
    return made


def _erased(time_s: Fraction, kind: int) -> Iterator[Triplet]:
    """Both channels of a field have nothing on screen any more. 708 services end with what follows."""
    for channel in {cc_data.FIELD_1: (1, 2), cc_data.FIELD_2: (3, 4)}.get(kind, ()):
        for pair in eia608_writer.erase(channel, time_s):
            yield Triplet(time_s, kind, pair.first, pair.second)


def embedded(plan: Plan, output: Output, spoken: Spoken) -> dict[int, list[Triplet]]:
    """The captions within an output's pictures, by the number of the frame."""
    assert output.video is not None
    rate = output.video.picture.frame_rate
    triplets = film_triplets(plan, spoken, [one.selector for one in output.embedded])
    for one in output.embedded:
        kind = cc_data.FIELD_1 if one.channel in (1, 2) else cc_data.FIELD_2
        pairs = eia608_writer.encode(film_cues(plan, spoken.text_alone(), one.selector), one.channel,
                                     cc_data.pairs_per_s(rate))  # fmt: skip
        triplets += [Triplet(pair.time_s, kind, pair.first, pair.second) for pair in pairs]
    return cc_data.share_out(triplets, rate)


def lacking(plan: Plan, spoken: Spoken) -> list[str]:
    """Sentences about characters that outputs cannot show as they are."""
    told = []
    text = {name: "".join(cue.text for cue in film_cues(plan, spoken, name)) for name in plan.caption_selectors()}
    for output in plan.outputs():
        if output.burn_in is not None and (letters := lettering.lacking(text[output.burn_in.selector])):
            told.append(f"{output.burn_in.path}: the font has no {letters[:_MOST_TOLD]}; boxes are drawn for them")
        for one in output.embedded:
            said = "".join(cue.text for cue in film_cues(plan, spoken.text_alone(), one.selector))
            told += _unwritten(one.path, said)
    for caption in plan.captions():
        if caption.caption.kind == "SCC":
            told += _unwritten(caption.path, text[caption.caption.selector])
    return told


def _unwritten(path: str, text: str) -> list[str]:
    letters = eia608_writer.lacking(text)
    return [f"{path}: EIA-608 has no {letters[:_MOST_TOLD]}; ? is written for them"] if letters else []


def document(output: CaptionOutput, cues: Iterable[Cue], film_s: float) -> bytes:
    """The work file of a caption output: what a file group uploads, or WebVTT for the packager. film_s: its length."""
    caption = output.caption
    # Shaka Packager would show the markup of WebVTT in the TTML that it makes of it.
    styled = caption.styled and (caption.kind == "WEBVTT" or not caption.fragmented)
    told = list(cues) if styled else [caption_writers.plain(cue) for cue in cues]
    if caption.kind == "SRT":
        return subtitles.build_srt(told)
    if caption.kind == "WEBVTT" or caption.fragmented:
        text = caption_writers.build_webvtt(told, references=caption.kind == "WEBVTT")
        if caption.fragmented and "-->" not in text:
            # Shaka Packager fails over a track without cues; one without words is nothing, for as long as the film.
            text += f"\n{caption_writers.clock_time(Fraction(0))} --> {caption_writers.clock_time(Fraction(film_s))}\n"
        return text.encode()
    if caption.scc is not None:
        return scc.build_scc(told, caption.scc.frames_per_s, drop=caption.scc.drop)
    if caption.kind == "SMI":
        return sami.build_sami(told, caption.language or "", caption.label or "")
    imsc = caption.kind == "IMSC"
    return caption_writers.build_ttml(told, caption.language or "", imsc=imsc, style=dict(caption.style))


def draw(output: Output, cues: Iterable[Cue], target: BinaryIO) -> None:
    """Write the pictures of captions that are burnt into an output, for its size."""
    asked = output.burn_in
    assert asked is not None and output.video is not None
    style = burn_in.Style(
        None if asked.fill is None else Colour(*asked.fill),
        asked.opacity,
        Colour(*asked.outline),
        Colour(*asked.background),
        Colour(*asked.shadow),
        # Further away than the picture is wide or high nothing of a shadow is seen.
        (
            _within(asked.shadow_offset[0], output.video.picture.width),
            _within(asked.shadow_offset[1], output.video.picture.height),
        ),
        Setting(asked.outline_px, asked.size, asked.centred, asked.left, asked.top),
        passes=asked.passes,
        recolours=asked.recolours,
    )
    burn_in.write(target, cues, style, (output.video.picture.width, output.video.picture.height))


def within(cues: Iterable[Cue], start_s: float, end_s: float) -> list[Cue]:
    """The cues that a segment shows: WebVTT repeats a cue in every segment that it touches (RFC 8216, 3.5)."""
    return [cue for cue in cues if cue.start_s < end_s and cue.end_s > start_s]


def _within(length: int, most: int) -> int:
    return max(-most, min(length, most))
