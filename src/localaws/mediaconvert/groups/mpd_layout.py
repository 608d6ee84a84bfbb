"""Lays out the MPD that the packager wrote as the group's settings ask: where times stand, and how channels are told.

Pure. Source: ISO/IEC 23009-1, 5.3.9 (what a SegmentTemplate inherits), 5.8.5.4 (AudioChannelConfiguration);
ISO/IEC 23001-8, ChannelConfiguration; ETSI TS 102 366, I.1.2.1 (Dolby's channel bits); botocore's DashIsoGroupSettings.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from fractions import Fraction

from lxml import etree

from localaws.mediaconvert.settings.dash import DashGroup

_MPD = "{urn:mpeg:dash:schema:mpd:2011}"
_TIMES = ("timescale", "startNumber", "presentationTimeOffset")
_SCHEMES = {
    "MPEG_CHANNEL_CONFIGURATION": (
        "urn:mpeg:mpegB:cicp:ChannelConfiguration",
        {"1": "1", "2": "2", "6": "6", "8": "12"},
    ),
    "DOLBY_CHANNEL_CONFIGURATION": (
        "tag:dolby.com,2014:dash:audio_channel_configuration:2011",
        {"1": "4000", "2": "A000", "6": "F801", "8": "FA01"},
    ),
}


def apply(mpd: bytes, asked: DashGroup, segment_s: Fraction) -> bytes:
    """The MPD in the style that is asked for. segment_s: the length that approximate durations tell."""
    root = etree.fromstring(mpd, etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False))
    if asked.style == "DISTINCT":
        for adaptation in list(root.iter(f"{_MPD}AdaptationSet")):
            _split_by_rate(adaptation)
    for adaptation in root.iter(f"{_MPD}AdaptationSet"):
        if asked.style == "FULL" or (asked.style in ("COMPACT", "DISTINCT") and _is_video(adaptation)):
            _share_times(adaptation)
        if not asked.exact:
            _approximate(adaptation, segment_s)
        if asked.channel_scheme is not None:
            _tell_channels(adaptation, asked.channel_scheme)
    _number(root)
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8")


def _is_video(adaptation: etree._Element) -> bool:
    return adaptation.get("contentType") == "video"


def _split_by_rate(adaptation: etree._Element) -> None:
    """One AdaptationSet for each frame rate, in the order in which rates appear."""
    representations = adaptation.findall(f"{_MPD}Representation")
    shared = adaptation.get("frameRate")
    rates: dict[Fraction, list[etree._Element]] = {}
    for representation in representations:
        rates.setdefault(Fraction(representation.get("frameRate") or shared or "0"), []).append(representation)
    parent = adaptation.getparent()
    if not _is_video(adaptation) or len(rates) < 2 or parent is None:
        return
    for representation in representations:
        adaptation.remove(representation)
    place = parent.index(adaptation)
    parent.remove(adaptation)
    for offset, (rate, members) in enumerate(rates.items()):
        one = copy.deepcopy(adaptation)
        one.attrib.pop("maxFrameRate", "")
        one.set("frameRate", str(rate))
        for member in members:
            member.attrib.pop("frameRate", "")
            one.append(member)
        parent.insert(place + offset, one)


def _share_times(adaptation: etree._Element) -> None:
    """Move the times that Representations have in common up to their AdaptationSet; one that differs keeps its own."""
    templates = [
        template
        for representation in adaptation.findall(f"{_MPD}Representation")
        if (template := representation.find(f"{_MPD}SegmentTemplate")) is not None
    ]
    common = _most_common(templates)
    if common is None:
        return
    shared = etree.Element(
        f"{_MPD}SegmentTemplate", {name: common.get(name, "") for name in _TIMES if common.get(name)}
    )
    shared.extend(copy.deepcopy(common.findall(f"{_MPD}SegmentTimeline")))
    wanted = _times(common)
    for template in templates:
        if _times(template) == wanted:
            for name in _TIMES:
                template.attrib.pop(name, "")
            _without_timeline(template)
    first = adaptation.find(f"{_MPD}Representation")
    assert first is not None
    adaptation.insert(adaptation.index(first), shared)


def _most_common(templates: Sequence[etree._Element]) -> etree._Element | None:
    timed = [template for template in templates if template.find(f"{_MPD}SegmentTimeline") is not None]
    return max(timed, key=lambda template: [_times(one) for one in timed].count(_times(template)), default=None)


def _times(template: etree._Element) -> tuple[object, ...]:
    timeline = template.find(f"{_MPD}SegmentTimeline")
    runs = () if timeline is None else tuple(tuple(sorted(run.attrib.items())) for run in timeline)
    return (*(template.get(name) for name in _TIMES), runs)


def _approximate(adaptation: etree._Element, segment_s: Fraction) -> None:
    """In Representations the length of segments takes the place of their times."""
    for representation in adaptation.findall(f"{_MPD}Representation"):
        template = representation.find(f"{_MPD}SegmentTemplate")
        if template is not None and template.find(f"{_MPD}SegmentTimeline") is not None:
            template.set("duration", str(round(segment_s * int(template.get("timescale", "1")))))
            _without_timeline(template)


def _without_timeline(template: etree._Element) -> None:
    for timeline in template.findall(f"{_MPD}SegmentTimeline"):
        template.remove(timeline)
    template.text = None


def _tell_channels(adaptation: etree._Element, scheme: str) -> None:
    uri, values = _SCHEMES[scheme]
    for element in adaptation.iter(f"{_MPD}AudioChannelConfiguration"):
        # Dolby's own codecs are told in Dolby's bits already.
        told = element.get("value", "")
        if told in values:
            element.set("value", values[told])
            element.set("schemeIdUri", uri)


def _number(root: etree._Element) -> None:
    """AdaptationSet ids are unique in their Period; trick play names the set that it belongs to by id."""
    for period in root.iter(f"{_MPD}Period"):
        taken: set[str] = set()
        sets = period.findall(f"{_MPD}AdaptationSet")
        free = (str(number) for number in range(2 * len(sets) + 1))
        named = {one.get("id") for one in sets}
        for adaptation in sets:
            if adaptation.get("id") in taken:
                adaptation.set("id", next(number for number in free if number not in named and number not in taken))
            taken.add(adaptation.get("id", ""))
