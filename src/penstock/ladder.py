"""Source properties -> ordered renditions -> MediaConvert job settings. Pure: no AWS call, no file, no clock.

Sizes are pixels of the picture as it is shown (square pixels, upright). Rates are exact fractions of frames per second.
Member names and limits: botocore's service model of MediaConvert, 2017-08-29.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from penstock.errors import SourceRejected
from penstock.model import JsonObject

WIDEVINE = "edef8ba9-79d6-4ace-a3c8-27dcd51d21ed"
PLAYREADY = "9a04f079-9840-4286-ab92-e65be0885f95"
FAIRPLAY = "94ce86fb-07ff-4f43-adb8-93d2fa968ca2"

GOP_S = 2
SEGMENT_S = 4
"""A whole multiple of GOP_S, so that every segment of every rendition starts with the same closed GOP."""

MAX_SOURCE_PX = 8192
MAX_TRACKS = 64
MIN_FRAME_RATE = Fraction(1)
MAX_FRAME_RATE = Fraction(60)
MAX_RENDITION_SIDE_PX = 4096
MIN_RENDITION_SIDE_PX = 32
"""The least Width and Height that MediaConvert's H.264 takes."""

RUNG_AREAS_PX = tuple(w * h for w, h in ((3840, 2160), (2560, 1440), (1920, 1080), (1280, 720), (960, 540), (640, 360)))
SMALLEST_RUNG_AREA_PX = 416 * 234
NEXT_RUNG_AT_MOST = Fraction(4, 5)
"""A rung that has more of the pixels of the one above costs its bits and gives the viewer no choice."""

_NTSC_RATES = (Fraction(24000, 1001), Fraction(30000, 1001), Fraction(60000, 1001))
COMMON_RATES = tuple(sorted([*(Fraction(n) for n in (10, 12, 15, 20, 24, 25, 30, 48, 50, 60)), *_NTSC_RATES]))


@dataclass(frozen=True)
class SourceProperties:
    """What the ladder needs to know of a source. `width_px` and `height_px` are those of the picture as it is shown."""

    width_px: int
    height_px: int
    frame_rate: Fraction
    duration_s: float | None = None
    audio_channels: int = 0
    """0: there is no audio."""
    audio_language: str = "und"
    """As the source tells it, in lower case; und where it does not."""


@dataclass(frozen=True)
class Rung:
    """One H.264 rendition."""

    width_px: int
    height_px: int
    max_bitrate_bps: int
    quality_level: int


def source_properties(probe: JsonObject) -> SourceProperties:
    """Read a ProbeResult of MediaConvert's Probe operation.

    Raises SourceRejected naming the property that no rendition can be made from.
    """
    container = probe.get("Container") or {}
    tracks = container.get("Tracks") or []
    if len(tracks) > MAX_TRACKS:
        raise SourceRejected(f"The source has {len(tracks)} tracks; at most {MAX_TRACKS} are accepted.")
    video = _video_track(tracks)
    properties = video.get("VideoProperties") or {}
    width, height = _shown_size(properties)
    return SourceProperties(
        width_px=width,
        height_px=height,
        frame_rate=_output_rate(properties),
        duration_s=_duration(container),
        audio_channels=_audio_channels(tracks),
        audio_language=_audio_language(tracks),
    )


def rungs(source: SourceProperties) -> list[Rung]:
    """Choose the renditions, largest first; at least one, none larger than the source in either direction."""
    top = _fitted(source, RUNG_AREAS_PX[0])
    if min(top) < MIN_RENDITION_SIDE_PX:
        raise SourceRejected(
            f"The picture is {source.width_px}x{source.height_px}; each side needs {MIN_RENDITION_SIDE_PX} pixels."
        )
    sizes = [top]
    for area in (*RUNG_AREAS_PX, SMALLEST_RUNG_AREA_PX):
        size = _fitted(source, area)
        above = sizes[-1][0] * sizes[-1][1]
        if min(size) >= MIN_RENDITION_SIDE_PX and size[0] * size[1] <= NEXT_RUNG_AT_MOST * above:
            sizes.append(size)
    return [_rung(width, height, source.frame_rate) for width, height in sizes]


