"""Backups: one tar file with a consistent copy of the database, and nothing secret in it.

Members: ``chain/data.mdb``, LMDB's own compacted copy, then ``backup.json``. Key files, signer file
and journal are left out on purpose. A node that starts on a restored database has no memory of
what it signed, so it catches up and lets one block pass before it votes (``consensus.service``);
with an old signer file it would trust a memory that is wrong.
"""

import hashlib
import json
import os
import tarfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Final

from chain.store import Store
from tools.errors import ToolError

DATABASE: Final = "chain/data.mdb"
MANIFEST: Final = "backup.json"
FORMAT: Final = 1
_PIECE: Final = 1 << 20
_BLOCK: Final = tarfile.BLOCKSIZE

Progress = Callable[[int, int], None]
"""Told bytes done and bytes in all."""


@dataclass(frozen=True, slots=True)
class Backup:
    """What a backup says about itself.

    Attributes:
        format: of the archive.
        genesis: hash of block 0, hex.
        head: newest block when the copy began; the copy has it or a later one.
        bytes: of the database file.
        sha256: of it, hex.
    """

    format: int
    genesis: str
    head: int
    bytes: int
    sha256: str


def write_backup(datadir: Path, target: Path, progress: Progress) -> Backup:
    """Copy the database of ``datadir`` into a new file, also beside a running node.

    While the copy is read, pages that the node frees are not reused: its file may grow a little.

    Raises:
        StoreError: no database there.
        ToolError: ``target`` exists, or the disk is full; nothing half-written stays behind.
    """
    if target.exists():
        raise ToolError(f"{target} exists already; it was left as it is")
    partial = target.with_name(target.name + ".partial")
    with Store(datadir / "chain", readonly=True) as store:
        try:
            with partial.open("w+b") as file:
                os.fchmod(file.fileno(), 0o600)
                backup = _write(store, file, progress)
                file.flush()
                os.fsync(file.fileno())
            os.rename(partial, target)
        except OSError as error:
            raise ToolError(f"cannot write {target}: {error.strerror or error}") from None
        finally:
            partial.unlink(missing_ok=True)
    return backup


def restore_backup(source: Path, datadir: Path, progress: Progress) -> Backup:
    """Unpack a backup into a folder that has no database, signer file or journal.

    Raises:
        ToolError: no backup, damaged, or the folder has been a node's before.
    """
    for name in ("chain", "consensus"):
        if (datadir / name).exists():
            raise ToolError(
                f"{datadir / name} exists: restore into an empty folder. Never join a database "
                "with another time's signer file."
            )
    folder = datadir / "chain.partial"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        backup = _read(source, folder / "data.mdb", progress)
        with Store(folder, readonly=True) as store:
            genesis, head = store.genesis_hash().hex(), store.head().number
        if genesis != backup.genesis or head < backup.head:
            raise ToolError(
                f"{source} says genesis 0x{backup.genesis} and block {backup.head} or later, its "
                f"database has 0x{genesis} and block {head}"
            )
        (folder / "lock.mdb").unlink(missing_ok=True)
        os.rename(folder, datadir / "chain")
    except (tarfile.TarError, ValueError, KeyError, TypeError) as error:
        raise ToolError(f"{source} is not a whole backup: {error}") from None
    finally:
        for file in (folder / "data.mdb", folder / "lock.mdb"):
            file.unlink(missing_ok=True)
        if folder.exists():
            folder.rmdir()
    return backup


def _write(store: Store, file: IO[bytes], progress: Progress) -> Backup:
    """The database straight into the archive; its header is written when the size is known."""
    genesis, head = store.genesis_hash().hex(), store.head().number
    file.write(bytes(_BLOCK))
    file.flush()
    store.file.copy_to(file.fileno())
    size = file.seek(0, os.SEEK_END) - _BLOCK
    file.write(bytes(-size % _BLOCK))
    file.seek(_BLOCK)
    digest = _digest(file, size, progress)
    backup = Backup(FORMAT, genesis, head, size, digest)
    file.seek(0)
    file.write(_header(DATABASE, size))
    file.seek(0, os.SEEK_END)
    manifest = (json.dumps(asdict(backup), indent=1) + "\n").encode()
    file.write(_header(MANIFEST, len(manifest)) + manifest)
    file.write(bytes(-len(manifest) % _BLOCK + 2 * _BLOCK))
    return backup


def _header(name: str, size: int) -> bytes:
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, 0o600
    return member.tobuf(tarfile.GNU_FORMAT)


def _digest(file: IO[bytes], size: int, progress: Progress) -> str:
    state, left = hashlib.sha256(), size
    while left and (piece := file.read(min(_PIECE, left))):
        state.update(piece)
        left -= len(piece)
        progress(size - left, size)
    return state.hexdigest()


def _read(source: Path, target: Path, progress: Progress) -> Backup:
    """Unpack the database and hold it to the manifest; nothing else is taken from the archive."""
    with tarfile.open(source, "r:") as archive:
        manifest = archive.extractfile(MANIFEST)
        database = archive.extractfile(DATABASE)
        if manifest is None or database is None:
            raise ToolError(f"{source} is not a whole backup: a member is no file")
        backup = Backup(**json.loads(manifest.read()))
        if backup.format != FORMAT:
            raise ToolError(f"{source} has format {backup.format}, this program reads {FORMAT}")
        state, done = hashlib.sha256(), 0
        with target.open("xb") as file:
            os.fchmod(file.fileno(), 0o600)
            while piece := database.read(_PIECE):
                state.update(piece)
                file.write(piece)
                done += len(piece)
                progress(done, backup.bytes)
            file.flush()
            os.fsync(file.fileno())
    if (done, state.hexdigest()) != (backup.bytes, backup.sha256):
        raise ToolError(
            f"{source} is damaged: {done} bytes with sha256 {state.hexdigest()}, want "
            f"{backup.bytes} with {backup.sha256}"
        )
    return backup
