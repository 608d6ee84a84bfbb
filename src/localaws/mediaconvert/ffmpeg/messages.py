"""What encoders are asked to say of pictures within the stream: positions, fields, timecodes, displays, active formats.

Pure functions that return lists.
"""

from __future__ import annotations

from localaws.media import active_format
from localaws.media.mastering import Hdr10
from localaws.mediaconvert.planning.planned import VideoTrack
from localaws.mediaconvert.settings.codecs import H264, H265, Av1, Capture, Coded, Mpeg2

# Rec. ITU-T H.264, figure E-1: between two samples of luma both ways, and at one of them.
_CHROMA_POSITIONS = {"FORCE_CENTER": 1, "FORCE_TOP_LEFT": 2}


def told(track: VideoTrack, arguments: list[str]) -> list[str]:
    """The options of an output's encoder with those for what its stream is to say."""
    codec, position = track.codec, _CHROMA_POSITIONS.get(track.processing.chroma_position)
    if isinstance(codec, Capture):
        return arguments
    if position is not None and isinstance(codec, H264 | H265):
        arguments = among_own(arguments, f"chromaloc={position}")
    if track.first_timecode is not None and isinstance(codec, Mpeg2):
        arguments = [*arguments, "-gop_timecode", track.first_timecode]
    if track.scan:
        arguments = [*arguments, "-flags:v", "+ildct+ilme" + ("+cgop" if isinstance(codec, Mpeg2) else "")]
    if track.scan == "bff" and isinstance(codec, H264):
        # ffmpeg tells x264 by the first frame, which then has the times of its fields the other way round.
        arguments = among_own(arguments, "bff=1")
    if track.hdr10 is not None:
        arguments = among_own(arguments, _mastered(codec, track.hdr10))
    if track.active_format is not None:
        arguments = among_own(arguments, _signed(codec, track.active_format))
    return arguments


def among_own(arguments: list[str], said: str) -> list[str]:
    """Add to the options that x264, x265 or SVT-AV1 read themselves."""
    member = next(name for name in ("-x264-params", "-x265-params", "-svtav1-params") if name in arguments)
    place = arguments.index(member) + 1
    return [*arguments[:place], f"{arguments[place]}:{said}", *arguments[place + 1 :]]


def _mastered(codec: Coded, hdr10: Hdr10) -> str:
    """Mastering display and light levels, in units of the standard for x264 and x265, in fractions for SVT-AV1."""
    light = f"{hdr10.max_content},{hdr10.max_average}"
    colours = {"G": hdr10.green, "B": hdr10.blue, "R": hdr10.red, "WP": hdr10.white}
    if isinstance(codec, Av1):
        display = "".join(f"{name}({x / 50_000:.5f},{y / 50_000:.5f})" for name, (x, y) in colours.items())
        levels = f"L({hdr10.max_luminance / 10_000:.4f},{hdr10.min_luminance / 10_000:.4f})"
        return f"mastering-display={display}{levels}:content-light={light}"
    display = "".join(f"{name}({x},{y})" for name, (x, y) in colours.items())
    display += f"L({hdr10.max_luminance},{hdr10.min_luminance})"
    if isinstance(codec, H264):
        return f"mastering-display={display}:cll={light}"
    return f"master-display={display}:max-cll={light}"


def _signed(codec: Coded, code: int) -> str:
    """x265 takes messages before frames from a file; x264 leaves room for one before key frames."""
    return f"nalu-file=/out/{file_name(code)}" if isinstance(codec, H265) else active_format.X264_PLACEHOLDER


def file_name(code: int) -> str:
    """The file of messages that tell an active format; unlike an output's own files."""
    return f"afd-{code}"
