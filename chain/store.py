"""The database: LMDB, one writer process, any number of reader processes (ADR 0013).

One write transaction per block holds block, receipts, nodes and codes with their reference counts,
indexes, certificate and head; it is on disk when ``write_block`` returns, or nothing of it is.
Headers, blocks and receipts are kept for ever; of the states, all or the newest N
(``chain.store_history``).

========== ============================ ====================================================
table      key                          value
========== ============================ ====================================================
meta       schema, genesis, head,       version; block hashes; states kept (0: all); number of
           history, oldest              the oldest block whose state is kept
headers    block hash                   CHAIN header
blocks     block hash                   RLP block
senders    block hash                   20 bytes per transaction, recovered once
receipts   block hash                   RLP list of receipt encodings
canonical  number, 8 bytes big-endian   block hash
locations  transaction hash             block hash, index in 4 bytes
seals      block hash                   commit certificate
changes    number, 8 bytes big-endian   the validator set after this block is a new one: proof
nodes      keccak256                    trie node or code; content-addressed, never changed
counts     keccak256                    4 bytes: reference count of a node, where above 1
removals   number, 8 bytes big-endian   (keccak256, 4 bytes)*: references that the block dropped
========== ============================ ====================================================
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Protocol, TypeVar

from chain import rlp, store_history
from chain.blocks import Block, decode_block
from chain.certificate import CommitCertificate, decode_certificate
from chain.errors import InvalidBlock, StoreError
from chain.header import EMPTY_TRIE_ROOT, Header, decode_header
from chain.receipts import Receipt, decode_receipt, encode_receipt
from chain.state_reader import StateReader
from chain.state_walk import occurrences
from chain.store_file import DEFAULT_MAP_SIZE, SCHEMA_VERSION, StoreFile, Transaction
from chain.store_history import ARCHIVE, DEFAULT_HISTORY, height_key
from chain.transactions import decode_transaction
from chain.validator_proof import (
    ValidatorProof,
    decode_validator_proof,
    prove_validators,
    proven_validators,
)
from chain.validator_set import read_validators
from genesis.addresses import VALIDATOR_SET

__all__ = ["ARCHIVE", "DEFAULT_HISTORY", "SCHEMA_VERSION", "Executed", "StateSource", "Store"]

_Value = TypeVar("_Value")
_NUMBER_BITS: Final = 64
_READERS_EVERY: Final = 64
"""Blocks between two looks for readers that were killed."""


class Executed(Protocol):
    """A block with what its execution produced (``chain.requests.ExecutedBlock``)."""

    @property
    def block(self) -> Block:
        """The block; its header is final."""

    @property
    def receipts(self) -> tuple[Receipt, ...]:
        """One per transaction."""

    @property
    def nodes(self) -> Mapping[bytes, bytes]:
        """Trie nodes and codes by keccak256."""

    @property
    def added(self) -> Mapping[bytes, int]:
        """Occurrences in the state that the block added."""

    @property
    def removed(self) -> Mapping[bytes, int]:
        """Occurrences in the state that the block removed."""


class StateSource:
    """What execution reads on top of one block.

    Args:
        store: database.
        header: of the block; its state may be given up while it is read.
    """

    def __init__(self, store: "Store", header: Header) -> None:
        self._store, self._header = store, header

    def node(self, digest: bytes) -> bytes:
        """Trie node or code by keccak256.

        Raises:
            StateNotAvailable: it is gone with the state that it belonged to.
            KeyError: it is missing.
        """
        try:
            return self._store.node(digest)
        except KeyError:
            if self._header.number < self._store.oldest_state():
                history = self._store.history
                raise store_history.state_not_available(self._header, history) from None
            raise

    def canonical_hash(self, number: int) -> bytes | None:
        """Hash of the block at a height, None above the head."""
        return self._store.canonical_hash(number)

    def block(self, block_hash: bytes) -> Block | None:
        """A block by hash, None when it is unknown."""
        return self._store.block(block_hash)


class Store:
    """An open database. At most one object per process and path (LMDB's rule); thread-safe.

    Args:
        path: folder; created by a writer, must exist for a reader.
        readonly: open beside a writer in another process.
        map_size: upper limit of the file in bytes.
        history: newest states to keep from now on, ARCHIVE for all; None goes on as the database
            was used before, and keeps DEFAULT_HISTORY states in a new one. For writers only.

    Raises:
        StoreError: foreign, newer or torn data, a second writer, or nothing to read.
    """

    def __init__(
        self,
        path: Path,
        *,
        readonly: bool = False,
        map_size: int = DEFAULT_MAP_SIZE,
        history: int | None = None,
    ) -> None:
        self.path = path
        self._file = StoreFile(path, readonly, map_size)
        if not readonly:
            try:
                self._set_history(history)
            except StoreError:
                self.close()
                raise

    def __enter__(self) -> "Store":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Release file and lock; further use raises."""
        self._file.close()

    @property
    def file(self) -> StoreFile:
        """The tables themselves, for ``chain.store_check``."""
        return self._file

    @property
    def history(self) -> int:
        """Number of newest states that are kept, ARCHIVE for all."""
        return int.from_bytes(self._file.get("meta", b"history") or b"", "big")

    def oldest_state(self) -> int:
        """Number of the oldest block whose state is kept; 0 in an archive."""
        return int.from_bytes(self._file.get("meta", b"oldest") or b"", "big")

    def is_empty(self) -> bool:
        """Whether ``write_genesis`` has never run here."""
        return self._file.get("meta", b"genesis") is None

    def genesis_hash(self) -> bytes:
        """Hash of block 0; StoreError when there is none yet."""
        return self._require(b"genesis")

    def head_hash(self) -> bytes:
        """Hash of the newest final block, as of the last commit of the writer."""
        return self._require(b"head")

    def head(self) -> Header:
        """Newest final block's header, as of the last commit of the writer."""
        head = self.header(self.head_hash())
        if head is None:
            raise StoreError(f"{self.path}: the head's header is missing")
        return head

    def header(self, block_hash: bytes) -> Header | None:
        """Header by hash, None when unknown."""
        return self._read("headers", block_hash, decode_header)

    def canonical_hash(self, number: int) -> bytes | None:
        """Hash of the block at a height, None above the head."""
        if not 0 <= number < 1 << _NUMBER_BITS:
            return None
        return self._file.get("canonical", height_key(number))

    def header_by_number(self, number: int) -> Header | None:
        """Header at a height, None above the head."""
        block_hash = self.canonical_hash(number)
        return None if block_hash is None else self.header(block_hash)

    def block(self, block_hash: bytes) -> Block | None:
        """Whole block by hash; senders are not recovered again."""
        joined = self._file.get("senders", block_hash) or b""
        senders = iter([joined[at : at + 20] for at in range(0, len(joined), 20)])
        return self._read(
            "blocks",
            block_hash,
            lambda encoded: decode_block(
                encoded, lambda raw: decode_transaction(raw, next(senders)), None
            ),
        )

    def encoded_block(self, block_hash: bytes) -> bytes | None:
        """RLP of a block as written."""
        return self._file.get("blocks", block_hash)

    def receipts(self, block_hash: bytes) -> tuple[Receipt, ...] | None:
        """Receipts of a block in order."""
        return self._read("receipts", block_hash, decode_receipts)

    def transaction_location(self, transaction_hash: bytes) -> tuple[bytes, int] | None:
        """(block hash, index) of a mined transaction."""
        value = self._file.get("locations", transaction_hash)
        return None if value is None else (value[:32], int.from_bytes(value[32:], "big"))

    def certificate(self, block_hash: bytes) -> CommitCertificate | None:
        """Commit certificate of a block; the genesis block has none."""
        return self._read("seals", block_hash, decode_certificate)

    def node(self, digest: bytes) -> bytes:
        """Trie node or code by keccak256; raises KeyError."""
        value = self._file.get("nodes", digest)
        if value is None:
            raise KeyError(digest)
        return value

    def source(self, header: Header) -> StateSource:
        """What execution on top of a block reads."""
        return StateSource(self, header)

    def state(self, header: Header) -> StateReader:
        """State after a block; reading raises StateNotAvailable when it was given up."""
        return StateReader(self.source(header).node, header.state_root)

    def validator_change_heights(self) -> list[int]:
        """Ascending heights after which the validator set is another than before.

        0 is first; the list of a chain without validators is empty.
        """
        with self._file.read() as txn:
            return [int.from_bytes(key, "big") for key, _ in txn.items("changes")]

    def validators(self, number: int) -> tuple[bytes, ...]:
        """The set after a block, from the proofs of its changes: no state is read.

        Raises:
            StoreError: a chain without validators, or a height above the head.
        """
        changes = [height for height in self.validator_change_heights() if height <= number]
        header = self.header_by_number(changes[-1]) if changes else None
        if header is None or self.canonical_hash(number) is None:
            raise StoreError(f"{self.path}: no validators are known after block {number}")
        return proven_validators(self.validator_proof(header.number), header.state_root)

    def validator_proof(self, number: int) -> ValidatorProof:
        """Proof of the set that a block of ``validator_change_heights`` brought.

        It was stored with the block: a pruned database has it, too.

        Raises:
            StoreError: that block changed no set.
        """
        proof = self._read("changes", height_key(number), decode_validator_proof)
        if proof is None:
            raise StoreError(f"{self.path}: block {number} changed no validator set")
        return proof

    def write_genesis(self, block: Block, nodes: Mapping[bytes, bytes]) -> None:
        """Make block 0 the head; does nothing when this very block is there already.

        Raises:
            StoreError: the database belongs to another genesis.
        """
        if not self.is_empty():
            if self.genesis_hash() != block.hash:
                raise StoreError(
                    f"{self.path} belongs to the chain with genesis "
                    f"0x{self.genesis_hash().hex()}, not 0x{block.hash.hex()}"
                )
            return
        root = block.header.state_root
        state = StateReader(nodes.__getitem__, root)
        with self._file.write() as txn:
            store_history.add_nodes(txn, nodes, occurrences(nodes.__getitem__, root))
            _put_block(txn, block, ())
            txn.put("meta", b"genesis", block.hash)
            txn.put("meta", b"oldest", height_key(0))
            if state.account(VALIDATOR_SET).storage_root != EMPTY_TRIE_ROOT:
                txn.put("changes", height_key(0), prove_validators(state).rlp)

    def write_block(self, executed: Executed, certificate: CommitCertificate | None) -> None:
        """Append a final block: everything or nothing, on disk when this returns.

        Args:
            executed: block on top of the head with what its execution produced.
            certificate: None only on chains without validators.

        Raises:
            StoreError: the block does not extend the head, or the disk or map is full.
        """
        block, head = executed.block, self.head()
        if block.header.parent_hash != head.hash or block.number != head.number + 1:
            raise StoreError(
                f"block {block.number} with parent 0x{block.header.parent_hash.hex()} does not "
                f"extend the head {head.number} 0x{head.hash.hex()}"
            )
        change = self._validator_change(head, executed)
        history = self.history
        with self._file.write() as txn:
            store_history.add_nodes(txn, executed.nodes, executed.added)
            store_history.note_removals(txn, block.number, executed.removed)
            store_history.prune(txn, block.number, history)
            _put_block(txn, block, executed.receipts)
            if certificate is not None:
                txn.put("seals", block.hash, certificate.rlp)
            if change is not None:
                txn.put("changes", height_key(block.number), change)
        if block.number % _READERS_EVERY == 0:
            self._file.forget_killed_readers()

    def _validator_change(self, head: Header, executed: Executed) -> bytes | None:
        """Proof of the new validator set when the block brings one."""
        before = self.state(head)
        after = StateReader(
            lambda digest: executed.nodes.get(digest) or self.node(digest),
            executed.block.header.state_root,
        )
        old, new = before.account(VALIDATOR_SET), after.account(VALIDATOR_SET)
        if old.storage_root in (new.storage_root, EMPTY_TRIE_ROOT):
            return None
        if read_validators(before) == read_validators(after):
            return None
        return prove_validators(after).rlp

    def _set_history(self, history: int | None) -> None:
        known = self._file.get("meta", b"history")
        if history is None:
            history = DEFAULT_HISTORY if known is None else int.from_bytes(known, "big")
        if height_key(history) != known:
            with self._file.write() as txn:
                txn.put("meta", b"history", height_key(history))

    def _require(self, key: bytes) -> bytes:
        value = self._file.get("meta", key)
        if value is None:
            raise StoreError(f"{self.path} has no {key.decode()}: no genesis was written yet")
        return value

    def _read(self, table: str, key: bytes, decode: Callable[[bytes], _Value]) -> _Value | None:
        value = self._file.get(table, key)
        try:
            return None if value is None else decode(value)
        except (InvalidBlock, rlp.RlpError) as error:
            raise StoreError(f"{self.path}: damaged {table} of 0x{key.hex()}: {error}") from None


def decode_receipts(encoded: bytes) -> tuple[Receipt, ...]:
    """Read one value of the table of receipts; raises RlpError or InvalidBlock."""
    return tuple([decode_receipt(item) for item in rlp.bytes_list(rlp.decode(encoded))])


def _put_block(txn: Transaction, block: Block, receipts: tuple[Receipt, ...]) -> None:
    digest = block.hash
    txn.put("headers", digest, block.header.rlp)
    txn.put("blocks", digest, block.rlp)
    txn.put("senders", digest, b"".join([tx.sender for tx in block.transactions]))
    txn.put("receipts", digest, rlp.encode([encode_receipt(receipt) for receipt in receipts]))
    txn.put("canonical", height_key(block.number), digest)
    for index, transaction in enumerate(block.transactions):
        txn.put("locations", transaction.hash, digest + index.to_bytes(4, "big"))
    txn.put("meta", b"head", digest)
