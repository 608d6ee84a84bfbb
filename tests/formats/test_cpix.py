"""CPIX documents, with requests in the form of AWS's SPEKE v2 verification suite; lxml judges what is written."""

from __future__ import annotations

import base64
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from penstock.errors import CpixError
from penstock.formats import cpix
from penstock.formats.cpix import Cpix, CpixKey, DrmSystem, Filter, KeyPeriod, UsageRule
from penstock.model import ContentKey, KeyId, Scheme

VIDEO = KeyId.from_uuid("873f3740-2508-4a2d-94bc-9b0f86649251")
AUDIO = KeyId.from_uuid("0c54f2b0-b433-45a4-ae73-664438bb0b4e")
WIDEVINE = UUID("edef8ba9-79d6-4ace-a3c8-27dcd51d21ed")
FAIRPLAY = UUID("94ce86fb-07ff-4f43-adb8-93d2fa968ca2")
KEY = ContentKey(b"sixteen secrets!")
NAMESPACES = {"cpix": "urn:dashif:org:cpix", "pskc": "urn:ietf:params:xml:ns:keyprov:pskc"}

REQUEST = f"""<?xml version="1.0" encoding="UTF-8"?>
<cpix:CPIX contentId="asset-1" version="2.3" xmlns:cpix="urn:dashif:org:cpix"
           xmlns:pskc="urn:ietf:params:xml:ns:keyprov:pskc">
  <cpix:ContentKeyList>
    <cpix:ContentKey kid="{VIDEO}" commonEncryptionScheme="cbcs"></cpix:ContentKey>
    <cpix:ContentKey kid="{AUDIO}" commonEncryptionScheme="cbcs"/>
  </cpix:ContentKeyList>
  <cpix:DRMSystemList>
    <cpix:DRMSystem kid="{VIDEO}" systemId="{WIDEVINE}">
      <cpix:PSSH /><cpix:ContentProtectionData />
      <cpix:HLSSignalingData playlist="media"> </cpix:HLSSignalingData>
      <cpix:HLSSignalingData playlist="master"> </cpix:HLSSignalingData>
    </cpix:DRMSystem>
    <cpix:DRMSystem kid="{AUDIO}" systemId="{FAIRPLAY}"><cpix:HLSSignalingData playlist="media"/></cpix:DRMSystem>
  </cpix:DRMSystemList>
  <cpix:ContentKeyPeriodList><cpix:ContentKeyPeriod id="period-0" index="0"/></cpix:ContentKeyPeriodList>
  <cpix:ContentKeyUsageRuleList>
    <cpix:ContentKeyUsageRule kid="{VIDEO}" intendedTrackType="SD+HD1">
      <cpix:KeyPeriodFilter periodId="period-0"/>
      <cpix:VideoFilter maxPixels="589824"/><cpix:VideoFilter minPixels="589825" maxPixels="921600"/>
    </cpix:ContentKeyUsageRule>
    <cpix:ContentKeyUsageRule kid="{AUDIO}" intendedTrackType="AUDIO"><cpix:AudioFilter/></cpix:ContentKeyUsageRule>
  </cpix:ContentKeyUsageRuleList>
</cpix:CPIX>"""

DOCUMENT = Cpix(
    content_id="asset-1",
    keys=(CpixKey(VIDEO, Scheme.CBCS), CpixKey(AUDIO, Scheme.CBCS)),
    drm_systems=(
        DrmSystem(VIDEO, WIDEVINE, b"", "", "", ""),
        DrmSystem(AUDIO, FAIRPLAY, hls_media=""),
    ),
    usage_rules=(
        UsageRule(
            VIDEO,
            "SD+HD1",
            (
                Filter("KeyPeriodFilter", (("periodId", "period-0"),)),
                Filter("VideoFilter", (("maxPixels", "589824"),)),
                Filter("VideoFilter", (("minPixels", "589825"), ("maxPixels", "921600"))),
            ),
        ),
        UsageRule(AUDIO, "AUDIO", (Filter("AudioFilter"),)),
    ),
    key_periods=(KeyPeriod("period-0", 0),),
)


