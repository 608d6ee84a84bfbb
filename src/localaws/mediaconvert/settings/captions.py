"""Reads an output's CaptionDescriptions. Pure.

Source: botocore's model and the MediaConvert API reference for each member's default; MediaConvert user guide, "IMSC,
TTML, and WebVTT (sidecar) output captions" (which group takes which format; .xml for IMSC, .ttml for TTML). The
extension of CMAF's caption tracks, .cmft, is ISO/IEC 23000-19's, that of Smooth Streaming's, .ismt, Microsoft's; both
are unverified for AWS.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from localaws.media.failures import SettingRefused
from localaws.mediaconvert.settings.codecs import H264, H265, Mpeg2
from localaws.mediaconvert.settings.packaging import CMAF, DASH, FILE, HLS, SMOOTH
from localaws.mediaconvert.settings.video import Video
from penstock.formats.languages import shortest

Json = Mapping[str, Any]


@dataclass(frozen=True)
class SccRate:
    """How the timecodes of an SCC file count."""

    frames_per_s: Fraction
    drop: bool = False


_EXTENSIONS = {"WEBVTT": "vtt", "SRT": "srt", "TTML": "ttml", "IMSC": "xml", "SCC": "scc", "SMI": "smi"}
_TAKEN = {
    FILE: ("WEBVTT", "SRT", "TTML", "IMSC", "SCC", "SMI"),
    HLS: ("WEBVTT",),
    DASH: ("WEBVTT", "TTML", "IMSC"),
    CMAF: ("WEBVTT", "IMSC"),
    SMOOTH: ("TTML",),
}
_MEMBERS = {
    "WEBVTT": "Webvtt", "SRT": "Srt", "TTML": "Ttml", "IMSC": "Imsc", "BURN_IN": "Burnin", "EMBEDDED": "Embedded",
    "SCC": "Scc", "SMI": "Smi",
}  # fmt: skip
_SCC_RATES = {
    "FRAMERATE_23_97": SccRate(Fraction(24000, 1001)),
    "FRAMERATE_24": SccRate(Fraction(24)),
    "FRAMERATE_25": SccRate(Fraction(25)),
    "FRAMERATE_29_97_DROPFRAME": SccRate(Fraction(30000, 1001), drop=True),
    "FRAMERATE_29_97_NON_DROPFRAME": SccRate(Fraction(30000, 1001)),
}
_SHADOW_PX = 2
_FONT = {"FontStyle": "fontStyle", "FontWeight": "fontWeight", "TextDecoration": "textDecoration"}


@dataclass(frozen=True)
class Caption:
    """One output track of captions. `kind` as the API spells it; `fragmented` packs text into MP4.

    styled: whether italics, bold and underline pass through. style: attributes of the TT Style namespace for all text.
    match_video: HLS segments are as long as those of the pictures, not 300 s.
    """

    path: str
    selector: str
    kind: str
    extension: str
    fragmented: bool
    styled: bool
    accessible: bool
    language: str | None
    label: str | None
    style: tuple[tuple[str, str], ...] = ()
    match_video: bool = False
    scc: SccRate | None = None


@dataclass(frozen=True)
class BurnIn:
    """Captions that are drawn on an output's pictures. Colours are red, green, blue, opacity; sizes in px.

    passes: what captions say of themselves, italics, bold, underline, colour and place, is followed. recolours: the
    colour of the job is for all text, not for white text alone. fill: None where the job names no colour.
    """

    path: str
    selector: str
    fill: tuple[int, int, int, int] | None
    opacity: int
    outline: tuple[int, int, int, int]
    outline_px: int
    background: tuple[int, int, int, int]
    shadow: tuple[int, int, int, int]
    shadow_offset: tuple[int, int]
    size: int | None
    centred: bool
    left: int | None
    top: int | None
    passes: bool = False
    recolours: bool = False


@dataclass(frozen=True)
class Embedded:
    """Captions within an output's pictures. `channel` is the EIA-608 channel that text is written to, 1 to 4."""

    path: str
    selector: str
    channel: int
    language: str | None


