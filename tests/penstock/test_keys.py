"""Content keys, and SPEKE answers judged by what AWS's verification suite for key providers asks of them."""

from __future__ import annotations

import base64
import re
import subprocess
from dataclasses import replace
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from penstock.errors import CpixError, InvalidRequest
from penstock.formats import cpix, isobmff
from penstock.formats.cpix import Cpix, CpixKey, DrmSystem, UsageRule
from penstock.keys import KeyProvider, answer_speke
from penstock.model import KeyId, Scheme

MASTER = bytes(range(32))
VIDEO, AUDIO = KeyId(b"v" * 16), KeyId(b"a" * 16)
SYSTEMS = [isobmff.COMMON, isobmff.CLEARKEY, isobmff.WIDEVINE, isobmff.PLAYREADY, isobmff.FAIRPLAY]


@pytest.fixture
def provider() -> KeyProvider:
    return KeyProvider(MASTER)


def request(*systems: UUID, scheme: Scheme = Scheme.CBCS) -> Cpix:
    """A request as MediaConvert sends it, every element there and empty."""
    asked = tuple(
        DrmSystem(kid, system, hls_media="", hls_master="")
        if system == isobmff.FAIRPLAY
        else DrmSystem(kid, system, b"", "", "", "")
        for system in systems
        for kid in (VIDEO, AUDIO)
    )
    rules = (UsageRule(VIDEO, "VIDEO"), UsageRule(AUDIO, "AUDIO"))
    return Cpix("asset-1", (CpixKey(VIDEO, scheme), CpixKey(AUDIO, scheme)), asked, rules)


def answer(provider: KeyProvider, asked: Cpix) -> Cpix:
    return cpix.parse(answer_speke(cpix.build(asked), provider))


class TestKeyProvider:
    def test_a_key_is_always_the_same(self, provider: KeyProvider) -> None:
        assert provider.content_key("asset-1", VIDEO) == KeyProvider(MASTER).content_key("asset-1", VIDEO)

    def test_master_content_and_key_id_all_count(self, provider: KeyProvider) -> None:
        keys = {
            provider.content_key("asset-1", VIDEO),
            provider.content_key("asset-1", AUDIO),
            provider.content_key("asset-2", VIDEO),
            KeyProvider(MASTER[::-1]).content_key("asset-1", VIDEO),
        }
        assert len(keys) == 4
        assert provider.initialization_vector("asset-1", VIDEO) not in {key.reveal() for key in keys}

    def test_openssl_derives_the_same_key(self, provider: KeyProvider) -> None:
        """The derivation is a promise: assets made today have to be playable by every later version."""
        info = b"penstock content key\0" + VIDEO.raw + b"asset-1"
        command = ["openssl", "kdf", "-keylen", "16", "-binary", "-kdfopt", "digest:SHA256"]
        command += ["-kdfopt", f"hexkey:{MASTER.hex()}", "-kdfopt", f"hexinfo:{info.hex()}", "HKDF"]
        derived = subprocess.run(command, check=True, capture_output=True, timeout=30).stdout
        assert provider.content_key("asset-1", VIDEO).reveal() == derived

    def test_repr_hides_the_master(self, provider: KeyProvider) -> None:
        assert repr(provider) == "KeyProvider(<hidden>)"

    def test_a_short_master_is_refused(self) -> None:
        with pytest.raises(InvalidRequest, match="32 bytes"):
            KeyProvider(b"short")


