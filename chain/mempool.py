"""Transactions that wait for a block. Synchronous and bounded; lives in the node process.

Every transaction is checked at the door against the newest head, with geth's error texts, because
clients parse them. Per sender, nonces without a gap are *pending*, the rest is *queued*.
"""

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from chain.errors import (
    AlreadyKnown,
    FeeCapTooLow,
    GasLimitExceeded,
    InsufficientFunds,
    NonceTooHigh,
    NonceTooLow,
    PoolRefused,
    ReplacementUnderpriced,
    SenderNotEoa,
    TypeNotSupported,
    UnprotectedTransaction,
)
from chain.evm.delegation import is_delegation
from chain.evm.rules import check_envelope
from chain.fees import (
    floor_gas,
    intrinsic_gas,
    next_base_fee,
    transaction_gas_cap,
)
from chain.header import Header
from chain.state_reader import StateReader
from chain.transactions import Transaction
from genesis.forks import Fork
from genesis.spec import GenesisSpec
from precompiles.hashing import EMPTY_HASH

_Content: TypeAlias = dict[bytes, dict[int, Transaction]]


@dataclass(frozen=True, slots=True)
class MempoolLimits:
    """What one node keeps; limits of this node, not rules of the chain.

    Attributes:
        transactions: in all.
        size: bytes of all encodings.
        per_sender: of one sender; also how far ahead of the next nonce one may be.
        transaction_size: bytes of one encoding.
        price_bump_percent: more of both fees that a replacement must offer.
        lifetime_seconds: of block time, after which a transaction is forgotten.
    """

    transactions: int = 32_768
    size: int = 128 << 20
    per_sender: int = 8_192
    transaction_size: int = 128 << 10
    price_bump_percent: int = 10
    lifetime_seconds: int = 3 * 3600


@dataclass(slots=True)
class _Queue:
    """One sender: ``nonce`` of the state, ``next`` = first nonce at or above it that is missing."""

    nonce: int
    next: int
    cost: int = 0
    by_nonce: dict[int, "_Entry"] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Entry:
    transaction: Transaction
    arrival: int  # running number
    timestamp: int  # of the head at arrival