def in_pictures(
    path: str, described: Sequence[Json], selectors: Collection[str], group: str, video: Video | None
) -> tuple[BurnIn | None, tuple[Embedded, ...]]:
    """Read the captions that an output with pictures has: drawn on them, and within them. Raises SettingRefused."""
    burnt: list[BurnIn] = []
    embedded: list[Embedded] = []
    for number, one in enumerate(described):
        inner = f"{path}[{number}]"
        caption = _read(inner, one, selectors)
        if caption.kind == "BURN_IN":
            burnt.append(_burned(caption, one))
        elif caption.kind == "EMBEDDED":
            _can_hold(inner, group, video)
            own = (one.get("DestinationSettings") or {}).get("EmbeddedDestinationSettings") or {}
            free = 3 if any(other.channel in (1, 2) for other in embedded) else 1
            channel = own.get("Destination608ChannelNumber") or free
            embedded.append(Embedded(inner, caption.selector, channel, caption.language))
        else:
            told = f"{caption.kind} captions need an output of their own"
            raise SettingRefused(f"{inner}.destinationSettings.destinationType", told)
    if len(burnt) > 1:
        raise SettingRefused(path, f"one track of captions can be burnt in, got {len(burnt)}")
    fields = [one.channel in (1, 2) for one in embedded]
    if len(set(fields)) < len(fields):
        told = "two tracks of captions need channels of different fields, one of 1 and 2 and one of 3 and 4"
        raise SettingRefused(path, told)
    return (burnt[0] if burnt else None), tuple(embedded)


def _can_hold(path: str, group: str, video: Video | None) -> None:
    codec = None if video is None else video.codec
    if group == SMOOTH or not isinstance(codec, H264 | H265 | Mpeg2):
        told = "EMBEDDED captions need H_264, H_265 or MPEG2 pictures, and no Smooth Streaming"
        raise SettingRefused(f"{path}.destinationSettings.destinationType", told)


def _burned(caption: Caption, described: Json) -> BurnIn:
    path = caption.path
    own = (described.get("DestinationSettings") or {}).get("BurninDestinationSettings") or {}
    hexadecimal = own.get("HexFontColor") if own.get("FontColor") == "HEX" else None
    if own.get("FontColor") == "HEX" and not hexadecimal:
        raise SettingRefused(
            f"{path}.destinationSettings.burninDestinationSettings.hexFontColor", "is needed where fontColor is HEX"
        )
    opacity = own.get("FontOpacity", 255)
    return BurnIn(
        path,
        caption.selector,
        _rgba(hexadecimal, opacity) if hexadecimal else _chosen(own.get("FontColor"), opacity),
        opacity,
        _named(own.get("OutlineColor"), "BLACK", opacity),
        own.get("OutlineSize", 2),
        _opaque(own, "Background"),
        _opaque(own, "Shadow"),
        (own.get("ShadowXOffset", _SHADOW_PX), own.get("ShadowYOffset", _SHADOW_PX)),
        own.get("FontSize") or None,
        own.get("Alignment", "CENTERED") != "LEFT",
        own.get("XPosition"),
        own.get("YPosition"),
        passes=own.get("StylePassthrough") == "ENABLED",
        recolours=own.get("ApplyFontColor") == "ALL_TEXT",
    )


def _opaque(own: Json, what: str) -> tuple[int, int, int, int]:
    """The colour of a background or shadow, of which nothing is seen where no opacity is set."""
    name = own.get(f"{what}Color")
    return _named(name, "BLACK", 0 if name == "NONE" else own.get(f"{what}Opacity", 0))


def _chosen(name: str | None, opacity: int) -> tuple[int, int, int, int] | None:
    """The colour of letters; None where the job has none of its own."""
    return None if name in (None, "AUTO") else _named(name, "WHITE", opacity)


