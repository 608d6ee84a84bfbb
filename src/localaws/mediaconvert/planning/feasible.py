"""Whether a codec can do for a source what a job asks of it; what a job alone contradicts is refused before. Pure.

Source: ISO/IEC 13818-2, table 6-4 (frame rates of MPEG-2); SMPTE ST 2019-1 (frame sizes of VC-3); MediaConvert user
guide, "Video passthrough codec support and job settings requirements"
(https://docs.aws.amazon.com/mediaconvert/latest/ug/video-passthrough-feature-restrictions.html).
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from localaws.media.cadence import STANDARD_RATES
from localaws.media.failures import SETTINGS, JobError
from localaws.mediaconvert.planning.film import Opening, Scene
from localaws.mediaconvert.planning.planned import Output, VideoTrack
from localaws.mediaconvert.settings.codecs import H265, Av1, Coded, Mpeg2
from localaws.mediaconvert.settings.intra_codecs import Passthrough, Prores, Vc3

_BROADCAST_RATES = tuple(rate for rate in STANDARD_RATES if rate <= 60 and rate != 48)
_FILM = Fraction(24000, 1001)
_VC3_SIZES = ((1920, 1080), (1280, 720))
# Muxer -> codecs of sources, as ffmpeg calls them, that go into it as they are.
_COPIED = {
    "mov": ("h264", "hevc", "prores", "dnxhd"),
    "mp4": ("h264", "hevc"),
    "mpegts": ("h264", "hevc"),
    "mxf": ("prores", "dnxhd"),
    "h264": ("h264",),
}


def check(output: Output, scenes: Sequence[Scene], openings: Sequence[Opening]) -> None:
    """Raise JobError 1040 where an output's codec cannot do what it is to do."""
    if output.video is None:
        return
    codec, path = output.video.codec, f"{output.path}.videoDescription"
    if isinstance(codec, Passthrough):
        _copied(output, scenes, openings)
    elif isinstance(codec, Vc3):
        _of_size(path, output.video, "VC3", _VC3_SIZES[:1] if output.video.scan else _VC3_SIZES)
    _of_least_size(path, output.video)
    if not output.captures:
        _of_least_length(path, output.video.picture.frame_rate, sum(scene.duration_s for scene in scenes))
    if isinstance(codec, Mpeg2):
        _constant(path, output.video, codec)
    if output.video.processing.timecode_track and output.container.muxer not in ("mp4", "mov"):
        raise JobError(SETTINGS, f"{path}.timecodeTrack: MP4 and MOV files have one, this output is none")
    if output.video.scan:
        _of_fields(path, output.video, scenes, openings)
    if isinstance(codec, Mpeg2 | Vc3) or output.container.muxer == "mxf":
        _of_rate(path, output.video.picture.frame_rate)


def _of_size(path: str, track: VideoTrack, name: str, sizes: Sequence[tuple[int, int]]) -> None:
    size = (track.picture.width, track.picture.height)
    if size not in sizes:
        told = " and ".join(f"{width}x{height}" for width, height in sizes)
        raise JobError(SETTINGS, f"{path}: {name} has {told}, not {size[0]}x{size[1]}; set width and height")


def _of_least_size(path: str, track: VideoTrack) -> None:
    """x265 crashes now and then on pictures narrower than its blocks; SVT-AV1 has a least size of constant rates.

    Of slices that are two blocks wide x265 writes headers that nobody can read, where it does not crash.
    """
    codec, picture = track.codec, track.picture
    block = 32 if isinstance(codec, H265) and codec.small_trees else 64
    if isinstance(codec, H265) and (codec.slices or 1) > 1 and picture.width <= 2 * block:
        told = f"pictures of {picture.width} px are too narrow for {codec.slices}; leave it out"
        raise JobError(SETTINGS, f"{path}.codecSettings.h265Settings.slices: {told}")
    width, height, name = 1, 1, ""
    if isinstance(codec, H265):
        width, height, name = 64, 32 if codec.small_trees else 16, "H_265"
    elif isinstance(codec, Av1) and codec.rate_control == "CBR":
        width, height, name = 64, 64, "AV1 with rateControlMode CBR"
    if picture.width < width or picture.height < height:
        told = f"{name} needs pictures of at least {width}x{height} here, not {picture.width}x{picture.height}"
        raise JobError(SETTINGS, f"{path}: {told}; set width and height")


