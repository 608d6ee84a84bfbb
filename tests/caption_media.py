"""Caption files and films with EIA-608 captions in their pictures, made for tests."""

from __future__ import annotations

import re
import subprocess
from fractions import Fraction
from pathlib import Path

from localaws.media import jail
from penstock.formats import subtitles
from sample_media import ffmpeg

SRT = """1
00:00:00,200 --> 00:00:01,000
One & <i>only</i>

2
00:00:01,400 --> 00:00:02,600
Zwei
drei
"""
WEBVTT = "WEBVTT\n\n00:00.200 --> 00:01.000\nOne &amp; <i>only</i>\n\n00:01.400 --> 00:02.600\nZwei\ndrei\n"
TTML = """<tt xmlns="http://www.w3.org/ns/ttml" xml:lang="en"><body><div><p begin="0.2s" end="1s">One &amp; only</p>
<p begin="1.4s" end="2.6s">Zwei<br/>drei</p></div></body></tt>"""
SAMI = """<SAMI><HEAD><STYLE TYPE="text/css"><!-- .ENCC {Name: English; lang: en-US; SAMIType: CC;} --></STYLE></HEAD>
<BODY><SYNC Start=200><P Class=ENCC>One &amp; only<SYNC Start=1000><P Class=ENCC>&nbsp;
<SYNC Start=1400><P Class=ENCC>Zwei<br>drei<SYNC Start=2600><P Class=ENCC>&nbsp;</BODY></SAMI>"""
SCC = """Scenarist_SCC V1.0

01:00:00:00	9420 9420 9470 9470 4f6e e580 942f 942f

01:00:01:00	942c 942c
"""
POP_ON = (0x1420, 0x1470)
SHOW, ERASE = 0x142F, 0x142C


def words(text: str) -> list[int]:
    padded = text + "\0" * (len(text) % 2)
    return [ord(padded[at]) << 8 | ord(padded[at + 1]) for at in range(0, len(padded), 2)]


def with_captions(folder: Path, captions: dict[int, list[int]], seconds: int = 2) -> Path:
    """A film of 25 frames a second whose field 1 carries `captions`: first frame -> one pair in each that follows."""
    plain = ffmpeg(
        folder / "plain.h264", "-f", "lavfi", "-i", f"testsrc2=s=160x90:r=25:d={seconds}", "-c:v", "libx264",
        "-preset", "ultrafast", "-bf", "0", "-x264-params", "sliced-threads=0:slices=1", "-pix_fmt", "yuv420p",
        "-f", "h264",
    )  # fmt: skip
    pairs = {first + place: pair for first, run in captions.items() for place, pair in enumerate(run)}
    units = plain.read_bytes().split(b"\x00\x00\x01")
    made, frame = [units[0]], 0
    for unit in units[1:]:
        if unit[0] & 0x1F in (1, 5):
            made.append(_sei(pairs.get(frame, 0)))
            frame += 1
        made.append(unit)
    raw = folder / "captions.h264"
    raw.write_bytes(b"\x00\x00\x01".join(made))
    return ffmpeg(folder / "captions.mp4", "-r", "25", "-f", "h264", "-i", str(raw), "-c", "copy")


def _sei(pair: int) -> bytes:
    """ATSC A/53 caption data as a user data SEI message, with odd parity as broadcast has it."""
    first, second = (byte | (0x80 if byte.bit_count() % 2 == 0 else 0) for byte in (pair >> 8, pair & 0xFF))
    payload = b"\xb5\x00\x31GA94\x03" + bytes([0xC1, 0xFF, 0xFC, first, second, 0xFF])
    message = bytes([6, 4, len(payload)]) + payload + b"\x80"
    return message.replace(b"\x00\x00\x01", b"\x00\x00\x03\x01") + b"\x00"


def said(path: Path) -> list[tuple[str, Fraction, Fraction]]:
    """What ffmpeg's decoder of closed captions finds in the pictures of a file: text, start and end."""
    found = subprocess.run(
        [str(jail.binary("ffmpeg")), "-v", "error", "-f", "lavfi", "-i", f"movie={path}[out0+subcc]",
         "-map", "0:s", "-c:s", "srt", "-f", "srt", "-"],
        capture_output=True, check=True, timeout=120,
    ).stdout  # fmt: skip
    cues = subtitles.parse_srt(found) if found.strip() else []
    return [(re.sub(r"<[^>]*>|\{[^}]*\}", "", cue.text), cue.start_s, cue.end_s) for cue in cues]
