"""The sound of a job: from the tracks of its inputs to what each encoder gets, and how loud that is. Pure functions.

Loudness is measured in a pass of its own, over sound alone, so that a correction is one gain for the whole of it.
Source: Rec. ITU-R BS.1770-4, annex 1, whose gated loudness is that of EBU R 128.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
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


def graph(plan: Plan, gains_db: Mapping[str, float]) -> list[str]:
    """The options that bring the sound of the inputs to one pad for each track, which has the track's name.

    gains_db: by the track's name, of tracks that are corrected.
    """
    return _graph(
        plan,
        {
            name: [*_prepared(track), *_corrected(track, gains_db.get(name)), *_fitted(track)]
            for name, track in tracks(plan)
        },
    )


def _graph(plan: Plan, filters: Mapping[str, Sequence[str]]) -> list[str]:
    """One graph for all tracks that filters are given for, and no other.

    Not a graph for each, and not that of the pictures: several graphs that fill sound which begins late wait for each
    other for ever in ffmpeg 8 and later, and one with both would keep pictures in memory until their sound comes.
    """
    chains, pads = stitching.sounds(plan, {name: track.sound for name, track in tracks(plan) if name in filters})
    chains += [f"{pads[name]}{','.join(each)}[{name}]" for name, each in filters.items()]
    return ["-filter_complex", ";".join(chains)] if chains else []


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
    filters = {
        name: [*_prepared(track), *_fitted(track), _measured(name, track.normalization)]
        for name, track in tracks(plan)
        if track.normalization is not None
    }
    if not filters:
        return None
    arguments = [executable, "-hide_banner", "-nostdin", "-loglevel", "error", "-y", *REPORTS]
    arguments += [*stitching.openings(plan), *_graph(plan, filters)]
    return [*arguments, *(part for name in filters for part in ("-map", f"[{name}]", "-f", "null", "-"))]


def _measured(name: str, normalization: Normalization) -> str:
    key = "lavfi.r128.M" if normalization.ungated else "lavfi.r128.I"
    return f"ebur128=metadata=1,ametadata=mode=print:key={key}:file=/out/{name}.loudness"


def gain_db(normalization: Normalization, told: Iterable[str]) -> float | None:
    """The correction for what ebur128 told of a track, line by line.

    None for silence, which it may call not a number, and for what the gate leaves.
    """
    values = (float(line.partition("=")[2]) for line in told if line.startswith("lavfi.r128."))
    measured = _ungated(values) if normalization.ungated else _last(values)
    if measured is None or not measured > _SILENCE_LKFS:
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