def _of_least_length(path: str, rate: Fraction, length_s: Fraction | float) -> None:
    if length_s * rate < Fraction(1, 2):
        told = f"a film of {float(length_s):.3f} s has no picture at {float(rate):g} frames per second"
        raise JobError(SETTINGS, f"{path}: {told}; ask for a higher frame rate")


def _constant(path: str, track: VideoTrack, codec: Mpeg2) -> None:
    """A constant rate is filled up, which has an end in the encoder; nobody wants more than pictures as they are."""
    picture = track.picture
    most_bps = int(picture.width * picture.height * picture.frame_rate * (16 if codec.profile == "422" else 12))
    if codec.rate_control == "CBR" and (codec.bitrate_bps or 0) > most_bps:
        told = f"CBR of {codec.bitrate_bps} bits a second is more than the pictures have uncompressed, {most_bps}"
        raise JobError(SETTINGS, f"{path}.codecSettings.mpeg2Settings.bitrate: {told}; set a lower bitrate")


def _of_rate(path: str, rate: Fraction) -> None:
    if rate not in _BROADCAST_RATES:
        known = ", ".join(f"{float(one):.5g}" for one in _BROADCAST_RATES)
        raise JobError(SETTINGS, f"{path}: needs one of {known} frames a second, not {float(rate):.5g}; set framerate")


def _of_fields(path: str, track: VideoTrack, scenes: Sequence[Scene], openings: Sequence[Opening]) -> None:
    full = isinstance(track.codec, Prores | Vc3) or (isinstance(track.codec, Mpeg2) and track.codec.profile == "422")
    if not full and track.picture.height % 4:
        raise JobError(
            SETTINGS, f"{path}: interlaced 4:2:0 video needs a height of whole fours, not {track.picture.height}"
        )
    assert isinstance(track.codec, Coded)
    if not track.codec.telecine:
        return
    first = None if scenes[0].opening is None else openings[scenes[0].opening].source.video
    if first is None or first.frame_rate != _FILM or track.picture.frame_rate != _FILM * 5 / 4:
        raise JobError(SETTINGS, f"{path}: telecine HARD makes 29.97 frames a second of 23.976")


def _copied(output: Output, scenes: Sequence[Scene], openings: Sequence[Opening]) -> None:
    path = f"{output.path}.videoDescription.codecSettings.codec"
    first = scenes[0]
    if len(scenes) > 1 or first.opening is None or not first.plain:
        raise JobError(SETTINGS, f"{path}: PASSTHROUGH takes one input as it is, without filters, crop or pictures")
    opening = openings[first.opening]
    if opening.start_s is not None:
        raise JobError(SETTINGS, f"{path}: PASSTHROUGH takes an input whole, without clips")
    if opening.turn:
        raise JobError(SETTINGS, f"{path}: PASSTHROUGH does not turn pictures")
    if output.burn_in is not None or output.embedded:
        raise JobError(SETTINGS, f"{path}: PASSTHROUGH puts no captions into pictures")
    if opening.source.video is not None and (opening.source.video.restated or opening.source.video.sample_range):
        raise JobError(SETTINGS, f"{path}: PASSTHROUGH does not say other colours than the source")
    found = opening.source.video.codec if opening.source.video is not None else ""
    if found not in _COPIED[output.container.muxer]:
        wanted = ", ".join(_COPIED[output.container.muxer])
        raise JobError(SETTINGS, f"{path}: this container takes {wanted} as they are, and the source is {found}")
