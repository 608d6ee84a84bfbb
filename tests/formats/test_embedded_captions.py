"""Captions within pictures: EIA-608 written, shared out among frames, and put into the user data of each."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.formats import cc_data, eia608, eia608_writer
from penstock.formats.cc_data import FIELD_1, PACKET_DATA, PACKET_START, Triplet
from penstock.formats.subtitles import Cue

NTSC = Fraction(30000, 1001)
RATES = [Fraction(24000, 1001), Fraction(25), NTSC, Fraction(50), Fraction(60000, 1001), Fraction(10), Fraction(120)]
RATES += [Fraction(1), Fraction(2), Fraction(7)]


def cue(start, end, text):
    return Cue(Fraction(start), Fraction(end), text)


def read_back(cues, channel=1, per_s=Fraction(30)):
    return eia608.decode(eia608_writer.encode(cues, channel, per_s), channel)


def test_captions_appear_and_go_when_they_are_due():
    cues = [cue(2, 3, "One"), cue(4, 5, "Zwei\ndrei"), cue(5, 6, "four")]
    assert read_back(cues) == cues


@pytest.mark.parametrize("channel", [1, 2, 3, 4])
def test_every_channel_is_written_with_codes_of_its_own(channel):
    cues = [cue(2, 3, "<i>One</i> two")]
    pairs = eia608_writer.encode(cues, channel, Fraction(30))
    assert eia608.decode(pairs, channel)[0].text == "<i>One</i> two"
    other = {1: 2, 2: 1, 3: 4, 4: 3}[channel]
    assert eia608.decode(pairs, other) == []


def test_a_caption_that_does_not_come_through_in_time_is_late_and_the_next_is_not():
    first, second = read_back([cue(0, 3, "a caption that begins at once"), cue(4, 5, "in time")])
    assert 0 < first.start_s < 1 and first.end_s == 3
    assert (second.start_s, second.end_s) == (4, 5)


def test_the_screen_is_cleared_while_the_next_caption_is_on_its_way():
    cues = [cue(2, 3, "One"), cue(Fraction(16, 5), 6, "a longer one that is on its way")]
    shown = read_back(cues)
    assert abs(shown[0].end_s - 3) < Fraction(1, 10) and shown[1].start_s == Fraction(16, 5)


def test_long_lines_are_broken_and_too_many_rows_are_shown_one_after_the_other():
    words = " ".join(f"caption{number:02}" for number in range(36))
    shown = read_back([cue(5, 15, words)])
    assert len(shown) == 3 and (shown[0].start_s, shown[-1].end_s) == (5, 15)
    assert " ".join(one.text.replace("\n", " ") for one in shown) == words
    assert all(len(line) <= 32 for one in shown for line in one.text.split("\n"))
    assert all(len(one.text.split("\n")) <= 4 for one in shown)


def test_what_line_21_has_no_character_for_is_written_as_what_comes_nearest():
    assert read_back([cue(2, 3, "«Ñandú» naïve ♪ ™ Žižek … 字")])[0].text == "«Ñandú» naïve ♪ ™ Zizek ... ?"


TEXT = st.text(st.sampled_from("ab ño♪Å"), min_size=1, max_size=90)
STYLED = st.lists(st.tuples(st.sampled_from(["", "i", "u"]), TEXT), min_size=1, max_size=4).map(
    lambda parts: "".join(f"<{style}>{text}</{style}>" if style else text for style, text in parts)
)


@given(STYLED, st.integers(1, 4))
def test_any_text_reads_back_as_it_was(text, channel):
    cues = read_back([cue(60, 70, text)], channel)
    shown = "".join(eia608_writer.caption_writers.plain(one).text for one in cues)
    said = eia608_writer.caption_writers.plain(cue(0, 1, text)).text
    # One of two equal characters that stand together may look like the repetition of a code.
    assert "".join(shown.split()) == "".join(said.split())


@pytest.mark.parametrize("rate", RATES)
def test_every_frame_has_as_many_triplets_as_its_rate_allows(rate):
    pairs = eia608_writer.encode([cue(3, 4, "One"), cue(6, 7, "two")], 1, cc_data.pairs_per_s(rate))
    frames = cc_data.share_out([Triplet(pair.time_s, FIELD_1, pair.first, pair.second) for pair in pairs], rate)
    read = []
    for number in range(max(frames) + 1):
        data = cc_data.user_data(number, frames.get(number, ()), rate)
        assert data[:8] == b"\xb5\x001GA94\x03" and data[-1] == 0xFF
        assert len(data) < 256 and data[8] & 0x1F == min(31, 600 // round(rate)) == (len(data) - 11) // 3
        read += cc_data.read(data[10:-1], number / rate)
    shown = eia608.decode([eia608.Pair(one.time_s, one.first, one.second) for one in read], 1)
    assert [one.text for one in shown] == ["One", "two"]
    assert all(abs(one.start_s - due) <= 1 / rate for one, due in zip(shown, (3, 6), strict=True))


def test_times_that_were_rounded_keep_their_frame():
    times = [Fraction(round(number * 1001 / 30000 * 1_000_000), 1_000_000) for number in range(90)]
    frames = cc_data.share_out([Triplet(time_s, FIELD_1, 0x41, 0x42) for time_s in times], NTSC)
    assert sorted(frames) == list(range(90))


def test_708_packets_keep_their_order_and_stand_behind_608():
    packet = [Triplet(Fraction(0), PACKET_START, 1, 2), *(Triplet(Fraction(0), PACKET_DATA, n, n) for n in range(30))]
    frames = cc_data.share_out([*packet, Triplet(Fraction(0), FIELD_1, 0x94, 0x20)], NTSC)
    assert [one.kind for one in frames[0]][:3] == [FIELD_1, PACKET_START, PACKET_DATA]
    found = [one for _, told in sorted(frames.items()) for one in told if one.kind != FIELD_1]
    assert found == packet and len(frames) == 2
