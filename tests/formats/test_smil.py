import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from penstock.errors import ManifestError
from penstock.formats import smil
from penstock.formats.smil import Audio, Text, Video

# As on https://docs.aws.amazon.com/mediapackage/latest/ug/supported-inputs-vod-smil.html, written anew.
AWS = b"""<?xml version="1.0" encoding="utf-8"?>
<smil>
  <body>
    <alias value="Sample"/>
    <switch>
      <video name="sample_1080.mp4" systemLanguage="eng,spa" audioName="English,Spanish" includeAudio="true,false"/>
      <video src="sample_720.mp4" systemLanguage="eng,spa" audioName="English,Spanish" includeAudio="false,true"/>
      <textstream src="eng.srt" systemLanguage="eng" subtitleName="English"/>
    </switch>
  </body>
</smil>"""


def test_the_form_that_aws_shows_is_read():
    read = smil.parse(AWS)
    assert read.videos[0] == Video(
        "sample_1080.mp4", (Audio("eng", "English"), Audio("spa", "Spanish", included=False))
    )
    assert read.videos[1].name == "sample_720.mp4"
    assert read.texts == (Text("eng.srt", "eng", "English"),)


def test_a_ladder_with_one_audio_track(golden):
    videos = [Video("film_1080.mp4", (Audio("eng"),)), Video("film & more_720.mp4", (Audio("eng", included=False),))]
    golden("smil/ladder.smil", smil.build(videos).decode())


def test_unknown_languages_leave_the_audio_to_mediapackage():
    [video] = etree.fromstring(smil.build([Video("film.mp4")])).iter("video")
    assert dict(video.attrib) == {"name": "film.mp4"}


@pytest.mark.parametrize(
    ("videos", "texts"),
    [
        ([], []),
        ([Video("")], []),
        ([Video("/etc/passwd")], []),
        ([Video("../other.mp4")], []),
        ([Video("a\x00.mp4")], []),
        ([Video("a.mp4", (Audio("English"),))], []),
        ([Video("a.mp4", (Audio("eng", "a,b"),))], []),
        ([Video("a.mp4")] * 21, []),
        ([Video("a.mp4")] * 20, [Text("a.srt", "eng")]),
    ],
)
def test_what_mediapackage_cannot_take_is_not_written(videos, texts):
    with pytest.raises(ManifestError):
        smil.build(videos, texts)


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"<MPD/>",
        b"<smil/>",
        b"<smil><body><switch/></body></smil>",
        b"<smil><video/></smil>",
        b'<smil><video name="a.mp4" systemLanguage="eng,fra" includeAudio="true"/></smil>',
        b'<smil><video name="a.mp4" systemLanguage="eng" includeAudio="yes"/></smil>',
        b'<smil><video name="a.mp4" systemLanguage="?"/></smil>',
        b'<!DOCTYPE smil [<!ENTITY x SYSTEM "file:///etc/passwd">]><smil><video name="&x;"/></smil>',
    ],
)
def test_a_manifest_that_does_not_hold_together_is_refused(document):
    with pytest.raises(ManifestError):
        smil.parse(document)


names = st.text(min_size=1, max_size=40).filter(lambda n: n.isprintable() and n[0] != "/" and ".." not in n.split("/"))
titles = st.text(min_size=1, max_size=20).filter(lambda t: t.isprintable() and "," not in t and t == t.strip())
audio = st.lists(st.builds(Audio, st.sampled_from(["eng", "fr", "pt-BR"]), titles, st.booleans()), max_size=4).map(
    tuple
)
texts = st.builds(Text, names, st.sampled_from(["eng", "zh-Hant"]), st.none() | titles)


@given(st.lists(st.builds(Video, names, audio), min_size=1, max_size=5), st.lists(texts, max_size=3))
def test_what_is_written_is_read_back(videos, streams):
    assert smil.parse(smil.build(videos, streams)) == smil.Smil(tuple(videos), tuple(streams))


@given(st.binary(max_size=200))
def test_any_bytes_give_a_manifest_or_a_refusal(data):
    with contextlib.suppress(ManifestError):
        smil.parse(data)
