"""Manifests as presentations, clean and dirty. What real packagers write is read in tests/penstock/smil."""

import contextlib
import time
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import FormatError, ManifestError, SourceRejected
from penstock.formats import dash, dash_presentation, hls_presentation, mpd
from penstock.formats.presentation import Part

HERE = "https://cdn.example/film/main.mpd"
WITHIN = "https://cdn.example/film/"


def document(inside, attributes='type="static" mediaPresentationDuration="PT9S"', namespace=dash.NAMESPACE):
    return f'<MPD xmlns="{namespace}" {attributes}>{inside}</MPD>'.encode()


def one(inside, **options):
    kind = 'mimeType="video/mp4" codecs="avc1.64001f"'
    representation = f'<Representation id="v" bandwidth="500" {kind}>{inside}</Representation>'
    return document(f"<Period><AdaptationSet>{representation}</AdaptationSet></Period>", **options)


def read(content):
    return dash_presentation.presentation(content, location=HERE, within=WITHIN)


def names(rendition):
    return [part.url.removeprefix(WITHIN) for stretch in rendition.stretches for part in stretch.parts()]


def test_bases_of_every_level_add_up_and_queries_stay():
    content = document(
        "<BaseURL>a/</BaseURL><Period><BaseURL>b/</BaseURL><AdaptationSet mimeType='video/mp4'><BaseURL>../c/</BaseURL>"
        "<Representation id='1'><BaseURL>v.mp4?token=1</BaseURL></Representation></AdaptationSet></Period>"
    )
    [rendition] = read(content).renditions
    assert names(rendition) == ["a/c/v.mp4?token=1"]


@pytest.mark.parametrize(
    ("inside", "parts"),
    [
        (
            "<SegmentList timescale='1' duration='2'><Initialization range='0-99' sourceURL='f.mp4'/>"
            "<SegmentURL media='f.mp4' mediaRange='100-199'/><SegmentURL media='f.mp4' mediaRange='200-'/>"
            "</SegmentList>",
            [Part(f"{WITHIN}f.mp4", 100, 199), Part(f"{WITHIN}f.mp4", 200)],
        ),
        (
            "<BaseURL>f.mp4</BaseURL><SegmentBase indexRange='100-199'><Initialization range='0-99'/></SegmentBase>",
            [Part(f"{WITHIN}f.mp4")],
        ),
        (
            "<SegmentTemplate duration='4' media='$Number%03u$.m4s' initialization='i' startNumber='0' endNumber='1'/>",
            [Part(f"{WITHIN}000.m4s"), Part(f"{WITHIN}001.m4s")],
        ),
        (
            "<SegmentTemplate timescale='2' presentationTimeOffset='10' media='$Time$.m4s'><SegmentTimeline>"
            "<S t='10' d='4' r='-1'/></SegmentTimeline></SegmentTemplate>",
            [Part(f"{WITHIN}{time}.m4s") for time in (10, 14, 18, 22, 26)],
        ),
    ],
)
def test_each_way_to_name_segments(inside, parts):
    [rendition] = read(one(inside)).renditions
    assert list(rendition.stretches[0].parts()) == parts


@pytest.mark.parametrize("namespace", ["", "urn:mpeg:DASH:schema:MPD:2011", "urn:mpeg:dash:schema:mpd:2011", "x"])
def test_any_namespace_or_none_is_read(namespace):
    content = one("<BaseURL>v.mp4</BaseURL><Surprise xmlns='urn:x'><Deep/></Surprise>", namespace=namespace)
    assert names(read(content).renditions[0]) == ["v.mp4"]


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("PT9S", 9),
        ("PT1M", 60),
        ("PT0H3M30.040S", Fraction(21004, 100)),
        ("P0Y0M0DT0H0M9.5S", Fraction(19, 2)),
        ("P1DT1S", 86401),
        ("P1W", 604800),
        ("PT1,5S", Fraction(3, 2)),
        ("PT1.5M", 90),
        ("PT.5S", Fraction(1, 2)),
        (" PT5400S ", 5400),
        ("P1D", 86400),
        ("-PT0S", 0),
    ],
)
def test_durations_of_every_form(text, length):
    content = one("<BaseURL>v.mp4</BaseURL>", attributes=f'mediaPresentationDuration="{text}"')
    assert read(content).duration_s == length