def _named(name: str | None, default: str, opacity: int) -> tuple[int, int, int, int]:
    return _rgba(COLOURS[default if name in (None, "AUTO", "NONE") else str(name)], opacity)


def _rgba(hexadecimal: str, opacity: int) -> tuple[int, int, int, int]:
    red, green, blue, *alpha = bytes.fromhex(hexadecimal)
    return red, green, blue, alpha[0] if alpha else opacity


def sidecar(path: str, group: str, output: Json, selectors: Collection[str]) -> Caption:
    """Read the captions of an output that has nothing else. Raises SettingRefused."""
    inner = f"{path}.captionDescriptions"
    described = output["CaptionDescriptions"]
    if len(described) != 1:
        raise SettingRefused(inner, f"each track of captions needs an output of its own, got {len(described)}")
    caption = _read(f"{inner}[0]", described[0], selectors)
    if caption.kind not in _TAKEN.get(group, ()):
        taken = " or ".join(_TAKEN.get(group, ())) or "no captions"
        raise SettingRefused(
            f"{inner}[0].destinationSettings.destinationType", f"a {group} takes {taken}, got {caption.kind}"
        )
    mpd = (output.get("ContainerSettings") or {}).get("MpdSettings") or {}
    fragmented = group == CMAF or (group == DASH and mpd.get("CaptionContainerType") == "FRAGMENTED_MP4")
    extension = {CMAF: "cmft", DASH: "mp4"}.get(group, "") if fragmented else _EXTENSIONS[caption.kind]
    extension = "ismt" if group == SMOOTH else extension
    return Caption(**{**vars(caption), "fragmented": fragmented, "extension": extension})


def _read(path: str, described: Json, selectors: Collection[str]) -> Caption:
    name = described.get("CaptionSelectorName") or ""
    if name not in selectors:
        raise SettingRefused(f"{path}.captionSelectorName", f"no input has a caption selector named {name[:64]!r}")
    destination = described.get("DestinationSettings") or {}
    kind = destination.get("DestinationType") or "EMBEDDED"
    member = _MEMBERS[kind]
    own = destination.get(f"{member}DestinationSettings") or {}
    # IMSC keeps styles unless told otherwise, the others only when told so; SCC and SMI are not asked.
    passes = own.get("StylePassthrough") or ("ENABLED" if kind in ("IMSC", "SCC", "SMI") else "DISABLED")
    language = described.get("CustomLanguageCode") or described.get("LanguageCode")
    return Caption(
        path,
        name,
        kind,
        "",
        fragmented=False,
        styled=passes != "DISABLED",
        accessible=own.get("Accessibility") == "ENABLED",
        language=shortest(language) if language else None,
        label=described.get("LanguageDescription"),
        style=tuple(_style(own)) if kind == "TTML" else (),
        scc=_SCC_RATES[own.get("Framerate", "FRAMERATE_29_97_NON_DROPFRAME")] if kind == "SCC" else None,
    )


def _style(own: Json) -> list[tuple[str, str]]:
    found = [(name, own[member].lower()) for member, name in _FONT.items() if own.get(member)]
    if own.get("FontColor") not in (None, "AUTO"):
        found.append(("color", _colour(own["FontColor"], own.get("FontOpacity", 255))))
    if own.get("BackgroundColor") not in (None, "AUTO", "NONE"):
        found.append(("backgroundColor", _colour(own["BackgroundColor"], own.get("BackgroundOpacity", 255))))
    if own.get("FontSize"):
        found.append(("fontSize", f"{own['FontSize']}px"))
    return found


COLOURS = {
    "WHITE": "ffffff", "BLACK": "000000", "YELLOW": "ffff00", "RED": "ff0000", "GREEN": "00ff00", "BLUE": "0000ff",
}  # fmt: skip


def _colour(name: str, opacity: int) -> str:
    return f"#{COLOURS[name]}{opacity:02x}"
