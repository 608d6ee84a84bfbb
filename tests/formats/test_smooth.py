"""Smooth Streaming as it is written: manifests word for word, fragments and files read back by the readers of MP4."""

import struct
from array import array
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from penstock.errors import BoxError, ManifestError
from penstock.formats import movie, piff, samples, smooth
from penstock.formats.isobmff import PLAYREADY, Pssh, boxes
from penstock.formats.movie import Buffer, Defaults, Entry, Track, inner
from penstock.formats.piff import TIMESCALE, Access, Auxiliary, FileTrack, Samples
from penstock.formats.progressive import box, full_box
from penstock.formats.samples import Run
from penstock.formats.smooth import Chunk, Codec, FileReference, Level, Protection, Stream

SPS, PPS = b"\x67\x4d\x40\x0d", b"\x68\xce\x3c"
AVCC = b"\x01\x4d\x40\x0d\xff\xe1" + struct.pack(">H", len(SPS)) + SPS + b"\x01" + struct.pack(">H", len(PPS)) + PPS
KID = bytes(range(16))


def picture(*inside, name="avc1"):
    fields = struct.pack(">6xH16xHHIIIH32xHh", 1, 320, 180, 0x480000, 0x480000, 0, 1, 24, -1)
    return box(name, fields, *inside)


def track(entry, handler="vide"):
    return Track(1, handler, 1000, 0, "und", (entry,), 0, (0, 1), Defaults(), {}, b"", (0, 0))


def video_entry():
    return Entry("avc1", False, picture(box("avcC", AVCC)), 320, 180)


def protected_entry():
    tenc = bytes(4) + b"\0\0\1\x08" + KID
    scheme = box("sinf", box("frma", b"avc1"), full_box("schm", 0, 0, b"cenc\0\1\0\0"), box("schi", box("tenc", tenc)))
    return Entry("avc1", True, picture(box("avcC", AVCC), scheme, name="encv"), 320, 180)


def run(sizes, durations, shifts=None, marks=None):
    return Run(0, array("I", sizes), array("I", durations), array("i", shifts) if shifts else None, marks)


def video(*chunks, levels=None):
    levels = levels or (Level(400_000, Codec("H264", b"\0\0\0\1\x67", 320, 180)),)
    return Stream("video", "video", levels, chunks or (Chunk(0, 20_000_000),))


def test_a_client_manifest_says_what_a_player_needs():
    codec = Codec("AACL", b"\x12\x10", sample_rate_hz=48_000, channels=2)
    sound = Stream(
        "audio", "audio_1", (Level(96_000, codec),), (Chunk(567_800, 20_000_000), Chunk(20_567_800, 5)), "fr"
    )
    text = Stream("text", "text_1", (Level(800, smooth.CAPTIONS),), (Chunk(0, 20_000_000),), "en")
    manifest = smooth.client_manifest([video(), sound, text], [Protection(PLAYREADY, b"\1\2\3")])
    root = etree.fromstring(manifest)
    assert root.tag == "SmoothStreamingMedia"
    assert dict(root.attrib) == {
        "MajorVersion": "2", "MinorVersion": "2", "TimeScale": "10000000", "Duration": "20567805",
    }  # fmt: skip
    pictures, tones, words = root.findall("StreamIndex")
    assert pictures.get("Url") == "QualityLevels({bitrate})/Fragments(video={start time})"
    assert dict(pictures[0].attrib) == {
        "Index": "0", "Bitrate": "400000", "FourCC": "H264", "MaxWidth": "320", "MaxHeight": "180",
        "CodecPrivateData": "0000000167",
    }  # fmt: skip
    assert [dict(c.attrib) for c in tones.findall("c")] == [
        {"n": "0", "t": "567800", "d": "20000000"},
        {"n": "1", "d": "5"},
    ]
    assert tones.get("Language") == "fr"
    assert tones[0].get("PacketSize") == "4" and tones[0].get("CodecPrivateData") == "1210"
    assert words.get("Subtype") == "SUBT" and words[0].get("FourCC") == "TTML"
    header = root.find("Protection/ProtectionHeader")
    assert header.get("SystemID") == "9A04F079-9840-4286-AB92-E65BE0885F95" and header.text == "AQID"


def test_a_chunk_that_does_not_follow_on_says_its_time():
    manifest = smooth.client_manifest([video(Chunk(0, 10), Chunk(30, 10))])
    assert [c.get("t") for c in etree.fromstring(manifest).iter("c")] == ["0", "30"]


