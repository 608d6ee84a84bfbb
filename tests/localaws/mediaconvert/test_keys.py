"""Keys are asked for by SPEKE v2, signed, over TLS or loopback, and stay silent."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

import mediaconvert_jobs as jobs
from localaws.config import Config
from localaws.media.failures import JobCanceled, JobError
from localaws.media.keys import KeyProvider, Keys, key_id
from localaws.mediaconvert.settings import packaging
from localaws.mediaconvert.settings.packaging import Encryption
from mediaconvert_speke import ACCESS_KEY_ID, CONTENT_KEYS, Speke
from penstock.formats import cpix, speke_v1
from penstock.keys import answer_speke

CLEARKEY = "e2719d58-a985-b3c9-781a-b030af78d30e"
BOTH = ("VIDEO", "AUDIO")


def encryption(url: str, **speke: object) -> Encryption:
    own = {"Encryption": jobs.encryption(url, systems=(CLEARKEY,), **speke)}
    found = packaging.read("group", packaging.CMAF, own).encryption
    assert found is not None
    return found


def ask(config: Config, asked: Encryption, labels: tuple[str, ...] = BOTH, patience_s: float = 0.0) -> Keys:
    return KeyProvider(config, patience_s).keys("job-1", asked, labels, threading.Event())


def test_video_and_audio_get_keys_of_their_own(config: Config, speke: Speke) -> None:
    keys = ask(config, encryption(speke.url))
    video, audio = keys.tracks
    assert (video.label, audio.label) == BOTH
    assert video.kid != audio.kid
    for track in keys.tracks:
        assert track.key.key == CONTENT_KEYS.content_key("asset-1", track.kid)
        assert [str(system.system_id) for system in track.systems] == [CLEARKEY]


def test_the_request_is_signed_and_says_what_mediaconvert_says(config: Config, speke: Speke) -> None:
    ask(config, encryption(speke.url))
    headers, body = speke.requests[0]
    assert headers["X-Speke-Version"] == "2.0"
    assert headers["Content-Type"] == "application/xml"
    assert speke.verified_by(0) == ACCESS_KEY_ID
    document = cpix.parse(body)
    assert document.content_id == "asset-1"
    assert {rule.track_type for rule in document.usage_rules} == set(BOTH)
    assert all(key.key is None and key.scheme == "cbcs" for key in document.keys)


def test_a_shared_key_is_asked_for_once(config: Config, speke: Speke) -> None:
    contract = {"SpekeVideoPreset": "SHARED", "SpekeAudioPreset": "SHARED"}
    keys = ask(config, encryption(speke.url, EncryptionContractConfiguration=contract), ("ALL",))
    assert [track.label for track in keys.tracks] == ["ALL"]
    assert [rule.track_type for rule in cpix.parse(speke.requests[0][1]).usage_rules] == ["ALL"]


def test_every_key_of_a_contract_is_asked_for_with_its_bounds_and_kept_where_there_are_tracks(
    config: Config, speke: Speke
) -> None:
    contract = {"SpekeVideoPreset": "PRESET_VIDEO_5", "SpekeAudioPreset": "PRESET_AUDIO_2"}
    asked = encryption(speke.url, EncryptionContractConfiguration=contract)
    keys = ask(config, asked, ("SD", "HD2", "STEREO_AUDIO"))
    assert [track.label for track in keys.tracks] == ["SD", "HD2", "STEREO_AUDIO"]
    assert len({track.kid for track in keys.tracks}) == 3
    rules = {rule.track_type: rule for rule in cpix.parse(speke.requests[0][1]).usage_rules}
    assert list(rules) == ["SD", "HD1", "HD2", "UHD1", "UHD2", "STEREO_AUDIO", "MULTICHANNEL_AUDIO"]
    assert rules["HD2"].filters == (cpix.Filter("VideoFilter", (("minPixels", "921601"), ("maxPixels", "2073600"))),)
    assert rules["STEREO_AUDIO"].filters == (cpix.Filter("AudioFilter", (("maxChannels", "2"),)),)


def test_without_presets_speke_v1_is_spoken(config: Config, speke: Speke) -> None:
    def answer(body: bytes) -> tuple[int, bytes]:
        asked = speke_v1.parse(body)
        (key,) = asked.keys
        (system,) = asked.drm_systems
        assert (system.pssh, system.content_protection_data, system.key_uri, system.key_format) == (b"", "", "", "")
        given = replace(key, key=CONTENT_KEYS.content_key(asked.content_id, key.kid))
        filled = replace(system, pssh=b"box", content_protection_data="<a/>", key_uri="skd://1", key_format="com.x.y")
        return 200, speke_v1.build(replace(asked, keys=(given,), drm_systems=(filled,)))

    speke.answer = answer
    keys = ask(config, encryption(speke.url, EncryptionContractConfiguration=None), ("ALL",))
    headers, body = speke.requests[0]
    assert "X-Speke-Version" not in headers and headers["Content-Type"] == "application/xml"
    assert speke.verified_by(0) == ACCESS_KEY_ID
    assert b'id="asset-1"' in body and b"contentId" not in body and b"commonEncryptionScheme" not in body
    (track,) = keys.tracks
    assert track.key.key == CONTENT_KEYS.content_key("asset-1", track.kid)
    line = '#EXT-X-KEY:METHOD=SAMPLE-AES,URI="skd://1",KEYFORMAT="com.x.y"'
    assert (track.systems[0].pssh, track.systems[0].hls_media) == (b"box", line)


def test_a_version_1_answer_cannot_break_out_of_a_playlist(config: Config, speke: Speke) -> None:
    def answer(body: bytes) -> tuple[int, bytes]:
        asked = speke_v1.parse(body)
        filled = replace(asked.drm_systems[0], key_uri='skd://1"\n#EXTINF:1,')
        return 200, speke_v1.build(replace(asked, drm_systems=(filled,)))

    speke.answer = answer
    with pytest.raises(JobError, match="cannot stand in a playlist") as raised:
        ask(config, encryption(speke.url, EncryptionContractConfiguration=None), ("ALL",))
    assert raised.value.code == 1091


def test_what_stays_in_the_clear_gets_no_key(config: Config, speke: Speke) -> None:
    contract = {"SpekeVideoPreset": "PRESET_VIDEO_1", "SpekeAudioPreset": "UNENCRYPTED"}
    asked = encryption(speke.url, EncryptionContractConfiguration=contract)
    assert [track.label for track in ask(config, asked).tracks] == ["VIDEO"]
    assert [track.label for track in ask(config, encryption(speke.url), ("AUDIO",)).tracks] == ["AUDIO"]


def test_a_resumed_job_uses_the_same_key_ids() -> None:
    asked = encryption("http://127.0.0.1:1/")
    assert key_id("job-1", asked, "VIDEO") == key_id("job-1", asked, "VIDEO")
    others = [
        key_id("job-2", asked, "VIDEO"),
        key_id("job-1", asked, "AUDIO"),
        key_id("job-1", replace(asked, resource_id="asset-2"), "VIDEO"),
        key_id("job-1", replace(asked, scheme="cenc"), "VIDEO"),
    ]
    assert key_id("job-1", asked, "VIDEO") not in others and len(set(others)) == 4


def test_keys_are_silent(config: Config, speke: Speke) -> None:
    keys = ask(config, encryption(speke.url))
    secret = keys.tracks[0].key.key
    assert secret is not None
    assert secret.reveal().hex() not in repr(keys) + str(keys)
    assert secret.reveal().hex().encode() in keys.flags(None)


def test_a_constant_iv_of_the_job_wins(config: Config, speke: Speke) -> None:
    flags = ask(config, encryption(speke.url)).flags("ab" * 16).decode()
    assert flags.count(":iv=" + "ab" * 16) == 2


@pytest.mark.parametrize(
    ("status", "body", "code", "told"),
    [
        (403, b"no", 1091, "refused to give keys: status 403"),
        (401, b"no", 1091, "status 401"),
        (302, b"", 1091, "status 302"),
        (500, b"oops", 3450, "answered 500"),
        (503, b"", 3450, "answered 503"),
        (200, b"", 1091, "cannot be read"),
        (200, b"<html/>", 1091, "cannot be read"),
        (200, b"x" * 300_000, 1091, "more than 262144 bytes"),
    ],
)
def test_a_provider_that_says_no(config: Config, speke: Speke, status: int, body: bytes, code: int, told: str) -> None:
    speke.answer = lambda request: (status, body)
    with pytest.raises(JobError, match=told) as raised:
        ask(config, encryption(speke.url))
    assert raised.value.code == code


def test_an_answer_without_keys_or_for_other_content_is_refused(config: Config, speke: Speke) -> None:
    speke.answer = lambda request: (200, request)
    with pytest.raises(JobError, match="no key for VIDEO"):
        ask(config, encryption(speke.url))
    speke.answer = lambda request: (200, answer_speke(request, CONTENT_KEYS).replace(b"asset-1", b"asset-2"))
    with pytest.raises(JobError, match="another resource id"):
        ask(config, encryption(speke.url))


def test_a_provider_that_cannot_be_reached(config: Config) -> None:
    with pytest.raises(JobError, match="cannot be reached") as raised:
        ask(config, encryption("http://127.0.0.1:1/speke"))
    assert raised.value.code == 3451


def test_a_provider_that_restarts_is_waited_for(config: Config, speke: Speke) -> None:
    answers = iter([(503, b""), (502, b"")])
    good = speke.answer
    speke.answer = lambda request: next(answers, None) or good(request)
    assert len(ask(config, encryption(speke.url), patience_s=20).tracks) == 2
    assert len(speke.requests) == 3


def test_waiting_ends_when_the_job_is_canceled(config: Config) -> None:
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(JobCanceled):
        KeyProvider(config, 60).keys("job-1", encryption("http://127.0.0.1:1/"), BOTH, cancel)
