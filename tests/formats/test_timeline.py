"""Media time of files, from the manifests that a packager writes, and from those that try something."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.errors import ManifestError
from penstock.formats import timeline
from penstock.formats.timeline import Span

GOLDEN = Path(__file__).parents[1] / "golden"
MPD = "http://h/assets/a/stream/main.mpd"
TEMPLATE = (
    '<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" mediaPresentationDuration="PT10S"><Period>'
    '<AdaptationSet contentType="{kind}"><Representation id="v" bandwidth="1">{inside}</Representation></AdaptationSet>'
    "</Period></MPD>"
)


def of(inside: str, kind: str = "video") -> dict[str, Span]:
    return timeline.of_mpd(TEMPLATE.format(inside=inside, kind=kind).encode(), MPD)


def test_files_of_an_encrypted_presentation_have_their_times() -> None:
    document = (GOLDEN / "dash" / "packager.viewer.mpd").read_bytes()
    spans = timeline.of_mpd(document, MPD)
    video = [spans[f"/assets/a/stream/main_video_00000000{number}.cmfv"] for number in (1, 2, 3)]
    assert [(round(each.start_s, 3), round(each.length_s, 3), each.main) for each in video] == [
        (0.0, 2.002, True),
        (2.002, 2.002, True),
        (4.004, 1.001, True),
    ]
    assert not spans["/assets/a/stream/main_audio_000000001.cmfa"].main
    assert not any("init" in path for path in spans)
    assert timeline.timeline([spans]).slot_s == pytest.approx(2.002)


def test_numbers_without_a_timeline_are_counted_over_the_period() -> None:
    spans = of('<SegmentTemplate duration="4" media="$Number$.m4s"/>')
    assert [(each.start_s, each.length_s) for each in spans.values()] == [(0, 4), (4, 4), (8, 2)]


def test_one_file_holds_the_whole_time_however_its_ranges_are_told() -> None:
    whole = {"/assets/a/stream/v.mp4": Span(0, 10, main=True, rendition="v")}
    assert of("<BaseURL>v.mp4</BaseURL><SegmentBase/>") == whole
    ranges = "".join(f'<SegmentURL mediaRange="{first}-{first + 9}"/>' for first in (0, 10, 20, 30, 40))
    assert of(f'<BaseURL>v.mp4</BaseURL><SegmentList duration="2">{ranges}</SegmentList>') == whole


def test_playlists_have_the_same_times_as_the_manifest() -> None:
    multivariant = (
        '#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="x",URI="a.m3u8"\n'
        '#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="s",NAME="x",URI="s.m3u8"\n'
        '#EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO="a"\nv.m3u8\n'
    )
    assert timeline.media_playlists(multivariant, "http://h/a/main.m3u8") == [
        ("http://h/a/a.m3u8", False),
        ("http://h/a/v.m3u8", True),
    ]
    media = (
        '#EXTM3U\n#EXT-X-KEY:METHOD=SAMPLE-AES,URI="skd://x"\n#EXTINF:4,\n1.ts\n#EXTINF:2.5,\n2.ts\n#EXT-X-ENDLIST\n'
    )
    assert timeline.of_media_playlist(media, "http://h/a/v.m3u8", main=True) == {
        "/a/1.ts": Span(0, 4, main=True, rendition="/a/v.m3u8"),
        "/a/2.ts": Span(4, 2.5, main=True, rendition="/a/v.m3u8"),
    }


def test_sound_is_what_matters_where_there_are_no_pictures() -> None:
    spans = of('<SegmentTemplate duration="5" media="$Number$.m4s"/>', kind="audio")
    assert not any(span.main for span in spans.values())
    assert all(span.main for span in timeline.timeline([spans]).spans.values())


def test_long_films_have_longer_slots() -> None:
    spans = {str(number): Span(number * 4, 4, main=True) for number in range(9000)}
    assert timeline.timeline([spans]).slot_s == 20.0
    sound = {f"sound {number}": Span(number * 4, 4, main=False) for number in range(18000)}
    assert timeline.timeline([spans, sound]).slot_s == 40.0


@pytest.mark.parametrize(
    "document", [b"", b"<MPD/>", b"<x/>", b'<!DOCTYPE MPD [<!ENTITY a "b">]><MPD>&a;</MPD>', b"\xff\xfe"]
)
def test_what_is_no_manifest_is_refused_as_such(document: bytes) -> None:
    with pytest.raises(ManifestError):
        timeline.of_mpd(document, MPD)


def test_manifest_that_leads_out_of_its_folder_is_refused() -> None:
    with pytest.raises(ManifestError, match="leads out"):
        of('<SegmentTemplate duration="4" media="../../b/$Number$.m4s"/>')
    with pytest.raises(ManifestError):
        timeline.of_media_playlist("#EXTM3U\n#EXTINF:x,\n1.ts\n", "http://h/a/v.m3u8", main=True)
