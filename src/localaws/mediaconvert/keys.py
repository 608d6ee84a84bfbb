"""Asks a key provider for content keys by SPEKE v2, as MediaConvert does, signed with the stack's credentials.

Keys live in this process's memory only: never in arguments, environment, logs, the database or on disk. Source: AWS,
"SPEKE API v2"; DASH-IF CPIX 2.3.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Collection
from dataclasses import dataclass
from threading import Event
from uuid import UUID, uuid5

import httpx
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from localaws.config import Config
from localaws.mediaconvert.failures import ENCRYPTION, HTTP_CONNECT, HTTP_SERVER, JobCanceled, JobError
from localaws.mediaconvert.packaging import Encryption, key_provider_url
from localaws.mediaconvert.rules import SettingRefused
from penstock.errors import PenstockError
from penstock.formats import cpix
from penstock.model import KeyId, Scheme

log = logging.getLogger(__name__)

KEY_IDS = UUID("6f1b0d5e-4c3e-5b1d-9d0a-6c8b6c1f2a77")
ANSWER_BYTES = 256 << 10
PATIENCE_S = 30.0


@dataclass(frozen=True)
class TrackKey:
    """The key of one kind of track, with what each DRM system needs to signal it. Silent about the key in repr."""

    label: str
    key: cpix.CpixKey
    systems: tuple[cpix.DrmSystem, ...]

    @property
    def kid(self) -> KeyId:
        return self.key.kid


@dataclass(frozen=True)
class Keys:
    """Keys of one output group by label, VIDEO and AUDIO; a shared key stands under both."""

    tracks: tuple[TrackKey, ...]

    def __bool__(self) -> bool:
        return bool(self.tracks)

    def of(self, kid: KeyId) -> TrackKey | None:
        return next((track for track in self.tracks if track.kid == kid), None)

    def flags(self, constant_iv: str | None) -> bytes:
        """The packager's flag file: keys, IVs and PSSH boxes. Secret."""
        entries = []
        for track in self.tracks:
            assert track.key.key is not None
            entry = f"label={track.label}:key_id={track.kid.hex}:key={track.key.key.reveal().hex()}"
            iv = constant_iv or (track.key.explicit_iv.hex() if track.key.explicit_iv else None)
            entries.append(f"{entry}:iv={iv}" if iv else entry)
        boxes = dict.fromkeys(system.pssh for track in self.tracks for system in track.systems if system.pssh)
        lines = [f"--keys={','.join(entries)}"]
        if boxes:
            lines.append(f"--pssh={b''.join(boxes).hex()}")
        return ("\n".join(lines) + "\n").encode()


def key_id(job_id: str, encryption: Encryption, track_type: str) -> KeyId:
    """The key id of a job's tracks: the same each time it is asked for, so that a resumed job gets the same key."""
    return KeyId(uuid5(KEY_IDS, f"{job_id}/{encryption.resource_id}/{encryption.scheme}/{track_type}").bytes)


