import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import packaged_media
from penstock.errors import ManifestError
from penstock.formats import hls

GOLDEN = Path(__file__).parents[1] / "golden" / "hls"


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    return packaged_media.source(tmp_path_factory.mktemp("film"))


def media(*lines):
    return "\n".join(["#EXTM3U", "#EXT-X-TARGETDURATION:4", *lines, "#EXT-X-ENDLIST", ""])


def multivariant(*lines):
    return "\n".join(["#EXTM3U", *lines, ""])


@pytest.mark.parametrize("segments", [True, False])
def test_every_file_shaka_packager_wrote_is_named(film, tmp_path, segments):
    folder = packaged_media.by_packager(film, tmp_path / "out", segments=segments).parent
    playlists = hls.media_playlists((folder / "main.m3u8").read_text())
    assert sorted(playlists) == ["audio.m3u8", "video.m3u8"]
    named = {name for playlist in playlists for name in hls.segment_names((folder / playlist).read_text())}
    assert named == packaged_media.media_files(folder)


def test_viewers_keep_only_the_key_format_that_somebody_may_serve(film, tmp_path):
    folder = packaged_media.by_packager(film, tmp_path / "out", segments=True).parent
    original = (folder / "video.m3u8").read_text()
    assert len(hls.key_formats(original)) == 4
    viewers = hls.viewer_playlist(original)
    assert hls.key_formats(viewers) == [hls.FAIRPLAY]
    assert hls.segment_names(viewers) == hls.segment_names(original)


def test_the_playlist_for_viewers_of_what_shaka_packager_wrote(golden):
    original = (GOLDEN / "packager.m3u8").read_text()
    golden("hls/packager.viewer.m3u8", hls.viewer_playlist(original))


def test_where_no_key_would_be_left_all_stay():
    playlist = media('#EXT-X-KEY:METHOD=SAMPLE-AES,URI="x",KEYFORMAT="com.microsoft.playready"', "#EXTINF:4,", "a.mp4")
    assert "playready" in hls.viewer_playlist(playlist)


def test_method_none_and_clear_playlists_stay_as_they_are():
    playlist = media("#EXT-X-KEY:METHOD=NONE", "#EXTINF:4,", "a.ts")
    assert hls.viewer_playlist(playlist) == playlist
    assert hls.key_formats(playlist) == []


def test_a_multivariant_playlist_names_the_forms_for_viewers():
    playlist = multivariant(
        '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="v/a.m3u8",URI="v/a.m3u8"',
        '#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=1,URI="i.m3u8"',
        '#EXT-X-SESSION-KEY:METHOD=SAMPLE-AES,URI="x",KEYFORMAT="urn:uuid:edef8ba9-79d6-4ace-a3c8-27dcd51d21ed"',
        '#EXT-X-SESSION-KEY:METHOD=SAMPLE-AES,URI="skd://x",KEYFORMAT="com.apple.streamingkeydelivery"',
        "#EXT-X-STREAM-INF:BANDWIDTH=1",
        "one%20more.m3u8",
        "#EXT-X-STREAM-INF:BANDWIDTH=2",
        "two.m3u8",
    )
    assert hls.media_playlists(playlist) == ["v/a.m3u8", "i.m3u8", "one more.m3u8", "two.m3u8"]
    viewers = hls.viewer_playlist(playlist, renamed=["v/a.m3u8", "one more.m3u8"])
    assert hls.media_playlists(viewers) == ["v/a.viewer.m3u8", "i.m3u8", "one more.viewer.m3u8", "two.m3u8"]
    assert 'NAME="v/a.m3u8"' in viewers and "edef8ba9" not in viewers and "skd://x" in viewers


def test_attribute_lists_are_read_as_the_standard_says():
    line = '#EXT-X-STREAM-INF:BANDWIDTH=1,CODECS="avc1.42c00d,mp4a.40.2",RESOLUTION=320x180,FRAME-RATE=29.970'
    assert hls.attributes(line) == {
        "BANDWIDTH": "1",
        "CODECS": "avc1.42c00d,mp4a.40.2",
        "RESOLUTION": "320x180",
        "FRAME-RATE": "29.970",
    }


@pytest.mark.parametrize(
    "playlist",
    [
        "",
        "not a playlist",
        "\ufeff#EXTM3U",
        media(),
        media("#EXTINF:4,", "../a.ts"),
        media("#EXTINF:4,", "/a.ts"),
        media("#EXTINF:4,", "https://elsewhere.example/a.ts"),
        media("#EXTINF:4,", "%2e%2e/a.ts"),
        media("#EXTINF:4,", "http://[x"),
        media("#EXT-X-MAP:BYTERANGE=1", "#EXTINF:4,", "a.ts"),
        media('#EXT-X-MAP:URI="a', "#EXTINF:4,", "a.ts"),
        media("#EXT-X-STREAM-INF:BANDWIDTH=1", "a.m3u8"),
        media("#EXTINF:4,", "a.ts").replace("#EXT-X-ENDLIST\n", ""),
        media(*["#EXTINF:4,", "a.ts"] * 200_001),
    ],
)
def test_a_media_playlist_that_cannot_be_trusted_is_refused(playlist):
    with pytest.raises(ManifestError) as caught:
        hls.segment_names(playlist)
    assert caught.value.message


@pytest.mark.parametrize(
    "playlist",
    [
        multivariant(),
        multivariant("stray.m3u8"),
        multivariant("#EXT-X-STREAM-INF:BANDWIDTH=1", "../up.m3u8"),
        media("#EXTINF:4,", "a.ts"),
    ],
)
def test_a_multivariant_playlist_that_cannot_be_trusted_is_refused(playlist):
    with pytest.raises(ManifestError):
        hls.media_playlists(playlist)


lines = st.lists(
    st.sampled_from(
        ["#EXTINF:4,", "a.ts", "#EXT-X-ENDLIST", "#EXT-X-STREAM-INF:BANDWIDTH=1", '#EXT-X-MAP:URI="i"', "#x"]
    )
    | st.text(max_size=30)
)


@given(lines)
def test_any_lines_give_files_in_the_folder_or_a_refusal(found):
    playlist = "\n".join(["#EXTM3U", *found])
    for read in (hls.segment_names, hls.media_playlists):
        with contextlib.suppress(ManifestError):
            for name in read(playlist):
                assert name and not name.startswith("/") and ".." not in name.split("/")


@given(lines)
def test_viewers_are_given_a_playlist_or_nothing(found):
    with contextlib.suppress(ManifestError):
        assert hls.viewer_playlist("\n".join(["#EXTM3U", *found])).startswith("#EXTM3U\n")
