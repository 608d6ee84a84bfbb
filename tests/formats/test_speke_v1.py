"""SPEKE v1 documents, spelled as AWS spells them, and the key provider's answers to them."""

from __future__ import annotations

import base64
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import CpixError
from penstock.formats import isobmff, speke_v1
from penstock.formats.cpix import CpixKey
from penstock.formats.speke_v1 import Document, DrmSystem
from penstock.keys import KeyProvider, answer_speke, answer_speke_v1
from penstock.model import ContentKey, KeyId

KID = KeyId.from_uuid("98ee5596-cd3e-a20d-163a-e382420c6eff")
PROVIDER = KeyProvider(bytes(range(32)))
# As AWS's documentation shows an encryptor's request.
REQUEST = f"""<?xml version="1.0" encoding="UTF-8"?>
<cpix:CPIX id="abc123" xmlns:cpix="urn:dashif:org:cpix" xmlns:pskc="urn:ietf:params:xml:ns:keyprov:pskc"
  xmlns:speke="urn:aws:amazon:com:speke">
  <cpix:ContentKeyList><cpix:ContentKey kid="{KID}"></cpix:ContentKey></cpix:ContentKeyList>
  <cpix:DRMSystemList>
    <cpix:DRMSystem kid="{KID}" systemId="{isobmff.PLAYREADY}">
      <cpix:ContentProtectionData /><speke:ProtectionHeader /><cpix:PSSH />
    </cpix:DRMSystem>
    <cpix:DRMSystem kid="{KID}" systemId="{isobmff.WIDEVINE}"><cpix:PSSH /></cpix:DRMSystem>
  </cpix:DRMSystemList>
</cpix:CPIX>""".encode()

texts = st.one_of(st.none(), st.text(max_size=20))
blobs = st.one_of(st.none(), st.binary(max_size=20))
systems = st.builds(DrmSystem, st.just(KID), st.uuids(), blobs, texts, texts, texts, texts, blobs)


@given(st.lists(systems, max_size=3).map(tuple), st.one_of(st.none(), st.binary(min_size=16, max_size=16)))
def test_what_is_written_is_read(drm_systems: tuple[DrmSystem, ...], iv: bytes | None) -> None:
    document = Document("abc", (CpixKey(KID, key=ContentKey(b"k" * 16), explicit_iv=iv),), drm_systems)
    assert speke_v1.parse(speke_v1.build(document)) == document


def test_the_provider_answers_what_the_encryptor_asks_for() -> None:
    answered = speke_v1.parse(answer_speke_v1(REQUEST, PROVIDER))
    assert (answered.content_id, answered.keys[0].key) == ("abc123", PROVIDER.content_key("abc123", KID))
    playready, widevine = answered.drm_systems
    assert playready.protection_header and playready.pssh
    assert isobmff.parse_pssh(playready.pssh).data == playready.protection_header
    assert playready.content_protection_data and "mspr:pro" in playready.content_protection_data
    assert (playready.key_uri, widevine.content_protection_data, widevine.key_uri) == (None, None, None)
    assert widevine.pssh == isobmff.widevine_pssh([KID], isobmff.Scheme.CENC).build()


def test_both_versions_give_the_same_key_for_the_same_content() -> None:
    """An asset that was converted again under a contract goes on to be licensed in the same way."""
    assert speke_v1.parse(answer_speke_v1(REQUEST, PROVIDER)).keys[0].key == PROVIDER.content_key("abc123", KID)


def test_fairplay_gets_an_iv_and_the_attributes_of_its_key_tag() -> None:
    asked = Document("abc", (CpixKey(KID),), (DrmSystem(KID, isobmff.FAIRPLAY),))
    answered = speke_v1.parse(answer_speke_v1(speke_v1.build(asked), PROVIDER))
    assert answered.keys[0].explicit_iv == PROVIDER.initialization_vector("abc", KID)
    (system,) = answered.drm_systems
    assert (system.key_uri, system.key_format) == (f"skd://{KID}", "com.apple.streamingkeydelivery")
    assert system.key_format_versions == "1" and system.pssh is None
    encoded = base64.b64encode(b"com.apple.streamingkeydelivery").decode()
    assert encoded.encode() in answer_speke_v1(speke_v1.build(asked), PROVIDER)


def test_clear_key_names_the_license_address() -> None:
    asked = Document("abc", (CpixKey(KID),), (DrmSystem(KID, isobmff.CLEARKEY, content_protection_data=""),))
    answered = speke_v1.parse(answer_speke_v1(speke_v1.build(asked), PROVIDER, license_url="https://v/lic"))
    assert "https://v/lic</dashif:Laurl>" in (answered.drm_systems[0].content_protection_data or "")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ((b'id="abc123"', b""), "an id"),
        ((str(KID).encode(), b"x"), "key id is a UUID"),
        ((str(isobmff.WIDEVINE).encode(), b"x"), "systemId is a UUID"),
        ((b"<cpix:PSSH />", b"<cpix:PSSH>!</cpix:PSSH>"), "PSSH is not base64"),
        ((f'<cpix:ContentKey kid="{KID}"></cpix:ContentKey>'.encode(), b""), "at least one ContentKey"),
        ((str(isobmff.WIDEVINE).encode(), str(UUID(int=7)).encode()), "is not offered"),
        ((b"<cpix:DRMSystemList>", b"<cpix:Other>"), "XML"),
    ],
)
def test_a_broken_request_is_named(change: tuple[bytes, bytes], told: str) -> None:
    with pytest.raises(CpixError, match=told):
        answer_speke_v1(REQUEST.replace(*change), PROVIDER)


def test_version_2_does_not_take_version_1_for_its_own() -> None:
    with pytest.raises(CpixError, match="version"):
        answer_speke(REQUEST, PROVIDER)


@given(st.binary())
def test_no_bytes_break_out(xml: bytes) -> None:
    with pytest.raises(CpixError):
        answer_speke_v1(xml, PROVIDER)
