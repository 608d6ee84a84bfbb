"""Command lines for ffmpeg and Shaka Packager, from a plan. Pure functions that return lists.

Paths are those inside the jail: the source is `/in/source`, intermediates are read from `/in/encoded`, results go to
`/out`. No name of a user's file and no key ever becomes an argument.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from localaws.mediaconvert import naming
from localaws.mediaconvert.ffmpeg import black, carried, encoders, graph, overlays, soundtrack, stitching
from localaws.mediaconvert.groups import smooth
from localaws.mediaconvert.planning.planned import Group, Output, Plan
from localaws.mediaconvert.settings.codecs import H264, H265, Coded, Mpeg2
from localaws.mediaconvert.settings.containers import TransportStream
from localaws.mediaconvert.settings.packaging import DEFAULT_SOUND_GROUP
from localaws.mediaconvert.text import tracks as text_tracks


def ffmpeg(plan: Plan, executable: str, gains_db: Mapping[str, float] = MappingProxyType({})) -> list[str]:
    """Decode the source once and encode every output of every group in the same process.

    gains_db: corrections of loudness, by the name of a track of sound.
    Reports progress on standard output, `key=value` lines twice a second.
    """
    arguments = [
        executable,
        "-hide_banner", "-nostdin", "-loglevel", "error", "-y",
        *soundtrack.REPORTS,
    ]  # fmt: skip
    inputs, chains, pads = _pictures(plan, watched=True)
    arguments += inputs
    if chains:
        arguments += ["-filter_complex", ";".join(chains)]
    arguments += soundtrack.graph(plan, gains_db)
    for output in plan.outputs():
        arguments += _output(output, pads)
    return arguments


def _drawn_captions(plan: Plan) -> list[str]:
    """The inputs that hold captions as pictures, in the order of the outputs they belong to."""
    arguments: list[str] = []
    for output in plan.outputs():
        if output.burn_in is not None and output.video is not None:
            size = f"{output.video.picture.width}x{output.video.picture.height}"
            arguments += ["-canvas_size", size, "-f", "sup", "-i", f"/in/{output.burn_in_file}"]
    return arguments


def _lay_over(plan: Plan, chains: list[str], pads: dict[str, str]) -> None:
    """Draw captions on each output's own pictures, at their final size."""
    number = len(plan.openings) + len(plan.pictures())
    for output in plan.outputs():
        if output.burn_in is not None and output.video is not None:
            form = encoders.overlay_format(encoders.pixel_format(output.video.codec))
            rate = output.video.picture.frame_rate
            # On a clock of whole frames the overlay would come one frame late.
            chains.append(
                f"{pads[output.label]}settb=1/90000[{output.label}b];[{output.label}b][{number}:0]"
                f"overlay=eof_action=pass:format={form},settb={rate.denominator}/{rate.numerator}[{output.label}c]"
            )
            pads[output.label] = f"[{output.label}c]"
            number += 1


def _pictures(plan: Plan, *, watched: bool = False) -> tuple[list[str], list[str], dict[str, str]]:
    """The inputs, and chains from them to the pad of each output's pictures with all that is drawn on them.

    watched: black is looked for in what is not drawn on yet.
    """
    chains, pads = graph.filters(plan)
    if watched:
        black.watch(plan, chains, pads)
    overlays.lay(plan, chains, pads, len(plan.openings))
    _lay_over(plan, chains, pads)
    graph.palettes(plan, chains, pads)
    inputs = [*stitching.openings(plan), *overlays.openings(plan), *_drawn_captions(plan)]
    carried.hand_on(plan, chains, pads, inputs.count("-i"))
    return [*inputs, *carried.openings(plan)], chains, pads


def analysis(plan: Plan, executable: str) -> list[str] | None:
    """The first of two passes, over the pictures of outputs that want two; None where none does.

    Writes statistics below /out, which `ffmpeg` reads, and nothing else.
    """
    outputs = list(plan.two_pass_outputs())
    if not outputs:
        return None
    inputs, chains, pads = _pictures(replace(plan, groups=tuple(_only(group, outputs) for group in plan.groups)))
    arguments = [executable, "-hide_banner", "-nostdin", "-loglevel", "error", "-y", *soundtrack.REPORTS, *inputs]
    arguments += ["-filter_complex", ";".join(chains)]
    for output in outputs:
        assert output.video is not None
        arguments += ["-map", pads[output.label], *encoders.video(output.video, _pass(1, output)), "-f", "null", "-"]
    return arguments


def _only(group: Group, outputs: list[Output]) -> Group:
    return replace(group, outputs=tuple(output for output in group.outputs if output in outputs))


def _pass(number: int, output: Output) -> encoders.Pass:
    return encoders.Pass(number, f"/out/{statistics_name(output)}")


def statistics_name(output: Output) -> str:
    """What the files of a first pass begin with; unlike an output's own files, which begin with its label."""
    return f"pass-{output.label}"


def _output(output: Output, pads: dict[str, str]) -> list[str]:
    arguments: list[str] = []
    if output.video is not None:
        arguments += ["-map", pads[output.label], *encoders.video(output.video, _second(output))]
        if isinstance(output.video.codec, H264 | H265 | Mpeg2):
            # Captions in the source's pictures are for outputs that ask for them.
            arguments += ["-a53cc", str(int(bool(output.embedded)))]
    for number, track in enumerate(output.audios):
        arguments += ["-map", f"[{output.label}a{number}]"]
        arguments += _numbered(encoders.audio(track), number, len(output.audios))
    # Nothing of the source's own metadata leaves with the output: it may name people, places and programs.
    arguments += ["-map_metadata", "-1", "-map_chapters", "-1", "-dn", "-sn"]
    for number, track in enumerate(output.audios):
        if track.language:
            arguments += [f"-metadata:s:a:{number}", f"language={track.language}"]
    return [*arguments, *_muxer(output), f"/out/{output.work_file}"]


