"""Manifests of Smooth Streaming: the client manifest that players read, and the server manifest that names the files.

Knows nothing of live presentations. The same streams give the same text.
Source: [MS-SSTR] 2.2.2 (client manifest), 2.2.3 (fragment request); Microsoft, "IIS Smooth Streaming On-Demand Server
Manifest Format"; ISO/IEC 14496-15, 5.3.3 (avcC) and 8.3.3 (hvcC).
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from lxml import etree

from penstock.errors import ManifestError
from penstock.formats.movie import Track, audio_specific_config, configuration, unpack
from penstock.formats.piff import TIMESCALE

Kind = Literal["video", "audio", "text"]
Encoding = Literal["UTF-8", "UTF-16"]
_START_CODE = b"\0\0\0\1"
_RAW_AAC = 255
"""WAVE format tag of AAC without headers (WAVE_FORMAT_RAW_AAC1)."""
_SMIL = "http://www.w3.org/2001/SMIL20/Language"


@dataclass(frozen=True)
class Codec:
    """What a player sets its decoder up with. Sizes in px; `length_bytes`: of the length before each NAL unit."""

    four_cc: str
    private_data: bytes = b""
    width_px: int = 0
    height_px: int = 0
    sample_rate_hz: int = 0
    channels: int = 0
    length_bytes: int = 4


CAPTIONS = Codec("TTML")


@dataclass(frozen=True)
class Level:
    """One quality of a stream; within a stream no two have the same rate."""

    bitrate_bps: int
    codec: Codec


@dataclass(frozen=True)
class Chunk:
    """A fragment as manifests name it, in ticks of TIMESCALE."""

    start: int
    duration: int


@dataclass(frozen=True)
class Stream:
    """Qualities to switch between, all with the same chunks. `name` is what fragments are asked for by."""

    kind: Kind
    name: str
    levels: tuple[Level, ...]
    chunks: tuple[Chunk, ...]
    language: str = ""


@dataclass(frozen=True)
class Protection:
    """A DRM system and its header, for PlayReady a PlayReady Object."""

    system_id: UUID
    header: bytes


def codec(track: Track) -> Codec:
    """Describe a track's decoder. Raises ManifestError for a codec that is not H.264, HEVC or AAC."""
    entry = track.entries[0]
    if entry.codec in ("avc1", "avc3"):
        private, length = _avc(configuration(entry, "vide", "avcC"))
        return Codec("H264", private, entry.width_px, entry.height_px, length_bytes=length)
    if entry.codec in ("hvc1", "hev1"):
        private, length = _hevc(configuration(entry, "vide", "hvcC"))
        return Codec(entry.codec.upper(), private, entry.width_px, entry.height_px, length_bytes=length)
    if entry.codec == "mp4a" and (config := audio_specific_config(entry)):
        # Its first five bits: spectral band replication, or that with parametric stereo (ISO/IEC 14496-3, 1.5.1).
        four_cc = "AACH" if config[0] >> 3 in (5, 29) else "AACL"
        return Codec(four_cc, config, sample_rate_hz=entry.sample_rate_hz, channels=entry.channels)
    raise ManifestError(f"Smooth Streaming carries H.264, HEVC and AAC here, got {entry.codec}")


def _avc(config: bytes) -> tuple[bytes, int]:
    units: list[bytes] = []
    at = 5
    for mask in (0x1F, 0xFF):  # counts of sequence and of picture parameter sets
        [count] = unpack(">B", config, at, "avcC")
        at += 1
        for _ in range(count & mask):
            at = _take(config, at, units, "avcC")
    return _annex_b(units), (config[4] & 3) + 1


def _hevc(config: bytes) -> tuple[bytes, int]:
    units: list[bytes] = []
    [arrays] = unpack(">B", config, 22, "hvcC")
    at = 23
    for _ in range(arrays):
        _, count = unpack(">BH", config, at, "hvcC")
        at += 3
        for _ in range(count):
            at = _take(config, at, units, "hvcC")
    return _annex_b(units), (config[21] & 3) + 1


def _take(config: bytes, at: int, units: list[bytes], where: str) -> int:
    [length] = unpack(">H", config, at, where)
    units.append(config[at + 2 : at + 2 + length])
    return at + 2 + length


def _annex_b(units: Sequence[bytes]) -> bytes:
    return b"".join(_START_CODE + unit for unit in units)


def distinct_rates(rates_bps: Sequence[int]) -> list[int]:
    """Rates by which qualities can be asked for: those that are taken go up by one."""
    found: list[int] = []
    for rate in rates_bps:
        rate = max(1, rate)
        while rate in found:
            rate += 1
        found.append(rate)
    return found


