"""The file under the database: LMDB environment, tables, schema version, writer's lock.

Refused, never converted: another program's file, another version's, a torn copy.
"""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

import lmdb

from chain import rlp
from chain.errors import StoreError

SCHEMA_VERSION: Final = 2
DEFAULT_MAP_SIZE: Final = 1 << 38
"""Address space reserved for the file, in bytes; disk is used only as data arrives."""

TABLES: Final = (
    "meta",
    "headers",
    "blocks",
    "senders",
    "receipts",
    "canonical",
    "locations",
    "seals",
    "changes",
    "nodes",
    "counts",
    "removals",
)
_DATA: Final = "data.mdb"
_MAX_READERS: Final = 512
_FULL: Final = 4 << 20
"""Free bytes below which a failed write is the disk's fault; a block needs about as much."""


class StoreFile:
    """An open environment with its tables.

    Args:
        path: folder; created by a writer, must exist for a reader.
        readonly: open beside a writer in another process.
        map_size: upper limit of the file in bytes.

    Raises:
        StoreError: foreign, newer, older, torn, locked by another writer, or not there.
    """

    def __init__(self, path: Path, readonly: bool, map_size: int) -> None:
        self.path = path
        self._lock: IO[str] | None = None
        if readonly:
            if not (path / _DATA).exists():
                raise StoreError(f"no chain database in {path}")
        else:
            self._lock = _lock_for_writing(path)
        try:
            self._environment = _open_environment(path, readonly, map_size)
        except StoreError:
            self._unlock()
            raise
        self.forget_killed_readers()
        try:
            self._tables = self._open_tables(readonly)
        except StoreError:
            self.close()
            raise

    def close(self) -> None:
        """Release file and lock; further use raises."""
        self._environment.close()
        self._unlock()

    def get(self, table: str, key: bytes) -> bytes | None:
        """Value of a key as of the last commit."""
        try:
            with self._environment.begin(db=self._tables[table]) as txn:
                value: bytes | None = txn.get(key)
        except lmdb.Error as error:
            raise StoreError(f"{self.path}: {table} cannot be read: {error}") from None
        return value

    @contextmanager
    def read(self) -> Iterator["Transaction"]:
        """One consistent view over several reads; keep it short beside a writer."""
        try:
            with self._environment.begin() as txn:
                yield Transaction(txn, self._tables)
        except lmdb.Error as error:
            raise StoreError(f"{self.path} cannot be read: {error}") from None

    @contextmanager
    def write(self) -> Iterator["Transaction"]:
        """All puts and deletes inside are on disk when this ends, or none of them."""
        try:
            with self._environment.begin(write=True) as txn:
                yield Transaction(txn, self._tables)
        except lmdb.MapFullError:
            raise StoreError(f"{self.path} is full; open it with a larger map size") from None
        except lmdb.Error as error:
            free = shutil.disk_usage(self.path).free
            raise StoreError(
                f"{self.path} cannot be written: {error}; "
                + ("the disk is full" if free < _FULL else f"{free >> 20} MiB are free on the disk")
            ) from None

    def forget_killed_readers(self) -> int:
        """Free the slots of readers that died while reading; returns how many.

        Until then no page that was given up since they began can be used again.
        """
        return int(self._environment.reader_check())

    def copy_to(self, descriptor: int) -> None:
        """Write a compacted copy as of now to an open file, also beside a writer.

        Raises:
            OSError: the file cannot be written.
            StoreError: the database cannot be read.
        """
        try:
            self._environment.copyfd(descriptor, compact=True)
        except lmdb.DiskError as error:
            raise OSError(str(error)) from None
        except lmdb.Error as error:
            raise StoreError(f"{self.path} cannot be copied: {error}") from None

    def used_bytes(self) -> int:
        """Bytes of the file up to its last used page; freed pages inside are reused."""
        info = self._environment.info()
        return (int(info["last_pgno"]) + 1) * int(self._environment.stat()["psize"])

    def _open_tables(self, readonly: bool) -> dict[str, Any]:
        environment = self._environment
        try:
            with environment.begin() as txn:
                names = {
                    bytes(key).decode("latin-1") for key in txn.cursor().iternext(values=False)
                }
            if names - set(TABLES):
                raise StoreError(f"{self.path} holds a database of another program")
            if not names and not readonly:
                with environment.begin(write=True) as txn:  # all tables and the version, or nothing
                    for name in TABLES:
                        environment.open_db(name.encode(), txn)
                    meta = environment.open_db(b"meta", txn)
                    txn.put(b"schema", rlp.encode_uint(SCHEMA_VERSION), db=meta)
            meta = environment.open_db(b"meta", create=False)
            with environment.begin(db=meta) as txn:
                self._check_schema(txn.get(b"schema"))
            return {name: environment.open_db(name.encode(), create=False) for name in TABLES}
        except lmdb.Error as error:
            raise StoreError(f"{self.path} holds no complete chain database: {error}") from None

    def _check_schema(self, found: bytes | None) -> None:
        if found is None:
            raise StoreError(f"{self.path} holds a database of another program: no schema version")
        version = int.from_bytes(found, "big")
        if version != SCHEMA_VERSION:
            raise StoreError(
                f"{self.path} has schema version {version}, this program has {SCHEMA_VERSION}; "
                + ("use a newer program" if version > SCHEMA_VERSION else "sync into a new folder")
            )

    def _unlock(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None


class Transaction:
    """Reads, and in a write transaction writes, of several tables at one moment."""

    def __init__(self, txn: Any, tables: dict[str, Any]) -> None:
        self._txn, self._tables = txn, tables

    def get(self, table: str, key: bytes) -> bytes | None:
        """Value of a key."""
        value: bytes | None = self._txn.get(key, db=self._tables[table])
        return value

    def put(self, table: str, key: bytes, value: bytes) -> None:
        """Write, or write over."""
        self._txn.put(key, value, db=self._tables[table])

    def put_new(self, table: str, key: bytes, value: bytes) -> bool:
        """Write unless the key is there; whether it was written."""
        written: bool = self._txn.put(key, value, overwrite=False, db=self._tables[table])
        return written

    def delete(self, table: str, key: bytes) -> bool:
        """Remove; whether it was there."""
        found: bool = self._txn.delete(key, db=self._tables[table])
        return found

    def items(self, table: str, start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Entries from ``start`` on, ascending by key."""
        cursor = self._txn.cursor(self._tables[table])
        if cursor.set_range(start):
            yield from cursor.iternext()

    def count(self, table: str) -> int:
        """Number of entries."""
        return int(self._txn.stat(self._tables[table])["entries"])

    def size(self, table: str) -> int:
        """Bytes of all pages of a table."""
        stat = self._txn.stat(self._tables[table])
        pages = stat["branch_pages"] + stat["leaf_pages"] + stat["overflow_pages"]
        return int(pages * stat["psize"])


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
            max_dbs=len(TABLES),
            max_readers=_MAX_READERS,
            readonly=readonly,
            readahead=False,
        )
    except lmdb.Error as error:
        raise StoreError(f"{path} cannot be opened: {error}") from None
    want = (int(environment.info()["last_pgno"]) + 1) * int(environment.stat()["psize"])
    have = (path / _DATA).stat().st_size
    if have < want:  # a page behind the end would kill the process when it is read
        environment.close()
        raise StoreError(
            f"{path} is a torn copy: {have} bytes, want {want}; copy it again while nobody writes"
        )
    return environment
