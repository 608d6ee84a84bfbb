"""What ffmpeg and ffprobe may open in an untrusted source, as lists and as command-line options. Pure.

Never names a demuxer or decoder because somebody might have such a file: each one is attack surface.
"""

from __future__ import annotations

from typing import Final

MAX_PIXELS: Final = 8192 * 4320
MAX_SIDE_PX: Final = 8192
MAX_STREAMS: Final = 64

VIDEO_DECODERS: Final = (
    "h264", "hevc", "vp8", "vp9", "mpeg2video", "mpeg1video", "mpeg4", "prores", "dnxhd", "mjpeg", "libdav1d",
)  # fmt: skip
FULL_BUILD_CODECS: Final = ("av1",)
"""Codecs of pictures that the larger ffmpeg alone decodes; the small build's own decoder needs a graphics card."""
AUDIO_DECODERS: Final = (
    "aac", "mp3float", "mp3", "mp2float", "mp2", "ac3", "eac3", "opus", "libopus", "vorbis", "flac", "alac",
    "pcm_s16le", "pcm_s16be", "pcm_s24le", "pcm_s24be", "pcm_s32le", "pcm_s32be", "pcm_f32le", "pcm_f32be",
    "pcm_u8", "pcm_s8",
)  # fmt: skip
# ffprobe gives up on a whole file when it may not open one of its streams; these are only looked at, never converted.
LOOKED_AT: Final = (
    "png", "gif", "bmp", "webp", "tiff", "dca", "truehd", "mov_text", "srt", "subrip", "ass", "ssa", "webvtt", "dvdsub",
    "pgssub", "dvbsub", "cc_dec", "text", "av1", "vc1", "theora", "msmpeg4", "msmpeg4v2", "ffv1",
    "jpeg2000", "rawvideo", "dvvideo",
)  # fmt: skip


def input_options(demuxer: str, *, decoders: tuple[str, ...] = VIDEO_DECODERS + AUDIO_DECODERS) -> list[str]:
    """Say the ffmpeg input options, to stand before `-i /in/<name>`, that hold for every untrusted source.

    demuxer: as sniff.demuxer chose it. Map only streams that Probed calls video or decodable audio.
    """
    return [
        # The demuxer we chose, none that a file could ask for, and no protocol but plain files.
        "-f", demuxer, "-format_whitelist", demuxer, "-protocol_whitelist", "file",
        "-codec_whitelist", ",".join(decoders),
        # A picture of 16000 x 16000 costs 860 MB and 5 s before anybody has seen a frame.
        "-max_pixels", str(MAX_PIXELS), "-max_streams", str(MAX_STREAMS),
        "-probesize", "20M", "-analyzeduration", "20M",
    ]  # fmt: skip
