"""Key files: geth's keystore (Web3 Secret Storage v3) and geth's plain node key.

eth_account takes half a second to import, so only what encrypts or derives imports it.
"""

import json
import logging
import os
import stat
from datetime import UTC, datetime
from pathlib import Path

from coincurve import PrivateKey

from precompiles.hashing import keccak256
from tools.errors import KeyFileError

_LOG = logging.getLogger("assay.keys")

DEV_MNEMONIC = "test test test test test test test test test test test junk"
"""The mnemonic of anvil and hardhat: its keys are public, never put value on them."""


def address_of(private_key: bytes) -> bytes:
    """20-byte address of a 32-byte secp256k1 key."""
    try:
        point: bytes = PrivateKey(private_key).public_key.format(compressed=False)
    except ValueError as error:
        raise KeyFileError(f"not a secp256k1 private key: {error}") from None
    return keccak256(point[1:])[12:]


def derive_key(mnemonic: str, path: str) -> bytes:
    """Private key (32 bytes) of a BIP-39 mnemonic at a BIP-32 path."""
    from eth_account.hdaccount import seed_from_mnemonic
    from eth_account.hdaccount.deterministic import HDPath

    return bytes(HDPath(path).derive(seed_from_mnemonic(mnemonic, passphrase="")))


def dev_key(index: int) -> bytes:
    """Key of development account ``index`` (m/44'/60'/0'/0/index), as in anvil."""
    return derive_key(DEV_MNEMONIC, f"m/44'/60'/0'/0/{index}")


def dev_validator_key(index: int) -> bytes:
    """Key of development validator ``index`` (m/44'/60'/1'/0/index)."""
    return derive_key(DEV_MNEMONIC, f"m/44'/60'/1'/0/{index}")


def new_key() -> bytes:
    """A fresh private key from the operating system's randomness."""
    secret: bytes = PrivateKey().secret
    return secret


def parse_key(text: str) -> bytes:
    """A private key from 64 hex digits, with or without 0x.

    Raises:
        KeyFileError: anything else, or a number outside the curve's order.
    """
    digits = text.strip().removeprefix("0x")
    try:
        key = bytes.fromhex(digits)
    except ValueError:
        raise KeyFileError("a private key is 64 hex digits") from None
    if len(key) != 32:
        raise KeyFileError(f"a private key is 64 hex digits, got {len(digits)}")
    address_of(key)
    return key


def write_private(path: Path, text: str) -> None:
    """Create a file of mode 0600; an existing file is never replaced."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise KeyFileError(f"{path} exists already; it was left as it is") from None
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def save_keystore(folder: Path, key: bytes, password: str) -> Path:
    """Encrypt a key into ``folder`` under geth's file name; returns the path."""
    from eth_account import Account

    address = address_of(key).hex()
    stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H-%M-%S.%f000Z")
    path = folder / f"UTC--{stamp}--{address}"
    write_private(path, json.dumps(Account.encrypt(key, password)))
    return path


def list_keystore(folder: Path) -> list[tuple[bytes, Path]]:
    """Address and path of every keystore file in a folder, sorted by file name."""
    found = []
    for path in sorted(folder.glob("UTC--*")) if folder.is_dir() else []:
        try:
            found.append((bytes.fromhex(json.loads(path.read_text())["address"]), path))
        except (ValueError, KeyError, TypeError) as error:
            raise KeyFileError(f"{path} is not a keystore file: {error}") from None
    return found


def load_key(path: Path, password: str | None = None) -> bytes:
    """Read a private key from a keystore v3 file or a plain hex file.

    A plain key may be readable by its owner alone, as ssh demands it; an encrypted one also by the
    owner's group (credentials of systemd are).

    Raises:
        KeyFileError: missing, readable by others, malformed, or a wrong password.
    """
    try:
        mode = path.stat().st_mode
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise KeyFileError(f"cannot read key file {path}: {error}") from None
    encrypted = text.lstrip().startswith("{")
    if mode & (stat.S_IRWXO if encrypted else stat.S_IRWXG | stat.S_IRWXO):
        raise KeyFileError(f"{path} can be read by others; run: chmod 600 {path}")
    if not encrypted:
        return parse_key(text)
    from eth_account import Account

    if password is None:
        raise KeyFileError(f"{path} is encrypted; give its password with --password FILE")
    try:
        return bytes(Account.decrypt(json.loads(text), password))
    except (ValueError, KeyError, TypeError, NotImplementedError) as error:
        reason = "wrong password" if str(error) == "MAC mismatch" else error
        raise KeyFileError(f"cannot decrypt {path}: {reason}") from None


def read_password(path: Path | None) -> str | None:
    """First line of a password file, or None without one; warns when others can read it."""
    if path is None:
        return None
    try:
        if path.stat().st_mode & stat.S_IRWXO:
            _LOG.warning("%s can be read by others; run: chmod 600 %s", path, path)
        return path.read_text().splitlines()[0]
    except IndexError:
        return ""
    except OSError as error:
        raise KeyFileError(f"cannot read password file {path}: {error.strerror}") from None
