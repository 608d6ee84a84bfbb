"""What is done to pictures before and after they are scaled, as filters of ffmpeg. Pure functions that return lists.

Strengths are ours: AWS names its scales and not its filters. Source: Rec. ITU-T H.273 for the names of colours.
"""

from __future__ import annotations

from localaws.mediaconvert import fonts
from localaws.mediaconvert.planning.film import SourceVideo
from localaws.mediaconvert.planning.planned import Picture, Timecode, VideoTrack
from localaws.mediaconvert.settings.codecs import Coded
from localaws.mediaconvert.settings.colours import space
from localaws.mediaconvert.settings.processing import MIDDLE, Colour, Deinterlacer, NoiseReducer

_BWDIF = "bwdif=mode=send_frame"
FIELD_BY_FIELD = "bwdif=mode=send_field"
"""A whole frame from each field, so that pictures can be scaled and made into fields again."""
_HDR_TRANSFERS = frozenset({"smpte2084", "arib-std-b67"})
_TONE_MAPPERS = {"PRESERVE_DETAILS": "hable", "VIBRANT": "mobius"}


def deinterlaced(asked: Deinterlacer | None, interlaced: bool) -> list[str]:
    """Frames from fields, one for each pair. Without a deinterlacer of its own an output gets that of the source."""
    if asked is None:
        return [_BWDIF] if interlaced else []
    if asked.mode == "INVERSE_TELECINE":
        # Fields are matched to the film's frames, what still is combed is interpolated, one of five frames is dropped.
        return ["fieldmatch=combmatch=full", "yadif=deint=interlaced", "decimate"]
    if asked.mode == "ADAPTIVE":
        # Looks at the pictures and tells the next filter which are combed, whatever the source says.
        return ["idet", f"{_BWDIF}:deint={'all' if asked.all_frames else 'interlaced'}"]
    which = "all" if asked.all_frames else "interlaced"
    if asked.algorithm == "LINEAR_INTERPOLATION":
        # One field of each frame, its lines doubled.
        return ["field=type=top", "scale=iw:2*ih:flags=bilinear"] if asked.all_frames or interlaced else []
    if asked.algorithm.startswith("BLEND"):
        # Each line a quarter of both neighbours and half of itself: a line of one field and two of the other.
        blended = "convolution=" + ":".join(f"{plane}m=0 1 0 0 2 0 0 1 0:{plane}rdiv=0.25" for plane in range(3))
        return [blended] if asked.all_frames or interlaced else []
    return [f"{_BWDIF}:deint={which}"]


def interlaced(track: VideoTrack) -> list[str]:
    """Frames that are woven of the lines of two, of which one is half a frame later."""
    if not track.scan:
        return []
    if isinstance(track.codec, Coded) and track.codec.telecine:
        first = "top" if track.scan == "tff" else "bottom"
        return [f"telecine=first_field={first}:pattern=23", f"setfield={track.scan}"]
    return [f"interlace=scan={track.scan}:lowpass=off"]


def restated(video: SourceVideo) -> list[str]:
    """Say what frames are where the job knows better than the source: their colours, and that they are no fields."""
    options = []
    if video.restated:
        options += [f"color_primaries={video.primaries}", f"color_trc={video.transfer}", f"colorspace={video.matrix}"]
    if video.segmented:
        options.append("field_mode=prog")
    if video.sample_range:
        options.append(f"range={video.sample_range}")
    return [f"setparams={':'.join(options)}"] if options else []


def cleaned(asked: NoiseReducer | None) -> list[str]:
    if asked is None:
        return []
    strength = asked.strength
    filters = {
        "BILATERAL": f"bilateral=sigmaS={1 + strength}:sigmaR={0.03 + 0.03 * strength:.2f}:planes=7",
        "MEAN": f"avgblur=sizeX={1 + strength}",
        "GAUSSIAN": f"gblur=sigma={0.4 + 0.3 * strength:.1f}",
        "SHARPEN": _sharpened(1 + strength),
        # The more neighbours are left out of the least and the most, the more is held back.
        "CONSERVE": "removegrain=" + ":".join(f"m{plane}={1 + strength}" for plane in range(3)),
        "SPATIAL": f"fftdnoiz=sigma={strength}:planes=7",
        "TEMPORAL": "atadenoise=" + ":".join(
            f"{plane}a={0.01 * strength:.2f}:{plane}b={0.02 * strength:.2f}" for plane in range(3)
        ),
    }  # fmt: skip
    return [filters[asked.filter], *([_sharpened(asked.sharpen)] if asked.sharpen else [])]


