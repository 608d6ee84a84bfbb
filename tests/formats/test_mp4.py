"""Sample tables and fragments, written and read back; what ffmpeg makes of whole files is in tests/penstock/smil."""

import contextlib
import struct
from array import array
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import BoxError, FormatError
from penstock.formats import ingest, movie, samples
from penstock.formats.movie import Buffer, Defaults, Entry, Track
from penstock.formats.progressive import Layout, OutputTrack, box, full_box
from penstock.formats.samples import Run


def picture(width=320, height=180):
    fields = struct.pack(">6xH16xHHIIIH32xHh", 1, width, height, 0x480000, 0x480000, 0, 1, 24, -1)
    return Entry("avc1", False, box("avc1", fields, box("avcC", b"\1")), width, height)


def track(*entries, timescale=1000, handler="vide"):
    matrix = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
    shown = (320 << 16, 180 << 16)
    return Track(1, handler, timescale, 0, "und", entries or (picture(),), 0, (0, 1), Defaults(), {}, matrix, shown)


runs = st.integers(1, 6).flatmap(
    lambda count: st.builds(
        lambda sizes, durations, shifts, marks: Run(
            0,
            array("I", sizes),
            array("I", durations),
            array("i", shifts) if shifts else None,
            bytearray(marks) if marks and any(marks) else None,
        ),
        st.lists(st.integers(0, 10**6), min_size=count, max_size=count),
        st.lists(st.integers(1, 5000), min_size=count, max_size=count),
        st.none() | st.lists(st.integers(-5000, 5000), min_size=count, max_size=count),
        st.none() | st.lists(st.integers(0, 1), min_size=count, max_size=count),
    )
)


def flat(found):
    """Every sample as (size, duration, shift, not sync)."""
    return [
        (size, run.durations[i], run.shifts[i] if run.shifts else 0, bool(run.not_sync and run.not_sync[i]))
        for run in found
        for i, size in enumerate(run.sizes)
    ]


@given(st.lists(runs, min_size=1, max_size=6))
def test_tables_that_are_written_are_read_back(given_runs):
    output = OutputTrack(track(), language="pt-BR", name="a name")
    description = output.describe(picture())
    for run in given_runs:
        output.add(run, 0, None, description)
    layout = Layout([output], [Fraction(0)])
    media = sum(run.size_bytes for run in given_runs)
    [read] = movie.read_movie(Buffer(layout.head + bytes(media) if media < 10**5 else layout.head[:-8])).tracks
    found = list(samples.table_runs(read))
    assert flat(found) == flat(given_runs)
    assert found[0].offset == len(layout.head)
    assert found[-1].offset + found[-1].size_bytes == layout.size_bytes
    assert (read.language, read.timescale, read.codec) == ("pt-BR", 1000, "avc1")


def test_a_film_beyond_4_gib_has_wide_offsets():
    output = OutputTrack(track(), language="und")
    for number in range(3):
        output.add(Run(0, array("I", [2**31]), array("I", [40]), None, None), number, None, output.describe(picture()))
    layout = Layout([output], [Fraction(0)])
    [read] = movie.read_movie(Buffer(layout.head[:-16])).tracks
    found = list(samples.table_runs(read))
    assert [run.offset - len(layout.head) for run in found] == [0, 2**31, 2**32]
    assert layout.size_bytes == len(layout.head) + 3 * 2**31


def test_gaps_lengthen_and_overlaps_shorten_what_comes_before():
    output = OutputTrack(track(), language="und")
    description = output.describe(picture())
    for start in (0, 120, 180):
        output.add(Run(0, array("I", [1, 1]), array("I", [40, 40]), None, None), 0, start, description)
    [read] = movie.read_movie(Buffer(Layout([output], [Fraction(0)]).head[:-8])).tracks
    assert list(samples.durations_of(read)) == [40, 80, 40, 20, 40, 40]
    with pytest.raises(BoxError, match="before the end"):
        output.add(Run(0, array("I", [1]), array("I", [40]), None, None), 0, 10, description)


@pytest.mark.parametrize(
    ("start", "zero", "media_start", "delay"),
    [
        (0, Fraction(0), 0, 0),
        (0, Fraction(1, 10), 100, 0),
        (500, Fraction(0), 0, Fraction(1, 2)),
        (500, Fraction(1, 2), 0, 0),
    ],
)
def test_the_edit_list_begins_the_film_at_its_zero(start, zero, media_start, delay):
    output = OutputTrack(track(), language="und")
    output.add(Run(0, array("I", [1, 1]), array("I", [400, 400]), None, None), 0, start, output.describe(picture()))
    [read] = movie.read_movie(Buffer(Layout([output], [zero]).head[:-8])).tracks
    assert (read.media_start_ticks, Fraction(*read.delay_s)) == (media_start, delay)


