"""Makes each manifest that a configuration asks for out of the one that the packager wrote. Pure.

Which videos it names and in which order, how its segments are laid out, what viewers are shown as names, and the key
provider's signalling in place of the packager's. Source: ISO/IEC 23009-1; RFC 8216; AWS, "Manifest options".
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import TypeVar

from lxml import etree

from localaws.media import signalling
from localaws.media.keys import Keys
from localaws.media.signalling import AlternativeAudio
from localaws.mediapackage_vod.configurations import Manifest, Package
from localaws.mediapackage_vod.tracks import Source, Track

_MPD = "urn:mpeg:dash:schema:mpd:2011"
_KEY = "#EXT-X-KEY:"
_AUDIO = "#EXT-X-MEDIA:TYPE=AUDIO"

T = TypeVar("T")


class NothingSelected(Exception):
    """No video is left by a manifest's stream selection."""

    def __init__(self, manifest: Manifest) -> None:
        super().__init__(
            f"no video of the source has {manifest.min_bps} to {manifest.max_bps} bit/s, as the stream selection of "
            f"manifest {manifest.name!r} asks"
        )


def mpd(written: bytes, package: Package, manifest: Manifest, source: Source, keys: Keys | None) -> bytes:
    """The DASH manifest `manifest`. Raises NothingSelected; JobError 1091 for signalling that cannot be used."""
    if keys is not None and package.encryption is not None:
        written = signalling.signal_in_mpd(written, keys, package.encryption.dash_systems)
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, remove_comments=True,
                             remove_blank_text=True)  # fmt: skip
    root = etree.fromstring(written, parser)
    names = {track.label: track for track in source.tracks}
    for adaptation in list(root.iter(f"{{{_MPD}}}AdaptationSet")):
        _name_representations(adaptation)
        _show_name(adaptation, names)
        if adaptation.get("contentType") == "video":
            _select(adaptation, manifest)
        if adaptation.get("frameRate"):
            adaptation.set("frameRate", str(Fraction(adaptation.get("frameRate", "1"))))
        if manifest.compact:
            _compact(adaptation)
    if root.find(f".//{{{_MPD}}}AdaptationSet[@contentType='video']") is None:
        raise NothingSelected(manifest)
    if manifest.min_buffer_s is not None:
        root.set("minBufferTime", f"PT{manifest.min_buffer_s}S")
    etree.indent(root)
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8")


def _name_representations(adaptation: etree._Element) -> None:
    """A Representation is called as its files are, so that templates can be the same for all of a set."""
    for representation in adaptation.findall(f"{{{_MPD}}}Representation"):
        template = representation.find(f"{{{_MPD}}}SegmentTemplate")
        assert template is not None
        label = template.get("initialization", "").removesuffix("_init.mp4")
        representation.set("id", label)
        for attribute in ("initialization", "media"):
            template.set(attribute, template.get(attribute, "").replace(label, "$RepresentationID$", 1))
        if representation.get("frameRate"):
            representation.set("frameRate", str(Fraction(representation.get("frameRate", "1"))))


def _show_name(adaptation: etree._Element, tracks: Mapping[str, Track]) -> None:
    first = adaptation.find(f"{{{_MPD}}}Representation")
    track = tracks.get("" if first is None else first.get("id", ""))
    label = adaptation.find(f"{{{_MPD}}}Label")
    if label is not None and (track is None or not track.name):
        adaptation.remove(label)
    elif label is not None and track is not None:
        label.text = track.name


def _select(adaptation: etree._Element, manifest: Manifest) -> None:
    videos = adaptation.findall(f"{{{_MPD}}}Representation")
    chosen = []
    for video in videos:
        adaptation.remove(video)
        if manifest.min_bps <= int(video.get("bandwidth", "0")) <= manifest.max_bps:
            chosen.append(video)
    if not chosen:
        parent = adaptation.getparent()
        assert parent is not None
        parent.remove(adaptation)
    adaptation.extend(ordered(chosen, [int(video.get("bandwidth", "0")) for video in chosen], manifest,
                               [_number(video.get("id", "")) for video in chosen]))  # fmt: skip