def _sharpened(steps: int) -> str:
    return f"unsharp=luma_amount={0.4 * steps:.1f}"


def coloured(asked: Colour | None, video: SourceVideo) -> list[str]:
    if asked is None:
        return []
    filters = _converted(asked, video)
    if asked.squeeze:
        filters.append("scale=out_range=limited")
    if asked.clip is not None:
        filters.append(_clipped(*asked.clip))
    if (asked.brightness, asked.contrast) != (MIDDLE, MIDDLE):
        gain, lift = asked.contrast / MIDDLE, asked.brightness / MIDDLE - 1
        middle = "(maxval+minval)/2"
        filters.append(
            f"lutyuv=y=clip((val-{middle})*{gain:.2f}+{middle}+{lift:.2f}*(maxval-minval)\\,minval\\,maxval)"
        )
    if asked.hue or asked.saturation != MIDDLE:
        filters.append(f"hue=h={asked.hue}:s={asked.saturation / MIDDLE:.2f}")
    return filters


def _clipped(least: int, most: int) -> str:
    """Values beyond limits on a scale of 10 bits become the bounds of limited range, in luma and in chroma."""

    def bounded(top: int) -> str:
        low, high = (f"{limit}*maxval/{top}" for limit in (least, most * top // 940))
        return f"if(lt(val\\,{low})\\,minval\\,if(gt(val\\,{high})\\,maxval\\,val))"

    return f"lutyuv=y={bounded(940)}:u={bounded(960)}:v={bounded(960)}"


def told(track: VideoTrack, video: SourceVideo) -> str:
    """Say which colours and fields frames have, for frames that have lost what they said themselves."""
    asked = track.processing
    names = (video.primaries, video.transfer, video.matrix)
    if not asked.colour_metadata:
        names = ("", "", "")
    elif asked.colour is not None and asked.colour.space != "NONE":
        names = space(asked.colour.space, video.height)
    primaries, transfer, matrix = (name or "unknown" for name in names)
    fields = track.scan or "prog"
    return f"setparams=field_mode={fields}:color_primaries={primaries}:color_trc={transfer}:colorspace={matrix}"


def counted(asked: Timecode | None, label: str, picture: Picture) -> list[str]:
    """The timecode of each frame, drawn on it; what stands before it is read from a file of ours."""
    if asked is None:
        return []
    row, _, column = asked.look.position.partition("_")
    margin = "0.05"
    across = {"LEFT": f"w*{margin}", "CENTER": "(w-tw)/2", "RIGHT": f"w-tw-w*{margin}"}[column]
    down = {"TOP": f"h*{margin}", "MIDDLE": "(h-th)/2", "BOTTOM": f"h-th-h*{margin}"}[row]
    start = asked.start.replace(":", "\\\\:").replace(";", "\\;")
    rate = f"{picture.frame_rate.numerator}/{picture.frame_rate.denominator}"
    before = f":textfile=/out/{text_name(label)}" if asked.look.prefix else ""
    return [
        f"drawtext=fontfile=/in/{fonts.FILE.name}:fontsize={asked.look.size}:fontcolor=white:box=1:boxcolor=black:boxborderw=2"
        f":expansion=none{before}:timecode={start}:timecode_rate={rate}:x={across}:y={down}"
    ]


def text_name(label: str) -> str:
    """The file with what stands before an output's timecodes; unlike the output's own files."""
    return f"text-{label}"


def _converted(asked: Colour, video: SourceVideo) -> list[str]:
    if asked.space == "NONE":
        return []
    primaries, transfer, matrix = space(asked.space, video.height)
    found_primaries, found_transfer, found_matrix = _found(video)
    given = f"pin={found_primaries}:tin={found_transfer}:min={found_matrix}"
    wanted = f"p={primaries}:t={transfer}:m={matrix}"
    if found_transfer in _HDR_TRANSFERS and transfer not in _HDR_TRANSFERS:
        mapper = _TONE_MAPPERS[asked.tone_mapper]
        return [
            f"zscale={given}:t=linear:npl={asked.white_nits}",
            "format=gbrpf32le",
            f"zscale=p={primaries}",
            f"tonemap=tonemap={mapper}:desat=0",
            f"zscale={wanted}:r=limited",
        ]
    return [f"zscale={given}:{wanted}:npl={asked.white_nits}"]


def _found(video: SourceVideo) -> tuple[str, str, str]:
    """The source's colours; what it does not say is what pictures of its size usually have."""
    usual = space("709" if video.height > 576 else "601", video.height)
    return video.primaries or usual[0], video.transfer or usual[1], video.matrix or usual[2]
