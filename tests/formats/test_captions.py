"""EIA-608, SCC and timecodes in; WebVTT, TTML and IMSC out."""

import contextlib
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import FormatError, ManifestError
from penstock.formats import caption_writers, eia608, sami, scc, subtitles, timecode, ttml
from penstock.formats.eia608 import Pair
from penstock.formats.subtitles import Cue

FRAME = 1 / scc.NTSC


def cue(start, end, text):
    return Cue(Fraction(start), Fraction(end), text)


def words(*codes, start=0):
    """One pair a frame, with odd parity as broadcast has it."""
    odd = [byte | (0x80 if byte.bit_count() % 2 == 0 else 0) for code in codes for byte in (code >> 8, code & 0xFF)]
    return [Pair((start + i) * FRAME, odd[2 * i], odd[2 * i + 1]) for i in range(len(codes))]


def text(said):
    padded = said + "\0" * (len(said) % 2)
    return [ord(padded[i]) << 8 | ord(padded[i + 1]) for i in range(0, len(padded), 2)]


RCL, EOC, EDM, RU2, CR, RDC = 0x1420, 0x142F, 0x142C, 0x1425, 0x142D, 0x1429
ROW14, ROW15, ROW15_ITALIC = 0x1440, 0x1460, 0x146E


def test_pop_on_captions_appear_whole_and_control_codes_count_once():
    pairs = words(RCL, RCL, ROW14, ROW14, *text("ONE"), ROW15, ROW15, *text("TWO"), EOC, EOC)
    pairs += words(EDM, EDM, start=60)
    shown_at = (len(pairs) - 4) * FRAME
    assert eia608.decode(pairs, channel=1) == [Cue(shown_at, 60 * FRAME, "ONE\nTWO")]


def test_roll_up_captions_grow_and_roll():
    pairs = words(RU2, CR, ROW15, *text("ab"))
    pairs += words(CR, *text("cd"), start=30)
    pairs += words(CR, *text("ef"), start=60)
    pairs += words(EDM, start=90)
    shown = eia608.decode(pairs, channel=1)
    assert [found.text for found in shown] == ["ab", "ab\ncd", "cd", "cd\nef"]
    assert shown[1].start_s == 31 * FRAME


def test_italics_special_and_extended_characters():
    pairs = words(RDC, ROW15_ITALIC, *text("hi"), 0x1120, *text("la"), 0x1137, *text("O"), 0x1222, EDM)
    assert eia608.decode(pairs, channel=1)[-1].text == "<i>hi</i> la♪Ó"


def test_channels_are_told_apart_and_data_services_are_no_captions():
    one = words(RDC, ROW15, *text("one "))
    other = words(RDC | 0x0800, ROW15 | 0x0800, *text("two "), start=20)
    services = words(0x0105, *text("XDS."), 0x0F1D, start=40)
    pairs = [*one, *other, *services, *words(EDM, EDM | 0x0800, start=60)]
    assert eia608.decode(pairs, channel=1)[-1].text == "one"
    assert eia608.decode(pairs, channel=2)[-1].text == "two"


def test_what_is_on_screen_at_the_end_is_shown_until_then():
    pairs = words(RDC, ROW15, *text("end "))
    assert eia608.decode(pairs, channel=1, end_s=Fraction(9))[-1].end_s == 9


SCC = b"""Scenarist_SCC V1.0

00:00:01:00\t9420 9420 94ae 94ae 9470 9470 c8e5 ecec ef80 942f 942f

00:00:03;00\t942c 942c
"""


def test_an_scc_file_is_read_at_its_frame_rate():
    (found,) = scc.parse_scc(SCC)
    assert found.text == "Hello"
    assert found.start_s == (30 + 9) * FRAME
    assert found.end_s == 90 * FRAME
    assert scc.parse_scc(SCC.replace(b";", b":"), Fraction(25))[0].start_s == Fraction(25 + 9, 25)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"WEBVTT\n", "an SCC file starts with Scenarist_SCC V1.0"),
        (b"Scenarist_SCC V1.0\n\n1 second 9420", "line 3: expected a timecode"),
        (b"Scenarist_SCC V1.0\n\n00:00:00:31\t9420", "line 3: 00:00:00:31 does not exist"),
    ],
)
def test_what_is_no_scc_is_named(content, told):
    with pytest.raises(ManifestError, match=told):
        scc.parse_scc(content)


@pytest.mark.parametrize(
    ("written", "rate", "frame"),
    [
        ("00:00:01:00", Fraction(25), 25),
        ("00:00:01:00", Fraction(30000, 1001), 30),
        ("00:01:00;02", Fraction(30000, 1001), 1800),
        ("00:10:00;00", Fraction(30000, 1001), 17982),
        ("01:00:00;00", Fraction(60000, 1001), 215784),
    ],
)
def test_timecodes_count_frames(written, rate, frame):
    assert timecode.frames(written, rate) == frame


@pytest.mark.parametrize(
    ("written", "told"),
    [("1:00:00:00", "HH:MM:SS:FF"), ("00:00:00:25", "does not exist at 25"), ("00:00:00;00", "counts drop-frame")],
)
def test_timecodes_that_name_no_frame_are_refused(written, told):
    with pytest.raises(FormatError, match=told):
        timecode.frames(written, Fraction(25))
    with pytest.raises(FormatError, match="leaves it out"):
        timecode.frames("00:01:00;00", Fraction(30000, 1001))


def test_webvtt_is_written_so_that_text_stays_text():
    cues = [cue(3661, 3662, "late"), cue(1, Fraction(5, 2), "a <i>b</i> & <script> --> </b>\n\n c")]
    assert caption_writers.build_webvtt(cues) == (
        "WEBVTT\n\n00:00:01.000 --> 00:00:02.500\na <i>b</i> &amp; &lt;script&gt; --&gt; &lt;/b&gt;\nc\n"
        "\n01:01:01.000 --> 01:01:02.000\nlate\n"
    )


