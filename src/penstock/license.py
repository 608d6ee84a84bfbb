"""A ClearKey license request of a live playback session -> the license. Keys are derived, never stored or logged.

Standard: W3C Encrypted Media Extensions, section "Clear Key".
"""

from __future__ import annotations

from penstock.entries import Entry
from penstock.errors import Forbidden
from penstock.formats import clearkey
from penstock.keys import KeyProvider
from penstock.model import KeyId
from penstock.states import JobState


def answer(request: bytes, entry: Entry, provider: KeyProvider) -> bytes:
    """The license for the asked keys of this asset.

    Raises FormatError or InvalidRequest for a request that cannot be read, Forbidden when it asks for any key that is
    not of this asset: then it gets none.
    """
    asked = clearkey.parse_request(request)
    own = {KeyId.from_uuid(text) for job in entry.jobs if job.state is JobState.PUBLISHED for text in job.key_ids}
    if foreign := [kid for kid in asked if kid not in own]:
        raise Forbidden(f"key {foreign[0]} is not one of this asset")
    return clearkey.build_response({kid: provider.content_key(entry.asset.id, kid) for kid in asked})