class TestAnswer:
    def test_every_key_is_that_of_the_provider(self, provider: KeyProvider) -> None:
        answered = answer(provider, request(*SYSTEMS))
        assert [key.key for key in answered.keys] == [provider.content_key("asset-1", kid) for kid in (VIDEO, AUDIO)]
        assert answered.keys[0].key != answered.keys[1].key

    def test_nothing_of_the_request_is_lost(self, provider: KeyProvider) -> None:
        asked = cpix.parse(cpix.build(request(*SYSTEMS)))
        answered = answer(provider, asked)
        assert (answered.content_id, answered.usage_rules) == (asked.content_id, asked.usage_rules)
        assert [(s.kid, s.system_id) for s in answered.drm_systems] == [(s.kid, s.system_id) for s in asked.drm_systems]

    def test_the_same_request_gets_the_same_answer(self, provider: KeyProvider) -> None:
        xml = cpix.build(request(*SYSTEMS))
        assert answer_speke(xml, provider) == answer_speke(xml, provider)

    @pytest.mark.parametrize("system", SYSTEMS)
    @pytest.mark.parametrize("scheme", list(Scheme))
    def test_every_element_asked_for_is_filled(self, provider: KeyProvider, system: UUID, scheme: Scheme) -> None:
        if system == isobmff.FAIRPLAY and scheme is Scheme.CENC:
            return  # refused, see below
        asked = request(system, scheme=scheme)
        for before, after in zip(asked.drm_systems, answer(provider, asked).drm_systems, strict=True):
            for member in ("pssh", "content_protection_data", "hls_media", "hls_master"):
                if getattr(before, member) is None:
                    assert getattr(after, member) is None
                else:
                    assert getattr(after, member)

    def test_only_what_was_asked_for_is_filled(self, provider: KeyProvider) -> None:
        asked = replace(request(isobmff.WIDEVINE), drm_systems=(DrmSystem(VIDEO, isobmff.WIDEVINE, pssh=b""),))
        (system,) = answer(provider, asked).drm_systems
        assert system.pssh
        assert (system.content_protection_data, system.hls_media, system.hls_master) == (None, None, None)

    def test_a_system_that_asks_for_nothing_gets_everything(self, provider: KeyProvider) -> None:
        asked = replace(request(isobmff.PLAYREADY), drm_systems=(DrmSystem(VIDEO, isobmff.PLAYREADY),))
        (system,) = answer(provider, asked).drm_systems
        assert system.pssh
        assert system.content_protection_data
        assert system.hls_media
        assert system.smooth_header
        assert base64.b64decode(system.smooth_header) == isobmff.parse_pssh(system.pssh).data

    def test_fairplay_gets_an_iv_and_a_skd_address(self, provider: KeyProvider) -> None:
        answered = answer(provider, request(isobmff.FAIRPLAY))
        assert answered.keys[0].explicit_iv == provider.initialization_vector("asset-1", VIDEO)
        assert answered.drm_systems[0].hls_media == (
            f'#EXT-X-KEY:METHOD=SAMPLE-AES,URI="skd://{VIDEO}",'
            'KEYFORMAT="com.apple.streamingkeydelivery",KEYFORMATVERSIONS="1"'
        )

    def test_an_iv_of_the_encryptor_stays(self, provider: KeyProvider) -> None:
        asked = request(isobmff.FAIRPLAY)
        asked = replace(asked, keys=(replace(asked.keys[0], explicit_iv=bytes(16)), asked.keys[1]))
        assert answer(provider, asked).keys[0].explicit_iv == bytes(16)

    def test_other_systems_get_no_iv(self, provider: KeyProvider) -> None:
        assert answer(provider, request(isobmff.WIDEVINE)).keys[0].explicit_iv is None

    @pytest.mark.parametrize(
        ("system", "key_format"),
        [
            (isobmff.WIDEVINE, "urn:uuid:edef8ba9-79d6-4ace-a3c8-27dcd51d21ed"),
            (isobmff.PLAYREADY, "com.microsoft.playready"),
            (isobmff.FAIRPLAY, "com.apple.streamingkeydelivery"),
        ],
    )
    def test_both_playlists_agree(self, provider: KeyProvider, system: UUID, key_format: str) -> None:
        """RFC 8216bis: METHOD, KEYFORMAT and KEYFORMATVERSIONS of a session key match those of the key."""
        answered = answer(provider, request(system)).drm_systems[0]
        assert answered.hls_media
        assert answered.hls_master
        assert answered.hls_media.replace("#EXT-X-KEY:", "#EXT-X-SESSION-KEY:") == answered.hls_master
        assert f'KEYFORMAT="{key_format}"' in answered.hls_media

    @pytest.mark.parametrize("scheme", list(Scheme))
    @pytest.mark.parametrize("system", [isobmff.COMMON, isobmff.CLEARKEY, isobmff.WIDEVINE, isobmff.PLAYREADY])
    def test_manifest_and_box_say_the_same(self, provider: KeyProvider, system: UUID, scheme: Scheme) -> None:
        answered = answer(provider, request(system, scheme=scheme)).drm_systems[0]
        fragment = etree.fromstring(f"<mpd>{answered.content_protection_data}</mpd>")
        assert answered.pssh
        assert base64.b64decode(fragment.findtext("{urn:mpeg:cenc:2013}pssh")) == answered.pssh
        pro = fragment.findtext("{urn:microsoft:playready}pro")
        assert (pro is not None) is (system == isobmff.PLAYREADY)
        assert pro is None or base64.b64decode(pro) == isobmff.parse_pssh(answered.pssh).data

    def test_clear_key_takes_the_common_box_under_either_name(self, provider: KeyProvider) -> None:
        for system in (isobmff.COMMON, isobmff.CLEARKEY):
            pssh = answer(provider, request(system)).drm_systems[0].pssh
            assert pssh == isobmff.common_pssh([VIDEO]).build()

    def test_no_key_is_in_what_players_see(self, provider: KeyProvider) -> None:
        answered = answer(provider, request(*SYSTEMS))
        for key in answered.keys:
            assert key.key
            raw = key.key.reveal()
            seen = b"".join(
                (s.pssh or b"") + f"{s.content_protection_data}{s.hls_media}{s.smooth_header}".encode()
                for s in answered.drm_systems
            )
            assert raw not in seen
            assert raw.hex().encode() not in seen
            assert base64.b64encode(raw).rstrip(b"=") not in seen


