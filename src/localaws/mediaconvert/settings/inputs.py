"""Reads what a job says of its inputs: files, clips, audio and caption selectors. Pure; looks at no source.

Source: botocore's model and the MediaConvert API reference for each member's default; MediaConvert user guide,
"Specifying input files and input clips".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from localaws.media.addresses import AddressRefused, source_address
from localaws.media.failures import SettingRefused
from localaws.mediaconvert.settings import colours, images, processing
from localaws.mediaconvert.settings.colours import AS_IT_SAYS, SourceColours
from localaws.mediaconvert.settings.images import Image
from localaws.mediaconvert.settings.processing import Rectangle

Json = Mapping[str, Any]

_TURNS = {None: 0, "DEGREE_0": 0, "DEGREES_90": 90, "DEGREES_180": 180, "DEGREES_270": 270, "AUTO": None}
# SMPTE-TT and IMSC are TTML; pictures in them are not read.
_FILE_FORMATS = {
    "SRT": "srt",
    "WEBVTT": "webvtt",
    "SCC": "scc",
    "TTML": "ttml",
    "SMPTE_TT": "ttml",
    "IMSC": "ttml",
    "SMI": "smi",
}
MOST_INPUTS = 150
"""Source: https://docs.aws.amazon.com/mediaconvert/latest/ug/limits.html, inputs per job."""


@dataclass(frozen=True)
class Clip:
    """Timecodes of the first and the last frame that are taken; None for the input's own."""

    path: str
    start: str | None
    end: str | None


@dataclass(frozen=True)
class AudioSelector:
    """Which sound an input gives: tracks, PIDs or stream numbers (from 1), or the first track in a language.

    Nothing named takes the input's default. `uri` None takes the input's own file.
    """

    path: str
    kind: str
    numbers: tuple[int, ...] = ()
    language: str | None = None
    uri: str | None = None
    offset_s: Fraction = Fraction(0)


@dataclass(frozen=True)
class CaptionSelector:
    """Where captions come from. `format` is srt, webvtt, scc, ttml or smi of a file, or embedded, track or none.

    `number` is the 608 channel of embedded captions, the track of caption tracks (from 1).
    """

    path: str
    format: str
    uri: str | None = None
    number: int = 1
    delta_s: Fraction = Fraction(0)
    frame_rate: Fraction | None = None


@dataclass(frozen=True)
class Generator:
    """Black pictures and silence instead of a file; sizes in px. `image`: the address of what is shown on the black."""

    duration_s: Fraction
    width: int
    height: int
    frame_rate: Fraction
    channels: int
    image: str | None = None


@dataclass(frozen=True)
class Input:
    """One input. `rotate` is a clockwise angle, None to follow the source's own; `timecode_start` of its first frame.

    audio: name of a selector or a selector group -> its selectors, whose channels follow one another. pad_black: black
    where there is sound without pictures, instead of the nearest picture. dynamic: selectors of all tracks, or of all
    in a language. segmented: progressive frames that are told to be fields (PsF).
    """

    path: str
    uri: str | None
    rotate: int | None
    clips: tuple[Clip, ...]
    timecode_source: str
    timecode_start: str | None
    audio: Mapping[str, tuple[AudioSelector, ...]]
    fallback: tuple[AudioSelector, ...]
    captions: Mapping[str, CaptionSelector]
    generator: Generator | None = None
    filters: tuple[str, ...] = ()
    crop: tuple[int, int, int, int] | None = None
    position: Rectangle | None = None
    images: tuple[Image, ...] = ()
    colours: SourceColours = AS_IT_SAYS
    pad_black: bool = False
    segmented: bool = False
    dynamic: Mapping[str, AudioSelector] = field(default_factory=dict)

    def sound(self, name: str) -> tuple[AudioSelector, ...]:
        """The selectors behind a name; an input that has none of that name gives its fallback, or silence."""
        return self.audio.get(name, self.fallback)

    def media(self) -> list[str]:
        """The addresses of pictures and sound, its own file first."""
        own = [self.uri] if self.uri is not None else []
        selectors = [*(one for group in self.audio.values() for one in group), *self.dynamic.values()]
        sounds = [one.uri for one in selectors if one.uri is not None]
        return list(dict.fromkeys([*own, *sounds]))

    def pictures(self) -> list[str]:
        """The addresses of pictures that are shown instead of a film or laid over it."""
        own = [self.generator.image] if self.generator is not None and self.generator.image is not None else []
        return list(dict.fromkeys([*own, *(image.uri for image in self.images)]))

    def texts(self) -> list[str]:
        """The addresses of caption files."""
        return list(dict.fromkeys(one.uri for one in self.captions.values() if one.uri is not None))


