"""What a manifest presents, whichever kind it is: renditions, and for each the files that hold it, in order of time.

Values only; `dash` and `hls` read them from manifests. Never opens a file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True)
class Part:
    """A file, or a range of its bytes; `last_byte` is included, None is the end of the file."""

    url: str
    first_byte: int = 0
    last_byte: int | None = None
    certain: bool = True
    """False for the last segment of a template without a timeline, which may rightly be missing."""


@dataclass(frozen=True)
class Stretch:
    """One rendition in one period, or up to a discontinuity: parts with one clock."""

    initialization: Part | None
    """None where the parts carry it themselves."""
    parts: Callable[[], Iterator[Part]]
    """Made anew at each call: a film has ten thousands of segments."""
    start_s: Fraction = Fraction(0)
    """When it begins in the presentation."""
    length_s: Fraction | None = None
    offset_s: Fraction | None = Fraction(0)
    """Media time that is shown at `start_s`; None when only the media tell (HLS)."""


@dataclass(frozen=True)
class Rendition:
    """One representation (DASH) or media playlist (HLS) over the whole presentation.

    kind: `video`, `audio`, `text` or empty, as the manifest says; the files know better.
    """

    name: str
    kind: str
    mime_type: str
    codecs: str
    language: str
    label: str
    roles: tuple[str, ...]
    bandwidth_bps: int
    stretches: tuple[Stretch, ...]


@dataclass(frozen=True)
class Presentation:
    renditions: tuple[Rendition, ...]
    duration_s: Fraction | None = None
