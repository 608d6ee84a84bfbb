"""Packages as players get them, judged by foreign readers: what manifests name is there, decodes, and is encrypted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import pytest
from lxml import etree

import probed_media
from mediaconvert_speke import CONTENT_KEYS, Speke
from mediaconvert_stack import wait_for
from mediapackage_packages import (
    dash_package,
    download,
    encryption,
    failure,
    frames,
    hls_package,
    packaged,
)
from mediapackage_stack import Films, PackagingStack
from penstock.formats import cpix, dash, hls, smil
from penstock.model import KeyId
from sample_media import ffmpeg

Json = dict[str, Any]
CLEAR_KEY = "e2719d58-a985-b3c9-781a-b030af78d30e"
FAIRPLAY = "94ce86fb-07ff-4f43-adb8-93d2fa968ca2"
AES_128 = "3ea8778f-7742-4bf9-b18b-e834b2acbd47"
IV = "000102030405060708090a0b0c0d0e0f"
MPD = "{urn:mpeg:dash:schema:mpd:2011}"


def of_track(mpd: bytes, label: str) -> list[str]:
    return [name for name in dash.segment_names(mpd) if name.startswith(f"{label}_")]


@pytest.mark.parametrize("members", [{}, {"SegmentTemplateFormat": "TIME_WITH_TIMELINE"}], ids=["number", "time"])
def test_clear_dash_has_every_frame_language_and_caption(
    stack: PackagingStack, films: Films, tmp_path: Path, members: Json
) -> None:
    [url] = packaged(stack, "clear", films.smil, dash_package(**members))
    mpd = stack.get(url).content
    root = etree.fromstring(mpd)
    sets = root.findall(f".//{MPD}AdaptationSet")
    told = [(one.get("contentType"), one.get("lang"), one.findtext(f"{MPD}Label")) for one in sets]
    assert told == [
        ("video", None, None),
        ("audio", "en", "English"),
        ("audio", "fr", "Français"),
        ("text", "en", "English CC"),
    ]
    for label in ("video_1", "video_2"):
        assert frames(download(stack, url, of_track(mpd, label), tmp_path / f"{label}.mp4")) == 150
    for label in ("audio_1", "audio_2"):
        assert frames(download(stack, url, of_track(mpd, label), tmp_path / f"{label}.mp4"), stream="a:0") > 250
    captions = download(stack, url, of_track(mpd, "text_1"), tmp_path / "text.mp4").read_bytes()
    assert b"Good" in captions and b"Tom &amp; Jerry" in captions


def test_layout_order_and_selection_are_as_the_manifest_asks(stack: PackagingStack, films: Films) -> None:
    manifests = [
        {"ManifestName": "all", "StreamSelection": {"StreamOrder": "VIDEO_BITRATE_ASCENDING"}},
        {"ManifestName": "small", "ManifestLayout": "COMPACT", "MinBufferTimeSeconds": 7},
        {"ManifestName": "top", "StreamSelection": {"MinVideoBitsPerSecond": 380_000}},
    ]
    [url] = packaged(stack, "layout", films.smil, dash_package(*manifests))
    found = {one["ManifestName"]: etree.fromstring(stack.get(urljoin(url, f"{one['ManifestName']}.mpd")).content)
             for one in manifests}  # fmt: skip
    videos = {name: root.findall(f".//{MPD}AdaptationSet[@contentType='video']/{MPD}Representation")
              for name, root in found.items()}  # fmt: skip
    rates = [int(video.get("bandwidth", "0")) for video in videos["all"]]
    assert rates == sorted(rates) and len(rates) == 2
    assert [video.get("id") for video in videos["small"]] == ["video_1", "video_2"]
    assert [video.get("id") for video in videos["top"]] == ["video_1"]
    assert len(found["small"].findall(f".//{MPD}SegmentTemplate")) == len(
        found["small"].findall(f".//{MPD}AdaptationSet")
    )
    assert found["small"].get("minBufferTime") == "PT7S"
    assert dash.segment_names(etree.tostring(found["small"])) == dash.segment_names(
        stack.get(url.replace("all", "small")).content
    )


def test_encrypted_dash_opens_with_the_key_of_the_provider_and_with_no_other(
    stack: PackagingStack, films: Films, speke: Speke, tmp_path: Path
) -> None:
    package = dash_package(**encryption(speke, CLEAR_KEY))
    [url] = packaged(stack, "drm", films.smil, package, ResourceId="film-1")
    mpd = stack.get(url).content
    kids = dash.key_ids(mpd)
    assert len(kids) == 2 and CLEAR_KEY in mpd.decode()
    film = download(stack, url, of_track(mpd, "video_1"), tmp_path / "film.mp4")
    assert b"encv" in film.read_bytes() and b"cenc" in film.read_bytes()
    keys = [CONTENT_KEYS.content_key("film-1", kid).reveal().hex() for kid in kids]
    assert frames(film, "-decryption_key", keys[0]) == 150
    assert speke.verified_by(0) and len(speke.requests) == 1


def test_cmaf_is_encrypted_with_cbcs_and_signalled_for_fairplay(
    stack: PackagingStack, films: Films, speke: Speke
) -> None:
    package = hls_package("CmafPackage", {"RepeatExtXKey": True}, **encryption(speke, FAIRPLAY))
    [url] = packaged(stack, "cmaf", films.smil, package)
    multivariant = stack.get(url).text
    assert 'NAME="Français"' in multivariant and "TYPE=SUBTITLES" in multivariant
    names = hls.media_playlists(multivariant)
    assert len(names) == 5
    for name in names:
        playlist = stack.get(urljoin(url, name)).text
        segments = hls.segment_names(playlist)
        assert all(stack.get(urljoin(url, segment)).status_code == 200 for segment in segments)
        if "text" in name:
            assert hls.key_formats(playlist) == []
        else:
            assert hls.key_formats(playlist) == [hls.FAIRPLAY]
            assert playlist.count("#EXT-X-KEY:") == playlist.count("#EXTINF:") == 3
            assert b"cbcs" in stack.get(urljoin(url, segments[0])).content


def test_clear_hls_of_an_hls_source_decodes_whole(stack: PackagingStack, films: Films) -> None:
    [url] = packaged(stack, "ts", films.hls, hls_package("HlsPackage"))
    assert frames(url) == 150
    assert frames(url, stream="a:0") > 250
    names = hls.media_playlists(stack.get(url).text)
    assert all(name.endswith(".ts") for one in names for name in hls.segment_names(stack.get(urljoin(url, one)).text))


def muxed(**members: Any) -> Json:
    """HLS as AWS has it when nothing is said of rendition groups."""
    return {"HlsPackage": {"HlsManifests": [{}], "SegmentDurationSeconds": 2, **members}}


@pytest.mark.parametrize("source", ["smil", "hls"])
def test_hls_has_its_sound_in_the_video_segments_unless_groups_are_asked_for(
    stack: PackagingStack, films: Films, tmp_path: Path, source: str
) -> None:
    name = films.hls
    if source == "smil":
        name = "films/one.smil"
        videos = [smil.Video("film_180.mp4", (smil.Audio("en"), smil.Audio("fr", included=False))),
                  smil.Video("film_90.mp4", (smil.Audio("en", included=False),))]  # fmt: skip
        document = smil.build(videos, [smil.Text("film.srt", "en")])
        stack.s3.put_object(Bucket="media", Key=name, Body=document)
    [url] = packaged(stack, f"muxed-{source}", name, muxed())
    multivariant = stack.get(url).text
    assert "AUDIO" not in multivariant and multivariant.count("#EXT-X-STREAM-INF:") == 2
    assert ("TYPE=SUBTITLES" in multivariant) == (source == "smil")
    for playlist in hls.media_playlists(multivariant):
        names = hls.segment_names(stack.get(urljoin(url, playlist)).text)
        assert len(names) == 3
        if playlist.endswith("text_1.m3u8"):
            continue
        whole = download(stack, url, names, tmp_path / "whole.ts")
        assert frames(whole) == 150 and frames(whole, stream="a:0") > 250
        packets = probed_media.ffprobe(whole, "-show_entries", "packet=codec_type,pts_time")["packets"]
        first = {kind: min(float(one["pts_time"]) for one in packets if one["codec_type"] == kind)
                 for kind in ("video", "audio")}  # fmt: skip
        # Where captions say the film begins (MPEGTS:9000), the first picture is; sound at most a frame before it.
        assert first["video"] == pytest.approx(0.1, abs=0.03) and abs(first["audio"] - first["video"]) < 0.03


def test_several_languages_need_rendition_groups(stack: PackagingStack, films: Films) -> None:
    assert "2 audio tracks; without useAudioRenditionGroup" in failure(stack, "muxed-two", films.smil, muxed())


@pytest.mark.parametrize("grouped", [True, False], ids=["groups", "muxed"])
@pytest.mark.parametrize("constant_iv", [None, IV], ids=["sequence", "constant"])
def test_aes_128_hls_decodes_with_the_key_behind_the_uri_that_the_provider_named(
    stack: PackagingStack, films: Films, speke: Speke, tmp_path: Path, constant_iv: str | None, grouped: bool
) -> None:
    served: dict[str, bytes] = {}

    def answer(body: bytes) -> tuple[int, bytes]:
        asked = cpix.parse(body)
        keys, systems = [], []
        for key in asked.keys:
            content = CONTENT_KEYS.content_key(asked.content_id, key.kid)
            path = tmp_path / f"{key.kid}.key"
            path.write_bytes(content.reveal())
            served[str(key.kid)] = content.reveal()
            keys.append(replace(key, key=content))
            line = f'#EXT-X-KEY:METHOD=AES-128,URI="file://{path}"' + (f",IV=0x{constant_iv}" if constant_iv else "")
            systems += [replace(one, pssh=None, hls_media=line, hls_master=None)
                        for one in asked.drm_systems if one.kid == key.kid]  # fmt: skip
        return 200, cpix.build(replace(asked, keys=tuple(keys), drm_systems=tuple(systems)))

    speke.answer = answer
    members = {"ConstantInitializationVector": constant_iv} if constant_iv else {}
    protected = encryption(speke, AES_128, EncryptionMethod="AES_128", **members)
    package = hls_package("HlsPackage", **protected) if grouped else muxed(**protected)
    [url] = packaged(stack, "aes", films.smil if grouped else films.hls, package)
    multivariant = stack.get(url).text
    for name in hls.media_playlists(multivariant):
        playlist = stack.get(urljoin(url, name)).text
        (tmp_path / name).write_text(playlist)
        for segment in hls.segment_names(playlist):
            (tmp_path / segment).write_bytes(stack.get(urljoin(url, segment)).content)
    (tmp_path / "index.m3u8").write_text(multivariant)
    options = ["-allowed_extensions", "ALL", "-protocol_whitelist", "file,crypto"]
    assert frames(tmp_path / "index_video_1.m3u8", *options) == 150
    assert len(served) == 2
    if not grouped:
        assert frames(tmp_path / "index_video_1.m3u8", *options, stream="a:0") > 250
    encrypted = (tmp_path / "video_1_1.ts").read_bytes()
    assert len(encrypted) % 16 == 0 and set(encrypted[::188]) != {0x47}


def test_a_provider_without_keys_is_told_as_its_own_error(stack: PackagingStack, films: Films, speke: Speke) -> None:
    speke.answer = lambda _body: (403, b"no")
    told = failure(stack, "nokeys", films.smil, dash_package(**encryption(speke, CLEAR_KEY)))
    assert told.startswith("KeyProviderError: ")
    assert "refused to give keys" in told


def sources(stack: PackagingStack, films: Films, folder: Path) -> dict[str, tuple[str, str]]:
    """Bad sources: name -> (object key of the manifest, what the refusal must say)."""
    film = films.folder / "film_90.mp4"
    ffmpeg(folder / "frag.mp4", "-i", str(film), "-c", "copy", "-movflags", "frag_keyframe+empty_moov")
    ffmpeg(folder / "vp9.mp4", "-i", str(film), "-t", "0.4", "-c:v", "libvpx-vp9", "-b:v", "50k", "-c:a", "copy")
    ffmpeg(folder / "sound.mp4", "-i", str(film), "-vn", "-c", "copy")
    (folder / "text.mp4").write_text("no film at all")
    (folder / "captions.srt").write_text("nothing")
    (folder / "film.mp4").write_bytes(film.read_bytes())
    one = '<smil><body><switch><video name="{}"/></switch></body></smil>'
    manifests = {
        "fragmented": (one.format("frag.mp4"), "frag.mp4: the MP4 is fragmented"),
        "codec": (one.format("vp9.mp4"), "video codec vp09; needed: H.264"),
        "no video": (one.format("sound.mp4"), "sound.mp4"),
        "no media": (one.format("text.mp4"), "text.mp4"),
        "missing": (one.format("gone.mp4"), "gone.mp4"),
        "outside": (one.format("../film_90.mp4"), "is not the path of a file beside the SMIL"),
        "languages": (
            one.format('film.mp4" systemLanguage="en,fr'),
            "2 languages for 1 audio tracks",
        ),
        "captions": (
            '<smil><body><switch><video name="film.mp4"/><textstream src="captions.srt" systemLanguage="en"/>'
            "</switch></body></smil>",
            "captions.srt: ",
        ),
        "no smil": ("<html/>", "expected smil"),
        "doctype": ('<!DOCTYPE x [<!ENTITY e "x">]><smil/>', "doctype.smil"),
    }
    found = {}
    for name, (text, told) in manifests.items():
        key = f"bad/{name.replace(' ', '')}.smil"
        stack.s3.put_object(Bucket="media", Key=key, Body=text.encode())
        found[name] = (key, told)
    for path in folder.iterdir():
        stack.s3.upload_file(str(path), "media", f"bad/{path.name}")
    for name, line, told in (
        ("mapped", '#EXT-X-MAP:URI="init.mp4"', "is fragmented MP4"),
        ("locked", '#EXT-X-KEY:METHOD=AES-128,URI="k"', "is encrypted"),
    ):
        media = f"#EXTM3U\n{line}\n#EXTINF:1,\ns.ts\n#EXT-X-ENDLIST\n"
        stack.s3.put_object(Bucket="media", Key=f"bad/{name}.media.m3u8", Body=media.encode())
        main = f"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{name}.media.m3u8\n"
        stack.s3.put_object(Bucket="media", Key=f"bad/{name}.m3u8", Body=main.encode())
        found[name] = (f"bad/{name}.m3u8", told)
    return found


def test_what_cannot_be_ingested_is_told_with_the_file_and_the_reason(
    stack: PackagingStack, films: Films, tmp_path: Path
) -> None:
    for number, (name, (key, told)) in enumerate(sources(stack, films, tmp_path).items()):
        message = failure(stack, f"bad-{number}", key, dash_package())
        assert message.startswith("IngestError: ") and told in message, (name, message)


def test_no_key_is_in_the_log_the_database_or_the_packages(stack: PackagingStack, films: Films, speke: Speke) -> None:
    packaged(stack, "silent", films.smil, dash_package(**encryption(speke, CLEAR_KEY)), ResourceId="silent")
    kids = [KeyId.from_uuid(part.split('"')[0]) for part in speke.requests[0][1].decode().split('kid="')[1:]]
    folder = stack.config.data_dir / "localaws"
    wait_for(lambda: not any((folder / "mediapackage-vod" / "work").iterdir()), 10)
    files = [path for path in folder.rglob("*") if path.is_file() and "s3" not in path.parts]
    contents = [path.read_bytes() for path in files] + [stack.log().encode()]
    for kid in set(kids):
        key = CONTENT_KEYS.content_key("silent", kid).reveal()
        assert not any(key in content or key.hex().encode() in content for content in contents)
