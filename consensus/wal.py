"""The journal: what this node said and learned at the height under way, on disk before it is sent.

Format (docs/spec/consensus.md, section 6): records of ``length u32 | crc32(length) u32 |
crc32(payload) u32 | payload``, big-endian; the first record names chain and node.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from zlib import crc32

from chain import rlp
from consensus.codec import Domain, decode_message, encode_message, proposed_block
from consensus.core.events import Accepted, Entry, Lock, Locked, Recovered, RoundEntered
from consensus.core.messages import CODES, Code, Message, Prepare, RoundChange, SignedPrepare
from consensus.core.types import ProposedBlock
from consensus.errors import JournalError, MessageError
from consensus.files import Sync, replace_file, sync_folder, write_all

VERSION: Final = 1
PREFIX_BYTES: Final = 12
COMPACT_BYTES: Final = 256 << 10
_OWNER, _ROUND, _ACCEPTED, _LOCKED, _SENT = range(5)

ADVICE: Final = (
    "The disk or a program changed it. Stop, check the disk, then delete the journal and start: "
    "the node syncs, the signer file keeps it from signing twice, and where the journal held a "
    "lock the node votes again from the next block on."
)


@dataclass(frozen=True, slots=True)
class Sent:
    """Journal entry: an own signed message; a ROUND-CHANGE without block and PREPAREs."""

    message: Message


class Journal:
    """Append-only file of one node: the height under way, after some committed ones.

    It is never cut in place: after a power cut, parts of an old length and of new bytes could meet.

    Args:
        path: created when missing.
        domain: chain of the node.
        address: of the node, 20 bytes.
        sync: durability.
        compact_bytes: a journal of committed heights only begins anew above this size.

    Attributes:
        recovered: what the file held when opened; None when nothing was under way.

    Raises:
        JournalError: damaged before its last record, of another chain or node, or unwritable.
    """

    def __init__(
        self,
        path: Path,
        domain: Domain,
        address: bytes,
        sync: Sync = os.fsync,
        compact_bytes: int = COMPACT_BYTES,
    ) -> None:
        self._path, self._sync, self._dirty = path, sync, False
        self._compact_bytes = compact_bytes
        owner = rlp.encode(
            [rlp.uint(_OWNER), rlp.uint(VERSION), rlp.uint(domain.chain_id), domain.genesis_hash,
             rlp.uint(domain.protocol_version), address]
        )  # fmt: skip
        self._first = first = encode_record(owner)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            data = path.read_bytes()
        except OSError as error:
            raise JournalError(f"cannot open {path}: {error.strerror}") from error
        try:
            payloads, length = split_records(data, str(path))
            if payloads and payloads[0] != owner:
                raise JournalError(f"{path} is of another chain, version or validator key")
            entries = [decode_entry(item, domain, address) for item in payloads[1:]]
            self.recovered = recover(entries)
        except JournalError:
            os.close(self._file)
            raise
        os.ftruncate(self._file, length)
        os.lseek(self._file, length, os.SEEK_SET)
        if not payloads:
            self._write(first)
            sync_folder(path.parent, sync)
        self._dirty = True
        self.sync()

    def append(self, entry: Entry | Sent) -> None:
        """Add an entry; durable only after ``sync``."""
        self._write(encode_record(encode_entry(entry)))

    def sync(self) -> None:
        """Make everything appended durable."""
        if not self._dirty:
            return
        try:
            self._sync(self._file)
        except OSError as error:
            raise JournalError(f"cannot sync {self._path}: {error.strerror}") from error
        self._dirty = False

    def prune(self) -> None:
        """Everything written is committed in the database: begin anew when it is much.

        Raises:
            JournalError: the disk refuses.
        """
        if os.lseek(self._file, 0, os.SEEK_CUR) < self._compact_bytes:
            return
        try:
            replace_file(self._path, self._first, self._sync)
            os.close(self._file)
            self._file = os.open(self._path, os.O_RDWR)
            os.lseek(self._file, 0, os.SEEK_END)
        except OSError as error:
            raise JournalError(f"cannot replace {self._path}: {error.strerror}") from error
        self._dirty = False

    def close(self) -> None:
        """Close the file; entries since the last ``sync`` may be lost."""
        os.close(self._file)

    def _write(self, data: bytes) -> None:
        try:
            write_all(self._file, data)
        except OSError as error:
            raise JournalError(
                f"cannot write {self._path}: {error.strerror}; the node must not vote without it"
            ) from error
        self._dirty = True


def encode_record(payload: bytes) -> bytes:
    """One record; ``payload`` is not empty."""
    length = len(payload).to_bytes(4, "big")
    check = crc32(length).to_bytes(4, "big") + crc32(payload).to_bytes(4, "big")
    return length + check + payload


def split_records(data: bytes, name: str) -> tuple[list[bytes], int]:
    """Payloads of all whole records, and how many bytes they take.

    A last record that is cut, damaged or followed by zeros only was being written when the power
    went: it is left out.

    Raises:
        JournalError: damage before the last record.
    """
    payloads: list[bytes] = []
    start = 0
    while start < len(data):
        end = _record_end(data, start)
        if end is None:
            if _is_torn(data, start):
                break
            raise JournalError(f"{name} is damaged at byte {start}. {ADVICE}")
        payloads.append(data[start + PREFIX_BYTES : end])
        start = end
    return payloads, start


def _record_end(data: bytes, start: int) -> int | None:
    """End of the sound record at ``start``."""
    body = start + PREFIX_BYTES
    length = int.from_bytes(data[start : start + 4], "big")
    if body + length > len(data) or length == 0:
        return None
    checks = crc32(data[start : start + 4]), crc32(data[body : body + length])
    if checks != (_word(data, start + 4), _word(data, start + 8)):
        return None
    return body + length


def _is_torn(data: bytes, start: int) -> bool:
    """Whether nothing was written after the unsound record at ``start``."""
    body = start + PREFIX_BYTES
    if len(data) <= body or not any(data[body:]):
        return True
    if crc32(data[start : start + 4]) != _word(data, start + 4):
        return False
    return not any(data[body + _word(data, start) :])


def _word(data: bytes, start: int) -> int:
    return int.from_bytes(data[start : start + 4], "big")


def encode_entry(entry: Entry | Sent) -> bytes:
    """Payload of a record."""
    match entry:
        case RoundEntered(height, round_number):
            return rlp.encode([rlp.uint(_ROUND), rlp.uint(height), rlp.uint(round_number)])
        case Accepted(height, round_number, block):
            view = [rlp.uint(_ACCEPTED), rlp.uint(height), rlp.uint(round_number)]
            return rlp.encode([*view, block.encoded])
        case Locked(height, round_number, prepares):
            bodies = [encode_message(Prepare(item))[1] for item in prepares]
            view = [rlp.uint(_LOCKED), rlp.uint(height), rlp.uint(round_number)]
            return rlp.encode([*view, bodies])
        case Sent(message):
            if isinstance(message, RoundChange):
                message = RoundChange(message.signed)
            code, body = encode_message(message)
            return rlp.encode([rlp.uint(_SENT), rlp.uint(code), body])


def decode_entry(payload: bytes, domain: Domain, address: bytes) -> Entry | Sent:
    """Read a record's payload; JournalError when it is sound but makes no sense."""
    try:
        items = rlp.decode_list(payload)
        kind = rlp.as_uint(items[0], 8) if items else _OWNER
        if kind == _SENT and len(items) == 3:
            code, body = rlp.as_uint(items[1], 8), rlp.as_bytes(items[2])
            return Sent(decode_message(code, body, domain, address.__eq__))
        if kind not in (_ROUND, _ACCEPTED, _LOCKED) or len(items) != (3 if kind == _ROUND else 4):
            raise JournalError(f"journal: {len(items)} items of kind {kind}. {ADVICE}")
        height, round_number = rlp.as_uint(items[1], 64), rlp.as_uint(items[2], 32)
        if kind == _ROUND:
            return RoundEntered(height, round_number)
        if kind == _ACCEPTED:
            return Accepted(height, round_number, proposed_block(rlp.as_bytes(items[3])))
        bodies = rlp.bytes_list(items[3])
        return Locked(height, round_number, tuple(_prepare(body, domain) for body in bodies))
    except (rlp.RlpError, MessageError) as error:
        raise JournalError(f"journal: {error}. {ADVICE}") from error


