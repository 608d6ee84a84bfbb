"""How ffmpeg opens the files of a plan and makes one film of its scenes. Pure functions that return text and lists.

Every scene is brought to the film's canvas, rate and sound before they follow one another, in the process that
encodes: nothing is decoded twice and nothing is written in between.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from fractions import Fraction

from localaws.media.probe import input_options
from localaws.mediaconvert.ffmpeg import overlays, retouching
from localaws.mediaconvert.ffmpeg.encoders import pixel_format
from localaws.mediaconvert.planning.film import Opening, Scene, Tap
from localaws.mediaconvert.planning.planned import Plan

_SAMPLE_RATE_HZ = 48_000
_LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}
_TURNS = {0: [], 90: ["transpose=clock"], 180: ["hflip", "vflip"], 270: ["transpose=cclock"]}
# A clip begins a hair before its first frame, so that no rounding of times loses it.
_HAIR_S = Fraction(1, 1000)
_DENOISE = {1: "2", 2: "3", 3: "4", 4: "6", 5: "8"}


def openings(plan: Plan) -> list[str]:
    """The input options of the command line."""
    return [part for opening in plan.openings for part in _opening(opening)]


def _opening(opening: Opening) -> list[str]:
    arguments = input_options(opening.source.demuxer)
    if opening.turn is not None:
        # AWS turns by what the job says, and by default not at all, even where the source has rotation metadata.
        arguments += ["-display_rotation", "0"]
    return [*arguments, *_stretch(opening), "-i", f"/in/{opening.file}"]


def _stretch(opening: Opening) -> list[str]:
    arguments, before_s = [], Fraction(0)
    if opening.start_s is not None:
        before_s = max(opening.start_s - _HAIR_S, Fraction(0))
        arguments = ["-ss", _seconds(before_s)]
        if opening.source.demuxer == "mpegts":
            # It has no list of key frames to begin at: what comes before is decoded, and has times before zero.
            arguments = ["-itsoffset", _seconds(-before_s)]
    if opening.length_s is not None:
        counted_s = before_s if opening.source.demuxer == "mpegts" else 0
        arguments += ["-t", _seconds(opening.length_s + counted_s)]
    return arguments


def pictures(plan: Plan) -> tuple[list[str], str]:
    """Chains that come before all others, and the pad of the film's pictures."""
    first = plan.scenes[0]
    if plan.source.video is None or (not plan.stitched and first.opening is not None):
        return [], f"[{first.opening or 0}:{plan.source.video.stream_index if plan.source.video else 0}]"
    chains = [f"{_picture(plan, scene, f'p{number}')}[p{number}]" for number, scene in enumerate(plan.scenes)]
    return [*chains, _joined([f"[p{number}]" for number in range(len(chains))], "v=1:a=0", "film")], "[film]"


def _joined(pads: list[str], streams: str, name: str) -> str:
    return f"{''.join(pads)}concat=n={len(pads)}:{streams}[{name}]"


def _picture(plan: Plan, scene: Scene, label: str) -> str:
    """A scene on the film's canvas."""
    canvas = plan.source.video
    assert canvas is not None
    size = f"{canvas.width}:{canvas.height}"
    form = _form(plan)
    rate, frames = _cadence(plan, scene)
    chain = _generated(plan, scene, label, rate) if scene.opening is None else _opened(plan, scene, scene.opening)
    chain = overlays.over_scene(plan, scene, chain, label, form)
    filters = [f"scale={size}:force_original_aspect_ratio=decrease:force_divisible_by=2:flags=bicubic:reset_sar=1"]
    filters += [f"pad={size}:-1:-1", "setsar=1", f"format={form}"]
    # Exactly as long as the scene's sound.
    filters += [*_filled(plan, scene, rate), f"trim=end_frame={frames}"]
    return ",".join([chain, *filters])


def _form(plan: Plan) -> str:
    """All scenes in one form, with the most chroma and the most bits that an output takes."""
    forms = [pixel_format(output.video.codec) for output in plan.outputs() if output.video is not None]
    chroma = max(form[3:6] for form in forms)
    return f"yuv{chroma}p{'10le' if any(form.endswith('10le') for form in forms) else ''}"


def _filled(plan: Plan, scene: Scene, rate: Fraction) -> list[str]:
    """What there is before the first picture and after the last: these repeated, or black where the job wants it."""
    # Under overlay a film of one picture ends the moment it begins, which would round to no picture at all.
    even = f"fps=fps={rate}:start_time=0:eof_action=pass"
    if not scene.pad_black or scene.opening is None:
        return [even, "tpad=stop=-1:stop_mode=clone"]
    opening = plan.openings[scene.opening]
    assert opening.source.video is not None
    late_s = max(Fraction(opening.source.video.late_s) - scene.start_s, Fraction(0))
    black = f"tpad=start_mode=add:start={round(late_s * rate)}:stop_mode=add:stop=-1:color=black"
    return ["setpts=PTS-STARTPTS", even, black]


def _generated(plan: Plan, scene: Scene, label: str, rate: Fraction) -> str:
    assert plan.source.video is not None
    width, height = scene.size or (plan.source.video.width, plan.source.video.height)
    black = f"color=c=black:s={width}x{height}:r={rate}"
    if scene.picture is None:
        return black
    return overlays.in_the_middle(plan, scene.picture, black, label, width, height)


