"""What DRM vendors are sent, read back by foreign programs: a JWT library, PyCryptodome's AES, openssl."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest
from Crypto.Cipher import AES
from Crypto.Util.Padding import unpad
from lxml import etree

from penstock.drm import vendors
from penstock.drm.axinom import Axinom
from penstock.drm.doverunner import DoveRunner
from penstock.drm.drmtoday import DrmToday
from penstock.drm.entitlement import Entitlement, Question, System
from penstock.drm.ezdrm import Ezdrm
from penstock.drm.keyos import KeyOs
from penstock.errors import FormatError, InvalidRequest, PenstockError
from penstock.model import KeyId
from penstock.tiers import Robustness

NOW = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
SD, HD = KeyId(b"s" * 16), KeyId(b"h" * 16)
RIGHT = Entitlement(
    session_id="5f0c9a0e-8f4b-4f0e-8a55-0b9e6a3c7d0f",
    viewer="ada & <bob>",
    content_id="0b9e6a3c-7d0f-4f0e-9c39-6f2f3d1b8a55",
    keys={SD: Robustness.SOFTWARE, HD: Robustness.HARDWARE},
    issued_at=NOW,
    expires_at=NOW.replace(hour=5),
    token="session-token",
)
LIFE_S = 7200
LICENSES = {"widevine": "https://w.example/acquire", "fairplay": "https://f.example/acquire"}
AXINOM = {
    "communication_key_id": "cc36e85d-2fdf-462c-b395-030907447afc",
    "communication_key": base64.b64encode(b"k" * 32).decode(),
    "license_urls": LICENSES,
    "certificate_url": "https://f.example/certificate",
}
DRMTODAY = {"merchant": "mine", "shared_secret": "0b" * 32, "shared_secret_id": "key-1", "callback_secret": "back"}
DOVERUNNER = {"site_id": "TUTO", "site_key": "S" * 32, "access_key": "A" * 32}
EZDRM = {"widevine_profile": "AB12", "playready_profile": "CD34", "callback_secret": "back"}


@pytest.fixture(scope="module")
def rsa_key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keyos") / "key.pem"
    subprocess.run(["openssl", "genrsa", "-out", str(path), "2048"], check=True, capture_output=True)
    return path


def test_axinom_message_is_signed_and_says_which_device_gets_which_key(golden: Callable[[str, str], None]) -> None:
    access = Axinom.configured(AXINOM).entitle(RIGHT)
    assert access[System.WIDEVINE].license_url == "https://w.example/acquire"
    assert access[System.WIDEVINE].certificate_url is None
    assert access[System.FAIRPLAY].certificate_url == "https://f.example/certificate"
    token = access[System.WIDEVINE].headers["X-AxDRM-Message"]
    read = jwt.decode(token, b"k" * 32, algorithms=["HS256"])
    assert jwt.get_unverified_header(token) == {"alg": "HS256", "typ": "JWT"}
    golden("drm/axinom.json", json.dumps(read, indent=2) + "\n")
    with pytest.raises(jwt.InvalidSignatureError):
        jwt.decode(token, b"o" * 32, algorithms=["HS256"])


def test_drmtoday_gets_a_customer_rights_token_upfront() -> None:
    templates = {"templates": {"hardware": ":uhd"}}
    access = DrmToday.configured({**DRMTODAY, **templates}).entitle(RIGHT)
    assert set(access) == set(System)
    headers = access[System.WIDEVINE].headers
    token = headers["x-dt-auth-token"]
    # The library looks at the time, too: this token is of a day to come.
    options = {"verify_iat": False}
    claims = jwt.decode(token, bytes.fromhex("0b" * 32), algorithms=["HS256"], options=options)
    assert jwt.get_unverified_header(token)["kid"] == "key-1"
    assert (claims["iat"], claims["exp"]) == (int(NOW.timestamp()), int(RIGHT.expires_at.timestamp()))
    who = {"merchant": "mine", "userId": RIGHT.viewer, "sessionId": RIGHT.session_id}
    assert json.loads(claims["optData"]) == who == json.loads(base64.b64decode(headers["x-dt-custom-data"]))
    assert json.loads(claims["crt"]) == {
        "assetId": RIGHT.content_id,
        "profile": {"type": "rental", "relativeExpiration": f"PT{LIFE_S}S", "playDuration": f"PT{LIFE_S}S"},
        "ref": [":uhd"],
    }


def test_drmtoday_asks_back() -> None:
    adapter = DrmToday.configured({"merchant": "mine", "callback_secret": "back"})
    assert "x-dt-auth-token" not in adapter.entitle(RIGHT)[System.WIDEVINE].headers
    asked = json.dumps({"asset": "a", "session": "s", "user": "u", "drmScheme": "WIDEVINE_MODULAR"}).encode()
    question = adapter.question({}, asked)
    assert (question.content_id, question.session_id) == ("a", "s")
    content_type, answer = adapter.yes(question, RIGHT)
    assert (content_type, json.loads(answer)["profile"]["type"]) == ("application/json", "rental")
    for body in (b"", b"{", b"[]", b"{}", b'{"asset": 1, "session": "s"}', b"[" * 10**5, b"x" * 10**6):
        with pytest.raises(FormatError):
            adapter.question({}, body)


def test_doverunner_tokens_are_one_for_each_system() -> None:
    access = DoveRunner.configured(DOVERUNNER).entitle(RIGHT)
    for system, name in ((System.WIDEVINE, "Widevine"), (System.PLAYREADY, "PlayReady"), (System.FAIRPLAY, "FairPlay")):
        told = json.loads(base64.b64decode(access[system].headers["pallycon-customdata-v2"]))
        assert (told["drm_type"], told["site_id"], told["user_id"]) == (name, "TUTO", RIGHT.viewer)
        assert (told["cid"], told["timestamp"]) == (RIGHT.content_id, "2030-01-02T03:04:05Z")
        names = ("drm_type", "site_id", "user_id", "cid", "policy", "timestamp")
        hashed = hashlib.sha256(("A" * 32 + "".join(told[each] for each in names)).encode()).digest()
        assert base64.b64decode(told["hash"]) == hashed
        cipher = AES.new(b"S" * 32, AES.MODE_CBC, b"0123456789abcdef")
        policy = json.loads(unpad(cipher.decrypt(base64.b64decode(told["policy"])), 16))
        assert policy == {
            "policy_version": 2,
            "playback_policy": {"persistent": False, "license_duration": LIFE_S},
            "security_policy": [
                {"track_type": "ALL", "widevine": {"security_level": 5}, "playready": {"security_level": 3000}}
            ],
        }
    assert access[System.FAIRPLAY].certificate_url == (
        "https://drm-license.doverunner.com/ri/fpsKeyManager.do?siteId=TUTO"
    )


def test_ezdrm_carries_our_token_and_asks_about_it() -> None:
    adapter = Ezdrm.configured(EZDRM)
    access = adapter.entitle(replace(RIGHT, token="a+b/c="))
    address = urlsplit(access[System.WIDEVINE].license_url)
    assert f"{address.scheme}://{address.netloc}{address.path}" == "https://widevine-dash.ezdrm.com/proxy"
    assert parse_qs(address.query) == {"pX": ["AB12"], "CustomData": ["a+b/c="]}
    assert System.FAIRPLAY not in access
    assert adapter.question({"CustomData": "a+b/c=", "pX": "AB12"}, b"") == Question(None, token="a+b/c=")
    with pytest.raises(InvalidRequest):
        adapter.question({"pX": "AB12"}, b"")


def test_keyos_authentication_is_signed_as_openssl_reads_it(rsa_key: Path, tmp_path: Path) -> None:
    adapter = KeyOs.configured({"public_key_id": "20a0", "signing_key_file": str(rsa_key)})
    custom_data = adapter.entitle(RIGHT)[System.PLAYREADY].headers["customdata"]
    document = base64.b64decode(custom_data)
    root = etree.fromstring(document)
    assert [element.text for element in root.iterfind("Data/License/KeyId")] == [str(HD), str(SD)]
    assert root.findtext("Data/ExpirationTime") == "2030-01-02 05:04:05"
    assert root.findtext("Data/WidevineContentKeySpec[@TrackType='HD']/SecurityLevel") == "5"
    assert root.findtext("Data/Policy/MinimumSecurityLevel") == "3000"
    policy_ids = {element.text for element in root.iterfind("Data/License/Policy/Id")}
    assert policy_ids == {root.find("Data/Policy").get("id")}  # type: ignore[union-attr] - it is there
    signed = document[document.index(b"<Data>") : document.index(b"</Data>") + len(b"</Data>")]
    data, signature, public = tmp_path / "data", tmp_path / "signature", tmp_path / "public.pem"
    data.write_bytes(signed)
    signature.write_bytes(base64.b64decode(root.findtext("Signature") or ""))
    run = ["openssl", "rsa", "-in", str(rsa_key), "-pubout", "-out", str(public)]
    subprocess.run(run, check=True, capture_output=True)
    run = ["openssl", "dgst", "-sha1", "-verify", str(public), "-signature", str(signature), str(data)]
    assert b"Verified OK" in subprocess.run(run, check=True, capture_output=True).stdout


def test_strictest_key_decides_where_a_license_has_one_policy() -> None:
    assert RIGHT.strictest is Robustness.HARDWARE
    assert replace(RIGHT, keys={SD: Robustness.SOFTWARE}).strictest is Robustness.SOFTWARE


def written(path: Path, configured: Any) -> Path:
    path.write_text(configured if isinstance(configured, str) else json.dumps(configured))
    return path


def test_configuration_names_the_vendor(tmp_path: Path, rsa_key: Path) -> None:
    keyos = {"public_key_id": "20a0", "signing_key_file": str(rsa_key)}
    every = {"axinom": AXINOM, "drmtoday": DRMTODAY, "doverunner": DOVERUNNER, "ezdrm": EZDRM, "keyos": keyos}
    assert set(every) == set(vendors.VENDORS)
    assert vendors.load(None) is None
    for name, configured in every.items():
        adapter = vendors.load(written(tmp_path / f"{name}.json", {"vendor": name, **configured}))
        assert adapter is not None
        assert adapter.name == name
        assert all(origin.startswith("https://") and origin.count("/") == 2 for origin in adapter.origins())
        # Neither an adapter nor what it gives shows a secret.
        shown = repr(adapter) + repr(adapter.entitle(RIGHT)) + repr(RIGHT)
        for secret in ("kkkk", "SSSS", "AAAA", "0b0b", "back", "session-token", "PRIVATE"):
            assert secret not in shown, (name, secret)


@pytest.mark.parametrize(
    "configured",
    [
        "",
        "{",
        "[]",
        {},
        {"vendor": "acme"},
        {"vendor": ["axinom"]},
        {"vendor": "axinom", **AXINOM, "communication_key": "hush"},
        {"vendor": "axinom", **AXINOM, "communication_key_id": "hush"},
        {"vendor": "axinom", **AXINOM, "license_urls": {}},
        {"vendor": "axinom", **AXINOM, "license_urls": {"widewine": "https://x"}},
        {"vendor": "axinom", **AXINOM, "license_urls": {"widevine": "http://hush"}},
        {"vendor": "axinom", **AXINOM, "license_urls": ["hush"]},
        {"vendor": "doverunner", **DOVERUNNER, "site_key": "hush"},
        {"vendor": "drmtoday", "merchant": "m", "shared_secret": "hush"},
        {"vendor": "drmtoday", "merchant": "m"},
        {"vendor": "drmtoday", **DRMTODAY, "templates": {"hush": "x"}},
        {"vendor": "drmtoday", **DRMTODAY, "templates": ["hush"]},
        {"vendor": "drmtoday", **DRMTODAY, "shared_secret": 7},
        {"vendor": "ezdrm", "callback_secret": "hush"},
        {"vendor": "ezdrm", "widevine_profile": "AB"},
        {"vendor": "keyos", "public_key_id": "1"},
        {"vendor": "keyos", "public_key_id": "1", "signing_key_file": "/nowhere/hush"},
        {"vendor": "keyos", "public_key_id": "1", "signing_key_file": "/etc/hostname"},
    ],
)
def test_wrong_configuration_is_refused_without_telling_secrets(tmp_path: Path, configured: Any) -> None:
    path = written(tmp_path / "drm.json", configured)
    with pytest.raises(PenstockError) as raised:
        vendors.load(path)
    assert "hush" not in raised.value.message.replace("/nowhere/hush", "")
