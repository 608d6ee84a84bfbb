"""The filter graph of a job: what is decoded once becomes every output's pictures. Pure functions that return text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from localaws.mediaconvert.ffmpeg import retouching, stitching
from localaws.mediaconvert.ffmpeg.encoders import pixel_format
from localaws.mediaconvert.ffmpeg.intra_encoders import PALETTE
from localaws.mediaconvert.planning.planned import Output, Picture, Plan, VideoTrack
from localaws.mediaconvert.settings.codecs import Capture, Coded
from localaws.mediaconvert.settings.intra_codecs import Gif
from localaws.mediaconvert.settings.processing import MIDDLE

# Frames between others: blended, or with what moves where it would be.
_CONVERSIONS = {"INTERPOLATE": "framerate=", "FRAMEFORMER": "minterpolate=mi_mode=mci:mc_mode=aobmc:"}
_TURNS = {0: [], 90: ["transpose=clock"], 180: ["hflip", "vflip"], 270: ["transpose=cclock"]}


@dataclass
class _Node:
    """One size of the cascade at one frame rate: who takes frames from it."""

    label: str
    width: int
    height: int
    children: list[_Node] = field(default_factory=list)
    taps: list[Output] = field(default_factory=list)


def filters(plan: Plan) -> tuple[list[str], dict[str, str]]:
    """The filter graph, and the pad of each video output by its label."""
    prepared: dict[str, dict[tuple[str, str], list[Output]]] = {}
    for output in plan.outputs():
        if output.video is not None and plan.source.video is not None and not output.passes_through:
            kinds = prepared.setdefault(",".join(_preparation(output.video, plan)), {})
            kinds.setdefault((_timing(output.video, plan), pixel_format(output.video.codec)), []).append(output)
    chains: list[str] = []
    pads: dict[str, str] = {}
    if through := [output.label for output in plan.outputs() if output.passes_through]:
        pads |= dict.fromkeys(through, stitching.pictures(plan)[1].strip("[]"))
    if not prepared:
        return chains, pads
    before, film = stitching.pictures(plan)
    chains += before
    films = [film]
    if len(prepared) > 1:
        names = [f"film{index}" for index in range(len(prepared))]
        chains.append(f"{film}null{_split(names)}")
        films = [f"[{name}]" for name in names]
    number = 0
    for start, (preparation, kinds) in zip(films, prepared.items(), strict=True):
        heads = [f"r{number + index}" for index in range(len(kinds))]
        number += len(kinds)
        chains.append(start + preparation + _split(heads))
        for head, ((timing, form), outputs) in zip(heads, kinds.items(), strict=True):
            root = _cascade(head, outputs, _source_size(plan))
            _emit(root, f"[{head}]{timing},format={form}", chains, pads, plan)
    return chains, pads


def palettes(plan: Plan, chains: list[str], pads: dict[str, str]) -> None:
    """Bring the pictures of GIF outputs, with all that is drawn on them, to few colours."""
    for output in plan.outputs():
        if output.video is not None and isinstance(output.video.codec, Gif):
            label = f"{output.label}g"
            chains.append(f"{pads[output.label]}{PALETTE.format(label)}[{label}]")
            pads[output.label] = f"[{label}]"


def _timing(track: VideoTrack, plan: Plan) -> str:
    """Constant frame rate from time zero: aligned GOPs need it, and late or variable video is filled by repeats."""
    assert plan.source.video is not None
    rates, source = _rates(track, plan), plan.source.video.frame_rate
    rate = rates[-1]
    conversion = track.codec.conversion if isinstance(track.codec, Coded) and rate != source else "DUPLICATE_DROP"
    if conversion in _CONVERSIONS:
        between = f"{_CONVERSIONS[conversion]}fps={rate.numerator}/{rate.denominator}"
        if conversion == "FRAMEFORMER":
            # It looks two frames ahead and leaves out what it cannot see the end of.
            between = f"tpad=stop=2:stop_mode=clone,{between},trim=end={plan.source.duration_s - 0.001:.6f}"
        return f"fps=fps={source.numerator}/{source.denominator}:start_time=0,{between}"
    return ",".join(f"fps=fps={one.numerator}/{one.denominator}:start_time=0" for one in rates)


def _rates(track: VideoTrack, plan: Plan) -> list[Fraction]:
    """The rates that frames are brought to: the output's, and for fields one frame for each of them."""
    assert plan.source.video is not None
    rate = track.picture.frame_rate
    if not track.scan or not isinstance(track.codec, Coded):
        return [rate]
    if track.codec.telecine:
        return [rate * 4 / 5]
    video, fielded = plan.source.video, track.codec.fields_of_frames
    if (video.interlaced and track.processing.deinterlacer is None) or (fielded and video.frame_rate == 2 * rate):
        return [2 * rate]
    return [rate, 2 * rate]


def _preparation(track: VideoTrack, plan: Plan) -> list[str]:
    """Whole frames the right way up; most often the same for all outputs."""
    assert plan.source.video is not None
    filters = retouching.restated(plan.source.video)
    deinterlacer, rate = track.processing.deinterlacer, plan.source.video.frame_rate
    if deinterlacer is not None and deinterlacer.mode == "INVERSE_TELECINE":
        # Frames are dropped by their number, so they need a constant rate; a film of several scenes tells none.
        filters.append(f"fps=fps={rate.numerator}/{rate.denominator}:start_time=0")
    if track.scan and plan.source.video.interlaced and deinterlacer is None:
        filters.append(retouching.FIELD_BY_FIELD)
    else:
        filters += retouching.deinterlaced(deinterlacer, plan.source.video.interlaced)
    filters += _TURNS[plan.turn or 0]
    return filters or ["null"]


