"""The one place that signs votes: never two digests for one step, never back.

Steps of a round in order: ROUND-CHANGE, PROPOSAL, PREPARE, COMMIT. The last one is kept in a file,
replaced atomically before a signature leaves. Compare CometBFT's privval/file.go.
"""

import json
import os
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Final
from zlib import crc32

from coincurve import PrivateKey

from consensus.codec import Domain
from consensus.core.messages import Code, CommitPayload, Draft, Message, seal_message
from consensus.errors import SignerError, SigningRefused
from consensus.files import Sync, lock_file, lock_machine, replace_file
from precompiles.hashing import keccak256

ORDER: Final = (Code.ROUND_CHANGE, Code.PROPOSAL, Code.PREPARE, Code.COMMIT)
"""Steps within a round, as they happen."""


@dataclass(frozen=True, slots=True)
class LastSigned:
    """The newest signature: what was signed, when in the protocol, and the 65 bytes.

    ``locked`` is (height, round) of the newest COMMIT, this one included: the journal must hold the
    lock that it was given for.
    """

    height: int
    round: int
    code: Code
    digest: bytes
    signature: bytes
    locked: tuple[int, int] | None

    @property
    def step(self) -> tuple[int, int, int]:
        """Position in the protocol; grows."""
        return self.height, self.round, ORDER.index(self.code)


class Signer:
    """A validator's key, with the memory that keeps it honest. Holds two locks while open.

    One lock is of the folder; the other of key and chain on this machine, so that a copy of the
    folder starts no second voter.

    Args:
        path: JSON file of the last signature; created at the first one. ``path.lock`` is locked.
        key: 32-byte private key.
        domain: of this chain.
        sync: durability of the file.

    Raises:
        SignerError: another process holds a lock, the file is unreadable or of another key.
    """

    def __init__(self, path: Path, key: bytes, domain: Domain, sync: Sync = os.fsync) -> None:
        self._path, self._key, self._domain, self._sync = path, PrivateKey(key), domain, sync
        self.address = keccak256(self._key.public_key.format(compressed=False)[1:])[12:]
        self._locks: list[int] = []
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._lock(lock_file(path.with_name(path.name + ".lock")), f"in {path.parent}")
            self._lock(lock_machine(self._lock_name()), "from another folder")
            self.last = _read(path, self.address)
        except OSError as error:
            self.close()
            raise SignerError(f"cannot lock {path}: {error.strerror}") from error
        except SignerError:
            self.close()
            raise

    def sign(self, draft: Draft) -> Message:
        """Sign a vote (a COMMIT also seals its digest), durably noted before it returns.

        Raises:
            SigningRefused: behind the last signature, or another digest for the same step.
            SignerError: the file cannot be written; nothing was signed.
        """
        payload = draft.payload
        if isinstance(payload, CommitPayload):
            payload = replace(payload, seal=sign_digest(self._key, payload.digest))
        digest = self._domain.digest(payload)
        locked = None if self.last is None else self.last.locked
        if draft.code is Code.COMMIT:
            locked = payload.height, payload.round
        request = LastSigned(payload.height, payload.round, draft.code, digest, b"", locked)
        signature = self._check(request)
        if signature is None:
            signature = sign_digest(self._key, digest)
            self._write(replace(request, signature=signature))
        return seal_message(draft, self.address, payload, signature)

    def close(self) -> None:
        """Release the locks."""
        while self._locks:
            os.close(self._locks.pop())

    def __enter__(self) -> "Signer":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _lock(self, descriptor: int | None, holder: str) -> None:
        if descriptor is None:
            raise SignerError(
                f"another process votes with this key (0x{self.address.hex()}, {holder}): two "
                "would sign against each other; stop it first"
            )
        self._locks.append(descriptor)

    def _lock_name(self) -> str:
        """The same for every copy of this key on this chain."""
        domain = self._domain
        chain = keccak256(domain.chain_id.to_bytes(32, "big") + domain.genesis_hash)
        return f"assay-signer-{chain[:16].hex()}-{self.address.hex()}"

    def _check(self, request: LastSigned) -> bytes | None:
        """The earlier signature when the same is asked again; None when it is new."""
        last = self.last
        if last is None or request.step > last.step:
            return None
        if request.step < last.step:
            raise SigningRefused(f"{_show(request)} is behind the last signature, {_show(last)}")
        if request.digest != last.digest:
            raise SigningRefused(
                f"{_show(request)}: 0x{last.digest.hex()} is signed already, "
                f"asked for 0x{request.digest.hex()}"
            )
        return last.signature

    def _write(self, last: LastSigned) -> None:
        content: dict[str, Any] = {
            "address": "0x" + self.address.hex(),
            "height": last.height,
            "round": last.round,
            "step": last.code.name,
            "digest": "0x" + last.digest.hex(),
            "signature": "0x" + last.signature.hex(),
            "locked": last.locked,
        }
        content["check"] = _check_sum(content)
        try:
            replace_file(self._path, json.dumps(content).encode(), self._sync)
        except OSError as error:
            raise SignerError(f"cannot write {self._path}: {error.strerror}") from error
        self.last = last


def sign_digest(key: PrivateKey, digest: bytes) -> bytes:
    """Recoverable signature of a raw 32-byte digest: r, s (low), v in {0, 1}; deterministic."""
    signature: bytes = key.sign_recoverable(digest, hasher=None)
    return signature


def _read(path: Path, address: bytes) -> LastSigned | None:
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SignerError(f"cannot read {path}: {error.strerror}") from error
    try:
        owner, last = _parse(json.loads(text))
    except (ValueError, KeyError, TypeError) as error:
        raise SignerError(
            f"{path} is damaged ({error!r}): restore it from a backup, or delete it only if this "
            "key surely signed nothing at the current height"
        ) from error
    if owner != address:
        raise SignerError(f"{path} is of 0x{owner.hex()}, this key is 0x{address.hex()}")
    return last


def _parse(content: dict[str, Any]) -> tuple[bytes, LastSigned]:
    check = content.pop("check")
    if check != _check_sum(content):
        raise ValueError(f"check sum {check}, computed {_check_sum(content)}")
    height, round_number = content["height"], content["round"]
    if type(height) is not int or type(round_number) is not int:
        raise ValueError("height and round are integers")
    last = LastSigned(
        height,
        round_number,
        Code[content["step"]],
        _bytes(content["digest"], 32),
        _bytes(content["signature"], 65),
        _view(content["locked"]),
    )
    return _bytes(content["address"], 20), last


def _check_sum(content: dict[str, Any]) -> int:
    """CRC-32 of the fields before it: a changed digit must not be taken for a promise."""
    return crc32(json.dumps(content).encode())


def _view(locked: list[Any] | None) -> tuple[int, int] | None:
    if locked is None:
        return None
    height, round_number = locked
    if type(height) is not int or type(round_number) is not int:
        raise ValueError("locked: height and round are integers")
    return height, round_number


def _bytes(text: str, size: int) -> bytes:
    data = bytes.fromhex(text.removeprefix("0x"))
    if len(data) != size:
        raise ValueError(f"{len(data)} bytes, expected {size}")
    return data


def _show(signed: LastSigned) -> str:
    return f"{signed.code.name} ({signed.height}, {signed.round})"
