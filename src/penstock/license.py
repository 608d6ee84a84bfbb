"""A ClearKey license request of a live playback session -> the license. Keys are derived, never stored or logged.

ClearKey is a software level: it gets the keys of the tiers that the policy lets software have, and plays those.
Standard: W3C Encrypted Media Extensions, section "Clear Key".
"""

from __future__ import annotations

from penstock.entries import Entry
from penstock.errors import Forbidden
from penstock.formats import clearkey
from penstock.keys import KeyProvider
from penstock.model import KeyId
from penstock.states import JobState
from penstock.tiers import Policy, Robustness, Tier


def answer(request: bytes, entry: Entry, provider: KeyProvider, policy: Policy) -> bytes:
    """The license for the asked keys of this asset.

    Keys of tiers that are too good for software are left out. Where that leaves none of those that were asked for, the
    license has the asset's other keys, which software may have: a player then knows that it lacks this quality, and
    plays another; a refusal would end the playback. Raises FormatError or InvalidRequest for a request that cannot be
    read, Forbidden when it asks for any key that is not of this asset, or where the asset has none for software.
    """
    asked = clearkey.parse_request(request)
    published = [job for job in entry.jobs if job.state is JobState.PUBLISHED]
    own = list(dict.fromkeys(KeyId.from_uuid(text) for job in published for text in job.key_ids))
    if foreign := [kid for kid in asked if kid not in own]:
        raise Forbidden(f"key {foreign[0]} is not one of this asset")
    tiers = {KeyId.from_uuid(text): Tier[name] for job in published for text, name in job.key_tiers.items()}
    granted = policy.granted(asked, tiers, Robustness.SOFTWARE) or policy.granted(own, tiers, Robustness.SOFTWARE)
    if not granted:
        raise Forbidden("this asset needs a DRM in hardware; ClearKey gets none of its keys")
    return clearkey.build_response({kid: provider.content_key(entry.asset.id, kid) for kid in granted})
