"""Makes an additional manifest of a DASH or CMAF group from its main one, by leaving outputs out. Pure.

Works on what the packager wrote, where files still have the labels of their outputs as names.
Source: botocore's DashAdditionalManifest and CmafAdditionalManifest; RFC 8216; ISO/IEC 23009-1.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from lxml import etree

_MPD = "{urn:mpeg:dash:schema:mpd:2011}"
_LABEL = re.compile(r"g\d+o\d+")


def of_playlist(multivariant: str, labels: Collection[str]) -> str:
    """The multivariant playlist with the variants and renditions of some outputs alone."""
    kept: list[str] = []
    lines = iter(multivariant.splitlines())
    for line in lines:
        if line.startswith("#EXT-X-STREAM-INF:"):
            uri = next(lines)
            kept += [line, uri] if _chosen(uri, labels) else []
        elif not line.startswith(("#EXT-X-MEDIA:", "#EXT-X-I-FRAME-STREAM-INF:")) or _chosen(line, labels):
            kept.append(line)
    groups = {found[1] for line in kept if (found := re.search(r'^#EXT-X-MEDIA:.*GROUP-ID="([^"]*)"', line))}
    return "\n".join(_without_groups(line, groups) for line in kept) + "\n"


def _chosen(text: str, labels: Collection[str]) -> bool:
    found = re.search(r'URI="([^"]*)"', text)
    label = _LABEL.match(found[1] if found else text)
    return label is not None and label[0] in labels


def _without_groups(line: str, groups: Collection[str]) -> str:
    """A variant must not name a group that is not there (RFC 8216, 4.3.4.2)."""
    if not line.startswith("#EXT-X-STREAM-INF:"):
        return line
    return re.sub(r',(AUDIO|SUBTITLES)="([^"]*)"', lambda found: found[0] if found[2] in groups else "", line)


def of_mpd(mpd: bytes, labels: Collection[str]) -> bytes:
    """The MPD with the Representations of some outputs alone."""
    root = etree.fromstring(mpd, etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False))
    for adaptation in list(root.iter(f"{_MPD}AdaptationSet")):
        for representation in adaptation.findall(f"{_MPD}Representation"):
            template = representation.find(f"{_MPD}SegmentTemplate")
            name = representation.findtext(f"{_MPD}BaseURL") if template is None else template.get("initialization")
            label = _LABEL.match(name or "")
            if label is None or label[0] not in labels:
                adaptation.remove(representation)
        parent = adaptation.getparent()
        if parent is not None and adaptation.find(f"{_MPD}Representation") is None:
            parent.remove(adaptation)
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8")