@pytest.mark.parametrize(
    "text", ["9", "PT", "P", "PT9", "P1Y", "P1M", "-PT9S", "PT9S9M", "PTS", "T9S", "PT1e9S", "PPPPPPPPPPPPPPPPPPP"]
)
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(ManifestError, match="mediaPresentationDuration"):
        read(one("<BaseURL>v.mp4</BaseURL>", attributes=f'mediaPresentationDuration="{text}"'))


def test_periods_are_matched_by_what_renditions_are_and_not_by_their_ids():
    period = (
        "<Period duration='PT4S'><AdaptationSet contentType='video'><Representation id='{0}' bandwidth='5'>"
        "<BaseURL>{0}.mp4</BaseURL></Representation><Representation id='{1}' bandwidth='9'><BaseURL>{1}.mp4</BaseURL>"
        "</Representation></AdaptationSet><AdaptationSet contentType='audio' lang='en'><Representation id='{2}'>"
        "<BaseURL>{2}.mp4</BaseURL></Representation></AdaptationSet></Period>"
    )
    found = read(document(period.format("a", "b", "c") + period.format("d", "e", "f"))).renditions
    assert [names(rendition) for rendition in found] == [["a.mp4", "d.mp4"], ["b.mp4", "e.mp4"], ["c.mp4", "f.mp4"]]
    assert [(s.start_s, s.length_s) for s in found[0].stretches] == [(0, 4), (4, 4)]


def test_pictures_for_the_seek_bar_and_trick_play_are_no_renditions():
    content = document(
        "<Period><AdaptationSet mimeType='image/jpeg'><Representation id='t'><SegmentTemplate media='x' duration='1'/>"
        "</Representation></AdaptationSet><AdaptationSet mimeType='video/mp4'><EssentialProperty "
        "schemeIdUri='http://dashif.org/guidelines/trickmode' value='1'/><Representation id='f'><BaseURL>f</BaseURL>"
        "</Representation></AdaptationSet><AdaptationSet mimeType='video/mp4'><Representation id='v'>"
        "<BaseURL>v</BaseURL></Representation></AdaptationSet></Period>"
    )
    assert [rendition.name for rendition in read(content).renditions] == ["Representation 'v'"]


@pytest.mark.parametrize("spelling", ["", ' xmlns:cenc="urn:mpeg:cenc:2013" cenc:default_KID="x"'])
def test_encrypted_manifests_are_refused_with_the_reason(spelling):
    protection = f'<ContentProtection schemeIdUri="urn:mpeg:dash:mp4protection:2011" value="cenc"{spelling}/>'
    with pytest.raises(SourceRejected, match=r"encrypted: MPD/Period/AdaptationSet.*mp4protection.*clear sources"):
        read(one(protection + "<BaseURL>v.mp4</BaseURL>"))