def read(settings: Json) -> tuple[Input, ...]:
    """Read all inputs of a job. Raises SettingRefused."""
    given = settings.get("Inputs") or []
    if not 1 <= len(given) <= MOST_INPUTS:
        raise SettingRefused("inputs", f"1 to {MOST_INPUTS} inputs are needed, got {len(given)}")
    inputs = tuple(_input(f"inputs[{number}]", one) for number, one in enumerate(given))
    for one in inputs:
        if one.position != inputs[0].position:
            raise SettingRefused(f"{one.path}.position", "must be the same for all inputs of a job")
    return inputs


def _input(path: str, given: Json) -> Input:
    uri, generator = given.get("FileInput"), given.get("VideoGenerator")
    video = given.get("VideoSelector") or {}
    if (uri is None) == (generator is None):
        raise SettingRefused(f"{path}.fileInput", "an input is needed, for instance s3://bucket/film.mp4")
    if uri is not None:
        _address(f"{path}.fileInput", uri)
    selectors = {
        name: _audio_selector(f"{path}.audioSelectors.{name}", selector)
        for name, selector in (given.get("AudioSelectors") or {}).items()
    }
    fallbacks = [
        selectors[name]
        for name, selector in (given.get("AudioSelectors") or {}).items()
        if selector.get("DefaultSelection") == "DEFAULT"
    ]
    audio: dict[str, tuple[AudioSelector, ...]] = {name: (selector,) for name, selector in selectors.items()}
    audio |= _groups(path, given, selectors)
    source = given.get("TimecodeSource") or "EMBEDDED"
    start = given.get("TimecodeStart")
    if (source == "SPECIFIEDSTART") != (start is not None):
        raise SettingRefused(f"{path}.timecodeStart", "goes together with timecodeSource SPECIFIEDSTART")
    return Input(
        path,
        uri,
        _TURNS[video.get("Rotate")],
        tuple(
            _clip(f"{path}.inputClippings[{number}]", clip)
            for number, clip in enumerate(given.get("InputClippings") or ())
        ),
        source,
        start,
        audio,
        (fallbacks[-1],) if fallbacks else (),
        {
            name: _caption_selector(f"{path}.captionSelectors.{name}", selector)
            for name, selector in (given.get("CaptionSelectors") or {}).items()
        },
        None if generator is None else _generator(f"{path}.videoGenerator", generator),
        _filters(path, given),
        _crop(f"{path}.crop", given.get("Crop")),
        processing.rectangle(f"{path}.position", given.get("Position")),
        images.read(f"{path}.imageInserter", given.get("ImageInserter") or {}),
        colours.of_source(f"{path}.videoSelector", video),
        video.get("PadVideo") == "BLACK",
        given.get("InputScanType") == "PSF",
        {
            name: _dynamic(f"{path}.dynamicAudioSelectors.{name}", one)
            for name, one in (given.get("DynamicAudioSelectors") or {}).items()
        },
    )


def _address(path: str, uri: str) -> None:
    try:
        source_address(uri)
    except AddressRefused as exc:
        raise SettingRefused(path, f"{exc}, got {uri[:80]!r}") from exc


def _clip(path: str, given: Json) -> Clip:
    start, end = given.get("StartTimecode"), given.get("EndTimecode")
    if start is None and end is None:
        raise SettingRefused(path, "a startTimecode or an endTimecode is needed")
    return Clip(path, start, end)


def _audio_selector(path: str, given: Json) -> AudioSelector:
    kinds = {"TRACK": "Tracks", "PID": "Pids", "STREAM": "Streams", "LANGUAGE_CODE": "LanguageCode"}
    # Many job files leave the type out and name what they mean.
    kind = given.get("SelectorType") or next((kind for kind, member in kinds.items() if given.get(member)), "TRACK")
    language = given.get("CustomLanguageCode") or given.get("LanguageCode")
    if kind == "LANGUAGE_CODE" and not language:
        raise SettingRefused(f"{path}.languageCode", "is needed where selectorType is LANGUAGE_CODE")
    numbers = () if kind == "LANGUAGE_CODE" else tuple(given.get(kinds[kind]) or ())
    if kind in ("PID", "STREAM") and not numbers:
        raise SettingRefused(f"{path}.{kinds[kind].lower()}", f"is needed where selectorType is {kind}")
    uri = given.get("ExternalAudioFileInput")
    if uri is not None:
        _address(f"{path}.externalAudioFileInput", uri)
    return AudioSelector(
        path,
        kind,
        numbers,
        language.lower() if language and kind == "LANGUAGE_CODE" else None,
        uri,
        Fraction(given.get("Offset") or 0, 1000),
    )


def _dynamic(path: str, given: Json) -> AudioSelector:
    by_language = given.get("SelectorType") == "LANGUAGE_CODE"
    if by_language and not given.get("LanguageCode"):
        raise SettingRefused(f"{path}.languageCode", "is needed where selectorType is LANGUAGE_CODE")
    uri = given.get("ExternalAudioFileInput")
    if uri is not None:
        _address(f"{path}.externalAudioFileInput", uri)
    language = given["LanguageCode"].lower() if by_language else None
    return AudioSelector(path, "TRACK", (), language, uri, Fraction(given.get("Offset") or 0, 1000))


