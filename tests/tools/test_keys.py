"""Key files: what is read, what is refused, and that nothing is overwritten or exposed."""

import json
import stat
from pathlib import Path

import pytest
from eth_account import Account
from hypothesis import given
from hypothesis import strategies as st

from chain.signatures import ORDER
from tools import keys
from tools.errors import KeyFileError
from tools.node import node_key

secrets = st.integers(1, ORDER - 1).map(lambda value: value.to_bytes(32, "big"))


@given(secrets)
def test_addresses_are_ethereums(secret: bytes) -> None:
    assert "0x" + keys.address_of(secret).hex() == Account.from_key(secret).address.lower()
    assert keys.parse_key(secret.hex()) == keys.parse_key(f" 0x{secret.hex()}\n") == secret


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "got 0"),
        ("0x", "got 0"),
        ("12" * 31, "got 62"),
        ("12" * 33, "got 66"),
        ("zz" * 32, "64 hex digits"),
        ("00" * 32, "not a secp256k1 private key"),
        ("ff" * 32, "not a secp256k1 private key"),
        (ORDER.to_bytes(32, "big").hex(), "not a secp256k1 private key"),
    ],
)
def test_what_is_no_key(text: str, reason: str) -> None:
    with pytest.raises(KeyFileError, match=reason):
        keys.parse_key(text)


def test_development_keys_are_anvils() -> None:
    address = keys.address_of(keys.dev_key(1)).hex()
    assert address == "70997970c51812dc3a010c7d01b50e0d17dc79c8"
    own = {keys.dev_key(i) for i in range(4)} | {keys.dev_validator_key(i) for i in range(4)}
    assert len(own) == 8
    assert keys.new_key() != keys.new_key()


def test_a_private_file_is_never_replaced(tmp_path: Path) -> None:
    path = tmp_path / "below" / "key"
    keys.write_private(path, "first")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(KeyFileError, match="exists already"):
        keys.write_private(path, "second")
    assert path.read_text() == "first"


def test_keystore_round_trip(tmp_path: Path) -> None:
    key = keys.dev_key(2)
    path = keys.save_keystore(tmp_path, key, "päss")
    assert keys.load_key(path, "päss") == key
    assert keys.list_keystore(tmp_path) == [(keys.address_of(key), path)]
    assert key.hex() not in path.read_text()
    with pytest.raises(KeyFileError, match="give its password"):
        keys.load_key(path)
    with pytest.raises(KeyFileError, match=r"cannot decrypt .*: wrong password"):
        keys.load_key(path, "pass")


@pytest.mark.parametrize("change", [{"version": 4}, {"crypto": {}}, {"crypto": None}])
def test_a_damaged_keystore_file(change: dict[str, object], tmp_path: Path) -> None:
    path = keys.save_keystore(tmp_path, keys.dev_key(2), "x")
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(KeyFileError, match="cannot decrypt"):
        keys.load_key(path, "x")
    path.write_text("{")
    with pytest.raises(KeyFileError, match="cannot decrypt"):
        keys.load_key(path, "x")
    with pytest.raises(KeyFileError, match="is not a keystore file"):
        keys.list_keystore(tmp_path)


def test_a_key_that_others_can_read(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text(keys.dev_key(0).hex())
    for mode in (0o640, 0o604, 0o660):
        path.chmod(mode)
        with pytest.raises(KeyFileError, match="run: chmod 600"):
            keys.load_key(path)
    path.chmod(0o400)
    assert keys.load_key(path) == keys.dev_key(0)


def test_an_encrypted_key_may_be_its_groups(tmp_path: Path) -> None:
    path = keys.save_keystore(tmp_path, keys.dev_key(0), "x")
    path.chmod(0o440)
    assert keys.load_key(path, "x") == keys.dev_key(0)
    path.chmod(0o444)
    with pytest.raises(KeyFileError, match="run: chmod 600"):
        keys.load_key(path, "x")


def test_where_a_node_looks_for_its_key(tmp_path: Path) -> None:
    folder = tmp_path / "fresh"
    made = node_key(folder, None, None)
    assert stat.S_IMODE((folder / "nodekey").stat().st_mode) == 0o600
    assert node_key(folder, None, None) == made

    folder = tmp_path / "with keystore"
    path = keys.save_keystore(folder / "keystore", keys.dev_key(1), "x")
    assert node_key(folder, None, "x") == keys.dev_key(1)
    assert not (folder / "nodekey").exists()
    with pytest.raises(KeyFileError, match="give its password with --password"):
        node_key(folder, None, None)
    with pytest.raises(KeyFileError, match="cannot decrypt"):
        node_key(folder, None, "wrong")
    keys.save_keystore(folder / "keystore", keys.dev_key(2), "x")
    with pytest.raises(KeyFileError, match="holds 2 keys; name one with --nodekey"):
        node_key(folder, None, "x")
    assert node_key(folder, path, "x") == keys.dev_key(1)


def test_files_that_are_not_there_or_not_text(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="cannot read key file"):
        keys.load_key(tmp_path / "absent")
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe")
    with pytest.raises(KeyFileError, match="cannot read key file"):
        keys.load_key(binary)
    with pytest.raises(KeyFileError, match="cannot read key file"):
        keys.load_key(tmp_path)


def test_passwords(tmp_path: Path) -> None:
    assert keys.read_password(None) is None
    path = tmp_path / "password"
    path.write_text("")
    assert keys.read_password(path) == ""
    path.write_text("first line \nsecond")
    assert keys.read_password(path) == "first line "


def test_a_password_that_others_can_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "password"
    path.write_text("secret")
    path.chmod(0o600)
    assert keys.read_password(path) == "secret"
    assert not caplog.records
    path.chmod(0o604)
    assert keys.read_password(path) == "secret"
    assert "can be read by others" in caplog.text
    assert "secret" not in caplog.text
