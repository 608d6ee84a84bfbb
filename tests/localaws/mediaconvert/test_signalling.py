"""Manifests carry final names and what the key provider said."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from lxml import etree

from localaws.media import signalling
from localaws.media.encryption import Encryption, StaticKey
from localaws.media.failures import JobError
from localaws.media.keys import Keys, TrackKey
from localaws.media.signalling import AlternativeAudio
from penstock.formats import contracts, cpix
from penstock.model import ContentKey, KeyId

CLEARKEY = "e2719d58-a985-b3c9-781a-b030af78d30e"
WIDEVINE = "edef8ba9-79d6-4ace-a3c8-27dcd51d21ed"
KID = KeyId(b"\x11" * 16)
MPD = f"""<?xml version="1.0"?>
<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" xmlns:cenc="urn:mpeg:cenc:2013"><Period>
 <AdaptationSet frameRate="12800/512">
  <ContentProtection value="cbcs" schemeIdUri="urn:mpeg:dash:mp4protection:2011" cenc:default_KID="{KID}"/>
  <ContentProtection schemeIdUri="urn:uuid:1077efec-c0b2-4d02-ace3-3c1e52e2fb4b"><cenc:pssh>AAAA</cenc:pssh>
  </ContentProtection>
  <Representation><SegmentTemplate initialization="g0o0init.cmfv" media="g0o0_$Number%09d$.cmfv"/></Representation>
  <Representation><BaseURL>g0o1.mp4</BaseURL></Representation>
 </AdaptationSet></Period></MPD>""".encode()
NAMESPACES = {"d": "urn:mpeg:dash:schema:mpd:2011", "cenc": "urn:mpeg:cenc:2013"}


def keys(**system: object) -> Keys:
    drm = cpix.DrmSystem(KID, UUID(CLEARKEY), **system)  # type: ignore[arg-type]
    widevine = cpix.DrmSystem(KID, UUID(WIDEVINE), pssh=b"boxes")
    return Keys((TrackKey("VIDEO", cpix.CpixKey(KID, key=ContentKey(b"k" * 16)), (drm, widevine)),))


def encryption(*hls_systems: str, **members: Any) -> Encryption:
    return Encryption("e", "cbcs", "https://k/", "a", (), hls_systems, contracts.ONE_KEY, **members)


def protections(mpd: bytes) -> list[etree._Element]:
    return etree.fromstring(mpd).findall(".//d:ContentProtection", NAMESPACES)


def test_files_get_their_final_names() -> None:
    references = {"g0o0init.cmfv": "a$bc%20dinit.cmfv", "g0o1.mp4": "single%23.mp4"}
    mpd = signalling.rename_in_mpd(MPD, references, {"g0o0": "a$$bc%20d_$Number%09d$"})
    root = etree.fromstring(mpd)
    template = root.find(".//d:SegmentTemplate", NAMESPACES)
    assert template is not None
    # A dollar sign is spelled twice in a template.
    assert template.get("media") == "a$$bc%20d_$Number%09d$.cmfv"
    assert template.get("initialization") == "a$$bc%20dinit.cmfv"
    assert root.findtext(".//d:BaseURL", namespaces=NAMESPACES) == "single%23.mp4"
    assert root.find(".//d:AdaptationSet", NAMESPACES).get("frameRate") == "25"  # type: ignore[union-attr]


def test_the_key_providers_signalling_replaces_the_packagers() -> None:
    data = '<dashif:Laurl xmlns:dashif="https://dashif.org/CPS">https://l/</dashif:Laurl>'
    found = protections(signalling.signal_in_mpd(MPD, keys(content_protection_data=data), [WIDEVINE, CLEARKEY]))
    assert [one.get("schemeIdUri") for one in found] == [
        "urn:mpeg:dash:mp4protection:2011",
        f"urn:uuid:{WIDEVINE}",
        f"urn:uuid:{CLEARKEY}",
    ]
    assert found[1].findtext("cenc:pssh", namespaces=NAMESPACES) == "Ym94ZXM="
    assert found[2][0].tag == "{https://dashif.org/CPS}Laurl" and found[2][0].text == "https://l/"


def test_systems_that_were_not_asked_for_are_not_signalled() -> None:
    found = protections(signalling.signal_in_mpd(MPD, keys(), [CLEARKEY]))
    assert [one.get("schemeIdUri") for one in found][1:] == [f"urn:uuid:{CLEARKEY}"]


def test_a_whole_element_is_taken_for_its_children() -> None:
    data = '<ContentProtection schemeIdUri="urn:uuid:x"><cenc:pssh>QQ==</cenc:pssh></ContentProtection>'
    found = protections(signalling.signal_in_mpd(MPD, keys(content_protection_data=data), [CLEARKEY]))
    assert found[1].findtext("cenc:pssh", namespaces=NAMESPACES) == "QQ=="


@pytest.mark.parametrize("data", ["<a>", '<!DOCTYPE x [<!ENTITY y "z">]><a>&y;</a>', "&nothing;"])
def test_content_protection_data_that_is_no_xml_is_refused(data: str) -> None:
    with pytest.raises(JobError) as raised:
        signalling.signal_in_mpd(MPD, keys(content_protection_data=data), [CLEARKEY])
    assert raised.value.code == 1091


MULTIVARIANT = """#EXTM3U
## Generated with a packager

