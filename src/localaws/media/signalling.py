"""Puts final file names and the DRM signalling of a CPIX answer into the manifests that the packager wrote. Pure.

The packager works with safe names and signals with its own guesses; what players get is named as MediaConvert names it
and signals what the key provider said. Source: DASH-IF IOP part 6; RFC 8216; SPEKE v2, HLSSignalingData.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from lxml import etree

from localaws.media.encryption import Encryption, StaticKey
from localaws.media.failures import ENCRYPTION, JobError
from localaws.media.keys import Keys, TrackKey
from localaws.media.speke import playlist_method
from penstock.formats import cpix
from penstock.model import KeyId

_MPD = "urn:mpeg:dash:schema:mpd:2011"
_CENC = "urn:mpeg:cenc:2013"
_MP4_PROTECTION = "urn:mpeg:dash:mp4protection:2011"
_SYSTEM_NAMES = {
    "edef8ba9-79d6-4ace-a3c8-27dcd51d21ed": "Widevine",
    "9a04f079-9840-4286-ab92-e65be0885f95": "MSPR 2.0",
    "e2719d58-a985-b3c9-781a-b030af78d30e": "ClearKey1.0",
}
_IV = re.compile(r",IV=0[xX]([0-9a-fA-F]{32})")
_KEY_TAGS = ("#EXT-X-KEY:", "#EXT-X-SESSION-KEY:")


@dataclass(frozen=True)
class AlternativeAudio:
    """How an audio playlist is announced: `label` is its name in the packager's output.

    automatic: whether players may choose it by themselves.
    """

    label: str
    name: str
    default: bool
    automatic: bool = True


def rename_in_mpd(mpd: bytes, references: Mapping[str, str], templates: Mapping[str, str]) -> bytes:
    """Give files their final names.

    references: whole file name -> percent-encoded relative reference. templates: what a template of the packager begins
    with -> the final one without extension.
    """
    root = _parse(mpd)
    for template in root.iter(f"{{{_MPD}}}SegmentTemplate"):
        template.set("initialization", references[template.get("initialization", "")].replace("$", "$$"))
        prefix, _, rest = template.get("media", "").partition("_$")
        template.set("media", templates[prefix] + rest.partition("$")[2])
    for base in root.iter(f"{{{_MPD}}}BaseURL"):
        base.text = references[base.text or ""]
    for element in root.iter(f"{{{_MPD}}}AdaptationSet", f"{{{_MPD}}}Representation"):
        # The packager writes 12800/512; AWS and every reader's eye expect 25.
        if element.get("frameRate"):
            element.set("frameRate", str(Fraction(element.get("frameRate", "1"))))
    return _write(root)


def base_url_in_mpd(mpd: bytes, base_url: str) -> bytes:
    """Say where the files of the manifest are, for all of it (ISO/IEC 23009-1, 5.6)."""
    root = _parse(mpd)
    element = etree.Element(f"{{{_MPD}}}BaseURL")
    element.text = base_url
    root.insert(0, element)
    return _write(root)


def signal_in_mpd(mpd: bytes, keys: Keys, systems: Iterable[str]) -> bytes:
    """Replace the packager's ContentProtection by what the key provider sent for `systems`, key by key."""
    root = _parse(mpd)
    wanted = list(systems)
    for parent in list(root.iter(f"{{{_MPD}}}AdaptationSet", f"{{{_MPD}}}Representation")):
        given = parent.findall(f"{{{_MPD}}}ContentProtection")
        if not given:
            continue
        common = next(element for element in given if element.get("schemeIdUri") == _MP4_PROTECTION)
        track = keys.of(KeyId.from_uuid(common.get(f"{{{_CENC}}}default_KID", "")))
        assert track is not None
        for element in given:
            if element is not common:
                parent.remove(element)
        place = parent.index(common)
        for offset, system in enumerate(_chosen(track, wanted), start=1):
            parent.insert(place + offset, _content_protection(system))
    return _write(root)


