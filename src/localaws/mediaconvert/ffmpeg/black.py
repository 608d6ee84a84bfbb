"""Where a film is black, found while it is encoded, in small copies of an output's pictures.

Unverified: what AWS takes for black. Here it is two seconds or more in which 98 % of the picture
are dark, as ffmpeg's blackdetect has it.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from localaws.mediaconvert.planning.planned import Plan

_BEGINS, _ENDS = "black-begins", "black-ends"
_LEAST_S = 2
_WIDTH = 160


def watch(plan: Plan, chains: list[str], pads: dict[str, str]) -> None:
    """Add to the graph what writes below /out where pictures become black, and where they are no longer."""
    moving = (output for output in plan.outputs() if not (output.captures or output.passes_through))
    pictures = {output.label: output.video.picture for output in moving if output.video is not None}
    if not pictures:
        return
    label = min(pictures, key=lambda name: pictures[name].width * pictures[name].height)
    chains.append(f"{pads[label]}split[{label}w][{label}d]")
    pads[label] = f"[{label}w]"
    written = (f"metadata=mode=print:key=lavfi.{key}:file=/out/{name}"
               for key, name in (("black_start", _BEGINS), ("black_end", _ENDS)))  # fmt: skip
    small = f"scale={_WIDTH}:-2:flags=fast_bilinear,format=yuv420p"
    chains.append(f"[{label}d]{small},blackdetect,{','.join(written)},nullsink")


def stretches(folder: Path, end_s: float) -> list[tuple[float, float]]:
    """Begin and end of what lasts, in s; the files go. end_s: where the film ends, perhaps in black."""
    begins, ends = _times(folder / _BEGINS), chain(_times(folder / _ENDS), [end_s])
    # ffmpeg writes down the shortest, too.
    found = [(begin, end) for begin, end in zip(begins, ends, strict=False) if end - begin >= _LEAST_S]
    for name in (_BEGINS, _ENDS):
        (folder / name).unlink(missing_ok=True)
    return found


def _times(path: Path) -> Iterator[float]:
    """The values of a key in what ffmpeg printed of frames that have it."""
    if path.is_symlink() or not path.is_file():
        return
    with path.open() as told:
        for line in told:
            if line.startswith("lavfi."):
                yield float(line.partition("=")[2])
