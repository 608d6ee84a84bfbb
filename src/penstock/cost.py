"""What a MediaConvert job will cost on demand, from its settings and the length of its source.

An estimate for a decision before the job runs: volume discounts, reserved slots, storage and delivery are not in it.
Each part of an output's price is told, and every figure that was not read from a price list is named.
Source: https://aws.amazon.com/mediaconvert/pricing/ (a price for each minute of each output, by tier, resolution and
frame rate; seconds are counted, ten at least).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from importlib import resources
from pathlib import Path
from typing import Any

from penstock.errors import FormatError, InvalidRequest
from penstock.formats import strictjson
from penstock.model import JsonObject

MAX_FILE_BYTES = 64 * 1024
BASIC, PROFESSIONAL = "basic", "professional"
_BASIC_CODECS = ("H_264", "VP8", "VP9", "FRAME_CAPTURE")
_DOLBY = ("AC3", "EAC3", "EAC3_ATMOS")
_HDR = ("HDR10", "HLG_2020", "FORCE_HDR10", "FORCE_HLG_2020", "P3DCI", "P3D65_HDR")
_LARGEST_LADDER = 15
"""MaxRenditions of automated ABR, where the job does not say. Source: botocore's model, AutomatedAbrSettings."""


@dataclass(frozen=True)
class Source:
    """What outputs follow that do not say it themselves. height_px: as shown; frame_rate: frames per second."""

    duration_s: float
    height_px: int = 1080
    frame_rate: Fraction = Fraction(30)


@dataclass(frozen=True)
class Line:
    """One output's part of the price. `path` is its place in the settings; `what` says how it is counted."""

    path: str
    tier: str
    what: str
    minutes: float
    factor: float
    amount: float
    assumed: tuple[str, ...] = ()
    """Names in the price list's `unproven` of the figures that went into it."""


@dataclass(frozen=True)
class Estimate:
    lines: tuple[Line, ...]
    currency: str
    region: str
    date: str
    """Of the price list, YYYY-MM-DD."""
    doubts: tuple[str, ...]
    """Why the sum may differ, a sentence each."""

    @property
    def amount(self) -> float:
        return round(sum(line.amount for line in self.lines), 4)

    def __str__(self) -> str:
        return f"{self.amount:.2f} {self.currency}"


class Prices:
    """A price list, as in prices.json."""

    def __init__(self, document: JsonObject) -> None:
        try:
            self.currency, self.region, self.date = (str(document[name]) for name in ("currency", "region", "date"))
            self.rates: dict[str, float] = {
                tier: float(document["rates_per_minute"][tier]) for tier in (BASIC, PROFESSIONAL)
            }
            self.resolutions = [
                (str(row["name"]), int(row["height_below_px"]), float(row["factor"])) for row in document["resolutions"]
            ]
            self.frame_rates = [(float(row["at_most"]), float(row["factor"])) for row in document["frame_rates"]]
            self.codecs: Mapping[str, Any] = document["professional_codecs"]
            self.audio_only = float(document["audio_only_factor"])
            self.addons = {
                name: float(document["addons_per_minute"][name]) for name in ("dolby_audio", "audio_normalization")
            }
            self.minimum_s = int(document["minimum_s"])
            self.unproven: Mapping[str, str] = document.get("unproven", {})
        except (KeyError, TypeError, ValueError) as exc:
            raise InvalidRequest(f"the price list lacks something or has another shape: {exc!r}") from exc

    def resolution(self, height_px: int) -> tuple[str, float]:
        name, _, factor = next((row for row in self.resolutions if height_px < row[1]), self.resolutions[-1])
        return name, factor

    def frame_rate(self, rate: Fraction) -> float:
        return next((factor for at_most, factor in self.frame_rates if rate <= at_most), self.frame_rates[-1][1])


def prices(path: Path | None = None) -> Prices:
    """The price list at `path`, else the one that ships with penstock. Raises InvalidRequest."""
    if path is not None and path.exists() and not path.is_file():
        raise InvalidRequest(f"the price list {path} is not a regular file")
    try:
        body = (path or resources.files("penstock").joinpath("prices.json")).read_bytes()
    except OSError as exc:
        raise InvalidRequest(f"the price list {path} cannot be read ({exc.strerror})") from exc
    try:
        document = strictjson.loads(body, max_bytes=MAX_FILE_BYTES)
    except FormatError as exc:
        raise InvalidRequest(f"the price list is not JSON that can be used: {exc.message}") from exc
    if not isinstance(document, dict):
        raise InvalidRequest("the price list is not a JSON object")
    return Prices(document)