def _second(output: Output) -> encoders.Pass | None:
    return _pass(2, output) if output.two_passes else None


def _numbered(options: list[str], number: int, tracks: int) -> list[str]:
    """Options of sound as options of one track, where an output has several."""
    if tracks == 1:
        return options
    return [part if place % 2 else f"{part.removesuffix(':a')}:a:{number}" for place, part in enumerate(options)]


def _muxer(output: Output) -> list[str]:
    container, arguments = output.container, []
    if output.captures:
        arguments = ["-start_number", "0"]
    if container.brand:
        arguments += ["-brand", container.brand]
    flags = {"faststart": container.fast_start, "negative_cts_offsets": container.negative_offsets}
    if any(flags.values()):
        arguments += ["-movflags", "".join(f"+{flag}" for flag, wanted in flags.items() if wanted)]
    timecode = None if output.video is None else output.video.first_timecode
    if timecode is not None and container.muxer in ("mp4", "mov", "mxf"):
        arguments += ["-metadata", f"timecode={timecode}"]
        # MP4 files get a track of timecodes where that is asked for alone.
        arguments += [] if container.muxer == "mxf" else ["-write_tmcd", "1"]
    if container.stream is not None:
        arguments += _transport_stream(container.stream, output)
    if container.muxer == "wav" and output.audio is not None:
        # The header of a large file only where there is one, unless it is asked for.
        arguments += ["-rf64", "always" if output.audio.coding.large_file else "never"]
    return [*arguments, "-f", container.muxer]


def _transport_stream(stream: TransportStream, output: Output) -> list[str]:
    pids = [stream.video_pid] if output.video is not None else []
    pids += stream.audio_pids[: len(output.audios)]
    arguments = [part for index, pid in enumerate(pids) for part in ("-streamid", f"{index}:{pid}")]
    options = {
        # Packets of 188 bytes: by the extension m2ts ffmpeg would write Blu-ray's 192.
        "mpegts_m2ts_mode": 0,
        "mpegts_pmt_start_pid": stream.pmt_pid,
        "mpegts_service_id": stream.program,
        "mpegts_transport_stream_id": stream.stream_id,
        "muxrate": stream.mux_rate_bps,
        "pcr_period": stream.clock_period_ms,
        "pat_period": None if stream.table_period_ms is None else stream.table_period_ms / 1000,
    }
    arguments += [part for name, value in options.items() if value is not None for part in (f"-{name}", str(value))]
    # Presentation begins where it is to begin, not where the muxer's own delays would put it.
    return [*arguments, "-muxdelay", "0", "-muxpreload", "0", "-output_ts_offset", f"{float(stream.start_s):.3f}"]


def packager(group: Group, executable: str, *, encrypted: bool) -> list[str]:
    """Package the intermediates of a DASH, CMAF or Smooth Streaming group.

    Names in the output are safe ones; files get final names later. Keys come from `/secrets/keys`, a file of flags,
    when `encrypted`.
    """
    packaging = group.packaging
    assert packaging is not None
    if packaging.smooth is not None:
        arguments = smooth.streams(group, executable)
    else:
        arguments = [executable, *(_stream(output, group) for output in group.outputs)]
        if group.trick_play is not None:
            arguments.append(_trick_play(group.trick_play, group))
    arguments += text_tracks.descriptors(group)
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
            # Nothing is left in the clear at the start, unless the job asks for it.
            f"--clear_lead={float(encryption.clear_segments * group.segment_s):g}",
            "--flagfile=/secrets/keys",
        ]
    return [*arguments, "--quiet"]


def _trick_play(output: Output, group: Group) -> str:
    """Every key frame and nothing else, for DASH alone: HLS has playlists that point into the segments."""
    fields = _files(output, group, f"{output.label}{naming.TRICK_PLAY}")
    return ",".join([*fields, "trick_play_factor=1", "dash_only=1"])


def _files(output: Output, group: Group, label: str) -> list[str]:
    """Where a stream comes from, what it becomes, and its key."""
    packaging = group.packaging
    assert packaging is not None
    kind = "video" if output.video is not None else "audio"
    fields = [f"in=/in/encoded/{output.work_file}", f"stream={kind}", "format=mp4"]
    if packaging.single_file:
        fields.append(f"output={label}.{output.extension}")
    else:
        fields.append(f"init_segment={label}init.{output.extension}")
        fields.append(f"segment_template={label}_${output.segments.identifier}$.{output.extension}")
    if packaging.encryption is not None:
        track_type = group.track_type(output)
        fields.append(f"drm_label={track_type}" if track_type else "skip_encryption=1")
    return fields


def _stream(output: Output, group: Group) -> str:
    packaging = group.packaging
    assert packaging is not None
    fields = _files(output, group, output.label)
    if packaging.peak_bandwidth and output.video is not None and isinstance(output.video.codec, Coded):
        fields.append(f"bandwidth={output.video.codec.peak_bps}")
    if output.audio is not None and output.audio.language:
        fields.append(f"language={output.audio.language}")
    if packaging.hls:
        fields.append(f"playlist_name={output.label}.m3u8")
        if output.key_frames:
            fields.append(f"iframe_playlist_name={output.label}iframe.m3u8")
        if output.describes_video:
            fields.append("hls_characteristics=public.accessibility.describes-video")
        if output.audio is not None:
            fields += [f"hls_group_id={output.audio_group or DEFAULT_SOUND_GROUP}", f"hls_name={output.label}"]
    return ",".join(fields)