def job_settings(
    source: SourceProperties,
    *,
    input_uri: str,
    destination_uri: str,
    speke_url: str,
    asset_id: str,
    poster: bool,
    clear_files: bool = False,
    contract: tuple[str, str] = ("PRESET_VIDEO_3", "PRESET_AUDIO_1"),
) -> JsonObject:
    """Write the `Settings` of CreateJob for the built-in ladder.

    destination_uri: `s3://bucket/prefix` without a slash at its end; below it come `stream/main` and `poster/poster`.
    contract: SPEKE presets for video and audio, which say how many keys there are and for what.
    clear_files: make the MP4 files that MediaPackage packages and encrypts, at `mp4/main`, instead of a stream.
    """
    ladder = rungs(source)
    if clear_files:
        groups = [_file_group(source, ladder, f"{destination_uri}/mp4/main")]
    else:
        encryption = _encryption(speke_url, asset_id, contract)
        groups = [_cmaf_group(source, ladder, f"{destination_uri}/stream/main", encryption)]
    if poster:
        groups.append(_poster_group(source, ladder, f"{destination_uri}/poster/poster"))
    # AUTO turns the picture upright by the file's own rotation; MediaConvert's default leaves it lying.
    selectors: JsonObject = {"VideoSelector": {"Rotate": "AUTO"}}
    if source.audio_channels:
        selectors["AudioSelectors"] = {"Audio Selector 1": {"DefaultSelection": "DEFAULT"}}
    inputs = [{"FileInput": input_uri, "TimecodeSource": "ZEROBASED", **selectors}]
    return {"TimecodeConfig": {"Source": "ZEROBASED"}, "Inputs": inputs, "OutputGroups": groups}


def _video_track(tracks: list[JsonObject]) -> JsonObject:
    """The first moving picture: cover art is a video track too, of single JPEG pictures."""
    videos = [track for track in tracks if track.get("TrackType") == "video"]
    if not videos:
        raise SourceRejected("The source has no video track.")
    return min(videos, key=lambda track: track.get("Codec") == "MJPEG")


def _shown_size(properties: JsonObject) -> tuple[int, int]:
    """Coded size, sample aspect ratio, rotation -> pixels as shown. The side that the ratio widens is the width."""
    width, height = (_whole(properties.get(name)) for name in ("Width", "Height"))
    if not 0 < width <= MAX_SOURCE_PX or not 0 < height <= MAX_SOURCE_PX:
        raise SourceRejected(f"The picture is {width}x{height}; each side has 1 to {MAX_SOURCE_PX} pixels.")
    shape = _fraction(properties.get("SampleAspectRatio")) or Fraction(1)
    if not Fraction(1, 10) <= shape <= 10:
        ratio = f"{shape.numerator}:{shape.denominator}"
        raise SourceRejected(f"The sample aspect ratio is {ratio}; 1:10 to 10:1 is accepted.")
    width = max(1, round(width * shape))
    return (height, width) if _whole(properties.get("Rotation")) % 180 == 90 else (width, height)


def _output_rate(properties: JsonObject) -> Fraction:
    """The constant rate of the renditions.

    A rate within 1/2000 of a common one is that one written badly (2997/100). A file whose frames come at varying times
    has an average that no display knows (356147/15000): it takes the next common rate, so that no frame is lost.
    """
    rate = _fraction(properties.get("FrameRate"))
    coded = _fraction((properties.get("CodecMetadata") or {}).get("CodedFrameRate"))
    rate = rate or coded
    if rate is None or not Fraction(1, 10) <= rate <= 1000:
        found = "unknown" if rate is None else f"{float(rate):g} frames/s"
        raise SourceRejected(f"The frame rate is {found}; 0.1 to 1000 frames/s is accepted.")
    # Interlaced sources may tell fields where the container tells frames, hence twice the rate.
    varies = coded is not None and all(abs(coded - many * rate) * 100 > coded for many in (1, 2))
    rate = max(rate, MIN_FRAME_RATE)
    rate /= math.ceil(rate / MAX_FRAME_RATE * Fraction(1999, 2000))
    for common in COMMON_RATES:
        if abs(rate - common) * 2000 <= common:
            return common
    if not varies and rate.denominator <= 1001:
        return rate
    return next((common for common in COMMON_RATES if common >= rate * Fraction(98, 100)), MAX_FRAME_RATE)


def _duration(container: JsonObject) -> float | None:
    duration = container.get("Duration")
    if duration is None:
        return None
    number = isinstance(duration, int | float) and not isinstance(duration, bool)
    if not number or not math.isfinite(duration) or duration <= 0:
        raise SourceRejected(f"The duration is {duration} seconds; it is a number greater than 0.")
    return float(duration)