def _source_size(plan: Plan) -> tuple[int, int]:
    video = plan.source.video
    assert video is not None
    turn = video.rotation if plan.turn is None else plan.turn
    return (video.height, video.width) if turn in (90, 270) else (video.width, video.height)


def _cascade(head: str, outputs: Sequence[Output], source: tuple[int, int]) -> _Node:
    """Each size is scaled from the smallest larger one of the same shape, which costs least and loses nothing visible.

    Frame capture taps a size instead of making one: it scales the few frames that it selects. An output that is
    cut, cleaned or scaled in a way of its own takes frames of the source's size.
    """
    root = _Node(f"{head}s", *source)
    nodes = [root]
    sizes = sorted(
        {_content(output) for output in outputs if not output.captures and not _from_the_source(output)},
        key=lambda size: (-size[0] * size[1], size),
    )
    for width, height in sizes:
        if (width, height) == source:
            continue
        node = _Node(f"{head}x{len(nodes)}", width, height)
        _parent(nodes, width, height).children.append(node)
        nodes.append(node)
    for output in outputs:
        width, height = _content(output)
        same = [node for node in nodes if (node.width, node.height) == (width, height)]
        source_itself = [root] if _from_the_source(output) else []
        ([*source_itself, *same, _parent(nodes, width, height)][0]).taps.append(output)
    return root


def _from_the_source(output: Output) -> bool:
    return output.video is not None and output.video.processing.before_scaling


def _content(output: Output) -> tuple[int, int]:
    assert output.video is not None
    picture = output.video.picture
    return picture.content_width, picture.content_height


def _parent(nodes: Sequence[_Node], width: int, height: int) -> _Node:
    def fits(node: _Node) -> bool:
        same_shape = abs(node.width * height - node.height * width) <= 2 * max(node.width, node.height)
        return node.width >= width and node.height >= height and same_shape

    return min((node for node in nodes if fits(node)), key=lambda node: node.width * node.height, default=nodes[0])


def _emit(node: _Node, chain: str, chains: list[str], pads: dict[str, str], plan: Plan) -> None:
    ways = len(node.children) + len(node.taps)
    names = [f"{node.label}_{index}" for index in range(ways)]
    chains.append(chain + _split(names))
    for output, name in zip(node.taps, names, strict=False):
        chains.append(f"[{name}]{','.join(_ending(output, node, plan))}[{output.label}]")
        pads[output.label] = f"[{output.label}]"
    for child, name in zip(node.children, names[len(node.taps) :], strict=True):
        _emit(child, f"[{name}]{_scale(child.width, child.height)}", chains, pads, plan)


def _split(names: Sequence[str]) -> str:
    return (f",split={len(names)}" if len(names) > 1 else "") + "".join(f"[{name}]" for name in names)


def _scale(width: int, height: int, sharpness: int = MIDDLE) -> str:
    if sharpness == MIDDLE:
        return f"scale={width}:{height}:flags=bicubic"
    # Mitchell and Netravali's B and C: from the widest kernel, a B-spline, over swscale's own 0 and 0.6 to 0 and 1.2.
    blur, ringing = max(0.0, 1 - sharpness / MIDDLE), 0.6 * sharpness / MIDDLE
    return f"scale={width}:{height}:flags=bicubic:param0={blur:.2f}:param1={ringing:.2f}"


def _ending(output: Output, node: _Node, plan: Plan) -> list[str]:
    """What is an output's own: selected frames, what is done to them, bars or cropping, the shape of its pixels."""
    assert output.video is not None and plan.source.video is not None
    picture, codec, processing = output.video.picture, output.video.codec, output.video.processing
    filters = []
    if isinstance(codec, Capture):
        filters.append(f"select=gte(t\\,selected_n*{codec.rate.denominator}/{codec.rate.numerator})")
    size = (node.width, node.height)
    if (crop := processing.crop) is not None:
        filters.append(f"crop={crop.width}:{crop.height}:{crop.left}:{crop.top}")
        size = (crop.width, crop.height)
    filters += retouching.cleaned(processing.noise)
    if size != (picture.content_width, picture.content_height):
        filters.append(_scale(picture.content_width, picture.content_height, processing.sharpness))
    if corrections := retouching.coloured(processing.colour, plan.source.video):
        filters += [*corrections, f"format={pixel_format(codec)}"]
    filters += _bars(picture)
    filters += retouching.interlaced(output.video)
    filters += retouching.counted(output.video.timecode, output.label, picture)
    filters.append(f"setsar={picture.sar.numerator}/{picture.sar.denominator}")
    if not processing.colour_metadata:
        filters.append("setparams=range=unspecified:color_primaries=unknown:color_trc=unknown:colorspace=unknown")
    if isinstance(codec, Capture):
        filters.append("scale=out_range=full,format=yuvj420p")
    return filters


def _bars(picture: Picture) -> list[str]:
    size, content = (picture.width, picture.height), (picture.content_width, picture.content_height)
    if picture.left is not None and picture.top is not None:
        return [f"pad={size[0]}:{size[1]}:{picture.left}:{picture.top}"]
    if content == size:
        return []
    if content[0] >= size[0] and content[1] >= size[1]:
        return [f"crop={size[0]}:{size[1]}"]
    return [f"pad={size[0]}:{size[1]}:-1:-1"]