def ordered(items: Sequence[T], rates: Sequence[int], manifest: Manifest, places: Sequence[int]) -> list[T]:
    """Videos as a manifest's stream order asks; places: where each of them stands in the source."""
    keys = [place if manifest.order == "ORIGINAL" else rate for place, rate in zip(places, rates, strict=True)]
    order = sorted(range(len(items)), key=keys.__getitem__, reverse=manifest.order == "VIDEO_BITRATE_DESCENDING")
    return [items[index] for index in order]


def _number(label: str) -> int:
    return int(label.rpartition("_")[2] or 0)


def _compact(adaptation: etree._Element) -> None:
    """One template for the whole set, where all of its Representations are cut at the same times."""
    templates = [
        template
        for representation in adaptation.findall(f"{{{_MPD}}}Representation")
        if (template := representation.find(f"{{{_MPD}}}SegmentTemplate")) is not None
    ]
    if not templates or len({_canonical(template) for template in templates}) > 1:
        return
    shared = copy.deepcopy(templates[0])
    for template in templates:
        parent = template.getparent()
        assert parent is not None
        parent.remove(template)
    first = adaptation.find(f"{{{_MPD}}}Representation")
    assert first is not None
    adaptation.insert(adaptation.index(first), shared)


def _canonical(element: etree._Element) -> bytes:
    return etree.tostring(element, method="c14n")


def media_name(manifest: Manifest, label: str) -> str:
    """A media playlist's file name; each manifest has its own, since what they repeat differs."""
    return f"{manifest.name}_{label}.m3u8"


def multivariant(
    written: str, package: Package, manifest: Manifest, source: Source, rates: Mapping[str, int], keys: Keys | None
) -> str:
    """The multivariant playlist `manifest`. rates: average bit/s of each video, by label. Raises as `mpd` does."""
    shown = [
        AlternativeAudio(track.label, track.name or track.language or "und", default=True)
        for track in source.tracks
        if track.kind != "video"
    ]
    written = signalling.announce_audio(written, shown)
    head: list[str] = []
    variants: list[tuple[str, str, str]] = []
    lines = [line for line in written.splitlines() if line and not line.startswith("## ")]
    if package.muxed:
        lines = [re.sub(r',AUDIO="[^"]*"', "", line) for line in lines if not line.startswith(_AUDIO)]
    for line in lines:
        if line.startswith("#EXT-X-STREAM-INF:"):
            tag = line
        elif line.startswith("#"):
            head.append(re.sub(r'URI="([^"]*)\.m3u8"', lambda found: f'URI="{media_name(manifest, found[1])}"', line))
        else:
            label = line.removesuffix(".m3u8")
            if manifest.min_bps <= rates[label] <= manifest.max_bps:
                variants.append((tag, media_name(manifest, label), label))
    if not variants:
        raise NothingSelected(manifest)
    sorted_variants = ordered(
        variants, [rates[label] for *_, label in variants], manifest, [_number(label) for *_, label in variants]
    )
    text = "\n".join([*head, *(line for tag, uri, _ in sorted_variants for line in (tag, uri))]) + "\n"
    if keys is None or package.encryption is None or package.whole_segments:
        return text
    return signalling.signal_in_multivariant(text, keys, package.encryption.hls_systems)


def media_playlist(written: str, package: Package, manifest: Manifest, track: Track, keys: Keys | None) -> str:
    """A media playlist with the key provider's key tags, repeated before each segment if the manifest wants that."""
    text = "\n".join(line for line in written.splitlines() if not line.startswith("## ")) + "\n"
    if keys is None or package.encryption is None:
        return text
    key = keys.labelled(package.track_type(track))
    if package.whole_segments:
        if key is None or track.kind == "text":
            return text
        lines = text.splitlines()
        place = next(index for index, line in enumerate(lines) if line.startswith("#EXTINF:"))
        tags = [line for system in key.systems for line in (system.hls_media or "").splitlines() if line.strip()]
        text = "\n".join([*lines[:place], *tags, *lines[place:]]) + "\n"
    else:
        text = signalling.signal_in_media_playlist(text, package.encryption, key)
    return _repeated(text) if manifest.repeat_keys else text


def _repeated(playlist: str) -> str:
    tags: list[str] = []
    lines: list[str] = []
    fresh = True
    for line in playlist.splitlines():
        if line.startswith(_KEY):
            tags.append(line)
            fresh = True
        elif line.startswith("#EXTINF:"):
            if not fresh:
                lines += tags
            fresh = False
        lines.append(line)
    return "\n".join(lines) + "\n"
