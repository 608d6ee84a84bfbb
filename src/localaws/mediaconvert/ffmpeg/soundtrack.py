"""The sound of a job: from the tracks of its inputs to what each encoder gets, and how loud that is. Pure functions.

Loudness is measured in a pass of its own, over sound alone, so that a correction is one gain for the whole of it.
Source: Rec. ITU-R BS.1770-4, annex 1, whose gated loudness is that of EBU R 128.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice

from localaws.mediaconvert.ffmpeg import encoders, stitching
from localaws.mediaconvert.planning.planned import AudioTrack, Plan
from localaws.mediaconvert.settings.loudness import Normalization

REPORTS = ("-progress", "pipe:1", "-stats_period", "0.5")
"""Options with which ffmpeg tells how far it is."""
_LEAST_DB = -60
# ebur128 says this of silence; no gain makes it louder.
_SILENCE_LKFS = -70.0
_OVERSAMPLED_HZ = 192_000


def tracks(plan: Plan) -> Iterator[tuple[str, AudioTrack]]:
    """Every track of sound of every output, by a name that is safe in graphs and file names."""
    for output in plan.outputs():
        for number, track in enumerate(output.audios):
            yield f"{output.label}a{number}", track


def mapped(plan: Plan, gains_db: Mapping[str, float]) -> tuple[list[str], dict[str, list[str]]]:
    """Chains of the filter graph, and what is mapped for each track: a pad of it, or a stream with its filters.

    gains_db: by the track's name, of tracks that are corrected.
    """
    chains, pads = stitching.sounds(plan, {name: track.sound for name, track in tracks(plan)})
    found = {}
    for name, track in tracks(plan):
        filters = ",".join([*_prepared(track), *_corrected(track, gains_db.get(name)), *_fitted(track)])
        if pads[name].startswith("["):
            chains.append(f"{pads[name]}{filters}[{name}]")
            found[name] = [f"[{name}]"]
        else:
            found[name] = [pads[name], "-af", filters]
    return chains, found


def _prepared(track: AudioTrack) -> list[str]:
    # Sound that begins late is filled with silence, and gaps too, so that both tracks count from the same zero.
    filters = ["aresample=async=1:first_pts=0"]
    if track.remix is not None:
        filters.append(_pan(track.remix))
    return [*filters, f"aformat=channel_layouts={encoders.layout(track.channels)}"]


def _pan(remix: tuple[tuple[float, ...], ...]) -> str:
    """Each channel that comes out as a sum of channels that go in; gains in dB, at -60 nothing."""
    sums = []
    for place, gains in enumerate(remix):
        terms = [f"{10 ** (gain / 20):.6f}*c{number}" for number, gain in enumerate(gains) if gain > _LEAST_DB]
        sums.append(f"c{place}={'+'.join(terms) or '0*c0'}")
    return f"pan={encoders.layout(len(remix))}|{'|'.join(sums)}"


def _corrected(track: AudioTrack, gain_db: float | None) -> list[str]:
    if track.normalization is None or gain_db is None:
        return []
    limit = 10 ** (track.normalization.peak_dbfs / 20)
    return [
        f"volume={gain_db:.3f}dB",
        # Peaks between samples show at four times the rate (BS.1770-4, annex 2); alimiter looks ahead of them.
        f"aresample={_OVERSAMPLED_HZ}",
        f"alimiter=level=disabled:limit={limit:.4f}:latency=1",
    ]


def _fitted(track: AudioTrack) -> list[str]:
    if track.length_s is None:
        return []
    length = f"{float(track.length_s):.6f}"
    return [f"apad=whole_dur={length}", f"atrim=end={length}"]


def measuring(plan: Plan, executable: str) -> list[str] | None:
    """The command line that measures every track to be corrected; it writes `<name>.loudness` below /out.

    None where nothing is to be corrected.
    """
    wanted = {
        name: "lavfi.r128.M" if track.normalization.ungated else "lavfi.r128.I"
        for name, track in tracks(plan)
        if track.normalization is not None
    }
    if not wanted:
        return None
    chains, pads = mapped(plan, {})
    arguments = [executable, "-hide_banner", "-nostdin", "-loglevel", "error", "-y", *REPORTS]
    arguments += stitching.openings(plan)
    outputs = []
    for name, (pad, *filters) in pads.items():
        if name not in wanted:
            # A pad of the graph that nothing takes from would be an error.
            outputs += ["-map", pad, "-f", "null", "-"] if pad.startswith("[") else []
            continue
        measured = f"ebur128=metadata=1,ametadata=mode=print:key={wanted[name]}:file=/out/{name}.loudness"
        if pad.startswith("["):
            chains.append(f"{pad}{measured}[{name}m]")
            outputs += ["-map", f"[{name}m]", "-f", "null", "-"]
        else:
            outputs += ["-map", pad, "-af", f"{filters[1]},{measured}", "-f", "null", "-"]
    return [*arguments, *(["-filter_complex", ";".join(chains)] if chains else []), *outputs]


def gain_db(normalization: Normalization, told: Iterable[str]) -> float | None:
    """The correction for what ebur128 told of a track, line by line; None for silence and for what the gate leaves."""
    values = (float(line.partition("=")[2]) for line in told if line.startswith("lavfi.r128."))
    measured = _ungated(values) if normalization.ungated else _last(values)
    if measured is None or measured <= _SILENCE_LKFS:
        return None
    if normalization.gate_lkfs is not None and measured < normalization.gate_lkfs:
        return None
    return normalization.target_lkfs - measured


def _last(values: Iterable[float]) -> float | None:
    """Integrated loudness grows with the film; the last value is that of the whole."""
    return next(iter(deque(values, maxlen=1)), None)


def _ungated(values: Iterable[float]) -> float | None:
    """The mean power of all blocks of 400 ms, of which each tenth of a second begins one (BS.1770-1).

    The first three are of blocks that have not filled up yet.
    """
    total, count = 0.0, 0
    for level in islice(values, 3, None):
        total, count = total + 10 ** (level / 10), count + 1
    return 10 * math.log10(total / count) if total else None