def _chosen(track: TrackKey, wanted: Sequence[str]) -> list[cpix.DrmSystem]:
    by_id = {str(system.system_id): system for system in track.systems}
    return [by_id[system] for system in wanted if system in by_id]


def _content_protection(system: cpix.DrmSystem) -> etree._Element:
    element = etree.Element(f"{{{_MPD}}}ContentProtection", nsmap={"cenc": _CENC})
    element.set("schemeIdUri", f"urn:uuid:{system.system_id}")
    name = _SYSTEM_NAMES.get(str(system.system_id))
    if name:
        element.set("value", name)
    if system.content_protection_data:
        _fill(element, system.content_protection_data)
    elif system.pssh:
        etree.SubElement(element, f"{{{_CENC}}}pssh").text = base64.b64encode(system.pssh).decode()
    return element


def _fill(element: etree._Element, data: str) -> None:
    """ContentProtectionData is a run of elements without a root of its own."""
    try:
        holder = _parse(f'<holder xmlns="{_MPD}" xmlns:cenc="{_CENC}">{_without_declaration(data)}</holder>'.encode())
    except etree.XMLSyntaxError as exc:
        raise JobError(ENCRYPTION, "the key provider's ContentProtectionData is not XML") from exc
    # A whole ContentProtection element is taken for its children: some providers send it so.
    inner = list(holder)
    if len(inner) == 1 and etree.QName(inner[0]).localname == "ContentProtection":
        inner = list(inner[0])
    element.extend(inner)


def _without_declaration(data: str) -> str:
    if re.search(r"<!(DOCTYPE|ENTITY)", data, re.IGNORECASE):
        raise JobError(ENCRYPTION, "the key provider's ContentProtectionData declares a document type")
    return re.sub(r"^\s*<\?xml[^>]*\?>", "", data)


def rename_in_playlist(playlist: str, references: Mapping[str, str], prefixes: Mapping[str, str]) -> str:
    """Give every URI in a multivariant or media playlist its final name."""

    def final(name: str) -> str:
        if name in references:
            return references[name]
        prefix, separator, rest = name.rpartition("_")
        return prefixes[prefix] + separator + rest

    lines = []
    for line in playlist.splitlines():
        if line.startswith("## Generated with"):
            continue
        if line and not line.startswith("#"):
            line = final(line)
        elif line.startswith(("#EXT-X-MAP:", "#EXT-X-MEDIA:", "#EXT-X-I-FRAME-STREAM-INF:")):
            line = re.sub(r'URI="([^"]*)"', lambda found: f'URI="{final(found[1])}"', line)
        lines.append(line)
    return "\n".join(lines) + "\n"


def announce_audio(multivariant: str, audios: Sequence[AlternativeAudio]) -> str:
    """Name the audio renditions and say which one plays by itself: one in each group at most."""
    by_label = {audio.label: audio for audio in audios}
    taken: set[str] = set()
    lines = []
    for line in multivariant.splitlines():
        name = re.search(r'NAME="([^"]*)"', line)
        if line.startswith("#EXT-X-MEDIA:") and name and name[1] in by_label:
            audio = by_label[name[1]]
            group = re.search(r'GROUP-ID="([^"]*)"', line)
            default = audio.default and group is not None and group[1] not in taken
            if default and group is not None:
                taken.add(group[1])
            shown = re.sub(r'["\r\n]', "'", audio.name)
            line = line.replace(name[0], f'NAME="{shown}"')
            chosen = f"DEFAULT={'YES' if default else 'NO'},AUTOSELECT={'YES' if audio.automatic else 'NO'}"
            line = re.sub(r"DEFAULT=(YES|NO)(,AUTOSELECT=(YES|NO))?", chosen, line)
        lines.append(line)
    return "\n".join(lines) + "\n"


