"""Timecodes in files and streams, and what else is told of frames; ffprobe reads them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import mediaconvert_jobs as jobs
from localaws.media.failures import JobError
from mediaconvert_jobs import planned
from probed_media import ENCODE, PICTURE, ffprobe, film, stream
from sample_media import ffmpeg

Convert = Callable[[Path, dict[str, Any]], Any]
H265 = {"Codec": "H_265", "H265Settings": {"MaxBitrate": 400_000, "QualityTuningLevel": "SINGLE_PASS"}}
MPEG2 = {"Codec": "MPEG2", "Mpeg2Settings": {"Bitrate": 2_000_000}}
PRORES = {"Codec": "PRORES", "ProresSettings": {}}


def output(modifier: str, container: str, codec: dict[str, Any] | None = None, **description: Any) -> dict[str, Any]:
    return jobs.video(modifier, container=container, codec=codec, **{"Height": 96, **description})


def made(convert: Convert, clip: Path, *outputs: dict[str, Any], **job: Any) -> list[Path]:
    done = convert(clip, {**jobs.settings(jobs.file(*outputs)), **job})
    return [done.encoded / one.work_file for one in done.plan.outputs()]


def timecodes(path: Path) -> set[str]:
    """Of the file and of its tracks."""
    found = ffprobe(path, "-show_entries", "format_tags=timecode:stream_tags=timecode")
    holders = [found["format"], *found["streams"]]
    return {holder["tags"]["timecode"] for holder in holders if "timecode" in holder.get("tags", {})}


def test_the_first_timecode_is_written_where_it_is_asked_for(tmp_path: Path, convert: Convert) -> None:
    clip = film(tmp_path, sound=None, rate="30000/1001", duration_s=0.4)
    start = {"TimecodeConfig": {"Source": "SPECIFIEDSTART", "Start": "01:00:00;00"}}
    track, inserted = {"TimecodeTrack": "ENABLED"}, {"TimecodeInsertion": "PIC_TIMING_SEI"}
    mp4, counted, mov, mxf, ts, none = made(
        convert, clip, output("_a", "MP4", **track), output("_b", "MP4", **track, DropFrameTimecode="DISABLED"),
        output("_c", "MOV", PRORES, **inserted), output("_d", "MXF", MPEG2, **inserted),
        output("_e", "M2TS", MPEG2, **inserted), output("_f", "MP4"), **start,
    )  # fmt: skip
    assert [timecodes(path) for path in (mp4, mov, mxf)] == [{"01:00:00;00"}] * 3
    assert timecodes(counted) == {"00:59:56:12"} and timecodes(none) == set()
    assert [one["codec_tag_string"] for one in ffprobe(mp4, "-show_streams")["streams"]] == ["avc1", "tmcd"]
    sides = ffprobe(ts, "-show_frames", "-show_entries", "frame_side_data=side_data_type,timecode")["frames"][0]
    assert {"01:00:00;00"} <= {side.get("timecode") for side in sides["side_data_list"]}


def test_timecodes_that_are_not_written_are_told() -> None:
    asked = jobs.settings(jobs.file(output("_a", "MP4", TimecodeInsertion="PIC_TIMING_SEI")))
    (told,) = planned(asked).warnings
    assert told.endswith("videoDescription.timecodeInsertion: no timecodes are written into H264")
    with pytest.raises(JobError, match="timecodeTrack: MP4 and MOV files have one"):
        planned(jobs.settings(jobs.file(output("_a", "M2TS", TimecodeTrack="ENABLED"))))


def test_positions_of_chroma_are_told(tmp_path: Path, convert: Convert) -> None:
    clip = film(tmp_path, sound=None, duration_s=0.2)
    modes = ("FORCE_CENTER", "FORCE_TOP_LEFT")
    files = made(convert, clip, *(output(f"_{mode}{name}", "MP4", codec, ChromaPositionMode=mode)
                                  for name, codec in (("a", jobs.h264()), ("b", H265)) for mode in modes))  # fmt: skip
    assert [stream(path)["chroma_location"] for path in files] == ["center", "topleft"] * 2


def test_frames_that_are_told_to_be_fields_stay_whole(tmp_path: Path, convert: Convert) -> None:
    lines = "color=black:size=160x96:rate=25:duration=0.4,geq=lum=if(mod(Y\\,2)\\,235\\,16):cb=128:cr=128,setfield=tff"
    clip = ffmpeg(tmp_path / "psf.mp4", *PICTURE, lines, *ENCODE, "-flags", "+ildct+ilme", "-crf", "5")
    sharp = jobs.h264(QvbrSettings={"QvbrQualityLevel": 10}, MaxBitrate=4_000_000)
    done = convert(clip, jobs.settings(jobs.file(output("_a", "MP4", sharp)), InputScanType="PSF"))
    path = done.encoded / "g0o0.mp4"
    frame = ffprobe(path, "-show_entries", "frame=interlaced_frame", "-read_intervals", "%+#1")["frames"][0]
    raw = path.with_suffix(".gray")
    ffmpeg(raw, "-i", str(path), "-frames:v", "1", "-pix_fmt", "gray", "-f", "rawvideo")
    rows = raw.read_bytes()
    assert frame["interlaced_frame"] == 0 and abs(rows[80 + 48 * 160] - rows[80 + 49 * 160]) > 150