class Mempool:
    """The pool of one node.

    Args:
        spec: chain id and the cap of one transaction's gas.
        head: newest final block.
        reader: state after it.
        limits: of this node.
    """

    def __init__(
        self,
        spec: GenesisSpec,
        head: Header,
        reader: StateReader,
        limits: MempoolLimits = MempoolLimits(),
    ) -> None:
        self._spec = spec
        self._limits = limits
        self._head, self._reader = head, reader
        self._base_fee = next_base_fee(head)
        self._fork = _next_fork(spec, head)
        self._by_hash: dict[bytes, Transaction] = {}
        self._queues: dict[bytes, _Queue] = {}
        self._size = 0
        self._arrivals = 0
        self._lowest_tip = 0  # no waiting transaction pays less

    def __len__(self) -> int:
        return len(self._by_hash)

    def add(self, transaction: Transaction) -> None:
        """Take a transaction.

        Raises:
            InvalidTransaction: and nothing changed; ``str`` of it is what the client is told.
        """
        if transaction.hash in self._by_hash:
            raise AlreadyKnown
        self._check_alone(transaction)
        queue = self._queues.get(transaction.sender)
        account = self._reader.account(transaction.sender)
        if queue is None:
            queue = _Queue(account.nonce, account.nonce)
        self._check_sender(transaction, queue)
        old = queue.by_nonce.get(transaction.nonce)
        if old is not None:
            self._check_replacement(old.transaction, transaction)
        held = queue.cost - (old.transaction.maximum_cost() if old else 0)
        if account.balance < held + transaction.maximum_cost():
            raise InsufficientFunds(
                transaction.sender, account.balance, held + transaction.maximum_cost()
            )
        self._make_room(transaction, old)
        if old is not None:
            self._remove(queue, old.transaction)
        self._insert(queue, transaction)

    def get(self, transaction_hash: bytes) -> Transaction | None:
        """A waiting transaction by hash."""
        return self._by_hash.get(transaction_hash)

    def hashes(self) -> tuple[bytes, ...]:
        """Every waiting transaction, oldest first."""
        return tuple(self._by_hash)

    def pending_nonce(self, address: bytes) -> int:
        """Nonce for the sender's next transaction: after the state and everything pending."""
        queue = self._queues.get(address)
        return self._reader.account(address).nonce if queue is None else queue.next

    def content(self) -> tuple[_Content, _Content]:
        """(pending, queued) by sender and nonce, ascending."""
        pending: _Content = {}
        queued: _Content = {}
        for sender, queue in self._queues.items():
            for nonce, entry in sorted(queue.by_nonce.items()):
                part = pending if nonce < queue.next else queued
                part.setdefault(sender, {})[nonce] = entry.transaction
        return pending, queued

    def counts(self) -> tuple[int, int]:
        """(pending, queued) as in ``txpool_status``."""
        pending = sum(queue.next - queue.nonce for queue in self._queues.values())
        return pending, len(self._by_hash) - pending

    def select(
        self, base_fee: int, gas_limit: int, limit: int = 4_096, size: int = 4 << 20
    ) -> list[Transaction]:
        """Transactions for a block: best tip first, nonces of a sender in order.

        Args:
            base_fee: of the block, wei per gas; those below it are left out.
            gas_limit: of the block; the intrinsic gas of all stays below it. The real gas is
                known only to the builder, which skips what no longer fits.
            limit: most transactions.
            size: most bytes of encodings.
        """
        heads = [
            _rank(queue.by_nonce[queue.nonce], base_fee)
            for queue in self._queues.values()
            if queue.next > queue.nonce
        ]
        heapq.heapify(heads)
        chosen: list[Transaction] = []
        while heads and len(chosen) < limit:
            negative_tip, _, transaction = heads[0]
            if negative_tip > 0:
                break  # the best of all senders is below the base fee
            gas_limit -= max(
                intrinsic_gas(transaction, self._fork), floor_gas(transaction, self._fork)
            )
            size -= len(transaction.raw)
            if gas_limit < 0 or size < 0:
                break
            chosen.append(transaction)
            follower = self._queues[transaction.sender].by_nonce.get(transaction.nonce + 1)
            if follower is None:
                heapq.heappop(heads)
            else:
                heapq.heapreplace(heads, _rank(follower, base_fee))
        return chosen

    def discard(self, transaction_hash: bytes) -> None:
        """Forget a transaction that a builder found invalid; unknown hashes are ignored."""
        transaction = self._by_hash.get(transaction_hash)
        if transaction is not None:
            self._remove(self._queues[transaction.sender], transaction)

    def set_head(
        self, header: Header, reader: StateReader, included: Iterable[Transaction]
    ) -> None:
        """Move to a new head.

        Args:
            header: newest final block.
            reader: state after it.
            included: its transactions; senders whose nonce they moved are looked up again.
        """
        moved: set[bytes] = set()
        for transaction in included:
            moved.add(transaction.sender)
            for authorization in transaction.authorization_list:
                moved.add(authorization.authority() or transaction.sender)
        if header.parent_hash != self._head.hash:
            moved = set(self._queues)  # heads were skipped
        self._head, self._reader = header, reader
        self._base_fee = next_base_fee(header)
        self._fork = _next_fork(self._spec, header)
        for sender in moved & self._queues.keys():
            self._advance(self._queues[sender], reader.account(sender).nonce)
        if header.number % 64 == 0:
            self._expire()

    def _check_alone(self, transaction: Transaction) -> None:
        """Rules that need no account."""
        limits = self._limits
        if len(transaction.raw) > limits.transaction_size:
            raise PoolRefused(
                f"oversized data: transaction size {len(transaction.raw)}, "
                f"limit {limits.transaction_size}"
            )
        if transaction.type == 3:
            raise TypeNotSupported("type 3; this chain has no blob pool")
        if transaction.chain_id is None:
            raise UnprotectedTransaction
        if transaction.gas_limit > self._head.gas_limit:
            raise GasLimitExceeded(transaction.gas_limit, self._head.gas_limit)
        cap = transaction_gas_cap(self._spec, self._fork)
        check_envelope(transaction, self._fork, self._spec.chain_id, cap)
        if transaction.max_fee_per_gas < self._base_fee:
            raise FeeCapTooLow(transaction.sender, transaction.max_fee_per_gas, self._base_fee)

    def _check_sender(self, transaction: Transaction, queue: _Queue) -> None:
        account = self._reader.account(transaction.sender)
        if transaction.nonce < queue.nonce:
            raise NonceTooLow(queue.nonce, transaction.nonce)
        if transaction.nonce >= queue.next + self._limits.per_sender:
            raise NonceTooHigh(queue.next, transaction.nonce)
        if (
            len(queue.by_nonce) >= self._limits.per_sender
            and transaction.nonce not in queue.by_nonce
        ):
            raise PoolRefused(
                f"account limit exceeded: {len(queue.by_nonce)} transactions wait, "
                f"limit {self._limits.per_sender}"
            )
        if account.code_hash != EMPTY_HASH:
            code = self._reader.code(transaction.sender)
            if not is_delegation(code):
                raise SenderNotEoa(transaction.sender, len(code))

    def _check_replacement(self, old: Transaction, new: Transaction) -> None:
        percent = 100 + self._limits.price_bump_percent
        for have, held in (
            (new.max_fee_per_gas, old.max_fee_per_gas),
            (new.max_priority_fee_per_gas, old.max_priority_fee_per_gas),
        ):
            if have * 100 < held * percent:
                raise ReplacementUnderpriced(have, -(-held * percent // 100))

    def _make_room(self, new: Transaction, replaced: _Entry | None) -> None:
        """Evict the worst last-of-its-sender transactions, or refuse ``new``."""
        size, tip = self._size + len(new.raw), new.max_priority_fee_per_gas
        count = len(self._by_hash) + 1
        if replaced is not None:
            size, count = size - len(replaced.transaction.raw), count - 1
        victims: list[Transaction] = []
        worst = self._worst_first(new.sender)
        while size > self._limits.size or count > self._limits.transactions:
            victim = None if tip <= self._lowest_tip else next(worst, None)
            if victim is None or victim.max_priority_fee_per_gas >= tip:
                raise PoolRefused(
                    f"txpool is full: {len(self._by_hash)} transactions of {self._size} bytes, "
                    "none pays less"
                )
            victims.append(victim)
            size, count = size - len(victim.raw), count - 1
        for victim in victims:
            self.discard(victim.hash)

    def _worst_first(self, spared: bytes) -> Iterator[Transaction]:
        """The last transaction of each sender but ``spared``, lowest tip first."""
        last = [
            queue.by_nonce[max(queue.by_nonce)].transaction
            for sender, queue in self._queues.items()
            if sender != spared
        ]
        every = self._by_hash.values()
        self._lowest_tip = min(transaction.max_priority_fee_per_gas for transaction in every)
        yield from sorted(last, key=lambda transaction: transaction.max_priority_fee_per_gas)

    def _insert(self, queue: _Queue, transaction: Transaction) -> None:
        self._queues[transaction.sender] = queue
        self._arrivals += 1
        queue.by_nonce[transaction.nonce] = _Entry(
            transaction, self._arrivals, self._head.timestamp
        )
        queue.cost += transaction.maximum_cost()
        self._by_hash[transaction.hash] = transaction
        self._size += len(transaction.raw)
        self._lowest_tip = min(self._lowest_tip, transaction.max_priority_fee_per_gas)
        while queue.next in queue.by_nonce:
            queue.next += 1

    def _remove(self, queue: _Queue, transaction: Transaction) -> None:
        del queue.by_nonce[transaction.nonce]
        del self._by_hash[transaction.hash]
        queue.cost -= transaction.maximum_cost()
        self._size -= len(transaction.raw)
        queue.next = min(queue.next, transaction.nonce)
        if not queue.by_nonce:
            del self._queues[transaction.sender]

    def _advance(self, queue: _Queue, nonce: int) -> None:
        """Drop what is used up below the account's new nonce."""
        for used in [held for held in queue.by_nonce if held < nonce]:
            self._remove(queue, queue.by_nonce[used].transaction)
        queue.nonce = nonce
        queue.next = nonce
        while queue.next in queue.by_nonce:
            queue.next += 1

    def _expire(self) -> None:
        oldest = self._head.timestamp - self._limits.lifetime_seconds
        stale = [
            entry.transaction.hash
            for queue in self._queues.values()
            for entry in queue.by_nonce.values()
            if entry.timestamp < oldest
        ]
        for transaction_hash in stale:
            self.discard(transaction_hash)


def _next_fork(spec: GenesisSpec, head: Header) -> Fork:
    """Rules of the block after ``head``, whose time is not known yet."""
    return spec.schedule.fork(head.number + 1, head.timestamp + 1)


def _rank(entry: _Entry, base_fee: int) -> tuple[int, int, Transaction]:
    """Sort key: highest tip, then first come; negative tips (below the base fee) come last."""
    return -entry.transaction.priority_fee(base_fee), entry.arrival, entry.transaction
