"""The events that tell of a job, in the shape EventBridge gives them. Builds values, sends nothing.

Source: MediaConvert user guide, "EventBridge events".
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from localaws.config import Config
from localaws.media.probe import Probed
from localaws.mediaconvert import naming
from localaws.mediaconvert.account import arns
from localaws.mediaconvert.planning.planned import CaptionOutput, Group, Output, Plan
from localaws.mediaconvert.store import Job

DETAIL_TYPE = "MediaConvert Job State Change"
SOURCE = "aws.mediaconvert"
_NAMESPACE = uuid.UUID("9b3a2c61-7d2e-5a48-8f0b-1f8f7a0f6f11")
PHASES = ("PROBING", "TRANSCODING", "UPLOADING")

Json = dict[str, Any]


def envelope(config: Config, job: Job, status: str, extra: Mapping[str, Any], *, once: bool = True) -> Json:
    """One state change. The same change of the same job has the same event id, so a repeated delivery can be told."""
    now = time.time()
    name = f"{job.id}/{status}" if once else f"{job.id}/{status}/{now}"
    return {
        "version": "0",
        "id": str(uuid.uuid5(_NAMESPACE, name)),
        "detail-type": DETAIL_TYPE,
        "source": SOURCE,
        "account": config.account_id,
        "time": datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": config.region,
        "resources": [arns.job(config, job.id)],
        "detail": {
            "timestamp": int(now * 1000),
            "accountId": config.account_id,
            "queue": job.queue,
            "jobId": job.id,
            "status": status,
            "userMetadata": job.request.get("UserMetadata") or {},
            **extra,
        },
    }


def input_information(inputs: Sequence[tuple[str, Probed]]) -> Json:
    """What INPUT_INFORMATION says: each input by its number, with its tracks."""
    return {
        "inputDetails": [
            {"id": number, "uri": uri, "audio": _audio_details(probed), "video": _video_details(probed)}
            for number, (uri, probed) in enumerate(inputs, start=1)
        ]
    }


def _video_details(probed: Probed) -> list[Json]:
    return [
        {
            "bitDepth": video.bit_depth,
            "codec": video.codec.upper(),
            "colorFormat": video.pixel_format.upper(),
            "fourCC": video.codec[:4],
            "frameRate": round(float(video.frame_rate), 3),
            "height": video.height,
            "interlaceMode": "INTERLACED" if video.interlaced else "PROGRESSIVE",
            "sar": f"{video.sample_aspect_ratio.numerator}:{video.sample_aspect_ratio.denominator}",
            "standard": "UNSPECIFIED",
            "streamId": video.index + 1,
            "width": video.width,
        }
        for video in probed.videos
    ]


def _audio_details(probed: Probed) -> list[Json]:
    return [
        {
            "channels": audio.channels,
            "codec": audio.codec.upper(),
            "language": audio.language.upper() or "UND",
            "sampleRate": audio.sample_rate_hz,
            "streamId": audio.index + 1,
        }
        for audio in probed.audios
    ]


def progress(phase: str, phase_percent: int, percent: int, frames: int, retries: int) -> Json:
    reached = PHASES.index(phase)
    phases = {}
    for number, name in enumerate(PHASES):
        if number < reached:
            phases[name] = {"status": "COMPLETE", "percentComplete": 100}
        elif number == reached:
            phases[name] = {"status": "PROGRESSING", "percentComplete": phase_percent}
        else:
            phases[name] = {"status": "PENDING", "percentComplete": 0}
    return {
        "framesDecoded": frames,
        "jobProgress": {
            "phaseProgress": phases,
            "jobPercentComplete": percent,
            "currentPhase": phase,
            "retryCount": retries,
        },
    }


def film_details(plan: Plan, black: Sequence[tuple[float, float]]) -> Json:
    """What a COMPLETE event says of the whole film, in s, which is unverified: AWS's examples name no unit.

    black: from and to of stretches without light. Padding is black that stands where the source has no pictures.
    """
    return {
        "paddingInserted": _seconds(float(plan.padding_s)),
        "blackVideoDetected": _seconds(sum(end - begin for begin, end in black)),
        "blackSegments": [{"start": _seconds(begin), "end": _seconds(end)} for begin, end in black],
    }


def _seconds(length: float) -> float:
    """Whole numbers as AWS's examples have them, others to the millisecond."""
    return round(length) if length == round(length) else round(length, 3)


def group_details(group: Group, facts: Mapping[str, Sequence[int]], object_keys: Sequence[str]) -> Json:
    """What a COMPLETE event says of one group.

    facts: duration in ms and size in bytes of each output's encoded track, by label. object_keys: what was uploaded.
    """
    details: Json = {
        "type": group.type,
        "outputDetails": [_output_details(group, output, facts, object_keys) for output in group.ordered()],
    }
    if playlists := group.manifest_suffixes():
        details["playlistFilePaths"] = [group.destination.uri(suffix) for suffix in playlists]
    return details


def _output_details(
    group: Group, output: Output | CaptionOutput, facts: Mapping[str, Sequence[int]], object_keys: Sequence[str]
) -> Json:
    duration_ms, size_bytes = facts.get(output.label, (0, 0))
    details: Json = {"durationInMs": duration_ms}
    if group.packaging is None:
        # Of captured frames AWS names only the last.
        prefix = group.destination.base + output.modifier + "."
        mine = [key for key in object_keys if key.startswith(prefix) and key.endswith(f".{output.extension}")]
        details["outputFilePaths"] = [f"s3://{group.destination.bucket}/{max(mine)}"] if mine else []
    elif isinstance(output, CaptionOutput):
        pass
    elif group.packaging.smooth is not None:
        details["outputFilePaths"] = [group.destination.uri(naming.media_file(output.modifier, output.extension))]
    elif output.hls is not None and group.packaging.hls:
        details["outputFilePaths"] = [group.destination.uri(naming.playlist(output.modifier))]
    if isinstance(output, Output) and output.video is not None:
        details["videoDetails"] = {
            "widthInPx": output.video.picture.width,
            "heightInPx": output.video.picture.height,
        }
        if duration_ms and not output.captures:
            details["videoDetails"]["averageBitrate"] = size_bytes * 8000 // duration_ms
    return details


def api_details(event_details: Sequence[Json]) -> list[Json]:
    """OutputGroupDetails as GetJob returns them, which is less than the event says."""
    return [
        {
            "OutputDetails": [
                {
                    "DurationInMs": output["durationInMs"],
                    **(
                        {
                            "VideoDetails": {
                                "WidthInPx": output["videoDetails"]["widthInPx"],
                                "HeightInPx": output["videoDetails"]["heightInPx"],
                            }
                        }
                        if "videoDetails" in output
                        else {}
                    ),
                }
                for output in group["outputDetails"]
            ]
        }
        for group in event_details
    ]