class TestParse:
    def test_a_request_is_read(self) -> None:
        assert cpix.parse(REQUEST.encode()) == DOCUMENT

    def test_an_answer_is_read(self) -> None:
        secret = f"<pskc:PlainValue>\n {base64.b64encode(KEY.reveal()).decode()} \n</pskc:PlainValue>"
        answer = REQUEST.replace(
            '"cbcs"></cpix:ContentKey>',
            '"cbcs" explicitIV="AAAAAAAAAAAAAAAAAAAAAA=="><cpix:Data><pskc:Secret>'
            f"{secret}</pskc:Secret></cpix:Data></cpix:ContentKey>",
        ).replace("<cpix:PSSH />", "<cpix:PSSH>AAA\nA</cpix:PSSH>")
        read = cpix.parse(answer.encode())
        assert read.keys[0] == CpixKey(VIDEO, Scheme.CBCS, KEY, bytes(16))
        assert read.drm_systems[0].pssh == b"\0\0\0"

    def test_key_ids_are_read_in_any_case(self) -> None:
        assert cpix.parse(REQUEST.replace(str(VIDEO), str(VIDEO).upper()).encode()) == DOCUMENT

    @pytest.mark.parametrize(
        ("old", "new", "complaint"),
        [
            (' contentId="asset-1"', "", "Missing CPIX@contentId"),
            (' contentId="asset-1"', ' contentId=" "', "Missing CPIX@contentId"),
            (' version="2.3"', "", "Missing CPIX@version"),
            (' version="2.3"', ' version="2.4"', "Unsupported CPIX@version"),
            ("cpix:CPIX", "cpix:Cpix", "root element"),
            ('"urn:dashif:org:cpix"', '"urn:dashif:org:other"', "root element"),
            (f'<cpix:ContentKey kid="{VIDEO}"', "<cpix:ContentKey", "Missing ContentKey@kid"),
            (f'<cpix:ContentKey kid="{VIDEO}"', '<cpix:ContentKey kid="1"', "ContentKey@kid: a key id is a UUID"),
            (f'<cpix:ContentKey kid="{VIDEO}"', f'<cpix:ContentKey kid="{AUDIO}"', "same kid"),
            (f'<cpix:DRMSystem kid="{VIDEO}"', f'<cpix:DRMSystem kid="{UUID(int=1)}"', "not in ContentKeyList"),
            (f' systemId="{WIDEVINE}"', "", "Missing DRMSystem@systemId"),
            (f' systemId="{WIDEVINE}"', ' systemId="widevine"', "DRMSystem@systemId is a UUID"),
            ('"cbcs"></', '"cens"></', "Unsupported ContentKey@commonEncryptionScheme 'cens'"),
            ('"cbcs"></', '"cbcs" explicitIV="AAAA"></', "16 bytes, got 3"),
            ('"cbcs"></', '"cbcs" explicitIV="?"></', "not base64"),
            ('"cbcs"></', '"cbcs"><cpix:Data/></', "no pskc:Secret"),
            ('"cbcs"></', '"cbcs"><cpix:Data><pskc:Secret/></cpix:Data></', "no pskc:PlainValue"),
            (
                '"cbcs"></',
                '"cbcs"><cpix:Data><pskc:Secret><pskc:EncryptedValue/></pskc:Secret></cpix:Data></',
                "cannot hold EncryptedValue",
            ),
            (
                '"cbcs"></',
                '"cbcs"><cpix:Data><pskc:Secret><pskc:PlainValue>AAAA</pskc:PlainValue></pskc:Secret></cpix:Data></',
                "16 bytes, got 3",
            ),
            ("<cpix:ContentKeyList>", "<cpix:DeliveryDataList/><cpix:ContentKeyList>", "cannot hold DeliveryDataList"),
            ("<cpix:ContentKeyList>", "<cpix:ContentKeyList/><cpix:ContentKeyList>", "ContentKeyList twice"),
            ("<cpix:ContentKeyList>", "<cpix:ContentKeyList><cpix:DRMSystem/>", "cannot hold DRMSystem"),
            ("<cpix:PSSH />", "<cpix:PSSH /><cpix:PSSH />", "PSSH twice"),
            ("<cpix:PSSH />", "<cpix:PSSH>?</cpix:PSSH>", "PSSH is not base64"),
            ("<cpix:PSSH />", "<cpix:PSSH>\u00e4</cpix:PSSH>", "PSSH is not base64"),
            ("<cpix:PSSH />", "<cpix:PSSH>AA<cpix:PSSH/>AA</cpix:PSSH>", "PSSH cannot hold PSSH"),
            ("<cpix:PSSH />", "<cpix:URIExtXKey/>", "DRMSystem cannot hold URIExtXKey"),
            (
                "<cpix:ContentProtectionData />",
                "<cpix:ContentProtectionData>/w==</cpix:ContentProtectionData>",
                "UTF-8",
            ),
            ('playlist="master"', 'playlist="media"', "each once"),
            ('playlist="master"', 'playlist="other"', "media or master"),
            ('index="0"', 'index="-1"', "whole number"),
            ('index="0"', 'index="9999999999"', "whole number"),
            ("cpix:AudioFilter", "cpix:BitrateFilter", "cannot hold BitrateFilter"),
            (' intendedTrackType="AUDIO"', "", "Missing ContentKeyUsageRule@intendedTrackType"),
        ],
    )
    def test_what_is_missing_or_unknown_is_named(self, old: str, new: str, complaint: str) -> None:
        assert old in REQUEST
        with pytest.raises(CpixError, match=complaint):
            cpix.parse(REQUEST.replace(old, new).encode())

    def test_a_document_without_keys_is_refused(self) -> None:
        with pytest.raises(CpixError, match="no ContentKey"):
            cpix.parse(b'<CPIX xmlns="urn:dashif:org:cpix" contentId="a" version="2.3"/>')

    def test_document_types_and_endless_documents_are_refused(self) -> None:
        with pytest.raises(CpixError, match="DOCTYPE"):
            cpix.parse(REQUEST.replace("<cpix:CPIX", "<!DOCTYPE a><cpix:CPIX").encode())
        with pytest.raises(CpixError, match="at most"):
            cpix.parse(REQUEST.encode() + b" " * cpix.MAX_BYTES)

    @given(st.binary())
    def test_no_bytes_break_out(self, xml: bytes) -> None:
        with pytest.raises(CpixError):
            cpix.parse(xml)

    @given(st.integers(0, len(REQUEST)), st.integers(0, 40), st.text("<>/\"'= &;!-?AZcpix:09\u00e4\0", max_size=8))
    def test_no_damaged_request_breaks_out(self, start: int, length: int, insert: str) -> None:
        damaged = REQUEST[:start] + insert + REQUEST[start + length :]
        try:
            assert cpix.parse(damaged.encode()).keys
        except CpixError as exc:
            assert exc.message