@pytest.mark.parametrize(
    ("streams", "told"),
    [
        ([], "got none"),
        ([video(), video()], "video, video"),
        ([Stream("audio", "a", (), (Chunk(0, 1),))], "no fragments"),
        ([Stream("audio", "a", (Level(1, smooth.CAPTIONS),), ())], "no fragments"),
    ],
)
def test_streams_that_cannot_be_told_apart_or_are_empty_are_refused(streams, told):
    with pytest.raises(ManifestError, match=told):
        smooth.client_manifest(streams)


@pytest.mark.parametrize(("encoding", "first"), [("UTF-8", b"<?xml"), ("UTF-16", b"\xff\xfe<\0?\0")])
def test_manifests_come_in_either_encoding(encoding, first):
    reference = FileReference("video", "film_1.ismv", 1, 400_000, "video")
    client = smooth.client_manifest([video()], encoding=encoding)
    server = smooth.server_manifest("film.ismc", [reference], encoding)
    assert client.startswith(first) and server.startswith(first)
    assert etree.fromstring(client).tag == "SmoothStreamingMedia"


def test_a_server_manifest_names_files_and_tracks():
    references = [
        FileReference("video", "film_1.ismv", 1, 400_000, "video"),
        FileReference("audio", "film_1.ismv", 2, 96_000, "audio_1", "eng"),
    ]
    root = etree.fromstring(smooth.server_manifest("film.ismc", references))
    space = {"s": "http://www.w3.org/2001/SMIL20/Language"}
    assert root.xpath("string(//s:meta[@name='clientManifestRelativePath']/@content)", namespaces=space) == "film.ismc"
    assert root.xpath("//s:video/@systemBitrate", namespaces=space) == ["400000"]
    [sound] = root.xpath("//s:audio", namespaces=space)
    assert sound.get("systemLanguage") == "eng"
    assert [(param.get("name"), param.get("value")) for param in sound] == [("trackID", "2"), ("trackName", "audio_1")]


def test_decoders_are_described_from_the_sample_entry():
    found = smooth.codec(track(video_entry()))
    assert found == Codec("H264", b"\0\0\0\1" + SPS + b"\0\0\0\1" + PPS, 320, 180)
    with pytest.raises(ManifestError, match="got vp09"):
        smooth.codec(track(Entry("vp09", False, picture(name="vp09"))))
    with pytest.raises(BoxError, match="avcC"):
        smooth.codec(track(Entry("avc1", False, picture(box("avcC", AVCC[:9])))))


@pytest.mark.parametrize(("config", "four_cc"), [(b"\x12\x10", "AACL"), (b"\x2b\x11", "AACH"), (b"\xeb\x09", "AACH")])
def test_aac_is_told_from_he_aac(config, four_cc):
    specific = b"\x05" + bytes([len(config)]) + config
    decoder = b"\x04" + bytes([13 + len(specific)]) + b"\x40" + bytes(12) + specific
    elementary = b"\x03" + bytes([3 + len(decoder)]) + bytes(3) + decoder
    fields = struct.pack(">6xH8x2H4xI", 1, 2, 16, 48_000 << 16)
    entry = Entry("mp4a", False, box("mp4a", fields, full_box("esds", 0, 0, elementary)), 0, 0, 2, 48_000, 0x40)
    found = smooth.codec(track(entry, "soun"))
    assert (found.four_cc, found.private_data) == (four_cc, config)


def test_hevc_is_described_by_all_its_parameter_sets():
    units = (b"\x40\1", b"\x42\1", b"\x44\1")
    arrays = b"".join(b"\xa0" + struct.pack(">HH", 1, len(unit)) + unit for unit in units)
    entry = Entry("hvc1", False, picture(box("hvcC", bytes(21) + b"\xff\3" + arrays), name="hvc1"), 320, 180)
    found = smooth.codec(track(entry))
    assert found.four_cc == "HVC1" and found.private_data == b"".join(b"\0\0\0\1" + unit for unit in units)


def test_rates_that_are_taken_go_up():
    assert smooth.distinct_rates([5, 5, 0, 6]) == [5, 6, 1, 7]