def test_a_webvtt_segment_says_where_its_times_lie_on_the_transport_stream_clock():
    written = caption_writers.build_webvtt([], clock_zero_s=Fraction(10))
    assert written == "WEBVTT\nX-TIMESTAMP-MAP=LOCAL:00:00:00.000,MPEGTS:900000\n"


def test_ttml_carries_lines_and_styles():
    written = caption_writers.build_ttml([cue(1, 2, "a\n<i>b</i> <u>c\nd</u>")], "en", imsc=True)
    assert b'contentProfiles="http://www.w3.org/ns/ttml/profile/imsc1.1/text"' in written
    assert b'a<br/><span tts:fontStyle="italic">b</span> <span tts:textDecoration="underline">c<br/>d</span></p>' in (
        written
    )
    assert ttml.parse_ttml(written) == [cue(1, 2, "a\nb c\nd")]


def test_plain_cues_have_no_markup():
    assert caption_writers.plain(cue(0, 1, "<i>a</i> < b</u>")).text == "a < b</u>"


CUES = st.lists(
    st.builds(
        lambda start, length, said: Cue(Fraction(start, 1000), Fraction(start + length, 1000), said),
        st.integers(0, 10_000_000),
        st.integers(1, 10_000),
        st.text(st.characters(categories=["L", "N", "P", "S", "Zs"], exclude_characters="<>")),
    ),
    max_size=6,
)


@given(CUES)
def test_what_is_written_reads_back(cues):
    ordered = sorted(cues, key=lambda found: (found.start_s, found.end_s))
    webvtt = subtitles.parse_webvtt(caption_writers.build_webvtt(ordered).encode())
    assert [(one.start_s, one.end_s, _words(one)) for one in webvtt if _words(one)] == [
        (one.start_s, one.end_s, _words(one)) for one in ordered if _words(one)
    ]
    timed = ttml.parse_ttml(caption_writers.build_ttml(ordered))
    assert [(one.start_s, one.end_s, _words(one)) for one in timed if _words(one)] == [
        (one.start_s, one.end_s, _words(one)) for one in ordered if _words(one)
    ]


def _words(found):
    """Without white space, of which readers keep one for many."""
    return "".join(found.text.split())


@given(st.lists(st.tuples(st.integers(0, 255), st.integers(0, 255)), max_size=300), st.integers(1, 4))
def test_any_bytes_are_read_as_captions(pairs, channel):
    found = eia608.decode([Pair(Fraction(i, 30), *pair) for i, pair in enumerate(pairs)], channel)
    assert all(one.end_s > one.start_s and one.text for one in found)
    assert all(before.end_s <= after.start_s for before, after in pairwise(found))


@given(st.binary(max_size=300))
def test_any_bytes_after_an_scc_head_are_read_or_refused_by_line(rest):
    with contextlib.suppress(ManifestError):
        scc.parse_scc(b"Scenarist_SCC V1.0\n" + rest)


RATES = [(Fraction(24000, 1001), False), (Fraction(25), False), (scc.NTSC, False), (scc.NTSC, True)]


@pytest.mark.parametrize(("rate", "drop"), RATES)
def test_scc_that_is_written_reads_back_in_time(rate, drop):
    cues = [cue(2, 3, "One & <i>only</i>"), cue(4, 5, "Zwei\ndrei"), cue(4000, 4001, "late")]
    written = scc.build_scc(cues, rate, drop=drop)
    assert written.startswith(b"Scenarist_SCC V1.0\n\n00:00:01") and (b";" in written) == drop
    found = scc.parse_scc(written, rate)
    # The code that begins italics is the space before them.
    assert [one.text for one in found] == ["One &<i> only</i>", "Zwei\ndrei", "late"]
    for one, said in zip(found, cues, strict=True):
        assert abs(one.start_s - said.start_s) < 1 / rate and abs(one.end_s - said.end_s) < 1 / rate


SAMI = b"""<SAMI><HEAD><STYLE TYPE="text/css"><!-- .ENCC {Name: English; lang: en-US;} .FRCC {lang: fr-FR;} --></STYLE>
</HEAD><BODY><SYNC Start=200><P Class=ENCC>One &amp; <I>only</I><P Class=FRCC>Un
<sync start="1000"><P Class=ENCC>&nbsp;
<SYNC Start=1400><P Class=ENCC>Zwei<BR>drei</SYNC><SYNC Start=2600><P Class=ENCC>&nbsp;</SYNC></BODY></SAMI>"""


def test_sami_is_read_in_its_first_language():
    assert sami.parse_sami(SAMI) == [
        cue(Fraction(1, 5), 1, "One & <i>only</i>"),
        cue(Fraction(7, 5), Fraction(13, 5), "Zwei\ndrei"),
    ]
    assert sami.parse_sami(SAMI.decode().encode("utf-16")) == sami.parse_sami(SAMI)
    with pytest.raises(ManifestError, match="a SAMI file starts with <SAMI>"):
        sami.parse_sami(b"WEBVTT\n")


def test_sami_that_is_written_reads_back():
    cues = [cue(1, 2, "a < b & <i>c</i>"), cue(2, 3, "d\ne"), cue(5, 6, "<script>")]
    written = sami.build_sami(cues, "en", "English")
    assert sami.parse_sami(written) == cues and b"Name: English; lang: en" in written
    assert b"<script>" not in written


@given(st.binary(max_size=300))
def test_any_bytes_after_a_sami_head_are_read_or_refused(rest):
    with contextlib.suppress(ManifestError):
        sami.parse_sami(b"<SAMI>" + rest)