def _groups(path: str, given: Json, selectors: Mapping[str, AudioSelector]) -> dict[str, tuple[AudioSelector, ...]]:
    groups = {}
    for name, group in (given.get("AudioSelectorGroups") or {}).items():
        names = group.get("AudioSelectorNames") or []
        unknown = [one for one in names if one not in selectors]
        if not names or unknown:
            told = f"the input has no audio selector named {unknown[0][:64]!r}" if unknown else "is needed"
            raise SettingRefused(f"{path}.audioSelectorGroups.{name}.audioSelectorNames", told)
        groups[name] = tuple(selectors[one] for one in names)
    return groups


def _caption_selector(path: str, given: Json) -> CaptionSelector:
    source = given.get("SourceSettings") or {}
    kind = source.get("SourceType")
    inner = f"{path}.sourceSettings"
    if kind is None:
        raise SettingRefused(f"{inner}.sourceType", "the format of the captions is needed")
    if kind in _FILE_FORMATS:
        return _caption_file(f"{inner}.fileSourceSettings", path, _FILE_FORMATS[kind], source)
    if kind == "EMBEDDED":
        embedded = source.get("EmbeddedSourceSettings") or {}
        return CaptionSelector(path, "embedded", number=embedded.get("Source608ChannelNumber") or 1)
    if kind == "TT_3GPP":
        return CaptionSelector(path, "track", number=(source.get("TrackSourceSettings") or {}).get("TrackNumber") or 1)
    return CaptionSelector(path, "none")


def _caption_file(inner: str, path: str, kind: str, source: Json) -> CaptionSelector:
    file = source.get("FileSourceSettings") or {}
    uri = file.get("SourceFile")
    if not uri:
        raise SettingRefused(f"{inner}.sourceFile", "the captions' address is needed")
    _address(f"{inner}.sourceFile", uri)
    unit = 1000 if file.get("TimeDeltaUnits") == "MILLISECONDS" else 1
    rate = file.get("Framerate") or {}
    top, bottom = rate.get("FramerateNumerator"), rate.get("FramerateDenominator")
    if (top is None) != (bottom is None):
        raise SettingRefused(f"{inner}.framerate", "needs framerateNumerator and framerateDenominator")
    return CaptionSelector(
        path,
        kind,
        uri,
        delta_s=Fraction(file.get("TimeDelta") or 0, unit),
        frame_rate=Fraction(top, bottom) if top and bottom else None,
    )


def _generator(path: str, given: Json) -> Generator:
    width, height = given.get("Width"), given.get("Height")
    if (width is None) != (height is None):
        raise SettingRefused(f"{path}.width", "goes together with height")
    width, height = width or 540, height or 360
    if width % 2 or height % 2:
        raise SettingRefused(f"{path}.width", f"even numbers are needed, got {width} x {height}")
    if not given.get("Duration"):
        raise SettingRefused(f"{path}.duration", "a duration in milliseconds is needed")
    rate = Fraction(given.get("FramerateNumerator") or 30000, given.get("FramerateDenominator") or 1001)
    if not 1 <= rate <= 120:
        raise SettingRefused(f"{path}.framerateNumerator", f"must make 1 to 120 frames a second, got {float(rate):.3f}")
    image = given.get("ImageInput")
    if image is not None:
        _address(f"{path}.imageInput", image)
    return Generator(Fraction(given["Duration"], 1000), width, height, rate, given.get("Channels") or 2, image)


def _crop(path: str, given: Json | None) -> tuple[int, int, int, int] | None:
    if given is None:
        return None
    width, height = given.get("Width"), given.get("Height")
    if not width or not height:
        raise SettingRefused(path, "needs width and height")
    left, top = given.get("X") or 0, given.get("Y") or 0
    if any(value % 2 for value in (width, height, left, top)):
        raise SettingRefused(path, f"needs even numbers, got {width} x {height} at {left}, {top}")
    return width, height, left, top


def _filters(path: str, given: Json) -> tuple[str, ...]:
    """The names of the input filters that are on, with their strength 1 to 5, `denoise:3`."""
    strength = given.get("FilterStrength") or 3
    forced = given.get("FilterEnable") == "FORCE"
    if forced and not given.get("FilterStrength"):
        raise SettingRefused(f"{path}.filterStrength", "is needed where filterEnable is FORCE")
    if given.get("FilterEnable") == "DISABLE":
        return ()
    named = (("deblock", "DeblockFilter"), ("denoise", "DenoiseFilter"))
    return tuple(f"{name}:{strength}" for name, member in named if given.get(member) == "ENABLED")
