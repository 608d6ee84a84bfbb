"""When and where pictures are laid over frames, of an input or of an output. Pure."""

from __future__ import annotations

import hashlib
from fractions import Fraction

from localaws.media.failures import SETTINGS, JobError
from localaws.mediaconvert.planning.film import Overlay
from localaws.mediaconvert.settings.images import Image
from penstock.errors import FormatError
from penstock.formats import timecode


def file_name(uri: str) -> str:
    """What the picture at an address is called in the work folder and below /in."""
    return f"image-{hashlib.sha256(uri.encode()).hexdigest()[:16]}"


def overlay(image: Image, rate: Fraction, clock_s: Fraction) -> Overlay:
    """Place a picture. clock_s: the timecode of the first frame, from which its times count. Raises JobError 1040."""
    start_s = Fraction(0)
    if image.start is not None:
        try:
            start_s = timecode.frames(image.start, rate) / rate - clock_s
        except FormatError as exc:
            raise JobError(SETTINGS, f"{image.path}.startTime: {exc}") from exc
    end_s = None if image.length_s is None else start_s + image.length_s
    return Overlay(
        file_name(image.uri),
        image.left,
        image.top,
        image.width,
        image.height,
        image.opacity,
        start_s,
        end_s,
        image.fade_in_s,
        image.fade_out_s,
    )
