"""Blocks between a database and a file: what ``assay import`` and ``assay export`` do."""

import gzip
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final, cast

from chain.block_file import read_blocks, seal_block
from chain.errors import InvalidBlock
from chain.header import Header
from chain.store import Store
from genesis.spec import GenesisSpec
from tools.errors import ToolError

GZIP_SUFFIX: Final = ".gz"

Progress = Callable[["Tally"], None]
"""Called after each block."""


@dataclass(slots=True)
class Tally:
    """What an import has done so far.

    Attributes:
        head: newest block of the database.
        blocks, transactions, gas: executed and written.
        skipped: blocks that were here before.
        read: bytes of the files that were read, as they lie on disk.
        seconds: since the start.
    """

    head: Header
    blocks: int = 0
    transactions: int = 0
    gas: int = 0
    skipped: int = 0
    read: int = 0
    seconds: float = 0.0

    def speed(self) -> str:
        """Blocks and gas per second."""
        seconds = max(self.seconds, 1e-9)
        return f"{self.blocks / seconds:.1f} blocks/s, {self.gas / 1e6 / seconds:.1f} Mgas/s"


def import_files(
    spec: GenesisSpec,
    store: Store,
    files: tuple[Path, ...],
    *,
    reference: bool = False,
    progress: Progress = lambda tally: None,
    stopped: Callable[[], bool] = lambda: False,
) -> Tally:
    """Import every block of the files, in order; call it in a deep thread.

    Args:
        spec: genesis of the chain.
        store: open for writing, with the genesis block in it.
        files: concatenated RLP blocks, ``.gz`` through gzip.
        reference: run each block through stock py-evm, too.
        progress: called after each block.
        stopped: asked before each block; True ends the import after the last one.

    Raises:
        ToolError: the first block that is not valid, by number and reason; all before it is kept.
    """
    from chain.block_import import BlockImporter

    importer = BlockImporter(spec, store, _comparison(store) if reference else None)
    tally = Tally(importer.head)
    started, before = time.monotonic(), 0
    for file in files:
        with _open_to_read(file) as (stream, position):
            for encoded in _blocks_of(file, stream):
                if stopped():
                    return tally
                try:
                    executed = importer.add(encoded)
                except InvalidBlock as error:
                    raise ToolError(_refusal(file, encoded, error, importer.head)) from None
                if executed is None:
                    tally.skipped += 1
                else:
                    tally.blocks += 1
                    tally.transactions += len(executed.block.transactions)
                    tally.gas += executed.block.header.gas_used
                    tally.head = importer.head
                tally.read = before + position()
                tally.seconds = time.monotonic() - started
                progress(tally)
        before += file.stat().st_size
    return tally


def export_file(
    store: Store,
    file: Path,
    first: int,
    last: int,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> int:
    """Write blocks ``first`` to ``last`` into a file; it appears when all is written.

    Returns:
        Number of blocks.

    Raises:
        ToolError: a range that the chain does not have, or the file exists.
    """
    head = store.head().number
    if not 0 <= first <= last <= head:
        raise ToolError(f"blocks {first} to {last} are not in the chain, which has 0 to {head}")
    if file.exists():
        raise ToolError(f"{file} exists; remove it or choose another name")
    part = file.with_name(f"{file.name}.part")
    opener = gzip.open if file.name.endswith(GZIP_SUFFIX) else open
    sealed = bool(store.validator_change_heights())
    try:
        with cast(IO[bytes], opener(part, "wb")) as stream:
            for number in range(first, last + 1):
                stream.write(_encoded(store, number, sealed))
                progress(number - first + 1, last - first + 1)
        os.replace(part, file)
    finally:
        part.unlink(missing_ok=True)
    return last - first + 1


def _encoded(store: Store, number: int, sealed: bool) -> bytes:
    block_hash = store.canonical_hash(number) or b""
    encoded = store.encoded_block(block_hash)
    if encoded is None:
        raise ToolError(f"block {number} is missing from {store.path}; run assay db check")
    if not sealed or number == 0:
        return encoded
    certificate = store.certificate(block_hash)
    if certificate is None:
        raise ToolError(f"block {number} has no commit certificate; run assay db check")
    return seal_block(encoded, certificate)


def _comparison(store: Store) -> Callable[[GenesisSpec, Header, Any], None]:
    from chain.evm.reference import ReferenceMismatch, check_against_reference

    def compare(spec: GenesisSpec, parent: Header, executed: Any) -> None:
        try:
            check_against_reference(spec, parent, executed.block, store, executed)
        except ReferenceMismatch as error:
            number = executed.block.number
            raise ToolError(f"block {number}: this EVM and py-evm differ: {error}") from None

    return compare


def _blocks_of(file: Path, stream: IO[bytes]) -> Iterator[bytes]:
    try:
        yield from read_blocks(stream)
    except InvalidBlock as error:
        raise ToolError(f"{file}: {error}; every block before it was imported") from None
    except (EOFError, gzip.BadGzipFile) as error:
        raise ToolError(f"{file}: {error}; every block before that was imported") from None


def _refusal(file: Path, encoded: bytes, error: InvalidBlock, head: Header) -> str:
    from chain.block_file import header_of

    try:
        name = f"block {header_of(encoded).number}"
    except InvalidBlock:
        name = "the next block"
    return f"{file}: {name} is not valid: {error}; the chain ends at block {head.number}"


@contextmanager
def _open_to_read(file: Path) -> Iterator[tuple[IO[bytes], Callable[[], int]]]:
    """The stream of blocks, and a function for how far the file was read."""
    with file.open("rb") as raw:
        if file.name.endswith(GZIP_SUFFIX):
            with gzip.open(raw) as stream:
                yield cast(IO[bytes], stream), raw.tell
        else:
            yield raw, raw.tell