class TestRefusals:
    def test_an_unknown_system_is_named(self, provider: KeyProvider) -> None:
        unknown = UUID("80a6be7e-1448-4c37-9e70-d5aebe04c8d2")
        with pytest.raises(CpixError, match=f"{unknown} is not offered"):
            answer(provider, request(isobmff.WIDEVINE, unknown))

    @pytest.mark.parametrize(
        ("change", "complaint"),
        [
            ({"drm_systems": ()}, "Missing DRMSystem"),
            ({"usage_rules": ()}, "Missing ContentKeyUsageRule"),
            ({"usage_rules": (UsageRule(VIDEO, "VIDEO"), UsageRule(AUDIO, "VIDEO"))}, "same intendedTrackType"),
            (
                {"keys": (CpixKey(VIDEO, Scheme.CBCS), CpixKey(AUDIO))},
                f"Missing ContentKey@commonEncryptionScheme for KID {AUDIO}",
            ),
            (
                {"keys": (CpixKey(VIDEO, Scheme.CBCS), CpixKey(AUDIO, Scheme.CENC))},
                "Non compliant ContentKey@commonEncryptionScheme combination",
            ),
            ({"version": "2.4"}, "Unsupported CPIX@version"),
        ],
    )
    def test_a_broken_contract_is_named(self, provider: KeyProvider, change: dict, complaint: str) -> None:
        with pytest.raises(CpixError, match=re.escape(complaint)):
            answer(provider, replace(request(isobmff.WIDEVINE), **change))

    def test_fairplay_decrypts_cbcs_only(self, provider: KeyProvider) -> None:
        with pytest.raises(CpixError, match="Non compliant"):
            answer(provider, request(isobmff.WIDEVINE, isobmff.FAIRPLAY, scheme=Scheme.CENC))

    @given(st.binary())
    def test_no_bytes_break_out(self, xml: bytes) -> None:
        with pytest.raises(CpixError):
            answer_speke(xml, KeyProvider(MASTER))


def test_clear_key_signals_the_license_address_in_place_of_a_pssh(provider: KeyProvider) -> None:
    address = "https://video.example.com/v1/licenses/clearkey?a=1&b=2"
    given = answer_speke(cpix.build(request(isobmff.CLEARKEY)), provider, license_url=address)
    systems = cpix.parse(given).drm_systems
    for system in systems:
        data = etree.fromstring(system.content_protection_data or "")
        assert (data.tag, data.text) == ("{https://dashif.org/CPS}Laurl", address)
        assert system.pssh
    assert len(systems) == 2
