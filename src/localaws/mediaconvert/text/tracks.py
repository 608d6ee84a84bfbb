"""Caption tracks of segmented groups: what the packager packs, WebVTT segments for HLS, entries in manifests.

Cuts and announces, never converts. The first captions of a group are its default, as AWS has it. Source: RFC 8216 and
draft-pantos-hls-rfc8216bis (EXT-X-MEDIA, WebVTT segments); ISO/IEC 23009-1, 5.8; MediaConvert user guide, "IMSC, TTML,
and WebVTT (sidecar) output captions"; botocore's WebvttDestinationSettings (accessibility);
SCTE 214-1 (Accessibility of EIA-608).
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

from lxml import etree

from localaws.mediaconvert import naming
from localaws.mediaconvert.planning.planned import CaptionOutput, Group, Output
from localaws.mediaconvert.settings.hls import ClosedCaptions, HlsGroup
from localaws.mediaconvert.settings.packaging import CMAF, HLS
from localaws.mediaconvert.text import captions
from penstock.formats import caption_writers, subtitles
from penstock.formats.languages import three_letters

LARGE_S = 300.0
_GROUP_ID = "subs"
_CLOSED_ID = "cc"
_EIA_608 = "urn:scte:dash:cc:cea-608:2015"
_MPD = "urn:mpeg:dash:schema:mpd:2011"
_ROLES = "urn:mpeg:dash:role:2011"
_MIME_TYPES = {"vtt": "text/vtt", "ttml": "application/ttml+xml", "xml": "application/ttml+xml"}
_TRANSCRIBES = "public.accessibility.transcribes-spoken-dialog,public.accessibility.describes-music-and-sound"


def descriptors(group: Group) -> list[str]:
    """Shaka Packager's stream descriptors of the captions that become MP4."""
    return [_descriptor(output, group) for output in group.captions if output.caption.fragmented]


def _descriptor(output: CaptionOutput, group: Group) -> str:
    assert group.packaging is not None
    kind = "vtt+mp4" if output.caption.kind == "WEBVTT" else "ttml+mp4"
    fields = [f"in=/in/encoded/{output.work_file}", "stream=text", f"format={kind}"]
    if group.packaging.single_file:
        fields.append(f"output={output.label}.{output.extension}")
    else:
        fields.append(f"init_segment={output.label}init.{output.extension}")
        fields.append(f"segment_template={output.label}_${output.segments.identifier}$.{output.extension}")
    if group.packaging.encryption is not None:
        fields.append("skip_encryption=1")
    if output.caption.language:
        fields.append(f"language={output.caption.language}")
    if _cut_for_hls(output, group):
        fields.append("dash_only=1")
    elif group.packaging.hls:
        fields += [f"playlist_name={output.label}.m3u8", f"hls_group_id={_GROUP_ID}", f"hls_name={output.label}"]
    return ",".join(fields)


def _cut_for_hls(output: CaptionOutput, group: Group) -> bool:
    """Every HLS player reads WebVTT in segments of text; few read it in MP4."""
    assert group.packaging is not None
    return group.packaging.hls and output.caption.kind == "WEBVTT"


def packed_playlists(group: Group) -> list[str]:
    """The media playlists that the packager writes for captions."""
    assert group.packaging is not None
    return [
        f"{output.label}.m3u8" for output in group.captions if group.packaging.hls and not _cut_for_hls(output, group)
    ]


def names(group: Group) -> dict[str, str]:
    """The work name of each file that is not one of many -> its final suffix."""
    found = {}
    for output in group.captions:
        if output.caption.fragmented:
            found[f"{output.label}init.{output.extension}"] = naming.initialization(output.modifier, output.extension)
        found[f"{output.label}.{output.extension}"] = naming.media_file(output.modifier, output.extension)
        found[f"{output.label}.m3u8"] = naming.playlist(output.modifier)
    return found


def segment_suffix(output: CaptionOutput, group: Group, extension: str, number: int) -> str:
    if group.type == HLS:
        return naming.hls_segment(output.modifier, "", extension, number)
    return output.segments.name(extension, number)