@given(
    st.integers(1000, 200_000),
    st.integers(0, 10**9),
    st.lists(st.tuples(st.integers(0, 9999), st.integers(1, 5000), st.integers(-3000, 3000)), min_size=1, max_size=40),
)
def test_fragments_keep_every_sample_and_rounding_never_adds_up(timescale, start, rows):
    sizes, durations, shifts = (list(column) for column in zip(*rows, strict=True))
    lowest = min(0, *shifts)
    moved = Fraction(-lowest, timescale)
    marks = bytearray(index % 2 for index in range(len(rows)))
    given_run = run(sizes, durations, shifts, marks if any(marks) else None)
    found = piff.rescaled([given_run], timescale, start, moved, lowest)
    moof_and_header = piff.fragment(7, 3, found)
    moof, media = boxes(moof_and_header + bytes(found.size_bytes))
    assert media.type == "mdat" and len(media.payload) == sum(sizes)
    reader = Track(7, "vide", TIMESCALE, 0, "und", (), 0, (0, 1), Defaults(), {}, b"", (0, 0))
    [read] = samples.fragment_runs(moof.payload, 0, reader)
    assert list(read.sizes) == sizes
    assert read.offset == len(moof_and_header)
    assert read.start == round(start * Fraction(TIMESCALE, timescale))
    assert read.not_sync == given_run.not_sync
    time, exact = read.start, start + lowest
    for index in range(len(rows)):
        shown = time + (read.shifts[index] if read.shifts else 0)
        assert abs(shown - ((exact + shifts[index] - lowest) * Fraction(TIMESCALE, timescale) + moved * TIMESCALE)) <= 1
        time, exact = time + read.durations[index], exact + durations[index]


def test_samples_before_the_presentation_are_refused():
    with pytest.raises(BoxError, match="before the presentation"):
        piff.rescaled([run([1], [10])], 1000, 0, Fraction(-1))


def test_encryption_is_told_in_both_ways_and_points_to_the_same_bytes():
    entries = b"".join(bytes([number]) * 8 for number in range(3))
    auxiliary = Auxiliary(bytes(4) + struct.pack(">I", 3) + entries, bytes(4) + b"\x08" + struct.pack(">I", 3))
    content = Samples(0, array("I", [5, 5, 5]), array("I", [10, 10, 10]), None, None)
    written = piff.fragment(1, 1, content, auxiliary)
    moof = next(boxes(written + bytes(15)))
    parts = {one.type: one.payload for one in boxes(inner(moof.payload, "traf"))}
    assert parts["uuid"] == piff.SAMPLE_ENCRYPTION.bytes + auxiliary.encryption
    assert parts["saiz"] == auxiliary.sizes
    [place] = struct.unpack(">I", parts["saio"][8:])
    assert written[place : place + len(entries)] == entries


def test_a_file_says_how_its_tracks_are_protected_and_where_fragments_are():
    pssh = Pssh(PLAYREADY, (), b"header").build()
    tracks = [FileTrack(1, "vide", "und", protected_entry(), 50)]
    read = movie.read_movie(Buffer(head := piff.header(tracks, [pssh])))
    [found] = read.tracks
    assert read.fragmented and found.protected and found.codec == "avc1" and found.timescale == TIMESCALE
    assert smooth.codec(found).private_data.endswith(PPS)
    schemes = inner(movie.configuration(found.entries[0], "vide", "sinf"), "schi")
    own = next(one.payload for one in boxes(schemes) if one.type == "uuid")
    assert own[:16] == piff.TRACK_ENCRYPTION.bytes and own[20:24] == b"\0\0\1\x08" and own[24:] == KID
    assert pssh in head
    assert piff.PROTECTION_HEADER.bytes + bytes(4) + PLAYREADY.bytes + struct.pack(">I", 6) + b"header" in head
    table = piff.index([(1, [Access(0, 700), Access(20_000_000, 2**33)])])
    [mfra] = boxes(table)
    assert struct.unpack(">I", mfra.payload[-4:])[0] == len(table)
    tfra = inner(mfra.payload, "tfra")
    assert struct.unpack(">3I2Q3B2Q3B", tfra[4:]) == (1, 0, 2, 0, 700, 1, 1, 1, 20_000_000, 2**33, 1, 1, 1)


def test_a_track_without_initialization_vectors_is_no_piff():
    tenc = bytes(4) + b"\0\x19\1\0" + KID
    scheme = box("sinf", box("frma", b"avc1"), box("schi", box("tenc", tenc)))
    entry = Entry("avc1", True, picture(scheme, name="encv"))
    with pytest.raises(BoxError, match="AES-CTR"):
        piff.header([FileTrack(1, "vide", "und", entry, 1)])
