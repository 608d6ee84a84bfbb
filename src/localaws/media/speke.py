"""What an encryptor says to a key provider, and what it reads in the answer, in both versions of SPEKE. Pure.

Source: AWS, "SPEKE API v1" and "SPEKE API v2", standard payload components; RFC 8216 for key tags.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from uuid import UUID

from localaws.media.encryption import Encryption
from localaws.media.failures import ENCRYPTION, JobError
from penstock.formats import cpix, speke_v1
from penstock.model import KeyId, Scheme

Answer = tuple[str, Collection[cpix.CpixKey], Collection[cpix.DrmSystem]]
"""Resource id, keys, and the signalling of DRM systems, as SPEKE v2 has them."""


@dataclass(frozen=True)
class Version:
    """What a version of SPEKE puts on the wire."""

    headers: dict[str, str]
    question: Callable[[Encryption, dict[str, KeyId]], bytes]
    read: Callable[[bytes, Encryption], Answer]


def _question(encryption: Encryption, kids: dict[str, KeyId]) -> bytes:
    """Empty members ask the provider to fill them: PSSH and MPD data for DASH's systems, playlist lines for HLS's."""
    dash, hls = set(encryption.dash_systems), set(encryption.hls_systems)
    return cpix.build(
        cpix.Cpix(
            content_id=encryption.resource_id,
            keys=tuple(cpix.CpixKey(kid, Scheme(encryption.scheme)) for kid in kids.values()),
            drm_systems=tuple(
                cpix.DrmSystem(
                    kid,
                    UUID(system),
                    pssh=b"",
                    content_protection_data="" if system in dash and not encryption.smooth else None,
                    hls_media="" if system in hls else None,
                    hls_master="" if system in hls else None,
                    smooth_header="" if encryption.smooth else None,
                )
                for kid in kids.values()
                for system in _systems(encryption)
            ),
            usage_rules=tuple(encryption.contract.rule(track_type, kid) for track_type, kid in kids.items()),
        )
    )


def _read(answer: bytes, encryption: Encryption) -> Answer:
    document = cpix.parse(answer)
    return document.content_id, document.keys, document.drm_systems


def _question_v1(encryption: Encryption, kids: dict[str, KeyId]) -> bytes:
    dash, hls = set(encryption.dash_systems), set(encryption.hls_systems)
    return speke_v1.build(
        speke_v1.Document(
            encryption.resource_id,
            tuple(cpix.CpixKey(kid) for kid in kids.values()),
            tuple(
                speke_v1.DrmSystem(
                    kid,
                    UUID(system),
                    pssh=b"",
                    content_protection_data="" if system in dash and not encryption.smooth else None,
                    protection_header=b"" if encryption.smooth else None,
                    key_uri="" if system in hls else None,
                    key_format="" if system in hls else None,
                    key_format_versions="" if system in hls else None,
                )
                for kid in kids.values()
                for system in _systems(encryption)
            ),
        )
    )


def _read_v1(answer: bytes, encryption: Encryption) -> Answer:
    document = speke_v1.parse(answer)
    return document.content_id, document.keys, [_as_v2(system, encryption) for system in document.drm_systems]


def _as_v2(system: speke_v1.DrmSystem, encryption: Encryption) -> cpix.DrmSystem:
    """Version 1 tells the attributes of a key tag, version 2 the whole line."""
    fields = [f"METHOD={playlist_method(encryption)}"]
    for name, value in (
        ("URI", system.key_uri),
        ("KEYFORMAT", system.key_format),
        ("KEYFORMATVERSIONS", system.key_format_versions),
    ):
        if value and re.search(r'["\r\n]', value):
            raise JobError(ENCRYPTION, f"the key provider's {name} cannot stand in a playlist")
        if value:
            fields.append(f'{name}="{value}"')
    line = ",".join(fields)
    return cpix.DrmSystem(
        system.kid,
        system.system_id,
        system.pssh,
        system.content_protection_data,
        f"#EXT-X-KEY:{line}" if system.key_uri else None,
        f"#EXT-X-SESSION-KEY:{line}" if system.key_uri else None,
        b64encode(system.protection_header).decode("ascii") if system.protection_header else None,
    )


def playlist_method(encryption: Encryption) -> str:
    """METHOD of EXT-X-KEY (RFC 8216, 4.3.2.4; SAMPLE-AES-CTR is of its successor draft)."""
    if encryption.whole_segments:
        return "AES-128"
    return "SAMPLE-AES" if encryption.scheme == "cbcs" else "SAMPLE-AES-CTR"


def _systems(encryption: Encryption) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*encryption.dash_systems, *encryption.hls_systems)))


VERSIONS: Mapping[int, Version] = {
    1: Version({}, _question_v1, _read_v1),
    2: Version({"X-Speke-Version": "2.0"}, _question, _read),
}
