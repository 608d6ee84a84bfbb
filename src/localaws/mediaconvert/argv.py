"""Command lines for ffmpeg and Shaka Packager, from a plan. Pure functions that return lists.

Paths are those inside the jail: the source is `/in/source`, intermediates are read from `/in/encoded`, results go to
`/out`. No name of a user's file and no key ever becomes an argument.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from localaws.mediaconvert import request
from localaws.mediaconvert.plan import AudioTrack, Group, Output, Picture, Plan, VideoTrack
from localaws.mediaconvert.probe import input_options

_PRESETS = {"SINGLE_PASS": "veryfast", "SINGLE_PASS_HQ": "faster", "MULTI_PASS_HQ": "medium"}
_LOOKAHEAD = {"MULTI_PASS_HQ": "60"}
# ffmpeg's native AAC encoder: VBR by quality factor, about 32, 64, 96 and 128 kb/s per channel pair.
_AAC_VBR = {"LOW": "0.5", "MEDIUM_LOW": "0.9", "MEDIUM_HIGH": "1.3", "HIGH": "2"}
_LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1"}
_TURNS = {0: [], 90: ["transpose=clock"], 180: ["hflip", "vflip"], 270: ["transpose=cclock"]}


def ffmpeg(plan: Plan, executable: str) -> list[str]:
    """Decode the source once and encode every output of every group in the same process.

    Reports progress on standard output, `key=value` lines twice a second.
    """
    arguments = [
        executable,
        "-hide_banner", "-nostdin", "-loglevel", "error", "-y",
        "-progress", "pipe:1", "-stats_period", "0.5",
        *_input(plan),
    ]  # fmt: skip
    graph, pads = _graph(plan)
    if graph:
        arguments += ["-filter_complex", ";".join(graph)]
    for output in plan.outputs():
        arguments += _output(output, pads)
    return arguments


def _input(plan: Plan) -> list[str]:
    arguments = input_options(plan.source.demuxer)
    if plan.turn is not None:
        # AWS turns by what the job says, and by default not at all, even where the source has rotation metadata.
        arguments += ["-display_rotation", "0"]
    return [*arguments, "-i", "/in/source"]


@dataclass
class _Node:
    """One size of the cascade at one frame rate: who takes frames from it."""

    label: str
    width: int
    height: int
    children: list[_Node] = field(default_factory=list)
    taps: list[Output] = field(default_factory=list)


def _graph(plan: Plan) -> tuple[list[str], dict[str, str]]:
    """The filter graph, and the pad of each video output by its label."""
    rates: dict[Fraction, list[Output]] = {}
    for output in plan.outputs():
        if output.video is not None:
            rates.setdefault(output.video.picture.frame_rate, []).append(output)
    chains: list[str] = []
    pads: dict[str, str] = {}
    if not rates or plan.source.video is None:
        return chains, pads
    heads = [f"r{index}" for index in range(len(rates))]
    prepared = f"[0:{plan.source.video.stream_index}]{','.join(_preparation(plan))}"
    chains.append(prepared + _split(heads))
    for head, (rate, outputs) in zip(heads, rates.items(), strict=True):
        root = _cascade(head, outputs, _source_size(plan))
        # Constant frame rate from time zero: aligned GOPs need it, and late or variable video is filled by repeats.
        _emit(root, f"[{head}]fps=fps={rate.numerator}/{rate.denominator}:start_time=0", chains, pads)
    return chains, pads


def _preparation(plan: Plan) -> list[str]:
    filters = []
    if plan.source.video is not None and plan.source.video.interlaced:
        filters.append("bwdif=mode=send_frame")  # outputs are progressive; one frame for each frame
    filters += _TURNS[plan.turn or 0]
    return [*filters, "format=yuv420p"]


def _source_size(plan: Plan) -> tuple[int, int]:
    video = plan.source.video
    assert video is not None
    turn = video.rotation if plan.turn is None else plan.turn
    return (video.height, video.width) if turn in (90, 270) else (video.width, video.height)


def _cascade(head: str, outputs: Sequence[Output], source: tuple[int, int]) -> _Node:
    """Each size is scaled from the smallest larger one of the same shape, which costs least and loses nothing visible.

    Frame capture taps a size instead of making one: it scales the few frames that it selects.
    """
    root = _Node(f"{head}s", *source)
    nodes = [root]
    sizes = sorted(
        {_content(output) for output in outputs if not output.captures}, key=lambda size: (-size[0] * size[1], size)
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
        (same[0] if same else _parent(nodes, width, height)).taps.append(output)
    return root


def _content(output: Output) -> tuple[int, int]:
    assert output.video is not None
    picture = output.video.picture
    return picture.content_width, picture.content_height


def _parent(nodes: Sequence[_Node], width: int, height: int) -> _Node:
    def fits(node: _Node) -> bool:
        same_shape = abs(node.width * height - node.height * width) <= 2 * max(node.width, node.height)
        return node.width >= width and node.height >= height and same_shape

    return min((node for node in nodes if fits(node)), key=lambda node: node.width * node.height, default=nodes[0])


def _emit(node: _Node, chain: str, chains: list[str], pads: dict[str, str]) -> None:
    ways = len(node.children) + len(node.taps)
    names = [f"{node.label}_{index}" for index in range(ways)]
    chains.append(chain + _split(names))
    for output, name in zip(node.taps, names, strict=False):
        chains.append(f"[{name}]{','.join(_ending(output, node))}[{output.label}]")
        pads[output.label] = f"[{output.label}]"
    for child, name in zip(node.children, names[len(node.taps) :], strict=True):
        _emit(child, f"[{name}]{_scale(child.width, child.height)}", chains, pads)


def _split(names: Sequence[str]) -> str:
    return (f",split={len(names)}" if len(names) > 1 else "") + "".join(f"[{name}]" for name in names)


def _scale(width: int, height: int) -> str:
    return f"scale={width}:{height}:flags=bicubic"


def _ending(output: Output, node: _Node) -> list[str]:
    """What is an output's own: selected frames, bars or cropping, the shape of its pixels."""
    assert output.video is not None
    picture, codec = output.video.picture, output.video.codec
    filters = []
    if isinstance(codec, request.Capture):
        filters.append(f"select=gte(t\\,selected_n*{codec.rate.denominator}/{codec.rate.numerator})")
        if (node.width, node.height) != (picture.content_width, picture.content_height):
            filters.append(_scale(picture.content_width, picture.content_height))
    filters += _bars(picture)
    filters.append(f"setsar={picture.sar.numerator}/{picture.sar.denominator}")
    if isinstance(codec, request.Capture):
        filters.append("scale=out_range=full,format=yuvj420p")
    return filters