def _audio_channels(tracks: list[JsonObject]) -> int:
    """Channels of the first audio track, which is the one MediaConvert takes by default; 2 where they are not told."""
    for track in tracks:
        if track.get("TrackType") == "audio":
            channels = (track.get("AudioProperties") or {}).get("Channels")
            return 2 if channels is None else max(0, _whole(channels))
    return 0


def _audio_language(tracks: list[JsonObject]) -> str:
    """The language of the track that `_audio_channels` speaks of."""
    for track in tracks:
        if track.get("TrackType") == "audio":
            code = str((track.get("AudioProperties") or {}).get("LanguageCode") or "").lower()
            return code if re.fullmatch(r"[a-z]{2,3}", code) else "und"
    return "und"


def _fitted(source: SourceProperties, area_px: int) -> tuple[int, int]:
    """The largest even size of the source's shape with at most `area_px` pixels that does not exceed the source."""
    width, height = source.width_px, source.height_px
    scale = min(1.0, math.sqrt(area_px / (width * height)), MAX_RENDITION_SIDE_PX / max(width, height))
    # Rounding to the nearest even number keeps the shape; at full size it must not round up.
    wide, high = (2 * math.floor(side * scale / 2 + (0.5 if scale < 1 else 0.0)) for side in (width, height))
    return wide, high


def _rung(width: int, height: int, rate: Fraction) -> Rung:
    """Peak bits grow slower than pixels: 6 Mb/s at 1080p30, 2.9 at 720p, 0.4 at 234p; 60 frames/s take half more."""
    area = width * height
    motion = max(1.0, float(rate / 30)) ** 0.585
    peak = 6e6 * (area / (1920 * 1080)) ** 0.885 * motion
    quality = 9 if area > RUNG_AREAS_PX[2] else 8 if area > RUNG_AREAS_PX[3] else 7
    return Rung(width, height, max(100_000, round(peak / 10_000) * 10_000), quality)


def _cmaf_group(source: SourceProperties, ladder: list[Rung], destination: str, encryption: JsonObject) -> JsonObject:
    outputs = [_video_output(source, rung) for rung in ladder]
    if source.audio_channels:
        outputs.append(_audio_output(source.audio_channels))
    settings = {
        "Destination": destination,
        "SegmentControl": "SEGMENTED_FILES",
        "SegmentLength": SEGMENT_S,
        # 29.97 frames/s has no boundary at 4.000 s: segments end with the GOP, not with the clock.
        "SegmentLengthControl": "GOP_MULTIPLE",
        "FragmentLength": GOP_S,
        "WriteDashManifest": "ENABLED",
        "WriteHlsManifest": "ENABLED",
        # Without it the MPD tells durations only approximately, and nobody could check that every segment is there.
        "WriteSegmentTimelineInRepresentation": "ENABLED",
        "Encryption": encryption,
    }
    return {
        "Name": "CMAF",
        "OutputGroupSettings": {"Type": "CMAF_GROUP_SETTINGS", "CmafGroupSettings": settings},
        "Outputs": outputs,
    }


def _file_group(source: SourceProperties, ladder: list[Rung], destination: str) -> JsonObject:
    """One MP4 for each rung, each with the audio: MediaPackage wants the same layout in all, and takes it from one."""
    outputs = []
    for rung in ladder:
        output = _video_output(source, rung)
        output["ContainerSettings"] = {"Container": "MP4"}
        if source.audio_channels:
            [description] = _audio_output(source.audio_channels)["AudioDescriptions"]
            # A SMIL names the language of each track, so it has to be known when the job is made.
            language = {"CustomLanguageCode": source.audio_language, "LanguageCodeControl": "USE_CONFIGURED"}
            output["AudioDescriptions"] = [description | language]
        outputs.append(output)
    return {
        "Name": "MP4",
        "OutputGroupSettings": {"Type": "FILE_GROUP_SETTINGS", "FileGroupSettings": {"Destination": destination}},
        "Outputs": outputs,
    }