def _prepare(body: bytes, domain: Domain) -> SignedPrepare:
    message = decode_message(Code.PREPARE, body, domain, lambda _: True)
    if not isinstance(message, Prepare):  # the code above says so
        raise JournalError(f"journal: a lock with {type(message).__name__}. {ADVICE}")
    return message.signed


def recover(entries: Iterable[Entry | Sent]) -> Recovered | None:
    """What entries in their order say about the highest height among them.

    Raises:
        JournalError: a lock without the proposal that it locks.
    """
    listed = list(entries)
    if not listed:
        return None
    number = max(_view(entry)[0] for entry in listed)
    round_number, lock = 0, None
    accepted: dict[int, ProposedBlock] = {}
    sent: dict[tuple[int, Code], Message] = {}
    for entry in listed:
        height, entry_round = _view(entry)
        if height != number:
            continue
        round_number = max(round_number, entry_round)
        match entry:
            case Accepted(block=block):
                accepted[entry_round] = block
            case Locked(prepares=prepares):
                if entry_round not in accepted:
                    raise JournalError(f"journal: lock of round {entry_round} alone. {ADVICE}")
                lock = Lock(entry_round, accepted[entry_round], prepares)
            case Sent(message):
                sent[entry_round, CODES[type(message.signed.payload)]] = message
    return Recovered(number, round_number, accepted.get(round_number), lock, sent)


def _view(entry: Entry | Sent) -> tuple[int, int]:
    if isinstance(entry, Sent):
        return entry.message.signed.payload.height, entry.message.signed.payload.round
    return entry.height, entry.round
