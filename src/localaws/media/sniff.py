"""Names the demuxer for a source from its first bytes, in code of our own, so that ffmpeg never guesses.

Never lets a text format through: playlists, manifests and scripts make ffmpeg open other files.
Source: ISO/IEC 14496-12 4.2, RFC 8794 (EBML), ISO/IEC 13818-1 2.4.3.2 and its 192- and 204-byte forms; RFC 9639 (FLAC),
ISO/IEC 11172-3 2.4.1.3 (MPEG audio), ISO/IEC 14496-3 1.A.2 (ADTS).
"""

from __future__ import annotations

import re
from typing import Final

from localaws.media.failures import CANNOT_OPEN, UNSUPPORTED, InputRejected

HEAD_BYTES: Final = 4096
ACCEPTED: Final = "MP4, MOV, Matroska, WebM and MPEG-TS, and for sound alone WAV, FLAC, MP3 and AAC"

# Box types that start files in the wild; QuickTime's before ftyp was invented among them.
_FIRST_BOXES: Final = frozenset({b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot", b"styp"})

# (packet size, offset of the sync byte): broadcast, Blu-ray and AVCHD (time stamp before it), with Reed-Solomon bytes.
_TRANSPORT_LAYOUTS: Final = ((188, 0), (192, 4), (204, 0))

# Prefix of the text, lower-case, after white space -> what to call it.
_TEXTS: Final = (
    (b"#extm3u", "an HLS playlist (or an M3U list)"),
    (b"<mpd", "a DASH manifest"),
    (b"ffconcat", "an ffmpeg concat script"),
    (b"v=0", "an SDP session description"),
    (b"webvtt", "a WebVTT subtitle file"),
    (b"[script info]", "an ASS subtitle file"),
    (b"[playlist]", "a PLS playlist"),
    (b"rtsptext", "an RTSP redirect"),
    (b"<smil", "a SMIL file"),
    (b"<tt", "a TTML subtitle file"),
    (b"<!doctype html", "an HTML page"),
    (b"<html", "an HTML page"),
)

# (offset, bytes) -> the demuxer of sound alone: RIFF, FLAC, MPEG audio (an ID3 tag before it, or its sync word), ADTS.
_SOUNDS: Final = (
    (8, b"WAVE", "wav"),
    (0, b"fLaC", "flac"),
    (0, b"ID3", "mp3"),
    (0, b"\xff\xfb", "mp3"),
    (0, b"\xff\xf3", "mp3"),
    (0, b"\xff\xfa", "mp3"),
    (0, b"\xff\xf2", "mp3"),
    (0, b"\xff\xf1", "aac"),
    (0, b"\xff\xf9", "aac"),
)

# (offset, bytes) -> what to call it.
_BINARIES: Final = (
    (8, b"AVI ", "AVI"),
    (0, b"\x06\x0e\x2b\x34", "MXF"),
    (0, b"OggS", "Ogg"),
    (0, b"FLV\x01", "Flash video"),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "ASF (Windows Media)"),
    (0, b"\x00\x00\x01\xba", "an MPEG program stream"),
    (0, b"\x00\x00\x01\xb3", "a bare MPEG-2 video stream"),
    (0, b"\x00\x00\x00\x01", "a bare H.264 or HEVC stream"),
    (0, b"caff", "CAF audio"),
    (0, b".RMF", "RealMedia"),
    (0, b"\x89PNG", "a PNG picture"),
    (0, b"\xff\xd8\xff", "a JPEG picture"),
    (0, b"GIF8", "a GIF picture"),
    (0, b"%PDF", "a PDF document"),
    (0, b"PK\x03\x04", "a ZIP archive"),
    (0, b"\x1f\x8b", "a gzip file"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (0, b"\x7fELF", "a program"),
    (0, b"MZ", "a program"),
)


def demuxer(head: bytes) -> str:
    """Choose ffmpeg's demuxer: 'mov', 'matroska' or 'mpegts'; 'wav', 'flac', 'mp3' or 'aac' for sound alone.

    head: the first HEAD_BYTES of the file, all of a shorter one.
    Raises InputRejected: 1010 for nothing, text and unknown bytes, 1030 for a format that is known and not accepted.
    """
    if not head:
        raise InputRejected(CANNOT_OPEN, "The file is empty. Upload it again.")
    if _is_text(head):
        raise InputRejected(CANNOT_OPEN, f"The file is {_text_name(head)}, not a media file. Accepted: {ACCEPTED}.")
    if head.startswith(b"\x1a\x45\xdf\xa3"):
        return "matroska"
    if _starts_with_box(head):
        return "mov"
    if _is_transport_stream(head):
        return "mpegts"
    for offset, magic, name in _SOUNDS:
        if head[offset : offset + len(magic)] == magic:
            return name
    raise _refusal(head)


def _starts_with_box(head: bytes) -> bool:
    size = int.from_bytes(head[:4], "big")
    return head[4:8] in _FIRST_BOXES and (size in (0, 1) or size >= 8)


def _is_transport_stream(head: bytes) -> bool:
    """Look for a sync byte at the start of every packet, five of them where the file has as many, two at least."""
    for size, offset in _TRANSPORT_LAYOUTS:
        syncs = head[offset : offset + 5 * size : size]
        if len(syncs) >= 2 and set(syncs) == {0x47}:
            return True
    return False


def _is_text(head: bytes) -> bool:
    """No container we accept is without control bytes in its first 64; every text is."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")) and b"\x00" in head[:64]:
        return True
    return not re.search(rb"[\x00-\x08\x0b\x0e-\x1f\x7f]", head[:64])


def _text_name(head: bytes) -> str:
    text = head
    for mark, encoding in ((b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be")):
        if head.startswith(mark):
            text = head[2:].decode(encoding, "ignore").encode()
    text = text.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if text.startswith(b"<?xml"):
        # The document element says what it is; anything before it is declarations and comments.
        element = re.search(rb"<[a-z]", text)
        text = text[element.start() :] if element else text
    for prefix, name in _TEXTS:
        if text.startswith(prefix):
            return name
    if re.match(rb"\d+\s*\r?\n\s*\d+:\d\d:\d\d[,.]\d+\s+-->", text):
        return "an SRT subtitle file"
    return "an XML document" if text.startswith((b"<?xml", b"<")) else "text"


def _refusal(head: bytes) -> InputRejected:
    for offset, magic, name in _BINARIES:
        if head[offset : offset + len(magic)] == magic:
            return InputRejected(
                UNSUPPORTED,
                f"The file is {name}, which is not accepted. Convert it to one of {ACCEPTED} and upload it again.",
            )
    return InputRejected(CANNOT_OPEN, f"No container format recognised in the file. Accepted: {ACCEPTED}.")
