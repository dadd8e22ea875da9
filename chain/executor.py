"""Builds, executes and commits blocks. Lives in the executor process."""

import gc
import json
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from chain.blocks import decode_block
from chain.certificate import CommitCertificate
from chain.errors import (
    BlockFull,
    ExecutionMismatch,
    ExecutorFault,
    GasLimitExceeded,
    InvalidBlock,
    InvalidTransaction,
    NonceTooHigh,
    StateNotAvailable,
    UnknownParent,
)
from chain.header import Header
from chain.receipts import encode_receipt
from chain.requests import (
    BlockAttributes,
    BlockVerdict,
    BuiltBlock,
    Committed,
    ExecutedBlock,
    InferenceCounts,
)
from chain.seals import verify_certificate
from chain.store import Store
from chain.transactions import Transaction, decode_transaction
from chain.validator_set import read_validators
from genesis.spec import GenesisSpec
from precompiles.hashing import keccak256

if TYPE_CHECKING:
    from chain.evm.state_cache import StateCache

KEPT_BLOCKS: Final = 16
KEPT_TRANSACTIONS: Final = 16_384
KEPT_EVIDENCE: Final = 32
_TRANSIENT: Final = (BlockFull, GasLimitExceeded, NonceTooHigh)  # may be mined in a later block


