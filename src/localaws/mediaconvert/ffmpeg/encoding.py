"""Runs the passes of a plan in the jail: what has to be measured first, then one process that encodes everything.

Decides nothing that a plan says, packages nothing and uploads nothing.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Event

from localaws.media import active_format, jail, png
from localaws.media.failures import INTERNAL, SETTINGS, JobError
from localaws.mediaconvert import fonts
from localaws.mediaconvert.ffmpeg import argv, black, encoders, messages, retouching, soundtrack
from localaws.mediaconvert.planning.planned import Output, Plan, VideoTrack
from localaws.mediaconvert.settings.codecs import H264, H265
from localaws.mediaconvert.text import captions, carrier

# How much of the work each pass before the last one is, about.
_MEASURING, _ANALYSIS = 0.05, 0.3

# libx264 and ffmpeg's MPEG-2; only the second pass of two finds it out.
_TOO_LOW = re.compile(r"bitrate (?:is )?too low[^\n]*")


def run(
    plan: Plan,
    inputs: Mapping[Path, str],
    encoded: Path,
    limits: jail.Limits,
    *,
    on_pass: Callable[[float, float], None] = lambda start, end: None,
    on_line: Callable[[str], None] | None = None,
    cancel: Event | None = None,
) -> list[tuple[float, float]]:
    """Encode all outputs of all groups into `encoded`. inputs: file -> its name below /in.

    on_pass hears from where to where in the work, 0 to 1, a pass that begins lies; on_line hears ffmpeg's reports of
    it. Returns where the film is black, from and to in s. Raises JobError 1040, 1050 and 1999, JobCanceled.
    """
    executable = str(jail.full_ffmpeg() if encoders.need_full_build(plan) else jail.binary("ffmpeg"))

    def execute(arguments: list[str], what: str, start: float, end: float) -> None:
        on_pass(start, end)
        completed = jail.run(
            arguments, inputs=inputs, output_dir=encoded, limits=limits, on_line=on_line, cancel=cancel
        )
        if not completed.ok and (found := _TOO_LOW.search(completed.stderr_tail)):
            said = found[0].strip().rstrip(".")
            raise JobError(SETTINGS, f"An encoder refuses its Bitrate: {said}. Ask for more, or for a smaller picture.")
        completed.check(what)

    for path in (path for path, name in inputs.items() if name in plan.pictures()):
        png.size(path)
    inputs = {**inputs, **_letters(plan, encoded)}
    _write_messages(plan, encoded)
    measuring, analysis = soundtrack.measuring(plan, executable), argv.analysis(plan, executable)
    measured = _MEASURING if measuring is not None else 0.0
    analysed = measured + (_ANALYSIS if analysis is not None else 0.0)
    if measuring is not None:
        execute(measuring, "measuring loudness", 0.0, measured)
    if analysis is not None:
        execute(analysis, "analysing the source", measured, analysed)
    _hand_over(plan, encoded)
    execute(argv.ffmpeg(plan, executable, _gains(plan, encoded)), "encoding", analysed, 1.0)
    _sign(plan, encoded)
    for pattern in ("pass-*", "text-*", "afd-*"):
        for path in encoded.glob(pattern):
            path.unlink()
    return black.stretches(encoded, plan.source.duration_s)


def _letters(plan: Plan, folder: Path) -> dict[Path, str]:
    """The font of burnt-in timecodes, where there are any; writes what stands before them."""
    found: dict[Path, str] = {}
    for output in plan.outputs():
        if output.video is not None and (drawn := output.video.timecode) is not None:
            (folder / retouching.text_name(output.label)).write_text(drawn.look.prefix)
            found[fonts.FILE] = fonts.FILE.name
    return found


def _signed(plan: Plan, codec: type) -> list[tuple[Output, VideoTrack, int]]:
    tracks = ((output, output.video) for output in plan.outputs() if output.video is not None)
    return [(output, track, track.active_format) for output, track in tracks
            if track.active_format is not None and isinstance(track.codec, codec)]  # fmt: skip


def _write_messages(plan: Plan, folder: Path) -> None:
    """What x265 writes before each frame."""
    for _, track, code in _signed(plan, H265):
        # A film may be a little longer than it says.
        frames = math.ceil((plan.source.duration_s + 10) * track.picture.frame_rate)
        with (folder / messages.file_name(code)).open("w") as file:
            file.writelines(active_format.messages_of_x265(code, frames))


def _sign(plan: Plan, folder: Path) -> None:
    """Write the active formats that x264 has left room for."""
    for output, _, code in _signed(plan, H264):
        stream = output.container.stream
        if not active_format.sign(folder / output.work_file, code, None if stream is None else stream.video_pid):
            raise JobError(INTERNAL, f"{output.path}: the encoder left no room for the active format")


def _hand_over(plan: Plan, folder: Path) -> None:
    """Call the statistics that ffmpeg keeps what the second pass looks for.

    It puts the number of the stream among those of all outputs behind the name, and the passes have other outputs.
    """
    number = 0
    for output in plan.outputs():
        for path in folder.glob(f"{argv.statistics_name(output)}-*.log"):
            path.rename(path.with_name(f"{argv.statistics_name(output)}-{number}.log"))
        number += (output.video is not None) + len(output.audios)


def _gains(plan: Plan, folder: Path) -> dict[str, float]:
    found = {}
    for name, track in soundtrack.tracks(plan):
        path = folder / f"{name}.loudness"
        if track.normalization is None or not path.is_file() or path.is_symlink():
            continue
        with path.open() as told:
            gain = soundtrack.gain_db(track.normalization, told)
        path.unlink()
        if gain is not None:
            found[name] = gain
    return found


def prepared_captions(planned: Plan, spoken: captions.Spoken, folder: Path) -> dict[Path, str]:
    """Write what brings captions to pictures into `folder`: those that are drawn on them, and carriers of the others.

    Returns the files and their names in the jail.
    """
    files = {}
    for output in planned.outputs():
        if output.burn_in is not None:
            path = folder / output.burn_in_file
            with path.open("wb") as target:
                captions.draw(output, captions.film_cues(planned, spoken, output.burn_in.selector), target)
            files[path] = output.burn_in_file
        if output.embedded and output.video is not None:
            path = folder / output.carrier_file
            with path.open("wb") as target:
                frames = captions.embedded(planned, output, spoken)
                carrier.write(target, frames, output.video.picture.frame_rate)
            files[path] = output.carrier_file
    return files
