"""Encoder options for ffmpeg, from planned tracks. Pure functions that return lists.

Each QVBR level is a step of constant quality, level 7 each encoder's own default; what a member has no equal for in an
encoder, the table of settings says.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from localaws.media.decoders import FULL_BUILD_CODECS
from localaws.mediaconvert.ffmpeg import intra_encoders, messages
from localaws.mediaconvert.planning.planned import AudioTrack, Gop, Plan, VideoTrack
from localaws.mediaconvert.settings.audio_codecs import AudioCoding, Dolby
from localaws.mediaconvert.settings.codecs import H264, H265, Av1, Capture, Coded, Mpeg2, Vp8, Vp9
from localaws.mediaconvert.settings.intra_codecs import Passthrough, Vc3

_PRESETS = {"SINGLE_PASS": "veryfast", "SINGLE_PASS_HQ": "faster", "MULTI_PASS_HQ": "medium"}
_LOOKAHEAD = {"MULTI_PASS_HQ": "60"}
_SVT_PRESET = "8"
_VPX_SPEED = {"MULTI_PASS": "4", "MULTI_PASS_HQ": "2"}
# Of x264 and x265; 1.0 is what both take by themselves, and what MEDIUM leaves alone.
_AQ_STRENGTH = {"LOW": "0.60", "MEDIUM": "1.00", "HIGH": "1.20", "HIGHER": "1.40", "MAX": "1.60"}
# Constant quality uses quantizers that much finer than its CRF where much depends on a block.
_FINER_THAN_LEVEL = 6
# ffmpeg's native AAC encoder: VBR by quality factor, about 32, 64, 96 and 128 kb/s per channel pair.
_AAC_VBR = {"LOW": "0.5", "MEDIUM_LOW": "0.9", "MEDIUM_HIGH": "1.3", "HIGH": "2"}
_LAYOUTS = {1: "mono", 2: "stereo", 3: "3.0", 4: "quad", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}


def pixel_format(codec: Coded | Capture) -> str:
    """How the filter graph hands pictures to an encoder."""
    if isinstance(codec, Capture):
        return "yuv420p"
    if isinstance(codec, Mpeg2 | H264 | H265) and "422" in codec.profile:
        return "yuv422p10le" if codec.bit_depth == 10 else "yuv422p"
    return intra_encoders.pixel_format(codec) or ("yuv420p10le" if codec.bit_depth == 10 else "yuv420p")


def overlay_format(form: str) -> str:
    """What the overlay filter calls pixels of a format; its own is 4:2:0 with 8 bits."""
    return form.replace("p10le", "p10").removesuffix("p")


def need_full_build(plan: Plan) -> bool:
    """Whether a decoder, an encoder or a filter is needed that ffmpeg's small static build does not have."""
    pictures = (opening.source.video for opening in plan.openings)
    if any(video is not None and video.codec in FULL_BUILD_CODECS for video in pictures):
        return True
    # The small build reads no PNG.
    return bool(plan.pictures()) or any(
        (output.video is not None and _needs_full_build(output.video))
        or any(track.coding.codec == "VORBIS" for track in output.audios)
        for output in plan.outputs()
    )


@dataclass(frozen=True)
class Pass:
    """One of two passes over a picture, and the file of the statistics that the first hands to the second."""

    number: int
    statistics: str


def _needs_full_build(track: VideoTrack) -> bool:
    colour = track.processing.colour
    deep = isinstance(track.codec, H265) and track.codec.bit_depth > 8
    # It draws no text and converts no colours either.
    return deep or track.timecode is not None or (colour is not None and colour.space != "NONE")


def video(track: VideoTrack, of_two: Pass | None = None) -> list[str]:
    """Options of one output's pictures; `of_two` where its codec is to be run twice."""
    # The filter graph has set the frame rate; muxers must not repeat or drop on their own.
    common = ["-fps_mode:v", "passthrough"]
    if isinstance(track.codec, Capture):
        most = [] if track.codec.most is None else ["-frames:v", str(track.codec.most)]
        # mjpeg's scale runs from 2, best, to 31.
        return [*common, "-c:v", "mjpeg", "-q:v", str(round(2 + (100 - track.codec.quality) * 29 / 99)), *most]
    assert track.gop is not None
    if isinstance(track.codec, Passthrough):
        return ["-c:v", "copy"]
    options: Callable[..., list[str]] = _OPTIONS[type(track.codec)]
    arguments = [*common, *options(track.codec, track.gop)]
    if type(track.codec) in _BY_SIZE:
        arguments += _BY_SIZE[type(track.codec)](track.codec, track.picture.width)
    if isinstance(track.codec, Av1) and (halvings := _tile_columns(track.codec, track.picture.width)):
        arguments = messages.among_own(arguments, f"tile-columns={halvings}")
    arguments = messages.told(track, arguments)
    return arguments if of_two is None else _in_two(arguments, of_two)


