"""What `penstock cost` prints: one line for each output, the sum, and what is doubtful about it. Asks nobody."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path

from penstock import cost, templates
from penstock.errors import InvalidRequest
from penstock.places import opened
from penstock.showing import printable


def run(job: Path, minutes: float, height_px: int, frame_rate: float, price_list: Path | None, as_json: bool) -> str:
    """The text to print. Raises InvalidRequest for figures or files that make no sense."""
    if not math.isfinite(minutes) or not 0 < minutes <= 48 * 60:
        raise InvalidRequest(f"--minutes must be more than 0 and at most {48 * 60}, got {minutes}")
    if not 0 < height_px <= 8192:
        raise InvalidRequest(f"--height must be 1 to 8192 pixels, got {height_px}")
    if not math.isfinite(frame_rate) or not 0 < frame_rate <= 300:
        raise InvalidRequest(f"--frame-rate must be more than 0 and at most 300, got {frame_rate}")
    with opened(job) as window:
        body = window.read(0, templates.MAX_FILE_BYTES + 1)
    source = cost.Source(minutes * 60, height_px, Fraction(frame_rate).limit_denominator(1001))
    estimate = cost.estimate(templates.read(body), source, cost.prices(price_list))
    return json.dumps(asdict(estimate) | {"amount": estimate.amount}) if as_json else _table(estimate)


def _table(estimate: cost.Estimate) -> str:
    rows = [
        f"{line.amount:10.4f}  {line.minutes:8.2f} min x {line.factor:<6.4g} {line.tier:<13} {line.path}  {line.what}"
        for line in estimate.lines
    ]
    doubts = [f"Unproven: {doubt}." for doubt in estimate.doubts]
    told = f"on demand in {estimate.region}, prices of {estimate.date}, without discounts, storage and delivery"
    return "\n".join(map(printable, [*rows, f"{estimate.amount:10.4f}  {estimate.currency}: {told}", *doubts]))
