"""Captions that go into the pictures' own data: the inputs of ffmpeg that hold them, and chains that hand them on.

Frames of a carrier film become the film's frames, pixel by pixel; what stays of the carrier is its captions. Pure
functions. Source: ffmpeg's blend filter, whose result has the properties of its first input; ffmpeg's encoders (a53cc).
"""

from __future__ import annotations

from localaws.mediaconvert.ffmpeg import retouching
from localaws.mediaconvert.ffmpeg.encoders import pixel_format
from localaws.mediaconvert.planning.planned import Output, Plan


def outputs(plan: Plan) -> list[Output]:
    return [output for output in plan.outputs() if output.embedded and output.video is not None]


def openings(plan: Plan) -> list[str]:
    """The input options of the carriers, in the order of the outputs they belong to."""
    arguments: list[str] = []
    for output in outputs(plan):
        assert output.video is not None
        rate = output.video.picture.frame_rate
        arguments += ["-framerate", f"{rate.numerator}/{rate.denominator}", "-f", "h264"]
        arguments += ["-i", f"/in/{output.carrier_file}"]
    return arguments


def hand_on(plan: Plan, chains: list[str], pads: dict[str, str], first: int) -> None:
    """Add to the graph what gives outputs their captions, and put the new pads in the place of the old ones.

    first: the number of the first of `openings` among all inputs.
    """
    for number, output in enumerate(outputs(plan), start=first):
        assert output.video is not None and plan.source.video is not None
        picture, label = output.video.picture, output.label
        time_base = f"settb={picture.frame_rate.denominator}/{picture.frame_rate.numerator}"
        # It is scaled to no other size, for its colours to follow the film's, and repeats its last frame, so that
        # the end is the film's.
        carrier = f"scale=16:16,format={pixel_format(output.video.codec)},pad={picture.width}:{picture.height}"
        chains.append(f"[{number}:0]{carrier},tpad=stop=-1:stop_mode=clone,{time_base},setpts=N[{label}h]")
        chains.append(f"{pads[label]}{time_base}[{label}f]")
        shape = f"setsar={picture.sar.numerator}/{picture.sar.denominator}"
        told = retouching.told(output.video, plan.source.video)
        chains.append(f"[{label}h][{label}f]blend=all_mode=normal:all_opacity=0:shortest=1,{shape},{told}[{label}e]")
        pads[label] = f"[{label}e]"