def _in_two(arguments: list[str], of_two: Pass) -> list[str]:
    """x264 and x265 take the pass among their own options; of others ffmpeg keeps the statistics."""
    said = f"pass={of_two.number}:stats={of_two.statistics}"
    if "-x264-params" in arguments or "-x265-params" in arguments:
        return messages.among_own(arguments, said)
    return [*arguments, "-pass", str(of_two.number), "-passlogfile", of_two.statistics]


def _keys(gop: Gop) -> list[str]:
    keys = ["-g", str(gop.frames)]
    if gop.closed_every > 1:
        # The encoder opens those that it makes itself.
        keys += ["-forced-idr", "1", "-force_key_frames", f"expr:gte(n,n_forced*{gop.frames * gop.closed_every})"]
    if gop.boundary_s is not None:
        keys += ["-force_key_frames", f"expr:gte(t,n_forced*{gop.boundary_s})"]
    return keys


def _among_scene_cuts(codec: Coded, gop: Gop) -> bool:
    """Open GOPs are the encoder's own, and so are not where key frames are forced beside scene cuts."""
    return codec.scene_cuts and gop.closed_every == 1


def _keys_among_scene_cuts(gop: Gop) -> list[str]:
    """Key frames where the GOP has them, at the same places in every rendition, although scenes are cut elsewhere.

    x264 and x265 make a scene cut a key frame unless it comes too soon after the last one. So they are told of GOPs
    twice as long, in which every cut does come too soon and gets an I-frame alone, and key frames are forced.
    """
    due = [f"gte(n,prev_forced_n+{gop.frames})"]
    if gop.boundary_s is not None:
        due.append(f"gt(floor(t/{gop.boundary_s}+1e-6),floor(prev_forced_t/{gop.boundary_s}+1e-6))")
    expression = "+".join(["isnan(prev_forced_n)", *due])
    return ["-g", str(2 * gop.frames), "-force_key_frames", f"expr:{expression}"]


def _rate(codec: Coded, crf: float) -> list[str]:
    arguments = ["-crf", f"{crf:.2f}"] if codec.bitrate_bps is None else ["-b:v", str(codec.bitrate_bps)]
    if codec.rate_control == "QVBR" and codec.bitrate_bps is not None:
        # Two passes aim at the average; what is good enough already takes fewer bits.
        arguments += ["-qmin", str(max(round(crf) - _FINER_THAN_LEVEL, 1))]
    if codec.max_bitrate_bps is not None or codec.buffer_bits is not None:
        peak_bps = codec.peak_bps or 0
        window = 1 if codec.rate_control == "CBR" else 2
        arguments += ["-maxrate:v", str(peak_bps), "-bufsize:v", str(codec.buffer_bits or window * peak_bps)]
    return arguments


def _counts(codec: Coded) -> list[str]:
    arguments = []
    if codec.b_frames is not None:
        arguments += ["-bf", str(codec.b_frames)]
    if codec.references is not None:
        arguments += ["-refs", str(codec.references)]
    return arguments


def _h264(codec: H264, gop: Gop) -> list[str]:
    level = [] if codec.level is None else ["-level:v", codec.level]
    return [
        "-c:v", "libx264", "-preset", _PRESETS[codec.tuning], "-profile:v", codec.profile, *level,
        # Level 7 is CRF 23, x264's own default, and each level is two steps: 10 is 17, 1 is 35.
        *_rate(codec, 23 - 2 * (codec.quality - 7)),
        *_counts(codec),
        *(_keys_among_scene_cuts(gop) if _among_scene_cuts(codec, gop) else _keys(gop)),
        "-x264-params", ":".join(_x264(codec, gop)),
    ]  # fmt: skip


def _x264(codec: H264, gop: Gop) -> list[str]:
    options = _gop_options(codec, gop)
    options.append(f"cabac={int(codec.cabac)}" if codec.profile != "baseline" else "cabac=0")
    if codec.rate_control == "CBR":
        options.append("nal-hrd=cbr")
    options += _shared_options(codec)
    if codec.b_reference is not None:
        options.append(f"b-pyramid={'normal' if codec.b_reference else 'none'}")
    if not codec.adaptive_b:
        options.append("b-adapt=0")
    if not codec.temporal_aq:
        options.append("mbtree=0")
    if codec.weighted_prediction is not None:
        options.append(f"weightp={2 if codec.weighted_prediction and codec.profile != 'baseline' else 0}")
    return options


def _gop_options(codec: Coded, gop: Gop) -> list[str]:
    """GOPs of one length in every rendition, for x264 and x265."""
    cuts = _among_scene_cuts(codec, gop)
    frames = 2 * gop.frames if cuts else gop.frames
    opened = int(gop.closed_every != 1)
    return [f"keyint={frames}", f"min-keyint={frames}", f"open-gop={opened}", f"scenecut={40 if cuts else 0}"]