class Executor:
    """Builds, executes and commits blocks; the database's only writer.

    A block that was built or executed is kept with its result, so committing never executes again.

    Args:
        spec: the genesis.
        store: open for writing.
        evidence: folder for blocks whose execution differed.
    """

    def __init__(self, spec: GenesisSpec, store: Store, evidence: Path) -> None:
        self._spec, self._store, self._evidence = spec, store, evidence
        self._cache: StateCache | None = None  # made by warm_up
        self._executed: OrderedDict[bytes, ExecutedBlock] = OrderedDict()
        self._transactions: OrderedDict[bytes, Transaction] = OrderedDict()

    def build(
        self, parent_hash: bytes, attributes: BlockAttributes, raw_transactions: list[bytes]
    ) -> BuiltBlock:
        """A block on top of ``parent_hash`` with the transactions that can be mined, in order."""
        from chain.execution import build_block

        cache = self._warm()
        transactions: list[Transaction] = []
        refused: list[tuple[bytes, str]] = []
        for raw in raw_transactions:
            try:
                transactions.append(self._decode(raw))
            except InvalidTransaction as error:
                refused.append((keccak256(raw), str(error)))
        parent = self._header(parent_hash)
        with collection_paused():
            executed, rejected = build_block(
                self._spec, parent, attributes, transactions, self._store, cache=cache
            )
        self._keep(executed)
        refused += [
            (tx.hash, str(error)) for tx, error in rejected if not isinstance(error, _TRANSIENT)
        ]
        block = executed.block
        return BuiltBlock(block.rlp, block.hash, block.header.gas_used, tuple(refused))

    def execute(self, encoded: bytes) -> BlockVerdict:
        """Whether a proposed block follows every rule; remembers the result."""
        from chain.execution import execute_block

        cache = self._warm()
        try:
            block = decode_block(encoded, self._decode)
            known = self._executed.get(block.hash)
            if known is not None and known.block.rlp == encoded:
                return BlockVerdict(valid=True)
            parent = self._header(block.header.parent_hash)
            with collection_paused():
                source = self._store.source(parent)
                executed = execute_block(self._spec, parent, block, source, cache=cache)
        except ExecutionMismatch as error:
            return BlockVerdict(False, str(error), self._write_evidence(encoded, error))
        except (InvalidBlock, StateNotAvailable) as error:  # no state: its parent is no head now
            return BlockVerdict(False, str(error))
        self._keep(executed)
        return BlockVerdict(valid=True)

    def finalize(self, block_hash: bytes, certificate: CommitCertificate | None) -> Committed:
        """Write a block that was built or executed here; repeating it changes nothing.

        Raises:
            InvalidSeal: the certificate does not prove the block.
            StoreError: it does not extend the head, or the disk is full.
            ExecutorFault: the block was never executed here.
        """
        written = self._store.block(block_hash)
        if written is not None:
            return Committed(
                written.header, written.transactions, self._store.receipts(block_hash) or ()
            )
        executed = self._executed.get(block_hash)
        if executed is None:
            raise ExecutorFault(f"finalize of 0x{block_hash.hex()}, which was not executed here")
        header = executed.block.header
        if certificate is not None:
            parent = self._header(header.parent_hash)
            verify_certificate(header, certificate, read_validators(self._store.state(parent)))
        self._store.write_block(executed, certificate)
        for kept in [h for h, e in self._executed.items() if e.block.number <= header.number]:
            del self._executed[kept]
        for transaction in executed.block.transactions:
            self._transactions.pop(transaction.hash, None)
        return Committed(header, executed.block.transactions, executed.receipts)

    def warm_up(self) -> None:
        """Load the EVM, compile the kernels and compare this node's arithmetic with the chain's.

        Once, before anything else is done; no block is executed before it has passed.

        Raises:
            PrecompileFault, ExecutorFault: the arithmetic differs; the worker stops.
        """
        self._warm()

    def inferences(self) -> InferenceCounts:
        """What was inferred in this process since its start."""
        from precompiles.table import MODEL_STORE

        return InferenceCounts(MODEL_STORE.runs, MODEL_STORE.cached, MODEL_STORE.run_nanoseconds)

    def methods(self) -> dict[str, Callable[..., object]]:
        """What the node may ask."""
        return {
            "build": self.build,
            "execute": self.execute,
            "finalize": self.finalize,
            "warm_up": self.warm_up,
            "inferences": self.inferences,
        }

    def _warm(self) -> "StateCache":
        """What blocks leave to later ones; the EVM is loaded and tested when there is one."""
        if self._cache is None:
            import chain.execution  # noqa: F401
            from chain.evm.destinations import jump_self_test
            from chain.evm.precompiled.selftest import precompiled_self_test
            from chain.evm.state_cache import StateCache
            from precompiles.selftest import self_test

            self_test()
            precompiled_self_test()
            jump_self_test()
            self._cache = StateCache()
            gc.collect()
            gc.freeze()  # what is loaded now lives as long as the process
        return self._cache

    def _header(self, block_hash: bytes) -> Header:
        header = self._store.header(block_hash)
        if header is None:
            raise UnknownParent(block_hash)
        return header

    def _keep(self, executed: ExecutedBlock) -> None:
        self._executed[executed.block.hash] = executed
        while len(self._executed) > KEPT_BLOCKS:
            self._executed.popitem(last=False)

    def _decode(self, raw: bytes) -> Transaction:
        """Decode once: the same transaction comes in proposals of several rounds."""
        digest = keccak256(raw)
        known = self._transactions.get(digest)
        if known is None:
            known = self._transactions[digest] = decode_transaction(raw)
            if len(self._transactions) > KEPT_TRANSACTIONS:
                self._transactions.popitem(last=False)
        return known

    def _write_evidence(self, encoded: bytes, error: ExecutionMismatch) -> str:
        """Keep the block and our receipts for the operator; bounded number of files."""
        block = decode_block(encoded, self._decode)
        self._evidence.mkdir(parents=True, exist_ok=True)
        if len(list(self._evidence.glob("*.json"))) >= KEPT_EVIDENCE:
            return ""
        file = self._evidence / f"{block.number}-{block.hash.hex()}.json"
        content = {
            "reason": error.reason,
            "blockNumber": block.number,
            "blockHash": "0x" + block.hash.hex(),
            "coinbase": "0x" + block.header.coinbase.hex(),
            "transactions": ["0x" + tx.hash.hex() for tx in block.transactions],
            "ownReceipts": ["0x" + encode_receipt(r).hex() for r in error.receipts],
            "block": "0x" + encoded.hex(),
        }
        file.write_text(json.dumps(content, indent=1) + "\n")
        return str(file)


@contextmanager
def collection_paused() -> Iterator[None]:
    """Keep Python's cycle collector away while a block runs; it comes back right after.

    Execution leaves hardly any cycles: on blocks of transfers and of 60,000 calls it makes no
    difference. But a walk over all that the process caches would fall into some block or other.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