def _opened(plan: Plan, scene: Scene, number: int) -> str:
    """Whole frames of a file the right way up, cleaned and cut."""
    opening = plan.openings[number]
    video = opening.source.video
    assert video is not None
    filters = retouching.restated(video)
    filters += ["bwdif=mode=send_frame"] if video.interlaced else []
    filters += [_filter(name) for name in scene.filters]
    filters += _TURNS[opening.turn or 0]
    if scene.crop is not None:
        filters.append("crop=" + ":".join(str(value) for value in scene.crop))
    return f"[{number}:{video.stream_index}]{','.join(filters or ['null'])}"


def _cadence(plan: Plan, scene: Scene) -> tuple[Fraction, int]:
    """The frame rate of a scene's pictures and how many there are, at least two: concat learns a length from two."""
    video = plan.source.video if scene.opening is None else plan.openings[scene.opening].source.video
    assert video is not None
    frames = max(1, round(scene.duration_s * video.frame_rate))
    return (video.frame_rate, frames) if frames > 1 else (2 * video.frame_rate, 2)


def _length_s(plan: Plan, scene: Scene) -> Fraction:
    """The length of a scene in whole frames, where the film has any."""
    if plan.source.video is None:
        return scene.duration_s
    rate, frames = _cadence(plan, scene)
    return frames / rate


def _filter(named: str) -> str:
    name, _, strength = named.partition(":")
    if name == "denoise":
        return f"hqdn3d={_DENOISE[int(strength)]}"
    return f"deblock=filter={'strong' if int(strength) > 2 else 'weak'}:block=8"


def sounds(plan: Plan, wanted: Mapping[str, int]) -> tuple[list[str], dict[str, str]]:
    """Chains of sounds that are more than a track as it is, and the pad of each that is wanted, by its name.

    wanted: by name, the number of a sound of the film.
    """
    uses = Counter(wanted.values())
    chains: list[str] = []
    pads: dict[int, list[str]] = {}
    for number in uses:
        direct = _direct(plan, number)
        if direct is not None:
            pads[number] = [direct] * uses[number]
            continue
        parts = []
        for index, scene in enumerate(plan.scenes):
            before, chain = _sound(plan, number, index, scene)
            chains += [*before, f"{chain}[s{number}_{index}]"]
            parts.append(f"[s{number}_{index}]")
        pads[number] = [f"[s{number}u{use}]" for use in range(uses[number])]
        split = f"asplit={uses[number]}" if uses[number] > 1 else "anull"
        chains.append(f"{''.join(parts)}concat=n={len(parts)}:v=0:a=1,{split}{''.join(pads[number])}")
    return chains, {name: pads[number].pop() for name, number in wanted.items()}


def _direct(plan: Plan, number: int) -> str | None:
    """The stream that is the sound, where it is one track of the only file."""
    taps = plan.scenes[0].sounds[number]
    if len(plan.scenes) > 1 or len(taps) != 1 or taps[0].offset_s:
        return None
    return f"[{taps[0].opening}:{taps[0].stream_index}]"


def _sound(plan: Plan, number: int, index: int, scene: Scene) -> tuple[list[str], str]:
    layout = _layout(plan.sounds[number].channels)
    taps = scene.sounds[number]
    samples = round(_length_s(plan, scene) * _SAMPLE_RATE_HZ)
    form = f"aformat=sample_fmts=fltp:sample_rates={_SAMPLE_RATE_HZ}:channel_layouts={layout}"
    silence, ending = f"anullsrc=r={_SAMPLE_RATE_HZ}:cl={layout},{form}", f"atrim=end_sample={samples}"
    if not taps:
        return [], f"{silence},{ending}"
    before, chain = _tapped(taps, f"s{number}_{index}")
    # Silence of its own kind follows, not padding: of sound that has ended before the scene begins nothing is padded.
    heard, quiet = f"[s{number}_{index}h]", f"[s{number}_{index}q]"
    before += [f"{chain},{form}{heard}", f"{silence}{quiet}"]
    return before, f"{heard}{quiet}concat=n=2:v=0:a=1,{ending}"


def _tapped(taps: Sequence[Tap], label: str) -> tuple[list[str], str]:
    """One or several tracks as one sound whose channels follow one another: chains before it, and its own."""
    if len(taps) == 1:
        return [], _tap(taps[0])
    names = [f"[{label}t{place}]" for place in range(len(taps))]
    # amerge joins only tracks whose loudspeakers are known, and numbers the channels of all where they overlap.
    chains = [
        f"{_tap(tap)},aformat=channel_layouts={_LAYOUTS.get(tap.channels, f'{tap.channels}c')}{name}"
        for tap, name in zip(taps, names, strict=True)
    ]
    return chains, f"{''.join(names)}amerge=inputs={len(taps)}"


def _layout(channels: int) -> str:
    """The smallest arrangement of loudspeakers that holds so many channels."""
    return next((name for width, name in _LAYOUTS.items() if width >= channels), "7.1")


def _tap(tap: Tap) -> str:
    # Sound that begins late is filled with silence, and gaps too, so that both tracks count from the same zero. An
    # offset only makes it later: adelay fails in ffmpeg 8 and later where all of a sound ends before it is asked for.
    stream = f"[{tap.opening}:{tap.stream_index}]"
    filled = f"aresample={_SAMPLE_RATE_HZ}:async=1:first_pts=0"
    if tap.offset_s > 0:
        return f"{stream}asetpts=PTS+{_seconds(tap.offset_s)}/TB,{filled}"
    if tap.offset_s < 0:
        return f"{stream}{filled},atrim=start={_seconds(-tap.offset_s)},asetpts=PTS-STARTPTS"
    return stream + filled


def _seconds(value: Fraction) -> str:
    return f"{float(value):.6f}"
