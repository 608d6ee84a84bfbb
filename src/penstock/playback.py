"""A playback session -> what a viewer needs to play: manifest addresses, cookies, a license token, a watch link.

Nothing of it is stored: cookies and token are signed anew from the session each time. Every policy carries its
session's serial, as the beginning of its time; the edge refuses those of sessions that were ended. What a policy has no
room for is in the path token, which therefore goes beside the cookies, too.
"""

from __future__ import annotations

import hmac
import ipaddress
import posixpath
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from urllib.parse import quote, urlsplit

from penstock import terms
from penstock.drm.entitlement import Adapter, Entitlement
from penstock.entries import Entry, Session
from penstock.errors import BadSignature, Conflict
from penstock.formats import tokens
from penstock.formats.cookies import SESSION_COOKIE, Policy, Signer
from penstock.model import AssetState, JsonObject, KeyId, PlaybackSession
from penstock.sessions import over
from penstock.settings import Settings
from penstock.states import Job, JobState
from penstock.tiers import Tier

PATH_TOKENS = "t/"
"""Paths of the edge that begin with this have a token next, and then the path that it opens."""
POSTER_TTL_S = 300
DEFAULT_SETTINGS = "default"


class Playback:
    def __init__(
        self,
        settings: Settings,
        signer: Signer,
        token_keys: Mapping[str, bytes],
        path_token_keys: Mapping[str, bytes],
        *,
        vendor: Adapter | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        """Token keys by key id; the ones of the signer's own id sign. Without a DRM vendor, licenses are ClearKey's."""
        self._url = settings.url
        self._streams = settings.streams_per_viewer
        self._signer = signer
        self._token_keys = token_keys
        self._path_token_keys = path_token_keys
        self._vendor = vendor
        self._policy = settings.key_policy
        self._now = now

    def grant(self, session: Session, entry: Entry) -> PlaybackSession:
        """Everything a viewer gets for a session of this asset. Raises Conflict when the asset is not published."""
        job, expires = playable(entry), int(session.expires_at.timestamp())
        issued, key_id = int(session.created_at.timestamp()), self._signer.key_pair_id
        claims = tokens.Claims(session.id, session.asset_id, expires, issued)
        token = tokens.mint(claims, self._token_keys[key_id], key_id)
        # Only what a player fetches: job settings may have made clear files beside it.
        folder = _folder(job)
        resource = f"{self._url}/{quote(folder)}/*"
        path_token = tokens.mint_path(self._path_claims(session, job), self._path_token_keys[key_id], key_id)
        prefix = f"{PATH_TOKENS}{path_token}/"
        policy = Policy(resource, expires, not_before=session.serial, source_ip=_policy_address(session))
        bound = {} if is_unclaimed(session) else {**self._signer.cookies(policy), SESSION_COOKIE: path_token}
        return PlaybackSession(
            id=session.id,
            asset_id=session.asset_id,
            viewer=session.viewer,
            created_at=session.created_at,
            expires_at=session.expires_at,
            seen_at=session.seen_at,
            dash_url=self._address(job.dash),
            hls_url=self._address(job.hls),
            dash_token_url=self._address(None if is_unclaimed(session) else job.dash, prefix),
            hls_token_url=self._address(None if is_unclaimed(session) else job.hls, prefix),
            license_url=None if self._vendor else f"{self._url}/v1/licenses/clearkey",
            drm={} if is_unclaimed(session) else self._licenses(session, job, token),
            watch_url=f"{self._url}/watch/{session.id}#{token}",
            license_token=token,
            # A moment long past lets everybody in; CloudFront reads it from the policy, and so knows the session.
            cookies=bound,
        )

    def entitlement(self, session: Session, job: Job, token: str = "") -> Entitlement:
        """The right of a session to all keys of its asset, as DRM vendors are told of it."""
        needed = {text: self._policy.needed(Tier[job.key_tiers.get(text, Tier.UHD.name)]) for text in job.key_ids}
        keys = {KeyId.from_uuid(text): level for text, level in needed.items() if level is not None}
        issued = datetime.fromtimestamp(int(self._now()), UTC)
        return Entitlement(
            session.id, session.viewer, session.asset_id, keys, issued, session.expires_at.astimezone(UTC), token
        )

    def _licenses(self, session: Session, job: Job, token: str) -> dict[str, JsonObject]:
        if self._vendor is None:
            return {}
        accesses = self._vendor.entitle(self.entitlement(session, job, token))
        return {system.value: dict(vars(access)) for system, access in accesses.items()}

    def _path_claims(self, session: Session, job: Job) -> tokens.PathClaims:
        folder, session_terms = _folder(job), terms.of(session)
        return tokens.PathClaims(
            session_id=session.id,
            path=f"/{folder}/",
            expires=int(session.expires_at.timestamp()),
            issued=int(session.created_at.timestamp()),
            serial=session.serial,
            pace_key=self._pace_key(session),
            speed=max(1, self._streams) * session_terms.playback_rate,
            manifests=tuple(posixpath.relpath(key, folder) for key in (job.dash, job.hls) if key),
            binding=session_terms.binding(session.key_thumbprint),
        )

    def _pace_key(self, session: Session) -> bytes:
        """The same for all sessions of a viewer and an asset, also while keys are rotated; tells neither of the two."""
        oldest = next(iter(self._path_token_keys.values()))
        return hmac.digest(oldest, f"pace\0{session.viewer}\0{session.asset_id}".encode(), "sha256")[:8]

    def read_token(self, token: str) -> tokens.Claims:
        """The claims of a license token. Raises BadSignature or SessionExpired."""
        return tokens.verify(token, self._token_keys, self._now())

    def poster_url(self, entry: Entry) -> str | None:
        """A signed address of the asset's poster, good for five minutes; None without a poster."""
        posters = [job.poster for job in _published(entry) if job.poster]
        address = self._address(posters[0]) if posters else None
        return self._signer.url(address, int(self._now()) + POSTER_TTL_S) if address else None

    def _address(self, object_key: str | None, prefix: str = "") -> str | None:
        return f"{self._url}/{prefix}{quote(object_key)}" if object_key else None


def is_unclaimed(session: Session) -> bool:
    """Whether the session waits for the browser whose key it will be bound to: until then nothing of it opens media."""
    return terms.of(session).proof and session.key_thumbprint is None


def _policy_address(session: Session) -> str | None:
    """What CloudFront checks by itself: its policies know IPv4 alone, so other addresses are left to the token."""
    network = terms.of(session).network
    return network if network and ipaddress.ip_network(network, strict=False).version == 4 else None


def _folder(job: Job) -> str:
    """The deepest folder that holds both manifests and so everything they name."""
    return posixpath.commonpath([posixpath.dirname(key) for key in (job.dash, job.hls) if key])


def cookie_path(granted: PlaybackSession) -> str:
    """The path below which a viewer's cookies hold: the asset's in the media bucket, or in MediaPackage's egress."""
    path = urlsplit(granted.dash_url or granted.hls_url or "").path
    if path.startswith("/out/v1/"):
        return "/".join(path.split("/")[:4]) + "/"
    return f"/assets/{granted.asset_id}/"


def playable(entry: Entry) -> Job:
    """The conversion that viewers get: the built-in ladder's, else the first. Raises Conflict when there is none."""
    for job in _published(entry):
        if job.dash or job.hls:
            return job
    if entry.asset.state is AssetState.PUBLISHED:
        raise Conflict("the asset is published without a DASH or HLS manifest; its job settings made none")
    raise Conflict(f"the asset is {entry.asset.state}; it can be played once it is published")


def check(claims: tokens.Claims, session: Session, now: datetime) -> None:
    """Hold a token against the session it names. Raises BadSignature or SessionExpired."""
    if (claims.session_id, claims.asset_id) != (session.id, session.asset_id):
        raise BadSignature("the token is not of this playback session")
    if not session.live(now):
        raise over(session)


def heartbeat_s(session: Session, settings: Settings) -> int:
    """How often a player is to tell that it is still there: three times in the life of the session, or oftener."""
    return max(1, min(settings.heartbeat_s, session.ttl_s // 3))


def _published(entry: Entry) -> list[Job]:
    found = [job for job in entry.jobs if job.state is JobState.PUBLISHED]
    return sorted(found, key=lambda job: (job.settings != DEFAULT_SETTINGS, job.settings))
