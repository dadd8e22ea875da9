"""Blocks: build one from transactions, or execute one and hold it to every hash it declares.

Run both in a thread with a deep stack (``chain.worker``): 1,024 nested calls need several MiB. What
escapes other than InvalidBlock means that this node is broken; the process must stop.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import cache
from typing import Any, Final, Protocol

from chain.blocks import MAX_BLOCK_SIZE, Block
from chain.errors import (
    BlockFull,
    ExecutionMismatch,
    ExecutorFault,
    InvalidBlock,
    InvalidTransaction,
)
from chain.evm.fork import AssayComputation, computation_class
from chain.evm.precompiles import default_natives, precompile_table
from chain.evm.requests import collect_requests, requests_hash
from chain.evm.rules import GasAvailable
from chain.evm.old_state import BlockEnvironment, WorldState
from chain.evm.transition import Outcome, apply_transaction, system_call
from chain.fees import next_base_fee
from chain.header import EMPTY_LIST_HASH, EMPTY_REQUESTS_HASH, EMPTY_TRIE_ROOT, Header
from chain.receipts import (
    BLOOM_SIZE,
    Receipt,
    logs_bloom,
    receipts_root,
    transactions_root,
    union_bloom,
)
from chain.requests import BlockAttributes, ExecutedBlock
from chain.transactions import Transaction
from chain.validation import check_body, check_header
from genesis.addresses import BEACON_ROOTS, HISTORY_STORAGE
from genesis.spec import GenesisSpec
from precompiles.context import NativeAccount

__all__ = [
    "BlockAttributes",
    "ExecutedBlock",
    "NodeSource",
    "build_block",
    "execute_block",
]

_NO_BLOOM: Final = bytes(BLOOM_SIZE)
_BODY_OVERHEAD: Final = 2_048
"""Bytes of a block's RLP that are not transactions, at most."""

_TRANSACTION_OVERHEAD: Final = 9
"""Bytes of the string header around a typed transaction, at most."""


class NodeSource(Protocol):
    """What execution reads; ``chain.store.Store`` is one."""

    def node(self, digest: bytes) -> bytes:
        """Trie node or code by keccak256; raises KeyError when absent."""

    def canonical_hash(self, number: int) -> bytes | None:
        """Hash of the block at a height, None above the head."""


def build_block(
    spec: GenesisSpec,
    parent: Header,
    attributes: BlockAttributes,
    transactions: Iterable[Transaction],
    source: NodeSource,
    natives: Mapping[bytes, NativeAccount] | None = None,
) -> tuple[ExecutedBlock, list[tuple[Transaction, InvalidTransaction]]]:
    """A block on ``parent`` with the transactions that can be mined, in the order given.

    Args:
        spec: the genesis.
        parent: the head; its state is read from ``source``.
        attributes: what the proposer decides; must follow the header rules.
        transactions: candidates; those that are invalid here are left out.
        source: trie nodes, codes and ancestors.
        natives: native accounts; None for this chain's.

    Returns:
        The executed block, and the transactions left out with the reason.

    Raises:
        InvalidBlock: attributes that break a header rule, or a broken system contract.
        ExecutorFault: this node is broken.
    """
    draft = _draft(parent, attributes)
    check_header(spec, parent, draft)
    execution = _Execution(spec, parent, draft, source, natives)
    included: list[Transaction] = []
    rejected: list[tuple[Transaction, InvalidTransaction]] = []
    room = MAX_BLOCK_SIZE - _BODY_OVERHEAD
    for transaction in transactions:
        size = len(transaction.raw) + _TRANSACTION_OVERHEAD
        try:
            if size > room:
                raise BlockFull(size, room)
            execution.apply(transaction)
        except InvalidTransaction as error:
            rejected.append((transaction, error))
        else:
            included.append(transaction)
            room -= size
    results, nodes = execution.finish()
    root = transactions_root([transaction.raw for transaction in included])
    header = replace(draft, transactions_root=root, **results)
    block = Block(header, tuple(included))
    return ExecutedBlock(block, tuple(execution.receipts), nodes), rejected


def execute_block(
    spec: GenesisSpec,
    parent: Header,
    block: Block,
    source: NodeSource,
    natives: Mapping[bytes, NativeAccount] | None = None,
) -> ExecutedBlock:
    """Execute somebody's block: header and body rules first, then every declared result.

    Args:
        spec: the genesis.
        parent: header of the block's parent; its state is read from ``source``.
        block: decoded, so its transactions are well-formed and their senders known.
        source: trie nodes, codes and ancestors.
        natives: native accounts; None for this chain's.

    Raises:
        InvalidBlock: a rule is broken; ExecutionMismatch with this node's receipts where the
            execution gave another result.
        ExecutorFault: this node is broken.
    """
    check_header(spec, parent, block.header)
    check_body(spec, block)
    execution = _Execution(spec, parent, block.header, source, natives)
    for index, transaction in enumerate(block.transactions):
        try:
            execution.apply(transaction)
        except InvalidTransaction as error:
            raise InvalidBlock(f"transaction {index}: {error}") from error
    results, nodes = execution.finish()
    receipts = tuple(execution.receipts)
    for name, computed in results.items():
        declared = getattr(block.header, name)
        if declared != computed:
            raise ExecutionMismatch(name, declared, computed, receipts)
    return ExecutedBlock(block, receipts, nodes)


