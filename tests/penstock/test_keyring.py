"""Generations of signing keys: a new one signs, the old ones still open what they signed, and go in the end."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock import keyring, stack
from penstock.errors import InvalidRequest, Unavailable
from penstock.formats.cookies import Signer, load_public_key
from penstock.stack import Ports

NOW = 1_800_000_000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    stack.make_secrets(tmp_path / "secrets")
    return tmp_path / "secrets"


def test_folder_that_was_never_rotated_has_the_files_it_always_had(folder: Path) -> None:
    ring = keyring.read(folder, "K1")
    assert ring.signing == "K1"
    assert ring.signing_key == folder / "signing-key.pem"
    assert ring.public_keys == {"K1": folder / "signing-key.pub.pem"}
    assert ring.token_keys == {"K1": folder / "token.key"}
    assert ring.path_token_keys == {"K1": folder / "path-token.key"}


def test_rotation_changes_nothing_for_a_running_stack_and_everything_for_the_next(folder: Path) -> None:
    before = keyring.read(folder, "K1")
    made = keyring.rotate(folder, "K1", NOW)
    running, following = keyring.read(folder, "K1"), keyring.read(folder, keyring.newest(folder, "K1"))
    assert (running.signing, running.signing_key) == ("K1", before.signing_key)
    assert following.signing == made
    assert following.signing_key not in (before.signing_key, None)
    for kind in ("public_keys", "token_keys", "path_token_keys"):
        files = getattr(following, kind)
        assert list(files) == ["K1", made]
        assert files["K1"] == getattr(before, kind)["K1"]
        assert files["K1"].read_bytes() != files[made].read_bytes()
    for key_id, file in following.public_keys.items():
        load_public_key(file.read_bytes())
        assert key_id in following.token_keys
    Signer(following.signing_key.read_bytes(), made)


def test_start_after_a_rotation_keeps_old_keys_for_reading_alone(folder: Path) -> None:
    made = keyring.rotate(folder, "K1", NOW)
    keyring.tidy(folder, NOW + 60)
    stack.make_secrets(folder)
    ring = keyring.read(folder, made)
    assert list(ring.public_keys) == ["K1", made]
    assert not (folder / "signing-key.pem").exists()
    assert all(file.exists() for file in [*ring.public_keys.values(), *ring.token_keys.values(), ring.signing_key])


def test_old_keys_go_when_all_they_signed_has_expired(folder: Path) -> None:
    second = keyring.rotate(folder, "K1", NOW)
    third = keyring.rotate(folder, second, NOW + 86400)
    keyring.tidy(folder, NOW + keyring.KEEP_S + 1)
    stack.make_secrets(folder)
    ring = keyring.read(folder, third)
    assert list(ring.token_keys) == [second, third]
    assert not (folder / "token.key").exists()
    assert not list(folder.glob(f"signing-key.{second}.pem"))


def test_everything_made_is_private(folder: Path) -> None:
    keyring.rotate(folder, "K1", NOW)
    assert {oct(path.stat().st_mode & 0o777) for path in folder.iterdir()} == {"0o600"}


def test_folder_without_keys_is_not_rotated(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="no signing key"):
        keyring.rotate(tmp_path, "K1", NOW)


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '[{"x": 1}]', "null", "[1]"])
def test_list_that_cannot_be_read_is_said_so(folder: Path, content: str) -> None:
    (folder / keyring.LIST).write_text(content)
    with pytest.raises(Unavailable, match=keyring.LIST):
        keyring.read(folder, "K1")


def test_described_stack_reads_all_generations_and_signs_with_the_newest(tmp_path: Path) -> None:
    stack.prepare(tmp_path / "data", Ports(1111, 2222, 3333), None, {})
    made = keyring.rotate(tmp_path / "data" / "secrets", "penstock-1")
    description = stack.prepare(tmp_path / "data", Ports(1111, 2222, 3333), None, {})
    assert list(description["edge"]["key_groups"]["viewers"]) == ["penstock-1", made]
    assert list(description["edge"]["path_token_keys"]) == ["penstock-1", made]
    assert description["services"][0]["env"]["PENSTOCK_KEY_PAIR_ID"] == made
