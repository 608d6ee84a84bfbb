"""Smooth Streaming packages as players get them: manifest, every fragment that it names, what ffprobe decodes."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import pytest
from lxml import etree

from mediaconvert_speke import CONTENT_KEYS, Speke
from mediapackage_packages import encryption, failure, frames, packaged
from mediapackage_stack import Films, PackagingStack
from penstock.formats import cpix, movie, piff
from penstock.formats.isobmff import PLAYREADY, boxes
from penstock.formats.movie import Buffer, Entry
from penstock.formats.progressive import box, full_box
from penstock.model import KeyId
from sample_media import ffmpeg

Json = dict[str, Any]


def mss(*manifests: Json, **members: Any) -> Json:
    return {"MssPackage": {"MssManifests": list(manifests or ({},)), "SegmentDurationSeconds": 2, **members}}


def fragments(stack: PackagingStack, url: str, stream: etree._Element, level: int = 0) -> list[bytes]:
    """Fetch all fragments of one quality as a player does that knows nothing but the manifest."""
    found, time = [], 0
    for c in stream.findall("c"):
        time = int(c.get("t", time))
        name = stream.get("Url", "").replace("{bitrate}", stream.findall("QualityLevel")[level].get("Bitrate", ""))
        answer = stack.get(urljoin(url, name.replace("{start time}", str(time))))
        assert answer.status_code == 200, name
        found.append(answer.content)
        time += int(c.get("d", "0"))
    return found


def head(source: Path, handler: str, kid: KeyId | None = None) -> bytes:
    """A file's head for fragments, from the sample entry of the source."""
    [track, *_] = movie.read_movie(Buffer(source.read_bytes())).of(handler)
    entry = track.entries[0]
    if kid is not None:
        tenc = bytes(6) + b"\1\x08" + kid.raw
        scheme = box("sinf", box("frma", b"avc1"), full_box("schm", 0, 0, b"cenc\0\1\0\0"),
                     box("schi", box("tenc", tenc)))  # fmt: skip
        entry = Entry("avc1", True, box("encv", entry.box[8:], scheme), entry.width_px, entry.height_px)
    written = piff.header([piff.FileTrack(1, handler, "und", entry, 60_000_000)])
    # ffmpeg decrypts by the name of common encryption alone; the bytes are the same.
    return written.replace(b"schm\0\0\0\0piff", b"schm\0\0\0\0cenc")


def test_clear_smooth_has_every_frame_language_and_caption(stack: PackagingStack, films: Films, tmp_path: Path) -> None:
    [url] = packaged(stack, "smooth", films.smil, mss())
    assert url.endswith("/index.ism/Manifest")
    answer = stack.get(url)
    assert answer.headers["content-type"].startswith("text/xml")
    root = etree.fromstring(answer.content)
    streams = root.findall("StreamIndex")
    assert [(one.get("Type"), one.get("Language")) for one in streams] == [
        ("video", None),
        ("audio", "en"),
        ("audio", "fr"),
        ("text", "en"),
    ]
    pictures, english, _, captions = streams
    for level, film in enumerate(("film_180.mp4", "film_90.mp4")):
        whole = tmp_path / f"{level}.ismv"
        whole.write_bytes(head(films.folder / film, "vide") + b"".join(fragments(stack, url, pictures, level)))
        assert frames(whole) == 150
    whole = tmp_path / "sound.isma"
    whole.write_bytes(head(films.folder / "film_180.mp4", "soun") + b"".join(fragments(stack, url, english)))
    assert frames(whole, stream="a:0") > 250
    said = fragments(stack, url, captions)
    assert len(said) == 3 and b"Good" in said[0]
    # Times count from the fragment; what crosses a border is shown by both.
    assert b'begin="00:00:01.000" end="00:00:02.000">Tom &amp; Jerry' in said[1]
    assert b'begin="00:00:00.000" end="00:00:00.500">Tom &amp; Jerry' in said[2]