def _encryption(speke_url: str, asset_id: str, contract: tuple[str, str]) -> JsonObject:
    """cbcs (SAMPLE_AES) is the scheme all three DRM systems take; no clear lead."""
    return {
        "Type": "SPEKE",
        "EncryptionMethod": "SAMPLE_AES",
        "InitializationVectorInManifest": "INCLUDE",
        "SpekeKeyProvider": {
            "Url": speke_url,
            "ResourceId": asset_id,
            "DashSignaledSystemIds": [WIDEVINE, PLAYREADY],
            "HlsSignaledSystemIds": [FAIRPLAY],
            "EncryptionContractConfiguration": {
                "SpekeVideoPreset": contract[0],
                "SpekeAudioPreset": contract[1],
            },
        },
    }


def _video_output(source: SourceProperties, rung: Rung) -> JsonObject:
    h264: JsonObject = {
        "RateControlMode": "QVBR",
        "QvbrSettings": {"QvbrQualityLevel": rung.quality_level},
        "MaxBitrate": rung.max_bitrate_bps,
        "QualityTuningLevel": "SINGLE_PASS_HQ",
        "CodecProfile": "HIGH",
        # Progressive output of an interlaced source is deinterlaced.
        "InterlaceMode": "PROGRESSIVE",
        **_rate(source.frame_rate),
        "ParControl": "SPECIFIED",
        "ParNumerator": 1,
        "ParDenominator": 1,
        "GopSize": GOP_S,
        "GopSizeUnits": "SECONDS",
        "GopClosedCadence": 1,
        # An I-frame of its own in one rendition would take the alignment away that switching needs.
        "SceneChangeDetect": "DISABLED",
    }
    return {
        "NameModifier": f"_{rung.width_px}x{rung.height_px}",
        "ContainerSettings": {"Container": "CMFC"},
        "VideoDescription": _picture(rung, {"Codec": "H_264", "H264Settings": h264}),
    }


def _picture(rung: Rung, codec: JsonObject) -> JsonObject:
    """The size has the shape of the picture but for rounding to even sides: bars of one pixel would be worse."""
    return {
        "Width": rung.width_px,
        "Height": rung.height_px,
        "ScalingBehavior": "STRETCH_TO_OUTPUT",
        "CodecSettings": codec,
    }


def _audio_output(channels: int) -> JsonObject:
    aac = {
        "Bitrate": 64_000 if channels == 1 else 128_000,
        "CodingMode": "CODING_MODE_1_0" if channels == 1 else "CODING_MODE_2_0",
        "SampleRate": 48_000,
    }
    description: JsonObject = {
        "AudioSourceName": "Audio Selector 1",
        "CodecSettings": {"Codec": "AAC", "AacSettings": aac},
    }
    return {
        "NameModifier": "_audio",
        "ContainerSettings": {"Container": "CMFC"},
        "AudioDescriptions": [description],
    }


def _poster_group(source: SourceProperties, ladder: list[Rung], destination: str) -> JsonObject:
    """Two pictures, the second some way in: the first frame of a film is mostly black."""
    rung = next((rung for rung in ladder if rung.width_px * rung.height_px <= RUNG_AREAS_PX[3]), ladder[-1])
    every_s = max(1, min(10, int((source.duration_s or 1) / 2)))
    capture: dict[str, Any] = {
        "FramerateNumerator": 1,
        "FramerateDenominator": every_s,
        "MaxCaptures": 2,
        "Quality": 80,
    }
    output = {
        "ContainerSettings": {"Container": "RAW"},
        "VideoDescription": _picture(rung, {"Codec": "FRAME_CAPTURE", "FrameCaptureSettings": capture}),
        "Extension": "jpg",
    }
    return {
        "Name": "Poster",
        "OutputGroupSettings": {"Type": "FILE_GROUP_SETTINGS", "FileGroupSettings": {"Destination": destination}},
        "Outputs": [output],
    }


def _rate(rate: Fraction) -> JsonObject:
    return {
        "FramerateControl": "SPECIFIED",
        "FramerateNumerator": rate.numerator,
        "FramerateDenominator": rate.denominator,
        "FramerateConversionAlgorithm": "DUPLICATE_DROP",
    }


def _whole(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def _fraction(value: object) -> Fraction | None:
    """Read {"Numerator", "Denominator"}; None when it is missing or not a positive number."""
    if not isinstance(value, dict):
        return None
    numerator, denominator = _whole(value.get("Numerator")), _whole(value.get("Denominator"))
    return Fraction(numerator, denominator) if numerator > 0 and denominator > 0 else None
