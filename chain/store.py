"""The database: LMDB, one writer process, any number of reader processes (ADR 0013).

One write transaction per block holds block, receipts, new trie nodes and codes, indexes,
certificate and head; it is on disk when ``write_block`` returns, or nothing of it is.

========== ============================ ====================================================
table      key                          value
========== ============================ ====================================================
meta       schema, genesis, head        version; block hashes
headers    block hash                   CHAIN header
blocks     block hash                   RLP block
senders    block hash                   20 bytes per transaction, recovered once
receipts   block hash                   RLP list of receipt encodings
canonical  number, 8 bytes big-endian   block hash
locations  transaction hash             block hash, index in 4 bytes
seals      block hash                   commit certificate
nodes      keccak256                    trie node or code; content-addressed, never changed
changes    number, 8 bytes big-endian   empty: the validator set after this block is a new one
========== ============================ ====================================================
"""

import fcntl
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final, Protocol, TypeVar

import lmdb

from chain import rlp
from chain.blocks import Block, decode_block
from chain.certificate import CommitCertificate, decode_certificate
from chain.errors import InvalidBlock, StoreError
from chain.header import Header, decode_header
from chain.receipts import Receipt, decode_receipt, encode_receipt
from chain.state_reader import StateReader
from chain.transactions import decode_transaction
from chain.validator_set import read_validators
from genesis.addresses import VALIDATOR_SET

SCHEMA_VERSION: Final = 1
DEFAULT_MAP_SIZE: Final = 1 << 38
"""Address space reserved for the file, in bytes; disk is used only as data arrives."""

_TABLES: Final = (
    "meta",
    "headers",
    "blocks",
    "senders",
    "receipts",
    "canonical",
    "locations",
    "seals",
    "nodes",
    "changes",
)
_MAX_READERS: Final = 512
_Value = TypeVar("_Value")


class Executed(Protocol):
    """A block with what its execution produced (``chain.execution.ExecutedBlock``)."""

    @property
    def block(self) -> Block:
        """The block; its header is final."""

    @property
    def receipts(self) -> tuple[Receipt, ...]:
        """One per transaction."""

    @property
    def nodes(self) -> Mapping[bytes, bytes]:
        """New trie nodes and codes by keccak256."""