def test_selection_and_order_are_as_each_manifest_asks(stack: PackagingStack, films: Films) -> None:
    manifests = [
        {"ManifestName": "up", "StreamSelection": {"StreamOrder": "VIDEO_BITRATE_ASCENDING"}},
        {"ManifestName": "top", "StreamSelection": {"MinVideoBitsPerSecond": 300_000}},
    ]
    [url] = packaged(stack, "mssorder", films.smil, mss(*manifests))
    rates = {}
    for name in ("up", "top"):
        root = etree.fromstring(stack.get(url.replace("/up.ism/", f"/{name}.ism/")).content)
        levels = root.findall("StreamIndex[@Type='video']/QualityLevel")
        rates[name] = [int(level.get("Bitrate", "0")) for level in levels]
    assert len(rates["up"]) == 2 and rates["up"] == sorted(rates["up"])
    assert rates["top"] == [rates["up"][1]]
    for wrong in ("index.ism/Manifest", "up.ism/QualityLevels(1)/Fragments(video=0)", "up.ism/../up.ism/Manifest/x",
                  "up.ism/QualityLevels(1)/Fragments(..=0)", "fragments/video/1/0"):  # fmt: skip
        assert stack.get(url.replace("up.ism/Manifest", wrong)).status_code == 404, wrong


def test_transport_streams_become_smooth_too(stack: PackagingStack, films: Films, tmp_path: Path) -> None:
    [url] = packaged(stack, "msshls", films.hls, mss())
    [pictures, *_] = etree.fromstring(stack.get(url).content).findall("StreamIndex")
    whole = tmp_path / "film.ismv"
    whole.write_bytes(head(films.folder / "film_180.mp4", "vide") + b"".join(fragments(stack, url, pictures)))
    assert frames(whole) == 150


def test_playready_opens_with_the_key_of_the_provider_and_with_no_other(
    stack: PackagingStack, films: Films, speke: Speke, tmp_path: Path
) -> None:
    [url] = packaged(stack, "mssdrm", films.smil, mss(**encryption(speke, str(PLAYREADY))), ResourceId="film-2")
    root = etree.fromstring(stack.get(url).content)
    headers = {base64.b64decode(one.text or "") for one in root.iter("ProtectionHeader")}
    assert {one.get("SystemID") for one in root.iter("ProtectionHeader")} == {str(PLAYREADY).upper()}
    assert len(headers) == 2 and all(b"W\0R\0M\0H\0E\0A\0D\0E\0R\0" in header for header in headers)
    [pictures, *_] = root.findall("StreamIndex")
    encrypted = fragments(stack, url, pictures)
    moof = next(boxes(encrypted[0]))
    assert piff.SAMPLE_ENCRYPTION.bytes in moof.payload
    opened = []
    for kid in (key.kid for key in cpix.parse(speke.requests[0][1]).keys):
        whole = tmp_path / f"{kid}.ismv"
        whole.write_bytes(head(films.folder / "film_180.mp4", "vide", kid) + b"".join(encrypted))
        key = CONTENT_KEYS.content_key("film-2", kid).reveal().hex()
        try:
            opened.append(frames(whole, "-decryption_key", key))
        except AssertionError:
            opened.append(0)
    assert sorted(opened) == [0, 150]


@pytest.mark.parametrize(
    ("members", "told"),
    [
        ({"SystemIds": ["edef8ba9-79d6-4ace-a3c8-27dcd51d21ed"]}, "PlayReady alone"),
        ({"SystemIds": [str(PLAYREADY), "edef8ba9-79d6-4ace-a3c8-27dcd51d21ed"]}, "1 to 1 DRM system ids"),
    ],
)
def test_other_systems_than_playready_are_refused(
    stack: PackagingStack, speke: Speke, members: Json, told: str
) -> None:
    package = mss(**encryption(speke, str(PLAYREADY)))
    package["MssPackage"]["Encryption"]["SpekeKeyProvider"] |= members
    stack.group("mssno")
    with pytest.raises(stack.mediapackage.exceptions.UnprocessableEntityException, match=told):
        stack.mediapackage.create_packaging_configuration(Id="x", PackagingGroupId="mssno", **package)


def test_renditions_whose_key_frames_do_not_meet_cannot_be_smooth(
    stack: PackagingStack, films: Films, tmp_path: Path
) -> None:
    other = tmp_path / "other.mp4"
    ffmpeg(other, "-i", str(films.folder / "film_90.mp4"), "-c:v", "libx264", "-preset", "ultrafast", "-g", "70",
           "-keyint_min", "70", "-sc_threshold", "0", "-c:a", "copy")  # fmt: skip
    for path in (other, films.folder / "film_180.mp4"):
        stack.s3.upload_file(str(path), "media", f"uneven/{path.name}")
    smil = '<smil><body><switch><video name="film_180.mp4"/><video name="other.mp4"/></switch></body></smil>'
    stack.s3.put_object(Bucket="media", Key="uneven/film.smil", Body=smil.encode())
    assert "GOPs that begin at the same times" in failure(stack, "uneven", "uneven/film.smil", mss())
