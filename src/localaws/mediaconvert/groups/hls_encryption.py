"""Encrypts the segments of an HLS group's outputs, whole ones or their samples, and says so in playlists.

Source: RFC 8216, 4.3.2.4 (EXT-X-KEY, and the IV where none is named).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from localaws.media import sample_aes, signalling, whole_segments
from localaws.media.encryption import Encryption
from localaws.media.failures import ENCRYPTION, JobError
from localaws.media.keys import Keys, TrackKey
from localaws.media.sample_aes import AacSetup, Cbc, StreamEncryptor
from localaws.media.speke import playlist_method
from localaws.mediaconvert.groups.hls_playlists import FIRST_NUMBER, Segment
from localaws.mediaconvert.planning.planned import AudioTrack, Group, Output
from penstock.model import ContentKey


@dataclass(frozen=True)
class Protection:
    """What an output is encrypted with. `iv` None is the number of each segment. Silent about the key in repr."""

    encryption: Encryption
    key: ContentKey
    tags: tuple[str, ...]
    """EXT-X-KEY lines of its playlist."""
    iv: bytes | None


def protection(group: Group, output: Output, keys: Keys | None) -> Protection | None:
    """How an output is protected; None where it stays in the clear.

    Raises JobError 1091 for a key provider whose key tags are of another method.
    """
    encryption = group.packaging.encryption if group.packaging else None
    track = keys.labelled(group.track_type(output)) if keys else None
    if encryption is None or track is None:
        return None
    encryption = _with_iv(encryption, track)
    tags, method = signalling.key_tags(encryption, track), playlist_method(encryption)
    if not tags or not all(f"METHOD={method}," in tag for tag in tags):
        told = "its HLSSignalingData, or in SPEKE v1 its URIExtXKey, is to name where players get the key"
        raise JobError(ENCRYPTION, f"the key provider sent no EXT-X-KEY with METHOD={method}; {told}")
    assert track.key.key is not None
    return Protection(encryption, track.key.key, tuple(tags), signalling.segment_iv(encryption, tags))


def _with_iv(encryption: Encryption, track: TrackKey) -> Encryption:
    """Samples have the IV that the key provider names for the key, as those of CMAF, unless the job names one."""
    if encryption.whole_segments or encryption.constant_iv is not None or track.key.explicit_iv is None:
        return encryption
    return replace(encryption, constant_iv=track.key.explicit_iv.hex())


def encrypt(protected: Protection, output: Output, segments: Sequence[Segment]) -> list[Segment]:
    """Encrypt an output's segments in place. Returns them with their new sizes."""
    encryptor = None
    if not protected.encryption.whole_segments and output.hls is not None and output.hls.stream is not None:
        stream = output.hls.stream
        sounds = dict(zip(stream.audio_pids, map(_setup, output.audios), strict=False))
        encryptor = StreamEncryptor(stream.pmt_pid, sounds)
    made = []
    for number, segment in enumerate(segments, start=FIRST_NUMBER):
        iv = protected.iv or whole_segments.sequence_iv(number)
        if protected.encryption.whole_segments:
            whole_segments.encrypt(segment.path, protected.key, iv)
        elif encryptor is not None:
            encryptor.encrypt(segment.path, Cbc(protected.key, iv))
        else:
            sample_aes.encrypt_packed(segment.path, Cbc(protected.key, iv))
        made.append(replace(segment, size_bytes=segment.path.stat().st_size))
    return made


def described(track: AudioTrack, protected: Protection | None) -> list[bytes]:
    """The ID3 frames that packed audio with encrypted samples has beside its time."""
    if protected is None or protected.encryption.whole_segments:
        return []
    return [_setup(track).id3_frame()]


def _setup(track: AudioTrack) -> AacSetup:
    return AacSetup(track.sample_rate_hz, track.channels)