def _shared_options(codec: Coded) -> list[str]:
    """What x264 and x265 call by the same names."""
    options = []
    if codec.buffer_fill_percent is not None:
        options.append(f"vbv-init={codec.buffer_fill_percent / 100:.2f}")
    if codec.slices is not None:
        options.append(f"slices={codec.slices}")
    if codec.aq == "OFF":
        options.append("aq-mode=0")
    elif codec.aq is not None:
        options.append(f"aq-strength={_AQ_STRENGTH[codec.aq]}")
    if codec.tuning in _LOOKAHEAD:
        options.append(f"rc-lookahead={_LOOKAHEAD[codec.tuning]}")
    return options


def _h265(codec: H265, gop: Gop) -> list[str]:
    return [
        "-c:v", "libx265", "-preset", _PRESETS[codec.tuning], "-profile:v", codec.profile,
        # Level 7 is CRF 28, x265's own default.
        *_rate(codec, 28 - 2 * (codec.quality - 7)),
        *_counts(codec),
        *(_keys_among_scene_cuts(gop) if _among_scene_cuts(codec, gop) else _keys(gop)),
        # Without it a forced key frame would be an I-frame alone.
        "-forced-idr", "1",
        "-tag:v", codec.sample_entry,
        "-x265-params", ":".join(_x265(codec, gop)),
    ]  # fmt: skip


def _x265(codec: H265, gop: Gop) -> list[str]:
    options = ["log-level=error", *_gop_options(codec, gop), f"repeat-headers={int(codec.sample_entry == 'hev1')}"]
    if codec.level is not None:
        options += [f"level-idc={codec.level}", f"high-tier={int(codec.high_tier)}"]
    if codec.rate_control == "CBR":
        options += ["strict-cbr=1", "hrd=1"]
    options += _shared_options(codec)
    if codec.b_reference is not None:
        options.append(f"b-pyramid={int(codec.b_reference)}")
    switches = {
        "b-adapt=0": not codec.adaptive_b,
        "cutree=0": not codec.temporal_aq,
        "sao=0": not codec.sao,
        "no-deblock=1": not codec.deblocking,
        # Rows that are filtered side by side wait for each other for ever where SAO has no deblocking before it.
        "wpp=0": codec.sao and not codec.deblocking,
        "temporal-mvp=0": not codec.temporal_prediction,
        "ctu=32": codec.small_trees,
        # 18 is ARIB STD-B67, hybrid log-gamma, in Rec. ITU-T H.273. ffmpeg has it written for all such pictures.
        "atc-sei=18": codec.alternative_transfer,
        "atc-sei=-1": not codec.alternative_transfer,
    }
    return options + [option for option, wanted in switches.items() if wanted]


def _av1(codec: Av1, gop: Gop) -> list[str]:
    # A GOP that begins with a key frame of its own is closed: irefresh-type 2.
    options = ["irefresh-type=2", f"enable-adaptive-quantization={0 if codec.aq == 'OFF' else 2}"]
    if codec.rate_control == "CBR":
        # SVT-AV1 holds a constant rate in its low-delay structure alone.
        options += ["rc=2", "pred-struct=1"]
    elif codec.b_frames is not None and gop.frames > 1:
        # Among key frames alone there is no pyramid; SVT-AV1 waits for itself for ever now and then when asked for one.
        options.append(f"hierarchical-levels={codec.b_frames.bit_length()}")
    if codec.film_grain:
        options.append("film-grain=8")
    # Level 7 is CRF 35, SVT-AV1's own default; its scale is twice as long as x264's.
    rate = _rate(codec, 35 - 4 * (codec.quality - 7))
    return ["-c:v", "libsvtav1", "-preset", _SVT_PRESET, *rate, *_keys(gop), "-svtav1-params", ":".join(options)]


def _vp9(codec: Vp9, gop: Gop) -> list[str]:
    speed = ["-deadline", "good", "-cpu-used", _VPX_SPEED[codec.tuning], "-row-mt", "1"]
    rate = ["-b:v", str(codec.bitrate_bps), "-maxrate:v", str(codec.max_bitrate_bps or 2 * (codec.bitrate_bps or 0))]
    if codec.buffer_bits is not None:
        rate += ["-bufsize:v", str(codec.buffer_bits)]
    return ["-c:v", "libvpx-vp9", *speed, *rate, *_keys(gop), "-keyint_min", str(gop.frames)]


