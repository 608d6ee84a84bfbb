"""Holds what a job made against what its settings ask for: every file is opened, its tracks are compared.

Returns sentences, one for each thing that differs; knows nothing of how a plan came about but for its warnings and the
lengths of its film.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import any_sources
import mediaconvert_conversion
from any_jobs import AnyJob
from localaws import shapes
from localaws.config import Config, Credentials
from localaws.media import jail
from localaws.media.failures import DISK, INTERNAL, InputRejected, JobError, SettingRefused
from localaws.mediaconvert.answers import table
from localaws.mediaconvert.planning.planned import Group, Output
from mediaconvert_conversion import Converted

Json = dict[str, Any]
ROLE = "arn:aws:iam::111122223333:role/MediaConvertRole"
_CODECS = {
    "AV1": "av1", "FRAME_CAPTURE": "mjpeg", "GIF": "gif", "H_264": "h264", "H_265": "hevc", "MPEG2": "mpeg2video",
    "PRORES": "prores", "UNCOMPRESSED": "rawvideo", "VC3": "dnxhd", "VP8": "vp8", "VP9": "vp9",
    "AAC": "aac", "AC3": "ac3", "EAC3": "eac3", "MP2": "mp2", "MP3": "mp3", "OPUS": "opus", "VORBIS": "vorbis",
    "FLAC": "flac",
}  # fmt: skip
_PROFILES = {
    "H_264": {"BASELINE": ("Constrained Baseline", "Baseline"), "MAIN": ("Main",), "HIGH": ("High",),
              "HIGH_10BIT": ("High 10",), "HIGH_422": ("High 4:2:2",), "HIGH_422_10BIT": ("High 4:2:2",)},
    "H_265": {"MAIN": ("Main",), "MAIN10": ("Main 10",), "MAIN_422_8BIT": ("Rext",), "MAIN_422_10BIT": ("Rext",)},
    "MPEG2": {"MAIN": ("Main",), "PROFILE_422": ("4:2:2",)},
}  # fmt: skip
_AAC_MODES = {"CODING_MODE_1_0": 1, "CODING_MODE_2_0": 2, "CODING_MODE_5_1": 6, "CODING_MODE_3_2_LFE": 6}


def faults(job: AnyJob, sources: Path, work: Path) -> list[str]:
    """Run a job and judge it; none where it is refused by path, or is not possible for these sources.

    sources: a folder in which films stay for later jobs. work: a new folder of this job alone.
    """
    request = shapes.read(
        table.create_job(), shapes.write(table.create_job(), {"Role": ROLE, "Settings": job.settings})
    )
    try:
        table.check(request)
        clips = [_own(kind, number, sources, work) for number, kind in enumerate(job.kinds)]
        config = Config(work / "data", Credentials("none", "none"))
        done = mediaconvert_conversion.convert(config, work, request["Settings"], clips)
    except (SettingRefused, InputRejected):
        return []
    except JobError as exc:
        return [f"{exc.code}: {exc.message}"] if exc.code in (DISK, INTERNAL) else []
    return list(differences(done, request["Settings"]))


def _own(kind: str, number: int, sources: Path, work: Path) -> Path:
    """A file for each input: two inputs of one kind are two files."""
    others = {"captions": any_sources.captions, "image": any_sources.image}
    path = others[kind](sources) if kind in others else any_sources.made(kind, sources)
    return Path(shutil.copy(path, work / f"{number}-{path.name}"))


def differences(converted: Converted, settings: Json) -> Iterator[str]:
    """What is not as it was asked for."""
    film_s = converted.plan.source.duration_s
    folder = converted.encoded.parent / "judged"
    for key, path in converted.files.items():
        if path.stat().st_size == 0:
            yield f"{key} is empty"
        target = folder / key
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(path)
    for number, group in enumerate(converted.plan.groups):
        asked = settings["OutputGroups"][number]["Outputs"]
        for output in group.outputs:
            own = asked[int(output.label.partition("o")[2])]
            place = f"{output.path} ({output.label})"
            path = converted.encoded / output.work_file.replace("%07d", "0000000")
            yield from (f"{place}: {told}" for told in _output(own, output, _probed(path), film_s))
            yield from (f"{place}: {told}" for told in _decoding(path))
        if group.packaging is None:
            yield from _files(group, converted)
        else:
            yield from _playlists(group, folder, converted)


# A few pictures are too little to tell these formats.
_NAMED = {".h264": ("-f", "h264"), ".h265": ("-f", "hevc")}


def _decoding(path: Path) -> Iterator[str]:
    """What decoders have against a file."""
    command = [str(jail.full_ffmpeg()), "-v", "error", "-nostdin", *_NAMED.get(path.suffix, ()), "-i", str(path)]
    done = subprocess.run([*command, "-map", "0", "-f", "null", "-"], capture_output=True, text=True, timeout=120)
    if told := done.stderr.strip():
        yield f"decoding it: {told.splitlines()[0]}"


def _probed(path: Path) -> Json:
    """What ffprobe says of a file whose every packet it has read."""
    command = [str(jail.binary("ffprobe")), "-v", "error", "-count_packets", "-show_streams", "-of", "json"]
    command += ["-allowed_extensions", "ALL"] if path.suffix == ".m3u8" else []
    command += _NAMED.get(path.suffix, ())
    done = subprocess.run([*command, str(path)], capture_output=True, text=True, timeout=120)
    found: Json = json.loads(done.stdout or "{}")
    return {"error": done.stderr.strip() or done.returncode, "streams": [], **found} if done.returncode else found


def _output(own: Json, output: Output, found: Json, film_s: float) -> Iterator[str]:
    if found.get("error"):
        yield f"ffprobe cannot open it: {found['error']}"
        return
    pictures = [one for one in found["streams"] if one["codec_type"] == "video"]
    sounds = [one for one in found["streams"] if one["codec_type"] == "audio"]
    if len(pictures) != int(output.video is not None) or len(sounds) != len(output.audios):
        yield f"has {len(pictures)} pictures and {len(sounds)} sounds, {len(output.audios)} were planned"
        return
    if own.get("VideoDescription") and output.video is None:
        yield "has no pictures"
    if pictures:
        yield from _pictures(own["VideoDescription"], output, pictures[0], film_s)
    for described, sound in zip(own.get("AudioDescriptions") or [], sounds, strict=False):
        yield from _sound(described["CodecSettings"], sound, film_s)


def _pictures(described: Json, output: Output, found: Json, film_s: float) -> Iterator[str]:
    name = described["CodecSettings"]["Codec"]
    if name == "PASSTHROUGH":
        return
    own = next((value for member, value in described["CodecSettings"].items() if member != "Codec"), {})
    yield from _same("codec", _CODECS[name], found["codec_name"])
    yield from _size(described, found)
    yield from _profile(name, own.get("CodecProfile", ""), found.get("profile"))
    if name == "FRAME_CAPTURE":
        return
    yield from _rate(name, own, output, found)
    yield from _length(output, int(found.get("nb_read_packets") or 0), film_s)
    yield from _fields(own, output, found.get("field_order"))
    if own.get("ParControl") == "SPECIFIED" and name != "MPEG2":  # which has shapes of the whole picture
        shape, told = Fraction(own["ParNumerator"], own["ParDenominator"]), found.get("sample_aspect_ratio", "1:1")
        # WebM has whole numbers of pixels of the picture as it is shown.
        if told not in ("0:1", "N/A") and abs(Fraction(told.replace(":", "/")) / shape - 1) > Fraction(1, 20):
            yield f"pixels are {told}, not {shape}"


def _size(described: Json, found: Json) -> Iterator[str]:
    both = described.get("Width") and described.get("Height")
    if both and described.get("ScalingBehavior") in ("FIT", "FIT_NO_UPSCALE"):
        return
    for side in ("Width", "Height"):
        if described.get(side):
            yield from _same(side, described[side], found[side.lower()])


def _profile(codec: str, asked: str, told: str | None) -> Iterator[str]:
    if codec == "H_265":
        asked = asked.rpartition("_")[0]
    wanted = _PROFILES.get(codec, {}).get(asked)
    if wanted is not None and told not in wanted:
        yield f"profile is {told}, not {wanted[0]}"


def _rate(codec: str, own: Json, output: Output, found: Json) -> Iterator[str]:
    # GIF counts in hundredths of a second; streams without a container have no clock.
    timeless = codec == "GIF" or output.container.muxer in ("h264", "hevc", "dnxhd")
    if own.get("FramerateControl") != "SPECIFIED" or timeless:
        return
    rate, told = Fraction(own["FramerateNumerator"], own["FramerateDenominator"]), Fraction(found["r_frame_rate"])
    # ffprobe counts fields of some streams.
    if abs(told - rate) > Fraction(1, 100) and told != 2 * rate:
        yield f"frame rate is {told}, not {rate}"


def _length(output: Output, packets: int, film_s: float) -> Iterator[str]:
    assert output.video is not None
    rate = output.video.picture.frame_rate
    wanted = float(film_s * rate)
    # Sound may last a little longer than pictures, and fields may be packets of their own.
    if abs(packets - wanted) > 2 + rate / 20 and abs(packets - 2 * wanted) > 2:
        yield f"has {packets} frames, {wanted:.1f} were expected at {float(rate):.2f}"


def _fields(own: Json, output: Output, told: str | None) -> Iterator[str]:
    orders = {"TOP_FIELD": ("tt", "tb"), "BOTTOM_FIELD": ("bb", "bt")}.get(own.get("InterlaceMode", ""))
    if orders is not None and output.container.muxer in ("mp4", "mov") and told not in orders:
        yield f"field order is {told}, {own['InterlaceMode']} was asked for"


def _sound(coded: Json, found: Json, film_s: float) -> Iterator[str]:
    name = coded["Codec"]
    own = next((value for member, value in coded.items() if member != "Codec"), {})
    if name in _CODECS:
        yield from _same("sound codec", _CODECS[name], found["codec_name"])
    rate = own.get("SampleRate")
    if rate and name != "OPUS":
        yield from _same("sample rate", rate, int(found["sample_rate"]))
    channels = _AAC_MODES.get(own.get("CodingMode", "")) or own.get("Channels")
    if channels:
        yield from _same("channels", channels, found["channels"])
    if own.get("BitDepth") and name in ("WAV", "AIFF"):
        yield from _same("bits", own["BitDepth"], int(found["bits_per_sample"]))
    if own.get("BitDepth") and name == "FLAC":
        yield from _same("bits", own["BitDepth"], int(found.get("bits_per_raw_sample") or 0))
    length_s = float(found.get("duration") or film_s)
    if name == "AAC" and found.get("start_pts") is None:  # ADTS alone: ffprobe divides bytes by a bit rate
        length_s = 1024 * int(found["nb_read_packets"]) / int(found["sample_rate"])
    if abs(length_s - film_s) > 0.1 + 2048 / int(found["sample_rate"]):  # two frames of AAC more than there is to hear
        yield f"sound lasts {length_s:.3f} s, the film {film_s:.3f} s"
    bitrate = own.get("Bitrate")
    told = found.get("bit_rate") if bitrate and name in ("MP2", "MP3", "AC3", "EAC3") else None
    told = None if own.get("RateControlMode") == "VBR" else told
    # MP4 tells an average over a second or so.
    if told and abs(int(told) / bitrate - 1) > 0.25:
        yield f"bit rate is {told}, not {bitrate}"


def _same(what: str, wanted: object, got: object) -> Iterator[str]:
    if wanted != got:
        yield f"{what} is {got}, not {wanted}"


def _files(group: Group, converted: Converted) -> Iterator[str]:
    for output in group.ordered():
        name = f"{group.destination.base}{output.modifier}"
        suffix = f".{output.extension}"
        if not any(key.endswith(suffix) and name in key for key in converted.files):
            yield f"{output.path}: no file {name}{suffix}, there are {sorted(converted.files)}"


def _playlists(group: Group, folder: Path, converted: Converted) -> Iterator[str]:
    assert group.packaging is not None
    own = [key for key in converted.files if key.startswith(group.destination.base) or group.destination.base in key]
    if not own:
        yield f"{group.type}: no files below {group.destination.base}: {sorted(converted.files)[:5]}"
    wanted = (
        [".mpd"] * group.packaging.dash
        + [".m3u8"] * group.packaging.hls
        + [".ism"] * (group.packaging.smooth is not None)
    )
    for suffix in wanted:
        if not any(key.endswith(suffix) for key in own):
            yield f"{group.type}: no {suffix} among {sorted(own)[:8]}"
    if group.packaging.base_url or group.packaging.encryption is not None:
        return
    for key in own:
        # Playlists of images and of packed captions are no films.
        if key.endswith(".m3u8") and not group.packaging.images and not group.captions:
            found = _probed(folder / key)
            if found.get("error"):
                yield f"{key}: ffprobe cannot open it: {found['error']}"
            elif not found["streams"]:
                yield f"{key}: no tracks"