def write_segments(group: Group, encoded: Path, final: Path, durations_s: Sequence[float]) -> None:
    """Cut the WebVTT of a group that has HLS playlists, and write segments and media playlists into `final`.

    durations_s: of the segments of the group's pictures, or its sound.
    """
    for output in group.captions:
        if not _cut_for_hls(output, group):
            continue
        lengths_s = durations_s if group.type == CMAF or output.caption.match_video else _large(durations_s)
        cues = subtitles.parse_webvtt((encoded / f"{output.label}.vtt").read_bytes())
        begins_s, references = 0.0, []
        for number, length_s in enumerate(lengths_s, start=1):
            shown = captions.within(cues, begins_s, begins_s + length_s)
            text = caption_writers.build_webvtt(shown, clock_zero_s=_clock_zero_s(group))
            (final / f"{output.label}_{number:09d}.vtt").write_text(text, encoding="utf-8")
            suffix = segment_suffix(output, group, "vtt", number)
            references.append(group.reference(suffix, naming.playlist(output.modifier)))
            begins_s += length_s
        (final / f"{output.label}.m3u8").write_text(_playlist(references, lengths_s), encoding="utf-8")


def _large(durations_s: Sequence[float]) -> list[float]:
    whole, rest = divmod(sum(durations_s), LARGE_S)
    return [LARGE_S] * int(whole) + ([rest] if rest > 1e-3 else [])


def _clock_zero_s(group: Group) -> Fraction:
    streams = [output.hls.stream for output in group.outputs if output.hls is not None]
    return next((stream.start_s for stream in streams if stream is not None), Fraction(0))


def _playlist(references: Sequence[str], lengths_s: Sequence[float]) -> str:
    target = max(1, math.ceil(max(lengths_s, default=0.0) - 1e-3))
    lines = ["#EXTM3U", "#EXT-X-VERSION:3", f"#EXT-X-TARGETDURATION:{target}", "#EXT-X-MEDIA-SEQUENCE:1"]
    lines.append("#EXT-X-PLAYLIST-TYPE:VOD")
    for reference, length_s in zip(references, lengths_s, strict=True):
        lines += [f"#EXTINF:{length_s:.6f},", reference]
    return "\n".join([*lines, "#EXT-X-ENDLIST"]) + "\n"


def durations(playlist: str) -> list[float]:
    """The lengths of a media playlist's segments in seconds."""
    return [float(found) for found in re.findall(r"#EXTINF:([0-9.]+)", playlist)]


def announce(multivariant: str, group: Group) -> str:
    """Name the captions of a group in its multivariant playlist, and give them to every variant."""
    if not group.captions:
        return multivariant
    entries = [_entry(output, group, default=output is group.captions[0]) for output in group.captions]
    lines: list[str] = []
    for line in multivariant.splitlines():
        if line.startswith("#EXT-X-MEDIA:TYPE=SUBTITLES"):
            continue
        if line.startswith("#EXT-X-STREAM-INF:"):
            if entries:
                lines, entries = [*lines, *entries], []
            line = re.sub(r',SUBTITLES="[^"]*"', "", line) + f',SUBTITLES="{_GROUP_ID}"'
        lines.append(line)
    return "\n".join(lines) + "\n"


def announce_embedded(multivariant: str, hls: HlsGroup) -> str:
    """Tell every variant which captions its pictures hold, or that they hold none."""
    if hls.closed_captions == ():
        return multivariant
    told = "NONE" if hls.closed_captions is None else f'"{_CLOSED_ID}"'
    entries = [_closed(one, first=place == 0) for place, one in enumerate(hls.closed_captions or ())]
    lines: list[str] = []
    for line in multivariant.splitlines():
        if line.startswith("#EXT-X-STREAM-INF:"):
            lines, entries = [*lines, *entries], []
            # Pictures hold captions, sound alone does not.
            line += f",CLOSED-CAPTIONS={told}" if "FRAME-RATE=" in line or told == "NONE" else ""
        lines.append(line)
    return "\n".join(lines) + "\n"


def _closed(captions: ClosedCaptions, first: bool) -> str:
    name = re.sub(r'["\r\n]', "'", captions.label or captions.language or captions.channel)
    fields = ["TYPE=CLOSED-CAPTIONS", f'GROUP-ID="{_CLOSED_ID}"', f'NAME="{name}"']
    if captions.language:
        fields.append(f'LANGUAGE="{captions.language}"')
    fields += [f"DEFAULT={'YES' if first else 'NO'}", "AUTOSELECT=YES", f'INSTREAM-ID="{captions.channel}"']
    return f"#EXT-X-MEDIA:{','.join(fields)}"


