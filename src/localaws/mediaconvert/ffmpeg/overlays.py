"""Lays pictures over outputs: the inputs that ffmpeg opens for them, and chains of its filter graph. Pure functions.

A picture is decoded once for all outputs that show it. Whether it is one is looked at before, by `localaws.media.png`.
"""

from __future__ import annotations

import math
from fractions import Fraction

from localaws.mediaconvert.ffmpeg.encoders import overlay_format, pixel_format
from localaws.mediaconvert.planning.film import Overlay, Scene
from localaws.mediaconvert.planning.planned import Output, Plan

# What ffmpeg takes the rate of a picture to be.
_PICTURES_PER_S = 25


def openings(plan: Plan) -> list[str]:
    """The input options of the command line, of each picture once."""
    options = [
        "-f",
        "png_pipe",
        "-format_whitelist",
        "png_pipe",
        "-protocol_whitelist",
        "file",
        "-codec_whitelist",
        "png",
    ]
    return [part for name in plan.pictures() for part in (*options, "-i", f"/in/{name}")]


def _of(output: Output) -> tuple[Overlay, ...]:
    return () if output.video is None else output.video.overlays


def lay(plan: Plan, chains: list[str], pads: dict[str, str], first: int) -> None:
    """Add to the graph what lays pictures over outputs, and put the new pads in the place of the old ones.

    first: the number of the first of `openings` among all inputs.
    """
    for number, name in enumerate(plan.pictures()):
        uses = [(output, place) for output in plan.outputs()
                for place, overlay in enumerate(_of(output)) if overlay.file == name]  # fmt: skip
        split = "".join(f"[{output.label}i{place}]" for output, place in uses)
        if uses:
            chains.append(f"[{first + number}:0]format=rgba,split={len(uses)}{split}")
    for output in plan.outputs():
        for place, overlay in enumerate(_of(output)):
            assert output.video is not None
            drawn, under = f"{output.label}d{place}", f"{output.label}u{place}"
            chains.append(f"[{output.label}i{place}]{','.join(_drawn(overlay))}[{drawn}]")
            form = pixel_format(output.video.codec)
            chains.append(f"{pads[output.label]}[{drawn}]{_over(overlay, form)}[{under}]")
            pads[output.label] = f"[{under}]"


def over_scene(plan: Plan, scene: Scene, chain: str, label: str, form: str) -> str:
    """A chain of a scene's frames with its pictures laid over them, as chains that end without a pad as it does.

    form: of the frames' pixels. label: begins the names of pads.
    """
    for place, overlay in enumerate(scene.overlays):
        number = len(plan.openings) + plan.pictures().index(overlay.file)
        under, drawn = f"[{label}f{place}]", f"[{label}d{place}]"
        laid = ",".join(["format=rgba", *_drawn(overlay)])
        chain += f",format={form}{under};[{number}:0]{laid}{drawn};{under}{drawn}{_over(overlay, form)}"
    return chain


def in_the_middle(plan: Plan, name: str, chain: str, label: str, width: int, height: int) -> str:
    """A chain of black frames with a picture in the middle, as large as fits; chains that end without a pad."""
    number = len(plan.openings) + plan.pictures().index(name)
    fitted = f"format=rgba,scale={width}:{height}:force_original_aspect_ratio=decrease"
    return f"{chain}[{label}b];[{number}:0]{fitted}[{label}m];[{label}b][{label}m]overlay=(W-w)/2:(H-h)/2"


def _over(overlay: Overlay, form: str) -> str:
    return f"overlay={_where(overlay)}:format={overlay_format(form)}"


def _drawn(overlay: Overlay) -> list[str]:
    """The picture at its size and opacity; one that fades is repeated, so that it has times to fade at."""
    filters = []
    if overlay.width or overlay.height:
        filters.append(f"scale={overlay.width or -1}:{overlay.height or -1}")
    filters.append(f"colorchannelmixer=aa={float(overlay.opacity):.2f}")
    return [*filters, *_faded(overlay)]


def _faded(overlay: Overlay) -> list[str]:
    if not (overlay.fade_in_s or overlay.fade_out_s):
        return []
    # The fade filter has no times before zero, and a picture may have begun before the first frame.
    early_s = max(-overlay.start_s, Fraction(0))
    fades = []
    if overlay.fade_in_s:
        fades.append(f"fade=t=in:st={float(overlay.start_s + early_s):.3f}:d={float(overlay.fade_in_s):.3f}:alpha=1")
    if overlay.fade_out_s and overlay.end_s is not None:
        fades.append(f"fade=t=out:st={float(overlay.end_s + early_s):.3f}:d={float(overlay.fade_out_s):.3f}:alpha=1")
    if early_s:
        shift = f"{float(early_s):.3f}/TB"
        fades = [f"setpts=PTS+{shift}", *fades, f"setpts=PTS-{shift}"]
    # Not without end: where the film's end is that of an endless picture, fps takes its last frame to have no length.
    faded_s = overlay.start_s + overlay.fade_in_s
    if overlay.end_s is not None:
        faded_s = max(faded_s, overlay.end_s + overlay.fade_out_s)
    repeats = max(math.ceil(faded_s * _PICTURES_PER_S), 0) + 1
    return [f"loop=loop={repeats}:size=1", *fades]


def _where(overlay: Overlay) -> str:
    start, end = f"{float(overlay.start_s):.4f}", overlay.end_s
    shown = f"gte(t\\,{start})"
    if end is not None:
        shown += f"*lt(t\\,{float(end + overlay.fade_out_s):.4f})"
    return f"x={overlay.left}:y={overlay.top}:eof_action=repeat:enable={shown}"