def environment_of(
    spec: GenesisSpec, header: Header, ancestor_hash: Callable[[int], bytes]
) -> BlockEnvironment:
    """What opcodes see of the block with this (draft) header."""
    return BlockEnvironment(
        chain_id=spec.chain_id,
        number=header.number,
        timestamp=header.timestamp,
        gas_limit=header.gas_limit,
        coinbase=header.coinbase,
        mix_hash=header.mix_hash,
        base_fee_per_gas=header.base_fee_per_gas,
        excess_blob_gas=header.excess_blob_gas,
        ancestor_hash=ancestor_hash,
    )


def ancestors_of(parent: Header, source: NodeSource) -> Callable[[int], bytes]:
    """Hashes of ``parent`` and the canonical blocks before it, by height."""

    def ancestor_hash(number: int) -> bytes:
        if number == parent.number:
            return parent.hash
        if number == parent.number - 1:
            return parent.parent_hash
        found = source.canonical_hash(number)
        if found is None:
            raise ExecutorFault(f"block {number} is not in the database")
        return found

    return ancestor_hash


def computation_of(natives: Mapping[bytes, NativeAccount] | None) -> type[AssayComputation]:
    """Computation with these native accounts; None for this chain's."""
    return _own_computation() if natives is None else computation_class(precompile_table(natives))


@cache
def _own_computation() -> type[AssayComputation]:
    return computation_class(precompile_table(default_natives()))


class _Execution:
    """One block while its transactions run: world state, receipts, gas."""

    def __init__(
        self,
        spec: GenesisSpec,
        parent: Header,
        header: Header,
        source: NodeSource,
        natives: Mapping[bytes, NativeAccount] | None,
    ) -> None:
        self._header = header
        self._cap = spec.qbft.transaction_gas_cap
        self._computation = computation_of(natives)
        environment = environment_of(spec, header, ancestors_of(parent, source))
        self._state = WorldState(
            source.node, parent.state_root, environment, self._computation.table
        )
        self.receipts: list[Receipt] = []
        self._gas_used = 0
        beacon_root = header.parent_beacon_block_root
        system_call(self._computation, self._state, BEACON_ROOTS, beacon_root)
        system_call(self._computation, self._state, HISTORY_STORAGE, header.parent_hash)

    def apply(self, transaction: Transaction) -> None:
        """Run one transaction; InvalidTransaction leaves everything as it was."""
        room = GasAvailable(self._header.gas_limit - self._gas_used, self._cap)
        outcome = apply_transaction(self._computation, self._state, transaction, room)
        self._gas_used += outcome.gas_used
        self.receipts.append(receipt_of(transaction, outcome, self._gas_used))

    def finish(self) -> tuple[dict[str, Any], dict[bytes, bytes]]:
        """Header fields that execution determines, and new nodes and codes."""
        logs = [log for receipt in self.receipts for log in receipt.logs]
        requests = collect_requests(self._computation, self._state, logs, None)
        state_root, nodes, _, _ = self._state.change()
        blooms = [receipt.logs_bloom for receipt in self.receipts if receipt.logs]
        results: dict[str, Any] = {
            "gas_used": self._gas_used,
            "receipts_root": receipts_root(self.receipts),
            "logs_bloom": union_bloom(blooms) if blooms else _NO_BLOOM,
            "requests_hash": requests_hash(requests) if requests else EMPTY_REQUESTS_HASH,
            "state_root": state_root,
        }
        return results, nodes


def receipt_of(transaction: Transaction, outcome: Outcome, cumulative_gas_used: int) -> Receipt:
    """Receipt of a transaction that ended like this."""
    return Receipt(
        type=transaction.type,
        status=int(outcome.error is None),
        cumulative_gas_used=cumulative_gas_used,
        logs_bloom=logs_bloom(outcome.logs) if outcome.logs else _NO_BLOOM,
        logs=outcome.logs,
    )


def _draft(parent: Header, attributes: BlockAttributes) -> Header:
    """Header of a block being built; the results of execution are still blank."""
    return Header(
        parent_hash=parent.hash,
        ommers_hash=EMPTY_LIST_HASH,
        coinbase=attributes.coinbase,
        state_root=EMPTY_TRIE_ROOT,
        transactions_root=EMPTY_TRIE_ROOT,
        receipts_root=EMPTY_TRIE_ROOT,
        logs_bloom=_NO_BLOOM,
        difficulty=0,
        number=parent.number + 1,
        gas_limit=attributes.gas_limit,
        gas_used=0,
        timestamp=attributes.timestamp,
        extra_data=attributes.extra_data,
        mix_hash=attributes.mix_hash,
        nonce=bytes(8),
        base_fee_per_gas=next_base_fee(parent),
        withdrawals_root=EMPTY_TRIE_ROOT,
        blob_gas_used=0,
        excess_blob_gas=0,
        parent_beacon_block_root=bytes(32),
        requests_hash=EMPTY_REQUESTS_HASH,
    )
