"""AES-128 and SAMPLE-AES of HLS groups: openssl, ffmpeg and a wrong key judge what came out."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import mediaconvert_jobs as jobs
from localaws.media import jail, sample_aes
from localaws.media.failures import JobError, SettingRefused
from localaws.mediaconvert.answers import table as settings_table
from localaws.mediaconvert.settings import request
from mediaconvert_speke import CONTENT_KEYS, Speke
from penstock.formats import cpix, hls, speke_v1
from penstock.model import ContentKey
from probed_media import bilingual
from sample_media import ffmpeg

KEY = "00112233445566778899aabbccddeeff"
IV = "0f0e0d0c0b0a09080706050403020100"
AES_128 = "81376844-f976-481e-a84e-cc25d39b0b33"
OWN = "outputGroups[0].outputGroupSettings.hlsGroupSettings.encryption"
Convert = Callable[[Path, dict[str, Any]], Any]


@pytest.fixture
def film(tmp_path: Path) -> Path:
    source = ("-f", "lavfi", "-i")
    picture, tone = "testsrc2=size=160x90:rate=25:duration=3", "sine=sample_rate=48000:duration=3"
    encode = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-ac", "2", "-c:a", "aac")
    return ffmpeg(tmp_path / "film.mp4", *source, picture, *source, tone, *encode)


def muxed(modifier: str = "_m") -> dict[str, Any]:
    return jobs.hls_output({**jobs.video(modifier, Height=90), "AudioDescriptions": [jobs.aac()]})


def opened(encrypted: bytes, key: str, iv: str) -> bytes | None:
    """Decrypted by openssl; None where the padding does not hold, which is what a wrong key looks like."""
    command = ["openssl", "enc", "-d", "-aes-128-cbc", "-K", key, "-iv", iv]
    done = subprocess.run(command, input=encrypted, capture_output=True, timeout=30)
    return done.stdout if done.returncode == 0 else None


def is_transport_stream(data: bytes | None) -> bool:
    return data is not None and len(data) % 188 == 0 and {data[at] for at in range(0, len(data), 188)} == {0x47}


@pytest.mark.parametrize("constant", [True, False], ids=["constant IV", "segment number"])
def test_openssl_opens_every_segment_and_a_wrong_key_none(constant: bool, film: Path, convert: Convert) -> None:
    members = {"ConstantInitializationVector": IV} if constant else {}
    protection = jobs.static_key("https://keys.example.com/1", KEY, OfflineEncrypted="ENABLED", **members)
    done = convert(film, jobs.settings(jobs.hls(muxed(), Encryption=protection)))
    playlist = done.text("h/hls_m.m3u8")
    listed = f",IV=0x{IV}" if constant else ""
    assert f'#EXT-X-KEY:METHOD=AES-128,URI="https://keys.example.com/1"{listed}\n' in playlist
    assert f'#EXT-X-SESSION-KEY:METHOD=AES-128,URI="https://keys.example.com/1"{listed}\n' in done.text("h/hls.m3u8")
    names = [f"h/{name}" for name in hls.segment_names(playlist)]
    assert len(names) == 2
    for number, name in enumerate(names, start=1):
        encrypted, iv = done.path(name).read_bytes(), IV if constant else f"{number:032x}"
        assert is_transport_stream(opened(encrypted, KEY, iv))
        assert not is_transport_stream(opened(encrypted, KEY[::-1], iv))
        assert not is_transport_stream(opened(encrypted, KEY, "ff" * 16))
        assert b"\x47\x40" not in encrypted[:2]


@pytest.mark.parametrize("control", ["SEGMENTED_FILES", "SINGLE_FILE"])
def test_ffmpeg_plays_sound_and_picture_through_the_playlist(
    control: str, tmp_path: Path, film: Path, convert: Convert
) -> None:
    store = tmp_path / "store"
    (store / "h").mkdir(parents=True)
    (store / "h/key").write_bytes(bytes.fromhex(KEY))
    outputs = (jobs.hls_output(jobs.video("_v", Height=90)), jobs.hls_output(jobs.audio("_a")))
    group = jobs.hls(*outputs, SegmentControl=control, Encryption=jobs.static_key("key", KEY))
    done = convert(film, jobs.settings(group))
    for name, path in done.files.items():
        (store / name).write_bytes(path.read_bytes())
    assert "SESSION-KEY" not in done.text("h/hls.m3u8")
    for name, kind, least in (("hls_v", "v", 75), ("hls_a", "a", 130)):
        command = [str(jail.binary("ffprobe")), "-v", "error", "-allowed_extensions", "ALL"]
        command += ["-protocol_whitelist", "file,crypto", "-count_frames", "-select_streams", kind]
        command += ["-show_entries", "stream=nb_read_frames", "-of", "csv=p=0", f"{store}/h/{name}.m3u8"]
        probed = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert probed.returncode == 0, probed.stderr
        # A first frame of sound that was primed is told of by ffmpeg, and is not an error of ours.
        assert int(re.findall(r"\d+", probed.stdout)[0]) >= least


def packets(playlist: Path, kind: str) -> list[str]:
    """A hash of every packet that ffmpeg reads through a playlist, with the keys that it names."""
    command = [str(jail.binary("ffmpeg")), "-v", "error", "-allowed_extensions", "ALL"]
    command += ["-protocol_whitelist", "file,crypto", "-i", str(playlist), "-map", f"0:{kind}", "-c", "copy"]
    probed = subprocess.run([*command, "-f", "framemd5", "-"], capture_output=True, text=True, timeout=60)
    # Stream, two times, duration, size, hash; what comes after it is of side data.
    return [line.split(",")[5].strip() for line in probed.stdout.splitlines() if not line.startswith("#")]


@pytest.mark.parametrize("constant", [True, False], ids=["constant IV", "segment number"])
@pytest.mark.parametrize("control", ["SEGMENTED_FILES", "SINGLE_FILE"])
def test_ffmpeg_reads_the_same_samples_with_the_key_as_without_encryption(
    control: str, constant: bool, tmp_path: Path, convert: Convert
) -> None:
    members = {"ConstantInitializationVector": IV} if constant else {}
    protection = jobs.static_key("key", KEY, EncryptionMethod="SAMPLE_AES", **members)
    described, selectors = jobs.tracks(2)
    both = {**jobs.video("_m", Height=270), "AudioDescriptions": described}
    mux = jobs.hls_output(both, IFrameOnlyManifest="INCLUDE")
    outputs = (mux, jobs.hls_output(jobs.audio("_a")), jobs.hls_output(jobs.audio("_t"), AudioOnlyContainer="M2TS"))
    groups = (
        jobs.hls(*outputs, destination="s3://media/clear/hls", SegmentControl=control),
        jobs.hls(*outputs, destination="s3://media/secret/hls", SegmentControl=control, Encryption=protection),
    )
    done = convert(bilingual(tmp_path, duration_s=5), jobs.settings(*groups, AudioSelectors=selectors))
    for name, path in done.files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(path.read_bytes())
    (tmp_path / "secret/key").write_bytes(bytes.fromhex(KEY))
    listed = f",IV=0x{IV}" if constant else ""
    assert "#EXT-X-VERSION:5\n" in done.text("secret/hls_m.m3u8")
    assert f'#EXT-X-KEY:METHOD=SAMPLE-AES,URI="key"{listed}\n' in done.text("secret/hls_m.m3u8")
    for name, kind, least in (("m", "v", 125), ("m", "a:0", 230), ("m", "a:1", 230), ("a", "a", 230), ("t", "a", 230)):
        clear, secret = (packets(tmp_path / folder / f"hls_{name}.m3u8", kind) for folder in ("clear", "secret"))
        assert len(clear) == len(secret) >= least
        # ffmpeg keeps what its parser still holds at the end of a segment, or of the film, from its decryption.
        same = sum(one == other for one, other in zip(clear, secret, strict=True))
        assert same >= len(clear) - (4 if constant else 12)
    if constant:
        key_frames, all_frames = (packets(tmp_path / f"secret/hls_m{end}.m3u8", "v") for end in ("_I-Frame", ""))
        assert len(key_frames) == 5 and len(set(key_frames) & set(all_frames)) >= 3
    (tmp_path / "secret/key").write_bytes(bytes.fromhex(KEY[::-1]))
    wrong, clear = (packets(tmp_path / folder / "hls_m.m3u8", "v") for folder in ("secret", "clear"))
    assert len(set(wrong) & set(clear)) < 5, "slices of less than 49 bytes alone are as they were"


def test_speke_names_where_players_get_each_key(film: Path, convert: Convert, speke: Speke) -> None:
    def answer(body: bytes) -> tuple[int, bytes]:
        asked = cpix.parse(body)
        keys = tuple(replace(one, key=CONTENT_KEYS.content_key(asked.content_id, one.kid)) for one in asked.keys)
        systems = tuple(
            replace(one, pssh=None, hls_master=None, hls_media=f'#EXT-X-KEY:METHOD=AES-128,URI="https://k/{one.kid}"')
            for one in asked.drm_systems
        )
        return 200, cpix.build(replace(asked, keys=keys, drm_systems=systems))

    speke.answer = answer
    contract = {"SpekeVideoPreset": "PRESET_VIDEO_2", "SpekeAudioPreset": "PRESET_AUDIO_1"}
    done = convert(film, jobs.settings(jobs.hls(*separate(), Encryption=by_speke(speke, contract))))
    for name, label in (("v", "SD"), ("a", "AUDIO")):
        track = done.keys[0].labelled(label)
        assert f'URI="https://k/{track.kid}"' in done.text(f"h/hls_{name}.m3u8")
        segment = next(key for key in done.files if key.startswith(f"h/hls_{name}_00001"))
        clear = opened(done.path(segment).read_bytes(), track.key.key.reveal().hex(), f"{1:032x}")
        assert clear is not None and clear[:1] == (b"\x47" if label == "SD" else b"I")


@pytest.mark.parametrize("told", [True, False], ids=["IV listed", "IV not listed"])
def test_samples_have_the_iv_of_the_key_provider_and_its_signalling(
    told: bool, film: Path, convert: Convert, speke: Speke
) -> None:
    fairplay = 'METHOD=SAMPLE-AES,URI="skd://1",KEYFORMAT="com.apple.streamingkeydelivery",KEYFORMATVERSIONS="1"'

    def answer(body: bytes) -> tuple[int, bytes]:
        asked = cpix.parse(body)
        keys = tuple(
            replace(one, key=ContentKey(bytes.fromhex(KEY)), explicit_iv=bytes.fromhex(IV)) for one in asked.keys
        )
        systems = tuple(
            replace(one, pssh=None, hls_master=None, hls_media=f"#EXT-X-KEY:{fairplay}") for one in asked.drm_systems
        )
        return 200, cpix.build(replace(asked, keys=keys, drm_systems=systems))

    speke.answer = answer
    protection = by_speke(speke, {"SpekeVideoPreset": "SHARED", "SpekeAudioPreset": "SHARED"})
    protection |= {"EncryptionMethod": "SAMPLE_AES"}
    protection |= {} if told else {"InitializationVectorInManifest": "EXCLUDE"}
    clear, secret = jobs.hls(muxed(), destination="s3://media/c/hls"), jobs.hls(muxed(), Encryption=protection)
    done = convert(film, jobs.settings(clear, secret))
    listed = f",IV=0x{IV}" if told else ""
    assert f"#EXT-X-KEY:{fairplay}{listed}\n" in done.text("h/hls_m.m3u8")
    assert "SESSION-KEY" not in done.text("h/hls.m3u8")
    # The samples are those of a static key with the same IV, which ffmpeg has judged.
    key = sample_aes.Cbc(ContentKey(bytes.fromhex(KEY)), bytes.fromhex(IV))
    stream = done.plan.groups[1].outputs[0].hls.stream
    again = sample_aes.StreamEncryptor(stream.pmt_pid, {stream.audio_pids[0]: sample_aes.AacSetup(48_000, 2)})
    again.encrypt(done.path("c/hls_m_00001.ts"), key)
    assert done.path("c/hls_m_00001.ts").read_bytes() == done.path("h/hls_m_00001.ts").read_bytes()


def test_version_1_gives_one_key_and_the_parts_of_its_tag(film: Path, convert: Convert, speke: Speke) -> None:
    def answer(body: bytes) -> tuple[int, bytes]:
        asked = speke_v1.parse(body)
        key = replace(asked.keys[0], key=CONTENT_KEYS.content_key(asked.content_id, asked.keys[0].kid))
        system = replace(asked.drm_systems[0], key_uri="https://k/1", key_format="identity", key_format_versions="1")
        return 200, speke_v1.build(replace(asked, keys=(key,), drm_systems=(system,)))

    speke.answer = answer
    done = convert(film, jobs.settings(jobs.hls(*separate(), Encryption=by_speke(speke, None))))
    tag = '#EXT-X-KEY:METHOD=AES-128,URI="https://k/1",KEYFORMAT="identity",KEYFORMATVERSIONS="1"'
    assert tag in done.text("h/hls_v.m3u8") and tag in done.text("h/hls_a.m3u8")
    assert "#EXT-X-VERSION:5\n" in done.text("h/hls_v.m3u8")


def test_a_provider_that_only_knows_sample_encryption_is_refused(film: Path, convert: Convert, speke: Speke) -> None:
    contract = {"SpekeVideoPreset": "SHARED", "SpekeAudioPreset": "SHARED"}
    protection = by_speke(speke, contract)
    protection["SpekeKeyProvider"]["SystemIds"] = ["94ce86fb-07ff-4f43-adb8-93d2fa968ca2"]
    with pytest.raises(JobError, match="no EXT-X-KEY with METHOD=AES-128") as raised:
        convert(film, jobs.settings(jobs.hls(*separate(), Encryption=protection)))
    assert raised.value.code == 1091


def separate() -> tuple[dict[str, Any], ...]:
    return jobs.hls_output(jobs.video("_v", Height=90)), jobs.hls_output(jobs.audio("_a"))


def by_speke(speke: Speke, contract: dict[str, str] | None) -> dict[str, Any]:
    provider: dict[str, Any] = {"Url": speke.url, "ResourceId": "asset-1", "SystemIds": [AES_128]}
    if contract:
        provider["EncryptionContractConfiguration"] = contract
    return {"Type": "SPEKE", "EncryptionMethod": "AES128", "SpekeKeyProvider": provider}


@pytest.mark.parametrize(
    ("protection", "told"),
    [
        (jobs.static_key("https://k/", "0" * 31 + "g"), f"{OWN}.staticKeyProvider.staticKeyValue: must be 32 hexa"),
        (jobs.static_key(""), f"{OWN}.staticKeyProvider.url: is needed"),
        (jobs.static_key('https://k/"x'), f"{OWN}.staticKeyProvider.url: must have no quotes"),
        (jobs.static_key("https://k/", Type="SPEKE"), f"{OWN}.staticKeyProvider: does not belong to type SPEKE"),
        ({"Type": "SPEKE", "EncryptionMethod": "AES128"}, f"{OWN}.spekeKeyProvider.url: is needed"),
        ({"Type": "STATIC_KEY", "EncryptionMethod": "AES128"}, f"{OWN}.staticKeyProvider.staticKeyValue: is needed"),
    ],
)
def test_what_cannot_be_encrypted_is_refused_by_path_and_without_the_key(protection: dict[str, Any], told: str) -> None:
    settings = jobs.settings(jobs.hls(muxed(), Encryption=protection))
    with pytest.raises(SettingRefused) as refused:
        settings_table.check({"Role": "r", "Settings": settings})
        request.read(settings)
    assert str(refused.value).startswith(told)
    assert "000000" not in str(refused.value) and "0011" not in str(refused.value)


def test_samples_of_h_265_in_transport_streams_are_refused_by_path() -> None:
    codec = {"Codec": "H_265", "H265Settings": {"RateControlMode": "QVBR", "MaxBitrate": 400_000}}
    outputs = (jobs.hls_output(jobs.video("_v", Height=90, codec=codec)), jobs.hls_output(jobs.audio("_a")))
    protection = jobs.static_key("https://k/", EncryptionMethod="SAMPLE_AES")
    with pytest.raises(SettingRefused, match="SAMPLE_AES in transport streams is for H_264") as refused:
        request.read(jobs.settings(jobs.hls(*outputs, Encryption=protection)))
    assert str(refused.value).startswith("outputGroups[0].outputs[0].videoDescription.codecSettings.codec: ")
    request.read(jobs.settings(jobs.hls(*outputs, Encryption=jobs.static_key("https://k/"))))