BOMB = "<S d='1' r='99999999999'/>" * 20_000


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "XML"),
        (b"<MPD", "XML"),
        (one("<BaseURL>v.mp4</BaseURL>")[:-20], "XML"),
        (b"<smil/>", "root element is 'smil'"),
        (b"\xef\xbb\xbf<html/>", "root element is 'html'"),
        ("<MPD/>".encode("utf-16"), "UTF-8"),
        (b'<?xml version="1.0" encoding="iso-8859-1"?><MPD x="\xe4"/>', "UTF-8"),
        (b'<!DOCTYPE MPD [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><MPD>&b;</MPD>', "DOCTYPE"),
        (b'<!DOCTYPE MPD SYSTEM "http://elsewhere.example/x.dtd"><MPD/>', "DOCTYPE"),
        (b"<a>" * 100_000, "XML"),
        (document(""), "no Period"),
        (document("<Period/>"), "no Representation"),
        (one("<BaseURL>v.mp4</BaseURL>", attributes='type="dynamic"'), "static"),
        (one(""), "names no file"),
        (one("<BaseURL>https://elsewhere.example/v.mp4</BaseURL>"), "leads out of"),
        (one("<BaseURL>../../v.mp4</BaseURL>"), "leads out of"),
        (one("<BaseURL>file:///etc/passwd</BaseURL>"), "leads out of"),
        (one("<SegmentTemplate media='%2e%2e/$Number$' duration='1'/>"), "percent signs"),
        (one("<SegmentBase><Initialization range='9-1'/></SegmentBase>"), "expected bytes"),
        (one("<SegmentTemplate media='$Number$' duration='1' timescale='99999999'/>"), "more than"),
        (
            one(f"<SegmentTemplate media='$Time$'><SegmentTimeline>{BOMB}</SegmentTimeline></SegmentTemplate>"),
            "more than",
        ),
        (
            document(
                '<Period xmlns:xlink="http://www.w3.org/1999/xlink" xlink:href="http://elsewhere.example/p.xml"/>',
            ),
            "xlink",
        ),
        (
            document("<Period><AdaptationSet>" + "<Representation/>" * 600 + "</AdaptationSet></Period>"),
            "more than 500",
        ),
    ],
)
def test_dirty_manifests_get_a_clear_error_soon(content, told):
    start = time.monotonic()
    with pytest.raises(ManifestError, match=told):
        for rendition in read(content).renditions:
            for _ in rendition.stretches[0].parts():
                pass
    assert time.monotonic() - start < 10


def test_ten_thousand_segments_are_read_one_by_one():
    runs = "<S t='0' d='2'/>" + "<S d='2'/>" * 9_999
    content = one(f"<SegmentTemplate media='$Time$.m4s'><SegmentTimeline>{runs}</SegmentTimeline></SegmentTemplate>")
    [rendition] = read(content).renditions
    assert sum(1 for _ in rendition.stretches[0].parts()) == 10_000


pieces = st.sampled_from(
    """<Period> </Period> <AdaptationSet> </AdaptationSet> <Representation> </Representation> <BaseURL> a/ .. </BaseURL>
    <SegmentTemplate/> <SegmentTimeline> <S/> </SegmentTimeline> <SegmentList> <SegmentURL/> </SegmentList> &lt; \0 é
    <ContentProtection/> <SegmentBase/>""".replace("<SegmentURL", "<SegmentURL mediaRange='1-'")
    .replace("<S/", "<S t='3' d='2' r='-1'/")
    .replace("<SegmentTemplate/>", "<SegmentTemplate~media='$Number$$Time$'~duration='3'> </SegmentTemplate>")
    .split()
).map(lambda piece: piece.replace("~", " "))


@given(st.lists(pieces, max_size=30).map("".join) | st.text(max_size=60))
def test_any_document_gives_a_presentation_or_a_refusal(inside):
    with contextlib.suppress(FormatError, SourceRejected):
        for rendition in read(document(inside)).renditions:
            for stretch in rendition.stretches:
                assert all(part.url.startswith(WITHIN) for part in stretch.parts())


@given(st.binary(max_size=200))
def test_any_bytes_give_a_presentation_or_a_refusal(content):
    with contextlib.suppress(FormatError, SourceRejected):
        read(content)


PLAYLIST = "https://cdn.example/film/main.m3u8"


def playlists(text):
    return hls_presentation.playlists("#EXTM3U\n" + text, location=PLAYLIST, within=WITHIN)


def stretches(text):
    return hls_presentation.stretches("#EXTM3U\n" + text, location=PLAYLIST, within=WITHIN)