def signal_in_media_playlist(playlist: str, encryption: Encryption, track: TrackKey | None) -> str:
    """Replace the packager's EXT-X-KEY lines by those of this track.

    Where there are none for any of the systems, the packager's own stay, which name the key id.
    """
    tags = [] if track is None else key_tags(encryption, track)
    lines: list[str] = []
    placed = False
    # For cenc the packager writes no line of its own.
    if tags and not any(line.startswith(_KEY_TAGS) for line in playlist.splitlines()):
        playlist = _before_segment(playlist, encryption.clear_segments, _KEY_TAGS[0])
    for line in playlist.splitlines():
        if not line.startswith(_KEY_TAGS):
            lines.append(line)
        elif not tags:
            lines.append(line if encryption.iv_in_manifest else _without_iv(line))
        elif not placed:
            lines += tags
            placed = True
    return "\n".join(lines) + "\n"


def key_tags(encryption: Encryption, track: TrackKey) -> list[str]:
    """EXT-X-KEY lines of a track: as the settings say for a static key, else the key provider's for the HLS systems.

    A constant IV is added where the settings want it in playlists and the key provider has named none.
    Raises JobError 1091 for a line of the key provider that is no key tag.
    """
    if encryption.static is not None:
        tags = [_static_tag(encryption, encryption.static)]
    else:
        chosen = _chosen(track, encryption.hls_systems)
        tags = [line for system in chosen if system.hls_media for line in _tags(system.hls_media)]
    if not encryption.iv_in_manifest:
        return [_without_iv(tag) for tag in tags]
    if encryption.constant_iv is not None:
        tags = [tag if _IV.search(tag) else f"{tag},IV=0x{encryption.constant_iv}" for tag in tags]
    return tags


def segment_iv(encryption: Encryption, tags: Iterable[str]) -> bytes | None:
    """The IV of whole segments: what their key tag names, else the constant one; None for the sequence number's."""
    named = next((found[1] for tag in tags if (found := _IV.search(tag))), encryption.constant_iv)
    return None if named is None else bytes.fromhex(named)


def _before_segment(playlist: str, number: int, line: str) -> str:
    """Put a line before a segment, counted from 0; nowhere where there are fewer."""
    lines = playlist.splitlines()
    starts = [index for index, one in enumerate(lines) if one.startswith("#EXTINF:")]
    if number < len(starts):
        lines.insert(starts[number], line)
    return "\n".join(lines) + "\n"


def _static_tag(encryption: Encryption, static: StaticKey) -> str:
    fields = [f"METHOD={playlist_method(encryption)}", f'URI="{static.url}"']
    if static.key_format:
        fields.append(f'KEYFORMAT="{static.key_format}"')
    if static.key_format_versions:
        fields.append(f'KEYFORMATVERSIONS="{static.key_format_versions}"')
    return f"#EXT-X-KEY:{','.join(fields)}"


def _without_iv(tag: str) -> str:
    return _IV.sub("", tag)


def signal_in_multivariant(multivariant: str, keys: Keys, systems: Iterable[str]) -> str:
    """Add the key provider's EXT-X-SESSION-KEY lines, which let a player ask for licenses before it picks a variant."""
    wanted = list(systems)
    tags = dict.fromkeys(
        line
        for track in keys.tracks
        for system in _chosen(track, wanted)
        if system.hls_master
        for line in _tags(system.hls_master)
    )
    lines = [line for line in multivariant.splitlines() if not line.startswith(_KEY_TAGS)]
    place = next((index for index, line in enumerate(lines) if line.startswith(("#EXT-X-MEDIA:", "#EXT-X-STREAM"))), 1)
    return "\n".join([*lines[:place], *tags, *lines[place:]]) + "\n"


def _tags(text: str) -> list[str]:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    for line in lines:
        if not line.startswith(_KEY_TAGS):
            raise JobError(ENCRYPTION, "the key provider's HLSSignalingData holds a line that is no key tag")
    return lines


def _parse(xml: bytes) -> etree._Element:
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, remove_comments=True)
    return etree.fromstring(xml, parser)


def _write(root: etree._Element) -> bytes:
    etree.indent(root)
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8")
