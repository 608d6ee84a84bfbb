"""Who may see a path of a signed behavior: CloudFront signed cookies and signed URLs.

Never asks an origin: whoever may not see a path learns nothing about what is there, not even from the time it takes.
Signatures are verified by penstock.formats.cookies; here a viewer's cookies are read from the header and remembered.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence

from localaws.edge.revocations import Revocations
from penstock.errors import BadSignature
from penstock.formats.cookies import (
    COOKIE_PREFIX,
    SESSION_COOKIE,
    SIGNING_PARAMETERS,
    Policy,
    PublicKey,
    covers,
    verify,
)

MAX_COOKIE_CHARS = 16 * 1024
"""A custom policy of the largest size takes 6 KB; the rest is room for the cookies of the application."""

REVOKED = "the playback session was ended"

_SIGNING_COOKIES = frozenset(COOKIE_PREFIX + name for name in SIGNING_PARAMETERS)


class Authorizer:
    """Judges requests by the keys of one key group, and remembers the cookies whose signature it has verified."""

    def __init__(
        self,
        public_keys: Mapping[str, PublicKey],
        *,
        revocations: Revocations | None = None,
        clock: Callable[[], float] = time.time,
        remembered: int = 2048,
    ) -> None:
        """public_keys: by key id. clock: seconds since the epoch. remembered: most cookie headers kept in memory.

        revocations: a policy whose time begins at one of their serials (years before there was any) is refused.
        """
        self._public_keys = public_keys
        self._revocations = revocations or Revocations()
        self._clock = clock
        self._bound = remembered
        self._policies: dict[tuple[str, str], Policy] = {}

    def judge(self, urls: Sequence[str], cookie_header: str, client_ip: str) -> Policy | str:
        """The policy that lets a request in, else why none does, for the log alone.

        urls: the spellings of one URL (scheme, host, path, query); a signature for any of them is good.
        """
        if not self._revocations.known:
            return "it is not known yet who was revoked"
        now = self._clock()
        remembered = self._policies.get((cookie_header, client_ip))
        if remembered is not None and _holds(remembered, now) and not _has_signing_parameter(urls[0]):
            if remembered.not_before in self._revocations.serials:
                return REVOKED
            if any(covers(remembered.resource, url) for url in urls):
                return remembered
            return "the policy is for another resource"
        try:
            cookies = signing_cookies(cookie_header)
            policy = self._verify(urls, cookies, client_ip, now)
        except BadSignature as exc:
            return exc.message
        if policy.not_before in self._revocations.serials:
            return REVOKED
        # Only a custom policy says by itself what it covers; a canned one is bound to the URL it came with.
        if COOKIE_PREFIX + "Policy" in cookies and not _has_signing_parameter(urls[0]):
            self._remember((cookie_header, client_ip), policy)
        return policy

    def _verify(self, urls: Sequence[str], cookies: Mapping[str, str], client_ip: str, now: float) -> Policy:
        *first, last = urls
        for url in first:
            try:
                return verify(url=url, cookies=cookies, public_keys=self._public_keys, client_ip=client_ip, now=now)
            except BadSignature:
                continue
        return verify(url=last, cookies=cookies, public_keys=self._public_keys, client_ip=client_ip, now=now)

    def _remember(self, sender: tuple[str, str], policy: Policy) -> None:
        if len(self._policies) >= self._bound:
            del self._policies[next(iter(self._policies))]
        self._policies[sender] = policy


def signing_cookies(header: str) -> dict[str, str]:
    """Pick CloudFront's cookies out of a Cookie header.

    Raises BadSignature when the header is too long, or names one of them twice with different values: which of the two
    counts is nothing to guess about.
    """
    if len(header) > MAX_COOKIE_CHARS:
        raise BadSignature(f"more than {MAX_COOKIE_CHARS} characters of cookies were sent")
    found: dict[str, str] = {}
    for name, value in cookies_of(header):
        if name in _SIGNING_COOKIES and found.setdefault(name, value) != value:
            raise BadSignature(f"the cookie {name} was sent twice")
    return found


def cookies_of(header: str) -> Iterator[tuple[str, str]]:
    """Names and values in a Cookie header, in their order."""
    for pair in header.split(";"):
        name, _, value = pair.strip().partition("=")
        yield name, value


def without_signing_cookies(header: str) -> str:
    """Drop the cookies that open media from a Cookie header: an origin has no use for them."""
    pairs = (pair.strip() for pair in header.split(";"))
    dropped = _SIGNING_COOKIES | {SESSION_COOKIE}
    return "; ".join(pair for pair in pairs if pair and pair.partition("=")[0] not in dropped)


def _holds(policy: Policy, now: float) -> bool:
    """Tell whether a policy verified before still lets in; its address was part of what it was remembered by."""
    return now < policy.expires and (policy.not_before is None or now > policy.not_before)


def _has_signing_parameter(url: str) -> bool:
    query = url.partition("?")[2]
    return bool(query) and any(pair.partition("=")[0] in SIGNING_PARAMETERS for pair in query.split("&"))