class KeyProvider:
    """A SPEKE v2 endpoint as an encryptor sees it."""

    def __init__(self, config: Config, patience_s: float = PATIENCE_S) -> None:
        self._config = config
        self._patience_s = patience_s

    def keys(self, job_id: str, encryption: Encryption, labels: Collection[str], cancel: Event) -> Keys:
        """Get the keys of one output group. labels: VIDEO, AUDIO or both, the tracks that the group has.

        Raises JobError 1091 for a provider that refuses or answers nonsense, 3451 for one that cannot be reached, 3450
        for one that fails; JobCanceled.
        """
        try:
            key_provider_url("url", encryption.url)
        except SettingRefused as exc:
            raise JobError(ENCRYPTION, f"the key provider's address {exc.reason}") from exc
        covered = [label for label, wanted in (("VIDEO", encryption.video), ("AUDIO", encryption.audio)) if wanted]
        kids = {
            label: key_id(job_id, encryption, "ALL" if encryption.shared else label)
            for label in covered
            if label in labels
        }
        if not kids:
            return Keys(())
        document = _question(encryption, {("ALL" if encryption.shared else label): kid for label, kid in kids.items()})
        answer = self._ask(encryption.url, cpix.build(document), cancel)
        return _read(answer, encryption, kids)

    def _ask(self, url: str, body: bytes, cancel: Event) -> bytes:
        deadline = time.monotonic() + self._patience_s
        pause_s = 0.1
        while True:
            try:
                return self._post(url, body)
            except _TryAgain as exc:
                if time.monotonic() > deadline:
                    raise exc.error from exc
                log.info("the key provider does not answer, trying again")
            if cancel.wait(pause_s):
                raise JobCanceled
            pause_s = min(2 * pause_s, 3.0)

    def _post(self, url: str, body: bytes) -> bytes:
        headers = self._signed(url, body)
        timeout = httpx.Timeout(30.0, connect=5.0)
        try:
            # trust_env off: a proxy from the environment must not see keys.
            with (
                httpx.Client(timeout=timeout, trust_env=False, follow_redirects=False) as client,
                client.stream("POST", url, content=body, headers=headers) as response,
            ):
                answer = _bounded(response)
        except httpx.TransportError as exc:
            told = f"the key provider at {_host(url)} cannot be reached ({type(exc).__name__})"
            raise _TryAgain(JobError(HTTP_CONNECT, told)) from exc
        if response.status_code in (502, 503, 504):
            told = f"the key provider at {_host(url)} answered {response.status_code}"
            raise _TryAgain(JobError(HTTP_SERVER, told))
        if response.status_code >= 500:
            raise JobError(HTTP_SERVER, f"the key provider at {_host(url)} answered {response.status_code}")
        if response.status_code != 200:
            raise JobError(
                ENCRYPTION,
                f"the key provider at {_host(url)} refused to give keys: status {response.status_code}; "
                "check that it accepts this stack's credentials",
            )
        return answer

    def _signed(self, url: str, body: bytes) -> dict[str, str]:
        """Headers as MediaConvert sends them, with a signature for API Gateway's service."""
        signed = AWSRequest(
            "POST",
            url,
            data=body,
            headers={
                "Content-Type": "application/xml",
                "X-Speke-Version": "2.0",
                "Host": httpx.URL(url).netloc.decode(),
            },
        )
        given = self._config.credentials
        credentials = Credentials(given.access_key_id, given.secret_access_key)
        SigV4Auth(credentials, "execute-api", self._config.region).add_auth(signed)
        return dict(signed.headers.items())


class _TryAgain(Exception):
    def __init__(self, error: JobError) -> None:
        super().__init__(error.message)
        self.error = error


def _host(url: str) -> str:
    return httpx.URL(url).netloc.decode()


def _bounded(response: httpx.Response) -> bytes:
    answer = bytearray()
    for chunk in response.iter_bytes():
        answer += chunk
        if len(answer) > ANSWER_BYTES:
            raise JobError(ENCRYPTION, f"the key provider's answer has more than {ANSWER_BYTES} bytes")
    return bytes(answer)


def _question(encryption: Encryption, kids: dict[str, KeyId]) -> cpix.Cpix:
    """Empty members ask the provider to fill them: PSSH and MPD data for DASH's systems, playlist lines for HLS's."""
    dash, hls = set(encryption.dash_systems), set(encryption.hls_systems)
    return cpix.Cpix(
        content_id=encryption.resource_id,
        keys=tuple(cpix.CpixKey(kid, Scheme(encryption.scheme)) for kid in kids.values()),
        drm_systems=tuple(
            cpix.DrmSystem(
                kid,
                UUID(system),
                pssh=b"",
                content_protection_data="" if system in dash else None,
                hls_media="" if system in hls else None,
                hls_master="" if system in hls else None,
            )
            for kid in kids.values()
            for system in (*encryption.dash_systems, *(one for one in encryption.hls_systems if one not in dash))
        ),
        usage_rules=tuple(cpix.UsageRule(kid, track_type) for track_type, kid in kids.items()),
    )


def _read(answer: bytes, encryption: Encryption, kids: dict[str, KeyId]) -> Keys:
    try:
        document = cpix.parse(answer)
    except PenstockError as exc:
        raise JobError(ENCRYPTION, f"the key provider's answer cannot be read: {exc}") from exc
    if document.content_id != encryption.resource_id:
        raise JobError(ENCRYPTION, "the key provider answered for another resource id")
    found = {key.kid: key for key in document.keys}
    tracks = []
    for label, kid in kids.items():
        key = found.get(kid)
        if key is None or key.key is None:
            raise JobError(ENCRYPTION, f"the key provider sent no key for {label}")
        systems = tuple(system for system in document.drm_systems if system.kid == kid)
        tracks.append(TrackKey(label, key, systems))
    return Keys(tuple(tracks))