def _vp8(codec: Vp8, gop: Gop) -> list[str]:
    speed = ["-deadline", "good", "-cpu-used", _VPX_SPEED[codec.tuning]]
    rate = ["-b:v", str(codec.bitrate_bps), "-maxrate:v", str(codec.max_bitrate_bps or 2 * (codec.bitrate_bps or 0))]
    if codec.buffer_bits is not None:
        rate += ["-bufsize:v", str(codec.buffer_bits)]
    return ["-c:v", "libvpx", *speed, *rate, *_keys(gop), "-keyint_min", str(gop.frames)]


def _mpeg2(codec: Mpeg2, gop: Gop) -> list[str]:
    constant = ["-minrate:v", str(codec.bitrate_bps)] if codec.rate_control == "CBR" else []
    precision = [] if codec.dc_bits is None else ["-dc", str(codec.dc_bits - 8)]
    return [
        "-c:v", "mpeg2video", "-pix_fmt", pixel_format(codec), "-profile:v", codec.profile,
        *_rate(codec, 0), *constant, *_counts(codec), *_keys(gop), *precision,
        # Scene cuts would begin GOPs of their own, which no two outputs have alike.
        "-flags:v", "+cgop", "-sc_threshold", "1000000000",
    ]  # fmt: skip


def _tile_columns(codec: Av1, width: int) -> int:
    """How often a picture is halved into tiles side by side.

    At a constant rate SVT-AV1 waits for itself for ever when a tile is one superblock wide.
    """
    halvings = 0 if codec.slices is None else codec.slices.bit_length() - 1
    while halvings and codec.rate_control == "CBR" and not _are_wide(width, halvings):
        halvings -= 1
    return halvings


def _are_wide(width: int, halvings: int) -> bool:
    """Whether each tile is wider than a superblock of 64 pixels (AV1 specification, 5.9.15: the last has the rest)."""
    superblocks = -(-width // 64)
    each = -(-superblocks // (1 << halvings))
    return each > 1 and superblocks % each != 1


def _mpeg2_level(codec: Mpeg2, width: int) -> list[str]:
    """ISO/IEC 13818-2, 8.2 and 8.5; MXF files say the level of their pictures, so AUTO has to be one as well."""
    level = codec.level or ("main" if width <= 720 else "high1440" if width <= 1440 else "high")
    if codec.profile == "422":
        return ["-level:v", "5" if level in ("low", "main") else "2"]
    return ["-level:v", {"low": "10", "main": "8", "high1440": "6", "high": "4"}[level]]


_BY_SIZE: dict[type[Coded], Callable[..., list[str]]] = {Mpeg2: _mpeg2_level, Vc3: intra_encoders.vc3_rate}
_OPTIONS: dict[type[Coded], Callable[..., list[str]]] = {
    H264: _h264,
    H265: _h265,
    Av1: _av1,
    Mpeg2: _mpeg2,
    Vp8: _vp8,
    Vp9: _vp9,
    **intra_encoders.OPTIONS,
}


def layout(channels: int) -> str:
    """The loudspeakers of so many channels; beyond eight they have numbers alone."""
    return _LAYOUTS.get(channels, f"{channels}c")


def audio(track: AudioTrack) -> list[str]:
    coding = track.coding
    arguments = ["-ar", str(coding.sample_rate_hz), "-c:a", _encoder(coding)]
    if coding.codec == "AAC":
        arguments += ["-profile:a", "aac_low"]
    if coding.bitrate_bps is not None:
        arguments += ["-b:a", str(coding.bitrate_bps)]
    elif coding.quality is not None:
        arguments += ["-q:a", _AAC_VBR.get(coding.quality, coding.quality)]
    if coding.codec == "FLAC":
        deep = ["-sample_fmt", "s32", "-bits_per_raw_sample", "24"]
        arguments += deep if coding.bit_depth == 24 else ["-sample_fmt", "s16"]
    if coding.dolby is not None:
        arguments += _dolby(coding.dolby)
    return arguments


def _encoder(coding: AudioCoding) -> str:
    if coding.codec in ("WAV", "AIFF"):
        return f"pcm_s{coding.bit_depth}{'le' if coding.codec == 'WAV' else 'be'}"
    return {"OPUS": "libopus", "MP3": "libmp3lame", "VORBIS": "libvorbis"}.get(coding.codec, coding.codec.lower())


def _dolby(said: Dolby) -> list[str]:
    options = {"dialnorm": said.dialnorm, "dsur_mode": said.surround, "dsurex_mode": said.surround_ex,
               "dmix_mode": said.downmix}  # fmt: skip
    arguments = [part for name, value in options.items() if value is not None for part in (f"-{name}", str(value))]
    for name, level_db in said.levels:
        # ffmpeg has levels as factors: -3 dB is 0.707, and -60 dB, which mutes, is 0.
        arguments += [f"-{name}", "0" if level_db <= -60 else f"{10 ** (level_db / 20):.3f}"]
    return arguments