def _bars(picture: Picture) -> list[str]:
    size, content = (picture.width, picture.height), (picture.content_width, picture.content_height)
    if content == size:
        return []
    if content[0] >= size[0] and content[1] >= size[1]:
        return [f"crop={size[0]}:{size[1]}"]
    return [f"pad={size[0]}:{size[1]}:-1:-1"]


def _output(output: Output, pads: dict[str, str]) -> list[str]:
    arguments: list[str] = []
    if output.video is not None:
        arguments += ["-map", pads[output.label], *_video(output.video)]
    if output.audio is not None:
        arguments += ["-map", f"0:{output.audio.stream_index}", *_audio(output.audio)]
    # Nothing of the source's own metadata leaves with the output: it may name people, places and programs.
    arguments += ["-map_metadata", "-1", "-map_chapters", "-1", "-dn", "-sn"]
    if output.captures:
        return [*arguments, "-f", "image2", "-start_number", "0", f"/out/{output.work_file}"]
    if output.audio is not None and output.audio.language:
        arguments += ["-metadata:s:a:0", f"language={output.audio.language}"]
    if output.brand:
        arguments += ["-brand", output.brand]
    if output.fast_start:
        arguments += ["-movflags", "+faststart"]
    return [*arguments, "-f", "mp4", f"/out/{output.work_file}"]


def _video(track: VideoTrack) -> list[str]:
    # The filter graph has set the frame rate; muxers must not repeat or drop on their own.
    common = ["-fps_mode:v", "passthrough"]
    if isinstance(track.codec, request.Capture):
        most = [] if track.codec.most is None else ["-frames:v", str(track.codec.most)]
        # mjpeg's scale runs from 2, best, to 31.
        return [*common, "-c:v", "mjpeg", "-q:v", str(round(2 + (100 - track.codec.quality) * 29 / 99)), *most]
    assert track.gop is not None
    keys = ["-g", str(track.gop.frames)]
    if track.gop.boundary_s is not None:
        keys += ["-force_key_frames", f"expr:gte(t,n_forced*{track.gop.boundary_s})"]
    return [*common, *_h264(track.codec), *keys, "-x264-params", ":".join(_x264(track.codec, track.gop.frames))]


def _h264(codec: request.H264) -> list[str]:
    arguments = ["-c:v", "libx264", "-preset", _PRESETS[codec.tuning], "-profile:v", codec.profile]
    if codec.level is not None:
        arguments += ["-level:v", codec.level]
    if codec.rate_control == "QVBR":
        # Level 7 is CRF 23, x264's own default, and each level is two steps: 10 is 17, 1 is 35.
        arguments += ["-crf", f"{23 - 2 * (codec.quality - 7):.2f}"]
    else:
        arguments += ["-b:v", str(codec.bitrate_bps)]
    peak_bps = codec.max_bitrate_bps
    if peak_bps is not None or codec.buffer_bits is not None:
        peak_bps = peak_bps or codec.bitrate_bps or 0
        window = 1 if codec.rate_control == "CBR" else 2
        arguments += ["-maxrate:v", str(peak_bps), "-bufsize:v", str(codec.buffer_bits or window * peak_bps)]
    if codec.b_frames is not None:
        arguments += ["-bf", str(codec.b_frames)]
    if codec.references is not None:
        arguments += ["-refs", str(codec.references)]
    return arguments


