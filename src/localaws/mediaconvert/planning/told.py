"""What an output's stream, file and pictures tell of themselves: timecodes, fields, active format, display. Pure."""

from __future__ import annotations

from fractions import Fraction

from localaws.media import active_format
from localaws.media.mastering import Hdr10
from localaws.mediaconvert.planning.film import SourceVideo
from localaws.mediaconvert.planning.planned import Picture, Timecode
from localaws.mediaconvert.settings.active_format import ActiveFormat
from localaws.mediaconvert.settings.codecs import H264, H265, Av1, Capture, Coded, Mpeg2
from localaws.mediaconvert.settings.intra_codecs import Prores, Vc3
from localaws.mediaconvert.settings.processing import Processing
from localaws.mediaconvert.settings.video import Video
from penstock.formats import timecode

TIMECODED = (Mpeg2, Prores, Vc3)
"""Codecs that timecodes are inserted with: into their GOPs, or into the files that hold them."""


def hdr10(asked: Video, video: SourceVideo) -> Hdr10 | None:
    """What the job says of the mastering display of an output's pictures, where they are HDR 10."""
    if isinstance(asked.codec, H264) and asked.processing.active_format.signaling != "NONE":
        # x264 has one place for either.
        return None
    colour = asked.processing.colour
    converted = "NONE" if colour is None else colour.space
    deep = isinstance(asked.codec, H264 | H265 | Av1) and asked.codec.bit_depth > 8
    if not (deep and asked.processing.colour_metadata):
        return None
    if converted == "HDR10" and colour is not None and colour.hdr10 is not None:
        return colour.hdr10
    return video.hdr10 if converted in ("NONE", "HDR10") else None


def scan(codec: Coded | Capture, video: SourceVideo) -> str:
    """The field that comes first, tff or bff; empty for progressive frames."""
    if isinstance(codec, Capture) or codec.fields == "PROGRESSIVE":
        return ""
    if codec.fields.startswith("FOLLOW") and video.interlaced:
        return "bff" if video.bottom_first else "tff"
    return "bff" if codec.fields.endswith("BOTTOM_FIELD") else "tff"


def burnt_timecode(asked: Processing, rate: Fraction, clock_s: Fraction) -> Timecode | None:
    """What is drawn on frames. clock_s: the timecode of the first one."""
    if asked.timecode is None:
        return None
    return Timecode(timecode.text(round(clock_s * rate), rate, drop=asked.drop_frame), asked.timecode)


def first_timecode(asked: Processing, codec: Coded | Capture, rate: Fraction, clock_s: Fraction) -> str | None:
    """The timecode of the first frame where the output writes one, into a track of the file or into the stream."""
    inserted = asked.timecode_insertion and isinstance(codec, TIMECODED)
    if not (asked.timecode_track or inserted):
        return None
    return timecode.text(round(clock_s * rate), rate, drop=asked.drop_frame)


def format_code(asked: ActiveFormat, picture: Picture, video: SourceVideo) -> int | None:
    """The code of the active format that an output tells; None for none."""
    if asked.signaling == "NONE":
        return None
    if asked.signaling == "FIXED":
        return asked.fixed
    if picture.left is not None:
        return active_format.UNKNOWN
    content = Fraction(picture.content_width, picture.content_height) * picture.sar
    code = active_format.code_of(content, Fraction(picture.width, picture.height) * picture.sar)
    if asked.respond == "PASSTHROUGH" and code == active_format.FULL_FRAME:
        return code if video.active_format is None else video.active_format
    return code


def unheeded(asked: Video, scenes: int) -> list[str]:
    """What is asked for and not done, as warnings. scenes: of how many the film is made."""
    warnings = []
    if asked.processing.timecode_insertion and not isinstance(asked.codec, TIMECODED):
        name = type(asked.codec).__name__.upper()
        warnings.append(f"{asked.path}.timecodeInsertion: no timecodes are written into {name}")
    if asked.processing.active_format.of_source and scenes > 1:
        warnings.append(f"{asked.path}.respondToAfd: a film of several inputs or clips has no active format to follow")
    return warnings
