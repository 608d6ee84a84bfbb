"""Asks a key provider for content keys by SPEKE, as MediaConvert does, signed with the stack's credentials.

Keys live in this process's memory only: never in arguments, environment, logs, the database or on disk. Source: AWS,
"SPEKE API v1" and "SPEKE API v2"; DASH-IF CPIX 2.3.
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
from localaws.media import speke
from localaws.media.encryption import Encryption, key_provider_url
from localaws.media.failures import ENCRYPTION, HTTP_CONNECT, HTTP_SERVER, JobCanceled, JobError, SettingRefused
from penstock.errors import PenstockError
from penstock.formats import cpix
from penstock.model import KeyId

log = logging.getLogger(__name__)

KEY_IDS = UUID("6f1b0d5e-4c3e-5b1d-9d0a-6c8b6c1f2a77")
ANSWER_BYTES = 256 << 10
PATIENCE_S = 30.0


@dataclass(frozen=True)
class TrackKey:
    """The key of one tier of tracks, with what each DRM system needs to signal it. Silent about the key in repr.

    label: the tier, a track type of the encryption contract.
    """

    label: str
    key: cpix.CpixKey
    systems: tuple[cpix.DrmSystem, ...]

    @property
    def kid(self) -> KeyId:
        return self.key.kid


@dataclass(frozen=True)
class Keys:
    """Keys of one output group by track type; a shared key is ALL."""

    tracks: tuple[TrackKey, ...]

    def __bool__(self) -> bool:
        return bool(self.tracks)

    def of(self, kid: KeyId) -> TrackKey | None:
        return next((track for track in self.tracks if track.kid == kid), None)

    def labelled(self, label: str | None) -> TrackKey | None:
        return next((track for track in self.tracks if track.label == label), None)

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
    """A SPEKE endpoint as an encryptor sees it."""

    def __init__(self, config: Config, patience_s: float = PATIENCE_S) -> None:
        self._config = config
        self._patience_s = patience_s

    def keys(self, job_id: str, encryption: Encryption, labels: Collection[str], cancel: Event) -> Keys:
        """Get the keys of one output group. labels: the track types of the contract that the group has tracks of.

        Every key of the contract is asked for, as AWS does, and those without a track are dropped. A static key is
        taken from the settings. Raises JobError 1091 for a provider that refuses or answers nonsense, 3451 for one that
        cannot be reached, 3450 for one that fails; JobCanceled.
        """
        track_types = encryption.contract.track_types()
        kids = {label: key_id(job_id, encryption, label) for label in track_types}
        if not set(kids) & set(labels):
            return Keys(())
        if encryption.static is not None:
            return Keys(tuple(_static(encryption, label, kids[label]) for label in track_types if label in labels))
        try:
            key_provider_url("url", encryption.url)
        except SettingRefused as exc:
            raise JobError(ENCRYPTION, f"the key provider's address {exc.reason}") from exc
        version = speke.VERSIONS[encryption.speke_version]
        answer = self._ask(encryption.url, version.question(encryption, kids), version.headers, cancel)
        try:
            content_id, keys, systems = version.read(answer, encryption)
        except PenstockError as exc:
            raise JobError(ENCRYPTION, f"the key provider's answer cannot be read: {exc}") from exc
        if content_id != encryption.resource_id:
            raise JobError(ENCRYPTION, "the key provider answered for another resource id")
        return Keys(tuple(_track(label, kids[label], keys, systems) for label in track_types if label in labels))

    def _ask(self, url: str, body: bytes, headers: dict[str, str], cancel: Event) -> bytes:
        deadline = time.monotonic() + self._patience_s
        pause_s = 0.1
        while True:
            try:
                return self._post(url, body, headers)
            except _TryAgain as exc:
                if time.monotonic() > deadline:
                    raise exc.error from exc
                log.info("the key provider does not answer, trying again")
            if cancel.wait(pause_s):
                raise JobCanceled
            pause_s = min(2 * pause_s, 3.0)

    def _post(self, url: str, body: bytes, headers: dict[str, str]) -> bytes:
        headers = self._signed(url, body, headers)
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

    def _signed(self, url: str, body: bytes, headers: dict[str, str]) -> dict[str, str]:
        """Headers as MediaConvert sends them, with a signature for API Gateway's service."""
        signed = AWSRequest(
            "POST",
            url,
            data=body,
            headers={"Content-Type": "application/xml", **headers, "Host": httpx.URL(url).netloc.decode()},
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


def _static(encryption: Encryption, label: str, kid: KeyId) -> TrackKey:
    assert encryption.static is not None
    return TrackKey(label, cpix.CpixKey(kid, key=encryption.static.key), ())


def _track(label: str, kid: KeyId, keys: Collection[cpix.CpixKey], systems: Collection[cpix.DrmSystem]) -> TrackKey:
    key = next((key for key in keys if key.kid == kid), None)
    if key is None or key.key is None:
        raise JobError(ENCRYPTION, f"the key provider sent no key for {label}")
    return TrackKey(label, key, tuple(system for system in systems if system.kid == kid))