class Store:
    """An open database. At most one object per process and path (LMDB's rule); thread-safe.

    Args:
        path: folder; created by a writer, must exist for a reader.
        readonly: open beside a writer in another process.
        map_size: upper limit of the file in bytes.

    Raises:
        StoreError: foreign or newer data, a second writer, or nothing to read.
    """

    def __init__(
        self, path: Path, *, readonly: bool = False, map_size: int = DEFAULT_MAP_SIZE
    ) -> None:
        self.path = path
        self._lock: IO[str] | None = None
        if readonly:
            if not (path / "data.mdb").exists():
                raise StoreError(f"no chain database in {path}")
        else:
            self._lock = _lock_for_writing(path)
        try:
            self._env = _open_environment(path, readonly, map_size)
        except StoreError:
            self._unlock()
            raise
        try:
            self._tables = self._open_tables(readonly)
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
        self._env.close()
        self._unlock()

    def is_empty(self) -> bool:
        """Whether ``write_genesis`` has never run here."""
        return self._get("meta", b"genesis") is None

    def genesis_hash(self) -> bytes:
        """Hash of block 0; StoreError when there is none yet."""
        return self._require("meta", b"genesis", "genesis")

    def head(self) -> Header:
        """Newest final block's header, as of the last commit of the writer."""
        head = self.header(self._require("meta", b"head", "head"))
        if head is None:
            raise StoreError(f"{self.path}: the head's header is missing")
        return head

    def header(self, block_hash: bytes) -> Header | None:
        """Header by hash, None when unknown."""
        return self._read("headers", block_hash, decode_header)

    def canonical_hash(self, number: int) -> bytes | None:
        """Hash of the block at a height, None above the head."""
        return self._get("canonical", _height(number)) if number >= 0 else None

    def header_by_number(self, number: int) -> Header | None:
        """Header at a height, None above the head."""
        block_hash = self.canonical_hash(number)
        return None if block_hash is None else self.header(block_hash)

    def block(self, block_hash: bytes) -> Block | None:
        """Whole block by hash; senders are not recovered again."""
        encoded = self._get("blocks", block_hash)
        if encoded is None:
            return None
        joined = self._get("senders", block_hash) or b""
        senders = iter([joined[at : at + 20] for at in range(0, len(joined), 20)])
        return decode_block(encoded, lambda raw: decode_transaction(raw, next(senders)), None)

    def encoded_block(self, block_hash: bytes) -> bytes | None:
        """RLP of a block as written."""
        return self._get("blocks", block_hash)

    def receipts(self, block_hash: bytes) -> tuple[Receipt, ...] | None:
        """Receipts of a block in order."""
        return self._read("receipts", block_hash, _decode_receipts)

    def transaction_location(self, transaction_hash: bytes) -> tuple[bytes, int] | None:
        """(block hash, index) of a mined transaction."""
        value = self._get("locations", transaction_hash)
        return None if value is None else (value[:32], int.from_bytes(value[32:], "big"))

    def certificate(self, block_hash: bytes) -> CommitCertificate | None:
        """Commit certificate of a block; the genesis block has none."""
        return self._read("seals", block_hash, decode_certificate)

    def node(self, digest: bytes) -> bytes:
        """Trie node or code by keccak256; raises KeyError."""
        value = self._get("nodes", digest)
        if value is None:
            raise KeyError(digest)
        return value

    def state(self, header: Header) -> StateReader:
        """State after a block."""
        return StateReader(self.node, header.state_root)

    def validator_change_heights(self) -> list[int]:
        """Ascending heights after which the validator set is another than before; 0 is first."""
        with self._env.begin(db=self._tables["changes"]) as txn:
            return [int.from_bytes(key, "big") for key in txn.cursor().iternext(values=False)]

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
        with self._write() as txn:
            self._put_nodes(txn, nodes)
            self._put_block(txn, block, ())
            txn.put(b"genesis", block.hash, db=self._tables["meta"])
            txn.put(_height(0), b"", db=self._tables["changes"])

    def write_block(self, executed: Executed, certificate: CommitCertificate | None) -> None:
        """Append a final block: everything or nothing, on disk when this returns.

        Args:
            executed: block on top of the head, its receipts and new nodes.
            certificate: None only on chains without validators (the one-process dev chain).

        Raises:
            StoreError: the block does not extend the head, or the disk or map is full.
        """
        block, head = executed.block, self.head()
        if block.header.parent_hash != head.hash or block.number != head.number + 1:
            raise StoreError(
                f"block {block.number} with parent 0x{block.header.parent_hash.hex()} does not "
                f"extend the head {head.number} 0x{head.hash.hex()}"
            )
        changed = self._validators_changed(head, executed)
        with self._write() as txn:
            self._put_nodes(txn, executed.nodes)
            self._put_block(txn, block, executed.receipts)
            if certificate is not None:
                txn.put(block.hash, certificate.rlp, db=self._tables["seals"])
            if changed:
                txn.put(_height(block.number), b"", db=self._tables["changes"])

    def _put_nodes(self, txn: Any, nodes: Mapping[bytes, bytes]) -> None:
        cursor = txn.cursor(self._tables["nodes"])
        cursor.putmulti(sorted(nodes.items()), overwrite=False)

    def _put_block(self, txn: Any, block: Block, receipts: tuple[Receipt, ...]) -> None:
        tables, digest = self._tables, block.hash
        txn.put(digest, block.header.rlp, db=tables["headers"])
        txn.put(digest, block.rlp, db=tables["blocks"])
        txn.put(digest, b"".join([tx.sender for tx in block.transactions]), db=tables["senders"])
        txn.put(digest, rlp.encode([encode_receipt(r) for r in receipts]), db=tables["receipts"])
        txn.put(_height(block.number), digest, db=tables["canonical"])
        for index, transaction in enumerate(block.transactions):
            location = digest + index.to_bytes(4, "big")
            txn.put(transaction.hash, location, db=tables["locations"])
        txn.put(b"head", digest, db=tables["meta"])

    def _validators_changed(self, head: Header, executed: Executed) -> bool:
        before = self.state(head)
        after = StateReader(
            lambda digest: executed.nodes.get(digest) or self.node(digest),
            executed.block.header.state_root,
        )
        old, new = before.account(VALIDATOR_SET), after.account(VALIDATOR_SET)
        if old.storage_root == new.storage_root:
            return False
        return read_validators(before) != read_validators(after)

    def _open_tables(self, readonly: bool) -> dict[str, Any]:
        try:
            with self._env.begin() as txn:
                names = {
                    bytes(key).decode("latin-1") for key in txn.cursor().iternext(values=False)
                }
            if names - set(_TABLES):
                raise StoreError(f"{self.path} holds a database of another program")
            if names or readonly:
                tables = {name: self._env.open_db(name.encode(), create=False) for name in _TABLES}
            else:
                with self._env.begin(write=True) as txn:  # all tables and the version, or nothing
                    tables = {name: self._env.open_db(name.encode(), txn) for name in _TABLES}
                    txn.put(b"schema", rlp.encode_uint(SCHEMA_VERSION), db=tables["meta"])
            with self._env.begin(db=tables["meta"]) as txn:
                self._check_schema(txn.get(b"schema"))
        except lmdb.Error as error:
            raise StoreError(f"{self.path} holds no complete chain database: {error}") from None
        return tables

    def _check_schema(self, found: bytes | None) -> None:
        if found is None:
            raise StoreError(f"{self.path} holds a database of another program: no schema version")
        version = int.from_bytes(found, "big")
        if version != SCHEMA_VERSION:
            raise StoreError(
                f"{self.path} has schema version {version}, this program has {SCHEMA_VERSION}; "
                + ("use a newer program" if version > SCHEMA_VERSION else "sync into a new folder")
            )

    def _get(self, table: str, key: bytes) -> bytes | None:
        with self._env.begin(db=self._tables[table]) as txn:
            value: bytes | None = txn.get(key)
        return value

    def _require(self, table: str, key: bytes, what: str) -> bytes:
        value = self._get(table, key)
        if value is None:
            raise StoreError(f"{self.path} has no {what}: no genesis was written yet")
        return value

    def _read(self, table: str, key: bytes, decode: Callable[[bytes], _Value]) -> _Value | None:
        value = self._get(table, key)
        try:
            return None if value is None else decode(value)
        except InvalidBlock as error:
            raise StoreError(f"{self.path}: damaged {table} of 0x{key.hex()}: {error}") from None

    @contextmanager
    def _write(self) -> Iterator[Any]:
        try:
            with self._env.begin(write=True) as txn:
                yield txn
        except lmdb.MapFullError:
            raise StoreError(f"{self.path} is full; open it with a larger map size") from None
        except lmdb.Error as error:
            raise StoreError(f"{self.path} cannot be written: {error}") from None

    def _unlock(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None


def _height(number: int) -> bytes:
    return number.to_bytes(8, "big")


def _decode_receipts(encoded: bytes) -> tuple[Receipt, ...]:
    return tuple([decode_receipt(item) for item in rlp.bytes_list(rlp.decode(encoded))])


def _lock_for_writing(path: Path) -> IO[str]:
    path.mkdir(parents=True, exist_ok=True)
    lock = (path / "writer.lock").open("a+")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.seek(0)
        holder = lock.read().strip() or "unknown"
        lock.close()
        raise StoreError(f"{path} is in use by another node (process {holder})") from None
    lock.truncate(0)
    lock.write(f"{os.getpid()}\n")
    lock.flush()
    return lock


def _open_environment(path: Path, readonly: bool, map_size: int) -> Any:
    try:
        environment = lmdb.open(
            str(path),
            map_size=map_size,
            max_dbs=len(_TABLES),
            max_readers=_MAX_READERS,
            readonly=readonly,
            readahead=False,
        )
    except lmdb.Error as error:
        raise StoreError(f"{path} cannot be opened: {error}") from None
    environment.reader_check()  # slots of readers that were killed
    return environment