def _x264(codec: request.H264, gop_frames: int) -> list[str]:
    # Closed GOPs of one length in every rendition. x264 would give a scene cut a key frame of its own, at another place
    # in each rendition, since it takes no min-keyint above half of keyint.
    options = [f"keyint={gop_frames}", f"min-keyint={gop_frames}", "open-gop=0", "scenecut=0"]
    options.append(f"cabac={int(codec.cabac)}" if codec.profile != "baseline" else "cabac=0")
    if codec.rate_control == "CBR":
        options.append("nal-hrd=cbr")
    if codec.buffer_fill_percent is not None:
        options.append(f"vbv-init={codec.buffer_fill_percent / 100:.2f}")
    if codec.b_reference is not None:
        options.append(f"b-pyramid={'normal' if codec.b_reference else 'none'}")
    if not codec.adaptive_b:
        options.append("b-adapt=0")
    if codec.slices is not None:
        options.append(f"slices={codec.slices}")
    if not codec.adaptive_quantization:
        options.append("aq-mode=0")
    if codec.weighted_prediction is not None:
        options.append(f"weightp={2 if codec.weighted_prediction and codec.profile != 'baseline' else 0}")
    if codec.tuning in _LOOKAHEAD:
        options.append(f"rc-lookahead={_LOOKAHEAD[codec.tuning]}")
    return options


def _audio(track: AudioTrack) -> list[str]:
    if track.bitrate_bps is not None:
        rate = ["-b:a", str(track.bitrate_bps)]
    else:
        rate = ["-q:a", _AAC_VBR[track.vbr_quality or "MEDIUM_HIGH"]]
    return [
        # Sound that begins late is filled with silence, and gaps too, so that both tracks count from the same zero.
        "-af", f"aresample=async=1:first_pts=0,aformat=channel_layouts={_LAYOUTS[track.channels]}",
        "-ar", str(track.sample_rate_hz), "-c:a", "aac", "-profile:a", "aac_low", *rate,
    ]  # fmt: skip


def packager(group: Group, executable: str, *, encrypted: bool) -> list[str]:
    """Package the intermediates of a DASH or CMAF group; names in the output are safe ones, given final names later.

    Keys come from `/secrets/keys`, a file of flags, when `encrypted`.
    """
    packaging = group.packaging
    assert packaging is not None
    arguments = [executable, *(_stream(output, group) for output in group.outputs)]
    # A hundred thousandth of a second more, so that cutting to whole ticks never ends a segment one frame early.
    arguments += [
        f"--segment_duration={float(group.segment_s) + 1e-5:.5f}",
        f"--fragment_duration={float(group.fragment_s) + 1e-5:.5f}",
        "--temp_dir=/tmp",
    ]  # fmt: skip
    if packaging.dash:
        arguments.append("--mpd_output=manifest.mpd")
        if not packaging.single_file:
            arguments.append("--generate_static_live_mpd")
        if packaging.min_buffer_s is not None:
            arguments.append(f"--min_buffer_time={float(packaging.min_buffer_s)}")
    if packaging.hls:
        arguments.append("--hls_master_playlist_output=manifest.m3u8")
    default = next((output.audio.language for output in group.outputs if output.audio and output.audio_default), None)
    arguments.append(f"--default_language={default or 'und'}")
    if encrypted:
        encryption = packaging.encryption
        assert encryption is not None
        arguments += [
            "--enable_raw_key_encryption",
            f"--protection_scheme={encryption.scheme}",
            # Nothing is left in the clear at the start.
            "--clear_lead=0",
            "--flagfile=/secrets/keys",
        ]
    return [*arguments, "--quiet"]


def _stream(output: Output, group: Group) -> str:
    packaging = group.packaging
    assert packaging is not None
    kind = "video" if output.video is not None else "audio"
    fields = [f"in=/in/encoded/{output.work_file}", f"stream={kind}", "format=mp4"]
    if packaging.single_file:
        fields.append(f"output={output.label}.{output.extension}")
    else:
        fields.append(f"init_segment={output.label}init.{output.extension}")
        fields.append(f"segment_template={output.label}_$Number%09d$.{output.extension}")
    if packaging.encryption is not None:
        covered = packaging.encryption.video if kind == "video" else packaging.encryption.audio
        fields.append(f"drm_label={kind.upper()}" if covered else "skip_encryption=1")
    if packaging.peak_bandwidth and output.video is not None and isinstance(output.video.codec, request.H264):
        peak_bps = output.video.codec.max_bitrate_bps or output.video.codec.bitrate_bps
        fields.append(f"bandwidth={peak_bps}")
    if output.audio is not None and output.audio.language:
        fields.append(f"language={output.audio.language}")
    if packaging.hls:
        fields.append(f"playlist_name={output.label}.m3u8")
        if output.audio is not None:
            fields += [f"hls_group_id={output.audio_group or 'audio'}", f"hls_name={output.label}"]
    return ",".join(fields)
