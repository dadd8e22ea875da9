"""Blocks from a file into the database: prove, execute and write each, in order.

Run it in a thread with a deep stack (``chain.deep_stack``). Each block is one write transaction,
so a process that is killed loses at most the block that it was working on.
"""

from collections.abc import Callable

from chain.block_file import header_of, read_block, unseal_header
from chain.certificate import CommitCertificate
from chain.errors import InvalidBlock, UnknownParent
from chain.evm.state_cache import StateCache
from chain.execution import execute_block
from chain.executor import collection_paused
from chain.header import Header
from chain.requests import ExecutedBlock
from chain.seals import verify_certificate
from chain.store import Store
from chain.validator_set import read_validators
from genesis.spec import GenesisSpec

Compare = Callable[[GenesisSpec, Header, ExecutedBlock], None]
"""Called with the spec, the parent and each executed block before it is written."""


class BlockImporter:
    """Appends blocks to a database.

    Args:
        spec: genesis of the chain.
        store: open for writing, with the genesis block in it.
        compare: a second opinion on each executed block; raises what stops the import.

    Attributes:
        head: newest block in the database.
    """

    def __init__(self, spec: GenesisSpec, store: Store, compare: Compare | None = None) -> None:
        self._spec, self._store, self._compare = spec, store, compare
        self._cache = StateCache()
        self.head = store.head()

    def add(self, encoded: bytes) -> ExecutedBlock | None:
        """Write the next block; None when the chain has it already.

        Args:
            encoded: as in a file of blocks, with the seals on an Assay chain.

        Raises:
            UnknownParent: it is not the block after the head.
            InvalidBlock: malformed, not proven by its seals, against a rule, or another block
                than the one at its height.
        """
        stored, _ = unseal_header(self._spec, header_of(encoded))
        if stored.number <= self.head.number:
            self._must_be_ours(stored)
            return None
        if stored.parent_hash != self.head.hash:
            raise UnknownParent(stored.parent_hash)
        block, certificate = read_block(self._spec, encoded)
        self._check_seals(stored, certificate)
        with collection_paused():
            executed = execute_block(self._spec, self.head, block, self._store, cache=self._cache)
        if self._compare is not None:
            self._compare(self._spec, self.head, executed)
        self._store.write_block(executed, certificate)
        self.head = block.header
        return executed

    def _must_be_ours(self, header: Header) -> None:
        ours = self._store.canonical_hash(header.number)
        if ours != header.hash:
            here = "nothing" if ours is None else f"0x{ours.hex()}"
            raise InvalidBlock(f"hash 0x{header.hash.hex()}, the database has {here}")

    def _check_seals(self, header: Header, certificate: CommitCertificate | None) -> None:
        if certificate is not None:
            validators = read_validators(self._store.state(self.head))
            verify_certificate(header, certificate, validators)