class TestBuild:
    def test_an_answer_as_lxml_reads_it(self) -> None:
        system = DrmSystem(VIDEO, WIDEVINE, b"\0\1", "<a/>", "#EXT-X-KEY", "#EXT-X-SESSION-KEY", "header")
        key = CpixKey(VIDEO, Scheme.CENC, KEY, bytes(range(16)))
        root = etree.fromstring(cpix.build(Cpix("a & b", (key,), (system,), (UsageRule(VIDEO, "ALL"),))))

        def at(path: str) -> list:
            return root.xpath(path, namespaces=NAMESPACES)

        assert at("string(/cpix:CPIX/@contentId)") == "a & b"
        assert at("string(/cpix:CPIX/@version)") == "2.3"
        assert at("string(cpix:ContentKeyList/cpix:ContentKey/@commonEncryptionScheme)") == "cenc"
        assert base64.b64decode(at("string(//cpix:ContentKey/@explicitIV)")) == bytes(range(16))
        path = "//cpix:ContentKey/cpix:Data/pskc:Secret/pskc:PlainValue"
        assert base64.b64decode(at(f"string({path})")) == KEY.reveal()
        assert at("string(cpix:DRMSystemList/cpix:DRMSystem/@systemId)") == str(WIDEVINE)
        assert base64.b64decode(at("string(//cpix:PSSH)")) == b"\0\1"
        assert base64.b64decode(at("string(//cpix:ContentProtectionData)")) == b"<a/>"
        assert base64.b64decode(at("string(//cpix:HLSSignalingData[@playlist='media'])")) == b"#EXT-X-KEY"
        assert base64.b64decode(at("string(//cpix:HLSSignalingData[@playlist='master'])")) == b"#EXT-X-SESSION-KEY"
        assert at("string(//cpix:SmoothStreamingProtectionHeaderData)") == "header"
        assert at("count(//cpix:ContentKeyUsageRule[@intendedTrackType='ALL']/*)") == 2

    @pytest.mark.parametrize(
        ("track_type", "filters"),
        [
            ("ALL", ["VideoFilter", "AudioFilter"]),
            ("VIDEO", ["VideoFilter"]),
            ("UHD", ["VideoFilter"]),
            ("AUDIO", ["AudioFilter"]),
            ("STEREO_AUDIO", ["AudioFilter"]),
        ],
    )
    def test_plain_filters_follow_the_track_type(self, track_type: str, filters: list[str]) -> None:
        xml = cpix.build(Cpix("a", (CpixKey(VIDEO),), (), (UsageRule(VIDEO, track_type),)))
        assert [filter_.name for filter_ in cpix.parse(xml).usage_rules[0].filters] == filters

    def test_secrets_stay_out_of_repr(self) -> None:
        shown = repr(Cpix("a", (CpixKey(VIDEO, Scheme.CENC, KEY),)))
        assert "sixteen" not in shown
        assert "hidden" in shown

    @pytest.mark.parametrize("content_id", ["a\0", "\ud800", "\x1b[0m"])
    def test_text_that_xml_cannot_hold_is_refused(self, content_id: str) -> None:
        with pytest.raises(CpixError, match="control characters"):
            cpix.build(Cpix(content_id, (CpixKey(VIDEO),)))


