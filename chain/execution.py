"""Blocks: build one from transactions, or execute one and hold it to every hash it declares.

Run both in a thread with a deep stack (``chain.deep_stack``): 1,024 nested calls need several MiB.
What escapes other than InvalidBlock means that this node is broken; the process must stop.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

from chain.blobs import GAS_PER_BLOB, excess_blob_gas
from chain.blocks import MAX_BLOCK_SIZE, Block
from chain.difficulty import next_difficulty
from chain.errors import (
    BlockFull,
    ExecutionMismatch,
    InvalidBlock,
    InvalidTransaction,
)
from chain.evm.payments import pay_rewards, pay_withdrawals
from chain.evm.requests import collect_requests, requests_hash
from chain.evm.rules import GasAvailable
from chain.evm.state_cache import StateCache
from chain.evm.transition import Outcome, apply_transaction, system_call
from chain.fees import next_base_fee, transaction_gas_cap
from chain.header import ABSENT, EMPTY_LIST_HASH, EMPTY_TRIE_ROOT, Header, field_count
from chain.machine import (
    NodeSource,
    ancestors_of,
    blob_gas_limit,
    environment_of,
    machine_of,
)
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
from chain.validation import check_body, check_header, check_ommers
from genesis.addresses import BEACON_ROOTS, HISTORY_STORAGE
from genesis.forks import Fork
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


def build_block(
    spec: GenesisSpec,
    parent: Header,
    attributes: BlockAttributes,
    transactions: Iterable[Transaction],
    source: NodeSource,
    natives: Mapping[bytes, NativeAccount] | None = None,
    cache: StateCache | None = None,
) -> tuple[ExecutedBlock, list[tuple[Transaction, InvalidTransaction]]]:
    """A block on ``parent`` with the transactions that can be mined, in the order given.

    Args:
        spec: the genesis.
        parent: the head; its state is read from ``source``.
        attributes: what the proposer decides; must follow the header rules.
        transactions: candidates; those that are invalid here are left out.
        source: trie nodes, codes and ancestors.
        natives: native accounts; None for this chain's.
        cache: what earlier blocks of this process left; None for none.

    Returns:
        The executed block, and the transactions left out with the reason.

    Raises:
        InvalidBlock: attributes that break a header rule, or a broken system contract.
        ExecutorFault: this node is broken.
    """
    draft = _draft(spec, parent, attributes)
    check_header(spec, parent, draft)
    execution = _Execution(spec, parent, draft, source, natives, cache)
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
    block = Block(draft, tuple(included))
    results = execution.finish(block)
    root = transactions_root([transaction.raw for transaction in included])
    block = replace(block, header=replace(draft, transactions_root=root, **results))
    return execution.executed(block), rejected


def execute_block(
    spec: GenesisSpec,
    parent: Header,
    block: Block,
    source: NodeSource,
    natives: Mapping[bytes, NativeAccount] | None = None,
    cache: StateCache | None = None,
) -> ExecutedBlock:
    """Execute somebody's block: header and body rules first, then every declared result.

    Args:
        spec: the genesis.
        parent: header of the block's parent; its state is read from ``source``.
        block: decoded, so its transactions are well-formed and their senders known.
        source: trie nodes, codes and ancestors.
        natives: native accounts; None for this chain's.
        cache: what earlier blocks of this process left; None for none.

    Raises:
        InvalidBlock: a rule is broken; ExecutionMismatch with this node's receipts where the
            execution gave another result.
        ExecutorFault: this node is broken.
    """
    check_header(spec, parent, block.header)
    check_body(spec, block)
    check_ommers(spec, block, source.block)
    execution = _Execution(spec, parent, block.header, source, natives, cache)
    for index, transaction in enumerate(block.transactions):
        try:
            execution.apply(transaction)
        except InvalidTransaction as error:
            raise InvalidBlock(f"transaction {index}: {error}") from error
    for name, computed in execution.finish(block).items():
        declared = getattr(block.header, name)
        if declared != computed:
            raise ExecutionMismatch(name, declared, computed, tuple(execution.receipts))
    return execution.executed(block)


class _Execution:
    """One block while its transactions run: world state, receipts, gas."""

    def __init__(
        self,
        spec: GenesisSpec,
        parent: Header,
        header: Header,
        source: NodeSource,
        natives: Mapping[bytes, NativeAccount] | None,
        cache: StateCache | None,
    ) -> None:
        self._spec, self._header = spec, header
        environment = environment_of(spec, header, ancestors_of(parent, source))
        self._fork = environment.fork
        self._machine = machine_of(
            spec, environment, source, parent.state_root, natives, cache=cache
        )
        self._cap = transaction_gas_cap(spec, self._fork)
        self._blob_gas_limit = blob_gas_limit(spec, header.timestamp)
        self.receipts: list[Receipt] = []
        self._gas_used = self._blob_gas_used = 0
        if self._fork >= Fork.CANCUN:
            system_call(self._machine, BEACON_ROOTS, header.parent_beacon_block_root)
        if self._fork >= Fork.PRAGUE:
            system_call(self._machine, HISTORY_STORAGE, header.parent_hash)

    def apply(self, transaction: Transaction) -> None:
        """Run one transaction; InvalidTransaction leaves everything as it was."""
        limit = self._blob_gas_limit
        room = GasAvailable(
            self._header.gas_limit - self._gas_used,
            self._cap,
            None if limit is None else limit - self._blob_gas_used,
        )
        outcome = apply_transaction(self._machine, transaction, room)
        self._gas_used += outcome.gas_used
        self._blob_gas_used += GAS_PER_BLOB * len(transaction.blob_versioned_hashes)
        root = b""
        if self._fork < Fork.BYZANTIUM:
            root = self._machine.state.make_root()
        self.receipts.append(receipt_of(transaction, outcome, self._gas_used, root))

    def finish(self, block: Block) -> dict[str, Any]:
        """Pay and collect what the protocol does after the transactions.

        Returns:
            Header fields that execution determines.
        """
        state, fork = self._machine.state, self._fork
        pay_rewards(state, fork, block.header, block.ommers)
        pay_withdrawals(state, block.withdrawals)
        results: dict[str, Any] = {}
        if fork >= Fork.PRAGUE:
            logs = [log for receipt in self.receipts for log in receipt.logs]
            requests = collect_requests(self._machine, logs, self._spec.deposit_contract)
            results["requests_hash"] = requests_hash(requests)
        self._change = state.change()
        blooms = [receipt.logs_bloom for receipt in self.receipts if receipt.logs]
        return results | {
            "gas_used": self._gas_used,
            "blob_gas_used": self._blob_gas_used,
            "receipts_root": receipts_root(self.receipts),
            "logs_bloom": union_bloom(blooms) if blooms else _NO_BLOOM,
            "state_root": self._change.root,
        }

    def executed(self, block: Block) -> ExecutedBlock:
        """The finished block with what its execution produced."""
        change = self._change
        return ExecutedBlock(
            block, tuple(self.receipts), change.nodes, change.added, change.removed
        )


def receipt_of(
    transaction: Transaction, outcome: Outcome, cumulative_gas_used: int, post_state: bytes = b""
) -> Receipt:
    """Receipt of a transaction that ended like this; ``post_state``: the root before Byzantium."""
    return Receipt(
        type=transaction.type,
        status=int(outcome.error is None),
        cumulative_gas_used=cumulative_gas_used,
        logs_bloom=logs_bloom(outcome.logs) if outcome.logs else _NO_BLOOM,
        logs=outcome.logs,
        post_state=post_state,
    )


def _draft(spec: GenesisSpec, parent: Header, attributes: BlockAttributes) -> Header:
    """Header of a block being built; the results of execution are blank, so is proof of work."""
    number, timestamp = parent.number + 1, attributes.timestamp
    fork = spec.schedule.fork(number, timestamp)
    fields: dict[str, Any] = dict(ABSENT)
    if fork >= Fork.LONDON:
        fields["base_fee_per_gas"] = next_base_fee(parent)
    if fork >= Fork.CANCUN and spec.assay is None:
        fields["excess_blob_gas"] = excess_blob_gas(spec.schedule, parent, timestamp)
    return Header(
        parent_hash=parent.hash,
        ommers_hash=EMPTY_LIST_HASH,
        coinbase=attributes.coinbase,
        state_root=EMPTY_TRIE_ROOT,
        transactions_root=EMPTY_TRIE_ROOT,
        receipts_root=EMPTY_TRIE_ROOT,
        logs_bloom=_NO_BLOOM,
        difficulty=0 if fork >= Fork.PARIS else next_difficulty(fork, parent, timestamp),
        number=number,
        gas_limit=attributes.gas_limit,
        gas_used=0,
        timestamp=timestamp,
        extra_data=attributes.extra_data,
        mix_hash=attributes.mix_hash,
        nonce=bytes(8),
        field_count=field_count(fork),
        **fields,
    )