def estimate(request: JsonObject, source: Source, listed: Prices) -> Estimate:
    """Estimate a CreateJob request (its Settings, and AccelerationSettings where it has them).

    Raises InvalidRequest for settings of another shape, and with the path of an output whose cost cannot be seen.
    """
    try:
        lines = list(_all_lines(request, source, listed))
    except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError) as exc:
        raise InvalidRequest(f"the job settings have another shape than CreateJob takes: {exc!r}"[:300]) from exc
    if not lines:
        raise InvalidRequest("the job has no outputs")
    assumed = dict.fromkeys(name for line in lines for name in line.assumed)
    doubts = tuple(listed.unproven[name] for name in assumed if name in listed.unproven)
    return Estimate(tuple(lines), listed.currency, listed.region, listed.date, doubts)


def _all_lines(request: JsonObject, source: Source, listed: Prices) -> Iterator[Line]:
    accelerated = (request.get("AccelerationSettings") or {}).get("Mode") in ("ENABLED", "PREFERRED")
    if request.get("JobTemplate"):
        raise InvalidRequest("the job names a job template, whose outputs are not seen here; give its settings")
    for number, group in enumerate(request["Settings"].get("OutputGroups") or ()):
        ladder = (group.get("AutomatedEncodingSettings") or {}).get("AbrSettings")
        for index, output in enumerate(group.get("Outputs") or ()):
            path = f"outputGroups[{number}].outputs[{index}]"
            yield from _lines(path, output, ladder, source, accelerated, listed)


def _lines(
    path: str, output: JsonObject, ladder: JsonObject | None, source: Source, accelerated: bool, listed: Prices
) -> Iterator[Line]:
    if output.get("Preset"):
        raise InvalidRequest(f"{path} names the preset {str(output['Preset'])[:64]!r}, which is not seen here")
    minutes = max(listed.minimum_s, math.ceil(source.duration_s)) / 60
    video = output.get("VideoDescription")
    line = _video(path, video, source, accelerated, minutes, listed) if video else _audio_only(path, minutes, listed)
    if video and ladder is not None:
        renditions = int(ladder.get("MaxRenditions") or _LARGEST_LADDER)
        what = f"automated ABR, {renditions} renditions at most: {line.what}"
        line = replace(line, what=what, factor=line.factor * renditions, amount=line.amount * renditions)
    yield line
    yield from _addons(path, output, minutes, listed)


def _audio_only(path: str, minutes: float, listed: Prices) -> Line:
    amount = minutes * listed.audio_only * listed.rates[BASIC]
    return Line(path, BASIC, "audio only", minutes, listed.audio_only, amount, ("audio_only",))


def _video(path: str, video: JsonObject, source: Source, accelerated: bool, minutes: float, listed: Prices) -> Line:
    settings = video.get("CodecSettings") or {}
    codec = str(settings.get("Codec") or "H_264")
    own = next((value for name, value in settings.items() if name.endswith("Settings") and isinstance(value, dict)), {})
    rate = Fraction(1) if codec == "FRAME_CAPTURE" else _rate(own, source)
    multi_pass = own.get("QualityTuningLevel") == "MULTI_PASS_HQ"
    professional = accelerated or codec not in _BASIC_CODECS or (multi_pass and codec == "H_264") or _hdr(video)
    name, factor = listed.resolution(int(video.get("Height") or source.height_px))
    factor *= listed.frame_rate(rate)
    assumed: tuple[str, ...] = ("8K",) if name == "8K" else ()
    if professional:
        passes = listed.codecs.get(codec) or listed.codecs["other"]
        factor *= float(passes["multi_pass" if multi_pass else "single_pass"])
        assumed += ("professional",)
    elif codec == "FRAME_CAPTURE":
        assumed += ("frame_capture",)
    tier = PROFESSIONAL if professional else BASIC
    what = f"{codec} {name}, {float(rate):.6g} frames/s{', several passes' if multi_pass else ''}"
    return Line(path, tier, what, minutes, factor, minutes * factor * listed.rates[tier], assumed)


def _rate(own: JsonObject, source: Source) -> Fraction:
    numerator, denominator = own.get("FramerateNumerator"), own.get("FramerateDenominator")
    if own.get("FramerateControl") == "SPECIFIED" and numerator and denominator:
        return Fraction(int(numerator), int(denominator))
    return source.frame_rate


def _hdr(video: JsonObject) -> bool:
    corrector = (video.get("VideoPreprocessors") or {}).get("ColorCorrector") or {}
    return any(str(corrector.get("ColorSpaceConversion") or "").endswith(name) for name in _HDR)


def _addons(path: str, output: JsonObject, minutes: float, listed: Prices) -> Iterator[Line]:
    audios = output.get("AudioDescriptions") or ()
    kinds = {
        "dolby_audio": any((audio.get("CodecSettings") or {}).get("Codec") in _DOLBY for audio in audios),
        "audio_normalization": any(audio.get("AudioNormalizationSettings") for audio in audios),
    }
    for kind, there in kinds.items():
        if there:
            what = kind.replace("_", " ")
            yield Line(path, "add-on", what, minutes, 1.0, minutes * listed.addons[kind], ("addons",))
