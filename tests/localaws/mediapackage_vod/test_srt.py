from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localaws.mediapackage_vod import srt
from penstock.errors import FormatError


def test_cues_keep_their_times_and_lines() -> None:
    text = "\ufeff1\r\n00:00:01,000 --> 00:00:02,500\r\nTom & <b>Jerry</b>\r\n<font color=red>run</font>\r\n\r\n"
    text += "2\n01:02:03.4 --> 01:02:04,000 X1:0\n{\\an8}up --> there"
    assert srt.to_webvtt(text.encode()) == (
        "WEBVTT\n\n00:00:01.000 --> 00:00:02.500\nTom &amp; <b>Jerry</b>\nrun\n\n"
        "01:02:03.400 --> 01:02:04.000\nup --&gt; there\n"
    )


@pytest.mark.parametrize("data", [b"", b"nothing", b"1\n00:00:02,000 --> 00:00:01,000\nbackwards\n", b"\xff\xfe1\n"])
def test_captions_without_a_cue_are_refused(data: bytes) -> None:
    with pytest.raises(FormatError):
        srt.to_webvtt(data)


@given(st.text())
def test_nothing_that_a_cue_says_becomes_another_cue_or_markup(said: str) -> None:
    line = re.sub(r"[\r\n\ud800-\udfff]", " ", said)
    try:
        made = srt.to_webvtt(f"1\n00:00:01,000 --> 00:00:02,000\n{line}\n".encode())
    except FormatError:
        return
    assert made.count("-->") == 1
    plain = srt.to_webvtt(f"1\n00:00:01,000 --> 00:00:02,000\n{line}\n".encode(), references=False)
    assert plain.count("-->") == 1
    assert not re.search(r"<(?!/?[ibu]>)", plain)
    assert not re.search(r"<(?!/?[ibu]>)", made)