def test_only_the_description_that_is_used_goes_along():
    shared = track(picture(320, 180), picture(160, 90))
    output = OutputTrack(shared, language="und")
    output.add(Run(0, array("I", [1]), array("I", [40]), None, None), 0, 0, output.describe(shared.entries[1]))
    [read] = movie.read_movie(Buffer(Layout([output], [Fraction(0)]).head[:-8])).tracks
    assert [(entry.width_px, entry.height_px) for entry in read.entries] == [(160, 90)]
    assert read.shown_size == (160 << 16, 90 << 16)


def fragment(*trafs):
    return box("mfhd", bytes(8)) + b"".join(trafs)


def test_fragments_give_runs_with_every_default():
    mine = track()
    tfhd = full_box("tfhd", 0, 0x20000 | 8 | 16 | 32, struct.pack(">4I", 1, 40, 7, samples.NOT_SYNC))
    tfdt = full_box("tfdt", 1, 0, struct.pack(">Q", 2**33))
    first = full_box("trun", 0, 1 | 4, struct.pack(">Ii2I", 2, 500, 0, 0)[:12])
    second = full_box("trun", 1, 0x100 | 0x200 | 0x400 | 0x800, struct.pack(">I4I", 1, 41, 9, 0, 2**32 - 5))
    found = list(samples.fragment_runs(fragment(box("traf", tfhd, tfdt, first, second)), 1000, mine))
    assert flat(found) == [(7, 40, 0, False), (7, 40, 0, True), (9, 41, -5, False)]
    assert [(run.offset, run.start) for run in found] == [(1500, 2**33), (1514, None)]


def test_fragments_of_several_tracks_go_on_where_the_other_ended():
    def traf(track_id, size):
        return box(
            "traf",
            full_box("tfhd", 0, 16, struct.pack(">2I", track_id, size)),
            full_box("trun", 0, 0, struct.pack(">I", 2)),
        )

    other = full_box("tfhd", 0, 16, struct.pack(">2I", 2, 10))
    head = box("traf", other, full_box("trun", 0, 1, struct.pack(">Ii", 3, 200)))
    [run] = samples.fragment_runs(fragment(head, traf(1, 5)), 100, track())
    assert (run.offset, list(run.sizes)) == (330, [5, 5])


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (full_box("trun", 0, 0x200, struct.pack(">I", 2**31)), "announces"),
        (full_box("trun", 0, 0, struct.pack(">I", 2**31)), "announces"),
        (full_box("trun", 0, 1, struct.pack(">Ii", 1, -5000)), "begin at byte"),
        (full_box("trun", 0, 1, b"\0\0"), "ends after"),
    ],
)
def test_fragments_that_do_not_add_up_are_refused(body, told):
    tfhd = full_box("tfhd", 0, 0x20000, struct.pack(">I", 1))
    with pytest.raises(BoxError, match=told):
        list(samples.fragment_runs(fragment(box("traf", tfhd, body)), 0, track()))


def whole():
    output = OutputTrack(track(), language="en")
    output.add(Run(0, array("I", [1, 2]), array("I", [40, 40]), array("i", [0, 40]), bytearray(b"\0\1")), 0, 0,
               output.describe(picture()))  # fmt: skip
    return Layout([output], [Fraction(0)]).head + b"abc"


WHOLE = whole()


def test_the_whole_file_is_what_mediapackage_takes():
    assert ingest.inspect("x.mp4", Buffer(WHOLE))[1] == []


@given(st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.integers(0, 255)), min_size=1, max_size=4))
def test_damaged_files_give_findings_or_errors_of_ours(changes):
    content = bytearray(WHOLE)
    for at, value in changes:
        content[at] = value
    source = Buffer(bytes(content))
    found, problems = ingest.inspect("x.mp4", source)
    if found is not None and not problems:
        ingest.compare([("x.mp4", found), ("y.mp4", found)])
    with contextlib.suppress(FormatError):
        for each in movie.read_movie(source).tracks:
            list(samples.table_runs(each))


@given(st.integers(0, len(WHOLE) - 1))
def test_truncated_files_are_told(length):
    assert ingest.inspect("x.mp4", Buffer(WHOLE[:length]))[1]


@given(st.binary(max_size=300))
def test_any_bytes_give_a_movie_or_a_refusal(content):
    with contextlib.suppress(FormatError):
        movie.parse_movie(content)
    with contextlib.suppress(FormatError):
        list(samples.fragment_runs(content, 0, track()))
