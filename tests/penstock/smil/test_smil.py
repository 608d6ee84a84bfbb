"""penstock smil on what foreign packagers write; ffmpeg judges what comes out."""

import os
import re
import shutil
from pathlib import Path

import pytest

import ladder_media
from ladder_media import SRT, by_ffmpeg, by_packager, ffmpeg, frames, packets, probe
from penstock import smil
from penstock.errors import InvalidRequest, ManifestError, NotFound, PenstockError, SourceRejected
from penstock.formats import smil as smil_format
from penstock.formats.smil import Audio


def make(manifest, folder, name="film.smil", **options):
    folder.mkdir(exist_ok=True)
    return smil.make(str(manifest), str(folder / name), **options)


def read(made):
    return smil_format.parse(Path(made.smil).read_bytes())


PACKAGINGS = {
    "ffmpeg timeline": lambda films, out: by_ffmpeg(films, out),
    "ffmpeg numbers": lambda films, out: by_ffmpeg(films, out, "-use_timeline", "0"),
    "ffmpeg single file": lambda films, out: by_ffmpeg(films, out, "-single_file", "1"),
    "ffmpeg hls": lambda films, out: by_ffmpeg(films, out, "-hls_playlist", "1").with_name("master.m3u8"),
    "packager segments": lambda films, out: by_packager(films, out, text="ttml"),
    "packager single file": lambda films, out: by_packager(films, out, segments=False),
    "packager hls": lambda films, out: by_packager(films, out).with_name("main.m3u8"),
    "packager hls single file": lambda films, out: by_packager(films, out, segments=False).with_name("main.m3u8"),
    "packager hls webvtt": lambda films, out: by_packager(films, out, text="vtt").with_name("main.m3u8"),
    "packager dash webvtt": lambda films, out: by_packager(films, out, text="vtt"),
}


@pytest.mark.parametrize("packaging", PACKAGINGS)
def test_every_packaging_gives_the_same_pictures_and_sound_in_whole_files(packaging, films, tmp_path):
    manifest = PACKAGINGS[packaging](films, tmp_path / "out")
    made = make(manifest, tmp_path / "smil")
    found = read(made)
    assert [probe(tmp_path / "smil" / v.name, "stream=height")[0] for v in found.videos] == ["180", "90"]
    for video, source in zip(found.videos, ("hi.mp4", "lo.mp4"), strict=True):
        path = tmp_path / "smil" / video.name
        assert frames(path) == frames(films / source)
        # ffmpeg's MPD without a timeline does not count the last segment of sound, a few hundredths of a second.
        if packaging != "ffmpeg numbers":
            assert packets(path, "a:0") == packets(films / "hi.mp4", "a:0")
            assert packets(path, "a:1") == packets(films / "hi.mp4", "a:1")
        if packaging != "ffmpeg hls":  # it tells the languages nowhere
            assert probe(path, "stream_tags=language") == ["und", "eng", "fra"]
        assert [float(time) for time in probe(path, "stream=start_time")] == pytest.approx([0, 0, 0], abs=0.03)
        assert float(probe(path, "format=duration")[0]) == pytest.approx(6, abs=0.05)
        assert b"moof" not in path.read_bytes()[:4096]
    first, second = found.videos
    assert [track.included for track in (*first.audio, *second.audio)] == [True, True, False, False]
    if packaging != "ffmpeg hls":
        assert [track.language[:2] for track in second.audio] == ["en", "fr"]
    if packaging.startswith("packager"):
        assert [text.language for text in found.texts] == ["en"]
        # Shaka Packager takes the entities of WebVTT into TTML as they are.
        assert (tmp_path / "smil" / found.texts[0].name).read_text().replace("&amp;", "&") == SRT
    assert smil.check(made.smil) == []