def test_a_multivariant_playlist_gives_each_media_playlist_once_and_the_best_audio_group():
    found = playlists(
        '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="low",NAME="English",LANGUAGE="en",URI="low/en.m3u8"\n'
        '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="high",NAME="English",LANGUAGE="en",URI="high/en.m3u8"\n'
        '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="low",NAME="Deutsch",LANGUAGE="de",URI="low/de.m3u8"\n'
        '#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="s",NAME="English",LANGUAGE="en",URI="s/en.m3u8",'
        'CHARACTERISTICS="public.accessibility.transcribes-spoken-dialog"\n'
        '#EXT-X-STREAM-INF:BANDWIDTH=100,AUDIO="low"\nv1.m3u8\n'
        '#EXT-X-STREAM-INF:BANDWIDTH=900,AUDIO="high",SUBTITLES="s"\nv2.m3u8\n'
        '#EXT-X-STREAM-INF:BANDWIDTH=800,AUDIO="low"\nv2.m3u8\n'
        '#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=1,URI="i.m3u8"\n'
    )
    assert [(p.kind, p.url.removeprefix(WITHIN), p.language) for p in found] == [
        ("variant", "v1.m3u8", ""),
        ("variant", "v2.m3u8", ""),
        ("audio", "high/en.m3u8", "en"),
        ("audio", "low/de.m3u8", "de"),
        ("text", "s/en.m3u8", "en"),
    ]
    assert found[-1].roles == ("transcribes-spoken-dialog",)


def test_byte_ranges_go_on_and_a_discontinuity_begins_anew():
    first, second = stretches(
        '#EXT-X-MAP:URI="f.mp4",BYTERANGE="100@0"\n#EXTINF:2.5,\n#EXT-X-BYTERANGE:50@100\nf.mp4\n#EXTINF:2,\n'
        '#EXT-X-BYTERANGE:60\nf.mp4\n#EXT-X-DISCONTINUITY\n#EXT-X-MAP:URI="g.mp4"\n#EXTINF:2,\nh.m4s\n#EXT-X-ENDLIST\n'
    )
    assert first.initialization == Part(f"{WITHIN}f.mp4", 0, 99)
    assert list(first.parts()) == [Part(f"{WITHIN}f.mp4", 100, 149), Part(f"{WITHIN}f.mp4", 150, 209)]
    assert (second.start_s, second.length_s) == (Fraction(9, 2), 2)
    assert list(second.parts()) == [Part(f"{WITHIN}h.m4s")]


@pytest.mark.parametrize("line", ['#EXT-X-KEY:METHOD=AES-128,URI="k"', '#EXT-X-KEY:METHOD=SAMPLE-AES,URI="k"'])
def test_keys_are_refused_with_the_reason(line):
    with pytest.raises(SourceRejected, match="encrypted: #EXT-X-KEY with METHOD"):
        stretches(f"{line}\n#EXTINF:2,\na.m4s\n#EXT-X-ENDLIST\n")


@pytest.mark.parametrize(
    "text",
    [
        "#EXTINF:2,\na.m4s\n",
        "#EXT-X-ENDLIST\n",
        "#EXTINF:x,\na.m4s\n#EXT-X-ENDLIST\n",
        "#EXTINF:2,\n../a.m4s\n#EXT-X-ENDLIST\n",
        "#EXTINF:2,\nhttps://elsewhere.example/a\n#EXT-X-ENDLIST\n",
        "#EXT-X-MAP:BYTERANGE=1\n#EXTINF:2,\na\n#EXT-X-ENDLIST\n",
        "#EXT-X-BYTERANGE:0\n#EXTINF:2,\na\n#EXT-X-ENDLIST\n",
    ],
)
def test_playlists_that_cannot_be_used_are_refused(text):
    with pytest.raises(ManifestError):
        stretches(text)


lines = st.sampled_from(
    ["#EXTINF:2,", "a.m4s", "#EXT-X-ENDLIST", "#EXT-X-DISCONTINUITY", '#EXT-X-MAP:URI="i"', "#EXT-X-BYTERANGE:5",
     '#EXT-X-STREAM-INF:BANDWIDTH=5,AUDIO="a"', '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="x"', "../b", "", "#"]
)  # fmt: skip


@given(st.lists(lines | st.text(max_size=20), max_size=20).map("\n".join))
def test_any_text_gives_playlists_or_a_refusal(text):
    for reader in (playlists, stretches):
        with contextlib.suppress(ManifestError, SourceRejected):
            reader(text)


def test_the_size_of_an_mpd_is_bounded():
    with pytest.raises(ManifestError, match="at most"):
        read(b"<MPD>" + b" " * mpd.MAX_MPD_BYTES)