xml_text = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"), max_size=20)
words = xml_text.map(str.strip).filter(bool)
optional_text = st.none() | xml_text.map(str.strip)
secrets = st.none() | st.binary(min_size=16, max_size=16).map(ContentKey)
keys = st.builds(
    CpixKey,
    kid=st.binary(min_size=16, max_size=16).map(KeyId),
    scheme=st.none() | st.sampled_from(Scheme),
    key=secrets,
    explicit_iv=st.none() | st.binary(min_size=16, max_size=16),
)


@st.composite
def documents(draw: st.DrawFn) -> Cpix:
    chosen = draw(st.lists(keys, min_size=1, max_size=3, unique_by=lambda key: key.kid))
    kids = st.sampled_from([key.kid for key in chosen])
    system = st.builds(
        DrmSystem, kids, st.uuids(), st.none() | st.binary(), optional_text, optional_text, optional_text, optional_text
    )
    filter_ = st.builds(Filter, st.sampled_from(["VideoFilter", "AudioFilter"]), st.just((("maxPixels", "1"),)))
    rule = st.builds(UsageRule, kids, words, st.lists(filter_, min_size=1, max_size=2).map(tuple))
    return Cpix(
        draw(words),
        tuple(chosen),
        draw(st.lists(system, max_size=3).map(tuple)),
        draw(st.lists(rule, max_size=3).map(tuple)),
        key_periods=draw(st.lists(st.builds(KeyPeriod, words, st.integers(0, 999)), max_size=2).map(tuple)),
    )


@given(documents())
def test_what_is_written_is_read(document: Cpix) -> None:
    assert cpix.parse(cpix.build(document)) == document