def test_the_same_manifest_gives_the_same_bytes(segmented, tmp_path):
    first, second = make(segmented, tmp_path / "one"), make(segmented, tmp_path / "two")
    assert first.files == second.files
    for name in (*first.files, "film.smil"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    again = make(segmented, tmp_path / "one")
    assert again == first
    assert sorted(path.name for path in (tmp_path / "one").iterdir()) == sorted((*first.files, "film.smil"))


def test_names_of_languages_come_from_playlists(films, tmp_path):
    manifest = by_packager(films, tmp_path / "out").with_name("main.m3u8")
    found = read(make(manifest, tmp_path / "smil"))
    assert found.videos[0].audio == (Audio("en", "English"), Audio("fr", "Français"))
    assert found.texts[0].title == "English"


PLAIN = """<MPD type="static" mediaPresentationDuration="PT6S"><Period><AdaptationSet mimeType="video/mp4">{}
</AdaptationSet></Period></MPD>"""


def plain(*files):
    return PLAIN.format("".join(f'<Representation id="{f}"><BaseURL>{f}</BaseURL></Representation>' for f in files))


def test_plain_files_beside_the_smil_are_only_named(films, tmp_path):
    shutil.copy(films / "hi.mp4", tmp_path / "hi.mp4")
    (tmp_path / "main.mpd").write_text(plain("hi.mp4"))
    made = make(tmp_path / "main.mpd", tmp_path)
    assert (made.files, made.written) == (("hi.mp4",), ())
    assert read(made).videos[0].audio == (Audio("eng"), Audio("fra"))
    assert smil.check(made.smil) == []


def test_plain_files_elsewhere_are_copied_and_plain_sound_is_put_in(films, tmp_path):
    (tmp_path / "src").mkdir()
    ffmpeg("-i", films / "hi.mp4", "-map", "0:a:0", "-c", "copy", tmp_path / "src" / "en.mp4")
    shutil.copy(films / "lo.mp4", tmp_path / "src")
    (tmp_path / "src" / "main.mpd").write_text(plain("lo.mp4", "en.mp4"))
    made = make(tmp_path / "src" / "main.mpd", tmp_path / "out")
    assert made.written == ("film_90p.mp4",)
    path = tmp_path / "out" / "film_90p.mp4"
    assert frames(path) == frames(films / "lo.mp4")
    assert packets(path, "a:0") == packets(films / "hi.mp4", "a:0")


def test_a_source_of_the_same_name_is_not_overwritten(films, tmp_path):
    source = tmp_path / "film_90p.mp4"
    ffmpeg("-i", films / "lo.mp4", "-c", "copy", "-movflags", "frag_keyframe+empty_moov", source)
    before = source.read_bytes()
    (tmp_path / "main.mpd").write_text(plain("film_90p.mp4"))
    made = make(tmp_path / "main.mpd", tmp_path)
    assert made.files == ("film_90p_2.mp4",)
    assert source.read_bytes() == before
    assert frames(tmp_path / "film_90p_2.mp4") == frames(source)


def periods(segmented, *cuts):
    """The segmented presentation as several Periods: (segments of 2 s before, segments, media time of the first)."""
    text = segmented.read_text()
    body = re.search(r"<Period[^>]*>(.*)</Period>", text, re.DOTALL)[1]
    parts = []
    for first, count in cuts:

        def cut(match, first=first, count=count):
            scale = int(match[1])
            return (f'<SegmentTemplate timescale="{scale}" presentationTimeOffset="{first * 2 * scale}"'
                    f'{match[2]}>{match[3]}</SegmentTemplate>')  # fmt: skip

        pattern = r'<SegmentTemplate timescale="(\d+)"([^>]*)>(.*?)</SegmentTemplate>'
        period = re.sub(pattern, cut, body, flags=re.DOTALL)
        period = _only(period, first, count)
        parts.append(f'<Period duration="PT{2 * count}S">{period}</Period>')
    return re.sub(r"<Period.*</Period>", lambda _: "".join(parts), text, flags=re.DOTALL)


def _only(period, first, count):
    def timeline(match):
        times, time = [], 0
        for run in re.findall(r"<S ([^/]*)/>", match[1]):
            about = dict(re.findall(r'(\w)="(\d+)"', run))
            time = int(about.get("t", time))
            for _ in range(int(about.get("r", 0)) + 1):
                times.append((time, int(about["d"])))
                time += int(about["d"])
        runs = "".join(f'<S t="{t}" d="{d}"/>' for t, d in times[first : first + count])
        return f"<SegmentTimeline>{runs}</SegmentTimeline>"

    return re.sub(r"<SegmentTimeline>(.*?)</SegmentTimeline>", timeline, period, flags=re.DOTALL)


def test_several_periods_become_one_film(films, segmented, tmp_path):
    folder = shutil.copytree(segmented.parent, tmp_path / "src")
    (folder / "main.mpd").write_text(periods(segmented, (0, 2), (2, 1)))
    found = read(make(folder / "main.mpd", tmp_path / "out"))
    path = tmp_path / "out" / found.videos[1].name
    assert frames(path) == frames(films / "lo.mp4")
    assert float(probe(path, "format=duration")[0]) == pytest.approx(6, abs=0.05)
    assert (tmp_path / "out" / found.texts[0].name).read_text() == SRT


def test_periods_may_come_in_any_order_and_again(segmented, tmp_path):
    folder = shutil.copytree(segmented.parent, tmp_path / "src")
    (folder / "main.mpd").write_text(periods(segmented, (1, 2), (0, 1), (0, 3)))
    made = make(folder / "main.mpd", tmp_path / "out")
    path = tmp_path / "out" / made.files[0]
    assert probe(path, "stream=nb_frames")[0] == "300"
    assert [float(d) for d in probe(path, "stream=duration")] == pytest.approx([12, 12, 12], abs=0.06)
    assert smil.check(made.smil) == []


GPAC = """<?xml version="1.0"?>
<!-- MPD file Generated with GPAC version 2.2 -->
<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" minBufferTime="PT1.500S" type="static"
 mediaPresentationDuration="PT0H0M6.000S" profiles="urn:mpeg:dash:profile:full:2011">
 <ProgramInformation moreInformationURL="http://gpac.io"><Title>main.mpd</Title></ProgramInformation>
 <Period duration="PT0H0M6.000S">
  <AdaptationSet segmentAlignment="true" maxWidth="320" maxHeight="180" maxFrameRate="25" par="16:9" lang="und">
   <SegmentList><Initialization sourceURL="hi_init.mp4"/></SegmentList>
   <Representation id="1" mimeType="video/mp4" codecs="avc1.42C00C" bandwidth="640000">
    <SegmentList timescale="12800" duration="25600"><SegmentURL media="hi_0.m4s"/><SegmentURL media="hi_25600.m4s"/>
     <SegmentURL media="hi_51200.m4s"/></SegmentList>
   </Representation>
  </AdaptationSet>
  <AdaptationSet segmentAlignment="true" lang="en">
   <Representation id="2" mimeType="audio/mp4" codecs="mp4a.40.2" audioSamplingRate="44100" bandwidth="70000">
    <AudioChannelConfiguration schemeIdUri="urn:mpeg:dash:23003:3:audio_channel_configuration:2011" value="1"/>
    <BaseURL>en.mp4</BaseURL>
    <SegmentBase indexRangeExact="true" indexRange="{0}-{1}"><Initialization range="0-{2}"/></SegmentBase>
   </Representation>
  </AdaptationSet>
 </Period>
</MPD>"""


def test_the_mpd_of_gpac(films, segmented, tmp_path):
    folder = shutil.copytree(segmented.parent, tmp_path / "src")
    single = by_packager(films, tmp_path / "single", segments=False)
    shutil.copy(single.with_name("en.mp4"), folder / "en.mp4")
    found = re.search(r'en.mp4.*?indexRange="(\d+)-(\d+)".*?range="0-(\d+)"', single.read_text(), re.DOTALL)
    (folder / "main.mpd").write_text(GPAC.format(*found.groups()))
    made = make(folder / "main.mpd", tmp_path / "out")
    path = tmp_path / "out" / made.files[0]
    assert (made.files, frames(path)) == (("film_180p_640k.mp4",), frames(films / "hi.mp4"))
    assert packets(path, "a:0") == packets(films / "hi.mp4", "a:0")


AWS = """<?xml version="1.0" encoding="UTF-8"?>
<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" xmlns:cenc="urn:mpeg:cenc:2013" id="201" minBufferTime="PT30S"
 profiles="urn:mpeg:dash:profile:isoff-main:2011" mediaPresentationDuration="PT6S" type="static">
 <Period start="PT0S" duration="PT6S" id="1">
  <AdaptationSet mimeType="video/mp4" segmentAlignment="true" startWithSAP="1" subsegmentStartsWithSAP="1"
   bitstreamSwitching="true" contentType="video">
   <Accessibility schemeIdUri="urn:scte:dash:cc:cea-608:2015" value="CC1=eng"/>
   <Representation id="1" width="160" height="90" frameRate="25/1" bandwidth="90000" codecs="avc1.64000B">
    <SegmentTemplate timescale="12800" media="lo_$Time$.m4s" initialization="lo_init.mp4" startNumber="1"
     presentationTimeOffset="0"><SegmentTimeline><S t="0" d="25600" r="2"/></SegmentTimeline></SegmentTemplate>
   </Representation>
  </AdaptationSet>
  <AdaptationSet mimeType="audio/mp4" segmentAlignment="0" lang="eng"><Label>English, stereo</Label>
   <Role schemeIdUri="urn:mpeg:dash:role:2011" value="main"/>
   <Representation id="2" bandwidth="70000" audioSamplingRate="44100" codecs="mp4a.40.2">
    <SegmentTemplate timescale="44100" media="en_$Number%05d$.m4s" initialization="en_init.mp4" duration="88200"/>
   </Representation>
  </AdaptationSet>
  <AdaptationSet mimeType="application/ttml+xml" lang="fra" contentType="text"><Representation id="3" bandwidth="500">
   <BaseURL>fra.ttml</BaseURL></Representation></AdaptationSet>
 </Period>
</MPD>"""
TTML = """<tt xmlns="http://www.w3.org/ns/ttml" xml:lang="fr"><body>
<div><p begin="00:00:00.500" end="00:00:01.500">Bonjour
</p></div></body></tt>"""


def test_an_mpd_as_mediaconvert_writes_it(segmented, tmp_path):
    folder = shutil.copytree(segmented.parent, tmp_path / "src")
    for number, path in enumerate(sorted(folder.glob("en_*.m4s"), key=lambda p: int(p.stem[3:])), start=1):
        path.rename(folder / f"en_{number:05}.m4s")
    (folder / "fra.ttml").write_text(TTML)
    (folder / "main.mpd").write_text(AWS)
    found = read(make(folder / "main.mpd", tmp_path / "out"))
    assert found.videos == (smil_format.Video("film_90p_90k.mp4", (Audio("eng", "English stereo"),)),)
    assert found.texts == (smil_format.Text("film_fra.srt", "fra"),)
    assert (tmp_path / "out" / "film_fra.srt").read_text() == "1\n00:00:00,500 --> 00:00:01,500\nBonjour\n"


def test_encrypted_media_are_refused_though_the_manifest_is_silent(films, tmp_path):
    keys = ("--enable_raw_key_encryption", "--keys", f"label=:key_id={'1' * 32}:key={'2' * 32}", "--clear_lead", "0")
    keys += ("--protection_scheme", "cbcs", "--hls_key_uri", "skd://x", "--protection_systems", "FairPlay,CommonSystem")
    manifest = by_packager(films, tmp_path / "out", more=keys)
    with pytest.raises(SourceRejected, match="encrypted: MPD/Period/AdaptationSet"):
        make(manifest, tmp_path / "smil")
    silent = re.sub(r"<ContentProtection.*?(/>|</ContentProtection>)", "", manifest.read_text(), flags=re.DOTALL)
    manifest.write_text(silent)
    with pytest.raises(SourceRejected, match=r"encrypted: its track 1 is encv \(avc1\)"):
        make(manifest, tmp_path / "smil")
    with pytest.raises(SourceRejected, match="encrypted: #EXT-X-KEY"):
        make(manifest.with_name("main.m3u8"), tmp_path / "smil")
    assert list((tmp_path / "smil").iterdir()) == []


def spoil(folder, name, content):
    (folder / name).write_bytes(content)


@pytest.mark.parametrize(
    ("change", "kind", "told"),
    [
        (lambda f: (f / "hi_25600.m4s").unlink(), NotFound, "hi_25600.m4s is missing"),
        (lambda f: (f / "fr_init.mp4").unlink(), NotFound, "fr_init.mp4 is missing"),
        (lambda f: spoil(f, "lo_0.m4s", (f / "lo_0.m4s").read_bytes()[:-500]), ManifestError, "cut off"),
        (lambda f: spoil(f, "lo_0.m4s", b"<html>404</html>"), ManifestError, "Representation"),
        (lambda f: spoil(f, "hi_init.mp4", b"#EXTM3U\n"), ManifestError, "neither MP4 nor"),
        (lambda f: spoil(f, "hi_init.mp4", b"\x1a\x45\xdf\xa3webm"), SourceRejected, "WebM"),
        (lambda f: spoil(f, "hi_init.mp4", (f / "hi_init.mp4").read_bytes()[:200]), ManifestError, "cut off"),
        (lambda f: spoil(f, "en_0.m4s", b""), ManifestError, "en_0.m4s"),
        (lambda f: (f / "en_0.m4s").unlink() or (f / "en_0.m4s").symlink_to("/etc/hostname"), ManifestError, "link"),
        (lambda f: (f / "main.mpd").unlink(), NotFound, "main.mpd is missing"),
    ],
)
def test_damaged_presentations_are_told_apart_and_leave_nothing(change, kind, told, segmented, tmp_path):
    folder = shutil.copytree(segmented.parent, tmp_path / "src")
    change(folder)
    with pytest.raises(kind, match=told):
        make(folder / "main.mpd", tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_mime_types_are_not_believed(segmented, tmp_path):
    folder = shutil.copytree(segmented.parent, tmp_path / "src")
    text = (
        segmented.read_text().replace("audio/mp4", "video/webm").replace('contentType="audio"', 'contentType="video"')
    )
    (folder / "main.mpd").write_text(text.replace(' codecs="', ' nocodecs="'))
    found = read(make(folder / "main.mpd", tmp_path / "out"))
    assert [len(video.audio) for video in found.videos] == [2, 2]


def test_other_codecs_are_left_out_and_said(films, tmp_path):
    ffmpeg("-i", films / "lo.mp4", "-c:v", "mpeg4", tmp_path / "old.mp4")
    shutil.copy(films / "hi.mp4", tmp_path)
    (tmp_path / "main.mpd").write_text(plain("old.mp4", "hi.mp4"))
    made = make(tmp_path / "main.mpd", tmp_path)
    assert made.files == ("hi.mp4",)
    assert made.notes == ("left out, video in mp4v: Representation 'old.mp4'",)
    (tmp_path / "main.mpd").write_text(plain("old.mp4"))
    with pytest.raises(SourceRejected, match="mp4v; MediaPackage takes"):
        make(tmp_path / "main.mpd", tmp_path)


def test_transport_streams_are_refused_with_what_to_do_instead(films, tmp_path):
    ffmpeg("-i", films / "hi.mp4", "-map", "0:v", "-map", "0:a:0", "-c", "copy", "-f", "hls", tmp_path / "main.m3u8")
    with pytest.raises(SourceRejected, match=r"MPEG-TS .*give its \.m3u8 as the asset's source"):
        make(tmp_path / "main.m3u8", tmp_path / "out")


def test_a_manifest_may_be_named_by_a_link_and_is_a_file(films, tmp_path):
    shutil.copy(films / "hi.mp4", tmp_path)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "main.mpd").write_text(plain("hi.mp4"))
    (tmp_path / "link.mpd").symlink_to(tmp_path / "elsewhere" / "main.mpd")
    assert make(tmp_path / "link.mpd", tmp_path).files == ("hi.mp4",)
    with pytest.raises(InvalidRequest, match="not a regular file"):
        make(tmp_path / "elsewhere", tmp_path)
    os.mkfifo(tmp_path / "pipe.mpd")
    with pytest.raises(InvalidRequest, match="not a regular file"):
        make(tmp_path / "pipe.mpd", tmp_path)


def test_sound_alone_is_refused(films, tmp_path):
    ffmpeg("-i", films / "hi.mp4", "-map", "0:a:0", "-c", "copy", tmp_path / "en.mp4")
    (tmp_path / "main.mpd").write_text(plain("en.mp4"))
    with pytest.raises(SourceRejected, match="no video"):
        make(tmp_path / "main.mpd", tmp_path)


def test_sound_that_begins_later_stays_late(films, tmp_path):
    inputs = ("-i", films / "lo.mp4", "-itsoffset", "1", "-i", films / "hi.mp4")
    ffmpeg(*inputs, "-map", "0:v", "-map", "1:a:0", "-c", "copy", tmp_path / "late.mp4")
    manifest = tmp_path / "out" / "main.mpd"
    manifest.parent.mkdir()
    ffmpeg("-i", tmp_path / "late.mp4", "-c", "copy", "-f", "dash", manifest)
    made = make(manifest, tmp_path / "smil")
    starts = [float(time) for time in probe(tmp_path / "smil" / made.files[0], "stream=start_time")]
    assert starts == pytest.approx([0, 1], abs=0.03)


@pytest.mark.parametrize("address", ["ftp://x/y.mpd", "s3://bucket", "https://user:secret@host/x.mpd", "https:///x"])
def test_addresses_that_are_none_are_refused_without_secrets(address, tmp_path):
    with pytest.raises(PenstockError) as caught:
        make(address, tmp_path)
    assert "secret" not in caught.value.message


def test_the_output_has_a_name_that_mediapackage_takes(segmented, tmp_path):
    with pytest.raises(InvalidRequest, match=r"ends in \.smil"):
        make(segmented, tmp_path, "film.xml")
    with pytest.raises(InvalidRequest, match="no folder"):
        smil.make(str(segmented), str(tmp_path / "nowhere" / "film.smil"))


def test_a_base_lets_manifests_reach_further(films, tmp_path):
    manifest = by_packager(films, tmp_path / "media")
    (tmp_path / "manifests").mkdir()
    text = re.sub(r"(<MPD[^>]*>)", r"\1<BaseURL>../media/</BaseURL>", manifest.read_text(), count=1)
    (tmp_path / "manifests" / "main.mpd").write_text(text)
    with pytest.raises(ManifestError, match="leads out of"):
        make(tmp_path / "manifests" / "main.mpd", tmp_path / "smil")
    for wider in (tmp_path, tmp_path / "media"):
        made = make(tmp_path / "manifests" / "main.mpd", tmp_path / "smil", base=str(wider))
    assert len(made.files) == 3
    assert ladder_media.frames(tmp_path / "smil" / made.files[0]) == ladder_media.frames(films / "hi.mp4")