#EXT-X-MEDIA:TYPE=AUDIO,URI="g0o1.m3u8",GROUP-ID="audio",NAME="g0o1",DEFAULT=NO,AUTOSELECT=YES
#EXT-X-MEDIA:TYPE=AUDIO,URI="g0o2.m3u8",GROUP-ID="audio",NAME="g0o2",DEFAULT=NO,AUTOSELECT=YES

#EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO="audio"
g0o0.m3u8
"""
MEDIA = """#EXTM3U
#EXT-X-MAP:URI="g0o0init.cmfv"
#EXT-X-KEY:METHOD=SAMPLE-AES,URI="data:x",KEYFORMAT="identity"
#EXTINF:2.000,
g0o0_000000001.cmfv
#EXT-X-ENDLIST
"""


def test_playlists_get_final_names() -> None:
    references = {f"g0o{n}.m3u8": f"main_{n}.m3u8" for n in range(3)} | {"g0o0init.cmfv": "main_0init.cmfv"}
    text = signalling.rename_in_playlist(MULTIVARIANT, references, {})
    assert 'URI="main_1.m3u8"' in text and "\nmain_0.m3u8\n" in text and "Generated" not in text
    text = signalling.rename_in_playlist(MEDIA, references, {"g0o0": "main_0"})
    assert 'URI="main_0init.cmfv"' in text and "\nmain_0_000000001.cmfv\n" in text


def test_one_audio_of_a_group_plays_by_itself() -> None:
    audios = [AlternativeAudio("g0o1", 'Fre"nch', True), AlternativeAudio("g0o2", "English", True)]
    lines = signalling.announce_audio(MULTIVARIANT, audios).splitlines()
    media = [line for line in lines if line.startswith("#EXT-X-MEDIA")]
    assert "DEFAULT=YES" in media[0] and 'NAME="Fre\'nch"' in media[0]
    assert "DEFAULT=NO" in media[1] and 'NAME="English"' in media[1]


def test_key_lines_come_from_the_key_provider() -> None:
    line = '#EXT-X-KEY:METHOD=SAMPLE-AES,URI="skd://x",KEYFORMAT="com.apple.streamingkeydelivery"'
    track = keys(hls_media=line + "\n").tracks[0]
    text = signalling.signal_in_media_playlist(MEDIA, encryption(CLEARKEY), track)
    assert text.count("#EXT-X-KEY") == 1 and line in text
    assert signalling.signal_in_media_playlist(MEDIA, encryption(WIDEVINE), track) == MEDIA
    session = line.replace("EXT-X-KEY", "EXT-X-SESSION-KEY")
    text = signalling.signal_in_multivariant(MULTIVARIANT, keys(hls_master=session), [CLEARKEY])
    assert text.index(session) < text.index("#EXT-X-MEDIA")


def test_a_signalling_line_that_is_no_key_tag_is_refused() -> None:
    track = keys(hls_media="#EXT-X-KEY:METHOD=NONE\nhttp://elsewhere/segment.ts").tracks[0]
    with pytest.raises(JobError, match="no key tag"):
        signalling.signal_in_media_playlist(MEDIA, encryption(CLEARKEY), track)


IV = "0f" * 16


@pytest.mark.parametrize(
    ("members", "ending"),
    [
        ({"constant_iv": IV}, f",IV=0x{IV}"),
        ({"constant_iv": IV, "iv_in_manifest": False}, ""),
        ({}, ""),
    ],
)
def test_a_constant_iv_is_listed_where_the_job_wants_it(members: dict[str, Any], ending: str) -> None:
    line = '#EXT-X-KEY:METHOD=AES-128,URI="https://k/1"'
    asked, track = encryption(CLEARKEY, **members), keys(hls_media=line).tracks[0]
    assert signalling.key_tags(asked, track) == [line + ending]
    expected = bytes.fromhex(IV) if "constant_iv" in members else None
    assert signalling.segment_iv(asked, signalling.key_tags(asked, track)) == expected


def test_an_iv_that_the_key_provider_names_wins() -> None:
    line = f'#EXT-X-KEY:METHOD=AES-128,URI="https://k/1",IV=0x{"aa" * 16}'
    asked, track = encryption(CLEARKEY, constant_iv=IV), keys(hls_media=line).tracks[0]
    assert signalling.key_tags(asked, track) == [line]
    assert signalling.segment_iv(asked, [line]) == b"\xaa" * 16


def test_a_static_key_is_signalled_as_the_settings_say() -> None:
    static = StaticKey(ContentKey(b"k" * 16), "https://k/?a=1", "com.example", "1/2")
    asked = encryption(static=static, whole_segments=True, constant_iv=IV)
    assert signalling.key_tags(asked, keys().tracks[0]) == [
        '#EXT-X-KEY:METHOD=AES-128,URI="https://k/?a=1",KEYFORMAT="com.example",KEYFORMATVERSIONS="1/2",' + f"IV=0x{IV}"
    ]
    assert "https" not in repr(static) and "6b6b" not in repr(asked)