def _entry(output: CaptionOutput, group: Group, default: bool) -> str:
    caption = output.caption
    name = re.sub(r'["\r\n]', "'", caption.label or caption.language or "Captions")
    fields = ["TYPE=SUBTITLES", f'GROUP-ID="{_GROUP_ID}"', f'NAME="{name}"']
    if caption.language:
        fields.append(f'LANGUAGE="{caption.language}"')
    fields += [f"DEFAULT={'YES' if default else 'NO'}", "AUTOSELECT=YES", "FORCED=NO"]
    if caption.accessible:
        fields.append(f'CHARACTERISTICS="{_TRANSCRIBES}"')
    playlist = group.reference(naming.playlist(output.modifier))
    return f"#EXT-X-MEDIA:{','.join([*fields, f'URI={chr(34)}{playlist}{chr(34)}'])}"


def describe(mpd: bytes, group: Group) -> bytes:
    """Name the captions of a group in its MPD: those that lie beside it as one file, and what each is for."""
    hinting = [output for output in group.outputs if output.caption_hints and output.embedded]
    if not group.captions and not hinting:
        return mpd
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, remove_blank_text=True)
    root = etree.fromstring(mpd, parser)
    period = root.find(f"{{{_MPD}}}Period")
    assert period is not None
    for pictures in hinting:
        _hint(_packed(period, pictures, group), pictures)
    for output in group.captions:
        adaptation = _packed(period, output, group) if output.caption.fragmented else _beside(period, output, group)
        for role in adaptation.findall(f"{{{_MPD}}}Role"):
            adaptation.remove(role)
        kind, value = ("Accessibility", "caption") if output.caption.accessible else ("Role", "subtitle")
        adaptation.insert(0, etree.Element(f"{{{_MPD}}}{kind}", {"schemeIdUri": _ROLES, "value": value}))
        if output.caption.label:
            label = etree.Element(f"{{{_MPD}}}Label")
            label.text = output.caption.label
            adaptation.insert(1, label)
    etree.indent(root)
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8")


def _hint(adaptation: etree._Element, output: Output) -> None:
    """Tell of EIA-608 captions in the pictures, once for all qualities of a set."""
    if adaptation.find(f"{{{_MPD}}}Accessibility[@schemeIdUri='{_EIA_608}']") is None:
        channels = [f"CC{one.channel}={three_letters(one.language or 'und')}" for one in output.embedded]
        hint = etree.Element(f"{{{_MPD}}}Accessibility", {"schemeIdUri": _EIA_608, "value": ";".join(channels)})
        adaptation.insert(0, hint)


def _packed(period: etree._Element, output: Output | CaptionOutput, group: Group) -> etree._Element:
    """The AdaptationSet that the packager made: the one that names a file of the output."""
    wanted = {
        group.reference(suffix)
        for suffix in (
            naming.media_file(output.modifier, output.extension),
            naming.initialization(output.modifier, output.extension).replace("$", "$$"),
        )
    }
    for adaptation in period.iter(f"{{{_MPD}}}AdaptationSet"):
        templates = [one.get("initialization") for one in adaptation.iter(f"{{{_MPD}}}SegmentTemplate")]
        files = [one.text for one in adaptation.iter(f"{{{_MPD}}}BaseURL")]
        if wanted & {*templates, *files}:
            return adaptation
    raise AssertionError("the packager left captions out of the MPD")


def _beside(period: etree._Element, output: CaptionOutput, group: Group) -> etree._Element:
    known = [int(one.get("id", "0")) for one in period.iter() if one.get("id", "").isdigit()]
    attributes = {"id": str(max(known, default=0) + 1), "contentType": "text"}
    attributes["mimeType"] = _MIME_TYPES[output.extension]
    if output.caption.language:
        attributes["lang"] = output.caption.language
    adaptation = etree.SubElement(period, f"{{{_MPD}}}AdaptationSet", attributes)
    representation = etree.SubElement(
        adaptation, f"{{{_MPD}}}Representation", {"id": output.label, "bandwidth": "1000"}
    )
    suffix = naming.media_file(output.modifier, output.extension)
    etree.SubElement(representation, f"{{{_MPD}}}BaseURL").text = group.reference(suffix)
    return adaptation