def client_manifest(
    streams: Sequence[Stream], protection: Sequence[Protection] = (), encoding: Encoding = "UTF-8"
) -> bytes:
    """Write the manifest that players read.

    Raises ManifestError for a stream without chunks or qualities, and for two of one name.
    """
    names = [stream.name for stream in streams]
    if len(set(names)) < len(names) or not names:
        raise ManifestError(f"each stream needs a name of its own, got {', '.join(names) or 'none'}")
    for stream in streams:
        if not stream.chunks or not stream.levels:
            raise ManifestError(f"the stream {stream.name} has no fragments")
    end = max(stream.chunks[-1].start + stream.chunks[-1].duration for stream in streams)
    root = etree.Element("SmoothStreamingMedia", _text(MajorVersion=2, MinorVersion=2, TimeScale=TIMESCALE))
    root.set("Duration", str(end))
    for stream in streams:
        _add_stream(root, stream)
    if protection:
        around = etree.SubElement(root, "Protection")
        for one in protection:
            header = etree.SubElement(around, "ProtectionHeader", SystemID=str(one.system_id).upper())
            header.text = b64encode(one.header).decode("ascii")
    return _written(root, encoding)


def _add_stream(root: etree._Element, stream: Stream) -> None:
    element = etree.SubElement(root, "StreamIndex", _text(Type=stream.kind, Name=stream.name))
    if stream.kind == "text":
        element.set("Subtype", "SUBT")
    if stream.language:
        element.set("Language", stream.language)
    counts = {"TimeScale": TIMESCALE, "Chunks": len(stream.chunks), "QualityLevels": len(stream.levels)}
    for name, value in counts.items():
        element.set(name, str(value))
    if stream.kind == "video":
        for side in ("Width", "Height"):
            largest = max(getattr(level.codec, f"{side.lower()}_px") for level in stream.levels)
            element.set(f"Max{side}", str(largest))
            element.set(f"Display{side}", str(largest))
    element.set("Url", f"QualityLevels({{bitrate}})/Fragments({stream.name}={{start time}})")
    for number, level in enumerate(stream.levels):
        etree.SubElement(element, "QualityLevel", _level(number, stream.kind, level))
    expected = 0
    for number, chunk in enumerate(stream.chunks):
        c = etree.SubElement(element, "c", _text(n=number))
        if chunk.start != expected or not number:
            c.set("t", str(chunk.start))
        c.set("d", str(chunk.duration))
        expected = chunk.start + chunk.duration


def _level(number: int, kind: Kind, level: Level) -> dict[str, str]:
    found = _text(Index=number, Bitrate=level.bitrate_bps, FourCC=level.codec.four_cc)
    if kind == "video":
        found |= _text(MaxWidth=level.codec.width_px, MaxHeight=level.codec.height_px)
        if level.codec.length_bytes != 4:
            found |= _text(NALUnitLengthField=level.codec.length_bytes)
    elif kind == "audio":
        found |= _text(SamplingRate=level.codec.sample_rate_hz, Channels=level.codec.channels, BitsPerSample=16)
        found |= _text(PacketSize=2 * level.codec.channels, AudioTag=_RAW_AAC)
    return found | {"CodecPrivateData": level.codec.private_data.hex().upper()}


@dataclass(frozen=True)
class FileReference:
    """A track of a file as a server manifest names it; `file` is relative to the manifest."""

    kind: Kind
    file: str
    track_id: int
    bitrate_bps: int
    stream: str
    language: str = ""


def server_manifest(client: str, tracks: Sequence[FileReference], encoding: Encoding = "UTF-8") -> bytes:
    """Write the manifest that a Smooth Streaming server reads. client: the client manifest, relative to this one."""
    root = etree.fromstring(f'<smil xmlns="{_SMIL}"/>')
    head = etree.SubElement(root, f"{{{_SMIL}}}head")
    etree.SubElement(head, f"{{{_SMIL}}}meta", name="clientManifestRelativePath", content=client)
    switch = etree.SubElement(etree.SubElement(root, f"{{{_SMIL}}}body"), f"{{{_SMIL}}}switch")
    for track in tracks:
        tag = "textstream" if track.kind == "text" else track.kind
        element = etree.SubElement(switch, f"{{{_SMIL}}}{tag}", _text(src=track.file, systemBitrate=track.bitrate_bps))
        if track.language:
            element.set("systemLanguage", track.language)
        for name, value in (("trackID", str(track.track_id)), ("trackName", track.stream)):
            etree.SubElement(element, f"{{{_SMIL}}}param", name=name, value=value, valuetype="data")
    return _written(root, encoding)


def _text(**values: object) -> dict[str, str]:
    return {name: str(value) for name, value in values.items()}


def _written(root: etree._Element, encoding: Encoding) -> bytes:
    written = etree.tostring(root, xml_declaration=True, encoding=encoding, pretty_print=True)
    assert isinstance(written, bytes)
    return written
